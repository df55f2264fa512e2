//! A job as plain data: what the SQL front end and the Rust builder make, what `explain` prints and the runtime builds.
//!
//! Nodes stand in an order in which every input comes before its user. A node's `name` is stable: it is derived from the
//! job's text (`payments`, `alerts.over.1`), never from a position in memory, because checkpoints are stored by it.

pub mod calendar;
mod reach;
pub mod types;
pub(crate) mod validate;

pub use calendar::{CalendarWindows, Length, StartOf};

use crate::expr::Expr;
use arrow_schema::{DataType, SchemaRef};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Position of a node in [`JobGraph::nodes`].
pub type NodeId = usize;

/// A whole job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobGraph {
    /// The job's identity: `pipeline.name`, by default the stem of its file.
    pub name: String,
    /// The steps, inputs before users.
    pub nodes: Vec<Node>,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Stable, unique name.
    pub name: String,
    /// What it reads.
    pub inputs: Vec<NodeId>,
    /// What it does.
    pub step: Step,
    /// The columns it emits.
    pub schema: SchemaRef,
}

/// What a node does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(clippy::large_enum_variant)] // a graph has few nodes
pub enum Step {
    /// Reads a table. No input.
    Source(SourceSpec),
    /// `t$late` of a source: its late rows with `watermark` and `lateness_ms` appended. Input: the source.
    Late,
    /// `t$errors` of a source: bad records and rows that failed an expression before any stateful step. Input: the source.
    Errors,
    /// Filter, then projection; per row.
    Map(MapSpec),
    /// Keeps the rows whose event time lies in the range; per row. What a replay emits: see [`SourceSpec::reads`].
    TimeRange(TimeRange),
    /// Appends `window_start, window_end, window_time` to each row (a window function that no aggregation follows).
    AssignWindow(WindowKind),
    /// Keyed windowed aggregation.
    Window(WindowSpec),
    /// Keyed trailing frames: appends one column per call.
    Over(OverSpec),
    /// The first rows of each key and event time, numbered.
    TopN(TopNSpec),
    /// All rows of all inputs, which have equal schemas.
    Union,
    /// Writes a table. The one kind of node without users.
    Sink(SinkSpec),
}

/// An input table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SourceSpec {
    /// The table's name.
    pub table: String,
    /// `generator`, `filesystem`, …
    pub connector: String,
    /// The connector's options, without `connector` itself and without the `scan.*` options below.
    pub options: BTreeMap<String, String>,
    /// All physical (not computed) columns as declared, in order.
    pub physical: SchemaRef,
    /// The physical columns the job needs, ascending positions in `physical`: what the source decodes.
    pub read: Vec<usize>,
    /// Over the read columns: the node's schema (physical columns passed through, computed ones evaluated).
    pub map: MapSpec,
    /// Position of the event-time column in the node's schema.
    pub time: usize,
    /// The watermark's delay behind the maximum event time: `WATERMARK FOR ts AS ts - INTERVAL '5' SECOND` is 5,000.
    pub watermark_delay_ms: i64,
    /// `scan.event-time.min`: rows below it are bad.
    pub time_min_ms: i64,
    /// `scan.event-time.max`: rows above it are bad.
    pub time_max_ms: i64,
    /// `scan.watermark.alignment.max-drift`.
    pub max_drift_ms: i64,
    /// `scan.files.open-max`: so many partitions are open at once; a further one only if it is furthest behind in event time.
    #[serde(default = "open_max")]
    pub open_max: u32,
    /// `scan.watermark.idle-timeout`: an unbounded table's watermark no longer waits for a partition that has given all it has
    /// and nothing more for so long (processing time). `None`: it always waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_ms: Option<i64>,
    /// `errors.max-share`: so many of the last [`BAD_SHARE_ROWS`](crate::limits::BAD_SHARE_ROWS) rows of a partition may be
    /// bad; one more, and the job fails. A row that only a query's expression makes a bad row is not counted.
    #[serde(default = "bad_rows_max")]
    pub bad_rows_max: u32,
    /// Positions in the node's schema that are declared NOT NULL: a NULL there makes the row a bad row.
    pub not_null: Vec<usize>,
    /// What a replay of a part of history reads; everything otherwise. Lateness is judged first, by all rows of the
    /// partition; then on-time rows outside the range are dropped. Late rows stay: the time of `t$late` is the watermark.
    /// A source may skip rows that it knows to lie outside, if it knows their maximum event time too.
    pub reads: TimeRange,
}

fn open_max() -> u32 {
    crate::limits::PARTITIONS_OPEN
}

fn bad_rows_max() -> u32 {
    crate::limits::BAD_ROWS_MAX
}

/// Event times `[from_ms, to_ms)`, in epoch milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeRange {
    /// The first instant inside.
    pub from_ms: i64,
    /// The first instant behind.
    pub to_ms: i64,
}

impl TimeRange {
    /// All of time.
    pub const ALL: TimeRange = TimeRange { from_ms: i64::MIN, to_ms: i64::MAX };

    /// Whether the instant lies inside.
    pub const fn contains(self, time_ms: i64) -> bool {
        self.from_ms <= time_ms && time_ms < self.to_ms
    }
}

impl Default for TimeRange {
    fn default() -> Self {
        Self::ALL
    }
}

/// Filter, then projection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MapSpec {
    /// Rows for which this is not true are dropped.
    pub filter: Option<Expr>,
    /// One expression per output column; names and types are the node's schema.
    pub columns: Vec<Expr>,
    /// How errors name the query: `INSERT INTO alerts`.
    pub query: String,
}

/// How rows become windows `[start, end)`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum WindowKind {
    /// Back to back.
    Tumble {
        /// Size in milliseconds.
        size_ms: i64,
        /// Shift of the borders from the epoch.
        offset_ms: i64,
    },
    /// A window of `size` starts every `slide`.
    Hop {
        /// Slide in milliseconds.
        slide_ms: i64,
        /// Size in milliseconds.
        size_ms: i64,
        /// Shift of the borders from the epoch.
        offset_ms: i64,
    },
    /// From the first to the last row of a key that lie no further apart than `gap`, and `gap` longer.
    Session {
        /// Gap in milliseconds.
        gap_ms: i64,
    },
    /// Windows of `size` back to back, each shown while it grows: of its first `step`, of its first two, … of all of it.
    Cumulate {
        /// Step in milliseconds.
        step_ms: i64,
        /// Size of the whole window in milliseconds: a multiple of the step.
        size_ms: i64,
        /// Shift of the borders from the epoch.
        offset_ms: i64,
    },
    /// Any of these but sessions, by the calendar and the clocks of a time zone.
    Calendar(CalendarWindows),
}

impl WindowKind {
    /// Length of the longest window in milliseconds, of calendar windows a bound for it; without end for sessions.
    pub fn size_ms(&self) -> i64 {
        match self {
            Self::Tumble { size_ms, .. } | Self::Hop { size_ms, .. } | Self::Cumulate { size_ms, .. } => *size_ms,
            Self::Calendar(c) => c.size.elapsed_ms_max(),
            Self::Session { .. } => i64::MAX,
        }
    }
}

/// Keyed windowed aggregation. Output columns: the keys, `window_start, window_end, window_time`
/// (all `TIMESTAMP(3)`; `window_time` is `window_end − 1 ms`; of calendar windows start and end show local time), then one
/// column per aggregate. The event time of a result
/// is its `window_time`. It fires once, when the watermark reaches `window_end`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WindowSpec {
    /// The windows. The time of a row is its event time ([`crate::batch::Batch::times`]).
    pub window: WindowKind,
    /// Key columns of the input. Empty: one key.
    pub keys: Vec<usize>,
    /// The aggregates.
    pub aggregates: Vec<Aggregate>,
}

/// One aggregate over columns of the input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Aggregate {
    /// What is computed.
    pub function: AggregateFunction,
    /// Column of the argument; `None` for `COUNT(*)`.
    pub argument: Option<usize>,
    /// The other column: what ARG_MIN and ARG_MAX compare, what COVAR_POP pairs with, what LISTAGG goes by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<usize>,
    /// What stands between the texts of LISTAGG.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub separator: String,
    /// Over distinct argument values.
    pub distinct: bool,
    /// A BOOLEAN column: only rows where it is true count.
    pub filter: Option<usize>,
    /// The result's type (Flink's).
    pub returns: DataType,
    /// How errors name it: `SUM(amount)`.
    pub label: String,
}

impl Aggregate {
    /// The columns that it reads.
    pub fn columns(&self) -> impl Iterator<Item = usize> {
        [self.argument, self.by, self.filter].into_iter().flatten()
    }
}

/// Aggregate functions. NULL arguments are ignored, but for [`AggregateFunction::Lag`]; over no value: COUNT is 0, all
/// else NULL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum AggregateFunction {
    Count,
    Sum,
    Avg,
    Min,
    Max,
    /// Sample standard deviation (n − 1), NULL below two values.
    StddevSamp,
    /// Standard deviation of the population (n).
    StddevPop,
    /// Sample variance (n − 1), NULL below two values.
    VarSamp,
    /// Variance of the population (n).
    VarPop,
    /// Whether all are true.
    BoolAnd,
    /// Whether one is true.
    BoolOr,
    /// The first value in the order of rows.
    FirstValue,
    /// The last value.
    LastValue,
    /// The value of the row where another column is least; the first of such rows. Over windows only.
    ArgMin,
    /// The value of the row where another column is greatest; the first of such rows. Over windows only.
    ArgMax,
    /// The value at this share of the ordered values, interpolated between the two next to it.
    PercentileCont {
        /// The share, in millionths.
        millionths: u32,
    },
    /// The least value that this share of the values does not exceed, to within 1/256 of it. Over windows only.
    ApproxPercentile {
        /// The share, in millionths.
        millionths: u32,
    },
    /// How many distinct values, with a standard error of 1.6 %. Over windows only.
    ApproxCountDistinct,
    /// Covariance of the population (n) of the argument and another column, over rows where neither is NULL. Over windows
    /// only, as the next two.
    CovarPop,
    /// Sample covariance (n − 1), NULL below two rows.
    CovarSamp,
    /// Coefficient of correlation, NULL where one of the two does not vary.
    Corr,
    /// The texts one behind the other, ordered by another column if there is one, then in the order of rows. Over windows
    /// only.
    ListAgg {
        /// DESC.
        descending: bool,
        /// NULLS FIRST.
        nulls_first: bool,
    },
    /// The `n`-th value, from 1. Over frames only, as LAG.
    NthValue {
        /// Which.
        n: u32,
    },
    /// The argument, NULL or not, of the row `offset` places before the current one, if that lies in the frame.
    Lag {
        /// How far back.
        offset: u32,
    },
}

impl AggregateFunction {
    /// Whether it is a variance or a standard deviation: what needs a sum of squares.
    pub const fn is_dispersion(self) -> bool {
        matches!(self, Self::StddevSamp | Self::StddevPop | Self::VarSamp | Self::VarPop)
    }
    /// Whether it adds its arguments up.
    pub const fn adds(self) -> bool {
        matches!(self, Self::Sum | Self::Avg) || self.is_dispersion()
    }
    /// Whether it is a value at a place in the order of rows.
    pub const fn is_positional(self) -> bool {
        matches!(self, Self::FirstValue | Self::LastValue) || self.needs_frame()
    }
    /// Whether it exists over frames only.
    pub const fn needs_frame(self) -> bool {
        matches!(self, Self::NthValue { .. } | Self::Lag { .. })
    }
    /// Whether it compares another column.
    pub const fn compares(self) -> bool {
        matches!(self, Self::ArgMin | Self::ArgMax)
    }
    /// Whether it is of two columns of numbers.
    pub const fn pairs(self) -> bool {
        matches!(self, Self::CovarPop | Self::CovarSamp | Self::Corr)
    }
    /// Whether it reads another column: it must, it must not, or (`None`) it may.
    pub const fn reads_another(self) -> Option<bool> {
        match self {
            Self::ListAgg { .. } => None,
            f => Some(f.compares() || f.pairs()),
        }
    }
    /// Whether it depends on the order of rows.
    pub const fn is_ordered(self) -> bool {
        self.is_positional() || self.compares() || matches!(self, Self::ListAgg { .. })
    }
    /// Whether it takes DISTINCT.
    pub const fn takes_distinct(self) -> bool {
        use AggregateFunction::{ApproxCountDistinct, ApproxPercentile, PercentileCont};
        let by_share = matches!(self, PercentileCont { .. } | ApproxPercentile { .. } | ApproxCountDistinct);
        !self.is_ordered() && !self.pairs() && !by_share
    }
}

/// Keyed trailing frames. Output columns: those of the input, then one per call, in order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OverSpec {
    /// Key columns of the input (PARTITION BY). Empty: one key.
    pub keys: Vec<usize>,
    /// The different frames.
    pub frames: Vec<Frame>,
    /// The calls.
    pub calls: Vec<OverCall>,
    /// When rows are answered.
    pub emission: Emission,
    /// Positions of the pseudo-columns in the output, appended after the calls in this order, if the query asks for them.
    pub pseudo: Vec<PseudoColumn>,
}

/// `RANGE BETWEEN start PRECEDING AND end PRECEDING`, both edges included: rows of the key whose event time lies in
/// `[t − start, t − end]`. With `rows`, only those of them that stand in these places.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Frame {
    /// Milliseconds; never below `end_ms`.
    pub start_ms: i64,
    /// Milliseconds; 0 is CURRENT ROW (with its peers under `final`).
    pub end_ms: i64,
    /// `START OF DAY PRECEDING`: the frame begins with the period that holds the row; `start_ms` is then how long such a
    /// period lasts at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<StartOf>,
    /// `ROWS BETWEEN first PRECEDING AND last PRECEDING`; `start_ms` is then how long a row counts at most
    /// (`table.exec.state.ttl`), and `end_ms` is 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<RowsBetween>,
    /// `EXCLUDE CURRENT ROW`; only with `end_ms` of 0 and without `rows`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub without_current: bool,
    /// `EXCLUDE TIES`: the row itself beside a frame that ends before its peers; only with `end_ms` of 1.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub without_ties: bool,
}

/// Places before the current row, whose own is 0, in the order of rows: (event time, source, partition, offset); behind a
/// step that makes new rows, (event time, all columns).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RowsBetween {
    /// The furthest; never below `last`.
    pub first: u32,
    /// The nearest.
    pub last: u32,
}

impl Frame {
    /// `RANGE BETWEEN start PRECEDING AND end PRECEDING`, in milliseconds.
    pub const fn range(start_ms: i64, end_ms: i64) -> Self {
        Self { start_ms, end_ms, since: None, rows: None, without_current: false, without_ties: false }
    }
    /// `ROWS BETWEEN first PRECEDING AND last PRECEDING` of rows no older than `ttl_ms`.
    pub fn rows(first: u32, last: u32, ttl_ms: i64) -> Self {
        Self { rows: Some(RowsBetween { first, last }), ..Self::range(ttl_ms, 0) }
    }
    /// The frame, begun with a period that is nowhere longer than `start_ms`.
    pub fn since(mut self, start: StartOf) -> Self {
        self.since = Some(start);
        self
    }
    /// The frame with `EXCLUDE CURRENT ROW`.
    pub fn without_current(mut self) -> Self {
        self.without_current = true;
        self
    }
    /// The frame of so many milliseconds with `EXCLUDE TIES`.
    pub fn without_ties(start_ms: i64) -> Self {
        let mut frame = Self::range(if start_ms > 1 { start_ms } else { 1 }, 1);
        frame.without_ties = true;
        frame
    }
}

impl WindowSpec {
    /// Whether a result depends on the order of rows.
    pub fn is_ordered(&self) -> bool {
        self.aggregates.iter().any(|a| a.function.is_ordered())
    }
}

impl OverSpec {
    /// Whether a result depends on the order of rows of equal event time.
    pub fn is_ordered(&self) -> bool {
        self.calls.iter().any(|c| c.aggregate.function.is_positional())
            || self.frames.iter().any(|f| f.rows.is_some() || f.without_current || f.without_ties)
    }
}

/// One aggregate over one frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OverCall {
    /// Position in [`OverSpec::frames`].
    pub frame: usize,
    /// The aggregate.
    pub aggregate: Aggregate,
}

/// The first rows of each key and event time. Output columns: those of the input, then the row's number, a BIGINT from 1.
/// Rows of one window have one event time, so keys that hold the window's columns make it a top-N of windows. It fires
/// once, when the watermark has passed the event time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TopNSpec {
    /// Key columns of the input (PARTITION BY).
    pub keys: Vec<usize>,
    /// What decides which rows are first; equal ones stand in the order of rows.
    pub order: Vec<OrderBy>,
    /// How many rows of a key come out at most; above 0.
    pub limit: u64,
}

/// One column of ORDER BY.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderBy {
    /// Column of the input.
    pub column: usize,
    /// DESC.
    pub descending: bool,
    /// NULLS FIRST.
    pub nulls_first: bool,
}

/// When a row is answered: the sink option `'emit'`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Emission {
    /// Once, when the watermark passes its event time, in event-time order.
    Final,
    /// When it arrives, in the order (cut, source, partition, offset).
    Arrival {
        /// `arrival.late-horizon`: late rows back to this far behind the watermark are answered and enter the log.
        late_horizon_ms: i64,
    },
}

/// Pseudo-columns of `arrival`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PseudoColumn {
    /// `is_late`: the row came behind its partition's watermark.
    IsLate,
    /// `is_incomplete`: it came behind the late horizon too; its features are NULL.
    IsIncomplete,
}

/// An output table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SinkSpec {
    /// The table's name.
    pub table: String,
    /// `print`, `blackhole`, `filesystem`, …
    pub connector: String,
    /// The connector's options, without `connector` and `emit`.
    pub options: BTreeMap<String, String>,
    /// When its rows are answered.
    pub arrival: bool,
}

/// Settings of a run that may change results only where the semantics say so (`arrival_quantum_ms`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunOptions {
    /// Worker threads.
    pub workers: usize,
    /// Rows per batch that sources aim for.
    pub batch_rows: usize,
    /// Δ of the content-defined cuts of a bounded `arrival` job.
    pub arrival_quantum_ms: i64,
    /// Rows of an epoch before it is cut, per worker; tests force 1, 1,000 and everything.
    pub epoch_rows: usize,
    /// Age of an epoch before it is cut, in milliseconds.
    pub epoch_age_ms: u64,
    /// How fast event time passes at most; `None`: as fast as it goes. Changes no result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speed: Option<Speed>,
}

/// How fast event time passes at most in a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Speed {
    /// What lies before is read as fast as it goes.
    pub from_ms: i64,
    /// Milliseconds of event time in a second.
    pub ms_per_s: u64,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            workers: 1,
            batch_rows: 8192,
            arrival_quantum_ms: 1000,
            epoch_rows: 32 * 1024,
            epoch_age_ms: 5,
            speed: None,
        }
    }
}
