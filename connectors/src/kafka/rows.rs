//! Rows as messages: a key, if the table has one, and a value.

use super::options::{Format, SinkOptions};
use crate::format::avro::write::AvroRows;
use crate::format::{csv, json, raw};
use crate::http::registry::Registry;
use arrow::array::RecordBatch;
use highwater_engine::error::SinkError;

/// Registers the table's schema, if its messages name one: its id.
///
/// # Errors
/// The registry does not take it, or does not answer.
pub fn registered(options: &SinkOptions) -> Result<Option<u32>, String> {
    let Format::Avro(avro) = &options.format else { return Ok(None) };
    let Some(registry) = &avro.registry else { return Ok(None) };
    let subject = registry.subject.clone().unwrap_or_else(|| format!("{}-value", options.topic));
    Registry::open(registry)?.register(&subject, &avro.schema).map(Some)
}

/// Makes messages of rows; its memory is used again.
#[derive(Debug)]
pub struct Encoder {
    values: Part,
    key: Option<(Vec<usize>, Part)>,
}

/// Rows in one format.
#[derive(Debug)]
struct Part {
    format: Format,
    avro: Option<AvroRows>,
    bytes: Vec<u8>,
    /// Where each row ends, with its line break if the format has one.
    ends: Vec<usize>,
}

impl Part {
    fn new(format: &Format) -> Self {
        Self { format: format.clone(), avro: None, bytes: Vec::new(), ends: Vec::new() }
    }

    fn write(&mut self, rows: &RecordBatch) -> Result<(), String> {
        let Self { format, avro, bytes, ends } = self;
        bytes.clear();
        ends.clear();
        match (format, avro) {
            (_, Some(avro)) => avro.write(rows, bytes, |end| ends.push(end)),
            (Format::Json(options), _) => json::write::write_each(rows, options, bytes, |end| ends.push(end)),
            (Format::Csv(options), _) => csv::write::write_each(rows, options, bytes, |end| ends.push(end)),
            (Format::Raw | Format::Avro(_), _) => Ok(()),
        }
    }

    /// The bytes of a row that was written.
    fn of<'t>(&'t self, rows: &'t RecordBatch, row: usize) -> Option<&'t [u8]> {
        let line_break = match self.format {
            Format::Raw => return raw::value(rows.column(0), row),
            Format::Avro(_) => 0,
            Format::Json(_) | Format::Csv(_) => 1,
        };
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        Some(&self.bytes[start..self.ends[row] - line_break])
    }
}

impl Encoder {
    /// For the rows of a table; `schema_id` is what [`registered`] has said.
    ///
    /// # Errors
    /// Columns that the format can't hold.
    pub fn new(options: &SinkOptions, schema_id: Option<u32>) -> Result<Self, String> {
        let mut values = Part::new(&options.format);
        if let Format::Avro(avro) = &options.format {
            values.avro = Some(AvroRows::new(&avro.columns, &avro.schema, schema_id)?);
        }
        let key = options.key.as_ref().map(|key| (key.columns.clone(), Part::new(&key.format)));
        Ok(Self { values, key })
    }

    /// Hands over each row as key and value.
    ///
    /// # Errors
    /// A value that the format can't hold; what `send` says.
    pub fn encode(
        &mut self,
        rows: &RecordBatch,
        mut send: impl FnMut(Option<&[u8]>, Option<&[u8]>) -> Result<(), SinkError>,
    ) -> Result<(), SinkError> {
        let Self { values, key } = self;
        values.write(rows).map_err(SinkError::new)?;
        let Some((columns, keys)) = key else {
            return (0..rows.num_rows()).try_for_each(|row| send(None, values.of(rows, row)));
        };
        let columns = rows.project(columns).map_err(|e| SinkError::new(e.to_string()))?;
        keys.write(&columns).map_err(SinkError::new)?;
        (0..rows.num_rows()).try_for_each(|row| send(keys.of(&columns, row), values.of(rows, row)))
    }
}
