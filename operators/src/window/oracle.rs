//! The window operator against a naive model, on random rows of random partitions.
//!
//! The model takes each row, tries every window around it, applies the rule of lateness (`end ≤ tag` refuses) and keeps
//! all values of every key and window in a list; aggregates are computed from the lists. The operator runs as one, as
//! several wholes, and as combiners before mergers that get partial results, rows or both, with any batch sizes and epochs, and with its snapshot restored into
//! another number of workers after every epoch. proptest prints the case it shrank to.

use super::combine::Worth;
use super::window;
use crate::aggregate::values::column_of_f64;
use crate::aggregate::{Finish, column_of_i128};
use crate::check::rows_of;
use arrow::array::*;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit, i256};
use highwater_engine::batch::{Batch, ON_TIME};
use highwater_engine::graph::{Aggregate, AggregateFunction, Node, Step, WindowKind, WindowSpec};
use highwater_engine::hash::{hash_columns, key_group, owner};
use highwater_engine::operator::{Operator, Output};
use highwater_engine::parts::Role;
use highwater_engine::state::Snapshot;
use highwater_engine::time::{Progress, Watermark};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A value of any column; DECIMAL unscaled, DOUBLE in 1024ths or as the text of a result.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Val {
    Null,
    Int(i128),
    Text(String),
}

#[derive(Clone, Debug)]
struct Row {
    time: i64,
    tag: i64,
    cells: Vec<Val>,
}

const ID: usize = 0;
const NAME: usize = 1;
const CODE: usize = 2;
const AMOUNT: usize = 3;
const BIG: usize = 4;
const RATIO: usize = 5;
const OK: usize = 6;
const DAY: usize = 7;

fn input() -> SchemaRef {
    let fields = [
        ("id", DataType::Int64),
        ("name", DataType::Utf8),
        ("code", DataType::Int32),
        ("amount", DataType::Decimal128(12, 2)),
        ("big", DataType::Decimal128(30, 3)),
        ("ratio", DataType::Float64),
        ("ok", DataType::Boolean),
        ("day", DataType::Date32),
    ];
    Arc::new(Schema::new(fields.map(|(n, t)| Field::new(n, t, true)).to_vec()))
}

fn column(values: &[Val], t: &DataType) -> ArrayRef {
    let nulls: Vec<bool> = values.iter().map(|v| *v != Val::Null).collect();
    let int = |v: &Val| if let Val::Int(i) = v { *i } else { 0 };
    match t {
        DataType::Utf8 => {
            let text = |v: &Val| if let Val::Text(s) = v { Some(s.clone()) } else { None };
            Arc::new(values.iter().map(text).collect::<StringArray>())
        }
        DataType::Float64 => {
            let double = |v: &Val| if let Val::Text(s) = v { s.parse().unwrap() } else { int(v) as f64 / 1024.0 };
            column_of_f64(values.iter().map(double).collect(), Some(nulls.into()), t)
        }
        t => column_of_i128(values.iter().map(int).collect(), Some(nulls.into()), t),
    }
}

fn batch(rows: &[Row]) -> Batch {
    let schema = input();
    let columns = (0..schema.fields().len()).map(|c| {
        let cells: Vec<Val> = rows.iter().map(|r| r.cells[c].clone()).collect();
        column(&cells, schema.field(c).data_type())
    });
    let columns = RecordBatch::try_new(schema.clone(), columns.collect()).unwrap();
    let late = rows.iter().any(|r| r.tag != ON_TIME);
    Batch::new(columns, rows.iter().map(|r| r.time).collect())
        .with_tags(late.then(|| rows.iter().map(|r| r.tag).collect()))
}

/// Every aggregate function over every shape of argument, plain, DISTINCT and filtered.
fn aggregates() -> Vec<Aggregate> {
    use AggregateFunction::*;
    let schema = input();
    let returns = |f: AggregateFunction, c: usize| match (f, schema.field(c).data_type()) {
        (Count, _) => DataType::Int64,
        (Sum, DataType::Decimal128(_, s)) => DataType::Decimal128(38, *s),
        (Avg | StddevSamp, DataType::Decimal128(..)) => DataType::Decimal128(38, 6),
        (_, t) => t.clone(),
    };
    let mut all = vec![];
    let mut add = |function, argument: Option<usize>, distinct, filter: Option<usize>| {
        let returns = argument.map_or(DataType::Int64, |a| returns(function, a));
        let label = format!("{function:?}({argument:?})");
        all.push(Aggregate { function, argument, distinct, filter, returns, label });
    };
    add(Count, None, false, None);
    add(Count, None, false, Some(OK));
    for c in [CODE, AMOUNT, BIG, RATIO] {
        for f in [Sum, Avg, StddevSamp] {
            add(f, Some(c), false, None);
            add(f, Some(c), true, None);
        }
        add(Sum, Some(c), false, Some(OK));
    }
    for c in [ID, NAME, CODE, AMOUNT, BIG, RATIO, OK, DAY] {
        add(Min, Some(c), false, None);
        add(Max, Some(c), false, Some(OK));
        add(Count, Some(c), false, None);
        add(Count, Some(c), true, None);
        add(Count, Some(c), true, Some(OK));
    }
    all
}

fn key_sets() -> Vec<Vec<usize>> {
    let few: [&[usize]; 7] = [&[], &[ID], &[NAME], &[ID, CODE], &[ID, NAME], &[OK], &[RATIO]];
    let many: [&[usize]; 4] = [&[ID, CODE, DAY], &[BIG], &[BIG, ID, CODE], &[ID, CODE, DAY, OK, RATIO]];
    few.iter().chain(&many).map(|k| k.to_vec()).collect()
}

fn node(kind: WindowKind, keys: Vec<usize>, aggregates: Vec<Aggregate>) -> (Node, WindowSpec) {
    let schema = input();
    let ts = DataType::Timestamp(TimeUnit::Millisecond, None);
    let mut fields: Vec<Field> = keys.iter().map(|k| schema.field(*k).clone()).collect();
    fields.extend(["window_start", "window_end", "window_time"].map(|n| Field::new(n, ts.clone(), false)));
    let results = aggregates.iter().enumerate().map(|(i, a)| Field::new(format!("a{i}"), a.returns.clone(), true));
    fields.extend(results);
    let spec = WindowSpec { window: kind, keys, aggregates };
    let step = Step::Window(spec.clone());
    (Node { name: "w".into(), inputs: vec![0], step, schema: Arc::new(Schema::new(fields)) }, spec)
}

/// All results, sorted, and the rows that no window took.
fn naive(node: &Node, spec: &WindowSpec, rows: &[Row]) -> (Vec<String>, u64) {
    let (slide, size, offset) = match spec.window {
        WindowKind::Tumble { size_ms, offset_ms } => (size_ms, size_ms, offset_ms),
        WindowKind::Hop { slide_ms, size_ms, offset_ms } => (slide_ms, size_ms, offset_ms),
    };
    let mut groups: BTreeMap<(i64, Vec<Val>), Vec<&Row>> = BTreeMap::new();
    let mut refused = 0;
    for r in rows {
        let (mut held, mut taken) = (0, 0);
        let mut start = r.time.div_euclid(slide) * slide + offset.rem_euclid(slide);
        while start + size + slide > r.time {
            if start <= r.time && r.time < start + size {
                held += 1;
                if start + size > r.tag {
                    taken += 1;
                    let key = spec.keys.iter().map(|k| r.cells[*k].clone()).collect();
                    groups.entry((start, key)).or_default().push(r);
                }
            }
            start -= slide;
        }
        refused += u64::from(held > 0 && taken == 0);
    }
    let mut columns: Vec<Vec<Val>> = vec![vec![]; node.schema.fields().len()];
    let mut times = vec![];
    for ((start, key), rows) in &groups {
        let end = start + size;
        times.push(end - 1);
        let bounds = [*start, end, end - 1].map(|t| Val::Int(i128::from(t)));
        let made = spec.aggregates.iter().map(|a| naive_aggregate(a, rows));
        let cells = key.iter().cloned().chain(bounds).chain(made);
        columns.iter_mut().zip(cells).for_each(|(c, v)| c.push(v));
    }
    if times.is_empty() {
        return (vec![], refused);
    }
    let columns = columns.iter().zip(node.schema.fields()).map(|(c, f)| column(c, f.data_type()));
    let fields: Vec<Field> = node.schema.fields().iter().map(|f| f.as_ref().clone().with_nullable(true)).collect();
    let rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.collect()).unwrap();
    let mut lines = rows_of(&Batch::new(rows, times.into()));
    lines.sort();
    (lines, refused)
}

fn naive_aggregate(a: &Aggregate, rows: &[&Row]) -> Val {
    use AggregateFunction::*;
    let passed = rows.iter().filter(|r| a.filter.is_none_or(|f| r.cells[f] == Val::Int(1)));
    let Some(argument) = a.argument else { return Val::Int(passed.count() as i128) };
    let mut values: Vec<Val> = passed.map(|r| r.cells[argument].clone()).filter(|v| *v != Val::Null).collect();
    values.sort();
    if a.distinct {
        values.dedup();
    }
    let ints = || values.iter().map(|v| if let Val::Int(i) = v { *i } else { unreachable!() });
    let (n, total) = (values.len() as i128, || ints().sum::<i128>());
    let double = a.returns == DataType::Float64;
    match a.function {
        Count => Val::Int(n),
        _ if n == 0 => Val::Null,
        Min => values[0].clone(),
        Max => values[values.len() - 1].clone(),
        Sum => Val::Int(total()),
        Avg if double => Val::Text((total() as f64 / 1024.0 / n as f64).to_string()),
        Avg => {
            let schema = input();
            let (shift, whole) = match schema.field(argument).data_type() {
                DataType::Decimal128(_, s) => (10i128.pow(6 - *s as u32), false),
                _ => (1, true),
            };
            let x = total() * shift;
            Val::Int(if whole { x / n } else { x.signum() * ((2 * x.abs() + n) / (2 * n)) })
        }
        StddevSamp if n < 2 => Val::Null,
        StddevSamp if double => {
            let variance = n * ints().map(|v| v * v).sum::<i128>() - total() * total();
            Val::Text((variance as f64 / 1048576.0 / (n as f64 * (n as f64 - 1.0))).sqrt().to_string())
        }
        StddevSamp => {
            let square = |v: i128| i256::from_i128(v).wrapping_mul(i256::from_i128(v));
            let squares = ints().map(square).fold(i256::ZERO, i256::wrapping_add);
            let finish = Finish::new(a, input().field(argument).data_type()).unwrap();
            finish.stddev_wide(n as u64, i256::from_i128(total()), squares).unwrap().map_or(Val::Null, Val::Int)
        }
    }
}

/// One random job.
#[derive(Clone, Debug)]
struct Case {
    kind: WindowKind,
    keys: Vec<usize>,
    aggregates: Vec<usize>,
    /// Partition, step in event time, distance back, cells.
    rows: Vec<(usize, i64, i64, Vec<Val>)>,
    partitions: usize,
    delay: i64,
    start: i64,
    /// Rows of an epoch, and of a batch.
    epoch: usize,
    batch: usize,
    /// Workers before and behind the exchange, epoch by epoch.
    workers: Vec<(usize, usize)>,
    /// Watermarks reach operators an epoch late: rows of the next epoch come first.
    lag: bool,
    /// Rows that every combiner passes on at first, whether the keys of some rows are hot then.
    pass: usize,
    hot: bool,
}

fn cells() -> impl Strategy<Value = Vec<Val>> {
    let int =
        |range: std::ops::Range<i64>| prop_oneof![6 => range.prop_map(|v| Val::Int(v.into())), 1 => Just(Val::Null)];
    let big = prop_oneof![Just(0i128), Just(7), Just(-(10i128.pow(29))), Just(10i128.pow(29) + 1), Just(1 << 70)];
    (
        int(0..4),
        prop_oneof![Just(Val::Null), "[ab]{0,2}".prop_map(Val::Text)],
        int(-9..9),
        int(-500..500),
        prop_oneof![4 => big.prop_map(Val::Int), 1 => Just(Val::Null)],
        int(-3000..3000),
        int(0..2),
        int(0..3),
    )
        .prop_map(|(a, b, c, d, e, f, g, h)| vec![a, b, c, d, e, f, g, h])
}

fn tumble() -> impl Strategy<Value = WindowKind> {
    (1i64..30, -40i64..40).prop_map(|(size_ms, offset_ms)| WindowKind::Tumble { size_ms, offset_ms })
}

fn hop() -> impl Strategy<Value = WindowKind> {
    let kind = |(slide_ms, size_ms, offset_ms)| WindowKind::Hop { slide_ms, size_ms, offset_ms };
    (1i64..12, 1i64..40, -40i64..40).prop_map(kind)
}

fn cases(kinds: impl Strategy<Value = WindowKind>, rows: usize) -> impl Strategy<Value = Case> {
    let row =
        (0usize..3, prop_oneof![8 => 0i64..4, 1 => 0i64..60], prop_oneof![4 => Just(0i64), 1 => 0i64..50], cells());
    let what = (kinds, prop::sample::select(key_sets()), prop::collection::vec(0..aggregates().len(), 1..7));
    let how = (1usize..4, 0i64..20, -100i64..100, prop_oneof![Just(1usize), Just(7), Just(1000), Just(usize::MAX)]);
    let run = (prop_oneof![Just(1usize), Just(5), Just(8192)], prop::collection::vec((1usize..4, 1usize..5), 1..4));
    (
        what,
        prop::collection::vec(row, 0..rows),
        how,
        run,
        (any::<bool>(), prop_oneof![Just(0usize), 0usize..40, Just(usize::MAX)], any::<bool>()),
    )
        .prop_map(
            |(
                (kind, keys, aggregates),
                rows,
                (partitions, delay, start, epoch),
                (batch, workers),
                (lag, pass, hot),
            )| Case {
                kind,
                keys,
                aggregates,
                rows,
                partitions,
                delay,
                start,
                epoch,
                batch,
                workers,
                lag,
                pass,
                hot,
            },
        )
}

/// Rows of one epoch by partition, and the job's watermark behind them.
type Epoch = (Vec<Vec<Row>>, i64);

impl Case {
    /// How combiners begin. Every third key of the rows is hot, if any is.
    fn worth(&self) -> Worth {
        let cells = self.rows.iter().filter(|_| self.hot).map(|r| &r.3);
        let rows: Vec<Row> = cells.map(|c| Row { time: 0, tag: ON_TIME, cells: c.clone() }).collect();
        let all = batch(&rows);
        let keys: Vec<ArrayRef> = self.keys.iter().map(|k| all.column(*k).clone()).collect();
        let hot = hash_columns(&keys, rows.len()).iter().copied().filter(|h| h % 3 == 0).collect();
        Worth::passing(self.pass, hot)
    }

    /// What the sources deliver.
    fn epochs(&self) -> Vec<Epoch> {
        let mut max = vec![i64::MIN; self.partitions];
        let watermark = |max: i64| if max == i64::MIN { i64::MIN } else { max - self.delay + 1 };
        let (mut epochs, mut now) = (vec![], self.start);
        let mut epoch = vec![vec![]; self.partitions];
        for (i, (p, step, back, cells)) in self.rows.iter().enumerate() {
            now += step;
            let (p, time) = (p % self.partitions, now - back);
            let w = watermark(max[p]);
            epoch[p].push(Row { time, tag: if time < w { w } else { ON_TIME }, cells: cells.clone() });
            max[p] = max[p].max(time);
            if (i + 1) % self.epoch == 0 {
                let w = max.iter().map(|m| watermark(*m)).min().unwrap_or(i64::MIN);
                epochs.push((std::mem::replace(&mut epoch, vec![vec![]; self.partitions]), w));
            }
        }
        epochs.push((epoch, i64::MAX));
        if self.lag {
            let late: Vec<i64> = std::iter::once(i64::MIN).chain(epochs.iter().map(|e| e.1)).collect();
            epochs.iter_mut().zip(late).for_each(|(e, w)| e.1 = w);
            epochs.push((vec![vec![]; self.partitions], i64::MAX));
        }
        epochs
    }
}

/// Operators of one role on several workers.
struct Stage<'a> {
    node: &'a Node,
    spec: &'a WindowSpec,
    role: Role,
    worth: Worth,
    workers: Vec<Box<dyn Operator>>,
}

impl<'a> Stage<'a> {
    fn new(node: &'a Node, spec: &'a WindowSpec, role: Role, worth: Worth, n: usize) -> Self {
        let make = |_| -> Box<dyn Operator> {
            let mut op = window(node, spec, &input(), role).unwrap();
            op.worth = worth.clone();
            Box::new(op)
        };
        let workers = (0..n).map(make).collect();
        Self { node, spec, role, worth, workers }
    }

    /// Gives a batch to the owners of its keys, in pieces.
    fn exchange(&mut self, keys: &[usize], batch: &Batch, piece: usize, out: &mut Output) {
        let columns: Vec<ArrayRef> = keys.iter().map(|k| batch.column(*k).clone()).collect();
        let hashes = hash_columns(&columns, batch.rows());
        assert!(batch.hashes().is_none_or(|h| *h == hashes), "a combiner's hashes are those of its keys");
        let peers = self.workers.len();
        for (w, op) in self.workers.iter_mut().enumerate() {
            let mine = |i: &u32| owner(key_group(hashes[*i as usize]), peers) == w;
            let rows: Vec<u32> = (0..batch.rows() as u32).filter(mine).collect();
            for rows in rows.chunks(piece.max(1)) {
                op.on_batch(0, batch.take(&UInt32Array::from(rows.to_vec())), out).unwrap();
            }
        }
    }

    fn watermark(&mut self, w: i64, out: &mut Output) {
        let progress = Progress { watermark: Watermark::new(w), cut: 0 };
        self.workers.iter_mut().for_each(|op| op.on_watermark(progress, out).unwrap());
    }

    fn snapshot(&mut self) -> Snapshot {
        let mut all = Snapshot::default();
        for op in &mut self.workers {
            let mut one = Snapshot::default();
            op.snapshot(&mut one).unwrap();
            all.merge(one);
        }
        all
    }

    fn restored(&self, from: &Snapshot, n: usize) -> Self {
        let mut new = Self::new(self.node, self.spec, self.role, self.worth.clone(), n);
        for (w, op) in new.workers.iter_mut().enumerate() {
            op.restore(&from.for_worker(w, n)).unwrap();
        }
        new
    }
}

/// Results, sorted, and refused rows of a run. `combine` puts combiners before the exchange; `restore` restarts after
/// every epoch.
fn run(case: &Case, node: &Node, spec: &WindowSpec, combine: bool, restore: bool) -> (Vec<String>, u64) {
    let (k, m) = case.workers[0];
    let worth = case.worth();
    let mut before = combine.then(|| Stage::new(node, spec, Role::Combine, worth.clone(), k));
    let role = if combine { Role::Merge } else { Role::Whole };
    let mut behind = Stage::new(node, spec, role, Worth::default(), m);
    let (mut out, mut refused) = (Output::default(), 0);
    let first: Vec<usize> = (0..spec.keys.len()).collect();
    for (i, (rows, w)) in case.epochs().into_iter().enumerate() {
        for (p, rows) in rows.iter().enumerate() {
            for rows in rows.chunks(case.batch) {
                match &mut before {
                    None => behind.exchange(&spec.keys, &batch(rows), case.batch, &mut out),
                    Some(before) => {
                        let mut sent = Output::default();
                        let at = p % before.workers.len();
                        before.workers[at].on_batch(0, batch(rows), &mut sent).unwrap();
                        refused += sent.refused;
                        sent.batches.iter().for_each(|b| behind.exchange(&first, b, case.batch, &mut out));
                    }
                }
            }
        }
        if let Some(before) = &mut before {
            let mut sent = Output::default();
            before.watermark(w, &mut sent);
            sent.batches.iter().for_each(|b| behind.exchange(&first, b, 3, &mut out));
        }
        behind.watermark(w, &mut out);
        if restore {
            let (k, m) = case.workers[i % case.workers.len()];
            let mut state = behind.snapshot();
            if let Some(b) = &mut before {
                let combined = b.snapshot();
                // a combiner's state goes to combiners, or to the owners behind the exchange
                match i % 2 {
                    0 => *b = b.restored(&combined, k),
                    _ => {
                        state.merge(combined);
                        *b = Stage::new(node, spec, Role::Combine, worth.clone(), k);
                    }
                }
            }
            behind = behind.restored(&state, m);
        }
    }
    assert_eq!(behind.snapshot(), Snapshot::default(), "no state is left at the end");
    let mut lines: Vec<String> = out.batches.iter().flat_map(rows_of).collect();
    lines.sort();
    (lines, refused + out.refused)
}

fn agree(case: &Case) {
    let all = aggregates();
    let (node, spec) =
        node(case.kind.clone(), case.keys.clone(), case.aggregates.iter().map(|a| all[*a].clone()).collect());
    let rows: Vec<Row> = case.epochs().into_iter().flat_map(|(p, _)| p).flatten().collect();
    let expected = naive(&node, &spec, &rows);
    for (combine, restore) in [(false, false), (true, false), (false, true), (true, true)] {
        let found = run(case, &node, &spec, combine, restore);
        assert!(found == expected, "combine {combine}, restore {restore}\nexpected {expected:#?}\nfound {found:#?}");
    }
}

// Two tests, which run at the same time.
proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, max_shrink_iters: 4000, ..ProptestConfig::default() })]
    #[test]
    fn few_rows_of_tumbling_windows_agree_with_the_model(case in cases(tumble(), 30)) {
        agree(&case);
    }
    #[test]
    fn few_rows_of_hopping_windows_agree_with_the_model(case in cases(hop(), 30)) {
        agree(&case);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, max_shrink_iters: 500, ..ProptestConfig::default() })]
    #[test]
    fn many_rows_agree_with_the_model(case in cases(prop_oneof![tumble(), hop()], 1500)) {
        agree(&case);
    }
}
