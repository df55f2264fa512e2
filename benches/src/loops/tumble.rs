//! W1: one map per open minute, in order; the oldest fires when the watermark passes it.

use super::Share;
use super::fold::Map;
use crate::check::Check;
use crate::payments::{DELAY_MS, Payment};
use crate::workload::MINUTE_MS;
use std::collections::VecDeque;

/// Open windows by start, ascending.
pub struct Open<V> {
    size_ms: i64,
    windows: VecDeque<(i64, Map<V>)>,
    spare: Vec<Map<V>>,
    max_ts: i64,
}

impl<V: Default> Open<V> {
    pub fn new(size_ms: i64) -> Self {
        Self { size_ms, windows: VecDeque::new(), spare: Vec::new(), max_ts: i64::MIN }
    }

    /// Moves the watermark; every window it passes goes to `fire`, which gives the map back empty.
    #[inline(always)]
    pub fn advance(&mut self, ts: i64, mut fire: impl FnMut(i64, &mut Map<V>)) {
        if ts <= self.max_ts {
            return;
        }
        self.max_ts = ts;
        // The watermark is the last complete instant plus one.
        while self.windows.front().is_some_and(|w| ts - DELAY_MS + 1 >= w.0 + self.size_ms) {
            let Some((start, mut map)) = self.windows.pop_front() else { return };
            fire(start, &mut map);
            self.spare.push(map);
        }
    }

    /// The value of a key in the window of an instant.
    #[inline(always)]
    pub fn entry(&mut self, ts: i64, key: u32) -> &mut V {
        let start = ts - ts % self.size_ms;
        let at = self.windows.iter().position(|w| w.0 >= start).unwrap_or(self.windows.len());
        if self.windows.get(at).is_none_or(|w| w.0 != start) {
            self.windows.insert(at, (start, self.spare.pop().unwrap_or_default()));
        }
        self.windows[at].1.entry(key).or_default()
    }

    /// Fires all that is left.
    pub fn finish(self, mut fire: impl FnMut(i64, &mut Map<V>)) {
        self.windows.into_iter().for_each(|(start, mut map)| fire(start, &mut map));
    }
}

#[derive(Default)]
struct Totals {
    count: i64,
    sum: i64,
    max: i64,
}

pub fn run(rows: &[Payment], share: Share) -> Check {
    let mut check = Check::default();
    let mut open = Open::<Totals>::new(MINUTE_MS);
    let mut fire = |_: i64, map: &mut Map<Totals>| {
        for (_, t) in map.drain() {
            check.add(Check { rows: 1, count: t.count, sum: t.sum, other: t.max });
        }
    };
    for p in rows {
        open.advance(p.ts, &mut fire);
        if share.owns(p.merchant) {
            let t = open.entry(p.ts, p.merchant);
            t.count += 1;
            t.sum += p.amount;
            t.max = t.max.max(p.amount);
        }
    }
    open.finish(fire);
    check
}
