//! Planted fraud: bursts of rapid payments, the same number in every day of event time.
//!
//! The rows are cut into equal slots, `per_day` to a day, and each slot holds one burst: `payments` rows, `stride` rows
//! apart, from some row of the slot on. All of it is drawn from the slot's number, so whether a row is in a burst is found
//! in constant time, and a run of rows visits only the slots it meets.

use super::random::{below, mix, stream};
use super::rows::Rows;

/// Payments of a burst.
const PAYMENTS: std::ops::RangeInclusive<u64> = 10..=40;
/// A burst of fewer is not planted: slots are too short for it.
const PAYMENTS_LEAST: u64 = 3;
/// Event time between two payments of a burst, in milliseconds.
const GAP_MS: std::ops::RangeInclusive<u64> = 1_000..=5_000;

/// What a burst hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One card at many merchants, from many countries.
    Card,
    /// One device with many cards.
    Device,
    /// One merchant with many cards and small amounts: stolen cards are tried out.
    Merchant,
}

/// One burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Burst {
    /// Its number: the slot's.
    pub id: i64,
    /// What it hits.
    pub kind: Kind,
    /// A draw that chooses the card, device or merchant.
    pub draw: u64,
    /// Its first row.
    pub first: u64,
    /// Rows from one of its payments to the next.
    pub stride: u64,
    /// How many payments.
    pub payments: u64,
}

/// Where the bursts are.
#[derive(Debug)]
pub struct Bursts {
    per_day: u64,
    rows_per_1000_s: u64,
    stream: u64,
}

impl Bursts {
    /// `per_day` bursts in each day of event time; 0 plants none.
    pub fn new(seed: u64, per_day: u64, rows_per_1000_s: u64) -> Self {
        Self { per_day, rows_per_1000_s, stream: stream(seed, 1) }
    }

    /// The rows of the run that are in a burst: position in the run and the burst, ascending.
    pub fn of(&self, rows: Rows) -> Vec<(usize, Burst)> {
        let mut found = Vec::new();
        if self.per_day == 0 || rows.count == 0 {
            return found;
        }
        for slot in self.slot(rows.first)..=self.slot(rows.end() - 1) {
            if let Some(burst) = self.burst(slot) {
                let in_run = (0..burst.payments).filter_map(|k| rows.position(burst.first + k * burst.stride));
                found.extend(in_run.map(|position| (position, burst)));
            }
        }
        found
    }

    /// Slot `s` is the rows in `[s, s + 1) · 86.4 · rows_per_1000_s / per_day`.
    fn slot(&self, row: u64) -> u64 {
        (u128::from(row) * u128::from(self.per_day) * 10 / (u128::from(self.rows_per_1000_s) * 864)) as u64
    }

    fn first_row(&self, slot: u64) -> u64 {
        let rows = u128::from(slot) * u128::from(self.rows_per_1000_s) * 864;
        rows.div_ceil(u128::from(self.per_day) * 10) as u64
    }

    fn burst(&self, slot: u64) -> Option<Burst> {
        let (first, room) = (self.first_row(slot), self.first_row(slot + 1) - self.first_row(slot));
        let draw = |n: u64| mix(self.stream, slot.wrapping_mul(8).wrapping_add(n));
        let span =
            |draw, range: std::ops::RangeInclusive<u64>| range.start() + below(draw, range.end() - range.start() + 1);
        let payments = span(draw(0), PAYMENTS).min(room / 2);
        if payments < PAYMENTS_LEAST {
            return None;
        }
        let gap_rows = span(draw(1), GAP_MS) * self.rows_per_1000_s / 1_000_000;
        let stride = gap_rows.clamp(1, room / (2 * payments));
        let start = draw(2) % (room - (payments - 1) * stride);
        let kind = match draw(3) >> 62 {
            0 | 1 => Kind::Card,
            2 => Kind::Device,
            _ => Kind::Merchant,
        };
        Some(Burst { id: slot as i64, kind, draw: draw(4), first: first + start, stride, payments })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_day_has_its_bursts_and_a_run_finds_just_its_own() {
        for (per_day, rate) in [(288, 100_000), (7, 100_000), (288, 1_000), (1000, 333)] {
            let bursts = Bursts::new(1, per_day, rate);
            let day = rate * 864 / 10;
            let all = bursts.of(Rows { first: 0, step: 1, count: 2 * day as usize });
            let ids: std::collections::BTreeSet<_> = all.iter().map(|(_, b)| b.id).collect();
            if per_day * 2 * PAYMENTS.end() < day {
                assert_eq!(ids.len() as u64, 2 * per_day, "{per_day} a day at {rate}");
            }
            assert!(all.windows(2).all(|w| w[0].0 < w[1].0), "positions ascend");
            let mut pieces = Vec::new();
            for shard in 0..3u64 {
                for k in 0..2 * day / 3 / 100 + 1 {
                    let first = shard + k * 300;
                    let count = (2 * day).saturating_sub(first).div_ceil(3).min(100) as usize;
                    let run = bursts.of(Rows { first, step: 3, count });
                    pieces.extend(run.into_iter().map(|(p, b)| ((first + 3 * p as u64) as usize, b)));
                }
            }
            pieces.sort_by_key(|(row, _)| *row);
            assert_eq!(pieces, all);
        }
    }
}
