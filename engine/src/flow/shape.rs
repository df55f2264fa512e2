//! What the graph implies for each of its nodes.

use crate::graph::{Emission, JobGraph, Node, Step, WindowKind};

/// For each node, in the graph's order.
pub(super) struct Shape {
    /// Position of a source node in the list of sources.
    pub(super) source: Vec<Option<usize>>,
    /// The promises a node's rows depend on: [`promises_of`] each source.
    pub(super) promises: Vec<Vec<usize>>,
    /// Whether the rows it emits need their arrival order.
    pub(super) arrival: Vec<bool>,
    /// Whether a keyed step keeps the identity of its rows: it needs their order, or a step behind it does.
    pub(super) identity: Vec<bool>,
    /// Whether its rows were held for their cut by an `arrival` step before it.
    pub(super) behind_arrival: Vec<bool>,
    /// Session windows before it on one path: the rows of each may lie 1 ms below the watermark that it was told.
    pub(super) sessions: Vec<i64>,
    /// Whether it reads `t$errors`, at any distance.
    pub(super) behind_errors: Vec<bool>,
}

impl Shape {
    pub(super) fn of(graph: &JobGraph) -> Self {
        let n = graph.nodes.len();
        let mut s = Self {
            source: vec![None; n],
            promises: vec![Vec::new(); n],
            arrival: vec![false; n],
            identity: identities(graph),
            behind_arrival: vec![false; n],
            sessions: vec![0; n],
            behind_errors: vec![false; n],
        };
        let mut count = 0;
        for (i, node) in graph.nodes.iter().enumerate() {
            if matches!(node.step, Step::Source(_)) {
                s.source[i] = Some(count);
                s.promises[i].push(promises_of(count).0);
                count += 1;
            }
            for &input in &node.inputs {
                let inherited = match (&node.step, s.source[input]) {
                    (Step::Errors, Some(source)) => vec![promises_of(source).1],
                    _ => s.promises[input].clone(),
                };
                s.promises[i].extend(inherited);
                s.behind_errors[i] |= s.behind_errors[input];
                s.behind_arrival[i] |= s.behind_arrival[input] || is_arrival(&graph.nodes[input]);
                s.sessions[i] = s.sessions[i].max(s.sessions[input] + i64::from(is_session(&graph.nodes[input])));
            }
            s.promises[i].sort_unstable();
            s.promises[i].dedup();
            s.behind_errors[i] |= matches!(node.step, Step::Errors);
        }
        for (i, node) in graph.nodes.iter().enumerate().rev() {
            if is_arrival(node) || s.arrival[i] {
                node.inputs.iter().for_each(|&input| s.arrival[input] = true);
            }
        }
        s
    }
}

/// [`Shape::identity`]. Only rows that come from a source on every path have an identity; windows make new rows.
fn identities(graph: &JobGraph) -> Vec<bool> {
    let mut has: Vec<bool> = Vec::new();
    for node in &graph.nodes {
        has.push(match &node.step {
            Step::Source(_) => true,
            Step::Window(_) | Step::TopN(_) | Step::Errors | Step::Sink(_) => false,
            _ => node.inputs.iter().all(|i| has[*i]),
        });
    }
    let (mut wanted, mut kept) = (vec![false; graph.nodes.len()], vec![false; graph.nodes.len()]);
    for (i, node) in graph.nodes.iter().enumerate().rev() {
        let reads = node.inputs.iter().all(|i| has[*i]);
        let ordered = match &node.step {
            Step::Over(o) => o.is_ordered(),
            Step::Window(w) => w.is_ordered(),
            Step::TopN(_) => true,
            _ => false,
        };
        kept[i] = is_arrival(node) || (reads && ordered) || (has[i] && wanted[i]);
        node.inputs.iter().for_each(|input| wanted[*input] |= kept[i]);
    }
    kept
}

/// Where a mark carries the promises of a source: for its rows, and for its rows in `t$errors`.
const fn promises_of(source: usize) -> (usize, usize) {
    (2 * source, 2 * source + 1)
}

/// The source that a promise of [`promises_of`] is about.
pub(super) const fn source_of(promise: usize) -> usize {
    promise / 2
}

pub(super) fn is_stateless(node: &Node) -> bool {
    matches!(node.step, Step::Map(_) | Step::TimeRange(_) | Step::AssignWindow(_) | Step::Late)
}

fn is_arrival(node: &Node) -> bool {
    matches!(&node.step, Step::Over(o) if matches!(o.emission, Emission::Arrival { .. }))
}

fn is_session(node: &Node) -> bool {
    matches!(&node.step, Step::Window(w) if matches!(w.window, WindowKind::Session { .. }))
}
