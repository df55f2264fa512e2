//! Exact decimal arithmetic with Flink's result types.
//!
//! Types are Flink's `LogicalTypeMerging`, in [`highwater_engine::graph::types`]; a remainder has the larger scale and
//! the fewer digits before the point.
//! A result with more digits than its type's scale is rounded half up (away from zero); one that does not fit fails.
//! Division of `DECIMAL(12, 2)`s runs in 128 bits; only operands near 38 digits need 256.

use super::kernel::{Args, Compute, Failure};
use arrow::array::{Array, ArrayRef, Decimal128Array};
use arrow::buffer::NullBuffer;
use arrow::compute::kernels::numeric;
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Decimal128Type, i256};
use highwater_engine::graph::types;
use std::sync::Arc;

/// Precision and scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digits {
    /// Digits in all.
    pub precision: i32,
    /// Digits behind the point.
    pub scale: i32,
}

impl Digits {
    /// Of a DECIMAL or of the DECIMAL that holds an integer type: BIGINT is `DECIMAL(19, 0)`.
    pub fn of(t: &DataType) -> Option<Self> {
        types::as_decimal(t).map(Self::from)
    }
    /// As an Arrow type.
    pub fn data_type(self) -> DataType {
        DataType::Decimal128(self.precision as u8, self.scale as i8)
    }
    fn pair(self) -> (u8, i8) {
        (self.precision as u8, self.scale as i8)
    }
}

impl From<(u8, i8)> for Digits {
    fn from((precision, scale): (u8, i8)) -> Self {
        Self { precision: precision.into(), scale: scale.into() }
    }
}

/// The four operations and the remainder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Operation {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// The result type of an operation.
pub fn result(op: Operation, l: Digits, r: Digits) -> Digits {
    let whole = |d: Digits| d.precision - d.scale;
    match op {
        Operation::Add | Operation::Subtract => types::sum_of_decimals(l.pair(), r.pair()).into(),
        Operation::Multiply => types::product_of_decimals(l.pair(), r.pair()).into(),
        Operation::Divide => types::quotient_of_decimals(l.pair(), r.pair()).into(),
        // not longer than the longer operand, so never above 38 digits but for very unequal scales
        Operation::Remainder => {
            let scale = l.scale.max(r.scale);
            Digits { precision: (whole(l).min(whole(r)) + scale).clamp(1, 38), scale }
        }
    }
}

/// The kernel of `l op r` over two DECIMAL arguments of these digits.
pub fn bind(op: Operation, l: Digits, r: Digits) -> Compute {
    let to = result(op, l, r);
    if to.precision < i32::from(DECIMAL128_MAX_PRECISION) {
        // Arrow's types are Flink's here, and no result of valid operands exceeds them
        match op {
            Operation::Add => return Arc::new(|a| by_arrow(a, numeric::add)),
            Operation::Subtract => return Arc::new(|a| by_arrow(a, numeric::sub)),
            Operation::Multiply => return Arc::new(|a| by_arrow(a, numeric::mul)),
            Operation::Divide | Operation::Remainder => {}
        }
    }
    match op {
        Operation::Divide => {
            let divide = Division::new(l, r, to);
            Arc::new(move |a| by_row(a, to, |l, r| divide.row(l, r)))
        }
        _ => Arc::new(move |a| by_row(a, to, |x, y| wide(op, (x, l.scale), (y, r.scale), to))),
    }
}

type ArrowKernel =
    fn(&dyn arrow::array::Datum, &dyn arrow::array::Datum) -> std::result::Result<ArrayRef, arrow::error::ArrowError>;

fn by_arrow(args: &Args<'_>, kernel: ArrowKernel) -> Result<ArrayRef, Failure> {
    use arrow::array::Scalar;
    let (l, r) = (args.array(0), args.array(1));
    Ok(match (args.is_scalar(0), args.is_scalar(1)) {
        (true, false) => kernel(&Scalar::new(l), r)?,
        (false, true) => kernel(l, &Scalar::new(r))?,
        _ => kernel(l, r)?,
    })
}

fn by_row(args: &Args<'_>, to: Digits, f: impl Fn(i128, i128) -> Result<i128, Failure>) -> Result<ArrayRef, Failure> {
    let (l, r) = (args.values::<Decimal128Type>(0), args.values::<Decimal128Type>(1));
    let values: Vec<i128> = match (l.constant(), r.constant()) {
        (None, Some(r)) if l.array().null_count() == 0 && l.array().len() == args.rows() => {
            l.array().values().iter().map(|l| f(*l, r)).collect::<Result<_, _>>()?
        }
        _ => (0..args.rows())
            .map(|i| match (l.get(i), r.get(i)) {
                (Some(l), Some(r)) => f(l, r),
                _ => Ok(0),
            })
            .collect::<Result<_, _>>()?,
    };
    let all =
        |i: usize| if args.is_scalar(i) { spread(args.array(i), args.rows()) } else { args.array(i).nulls().cloned() };
    let nulls = NullBuffer::union(all(0).as_ref(), all(1).as_ref());
    let array = Decimal128Array::new(values.into(), nulls);
    Ok(Arc::new(array.with_precision_and_scale(to.precision as u8, to.scale as i8)?))
}

/// The NULLs of one row that stands for all.
fn spread(scalar: &ArrayRef, rows: usize) -> Option<NullBuffer> {
    scalar.is_null(0).then(|| NullBuffer::new_null(rows))
}

fn too_large(to: Digits) -> Failure {
    Failure::new(format!("the result does not fit DECIMAL({}, {})", to.precision, to.scale))
}

/// 10^n for n ≤ 76.
fn ten(n: i32) -> i256 {
    if n <= 38 {
        i256::from_i128(10i128.pow(n as u32))
    } else {
        i256::from_i128(10i128.pow(38)).wrapping_mul(ten(n - 38))
    }
}

/// Division by constants of the operands' types: `l · 10^up / (r · 10^down)`, half up.
#[derive(Clone, Copy)]
struct Division {
    up: i32,
    times: i128,
    limit: i128,
    bound: i128,
    to: Digits,
}

impl Division {
    fn new(l: Digits, r: Digits, to: Digits) -> Self {
        let up = to.scale + r.scale - l.scale;
        let times = if (0..=38).contains(&up) { 10i128.pow(up as u32) } else { 0 };
        let limit = i128::MAX.checked_div(times).unwrap_or(0);
        Self { up, times, limit, bound: 10i128.pow(to.precision as u32), to }
    }
    #[inline]
    fn row(&self, l: i128, r: i128) -> Result<i128, Failure> {
        if r == 0 {
            return Err(Failure::new("division by zero"));
        }
        let quotient = if l.unsigned_abs() <= self.limit.unsigned_abs() {
            narrow_quotient(l * self.times, r)
        } else {
            self.wide_row(l, r).ok_or_else(|| too_large(self.to))?
        };
        if quotient.unsigned_abs() < self.bound.unsigned_abs() { Ok(quotient) } else { Err(too_large(self.to)) }
    }
    #[cold]
    fn wide_row(&self, l: i128, r: i128) -> Option<i128> {
        let n = i256::from_i128(l).checked_mul(ten(self.up.max(0)))?;
        let d = i256::from_i128(r).checked_mul(ten((-self.up).max(0)))?;
        divide_half_up(n, d)?.to_i128()
    }
}

/// `n / d`, half up, in unsigned halves of the machine's division where the operands allow it.
#[inline]
fn narrow_quotient(n: i128, d: i128) -> i128 {
    let (un, ud) = (n.unsigned_abs(), d.unsigned_abs());
    let (q, rest) = match (u64::try_from(un), u64::try_from(ud)) {
        (Ok(n), Ok(d)) => (u128::from(n / d), u128::from(n % d)),
        _ => {
            let q = un / ud;
            (q, un - q * ud)
        }
    };
    let q = if rest >= ud - rest { q + 1 } else { q };
    if (n < 0) == (d < 0) { q as i128 } else { -(q as i128) }
}

fn divide_half_up(n: i256, d: i256) -> Option<i256> {
    let (q, rest) = (n.checked_div(d)?, n.checked_rem(d)?);
    let (rest, size) = (rest.checked_abs()?, d.checked_abs()?);
    if rest < size.checked_sub(rest)? {
        return Some(q);
    }
    if (n < i256::ZERO) == (d < i256::ZERO) { q.checked_add(i256::ONE) } else { q.checked_sub(i256::ONE) }
}

/// One row in 256 bits: exact, then rounded half up to the result's scale and checked against its precision.
fn wide(op: Operation, (l, ls): (i128, i32), (r, rs): (i128, i32), to: Digits) -> Result<i128, Failure> {
    let common = ls.max(rs);
    let (x, y) = (i256::from_i128(l), i256::from_i128(r));
    let lift = |v: i256, s: i32| v.checked_mul(ten(common - s));
    let exact = match op {
        Operation::Multiply => x.checked_mul(y).map(|v| (v, ls + rs)),
        Operation::Add => lift(x, ls).zip(lift(y, rs)).and_then(|(x, y)| x.checked_add(y)).map(|v| (v, common)),
        Operation::Subtract => lift(x, ls).zip(lift(y, rs)).and_then(|(x, y)| x.checked_sub(y)).map(|v| (v, common)),
        Operation::Remainder if r == 0 => return Err(Failure::new("division by zero")),
        Operation::Remainder => lift(x, ls).zip(lift(y, rs)).and_then(|(x, y)| x.checked_rem(y)).map(|v| (v, common)),
        Operation::Divide => None,
    };
    exact.and_then(|(v, scale)| rescale(v, scale, to)).ok_or_else(|| too_large(to))
}

/// `v · 10^-scale` as an unscaled value of `to`, half up; `None` if it does not fit.
pub fn rescale(v: i256, scale: i32, to: Digits) -> Option<i128> {
    let v = if to.scale >= scale {
        v.checked_mul(ten(to.scale - scale))?
    } else {
        divide_half_up(v, ten(scale - to.scale))?
    };
    v.to_i128().filter(|v| v.unsigned_abs() < 10u128.pow(to.precision as u32))
}
