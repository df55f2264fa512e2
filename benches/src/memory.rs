//! A source whose rows are in memory already, in as many partitions as there are workers.
//!
//! One worker reads one ordered partition, as the loop reads one ordered slice. Of several threads of the loop each reads
//! every row and waits for no other; for the engine the batches are dealt in turn to one partition a worker, as to a topic.

use crate::payments::Payment;
use arrow::array::{ArrayRef, Decimal128Array, Int64Array, RecordBatch, TimestampMillisecondArray};
use arrow::datatypes::SchemaRef;
use highwater_engine::batch::Offsets;
use highwater_engine::error::{BuildError, SourceError};
use highwater_engine::graph::SourceSpec;
use highwater_engine::source::{Chunk, PartitionInfo, PartitionReader, Position, Read, Source, Split};
use std::sync::Arc;

/// Rows of a batch.
pub const BATCH_ROWS: usize = 8_192;
/// Batches of a split: what one worker takes at a time.
const SPLIT_BATCHES: usize = 8;

/// Batches in memory.
pub struct Memory {
    /// Of each partition.
    batches: Vec<Arc<Vec<RecordBatch>>>,
    partitions: Vec<PartitionInfo>,
}

impl Memory {
    /// The columns that `spec` reads, by their names: `ts, card, merchant, device, amount`.
    pub fn new(rows: &[Payment], spec: &SourceSpec, partitions: usize) -> Result<Self, BuildError> {
        let schema: SchemaRef =
            Arc::new(spec.physical.project(&spec.read).map_err(|e| BuildError::new(e.to_string()))?);
        let mut batches = vec![Vec::new(); partitions.max(1)];
        for (i, rows) in rows.chunks(BATCH_ROWS).enumerate() {
            batches[i % partitions.max(1)].push(batch(rows, &schema)?);
        }
        let first_time_ms = rows.iter().map(|p| p.ts).min();
        let partition = |i| PartitionInfo { name: format!("memory-{i}"), first_time_ms, start: None };
        let partitions = (0..batches.len()).map(partition).collect();
        Ok(Self { batches: batches.into_iter().map(Arc::new).collect(), partitions })
    }

    /// All rows.
    pub fn batches(&self) -> impl Iterator<Item = &RecordBatch> {
        self.batches.iter().flat_map(|b| b.iter())
    }
}

/// Payments as columns of these names: `ts, card, merchant, device, amount`.
pub fn batch(rows: &[Payment], schema: &SchemaRef) -> Result<RecordBatch, BuildError> {
    let bigint = |f: fn(&Payment) -> u32| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|p| i64::from(f(p)))))
    };
    let column = |name: &str| -> Result<ArrayRef, BuildError> {
        Ok(match name {
            "ts" => Arc::new(TimestampMillisecondArray::from_iter_values(rows.iter().map(|p| p.ts))),
            "card" => bigint(|p| p.card),
            "merchant" => bigint(|p| p.merchant),
            "device" => bigint(|p| p.device),
            "amount" => {
                let amounts = Decimal128Array::from_iter_values(rows.iter().map(|p| i128::from(p.amount)));
                Arc::new(amounts.with_precision_and_scale(12, 2).map_err(|e| BuildError::new(e.to_string()))?)
            }
            name => return Err(BuildError::new(format!("payments in memory have no column {name}"))),
        })
    };
    let columns = schema.fields().iter().map(|f| column(f.name())).collect::<Result<_, _>>()?;
    RecordBatch::try_new(schema.clone(), columns).map_err(|e| BuildError::new(e.to_string()))
}

impl Source for Memory {
    fn partitions(&self) -> &[PartitionInfo] {
        &self.partitions
    }
    fn open(&self, index: usize, from: Option<&Position>) -> Result<Box<dyn PartitionReader>, SourceError> {
        let at = from.map_or(0, |p| p.at as usize);
        Ok(Box::new(Reader { batches: self.batches[index].clone(), next: at / BATCH_ROWS, row: at % BATCH_ROWS }))
    }
    fn fingerprint(&self, _: usize) -> Result<String, SourceError> {
        Ok(String::new())
    }
    fn bounded(&self) -> bool {
        true
    }
    fn rows_hint(&self) -> Option<u64> {
        Some(self.batches().map(|b| b.num_rows() as u64).sum())
    }
}

struct Reader {
    batches: Arc<Vec<RecordBatch>>,
    next: usize,
    /// Rows of the next batch that are read already.
    row: usize,
}

impl PartitionReader for Reader {
    fn next_split(&mut self) -> Result<Option<Box<dyn Split>>, SourceError> {
        if self.next >= self.batches.len() {
            return Ok(None);
        }
        let (at, end) = (self.next, (self.next + SPLIT_BATCHES).min(self.batches.len()));
        self.next = end;
        let row = std::mem::take(&mut self.row);
        Ok(Some(Box::new(Batches { batches: self.batches.clone(), at, row, end })))
    }
}

struct Batches {
    batches: Arc<Vec<RecordBatch>>,
    at: usize,
    row: usize,
    end: usize,
}

impl Split for Batches {
    fn read(&mut self, max_rows: usize) -> Result<Read, SourceError> {
        if self.at >= self.end {
            return Ok(Read::End);
        }
        let batch = &self.batches[self.at];
        let rows = max_rows.min(batch.num_rows() - self.row);
        let columns = batch.slice(self.row, rows);
        let offsets = Offsets::Run((self.at * BATCH_ROWS + self.row) as i64);
        self.row += rows;
        if self.row == batch.num_rows() {
            (self.at, self.row) = (self.at + 1, 0);
        }
        let next = self.at * BATCH_ROWS + self.row;
        let end = Position { offset: next as i64, at: next as u64 };
        Ok(Read::Rows(Chunk { columns, offsets, bad: Vec::new(), bytes: 0, end }))
    }
}
