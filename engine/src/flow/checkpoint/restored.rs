//! What an attempt goes on from: nothing, or a checkpoint.

use super::coordinator::ReadTally;
use super::draft::{OPERATOR_STATE_VERSION, combined, fingerprint, step_of};
use super::way::{self, Lost, Repeat};
use crate::checkpoint::{
    Ledger, LedgerError, Manifest, OperatorState, PartitionState, RestoredPart, SourceState, StateParts,
};
use crate::digest::DigestBuilder;
use crate::error::BuildError;
use crate::flow::intake::PartitionCut;
use crate::flow::tally::Base;
use crate::graph::{JobGraph, Step};
use crate::source::Source;
use crate::state::Snapshot;
use crate::time::Watermark;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;
use std::panic::resume_unwind;
use std::sync::{Mutex, PoisonError};

/// Bytes of state that are worth a thread, and the most threads that read it: a disk, or a bucket, is one.
const READER_BYTES_MIN: u64 = 16 << 20;
const READERS_MAX: usize = 8;

/// State by the stable name of the step.
pub(super) type States = BTreeMap<String, Snapshot>;

/// The checkpoint an attempt goes on from, if there is one.
#[derive(Default)]
pub(in crate::flow) struct Restored {
    newest: Option<Manifest>,
    /// Whose state it is: the newest's, unless that is damaged.
    base: Option<Manifest>,
    /// What no worker has taken yet.
    states: Mutex<States>,
    /// From the base to the newest.
    repeats: Mutex<Vec<Repeat>>,
    repeating: bool,
}

impl Restored {
    /// Goes on from the ledger's newest checkpoint, or from nothing. State of steps that the job does not have, or has as
    /// others, is left behind. If a file that is needed is damaged, it goes on from an older checkpoint, with those that
    /// are to be repeated; rows that sinks owe are looked at only if `thorough`.
    ///
    /// # Errors
    /// If state can't be read and can't be made again.
    pub(in crate::flow) fn find(ledger: &Ledger, graph: &JobGraph, thorough: bool) -> Result<Self, BuildError> {
        let Some(newest) = ledger.newest() else { return Ok(Self::default()) };
        same_version(newest, graph)?;
        let lost = if thorough { Lost::find(ledger, newest)? } else { Lost::default() };
        // An ended job has no use for its state.
        let states = if newest.finished { Ok(States::new()) } else { states(ledger, newest, graph) };
        let damage = match (states, lost.damage()) {
            (Ok(states), None) => return Ok(Self::whole(newest.clone(), states)),
            (Ok(_), Some(damage)) => damage.clone(),
            (Err(damage @ LedgerError::Damaged { .. }), _) => damage,
            (Err(error), _) => return Err(error.into()),
        };
        way::around(ledger, graph, newest, &lost, &damage)
    }
    fn whole(newest: Manifest, states: States) -> Self {
        Self { base: Some(newest.clone()), newest: Some(newest), states: Mutex::new(states), ..Self::default() }
    }
    /// Goes on from `base`, or the beginning, and repeats checkpoints up to the newest.
    pub(super) fn repeating(newest: Manifest, base: Option<(Manifest, States)>, repeats: Vec<Repeat>) -> Self {
        let (base, states) = base.map_or_else(Default::default, |(base, states)| (Some(base), states));
        let (states, repeats) = (Mutex::new(states), Mutex::new(repeats));
        Self { newest: Some(newest), base, states, repeats, repeating: true }
    }

    /// The newest checkpoint: what the next one follows.
    pub(in crate::flow) fn newest(&self) -> Option<&Manifest> {
        self.newest.as_ref()
    }
    /// The checkpoint whose state it goes on with.
    pub(in crate::flow) fn base(&self) -> Option<&Manifest> {
        self.base.as_ref()
    }
    /// Whether checkpoints behind that are to be repeated.
    pub(in crate::flow) fn repeats(&self) -> bool {
        self.repeating
    }
    /// Hands over the checkpoints that are to be repeated.
    pub(super) fn take_repeats(&self) -> Vec<Repeat> {
        std::mem::take(&mut *self.repeats.lock().unwrap_or_else(PoisonError::into_inner))
    }
    /// The last epoch of the newest checkpoint; 0 if the job begins.
    pub(in crate::flow) fn epoch(&self) -> u64 {
        self.newest.as_ref().map_or(0, |m| m.epoch)
    }
    /// Takes out the state of a step for the keys of one worker, that of its combiners behind its own.
    pub(in crate::flow) fn take_state(&self, step: &str, worker: usize, peers: usize) -> Option<Snapshot> {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = None;
        for name in [step, &combined(step)] {
            let Some(state) = states.get_mut(name) else { continue };
            taken.get_or_insert_with(Snapshot::default).merge(state.take_for_worker(worker, peers));
        }
        taken
    }

    /// Where the partitions of a table go on.
    ///
    /// # Errors
    /// If the table's partitions are not those the checkpoint has read.
    pub(in crate::flow) fn cuts(
        &self,
        table: &str,
        source: &dyn Source,
    ) -> Result<Option<Vec<PartitionCut>>, BuildError> {
        let Some(newest) = &self.newest else { return Ok(None) };
        let unknown = |manifest: &Manifest| {
            BuildError::new(format!(
                "table {table}: checkpoint {} does not know it; start anew with --fresh",
                manifest.checkpoint
            ))
        };
        let of = |manifest| source_of(manifest, table).ok_or_else(|| unknown(manifest));
        same_partitions(table, of(newest)?, source)?;
        self.base.as_ref().map(|base| Ok(cuts(of(base)?))).transpose()
    }

    /// What was promised of a table's rows and of its bad rows.
    pub(in crate::flow) fn promised(&self, table: &str) -> [Watermark; 2] {
        let source = self.base.as_ref().and_then(|base| source_of(base, table));
        source.map_or([Watermark::START; 2], |s| {
            [s.watermark_ms, s.errors_watermark_ms.unwrap_or(s.watermark_ms)].map(Watermark::new)
        })
    }

    /// What had been counted at the checkpoint.
    pub(in crate::flow) fn counted(&self, graph: &JobGraph) -> Base {
        let source = |table: &str| source_of(self.base.as_ref()?, table);
        let sink = |table: &str| self.base.as_ref()?.sinks.iter().find(|s| s.table == table);
        let counted = |table| {
            source(table)
                .map_or_else(Default::default, |s| (ReadTally { rows: s.rows, bytes: s.bytes, late: s.late }, s.errors))
        };
        let digest = |table| sink(table).map_or_else(DigestBuilder::new, |s| DigestBuilder::of(&s.digest));
        let steps = || graph.nodes.iter().map(|n| &n.step);
        Base {
            tables: steps()
                .filter_map(|s| if let Step::Source(s) = s { Some(counted(&s.table)) } else { None })
                .collect(),
            digests: steps()
                .filter_map(|s| if let Step::Sink(s) = s { Some(digest(&s.table)) } else { None })
                .collect(),
            epoch: self.epoch(),
        }
    }
}

fn same_version(manifest: &Manifest, graph: &JobGraph) -> Result<(), BuildError> {
    let other = |o: &&OperatorState| o.version != OPERATOR_STATE_VERSION;
    let ours = |o: &&OperatorState| graph.nodes.iter().any(|n| n.name == step_of(&o.node));
    match manifest.operators.iter().filter(other).find(ours) {
        Some(OperatorState { node, version, .. }) => Err(BuildError::new(format!(
            "the state of step {node} in checkpoint {} has version {version}, and this program reads version \
             {OPERATOR_STATE_VERSION}: use the version of highwater that wrote it, or start anew with --fresh and empty outputs",
            manifest.checkpoint
        ))),
        None => Ok(()),
    }
}

/// The state of a checkpoint, for the steps that have it still.
pub(super) fn states(ledger: &Ledger, manifest: &Manifest, graph: &JobGraph) -> Result<States, LedgerError> {
    let steps = graph.nodes.iter().enumerate();
    let own: BTreeMap<&str, String> = steps.map(|(id, n)| (n.name.as_str(), fingerprint(graph, id))).collect();
    let kept = |o: &&OperatorState| own.get(step_of(&o.node)).is_some_and(|f| *f == o.schema);
    let kept: BTreeSet<&str> = manifest.operators.iter().filter(kept).map(|o| o.node.as_str()).collect();
    let read = |parts: StateParts<'_>| -> Result<Vec<_>, LedgerError> {
        let kept = |part: &Result<RestoredPart<'_>, LedgerError>| part.as_ref().map_or(true, |p| kept.contains(p.node));
        parts.filter(kept).map(|part| part.map(|p| (p.node.to_owned(), p.part.group, p.bytes))).collect()
    };
    let mut states = States::new();
    for parts in side_by_side(ledger.state(manifest)?.split(readers(manifest)), read) {
        for (node, group, bytes) in parts? {
            states.entry(node).or_default().put(group, bytes);
        }
    }
    Ok(states)
}

/// How many threads read the state of a checkpoint: more than one only if each has enough to do.
fn readers(manifest: &Manifest) -> usize {
    let bytes = manifest.segments.iter().map(|file| file.bytes).sum::<u64>();
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    usize::try_from(bytes / READER_BYTES_MIN).unwrap_or(usize::MAX).clamp(1, cores.min(READERS_MAX))
}

/// Works on each piece on a thread of its own, on the last one here; the results are in the order of the pieces.
fn side_by_side<P: Send, R: Send>(mut pieces: Vec<P>, work: impl Fn(P) -> R + Sync) -> Vec<R> {
    let last = pieces.pop();
    std::thread::scope(|scope| {
        let others: Vec<_> = pieces.into_iter().map(|piece| scope.spawn(|| work(piece))).collect();
        let last = last.map(&work);
        let others = others.into_iter().map(|other| other.join().unwrap_or_else(|panic| resume_unwind(panic)));
        others.chain(last).collect()
    })
}

/// What a manifest says of a table.
pub(super) fn source_of<'m>(manifest: &'m Manifest, table: &str) -> Option<&'m SourceState> {
    manifest.sources.iter().find(|s| s.table == table)
}

/// Where the partitions of a table were cut.
pub(super) fn cuts(state: &SourceState) -> Vec<PartitionCut> {
    let cut = |p: &PartitionState| PartitionCut {
        position: p.position.clone(),
        max_ms: p.max_ms,
        bad_ago: p.bad_ago.clone(),
        done: p.done,
        idle: p.idle,
        activations: p.activations.clone(),
    };
    state.partitions.iter().map(cut).collect()
}

fn same_partitions(table: &str, state: &SourceState, source: &dyn Source) -> Result<(), BuildError> {
    let now = source.partitions();
    let differ = |what: String| {
        Err(BuildError::new(format!(
            "table {table}: {what}, so the job can't go on where it was; put the input back as it was, or start anew \
             with --fresh"
        )))
    };
    if let Some(gone) = state.partitions.iter().find(|p| now.iter().all(|n| n.name != p.name)) {
        return differ(format!("partition {} is gone", gone.name));
    }
    if let Some(new) = now.iter().find(|n| state.partitions.iter().all(|p| n.name != p.name)) {
        return differ(format!("partition {} was not there when the job started", new.name));
    }
    for (i, (then, now)) in state.partitions.iter().zip(now).enumerate() {
        if then.name != now.name {
            return differ(format!("partition {} stands where {} stood", now.name, then.name));
        }
        let found = source.fingerprint(i).map_err(|e| BuildError::new(format!("source {table}: {e}")))?;
        if found != then.fingerprint {
            return differ(format!("partition {} has changed ({} then, {found} now)", now.name, then.fingerprint));
        }
    }
    Ok(())
}
