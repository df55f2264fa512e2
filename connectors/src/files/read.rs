//! Tables of files as sources.

use super::listing::list;
use super::options::{FileOptions, Format};
use crate::format::csv::read::CsvTable;
use crate::format::json::read::JsonTable;
use crate::format::parquet::read::ParquetReader;
use crate::format::parquet::{ParquetFile, ParquetTable};
use crate::format::records::BLOCK_BYTES;
use crate::format::records::input::Input;
use arrow::datatypes::{DataType, TimeUnit};
use highwater_engine::error::{BuildError, SourceError};
use highwater_engine::expr::{Expr, Literal};
use highwater_engine::graph::SourceSpec;
use highwater_engine::source::{PartitionInfo, PartitionReader, Position, Read, Source};
use std::io::Read as _;
use std::sync::Arc;

/// Bytes of a file of text that are looked at when a job is planned.
const PEEK_BYTES: usize = 64 << 10;

/// An open table of files.
#[derive(Debug)]
pub struct FileSource {
    partitions: Vec<PartitionInfo>,
    format: Files,
}

#[derive(Debug)]
enum Files {
    Text(Box<dyn TextTable>),
    Parquet(Vec<Arc<ParquetFile>>),
}

impl FileSource {
    /// Lists the files, checks what can be checked before reading, and looks at their first event times.
    pub fn new(options: &FileOptions, spec: &SourceSpec) -> Result<Self, BuildError> {
        let error = |message: String| BuildError::new(format!("table {}: {message}", spec.table));
        let files = list(&options.path).map_err(error)?;
        let (physical, time) = (&spec.physical, time_column(spec));
        let internal = |e: arrow::error::ArrowError| error(e.to_string());
        match &options.format {
            Format::Csv(csv) => {
                let table = |read: &[usize]| CsvTable::new(csv.clone(), physical, read);
                let narrow = time.map(|t| table(&[t])).transpose().map_err(internal)?;
                Self::text(files, table(&spec.read).map_err(internal)?, narrow).map_err(error)
            }
            Format::Json(json) => {
                let table = |read: &[usize]| JsonTable::new(json, physical, read);
                let narrow = time.map(|t| table(&[t])).transpose().map_err(internal)?;
                Self::text(files, table(&spec.read).map_err(internal)?, narrow).map_err(error)
            }
            Format::Parquet => {
                let table = Arc::new(ParquetTable::new(physical, &spec.read).map_err(internal)?);
                let (mut partitions, mut opened) = (Vec::new(), Vec::new());
                for (path, _) in files {
                    let file = ParquetFile::open(&table, &path).map_err(|e| error(e.message))?;
                    let first_time_ms = time.and_then(|t| file.least_ms(t));
                    partitions.push(PartitionInfo { name: path, first_time_ms, start: None });
                    opened.push(Arc::new(file));
                }
                Ok(Self { partitions, format: Files::Parquet(opened) })
            }
        }
    }
}

impl FileSource {
    /// Files of text; `narrow` is the same table, of which only the event time is read.
    fn text<T: TextTable + 'static>(files: Vec<(String, u64)>, table: T, narrow: Option<T>) -> Result<Self, String> {
        let mut partitions = Vec::with_capacity(files.len());
        for (path, _) in files {
            not_foreign(&path)?;
            table.open(&path, None, PEEK_BYTES).map_err(|e| e.message)?;
            let first_time_ms = narrow.as_ref().and_then(|t| first_time(t, &path));
            partitions.push(PartitionInfo { name: path, first_time_ms, start: None });
        }
        Ok(Self { partitions, format: Files::Text(Box::new(table)) })
    }
}

/// A table of files of text records.
trait TextTable: Send + Sync + std::fmt::Debug {
    /// Opens a file at its first record, or at a position of this file, and cuts it into blocks of this size.
    fn open(
        &self,
        path: &str,
        from: Option<&Position>,
        block_bytes: usize,
    ) -> Result<Box<dyn PartitionReader>, SourceError>;
    /// What decides where the records of a file begin and how they are numbered: kept in checkpoints.
    fn shape(&self) -> String;
}

impl TextTable for CsvTable {
    fn open(
        &self,
        path: &str,
        from: Option<&Position>,
        block_bytes: usize,
    ) -> Result<Box<dyn PartitionReader>, SourceError> {
        Ok(Box::new(CsvTable::open(self, path, from, block_bytes)?))
    }
    fn shape(&self) -> String {
        self.options.shape()
    }
}

impl TextTable for JsonTable {
    fn open(
        &self,
        path: &str,
        from: Option<&Position>,
        block_bytes: usize,
    ) -> Result<Box<dyn PartitionReader>, SourceError> {
        Ok(Box::new(JsonTable::open(self, path, from, block_bytes)?))
    }
    fn shape(&self) -> String {
        "json".to_owned()
    }
}

impl Source for FileSource {
    fn partitions(&self) -> &[PartitionInfo] {
        &self.partitions
    }
    fn open(&self, index: usize, from: Option<&Position>) -> Result<Box<dyn PartitionReader>, SourceError> {
        Ok(match &self.format {
            Files::Text(table) => table.open(&self.partitions[index].name, from, BLOCK_BYTES)?,
            Files::Parquet(files) => Box::new(ParquetReader::new(files[index].clone(), from)?),
        })
    }
    fn fingerprint(&self, index: usize) -> Result<String, SourceError> {
        let format = match &self.format {
            Files::Text(table) => table.shape(),
            Files::Parquet(_) => "parquet".to_owned(),
        };
        super::fingerprint::of(&self.partitions[index].name, &format)
    }
    fn bounded(&self) -> bool {
        true
    }
    fn rows_hint(&self) -> Option<u64> {
        match &self.format {
            Files::Text(_) => None,
            Files::Parquet(files) => Some(files.iter().map(|f| f.rows()).sum()),
        }
    }
}

/// The physical column whose value is the event time, where that is plain to see: a column, a column cast to another
/// precision, or `TO_TIMESTAMP_LTZ(column, 3)`.
fn time_column(spec: &SourceSpec) -> Option<usize> {
    let read = match spec.map.columns.get(spec.time)? {
        Expr::Column(c) => *c,
        Expr::Cast { expr, to: DataType::Timestamp(TimeUnit::Millisecond, _), .. } => match &**expr {
            Expr::Column(c) => *c,
            _ => return None,
        },
        Expr::Call { function, args, .. } if function == "to_timestamp_ltz" => match args.as_slice() {
            [Expr::Column(c), Expr::Literal(Literal::Integer(3, _))] => *c,
            _ => return None,
        },
        _ => return None,
    };
    let physical = *spec.read.get(read)?;
    let timed = matches!(spec.physical.field(physical).data_type(), DataType::Timestamp(..) | DataType::Int64);
    timed.then_some(physical)
}

/// The event time, the table's only column, of the first good row among the file's first bytes.
fn first_time(table: &dyn TextTable, path: &str) -> Option<i64> {
    let mut split = table.open(path, None, PEEK_BYTES).ok()?.next_split().ok()??;
    while let Read::Rows(chunk) = split.read(16).ok()? {
        let column = chunk.columns.column(0);
        let Some(row) = (0..column.len()).find(|row| column.is_valid(*row)) else { continue };
        let unit = match column.data_type() {
            DataType::Timestamp(unit, _) => highwater_engine::graph::types::fraction_digits(*unit),
            _ => 3,
        };
        let ticks = arrow::compute::cast(&column.slice(row, 1), &DataType::Int64).ok()?;
        let ticks = arrow::array::AsArray::as_primitive::<arrow::datatypes::Int64Type>(&ticks).value(0);
        return if unit == 0 { ticks.checked_mul(1000) } else { Some(ticks.div_euclid(10i64.pow(unit - 3))) };
    }
    None
}

/// A file that is plainly not text would give nothing but bad rows; one that can't be unpacked gives none.
fn not_foreign(path: &str) -> Result<(), String> {
    let mut magic = Vec::new();
    let input = Input::open(path, 0).map_err(|e| e.message)?;
    input.take(4).read_to_end(&mut magic).map_err(|e| super::io_error("read", path, &e))?;
    if magic == b"PAR1" { Err(format!("{path} is a Parquet file; set 'format' = 'parquet'")) } else { Ok(()) }
}
