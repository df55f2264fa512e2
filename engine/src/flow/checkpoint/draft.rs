//! A manifest from the one before and what the workers handed over: decisions without effects.

use super::coordinator::Collected;
use super::way::Replaced;
use crate::checkpoint::{
    FileRef, Manifest, OperatorState, OutboxRef, PartRef, PartitionState, Remade, SinkState, SourceState,
};
use crate::digest::DigestBuilder;
use crate::flow::build::Plan;
use crate::flow::intake::PartitionCut;
use crate::graph::{JobGraph, Node, NodeId, Step};
use crate::hash::KeyGroup;
use crate::sink::{Publication, Roll};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering::Relaxed;

/// What was written for a checkpoint.
#[derive(Default)]
pub(super) struct Written {
    pub(super) segments: Vec<FileRef>,
    /// By the stable name of the step.
    pub(super) parts: BTreeMap<String, Vec<PartRef>>,
    /// By the stable name of the step: key groups that go on from the checkpoint before.
    pub(super) going_on: BTreeMap<String, BTreeSet<KeyGroup>>,
    /// By sink.
    pub(super) outboxes: BTreeMap<usize, Vec<OutboxRef>>,
}

/// Everything that decides what a manifest says.
pub(super) struct Draft<'a> {
    pub(super) plan: &'a Plan,
    pub(super) incarnation: &'a str,
    pub(super) checkpoint: u64,
    pub(super) now_ms: i64,
    pub(super) finished: bool,
    pub(super) collected: &'a Collected,
    /// By table.
    pub(super) cuts: Vec<Vec<PartitionCut>>,
    pub(super) fingerprints: &'a [Vec<String>],
    /// Steps with state, and what must be the same for their state to be their own.
    pub(super) schemas: &'a [(NodeId, String)],
    pub(super) written: Written,
    /// By sink: when its rows are shown.
    pub(super) rolls: &'a [Roll],
    /// By sink: the last checkpoint that is shown.
    pub(super) published: &'a [u64],
    /// By sink: what this one holds of older ones, because their outboxes are lost.
    pub(super) replaced: &'a BTreeMap<usize, Replaced>,
}

/// The version of the state of steps that is written, and the only one that is read.
pub(super) const OPERATOR_STATE_VERSION: u32 = 1;

impl Draft<'_> {
    /// The manifest that follows `last`; the ledger fills in what only the chain knows.
    pub(super) fn manifest(mut self, last: Option<&Manifest>) -> Manifest {
        let plan = self.plan;
        let mut operator = |node: String, schema: &String| {
            let going_on = self.written.going_on.remove(&node).unwrap_or_default();
            let before = last.and_then(|m| m.operators.iter().find(|o| o.node == node && o.schema == *schema));
            let older = before.iter().flat_map(|o| &o.parts).filter(|p| going_on.contains(&p.group)).cloned();
            let mut parts: Vec<PartRef> = older.collect();
            parts.extend(self.written.parts.remove(&node).unwrap_or_default());
            OperatorState { node, version: OPERATOR_STATE_VERSION, schema: schema.clone(), parts }
        };
        let mut operators = Vec::new();
        for (id, schema) in self.schemas {
            let step = &plan.graph.nodes[*id].name;
            operators.push(operator(step.clone(), schema));
            let of_combiners = operator(combined(step), schema);
            operators.extend(Some(of_combiners).filter(|o| !o.parts.is_empty()));
        }
        Manifest {
            format: 0,
            job: plan.graph.name.clone(),
            checkpoint: self.checkpoint,
            // Nothing is read behind the end: its epoch is never gone on from.
            epoch: if self.finished { plan.tally.epoch.load(Relaxed) } else { self.collected.epoch },
            previous: None,
            ancestors: Vec::new(),
            folded: None,
            incarnation: self.incarnation.to_owned(),
            created_ms: self.now_ms,
            finished: self.finished,
            graph: plan.graph.clone(),
            arrival_quantum_ms: Some(plan.options.arrival_quantum_ms),
            sources: (0..plan.intakes.len()).map(|i| self.source(i)).collect(),
            operators,
            sinks: (0..plan.sinks.len()).map(|i| self.sink(i, last)).collect(),
            segments: std::mem::take(&mut self.written.segments),
        }
    }

    fn source(&self, i: usize) -> SourceState {
        let (intake, base) = (&self.plan.intakes[i], &self.plan.base.tables[i]);
        let (read, progress) = (self.collected.read[i], self.collected.progress[i]);
        // The last pieces carry no errors: what was counted of a job that has ended is all there is.
        let errors = if self.finished { self.plan.tally.table(i).1 } else { base.1 + self.collected.errors[i] };
        let partition = |(p, cut): (usize, &PartitionCut)| PartitionState {
            name: intake.source.partitions()[p].name.clone(),
            fingerprint: self.fingerprints[i][p].clone(),
            position: cut.position.clone(),
            max_ms: cut.max_ms,
            bad_ago: cut.bad_ago.clone(),
            done: cut.done,
            idle: cut.idle,
            activations: cut.activations.clone(),
        };
        SourceState {
            table: intake.spec.table.clone(),
            rows: base.0.rows + read.rows,
            bytes: base.0.bytes + read.bytes,
            late: base.0.late + read.late,
            errors,
            watermark_ms: progress[0].watermark.ms(),
            errors_watermark_ms: Some(progress[1].watermark.ms()),
            cut: progress[0].cut,
            partitions: self.cuts[i].iter().enumerate().map(partition).collect(),
        }
    }

    fn sink(&mut self, i: usize, last: Option<&Manifest>) -> SinkState {
        let table = self.plan.sink_table(i);
        let mut digest = self.plan.base.digests[i].clone();
        digest.merge(self.collected.digests.get(&i).unwrap_or(&DigestBuilder::new()));
        let outboxes = self.written.outboxes.remove(&i).unwrap_or_default();
        let before = last.and_then(|m| m.sinks.iter().find(|s| s.table == table));
        let mut before = match before {
            // Whatever the table was before: there is nothing to be shown, from the beginning on.
            _ if self.rolls[i] == Roll::Never => Unrolled::none(1, self.now_ms),
            Some(sink) => Unrolled::behind(sink, self.now_ms),
            None => Unrolled::none(self.checkpoint, self.now_ms),
        };
        if let Some(replaced) = self.replaced.get(&i) {
            let lost = |checkpoint: u64| replaced.checkpoints.contains(&checkpoint);
            before.checkpoints.retain(|checkpoint| !lost(*checkpoint));
            before.remade.retain(|r| !lost(r.by));
            before.remade.extend(replaced.spans.iter().map(|&(after, last)| Remade {
                by: self.checkpoint,
                after,
                last,
            }));
        }
        if !outboxes.is_empty() {
            before.checkpoints.push(self.checkpoint);
        }
        let bytes: u64 = outboxes.iter().map(|o| o.file.bytes).sum();
        let unrolled = Unrolled {
            bytes: before.bytes + bytes,
            since_ms: if before.bytes == 0 { self.now_ms } else { before.since_ms },
            ..before
        };
        let due = match self.rolls[i] {
            Roll::EachCheckpoint => unrolled.bytes > 0,
            Roll::AtEnd | Roll::Never => false,
            Roll::Files { bytes_min, interval_ms } => {
                let old =
                    self.now_ms.saturating_sub(unrolled.since_ms) >= i64::try_from(interval_ms).unwrap_or(i64::MAX);
                unrolled.bytes >= bytes_min.max(1) || (old && unrolled.bytes > 0)
            }
        };
        let due = due || self.finished && self.rolls[i] != Roll::Never;
        let publish = due.then_some(Publication { first: unrolled.from, last: self.checkpoint });
        SinkState {
            table: table.to_owned(),
            rows: u64::try_from(digest.rows()).unwrap_or(0),
            digest: digest.buckets(),
            outboxes,
            publish,
            unrolled_from: unrolled.from,
            unrolled: unrolled.checkpoints,
            folded_from: None,
            remade: unrolled.remade,
            unrolled_bytes: unrolled.bytes,
            unrolled_since_ms: unrolled.since_ms,
            published: self.published[i],
        }
    }
}

/// Outboxes that no publication has taken over.
struct Unrolled {
    from: u64,
    /// Those that have rows.
    checkpoints: Vec<u64>,
    remade: Vec<Remade>,
    bytes: u64,
    since_ms: i64,
}

impl Unrolled {
    /// None of the checkpoints from `from` on.
    fn none(from: u64, now_ms: i64) -> Self {
        Self { from, checkpoints: Vec::new(), remade: Vec::new(), bytes: 0, since_ms: now_ms }
    }
    /// What is left behind a manifest's decision.
    fn behind(sink: &SinkState, now_ms: i64) -> Self {
        match &sink.publish {
            Some(p) => Self::none(p.last + 1, now_ms),
            None => Self {
                from: sink.unrolled_from,
                checkpoints: sink.unrolled.clone(),
                remade: sink.remade.clone(),
                bytes: sink.unrolled_bytes,
                since_ms: sink.unrolled_since_ms,
            },
        }
    }
}

/// Processing time from which on another checkpoint is owed behind this one though nothing happens: at once if it shows
/// rows, so that the next one says that they are shown and lets their outboxes go; else when rows are to become a file.
pub(super) fn owed_ms(manifest: &Manifest, rolls: &[Roll]) -> i64 {
    let owed = |(sink, roll): (&SinkState, &Roll)| match roll {
        _ if sink.publish.is_some() => i64::MIN,
        Roll::Files { interval_ms, .. } if sink.unrolled_bytes > 0 => {
            sink.unrolled_since_ms.saturating_add_unsigned(*interval_ms)
        }
        _ => i64::MAX,
    };
    manifest.sinks.iter().zip(rolls).map(owed).min().unwrap_or(i64::MAX)
}

/// The steps with state, each with its [`fingerprint`].
pub(super) fn schemas(graph: &JobGraph) -> Vec<(NodeId, String)> {
    let stateful = (0..graph.nodes.len()).filter(|id| stateful(&graph.nodes[*id]));
    stateful.map(|id| (id, fingerprint(graph, id))).collect()
}

/// The name under which a step's combiners keep their state. It stands alone in each checkpoint, and is added to that of the
/// step when it is restored.
pub(in crate::flow) fn combined(step: &str) -> String {
    format!("{step}{COMBINED}")
}
const COMBINED: &str = " (combine)";

/// The step whose state stands under a name.
pub(super) fn step_of(name: &str) -> &str {
    name.strip_suffix(COMBINED).unwrap_or(name)
}

/// Whether a step keeps state.
pub(super) fn stateful(node: &Node) -> bool {
    matches!(node.step, Step::Window(_) | Step::Over(_) | Step::TopN(_))
}

/// What must be the same for a step's state to be its own: what it does, the columns it takes and those it emits.
pub(super) fn fingerprint(graph: &JobGraph, id: NodeId) -> String {
    let node = &graph.nodes[id];
    let inputs: Vec<_> = node.inputs.iter().map(|i| &graph.nodes[*i].schema).collect();
    let text = serde_json::to_string(&(&node.step, &node.schema, inputs)).unwrap_or_default();
    format!("{:032x}", xxhash_rust::xxh3::xxh3_128(text.as_bytes()))
}
