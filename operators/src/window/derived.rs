//! Columns that a window makes of a batch's own before it enters, behind those.
//!
//! * [`Derived::Packed`]: rows as bytes, for what goes by their order ([`super::ordered`]).
//! * [`Derived::Pair`]: numbers of two columns brought to one type, NULL where either is, for covariances.
//! * [`Derived::Bucket`], [`Derived::Code`]: what is kept of a value by APPROX_PERCENTILE and APPROX_COUNT_DISTINCT.

use super::ordered::Packed;
use crate::aggregate::percentile::{bucket_of, bucket_of_double};
use crate::aggregate::{Values, distinct, pair};
use arrow::array::{Array, ArrayRef, Decimal128Array, Float64Array, Int64Array, RecordBatch, RecordBatchOptions};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, Schema};
use highwater_engine::batch::Batch;
use highwater_engine::error::OperatorError;
use highwater_engine::graph::types::{PRECISION_MAX, as_decimal};
use highwater_engine::hash::hash_columns;
use std::sync::Arc;

/// How one column is made.
#[derive(Clone, Debug)]
pub enum Derived {
    /// A row in bytes.
    Packed(Arc<Packed>),
    /// Of two columns of numbers.
    Pair {
        /// The columns.
        columns: [usize; 2],
        /// Scale of the integers and DECIMAL; `None` for DOUBLE.
        scale: Option<i8>,
        /// What is made of them.
        part: Part,
    },
    /// The bucket of the value of this column.
    Bucket(usize),
    /// Register and rank of the value of this column.
    Code(usize),
}

/// What is made of two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// x.
    First,
    /// y.
    Second,
    /// x + y, of exact numbers.
    Sum,
    /// The product of doubles.
    Product,
    /// What [`Part::Product`] lacks.
    Rest,
}

impl PartialEq for Derived {
    /// Packed rows are never shared.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Pair { columns, scale, part },
                Self::Pair { columns: other_columns, scale: other_scale, part: other_part },
            ) => (columns, scale, part) == (other_columns, other_scale, other_part),
            (Self::Bucket(a), Self::Bucket(b)) | (Self::Code(a), Self::Code(b)) => a == b,
            _ => false,
        }
    }
}

impl Derived {
    /// The column's type.
    pub fn data_type(&self) -> DataType {
        match self {
            Self::Packed(_) => DataType::Binary,
            Self::Pair { scale: Some(s), .. } => DataType::Decimal128(PRECISION_MAX, *s),
            Self::Pair { scale: None, .. } => DataType::Float64,
            Self::Bucket(_) | Self::Code(_) => DataType::Int64,
        }
    }

    fn column(&self, batch: &Batch) -> Result<ArrayRef, OperatorError> {
        match self {
            Self::Packed(packed) => {
                packed.pack(batch).map_err(|e| OperatorError::new(format!("rows can't be ordered: {e}")))
            }
            Self::Pair { columns, scale, part } => {
                let [x, y] = columns.map(|c| batch.column(c));
                let nulls = NullBuffer::union(x.nulls(), y.nulls());
                match scale {
                    Some(s) => {
                        let numbers = exact(x, y, *s, *part, nulls.as_ref())?;
                        let column = Decimal128Array::new(numbers.into(), nulls);
                        Ok(Arc::new(column.with_data_type(self.data_type())))
                    }
                    None => Ok(Arc::new(Float64Array::new(doubles(x, y, *part)?.into(), nulls))),
                }
            }
            Self::Bucket(column) => {
                let column = batch.column(*column);
                let buckets: Vec<i64> = match Values::of(column)? {
                    Values::Narrow(v) => v.iter().map(|v| bucket_of(i128::from(*v))).collect(),
                    Values::Wide(v) => v.iter().map(|v| bucket_of(*v)).collect(),
                    Values::Double(v) => v.iter().map(|v| bucket_of_double(*v)).collect(),
                    Values::Text(_) | Values::Bytes(_) => unreachable!("the plan refuses texts"),
                };
                Ok(Arc::new(Int64Array::new(buckets.into(), column.nulls().cloned())))
            }
            Self::Code(column) => {
                let column = batch.column(*column);
                let hashes = hash_columns(std::slice::from_ref(column), column.len());
                let codes: Vec<i64> = hashes.iter().map(|h| distinct::code(*h)).collect();
                Ok(Arc::new(Int64Array::new(codes.into(), column.nulls().cloned())))
            }
        }
    }
}

/// A part of two columns of exact numbers, unscaled.
fn exact(
    x: &ArrayRef,
    y: &ArrayRef,
    scale: i8,
    part: Part,
    nulls: Option<&NullBuffer>,
) -> Result<Vec<i128>, OperatorError> {
    let of = |column: &ArrayRef| -> Result<Vec<i128>, OperatorError> {
        let own = as_decimal(column.data_type()).map_or(0, |(_, s)| s);
        let up = 10i128.pow(u32::from((scale - own).unsigned_abs()));
        let fail = |v: i128| OperatorError::new(format!("{v} has too many digits to be paired; CAST it to fewer"));
        let scaled = |(i, v): (usize, i128)| match v.checked_mul(up).filter(|v| v.unsigned_abs() < 1 << 125) {
            Some(v) => Ok(v),
            None if nulls.is_some_and(|n| n.is_null(i)) => Ok(0),
            None => Err(fail(v)),
        };
        match Values::of(column)? {
            Values::Narrow(v) => v.iter().map(|v| i128::from(*v)).enumerate().map(scaled).collect(),
            Values::Wide(v) => v.iter().copied().enumerate().map(scaled).collect(),
            _ => unreachable!("the plan pairs numbers"),
        }
    };
    Ok(match part {
        Part::First => of(x)?,
        Part::Second => of(y)?,
        _ => of(x)?.into_iter().zip(of(y)?).map(|(x, y)| x + y).collect(),
    })
}

/// A part of two columns of which one is DOUBLE.
fn doubles(x: &ArrayRef, y: &ArrayRef, part: Part) -> Result<Vec<f64>, OperatorError> {
    let of = |column: &ArrayRef| -> Result<Vec<f64>, OperatorError> {
        let scale = as_decimal(column.data_type()).map_or(0, |(_, s)| s);
        let down = 10f64.powi(i32::from(scale));
        Ok(match Values::of(column)? {
            Values::Narrow(v) => v.iter().map(|v| *v as f64 / down).collect(),
            Values::Wide(v) => v.iter().map(|v| *v as f64 / down).collect(),
            Values::Double(v) => v.into_owned(),
            Values::Text(_) | Values::Bytes(_) => unreachable!("the plan pairs numbers"),
        })
    };
    let both = |f: fn(f64, f64) -> f64| Ok(of(x)?.into_iter().zip(of(y)?).map(|(x, y)| f(x, y)).collect());
    match part {
        Part::First => of(x),
        Part::Second => of(y),
        Part::Product => both(|x, y| pair::split(x, y).0),
        _ => both(|x, y| pair::split(x, y).1),
    }
}

/// The batch with the columns of `all` behind its own.
pub fn with_derived(batch: Batch, all: &[Derived]) -> Result<Batch, OperatorError> {
    if all.is_empty() {
        return Ok(batch);
    }
    let mut columns = batch.columns().columns().to_vec();
    let mut fields: Vec<Field> = batch.schema().fields().iter().map(|f| f.as_ref().clone()).collect();
    for (i, derived) in all.iter().enumerate() {
        columns.push(derived.column(&batch)?);
        fields.push(Field::new(format!("derived_{i}"), derived.data_type(), true));
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.rows()));
    let columns = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)
        .map_err(|e| OperatorError::new(format!("derived columns do not fit their schema: {e}")))?;
    Ok(batch.with_columns(columns))
}
