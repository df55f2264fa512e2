//! Rows as messages: a key, if the table has one, and a value.

use super::options::{Format, Key, SinkOptions};
use crate::format::{csv, json, raw};
use arrow::array::RecordBatch;
use highwater_engine::error::SinkError;

/// Makes messages of rows; its memory is used again.
#[derive(Debug)]
pub struct Encoder {
    format: Format,
    key: Option<Key>,
    values: Texts,
    keys: Texts,
}

/// Texts one behind the other.
#[derive(Debug, Default)]
struct Texts {
    bytes: Vec<u8>,
    /// Where each ends, its line break included.
    ends: Vec<usize>,
}

impl Texts {
    /// A text without its line break.
    fn get(&self, row: usize) -> &[u8] {
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        &self.bytes[start..self.ends[row] - 1]
    }

    fn write(&mut self, rows: &RecordBatch, format: &Format) -> Result<(), String> {
        let Self { bytes, ends } = self;
        bytes.clear();
        ends.clear();
        match format {
            Format::Json(options) => json::write::write_each(rows, options, bytes, |end| ends.push(end)),
            Format::Csv(options) => csv::write::write_each(rows, options, bytes, |end| ends.push(end)),
            Format::Raw => Ok(()),
        }
    }

    /// A row's bytes in this format, which the rows were written in.
    fn of<'t>(&'t self, rows: &'t RecordBatch, format: &Format, row: usize) -> Option<&'t [u8]> {
        match format {
            Format::Raw => raw::value(rows.column(0), row),
            _ => Some(self.get(row)),
        }
    }
}

impl Encoder {
    /// For the rows of a table.
    pub fn new(options: &SinkOptions) -> Self {
        let (format, key) = (options.format.clone(), options.key.clone());
        Self { format, key, values: Texts::default(), keys: Texts::default() }
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
        let Self { format, key, values, keys } = self;
        values.write(rows, format).map_err(SinkError::new)?;
        let Some(key) = key else {
            return (0..rows.num_rows()).try_for_each(|row| send(None, values.of(rows, format, row)));
        };
        let columns = rows.project(&key.columns).map_err(|e| SinkError::new(e.to_string()))?;
        keys.write(&columns, &key.format).map_err(SinkError::new)?;
        (0..rows.num_rows()).try_for_each(|row| send(keys.of(&columns, &key.format, row), values.of(rows, format, row)))
    }
}
