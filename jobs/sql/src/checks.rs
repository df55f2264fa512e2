//! Checks of an analyzed plan.

use crate::diagnostic::Fault;
use crate::types::sql_type;
use arrow_schema::DataType;
use datafusion_common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion_common::{DFSchema, Result, ScalarValue};
use datafusion_expr::{Expr, ExprSchemable, LogicalPlan, Operator};

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
