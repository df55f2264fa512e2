//! `highwater generate`: the generator's payments as files, one per partition.
//!
//! Partition p of the generator becomes file p, in its order: so the files give the results that the generator gives, late
//! rows included, because lateness is a matter of each partition alone. Partitions are independent: they are written by as
//! many threads as there are cores. Everything is staged and shown at the end, complete or not at all.

use crate::args::GenerateArgs;
use crate::failure::Failure;
use crate::job;
use crate::show::count;
use highwater_engine::graph::{RunOptions, SinkSpec, SourceSpec, Step};
use highwater_engine::sink::SinkTable;
use highwater_engine::source::{Read, Source};
use highwater_sql::Overrides;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

/// Rows decoded at a time.
const BATCH_ROWS: usize = 8_192;

/// Options that belong to the files; the others are the generator's.
const FILE_OPTIONS: [&str; 4] = ["csv.", "json.", "parquet.", "sink."];

/// The job whose source and sink are used.
const TEXT: &str = "\
CREATE TABLE payments (
  payment_id BIGINT, ts TIMESTAMP(3), card BIGINT, merchant BIGINT, device BIGINT, ip STRING, country STRING,
  currency STRING, mcc INT, amount DECIMAL(12, 2), status STRING, is_fraud BOOLEAN, burst_id BIGINT,
  WATERMARK FOR ts AS ts
) WITH ('connector' = 'generator');
CREATE TABLE files (
  payment_id BIGINT, ts TIMESTAMP(3), card BIGINT, merchant BIGINT, device BIGINT, ip STRING, country STRING,
  currency STRING, mcc INT, amount DECIMAL(12, 2), status STRING, is_fraud BOOLEAN, burst_id BIGINT
) WITH ('connector' = 'filesystem', 'path' = '.', 'format' = 'parquet');
INSERT INTO files SELECT * FROM payments;
";

/// Writes the files and says what was written.
///
/// # Errors
/// Wrong options; a folder that can't be written.
pub fn generate(args: &GenerateArgs) -> Result<String, Failure> {
    let started = Instant::now();
    let job = job::plan("generate", TEXT, &overrides(args)?)?;
    let (mut source, mut sink) = (None, None);
    for node in &job.graph.nodes {
        match &node.step {
            Step::Source(spec) => source = Some(spec),
            Step::Sink(spec) => sink = Some((spec, &node.schema)),
            _ => {}
        }
    }
    let (Some(source), Some((sink, schema))) = (source, sink) else {
        return Err(Failure::job("generate: the plan has no source or no sink; this is a bug, please report it"));
    };
    let payments = highwater_connectors::source(source, &RunOptions::default())?;
    let files = highwater_connectors::sink(sink, schema)?;
    let rows = copy_all(payments.as_ref(), files.as_ref(), source, sink).inspect_err(|_| files.abort())?;
    files.commit().map_err(|e| Failure::job(e.to_string()))?;
    Ok(format!(
        "{} payments in {} files in {} ({:.1} s)",
        count(rows as u64),
        payments.partitions().len(),
        args.out.display(),
        started.elapsed().as_secs_f64()
    ))
}

fn overrides(args: &GenerateArgs) -> Result<Overrides, Failure> {
    let mut overrides = Overrides::default();
    let mut set = |table: &str, option: &str, value: String| {
        overrides.tables.entry(table.into()).or_default().insert(option.into(), value)
    };
    set("payments", "number-of-rows", args.rows.to_string());
    set("payments", "seed", args.seed.to_string());
    set("payments", "partitions", args.partitions.to_string());
    set("files", "path", args.out.display().to_string());
    set("files", "format", args.format.clone());
    for definition in &args.define {
        let (option, value) = definition.split_once('=').ok_or_else(|| {
            Failure::usage(format!("-D {definition}: expected option=value, as in -D event-rate=100"))
        })?;
        let of_files = FILE_OPTIONS.iter().any(|p| option.starts_with(p));
        set(if of_files { "files" } else { "payments" }, option.trim(), value.to_string());
    }
    Ok(overrides)
}

fn copy_all(source: &dyn Source, sink: &dyn SinkTable, from: &SourceSpec, to: &SinkSpec) -> Result<usize, Failure> {
    let next = AtomicUsize::new(0);
    let partitions = source.partitions().len();
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(partitions);
    let copy_some = || {
        let mut rows = 0;
        loop {
            let partition = next.fetch_add(1, Relaxed);
            if partition >= partitions {
                return Ok(rows);
            }
            rows += copy(source, sink, partition, from, to)?;
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(copy_some)).collect();
        threads
            .into_iter()
            .map(|t| t.join().unwrap_or_else(|_| Err(Failure::job("generate: a thread panicked; this is a bug"))))
            .sum()
    })
}

/// Copies one partition to the file of the same number.
fn copy(
    source: &dyn Source,
    sink: &dyn SinkTable,
    partition: usize,
    from: &SourceSpec,
    to: &SinkSpec,
) -> Result<usize, Failure> {
    let read_error = |e| Failure::job(format!("source {}: {e}", from.table));
    let write_error = |e| Failure::job(format!("sink {}: {e}", to.table));
    let mut reader = source.open(partition, None).map_err(read_error)?;
    let mut writer = sink.open(partition).map_err(write_error)?;
    let mut rows = 0;
    while let Some(mut split) = reader.next_split().map_err(read_error)? {
        loop {
            match split.read(BATCH_ROWS).map_err(read_error)? {
                Read::Rows(chunk) => {
                    rows += chunk.columns.num_rows();
                    writer.write(&chunk.columns).map_err(write_error)?;
                }
                Read::Pending(wait) | Read::Awaited(wait) => std::thread::sleep(wait),
                Read::End => break,
            }
        }
    }
    writer.finish().map_err(write_error)?;
    Ok(rows)
}
