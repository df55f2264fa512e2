//! The open slices of a window operator: rows or partial results enter here, by slice and key.
//!
//! Rows are taken in runs that share a slice, piece by piece, each in two passes: slots first, then one loop per column of
//! state. A batch whose rows change slices too often is ordered by slice first.

use super::borders::{Borders, SliceId, Span};
use super::groups::Groups;
use super::keys::{KeyBatch, Packing};
use super::plan::Plan;
use super::rows::{Arguments, Placed, Scratch};
use super::states::States;
use super::sums::TooLarge;
use arrow::array::{ArrayRef, UInt32Array};
use arrow::buffer::ScalarBuffer;
use arrow::compute::take;
use highwater_engine::batch::{Batch, ON_TIME};
use highwater_engine::error::OperatorError;
use highwater_engine::hash::{hash_columns, hash_i64};
use std::collections::BTreeMap;

/// Mean length of runs below which a batch is ordered by slice.
const RUN_ROWS_MIN: usize = 16;
/// Rows taken together: what is made of them stays in the nearest cache until it is used.
pub const PIECE_ROWS: usize = 1024;
/// Emptied slices kept for their memory.
const SPARE_MAX: usize = 32;

/// The groups of one slice and their state.
#[derive(Debug)]
pub struct Slice {
    /// The keys.
    pub groups: Groups,
    /// The state.
    pub states: States,
    /// What the last snapshot has of it.
    pub noted: Noted,
}

/// What the last snapshot has of a slice. Whatever changes a key's state adds to its rows: so they tell whether it changed.
#[derive(Debug, Default)]
pub struct Noted {
    /// Whether a row came in since then.
    pub changed: bool,
    /// Rows of each slot then, if it changed since; slots behind the last were not there.
    rows: Vec<i64>,
}

impl Noted {
    /// Whether a slot with so many rows has changed.
    #[inline(always)]
    pub fn is_changed(&self, slot: usize, rows: i64) -> bool {
        self.changed && self.rows.get(slot) != Some(&rows)
    }
    /// A snapshot has all of a slice whose slots have so many rows, and more may come in.
    pub fn note(&mut self, rows: &[i64]) {
        self.changed = false;
        self.rows.clear();
        self.rows.extend_from_slice(rows);
    }
    /// The same of these slots, in this order.
    pub fn of(&self, slots: &[u32]) -> Self {
        let rows = |slot: &u32| self.rows.get(*slot as usize).copied().unwrap_or(0);
        let rows = if self.changed && !self.rows.is_empty() { slots.iter().map(rows).collect() } else { vec![] };
        Self { changed: self.changed, rows }
    }
    /// A snapshot has all of a slice into which no more rows come.
    pub fn end(&mut self) {
        *self = Self::default();
    }
    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.rows.capacity() * 8
    }
}

/// A run of rows of one slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Where it starts.
    pub at: usize,
    /// Its length.
    pub rows: usize,
    /// `None` if no window takes the rows.
    pub slice: Option<SliceId>,
}

impl Run {
    /// The run in pieces: where each starts, and its length.
    fn pieces(self) -> impl Iterator<Item = (usize, usize)> {
        let end = self.at + self.rows;
        (self.at..end).step_by(PIECE_ROWS).map(move |at| (at, PIECE_ROWS.min(end - at)))
    }
}

/// Open slices, in the order in which they enter windows.
#[derive(Debug)]
pub struct Slices {
    open: BTreeMap<SliceId, Slice>,
    spare: Vec<Slice>,
    slots: Vec<u32>,
    scratch: Scratch,
}

impl Slices {
    /// None.
    pub fn new() -> Self {
        Self { open: BTreeMap::new(), spare: vec![], slots: vec![], scratch: Scratch::default() }
    }

    /// Adds the rows of a batch; `closed` is the watermark, below which every window is gone.
    pub fn update(
        &mut self,
        plan: &Plan,
        borders: &Borders,
        sets: &[bool],
        batch: Batch,
        closed: i64,
    ) -> Result<u64, OperatorError> {
        let mut batch = batch;
        let (mut runs, refused) = runs(borders, &batch)?;
        if runs.len() * RUN_ROWS_MIN > batch.rows() && runs.len() > RUN_ROWS_MIN {
            (batch, runs) = ordered(&batch, runs);
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        let arguments = Arguments::of(plan, sets, &batch, &mut scratch)?;
        let columns: Vec<ArrayRef> = plan.keys.iter().map(|k| batch.column(*k).clone()).collect();
        let keys = KeyBatch::pack(Packing::of(&plan.key_fields), &columns, batch.rows())?;
        let hashes = Hashes::of(&batch, &columns, &keys);
        for run in runs {
            let Some(id) = run.slice else { continue };
            let (slice, slots) = self.slice(plan, id, closed);
            for (at, rows) in run.pieces() {
                slice.groups.assign(&keys, hashes.piece(at, rows, &mut scratch.hashes), at, slots);
                slice.states.grow(slice.groups.slots());
                slice
                    .states
                    .update(plan, Placed { at, slots }, &arguments)
                    .map_err(|TooLarge| super::too_large(plan))?;
            }
        }
        scratch.recycle(arguments);
        self.scratch = scratch;
        Ok(refused)
    }

    /// Adds partial results: `rows` of them in this slice.
    pub fn merge(
        &mut self,
        plan: &Plan,
        run: Run,
        keys: &KeyBatch,
        hashes: &[u64],
        states: &[ArrayRef],
        closed: i64,
    ) -> Result<(), OperatorError> {
        let Some(id) = run.slice else { return Ok(()) };
        let (slice, slots) = self.slice(plan, id, closed);
        slice.groups.assign(keys, &hashes[run.at..run.at + run.rows], run.at, slots);
        slice.states.grow(slice.groups.slots());
        slice.states.merge(Placed { at: run.at, slots }, states)
    }

    /// Adds partial results of keys that are not there yet, and passes over the others.
    pub fn add_missing(
        &mut self,
        plan: &Plan,
        id: SliceId,
        (keys, hashes): (&KeyBatch, &[u64]),
        states: &[ArrayRef],
    ) -> Result<(), OperatorError> {
        let (slice, slots) = self.slice(plan, id, i64::MIN);
        let known = slice.groups.slots() as u32;
        slice.groups.assign(keys, hashes, 0, slots);
        slice.states.grow(slice.groups.slots());
        if slots.iter().all(|slot| *slot >= known) {
            return slice.states.merge(Placed { at: 0, slots }, states);
        }
        let missing: UInt32Array = (0u32..).zip(&*slots).filter(|(_, s)| **s >= known).map(|(row, _)| row).collect();
        slots.retain(|slot| *slot >= known);
        let damaged = |e| OperatorError::new(format!("state can't be read: {e}"));
        let states = states.iter().map(|column| take(column, &missing, None).map_err(damaged));
        slice.states.merge(Placed { at: 0, slots }, &states.collect::<Result<Vec<_>, _>>()?)
    }

    fn slice(&mut self, plan: &Plan, id: SliceId, closed: i64) -> (&mut Slice, &mut Vec<u32>) {
        let slice = self.open.entry(id).or_insert_with(|| {
            assert!(id.enter > closed, "a row for {id:?} came after the watermark {closed}, and without a tag");
            let groups = || Groups::new(Packing::of(&plan.key_fields));
            self.spare.pop().unwrap_or_else(|| Slice {
                groups: groups(),
                states: States::new(plan),
                noted: Noted::default(),
            })
        });
        slice.noted.changed = true;
        (slice, &mut self.slots)
    }

    /// The first slice that enters a window ending at or before `end`, taken out.
    pub fn take(&mut self, end: i64) -> Option<(SliceId, Slice)> {
        let first = self.open.first_entry().filter(|e| e.key().enter <= end)?;
        Some(first.remove_entry())
    }

    /// End of the first window that an open slice enters.
    pub fn next_end(&self) -> Option<i64> {
        self.open.first_key_value().map(|(id, _)| id.enter)
    }

    /// Keeps the memory of a slice that is done, if it used much of it.
    pub fn recycle(&mut self, mut slice: Slice) {
        let roomy = slice.groups.roomy() || slice.states.roomy(slice.groups.slots());
        if self.spare.len() < SPARE_MAX && !roomy {
            slice.groups.clear();
            slice.states.clear();
            slice.noted.end();
            self.spare.push(slice);
        }
    }

    /// The open slices.
    pub fn iter(&self) -> impl Iterator<Item = (SliceId, &Slice)> {
        self.open.iter().map(|(id, s)| (*id, s))
    }

    /// The open slices, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Slice> {
        self.open.values_mut()
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        let slices =
            self.open.values().chain(&self.spare).map(|s| s.groups.bytes() + s.states.bytes() + s.noted.bytes());
        slices.sum::<usize>() + self.scratch.bytes()
    }
}

/// Hashes of the keys of a batch.
pub enum Hashes<'a> {
    /// Those of the exchange, or made at once.
    Known(ScalarBuffer<u64>),
    /// To be made of these keys, piece by piece.
    Words(&'a [i64]),
}

impl<'a> Hashes<'a> {
    /// Of these key columns, which were packed to `keys`.
    pub fn of(batch: &Batch, columns: &[ArrayRef], keys: &'a KeyBatch) -> Self {
        match (batch.hashes(), keys) {
            (Some(hashes), _) => Self::Known(hashes.clone()),
            // a DECIMAL or DOUBLE packs into a word, but has a hash of its own
            (None, KeyBatch::One(words, None)) if columns[0].data_type().is_integer() => Self::Words(words),
            (None, _) => Self::Known(hash_columns(columns, batch.rows())),
        }
    }

    /// The hashes of some rows; `memory` is used where they are made.
    pub fn piece<'m>(&'m self, at: usize, rows: usize, memory: &'m mut Vec<u64>) -> &'m [u64] {
        match self {
            Self::Known(hashes) => &hashes[at..at + rows],
            Self::Words(words) => {
                memory.clear();
                memory.extend(words[at..at + rows].iter().map(|w| hash_i64(*w)));
                memory
            }
        }
    }
}

/// The runs of a batch, and how many rows every window refuses.
fn runs(borders: &Borders, batch: &Batch) -> Result<(Vec<Run>, u64), OperatorError> {
    let (times, tags) = (batch.times(), batch.tags());
    let tag = |i: usize| tags.map_or(ON_TIME, |t| t[i]);
    let (mut runs, mut refused, mut at) = (vec![], 0, 0);
    let mut span: Option<Span> = None;
    while at < times.len() {
        let t = times[at];
        let here = match span.filter(|s| s.from <= t && t < s.until) {
            Some(s) => s,
            None => *span.insert(borders.span(t)?),
        };
        let held = borders.holds(here.slice);
        let mut end = at + 1;
        let slice = if held && tag(at) >= here.slice.enter {
            let accepted = borders.late(here.slice, tag(at));
            refused += u64::from(accepted.is_none());
            accepted
        } else {
            let width = here.until.wrapping_sub(here.from) as u64;
            let same = |t: i64| (t.wrapping_sub(here.from) as u64) < width;
            match tags {
                None => end += times[end..].iter().take_while(|t| same(**t)).count(),
                Some(tags) if held => {
                    let rows = times[end..].iter().zip(&tags[end..]);
                    end += rows.take_while(|(t, tag)| same(**t) && **tag < here.slice.enter).count();
                }
                Some(_) => {}
            }
            held.then_some(here.slice)
        };
        runs.push(Run { at, rows: end - at, slice });
        at = end;
    }
    Ok((runs, refused))
}

/// The batch with the rows of each slice together.
fn ordered(batch: &Batch, mut runs: Vec<Run>) -> (Batch, Vec<Run>) {
    runs.sort_by_key(|r| r.slice);
    let rows = runs.iter().flat_map(|r| r.at as u32..(r.at + r.rows) as u32);
    let batch = batch.take(&UInt32Array::from_iter_values(rows));
    let mut together: Vec<Run> = vec![];
    let mut at = 0;
    for r in runs {
        match together.last_mut().filter(|last| last.slice == r.slice) {
            Some(last) => last.rows += r.rows,
            None => together.push(Run { at, ..r }),
        }
        at += r.rows;
    }
    (batch, together)
}
