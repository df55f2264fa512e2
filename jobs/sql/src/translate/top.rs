//! The first rows of windows: `ROW_NUMBER() OVER (PARTITION BY window_start, window_end, k ORDER BY x) AS n` under a
//! condition that bounds `n`. The number is a column that no step gives until the bound is known.
//!
//! The first rows of keys, without a window: by event time, so that no later row changes them. The number is the count of a
//! ROWS frame: rows of the key before it count for `table.exec.state.ttl`, as in every frame of rows.

use super::call::shown;
use super::expr::Scope;
use super::window::{border_of, unaliased};
use super::{Place, Rel, Slots, Translator, bare, named, schema_of};
use crate::checks::place;
use crate::diagnostic::{Fault, Result, Span};
use crate::functions::ROW_NUMBER;
use arrow_schema::{DataType, Field};
use datafusion_expr::{Expr as Planned, ExprSchemable, Window};
use highwater_engine::expr::{BinaryOp, Expr, Literal};
use highwater_engine::graph::{
    Aggregate, AggregateFunction, Frame, NodeId, OrderBy, OverCall, OverSpec, Step, TopNSpec,
};

/// Rows of a key and a window that may be asked for.
const ROWS_MAX: i64 = 100_000;

/// `ROW_NUMBER()` over the rows of a node; its column is the one behind the node's.
#[derive(Clone, Debug)]
pub(super) struct Ranked {
    keys: Vec<usize>,
    first: First,
    at: Option<Span>,
}

/// Which rows are first.
#[derive(Clone, Debug)]
enum First {
    /// Of a window, in this order.
    OfWindow(Vec<OrderBy>),
    /// By event time; a row counts so long.
    ByTime { ttl_ms: i64 },
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
        let by_event_time = match f.params.order_by.as_slice() {
            [one] => rel.is_time(&scope.expr(&one.expr)?).then_some(one.asc),
            _ => None,
        };
        let place = place(call);
        let (visible, time, mut fields) = (rel.columns.len(), rel.time.clone(), rel.fields.clone());
        let (node, mut columns, position) = self.rows_before(rel, slots, visible, at);
        let keys: Vec<usize> = keys.into_iter().map(|k| position[k]).collect();
        let borders: Vec<usize> = keys.iter().filter_map(|k| self.border(node, *k)).collect();
        let first = if borders.contains(&0) && borders.contains(&1) {
            First::OfWindow(order.into_iter().map(|o| OrderBy { column: position[o.column], ..o }).collect())
        } else {
            by_time(by_event_time, self.ttl_ms).map_err(|f| f.at(place))?
        };
        columns.push(Expr::Column(self.nodes[node].schema.fields().len()));
        fields.push(w.schema.field(visible).as_ref().clone());
        let mut time = time;
        time.push(false);
        let ranked = Some(Ranked { keys, first, at: place });
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
        let max = match ranked.first {
            First::OfWindow(_) => ROWS_MAX,
            First::ByTime { .. } => crate::frames::ROWS_MAX,
        };
        if !(1..=max).contains(&limit) {
            let what = format!("the first {limit} rows; the number is between 1 and {max}");
            return Err(Fault::new(what).at(ranked.at));
        }
        let keys: Vec<&str> = ranked.keys.iter().map(|k| input.field(*k).name().as_str()).collect();
        let fields = input.fields().iter().map(|f| f.as_ref().clone());
        let schema = schema_of(fields.chain([Field::new(ROW_NUMBER, DataType::Int64, true)]));
        let (kind, step, filter) = match ranked.first {
            First::OfWindow(order) => {
                let spec = TopNSpec { keys: ranked.keys.clone(), order, limit: limit as u64 };
                // the bound holds for all rows that come out, but a bound from below may stand beside it
                let filter = conditions.into_iter().filter(|c| !is_bound(c, rank, limit)).collect();
                ("top", Step::TopN(spec), filter)
            }
            First::ByTime { ttl_ms } => {
                let frame = Frame::rows(limit as u32, 0, ttl_ms);
                ("first", Step::Over(numbered(ranked.keys.clone(), frame, at)), conditions)
            }
        };
        let node = self.node(&named(&format!("{}.{kind}", at.prefix), &keys), step, vec![rel.node], schema);
        Ok(Rel { node, filter, ranked: None, ..rel })
    }

    /// Which of its window's columns a column is: 0 its start, 1 its end, 2 its time. The window of the rows' event time,
    /// not one of a step before.
    fn border(&self, node: NodeId, column: usize) -> Option<usize> {
        let n = &self.nodes[node];
        let input = n.inputs.first().map(|i| self.nodes[*i].schema.fields().len());
        match &n.step {
            Step::Map(m) => self.border(n.inputs[0], bare(border_of(&m.columns[column]))?),
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

/// The first rows without a window. `ascending`: how they are ordered, if by event time.
fn by_time(ascending: Option<bool>, ttl_ms: Option<i64>) -> Result<First> {
    let window = "PARTITION BY window_start, window_end, .. of TABLE(TUMBLE(..)): the first rows of each window";
    match (ascending, ttl_ms) {
        (Some(true), Some(ttl_ms)) => Ok(First::ByTime { ttl_ms }),
        (Some(true), None) => {
            let hint = format!("SET 'table.exec.state.ttl' = '30 d': rows before count for so long; or {window}");
            Err(Fault::new("the first rows of every key are remembered for ever: state without bound").hint(hint))
        }
        (Some(false), _) => {
            let what = "the last row of a key changes with each new one: results that are updated are not supported";
            Err(Fault::new(what).hint(window))
        }
        (None, _) => {
            let what = "ROW_NUMBER over a stream keeps every row of every key: state without bound";
            Err(Fault::new(what).hint(format!("{window}; or ORDER BY the event time: the first rows of each key")))
        }
    }
}

/// The step that counts the rows of a frame that ends with the row itself.
fn numbered(keys: Vec<usize>, frame: Frame, at: &Place) -> OverSpec {
    let aggregate = Aggregate {
        function: AggregateFunction::Count,
        argument: None,
        by: None,
        separator: String::new(),
        distinct: false,
        filter: None,
        returns: DataType::Int64,
        label: "ROW_NUMBER()".into(),
    };
    let calls = vec![OverCall { frame: 0, aggregate }];
    OverSpec { keys, frames: vec![frame], calls, emission: at.emission, pseudo: vec![] }
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
