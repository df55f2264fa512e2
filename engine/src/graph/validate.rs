//! What a graph must satisfy before anything is opened. A front end has judged the user's text already, with places; this
//! judges the graph itself, so that operators and the runtime may index columns without asking.

use super::types::{aggregate_type, errors_schema, late_schema, refused_in_frames, sql_type, window_fields};
use super::*;
use crate::error::BuildError;
use crate::limits::{BAD_SHARE_ROWS, PARTITIONS_OPEN_MAX};
use crate::{digest, hash};
use arrow_schema::{Field, Schema, TimeUnit};
use std::collections::BTreeSet;

type Check = Result<(), String>;

macro_rules! ensure {
    ($condition:expr, $($text:tt)*) => {
        if !$condition {
            return Err(format!($($text)*));
        }
    };
}

impl JobGraph {
    /// Whether the graph keeps all promises of its types: inputs before users, unique names, columns within bounds, schemas
    /// that follow from the steps, a user for every step but sinks.
    ///
    /// # Errors
    /// The first promise that is broken, with the node's name.
    pub fn validate(&self) -> Result<(), BuildError> {
        let mut names = BTreeSet::new();
        for (id, node) in self.nodes.iter().enumerate() {
            if !names.insert(node.name.as_str()) {
                return Err(BuildError::new(format!("two steps are named {}", node.name)));
            }
            check_node(&self.nodes[..id], node)?;
            self.check_arrival(id, node)?;
        }
        let used: BTreeSet<NodeId> = self.nodes.iter().flat_map(|n| n.inputs.iter().copied()).collect();
        let idle = |(id, n): &(usize, &Node)| !used.contains(id) && !matches!(n.step, Step::Sink(_));
        match self.nodes.iter().enumerate().find(idle) {
            Some((_, n)) => {
                Err(BuildError::new(format!("{}: nothing reads its rows; add a sink or remove it", n.name)))
            }
            None if used.is_empty() => Err(BuildError::new("the job writes nothing; add a sink")),
            None => Ok(()),
        }
    }
}

impl JobGraph {
    /// Frames on arrival need rows that have an order of arrival: from a source on, stateless steps and such frames keep it.
    fn check_arrival(&self, id: NodeId, node: &Node) -> Result<(), BuildError> {
        let on_arrival = |n: &Node| matches!(&n.step, Step::Over(o) if matches!(o.emission, Emission::Arrival { .. }));
        let mut todo = if on_arrival(node) { self.nodes[id].inputs.clone() } else { Vec::new() };
        while let Some(n) = todo.pop().map(|i| &self.nodes[i]) {
            if matches!(n.step, Step::Errors | Step::Window(_) | Step::TopN(_))
                || (matches!(n.step, Step::Over(_)) && !on_arrival(n))
            {
                let (to, from) = (&node.name, &n.name);
                return Err(BuildError::new(format!(
                    "{to}: frames on arrival can't follow {from}, whose rows have no order of arrival; answer when final"
                )));
            }
            todo.extend(&n.inputs);
        }
        Ok(())
    }
}

/// Whether `node` may stand behind `earlier`: all of [`JobGraph::validate`] that concerns one node and its inputs.
pub(crate) fn check_node(earlier: &[Node], node: &Node) -> Result<(), BuildError> {
    let check = || {
        ensure!(!node.name.is_empty(), "a step needs a name");
        let inputs = inputs_of(earlier, node)?;
        check_step(&inputs, node)
    };
    check().map_err(|e| BuildError::new(format!("{}: {e}", node.name)))
}

fn inputs_of<'a>(earlier: &'a [Node], node: &Node) -> Result<Vec<&'a Node>, String> {
    let expected = match node.step {
        Step::Source(_) => 0..=0,
        Step::Union => 1..=usize::MAX,
        _ => 1..=1,
    };
    ensure!(expected.contains(&node.inputs.len()), "{} inputs", node.inputs.len());
    let inputs: Option<Vec<&Node>> = node.inputs.iter().map(|i| earlier.get(*i)).collect();
    let inputs = inputs.ok_or("it stands before one of its inputs")?;
    match inputs.iter().find(|n| matches!(n.step, Step::Sink(_))) {
        Some(sink) => Err(format!("it reads {}, which is a sink", sink.name)),
        None => Ok(inputs),
    }
}

fn check_step(inputs: &[&Node], node: &Node) -> Check {
    let schema = &node.schema;
    let Some(input) = inputs.first() else {
        return match &node.step {
            Step::Source(spec) => source(spec, schema),
            _ => Err("it has no input".to_owned()),
        };
    };
    match &node.step {
        Step::Source(_) => Err("a source has no input".to_owned()),
        Step::Late => {
            ensure!(matches!(input.step, Step::Source(_)), "late rows are those of a source, not of {}", input.name);
            same_types(schema, &late_schema(&input.schema))
        }
        Step::Errors => {
            ensure!(matches!(input.step, Step::Source(_)), "bad rows are those of a source, not of {}", input.name);
            same_types(schema, &errors_schema())
        }
        Step::Map(spec) => map(spec, input.schema.fields().len(), schema),
        Step::TimeRange(_) => same_types(schema, &input.schema),
        Step::AssignWindow(kind) => {
            window_kind(kind)?;
            let fields = input.schema.fields().iter().map(|f| f.as_ref().clone()).chain(window_fields());
            same_types(schema, &Schema::new(fields.collect::<Vec<_>>()))
        }
        Step::Window(spec) => window(spec, &input.schema, schema),
        Step::Over(spec) => over(spec, &input.schema, schema),
        Step::TopN(spec) => top_n(spec, &input.schema, schema),
        Step::Union => inputs
            .iter()
            .try_for_each(|i| same_types(schema, &i.schema).map_err(|e| format!("{e}, which {} emits", i.name))),
        Step::Sink(_) => {
            same_types(schema, &input.schema)?;
            let odd = schema.fields().iter().find(|f| !digest::supports(f.data_type()));
            odd.map_or(Ok(()), |f| Err(format!("a column of type {} can't be written: {}", f.data_type(), f.name())))
        }
    }
}

/// Names and nullability may differ, types may not; but a time attribute keeps its zone or loses it.
fn same_types(schema: &Schema, expected: &Schema) -> Check {
    let (have, want) = (schema.fields().len(), expected.fields().len());
    ensure!(have == want, "{have} columns instead of {want}");
    for (h, w) in schema.fields().iter().zip(expected.fields()) {
        let (h, name, w) = (h.data_type(), h.name(), w.data_type());
        let milliseconds = |t: &DataType| matches!(t, DataType::Timestamp(TimeUnit::Millisecond, _));
        let same = h == w || (milliseconds(h) && milliseconds(w));
        ensure!(same, "column {name} is {} instead of {}", sql_type(h), sql_type(w));
    }
    Ok(())
}

fn source(spec: &SourceSpec, schema: &Schema) -> Check {
    let ascending = spec.read.windows(2).all(|w| w[0] < w[1]);
    let physical = spec.physical.fields().len();
    ensure!(ascending && spec.read.iter().all(|i| *i < physical), "the columns read are not ascending positions");
    map(&spec.map, spec.read.len(), schema)?;
    let time = schema.fields().get(spec.time).ok_or("the event-time column is missing")?;
    let ms = matches!(time.data_type(), DataType::Timestamp(TimeUnit::Millisecond, _));
    ensure!(ms, "event time {} is {}; CAST it to TIMESTAMP(3)", time.name(), sql_type(time.data_type()));
    ensure!(spec.not_null.iter().all(|i| *i < schema.fields().len()), "a NOT NULL column is missing");
    ensure!(
        spec.watermark_delay_ms >= 0,
        "the watermark would run ahead of the rows by {} ms",
        -spec.watermark_delay_ms
    );
    ensure!(spec.time_min_ms <= spec.time_max_ms, "scan.event-time.min lies behind scan.event-time.max");
    ensure!(spec.max_drift_ms >= 0, "scan.watermark.alignment.max-drift is negative");
    ensure!(
        (1..=PARTITIONS_OPEN_MAX).contains(&spec.open_max),
        "scan.files.open-max is not from 1 to {PARTITIONS_OPEN_MAX}"
    );
    ensure!(spec.bad_rows_max <= BAD_SHARE_ROWS, "errors.max-share is more than 1");
    ensure!(spec.idle_ms.is_none_or(|ms| ms > 0), "scan.watermark.idle-timeout is not positive");
    Ok(())
}

fn map(spec: &MapSpec, columns: usize, schema: &Schema) -> Check {
    let want = schema.fields().len();
    ensure!(spec.columns.len() == want, "{} expressions for {want} columns", spec.columns.len());
    let mut beyond = None;
    for e in spec.columns.iter().chain(&spec.filter) {
        e.visit(&mut |e| match e {
            Expr::Column(i) if *i >= columns => beyond = Some(*i),
            _ => {}
        });
    }
    beyond.map_or(Ok(()), |i| Err(format!("column {i} of an input of {columns} columns")))
}

fn window_kind(kind: &WindowKind) -> Check {
    let size = kind.size_ms();
    ensure!(size > 0, "the window's size is {size} ms; it must be above zero");
    match *kind {
        WindowKind::Tumble { .. } => {}
        WindowKind::Calendar(ref c) => c.check()?,
        WindowKind::Session { gap_ms } => {
            ensure!(gap_ms > 0, "the session's gap is {gap_ms} ms; it must be above zero");
        }
        WindowKind::Hop { slide_ms, .. } => {
            ensure!(slide_ms > 0, "the window's slide is {slide_ms} ms; it must be above zero");
        }
        WindowKind::Cumulate { step_ms, .. } => {
            ensure!(step_ms > 0, "the window's step is {step_ms} ms; it must be above zero");
            ensure!(size % step_ms == 0, "the window's size of {size} ms is no multiple of its step of {step_ms} ms");
        }
    }
    Ok(())
}

fn keys(keys: &[usize], input: &Schema) -> Result<Vec<Field>, String> {
    let mut fields = Vec::new();
    for k in keys {
        let field = input.fields().get(*k).ok_or_else(|| format!("key column {k} is missing"))?;
        let t = field.data_type();
        ensure!(hash::supports(t), "{} of type {t} can't be a key", field.name());
        fields.push(field.as_ref().clone());
    }
    Ok(fields)
}

/// The type of the aggregate's argument, all else being right.
fn aggregate<'a>(a: &Aggregate, input: &'a Schema) -> Result<Option<&'a DataType>, String> {
    let of = |i: usize| input.fields().get(i).map(|f| f.data_type()).ok_or_else(|| format!("column {i} is missing"));
    let argument = a.argument.map(of).transpose().map_err(|e| format!("{}: {e}", a.label))?;
    let filter = a.filter.map(of).transpose().map_err(|e| format!("{}: {e}", a.label))?;
    ensure!(filter.is_none_or(|t| *t == DataType::Boolean), "the FILTER of {} is no BOOLEAN", a.label);
    let by = a.by.map(of).transpose().map_err(|e| format!("{}: {e}", a.label))?;
    let right = a.function.reads_another().is_none_or(|reads| by.is_some() == reads);
    ensure!(right, "{}: its second column is missing, or too much", a.label);
    ensure!(by.is_none_or(hash::supports), "{}: its second argument can't be compared", a.label);
    ensure!(!a.distinct || a.argument.is_some(), "{}: DISTINCT of nothing", a.label);
    let returns = aggregate_type(a.function, argument, by)?;
    ensure!(a.returns == returns, "{} is {} instead of {}", a.label, sql_type(&a.returns), sql_type(&returns));
    Ok(argument)
}

fn window(spec: &WindowSpec, input: &Schema, schema: &Schema) -> Check {
    window_kind(&spec.window)?;
    let mut fields = keys(&spec.keys, input)?;
    fields.extend(window_fields());
    for a in &spec.aggregates {
        aggregate(a, input)?;
        ensure!(!a.function.needs_frame(), "{} needs a trailing frame", a.label);
        fields.push(Field::new(&a.label, a.returns.clone(), true));
    }
    same_types(schema, &Schema::new(fields))
}

fn top_n(spec: &TopNSpec, input: &Schema, schema: &Schema) -> Check {
    keys(&spec.keys, input)?;
    ensure!(spec.limit > 0, "the first 0 rows are none");
    let beyond = spec.order.iter().find(|o| o.column >= input.fields().len());
    ensure!(beyond.is_none(), "a column of the order is missing");
    let fields = input.fields().iter().map(|f| f.as_ref().clone());
    same_types(schema, &Schema::new(fields.chain([Field::new("rank", DataType::Int64, false)]).collect::<Vec<_>>()))
}

fn over(spec: &OverSpec, input: &Schema, schema: &Schema) -> Check {
    keys(&spec.keys, input)?;
    for f in &spec.frames {
        let (start, end) = (f.start_ms, f.end_ms);
        ensure!(end >= 0, "a frame ends {} ms behind the current row", -end);
        ensure!(start >= end, "a frame from {start} ms to {end} ms before the current row is empty");
        if let Some(r) = f.rows {
            ensure!(r.first >= r.last, "a frame from {} to {} rows before the current one is empty", r.first, r.last);
        }
        if let Some(since) = &f.since {
            since.check()?;
            ensure!(f.rows.is_none(), "a frame of rows begins with the {since}");
        }
        ensure!(f.rows.is_none() || end == 0, "a frame of rows ends {end} ms before the current row");
        ensure!(
            !f.without_ties || (end == 1 && f.rows.is_none() && !f.without_current),
            "a frame without ties ends before them"
        );
        let excludes = f.without_current;
        ensure!(!excludes || (end == 0 && f.rows.is_none()), "a frame without its row must reach up to that row");
    }
    let mut fields: Vec<Field> = input.fields().iter().map(|f| f.as_ref().clone()).collect();
    for call in &spec.calls {
        let a = &call.aggregate;
        ensure!(call.frame < spec.frames.len(), "{}: frame {} is missing", a.label, call.frame);
        let argument = aggregate(a, input)?;
        refused_in_frames(a, argument).map_or(Ok(()), Err)?;
        fields.push(Field::new(&a.label, a.returns.clone(), true));
    }
    let arrival = matches!(spec.emission, Emission::Arrival { .. });
    ensure!(arrival || spec.pseudo.is_empty(), "is_late and is_incomplete exist only under 'emit' = 'arrival'");
    fields.extend(spec.pseudo.iter().map(|_| Field::new("pseudo", DataType::Boolean, false)));
    same_types(schema, &Schema::new(fields))
}
