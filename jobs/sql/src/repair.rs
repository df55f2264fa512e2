//! Repairs of a plan. Before the analyzer sees it: the types that Flink gives literals and mixtures of types. After it:
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

/// DOUBLE with DECIMAL is DOUBLE: the analyzer would make both DECIMAL(30, 15), which fails for 1e20. TIMEs of different
/// digits, which the analyzer does not take, have the most digits among them.
pub(crate) fn mixtures(plan: LogicalPlan) -> Result<LogicalPlan> {
    rewrite(plan, |e, schema| e.transform_up(|e| Ok(mixture(e, schema))))
}

/// What operands of different types become, if the analyzer does not know it.
fn meet(operands: &[&Expr], schema: &DFSchema) -> Option<DataType> {
    use DataType::Float64;
    let types: Vec<DataType> = operands.iter().filter_map(|e| e.get_type(schema).ok()).collect();
    if types.iter().any(DataType::is_floating) && types.iter().any(DataType::is_decimal) {
        return Some(Float64);
    }
    let times: Vec<&&Expr> = operands.iter().filter(|e| e.get_type(schema).is_ok_and(|t| is_time(&t))).collect();
    most_digits(&times.into_iter().copied().collect::<Vec<_>>(), schema)
}

/// The TIME with the most digits, if all operands are TIMEs, but not of the same digits.
pub(crate) fn most_digits(operands: &[&Expr], schema: &DFSchema) -> Option<DataType> {
    let times = operands.iter().map(|e| e.get_type(schema).ok().filter(is_time)).collect::<Option<Vec<_>>>()?;
    let (least, most) = (times.iter().min()?, times.iter().max()?);
    (least != most).then(|| most.clone())
}

fn is_time(t: &DataType) -> bool {
    matches!(t, DataType::Time32(_) | DataType::Time64(_))
}

fn mixture(e: Expr, schema: &DFSchema) -> Transformed<Expr> {
    use DataType::{Decimal128, Float64, Time32, Time64};
    let to = |e: Expr, target: &DataType| match (e.get_type(schema), target) {
        (Ok(Decimal128(..)), Float64) | (Ok(Time32(_) | Time64(_)), Time32(_) | Time64(_)) => cast(e, target.clone()),
        _ => e,
    };
    match e {
        Expr::BinaryExpr(mut b) => {
            let Some(t) = meet(&[&b.left, &b.right], schema) else { return Transformed::no(Expr::BinaryExpr(b)) };
            *b.left = to(*b.left, &t);
            *b.right = to(*b.right, &t);
            Transformed::yes(Expr::BinaryExpr(b))
        }
        Expr::Between(mut b) => {
            let Some(t) = meet(&[&b.expr, &b.low, &b.high], schema) else { return Transformed::no(Expr::Between(b)) };
            *b.expr = to(*b.expr, &t);
            *b.low = to(*b.low, &t);
            *b.high = to(*b.high, &t);
            Transformed::yes(Expr::Between(b))
        }
        Expr::InList(mut l) => {
            let all: Vec<&Expr> = l.list.iter().chain([&*l.expr]).collect();
            let Some(t) = meet(&all, schema) else { return Transformed::no(Expr::InList(l)) };
            *l.expr = to(*l.expr, &t);
            l.list = l.list.into_iter().map(|e| to(e, &t)).collect();
            Transformed::yes(Expr::InList(l))
        }
        Expr::Case(mut c) => {
            let Some(t) = meet(&results(&c), schema) else { return Transformed::no(Expr::Case(c)) };
            for (_, then) in &mut c.when_then_expr {
                **then = to((**then).clone(), &t);
            }
            c.else_expr = c.else_expr.map(|e| Box::new(to(*e, &t)));
            Transformed::yes(Expr::Case(c))
        }
        Expr::ScalarFunction(mut f)
            if ["coalesce", "nullif", "greatest", "least", "if", "ifnull"].contains(&f.name()) =>
        {
            let Some(t) = meet(&f.args.iter().collect::<Vec<_>>(), schema) else {
                return Transformed::no(Expr::ScalarFunction(f));
            };
            f.args = f.args.into_iter().map(|e| to(e, &t)).collect();
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
