//! Long logs: a key's entries in vectors of their own, with a [`Cursor`] per frame and a [`Pyramid`] per extremum.
//!
//! An answer costs as many steps as entries entered and left the frames since the last one. In-order rows are appended;
//! a row that is out of place by `d` entries costs O(d) to enter. Cursors, links and pyramids are made of the entries
//! and never stored.

use super::cursor::{Cursor, NEVER_AFTER, NEVER_BEFORE};
use super::extrema::Pyramid;
use super::intern::Interner;
use super::measure::{Entries, Totals};
use super::plan::{Distinct, Plan, TIME};
use hashbrown::HashTable;
use highwater_engine::hash::{hash_i64, table_hash};

/// The words of a long log's entries, lane by lane. What was forgotten stays at the front until it is half of all.
pub struct Lanes {
    start: usize,
    words: Vec<Vec<i64>>,
    /// Event time of the next occurrence, by distinct input.
    next: Vec<Vec<i64>>,
}

impl Entries for Lanes {
    #[inline(always)]
    fn lane(&self, word: usize) -> &[i64] {
        &self.words[word][self.start..]
    }
}

impl Lanes {
    /// Event time of the next occurrence of each entry's value in distinct input `d`.
    #[inline(always)]
    pub fn next(&self, d: usize) -> &[i64] {
        &self.next[d][self.start..]
    }
    fn len(&self) -> usize {
        self.words[TIME].len() - self.start
    }
    fn all(&mut self) -> impl Iterator<Item = &mut Vec<i64>> {
        self.words.iter_mut().chain(&mut self.next)
    }
    fn forget(&mut self, n: usize) {
        self.start += n;
        if self.start * 2 > self.words[TIME].len() {
            let start = std::mem::take(&mut self.start);
            for lane in self.all() {
                lane.drain(..start);
                if lane.capacity() > 4 * lane.len() + 64 {
                    lane.shrink_to(2 * lane.len());
                }
            }
        }
    }
}

/// The last occurrence of a value.
struct Last {
    value: i64,
    time: i64,
    /// Its number from the beginning of the key when it was entered; insertions before it may have moved it.
    hint: u64,
}

/// The log of a busy key.
pub struct LongLog {
    lanes: Lanes,
    /// Entries forgotten so far.
    gone: u64,
    last: Vec<HashTable<Last>>,
    cursors: Vec<Cursor>,
    pyramids: Vec<Pyramid>,
}

impl LongLog {
    /// An empty log.
    pub fn new(plan: &Plan) -> Self {
        Self {
            lanes: Lanes {
                start: 0,
                words: vec![Vec::new(); plan.words],
                next: vec![Vec::new(); plan.distincts.len()],
            },
            gone: 0,
            last: plan.distincts.iter().map(|_| HashTable::new()).collect(),
            cursors: plan.frames.iter().map(Cursor::new).collect(),
            pyramids: plan.extrema.iter().map(|_| Pyramid::new(0)).collect(),
        }
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.lanes.len()
    }
    /// The entries.
    pub fn entries(&self) -> &Lanes {
        &self.lanes
    }

    /// Enters `entry` behind all entries that are not later.
    pub fn insert(&mut self, plan: &Plan, names: &Interner, entry: &mut [i64]) {
        let (time, len) = (entry[TIME], self.len());
        let times = self.lanes.times();
        let at = if times.last().is_none_or(|t| *t <= time) { len } else { times.partition_point(|t| *t <= time) };
        let at_vector = self.lanes.start + at;
        for (d, distinct) in plan.distincts.iter().enumerate() {
            let next = self.link(d, distinct, at, entry);
            self.lanes.next[d].insert(at_vector, next);
        }
        for (lane, word) in self.lanes.words.iter_mut().zip(entry.iter()) {
            lane.insert(at_vector, *word);
        }
        for (cursor, frame) in self.cursors.iter_mut().zip(&plan.frames) {
            cursor.inserted(plan, frame, &self.lanes, at);
        }
        let (lanes, gone) = (&self.lanes, self.gone);
        for (pyramid, e) in self.pyramids.iter_mut().zip(&plan.extrema) {
            let better = |a, b| e.better(names, a, b);
            if at == len {
                pyramid.push(e.entry(lanes, at), better);
            } else {
                let value = |i: u64| e.entry(lanes, (i - gone) as usize);
                pyramid.rebuild(gone + at as u64, gone, gone + len as u64 + 1, value, better);
            }
        }
    }

    /// Links the entry that will stand at `at` between the occurrences of its value; returns the next one's event time.
    fn link(&mut self, d: usize, distinct: &Distinct, at: usize, entry: &mut [i64]) -> i64 {
        entry[distinct.previous] = NEVER_BEFORE;
        if distinct.bit.is_some_and(|b| entry[b.word] & b.mask == 0) {
            return NEVER_AFTER;
        }
        let (time, value, hint) = (entry[TIME], entry[distinct.value], self.gone + at as u64);
        let hash = table_hash(hash_i64(value));
        let Some(last) = self.last[d].find_mut(hash, |l| l.value == value) else {
            self.last[d].insert_unique(hash, Last { value, time, hint }, |l| table_hash(hash_i64(l.value)));
            return NEVER_AFTER;
        };
        if last.time <= time {
            let (before, seen_at) = (last.time, last.hint);
            (last.time, last.hint) = (time, hint);
            let seen_at = usize::try_from(seen_at.wrapping_sub(self.gone)).ok();
            let i = self.find(d, distinct, value, before, NEVER_AFTER, seen_at);
            let i = i.expect("the last occurrence of a value is in the log");
            self.set_next(d, i, time);
            entry[distinct.previous] = before;
            return NEVER_AFTER;
        }
        self.link_between(d, distinct, at, entry)
    }

    /// The same for a value that occurs later too.
    fn link_between(&mut self, d: usize, distinct: &Distinct, at: usize, entry: &mut [i64]) -> i64 {
        let (time, value) = (entry[TIME], entry[distinct.value]);
        let values = self.lanes.lane(distinct.value);
        let occurs = |i: &usize| values[*i] == value && self.lanes.counts(distinct.bit, *i);
        let after = (at..self.len()).find(occurs).expect("a later occurrence of the value is in the log");
        let next = self.lanes.times()[after];
        let before = self.lanes.lane(distinct.previous)[after];
        if let Some(i) = self.find(d, distinct, value, before, next, None) {
            self.set_next(d, i, time);
        }
        let start = self.lanes.start;
        self.lanes.words[distinct.previous][start + after] = time;
        entry[distinct.previous] = before;
        next
    }

    /// The entry of `value` at `time` whose next occurrence is at `next`; the last one of several.
    fn find(&self, d: usize, of: &Distinct, value: i64, time: i64, next: i64, hint: Option<usize>) -> Option<usize> {
        let (times, values, nexts) = (self.lanes.times(), self.lanes.lane(of.value), self.lanes.next(d));
        let is = |i: usize| times[i] == time && values[i] == value && nexts[i] == next && self.lanes.counts(of.bit, i);
        if let Some(i) = hint.filter(|i| *i < times.len() && is(*i)) {
            return Some(i);
        }
        let end = times.partition_point(|t| *t <= time);
        (0..end).rev().take_while(|i| times[*i] == time).find(|i| is(*i))
    }

    fn set_next(&mut self, d: usize, i: usize, time: i64) {
        let start = self.lanes.start;
        self.lanes.next[d][start + i] = time;
    }

    /// Measures every frame of a row at `time`.
    pub fn measure(&mut self, plan: &Plan, names: &Interner, time: i64, to: &mut [Totals]) {
        for (cursor, frame) in self.cursors.iter_mut().zip(&plan.frames) {
            let (lo, hi) = frame.edges(time);
            cursor.move_to(plan, frame, &self.lanes, lo, hi);
            let (lanes, gone, range) = (&self.lanes, self.gone, cursor.range());
            for (i, m) in frame.measures.iter().enumerate() {
                let totals = &mut to[frame.first + i];
                totals.moments = *cursor.moments(i);
                let best = |e: usize| {
                    let extremum = &plan.extrema[e];
                    let (from, to) = (gone + range.start as u64, gone + range.end as u64);
                    let value = |i: u64| extremum.entry(lanes, (i - gone) as usize);
                    let better = |a, b| extremum.better(names, a, b);
                    self.pyramids[e].best(from, to, extremum.neutral(), value, better)
                };
                totals.min = m.min.map_or(0, best);
                totals.max = m.max.map_or(0, best);
            }
        }
    }

    /// Forgets the entries before `bound`; `release` sees each.
    pub fn evict(&mut self, plan: &Plan, bound: i64, mut release: impl FnMut(&Lanes, usize)) {
        if self.lanes.times().first().is_none_or(|t| *t >= bound) {
            return;
        }
        for (cursor, frame) in self.cursors.iter_mut().zip(&plan.frames).filter(|(c, _)| c.lo() < bound) {
            let hi = cursor.hi().max(bound);
            cursor.move_to(plan, frame, &self.lanes, bound, hi);
        }
        let n = self.lanes.times().iter().take_while(|t| **t < bound).count();
        for i in 0..n {
            release(&self.lanes, i);
            for (d, distinct) in plan.distincts.iter().enumerate() {
                if self.lanes.next(d)[i] == NEVER_AFTER && self.lanes.counts(distinct.bit, i) {
                    let value = self.lanes.lane(distinct.value)[i];
                    let found = self.last[d].find_entry(table_hash(hash_i64(value)), |l| l.value == value);
                    if let Ok(last) = found {
                        last.remove();
                    }
                }
            }
        }
        self.cursors.iter_mut().for_each(|c| c.evicted(n));
        self.lanes.forget(n);
        self.gone += n as u64;
        self.pyramids.iter_mut().for_each(|p| p.trim(self.gone));
        for table in &mut self.last {
            if table.capacity() > 4 * table.len() + 64 {
                table.shrink_to(2 * table.len(), |l| table_hash(hash_i64(l.value)));
            }
        }
    }

    /// Bytes held, roughly.
    pub fn memory(&self) -> usize {
        let lanes = self.lanes.words.iter().chain(&self.lanes.next).map(|l| l.capacity() * 8).sum::<usize>();
        let last = self.last.iter().map(|t| t.capacity() * (size_of::<Last>() + 1)).sum::<usize>();
        lanes + last + self.pyramids.iter().map(Pyramid::memory).sum::<usize>()
    }
}
