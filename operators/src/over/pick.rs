//! Rows by their place: FIRST_VALUE, LAST_VALUE, NTH_VALUE and LAG; ROWS frames; frames without the current row; and
//! percentiles, which are values by their place among the ordered ones.
//!
//! The entries of a log stand in the order of rows, so a place is a position. Where a row itself stands follows from its
//! event time and from how many of its peers entered behind it. What is found goes where [`super::logs`] puts the totals
//! of measures: a value that is one entry's is an extremum of one.
//!
//! Cost: a place is found in O(1), in O(log n) of a long log where entries may not count; a ROWS frame, and any frame of a
//! percentile, is scanned; taking the current row out, or in without its peers, costs what it cost to add it, and two look-ups per extremum.

use super::frame::Frame;
use super::intern::Interner;
use super::long::LongLog;
use super::measure::{Entries, Moments, Totals};
use super::plan::{Bit, Distinct, Measure, Plan, Value};
use crate::aggregate::percentile::place;
use highwater_engine::graph::AggregateFunction;
use std::ops::Range;

/// A value at a place of a frame.
#[derive(Clone, Debug)]
pub struct Pick {
    /// The frame.
    pub frame: Frame,
    /// The place.
    pub place: Place,
    /// The value there.
    pub value: Value,
    /// Which entries count.
    pub bit: Option<Bit>,
    /// Positions in [`Plan::extrema`] of the first and the last entry that counts, if not all do.
    pub ends: Option<(usize, usize)>,
}

/// Which of the entries that count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The first.
    First,
    /// The last.
    Last,
    /// The n-th, from 1.
    Nth(u32),
    /// That of the row so many places before the current one.
    Back(u32),
    /// Those next to this share, in millionths, of the ordered values.
    Share(u32),
}

impl Place {
    /// The place that a function asks for.
    pub fn of(function: AggregateFunction) -> Option<Place> {
        Some(match function {
            AggregateFunction::FirstValue => Self::First,
            AggregateFunction::LastValue => Self::Last,
            AggregateFunction::NthValue { n } => Self::Nth(n),
            AggregateFunction::Lag { offset } => Self::Back(offset),
            AggregateFunction::PercentileCont { millionths } => Self::Share(millionths),
            _ => return None,
        })
    }
}

/// A row whose turn it is.
#[derive(Clone, Copy, Debug)]
pub struct Turn<'a> {
    /// Its event time.
    pub time: i64,
    /// Where the periods begin that hold it.
    pub starts: &'a [i64],
    /// Entries of its key that stand behind it though they are not later: peers that come after it.
    pub behind: usize,
}

/// A log in which entries are found by their times and by whether they count.
pub trait Places: Entries {
    /// Number of entries that are not later than `time`.
    fn not_after(&self, time: i64) -> usize;
    /// The first, or last, entry of a range that counts; `ends` as in [`Pick::ends`].
    fn end(
        &self,
        plan: &Plan,
        bit: Option<Bit>,
        ends: Option<(usize, usize)>,
        range: Range<usize>,
        last: bool,
    ) -> Option<usize>;
    /// Whether distinct input `d` has the value of entry `i` in none of the entries `from .. i`.
    fn is_new(&self, d: usize, of: &Distinct, i: usize, from: usize) -> bool;
    /// The best of the entries `range` for extremum `e`.
    fn best(&self, plan: &Plan, names: &Interner, e: usize, range: Range<usize>) -> i128;
}

/// The entries `a` and `b` of a frame, in order: two pieces if the current row between them is left out, or its peers are.
#[derive(Clone, Debug)]
struct Pieces([Range<usize>; 2]);

/// Answers everything of `plan` that goes by places, for the row whose turn it is.
pub fn answer(log: &impl Places, plan: &Plan, names: &Interner, turn: Turn<'_>, to: &mut [Totals]) {
    let at = log.not_after(turn.time) - 1 - turn.behind;
    for frame in &plan.row_frames {
        let range = places(log, frame.frame, turn, at);
        for (m, totals) in frame.measures.iter().zip(&mut to[frame.first..]) {
            scan(log, plan, names, m, range.clone(), totals);
        }
    }
    for frame in plan.frames.iter().filter(|f| f.frame.without_current) {
        let range = times(log, frame.frame, turn);
        for (m, totals) in frame.measures.iter().zip(&mut to[frame.first..]) {
            take_out(log, plan, names, m, range.clone(), at, totals);
        }
    }
    for frame in plan.frames.iter().filter(|f| f.frame.without_ties) {
        let range = times(log, frame.frame, turn);
        for (m, totals) in frame.measures.iter().zip(&mut to[frame.first..]) {
            put_in(log, plan, names, m, range.clone(), at, totals);
        }
    }
    for (pick, totals) in plan.picks.iter().zip(&mut to[plan.measures..]) {
        if let Place::Share(millionths) = pick.place {
            share(log, pick, millionths, turn, at, totals);
            continue;
        }
        let found = find(log, plan, pick, turn, at);
        totals.moments = Moments { n: i64::from(found.is_some()), sum: 0 };
        totals.min = found.map_or(0, |i| log.value(pick.value, i));
    }
}

/// The entries of a RANGE frame.
fn times(log: &impl Places, f: Frame, turn: Turn<'_>) -> Range<usize> {
    let (lo, hi) = f.edges(turn.time, turn.starts);
    let from = log.not_after(lo - 1);
    from..log.not_after(hi).max(from)
}

/// The entries of a ROWS frame of the row at position `at`.
fn places(log: &impl Places, f: Frame, turn: Turn<'_>, at: usize) -> Range<usize> {
    let Some(rows) = f.rows else { return times(log, f, turn) };
    let oldest = times(log, f, turn).start;
    let end = (at + 1).saturating_sub(rows.last as usize);
    let from = at.saturating_sub(rows.first as usize).max(oldest);
    from..end.max(from)
}

/// The values next to a share of the ordered ones of a frame, and how far behind the first it lies.
fn share(log: &impl Places, pick: &Pick, millionths: u32, turn: Turn<'_>, at: usize, to: &mut Totals) {
    let counts = |i: &usize| log.counts(pick.bit, *i) && !(pick.frame.without_current && *i == at);
    let itself = pick.frame.without_ties.then_some(at);
    let inside = places(log, pick.frame, turn, at).chain(itself).filter(counts);
    let mut values: Vec<i128> = inside.map(|i| log.value(pick.value, i)).collect();
    *to = Totals::default();
    let n = values.len();
    if n == 0 {
        return;
    }
    let (low, rest) = place(n as u64, millionths);
    let (_, least, above) = values.select_nth_unstable(low as usize);
    (to.min, to.max) = (*least, above.iter().min().copied().unwrap_or(*least));
    to.moments = Moments { n: n as i64, sum: i128::from(rest) };
}

/// The entry of a pick.
fn find(log: &impl Places, plan: &Plan, pick: &Pick, turn: Turn<'_>, at: usize) -> Option<usize> {
    let range = places(log, pick.frame, turn, at);
    if let Place::Back(offset) = pick.place {
        // NULL or not: the row of that place itself, if it lies in the frame
        let i = at.checked_sub(offset as usize).filter(|i| *i >= range.start)?;
        return log.counts(pick.bit, i).then_some(i);
    }
    let Pieces(pieces) = match pick.frame {
        Frame { without_current: true, .. } => Pieces([range.start..at, at + 1..range.end]),
        Frame { without_ties: true, .. } => Pieces([range.clone(), at..at + 1]),
        _ => Pieces([range.clone(), range.end..range.end]),
    };
    let end = |range: Range<usize>, last| log.end(plan, pick.bit, pick.ends, range, last);
    match pick.place {
        Place::First => pieces.into_iter().find_map(|r| end(r, false)),
        Place::Last => pieces.into_iter().rev().find_map(|r| end(r, true)),
        Place::Nth(n) => {
            let mut left = n as usize;
            for mut piece in pieces {
                if pick.bit.is_none() && piece.len() >= left {
                    return Some(piece.start + left - 1);
                }
                if pick.bit.is_none() {
                    left -= piece.len();
                    continue;
                }
                while let Some(i) = end(piece.clone(), false) {
                    left -= 1;
                    if left == 0 {
                        return Some(i);
                    }
                    piece.start = i + 1;
                }
            }
            None
        }
        Place::Back(_) | Place::Share(_) => None,
    }
}

/// Measures the entries of a range, one by one.
fn scan(log: &impl Places, plan: &Plan, names: &Interner, m: &Measure, range: Range<usize>, to: &mut Totals) {
    *to = Totals::default();
    for i in range.clone().filter(|i| log.counts(m.bit, *i)) {
        if m.distinct.is_none_or(|d| log.is_new(d, &plan.distincts[d], i, range.start)) {
            to.add(m, log.value(m.value, i));
        }
    }
    to.set_extrema(m, |e| plan.extrema[e].best(names, log, range.clone()));
}

/// Whether an entry of a range has the value of the one at `at`, and counts.
fn again(log: &impl Places, of: &Distinct, at: usize, mut range: Range<usize>) -> bool {
    range.any(|i| log.word(i, of.value) == log.word(at, of.value) && log.counts(of.bit, i))
}

/// Takes the current row, at position `at`, out of what was measured over `range`.
fn take_out(
    log: &impl Places,
    plan: &Plan,
    names: &Interner,
    m: &Measure,
    range: Range<usize>,
    at: usize,
    to: &mut Totals,
) {
    let alone = |d: usize| {
        let of = &plan.distincts[d];
        log.is_new(d, of, at, range.start) && !again(log, of, at, at + 1..range.end)
    };
    if log.counts(m.bit, at) && m.distinct.is_none_or(alone) {
        to.remove(m, log.value(m.value, at));
    }
    to.set_extrema(m, |e| {
        let (a, b) = (log.best(plan, names, e, range.start..at), log.best(plan, names, e, at + 1..range.end));
        plan.extrema[e].better(names, a, b)
    });
}

/// Adds the current row, at position `at`, to what was measured over `range`, which lies before it.
fn put_in(
    log: &impl Places,
    plan: &Plan,
    names: &Interner,
    m: &Measure,
    range: Range<usize>,
    at: usize,
    to: &mut Totals,
) {
    let is_new = |d: usize| !again(log, &plan.distincts[d], at, range.clone());
    if log.counts(m.bit, at) && m.distinct.is_none_or(is_new) {
        to.add(m, log.value(m.value, at));
    }
    to.set_extrema(m, |e| {
        let (before, itself) = (log.best(plan, names, e, range.clone()), log.best(plan, names, e, at..at + 1));
        plan.extrema[e].better(names, before, itself)
    });
}

impl Places for super::small::Small<'_> {
    fn not_after(&self, time: i64) -> usize {
        let times = self.lane(super::plan::TIME);
        times.len() - times.iter().rev().take_while(|t| **t > time).count()
    }
    fn end(
        &self,
        _: &Plan,
        bit: Option<Bit>,
        _: Option<(usize, usize)>,
        mut range: Range<usize>,
        last: bool,
    ) -> Option<usize> {
        if last { range.rfind(|i| self.counts(bit, *i)) } else { range.find(|i| self.counts(bit, *i)) }
    }
    fn is_new(&self, _: usize, of: &Distinct, i: usize, from: usize) -> bool {
        of.link.get(self.word(i, of.link.word)) > i - from
    }
    fn best(&self, plan: &Plan, names: &Interner, e: usize, range: Range<usize>) -> i128 {
        plan.extrema[e].best(names, self, range)
    }
}

impl Places for LongLog {
    fn not_after(&self, time: i64) -> usize {
        self.entries().not_after(time)
    }
    fn end(
        &self,
        plan: &Plan,
        bit: Option<Bit>,
        ends: Option<(usize, usize)>,
        range: Range<usize>,
        last: bool,
    ) -> Option<usize> {
        match (bit, ends) {
            _ if range.is_empty() => None,
            (Some(_), Some((first_of, last_of))) => self.place(plan, if last { last_of } else { first_of }, range),
            _ => Some(if last { range.end - 1 } else { range.start }),
        }
    }
    fn is_new(&self, d: usize, of: &Distinct, i: usize, from: usize) -> bool {
        let rows = self.entries();
        let (previous, oldest) = (rows.previous(i, d), rows.time(from));
        if previous != oldest {
            return previous < oldest;
        }
        // the previous occurrence is one of the oldest entries, inside or just before
        let same = |j: &usize| rows.word(*j, of.value) == rows.word(i, of.value) && rows.counts(of.bit, *j);
        !(from..i).take_while(|j| rows.time(*j) == oldest).any(|j| same(&j))
    }
    fn best(&self, plan: &Plan, names: &Interner, e: usize, range: Range<usize>) -> i128 {
        LongLog::best(self, plan, names, e, range)
    }
}

impl Entries for LongLog {
    fn len(&self) -> usize {
        self.entries().len()
    }
    fn word(&self, i: usize, word: usize) -> i64 {
        self.entries().word(i, word)
    }
}
