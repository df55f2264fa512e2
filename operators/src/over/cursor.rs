//! One frame of a long log, kept up to date: its edges, and the moments of what lies between them.
//!
//! A cursor moves in both directions, one entry at a time, so rows that arrive out of order cost as many steps as they are
//! out of place. A value is distinct at the entry whose previous occurrence lies below the lower edge; by the event
//! times of the previous and the next occurrence of every entry this is decided without a table of counts.

use super::long::Rows;
use super::measure::{Entries, Moments, WideMoments};
use super::plan::{FramePlan, Measure};
use std::ops::Range;

/// No previous occurrence: below every lower edge.
pub const NEVER_BEFORE: i64 = i64::MIN;
/// No next occurrence: above every upper edge.
pub const NEVER_AFTER: i64 = i64::MAX;

/// The entries `[lower, upper)`: those with event times in `[lo, hi]`.
#[derive(Clone, Copy)]
pub struct Cursor {
    lo: i64,
    hi: i64,
    lower: usize,
    upper: usize,
}

/// What a cursor reads and keeps up to date.
pub struct Track<'a> {
    /// The cursor's frame.
    pub frame: &'a FramePlan,
    /// The entries.
    pub rows: &'a Rows,
    /// Moments of all measures of all frames.
    pub moments: &'a mut [Moments],
    /// Wide moments of those that have some.
    pub wides: &'a mut [WideMoments],
}

impl Cursor {
    /// A cursor before the first entry.
    pub const START: Cursor = Cursor { lo: i64::MIN + 1, hi: i64::MIN + 1, lower: 0, upper: 0 };

    /// Whether it has never moved.
    pub fn is_at_start(&self) -> bool {
        self.hi == Self::START.hi
    }
    /// The entries inside.
    pub fn range(&self) -> Range<usize> {
        self.lower..self.upper
    }
    /// The lower edge.
    pub fn lo(&self) -> i64 {
        self.lo
    }
    /// The upper edge.
    pub fn hi(&self) -> i64 {
        self.hi
    }

    /// Moves to the edges `[lo, hi]`.
    #[inline(always)]
    pub fn move_to(&mut self, track: &mut Track<'_>, lo: i64, hi: i64) {
        if lo > self.hi {
            self.jump(track, lo);
        }
        if hi >= self.hi {
            self.move_upper(track, hi);
            self.move_lower(track, lo);
        } else {
            self.move_lower(track, lo);
            self.move_upper(track, hi);
        }
    }

    /// Leaves all entries and stands before those from `lo` on, which lies above: what lies between is passed over, as it
    /// would enter the frame only to leave it. So the first answer after a restart costs what the frame holds.
    #[inline(always)]
    fn jump(&mut self, track: &mut Track<'_>, lo: i64) {
        self.move_lower(track, lo);
        self.lower = track.rows.not_before(self.upper, lo);
        (self.upper, self.hi) = (self.lower, lo - 1);
    }

    #[inline(always)]
    fn move_upper(&mut self, track: &mut Track<'_>, hi: i64) {
        let (lo, from, len) = (self.lo, self.upper, track.rows.len());
        while self.upper < len && track.rows.time(self.upper) <= hi {
            self.upper += 1;
        }
        track.each(from..self.upper, true, |previous, _| previous < lo);
        let from = self.upper;
        while self.upper > self.lower && track.rows.time(self.upper - 1) > hi {
            self.upper -= 1;
        }
        track.each(self.upper..from, false, |previous, _| previous < lo);
        self.hi = hi;
    }

    #[inline(always)]
    fn move_lower(&mut self, track: &mut Track<'_>, lo: i64) {
        let (hi, from) = (self.hi, self.lower);
        while self.lower < self.upper && track.rows.time(self.lower) < lo {
            self.lower += 1;
        }
        track.each(from..self.lower, false, |_, next| next > hi);
        let from = self.lower;
        while self.lower > 0 && track.rows.time(self.lower - 1) >= lo {
            self.lower -= 1;
        }
        track.each(self.lower..from, true, |_, next| next > hi);
        self.lo = lo;
    }

    /// Entry `at` was inserted: shifts the edges and, if it lies inside, adds it.
    pub fn inserted(&mut self, track: &mut Track<'_>, at: usize) {
        let time = track.rows.time(at);
        if time < self.lo {
            self.lower += 1;
            self.upper += 1;
        } else if time <= self.hi {
            self.upper += 1;
            let (lo, hi) = (self.lo, self.hi);
            track.each(at..at + 1, true, |previous, next| previous < lo && next > hi);
        }
    }

    /// The first `n` entries, all outside, were forgotten.
    pub fn evicted(&mut self, n: usize) {
        assert!(self.lower >= n, "{n} entries are forgotten but the frame begins at {}", self.lower);
        self.lower -= n;
        self.upper -= n;
    }
}

impl Track<'_> {
    /// Adds or removes entries; `alone(previous, next)` says whether a value enters or leaves with the entry, given the
    /// event times of its neighbouring occurrences.
    #[inline(always)]
    fn each(&mut self, entries: Range<usize>, add: bool, alone: impl Fn(i64, i64) -> bool) {
        let first = self.frame.first;
        for i in entries {
            for (m, moments) in self.frame.measures.iter().zip(&mut self.moments[first..]) {
                if !counts(m, self.rows, i, &alone) {
                    continue;
                }
                let v = self.rows.value(m.value, i);
                if add {
                    moments.add(m, v)
                } else {
                    moments.remove(m, v)
                }
                if let Some(w) = m.wide {
                    let wide = &mut self.wides[w];
                    if add { wide.add(m, v) } else { wide.remove(m, v) }
                }
            }
        }
    }
}

#[inline(always)]
fn counts(m: &Measure, rows: &Rows, i: usize, alone: &impl Fn(i64, i64) -> bool) -> bool {
    rows.counts(m.bit, i) && m.distinct.is_none_or(|d| alone(rows.previous(i, d), rows.next(i, d)))
}
