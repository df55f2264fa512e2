//! AND and OR, comparison, LIKE.

use super::{Lowered, cast_to};
use crate::expression::cast;
use crate::expression::decimal::Digits;
use crate::expression::functions::like_pattern;
use crate::expression::kernel::{Args, Compute, Failure, Kernel};
use crate::expression::lazy::Guarded;
use arrow::array::{ArrayRef, AsArray, BooleanArray};
use arrow::datatypes::{ArrowPrimitiveType, DataType, Float32Type, Float64Type};
use datafusion_common::ScalarValue;
use datafusion_expr::Operator;
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_expr::expressions as df;
use highwater_engine::expr::BinaryOp;
use highwater_engine::graph::types::sql_type;
use std::sync::Arc;

pub(super) fn logical(op: BinaryOp, l: Lowered, r: Lowered) -> Result<Lowered, String> {
    if l.data_type != DataType::Boolean || r.data_type != DataType::Boolean {
        return Err("AND and OR take BOOLEAN".to_owned());
    }
    let and = op == BinaryOp::And;
    let fallible = l.fallible || r.fallible;
    let physical: Arc<dyn PhysicalExpr> = if r.fallible {
        Arc::new(Guarded { and, left: l.physical, right: r.physical })
    } else {
        let op = if and { Operator::And } else { Operator::Or };
        Arc::new(df::BinaryExpr::new(l.physical, op, r.physical))
    };
    Ok(Lowered::new(physical, DataType::Boolean, fallible))
}

/// The type in which two values compare: the same, or the DECIMAL that holds both.
pub(super) fn comparable(l: &DataType, r: &DataType) -> Result<DataType, String> {
    if l == r {
        return Ok(l.clone());
    }
    if let (Some(a), Some(b)) = (Digits::of(l), Digits::of(r))
        && (l.is_decimal() || r.is_decimal())
    {
        let scale = a.scale.max(b.scale);
        let precision = (a.precision - a.scale).max(b.precision - b.scale) + scale;
        if precision <= 38 {
            return Ok(Digits { precision, scale }.data_type());
        }
    }
    Err(format!("{} cannot be compared with {}; write CAST(.. AS ..)", sql_type(l), sql_type(r)))
}

/// A cast where the types differ; a constant is cast now.
pub(super) fn to_type(x: Lowered, to: &DataType) -> Result<Lowered, String> {
    if x.data_type == *to {
        return Ok(x);
    }
    let cast = cast_to(x.clone(), to, false)?;
    let Some(value) = &x.constant else { return Ok(cast) };
    let array = value.to_array_of_size(1).map_err(|e| e.strip_backtrace())?;
    let compute = cast::bind(&x.data_type, to)?;
    let result = compute(&Args::new(&[array], &[true], 1)).map_err(|f| f.0)?;
    Ok(Lowered::constant(ScalarValue::try_from_array(&result, 0).map_err(|e| e.strip_backtrace())?))
}

pub(super) fn compare(op: BinaryOp, l: Lowered, r: Lowered) -> Result<Lowered, String> {
    let common = comparable(&l.data_type, &r.data_type)?;
    let (l, r) = (to_type(l, &common)?, to_type(r, &common)?);
    let fallible = l.fallible || r.fallible;
    let op = match op {
        BinaryOp::Equal => Operator::Eq,
        BinaryOp::NotEqual => Operator::NotEq,
        BinaryOp::Less => Operator::Lt,
        BinaryOp::LessOrEqual => Operator::LtEq,
        BinaryOp::Greater => Operator::Gt,
        BinaryOp::GreaterOrEqual => Operator::GtEq,
        BinaryOp::IsDistinctFrom => Operator::IsDistinctFrom,
        _ => Operator::IsNotDistinctFrom,
    };
    let distinct = matches!(op, Operator::IsDistinctFrom | Operator::IsNotDistinctFrom);
    let physical: Arc<dyn PhysicalExpr> = match common {
        DataType::Float64 if !distinct => ieee::<Float64Type>(op, l, r),
        DataType::Float32 if !distinct => ieee::<Float32Type>(op, l, r),
        _ => Arc::new(df::BinaryExpr::new(l.physical, op, r.physical)),
    };
    Ok(Lowered::new(physical, DataType::Boolean, fallible))
}

/// Comparison of DOUBLE by IEEE 754, as in Flink: −0 equals 0, NaN equals nothing. Arrow's kernels order totally.
pub(super) fn ieee<T: ArrowPrimitiveType>(op: Operator, l: Lowered, r: Lowered) -> Arc<dyn PhysicalExpr>
where
    T::Native: PartialOrd,
{
    let test: fn(T::Native, T::Native) -> bool = match op {
        Operator::Eq => |a, b| a == b,
        Operator::NotEq => |a, b| a != b,
        Operator::Lt => |a, b| a < b,
        Operator::LtEq => |a, b| a <= b,
        Operator::Gt => |a, b| a > b,
        _ => |a, b| a >= b,
    };
    let compute: Compute = Arc::new(move |args: &Args<'_>| {
        let (l, r) = (args.values::<T>(0), args.values::<T>(1));
        let out = match (l.constant(), r.constant()) {
            (None, Some(b)) if !args.is_scalar(0) => BooleanArray::from_unary(l.array(), |a| test(a, b)),
            (Some(a), None) if !args.is_scalar(1) => BooleanArray::from_unary(r.array(), |b| test(a, b)),
            _ => (0..args.rows()).map(|i| Some(test(l.get(i)?, r.get(i)?))).collect(),
        };
        Ok(Arc::new(out) as ArrayRef)
    });
    Kernel::call(op.to_string(), vec![l.physical, r.physical], DataType::Boolean, compute)
}

pub(super) fn like(x: Lowered, pattern: Lowered, escape: Option<char>, negated: bool) -> Result<Lowered, String> {
    if x.data_type != DataType::Utf8 || pattern.data_type != DataType::Utf8 {
        return Err("LIKE takes STRING".to_owned());
    }
    let pattern = match &pattern.constant {
        Some(ScalarValue::Utf8(Some(p))) => {
            Lowered::constant(ScalarValue::Utf8(Some(like_pattern(p, escape).map_err(|f| f.0)?)))
        }
        Some(_) => pattern,
        None => {
            let translate: Compute = Arc::new(move |a: &Args<'_>| {
                let texts = a.array(0).as_string::<i32>().iter();
                let out: arrow::array::StringArray =
                    texts.map(|p| p.map(|p| like_pattern(p, escape)).transpose()).collect::<Result<_, Failure>>()?;
                Ok(Arc::new(out) as ArrayRef)
            });
            let physical = Kernel::call("like_pattern", vec![pattern.physical], DataType::Utf8, translate);
            Lowered::new(physical, DataType::Utf8, pattern.fallible || escape.is_some())
        }
    };
    let fallible = x.fallible || pattern.fallible;
    let physical = Arc::new(df::LikeExpr::new(negated, false, x.physical, pattern.physical));
    Ok(Lowered::new(physical, DataType::Boolean, fallible))
}
