//! CSV files as partitions: blocks in order, decoded on any worker.

use super::borders::{Block, Borders, Oversize, Piece, without_line_break};
use super::decode::{Decoder, Plan, Wrong};
use super::fields::Fields;
use super::header::{Layout, names};
use super::{BLOCK_BYTES, CsvOptions, RAW_BYTES_MAX};
use arrow::array::{BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::compute::filter_record_batch;
use arrow_schema::SchemaRef;
use highwater_engine::batch::Offsets;
use highwater_engine::error::SourceError;
use highwater_engine::source::{BadRecord, Chunk, PartitionReader, Position, Read, Split};
use std::fs::File;
use std::io::{Read as _, Seek, SeekFrom};
use std::sync::{Arc, OnceLock};

/// Bytes read at a time where a header or line breaks are looked for.
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
        let schema = Arc::new(physical.project(read)?);
        Ok(Self { options, physical: physical.clone(), read: read.to_vec(), schema })
    }

    /// Opens a file at its first record, or at a position of this file.
    pub fn open(self: &Arc<Self>, path: &str, from: Option<&Position>) -> Result<CsvReader, SourceError> {
        self.open_with_blocks(path, from, BLOCK_BYTES)
    }

    /// Opens a file and cuts it into blocks of this size: a look at the first rows needs no more than a small one.
    pub fn open_with_blocks(
        self: &Arc<Self>,
        path: &str,
        from: Option<&Position>,
        block_bytes: usize,
    ) -> Result<CsvReader, SourceError> {
        let open = |bytes: usize| CsvReader::begin(self, path, self.borders(open_at(path, 0)?, bytes));
        match from {
            None => open(block_bytes),
            Some(from) => open(HEADER_BYTES.min(block_bytes))?.resume(from, block_bytes),
        }
    }

    fn borders(&self, input: File, block_bytes: usize) -> Borders<File> {
        Borders::new(input, self.options.delimiter, self.options.quote, block_bytes)
    }
}

/// One file, read in order.
pub struct CsvReader {
    path: String,
    borders: Borders<File>,
    /// The first block without the header.
    pending: Option<Piece>,
    file: Arc<FilePlan>,
}

/// What the splits of one file share.
#[derive(Debug)]
struct FilePlan {
    table: Arc<CsvTable>,
    width: usize,
    columns: Vec<Plan>,
    /// Number of the first record behind the header: that record has offset 0.
    first: u64,
    lines: Lines,
}

impl CsvReader {
    /// Reads the header, if there is one, and settles which field is which column.
    fn begin(table: &Arc<CsvTable>, path: &str, mut borders: Borders<File>) -> Result<Self, SourceError> {
        let error = |message: &str| SourceError::new(format!("{path}: {message}"));
        let mut layout = Layout::positional(table.physical.fields().len());
        let (mut pending, mut first) = (None, 0);
        if table.options.header {
            layout = match next_piece(&mut borders, path)? {
                None => return Err(error("the file has no header; write one or set csv.header to false")),
                Some(Piece::Oversize(o)) => return Err(error(&format!("line 1, the header: {}", o.reason))),
                Some(Piece::Block(mut block)) => {
                    let header = names(&block.data, &table.options).map_err(|e| error(&e))?;
                    let end = memchr::memchr(b'\n', &block.data).map_or(block.data.len(), |at| at + 1);
                    block.data.drain(..end);
                    block.start += end as u64;
                    block.line += 1;
                    block.record += 1;
                    first = block.record;
                    pending = (!block.data.is_empty()).then_some(Piece::Block(block));
                    Layout::from_header(&header, &table.physical).map_err(|e| error(&e))?
                }
            };
        }
        let column = |&i: &usize| {
            let field = table.physical.field(i);
            Plan { field: layout.fields[i], name: field.name().clone(), data_type: field.data_type().clone() }
        };
        let columns = table.read.iter().map(column).collect();
        let lines = Lines::default();
        let file = Arc::new(FilePlan { table: table.clone(), width: layout.width, columns, first, lines });
        Ok(Self { path: path.to_owned(), borders, pending, file })
    }

    /// Goes on at a position of this file.
    fn resume(self, from: &Position, block_bytes: usize) -> Result<Self, SourceError> {
        let Self { path, file, .. } = self;
        let FilePlan { table, width, columns, first, .. } = &*file;
        let input = open_at(&path, from.at)?;
        let record = first + from.offset.max(0) as u64;
        let borders = table.borders(input, block_bytes).from(from.at, record);
        let lines = Lines { path: path.clone(), until: from.at, before: OnceLock::new() };
        let (table, columns) = (table.clone(), columns.clone());
        let file = Arc::new(FilePlan { table, width: *width, columns, first: *first, lines });
        Ok(Self { path, borders, pending: None, file })
    }
}

fn next_piece(borders: &mut Borders<File>, path: &str) -> Result<Option<Piece>, SourceError> {
    borders.next_piece().map_err(|e| SourceError::new(crate::files::io_error("read", path, &e)))
}

/// A file at this byte.
fn open_at(path: &str, at: u64) -> Result<File, SourceError> {
    let mut file = File::open(path).map_err(|e| SourceError::new(crate::files::io_error("open", path, &e)))?;
    if at > 0 {
        let sought = file.seek(SeekFrom::Start(at));
        sought.map_err(|e| SourceError::new(crate::files::io_error("read", path, &e)))?;
    }
    Ok(file)
}

/// Line numbers of a file whose reading began in its middle. Only bad records ask for lines, so the lines before are
/// counted when the first one does: that reads the file up to there, once.
#[derive(Debug, Default)]
struct Lines {
    path: String,
    /// Where reading began.
    until: u64,
    before: OnceLock<u64>,
}

impl Lines {
    /// The line of the file that is this one since reading began.
    fn of(&self, line: u64) -> Result<u64, SourceError> {
        let before = match self.before.get() {
            Some(before) => *before,
            None => {
                let before = self.count()?;
                *self.before.get_or_init(|| before)
            }
        };
        Ok(before + line)
    }

    fn count(&self) -> Result<u64, SourceError> {
        if self.until == 0 {
            return Ok(0);
        }
        let mut input = open_at(&self.path, 0)?.take(self.until);
        let (mut buffer, mut lines) = (vec![0; HEADER_BYTES], 0);
        loop {
            let read = input.read(&mut buffer);
            match read.map_err(|e| SourceError::new(crate::files::io_error("read", &self.path, &e)))? {
                0 => return Ok(lines),
                read => lines += memchr::memchr_iter(b'\n', &buffer[..read]).count() as u64,
            }
        }
    }
}

impl PartitionReader for CsvReader {
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
                    fields: Fields::default(),
                }),
                Piece::Oversize(oversize) => Box::new(OversizeSplit { file, oversize: Some(oversize) }),
            }
        }))
    }
}

/// A record that can't be read, alone.
struct OversizeSplit {
    file: Arc<FilePlan>,
    oversize: Option<Oversize>,
}

impl Split for OversizeSplit {
    fn read(&mut self, _max_rows: usize) -> Result<Read, SourceError> {
        let Some(o) = self.oversize.take() else { return Ok(Read::End) };
        let offset = (o.record - self.file.first) as i64;
        let line = self.file.lines.of(o.line)?;
        let bad = BadRecord { offset, reason: format!("line {line}: {}", o.reason), raw: Some(o.raw) };
        let columns = RecordBatch::new_empty(self.file.table.schema.clone());
        let end = Position { offset: offset + 1, at: o.start + o.bytes };
        Ok(Read::Rows(Chunk { columns, offsets: Offsets::Run(offset), bad: vec![bad], bytes: o.bytes, end }))
    }
}

/// A block being decoded.
struct BlockSplit {
    file: Arc<FilePlan>,
    block: Block,
    /// Where the next record starts, and its number.
    at: usize,
    record: u64,
    /// Line of the byte at `line_pos`: carried along, as only bad records ask for lines.
    line_at: u64,
    line_pos: usize,
    fields: Fields,
}

impl Split for BlockSplit {
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

impl BlockSplit {
    /// Decodes the next records of the block, which has some.
    fn decode(&mut self, max_rows: usize) -> Result<Chunk, SourceError> {
        let file = self.file.clone();
        let CsvOptions { delimiter, quote, null_literal, .. } = &file.table.options;
        let quote = quote.filter(|_| self.block.quoted);
        let start = self.at;
        self.at = self.fields.find(&self.block.data, start, file.width, *delimiter, quote, max_rows);
        if self.at == start {
            let message =
                format!("the border scan and the decoder disagree at line {}", file.lines.of(self.block.line)?);
            return Err(SourceError::new(format!("{message}; this is a bug, please report it with the file")));
        }
        let null_literal = null_literal.as_deref().map(str::as_bytes);
        let decoder = Decoder { data: &self.block.data, fields: &self.fields, quote, null_literal };
        let mut wrong = Wrong::new();
        let columns: Vec<_> = file.columns.iter().map(|plan| decoder.column(plan, &mut wrong)).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(self.fields.rows()));
        let batch = RecordBatch::try_new_with_options(file.table.schema.clone(), columns, &options).map_err(|e| {
            SourceError::new(format!("CSV decoder: {e}; this is a bug, please report it with the file"))
        })?;
        self.chunk(batch, wrong, start)
    }

    /// The good rows and, in order, the bad ones.
    fn chunk(&mut self, batch: RecordBatch, wrong: Wrong, start: usize) -> Result<Chunk, SourceError> {
        let base = (self.record - self.file.first) as i64;
        self.record += u64::from(self.fields.found);
        let bytes = (self.at - start) as u64;
        let next = (self.record - self.file.first) as i64;
        let end = Position { offset: next, at: self.block.start + self.at as u64 };
        if wrong.is_empty() && self.fields.rows() == self.fields.found as usize {
            return Ok(Chunk { columns: batch, offsets: Offsets::Run(base), bad: Vec::new(), bytes, end });
        }
        let good: BooleanArray = (0..batch.num_rows()).map(|row| Some(!wrong.contains_key(&row))).collect();
        let columns = if wrong.is_empty() {
            batch
        } else {
            filter_record_batch(&batch, &good).map_err(|e| SourceError::new(e.to_string()))?
        };
        let good_rows = (0..good.len()).filter(|row| good.value(*row));
        let offsets = good_rows.map(|row| base + i64::from(self.fields.ordinal(row))).collect();
        let bad = self.bad_records(wrong, base)?;
        Ok(Chunk { columns, offsets: Offsets::List(offsets), bad, bytes, end })
    }

    fn bad_records(&mut self, wrong: Wrong, base: i64) -> Result<Vec<BadRecord>, SourceError> {
        let data = &self.block.data;
        let mut bad: Vec<(u32, usize, &[u8], String)> = self
            .fields
            .misshapen
            .iter()
            .map(|m| {
                let (start, end) = (m.start as usize, m.end as usize);
                (m.ordinal, start, without_line_break(&data[start..end]), m.reason.clone())
            })
            .collect();
        bad.extend(wrong.into_iter().map(|(row, reason)| {
            (self.fields.ordinal(row), self.fields.start(row), self.fields.record(data, row), reason)
        }));
        bad.sort_unstable_by_key(|b| b.0);
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
                let raw = Some(raw[..raw.len().min(RAW_BYTES_MAX)].to_vec());
                let reason = format!("line {}, {reason}", before + line);
                BadRecord { offset: base + i64::from(ordinal), reason, raw }
            })
            .collect();
        (self.line_at, self.line_pos) = (line, pos);
        Ok(records)
    }
}
