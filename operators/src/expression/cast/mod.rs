//! `CAST(e AS t)` with Flink's meaning (its `CastFunctionITCase` and cast rules are the source), but never wrapping: a
//! value that does not fit fails its row.
//!
//! | from → to | meaning |
//! |---|---|
//! | number → integer | digits behind the point are cut off |
//! | number → DECIMAL | half up; DOUBLE by its shortest decimal form |
//! | STRING → number, BOOLEAN | trimmed; `'5.7'` AS INT is 5; `t true y yes 1`, `f false n no 0` in any case |
//! | BOOLEAN → number | 1, 0 |
//! | integer → BOOLEAN | not 0 |
//! | DOUBLE → STRING | as Java: `1.0E10`, `0.1` |
//! | BOOLEAN → STRING | `TRUE`, `FALSE` |
//! | TIMESTAMP(p) → STRING | `yyyy-MM-dd HH:mm:ss` and p digits; LTZ in its zone |
//! | TIME(p) → STRING | `HH:mm:ss` and p digits |
//! | TIME ↔ TIMESTAMP | the time of the day; that time on 1970-01-01 |
//! | BYTES ↔ STRING | hexadecimal digits |
//!
//! A timestamp and a number are not cast into each other: that hides the unit. TO_TIMESTAMP_LTZ and EXTRACT say it.

mod clock;
pub mod number;
pub mod parse;
pub mod print;
mod time;

use super::calendar::Zone;
use super::kernel::{Args, Compute, Failure};
use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, BooleanArray, StringArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, IntervalUnit};
use std::sync::Arc;

/// The kernel of `CAST(e AS to)` for one argument of type `from`, or why there is none.
pub fn bind(from: &DataType, to: &DataType) -> Result<Compute, String> {
    use DataType::*;
    if from == to {
        return Ok(Arc::new(|a: &Args<'_>| Ok(a.array(0).clone())));
    }
    let unsupported = || {
        Err(format!(
            "cannot cast {} to {}{}",
            highwater_engine::graph::types::sql_type(from),
            highwater_engine::graph::types::sql_type(to),
            hint(from, to)
        ))
    };
    let numeric = |t: &DataType| t.is_integer() || t.is_floating() || matches!(t, Decimal128(..));
    match (from, to) {
        (Null, _) => arrow_cast(to),
        (f, t) if numeric(f) && numeric(t) => number::bind(f, t),
        (Boolean, t) if numeric(t) => number::from_boolean(t),
        (f, Boolean) if f.is_integer() => arrow_cast(to),
        (Utf8, Boolean) => Ok(Arc::new(|a: &Args<'_>| text_to_boolean(a))),
        (Utf8, t) if numeric(t) => number::from_text(t),
        (Utf8, Date32) | (Utf8, Timestamp(..)) => time::from_text(to),
        (Utf8, t) if clock::is_time(t) => Ok(clock::from_text(t)),
        (Utf8, Binary) => Ok(Arc::new(|a: &Args<'_>| text_to_bytes(a))),
        (_, Utf8) => print::bind(from).map_or_else(unsupported, Ok),
        (Date32 | Timestamp(..), Date32 | Timestamp(..)) => time::bind(from, to),
        (f, t) if clock::is_time(f) && (clock::is_time(t) || matches!(t, Timestamp(..))) => clock::bind(f, t),
        (Timestamp(..), t) if clock::is_time(t) => clock::bind(from, t),
        (Interval(IntervalUnit::MonthDayNano), Duration(_)) => time::interval_to_duration(to),
        _ => unsupported(),
    }
}

/// Whether a cast between these types can fail on some value.
pub fn fallible(from: &DataType, to: &DataType) -> bool {
    use DataType::*;
    let int = |t: &DataType| t.primitive_width().filter(|_| t.is_signed_integer());
    let never = from == to
        || matches!(to, Utf8)
        || matches!((from, to), (Null | Boolean, _) if !to.is_decimal())
        || (from.is_integer() && matches!(to, Boolean | Float64))
        || matches!((int(from), int(to)), (Some(f), Some(t)) if f <= t)
        || matches!((from, to), (Float32 | Decimal128(..), Float64));
    !never
}

fn hint(from: &DataType, to: &DataType) -> &'static str {
    match (from, to) {
        (t, DataType::Timestamp(..)) if t.is_integer() => "; use TO_TIMESTAMP_LTZ(e, 3) for milliseconds",
        (DataType::Timestamp(..), t) if t.is_integer() => "; use TIMESTAMPDIFF from TIMESTAMP '1970-01-01 00:00:00'",
        _ => "",
    }
}

/// Arrow's own cast, failing where a value does not fit.
fn arrow_cast(to: &DataType) -> Result<Compute, String> {
    let to = to.clone();
    let options = CastOptions { safe: false, ..CastOptions::default() };
    Ok(Arc::new(move |a: &Args<'_>| Ok(cast_with_options(a.array(0), &to, &options)?)))
}

/// A cast that gives NULL where it fails: `TRY_CAST`.
pub fn or_null(cast: Compute, returns: DataType) -> Compute {
    Arc::new(move |args: &Args<'_>| {
        let at = |first, rows| cast(&Args::new(&args.slice(first, rows), args.scalars(), rows));
        Ok(super::bad::evaluate(args.rows(), &returns, &at)?.array)
    })
}

fn text_to_boolean(args: &Args<'_>) -> Result<ArrayRef, Failure> {
    let texts = args.array(0).as_string::<i32>();
    let parsed: BooleanArray = texts.iter().map(|s| s.map(parse::boolean).transpose()).collect::<Result<_, _>>()?;
    Ok(Arc::new(parsed))
}

fn text_to_bytes(args: &Args<'_>) -> Result<ArrayRef, Failure> {
    let texts: &StringArray = args.array(0).as_string();
    let parsed: Vec<Option<Vec<u8>>> =
        texts.iter().map(|s| s.map(parse::bytes).transpose()).collect::<Result<_, _>>()?;
    Ok(Arc::new(BinaryArray::from_iter(parsed)))
}

/// The zone of a timestamp type, as a build error.
fn zone(t: &DataType) -> Result<Zone, String> {
    Zone::of(t).map_err(|f| f.0)
}

/// Applies `f` to each value of a STRING argument that is not NULL.
fn map_text<T: arrow::datatypes::ArrowPrimitiveType>(
    args: &Args<'_>,
    to: &DataType,
    f: impl Fn(&str) -> Result<T::Native, Failure>,
) -> Result<ArrayRef, Failure> {
    let texts = args.array(0).as_string::<i32>();
    let values: arrow::array::PrimitiveArray<T> =
        texts.iter().map(|s| s.map(&f).transpose()).collect::<Result<_, _>>()?;
    debug_assert_eq!(values.len(), texts.len());
    Ok(Arc::new(values.with_data_type(to.clone())))
}
