//! Values as text, for CSV, JSON and `print`.
//!
//! | type | CSV, JSON | `print` |
//! |---|---|---|
//! | numbers, BOOLEAN | `-1`, `35.00`, `1.5`, `true` | the same |
//! | STRING | as it is | line breaks as `\n`, `\r` |
//! | BYTES | Base64 | `x'00ff'` |
//! | DATE, TIME(p) | `2018-04-01`, `00:00:31.000` | the same |
//! | TIMESTAMP(p) | `2018-04-01 00:00:31.000` | `2018-04-01T00:00:31.000` |
//! | TIMESTAMP_LTZ(p) | `2018-04-01 00:00:31.000Z` | `2018-04-01T00:00:31.000Z` |
//!
//! JSON may write `T` too. Fractions of a second have as many digits as the type, so equal types give equal widths.

use super::values::base64_encode;
use crate::calendar::{write_date, write_instant, write_time};
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::*;
use highwater_engine::graph::types::fraction_digits;
use std::io::Write;

/// For whom a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// A file of text.
    Csv,
    /// A file of text, with `T` between date and time.
    Iso,
    /// A line of `print`.
    Print,
}

/// A column whose values are written as text.
pub struct Column<'a> {
    array: &'a dyn Array,
    write: Writer<'a>,
}

/// Writes the value of a row.
type Writer<'a> = Box<dyn Fn(usize, &mut Vec<u8>) + 'a>;

impl<'a> Column<'a> {
    /// The values of an array; `None` for a type that no table has.
    pub fn new(array: &'a ArrayRef, style: Style) -> Option<Self> {
        Some(Self { array, write: writer(array, style)? })
    }

    /// Whether the value of this row is NULL.
    pub fn is_null(&self, row: usize) -> bool {
        self.array.is_null(row)
    }

    /// Whether values may hold any character, so that CSV must look at them.
    pub fn is_text(&self) -> bool {
        self.array.data_type() == &DataType::Utf8
    }

    /// Appends the value of this row, which is not NULL.
    pub fn write(&self, row: usize, out: &mut Vec<u8>) {
        (self.write)(row, out);
    }
}

fn writer<'a>(array: &'a ArrayRef, style: Style) -> Option<Writer<'a>> {
    macro_rules! number {
        ($t:ty) => {{
            let values = array.as_primitive::<$t>().values();
            Box::new(move |row: usize, out: &mut Vec<u8>| write_i128(i128::from(values[row]), 0, out))
        }};
    }
    macro_rules! float {
        ($t:ty) => {{
            let values = array.as_primitive::<$t>().values();
            // Writing to memory can't fail.
            Box::new(move |row: usize, out: &mut Vec<u8>| drop(write!(out, "{:?}", values[row])))
        }};
    }
    Some(match array.data_type() {
        DataType::Boolean => {
            let values = array.as_boolean();
            Box::new(move |row, out| out.extend_from_slice(if values.value(row) { b"true" } else { b"false" }))
        }
        DataType::Int8 => number!(Int8Type),
        DataType::Int16 => number!(Int16Type),
        DataType::Int32 => number!(Int32Type),
        DataType::Int64 => number!(Int64Type),
        DataType::Float32 => float!(Float32Type),
        DataType::Float64 => float!(Float64Type),
        DataType::Decimal128(_, scale) => {
            let (values, scale) = (array.as_primitive::<Decimal128Type>().values(), usize::try_from(*scale).ok()?);
            Box::new(move |row, out| write_i128(values[row], scale, out))
        }
        DataType::Utf8 => {
            let values = array.as_string::<i32>();
            match style {
                Style::Csv | Style::Iso => {
                    Box::new(move |row, out| out.extend_from_slice(values.value(row).as_bytes()))
                }
                Style::Print => Box::new(move |row, out| write_line_text(values.value(row).as_bytes(), out)),
            }
        }
        DataType::Binary => {
            let values = array.as_binary::<i32>();
            match style {
                Style::Csv | Style::Iso => Box::new(move |row, out| base64_encode(values.value(row), out)),
                Style::Print => Box::new(move |row, out| write_hex(values.value(row), out)),
            }
        }
        _ => return temporal(array, style),
    })
}

fn temporal<'a>(array: &'a ArrayRef, style: Style) -> Option<Writer<'a>> {
    if let DataType::Date32 = array.data_type() {
        let values = array.as_primitive::<Date32Type>().values();
        return Some(Box::new(move |row, out| write_date(i64::from(values[row]), out)));
    }
    macro_rules! time {
        ($t:ty, $unit:expr) => {{
            let (values, digits) = (array.as_primitive::<$t>().values(), fraction_digits($unit));
            Box::new(move |row: usize, out: &mut Vec<u8>| write_time(i64::from(values[row]), digits, out))
        }};
    }
    let between = if style == Style::Csv { b' ' } else { b'T' };
    macro_rules! timestamp {
        ($t:ty, $unit:expr, $zone:expr) => {{
            let (values, digits, zoned) =
                (array.as_primitive::<$t>().values(), fraction_digits($unit), $zone.is_some());
            Box::new(move |row: usize, out: &mut Vec<u8>| {
                write_instant(values[row], digits, between, out);
                if zoned {
                    out.push(b'Z');
                }
            })
        }};
    }
    Some(match array.data_type() {
        DataType::Time32(TimeUnit::Second) => time!(Time32SecondType, TimeUnit::Second),
        DataType::Time32(TimeUnit::Millisecond) => time!(Time32MillisecondType, TimeUnit::Millisecond),
        DataType::Time64(TimeUnit::Microsecond) => time!(Time64MicrosecondType, TimeUnit::Microsecond),
        DataType::Time64(TimeUnit::Nanosecond) => time!(Time64NanosecondType, TimeUnit::Nanosecond),
        DataType::Timestamp(u @ TimeUnit::Second, z) => timestamp!(TimestampSecondType, *u, z),
        DataType::Timestamp(u @ TimeUnit::Millisecond, z) => timestamp!(TimestampMillisecondType, *u, z),
        DataType::Timestamp(u @ TimeUnit::Microsecond, z) => timestamp!(TimestampMicrosecondType, *u, z),
        DataType::Timestamp(u @ TimeUnit::Nanosecond, z) => timestamp!(TimestampNanosecondType, *u, z),
        _ => return None,
    })
}

/// Writes `value · 10^-scale` with all its decimals.
fn write_i128(value: i128, scale: usize, out: &mut Vec<u8>) {
    if value < 0 {
        out.push(b'-');
    }
    let mut digits = [b'0'; 40];
    let (mut at, mut rest) = (digits.len(), value.unsigned_abs());
    // 128-bit division is slow and most values are small.
    while rest > u128::from(u64::MAX) {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    let mut rest = rest as u64;
    while rest > 0 {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    let digits = &digits[at.min(39 - scale.min(39))..];
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    out.extend_from_slice(whole);
    if scale > 0 {
        out.push(b'.');
        out.extend_from_slice(fraction);
    }
}

/// Text within a line: line breaks are shown as `\n` and `\r`.
fn write_line_text(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(at) = memchr::memchr2(b'\n', b'\r', rest) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(if rest[at] == b'\n' { b"\\n" } else { b"\\r" });
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

fn write_hex(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"x'");
    for b in bytes {
        out.extend([b >> 4, b & 15].map(|n| b"0123456789abcdef"[usize::from(n)]));
    }
    out.push(b'\'');
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::*;
    use std::sync::Arc;

    fn text(array: ArrayRef, style: Style) -> Vec<String> {
        let column = Column::new(&array, style).unwrap();
        let one = |row| {
            let mut out = Vec::new();
            column.write(row, &mut out);
            String::from_utf8(out).unwrap()
        };
        (0..array.len()).map(one).collect()
    }

    #[test]
    fn decimals_keep_their_scale() {
        let values = vec![0, 5, -5, 100, 123_456, i128::from(i64::MAX) * 100, 10i128.pow(38) - 1];
        let array = Decimal128Array::from(values).with_precision_and_scale(38, 2).unwrap();
        let expected = [
            "0.00",
            "0.05",
            "-0.05",
            "1.00",
            "1234.56",
            "9223372036854775807.00",
            "999999999999999999999999999999999999.99",
        ];
        assert_eq!(text(Arc::new(array), Style::Csv), expected);
        let array = Decimal128Array::from(vec![7, -(10i128.pow(38) - 1)]).with_precision_and_scale(38, 38).unwrap();
        let nines = "9".repeat(38);
        assert_eq!(text(Arc::new(array), Style::Csv), [format!("0.{}7", "0".repeat(37)), format!("-0.{nines}")]);
    }

    #[test]
    fn every_type_has_a_text() {
        assert_eq!(text(Arc::new(Int8Array::from(vec![-128, 0])), Style::Print), ["-128", "0"]);
        assert_eq!(text(Arc::new(Int64Array::from(vec![i64::MIN])), Style::Print), ["-9223372036854775808"]);
        assert_eq!(text(Arc::new(Float64Array::from(vec![1.0, 0.1, 1e300])), Style::Csv), ["1.0", "0.1", "1e300"]);
        assert_eq!(text(Arc::new(BinaryArray::from(vec![&[0u8, 255][..]])), Style::Print), ["x'00ff'"]);
        assert_eq!(text(Arc::new(BinaryArray::from(vec![&b"Man"[..]])), Style::Csv), ["TWFu"]);
        let ms = TimestampMillisecondArray::from(vec![1_522_540_831_000]);
        assert_eq!(text(Arc::new(ms.clone()), Style::Csv), ["2018-04-01 00:00:31.000"]);
        assert_eq!(text(Arc::new(ms.with_timezone("UTC")), Style::Print), ["2018-04-01T00:00:31.000Z"]);
        assert_eq!(text(Arc::new(Time32SecondArray::from(vec![3_661])), Style::Csv), ["01:01:01"]);
        assert_eq!(text(Arc::new(Date32Array::from(vec![0])), Style::Csv), ["1970-01-01"]);
    }
}
