//! The way of one query through the planner: syntax pass, plan, repairs, analyzer, checks.

use crate::catalog::Catalog;
use crate::diagnostic::{Fault, Span, nearest_text};
use crate::syntax::Refused;
use crate::{checks, repair, syntax};
use datafusion_common::DataFusionError;
use datafusion_expr::LogicalPlan;
use datafusion_expr::planner::ContextProvider;
use datafusion_optimizer::simplify_expressions::SimplifyExpressions;
use datafusion_optimizer::{Analyzer, Optimizer, OptimizerContext};
use datafusion_sql::planner::{ParserOptions, SqlToRel};
use sqlparser::ast::{self, Query};
use std::sync::Arc;

/// What is said of a column that is not there.
const UNKNOWN_COLUMN: &str = "there is no column ";
/// Unknown columns of a query that are looked for.
const UNKNOWN_MAX: usize = 50;

/// Words of the statement and where they stand, for errors that name a word but no place.
pub(crate) type Words = Vec<(String, Span)>;

/// Plans and checks a query. What comes out is typed as Flink types it.
pub(crate) fn plan_query(catalog: &Catalog, mut query: Box<Query>, words: &Words) -> Result<LogicalPlan, Vec<Fault>> {
    let written = query.clone();
    let (mut faults, only_functions) = syntax::check(&mut query, catalog, Refused::AsNull);
    let refused = !faults.is_empty();
    if !only_functions {
        return Err(faults);
    }
    match analyzed(catalog, query.clone()).map_err(|e| faults_of(e, words)) {
        Ok(plan) if faults.is_empty() => return Ok(plan),
        Ok(_) => {}
        Err(more) if faults.is_empty() => faults = more,
        // what the planner says of a query that is refused already may follow from that; names do not
        Err(more) => faults.extend(more.into_iter().filter(is_unknown)),
    }
    unknown_columns(catalog, *query, words, &mut faults);
    if refused {
        let more = unknown_in_arguments(catalog, *written, words);
        let fresh: Vec<Fault> = more.into_iter().filter(|f| !faults.contains(f)).collect();
        faults.extend(fresh);
    }
    Err(faults)
}

/// The columns that a query with refused functions does not know, those of the functions' arguments among them.
fn unknown_in_arguments(catalog: &Catalog, mut query: Query, words: &Words) -> Vec<Fault> {
    syntax::check(&mut query, catalog, Refused::WithArguments);
    let Err(e) = analyzed(catalog, Box::new(query.clone())) else { return Vec::new() };
    let mut found: Vec<Fault> = faults_of(e, words).into_iter().filter(is_unknown).collect();
    unknown_columns(catalog, query, words, &mut found);
    found
}

/// The planner stops at the first column that it does not know. That name is taken for NULL wherever it stands, to see the
/// next one; what only follows, the name that was meant missing further out, is left out.
fn unknown_columns(catalog: &Catalog, mut query: Query, words: &Words, faults: &mut Vec<Fault>) {
    for _ in 0..UNKNOWN_MAX {
        let Some(name) = faults.last().and_then(unknown_name) else { return };
        if !syntax::forget(&mut query, name) {
            return;
        }
        let Err(e) = analyzed(catalog, Box::new(query.clone())) else { return };
        let more = faults_of(e, words);
        let meant = |f: &Fault| {
            let near = unknown_name(f).map(|n| format!("; the nearest is {n}")).unwrap_or_default();
            faults.iter().any(|g| g.message.ends_with(&near))
        };
        let more: Vec<Fault> = more.into_iter().filter(|f| is_unknown(f) && !meant(f)).collect();
        if more.is_empty() {
            return;
        }
        faults.extend(more);
    }
}

fn is_unknown(fault: &Fault) -> bool {
    unknown_name(fault).is_some()
}

fn unknown_name(fault: &Fault) -> Option<&str> {
    fault.message.strip_prefix(UNKNOWN_COLUMN)?.split([' ', ';']).next()
}

fn analyzed(catalog: &Catalog, query: Box<Query>) -> datafusion_common::Result<LogicalPlan> {
    let options = ParserOptions::from(&catalog.options().sql_parser);
    let planner = SqlToRel::new_with_options(catalog, options);
    let plan = planner.sql_statement_to_plan(ast::Statement::Query(query))?;
    let plan = repair::mixtures(repair::literals(plan)?)?;
    checks::operands(&plan)?;
    let plan = Analyzer::new().execute_and_check(plan, catalog.options(), |_, _| {})?;
    checks::constants(&plan)?;
    repair::casts(plan)
}

/// Folds constants and simplifies conditions, the one rule of the optimiser that is run: filters and projections are
/// fused and columns are pruned on the graph of all queries, where equal parts are shared.
pub(crate) fn simplified(catalog: &Catalog, plan: LogicalPlan, words: &Words) -> Result<LogicalPlan, Vec<Fault>> {
    // No start time: the wall clock never becomes a constant.
    let context = OptimizerContext::new_with_config_options(Arc::new(catalog.options().clone()))
        .without_query_execution_start_time()
        .with_skip_failing_rules(false);
    Optimizer::with_rules(vec![Arc::new(SimplifyExpressions::new())])
        .optimize(plan, &context, |_, _| {})
        .map_err(|e| faults_of(e, words))
}

/// The planner's error in our words, with the best place there is.
pub(crate) fn faults_of(e: DataFusionError, words: &Words) -> Vec<Fault> {
    match e {
        DataFusionError::Collection(all) => all.into_iter().flat_map(|e| faults_of(e, words)).collect(),
        DataFusionError::Context(_, inner) => faults_of(*inner, words),
        DataFusionError::External(inner) => match inner.downcast::<Fault>() {
            Ok(fault) => vec![*fault],
            Err(inner) => vec![Fault::new(inner.to_string())],
        },
        DataFusionError::Diagnostic(diagnostic, inner) => {
            let mut faults = faults_of(*inner, words);
            if let Some(fault) = faults.first_mut() {
                let span = diagnostic.span.and_then(|s| {
                    (s.start.line > 0).then_some(Span {
                        line: s.start.line,
                        column: s.start.column,
                        end_line: s.end.line,
                        end_column: s.end.column,
                    })
                });
                fault.at = span.or(fault.at);
            }
            faults
        }
        DataFusionError::SchemaError(e, _) => vec![schema_fault(*e, words)],
        DataFusionError::SQL(e, _) => vec![crate::ddl::parser_fault(*e)],
        other => vec![plain(&other.strip_backtrace(), words)],
    }
}

fn schema_fault(e: datafusion_common::SchemaError, words: &Words) -> Fault {
    use datafusion_common::SchemaError as S;
    match e {
        S::FieldNotFound { field, valid_fields } => {
            let near = nearest_text(&field.name, valid_fields.iter().map(|c| c.name()));
            let what = match &field.relation {
                Some(r) => format!("{UNKNOWN_COLUMN}{} in {r}{near}", field.name),
                None => format!("{UNKNOWN_COLUMN}{}{near}", field.name),
            };
            let mut names: Vec<&str> = valid_fields.iter().map(|c| c.name()).collect();
            names.dedup();
            let hint = (!names.is_empty() && names.len() <= 24).then(|| format!("columns: {}", names.join(", ")));
            let fault = Fault { hint, ..Fault::new(what) };
            fault.at(place_of(words, &field.name))
        }
        S::AmbiguousReference { field } => {
            Fault::new(format!("column {} is ambiguous; write table.{}", field.name, field.name))
                .at(place_of(words, &field.name))
        }
        other => plain(&other.to_string(), words),
    }
}

/// A message of the planner without its prefixes and with our names of types, at the first word of the statement that
/// it names.
fn plain(message: &str, words: &Words) -> Fault {
    let lines: Vec<&str> = message.lines().filter(|l| !l.trim().is_empty()).collect();
    let own = |l: &&&str| !l.starts_with("Optimizer rule") && !l.starts_with("type_coercion") && **l != "caused by";
    let line = lines.iter().find(own).or(lines.first()).copied().unwrap_or_default();
    let mut text = line.rsplit("coercion failed with: ").next().unwrap_or(line);
    while let Some(rest) = PREFIXES.iter().find_map(|p| text.strip_prefix(p)) {
        text = rest.trim_start();
    }
    let text = text.split(" No function matches the given name").next().unwrap_or(text);
    let parts = line.split(['\'', '"', '`', '(', ')', ' ']).filter(|w| w.len() > 1);
    let at = parts.filter_map(|w| place_of(words, w.rsplit('.').next().unwrap_or(w))).next();
    if text.contains("must appear in the GROUP BY clause") || text.contains("must be in GROUP BY") {
        let column = text.split('"').nth(1).map_or("", |c| c.rsplit('.').next().unwrap_or(c));
        let what = if column.is_empty() { "HAVING reads a column that".into() } else { format!("column {column}") };
        return Fault::new(format!("{what} is neither in GROUP BY nor in an aggregate")).at(at);
    }
    if text.contains("cannot contain window function calls") {
        return Fault::new("an aggregate of OVER: compute the frames in an inner query").at(at);
    }
    let text = crate::tokens::lower_first(text.trim().trim_end_matches('.'));
    Fault::new(ARROW_NAMES.iter().fold(text, |t, (arrow, sql)| t.replace(arrow, sql))).at(at)
}

/// What the planner puts before its messages.
const PREFIXES: [&str; 7] = [
    "Error during planning: ",
    "Schema error: ",
    "This feature is not implemented: ",
    "Execution error: ",
    "External error: ",
    "Arrow error: ",
    "While expanding wildcard, ",
];

/// Types as the planner names them, and as SQL does.
const ARROW_NAMES: [(&str, &str); 16] = [
    ("Decimal128(", "DECIMAL("),
    ("Timestamp(ms)", "TIMESTAMP(3)"),
    ("Timestamp(µs)", "TIMESTAMP(6)"),
    ("Time32(s)", "TIME(0)"),
    ("Time32(ms)", "TIME(3)"),
    ("Time64(µs)", "TIME(6)"),
    ("Time64(ns)", "TIME(9)"),
    ("Boolean", "BOOLEAN"),
    ("Int8", "TINYINT"),
    ("Int16", "SMALLINT"),
    ("Int32", "INT"),
    ("Int64", "BIGINT"),
    ("Float32", "FLOAT"),
    ("Float64", "DOUBLE"),
    ("Utf8", "STRING"),
    ("Date32", "DATE"),
];

/// Words that are in every query.
const COMMON: [&str; 30] = [
    "select",
    "from",
    "where",
    "group",
    "by",
    "as",
    "and",
    "or",
    "not",
    "insert",
    "into",
    "table",
    "interval",
    "over",
    "partition",
    "order",
    "range",
    "between",
    "preceding",
    "current",
    "row",
    "is",
    "in",
    "case",
    "when",
    "then",
    "else",
    "end",
    "to",
    "on",
];

fn place_of(words: &Words, word: &str) -> Option<Span> {
    let lower = word.to_lowercase();
    if COMMON.contains(&lower.as_str()) {
        return None;
    }
    words.iter().find(|(w, _)| *w == lower).map(|(_, at)| *at)
}
