//! Columns as plain values.
//!
//! Every type that an aggregate takes has one of four [`Shape`]s. BOOLEAN, integers, dates, times, timestamps and
//! DECIMAL of at most 18 digits are `i64`; longer DECIMAL is `i128`; FLOAT and DOUBLE are `f64`, canonical (one NaN, one
//! zero); STRING and BYTES are bytes. The order of the plain values is the order of SQL; NaN is above all numbers.

use arrow::array::*;
use arrow::buffer::NullBuffer;
use arrow::datatypes::*;
use highwater_engine::error::OperatorError;
use highwater_engine::hash::canonical_bits;
use std::borrow::Cow;
use std::sync::Arc;

/// Digits of a DECIMAL whose unscaled value always fits an `i64`.
pub const NARROW_DIGITS: u8 = 18;

/// How the values of a type are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `i64`.
    Narrow,
    /// `i128`.
    Wide,
    /// `f64`, canonical.
    Double,
    /// Bytes.
    Bytes,
}

impl Shape {
    /// The shape of a type, or `None` if no aggregate takes it.
    pub fn of(t: &DataType) -> Option<Shape> {
        use DataType::*;
        match t {
            Boolean | Int8 | Int16 | Int32 | Int64 | Date32 | Time32(_) | Time64(_) | Timestamp(..) => {
                Some(Self::Narrow)
            }
            Decimal128(p, _) if *p <= NARROW_DIGITS => Some(Self::Narrow),
            Decimal128(..) => Some(Self::Wide),
            Float32 | Float64 => Some(Self::Double),
            Utf8 | Binary => Some(Self::Bytes),
            _ => None,
        }
    }
}

/// The values of a column, one per row; what stands at a NULL is unspecified.
#[derive(Clone, Debug)]
pub enum Values<'a> {
    /// [`Shape::Narrow`].
    Narrow(Cow<'a, [i64]>),
    /// [`Shape::Wide`].
    Wide(Cow<'a, [i128]>),
    /// [`Shape::Double`].
    Double(Cow<'a, [f64]>),
    /// [`Shape::Bytes`], of a STRING column.
    Text(&'a StringArray),
    /// [`Shape::Bytes`], of a BYTES column.
    Bytes(&'a BinaryArray),
}

impl<'a> Values<'a> {
    /// Reads a column. An error if the type has no [`Shape`] or a short DECIMAL holds a value beyond its digits.
    pub fn of(column: &'a dyn Array) -> Result<Values<'a>, OperatorError> {
        Self::of_into(column, vec![])
    }

    /// [`Values::of`] with a vector whose memory is used where values of a DECIMAL are copied; [`Values::into_memory`]
    /// gives it back.
    pub fn of_into(column: &'a dyn Array, memory: Vec<i64>) -> Result<Values<'a>, OperatorError> {
        use DataType::*;
        macro_rules! widened {
            ($t:ty) => {
                Values::Narrow(column.as_primitive::<$t>().values().iter().map(|v| i64::from(*v)).collect())
            };
        }
        macro_rules! plain {
            ($t:ty) => {
                Values::Narrow(Cow::Borrowed(column.as_primitive::<$t>().values()))
            };
        }
        Ok(match column.data_type() {
            Boolean => Values::Narrow(column.as_boolean().values().iter().map(i64::from).collect()),
            Int8 => widened!(Int8Type),
            Int16 => widened!(Int16Type),
            Int32 => widened!(Int32Type),
            Int64 => plain!(Int64Type),
            Date32 => widened!(Date32Type),
            Time32(TimeUnit::Second) => widened!(Time32SecondType),
            Time32(_) => widened!(Time32MillisecondType),
            Time64(TimeUnit::Microsecond) => plain!(Time64MicrosecondType),
            Time64(_) => plain!(Time64NanosecondType),
            Timestamp(TimeUnit::Second, _) => plain!(TimestampSecondType),
            Timestamp(TimeUnit::Millisecond, _) => plain!(TimestampMillisecondType),
            Timestamp(TimeUnit::Microsecond, _) => plain!(TimestampMicrosecondType),
            Timestamp(TimeUnit::Nanosecond, _) => plain!(TimestampNanosecondType),
            Decimal128(p, _) if *p <= NARROW_DIGITS => Values::Narrow(Cow::Owned(narrow(column, memory)?)),
            Decimal128(..) => Values::Wide(Cow::Borrowed(column.as_primitive::<Decimal128Type>().values())),
            Float32 => {
                let v = column.as_primitive::<Float32Type>().values().iter();
                Values::Double(v.map(|v| canonical(f64::from(*v))).collect())
            }
            Float64 => {
                Values::Double(column.as_primitive::<Float64Type>().values().iter().map(|v| canonical(*v)).collect())
            }
            Utf8 => Values::Text(column.as_string::<i32>()),
            Binary => Values::Bytes(column.as_binary::<i32>()),
            t => return Err(OperatorError::new(format!("no aggregate takes the type {t}"))),
        })
    }

    /// The memory of copied values, for [`Values::of_into`].
    pub fn into_memory(self) -> Vec<i64> {
        match self {
            Self::Narrow(Cow::Owned(v)) => v,
            _ => vec![],
        }
    }

    /// The bytes of row `i` of a STRING or BYTES column; empty for the other shapes.
    pub fn bytes(&self, i: usize) -> &'a [u8] {
        match self {
            Self::Text(a) => a.value(i).as_bytes(),
            Self::Bytes(a) => a.value(i),
            _ => &[],
        }
    }
}

fn canonical(v: f64) -> f64 {
    f64::from_bits(canonical_bits(v))
}

/// The unscaled values of a DECIMAL of at most 18 digits.
fn narrow(column: &dyn Array, mut out: Vec<i64>) -> Result<Vec<i64>, OperatorError> {
    let a = column.as_primitive::<Decimal128Type>();
    out.clear();
    let mut lost = 0;
    out.extend(a.values().iter().map(|v| {
        let (low, high) = (*v as i64, (*v >> 64) as i64);
        lost |= high ^ (low >> 63);
        low
    }));
    if lost != 0 {
        // NULL rows may hold anything: look again, one by one
        for (i, v) in a.values().iter().enumerate() {
            if a.is_valid(i) && i64::try_from(*v).is_err() {
                return Err(OperatorError::new(format!("the value {v} is beyond its type {}", a.data_type())));
            }
        }
    }
    Ok(out)
}

/// The bits of a double as an `i64` whose order is the order of the numbers: −∞ < … < 0 < … < ∞ < NaN.
pub fn ordered_bits(v: f64) -> i64 {
    let bits = canonical_bits(v) as i64;
    bits ^ (((bits >> 63) as u64) >> 1) as i64
}

/// The double whose [`ordered_bits`] these are.
pub fn from_ordered_bits(o: i64) -> f64 {
    f64::from_bits((o ^ (((o >> 63) as u64) >> 1) as i64) as u64)
}

/// A column of type `t` (of [`Shape::Narrow`] or [`Shape::Wide`]) from `i64` values that are known to fit it.
///
/// # Panics
/// If `t` is of another shape.
pub fn column_of_i64(values: Vec<i64>, nulls: Option<NullBuffer>, t: &DataType) -> ArrayRef {
    use DataType::*;
    macro_rules! cut {
        ($t:ty) => {
            Arc::new(PrimitiveArray::<$t>::new(values.into_iter().map(|v| v as _).collect(), nulls))
        };
    }
    macro_rules! whole {
        ($t:ty) => {
            Arc::new(PrimitiveArray::<$t>::new(values.into(), nulls).with_data_type(t.clone()))
        };
    }
    match t {
        Boolean => Arc::new(BooleanArray::new(values.into_iter().map(|v| v != 0).collect(), nulls)),
        Int8 => cut!(Int8Type),
        Int16 => cut!(Int16Type),
        Int32 => cut!(Int32Type),
        Int64 => whole!(Int64Type),
        Date32 => cut!(Date32Type),
        Time32(TimeUnit::Second) => cut!(Time32SecondType),
        Time32(_) => cut!(Time32MillisecondType),
        Time64(TimeUnit::Microsecond) => whole!(Time64MicrosecondType),
        Time64(_) => whole!(Time64NanosecondType),
        Timestamp(TimeUnit::Second, _) => whole!(TimestampSecondType),
        Timestamp(TimeUnit::Millisecond, _) => whole!(TimestampMillisecondType),
        Timestamp(TimeUnit::Microsecond, _) => whole!(TimestampMicrosecondType),
        Timestamp(TimeUnit::Nanosecond, _) => whole!(TimestampNanosecondType),
        Decimal128(..) => column_of_i128(values.into_iter().map(i128::from).collect(), nulls, t),
        t => unreachable!("{t} is not kept as integers"),
    }
}

/// A column of type `t` (of [`Shape::Narrow`] or [`Shape::Wide`]) from `i128` values that are known to fit it.
///
/// # Panics
/// If `t` is of another shape.
pub fn column_of_i128(values: Vec<i128>, nulls: Option<NullBuffer>, t: &DataType) -> ArrayRef {
    match t {
        DataType::Decimal128(..) => {
            Arc::new(PrimitiveArray::<Decimal128Type>::new(values.into(), nulls).with_data_type(t.clone()))
        }
        t => column_of_i64(values.into_iter().map(|v| v as i64).collect(), nulls, t),
    }
}

/// A FLOAT or DOUBLE column.
pub fn column_of_f64(values: Vec<f64>, nulls: Option<NullBuffer>, t: &DataType) -> ArrayRef {
    match t {
        DataType::Float32 => Arc::new(Float32Array::new(values.into_iter().map(|v| v as f32).collect(), nulls)),
        _ => Arc::new(Float64Array::new(values.into(), nulls)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_narrow_type_survives_the_way_there_and_back() {
        use DataType::*;
        let times = [TimeUnit::Second, TimeUnit::Millisecond, TimeUnit::Microsecond, TimeUnit::Nanosecond];
        let mut types = vec![Int8, Int16, Int32, Int64, Date32, Time32(times[0]), Time32(times[1])];
        types.extend([Time64(times[2]), Time64(times[3]), Decimal128(12, 2), Decimal128(18, 0)]);
        types.extend(times.map(|u| Timestamp(u, None)));
        types.push(Timestamp(TimeUnit::Millisecond, Some("UTC".into())));
        for t in types {
            assert_eq!(Shape::of(&t), Some(Shape::Narrow), "{t}");
            let column = column_of_i64(vec![-7, 0, 100], Some(vec![true, false, true].into()), &t);
            assert_eq!(column.data_type(), &t);
            assert_eq!(column.null_count(), 1);
            let Values::Narrow(v) = Values::of(&column).unwrap() else { panic!("{t}") };
            assert_eq!(&v[..], &[-7, 0, 100], "{t}");
        }
    }

    #[test]
    fn doubles_order_as_numbers_with_nan_above_all() {
        let sorted = [f64::NEG_INFINITY, -1.5, -f64::MIN_POSITIVE, -0.0, 5e-324, 1.0, f64::INFINITY, f64::NAN];
        let bits = sorted.map(ordered_bits);
        assert!(bits.windows(2).all(|w| w[0] < w[1]), "{bits:?}");
        assert_eq!(ordered_bits(-0.0), ordered_bits(0.0));
        assert_eq!(ordered_bits(-f64::NAN), ordered_bits(f64::NAN));
        for v in [f64::NEG_INFINITY, -1.5, 0.0, 1.0, f64::MAX] {
            assert_eq!(from_ordered_bits(ordered_bits(v)), v);
        }
    }

    #[test]
    fn a_short_decimal_beyond_an_i64_is_an_error_unless_null() {
        let make = |nulls: Option<NullBuffer>| column_of_i128(vec![1 << 70, 1], nulls, &DataType::Decimal128(12, 2));
        assert!(Values::of(&make(None)).is_err());
        assert!(Values::of(&make(Some(vec![false, true].into()))).is_ok());
    }
}
