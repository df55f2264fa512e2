//! Turns: a test may let the threads of a job run one at a time, in an order it draws from a seed.
//!
//! Every place where a thread of a job would wait for another, or stops between two pieces of work, goes through [`Turns`].
//! Without a turnstile they wait as threads do. With one a thread gives its turn away there, and no decision depends on a
//! clock: the same seed gives the same run.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvError, TryRecvError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use timely::worker::Worker;

/// A thread of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// The one that called `run_with_state`. It has a turn when it calls.
    #[cfg(test)]
    Caller,
    /// A worker.
    Worker(usize),
    /// The one that makes checkpoints durable.
    Keeper,
}

/// Lets one thread run at a time.
pub(super) trait Turnstile: Debug + Send + Sync {
    /// So many workers and a keeper are about to start; each has turns from now on.
    fn announce(&self, workers: usize);
    /// The calling thread has started: returns when it is its turn.
    fn enter(&self, who: Who);
    /// The turn of the calling thread ends: returns at its next one.
    fn pass(&self);
    /// The calling thread has no more turns.
    fn leave(&self);
    /// The caller gives its turn away until all workers, or the keeper, have left.
    fn wait_for(&self, who: Who);
    /// Processing time, in milliseconds since 1970.
    fn now_ms(&self) -> i64;
}

/// How the threads of a job wait.
#[derive(Clone, Debug, Default)]
pub(super) struct Turns(Option<Arc<dyn Turnstile>>);

/// A thread's time among the others; it ends with this.
pub(super) struct Stay(Option<Arc<dyn Turnstile>>);

impl Drop for Stay {
    fn drop(&mut self) {
        self.0.iter().for_each(|t| t.leave());
    }
}

impl Turns {
    /// Turns by this turnstile.
    #[cfg(test)]
    pub(super) fn of(turnstile: Arc<dyn Turnstile>) -> Self {
        Self(Some(turnstile))
    }
    /// So many workers and a keeper are about to start.
    pub(super) fn announce(&self, workers: usize) {
        self.0.iter().for_each(|t| t.announce(workers));
    }
    /// The calling thread starts.
    pub(super) fn enter(&self, who: Who) -> Stay {
        self.0.iter().for_each(|t| t.enter(who));
        Stay(self.0.clone())
    }
    /// Before the caller joins the threads of all workers, or the keeper's.
    pub(super) fn wait_for(&self, who: Who) {
        self.0.iter().for_each(|t| t.wait_for(who));
    }
    /// Waits for so long.
    pub(super) fn rest(&self, wait: Duration) {
        match &self.0 {
            None => std::thread::sleep(wait),
            Some(turnstile) => turnstile.pass(),
        }
    }
    /// Lets timely work, and the thread rest for at most so long if there is nothing to do.
    #[inline]
    pub(super) fn step(&self, worker: &mut Worker, rest: Option<Duration>) {
        if let Some(turnstile) = &self.0 {
            turnstile.pass();
            worker.step();
        } else if rest.is_some() {
            worker.step_or_park(rest);
        } else {
            worker.step();
        }
    }
    /// Waits for the next message.
    pub(super) fn receive<T>(&self, from: &Receiver<T>) -> Result<T, RecvError> {
        let Some(turnstile) = &self.0 else { return from.recv() };
        loop {
            turnstile.pass();
            match from.try_recv() {
                Ok(message) => return Ok(message),
                Err(TryRecvError::Disconnected) => return Err(RecvError),
                Err(TryRecvError::Empty) => {}
            }
        }
    }
    /// Processing time, in milliseconds since 1970.
    pub(super) fn now_ms(&self) -> i64 {
        let clock = || {
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
        };
        self.0.as_ref().map_or_else(clock, |t| t.now_ms())
    }
}

/// A fault that a test builds into a run, to prove that it would find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mutant {
    /// The keeper shows rows before their manifest is durable.
    PublishFirst,
    /// A start does not show what an earlier attempt has left unshown.
    NoCatchUp,
    /// Steps take rows of later epochs before they have passed a barrier.
    RowsNotHeld,
    /// A partition is cut where it stands when the checkpoint is collected, not before its first row behind the barrier.
    CutLate,
    /// A barrier may be an epoch that another worker has closed already.
    BarrierBehind,
    /// A checkpoint that is repeated is promised as much as is known, not what was promised then.
    PromisedAnew,
    /// Rows that were made again belong to no checkpoint.
    RemadeLost,
}

/// Whether the run of this thread has this fault built in.
#[cfg(test)]
pub(super) use super::tests::schedules::mutated;
/// Whether the run of this thread has this fault built in: only a test's run can.
#[cfg(not(test))]
#[inline(always)]
pub(super) fn mutated(_: Mutant) -> bool {
    false
}
