//! The steps of a job: what happens to rows between a source and a sink.
//!
//! | module | its business |
//! |---|---|
//! | [`map`], [`expression`] | fused filter and projection; own expressions evaluated, bad rows found |
//! | [`time_range`] | the part of history that a replay emits |
//! | [`assign_window`], [`late`] | windows as columns; the rows of `t$late` |
//! | [`stateless`] | what steps that keep nothing share |
//! | [`window`] | keyed windowed aggregation: TUMBLE, HOP, CUMULATE |
//! | [`session`] | keyed aggregation over sessions |
//! | [`topn`] | the first rows of each key of a window |
//! | [`over`] | keyed trailing frames, `final` and `arrival` |
//! | [`periods`] | days, weeks and months by the clocks of a time zone |
//! | [`aggregate`] | exact values shared by windows and frames: types, sums, means, deviations |
//! | `prefetch` | asking for memory that will be read soon |
//! | [`check`] | tests of operators as scripts |
//!
//! No module here sees timely, a clock or a file. [`operator`] makes the operator of a node of the graph.

pub mod aggregate;
pub mod assign_window;
pub mod check;
pub mod expression;
pub mod late;
pub mod map;
pub mod over;
pub mod periods;
mod prefetch;
pub mod session;
pub mod stateless;
pub mod time_range;
pub mod topn;
pub mod window;

use arrow_schema::SchemaRef;
use highwater_engine::error::BuildError;
use highwater_engine::graph::{MapSpec, Node, Step, WindowKind, WindowSpec};
use highwater_engine::operator::Operator;
use highwater_engine::parts::{Role, RowProgram};

/// The operator of `node`, which reads rows of schema `input`. Only a windowed aggregation has roles other than
/// [`Role::Whole`]: see [`partials`].
pub fn operator(node: &Node, input: &SchemaRef, role: Role) -> Result<Box<dyn Operator>, BuildError> {
    if role != Role::Whole && partials(node, input).is_none() {
        return Err(BuildError::new(format!("{} cannot be split before the exchange", node.name)));
    }
    match &node.step {
        Step::Map(spec) => map::operator(node, spec, input),
        Step::TimeRange(range) => Ok(stateless::operator(time_range::KeepRange(*range))),
        Step::AssignWindow(kind) => assign_window::operator(node, kind, input),
        Step::Late => late::operator(node, input),
        Step::Window(spec @ WindowSpec { window: WindowKind::Session { gap_ms }, .. }) => {
            session::operator(node, spec, *gap_ms, input)
        }
        Step::Window(spec) => window::operator(node, spec, input, role),
        Step::Over(spec) => over::operator(node, spec, input),
        Step::TopN(spec) => topn::operator(node, spec, input),
        Step::Source(_) | Step::Errors | Step::Union | Step::Sink(_) => {
            Err(BuildError::new(format!("{} is built by the runtime, not as an operator", node.name)))
        }
    }
}

/// The schema of the partial results of `node`, if it can be split into [`Role::Combine`] and [`Role::Merge`]. Its first
/// columns are the keys.
pub fn partials(node: &Node, input: &SchemaRef) -> Option<SchemaRef> {
    match &node.step {
        Step::Window(WindowSpec { window: WindowKind::Session { .. }, .. }) => None,
        Step::Window(spec) => window::partials(spec, input),
        _ => None,
    }
}

/// Compiles a filter and projection over bare columns: see [`highwater_engine::parts::Parts::row_program`].
pub fn row_program(map: &MapSpec, input: &SchemaRef, output: &SchemaRef) -> Result<Box<dyn RowProgram>, BuildError> {
    Ok(Box::new(map::MapProgram::new(map, input, output)?))
}
