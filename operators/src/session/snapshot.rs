//! Snapshots: per key group one row per fragment of an open session, all of them as one slice: the key, the session's first
//! and last event time, the partial result. Fragments of one session have the same times and merge when they are read.

use super::SessionWindow;
use crate::window::borders::SliceId;
use crate::window::groups::Slots;
use crate::window::keys::{KeyBatch, Packing};
use crate::window::parts::{ByGroup, Head, Kind, Part};
use crate::window::rows::Placed;
use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::datatypes::{Int64Type, SchemaRef};
use highwater_engine::error::OperatorError;
use highwater_engine::hash::{KEY_GROUPS, hash_columns};
use highwater_engine::state::Snapshot;
use std::sync::Arc;

impl SessionWindow {
    fn partials(&self) -> SchemaRef {
        self.plan.partials_of(["session_first", "session_last"])
    }

    /// Writes the state.
    pub(super) fn write(&self, into: &mut Snapshot) -> Result<(), OperatorError> {
        let (mut keys, mut slots, mut first, mut last) = (vec![], vec![], vec![], vec![]);
        for session in self.sessions.iter() {
            for fragment in self.sessions.fragments_of(session) {
                keys.push(session.key);
                slots.push(fragment);
                first.push(session.start);
                last.push(session.last);
            }
        }
        let of = |values: &[u32], rows: &[u32]| rows.iter().map(|r| values[*r as usize]).collect::<Vec<_>>();
        let head = Head { kind: Kind::Whole, watermark: self.watermark, keep_from: i64::MIN };
        let mut parts = ByGroup::new(|_| (head, 0));
        let hashes = Slots::List(&keys).of(self.groups.hashes());
        parts.put(SliceId { enter: 0, last: 0 }, &hashes, (&[true; KEY_GROUPS], |_| false), |rows| {
            let (keys, slots) = (of(&keys, rows), of(&slots, rows));
            let mut columns = self.groups.columns(Slots::List(&keys), &self.plan.key_fields);
            columns
                .extend([&first, &last].map(|t| -> ArrayRef { Arc::new(Int64Array::from(Slots::List(rows).of(t))) }));
            columns.extend(self.states.partials(&self.plan, Slots::List(&slots)));
            RecordBatch::try_new(self.partials(), columns)
                .map_err(|e| OperatorError::new(format!("{}: state could not be written: {e}", self.plan.name)))
        })?;
        let lives = parts.finish().filter(|(_, part)| part.lives);
        lives.for_each(|(group, part)| into.put(group, part.bytes.finish()));
        Ok(())
    }

    /// Reads the state.
    pub(super) fn read(&mut self, from: Snapshot) -> Result<(), OperatorError> {
        let (schema, name) = (self.partials(), self.plan.name.clone());
        let named = |e: OperatorError| OperatorError::new(format!("{name}: {}", e.message));
        for bytes in from.into_parts().map(|part| part.bytes) {
            let part = Part::new(&bytes).map_err(named)?;
            self.watermark = self.watermark.max(part.head.watermark);
            part.read(&schema, |_| true, |rows| self.merge(&rows)).map_err(named)?;
        }
        Ok(())
    }

    fn merge(&mut self, rows: &RecordBatch) -> Result<(), OperatorError> {
        let n = self.plan.keys.len();
        let columns = &rows.columns()[..n];
        let keys = KeyBatch::pack(Packing::of(&self.plan.key_fields), columns, rows.num_rows())?;
        let hashes = hash_columns(columns, rows.num_rows());
        self.groups.assign(&keys, &hashes, 0, &mut self.slots);
        let time = |at: usize| rows.column(n + at).as_primitive::<Int64Type>().values();
        for ((slot, first), last) in self.slots.iter_mut().zip(time(0)).zip(time(1)) {
            *slot = self.sessions.add(*slot, *first, *last);
        }
        self.states.grow(self.sessions.fragments());
        self.states.merge(Placed { at: 0, slots: &self.slots }, &rows.columns()[n + 2..])
    }
}
