//! Short logs: at most 64 entries in one chunk of the [`Arena`], scanned anew for every answer.

use super::arena::{Arena, ENTRIES_MAX};
use super::keys::Head;
use super::measure::Entries;
use super::plan::{Distinct, Link, Plan, TIME};

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
        Self { chunk, capacity: arena.capacity(head.class), start: head.start as usize, len: head.len as usize }
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
    while head.len > 0 && chunk[TIME * arena.capacity(head.class) + head.start as usize] < bound {
        release(chunk, head.start as usize);
        head.start += 1;
        head.len -= 1;
    }
    if head.len == 0 {
        head.start = 0;
    }
}

/// The class of a log that has just come to hold `len` entries: with room for as many more as make moving them rare.
fn class_for(arena: &Arena, len: usize, entries_max: usize) -> Option<u8> {
    if len > entries_max {
        return None;
    }
    arena.class_for((len + len / 4).min(ENTRIES_MAX)).or_else(|| arena.class_for(len))
}

/// Makes room for `more` entries behind the last: moves the entries to the front of their chunk or to one of another size.
/// `false` if the log must become a long one.
///
/// The size follows from the number of entries alone, so that logs that were busy once shrink again.
#[inline(always)]
pub fn reserve(arena: &mut Arena, head: &mut Head, words: usize, more: usize, entries_max: usize) -> bool {
    let (start, len, capacity) = (head.start as usize, head.len as usize, arena.capacity(head.class));
    if len + more <= entries_max && start + len + more <= capacity {
        return true;
    }
    let Some(class) = class_for(arena, len + more, entries_max) else { return false };
    if class != head.class {
        resize(arena, head, class);
    } else {
        let chunk = arena.chunk_mut(head.at, head.class);
        for w in 0..words {
            chunk.copy_within(w * capacity + start..w * capacity + start + len, w * capacity);
        }
        head.start = 0;
    }
    true
}

/// Moves the entries to another chunk.
fn resize(arena: &mut Arena, head: &mut Head, class: u8) {
    let at = arena.alloc(class);
    arena.copy((head.at, head.class), head.start as usize, head.len as usize, (at, class));
    arena.free(head.at, head.class);
    (head.at, head.class, head.start) = (at, class, 0);
}

/// Moves the entries out of a page that is left, and out of a chunk much too large for them.
pub fn tidy(arena: &mut Arena, head: &mut Head) {
    let wanted = class_for(arena, head.len as usize, ENTRIES_MAX).unwrap_or(head.class);
    if arena.is_left(head.at) {
        resize(arena, head, wanted.min(head.class));
    } else if arena.capacity(wanted) * 2 <= arena.capacity(head.class) {
        resize(arena, head, wanted);
    }
}

/// Enters `entry` (with room reserved) behind all entries that are not later, and links its previous occurrences.
#[inline(always)]
pub fn insert(arena: &mut Arena, head: &mut Head, plan: &Plan, entry: &mut [i64]) {
    let (start, len, cap) = (head.start as usize, head.len as usize, arena.capacity(head.class));
    let chunk = arena.chunk_mut(head.at, head.class);
    let times = &chunk[start..start + len];
    let mut p = len;
    while p > 0 && times[p - 1] > entry[TIME] {
        p -= 1;
    }
    for d in &plan.distincts {
        if p < len {
            make_way(&mut chunk[d.link.word * cap + start..][..len], p, d.link);
        }
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

/// Links past place `p`, where an entry will be inserted, become longer by one. What they name may be forgotten already.
fn make_way(links: &mut [i64], p: usize, link: Link) {
    for (i, word) in links.iter_mut().enumerate().skip(p) {
        let back = link.get(*word);
        if back != Link::NONE && back > i - p {
            link.set(word, if back > i { Link::NONE } else { back + 1 });
        }
    }
}

/// Finds the previous occurrence of a value that will stand at `p`, and tells the next one.
#[inline(always)]
fn link(chunk: &mut [i64], cap: usize, start: usize, len: usize, p: usize, d: &Distinct, entry: &mut [i64]) {
    d.link.set(&mut entry[d.link.word], Link::NONE);
    if d.bit.is_some_and(|b| entry[b.word] & b.mask == 0) {
        return;
    }
    let lane = |w: usize| w * cap + start;
    let value = entry[d.value];
    let occurs = |chunk: &[i64], i: usize| {
        chunk[lane(d.value) + i] == value && d.bit.is_none_or(|b| chunk[lane(b.word) + i] & b.mask != 0)
    };
    if let Some(before) = (0..p).rev().find(|i| occurs(chunk, *i)) {
        d.link.set(&mut entry[d.link.word], p - before);
    }
    if let Some(after) = (p..len).find(|i| occurs(chunk, *i)) {
        d.link.set(&mut chunk[lane(d.link.word) + after], after + 1 - p);
    }
}
