//! Arithmetic of numbers, times and intervals.

use super::Lowered;
use super::comparison::to_type;
use crate::expression::calendar;
use crate::expression::decimal::{self, Digits, Operation};
use crate::expression::functions::{duration, plus_interval};
use crate::expression::kernel::{Args, Compute, Kernel};
use arrow::datatypes::{DataType, IntervalUnit, TimeUnit};
use datafusion_common::ScalarValue;
use datafusion_expr::Operator;
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_expr::expressions as df;
use highwater_engine::expr::BinaryOp;
use highwater_engine::graph::types::sql_type;
use std::sync::Arc;

pub(super) fn negate(x: Lowered) -> Result<Lowered, String> {
    let t = x.data_type.clone();
    // a DECIMAL's range is symmetric; an integer's is not, so 0 - x, checked
    let physical: Arc<dyn PhysicalExpr> = match &t {
        t if t.is_signed_integer() => {
            let zero = ScalarValue::new_zero(t).map_err(|e| e.strip_backtrace())?;
            let zero = Arc::new(df::Literal::new(zero));
            Arc::new(df::BinaryExpr::new(zero, Operator::Minus, x.physical).with_fail_on_overflow(true))
        }
        DataType::Decimal128(..) | DataType::Float64 | DataType::Float32 => Arc::new(df::NegativeExpr::new(x.physical)),
        t => return Err(format!("- takes a number, not {}", sql_type(t))),
    };
    let fallible = x.fallible || t.is_integer();
    Ok(Lowered::new(physical, t, fallible))
}

pub(super) fn arithmetic(op: BinaryOp, l: Lowered, r: Lowered) -> Result<Lowered, String> {
    let interval = |t: &DataType| matches!(t, DataType::Interval(IntervalUnit::MonthDayNano));
    let time = |t: &DataType| matches!(t, DataType::Timestamp(..) | DataType::Date32);
    match (op, &l.data_type, &r.data_type) {
        (BinaryOp::Add, t, i) if time(t) && interval(i) => shift(l, r, false),
        (BinaryOp::Add, i, t) if time(t) && interval(i) => shift(r, l, false),
        (BinaryOp::Subtract, t, i) if time(t) && interval(i) => shift(l, r, true),
        (BinaryOp::Subtract, a @ DataType::Timestamp(..), b) if a == b => difference(l, r),
        (_, a, b) if a.is_decimal() || b.is_decimal() => decimals(op, l, r),
        (_, a, b) if a == b && (a.is_signed_integer() || a.is_floating()) => {
            let t = a.clone();
            let fallible = l.fallible || r.fallible || t.is_integer();
            let op = match op {
                BinaryOp::Add => Operator::Plus,
                BinaryOp::Subtract => Operator::Minus,
                BinaryOp::Multiply => Operator::Multiply,
                BinaryOp::Divide => Operator::Divide,
                _ => Operator::Modulo,
            };
            let physical = df::BinaryExpr::new(l.physical, op, r.physical).with_fail_on_overflow(true);
            Ok(Lowered::new(Arc::new(physical), t, fallible))
        }
        (_, a, b) => Err(format!("no such operation on {} and {}", sql_type(a), sql_type(b))),
    }
}

pub(super) fn decimals(op: BinaryOp, l: Lowered, r: Lowered) -> Result<Lowered, String> {
    let op = match op {
        BinaryOp::Add => Operation::Add,
        BinaryOp::Subtract => Operation::Subtract,
        BinaryOp::Multiply => Operation::Multiply,
        BinaryOp::Divide => Operation::Divide,
        _ => Operation::Remainder,
    };
    let digits = |x: &Lowered| {
        Digits::of(&x.data_type).ok_or_else(|| format!("no such operation on {} and DECIMAL", sql_type(&x.data_type)))
    };
    let (a, b) = (digits(&l)?, digits(&r)?);
    let returns = decimal::result(op, a, b).data_type();
    let (l, r) = (to_type(l, &a.data_type())?, to_type(r, &b.data_type())?);
    let physical =
        Kernel::call(format!("{op:?}"), vec![l.physical, r.physical], returns.clone(), decimal::bind(op, a, b));
    Ok(Lowered::new(physical, returns, true))
}

pub(super) fn shift(time: Lowered, interval: Lowered, negative: bool) -> Result<Lowered, String> {
    let t = time.data_type.clone();
    let compute = plus_interval(&t, negative)?;
    let physical = Kernel::call("plus_interval", vec![time.physical, interval.physical], t.clone(), compute);
    Ok(Lowered::new(physical, t, true))
}

/// The time between two timestamps of one type, as a duration in milliseconds.
pub(super) fn difference(l: Lowered, r: Lowered) -> Result<Lowered, String> {
    let DataType::Timestamp(unit, _) = l.data_type else { return Err("takes timestamps".to_owned()) };
    let per = calendar::per_second(unit);
    let compute: Compute = Arc::new(move |a: &Args<'_>| duration(a, per));
    let returns = DataType::Duration(TimeUnit::Millisecond);
    let physical = Kernel::call("difference", vec![l.physical, r.physical], returns.clone(), compute);
    Ok(Lowered::new(physical, returns, true))
}
