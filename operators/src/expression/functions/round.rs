//! FLOOR, CEIL, ROUND and TRUNCATE of numbers.
//!
//! ROUND is half up, away from zero. A DOUBLE is rounded by its shortest decimal form, as Flink does by
//! `BigDecimal.valueOf`: `ROUND(1.255E0, 2)` is 1.26. The result of ROUND and TRUNCATE on a DECIMAL(p, s) with a constant
//! number of digits n has the scale n: (1 + p − s + n, n); with 1 more digit before the point, because 9.99 may become 10.

use super::super::decimal::{Digits, rescale};
use super::super::kernel::{Args, Compute, Failure, Values};
use super::{Argument, Function, Typing};
use arrow::array::{ArrayRef, AsArray, PrimitiveArray};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    i256,
};
use highwater_engine::graph::types::sql_type;
use std::sync::Arc;

pub(super) fn functions() -> Vec<Function> {
    vec![
        Function::prepared("floor", whole_type, |_, returns| whole(Direction::Down, returns)),
        Function::prepared("ceil", whole_type, |_, returns| whole(Direction::Up, returns)).or(&["ceiling"]),
        Function::prepared("round", digits_type, |_, returns| Ok(to_digits(Direction::Nearest, returns))),
        Function::prepared("truncate", digits_type, |_, returns| Ok(to_digits(Direction::ToZero, returns))),
    ]
}

#[derive(Clone, Copy, PartialEq)]
enum Direction {
    Down,
    Up,
    ToZero,
    Nearest,
}

/// An integer or DOUBLE keeps its type, a DECIMAL loses its scale.
fn whole_type(args: &[Argument]) -> Result<Typing, String> {
    let [arg] = args else { return Err("takes one number".to_owned()) };
    let returns = match &arg.data_type {
        DataType::Null => DataType::Float64,
        DataType::Decimal128(p, _) => DataType::Decimal128(*p, 0),
        t if t.is_signed_integer() || t.is_floating() => t.clone(),
        t => return Err(format!("takes a number, not {}; for times write it as .. TO unit", sql_type(t))),
    };
    let own = if arg.data_type == DataType::Null { DataType::Float64 } else { arg.data_type.clone() };
    Ok(Typing { args: vec![own], returns })
}

fn whole(direction: Direction, returns: &DataType) -> Result<Compute, String> {
    let returns = returns.clone();
    Ok(Arc::new(move |a: &Args<'_>| {
        let array = a.array(0);
        match array.data_type() {
            DataType::Float64 => {
                Ok(Arc::new(array.as_primitive::<Float64Type>().unary::<_, Float64Type>(|v| float(v, direction))))
            }
            DataType::Float32 => Ok(Arc::new(
                array.as_primitive::<Float32Type>().unary::<_, Float32Type>(|v| float(f64::from(v), direction) as f32),
            )),
            DataType::Decimal128(_, s) => {
                let unit = 10i128.pow(u32::from(s.unsigned_abs()));
                let out = array.as_primitive::<Decimal128Type>().unary::<_, Decimal128Type>(|v| match direction {
                    Direction::Down => v.div_euclid(unit),
                    _ => -(-v).div_euclid(unit),
                });
                Ok(Arc::new(out.with_data_type(returns.clone())))
            }
            _ => Ok(array.clone()),
        }
    }))
}

fn float(v: f64, direction: Direction) -> f64 {
    if direction == Direction::Down { v.floor() } else { v.ceil() }
}

/// `ROUND(x)`, `ROUND(x, n)`.
fn digits_type(args: &[Argument]) -> Result<Typing, String> {
    let Some(number) = args.first().filter(|_| args.len() <= 2) else {
        return Err("takes a number and, maybe, how many digits".to_owned());
    };
    if let Some(n) = args.get(1)
        && !n.data_type.is_integer()
        && n.data_type != DataType::Null
    {
        return Err("the number of digits must be an integer".to_owned());
    }
    let own = match &number.data_type {
        DataType::Null => DataType::Float64,
        t if t.is_signed_integer() || t.is_floating() || matches!(t, DataType::Decimal128(..)) => t.clone(),
        t => return Err(format!("takes a number, not {}", sql_type(t))),
    };
    let n = match args.get(1) {
        None => Some(0),
        Some(n) => n.integer(),
    };
    let returns = match (&own, n) {
        (DataType::Decimal128(p, s), Some(n)) => rounded(i32::from(*p), i32::from(*s), n).data_type(),
        (t, _) => t.clone(),
    };
    let mut types = vec![own];
    types.extend(args.get(1).map(|_| DataType::Int64));
    Ok(Typing { args: types, returns })
}

/// Flink's `findRoundDecimalType`.
fn rounded(p: i32, s: i32, n: i64) -> Digits {
    match n {
        n if n >= i64::from(s) => Digits { precision: p, scale: s },
        n if n < 0 => Digits { precision: (1 + p - s).min(38), scale: 0 },
        n => Digits { precision: (1 + p - s + n as i32).min(38), scale: n as i32 },
    }
}

fn to_digits(direction: Direction, returns: &DataType) -> Compute {
    let returns = returns.clone();
    Arc::new(move |a: &Args<'_>| {
        let n = Count(if a.count() == 2 { Some(a.values::<Int64Type>(1)) } else { None });
        match &returns {
            DataType::Float64 => by_row::<Float64Type>(a, &n, &returns, |v, n| double(v, n, direction)),
            DataType::Float32 => by_row::<Float32Type>(a, &n, &returns, |v, n| single(v, n, direction)),
            DataType::Int8 => {
                by_row::<Int8Type>(a, &n, &returns, |v, n| integer(v.into(), n, direction)?.try_into().ok())
            }
            DataType::Int16 => {
                by_row::<Int16Type>(a, &n, &returns, |v, n| integer(v.into(), n, direction)?.try_into().ok())
            }
            DataType::Int32 => {
                by_row::<Int32Type>(a, &n, &returns, |v, n| integer(v.into(), n, direction)?.try_into().ok())
            }
            DataType::Int64 => {
                by_row::<Int64Type>(a, &n, &returns, |v, n| integer(v.into(), n, direction)?.try_into().ok())
            }
            DataType::Decimal128(p, s) => {
                let to = Digits { precision: i32::from(*p), scale: i32::from(*s) };
                let from = Digits::of(a.array(0).data_type()).map_or(0, |d| d.scale);
                by_row::<Decimal128Type>(a, &n, &returns, |v, n| decimal(v, from, n, to, direction))
            }
            t => Err(Failure::new(format!("{t} is not a number"))),
        }
    })
}

/// The number of digits of each row; 0 without the argument.
struct Count<'a>(Option<Values<'a, Int64Type>>);

impl Count<'_> {
    fn get(&self, row: usize) -> Option<i64> {
        match &self.0 {
            None => Some(0),
            Some(v) => v.get(row),
        }
    }
}

fn by_row<T: ArrowPrimitiveType>(
    args: &Args<'_>,
    n: &Count<'_>,
    returns: &DataType,
    f: impl Fn(T::Native, i64) -> Option<T::Native>,
) -> Result<ArrayRef, Failure> {
    let values = args.values::<T>(0);
    let row = |i: usize| match (values.get(i), n.get(i)) {
        (Some(v), Some(n)) => f(v, n)
            .map(Some)
            .ok_or_else(|| Failure::new(format!("the rounded value does not fit {}", sql_type(returns)))),
        _ => Ok(None),
    };
    let out: PrimitiveArray<T> = (0..args.rows()).map(row).collect::<Result<_, _>>()?;
    Ok(Arc::new(out.with_data_type(returns.clone())))
}

/// `v` in units of 10^digits, back in its own unit.
fn integer(v: i128, n: i64, direction: Direction) -> Option<i128> {
    match n {
        0.. => Some(v),
        n if n < -38 => Some(0),
        n => Some(cut(v, 10i128.pow(n.unsigned_abs() as u32), direction) * 10i128.pow(n.unsigned_abs() as u32)),
    }
}

/// `v / unit`, to zero or half up.
fn cut(v: i128, unit: i128, direction: Direction) -> i128 {
    let (q, rest) = (v / unit, (v % unit).abs());
    let up = direction == Direction::Nearest && rest >= unit - rest;
    if up { q + v.signum() } else { q }
}

/// A DECIMAL of scale `from` to n digits, as one of `to`.
fn decimal(v: i128, from: i32, n: i64, to: Digits, direction: Direction) -> Option<i128> {
    if n >= i64::from(from) {
        return rescale(i256::from_i128(v), from, to);
    }
    let n = n.max(-39) as i32;
    if from - n > 38 {
        return Some(0);
    }
    let cut = cut(v, 10i128.pow((from - n) as u32), direction);
    // a constant n is the scale of the result, whose precision was chosen to hold it
    if n == to.scale { Some(cut) } else { rescale(i256::from_i128(cut), n, to) }
}

fn double(v: f64, n: i64, direction: Direction) -> Option<f64> {
    shortest(&format!("{v:e}"), n, direction)?.parse().ok()
}

fn single(v: f32, n: i64, direction: Direction) -> Option<f32> {
    shortest(&format!("{v:e}"), n, direction)?.parse().ok()
}

/// Rounds `d.ddde±x` to n digits behind the point.
fn shortest(scientific: &str, n: i64, direction: Direction) -> Option<String> {
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return Some(scientific.to_owned()) };
    let exponent: i64 = exponent.parse().ok()?;
    let fraction = mantissa.split_once('.').map_or(0, |(_, f)| f.len() as i64);
    let digits: i128 = mantissa.replace('.', "").parse().ok()?;
    // the number is digits · 10^-scale
    let scale = fraction - exponent;
    if n >= scale {
        return Some(scientific.to_owned());
    }
    if scale - n > 30 {
        return Some("0".to_owned());
    }
    let rounded = cut(digits, 10i128.pow((scale - n) as u32), direction);
    Some(format!("{rounded}e{}", -n))
}
