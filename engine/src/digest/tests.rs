//! The digest against published vectors, a row-at-a-time encoder and a naive grouping.

use super::*;
use arrow::array::*;
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

fn batch(columns: Vec<ArrayRef>, rows: usize) -> RecordBatch {
    let field = |(i, c): (usize, &ArrayRef)| Field::new(format!("c{i}"), c.data_type().clone(), true);
    let schema = Schema::new(columns.iter().enumerate().map(field).collect::<Vec<_>>());
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::new(schema), columns, &options).unwrap()
}

fn digest_of(batch: &RecordBatch) -> Digest {
    let mut b = DigestBuilder::new();
    b.add(batch, &vec![0; batch.num_rows()]);
    b.digest()
}

fn decimal(v: i128, p: u8, s: i8) -> ArrayRef {
    Arc::new(Decimal128Array::from(vec![v]).with_precision_and_scale(p, s).unwrap())
}

fn bigint(v: Option<i64>) -> ArrayRef {
    Arc::new(Int64Array::from(vec![v]))
}

fn text(v: Option<&str>) -> ArrayRef {
    Arc::new(StringArray::from(vec![v]))
}

/// The rows of `vectors.txt`, in its order.
fn vector_rows() -> Vec<Vec<ArrayRef>> {
    let ts: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![1_767_225_600_001]));
    vec![
        vec![],
        vec![bigint(Some(0))],
        vec![Arc::new(Int32Array::from(vec![-5]))],
        vec![bigint(None)],
        vec![Arc::new(BooleanArray::from(vec![true]))],
        vec![Arc::new(Float64Array::from(vec![-0.0]))],
        vec![Arc::new(Float64Array::from(vec![f64::from_bits(0xfff8_dead_beef_0001)]))],
        vec![decimal(1234, 12, 2)],
        vec![decimal(-1, 38, 2)],
        vec![text(Some(""))],
        vec![text(None)],
        vec![text(Some("Zürich"))],
        vec![bigint(Some(4000000000000002)), ts, decimal(1234, 12, 2), bigint(Some(3)), decimal(9999, 38, 2)],
        vec![bigint(Some(1)), text(Some(&"x".repeat(300))), Arc::new(BooleanArray::from(vec![None]))],
    ]
}

#[test]
fn published_vectors_hold() {
    let lines = include_str!("vectors.txt").lines().filter(|l| !l.starts_with('#'));
    let lines: Vec<Vec<&str>> = lines.map(|l| l.split('|').map(str::trim).collect()).collect();
    let (sum, rows) = lines.split_last().unwrap();
    let mut all = DigestBuilder::new();
    assert_eq!(rows.len(), vector_rows().len());
    for (line, columns) in rows.iter().zip(vector_rows()) {
        let row = batch(columns, 1);
        let mut encoder = Encoder::default();
        encoder.encode(row.columns(), 0, 1).each(|_, bytes| {
            let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
            assert_eq!(hex, line[1], "{}", line[0]);
        });
        assert_eq!(digest_of(&row).to_string(), line[2], "{}", line[0]);
        all.add(&row, &[0]);
    }
    assert_eq!(all.digest(), sum[2].parse().unwrap());
}

#[test]
fn width_of_integers_and_zone_do_not_count_but_duplicates_do() {
    let short: ArrayRef = Arc::new(Int16Array::from(vec![7, 7]));
    let long: ArrayRef = Arc::new(Int64Array::from(vec![7, 7]));
    assert_eq!(digest_of(&batch(vec![short.clone()], 2)), digest_of(&batch(vec![long.clone()], 2)));
    assert_ne!(digest_of(&batch(vec![long.clone()], 2)), digest_of(&batch(vec![long.slice(0, 1)], 1)));
    let plain: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![5]));
    let zoned: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![5]).with_timezone("UTC"));
    assert_eq!(digest_of(&batch(vec![plain], 1)), digest_of(&batch(vec![zoned], 1)));
}

#[test]
fn a_retraction_takes_its_row_back() {
    let (old, new) = (batch(vec![bigint(Some(1))], 1), batch(vec![bigint(Some(2))], 1));
    let mut changelog = DigestBuilder::new();
    changelog.add(&old, &[10_000]);
    changelog.subtract(&old, &[10_000]);
    assert_eq!((changelog.rows(), changelog.buckets().rows), (0, vec![]));
    changelog.add(&new, &[10_000]);
    assert_eq!(changelog.buckets().rows, [Bucket(10_000, 1, digest_of(&new))]);
}

#[test]
fn all_of_time_fits() {
    let rows = batch(vec![Arc::new(Int64Array::from((0..6).collect::<Vec<_>>()))], 6);
    let mut b = DigestBuilder::new();
    b.add(&rows, &[i64::MAX, i64::MIN, 0, -1, i64::MIN, i64::MAX]);
    let buckets = b.buckets();
    assert_eq!(buckets.rows.iter().map(|b| b.1).collect::<Vec<_>>(), [2, 1, 1, 2]);
    assert_eq!(buckets.rows[1].0, -1_000);
    let read: Buckets = serde_json::from_str(&serde_json::to_string(&buckets).unwrap()).unwrap();
    assert_eq!(read, buckets);
    let mut wide = DigestBuilder::new();
    let times: Vec<i64> = (-2_500..2_500).map(|i| i * (i64::MAX / 2_500)).collect();
    wide.add(&batch(vec![Arc::new(Int64Array::from(times.clone()))], 5_000), &times);
    assert!(wide.buckets().rows.len() <= DIGEST_BUCKETS_MAX);
}

#[test]
fn a_summary_has_the_documented_form_and_damaged_ones_are_refused() {
    let mut b = DigestBuilder::new();
    b.add(&batch(vec![bigint(Some(0))], 1), &[61_500]);
    let json = serde_json::to_string(&b.buckets()).unwrap();
    assert_eq!(json, r#"{"width_ms":1000,"rows":[[61000,1,"fa3f5392c40387fb428516d12156e7b6"]]}"#);
    let refused = |json: &str, why: &str| {
        let e = serde_json::from_str::<Buckets>(json).unwrap_err().to_string();
        assert!(e.contains(why), "{e}");
    };
    let zero = "00000000000000000000000000000000";
    refused(r#"{"width_ms":3000,"rows":[]}"#, "power of two");
    refused(r#"{"width_ms":0,"rows":[]}"#, "power of two");
    refused(&format!(r#"{{"width_ms":1000,"rows":[[5,1,"{zero}"]]}}"#), "does not begin");
    refused(&format!(r#"{{"width_ms":1000,"rows":[[0,1,"{zero}"],[0,1,"{zero}"]]}}"#), "ascend");
    refused(r#"{"width_ms":1000,"rows":[[0,1,"+0000000000000000000000000000000"]]}"#, "32 hexadecimal digits");
}

#[test]
fn the_first_difference_is_named_in_the_wider_width() {
    let of = |rows: &[(i64, i64)]| {
        let mut b = DigestBuilder::new();
        rows.iter().for_each(|(t, v)| b.add(&batch(vec![bigint(Some(*v))], 1), &[*t]));
        b.buckets()
    };
    let left = of(&[(0, 1), (1_500, 2), (7_000, 3), (9_000, 4)]);
    assert_eq!(left.first_difference(&left.fold(4_000).unwrap()), None);
    assert_eq!(left.fold(500), None);
    assert_eq!(left.fold(3_000), None);
    let right = of(&[(1_500, 2), (0, 1), (7_000, 3), (8_000, 4)]);
    let d = left.fold(2_000).unwrap().first_difference(&right);
    assert_eq!(d, None, "the rows share a bucket of two seconds");
    let d = left.first_difference(&right).unwrap();
    assert_eq!((d.start_ms, d.width_ms, d.left.0, d.right.0), (8_000, 1_000, 0, 1));
    assert_eq!(left.range(1_000, 9_000).unwrap().total().0, 2);
    assert_eq!(left.fold(4_000).unwrap().range(1_000, 9_000), None, "the edge lies inside a bucket");
}

/// One row at a time, from what Arrow prints: shares no code with the encoder but the hash function.
fn naive_bytes(batch: &RecordBatch, row: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for column in batch.columns() {
        let printed = ArrayFormatter::try_new(column, &FormatOptions::default()).unwrap();
        let cell = printed.value(row).to_string();
        let null = column.is_null(row);
        out.push(u8::from(!null));
        match column.data_type() {
            DataType::Boolean => out.push(u8::from(!null && cell == "true")),
            DataType::Utf8 => {
                let bytes = if null { &[] } else { cell.as_bytes() };
                out.extend((bytes.len() as u32).to_le_bytes());
                out.extend(bytes);
            }
            DataType::Decimal128(..) => {
                let v: i128 = if null { 0 } else { cell.replace('.', "").parse().unwrap() };
                out.extend(v.to_le_bytes());
            }
            DataType::Float64 => {
                let v: f64 = if null { 0.0 } else { cell.parse().unwrap() };
                out.extend(if v == 0.0 { 0.0f64 } else { v }.to_le_bytes());
            }
            _ => out.extend(if null { 0 } else { cell.parse::<i64>().unwrap() }.to_le_bytes()),
        }
    }
    out
}

type Row = (Option<i64>, Option<i32>, Option<String>, Option<bool>, Option<i64>, Option<i32>, i64);

fn to_batch(rows: &[Row], shape: u8) -> RecordBatch {
    let decimals = rows.iter().map(|r| r.4.map(|v| i128::from(v) * 1_000_003)).collect::<Decimal128Array>();
    let all: [ArrayRef; 6] = [
        Arc::new(rows.iter().map(|r| r.0).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|r| r.1).collect::<Int32Array>()),
        Arc::new(rows.iter().map(|r| r.2.clone()).collect::<StringArray>()),
        Arc::new(rows.iter().map(|r| r.3).collect::<BooleanArray>()),
        Arc::new(decimals.with_precision_and_scale(38, 4).unwrap()),
        Arc::new(rows.iter().map(|r| r.5.map(|v| f64::from(v) / 4.0)).collect::<Float64Array>()),
    ];
    // Bit i of the shape keeps column i: with and without the string, whose rows have no fixed width.
    let kept = all.into_iter().enumerate().filter(|(i, _)| shape >> i & 1 == 1).map(|(_, c)| c).collect();
    batch(kept, rows.len())
}

fn naive_buckets(hashes: &[(i64, u128)]) -> Buckets {
    let mut width_ms = 1_000;
    loop {
        let mut rows = BTreeMap::<i64, (i64, u128)>::new();
        for (time, hash) in hashes {
            let b = rows.entry(time.div_euclid(width_ms) * width_ms).or_default();
            *b = (b.0 + 1, b.1.wrapping_add(*hash));
        }
        if rows.len() <= 4_096 {
            let rows = rows.into_iter().map(|(s, (n, d))| Bucket(s, n, Digest(d))).collect();
            return Buckets { width_ms, rows };
        }
        width_ms *= 2;
    }
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let word = proptest::option::of("[a-zé]{0,20}");
    let (int, flag) = (any::<Option<i32>>(), any::<Option<bool>>());
    let row = (any::<Option<i64>>(), int.clone(), word, flag, any::<Option<i64>>(), int, -200_000i64..200_000);
    proptest::collection::vec(row, 0..400)
}

proptest! {
    #[test]
    fn equals_the_naive_digest_whatever_the_batches_writers_and_slices(
        rows in rows(), shape in 0u8..64, chunk in 1usize..300, writers in 1usize..4,
    ) {
        let whole = to_batch(&rows, shape);
        let times: Vec<i64> = rows.iter().map(|r| r.6).collect();
        let hashes: Vec<_> = (0..rows.len()).map(|i| (times[i], xxh3_128(&naive_bytes(&whole, i)))).collect();
        let mut parts = vec![DigestBuilder::new(); writers];
        for (n, at) in (0..rows.len()).step_by(chunk).enumerate() {
            let len = chunk.min(rows.len() - at);
            parts[n % writers].add(&whole.slice(at, len), &times[at..at + len]);
        }
        let mut merged = DigestBuilder::new();
        parts.iter().for_each(|p| merged.merge(p));
        let expected = naive_buckets(&hashes);
        prop_assert_eq!(merged.buckets(), expected.clone());
        prop_assert_eq!((merged.rows(), merged.digest()), expected.total());
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn the_width_is_a_function_of_the_rows(
        spread in 4_000i64..100_000_000, seed in any::<u64>(), writers in 1usize..5,
    ) {
        let at = |i: u64| ((i.wrapping_mul(seed | 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20) as i64) % (spread * 1_000);
        let times: Vec<i64> = (0..6_000).map(at).collect();
        let values: ArrayRef = Arc::new(Int64Array::from(times.clone()));
        let whole = batch(vec![values], times.len());
        let hashes: Vec<_> = (0..times.len()).map(|i| (times[i], xxh3_128(&naive_bytes(&whole, i)))).collect();
        let mut merged = DigestBuilder::new();
        for w in 0..writers {
            let mut part = DigestBuilder::new();
            (w..times.len()).step_by(writers).for_each(|i| part.add(&whole.slice(i, 1), &times[i..i + 1]));
            merged.merge(&part);
        }
        prop_assert_eq!(merged.buckets(), naive_buckets(&hashes));
        let (mut first, mut rest) = (DigestBuilder::new(), DigestBuilder::new());
        let at = seed as usize % times.len();
        first.add(&whole.slice(0, at), &times[..at]);
        rest.add(&whole.slice(at, times.len() - at), &times[at..]);
        let mut resumed = DigestBuilder::of(&first.buckets());
        resumed.merge(&rest);
        prop_assert_eq!(resumed.buckets(), merged.buckets(), "gone on from a summary");
    }
}

#[test]
fn every_supported_type_is_encoded() {
    use DataType::*;
    let units = [TimeUnit::Second, TimeUnit::Millisecond, TimeUnit::Microsecond, TimeUnit::Nanosecond];
    let mut types = vec![Boolean, Int8, Int16, Int32, Int64, Date32, Float32, Float64, Utf8, Binary, Decimal128(38, 9)];
    types.extend([Time32(units[0]), Time32(units[1]), Time64(units[2]), Time64(units[3])]);
    types.extend(units.map(|u| Timestamp(u, None)));
    types.extend(units.map(|u| Timestamp(u, Some("Europe/Berlin".into()))));
    for t in types {
        assert!(supports(&t), "{t}");
        let nulls = batch(vec![new_null_array(&t, 3)], 3);
        assert_ne!(digest_of(&nulls), Digest(0), "{t}");
    }
    assert!(!supports(&List(Arc::new(Field::new("item", Int64, true)))));
}
