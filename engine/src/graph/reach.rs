//! How far back a job looks: which rows of a source may still change a result.
//!
//! The reach of a value is a sum of frame starts and window sizes, along the path that the value has taken. Columns are
//! followed one by one: frames of one query that do not read each other's results do not add up, a frame over the result of
//! a frame does. What only decides which rows there are (filters, keys) counts for all columns of the rows.

use super::{Aggregate, JobGraph, Node, NodeId, OverCall, OverSpec, Step};
use crate::expr::Expr;

/// What the output of a step looks back at in the rows of one source, in milliseconds; `None`: at nothing of it.
#[derive(Clone)]
struct Reach {
    columns: Vec<Option<i64>>,
    /// For which rows there are.
    rows: Option<i64>,
}

impl Reach {
    fn of(&self, columns: impl IntoIterator<Item = usize>) -> Option<i64> {
        columns.into_iter().filter_map(|c| self.columns[c]).max()
    }
    fn read_by(&self, e: &Expr) -> Option<i64> {
        let mut most = None;
        e.visit(&mut |e| {
            if let Expr::Column(i) = e {
                most = most.max(self.columns[*i]);
            }
        });
        most
    }
    /// Of rows that are chosen by these keys.
    fn by(&self, keys: &[usize]) -> Option<i64> {
        self.of(keys.iter().copied()).max(self.rows)
    }
    /// The same columns, and further ones that are as old as their rows.
    fn widened(&self, width: usize) -> Reach {
        let mut widened = self.clone();
        widened.columns.resize(width, self.rows);
        widened
    }
}

/// `None` stays: what does not depend on a source does not through a frame either.
fn further(reach: Option<i64>, ms: i64) -> Option<i64> {
    reach.map(|reach| reach.saturating_add(ms))
}

impl JobGraph {
    /// How long before a result, in milliseconds, lies the oldest row of this source that it may depend on; `i64::MAX` if
    /// there is no bound. The delay of the watermark is not in it.
    pub fn reach_of(&self, source: NodeId) -> i64 {
        let mut all: Vec<Reach> = Vec::with_capacity(self.nodes.len());
        for (id, node) in self.nodes.iter().enumerate() {
            let at_source = (id == source).then_some(0);
            let width = node.schema.fields().len();
            all.push(match node.inputs.is_empty() {
                true => Reach { columns: vec![at_source; width], rows: at_source },
                false => through(node, &all),
            });
        }
        let sinks = self.nodes.iter().zip(&all).filter(|(n, _)| matches!(n.step, Step::Sink(_)));
        sinks.filter_map(|(_, r)| r.columns.iter().copied().fold(r.rows, Option::max)).max().unwrap_or(0)
    }

    /// The longest reach of a source.
    pub fn reach_ms(&self) -> i64 {
        let sources = (0..self.nodes.len()).filter(|&id| matches!(self.nodes[id].step, Step::Source(_)));
        sources.map(|id| self.reach_of(id)).max().unwrap_or(0)
    }
}

fn through(node: &Node, all: &[Reach]) -> Reach {
    let input = &all[node.inputs[0]];
    let width = node.schema.fields().len();
    let reads = |a: &Aggregate| input.of(a.columns());
    match &node.step {
        Step::Map(m) => Reach {
            columns: m.columns.iter().map(|e| input.read_by(e).max(input.rows)).collect(),
            rows: m.filter.as_ref().and_then(|f| input.read_by(f)).max(input.rows),
        },
        Step::Over(o) => over(o, input, width),
        Step::TopN(t) => {
            let rows = input.by(&t.keys).max(input.of(t.order.iter().map(|o| o.column)));
            let mut reach = Reach { columns: input.columns.clone(), rows }.widened(width);
            reach.columns.iter_mut().for_each(|c| *c = (*c).max(rows));
            reach
        }
        Step::Window(w) => {
            let values = w.aggregates.iter().filter_map(reads).max();
            let rows = further(input.by(&w.keys).max(values), w.window.size_ms());
            Reach { columns: vec![rows; width], rows }
        }
        Step::AssignWindow(window) => {
            // Its rows are those of a window: what comes behind takes them together.
            let at = |reach| further(reach, window.size_ms());
            let mut reach = input.widened(width);
            reach.columns.iter_mut().for_each(|c| *c = at(*c));
            Reach { rows: at(reach.rows), ..reach }
        }
        Step::Union | Step::Sink(_) => {
            let inputs = || node.inputs.iter().map(|i| &all[*i]);
            let column = |c: usize| inputs().filter_map(|r| r.columns[c]).max();
            Reach { columns: (0..width).map(column).collect(), rows: inputs().filter_map(|r| r.rows).max() }
        }
        Step::Source(_) | Step::Late | Step::Errors | Step::TimeRange(_) => input.widened(width),
    }
}

fn over(o: &OverSpec, input: &Reach, width: usize) -> Reach {
    let rows = input.by(&o.keys);
    let call = |c: &OverCall| further(rows.max(input.of(c.aggregate.columns())), o.frames[c.frame].start_ms);
    let mut reach = input.clone();
    reach.columns.extend(o.calls.iter().map(call));
    reach.widened(width)
}
