//! The rows of one key, answered for `N` nested frames, the longest last. A short log is scanned backwards, a long one keeps a
//! cursor per frame.

use super::fold::Map;
use crate::check::Check;
use std::collections::VecDeque;

/// Beyond so many entries cursors are cheaper than a scan.
const SCANNED_MAX: usize = 64;

#[derive(Clone, Copy)]
struct Entry {
    ts: i64,
    amount: i64,
    value: u32,
    /// When the same value came before, in a scanned log: it is new to every frame that begins later.
    previous: i64,
}

/// One frame of a long log: its first entry (counted from the first ever), its sum, how often each value is in it.
#[derive(Default)]
struct Cursor {
    first: u64,
    sum: i64,
    values: Map<u32>,
}

/// Rows of one key. `DISTINCT`: different values are counted too. Every call is given the lengths of the same frames.
#[derive(Default)]
pub struct Log<const DISTINCT: bool> {
    entries: VecDeque<Entry>,
    /// Entries that have left.
    gone: u64,
    cursors: Option<Box<[Cursor]>>,
}

impl<const DISTINCT: bool> Log<DISTINCT> {
    #[inline(always)]
    pub fn push<const N: usize>(&mut self, frames: &[i64; N], ts: i64, amount: i64, value: u32) {
        let scanned = self.cursors.is_none();
        let same = |e: &&Entry| e.value == value;
        let previous = match DISTINCT && scanned {
            true => self.entries.iter().rev().find(same).map_or(i64::MIN, |e| e.ts),
            false => i64::MIN,
        };
        self.entries.push_back(Entry { ts, amount, value, previous });
        match &mut self.cursors {
            Some(cursors) => {
                for (cursor, length) in cursors.iter_mut().zip(frames) {
                    cursor.enter::<DISTINCT>(amount, value);
                    cursor.leave::<DISTINCT>(&self.entries, self.gone, ts - length);
                }
                self.forget(ts - frames[N - 1]);
            }
            None => {
                self.forget(ts - frames[N - 1]);
                if self.entries.len() > SCANNED_MAX {
                    self.cursors = Some(self.make_cursors(frames, ts));
                }
            }
        }
    }

    fn forget(&mut self, edge: i64) {
        while self.entries.front().is_some_and(|e| e.ts < edge) {
            self.entries.pop_front();
            self.gone += 1;
        }
    }

    fn make_cursors<const N: usize>(&self, frames: &[i64; N], ts: i64) -> Box<[Cursor]> {
        let mut cursors: Box<[Cursor]> = frames.iter().map(|_| Cursor::default()).collect();
        for (cursor, length) in cursors.iter_mut().zip(frames) {
            cursor.first = self.gone;
            self.entries.iter().for_each(|e| cursor.enter::<DISTINCT>(e.amount, e.value));
            cursor.leave::<DISTINCT>(&self.entries, self.gone, ts - length);
        }
        cursors
    }

    /// The frames that end at the newest entry, summed up.
    #[inline(always)]
    pub fn answer<const N: usize>(&self, frames: &[i64; N], ts: i64) -> Check {
        match &self.cursors {
            Some(cursors) => self.read(cursors),
            None => self.scan(frames, ts),
        }
    }

    fn read(&self, cursors: &[Cursor]) -> Check {
        let end = self.gone + self.entries.len() as u64;
        let mut check = Check::default();
        for c in cursors {
            let other = c.values.len() as i64;
            check.add(Check { rows: 0, count: (end - c.first) as i64, sum: c.sum, other });
        }
        check
    }

    fn scan<const N: usize>(&self, frames: &[i64; N], ts: i64) -> Check {
        let mut check = Check::default();
        let (mut frame, mut count, mut sum) = (0, 0, 0);
        let edge = frames.map(|length| ts - length);
        for e in self.entries.iter().rev() {
            while frame < N && e.ts < edge[frame] {
                check.add(Check { rows: 0, count, sum, other: 0 });
                frame += 1;
            }
            count += 1;
            sum += e.amount;
            if DISTINCT {
                check.other += edge[frame.min(N)..].iter().filter(|edge| e.previous < **edge).count() as i64;
            }
        }
        let left = (N - frame) as i64;
        check.add(Check { rows: 0, count: left * count, sum: left * sum, other: 0 });
        check
    }
}

impl Cursor {
    #[inline(always)]
    fn enter<const DISTINCT: bool>(&mut self, amount: i64, value: u32) {
        self.sum += amount;
        if DISTINCT {
            *self.values.entry(value).or_default() += 1;
        }
    }

    /// Drops the entries before `edge`.
    #[inline(always)]
    fn leave<const DISTINCT: bool>(&mut self, entries: &VecDeque<Entry>, gone: u64, edge: i64) {
        while let Some(e) = entries.get((self.first - gone) as usize).filter(|e| e.ts < edge) {
            self.sum -= e.amount;
            if DISTINCT && let Some(n) = self.values.get_mut(&e.value) {
                *n -= 1;
                if *n == 0 {
                    self.values.remove(&e.value);
                }
            }
            self.first += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::FRAMES_MS;
    use std::collections::BTreeSet;

    /// Every answer by looking at all rows again; keys busy enough for cursors, and quiet ones.
    #[test]
    fn scans_and_cursors_agree_with_a_naive_count() {
        for step_ms in [200_000, 20_000_000] {
            let (mut log, mut all) = (Log::<true>::default(), Vec::new());
            for i in 0..2_000i64 {
                let (ts, amount, value) = (i * step_ms + i % 7, i * i % 1_000, (i * i % 13) as u32);
                log.push(&FRAMES_MS, ts, amount, value);
                all.push((ts, amount, value));
                let mut expected = Check::default();
                for length in FRAMES_MS {
                    let inside: Vec<_> = all.iter().filter(|r| r.0 >= ts - length).collect();
                    let values: BTreeSet<u32> = inside.iter().map(|r| r.2).collect();
                    let sum = inside.iter().map(|r| r.1).sum();
                    expected.add(Check { rows: 0, count: inside.len() as i64, sum, other: values.len() as i64 });
                }
                assert_eq!(log.answer(&FRAMES_MS, ts), expected, "row {i}, every {step_ms} ms");
            }
        }
    }
}
