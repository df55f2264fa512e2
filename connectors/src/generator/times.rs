//! The event time of a row: a steady clock, with some rows behind it.
//!
//! Row `i` happens at `start + i / rate`. A share of the rows arrives in disorder (up to `disorder_max_ms` behind, inside
//! the usual watermark of 5 s), a smaller share late (`late_min_ms` to `late_max_ms` behind). No row is before the start.

use super::random::{below, mix, stream, threshold};
use super::rows::Rows;

/// Rows of slack by which a late row is further behind: its partition's maximum lags the newest row of all by the
/// number of partitions and by what is in disorder.
const LATE_ROWS_SLACK: u64 = 64;

/// How event times are made. Shares in 0 … 1, times in milliseconds.
#[derive(Clone, Debug)]
pub struct TimeOptions {
    /// Event time of row 0.
    pub start_ms: i64,
    /// Rows in a thousand seconds of event time.
    pub rows_per_1000_s: u64,
    /// Share of rows in disorder.
    pub disorder: f64,
    /// How far behind those are at most.
    pub disorder_max_ms: u64,
    /// Share of late rows.
    pub late: f64,
    /// How far behind those are at least, beside a few rows of slack.
    pub late_min_ms: u64,
    /// How far behind those are at most, beside the slack.
    pub late_max_ms: u64,
}

/// Makes event times.
#[derive(Debug)]
pub struct Times {
    options: TimeOptions,
    stream: u64,
    late_below: u64,
    moved_below: u64,
    slack_ms: u64,
}

impl Times {
    /// Event times of a seed.
    pub fn new(seed: u64, options: TimeOptions) -> Self {
        let late_below = threshold(options.late);
        let moved_below = late_below + threshold(options.disorder);
        let slack_ms = LATE_ROWS_SLACK * 1_000_000 / options.rows_per_1000_s;
        Self { stream: stream(seed, 0), late_below, moved_below, slack_ms, options }
    }

    /// The event time of each row, in epoch milliseconds.
    pub fn of(&self, rows: Rows) -> Vec<i64> {
        let rate = self.options.rows_per_1000_s;
        // Row i is at floor(i · 1,000,000 / rate) ms: carried along as quotient and remainder.
        let at = u128::from(rows.first) * 1_000_000;
        let (mut quotient, mut rest) = ((at / u128::from(rate)) as i64, (at % u128::from(rate)) as u64);
        let (step, step_rest) = ((rows.step * 1_000_000 / rate) as i64, rows.step * 1_000_000 % rate);
        let start = self.options.start_ms;
        let mut out = Vec::with_capacity(rows.count);
        out.extend(rows.iter().map(|row| {
            let draw = mix(self.stream, row);
            let behind = if (draw >> 32) >= self.moved_below { 0 } else { self.behind(draw) };
            let time = start + (quotient - behind).max(0);
            quotient += step;
            rest += step_rest;
            if rest >= rate {
                rest -= rate;
                quotient += 1;
            }
            time
        }));
        out
    }

    #[cold]
    fn behind(&self, draw: u64) -> i64 {
        let how_far = draw << 32;
        let TimeOptions { disorder_max_ms, late_min_ms, late_max_ms, .. } = self.options;
        let behind = if (draw >> 32) < self.late_below {
            self.slack_ms + late_min_ms + below(how_far, late_max_ms - late_min_ms + 1)
        } else {
            1 + below(how_far, disorder_max_ms)
        };
        behind as i64
    }
}
