//! The engine's side: each workload as a job of the Rust builder, run by the public runtime over batches in memory.

use crate::check::Check;
use crate::memory::Memory;
use crate::payments::{DELAY_MS, Payment};
use crate::workload::{GAP_MS, THIRTY_FRAMES_MS, TOP, Workload};
use anyhow::{Context, Result};
use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, Decimal128Type, Int64Type, SchemaRef};
use highwater_connectors::blackhole::Blackhole;
use highwater_connectors::unmarked::Unmarked;
use highwater_engine::builder::*;
use highwater_engine::checkpoint::LocalStore;
use highwater_engine::error::{BuildError, SinkError};
use highwater_engine::flow::evolution::Allow;
use highwater_engine::flow::{Control, Every, Keep, Report};
use highwater_engine::graph::{JobGraph, MapSpec, Node, RunOptions, SinkSpec, SourceSpec, Step};
use highwater_engine::operator::Operator;
use highwater_engine::parts::{Parts, Role, RowProgram};
use highwater_engine::sink::{Publisher, Sink, SinkTable};
use highwater_engine::source::Source;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The workload as a job whose results go to `output`.
pub fn graph(workload: Workload, output: Table) -> Result<JobGraph> {
    let job = Job::new(workload.name());
    let payments = job.source(table(workload));
    let results = match workload {
        Workload::W1 => {
            payments.key_by(["merchant"]).tumble(minutes(1)).aggregate([count(), sum("amount"), max("amount")])
        }
        Workload::W2 => payments.key_by(["card"]).hop(minutes(5), hours(1)).aggregate([count(), sum("amount")]),
        Workload::W3 => payments.key_by(["card"]).trailing([over(hours(1)).count(), over(hours(1)).sum("amount")]),
        Workload::W4 => velocity(payments),
        Workload::W5 => payments.key_by(["card"]).session(of_ms(GAP_MS)).aggregate([count(), sum("amount")]),
        Workload::W6 => {
            payments.key_by(["merchant"]).cumulate(minutes(5), hours(1)).aggregate([count(), sum("amount")])
        }
        Workload::W7 => {
            let hour = payments.key_by(["merchant"]).tumble(hours(1));
            hour.first(TOP as u64, [descending("amount")]).select([col("merchant"), col("amount").named("sum_amount")])
        }
        Workload::W8 => {
            let hour = payments.key_by(["card"]).tumble(hours(1));
            // of two payments at once the smaller, so that the answer does not depend on partitions
            let first = hour.first(1, [ascending("ts"), ascending("amount")]);
            first.select([col("card"), col("amount").named("sum_amount")])
        }
        Workload::W9 => {
            let frames = THIRTY_FRAMES_MS.map(of_ms);
            payments
                .key_by(["card"])
                .trailing(frames.into_iter().flat_map(|d| [over(d).count(), over(d).sum("amount")]))
        }
    };
    results.sink(output);
    Ok(job.build()?)
}

/// The payments with the columns that the workload needs.
fn table(workload: Workload) -> Table {
    let columns: &[&str] = match workload {
        Workload::W1 | Workload::W6 | Workload::W7 => &["merchant"],
        Workload::W2 | Workload::W3 | Workload::W5 | Workload::W8 | Workload::W9 => &["card"],
        Workload::W4 => &["card", "device", "merchant"],
    };
    let table = Table::new("payments", "memory").watermark("ts", milliseconds(DELAY_MS as u64));
    let table = columns.iter().fold(table, |t, c| t.column_not_null(*c, BIGINT));
    table.column_not_null("amount", decimal(12, 2)).column_not_null("ts", TIMESTAMP)
}

fn of_ms(ms: i64) -> Duration {
    milliseconds(ms as u64)
}

fn velocity(payments: Stream) -> Stream {
    let frames = [("1m", minutes(1)), ("10m", minutes(10)), ("1h", hours(1)), ("24h", hours(24))];
    let every = |f: fn(&str, Duration) -> Vec<(Trailing, Call)>| frames.iter().flat_map(move |(n, d)| f(n, *d));
    let card = every(|n, d| {
        let distinct = over(d).call(count_distinct("merchant").named(format!("card_merchants_{n}")));
        let count = over(d).call(count().named(format!("card_count_{n}")));
        vec![count, over(d).call(sum("amount").named(format!("card_sum_{n}"))), distinct]
    });
    let device = every(|n, d| {
        let distinct = over(d).call(count_distinct("card").named(format!("device_cards_{n}")));
        vec![over(d).call(count().named(format!("device_count_{n}"))), distinct]
    });
    let merchant = every(|n, d| {
        let count = over(d).call(count().named(format!("merchant_count_{n}")));
        vec![count, over(d).call(sum("amount").named(format!("merchant_sum_{n}")))]
    });
    let stream = payments.key_by(["card"]).trailing(card);
    stream.key_by(["device"]).trailing(device).key_by(["merchant"]).trailing(merchant)
}

/// Rows in memory, ready to be run over.
pub struct Prepared {
    graph: JobGraph,
    parts: Arc<BenchParts>,
}

impl Prepared {
    /// Turns the rows into the batches that the workload reads, in a partition for each worker.
    pub fn new(workload: Workload, rows: &[Payment], workers: usize, output: Table) -> Result<Self> {
        let graph = graph(workload, output)?;
        let source = Arc::new(Memory::new(rows, payments_of(&graph)?, workers)?);
        Ok(Self { graph, parts: Arc::new(BenchParts::new(source)) })
    }

    /// Keeps some of the batches that are written, for [`Prepared::sample`].
    pub fn sampled(self) -> Self {
        let BenchParts { source, written, .. } = &*self.parts;
        let parts = BenchParts { source: source.clone(), written: written.clone(), kept: SAMPLE_BATCHES };
        Self { parts: Arc::new(parts), ..self }
    }

    /// Runs the job.
    pub fn run(&self, workers: usize) -> Result<Check> {
        let options = RunOptions { workers, ..RunOptions::default() };
        let report = highwater_engine::flow::run(&self.graph, self.parts.clone(), &options, &Control::new())?;
        anyhow::ensure!(report.sources[0].late == 0, "{} rows came late", report.sources[0].late);
        let check = self.parts.written.lock().unwrap_or_else(PoisonError::into_inner).check;
        // Only the sink that sums up knows more than the number of rows.
        Ok(Check { rows: report.sinks[0].rows as i64, ..check })
    }

    /// Runs the job with a checkpoint a second, kept in `folder`.
    pub fn run_kept(&self, workers: usize, folder: &Path) -> Result<Report> {
        let parts: Arc<dyn Parts> = self.parts.clone();
        run_kept(&self.graph, &parts, workers, folder, &Control::new())
    }

    /// Some of the batches that were written, with the sink's schema, if it is [`sampled`](Prepared::sampled).
    pub fn sample(&self) -> Result<Vec<RecordBatch>> {
        let written = self.parts.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.sample.first().context("nothing was written")?;
        Ok(written.sample.clone())
    }
}

/// The table that a workload reads.
pub fn payments_of(graph: &JobGraph) -> Result<&SourceSpec> {
    let Step::Source(spec) = &graph.nodes[0].step else { anyhow::bail!("the first node is the source") };
    Ok(spec)
}

/// Runs a job with a checkpoint a second, kept in `folder`.
pub fn run_kept(
    graph: &JobGraph,
    parts: &Arc<dyn Parts>,
    workers: usize,
    folder: &Path,
    control: &Control,
) -> Result<Report> {
    let options = RunOptions { workers, ..RunOptions::default() };
    let keep = Keep {
        store: Arc::new(LocalStore::open(folder)?),
        key: None,
        every: Every::Interval(Duration::from_secs(1)),
        failures_max: 1,
        backoff: Duration::ZERO,
        allow: Allow::default(),
    };
    Ok(highwater_engine::flow::run_with_state(graph, parts, &options, control, &keep)?)
}

/// Batches that are kept to be digested again.
const SAMPLE_BATCHES: usize = 64;

#[derive(Default)]
struct Written {
    check: Check,
    sample: Vec<RecordBatch>,
}

/// The connector of the sink that sums up.
pub const SUMS: &str = "check";

/// The operators and sinks of the product behind one source of our own; and a sink that sums up, which shows nothing.
pub struct BenchParts {
    source: Arc<dyn Source>,
    written: Arc<Mutex<Written>>,
    /// Batches that each worker keeps.
    kept: usize,
}

impl BenchParts {
    /// Every table of the job is this source.
    pub fn new(source: Arc<dyn Source>) -> Self {
        Self { source, written: Arc::default(), kept: 0 }
    }
}

impl Parts for BenchParts {
    fn source(&self, _: &SourceSpec, _: &RunOptions) -> Result<Arc<dyn Source>, BuildError> {
        Ok(self.source.clone())
    }
    fn sink(&self, spec: &SinkSpec, schema: &SchemaRef) -> Result<Arc<dyn SinkTable>, BuildError> {
        if spec.connector != SUMS {
            return highwater_connectors::sink(spec, schema);
        }
        Ok(Arc::new(Sums { columns: Columns::of(schema), written: self.written.clone(), kept: self.kept }))
    }
    fn publisher(&self, spec: &SinkSpec, schema: &SchemaRef, resumed: bool) -> Result<Box<dyn Publisher>, BuildError> {
        match spec.connector.as_str() {
            SUMS => Ok(Box::new(Unmarked::never(Blackhole))),
            _ => highwater_connectors::publisher(spec, schema, resumed),
        }
    }
    fn operator(&self, node: &Node, input: &SchemaRef, role: Role) -> Result<Box<dyn Operator>, BuildError> {
        highwater_operators::operator(node, input, role)
    }
    fn partials(&self, node: &Node, input: &SchemaRef) -> Option<SchemaRef> {
        highwater_operators::partials(node, input)
    }
    fn row_program(&self, map: &MapSpec, i: &SchemaRef, o: &SchemaRef) -> Result<Box<dyn RowProgram>, BuildError> {
        highwater_operators::row_program(map, i, o)
    }
}

/// The columns that a [`Check`] sums.
#[derive(Clone)]
struct Columns {
    counts: Vec<usize>,
    sums: Vec<usize>,
    others: Vec<usize>,
}

impl Columns {
    fn of(schema: &SchemaRef) -> Self {
        let named = |parts: &[&str]| {
            let is = |i: &usize| parts.iter().any(|p| schema.field(*i).name().contains(p));
            (0..schema.fields().len()).filter(is).collect()
        };
        Self { counts: named(&["count"]), sums: named(&["sum_"]), others: named(&["max_", "_merchants_", "_cards_"]) }
    }
}

struct Sums {
    columns: Columns,
    written: Arc<Mutex<Written>>,
    kept: usize,
}

impl SinkTable for Sums {
    fn open(&self, _: usize) -> Result<Box<dyn Sink>, SinkError> {
        let (columns, written) = (self.columns.clone(), self.written.clone());
        Ok(Box::new(Writer { columns, own: Written::default(), written, kept: self.kept }))
    }
    fn commit(&self) -> Result<(), SinkError> {
        Ok(())
    }
    fn abort(&self) {}
}

struct Writer {
    columns: Columns,
    own: Written,
    written: Arc<Mutex<Written>>,
    kept: usize,
}

impl Sink for Writer {
    fn write(&mut self, rows: &RecordBatch) -> Result<(), SinkError> {
        let total = |columns: &[usize]| columns.iter().map(|i| total(rows, *i)).sum();
        let c = &self.columns;
        self.own.check.add(Check {
            rows: rows.num_rows() as i64,
            count: total(&c.counts),
            sum: total(&c.sums),
            other: total(&c.others),
        });
        if self.own.sample.len() < self.kept {
            self.own.sample.push(rows.clone());
        }
        Ok(())
    }
    fn finish(&mut self) -> Result<(), SinkError> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.check.add(self.own.check);
        written.sample.append(&mut self.own.sample);
        Ok(())
    }
}

/// The sum of a column of BIGINT or DECIMAL without NULL.
fn total(rows: &RecordBatch, column: usize) -> i64 {
    let column = rows.column(column);
    match column.data_type() {
        DataType::Int64 => column.as_primitive::<Int64Type>().values().iter().sum(),
        _ => column.as_primitive::<Decimal128Type>().values().iter().map(|v| *v as i64).sum(),
    }
}
