//! Attempts: when a job that keeps state starts again by itself, and when it is given up.
//!
//! A worker's panic, an error of a source, of a sink or of the state's storage may pass: the job starts again from its newest
//! checkpoint, after a wait that doubles. Once an attempt has been running, the next one may fail at opening too: what it
//! opens was there before. Only attempts without a new checkpoint count. What is wrong with the job file, its operators or
//! its state does not pass.

pub(super) mod reach;

use super::checkpoint::Every;
use super::checkpoint::evolution::Allow;
use super::control::Control;
use super::report::Report;
use super::run::kept_attempt;
use crate::checkpoint::{HmacKey, Ledger, Store};
use crate::error::{BuildError, JobError};
use crate::graph::{JobGraph, RunOptions};
use crate::parts::Parts;
use reach::Reach;
use std::sync::Arc;
use std::time::Duration;

/// Where a job keeps its state, and how it starts again.
#[derive(Clone, Debug)]
pub struct Keep {
    /// Manifests, state and outboxes.
    pub store: Arc<dyn Store>,
    /// Signs manifests, if set; then unsigned ones are refused.
    pub key: Option<HmacKey>,
    /// How often a checkpoint is taken.
    pub every: Every,
    /// Attempts without a new checkpoint after which the job has failed.
    pub failures_max: u32,
    /// Wait before the second attempt; doubles with each failure.
    pub backoff: Duration,
    /// Which changes of the job since its checkpoint are meant.
    pub allow: Allow,
}

/// Runs a job that keeps state: from its newest checkpoint, or from the beginning. After a failure that may pass it starts
/// again from the newest checkpoint; what a job shows, it shows once.
///
/// # Errors
/// What ended the last attempt.
pub fn run_with_state(
    graph: &JobGraph,
    parts: &Arc<dyn Parts>,
    options: &RunOptions,
    control: &Control,
    keep: &Keep,
) -> Result<Report, JobError> {
    let mut attempts = Attempts::default();
    loop {
        let opened = attempts.open(graph, keep);
        let outcome = opened.and_then(|ledger| {
            let ledger = (ledger, attempts.thorough);
            kept_attempt(graph, parts, options, control, keep, ledger, &mut attempts.reach)
        });
        let error = match outcome {
            Err(error) if attempts.may_pass(&error) => error,
            outcome => return outcome,
        };
        attempts.failures += 1;
        attempts.thorough = true;
        if attempts.failures >= keep.failures_max {
            return Err(attempts.given_up(&error));
        }
        let wait = attempts.wait(keep.backoff);
        tracing::warn!(%error, wait_ms = wait.as_millis(), "the job starts again from its newest checkpoint");
        control.begin();
        rest(wait, control);
    }
}

/// The attempts of one process so far.
#[derive(Default)]
struct Attempts {
    /// Without a new checkpoint.
    failures: u32,
    newest: Option<u64>,
    /// An attempt has failed while it was running: all could be opened.
    ran: bool,
    /// What a sink owes is read when it is shown. If that may have failed, it is looked at before anything else.
    thorough: bool,
    reach: Reach,
}

impl Attempts {
    fn open(&mut self, graph: &JobGraph, keep: &Keep) -> Result<Ledger, JobError> {
        let ledger = Ledger::open(keep.store.clone(), keep.key.clone(), &graph.name).map_err(BuildError::from)?;
        let found = ledger.newest().map(|m| m.checkpoint);
        if found > self.newest {
            (self.failures, self.newest) = (0, found);
        }
        Ok(ledger)
    }

    /// Whether another attempt may do better.
    fn may_pass(&mut self, error: &JobError) -> bool {
        match error {
            JobError::Build(_) => self.ran,
            JobError::Panic { .. } | JobError::Source { .. } | JobError::Sink { .. } | JobError::Store(_) => {
                self.ran = true;
                true
            }
            _ => false,
        }
    }

    fn wait(&self, backoff: Duration) -> Duration {
        backoff.saturating_mul(1 << self.failures.saturating_sub(1).min(16))
    }

    fn given_up(&self, error: &JobError) -> JobError {
        let from = self.newest.map_or("the beginning".to_owned(), |c| format!("checkpoint {c}"));
        JobError::State(format!("{error}; given up after {} attempts from {from}, {}", self.failures, self.reach))
    }
}

/// Waits, but not for a job that somebody has stopped.
fn rest(wait: Duration, control: &Control) {
    let mut left = wait;
    while !control.stopped() && !left.is_zero() {
        let piece = left.min(Duration::from_millis(50));
        control.turns().rest(piece);
        left -= piece;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_with_each_failure_and_has_an_end() {
        let wait = |failures| Attempts { failures, ..Attempts::default() }.wait(Duration::from_millis(500));
        assert_eq!([1, 2, 3, 5].map(|n| wait(n).as_millis()), [500, 1_000, 2_000, 8_000]);
        assert_eq!(wait(17), wait(u32::MAX));
    }
}
