//! The running total of a hopping window: slices enter and leave, and each window is the total between.
//!
//! A slice enters with the first window that accepts its rows and leaves after the last that holds them, so an event
//! costs a constant amount of work, not one per window. What can be taken away exactly (counts, sums, sets) is; MIN and
//! MAX keep a [`Trail`]. A key whose last row has left stays for a while, as many come back; when such keys are half as many
//! as the others all slots are numbered anew.
//!
//! A slice enters in the order of its index, and slots are numbered in the order of the total's own: hashes are in the same
//! order in both, so what the keys of a slice touch lies in the order of memory.

use super::bags::Bags;
use super::borders::SliceId;
use super::extremes::Cells;
use super::groups::{Groups, Slots};
use super::keys::Packing;
use super::moments::Moment;
use super::plan::{Keep, Plan};
use super::sets::Sets;
use super::slices::{Noted, PIECE_ROWS, Slice};
use super::states::{Absent, Column, States, View};
use super::sums::TooLarge;
use super::trail::Trail;
use std::collections::BTreeMap;

/// A slice inside the current window.
#[derive(Debug)]
struct Entered {
    /// The total's slot of each of its slots.
    slots: Vec<u32>,
    states: States,
    noted: Noted,
}

#[derive(Debug)]
enum Running {
    Moment(Moment),
    Trail(Trail),
    Sets(Box<Sets>),
    Bags(Bags),
}

/// The total over the slices of the current window.
#[derive(Debug)]
pub struct Total {
    groups: Groups,
    /// Rows of each slot: none, of a key that has left.
    rows: Vec<i64>,
    /// Slots with rows.
    live: usize,
    absent: Vec<Absent>,
    columns: Vec<Running>,
    /// By the window start with which they leave, then by entry.
    entered: BTreeMap<(i64, i64), Entered>,
    /// The memory of a state that left.
    spare: Option<States>,
}

/// Slots without rows up to which slots are not numbered anew.
const EMPTY_MAX: usize = 1024;

impl Total {
    /// An empty total.
    pub fn new(plan: &Plan) -> Self {
        let column = |c: Column| match c {
            Column::Moment(m) => Running::Moment(m),
            Column::Extremes(e) => Running::Trail(Trail::new(&e)),
            Column::Sets(s) => Running::Sets(s),
            Column::Bags(b) => Running::Bags(b),
        };
        let States { rows, absent, columns } = States::new(plan);
        let columns = columns.into_iter().map(column).collect();
        let groups = Groups::new(Packing::of(&plan.key_fields));
        Self { groups, rows, live: 0, absent, columns, entered: BTreeMap::new(), spare: None }
    }

    /// Whether no row is in it.
    pub fn is_empty(&self) -> bool {
        self.entered.is_empty()
    }
    /// The keys.
    pub fn groups(&self) -> &Groups {
        &self.groups
    }

    /// A slice enters and gives its state away.
    pub fn enter(&mut self, plan: &Plan, id: SliceId, slice: &mut Slice) -> Result<(), TooLarge> {
        let order = slice.groups.in_order();
        let slots = self.slots_of(&slice.groups, &order);
        let mut states = self.spare.take().unwrap_or_else(|| States::new(plan));
        states.take(&mut slice.states, &order);
        self.grow(self.groups.slots());
        self.count::<false>(&slots, &states);
        for ((mine, theirs), kept) in self.columns.iter_mut().zip(&states.columns).zip(&plan.kept) {
            match (mine, theirs) {
                (Running::Moment(m), Column::Moment(f)) => m.absorb::<false>(&slots, f)?,
                (Running::Sets(s), Column::Sets(f)) => s.absorb::<false>(&slots, f)?,
                (Running::Bags(b), Column::Bags(f)) => b.absorb::<false>(&slots, f),
                (Running::Trail(t), Column::Extremes(f)) => {
                    let absent = &states.absent[kept.input];
                    t.enter(&slots, f, id.last, |i| states.rows[i] > absent.at(i));
                }
                _ => unreachable!("the state of one plan is alike"),
            }
        }
        self.entered.insert((id.last, id.enter), Entered { slots, states, noted: slice.noted.of(&order) });
        Ok(())
    }

    /// Finds or makes the slots of the keys of a slice, in this order.
    fn slots_of(&mut self, slice: &Groups, order: &[u32]) -> Vec<u32> {
        let (mut slots, mut here) = (Vec::with_capacity(order.len()), vec![]);
        for part in order.chunks(PIECE_ROWS) {
            let (keys, hashes) = slice.batch_of(part);
            self.groups.assign(&keys, &hashes, 0, &mut here);
            slots.extend_from_slice(&here);
        }
        slots
    }

    /// The slices leave that no window after the one that starts at `start` holds.
    pub fn leave(&mut self, start: i64) -> Result<(), TooLarge> {
        while let Some(first) = self.entered.first_entry() {
            let last = first.key().0;
            if last > start {
                break;
            }
            let Entered { slots, mut states, .. } = first.remove();
            self.count::<true>(&slots, &states);
            for (mine, theirs) in self.columns.iter_mut().zip(&states.columns) {
                match (mine, theirs) {
                    (Running::Moment(m), Column::Moment(f)) => m.absorb::<true>(&slots, f)?,
                    (Running::Sets(s), Column::Sets(f)) => s.absorb::<true>(&slots, f)?,
                    (Running::Bags(b), Column::Bags(f)) => b.absorb::<true>(&slots, f),
                    (Running::Trail(t), Column::Extremes(_)) => t.leave(&slots, last),
                    _ => unreachable!("the state of one plan is alike"),
                }
            }
            if !states.roomy(states.rows.len()) {
                states.clear();
                self.spare = Some(states);
            }
        }
        match self.entered.is_empty() {
            true => self.reset(),
            false => self.tidy(),
        }
        Ok(())
    }

    fn count<const AWAY: bool>(&mut self, slots: &[u32], from: &States) {
        let sign = if AWAY { -1 } else { 1 };
        let mut turned = 0;
        for (s, n) in slots.iter().zip(&from.rows) {
            let rows = &mut self.rows[*s as usize];
            let before = *rows;
            *rows += sign * n;
            turned += usize::from(if AWAY { *rows } else { before } == 0);
        }
        self.live = if AWAY { self.live - turned } else { self.live + turned };
        for (mine, theirs) in self.absent.iter_mut().zip(&from.absent).filter(|(_, t)| t.any()) {
            let total = self.rows.len();
            slots.iter().enumerate().for_each(|(i, s)| mine.add(*s as usize, sign * theirs.at(i), total));
        }
    }

    fn grow(&mut self, n: usize) {
        if n <= self.rows.len() {
            return;
        }
        self.rows.resize(n, 0);
        for c in &mut self.columns {
            match c {
                Running::Moment(c) => c.grow(n),
                Running::Trail(c) => c.grow(n),
                Running::Sets(c) => c.grow(n),
                Running::Bags(c) => c.grow(n),
            }
        }
    }

    /// Everything left: gives all memory back.
    fn reset(&mut self) {
        debug_assert!(self.rows.iter().all(|n| *n == 0), "the total of no slice is empty");
        self.spare = None;
        self.keep(&[]);
    }

    /// Numbers slots anew if many are empty.
    fn tidy(&mut self) {
        let empty = self.rows.len() - self.live;
        if empty > EMPTY_MAX && empty > self.live / 2 {
            let mut order = self.groups.in_order();
            order.retain(|s| self.rows[*s as usize] > 0);
            self.keep(&order);
        }
    }

    fn keep(&mut self, live: &[u32]) {
        let mut now = vec![0; self.rows.len()];
        live.iter().enumerate().for_each(|(new, old)| now[*old as usize] = new as u32);
        self.entered.values_mut().flat_map(|e| &mut e.slots).for_each(|s| *s = now[*s as usize]);
        self.groups.keep(live);
        self.rows = Slots::List(live).of(&self.rows);
        self.absent.iter_mut().for_each(|a| a.keep(live));
        for c in &mut self.columns {
            match c {
                Running::Moment(c) => c.keep(live),
                Running::Trail(c) => c.keep(live),
                Running::Sets(c) => c.keep(live),
                Running::Bags(c) => c.keep(live),
            }
        }
    }

    /// The slots with rows, if not all of `0 .. slots` are.
    pub fn live(&self) -> Option<Vec<u32>> {
        if self.live == self.rows.len() {
            return None;
        }
        // no branch for each slot: which are empty can't be predicted
        let (mut live, mut n) = (vec![0; self.rows.len() + 1], 0);
        for (slot, rows) in (0u32..).zip(&self.rows) {
            live[n] = slot;
            n += usize::from(*rows > 0);
        }
        live.truncate(n);
        Some(live)
    }

    /// The slices inside, and what the last snapshot has of them.
    pub fn entered(&self) -> impl Iterator<Item = (SliceId, &[u32], &States, &Noted)> {
        let id = |(last, enter): (i64, i64)| SliceId { enter, last };
        self.entered.iter().map(move |(key, e)| (id(*key), &e.slots[..], &e.states, &e.noted))
    }

    /// A snapshot has them all.
    pub fn written(&mut self) {
        self.entered.values_mut().for_each(|e| e.noted.end());
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        let columns = self.columns.iter().map(|c| match c {
            Running::Moment(c) => c.bytes(),
            Running::Trail(c) => c.bytes(),
            Running::Sets(c) => c.bytes(),
            Running::Bags(c) => c.bytes(),
        });
        let entered = self.entered.values().map(|e| e.slots.capacity() * 4 + e.states.bytes() + e.noted.bytes());
        let spare = self.spare.as_ref().map_or(0, States::bytes);
        spare + self.groups.bytes() + self.rows.capacity() * 8 + columns.sum::<usize>() + entered.sum::<usize>()
    }
}

impl View for Total {
    fn rows(&self) -> &[i64] {
        &self.rows
    }
    fn absent(&self, input: usize) -> &Absent {
        &self.absent[input]
    }
    fn moment(&self, at: usize) -> &Moment {
        match &self.columns[at] {
            Running::Moment(m) => m,
            c => unreachable!("{c:?} is no moment"),
        }
    }
    fn cells(&self, at: usize) -> &Cells {
        match &self.columns[at] {
            Running::Trail(t) => t.cells(),
            c => unreachable!("{c:?} is no extreme"),
        }
    }
    fn sets(&self, at: usize) -> &Sets {
        match &self.columns[at] {
            Running::Sets(s) => s,
            c => unreachable!("{c:?} is no set"),
        }
    }
    fn bags(&self, at: usize) -> &Bags {
        match &self.columns[at] {
            Running::Bags(b) => b,
            c => unreachable!("{c:?} is no bag"),
        }
    }
}

/// Whether a column of state holds a set: those inputs need hashes of their values.
pub fn needs_hashes(plan: &Plan) -> Vec<bool> {
    let set = |input: usize| plan.kept.iter().any(|k| k.input == input && matches!(k.keep, Keep::Distinct { .. }));
    (0..plan.inputs.len()).map(set).collect()
}
