//! The last occurrence of each value in a long log: a table of its own kind, because its places must be asked for ahead.
//!
//! Open addressing with 24 bytes a value; a value that is removed leaves no gap.

use crate::prefetch::prefetch;
use highwater_engine::hash::{hash_i64, table_hash};

/// The last occurrence of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Last {
    /// The value.
    pub value: i64,
    /// Its event time.
    pub time: i64,
    /// Its number from the beginning of the key when it was entered; insertions before it may have moved it.
    pub number: u64,
}

/// No entry has this number.
const FREE: Last = Last { value: 0, time: 0, number: u64::MAX };
const PLACES_MIN: usize = 8;

impl Last {
    #[inline(always)]
    fn is_free(&self) -> bool {
        self.number == FREE.number
    }
}

/// The last occurrences of all values.
#[derive(Default)]
pub struct Lasts {
    /// A power of two of them, or none.
    places: Box<[Last]>,
    used: usize,
}

impl Lasts {
    #[inline(always)]
    fn place(&self, value: i64) -> usize {
        table_hash(hash_i64(value)) as usize & self.places.len().wrapping_sub(1)
    }

    /// Asks for the place of a value.
    #[inline(always)]
    pub fn prefetch(&self, value: i64) {
        prefetch(&self.places, self.place(value));
    }

    /// The place where a value is, or where it would be.
    #[inline(always)]
    fn find(&self, value: i64) -> usize {
        let mut at = self.place(value);
        while !self.places[at].is_free() && self.places[at].value != value {
            at = (at + 1) & (self.places.len() - 1);
        }
        at
    }

    /// Sets the last occurrence of a value, and returns the one before.
    #[inline(always)]
    pub fn set(&mut self, last: Last) -> Option<Last> {
        if (self.used + 1) * 4 > self.places.len() * 3 {
            self.build_anew((self.places.len() * 2).max(PLACES_MIN));
        }
        let at = self.find(last.value);
        let before = std::mem::replace(&mut self.places[at], last);
        if before.is_free() {
            self.used += 1;
            return None;
        }
        Some(before)
    }

    /// Forgets a value.
    pub fn remove(&mut self, value: i64) {
        if self.places.is_empty() {
            return;
        }
        let mask = self.places.len() - 1;
        let mut gap = self.find(value);
        if self.places[gap].is_free() {
            return;
        }
        self.used -= 1;
        let mut at = gap;
        loop {
            at = (at + 1) & mask;
            if self.places[at].is_free() {
                break;
            }
            // it may move up if the gap is not before its own place, going round
            let own = self.place(self.places[at].value);
            if (at.wrapping_sub(own) & mask) >= (at.wrapping_sub(gap) & mask) {
                self.places[gap] = self.places[at];
                gap = at;
            }
        }
        self.places[gap] = FREE;
    }

    /// Gives memory back if few places are used.
    pub fn shrink(&mut self) {
        let wanted = (self.used * 2).next_power_of_two().max(PLACES_MIN);
        if wanted * 4 <= self.places.len() {
            self.build_anew(wanted);
        }
    }

    fn build_anew(&mut self, places: usize) {
        let old = std::mem::replace(&mut self.places, vec![FREE; places].into());
        for last in old.iter().filter(|l| !l.is_free()) {
            let at = self.find(last.value);
            self.places[at] = *last;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn it_is_a_map(steps in prop::collection::vec((0u8..5, 0i64..60, any::<i64>()), 1..500)) {
            let (mut lasts, mut model) = (Lasts::default(), BTreeMap::new());
            for (number, (what, value, time)) in (0u64..).zip(steps) {
                let last = Last { value, time, number };
                match what {
                    0..=2 => prop_assert_eq!(lasts.set(last), model.insert(value, last)),
                    3 => {
                        lasts.remove(value);
                        model.remove(&value);
                    }
                    _ => lasts.shrink(),
                }
                prop_assert_eq!(lasts.used, model.len());
                for v in 0..60 {
                    let found = if lasts.places.is_empty() { FREE } else { lasts.places[lasts.find(v)] };
                    prop_assert_eq!(found, model.get(&v).copied().unwrap_or(FREE));
                }
            }
        }
    }
}
