//! A job from a graph to a report, in one attempt.

use super::attempts::{
    Keep,
    reach::{self, Reach},
};
use super::build::Plan;
use super::checkpoint::evolution;
use super::checkpoint::{Barriers, Event, Keeper, Restored};
use super::control::Control;
use super::intake::Intake;
use super::outlet::{End, EpochClock};
use super::pace::Pace;
use super::report::{Report, Resumed, SinkReport, SourceReport};
use super::shape::Shape;
use super::tally::Tally;
use super::turns::Who;
use super::worker::work;
use crate::checkpoint::Ledger;
use crate::error::{BuildError, JobError};
use crate::fail;
use crate::graph::{JobGraph, RunOptions, Step};
use crate::limits::WORKERS_MAX;
use crate::metrics::JobMetrics;
use crate::operator::BadRow;
use crate::parts::Parts;
use crate::sink::{Publisher, Roll};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

/// Runs a job that keeps nothing to its end: bounded input is read out, or `control` stops it.
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
    let mut plan = plan(graph, parts, options, control, Restored::default())?;
    for (id, node) in graph.nodes.iter().enumerate() {
        if let Step::Sink(spec) = &node.step {
            plan.sinks.push((id, End::Table(plan.parts.sink(spec, &node.schema)?)));
        }
    }
    let plan = Arc::new(plan);
    tracing::info!(job = graph.name, steps = graph.nodes.len(), workers = options.workers, "job starts");
    let outcome = attempt(&plan);
    let ends = plan.sinks.iter().map(|(_, end)| end).enumerate();
    let tables =
        || ends.clone().filter_map(|(i, end)| if let End::Table(table) = end { Some((i, table)) } else { None });
    let failure = control.take_failure().or(outcome.err());
    if let Some(error) = failure {
        tables().for_each(|(_, table)| table.abort());
        return Err(error);
    }
    for (sink, table) in tables() {
        if let Err(error) = table.commit() {
            tables().for_each(|(_, table)| table.abort());
            return Err(JobError::Sink { table: plan.sink_table(sink).to_owned(), error });
        }
    }
    tracing::info!(job = graph.name, elapsed_ms = started.elapsed().as_millis(), "job ends");
    Ok(report(&plan, started.elapsed()))
}

/// One attempt of a job that keeps state, from the ledger's newest checkpoint. `thorough`: what sinks owe is looked at first.
/// How far it has read is noted in `reach`.
pub(super) fn kept_attempt(
    graph: &JobGraph,
    parts: &Arc<dyn Parts>,
    options: &RunOptions,
    control: &Control,
    keep: &Keep,
    (ledger, thorough): (Ledger, bool),
    reach: &mut Reach,
) -> Result<Report, JobError> {
    let started = Instant::now();
    fail::point("start.opened");
    if let Some(newest) = ledger.newest() {
        evolution::decide(&evolution::compare(newest, graph), newest.checkpoint, keep.allow)?;
        evolution::settings(newest, graph, options)?;
    }
    let restored = Restored::find(&ledger, graph, thorough)?;
    fail::point("start.restored");
    let (epoch, number) = (restored.epoch(), restored.newest().map_or(0, |m| m.checkpoint));
    let finished = restored.newest().is_some_and(|m| m.finished) && !restored.repeats();
    let known: Vec<String> =
        restored.newest().map_or_else(Vec::new, |m| m.sinks.iter().map(|s| s.table.clone()).collect());
    let mut plan = plan(graph, parts.clone(), options, control, restored)?;
    let mut publishers: Vec<Box<dyn Publisher>> = Vec::new();
    for (id, node) in graph.nodes.iter().enumerate() {
        if let Step::Sink(spec) = &node.step {
            let publisher = plan.parts.publisher(spec, &node.schema, known.contains(&spec.table))?;
            plan.sinks.push((id, if publisher.roll() == Roll::Never { End::Nowhere } else { End::Outbox }));
            publishers.push(publisher);
        }
    }
    let (events, heard) = channel();
    plan.barriers = Arc::new(Barriers::new(events.clone(), keep.every, (number, epoch), options.workers));
    let plan = Arc::new(plan);
    let keeper = Keeper::start(ledger, &plan, publishers)?;
    if finished {
        return Ok(report(&plan, started.elapsed()));
    }
    tracing::info!(job = graph.name, workers = options.workers, epoch, "job starts");
    let shared = plan.clone();
    plan.control.turns().announce(options.workers);
    let thread = std::thread::spawn(move || {
        let _stay = shared.control.turns().enter(Who::Keeper);
        if let Err(error) = keeper.work(&shared, &heard) {
            shared.control.fail(error);
        }
    });
    let before = reach::offsets(&plan.intakes);
    let outcome = attempt(&plan);
    *reach = Reach::between(&plan.intakes, &before);
    let failed = plan.control.stopped() || outcome.is_err();
    // A keeper that is gone has failed the job.
    let _ = events.send(if failed { Event::Failed } else { Event::Ended });
    plan.control.turns().wait_for(Who::Keeper);
    if thread.join().is_err() {
        plan.control.fail(JobError::State("the thread that writes checkpoints panicked; please report it".into()));
    }
    match plan.control.take_failure().or(outcome.err()) {
        Some(error) => Err(error),
        None => Ok(report(&plan, started.elapsed())),
    }
}

/// A plan without sinks and barriers.
fn plan(
    graph: &JobGraph,
    parts: Arc<dyn Parts>,
    options: &RunOptions,
    control: &Control,
    restored: Restored,
) -> Result<Plan, JobError> {
    if options.workers == 0 || options.workers > WORKERS_MAX {
        return Err(BuildError::new(format!("{} workers: from 1 to {WORKERS_MAX}", options.workers)).into());
    }
    graph.validate()?;
    let shape = Shape::of(graph);
    let mut intakes = Vec::new();
    for (id, node) in graph.nodes.iter().enumerate() {
        if let Step::Source(spec) = &node.step {
            let arrival = shape.arrival[id];
            let (index, schema) = (intakes.len() as u32, &node.schema);
            let intake = Intake::open(index, spec, schema, arrival, parts.as_ref(), options, &restored)?;
            if restored.repeats() && intake.cut_by_epochs() {
                return Err(BuildError::new(format!(
                    "files of the newest checkpoint are damaged (highwater verify names them), and it can't be repeated: \
                     'emit' = 'arrival' over table {}, which has no end, answers by epochs, and they are not recorded; put \
                     the files back, go on from a savepoint, or start anew with --fresh and empty outputs",
                    spec.table
                ))
                .into());
            }
            intakes.push(Arc::new(intake));
        }
    }
    let nodes = graph.nodes.iter().map(|n| (n.name.clone(), n.inputs.clone()));
    let metrics = Arc::new(JobMetrics::new(nodes, options.workers));
    control.watch(metrics.clone());
    let base = restored.counted(graph);
    let tally = Tally::new(graph, &shape, &base);
    let (graph, options, control) = (graph.clone(), options.clone(), control.clone());
    let (sinks, clock, barriers) = (Vec::new(), EpochClock::default(), Arc::new(Barriers::none()));
    let pace = Pace::new(options.speed);
    Ok(Plan {
        graph,
        parts,
        options,
        control,
        metrics,
        intakes,
        sinks,
        shape,
        clock,
        pace,
        tally,
        barriers,
        restored,
        base,
    })
}

/// Starts the workers and waits for all of them.
fn attempt(plan: &Arc<Plan>) -> Result<(), JobError> {
    let config = match plan.options.workers {
        1 => timely::Config::thread(),
        n => timely::Config::process(n),
    };
    let shared = plan.clone();
    let guards = timely::execute(config, move |worker| {
        let _stay = shared.control.turns().enter(Who::Worker(worker.index()));
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
    plan.control.turns().wait_for(Who::Worker(0));
    for (worker, outcome) in guards.join().into_iter().enumerate() {
        if let Err(message) = outcome {
            plan.control.fail(JobError::Panic { worker, message });
        }
    }
    Ok(())
}

fn report(plan: &Plan, elapsed: Duration) -> Report {
    let sources = plan.intakes.iter().enumerate().map(|(i, intake)| {
        let ((read, errors), (late, bad)) = (plan.tally.table(i), plan.tally.kept(i));
        let names = intake.source.partitions();
        let name = |b: &BadRow| names.get(b.partition as usize).map_or_else(String::new, |p| p.name.clone());
        SourceReport {
            table: intake.spec.table.clone(),
            rows: read.rows,
            bytes: read.bytes,
            late: read.late,
            errors,
            unrouted_late: late,
            unrouted_errors: bad.into_iter().map(|b| (name(&b), b)).collect(),
        }
    });
    let sinks = plan.sinks.iter().enumerate().map(|(i, (id, _))| {
        let digest = plan.tally.digest(i);
        SinkReport {
            table: plan.sink_table(i).to_owned(),
            node: plan.graph.nodes[*id].name.clone(),
            rows: u64::try_from(digest.rows()).unwrap_or(0),
            digest: digest.digest(),
            buckets: digest.buckets(),
        }
    });
    let resumed = plan.restored.base().map(|m| Resumed {
        checkpoint: m.checkpoint,
        rows: m.sources.iter().map(|s| s.rows).sum(),
        finished: m.finished,
    });
    Report {
        resumed,
        elapsed,
        sources: sources.collect(),
        sinks: sinks.collect(),
        latency_us: plan.tally.latency_us(),
        checkpoints: plan.tally.checkpoints(),
        operators: plan.metrics.view(),
    }
}
