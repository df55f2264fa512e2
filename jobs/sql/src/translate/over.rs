//! OVER: trailing frames of any number of keys. Calls of one PARTITION BY are one step; the steps form a chain, ordered by
//! the names of their keys, so that the order of the text does not matter.

use super::call::{Call, shown};
use super::expr::Scope;
use super::top::is_row_number;
use super::window::unaliased;
use super::{Place, Rel, Slots, Translator, bare, named, schema_of};
use crate::checks::{not_the_time, place};
use crate::diagnostic::{Fault, Result};
use crate::intervals::show_ms;
use crate::start_of::{Start, Starts};
use arrow_schema::{DataType, Field};
use datafusion_common::ScalarValue;
use datafusion_expr::expr::WindowFunction;
use datafusion_expr::{
    Expr as Planned, ExprSchemable, LogicalPlan, Window, WindowFrame, WindowFrameBound, WindowFrameUnits,
    WindowFunctionDefinition,
};
use highwater_engine::expr::Expr;
use highwater_engine::graph::types::refused_in_frames;
use highwater_engine::graph::{
    Aggregate, AggregateFunction, Emission, Frame, OverCall, OverSpec, PseudoColumn, RowsBetween, StartOf, Step,
};
use highwater_operators::periods;

/// One call of the query.
struct Trailing {
    keys: Vec<(Expr, Field)>,
    frame: Frame,
    call: Call,
    returns: DataType,
    field: Field,
}

/// One step to be: its keys and its calls, with their positions among all calls of the query.
struct Group {
    keys: Vec<usize>,
    calls: Vec<(usize, Frame, Aggregate, Field)>,
}

impl Translator<'_> {
    /// A stack of window nodes: the calls of one SELECT.
    pub(super) fn over(&mut self, plan: &LogicalPlan, at: &Place) -> Result<Rel> {
        let mut stack: Vec<&Window> = Vec::new();
        let mut input = plan;
        while let LogicalPlan::Window(w) = input {
            stack.push(w);
            input = &w.input;
        }
        if let Some(call) = stack.iter().flat_map(|w| &w.window_expr).find(|e| is_row_number(e)) {
            return match stack.as_slice() {
                [one] if one.window_expr.len() == 1 => self.ranked(one, at),
                _ => {
                    let hint = "compute the other calls in an inner query";
                    Err(Fault::new("ROW_NUMBER stands alone among the OVER calls of its SELECT")
                        .at(place(call))
                        .hint(hint))
                }
            };
        }
        let rel = self.rel(input, at)?;
        let rel = self.window_assigned(rel, at)?;
        let mut calls = Vec::new();
        let mut columns = rel.columns.clone();
        for w in stack.into_iter().rev() {
            let scope = Scope { schema: w.input.schema(), columns: &columns, pseudo: rel.pseudo.as_ref() };
            let n = w.input.schema().fields().len();
            for (i, e) in w.window_expr.iter().enumerate() {
                calls.push(self.trailing(e, &scope, &rel, w.schema.field(n + i))?);
            }
            // The calls of one SELECT never read one another.
            columns.resize(n + w.window_expr.len(), Expr::Column(usize::MAX));
        }
        self.frames(rel, calls, at)
    }

    fn frames(&mut self, rel: Rel, calls: Vec<Trailing>, at: &Place) -> Result<Rel> {
        let visible = rel.columns.len();
        let (mut fields, mut time) = (rel.fields.clone(), rel.time.clone());
        fields.extend(calls.iter().map(|c| c.field.clone()));
        time.resize(fields.len(), false);
        let mut results = vec![0; calls.len()];

        let mut slots = Slots { columns: rel.columns.clone(), fields: rel.fields.clone() };
        for (e, name) in rel.pseudo.iter().flatten().zip(crate::syntax::PSEUDO_COLUMNS) {
            slots.put(e.clone(), Field::new(name, DataType::Boolean, true));
        }
        let groups = grouped(calls, &mut slots);
        let (mut node, mut columns, position) = self.rows_before(rel, slots, visible, at);
        let mut pseudo = None;
        let last = groups.len() - 1;
        for (k, (group, keys)) in groups.into_iter().enumerate() {
            let n = self.nodes[node].schema.fields().len();
            for (j, (i, ..)) in group.calls.iter().enumerate() {
                results[*i] = n + j;
            }
            let tells = k == last && matches!(at.emission, Emission::Arrival { .. });
            if tells {
                let p = n + group.calls.len();
                pseudo = Some([Expr::Column(p), Expr::Column(p + 1)]);
            }
            node = self.over_node(node, group, &keys, &position, tells, at);
        }
        columns.extend(results.into_iter().map(Expr::Column));
        Ok(Rel { node, window: None, filter: vec![], columns, fields, time, pseudo, ranked: None })
    }

    /// The rows that the frames read: the node itself if all that is wanted are its columns, else a step before it, so
    /// that a row that fails there is a row of `t$errors` and in no frame. Answers the node, the visible columns over it,
    /// and where each slot stands in it.
    pub(super) fn rows_before(
        &mut self,
        rel: Rel,
        slots: Slots,
        visible: usize,
        at: &Place,
    ) -> (usize, Vec<Expr>, Vec<usize>) {
        let direct: Option<Vec<usize>> = slots.columns.iter().map(bare).collect();
        match direct.filter(|_| rel.filter.is_empty()) {
            Some(position) => (rel.node, rel.columns, position),
            None => {
                let position = (0..slots.columns.len()).collect();
                let node = self.map(rel.node, rel.filter, slots.columns, slots.fields, at);
                (node, (0..visible).map(Expr::Column).collect(), position)
            }
        }
    }

    /// Reads one call of OVER.
    fn trailing(&self, e: &Planned, scope: &Scope, rel: &Rel, field: &Field) -> Result<Trailing> {
        let Planned::WindowFunction(w) = unaliased(e) else {
            return Err(Fault::new(format!("{e} is not supported")));
        };
        let WindowFunction { fun, params } = w.as_ref();
        let WindowFunctionDefinition::AggregateUDF(udaf) = fun else {
            return Err(Fault::new(format!("{} is not supported in this version", fun.name())));
        };
        let call = Call::new(udaf.name(), &params.args, params.distinct, params.filter.as_deref(), scope)?;
        let returns = field.data_type().clone();
        if let Some(what) = refused_in_frames(&call.as_aggregate(returns.clone()), Some(&call.argument_type)) {
            return Err(Fault::new(what).at(place(e)));
        }
        let [order] = params.order_by.as_slice() else {
            return Err(Fault::new("OVER is ordered by the event time alone"));
        };
        let time = scope.expr(&order.expr)?;
        if !rel.is_time(&time) {
            return Err(not_the_time(&order.expr));
        }
        let mut keys = Vec::new();
        for e in &params.partition_by {
            let name = shown(e, scope.schema);
            let data_type = e.get_type(scope.schema).map_err(|e| Fault::new(e.strip_backtrace()))?;
            keys.push((scope.expr(e)?, Field::new(name, data_type, true)));
        }
        let zoned = matches!(order.expr.get_type(scope.schema), Ok(DataType::Timestamp(_, Some(_))));
        let since = since(&params.window_frame.start_bound, &self.catalog.starts);
        let since = since.map(|start| if zoned { start } else { start.without_zone() });
        if let Some(Start { start, .. }) = since.as_ref().filter(|_| !zoned) {
            has_periods(start, &order.expr)?;
        }
        let frame = frame(&params.window_frame, call.function, self.ttl_ms, since).map_err(|f| f.at(place(e)))?;
        let field = Field::new(named_by(&call.label, &keys, &frame), field.data_type().clone(), true);
        Ok(Trailing { keys, frame, call, returns, field })
    }

    fn over_node(
        &mut self,
        input: usize,
        group: Group,
        keys: &[String],
        position: &[usize],
        tells: bool,
        at: &Place,
    ) -> usize {
        let mut frames: Vec<Frame> = group.calls.iter().map(|c| c.1.clone()).collect();
        frames.sort();
        frames.dedup();
        let frame_of = |f: &Frame| frames.iter().position(|g| g == f).unwrap_or_default();
        let columns = self.nodes[input].schema.fields().iter().map(|f| f.as_ref().clone());
        let results = group.calls.iter().map(|(.., field)| field.clone());
        let pseudo = if tells { vec![PseudoColumn::IsLate, PseudoColumn::IsIncomplete] } else { vec![] };
        let marks = crate::syntax::PSEUDO_COLUMNS.into_iter().take(pseudo.len());
        let marks = marks.map(|n| Field::new(n, DataType::Boolean, true));
        let schema = schema_of(columns.chain(results).chain(marks));
        let calls = group.calls.iter().map(|(_, frame, a, _)| OverCall {
            frame: frame_of(frame),
            aggregate: Aggregate {
                argument: a.argument.map(|i| position[i]),
                by: a.by.map(|i| position[i]),
                filter: a.filter.map(|i| position[i]),
                ..a.clone()
            },
        });
        let spec = OverSpec {
            keys: group.keys.iter().map(|k| position[*k]).collect(),
            calls: calls.collect(),
            frames: frames.clone(),
            emission: at.emission,
            pseudo,
        };
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        self.node(&named(&format!("{}.over", at.prefix), &keys), Step::Over(spec), vec![input], schema)
    }
}

/// Calls by their keys, in the order of the keys' names.
fn grouped(calls: Vec<Trailing>, slots: &mut Slots) -> Vec<(Group, Vec<String>)> {
    let mut groups: Vec<Group> = Vec::new();
    for (i, c) in calls.into_iter().enumerate() {
        let mut keys: Vec<usize> = c.keys.into_iter().map(|(e, f)| slots.put(e, f)).collect();
        keys.sort_unstable();
        keys.dedup();
        let entry = (i, c.frame, c.call.placed(slots, c.returns), c.field);
        match groups.iter_mut().find(|g| g.keys == keys) {
            Some(g) => g.calls.push(entry),
            None => groups.push(Group { keys, calls: vec![entry] }),
        }
    }
    let name = |g: &Group| g.keys.iter().map(|k| slots.fields[*k].name().clone()).collect::<Vec<_>>();
    let mut named: Vec<(Group, Vec<String>)> = groups.into_iter().map(|g| (name(&g), g)).map(|(n, g)| (g, n)).collect();
    named.sort_by(|(a, m), (b, n)| m.cmp(n).then(a.keys.cmp(&b.keys)));
    named
}

/// `SUM(amount) per card over 1 h`: the column of a call until the query names it.
fn named_by(label: &str, keys: &[(Expr, Field)], f: &Frame) -> String {
    let names: Vec<&str> = keys.iter().map(|(_, k)| k.name().as_str()).collect();
    let per = if names.is_empty() { String::new() } else { format!(" per {}", names.join(", ")) };
    let end = if f.end_ms == 0 || f.without_ties { String::new() } else { format!(" to {}", show_ms(f.end_ms)) };
    let without = match f {
        Frame { without_current: true, .. } => " without the row itself",
        Frame { without_ties: true, .. } => " without its ties",
        _ => "",
    };
    match f.rows {
        Some(RowsBetween { first, last: 0 }) => format!("{label}{per} over {first} rows"),
        Some(RowsBetween { first, last }) => format!("{label}{per} over {first} to {last} rows"),
        None => match &f.since {
            Some(since) => format!("{label}{per} from the {since}{end}{without}"),
            None => format!("{label}{per} over {}{end}{without}", show_ms(f.start_ms)),
        },
    }
}

/// A time without a zone has days in UTC alone.
fn has_periods(since: &StartOf, time: &Planned) -> Result<()> {
    if periods::zone(&since.zone).is_ok_and(|z| z.is_utc()) {
        return Ok(());
    }
    let what = format!("{since}: a TIMESTAMP(3) has no time zone, so it has no days there");
    let hint = "make the time attribute a TIMESTAMP_LTZ(3): AS CAST(ts AS TIMESTAMP_LTZ(3)), if it is in UTC";
    Err(Fault::new(what).at(place(time)).hint(hint))
}

/// The frame. The syntax pass has refused what is not supported; this is the second lock.
fn frame(f: &WindowFrame, function: AggregateFunction, ttl_ms: Option<i64>, since: Option<Start>) -> Result<Frame> {
    let wrong = || Fault::new(format!("frame {f} is not supported"));
    let unbounded = matches!(&f.start_bound, WindowFrameBound::Preceding(v) if v.is_null());
    let lag = matches!(function, AggregateFunction::Lag { .. });
    let ttl = |what: &str, instead: &str| {
        let hint = format!("SET 'table.exec.state.ttl' = '30 d'; {instead}");
        ttl_ms.ok_or_else(|| Fault::new(format!("{what}: state without bound")).hint(hint))
    };
    match f.units {
        WindowFrameUnits::Range if lag && unbounded => {
            let instead = "or say how far back: RANGE BETWEEN INTERVAL '30' DAY PRECEDING AND CURRENT ROW";
            Ok(Frame::range(ttl("LAG keeps a row of every key for ever", instead)?, 0))
        }
        WindowFrameUnits::Range => {
            let longest_ms = since.as_ref().map(|s| s.longest_ms);
            let start_ms = longest_ms.or_else(|| milliseconds(&f.start_bound)).ok_or_else(wrong)?;
            let frame = if excludes(&f.end_bound, crate::frames::WITHOUT_CURRENT_NS) {
                Frame::range(start_ms, 0).without_current()
            } else if excludes(&f.end_bound, crate::frames::WITHOUT_TIES_NS) {
                Frame::without_ties(start_ms)
            } else {
                let end_ms = milliseconds(&f.end_bound).filter(|ms| (0..=start_ms).contains(ms));
                Frame::range(start_ms, end_ms.ok_or_else(wrong)?)
            };
            Ok(match since {
                Some(Start { start, .. }) => frame.since(start),
                None => frame,
            })
        }
        WindowFrameUnits::Rows if lag => {
            let hint = "RANGE BETWEEN INTERVAL '30' DAY PRECEDING AND CURRENT ROW says how far back the row may lie";
            Err(Fault::new("LAG counts rows by itself: it takes no ROWS frame").hint(hint))
        }
        WindowFrameUnits::Rows => {
            let (first, last) = (rows(&f.start_bound).ok_or_else(wrong)?, rows(&f.end_bound).ok_or_else(wrong)?);
            let ttl_ms = ttl("a frame of ROWS keeps rows of every key for ever", "or a RANGE frame")?;
            if first < last { Err(wrong()) } else { Ok(Frame::rows(first, last, ttl_ms)) }
        }
        WindowFrameUnits::Groups => Err(wrong()),
    }
}

/// The start of a period that a bound stands for.
fn since(b: &WindowFrameBound, starts: &Starts) -> Option<Start> {
    match b {
        WindowFrameBound::Preceding(ScalarValue::IntervalMonthDayNano(Some(i))) if i.months > 0 => starts.get(i.months),
        _ => None,
    }
}

fn milliseconds(b: &WindowFrameBound) -> Option<i64> {
    match b {
        WindowFrameBound::CurrentRow => Some(0),
        WindowFrameBound::Preceding(ScalarValue::IntervalMonthDayNano(Some(i)))
            if i.months == 0 && i.nanoseconds % 1_000_000 == 0 =>
        {
            Some(i64::from(i.days) * 86_400_000 + i.nanoseconds / 1_000_000)
        }
        _ => None,
    }
}

/// Whether the bound stands for an exclusion.
fn excludes(b: &WindowFrameBound, marker_ns: i64) -> bool {
    matches!(b, WindowFrameBound::Preceding(ScalarValue::IntervalMonthDayNano(Some(i)))
        if i.months == 0 && i.days == 0 && i.nanoseconds == marker_ns)
}

fn rows(b: &WindowFrameBound) -> Option<u32> {
    match b {
        WindowFrameBound::CurrentRow => Some(0),
        WindowFrameBound::Preceding(ScalarValue::UInt64(Some(n))) => u32::try_from(*n).ok(),
        _ => None,
    }
}
