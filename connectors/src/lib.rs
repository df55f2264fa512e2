//! Where rows come from and where they go: the connectors and formats of Highwater.
//!
//! | connector | reads | writes |
//! |---|---|---|
//! | `generator` | card payments with planted fraud, reproducible | |
//! | `filesystem` | files, folders and globs of CSV, JSON lines or Parquet | a folder, complete or absent |
//! | `kafka` | topics, each partition with its offsets | topics, exactly-once in transactions |
//! | `http` | | rows as JSON to a webhook, at least once |
//! | `print` | | lines on standard output |
//! | `table` | | the first rows, kept for whoever ran the job |
//! | `blackhole` | | nothing |
//!
//! [`check`] judges a table's options before a job exists, so that the SQL front end can point at each of them; [`source`]
//! and [`sink`] open tables. A connector knows bytes and columns: no watermark, no key, no operator. [`object`] is no
//! table: it keeps a job's state in an object store.

pub mod blackhole;
pub mod calendar;
pub mod files;
pub mod format;
pub mod generator;
pub mod http;
pub mod kafka;
pub mod object;
pub mod options;
pub mod print;
pub mod table;
pub mod types;
pub mod unmarked;

mod driver;
mod registry;
#[cfg(test)]
mod resume;
mod secret;

pub use options::OptionError;
pub use registry::{SINKS, SOURCES, Usage, check, option_names, publisher, sink, source};
