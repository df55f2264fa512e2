//! W6: panes of five minutes and the hour so far: a closed pane is added, a full hour is forgotten.

use super::Share;
use super::fold::Map;
use super::hop::Totals;
use super::tumble::Open;
use crate::check::Check;
use crate::payments::Payment;
use crate::workload::{HOUR_MS, MINUTE_MS};

const STEP_MS: i64 = 5 * MINUTE_MS;

/// The hour up to the last closed pane.
#[derive(Default)]
struct Hour {
    total: Map<Totals>,
    end: i64,
    check: Check,
}

impl Hour {
    /// Closes the pane that begins at `start`, and the empty ones before it.
    fn close(&mut self, start: i64, pane: &mut Map<Totals>) {
        while self.end < start && !self.total.is_empty() {
            self.step(self.end + STEP_MS);
        }
        for (merchant, t) in pane.drain() {
            let total = self.total.entry(merchant).or_default();
            total.count += t.count;
            total.sum += t.sum;
        }
        self.step(start + STEP_MS);
    }

    /// Emits the hour as it is at `end`.
    fn step(&mut self, end: i64) {
        for t in self.total.values() {
            self.check.add(Check { rows: 1, count: t.count, sum: t.sum, other: 0 });
        }
        if end % HOUR_MS == 0 {
            self.total.clear();
        }
        self.end = end;
    }
}

pub fn run(rows: &[Payment], share: Share) -> Check {
    let mut hour = Hour::default();
    let mut open = Open::<Totals>::new(STEP_MS);
    for p in rows {
        open.advance(p.ts, |start, pane| hour.close(start, pane));
        if share.owns(p.merchant) {
            let t = open.entry(p.ts, p.merchant);
            t.count += 1;
            t.sum += p.amount;
        }
    }
    open.finish(|start, pane| hour.close(start, pane));
    while !hour.total.is_empty() {
        hour.step(hour.end + STEP_MS);
    }
    hour.check
}
