//! Partitions that have nothing to give for a while: they neither hold up others nor are they forgotten.

use super::*;
use crate::source::Read;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

/// Partitions of one endless split each; before every chunk a split says so many times that it has nothing.
struct Halting {
    inner: Memory,
    empty: Empty,
    /// Chunks that every partition has given.
    given: Arc<Vec<AtomicUsize>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Empty {
    /// Before every chunk, this often: `Pending` or `Awaited` in turn.
    Often(usize),
    /// Partition 0, until all others have given so many chunks.
    First(usize),
}

struct HaltingSplit {
    inner: Box<dyn Split>,
    index: usize,
    empty: Empty,
    left: usize,
    given: Arc<Vec<AtomicUsize>>,
}

impl Source for Halting {
    fn partitions(&self) -> &[PartitionInfo] {
        self.inner.partitions()
    }
    fn open(&self, index: usize, from: Option<&Position>) -> Result<Box<dyn PartitionReader>, SourceError> {
        let inner = self.inner.open(index, from)?;
        Ok(Box::new(HaltingReader(inner, index, self.empty, self.given.clone())))
    }
    fn fingerprint(&self, _: usize) -> Result<String, SourceError> {
        Ok(String::new())
    }
    fn bounded(&self) -> bool {
        true
    }
    fn rows_hint(&self) -> Option<u64> {
        None
    }
}

struct HaltingReader(Box<dyn PartitionReader>, usize, Empty, Arc<Vec<AtomicUsize>>);
impl PartitionReader for HaltingReader {
    fn next_split(&mut self) -> Result<Option<Box<dyn Split>>, SourceError> {
        let Some(inner) = self.0.next_split()? else { return Ok(None) };
        let split = HaltingSplit { inner, index: self.1, empty: self.2, left: 0, given: self.3.clone() };
        Ok(Some(Box::new(split)))
    }
}

impl Split for HaltingSplit {
    fn read(&mut self, max_rows: usize) -> Result<Read, SourceError> {
        let empty = match self.empty {
            Empty::Often(times) => {
                self.left = if self.left == 0 { times } else { self.left - 1 };
                self.left > 0
            }
            Empty::First(chunks) => self.index == 0 && self.given[1..].iter().any(|given| given.load(SeqCst) < chunks),
        };
        if empty {
            let wait = Duration::from_micros(50);
            return Ok(if self.left.is_multiple_of(2) { Read::Pending(wait) } else { Read::Awaited(wait) });
        }
        let read = self.inner.read(max_rows)?;
        self.given[self.index].fetch_add(1, SeqCst);
        Ok(read)
    }
}

struct HaltingParts(TestParts, Empty, Arc<Vec<AtomicUsize>>);
impl Parts for HaltingParts {
    fn source(&self, _: &SourceSpec, _: &RunOptions) -> Result<Arc<dyn Source>, BuildError> {
        let info = |i| PartitionInfo { name: format!("p{i}"), first_time_ms: None, start: None };
        let rows = self.0.rows.clone();
        let infos = (0..rows.len()).map(info).collect();
        let inner = Memory { infos, rows, split_rows: usize::MAX / 2, fault: Fault::None };
        Ok(Arc::new(Halting { inner, empty: self.1, given: self.2.clone() }))
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
    fn partials(&self, _: &Node, _: &SchemaRef) -> Option<SchemaRef> {
        None
    }
    fn row_program(&self, _: &MapSpec, _: &SchemaRef, _: &SchemaRef) -> Result<Box<dyn RowProgram>, BuildError> {
        Ok(Box::new(Same))
    }
}

/// Windows as the oracle has them, and the chunks that each partition gave.
fn check(empty: Empty, workers: usize) -> Vec<usize> {
    // More than the peek takes at once.
    let rows = rows(5, 4_000);
    let given: Arc<Vec<AtomicUsize>> = Arc::new((0..rows.len()).map(|_| AtomicUsize::new(0)).collect());
    let written = Arc::new(Mutex::new(Vec::new()));
    let inner = TestParts {
        rows: rows.clone(),
        split_rows: 1,
        fault: Fault::None,
        written: written.clone(),
        ended: Arc::default(),
        log: checkpoints::Log::default(),
    };
    let parts = Arc::new(HaltingParts(inner, empty, given.clone()));
    let options = RunOptions { workers, batch_rows: 7, epoch_rows: 50, ..RunOptions::default() };
    run(&graph(), parts, &options, &Control::new()).unwrap();
    let mut written = written.lock().unwrap().clone();
    written.sort_unstable();
    assert_eq!(written, oracle(&rows).0, "{empty:?}, {workers} workers");
    given.iter().map(|g| g.load(SeqCst)).collect()
}

#[test]
fn partitions_that_halt_all_the_time_change_no_result() {
    for workers in [1, 2, 4] {
        for times in [1, 3, 20] {
            check(Empty::Often(times), workers);
        }
    }
}

/// Partition 0 is the furthest behind and has nothing until the others are almost read.
#[test]
fn a_quiet_partition_does_not_keep_its_worker_from_the_others() {
    for workers in [1, 2, 4] {
        assert!(check(Empty::First(300), workers).iter().all(|chunks| *chunks >= 300));
    }
}
