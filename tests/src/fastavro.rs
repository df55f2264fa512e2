//! fastavro as an independent implementation of Avro (`tests/oracles/fastavro_rows.py`).
//!
//! `HIGHWATER_PYTHON` names the Python that has the package `fastavro`; by default it is `python3`.

use crate::repository;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

/// What each column of a row holds, as text.
pub type Row = Vec<Option<String>>;

/// Messages that it wrote.
#[derive(Debug)]
pub struct Written {
    /// The schemas, by their ids.
    pub schemas: BTreeMap<u32, String>,
    /// The messages of a table, with the prefix of a registry, and their rows.
    pub messages: Vec<(Vec<u8>, Row)>,
}

/// Random rows as messages. `None`, said loudly: there is no fastavro here.
///
/// # Panics
/// If there is none and `HIGHWATER_REQUIRE_FASTAVRO` is set, as `.ci/run` does; if the process fails.
pub fn write(seed: u64, rows: usize) -> Option<Written> {
    let probe = Command::new(python()).args(["-c", "import fastavro"]).stderr(Stdio::null()).status();
    if !probe.is_ok_and(|status| status.success()) {
        let why =
            format!("{} has no package fastavro (pip install fastavro; HIGHWATER_PYTHON names another)", python());
        assert!(
            std::env::var_os("HIGHWATER_REQUIRE_FASTAVRO").is_none(),
            "tests with fastavro are required, but {why}"
        );
        let line = "=".repeat(100);
        eprintln!("{line}\nSKIPPED: no comparison with fastavro: {why}\n{line}");
        return None;
    }
    let made = ask(&["write", &seed.to_string(), &rows.to_string()], &Value::Null);
    let schema = |(id, schema): (&String, &Value)| (id.parse().unwrap(), schema.as_str().unwrap().to_owned());
    let message = |m: &Value| (bytes(m["hex"].as_str().unwrap()), row(&m["row"]));
    Some(Written {
        schemas: made["schemas"].as_object().unwrap().iter().map(schema).collect(),
        messages: made["messages"].as_array().unwrap().iter().map(message).collect(),
    })
}

/// The rows that it reads from datums of a schema.
///
/// # Panics
/// If one is no datum of it.
pub fn read(schema: &str, datums: &[&[u8]]) -> Vec<Row> {
    let hex: Vec<String> = datums.iter().map(|d| d.iter().map(|b| format!("{b:02x}")).collect()).collect();
    ask(&["read"], &json!({ "schema": schema, "hex": hex })).as_array().unwrap().iter().map(row).collect()
}

fn python() -> String {
    std::env::var("HIGHWATER_PYTHON").unwrap_or_else(|_| "python3".into())
}

fn ask(args: &[&str], input: &Value) -> Value {
    let script = repository().join("tests/oracles/fastavro_rows.py");
    let mut command = Command::new(python());
    let mut child = command.arg(&script).args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    // It reads everything before it writes.
    child.stdin.take().unwrap().write_all(input.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{} ended with {}", script.display(), output.status);
    serde_json::from_slice(&output.stdout).unwrap()
}

fn row(value: &Value) -> Row {
    value.as_array().unwrap().iter().map(|v| v.as_str().map(str::to_owned)).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}
