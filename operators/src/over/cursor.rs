//! One frame of a long log, kept up to date: its edges, and the moments of what lies between them.
//!
//! A cursor moves in both directions, one entry at a time, so rows that arrive out of order cost as many steps as they are
//! out of place. A value is distinct at the entry whose previous occurrence lies below the lower edge; by the event
//! times of the previous and the next occurrence of every entry this is decided without a table of counts.

use super::long::Lanes;
use super::measure::{Entries, Moments};
use super::plan::{FramePlan, Measure, Plan, TIME};

/// No previous occurrence: below every lower edge.
pub const NEVER_BEFORE: i64 = i64::MIN;
/// No next occurrence: above every upper edge.
pub const NEVER_AFTER: i64 = i64::MAX;

/// The entries `[lower, upper)`: those with event times in `[lo, hi]`.
pub struct Cursor {
    lo: i64,
    hi: i64,
    lower: usize,
    upper: usize,
    moments: Vec<Moments>,
}

impl Cursor {
    /// A cursor before the first entry.
    pub fn new(frame: &FramePlan) -> Self {
        let moments = vec![Moments::default(); frame.measures.len()];
        Self { lo: i64::MIN + 1, hi: i64::MIN + 1, lower: 0, upper: 0, moments }
    }

    /// The entries inside.
    pub fn range(&self) -> std::ops::Range<usize> {
        self.lower..self.upper
    }
    /// What is known of measure `i` of the frame.
    pub fn moments(&self, i: usize) -> &Moments {
        &self.moments[i]
    }
    /// The lower edge.
    pub fn lo(&self) -> i64 {
        self.lo
    }
    /// The upper edge.
    pub fn hi(&self) -> i64 {
        self.hi
    }

    /// Moves to the edges `[lo, hi]`, which keep their distance or grow together.
    pub fn move_to(&mut self, plan: &Plan, frame: &FramePlan, log: &Lanes, lo: i64, hi: i64) {
        if hi >= self.hi {
            self.move_upper(plan, frame, log, hi);
            self.move_lower(plan, frame, log, lo);
        } else {
            self.move_lower(plan, frame, log, lo);
            self.move_upper(plan, frame, log, hi);
        }
    }

    fn move_upper(&mut self, plan: &Plan, frame: &FramePlan, log: &Lanes, hi: i64) {
        let times = log.lane(TIME);
        let from = self.upper;
        while self.upper < times.len() && times[self.upper] <= hi {
            self.upper += 1;
        }
        let lo = self.lo;
        let entering = from..self.upper;
        self.each(plan, frame, log, entering, true, |previous, _| previous < lo);
        let from = self.upper;
        while self.upper > self.lower && times[self.upper - 1] > hi {
            self.upper -= 1;
        }
        let leaving = self.upper..from;
        self.each(plan, frame, log, leaving, false, |previous, _| previous < lo);
        self.hi = hi;
    }

    fn move_lower(&mut self, plan: &Plan, frame: &FramePlan, log: &Lanes, lo: i64) {
        let times = log.lane(TIME);
        let from = self.lower;
        while self.lower < self.upper && times[self.lower] < lo {
            self.lower += 1;
        }
        let hi = self.hi;
        let leaving = from..self.lower;
        self.each(plan, frame, log, leaving, false, |_, next| next > hi);
        let from = self.lower;
        while self.lower > 0 && times[self.lower - 1] >= lo {
            self.lower -= 1;
        }
        let entering = self.lower..from;
        self.each(plan, frame, log, entering, true, |_, next| next > hi);
        self.lo = lo;
    }

    /// Adds or removes entries; `alone(previous, next)` says whether a value enters or leaves with the entry, given the
    /// event times of its neighbouring occurrences.
    #[inline(always)]
    fn each(
        &mut self,
        plan: &Plan,
        frame: &FramePlan,
        log: &Lanes,
        entries: std::ops::Range<usize>,
        add: bool,
        alone: impl Fn(i64, i64) -> bool + Copy,
    ) {
        if entries.is_empty() {
            return;
        }
        for (m, moments) in frame.measures.iter().zip(&mut self.moments) {
            if m.bit.is_none() && m.distinct.is_none() && !m.sum && !m.squares {
                moments.n += if add { entries.len() as i64 } else { -(entries.len() as i64) };
                continue;
            }
            for i in entries.clone().filter(|i| counts(plan, m, log, *i, alone)) {
                let v = log.value(m.value, i);
                if add { moments.add(m, v) } else { moments.remove(m, v) }
            }
        }
    }

    /// Entry `at` was inserted: shifts the edges and, if it lies inside, adds it.
    pub fn inserted(&mut self, plan: &Plan, frame: &FramePlan, log: &Lanes, at: usize) {
        let time = log.times()[at];
        if time < self.lo {
            self.lower += 1;
            self.upper += 1;
        } else if time <= self.hi {
            self.upper += 1;
            let (lo, hi) = (self.lo, self.hi);
            self.each(plan, frame, log, at..at + 1, true, |previous, next| previous < lo && next > hi);
        }
    }

    /// The first `n` entries, all outside, were forgotten.
    pub fn evicted(&mut self, n: usize) {
        assert!(self.lower >= n, "{n} entries are forgotten but the frame begins at {}", self.lower);
        self.lower -= n;
        self.upper -= n;
    }
}

#[inline(always)]
fn counts(plan: &Plan, m: &Measure, log: &Lanes, i: usize, alone: impl Fn(i64, i64) -> bool) -> bool {
    log.counts(m.bit, i) && m.distinct.is_none_or(|d| alone(log.lane(plan.distincts[d].previous)[i], log.next(d)[i]))
}
