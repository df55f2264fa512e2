//! Counters and histograms, written by workers and read by anyone without stopping work.
//!
//! Every (node, worker) has one [`OperatorMetrics`], written by that worker alone: relaxed atomics, once per batch, never
//! per row. [`JobMetrics::view`] reads them at any time into plain data. A view is not a consistent cut: its counters may
//! be a batch apart. It is exact once the job has ended.

mod histogram;

pub use histogram::Quantiles;

use crate::operator::Output;
use crate::time::Watermark;
use histogram::Recorder;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// What one worker does at one node.
#[derive(Debug)]
pub struct OperatorMetrics {
    rows_in: AtomicU64,
    rows_out: AtomicU64,
    batches: AtomicU64,
    bytes: AtomicU64,
    busy_ns: AtomicU64,
    late: AtomicU64,
    refused: AtomicU64,
    errors: AtomicU64,
    state_bytes: AtomicU64,
    event_time_ms: AtomicI64,
    watermark_ms: AtomicI64,
    batch_busy_ns: Recorder,
}

impl Default for OperatorMetrics {
    fn default() -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            rows_in: zero(),
            rows_out: zero(),
            batches: zero(),
            bytes: zero(),
            busy_ns: zero(),
            late: zero(),
            refused: zero(),
            errors: zero(),
            state_bytes: zero(),
            event_time_ms: AtomicI64::new(i64::MIN),
            watermark_ms: AtomicI64::new(Watermark::START.ms()),
            batch_busy_ns: Recorder::default(),
        }
    }
}

impl OperatorMetrics {
    /// A call of the operator: it took a batch of `rows_in` rows, or with 0 a watermark, put its results in `out` and
    /// worked for `busy`.
    pub fn record_call(&self, rows_in: usize, out: &Output, busy: Duration) {
        let ns = u64::try_from(busy.as_nanos()).unwrap_or(u64::MAX);
        if rows_in > 0 {
            self.rows_in.fetch_add(rows_in as u64, Relaxed);
            self.batches.fetch_add(1, Relaxed);
            self.batch_busy_ns.record(ns, 1);
        }
        self.busy_ns.fetch_add(ns, Relaxed);
        self.rows_out.fetch_add(out.rows, Relaxed);
        self.refused.fetch_add(out.refused, Relaxed);
        self.errors.fetch_add(out.bad.len() as u64, Relaxed);
    }
    /// A node that is no operator (a source, a union, a sink) passed a batch on.
    pub fn record_rows(&self, rows: usize) {
        self.rows_in.fetch_add(rows as u64, Relaxed);
        self.rows_out.fetch_add(rows as u64, Relaxed);
        self.batches.fetch_add(1, Relaxed);
    }
    /// A source read and decoded for so long, or a sink wrote a batch.
    pub fn record_busy(&self, busy: Duration) {
        let ns = u64::try_from(busy.as_nanos()).unwrap_or(u64::MAX);
        self.busy_ns.fetch_add(ns, Relaxed);
        self.batch_busy_ns.record(ns, 1);
    }
    /// Bad rows were found at a source, or a sink could not write.
    pub fn record_errors(&self, errors: u64) {
        self.errors.fetch_add(errors, Relaxed);
    }
    /// The watermark (exclusive) that the operator has been told, and the state it holds since.
    pub fn note_state(&self, watermark_ms: i64, bytes: usize) {
        self.watermark_ms.fetch_max(watermark_ms, Relaxed);
        self.state_bytes.store(bytes as u64, Relaxed);
    }
    /// Bytes of input were consumed, or of output written.
    pub fn record_bytes(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Relaxed);
    }
    /// The largest event time of a batch.
    pub fn record_event_time(&self, time_ms: i64) {
        self.event_time_ms.fetch_max(time_ms, Relaxed);
    }
    /// The event times of a batch, of which the first and the last are looked at: no work is done per row.
    pub fn sample_event_times(&self, times: &[i64]) {
        if let (Some(first), Some(last)) = (times.first(), times.last()) {
            self.record_event_time(*first.max(last));
        }
    }
    /// Rows were found late, at their source.
    pub fn record_late(&self, rows: u64) {
        self.late.fetch_add(rows, Relaxed);
    }
}

/// The metrics of a running job.
#[derive(Debug)]
pub struct JobMetrics {
    nodes: Vec<NodeMetrics>,
}

#[derive(Debug)]
struct NodeMetrics {
    name: String,
    inputs: Vec<usize>,
    workers: Vec<Arc<OperatorMetrics>>,
}

impl JobMetrics {
    /// For these nodes with their inputs, in the graph's order, on so many workers.
    pub fn new<N: Into<String>>(nodes: impl IntoIterator<Item = (N, Vec<usize>)>, workers: usize) -> Self {
        let of = |(name, inputs): (N, Vec<usize>)| NodeMetrics {
            name: name.into(),
            inputs,
            workers: (0..workers).map(|_| Arc::default()).collect(),
        };
        Self { nodes: nodes.into_iter().map(of).collect() }
    }

    /// What `worker` writes at node number `node`.
    ///
    /// # Panics
    /// If there is no such node or worker.
    pub fn operator(&self, node: usize, worker: usize) -> Arc<OperatorMetrics> {
        self.nodes[node].workers[worker].clone()
    }

    /// All metrics as they stand now.
    pub fn view(&self) -> JobView {
        let mut operators: Vec<OperatorView> = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let mut view = OperatorView::of(&node.name, &node.workers);
            // A step without state, or a sink, is told of no watermark: its own is the least of its inputs'.
            if view.watermark_ms.is_none() && !node.inputs.is_empty() {
                let inputs = node.inputs.iter().map(|&i| operators[i].watermark_ms);
                view.watermark_ms = inputs.min().flatten();
            }
            operators.push(view);
        }
        JobView { operators }
    }
}

/// The metrics of a job at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobView {
    /// One per node, in the graph's order.
    pub operators: Vec<OperatorView>,
}

/// One node, its workers together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorView {
    /// The node's name.
    pub name: String,
    /// Sums over the workers.
    pub total: Counts,
    /// Each worker's share.
    pub workers: Vec<Counts>,
    /// The largest event time seen by any worker, exact at a source, elsewhere of the first and last rows of batches; `None`
    /// before the first row.
    pub event_time_ms: Option<i64>,
    /// The least of the workers' watermarks (exclusive); `None` while one has none, `i64::MAX` at the end. Of a step that keeps
    /// no state: the least of its inputs'.
    pub watermark_ms: Option<i64>,
    /// Time spent on a batch, nanoseconds.
    pub batch_busy_ns: Quantiles,
}

/// Counters of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Rows taken, or decoded by a source.
    pub rows_in: u64,
    /// Rows emitted, or written by a sink.
    pub rows_out: u64,
    /// Batches taken.
    pub batches: u64,
    /// Bytes read or written.
    pub bytes: u64,
    /// Time spent working, nanoseconds; of a source reading and decoding, of a sink taking rows.
    pub busy_ns: u64,
    /// Rows that came behind their partition's watermark.
    pub late: u64,
    /// Late rows that the operator did not accept.
    pub refused: u64,
    /// Bad rows of a table, and those that an expression of the step has made; failures of a sink.
    pub errors: u64,
    /// Bytes of state held.
    pub state_bytes: u64,
}

impl Counts {
    fn of(m: &OperatorMetrics) -> Counts {
        let get = |a: &AtomicU64| a.load(Relaxed);
        Counts {
            rows_in: get(&m.rows_in),
            rows_out: get(&m.rows_out),
            batches: get(&m.batches),
            bytes: get(&m.bytes),
            busy_ns: get(&m.busy_ns),
            late: get(&m.late),
            refused: get(&m.refused),
            errors: get(&m.errors),
            state_bytes: get(&m.state_bytes),
        }
    }
    fn add(self, o: Counts) -> Counts {
        Counts {
            rows_in: self.rows_in + o.rows_in,
            rows_out: self.rows_out + o.rows_out,
            batches: self.batches + o.batches,
            bytes: self.bytes + o.bytes,
            busy_ns: self.busy_ns + o.busy_ns,
            late: self.late + o.late,
            refused: self.refused + o.refused,
            errors: self.errors + o.errors,
            state_bytes: self.state_bytes + o.state_bytes,
        }
    }
}

impl OperatorView {
    fn of(name: &str, metrics: &[Arc<OperatorMetrics>]) -> OperatorView {
        let workers: Vec<Counts> = metrics.iter().map(|m| Counts::of(m)).collect();
        let known = |ms: Option<i64>| ms.filter(|ms| *ms != i64::MIN);
        OperatorView {
            name: name.into(),
            total: workers.iter().copied().fold(Counts::default(), Counts::add),
            workers,
            event_time_ms: known(metrics.iter().map(|m| m.event_time_ms.load(Relaxed)).max()),
            watermark_ms: known(metrics.iter().map(|m| m.watermark_ms.load(Relaxed)).min()),
            batch_busy_ns: Quantiles::of(metrics.iter().map(|m| &m.batch_busy_ns)),
        }
    }

    /// How far the watermark is behind the largest event time, milliseconds; `None` before the first, 0 at the end.
    pub fn watermark_lag_ms(&self) -> Option<i64> {
        Some(self.event_time_ms?.saturating_sub(self.watermark_ms?).max(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_sums_workers_and_takes_the_least_watermark() {
        let job = JobMetrics::new([("payments", vec![]), ("sums", vec![0]), ("out", vec![1])], 2);
        let (a, b) = (job.operator(1, 0), job.operator(1, 1));
        let out = Output { refused: 3, ..Output::default() };
        a.record_call(100, &out, Duration::from_micros(7));
        b.record_call(50, &Output::default(), Duration::from_micros(9));
        a.record_call(0, &Output::default(), Duration::from_micros(1));
        a.record_event_time(9_000);
        b.record_event_time(8_000);
        assert_eq!(job.view().operators[1].watermark_ms, None);
        a.note_state(4_000, 10);
        assert_eq!(job.view().operators[1].watermark_ms, None, "worker 1 promised nothing yet");
        assert_eq!(job.view().operators[2].watermark_ms, None);
        b.note_state(3_500, 5);
        let view = &job.view().operators[1];
        assert_eq!((view.total.rows_in, view.total.batches, view.total.refused), (150, 2, 3));
        assert_eq!((view.total.busy_ns, view.total.state_bytes), (17_000, 15));
        assert_eq!((view.workers[0].rows_in, view.workers[1].rows_in), (100, 50));
        assert_eq!((view.event_time_ms, view.watermark_ms), (Some(9_000), Some(3_500)));
        assert_eq!(view.watermark_lag_ms(), Some(5_500));
        assert_eq!(job.view().operators[2].watermark_ms, Some(3_500), "a sink has that of its input");
        assert_eq!((view.batch_busy_ns.count, view.batch_busy_ns.max), (2, 9_000));
        a.note_state(i64::MAX, 0);
        b.note_state(i64::MAX, 0);
        assert_eq!(job.view().operators[1].watermark_lag_ms(), Some(0));
        assert_eq!(job.view().operators[0].total, Counts::default());
    }
}
