//! Snapshots: per key group the watermark and batches of partial results, one a slice.
//!
//! Slices inside the running total are written as they entered, so the total is built anew from them; which slices those
//! are follows from the watermark. A combiner's snapshot restores into the operator behind the exchange as well.

use super::borders::SliceId;
use super::groups::{Groups, Slots};
use super::partial::{self, columns_of};
use super::plan::Plan;
use super::slices::Slices;
use super::states::States;
use super::total::Total;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use highwater_engine::batch::Batch;
use highwater_engine::error::OperatorError;
use highwater_engine::hash::{KEY_GROUPS, KeyGroup, key_group};
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
    let mut parts = ByGroup::new(watermark);
    let mut put = |id: SliceId, groups: &Groups, slots: Slots, states: &States| {
        parts.put(&slots.of(groups.hashes()), |rows| {
            let of_keys: Vec<u32> = match slots {
                Slots::Run(from, _) => rows.iter().map(|r| from as u32 + r).collect(),
                Slots::List(list) => rows.iter().map(|r| list[*r as usize]).collect(),
            };
            let keys = groups.columns(Slots::List(&of_keys), &plan.key_fields);
            columns_of(plan, schema, keys, id, states, Slots::List(rows))
        })
    };
    for (id, slice) in slices.iter() {
        put(id, &slice.groups, Slots::Run(0, slice.groups.slots()), &slice.states)?;
    }
    for (id, slots, states) in total.iter().flat_map(|t| t.entered()) {
        let total = total.expect("it was entered");
        put(id, total.groups(), Slots::List(slots), states)?;
    }
    parts.finish(into);
    Ok(())
}

/// State on its way to a snapshot: a part for each key group.
pub struct ByGroup {
    watermark: Watermark,
    parts: Vec<Writer>,
}

impl ByGroup {
    /// No rows yet.
    pub fn new(watermark: Watermark) -> Self {
        Self { watermark, parts: (0..KEY_GROUPS).map(|_| Writer::new()).collect() }
    }

    /// Adds rows, each to the group of its key's hash. `columns` makes them in the order that it is told.
    pub fn put(
        &mut self,
        hashes: &[u64],
        columns: impl FnOnce(&[u32]) -> Result<RecordBatch, OperatorError>,
    ) -> Result<(), OperatorError> {
        let mut ends = [0; KEY_GROUPS];
        hashes.iter().for_each(|h| ends[key_group(*h) as usize] += 1);
        let mut at = 0;
        for end in &mut ends {
            at += std::mem::replace(end, at);
        }
        let mut rows = vec![0; hashes.len()];
        for (row, h) in (0..).zip(hashes) {
            let place = &mut ends[key_group(*h) as usize];
            rows[*place] = row;
            *place += 1;
        }
        let columns = columns(&rows)?;
        let mut from = 0;
        for (part, end) in self.parts.iter_mut().zip(ends).filter(|(_, end)| *end > 0) {
            if end > from {
                if part.is_empty() {
                    part.i64(self.watermark.ms());
                }
                part.columns(&columns.slice(from, end - from))?;
                from = end;
            }
        }
        Ok(())
    }

    /// Hands the parts over.
    pub fn finish(self, into: &mut Snapshot) {
        let parts = (0..=KeyGroup::MAX).zip(self.parts);
        parts.filter(|(_, part)| !part.is_empty()).for_each(|(group, part)| into.put(group, part.finish()));
    }
}

/// Reads a part of a [`ByGroup`] with rows of this schema; returns the watermark at which it was written.
pub fn read_part(
    part: &[u8],
    schema: &SchemaRef,
    name: &str,
    mut take: impl FnMut(RecordBatch) -> Result<(), OperatorError>,
) -> Result<Watermark, OperatorError> {
    let named = |e: OperatorError| OperatorError::new(format!("{name}: {}", e.message));
    let mut r = Reader::new(part);
    let watermark = Watermark::new(r.i64().map_err(named)?);
    while !r.is_done() {
        take(r.columns(schema).map_err(named)?)?;
    }
    Ok(watermark)
}

/// Reads the state into open slices; returns the watermark it was written at.
pub fn read(plan: &Plan, schema: &SchemaRef, slices: &mut Slices, from: Snapshot) -> Result<Watermark, OperatorError> {
    let mut watermark = Watermark::START;
    for part in from.into_parts() {
        let written_at = read_part(&part.bytes, schema, &plan.name, |rows| {
            let times = vec![0; rows.num_rows()];
            partial::merge(plan, slices, &Batch::new(rows, times.into()), Watermark::START.ms())
        })?;
        watermark = watermark.max(written_at);
    }
    Ok(watermark)
}
