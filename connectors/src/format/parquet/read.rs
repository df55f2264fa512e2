//! Parquet files as partitions: a split is a row group.

use super::Conversion;
use super::codec::unreadable;
use crate::options::nearest;
use arrow::array::{BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use highwater_engine::batch::Offsets;
use highwater_engine::error::SourceError;
use highwater_engine::graph::types::{fraction_digits, sql_type};
use highwater_engine::source::{BadRecord, Chunk, PartitionReader, Position, Read, Split};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::statistics::Statistics;
use std::fmt::Display;
use std::fs::File;
use std::io::Read as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// A table of Parquet files: what all of them have in common.
#[derive(Debug)]
pub struct ParquetTable {
    /// The declared columns.
    pub physical: SchemaRef,
    /// The declared columns that are decoded, ascending.
    pub read: Vec<usize>,
    /// Their schema.
    pub schema: SchemaRef,
}

impl ParquetTable {
    /// A table of which a job reads some columns.
    pub fn new(physical: &SchemaRef, read: &[usize]) -> Result<Self, arrow::error::ArrowError> {
        Ok(Self { physical: physical.clone(), read: read.to_vec(), schema: Arc::new(physical.project(read)?) })
    }
}

/// A file whose footer is read and whose columns are found.
#[derive(Debug)]
pub struct ParquetFile {
    table: Arc<ParquetTable>,
    path: String,
    metadata: ArrowReaderMetadata,
    columns: Vec<FileColumn>,
    mask: ProjectionMask,
}

/// A column to decode.
#[derive(Debug)]
struct FileColumn {
    /// Its place among the file's columns, and among those that are decoded.
    root: usize,
    decoded: usize,
    conversion: Conversion,
}

impl ParquetFile {
    /// Reads the footer and checks every declared column that the job reads.
    pub fn open(table: &Arc<ParquetTable>, path: &str) -> Result<Self, SourceError> {
        let file = File::open(path).map_err(|e| SourceError::new(crate::files::io_error("open", path, &e)))?;
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let metadata = unharmed(|| ArrowReaderMetadata::load(&file, options))
            .map_err(|e| SourceError::new(not_parquet(&file, path, &e)))?;
        let mut columns = Vec::new();
        for field in table.schema.fields() {
            columns.push(find(metadata.schema(), field.name(), field.data_type(), path)?);
        }
        let mut roots: Vec<_> = columns.iter().map(|c| c.root).collect();
        roots.sort_unstable();
        roots.dedup();
        columns.iter_mut().for_each(|c| c.decoded = roots.binary_search(&c.root).unwrap_or(0));
        let mask = ProjectionMask::roots(metadata.parquet_schema(), roots);
        if let Some(what) = unreadable(metadata.metadata(), |leaf| mask.leaf_included(leaf)) {
            return Err(SourceError::new(format!("{path}: {what}")));
        }
        Ok(Self { table: table.clone(), path: path.to_owned(), metadata, columns, mask })
    }

    /// The schema of the decoded columns.
    pub fn schema(&self) -> SchemaRef {
        self.table.schema.clone()
    }

    /// Rows in all.
    pub fn rows(&self) -> u64 {
        self.groups().iter().map(|g| g.num_rows().max(0) as u64).sum()
    }

    /// The smallest value of a declared column by the file's statistics, as milliseconds: of a timestamp, or of a BIGINT
    /// that holds milliseconds. `None` if some row group has none.
    pub fn least_ms(&self, physical: usize) -> Option<i64> {
        let root = self.metadata.schema().index_of(self.table.physical.field(physical).name()).ok()?;
        let digits = match self.metadata.schema().field(root).data_type() {
            DataType::Timestamp(unit, _) => fraction_digits(*unit),
            DataType::Int64 => 3,
            _ => return None,
        };
        let leaf = (0..self.metadata.parquet_schema().num_columns())
            .find(|leaf| self.metadata.parquet_schema().get_column_root_idx(*leaf) == root)?;
        let least = |g: &RowGroupMetaData| match g.column(leaf).statistics()? {
            Statistics::Int64(s) => s.min_opt().copied(),
            _ => None,
        };
        let groups = self.groups().iter().filter(|g| g.num_rows() > 0);
        let least = groups.map(least).collect::<Option<Vec<_>>>()?.into_iter().min()?;
        Some(match digits {
            0 => least.checked_mul(1000)?,
            _ => least.div_euclid(10i64.pow(digits - 3)),
        })
    }

    fn groups(&self) -> &[RowGroupMetaData] {
        self.metadata.metadata().row_groups()
    }

    /// Compressed bytes of the columns that are decoded.
    fn bytes(&self, group: usize) -> u64 {
        let schema = self.metadata.parquet_schema();
        let group = &self.groups()[group];
        let leaves = (0..schema.num_columns()).filter(|leaf| self.mask.leaf_included(*leaf));
        leaves.map(|leaf| group.column(leaf).compressed_size().max(0) as u64).sum()
    }

    /// Decodes a row group from a row on: pages before it are skipped, not decoded.
    fn decode(&self, group: usize, from: i64, batch_rows: usize) -> Result<ParquetRecordBatchReader, SourceError> {
        let file =
            File::open(&self.path).map_err(|e| SourceError::new(crate::files::io_error("open", &self.path, &e)))?;
        unharmed(|| {
            ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone())
                .with_row_groups(vec![group])
                .with_offset(from.max(0) as usize)
                .with_projection(self.mask.clone())
                .with_batch_size(batch_rows)
                .build()
        })
        .map_err(|e| self.damaged(group, &e))
    }

    fn damaged(&self, group: usize, error: &str) -> SourceError {
        self.in_group(group, &format!("{error}; the file is damaged, write it again"))
    }

    fn in_group(&self, group: usize, message: &str) -> SourceError {
        SourceError::new(format!("{}, row group {group}: {message}", self.path))
    }

    /// The declared columns of a decoded batch, and its bad rows.
    fn convert(&self, batch: &RecordBatch, group: usize) -> Result<(RecordBatch, Vec<(usize, String)>), SourceError> {
        let (mut columns, mut bad) = (Vec::with_capacity(self.columns.len()), Vec::new());
        for (column, field) in self.columns.iter().zip(self.table.schema.fields()) {
            let found = batch.column(column.decoded);
            let (array, wrong) =
                column.conversion.apply(found, field.data_type()).map_err(|e| self.damaged(group, &e.to_string()))?;
            columns.push(array);
            bad.extend(wrong.into_iter().map(|(row, what)| (row, format!("column {}: {what}", field.name()))));
        }
        bad.sort_by_key(|(row, _)| *row);
        bad.dedup_by_key(|(row, _)| *row);
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let batch = RecordBatch::try_new_with_options(self.table.schema.clone(), columns, &options)
            .map_err(|e| self.damaged(group, &e.to_string()))?;
        Ok((batch, bad))
    }
}

/// Calls the Parquet library, which checks most of a damaged file but panics on some of it. What was being read is not
/// used again.
fn unharmed<T, E: Display>(call: impl FnOnce() -> Result<T, E>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => result.map_err(|e| e.to_string()),
        Err(_) => Err("its bytes make no sense".to_owned()),
    }
}

/// Finds a declared column in a file.
fn find(file: &Schema, name: &str, declared: &DataType, path: &str) -> Result<FileColumn, SourceError> {
    let Ok(root) = file.index_of(name) else {
        let names: Vec<_> = file.fields().iter().map(|f| f.name().as_str()).collect();
        let hint = match nearest(name, &names) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("it has {}", names.join(", ")),
        };
        return Err(SourceError::new(format!("{path} has no column {name}; {hint}")));
    };
    let found = file.field(root).data_type();
    match Conversion::between(found, declared) {
        Some(conversion) => Ok(FileColumn { root, decoded: 0, conversion }),
        None => {
            let (found, declared) = (sql_type(found), sql_type(declared));
            let message = format!(
                "{path}, column {name}: the file has {found}, the table declares {declared}; declare {name} {found}"
            );
            Err(SourceError::new(message))
        }
    }
}

/// Why a footer can't be read.
fn not_parquet(mut file: &File, path: &str, error: &str) -> String {
    use std::io::Seek;
    let mut magic = [0; 4];
    let begins = file.rewind().and_then(|()| file.read_exact(&mut magic));
    match (begins, &magic) {
        (Ok(()), b"PAR1") => format!("{path} is a truncated or damaged Parquet file ({error}); write it again"),
        _ => format!("{path} is no Parquet file (it does not begin with PAR1); remove it or change the table's format"),
    }
}

/// A file's row groups, in order.
pub struct ParquetReader {
    file: Arc<ParquetFile>,
    group: usize,
    /// Rows of the next row group that are read already.
    row: i64,
    /// Offset of its first row.
    base: i64,
}

impl ParquetReader {
    /// Begins at the first row, or at a position of this file.
    ///
    /// # Errors
    /// The file has no such position.
    pub fn new(file: Arc<ParquetFile>, from: Option<&Position>) -> Result<Self, SourceError> {
        let Some(from) = from else { return Ok(Self { file, group: 0, row: 0, base: 0 }) };
        let (group, row) = unpack(from.at);
        let before = file.groups().iter().take(group).map(RowGroupMetaData::num_rows).sum();
        let rows = file.groups().get(group).map_or(0, RowGroupMetaData::num_rows);
        if row > rows || before + row != from.offset {
            return Err(SourceError::new(format!(
                "{}: row {row} of row group {group} is not the file's row {}, which the checkpoint names; the file has \
                 changed, put the old one back or start without the checkpoint",
                file.path, from.offset
            )));
        }
        Ok(Self { file, group, row, base: before })
    }
}

/// Row group and row as [`Position::at`].
fn pack(group: usize, row: i64) -> u64 {
    (group as u64) << 32 | row as u64
}

fn unpack(at: u64) -> (usize, i64) {
    ((at >> 32) as usize, (at & u64::from(u32::MAX)) as i64)
}

impl PartitionReader for ParquetReader {
    fn next_split(&mut self) -> Result<Option<Box<dyn Split>>, SourceError> {
        let Some(group) = self.file.groups().get(self.group) else { return Ok(None) };
        let (rows, row) = (group.num_rows(), std::mem::take(&mut self.row));
        if rows > i64::from(u32::MAX) {
            let message = format!("it has {rows} rows, the most are {}; write smaller row groups", u32::MAX);
            return Err(self.file.in_group(self.group, &message));
        }
        let (file, bytes) = (self.file.clone(), self.file.bytes(self.group));
        let split = Group { file, group: self.group, base: self.base, row, rows, bytes, state: State::New };
        self.group += 1;
        self.base += rows;
        Ok(Some(Box::new(split)))
    }
}

/// A row group being decoded.
struct Group {
    file: Arc<ParquetFile>,
    group: usize,
    /// Offset of its first row.
    base: i64,
    /// The next row, and how many there are.
    row: i64,
    rows: i64,
    /// Its bytes.
    bytes: u64,
    state: State,
}

enum State {
    New,
    Reading(Box<ParquetRecordBatchReader>),
}

impl Group {
    /// The group's bytes spread evenly over its rows, so that those of parts add up to the whole.
    fn bytes_before(&self, row: i64) -> u64 {
        (u128::from(self.bytes) * row.max(0) as u128 / self.rows.max(1) as u128) as u64
    }
}

impl Split for Group {
    fn read(&mut self, max_rows: usize) -> Result<Read, SourceError> {
        if let State::New = self.state {
            self.state = State::Reading(Box::new(self.file.decode(self.group, self.row, max_rows.max(1))?));
        }
        let State::Reading(reader) = &mut self.state else { return Ok(Read::End) };
        let batch = unharmed(|| reader.next().transpose()).map_err(|e| self.file.damaged(self.group, &e))?;
        let Some(batch) = batch else {
            if self.row != self.rows {
                let missing = format!("{} rows are missing", self.rows - self.row);
                return Err(self.file.damaged(self.group, &missing));
            }
            return Ok(Read::End);
        };
        let (rows, bad) = self.file.convert(&batch, self.group)?;
        let (first, offset) = (self.row, self.base + self.row);
        self.row += rows.num_rows() as i64;
        let bytes = self.bytes_before(self.row) - self.bytes_before(first);
        let end = Position { offset: self.base + self.row, at: pack(self.group, self.row) };
        if bad.is_empty() {
            return Ok(Read::Rows(Chunk { columns: rows, offsets: Offsets::Run(offset), bad: Vec::new(), bytes, end }));
        }
        let mut good = vec![true; rows.num_rows()];
        bad.iter().for_each(|(row, _)| good[*row] = false);
        let offsets = (0..good.len()).filter(|row| good[*row]).map(|row| offset + row as i64).collect();
        let columns = filter_record_batch(&rows, &BooleanArray::from(good))
            .map_err(|e| self.file.damaged(self.group, &e.to_string()))?;
        let record = |(row, what): (usize, String)| {
            let offset = offset + row as i64;
            BadRecord { offset, reason: format!("row {offset}, {what}"), raw: None }
        };
        let bad = bad.into_iter().map(record).collect();
        Ok(Read::Rows(Chunk { columns, offsets: Offsets::List(offsets), bad, bytes, end }))
    }
}
