//! The keeper: one thread per attempt that makes checkpoints durable and shows what they name.
//!
//! For each complete set of pieces it writes a segment per worker and an outbox per sink and worker, then the manifest.
//! Only then are publications made, in order, and what no restart can need collected. While it works, rows flow; the next
//! barrier waits for it. When storage is full or out of reach, or an output is full, it says so, holds reading and tries
//! again; any other error ends the attempt.

use super::coordinator::{Collected, Coordinator, Event};
use super::draft::{Draft, Written, owed_ms, schemas};
use super::repeat::Repetition;
use super::restored::source_of;
use crate::checkpoint::{Committed, Ledger, LedgerError, Manifest, SinkState, StatePart, StoreErrorKind};
use crate::error::{BuildError, JobError, SinkError};
use crate::fail;
use crate::flow::build::Plan;
use crate::flow::intake::Intake;
use crate::flow::turns::{Mutant, mutated};
use crate::graph::NodeId;
use crate::sink::{Publication, Publisher, Roll};
use crate::state::Part;
use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::mpsc::Receiver;
use std::time::Duration;

/// How long the keeper waits before it asks storage, or an output, again that is full or out of reach.
const FULL_RETRY: Duration = Duration::from_millis(500);

/// The keeper of one attempt.
pub(in crate::flow) struct Keeper {
    ledger: Ledger,
    /// What is still to be repeated because files of the newest checkpoint are damaged.
    pub(super) repetition: Repetition,
    /// A random name of this attempt: files of two attempts are never confused.
    incarnation: String,
    /// By table and partition.
    fingerprints: Vec<Vec<String>>,
    schemas: Vec<(NodeId, String)>,
    /// In the order of the plan's sinks.
    publishers: Vec<Box<dyn Publisher>>,
    rolls: Vec<Roll>,
    published: Vec<u64>,
}

impl Keeper {
    /// Starts the publishers, which keep earlier attempts out, and shows what an earlier attempt had not shown yet.
    ///
    /// # Errors
    /// If a sink does not start, or knows of a checkpoint that the ledger does not.
    pub(in crate::flow) fn start(
        ledger: Ledger,
        plan: &Plan,
        publishers: Vec<Box<dyn Publisher>>,
    ) -> Result<Self, JobError> {
        let mut keeper = Self {
            ledger,
            repetition: Repetition::of(plan),
            incarnation: incarnation(),
            fingerprints: plan.intakes.iter().map(|intake| fingerprints(plan, intake)).collect::<Result<_, _>>()?,
            schemas: schemas(&plan.graph),
            rolls: publishers.iter().map(|p| p.roll()).collect(),
            published: vec![0; publishers.len()],
            publishers,
        };
        keeper.catch_up(plan)?;
        keeper.repetition.aim(plan);
        fail::point("start.caught-up");
        Ok(keeper)
    }

    /// Asks every sink where it stands, and publishes what the newest manifest decided and nobody has shown.
    fn catch_up(&mut self, plan: &Plan) -> Result<(), JobError> {
        let last = self.ledger.newest().cloned();
        for sink in 0..self.publishers.len() {
            let table = plan.sink_table(sink);
            let marker = self.publishers[sink].recover().map_err(|error| failed(table, error))?;
            let newest = last.as_ref().map_or(0, |m| m.checkpoint);
            if let Some(marker) = marker.filter(|marker| *marker > newest) {
                return Err(self.ahead(table, marker, newest)?);
            }
            let noted = last.as_ref().and_then(|m| m.sinks.iter().find(|s| s.table == table)).map(|s| s.published);
            let noted = noted.unwrap_or(0);
            if marker.is_some_and(|marker| marker < noted) {
                return Err(state(format!(
                    "sink {table} does not hold what was shown up to checkpoint {noted}: its output was removed, replaced or \
                     rolled back; put it back, or start anew with --fresh"
                )));
            }
            self.published[sink] = marker.unwrap_or(noted);
        }
        fail::point("start.recovered");
        // Whoever made the newest manifest had shown everything that those before it decided.
        if let Some(newest) = last.as_ref().filter(|_| !mutated(Mutant::NoCatchUp)) {
            self.publish(plan, newest)?;
        }
        match last.is_some_and(|m| m.finished) && !self.repetition.goes_on() {
            true => self.finish_publishers(plan),
            false => Ok(()),
        }
    }

    /// What a sink means that has shown a checkpoint which this attempt does not know. Another one may have been making
    /// it while this one started: it is kept out by now, so the next attempt goes on from there.
    fn ahead(&self, table: &str, marker: u64, newest: u64) -> Result<JobError, JobError> {
        if self.ledger.highest().map_err(broken)? >= marker {
            let text = format!("another process made checkpoint {marker} while this one started from {newest}");
            return Ok(failed(table, SinkError::new(text)));
        }
        Ok(state(format!(
            "sink {table} has shown checkpoint {marker}, but the newest one here is {newest}: the state has been \
             rolled back; restore the newer state, or write to another output with --fresh"
        )))
    }

    /// Works until the attempt has ended.
    ///
    /// # Errors
    /// What keeps checkpoints from becoming durable or being shown.
    pub(in crate::flow) fn work(mut self, plan: &Plan, events: &Receiver<Event>) -> Result<(), JobError> {
        let mut coordinator = Coordinator::new(plan.options.workers, plan.intakes.len());
        while let Ok(event) = plan.control.turns().receive(events) {
            match event {
                Event::Failed => return Ok(()),
                Event::Ended => {
                    fail::point("end.begins");
                    let rest = coordinator.rest();
                    self.keep(plan, rest)?;
                    fail::point("end.shown");
                    return self.finish_publishers(plan);
                }
                event => {
                    if let Some(collected) = coordinator.take(event) {
                        self.keep(plan, collected)?;
                        plan.barriers.ready();
                    }
                }
            }
        }
        Ok(())
    }

    /// Makes a checkpoint of what was collected.
    fn keep(&mut self, plan: &Plan, mut collected: Collected) -> Result<(), JobError> {
        if self.repetition.goes_on() {
            return self.repeat(plan, collected);
        }
        let finished = collected.epoch == super::coordinator::LAST;
        let cuts = plan.intakes.iter().map(|intake| intake.take_cut()).collect();
        plan.barriers.lift();
        fail::point("checkpoint.collected");
        let checkpoint = self.ledger.newest().map_or(0, |m| m.checkpoint) + 1;
        let written = self.write(plan, checkpoint, &mut collected)?;
        let draft = Draft {
            plan,
            incarnation: &self.incarnation,
            checkpoint,
            now_ms: plan.control.turns().now_ms(),
            finished,
            collected: &collected,
            cuts,
            fingerprints: &self.fingerprints,
            schemas: &self.schemas,
            written,
            rolls: &self.rolls,
            published: &self.published,
            replaced: &self.repetition.replaced,
        };
        let manifest = draft.manifest(self.ledger.newest());
        fail::point("manifest.drafted");
        if mutated(Mutant::PublishFirst) {
            self.publish(plan, &manifest)?;
        }
        match store(plan, || self.ledger.commit(manifest.clone()))? {
            Committed::Durable => {}
            Committed::Superseded => {
                return Err(state(format!(
                    "another process has taken this job over: checkpoint {checkpoint} is there already; let one of them run"
                )));
            }
        }
        fail::point("manifest.durable");
        let state_bytes = state_bytes(&manifest);
        plan.tally.note_checkpoint(|report| {
            report.taken += 1;
            report.state_bytes_max = report.state_bytes_max.max(state_bytes);
        });
        tracing::debug!(checkpoint, epoch = manifest.epoch, "checkpoint durable");
        (0..plan.sinks.len()).for_each(|sink| self.repetition.settle(plan, sink));
        self.publish(plan, &manifest)?;
        for intake in &plan.intakes {
            let state = source_of(&manifest, &intake.spec.table);
            let positions: Vec<_> = state.into_iter().flat_map(|s| &s.partitions).map(|p| p.position.clone()).collect();
            intake.source.kept(&positions);
        }
        plan.barriers.owe(owed_ms(&manifest, &self.rolls));
        self.collect(plan)
    }

    /// Writes segments and outboxes.
    fn write(&self, plan: &Plan, checkpoint: u64, collected: &mut Collected) -> Result<Written, JobError> {
        let mut written = Written::default();
        let mut by_worker: BTreeMap<usize, Vec<StatePart>> = BTreeMap::new();
        for (worker, node, snapshot) in std::mem::take(&mut collected.states) {
            let going_on = written.going_on.entry(node.clone()).or_default();
            for group in snapshot.going_on() {
                assert!(going_on.insert(group), "key group {group} of {node} goes on at two workers");
            }
            let part = |Part { group, whole, bytes }| StatePart { node: node.clone(), group, full: whole, bytes };
            by_worker.entry(worker).or_default().extend(snapshot.into_parts().map(part));
        }
        for (worker, parts) in by_worker.into_iter().filter(|(_, parts)| !parts.is_empty()) {
            let segment = store(plan, || self.ledger.put_segment(checkpoint, &self.incarnation, worker, &parts))?;
            fail::point("state.written");
            for (node, parts) in segment.index {
                written.parts.entry(node).or_default().extend(parts);
            }
            written.segments.push(segment.file);
        }
        collected.outboxes.sort_by_key(|(worker, sink, _)| (*sink, *worker));
        for (worker, sink, rows) in std::mem::take(&mut collected.outboxes) {
            plan.barriers.unstage(rows.iter().map(|b| b.num_rows()).sum());
            let outbox = store(plan, || self.ledger.put_outbox(checkpoint, &self.incarnation, sink, worker, &rows))?;
            fail::point("outbox.written");
            written.outboxes.entry(sink).or_default().push(outbox);
        }
        for (&sink, rows) in self.repetition.remade.iter().filter(|_| !mutated(Mutant::RemadeLost)) {
            let behind = plan.options.workers;
            let put = || self.ledger.put_outbox(checkpoint, &self.incarnation, sink, behind, rows);
            written.outboxes.entry(sink).or_default().push(store(plan, put)?);
        }
        Ok(written)
    }

    /// Shows what a manifest has decided to show, unless it is visible already.
    pub(super) fn publish(&mut self, plan: &Plan, manifest: &Manifest) -> Result<(), JobError> {
        for sink in 0..self.publishers.len() {
            if self.repetition.withholds(sink) {
                continue;
            }
            let table = plan.sink_table(sink);
            let Some(decided) = manifest.sinks.iter().find(|s| s.table == table) else { continue };
            let Some(publication) = decided.publish.clone().filter(|p| p.last > self.published[sink]) else { continue };
            fail::point("publish.begins");
            self.show(plan, sink, manifest, decided, &publication)?;
            fail::point("publish.done");
            self.published[sink] = publication.last;
        }
        Ok(())
    }

    fn show(
        &mut self,
        plan: &Plan,
        sink: usize,
        newest: &Manifest,
        decided: &SinkState,
        publication: &Publication,
    ) -> Result<(), JobError> {
        let table = plan.sink_table(sink);
        let mut outboxes = Vec::new();
        let replaced = self.repetition.replaced.get(&sink);
        let whole = |checkpoint: &&u64| replaced.is_none_or(|replaced| !replaced.checkpoints.contains(checkpoint));
        for &checkpoint in decided.unrolled.iter().filter(whole) {
            if checkpoint == newest.checkpoint {
                outboxes.extend(decided.outboxes.clone());
                continue;
            }
            let damaged = |error: LedgerError| failed(table, SinkError::new(error.to_string()));
            let manifest = || self.ledger.manifest(checkpoint);
            let manifest = patiently(plan, "", LedgerError::may_pass, manifest).map_err(damaged)?;
            outboxes.extend(manifest.sinks.into_iter().filter(|s| s.table == table).flat_map(|s| s.outboxes));
        }
        let (ledger, remade) = (&self.ledger, self.repetition.remade.get(&sink));
        let rows = || {
            let owed = outboxes.iter().flat_map(|outbox| {
                let error = |e: LedgerError| SinkError::new(e.to_string());
                match patiently(plan, "", LedgerError::may_pass, || ledger.outbox(outbox)) {
                    Ok(rows) => Box::new(rows.map(move |r| r.map_err(error))) as Box<dyn Iterator<Item = _>>,
                    Err(e) => Box::new(std::iter::once(Err(error(e)))),
                }
            });
            owed.chain(remade.into_iter().flatten().map(|batch| Ok(batch.clone())))
        };
        let publisher = &mut self.publishers[sink];
        let ours = |error| still_ours(ledger, newest.checkpoint, error);
        let publish = || publisher.publish(publication, &mut rows()).map_err(ours);
        patiently(plan, &format!("sink {table}: "), |error: &SinkError| error.full, publish)
            .map_err(|error| failed(table, error))
    }

    fn finish_publishers(&mut self, plan: &Plan) -> Result<(), JobError> {
        for (sink, publisher) in self.publishers.iter_mut().enumerate() {
            publisher.finish().map_err(|error| failed(plan.sink_table(sink), error))?;
        }
        Ok(())
    }

    /// Removes what no restart and no publication can need.
    fn collect(&mut self, plan: &Plan) -> Result<(), JobError> {
        let published: Vec<(&str, u64)> =
            (0..self.published.len()).map(|sink| (plan.sink_table(sink), self.shown_until(plan, sink))).collect();
        let now_ms = plan.control.turns().now_ms();
        let removed = store(plan, || self.ledger.collect(now_ms, &published))?;
        fail::point("collect.done");
        tracing::trace!(removed, "files collected");
        Ok(())
    }

    /// The last checkpoint up to which nobody needs the rows of this sink any more. Those that the newest manifest has
    /// decided to show are shown, but a start that knows of no later manifest may have to show them again.
    fn shown_until(&self, plan: &Plan, sink: usize) -> u64 {
        let table = plan.sink_table(sink);
        let Some(last) = self.ledger.newest() else { return 0 };
        let owed = last.sinks.iter().find(|s| s.table == table);
        owed.and_then(|s| s.unrolled.first()).map_or(last.checkpoint, |first| first - 1)
    }
}

/// What the partitions of a table are known by. Those of a restored one were found to be the same.
fn fingerprints(plan: &Plan, intake: &Intake) -> Result<Vec<String>, JobError> {
    let known = plan.restored.newest().and_then(|newest| source_of(newest, &intake.spec.table));
    if let Some(known) = known {
        return Ok(known.partitions.iter().map(|p| p.fingerprint.clone()).collect());
    }
    let failed = |error| JobError::Source { table: intake.spec.table.clone(), error };
    (0..intake.source.partitions().len()).map(|i| intake.source.fingerprint(i).map_err(failed)).collect()
}

/// Bytes of all parts that a restart from this checkpoint would read.
fn state_bytes(manifest: &Manifest) -> u64 {
    manifest.operators.iter().flat_map(|o| &o.parts).map(|p| p.bytes).sum()
}

/// Calls something again and again while it fails for a reason that may pass: no room, a medium out of reach.
fn patiently<T, E: std::fmt::Display>(
    plan: &Plan,
    what: &str,
    may_pass: fn(&E) -> bool,
    mut call: impl FnMut() -> Result<T, E>,
) -> Result<T, E> {
    let mut said = false;
    loop {
        match call() {
            Err(error) if may_pass(&error) && !plan.control.stopped() => {
                if !std::mem::replace(&mut said, true) {
                    tracing::warn!("{what}{error}; reading waits until that has passed");
                    plan.barriers.pause(true);
                }
                plan.control.turns().rest(FULL_RETRY);
            }
            outcome => {
                if said {
                    tracing::warn!("that has passed; reading goes on");
                    plan.barriers.pause(false);
                }
                return outcome;
            }
        }
    }
}

/// Calls the ledger again and again while storage is full or out of reach.
fn store<T>(plan: &Plan, call: impl FnMut() -> Result<T, LedgerError>) -> Result<T, JobError> {
    patiently(plan, "", LedgerError::may_pass, call).map_err(broken)
}

/// What it means that an output answers somebody else now. If another process has made a checkpoint, this one ends. If none
/// has, the output took us for dead, or the other one is only starting: who makes the next checkpoint decides, so we go on.
fn still_ours(ledger: &Ledger, newest: u64, error: SinkError) -> SinkError {
    if !error.taken_over {
        return error;
    }
    let taken_over = ledger.highest().is_ok_and(|highest| highest > newest);
    SinkError { taken_over, full: !taken_over, ..error }
}

pub(super) fn state(message: String) -> JobError {
    JobError::State(message)
}

fn broken(error: LedgerError) -> JobError {
    match error {
        LedgerError::Store(error) if error.kind == StoreErrorKind::Other => JobError::Store(error),
        error => JobError::State(error.to_string()),
    }
}

fn failed(table: &str, error: crate::error::SinkError) -> JobError {
    if error.taken_over {
        return state(format!("sink {table}: {error}"));
    }
    JobError::Sink { table: table.to_owned(), error }
}

/// 128 random bits: the standard library's hash maps are seeded by the system.
fn incarnation() -> String {
    let random = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", random(), random())
}

impl From<LedgerError> for BuildError {
    fn from(error: LedgerError) -> Self {
        BuildError::new(error.to_string())
    }
}
