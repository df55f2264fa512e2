//! Whether combining before the exchange is worth it.
//!
//! Judged by what was combined: below two rows per partial result the combiner sends rows on one by one, and tries again
//! later. No result depends on it.

use super::slices::Slice;
use super::states::View;

/// Rows of sent slices on which a judgement rests.
const JUDGED_ROWS: i64 = 16 * 1024;
/// Rows sent on one by one before combining is tried again.
const PASSED_ROWS: usize = 4 * 1024 * 1024;

/// The judgement.
#[derive(Clone, Copy, Debug, Default)]
pub struct Worth {
    rows: i64,
    partials: i64,
    /// Rows still to be sent on one by one.
    pass: usize,
}

impl Worth {
    /// A judgement that the next `pass` rows are not worth combining.
    #[cfg(test)]
    pub fn passing(pass: usize) -> Self {
        Self { pass, ..Self::default() }
    }

    /// Whether the next `rows` rows are sent on one by one.
    pub fn passes(&mut self, rows: usize) -> bool {
        let passes = self.pass > 0;
        self.pass = self.pass.saturating_sub(rows);
        passes
    }

    /// Learns from a slice that is sent.
    pub fn judge(&mut self, slice: &Slice) {
        self.rows += slice.states.rows().iter().sum::<i64>();
        self.partials += slice.groups.slots() as i64;
        if self.rows >= JUDGED_ROWS {
            if self.rows < 2 * self.partials {
                self.pass = PASSED_ROWS;
            }
            (self.rows, self.partials) = (0, 0);
        }
    }
}
