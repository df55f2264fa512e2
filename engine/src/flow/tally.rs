//! What the workers count, table by table and sink by sink.

use super::checkpoint::ReadTally;
use super::intake::Tagged;
use super::outlet::Outlet;
use super::report::{CheckpointReport, microseconds};
use super::shape::Shape;
use crate::digest::DigestBuilder;
use crate::graph::{JobGraph, Step};
use crate::limits::UNROUTED_ROWS_KEPT_MAX;
use crate::operator::BadRow;
use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use hdrhistogram::Histogram;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

/// What the workers count, table by table and sink by sink.
#[derive(Clone)]
pub(super) struct Tally {
    tables: Arc<[TableTally]>,
    outlets: Arc<Mutex<OutletTally>>,
    /// The highest epoch any worker has reached.
    pub(super) epoch: Arc<AtomicU64>,
    /// Whether a source ever had to wait for its input: then latency means something.
    pub(super) paced: Arc<AtomicBool>,
    checkpoints: Arc<Mutex<Option<CheckpointReport>>>,
}

struct TableTally {
    rows: AtomicU64,
    bytes: AtomicU64,
    late: AtomicU64,
    errors: AtomicU64,
    late_routed: bool,
    errors_routed: bool,
    kept: Mutex<Kept>,
}

/// What was counted before the attempt began.
pub(super) struct Base {
    /// By table, errors last.
    pub(super) tables: Vec<(ReadTally, u64)>,
    /// By sink.
    pub(super) digests: Vec<DigestBuilder>,
    pub(super) epoch: u64,
}

/// Rows that no query reads, for the final report.
#[derive(Default)]
struct Kept {
    late: Vec<RecordBatch>,
    late_rows: usize,
    bad: Vec<BadRow>,
}

#[derive(Default)]
struct OutletTally {
    digests: Vec<DigestBuilder>,
    latency_us: Option<Histogram<u64>>,
}

impl Tally {
    /// Nothing is counted yet, but for what a restored checkpoint `base` had counted.
    pub(super) fn new(graph: &JobGraph, shape: &Shape, base: &Base) -> Self {
        let routed = |source: usize, what: fn(&Step) -> bool| {
            graph.nodes.iter().any(|n| what(&n.step) && n.inputs.iter().any(|&i| shape.source[i] == Some(source)))
        };
        let table = |(i, (read, errors)): (usize, &(ReadTally, u64))| TableTally {
            rows: read.rows.into(),
            bytes: read.bytes.into(),
            late: read.late.into(),
            errors: (*errors).into(),
            late_routed: routed(i, |s| matches!(s, Step::Late)),
            errors_routed: routed(i, |s| matches!(s, Step::Errors)),
            kept: Mutex::default(),
        };
        Self {
            tables: base.tables.iter().enumerate().map(table).collect(),
            outlets: Arc::new(Mutex::new(OutletTally { digests: base.digests.clone(), latency_us: None })),
            epoch: Arc::new(AtomicU64::new(base.epoch)),
            paced: Arc::default(),
            checkpoints: Arc::default(),
        }
    }
    /// Changes what is known of the attempt's checkpoints.
    pub(super) fn note_checkpoint(&self, change: impl FnOnce(&mut CheckpointReport)) {
        let mut report = self.checkpoints.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || CheckpointReport { taken: 0, state_bytes_max: 0, pause_us: microseconds() };
        change(report.get_or_insert_with(new));
    }
    /// What is known of the attempt's checkpoints.
    pub(super) fn checkpoints(&self) -> Option<CheckpointReport> {
        self.checkpoints.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
    /// What has been counted of a table, errors last.
    pub(super) fn table(&self, source: usize) -> (ReadTally, u64) {
        let t = &self.tables[source];
        let read = ReadTally { rows: t.rows.load(Relaxed), bytes: t.bytes.load(Relaxed), late: t.late.load(Relaxed) };
        (read, t.errors.load(Relaxed))
    }
    /// The first late and the first bad rows that no query reads.
    pub(super) fn kept(&self, source: usize) -> (Vec<RecordBatch>, Vec<BadRow>) {
        let kept = self.tables[source].kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bad = kept.bad.clone();
        bad.sort_by_key(|b| (b.partition, b.offset));
        (kept.late.clone(), bad)
    }
    /// All rows of a sink.
    pub(super) fn digest(&self, sink: usize) -> DigestBuilder {
        self.outlets.lock().unwrap_or_else(PoisonError::into_inner).digests[sink].clone()
    }
    /// Latencies, if the input was ever waited for.
    pub(super) fn latency_us(&self) -> Option<Histogram<u64>> {
        let outlets = self.outlets.lock().unwrap_or_else(PoisonError::into_inner);
        self.paced.load(Relaxed).then(|| outlets.latency_us.clone()).flatten()
    }
    pub(super) fn note_read(&self, source: usize, t: &Tagged) {
        let table = &self.tables[source];
        table.rows.fetch_add(t.rows, Relaxed);
        table.bytes.fetch_add(t.bytes, Relaxed);
        table.late.fetch_add(t.late, Relaxed);
        if t.late == 0 || table.late_routed {
            return;
        }
        let mut kept = table.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let room = UNROUTED_ROWS_KEPT_MAX.saturating_sub(kept.late_rows);
        let mask: BooleanArray = (0..t.batch.rows()).map(|i| Some(t.batch.tag(i).is_some())).collect();
        if let (1.., Ok(late)) = (room, filter_record_batch(t.batch.columns(), &mask)) {
            let late = late.slice(0, late.num_rows().min(room));
            kept.late_rows += late.num_rows();
            kept.late.push(late);
        }
    }
    pub(super) fn note_bad(&self, rows: Vec<BadRow>) {
        for row in rows {
            let table = &self.tables[row.source as usize];
            table.errors.fetch_add(1, Relaxed);
            if !table.errors_routed {
                let mut kept = table.kept.lock().unwrap_or_else(PoisonError::into_inner);
                if kept.bad.len() < UNROUTED_ROWS_KEPT_MAX {
                    kept.bad.push(row);
                }
            }
        }
    }
    /// Takes over what one worker's outlet of a sink has seen.
    pub(super) fn note_outlet(&self, sink: usize, outlet: &Outlet) {
        let mut all = self.outlets.lock().unwrap_or_else(PoisonError::into_inner);
        all.digests[sink].merge(&outlet.digest);
        match &mut all.latency_us {
            Some(h) => {
                // Both are of `microseconds`: equal bounds.
                let _ = h.add(&outlet.latency_us);
            }
            None => all.latency_us = Some(outlet.latency_us.clone()),
        }
    }
}
