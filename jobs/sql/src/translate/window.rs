//! Window functions and the aggregation over them.

use super::call::{Call, shown};
use super::expr::Scope;
use super::{Place, Rel, Slots, Translator, Windows, bare, schema_of};
use crate::diagnostic::{Fault, Result};
use crate::tvf::{WINDOW_COLUMNS, WindowTvf};
use crate::types::{TIMESTAMP_MS, UTC};
use arrow_schema::{DataType, Field};
use datafusion_expr::{Aggregate as Grouping, Expr as Planned};
use highwater_engine::expr::Expr;
use highwater_engine::graph::{Aggregate, Step, WindowKind, WindowSpec, types};

/// What stands in the cast by which [`Windows::columns`] shows a border; anything else as it is.
pub(super) fn border_of(e: &Expr) -> &Expr {
    match e {
        Expr::Cast { expr, to, .. } if *to == TIMESTAMP_MS => expr,
        e => e,
    }
}

/// Which of the window's columns an expression is.
fn window_column(e: &Expr, base: usize) -> Option<usize> {
    bare(border_of(e))?.checked_sub(base)
}

impl Windows {
    /// Whether the step leaves borders as instants: where they are to be shown by the clocks of a zone that it knows nothing of.
    fn borders_are_instants(&self) -> bool {
        let zoned = matches!(&self.time, DataType::Timestamp(_, Some(zone)) if **zone != *UTC);
        zoned && !matches!(self.kind, WindowKind::Calendar(_))
    }

    /// The columns that the step adds; `window_time` is as the rows' time.
    fn fields(&self) -> [Field; 3] {
        let border = if self.borders_are_instants() { &self.time } else { &TIMESTAMP_MS };
        let mut types = [border, border, &self.time].into_iter().cloned();
        types::window_fields().map(|f| f.with_nullable(true).with_data_type(types.next().unwrap_or(TIMESTAMP_MS)))
    }

    /// The window's columns behind `base` others, as a query reads them.
    fn columns(&self, base: usize) -> [Expr; 3] {
        let shown = |i| match self.borders_are_instants() {
            true => Expr::Cast { expr: Box::new(Expr::Column(i)), to: TIMESTAMP_MS, or_null: false },
            false => Expr::Column(i),
        };
        [shown(base), shown(base + 1), Expr::Column(base + 2)]
    }
}

/// What an expression reads: (columns of the node, columns of the window).
fn reads(e: &Expr, base: usize) -> (bool, bool) {
    let mut found = (false, false);
    e.visit(&mut |e| {
        if let Expr::Column(i) = e {
            if *i < base { found.0 = true } else { found.1 = true }
        }
    });
    found
}

/// Moves references to the window's columns from behind `base` to behind `keys`.
fn moved(e: &Expr, base: usize, keys: usize) -> Expr {
    e.with_columns(&|i| i - base + keys)
}

const MIXED: &str = "an expression of window columns and other columns before the aggregation is not supported";

/// Whether the rows of a session are grouped as the session is partitioned. A condition above SESSION drops rows of
/// sessions that are found already; it can't be moved before.
fn check_session<'e>(window: &Windows, above: &[Expr], groups: impl Iterator<Item = &'e Expr>) -> Result<()> {
    if !matches!(window.kind, WindowKind::Session { .. }) {
        return Ok(());
    }
    if !above.is_empty() {
        let what = "a condition on the rows of SESSION is not supported: it would apply after the sessions are found";
        let hint = "put it into a view below SESSION, or into FILTER (WHERE ..) of the aggregates";
        return Err(Fault::new(what).at(window.at).hint(hint));
    }
    let groups: Vec<&Expr> = groups.collect();
    let same = groups.iter().all(|g| window.keys.contains(g)) && window.keys.iter().all(|k| groups.contains(&k));
    if !same {
        let what = "GROUP BY and the PARTITION BY of SESSION name different keys";
        let hint = "SESSION(TABLE t PARTITION BY a, b, ..) with GROUP BY a, b, window_start, window_end";
        return Err(Fault::new(what).at(window.at).hint(hint));
    }
    Ok(())
}

impl Translator<'_> {
    pub(super) fn tvf(&mut self, tvf: &WindowTvf, at: &Place) -> Result<Rel> {
        let rel = self.rel(&tvf.input, at)?;
        rel.check_ranked()?;
        // Rows that a condition drops are in no session: it stays before the sessions are found.
        let session = matches!(tvf.kind, WindowKind::Session { .. });
        let filtered = session && !rel.filter.is_empty();
        let dear = rel.window.is_some() || filtered || rel.columns.iter().any(super::heavy);
        let mut rel = if dear { self.settled(rel, at)? } else { rel };
        let i = tvf.input.schema().index_of_column(&tvf.time).map_err(|e| Fault::new(e.strip_backtrace()))?;
        if !rel.time[i] {
            let what = format!("{} is not the time attribute of its rows", tvf.time.name);
            let hint = "the column of WATERMARK FOR, passed on as it is; behind a window, window_time";
            return Err(Fault::new(what).at(tvf.at).hint(hint));
        }
        let base = self.schema(&rel).fields().len();
        let time = rel.fields[i].data_type().clone();
        // the time of a row in a window is the window's; what it was before is a column as any other
        rel.time.fill(false);
        rel.time.extend([false, false, true]);
        let position = |c| tvf.input.schema().index_of_column(c).map_err(|e| Fault::new(e.strip_backtrace()));
        let key = |c| Ok(rel.columns[position(c)?].clone());
        let keys = tvf.keys.iter().map(key).collect::<Result<Vec<_>>>()?;
        let windows = Windows { kind: tvf.kind.clone(), time, keys, at: tvf.call_at };
        rel.columns.extend(windows.columns(base));
        let types = [TIMESTAMP_MS, TIMESTAMP_MS, windows.time.clone()].into_iter();
        rel.fields.extend(WINDOW_COLUMNS.iter().zip(types).map(|(name, t)| Field::new(*name, t, true)));
        rel.window = Some(windows);
        Ok(rel)
    }

    /// The window function as a step of its own, where no aggregation follows.
    pub(super) fn window_assigned(&mut self, rel: Rel, at: &Place) -> Result<Rel> {
        rel.check_ranked()?;
        let Some(windows) = rel.window.clone() else { return Ok(rel) };
        if let WindowKind::Session { .. } = windows.kind {
            let what = "SESSION without an aggregation over its windows is not supported in this version";
            let hint = "GROUP BY window_start, window_end and the keys of PARTITION BY";
            return Err(Fault::new(what).at(windows.at).hint(hint));
        }
        let input = self.schema(&rel).fields().iter().map(|f| f.as_ref().clone());
        let schema = schema_of(input.chain(windows.fields()));
        let node =
            self.node(&format!("{}.windows", at.prefix), Step::AssignWindow(windows.kind), vec![rel.node], schema);
        Ok(Rel { node, window: None, ..rel })
    }

    /// GROUP BY.
    pub(super) fn aggregate(&mut self, rel: Rel, a: &Grouping, at: &Place) -> Result<Rel> {
        rel.check_ranked()?;
        if let [Planned::GroupingSet(sets)] = a.group_expr.as_slice() {
            return self.grouping_sets(rel, sets, a, at);
        }
        let scope = Scope { schema: a.input.schema(), columns: &rel.columns, pseudo: rel.pseudo.as_ref() };
        let mut groups = Vec::new();
        for (i, e) in a.group_expr.iter().enumerate() {
            let name = shown(e, a.input.schema());
            groups.push((scope.expr(e)?, a.schema.field(i).as_ref().clone().with_name(name)));
        }
        let calls = calls(a, &scope)?;
        let place = a.group_expr.iter().chain(&a.aggr_expr).find_map(crate::checks::place);
        self.grouped(rel, groups, calls, at).map_err(|f| f.at(place))
    }

    /// SELECT DISTINCT: all columns are keys.
    pub(super) fn distinct(&mut self, rel: Rel, at: &Place) -> Result<Rel> {
        let groups: Vec<_> = rel.columns.iter().cloned().zip(rel.fields.iter().cloned()).collect();
        let base = self.schema(&rel).fields().len();
        let windowed = rel.window.is_some() && groups.iter().any(|(e, _)| window_column(e, base).is_some());
        if !windowed {
            let hint = "SELECT DISTINCT window_start, window_end, .. FROM TABLE(TUMBLE(..))";
            return Err(Fault::new("DISTINCT of a stream must remember every row: state without bound").hint(hint));
        }
        self.grouped(rel, groups, Vec::new(), at)
    }

    pub(super) fn grouped(
        &mut self,
        rel: Rel,
        groups: Vec<(Expr, Field)>,
        calls: Vec<(Call, DataType)>,
        at: &Place,
    ) -> Result<Rel> {
        let hint = "FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY window_start, window_end, ..; \
                    or a trailing frame: OVER (PARTITION BY .. ORDER BY ts RANGE ..)";
        let Some(window) = rel.window.clone() else {
            let what = "GROUP BY without a window keeps every key for ever: state without bound";
            return Err(Fault::new(what).hint(hint));
        };
        let base = self.schema(&rel).fields().len();
        if !groups.iter().any(|(e, _)| window_column(e, base).is_some_and(|k| k < 2)) {
            let what = "GROUP BY over a window function needs window_start and window_end among its keys";
            return Err(Fault::new(what).hint("GROUP BY window_start, window_end, .."));
        }
        let (before, after): (Vec<Expr>, Vec<Expr>) = rel.filter.into_iter().partition(|e| !reads(e, base).1);
        check_session(&window, &before, groups.iter().map(|(e, _)| e).filter(|e| !reads(e, base).1))?;
        let mut slots = Slots::default();
        let mut keys = Vec::new();
        for (e, field) in &groups {
            match reads(e, base) {
                (true, true) => return Err(Fault::new(MIXED)),
                (_, false) => keys.push(slots.put(e.clone(), field.clone())),
                (false, true) => {}
            }
        }
        let key_slots: Vec<usize> = keys.iter().copied().fold(Vec::new(), |mut all, k| {
            if !all.contains(&k) {
                all.push(k);
            }
            all
        });
        let mut aggregates = Vec::new();
        for (call, returns) in calls {
            let by = call.by.iter().map(|(e, _)| e);
            let over_window = call.argument.iter().chain(&call.filter).chain(by).any(|e| reads(e, base).1);
            if over_window {
                let hint = "window_start and window_end are the same for all rows of a group: aggregate other columns";
                return Err(Fault::new(format!("{} reads a column of the window", call.label)).hint(hint));
            }
            aggregates.push(call.placed(&mut slots, returns));
        }
        let after = after.iter().map(|e| match reads(e, base) {
            (true, _) => Err(Fault::new(MIXED)),
            _ => Ok(moved(e, base, key_slots.len())),
        });
        let after = after.collect::<Result<Vec<_>>>()?;
        let n = key_slots.len();
        let columns: Vec<Expr> = groups
            .iter()
            .map(|(e, _)| match reads(e, base).1 {
                true => moved(e, base, n),
                false => Expr::Column(key_slots.iter().position(|k| slots.columns[*k] == *e).unwrap_or_default()),
            })
            .chain((0..aggregates.len()).map(|i| Expr::Column(n + 3 + i)))
            .collect();
        let time = columns.iter().map(|e| window_column(e, n) == Some(2)).collect();
        let fields: Vec<Field> = groups
            .into_iter()
            .map(|(_, f)| f)
            .chain(aggregates.iter().map(|a| Field::new(&a.label, a.returns.clone(), true)))
            .collect();
        let node = self.window_node(rel.node, before, slots, key_slots, aggregates, window, at);
        Ok(Rel { node, window: None, filter: after, columns, fields, time, pseudo: None, ranked: None })
    }

    /// The step that computes keys and arguments, if they are more than columns, and the aggregation.
    #[allow(clippy::too_many_arguments)]
    fn window_node(
        &mut self,
        input: usize,
        filter: Vec<Expr>,
        mut slots: Slots,
        keys: Vec<usize>,
        aggregates: Vec<Aggregate>,
        window: Windows,
        at: &Place,
    ) -> usize {
        let key_fields: Vec<Field> = keys.iter().map(|k| slots.fields[*k].clone()).collect();
        let direct: Option<Vec<usize>> =
            if filter.is_empty() { slots.columns.iter().map(bare).collect() } else { None };
        let (input, position): (usize, Vec<usize>) = match direct {
            Some(positions) => (input, positions),
            None => {
                if slots.columns.is_empty() {
                    // COUNT(*) without keys: a batch needs a column to have rows
                    slots.put(Expr::Column(0), self.nodes[input].schema.field(0).clone());
                }
                let all = (0..slots.columns.len()).collect();
                (self.map(input, filter, slots.columns, slots.fields, at), all)
            }
        };
        let borders = window.fields();
        let spec = WindowSpec {
            window: window.kind,
            keys: keys.iter().map(|k| position[*k]).collect(),
            aggregates: aggregates
                .into_iter()
                .map(|a| Aggregate {
                    argument: a.argument.map(|i| position[i]),
                    by: a.by.map(|i| position[i]),
                    filter: a.filter.map(|i| position[i]),
                    ..a
                })
                .collect(),
        };
        let results = spec.aggregates.iter().map(|a| Field::new(&a.label, a.returns.clone(), true));
        let schema = schema_of(key_fields.iter().cloned().chain(borders).chain(results));
        let names: Vec<&str> = key_fields.iter().map(|f| f.name().as_str()).collect();
        let name = super::named(&format!("{}.window", at.prefix), &names);
        self.node(&name, Step::Window(spec), vec![input], schema)
    }
}

/// The aggregates of a GROUP BY, with their types.
pub(super) fn calls(a: &Grouping, scope: &Scope) -> Result<Vec<(Call, DataType)>> {
    let first = a.schema.fields().len() - a.aggr_expr.len();
    let mut calls = Vec::new();
    for (k, e) in a.aggr_expr.iter().enumerate() {
        let Planned::AggregateFunction(f) = unaliased(e) else {
            return Err(Fault::new(format!("{e} is not supported")));
        };
        if !f.params.order_by.is_empty() {
            return Err(Fault::new(format!("{}: ORDER BY in a call is not supported", f.func.name())));
        }
        let call = Call::new(f.func.name(), &f.params.args, f.params.distinct, f.params.filter.as_deref(), scope)?;
        calls.push((call, a.schema.field(first + k).data_type().clone()));
    }
    Ok(calls)
}

/// The expression under its aliases.
pub(super) fn unaliased(e: &Planned) -> &Planned {
    match e {
        Planned::Alias(a) => unaliased(&a.expr),
        other => other,
    }
}
