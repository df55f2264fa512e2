//! W2: panes of five minutes and one running hour: a closed pane is added, the pane of an hour ago taken off.

use super::Share;
use super::fold::Map;
use super::tumble::Open;
use crate::check::Check;
use crate::payments::Payment;
use crate::workload::{HOUR_MS, MINUTE_MS};
use hashbrown::hash_map::Entry;
use std::collections::VecDeque;

const SLIDE_MS: i64 = 5 * MINUTE_MS;

/// Of a key in a pane, or in all of them.
#[derive(Clone, Copy, Default)]
pub struct Totals {
    pub count: i64,
    pub sum: i64,
}

/// The hour up to the last closed pane.
#[derive(Default)]
struct Hour {
    panes: VecDeque<(i64, Map<Totals>)>,
    total: Map<Totals>,
    end: i64,
    check: Check,
}

impl Hour {
    /// Closes the pane that begins at `start`, and the empty ones before it.
    fn close(&mut self, start: i64, pane: Map<Totals>) {
        while self.end < start && !self.total.is_empty() {
            self.step(self.end + SLIDE_MS);
        }
        for (card, t) in &pane {
            let total = self.total.entry(*card).or_default();
            total.count += t.count;
            total.sum += t.sum;
        }
        self.panes.push_back((start, pane));
        self.step(start + SLIDE_MS);
    }

    /// Emits the hour that ends at `end`.
    fn step(&mut self, end: i64) {
        while self.panes.front().is_some_and(|p| p.0 < end - HOUR_MS) {
            let Some((_, pane)) = self.panes.pop_front() else { return };
            for (card, t) in pane {
                if let Entry::Occupied(mut e) = self.total.entry(card) {
                    e.get_mut().count -= t.count;
                    e.get_mut().sum -= t.sum;
                    if e.get().count == 0 {
                        e.remove();
                    }
                }
            }
        }
        for t in self.total.values() {
            self.check.add(Check { rows: 1, count: t.count, sum: t.sum, other: 0 });
        }
        self.end = end;
    }
}

pub fn run(rows: &[Payment], share: Share) -> Check {
    let mut hour = Hour::default();
    let mut open = Open::<Totals>::new(SLIDE_MS);
    for p in rows {
        open.advance(p.ts, |start, pane| hour.close(start, std::mem::take(pane)));
        if share.owns(p.card) {
            let t = open.entry(p.ts, p.card);
            t.count += 1;
            t.sum += p.amount;
        }
    }
    open.finish(|start, pane| hour.close(start, std::mem::take(pane)));
    while !hour.total.is_empty() {
        hour.step(hour.end + SLIDE_MS);
    }
    hour.check
}
