//! The runtime with small parts: what must hold whatever the workers, batches and epochs, and how a job ends badly.

mod alignment;
mod attempts;
mod bad_rows;
mod checkpoints;
mod damage;
mod metrics;
mod publishing;
mod quiet;
pub(super) mod schedules;

use super::{Control, run};
use crate::batch::{Batch, Offsets};
use crate::error::{BuildError, JobError, OperatorError, SinkError, SourceError};
use crate::expr::Expr;
use crate::graph::*;
use crate::hash::{hash_columns, key_group};
use crate::operator::{Operator, Output};
use crate::parts::{Parts, Projected, Role, RowProgram};
use crate::sink::{Publisher, Sink, SinkTable};
use crate::source::{BadRecord, Chunk, PartitionInfo, PartitionReader, Position, Read, Source, Split};
use crate::state::Snapshot;
use crate::state::codec::{Reader, Writer};
use crate::time::Progress;
use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, TimestampMillisecondArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimeUnit, TimestampMillisecondType};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Rows `(key, time)` of each partition; a negative key is a bad record.
type Rows = Vec<Vec<(i64, i64)>>;

const SIZE: i64 = 100;
const DELAY: i64 = 20;

/// What goes wrong in a run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    Panic,
    Operator,
    Source,
}

struct TestParts {
    rows: Rows,
    split_rows: usize,
    fault: Fault,
    written: Arc<Mutex<Vec<(i64, i64, i64)>>>,
    ended: Arc<Mutex<Vec<&'static str>>>,
    /// What publishers have shown.
    log: checkpoints::Log,
}

fn columns() -> SchemaRef {
    let time = DataType::Timestamp(TimeUnit::Millisecond, None);
    Arc::new(Schema::new(vec![Field::new("key", DataType::Int64, false), Field::new("ts", time, false)]))
}
fn counts() -> SchemaRef {
    let int = |n| Field::new(n, DataType::Int64, false);
    let time = |n| Field::new(n, DataType::Timestamp(TimeUnit::Millisecond, None), false);
    Arc::new(Schema::new(vec![int("key"), time("window_start"), time("window_end"), time("window_time"), int("rows")]))
}

struct Memory {
    infos: Vec<PartitionInfo>,
    rows: Rows,
    split_rows: usize,
    fault: Fault,
}
struct MemoryReader(Vec<(i64, i64)>, usize, usize, Fault);
struct MemorySplit(Vec<(i64, i64)>, usize, i64, Fault);

impl Source for Memory {
    fn partitions(&self) -> &[PartitionInfo] {
        &self.infos
    }
    fn open(&self, index: usize, from: Option<&Position>) -> Result<Box<dyn PartitionReader>, SourceError> {
        let at = from.map_or(0, |p| p.at as usize);
        Ok(Box::new(MemoryReader(self.rows[index].clone(), at, self.split_rows, self.fault)))
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
impl PartitionReader for MemoryReader {
    fn next_split(&mut self) -> Result<Option<Box<dyn Split>>, SourceError> {
        if self.1 >= self.0.len() {
            return Ok(None);
        }
        let end = (self.1 + self.2).min(self.0.len());
        let split = MemorySplit(self.0[self.1..end].to_vec(), 0, self.1 as i64, self.3);
        self.1 = end;
        Ok(Some(Box::new(split)))
    }
}
impl Split for MemorySplit {
    fn read(&mut self, max_rows: usize) -> Result<Read, SourceError> {
        if self.3 == Fault::Source && self.2 > 50 {
            return Err(SourceError::new("the disk is gone"));
        }
        let end = (self.1 + max_rows).min(self.0.len());
        let part = &self.0[self.1..end];
        if part.is_empty() {
            return Ok(Read::End);
        }
        let base = self.2 + self.1 as i64;
        self.1 = end;
        let good: Vec<_> = part.iter().enumerate().filter(|(_, r)| r.0 >= 0).collect();
        let bad = part.iter().enumerate().filter(|(_, r)| r.0 < 0);
        let bad =
            bad.map(|(i, _)| BadRecord { offset: base + i as i64, reason: "negative".into(), raw: None }).collect();
        let keys = Int64Array::from_iter_values(good.iter().map(|(_, r)| r.0));
        let times = TimestampMillisecondArray::from_iter_values(good.iter().map(|(_, r)| r.1));
        let columns = RecordBatch::try_new(columns(), vec![Arc::new(keys), Arc::new(times)]).unwrap();
        let offsets = Offsets::List(good.iter().map(|(i, _)| base + *i as i64).collect());
        let end = Position { offset: self.2 + end as i64, at: (self.2 + end as i64) as u64 };
        Ok(Read::Rows(Chunk { columns, offsets, bad, bytes: 1, end }))
    }
}

struct Same;
impl RowProgram for Same {
    fn apply(&mut self, columns: &RecordBatch) -> Result<Projected, OperatorError> {
        Ok(Projected { columns: columns.clone(), kept: None, bad: vec![] })
    }
}

/// Rows per key and tumbling window, by the rules of the semantics and as simply as they can be written.
struct Count(BTreeMap<(i64, i64), i64>, Fault);
impl Operator for Count {
    fn on_batch(&mut self, _: usize, batch: Batch, out: &mut Output) -> Result<(), OperatorError> {
        for i in 0..batch.rows() {
            let end = (batch.times()[i].div_euclid(SIZE) + 1) * SIZE;
            if batch.tag(i).is_some_and(|w| end <= w) {
                out.refused += 1;
                continue;
            }
            let key = batch.column(0).as_primitive::<Int64Type>().value(i);
            assert!(self.1 != Fault::Panic || key != 7, "key seven");
            if self.1 == Fault::Operator && key == 7 {
                return Err(OperatorError::new("key seven"));
            }
            *self.0.entry((end, key)).or_default() += 1;
        }
        Ok(())
    }
    fn on_watermark(&mut self, p: Progress, out: &mut Output) -> Result<(), OperatorError> {
        while let Some((&(end, key), &n)) = self.0.first_key_value().filter(|((end, _), _)| p.watermark.closes(*end)) {
            self.0.pop_first();
            let int = |v: i64| Arc::new(Int64Array::from(vec![v])) as _;
            let time = |v: i64| Arc::new(TimestampMillisecondArray::from(vec![v])) as _;
            let columns = vec![int(key), time(end - SIZE), time(end), time(end - 1), int(n)];
            let row = RecordBatch::try_new(counts(), columns).unwrap();
            out.push(Batch::new(row, vec![end - 1].into()));
        }
        Ok(())
    }
    fn snapshot(&mut self, into: &mut Snapshot) -> Result<(), OperatorError> {
        for (&(end, key), &n) in &self.0 {
            let keys: ArrayRef = Arc::new(Int64Array::from(vec![key]));
            let mut w = Writer::new();
            [end, key, n].into_iter().for_each(|v| w.i64(v));
            into.put(key_group(hash_columns(&[keys], 1)[0]), w.finish());
        }
        Ok(())
    }
    fn restore(&mut self, from: Snapshot) -> Result<(), OperatorError> {
        for part in from.into_parts() {
            let mut r = Reader::new(&part.bytes);
            let (end, key, n) = (r.i64()?, r.i64()?, r.i64()?);
            assert!(self.0.insert((end, key), n).is_none(), "restored twice: {key} in the window to {end}");
        }
        Ok(())
    }
    fn state_bytes(&self) -> usize {
        self.0.len()
    }
}

/// The rows of a publication, as [`Collect`] reads them.
fn collected(
    rows: &mut dyn Iterator<Item = Result<RecordBatch, SinkError>>,
) -> Result<Vec<(i64, i64, i64)>, SinkError> {
    let mut collect = Collect(Arc::default(), Arc::default());
    for batch in rows {
        collect.write(&batch?)?;
    }
    let written = std::mem::take(&mut *collect.0.lock().unwrap());
    Ok(written)
}

struct Collect(Arc<Mutex<Vec<(i64, i64, i64)>>>, Arc<Mutex<Vec<&'static str>>>);
impl SinkTable for Collect {
    fn open(&self, _: usize) -> Result<Box<dyn Sink>, SinkError> {
        Ok(Box::new(Collect(self.0.clone(), self.1.clone())))
    }
    fn commit(&self) -> Result<(), SinkError> {
        self.1.lock().unwrap().push("commit");
        Ok(())
    }
    fn abort(&self) {
        self.1.lock().unwrap().push("abort");
    }
}
impl Sink for Collect {
    fn write(&mut self, rows: &RecordBatch) -> Result<(), SinkError> {
        if rows.schema() != counts() {
            return Ok(());
        }
        let int = |i: usize, r: usize| rows.column(i).as_primitive::<Int64Type>().value(r);
        let end = |r: usize| rows.column(2).as_primitive::<TimestampMillisecondType>().value(r);
        self.0.lock().unwrap().extend((0..rows.num_rows()).map(|r| (end(r), int(0, r), int(4, r))));
        Ok(())
    }
    fn finish(&mut self) -> Result<(), SinkError> {
        Ok(())
    }
}

impl Parts for TestParts {
    fn source(&self, _: &SourceSpec, _: &RunOptions) -> Result<Arc<dyn Source>, BuildError> {
        let info = |i| PartitionInfo { name: format!("p{i}"), first_time_ms: None, start: None };
        let infos = (0..self.rows.len()).map(info).collect();
        Ok(Arc::new(Memory { infos, rows: self.rows.clone(), split_rows: self.split_rows, fault: self.fault }))
    }
    fn sink(&self, _: &SinkSpec, _: &SchemaRef) -> Result<Arc<dyn SinkTable>, BuildError> {
        Ok(Arc::new(Collect(self.written.clone(), self.ended.clone())))
    }
    fn publisher(&self, _: &SinkSpec, _: &SchemaRef, _: bool) -> Result<Box<dyn Publisher>, BuildError> {
        Ok(Box::new(checkpoints::LogPublisher(self.log.clone())))
    }
    fn operator(&self, _: &Node, _: &SchemaRef, _: Role) -> Result<Box<dyn Operator>, BuildError> {
        Ok(Box::new(Count(BTreeMap::new(), self.fault)))
    }
    fn partials(&self, _: &Node, _: &SchemaRef) -> Option<SchemaRef> {
        None
    }
    fn row_program(&self, _: &MapSpec, _: &SchemaRef, _: &SchemaRef) -> Result<Box<dyn RowProgram>, BuildError> {
        Ok(Box::new(Same))
    }
}

fn graph() -> JobGraph {
    let source = SourceSpec {
        table: "payments".into(),
        connector: "memory".into(),
        options: BTreeMap::new(),
        physical: columns(),
        read: vec![0, 1],
        map: MapSpec { filter: None, columns: vec![Expr::Column(0), Expr::Column(1)], query: "payments".into() },
        time: 1,
        watermark_delay_ms: DELAY,
        time_min_ms: 0,
        time_max_ms: i64::MAX,
        max_drift_ms: 60_000,
        bad_rows_max: crate::limits::BAD_ROWS_MAX,
        open_max: 3,
        idle_ms: None,
        not_null: vec![],
        reads: TimeRange::ALL,
    };
    let count = Aggregate {
        function: AggregateFunction::Count,
        argument: None,
        distinct: false,
        by: None,
        separator: String::new(),
        filter: None,
        returns: DataType::Int64,
        label: "COUNT(*)".into(),
    };
    let window = WindowSpec {
        window: WindowKind::Tumble { size_ms: SIZE, offset_ms: 0 },
        keys: vec![0],
        aggregates: vec![count],
    };
    let sink = SinkSpec { table: "out".into(), connector: "collect".into(), options: BTreeMap::new(), arrival: false };
    let node = |name: &str, inputs, step, schema| Node { name: name.into(), inputs, step, schema };
    let nodes = vec![
        node("payments", vec![], Step::Source(source), columns()),
        node("out.window", vec![0], Step::Window(window), counts()),
        node("out", vec![1], Step::Sink(sink), counts()),
    ];
    JobGraph { name: "count".into(), nodes }
}

/// Windows by the rules alone: rows in partition order, late by their own partition.
fn oracle(rows: &Rows) -> (Vec<(i64, i64, i64)>, u64, u64) {
    let (mut out, mut late, mut bad) = (BTreeMap::new(), 0, 0);
    for partition in rows {
        let mut max = i64::MIN;
        for &(key, t) in partition {
            if key < 0 {
                bad += 1;
                continue;
            }
            let watermark = if max == i64::MIN { i64::MIN } else { max - DELAY + 1 };
            late += u64::from(t < watermark);
            let end = (t.div_euclid(SIZE) + 1) * SIZE;
            if end > watermark {
                *out.entry((end, key)).or_default() += 1;
            }
            max = max.max(t);
        }
    }
    (out.into_iter().map(|((e, k), n)| (e, k, n)).collect(), late, bad)
}

fn rows(partitions: usize, each: usize) -> Rows {
    let mut x = 7u64;
    let mut next = |n: i64| {
        x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((x >> 33) as i64) % n
    };
    let row = |i: usize, next: &mut dyn FnMut(i64) -> i64| {
        (next(10) - i64::from(next(30) == 0) * 20, i as i64 * 3 + next(60))
    };
    (0..partitions).map(|_| (0..each).map(|i| row(i, &mut next)).collect()).collect()
}

struct Outcome {
    result: Result<super::Report, JobError>,
    written: Vec<(i64, i64, i64)>,
    ended: Vec<&'static str>,
}

/// The same job with a sink of bad rows in front of the other one.
fn graph_with_errors() -> JobGraph {
    let mut graph = graph();
    let field = |name: &str, t| Field::new(name, t, true);
    let time = DataType::Timestamp(TimeUnit::Millisecond, None);
    let fields = [
        ("partition", DataType::Utf8),
        ("position", DataType::Int64),
        ("reason", DataType::Utf8),
        ("raw", DataType::Binary),
        ("watermark", time),
    ];
    let schema = Arc::new(Schema::new(fields.map(|(n, t)| field(n, t)).to_vec()));
    let sink = SinkSpec { table: "bad".into(), connector: "collect".into(), options: BTreeMap::new(), arrival: false };
    let node = |name: &str, inputs, step| Node { name: name.into(), inputs, step, schema: schema.clone() };
    graph.nodes.insert(1, node("payments$errors", vec![0], Step::Errors));
    graph.nodes.insert(2, node("bad", vec![1], Step::Sink(sink)));
    graph.nodes[4].inputs = vec![3];
    graph
}

#[test]
fn counts_belong_to_their_sinks_wherever_bad_rows_are_read() {
    let rows = rows(3, 100);
    let (want, _, bad) = oracle(&rows);
    for workers in [1, 2] {
        let parts = TestParts {
            rows: rows.clone(),
            split_rows: 40,
            fault: Fault::None,
            written: Arc::default(),
            ended: Arc::default(),
            log: Arc::default(),
        };
        let options = RunOptions { workers, batch_rows: 16, ..RunOptions::default() };
        let report = run(&graph_with_errors(), Arc::new(parts), &options, &Control::new()).unwrap();
        let counted: Vec<_> = report.sinks.iter().map(|s| (s.table.as_str(), s.rows)).collect();
        assert_eq!(counted, [("bad", bad), ("out", want.len() as u64)]);
        assert!(report.sources[0].unrouted_errors.is_empty() && report.sources[0].errors == bad);
    }
}

fn go(rows: &Rows, split_rows: usize, fault: Fault, options: RunOptions) -> Outcome {
    let (written, ended) = (Arc::default(), Arc::default());
    let parts = TestParts {
        rows: rows.clone(),
        split_rows,
        fault,
        written: Arc::clone(&written),
        ended: Arc::clone(&ended),
        log: Arc::default(),
    };
    let result = run(&graph(), Arc::new(parts), &options, &Control::new());
    let mut written = written.lock().unwrap().clone();
    written.sort_unstable();
    let ended = ended.lock().unwrap().clone();
    Outcome { result, written, ended }
}

#[test]
fn results_do_not_depend_on_workers_batches_splits_or_epochs() {
    for (partitions, each) in [(1, 300), (5, 120), (3, 0), (70, 9)] {
        let rows = rows(partitions, each);
        let (want, late, bad) = oracle(&rows);
        let mut digests = Vec::new();
        for workers in [1, 2, 4] {
            for (batch_rows, split_rows, epoch_rows) in
                [(1, 7, 1), (16, 50, 40), (8192, 10_000, usize::MAX), (5, 5, 1000)]
            {
                let options = RunOptions { workers, batch_rows, epoch_rows, ..RunOptions::default() };
                let got = go(&rows, split_rows, Fault::None, options);
                let report = got.result.unwrap();
                let at = format!(
                    "{workers} workers, batches of {batch_rows}, splits of {split_rows}, epochs of {epoch_rows}"
                );
                assert_eq!(got.written, want, "{at}");
                let s = &report.sources[0];
                assert_eq!((s.rows, s.late, s.errors), ((partitions * each) as u64, late, bad), "{at}");
                assert_eq!(s.unrouted_errors.len() as u64, bad.min(1000), "{at}");
                assert_eq!(s.unrouted_late.iter().map(|b| b.num_rows() as u64).sum::<u64>(), late.min(1000), "{at}");
                assert_eq!(got.ended, ["commit"]);
                assert!(report.latency_us.is_none());
                digests.push(report.sinks[0].digest);
            }
        }
        assert!(digests.windows(2).all(|d| d[0] == d[1]));
    }
}

#[test]
fn a_failure_ends_the_job_with_its_cause_and_shows_nothing() {
    let rows = rows(4, 200);
    for workers in [1, 3] {
        let fail = |fault| {
            let options = RunOptions { workers, batch_rows: 16, epoch_rows: 32, ..RunOptions::default() };
            let got = go(&rows, 40, fault, options);
            assert_eq!(got.ended, ["abort"]);
            got.result.unwrap_err().to_string()
        };
        assert_eq!(fail(Fault::Operator), "out.window: key seven");
        assert_eq!(fail(Fault::Source), "source payments: the disk is gone");
        let panic = fail(Fault::Panic);
        assert!(panic.contains("panicked: key seven"), "{panic}");
    }
}

#[test]
fn a_stopped_job_ends_as_interrupted() {
    let control = Control::new();
    control.stop();
    let parts = TestParts {
        rows: rows(2, 100),
        split_rows: 10,
        fault: Fault::None,
        written: Arc::default(),
        ended: Arc::default(),
        log: Arc::default(),
    };
    let options = RunOptions { workers: 2, ..RunOptions::default() };
    assert!(matches!(run(&graph(), Arc::new(parts), &options, &control), Err(JobError::Interrupted)));
}
