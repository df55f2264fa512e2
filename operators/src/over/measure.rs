//! What is known of one input over one frame, exactly: how many, sum, sum of squares, least, greatest.
//!
//! [`scan`] computes it from the entries of a short log; cursors of long logs keep [`Moments`] up to date entry by entry.

use super::intern::Interner;
use super::plan::{Bit, Distinct, Extremum, Measure, Plan, TIME, Value};
use arrow::datatypes::i256;
use std::ops::Range;

/// The entries of one key, oldest first, lane by lane.
pub trait Entries {
    /// Word `word` of every entry.
    fn lane(&self, word: usize) -> &[i64];

    /// Event times.
    #[inline(always)]
    fn times(&self) -> &[i64] {
        self.lane(TIME)
    }
    /// Whether entry `i` counts.
    #[inline(always)]
    fn counts(&self, bit: Option<Bit>, i: usize) -> bool {
        bit.is_none_or(|b| self.lane(b.word)[i] & b.mask != 0)
    }
    /// The value of entry `i`: a number, or a word of the interner.
    #[inline(always)]
    fn value(&self, value: Value, i: usize) -> i128 {
        match value {
            Value::None => 0,
            Value::Fixed { word, .. } | Value::Text(word) => i128::from(self.lane(word)[i]),
            Value::Wide(word) => wide(self.lane(word)[i], self.lane(word + 1)[i]),
        }
    }
}

/// The number whose two words these are.
#[inline(always)]
pub fn wide(low: i64, high: i64) -> i128 {
    (i128::from(high) << 64) | i128::from(low as u64)
}

/// Invertible moments: adding and removing an entry are exact opposites.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moments {
    /// Entries that count.
    pub n: i64,
    /// Sum of their values, of at most 64 bits each.
    pub sum: i128,
    /// Sum of their values, if they are wider.
    pub sum_wide: i256,
    /// Sum of their squares.
    pub squares: i256,
}

impl Moments {
    /// Adds an entry that counts.
    #[inline(always)]
    pub fn add(&mut self, m: &Measure, v: i128) {
        self.n += 1;
        if m.sum {
            match m.value {
                Value::Wide(_) => self.sum_wide = self.sum_wide.wrapping_add(i256::from_i128(v)),
                _ => self.sum += v,
            }
        }
        if m.squares {
            self.squares = self.squares.wrapping_add(square(m.value, v));
        }
    }

    /// Takes off an entry that was added.
    #[inline(always)]
    pub fn remove(&mut self, m: &Measure, v: i128) {
        self.n -= 1;
        if m.sum {
            match m.value {
                Value::Wide(_) => self.sum_wide = self.sum_wide.wrapping_sub(i256::from_i128(v)),
                _ => self.sum -= v,
            }
        }
        if m.squares {
            self.squares = self.squares.wrapping_sub(square(m.value, v));
        }
    }
}

/// Values whose squares are added must be below this: then 2 million of them add up within 256 bits.
pub const SQUARED_MAX: i128 = 1 << 117;

#[inline(always)]
fn square(value: Value, v: i128) -> i256 {
    match value {
        Value::Wide(_) => i256::from_i128(v).wrapping_mul(i256::from_i128(v)),
        _ => i256::from_i128(v * v),
    }
}

/// Moments and extrema of one measure; the extrema mean something only if `moments.n > 0`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    /// How many, sums.
    pub moments: Moments,
    /// The least value.
    pub min: i128,
    /// The greatest value.
    pub max: i128,
}

impl Extremum {
    /// What is never better than any value.
    #[inline(always)]
    pub fn neutral(&self) -> i128 {
        match (self.value, self.max) {
            (Value::Text(_), _) => 0,
            (_, true) => i128::MIN,
            (_, false) => i128::MAX,
        }
    }

    /// The better of two values.
    #[inline(always)]
    pub fn better(&self, names: &Interner, a: i128, b: i128) -> i128 {
        match self.value {
            Value::Text(_) if a == 0 => b,
            Value::Text(_) if b == 0 => a,
            Value::Text(_) => {
                let b_is_less = names.compare(b as i64, a as i64).is_lt();
                if b_is_less != self.max { b } else { a }
            }
            _ if self.max => a.max(b),
            _ => a.min(b),
        }
    }

    /// Entry `i` as this extremum sees it: neutral if it does not count.
    #[inline(always)]
    pub fn entry(&self, entries: &impl Entries, i: usize) -> i128 {
        if entries.counts(self.bit, i) { entries.value(self.value, i) } else { self.neutral() }
    }
}

/// Computes one measure over the entries `range`, whose lower edge is the event time `lo`.
#[inline]
pub fn scan(
    plan: &Plan,
    names: &Interner,
    entries: &impl Entries,
    m: &Measure,
    range: Range<usize>,
    lo: i64,
    to: &mut Totals,
) {
    match (m.bit, m.distinct.map(|d| plan.distincts[d])) {
        (None, None) => fold(entries, m, range.clone(), |_| true, &mut to.moments),
        (Some(b), None) => {
            let flags = entries.lane(b.word);
            fold(entries, m, range.clone(), |i| flags[i] & b.mask != 0, &mut to.moments);
        }
        (None, Some(Distinct { previous, .. })) => {
            let previous = entries.lane(previous);
            fold(entries, m, range.clone(), |i| previous[i] < lo, &mut to.moments);
        }
        (Some(b), Some(Distinct { previous, .. })) => {
            let (flags, previous) = (entries.lane(b.word), entries.lane(previous));
            fold(entries, m, range.clone(), |i| flags[i] & b.mask != 0 && previous[i] < lo, &mut to.moments);
        }
    }
    let best = |e: &Extremum| range.clone().fold(e.neutral(), |best, i| e.better(names, best, e.entry(entries, i)));
    if let Some(e) = m.min {
        to.min = best(&plan.extrema[e]);
    }
    if let Some(e) = m.max {
        to.max = best(&plan.extrema[e]);
    }
}

#[inline(always)]
fn fold(entries: &impl Entries, m: &Measure, range: Range<usize>, counts: impl Fn(usize) -> bool, to: &mut Moments) {
    match m.value {
        Value::Fixed { word, narrow: true } if m.sum && !m.squares => {
            let values = entries.lane(word);
            let (mut n, mut sum) = (0i64, 0i64);
            for i in range {
                let taken = i64::from(counts(i));
                n += taken;
                sum = sum.wrapping_add(values[i] & -taken);
            }
            (to.n, to.sum) = (n, i128::from(sum));
        }
        _ if !m.sum && !m.squares => to.n = range.map(|i| i64::from(counts(i))).sum(),
        _ => {
            *to = Moments::default();
            range.filter(|i| counts(*i)).for_each(|i| to.add(m, entries.value(m.value, i)));
        }
    }
}
