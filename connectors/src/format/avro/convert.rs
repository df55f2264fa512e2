//! Columns as Avro has them, as a table declares them: every value or none.

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, StringArray, make_array};
use arrow::compute::kernels::cmp::not_distinct;
use arrow::compute::{CastOptions, cast_with_options};
use arrow::error::ArrowError;
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use std::sync::Arc;

/// How a field of messages becomes a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// It is the column.
    Same,
    /// By a cast; `exact` is false if a value may be none of the other type.
    Cast {
        /// Whether each value has one of the other type.
        exact: bool,
    },
    /// 16 bytes as 36 characters.
    Uuid,
}

/// The way from a field of messages to a column's type; `None` if its values are none of that type.
pub fn way(from: &Field, to: &DataType) -> Option<Way> {
    use DataType::*;
    let exact = |exact| Some(Way::Cast { exact });
    match (from.data_type(), to) {
        (from, to) if from == to => Some(Way::Same),
        (Int32, Int64 | Float64) | (Float32, Float64) => exact(true),
        (Int32, Int8 | Int16 | Decimal128(..)) | (Int64, Int8 | Int16 | Int32 | Float64 | Decimal128(..)) => {
            exact(false)
        }
        (Decimal128(p, s), Decimal128(q, t)) => exact(s <= t && i16::from(*q) - i16::from(*p) >= i16::from(t - s)),
        (Decimal256(..), Decimal128(..)) => exact(false),
        (Dictionary(_, value), Utf8) if **value == Utf8 => exact(true),
        (FixedSizeBinary(_), Binary) => exact(true),
        (FixedSizeBinary(16), Utf8) if from.metadata().get("logicalType").is_some_and(|l| l == "uuid") => {
            Some(Way::Uuid)
        }
        (Timestamp(a, _), Timestamp(b, _)) | (Time32(a) | Time64(a), Time32(b) | Time64(b)) => exact(a == b),
        _ => None,
    }
}

/// A column as another type, and the rows whose value is none of it.
///
/// # Errors
/// Arrow can't cast so, which is a bug.
pub fn follow(way: &Way, column: &ArrayRef, to: &DataType) -> Result<(ArrayRef, Option<BooleanArray>), ArrowError> {
    match way {
        Way::Same => Ok((column.clone(), None)),
        Way::Uuid => Ok((Arc::new(uuids(column)), None)),
        Way::Cast { exact } => {
            let found = cast(column, to, true)?;
            if *exact {
                return Ok((found, None));
            }
            let back = cast(&found, column.data_type(), true)?;
            let kept = not_distinct(&back, column)?;
            Ok((found, (kept.true_count() < kept.len()).then_some(kept)))
        }
    }
}

fn uuids(column: &ArrayRef) -> StringArray {
    let written = |bytes: &[u8]| {
        let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
    };
    column.as_fixed_size_binary().iter().map(|uuid| uuid.map(written)).collect()
}

/// The type in which Arrow's Avro writer takes values of a column.
fn carrier(data_type: &DataType) -> DataType {
    use DataType::*;
    match data_type {
        Int8 | Int16 => Int32,
        Time32(_) => Time32(TimeUnit::Millisecond),
        Timestamp(TimeUnit::Second | TimeUnit::Millisecond, _) => {
            Timestamp(TimeUnit::Millisecond, Some("+00:00".into()))
        }
        Timestamp(unit, _) => Timestamp(*unit, Some("+00:00".into())),
        other => other.clone(),
    }
}

/// The columns in which Arrow's Avro writer takes rows.
pub fn carriers(schema: &Schema) -> Vec<Field> {
    schema.fields().iter().map(|f| Field::new(f.name(), carrier(f.data_type()), f.is_nullable())).collect()
}

/// A column in its [`carriers`]' type.
///
/// # Errors
/// A time that is too far away to be counted in its unit.
pub fn carried(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let to = carrier(column.data_type());
    if to == *column.data_type() {
        return Ok(column.clone());
    }
    cast(column, &to, false)
}

/// A cast that leaves an instant what it is, whatever its zone is called. `safe`: what can't be cast is NULL.
fn cast(column: &ArrayRef, to: &DataType, safe: bool) -> Result<ArrayRef, ArrowError> {
    let unzoned = |t: &DataType| match t {
        DataType::Timestamp(unit, _) => DataType::Timestamp(*unit, None),
        other => other.clone(),
    };
    let options = CastOptions { safe, ..CastOptions::default() };
    let found = cast_with_options(&named(column, unzoned(column.data_type()))?, &unzoned(to), &options)?;
    named(&found, to.clone())
}

/// The same values under a type of the same layout.
fn named(column: &ArrayRef, data_type: DataType) -> Result<ArrayRef, ArrowError> {
    Ok(make_array(column.to_data().into_builder().data_type(data_type).build()?))
}
