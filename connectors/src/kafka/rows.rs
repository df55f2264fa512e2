//! Rows as messages: a key, if the table has one, and a value.

use super::options::{Format, SinkOptions};
use crate::format::avro::write::AvroRows;
use crate::format::protobuf::tree::Tree;
use crate::format::protobuf::write::ProtobufRows;
use crate::format::{csv, json, raw};
use crate::http::registry::Registry;
use arrow::array::RecordBatch;
use highwater_engine::error::SinkError;
use std::sync::Arc;

/// What is found once for all encoders of a table.
#[derive(Clone, Debug)]
pub enum Prepared {
    /// Nothing.
    Plain,
    /// The table's schema is registered under this id.
    Registered(u32),
    /// The columns are these parts of a message.
    Protobuf(Arc<Tree>),
}

/// Registers the table's schema, if its messages name one, or reads the one that it names.
///
/// # Errors
/// The registry does not take it, or does not answer; the columns are no parts of the message.
pub fn prepared(options: &SinkOptions) -> Result<Prepared, String> {
    match &options.format {
        Format::Protobuf(protobuf) => protobuf.tree().map(Prepared::Protobuf),
        Format::Avro(avro) => {
            let Some(registry) = &avro.registry else { return Ok(Prepared::Plain) };
            let subject = registry.subject.clone().unwrap_or_else(|| format!("{}-value", options.topic));
            Registry::open(registry)?.register(&subject, &avro.schema).map(Prepared::Registered)
        }
        Format::Csv(_) | Format::Json(_) | Format::Raw => Ok(Prepared::Plain),
    }
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
    own: Own,
    bytes: Vec<u8>,
    /// Where each row ends, with its line break if the format has one.
    ends: Vec<usize>,
}

/// What writes the rows of a format that plans it.
#[derive(Debug)]
enum Own {
    None,
    Avro(AvroRows),
    Protobuf(ProtobufRows),
}

impl Part {
    fn new(format: &Format, own: Own) -> Self {
        Self { format: format.clone(), own, bytes: Vec::new(), ends: Vec::new() }
    }

    fn write(&mut self, rows: &RecordBatch) -> Result<(), String> {
        let Self { format, own, bytes, ends } = self;
        bytes.clear();
        ends.clear();
        match (format, own) {
            (_, Own::Avro(avro)) => avro.write(rows, bytes, |end| ends.push(end)),
            (_, Own::Protobuf(protobuf)) => protobuf.write(rows, bytes, |end| ends.push(end)),
            (Format::Json(options), _) => json::write::write_each(rows, options, bytes, |end| ends.push(end)),
            (Format::Csv(options), _) => csv::write::write_each(rows, options, bytes, |end| ends.push(end)),
            (Format::Raw | Format::Avro(_) | Format::Protobuf(_), _) => Ok(()),
        }
    }

    /// The bytes of a row that was written.
    fn of<'t>(&'t self, rows: &'t RecordBatch, row: usize) -> Option<&'t [u8]> {
        let line_break = match self.format {
            Format::Raw => return raw::value(rows.column(0), row),
            Format::Avro(_) | Format::Protobuf(_) => 0,
            Format::Json(_) | Format::Csv(_) => 1,
        };
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        Some(&self.bytes[start..self.ends[row] - line_break])
    }
}

impl Encoder {
    /// For the rows of a table; `found` is what [`prepared`] has said.
    ///
    /// # Errors
    /// Columns that the format can't hold.
    pub fn new(options: &SinkOptions, found: &Prepared) -> Result<Self, String> {
        let own = match (&options.format, found) {
            (_, Prepared::Protobuf(tree)) => Own::Protobuf(ProtobufRows::new(tree.clone())),
            (Format::Avro(avro), found) => {
                let id = if let Prepared::Registered(id) = found { Some(*id) } else { None };
                Own::Avro(AvroRows::new(&avro.columns, &avro.schema, id)?)
            }
            _ => Own::None,
        };
        let values = Part::new(&options.format, own);
        let key = options.key.as_ref().map(|key| (key.columns.clone(), Part::new(&key.format, Own::None)));
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
