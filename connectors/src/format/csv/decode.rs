//! Columns from fields, one column at a time.

use super::fields::Fields;
use crate::format::values::{self, Cause};
use arrow::array::{ArrayRef, BinaryArray, BooleanArray, Decimal128Array, PrimitiveArray, StringArray};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::*;
use highwater_engine::graph::types::{fraction_digits, sql_type};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Characters of a value that an error shows.
const SHOWN_CHARS_MAX: usize = 60;

/// A column to decode.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Which field of a record.
    pub field: usize,
    /// The declared name.
    pub name: String,
    /// The declared type.
    pub data_type: DataType,
}

/// Decodes fields of one block.
pub struct Decoder<'a> {
    /// The block.
    pub data: &'a [u8],
    /// Its field borders.
    pub fields: &'a Fields,
    /// The quote character, if the block holds any.
    pub quote: Option<u8>,
    /// The unquoted text that is NULL.
    pub null_literal: Option<&'a [u8]>,
}

/// What is wrong with rows, by row: the first wrong column of each.
pub type Wrong = BTreeMap<usize, String>;

/// A field's content.
enum Value<'a> {
    Null,
    Text(&'a [u8]),
}

impl Decoder<'_> {
    /// The column of every row. Rows whose field can't be decoded are noted in `wrong` and hold any value.
    pub fn column(&self, plan: &Plan, wrong: &mut Wrong) -> ArrayRef {
        macro_rules! primitive {
            ($t:ty, $parse:expr) => {
                Arc::new(self.primitive::<$t>(plan, wrong, $parse)) as ArrayRef
            };
        }
        match &plan.data_type {
            DataType::Boolean => self.boolean(plan, wrong),
            DataType::Int8 => primitive!(Int8Type, values::narrow),
            DataType::Int16 => primitive!(Int16Type, values::narrow),
            DataType::Int32 => primitive!(Int32Type, values::narrow),
            DataType::Int64 => primitive!(Int64Type, values::integer),
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
        let parse = move |t: &[u8]| values::timestamp(t, fraction_digits(unit), zoned);
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
        parse: impl Fn(&[u8]) -> Result<T::Native, Cause>,
    ) -> PrimitiveArray<T> {
        let mut out = Vec::with_capacity(self.fields.rows());
        let nulls = self.each(plan, wrong, false, |text| match text {
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
        let mut out = Vec::with_capacity(self.fields.rows());
        let nulls = self.each(plan, wrong, false, |text| {
            let parsed = text.map_or(Ok(false), |t| values::boolean(t.trim_ascii()));
            out.push(parsed.unwrap_or(false));
            parsed.map(|_| ())
        });
        Arc::new(BooleanArray::new(BooleanBuffer::from(out), nulls))
    }

    fn strings(&self, plan: &Plan, wrong: &mut Wrong) -> ArrayRef {
        let (mut bytes, mut offsets) = (Vec::new(), self.offsets());
        let nulls = self.each(plan, wrong, true, |text| {
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
        let nulls = self.each(plan, wrong, true, |field| {
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
        let nulls = self.each(plan, wrong, true, |text| {
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
        let mut offsets = Vec::with_capacity(self.fields.rows() + 1);
        offsets.push(0);
        offsets
    }

    /// Calls `take` with the text of every row, `None` for NULL; returns which rows are not NULL. `text` types keep the
    /// empty field as a value.
    #[inline(always)]
    fn each(
        &self,
        plan: &Plan,
        wrong: &mut Wrong,
        text: bool,
        mut take: impl FnMut(Option<&[u8]>) -> Result<(), Cause>,
    ) -> Option<NullBuffer> {
        let (mut scratch, mut nulls) = (Vec::new(), Vec::new());
        for row in 0..self.fields.rows() {
            let field = self.fields.field(self.data, row, plan.field);
            let taken = match self.value(field, text, &mut scratch) {
                Value::Text(text) => take(Some(text)),
                Value::Null => {
                    nulls.push(row);
                    take(None)
                }
            };
            if let Err(cause) = taken {
                wrong.entry(row).or_insert_with(|| describe(plan, field, cause));
            }
        }
        if nulls.is_empty() {
            return None;
        }
        let mut valid = vec![true; self.fields.rows()];
        nulls.iter().for_each(|row| valid[*row] = false);
        Some(NullBuffer::from(valid))
    }

    #[inline(always)]
    fn value<'v>(&self, field: &'v [u8], text: bool, scratch: &'v mut Vec<u8>) -> Value<'v> {
        if let Some(quote) = self.quote
            && field.first() == Some(&quote)
        {
            return Value::Text(unquote(field, quote, scratch));
        }
        match self.null_literal {
            Some(null) if null == field => Value::Null,
            _ if field.is_empty() && !text => Value::Null,
            _ => Value::Text(field),
        }
    }
}

/// The content of a quoted field.
fn unquote<'v>(field: &'v [u8], quote: u8, scratch: &'v mut Vec<u8>) -> &'v [u8] {
    let inner = &field[1..field.len() - 1];
    if memchr::memchr(quote, inner).is_none() {
        return inner;
    }
    scratch.clear();
    let mut rest = inner;
    while let Some(at) = memchr::memchr(quote, rest) {
        scratch.extend_from_slice(&rest[..=at]);
        rest = rest.get(at + 2..).unwrap_or(&[]);
    }
    scratch.extend_from_slice(rest);
    scratch
}

#[cold]
fn describe(plan: &Plan, field: &[u8], cause: Cause) -> String {
    let text = String::from_utf8_lossy(field);
    let shown: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    let more = if shown.len() < text.len() { "…" } else { "" };
    let type_name = match plan.data_type {
        DataType::Binary => "Base64 text of BYTES".to_owned(),
        _ => sql_type(&plan.data_type),
    };
    format!("column {} ({}): {shown:?}{more} {}", plan.field + 1, plan.name, cause.message(&type_name))
}
