//! What a job survives by starting again, and what ends it.

use super::*;
use crate::checkpoint::{Created, MemoryStore, Store, StoreError, StoreErrorKind};
use crate::flow::evolution::Allow;
use crate::flow::{Every, Keep, Report, run_with_state};
use std::collections::VecDeque;
use std::io::Read as IoRead;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

/// What goes wrong next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    /// A partition can't be opened.
    Open,
    /// The read behind so many others fails.
    Read(usize),
}
type Troubles = Arc<Mutex<VecDeque<Trouble>>>;

/// Parts whose source has troubles, one after the other.
struct Rough(TestParts, Troubles);
struct RoughSource(Arc<dyn Source>, Troubles);
struct RoughReader(Box<dyn PartitionReader>, Troubles);
struct RoughSplit(Box<dyn Split>, Troubles);

impl Source for RoughSource {
    fn partitions(&self) -> &[PartitionInfo] {
        self.0.partitions()
    }
    fn open(&self, index: usize, from: Option<&Position>) -> Result<Box<dyn PartitionReader>, SourceError> {
        let mut troubles = self.1.lock().unwrap();
        if troubles.front() == Some(&Trouble::Open) {
            troubles.pop_front();
            return Err(SourceError::new("the folder is gone"));
        }
        Ok(Box::new(RoughReader(self.0.open(index, from)?, self.1.clone())))
    }
    fn fingerprint(&self, index: usize) -> Result<String, SourceError> {
        self.0.fingerprint(index)
    }
    fn bounded(&self) -> bool {
        true
    }
    fn rows_hint(&self) -> Option<u64> {
        None
    }
}
impl PartitionReader for RoughReader {
    fn next_split(&mut self) -> Result<Option<Box<dyn Split>>, SourceError> {
        let split = self.0.next_split()?;
        Ok(split.map(|split| Box::new(RoughSplit(split, self.1.clone())) as Box<dyn Split>))
    }
}
impl Split for RoughSplit {
    fn read(&mut self, max_rows: usize) -> Result<Read, SourceError> {
        let mut troubles = self.1.lock().unwrap();
        match troubles.front_mut() {
            Some(Trouble::Read(0)) => {
                troubles.pop_front();
                Err(SourceError::new("the disk is gone"))
            }
            Some(Trouble::Read(left)) => {
                *left -= 1;
                self.0.read(max_rows)
            }
            _ => self.0.read(max_rows),
        }
    }
}
impl Parts for Rough {
    fn source(&self, spec: &SourceSpec, options: &RunOptions) -> Result<Arc<dyn Source>, BuildError> {
        Ok(Arc::new(RoughSource(self.0.source(spec, options)?, self.1.clone())))
    }
    fn sink(&self, spec: &SinkSpec, schema: &SchemaRef) -> Result<Arc<dyn SinkTable>, BuildError> {
        self.0.sink(spec, schema)
    }
    fn publisher(&self, spec: &SinkSpec, schema: &SchemaRef, resumed: bool) -> Result<Box<dyn Publisher>, BuildError> {
        self.0.publisher(spec, schema, resumed)
    }
    fn operator(&self, node: &Node, input: &SchemaRef, role: Role) -> Result<Box<dyn Operator>, BuildError> {
        self.0.operator(node, input, role)
    }
    fn partials(&self, node: &Node, input: &SchemaRef) -> Option<SchemaRef> {
        self.0.partials(node, input)
    }
    fn row_program(&self, map: &MapSpec, a: &SchemaRef, b: &SchemaRef) -> Result<Box<dyn RowProgram>, BuildError> {
        self.0.row_program(map, a, b)
    }
}

/// Storage whose nth writing call fails once.
#[derive(Debug)]
struct RoughStore {
    inner: MemoryStore,
    calls: AtomicUsize,
    nth: usize,
    kind: StoreErrorKind,
}
impl RoughStore {
    fn meet(&self) -> Result<(), StoreError> {
        match self.calls.fetch_add(1, Relaxed) == self.nth {
            true => Err(StoreError::new(self.kind, "the sync failed".to_owned())),
            false => Ok(()),
        }
    }
}
impl Store for RoughStore {
    fn put(&self, name: &str, parts: &[&[u8]]) -> Result<(), StoreError> {
        self.meet()?;
        self.inner.put(name, parts)
    }
    fn create(&self, name: &str, bytes: &[u8]) -> Result<Created, StoreError> {
        self.meet()?;
        self.inner.create(name, bytes)
    }
    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.get(name)
    }
    fn read(&self, name: &str) -> Result<Option<Box<dyn IoRead + Send>>, StoreError> {
        self.inner.read(name)
    }
    fn list(&self) -> Result<Vec<String>, StoreError> {
        self.inner.list()
    }
    fn delete(&self, names: &[&str]) -> Result<(), StoreError> {
        self.inner.delete(names)
    }
    fn place(&self, name: &str) -> String {
        self.inner.place(name)
    }
}

type Rowset = Vec<(i64, i64, i64)>;

fn live(rows: &Rows, troubles: &[Trouble], store: Arc<dyn Store>) -> (Result<Report, JobError>, Rowset, usize) {
    let (log, left) = (checkpoints::Log::default(), Troubles::default());
    left.lock().unwrap().extend(troubles);
    let parts = TestParts {
        rows: rows.clone(),
        split_rows: 40,
        fault: Fault::None,
        written: Arc::default(),
        ended: Arc::default(),
        log: log.clone(),
    };
    let parts: Arc<dyn Parts> = Arc::new(Rough(parts, left.clone()));
    let (every, backoff) = (Every::Epochs(2), Duration::from_millis(1));
    let keep = Keep { store, key: None, every, failures_max: 3, backoff, allow: Allow::default() };
    let options = RunOptions { workers: 2, batch_rows: 10, epoch_rows: 30, ..RunOptions::default() };
    let result = run_with_state(&graph(), &parts, &options, &Control::new(), &keep);
    let mut shown = log.lock().unwrap().rows.clone();
    shown.sort_unstable();
    let left = left.lock().unwrap().len();
    (result, shown, left)
}

fn memory() -> Arc<dyn Store> {
    Arc::new(MemoryStore::default())
}

#[test]
fn an_input_that_fails_and_is_not_there_for_a_while_is_opened_again() {
    let rows = rows(3, 150);
    let (want, ..) = oracle(&rows);
    for reads in [4, 20, 35] {
        let (result, shown, left) = live(&rows, &[Trouble::Read(reads), Trouble::Open], memory());
        result.unwrap();
        assert_eq!((shown, left), (want.clone(), 0), "after {reads} reads");
    }
}

#[test]
fn an_input_that_stays_away_ends_the_job_and_the_message_says_how_far_it_was_read() {
    // A checkpoint may have become durable before the read that fails: then that attempt does not count.
    let (result, _, left) = live(&rows(3, 150), &[&[Trouble::Read(30)][..], &[Trouble::Open; 3]].concat(), memory());
    let (error, message) = match result {
        Err(error) => (matches!(error, JobError::State(_)), error.to_string()),
        Ok(_) => panic!("the input was never opened again"),
    };
    assert!(
        error && message.contains("source payments: the folder is gone; given up after 3 attempts from "),
        "{message}"
    );
    assert!(message.contains("having read offsets ") && message.contains(" of payments p"), "{message}");
    assert!(left < 2, "it was opened less often");
}

#[test]
fn an_input_that_was_never_there_is_an_error_at_once() {
    let (result, shown, left) = live(&rows(3, 150), &[Trouble::Open, Trouble::Open], memory());
    assert!(matches!(result, Err(JobError::Build(_))));
    assert_eq!((shown.len(), left), (0, 1), "it was opened once");
}

#[test]
fn storage_that_fails_once_costs_an_attempt_and_one_that_takes_nothing_ends_the_job() {
    let rows = rows(3, 150);
    let (want, ..) = oracle(&rows);
    let store =
        |nth, kind| Arc::new(RoughStore { inner: MemoryStore::default(), calls: AtomicUsize::new(0), nth, kind });
    for nth in 0..12 {
        let rough = store(nth, StoreErrorKind::Other);
        let (result, shown, _) = live(&rows, &[], rough.clone());
        result.unwrap_or_else(|error| panic!("call {nth}: {error}"));
        assert_eq!(shown, want, "call {nth}");
        assert!(rough.calls.load(Relaxed) > nth, "there were fewer calls");
    }
    let (result, ..) = live(&rows, &[], store(3, StoreErrorKind::ReadOnly));
    assert!(matches!(result, Err(JobError::State(message)) if message == "the sync failed"));
}
