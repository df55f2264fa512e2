//! Metrics are read while a job runs, and are whole when it has ended.

use super::*;
use std::sync::mpsc::{Receiver, Sender, channel};

/// Waits in the middle: says so, and goes on when it is told to.
struct Gate {
    rows_left: i64,
    reached: Sender<()>,
    open: Receiver<()>,
}
struct Waits {
    looked: bool,
    gate: Option<Gate>,
}
type Gates = Mutex<Waits>;

struct Program(Option<Gate>);
impl RowProgram for Program {
    fn apply(&mut self, columns: &RecordBatch) -> Result<Projected, OperatorError> {
        if let Some(gate) = &mut self.0 {
            gate.rows_left -= columns.num_rows() as i64;
            if gate.rows_left <= 0 {
                gate.reached.send(()).unwrap();
                gate.open.recv().unwrap();
                self.0 = None;
            }
        }
        Same.apply(columns)
    }
}

struct Gated(TestParts, Gates);
impl Parts for Gated {
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
        // The first program is that of the first look at the input.
        let mut gates = self.1.lock().unwrap();
        let gate = if gates.looked { gates.gate.take() } else { None };
        gates.looked = true;
        Ok(Box::new(Program(gate)))
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

#[test]
fn metrics_are_read_in_the_middle_of_a_job_and_are_exact_at_its_end() {
    let rows: Rows = vec![(0..6_000).map(|i| (if i % 100 == 99 { -1 } else { i % 7 }, i)).collect()];
    let ((reached, hears), (opens, open)) = (channel(), channel());
    let gate = Gate { rows_left: 2_976, reached, open };
    let parts = Gated(parts(rows), Mutex::new(Waits { looked: false, gate: Some(gate) }));
    let options = RunOptions { batch_rows: 50, epoch_rows: 100, ..RunOptions::default() };
    let control = Control::new();
    assert!(control.metrics().is_none(), "there is no job yet");
    let (seen, report) = std::thread::scope(|scope| {
        let job = scope.spawn(|| run(&graph(), Arc::new(parts), &options, &control));
        hears.recv().unwrap();
        let seen = control.metrics().unwrap();
        opens.send(()).unwrap();
        (seen, job.join().unwrap().unwrap())
    });
    let [source, count, sink] = &seen.operators[..] else { panic!("{seen:?}") };
    // Decoded rows are counted when they are sent.
    assert!((3_900..4_100).contains(&source.total.rows_in), "{source:?}");
    assert!(source.event_time_ms.is_some_and(|ms| (3_900..4_100).contains(&ms)), "{source:?}");
    for step in [source, count, sink] {
        assert!(step.watermark_ms.is_some_and(|ms| (1..4_100).contains(&ms)), "{step:?}");
        assert!(step.total.busy_ns > 0 && step.batch_busy_ns.count > 0, "{step:?}");
        assert!(step.event_time_ms.is_some() && step.total.rows_out > 0, "{step:?}");
    }
    assert!(source.total.errors >= 30 && source.total.errors < 60);

    assert_eq!(control.metrics().as_ref(), Some(&report.operators));
    let [source, count, sink] = &report.operators.operators[..] else { panic!("{report:?}") };
    assert_eq!((source.total.rows_in, source.total.errors, source.event_time_ms), (6_000, 60, Some(5_998)));
    assert_eq!((count.total.rows_in, count.total.rows_out), (5_940, sink.total.rows_in));
    assert_eq!(sink.total.rows_in, report.sinks[0].rows);
    assert_eq!([source, count, sink].map(|step| step.watermark_ms), [Some(i64::MAX); 3]);
}

#[test]
fn a_sink_that_fails_is_counted() {
    struct Failing;
    impl SinkTable for Failing {
        fn open(&self, _: usize) -> Result<Box<dyn Sink>, SinkError> {
            Ok(Box::new(Failing))
        }
        fn commit(&self) -> Result<(), SinkError> {
            Ok(())
        }
        fn abort(&self) {}
    }
    impl Sink for Failing {
        fn write(&mut self, _: &RecordBatch) -> Result<(), SinkError> {
            Err(SinkError::new("no paper"))
        }
        fn finish(&mut self) -> Result<(), SinkError> {
            Ok(())
        }
    }
    struct WithoutPaper(TestParts);
    impl Parts for WithoutPaper {
        fn source(&self, spec: &SourceSpec, options: &RunOptions) -> Result<Arc<dyn Source>, BuildError> {
            self.0.source(spec, options)
        }
        fn sink(&self, _: &SinkSpec, _: &SchemaRef) -> Result<Arc<dyn SinkTable>, BuildError> {
            Ok(Arc::new(Failing))
        }
        fn publisher(&self, s: &SinkSpec, schema: &SchemaRef, resumed: bool) -> Result<Box<dyn Publisher>, BuildError> {
            self.0.publisher(s, schema, resumed)
        }
        fn operator(&self, node: &Node, input: &SchemaRef, role: Role) -> Result<Box<dyn Operator>, BuildError> {
            self.0.operator(node, input, role)
        }
        fn partials(&self, node: &Node, input: &SchemaRef) -> Option<SchemaRef> {
            self.0.partials(node, input)
        }
        fn row_program(&self, m: &MapSpec, a: &SchemaRef, b: &SchemaRef) -> Result<Box<dyn RowProgram>, BuildError> {
            self.0.row_program(m, a, b)
        }
    }
    let control = Control::new();
    let rows = vec![(0..500).map(|i| (i % 7, i)).collect()];
    let error = run(&graph(), Arc::new(WithoutPaper(parts(rows))), &RunOptions::default(), &control).unwrap_err();
    assert!(error.to_string().contains("no paper"), "{error}");
    assert_eq!(control.metrics().unwrap().operators.last().unwrap().total.errors, 1);
}
