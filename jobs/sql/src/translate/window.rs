//! Window functions and the aggregation over them.

use super::expr::Scope;
use super::{Place, Rel, Slots, Translator, Windows, bare, schema_of};
use crate::calls;
use crate::diagnostic::{Fault, Result};
use crate::functions::aggregate_function;
use crate::tvf::{WINDOW_COLUMNS, WindowTvf};
use crate::types::TIMESTAMP_MS;
use arrow_schema::{DataType, Field};
use datafusion_common::{DFSchema, ScalarValue};
use datafusion_expr::{Aggregate as Grouping, Expr as Planned, ExprSchemable};
use highwater_engine::expr::Expr;
use highwater_engine::graph::types::function_name;
use highwater_engine::graph::{Aggregate, AggregateFunction, Step, WindowKind, WindowSpec};
use highwater_operators::expression::text;

/// An aggregate call of a plan, over columns of its input.
pub(super) struct Call {
    pub function: AggregateFunction,
    pub argument: Option<Expr>,
    pub argument_type: DataType,
    /// The argument as text: the name of its column.
    pub argument_text: String,
    /// What ARG_MIN and ARG_MAX compare, and the other column of others.
    pub by: Option<(Expr, Field)>,
    /// Of LISTAGG.
    pub separator: String,
    pub distinct: bool,
    pub filter: Option<Expr>,
    /// The filter as text: the name of its column.
    pub filter_text: String,
    pub label: String,
}

impl Call {
    /// Reads name, arguments, DISTINCT and FILTER.
    pub fn new(name: &str, args: &[Planned], distinct: bool, filter: Option<&Planned>, scope: &Scope) -> Result<Call> {
        let function = aggregate_function(name).ok_or_else(|| Fault::new(format!("{name} is not supported")))?;
        let filter_text = filter.map(|f| shown(f, scope.schema)).unwrap_or_default();
        let filtered = filter.map_or(String::new(), |_| format!(" FILTER (WHERE {filter_text})"));
        let filter = filter.map(|f| scope.expr(f)).transpose()?;
        let upper = function_name(function);
        let Some((arg, more)) = args.split_first() else {
            return Err(Fault::new(format!("{upper} takes an argument")));
        };
        let function = at_place(function, more).map_err(|f| f.at(crate::checks::place(arg)))?;
        if !function.takes_distinct() && distinct {
            return Err(Fault::new(format!("{upper} takes no DISTINCT")).at(crate::checks::place(arg)));
        }
        if matches!(function, AggregateFunction::Lag { .. }) && filter.is_some() {
            return Err(Fault::new("LAG takes no FILTER").at(crate::checks::place(arg)));
        }
        if name == "count" && !distinct && every_row(arg) {
            let label = format!("COUNT(*){filtered}");
            let argument_type = DataType::Null;
            let argument_text = String::new();
            return Ok(Call {
                function,
                argument: None,
                argument_type,
                argument_text,
                by: None,
                separator: String::new(),
                distinct,
                filter,
                filter_text,
                label,
            });
        }
        let argument_type = arg.get_type(scope.schema).map_err(|e| Fault::new(e.strip_backtrace()))?;
        let argument_text = shown(arg, scope.schema);
        let by = match function {
            AggregateFunction::ListAgg { .. } => more.get(1),
            f => more.first().filter(|_| f.reads_another() == Some(true)),
        };
        let by = by.map(|e| {
            let data_type = e.get_type(scope.schema).map_err(|e| Fault::new(e.strip_backtrace()))?;
            Ok((scope.expr(e)?, Field::new(shown(e, scope.schema), data_type, true)))
        });
        let by = by.transpose()?;
        let separator = match function {
            AggregateFunction::ListAgg { .. } => text_of(more.first()).map_err(|f| f.at(crate::checks::place(arg)))?,
            _ => String::new(),
        };
        let place = match function {
            AggregateFunction::ListAgg { .. } => list_label(&separator, more, by.as_ref().map(|(_, f)| f)),
            AggregateFunction::PercentileCont { .. } | AggregateFunction::ApproxPercentile { .. } => {
                text_of(more.first())
                    .map_or(String::new(), |p| if more.is_empty() { String::new() } else { format!(", {p}") })
            }
            _ if by.is_some() => by.iter().map(|(_, f)| format!(", {}", f.name())).collect(),
            AggregateFunction::NthValue { n } => format!(", {n}"),
            AggregateFunction::Lag { offset } if !more.is_empty() => format!(", {offset}"),
            _ => String::new(),
        };
        let upper = if name == "median" { "MEDIAN" } else { upper };
        let label = format!("{upper}({}{argument_text}{place}){filtered}", if distinct { "DISTINCT " } else { "" });
        Ok(Call {
            function,
            argument: Some(scope.expr(arg)?),
            argument_type,
            argument_text,
            by,
            separator,
            distinct,
            filter,
            filter_text,
            label,
        })
    }

    /// The call without its columns.
    pub fn as_aggregate(&self, returns: DataType) -> Aggregate {
        let Call { function, distinct, ref label, .. } = *self;
        Aggregate {
            function,
            argument: None,
            by: None,
            separator: String::new(),
            distinct,
            filter: None,
            returns,
            label: label.clone(),
        }
    }

    /// Puts the arguments into slots.
    pub fn placed(self, slots: &mut Slots, returns: DataType) -> Aggregate {
        let argument =
            self.argument.map(|e| slots.put(e, Field::new(&self.argument_text, self.argument_type.clone(), true)));
        let by = self.by.map(|(e, f)| slots.put(e, f));
        let name = self.filter_text;
        let filter = self.filter.map(|e| slots.put(e, Field::new(name, DataType::Boolean, true)));
        let Call { function, separator, distinct, label, .. } = self;
        Aggregate { function, argument, by, separator, distinct, filter, returns, label }
    }
}

/// Rows that LAG and NTH_VALUE may count at most.
const PLACE_MAX: i64 = 1_000_000;

/// The separator of LISTAGG, the share of a percentile: a text that is written out.
fn text_of(e: Option<&Planned>) -> Result<String> {
    match e {
        None => Ok(",".into()),
        Some(Planned::Literal(ScalarValue::Utf8(Some(s)), _)) => Ok(s.clone()),
        Some(_) => Err(Fault::new("the separator of LISTAGG is a text that is written out").hint("like ', '")),
    }
}

/// The arguments of LISTAGG behind the first.
fn list_label(separator: &str, more: &[Planned], by: Option<&Field>) -> String {
    let order = by.map(|f| format!(" ORDER BY {} {}", f.name(), text_of(more.get(2)).unwrap_or_default()));
    let separator = if more.is_empty() { String::new() } else { format!(", '{separator}'") };
    format!("{separator}{}", order.unwrap_or_default())
}

/// The function with the place, share or order that its further arguments name.
fn at_place(function: AggregateFunction, more: &[Planned]) -> Result<AggregateFunction> {
    let share = || calls::millionths(&text_of(more.first())?);
    let least = match function {
        AggregateFunction::PercentileCont { .. } if !more.is_empty() => {
            return Ok(AggregateFunction::PercentileCont { millionths: share()? });
        }
        AggregateFunction::ApproxPercentile { .. } => {
            return Ok(AggregateFunction::ApproxPercentile { millionths: share()? });
        }
        AggregateFunction::ListAgg { .. } => {
            let order = more.get(2).map(|e| text_of(Some(e))).transpose()?;
            return Ok(calls::listagg_in(order.as_deref()));
        }
        AggregateFunction::NthValue { .. } => 1,
        AggregateFunction::Lag { .. } => 0,
        _ => return Ok(function),
    };
    let given = match more {
        [] => return Ok(function),
        [Planned::Literal(ScalarValue::Int32(Some(n)), _), ..] => Some(i64::from(*n)),
        [Planned::Literal(ScalarValue::Int64(Some(n)), _), ..] => Some(*n),
        _ => None,
    };
    let Some(n) = given.filter(|n| (least..=PLACE_MAX).contains(n)) else {
        let what =
            format!("the second argument of {} is a number from {least} to {PLACE_MAX}", function_name(function));
        return Err(Fault::new(what).at(more.first().and_then(crate::checks::place)));
    };
    let n = n as u32;
    Ok(match function {
        AggregateFunction::NthValue { .. } => AggregateFunction::NthValue { n },
        _ => AggregateFunction::Lag { offset: n },
    })
}

/// `COUNT(*)`, `COUNT(1)`.
#[allow(deprecated)]
fn every_row(arg: &Planned) -> bool {
    match arg {
        Planned::Wildcard { .. } => true,
        Planned::Literal(v, _) => !v.is_null(),
        _ => false,
    }
}

/// Characters of an expression in the name of a column or call.
const SHOWN_MAX: usize = 80;

/// An expression as SQL, without qualifiers and the casts that the analyzer put around it.
pub(super) fn shown(e: &Planned, schema: &DFSchema) -> String {
    match e {
        Planned::Alias(a) => shown(&a.expr, schema),
        Planned::Cast(c) => shown(&c.expr, schema),
        other => {
            let columns: Vec<Expr> = (0..schema.fields().len()).map(Expr::Column).collect();
            let scope = Scope { schema, columns: &columns, pseudo: None };
            let text = scope.expr(other).map_or_else(|_| "…".into(), |e| text::expression(&e, schema.as_arrow()));
            match text.char_indices().nth(SHOWN_MAX) {
                Some((end, _)) => format!("{}…", &text[..end]),
                None => text,
            }
        }
    }
}

/// Which of the window's columns an expression is: `window_time` of a TIMESTAMP_LTZ stands in a cast.
fn window_column(e: &Expr, base: usize) -> Option<usize> {
    match e {
        Expr::Column(i) => i.checked_sub(base),
        Expr::Cast { expr, to: DataType::Timestamp(_, Some(_)), .. } => bare(expr)?.checked_sub(base),
        _ => None,
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
        let filtered = tvf.kind.is_session() && !rel.filter.is_empty();
        let dear = rel.window.is_some() || filtered || rel.columns.iter().any(super::heavy);
        let mut rel = if dear { self.settled(rel, at)? } else { rel };
        let i = tvf.input.schema().index_of_column(&tvf.time).map_err(|e| Fault::new(e.strip_backtrace()))?;
        if !rel.time[i] {
            let what = format!("{} is not the time attribute of its rows", tvf.time.name);
            let hint = "the column of WATERMARK FOR, passed on as it is; behind a window, window_time";
            return Err(Fault::new(what).at(tvf.at).hint(hint));
        }
        let base = self.schema(&rel).fields().len();
        let zone = rel.fields[i].data_type().clone();
        // the time of a row in a window is the window's; what it was before is a column as any other
        rel.time.fill(false);
        for (k, name) in WINDOW_COLUMNS.iter().enumerate() {
            let column = Expr::Column(base + k);
            let (column, data_type) = if k == 2 && zone != TIMESTAMP_MS {
                (Expr::Cast { expr: Box::new(column), to: zone.clone(), or_null: false }, zone.clone())
            } else {
                (column, TIMESTAMP_MS)
            };
            rel.columns.push(column);
            rel.fields.push(Field::new(*name, data_type, true));
            rel.time.push(k == 2);
        }
        let position = |c| tvf.input.schema().index_of_column(c).map_err(|e| Fault::new(e.strip_backtrace()));
        let key = |c| Ok(rel.columns[position(c)?].clone());
        let keys = tvf.keys.iter().map(key).collect::<Result<Vec<_>>>()?;
        rel.window = Some(Windows { kind: tvf.kind.window(), keys, at: tvf.call_at });
        Ok(rel)
    }

    /// The window function as a step of its own, where no aggregation follows.
    pub(super) fn window_assigned(&mut self, rel: Rel, at: &Place) -> Result<Rel> {
        rel.check_ranked()?;
        let Some(Windows { kind, at: call, .. }) = rel.window.clone() else { return Ok(rel) };
        if let WindowKind::Session { .. } = kind {
            let what = "SESSION without an aggregation over its windows is not supported in this version";
            let hint = "GROUP BY window_start, window_end and the keys of PARTITION BY";
            return Err(Fault::new(what).at(call).hint(hint));
        }
        let input = self.schema(&rel).fields().iter().map(|f| f.as_ref().clone());
        let added = WINDOW_COLUMNS.map(|n| Field::new(n, TIMESTAMP_MS, true));
        let schema = schema_of(input.chain(added));
        let node = self.node(&format!("{}.windows", at.prefix), Step::AssignWindow(kind), vec![rel.node], schema);
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
        let node = self.window_node(rel.node, before, slots, key_slots, aggregates, window.kind, at);
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
        window: WindowKind,
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
        let spec = WindowSpec {
            window,
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
        let borders = WINDOW_COLUMNS.map(|n| Field::new(n, TIMESTAMP_MS, true));
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
