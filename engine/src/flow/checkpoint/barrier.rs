//! When a checkpoint is taken, and the way of its pieces to the keeper.
//!
//! A barrier is an epoch. It is decided when a worker closes an epoch that no worker has closed before: rows of later
//! epochs exist nowhere yet, so everyone who meets one knows of the barrier already. Up to it a worker's steps take rows as
//! they come; later rows wait until the step has handed over its state. There is at most one barrier at a time, and the
//! next one waits until the checkpoint of the last is durable.
//!
//! There is none while nothing happens: no partition has moved, become idle or active since the last one, no worker has
//! promised more, and the last checkpoint left nothing to be said ([`owed_ms`](super::draft::owed_ms)). The first one of an
//! attempt is always taken: it records where partitions begin, and which job goes on.

use super::coordinator::{Event, Piece, ReadTally};
use crate::error::JobError;
use crate::fail;
use crate::flow::intake::Intake;
use crate::flow::turns::{Mutant, mutated};
use crate::time::Progress;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// No barrier.
const NONE: u64 = u64::MAX;

/// How often a checkpoint is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Every {
    /// After so much processing time: `execution.checkpointing.interval`.
    Interval(Duration),
    /// After so many epochs: for tests, which then take the same checkpoints whatever the machine's speed.
    Epochs(u64),
}

/// The barriers of one attempt, shared by its workers and the keeper.
pub(in crate::flow) struct Barriers {
    current: AtomicU64,
    /// The number of the current barrier's checkpoint, or of the last one before it: each barrier becomes one, unless it
    /// repeats one.
    checkpoint: AtomicU64,
    decision: Mutex<Decision>,
    /// Rows in outboxes that no checkpoint has taken over yet.
    staged_rows: AtomicUsize,
    paused: AtomicBool,
    /// Whether there is a `course`.
    repeating: AtomicBool,
    /// How checkpoints are repeated; `None` once none is left to repeat.
    course: Mutex<Option<Course>>,
    keeper: Option<Sender<Event>>,
}

/// What an attempt does that repeats a checkpoint.
#[derive(Clone, Debug)]
pub(super) struct Course {
    /// It reads to the end of the input, where the job had ended; else to a goal.
    pub(super) to_end: bool,
    /// Sinks whose rows are kept: those of others were shown, or are whole.
    pub(super) sinks: BTreeSet<usize>,
}

impl Course {
    fn at_barrier(&self, intakes: &[Arc<Intake>]) -> bool {
        !self.to_end && intakes.iter().all(|intake| intake.at_goal())
    }
}

struct Decision {
    every: Every,
    /// Workers whose dataflow is not built yet.
    unbuilt: usize,
    /// The newest epoch any worker has closed.
    closed: u64,
    /// Whether a checkpoint is on its way to the disk.
    busy: bool,
    last_epoch: u64,
    /// When the last barrier was decided.
    last_time: Instant,
    /// No barrier before this: see [`SHARE`].
    not_before: Instant,
    /// By worker: what it has promised last of each source, and whether that is more than the last checkpoint knows.
    promised: Vec<(Vec<[Progress; 2]>, bool)>,
    /// Processing time from which on a checkpoint is owed even if nothing happens.
    owed_ms: i64,
}

impl Decision {
    /// A worker closes an epoch with these promises; `in_barrier`: they are the checkpoint's.
    fn note(&mut self, worker: usize, promises: Vec<[Progress; 2]>, in_barrier: bool) {
        let (last, is_more) = &mut self.promised[worker];
        *is_more = !in_barrier && (*is_more || *last != promises);
        *last = promises;
    }
    /// Whether there is anything that the last checkpoint does not know.
    fn has_news(&self, intakes: &[Arc<Intake>], now_ms: i64) -> bool {
        let promised = self.promised.iter().any(|(_, is_more)| *is_more);
        promised || now_ms >= self.owed_ms || !intakes.iter().all(|intake| intake.stands_as_cut())
    }
}

/// What tells whether a worker promises more: a cut that is an epoch grows with every epoch, and says nothing.
fn telling(intakes: &[Arc<Intake>], progress: &[[Progress; 2]]) -> Vec<[Progress; 2]> {
    let telling = |(intake, promises): (&Arc<Intake>, &[Progress; 2])| match intake.cut_by_epochs() {
        true => promises.map(|p| Progress { cut: 0, ..p }),
        false => *promises,
    };
    intakes.iter().zip(progress).map(telling).collect()
}

/// The next barrier waits as long as the last checkpoint took: the keeper has half of the time for what comes with rows.
const SHARE: u32 = 1;

/// Rows in outboxes from which on a checkpoint is due before its time, but not before the wait above is over.
const STAGED_ROWS_DUE: usize = 1 << 20;
/// Rows in outboxes from which on reading waits for the checkpoint to become durable.
const STAGED_ROWS_MAX: usize = 1 << 22;
/// Rows of damaged outboxes that are held in memory while they are made again.
const REMADE_ROWS_MAX: usize = 1 << 24;
const _: () = assert!(STAGED_ROWS_DUE < STAGED_ROWS_MAX);

impl Barriers {
    /// A job that keeps nothing: there never is a barrier.
    pub(in crate::flow) fn none() -> Self {
        Self::with(None, Every::Epochs(u64::MAX), (0, 0), 0)
    }
    /// Barriers of an attempt that begins behind a checkpoint: its number and epoch. What is handed over goes to `keeper`.
    pub(in crate::flow) fn new(keeper: Sender<Event>, every: Every, behind: (u64, u64), workers: usize) -> Self {
        Self::with(Some(keeper), every, behind, workers)
    }
    fn with(keeper: Option<Sender<Event>>, every: Every, (checkpoint, epoch): (u64, u64), workers: usize) -> Self {
        let decision = Decision {
            every,
            unbuilt: workers,
            closed: epoch,
            busy: false,
            last_epoch: epoch,
            last_time: Instant::now(),
            not_before: Instant::now(),
            promised: vec![(Vec::new(), false); workers],
            owed_ms: i64::MIN,
        };
        Self {
            current: AtomicU64::new(NONE),
            checkpoint: AtomicU64::new(checkpoint),
            decision: Mutex::new(decision),
            staged_rows: AtomicUsize::new(0),
            paused: AtomicBool::new(false),
            repeating: AtomicBool::new(false),
            course: Mutex::new(None),
            keeper,
        }
    }

    /// Whether the job keeps state.
    pub(in crate::flow) fn enabled(&self) -> bool {
        self.keeper.is_some()
    }

    /// The barrier that a step which has passed `passed` has still to pass.
    pub(in crate::flow) fn ahead(&self, passed: u64) -> Option<u64> {
        let current = self.current.load(Ordering::Acquire);
        (current != NONE && current > passed).then_some(current)
    }

    /// The number of the checkpoint that a barrier which was met becomes.
    pub(in crate::flow) fn checkpoint(&self) -> u64 {
        self.checkpoint.load(Ordering::Relaxed)
    }

    /// A worker has built its dataflow: so many pieces are its part of every checkpoint, beside what it has read.
    pub(in crate::flow) fn built(&self, worker: usize, pieces: usize) {
        self.send(Event::Built { worker, pieces });
        let mut decision = self.decision.lock().unwrap_or_else(PoisonError::into_inner);
        decision.unbuilt = decision.unbuilt.saturating_sub(1);
    }

    /// A worker closes an epoch; what it has `read` so far is handed over if this is the epoch of a checkpoint. `now_ms` is
    /// processing time. Returns what the worker promises, by source.
    ///
    /// It is asked for behind the decision: where a checkpoint is repeated, its epoch is decided when the goal is reached, and
    /// what a worker knew before that is less than what must be promised there.
    pub(in crate::flow) fn close(
        &self,
        (worker, epoch, now_ms): (usize, u64, i64),
        intakes: &[Arc<Intake>],
        read: &[ReadTally],
        progress: impl FnOnce() -> Vec<[Progress; 2]>,
    ) -> Vec<[Progress; 2]> {
        if !self.enabled() {
            return progress();
        }
        let mut decision = self.decision.lock().unwrap_or_else(PoisonError::into_inner);
        let first = epoch > decision.closed || mutated(Mutant::BarrierBehind);
        decision.closed = decision.closed.max(epoch);
        if first && self.current.load(Ordering::Relaxed) == NONE && self.due(&decision, (epoch, now_ms), intakes) {
            (decision.busy, decision.last_epoch, decision.last_time) = (true, epoch, Instant::now());
            intakes.iter().for_each(|intake| intake.set_barrier(epoch));
            if !self.repeating() {
                self.checkpoint.fetch_add(1, Ordering::Relaxed);
            }
            self.current.store(epoch, Ordering::Release);
            fail::point("barrier.decided");
        }
        let here = self.current.load(Ordering::Relaxed) == epoch;
        let progress = progress();
        decision.note(worker, telling(intakes, &progress), here);
        drop(decision);
        if here {
            self.deliver(worker, epoch, Piece::Read { read: read.to_vec(), progress: progress.clone() });
        }
        progress
    }

    fn due(&self, decision: &Decision, (epoch, now_ms): (u64, i64), intakes: &[Arc<Intake>]) -> bool {
        if decision.unbuilt > 0 || decision.busy {
            return false;
        }
        if let Some(course) = self.course() {
            return course.at_barrier(intakes);
        }
        let staged = self.staged_rows.load(Ordering::Relaxed);
        let rested = Instant::now() >= decision.not_before || staged >= STAGED_ROWS_MAX;
        let due = match decision.every {
            Every::Interval(interval) => {
                rested && (decision.last_time.elapsed() >= interval || staged >= STAGED_ROWS_DUE)
            }
            Every::Epochs(n) => epoch - decision.last_epoch >= n || rested && staged >= STAGED_ROWS_DUE,
        };
        due && decision.has_news(intakes, now_ms)
    }

    /// A worker has read everything and closes no more epochs.
    pub(in crate::flow) fn leave(&self, worker: usize, read: Vec<ReadTally>) {
        self.send(Event::Left { worker, read });
    }

    /// A worker hands over a piece of the checkpoint at `epoch`.
    pub(in crate::flow) fn deliver(&self, worker: usize, epoch: u64, piece: Piece) {
        self.send(Event::Delivered { worker, epoch, piece });
    }

    fn send(&self, event: Event) {
        if let Some(keeper) = &self.keeper {
            // A keeper that is gone has failed the job already.
            let _ = keeper.send(event);
        }
    }

    /// All pieces are handed over: rows go on.
    pub(super) fn lift(&self) {
        self.current.store(NONE, Ordering::Release);
    }
    /// A checkpoint is durable; from this processing time on another one is owed, even if nothing happens.
    pub(super) fn owe(&self, owed_ms: i64) {
        self.decision.lock().unwrap_or_else(PoisonError::into_inner).owed_ms = owed_ms;
    }
    /// The checkpoint is durable: the next one may be taken.
    pub(super) fn ready(&self) {
        let mut decision = self.decision.lock().unwrap_or_else(PoisonError::into_inner);
        decision.busy = false;
        decision.not_before = Instant::now() + decision.last_time.elapsed().saturating_mul(SHARE);
    }

    /// What is done until the next barrier; `None` if nothing is left to repeat. Only while no row is on its way.
    pub(super) fn set_course(&self, course: Option<Course>) {
        self.repeating.store(course.is_some(), Ordering::Relaxed);
        *self.course.lock().unwrap_or_else(PoisonError::into_inner) = course;
    }
    /// Whether checkpoints are being repeated: their state is not handed over.
    pub(in crate::flow) fn repeating(&self) -> bool {
        self.repeating.load(Ordering::Relaxed)
    }
    fn course(&self) -> Option<Course> {
        if !self.repeating() {
            return None;
        }
        self.course.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
    /// Whether the rows of a sink are kept for an outbox.
    pub(in crate::flow) fn keeps(&self, sink: usize) -> bool {
        self.course().is_none_or(|course| course.sinks.contains(&sink))
    }
    /// Whether an epoch should be closed so that the checkpoint which is repeated gets its barrier.
    ///
    /// # Errors
    /// More rows are made again than memory is for.
    pub(in crate::flow) fn awaits_barrier(&self, intakes: &[Arc<Intake>]) -> Result<bool, JobError> {
        let Some(course) = self.course() else { return Ok(false) };
        if self.staged_rows.load(Ordering::Relaxed) > REMADE_ROWS_MAX {
            return Err(JobError::State(format!(
                "more than {REMADE_ROWS_MAX} rows of damaged outboxes would have to be made again; put the damaged files \
                 back, or start anew with --fresh and empty outputs"
            )));
        }
        let decision = self.decision.lock().unwrap_or_else(PoisonError::into_inner);
        let free = decision.unbuilt == 0 && !decision.busy && self.current.load(Ordering::Relaxed) == NONE;
        drop(decision);
        Ok(free && course.at_barrier(intakes))
    }

    /// Rows went into an outbox.
    pub(in crate::flow) fn stage(&self, rows: usize) {
        self.staged_rows.fetch_add(rows, Ordering::Relaxed);
    }
    /// An outbox was taken over.
    pub(super) fn unstage(&self, rows: usize) {
        self.staged_rows.fetch_sub(rows, Ordering::Relaxed);
    }
    /// Storage has no room (or has again): reading waits.
    pub(super) fn pause(&self, paused: bool) {
        self.paused.store(paused, Ordering::Relaxed);
    }
    /// Whether workers should read on: results that can't be made durable must not pile up.
    pub(in crate::flow) fn may_read(&self) -> bool {
        let room = self.repeating() || self.staged_rows.load(Ordering::Relaxed) < STAGED_ROWS_MAX;
        room && !self.paused.load(Ordering::Relaxed)
    }
}
