//! Goals: where reading stops while an attempt repeats a checkpoint, and what it may promise until then.
//!
//! A checkpoint's rows are a function of the cut of each partition and of what its sources promised there. A promise is
//! not a function of the cut: it is what the slowest worker knew. So what was promised then is promised again: never more
//! on the way to the goal, exactly that at the goal, never less behind it.

use super::Intake;
use super::partition::{Partition, PartitionCut};
use crate::flow::turns::{Mutant, mutated};
use crate::time::Progress;
use std::sync::{MutexGuard, PoisonError};

/// How a table stood at a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::flow) struct Goal {
    /// By partition.
    pub(in crate::flow) cuts: Vec<PartitionCut>,
    /// For its rows, and for its rows in `t$errors`.
    pub(in crate::flow) promises: [Progress; 2],
}

/// The promises of the last goal that was reached, and of the next one.
#[derive(Debug)]
pub(super) struct Promised {
    least: [Progress; 2],
    most: [Progress; 2],
}

impl Default for Promised {
    fn default() -> Self {
        Self { least: [Progress::START; 2], most: [Progress::END; 2] }
    }
}

impl Promised {
    /// What may be promised where `promises` is what is known.
    pub(super) fn bounded(&self, promises: [Progress; 2], at_goal: bool) -> [Progress; 2] {
        if mutated(Mutant::PromisedAnew) {
            return promises;
        }
        let weakened = |i: usize| if at_goal { self.most[i] } else { promises[i].min(self.most[i]) };
        std::array::from_fn(|i| weakened(i).max(self.least[i]))
    }
}

impl Intake {
    /// Reading stops at this goal; with `None` it goes on without one.
    pub(in crate::flow) fn set_goal(&self, goal: Option<&Goal>) {
        let mut partitions = self.lock();
        let before = partitions.iter().any(|p| p.goal.is_some());
        for (i, partition) in partitions.iter_mut().enumerate() {
            let before = std::mem::replace(&mut partition.goal, goal.map(|goal| goal.cuts[i].clone()));
            partition.quiet.aim(before.as_ref(), partition.goal.as_ref());
        }
        let mut promised = self.promised();
        *promised = Promised {
            least: if before { promised.most } else { promised.least },
            most: goal.map_or([Progress::END; 2], |goal| goal.promises),
        };
    }
    /// Whether every partition is read up to the goal; never without one.
    pub(in crate::flow) fn at_goal(&self) -> bool {
        self.lock().iter().all(Partition::at_goal)
    }
    pub(super) fn promised(&self) -> MutexGuard<'_, Promised> {
        self.promised.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
