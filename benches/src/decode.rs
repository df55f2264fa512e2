//! Reading files: rows a second of one thread, from bytes in the page cache to columns.

use crate::check::Check;
use crate::measure::{Found, Side, Task, timed};
use crate::memory::Memory;
use crate::payments;
use anyhow::{Context, Result};
use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Decimal128Type, Int64Type, TimestampMillisecondType};
use highwater_engine::builder::*;
use highwater_engine::graph::{RunOptions, SourceSpec, Step};
use highwater_engine::source::{Read, Source};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use serde::Deserialize;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// Rows of a file; more rows are read by reading it again.
const FILE_ROWS: usize = 2_000_000;

/// Writes payments of five columns (three BIGINT keys, DECIMAL(12, 2), TIMESTAMP(3)) to a file and times its reader.
pub(crate) fn measure(task: Task) -> Result<Found> {
    let folder = tempfile::tempdir()?;
    let format = match task.side {
        Side::Csv => "csv",
        Side::Json | Side::SerdeJson => "json",
        _ => "parquet",
    };
    let path = folder.path().join(format!("payments.{format}"));
    let spec = spec(format, &path)?;
    let rows = payments::payments(task.rows.min(FILE_ROWS), task.workload.pace_us());
    let batches: Vec<RecordBatch> = Memory::new(&rows, &spec, 1)?.batches().cloned().collect();
    drop(rows);
    match task.side {
        Side::Csv => write_lines(&path, &batches, csv_line)?,
        Side::Json | Side::SerdeJson => write_lines(&path, &batches, json_line)?,
        _ => write_parquet(&path, &batches)?,
    }
    let in_file: usize = batches.iter().map(RecordBatch::num_rows).sum();
    drop(batches);
    let times = task.rows.div_ceil(in_file);
    timed((times * in_file) as u64, || {
        let mut check = Check::default();
        for _ in 0..times {
            check.rows += match task.side {
                Side::SerdeJson => read_structs(&path)?,
                _ => read(highwater_connectors::source(&spec, &RunOptions::default())?.as_ref())?,
            };
        }
        anyhow::ensure!(check.rows == (times * in_file) as i64, "{} of {} rows read", check.rows, times * in_file);
        Ok(check)
    })
}

fn spec(format: &str, path: &Path) -> Result<SourceSpec> {
    let job = Job::new("decode");
    let table = Table::new("payments", "filesystem").option("path", path.display()).option("format", format);
    let table = ["card", "merchant", "device"].into_iter().fold(table, |t, c| t.column_not_null(c, BIGINT));
    let table = table.column_not_null("amount", decimal(12, 2)).column_not_null("ts", TIMESTAMP);
    job.source(table.watermark("ts", seconds(5))).sink(Table::new("nowhere", "blackhole"));
    match job.build()?.nodes.swap_remove(0).step {
        Step::Source(spec) => Ok(spec),
        _ => anyhow::bail!("the first node is the source"),
    }
}

fn read(source: &dyn Source) -> Result<i64> {
    let mut rows = 0;
    for index in 0..source.partitions().len() {
        let mut partition = source.open(index, None)?;
        while let Some(mut split) = partition.next_split()? {
            loop {
                match split.read(crate::memory::BATCH_ROWS)? {
                    Read::Rows(chunk) => {
                        anyhow::ensure!(chunk.bad.is_empty(), "{:?}", chunk.bad[0]);
                        rows += chunk.columns.num_rows() as i64;
                    }
                    Read::Pending(rest) | Read::Awaited(rest) => std::thread::sleep(rest),
                    Read::End => break,
                }
            }
        }
    }
    Ok(rows)
}

fn write_parquet(path: &Path, batches: &[RecordBatch]) -> Result<()> {
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let schema = batches.first().context("no rows to write")?.schema();
    let mut writer = ArrowWriter::try_new(File::create(path)?, schema, Some(properties))?;
    batches.iter().try_for_each(|b| writer.write(b))?;
    writer.close()?;
    Ok(())
}

/// A payment as a program without columns has it: the amount in floating point, the time as a text.
#[derive(Deserialize)]
#[allow(dead_code)] // what is read is not looked at
struct Payment<'a> {
    card: i64,
    merchant: i64,
    device: i64,
    amount: f64,
    ts: &'a str,
}

/// The limit of JSON: `serde_json` line by line into structs, less work than columns with exact amounts and times.
fn read_structs(path: &Path) -> Result<i64> {
    let text = std::fs::read(path)?;
    let mut rows = 0;
    for line in text.split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
        std::hint::black_box(serde_json::from_slice::<Payment>(line)?);
        rows += 1;
    }
    Ok(rows)
}

/// Writes the line of a payment: three keys, the amount and the time.
type WriteLine = fn(&mut dyn Write, [i64; 3], &str, &str) -> std::io::Result<()>;

fn csv_line(out: &mut dyn Write, [card, merchant, device]: [i64; 3], amount: &str, ts: &str) -> std::io::Result<()> {
    writeln!(out, "{card},{merchant},{device},{amount},{ts}")
}

fn json_line(out: &mut dyn Write, [card, merchant, device]: [i64; 3], amount: &str, ts: &str) -> std::io::Result<()> {
    let keys = format!("\"card\":{card},\"merchant\":{merchant},\"device\":{device}");
    writeln!(out, "{{{keys},\"amount\":{amount},\"ts\":\"{ts}\"}}")
}

fn write_lines(path: &Path, batches: &[RecordBatch], write: WriteLine) -> Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for b in batches {
        let key = |i: usize| b.column(i).as_primitive::<Int64Type>().values();
        let (cards, merchants, devices) = (key(0), key(1), key(2));
        let amounts = b.column(3).as_primitive::<Decimal128Type>().values();
        let times = b.column(4).as_primitive::<TimestampMillisecondType>();
        for i in 0..b.num_rows() {
            let time = times.value_as_datetime(i).context("a time out of range")?.format("%Y-%m-%d %H:%M:%S%.3f");
            let amount = format!("{}.{:02}", amounts[i] / 100, amounts[i] % 100);
            write(&mut file, [cards[i], merchants[i], devices[i]], &amount, &time.to_string())?;
        }
    }
    file.flush()?;
    Ok(())
}
