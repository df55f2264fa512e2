//! The table of groups: packed key → slot.
//!
//! Slots are dense and in order of arrival until one is removed; a removed slot is given to the next new key. The hash of
//! every key is kept: growing, routing and snapshots never hash again.

use super::index::{Cell, Index, Keyed, Short};
use super::keys::{Four, KeyBatch, Packing, Piece, Two, column_of_words, unpack_bytes, unpack_words};
use arrow::array::ArrayRef;
use arrow::buffer::NullBuffer;
use arrow::datatypes::Field;
use highwater_engine::hash::table_hash;
use std::borrow::Cow;
use std::sync::Arc;

/// Keys looked up together.
const CHUNK: usize = 64;
/// How many keys before its look-up a cell is asked for.
const AHEAD: usize = 48;

/// Which slots of a table or of state: all of a dense run, or listed ones.
#[derive(Clone, Copy, Debug)]
pub enum Slots<'a> {
    /// `from .. until`.
    Run(usize, usize),
    /// These.
    List(&'a [u32]),
}

impl<'a> Slots<'a> {
    /// How many.
    pub fn len(self) -> usize {
        match self {
            Self::Run(from, until) => until - from,
            Self::List(l) => l.len(),
        }
    }
    /// The values at these slots, in place of what `into` holds.
    pub fn of_into<T: Copy>(self, values: &[T], into: &mut Vec<T>) {
        into.clear();
        match self {
            Self::Run(from, until) => into.extend_from_slice(&values[from..until]),
            Self::List(l) => into.extend(l.iter().map(|s| values[*s as usize])),
        }
    }
    /// The values at these slots.
    pub fn of<T: Copy>(self, values: &[T]) -> Vec<T> {
        match self {
            Self::Run(from, until) => values[from..until].to_vec(),
            Self::List(l) => l.iter().map(|s| values[*s as usize]).collect(),
        }
    }
    /// The slots, one by one.
    pub fn iter(self) -> impl Iterator<Item = usize> + 'a {
        let (run, list) = match self {
            Self::Run(from, until) => (from..until, &[][..]),
            Self::List(l) => (0..0, l),
        };
        run.chain(list.iter().map(|s| *s as usize))
    }
    /// `len` of them from the `at`-th on.
    pub fn part(self, at: usize, len: usize) -> Slots<'a> {
        match self {
            Self::Run(from, _) => Self::Run(from + at, from + at + len),
            Self::List(l) => Self::List(&l[at..at + len]),
        }
    }
}

/// The keys by slot, and how they are found.
#[derive(Debug)]
enum Keys {
    Unit,
    One { words: Vec<i64>, index: Index<Keyed>, null: Option<u32> },
    Two(Vec<Two>, Index<Short>),
    Four(Vec<Four>, Index<Short>),
    Bytes { arena: Vec<u8>, pieces: Vec<Piece>, dead: usize, index: Index<Short> },
}

/// Packed keys with their slots.
#[derive(Debug)]
pub struct Groups {
    hashes: Vec<u64>,
    keys: Keys,
    free: Vec<u32>,
}

impl Groups {
    /// An empty table.
    pub fn new(packing: Packing) -> Self {
        let keys = match packing {
            Packing::Unit => Keys::Unit,
            Packing::One => Keys::One { words: vec![], index: Index::default(), null: None },
            Packing::Two => Keys::Two(vec![], Index::default()),
            Packing::Four => Keys::Four(vec![], Index::default()),
            Packing::Bytes => Keys::Bytes { arena: vec![], pieces: vec![], dead: 0, index: Index::default() },
        };
        Self { hashes: vec![], keys, free: vec![] }
    }

    /// Slots in use or free: every slot is below this.
    pub fn slots(&self) -> usize {
        self.hashes.len()
    }
    /// Hash of the key of each slot.
    pub fn hashes(&self) -> &[u64] {
        &self.hashes
    }

    /// Finds or makes the slots of the keys of a batch that begin at `at`, one for each of their `hashes`.
    pub fn assign(&mut self, batch: &KeyBatch, hashes: &[u64], at: usize, slots: &mut Vec<u32>) {
        let n = hashes.len();
        slots.clear();
        slots.reserve(n);
        let Self { hashes: known, keys, free } = self;
        let mut t = Table { known, free };
        match (keys, batch) {
            (Keys::Unit, KeyBatch::Unit) => {
                if let (true, Some(h)) = (t.known.is_empty(), hashes.first()) {
                    t.known.push(*h);
                }
                slots.resize(n, 0);
            }
            (Keys::One { words, index, .. }, KeyBatch::One(batch, None)) => {
                t.words(index, words, &batch[at..at + n], hashes, slots);
            }
            (Keys::One { words, index, null }, KeyBatch::One(batch, Some(nulls))) => {
                for i in 0..n {
                    if nulls.is_valid(at + i) {
                        t.words(index, words, &batch[at + i..=at + i], &hashes[i..=i], slots);
                        continue;
                    }
                    slots.push(*null.get_or_insert_with(|| t.place(words, 0, hashes[i])));
                }
            }
            (Keys::Two(words, index), KeyBatch::Two(batch)) => t.words(index, words, &batch[at..at + n], hashes, slots),
            (Keys::Four(words, index), KeyBatch::Four(batch)) => {
                t.words(index, words, &batch[at..at + n], hashes, slots)
            }
            (Keys::Bytes { arena, pieces, index, .. }, KeyBatch::Bytes(bytes, batch)) => {
                for ((start, len), h) in batch[at..at + n].iter().zip(hashes) {
                    let key = &bytes[*start..*start + *len as usize];
                    let equal = |c: Short| {
                        let (start, len) = pieces[c.slot() as usize];
                        &arena[start..start + len as usize] == key
                    };
                    let slot = index.find(table_hash(*h), equal).unwrap_or_else(|| {
                        let piece = (arena.len(), *len);
                        arena.extend_from_slice(key);
                        let slot = t.place(pieces, piece, *h);
                        index.insert(Short::new(table_hash(*h), slot));
                        slot
                    });
                    slots.push(slot);
                }
            }
            _ => unreachable!("a batch is packed like its table"),
        }
    }

    /// All slots of a table from which none was removed, in the order of its index. Looked up in this order, the keys lead
    /// through any other table of such keys in a few straight walks.
    pub fn in_order(&self) -> Vec<u32> {
        debug_assert!(self.free.is_empty(), "{} slots are free", self.free.len());
        match &self.keys {
            Keys::Unit => (0..self.hashes.len() as u32).collect(),
            Keys::One { index, null, .. } => {
                let mut slots = index.slots();
                slots.extend(null);
                slots
            }
            Keys::Two(_, index) | Keys::Four(_, index) | Keys::Bytes { index, .. } => index.slots(),
        }
    }

    /// The keys of these slots as a batch, and their hashes.
    pub fn batch_of(&self, slots: &[u32]) -> (KeyBatch<'_>, Vec<u64>) {
        let list = Slots::List(slots);
        let keys = match &self.keys {
            Keys::Unit => KeyBatch::Unit,
            Keys::One { words, null, .. } => {
                let valid = |null: u32| slots.iter().map(|s| *s != null).collect::<Vec<_>>();
                KeyBatch::One(Cow::Owned(list.of(words)), null.map(|n| NullBuffer::from(valid(n))))
            }
            Keys::Two(words, _) => KeyBatch::Two(Cow::Owned(list.of(words))),
            Keys::Four(words, _) => KeyBatch::Four(Cow::Owned(list.of(words))),
            Keys::Bytes { arena, pieces, .. } => KeyBatch::Bytes(Cow::Borrowed(arena), Cow::Owned(list.of(pieces))),
        };
        (keys, list.of(&self.hashes))
    }

    /// The keys of these slots as columns.
    pub fn columns(&self, slots: Slots, fields: &[Arc<Field>]) -> Vec<ArrayRef> {
        match &self.keys {
            Keys::Unit => vec![],
            Keys::One { words, null, .. } => {
                let null = null.filter(|n| slots.iter().any(|s| s == *n as usize));
                let nulls = null.map(|n| slots.iter().map(|s| s != n as usize).collect::<Vec<_>>().into());
                vec![column_of_words(slots.of(words), nulls, fields[0].data_type())]
            }
            Keys::Two(words, _) => unpack_words(&slots.of(words), fields),
            Keys::Four(words, _) => unpack_words(&slots.of(words), fields),
            Keys::Bytes { arena, pieces, .. } => {
                let piece = |s: usize| &arena[pieces[s].0..pieces[s].0 + pieces[s].1 as usize];
                unpack_bytes(slots.iter().map(piece), fields)
            }
        }
    }

    /// Forgets the keys of these slots.
    pub fn remove(&mut self, slots: &[u32]) {
        if let Keys::Unit = self.keys {
            self.hashes.truncate(1 - slots.len());
            return;
        }
        let known = &self.hashes;
        match &mut self.keys {
            Keys::Unit => {}
            Keys::One { index, null, .. } => match null.filter(|n| slots.contains(n)) {
                None => unindex(index, known, slots),
                Some(n) => {
                    *null = None;
                    slots.split(|s| *s == n).for_each(|slots| unindex(index, known, slots));
                }
            },
            Keys::Two(_, index) | Keys::Four(_, index) => unindex(index, known, slots),
            Keys::Bytes { pieces, dead, index, .. } => {
                *dead += slots.iter().map(|s| pieces[*s as usize].1 as usize).sum::<usize>();
                unindex(index, known, slots);
            }
        }
        self.free.extend_from_slice(slots);
    }

    /// Keeps these slots only, of a table from which none was removed, and numbers them anew in this order.
    pub fn keep(&mut self, slots: &[u32]) {
        debug_assert!(self.free.is_empty(), "{} slots are free", self.free.len());
        let list = Slots::List(slots);
        self.hashes = list.of(&self.hashes);
        match &mut self.keys {
            Keys::Unit => {}
            Keys::One { words, index, null } => {
                *words = list.of(words);
                *null = null.and_then(|n| slots.iter().position(|s| *s == n)).map(|at| at as u32);
                let indexed = (0u32..).zip(&self.hashes).zip(&*words).filter(|((slot, _), _)| Some(*slot) != *null);
                *index = of_cells(slots.len(), indexed.map(|((slot, h), key)| Keyed::new(*key, table_hash(*h), slot)));
            }
            Keys::Two(words, index) => (*words, *index) = (list.of(words), of_hashes(&self.hashes)),
            Keys::Four(words, index) => (*words, *index) = (list.of(words), of_hashes(&self.hashes)),
            Keys::Bytes { arena, pieces, dead, index } => {
                (*pieces, *index) = (list.of(pieces), of_hashes(&self.hashes));
                *dead = arena.len() - pieces.iter().map(|(_, len)| *len as usize).sum::<usize>();
            }
        }
        self.sweep();
    }

    /// Gives the bytes of removed keys back once they are the larger part.
    pub fn sweep(&mut self) {
        let Keys::Bytes { arena, pieces, dead, .. } = &mut self.keys else { return };
        if *dead < 1 << 16 || *dead < arena.len() / 2 {
            return;
        }
        let mut live = vec![true; pieces.len()];
        self.free.iter().for_each(|s| live[*s as usize] = false);
        let mut fresh = Vec::with_capacity(arena.len() - *dead);
        for ((start, len), live) in pieces.iter_mut().zip(live) {
            let from = std::mem::replace(start, fresh.len());
            match live {
                true => fresh.extend_from_slice(&arena[from..from + *len as usize]),
                false => *len = 0,
            }
        }
        (*arena, *dead) = (fresh, 0);
    }

    /// Whether most of the memory is not in use.
    pub fn roomy(&self) -> bool {
        self.hashes.capacity() > 1024 && self.hashes.len() < self.hashes.capacity() / 8
    }

    /// Forgets everything and keeps the memory.
    pub fn clear(&mut self) {
        self.free.clear();
        self.hashes.clear();
        match &mut self.keys {
            Keys::Unit => {}
            Keys::One { words, index, null } => {
                words.clear();
                index.clear();
                *null = None;
            }
            Keys::Two(words, index) => {
                words.clear();
                index.clear();
            }
            Keys::Four(words, index) => {
                words.clear();
                index.clear();
            }
            Keys::Bytes { arena, pieces, dead, index } => {
                arena.clear();
                pieces.clear();
                index.clear();
                *dead = 0;
            }
        }
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        let keys = match &self.keys {
            Keys::Unit => 0,
            Keys::One { words, index, .. } => words.capacity() * 8 + index.bytes(),
            Keys::Two(words, index) => words.capacity() * size_of::<Two>() + index.bytes(),
            Keys::Four(words, index) => words.capacity() * size_of::<Four>() + index.bytes(),
            Keys::Bytes { arena, pieces, index, .. } => {
                arena.capacity() + pieces.capacity() * size_of::<Piece>() + index.bytes()
            }
        };
        keys + self.hashes.capacity() * 8 + self.free.capacity() * 4
    }
}

/// An index of these cells.
fn of_cells<C: Cell>(n: usize, cells: impl Iterator<Item = C>) -> Index<C> {
    let mut index = Index::default();
    index.reserve(n);
    cells.for_each(|c| index.insert(c));
    index
}

/// An index of keys that are kept elsewhere, by the hash of each slot.
fn of_hashes(hashes: &[u64]) -> Index<Short> {
    of_cells(hashes.len(), (0u32..).zip(hashes).map(|(slot, h)| Short::new(table_hash(*h), slot)))
}

/// Removes slots from an index; `known` has the hash of each.
fn unindex<C: Cell>(index: &mut Index<C>, known: &[u64], slots: &[u32]) {
    for chunk in slots.chunks(CHUNK) {
        let hashes = chunk.iter().map(|s| table_hash(known[*s as usize]));
        hashes.clone().for_each(|h| index.prefetch(h));
        hashes.zip(chunk).for_each(|(h, slot)| index.remove(h, *slot));
    }
}

/// A packed key of words.
trait Words: Copy + PartialEq {
    /// What the index keeps of it.
    type Cell: Cell;
    /// Its cell.
    fn cell(self, hash: u64, slot: u32) -> Self::Cell;
    /// Whether a cell with the same hash is this key's; `known` are the keys by slot.
    fn is_in(self, cell: Self::Cell, known: &[Self]) -> bool;
    /// Whether any cell is this key's, without a branch for it.
    fn hits(self, cell: Self::Cell, hash: u64, known: &[Self]) -> bool;
}

impl Words for i64 {
    type Cell = Keyed;
    #[inline(always)]
    fn cell(self, hash: u64, slot: u32) -> Keyed {
        Keyed::new(self, hash, slot)
    }
    #[inline(always)]
    fn is_in(self, cell: Keyed, _: &[Self]) -> bool {
        cell.key == self
    }
    #[inline(always)]
    fn hits(self, cell: Keyed, _: u64, _: &[Self]) -> bool {
        (cell.key == self) & (cell.slot() != Keyed::EMPTY.slot())
    }
}

impl<const N: usize> Words for [i64; N] {
    type Cell = Short;
    #[inline(always)]
    fn cell(self, hash: u64, slot: u32) -> Short {
        Short::new(hash, slot)
    }
    #[inline(always)]
    fn is_in(self, cell: Short, known: &[Self]) -> bool {
        same(&known[cell.slot() as usize], &self)
    }
    #[inline(always)]
    fn hits(self, cell: Short, hash: u64, known: &[Self]) -> bool {
        let Some(end) = known.len().checked_sub(1) else { return false };
        let slot = cell.slot() as usize;
        same(&known[slot.min(end)], &self) & (cell.hash() == hash as u32) & (slot <= end)
    }
}

/// `a == b` without a branch; of longer keys it would be a call.
#[inline(always)]
fn same<const N: usize>(a: &[i64; N], b: &[i64; N]) -> bool {
    a.iter().zip(b).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}

/// A table without its keys, which have many types.
struct Table<'a> {
    known: &'a mut Vec<u64>,
    free: &'a mut Vec<u32>,
}

impl Table<'_> {
    #[inline(always)]
    fn words<K: Words>(
        &mut self,
        index: &mut Index<K::Cell>,
        known: &mut Vec<K>,
        batch: &[K],
        hashes: &[u64],
        slots: &mut Vec<u32>,
    ) {
        // cache misses overlap: each cell is asked for some keys before, and no key has a branch, because whether one is new
        // can't be predicted
        let ahead = hashes.get(AHEAD..).unwrap_or_default();
        hashes.iter().take(AHEAD).for_each(|h| index.prefetch(table_hash(*h)));
        for (c, (batch, hashes)) in batch.chunks(CHUNK).zip(hashes.chunks(CHUNK)).enumerate() {
            index.reserve(batch.len());
            let at = slots.len();
            let (mut missed, mut n) = ([0u8; CHUNK], 0);
            let next = ahead.get(c * CHUNK..).unwrap_or_default().iter().chain(std::iter::repeat(&0));
            slots.extend((0u8..).zip(batch).zip(hashes).zip(next).map(|(((i, key), h), next)| {
                index.prefetch(table_hash(*next));
                let cell = index.home(table_hash(*h));
                missed[n] = i;
                n += usize::from(!key.hits(cell, table_hash(*h), known));
                cell.slot()
            }));
            for i in missed[..n].iter().map(|i| usize::from(*i)) {
                slots[at + i] = self.search(index, known, batch[i], hashes[i]);
            }
        }
    }

    /// Finds a key past its first cell, or adds it. Room in the index must have been made.
    #[inline(always)]
    fn search<K: Words>(&mut self, index: &mut Index<K::Cell>, known: &mut Vec<K>, key: K, hash: u64) -> u32 {
        let new = key.cell(table_hash(hash), self.vacant());
        let found = index.find_or_add(new, |c| key.is_in(c, known));
        found.unwrap_or_else(|| self.place(known, key, hash))
    }

    /// The slot that the next new key is put into.
    #[inline(always)]
    fn vacant(&self) -> u32 {
        self.free.last().copied().unwrap_or_else(|| {
            assert!(self.known.len() < u32::MAX as usize, "fewer than 2^32 groups in one table");
            self.known.len() as u32
        })
    }

    /// Puts a key into the vacant slot.
    #[inline(always)]
    fn place<K>(&mut self, keys: &mut Vec<K>, key: K, hash: u64) -> u32 {
        let slot = self.vacant();
        match self.free.pop() {
            Some(_) => {
                keys[slot as usize] = key;
                self.known[slot as usize] = hash;
            }
            None => {
                keys.push(key);
                self.known.push(hash);
            }
        }
        slot
    }
}
