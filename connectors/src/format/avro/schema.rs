//! Avro schemas: the one made of a table's columns, and the fields of others.
//!
//! | column | Avro |
//! |---|---|
//! | BOOLEAN, FLOAT, DOUBLE, STRING, BYTES | `boolean`, `float`, `double`, `string`, `bytes` |
//! | TINYINT, SMALLINT, INT | `int` |
//! | BIGINT | `long` |
//! | DECIMAL(p, s) | `bytes`, `decimal` |
//! | DATE | `int`, `date` |
//! | TIME(0-3), TIME(4-6) | `int`, `time-millis`; `long`, `time-micros` |
//! | TIMESTAMP(0-3), (4-6), (7-9), also _LTZ | `long`, `timestamp-millis`, `-micros`, `-nanos` |
//!
//! A column that may be NULL is a union of `null` and its type. This is Flink's mapping (its default one of timestamps, and
//! further for digits that Flink refuses).

use arrow_schema::{DataType, Schema, TimeUnit};
use highwater_engine::graph::types::sql_type;
use serde_json::{Value, json};

/// The schema of a record with these columns.
///
/// # Errors
/// A sentence for each column that no record can hold.
pub fn derived(schema: &Schema) -> Result<String, Vec<String>> {
    let (mut fields, mut wrong) = (Vec::new(), Vec::new());
    for field in schema.fields() {
        let (name, data_type) = (field.name(), field.data_type());
        if !is_name(name) {
            wrong.push(format!(
                "Avro knows no field named {name:?}: letters, digits and '_' are allowed, no digit first; rename the column"
            ));
        }
        match type_of(data_type) {
            Some(plain) if field.is_nullable() => fields.push(json!({ "name": name, "type": ["null", plain] })),
            Some(plain) => fields.push(json!({ "name": name, "type": plain })),
            None => wrong.push(format!("Avro can't hold column {name} of type {}; CAST it", sql_type(data_type))),
        }
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    Ok(json!({ "type": "record", "name": "row", "namespace": "highwater", "fields": fields }).to_string())
}

fn is_name(name: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    name.bytes().all(legal) && name.bytes().next().is_some_and(|b| !b.is_ascii_digit())
}

fn type_of(data_type: &DataType) -> Option<Value> {
    use DataType::*;
    let logical = |plain: &str, name: &str| json!({ "type": plain, "logicalType": name });
    Some(match data_type {
        Boolean => json!("boolean"),
        Int8 | Int16 | Int32 => json!("int"),
        Int64 => json!("long"),
        Float32 => json!("float"),
        Float64 => json!("double"),
        Utf8 => json!("string"),
        Binary => json!("bytes"),
        Decimal128(p, s) => json!({ "type": "bytes", "logicalType": "decimal", "precision": p, "scale": s }),
        Date32 => logical("int", "date"),
        Time32(_) => logical("int", "time-millis"),
        Time64(TimeUnit::Microsecond) => logical("long", "time-micros"),
        Timestamp(TimeUnit::Second | TimeUnit::Millisecond, _) => logical("long", "timestamp-millis"),
        Timestamp(TimeUnit::Microsecond, _) => logical("long", "timestamp-micros"),
        Timestamp(TimeUnit::Nanosecond, _) => logical("long", "timestamp-nanos"),
        _ => return None,
    })
}

/// The names of a record's fields, in order.
///
/// # Errors
/// It is no schema of a record.
pub fn fields_of(schema: &str) -> Result<Vec<String>, String> {
    let schema: Value = serde_json::from_str(schema).map_err(|e| format!("is no JSON ({e})"))?;
    let fields = schema.get("fields").and_then(Value::as_array).filter(|_| schema["type"] == "record");
    let fields = fields.ok_or("is no schema of a record")?;
    let name = |field: &Value| field["name"].as_str().map(str::to_owned);
    fields.iter().map(name).collect::<Option<_>>().ok_or_else(|| "has a field without a name".to_owned())
}
