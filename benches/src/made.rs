//! A source whose rows are made as they are read: an input of any length in no memory.

use crate::memory::{BATCH_ROWS, batch};
use crate::payments::Payments;
use arrow::datatypes::SchemaRef;
use highwater_engine::batch::Offsets;
use highwater_engine::error::{BuildError, SourceError};
use highwater_engine::graph::SourceSpec;
use highwater_engine::source::{Chunk, PartitionInfo, PartitionReader, Position, Read, Source, Split};
use std::sync::Arc;

/// Payments without end, in as many partitions as there are workers. Batch `i` is of partition `i % partitions`.
pub struct Made {
    payments: Arc<Payments>,
    schema: SchemaRef,
    partitions: Vec<PartitionInfo>,
}

impl Made {
    /// The columns that `spec` reads.
    pub fn new(payments: Payments, spec: &SourceSpec, partitions: usize) -> Result<Self, BuildError> {
        let schema = Arc::new(spec.physical.project(&spec.read).map_err(|e| BuildError::new(e.to_string()))?);
        let first_time_ms = payments.chunk(0, BATCH_ROWS).iter().map(|p| p.ts).min();
        let partition = |i| PartitionInfo { name: format!("made-{i}"), first_time_ms, start: None };
        Ok(Self { payments: Arc::new(payments), schema, partitions: (0..partitions.max(1)).map(partition).collect() })
    }
}

impl Source for Made {
    fn partitions(&self) -> &[PartitionInfo] {
        &self.partitions
    }
    fn open(&self, index: usize, from: Option<&Position>) -> Result<Box<dyn PartitionReader>, SourceError> {
        let made = Batch {
            payments: self.payments.clone(),
            schema: self.schema.clone(),
            partition: index,
            partitions: self.partitions.len(),
            number: 0,
            row: 0,
        };
        Ok(Box::new(Reader { made, next: from.map_or(0, |p| p.at as usize) }))
    }
    fn fingerprint(&self, _: usize) -> Result<String, SourceError> {
        Ok(String::new())
    }
    fn bounded(&self) -> bool {
        false
    }
    fn rows_hint(&self) -> Option<u64> {
        None
    }
}

/// One batch of a partition, and how much of it is read.
#[derive(Clone)]
struct Batch {
    payments: Arc<Payments>,
    schema: SchemaRef,
    partition: usize,
    partitions: usize,
    /// Among those of its partition.
    number: usize,
    row: usize,
}

struct Reader {
    made: Batch,
    /// The row of its partition that is read next.
    next: usize,
}

impl PartitionReader for Reader {
    fn next_split(&mut self) -> Result<Option<Box<dyn Split>>, SourceError> {
        let (number, row) = (self.next / BATCH_ROWS, self.next % BATCH_ROWS);
        self.next += BATCH_ROWS - row;
        Ok(Some(Box::new(Batch { number, row, ..self.made.clone() })))
    }
}

impl Split for Batch {
    fn read(&mut self, max_rows: usize) -> Result<Read, SourceError> {
        if self.row >= BATCH_ROWS {
            return Ok(Read::End);
        }
        let first = (self.number * self.partitions + self.partition) * BATCH_ROWS;
        let rows = self.payments.chunk(first, BATCH_ROWS);
        let taken = max_rows.min(BATCH_ROWS - self.row);
        let failed = |e: BuildError| SourceError::new(e.to_string());
        let columns = batch(&rows[self.row..self.row + taken], &self.schema).map_err(failed)?;
        let at = self.number * BATCH_ROWS + self.row;
        self.row += taken;
        let end = Position { offset: (at + taken) as i64, at: (at + taken) as u64 };
        Ok(Read::Rows(Chunk { columns, offsets: Offsets::Run(at as i64), bad: Vec::new(), bytes: 0, end }))
    }
}
