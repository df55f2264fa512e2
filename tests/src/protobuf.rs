//! Google's Python package as an independent implementation of protocol buffers (`tests/oracles/protobuf_rows.py`).

use crate::python::{Row, ask, from_hex, has, row, to_hex};
use serde_json::{Value, json};

const SCRIPT: &str = "protobuf_rows.py";

/// Messages that it wrote.
#[derive(Debug)]
pub struct Written {
    /// A descriptor file in which is the message `test.Payment` that reads them, and `strict.Payment` in proto2.
    pub descriptors: Vec<u8>,
    /// The messages of a table and their rows.
    pub messages: Vec<(Vec<u8>, Row)>,
}

/// Random rows as messages. `None`, said loudly: there is no such package here.
///
/// # Panics
/// If there is none and `HIGHWATER_REQUIRE_PROTOBUF` is set, as `.ci/run` does; if the process fails.
pub fn write(seed: u64, rows: usize) -> Option<Written> {
    if !has("google.protobuf", "protobuf", "HIGHWATER_REQUIRE_PROTOBUF") {
        return None;
    }
    let made = ask(SCRIPT, &["write", &seed.to_string(), &rows.to_string()], &Value::Null);
    let message = |m: &Value| (from_hex(&m["hex"]), row(&m["row"]));
    Some(Written {
        descriptors: from_hex(&made["set"]),
        messages: made["messages"].as_array().unwrap().iter().map(message).collect(),
    })
}

/// The rows that it reads.
///
/// # Panics
/// If one is no message of this name.
pub fn read(message: &str, messages: &[Vec<u8>]) -> Vec<Row> {
    let hex: Vec<String> = messages.iter().map(|message| to_hex(message)).collect();
    ask(SCRIPT, &["read"], &json!({ "message": message, "hex": hex })).as_array().unwrap().iter().map(row).collect()
}
