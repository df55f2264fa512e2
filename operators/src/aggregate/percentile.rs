//! The value at a share of ordered values.
//!
//! * [`place`] and [`Finish::between`]: PERCENTILE_CONT and MEDIAN, exactly. Of n ordered values, numbered from 0, the one
//!   at place p·(n − 1), interpolated between its neighbours; for integers and DECIMAL rounded once, half up.
//! * [`rank`] and [`bucket_of`]: APPROX_PERCENTILE, the value of rank ⌈p·n⌉ (from 1) from counts of values by *bucket*.
//!   Each power of two is cut into 128 buckets, so the middle of a bucket is within 1/256 of any value in it; integers
//!   (DECIMAL by their unscaled ones) below 256 have a bucket each. A bucket is taken from the bits of the value, with no
//!   logarithm: any machine finds the same. Counts of buckets add up and can be taken away, so neither the order of rows
//!   nor how they were divided shows.

use super::finish::{Finish, Overflow, ten_to};
use super::values::{column_of_f64, column_of_i128};
use arrow::array::ArrayRef;
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, i256};
use highwater_engine::hash::canonical_bits;

/// One, in millionths.
const ONE: u32 = 1_000_000;
/// Buckets of a power of two: 2 to the power of this.
const PART_BITS: u32 = 7;
const PARTS: i64 = 1 << PART_BITS;
/// Bits of a double below its bucket.
const BELOW_BITS: u32 = 52 - PART_BITS;

/// Where the share of `n` values, at least one, lies: the number of the lower neighbour, and how far behind it in millionths.
pub fn place(n: u64, millionths: u32) -> (u64, u32) {
    let at = u128::from(n - 1) * u128::from(millionths);
    let one = u128::from(ONE);
    ((at / one) as u64, (at % one) as u32)
}

/// The rank, from 1, of the least value that the share of `n` values does not exceed.
pub fn rank(n: u64, millionths: u32) -> u64 {
    let at = (u128::from(n) * u128::from(millionths)).div_ceil(u128::from(ONE));
    (at as u64).max(1)
}

/// Two doubles interpolated; equal ones are themselves, be they infinite.
pub fn between_doubles(low: f64, high: f64, millionths: u32) -> f64 {
    if millionths == 0 || low == high {
        return low;
    }
    let share = f64::from(millionths) / f64::from(ONE);
    let distance = high - low;
    if distance.is_finite() { low + distance * share } else { low * (1.0 - share) + high * share }
}

impl Finish {
    /// PERCENTILE_CONT from its neighbours.
    pub fn between(&self, low: i128, high: i128, millionths: u32) -> Result<i128, Overflow> {
        let weighed = |v: i128, weight: u32| i256::from_i128(v).checked_mul(i256::from_i128(i128::from(weight)));
        let sum = weighed(low, ONE - millionths).zip(weighed(high, millionths)).and_then(|(l, h)| l.checked_add(h));
        let top = sum.and_then(|s| s.checked_mul(ten_to(self.shift as u32).ok()?)).ok_or(Overflow)?;
        let one = i256::from_i128(i128::from(ONE));
        let (quotient, rest) = (top.wrapping_div(one), top.wrapping_rem(one).wrapping_abs());
        let up = match rest.wrapping_add(rest) >= one {
            true if top.is_negative() => i256::MINUS_ONE,
            true => i256::ONE,
            false => i256::ZERO,
        };
        self.fit(quotient.wrapping_add(up).to_i128().ok_or(Overflow)?)
    }
}

/// The bucket of an integer, or of a DECIMAL's unscaled one. Buckets are ordered as values are.
pub fn bucket_of(v: i128) -> i64 {
    let magnitude = v.unsigned_abs();
    let wide = (128 - magnitude.leading_zeros()).saturating_sub(PART_BITS + 1);
    let bucket = i64::from(wide) * PARTS + (magnitude >> wide) as i64;
    if v < 0 { !bucket } else { bucket }
}

/// The bucket of a double.
pub fn bucket_of_double(v: f64) -> i64 {
    let bits = canonical_bits(v) as i64;
    let bucket = (bits & i64::MAX) >> BELOW_BITS;
    if bits < 0 { !bucket } else { bucket }
}

/// The middle of a bucket of integers.
fn middle(bucket: i64) -> i128 {
    let of = if bucket < 0 { !bucket } else { bucket };
    let wide = (of / PARTS - 1).max(0) as u32;
    let least = ((of - i64::from(wide) * PARTS) as u128) << wide;
    let magnitude = least.saturating_add((1 << wide) >> 1).min(i128::MAX as u128) as i128;
    if bucket < 0 { -magnitude } else { magnitude }
}

/// The middle of a bucket of doubles; that of zero and of an infinity is itself.
fn middle_double(bucket: i64) -> f64 {
    let of = if bucket < 0 { !bucket } else { bucket };
    let least = (of as u64) << BELOW_BITS;
    let middle = match f64::from_bits(least | 1 << (BELOW_BITS - 1)) {
        _ if of == 0 => 0.0,
        m if m.is_finite() => m,
        _ => f64::from_bits(least),
    };
    if bucket < 0 { -middle } else { middle }
}

/// The middles of buckets as a column of the type that the values had.
pub fn middles(buckets: Vec<i64>, nulls: Option<NullBuffer>, t: &DataType) -> ArrayRef {
    if let DataType::Float32 | DataType::Float64 = t {
        return column_of_f64(buckets.into_iter().map(middle_double).collect(), nulls, t);
    }
    let max = match t {
        DataType::Int8 => i128::from(i8::MAX),
        DataType::Int16 => i128::from(i16::MAX),
        DataType::Int32 => i128::from(i32::MAX),
        DataType::Decimal128(p, _) => 10i128.pow(u32::from(*p)) - 1,
        _ => i128::from(i64::MAX),
    };
    // a bucket may reach beyond the type
    column_of_i128(buckets.into_iter().map(|b| middle(b).clamp(-max, max)).collect(), nulls, t)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aggregate::values::ordered_bits;
    use highwater_engine::graph::{Aggregate, AggregateFunction};
    use proptest::prelude::*;

    fn finish(argument: &DataType, returns: DataType) -> Finish {
        let function = AggregateFunction::PercentileCont { millionths: 0 };
        let (label, separator) = ("p".to_owned(), String::new());
        let a = Aggregate {
            function,
            argument: Some(0),
            by: None,
            separator,
            distinct: false,
            filter: None,
            returns,
            label,
        };
        Finish::new(&a, argument).unwrap()
    }

    #[test]
    fn a_share_is_between_two_places() {
        assert_eq!(place(5, 500_000), (2, 0));
        assert_eq!(place(4, 500_000), (1, 500_000));
        assert_eq!((place(1, 990_000), place(11, 990_000)), ((0, 0), (9, 900_000)));
        assert_eq!((place(7, 0), place(7, 1_000_000)), ((0, 0), (6, 0)));
        assert_eq!((rank(4, 0), rank(4, 250_000), rank(4, 250_001), rank(4, 1_000_000)), (1, 1, 2, 4));
    }

    #[test]
    fn what_lies_between_two_values_is_rounded_once_half_up() {
        let cents = finish(&DataType::Decimal128(12, 2), DataType::Decimal128(38, 6));
        // 1.00 and 2.00 at a half; −0.01 and 0.00 at 0.00005 of the way: −0.0099995
        assert_eq!(cents.between(100, 200, 500_000), Ok(1_500_000));
        assert_eq!(cents.between(-1, 0, 50), Ok(-10_000));
        assert_eq!(cents.between(0, 1, 50), Ok(1), "0.0000005 is a tie");
        assert_eq!(finish(&DataType::Int64, DataType::Decimal128(38, 6)).between(1, 2, 500_000), Ok(1_500_000));
        let long = finish(&DataType::Decimal128(38, 0), DataType::Decimal128(38, 6));
        assert_eq!(long.between(10i128.pow(37), 10i128.pow(37), 0), Err(Overflow));
    }

    #[test]
    fn doubles_between_infinities_and_themselves() {
        let max = f64::MAX;
        assert_eq!(between_doubles(f64::INFINITY, f64::INFINITY, 500_000), f64::INFINITY);
        assert_eq!(between_doubles(-max, max, 500_000), 0.0);
        assert_eq!(between_doubles(1.0, 2.0, 250_000), 1.25);
        assert!(between_doubles(f64::NEG_INFINITY, f64::INFINITY, 500_000).is_nan());
    }

    #[test]
    fn the_limits_are_in_buckets_of_their_own() {
        for v in [0.0, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(middle_double(bucket_of_double(v)), v);
        }
        assert!(middle_double(bucket_of_double(f64::NAN)).is_nan());
        for v in [i128::MAX, i128::MIN + 1, -255, 255, 0, -1] {
            let (m, error) = (middle(bucket_of(v)), v.unsigned_abs() / 256);
            assert!(m.abs_diff(v) <= error, "{v} {m}");
        }
    }

    proptest! {
        #[test]
        fn a_middle_is_within_a_256th_of_every_value_of_its_bucket(v in any::<i128>(), down in 0u32..127) {
            let v = v >> down;
            let m = middle(bucket_of(v));
            prop_assert!(m.abs_diff(v) <= v.unsigned_abs() / 256, "{} {}", v, m);
        }
        #[test]
        fn the_same_holds_for_doubles(v in prop::num::f64::NORMAL) {
            let m = middle_double(bucket_of_double(v));
            prop_assert!((m - v).abs() <= v.abs() / 256.0, "{} {}", v, m);
        }
        #[test]
        fn buckets_are_ordered_as_values(a in any::<i64>(), b in any::<i64>(), down in 0u32..63, x in any::<f64>(), y in any::<f64>()) {
            let (a, b) = (i128::from(a >> down), i128::from(b >> down));
            prop_assert!(a > b || bucket_of(a) <= bucket_of(b));
            prop_assert!(ordered_bits(x) > ordered_bits(y) || bucket_of_double(x) <= bucket_of_double(y));
        }
    }
}
