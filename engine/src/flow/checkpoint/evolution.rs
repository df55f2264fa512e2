//! What becomes of a checkpoint when the job's text has changed: a pure comparison of two graphs.
//!
//! | what | the same | new | gone or changed |
//! |---|---|---|---|
//! | step with state | its state is kept | starts empty: needs [`Allow::new_state`] | its state is lost: needs [`Allow::non_restored_state`] |
//! | output | goes on | shows rows from here on: needs [`Allow::new_state`] | what it has not shown is lost, or it goes on elsewhere: needs [`Allow::non_restored_state`] |
//! | input | goes on where it was | impossible: its past is behind the watermark already | gone: needs [`Allow::non_restored_state`]; another meaning of its event times: impossible |
//!
//! Steps are found by their stable names. Steps without state may change freely: rows from here on are computed by the new
//! text. A step that keeps its state but whose rows come out of changed steps is kept and says so.

use super::draft::{fingerprint, stateful, step_of};
use crate::checkpoint::{Manifest, OperatorState, SinkState};
use crate::error::BuildError;
use crate::graph::{Emission, JobGraph, Node, RunOptions, SinkSpec, SourceSpec, Step};
use std::fmt;

/// What a change needs before the job may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Nothing is lost.
    Kept,
    /// It was not there: it starts with nothing of what was read before.
    New,
    /// It was there and is not any more: what belongs to it is lost.
    Gone,
    /// It is there under its name and is another: what belonged to it is lost.
    Changed,
    /// The job can't go on with this.
    Impossible,
}

/// What becomes of one input, step or output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// `input`, `step` or `output`.
    pub kind: &'static str,
    /// Its stable name.
    pub name: String,
    /// What becomes of it.
    pub fate: Fate,
    /// Why, and what it means; empty if there is nothing to say.
    pub why: String,
}

/// What the user has said to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allow {
    /// `--allow-new-state`.
    pub new_state: bool,
    /// `--allow-non-restored-state`.
    pub non_restored_state: bool,
}

impl Change {
    /// The word that lets it through; `None` if it needs none or none helps.
    fn needs(&self, allow: Allow) -> Option<&'static str> {
        match self.fate {
            Fate::New if !allow.new_state => Some("--allow-new-state"),
            Fate::Gone | Fate::Changed if !allow.non_restored_state => Some("--allow-non-restored-state"),
            _ => None,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fate = match self.fate {
            Fate::Kept => "kept",
            Fate::New => "new",
            Fate::Gone => "gone",
            Fate::Changed => "changed",
            Fate::Impossible => "impossible",
        };
        let colon = if self.why.is_empty() { "" } else { ": " };
        write!(f, "{fate:10} {} {}{colon}{}", self.kind, self.name, self.why)
    }
}

/// What becomes of everything that the checkpoint knows and everything that the job has.
pub fn compare(manifest: &Manifest, graph: &JobGraph) -> Vec<Change> {
    let mut changes = Vec::new();
    inputs(manifest, graph, &mut changes);
    steps(manifest, graph, &mut changes);
    outputs(manifest, graph, &mut changes);
    if manifest.finished {
        for change in changes.iter_mut().filter(|c| c.fate != Fate::Kept) {
            change.fate = Fate::Impossible;
            change.why = "the job has read all its input; a changed job starts anew with --fresh".into();
        }
    }
    changes
}

/// Whether the job is run with the settings that its answers so far depend on.
///
/// # Errors
/// Which one differs, and the ways out.
pub fn settings(manifest: &Manifest, graph: &JobGraph, options: &RunOptions) -> Result<(), BuildError> {
    let arrival = |n: &Node| matches!(&n.step, Step::Over(o) if matches!(o.emission, Emission::Arrival { .. }));
    let (then, now) = (manifest.arrival_quantum_ms, options.arrival_quantum_ms);
    match then {
        Some(then) if then != now && graph.nodes.iter().any(arrival) => Err(BuildError::new(format!(
            "arrival.quantum was {then} ms up to checkpoint {} and is {now} ms now: it decides in which order rows arrive, so \
             rows would be answered by two rules; set it back, or start anew with --fresh and empty outputs",
            manifest.checkpoint
        ))),
        _ => Ok(()),
    }
}

/// Whether the job may go on.
///
/// # Errors
/// What would be lost or can't be, and the words that let it through.
pub fn decide(changes: &[Change], checkpoint: u64, allow: Allow) -> Result<(), BuildError> {
    let stops: Vec<&Change> =
        changes.iter().filter(|c| c.fate == Fate::Impossible || c.needs(allow).is_some()).collect();
    if stops.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = stops.iter().map(|c| format!("  {c}")).collect();
    let mut words: Vec<&str> = stops.iter().filter_map(|c| c.needs(allow)).collect();
    words.sort_unstable();
    words.dedup();
    let cure = match stops.iter().any(|c| c.fate == Fate::Impossible) {
        true => "put the job back as it was, or start anew with --fresh".to_owned(),
        false => format!("if that is meant add {}; else put the job back as it was", words.join(" and ")),
    };
    Err(BuildError::new(format!(
        "the job is not the one of checkpoint {checkpoint}; nothing was started:\n{}\n{cure}",
        lines.join("\n")
    )))
}

fn change(kind: &'static str, name: &str, fate: Fate, why: impl Into<String>) -> Change {
    Change { kind, name: name.to_owned(), fate, why: why.into() }
}

fn source<'a>(graph: &'a JobGraph, table: &str) -> Option<(&'a Node, &'a SourceSpec)> {
    graph.nodes.iter().find_map(|node| match &node.step {
        Step::Source(spec) if spec.table == table => Some((node, spec)),
        _ => None,
    })
}

fn sink<'a>(graph: &'a JobGraph, table: &str) -> Option<(&'a Node, &'a SinkSpec)> {
    graph.nodes.iter().find_map(|node| match &node.step {
        Step::Sink(spec) if spec.table == table => Some((node, spec)),
        _ => None,
    })
}

fn inputs(manifest: &Manifest, graph: &JobGraph, changes: &mut Vec<Change>) {
    for node in &graph.nodes {
        let Step::Source(now) = &node.step else { continue };
        let known = manifest.sources.iter().any(|s| s.table == now.table);
        let before = source(&manifest.graph, &now.table).filter(|_| known);
        let Some((node_before, before)) = before else {
            let why = "its rows before the checkpoint's watermark would come too late";
            changes.push(change("input", &now.table, Fate::Impossible, why));
            continue;
        };
        changes.push(match other_meaning(node_before, before, node, now) {
            Some(what) => change("input", &now.table, Fate::Impossible, format!("{what} has changed")),
            None => change("input", &now.table, Fate::Kept, ""),
        });
    }
    for gone in manifest.sources.iter().filter(|s| source(graph, &s.table).is_none()) {
        let why = format!("the {} rows read of it are forgotten; it can't come back", gone.rows);
        changes.push(change("input", &gone.table, Fate::Gone, why));
    }
}

/// What of an input decides which rows it has and when they are late. Its options are the connector's business: they are
/// in the fingerprints of the partitions.
fn other_meaning(node_a: &Node, a: &SourceSpec, node_b: &Node, b: &SourceSpec) -> Option<&'static str> {
    let time = |node: &Node, spec: &SourceSpec| node.schema.fields().get(spec.time).cloned();
    let expression = a.read == b.read && a.map.columns.get(a.time) != b.map.columns.get(b.time);
    let facts = [
        (a.connector != b.connector, "its connector"),
        (time(node_a, a) != time(node_b, b) || expression, "its event-time column"),
        (a.watermark_delay_ms != b.watermark_delay_ms, "its watermark"),
        ((a.time_min_ms, a.time_max_ms) != (b.time_min_ms, b.time_max_ms), "its scan.event-time range"),
        (a.reads != b.reads, "the range that is replayed"),
    ];
    facts.into_iter().find(|(differs, _)| *differs).map(|(_, what)| what)
}

fn steps(manifest: &Manifest, graph: &JobGraph, changes: &mut Vec<Change>) {
    for (id, node) in graph.nodes.iter().enumerate().filter(|(_, n)| stateful(n)) {
        let name = node.name.as_str();
        let Some(state) = manifest.operators.iter().find(|o| o.node == name) else {
            let why = "it starts empty: its results lack the rows read before";
            changes.push(change("step", name, Fate::New, why));
            continue;
        };
        let then = manifest.graph.nodes.iter().position(|n| n.name == name);
        let fed = then.is_some_and(|then| same_before(&manifest.graph, then, graph, id));
        changes.push(match (state.schema == fingerprint(graph, id), fed) {
            (true, true) => change("step", name, Fate::Kept, ""),
            (true, false) => {
                change("step", name, Fate::Kept, "steps before it have changed: it keeps what the old ones gave it")
            }
            (false, _) => {
                let why = "its columns, keys or functions are others: its state is lost, it starts empty";
                changes.push(change("step", name, Fate::Changed, why));
                continue;
            }
        });
    }
    let there = |name: &str| graph.nodes.iter().any(|n| stateful(n) && n.name == name);
    let own = |o: &&OperatorState| step_of(&o.node) == o.node;
    for gone in manifest.operators.iter().filter(own).filter(|o| !there(&o.node)) {
        changes.push(change("step", &gone.node, Fate::Gone, "its state is lost"));
    }
}

/// Whether everything above two nodes is the same, inputs included but for their options.
fn same_before(a: &JobGraph, a_id: usize, b: &JobGraph, b_id: usize) -> bool {
    let (inputs_a, inputs_b) = (&a.nodes[a_id].inputs, &b.nodes[b_id].inputs);
    let same = |x: &usize, y: &usize| {
        let step = match (&a.nodes[*x].step, &b.nodes[*y].step) {
            (Step::Source(s), Step::Source(t)) => (&s.table, &s.read, &s.map) == (&t.table, &t.read, &t.map),
            (s, t) => s == t,
        };
        step && same_before(a, *x, b, *y)
    };
    inputs_a.len() == inputs_b.len() && inputs_a.iter().zip(inputs_b).all(|(x, y)| same(x, y))
}

fn outputs(manifest: &Manifest, graph: &JobGraph, changes: &mut Vec<Change>) {
    for node in &graph.nodes {
        let Step::Sink(now) = &node.step else { continue };
        let known = manifest.sinks.iter().any(|s| s.table == now.table);
        let before = sink(&manifest.graph, &now.table).filter(|_| known);
        changes.push(match before {
            None => change("output", &now.table, Fate::New, "it gets rows from here on"),
            Some((then, _)) if then.schema != node.schema => {
                let why = "its columns are others than those of the rows it holds; give it another name";
                change("output", &now.table, Fate::Impossible, why)
            }
            Some((_, then)) if elsewhere(then, now) => {
                let why = "it writes elsewhere: what was shown until now is not there";
                change("output", &now.table, Fate::Changed, why)
            }
            Some(_) => change("output", &now.table, Fate::Kept, ""),
        });
    }
    for gone in manifest.sinks.iter().filter(|s| sink(graph, &s.table).is_none()) {
        let why = match owes(gone) {
            true => "rows that it has not shown yet are lost",
            false => "it gets no more rows",
        };
        changes.push(change("output", &gone.table, Fate::Gone, why));
    }
}

fn elsewhere(a: &SinkSpec, b: &SinkSpec) -> bool {
    let place = ["path", "topic", "properties.bootstrap.servers", "url"];
    a.connector != b.connector || place.iter().any(|o| a.options.get(*o) != b.options.get(*o))
}

/// Whether rows are left that the manifest does not know to be visible.
fn owes(sink: &SinkState) -> bool {
    sink.unrolled_bytes > 0 || sink.publish.as_ref().is_some_and(|p| p.last > sink.published)
}

#[cfg(test)]
mod tests;
