//! Values as texts: what `CAST(e AS STRING)` returns.

use super::super::calendar::{Zone, civil, per_second};
use super::super::kernel::{Args, Compute, Failure};
use super::arrow_cast;
use arrow::array::{Array, ArrayRef, AsArray, StringArray, StringBuilder};
use arrow::datatypes::{
    DataType, Date32Type, Float32Type, Float64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};
use std::fmt::{self, Write};
use std::sync::Arc;

/// The kernel of `CAST(e AS STRING)`, if there is one.
pub fn bind(from: &DataType) -> Option<Compute> {
    Some(match from {
        t if t.is_integer() || matches!(t, DataType::Decimal128(..)) => arrow_cast(&DataType::Utf8).ok()?,
        DataType::Boolean => Arc::new(|a: &Args<'_>| {
            Ok(print(a.array(0).as_boolean().iter(), |out, v| out.write_str(if v { "TRUE" } else { "FALSE" })))
        }),
        DataType::Float64 => {
            Arc::new(|a: &Args<'_>| Ok(print(a.array(0).as_primitive::<Float64Type>().iter(), double)))
        }
        DataType::Float32 => Arc::new(|a: &Args<'_>| {
            Ok(print(a.array(0).as_primitive::<Float32Type>().iter(), |out, v| java(out, &format!("{v:e}"))))
        }),
        DataType::Date32 => Arc::new(|a: &Args<'_>| {
            Ok(print(a.array(0).as_primitive::<Date32Type>().iter(), |out, v| date(out, i64::from(v))))
        }),
        DataType::Time32(unit) | DataType::Time64(unit) => {
            let unit = *unit;
            Arc::new(move |a: &Args<'_>| {
                Ok(print(super::time::counts(a.array(0))?.iter(), |out, v| time(out, v, unit)))
            })
        }
        DataType::Timestamp(unit, _) => {
            let (unit, zone) = (*unit, Zone::of(from).ok()?);
            Arc::new(move |a: &Args<'_>| timestamps(a.array(0), unit, zone))
        }
        DataType::Binary => Arc::new(|a: &Args<'_>| {
            Ok(print(a.array(0).as_binary::<i32>().iter(), |out, v| v.iter().try_for_each(|b| write!(out, "{b:02x}"))))
        }),
        _ => return None,
    })
}

fn print<T>(values: impl Iterator<Item = Option<T>>, f: impl Fn(&mut StringBuilder, T) -> fmt::Result) -> ArrayRef {
    let mut out = StringBuilder::new();
    for v in values {
        match v {
            // writing to a builder can't fail
            Some(v) => {
                let _ = f(&mut out, v);
                out.append_value("");
            }
            None => out.append_null(),
        }
    }
    Arc::new(out.finish())
}

/// A DOUBLE as Java prints it.
pub fn double(out: &mut impl Write, v: f64) -> fmt::Result {
    match v {
        v if v.is_nan() => out.write_str("NaN"),
        v if v.is_infinite() => out.write_str(if v > 0.0 { "Infinity" } else { "-Infinity" }),
        v => java(out, &format!("{v:e}")),
    }
}

/// From `d.ddde±x`: plain between 1e-3 and 1e7, always with a digit behind the point; else `d.dddE±x`.
fn java(out: &mut impl Write, scientific: &str) -> fmt::Result {
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return out.write_str(scientific) };
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |m| ("-", m));
    let (first, rest) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    out.write_str(sign)?;
    let digits = format!("{first}{rest}");
    let or_zero = |s: &str| if s.is_empty() { "0".to_owned() } else { s.to_owned() };
    match exponent {
        -3..0 => write!(out, "0.{}{digits}", "0".repeat((-exponent - 1) as usize)),
        0..7 => {
            let point = exponent as usize + 1;
            let padded = format!("{digits:0<point$}");
            write!(out, "{}.{}", &padded[..point], or_zero(&padded[point..]))
        }
        _ => write!(out, "{first}.{}E{exponent}", or_zero(rest)),
    }
}

/// `yyyy-MM-dd`.
pub fn date(out: &mut impl Write, days: i64) -> fmt::Result {
    let (y, m, d) = civil(days);
    year(out, y)?;
    out.write_char('-')?;
    padded(out, m.into(), 2)?;
    out.write_char('-')?;
    padded(out, d.into(), 2)
}

/// A year in four digits at least.
pub fn year(out: &mut impl Write, y: i64) -> fmt::Result {
    if (0..10_000).contains(&y) { padded(out, y as u64, 4) } else { write!(out, "{y:04}") }
}

/// The last `width` (up to 9) decimal digits of a number. Many times faster than `write!`.
pub fn padded(out: &mut impl Write, mut v: u64, width: usize) -> fmt::Result {
    let mut digits = [b'0'; 9];
    for d in digits[..width].iter_mut().rev() {
        *d = b'0' + (v % 10) as u8;
        v /= 10;
    }
    out.write_str(std::str::from_utf8(&digits[..width]).unwrap_or_default())
}

/// `HH:mm:ss` of a second of the day.
fn clock(out: &mut impl Write, second: i64) -> fmt::Result {
    let second = second as u64;
    padded(out, second / 3_600, 2)?;
    out.write_char(':')?;
    padded(out, second / 60 % 60, 2)?;
    out.write_char(':')?;
    padded(out, second % 60, 2)
}

/// `yyyy-MM-dd HH:mm:ss` and as many digits behind the point as the unit has.
pub fn timestamp(out: &mut impl Write, local: i64, unit: TimeUnit) -> fmt::Result {
    let per = per_second(unit);
    let (s, fraction) = (local.div_euclid(per), local.rem_euclid(per));
    date(out, s.div_euclid(86_400))?;
    out.write_char(' ')?;
    time(out, s.rem_euclid(86_400) * per + fraction, unit)
}

/// `HH:mm:ss` and as many digits behind the point as the unit has.
pub fn time(out: &mut impl Write, of_day: i64, unit: TimeUnit) -> fmt::Result {
    let per = per_second(unit);
    let (s, fraction) = (of_day.div_euclid(per), of_day.rem_euclid(per));
    clock(out, s)?;
    let digits = match unit {
        TimeUnit::Second => return Ok(()),
        TimeUnit::Millisecond => 3,
        TimeUnit::Microsecond => 6,
        TimeUnit::Nanosecond => 9,
    };
    out.write_char('.')?;
    padded(out, fraction as u64, digits)
}

fn timestamps(array: &ArrayRef, unit: TimeUnit, zone: Zone) -> Result<ArrayRef, Failure> {
    let ticks = ticks(array, unit);
    let per = per_second(unit);
    Ok(print(ticks.into_iter(), |out, v| match zone.local(v, per) {
        Some(local) => timestamp(out, local, unit),
        None => write!(out, "{v}"),
    }))
}

/// The counts of a timestamp array.
fn ticks(array: &ArrayRef, unit: TimeUnit) -> Vec<Option<i64>> {
    match unit {
        TimeUnit::Second => array.as_primitive::<TimestampSecondType>().iter().collect(),
        TimeUnit::Millisecond => array.as_primitive::<TimestampMillisecondType>().iter().collect(),
        TimeUnit::Microsecond => array.as_primitive::<TimestampMicrosecondType>().iter().collect(),
        TimeUnit::Nanosecond => array.as_primitive::<TimestampNanosecondType>().iter().collect(),
    }
}

/// One value as an error shows it.
pub fn display(array: &ArrayRef, row: usize) -> String {
    let one = array.slice(row, 1);
    if one.is_null(0) {
        return "NULL".to_owned();
    }
    let printed = bind(one.data_type()).and_then(|f| f(&Args::new(&[one], &[false], 1)).ok());
    match printed {
        Some(s) => s.as_any().downcast_ref::<StringArray>().map_or(String::new(), |s| s.value(0).to_owned()),
        None if array.data_type() == &DataType::Utf8 => array.as_string::<i32>().value(row).to_owned(),
        None => "a value".to_owned(),
    }
}
