//! DuckDB as an independent engine: one Python process answers many queries (`tests/oracles/ask_duckdb.py`).
//!
//! `HIGHWATER_PYTHON` names the Python that has the package `duckdb`; by default it is `python3`.

use crate::repository;
use serde_json::{Value, json};
use std::io::Write;
use std::process::{Command, Stdio};

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
    let python = std::env::var("HIGHWATER_PYTHON").unwrap_or_else(|_| "python3".into());
    let probe = Command::new(&python).args(["-c", "import duckdb; duckdb.connect()"]).stderr(Stdio::null()).status();
    if !probe.is_ok_and(|status| status.success()) {
        return skipped(&format!(
            "{python} has no package duckdb (pip install duckdb; HIGHWATER_PYTHON names another)"
        ));
    }
    let text: Vec<Value> = questions.iter().map(|q| json!({ "tables": q.tables, "queries": q.queries })).collect();
    let mut child = Command::new(&python)
        .arg(repository().join("tests/oracles/ask_duckdb.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // It reads everything before it writes.
    child.stdin.take().unwrap().write_all(Value::from(text).to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{python} tests/oracles/ask_duckdb.py ended with {}", output.status);
    let all: Vec<Vec<Value>> = serde_json::from_slice(&output.stdout).unwrap();
    Some(all.into_iter().map(|case| case.into_iter().map(answer).collect()).collect())
}

fn answer(value: Value) -> Answer {
    match value {
        Value::Array(rows) => Ok(rows.iter().map(|r| r.as_str().unwrap_or_default().to_owned()).collect()),
        other => Err(other["error"].as_str().unwrap_or_default().to_owned()),
    }
}

fn skipped<T>(why: &str) -> Option<T> {
    assert!(std::env::var_os("HIGHWATER_REQUIRE_DUCKDB").is_none(), "tests with DuckDB are required, but {why}");
    let line = "=".repeat(100);
    eprintln!("{line}\nSKIPPED: no comparison with DuckDB: {why}\n{line}");
    None
}
