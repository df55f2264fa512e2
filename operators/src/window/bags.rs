//! All values per slot, in order, each with how often it is there: for aggregates that need them at once.
//!
//! PERCENTILE_CONT counts values, APPROX_PERCENTILE buckets of values, LISTAGG packed rows. Bags add up and can be taken
//! away, so the running total of a hopping window is one too. Of APPROX_COUNT_DISTINCT a slice keeps one code of a register,
//! the greatest; the total counts the slices that hold each, since a lesser one may outlive it.
//!
//! Cost: a search in a tree for each row; 16 to 40 bytes for each different value. A LISTAGG of a slot that is longer than
//! [`LISTAGG_BYTES_MAX`] grows no further: the window that would show it fails.

use super::extremes::texts;
use super::groups::Slots;
use super::keys::column_of_words;
use super::plan::counted;
use super::rows::{Arguments, Placed};
use crate::aggregate::distinct::register_of;
use crate::aggregate::values::ordered_bits;
use crate::aggregate::{Shape, Values, column_of_i128};
use arrow::array::{ArrayRef, AsArray, Int64Array, ListArray, StructArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Int64Type};
use highwater_engine::error::OperatorError;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Bytes of the packed rows of a LISTAGG of one group.
pub const LISTAGG_BYTES_MAX: usize = 1 << 20;

/// The values of one slot.
pub type Bag<K> = BTreeMap<K, u64>;

/// A bag for each slot.
#[derive(Clone, Debug)]
pub enum Bags {
    /// Of [`Shape::Narrow`], and doubles by their ordered bits.
    Narrow(Vec<Bag<i64>>),
    /// Of [`Shape::Wide`].
    Wide(Vec<Bag<i128>>),
    /// Of [`Shape::Bytes`], with the bytes of each slot.
    Bytes(Vec<Bag<Box<[u8]>>>, Vec<usize>),
    /// The greatest code of each register.
    Codes(Vec<Bag<i64>>),
}

macro_rules! each {
    ($bags:expr, $v:ident => $e:expr) => {
        match $bags {
            Bags::Narrow($v) | Bags::Codes($v) => $e,
            Bags::Wide($v) => $e,
            Bags::Bytes($v, _) => $e,
        }
    };
}

impl Bags {
    /// No bags, for values of this shape; of codes if `codes`.
    pub fn new(shape: Shape, codes: bool) -> Self {
        match shape {
            Shape::Narrow if codes => Self::Codes(vec![]),
            Shape::Narrow | Shape::Double => Self::Narrow(vec![]),
            Shape::Wide => Self::Wide(vec![]),
            Shape::Bytes => Self::Bytes(vec![], vec![]),
        }
    }

    /// Makes room for `n` slots.
    pub fn grow(&mut self, n: usize) {
        each!(self, v => v.resize_with(n, BTreeMap::new));
        if let Self::Bytes(_, bytes) = self {
            bytes.resize(n, 0);
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.keep(&[]);
    }

    /// Keeps these slots only, in this order.
    pub fn keep(&mut self, slots: &[u32]) {
        each!(self, v => *v = slots.iter().map(|s| std::mem::take(&mut v[*s as usize])).collect());
        if let Self::Bytes(_, bytes) = self {
            *bytes = Slots::List(slots).of(bytes);
        }
    }

    /// Adds rows.
    pub fn update(&mut self, rows: Placed, a: &Arguments) {
        let Some(values) = &a.values else { unreachable!("a bag has an argument") };
        rows.rows(a.taken.as_ref()).for_each(|(slot, i)| self.put(slot, values, i, 1));
    }

    /// Puts value `i` into a slot, `n` times.
    fn put(&mut self, slot: usize, values: &Values, i: usize, n: u64) {
        match (self, values) {
            (Self::Narrow(bags), Values::Narrow(v)) => *bags[slot].entry(v[i]).or_default() += n,
            (Self::Narrow(bags), Values::Double(v)) => *bags[slot].entry(ordered_bits(v[i])).or_default() += n,
            (Self::Wide(bags), Values::Wide(v)) => *bags[slot].entry(v[i]).or_default() += n,
            (Self::Bytes(bags, bytes), v) => {
                let v = v.bytes(i);
                if bytes[slot] <= LISTAGG_BYTES_MAX {
                    bytes[slot] += v.len() * n as usize;
                    *bags[slot].entry(v.into()).or_default() += n;
                }
            }
            (Self::Codes(bags), Values::Narrow(v)) => {
                let (bag, code) = (&mut bags[slot], v[i]);
                let greatest = bag.range(register_of(code)).next_back().map(|(c, _)| *c);
                if greatest.is_none_or(|g| g < code) {
                    greatest.map(|g| bag.remove(&g));
                    bag.insert(code, 1);
                }
            }
            _ => unreachable!("the bags were made for this argument"),
        }
    }

    /// Adds the bags of `from`, whose `i`-th slot is `slots[i]` here; takes them away if `AWAY`.
    pub fn absorb<const AWAY: bool>(&mut self, slots: &[u32], from: &Self) {
        match (self, from) {
            (Self::Narrow(v), Self::Narrow(f)) | (Self::Codes(v), Self::Codes(f)) => absorb::<AWAY, _>(v, slots, f),
            (Self::Wide(v), Self::Wide(f)) => absorb::<AWAY, _>(v, slots, f),
            (Self::Bytes(v, bytes), Self::Bytes(f, theirs)) => {
                absorb::<AWAY, _>(v, slots, f);
                for (slot, n) in slots.iter().zip(theirs) {
                    let bytes = &mut bytes[*slot as usize];
                    *bytes = if AWAY { *bytes - n } else { *bytes + n };
                }
            }
            _ => unreachable!("the bags of one plan are alike"),
        }
    }

    /// The bags of these slots as lists of values and how often each is there.
    pub fn column(&self, slots: Slots, t: &DataType) -> ArrayRef {
        let lengths: Vec<usize> = each!(self, v => slots.iter().map(|s| v[s].len()).collect());
        let counts: Int64Array =
            each!(self, v => slots.iter().flat_map(|s| v[s].values()).map(|n| *n as i64).collect());
        let items = match self {
            Self::Narrow(v) | Self::Codes(v) => {
                column_of_words(slots.iter().flat_map(|s| v[s].keys().copied()).collect(), None, t)
            }
            Self::Wide(v) => column_of_i128(slots.iter().flat_map(|s| v[s].keys().copied()).collect(), None, t),
            Self::Bytes(v, _) => texts(slots.iter().flat_map(|s| v[s].keys().map(|k| Some(&k[..]))), t),
        };
        let DataType::Struct(fields) = counted(t) else { unreachable!("it is a struct") };
        let pairs = StructArray::new(fields, vec![items, Arc::new(counts)], None);
        let item = Arc::new(Field::new("item", counted(t), false));
        Arc::new(ListArray::new(item, OffsetBuffer::from_lengths(lengths), Arc::new(pairs), None))
    }

    /// Adds partial results of another operator: see [`Bags::column`].
    pub fn merge(&mut self, rows: Placed, column: &ArrayRef) -> Result<(), OperatorError> {
        let lists = column.as_list::<i32>();
        let pairs = lists.values().as_struct();
        let (items, counts) = (Values::of(pairs.column(0))?, pairs.column(1).as_primitive::<Int64Type>().values());
        let offsets = lists.value_offsets();
        for (slot, i) in rows.rows(None) {
            for j in offsets[i] as usize..offsets[i + 1] as usize {
                self.put(slot, &items, j, counts[j].max(0) as u64);
            }
        }
        Ok(())
    }

    /// Bytes held, about.
    pub fn bytes(&self) -> usize {
        let texts = if let Self::Bytes(_, bytes) = self { bytes.iter().sum() } else { 0 };
        texts + each!(self, v => of_bags(v))
    }
}

/// Bytes of the nodes of some bags, which are two thirds full.
fn of_bags<K>(bags: &Vec<Bag<K>>) -> usize {
    let entries = bags.iter().map(BTreeMap::len).sum::<usize>();
    bags.capacity() * size_of::<Bag<K>>() + entries * (size_of::<K>() + 8) * 3 / 2
}

fn absorb<const AWAY: bool, K: Ord + Clone>(bags: &mut [Bag<K>], slots: &[u32], from: &[Bag<K>]) {
    for (slot, theirs) in slots.iter().zip(from) {
        let mine = &mut bags[*slot as usize];
        for (value, n) in theirs {
            match AWAY {
                false => *mine.entry(value.clone()).or_default() += n,
                true => {
                    let left = mine.get_mut(value).map(|held| {
                        *held -= n;
                        *held
                    });
                    if left == Some(0) {
                        mine.remove(value);
                    }
                }
            }
        }
    }
}

/// The values at two places, numbered from 0, of the repeated values of a bag.
pub fn neighbours<K: Copy>(bag: &Bag<K>, low: u64) -> Option<(K, K)> {
    let mut before = 0;
    let mut entries = bag.iter();
    while let Some((value, n)) = entries.next() {
        before += n;
        if before > low {
            let next = if before > low + 1 { Some(value) } else { entries.next().map(|(v, _)| v) };
            return Some((*value, *next.unwrap_or(value)));
        }
    }
    None
}
