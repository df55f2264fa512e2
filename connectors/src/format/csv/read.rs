//! CSV files: the header, and what [`RecordReader`] needs to know of the records behind it.

use super::CsvOptions;
use super::fields::Fields;
use super::header::{Layout, names};
use crate::format::records::borders::{Block, Borders, Piece};
use crate::format::records::decode::{Decoder, Plan, Wrong};
use crate::format::records::found::Found;
use crate::format::records::input::Input;
use crate::format::records::messages::{Framing, Messages};
use crate::format::records::read::{RecordFormat, RecordReader, borders_of, next_piece, schema_of};
use arrow::array::ArrayRef;
use arrow_schema::SchemaRef;
use highwater_engine::error::SourceError;
use highwater_engine::source::Position;

/// Bytes of the blocks in which a header is read.
const HEADER_BYTES: usize = 64 << 10;

/// A table of CSV files: what all of them have in common.
#[derive(Debug)]
pub struct CsvTable {
    /// The format's options.
    pub options: CsvOptions,
    /// The declared columns.
    pub physical: SchemaRef,
    /// The declared columns that are decoded, ascending.
    pub read: Vec<usize>,
    /// Their schema.
    pub schema: SchemaRef,
}

impl CsvTable {
    /// A table of which a job reads some columns.
    pub fn new(options: CsvOptions, physical: &SchemaRef, read: &[usize]) -> Result<Self, arrow::error::ArrowError> {
        Ok(Self { options, physical: physical.clone(), read: read.to_vec(), schema: schema_of(physical, read)? })
    }

    /// Opens a file at its first record, or at a position of this file, and cuts it into blocks of this size: a look at the
    /// first rows needs no more than a small one.
    pub fn open(
        &self,
        path: &str,
        from: Option<&Position>,
        block_bytes: usize,
    ) -> Result<RecordReader<CsvFile>, SourceError> {
        let CsvOptions { delimiter, quote, .. } = self.options;
        let first_bytes = if from.is_some() { HEADER_BYTES.min(block_bytes) } else { block_bytes };
        let mut borders = borders_of(path, (delimiter, quote), first_bytes)?;
        let (layout, first, pending) = self.begin(path, &mut borders)?;
        let file = self.records(&layout);
        match from {
            None => Ok(RecordReader::new(path, file, &self.schema, first, (borders, pending))),
            Some(from) => RecordReader::resume(path, file, &self.schema, first, from, block_bytes),
        }
    }

    /// A decoder of messages, each of them one record with the columns by position.
    pub fn messages(&self) -> Messages<CsvFile> {
        let layout = Layout::positional(self.physical.fields().len());
        let CsvOptions { delimiter, quote, .. } = self.options;
        Messages::new(self.records(&layout), Framing::Csv { delimiter, quote }, self.schema.clone())
    }

    fn records(&self, layout: &Layout) -> CsvFile {
        let column = |&i: &usize| {
            let (field, name) = (layout.fields[i], self.physical.field(i).name());
            let place = format!("column {} ({name})", field + 1);
            Plan { value: field, place, data_type: self.physical.field(i).data_type().clone() }
        };
        let columns = self.read.iter().map(column).collect();
        CsvFile { options: self.options.clone(), width: layout.width, columns }
    }

    /// Reads the header, if there is one, and settles which field is which column: also the number of the first record
    /// behind it, and what was read of it.
    fn begin(&self, path: &str, borders: &mut Borders<Input>) -> Result<(Layout, u64, Option<Piece>), SourceError> {
        if !self.options.header {
            return Ok((Layout::positional(self.physical.fields().len()), 0, None));
        }
        let error = |message: &str| SourceError::new(format!("{path}: {message}"));
        match next_piece(borders, path)? {
            None => Err(error("the file has no header; write one or set csv.header to false")),
            Some(Piece::Oversize(o)) => Err(error(&format!("line 1, the header: {}", o.reason))),
            Some(Piece::Block(mut block)) => {
                let header = names(&block.data, &self.options).map_err(|e| error(&e))?;
                let layout = Layout::from_header(&header, &self.physical).map_err(|e| error(&e))?;
                let end = memchr::memchr(b'\n', &block.data).map_or(block.data.len(), |at| at + 1);
                block.data.drain(..end);
                block.start += end as u64;
                block.line += 1;
                block.record += 1;
                let first = block.record;
                Ok((layout, first, (!block.data.is_empty()).then_some(Piece::Block(block))))
            }
        }
    }
}

/// One CSV file.
#[derive(Debug)]
pub struct CsvFile {
    options: CsvOptions,
    /// Fields of a record.
    width: usize,
    columns: Vec<Plan>,
}

impl CsvFile {
    /// The quote character, if the block holds any.
    fn quote(&self, block: &Block) -> Option<u8> {
        self.options.quote.filter(|_| block.quoted)
    }
}

impl RecordFormat for CsvFile {
    type Values = Fields;

    fn delimiter_and_quote(&self) -> (u8, Option<u8>) {
        (self.options.delimiter, self.options.quote)
    }
    fn find(&self, block: &Block, at: usize, max_rows: usize, values: &mut Fields) -> usize {
        values.find(&block.data, at, self.width, self.options.delimiter, self.quote(block), max_rows)
    }
    fn found(values: &mut Fields) -> &mut Found {
        &mut values.records
    }
    fn columns(&self, block: &Block, values: &Fields, wrong: &mut Wrong) -> Vec<ArrayRef> {
        let null_literal = self.options.null_literal.as_deref().map(str::as_bytes);
        let cells = super::cells::Cells { data: &block.data, fields: values, quote: self.quote(block), null_literal };
        let decoder = Decoder { rows: values.records.rows(), values: cells };
        self.columns.iter().map(|plan| decoder.column(plan, wrong)).collect()
    }
}
