//! Jobs in Rust: a builder that reads like the sentence.
//!
//! ```
//! use highwater_engine::builder::*;
//!
//! let job = Job::new("throughput");
//! job.source(
//!     Table::new("payments", "generator")
//!         .option("number-of-rows", "1000")
//!         .column("merchant", BIGINT)
//!         .column("amount", decimal(12, 2))
//!         .column("status", STRING)
//!         .column("ts", TIMESTAMP)
//!         .watermark("ts", seconds(5)),
//! )
//! .filter(col("status").eq(lit("APPROVED")))
//! .key_by(["merchant"])
//! .tumble(minutes(1))
//! .aggregate([count().named("payments"), sum("amount"), max("amount").named("largest")])
//! .sink(Table::new("minutes", "blackhole"));
//!
//! let graph = job.build()?;
//! let columns: Vec<_> = graph.nodes.last().unwrap().schema.fields().iter().map(|f| f.name().clone()).collect();
//! assert_eq!(columns, ["merchant", "window_start", "window_end", "window_time", "payments", "sum_amount", "largest"]);
//! # Ok::<(), BuilderError>(())
//! ```
//!
//! Nothing runs here: [`Job::build`] gives a [`JobGraph`](crate::graph::JobGraph), plain data with types
//! by Flink's rules ([`crate::graph::types`]). A mistake does not interrupt the sentence: the first one is kept and [`Job::build`] returns
//! it. [`GraphBuilder`] is the floor below, nodes by number: the SQL front end's translation stands on it too.

mod calls;
mod graph_builder;
mod scalar;
mod stream;
mod table;
#[cfg(test)]
mod tests;

pub use calls::{Call, Trailing, avg, count, count_column, count_distinct, max, min, over, over_between, stddev, sum};
pub use graph_builder::GraphBuilder;
pub use scalar::{Scalar, col, lit, null};
pub use stream::{Job, Keyed, Order, Stream, Windowed, ascending, descending};
pub use table::{BIGINT, BOOLEAN, BYTES, DOUBLE, INT, STRING, TIMESTAMP, Table, decimal};

use crate::error::BuildError;
use std::time::Duration;
use thiserror::Error;

/// Why a job can't be built.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BuilderError {
    /// A column that the rows do not have.
    #[error("{step}: there is no column {name}{}; the columns are {}", nearest_text(nearest), columns.join(", "))]
    NoColumn {
        /// The step that names it.
        step: String,
        /// The name.
        name: String,
        /// The column of the nearest name.
        nearest: Option<String>,
        /// The columns there are.
        columns: Vec<String>,
    },
    /// Two columns of one name.
    #[error("{step}: two columns are named {name}; name one of them with .named(..)")]
    DuplicateColumn {
        /// The step that emits them.
        step: String,
        /// The name.
        name: String,
    },
    /// A source without a watermark has no event time.
    #[error("{table}: a source needs an event time; say .watermark(column, delay)")]
    NoWatermark {
        /// The table.
        table: String,
    },
    /// An operand or argument of a type that its operator or function does not take.
    #[error("{step}: {message}")]
    Type {
        /// The step.
        step: String,
        /// What is taken and what was found.
        message: String,
    },
    /// A length of time that is no whole number of milliseconds, or beyond 292 million years.
    #[error("{step}: {length:?} is no whole number of milliseconds")]
    Length {
        /// The step.
        step: String,
        /// The length.
        length: Duration,
    },
    /// Streams of two jobs were joined.
    #[error("{step}: its inputs belong to different jobs")]
    OtherJob {
        /// The step.
        step: String,
    },
    /// A promise of the graph is broken: see [`crate::graph::JobGraph::validate`].
    #[error("{0}")]
    Graph(String),
}

impl From<BuildError> for BuilderError {
    fn from(e: BuildError) -> Self {
        Self::Graph(e.message)
    }
}

impl From<BuilderError> for BuildError {
    fn from(e: BuilderError) -> Self {
        BuildError::new(e.to_string())
    }
}

fn nearest_text(nearest: &Option<String>) -> String {
    nearest.as_ref().map_or_else(String::new, |n| format!("; the nearest is {n}"))
}

/// So many milliseconds.
pub const fn milliseconds(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// So many seconds.
pub const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// So many minutes.
pub const fn minutes(n: u64) -> Duration {
    seconds(n.saturating_mul(60))
}

/// So many hours.
pub const fn hours(n: u64) -> Duration {
    minutes(n.saturating_mul(60))
}

/// So many days of 24 hours.
pub const fn days(n: u64) -> Duration {
    hours(n.saturating_mul(24))
}

/// The length in the engine's unit.
fn to_ms(step: &str, length: Duration) -> Result<i64, BuilderError> {
    let whole = length.subsec_nanos().is_multiple_of(1_000_000);
    let ms = i64::try_from(length.as_millis()).ok().filter(|_| whole);
    ms.ok_or_else(|| BuilderError::Length { step: step.to_owned(), length })
}

/// A length as a name's suffix: `1h`, `90s`, `250ms`.
fn length_name(ms: i64) -> String {
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")];
    let unit = units.into_iter().find(|(u, _)| ms >= *u && ms % u == 0);
    unit.map_or_else(|| format!("{ms}ms"), |(u, name)| format!("{}{name}", ms / u))
}
