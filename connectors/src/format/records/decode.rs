//! Columns from the texts of values, one column at a time.

use crate::format::values::{self, Cause};
use arrow::array::{ArrayRef, BinaryArray, BooleanArray, Decimal128Array, PrimitiveArray, StringArray};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::*;
use highwater_engine::graph::types::{PRECISION_MAX, fraction_digits, sql_type};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Characters of a value that an error shows.
const SHOWN_CHARS_MAX: usize = 60;

/// A column to decode.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Which value of a record, as the format counts them.
    pub value: usize,
    /// The column as errors name it: `column 3 (amount)`.
    pub place: String,
    /// The declared type.
    pub data_type: DataType,
}

/// What a column's values are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Numbers, times, BOOLEAN.
    Plain,
    /// STRING.
    Text,
    /// BYTES, as Base64.
    Bytes,
}

/// The values of the records found in a block, as a format has them.
pub trait Values {
    /// Whether an integer may be written with a fraction or an exponent: `1.0`, `1e3`.
    const NUMBERS_HAVE_EXPONENTS: bool;

    /// The bytes of a value as they stand in the file: what an error shows.
    fn as_written(&self, row: usize, value: usize) -> &[u8];

    /// The text that a value stands for; `None` is NULL. `scratch` is for a text that does not stand so in the file.
    fn text<'v>(
        &'v self,
        row: usize,
        value: usize,
        content: Content,
        scratch: &'v mut Vec<u8>,
    ) -> Result<Option<&'v [u8]>, Cause>;
}

/// Decodes the values of one block.
pub struct Decoder<V> {
    /// Good records.
    pub rows: usize,
    /// Their values.
    pub values: V,
}

/// What is wrong with rows, by row: the first wrong column of each.
pub type Wrong = BTreeMap<usize, String>;

impl<V: Values> Decoder<V> {
    /// The column of every row. Rows whose field can't be decoded are noted in `wrong` and hold any value.
    pub fn column(&self, plan: &Plan, wrong: &mut Wrong) -> ArrayRef {
        macro_rules! primitive {
            ($t:ty, $parse:expr) => {
                Arc::new(self.primitive::<$t>(plan, wrong, $parse)) as ArrayRef
            };
        }
        match &plan.data_type {
            DataType::Boolean => self.boolean(plan, wrong),
            DataType::Int8 => primitive!(Int8Type, integer::<V, _>),
            DataType::Int16 => primitive!(Int16Type, integer::<V, _>),
            DataType::Int32 => primitive!(Int32Type, integer::<V, _>),
            DataType::Int64 => primitive!(Int64Type, integer::<V, _>),
            DataType::Float32 => primitive!(Float32Type, values::float),
            DataType::Float64 => primitive!(Float64Type, values::float),
            DataType::Decimal128(p, s) => {
                let (p, scale) = (*p, u32::try_from(*s).unwrap_or(0));
                let array: Decimal128Array = self.primitive(plan, wrong, move |t| values::decimal(t, p, scale));
                Arc::new(array.with_data_type(plan.data_type.clone()))
            }
            DataType::Date32 => primitive!(Date32Type, values::days),
            DataType::Time32(TimeUnit::Second) => {
                primitive!(Time32SecondType, |t| values::time(t, 0).map(|v| v as i32))
            }
            DataType::Time32(_) => primitive!(Time32MillisecondType, |t| values::time(t, 3).map(|v| v as i32)),
            DataType::Time64(TimeUnit::Microsecond) => primitive!(Time64MicrosecondType, |t| values::time(t, 6)),
            DataType::Time64(_) => primitive!(Time64NanosecondType, |t| values::time(t, 9)),
            DataType::Timestamp(unit, zone) => self.timestamp(plan, wrong, *unit, zone.is_some()),
            DataType::Binary => self.bytes(plan, wrong),
            _ => self.strings(plan, wrong),
        }
    }

    fn timestamp(&self, plan: &Plan, wrong: &mut Wrong, unit: TimeUnit, zoned: bool) -> ArrayRef {
        let mut times = values::Timestamps::new(fraction_digits(unit), zoned);
        let parse = move |t: &[u8]| times.parse(t);
        macro_rules! of {
            ($t:ty) => {
                Arc::new(self.primitive::<$t>(plan, wrong, parse).with_data_type(plan.data_type.clone()))
            };
        }
        match unit {
            TimeUnit::Second => of!(TimestampSecondType),
            TimeUnit::Millisecond => of!(TimestampMillisecondType),
            TimeUnit::Microsecond => of!(TimestampMicrosecondType),
            TimeUnit::Nanosecond => of!(TimestampNanosecondType),
        }
    }

    fn primitive<T: ArrowPrimitiveType>(
        &self,
        plan: &Plan,
        wrong: &mut Wrong,
        mut parse: impl FnMut(&[u8]) -> Result<T::Native, Cause>,
    ) -> PrimitiveArray<T> {
        let mut out = Vec::with_capacity(self.rows);
        let nulls = self.each(plan, wrong, Content::Plain, |text| match text {
            None => {
                out.push(T::Native::default());
                Ok(())
            }
            Some(text) => {
                let parsed = parse(text).or_else(|cause| match text.trim_ascii() {
                    trimmed if trimmed.len() < text.len() => parse(trimmed),
                    _ => Err(cause),
                });
                out.push(*parsed.as_ref().unwrap_or(&T::Native::default()));
                parsed.map(|_| ())
            }
        });
        PrimitiveArray::new(ScalarBuffer::from(out), nulls)
    }

    fn boolean(&self, plan: &Plan, wrong: &mut Wrong) -> ArrayRef {
        let mut out = Vec::with_capacity(self.rows);
        let nulls = self.each(plan, wrong, Content::Plain, |text| {
            let parsed = text.map_or(Ok(false), |t| values::boolean(t.trim_ascii()));
            out.push(parsed.unwrap_or(false));
            parsed.map(|_| ())
        });
        Arc::new(BooleanArray::new(BooleanBuffer::from(out), nulls))
    }

    fn strings(&self, plan: &Plan, wrong: &mut Wrong) -> ArrayRef {
        let (mut bytes, mut offsets) = (Vec::new(), self.offsets());
        let nulls = self.each(plan, wrong, Content::Text, |text| {
            bytes.extend_from_slice(text.unwrap_or(&[]));
            offsets.push(bytes.len() as i32);
            Ok(())
        });
        let borders = OffsetBuffer::new(ScalarBuffer::from(offsets));
        match StringArray::try_new(borders, Buffer::from_vec(bytes), nulls) {
            Ok(array) => Arc::new(array),
            Err(_) => self.strings_with_bad_rows(plan, wrong),
        }
    }

    /// Some row is not UTF-8: look at each.
    #[cold]
    fn strings_with_bad_rows(&self, plan: &Plan, wrong: &mut Wrong) -> ArrayRef {
        let (mut text, mut offsets) = (String::new(), self.offsets());
        let nulls = self.each(plan, wrong, Content::Text, |field| {
            let decoded = std::str::from_utf8(field.unwrap_or(&[]));
            text.push_str(decoded.unwrap_or_default());
            offsets.push(text.len() as i32);
            decoded.map(|_| ()).map_err(|_| Cause::Encoding)
        });
        let borders = OffsetBuffer::new(ScalarBuffer::from(offsets));
        Arc::new(StringArray::new(borders, Buffer::from_vec(text.into_bytes()), nulls))
    }

    fn bytes(&self, plan: &Plan, wrong: &mut Wrong) -> ArrayRef {
        let (mut bytes, mut offsets) = (Vec::new(), self.offsets());
        let nulls = self.each(plan, wrong, Content::Bytes, |text| {
            let before = bytes.len();
            let decoded = values::base64_decode(text.unwrap_or(&[]), &mut bytes);
            if decoded.is_err() {
                bytes.truncate(before);
            }
            offsets.push(bytes.len() as i32);
            decoded
        });
        let borders = OffsetBuffer::new(ScalarBuffer::from(offsets));
        Arc::new(BinaryArray::new(borders, Buffer::from_vec(bytes), nulls))
    }

    fn offsets(&self) -> Vec<i32> {
        let mut offsets = Vec::with_capacity(self.rows + 1);
        offsets.push(0);
        offsets
    }

    /// Calls `take` with the text of every row, `None` for NULL; returns which rows are not NULL.
    #[inline(always)]
    fn each(
        &self,
        plan: &Plan,
        wrong: &mut Wrong,
        content: Content,
        mut take: impl FnMut(Option<&[u8]>) -> Result<(), Cause>,
    ) -> Option<NullBuffer> {
        let (mut scratch, mut nulls) = (Vec::new(), Vec::new());
        for row in 0..self.rows {
            let taken = match self.values.text(row, plan.value, content, &mut scratch) {
                Ok(Some(text)) => take(Some(text)),
                Ok(None) => {
                    nulls.push(row);
                    take(None)
                }
                Err(cause) => take(None).and(Err(cause)),
            };
            if let Err(cause) = taken {
                wrong.entry(row).or_insert_with(|| describe(plan, self.values.as_written(row, plan.value), cause));
            }
        }
        if nulls.is_empty() {
            return None;
        }
        let mut valid = vec![true; self.rows];
        nulls.iter().for_each(|row| valid[*row] = false);
        Some(NullBuffer::from(valid))
    }
}

/// An integer, also one with a zero fraction or an exponent where the format has such numbers.
#[inline(always)]
fn integer<V: Values, T: TryFrom<i64>>(text: &[u8]) -> Result<T, Cause> {
    match values::narrow(text) {
        Err(Cause::Malformed) if V::NUMBERS_HAVE_EXPONENTS => {
            let exact = values::decimal(text, PRECISION_MAX, 0)?;
            i64::try_from(exact).ok().and_then(|v| T::try_from(v).ok()).ok_or(Cause::Range)
        }
        narrowed => narrowed,
    }
}

#[cold]
fn describe(plan: &Plan, written: &[u8], cause: Cause) -> String {
    let text = String::from_utf8_lossy(written);
    let shown: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    let more = if shown.len() < text.len() { "…" } else { "" };
    let type_name = match plan.data_type {
        DataType::Binary => "Base64 text of BYTES".to_owned(),
        _ => sql_type(&plan.data_type),
    };
    format!("{}: {shown:?}{more} {}", plan.place, cause.message(&type_name))
}
