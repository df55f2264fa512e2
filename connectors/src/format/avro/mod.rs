//! Avro messages to columns and back: the formats `avro` and `avro-confluent`.
//!
//! | option | default | |
//! |---|---|---|
//! | `avro-confluent.url` | needed | the schema registry: `https://registry.example.com`; its host stands in [`HIGHWATER_HTTP_HOSTS`](crate::http::hosts) |
//! | `avro-confluent.subject` | `<topic>-value` | sink: where the table's schema is registered |
//! | `avro-confluent.basic-auth.user-info` | | `${env:NAME}` of `user:password` |
//! | `avro-confluent.bearer-auth.token` | | `${env:NAME}` of a token |
//!
//! * `avro`: a message is one datum of a schema made of the table's columns ([`schema`]), as in Flink: both sides know it.
//! * `avro-confluent`: a zero byte, the id of the writer's schema (four bytes, the largest first), the datum. Each id is asked
//!   for once; a schema may gain, lose and reorder fields.
//! * Columns go by name; fields that no column asks for are skipped, a column without a field is NULL.
//! * A field fits a column that has its every value ([`convert`]): never rounded, never cut off. A value that does not fit
//!   makes its message bad, a field whose type has no such values makes all messages of its schema bad.
//! * `timestamp-*` and `local-timestamp-*` fit TIMESTAMP and TIMESTAMP_LTZ: the first is UTC.
//! * Enums and UUIDs fit STRING. Records, arrays, maps and unions of more than NULL and one type fit no column.
//!
//! A message must be one datum and nothing behind it.

pub mod convert;
pub mod messages;
pub mod rows;
pub mod schema;
pub mod write;

#[cfg(test)]
mod tests;

use crate::http::registry::RegistryOptions;
use crate::options::Options;
use arrow_schema::{Schema, SchemaRef};

/// What a table of messages in Avro asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AvroOptions {
    /// The table's columns.
    pub columns: SchemaRef,
    /// The schema made of the table's columns.
    pub schema: String,
    /// Where schemas of messages are found; `None`: every message has the table's.
    pub registry: Option<RegistryOptions>,
}

impl AvroOptions {
    /// The names of the options, for a table of another format.
    pub const NAMES: [&'static str; 4] = RegistryOptions::NAMES;

    /// Reads the options of format `option` = `avro` (or, with a `registry`, `avro-confluent`); what is wrong is noted in `o`.
    pub fn parse(o: &mut Options, option: &'static str, schema: &Schema, registry: bool) -> Self {
        let derived = schema::derived(schema);
        for why in derived.as_ref().err().into_iter().flatten() {
            o.error(option, why.clone());
        }
        let registry = if registry {
            Some(RegistryOptions::parse(o))
        } else {
            o.unused(&Self::NAMES, "is an option of format 'avro-confluent', the table's format is 'avro'; remove it");
            None
        };
        Self { columns: schema.clone().into(), schema: derived.unwrap_or_default(), registry }
    }
}
