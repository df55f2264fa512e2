//! fastavro as an independent implementation of Avro (`tests/oracles/fastavro_rows.py`).

use crate::python::{Row, ask, from_hex, has, row, to_hex};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const SCRIPT: &str = "fastavro_rows.py";

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
    if !has("fastavro", "fastavro", "HIGHWATER_REQUIRE_FASTAVRO") {
        return None;
    }
    let made = ask(SCRIPT, &["write", &seed.to_string(), &rows.to_string()], &Value::Null);
    let schema = |(id, schema): (&String, &Value)| (id.parse().unwrap(), schema.as_str().unwrap().to_owned());
    let message = |m: &Value| (from_hex(&m["hex"]), row(&m["row"]));
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
    let hex: Vec<String> = datums.iter().map(|datum| to_hex(datum)).collect();
    ask(SCRIPT, &["read"], &json!({ "schema": schema, "hex": hex })).as_array().unwrap().iter().map(row).collect()
}
