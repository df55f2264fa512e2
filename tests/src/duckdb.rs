//! DuckDB as an independent engine: one Python process answers many queries (`tests/oracles/ask_duckdb.py`).

use crate::python::{ask, has};
use serde_json::{Value, json};

/// Tables, and queries over them.
#[derive(Clone, Debug, Default)]
pub struct Questions {
    /// SQL statements that make the tables.
    pub tables: String,
    /// The queries.
    pub queries: Vec<String>,
}

/// The rows of a query, as [`crate::rows`] has them, or DuckDB's error.
pub type Answer = Result<Vec<String>, String>;

/// The answers to all queries. `None`, said loudly: there is no DuckDB here.
///
/// # Panics
/// If there is none and `HIGHWATER_REQUIRE_DUCKDB` is set, as `.ci/run` does; if the process fails.
pub fn answers(questions: &[Questions]) -> Option<Vec<Vec<Answer>>> {
    if !has("duckdb", "duckdb", "HIGHWATER_REQUIRE_DUCKDB") {
        return None;
    }
    let text: Vec<Value> = questions.iter().map(|q| json!({ "tables": q.tables, "queries": q.queries })).collect();
    let all: Vec<Vec<Value>> = serde_json::from_value(ask("ask_duckdb.py", &[], &Value::from(text))).unwrap();
    Some(all.into_iter().map(|case| case.into_iter().map(answer).collect()).collect())
}

fn answer(value: Value) -> Answer {
    match value {
        Value::Array(rows) => Ok(rows.iter().map(|r| r.as_str().unwrap_or_default().to_owned()).collect()),
        other => Err(other["error"].as_str().unwrap_or_default().to_owned()),
    }
}
