//! The payments, as Parquet or CSV, sorted or shuffled within the watermark's bound, as one file or one a day.

use super::BOUND_MS;
use arrow::array::{AsArray, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::Int64Type;
use flate2::read::GzDecoder;
use highwater_tests::shared;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const DAY_MS: i64 = 86_400_000;

/// The format of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Parquet.
    Parquet,
    /// CSV with a header.
    Csv,
}

/// The order of rows in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// By event time.
    Sorted,
    /// Each row up to the bound behind one that stands before it.
    Shuffled,
}

/// The data as it was published.
pub struct Source {
    folder: PathBuf,
    rows: RecordBatch,
    lines: Vec<String>,
    times: Vec<i64>,
}

/// Files to be read by a job.
pub struct Prepared {
    /// Where they are.
    pub folder: TempDir,
    /// Options of the table.
    pub format_options: &'static str,
    /// Rows in all.
    pub rows: usize,
    name: String,
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// A Parquet file as one batch.
pub fn read_parquet(path: &Path) -> RecordBatch {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap().build().unwrap();
    let batches: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
    concat_batches(&batches[0].schema(), &batches).unwrap()
}

impl Source {
    /// The data, if it is there.
    pub fn open() -> Option<Self> {
        let folder = shared("fdh")?;
        let rows = read_parquet(&folder.join("transactions.parquet"));
        let mut text = String::new();
        let packed = File::open(folder.join("transactions.csv.gz")).unwrap();
        GzDecoder::new(packed).read_to_string(&mut text).unwrap();
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        assert_eq!(lines.len(), rows.num_rows() + 1, "both files hold the same rows");
        let times = rows.column_by_name("event_time_ms").unwrap();
        let times = times.as_primitive::<Int64Type>().values().to_vec();
        Some(Self { folder, rows, lines, times })
    }

    /// A file of the data set.
    pub fn file(&self, name: &str) -> RecordBatch {
        read_parquet(&self.folder.join(name))
    }

    /// Writes the input of a run.
    pub fn prepare(&self, layout: Layout, order: Order, file_per_day: bool, days: Option<i64>) -> Prepared {
        let folder = tempfile::tempdir().unwrap();
        let first_day = self.times[0] / DAY_MS;
        let mut files: BTreeMap<i64, Vec<u32>> = BTreeMap::new();
        for row in self.order(order) {
            let day = self.times[row as usize] / DAY_MS - first_day;
            if days.is_none_or(|n| day < n) {
                files.entry(if file_per_day { day } else { 0 }).or_default().push(row);
            }
        }
        for (number, rows) in &files {
            match layout {
                Layout::Parquet => self.write_parquet(&folder.path().join(format!("{number:02}.parquet")), rows),
                Layout::Csv => self.write_csv(&folder.path().join(format!("{number:02}.csv")), rows),
            }
        }
        let format_options = match layout {
            Layout::Parquet => "'format' = 'parquet'",
            Layout::Csv => "'format' = 'csv', 'csv.header' = 'true'",
        };
        let rows = files.values().map(Vec::len).sum();
        let name = format!("{layout:?} {order:?}, {} files", files.len());
        Prepared { folder, format_options, rows, name }
    }

    /// Sorting by time plus something below the bound moves no row further than the bound behind the largest time.
    fn order(&self, order: Order) -> Vec<u32> {
        let mut rows: Vec<u32> = (0..self.times.len() as u32).collect();
        if order == Order::Shuffled {
            let shift = |i: u32| (u64::from(i).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as i64 % BOUND_MS;
            rows.sort_by_key(|&i| self.times[i as usize] + shift(i));
        }
        rows
    }

    fn write_parquet(&self, path: &Path, rows: &[u32]) {
        let batch = take_record_batch(&self.rows, &UInt32Array::from(rows.to_vec())).unwrap();
        let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), None).unwrap();
        for at in (0..batch.num_rows()).step_by(50_000) {
            // Several row groups, so that a file has more than one split.
            writer.write(&batch.slice(at, (batch.num_rows() - at).min(50_000))).unwrap();
            writer.flush().unwrap();
        }
        writer.close().unwrap();
    }

    fn write_csv(&self, path: &Path, rows: &[u32]) {
        let mut out = BufWriter::new(File::create(path).unwrap());
        writeln!(out, "{}", self.lines[0]).unwrap();
        rows.iter().for_each(|&r| writeln!(out, "{}", self.lines[r as usize + 1]).unwrap());
        out.flush().unwrap();
    }
}
