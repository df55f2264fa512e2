//! What a restart costs: a job fills its state, is killed (SIGKILL), and the same command goes on.
//!
//! The job is W4, the largest of the workloads, over rows that are made as they are read: what memory it takes is its own.
//! Its frames reach back a day of event time; rows come so densely that a day of them makes more state than is asked for.

use crate::engine::{BenchParts, SUMS, graph, payments_of, run_kept};
use crate::made::Made;
use crate::measure::peak_rss_bytes_of;
use crate::payments::Payments;
use crate::workload::Workload;
use anyhow::{Context, Result, ensure};
use arrow::datatypes::SchemaRef;
use clap::Args;
use highwater_engine::batch::Batch;
use highwater_engine::builder::Table;
use highwater_engine::checkpoint::{Ledger, LocalStore, Manifest};
use highwater_engine::error::{BuildError, OperatorError};
use highwater_engine::flow::Control;
use highwater_engine::graph::{MapSpec, Node, RunOptions, SinkSpec, SourceSpec};
use highwater_engine::operator::{Operator, Output};
use highwater_engine::parts::{Parts, Role, RowProgram};
use highwater_engine::sink::{Publisher, SinkTable};
use highwater_engine::source::Source;
use highwater_engine::state::Snapshot;
use highwater_engine::time::Progress;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const WORKLOAD: Workload = Workload::W4;
/// Event time from row to row: 80 million rows a day.
const PACE_US: i64 = 1_080;
/// How often the state folder is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// How long the state may take to become as large as is asked for.
const PATIENCE: Duration = Duration::from_secs(1_800);

/// What a restart cost.
#[derive(Clone, Debug, Serialize)]
pub struct Restart {
    /// What was measured.
    pub workload: String,
    /// Worker threads.
    pub workers: usize,
    /// Rows read before the checkpoint that the job went on from.
    pub rows: u64,
    /// Bytes of state that it held, in this many parts.
    pub state_bytes: u64,
    /// Parts of state.
    pub state_parts: usize,
    /// Bytes of the files that its state is in.
    pub file_bytes: u64,
    /// Bytes that the steps held in memory when they had read it.
    pub state_memory_bytes: u64,
    /// From the start of the run until all its bytes were read and checked.
    pub read_seconds: f64,
    /// From the start until the last step had read it.
    pub restored_seconds: f64,
    /// From the start to the first row of the last step.
    pub first_row_seconds: f64,
    /// The most memory that the killed process ever held.
    pub running_peak_rss_bytes: u64,
    /// The most memory that its successor held until its first row.
    pub restoring_peak_rss_bytes: u64,
}

/// The job, in a process of its own.
#[derive(Clone, Debug, Args)]
pub struct Job {
    /// Its folder.
    #[arg(long)]
    folder: PathBuf,
    /// Worker threads.
    #[arg(long)]
    workers: usize,
    /// Ends with the first row and says what it took.
    #[arg(long)]
    first_row: bool,
}

/// What a process says when its first row is there; seconds are from its start.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct First {
    /// Until the first step was given state: then all of it was read and checked.
    read_seconds: Option<f64>,
    /// Until the last step had taken its state.
    restored_seconds: f64,
    /// What the steps held then.
    state_memory_bytes: u64,
    seconds: f64,
    peak_rss_bytes: u64,
}

/// What the steps on all workers tell of a restart.
struct Watch {
    started: Instant,
    told: Mutex<First>,
    /// Hears of the first row.
    first: Sender<()>,
}

impl Watch {
    fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }
    fn told(&self) -> MutexGuard<'_, First> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Job {
    /// Runs the job: until it is killed, or to its first row.
    pub fn run(self) -> Result<()> {
        let graph = graph(WORKLOAD, Table::new("results", SUMS))?;
        let source = Arc::new(Made::new(Payments::new(PACE_US), payments_of(&graph)?, self.workers)?);
        let last = graph.nodes.iter().rev().find_map(|n| n.inputs.first()).context("the last node is the sink")?;
        let (first, seen) = channel();
        let (last, parts) = (graph.nodes[*last].name.clone(), BenchParts::new(source));
        let watch = Arc::new(Watch { started: Instant::now(), told: Mutex::default(), first });
        let parts: Arc<dyn Parts> = Arc::new(Watched { parts, last, watch: watch.clone() });
        let first_row = self.first_row;
        std::thread::spawn(move || {
            if let (Ok(()), true) = (seen.recv(), first_row) {
                let (seconds, told) = (watch.seconds(), watch.told().clone());
                let said = peak_rss_bytes_of("self")
                    .and_then(|peak_rss_bytes| Ok(serde_json::to_string(&First { seconds, peak_rss_bytes, ..told })?));
                println!("{}", said.unwrap_or_default());
                std::process::exit(0);
            }
        });
        run_kept(&graph, &parts, self.workers, &self.folder, &Control::new())?;
        anyhow::bail!("the input has no end")
    }

    fn start(&self) -> Result<Child> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("job").args(["--workers", &self.workers.to_string()]).arg("--folder").arg(&self.folder);
        command.args(self.first_row.then_some("--first-row"));
        Ok(command.stdout(Stdio::piped()).spawn()?)
    }
}

/// Kills a job when its newest checkpoint holds so many bytes of state, and starts it again.
pub fn measure(workers: usize, state_bytes: u64) -> Result<Restart> {
    let folder = tempfile::tempdir()?;
    let job = Job { folder: folder.path().join("state"), workers, first_row: false };
    let mut running = job.start()?;
    let filled = fill(&job.folder, &mut running, state_bytes);
    let running_peak_rss_bytes = peak_rss_bytes_of(&running.id().to_string());
    running.kill()?;
    running.wait()?;
    filled?;
    let manifest = newest(&job.folder).context("the killed job left no checkpoint")?;
    let again = Job { first_row: true, ..job.clone() }.start()?.wait_with_output()?;
    ensure!(again.status.success(), "the job did not go on: {}", again.status);
    let first: First = serde_json::from_slice(&again.stdout).context("the job did not say what it took")?;
    let parts = || manifest.operators.iter().flat_map(|o| &o.parts);
    Ok(Restart {
        workload: format!("{}_restart", WORKLOAD.name()),
        workers,
        rows: manifest.sources.iter().map(|s| s.rows).sum(),
        state_bytes: parts().map(|p| p.bytes).sum(),
        state_parts: parts().count(),
        file_bytes: manifest.segments.iter().map(|f| f.bytes).sum(),
        state_memory_bytes: first.state_memory_bytes,
        read_seconds: first.read_seconds.context("no step was given state")?,
        restored_seconds: first.restored_seconds,
        first_row_seconds: first.seconds,
        running_peak_rss_bytes: running_peak_rss_bytes?,
        restoring_peak_rss_bytes: first.peak_rss_bytes,
    })
}

/// Waits until the newest checkpoint is large enough.
fn fill(folder: &Path, job: &mut Child, state_bytes: u64) -> Result<()> {
    let until = Instant::now() + PATIENCE;
    loop {
        std::thread::sleep(LOOK);
        let held = |m: Manifest| m.operators.iter().flat_map(|o| &o.parts).map(|p| p.bytes).sum::<u64>();
        if newest(folder).is_some_and(|m| held(m) >= state_bytes) {
            return Ok(());
        }
        ensure!(job.try_wait()?.is_none(), "the job has ended");
        ensure!(Instant::now() < until, "its state did not become so large in {PATIENCE:?}");
    }
}

/// The newest checkpoint in a folder that a process may be writing to.
fn newest(folder: &Path) -> Option<Manifest> {
    let store = Arc::new(LocalStore::view(folder).ok()?);
    Ledger::open(store, None, WORKLOAD.name()).ok()?.newest().cloned()
}

/// The parts of a job whose steps tell when they have their state, and the last one when it has its first row.
struct Watched {
    parts: BenchParts,
    last: String,
    watch: Arc<Watch>,
}

impl Parts for Watched {
    fn source(&self, spec: &SourceSpec, options: &RunOptions) -> Result<Arc<dyn Source>, BuildError> {
        self.parts.source(spec, options)
    }
    fn sink(&self, spec: &SinkSpec, schema: &SchemaRef) -> Result<Arc<dyn SinkTable>, BuildError> {
        self.parts.sink(spec, schema)
    }
    fn publisher(&self, spec: &SinkSpec, schema: &SchemaRef, resumed: bool) -> Result<Box<dyn Publisher>, BuildError> {
        self.parts.publisher(spec, schema, resumed)
    }
    fn operator(&self, node: &Node, input: &SchemaRef, role: Role) -> Result<Box<dyn Operator>, BuildError> {
        let operator = self.parts.operator(node, input, role)?;
        let first = (node.name == self.last).then(|| self.watch.first.clone());
        Ok(Box::new(WatchedOperator { operator, watch: self.watch.clone(), first }))
    }
    fn partials(&self, node: &Node, input: &SchemaRef) -> Option<SchemaRef> {
        self.parts.partials(node, input)
    }
    fn row_program(&self, map: &MapSpec, i: &SchemaRef, o: &SchemaRef) -> Result<Box<dyn RowProgram>, BuildError> {
        self.parts.row_program(map, i, o)
    }
}

struct WatchedOperator {
    operator: Box<dyn Operator>,
    watch: Arc<Watch>,
    /// Of the last step, until its first row.
    first: Option<Sender<()>>,
}

impl WatchedOperator {
    fn look(&mut self, out: &Output) {
        if out.rows > 0
            && let Some(first) = self.first.take()
        {
            // Nobody listens any more once another worker was first.
            let _ = first.send(());
        }
    }
}

impl Operator for WatchedOperator {
    fn on_batch(&mut self, input: usize, batch: Batch, out: &mut Output) -> Result<(), OperatorError> {
        self.operator.on_batch(input, batch, out)?;
        self.look(out);
        Ok(())
    }
    fn on_watermark(&mut self, progress: Progress, out: &mut Output) -> Result<(), OperatorError> {
        self.operator.on_watermark(progress, out)?;
        self.look(out);
        Ok(())
    }
    fn snapshot(&mut self, into: &mut Snapshot) -> Result<(), OperatorError> {
        self.operator.snapshot(into)
    }
    fn restore(&mut self, from: Snapshot) -> Result<(), OperatorError> {
        let begun = self.watch.seconds();
        self.watch.told().read_seconds.get_or_insert(begun);
        self.operator.restore(from)?;
        let mut told = self.watch.told();
        told.restored_seconds = self.watch.seconds();
        told.state_memory_bytes += self.operator.state_bytes() as u64;
        Ok(())
    }
    fn state_bytes(&self) -> usize {
        self.operator.state_bytes()
    }
}
