//! Whether combining before the exchange is worth it, and for which keys.
//!
//! Judged by what was combined. A partial result costs as much as several rows: it is a look-up and a copy of every column
//! of state before the exchange, and both again behind it. Below [`BREAK_EVEN`] rows per partial result the combiner passes
//! rows on as they are, reduced to the columns that the aggregation reads ([`Passed`]), and tries again later. Rows of a
//! *hot* key, one that alone has a great part of all rows, are combined even then: else its owner would do most of the
//! work. No result depends on any of it.

use super::plan::Plan;
use super::slices::Slice;
use super::states::View;
use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::datatypes::{Field, Schema, SchemaRef};
use highwater_engine::batch::Batch;
use highwater_engine::error::OperatorError;
use highwater_engine::hash::hash_columns;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Rows of sent slices on which a judgement rests.
const JUDGED_ROWS: i64 = 16 * 1024;
/// Rows per partial result from which combining is cheaper than passing rows on.
const BREAK_EVEN: i64 = 8;
/// Rows passed on before combining is tried again: at first, and at most. The stretch doubles with every vain trial.
const PASSED_ROWS: usize = 8 * 1024 * 1024;
const PASSED_ROWS_MAX: usize = 64 * 1024 * 1024;
/// A key is hot from one in so many rows: at most as many keys are.
const HOT_ONE_IN: i64 = 8;

/// The judgement.
#[derive(Clone, Debug, Default)]
pub struct Worth {
    rows: i64,
    partials: i64,
    /// Rows still to be passed on.
    pass: usize,
    /// How long the last stretch was.
    stretch: usize,
    /// Hashes of hot keys, while rows are passed on.
    hot: Vec<u64>,
    /// Rows of the keys that were hot in a slice of the current judgement, by hash.
    warm: BTreeMap<u64, i64>,
}

impl Worth {
    /// A judgement that the next `pass` rows are not worth combining but for the keys of these hashes.
    #[cfg(test)]
    pub fn passing(pass: usize, hot: Vec<u64>) -> Self {
        Self { pass, hot, ..Self::default() }
    }

    /// Whether the next `rows` rows are passed on.
    pub fn passes(&mut self, rows: usize) -> bool {
        let passes = self.pass > 0;
        self.pass = self.pass.saturating_sub(rows);
        if passes && self.pass == 0 {
            self.hot.clear();
        }
        passes
    }

    /// Hashes of keys that are combined nevertheless.
    pub fn hot(&self) -> &[u64] {
        &self.hot
    }

    /// Learns from a slice that is sent.
    pub fn judge(&mut self, slice: &Slice) {
        if self.pass > 0 {
            return;
        }
        let rows = slice.states.rows();
        let in_slice = rows.iter().sum::<i64>();
        self.rows += in_slice;
        self.partials += slice.groups.slots() as i64;
        let warm = rows.iter().zip(slice.groups.hashes()).filter(|(n, _)| **n * HOT_ONE_IN >= in_slice);
        warm.for_each(|(n, h)| *self.warm.entry(*h).or_default() += n);
        if self.rows < JUDGED_ROWS {
            return;
        }
        let warm = std::mem::take(&mut self.warm);
        if self.rows < BREAK_EVEN * self.partials {
            self.stretch = (self.stretch * 2).clamp(PASSED_ROWS, PASSED_ROWS_MAX);
            self.pass = self.stretch;
            self.hot = warm.into_iter().filter(|(_, n)| n * HOT_ONE_IN >= self.rows).map(|(h, _)| h).collect();
        } else {
            self.stretch = 0;
        }
        (self.rows, self.partials) = (0, 0);
    }
}

/// Rows on their way from a combiner to the owner of their key: the keys, then the other columns that are read.
#[derive(Clone, Debug)]
pub struct Passed {
    schema: SchemaRef,
    columns: Vec<usize>,
    keys: usize,
}

impl Passed {
    /// For the rows of `input` that `plan` reads, with the same plan over the rows as they are passed.
    pub fn new(plan: &Plan, input: &SchemaRef) -> (Self, Plan) {
        let mut columns = plan.keys.clone();
        let mut place = |column: usize| {
            columns.iter().position(|c| *c == column).unwrap_or_else(|| {
                columns.push(column);
                columns.len() - 1
            })
        };
        let mut over = plan.clone();
        over.keys = (0..plan.keys.len()).collect();
        for input in &mut over.inputs {
            input.argument = input.argument.map(&mut place);
            input.filter = input.filter.map(&mut place);
        }
        let field = |(i, c): (usize, &usize)| match input.field(*c) {
            key if i < over.keys.len() => key.clone(),
            // named so that no column can be taken for one of a partial result
            value => Field::new(format!("value_{i}"), value.data_type().clone(), value.is_nullable()),
        };
        let fields: Vec<Field> = columns.iter().enumerate().map(field).collect();
        (Self { schema: Arc::new(Schema::new(fields)), columns, keys: over.keys.len() }, over)
    }

    /// A batch of the input with the columns that are passed on, without identity and hashes: those may be of other keys.
    pub fn project(&self, batch: Batch) -> Result<Batch, OperatorError> {
        let columns = self.columns.iter().map(|c| batch.column(*c).clone()).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(batch.rows()));
        let columns = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)
            .map_err(|e| OperatorError::new(format!("rows do not fit the schema of the step's input: {e}")))?;
        Ok(batch.with_columns(columns).with_identity(None).with_hashes(None))
    }

    /// Whether these are rows, not partial results.
    pub fn are_rows(&self, batch: &Batch) -> bool {
        batch.columns().schema_ref().fields() == self.schema.fields()
    }

    /// The rows of hot keys, and the others; both with the hashes of their keys.
    pub fn split(&self, batch: Batch, hot: &[u64]) -> (Batch, Batch) {
        let keys: Vec<ArrayRef> = batch.columns().columns()[..self.keys].to_vec();
        let hashes = hash_columns(&keys, batch.rows());
        let (to_combine, to_pass): (Vec<u32>, Vec<u32>) =
            (0..batch.rows() as u32).partition(|i| hot.contains(&hashes[*i as usize]));
        let batch = batch.with_hashes(Some(hashes));
        if to_combine.is_empty() {
            return (batch.slice(0, 0), batch);
        }
        (batch.take(&UInt32Array::from(to_combine)), batch.take(&UInt32Array::from(to_pass)))
    }
}
