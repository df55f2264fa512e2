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
    let (mut value, mut rest, mut wrong) = (0u64, digits, false);
    while let Some((eight, behind)) = rest.split_first_chunk::<8>() {
        value = value.wrapping_mul(100_000_000).wrapping_add(eight_digits(*eight).ok_or(Cause::Malformed)?);
        rest = behind;
    }
    for byte in rest {
        let d = byte.wrapping_sub(b'0');
        wrong |= d > 9;
        value = value.wrapping_mul(10).wrapping_add(u64::from(d));
    }
    if wrong { Err(Cause::Malformed) } else { Ok(value) }
}

/// Eight digits at once: neighbours become numbers of two digits, then of four, then of eight.
#[inline]
fn eight_digits(text: [u8; 8]) -> Option<u64> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const LOW: u64 = 0x7F * ONES;
    const PAIRS: u64 = 0x0000_00FF_0000_00FF;
    let digits = u64::from_le_bytes(text) ^ (b'0' as u64 * ONES);
    if (((digits & LOW) + 0x76 * ONES) | digits) & !LOW != 0 {
        return None;
    }
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8);
    let high = (pairs & PAIRS).wrapping_mul(100 + (1_000_000 << 32));
    let low = ((pairs >> 16) & PAIRS).wrapping_mul(1 + (10_000 << 32));
    Some(high.wrapping_add(low) >> 32)
}

/// `[+-]digits[.digits][E[+-]digits]` as an unscaled DECIMAL(precision, scale).
pub fn decimal(text: &[u8], precision: u8, scale: u32) -> Result<i128, Cause> {
    let (negative, digits) = sign(text);
    let unscaled = short_decimal(digits, scale).map_or_else(|| long_decimal(digits, scale), |v| Ok(i128::from(v)))?;
    if unscaled >= BOUNDS[usize::from(precision)] {
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

/// 10^0 to 10^38: what a number of so many digits stays below.
const BOUNDS: [i128; 39] = {
    let mut bounds = [1; 39];
    let mut k = 1;
    while k < bounds.len() {
        bounds[k] = bounds[k - 1] * 10;
        k += 1;
    }
    bounds
};

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

/// A floating-point number, correctly rounded. Only a text that says so is infinite.
pub fn float<T: std::str::FromStr + Into<f64> + Copy>(text: &[u8]) -> Result<T, Cause> {
    let value: T = std::str::from_utf8(text).ok().and_then(|t| t.parse().ok()).ok_or(Cause::Malformed)?;
    if value.into().is_infinite() && text.iter().any(u8::is_ascii_digit) { Err(Cause::Range) } else { Ok(value) }
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

/// Instants of one column. Rows near each other mostly share their minute, so the last one is kept.
#[derive(Debug)]
pub struct Timestamps {
    digits: u32,
    zoned: bool,
    /// `YYYY-MM-DD HH:MM` and its ticks.
    minute: Option<([u8; 16], i64)>,
}

impl Timestamps {
    /// Instants in 10^-`digits` seconds, as [`timestamp`] reads them.
    pub fn new(digits: u32, zoned: bool) -> Self {
        Self { digits, zoned, minute: None }
    }

    /// The same as [`timestamp`].
    #[inline]
    pub fn parse(&mut self, text: &[u8]) -> Result<i64, Cause> {
        if let Some((minute, ticks)) = &self.minute
            && let Some((head, seconds)) = text.split_first_chunk::<16>()
            && head == minute
            && let Some(instant) = self.seconds(seconds).and_then(|s| ticks.checked_add(s))
        {
            return Ok(instant);
        }
        self.parse_whole(text)
    }

    /// `:SS[.f…]`, with `Z` behind it for a type with a zone, as ticks; `None` if it is anything else.
    #[inline]
    fn seconds(&self, text: &[u8]) -> Option<i64> {
        let text = if self.zoned { text.strip_suffix(b"Z")? } else { text };
        let [b':', tens, ones, fraction @ ..] = text else { return None };
        let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
        if tens > 5 || ones > 9 {
            return None;
        }
        let fraction = match fraction {
            [] => fraction,
            [b'.', digits @ ..] if (1..=self.digits as usize).contains(&digits.len()) => digits,
            _ => return None,
        };
        let ticks = small_digits(fraction).ok()? * POWERS[self.digits as usize - fraction.len()];
        Some((u64::from(tens * 10 + ones) * POWERS[self.digits as usize] + ticks) as i64)
    }

    fn parse_whole(&mut self, text: &[u8]) -> Result<i64, Cause> {
        let found = timestamp(text, self.digits, self.zoned)?;
        let utc = if self.zoned { text.ends_with(b"Z") } else { true };
        if let (Some((head, [b':', ..])), true) = (text.split_first_chunk::<16>(), utc) {
            let ticks = timestamp(head, self.digits, false).ok();
            self.minute = ticks.map(|ticks| (*head, ticks));
        }
        Ok(found)
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
    fn digits_in_any_number_are_read() {
        for length in 1..=18usize {
            let digits: String = (0..length).map(|i| char::from(b'1' + (i * 7 % 9) as u8)).collect();
            assert_eq!(integer(digits.as_bytes()), Ok(digits.parse::<i64>().unwrap()), "{digits}");
            assert_eq!(integer(&vec![b'0'; length]), Ok(0));
            assert_eq!(integer(&vec![b'9'; length]), Ok(10i64.pow(length as u32) - 1));
            for at in 0..length {
                for wrong in [b'/', b':', b' ', 0, b'0' | 0x80, 0xFF, b'p'] {
                    let mut text = digits.clone().into_bytes();
                    text[at] = wrong;
                    let signed = at == 0 && matches!(wrong, b'+' | b'-');
                    assert!(signed || integer(&text) == Err(Cause::Malformed), "{text:?}");
                }
            }
        }
    }

    #[test]
    fn a_number_becomes_infinite_only_by_its_name() {
        assert_eq!(float::<f64>(b"1e308"), Ok(1e308));
        assert_eq!(float::<f64>(b"1e309"), Err(Cause::Range));
        assert_eq!(float::<f32>(b"-1e39"), Err(Cause::Range));
        assert_eq!(float::<f64>(b"-Infinity"), Ok(f64::NEG_INFINITY));
        assert!(float::<f32>(b"NaN").is_ok_and(f32::is_nan));
    }

    proptest::proptest! {
        /// Texts near each other, good and bad, so that the kept minute is met, left and missed by a byte.
        #[test]
        fn a_column_of_instants_reads_each_as_if_alone(
            texts in proptest::collection::vec((
                "(2018-04-01|2018-04-31|1677-09-21|9999-12-31)[ T](00:1[23]|24:00)(:[0-6][0-9]|:5|;11|)",
                "(\\.[0-9]{0,10}|)",
                proptest::sample::select(vec!["", "", "Z", "z", "+02:00", "Zx"]),
            ), 1..30),
            digits in proptest::sample::select(vec![0u32, 3, 6, 9]),
            zoned in proptest::bool::ANY,
        ) {
            let mut column = Timestamps::new(digits, zoned);
            for (instant, fraction, zone) in texts {
                let text = format!("{instant}{fraction}{zone}");
                let alone = timestamp(text.as_bytes(), digits, zoned);
                proptest::prop_assert_eq!(column.parse(text.as_bytes()), alone, "{}", text);
            }
        }
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
