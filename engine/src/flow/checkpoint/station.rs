//! Where a step on one worker stands towards the barriers, and what it holds back until it has passed one.

use super::barrier::Barriers;
use super::coordinator::Piece;
use crate::flow::turns::{Mutant, mutated};
use std::sync::Arc;

/// A step's (or a sink's) side of the barriers, with what came from behind one: `T` is what it works on.
pub(in crate::flow) struct Station<T> {
    barriers: Arc<Barriers>,
    worker: usize,
    /// The newest barrier it has passed.
    passed: u64,
    /// In the order in which it came.
    held: Vec<T>,
}

impl<T> Station<T> {
    pub(in crate::flow) fn new(barriers: Arc<Barriers>, worker: usize, epoch: u64) -> Self {
        Self { barriers, worker, passed: epoch, held: Vec::new() }
    }
    /// Whether what belongs to `epoch` lies behind a barrier that the step has not passed: then it is to be
    /// [held](Self::hold).
    pub(in crate::flow) fn must_wait(&self, epoch: Option<u64>) -> bool {
        let barrier = self.barriers.ahead(self.passed);
        barrier.zip(epoch).is_some_and(|(barrier, epoch)| epoch > barrier) && !mutated(Mutant::RowsNotHeld)
    }
    /// Holds something until the barrier is passed.
    pub(in crate::flow) fn hold(&mut self, work: T) {
        self.held.push(work);
    }
    /// The barrier to pass now that all epochs before `open` are complete.
    pub(in crate::flow) fn reached(&self, open: u64) -> Option<u64> {
        self.barriers.ahead(self.passed).filter(|barrier| *barrier < open)
    }
    /// Passes the barrier by handing over its piece, and gives out what was held: it is to be worked on now.
    pub(in crate::flow) fn pass(&mut self, barrier: u64, piece: Piece) -> Vec<T> {
        assert!(barrier > self.passed, "barrier {barrier} after {}", self.passed);
        self.passed = barrier;
        self.barriers.deliver(self.worker, barrier, piece);
        std::mem::take(&mut self.held)
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
