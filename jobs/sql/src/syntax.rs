//! One pass over a query's syntax tree: what is refused is refused here, with its place; what the planner would read
//! otherwise than Flink is rewritten.
//!
//! Rewritten: numbers (an exponent makes DOUBLE, a point DECIMAL with the digits written), intervals (milliseconds or months), names of select items (`EXPR$0`,
//! `card0`), the pseudo-columns `is_late` and `is_incomplete` (calls of a marker that knows its place).

use crate::catalog::Catalog;
use crate::ddl::{name, place};
use crate::diagnostic::{Fault, Span, nearest, nearest_text};
use crate::dialect::Flink;
use crate::functions::{LATER, NOT_REPLAYABLE, PSEUDO, ROW_NUMBER};
use crate::types::UTC;
use crate::{calls, frames, intervals};
use highwater_operators::expression::calendar::Unit;
use sqlparser::ast::{self, Expr, Query, Select, SelectItem, SetExpr, TableFactor, Value, VisitMut, VisitorMut};
use sqlparser::parser::Parser;
use std::collections::HashSet;
use std::ops::ControlFlow;

/// The pseudo-columns of `arrival`.
pub(crate) const PSEUDO_COLUMNS: [&str; 2] = ["is_late", "is_incomplete"];

/// Window functions of FROM and their parts, which the function check leaves to the relation planner.
const RELATIONAL: [&str; 6] = ["tumble", "hop", "cumulate", "session", "descriptor", PSEUDO];

/// Group windows of Flink's old syntax.
const GROUP_WINDOWS: [&str; 12] = [
    "tumble_start",
    "tumble_end",
    "tumble_rowtime",
    "tumble_proctime",
    "hop_start",
    "hop_end",
    "hop_rowtime",
    "hop_proctime",
    "session_start",
    "session_end",
    "session_rowtime",
    "session_proctime",
];

/// Checks and rewrites a query. Without a fault it can be planned; and so can, to see what else is wrong, a query of which
/// only functions are refused: the answer's second part.
pub(crate) fn check(query: &mut Query, catalog: &Catalog, refused: Refused) -> (Vec<Fault>, bool) {
    let mut pass = Syntax {
        instead: refused,
        catalog,
        ctes: HashSet::new(),
        relations: HashSet::new(),
        refused: HashSet::new(),
        faults: Vec::new(),
    };
    let _ = VisitMut::visit(query, &mut pass);
    let only_functions = pass.faults.iter().all(|f| f.at.is_some_and(|at| pass.refused.contains(&at)));
    (pass.faults, only_functions)
}

/// What stands in the place of a function that is refused, so that the rest can be planned.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// NULL.
    AsNull,
    /// NULL that reads the function's arguments: their columns are looked for too.
    WithArguments,
}

/// NULL that reads what a call reads.
fn null_of(f: &ast::Function) -> Expr {
    let mut read: Vec<Expr> = Vec::new();
    if let ast::FunctionArguments::List(l) = &f.args {
        let value = |a: &ast::FunctionArg| match a {
            ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(e)) => Some(e.clone()),
            _ => None,
        };
        read.extend(l.args.iter().filter_map(value));
    }
    if let Some(ast::WindowType::WindowSpec(spec)) = &f.over {
        read.extend(spec.partition_by.iter().cloned());
        read.extend(spec.order_by.iter().map(|o| o.expr.clone()));
    }
    // a unit of time is a word, not a column
    read.retain(|e| !matches!(e, Expr::Identifier(i) if Unit::parse(&i.value).is_some()));
    let read = read.into_iter().map(|e| Expr::IsNull(Box::new(Expr::Nested(Box::new(e)))));
    let or = |left, right| Expr::BinaryOp { left: Box::new(left), op: ast::BinaryOperator::Or, right: Box::new(right) };
    let Some(condition) = read.reduce(or) else { return null() };
    Expr::Case {
        case_token: ast::helpers::attached_token::AttachedToken::empty(),
        end_token: ast::helpers::attached_token::AttachedToken::empty(),
        operand: None,
        conditions: vec![ast::CaseWhen { condition, result: null() }],
        else_result: None,
    }
}

/// Puts NULL where a column of this name stands; says whether there is one.
pub(crate) fn forget(query: &mut Query, name: &str) -> bool {
    let mut found = false;
    let _ = ast::visit_expressions_mut(query, |e| {
        let named = match e {
            Expr::Identifier(i) => i.value == name,
            Expr::CompoundIdentifier(parts) => parts.last().is_some_and(|i| i.value == name),
            _ => false,
        };
        if named {
            *e = null();
            found = true;
        }
        ControlFlow::<()>::Continue(())
    });
    found
}

fn null() -> Expr {
    Expr::Value(Value::Null.into())
}

fn is_named(f: &ast::Function, lower: &str) -> bool {
    f.name.to_string().eq_ignore_ascii_case(lower)
}

/// An instant in UTC as one in the zone of the job: CAST gives it that.
fn in_local_zone(instant: Expr) -> Expr {
    let name = ast::ObjectName::from(vec![ast::Ident::new("TIMESTAMP_LTZ")]);
    Expr::Cast {
        kind: ast::CastKind::Cast,
        expr: Box::new(instant),
        data_type: ast::DataType::Custom(name, vec!["3".to_owned()]),
        array: false,
        format: None,
    }
}

struct Syntax<'a> {
    catalog: &'a Catalog,
    ctes: HashSet<String>,
    /// Places of functions in FROM: the relation planner judges them.
    relations: HashSet<Span>,
    /// Places of functions that are refused.
    refused: HashSet<Span>,
    instead: Refused,
    faults: Vec<Fault>,
}

impl Syntax<'_> {
    fn refuse(&mut self, what: impl Into<String>, at: Option<Span>, hint: &str) {
        let fault = Fault::new(what).at(at);
        self.faults.push(if hint.is_empty() { fault } else { fault.hint(hint) });
    }

    fn query(&mut self, q: &Query) {
        let here = place(q);
        if let Some(with) = &q.with {
            if with.recursive {
                self.refuse("WITH RECURSIVE is not supported", here, "");
            }
            self.ctes.extend(with.cte_tables.iter().map(|c| c.alias.name.value.clone()));
        }
        if let Some(order) = &q.order_by {
            let hint = "final results leave in event-time order per key; sort what the job wrote";
            self.refuse("ORDER BY of a stream needs all of it: state without bound", place(order).or(here), hint);
        }
        if let Some(limit) = &q.limit_clause {
            let hint = "bound the input: 'number-of-rows' of the generator, or highwater run --to";
            self.refuse("LIMIT of a stream depends on timing, not on its rows", place(limit).or(here), hint);
        }
        if q.fetch.is_some() {
            self.refuse("FETCH of a stream depends on timing, not on its rows", here, "");
        }
        if !q.locks.is_empty() || q.for_clause.is_some() || !q.pipe_operators.is_empty() || q.settings.is_some() {
            self.refuse("a clause behind the query that Flink has not", here, "");
        }
        self.set_expr(&q.body);
    }

    fn set_expr(&mut self, body: &SetExpr) {
        let mut todo = vec![body];
        while let Some(e) = todo.pop() {
            match e {
                SetExpr::SetOperation { op, set_quantifier, left, right } => {
                    todo.extend([left.as_ref(), right.as_ref()]);
                    let at = place(right.as_ref());
                    match (op, set_quantifier) {
                        (ast::SetOperator::Union, ast::SetQuantifier::All) => {}
                        (ast::SetOperator::Union, ast::SetQuantifier::None | ast::SetQuantifier::Distinct) => {
                            let hint = "write UNION ALL";
                            self.refuse("UNION removes duplicates: it must remember every row", at, hint);
                        }
                        (op, _) => self.refuse(format!("{op} is not supported"), at, "only UNION ALL is"),
                    }
                }
                SetExpr::Select(_) | SetExpr::Query(_) => {}
                SetExpr::Values(v) => {
                    self.refuse("VALUES have no event time", place(v), "read a table: CREATE TABLE .. WITH (..)");
                }
                other => self.refuse("expected SELECT", place(other), ""),
            }
        }
    }

    fn select(&mut self, s: &mut Select) {
        let here = place(&s.select_token.0);
        if let Some(ast::Distinct::On(_)) = &s.distinct {
            self.refuse("DISTINCT ON is not supported", here, "");
        }
        if s.top.is_some() || s.into.is_some() || s.prewhere.is_some() || s.exclude.is_some() {
            self.refuse("a clause of SELECT that Flink has not", here, "");
        }
        let more = [&s.cluster_by, &s.distribute_by];
        if more.iter().any(|l| !l.is_empty()) || !s.sort_by.is_empty() || !s.connect_by.is_empty() {
            self.refuse("a clause of SELECT that Flink has not", here, "");
        }
        if s.from.is_empty() {
            self.refuse("SELECT without FROM: a stream comes from a table", here, "");
        }
        for lateral in &s.lateral_views {
            self.refuse("LATERAL VIEW is not supported", place(lateral).or(here), "");
        }
        self.joins(s);
        self.group_by(&s.group_by, here);
        let mut named: Vec<&str> = Vec::new();
        for ast::NamedWindowDefinition(ident, window) in &mut s.named_window {
            let at = Span::of(ident.span);
            if let ast::NamedWindowExpr::WindowSpec(spec) = window {
                self.faults.extend(frames::check(spec, false, at, &self.catalog.starts));
            }
            named.push(&ident.value);
        }
        let named: Vec<String> = named.into_iter().map(str::to_string).collect();
        self.window_names(s, &named);
        name_items(s);
    }

    fn joins(&mut self, s: &Select) {
        let hint = "joins come in a later version; several keys and windows of one table need none: use OVER";
        for from in &s.from {
            for join in &from.joins {
                self.refuse("JOIN is not supported in this version", place(&join.relation), hint);
            }
        }
        if let Some(second) = s.from.get(1) {
            self.refuse("a join (two tables in FROM) is not supported in this version", place(&second.relation), hint);
        }
    }

    fn group_by(&mut self, g: &ast::GroupByExpr, here: Option<Span>) {
        match g {
            ast::GroupByExpr::All(_) => self.refuse("GROUP BY ALL is not supported", here, "name the keys"),
            ast::GroupByExpr::Expressions(keys, modifiers) => {
                if !modifiers.is_empty() {
                    self.refuse("WITH ROLLUP, CUBE or TOTALS is not supported", here, "");
                }
                for key in keys {
                    if let Expr::Function(f) = key
                        && ["tumble", "hop", "session"].contains(&f.name.to_string().to_lowercase().as_str())
                    {
                        let hint = "FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY window_start, window_end";
                        self.refuse("GROUP BY TUMBLE(..) is the old syntax of group windows", place(f), hint);
                    }
                }
            }
        }
    }

    /// Every `OVER w` names a window of this SELECT.
    fn window_names(&mut self, s: &Select, named: &[String]) {
        let mut unknown: Vec<(String, Option<Span>)> = Vec::new();
        for item in &s.projection {
            let (SelectItem::UnnamedExpr(e) | SelectItem::ExprWithAlias { expr: e, .. }) = item else { continue };
            let _ = ast::visit_expressions(e, |e| {
                if let Expr::Function(f) = e
                    && let Some(ast::WindowType::NamedWindow(n)) = &f.over
                    && !named.contains(&n.value)
                {
                    unknown.push((n.value.clone(), Span::of(n.span)));
                }
                ControlFlow::<()>::Continue(())
            });
        }
        for (n, at) in unknown {
            let near = nearest_text(&n, named.iter().map(String::as_str));
            self.refuse(format!("there is no window {n}{near}"), at, "WINDOW w AS (PARTITION BY .. ORDER BY ..)");
        }
    }

    fn table_factor(&mut self, t: &TableFactor) {
        match t {
            TableFactor::Table { version: Some(_), name, .. } => {
                let hint = "temporal joins come in a later version";
                self.refuse("FOR SYSTEM_TIME AS OF is not supported in this version", place(name), hint);
            }
            TableFactor::Table { sample: Some(_), name, .. } => {
                self.refuse("TABLESAMPLE depends on chance", place(name), "");
            }
            TableFactor::Derived { lateral: true, .. } => self.refuse("LATERAL is not supported", place(t), ""),
            TableFactor::TableFunction { expr, .. } if !matches!(expr, Expr::Function(_)) => {
                let hint = "like TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTE))";
                self.refuse("expected a window function in TABLE(..)", place(expr), hint);
            }
            TableFactor::TableFunction { expr: Expr::Function(f), .. } => self.relations.extend(place(&f.name)),
            TableFactor::Table { .. } | TableFactor::Derived { .. } | TableFactor::TableFunction { .. } => {}
            TableFactor::NestedJoin { .. } => {
                self.refuse("JOIN is not supported in this version", place(t), "");
            }
            TableFactor::MatchRecognize { .. } => {
                self.refuse("MATCH_RECOGNIZE is not supported in this version", place(t), "");
            }
            other => self.refuse("this kind of relation is not supported", place(other), ""),
        }
    }

    fn relation(&mut self, n: &ast::ObjectName) {
        let at = place(n);
        let [ast::ObjectNamePart::Identifier(ident)] = n.0.as_slice() else {
            return self.refuse(format!("{n}: tables have one name; there are no catalogs and databases"), at, "");
        };
        let known = self.ctes.contains(&ident.value) || self.catalog.has(&ident.value);
        if !known && !RELATIONAL.contains(&ident.value.to_lowercase().as_str()) {
            self.faults.push(self.catalog.unknown(&ident.value).at(at));
        }
    }

    fn function(&mut self, f: &mut ast::Function) {
        let at = place(&f.name);
        let lower = f.name.to_string().to_lowercase();
        if ["timestampdiff", "timestampadd"].contains(&lower.as_str()) {
            unit_as_text(f);
        }
        let aggregate = self.catalog.functions.aggregate(&lower).is_some();
        let upper = lower.to_uppercase();
        let of_a_text = lower == "unix_timestamp" && has_arguments(f);
        if NOT_REPLAYABLE.contains(&lower.as_str()) && !of_a_text {
            let hint = "use the event time; results are a function of the input";
            self.refuse(format!("{upper} makes a replay differ"), at, hint);
        } else if lower == "lead" {
            self.refuse("LEAD looks into the future", at, "LAG looks back");
        } else if LATER.contains(&lower.as_str()) {
            self.refuse(format!("{upper} is not supported in this version"), at, "");
        } else if GROUP_WINDOWS.contains(&lower.as_str()) {
            let hint = "window_start, window_end and window_time are columns of TABLE(TUMBLE(..))";
            self.refuse(format!("{upper} is the old syntax of group windows"), at, hint);
        } else if !aggregate
            && self.catalog.functions.scalar(&lower).is_none()
            && !RELATIONAL.contains(&lower.as_str())
            && !at.is_some_and(|at| self.relations.contains(&at))
        {
            let near = nearest(&lower, self.catalog.functions.names()).map(str::to_uppercase);
            let near = near.map_or(String::new(), |n| format!("; the nearest is {n}"));
            self.refuse(format!("there is no function {upper}{near}"), at, "");
        } else if f.over.is_some() && !aggregate {
            self.refuse(format!("{upper} is no aggregate: it takes no OVER"), at, "");
        } else if f.filter.is_some() && !aggregate {
            self.refuse(format!("{upper} is no aggregate: it takes no FILTER"), at, "");
        }
        self.nulls(f, &lower, at);
        if f.over.is_none() && ["nth_value", "lag"].contains(&lower.as_str()) {
            let hint = "OVER (PARTITION BY card ORDER BY ts RANGE BETWEEN INTERVAL '30' DAY PRECEDING AND CURRENT ROW)";
            self.refuse(format!("{upper} goes by the order of rows: it needs OVER"), at, hint);
        }
        if let Err(fault) = calls::ordered(f, &lower) {
            return self.faults.push(fault);
        }
        let clauses = matches!(&f.args, ast::FunctionArguments::List(l) if !l.clauses.is_empty());
        if clauses || !f.within_group.is_empty() || f.null_treatment.is_some() {
            self.refuse(format!("{upper}: this clause of the call is not supported"), at, "");
        }
        if lower == ROW_NUMBER {
            self.row_number(f, at);
        } else if let Some(ast::WindowType::WindowSpec(spec)) = f.over.as_mut().filter(|_| aggregate) {
            self.faults.extend(frames::check(spec, lower == "lag", at, &self.catalog.starts));
        }
    }

    /// `ROW_NUMBER()` numbers the rows of a key in any order.
    fn row_number(&mut self, f: &ast::Function, at: Option<Span>) {
        let hint = "ROW_NUMBER() OVER (PARTITION BY window_start, window_end, .. ORDER BY price DESC)";
        match &f.over {
            Some(ast::WindowType::WindowSpec(spec)) if spec.window_name.is_none() => {
                if spec.order_by.is_empty() {
                    self.refuse("ROW_NUMBER needs ORDER BY: without an order any row is the first", at, hint);
                }
                if spec.window_frame.is_some() {
                    self.refuse("ROW_NUMBER takes no frame: it numbers all rows of a key", at, "");
                }
            }
            Some(_) => self.refuse("ROW_NUMBER takes its window where it stands, not by name", at, hint),
            None => self.refuse("ROW_NUMBER needs OVER", at, hint),
        }
        if has_arguments(f) {
            self.refuse("ROW_NUMBER takes no argument", at, "");
        }
    }

    /// `IGNORE NULLS` and `RESPECT NULLS`, where they say what the function does anyway.
    fn nulls(&mut self, f: &mut ast::Function, lower: &str, at: Option<Span>) {
        let (own, does) = match lower {
            "first_value" | "last_value" | "nth_value" => (ast::NullTreatment::IgnoreNulls, "skips NULL"),
            "lag" => (ast::NullTreatment::RespectNulls, "sees every row, NULL or not"),
            _ => return,
        };
        if let Some(said) = f.null_treatment.take().filter(|said| *said != own) {
            self.refuse(format!("{} {does}: {said} is not supported", lower.to_uppercase()), at, "");
        }
    }

    fn expr(&mut self, e: &mut Expr) {
        match e {
            Expr::Function(f) => {
                let before = self.faults.len();
                self.function(f);
                if self.faults.len() > before {
                    self.refused.extend(place(&f.name));
                }
            }
            Expr::Exists { .. }
            | Expr::Subquery(_)
            | Expr::InSubquery { .. }
            | Expr::AnyOp { .. }
            | Expr::AllOp { .. } => {
                let hint = "subqueries in expressions are joins, which come in a later version";
                self.refuse("a subquery in an expression is not supported in this version", place(e), hint);
            }
            Expr::Value(v) => {
                if let Value::DoubleQuotedString(s) = &v.value {
                    let what = format!("\"{s}\": names stand in `backticks`, strings in 'single quotes'");
                    self.refuse(what, Span::of(v.span), "");
                }
            }
            Expr::ILike { .. } => self.refuse("ILIKE is not supported", place(e), "LOWER(x) LIKE .."),
            Expr::AtTimeZone { .. } => self.refuse("AT TIME ZONE is not supported", place(e), ""),
            _ => {}
        }
    }

    /// Rewrites, from the leaves up.
    fn rewrite(&mut self, e: &mut Expr) {
        match e {
            Expr::Value(v) => {
                if let Value::Number(n, _) = &v.value
                    && let Some(data_type) = number_type(n)
                {
                    let text = Value::SingleQuotedString(n.clone()).with_span(v.span);
                    *e = cast(Expr::Value(text), data_type);
                }
            }
            Expr::TypedString(t) => {
                if let ast::DataType::Time(digits @ None, _) = &mut t.data_type
                    && let Value::SingleQuotedString(text) = &t.value.value
                {
                    // as many as are written
                    *digits = text.trim().split_once('.').map(|(_, fraction)| fraction.len().clamp(1, 9) as u64);
                }
            }
            Expr::Interval(i) if i.leading_field.is_some() || i.last_field.is_some() => match intervals::evaluate(e) {
                Ok(c) => *e = Expr::Interval(intervals::normal(c)),
                Err(fault) => self.faults.push(fault),
            },
            Expr::Floor { expr, field: ast::CeilFloorKind::DateTimeField(unit) } if is_unit(unit) => {
                *e = call("date_trunc", unit, expr);
            }
            Expr::Ceil { expr, field: ast::CeilFloorKind::DateTimeField(unit) } if is_unit(unit) => {
                *e = call("date_ceil", unit, expr);
            }
            Expr::Function(f) if place(&f.name).is_some_and(|at| self.refused.contains(&at)) => {
                *e = if self.instead == Refused::AsNull { null() } else { null_of(f) };
            }
            Expr::Function(f) if is_named(f, "to_timestamp_ltz") && *self.catalog.zone != *UTC => {
                let call = std::mem::replace(e, null());
                *e = in_local_zone(call);
            }
            Expr::Function(_) => {
                if let Some(case) = calls::with_default(e) {
                    *e = case;
                }
            }
            Expr::Identifier(i) => self.pseudo_column(e_of(i), e),
            Expr::CompoundIdentifier(parts) if parts.len() == 2 => self.pseudo_column(e_of(&parts[1]), e),
            _ => {}
        }
    }

    fn pseudo_column(&mut self, (column, at): (String, Span), e: &mut Expr) {
        let wanted = PSEUDO_COLUMNS.contains(&column.as_str()) && !self.catalog.declares(&column);
        if wanted {
            let text = format!("{PSEUDO}('{column}', {}, {})", at.line, at.column);
            if let Ok(call) = Parser::new(&Flink).try_with_sql(&text).and_then(|mut p| p.parse_expr()) {
                *e = call;
            }
        }
    }
}

fn e_of(i: &ast::Ident) -> (String, Span) {
    let n = name(i.clone(), Span::at(1, 1));
    (n.value, n.at)
}

/// Flink's type of a number that the planner would type otherwise: DOUBLE with an exponent, else DECIMAL with as many
/// digits as are written. `None`: an integer of at most 64 bits.
fn number_type(n: &str) -> Option<ast::DataType> {
    if n.contains(['e', 'E']) {
        return Some(ast::DataType::Double(ast::ExactNumberInfo::None));
    }
    let (whole, fraction) = n.split_once('.').unwrap_or((n, ""));
    if !n.contains('.') && n.parse::<i64>().is_ok() {
        return None;
    }
    let (precision, scale) = ((whole.len() + fraction.len()) as u64, fraction.len() as i64);
    (1..=38)
        .contains(&precision)
        .then_some(ast::DataType::Decimal(ast::ExactNumberInfo::PrecisionAndScale(precision, scale)))
}

/// Whether `FLOOR(x TO unit)` names a unit.
fn is_unit(unit: &ast::DateTimeField) -> bool {
    *unit != ast::DateTimeField::NoDateTime
}

/// `function('UNIT', expr)`.
fn call(function: &str, unit: &ast::DateTimeField, expr: &Expr) -> Expr {
    let text = format!("{function}('{unit}', x)");
    let parsed = Parser::new(&Flink).try_with_sql(&text).and_then(|mut p| p.parse_expr());
    let Ok(Expr::Function(mut f)) = parsed else { return expr.clone() };
    if let ast::FunctionArguments::List(l) = &mut f.args
        && let Some(last) = l.args.last_mut()
    {
        *last = ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr.clone()));
    }
    Expr::Function(f)
}

/// The unit of `TIMESTAMPDIFF(SECOND, a, b)` is a word, not a column.
fn unit_as_text(f: &mut ast::Function) {
    if let ast::FunctionArguments::List(l) = &mut f.args
        && let Some(ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(first))) = l.args.first_mut()
        && let Expr::Identifier(unit) = first
    {
        *first = Expr::Value(Value::SingleQuotedString(unit.value.clone()).with_span(unit.span));
    }
}

/// Whether the call has an argument at all.
fn has_arguments(f: &ast::Function) -> bool {
    matches!(&f.args, ast::FunctionArguments::List(l) if !l.args.is_empty())
}

fn cast(expr: Expr, data_type: ast::DataType) -> Expr {
    Expr::Cast { kind: ast::CastKind::Cast, expr: Box::new(expr), data_type, array: false, format: None }
}

/// Flink's names: `EXPR$0` for expressions, `card0` for the second `card`. The planner refuses equal names.
fn name_items(s: &mut Select) {
    let mut seen: HashSet<String> = HashSet::new();
    for (i, item) in s.projection.iter_mut().enumerate() {
        let SelectItem::UnnamedExpr(e) = item else {
            if let SelectItem::ExprWithAlias { alias, .. } = item {
                seen.insert(alias.value.clone());
            }
            continue;
        };
        let own = match e {
            Expr::Identifier(n) => n.value.clone(),
            Expr::CompoundIdentifier(parts) => parts.last().map(|n| n.value.clone()).unwrap_or_default(),
            _ => format!("EXPR${i}"),
        };
        let mut alias = own.clone();
        let mut k = 0;
        while !seen.insert(alias.clone()) {
            alias = format!("{own}{k}");
            k += 1;
        }
        if alias != own || own.starts_with("EXPR$") || PSEUDO_COLUMNS.contains(&own.as_str()) {
            *item = SelectItem::ExprWithAlias { expr: e.clone(), alias: ast::Ident::with_quote('`', alias) };
        }
    }
}

impl VisitorMut for Syntax<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, q: &mut Query) -> ControlFlow<()> {
        self.query(q);
        ControlFlow::Continue(())
    }
    fn pre_visit_select(&mut self, s: &mut Select) -> ControlFlow<()> {
        self.select(s);
        ControlFlow::Continue(())
    }
    fn pre_visit_table_factor(&mut self, t: &mut TableFactor) -> ControlFlow<()> {
        self.table_factor(t);
        ControlFlow::Continue(())
    }
    fn pre_visit_relation(&mut self, n: &mut ast::ObjectName) -> ControlFlow<()> {
        self.relation(n);
        ControlFlow::Continue(())
    }
    fn pre_visit_expr(&mut self, e: &mut Expr) -> ControlFlow<()> {
        self.expr(e);
        ControlFlow::Continue(())
    }
    fn post_visit_expr(&mut self, e: &mut Expr) -> ControlFlow<()> {
        self.rewrite(e);
        ControlFlow::Continue(())
    }
}
