//! Columns in snapshots: numbers in as few bytes as their range needs.
//!
//! ```text
//! words    width: u8 (0, 1, 2, 4, 8)  base: i64  (value − base: width bytes)*
//! column   how: u8
//!          0: others, below
//!          1: words                                  a type of 32 or 64 bits without NULL
//!          2: words                                  DECIMAL without NULL, all of which fit 64 bits
//! columns  rows: count  columns: count  column*  an Arrow IPC stream of all columns of how 0, if there are any
//! ```
//!
//! State is mostly keys, times and counts near each other: this takes a quarter of the bytes of plain columns, and what a
//! checkpoint costs is bytes. Types are not written: the manifest has a fingerprint of the step.

use super::codec::{Reader, Writer};
use crate::error::OperatorError;
use arrow::array::{Array, ArrayData, ArrayRef, AsArray, Decimal128Array, RecordBatch, RecordBatchOptions, make_array};
use arrow::buffer::{Buffer, ScalarBuffer};
use arrow::datatypes::{DataType, Decimal128Type, SchemaRef};
use std::sync::Arc;

/// Rows of a column without any bytes: a damaged number of rows must not ask for memory without end.
const CONSTANT_ROWS_MAX: usize = 1 << 24;

const PLAIN: u8 = 0;
const WORDS: u8 = 1;
const DECIMALS: u8 = 2;

impl Writer {
    /// Appends words in as few bytes as their range needs. How many there are is not written.
    pub fn words(&mut self, v: &[i64]) {
        let (low, high) = v.iter().fold((i64::MAX, i64::MIN), |(l, h), v| (l.min(*v), h.max(*v)));
        let base = if v.is_empty() { 0 } else { low };
        let range = if v.is_empty() { 0 } else { high.wrapping_sub(low) as u64 };
        let width = match range {
            0 if v.len() <= CONSTANT_ROWS_MAX => 0,
            ..0x100 => 1,
            0x100..0x1_0000 => 2,
            0x1_0000..0x1_0000_0000 => 4,
            _ => 8,
        };
        self.u8(width);
        self.i64(base);
        let distance = |v: &i64| v.wrapping_sub(base) as u64;
        match width {
            0 => {}
            1 => self.extend(v.iter().map(|v| [distance(v) as u8])),
            2 => self.extend(v.iter().map(|v| (distance(v) as u16).to_le_bytes())),
            4 => self.extend(v.iter().map(|v| (distance(v) as u32).to_le_bytes())),
            _ => self.extend(v.iter().map(|v| distance(v).to_le_bytes())),
        }
    }

    /// Appends the columns of a batch; whoever reads them knows their schema.
    pub fn columns(&mut self, v: &RecordBatch) -> Result<(), OperatorError> {
        self.count(v.num_rows() as u64);
        self.count(v.num_columns() as u64);
        let mut plain = Vec::new();
        for (i, column) in v.columns().iter().enumerate() {
            match Numbers::of(column) {
                Some(Numbers { how, words }) => {
                    self.u8(how);
                    self.words(&words);
                }
                None => {
                    self.u8(PLAIN);
                    plain.push(i);
                }
            }
        }
        if plain.is_empty() {
            return Ok(());
        }
        let plain = v.project(&plain).map_err(|e| OperatorError::new(format!("state could not be written: {e}")))?;
        self.batch(&plain)
    }
}

impl Reader<'_> {
    /// Reads `n` words.
    pub fn words(&mut self, n: usize) -> Result<Vec<i64>, OperatorError> {
        let (width, base) = (self.u8()?, self.i64()?);
        let at = |distance: u64| base.wrapping_add(distance as i64);
        Ok(match width {
            0 if n <= CONSTANT_ROWS_MAX => vec![base; n],
            1 => self.arrays(n)?.iter().map(|[v]: &[u8; 1]| at(u64::from(*v))).collect(),
            2 => self.arrays(n)?.iter().map(|v| at(u64::from(u16::from_le_bytes(*v)))).collect(),
            4 => self.arrays(n)?.iter().map(|v| at(u64::from(u32::from_le_bytes(*v)))).collect(),
            8 => self.arrays(n)?.iter().map(|v| at(u64::from_le_bytes(*v))).collect(),
            _ => return Err(damaged(&format!("{n} words of {width} bytes each"))),
        })
    }

    /// Reads the columns of a batch with this schema.
    pub fn columns(&mut self, schema: &SchemaRef) -> Result<RecordBatch, OperatorError> {
        let rows = usize::try_from(self.count()?).map_err(|_| damaged("impossible length"))?;
        let (there, wanted) = (self.count()?, schema.fields().len());
        if there != wanted as u64 {
            return Err(damaged(&format!("it has {there} columns where {wanted} belong")));
        }
        let mut columns: Vec<Option<ArrayRef>> = Vec::new();
        for field in schema.fields() {
            columns.push(match self.u8()? {
                PLAIN => None,
                WORDS => Some(of_words(field.data_type(), &self.words(rows)?)?),
                DECIMALS => Some(of_decimals(field.data_type(), &self.words(rows)?)?),
                how => return Err(damaged(&format!("a column is written in way {how}"))),
            });
        }
        if columns.iter().any(Option::is_none) {
            let plain = self.batch()?;
            let mut plain = plain.columns().iter();
            columns.iter_mut().filter(|c| c.is_none()).for_each(|c| *c = plain.next().cloned());
        }
        let columns: Option<Vec<ArrayRef>> = columns.into_iter().collect();
        let columns = columns.ok_or_else(|| damaged("a column is missing"))?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(schema.clone(), columns, &options).map_err(|e| damaged(&e.to_string()))
    }
}

fn damaged(what: &str) -> OperatorError {
    OperatorError::new(format!("state is damaged: {what}"))
}

/// A column as words.
struct Numbers {
    how: u8,
    words: ScalarBuffer<i64>,
}

impl Numbers {
    /// `None` if it must be written plain.
    fn of(column: &ArrayRef) -> Option<Self> {
        if column.null_count() > 0 {
            return None;
        }
        if let DataType::Decimal128(..) = column.data_type() {
            let values = column.as_primitive::<Decimal128Type>().values();
            let words: Vec<i64> = values.iter().map(|v| i64::try_from(*v).ok()).collect::<Option<_>>()?;
            return Some(Self { how: DECIMALS, words: words.into() });
        }
        let (data, n) = (column.to_data(), column.len());
        let buffer = || data.buffers()[0].clone();
        let words = match width(column.data_type())? {
            4 => ScalarBuffer::<i32>::new(buffer(), data.offset(), n).iter().map(|v| i64::from(*v)).collect(),
            _ => ScalarBuffer::new(buffer(), data.offset(), n),
        };
        Some(Self { how: WORDS, words })
    }
}

/// Bytes of a value of a type that is written as words.
fn width(t: &DataType) -> Option<usize> {
    use DataType::*;
    match t {
        Int32 | UInt32 | Float32 | Date32 | Time32(_) => Some(4),
        Int64 | UInt64 | Float64 | Date64 | Time64(_) | Timestamp(..) | Duration(_) => Some(8),
        _ => None,
    }
}

fn of_words(t: &DataType, words: &[i64]) -> Result<ArrayRef, OperatorError> {
    let buffer = match width(t) {
        Some(4) => words.iter().map(|v| *v as i32).collect::<Vec<_>>().into(),
        Some(_) => Buffer::from(words.to_vec()),
        None => return Err(damaged(&format!("{t} as words"))),
    };
    let data = ArrayData::builder(t.clone()).len(words.len()).add_buffer(buffer).build();
    Ok(make_array(data.map_err(|e| damaged(&e.to_string()))?))
}

fn of_decimals(t: &DataType, words: &[i64]) -> Result<ArrayRef, OperatorError> {
    let DataType::Decimal128(precision, scale) = t else { return Err(damaged(&format!("{t} as decimals"))) };
    let values = Decimal128Array::from_iter_values(words.iter().map(|v| i128::from(*v)));
    let values = values.with_precision_and_scale(*precision, *scale).map_err(|e| damaged(&e.to_string()))?;
    Ok(Arc::new(values))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Float64Array, Int32Array, Int64Array, StringArray, TimestampMillisecondArray};
    use arrow::datatypes::{Field, Schema};
    use proptest::prelude::*;

    fn there_and_back(batch: &RecordBatch) -> Result<usize, OperatorError> {
        let mut w = Writer::new();
        w.columns(batch)?;
        let bytes = w.finish();
        let mut r = Reader::new(&bytes);
        assert_eq!(r.columns(&batch.schema())?, *batch);
        assert!(r.is_done());
        (0..bytes.len()).for_each(|n| assert!(Reader::new(&bytes[..n]).columns(&batch.schema()).is_err()));
        Ok(bytes.len())
    }

    fn batch(columns: Vec<ArrayRef>) -> RecordBatch {
        let field = |c: &ArrayRef| Field::new("c", c.data_type().clone(), true);
        let schema = Schema::new(columns.iter().map(field).collect::<Vec<_>>());
        RecordBatch::try_new(Arc::new(schema), columns).unwrap()
    }

    proptest! {
        #[test]
        fn columns_are_read_as_they_were_written(
            longs in prop::collection::vec(prop_oneof![any::<i64>(), 0i64..300], 0..40),
            shift in 0u32..64, from in 0usize..3, null: bool,
        ) {
            let longs: Vec<i64> = longs.iter().map(|v| v >> shift).collect();
            let n = longs.len();
            let decimals = |unit: i128| {
                let values = longs.iter().map(|v| i128::from(*v) * unit);
                Decimal128Array::from_iter_values(values).with_precision_and_scale(38, 2).unwrap()
            };
            let all = batch(vec![
                Arc::new(Int64Array::from(longs.clone())),
                Arc::new(StringArray::from_iter_values(longs.iter().map(i64::to_string))),
                Arc::new(Int32Array::from_iter_values(longs.iter().map(|v| *v as i32))),
                Arc::new(Float64Array::from_iter_values(longs.iter().map(|v| *v as f64 / 3.0))),
                Arc::new(TimestampMillisecondArray::from(longs.clone())),
                Arc::new(longs.iter().map(|v| (!null || v % 3 != 0).then_some(*v)).collect::<Int64Array>()),
                Arc::new(decimals(1)),
                Arc::new(decimals(10_000_000_000)),
            ]);
            let from = from.min(n);
            there_and_back(&all.slice(from, n - from)).unwrap();
        }
    }

    #[test]
    fn numbers_take_what_their_range_needs() {
        let size = |v: Vec<i64>| there_and_back(&batch(vec![Arc::new(Int64Array::from(v))])).unwrap();
        let empty = size(vec![]);
        assert_eq!(size(vec![1 << 40; 1_000]), empty + 1);
        assert_eq!(size((0..200).map(|i| (1 << 40) + i).collect()), empty + 1 + 200);
        assert_eq!(size((0..300).collect()), empty + 1 + 600);
        assert_eq!(size(vec![i64::MIN, i64::MAX]), empty + 16);
    }
}
