//! Short logs: at most 64 entries in one chunk of the [`Arena`], scanned anew for every answer.

use super::arena::{Arena, CLASSES, ENTRIES_MAX, capacity, class_for};
use super::keys::Head;
use super::measure::Entries;
use super::plan::{Distinct, Plan, TIME};

/// The entries of a chunk.
pub struct Small<'a> {
    chunk: &'a [i64],
    capacity: usize,
    start: usize,
    len: usize,
}

impl<'a> Small<'a> {
    /// The entries that `head` names.
    #[inline(always)]
    pub fn new(arena: &'a Arena, head: &Head) -> Self {
        let chunk = arena.chunk(head.at, head.class);
        Self { chunk, capacity: capacity(head.class), start: head.start as usize, len: head.len as usize }
    }
}

impl Small<'_> {
    /// Word `word` of every entry.
    #[inline(always)]
    pub fn lane(&self, word: usize) -> &[i64] {
        let first = word * self.capacity + self.start;
        &self.chunk[first..first + self.len]
    }
}

impl Entries for Small<'_> {
    #[inline(always)]
    fn len(&self) -> usize {
        self.len
    }
    #[inline(always)]
    fn word(&self, i: usize, word: usize) -> i64 {
        self.lane(word)[i]
    }
}

/// Forgets the entries before `bound`; `release` sees the position in the chunk of each.
#[inline(always)]
pub fn evict(arena: &Arena, head: &mut Head, bound: i64, mut release: impl FnMut(&[i64], usize)) {
    let chunk = arena.chunk(head.at, head.class);
    while head.len > 0 && chunk[TIME * capacity(head.class) + head.start as usize] < bound {
        release(chunk, head.start as usize);
        head.start += 1;
        head.len -= 1;
    }
    if head.len == 0 {
        head.start = 0;
    }
}

/// Makes room behind the last entry: moves the entries to the front of their chunk or to one of the next size. `false` if
/// the log must become a long one.
#[inline(always)]
pub fn reserve(arena: &mut Arena, head: &mut Head, words: usize, entries_max: usize) -> bool {
    let (start, len, cap) = (head.start as usize, head.len as usize, capacity(head.class));
    if len >= entries_max.min(ENTRIES_MAX) {
        return false;
    }
    if start + len < cap {
        return true;
    }
    let class = match (start > 0 && start >= cap / 4, (len + 1) * 4 <= cap) {
        (true, false) => head.class,
        (true, true) => class_for(len + 1),
        (false, _) => head.class + 1,
    };
    if class as usize >= CLASSES {
        return false;
    }
    if class == head.class {
        let chunk = arena.chunk_mut(head.at, head.class);
        for w in 0..words {
            chunk.copy_within(w * cap + start..w * cap + start + len, w * cap);
        }
    } else {
        let at = arena.alloc(class);
        arena.copy((head.at, head.class), start, len, (at, class));
        arena.free(head.at, head.class);
        (head.at, head.class) = (at, class);
    }
    head.start = 0;
    true
}

/// Enters `entry` (with room reserved) behind all entries that are not later, and links its previous occurrences.
#[inline(always)]
pub fn insert(arena: &mut Arena, head: &mut Head, plan: &Plan, entry: &mut [i64]) {
    let (start, len, cap) = (head.start as usize, head.len as usize, capacity(head.class));
    let chunk = arena.chunk_mut(head.at, head.class);
    let times = &chunk[start..start + len];
    let mut p = len;
    while p > 0 && times[p - 1] > entry[TIME] {
        p -= 1;
    }
    for d in &plan.distincts {
        link(chunk, cap, start, len, p, d, entry);
    }
    for (w, v) in entry.iter().enumerate() {
        let first = w * cap + start;
        if p < len {
            chunk.copy_within(first + p..first + len, first + p + 1);
        }
        chunk[first + p] = *v;
    }
    head.len += 1;
}

/// Finds the previous occurrence of a value that will stand at `p`, and tells the next one.
#[inline(always)]
fn link(chunk: &mut [i64], cap: usize, start: usize, len: usize, p: usize, d: &Distinct, entry: &mut [i64]) {
    if d.bit.is_some_and(|b| entry[b.word] & b.mask == 0) {
        entry[d.previous] = i64::MIN;
        return;
    }
    let lane = |w: usize| w * cap + start;
    let value = entry[d.value];
    let occurs = |chunk: &[i64], i: usize| {
        chunk[lane(d.value) + i] == value && d.bit.is_none_or(|b| chunk[lane(b.word) + i] & b.mask != 0)
    };
    let before = (0..p).rev().find(|i| occurs(chunk, *i));
    entry[d.previous] = before.map_or(i64::MIN, |i| chunk[lane(TIME) + i]);
    if let Some(after) = (p..len).find(|i| occurs(chunk, *i)) {
        chunk[lane(d.previous) + after] = entry[TIME];
    }
}
