//! The first rows of each key and event time, in an order of columns, with their rank: `ROW_NUMBER() OVER (PARTITION BY
//! window_start, window_end, k ORDER BY x) <= n`.
//!
//! All rows of a window have one event time, `window_end − 1 ms`, so a key is complete when the watermark has passed it.
//! Its rows then come out once, the best first, with their number from 1. Rows that are equal in all columns of the order
//! stand in the order of rows: (source, partition, offset); rows that another step made, in the order of all columns. A
//! row whose window its own partition has left behind (`time < tag`) is refused.
//!
//! State: at most `limit` rows of each key of an open window, as bytes that compare as the rows do. Cost per row: a look-up
//! and a comparison of its first bytes with those of the last of the best; only what may be one of the best is made bytes
//! of, copied, and moves those behind it.

#[cfg(test)]
mod tests;

use crate::window::groups::Groups;
use crate::window::keys::{KeyBatch, Packing};
use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, UInt32Array, UInt64Array};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, UInt64Type};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, Rows, SortField};
use arrow_schema::SortOptions;
use highwater_engine::batch::{Arrival, Batch, Identity};
use highwater_engine::error::{BuildError, OperatorError};
use highwater_engine::graph::{Node, OrderBy, TopNSpec};
use highwater_engine::hash::{KEY_GROUPS, hash_columns, key_group};
use highwater_engine::operator::{Operator, Output};
use highwater_engine::state::Snapshot;
use highwater_engine::state::codec::{Reader, Writer, unknown_version};
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
    let order: Vec<SortField> =
        spec.order.iter().map(|o| SortField::new_with_options(of(o.column), options(o))).collect();
    let ties = [SortField::new(DataType::UInt64), SortField::new(DataType::Int64)];
    let fields = order.iter().cloned().chain(ties).chain((0..width).map(|c| SortField::new(of(c))));
    let rows = RowConverter::new(fields.collect()).map_err(refuse)?;
    let keys: Vec<Arc<Field>> = spec.keys.iter().map(|k| input.fields()[*k].clone()).collect();
    Ok(Box::new(TopN {
        name: node.name.clone(),
        limit: usize::try_from(spec.limit).unwrap_or(usize::MAX),
        columns: spec.order.iter().map(|o| o.column).collect(),
        key_columns: spec.keys.clone(),
        input: input.clone(),
        output: node.schema.clone(),
        order: RowConverter::new(order).map_err(refuse)?,
        rows,
        packing: Packing::of(&keys),
        slots: vec![],
        open: BTreeMap::new(),
    }))
}

fn options(o: &OrderBy) -> SortOptions {
    SortOptions { descending: o.descending, nulls_first: o.nulls_first }
}

/// The best rows of each key of one event time.
struct Open {
    groups: Groups,
    /// Per slot, once it has as many rows as may be: the first bytes of the last. The greatest until then.
    last: Vec<First>,
    /// Per slot, ascending; at most the limit.
    best: Vec<Vec<Box<[u8]>>>,
    /// Of all rows.
    bytes: usize,
}

/// The first bytes of a row as words that compare as they do: a DECIMAL and its mark are 17 of them. Bytes that are missing
/// are the least.
type First = [u64; 3];

fn first_bytes(row: &[u8]) -> First {
    let mut bytes = [0; size_of::<First>()];
    match row.first_chunk() {
        Some(all) => bytes = *all,
        None => bytes[..row.len()].copy_from_slice(row),
    }
    let (words, _) = bytes.as_chunks();
    [0, 1, 2].map(|i| u64::from_be_bytes(words[i]))
}

impl Open {
    fn new(packing: Packing) -> Self {
        Self { groups: Groups::new(packing), last: vec![], best: vec![], bytes: 0 }
    }

    /// The slots of the keys of a batch.
    fn assign(&mut self, keys: &KeyBatch, hashes: &[u64], slots: &mut Vec<u32>) {
        self.groups.assign(keys, hashes, 0, slots);
        self.last.resize(self.groups.slots(), [u64::MAX; 3]);
        self.best.resize_with(self.groups.slots(), Vec::new);
    }

    /// Enters a row if it is one of the best of its key so far.
    fn put(&mut self, slot: usize, row: &[u8], limit: usize) {
        let rows = &mut self.best[slot];
        if rows.is_empty() {
            rows.reserve_exact(limit.min(4));
        }
        if rows.len() == limit {
            if rows.last().is_some_and(|last| **last <= *row) {
                return;
            }
            self.bytes -= rows.pop().map_or(0, |gone| gone.len() + size_of::<Box<[u8]>>());
        }
        let at = rows.partition_point(|r| **r <= *row);
        rows.insert(at, row.into());
        self.bytes += row.len() + size_of::<Box<[u8]>>();
        if let Some(last) = rows.last().filter(|_| rows.len() == limit) {
            self.last[slot] = first_bytes(last);
        }
    }

    /// Bytes held.
    fn bytes(&self) -> usize {
        let slots = self.last.capacity() * size_of::<First>() + self.best.capacity() * size_of::<Vec<Box<[u8]>>>();
        self.groups.bytes() + slots + self.bytes
    }
}

struct TopN {
    name: String,
    limit: usize,
    /// Columns of the order.
    columns: Vec<usize>,
    key_columns: Vec<usize>,
    input: SchemaRef,
    output: SchemaRef,
    /// The order alone: how each row of `rows` begins.
    order: RowConverter,
    /// Order, ties, all columns of the input.
    rows: RowConverter,
    packing: Packing,
    slots: Vec<u32>,
    /// By event time.
    open: BTreeMap<i64, Open>,
}

impl TopN {
    fn failed(&self, what: &str, e: ArrowError) -> OperatorError {
        OperatorError::new(format!("{}: {what}: {e}", self.name))
    }

    /// Adds rows that are on time.
    fn add(&mut self, batch: &Batch) -> Result<(), OperatorError> {
        let Some(first) = batch.times().first() else { return Ok(()) };
        if batch.times().iter().all(|t| t == first) {
            return self.add_at(*first, batch);
        }
        let mut by_time = BTreeMap::<i64, Vec<u32>>::new();
        (0..).zip(batch.times().iter()).for_each(|(i, t)| by_time.entry(*t).or_default().push(i));
        by_time.into_iter().try_for_each(|(time, rows)| self.add_at(time, &batch.take(&UInt32Array::from(rows))))
    }

    /// Adds rows of one event time.
    fn add_at(&mut self, time: i64, batch: &Batch) -> Result<(), OperatorError> {
        let columns: Vec<ArrayRef> = self.key_columns.iter().map(|k| batch.column(*k).clone()).collect();
        let keys = KeyBatch::pack(self.packing, &columns, batch.rows())?;
        let hashes = batch.hashes().cloned().unwrap_or_else(|| hash_columns(&columns, batch.rows()));
        let mut slots = std::mem::take(&mut self.slots);
        let mut open = self.open.remove(&time).unwrap_or_else(|| Open::new(self.packing));
        open.assign(&keys, &hashes, &mut slots);
        let entered = self.enter(&mut open, batch, &slots);
        self.open.insert(time, open);
        self.slots = slots;
        entered.map_err(|e| self.failed("rows can't be ordered", e))
    }

    /// Enters the rows that may be among the best of their slots.
    fn enter(&self, open: &mut Open, batch: &Batch, slots: &[u32]) -> Result<(), ArrowError> {
        let candidates = self.candidates(open, batch, slots)?;
        if candidates.is_empty() {
            return Ok(());
        }
        let rows = match candidates.len() == batch.rows() {
            true => self.encoded(batch)?,
            false => self.encoded(&batch.take(&UInt32Array::from(candidates.clone())))?,
        };
        let slots = candidates.iter().map(|c| slots[*c as usize] as usize);
        slots.enumerate().for_each(|(row, slot)| open.put(slot, rows.row(row).data(), self.limit));
        Ok(())
    }

    /// The rows whose first bytes do not lie behind the last of the best of their slots.
    fn candidates(&self, open: &Open, batch: &Batch, slots: &[u32]) -> Result<Vec<u32>, ArrowError> {
        if self.columns.is_empty() {
            return Ok((0..batch.rows() as u32).collect());
        }
        let order: Vec<ArrayRef> = self.columns.iter().map(|c| batch.column(*c).clone()).collect();
        let order = self.order.convert_columns(&order)?;
        let may_be = |(row, slot): (usize, &u32)| {
            (first_bytes(order.row(row).data()) <= open.last[*slot as usize]).then_some(row as u32)
        };
        Ok(slots.iter().enumerate().filter_map(may_be).collect())
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

    /// The input's columns of encoded rows, behind their ties.
    fn decoded<'a>(&self, rows: impl Iterator<Item = &'a [u8]>) -> Result<Vec<ArrayRef>, ArrowError> {
        let parser = self.rows.parser();
        let columns = self.rows.convert_rows(rows.map(|r| parser.parse(r)))?;
        Ok(columns[self.columns.len()..].to_vec())
    }

    /// Emits the best rows of all keys of one event time.
    fn emit(&self, time: i64, open: &Open, out: &mut Output) -> Result<(), OperatorError> {
        let ranked: Vec<(i64, &[u8])> = open.best.iter().flat_map(|b| (1..).zip(b.iter().map(|r| &**r))).collect();
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
            v => return Err(unknown_version(v, VERSION)),
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
            let (time, open) = first.remove_entry();
            self.emit(time, &open, out)?;
        }
        Ok(())
    }

    fn snapshot(&mut self, into: &mut Snapshot) -> Result<(), OperatorError> {
        let mut groups: Vec<Vec<(i64, &[u8])>> = vec![Vec::new(); KEY_GROUPS];
        for (time, open) in &self.open {
            for (hash, best) in open.groups.hashes().iter().zip(&open.best) {
                groups[key_group(*hash) as usize].extend(best.iter().map(|r| (*time, &**r)));
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
        self.open.values().map(Open::bytes).sum()
    }
}
