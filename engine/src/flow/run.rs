//! One attempt of a job, from a graph to a report.

use super::build::{Plan, Shape};
use super::control::Control;
use super::intake::{Intake, Tagged};
use super::outlet::{EpochClock, Outlet};
use super::report::{Report, SinkReport, SourceReport};
use super::worker::work;
use crate::digest::DigestBuilder;
use crate::error::{BuildError, JobError};
use crate::graph::{JobGraph, RunOptions, Step};
use crate::limits::{UNROUTED_ROWS_KEPT_MAX, WORKERS_MAX};
use crate::metrics::JobMetrics;
use crate::operator::BadRow;
use crate::parts::Parts;
use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use hdrhistogram::Histogram;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Runs a job to its end: bounded input is read out, or `control` stops it.
///
/// # Errors
/// The first failure of any worker; then no sink shows anything that it had only staged.
pub fn run(
    graph: &JobGraph,
    parts: Arc<dyn Parts>,
    options: &RunOptions,
    control: &Control,
) -> Result<Report, JobError> {
    let started = Instant::now();
    let plan = Arc::new(plan(graph, parts, options, control)?);
    tracing::info!(job = graph.name, steps = graph.nodes.len(), workers = options.workers, "job starts");
    let outcome = attempt(&plan);
    let failure = control.take_failure().or(outcome.err());
    if let Some(error) = failure {
        plan.sinks.iter().for_each(|(_, table)| table.abort());
        return Err(error);
    }
    for (id, table) in &plan.sinks {
        if let Err(error) = table.commit() {
            plan.sinks.iter().for_each(|(_, table)| table.abort());
            return Err(JobError::Sink { table: sink_table(graph, *id), error });
        }
    }
    tracing::info!(job = graph.name, elapsed_ms = started.elapsed().as_millis(), "job ends");
    Ok(report(&plan, started.elapsed()))
}

fn sink_table(graph: &JobGraph, id: usize) -> String {
    match &graph.nodes[id].step {
        Step::Sink(spec) => spec.table.clone(),
        _ => graph.nodes[id].name.clone(),
    }
}

fn plan(graph: &JobGraph, parts: Arc<dyn Parts>, options: &RunOptions, control: &Control) -> Result<Plan, JobError> {
    if options.workers == 0 || options.workers > WORKERS_MAX {
        return Err(BuildError::new(format!("{} workers: from 1 to {WORKERS_MAX}", options.workers)).into());
    }
    graph.validate()?;
    let shape = Shape::of(graph);
    let mut intakes = Vec::new();
    for (id, node) in graph.nodes.iter().enumerate() {
        if let Step::Source(spec) = &node.step {
            let intake =
                Intake::open(intakes.len() as u32, spec, &node.schema, shape.arrival[id], parts.as_ref(), options)?;
            intakes.push(Arc::new(intake));
        }
    }
    let mut sinks = Vec::new();
    for (id, node) in graph.nodes.iter().enumerate() {
        if let Step::Sink(spec) = &node.step {
            sinks.push((id, parts.sink(spec, &node.schema)?));
        }
    }
    let metrics = JobMetrics::new(graph.nodes.iter().map(|n| n.name.clone()), options.workers);
    let tally = Tally::new(graph, &shape, intakes.len(), sinks.len());
    let (graph, options, control) = (graph.clone(), options.clone(), control.clone());
    Ok(Plan { graph, parts, options, control, metrics, intakes, sinks, shape, clock: EpochClock::default(), tally })
}

/// Starts the workers and waits for all of them.
fn attempt(plan: &Arc<Plan>) -> Result<(), JobError> {
    let config = match plan.options.workers {
        1 => timely::Config::thread(),
        n => timely::Config::process(n),
    };
    let shared = plan.clone();
    let guards = timely::execute(config, move |worker| {
        let outcome = catch_unwind(AssertUnwindSafe(|| work(worker, &shared)));
        if let Err(panic) = outcome {
            let text = panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
            let message = text.unwrap_or_else(|| "no message".to_owned());
            shared.control.fail(JobError::Panic { worker: worker.index(), message });
            worker.installed_dataflows().into_iter().for_each(|d| worker.drop_dataflow(d));
        }
    })
    .map_err(|e| BuildError::new(format!("the workers could not be started: {e}")))?;
    for (worker, outcome) in guards.join().into_iter().enumerate() {
        if let Err(message) = outcome {
            plan.control.fail(JobError::Panic { worker, message });
        }
    }
    Ok(())
}

fn report(plan: &Plan, elapsed: Duration) -> Report {
    let tables = plan.tally.tables.iter().zip(&plan.intakes).map(|(t, intake)| {
        let kept = t.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let names = intake.source.partitions();
        let name = |b: &BadRow| names.get(b.partition as usize).map_or_else(String::new, |p| p.name.clone());
        let mut bad = kept.bad.clone();
        bad.sort_by_key(|b| (b.partition, b.offset));
        SourceReport {
            table: intake.spec.table.clone(),
            rows: t.rows.load(Relaxed),
            bytes: t.bytes.load(Relaxed),
            late: t.late.load(Relaxed),
            errors: t.errors.load(Relaxed),
            unrouted_late: kept.late.clone(),
            unrouted_errors: bad.into_iter().map(|b| (name(&b), b)).collect(),
        }
    });
    let outlets = plan.tally.outlets.lock().unwrap_or_else(PoisonError::into_inner);
    let sinks = plan.sinks.iter().enumerate().map(|(i, (id, _))| SinkReport {
        table: sink_table(&plan.graph, *id),
        node: plan.graph.nodes[*id].name.clone(),
        rows: u64::try_from(outlets.digests[i].rows()).unwrap_or(0),
        digest: outlets.digests[i].digest(),
        buckets: outlets.digests[i].buckets(),
    });
    Report {
        elapsed,
        sources: tables.collect(),
        sinks: sinks.collect(),
        latency_us: plan.tally.paced.load(Relaxed).then(|| outlets.latency_us.clone()).flatten(),
        operators: plan.metrics.view(),
    }
}

/// What the workers count, table by table and sink by sink.
#[derive(Clone)]
pub(super) struct Tally {
    tables: Arc<[TableTally]>,
    outlets: Arc<Mutex<OutletTally>>,
    /// The highest epoch any worker has reached.
    pub(super) epoch: Arc<AtomicU64>,
    /// Whether a source ever had to wait for its input: then latency means something.
    pub(super) paced: Arc<AtomicBool>,
}

#[derive(Default)]
struct TableTally {
    rows: AtomicU64,
    bytes: AtomicU64,
    late: AtomicU64,
    errors: AtomicU64,
    late_routed: bool,
    errors_routed: bool,
    kept: Mutex<Kept>,
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
    fn new(graph: &JobGraph, shape: &Shape, tables: usize, sinks: usize) -> Self {
        let routed = |source: usize, what: fn(&Step) -> bool| {
            graph.nodes.iter().any(|n| what(&n.step) && n.inputs.iter().any(|&i| shape.source[i] == Some(source)))
        };
        let table = |i| TableTally {
            late_routed: routed(i, |s| matches!(s, Step::Late)),
            errors_routed: routed(i, |s| matches!(s, Step::Errors)),
            ..TableTally::default()
        };
        let digests = (0..sinks).map(|_| DigestBuilder::new()).collect();
        Self {
            tables: (0..tables).map(table).collect(),
            outlets: Arc::new(Mutex::new(OutletTally { digests, ..OutletTally::default() })),
            epoch: Arc::default(),
            paced: Arc::default(),
        }
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
                // Equal bounds: both are made with three significant digits and resize themselves.
                let _ = h.add(&outlet.latency_us);
            }
            None => all.latency_us = Some(outlet.latency_us.clone()),
        }
    }
}
