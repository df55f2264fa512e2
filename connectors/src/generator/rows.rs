//! A run of rows of one shard.

/// Rows `first`, `first + step`, … (`count` of them) of the whole table: a contiguous run of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rows {
    /// Number of the first row.
    pub first: u64,
    /// Distance between rows: the number of shards.
    pub step: u64,
    /// How many.
    pub count: usize,
}

impl Rows {
    /// The rows' numbers.
    #[inline(always)]
    pub fn iter(self) -> impl ExactSizeIterator<Item = u64> {
        (0..self.count).map(move |k| self.first + k as u64 * self.step)
    }

    /// One past the largest number.
    pub fn end(self) -> u64 {
        if self.count == 0 { self.first } else { self.first + (self.count as u64 - 1) * self.step + 1 }
    }

    /// Where a row stands in the run, if it is in it.
    pub fn position(self, row: u64) -> Option<usize> {
        let ahead = row.checked_sub(self.first)?;
        (ahead.is_multiple_of(self.step) && ahead / self.step < self.count as u64).then(|| (ahead / self.step) as usize)
    }
}
