//! Files of records as partitions: blocks in order, decoded on any worker.

use super::borders::{Block, Borders, Oversize, Piece};
use super::decode::Wrong;
use super::found::Found;
use super::input::Input;
use super::lines::Lines;
use super::{BLOCK_BYTES, bad_record};
use arrow::array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::compute::filter_record_batch;
use arrow_schema::{ArrowError, Schema, SchemaRef};
use highwater_engine::batch::Offsets;
use highwater_engine::error::SourceError;
use highwater_engine::source::{BadRecord, Chunk, PartitionReader, Position, Read, Split};
use std::sync::Arc;

/// What is a format's own: how records of one file are found and decoded.
pub trait RecordFormat: Send + Sync + 'static {
    /// Where the values of some records are; its memory is used again from chunk to chunk.
    type Values: Default + Send;

    /// Between fields, and around those that may hold it and line breaks (`None` if nothing does).
    fn delimiter_and_quote(&self) -> (u8, Option<u8>);

    /// Finds the records of a block from byte `at` on, where one begins, at most `max_rows`; returns where it stopped.
    fn find(&self, block: &Block, at: usize, max_rows: usize, values: &mut Self::Values) -> usize;

    /// The records found.
    fn found(values: &mut Self::Values) -> &mut Found;

    /// The columns of the good records. A row with a value that does not decode is noted in `wrong`.
    fn columns(&self, block: &Block, values: &Self::Values, wrong: &mut Wrong) -> Vec<ArrayRef>;
}

/// The schema of the columns that are read. A record may lack any of them: what NOT NULL asks for is judged behind.
pub fn schema_of(physical: &Schema, read: &[usize]) -> Result<SchemaRef, ArrowError> {
    let fields = physical.project(read)?.fields;
    Ok(Arc::new(Schema::new(fields.iter().map(|f| f.as_ref().clone().with_nullable(true)).collect::<Vec<_>>())))
}

/// The rows of which every value has decoded.
pub fn filtered(batch: RecordBatch, wrong: &Wrong) -> Result<RecordBatch, SourceError> {
    if wrong.is_empty() {
        return Ok(batch);
    }
    let good: BooleanArray = (0..batch.num_rows()).map(|row| Some(!wrong.contains_key(&row))).collect();
    filter_record_batch(&batch, &good).map_err(|e| SourceError::new(e.to_string()))
}

/// One file, read in order.
pub struct RecordReader<F> {
    path: String,
    borders: Borders<Input>,
    /// A piece that is read already.
    pending: Option<Piece>,
    file: Arc<RecordFile<F>>,
}

/// What the splits of one file share.
struct RecordFile<F> {
    format: F,
    schema: SchemaRef,
    /// Number of the record that has offset 0.
    first: u64,
    lines: Lines,
}

/// A file to cut from its beginning on, into blocks of about this size.
pub fn borders_of(
    path: &str,
    (delimiter, quote): (u8, Option<u8>),
    block_bytes: usize,
) -> Result<Borders<Input>, SourceError> {
    Ok(Borders::new(Input::open(path, 0)?, delimiter, quote, block_bytes))
}

/// The next piece of a file.
pub fn next_piece(borders: &mut Borders<Input>, path: &str) -> Result<Option<Piece>, SourceError> {
    borders.next_piece().map_err(|e| SourceError::new(crate::files::io_error("read", path, &e)))
}

impl<F: RecordFormat> RecordReader<F> {
    /// A file from its first record on, which has number `first`; `pending` is what was read of it behind its header.
    pub fn new(
        path: &str,
        format: F,
        schema: &SchemaRef,
        first: u64,
        (borders, pending): (Borders<Input>, Option<Piece>),
    ) -> Self {
        let file = Arc::new(RecordFile { format, schema: schema.clone(), first, lines: Lines::default() });
        Self { path: path.to_owned(), borders, pending, file }
    }

    /// A file from one of its positions on.
    pub fn resume(
        path: &str,
        format: F,
        schema: &SchemaRef,
        first: u64,
        from: &Position,
        block_bytes: usize,
    ) -> Result<Self, SourceError> {
        let (delimiter, quote) = format.delimiter_and_quote();
        let record = first + from.offset.max(0) as u64;
        let borders = Borders::new(Input::open(path, from.at)?, delimiter, quote, block_bytes.min(BLOCK_BYTES))
            .from(from.at, record);
        let lines = Lines::new(path, from.at);
        let file = Arc::new(RecordFile { format, schema: schema.clone(), first, lines });
        Ok(Self { path: path.to_owned(), borders, pending: None, file })
    }
}

impl<F: RecordFormat> PartitionReader for RecordReader<F> {
    fn next_split(&mut self) -> Result<Option<Box<dyn Split>>, SourceError> {
        let piece = match self.pending.take() {
            Some(piece) => Some(piece),
            None => next_piece(&mut self.borders, &self.path)?,
        };
        let file = self.file.clone();
        Ok(piece.map(|piece| -> Box<dyn Split> {
            match piece {
                Piece::Block(block) => Box::new(BlockSplit {
                    line_at: block.line,
                    record: block.record,
                    file,
                    block,
                    at: 0,
                    line_pos: 0,
                    values: F::Values::default(),
                }),
                Piece::Oversize(oversize) => Box::new(OversizeSplit { file, oversize: Some(oversize) }),
            }
        }))
    }
}

/// A record that can't be read, alone.
struct OversizeSplit<F> {
    file: Arc<RecordFile<F>>,
    oversize: Option<Oversize>,
}

impl<F: RecordFormat> Split for OversizeSplit<F> {
    fn read(&mut self, _max_rows: usize) -> Result<Read, SourceError> {
        let Some(o) = self.oversize.take() else { return Ok(Read::End) };
        let offset = (o.record - self.file.first) as i64;
        let line = self.file.lines.of(o.line)?;
        let bad = BadRecord { offset, reason: format!("line {line}: {}", o.reason), raw: Some(o.raw) };
        let columns = RecordBatch::new_empty(self.file.schema.clone());
        let end = Position { offset: offset + 1, at: o.start + o.bytes };
        Ok(Read::Rows(Chunk { columns, offsets: Offsets::Run(offset), bad: vec![bad], bytes: o.bytes, end }))
    }
}

/// A block being decoded.
struct BlockSplit<F: RecordFormat> {
    file: Arc<RecordFile<F>>,
    block: Block,
    /// Where the next record starts, and its number.
    at: usize,
    record: u64,
    /// Line of the byte at `line_pos`: carried along, as only bad records ask for lines.
    line_at: u64,
    line_pos: usize,
    values: F::Values,
}

impl<F: RecordFormat> Split for BlockSplit<F> {
    fn read(&mut self, max_rows: usize) -> Result<Read, SourceError> {
        while self.at < self.block.data.len() {
            let chunk = self.decode(max_rows.max(1))?;
            // Nothing but empty lines is no chunk.
            if chunk.columns.num_rows() > 0 || !chunk.bad.is_empty() {
                return Ok(Read::Rows(chunk));
            }
        }
        Ok(Read::End)
    }
}

impl<F: RecordFormat> BlockSplit<F> {
    /// Decodes the next records of the block, which has some.
    fn decode(&mut self, max_rows: usize) -> Result<Chunk, SourceError> {
        let file = self.file.clone();
        let start = self.at;
        self.at = file.format.find(&self.block, start, max_rows, &mut self.values);
        if self.at == start {
            let message =
                format!("the border scan and the decoder disagree at line {}", file.lines.of(self.block.line)?);
            return Err(SourceError::new(format!("{message}; this is a bug, please report it with the file")));
        }
        let mut wrong = Wrong::new();
        let columns = file.format.columns(&self.block, &self.values, &mut wrong);
        let options = RecordBatchOptions::new().with_row_count(Some(F::found(&mut self.values).rows()));
        let batch = RecordBatch::try_new_with_options(file.schema.clone(), columns, &options)
            .map_err(|e| SourceError::new(format!("decoder: {e}; this is a bug, please report it with the file")))?;
        self.chunk(batch, wrong, start)
    }

    /// The good rows and, in order, the bad ones.
    fn chunk(&mut self, batch: RecordBatch, wrong: Wrong, start: usize) -> Result<Chunk, SourceError> {
        let found = F::found(&mut self.values);
        let base = (self.record - self.file.first) as i64;
        self.record += found.count() as u64;
        let bytes = (self.at - start) as u64;
        let next = (self.record - self.file.first) as i64;
        let end = Position { offset: next, at: self.block.start + self.at as u64 };
        if wrong.is_empty() && found.rows() == found.count() {
            return Ok(Chunk { columns: batch, offsets: Offsets::Run(base), bad: Vec::new(), bytes, end });
        }
        let good_rows = (0..batch.num_rows()).filter(|row| !wrong.contains_key(row));
        let offsets = good_rows.map(|row| base + i64::from(found.ordinal(row))).collect();
        let columns = filtered(batch, &wrong)?;
        let bad = self.bad_records(wrong, base)?;
        Ok(Chunk { columns, offsets: Offsets::List(offsets), bad, bytes, end })
    }

    fn bad_records(&mut self, wrong: Wrong, base: i64) -> Result<Vec<BadRecord>, SourceError> {
        let data = &self.block.data;
        let bad = F::found(&mut self.values).bad(data, wrong);
        if bad.is_empty() {
            return Ok(Vec::new());
        }
        let before = self.file.lines.of(0)?;
        let (mut line, mut pos) = (self.line_at, self.line_pos);
        let records = bad
            .into_iter()
            .map(|(ordinal, start, raw, reason)| {
                line += memchr::memchr_iter(b'\n', &data[pos..start]).count() as u64;
                pos = start;
                bad_record(base + i64::from(ordinal), format!("line {}, {reason}", before + line), Some(raw))
            })
            .collect();
        (self.line_at, self.line_pos) = (line, pos);
        Ok(records)
    }
}
