//! Checks of a plan: operands before the analyzer, constants after it.

use crate::diagnostic::{Fault, Span};
use crate::types::is_event_time;
use arrow_schema::DataType;
use datafusion_common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion_common::{DFSchema, DataFusionError, Result, ScalarValue};
use datafusion_expr::type_coercion::binary::BinaryTypeCoercer;
use datafusion_expr::{BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator};
use highwater_engine::graph::types::sql_type;

/// The place of the first column in an expression that knows one.
pub(crate) fn place(e: &Expr) -> Option<Span> {
    let mut found = None;
    let _ = e.apply(|e| {
        if let Expr::Column(c) = e
            && let Some(s) = c.spans.first()
            && s.start.line > 0
        {
            let (start, end) = (s.start, s.end);
            found = Some(Span { line: start.line, column: start.column, end_line: end.line, end_column: end.column });
            return Ok(TreeNodeRecursion::Stop);
        }
        Ok(TreeNodeRecursion::Continue)
    });
    found
}

/// Operands that have no common type, and frames that are not over a time: the analyzer would say so without a place.
pub(crate) fn operands(plan: &LogicalPlan) -> Result<()> {
    let mut faults: Vec<DataFusionError> = Vec::new();
    plan.apply_with_subqueries(|p| {
        let mut schema = DFSchema::empty();
        p.inputs().iter().for_each(|i| schema.merge(i.schema()));
        p.apply_expressions(|e| {
            e.apply(|e| {
                match e {
                    Expr::BinaryExpr(b) => faults.extend(pair(b, &schema).err()),
                    Expr::WindowFunction(w) if w.fun.name() != crate::functions::ROW_NUMBER => {
                        let order = w.params.order_by.first().map(|o| &o.expr);
                        let timeless = |o: &&Expr| o.get_type(&schema).is_ok_and(|t| !is_event_time(&t));
                        if let Some(o) = order.filter(timeless) {
                            faults.push(not_the_time(o).into());
                        }
                    }
                    _ => {}
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    if faults.is_empty() { Ok(()) } else { Err(DataFusionError::Collection(faults)) }
}

/// OVER ordered by something else than the event time.
pub(crate) fn not_the_time(order: &Expr) -> Fault {
    let name = match order {
        Expr::Column(c) => c.name.clone(),
        _ => "an expression".to_string(),
    };
    Fault::new(format!("OVER is ordered by the event time; {name} is not the time attribute of its rows"))
        .at(place(order))
        .hint("the column of WATERMARK FOR, passed on as it is; behind a window, window_time")
}

fn pair(b: &BinaryExpr, schema: &DFSchema) -> Result<()> {
    let (Ok(l), Ok(r)) = (b.left.get_type(schema), b.right.get_type(schema)) else { return Ok(()) };
    let is_time = |t: &DataType| matches!(t, DataType::Time32(_) | DataType::Time64(_));
    let computes = b.op.is_numerical_operators() && (is_time(&l) || is_time(&r));
    if !computes && BinaryTypeCoercer::new(&l, &b.op, &r).get_input_types().is_ok() {
        return Ok(());
    }
    let what = format!("{} {} {} is not possible", sql_type(&l), b.op, sql_type(&r));
    Err(Fault::new(what).at(place(&b.left).or(place(&b.right))).hint("CAST one of the operands").into())
}

/// Constant integer arithmetic must fit: folding it would wrap (9223372036854775807 + 1 is not −9223372036854775808).
pub(crate) fn constants(plan: &LogicalPlan) -> Result<()> {
    let empty = DFSchema::empty();
    plan.apply_with_subqueries(|p| {
        p.apply_expressions(|e| {
            e.apply(|e| {
                if !matches!(e, Expr::BinaryExpr(_) | Expr::Negative(_) | Expr::Cast(_)) {
                    return Ok(TreeNodeRecursion::Continue);
                }
                let (Some(v), Ok(t)) = (value(e), e.get_type(&empty)) else {
                    return Ok(TreeNodeRecursion::Continue);
                };
                let bits = match t {
                    DataType::Int8 => 7,
                    DataType::Int16 => 15,
                    DataType::Int32 => 31,
                    DataType::Int64 => 63,
                    _ => return Ok(TreeNodeRecursion::Continue),
                };
                if v >= 1 << bits || v < -(1 << bits) {
                    let what = format!("the constant {v} does not fit {}", sql_type(&t));
                    return Err(Fault::new(what).hint("cast an operand to a larger type").into());
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(())
}

fn value(e: &Expr) -> Option<i128> {
    match e {
        Expr::Literal(v, _) => match v {
            ScalarValue::Int8(v) => v.map(i128::from),
            ScalarValue::Int16(v) => v.map(i128::from),
            ScalarValue::Int32(v) => v.map(i128::from),
            ScalarValue::Int64(v) => v.map(i128::from),
            _ => None,
        },
        Expr::Cast(c) if c.field.data_type().is_integer() => value(&c.expr),
        Expr::Negative(e) => value(e).and_then(i128::checked_neg),
        Expr::BinaryExpr(b) => {
            let (l, r) = (value(&b.left)?, value(&b.right)?);
            match b.op {
                Operator::Plus => l.checked_add(r),
                Operator::Minus => l.checked_sub(r),
                Operator::Multiply => l.checked_mul(r),
                _ => None,
            }
        }
        _ => None,
    }
}
