//! Snapshots: per key group the watermark and one batch of partial results of all slices.
//!
//! Slices inside the running total are written as they entered, so the total is built anew from them; which slices those
//! are follows from the watermark. A combiner's snapshot restores into the operator behind the exchange as well.

use super::groups::Slots;
use super::partial::{self, of_states};
use super::plan::Plan;
use super::slices::Slices;
use super::total::Total;
use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use highwater_engine::batch::Batch;
use highwater_engine::error::OperatorError;
use highwater_engine::hash::{KEY_GROUPS, key_group};
use highwater_engine::state::Snapshot;
use highwater_engine::state::codec::{Reader, Writer};
use highwater_engine::time::Watermark;

/// Writes the state.
pub fn write(
    plan: &Plan,
    schema: &SchemaRef,
    watermark: Watermark,
    slices: &Slices,
    total: Option<&Total>,
    into: &mut Snapshot,
) -> Result<(), OperatorError> {
    let mut batches = vec![];
    for (id, slice) in slices.iter() {
        batches.push(partial::of_slice(plan, schema, id, slice)?);
    }
    if let Some(total) = total {
        for (id, slots, states) in total.entered() {
            let list = Slots::List(slots);
            let keys = total.groups().columns(list, &plan.key_fields);
            let hashes = list.of(total.groups().hashes());
            batches.push(of_states(plan, schema, keys, id, states, hashes)?);
        }
    }
    let hashes: Vec<u64> = batches.iter().filter_map(Batch::hashes).flat_map(|h| h.iter().copied()).collect();
    let rows = concat_batches(schema, batches.iter().map(Batch::columns))
        .map_err(|e| OperatorError::new(format!("state could not be written: {e}")))?;
    drop(batches);
    put_by_group(&rows, &hashes, watermark, into)
}

/// Writes rows of state, each to the group of its key's hash.
pub fn put_by_group(
    rows: &RecordBatch,
    hashes: &[u64],
    watermark: Watermark,
    into: &mut Snapshot,
) -> Result<(), OperatorError> {
    let mut groups = vec![vec![]; KEY_GROUPS];
    hashes.iter().enumerate().for_each(|(i, h)| groups[key_group(*h) as usize].push(i as u32));
    for (group, rows_of_group) in groups.into_iter().enumerate().filter(|(_, r)| !r.is_empty()) {
        let part = arrow::compute::take_record_batch(rows, &UInt32Array::from(rows_of_group))
            .map_err(|e| OperatorError::new(format!("state could not be written: {e}")))?;
        let mut w = Writer::new();
        w.i64(watermark.ms());
        w.batch(&part)?;
        into.put(group as u8, w.finish());
    }
    Ok(())
}

/// Reads a part that [`put_by_group`] wrote with rows of this schema.
pub fn rows_of(part: &[u8], schema: &SchemaRef, name: &str) -> Result<(Watermark, RecordBatch), OperatorError> {
    let mut r = Reader::new(part);
    let (watermark, rows) = (Watermark::new(r.i64()?), r.batch()?);
    match rows.schema().fields() == schema.fields() {
        true => Ok((watermark, rows)),
        false => Err(OperatorError::new(format!("{name}: the state belongs to another query"))),
    }
}

/// Reads the state into open slices; returns the watermark it was written at.
pub fn read(plan: &Plan, schema: &SchemaRef, slices: &mut Slices, from: Snapshot) -> Result<Watermark, OperatorError> {
    let mut watermark = Watermark::START;
    for (_, bytes) in from.into_parts() {
        let (written_at, rows) = rows_of(&bytes, schema, &plan.name)?;
        watermark = watermark.max(written_at);
        let times = vec![0; rows.num_rows()];
        partial::merge(plan, slices, &Batch::new(rows, times.into()), Watermark::START.ms())?;
    }
    Ok(watermark)
}
