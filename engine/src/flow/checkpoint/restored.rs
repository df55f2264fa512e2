//! What an attempt goes on from: nothing, or a checkpoint.

use super::coordinator::ReadTally;
use super::draft::fingerprint;
use crate::checkpoint::{Ledger, LedgerError, Manifest, OperatorState, SourceState};
use crate::digest::DigestBuilder;
use crate::error::BuildError;
use crate::flow::intake::PartitionCut;
use crate::flow::tally::Base;
use crate::graph::{JobGraph, Step};
use crate::source::Source;
use crate::state::Snapshot;
use std::collections::{BTreeMap, BTreeSet};

/// The checkpoint an attempt goes on from, if there is one.
#[derive(Default)]
pub(in crate::flow) struct Restored {
    manifest: Option<Manifest>,
    /// By the stable name of the step.
    states: BTreeMap<String, Snapshot>,
}

impl Restored {
    /// Goes on from the ledger's newest checkpoint, or from nothing. State of steps that the job does not have, or has as
    /// others, is left behind.
    ///
    /// # Errors
    /// If its state can't be read.
    pub(in crate::flow) fn newest(ledger: &Ledger, graph: &JobGraph) -> Result<Self, LedgerError> {
        let Some(manifest) = ledger.newest() else { return Ok(Self::default()) };
        let mut states: BTreeMap<String, Snapshot> = BTreeMap::new();
        let steps = graph.nodes.iter().enumerate();
        let own: BTreeMap<&str, String> = steps.map(|(id, n)| (n.name.as_str(), fingerprint(graph, id))).collect();
        let kept = |o: &&OperatorState| own.get(o.node.as_str()).is_some_and(|f| *f == o.schema);
        let kept: BTreeSet<&str> = manifest.operators.iter().filter(kept).map(|o| o.node.as_str()).collect();
        for part in ledger.state(manifest)? {
            let part = part?;
            if !kept.contains(part.node) {
                continue;
            }
            states.entry(part.node.to_owned()).or_default().put(part.part.group, part.bytes);
        }
        Ok(Self { manifest: Some(manifest.clone()), states })
    }
    pub(in crate::flow) fn manifest(&self) -> Option<&Manifest> {
        self.manifest.as_ref()
    }
    /// The last epoch of the checkpoint; 0 if the job begins.
    pub(in crate::flow) fn epoch(&self) -> u64 {
        self.manifest.as_ref().map_or(0, |m| m.epoch)
    }
    /// State of a step for the keys of one worker.
    pub(in crate::flow) fn state(&self, node: &str, worker: usize, peers: usize) -> Option<Snapshot> {
        self.states.get(node).map(|state| state.for_worker(worker, peers))
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
        let Some(manifest) = &self.manifest else { return Ok(None) };
        let state = manifest.sources.iter().find(|s| s.table == table).ok_or_else(|| {
            BuildError::new(format!(
                "table {table}: checkpoint {} does not know it; start anew with --fresh",
                manifest.checkpoint
            ))
        })?;
        same_partitions(table, state, source)?;
        let cut = |p: &crate::checkpoint::PartitionState| PartitionCut {
            position: p.position.clone(),
            max_ms: p.max_ms,
            done: p.done,
        };
        Ok(Some(state.partitions.iter().map(cut).collect()))
    }

    /// What had been counted at the checkpoint.
    pub(in crate::flow) fn base(&self, graph: &JobGraph) -> Base {
        let source = |table: &str| self.manifest.as_ref()?.sources.iter().find(|s| s.table == table);
        let sink = |table: &str| self.manifest.as_ref()?.sinks.iter().find(|s| s.table == table);
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
