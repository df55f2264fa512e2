//! The sentence: a job, its streams, and what is said of them.

use super::{BuilderError, Call, GraphBuilder, Scalar, Table, Trailing, scalar::position, to_ms};
use crate::error::BuildError;
use crate::graph::types::{errors_schema, late_schema, window_fields};
use crate::graph::{
    Emission, Frame, JobGraph, MapSpec, NodeId, OrderBy, OverCall, OverSpec, Step, TopNSpec, WindowKind, WindowSpec,
};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// A job being described. Its streams share it, so it stays one job however they branch.
#[derive(Clone, Debug)]
pub struct Job(Rc<RefCell<Draft>>);

#[derive(Debug)]
struct Draft {
    graph: GraphBuilder,
    failure: Option<BuilderError>,
}

impl Job {
    /// A job of this name: its identity.
    pub fn new(name: impl Into<String>) -> Self {
        Self(Rc::new(RefCell::new(Draft { graph: GraphBuilder::new(name), failure: None })))
    }

    /// Reads a table.
    pub fn source(&self, table: Table) -> Stream {
        let name = table.name.clone();
        self.grow(&name, |_| {
            let (spec, schema) = table.into_source()?;
            Ok((Vec::new(), Step::Source(spec), schema))
        })
    }

    /// The graph.
    ///
    /// # Errors
    /// The first mistake in the description.
    pub fn build(&self) -> Result<JobGraph, BuilderError> {
        let draft = self.0.borrow();
        match &draft.failure {
            Some(e) => Err(e.clone()),
            None => Ok(draft.graph.clone().finish()?),
        }
    }

    /// Adds the step that `make` describes; after a mistake, nothing.
    fn grow(&self, stem: &str, make: impl FnOnce(&GraphBuilder) -> Result<NewStep, BuilderError>) -> Stream {
        let mut draft = self.0.borrow_mut();
        let draft = &mut *draft;
        let node = match draft.failure {
            Some(_) => None,
            None => {
                let name = draft.graph.free_name(stem);
                let step = make(&draft.graph);
                let added = step.and_then(|(inputs, step, schema)| Ok(draft.graph.push(name, inputs, step, schema)?));
                added.map_err(|e| draft.failure = Some(e)).ok()
            }
        };
        Stream { job: self.clone(), node }
    }
}

type NewStep = (Vec<NodeId>, Step, SchemaRef);

/// The rows of a step. Several steps may read them.
#[derive(Clone, Debug)]
pub struct Stream {
    job: Job,
    /// `None` after a mistake.
    node: Option<NodeId>,
}

impl Stream {
    /// Adds a step behind this stream. `what` names it after its source of rows: `payments.window`.
    fn then(self, what: &str, make: impl FnOnce(&str, &Schema) -> Result<(Step, SchemaRef), BuilderError>) -> Stream {
        let Some(node) = self.node else { return self };
        let stem = {
            let draft = self.job.0.borrow();
            let from = &draft.graph.nodes()[node].name;
            let root = from.split_once('.').map_or(from.as_str(), |(root, _)| root);
            format!("{root}.{what}")
        };
        self.job.grow(&stem, |graph| {
            let (step, schema) = make(&stem, graph.schema(node))?;
            Ok((vec![node], step, schema))
        })
    }

    /// Keeps the rows for which the condition is true.
    pub fn filter(self, condition: Scalar) -> Stream {
        self.then("filter", |name, input| {
            let filter = Some(condition.resolve_condition(name, input)?);
            let columns = (0..input.fields().len()).map(crate::expr::Expr::Column).collect();
            Ok((Step::Map(MapSpec { filter, columns, query: name.to_owned() }), Arc::new(input.clone())))
        })
    }

    /// Makes rows of these expressions. The event time stays, selected or not.
    pub fn select(self, columns: impl IntoIterator<Item = Scalar>) -> Stream {
        self.then("select", |name, input| {
            let resolve = |(i, c): (usize, Scalar)| c.resolve(name, input, i);
            let typed = columns.into_iter().enumerate().map(resolve).collect::<Result<Vec<_>, _>>()?;
            let (columns, fields): (Vec<_>, Vec<_>) = typed.into_iter().unzip();
            Ok((Step::Map(MapSpec { filter: None, columns, query: name.to_owned() }), named(name, fields)?))
        })
    }

    /// The rows of both streams, whose columns have the same types in the same order.
    pub fn union(self, other: Stream) -> Stream {
        let (Some(left), Some(right)) = (self.node, other.node) else { return self };
        let same_job = Rc::ptr_eq(&self.job.0, &other.job.0);
        self.job.grow("union", |graph| {
            let schema = Arc::new(graph.schema(left).clone());
            let mismatch = BuilderError::OtherJob { step: "union".to_owned() };
            if same_job { Ok((vec![left, right], Step::Union, schema)) } else { Err(mismatch) }
        })
    }

    /// The late rows of a source, `t$late`: its columns, the watermark that each row came behind, and by how much.
    pub fn late(&self) -> Stream {
        self.clone().then("late", |_, input| Ok((Step::Late, late_schema(input))))
    }

    /// The bad rows of a source, `t$errors`.
    pub fn errors(&self) -> Stream {
        self.clone().then("errors", |_, _| Ok((Step::Errors, errors_schema())))
    }

    /// What follows is said of each key apart: of the rows that agree in these columns.
    pub fn key_by<'a>(self, columns: impl IntoIterator<Item = &'a str>) -> Keyed {
        Keyed { stream: self, keys: columns.into_iter().map(str::to_owned).collect() }
    }

    /// Windows over all rows together: see [`Keyed::tumble`].
    pub fn tumble(self, size: Duration) -> Windowed {
        self.key_by([]).tumble(size)
    }

    /// Writes the rows to a table, which ends this branch of the sentence.
    pub fn sink(self, table: Table) {
        let Some(node) = self.node else { return };
        let name = table.name.clone();
        self.job.grow(&name, |graph| {
            let schema = Arc::new(graph.schema(node).clone());
            Ok((vec![node], Step::Sink(table.into_sink(answers_on_arrival(graph, node))), schema))
        });
    }
}

/// Whether some step on the way to `node` answers rows on arrival.
fn answers_on_arrival(graph: &GraphBuilder, node: NodeId) -> bool {
    let n = &graph.nodes()[node];
    let here = matches!(&n.step, Step::Over(o) if o.emission != Emission::Final);
    here || n.inputs.iter().any(|i| answers_on_arrival(graph, *i))
}

/// A stream of which each key is looked at apart.
#[derive(Clone, Debug)]
pub struct Keyed {
    stream: Stream,
    keys: Vec<String>,
}

impl Keyed {
    /// Windows of this size, back to back, aligned to the epoch.
    pub fn tumble(self, size: Duration) -> Windowed {
        Windowed { keyed: self, every: Every::Size, size }
    }

    /// Windows of `size`, one beginning every `slide`.
    pub fn hop(self, slide: Duration, size: Duration) -> Windowed {
        Windowed { keyed: self, every: Every::Slide(slide), size }
    }

    /// Windows of `size` back to back, each shown after every `step` while it grows.
    pub fn cumulate(self, step: Duration, size: Duration) -> Windowed {
        Windowed { keyed: self, every: Every::Step(step), size }
    }

    /// Windows from the first to the last row of a key that lie no further apart than `gap`, and `gap` longer.
    pub fn session(self, gap: Duration) -> Windowed {
        Windowed { keyed: self, every: Every::Gap, size: gap }
    }

    /// Adds to each row aggregates over the rows of its key in the time before it: once, when the watermark has passed the
    /// row, in event-time order.
    pub fn trailing(self, calls: impl IntoIterator<Item = (Trailing, Call)>) -> Stream {
        self.over(Ok(Emission::Final), calls)
    }

    /// As [`Keyed::trailing`], but each row is answered when it arrives; late rows too, back to `late_horizon` behind the
    /// watermark.
    pub fn trailing_on_arrival(
        self,
        late_horizon: Duration,
        calls: impl IntoIterator<Item = (Trailing, Call)>,
    ) -> Stream {
        let horizon = to_ms("late_horizon", late_horizon);
        self.over(horizon.map(|late_horizon_ms| Emission::Arrival { late_horizon_ms }), calls)
    }

    fn over(
        self,
        emission: Result<Emission, BuilderError>,
        calls: impl IntoIterator<Item = (Trailing, Call)>,
    ) -> Stream {
        let Self { stream, keys } = self;
        stream.then("over", |name, input| {
            let keys = positions(name, input, &keys)?;
            let mut fields: Vec<Field> = input.fields().iter().map(|f| f.as_ref().clone()).collect();
            let (mut frames, mut over): (Vec<Frame>, Vec<OverCall>) = (Vec::new(), Vec::new());
            for (trailing, call) in calls {
                let (frame, suffix) = trailing.resolve(name)?;
                let known = frames.iter().position(|f| *f == frame);
                let frame = known.unwrap_or_else(|| {
                    frames.push(frame);
                    frames.len() - 1
                });
                let (aggregate, field) = call.resolve(name, input, &suffix)?;
                over.push(OverCall { frame, aggregate });
                fields.push(field);
            }
            let spec = OverSpec { keys, frames, calls: over, emission: emission?, pseudo: Vec::new() };
            Ok((Step::Over(spec), named(name, fields)?))
        })
    }
}

/// A keyed stream cut into windows.
#[derive(Clone, Debug)]
pub struct Windowed {
    keyed: Keyed,
    every: Every,
    /// Or the gap of sessions.
    size: Duration,
}

/// What ends windows.
#[derive(Clone, Copy, Debug)]
enum Every {
    Size,
    Slide(Duration),
    Step(Duration),
    Gap,
}

impl Windowed {
    /// One row for each key and window that has rows, when the watermark has passed the window: the keys, `window_start`,
    /// `window_end`, `window_time`, the aggregates.
    pub fn aggregate(self, calls: impl IntoIterator<Item = Call>) -> Stream {
        let Self { keyed: Keyed { stream, keys }, every, size } = self;
        stream.then("window", |name, input| {
            let window = every.windows(name, size)?;
            let keys = positions(name, input, &keys)?;
            let calls = calls.into_iter().map(|c| c.resolve(name, input, "")).collect::<Result<Vec<_>, _>>()?;
            let (aggregates, results): (Vec<_>, Vec<_>) = calls.into_iter().unzip();
            let key_fields = keys.iter().map(|k| input.field(*k).clone());
            let fields = key_fields.chain(window_fields()).chain(results).collect();
            Ok((Step::Window(WindowSpec { window, keys, aggregates }), named(name, fields)?))
        })
    }

    /// The first `rows` rows of each key and window in this order, when the watermark has passed the window: the columns of
    /// the input, `window_start`, `window_end`, `window_time`, and `row_number` from 1. Rows that are equal in all columns of
    /// the order stand in the order of rows. Not of sessions.
    pub fn first(self, rows: u64, order: impl IntoIterator<Item = Order>) -> Stream {
        let Self { keyed: Keyed { stream, keys }, every, size } = self;
        let windows = stream.then("windows", |name, input| {
            if let Every::Gap = every {
                return Err(BuildError::new(format!("{name}: the first rows of sessions are not kept")).into());
            }
            let fields = input.fields().iter().map(|f| f.as_ref().clone()).chain(window_fields()).collect();
            Ok((Step::AssignWindow(every.windows(name, size)?), named(name, fields)?))
        });
        windows.then("first", |name, input| {
            let mut of = positions(name, input, &keys)?;
            of.extend(input.fields().len() - window_fields().len()..input.fields().len() - 1);
            let order = order.into_iter().map(|o| o.resolve(name, input)).collect::<Result<_, _>>()?;
            let fields = input.fields().iter().map(|f| f.as_ref().clone());
            let fields = fields.chain([Field::new("row_number", DataType::Int64, false)]).collect();
            Ok((Step::TopN(TopNSpec { keys: of, order, limit: rows }), named(name, fields)?))
        })
    }
}

impl Every {
    fn windows(self, step: &str, size: Duration) -> Result<WindowKind, BuilderError> {
        let (size_ms, offset_ms) = (to_ms(step, size)?, 0);
        Ok(match self {
            Self::Size => WindowKind::Tumble { size_ms, offset_ms },
            Self::Slide(slide) => WindowKind::Hop { slide_ms: to_ms(step, slide)?, size_ms, offset_ms },
            Self::Gap => WindowKind::Session { gap_ms: size_ms },
            Self::Step(each) => WindowKind::Cumulate { step_ms: to_ms(step, each)?, size_ms, offset_ms },
        })
    }
}

/// A column by which rows are ordered, NULL as the least value: [`ascending`] or [`descending`].
#[derive(Clone, Debug)]
pub struct Order {
    column: String,
    descending: bool,
}

/// The smallest value first.
pub fn ascending(column: &str) -> Order {
    Order { column: column.to_owned(), descending: false }
}

/// The largest value first.
pub fn descending(column: &str) -> Order {
    Order { column: column.to_owned(), descending: true }
}

impl Order {
    fn resolve(self, step: &str, input: &Schema) -> Result<OrderBy, BuilderError> {
        let Self { column, descending } = self;
        Ok(OrderBy { column: position(step, input, &column)?, descending, nulls_first: !descending })
    }
}

fn positions(step: &str, schema: &Schema, names: &[String]) -> Result<Vec<usize>, BuilderError> {
    names.iter().map(|n| position(step, schema, n)).collect()
}

/// A schema whose names differ.
fn named(step: &str, fields: Vec<Field>) -> Result<SchemaRef, BuilderError> {
    let mut names = BTreeSet::new();
    match fields.iter().find(|f| !names.insert(f.name().as_str())) {
        Some(f) => Err(BuilderError::DuplicateColumn { step: step.to_owned(), name: f.name().clone() }),
        None => Ok(Arc::new(Schema::new(fields))),
    }
}
