//! The `generator` connector: an endless, reproducible table of card payments with planted fraud.
//!
//! | option | default | |
//! |---|---|---|
//! | `number-of-rows` | unbounded | rows in all |
//! | `rows-per-second` | as fast as possible | pace by the wall clock; changes no row |
//! | `event-rate` | 100 | rows per second of event time, up to three decimals |
//! | `event-start` | 2026-01-01T00:00:00 | event time of row 0 |
//! | `seed` | 42 | another seed, other payments |
//! | `partitions` | 8 | shard `p` holds the rows `i` with `i mod partitions = p`; changes no row |
//! | `disorder` | 0.02 | share of rows up to `disorder-max` (4 s) behind |
//! | `late-share` | 0.001 | share of rows `late-min` (6 s) to `late-max` (2 min) behind |
//! | `cards`, `merchants`, `devices` | 1,000,000, 20,000, 1,300,000 | how many keys |
//! | `cards-skew`, `merchants-skew` | 0.2, 0.6 | exponent of popularity: 0 uniform, towards 1 Zipf |
//! | `bursts-per-day` | 288 | planted bursts of fraud in a day of event time |
//!
//! Row `i` is a function of (seed, options that shape rows, `i`); a table declares any of the columns of
//! [`payments::Column::ALL`], in any order, and a column is computed only when a job reads it.

pub mod bursts;
mod options;
pub mod payments;
pub mod random;
pub mod rows;
mod source;
mod text;
pub mod times;

pub use options::GeneratorOptions;
pub use source::Generator;

#[cfg(test)]
mod tests;
