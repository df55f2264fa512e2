//! The way of one query through the planner: syntax pass, plan, repairs, analyzer, checks.

use crate::catalog::Catalog;
use crate::diagnostic::{Fault, Span, nearest_text};
use crate::{checks, repair, syntax};
use datafusion_common::DataFusionError;
use datafusion_expr::LogicalPlan;
use datafusion_expr::planner::ContextProvider;
use datafusion_optimizer::simplify_expressions::SimplifyExpressions;
use datafusion_optimizer::{Analyzer, Optimizer, OptimizerContext};
use datafusion_sql::planner::{ParserOptions, SqlToRel};
use sqlparser::ast::{self, Query};
use std::sync::Arc;

/// Words of the statement and where they stand, for errors that name a word but no place.
pub(crate) type Words = Vec<(String, Span)>;

/// Plans and checks a query. What comes out is typed as Flink types it.
pub(crate) fn plan_query(catalog: &Catalog, mut query: Box<Query>, words: &Words) -> Result<LogicalPlan, Vec<Fault>> {
    let faults = syntax::check(&mut query, catalog);
    if !faults.is_empty() {
        return Err(faults);
    }
    analyzed(catalog, query).map_err(|e| faults_of(e, words))
}

fn analyzed(catalog: &Catalog, query: Box<Query>) -> datafusion_common::Result<LogicalPlan> {
    let options = ParserOptions::from(&catalog.options().sql_parser);
    let planner = SqlToRel::new_with_options(catalog, options);
    let plan = planner.sql_statement_to_plan(ast::Statement::Query(query))?;
    let plan = repair::doubles(repair::literals(plan)?)?;
    let plan = Analyzer::new().execute_and_check(plan, catalog.options(), |_, _| {})?;
    checks::constants(&plan)?;
    Ok(plan)
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
                Some(r) => format!("there is no column {} in {r}{near}", field.name),
                None => format!("there is no column {}{near}", field.name),
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

/// A message of the planner without its prefixes, at the first word of the statement that it quotes.
fn plain(message: &str, words: &Words) -> Fault {
    let line = message.lines().next().unwrap_or_default();
    let prefixes = [
        "Error during planning: ",
        "Schema error: ",
        "This feature is not implemented: ",
        "Execution error: ",
        "Arrow error: ",
        "Optimizer rule 'simplify_expressions' failed",
        "type_coercion",
        "caused by",
    ];
    let mut text = line;
    while let Some(rest) = prefixes.iter().find_map(|p| text.strip_prefix(p)) {
        text = rest.trim_start();
    }
    let text = if text.is_empty() { message.lines().last().unwrap_or_default() } else { text };
    let text = text.split(" No function matches the given name").next().unwrap_or(text);
    let quoted = text.split(['\'', '"', '`', '(', ')', ' ']).map(str::to_lowercase).filter(|w| w.len() > 1);
    let at = quoted.filter_map(|w| place_of(words, &w)).next();
    Fault::new(crate::tokens::lower_first(text.trim().trim_end_matches('.'))).at(at)
}

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
