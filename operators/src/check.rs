//! Tests of operators as scripts: rows and watermarks, `----`, expected rows.
//!
//! ```text
//! 08:01 | A | 4.00              a row: event time, then the columns of the input's schema
//! 08:02 @08:20 | A | 2.00       a late row: its lateness tag is 08:20
//! 08:03 #7/0/12 | A | 2.00      its identity: arrival cut, partition, offset
//! watermark 08:10               the promise; `watermark 08:10 cut 8` with a cut, `watermark end` for the end
//! ----
//! watermark 08:10               optional: what follows came out at this call, not before
//! 08:09:59.999 | A | 6.00       an expected row: event time, then the columns of the output's schema
//! refused 0                     optional: late rows refused in all
//! ```
//!
//! A time is `HH:MM[:SS[.mmm]]` of 1970-01-01, a date and a time, or milliseconds. NULL is `NULL`, text after `//` is a
//! remark. Rows of one call are compared as a set unless the first expected line is `ordered`. An input without
//! `watermark end` gets one. Every script runs three times, which must agree: row by row, with all rows between two
//! watermarks as one batch, and with a snapshot restored into a new operator before every step.

use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, SchemaRef, TimeUnit};
use arrow::util::display::array_value_to_string;
use highwater_engine::batch::{Arrival, Batch, Identity, ON_TIME};
use highwater_engine::operator::{Operator, Output};
use highwater_engine::state::Snapshot;
use highwater_engine::time::{Progress, Watermark};
use std::sync::Arc;

/// Makes a new operator under test.
pub type Make<'a> = &'a dyn Fn() -> Box<dyn Operator>;

/// A row of a script.
#[derive(Clone, Debug)]
struct Row {
    time: i64,
    tag: i64,
    /// Cut, partition, offset.
    identity: Option<(i64, u64, i64)>,
    columns: Vec<String>,
}

#[derive(Clone, Debug)]
enum Step {
    Row(Row),
    Watermark(Progress),
}

/// Runs a script against operators that read `input` and emit `output`.
///
/// # Panics
/// If the script can't be read, the operator fails, or the rows differ: it is a test.
pub fn check(make: Make, input: &SchemaRef, output: &SchemaRef, script: &str) {
    let (steps, expected) = script.split_once("----").expect("a script has a line `----`");
    let mut steps: Vec<Step> = lines(steps).map(step).collect();
    if !matches!(steps.last(), Some(Step::Watermark(p)) if p.watermark == Watermark::END) {
        steps.push(Step::Watermark(Progress::END));
    }
    let expected = Expected::read(expected, output);
    for (way, found) in [
        ("row by row", run(make, input, output, &steps, Way::Rows)),
        ("in batches", run(make, input, output, &steps, Way::Batches)),
        ("restored before every step", run(make, input, output, &steps, Way::Restored)),
    ] {
        let (found, refused) = found;
        let found = expected.view(found);
        assert!(
            found == expected.lines,
            "{way}\nexpected:\n  {}\nfound:\n  {}\n",
            expected.lines.join("\n  "),
            found.join("\n  ")
        );
        assert_eq!(expected.refused.unwrap_or(refused), refused, "{way}: refused rows");
    }
}

/// Runs a script whose operator must fail; returns the message.
///
/// # Panics
/// If the operator does not fail.
pub fn check_error(make: Make, input: &SchemaRef, script: &str) -> String {
    let mut op = make();
    for s in lines(script).map(step).chain([Step::Watermark(Progress::END)]) {
        let mut out = Output::default();
        let result = match s {
            Step::Row(r) => op.on_batch(0, batch(input, &[&r]), &mut out),
            Step::Watermark(p) => op.on_watermark(p, &mut out),
        };
        if let Err(e) = result {
            return e.message;
        }
    }
    panic!("the operator did not fail");
}

/// The rows of a batch as text: event time, then the columns, joined by ` | `.
pub fn rows_of(batch: &Batch) -> Vec<String> {
    let times: ArrayRef = Arc::new(TimestampMillisecondArray::new(batch.times().clone(), None));
    let columns = std::iter::once(&times).chain(batch.columns().columns());
    let columns: Vec<Vec<String>> = columns.map(texts).collect();
    (0..batch.rows()).map(|i| columns.iter().map(|c| c[i].as_str()).collect::<Vec<_>>().join(" | ")).collect()
}

fn texts(c: &ArrayRef) -> Vec<String> {
    let one = |i| if c.is_null(i) { "NULL".into() } else { array_value_to_string(c, i).expect("a value has a text") };
    (0..c.len()).map(one).collect()
}

#[derive(Clone, Copy, PartialEq)]
enum Way {
    Rows,
    Batches,
    Restored,
}

/// Output lines with the call they came from, and the refused rows.
type Found = (Vec<(Option<Progress>, Vec<String>)>, u64);

fn run(make: Make, input: &SchemaRef, output: &SchemaRef, steps: &[Step], way: Way) -> Found {
    let (mut op, mut lines, mut refused) = (make(), vec![], 0);
    let mut take = |call: Option<Progress>, out: Output| {
        for b in &out.batches {
            assert_eq!(&b.schema(), output, "the schema of an output batch");
        }
        lines.push((call, out.batches.iter().flat_map(rows_of).collect::<Vec<_>>()));
        refused += out.refused;
    };
    let (mut i, mut progress) = (0, Progress::START);
    let mut chain = Chain::default();
    while i < steps.len() {
        if way == Way::Restored {
            op = chain.restored(make, op, progress, &mut |out| take(None, out));
        }
        let mut out = Output::default();
        match &steps[i] {
            Step::Watermark(p) => {
                progress = *p;
                op.on_watermark(*p, &mut out).expect("the operator works");
                i += 1;
                take(Some(*p), out);
            }
            Step::Row(_) => {
                let rows = steps[i..].iter().map_while(|s| if let Step::Row(r) = s { Some(r) } else { None });
                let rows: Vec<&Row> = rows.take(if way == Way::Batches { usize::MAX } else { 1 }).collect();
                op.on_batch(0, batch(input, &rows), &mut out).expect("the operator works");
                i += rows.len();
                take(None, out);
            }
        }
    }
    (lines, refused)
}

/// The checkpoints of a script, each going on from the one before where the operator writes deltas.
#[derive(Default)]
struct Chain {
    state: Snapshot,
    checkpoint: u64,
}

impl Chain {
    /// A new operator with the state of `op`, taken when its epoch is complete.
    fn restored(
        &mut self,
        make: Make,
        mut op: Box<dyn Operator>,
        at: Progress,
        take: &mut dyn FnMut(Output),
    ) -> Box<dyn Operator> {
        let mut out = Output::default();
        op.on_watermark(at, &mut out).expect("the operator works");
        take(out);
        let mut snapshot = Snapshot::of_turn(self.checkpoint);
        op.snapshot(&mut snapshot).expect("the state can be written");
        self.state.follow(snapshot);
        self.checkpoint += 1;
        let mut new = make();
        new.restore(self.state.clone()).expect("the state can be read");
        new
    }
}

struct Expected {
    lines: Vec<String>,
    ordered: bool,
    calls: bool,
    refused: Option<u64>,
}

impl Expected {
    fn read(text: &str, output: &SchemaRef) -> Self {
        let mut e = Self { lines: vec![], ordered: false, calls: false, refused: None };
        let (mut group, mut groups) = (vec![], vec![]);
        for line in lines(text) {
            if line == "ordered" {
                e.ordered = true;
            } else if let Some(n) = line.strip_prefix("refused ") {
                e.refused = Some(n.trim().parse().expect("a number of rows"));
            } else if line.starts_with("watermark") {
                let Step::Watermark(p) = step(line) else { unreachable!("the line is a watermark") };
                e.calls = true;
                groups.push((None, std::mem::take(&mut group)));
                groups.push((Some(p), vec![]));
            } else {
                let Step::Row(r) = step(line) else { unreachable!("the line is a row") };
                let text = rows_of(&batch(output, &[&r])).remove(0);
                match groups.last_mut() {
                    Some((Some(_), rows)) => rows.push(text),
                    _ => group.push(text),
                }
            }
        }
        groups.push((None, group));
        e.lines = e.view(groups);
        e
    }

    /// What is compared: rows, and the calls that emitted some if the script names calls.
    fn view(&self, found: Vec<(Option<Progress>, Vec<String>)>) -> Vec<String> {
        let mut out = vec![];
        for (call, mut rows) in found {
            if let (true, Some(p), false) = (self.calls, call, rows.is_empty()) {
                out.push(format!("watermark {}", p.watermark));
            }
            if !self.ordered && self.calls {
                rows.sort();
            }
            out.extend(rows);
        }
        if !self.ordered && !self.calls {
            out.sort();
        }
        out
    }
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(|l| l.split("//").next().unwrap_or("").trim()).filter(|l| !l.is_empty())
}

fn step(line: &str) -> Step {
    if let Some(rest) = line.strip_prefix("watermark") {
        let words: Vec<&str> = rest.split_whitespace().collect();
        let (head, cut) = match words.iter().position(|w| *w == "cut") {
            Some(at) => (&words[..at], words[at + 1].parse().expect("a cut")),
            None => (&words[..], i64::MIN),
        };
        let head = head.join(" ");
        return Step::Watermark(match head.as_str() {
            "end" => Progress::END,
            t => Progress { watermark: Watermark::new(time(t)), cut },
        });
    }
    let mut cells = line.split('|').map(|c| c.trim().to_owned());
    let head = cells.next().unwrap_or_default();
    let (head, identity) = match head.split_once('#') {
        Some((h, id)) => (h.to_owned(), Some(identity(id.trim()))),
        None => (head, None),
    };
    let (at, tag) = match head.split_once('@') {
        Some((t, tag)) => (time(t.trim()), time(tag.trim())),
        None => (time(head.trim()), ON_TIME),
    };
    Step::Row(Row { time: at, tag, identity, columns: cells.collect() })
}

fn identity(text: &str) -> (i64, u64, i64) {
    let mut n = text.split('/').map(|p| p.trim().parse::<i64>().expect("cut/partition/offset"));
    let mut next = || n.next().expect("cut/partition/offset");
    (next(), next() as u64, next())
}

/// A time of a script in epoch milliseconds.
fn time(text: &str) -> i64 {
    if let Ok(ms) = text.parse() {
        return ms;
    }
    let full = if text.contains('-') { text.to_owned() } else { format!("1970-01-01 {text}") };
    let full = if full.matches(':').count() == 1 { format!("{full}:00") } else { full };
    let nanos = arrow::compute::kernels::cast_utils::string_to_timestamp_nanos(&full);
    nanos.unwrap_or_else(|e| panic!("{text} is not a time: {e}")) / 1_000_000
}

fn batch(schema: &SchemaRef, rows: &[&Row]) -> Batch {
    let columns = (0..schema.fields().len()).map(|c| {
        let cells = rows.iter().map(|r| r.columns.get(c).unwrap_or_else(|| panic!("column {c} is missing: {r:?}")));
        column(cells.map(String::as_str), schema.field(c).data_type())
    });
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows.len()));
    let columns = RecordBatch::try_new_with_options(schema.clone(), columns.collect(), &options);
    let late = rows.iter().any(|r| r.tag != ON_TIME);
    let identity = rows.first().and_then(|r| r.identity).map(|_| {
        let id = |r: &&Row| r.identity.expect("all rows of a script have an identity or none");
        Identity::Arrival(Arrival {
            cuts: rows.iter().map(|r| id(r).0).collect(),
            partitions: rows.iter().map(|r| id(r).1).collect(),
            offsets: rows.iter().map(|r| id(r).2).collect(),
        })
    });
    Batch::new(columns.expect("the rows fit the schema"), rows.iter().map(|r| r.time).collect())
        .with_tags(late.then(|| rows.iter().map(|r| r.tag).collect()))
        .with_identity(identity)
}

fn column<'a>(cells: impl Iterator<Item = &'a str>, t: &DataType) -> ArrayRef {
    let cells = cells.map(|c| (c != "NULL").then_some(c));
    if let DataType::Timestamp(TimeUnit::Millisecond, _) = t {
        let times: Int64Array = cells.map(|c| c.map(time)).collect();
        return arrow::compute::cast(&times, t).expect("milliseconds are a timestamp");
    }
    let text: StringArray = cells.collect();
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(&text, t, &strict).unwrap_or_else(|e| panic!("{text:?} is not {t}: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::{Field, Schema};
    use highwater_engine::error::OperatorError;

    /// Holds rows until the watermark passes them; refuses late ones.
    #[derive(Default)]
    struct Hold(Vec<Batch>);

    impl Operator for Hold {
        fn on_batch(&mut self, _: usize, batch: Batch, out: &mut Output) -> Result<(), OperatorError> {
            for i in 0..batch.rows() {
                match batch.tag(i) {
                    Some(_) => out.refused += 1,
                    None => self.0.push(batch.slice(i, 1)),
                }
            }
            Ok(())
        }
        fn on_watermark(&mut self, progress: Progress, out: &mut Output) -> Result<(), OperatorError> {
            let (due, wait) =
                std::mem::take(&mut self.0).into_iter().partition(|b| progress.watermark.passed(b.times()[0]));
            (out.batches, self.0) = (due, wait);
            Ok(())
        }
        fn snapshot(&mut self, into: &mut Snapshot) -> Result<(), OperatorError> {
            for b in &self.0 {
                let mut w = highwater_engine::state::codec::Writer::new();
                w.i64(b.times()[0]);
                w.batch(b.columns())?;
                into.put(0, w.finish());
            }
            Ok(())
        }
        fn restore(&mut self, from: Snapshot) -> Result<(), OperatorError> {
            for part in from.into_parts() {
                let mut r = highwater_engine::state::codec::Reader::new(&part.bytes);
                let t = r.i64()?;
                self.0.push(Batch::new(r.batch()?, vec![t].into()));
            }
            Ok(())
        }
        fn state_bytes(&self) -> usize {
            0
        }
    }

    fn schema() -> SchemaRef {
        let ts = DataType::Timestamp(TimeUnit::Millisecond, None);
        let fields = [("k", DataType::Utf8), ("amount", DataType::Decimal128(12, 2)), ("at", ts)];
        Arc::new(Schema::new(fields.map(|(n, t)| Field::new(n, t, true)).to_vec()))
    }

    const INPUT: &str = "
        08:01 | A | 4.00 | 08:00
        2020-04-15 08:05:01.5 | NULL | 5 | NULL  // far ahead
        watermark 08:02
        08:03 @08:04 | A | 1 | 08:00
        08:03 | B | 1 | 08:00
        ----
    ";

    #[test]
    fn rows_and_calls_are_compared() {
        let make: Make = &|| Box::new(Hold::default());
        let rows = "
            watermark 08:02
            08:01 | A | 4.00 | 08:00
            watermark end
            08:03 | B | 1.00 | 08:00
            2020-04-15 08:05:01.500 | NULL | 5.00 | NULL
            refused 1";
        check(make, &schema(), &schema(), &format!("{INPUT}{rows}"));
    }

    #[test]
    #[should_panic(expected = "row by row")]
    fn a_missing_row_is_seen() {
        check(&|| Box::new(Hold::default()), &schema(), &schema(), &format!("{INPUT} 08:01 | A | 4.00 | 08:00"));
    }
}
