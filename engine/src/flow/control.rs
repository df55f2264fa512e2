//! Stop, failure and progress of a running job.
//!
//! A [`Control`] is cloned into every worker and kept by the caller. The first failure wins; everyone else then leaves at
//! the next turn of its loop, so a job never hangs on a worker that is gone.

use super::turns::Turns;
use crate::error::JobError;
use crate::metrics::{JobMetrics, JobView};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

/// A handle on a running job; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Control {
    shared: Arc<Shared>,
    turns: Turns,
}

#[derive(Debug)]
struct Shared {
    stop: AtomicBool,
    failure: Mutex<Option<JobError>>,
    rows: AtomicU64,
    event_time_ms: AtomicI64,
    watermark_ms: AtomicI64,
    metrics: Mutex<Option<Arc<JobMetrics>>>,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            stop: AtomicBool::new(false),
            failure: Mutex::new(None),
            rows: AtomicU64::new(0),
            event_time_ms: AtomicI64::new(i64::MIN),
            watermark_ms: AtomicI64::new(i64::MIN),
            metrics: Mutex::default(),
        }
    }
}

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProgressView {
    /// Rows read from all sources.
    pub rows: u64,
    /// The largest event time read, if any.
    pub event_time_ms: Option<i64>,
    /// The job's watermark, once there is one.
    pub watermark_ms: Option<i64>,
}

impl Control {
    /// A handle on a job that has not started.
    pub fn new() -> Self {
        Self::default()
    }
    /// A handle on a job whose threads take turns.
    #[cfg(test)]
    pub(super) fn in_turns(turns: Turns) -> Self {
        Self { shared: Arc::default(), turns }
    }
    /// Asks the job to end now, without results. The run returns [`JobError::Interrupted`].
    pub fn stop(&self) {
        self.fail(JobError::Interrupted);
    }
    /// How far the job is.
    pub fn progress(&self) -> ProgressView {
        let known = |v: i64| (v != i64::MIN).then_some(v);
        ProgressView {
            rows: self.shared.rows.load(Relaxed),
            event_time_ms: known(self.shared.event_time_ms.load(Relaxed)),
            watermark_ms: known(self.shared.watermark_ms.load(Relaxed)),
        }
    }

    /// What every step has done so far, of the present attempt or the last one; `None` before the first. Reading stops no
    /// work, and may be done at any time by any thread.
    pub fn metrics(&self) -> Option<JobView> {
        let metrics = self.shared.metrics.lock().unwrap_or_else(PoisonError::into_inner).clone();
        metrics.map(|metrics| metrics.view())
    }

    /// An attempt with these metrics is about to start.
    pub(super) fn watch(&self, metrics: Arc<JobMetrics>) {
        *self.shared.metrics.lock().unwrap_or_else(PoisonError::into_inner) = Some(metrics);
    }
    /// How the job's threads wait.
    pub(super) fn turns(&self) -> &Turns {
        &self.turns
    }
    /// A new attempt begins: what ended the last one is forgotten, once it has been taken.
    pub(super) fn begin(&self) {
        let failure = self.shared.failure.lock().unwrap_or_else(PoisonError::into_inner);
        if failure.is_none() {
            self.shared.stop.store(false, Relaxed);
        }
    }
    pub(super) fn fail(&self, error: JobError) {
        // Held until `stop` is set: `begin` sees both or none.
        let mut failure = self.shared.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.get_or_insert(error);
        self.shared.stop.store(true, Relaxed);
    }
    pub(super) fn stopped(&self) -> bool {
        self.shared.stop.load(Relaxed)
    }
    pub(super) fn take_failure(&self) -> Option<JobError> {
        self.shared.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
    pub(super) fn note_rows(&self, rows: u64, event_time_ms: i64) {
        self.shared.rows.fetch_add(rows, Relaxed);
        self.shared.event_time_ms.fetch_max(event_time_ms, Relaxed);
    }
    pub(super) fn note_watermark(&self, ms: i64) {
        self.shared.watermark_ms.store(ms, Relaxed);
    }
}
