//! Which event times a row's frame holds.
//!
//! A frame begins so many milliseconds before its row, or with the period (a day by the clocks of a zone, say) that holds
//! the row: then it grows row by row, and all leave it at once where the next period begins. Both kinds of start never
//! decrease with the row's time, so what lies before the start of the oldest row to come can be forgotten.

use crate::periods::Periods;
use highwater_engine::error::BuildError;
use highwater_engine::graph::{self, OverSpec, RowsBetween, StartOf};

/// A frame, compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    start: Start,
    end_ms: i64,
    /// Places before the current row, if only those count.
    pub rows: Option<RowsBetween>,
    /// Without the current row.
    pub without_current: bool,
    /// With the current row, but without its peers.
    pub without_ties: bool,
}

/// Where a frame begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// So many milliseconds before the row.
    Back(i64),
    /// With the row's period: a position among those of the node.
    Period(usize),
}

impl Frame {
    /// First and last event time of the frame of the row at `time`; of an empty frame the last is the instant before the
    /// first. Both extremes stay free for "never".
    #[inline(always)]
    pub fn edges(&self, time: i64, starts: &[i64]) -> (i64, i64) {
        let lo = match self.start {
            Start::Back(ms) => time.saturating_sub(ms),
            Start::Period(i) => starts[i],
        };
        let lo = lo.max(i64::MIN + 2);
        let hi = time.saturating_sub(self.end_ms).clamp(lo - 1, i64::MAX - 1);
        (lo, hi)
    }
}

/// Where the frames of a row begin that begin with a period: found once for the rows of a period.
#[derive(Clone, Debug)]
pub struct Starts {
    periods: Vec<Periods>,
    /// Starts of the periods of the last row.
    starts: Vec<i64>,
    /// Starts of the next ones.
    ends: Vec<i64>,
    /// The longest of the other frames.
    back_ms: i64,
}

/// Calendars end here: 36 million years from 1970.
const FAR_MS: i64 = 1 << 60;

impl Starts {
    /// Those of a node, and its frames.
    pub fn new(spec: &OverSpec) -> Result<(Self, Vec<Frame>), BuildError> {
        let mut since: Vec<&StartOf> = spec.frames.iter().filter_map(|f| f.since.as_ref()).collect();
        since.sort();
        since.dedup();
        let start = |f: &graph::Frame| match &f.since {
            Some(s) => Start::Period(since.iter().position(|x| *x == s).expect("all were collected")),
            None => Start::Back(f.start_ms),
        };
        let frame = |f: &graph::Frame| {
            let graph::Frame { end_ms, rows, without_current, without_ties, .. } = *f;
            Frame { start: start(f), end_ms, rows, without_current, without_ties }
        };
        let frames = spec.frames.iter().map(frame).collect();
        let periods = since.iter().map(|s| Periods::of(s)).collect::<Result<Vec<_>, _>>()?;
        let back_ms = spec.frames.iter().filter(|f| f.since.is_none()).map(|f| f.start_ms).max().unwrap_or(0);
        let (starts, ends) = (vec![i64::MAX; periods.len()], vec![i64::MIN; periods.len()]);
        Ok((Self { periods, starts, ends, back_ms }, frames))
    }

    /// The starts of the periods that hold an instant.
    #[inline(always)]
    pub fn at(&mut self, time: i64) -> &[i64] {
        for i in 0..self.periods.len() {
            if time < self.starts[i] || time >= self.ends[i] {
                self.find(i, time);
            }
        }
        &self.starts
    }

    #[cold]
    fn find(&mut self, i: usize, time: i64) {
        let period = self.periods[i];
        (self.starts[i], self.ends[i]) = match time.clamp(-FAR_MS, FAR_MS) {
            FAR_MS => (FAR_MS, i64::MAX),
            t if t == -FAR_MS => (i64::MIN, 1 - FAR_MS),
            t => (period.floor(t), period.next(t)),
        };
    }

    /// Where the earliest frame of a row at an instant begins.
    #[inline(always)]
    pub fn oldest(&mut self, time: i64) -> i64 {
        let back = time.saturating_sub(self.back_ms);
        self.at(time).iter().fold(back, |least, start| least.min(*start))
    }
}
