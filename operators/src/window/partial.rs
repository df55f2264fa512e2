//! Partial results: the state of a slice as rows, before the exchange and in snapshots.
//!
//! Columns: the keys; `slice_last` and `slice_enter`, which name the slice (see [`super::borders`]); `rows`; per input the
//! rows that do not take part; then the state: sums as DECIMAL of scale 0, sums of DOUBLE as bytes, extremes as values,
//! distinct values as lists. The event time is that of the first window the slice enters.

use super::borders::SliceId;
use super::groups::Slots;
use super::keys::{KeyBatch, Packing};
use super::plan::Plan;
use super::results::BATCH_ROWS;
use super::results::Results;
use super::slices::{Run, Slice, Slices};
use super::states::States;
use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::datatypes::{Int64Type, SchemaRef};
use highwater_engine::batch::Batch;
use highwater_engine::error::OperatorError;
use highwater_engine::hash::hash_columns;
use highwater_engine::operator::Output;
use std::sync::Arc;

/// The rows of a slice.
pub fn of_slice(plan: &Plan, schema: &SchemaRef, id: SliceId, slice: &Slice) -> Result<Batch, OperatorError> {
    let slots = Slots::Run(0, slice.groups.slots());
    let keys = slice.groups.columns(slots, &plan.key_fields);
    let rows = columns_of(plan, schema, keys, id, &slice.states, slots)?;
    let (times, hashes) = (vec![id.enter - 1; slots.len()], slice.groups.hashes().to_vec());
    Ok(Batch::new(rows, times.into()).with_hashes(Some(hashes.into())))
}

/// The rows of these slots of a slice's state; `keys` are theirs.
pub fn columns_of(
    plan: &Plan,
    schema: &SchemaRef,
    keys: Vec<ArrayRef>,
    slice: SliceId,
    states: &States,
    slots: Slots,
) -> Result<RecordBatch, OperatorError> {
    let mut columns = keys;
    columns.extend([slice.last, slice.enter].map(|t| -> ArrayRef { Arc::new(Int64Array::from(vec![t; slots.len()])) }));
    columns.extend(states.partials(plan, slots));
    RecordBatch::try_new(schema.clone(), columns)
        .map_err(|e| OperatorError::new(format!("{}: partial results do not fit their schema: {e}", plan.name)))
}

/// Sends a batch of partial results in pieces.
pub fn send(batch: &Batch, to: &mut Results, out: &mut Output) {
    let mut at = 0;
    while at < batch.rows() {
        let n = (batch.rows() - at).min(BATCH_ROWS);
        to.push(batch.slice(at, n), out);
        at += n;
    }
}

/// Merges partial results into open slices; `closed` is the watermark.
pub fn merge(plan: &Plan, slices: &mut Slices, batch: &Batch, closed: i64) -> Result<(), OperatorError> {
    let keys: Vec<ArrayRef> = batch.columns().columns()[..plan.keys.len()].to_vec();
    let packed = KeyBatch::pack(Packing::of(&plan.key_fields), &keys, batch.rows())?;
    let hashes = batch.hashes().cloned().unwrap_or_else(|| hash_columns(&keys, batch.rows()));
    let (last, enter) = (batch.column(keys.len()).as_primitive::<Int64Type>().values(), batch.column(keys.len() + 1));
    let enter = enter.as_primitive::<Int64Type>().values();
    let states = &batch.columns().columns()[keys.len() + 2..];
    let mut at = 0;
    while at < batch.rows() {
        let same = |i: &usize| last[*i] == last[at] && enter[*i] == enter[at];
        let rows = (at..batch.rows()).take_while(same).count();
        let slice = Some(SliceId { enter: enter[at], last: last[at] });
        slices.merge(plan, Run { at, rows, slice }, &packed, &hashes, states, closed)?;
        at += rows;
    }
    Ok(())
}

/// Adds partial results of one slice in a part of a snapshot, but for keys that are there.
pub fn add_missing(plan: &Plan, slices: &mut Slices, rows: &RecordBatch) -> Result<(), OperatorError> {
    let (keys, others) = rows.columns().split_at(plan.keys.len());
    let packed = KeyBatch::pack(Packing::of(&plan.key_fields), keys, rows.num_rows())?;
    let hashes = hash_columns(keys, rows.num_rows());
    let [last, enter] = [0, 1].map(|i| others[i].as_primitive::<Int64Type>().values().first().copied());
    let Some((last, enter)) = last.zip(enter) else { return Ok(()) };
    slices.add_missing(plan, SliceId { enter, last }, (&packed, &hashes), &others[2..])
}
