//! Borders of calendar windows: as those of even windows, but found by the clocks of a time zone ([`Periods`]).
//!
//! Where clocks are set forward over several ends, these fall together: of the windows that would end there only the first
//! is left, so that the window that ends at an instant is known.

use super::borders::{Bounds, SliceId, Span};
use crate::expression::calendar::Zone;
use crate::periods::{self, Periods};
use highwater_engine::error::BuildError;
use highwater_engine::graph::CalendarWindows;

/// The borders of calendar windows.
#[derive(Clone, Copy, Debug)]
pub struct Calendar {
    /// Windows end where these do.
    ends: Periods,
    starts: Starts,
    /// What `window_start` and `window_end` show.
    pub zone: Zone,
}

/// Where a window begins.
#[derive(Clone, Copy, Debug)]
enum Starts {
    /// So many periods before its end.
    Back(i64),
    /// With the larger period in which it ends.
    With(Periods),
}

impl Calendar {
    /// The borders of these windows; an error names what is not a window.
    pub fn new(of: &CalendarWindows) -> Result<Self, BuildError> {
        of.check().map_err(BuildError::new)?;
        let zone = periods::zone(&of.zone)?;
        let periods = |length| Periods::new(length, of.origin_ms(), zone);
        let starts = match (of.growing, of.size.count(of.step)) {
            (false, Some(n)) => Starts::Back(n),
            _ => Starts::With(periods(of.size)),
        };
        Ok(Self { ends: periods(of.step), starts, zone })
    }

    /// Whether no row lies in two windows.
    pub fn disjoint(&self) -> bool {
        matches!(self.starts, Starts::Back(1))
    }

    /// End of the first window that ends after `t`.
    pub fn first_end_after(&self, t: i64) -> i64 {
        self.ends.next(t)
    }

    /// End of the last window that ends at or before `t`.
    pub fn last_end(&self, t: i64) -> i64 {
        self.ends.floor(t)
    }

    /// End of the longest window that begins at `start`.
    pub fn end_of(&self, start: i64) -> i64 {
        match self.starts {
            Starts::Back(n) => self.ends.start(self.last_window(start, n) + n),
            Starts::With(sizes) => sizes.next(start),
        }
    }

    /// Number of the period with which the last window of `n` periods begins that holds `t`.
    fn last_window(&self, t: i64, n: i64) -> i64 {
        let mut i = self.ends.index(t);
        while !self.is_window(i, n) {
            i -= 1;
        }
        i
    }

    /// Whether the `n` periods from this one on are a window: no earlier one ends with them.
    fn is_window(&self, i: i64, n: i64) -> bool {
        self.ends.start(i + n - 1) < self.ends.start(i + n)
    }

    /// The window that ends at `end`.
    pub fn ending_at(&self, end: i64) -> Bounds {
        let start = match self.starts {
            Starts::Back(n) => self.ends.start(self.ends.index(end - 1) + 1 - n),
            Starts::With(sizes) => sizes.floor(end - 1),
        };
        Bounds { start, end }
    }

    /// The span of event times around `t`.
    pub fn span(&self, t: i64) -> Span {
        let (from, until) = (self.ends.floor(t), self.ends.next(t));
        let last = match self.starts {
            Starts::Back(1) => from,
            Starts::Back(n) => self.ends.start(self.last_window(t, n)),
            Starts::With(sizes) => sizes.floor(t),
        };
        Span { from, until, slice: SliceId { enter: until, last } }
    }

    /// The least `window_time` from which on no window began before `from`.
    pub fn first_time_from(&self, from: i64) -> i64 {
        match self.starts {
            Starts::Back(n) => {
                let mut i = self.ends.index(from.saturating_sub(1)) + 1;
                while !self.is_window(i, n) {
                    i += 1;
                }
                self.ends.start(i + n) - 1
            }
            // those that hold an instant all begin together
            Starts::With(sizes) => sizes.ceil(from),
        }
    }
}
