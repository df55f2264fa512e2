//! The types of results: Flink's rules, in one place for the SQL front end, the builder, validation and operators.

use super::{Aggregate, AggregateFunction};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use std::sync::Arc;

/// `TIMESTAMP(3)`: milliseconds, without a zone.
pub const TIMESTAMP_MS: DataType = DataType::Timestamp(TimeUnit::Millisecond, None);

/// Where a field says that it is metadata.
const METADATA: &str = "highwater.metadata";

/// A physical column that is not in the row itself: what the connector says of it, under this name.
pub fn metadata_field(field: Field, key: &str) -> Field {
    field.with_metadata([(METADATA.to_owned(), key.to_owned())].into())
}

/// What [`metadata_field`] was given.
pub fn metadata_of(field: &Field) -> Option<&str> {
    field.metadata().get(METADATA).map(String::as_str)
}

/// The largest precision of a DECIMAL.
pub const PRECISION_MAX: u8 = 38;
/// The scale that averages of DECIMAL have at least, and that arithmetic keeps where 38 digits are not enough.
pub const SCALE_KEPT: i8 = 6;

/// The result type of an aggregate; `argument` is `None` for `COUNT(*)`, `other` is the column beside it.
///
/// | | integers | DECIMAL(p, s) | FLOAT, DOUBLE | others |
/// |---|---|---|---|---|
/// | COUNT | BIGINT | BIGINT | BIGINT | BIGINT |
/// | SUM | the same | DECIMAL(38, s) | the same | |
/// | AVG, STDDEV_…, VAR_… | the same | DECIMAL(38, max(s, 6)) | the same | |
/// | MIN, MAX | the same | the same | the same | STRING and times: the same |
/// | PERCENTILE_CONT | DECIMAL(38, 6) | DECIMAL(38, max(s, 6)) | DOUBLE | |
/// | APPROX_PERCENTILE | the same | the same | the same | |
/// | APPROX_COUNT_DISTINCT | BIGINT | BIGINT | BIGINT | BIGINT |
/// | COVAR_… | DECIMAL(38, 6) | DECIMAL(38, max(s, 6)), of the larger scale | DOUBLE, if one is | |
/// | CORR | DOUBLE | DOUBLE | DOUBLE | |
/// | LISTAGG | | | | STRING: the same |
/// | BOOL_AND, BOOL_OR | | | | BOOLEAN: the same |
/// | FIRST_VALUE, LAST_VALUE, NTH_VALUE, LAG, ARG_MIN, ARG_MAX | the same | the same | the same | the same |
///
/// # Errors
/// A text that says which types the function takes.
pub fn aggregate_type(
    function: AggregateFunction,
    argument: Option<&DataType>,
    other: Option<&DataType>,
) -> Result<DataType, String> {
    use AggregateFunction::*;
    let name = function_name(function);
    let Some(t) = argument else {
        return if function == Count { Ok(DataType::Int64) } else { Err(format!("{name} takes an argument")) };
    };
    if function.pairs() {
        return pair_type(function, t, other.unwrap_or(&DataType::Null));
    }
    let number = t.is_signed_integer() || matches!(t, DataType::Float32 | DataType::Float64);
    let ordered = number || t.is_temporal() || matches!(t, DataType::Utf8 | DataType::Decimal128(..));
    match (function, t) {
        (Count | ApproxCountDistinct, _) => Ok(DataType::Int64),
        (PercentileCont { .. }, t) => match as_decimal(t) {
            Some((_, s)) => Ok(DataType::Decimal128(PRECISION_MAX, s.max(SCALE_KEPT))),
            None if number => Ok(DataType::Float64),
            None => Err(format!("{name} takes a number, not {}", sql_type(t))),
        },
        (ApproxPercentile { .. }, t) if number || t.is_decimal() => Ok(t.clone()),
        (ApproxPercentile { .. }, t) => Err(format!("{name} takes a number, not {}", sql_type(t))),
        (ListAgg { .. }, DataType::Utf8) => Ok(DataType::Utf8),
        (ListAgg { .. }, t) => Err(format!("{name} takes a STRING, not {}; CAST(x AS STRING)", sql_type(t))),
        (Sum, DataType::Decimal128(_, s)) => Ok(DataType::Decimal128(PRECISION_MAX, *s)),
        (f, DataType::Decimal128(_, s)) if f.adds() => Ok(DataType::Decimal128(PRECISION_MAX, (*s).max(SCALE_KEPT))),
        (f, t) if f.adds() && number => Ok(t.clone()),
        (f, t) if f.adds() => Err(format!("{name} takes a number, not {}", sql_type(t))),
        (BoolAnd | BoolOr, DataType::Boolean) => Ok(DataType::Boolean),
        (BoolAnd | BoolOr, t) => Err(format!("{name} takes a BOOLEAN, not {}", sql_type(t))),
        (f, DataType::Boolean | DataType::Binary) if f.is_ordered() => Ok(t.clone()),
        (_, t) if ordered => Ok(t.clone()),
        (_, t) => Err(format!("{name} of {} is not supported", sql_type(t))),
    }
}

/// The type of a covariance or a correlation.
fn pair_type(function: AggregateFunction, one: &DataType, other: &DataType) -> Result<DataType, String> {
    let floating = |t: &DataType| matches!(t, DataType::Float32 | DataType::Float64);
    let number = |t: &DataType| floating(t) || as_decimal(t).is_some();
    if let Some(t) = [one, other].into_iter().find(|t| !number(t)) {
        return Err(format!("{} takes numbers, not {}", function_name(function), sql_type(t)));
    }
    Ok(match (as_decimal(one), as_decimal(other)) {
        (Some((_, s)), Some((_, t))) if function != AggregateFunction::Corr => {
            DataType::Decimal128(PRECISION_MAX, s.max(t).max(SCALE_KEPT))
        }
        _ => DataType::Float64,
    })
}

/// Whether the aggregate may be NULL: all but counts, which are 0 over no value.
pub fn aggregate_is_nullable(function: AggregateFunction) -> bool {
    !matches!(function, AggregateFunction::Count | AggregateFunction::ApproxCountDistinct)
}

/// The function's name in SQL.
pub fn function_name(function: AggregateFunction) -> &'static str {
    match function {
        AggregateFunction::Count => "COUNT",
        AggregateFunction::Sum => "SUM",
        AggregateFunction::Avg => "AVG",
        AggregateFunction::Min => "MIN",
        AggregateFunction::Max => "MAX",
        AggregateFunction::StddevSamp => "STDDEV",
        AggregateFunction::StddevPop => "STDDEV_POP",
        AggregateFunction::VarSamp => "VAR_SAMP",
        AggregateFunction::VarPop => "VAR_POP",
        AggregateFunction::BoolAnd => "BOOL_AND",
        AggregateFunction::BoolOr => "BOOL_OR",
        AggregateFunction::FirstValue => "FIRST_VALUE",
        AggregateFunction::LastValue => "LAST_VALUE",
        AggregateFunction::ArgMin => "ARG_MIN",
        AggregateFunction::ArgMax => "ARG_MAX",
        AggregateFunction::PercentileCont { .. } => "PERCENTILE_CONT",
        AggregateFunction::ApproxPercentile { .. } => "APPROX_PERCENTILE",
        AggregateFunction::ApproxCountDistinct => "APPROX_COUNT_DISTINCT",
        AggregateFunction::CovarPop => "COVAR_POP",
        AggregateFunction::CovarSamp => "COVAR_SAMP",
        AggregateFunction::Corr => "CORR",
        AggregateFunction::ListAgg { .. } => "LISTAGG",
        AggregateFunction::NthValue { .. } => "NTH_VALUE",
        AggregateFunction::Lag { .. } => "LAG",
    }
}

/// Why a trailing frame can't hold this aggregate, if it can't: eviction subtracts, and for DOUBLE that would make a result
/// depend on history; a second column is kept by windows only. Over a frame nothing is approximate: it keeps its rows anyway.
pub fn refused_in_frames(a: &Aggregate, argument: Option<&DataType>) -> Option<String> {
    use AggregateFunction::{ApproxCountDistinct, ApproxPercentile, ListAgg};
    let exact =
        |name: &str| Some(format!("{} over a trailing frame: {name} is exact and costs no more state", a.label));
    match a.function {
        ApproxCountDistinct => return exact("COUNT(DISTINCT x)"),
        ApproxPercentile { .. } => return exact("PERCENTILE_CONT(p) WITHIN GROUP (ORDER BY x)"),
        f if f.compares() || f.pairs() || matches!(f, ListAgg { .. }) => {
            return Some(format!("{} over a trailing frame is not supported; a window has it", a.label));
        }
        _ => {}
    }
    let inexact = matches!(argument, Some(DataType::Float32 | DataType::Float64));
    (inexact && a.function.adds()).then(|| {
        let t = argument.map(sql_type).unwrap_or_default();
        format!("{} of {t} over a trailing frame depends on history; CAST its argument AS DECIMAL(p, s)", a.label)
    })
}

/// Precision and scale of a number that takes part in exact arithmetic: DECIMAL, or an integer type as DECIMAL.
pub fn as_decimal(t: &DataType) -> Option<(u8, i8)> {
    Some(match t {
        DataType::Decimal128(p, s) => (*p, *s),
        DataType::Int8 => (3, 0),
        DataType::Int16 => (5, 0),
        DataType::Int32 => (10, 0),
        DataType::Int64 => (19, 0),
        _ => return None,
    })
}

/// `a + b` and `a - b` of DECIMALs: one digit more before the point than the wider operand.
pub fn sum_of_decimals((p1, s1): (u8, i8), (p2, s2): (u8, i8)) -> (u8, i8) {
    let scale = i32::from(s1.max(s2));
    let digits = (i32::from(p1) - i32::from(s1)).max(i32::from(p2) - i32::from(s2));
    in_limits(digits + scale + 1, scale)
}

/// `a * b` of DECIMALs.
pub fn product_of_decimals((p1, s1): (u8, i8), (p2, s2): (u8, i8)) -> (u8, i8) {
    in_limits(i32::from(p1) + i32::from(p2) + 1, i32::from(s1) + i32::from(s2))
}

/// `a / b` of DECIMALs: scale max(6, s1 + p2 + 1).
pub fn quotient_of_decimals((p1, s1): (u8, i8), (p2, s2): (u8, i8)) -> (u8, i8) {
    let scale = (i32::from(s1) + i32::from(p2) + 1).max(i32::from(SCALE_KEPT));
    in_limits(i32::from(p1) - i32::from(s1) + i32::from(s2) + scale, scale)
}

/// Beyond 38 digits the scale gives way, down to 6.
fn in_limits(precision: i32, scale: i32) -> (u8, i8) {
    let max = i32::from(PRECISION_MAX);
    if precision <= max {
        return (precision as u8, scale as i8);
    }
    let whole = precision - scale;
    (PRECISION_MAX, (max - whole).max(scale.min(i32::from(SCALE_KEPT))) as i8)
}

/// The columns that a window adds: `window_start`, `window_end`, `window_time`.
pub fn window_fields() -> [Field; 3] {
    ["window_start", "window_end", "window_time"].map(|name| Field::new(name, TIMESTAMP_MS, false))
}

/// The columns of `t$late` of a table.
pub fn late_schema(table: &Schema) -> SchemaRef {
    let mut fields: Vec<_> = table.fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new("watermark", TIMESTAMP_MS, true)));
    fields.push(Arc::new(Field::new("lateness_ms", DataType::Int64, true)));
    Arc::new(Schema::new(fields))
}

/// The columns of `t$errors` of any table.
pub fn errors_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("partition", DataType::Utf8, true),
        Field::new("position", DataType::Int64, true),
        Field::new("reason", DataType::Utf8, true),
        Field::new("raw", DataType::Binary, true),
        Field::new("watermark", TIMESTAMP_MS, true),
    ]))
}

/// A type as SQL writes it: `DECIMAL(12, 2)`, `TIMESTAMP(3)`; Arrow's own name for a type that no table has.
pub fn sql_type(t: &DataType) -> String {
    match t {
        DataType::Null => "NULL".into(),
        DataType::Boolean => "BOOLEAN".into(),
        DataType::Int8 => "TINYINT".into(),
        DataType::Int16 => "SMALLINT".into(),
        DataType::Int32 => "INT".into(),
        DataType::Int64 => "BIGINT".into(),
        DataType::Float32 => "FLOAT".into(),
        DataType::Float64 => "DOUBLE".into(),
        DataType::Utf8 => "STRING".into(),
        DataType::Binary => "BYTES".into(),
        DataType::Date32 => "DATE".into(),
        DataType::Decimal128(p, s) => format!("DECIMAL({p}, {s})"),
        DataType::Timestamp(u, None) => format!("TIMESTAMP({})", fraction_digits(*u)),
        DataType::Timestamp(u, Some(_)) => format!("TIMESTAMP_LTZ({})", fraction_digits(*u)),
        DataType::Time32(u) | DataType::Time64(u) => format!("TIME({})", fraction_digits(*u)),
        DataType::Interval(_) | DataType::Duration(_) => "INTERVAL".into(),
        t => t.to_string(),
    }
}

/// Decimal digits of a second's fraction in a time unit.
pub const fn fraction_digits(unit: TimeUnit) -> u32 {
    match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 3,
        TimeUnit::Microsecond => 6,
        TimeUnit::Nanosecond => 9,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use AggregateFunction::*;
    use DataType::{Decimal128, Float64, Int32, Int64, Utf8};

    /// Flink's `LogicalTypeMerging` for (12, 2) and wider operands; results as its documentation of arithmetic gives them.
    #[test]
    fn decimal_arithmetic_has_flinks_types() {
        assert_eq!(sum_of_decimals((12, 2), (12, 2)), (13, 2));
        assert_eq!(sum_of_decimals((10, 0), (12, 2)), (13, 2));
        assert_eq!(sum_of_decimals((38, 2), (38, 10)), (38, 6));
        assert_eq!(product_of_decimals((12, 2), (12, 2)), (25, 4));
        assert_eq!(product_of_decimals((38, 6), (12, 2)), (38, 6));
        assert_eq!(quotient_of_decimals((12, 2), (12, 2)), (27, 15));
        assert_eq!(quotient_of_decimals((38, 2), (38, 2)), (38, 6));
    }

    #[test]
    fn aggregates_have_flinks_types() {
        let is = |f, t: DataType, r: DataType| assert_eq!(aggregate_type(f, Some(&t), None), Ok(r));
        is(Sum, Decimal128(12, 2), Decimal128(38, 2));
        is(Avg, Decimal128(12, 2), Decimal128(38, 6));
        is(Avg, Decimal128(20, 9), Decimal128(38, 9));
        is(StddevSamp, Decimal128(12, 2), Decimal128(38, 6));
        is(Sum, Int32, Int32);
        is(Avg, Int64, Int64);
        is(Avg, Float64, Float64);
        is(Count, Utf8, Int64);
        is(Min, Utf8, Utf8);
        is(VarPop, Decimal128(12, 2), Decimal128(38, 6));
        is(StddevPop, Int32, Int32);
        is(BoolAnd, DataType::Boolean, DataType::Boolean);
        is(LastValue, DataType::Boolean, DataType::Boolean);
        is(Lag { offset: 1 }, Utf8, Utf8);
        assert_eq!(aggregate_type(BoolOr, Some(&Int64), None).unwrap_err(), "BOOL_OR takes a BOOLEAN, not BIGINT");
        assert_eq!(aggregate_type(Count, None, None), Ok(Int64));
        is(PercentileCont { millionths: 500_000 }, Int32, Decimal128(38, 6));
        is(ApproxPercentile { millionths: 990_000 }, Decimal128(12, 2), Decimal128(12, 2));
        let of_pair = |f, x: DataType, y: DataType| aggregate_type(f, Some(&x), Some(&y));
        assert_eq!(of_pair(CovarPop, Decimal128(12, 2), Decimal128(12, 8)), Ok(Decimal128(38, 8)));
        assert_eq!(of_pair(CovarSamp, Int32, Float64), Ok(Float64));
        assert_eq!(of_pair(Corr, Int32, Int64), Ok(Float64));
        assert_eq!(of_pair(Corr, Int32, Utf8).unwrap_err(), "CORR takes numbers, not STRING");
        assert_eq!(aggregate_type(Sum, Some(&Utf8), None).unwrap_err(), "SUM takes a number, not STRING");
        assert_eq!(aggregate_type(Max, Some(&DataType::Boolean), None).unwrap_err(), "MAX of BOOLEAN is not supported");
    }
}
