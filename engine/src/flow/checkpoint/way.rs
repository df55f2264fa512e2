//! Which way leads to the newest checkpoint when files that it needs are damaged: an older one that is whole, and the
//! checkpoints to repeat from there. Nothing is written here.
//!
//! | damaged | what is done |
//! |---|---|
//! | state of the newest checkpoint | the newest older one that is whole (or the beginning) is restored, and all behind it repeated |
//! | rows that a sink owes | the same from before them; they are made again and belong to the next checkpoint |
//! | a manifest between | what it covered is repeated with the checkpoint after it |
//! | both copies of the newest manifest | [`Ledger::open`] refuses: nobody knows what was shown last |
//!
//! Rows that are made again stand for all rows of their sink behind the manifest before. So there must be one between
//! them and what was shown; if it is not kept the rows can't be told apart, and the job does not start.
//!
//! The checkpoint that takes such rows over says so ([`SinkState::remade`]). If its own outboxes are lost, what they held of
//! others is lost with them; and if rows that it holds have to be made again for the sake of others between, its outboxes
//! are given up too, so that no row stands in two. Both is followed until nothing is added.

use super::evolution::{self, Fate};
use super::restored::{Restored, States};
use crate::checkpoint::{Ledger, LedgerError, Manifest, SinkState};
use crate::error::BuildError;
use crate::graph::JobGraph;
use std::collections::{BTreeMap, BTreeSet};

/// A checkpoint to be repeated.
#[derive(Debug)]
pub(super) struct Repeat {
    pub(super) manifest: Manifest,
    /// Tables of sinks whose rows are made again: those behind the checkpoint before.
    pub(super) remakes: BTreeSet<String>,
}

/// By the table of a sink: checkpoints with rows that it has not shown.
pub(super) type Owed = BTreeMap<String, BTreeSet<u64>>;

/// Rows that sinks owe and that can't be read.
#[derive(Debug, Default)]
pub(super) struct Lost {
    owed: Owed,
    first: Option<LedgerError>,
}

impl Lost {
    /// Reads all rows that are owed.
    ///
    /// # Errors
    /// Trouble of the medium.
    pub(super) fn find(ledger: &Ledger, newest: &Manifest) -> Result<Self, LedgerError> {
        let mut lost = Self::default();
        for sink in &newest.sinks {
            for &checkpoint in &sink.unrolled {
                match read(ledger, &sink.table, checkpoint) {
                    Ok(()) => (),
                    Err(LedgerError::Store(error)) => return Err(error.into()),
                    Err(error) => {
                        lost.owed.entry(sink.table.clone()).or_default().insert(checkpoint);
                        lost.first.get_or_insert(error);
                    }
                }
            }
        }
        Ok(lost)
    }
    /// What was found first.
    pub(super) fn damage(&self) -> Option<&LedgerError> {
        self.first.as_ref()
    }
}

/// Reads the rows of a checkpoint for a sink, to see that they are whole.
fn read(ledger: &Ledger, table: &str, checkpoint: u64) -> Result<(), LedgerError> {
    let manifest = ledger.manifest(checkpoint)?;
    let outboxes = manifest.sinks.iter().filter(|s| s.table == table).flat_map(|s| &s.outboxes);
    outboxes.into_iter().try_for_each(|outbox| ledger.outbox(outbox)?.try_for_each(|batch| batch.map(drop)))
}

/// The way to the newest checkpoint around `damage`.
///
/// # Errors
/// There is none; the message says what is damaged, why there is no way around it, and what to do.
pub(super) fn around(
    ledger: &Ledger,
    graph: &JobGraph,
    newest: &Manifest,
    lost: &Lost,
    damage: &LedgerError,
) -> Result<Restored, BuildError> {
    let stuck = |why: String| {
        Err(BuildError::new(format!(
            "{damage}; {why}; put the file back, go on from a savepoint, or start anew with --fresh and empty outputs"
        )))
    };
    let number = newest.checkpoint;
    if !same(newest, graph) {
        return stuck(format!(
            "checkpoint {number} can't be repeated by a job that has changed since: start the old one"
        ));
    }
    let mut owed = lost.owed.clone();
    loop {
        let (base, repeats) = match attempt(ledger, graph, newest, &owed)? {
            Ok(found) => found,
            Err(why) => return stuck(why),
        };
        let from = base.as_ref().map_or(0, |(manifest, _)| manifest.checkpoint);
        if spread(newest, &mut owed, &replaced(newest, from, &repeats)) {
            continue;
        }
        let place = if from == 0 { "the beginning".to_owned() } else { format!("checkpoint {from}") };
        tracing::warn!(
            "{damage}; the job goes on from {place} and repeats what came behind it, up to checkpoint {number}"
        );
        return Ok(Restored::repeating(newest.clone(), base, repeats));
    }
}

/// Where to begin, and what to repeat from there.
type Way = (Option<(Manifest, States)>, Vec<Repeat>);

/// The way if exactly the rows in `owed` are lost; or why there is none.
fn attempt(
    ledger: &Ledger,
    graph: &JobGraph,
    newest: &Manifest,
    owed: &Owed,
) -> Result<Result<Way, String>, LedgerError> {
    let first = owed.values().filter_map(BTreeSet::first).min().copied();
    let until = first.map_or(newest.checkpoint, |first| first.min(newest.checkpoint));
    let mut base = None;
    for point in ledger.restore_points().into_iter().rev().filter(|point| *point < until) {
        let Some((manifest, states)) = whole(ledger, point, graph)? else { continue };
        if !same(&manifest, graph) {
            return Ok(Err(format!("the job was changed behind checkpoint {point}, the last one that is whole")));
        }
        base = Some((manifest, states));
        break;
    }
    let from = base.as_ref().map_or(0, |(manifest, _)| manifest.checkpoint);
    Ok(repeats(ledger, newest, owed, from)?.map(|repeats| (base, repeats)))
}

/// Adds what is lost with the outboxes that are lost or given up; whether there was anything.
fn spread(newest: &Manifest, owed: &mut Owed, replaced: &BTreeMap<String, Replaced>) -> bool {
    let known: usize = owed.values().map(BTreeSet::len).sum();
    for sink in &newest.sinks {
        let (Some(lost), Some(replaced)) = (owed.get_mut(&sink.table), replaced.get(&sink.table)) else { continue };
        for held in &sink.remade {
            let again = |(after, last): &(u64, u64)| *after < held.last && held.after < *last;
            if replaced.checkpoints.contains(&held.by) {
                lost.extend(held.after + 1..=held.last);
            } else if replaced.spans.iter().any(again) {
                lost.insert(held.by);
            }
        }
    }
    owed.values().map(BTreeSet::len).sum::<usize>() > known
}

/// Whether the job is the one of a checkpoint in all that its rows depend on, as far as two graphs can tell.
fn same(manifest: &Manifest, graph: &JobGraph) -> bool {
    evolution::compare(manifest, graph).iter().all(|c| c.fate == Fate::Kept && c.why.is_empty())
}

/// A checkpoint with its state; `None` if any of it is damaged.
fn whole(ledger: &Ledger, checkpoint: u64, graph: &JobGraph) -> Result<Option<(Manifest, States)>, LedgerError> {
    let found = ledger.manifest(checkpoint).and_then(|m| Ok((super::restored::states(ledger, &m, graph)?, m)));
    match found {
        Ok((states, manifest)) => Ok(Some((manifest, states))),
        Err(LedgerError::Store(error)) => Err(error.into()),
        Err(LedgerError::Damaged { .. } | LedgerError::Refused { .. }) => Ok(None),
    }
}

/// The checkpoints behind `from` whose manifests can be read; or why the rows that are lost can't be made again.
fn repeats(
    ledger: &Ledger,
    newest: &Manifest,
    owed: &Owed,
    from: u64,
) -> Result<Result<Vec<Repeat>, String>, LedgerError> {
    let (mut repeats, mut before) = (Vec::new(), from);
    for checkpoint in ledger.checkpoints().filter(|c| *c > from) {
        let manifest = match ledger.manifest(checkpoint) {
            Ok(manifest) => manifest,
            Err(LedgerError::Store(error)) => return Err(error.into()),
            Err(_) => continue,
        };
        let is_lost = |sink: &&SinkState| {
            owed.get(&sink.table).is_some_and(|owed| owed.range(before + 1..=checkpoint).next().is_some())
        };
        let remade: Vec<&SinkState> = newest.sinks.iter().filter(is_lost).collect();
        if let Some(sink) = remade.iter().find(|sink| sink.unrolled_from > before + 1) {
            return Ok(Err(format!(
                "rows of {} can't be told from those that it has shown up to checkpoint {}: no checkpoint between them is \
                 whole",
                sink.table,
                sink.unrolled_from - 1
            )));
        }
        let remakes = remade.into_iter().map(|sink| sink.table.clone()).collect();
        repeats.push(Repeat { manifest, remakes });
        before = checkpoint;
    }
    Ok(Ok(repeats))
}

/// What the rows of a sink that are made again stand for.
#[derive(Debug, Default)]
pub(super) struct Replaced {
    /// Checkpoints with rows that are owed: their outboxes are not used any more.
    pub(super) checkpoints: BTreeSet<u64>,
    /// All rows behind the first checkpoint up to the second.
    pub(super) spans: Vec<(u64, u64)>,
}

/// By the table of a sink: what the rows that are made again stand for.
pub(super) fn replaced(newest: &Manifest, from: u64, repeats: &[Repeat]) -> BTreeMap<String, Replaced> {
    let mut replaced: BTreeMap<String, Replaced> = BTreeMap::new();
    let mut before = from;
    for repeat in repeats {
        let checkpoint = repeat.manifest.checkpoint;
        for sink in newest.sinks.iter().filter(|s| repeat.remakes.contains(&s.table)) {
            let owed = sink.unrolled.iter().copied().filter(|c| *c > before && *c <= checkpoint);
            let all = replaced.entry(sink.table.clone()).or_default();
            all.checkpoints.extend(owed);
            all.spans.push((before, checkpoint));
        }
        before = checkpoint;
    }
    replaced
}
