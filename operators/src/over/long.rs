//! Long logs: a key's entries in a vector of their own, with a [`Cursor`] per frame and a [`Pyramid`] per extremum.
//!
//! An answer costs as many steps as entries entered and left the frames since the last one. In-order rows are appended;
//! a row that is out of place by `d` entries costs O(d) to enter. Cursors, links and pyramids are made of the entries
//! and never stored.

use super::arena::LINE_WORDS;
use super::cursor::{Cursor, NEVER_AFTER, NEVER_BEFORE, Track};
use super::extrema::Pyramid;
use super::intern::Interner;
use super::lasts::{Last, Lasts};
use super::measure::{Entries, Moments, Totals, WideMoments};
use super::pick::Turn;
use super::plan::{Distinct, Plan, TIME};
use crate::prefetch::{prefetch, prefetch_all};
use std::ops::Range;

/// The entries of a long log, entry by entry: the words of the plan, then for each distinct input the event times of the
/// previous and the next occurrence. What was forgotten stays at the front until it is half of all.
pub struct Rows {
    /// Words of an entry of the plan.
    words: usize,
    /// Words from one entry to the next.
    stride: usize,
    /// First word in use.
    start: usize,
    /// Number of entries.
    len: usize,
    data: Vec<i64>,
}

impl Entries for Rows {
    #[inline(always)]
    fn len(&self) -> usize {
        self.len
    }
    #[inline(always)]
    fn word(&self, i: usize, word: usize) -> i64 {
        self.data[self.start + i * self.stride + word]
    }
}

impl Rows {
    fn new(plan: &Plan) -> Self {
        Self { words: plan.words, stride: plan.words + 2 * plan.distincts.len(), start: 0, len: 0, data: Vec::new() }
    }

    /// Event time of the previous occurrence of entry `i`'s value in distinct input `d`.
    #[inline(always)]
    pub fn previous(&self, i: usize, d: usize) -> i64 {
        self.word(i, self.words + 2 * d)
    }
    /// Event time of the next occurrence.
    #[inline(always)]
    pub fn next(&self, i: usize, d: usize) -> i64 {
        self.word(i, self.words + 2 * d + 1)
    }

    fn set_previous(&mut self, i: usize, d: usize, time: i64) {
        self.set(i, self.words + 2 * d, time);
    }
    fn set_next(&mut self, i: usize, d: usize, time: i64) {
        self.set(i, self.words + 2 * d + 1, time);
    }

    fn set(&mut self, i: usize, word: usize, v: i64) {
        self.data[self.start + i * self.stride + word] = v;
    }

    /// Number of entries that are not later than `time`.
    #[inline(always)]
    pub fn not_after(&self, time: i64) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = (low + high) / 2;
            if self.time(middle) <= time { low = middle + 1 } else { high = middle }
        }
        low
    }

    /// The first entry that is not before `time`, or the end: none before `from` is. Cost: logarithmic in the distance.
    #[inline(always)]
    pub fn not_before(&self, from: usize, time: i64) -> usize {
        let (mut low, mut step) = (from, 1);
        while low + step <= self.len && self.time(low + step - 1) < time {
            low += step;
            step *= 2;
        }
        let mut high = (low + step - 1).min(self.len);
        while low < high {
            let middle = (low + high) / 2;
            if self.time(middle) < time { low = middle + 1 } else { high = middle }
        }
        low
    }

    /// Makes room for `more` entries, and an eighth of all beyond them.
    fn reserve(&mut self, more: usize) {
        let words = self.data.len() + more * self.stride;
        if words > self.data.capacity() {
            self.data.reserve_exact(words + words / 8 - self.data.len());
        }
    }

    /// Inserts an entry at `at`, whose occurrences are set next.
    fn insert(&mut self, at: usize, entry: &[i64]) {
        let (old, place) = (self.data.len(), self.start + at * self.stride);
        self.len += 1;
        if place == old {
            self.data.extend_from_slice(entry);
            self.data.resize(old + self.stride, NEVER_AFTER);
            return;
        }
        self.data.resize(old + self.stride, NEVER_AFTER);
        self.data.copy_within(place..old, place + self.stride);
        self.data[place..place + self.words].copy_from_slice(entry);
        self.data[place + self.words..place + self.stride].fill(NEVER_AFTER);
    }

    fn forget(&mut self, n: usize) {
        self.start += n * self.stride;
        self.len -= n;
        if self.start * 2 > self.data.len() {
            self.data.drain(..std::mem::take(&mut self.start));
            if self.data.capacity() > 4 * self.data.len() + 256 {
                self.data.shrink_to(2 * self.data.len());
            }
        }
    }
}

/// Neither a previous nor a next occurrence.
const ALONE: (i64, i64) = (NEVER_BEFORE, NEVER_AFTER);

/// The log of a busy key.
pub struct LongLog {
    rows: Rows,
    /// Entries forgotten so far.
    gone: u64,
    cursors: Box<[Cursor]>,
    moments: Box<[Moments]>,
    wides: Box<[WideMoments]>,
    last: Box<[Lasts]>,
    pyramids: Box<[Pyramid]>,
}

impl LongLog {
    /// An empty log.
    pub fn new(plan: &Plan) -> Self {
        Self {
            rows: Rows::new(plan),
            gone: 0,
            cursors: plan.frames.iter().map(|_| Cursor::START).collect(),
            moments: vec![Moments::default(); plan.measures].into(),
            wides: vec![WideMoments::default(); plan.wides].into(),
            last: plan.distincts.iter().map(|_| Lasts::default()).collect(),
            pyramids: plan.extrema.iter().map(|_| Pyramid::new(0)).collect(),
        }
    }

    /// The entries.
    pub fn entries(&self) -> &Rows {
        &self.rows
    }

    /// Asks for the log itself.
    #[inline(always)]
    pub fn prefetch_self(&self) {
        prefetch_all(self);
    }

    /// Asks for the newest entry, and for what says where the others are.
    #[inline(always)]
    pub fn prefetch_parts(&self) {
        let end = self.rows.data.len();
        [end.wrapping_sub(self.rows.stride), end].iter().for_each(|i| prefetch(&self.rows.data, *i));
        (0..self.cursors.len()).step_by(2).for_each(|i| prefetch(&self.cursors, i));
        (0..self.moments.len()).step_by(2).for_each(|i| prefetch(&self.moments, i));
        (0..self.last.len()).step_by(2).for_each(|i| prefetch(&self.last, i));
    }

    /// Asks for the entries at the lower edge of every frame, and for the last occurrence of the values that are known.
    #[inline(always)]
    pub fn prefetch_entries(&self, value: impl Fn(usize) -> Option<i64>) {
        for cursor in &self.cursors {
            let edge = self.rows.start + cursor.range().start * self.rows.stride;
            [edge, edge + LINE_WORDS].iter().for_each(|i| prefetch(&self.rows.data, *i));
        }
        for (d, last) in self.last.iter().enumerate() {
            if let Some(value) = value(d) {
                last.prefetch(value);
            }
        }
    }

    /// Calls `f` for each cursor with all it needs.
    #[inline(always)]
    fn each_cursor(&mut self, plan: &Plan, mut f: impl FnMut(&mut Cursor, &mut Track<'_>)) {
        let Self { rows, cursors, moments, wides, .. } = self;
        for (cursor, frame) in cursors.iter_mut().zip(&plan.frames) {
            f(cursor, &mut Track { frame, rows, moments, wides });
        }
    }

    /// Enters entries in the order of their times, none before those that are there. Nothing has been measured yet.
    pub fn append(&mut self, plan: &Plan, names: &Interner, entries: &[i64]) {
        debug_assert!(self.cursors.iter().all(Cursor::is_at_start), "a log is measured before it is whole");
        self.rows.reserve(entries.len() / plan.words);
        for entry in entries.chunks_exact(plan.words) {
            let at = self.rows.len();
            self.enter(plan, at, entry);
            for (pyramid, e) in self.pyramids.iter_mut().zip(&plan.extrema) {
                pyramid.push(e.entry(&self.rows, at, self.gone), |a, b| e.better(names, a, b));
            }
        }
    }

    /// Enters `entry` behind all entries that are not later.
    pub fn insert(&mut self, plan: &Plan, names: &Interner, entry: &[i64]) {
        let (time, len) = (entry[TIME], self.rows.len());
        let at = if len == 0 || self.rows.time(len - 1) <= time { len } else { self.rows.not_after(time) };
        self.enter(plan, at, entry);
        self.each_cursor(plan, |cursor, track| cursor.inserted(track, at));
        let (rows, gone) = (&self.rows, self.gone);
        for (pyramid, e) in self.pyramids.iter_mut().zip(&plan.extrema) {
            let better = |a, b| e.better(names, a, b);
            if at == len {
                pyramid.push(e.entry(rows, at, gone), better);
            } else {
                let value = |i: u64| e.entry(rows, (i - gone) as usize, gone);
                pyramid.rebuild(gone + at as u64, gone, gone + len as u64 + 1, value, better);
            }
        }
    }

    /// Puts `entry` at `at` and links it with the other occurrences of its values.
    #[inline(always)]
    fn enter(&mut self, plan: &Plan, at: usize, entry: &[i64]) {
        let mut links = [ALONE; 8];
        let mut many = Vec::new();
        let links = match plan.distincts.len() {
            0..=8 => &mut links[..plan.distincts.len()],
            n => {
                many.resize(n, ALONE);
                &mut many[..]
            }
        };
        for ((d, distinct), link) in plan.distincts.iter().enumerate().zip(links.iter_mut()) {
            *link = self.link(d, distinct, at, entry);
        }
        self.rows.insert(at, entry);
        for (d, (previous, next)) in links.iter().enumerate() {
            self.rows.set_previous(at, d, *previous);
            self.rows.set_next(at, d, *next);
        }
    }

    /// Links the entry that will stand at `at` between the occurrences of its value; returns the event times of the
    /// previous and the next one.
    fn link(&mut self, d: usize, distinct: &Distinct, at: usize, entry: &[i64]) -> (i64, i64) {
        if distinct.bit.is_some_and(|b| entry[b.word] & b.mask == 0) {
            return ALONE;
        }
        let (time, value, number) = (entry[TIME], entry[distinct.value], self.gone + at as u64);
        let Some(last) = self.last[d].set(Last { value, time, number }) else { return ALONE };
        if last.time > time {
            self.last[d].set(last);
            return self.link_between(d, distinct, at, entry);
        }
        let (before, seen_at) = (last.time, last.number);
        let seen_at = usize::try_from(seen_at.wrapping_sub(self.gone)).ok();
        let i = self.find(d, distinct, value, before, NEVER_AFTER, seen_at);
        let i = i.expect("the last occurrence of a value is in the log");
        self.rows.set_next(i, d, time);
        (before, NEVER_AFTER)
    }

    /// The same for a value that occurs later too.
    fn link_between(&mut self, d: usize, distinct: &Distinct, at: usize, entry: &[i64]) -> (i64, i64) {
        let (time, value) = (entry[TIME], entry[distinct.value]);
        let occurs = |i: &usize| self.rows.word(*i, distinct.value) == value && self.rows.counts(distinct.bit, *i);
        let after = (at..self.rows.len()).find(occurs).expect("a later occurrence of the value is in the log");
        let next = self.rows.time(after);
        let before = self.rows.previous(after, d);
        if let Some(i) = self.find(d, distinct, value, before, next, None) {
            self.rows.set_next(i, d, time);
        }
        self.rows.set_previous(after, d, time);
        (before, next)
    }

    /// The entry of `value` at `time` whose next occurrence is at `next`; the last one of several.
    fn find(&self, d: usize, of: &Distinct, value: i64, time: i64, next: i64, hint: Option<usize>) -> Option<usize> {
        let rows = &self.rows;
        let is = |i: usize| {
            rows.time(i) == time && rows.word(i, of.value) == value && rows.next(i, d) == next && rows.counts(of.bit, i)
        };
        if let Some(i) = hint.filter(|i| *i < rows.len() && is(*i)) {
            return Some(i);
        }
        (0..rows.not_after(time)).rev().take_while(|i| rows.time(*i) == time).find(|i| is(*i))
    }

    /// Measures every frame of the row whose turn it is.
    pub fn measure(&mut self, plan: &Plan, names: &Interner, turn: Turn<'_>, to: &mut [Totals]) {
        self.each_cursor(plan, |cursor, track| {
            let (lo, hi) = track.frame.frame.edges(turn.time, turn.starts);
            cursor.move_to(track, lo, hi);
        });
        for (totals, moments) in to.iter_mut().zip(&self.moments) {
            totals.moments = *moments;
        }
        if plan.wides == 0 && plan.extrema.is_empty() {
            return;
        }
        for (cursor, frame) in self.cursors.iter().zip(&plan.frames) {
            let range = cursor.range();
            for (m, totals) in frame.measures.iter().zip(&mut to[frame.first..]) {
                if let Some(w) = m.wide {
                    totals.wide = self.wides[w];
                }
                totals.set_extrema(m, |e| self.best(plan, names, e, range.clone()));
            }
        }
    }

    /// The best of the entries `range` for extremum `e`.
    pub fn best(&self, plan: &Plan, names: &Interner, e: usize, range: Range<usize>) -> i128 {
        let (extremum, rows, gone) = (&plan.extrema[e], &self.rows, self.gone);
        let value = |i: u64| extremum.entry(rows, (i - gone) as usize, gone);
        let better = |a, b| extremum.better(names, a, b);
        let (from, to) = (gone + range.start as u64, gone + range.end as u64);
        self.pyramids[e].best(from, to, extremum.neutral(), value, better)
    }

    /// The place that extremum `e`, one of [`Value::Place`](super::plan::Value::Place), finds in a range that is not empty.
    pub fn place(&self, plan: &Plan, e: usize, range: Range<usize>) -> Option<usize> {
        let nowhere = plan.extrema[e].neutral();
        let found = self.best(plan, &Interner::default(), e, range);
        (found != nowhere).then(|| (found - i128::from(self.gone)) as usize)
    }

    /// Whether so many entries lie before `bound` and every frame that forgetting them is worth its cost.
    #[inline(always)]
    pub fn should_evict(&self, bound: i64) -> bool {
        let outside = self.cursors.iter().map(|c| c.range().start).min().unwrap_or(self.rows.len());
        let worth = 16 + self.rows.len() / 8;
        outside > worth && self.rows.time(worth) < bound
    }

    /// Forgets the entries before `bound`, and says how many; `release` sees each.
    pub fn evict(&mut self, plan: &Plan, bound: i64, mut release: impl FnMut(&Rows, usize)) -> usize {
        if self.rows.len() == 0 || self.rows.time(0) >= bound {
            return 0;
        }
        self.each_cursor(plan, |cursor, track| {
            if cursor.lo() < bound {
                let hi = cursor.hi().max(bound);
                cursor.move_to(track, bound, hi);
            }
        });
        let n = self.rows.not_after(bound - 1);
        for i in 0..n {
            release(&self.rows, i);
            for (d, distinct) in plan.distincts.iter().enumerate() {
                if self.rows.next(i, d) == NEVER_AFTER && self.rows.counts(distinct.bit, i) {
                    let value = self.rows.word(i, distinct.value);
                    self.last[d].remove(value);
                }
            }
        }
        self.cursors.iter_mut().for_each(|c| c.evicted(n));
        self.rows.forget(n);
        self.gone += n as u64;
        self.pyramids.iter_mut().for_each(|p| p.trim(self.gone));
        self.last.iter_mut().for_each(Lasts::shrink);
        n
    }

    /// Bytes of one entry, roughly, with its share of links and spare memory; and of a log without entries.
    pub fn memory(plan: &Plan) -> (usize, usize) {
        let entry = (plan.words + 2 * plan.distincts.len()) * 10 + plan.distincts.len() * 32 + plan.extrema.len() * 2;
        (entry, size_of::<Self>() + plan.measures * size_of::<Moments>() + plan.wides * size_of::<WideMoments>())
    }
}
