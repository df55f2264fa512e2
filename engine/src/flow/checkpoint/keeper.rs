//! The keeper: one thread per attempt that makes checkpoints durable and shows what they name.
//!
//! For each complete set of pieces it writes a segment per worker and an outbox per sink and worker, then the manifest.
//! Only then are publications made, in order, and what no restart can need collected. While it works, rows flow; the next
//! barrier waits for it. When storage is full or out of reach it says so, holds reading and tries again; any other error
//! ends the attempt.

use super::coordinator::{Collected, Coordinator, Event};
use super::draft::{Draft, Written};
use crate::checkpoint::{Committed, Ledger, LedgerError, Manifest, SinkState, StatePart};
use crate::error::{BuildError, JobError};
use crate::fail;
use crate::flow::build::Plan;
use crate::flow::turns::{Mutant, mutated};
use crate::graph::Step;
use crate::sink::{Publication, Publisher, Roll};
use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

/// How long the keeper waits before it asks storage again that is full or out of reach.
const FULL_RETRY: Duration = Duration::from_millis(500);

/// The keeper of one attempt.
pub(in crate::flow) struct Keeper {
    ledger: Ledger,
    /// A random name of this attempt: files of two attempts are never confused.
    incarnation: String,
    fingerprints: Vec<Vec<String>>,
    /// In the order of the plan's sinks.
    publishers: Vec<Box<dyn Publisher>>,
    rolls: Vec<Roll>,
    published: Vec<u64>,
    last: Option<Manifest>,
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
        let last = ledger.newest().cloned();
        let fingerprint = |intake: &Arc<crate::flow::intake::Intake>| {
            let of = |i| intake.source.fingerprint(i);
            (0..intake.source.partitions().len())
                .map(of)
                .collect::<Result<Vec<_>, _>>()
                .map_err(|error| JobError::Source { table: intake.spec.table.clone(), error })
        };
        let mut keeper = Self {
            ledger,
            incarnation: incarnation(),
            fingerprints: plan.intakes.iter().map(fingerprint).collect::<Result<_, _>>()?,
            rolls: publishers.iter().map(|p| p.roll()).collect(),
            published: vec![0; publishers.len()],
            publishers,
            last,
        };
        keeper.catch_up(plan)?;
        fail::point("start.caught-up");
        Ok(keeper)
    }

    /// Asks every sink where it stands, and publishes what the newest manifest decided and nobody has shown.
    fn catch_up(&mut self, plan: &Plan) -> Result<(), JobError> {
        for sink in 0..self.publishers.len() {
            let table = table(plan, sink);
            let marker = self.publishers[sink].recover().map_err(|error| failed(&table, error))?;
            let newest = self.last.as_ref().map_or(0, |m| m.checkpoint);
            if let Some(marker) = marker.filter(|marker| *marker > newest) {
                return Err(self.ahead(&table, marker, newest)?);
            }
            let noted = self.last.as_ref().and_then(|m| m.sinks.iter().find(|s| s.table == table)).map(|s| s.published);
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
        if let Some(newest) = self.last.clone().filter(|_| !mutated(Mutant::NoCatchUp)) {
            self.publish(plan, &newest)?;
        }
        if self.last.as_ref().is_some_and(|m| m.finished) {
            self.finish_publishers(plan)?;
        }
        Ok(())
    }

    /// What a sink means that has shown a checkpoint which this attempt does not know. Another one may have been making
    /// it while this one started: it is kept out by now, so the next attempt goes on from there.
    fn ahead(&self, table: &str, marker: u64, newest: u64) -> Result<JobError, JobError> {
        if self.ledger.highest().map_err(broken)? >= marker {
            let text = format!("another process made checkpoint {marker} while this one started from {newest}");
            return Ok(failed(table, crate::error::SinkError::new(text)));
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
        let finished = collected.epoch == super::coordinator::LAST;
        let cuts = plan.intakes.iter().map(|intake| intake.take_cut()).collect();
        plan.barriers.lift();
        fail::point("checkpoint.collected");
        let checkpoint = self.last.as_ref().map_or(0, |m| m.checkpoint) + 1;
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
            written,
            rolls: &self.rolls,
            published: &self.published,
        };
        let manifest = draft.manifest(self.last.as_ref());
        fail::point("manifest.drafted");
        if mutated(Mutant::PublishFirst) {
            self.publish(plan, &manifest)?;
        }
        match patiently(plan, || self.ledger.commit(manifest.clone()))? {
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
        self.publish(plan, &manifest)?;
        self.last = Some(manifest);
        self.collect(plan)
    }

    /// Writes segments and outboxes.
    fn write(&self, plan: &Plan, checkpoint: u64, collected: &mut Collected) -> Result<Written, JobError> {
        let mut written = Written::default();
        let mut by_worker: BTreeMap<usize, Vec<StatePart>> = BTreeMap::new();
        for (worker, node, snapshot) in std::mem::take(&mut collected.states) {
            let node = &plan.graph.nodes[node].name;
            let part = |(group, bytes)| StatePart { node: node.clone(), group, full: true, bytes };
            by_worker.entry(worker).or_default().extend(snapshot.into_parts().map(part));
        }
        for (worker, parts) in by_worker.into_iter().filter(|(_, parts)| !parts.is_empty()) {
            let segment = patiently(plan, || self.ledger.put_segment(checkpoint, &self.incarnation, worker, &parts))?;
            fail::point("state.written");
            for (node, parts) in segment.index {
                written.parts.entry(node).or_default().extend(parts);
            }
            written.segments.push(segment.file);
        }
        collected.outboxes.sort_by_key(|(worker, sink, _)| (*sink, *worker));
        for (worker, sink, rows) in std::mem::take(&mut collected.outboxes) {
            plan.barriers.unstage(rows.iter().map(|b| b.num_rows()).sum());
            let outbox =
                patiently(plan, || self.ledger.put_outbox(checkpoint, &self.incarnation, sink, worker, &rows))?;
            fail::point("outbox.written");
            written.outboxes.entry(sink).or_default().push(outbox);
        }
        Ok(written)
    }

    /// Shows what a manifest has decided to show, unless it is visible already.
    fn publish(&mut self, plan: &Plan, manifest: &Manifest) -> Result<(), JobError> {
        for sink in 0..self.publishers.len() {
            let table = table(plan, sink);
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
        let table = table(plan, sink);
        let mut outboxes = Vec::new();
        for &checkpoint in &decided.unrolled {
            if checkpoint == newest.checkpoint {
                outboxes.extend(decided.outboxes.clone());
                continue;
            }
            let manifest = patiently(plan, || self.ledger.manifest(checkpoint))?;
            outboxes.extend(manifest.sinks.into_iter().filter(|s| s.table == table).flat_map(|s| s.outboxes));
        }
        let ledger = &self.ledger;
        let mut rows = outboxes.iter().flat_map(|outbox| {
            let error = |e: LedgerError| crate::error::SinkError::new(e.to_string());
            match patiently(plan, || ledger.outbox(outbox)) {
                Ok(rows) => Box::new(rows.map(move |r| r.map_err(error))) as Box<dyn Iterator<Item = _>>,
                Err(e) => Box::new(std::iter::once(Err(crate::error::SinkError::new(e.to_string())))),
            }
        });
        self.publishers[sink].publish(publication, &mut rows).map_err(|error| failed(&table, error))
    }

    fn finish_publishers(&mut self, plan: &Plan) -> Result<(), JobError> {
        for (sink, publisher) in self.publishers.iter_mut().enumerate() {
            publisher.finish().map_err(|error| failed(&table(plan, sink), error))?;
        }
        Ok(())
    }

    /// Removes what no restart and no publication can need.
    fn collect(&mut self, plan: &Plan) -> Result<(), JobError> {
        let published: Vec<(String, u64)> =
            (0..self.published.len()).map(|sink| (table(plan, sink), self.shown_until(plan, sink))).collect();
        let published: Vec<(&str, u64)> = published.iter().map(|(table, last)| (table.as_str(), *last)).collect();
        let now_ms = plan.control.turns().now_ms();
        let removed = patiently(plan, || self.ledger.collect(now_ms, &published))?;
        fail::point("collect.done");
        tracing::trace!(removed, "files collected");
        Ok(())
    }

    /// The last checkpoint up to which nobody needs the rows of this sink any more. Those that the newest manifest has
    /// decided to show are shown, but a start that knows of no later manifest may have to show them again.
    fn shown_until(&self, plan: &Plan, sink: usize) -> u64 {
        let table = table(plan, sink);
        let Some(last) = &self.last else { return 0 };
        let owed = last.sinks.iter().find(|s| s.table == table);
        owed.and_then(|s| s.unrolled.first()).map_or(last.checkpoint, |first| first - 1)
    }
}

/// Bytes of all parts that a restart from this checkpoint would read.
fn state_bytes(manifest: &Manifest) -> u64 {
    manifest.operators.iter().flat_map(|o| &o.parts).map(|p| p.bytes).sum()
}

/// Calls the ledger again and again while storage is full or out of reach.
fn patiently<T>(plan: &Plan, mut call: impl FnMut() -> Result<T, LedgerError>) -> Result<T, JobError> {
    let mut said = false;
    loop {
        match call() {
            Err(error) if error.may_pass() && !plan.control.stopped() => {
                if !std::mem::replace(&mut said, true) {
                    tracing::warn!("{error}; reading waits until that has passed");
                    plan.barriers.pause(true);
                }
                plan.control.turns().rest(FULL_RETRY);
            }
            outcome => {
                if said {
                    tracing::warn!("that has passed; reading goes on");
                    plan.barriers.pause(false);
                }
                return outcome.map_err(broken);
            }
        }
    }
}

fn table(plan: &Plan, sink: usize) -> String {
    match &plan.graph.nodes[plan.sinks[sink].0].step {
        Step::Sink(spec) => spec.table.clone(),
        _ => unreachable!("a sink's node is a sink"),
    }
}

fn state(message: String) -> JobError {
    JobError::State(message)
}

fn broken(error: LedgerError) -> JobError {
    JobError::State(error.to_string())
}

fn failed(table: &str, error: crate::error::SinkError) -> JobError {
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
