//! The table from keys to logs: open addressing, 16 bytes a key, one cache miss to find it.
//!
//! A key of one fixed-width column stands in the table itself; any other key is a string of canonical bytes kept aside,
//! named by number. Keys stand in the order of their hashes, but for those that found their place taken. NULL is a key. A key
//! that is [removed](KeyTable::remove) leaves no gap: those behind it move up.

use super::lane::fixed;
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::buffer::{NullBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Decimal128Type};
use highwater_engine::error::OperatorError;
use highwater_engine::hash::{hash_i64, table_hash};

/// What a place of the table holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// Nothing.
    Free,
    /// A log in the arena.
    Small,
    /// A long log.
    Long,
}

/// One key and where its log is.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    /// The key's word, or the number of its bytes.
    pub key: i64,
    /// The chunk, or the number of the long log.
    pub at: u32,
    /// First entry in the chunk.
    pub start: u8,
    /// Entries in the chunk.
    pub len: u8,
    /// Size of the chunk.
    pub class: u8,
    state: u8,
}

const NULL_KEY: u8 = 0x80;
/// Entries entered the log since the last snapshot.
const CHANGED: u8 = 0x40;
/// The log was made when the state of its key group was read as a whole.
const THAWED: u8 = 0x20;
const FLAGS: u8 = NULL_KEY | CHANGED | THAWED;

impl Head {
    const FREE: Head = Head { key: 0, at: 0, start: 0, len: 0, class: 0, state: State::Free as u8 };

    /// What the place holds.
    #[inline(always)]
    pub fn state(&self) -> State {
        match self.state & !FLAGS {
            0 => State::Free,
            1 => State::Small,
            _ => State::Long,
        }
    }
    /// Says what the place holds.
    #[inline(always)]
    pub fn set_state(&mut self, state: State) {
        self.state = (self.state & FLAGS) | state as u8;
    }
    /// Whether entries entered the log since [`Head::set_unchanged`].
    pub fn is_changed(&self) -> bool {
        self.state & CHANGED != 0
    }
    /// An entry enters the log.
    #[inline(always)]
    pub fn set_changed(&mut self) {
        self.state |= CHANGED;
    }
    /// What is in the log was written to a snapshot.
    pub fn set_unchanged(&mut self) {
        self.state &= !CHANGED;
    }
    /// Whether the log was made when the state of its key group was read as a whole.
    pub fn is_thawed(&self) -> bool {
        self.state & THAWED != 0
    }
    /// The log is made while the state of its key group is read as a whole.
    pub fn set_thawed(&mut self) {
        self.state |= THAWED;
    }
    fn is_null(&self) -> bool {
        self.state & NULL_KEY != 0
    }
}

/// Where a key with this hash stands in the order of the table.
#[inline(always)]
pub fn order(hash: u64) -> u32 {
    (table_hash(hash) >> 32) as u32
}

/// The keys of a batch's rows.
pub enum KeyColumn {
    /// One column of at most 64 bits.
    Fixed(ScalarBuffer<i64>, Option<NullBuffer>),
    /// Canonical bytes of row `i` at `ends[i]..ends[i + 1]`.
    Bytes(Vec<u8>, Vec<u32>),
}

impl KeyColumn {
    /// Reads the key columns of a batch of `rows` rows.
    pub fn new(columns: &[ArrayRef], rows: usize) -> Result<Self, OperatorError> {
        if let [one] = columns
            && is_fixed(one.data_type())
        {
            return Ok(Self::Fixed(fixed(one)?, one.nulls().cloned()));
        }
        let readers = columns.iter().map(Part::new).collect::<Result<Vec<_>, _>>()?;
        let (mut bytes, mut ends) = (Vec::new(), vec![0]);
        for row in 0..rows {
            readers.iter().for_each(|r| r.write(row, &mut bytes));
            let end = u32::try_from(bytes.len());
            ends.push(end.map_err(|_| OperatorError::new("the keys of one batch take more than 4 GiB"))?);
        }
        Ok(Self::Bytes(bytes, ends))
    }
}

/// Whether a single key column of this type stands in the table itself.
pub fn is_fixed(t: &DataType) -> bool {
    // the hash of a DECIMAL is of 128 bits, and that of a DOUBLE of its plain bits
    super::lane::Kind::of(t) == Some(super::lane::Kind::Fixed)
        && !matches!(t, DataType::Decimal128(..) | DataType::Float32 | DataType::Float64)
}

/// A key column as bytes: 0 for NULL, else 1 and 8 bytes, 16 bytes, or a length and the value.
enum Part<'a> {
    Fixed(ScalarBuffer<i64>, &'a ArrayRef),
    Decimal(&'a ArrayRef),
    Text(&'a ArrayRef),
    Binary(&'a ArrayRef),
}

impl<'a> Part<'a> {
    fn new(column: &'a ArrayRef) -> Result<Self, OperatorError> {
        Ok(match column.data_type() {
            DataType::Decimal128(..) => Self::Decimal(column),
            DataType::Utf8 => Self::Text(column),
            DataType::Binary => Self::Binary(column),
            _ => Self::Fixed(fixed(column)?, column),
        })
    }

    fn write(&self, row: usize, to: &mut Vec<u8>) {
        let (Self::Fixed(_, column) | Self::Decimal(column) | Self::Text(column) | Self::Binary(column)) = self;
        if column.is_null(row) {
            to.push(0);
            return;
        }
        to.push(1);
        let sized = |to: &mut Vec<u8>, b: &[u8]| {
            to.extend_from_slice(&(b.len() as u32).to_le_bytes());
            to.extend_from_slice(b);
        };
        match self {
            Self::Fixed(words, _) => to.extend_from_slice(&words[row].to_le_bytes()),
            Self::Decimal(c) => to.extend_from_slice(&c.as_primitive::<Decimal128Type>().value(row).to_le_bytes()),
            Self::Text(c) => sized(to, c.as_string::<i32>().value(row).as_bytes()),
            Self::Binary(c) => sized(to, c.as_binary::<i32>().value(row)),
        }
    }
}

/// A key kept aside.
struct Aside {
    bytes: Box<[u8]>,
    hash: u64,
}

/// A key as it is written to a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key<'a> {
    /// NULL, of a single fixed-width column.
    Null,
    /// A single fixed-width column.
    Word(i64),
    /// Canonical bytes.
    Bytes(&'a [u8]),
}

/// All keys of one operator.
pub struct KeyTable {
    heads: Vec<Head>,
    /// One less than the number of places, a power of two.
    mask: usize,
    /// Bits of a hash that do not choose a place.
    shift: u32,
    used: usize,
    aside: Vec<Option<Aside>>,
    aside_free: Vec<u32>,
    aside_bytes: usize,
    /// Hash of a NULL key.
    null_hash: u64,
    /// Whether keys stand in the table itself.
    fixed: bool,
}

const PLACES_MIN: usize = 64;

/// Bits of a hash that do not choose among so many places.
fn shift_for(places: usize) -> u32 {
    u64::BITS - places.trailing_zeros()
}

impl KeyTable {
    /// An empty table; `null_hash` is the hash of a NULL key of a single fixed-width column.
    pub fn new(fixed: bool, null_hash: u64) -> Self {
        Self {
            heads: vec![Head::FREE; PLACES_MIN],
            mask: PLACES_MIN - 1,
            shift: shift_for(PLACES_MIN),
            used: 0,
            aside: Vec::new(),
            aside_free: Vec::new(),
            aside_bytes: 0,
            null_hash,
            fixed,
        }
    }

    #[inline(always)]
    fn place(&self, hash: u64) -> usize {
        (table_hash(hash) >> self.shift) as usize
    }

    /// Asks for the place of a key with this hash.
    #[inline(always)]
    pub fn prefetch(&self, hash: u64) {
        crate::prefetch::prefetch(&self.heads, self.place(hash));
    }

    /// The place of `key`, which is added if it is new: then its head is [`State::Free`] until the caller sets it. Room
    /// must have been made.
    #[inline(always)]
    pub fn find_or_add(&mut self, hash: u64, key: Key<'_>) -> usize {
        let mut place = self.place(hash);
        loop {
            let head = &self.heads[place];
            if head.state() == State::Free {
                return self.add(place, hash, key);
            }
            if self.is(head, hash, key) {
                return place;
            }
            place = (place + 1) & self.mask;
        }
    }

    /// The place of `key`, if it is there.
    pub fn find(&self, hash: u64, key: Key<'_>) -> Option<usize> {
        let mut place = self.place(hash);
        loop {
            let head = &self.heads[place];
            if head.state() == State::Free {
                return None;
            }
            if self.is(head, hash, key) {
                return Some(place);
            }
            place = (place + 1) & self.mask;
        }
    }

    /// Whether a key with this hash that stands at `place` went round the end of the table.
    pub fn is_round(&self, hash: u64, place: usize) -> bool {
        self.place(hash) > place
    }

    #[inline(always)]
    fn is(&self, head: &Head, hash: u64, key: Key<'_>) -> bool {
        match key {
            Key::Word(w) => head.key == w && !head.is_null(),
            Key::Null => head.is_null(),
            Key::Bytes(b) => self.aside[head.key as usize].as_ref().is_some_and(|a| a.hash == hash && *a.bytes == *b),
        }
    }

    #[inline(never)]
    fn add(&mut self, place: usize, hash: u64, key: Key<'_>) -> usize {
        let (key, null) = match key {
            Key::Word(w) => (w, 0),
            Key::Null => (0, NULL_KEY),
            Key::Bytes(b) => {
                self.aside_bytes += b.len();
                let aside = Some(Aside { bytes: b.into(), hash });
                let i = self.aside_free.pop().unwrap_or_else(|| {
                    self.aside.push(None);
                    self.aside.len() as u32 - 1
                });
                self.aside[i as usize] = aside;
                (i64::from(i), 0)
            }
        };
        self.heads[place] = Head { key, state: null, ..Head::FREE };
        self.used += 1;
        place
    }

    /// The head at `place`.
    #[inline(always)]
    pub fn head(&self, place: usize) -> &Head {
        &self.heads[place]
    }
    /// The head at `place`, to be changed.
    #[inline(always)]
    pub fn head_mut(&mut self, place: usize) -> &mut Head {
        &mut self.heads[place]
    }

    /// Hash of the key of a head.
    pub fn hash(&self, head: &Head) -> u64 {
        match (self.fixed, head.is_null()) {
            (true, false) => hash_i64(head.key),
            (true, true) => self.null_hash,
            _ => self.aside[head.key as usize].as_ref().map_or(0, |a| a.hash),
        }
    }

    /// Hash of a NULL key of a single fixed-width column.
    pub fn null_hash(&self) -> u64 {
        self.null_hash
    }

    /// The key of a head.
    pub fn key(&self, head: &Head) -> Key<'_> {
        match (self.fixed, head.is_null()) {
            (true, false) => Key::Word(head.key),
            (true, true) => Key::Null,
            _ => Key::Bytes(self.aside[head.key as usize].as_ref().map_or(&[], |a| &a.bytes)),
        }
    }

    /// Number of places.
    pub fn places(&self) -> usize {
        self.heads.len()
    }

    /// Removes the key at `place`. A key from behind may take the place: so whoever walks over all places looks at it
    /// again, and then has missed none.
    pub fn remove(&mut self, place: usize) {
        if !self.fixed
            && let Some(aside) = self.aside[self.heads[place].key as usize].take()
        {
            self.aside_bytes -= aside.bytes.len();
            self.aside_free.push(self.heads[place].key as u32);
        }
        self.used -= 1;
        let (mut gap, mut at) = (place, place);
        loop {
            at = (at + 1) & self.mask;
            let head = self.heads[at];
            if head.state() == State::Free {
                break;
            }
            // it may move up if the gap is not before its own place, going round
            let own = self.place(self.hash(&head));
            if (at.wrapping_sub(own) & self.mask) >= (at.wrapping_sub(gap) & self.mask) {
                self.heads[gap] = head;
                gap = at;
            }
        }
        self.heads[gap] = Head::FREE;
    }

    /// Places of a table of so many keys: at most three eighths are used, so that building anew is rare.
    fn places_for(keys: usize) -> usize {
        (keys * 8 / 3).next_power_of_two().max(PLACES_MIN)
    }

    /// Makes room for `more` keys. All places may change; whether they did is returned.
    pub fn reserve(&mut self, more: usize) -> bool {
        let full = (self.used + more) * 8 > self.heads.len() * 5;
        if full {
            self.build_anew(Self::places_for(self.used + more));
        }
        full
    }

    /// Makes the table smaller if few places are used. All places may change; whether they did is returned.
    pub fn shrink(&mut self) -> bool {
        let places = Self::places_for(self.used);
        let sparse = places * 2 <= self.heads.len();
        if sparse {
            self.build_anew(places);
        }
        sparse
    }

    fn build_anew(&mut self, places: usize) {
        let old = std::mem::replace(&mut self.heads, vec![Head::FREE; places]);
        (self.mask, self.shift) = (places - 1, shift_for(places));
        for head in old.into_iter().filter(|h| h.state() != State::Free) {
            let mut place = self.place(self.hash(&head));
            while self.heads[place].state() != State::Free {
                place = (place + 1) & self.mask;
            }
            self.heads[place] = head;
        }
    }

    /// Bytes held, roughly.
    pub fn memory(&self) -> usize {
        self.heads.len() * size_of::<Head>() + self.aside.len() * size_of::<Option<Aside>>() + self.aside_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn a_table_finds_exactly_the_keys_that_were_added_and_not_removed(
            steps in prop::collection::vec((any::<bool>(), 0i64..150), 1..600),
            fixed: bool,
        ) {
            let mut table = KeyTable::new(fixed, 0);
            let mut model = BTreeMap::new();
            // few different hashes: long runs of neighbours, also round the end
            let hash = |k: i64| if fixed { hash_i64(k) } else { (k as u64 % 5).wrapping_neg().rotate_right(32) };
            for (at, (add, k)) in steps.into_iter().enumerate() {
                let bytes = k.to_le_bytes();
                let key = if fixed { Key::Word(k) } else { Key::Bytes(&bytes) };
                table.reserve(1);
                let place = table.find_or_add(hash(k), key);
                if table.head(place).state() == State::Free {
                    prop_assert!(!model.contains_key(&k));
                    table.head_mut(place).set_state(State::Small);
                    table.head_mut(place).at = at as u32;
                    model.insert(k, at as u32);
                }
                prop_assert_eq!(table.head(place).at, model[&k]);
                if !add {
                    table.remove(place);
                    model.remove(&k);
                }
                if at % 50 == 0 {
                    table.shrink();
                }
                let used = (0..table.places()).filter(|p| table.head(*p).state() != State::Free);
                prop_assert_eq!(used.count(), model.len());
            }
            for (k, at) in &model {
                let bytes = k.to_le_bytes();
                let place = table.find_or_add(hash(*k), if fixed { Key::Word(*k) } else { Key::Bytes(&bytes) });
                prop_assert_eq!(table.head(place).at, *at);
            }
        }
    }
}
