//! JSON lines as records.

use super::JsonOptions;
use super::fields::{Fields, Wanted, Written};
use super::order::unescape;
use crate::format::records::borders::Block;
use crate::format::records::decode::{Content, Decoder, Plan, Values, Wrong};
use crate::format::records::found::Found;
use crate::format::records::messages::{Framing, Messages};
use crate::format::records::read::{RecordFormat, RecordReader, borders_of, schema_of};
use crate::format::values::Cause;
use arrow::array::ArrayRef;
use arrow_schema::{ArrowError, Schema, SchemaRef};
use highwater_engine::error::SourceError;
use highwater_engine::source::Position;
use std::sync::Arc;

/// A table of files of JSON lines: what all of them have in common.
#[derive(Debug)]
pub struct JsonTable {
    /// The columns that are read.
    pub schema: SchemaRef,
    lines: JsonLines,
}

impl JsonTable {
    /// A table of which a job reads some columns.
    pub fn new(options: &JsonOptions, physical: &Schema, read: &[usize]) -> Result<Self, ArrowError> {
        let schema = schema_of(physical, read)?;
        let names = schema.fields().iter().map(|f| f.name().as_bytes().into()).collect();
        let plan = |(value, field): (usize, &Arc<arrow_schema::Field>)| Plan {
            value,
            place: format!("field {}", field.name()),
            data_type: field.data_type().clone(),
        };
        let columns = schema.fields().iter().enumerate().map(plan).collect();
        let wanted = Wanted { names, fail_on_missing: options.fail_on_missing_field };
        Ok(Self { schema, lines: JsonLines(Arc::new((wanted, columns))) })
    }

    /// A decoder of messages, each of them one object.
    pub fn messages(&self) -> Messages<JsonLines> {
        Messages::new(self.lines.clone(), Framing::Json, self.schema.clone())
    }

    /// Opens a file at its first line, or at a position of this file, and cuts it into blocks of this size.
    pub fn open(
        &self,
        path: &str,
        from: Option<&Position>,
        block_bytes: usize,
    ) -> Result<RecordReader<JsonLines>, SourceError> {
        let lines = self.lines.clone();
        match from {
            None => {
                let borders = borders_of(path, lines.delimiter_and_quote(), block_bytes)?;
                Ok(RecordReader::new(path, lines, &self.schema, 0, (borders, None)))
            }
            Some(from) => RecordReader::resume(path, lines, &self.schema, 0, from, block_bytes),
        }
    }
}

/// The lines of one file: what is wanted of them, and how it is decoded.
#[derive(Clone, Debug)]
pub struct JsonLines(Arc<(Wanted, Vec<Plan>)>);

impl RecordFormat for JsonLines {
    type Values = Fields;

    fn delimiter_and_quote(&self) -> (u8, Option<u8>) {
        // A line break always ends a record.
        (b',', None)
    }
    fn find(&self, block: &Block, at: usize, max_rows: usize, values: &mut Fields) -> usize {
        values.find(&block.data, at, max_rows, &self.0.0)
    }
    fn found(values: &mut Fields) -> &mut Found {
        &mut values.records
    }
    fn columns(&self, block: &Block, values: &Fields, wrong: &mut Wrong) -> Vec<ArrayRef> {
        let decoder = Decoder { rows: values.records.rows(), values: Cells { data: &block.data, fields: values } };
        self.0.1.iter().map(|plan| decoder.column(plan, wrong)).collect()
    }
}

/// The values of one block.
struct Cells<'a> {
    data: &'a [u8],
    fields: &'a Fields,
}

impl Values for Cells<'_> {
    const NUMBERS_HAVE_EXPONENTS: bool = true;

    fn as_written(&self, row: usize, value: usize) -> &[u8] {
        self.fields.as_written(self.data, row, value)
    }

    #[inline(always)]
    fn text<'v>(
        &'v self,
        row: usize,
        value: usize,
        content: Content,
        scratch: &'v mut Vec<u8>,
    ) -> Result<Option<&'v [u8]>, Cause> {
        match self.fields.value(self.data, row, value) {
            Written::Text(text) => Ok(Some(text)),
            Written::Missing | Written::Other(b"null") => Ok(None),
            Written::Escaped(inside) => {
                scratch.clear();
                unescape(inside, scratch);
                Ok(Some(scratch))
            }
            // The digits of a number are no Base64.
            Written::Other(_) if content == Content::Bytes => Err(Cause::Malformed),
            Written::Other(text) => Ok(Some(text)),
        }
    }
}
