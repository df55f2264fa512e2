//! The generator as a source: shards, splits, pace.

use super::options::GeneratorOptions;
use super::payments::{Column, Payments};
use super::rows::Rows;
use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow_schema::SchemaRef;
use highwater_engine::batch::Offsets;
use highwater_engine::error::{BuildError, SourceError};
use highwater_engine::source::{Chunk, PartitionInfo, PartitionReader, Position, Read, Source, Split};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// Rows of a split: what one worker generates while others generate later splits of the same shard.
const SPLIT_ROWS: u64 = 65_536;
/// The longest a paced split asks to be left alone.
const PENDING_MAX: Duration = Duration::from_millis(50);

/// An open generator table.
pub struct Generator {
    shared: Arc<Shared>,
    partitions: Vec<PartitionInfo>,
}

struct Shared {
    payments: Payments,
    wanted: Vec<Column>,
    schema: SchemaRef,
    rows: Option<u64>,
    shards: u64,
    pace: Option<Pace>,
    /// All that decides which rows a shard holds.
    shape: String,
}

impl Generator {
    /// A table of these options of which a job reads the columns at `read`.
    pub fn new(options: &GeneratorOptions, physical: &SchemaRef, read: &[usize]) -> Result<Self, BuildError> {
        let schema = physical.project(read).map_err(|e| BuildError::new(e.to_string()))?;
        let shared = Shared {
            payments: Payments::new(&options.payments),
            wanted: read.iter().map(|&i| options.columns[i]).collect(),
            schema: Arc::new(schema),
            rows: options.rows,
            shards: options.partitions,
            pace: options.rows_per_second.map(Pace::new),
            shape: options.shape(),
        };
        // No row is before the start, whatever its disorder.
        let first_time_ms = Some(options.payments.times.start_ms);
        let info = |p| PartitionInfo { name: format!("shard-{p}"), first_time_ms, start: None };
        Ok(Self { shared: Arc::new(shared), partitions: (0..options.partitions).map(info).collect() })
    }
}

impl Source for Generator {
    fn partitions(&self) -> &[PartitionInfo] {
        &self.partitions
    }
    fn open(&self, index: usize, from: Option<&Position>) -> Result<Box<dyn PartitionReader>, SourceError> {
        let shard = index as u64;
        let shared = self.shared.clone();
        let end = shared.rows.map_or(u64::MAX, |n| n.saturating_sub(shard).div_ceil(shared.shards));
        // A position is the offset itself: row i of a shard is a function of i.
        let at = from.map_or(0, |p| p.at).min(end);
        if let Some(pace) = &shared.pace {
            pace.resume(at * shared.shards);
        }
        Ok(Box::new(Shard { shared, shard, at, end }))
    }
    fn fingerprint(&self, _index: usize) -> Result<String, SourceError> {
        Ok(self.shared.shape.clone())
    }
    fn bounded(&self) -> bool {
        self.shared.rows.is_some()
    }
    fn rows_hint(&self) -> Option<u64> {
        self.shared.rows
    }
}

/// One shard; `at` and `end` are offsets in it.
struct Shard {
    shared: Arc<Shared>,
    shard: u64,
    at: u64,
    end: u64,
}

impl PartitionReader for Shard {
    fn next_split(&mut self) -> Result<Option<Box<dyn Split>>, SourceError> {
        let at = self.at;
        self.at = self.end.min(at.saturating_add(SPLIT_ROWS));
        if at == self.at {
            return Ok(None);
        }
        Ok(Some(Box::new(Range { shared: self.shared.clone(), shard: self.shard, at, end: self.at })))
    }
}

/// The offsets `at .. end` of one shard.
struct Range {
    shared: Arc<Shared>,
    shard: u64,
    at: u64,
    end: u64,
}

impl Split for Range {
    fn read(&mut self, max_rows: usize) -> Result<Read, SourceError> {
        let Shared { payments, wanted, schema, shards, pace, .. } = &*self.shared;
        let mut count = (self.end - self.at).min(max_rows.max(1) as u64);
        if count == 0 {
            return Ok(Read::End);
        }
        let first = self.at * shards + self.shard;
        if let Some(pace) = pace {
            // Rows of this shard among the first `due` rows of all.
            let due = pace.due().saturating_sub(first).div_ceil(*shards);
            if due == 0 {
                return Ok(Read::Pending(pace.until(first)));
            }
            count = count.min(due);
        }
        let rows = Rows { first, step: *shards, count: count as usize };
        let options = RecordBatchOptions::new().with_row_count(Some(rows.count));
        let columns = RecordBatch::try_new_with_options(schema.clone(), payments.columns(wanted, rows), &options)
            .map_err(|e| SourceError::new(format!("generator: {e}; this is a bug, please report it")))?;
        let offsets = Offsets::Run(self.at as i64);
        self.at += count;
        let end = Position { offset: self.at as i64, at: self.at };
        Ok(Read::Rows(Chunk { columns, offsets, bad: Vec::new(), bytes: 0, end }))
    }
}

/// Row `i` is due `(i - base) / rows_per_second` after the first read.
struct Pace {
    rows_per_second: u64,
    start: OnceLock<Instant>,
    /// Rows that were read before a restart: they and those between them are due at once.
    base: AtomicU64,
}

impl Pace {
    fn new(rows_per_second: u64) -> Self {
        Self { rows_per_second, start: OnceLock::new(), base: AtomicU64::new(0) }
    }
    /// Some shard goes on at this row of all.
    fn resume(&self, row: u64) {
        self.base.fetch_max(row, Relaxed);
    }
    fn elapsed_ns(&self) -> u128 {
        self.start.get_or_init(Instant::now).elapsed().as_nanos()
    }
    /// How many rows of all are due.
    fn due(&self) -> u64 {
        self.base.load(Relaxed) + (self.elapsed_ns() * u128::from(self.rows_per_second) / 1_000_000_000) as u64 + 1
    }
    /// How long until this row is due.
    fn until(&self, row: u64) -> Duration {
        let due_ns =
            u128::from(row.saturating_sub(self.base.load(Relaxed))) * 1_000_000_000 / u128::from(self.rows_per_second);
        let wait = due_ns.saturating_sub(self.elapsed_ns()) as u64;
        Duration::from_nanos(wait).clamp(Duration::from_micros(100), PENDING_MAX)
    }
}
