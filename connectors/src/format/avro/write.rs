//! Rows as messages in Avro.

use super::convert::{carried, carriers};
use arrow::array::{ArrayRef, RecordBatch};
use arrow::error::ArrowError;
use arrow_avro::errors::AvroError;
use arrow_avro::schema::{FingerprintStrategy, SCHEMA_METADATA_KEY};
use arrow_avro::writer::format::{AvroBinaryFormat, AvroSoeFormat};
use arrow_avro::writer::{Encoder, WriterBuilder};
use arrow_schema::{Schema, SchemaRef};
use std::collections::HashMap;
use std::sync::Arc;

/// Writes rows of one schema.
#[derive(Debug)]
pub struct AvroRows {
    schema: SchemaRef,
    encoder: Encoder,
}

impl AvroRows {
    /// Rows of these columns, whose Avro schema is `avro`; with the `id` of that schema before each, if it has one.
    ///
    /// # Errors
    /// Columns and schema don't agree.
    pub fn new(columns: &Schema, avro: &str, id: Option<u32>) -> Result<Self, String> {
        let metadata = HashMap::from([(SCHEMA_METADATA_KEY.to_owned(), avro.to_owned())]);
        let schema = Schema::new_with_metadata(carriers(columns), metadata);
        let writer = WriterBuilder::new(schema.clone());
        let encoder = match id {
            None => writer.build_encoder::<AvroBinaryFormat>(),
            Some(id) => writer.with_fingerprint_strategy(FingerprintStrategy::Id(id)).build_encoder::<AvroSoeFormat>(),
        };
        Ok(Self { schema: Arc::new(schema), encoder: encoder.map_err(|e| e.to_string())? })
    }

    /// Appends each row to `out` and tells where it ends.
    ///
    /// # Errors
    /// A value that Avro can't hold.
    pub fn write(&mut self, rows: &RecordBatch, out: &mut Vec<u8>, mut ends: impl FnMut(usize)) -> Result<(), String> {
        let columns = rows.columns().iter().map(carried).collect::<Result<Vec<ArrayRef>, ArrowError>>();
        let rows = columns.and_then(|columns| RecordBatch::try_new(self.schema.clone(), columns));
        self.encoder.encode(&rows.map_err(|e| e.to_string())?).map_err(|e: AvroError| e.to_string())?;
        for row in self.encoder.flush().iter() {
            out.extend_from_slice(&row);
            ends(out.len());
        }
        Ok(())
    }
}
