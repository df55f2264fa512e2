//! The least or greatest value of any range of a long log, in O(log n).
//!
//! Above the entries stands a pyramid: the best of every 16 entries, of every 16 of those, and so on. Entries are counted
//! from the beginning of the key, so forgetting the oldest moves nothing. An insertion in the middle builds anew what
//! stands behind it.

use std::collections::VecDeque;

const FAN_OUT: u64 = 16;
const LEVELS: usize = 5;

/// One level: the best of each block.
#[derive(Default)]
struct Level {
    /// Number of the first block kept.
    first: u64,
    best: VecDeque<i128>,
}

impl Level {
    #[inline(always)]
    fn at(&self, block: u64) -> i128 {
        self.best[(block - self.first) as usize]
    }
}

/// The pyramid of one extremum. The entries themselves stay in the log: `value(i)` is entry `i`, or the neutral value if it
/// does not count, and `better` is the operation (least, greatest).
pub struct Pyramid {
    levels: [Level; LEVELS],
    /// Entries from the beginning of the key.
    end: u64,
}

impl Pyramid {
    /// An empty pyramid whose first entry will have number `first`.
    pub fn new(first: u64) -> Self {
        let mut width = 1;
        let levels = std::array::from_fn(|_| {
            width *= FAN_OUT;
            Level { first: first / width, best: VecDeque::new() }
        });
        Self { levels, end: first }
    }

    /// Appends an entry.
    pub fn push(&mut self, value: i128, better: impl Fn(i128, i128) -> i128) {
        let mut block = self.end;
        for level in &mut self.levels {
            block /= FAN_OUT;
            match level.best.get_mut((block - level.first) as usize) {
                Some(best) => *best = better(*best, value),
                None => level.best.push_back(value),
            }
        }
        self.end += 1;
    }

    /// Forgets what only covers entries before `first`.
    pub fn trim(&mut self, first: u64) {
        let mut block = first;
        for level in &mut self.levels {
            block /= FAN_OUT;
            while level.first < block && level.best.pop_front().is_some() {
                level.first += 1;
            }
            level.first = level.first.max(block);
        }
    }

    /// Builds anew everything that covers entries from `from`, after an insertion there: the log now has the entries
    /// `[first, end)`.
    pub fn rebuild(
        &mut self,
        from: u64,
        first: u64,
        end: u64,
        value: impl Fn(u64) -> i128,
        better: impl Fn(i128, i128) -> i128,
    ) {
        let (mut from, mut first, mut end_below) = (from, first, end);
        for k in 0..LEVELS {
            let (below, above) = self.levels.split_at_mut(k);
            let level = &mut above[0];
            let start = (from / FAN_OUT).max(level.first);
            level.best.truncate((start - level.first) as usize);
            for block in start..end_below.div_ceil(FAN_OUT) {
                let children = (block * FAN_OUT).max(first)..((block + 1) * FAN_OUT).min(end_below);
                let child = |i: u64| if k == 0 { value(i) } else { below[k - 1].at(i) };
                let best = children.map(child).reduce(&better);
                level.best.push_back(best.expect("a block has an entry"));
            }
            (from, first, end_below) = (start, level.first, end_below.div_ceil(FAN_OUT));
        }
        self.end = end;
    }

    /// The best of the entries `[from, to)`; `neutral` if there is none.
    pub fn best(
        &self,
        from: u64,
        to: u64,
        neutral: i128,
        value: impl Fn(u64) -> i128,
        better: impl Fn(i128, i128) -> i128,
    ) -> i128 {
        let (mut a, mut b, mut best) = (from, to, neutral);
        for k in 0..=LEVELS {
            let at = |i: u64| if k == 0 { value(i) } else { self.levels[k - 1].at(i) };
            while a < b && (a % FAN_OUT != 0 || k == LEVELS) {
                best = better(best, at(a));
                a += 1;
            }
            while a < b && b % FAN_OUT != 0 {
                b -= 1;
                best = better(best, at(b));
            }
            if a >= b {
                break;
            }
            (a, b) = (a / FAN_OUT, b / FAN_OUT);
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_range_of_every_state_has_its_maximum(
            steps in prop::collection::vec((0u8..10, any::<i16>(), any::<prop::sample::Index>()), 1..400),
            first in 0u64..100,
        ) {
            let (mut log, mut gone, mut pyramid) = (Vec::<i128>::new(), first, Pyramid::new(first));
            for (what, v, at) in steps {
                let v = i128::from(v);
                match what {
                    0..=6 => {
                        log.push(v);
                        pyramid.push(v, i128::max);
                    }
                    7 | 8 => {
                        let p = at.index(log.len() + 1);
                        log.insert(p, v);
                        pyramid.rebuild(gone + p as u64, gone, gone + log.len() as u64, |i| log[(i - gone) as usize], i128::max);
                    }
                    _ => {
                        let n = at.index(log.len() + 1);
                        log.drain(..n);
                        gone += n as u64;
                        pyramid.trim(gone);
                    }
                }
                for (a, b) in [(0, log.len()), (log.len() / 3, log.len()), (log.len() / 5, log.len() / 2)] {
                    let best = pyramid.best(gone + a as u64, gone + b as u64, i128::MIN, |i| log[(i - gone) as usize], i128::max);
                    prop_assert_eq!(best, log[a..b].iter().copied().max().unwrap_or(i128::MIN));
                }
            }
        }
    }
}
