//! Partitions that have nothing to give for a while: they neither hold up others nor are they forgotten. A job in which
//! nothing happens takes no checkpoints.

use super::*;
use crate::checkpoint::{Ledger, MemoryStore, Store};
use crate::flow::evolution::Allow;
use crate::flow::{Every, Keep, run_with_state};
use crate::source::Read;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

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
    /// Before some chunks, for some milliseconds; the table is without end.
    Naps,
}

impl Empty {
    /// Whether the partition naps before its chunk: others at other chunks.
    fn nap(self, index: usize, chunk: usize) -> Option<Duration> {
        let at = (chunk * 31 + index * 17) % 29;
        (self == Self::Naps && at < 3).then(|| Duration::from_millis(4 + 3 * at as u64))
    }
}

struct HaltingSplit {
    inner: Box<dyn Split>,
    index: usize,
    empty: Empty,
    left: usize,
    given: Arc<Vec<AtomicUsize>>,
    /// The chunk before which it naps, and until when.
    nap: Option<(usize, Instant)>,
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
        self.empty != Empty::Naps
    }
    fn rows_hint(&self) -> Option<u64> {
        None
    }
}

struct HaltingReader(Box<dyn PartitionReader>, usize, Empty, Arc<Vec<AtomicUsize>>);
impl PartitionReader for HaltingReader {
    fn next_split(&mut self) -> Result<Option<Box<dyn Split>>, SourceError> {
        let Some(inner) = self.0.next_split()? else { return Ok(None) };
        let split = HaltingSplit { inner, index: self.1, empty: self.2, left: 0, given: self.3.clone(), nap: None };
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
            Empty::Naps => {
                let chunk = self.given[self.index].load(SeqCst);
                let nap = self.empty.nap(self.index, chunk).filter(|_| self.nap.is_none_or(|(at, _)| at != chunk));
                if let Some(nap) = nap {
                    self.nap = Some((chunk, Instant::now() + nap));
                }
                self.nap.is_some_and(|(at, until)| at == chunk && Instant::now() < until)
            }
        };
        if empty {
            let wait = Duration::from_micros(50);
            return Ok(if self.empty == Empty::Naps || self.left.is_multiple_of(2) {
                Read::Pending(wait)
            } else {
                Read::Awaited(wait)
            });
        }
        let read = self.inner.read(max_rows)?;
        self.given[self.index].fetch_add(1, SeqCst);
        Ok(read)
    }
}

struct HaltingParts(TestParts, Empty, Arc<Vec<AtomicUsize>>, Refused);
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
        Ok(Box::new(Noting(self.0.operator(node, input, role)?, self.3.clone())))
    }
    fn partials(&self, _: &Node, _: &SchemaRef) -> Option<SchemaRef> {
        None
    }
    fn row_program(&self, _: &MapSpec, _: &SchemaRef, _: &SchemaRef) -> Result<Box<dyn RowProgram>, BuildError> {
        Ok(Box::new(Same))
    }
}

/// The parts of a job that reads these rows one by one.
fn one_by_one(rows: &Rows) -> TestParts {
    TestParts {
        rows: rows.clone(),
        split_rows: 1,
        fault: Fault::None,
        written: Arc::default(),
        ended: Arc::default(),
        log: checkpoints::Log::default(),
    }
}

/// Windows as the oracle has them, and the chunks that each partition gave.
fn check(empty: Empty, workers: usize) -> Vec<usize> {
    // More than the peek takes at once.
    let rows = rows(5, 4_000);
    let given: Arc<Vec<AtomicUsize>> = Arc::new((0..rows.len()).map(|_| AtomicUsize::new(0)).collect());
    let inner = one_by_one(&rows);
    let written = inner.written.clone();
    let parts = Arc::new(HaltingParts(inner, empty, given.clone(), Refused::default()));
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

/// Notes the rows that windows refuse because they are too late.
struct Noting(Box<dyn Operator>, Refused);
/// End of the window and key.
type Refused = Arc<Mutex<Vec<(i64, i64)>>>;

impl Operator for Noting {
    fn on_batch(&mut self, input: usize, batch: Batch, out: &mut Output) -> Result<(), OperatorError> {
        for i in 0..batch.rows() {
            let end = (batch.times()[i].div_euclid(SIZE) + 1) * SIZE;
            if batch.tag(i).is_some_and(|watermark| end <= watermark) {
                self.1.lock().unwrap().push((end, batch.column(0).as_primitive::<Int64Type>().value(i)));
            }
        }
        self.0.on_batch(input, batch, out)
    }
    fn on_watermark(&mut self, progress: Progress, out: &mut Output) -> Result<(), OperatorError> {
        self.0.on_watermark(progress, out)
    }
    fn snapshot(&mut self, into: &mut Snapshot) -> Result<(), OperatorError> {
        self.0.snapshot(into)
    }
    fn restore(&mut self, from: Snapshot) -> Result<(), OperatorError> {
        self.0.restore(from)
    }
    fn state_bytes(&self) -> usize {
        self.0.state_bytes()
    }
}

/// Partitions that nap are idle, and what they bring then may be late; but no row meets a window that has fired.
#[test]
fn rows_of_a_partition_that_was_idle_are_too_late_or_in_their_window() {
    // More than the peek takes at once.
    let rows = rows(4, 4_000);
    let own_late = oracle(&rows).1;
    let mut late_by_idling = 0;
    for (workers, epoch_rows) in [(1, 50), (2, 50), (4, 10), (2, 1)] {
        let given = Arc::new((0..rows.len()).map(|_| AtomicUsize::new(0)).collect());
        let inner = one_by_one(&rows);
        let (written, refused) = (inner.written.clone(), Refused::default());
        let mut graph = graph();
        let Step::Source(source) = &mut graph.nodes[0].step else { panic!("the first node is a source") };
        source.idle_ms = Some(2);
        let options = RunOptions { workers, batch_rows: 5, epoch_rows, ..RunOptions::default() };
        let parts = Arc::new(HaltingParts(inner, Empty::Naps, given, refused.clone()));
        let report = run(&graph, parts, &options, &Control::new()).unwrap();
        late_by_idling += report.sources[0].late.saturating_sub(own_late);
        let mut expected = BTreeMap::<(i64, i64), i64>::new();
        for &(key, time) in rows.iter().flatten().filter(|(key, _)| *key >= 0) {
            *expected.entry(((time.div_euclid(SIZE) + 1) * SIZE, key)).or_default() += 1;
        }
        let refused = std::mem::take(&mut *refused.lock().unwrap());
        refused.iter().for_each(|row| *expected.get_mut(row).unwrap() -= 1);
        let expected: Vec<_> = expected.into_iter().filter(|(_, n)| *n > 0).map(|((e, k), n)| (e, k, n)).collect();
        let mut written = written.lock().unwrap().clone();
        written.sort_unstable();
        assert_eq!(written, expected, "{workers} workers, epochs of {epoch_rows}");
        assert!(refused.len() as u64 <= report.sources[0].late);
    }
    assert!(late_by_idling > 0, "no partition was idle while others went on");
}

/// A table without end that gives some rows and then nothing for a while, again and again.
struct Bursts {
    inner: Memory,
    pauses: Arc<Mutex<Pauses>>,
}

/// What is seen while nothing happens: the newest checkpoint as soon as it has everything, and after many epochs.
struct Pauses {
    store: Arc<MemoryStore>,
    control: Control,
    /// Asked so often in this pause, since the newest checkpoint had everything.
    asked: usize,
    settled: u64,
    /// By pause: both numbers.
    seen: Vec<(u64, u64)>,
    since: Instant,
}

const BURST_ROWS: usize = 30;
const BURSTS: usize = 4;
const ASKED: usize = 600;

impl Pauses {
    /// Nothing is given, behind so many rows. Whether the pause is over.
    fn ask(&mut self, given: usize) -> bool {
        assert!(self.since.elapsed() < Duration::from_secs(60), "{} pauses; rows up to {given}", self.seen.len());
        if self.asked == 0 {
            let ledger = Ledger::open(self.store.clone(), None, "count").unwrap();
            let Some(newest) = ledger.newest() else { return false };
            let at = newest.sources[0].partitions[0].position.as_ref().map_or(0, |p| p.offset);
            if at < given as i64 || newest.sinks[0].publish.is_some() {
                return false;
            }
            self.settled = newest.checkpoint;
        }
        self.asked += 1;
        if self.asked < ASKED {
            return false;
        }
        let newest = Ledger::open(self.store.clone(), None, "count").unwrap().newest().unwrap().checkpoint;
        self.seen.push((self.settled, newest));
        (self.asked, self.since) = (0, Instant::now());
        if self.seen.len() == BURSTS {
            self.control.stop();
        }
        true
    }
}

impl Source for Bursts {
    fn partitions(&self) -> &[PartitionInfo] {
        self.inner.partitions()
    }
    fn open(&self, index: usize, from: Option<&Position>) -> Result<Box<dyn PartitionReader>, SourceError> {
        Ok(Box::new(BurstReader(self.inner.open(index, from)?, self.pauses.clone())))
    }
    fn fingerprint(&self, _: usize) -> Result<String, SourceError> {
        Ok(String::new())
    }
    fn bounded(&self) -> bool {
        false
    }
    fn rows_hint(&self) -> Option<u64> {
        None
    }
}

struct BurstReader(Box<dyn PartitionReader>, Arc<Mutex<Pauses>>);
impl PartitionReader for BurstReader {
    fn next_split(&mut self) -> Result<Option<Box<dyn Split>>, SourceError> {
        let Some(inner) = self.0.next_split()? else { return Ok(None) };
        Ok(Some(Box::new(BurstSplit { inner, given: 0, until: BURST_ROWS, pauses: self.1.clone() })))
    }
}

struct BurstSplit {
    inner: Box<dyn Split>,
    given: usize,
    until: usize,
    pauses: Arc<Mutex<Pauses>>,
}

impl Split for BurstSplit {
    fn read(&mut self, _: usize) -> Result<Read, SourceError> {
        if self.given == self.until {
            if self.pauses.lock().unwrap().ask(self.given) {
                self.until += BURST_ROWS;
            }
            return Ok(Read::Pending(Duration::from_micros(20)));
        }
        self.given += 1;
        self.inner.read(1)
    }
}

struct BurstParts(TestParts, Arc<Mutex<Pauses>>);
impl Parts for BurstParts {
    fn source(&self, _: &SourceSpec, _: &RunOptions) -> Result<Arc<dyn Source>, BuildError> {
        let infos = vec![PartitionInfo { name: "p0".into(), first_time_ms: None, start: None }];
        let inner = Memory { infos, rows: self.0.rows.clone(), split_rows: usize::MAX / 2, fault: Fault::None };
        Ok(Arc::new(Bursts { inner, pauses: self.1.clone() }))
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

/// Every epoch may be a checkpoint, and while nothing is read hundreds of epochs are closed. What the rows before have
/// come to becomes durable and is shown all the same.
#[test]
fn a_job_in_which_nothing_happens_takes_no_checkpoints() {
    let rows: Rows = vec![(0..1_000).map(|i| (i % 7, i * 5)).collect()];
    for workers in [1, 2] {
        let (store, control) = (Arc::new(MemoryStore::default()), Control::new());
        let seen = Pauses {
            store: store.clone(),
            control: control.clone(),
            asked: 0,
            settled: 0,
            seen: Vec::new(),
            since: Instant::now(),
        };
        let pauses = Arc::new(Mutex::new(seen));
        let inner = one_by_one(&rows);
        let log = inner.log.clone();
        let parts: Arc<dyn Parts> = Arc::new(BurstParts(inner, pauses.clone()));
        let options = RunOptions { workers, batch_rows: 5, epoch_rows: 10, epoch_age_ms: 0, ..RunOptions::default() };
        let keep = Keep {
            store: store as Arc<dyn Store>,
            key: None,
            every: Every::Epochs(1),
            failures_max: 1,
            backoff: Duration::ZERO,
            allow: Allow::default(),
        };
        let outcome = run_with_state(&graph(), &parts, &options, &control, &keep);
        assert!(matches!(outcome, Err(JobError::Interrupted)), "{outcome:?}");
        let seen = std::mem::take(&mut pauses.lock().unwrap().seen);
        // A worker may have known less at the barrier than it promised behind it; and what is shown then is noted.
        let more_max = 2 * (workers as u64 + 1);
        assert!(seen.iter().all(|(settled, newest)| newest - settled <= more_max), "{seen:?}");
        assert!(seen.windows(2).all(|s| s[0].1 < s[1].0), "{seen:?}");
        // Windows that the last row completes: it has the largest time, and the watermark is behind it by the delay.
        let read = BURSTS * BURST_ROWS;
        let watermark = rows[0][read - 1].1 - DELAY + 1;
        let mut want = oracle(&vec![rows[0][..read].to_vec()]).0;
        want.retain(|(end, ..)| *end <= watermark);
        let mut shown = log.lock().unwrap().rows.clone();
        shown.sort_unstable();
        assert_eq!(shown, want, "{workers} workers");
    }
}
