//! What is shown when rows of many checkpoints are shown together, and when two starts of a job meet at a sink.

use super::checkpoints::{Log, LogPublisher};
use super::damage::Plugged;
use super::*;
use crate::checkpoint::{Ledger, MemoryStore, Store};
use crate::flow::evolution::Allow;
use crate::flow::{Every, Keep, Report, run_with_state};
use crate::sink::{Publication, Roll};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

pub(super) type MakePublisher = dyn Fn() -> Box<dyn Publisher> + Send + Sync;

/// The usual parts with another publisher.
pub(super) struct With(pub(super) TestParts, pub(super) Box<MakePublisher>);

impl Parts for With {
    fn source(&self, spec: &SourceSpec, options: &RunOptions) -> Result<Arc<dyn Source>, BuildError> {
        self.0.source(spec, options)
    }
    fn sink(&self, spec: &SinkSpec, schema: &SchemaRef) -> Result<Arc<dyn SinkTable>, BuildError> {
        self.0.sink(spec, schema)
    }
    fn publisher(&self, _: &SinkSpec, _: &SchemaRef, _: bool) -> Result<Box<dyn Publisher>, BuildError> {
        Ok((self.1)())
    }
    fn operator(&self, node: &Node, input: &SchemaRef, role: Role) -> Result<Box<dyn Operator>, BuildError> {
        self.0.operator(node, input, role)
    }
    fn partials(&self, node: &Node, input: &SchemaRef) -> Option<SchemaRef> {
        self.0.partials(node, input)
    }
    fn row_program(&self, map: &MapSpec, a: &SchemaRef, b: &SchemaRef) -> Result<Box<dyn RowProgram>, BuildError> {
        Ok(Box::new(Slow(self.0.row_program(map, a, b)?)))
    }
}

/// Reads so slowly that there is a checkpoint for nearly every epoch.
struct Slow(Box<dyn RowProgram>);

impl RowProgram for Slow {
    fn apply(&mut self, columns: &RecordBatch) -> Result<Projected, OperatorError> {
        std::thread::sleep(Duration::from_millis(2));
        self.0.apply(columns)
    }
}

/// Runs the job with a checkpoint at every epoch.
fn keep_going(store: Arc<dyn Store>, make: Box<MakePublisher>) -> Result<Report, JobError> {
    keep_reading(rows(2, 150), store, make)
}

fn keep_reading(rows: Rows, store: Arc<dyn Store>, make: Box<MakePublisher>) -> Result<Report, JobError> {
    let parts = TestParts {
        rows,
        split_rows: 40,
        fault: Fault::None,
        written: Arc::default(),
        ended: Arc::default(),
        log: Arc::default(),
    };
    let options = RunOptions { batch_rows: 5, epoch_rows: 5, ..RunOptions::default() };
    let keep = Keep {
        store,
        key: None,
        every: Every::Epochs(1),
        failures_max: 3,
        backoff: Duration::ZERO,
        allow: Allow::default(),
    };
    let parts: Arc<dyn Parts> = Arc::new(With(parts, make));
    run_with_state(&graph(), &parts, &options, &Control::new(), &keep)
}

type Shown = BTreeMap<(u64, u64), Vec<(i64, i64, i64)>>;

/// A file for each publication, named by it; the sink knows nothing else of what it has shown.
#[derive(Clone, Default)]
pub(super) struct Files {
    files: Arc<Mutex<Shown>>,
    bytes_min: u64,
    /// Set by a publication of so many checkpoints that some of them are collected behind it.
    long: Arc<AtomicBool>,
}

impl Publisher for Files {
    fn roll(&self) -> Roll {
        Roll::Files { bytes_min: self.bytes_min, interval_ms: u64::MAX }
    }
    fn recover(&mut self) -> Result<Option<u64>, SinkError> {
        Ok(None)
    }
    fn publish(
        &mut self,
        publication: &Publication,
        rows: &mut dyn Iterator<Item = Result<RecordBatch, SinkError>>,
    ) -> Result<(), SinkError> {
        let mut written = collected(rows)?;
        // Rows that were made again come in another order.
        written.sort_unstable();
        let name = (publication.first, publication.last);
        let before = self.files.lock().unwrap().insert(name, written.clone());
        let new = before.is_none();
        if let Some(there) = before {
            assert_eq!(there, written, "{publication:?} again, with other rows");
        }
        self.long.fetch_or(new && publication.last - publication.first >= 5, Relaxed);
        Ok(())
    }
    fn finish(&mut self) -> Result<(), SinkError> {
        Ok(())
    }
}

impl Files {
    pub(super) fn rolling_at(bytes_min: u64) -> Self {
        Self { bytes_min, ..Self::default() }
    }
    /// Other files with the same content.
    pub(super) fn duplicate(&self) -> Self {
        Self { files: Arc::new(Mutex::new(self.files.lock().unwrap().clone())), ..self.clone() }
    }
    pub(super) fn rows(&self) -> Vec<(i64, i64, i64)> {
        let mut rows: Vec<_> = self.files.lock().unwrap().values().flatten().copied().collect();
        rows.sort_unstable();
        rows
    }
}

#[test]
fn a_file_of_many_checkpoints_has_the_rows_of_those_that_had_some() {
    let files = Files::rolling_at(u64::MAX);
    let (sink, store) = (files.clone(), Arc::new(MemoryStore::new()));
    keep_going(store.clone(), Box::new(move || Box::new(sink.clone()))).unwrap();
    assert_eq!(files.rows(), oracle(&rows(2, 150)).0);
    let ledger = Ledger::open(store, None, "count").unwrap();
    let checkpoints = ledger.restore_points();
    assert!(ledger.newest().unwrap().checkpoint > checkpoints.len() as u64, "those without rows are collected");
    assert_eq!(files.files.lock().unwrap().len(), 1);
}

#[test]
fn rows_are_kept_until_a_manifest_says_that_they_were_shown() {
    let files = Files::rolling_at(8_000);
    // Fails once, when the manifest behind a long publication is to be made.
    let store = Arc::new(Plugged(MemoryStore::new(), files.long.clone()));
    let sink = files.clone();
    let run = || {
        let sink = sink.clone();
        keep_going(store.clone(), Box::new(move || Box::new(sink.clone())))
    };
    let mut interruptions = 0;
    while let Err(error) = run() {
        assert_eq!(error.to_string(), "the plug is pulled");
        interruptions += 1;
        assert!(interruptions < 100);
    }
    assert!(interruptions > 0, "no file of many checkpoints");
    assert_eq!(files.rows(), oracle(&rows(2, 150)).0);
}

/// While it starts for the first time, another process runs the whole job.
struct Overtaken(LogPublisher, Option<Arc<dyn Store>>);

impl Publisher for Overtaken {
    fn roll(&self) -> Roll {
        self.0.roll()
    }
    fn recover(&mut self) -> Result<Option<u64>, SinkError> {
        if let Some(store) = self.1.take() {
            let log = self.0.0.clone();
            keep_going(store, Box::new(move || Box::new(LogPublisher(log.clone())))).unwrap();
        }
        self.0.recover()
    }
    fn publish(
        &mut self,
        publication: &Publication,
        rows: &mut dyn Iterator<Item = Result<RecordBatch, SinkError>>,
    ) -> Result<(), SinkError> {
        self.0.publish(publication, rows)
    }
    fn finish(&mut self) -> Result<(), SinkError> {
        self.0.finish()
    }
}

#[test]
fn a_start_that_is_overtaken_goes_on_from_the_newer_checkpoint() {
    let (log, store) = (Log::default(), Arc::new(MemoryStore::new()));
    let (shown, twin) = (log.clone(), Mutex::new(Some(store.clone() as Arc<dyn Store>)));
    let make =
        move || -> Box<dyn Publisher> { Box::new(Overtaken(LogPublisher(shown.clone()), twin.lock().unwrap().take())) };
    let report = keep_going(store, Box::new(make)).unwrap();
    let mut shown = log.lock().unwrap().rows.clone();
    shown.sort_unstable();
    assert_eq!(shown, oracle(&rows(2, 150)).0);
    assert_eq!(report.sources[0].rows, 300);
}

/// Results, then for a long time none, then results.
#[test]
fn a_sink_may_be_quiet_for_longer_than_checkpoints_are_kept() {
    let time = |i: i64| if i < 60 { i * 10 } else { (i - 1_500).max(60) * 10 };
    let input: Rows = vec![(0..1_660).map(|i| (i % 5, time(i))).collect()];
    for (checkpoints, bytes_min) in [(u64::MAX, 1), (20, 1), (20, 1 << 30), (30, 3_000)] {
        let store = Arc::new(Plugged(MemoryStore::new(), AtomicU64::new(checkpoints)));
        let files = Files::rolling_at(bytes_min);
        let run = || {
            let sink = files.clone();
            keep_reading(input.clone(), store.clone(), Box::new(move || Box::new(sink.clone())))
        };
        if let Err(error) = run() {
            assert_eq!(error.to_string(), "the plug is pulled");
            let ledger = Ledger::open(store.clone(), None, "count").unwrap();
            let newest = ledger.newest().unwrap();
            assert!(newest.sinks[0].outboxes.is_empty() && newest.checkpoint == checkpoints, "it is quiet now");
            let kept = ledger.checkpoints().count();
            assert!(kept <= 5 + newest.sinks[0].unrolled.len(), "{kept} checkpoints are kept");
            store.1.store(u64::MAX, Relaxed);
            run().unwrap();
        }
        assert_eq!(files.rows(), oracle(&input).0, "{checkpoints} checkpoints, files of {bytes_min} bytes");
        assert!(Ledger::open(store, None, "count").unwrap().verify().unwrap().damaged.is_empty());
    }
}

/// A log that answers another client, once; by then another process may have made a checkpoint.
struct Fenced {
    log: LogPublisher,
    calls: u64,
    other: Option<Arc<MemoryStore>>,
}

impl Publisher for Fenced {
    fn roll(&self) -> Roll {
        self.log.roll()
    }
    fn recover(&mut self) -> Result<Option<u64>, SinkError> {
        self.log.recover()
    }
    fn publish(
        &mut self,
        publication: &Publication,
        rows: &mut dyn Iterator<Item = Result<RecordBatch, SinkError>>,
    ) -> Result<(), SinkError> {
        self.calls += 1;
        if self.calls != 3 {
            return self.log.publish(publication, rows);
        }
        if let Some(store) = &self.other {
            store.create("000000000999.manifest", b"of another process").unwrap();
        }
        Err(SinkError { taken_over: true, ..SinkError::new("somebody else writes now") })
    }
    fn finish(&mut self) -> Result<(), SinkError> {
        self.log.finish()
    }
}

#[test]
fn a_sink_that_answers_somebody_else_ends_the_job_only_if_that_one_has_made_a_checkpoint() {
    for taken_over in [false, true] {
        let (log, store) = (Log::default(), Arc::new(MemoryStore::new()));
        let (shown, other) = (log.clone(), taken_over.then(|| store.clone()));
        let make = move || -> Box<dyn Publisher> {
            Box::new(Fenced { log: LogPublisher(shown.clone()), calls: 0, other: other.clone() })
        };
        let outcome = keep_going(store, Box::new(make));
        if taken_over {
            assert!(matches!(outcome, Err(JobError::State(why)) if why.contains("somebody else writes now")));
            continue;
        }
        outcome.unwrap();
        let mut rows = std::mem::take(&mut log.lock().unwrap().rows);
        rows.sort_unstable();
        assert_eq!(rows, oracle(&super::rows(2, 150)).0);
    }
}
