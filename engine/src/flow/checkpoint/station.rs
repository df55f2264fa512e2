//! Where a step on one worker stands towards the barriers.

use super::barrier::Barriers;
use super::coordinator::Piece;
use crate::flow::turns::{Mutant, mutated};
use std::sync::Arc;

/// A step's (or a sink's) side of the barriers.
pub(in crate::flow) struct Station {
    barriers: Arc<Barriers>,
    worker: usize,
    /// The newest barrier it has passed.
    passed: u64,
}

impl Station {
    pub(in crate::flow) fn new(barriers: Arc<Barriers>, worker: usize, epoch: u64) -> Self {
        Self { barriers, worker, passed: epoch }
    }
    /// The barrier it has still to pass.
    pub(in crate::flow) fn barrier(&self) -> Option<u64> {
        self.barriers.ahead(self.passed)
    }
    /// Whether rows of `epoch` lie behind a barrier it has not passed.
    pub(in crate::flow) fn must_wait(&self, epoch: u64) -> bool {
        self.barrier().is_some_and(|barrier| epoch > barrier) && !mutated(Mutant::RowsNotHeld)
    }
    /// Passes the barrier by handing over its piece.
    pub(in crate::flow) fn pass(&mut self, barrier: u64, piece: Piece) {
        assert!(barrier > self.passed, "barrier {barrier} after {}", self.passed);
        self.passed = barrier;
        self.barriers.deliver(self.worker, barrier, piece);
    }
    /// Hands over what is left when the job has ended.
    pub(in crate::flow) fn end(&self, piece: Piece) {
        self.barriers.deliver(self.worker, super::coordinator::LAST, piece);
    }
    /// Whether the checkpoint at hand is repeated: then its state is not handed over.
    pub(in crate::flow) fn repeats(&self) -> bool {
        self.barriers.repeating()
    }
    /// Whether the rows of a sink are kept for an outbox.
    pub(in crate::flow) fn keeps(&self, sink: usize) -> bool {
        self.barriers.keeps(sink)
    }
    /// Rows went into an outbox.
    pub(in crate::flow) fn stage(&self, rows: usize) {
        self.barriers.stage(rows);
    }
}
