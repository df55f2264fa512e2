//! The naive model: rows as lists of values, every window around a row tried, every aggregate from a list.

use super::berlin;
use crate::aggregate::values::column_of_f64;
use crate::aggregate::{Finish, column_of_i128};
use crate::check::rows_of;
use arrow::array::*;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit, i256};
use highwater_engine::batch::{Arrival, Batch, Identity, ON_TIME};
use highwater_engine::graph::{Aggregate, AggregateFunction, Node, Step, WindowKind, WindowSpec};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A value of any column; DECIMAL unscaled, DOUBLE in 1024ths or as the text of a result.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Val {
    Null,
    Int(i128),
    Text(String),
}

#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) time: i64,
    pub(super) tag: i64,
    /// Partition and offset.
    pub(super) place: (u64, i64),
    pub(super) cells: Vec<Val>,
}

pub(super) const ID: usize = 0;
pub(super) const NAME: usize = 1;
pub(super) const CODE: usize = 2;
pub(super) const AMOUNT: usize = 3;
pub(super) const BIG: usize = 4;
pub(super) const RATIO: usize = 5;
pub(super) const OK: usize = 6;
pub(super) const DAY: usize = 7;

pub(super) fn input() -> SchemaRef {
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

/// Rows as a batch, with their places or without.
pub(super) fn batch(rows: &[Row], places: bool) -> Batch {
    let schema = input();
    let columns = (0..schema.fields().len()).map(|c| {
        let cells: Vec<Val> = rows.iter().map(|r| r.cells[c].clone()).collect();
        column(&cells, schema.field(c).data_type())
    });
    let columns = RecordBatch::try_new(schema.clone(), columns.collect()).unwrap();
    let late = rows.iter().any(|r| r.tag != ON_TIME);
    Batch::new(columns, rows.iter().map(|r| r.time).collect())
        .with_tags(late.then(|| rows.iter().map(|r| r.tag).collect()))
        .with_identity(places.then(|| {
            Identity::Arrival(Arrival {
                cuts: vec![0; rows.len()].into(),
                partitions: rows.iter().map(|r| r.place.0).collect(),
                offsets: rows.iter().map(|r| r.place.1).collect(),
            })
        }))
}

/// Every aggregate function over every shape of argument, plain, DISTINCT and filtered.
pub(super) fn aggregates() -> Vec<Aggregate> {
    use AggregateFunction::*;
    let schema = input();
    let returns = |f: AggregateFunction, c: usize| match (f, schema.field(c).data_type()) {
        (Count, _) => DataType::Int64,
        (Sum, DataType::Decimal128(_, s)) => DataType::Decimal128(38, *s),
        (f, DataType::Decimal128(..)) if f.adds() => DataType::Decimal128(38, 6),
        (_, t) => t.clone(),
    };
    let mut all = vec![];
    let mut add = |function, argument: Option<usize>, distinct, filter: Option<usize>| {
        let returns = argument.map_or(DataType::Int64, |a| returns(function, a));
        let label = format!("{function:?}({argument:?})");
        all.push(Aggregate {
            function,
            argument,
            by: None,
            separator: String::new(),
            distinct,
            filter,
            returns,
            label,
        });
    };
    add(Count, None, false, None);
    add(Count, None, false, Some(OK));
    for c in [CODE, AMOUNT, BIG, RATIO] {
        // variances of the wide column have more than 38 digits
        let variances: &[AggregateFunction] = if c == BIG { &[] } else { &[VarSamp, VarPop] };
        for f in [Sum, Avg, StddevSamp, StddevPop].into_iter().chain(variances.iter().copied()) {
            add(f, Some(c), false, None);
            add(f, Some(c), true, None);
        }
        add(Sum, Some(c), false, Some(OK));
    }
    add(BoolAnd, Some(OK), false, None);
    add(BoolOr, Some(OK), true, None);
    for c in [ID, NAME, CODE, AMOUNT, BIG, RATIO, OK, DAY] {
        add(Min, Some(c), false, None);
        add(Max, Some(c), false, Some(OK));
        add(Count, Some(c), false, None);
        add(Count, Some(c), true, None);
        add(Count, Some(c), true, Some(OK));
        add(FirstValue, Some(c), false, None);
        add(LastValue, Some(c), false, Some(OK));
    }
    for (function, argument, by, filter) in [
        (ArgMin, NAME, AMOUNT, None),
        (ArgMax, BIG, CODE, Some(OK)),
        (ArgMax, ID, NAME, None),
        (ArgMin, RATIO, OK, None),
        (ArgMax, AMOUNT, RATIO, None),
    ] {
        let returns = schema.field(argument).data_type().clone();
        let label = format!("{function:?}({argument}, {by})");
        let (argument, by) = (Some(argument), Some(by));
        all.push(Aggregate {
            function,
            argument,
            by,
            separator: String::new(),
            distinct: false,
            filter,
            returns,
            label,
        });
    }
    all.extend(super::whole::aggregates());
    all
}

pub(super) fn node(kind: WindowKind, keys: Vec<usize>, aggregates: Vec<Aggregate>) -> (Node, WindowSpec) {
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

/// Start, end and key of each window with rows, and those.
type Groups<'a> = BTreeMap<(i64, i64, Vec<Val>), Vec<&'a Row>>;

fn key_of(spec: &WindowSpec, row: &Row) -> Vec<Val> {
    spec.keys.iter().map(|k| row.cells[*k].clone()).collect()
}

/// The windows of the rows that they accept, and how many rows none accepts.
fn fixed_windows<'a>(spec: &WindowSpec, rows: &'a [Row]) -> (Groups<'a>, u64) {
    let (mut groups, mut refused) = (Groups::new(), 0);
    for r in rows {
        let (mut held, mut taken) = (0, 0);
        for (start, end) in windows_around(&spec.window, r.time) {
            if start <= r.time && r.time < end {
                held += 1;
                if end > r.tag {
                    taken += 1;
                    groups.entry((start, end, key_of(spec, r))).or_default().push(r);
                }
            }
        }
        refused += u64::from(held > 0 && taken == 0);
    }
    (groups, refused)
}

/// Late rows are refused; the others of a key are sorted and cut where the next one is further away than the gap.
fn sessions<'a>(spec: &WindowSpec, gap: i64, rows: &'a [Row]) -> (Groups<'a>, u64) {
    let (late, mut on_time): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(|r| r.time < r.tag);
    on_time.sort_by_key(|r| (key_of(spec, r), r.time));
    let near = |a: &&Row, b: &&Row| key_of(spec, a) == key_of(spec, b) && b.time - a.time <= gap;
    let session = |of: &[&'a Row]| ((of[0].time, of[of.len() - 1].time + gap, key_of(spec, of[0])), of.to_vec());
    (on_time.chunk_by(near).map(session).collect(), late.len() as u64)
}

/// Windows `(start, end)`: all that may hold `t`, and some more.
fn windows_around(kind: &WindowKind, t: i64) -> Vec<(i64, i64)> {
    let (starts, lengths, offset) = match *kind {
        WindowKind::Calendar(ref of) => return berlin::windows_around(of, t),
        WindowKind::Tumble { size_ms, offset_ms } => (size_ms, vec![size_ms], offset_ms),
        WindowKind::Hop { slide_ms, size_ms, offset_ms } => (slide_ms, vec![size_ms], offset_ms),
        WindowKind::Cumulate { step_ms, size_ms, offset_ms } => {
            (size_ms, (1..=size_ms / step_ms).map(|n| n * step_ms).collect(), offset_ms)
        }
        WindowKind::Session { .. } => unreachable!("sessions have no fixed windows"),
    };
    let near = (t - offset).div_euclid(starts);
    let back = kind.size_ms() / starts + 1;
    let starts = (near - back..=near + 1).map(|k| k * starts + offset);
    starts.flat_map(|s| lengths.iter().map(move |l| (s, s + l))).collect()
}

/// All results, sorted, and the rows that no window took.
pub(super) fn naive(node: &Node, spec: &WindowSpec, rows: &[Row], places: bool) -> (Vec<String>, u64) {
    let (groups, refused) = match spec.window {
        WindowKind::Session { gap_ms } => sessions(spec, gap_ms, rows),
        _ => fixed_windows(spec, rows),
    };
    let mut columns: Vec<Vec<Val>> = vec![vec![]; node.schema.fields().len()];
    let mut times = vec![];
    for ((start, end, key), rows) in &groups {
        times.push(end - 1);
        let shown = |t: i64| if let WindowKind::Calendar(_) = spec.window { berlin::clock(t) } else { t };
        let bounds = [shown(*start), shown(*end), end - 1].map(|t| Val::Int(i128::from(t)));
        let made = spec.aggregates.iter().map(|a| naive_aggregate(a, rows, places));
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

/// The value of the row that comes first by `by`, then in the order of rows; or last.
fn naive_ordered(a: &Aggregate, rows: &[&Row], places: bool) -> Val {
    let mut rows: Vec<&Row> = rows.to_vec();
    rows.retain(|r| a.filter.is_none_or(|f| r.cells[f] == Val::Int(1)));
    rows.retain(|r| [a.argument, a.by].iter().flatten().all(|c| r.cells[*c] != Val::Null));
    rows.sort_by_key(|r| (r.time, if places { (r.place, vec![]) } else { ((0, 0), r.cells.clone()) }));
    let by = |r: &&&Row| r.cells[a.by.unwrap_or_default()].clone();
    let row = match a.function {
        AggregateFunction::FirstValue => rows.first(),
        AggregateFunction::LastValue => rows.last(),
        AggregateFunction::ArgMin => rows.iter().min_by_key(by),
        // of equal ones the last is found, going backwards the first
        _ => rows.iter().rev().max_by_key(by),
    };
    row.map_or(Val::Null, |r| r.cells[a.argument.unwrap_or_default()].clone())
}

fn naive_aggregate(a: &Aggregate, rows: &[&Row], places: bool) -> Val {
    if let Some(value) = super::whole::naive(a, rows, places) {
        return value;
    }
    if a.function.is_ordered() {
        return naive_ordered(a, rows, places);
    }
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
        Min | BoolAnd => values[0].clone(),
        Max | BoolOr => values[values.len() - 1].clone(),
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
        StddevSamp | VarSamp if n < 2 => Val::Null,
        f if double => {
            let variance = n * ints().map(|v| v * v).sum::<i128>() - total() * total();
            let below = n as f64 * (n - i128::from(matches!(f, StddevSamp | VarSamp))) as f64;
            let variance = variance as f64 / 1048576.0 / below;
            Val::Text(if matches!(f, VarSamp | VarPop) { variance } else { variance.sqrt() }.to_string())
        }
        _ => {
            let square = |v: i128| i256::from_i128(v).wrapping_mul(i256::from_i128(v));
            let squares = ints().map(square).fold(i256::ZERO, i256::wrapping_add);
            let finish = Finish::new(a, input().field(argument).data_type()).unwrap();
            finish.dispersion_wide(n as u64, i256::from_i128(total()), squares).unwrap().map_or(Val::Null, Val::Int)
        }
    }
}
