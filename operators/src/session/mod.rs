//! Keyed aggregation over sessions.
//!
//! A session of a key is a run of its rows of which each lies no further than the gap behind the one before it; its window
//! is `[first, last + gap)`. A row may open a session, extend one, or join two. It is refused if it is late by its tag
//! (`event time < tag`): judged by the partition's content alone, never by what is still open. A session is complete when
//! the watermark has passed `last + gap`: a row at `last + gap` would still extend it. It then emits one row, timed
//! `window_end − 1 ms`, so rows of later epochs are promised from `W − 1 ms` on.
//!
//! State: per key its open sessions ([`intervals`]), per session one or more rows of partial results, as windows keep them
//! ([`crate::window::states`]). Cost per row: one table look-up, a walk over the key's open sessions (mostly one), one pass
//! over each column of state. Memory: one row of state per open session.

mod intervals;
mod snapshot;
#[cfg(test)]
mod tests;

use crate::window::borders::{Bounds, WINDOW_MS_MAX, room_around};
use crate::window::derived::with_derived;
use crate::window::groups::{Groups, Slots};
use crate::window::keys::{KeyBatch, Packing};
use crate::window::plan::Plan;
use crate::window::results::Results;
use crate::window::rows::{Arguments, Placed, Scratch};
use crate::window::slices::Hashes;
use crate::window::states::States;
use crate::window::total::needs_hashes;
use crate::window::{check_schema, too_large};
use arrow::array::{ArrayRef, UInt32Array};
use arrow_schema::SchemaRef;
use highwater_engine::batch::Batch;
use highwater_engine::error::{BuildError, OperatorError};
use highwater_engine::graph::{Node, WindowSpec};
use highwater_engine::operator::{Operator, Output};
use highwater_engine::state::Snapshot;
use highwater_engine::time::{Progress, Watermark};
use intervals::{Session, Sessions};

/// Fragments of closed sessions that are kept at least before slots are numbered anew.
const CLOSED_MIN: usize = 1024;

/// The operator of `node`: sessions with this gap.
pub fn operator(
    node: &Node,
    spec: &WindowSpec,
    gap_ms: i64,
    input: &SchemaRef,
) -> Result<Box<dyn Operator>, BuildError> {
    if !(1..=WINDOW_MS_MAX).contains(&gap_ms) {
        let what = format!("{}: a session's gap of {gap_ms} ms is not between 1 and {WINDOW_MS_MAX} ms", node.name);
        return Err(BuildError::new(what));
    }
    let plan = Plan::new(&node.name, spec, input)?;
    check_schema(&plan, &node.schema)?;
    Ok(Box::new(SessionWindow {
        gap_ms,
        sets: needs_hashes(&plan),
        groups: Groups::new(Packing::of(&plan.key_fields)),
        sessions: Sessions::new(gap_ms),
        states: States::new(&plan),
        watermark: Watermark::START,
        results: Results::new(node.schema.clone()),
        scratch: Scratch::default(),
        slots: vec![],
        plan,
    }))
}

struct SessionWindow {
    plan: Plan,
    gap_ms: i64,
    /// Inputs whose values need hashes.
    sets: Vec<bool>,
    /// Keys with an open session.
    groups: Groups,
    sessions: Sessions,
    /// A slot for each fragment.
    states: States,
    watermark: Watermark,
    results: Results,
    scratch: Scratch,
    slots: Vec<u32>,
}

impl SessionWindow {
    /// Adds rows that are on time.
    fn update(&mut self, batch: &Batch) -> Result<(), OperatorError> {
        let mut scratch = std::mem::take(&mut self.scratch);
        let arguments = Arguments::of(&self.plan, &self.sets, batch, &mut scratch)?;
        let columns: Vec<ArrayRef> = self.plan.keys.iter().map(|k| batch.column(*k).clone()).collect();
        let keys = KeyBatch::pack(Packing::of(&self.plan.key_fields), &columns, batch.rows())?;
        let hashes = Hashes::of(batch, &columns, &keys);
        self.groups.assign(&keys, hashes.piece(0, batch.rows(), &mut scratch.hashes), 0, &mut self.slots);
        for (slot, t) in self.slots.iter_mut().zip(batch.times().iter()) {
            room_around(*t)?;
            *slot = self.sessions.add(*slot, *t, *t);
        }
        self.states.grow(self.sessions.fragments());
        let placed = Placed { at: 0, slots: &self.slots };
        self.states.update(&self.plan, placed, &arguments).map_err(|_| too_large(&self.plan))?;
        scratch.recycle(arguments);
        self.scratch = scratch;
        Ok(())
    }

    /// Adds up the fragments of these sessions; returns the slot of each.
    fn fold(&mut self, sessions: &[Session]) -> Result<Vec<u32>, OperatorError> {
        let (mut heads, mut into, mut from) = (Vec::with_capacity(sessions.len()), vec![], vec![]);
        for session in sessions {
            let mut fragments = self.sessions.fragments_of(session);
            let head = fragments.next().expect("a session has a fragment");
            heads.push(head);
            for fragment in fragments {
                into.push(head);
                from.push(fragment);
            }
        }
        if !from.is_empty() {
            let partials = self.states.partials(&self.plan, Slots::List(&from));
            self.states.merge(Placed { at: 0, slots: &into }, &partials)?;
        }
        Ok(heads)
    }

    /// Forgets keys without sessions, and numbers slots anew once most belong to closed sessions.
    fn tidy(&mut self, closed: &[Session]) {
        let mut keys: Vec<u32> = closed.iter().map(|s| s.key).filter(|k| !self.sessions.has(*k)).collect();
        keys.sort_unstable();
        keys.dedup();
        self.groups.remove(&keys);
        self.groups.sweep();
        if self.sessions.open() == 0 || self.sessions.fragments() > 2 * self.sessions.open() + CLOSED_MIN {
            let kept = self.sessions.renumber();
            self.states.keep(&kept);
        }
    }
}

impl Operator for SessionWindow {
    fn on_batch(&mut self, _input: usize, batch: Batch, out: &mut Output) -> Result<(), OperatorError> {
        let on_time = |i: usize| batch.tag(i).is_none_or(|tag| batch.times()[i] >= tag);
        let batch = match (0..batch.rows()).all(on_time) {
            true => batch,
            false => {
                let kept: UInt32Array = (0..batch.rows()).filter(|i| on_time(*i)).map(|i| i as u32).collect();
                out.refused += (batch.rows() - kept.len()) as u64;
                batch.take(&kept)
            }
        };
        let below = batch.times().iter().find(|t| **t < self.watermark.ms());
        assert!(below.is_none(), "a row at {below:?} came after the watermark {:?}, and without a tag", self.watermark);
        self.update(&with_derived(batch, &self.plan.derived)?)
    }

    fn on_watermark(&mut self, progress: Progress, out: &mut Output) -> Result<(), OperatorError> {
        self.watermark = self.watermark.max(progress.watermark);
        let closed = self.sessions.take(self.watermark.ms());
        if !closed.is_empty() {
            let slots = self.fold(&closed)?;
            let keys: Vec<u32> = closed.iter().map(|s| s.key).collect();
            let window = |s: &Session| Bounds { start: s.start, end: s.last + self.gap_ms };
            let windows: Vec<Bounds> = closed.iter().map(window).collect();
            let keys = (&self.groups, Slots::List(&keys));
            self.results.emit_each(&self.plan, &self.states, keys, Slots::List(&slots), &windows, out)?;
            self.tidy(&closed);
        }
        self.results.flush(out);
        Ok(())
    }

    fn snapshot(&mut self, into: &mut Snapshot) -> Result<(), OperatorError> {
        self.write(into)
    }

    fn restore(&mut self, from: Snapshot) -> Result<(), OperatorError> {
        self.read(from)
    }

    fn state_bytes(&self) -> usize {
        self.groups.bytes() + self.sessions.bytes() + self.states.bytes() + self.scratch.bytes()
    }
}
