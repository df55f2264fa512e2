//! Random jobs and inputs: partitions with disorder and late rows, cuts, keys, frames, calls.

use arrow::array::*;
use arrow::datatypes::*;
use highwater_engine::batch::{Arrival, Batch, Identity, ON_TIME};
use highwater_engine::graph::*;
use std::sync::Arc;

/// A small generator of numbers (splitmix64): a case is a function of its seed.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
    /// Below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
    pub fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize].clone()
    }
}

/// A value of any type, as the oracle sees it. DOUBLE is compared by its number in halves.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Val {
    Number(i128),
    Text(String),
}

/// A row of the test's table.
#[derive(Clone, Debug)]
pub struct Row {
    pub id: i64,
    pub time: i64,
    pub tag: i64,
    pub cut: i64,
    pub partition: u64,
    pub offset: i64,
    pub columns: Vec<Option<Val>>,
}

/// Column positions of the test's table. Column 0 is the row's number.
pub const COLUMNS: [(&str, bool); 9] = [
    ("id", false),
    ("card", true),
    ("name", true),
    ("amount", true),
    ("qty", false),
    ("wide", true),
    ("at", true),
    ("ok", true),
    ("x", true),
];

/// Zones, and how far their clocks were ahead of UTC early in 1970, in ms.
pub const ZONES: [(&str, i64); 3] = [("UTC", 0), ("Europe/Berlin", 3_600_000), ("+05:30", 19_800_000)];

pub fn types() -> [DataType; 9] {
    [
        DataType::Int64,
        DataType::Int64,
        DataType::Utf8,
        DataType::Decimal128(12, 2),
        DataType::Int32,
        DataType::Decimal128(30, 3),
        DataType::Timestamp(TimeUnit::Millisecond, None),
        DataType::Boolean,
        DataType::Float64,
    ]
}

pub fn schema() -> SchemaRef {
    let fields = COLUMNS.iter().zip(types()).map(|((n, null), t)| Field::new(*n, t, *null));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn value(r: &mut Random, t: &DataType) -> Val {
    let n = r.below(6) as i128 - 2;
    match t {
        DataType::Utf8 => {
            Val::Text(r.pick(&["", "DE", "FR", "a long name", "a longer name", "another long one"]).into())
        }
        DataType::Boolean => Val::Number(r.below(2) as i128),
        DataType::Decimal128(30, _) => Val::Number(n * 10i128.pow(26)),
        DataType::Decimal128(..) => Val::Number(n * 125),
        _ => Val::Number(n),
    }
}

/// The rows of some partitions, each in its order, with the tags and cuts that their content implies; and the watermark's
/// delay.
pub fn partitions(r: &mut Random, rows: usize) -> (Vec<Vec<Row>>, i64) {
    let (partitions, keys) = (1 + r.below(3), r.pick(&[1, 2, 7]));
    let (delay, step, quantum) = (r.pick(&[0, 5, 40]), r.pick(&[0, 2, 9]), r.pick(&[1, 10, 50]));
    let mut id = 0;
    let rows = (0..partitions)
        .map(|partition| {
            let (mut clock, mut max) = (1_000i64, i64::MIN);
            (0..rows as i64 / partitions as i64)
                .map(|offset| {
                    clock += r.below(step + 1) as i64;
                    let back = if r.chance(10) { r.below(120) } else { r.below(6) } as i64;
                    let time = clock - back;
                    let watermark = if max == i64::MIN { i64::MIN } else { max - delay + 1 };
                    max = max.max(time);
                    id += 1;
                    let mut columns: Vec<Option<Val>> = types()
                        .iter()
                        .zip(COLUMNS)
                        .map(|(t, (_, null))| (!(null && r.chance(20))).then(|| value(r, t)))
                        .collect();
                    columns[0] = Some(Val::Number(id.into()));
                    columns[1] = columns[1].is_some().then(|| Val::Number(r.below(keys) as i128));
                    let tag = if time < watermark { watermark } else { ON_TIME };
                    let cut = max.div_euclid(quantum);
                    Row { id, time, tag, cut, partition, offset, columns }
                })
                .collect()
        })
        .collect();
    (rows, delay)
}

/// A random node over the test's table.
pub fn node(r: &mut Random, emission: Emission) -> (Node, OverSpec) {
    let keys = r.pick(&[vec![], vec![1], vec![1], vec![1], vec![2], vec![1, 2], vec![3], vec![8]]);
    let frames: Vec<Frame> = (0..1 + r.below(4))
        .map(|_| {
            let end_ms = if r.chance(30) { r.below(60) as i64 } else { 0 };
            let start_ms = end_ms + r.pick(&[0, 1, 3, 20, 100]);
            match r.below(10) {
                0..2 => {
                    let last = r.below(3) as u32;
                    Frame::rows(last + r.pick(&[0, 1, 5, 70]), last, r.pick(&[0, 10, 100, 1_000]))
                }
                2 => since(r, Frame::range(start_ms, 0).without_current()),
                3 => since(r, Frame::without_ties(start_ms)),
                _ => since(r, Frame::range(start_ms, end_ms)),
            }
        })
        .collect();
    let calls: Vec<OverCall> = (0..1 + r.below(8))
        .map(|_| OverCall { frame: r.below(frames.len() as u64) as usize, aggregate: aggregate(r) })
        .collect();
    let pseudo = match emission {
        Emission::Final => vec![],
        _ => vec![PseudoColumn::IsLate, PseudoColumn::IsIncomplete],
    };
    let mut fields: Vec<Field> = schema().fields().iter().map(|f| f.as_ref().clone()).collect();
    fields
        .extend(calls.iter().enumerate().map(|(i, c)| Field::new(format!("c{i}"), c.aggregate.returns.clone(), true)));
    fields.extend(pseudo.iter().enumerate().map(|(i, _)| Field::new(format!("p{i}"), DataType::Boolean, false)));
    let spec = OverSpec { keys, frames, calls, emission, pseudo };
    let schema = Arc::new(Schema::new(fields));
    (Node { name: "over".into(), inputs: vec![], step: Step::Over(spec.clone()), schema }, spec)
}

/// The frame, or one that begins with a period; that may end before it begins.
fn since(r: &mut Random, frame: Frame) -> Frame {
    if r.chance(60) {
        return frame;
    }
    let length = r.pick(&[7, 60, 400]);
    let (zone, _) = r.pick(&ZONES);
    Frame { start_ms: length.max(frame.end_ms), ..frame }
        .since(StartOf { period: Length::Ms(length), zone: zone.into() })
}

fn aggregate(r: &mut Random) -> Aggregate {
    use AggregateFunction::*;
    let places = [FirstValue, LastValue, NthValue { n: 1 + r.below(4) as u32 }, Lag { offset: r.below(4) as u32 }];
    let dispersions = [StddevSamp, StddevPop, VarSamp, VarPop];
    let function = match r.below(9) {
        0..5 => r.pick(&[Count, Count, Sum, Avg, Min, Max]),
        5 if r.chance(50) => PercentileCont { millionths: r.pick(&[0, 250_000, 500_000, 123_456, 1_000_000]) },
        5 => r.pick(&dispersions),
        6 => r.pick(&[BoolAnd, BoolOr]),
        _ => r.pick(&places),
    };
    let argument = match function {
        Count if r.chance(30) => None,
        BoolAnd | BoolOr => Some(7),
        // variances of the wide column have more than 38 digits
        VarSamp | VarPop => Some(r.pick(&[3, 4])),
        // doubles are compared in halves: at shares that they hold exactly
        PercentileCont { millionths } => Some(r.pick(&[3, 4, 5, if millionths % 250_000 == 0 { 8 } else { 3 }])),
        f if f.adds() => Some(r.pick(&[3, 4, 5])),
        _ => Some(r.pick(&[2, 3, 4, 5, 6, 7, 8])),
    };
    let t = argument.map(|c| types()[c].clone());
    let returns = match (function, &t) {
        (Count, _) | (_, None) => DataType::Int64,
        (Sum, Some(DataType::Decimal128(_, s))) => DataType::Decimal128(38, *s),
        (PercentileCont { .. }, Some(DataType::Float64)) => DataType::Float64,
        (PercentileCont { .. }, Some(_)) => DataType::Decimal128(38, 6),
        (f, Some(DataType::Decimal128(..))) if f.adds() => DataType::Decimal128(38, 6),
        (_, Some(t)) => t.clone(),
    };
    let distinct = argument.is_some() && function.takes_distinct() && r.chance(40);
    let filter = r.chance(30).then_some(7);
    Aggregate {
        function,
        argument,
        by: None,
        separator: String::new(),
        distinct,
        filter,
        returns,
        label: format!("{function:?}(x)"),
    }
}

/// Rows as a batch.
pub fn batch(rows: &[&Row], identity: bool) -> Batch {
    let columns = types().iter().enumerate().map(|(c, t)| column(rows, c, t)).collect();
    let columns = RecordBatch::try_new(schema(), columns).unwrap();
    let late = rows.iter().any(|r| r.tag != ON_TIME);
    let arrival = identity.then(|| {
        Identity::Arrival(Arrival {
            cuts: rows.iter().map(|r| r.cut).collect(),
            partitions: rows.iter().map(|r| r.partition).collect(),
            offsets: rows.iter().map(|r| r.offset).collect(),
        })
    });
    Batch::new(columns, rows.iter().map(|r| r.time).collect())
        .with_tags(late.then(|| rows.iter().map(|r| r.tag).collect()))
        .with_identity(arrival)
}

fn column(rows: &[&Row], c: usize, t: &DataType) -> ArrayRef {
    let number = |r: &&Row| match &r.columns[c] {
        Some(Val::Number(n)) => Some(*n),
        _ => None,
    };
    let small = |r: &&Row| number(r).map(|n| n as i64);
    match t {
        DataType::Utf8 => Arc::new(
            rows.iter()
                .map(|r| match &r.columns[c] {
                    Some(Val::Text(s)) => Some(s.as_str()),
                    _ => None,
                })
                .collect::<StringArray>(),
        ),
        DataType::Boolean => Arc::new(rows.iter().map(|r| number(r).map(|n| n != 0)).collect::<BooleanArray>()),
        DataType::Float64 => Arc::new(rows.iter().map(|r| number(r).map(|n| n as f64 / 2.0)).collect::<Float64Array>()),
        DataType::Int32 => Arc::new(rows.iter().map(|r| number(r).map(|n| n as i32)).collect::<Int32Array>()),
        DataType::Decimal128(..) => {
            Arc::new(rows.iter().map(number).collect::<Decimal128Array>().with_data_type(t.clone()))
        }
        DataType::Timestamp(..) => Arc::new(rows.iter().map(small).collect::<TimestampMillisecondArray>()),
        _ => Arc::new(rows.iter().map(small).collect::<Int64Array>()),
    }
}

/// A column of an output as the oracle sees it.
pub fn values(column: &ArrayRef) -> Vec<Option<Val>> {
    let number = |i: usize| -> Val {
        match column.data_type() {
            DataType::Utf8 => Val::Text(column.as_string::<i32>().value(i).into()),
            DataType::Boolean => Val::Number(column.as_boolean().value(i).into()),
            DataType::Float64 => Val::Number((column.as_primitive::<Float64Type>().value(i) * 2.0) as i128),
            DataType::Int32 => Val::Number(column.as_primitive::<Int32Type>().value(i).into()),
            DataType::Decimal128(..) => Val::Number(column.as_primitive::<Decimal128Type>().value(i)),
            DataType::Timestamp(..) => Val::Number(column.as_primitive::<TimestampMillisecondType>().value(i).into()),
            _ => Val::Number(column.as_primitive::<Int64Type>().value(i).into()),
        }
    };
    (0..column.len()).map(|i| column.is_valid(i).then(|| number(i))).collect()
}
