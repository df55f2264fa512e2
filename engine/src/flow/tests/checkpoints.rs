//! Jobs that keep state: whatever interrupts them, and with whatever workers they go on, every result is shown once.

use super::*;
use crate::checkpoint::{Ledger, MemoryStore, Store};
use crate::flow::evolution::Allow;
use crate::flow::{Every, Keep, Report, run_with_state};
use crate::sink::{Publication, Roll};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

/// Rows and the marker behind them, appended together: what a sink with transactions comes to.
#[derive(Default)]
pub(super) struct Shown {
    pub(super) rows: Vec<(i64, i64, i64)>,
    marker: u64,
}
pub(super) type Log = Arc<Mutex<Shown>>;
pub(super) struct LogPublisher(pub(super) Log);

impl Publisher for LogPublisher {
    fn roll(&self) -> Roll {
        Roll::EachCheckpoint
    }
    fn recover(&mut self) -> Result<Option<u64>, SinkError> {
        Ok(Some(self.0.lock().unwrap().marker))
    }
    fn publish(
        &mut self,
        publication: &Publication,
        rows: &mut dyn Iterator<Item = Result<RecordBatch, SinkError>>,
    ) -> Result<(), SinkError> {
        let mut written = collected(rows)?;
        let mut shown = self.0.lock().unwrap();
        assert!(publication.first <= shown.marker + 1, "{publication:?} after {}", shown.marker);
        shown.rows.append(&mut written);
        shown.marker = publication.last;
        Ok(())
    }
    fn finish(&mut self) -> Result<(), SinkError> {
        Ok(())
    }
}

/// Ends the job from inside once so many rows have been read, like a hand on the plug.
struct Plug {
    parts: TestParts,
    rows_left: Arc<AtomicUsize>,
    control: Control,
    panics: bool,
}
struct PluggedProgram(Arc<AtomicUsize>, Control, bool);
impl RowProgram for PluggedProgram {
    fn apply(&mut self, columns: &RecordBatch) -> Result<Projected, OperatorError> {
        let left = self.0.load(Relaxed);
        if left > 0 && left <= columns.num_rows() {
            self.0.store(0, Relaxed);
            assert!(!self.2, "the plug is pulled");
            self.1.stop();
        }
        self.0.store(left.saturating_sub(columns.num_rows()), Relaxed);
        Same.apply(columns)
    }
}
impl Parts for Plug {
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
        self.parts.operator(node, input, role)
    }
    fn partials(&self, node: &Node, input: &SchemaRef) -> Option<SchemaRef> {
        self.parts.partials(node, input)
    }
    fn row_program(&self, _: &MapSpec, _: &SchemaRef, _: &SchemaRef) -> Result<Box<dyn RowProgram>, BuildError> {
        Ok(Box::new(PluggedProgram(self.rows_left.clone(), self.control.clone(), self.panics)))
    }
}

struct Bench {
    rows: Rows,
    store: Arc<dyn Store>,
    log: Log,
}

impl Bench {
    fn new(rows: Rows) -> Self {
        Self { rows, store: Arc::new(MemoryStore::default()), log: Log::default() }
    }
    /// One run; ends by itself, or when so many rows are read.
    fn run(&self, options: RunOptions, every: u64, plug_at: usize, panics: bool) -> Result<Report, JobError> {
        let control = Control::new();
        let parts = TestParts {
            rows: self.rows.clone(),
            split_rows: 40,
            fault: Fault::None,
            written: Arc::default(),
            ended: Arc::default(),
            log: self.log.clone(),
        };
        let rows_left = Arc::new(AtomicUsize::new(plug_at));
        let parts: Arc<dyn Parts> = Arc::new(Plug { parts, rows_left, control: control.clone(), panics });
        let keep = Keep {
            store: self.store.clone(),
            key: None,
            every: Every::Epochs(every),
            failures_max: 3,
            backoff: Duration::ZERO,
            allow: Allow::default(),
        };
        run_with_state(&graph(), &parts, &options, &control, &keep)
    }
    fn shown(&self) -> Vec<(i64, i64, i64)> {
        let mut rows = self.log.lock().unwrap().rows.clone();
        rows.sort_unstable();
        rows
    }
    fn checkpoints(&self) -> u64 {
        Ledger::open(self.store.clone(), None, "count").unwrap().newest().map_or(0, |m| m.checkpoint)
    }
}

fn options(workers: usize, batch_rows: usize, epoch_rows: usize) -> RunOptions {
    RunOptions { workers, batch_rows, epoch_rows, ..RunOptions::default() }
}

#[test]
fn an_undisturbed_run_shows_what_a_run_without_state_shows() {
    for (partitions, each) in [(1, 300), (5, 120), (3, 0)] {
        let rows = rows(partitions, each);
        let (want, late, bad) = oracle(&rows);
        for workers in [1, 2, 4] {
            let without = go(&rows, 40, Fault::None, options(workers, 16, 40)).result.unwrap();
            let bench = Bench::new(rows.clone());
            let report = bench.run(options(workers, 16, 40), 1, 0, false).unwrap();
            assert_eq!(bench.shown(), want);
            let s = &report.sources[0];
            assert_eq!((s.rows, s.late, s.errors), ((partitions * each) as u64, late, bad));
            assert_eq!(report.sinks[0].digest, without.sinks[0].digest);
            if each > 0 {
                assert!(bench.checkpoints() >= 2, "one on the way and one at the end");
            }
        }
    }
}

#[test]
fn a_job_that_ended_shows_nothing_twice() {
    let bench = Bench::new(rows(3, 100));
    let first = bench.run(options(2, 16, 40), 2, 0, false).unwrap();
    let shown = bench.shown();
    let again = bench.run(options(1, 16, 40), 2, 0, false).unwrap();
    assert_eq!(bench.shown(), shown);
    assert_eq!((again.sinks[0].digest, again.sources[0].rows), (first.sinks[0].digest, 300));
}

#[test]
fn a_job_goes_on_with_other_workers_wherever_it_was_interrupted() {
    let rows = rows(4, 200);
    let (want, late, bad) = oracle(&rows);
    let whole = go(&rows, 40, Fault::None, options(1, 16, 40)).result.unwrap();
    for seed in 0..40usize {
        let bench = Bench::new(rows.clone());
        let mut cuts = 0;
        let report = loop {
            let workers = [1, 2, 4, 3][(seed + cuts) % 4];
            // Sooner or later it reads far enough for a checkpoint to become durable.
            let plug_at = 60 + (seed * 131 + cuts * 77) % 300 + 10 * cuts;
            match bench.run(options(workers, 5 + seed % 20, 20 + seed), 1 + (seed % 3) as u64, plug_at, false) {
                Ok(report) => break report,
                Err(JobError::Interrupted) => cuts += 1,
                Err(error) => panic!("seed {seed}: {error}"),
            }
            assert!(cuts < 100, "seed {seed}: no progress");
        };
        assert_eq!(bench.shown(), want, "seed {seed} after {cuts} interruptions");
        let s = &report.sources[0];
        assert_eq!((s.rows, s.late, s.errors), (800, late, bad), "seed {seed}");
        assert_eq!(report.sinks[0].digest, whole.sinks[0].digest, "seed {seed}");
    }
}

#[test]
fn a_panic_starts_the_job_again_from_its_newest_checkpoint() {
    let rows = rows(4, 200);
    let (want, ..) = oracle(&rows);
    for workers in [1, 2] {
        let bench = Bench::new(rows.clone());
        bench.run(options(workers, 10, 30), 1, 500, true).unwrap();
        assert_eq!(bench.shown(), want);
    }
}

#[test]
fn a_job_without_progress_is_given_up() {
    let control = Control::new();
    let parts: Arc<dyn Parts> = Arc::new(TestParts {
        rows: rows(2, 100),
        split_rows: 40,
        fault: Fault::Source,
        written: Arc::default(),
        ended: Arc::default(),
        log: Log::default(),
    });
    let store = Arc::new(MemoryStore::default());
    let every = Every::Epochs(u64::MAX);
    let keep = Keep { store, key: None, every, failures_max: 3, backoff: Duration::ZERO, allow: Allow::default() };
    let error = run_with_state(&graph(), &parts, &options(2, 16, 40), &control, &keep).unwrap_err().to_string();
    let told = "source payments: the disk is gone; given up after 3 attempts from the beginning, ";
    assert!(error.starts_with(told), "{error}");
}
