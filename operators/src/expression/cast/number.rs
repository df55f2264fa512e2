//! Casts to numbers.

use super::super::decimal::Digits;
use super::super::kernel::{Args, Compute, Failure};
use super::{arrow_cast, map_text, parse};
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Float64Array};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Decimal128Type, Float32Type, Float64Type, Int64Type};
use std::sync::Arc;

/// Between numbers.
pub fn bind(from: &DataType, to: &DataType) -> Result<Compute, String> {
    match (from, to) {
        (DataType::Float64 | DataType::Float32, DataType::Decimal128(..)) => {
            let digits = digits(to)?;
            Ok(Arc::new(move |a: &Args<'_>| floats_to_decimal(a, digits)))
        }
        (DataType::Decimal128(_, s), DataType::Float64) => {
            let scale = u32::try_from(*s).map_err(|_| format!("negative scale {s}"))?;
            Ok(Arc::new(move |a: &Args<'_>| Ok(decimal_to_double(a.array(0).as_primitive(), scale))))
        }
        _ => {
            let name = highwater_engine::graph::types::sql_type(to);
            let cast = arrow_cast(to)?;
            Ok(Arc::new(move |a: &Args<'_>| {
                cast(a).map_err(|_| Failure::new(format!("{} does not fit {name}", one(a))))
            }))
        }
    }
}

/// The failing value, once a failure is narrowed to one row.
fn one(args: &Args<'_>) -> String {
    let array = args.array(0);
    match array.len() {
        1 => super::print::display(array, 0),
        _ => "a value".to_owned(),
    }
}

/// The digits of a DECIMAL type.
pub fn digits(t: &DataType) -> Result<Digits, String> {
    Digits::of(t).ok_or_else(|| format!("{t} is not a DECIMAL"))
}

/// 1 and 0.
pub fn from_boolean(to: &DataType) -> Result<Compute, String> {
    let to = to.clone();
    Ok(Arc::new(move |a: &Args<'_>| {
        let flags: &BooleanArray = a.array(0).as_boolean();
        let ints = cast_with_options(flags, &DataType::Int8, &CastOptions::default())?;
        let options = CastOptions { safe: false, ..CastOptions::default() };
        cast_with_options(&ints, &to, &options)
            .map_err(|_| Failure::new(format!("1 does not fit {}", highwater_engine::graph::types::sql_type(&to))))
    }))
}

/// From a text.
pub fn from_text(to: &DataType) -> Result<Compute, String> {
    let t = to.clone();
    Ok(match to {
        DataType::Float64 => Arc::new(move |a: &Args<'_>| map_text::<Float64Type>(a, &t, parse::double)),
        DataType::Float32 => Arc::new(move |a: &Args<'_>| {
            map_text::<Float32Type>(a, &t, |s| {
                parse::double(s)?;
                s.trim().parse().map_err(|_| Failure::new(format!("'{s}' is not a FLOAT")))
            })
        }),
        DataType::Decimal128(..) => {
            let digits = digits(to)?;
            Arc::new(move |a: &Args<'_>| map_text::<Decimal128Type>(a, &t, |s| parse::decimal(s, digits)))
        }
        _ => {
            let narrow = bind(&DataType::Int64, to)?;
            Arc::new(move |a: &Args<'_>| {
                let wide = map_text::<Int64Type>(a, &DataType::Int64, parse::integer)?;
                if t == DataType::Int64 {
                    return Ok(wide);
                }
                narrow(&Args::new(&[wide], a.scalars(), a.rows()))
            })
        }
    })
}

/// By the shortest decimal form that reads back as the same number, half up: 1.255 is 1.26 at scale 2.
fn floats_to_decimal(args: &Args<'_>, to: Digits) -> Result<ArrayRef, Failure> {
    let array = args.array(0);
    let shortest: Vec<Option<String>> = match array.data_type() {
        DataType::Float32 => array.as_primitive::<Float32Type>().iter().map(|v| v.map(|v| format!("{v:e}"))).collect(),
        _ => array.as_primitive::<Float64Type>().iter().map(|v| v.map(|v| format!("{v:e}"))).collect(),
    };
    let values: Decimal128Array =
        shortest.iter().map(|s| s.as_deref().map(|s| parse::decimal(s, to)).transpose()).collect::<Result<_, _>>()?;
    Ok(Arc::new(values.with_precision_and_scale(to.precision as u8, to.scale as i8)?))
}

/// The nearest DOUBLE. Below 2^53 and 10^22 both operands are exact, so the one division rounds correctly.
fn decimal_to_double(array: &Decimal128Array, scale: u32) -> ArrayRef {
    let exact = (1i128 << 53).unsigned_abs();
    let power = 10f64.powi(scale as i32);
    let convert = |v: i128| {
        if v.unsigned_abs() <= exact && scale <= 22 {
            return v as f64 / power;
        }
        format!("{v}e-{scale}").parse().unwrap_or(f64::NAN)
    };
    let out: Float64Array = array.unary(convert);
    Arc::new(out)
}
