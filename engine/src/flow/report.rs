//! What a run came to.

use crate::digest::{Buckets, Digest};
use crate::operator::BadRow;
use arrow::array::RecordBatch;
use hdrhistogram::Histogram;
use std::time::Duration;

/// The outcome of a run that ended well.
#[derive(Clone, Debug)]
pub struct Report {
    /// From the first read to the last commit.
    pub elapsed: Duration,
    /// One per source table, in the graph's order.
    pub sources: Vec<SourceReport>,
    /// One per sink node, in the graph's order. Several nodes may write one table.
    pub sinks: Vec<SinkReport>,
    /// From row decoded to result handed to the sink, in microseconds, one count a result row; for a window the rows of the
    /// epoch that completed it count. `None` if the run went as fast as it could: then it says nothing.
    pub latency_us: Option<Histogram<u64>>,
    /// What keeping state cost, if the job kept it.
    pub checkpoints: Option<CheckpointReport>,
    /// What each operator did.
    pub operators: crate::metrics::JobView,
    /// The checkpoint that the run went on from, if it did.
    pub resumed: Option<Resumed>,
}

/// What a run of a job with state found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resumed {
    /// The checkpoint.
    pub checkpoint: u64,
    /// Rows of all sources that were read up to it; they are counted in [`SourceReport::rows`].
    pub rows: u64,
    /// The job had ended: nothing was read.
    pub finished: bool,
}

/// What keeping state cost an attempt.
#[derive(Clone, Debug)]
pub struct CheckpointReport {
    /// Checkpoints made durable.
    pub taken: u64,
    /// Bytes of state of the largest one.
    pub state_bytes_max: u64,
    /// How long a step on a worker stood still to hand over its state, in microseconds, one count a step and checkpoint.
    pub pause_us: Histogram<u64>,
}

/// The longest time that is told from longer ones: an hour.
const MICROSECONDS_MAX: u64 = 3_600_000_000;

/// A histogram of microseconds. One that grows by itself would take every long time for its first bound when told to
/// saturate, so this has all its room from the beginning (180 KB).
pub(super) fn microseconds() -> Histogram<u64> {
    Histogram::new_with_max(MICROSECONDS_MAX, 3).expect("three significant digits up to an hour make a histogram")
}

/// What was read of a table.
#[derive(Clone, Debug)]
pub struct SourceReport {
    /// The table.
    pub table: String,
    /// Rows read, late and bad ones included.
    pub rows: u64,
    /// Bytes read, where the source counts them.
    pub bytes: u64,
    /// Late rows: rows of `t$late`.
    pub late: u64,
    /// Bad rows: rows of `t$errors`.
    pub errors: u64,
    /// If the job does not read `t$late`: the first late rows, at most [`crate::limits::UNROUTED_ROWS_KEPT_MAX`].
    pub unrouted_late: Vec<RecordBatch>,
    /// If the job does not read `t$errors`: the first bad rows, each with its partition's name, likewise limited.
    pub unrouted_errors: Vec<(String, BadRow)>,
}

/// What was written by a sink node.
#[derive(Clone, Debug)]
pub struct SinkReport {
    /// The table.
    pub table: String,
    /// The node that wrote it.
    pub node: String,
    /// Rows written.
    pub rows: u64,
    /// Digest of the rows.
    pub digest: Digest,
    /// Digest per event-time bucket.
    pub buckets: Buckets,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_any_length_is_told_as_it_was() {
        for us in [1, 2_047, 2_048, 40_000, 5_000_000, MICROSECONDS_MAX] {
            let mut times = microseconds();
            times.saturating_record(us);
            let told = times.value_at_quantile(0.99);
            assert!(told.abs_diff(us) <= us / 1_000 + 1, "{told} of {us}");
        }
        let mut times = microseconds();
        times.saturating_record(u64::MAX);
        assert!(times.value_at_quantile(0.99) >= MICROSECONDS_MAX);
    }
}
