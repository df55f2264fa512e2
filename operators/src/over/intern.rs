//! Strings, bytes and wide decimals as one 64-bit word, so that logs hold words only.
//!
//! Up to seven bytes stand in the word itself (countries, currencies, states): the length in the top byte, then the bytes.
//! Longer values are kept once, counted by the entries that name them; their word is negative. NULL is 0. Two words of
//! one operator are equal if and only if their values are: COUNT(DISTINCT) is exact.

use hashbrown::HashTable;
use highwater_engine::hash::table_hash;
use std::cmp::Ordering;

/// Longest value that stands in its word.
const INLINE_MAX: usize = 7;

struct Value {
    bytes: Box<[u8]>,
    hash: u64,
    /// Entries that name it; 0 for a free place.
    users: u32,
}

/// Values kept once each.
#[derive(Default)]
pub struct Interner {
    table: HashTable<u32>,
    values: Vec<Value>,
    free: Vec<u32>,
    bytes: usize,
}

impl Interner {
    /// The word of a value, whose user is counted until [`Interner::release`]. `hash` is any hash of the bytes.
    pub fn acquire(&mut self, bytes: &[u8], hash: u64) -> i64 {
        if bytes.len() <= INLINE_MAX {
            return inline(bytes);
        }
        let hash = table_hash(hash);
        let found = self.table.find(hash, |i| &*self.values[*i as usize].bytes == bytes).copied();
        let i = found.unwrap_or_else(|| self.add(bytes, hash));
        self.values[i as usize].users += 1;
        -1 - i64::from(i)
    }

    fn add(&mut self, bytes: &[u8], hash: u64) -> u32 {
        let value = Value { bytes: bytes.into(), hash, users: 0 };
        self.bytes += bytes.len();
        let i = match self.free.pop() {
            Some(i) => {
                self.values[i as usize] = value;
                i
            }
            None => {
                self.values.push(value);
                self.values.len() as u32 - 1
            }
        };
        let values = &self.values;
        self.table.insert_unique(hash, i, |i| values[*i as usize].hash);
        i
    }

    /// One entry fewer names the word.
    pub fn release(&mut self, word: i64) {
        if word >= 0 {
            return;
        }
        let i = (-1 - word) as u32;
        let value = &mut self.values[i as usize];
        assert!(value.users > 0, "value {i} is released more often than it was acquired");
        value.users -= 1;
        if value.users == 0 {
            let bytes = std::mem::take(&mut value.bytes);
            self.bytes -= bytes.len();
            if let Ok(place) = self.table.find_entry(self.values[i as usize].hash, |j| *j == i) {
                place.remove();
            }
            self.free.push(i);
        }
    }

    /// The bytes behind a word; `None` for NULL. `scratch` holds those that stand in the word.
    pub fn bytes<'a>(&'a self, word: i64, scratch: &'a mut [u8; 8]) -> Option<&'a [u8]> {
        match word {
            0 => None,
            w if w > 0 => {
                *scratch = w.to_be_bytes();
                let len = scratch[0] as usize - 1;
                Some(&scratch[1..1 + len])
            }
            w => Some(&self.values[(-1 - w) as usize].bytes),
        }
    }

    /// The hash with which a value was acquired; 0 if it stands in its word.
    pub fn hash(&self, word: i64) -> u64 {
        // the rotation by half is its own inverse
        if word >= 0 { 0 } else { table_hash(self.values[(-1 - word) as usize].hash) }
    }

    /// Order of two values by their bytes, NULL first.
    pub fn compare(&self, a: i64, b: i64) -> Ordering {
        let (mut s, mut t) = ([0; 8], [0; 8]);
        self.bytes(a, &mut s).cmp(&self.bytes(b, &mut t))
    }

    /// Bytes held, roughly.
    pub fn memory(&self) -> usize {
        self.bytes + self.values.len() * (size_of::<Value>() + 8)
    }
}

fn inline(bytes: &[u8]) -> i64 {
    let mut word = [0; 8];
    word[0] = bytes.len() as u8 + 1;
    word[1..1 + bytes.len()].copy_from_slice(bytes);
    i64::from_be_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_have_one_word_and_order_is_by_bytes() {
        let mut names = Interner::default();
        let texts = ["", "DE", "DEU", "a longer name", "a longer name still", "Zürich", "seven77", "eight888"];
        let words: Vec<i64> = texts.iter().map(|t| names.acquire(t.as_bytes(), 7)).collect();
        for (i, a) in texts.iter().enumerate() {
            assert_eq!(names.acquire(a.as_bytes(), 7), words[i]);
            let mut s = [0; 8];
            assert_eq!(names.bytes(words[i], &mut s), Some(a.as_bytes()));
            for (j, b) in texts.iter().enumerate() {
                assert_eq!(names.compare(words[i], words[j]), a.as_bytes().cmp(b.as_bytes()));
                assert_eq!(words[i] == words[j], i == j);
            }
        }
    }

    #[test]
    fn a_value_that_nobody_names_is_forgotten() {
        let mut names = Interner::default();
        let a = names.acquire(b"2001:db8::1", 1);
        assert_eq!(names.acquire(b"2001:db8::1", 1), a);
        names.release(a);
        assert!(names.bytes(a, &mut [0; 8]).is_some());
        names.release(a);
        assert_eq!(names.bytes, 0);
        let b = names.acquire(b"2001:db8::2", 1);
        assert_eq!(b, a, "the place is used again");
    }
}
