//! Distinct values per slot: exact sets in one table, with moments over them.
//!
//! Within a slice a value is entered once. In the running total of a hopping window each value counts the slices that
//! hold it; it goes when the last of them leaves.

use super::extremes::texts;
use super::groups::Slots;
use super::keys::{Piece, column_of_words};
use super::moments::{Moment, Value};
use super::plan::item;
use super::rows::{Arguments, Placed};
use super::sums::TooLarge;
use crate::aggregate::values::ordered_bits;
use crate::aggregate::{Shape, Values, column_of_i128};
use arrow::array::{Array, ArrayRef, AsArray, ListArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::DataType;
use hashbrown::HashTable;
use highwater_engine::error::OperatorError;
use highwater_engine::hash::{hash_columns, hash_i64};
use std::sync::Arc;

#[derive(Clone, Debug)]
enum Store {
    Narrow(Vec<i64>),
    Wide(Vec<i128>),
    Bytes { arena: Vec<u8>, pieces: Vec<Piece>, dead: usize },
}

/// A value to be looked up.
#[derive(Clone, Copy)]
enum Probe<'a> {
    Narrow(i64),
    Wide(i128),
    Bytes(&'a [u8]),
}

/// The distinct values of every slot.
#[derive(Clone, Debug)]
pub struct Sets {
    table: HashTable<u32>,
    /// Per entry: its slot, the hash of its value, how many slices hold it.
    owners: Vec<u32>,
    hashes: Vec<u64>,
    held: Vec<u32>,
    store: Store,
    free: Vec<u32>,
    /// Per slot.
    counts: Vec<i64>,
    sum: Option<Moment>,
    squares: Option<Moment>,
}

impl Sets {
    /// Empty sets of values of this shape, with the moments asked for.
    pub fn new(shape: Shape, sum: bool, squares: bool) -> Self {
        let store = match shape {
            Shape::Narrow | Shape::Double => Store::Narrow(vec![]),
            Shape::Wide => Store::Wide(vec![]),
            Shape::Bytes => Store::Bytes { arena: vec![], pieces: vec![], dead: 0 },
        };
        Self {
            table: HashTable::new(),
            owners: vec![],
            hashes: vec![],
            held: vec![],
            store,
            free: vec![],
            counts: vec![],
            sum: sum.then(|| Moment::new(shape, false)),
            squares: squares.then(|| Moment::new(shape, true)),
        }
    }

    /// Distinct values of each slot.
    pub fn counts(&self) -> &[i64] {
        &self.counts
    }
    /// Σx over the distinct values.
    pub fn sum(&self) -> Option<&Moment> {
        self.sum.as_ref()
    }
    /// Σx² over the distinct values.
    pub fn squares(&self) -> Option<&Moment> {
        self.squares.as_ref()
    }

    /// Makes room for `n` slots.
    pub fn grow(&mut self, n: usize) {
        self.counts.resize(n, 0);
        self.sum.iter_mut().chain(&mut self.squares).for_each(|m| m.grow(n));
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.table.clear();
        [&mut self.owners, &mut self.held, &mut self.free].into_iter().for_each(Vec::clear);
        self.hashes.clear();
        self.counts.clear();
        match &mut self.store {
            Store::Narrow(v) => v.clear(),
            Store::Wide(v) => v.clear(),
            Store::Bytes { arena, pieces, dead } => {
                arena.clear();
                pieces.clear();
                *dead = 0;
            }
        }
        self.sum.iter_mut().chain(&mut self.squares).for_each(Moment::clear);
    }

    /// Adds rows.
    pub fn update(&mut self, rows: Placed, a: &Arguments) -> Result<(), TooLarge> {
        let (Some(values), Some(hashes)) = (&a.values, &a.hashes) else { unreachable!("a set has an argument") };
        rows.rows(a.taken.as_ref()).try_for_each(|(slot, i)| self.add::<false>(slot, probe(values, i), hashes[i]))
    }

    /// Adds partial results of another operator: lists of its distinct values.
    pub fn merge(&mut self, rows: Placed, column: &ArrayRef) -> Result<(), OperatorError> {
        let lists = column.as_list::<i32>();
        let items = lists.values();
        let (values, hashes) = (Values::of(items)?, hash_columns(std::slice::from_ref(items), items.len()));
        let offsets = lists.value_offsets();
        for (slot, i) in rows.rows(None) {
            for j in offsets[i] as usize..offsets[i + 1] as usize {
                self.add::<false>(slot, probe(&values, j), hashes[j])
                    .map_err(|TooLarge| OperatorError::new("a sum exceeds 256 bits"))?;
            }
        }
        Ok(())
    }

    /// Counts the sets of `from`, whose `i`-th slot is `slots[i]` here, as one more slice; as one less if `AWAY`.
    pub fn absorb<const AWAY: bool>(&mut self, slots: &[u32], from: &Self) -> Result<(), TooLarge> {
        for (e, owner) in from.owners.iter().enumerate() {
            let (slot, value, hash) = (slots[*owner as usize] as usize, from.store.probe(e), from.hashes[e]);
            match AWAY {
                true => self.release(slot, value, hash)?,
                false => self.add::<true>(slot, value, hash)?,
            }
        }
        self.sweep();
        Ok(())
    }

    /// Enters a value. If it is there, counts one more slice that holds it if `COUNTED`.
    #[inline]
    fn add<const COUNTED: bool>(&mut self, slot: usize, value: Probe, hash: u64) -> Result<(), TooLarge> {
        let known = self.table.find(entry_hash(slot, hash), |e| self.is(*e, slot, value)).copied();
        if let Some(e) = known {
            if COUNTED {
                self.held[e as usize] += 1;
            }
            return Ok(());
        }
        let e = self.place(slot as u32, value, hash);
        let (owners, hashes) = (&self.owners, &self.hashes);
        let rehash = |e: &u32| entry_hash(owners[*e as usize] as usize, hashes[*e as usize]);
        self.table.insert_unique(entry_hash(slot, hash), e, rehash);
        self.counts[slot] += 1;
        self.moments::<false>(slot, value)
    }

    fn moments<const AWAY: bool>(&mut self, slot: usize, value: Probe) -> Result<(), TooLarge> {
        let value = match value {
            Probe::Narrow(v) => Value::Narrow(v),
            Probe::Wide(v) => Value::Wide(v),
            Probe::Bytes(_) => return Ok(()),
        };
        self.sum.iter_mut().chain(&mut self.squares).try_for_each(|m| m.one::<AWAY>(slot, value))
    }

    /// One slice less holds a value.
    fn release(&mut self, slot: usize, value: Probe, hash: u64) -> Result<(), TooLarge> {
        let found = self.table.find(entry_hash(slot, hash), |e| self.is(*e, slot, value)).copied();
        let Some(e) = found else { unreachable!("the value of slot {slot} was entered with its slice") };
        self.held[e as usize] -= 1;
        if self.held[e as usize] > 0 {
            return Ok(());
        }
        self.moments::<true>(slot, value)?;
        self.counts[slot] -= 1;
        if let Ok(entry) = self.table.find_entry(entry_hash(slot, hash), |x| *x == e) {
            entry.remove();
        }
        self.drop_entry(e as usize);
        Ok(())
    }

    /// Gives the place of an entry back that the table no longer names.
    fn drop_entry(&mut self, e: usize) {
        self.held[e] = 0;
        if let Store::Bytes { pieces, dead, .. } = &mut self.store {
            *dead += std::mem::take(&mut pieces[e].1) as usize;
        }
        self.free.push(e as u32);
    }

    fn is(&self, e: u32, slot: usize, value: Probe) -> bool {
        let e = e as usize;
        self.owners[e] as usize == slot
            && match (&self.store, value) {
                (Store::Narrow(s), Probe::Narrow(v)) => s[e] == v,
                (Store::Wide(s), Probe::Wide(v)) => s[e] == v,
                (Store::Bytes { arena, pieces, .. }, Probe::Bytes(v)) => {
                    &arena[pieces[e].0..pieces[e].0 + pieces[e].1 as usize] == v
                }
                _ => false,
            }
    }

    fn place(&mut self, slot: u32, value: Probe, hash: u64) -> u32 {
        if let Some(e) = self.free.pop() {
            let i = e as usize;
            (self.owners[i], self.hashes[i], self.held[i]) = (slot, hash, 1);
            match (&mut self.store, value) {
                (Store::Narrow(s), Probe::Narrow(v)) => s[i] = v,
                (Store::Wide(s), Probe::Wide(v)) => s[i] = v,
                (Store::Bytes { arena, pieces, .. }, Probe::Bytes(v)) => {
                    pieces[i] = (arena.len(), v.len() as u32);
                    arena.extend_from_slice(v);
                }
                _ => unreachable!("the values of a set are alike"),
            }
            return e;
        }
        self.owners.push(slot);
        self.hashes.push(hash);
        self.held.push(1);
        match (&mut self.store, value) {
            (Store::Narrow(s), Probe::Narrow(v)) => s.push(v),
            (Store::Wide(s), Probe::Wide(v)) => s.push(v),
            (Store::Bytes { arena, pieces, .. }, Probe::Bytes(v)) => {
                pieces.push((arena.len(), v.len() as u32));
                arena.extend_from_slice(v);
            }
            _ => unreachable!("the values of a set are alike"),
        }
        u32::try_from(self.owners.len() - 1).expect("fewer than 2^32 distinct values in one set")
    }

    /// Gives the memory of released values back once they are the larger part.
    fn sweep(&mut self) {
        if self.free.len() > 1024 && self.free.len() > self.owners.len() / 2 {
            let mut fresh = self.emptied();
            for e in 0..self.owners.len() {
                if self.held[e] > 0 {
                    let at = fresh.place(self.owners[e], self.store.probe(e), self.hashes[e]);
                    fresh.held[at as usize] = self.held[e];
                }
            }
            fresh.rebuild();
            *self = fresh;
        }
        let Store::Bytes { arena, pieces, dead } = &mut self.store else { return };
        if *dead > 1 << 16 && *dead > arena.len() / 2 {
            let mut live = Vec::with_capacity(arena.len() - *dead);
            for (start, len) in pieces {
                let from = std::mem::replace(start, live.len());
                live.extend_from_slice(&arena[from..from + *len as usize]);
            }
            (*arena, *dead) = (live, 0);
        }
    }

    /// No entries, but counts and moments as they are (moved out of `self`).
    fn emptied(&mut self) -> Self {
        let store = match &self.store {
            Store::Narrow(_) => Store::Narrow(vec![]),
            Store::Wide(_) => Store::Wide(vec![]),
            Store::Bytes { .. } => Store::Bytes { arena: vec![], pieces: vec![], dead: 0 },
        };
        Self {
            table: HashTable::new(),
            owners: vec![],
            hashes: vec![],
            held: vec![],
            store,
            free: vec![],
            counts: std::mem::take(&mut self.counts),
            sum: self.sum.take(),
            squares: self.squares.take(),
        }
    }

    /// Builds the table from the entries.
    fn rebuild(&mut self) {
        let (owners, hashes) = (&self.owners, &self.hashes);
        let hash = |e: &u32| entry_hash(owners[*e as usize] as usize, hashes[*e as usize]);
        self.table = HashTable::with_capacity(owners.len());
        for e in (0..owners.len() as u32).filter(|e| self.held[*e as usize] > 0) {
            self.table.insert_unique(hash(&e), e, hash);
        }
    }

    /// Keeps these slots only, in this order.
    pub fn keep(&mut self, slots: &[u32]) {
        let now = positions(slots, self.counts.len());
        self.counts = Slots::List(slots).of(&self.counts);
        for e in (0..self.owners.len()).filter(|e| self.held[*e] > 0).collect::<Vec<_>>() {
            match now[self.owners[e] as usize] {
                NOWHERE => self.drop_entry(e),
                at => self.owners[e] = at,
            }
        }
        self.sum.iter_mut().chain(&mut self.squares).for_each(|m| m.keep(slots));
        self.rebuild();
        self.sweep();
    }

    /// The distinct values of these slots as lists.
    pub fn column(&self, slots: Slots, t: &DataType) -> ArrayRef {
        let lengths = slots.iter().map(|s| self.counts[s] as usize);
        let offsets = OffsetBuffer::<i32>::from_lengths(lengths);
        let mut next: Vec<usize> = offsets.iter().map(|o| *o as usize).collect();
        let list: Vec<u32> = slots.iter().map(|s| s as u32).collect();
        let now = positions(&list, self.counts.len());
        let mut order = vec![0u32; next[slots.len()]];
        for (e, owner) in self.owners.iter().enumerate().filter(|(e, _)| self.held[*e] > 0) {
            let Some(at) = next.get_mut(now[*owner as usize] as usize) else { continue };
            order[*at] = e as u32;
            *at += 1;
        }
        let entries = Slots::List(&order);
        let items = match &self.store {
            Store::Narrow(v) => column_of_words(entries.of(v), None, t),
            Store::Wide(v) => column_of_i128(entries.of(v), None, t),
            Store::Bytes { arena, pieces, .. } => {
                let piece = |e: usize| Some(&arena[pieces[e].0..pieces[e].0 + pieces[e].1 as usize]);
                texts(entries.iter().map(piece), t)
            }
        };
        Arc::new(ListArray::new(item(t), offsets, items, None))
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        let store = match &self.store {
            Store::Narrow(v) => v.capacity() * 8,
            Store::Wide(v) => v.capacity() * 16,
            Store::Bytes { arena, pieces, .. } => arena.capacity() + pieces.capacity() * size_of::<Piece>(),
        };
        let entries = self.owners.capacity() * 4 + self.hashes.capacity() * 8 + self.held.capacity() * 4;
        let moments = self.sum.iter().chain(&self.squares).map(Moment::bytes).sum::<usize>();
        store + entries + self.free.capacity() * 4 + self.table.allocation_size() + self.counts.capacity() * 8 + moments
    }
}

/// A slot that is not listed.
const NOWHERE: u32 = u32::MAX;

/// Where each of `n` slots stands in a list.
fn positions(list: &[u32], n: usize) -> Vec<u32> {
    let mut now = vec![NOWHERE; n];
    list.iter().enumerate().for_each(|(at, slot)| now[*slot as usize] = at as u32);
    now
}

impl Store {
    fn probe(&self, e: usize) -> Probe<'_> {
        match self {
            Self::Narrow(v) => Probe::Narrow(v[e]),
            Self::Wide(v) => Probe::Wide(v[e]),
            Self::Bytes { arena, pieces, .. } => Probe::Bytes(&arena[pieces[e].0..pieces[e].0 + pieces[e].1 as usize]),
        }
    }
}

fn probe<'a>(values: &'a Values, i: usize) -> Probe<'a> {
    match values {
        Values::Narrow(v) => Probe::Narrow(v[i]),
        Values::Wide(v) => Probe::Wide(v[i]),
        Values::Double(v) => Probe::Narrow(ordered_bits(v[i])),
        Values::Text(_) | Values::Bytes(_) => Probe::Bytes(values.bytes(i)),
    }
}

/// The hash of a value in the set of a slot.
#[inline(always)]
fn entry_hash(slot: usize, value: u64) -> u64 {
    hash_i64(value.wrapping_add((slot as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)) as i64)
}
