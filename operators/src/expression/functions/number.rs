//! Numbers: operators of DECIMAL, ABS, MOD, powers, logarithms, and choices between values of one type.

use super::super::decimal::{self, Digits, Operation};
use super::super::kernel::{Args, Compute, Failure};
use super::super::true_only;
use super::{Argument, Function, Typing, signature};
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, PrimitiveArray};
use arrow::compute::kernels::{cmp, numeric, zip::zip};
use arrow::compute::{CastOptions, cast_with_options, nullif as arrow_nullif};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
};
use std::sync::Arc;

pub(super) fn functions() -> Vec<Function> {
    let mut all = vec![
        Function::prepared("decimal_add", |a| decimals(Operation::Add, a), |a, _| bind(Operation::Add, a)),
        Function::prepared(
            "decimal_subtract",
            |a| decimals(Operation::Subtract, a),
            |a, _| bind(Operation::Subtract, a),
        ),
        Function::prepared(
            "decimal_multiply",
            |a| decimals(Operation::Multiply, a),
            |a, _| bind(Operation::Multiply, a),
        ),
        Function::prepared("decimal_divide", |a| decimals(Operation::Divide, a), |a, _| bind(Operation::Divide, a)),
        Function::prepared("mod", modulo_types, modulo),
        Function::plain("abs", same_number, abs),
        Function::plain("sign", same_number, sign),
        Function::plain("power", |a| signature(a, "dd", DataType::Float64), |a| double2(a, f64::powf))
            .or(&["pow"])
            .total(),
        Function::plain("atan2", |a| signature(a, "dd", DataType::Float64), |a| double2(a, f64::atan2)).total(),
        Function::plain("log", |a| signature(a, "d?d", DataType::Float64), log).total(),
        Function::plain("pi", |a| signature(a, "", DataType::Float64), |_| constant(std::f64::consts::PI)).total(),
        Function::plain("e", |a| signature(a, "", DataType::Float64), |_| constant(std::f64::consts::E)).total(),
        Function::lazy("coalesce", common_type, coalesce),
        Function::lazy("ifnull", |a| exactly(2, a).and_then(|()| common_type(a)), coalesce),
        Function::lazy("if", if_types, if_),
        Function::prepared("nullif", nullif_types, |_, returns| Ok(narrowed(nullif, returns))).total(),
        Function::plain("greatest", common_type, |a| extreme(a, cmp::gt)).total(),
        Function::plain("least", common_type, |a| extreme(a, cmp::lt)).total(),
    ];
    macro_rules! doubles {
        ($($name:literal => $f:expr),* $(,)?) => {
            $(all.push(Function::plain($name, |a| signature(a, "d", DataType::Float64), |a| double1(a, $f)).total());)*
        };
    }
    doubles!(
        "sqrt" => f64::sqrt, "exp" => f64::exp, "ln" => f64::ln, "log10" => f64::log10,
        "log2" => |x| x.ln() / std::f64::consts::LN_2,
        "sin" => f64::sin, "cos" => f64::cos, "tan" => f64::tan, "cot" => |x| 1.0 / x.tan(),
        "asin" => f64::asin, "acos" => f64::acos, "atan" => f64::atan,
        "sinh" => f64::sinh, "cosh" => f64::cosh, "tanh" => f64::tanh,
        "degrees" => f64::to_degrees, "radians" => f64::to_radians,
    );
    all
}

fn exactly(n: usize, args: &[Argument]) -> Result<(), String> {
    if args.len() == n { Ok(()) } else { Err(format!("takes {n} arguments, {} given", args.len())) }
}

// ---- operators of DECIMAL

fn decimals(op: Operation, args: &[Argument]) -> Result<Typing, String> {
    exactly(2, args)?;
    let digits = |a: &Argument| Digits::of(&a.data_type).ok_or("takes DECIMALs and integers".to_owned());
    let (l, r) = (digits(&args[0])?, digits(&args[1])?);
    Ok(Typing { args: vec![l.data_type(), r.data_type()], returns: decimal::result(op, l, r).data_type() })
}

fn bind(op: Operation, args: &[Argument]) -> Result<Compute, String> {
    match (Digits::of(&args[0].data_type), Digits::of(&args[1].data_type)) {
        (Some(l), Some(r)) => Ok(decimal::bind(op, l, r)),
        _ => Err("takes DECIMALs".to_owned()),
    }
}

/// `MOD(a, b)`: the type of b for integers, Flink's rule for DECIMAL, DOUBLE if one is DOUBLE.
fn modulo_types(args: &[Argument]) -> Result<Typing, String> {
    exactly(2, args)?;
    let (l, r) = (&args[0].data_type, &args[1].data_type);
    if l.is_floating() || r.is_floating() {
        return signature(args, "dd", DataType::Float64);
    }
    if l.is_integer() && r.is_integer() {
        return Ok(Typing { args: vec![DataType::Int64, DataType::Int64], returns: r.clone() });
    }
    decimals(Operation::Remainder, args)
}

fn modulo(args: &[Argument], returns: &DataType) -> Result<Compute, String> {
    match &args[0].data_type {
        // a remainder is smaller than the divisor: it fits the divisor's type
        DataType::Int64 | DataType::Float64 => Ok(narrowed(|a| by_arrow(a, numeric::rem), returns)),
        _ => bind(Operation::Remainder, args),
    }
}

type ArrowKernel = fn(&dyn arrow::array::Datum, &dyn arrow::array::Datum) -> Result<ArrayRef, arrow::error::ArrowError>;

fn by_arrow(a: &Args<'_>, kernel: ArrowKernel) -> Result<ArrayRef, Failure> {
    Ok(kernel(&full(a, 0)?, &full(a, 1)?)?)
}

// ---- one number

fn same_number(args: &[Argument]) -> Result<Typing, String> {
    exactly(1, args)?;
    let t = &args[0].data_type;
    match t {
        DataType::Null => Ok(Typing { args: vec![DataType::Float64], returns: DataType::Float64 }),
        t if t.is_signed_integer() || t.is_floating() || matches!(t, DataType::Decimal128(..)) => {
            Ok(Typing { args: vec![t.clone()], returns: t.clone() })
        }
        _ => Err("takes a number".to_owned()),
    }
}

/// Applies `$f` to the values of a numeric array, whatever its type.
macro_rules! each_number {
    ($array:expr, |$v:ident, $t:ident| $f:expr) => {{
        let array: &ArrayRef = $array;
        match array.data_type() {
            DataType::Int8 => unary::<Int8Type>(array, |$v| {
                type $t = i8;
                $f
            }),
            DataType::Int16 => unary::<Int16Type>(array, |$v| {
                type $t = i16;
                $f
            }),
            DataType::Int32 => unary::<Int32Type>(array, |$v| {
                type $t = i32;
                $f
            }),
            DataType::Int64 => unary::<Int64Type>(array, |$v| {
                type $t = i64;
                $f
            }),
            DataType::Decimal128(..) => unary::<Decimal128Type>(array, |$v| {
                type $t = i128;
                $f
            }),
            t => Err(Failure::new(format!("{t} is not a number"))),
        }
    }};
}

fn unary<T: ArrowPrimitiveType>(
    array: &ArrayRef,
    f: impl Fn(T::Native) -> Result<T::Native, Failure>,
) -> Result<ArrayRef, Failure> {
    let out: PrimitiveArray<T> = array.as_primitive::<T>().try_unary(f)?;
    Ok(Arc::new(out.with_data_type(array.data_type().clone())))
}

fn abs(args: &Args<'_>) -> Result<ArrayRef, Failure> {
    let array = args.array(0);
    match array.data_type() {
        DataType::Float64 => Ok(Arc::new(array.as_primitive::<Float64Type>().unary::<_, Float64Type>(f64::abs))),
        DataType::Float32 => Ok(Arc::new(array.as_primitive::<Float32Type>().unary::<_, Float32Type>(f32::abs))),
        _ => each_number!(array, |v, T| {
            let abs: Option<T> = v.checked_abs();
            abs.ok_or_else(|| Failure::new(format!("overflow: ABS({v})")))
        }),
    }
}

/// −1, 0 or 1 in the type of the argument.
fn sign(args: &Args<'_>) -> Result<ArrayRef, Failure> {
    let array = args.array(0);
    let sign = |v: f64| if v == 0.0 || v.is_nan() { v } else { v.signum() };
    match array.data_type() {
        DataType::Float64 => Ok(Arc::new(array.as_primitive::<Float64Type>().unary::<_, Float64Type>(sign))),
        DataType::Float32 => {
            Ok(Arc::new(array.as_primitive::<Float32Type>().unary::<_, Float32Type>(|v| sign(f64::from(v)) as f32)))
        }
        DataType::Decimal128(p, s) if i32::from(*p) - i32::from(*s) < 1 => {
            Err(Failure::new(format!("1 does not fit DECIMAL({p}, {s})")))
        }
        DataType::Decimal128(_, s) => {
            let one = 10i128.pow(u32::from(s.unsigned_abs()));
            unary::<Decimal128Type>(array, |v| Ok(v.signum() * one))
        }
        _ => each_number!(array, |v, T| {
            let sign: T = v.signum();
            Ok(sign)
        }),
    }
}

fn double1(args: &Args<'_>, f: fn(f64) -> f64) -> Result<ArrayRef, Failure> {
    Ok(Arc::new(args.array(0).as_primitive::<Float64Type>().unary::<_, Float64Type>(f)))
}

fn double2(args: &Args<'_>, f: fn(f64, f64) -> f64) -> Result<ArrayRef, Failure> {
    let (l, r) = (args.values::<Float64Type>(0), args.values::<Float64Type>(1));
    let out: Float64Array = (0..args.rows()).map(|i| Some(f(l.get(i)?, r.get(i)?))).collect();
    Ok(Arc::new(out))
}

/// `LOG(x)` is the natural logarithm, `LOG(base, x)` that of x to a base.
fn log(args: &Args<'_>) -> Result<ArrayRef, Failure> {
    if args.count() == 1 { double1(args, f64::ln) } else { double2(args, |base, x| x.ln() / base.ln()) }
}

fn constant(v: f64) -> Result<ArrayRef, Failure> {
    Ok(Arc::new(Float64Array::from(vec![v])))
}

// ---- choices

/// The one type of all arguments: equal types, the widest integer, the DECIMAL that holds all, DOUBLE if one is.
fn common(args: &[Argument]) -> Result<DataType, String> {
    let mut types = args.iter().map(|a| &a.data_type).filter(|t| **t != DataType::Null);
    let Some(first) = types.next().cloned() else { return Ok(DataType::Null) };
    types.try_fold(first, |l, r| {
        widest(&l, r).ok_or_else(|| {
            let name = highwater_engine::graph::types::sql_type;
            format!("{} and {} have no common type; write CAST(.. AS ..)", name(&l), name(r))
        })
    })
}

fn widest(l: &DataType, r: &DataType) -> Option<DataType> {
    let number = |t: &DataType| t.is_integer() || t.is_floating() || t.is_decimal();
    if l == r {
        return Some(l.clone());
    }
    if number(l) && number(r) && (l.is_floating() || r.is_floating()) {
        return Some(DataType::Float64);
    }
    if l.is_integer() && r.is_integer() {
        return Some(if l.primitive_width() >= r.primitive_width() { l.clone() } else { r.clone() });
    }
    if let (Some(a), Some(b)) = (Digits::of(l), Digits::of(r)) {
        let scale = a.scale.max(b.scale);
        let precision = ((a.precision - a.scale).max(b.precision - b.scale) + scale).min(38);
        return Some(Digits { precision, scale }.data_type());
    }
    match (l, r) {
        (DataType::Timestamp(a, z), DataType::Timestamp(b, y)) if z == y => {
            Some(DataType::Timestamp(*a.max(b), z.clone()))
        }
        _ => None,
    }
}

fn common_type(args: &[Argument]) -> Result<Typing, String> {
    if args.is_empty() {
        return Err("takes at least 1 argument".to_owned());
    }
    let t = common(args)?;
    Ok(Typing { args: vec![t.clone(); args.len()], returns: t })
}

fn if_types(args: &[Argument]) -> Result<Typing, String> {
    exactly(3, args)?;
    if !matches!(args[0].data_type, DataType::Boolean | DataType::Null) {
        return Err("the condition must be BOOLEAN".to_owned());
    }
    let t = common(&args[1..])?;
    Ok(Typing { args: vec![DataType::Boolean, t.clone(), t.clone()], returns: t })
}

fn nullif_types(args: &[Argument]) -> Result<Typing, String> {
    exactly(2, args)?;
    let t = common(args)?;
    // compared in the common type, returned in the first argument's
    let own = &args[0].data_type;
    let returns = if *own == DataType::Null { t.clone() } else { own.clone() };
    Ok(Typing { args: vec![t.clone(), t], returns })
}

fn full(args: &Args<'_>, i: usize) -> Result<ArrayRef, Failure> {
    if !args.is_scalar(i) || args.rows() == 1 {
        return Ok(args.array(i).clone());
    }
    let zeros = arrow::array::UInt32Array::from(vec![0; args.rows()]);
    Ok(arrow::compute::take(args.array(i), &zeros, None)?)
}

fn coalesce(args: &Args<'_>) -> Result<ArrayRef, Failure> {
    let mut out = full(args, 0)?;
    for i in 1..args.count() {
        let open = arrow::compute::is_null(&out)?;
        out = zip(&open, &full(args, i)?, &out)?;
    }
    Ok(out)
}

fn if_(args: &Args<'_>) -> Result<ArrayRef, Failure> {
    let condition = full(args, 0)?;
    let condition = true_only(condition.as_boolean().clone());
    Ok(zip(&condition, &full(args, 1)?, &full(args, 2)?)?)
}

fn nullif(args: &Args<'_>) -> Result<ArrayRef, Failure> {
    let (l, r) = (full(args, 0)?, full(args, 1)?);
    let equal = true_only(cmp::eq(&l, &r)?);
    Ok(arrow_nullif(&l, &equal)?)
}

/// GREATEST and LEAST: NULL if any argument is.
fn extreme(
    args: &Args<'_>,
    better: fn(&dyn arrow::array::Datum, &dyn arrow::array::Datum) -> Result<BooleanArray, arrow::error::ArrowError>,
) -> Result<ArrayRef, Failure> {
    let mut out = full(args, 0)?;
    for i in 1..args.count() {
        let next = full(args, i)?;
        // a NULL comparison is not true: then take the NULL side
        let take_next = arrow::compute::or(&true_only(better(&next, &out)?), &arrow::compute::is_null(&next)?)?;
        out = zip(&take_next, &next, &out)?;
    }
    Ok(out)
}

/// A kernel whose values fit a narrower type than it computes in.
fn narrowed(kernel: fn(&Args<'_>) -> Result<ArrayRef, Failure>, returns: &DataType) -> Compute {
    let returns = returns.clone();
    let options = CastOptions { safe: false, ..CastOptions::default() };
    Arc::new(move |a: &Args<'_>| Ok(cast_with_options(&kernel(a)?, &returns, &options)?))
}
