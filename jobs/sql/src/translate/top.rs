//! The first rows of windows: `ROW_NUMBER() OVER (PARTITION BY window_start, window_end, k ORDER BY x) AS n` under a
//! condition that bounds `n`. The number is a column that no step gives until the bound is known.

use super::call::shown;
use super::expr::Scope;
use super::window::unaliased;
use super::{Place, Rel, Slots, Translator, bare, named, schema_of};
use crate::checks::place;
use crate::diagnostic::{Fault, Result, Span};
use crate::functions::ROW_NUMBER;
use arrow_schema::{DataType, Field};
use datafusion_expr::{Expr as Planned, ExprSchemable, Window};
use highwater_engine::expr::{BinaryOp, Expr, Literal};
use highwater_engine::graph::{NodeId, OrderBy, Step, TopNSpec};

/// Rows of a key that may be asked for.
const ROWS_MAX: i64 = 100_000;

/// `ROW_NUMBER()` over the rows of a node; its column is the one behind the node's.
#[derive(Clone, Debug)]
pub(super) struct Ranked {
    keys: Vec<usize>,
    order: Vec<OrderBy>,
    at: Option<Span>,
}

/// Whether a call of OVER is `ROW_NUMBER()`.
pub(super) fn is_row_number(e: &Planned) -> bool {
    matches!(unaliased(e), Planned::WindowFunction(w) if w.fun.name() == ROW_NUMBER)
}

impl Rel {
    /// A number without a bound can't go on: any row could be wanted.
    pub(super) fn check_ranked(&self) -> Result<()> {
        match &self.ranked {
            None => Ok(()),
            Some(r) => {
                let hint = "SELECT .. FROM (SELECT .., ROW_NUMBER() OVER (..) AS n FROM ..) WHERE n <= 10";
                Err(Fault::new("ROW_NUMBER without a bound keeps every row: WHERE n <= .. is missing")
                    .at(r.at)
                    .hint(hint))
            }
        }
    }
}

impl Translator<'_> {
    /// A SELECT whose one OVER call is `ROW_NUMBER()`.
    pub(super) fn ranked(&mut self, w: &Window, at: &Place) -> Result<Rel> {
        let rel = self.rel(&w.input, at)?;
        let rel = self.window_assigned(rel, at)?;
        let schema = w.input.schema();
        let scope = Scope { schema, columns: &rel.columns, pseudo: rel.pseudo.as_ref() };
        let call = &w.window_expr[0];
        let Planned::WindowFunction(f) = unaliased(call) else {
            return Err(Fault::new(format!("{call} is not supported")));
        };
        let mut slots = Slots { columns: rel.columns.clone(), fields: rel.fields.clone() };
        let mut put = |e: &Planned| -> Result<usize> {
            let data_type = e.get_type(schema).map_err(|e| Fault::new(e.strip_backtrace()))?;
            Ok(slots.put(scope.expr(e)?, Field::new(shown(e, schema), data_type, true)))
        };
        let keys = f.params.partition_by.iter().map(&mut put).collect::<Result<Vec<_>>>()?;
        let order = f
            .params
            .order_by
            .iter()
            .map(|o| Ok(OrderBy { column: put(&o.expr)?, descending: !o.asc, nulls_first: o.nulls_first }));
        let order = order.collect::<Result<Vec<_>>>()?;
        let place = place(call);
        let (visible, time, mut fields) = (rel.columns.len(), rel.time.clone(), rel.fields.clone());
        let (node, mut columns, position) = self.rows_before(rel, slots, visible, at);
        let keys: Vec<usize> = keys.into_iter().map(|k| position[k]).collect();
        let borders: Vec<usize> = keys.iter().filter_map(|k| self.border(node, *k)).collect();
        if !(borders.contains(&0) && borders.contains(&1)) {
            let what = "ROW_NUMBER over a stream keeps every row of every key: state without bound";
            let hint = "PARTITION BY window_start, window_end, .. of TABLE(TUMBLE(..)): the first rows of each window";
            return Err(Fault::new(what).at(place).hint(hint));
        }
        let order = order.into_iter().map(|o| OrderBy { column: position[o.column], ..o }).collect();
        columns.push(Expr::Column(self.nodes[node].schema.fields().len()));
        fields.push(w.schema.field(visible).as_ref().clone());
        let mut time = time;
        time.push(false);
        let ranked = Some(Ranked { keys, order, at: place });
        Ok(Rel { node, window: None, filter: vec![], columns, fields, time, pseudo: None, ranked })
    }

    /// The conditions above a numbered relation: one of them bounds the number.
    pub(super) fn first_rows(&mut self, rel: Rel, ranked: Ranked, conditions: Vec<Expr>, at: &Place) -> Result<Rel> {
        let input = &self.nodes[rel.node].schema;
        let rank = input.fields().len();
        let Some(limit) = conditions.iter().filter_map(|c| upper_bound(c, rank)).min() else {
            let rel = Rel { ranked: Some(ranked), ..rel };
            return Err(rel.check_ranked().err().unwrap_or_else(|| Fault::new("a bound is missing")));
        };
        if !(1..=ROWS_MAX).contains(&limit) {
            let what = format!("the first {limit} rows of a window; the number is between 1 and {ROWS_MAX}");
            return Err(Fault::new(what).at(ranked.at));
        }
        let keys: Vec<&str> = ranked.keys.iter().map(|k| input.field(*k).name().as_str()).collect();
        let name = named(&format!("{}.top", at.prefix), &keys);
        let fields = input.fields().iter().map(|f| f.as_ref().clone());
        let schema = schema_of(fields.chain([Field::new(ROW_NUMBER, DataType::Int64, true)]));
        let spec = TopNSpec { keys: ranked.keys, order: ranked.order, limit: limit as u64 };
        let node = self.node(&name, Step::TopN(spec), vec![rel.node], schema);
        // the bound itself holds for all rows that come out, but a bound from below may stand beside it
        let filter = conditions.into_iter().filter(|c| !is_bound(c, rank, limit)).collect();
        Ok(Rel { node, filter, ranked: None, ..rel })
    }

    /// Which of its window's columns a column is: 0 its start, 1 its end, 2 its time. The window of the rows' event time,
    /// not one of a step before.
    fn border(&self, node: NodeId, column: usize) -> Option<usize> {
        let n = &self.nodes[node];
        let input = n.inputs.first().map(|i| self.nodes[*i].schema.fields().len());
        match &n.step {
            Step::Map(m) => self.border(n.inputs[0], bare(&m.columns[column])?),
            Step::Window(w) => column.checked_sub(w.keys.len()).filter(|k| *k < 3),
            Step::AssignWindow(_) => column.checked_sub(input?),
            Step::Over(_) | Step::TopN(_) if column < input? => self.border(n.inputs[0], column),
            Step::Union => {
                let mut borders = n.inputs.iter().map(|i| self.border(*i, column));
                let first = borders.next()??;
                borders.all(|b| b == Some(first)).then_some(first)
            }
            _ => None,
        }
    }
}

/// The largest number that a condition lets through.
fn upper_bound(e: &Expr, rank: usize) -> Option<i64> {
    let Expr::Binary { op, left, right } = e else { return None };
    let is_rank = |e: &Expr| matches!(e, Expr::Column(i) if *i == rank);
    match (op, number(left), number(right)) {
        (BinaryOp::And, ..) => [left, right].into_iter().filter_map(|e| upper_bound(e, rank)).min(),
        (BinaryOp::LessOrEqual | BinaryOp::Equal, _, Some(n)) if is_rank(left) => Some(n),
        (BinaryOp::Less, _, Some(n)) if is_rank(left) => n.checked_sub(1),
        (BinaryOp::GreaterOrEqual | BinaryOp::Equal, Some(n), _) if is_rank(right) => Some(n),
        (BinaryOp::Greater, Some(n), _) if is_rank(right) => n.checked_sub(1),
        _ => None,
    }
}

/// Whether a condition says no more than that the number is at most `limit`.
fn is_bound(e: &Expr, rank: usize, limit: i64) -> bool {
    let Expr::Binary { op, .. } = e else { return false };
    let only_above =
        matches!(op, BinaryOp::Less | BinaryOp::LessOrEqual | BinaryOp::Greater | BinaryOp::GreaterOrEqual);
    let first = *op == BinaryOp::Equal && limit == 1;
    (only_above || first) && upper_bound(e, rank) == Some(limit)
}

/// A constant of an integer type.
fn number(e: &Expr) -> Option<i64> {
    match e {
        Expr::Literal(Literal::Integer(n, _)) => Some(*n),
        Expr::Cast { expr, .. } => number(expr),
        _ => None,
    }
}
