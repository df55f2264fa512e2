//! An open-addressing index: hash → slot, for keys that are kept elsewhere, or in the index too if they are one word.
//!
//! A cell has 32 bits of the hash and the slot, so that growing and removing read nothing but cells. A look-up costs one
//! cache line here and, if the cell does not have the key itself, one at the key; the look-ups of a batch overlap. Linear
//! probing at half load; removing shifts followers back, so there are no tombstones.

use crate::prefetch::prefetch;
use std::fmt::Debug;

/// Slot numbers stay below this: it marks an empty cell.
const NO_SLOT: u32 = u32::MAX;
const CELLS_MIN: usize = 64;

/// What the index keeps of a key.
pub trait Cell: Copy + Debug {
    /// No key.
    const EMPTY: Self;
    /// The key's slot; `u32::MAX` if there is none.
    fn slot(self) -> u32;
    /// The low half of its hash.
    fn hash(self) -> u32;
}

/// A key that is kept elsewhere: hash and slot in one word.
#[derive(Clone, Copy, Debug)]
pub struct Short(u64);

impl Short {
    /// The cell of a slot.
    #[inline(always)]
    pub fn new(hash: u64, slot: u32) -> Self {
        Self((hash & 0xFFFF_FFFF) << 32 | u64::from(slot))
    }
}

impl Cell for Short {
    const EMPTY: Self = Self(u64::MAX);
    #[inline(always)]
    fn slot(self) -> u32 {
        self.0 as u32
    }
    #[inline(always)]
    fn hash(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

/// A key of one word.
#[derive(Clone, Copy, Debug)]
pub struct Keyed {
    /// The key.
    pub key: i64,
    hash: u32,
    slot: u32,
}

impl Keyed {
    /// The cell of a key.
    #[inline(always)]
    pub fn new(key: i64, hash: u64, slot: u32) -> Self {
        Self { key, hash: hash as u32, slot }
    }
}

impl Cell for Keyed {
    const EMPTY: Self = Self { key: 0, hash: 0, slot: NO_SLOT };
    #[inline(always)]
    fn slot(self) -> u32 {
        self.slot
    }
    #[inline(always)]
    fn hash(self) -> u32 {
        self.hash
    }
}

/// The index.
#[derive(Clone, Debug)]
pub struct Index<C> {
    cells: Vec<C>,
    len: usize,
}

impl<C> Default for Index<C> {
    fn default() -> Self {
        Self { cells: vec![], len: 0 }
    }
}

impl<C: Cell> Index<C> {
    /// Makes room for `more` entries.
    pub fn reserve(&mut self, more: usize) {
        let cells = ((self.len + more) * 2).next_power_of_two().max(CELLS_MIN);
        if cells > self.cells.len() {
            let old = std::mem::replace(&mut self.cells, vec![C::EMPTY; cells]);
            old.into_iter().filter(|c| c.slot() != NO_SLOT).for_each(|c| self.put(c));
        }
    }

    #[inline(always)]
    fn put(&mut self, cell: C) {
        let mask = self.cells.len() - 1;
        let mut at = cell.hash() as usize & mask;
        while self.cells[at].slot() != NO_SLOT {
            at = (at + 1) & mask;
        }
        self.cells[at] = cell;
    }

    /// The slot of the key with this hash whose cell is `equal`.
    #[inline(always)]
    pub fn find(&self, hash: u64, equal: impl Fn(C) -> bool) -> Option<u32> {
        let mask = self.cells.len().checked_sub(1)?;
        let mut at = hash as u32 as usize & mask;
        loop {
            let c = self.cells[at];
            if c.slot() == NO_SLOT {
                return None;
            }
            if c.hash() == hash as u32 && equal(c) {
                return Some(c.slot());
            }
            at = (at + 1) & mask;
        }
    }

    /// The slot of the key whose cell is `equal`; if there is none, adds `new`. Room must have been made.
    #[inline(always)]
    pub fn find_or_add(&mut self, new: C, equal: impl Fn(C) -> bool) -> Option<u32> {
        debug_assert!(new.slot() < NO_SLOT, "slot {} is the empty mark", new.slot());
        debug_assert!(self.len * 2 < self.cells.len(), "room for {new:?} was not made");
        let mask = self.cells.len() - 1;
        let mut at = new.hash() as usize & mask;
        loop {
            let c = self.cells[at];
            if c.slot() == NO_SLOT {
                self.cells[at] = new;
                self.len += 1;
                return None;
            }
            if c.hash() == new.hash() && equal(c) {
                return Some(c.slot());
            }
            at = (at + 1) & mask;
        }
    }

    /// Asks for the cell at which a look-up of this hash starts.
    #[inline(always)]
    pub fn prefetch(&self, hash: u64) {
        prefetch(&self.cells, hash as u32 as usize & self.cells.len().wrapping_sub(1));
    }

    /// The cell at which a look-up of this hash starts. Room must have been made.
    #[inline(always)]
    pub fn home(&self, hash: u64) -> C {
        self.cells[hash as u32 as usize & (self.cells.len() - 1)]
    }

    /// Adds a key that is not there.
    #[inline(always)]
    pub fn insert(&mut self, new: C) {
        debug_assert!(new.slot() < NO_SLOT, "slot {} is the empty mark", new.slot());
        if (self.len + 1) * 2 > self.cells.len() {
            self.reserve(1);
        }
        self.len += 1;
        self.put(new);
    }

    /// Removes a slot that is there.
    pub fn remove(&mut self, hash: u64, slot: u32) {
        let mask = self.cells.len() - 1;
        let mut hole = hash as u32 as usize & mask;
        while self.cells[hole].slot() != slot {
            assert!(self.cells[hole].slot() != NO_SLOT, "slot {slot} is not in the index");
            hole = (hole + 1) & mask;
        }
        let mut at = hole;
        loop {
            at = (at + 1) & mask;
            let c = self.cells[at];
            if c.slot() == NO_SLOT {
                break;
            }
            // a follower may move into the hole unless its home lies between the two
            let home = c.hash() as usize & mask;
            if (at.wrapping_sub(home) & mask) >= (at.wrapping_sub(hole) & mask) {
                self.cells[hole] = c;
                hole = at;
            }
        }
        self.cells[hole] = C::EMPTY;
        self.len -= 1;
    }

    /// All slots, in the order of their cells.
    pub fn slots(&self) -> Vec<u32> {
        // no branch for each cell: which are empty can't be predicted
        let (mut slots, mut n) = (vec![0; self.len + 1], 0);
        for c in &self.cells {
            slots[n] = c.slot();
            n += usize::from(c.slot() != NO_SLOT);
        }
        slots.truncate(n);
        slots
    }

    /// Forgets everything and keeps the memory.
    pub fn clear(&mut self) {
        if self.len > 0 {
            self.cells.fill(C::EMPTY);
        }
        self.len = 0;
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.cells.capacity() * size_of::<C>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn an_index_is_a_map(steps in prop::collection::vec((0u32..300, any::<bool>()), 0..800), crowd in 1u64..40) {
            check(&steps, crowd, Short::new, |c, key| c.slot() == key)?;
            check(&steps, crowd, |hash, key| Keyed::new(i64::from(key), hash, key), |c, key| c.key == i64::from(key))?;
        }
    }

    /// Keys are their own slots.
    fn check<C: Cell>(
        steps: &[(u32, bool)],
        crowd: u64,
        cell: impl Fn(u64, u32) -> C,
        is: impl Fn(C, u32) -> bool,
    ) -> Result<(), TestCaseError> {
        // few different hashes: long runs, also around the end of the cells
        let hash = |key: u32| (u64::from(key) % crowd).wrapping_sub(crowd / 2);
        let (mut index, mut model) = (Index::default(), BTreeMap::new());
        for &(key, add) in steps {
            let found = index.find(hash(key), |c| is(c, key));
            prop_assert_eq!(found, model.get(&key).copied());
            if add && key % 2 == 0 {
                index.reserve(1);
                prop_assert_eq!(index.find_or_add(cell(hash(key), key), |c| is(c, key)), found);
                model.insert(key, key);
            } else if add && found.is_none() {
                index.insert(cell(hash(key), key));
                model.insert(key, key);
            } else if !add && found.is_some() {
                index.remove(hash(key), key);
                model.remove(&key);
            }
        }
        for key in 0..300 {
            prop_assert_eq!(index.find(hash(key), |c| is(c, key)), model.get(&key).copied());
        }
        let mut slots = index.slots();
        slots.sort_unstable();
        prop_assert_eq!(slots, model.into_keys().collect::<Vec<_>>());
        Ok(())
    }
}
