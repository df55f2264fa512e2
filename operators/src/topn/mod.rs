//! The first rows of each key and event time, in an order of columns, with their rank: `ROW_NUMBER() OVER (PARTITION BY
//! window_start, window_end, k ORDER BY x) <= n`.
//!
//! All rows of a window have one event time, `window_end − 1 ms`, so a key is complete when the watermark has passed it.
//! Its rows then come out once, the best first, with their number from 1. Rows that are equal in all columns of the order
//! stand in the order of rows: (source, partition, offset); rows that another step made, in the order of all columns. A
//! row whose window its own partition has left behind (`time < tag`) is refused.
//!
//! State: at most `limit` rows of each key of an open window, as bytes that compare as the rows do. Cost per row: a look-up
//! and a comparison with the last of the best; one of the best is copied and moves those behind it.

#[cfg(test)]
mod tests;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, UInt32Array, UInt64Array};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, UInt64Type};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, Rows, SortField};
use arrow_schema::SortOptions;
use hashbrown::HashTable;
use highwater_engine::batch::{Arrival, Batch, Identity};
use highwater_engine::error::{BuildError, OperatorError};
use highwater_engine::graph::{Node, OrderBy, TopNSpec};
use highwater_engine::hash::{KEY_GROUPS, hash_columns, key_group};
use highwater_engine::operator::{Operator, Output};
use highwater_engine::state::Snapshot;
use highwater_engine::state::codec::{Reader, Writer};
use highwater_engine::time::Progress;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Rows of an output batch.
const BATCH_ROWS: usize = 8192;
/// Version of the state's bytes.
const VERSION: u8 = 1;
/// Columns that settle the order of equal rows, before all columns of the input: partition and offset.
const TIES: usize = 2;

/// The operator of `node`.
pub fn operator(node: &Node, spec: &TopNSpec, input: &SchemaRef) -> Result<Box<dyn Operator>, BuildError> {
    let fail = |m: String| BuildError::new(format!("{}: {m}", node.name));
    let width = input.fields().len();
    let named = spec.keys.iter().copied().chain(spec.order.iter().map(|o| o.column));
    if let Some(c) = named.into_iter().find(|c| *c >= width) {
        return Err(fail(format!("column {c} of {width} does not exist")));
    }
    if node.schema.fields().len() != width + 1 {
        return Err(fail("the first rows get one column, their number".into()));
    }
    let refuse = |e: ArrowError| fail(format!("rows can't be ordered: {e}"));
    let of = |c: usize| input.field(c).data_type().clone();
    let mut fields: Vec<SortField> =
        spec.order.iter().map(|o| SortField::new_with_options(of(o.column), options(o))).collect();
    fields.extend([SortField::new(DataType::UInt64), SortField::new(DataType::Int64)]);
    fields.extend((0..width).map(|c| SortField::new(of(c))));
    let keys = spec.keys.iter().map(|k| SortField::new(of(*k))).collect();
    Ok(Box::new(TopN {
        name: node.name.clone(),
        limit: usize::try_from(spec.limit).unwrap_or(usize::MAX),
        columns: spec.order.iter().map(|o| o.column).collect(),
        key_columns: spec.keys.clone(),
        input: input.clone(),
        output: node.schema.clone(),
        rows: RowConverter::new(fields).map_err(refuse)?,
        keys: RowConverter::new(keys).map_err(refuse)?,
        open: BTreeMap::new(),
        bytes: 0,
    }))
}

fn options(o: &OrderBy) -> SortOptions {
    SortOptions { descending: o.descending, nulls_first: o.nulls_first }
}

/// The best rows of one key.
struct Best {
    hash: u64,
    key: Box<[u8]>,
    /// Ascending; at most the limit.
    rows: Vec<Box<[u8]>>,
}

struct TopN {
    name: String,
    limit: usize,
    /// Columns of the order.
    columns: Vec<usize>,
    key_columns: Vec<usize>,
    input: SchemaRef,
    output: SchemaRef,
    /// Order, ties, all columns of the input.
    rows: RowConverter,
    keys: RowConverter,
    /// By event time.
    open: BTreeMap<i64, HashTable<Best>>,
    /// Bytes of all keys and rows.
    bytes: usize,
}

impl TopN {
    fn failed(&self, what: &str, e: ArrowError) -> OperatorError {
        OperatorError::new(format!("{}: {what}: {e}", self.name))
    }

    /// Adds rows that are on time.
    fn add(&mut self, batch: &Batch) -> Result<(), OperatorError> {
        let keys: Vec<ArrayRef> = self.key_columns.iter().map(|k| batch.column(*k).clone()).collect();
        let hashes = batch.hashes().cloned().unwrap_or_else(|| hash_columns(&keys, batch.rows()));
        let rows = self.encoded(batch).map_err(|e| self.failed("rows can't be ordered", e))?;
        let keys = self.keys.convert_columns(&keys).map_err(|e| self.failed("keys can't be read", e))?;
        for (i, time) in batch.times().iter().enumerate() {
            self.put(*time, hashes[i], keys.row(i).data(), rows.row(i).data());
        }
        Ok(())
    }

    /// The rows as bytes that compare as they do.
    fn encoded(&self, batch: &Batch) -> Result<Rows, ArrowError> {
        let mut columns: Vec<ArrayRef> = self.columns.iter().map(|c| batch.column(*c).clone()).collect();
        match batch.identity().map(|id| id.to_arrival(batch.rows())) {
            Some(a) => {
                columns.push(Arc::new(UInt64Array::new(a.partitions, None)));
                columns.push(Arc::new(Int64Array::new(a.offsets, None)));
            }
            None => {
                columns.push(Arc::new(UInt64Array::new_null(batch.rows())));
                columns.push(Arc::new(Int64Array::new_null(batch.rows())));
            }
        }
        columns.extend(batch.columns().columns().iter().cloned());
        self.rows.convert_columns(&columns)
    }

    /// Enters a row if it is one of the best of its key so far.
    fn put(&mut self, time: i64, hash: u64, key: &[u8], row: &[u8]) {
        let table = self.open.entry(time).or_default();
        let found = table.entry(hash, |b| b.hash == hash && *b.key == *key, |b| b.hash);
        let best = found.or_insert_with(|| {
            self.bytes += key.len() + size_of::<Best>();
            Best { hash, key: key.into(), rows: Vec::new() }
        });
        let rows = &mut best.into_mut().rows;
        let full = rows.len() == self.limit;
        if full && rows.last().is_some_and(|last| **last <= *row) {
            return;
        }
        if let Some(gone) = if full { rows.pop() } else { None } {
            self.bytes -= gone.len() + size_of::<Box<[u8]>>();
        }
        let at = rows.partition_point(|r| **r <= *row);
        rows.insert(at, row.into());
        self.bytes += row.len() + size_of::<Box<[u8]>>();
    }

    /// The input's columns of encoded rows, behind their ties.
    fn decoded<'a>(&self, rows: impl Iterator<Item = &'a [u8]>) -> Result<Vec<ArrayRef>, ArrowError> {
        let parser = self.rows.parser();
        let columns = self.rows.convert_rows(rows.map(|r| parser.parse(r)))?;
        Ok(columns[self.columns.len()..].to_vec())
    }

    /// Emits the best rows of all keys of one event time.
    fn emit(&self, time: i64, table: HashTable<Best>, out: &mut Output) -> Result<(), OperatorError> {
        let mut all: Vec<Best> = table.into_iter().collect();
        all.sort_by(|a, b| a.key.cmp(&b.key));
        let ranked: Vec<(i64, &[u8])> = all.iter().flat_map(|b| (1..).zip(b.rows.iter().map(|r| &**r))).collect();
        for part in ranked.chunks(BATCH_ROWS) {
            let columns = self.decoded(part.iter().map(|(_, r)| *r)).map_err(|e| self.failed("rows are lost", e))?;
            let mut columns = columns[TIES..].to_vec();
            columns.push(Arc::new(part.iter().map(|(rank, _)| *rank).collect::<Int64Array>()));
            let columns = RecordBatch::try_new(self.output.clone(), columns)
                .map_err(|e| self.failed("results do not fit their schema", e))?;
            out.push(Batch::new(columns, vec![time; part.len()].into()));
        }
        Ok(())
    }

    /// The state of some rows: ties, the input's columns, event times.
    fn part(&self, rows: &[(i64, &[u8])]) -> Result<Vec<u8>, OperatorError> {
        let fail = |e| self.failed("state could not be written", e);
        let columns = self.decoded(rows.iter().map(|(_, r)| *r)).map_err(fail)?;
        let mut to = Writer::new();
        to.u8(VERSION);
        to.batch(&RecordBatch::try_new(self.state_schema(), columns).map_err(fail)?)?;
        rows.iter().for_each(|(time, _)| to.i64(*time));
        Ok(to.finish())
    }

    fn state_schema(&self) -> SchemaRef {
        let types = [DataType::UInt64, DataType::Int64];
        let types = types.into_iter().chain(self.input.fields().iter().map(|f| f.data_type().clone()));
        Arc::new(Schema::new(types.enumerate().map(|(i, t)| Field::new(format!("c{i}"), t, true)).collect::<Vec<_>>()))
    }

    /// Adds rows that [`TopN::part`] wrote.
    fn read(&mut self, bytes: &[u8]) -> Result<(), OperatorError> {
        let damaged = |what: String| OperatorError::new(format!("state is damaged: {what}"));
        let mut from = Reader::new(bytes);
        match from.u8()? {
            VERSION => {}
            v => return Err(damaged(format!("version {v} is unknown"))),
        }
        let rows = from.batch()?;
        if rows.schema().fields() != self.state_schema().fields() {
            return Err(damaged("the rows have other columns".into()));
        }
        let times = (0..rows.num_rows()).map(|_| from.i64()).collect::<Result<Vec<_>, _>>()?;
        if !from.is_done() {
            return Err(damaged("there is more than expected".into()));
        }
        let (partitions, offsets) = (rows.column(0), rows.column(1));
        let identity = (partitions.null_count() == 0).then(|| {
            Identity::Arrival(Arrival {
                cuts: vec![0; times.len()].into(),
                partitions: partitions.as_primitive::<UInt64Type>().values().clone(),
                offsets: offsets.as_primitive::<Int64Type>().values().clone(),
            })
        });
        let columns = RecordBatch::try_new(self.input.clone(), rows.columns()[TIES..].to_vec())
            .map_err(|e| damaged(format!("the rows do not fit: {e}")))?;
        self.add(&Batch::new(columns, times.into()).with_identity(identity))
    }
}

impl Operator for TopN {
    fn on_batch(&mut self, _input: usize, batch: Batch, out: &mut Output) -> Result<(), OperatorError> {
        let on_time = |i: usize| batch.tag(i).is_none_or(|tag| batch.times()[i] >= tag);
        if (0..batch.rows()).all(on_time) {
            return self.add(&batch);
        }
        let kept: UInt32Array = (0..batch.rows()).filter(|i| on_time(*i)).map(|i| i as u32).collect();
        out.refused += (batch.rows() - kept.len()) as u64;
        self.add(&batch.take(&kept))
    }

    fn on_watermark(&mut self, progress: Progress, out: &mut Output) -> Result<(), OperatorError> {
        while let Some(first) = self.open.first_entry().filter(|e| *e.key() < progress.watermark.ms()) {
            let (time, table) = first.remove_entry();
            let of = |b: &Best| b.key.len() + b.rows.iter().map(|r| r.len() + size_of::<Box<[u8]>>()).sum::<usize>();
            self.bytes -= table.iter().map(|b| of(b) + size_of::<Best>()).sum::<usize>();
            self.emit(time, table, out)?;
        }
        Ok(())
    }

    fn snapshot(&mut self, into: &mut Snapshot) -> Result<(), OperatorError> {
        let mut groups: Vec<Vec<(i64, &[u8])>> = vec![Vec::new(); KEY_GROUPS];
        for (time, table) in &self.open {
            for best in table {
                let group = &mut groups[key_group(best.hash) as usize];
                group.extend(best.rows.iter().map(|r| (*time, &**r)));
            }
        }
        for (group, rows) in groups.into_iter().enumerate().filter(|(_, rows)| !rows.is_empty()) {
            into.put(group as u8, self.part(&rows)?);
        }
        Ok(())
    }

    fn restore(&mut self, from: Snapshot) -> Result<(), OperatorError> {
        from.into_parts().try_for_each(|part| self.read(&part.bytes))
    }

    fn state_bytes(&self) -> usize {
        self.bytes
    }
}
