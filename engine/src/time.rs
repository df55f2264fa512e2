//! Event time and watermarks.
//!
//! Event time is an `i64` of milliseconds since 1970-01-01T00:00:00Z wherever it stands in a column. A watermark is a
//! type of its own, because it is *exclusive* and the two must never be compared by accident.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A promise about one ordered input: no on-time row that follows has an event time below this instant.
///
/// Exclusive: a window `[start, end)` is complete when `watermark >= end`. Flink's watermark names the last complete
/// instant instead; ours is that plus one millisecond, so windows fire exactly when Flink's would.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Watermark(i64);

impl Watermark {
    /// Nothing is promised yet.
    pub const START: Watermark = Watermark(i64::MIN);
    /// Nothing follows: every window may fire.
    pub const END: Watermark = Watermark(i64::MAX);

    /// The promise "no on-time row below `ms`".
    pub const fn new(ms: i64) -> Self {
        Self(ms)
    }
    /// The instant in epoch milliseconds; `i64::MIN` before the first row, `i64::MAX` after the last.
    pub const fn ms(self) -> i64 {
        self.0
    }
    /// Whether a window that ends (exclusively) at `end_ms` is complete.
    pub const fn closes(self, end_ms: i64) -> bool {
        self.0 >= end_ms
    }
    /// Whether a row at `time_ms` is in the past of the promise: complete for a trailing frame, late for a new row.
    pub const fn passed(self, time_ms: i64) -> bool {
        time_ms < self.0
    }
}

impl fmt::Display for Watermark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::START => f.write_str("start"),
            Self::END => f.write_str("end"),
            Self(ms) => write!(f, "{ms}"),
        }
    }
}

/// What an operator knows when an epoch is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The minimum watermark of the operator's inputs.
    pub watermark: Watermark,
    /// Every row whose arrival cut is below this has arrived (see [`crate::batch::Identity`]); `i64::MAX` at the end.
    pub cut: i64,
}

impl Progress {
    /// Before the first row.
    pub const START: Progress = Progress { watermark: Watermark::START, cut: i64::MIN };
    /// After the last row.
    pub const END: Progress = Progress { watermark: Watermark::END, cut: i64::MAX };

    /// The weaker of two promises, field by field.
    pub fn min(self, other: Self) -> Self {
        Self { watermark: self.watermark.min(other.watermark), cut: self.cut.min(other.cut) }
    }

    /// The stronger of two promises, field by field.
    pub fn max(self, other: Self) -> Self {
        Self { watermark: self.watermark.max(other.watermark), cut: self.cut.max(other.cut) }
    }
}
