//! Python packages as independent implementations: scripts in `tests/oracles` that speak JSON.
//!
//! `HIGHWATER_PYTHON` names the Python that has them; by default it is `python3`.

use crate::repository;
use serde_json::Value;
use std::io::Write;
use std::process::{Command, Stdio};

/// What each column of a row holds, as text.
pub type Row = Vec<Option<String>>;

fn python() -> String {
    std::env::var("HIGHWATER_PYTHON").unwrap_or_else(|_| "python3".into())
}

/// Whether Python can `import` this, which comes with a package. If not, that is said loudly.
///
/// # Panics
/// If it can't and the environment has the variable `required`, as `.ci/run` sets it.
pub fn has(import: &str, package: &str, required: &str) -> bool {
    let probe = Command::new(python()).args(["-c", &format!("import {import}")]).stderr(Stdio::null()).status();
    if probe.is_ok_and(|status| status.success()) {
        return true;
    }
    let why = format!("{} has no package {package} (pip install {package}; HIGHWATER_PYTHON names another)", python());
    assert!(std::env::var_os(required).is_none(), "tests with {package} are required, but {why}");
    let line = "=".repeat(100);
    eprintln!("{line}\nSKIPPED: no comparison with {package}: {why}\n{line}");
    false
}

/// What a script of `tests/oracles` answers.
///
/// # Panics
/// If it fails.
pub fn ask(script: &str, args: &[&str], input: &Value) -> Value {
    let script = repository().join("tests/oracles").join(script);
    let mut command = Command::new(python());
    let mut child = command.arg(&script).args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    // It reads everything before it writes.
    child.stdin.take().unwrap().write_all(input.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{} ended with {}", script.display(), output.status);
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A row as a script writes it.
///
/// # Panics
/// If it is no list.
pub fn row(value: &Value) -> Row {
    value.as_array().unwrap().iter().map(|v| v.as_str().map(str::to_owned)).collect()
}

/// Bytes of which this is the hexadecimal text.
///
/// # Panics
/// If it is none.
pub fn from_hex(value: &Value) -> Vec<u8> {
    let hex = value.as_str().unwrap();
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

/// The hexadecimal text of bytes.
pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
