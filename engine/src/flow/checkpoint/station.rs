//! Where a step on one worker stands towards the barriers, and what it holds back until it has passed one.

use super::barrier::Barriers;
use super::coordinator::Piece;
use crate::flow::turns::{Mutant, mutated};
use crate::state::Snapshot;
use std::sync::Arc;

/// A step's (or a sink's) side of the barriers, with what came from behind one: `T` is what it works on.
pub(in crate::flow) struct Station<T> {
    barriers: Arc<Barriers>,
    worker: usize,
    /// The newest barrier it has passed.
    passed: u64,
    /// In the order in which it came.
    held: Vec<T>,
    /// Whether the last barrier it has passed repeated a checkpoint.
    repeated: bool,
}

impl<T> Station<T> {
    pub(in crate::flow) fn new(barriers: Arc<Barriers>, worker: usize, epoch: u64) -> Self {
        Self { barriers, worker, passed: epoch, held: Vec::new(), repeated: false }
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
    /// An empty snapshot for the checkpoint of a barrier that was reached. The first one behind a repeated checkpoint takes
    /// everything whole: what was written before it belongs to another past of the step, and may be damaged.
    pub(in crate::flow) fn snapshot(&mut self) -> Snapshot {
        let repeats = self.repeats();
        let behind_repeated = std::mem::replace(&mut self.repeated, repeats);
        if behind_repeated { Snapshot::default() } else { Snapshot::of_turn(self.barriers.checkpoint()) }
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

#[cfg(test)]
mod tests {
    use super::super::barrier::Course;
    use super::*;
    use crate::hash::KeyGroup;
    use std::collections::BTreeSet;

    #[test]
    fn the_first_snapshot_behind_a_repeated_checkpoint_is_whole() {
        let barriers = Arc::new(Barriers::none());
        let mut station = Station::<()>::new(barriers.clone(), 0, 0);
        let mut whole = || {
            let snapshot = station.snapshot();
            (0..=KeyGroup::MAX).filter(|group| snapshot.is_whole(*group)).count()
        };
        assert_eq!(whole(), 4);
        barriers.set_course(Some(Course { to_end: false, sinks: BTreeSet::new() }));
        whole();
        barriers.set_course(None);
        assert_eq!([whole(), whole()], [256, 4]);
    }
}
