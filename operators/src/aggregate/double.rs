//! Sums of DOUBLE that are exact, so that neither the order of the rows nor the shape of a merge tree shows in a result.
//!
//! An [`ExactSum`] holds Σ dᵢ·2^(32·(low + i)) with signed 64-bit digits and carries left for later: only the digits that
//! the values reach are kept (two or three for amounts of money, 66 for all doubles). Adding and taking away are exact,
//! so it serves hopping windows as well. The result is rounded once, to nearest even. NaN and infinities are counted
//! beside the digits. Cost: some 10 ns per value.

use highwater_engine::error::OperatorError;
use highwater_engine::graph::AggregateFunction;
use highwater_engine::state::codec::{Reader, Writer};

/// Additions after which carries are settled: each adds less than 2^33 to a digit.
const PENDING_MAX: u32 = 1 << 28;
/// Digits of any sum that can be read back: all doubles, their squares and 2^64 of them.
const DIGITS_MAX: usize = 160;

/// An exact sum of doubles or of their squares.
#[derive(Clone, Debug, Default)]
pub struct ExactSum {
    low: i32,
    digits: Vec<i64>,
    pending: u32,
    nans: u64,
    positive_infinities: u64,
    negative_infinities: u64,
}

/// A sum settled: sign, magnitude in digits of 32 bits, position of the lowest.
struct Settled {
    negative: bool,
    digits: Vec<u32>,
    low: i32,
}

impl ExactSum {
    /// Adds a value.
    pub fn add(&mut self, v: f64) {
        self.apply(v, false, false);
    }
    /// Takes away a value that was added before.
    pub fn remove(&mut self, v: f64) {
        self.apply(v, false, true);
    }
    /// Adds the square of a value.
    pub fn add_square(&mut self, v: f64) {
        self.apply(v, true, false);
    }
    /// Takes away the square of a value that was added before.
    pub fn remove_square(&mut self, v: f64) {
        self.apply(v, true, true);
    }
    /// Whether this is what a new sum is.
    pub fn is_zero(&self) -> bool {
        self.nans == 0 && self.positive_infinities == 0 && self.negative_infinities == 0 && {
            self.digits.is_empty() || self.settled().digits.is_empty()
        }
    }
    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.digits.capacity() * 8
    }

    fn apply(&mut self, v: f64, square: bool, away: bool) {
        if !v.is_finite() {
            let count = match () {
                () if v.is_nan() => &mut self.nans,
                () if v > 0.0 || square => &mut self.positive_infinities,
                () => &mut self.negative_infinities,
            };
            *count = if away { *count - 1 } else { *count + 1 };
            return;
        }
        let (mantissa, exponent) = parts(v);
        if mantissa == 0 {
            return;
        }
        let m = u128::from(mantissa);
        let (m, e) = if square { (m * m, 2 * exponent) } else { (m, exponent) };
        self.add_scaled(m, e, (v < 0.0 && !square) != away);
    }

    /// Adds ±m·2^e.
    fn add_scaled(&mut self, m: u128, e: i32, negative: bool) {
        let (at, shift) = (e.div_euclid(32), e.rem_euclid(32));
        let pieces = (128 - m.leading_zeros()).div_ceil(32) as usize;
        self.reach(at, pieces + 1);
        let base = (at - self.low) as usize;
        for k in 0..pieces {
            let w = u64::from((m >> (32 * k)) as u32) << shift;
            let (lo, hi) = (i64::from(w as u32), (w >> 32) as i64);
            let (lo, hi) = if negative { (-lo, -hi) } else { (lo, hi) };
            self.digits[base + k] += lo;
            self.digits[base + k + 1] += hi;
        }
        self.pending += 1;
        if self.pending >= PENDING_MAX {
            self.settle();
        }
    }

    /// Makes room for digits `at .. at + n`.
    fn reach(&mut self, at: i32, n: usize) {
        if self.digits.is_empty() {
            self.low = at;
        }
        if at < self.low {
            let more = (self.low - at) as usize;
            self.digits.splice(0..0, std::iter::repeat_n(0, more));
            self.low = at;
        }
        let end = (at - self.low) as usize + n;
        if end > self.digits.len() {
            self.digits.resize(end, 0);
        }
    }

    /// Adds another sum.
    pub fn merge(&mut self, other: &ExactSum) {
        self.combine(other, false);
    }
    /// Takes away another sum that was merged before.
    pub fn unmerge(&mut self, other: &ExactSum) {
        self.combine(other, true);
    }

    fn combine(&mut self, other: &ExactSum, away: bool) {
        let count = |a: &mut u64, b: u64| *a = if away { *a - b } else { *a + b };
        count(&mut self.nans, other.nans);
        count(&mut self.positive_infinities, other.positive_infinities);
        count(&mut self.negative_infinities, other.negative_infinities);
        if other.digits.is_empty() {
            return;
        }
        self.reach(other.low, other.digits.len());
        if self.pending + other.pending >= PENDING_MAX {
            self.settle();
        }
        let base = (other.low - self.low) as usize;
        for (mine, d) in self.digits[base..].iter_mut().zip(&other.digits) {
            *mine = if away { *mine - d } else { *mine + d };
        }
        self.pending += other.pending + 1;
    }

    /// Moves carries up: each digit but the last is then in 0 .. 2^32.
    fn settle(&mut self) {
        let mut carry = 0i64;
        for d in &mut self.digits {
            let v = *d + carry;
            *d = v & 0xFFFF_FFFF;
            carry = v >> 32;
        }
        if carry != 0 {
            self.digits.push(carry);
        }
        self.pending = 1;
    }

    fn settled(&self) -> Settled {
        let mut s = self.clone();
        s.digits.extend([0, 0]);
        s.settle();
        let negative = s.digits.last().is_some_and(|d| *d < 0);
        if negative {
            s.digits.iter_mut().for_each(|d| *d = -*d);
            s.settle();
        }
        let mut digits: Vec<u32> = s.digits.iter().map(|d| *d as u32).collect();
        while digits.last() == Some(&0) {
            digits.pop();
        }
        Settled { negative, digits, low: s.low }
    }

    /// The sum, rounded to the nearest double, ties to even.
    pub fn value(&self) -> f64 {
        if self.nans > 0 || (self.positive_infinities > 0 && self.negative_infinities > 0) {
            return f64::NAN;
        }
        if self.positive_infinities > 0 {
            return f64::INFINITY;
        }
        if self.negative_infinities > 0 {
            return f64::NEG_INFINITY;
        }
        let s = self.settled();
        let n = s.digits.len();
        let top = n.saturating_sub(4);
        let mut w = s.digits[top..].iter().rev().fold(0u128, |w, d| (w << 32) | u128::from(*d));
        // below 97 bits of value everything else is only "more than nothing"
        w |= u128::from(s.digits[..top].iter().any(|d| *d != 0));
        let v = scale(w as f64, 32 * (s.low + top as i32));
        if s.negative { -v } else { v }
    }

    /// The mean of `n` values: the rounded sum divided by `n`.
    pub fn mean(&self, n: u64) -> f64 {
        self.value() / n as f64
    }

    /// A variance or standard deviation of `n` values, enough for it, from their sum and the sum of their squares:
    /// n·Σx² − (Σx)² is exact.
    pub fn dispersion(function: AggregateFunction, n: u64, total: &ExactSum, squares: &ExactSum) -> f64 {
        if total.has_limits() {
            return f64::NAN;
        }
        let variance = Self::moment(n, total, total, squares);
        let n = n as f64;
        use AggregateFunction::{StddevPop, StddevSamp, VarPop};
        let population = matches!(function, VarPop | StddevPop);
        let variance = variance / (n * if population { n } else { n - 1.0 });
        if matches!(function, StddevSamp | StddevPop) { variance.sqrt() } else { variance }
    }

    /// n·Σxy − Σx·Σy of `n` finite pairs, rounded once.
    pub fn moment(n: u64, x: &ExactSum, y: &ExactSum, products: &ExactSum) -> f64 {
        let count = Settled { negative: false, digits: vec![n as u32, (n >> 32) as u32], low: 0 };
        let mut moment = product(&products.settled(), &count);
        moment.unmerge(&product(&x.settled(), &y.settled()));
        moment.value()
    }
    /// Whether a value was NaN or infinite.
    pub fn has_limits(&self) -> bool {
        self.nans + self.positive_infinities + self.negative_infinities > 0
    }

    /// Appends the sum to a snapshot.
    pub fn write(&self, to: &mut Writer) {
        let mut s = self.clone();
        s.settle();
        to.u64(s.nans);
        to.u64(s.positive_infinities);
        to.u64(s.negative_infinities);
        to.i64(i64::from(s.low));
        to.u32(s.digits.len() as u32);
        s.digits.iter().for_each(|d| to.i64(*d));
    }

    /// Reads what [`ExactSum::write`] wrote.
    pub fn read(from: &mut Reader) -> Result<Self, OperatorError> {
        let (nans, positive_infinities, negative_infinities) = (from.u64()?, from.u64()?, from.u64()?);
        let damaged = || OperatorError::new("state is damaged: an impossible sum of DOUBLE");
        let low = i32::try_from(from.i64()?).ok().filter(|l| (-100..=100).contains(l)).ok_or_else(damaged)?;
        let n = from.u32()? as usize;
        if n > DIGITS_MAX {
            return Err(damaged());
        }
        let digits = (0..n).map(|_| from.i64()).collect::<Result<_, _>>()?;
        Ok(Self { low, digits, pending: 1, nans, positive_infinities, negative_infinities })
    }
}

/// |v| as m·2^e with odd or zero m.
fn parts(v: f64) -> (u64, i32) {
    let bits = v.to_bits();
    let (field, fraction) = ((bits >> 52) as i32 & 0x7FF, bits & ((1 << 52) - 1));
    let (m, e) = if field == 0 { (fraction, -1074) } else { (fraction | 1 << 52, field - 1075) };
    if m == 0 { (0, 0) } else { (m >> m.trailing_zeros(), e + m.trailing_zeros() as i32) }
}

fn product(a: &Settled, b: &Settled) -> ExactSum {
    let mut out = ExactSum::default();
    for (i, x) in a.digits.iter().enumerate() {
        for (j, y) in b.digits.iter().enumerate() {
            let m = u128::from(*x) * u128::from(*y);
            if m != 0 {
                out.add_scaled(m, 32 * (a.low + b.low + (i + j) as i32), a.negative != b.negative);
            }
        }
    }
    out
}

/// v·2^e; steps keep the power itself finite.
fn scale(mut v: f64, mut e: i32) -> f64 {
    let power = |e: i32| f64::from_bits(((e + 1023) as u64) << 52);
    while e > 1000 {
        v *= power(1000);
        e -= 1000;
    }
    while e < -1000 {
        v *= power(-1000);
        e += 1000;
    }
    v * power(e)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sum(values: &[f64]) -> ExactSum {
        let mut s = ExactSum::default();
        values.iter().for_each(|v| s.add(*v));
        s
    }

    #[test]
    fn what_cancels_leaves_the_rest_exactly() {
        assert_eq!(sum(&[1e300, 1.0, -1e300]).value(), 1.0);
        assert_eq!(sum(&[1e-320, 1e308, 5e-324, -1e308]).value(), 1e-320 + 5e-324);
        assert_eq!(sum(&[0.1; 10]).value(), 1.0, "ten times the double 0.1 is 1 when rounded once");
        assert_eq!(sum(&[f64::MAX, f64::MAX]).value(), f64::INFINITY);
        assert!(sum(&[3.5, -3.5]).is_zero());
    }

    #[test]
    fn a_tie_goes_to_even_and_what_follows_breaks_it() {
        let ulp = 2f64.powi(-52);
        assert_eq!(sum(&[1.0, ulp / 2.0]).value(), 1.0);
        assert_eq!(sum(&[1.0, ulp / 2.0, 2f64.powi(-400)]).value(), 1.0 + ulp);
        assert_eq!(sum(&[1.0 + ulp, ulp / 2.0]).value(), 1.0 + 2.0 * ulp);
    }

    #[test]
    fn infinities_and_nan_come_and_go() {
        let mut s = sum(&[1.0, f64::INFINITY]);
        assert_eq!(s.value(), f64::INFINITY);
        s.add(f64::NEG_INFINITY);
        assert!(s.value().is_nan());
        s.remove(f64::INFINITY);
        s.remove(f64::NEG_INFINITY);
        assert_eq!(s.value(), 1.0);
    }

    #[test]
    fn stddev_of_a_known_series_far_from_zero() {
        let values = [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0].map(|v| v + 1e9);
        let (mut t, mut q) = (ExactSum::default(), ExactSum::default());
        values.iter().for_each(|v| {
            t.add(*v);
            q.add_square(*v);
        });
        let of = |f| ExactSum::dispersion(f, 8, &t, &q);
        assert_eq!(of(AggregateFunction::StddevSamp), (32.0f64 / 7.0).sqrt());
        assert_eq!(of(AggregateFunction::VarSamp), 32.0 / 7.0);
        assert_eq!((of(AggregateFunction::VarPop), of(AggregateFunction::StddevPop)), (4.0, 2.0));
    }

    proptest! {
        #[test]
        fn any_order_and_any_tree_give_one_sum(mut values in prop::collection::vec(any::<f64>(), 0..30), cut in 0usize..30) {
            let all = sum(&values).value();
            let cut = cut.min(values.len());
            let (left, right) = values.split_at(cut);
            let mut merged = sum(right);
            merged.merge(&sum(left));
            prop_assert_eq!(all.to_bits(), merged.value().to_bits());
            let mut back = merged.clone();
            back.unmerge(&sum(left));
            prop_assert_eq!(back.value().to_bits(), sum(right).value().to_bits());
            values.reverse();
            prop_assert_eq!(all.to_bits(), sum(&values).value().to_bits());
        }

        #[test]
        fn integers_sum_as_integers(values in prop::collection::vec(-(1i64 << 53)..(1i64 << 53), 0..50)) {
            let exact: i128 = values.iter().map(|v| i128::from(*v)).sum();
            let s = sum(&values.iter().map(|v| *v as f64).collect::<Vec<_>>());
            prop_assert_eq!(s.value(), exact as f64);
            let mut w = Writer::new();
            s.write(&mut w);
            let bytes = w.finish();
            let read = ExactSum::read(&mut Reader::new(&bytes)).unwrap();
            prop_assert_eq!(read.value(), exact as f64);
        }
    }
}
