//! Text to values, exactly or not at all: nothing is rounded, wrapped or guessed.

use crate::calendar::{Zone, date, instant, time_of_day};

/// Why a text is not a value of its column's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It is no such value at all.
    Malformed,
    /// It is one, but outside the type's range.
    Range,
    /// It has more decimals than the type.
    Scale,
    /// An instant with a zone for a type without.
    ZoneGiven,
    /// An instant without a zone for TIMESTAMP_LTZ.
    ZoneMissing,
    /// Not UTF-8.
    Encoding,
}

impl Cause {
    /// What is wrong and what to do, to follow the text that was found.
    pub fn message(self, type_name: &str) -> String {
        match self {
            Self::Malformed => format!("is not a {type_name}; correct the row or declare the column as STRING"),
            Self::Range => format!("does not fit in {type_name}; correct the row or declare a wider type"),
            Self::Scale => {
                format!("has more decimals than {type_name}; correct the row or declare more (nothing is rounded)")
            }
            Self::ZoneGiven => format!("names a time zone, {type_name} has none; declare TIMESTAMP_LTZ"),
            Self::ZoneMissing => format!("names no time zone, {type_name} needs one; append Z or declare TIMESTAMP"),
            Self::Encoding => "is not UTF-8; convert the file or declare the column as BYTES".to_owned(),
        }
    }
}

/// `[+-]digits`.
#[inline]
pub fn integer(text: &[u8]) -> Result<i64, Cause> {
    let (negative, digits) = sign(text);
    if digits.is_empty() {
        return Err(Cause::Malformed);
    }
    if digits.len() <= 18 {
        let value = small_digits(digits)? as i64;
        return Ok(if negative { -value } else { value });
    }
    let mut value: i64 = 0;
    for d in digits {
        let d = digit(*d)?;
        let next = value.checked_mul(10).and_then(|v| if negative { v.checked_sub(d) } else { v.checked_add(d) });
        value =
            next.ok_or_else(|| if digits.iter().all(u8::is_ascii_digit) { Cause::Range } else { Cause::Malformed })?;
    }
    Ok(value)
}

/// An integer of a narrower type.
#[inline]
pub fn narrow<T: TryFrom<i64>>(text: &[u8]) -> Result<T, Cause> {
    T::try_from(integer(text)?).map_err(|_| Cause::Range)
}

#[inline]
fn sign(text: &[u8]) -> (bool, &[u8]) {
    match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    }
}

#[inline]
fn digit(byte: u8) -> Result<i64, Cause> {
    let d = byte.wrapping_sub(b'0');
    if d < 10 { Ok(i64::from(d)) } else { Err(Cause::Malformed) }
}

/// At most 19 digits.
#[inline]
fn small_digits(digits: &[u8]) -> Result<u64, Cause> {
    let (mut value, mut wrong) = (0u64, false);
    for byte in digits {
        let d = byte.wrapping_sub(b'0');
        wrong |= d > 9;
        value = value.wrapping_mul(10).wrapping_add(u64::from(d));
    }
    if wrong { Err(Cause::Malformed) } else { Ok(value) }
}

/// `[+-]digits[.digits][E[+-]digits]` as an unscaled DECIMAL(precision, scale).
pub fn decimal(text: &[u8], precision: u8, scale: u32) -> Result<i128, Cause> {
    let (negative, digits) = sign(text);
    let unscaled = short_decimal(digits, scale).map_or_else(|| long_decimal(digits, scale), |v| Ok(i128::from(v)))?;
    if unscaled >= 10i128.pow(u32::from(precision)) {
        return Err(Cause::Range);
    }
    Ok(if negative { -unscaled } else { unscaled })
}

/// The usual case: 18 digits or fewer, no more decimals than the type, no exponent.
#[inline]
fn short_decimal(digits: &[u8], scale: u32) -> Option<u64> {
    // Few enough digits that a loop finds the point sooner than a vector search.
    let dot = digits.iter().position(|b| *b == b'.').unwrap_or(digits.len());
    let (whole, fraction) = (&digits[..dot], digits.get(dot + 1..).unwrap_or(&[]));
    let (scale, decimals) = (scale as usize, fraction.len());
    if whole.len() + scale > 18 || decimals > scale || whole.len() + decimals == 0 {
        return None;
    }
    let value = small_digits(whole).ok()? * POWERS[decimals] + small_digits(fraction).ok()?;
    Some(value * POWERS[scale - decimals])
}

/// 10^0 to 10^18.
const POWERS: [u64; 19] = {
    let mut powers = [1; 19];
    let mut k = 1;
    while k < powers.len() {
        powers[k] = powers[k - 1] * 10;
        k += 1;
    }
    powers
};

/// The general case: any number of digits and an exponent.
fn long_decimal(text: &[u8], scale: u32) -> Result<i128, Cause> {
    let (mantissa, exponent) = match text.iter().position(|b| b | 32 == b'e') {
        Some(at) => (&text[..at], narrow::<i32>(&text[at + 1..]).map_err(|_| Cause::Malformed)?),
        None => (text, 0),
    };
    let dot = memchr::memchr(b'.', mantissa).unwrap_or(mantissa.len());
    let (whole, fraction) = (&mantissa[..dot], mantissa.get(dot + 1..).unwrap_or(&[]));
    let mut digits: Vec<u8> = whole.iter().chain(fraction).copied().collect();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Cause::Malformed);
    }
    // The value is digits · 10^(exponent − decimals); wanted is an integer of 10^-scale.
    let shift = i64::from(exponent) - fraction.len() as i64 + i64::from(scale);
    if digits.iter().all(|d| *d == b'0') {
        return Ok(0);
    }
    if shift < 0 {
        for _ in 0..shift.unsigned_abs() {
            match digits.pop() {
                Some(b'0') => {}
                _ => return Err(Cause::Scale),
            }
        }
    } else if shift > 76 {
        return Err(Cause::Range);
    } else {
        digits.resize(digits.len() + shift as usize, b'0');
    }
    let mut value: i128 = 0;
    for d in digits {
        value = value.checked_mul(10).and_then(|v| v.checked_add(i128::from(d - b'0'))).ok_or(Cause::Range)?;
    }
    Ok(value)
}

/// `true` or `false`, in any case.
pub fn boolean(text: &[u8]) -> Result<bool, Cause> {
    if text.eq_ignore_ascii_case(b"true") {
        Ok(true)
    } else if text.eq_ignore_ascii_case(b"false") {
        Ok(false)
    } else {
        Err(Cause::Malformed)
    }
}

/// A floating-point number, correctly rounded.
pub fn float<T: std::str::FromStr>(text: &[u8]) -> Result<T, Cause> {
    std::str::from_utf8(text).ok().and_then(|t| t.parse().ok()).ok_or(Cause::Malformed)
}

/// `YYYY-MM-DD` as days.
pub fn days(text: &[u8]) -> Result<i32, Cause> {
    date(text).and_then(|d| i32::try_from(d).ok()).ok_or(Cause::Malformed)
}

/// A time of day in 10^-`digits` seconds.
pub fn time(text: &[u8], digits: u32) -> Result<i64, Cause> {
    let unit = 10i64.pow(9 - digits);
    let nanos = time_of_day(text).ok_or(Cause::Malformed)?;
    if nanos % unit == 0 { Ok(nanos / unit) } else { Err(Cause::Scale) }
}

/// An instant in 10^-`digits` seconds since 1970: with a zone for `TIMESTAMP_LTZ`, without for TIMESTAMP.
pub fn timestamp(text: &[u8], digits: u32, zoned: bool) -> Result<i64, Cause> {
    let instant = instant(text).ok_or(Cause::Malformed)?;
    match (zoned, instant.zone) {
        (true, Zone::Absent) => return Err(Cause::ZoneMissing),
        (false, Zone::Offset(_)) => return Err(Cause::ZoneGiven),
        _ => {}
    }
    match instant.ticks(digits) {
        Some((ticks, 0)) => Ok(ticks),
        Some(_) => Err(Cause::Scale),
        None => Err(Cause::Range),
    }
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Writes bytes in Base64 with padding (RFC 4648).
pub fn base64_encode(bytes: &[u8], out: &mut Vec<u8>) {
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0u32, |b, g| b << 8 | u32::from(*g)) << (8 * (3 - group.len()));
        for k in 0..4 {
            out.push(if k <= group.len() { BASE64[(bits >> (18 - 6 * k) & 63) as usize] } else { b'=' });
        }
    }
}

/// Appends the bytes that a Base64 text with padding stands for.
pub fn base64_decode(text: &[u8], out: &mut Vec<u8>) -> Result<(), Cause> {
    if !text.len().is_multiple_of(4) {
        return Err(Cause::Malformed);
    }
    let padding = text.iter().rev().take(2).take_while(|b| **b == b'=').count();
    let (digits, start) = (&text[..text.len() - padding], out.len());
    for group in digits.chunks(4) {
        let mut bits = 0u32;
        for byte in group {
            let value = BASE64.iter().position(|b| b == byte).ok_or(Cause::Malformed)?;
            bits = bits << 6 | value as u32;
        }
        bits <<= 6 * (4 - group.len());
        out.extend_from_slice(&bits.to_be_bytes()[1..group.len()]);
    }
    // Bits behind the last byte must be zero, else two texts would stand for one value.
    let mut again = Vec::with_capacity(text.len());
    base64_encode(&out[start..], &mut again);
    if again == text { Ok(()) } else { Err(Cause::Malformed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_at_their_edges() {
        assert_eq!(integer(b"9223372036854775807"), Ok(i64::MAX));
        assert_eq!(integer(b"-9223372036854775808"), Ok(i64::MIN));
        assert_eq!(integer(b"9223372036854775808"), Err(Cause::Range));
        assert_eq!(integer(b"99999999999999999999x"), Err(Cause::Malformed));
        assert_eq!(integer(b"+0007"), Ok(7));
        assert_eq!(narrow::<i8>(b"128"), Err(Cause::Range));
        for bad in ["", "-", "1.0", "1e3", "0x10", "1 2", "٣"] {
            assert_eq!(integer(bad.as_bytes()), Err(Cause::Malformed), "{bad}");
        }
    }

    #[test]
    fn decimals_are_exact_or_refused() {
        for (text, value) in [
            ("12.5", 1250),
            ("12", 1200),
            ("-0.01", -1),
            (".5", 50),
            ("5.", 500),
            ("12.500000000000000000000000000", 1250),
            ("1.25e1", 1250),
            ("125E-1", 1250),
            ("0000000000000000000000000000001", 100),
            ("0e99", 0),
            ("9999999999.99", 999_999_999_999),
        ] {
            assert_eq!(decimal(text.as_bytes(), 12, 2), Ok(value), "{text}");
        }
        assert_eq!(decimal(b"10000000000", 12, 2), Err(Cause::Range));
        assert_eq!(decimal(b"1e80", 12, 2), Err(Cause::Range));
        assert_eq!(decimal(b"12.345", 12, 2), Err(Cause::Scale));
        assert_eq!(decimal(b"1e-9", 12, 2), Err(Cause::Scale));
        for bad in ["", ".", "-", "12,5", "1.2.3", "abc", "1e", "--1"] {
            assert_eq!(decimal(bad.as_bytes(), 12, 2), Err(Cause::Malformed), "{bad}");
        }
        let nines = "9".repeat(38);
        assert_eq!(decimal(nines.as_bytes(), 38, 0), Ok(10i128.pow(38) - 1));
        assert_eq!(decimal(format!("{nines}9").as_bytes(), 38, 0), Err(Cause::Range));
    }

    #[test]
    fn instants_need_the_zone_their_type_has() {
        assert_eq!(timestamp(b"2018-04-01 00:00:31.000", 3, false), Ok(1_522_540_831_000));
        assert_eq!(timestamp(b"2018-04-01 00:00:31", 0, false), Ok(1_522_540_831));
        assert_eq!(timestamp(b"2018-04-01T00:00:31Z", 3, true), Ok(1_522_540_831_000));
        assert_eq!(timestamp(b"2018-04-01 00:00:31.0005", 3, false), Err(Cause::Scale));
        assert_eq!(timestamp(b"2018-04-01 00:00:31Z", 3, false), Err(Cause::ZoneGiven));
        assert_eq!(timestamp(b"2018-04-01 00:00:31", 3, true), Err(Cause::ZoneMissing));
        assert_eq!(timestamp(b"9999-12-31 00:00:00", 9, false), Err(Cause::Range));
        assert_eq!(timestamp(b"1969-12-31 23:59:59.999", 3, false), Ok(-1));
        assert_eq!(time(b"01:00:00.5", 3), Ok(3_600_500));
    }

    #[test]
    fn base64_has_the_vectors_of_its_standard() {
        for (plain, text) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("foobar", "Zm9vYmFy")]
        {
            let mut out = Vec::new();
            base64_encode(plain.as_bytes(), &mut out);
            assert_eq!(out, text.as_bytes());
            let mut back = b"kept".to_vec();
            assert_eq!(base64_decode(text.as_bytes(), &mut back), Ok(()));
            assert_eq!(back, [b"kept", plain.as_bytes()].concat());
        }
        for bad in ["Z", "Zg=", "Zh==", "Z===", "Zg==Zg==", "Zm9*"] {
            assert_eq!(base64_decode(bad.as_bytes(), &mut Vec::new()), Err(Cause::Malformed), "{bad}");
        }
    }
}
