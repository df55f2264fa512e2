//! Repairs of a plan. Before the analyzer sees it: the types that Flink gives literals and mixtures of numbers. After it:
//! casts of constants, with Flink's meaning.

use crate::diagnostic::Fault;
use crate::translate::expr::Scope;
use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow_schema::{DataType, Schema};
use datafusion_common::tree_node::{Transformed, TreeNode};
use datafusion_common::{DFSchema, Result, ScalarValue};
use datafusion_expr::expr_rewriter::NamePreserver;
use datafusion_expr::{Expr, ExprSchemable, LogicalPlan, cast, lit};
use highwater_operators::expression::Expression;
use std::sync::Arc;

/// Rewrites every expression of the plan bottom-up, keeping the names of columns.
fn rewrite(plan: LogicalPlan, f: impl Fn(Expr, &DFSchema) -> Result<Transformed<Expr>>) -> Result<LogicalPlan> {
    let plan = plan.transform_up_with_subqueries(|p| {
        let mut schema = DFSchema::empty();
        p.inputs().iter().for_each(|i| schema.merge(i.schema()));
        let names = NamePreserver::new(&p);
        p.map_expressions(|e| {
            let name = names.save(&e);
            Ok(f(e, &schema)?.update_data(|e| name.restore(e)))
        })?
        .map_data(LogicalPlan::recompute_schema)
    })?;
    Ok(plan.data)
}

/// An integer literal that fits is INT, not BIGINT: it decides the type of `n + 1` and the scale of `amount / 3`. The
/// argument of COUNT(*) stays what the planner made it.
pub(crate) fn literals(plan: LogicalPlan) -> Result<LogicalPlan> {
    rewrite(plan, |e, _| {
        if matches!(&e, Expr::AggregateFunction(f) if counts_rows(&f.params.args))
            || matches!(&e, Expr::WindowFunction(w) if counts_rows(&w.params.args) && w.params.filter.is_none())
        {
            return Ok(Transformed::no(e));
        }
        e.transform_up(|e| match e {
            Expr::Literal(ScalarValue::Int64(Some(v)), None) if i32::try_from(v).is_ok() => {
                Ok(Transformed::yes(lit(v as i32)))
            }
            e => Ok(Transformed::no(e)),
        })
    })
}

fn counts_rows(args: &[Expr]) -> bool {
    matches!(args, [Expr::Literal(..)])
}

/// DOUBLE with DECIMAL is DOUBLE. The analyzer would make both DECIMAL(30, 15), which fails for 1e20.
pub(crate) fn doubles(plan: LogicalPlan) -> Result<LogicalPlan> {
    rewrite(plan, |e, schema| e.transform_up(|e| Ok(double(e, schema))))
}

fn double(e: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let is = |e: &Expr, kind: fn(&DataType) -> bool| e.get_type(schema).is_ok_and(|t| kind(&t));
    let mixed =
        |l: &[&Expr]| l.iter().any(|e| is(e, DataType::is_floating)) && l.iter().any(|e| is(e, DataType::is_decimal));
    let double = |e: Expr| if is(&e, DataType::is_decimal) { cast(e, DataType::Float64) } else { e };
    match e {
        Expr::BinaryExpr(mut b) if mixed(&[&b.left, &b.right]) => {
            *b.left = double(*b.left);
            *b.right = double(*b.right);
            Transformed::yes(Expr::BinaryExpr(b))
        }
        Expr::Between(mut b) if mixed(&[&b.expr, &b.low, &b.high]) => {
            *b.expr = double(*b.expr);
            *b.low = double(*b.low);
            *b.high = double(*b.high);
            Transformed::yes(Expr::Between(b))
        }
        Expr::InList(mut l) if mixed(&l.list.iter().chain([&*l.expr]).collect::<Vec<_>>()) => {
            *l.expr = double(*l.expr);
            l.list = l.list.into_iter().map(double).collect();
            Transformed::yes(Expr::InList(l))
        }
        Expr::Case(mut c) if mixed(&results(&c)) => {
            for (_, then) in &mut c.when_then_expr {
                **then = double((**then).clone());
            }
            c.else_expr = c.else_expr.map(|e| Box::new(double(*e)));
            Transformed::yes(Expr::Case(c))
        }
        Expr::ScalarFunction(mut f)
            if ["coalesce", "nullif", "greatest", "least", "if", "ifnull"].contains(&f.name())
                && mixed(&f.args.iter().collect::<Vec<_>>()) =>
        {
            f.args = f.args.into_iter().map(double).collect();
            Transformed::yes(Expr::ScalarFunction(f))
        }
        e => Transformed::no(e),
    }
}

/// Casts of constants become constants, computed as for every row: the optimiser's own casts differ from Flink's
/// (`CAST(TIMESTAMP '…' AS STRING)`).
pub(crate) fn casts(plan: LogicalPlan) -> Result<LogicalPlan> {
    rewrite(plan, |e, _| {
        e.transform_up(|e| {
            let constant = match &e {
                Expr::Cast(c) => matches!(&*c.expr, Expr::Literal(v, _) if !v.is_null()),
                Expr::TryCast(c) => matches!(&*c.expr, Expr::Literal(v, _) if !v.is_null()),
                _ => false,
            };
            if constant { Ok(Transformed::yes(Expr::Literal(evaluate(&e)?, None))) } else { Ok(Transformed::no(e)) }
        })
    })
}

/// The value of an expression without columns.
fn evaluate(e: &Expr) -> Result<ScalarValue> {
    let empty = DFSchema::empty();
    let own = Scope { schema: &empty, columns: &[], pseudo: None }.expr(e)?;
    let schema = Arc::new(Schema::empty());
    let compiled = Expression::new(&own, &schema).map_err(|e| Fault::new(e.message))?;
    let row = RecordBatchOptions::new().with_row_count(Some(1));
    let batch = RecordBatch::try_new_with_options(schema, vec![], &row)?;
    let value = compiled.evaluate(&batch).map_err(|e| Fault::new(e.message))?;
    match value.bad.into_iter().next() {
        Some((_, reason)) => Err(Fault::new(format!("{}: {reason}", compiled.text())).into()),
        None => ScalarValue::try_from_array(&value.array, 0),
    }
}

fn results(c: &datafusion_expr::Case) -> Vec<&Expr> {
    c.when_then_expr.iter().map(|(_, then)| &**then).chain(c.else_expr.as_deref()).collect()
}
