//! Rows that wait for their turn: for the watermark under `final`, for the end of their cut under `arrival`.
//!
//! A row waits as (batch, row) in a [radix heap](Queue): what is taken out never goes back, so 65 vectors, one per
//! highest differing bit from the last bound, replace a tree. Each row moves a few times, in vectors, and nothing is
//! allocated per row.

use super::keys::KeyColumn;
use super::lane::Lane;
use super::plan::Plan;
use crate::prefetch::prefetch;
use arrow::array::{Array, AsArray, BooleanArray};
use arrow::buffer::ScalarBuffer;
use highwater_engine::batch::{Arrival, Batch};
use highwater_engine::error::OperatorError;
use highwater_engine::hash::hash_columns;

/// A waiting row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// What it waits for: its event time, or its cut.
    pub at: i64,
    /// Where its batch is held.
    pub batch: u32,
    /// The row.
    pub row: u32,
}

/// A monotone priority queue.
pub struct Queue {
    /// Everything below was taken.
    bound: u64,
    buckets: Vec<Vec<Item>>,
    /// An empty vector, kept for its memory.
    spare: Vec<Item>,
    len: usize,
}

/// Order-preserving.
const fn unsigned(at: i64) -> u64 {
    (at as u64) ^ (1 << 63)
}

impl Default for Queue {
    fn default() -> Self {
        Self { bound: 0, buckets: vec![Vec::new(); 65], spare: Vec::new(), len: 0 }
    }
}

impl Queue {
    /// Number of items.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Adds items.
    ///
    /// # Panics
    /// If one is below what was taken already: the promise of the watermark, or of the cut, was broken.
    pub fn push_all(&mut self, items: &[Item]) {
        let Self { bound, buckets, .. } = self;
        let bucket = |item: &Item| {
            let at = unsigned(item.at);
            assert!(at >= *bound, "a row at {} came behind {}", item.at, unsigned(*bound as i64) as i64);
            64 - (at ^ *bound).leading_zeros() as usize
        };
        for run in items.chunk_by(|a, b| bucket(a) == bucket(b)) {
            buckets[bucket(&run[0])].extend_from_slice(run);
        }
        self.len += items.len();
    }

    /// Moves all items below `bound` to `to`, in no order.
    pub fn take_below(&mut self, bound: i64, to: &mut Vec<Item>) {
        let bound = unsigned(bound);
        if bound <= self.bound {
            return;
        }
        let (before, border) = (to.len(), 64 - (bound ^ self.bound).leading_zeros());
        for bucket in &mut self.buckets[..border as usize] {
            to.append(bucket);
        }
        // items of the border bucket lie on both sides; those above get nearer ones
        let spare = std::mem::take(&mut self.spare);
        let mut split = std::mem::replace(&mut self.buckets[border as usize], spare);
        self.bound = bound;
        for item in split.drain(..) {
            let at = unsigned(item.at);
            if at < bound {
                to.push(item);
            } else {
                self.buckets[64 - (at ^ bound).leading_zeros() as usize].push(item);
            }
        }
        self.spare = split;
        self.len -= to.len() - before;
    }

    /// All items, in no order.
    pub fn items(&self) -> impl Iterator<Item = &Item> {
        self.buckets.iter().flatten()
    }
}

/// Items below which comparing is faster than counting.
const COUNTING_MIN: usize = 256;
/// Bits of a digit.
const DIGIT: u32 = 11;

/// Sorts by [`Item::at`]: digit by digit of the distance from the least, equal ones in the order they had; `spare` is
/// memory to be used again.
pub fn sort_by_time(items: &mut Vec<Item>, spare: &mut Vec<Item>) {
    if items.is_sorted_by_key(|i| i.at) {
        return;
    }
    if items.len() < COUNTING_MIN {
        return items.sort_by_key(|i| i.at);
    }
    let (low, high) = items.iter().fold((i64::MAX, i64::MIN), |(l, h), i| (l.min(i.at), h.max(i.at)));
    let distance = |i: &Item| i.at.wrapping_sub(low) as u64;
    let bits = 64 - (high.wrapping_sub(low) as u64).leading_zeros();
    spare.clear();
    spare.extend_from_slice(items);
    for shift in (0..bits).step_by(DIGIT as usize) {
        let digit = |i: &Item| (distance(i) >> shift) as usize & ((1 << DIGIT) - 1);
        let mut places = [0u32; 1 << DIGIT];
        items.iter().for_each(|i| places[digit(i)] += 1);
        let mut sum = 0;
        for p in &mut places {
            sum += std::mem::replace(p, sum);
        }
        for i in items.iter() {
            let place = &mut places[digit(i)];
            spare[*place as usize] = *i;
            *place += 1;
        }
        std::mem::swap(items, spare);
    }
}

/// A batch some of whose rows wait, with what is read of it.
pub struct Held {
    /// The rows.
    pub batch: Batch,
    /// Their keys.
    pub keys: KeyColumn,
    /// Hashes of their keys.
    pub hashes: ScalarBuffer<u64>,
    /// Their arguments, by [`Plan::lanes`].
    pub lanes: Vec<Lane>,
    /// Their flags, by word.
    pub flags: Vec<Vec<i64>>,
    /// Their arrival order, where it decides.
    pub arrival: Option<Arrival>,
    /// Rows that still wait.
    pub left: u32,
    /// The least event time of its rows.
    pub time_min: i64,
    /// Bytes held, roughly.
    memory: usize,
}

impl Held {
    /// Reads what the node needs of `batch`.
    pub fn new(plan: &Plan, batch: Batch, arrival: Option<Arrival>) -> Result<Self, OperatorError> {
        let columns: Vec<_> = plan.keys.iter().map(|k| batch.column(*k).clone()).collect();
        let keys = KeyColumn::new(&columns, batch.rows())?;
        let hashes = batch.hashes().cloned().unwrap_or_else(|| hash_columns(&columns, batch.rows()));
        let lanes = plan.lanes.iter().map(|l| {
            Lane::new(batch.column(l.column), l.kind)
                .map_err(|e| OperatorError::new(format!("column {}: {}", plan.input.field(l.column).name(), e.message)))
        });
        let lanes = lanes.collect::<Result<Vec<_>, _>>()?;
        let flags = flags(plan, &batch);
        let time_min = batch.times().iter().copied().min().unwrap_or(i64::MAX);
        let words = lanes.iter().map(Lane::memory).sum::<usize>() + flags.iter().map(|f| f.len() * 8).sum::<usize>();
        let memory = batch.columns().get_array_memory_size() + words + batch.rows() * 24;
        Ok(Self { batch, keys, hashes, lanes, flags, arrival, left: 0, time_min, memory })
    }

    /// Asks for what a row's turn reads of it.
    #[inline(always)]
    pub fn prefetch(&self, row: usize) {
        prefetch(&self.hashes, row);
        match &self.keys {
            KeyColumn::Fixed(words, _) => prefetch(words, row),
            KeyColumn::Bytes(_, ends) => prefetch(ends, row),
        }
        self.lanes.iter().for_each(|l| l.prefetch(row));
        self.flags.iter().for_each(|f| prefetch(f, row));
    }
}

fn flags(plan: &Plan, batch: &Batch) -> Vec<Vec<i64>> {
    let mut words = vec![vec![0i64; batch.rows()]; plan.flag_words];
    for (i, (argument, filter)) in plan.bits.iter().enumerate() {
        let (word, mask) = (&mut words[i / 64], 1i64 << (i % 64));
        let valid = argument.and_then(|a| batch.column(a).nulls()).filter(|n| n.null_count() > 0);
        let filter: Option<&BooleanArray> = filter.map(|f| batch.column(f).as_boolean());
        for (row, flags) in word.iter_mut().enumerate() {
            let counts =
                valid.is_none_or(|v| v.is_valid(row)) && filter.is_none_or(|f| f.is_valid(row) && f.value(row));
            *flags |= if counts { mask } else { 0 };
        }
    }
    words
}

/// The waiting rows of one operator.
#[derive(Default)]
pub struct Waiting {
    /// The order in which they wait.
    pub queue: Queue,
    held: Vec<Option<Held>>,
    free: Vec<u32>,
    /// Bytes of all held batches.
    bytes: usize,
}

impl Waiting {
    /// Holds a batch, of which no row waits yet.
    pub fn hold(&mut self, held: Held) -> u32 {
        self.bytes += held.memory;
        let at = self.free.pop().unwrap_or_else(|| {
            self.held.push(None);
            self.held.len() as u32 - 1
        });
        self.held[at as usize] = Some(held);
        at
    }

    /// These rows of a held batch wait; a batch of which none does is let go.
    pub fn push(&mut self, batch: u32, rows: &[Item]) {
        self.queue.push_all(rows);
        self.get_mut(batch).left = rows.len() as u32;
        if rows.is_empty() {
            self.let_go(batch);
        }
    }

    /// One more than the largest number of a held batch.
    pub fn places(&self) -> usize {
        self.held.len()
    }

    /// A held batch.
    #[inline(always)]
    pub fn get(&self, batch: u32) -> &Held {
        self.held[batch as usize].as_ref().expect("a batch is held while a row of it waits")
    }
    fn get_mut(&mut self, batch: u32) -> &mut Held {
        self.held[batch as usize].as_mut().expect("a batch is held while a row of it waits")
    }
    fn let_go(&mut self, batch: u32) {
        self.bytes -= self.get(batch).memory;
        self.held[batch as usize] = None;
        self.free.push(batch);
    }

    /// The rows were answered: lets batches go of which none waits any more.
    pub fn done(&mut self, items: &[Item]) {
        for run in items.chunk_by(|a, b| a.batch == b.batch) {
            let held = self.get_mut(run[0].batch);
            held.left -= run.len() as u32;
            if held.left == 0 {
                self.let_go(run[0].batch);
            }
        }
    }

    /// A lower bound of the event times of all waiting rows.
    pub fn time_min(&self) -> i64 {
        self.held.iter().flatten().map(|h| h.time_min).min().unwrap_or(i64::MAX)
    }

    /// Bytes held, roughly.
    pub fn memory(&self) -> usize {
        self.bytes + self.queue.len() * size_of::<Item>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn sorting_by_digits_is_a_stable_sort(times in prop::collection::vec(prop_oneof![-3i64..3, any::<i64>()], 0..600)) {
            let mut items: Vec<Item> = (0..).zip(&times).map(|(row, at)| Item { at: *at, batch: 0, row }).collect();
            let mut expected = items.clone();
            expected.sort_by_key(|i| i.at);
            sort_by_time(&mut items, &mut Vec::new());
            prop_assert_eq!(items, expected);
        }

        #[test]
        fn the_queue_gives_exactly_what_is_below_each_bound(
            steps in prop::collection::vec((-5_000i64..5_000, 0i64..700), 1..200),
        ) {
            let (mut queue, mut model, mut bound) = (Queue::default(), Vec::new(), i64::MIN);
            for (i, (at, step)) in steps.into_iter().enumerate() {
                if at >= bound {
                    let item = Item { at, batch: 0, row: i as u32 };
                    queue.push_all(&[item]);
                    model.push(item);
                }
                if i % 3 == 0 {
                    bound = bound.max(-6_000) + step;
                    let mut taken = Vec::new();
                    queue.take_below(bound, &mut taken);
                    taken.sort_by_key(|i| i.row);
                    let expected: Vec<_> = model.extract_if(.., |i| i.at < bound).collect();
                    prop_assert_eq!(taken, expected);
                    prop_assert_eq!(queue.len(), model.len());
                    prop_assert_eq!(queue.items().count(), model.len());
                }
            }
        }
    }
}
