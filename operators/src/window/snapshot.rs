//! Snapshots: per key group the slices as batches of partial results ([`super::parts`]).
//!
//! Slices inside the running total are written as they entered, so the total is built anew from them; which slices those
//! are follows from the watermark.
//!
//! # Deltas
//! A key of a slice that took no row since the last snapshot stands in an older part as it is: it is not written again. A
//! slice is marked when a run of rows goes into it, and the rows that its keys had at the last snapshot tell which of them
//! took more ([`Noted`]), so no row costs anything. Which slices are gone follows from the bound in the last part: slices leave
//! in the order of the last window that holds them. So while a key group has slices each snapshot behind a new watermark has a
//! part of it, even if that is a bound alone. When it is written whole, [`Chains`] says.
//!
//! A combiner's slices are its share of keys that every worker may have. They are written whole, as parts that are added to
//! those of the keys' owner: a restart restores both into the operator behind the exchange.

use super::Window;
use super::borders::SliceId;
use super::groups::{Groups, Slots};
use super::partial::{self, columns_of};
use super::parts::{ByGroup, Head, Kind, Part};
use super::slices::Noted;
use super::states::States;
use super::total::Total;
use arrow::array::RecordBatch;
use highwater_engine::batch::Batch;
use highwater_engine::error::OperatorError;
use highwater_engine::hash::{KEY_GROUPS, KeyGroup};
use highwater_engine::parts::Role;
use highwater_engine::state::{Chains, Snapshot};
use highwater_engine::time::Watermark;

/// What the last snapshot left for the next one to know.
#[derive(Debug, Default)]
pub struct Written {
    pub(super) chains: Chains,
    /// The watermark of the last snapshot.
    at: Option<Watermark>,
}

impl Window {
    /// Writes the state.
    pub(super) fn write(&mut self, into: &mut Snapshot) -> Result<(), OperatorError> {
        let (combines, chains) = (self.role == Role::Combine, &self.written.chains);
        let whole: [bool; KEY_GROUPS] =
            std::array::from_fn(|group| combines || chains.wants_whole(group as KeyGroup, into));
        let kind = |group| match (combines, whole[usize::from(group)]) {
            (true, _) => Kind::Added,
            (false, true) => Kind::Whole,
            (false, false) => Kind::Delta,
        };
        let (watermark, keep_from) = (self.watermark, self.keep_from());
        let mut parts = ByGroup::new(|group| (Head { kind: kind(group), watermark, keep_from }, chains.room(group)));
        self.write_slices(&mut parts, &whole)?;
        let passed = self.written.at.replace(watermark) != Some(watermark);
        for (group, part) in parts.finish() {
            let (chains, whole) = (&mut self.written.chains, whole[usize::from(group)]);
            match part.lives {
                false => chains.end(group),
                true if combines => into.put(group, part.bytes.finish()),
                true if whole || part.has_rows || passed => chains.put(group, whole, part.bytes.finish(), into),
                true => into.keep(group),
            }
        }
        if !combines {
            self.note();
        }
        Ok(())
    }

    /// All slices are written, or were read.
    fn note(&mut self) {
        let changed = self.slices.iter_mut().filter(|slice| slice.noted.changed);
        changed.for_each(|slice| slice.noted.note(&slice.states.rows));
        self.total.iter_mut().for_each(Total::written);
    }

    /// The keys that changed, and all of the key groups that are written whole.
    fn write_slices(&self, parts: &mut ByGroup, whole: &[bool; KEY_GROUPS]) -> Result<(), OperatorError> {
        let (plan, schema) = (&self.plan, &self.partials);
        let mut put = |id: SliceId, groups: &Groups, slots: Slots, states: &States, noted: &Noted| {
            let changed = |row: usize| noted.is_changed(row, states.rows[row]);
            parts.put(id, &slots.of(groups.hashes()), (whole, changed), |rows| {
                let of_keys: Vec<u32> = match slots {
                    Slots::Run(from, _) => rows.iter().map(|r| from as u32 + r).collect(),
                    Slots::List(list) => rows.iter().map(|r| list[*r as usize]).collect(),
                };
                let keys = groups.columns(Slots::List(&of_keys), &plan.key_fields);
                columns_of(plan, schema, keys, id, states, Slots::List(rows))
            })
        };
        for (id, slice) in self.slices.iter() {
            put(id, &slice.groups, Slots::Run(0, slice.groups.slots()), &slice.states, &slice.noted)?;
        }
        if let Some(total) = &self.total {
            for (id, slots, states, noted) in total.entered() {
                put(id, total.groups(), Slots::List(slots), states, noted)?;
            }
        }
        Ok(())
    }

    /// Slices whose last window starts before this are gone.
    fn keep_from(&self) -> i64 {
        let open = self.slices.iter().map(|(id, _)| id.last);
        let entered = self.total.iter().flat_map(|total| total.entered().map(|(id, ..)| id.last));
        open.chain(entered).min().unwrap_or(i64::MAX)
    }

    /// Reads the state into open slices.
    pub(super) fn read(&mut self, from: Snapshot) -> Result<(), OperatorError> {
        let mut added = Vec::new();
        for (group, parts) in from.into_groups() {
            let mut chain = Vec::new();
            for bytes in parts {
                match Part::new(&bytes).map_err(|e| self.named(e))?.head {
                    Head { kind: Kind::Added, .. } => added.push(bytes),
                    head => chain.push((head, bytes)),
                }
            }
            self.read_chain(group, chain)?;
        }
        // Only what is in no chain is still to be written.
        self.note();
        for bytes in added {
            let part = Part::new(&bytes).map_err(|e| self.named(e))?;
            self.watermark = self.watermark.max(part.head.watermark);
            let (plan, slices) = (&self.plan, &mut self.slices);
            let read = part.read(
                &self.partials,
                |_| true,
                |rows| {
                    let times = vec![0; rows.num_rows()];
                    partial::merge(plan, slices, &Batch::new(rows, times.into()), Watermark::START.ms())
                },
            );
            read.map_err(|e| self.named(e))?;
        }
        Ok(())
    }

    /// Reads the parts of a key group, the newest first: what an older one has of the same keys is out of date.
    fn read_chain(&mut self, group: KeyGroup, chain: Vec<(Head, Vec<u8>)>) -> Result<(), OperatorError> {
        let Some((newest, _)) = chain.last() else { return Ok(()) };
        let keep_from = newest.keep_from;
        self.watermark = self.watermark.max(newest.watermark);
        for (head, bytes) in &chain {
            self.written.chains.push(group, head.kind == Kind::Whole, bytes.len());
        }
        for (_, bytes) in chain.into_iter().rev() {
            let (plan, slices) = (&self.plan, &mut self.slices);
            let add = |rows: RecordBatch| partial::add_missing(plan, slices, &rows);
            let read = Part::new(&bytes).and_then(|part| part.read(&self.partials, |id| id.last >= keep_from, add));
            read.map_err(|e| self.named(e))?;
        }
        Ok(())
    }

    fn named(&self, error: OperatorError) -> OperatorError {
        OperatorError::new(format!("{}: {}", self.plan.name, error.message))
    }
}
