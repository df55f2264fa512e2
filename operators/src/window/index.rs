//! An open-addressing index: hash → slot, for keys that are kept elsewhere.
//!
//! A cell is 64 bits: 32 bits of the hash and the slot, so a look-up costs one cache line here and one at the key, growing
//! and removing read nothing but cells, and the look-ups of a batch overlap. Linear probing at half load; removing shifts
//! followers back, so there are no tombstones.

use crate::prefetch::prefetch;

/// The empty cell. Slot numbers stay below `u32::MAX`.
const EMPTY: u64 = u64::MAX;
const CELLS_MIN: usize = 64;

/// What a look-up found first.
#[derive(Clone, Copy, Debug)]
pub struct Cell(u64);

impl Cell {
    /// Nothing.
    pub const NONE: Cell = Cell(EMPTY);

    /// The slot; `u32::MAX` if there is none.
    #[inline(always)]
    pub fn slot(self) -> u32 {
        self.0 as u32
    }
    /// Whether it may be the key of this hash.
    #[inline(always)]
    pub fn matches(self, hash: u64) -> bool {
        (self.0 >> 32) as u32 == hash as u32
    }
}

/// The index.
#[derive(Clone, Debug, Default)]
pub struct Index {
    cells: Vec<u64>,
    len: usize,
}

#[inline(always)]
fn cell(hash: u64, slot: u32) -> u64 {
    (hash & 0xFFFF_FFFF) << 32 | u64::from(slot)
}

impl Index {
    /// Makes room for `more` entries.
    pub fn reserve(&mut self, more: usize) {
        let cells = ((self.len + more) * 2).next_power_of_two().max(CELLS_MIN);
        if cells > self.cells.len() {
            let old = std::mem::replace(&mut self.cells, vec![EMPTY; cells]);
            old.into_iter().filter(|c| *c != EMPTY).for_each(|c| self.put(c));
        }
    }

    #[inline(always)]
    fn put(&mut self, cell: u64) {
        let mask = self.cells.len() - 1;
        let mut at = (cell >> 32) as usize & mask;
        while self.cells[at] != EMPTY {
            at = (at + 1) & mask;
        }
        self.cells[at] = cell;
    }

    /// The slot with this hash whose key is `equal`.
    #[inline(always)]
    pub fn find(&self, hash: u64, equal: impl Fn(u32) -> bool) -> Option<u32> {
        let mask = self.cells.len().checked_sub(1)?;
        let mut at = hash as u32 as usize & mask;
        loop {
            let c = self.cells[at];
            if c == EMPTY {
                return None;
            }
            if (c >> 32) as u32 == hash as u32 && equal(c as u32) {
                return Some(c as u32);
            }
            at = (at + 1) & mask;
        }
    }

    /// The slot with this hash whose key is `equal`; if there is none, adds `new`. Room must have been made.
    #[inline(always)]
    pub fn find_or_add(&mut self, hash: u64, new: u32, equal: impl Fn(u32) -> bool) -> Option<u32> {
        debug_assert!(new < u32::MAX, "slot {new} is the empty mark");
        debug_assert!(self.len * 2 < self.cells.len(), "room for {new} was not made");
        let mask = self.cells.len() - 1;
        let mut at = hash as u32 as usize & mask;
        loop {
            let c = self.cells[at];
            if c == EMPTY {
                self.cells[at] = cell(hash, new);
                self.len += 1;
                return None;
            }
            if Cell(c).matches(hash) && equal(c as u32) {
                return Some(c as u32);
            }
            at = (at + 1) & mask;
        }
    }

    /// Asks for the cell at which a look-up of this hash starts.
    #[inline(always)]
    pub fn prefetch(&self, hash: u64) {
        prefetch(&self.cells, hash as u32 as usize & self.cells.len().wrapping_sub(1));
    }

    /// The cells at which look-ups of these hashes start. Reading many at once lets their cache misses overlap.
    #[inline(always)]
    pub fn peek(&self, hashes: impl Iterator<Item = u64>, cells: &mut [Cell]) {
        if let Some(mask) = self.cells.len().checked_sub(1) {
            cells.iter_mut().zip(hashes).for_each(|(c, h)| *c = Cell(self.cells[h as u32 as usize & mask]));
        }
    }

    /// Adds a slot whose key is not there.
    #[inline(always)]
    pub fn insert(&mut self, hash: u64, slot: u32) {
        debug_assert!(slot < u32::MAX, "slot {slot} is the empty mark");
        if (self.len + 1) * 2 > self.cells.len() {
            self.reserve(1);
        }
        self.len += 1;
        self.put(cell(hash, slot));
    }

    /// Removes a slot that is there.
    pub fn remove(&mut self, hash: u64, slot: u32) {
        let mask = self.cells.len() - 1;
        let wanted = cell(hash, slot);
        let mut hole = hash as u32 as usize & mask;
        while self.cells[hole] != wanted {
            assert!(self.cells[hole] != EMPTY, "slot {slot} is not in the index");
            hole = (hole + 1) & mask;
        }
        let mut at = hole;
        loop {
            at = (at + 1) & mask;
            let c = self.cells[at];
            if c == EMPTY {
                break;
            }
            // a follower may move into the hole unless its home lies between the two
            let home = (c >> 32) as usize & mask;
            if (at.wrapping_sub(home) & mask) >= (at.wrapping_sub(hole) & mask) {
                self.cells[hole] = c;
                hole = at;
            }
        }
        self.cells[hole] = EMPTY;
        self.len -= 1;
    }

    /// Forgets everything and keeps the memory.
    pub fn clear(&mut self) {
        if self.len > 0 {
            self.cells.fill(EMPTY);
        }
        self.len = 0;
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.cells.capacity() * 8
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
            // few different hashes: long runs, also around the end of the cells
            let hash = |key: u32| (u64::from(key) % crowd).wrapping_sub(crowd / 2);
            let (mut index, mut model) = (Index::default(), BTreeMap::new());
            for (key, add) in steps {
                let found = index.find(hash(key), |slot| slot == key);
                prop_assert_eq!(found, model.get(&key).copied());
                if add && key % 2 == 0 {
                    index.reserve(1);
                    prop_assert_eq!(index.find_or_add(hash(key), key, |slot| slot == key), found);
                    model.insert(key, key);
                } else if add && found.is_none() {
                    index.insert(hash(key), key);
                    model.insert(key, key);
                } else if !add && found.is_some() {
                    index.remove(hash(key), key);
                    model.remove(&key);
                }
            }
            for key in 0..300 {
                prop_assert_eq!(index.find(hash(key), |slot| slot == key), model.get(&key).copied());
            }
        }
    }
}
