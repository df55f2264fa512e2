//! Covariance and correlation of two columns, over rows where neither is NULL.
//!
//! Of integers and DECIMAL everything is exact: both columns are brought to one scale, and with s = x + y
//! 2·n·Σxy = n·(Σs² − Σx² − Σy²), so sums and sums of squares are enough. A covariance is rounded once, half up. A
//! correlation is a DOUBLE: its three exact moments are rounded, then divided.
//!
//! Of DOUBLE a product is the sum of two doubles, its rounded value and what that lacks ([`split`]); the sums are exact
//! ([`ExactSum`]). So no result depends on the order of rows.

use super::finish::{Finish, Overflow, ten_to};
use super::{ExactSum, double};
use arrow::datatypes::i256;
use highwater_engine::graph::AggregateFunction;

/// What is known of `n` pairs of exact numbers of one scale.
#[derive(Clone, Copy, Debug)]
pub struct Pairs {
    /// How many.
    pub n: u64,
    /// Σx and Σy.
    pub sums: [i256; 2],
    /// Σx² and Σy².
    pub squares: [i256; 2],
    /// Σ(x + y)².
    pub both: i256,
}

impl Pairs {
    /// 2·(n·Σxy − Σx·Σy).
    fn twice_moment(&self) -> Option<i256> {
        let [x, y] = self.squares;
        let products = self.both.checked_sub(x)?.checked_sub(y)?;
        let other = self.sums[0].checked_mul(self.sums[1])?.checked_mul(i256::from_i128(2))?;
        self.n()?.checked_mul(products)?.checked_sub(other)
    }

    /// n·Σx² − (Σx)² of one of the two.
    fn moment_of(&self, i: usize) -> Option<i256> {
        self.n()?.checked_mul(self.squares[i])?.checked_sub(self.sums[i].checked_mul(self.sums[i])?)
    }

    fn n(&self) -> Option<i256> {
        Some(i256::from_i128(i128::from(self.n)))
    }

    /// CORR; `None` (NULL) where one of the two does not vary.
    pub fn correlation(&self) -> Result<Option<f64>, Overflow> {
        let moments = || Some((self.twice_moment()?, self.moment_of(0)?, self.moment_of(1)?));
        let (twice, x, y) = moments().ok_or(Overflow)?;
        Ok(correlation(rounded(twice) / 2.0, rounded(x), rounded(y)))
    }
}

/// A moment divided by the root of the product of two others; rounding may take it beyond ±1.
fn correlation(both: f64, x: f64, y: f64) -> Option<f64> {
    let root = match x * y {
        product if product.is_normal() => product.sqrt(),
        _ => x.sqrt() * y.sqrt(),
    };
    (x != 0.0 && y != 0.0).then(|| (both / root).clamp(-1.0, 1.0))
}

/// The nearest double, but for ties of what is below the upper 128 bits.
fn rounded(v: i256) -> f64 {
    let magnitude = if v.is_negative() { v.wrapping_neg() } else { v };
    let (low, high) = magnitude.to_parts();
    let value = high as u128 as f64 * (1u128 << 127) as f64 * 2.0 + low as f64;
    if v.is_negative() { -value } else { value }
}

impl Finish {
    /// COVAR_POP or COVAR_SAMP; `None` (NULL) of too few pairs.
    pub fn covariance(&self, pairs: &Pairs) -> Result<Option<i128>, Overflow> {
        if pairs.n < if self.population { 1 } else { 2 } {
            return Ok(None);
        }
        let quotient = || -> Option<i128> {
            let twice = pairs.twice_moment()?;
            let n = i256::from_i128(i128::from(pairs.n));
            let below = n.checked_mul(if self.population { n } else { n.wrapping_sub(i256::ONE) })?;
            let power = ten_to(self.lift.unsigned_abs()).ok()?;
            let (up, down) = if self.lift >= 0 { (power, i256::ONE) } else { (i256::ONE, power) };
            let doubled = twice.checked_abs()?.checked_mul(up)?.checked_div(below.checked_mul(down)?)?;
            // ⌊2x⌋ decides the rounding
            let value: i256 = doubled.checked_add(i256::ONE)? >> 1;
            value.to_i128().map(|v| if twice.is_negative() { -v } else { v })
        };
        self.fit(quotient().ok_or(Overflow)?).map(Some)
    }
}

/// The product of two doubles, rounded, and what that lacks.
pub fn split(x: f64, y: f64) -> (f64, f64) {
    let high = x * y;
    let low = x.mul_add(y, -high);
    (high, if low.is_finite() { low } else { 0.0 })
}

/// What is known of `n` pairs of doubles: sums, sums of squares, and the two sums of products.
#[derive(Clone, Copy, Debug)]
pub struct DoublePairs<'a> {
    /// How many.
    pub n: u64,
    /// Σx and Σy.
    pub sums: [&'a ExactSum; 2],
    /// Σx² and Σy²; a correlation needs them.
    pub squares: [&'a ExactSum; 2],
    /// Σxy in the two parts of [`split`].
    pub products: [&'a ExactSum; 2],
}

impl DoublePairs<'_> {
    /// The covariance or correlation of at least as many pairs as it needs; `None` (NULL) if one of the two does not vary.
    pub fn finish(&self, function: AggregateFunction) -> Option<f64> {
        let Self { n, sums: [x, y], squares, products } = *self;
        if x.has_limits() || y.has_limits() {
            return Some(f64::NAN);
        }
        let mut all = products[0].clone();
        all.merge(products[1]);
        let both = if all.has_limits() { f64::NAN } else { double::ExactSum::moment(n, x, y, &all) };
        let n_less = if function == AggregateFunction::CovarSamp { n - 1 } else { n };
        match function {
            AggregateFunction::Corr => {
                let of = |s: &ExactSum, q: &ExactSum| double::ExactSum::moment(n, s, s, q);
                correlation(both, of(x, squares[0]), of(y, squares[1]))
            }
            _ => Some(both / (n as f64 * n_less as f64)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::DataType;
    use highwater_engine::graph::Aggregate;
    use proptest::prelude::*;

    fn pairs(values: &[(i128, i128)]) -> Pairs {
        let sum = |f: fn(&(i128, i128)) -> i128| i256::from_i128(values.iter().map(f).sum());
        Pairs {
            n: values.len() as u64,
            sums: [sum(|p| p.0), sum(|p| p.1)],
            squares: [sum(|p| p.0 * p.0), sum(|p| p.1 * p.1)],
            both: sum(|p| (p.0 + p.1) * (p.0 + p.1)),
        }
    }

    fn covariance(function: AggregateFunction, values: &[(i128, i128)]) -> Option<i128> {
        let (label, separator, returns) = ("c".to_owned(), String::new(), DataType::Decimal128(38, 6));
        let a = Aggregate {
            function,
            argument: Some(0),
            by: Some(1),
            separator,
            distinct: false,
            filter: None,
            returns,
            label,
        };
        Finish::new(&a, &DataType::Decimal128(38, 0)).unwrap().covariance(&pairs(values)).unwrap()
    }

    /// By hand: Σ(x − x̄)(y − ȳ) = 6, Σ(x − x̄)² = 10, Σ(y − ȳ)² = 6.
    #[test]
    fn covariance_of_a_known_series() {
        let values = [(1, 2), (2, 4), (3, 5), (4, 4), (5, 5)];
        assert_eq!(covariance(AggregateFunction::CovarPop, &values), Some(1_200_000));
        assert_eq!(covariance(AggregateFunction::CovarSamp, &values), Some(1_500_000));
        let falling = values.map(|(x, y)| (x, -y));
        assert_eq!(covariance(AggregateFunction::CovarSamp, &falling), Some(-1_500_000));
        assert_eq!(covariance(AggregateFunction::CovarSamp, &values[..1]), None);
        assert_eq!(covariance(AggregateFunction::CovarPop, &values[..1]), Some(0));
        let is = |values: &[(i128, i128)], expected: f64| {
            let found = pairs(values).correlation().unwrap().unwrap();
            assert!((found - expected).abs() < 1e-15, "{found} {expected}");
        };
        is(&values, 6.0 / 60f64.sqrt());
        is(&[(1, 7), (2, 9), (3, 11)], 1.0);
        is(&[(1, 7), (2, 5)], -1.0);
        assert_eq!(pairs(&[(1, 7), (2, 7)]).correlation(), Ok(None));
    }

    proptest! {
        #[test]
        fn moments_of_doubles_agree_with_exact_ones(values in prop::collection::vec((-999i128..999, -999i128..999), 2..40)) {
            let mut sums: [ExactSum; 6] = Default::default();
            for (x, y) in values.iter().map(|(x, y)| (*x as f64 / 8.0, *y as f64 / 4.0)) {
                let (high, low) = split(x, y);
                for (s, v) in sums.iter_mut().zip([x, y, high, low]) {
                    s.add(v);
                }
                sums[4].add_square(x);
                sums[5].add_square(y);
            }
            let n = values.len() as u64;
            let [x, y, high, low, qx, qy] = &sums;
            let found = DoublePairs { n, sums: [x, y], squares: [qx, qy], products: [high, low] };
            let exact: i128 = n as i128 * values.iter().map(|(x, y)| x * y).sum::<i128>()
                - values.iter().map(|p| p.0).sum::<i128>() * values.iter().map(|p| p.1).sum::<i128>();
            let expected = exact as f64 / 32.0 / (n as f64 * (n - 1) as f64);
            prop_assert_eq!(found.finish(AggregateFunction::CovarSamp), Some(expected));
            let (one, other) = (found.finish(AggregateFunction::Corr), pairs(&values).correlation().unwrap());
            match (one, other) {
                (Some(a), Some(b)) => prop_assert!((a - b).abs() < 1e-12, "{} {}", a, b),
                (a, b) => prop_assert_eq!(a, b),
            }
        }
    }
}
