//! From exact moments to the value of an aggregate's type, rounded once.
//!
//! Types are Flink's. `SUM` keeps integer types and gives DECIMAL(38, s). `AVG` of an integer type is that type,
//! truncated toward zero; of DECIMAL(p, s) it is DECIMAL(38, max(s, 6)), half up (ties away from zero). `VAR_…` and
//! `STDDEV_…` have the types and roundings of `AVG`. They are computed from n·Σx² − (Σx)², a deviation by an exact integer
//! square root, so that they are rounded once. What does not fit the result's type is
//! [`Overflow`], never wrapped; so is a variance whose n·Σx², scaled, is beyond 255 bits (values of some 30 digits).

use arrow::array::{ArrayRef, TimestampMillisecondArray};
use arrow::datatypes::{DataType, SchemaRef, i256};
use arrow::util::display::array_value_to_string;
use highwater_engine::error::{BuildError, OperatorError};
use highwater_engine::graph::types::sql_type;
use highwater_engine::graph::{Aggregate, AggregateFunction};
use std::sync::Arc;

/// The value does not fit the result's type: the job halts with [`Finish::overflow`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overflow;

/// Makes results of one SUM, AVG, variance or standard deviation over integers or DECIMAL: unscaled values of the result's type.
#[derive(Clone, Debug)]
pub struct Finish {
    label: String,
    returns: DataType,
    magnitude_max: i128,
    /// Whether the result is an integer type: truncated, not rounded.
    integer: bool,
    /// Scale of the result less the argument's.
    pub(super) shift: i32,
    /// 10^shift: what a sum is multiplied with before it is divided.
    up: u128,
    /// Whether a dispersion is a standard deviation, not a variance.
    root: bool,
    /// Whether a dispersion is divided by n, not by n − 1.
    pub(super) population: bool,
    /// Scale of a dispersion's fraction less what n·Σx² has: the result's, twice that under a root.
    pub(super) lift: i32,
    /// Powers of ten above and below that fraction.
    lifted: Option<(u128, u128)>,
}

impl Finish {
    /// The finisher of `aggregate`, whose argument has type `argument`. An error if the result's type can't be reached.
    pub fn new(aggregate: &Aggregate, argument: &DataType) -> Result<Self, BuildError> {
        let returns = &aggregate.returns;
        let refuse = || {
            let (a, r) = (sql_type(argument), sql_type(returns));
            BuildError::new(format!("{} of {a} can't be returned as {r}", aggregate.label))
        };
        let (integer, to) = scale_of(returns).ok_or_else(refuse)?;
        let (_, from) = scale_of(argument).ok_or_else(refuse)?;
        let shift = i32::from(to) - i32::from(from);
        let possible = match aggregate.function {
            AggregateFunction::Sum => shift == 0,
            AggregateFunction::Avg | AggregateFunction::PercentileCont { .. } => (0..=38).contains(&shift),
            f => f.is_dispersion() || f.pairs(),
        };
        if !possible {
            return Err(refuse());
        }
        let magnitude_max = match returns {
            DataType::Int8 => i128::from(i8::MAX),
            DataType::Int16 => i128::from(i16::MAX),
            DataType::Int32 => i128::from(i32::MAX),
            DataType::Int64 => i128::from(i64::MAX),
            DataType::Decimal128(p, _) => 10i128.pow(u32::from(*p)) - 1,
            _ => return Err(refuse()),
        };
        use AggregateFunction::{CovarPop, StddevPop, StddevSamp, VarPop};
        let root = matches!(aggregate.function, StddevSamp | StddevPop);
        let lift = if root { 2 * shift } else { i32::from(to) - 2 * i32::from(from) };
        let ten = |e: u32| 10u128.checked_pow(e);
        Ok(Self {
            label: aggregate.label.clone(),
            returns: returns.clone(),
            magnitude_max,
            integer,
            shift,
            up: ten(shift.unsigned_abs()).unwrap_or(0),
            root,
            population: matches!(aggregate.function, StddevPop | VarPop | CovarPop),
            lift,
            lifted: ten(lift.unsigned_abs()).map(|p| if lift >= 0 { (p, 1) } else { (1, p) }),
        })
    }

    /// The result's type.
    pub fn returns(&self) -> &DataType {
        &self.returns
    }

    #[inline]
    pub(super) fn fit(&self, v: i128) -> Result<i128, Overflow> {
        // two's complement has one more negative value
        let low = if self.integer { -self.magnitude_max - 1 } else { -self.magnitude_max };
        if v >= low && v <= self.magnitude_max { Ok(v) } else { Err(Overflow) }
    }

    /// SUM from the exact total over at least one value.
    #[inline]
    pub fn sum(&self, total: i128) -> Result<i128, Overflow> {
        self.fit(total)
    }

    /// [`Finish::sum`] from a total of 256 bits.
    pub fn sum_wide(&self, total: i256) -> Result<i128, Overflow> {
        self.fit(total.to_i128().ok_or(Overflow)?)
    }

    /// AVG of `n` values; `None` (NULL) of none.
    #[inline]
    pub fn avg(&self, n: u64, total: i128) -> Result<Option<i128>, Overflow> {
        if n == 0 {
            return Ok(None);
        }
        let sign = if total < 0 { -1 } else { 1 };
        let Some(top) = total.unsigned_abs().checked_mul(self.up) else {
            return self.avg_wide(n, i256::from_i128(total));
        };
        let mean = match u64::try_from(top) {
            Ok(top) => u128::from(self.divide(top / n, top % n, n)),
            Err(_) => {
                let (q, r) = (top / u128::from(n), (top % u128::from(n)) as u64);
                if !self.integer && r >= n - r { q + 1 } else { q }
            }
        };
        self.fit(sign * i128::try_from(mean).map_err(|_| Overflow)?).map(Some)
    }

    /// Quotient `q` with remainder `r` of a division by `n`, rounded as the result asks.
    #[inline(always)]
    fn divide(&self, q: u64, r: u64, n: u64) -> u64 {
        if !self.integer && r >= n - r { q + 1 } else { q }
    }

    /// [`Finish::avg`] from a total of 256 bits.
    pub fn avg_wide(&self, n: u64, total: i256) -> Result<Option<i128>, Overflow> {
        if n == 0 {
            return Ok(None);
        }
        let n = i256::from_i128(i128::from(n));
        let top = total.checked_mul(ten_to(self.shift as u32)?).ok_or(Overflow)?;
        let (mut q, r) = (top.checked_div(n).ok_or(Overflow)?, top.checked_rem(n).ok_or(Overflow)?);
        let r = r.checked_abs().ok_or(Overflow)?;
        if !self.integer && r >= n.wrapping_sub(r) {
            q = q.wrapping_add(if top.is_negative() { i256::MINUS_ONE } else { i256::ONE });
        }
        self.fit(q.to_i128().ok_or(Overflow)?).map(Some)
    }

    /// A variance or standard deviation of `n` values from their exact sum and sum of squares; `None` (NULL) of too few.
    pub fn dispersion(&self, n: u64, total: i128, squares: i256) -> Result<Option<i128>, Overflow> {
        if n < self.values_min() {
            return Ok(None);
        }
        match self.dispersion_short(n, total, squares) {
            Some(r) => self.fit(r).map(Some),
            None => self.dispersion_wide(n, i256::from_i128(total), squares),
        }
    }

    /// Values from which a dispersion is known.
    fn values_min(&self) -> u64 {
        if self.population { 1 } else { 2 }
    }

    /// The dispersion if everything fits 128 bits: the common case.
    fn dispersion_short(&self, n: u64, total: i128, squares: i256) -> Option<i128> {
        let n = u128::from(n);
        let squares = squares.to_i128()?.unsigned_abs();
        let total = total.unsigned_abs();
        let variance = n.checked_mul(squares)?.checked_sub(total.checked_mul(total)?)?;
        let below = n.checked_mul(if self.population { n } else { n - 1 })?;
        if self.integer && self.shift == 0 {
            let whole = variance / below;
            return i128::try_from(if self.root { whole.isqrt() } else { whole }).ok();
        }
        let (up, down) = self.lifted?;
        let above = variance.checked_mul(if self.root { 4 } else { 2 })?.checked_mul(up)?;
        let twice = above / below.checked_mul(down)?;
        i128::try_from(self.half(if self.root { twice.isqrt() } else { twice })).ok()
    }

    /// [`Finish::dispersion`] in 256 bits.
    pub fn dispersion_wide(&self, n: u64, total: i256, squares: i256) -> Result<Option<i128>, Overflow> {
        if n < self.values_min() {
            return Ok(None);
        }
        let attempt = || -> Option<i128> {
            let n = i256::from_i128(i128::from(n));
            let variance = n.checked_mul(squares)?.checked_sub(total.checked_mul(total)?)?;
            let below = n.checked_mul(if self.population { n } else { n.wrapping_sub(i256::ONE) })?;
            let (up, down) = match self.lift {
                s if s >= 0 => (ten_to(s as u32).ok()?, i256::ONE),
                s => (i256::ONE, ten_to(s.unsigned_abs()).ok()?),
            };
            let above = variance.checked_mul(i256::from_i128(if self.root { 4 } else { 2 }))?.checked_mul(up)?;
            let twice = above.checked_div(below.checked_mul(down)?)?;
            let twice = if self.root { root(twice) } else { u128::try_from(twice.to_i128()?).ok()? };
            i128::try_from(self.half(twice)).ok()
        };
        self.fit(attempt().ok_or(Overflow)?).map(Some)
    }

    /// The result from twice it, floored: ⌊2x⌋ decides both roundings.
    fn half(&self, twice: u128) -> u128 {
        if self.integer { twice / 2 } else { twice / 2 + twice % 2 }
    }

    /// The error of a result that does not fit: names the aggregate, the key, the window or frame, and the cure.
    pub fn overflow(&self, key: &str, place: &str) -> OperatorError {
        let cure = match &self.returns {
            DataType::Int64 => "CAST its argument AS DECIMAL(38, 0)".to_owned(),
            DataType::Int8 | DataType::Int16 | DataType::Int32 => "CAST its argument AS BIGINT".to_owned(),
            _ => "CAST its argument to a DECIMAL of fewer digits or a smaller scale".to_owned(),
        };
        OperatorError::new(format!("{} of {key} in {place} exceeds {}; {cure}", self.label, sql_type(&self.returns)))
    }
}

/// Whether a type is an integer type, and its scale.
fn scale_of(t: &DataType) -> Option<(bool, i8)> {
    match t {
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => Some((true, 0)),
        DataType::Decimal128(_, s) => Some((false, *s)),
        _ => None,
    }
}

pub(super) fn ten_to(e: u32) -> Result<i256, Overflow> {
    i256::from_i128(10).checked_pow(e).ok_or(Overflow)
}

/// ⌊√v⌋ of `v ≥ 0` by Newton's method from above.
fn root(v: i256) -> u128 {
    if let Some(v) = v.to_i128() {
        return v.unsigned_abs().isqrt();
    }
    let bits = 256 - v.leading_zeros();
    let mut x = i256::ONE << (bits.div_ceil(2)) as u8;
    loop {
        let next = (x.wrapping_add(v.wrapping_div(x))) >> 1;
        if next >= x {
            return x.to_parts().0;
        }
        x = next;
    }
}

/// An event time in an error, in UTC: `1970-01-01T00:10:00`.
pub fn describe_time(ms: i64) -> String {
    let time: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![ms]));
    // Beyond what a calendar can show.
    array_value_to_string(&time, 0).unwrap_or_else(|_| format!("{ms} ms"))
}

/// A key in an error: `card=7, currency=NULL`; without key columns `all rows`.
pub fn describe_key(schema: &SchemaRef, keys: &[usize], columns: &[ArrayRef], row: usize) -> String {
    if keys.is_empty() {
        return "all rows".to_owned();
    }
    let one = |(k, c): (&usize, &ArrayRef)| {
        let value = if c.is_null(row) { "NULL".to_owned() } else { array_value_to_string(c, row).unwrap_or_default() };
        format!("{}={value}", schema.field(*k).name())
    };
    keys.iter().zip(columns).map(one).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn finish(function: AggregateFunction, argument: DataType, returns: DataType) -> Finish {
        let label = "f(x)".to_owned();
        let a = Aggregate {
            function,
            argument: Some(0),
            by: None,
            separator: String::new(),
            distinct: false,
            filter: None,
            returns,
            label,
        };
        Finish::new(&a, &argument).unwrap()
    }
    use AggregateFunction::{Avg, StddevPop, StddevSamp, Sum, VarPop, VarSamp};
    use DataType::{Decimal128, Int32, Int64};

    #[test]
    fn sum_of_int_that_leaves_int_overflows_instead_of_wrapping() {
        let f = finish(Sum, Int32, Int32);
        assert_eq!(f.sum(i128::from(i32::MAX)), Ok(i128::from(i32::MAX)));
        assert_eq!(f.sum(i128::from(i32::MIN)), Ok(i128::from(i32::MIN)));
        assert_eq!(f.sum(i128::from(i32::MAX) + 1), Err(Overflow));
        let text = f.overflow("card=7", "[0, 60000)").message;
        assert_eq!(text, "f(x) of card=7 in [0, 60000) exceeds INT; CAST its argument AS BIGINT");
    }

    #[test]
    fn avg_of_integers_truncates_toward_zero_and_of_decimals_rounds_half_up() {
        let int = finish(Avg, Int64, Int64);
        assert_eq!((int.avg(2, 3), int.avg(2, -3), int.avg(0, 0)), (Ok(Some(1)), Ok(Some(-1)), Ok(None)));
        let dec = finish(Avg, Decimal128(12, 2), Decimal128(38, 6));
        assert_eq!(dec.avg(3, 200), Ok(Some(666_667)), "2.00 / 3 = 0.666667");
        assert_eq!(dec.avg(3, -200), Ok(Some(-666_667)));
        // 0.01 / 20000 = 0.0000005: a tie, away from zero
        assert_eq!((dec.avg(20_000, 1), dec.avg(20_000, -1)), (Ok(Some(1)), Ok(Some(-1))));
        assert_eq!(finish(Avg, Decimal128(38, 8), Decimal128(38, 8)).avg(3, 2), Ok(Some(1)));
    }

    #[test]
    fn stddev_of_known_series() {
        // 2, 4, 4, 4, 5, 5, 7, 9: variance 32/7; sqrt = 2.1380899…
        let (n, total, squares) = (8, 40, i256::from_i128(232));
        let dec = |s: i8| finish(StddevSamp, Decimal128(12, s), Decimal128(38, 6));
        assert_eq!(dec(0).dispersion(n, total, squares), Ok(Some(2_138_090)));
        // the same series in cents is a hundredth of it
        assert_eq!(dec(2).dispersion(n, total, squares), Ok(Some(21_381)));
        // with 8 decimals: 0.0000000213.. rounds to 0
        assert_eq!(dec(8).dispersion(n, total, squares), Ok(Some(0)));
        assert_eq!(finish(StddevSamp, Int64, Int64).dispersion(n, total, squares), Ok(Some(2)));
        assert_eq!(dec(2).dispersion(1, 5, i256::from_i128(25)), Ok(None));
        assert_eq!(dec(2).dispersion(2, 10, i256::from_i128(50)), Ok(Some(0)));
    }

    #[test]
    fn variances_of_known_series() {
        // 2, 4, 4, 4, 5, 5, 7, 9: Σ(x − 5)² = 32; of the population 32/8 = 4, of the sample 32/7 = 4.571428…
        let (n, total, squares) = (8, 40, i256::from_i128(232));
        let of = |f, s: i8| finish(f, Decimal128(12, s), Decimal128(38, s.max(6)));
        assert_eq!(of(VarPop, 0).dispersion(n, total, squares), Ok(Some(4_000_000)));
        assert_eq!(of(StddevPop, 0).dispersion(n, total, squares), Ok(Some(2_000_000)));
        assert_eq!(of(VarSamp, 0).dispersion(n, total, squares), Ok(Some(4_571_429)));
        // in cents: 0.0004571428…
        assert_eq!(of(VarSamp, 2).dispersion(n, total, squares), Ok(Some(457)));
        // in units of 10^-8: 4.57 · 10^-16 rounds to 0 of 8 decimals
        assert_eq!(of(VarSamp, 8).dispersion(n, total, squares), Ok(Some(0)));
        assert_eq!(finish(VarSamp, Int64, Int64).dispersion(n, total, squares), Ok(Some(4)), "truncated");
        assert_eq!(of(VarPop, 2).dispersion(1, 5, i256::from_i128(25)), Ok(Some(0)));
        assert_eq!(of(VarSamp, 2).dispersion(1, 5, i256::from_i128(25)), Ok(None));
        assert_eq!(of(StddevPop, 2).dispersion(0, 0, i256::ZERO), Ok(None));
    }

    #[test]
    fn a_mean_that_needs_256_bits_is_exact() {
        let f = finish(Avg, Decimal128(38, 0), Decimal128(38, 6));
        let big = 10i128.pow(31);
        let total = i256::from_i128(big).checked_mul(i256::from_i128(3)).unwrap();
        assert_eq!(f.avg_wide(3, total), Ok(Some(big * 1_000_000)));
        assert_eq!(f.avg(1, 10i128.pow(33)), Err(Overflow));
    }

    #[test]
    fn types_that_do_not_meet_are_refused() {
        let label = "SUM(x)".to_owned();
        let a = |r| Aggregate {
            function: Sum,
            argument: Some(0),
            by: None,
            separator: String::new(),
            distinct: false,
            filter: None,
            returns: r,
            label,
        };
        assert!(Finish::new(&a(Decimal128(38, 3)), &Decimal128(12, 2)).is_err());
    }

    proptest! {
        #[test]
        fn wide_and_short_agree(values in prop::collection::vec(-1_000_000_000i64..1_000_000_000, 2..40), s in 0i8..12) {
            let n = values.len() as u64;
            let total: i128 = values.iter().map(|v| i128::from(*v)).sum();
            let squares: i128 = values.iter().map(|v| i128::from(*v) * i128::from(*v)).sum();
            let (t, q) = (i256::from_i128(total), i256::from_i128(squares));
            for function in [StddevSamp, StddevPop, VarSamp, VarPop] {
                for f in [finish(function, Decimal128(18, s), Decimal128(38, 6)), finish(function, Int64, Int64)] {
                    prop_assert_eq!(f.dispersion(n, total, q), f.dispersion_wide(n, t, q));
                }
            }
            let avg = finish(Avg, Decimal128(18, s), Decimal128(38, s.max(6)));
            prop_assert_eq!(avg.avg(n, total), avg.avg_wide(n, t));
        }

        #[test]
        fn the_deviation_is_the_nearest_value(values in prop::collection::vec(-1_000_000i64..1_000_000, 2..30)) {
            // r is right iff (2r − 1)² ≤ 4·variance·10^12 < (2r + 1)²
            let n = values.len() as i128;
            let total: i128 = values.iter().map(|v| i128::from(*v)).sum();
            let squares: i128 = values.iter().map(|v| i128::from(*v).pow(2)).sum();
            let f = finish(StddevSamp, Decimal128(18, 0), Decimal128(38, 6));
            let r = f.dispersion(n as u64, total, i256::from_i128(squares)).unwrap().unwrap();
            let (above, below) = (4 * (n * squares - total * total) * 10i128.pow(12), n * (n - 1));
            prop_assert!(r == 0 || (2 * r - 1).pow(2) * below <= above);
            prop_assert!((2 * r + 1).pow(2) * below > above);
        }

        #[test]
        fn roots_are_floors(hi in 0u64.., lo in any::<u128>()) {
            let v = i256::from_parts(lo, i128::from(hi));
            let r = i256::from_parts(root(v), 0);
            prop_assert!(r.wrapping_mul(r) <= v);
            let s = r.wrapping_add(i256::ONE);
            prop_assert!(s.wrapping_mul(s) > v);
        }
    }
}
