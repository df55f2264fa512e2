//! Tables of files as sources.

use super::listing::list;
use super::options::{FileOptions, Format};
use crate::format::csv::read::CsvTable;
use crate::format::parquet::read::ParquetReader;
use crate::format::parquet::{ParquetFile, ParquetTable};
use arrow::datatypes::{DataType, TimeUnit};
use highwater_engine::error::{BuildError, SourceError};
use highwater_engine::expr::{Expr, Literal};
use highwater_engine::graph::SourceSpec;
use highwater_engine::source::{PartitionInfo, PartitionReader, Position, Read, Source};
use std::fs::File;
use std::io::Read as _;
use std::sync::Arc;

/// Bytes of a CSV file that are looked at when a job is planned.
const PEEK_BYTES: usize = 64 << 10;

/// An open table of files.
#[derive(Debug)]
pub struct FileSource {
    partitions: Vec<PartitionInfo>,
    format: Files,
}

#[derive(Debug)]
enum Files {
    Csv(Arc<CsvTable>),
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
                let table = Arc::new(CsvTable::new(csv.clone(), physical, &spec.read).map_err(internal)?);
                let mut partitions = Vec::with_capacity(files.len());
                for (path, _) in files {
                    not_foreign(&path).map_err(error)?;
                    table.open_with_blocks(&path, None, PEEK_BYTES).map_err(|e| error(e.message))?;
                    let first_time_ms = time.and_then(|t| first_time_of_csv(&table, t, &path));
                    partitions.push(PartitionInfo { name: path, first_time_ms });
                }
                Ok(Self { partitions, format: Files::Csv(table) })
            }
            Format::Parquet => {
                let table = Arc::new(ParquetTable::new(physical, &spec.read).map_err(internal)?);
                let (mut partitions, mut opened) = (Vec::new(), Vec::new());
                for (path, _) in files {
                    let file = ParquetFile::open(&table, &path).map_err(|e| error(e.message))?;
                    partitions.push(PartitionInfo { name: path, first_time_ms: time.and_then(|t| file.least_ms(t)) });
                    opened.push(Arc::new(file));
                }
                Ok(Self { partitions, format: Files::Parquet(opened) })
            }
        }
    }
}

impl Source for FileSource {
    fn partitions(&self) -> &[PartitionInfo] {
        &self.partitions
    }
    fn open(&self, index: usize, from: Option<&Position>) -> Result<Box<dyn PartitionReader>, SourceError> {
        Ok(match &self.format {
            Files::Csv(table) => Box::new(table.open(&self.partitions[index].name, from)?),
            Files::Parquet(files) => Box::new(ParquetReader::new(files[index].clone(), from)?),
        })
    }
    fn fingerprint(&self, index: usize) -> Result<String, SourceError> {
        let format = match &self.format {
            Files::Csv(table) => table.options.shape(),
            Files::Parquet(_) => "parquet".to_owned(),
        };
        super::fingerprint::of(&self.partitions[index].name, &format)
    }
    fn bounded(&self) -> bool {
        true
    }
    fn rows_hint(&self) -> Option<u64> {
        match &self.format {
            Files::Csv(_) => None,
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

/// The event time of the first good row among the file's first bytes.
fn first_time_of_csv(table: &CsvTable, time: usize, path: &str) -> Option<i64> {
    let narrow = Arc::new(CsvTable::new(table.options.clone(), &table.physical, &[time]).ok()?);
    let mut split = narrow.open_with_blocks(path, None, PEEK_BYTES).ok()?.next_split().ok()??;
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

/// A file that is plainly not CSV would give nothing but bad rows.
fn not_foreign(path: &str) -> Result<(), String> {
    let mut magic = Vec::new();
    let file = File::open(path).map_err(|e| super::io_error("open", path, &e))?;
    file.take(4).read_to_end(&mut magic).map_err(|e| super::io_error("read", path, &e))?;
    match magic.as_slice() {
        [0x1F, 0x8B, ..] => Err(format!("{path} is compressed with gzip; unpack it (gunzip)")),
        [0x28, 0xB5, 0x2F, 0xFD] => Err(format!("{path} is compressed with zstd; unpack it (unzstd)")),
        b"PAR1" => Err(format!("{path} is a Parquet file; set 'format' = 'parquet'")),
        _ => Ok(()),
    }
}
