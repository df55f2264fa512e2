//! From a file's types to the declared ones, without loss.

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, Int64Array, make_array};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Int64Type, TimeUnit};
use arrow::error::ArrowError;
use highwater_engine::graph::types::{fraction_digits, sql_type};

/// How a file's column becomes a declared column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conversion {
    /// As it is.
    None,
    /// By a cast that can't fail.
    Widen,
    /// By a change of time unit, checked value by value.
    Rescale {
        /// Digits of a second in the file.
        from: u32,
        /// Digits of a second as declared.
        to: u32,
    },
}

impl Conversion {
    /// The conversion between two types, if nothing can be lost by it (but for single values of a finer time).
    pub fn between(found: &DataType, declared: &DataType) -> Option<Self> {
        use DataType::*;
        let rescale = |from: TimeUnit, to: TimeUnit| {
            let (from, to) = (fraction_digits(from), fraction_digits(to));
            if from == to { Self::Widen } else { Self::Rescale { from, to } }
        };
        Some(match (found, declared) {
            (f, d) if f == d => Self::None,
            (Dictionary(_, value), d) if **value == *d => Self::Widen,
            (Int8, Int16 | Int32 | Int64) | (Int16, Int32 | Int64) | (Int32, Int64) => Self::Widen,
            (UInt8, Int16 | Int32 | Int64) | (UInt16, Int32 | Int64) | (UInt32, Int64) => Self::Widen,
            (Float32, Float64) => Self::Widen,
            (Utf8 | LargeUtf8 | Utf8View, Utf8) => Self::Widen,
            (Binary | LargeBinary | BinaryView | FixedSizeBinary(_), Binary) => Self::Widen,
            (Decimal32(p, s) | Decimal64(p, s) | Decimal128(p, s) | Decimal256(p, s), Decimal128(to_p, to_s)) => {
                let whole = |p: u8, s: i8| i16::from(p) - i16::from(s);
                if to_s < s || whole(*to_p, *to_s) < whole(*p, *s) {
                    return None;
                }
                Self::Widen
            }
            (Timestamp(from, from_zone), Timestamp(to, to_zone)) if from_zone.is_some() == to_zone.is_some() => {
                rescale(*from, *to)
            }
            (Time32(from) | Time64(from), Time32(to) | Time64(to)) => rescale(*from, *to),
            _ => return None,
        })
    }

    /// The declared column, and the rows whose value does not fit, each with its reason.
    pub fn apply(self, array: &ArrayRef, declared: &DataType) -> Result<(ArrayRef, Vec<(usize, String)>), ArrowError> {
        match self {
            Self::None => Ok((array.clone(), Vec::new())),
            Self::Widen => Ok((exact_cast(array, declared)?, Vec::new())),
            Self::Rescale { from, to } => rescale(array, declared, from, to),
        }
    }
}

fn exact_cast(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    cast_with_options(array, to, &CastOptions { safe: false, ..Default::default() })
}

fn rescale(
    array: &ArrayRef,
    declared: &DataType,
    from: u32,
    to: u32,
) -> Result<(ArrayRef, Vec<(usize, String)>), ArrowError> {
    // Times of day of 32 bits go over their own integers.
    let plain = match array.data_type() {
        DataType::Time32(_) => exact_cast(&exact_cast(array, &DataType::Int32)?, &DataType::Int64)?,
        _ => exact_cast(array, &DataType::Int64)?,
    };
    let ticks = plain.as_primitive::<Int64Type>();
    let (mut bad, factor) = (Vec::new(), 10i64.pow(from.abs_diff(to)));
    let mut convert = |(row, &value): (usize, &i64)| {
        let converted =
            if to > from { value.checked_mul(factor) } else { (value % factor == 0).then_some(value / factor) };
        if converted.is_none() && ticks.nulls().is_none_or(|n| n.is_valid(row)) {
            bad.push((row, describe(value, from, declared)));
        }
        converted.unwrap_or(0)
    };
    let values: Vec<i64> = ticks.values().iter().enumerate().map(&mut convert).collect();
    let nulls = ticks.nulls().cloned();
    let integers: ArrayRef = match declared {
        DataType::Time32(_) => {
            let narrow = values.into_iter().map(|v| v as i32).collect::<Vec<_>>();
            std::sync::Arc::new(Int32Array::new(narrow.into(), nulls))
        }
        _ => std::sync::Arc::new(Int64Array::new(values.into(), nulls)),
    };
    let data = integers.to_data().into_builder().data_type(declared.clone()).build()?;
    Ok((make_array(data), bad))
}

#[cold]
fn describe(value: i64, digits: u32, declared: &DataType) -> String {
    let name = sql_type(declared);
    format!("{value}e-{digits} s does not fit exactly in {name}; declare more digits or CAST in the query")
}
