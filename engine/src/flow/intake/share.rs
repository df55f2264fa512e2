//! The share of bad rows: input that is mostly bad is the wrong input, and the job ends before it has believed the rest.
//!
//! Counted over the last [`BAD_SHARE_ROWS`] rows of a partition, never over time: whether a job fails, and at which row, is
//! a function of the partition's rows. At the beginning there are fewer rows, but the share is of as many: three bad rows
//! of three are few.

use super::Intake;
use crate::error::SourceError;
use crate::graph::SourceSpec;
use crate::limits::BAD_SHARE_ROWS;
use std::collections::VecDeque;

/// The bad ones among the last rows of a partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct BadRows {
    /// Rows so far, good and bad; behind a checkpoint, since some row before it.
    rows: u64,
    /// Which of them were bad, of the last [`BAD_SHARE_ROWS`], ascending.
    bad: VecDeque<u64>,
}

impl BadRows {
    /// Goes on where [`BadRows::ago`] was taken.
    pub(super) fn from_ago(ago: &[u32]) -> Self {
        let rows = u64::from(BAD_SHARE_ROWS);
        Self { rows, bad: ago.iter().filter_map(|&ago| rows.checked_sub(u64::from(ago) + 1)).collect() }
    }

    /// How many rows ago the bad rows were, the oldest first; 0 is the last row. This is all that has to be kept.
    pub(super) fn ago(&self) -> Vec<u32> {
        let ago = |&bad: &u64| u32::try_from(self.rows - 1 - bad).ok().filter(|&ago| ago < BAD_SHARE_ROWS);
        self.bad.iter().filter_map(ago).collect()
    }

    /// The row `at` rows behind those so far is bad. How many bad rows are among the last ones now.
    pub(super) fn add(&mut self, at: u64) -> usize {
        let row = self.rows + at;
        while self.bad.front().is_some_and(|&bad| bad + u64::from(BAD_SHARE_ROWS) <= row) {
            self.bad.pop_front();
        }
        self.bad.push_back(row);
        self.bad.len()
    }

    /// So many rows are behind us, good and bad.
    pub(super) fn passed(&mut self, rows: u64) {
        self.rows += rows;
    }
}

/// The error of a partition whose share of bad rows is too large.
pub(super) fn too_many(intake: &Intake, partition: usize, count: usize, offset: i64, reason: &str) -> SourceError {
    let SourceSpec { table, bad_rows_max, .. } = &intake.spec;
    let partition = &intake.source.partitions()[partition].name;
    SourceError::new(format!(
        "partition {partition}, offset {offset}: {count} of the last {BAD_SHARE_ROWS} rows are bad, and at most \
         {bad_rows_max} may be. This one: {reason}. Look at the table's columns and format, or raise its option \
         'errors.max-share' (1 lets every row be bad); `{table}$errors` has all of them"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition: counts the bad rows among the last rows at each bad row.
    fn model(rows: &[bool]) -> Vec<(usize, usize)> {
        let count = |i: usize| rows[(i + 1).saturating_sub(BAD_SHARE_ROWS as usize)..=i].iter().filter(|b| **b).count();
        (0..rows.len()).filter(|&i| rows[i]).map(|i| (i, count(i))).collect()
    }

    #[test]
    fn counts_are_those_of_the_last_rows_in_chunks_of_any_size_and_behind_any_checkpoint() {
        let mut random = 7u64;
        let mut below = |n: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % n
        };
        // shares of bad rows that change: none, few, half, all
        let mut rows = Vec::new();
        while rows.len() < 45_000 {
            let (share, run) = ([0, 1, 50, 99, 100][below(5) as usize], below(9_000));
            rows.extend((0..run).map(|_| below(100) < share));
        }
        let expected = model(&rows);
        assert!(expected.iter().any(|(_, n)| *n > 5_000) && rows.iter().filter(|b| !**b).count() > 5_000);
        for (chunk_max, restores) in [(1, 0), (700, 3), (20_000, 2), (3_000, 1)] {
            let (mut state, mut found, mut at) = (BadRows::default(), Vec::new(), 0);
            while at < rows.len() {
                let end = (at + 1 + below(chunk_max) as usize).min(rows.len());
                for i in (at..end).filter(|&i| rows[i]) {
                    found.push((i, state.add((i - at) as u64)));
                }
                state.passed((end - at) as u64);
                at = end;
                if restores > 0 && below(restores) == 0 {
                    state = BadRows::from_ago(&state.ago());
                }
            }
            assert!(found == expected, "chunks of at most {chunk_max}");
        }
    }

    #[test]
    fn what_a_checkpoint_keeps_is_short_and_only_of_the_last_rows() {
        let mut state = BadRows::default();
        assert_eq!([0, 1, 5].map(|at| state.add(at)), [1, 2, 3]);
        state.passed(6);
        assert_eq!(state.ago(), [5, 4, 0]);
        state.passed(u64::from(BAD_SHARE_ROWS) - 5);
        assert_eq!(state.ago(), [BAD_SHARE_ROWS - 1, BAD_SHARE_ROWS - 5]);
        state.passed(5);
        assert_eq!(state.ago(), [0; 0]);
        // a number that nobody has written is of no row
        assert_eq!(BadRows::from_ago(&[u32::MAX]).ago(), [0; 0]);
    }
}
