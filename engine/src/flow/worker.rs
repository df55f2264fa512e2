//! One worker's loop: read, send, cut epochs, step.
//!
//! An epoch is cut when fewer than [`EPOCHS_IN_FLIGHT_MAX`] are in flight and it has enough rows, or its first row is old
//! enough, or another worker is ahead (an epoch is complete only when every worker has closed it). With too many epochs in
//! flight and a full epoch the worker does not read: that is all the backpressure there is, and it bounds memory.

use super::build::{Built, Plan, build};
use super::checkpoint::ReadTally;
use super::intake::{Reader, Step};
use super::packet::{Mark, Packet};
use crate::error::JobError;
use crate::limits::EPOCHS_IN_FLIGHT_MAX;
use crate::metrics::OperatorMetrics;
use crate::time::Progress;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use timely::worker::Worker;

/// How long a worker parks when it has nothing to do but wait for others.
const PARK: Duration = Duration::from_micros(500);

/// How long a worker rests when all it could read is ahead of its turn or of the others.
const REST: Duration = Duration::from_micros(200);

/// Runs one worker to the end of the job, or until the job stops.
pub(super) fn work(worker: &mut Worker, plan: &Plan) {
    if let Err(error) = Shift::start(worker, plan).and_then(|shift| shift.run(worker)) {
        plan.control.fail(error);
    }
    // Behind the end of the rows: what the others have still to hear of.
    while worker.has_dataflows() && !plan.control.stopped() {
        plan.control.turns().step(worker, Some(PARK));
    }
    if plan.control.stopped() {
        for dataflow in worker.installed_dataflows() {
            worker.drop_dataflow(dataflow);
        }
    }
}

/// A worker at work.
struct Shift<'p> {
    plan: &'p Plan,
    index: usize,
    peers: usize,
    built: Built,
    readers: Vec<Option<Reader>>,
    metrics: Vec<Arc<OperatorMetrics>>,
    /// What this worker has read of each table.
    tallies: Vec<ReadTally>,
    epoch: u64,
    epoch_rows: usize,
    epoch_since: Option<Instant>,
}

impl<'p> Shift<'p> {
    fn start(worker: &mut Worker, plan: &'p Plan) -> Result<Self, JobError> {
        let (index, peers) = (worker.index(), worker.peers());
        let mut built = worker.dataflow::<u64, _, _>(|scope| build(scope, plan))?;
        // Epochs go on behind those of the checkpoint.
        let epoch = plan.restored.epoch() + 1;
        built.handles().for_each(|h| h.advance_to(epoch));
        plan.barriers.built(index, built.pieces);
        let reader = |intake: &Arc<super::intake::Intake>| {
            let program = intake.program(plan.parts.as_ref())?;
            Ok(Some(Reader::new(intake.clone(), program, plan.options.batch_rows, peers)))
        };
        let readers = plan.intakes.iter().map(reader).collect::<Result<_, JobError>>()?;
        let node = |source| plan.shape.source.iter().position(|s| *s == Some(source)).unwrap_or(source);
        let metrics = (0..plan.intakes.len()).map(|source| plan.metrics.operator(node(source), index)).collect();
        let tallies = vec![ReadTally::default(); plan.intakes.len()];
        Ok(Self { plan, index, peers, built, readers, metrics, tallies, epoch, epoch_rows: 0, epoch_since: None })
    }

    fn run(mut self, worker: &mut Worker) -> Result<(), JobError> {
        while self.readers.iter().any(Option::is_some) {
            if self.plan.control.stopped() {
                return Ok(());
            }
            let room = self.in_flight() < EPOCHS_IN_FLIGHT_MAX;
            if room && (self.epoch_is_due() || self.plan.barriers.awaits_barrier(&self.plan.intakes)?) {
                self.cut();
            }
            let held = !self.plan.barriers.may_read();
            if held {
                // Reading waits for a checkpoint, and a checkpoint for the end of an epoch.
                self.epoch_since.get_or_insert_with(Instant::now);
            }
            let full = held || self.epoch_rows >= self.plan.options.epoch_rows;
            let rest = if full { Some(PARK) } else { self.read()? };
            self.plan.control.turns().step(worker, rest.map(|rest| rest.min(PARK)));
        }
        self.finish(worker)
    }

    /// Closes the last epoch and sees the dataflow to its end.
    fn finish(self, worker: &mut Worker) -> Result<(), JobError> {
        let Self { plan, built, index, peers, tallies, metrics, .. } = self;
        let Built { rows, bad, mut marks, probe, outlets, .. } = built;
        plan.barriers.leave(index, tallies);
        metrics.iter().for_each(|metrics| metrics.note_state(Progress::END.watermark.ms(), 0));
        let end: Arc<[Progress]> = plan.intakes.iter().flat_map(|_| [Progress::END; 2]).collect();
        send_marks(&mut marks, index, peers, end);
        plan.tally.epoch.fetch_add(1, Relaxed);
        drop((rows, bad, marks));
        while !probe.done() {
            if plan.control.stopped() {
                return Ok(());
            }
            plan.control.turns().step(worker, Some(PARK));
        }
        for (sink, outlet) in outlets {
            let mut outlet = outlet.borrow_mut();
            outlet.finish();
            plan.tally.note_outlet(sink, &outlet);
        }
        Ok(())
    }

    fn in_flight(&self) -> u64 {
        let oldest = self.built.probe.with_frontier(|f| f.first().copied().unwrap_or(self.epoch));
        self.epoch - oldest.min(self.epoch)
    }

    fn epoch_is_due(&self) -> bool {
        let options = &self.plan.options;
        self.epoch_rows >= options.epoch_rows
            || self.epoch < self.plan.tally.epoch.load(Relaxed)
            || self.epoch_since.is_some_and(|t| t.elapsed() >= Duration::from_millis(options.epoch_age_ms))
    }

    /// Ends the epoch: everyone is told what this worker knows of every source.
    fn cut(&mut self) {
        let Plan { intakes, barriers, .. } = self.plan;
        let known = || intakes.iter().map(|i| i.progress(self.epoch)).collect();
        let now_ms = self.plan.control.turns().now_ms();
        let by_source = barriers.close((self.index, self.epoch, now_ms), intakes, &self.tallies, known);
        let promises: Arc<[Progress]> = by_source.iter().flatten().copied().collect();
        let sources = || promises.iter().step_by(2);
        for (metrics, progress) in self.metrics.iter().zip(sources()) {
            metrics.note_state(progress.watermark.ms(), 0);
        }
        if let Some(watermark) = sources().map(|p| p.watermark).min() {
            self.plan.control.note_watermark(watermark.ms());
        }
        tracing::trace!(worker = self.index, epoch = self.epoch, rows = self.epoch_rows, "epoch closed");
        send_marks(&mut self.built.marks, self.index, self.peers, promises);
        self.epoch += 1;
        self.plan.tally.epoch.fetch_max(self.epoch, Relaxed);
        let epoch = self.epoch;
        self.built.handles().for_each(|h| h.advance_to(epoch));
        self.epoch_rows = 0;
        self.epoch_since = None;
    }

    /// Reads one chunk of the table furthest behind. `Some`: there was nothing to read for so long.
    fn read(&mut self) -> Result<Option<Duration>, JobError> {
        let positions: Vec<i64> = self.readers.iter().map(|r| r.as_ref().map_or(i64::MAX, Reader::position)).collect();
        let slowest = positions.iter().copied().min().unwrap_or(i64::MAX);
        let mut order: Vec<usize> = (0..self.readers.len()).filter(|&i| self.readers[i].is_some()).collect();
        order.sort_by_key(|&i| positions[i]);
        let mut rest = PARK;
        for i in order {
            let Some(reader) = self.readers[i].as_mut() else { continue };
            let started = Instant::now();
            let step = reader
                .step(self.epoch, slowest, &self.plan.pace)
                .map_err(|error| JobError::Source { table: self.plan.intakes[i].spec.table.clone(), error })?;
            if matches!(step, Step::Rows(_) | Step::Worked) {
                self.metrics[i].record_busy(started.elapsed());
            }
            match step {
                Step::Rows(tagged) => {
                    self.plan.tally.note_read(i, &tagged);
                    self.tallies[i].add(&tagged);
                    self.note_metrics(i, &tagged);
                    self.plan.control.note_rows(tagged.rows, tagged.max_ms);
                    self.plan.clock.note(self.epoch, tagged.decoded);
                    self.epoch_rows += tagged.rows.max(1) as usize;
                    self.epoch_since.get_or_insert(tagged.decoded);
                    self.send(i, *tagged);
                    return Ok(None);
                }
                Step::Worked => return Ok(None),
                Step::Pending(d) => {
                    self.plan.tally.paced.store(true, Relaxed);
                    rest = rest.min(d);
                }
                Step::Rest => rest = rest.min(REST),
                Step::Finished => {
                    self.readers[i] = None;
                    return Ok(None);
                }
            }
        }
        // Nothing to read, but what was read must not wait for more.
        self.epoch_since.get_or_insert_with(Instant::now);
        Ok(Some(rest))
    }

    fn note_metrics(&self, source: usize, tagged: &super::intake::Tagged) {
        let metrics = &self.metrics[source];
        metrics.record_rows(tagged.rows as usize);
        metrics.record_bytes(tagged.bytes);
        metrics.record_late(tagged.late);
        metrics.record_errors(tagged.bad.len() as u64);
        metrics.record_event_time(tagged.max_ms);
    }

    fn send(&mut self, source: usize, tagged: super::intake::Tagged) {
        if tagged.batch.rows() > 0 {
            self.built.rows[source].send_batch(&mut Packet::rows(tagged.batch));
        }
        if !tagged.bad.is_empty() {
            self.built.bad.send_batch(&mut Packet::bad(tagged.bad));
        }
    }
}

fn send_marks(handle: &mut super::build::Handle, from: usize, peers: usize, promises: Arc<[Progress]>) {
    for to in 0..peers {
        handle.send_batch(&mut Packet::mark(Mark { to, from, promises: promises.clone() }));
    }
}
