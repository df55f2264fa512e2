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
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// Rows of a file; more rows are read by reading it again.
const FILE_ROWS: usize = 2_000_000;

/// Writes payments of five columns (three BIGINT keys, DECIMAL(12, 2), TIMESTAMP(3)) to a file and times its reader.
pub(crate) fn measure(task: Task) -> Result<Found> {
    let folder = tempfile::tempdir()?;
    let format = if task.side == Side::Csv { "csv" } else { "parquet" };
    let path = folder.path().join(format!("payments.{format}"));
    let spec = spec(format, &path)?;
    let rows = payments::payments(task.rows.min(FILE_ROWS), task.workload.pace_us());
    let batches: Vec<RecordBatch> = Memory::new(&rows, &spec, 1)?.batches().cloned().collect();
    drop(rows);
    match task.side {
        Side::Csv => write_csv(&path, &batches)?,
        _ => write_parquet(&path, &batches)?,
    }
    let in_file: usize = batches.iter().map(RecordBatch::num_rows).sum();
    drop(batches);
    let times = task.rows.div_ceil(in_file);
    timed((times * in_file) as u64, || {
        let mut check = Check::default();
        for _ in 0..times {
            check.rows += read(highwater_connectors::source(&spec, &RunOptions::default())?.as_ref())?;
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
                    Read::Pending(rest) => std::thread::sleep(rest),
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

fn write_csv(path: &Path, batches: &[RecordBatch]) -> Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for b in batches {
        let key = |i: usize| b.column(i).as_primitive::<Int64Type>().values();
        let (cards, merchants, devices) = (key(0), key(1), key(2));
        let amounts = b.column(3).as_primitive::<Decimal128Type>().values();
        let times = b.column(4).as_primitive::<TimestampMillisecondType>();
        for i in 0..b.num_rows() {
            let time = times.value_as_datetime(i).context("a time out of range")?.format("%Y-%m-%d %H:%M:%S%.3f");
            let (whole, cents) = (amounts[i] / 100, amounts[i] % 100);
            writeln!(file, "{},{},{},{whole}.{cents:02},{time}", cards[i], merchants[i], devices[i])?;
        }
    }
    file.flush()?;
    Ok(())
}
