//! What is known of one input over one frame, exactly: how many, sum, sum of squares, least, greatest.
//!
//! [`scan`] computes it from the entries of a short log; cursors of long logs keep [`Moments`] up to date entry by entry.

use super::intern::Interner;
use super::plan::{Bit, Distinct, Extremum, Measure, Plan, TIME, Value};
use super::small::Small;
use arrow::datatypes::i256;
use std::ops::Range;

/// The entries of one key, oldest first.
pub trait Entries {
    /// Number of entries.
    fn len(&self) -> usize;
    /// One word of entry `i`.
    fn word(&self, i: usize, word: usize) -> i64;

    /// Event time of entry `i`.
    #[inline(always)]
    fn time(&self, i: usize) -> i64 {
        self.word(i, TIME)
    }
    /// Whether entry `i` counts.
    #[inline(always)]
    fn counts(&self, bit: Option<Bit>, i: usize) -> bool {
        bit.is_none_or(|b| self.word(i, b.word) & b.mask != 0)
    }
    /// The value of entry `i`: a number, or a word of the interner.
    #[inline(always)]
    fn value(&self, value: Value, i: usize) -> i128 {
        match value {
            Value::None => 0,
            Value::Fixed { word, .. } | Value::Text(word) => i128::from(self.word(i, word)),
            Value::Wide(word) => wide(self.word(i, word), self.word(i, word + 1)),
            Value::Place => i as i128,
        }
    }
}

/// The number whose two words these are.
#[inline(always)]
pub fn wide(low: i64, high: i64) -> i128 {
    (i128::from(high) << 64) | i128::from(low as u64)
}

/// Invertible moments: adding and removing an entry are exact opposites.
#[derive(Clone, Copy, Debug, Default)]
pub struct Moments {
    /// Entries that count.
    pub n: i64,
    /// Sum of their values, of at most 64 bits each.
    pub sum: i128,
}

/// Moments that few measures need.
#[derive(Clone, Copy, Debug, Default)]
pub struct WideMoments {
    /// Sum of values of more than 64 bits.
    pub sum: i256,
    /// Sum of squares.
    pub squares: i256,
}

impl Moments {
    /// Adds an entry that counts.
    #[inline(always)]
    pub fn add(&mut self, m: &Measure, v: i128) {
        self.n += 1;
        if m.sum {
            self.sum += v;
        }
    }
    /// Takes off an entry that was added.
    #[inline(always)]
    pub fn remove(&mut self, m: &Measure, v: i128) {
        self.n -= 1;
        if m.sum {
            self.sum -= v;
        }
    }
}

impl WideMoments {
    /// Adds an entry that counts.
    pub fn add(&mut self, m: &Measure, v: i128) {
        let v = i256::from_i128(v);
        self.sum = self.sum.wrapping_add(v);
        if m.squares {
            self.squares = self.squares.wrapping_add(v.wrapping_mul(v));
        }
    }
    /// Takes off an entry that was added.
    pub fn remove(&mut self, m: &Measure, v: i128) {
        let v = i256::from_i128(v);
        self.sum = self.sum.wrapping_sub(v);
        if m.squares {
            self.squares = self.squares.wrapping_sub(v.wrapping_mul(v));
        }
    }
}

/// Values whose squares are added must be below this: then 2 million of them add up within 256 bits.
pub const SQUARED_MAX: i128 = 1 << 117;

/// Everything known of one measure; the extrema mean something only if `moments.n > 0`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    /// How many, and the sum.
    pub moments: Moments,
    /// Wide sum and squares.
    pub wide: WideMoments,
    /// The least value.
    pub min: i128,
    /// The greatest value.
    pub max: i128,
}

impl Totals {
    /// Adds a value.
    #[inline(always)]
    pub fn add(&mut self, m: &Measure, v: i128) {
        self.moments.add(m, v);
        if m.wide.is_some() {
            self.wide.add(m, v);
        }
    }
    /// Takes a value away.
    #[inline(always)]
    pub fn remove(&mut self, m: &Measure, v: i128) {
        self.moments.remove(m, v);
        if m.wide.is_some() {
            self.wide.remove(m, v);
        }
    }
    /// Sets the extrema that a measure wants; `best` finds one.
    #[inline(always)]
    pub fn set_extrema(&mut self, m: &Measure, best: impl Fn(usize) -> i128) {
        if let Some(e) = m.min {
            self.min = best(e);
        }
        if let Some(e) = m.max {
            self.max = best(e);
        }
    }
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

    /// The best of some entries, by looking at each.
    #[inline(always)]
    pub fn best(&self, names: &Interner, entries: &impl Entries, range: Range<usize>) -> i128 {
        range.fold(self.neutral(), |best, i| self.better(names, best, self.entry(entries, i, 0)))
    }

    /// Entry `i` as this extremum sees it: neutral if it does not count. `gone` entries were before the first.
    #[inline(always)]
    pub fn entry(&self, entries: &impl Entries, i: usize, gone: u64) -> i128 {
        match self.value {
            _ if !entries.counts(self.bit, i) => self.neutral(),
            Value::Place => i128::from(gone) + i as i128,
            value => entries.value(value, i),
        }
    }
}

/// Computes one measure over the entries `range` of a short log.
#[inline(always)]
pub fn scan(plan: &Plan, names: &Interner, log: &Small<'_>, m: &Measure, range: Range<usize>, to: &mut Totals) {
    match (m.bit, m.distinct.map(|d| plan.distincts[d])) {
        (None, None) if !m.sum && m.wide.is_none() => to.moments.n = range.len() as i64,
        (None, None) => fold(log, m, range.clone(), |_| true, to),
        (Some(b), None) => {
            let flags = log.lane(b.word);
            fold(log, m, range.clone(), |i| flags[i] & b.mask != 0, to);
        }
        // a value is new to the frame where its previous occurrence is before the frame
        (None, Some(Distinct { link, .. })) => {
            let links = log.lane(link.word);
            fold(log, m, range.clone(), |i| link.get(links[i]) > i - range.start, to);
        }
        (Some(b), Some(Distinct { link, .. })) => {
            let (flags, links) = (log.lane(b.word), log.lane(link.word));
            fold(log, m, range.clone(), |i| flags[i] & b.mask != 0 && link.get(links[i]) > i - range.start, to);
        }
    }
    to.set_extrema(m, |e| plan.extrema[e].best(names, log, range.clone()));
}

#[inline(always)]
fn fold(log: &Small<'_>, m: &Measure, range: Range<usize>, counts: impl Fn(usize) -> bool, to: &mut Totals) {
    match m.value {
        Value::Fixed { word, narrow: true } if m.wide.is_none() => {
            let values = &log.lane(word)[..range.end];
            let (mut n, mut sum) = (0i64, 0i64);
            for i in range {
                let taken = i64::from(counts(i));
                n = n.wrapping_add(taken);
                sum = sum.wrapping_add(values[i] & taken.wrapping_neg());
            }
            to.moments = Moments { n, sum: i128::from(sum) };
        }
        _ if !m.sum && m.wide.is_none() => {
            to.moments.n = range.fold(0i64, |n, i| n.wrapping_add(i64::from(counts(i))));
        }
        _ => {
            (to.moments, to.wide) = Default::default();
            for i in range.filter(|i| counts(*i)) {
                to.add(m, log.value(m.value, i));
            }
        }
    }
}
