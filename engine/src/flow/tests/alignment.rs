//! `scan.watermark.alignment.max-drift`: a partition far ahead in event time waits for the slowest, and no result changes.

use super::*;

const SLOW: i64 = 1;
/// Milliseconds of event time from row to row, in both partitions.
const STEP: i64 = 10;
const BATCH: i64 = 10;

/// What was decoded, in that order: key and time of the last row of each chunk.
type Log = Arc<Mutex<Vec<(i64, i64)>>>;

/// Takes its time with the rows of the slow partition.
struct Program(Log);
impl RowProgram for Program {
    fn apply(&mut self, columns: &RecordBatch) -> Result<Projected, OperatorError> {
        let last = columns.num_rows() - 1;
        let key = columns.column(0).as_primitive::<Int64Type>().value(last);
        if key == SLOW {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        let time = columns.column(1).as_primitive::<TimestampMillisecondType>().value(last);
        self.0.lock().unwrap().push((key, time));
        Same.apply(columns)
    }
}

struct Watched(TestParts, Log);
impl Parts for Watched {
    fn source(&self, spec: &SourceSpec, options: &RunOptions) -> Result<Arc<dyn Source>, BuildError> {
        self.0.source(spec, options)
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
    fn row_program(&self, _: &MapSpec, _: &SchemaRef, _: &SchemaRef) -> Result<Box<dyn RowProgram>, BuildError> {
        Ok(Box::new(Program(self.1.clone())))
    }
}

fn parts(rows: Rows) -> TestParts {
    TestParts {
        rows,
        split_rows: 10_000,
        fault: Fault::None,
        written: Arc::default(),
        ended: Arc::default(),
        log: Arc::default(),
    }
}

/// The most that the fast partition was ahead of the slow one, and the results. The first look reads as much of both, of the
/// slow one first.
fn ahead_ms(max_drift_ms: i64) -> (i64, crate::digest::Digest) {
    let mut graph = graph();
    let Step::Source(spec) = &mut graph.nodes[0].step else { panic!("the first step is the source") };
    spec.max_drift_ms = max_drift_ms;
    let rows = [SLOW, 2].map(|key| (0..3_000).map(|i| (key, i * STEP)).collect()).to_vec();
    let log = Log::default();
    let options = RunOptions { workers: 2, batch_rows: BATCH as usize, ..RunOptions::default() };
    let report = run(&graph, Arc::new(Watched(parts(rows), log.clone())), &options, &Control::new()).unwrap();
    let (mut slow, mut most) = (0, 0);
    for &(key, time) in log.lock().unwrap().iter() {
        match key {
            SLOW => slow = slow.max(time),
            _ => most = most.max(time - slow),
        }
    }
    (most, report.sinks[0].digest)
}

#[test]
fn a_fast_partition_is_at_most_the_drift_and_a_chunk_ahead() {
    let (aligned, digest) = ahead_ms(500);
    assert!(aligned <= 500 + BATCH * STEP, "{aligned} ms ahead");
    let (free, same) = ahead_ms(1_000_000);
    assert!(free > 10_000, "it would have kept together by itself: {free} ms");
    assert_eq!(digest, same);
}
