//! `take`, `filter` and `slice` keep all parts of a batch in step: checked against a plain vector of rows.

use super::*;
use arrow::array::Int64Array;
use arrow::datatypes::{DataType, Field, Schema};
use proptest::prelude::*;

/// What a batch says of one row: value, event time, tag, (cut, source and partition, offset), hash.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    value: i64,
    time: i64,
    tag: Option<i64>,
    arrival: Option<(i64, u64, i64)>,
    hash: u64,
}

fn read(batch: &Batch) -> Vec<Row> {
    let values = batch.column(0).as_any().downcast_ref::<Int64Array>().unwrap();
    let arrival = batch.identity().map(|i| i.to_arrival(batch.rows()));
    let row = |i| Row {
        value: values.value(i),
        time: batch.times()[i],
        tag: batch.tag(i),
        arrival: arrival.as_ref().map(|a| (a.cuts[i], a.partitions[i], a.offsets[i])),
        hash: batch.hashes().unwrap()[i],
    };
    (0..batch.rows()).map(row).collect()
}

/// Rows of one partition with gaps between the offsets, a few of them late; and the batch that holds them.
fn source(late: &[bool], gaps: bool, arrival: bool) -> (Vec<Row>, Batch) {
    let n = late.len() as i64;
    let offset = |i: i64| if gaps { 100 + 3 * i } else { 100 + i };
    let row = |i: i64| Row {
        value: i * i,
        time: 10 * i,
        tag: late[i as usize].then_some(10 * i + 1),
        arrival: Some((i / 4, (2 << 32) | 5, offset(i))),
        hash: !(i as u64),
    };
    let rows: Vec<Row> = (0..n).map(row).collect();
    let offsets = if gaps { Offsets::List((0..n).map(offset).collect()) } else { Offsets::Run(100) };
    let times: ScalarBuffer<i64> = rows.iter().map(|r| r.time).collect();
    let cuts = Some((0..n).map(|i| i / 4).collect());
    let origin = Origin { source: 2, partition: 5, offsets, times: times.clone(), max_before: 0, delay_ms: 0, cuts };
    let identity = Identity::Partition(Arc::new(origin), Selection::Run(0));
    let identity = if arrival { Identity::Arrival(identity.to_arrival(rows.len())) } else { identity };
    let values = Arc::new(rows.iter().map(|r| r.value).collect::<Int64Array>());
    let schema = Arc::new(Schema::new(vec![Field::new("v", DataType::Int64, false)]));
    let tags = rows.iter().map(|r| r.tag.unwrap_or(ON_TIME)).collect();
    let batch = Batch::new(RecordBatch::try_new(schema, vec![values]).unwrap(), times)
        .with_tags(Some(tags))
        .with_identity(Some(identity))
        .with_hashes(Some(rows.iter().map(|r| r.hash).collect()));
    (rows, batch)
}

/// One call on a batch; the numbers are brought into its range.
#[derive(Clone, Debug)]
enum Call {
    Take(Vec<usize>),
    Filter(Vec<Option<bool>>),
    Slice(usize, usize),
}

fn call() -> impl Strategy<Value = Call> {
    prop_oneof![
        proptest::collection::vec(any::<usize>(), 0..40).prop_map(Call::Take),
        proptest::collection::vec(any::<Option<bool>>(), 40).prop_map(Call::Filter),
        (any::<usize>(), any::<usize>()).prop_map(|(a, n)| Call::Slice(a, n)),
    ]
}

fn apply(call: &Call, rows: Vec<Row>, batch: Batch) -> (Vec<Row>, Batch) {
    let n = rows.len();
    match call {
        Call::Take(_) if n == 0 => (rows, batch),
        Call::Take(at) => {
            // Ascending, as the order of a partition demands.
            let mut at: Vec<usize> = at.iter().map(|i| i % n).collect();
            at.sort_unstable();
            at.dedup();
            let indices = UInt32Array::from(at.iter().map(|i| *i as u32).collect::<Vec<_>>());
            (at.iter().map(|i| rows[*i].clone()).collect(), batch.take(&indices))
        }
        Call::Filter(mask) => {
            let mask: Vec<Option<bool>> = mask.iter().copied().cycle().take(n).collect();
            let kept = rows.into_iter().zip(&mask).filter(|(_, m)| **m == Some(true)).map(|(r, _)| r).collect();
            (kept, batch.filter(&BooleanArray::from(mask)))
        }
        Call::Slice(at, len) => {
            let at = at % (n + 1);
            let len = len % (n - at + 1);
            (rows[at..at + len].to_vec(), batch.slice(at, len))
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn all_parts_stay_in_step(
        late in proptest::collection::vec(proptest::bool::weighted(0.1), 0..40),
        gaps in any::<bool>(), arrival in any::<bool>(),
        calls in proptest::collection::vec(call(), 0..5),
    ) {
        let (mut rows, mut batch) = source(&late, gaps, arrival);
        prop_assert_eq!(read(&batch), rows.clone());
        for call in &calls {
            (rows, batch) = apply(call, rows, batch);
            prop_assert_eq!(read(&batch), rows.clone(), "{:?}", call);
        }
    }

    #[test]
    fn the_watermark_before_a_row_is_that_of_the_prefix(
        times in proptest::collection::vec(-1_000i64..1_000, 1..30), before in proptest::option::of(-1_000i64..1_000), delay in 0i64..100,
    ) {
        let origin = Origin {
            source: 0, partition: 0, offsets: Offsets::Run(0), times: times.clone().into(),
            max_before: before.unwrap_or(i64::MIN), delay_ms: delay, cuts: None,
        };
        let mut seen: Vec<i64> = before.into_iter().collect();
        for (i, time) in times.iter().enumerate() {
            prop_assert_eq!(origin.watermark_before(i), seen.iter().max().map_or(i64::MIN, |m| m - delay + 1));
            seen.push(*time);
        }
    }
}
