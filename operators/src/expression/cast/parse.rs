//! Texts as values: numbers, booleans, dates, times, bytes.

use super::super::calendar::checked_days;
use super::super::decimal::{Digits, rescale};
use super::super::kernel::Failure;
use arrow::datatypes::i256;

/// What Java's `trim` for Flink's strings removes.
fn trim(s: &str) -> &str {
    s.trim_matches([' ', '\t', '\n', '\r'])
}

fn not_a(what: &str, s: &str) -> Failure {
    Failure::new(format!("'{s}' is not a {what}"))
}

/// An integer; digits behind a point are checked and cut off.
pub fn integer(s: &str) -> Result<i64, Failure> {
    let fail = || not_a("BIGINT", s);
    let t = trim(s);
    let (whole, fraction) = t.split_once('.').unwrap_or((t, ""));
    let digits = whole.strip_prefix(['-', '+']).unwrap_or(whole);
    let numeric = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if !numeric(digits) || !numeric(fraction) || (digits.is_empty() && fraction.is_empty()) {
        return Err(fail());
    }
    if digits.is_empty() {
        return Ok(0);
    }
    whole.parse().map_err(|_| fail())
}

/// A DECIMAL, with or without exponent, rounded half up.
pub fn decimal(s: &str, to: Digits) -> Result<i128, Failure> {
    let fail = || not_a(&format!("DECIMAL({}, {})", to.precision, to.scale), s);
    let (mantissa, exponent) = match trim(s).split_once(['e', 'E']) {
        Some((m, e)) => (m, e.parse::<i32>().map_err(|_| fail())?),
        None => (trim(s), 0),
    };
    let negative = mantissa.starts_with('-');
    let digits = mantissa.strip_prefix(['-', '+']).unwrap_or(mantissa);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() {
        return Err(fail());
    }
    // digits beyond the 76 that 256 bits hold can change nothing but a tie: they are refused with a clear reason
    let mut value = i256::ZERO;
    let ten = i256::from_i128(10);
    for b in whole.bytes().chain(fraction.bytes()) {
        if !b.is_ascii_digit() {
            return Err(fail());
        }
        let next = value.checked_mul(ten).and_then(|v| v.checked_add(i256::from_i128(i128::from(b - b'0'))));
        value = next.ok_or_else(fail)?;
    }
    let scale = i64::try_from(fraction.len()).unwrap_or(i64::MAX).saturating_sub(i64::from(exponent));
    if value == i256::ZERO {
        return Ok(0);
    }
    let value = if negative { value.wrapping_neg() } else { value };
    if scale - i64::from(to.scale) > 76 {
        return Ok(0);
    }
    if i64::from(to.scale) - scale > 76 {
        return Err(fail());
    }
    rescale(value, scale as i32, to).ok_or_else(fail)
}

/// A DOUBLE: decimal forms, `NaN`, `Infinity`.
pub fn double(s: &str) -> Result<f64, Failure> {
    let t = trim(s);
    let plain = t.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    let named = ["NaN", "Infinity", "+Infinity", "-Infinity"].contains(&t);
    if !plain && !named {
        return Err(not_a("DOUBLE", s));
    }
    t.parse().map_err(|_| not_a("DOUBLE", s))
}

/// A BOOLEAN.
pub fn boolean(s: &str) -> Result<bool, Failure> {
    match trim(s).to_ascii_lowercase().as_str() {
        "t" | "true" | "y" | "yes" | "1" => Ok(true),
        "f" | "false" | "n" | "no" | "0" => Ok(false),
        _ => Err(not_a("BOOLEAN", s)),
    }
}

/// Bytes from hexadecimal digits.
pub fn bytes(s: &str) -> Result<Vec<u8>, Failure> {
    let fail = || not_a("sequence of hexadecimal digit pairs", s);
    if !s.len().is_multiple_of(2) || !s.is_ascii() {
        return Err(fail());
    }
    (0..s.len()).step_by(2).map(|i| u8::from_str_radix(&s[i..i + 2], 16).map_err(|_| fail())).collect()
}

/// A DATE, `yyyy-MM-dd` (one digit will do for month and day), as days.
pub fn date(s: &str) -> Option<i64> {
    let mut parts = s.splitn(3, '-');
    let year = number(parts.next()?, 4, 4)?;
    let month = number(parts.next()?, 1, 2)?;
    let day = number(parts.next()?, 1, 2)?;
    checked_days((year, month as u32, day as u32))
}

/// A TIMESTAMP, `yyyy-MM-dd[( |T)HH:mm[:ss[.fraction]]]`, as nanoseconds.
pub fn timestamp(s: &str) -> Option<i128> {
    let t = trim(s);
    let (d, time) = match t.split_once([' ', 'T']) {
        Some((d, time)) => (d, Some(time)),
        None => (t, None),
    };
    let of_day = match time {
        Some(time) => time_of_day(time)?,
        None => 0,
    };
    Some(i128::from(date(d)?) * 86_400_000_000_000 + i128::from(of_day))
}

/// A TIME, `HH:mm[:ss[.fraction]]`, as nanoseconds of the day.
pub fn time(s: &str) -> Option<i64> {
    time_of_day(trim(s))
}

/// `HH:mm[:ss[.fraction]]` as nanoseconds of the day.
fn time_of_day(s: &str) -> Option<i64> {
    let (clock, fraction) = s.split_once('.').unwrap_or((s, ""));
    let mut parts = clock.split(':');
    let hour = number(parts.next()?, 1, 2).filter(|h| *h < 24)?;
    let minute = number(parts.next()?, 1, 2).filter(|m| *m < 60)?;
    let second = match parts.next() {
        Some(s) => number(s, 1, 2).filter(|s| *s < 60)?,
        None if fraction.is_empty() => 0,
        None => return None,
    };
    let nanos = match fraction.len() {
        0 if s.ends_with('.') => return None,
        0 => 0,
        n @ 1..=9 => number(fraction, n, n)? * 10i64.pow(9 - n as u32),
        _ => return None,
    };
    parts.next().is_none().then(|| ((hour * 60 + minute) * 60 + second) * 1_000_000_000 + nanos)
}

/// A run of `min` to `max` digits.
pub fn number(s: &str, min: usize, max: usize) -> Option<i64> {
    let fits = (min..=max).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_digit());
    if fits { s.parse().ok() } else { None }
}
