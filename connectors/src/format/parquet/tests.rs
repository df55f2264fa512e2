//! Parquet files read by row group, with the declared types or a clear error.

use super::read::ParquetReader;
use super::write::ParquetWriter;
use super::*;
use arrow::array::*;
use arrow::datatypes::*;
use highwater_engine::source::{BadRecord, PartitionReader, Position, Read};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use proptest::prelude::*;
use std::sync::Arc;

fn file(batch: &RecordBatch, group_rows: usize) -> tempfile::NamedTempFile {
    let out = tempfile::NamedTempFile::new().unwrap();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(group_rows)).build();
    let mut writer = ArrowWriter::try_new(out.reopen().unwrap(), batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
    out
}

pub(super) fn schema(columns: &[(&str, DataType)]) -> SchemaRef {
    Arc::new(Schema::new(columns.iter().map(|(n, t)| Field::new(*n, t.clone(), true)).collect::<Vec<_>>()))
}

pub(super) fn open(
    file: &tempfile::NamedTempFile,
    declared: &SchemaRef,
    read: &[usize],
) -> Result<Arc<ParquetFile>, String> {
    let table = Arc::new(ParquetTable::new(declared, read).unwrap());
    ParquetFile::open(&table, file.path().to_str().unwrap()).map(Arc::new).map_err(|e| e.message)
}

/// Rows and bad records; splits are the outer list.
pub(super) fn read(file: Arc<ParquetFile>, batch: usize) -> (Vec<RecordBatch>, Vec<i64>, Vec<BadRecord>) {
    let schema = file.schema();
    let (mut splits, mut offsets, mut bad) = (Vec::new(), Vec::new(), Vec::new());
    let mut reader = ParquetReader::new(file, None).unwrap();
    while let Some(mut split) = reader.next_split().unwrap() {
        let mut batches = Vec::new();
        while let Read::Rows(chunk) = split.read(batch).unwrap() {
            offsets.extend((0..chunk.columns.num_rows()).map(|r| chunk.offsets.at(r)));
            batches.push(chunk.columns);
            bad.extend(chunk.bad);
        }
        splits.push(arrow::compute::concat_batches(&schema, &batches).unwrap());
    }
    (splits, offsets, bad)
}

pub(super) fn numbers(n: i64) -> RecordBatch {
    let columns: [(&str, ArrayRef); 3] = [
        ("ts", Arc::new(TimestampMillisecondArray::from_iter_values((0..n).map(|i| 5_000 + 10 * (i ^ 3))))),
        ("name", Arc::new(StringArray::from_iter_values((0..n).map(|i| format!("n{i}"))))),
        ("id", Arc::new(Int64Array::from_iter_values(0..n))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(n, a)| (n, a, true))).unwrap()
}

#[test]
fn a_split_is_a_row_group_and_columns_come_in_the_declared_order() {
    let out = file(&numbers(1_000), 300);
    let declared = schema(&[("id", DataType::Int64), ("ts", DataType::Timestamp(TimeUnit::Millisecond, None))]);
    let opened = open(&out, &declared, &[0, 1]).unwrap();
    assert_eq!((opened.rows(), opened.least_ms(1), opened.least_ms(0)), (1_000, Some(5_000), Some(0)));
    let (splits, offsets, bad) = read(opened, 128);
    assert_eq!(splits.iter().map(|s| s.num_rows()).collect::<Vec<_>>(), [300, 300, 300, 100]);
    assert_eq!(offsets, (0..1_000).collect::<Vec<_>>());
    assert!(bad.is_empty());
    assert_eq!(splits[1].column(0).as_primitive::<Int64Type>().value(0), 300);
    let (splits, offsets, _) = read(open(&out, &declared, &[]).unwrap(), 128);
    assert_eq!((splits.len(), splits[0].num_columns(), offsets.len()), (4, 0, 1_000));
}

#[test]
fn types_that_fit_are_widened() {
    let ms = |v: Vec<i64>| -> ArrayRef { Arc::new(TimestampMillisecondArray::from(v)) };
    let cases: Vec<(ArrayRef, ArrayRef)> = vec![
        (Arc::new(Int32Array::from(vec![-7])), Arc::new(Int64Array::from(vec![-7]))),
        (Arc::new(UInt32Array::from(vec![u32::MAX])), Arc::new(Int64Array::from(vec![4_294_967_295]))),
        (Arc::new(Float32Array::from(vec![0.5])), Arc::new(Float64Array::from(vec![0.5]))),
        (Arc::new(LargeStringArray::from(vec!["a"])), Arc::new(StringArray::from(vec!["a"]))),
        (
            Arc::new(vec!["a", "b", "a"].into_iter().collect::<DictionaryArray<Int32Type>>()),
            Arc::new(StringArray::from(vec!["a", "b", "a"])),
        ),
        (
            Arc::new(Decimal128Array::from(vec![125]).with_precision_and_scale(5, 1).unwrap()),
            Arc::new(Decimal128Array::from(vec![1250]).with_precision_and_scale(12, 2).unwrap()),
        ),
        (Arc::new(TimestampMicrosecondArray::from(vec![-1_000, 5_000])), ms(vec![-1, 5])),
        (Arc::new(TimestampNanosecondArray::from(vec![5_000_000])), ms(vec![5])),
        (ms(vec![5]), Arc::new(TimestampMicrosecondArray::from(vec![5_000]))),
        (
            Arc::new(TimestampMicrosecondArray::from(vec![5_000]).with_timezone("+00:00")),
            Arc::new(TimestampMillisecondArray::from(vec![5]).with_timezone("UTC")),
        ),
        (Arc::new(Time64MicrosecondArray::from(vec![5_000])), Arc::new(Time32MillisecondArray::from(vec![5]))),
        (Arc::new(Date32Array::from(vec![5])), Arc::new(Date32Array::from(vec![5]))),
        (Arc::new(BooleanArray::from(vec![true])), Arc::new(BooleanArray::from(vec![true]))),
        (Arc::new(BinaryArray::from(vec![&b"\xFF"[..]])), Arc::new(BinaryArray::from(vec![&b"\xFF"[..]]))),
    ];
    for (found, declared) in cases {
        let batch = RecordBatch::try_from_iter_with_nullable([("c", found, true)]).unwrap();
        let out = file(&batch, 100);
        let (splits, _, bad) = read(open(&out, &schema(&[("c", declared.data_type().clone())]), &[0]).unwrap(), 100);
        assert!(bad.is_empty(), "{bad:?}");
        assert_eq!(splits[0].column(0), &declared);
    }
}

#[test]
fn types_that_lose_something_are_refused_with_file_column_and_both_types() {
    let cases: Vec<(ArrayRef, DataType, &str)> = vec![
        (Arc::new(Int64Array::from(vec![1])), DataType::Int32, "has BIGINT, the table declares INT; declare c BIGINT"),
        (Arc::new(Int64Array::from(vec![1])), DataType::Timestamp(TimeUnit::Millisecond, None), "has BIGINT"),
        (Arc::new(Float64Array::from(vec![1.0])), DataType::Decimal128(12, 2), "has DOUBLE"),
        (
            Arc::new(Decimal128Array::from(vec![1]).with_precision_and_scale(12, 4).unwrap()),
            DataType::Decimal128(38, 2),
            "has DECIMAL(12, 4)",
        ),
        (
            Arc::new(TimestampMillisecondArray::from(vec![1]).with_timezone("UTC")),
            DataType::Timestamp(TimeUnit::Millisecond, None),
            "has TIMESTAMP_LTZ(3), the table declares TIMESTAMP(3)",
        ),
        (Arc::new(StringArray::from(vec!["1"])), DataType::Int64, "has STRING"),
    ];
    for (found, declared, part) in cases {
        let out = file(&RecordBatch::try_from_iter([("c", found)]).unwrap(), 10);
        let error = open(&out, &schema(&[("c", declared)]), &[0]).unwrap_err();
        assert!(error.contains(part) && error.contains(out.path().to_str().unwrap()), "{error}");
    }
    let out = file(&numbers(1), 10);
    let error = open(&out, &schema(&[("nmae", DataType::Utf8)]), &[0]).unwrap_err();
    assert!(error.contains("has no column nmae; did you mean name?"), "{error}");
}

#[test]
fn a_value_finer_than_declared_is_a_bad_row() {
    let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![Some(1_000), Some(1_001), None, Some(-2_000)]));
    let out = file(&RecordBatch::try_from_iter_with_nullable([("t", times, true)]).unwrap(), 10);
    let declared = schema(&[("t", DataType::Timestamp(TimeUnit::Millisecond, None))]);
    let (splits, offsets, bad) = read(open(&out, &declared, &[0]).unwrap(), 10);
    assert_eq!(
        splits[0].column(0).as_primitive::<TimestampMillisecondType>().iter().collect::<Vec<_>>(),
        [Some(1), None, Some(-2)]
    );
    assert_eq!(offsets, [0, 2, 3]);
    assert!(bad[0].offset == 1 && bad[0].reason.contains("row 1, column t: 1001e-6 s does not fit"), "{bad:?}");
}

#[test]
fn truncated_foreign_and_damaged_files_are_errors() {
    let out = file(&numbers(5_000), 2_000);
    let bytes = std::fs::read(out.path()).unwrap();
    let declared = schema(&[("id", DataType::Int64), ("name", DataType::Utf8)]);
    let with = |bytes: &[u8]| {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        file
    };
    for cut in [bytes.len() - 1, bytes.len() - 8, bytes.len() / 2, 10] {
        let error = open(&with(&bytes[..cut]), &declared, &[0]).unwrap_err();
        assert!(error.contains("truncated or damaged Parquet file"), "{cut}: {error}");
    }
    for foreign in [&b"id,name\n1,a\n"[..], b"x"] {
        let error = open(&with(foreign), &declared, &[0]).unwrap_err();
        assert!(error.contains("is no Parquet file"), "{error}");
    }
    // The pages of the first row group are overwritten.
    let mut damaged = bytes.clone();
    damaged[4..bytes.len() / 3].fill(0xA5);
    let file = with(&damaged);
    let mut split =
        ParquetReader::new(open(&file, &declared, &[0, 1]).unwrap(), None).unwrap().next_split().unwrap().unwrap();
    let error = split.read(8192).unwrap_err().message;
    assert!(error.contains("row group 0") && error.contains("the file is damaged"), "{error}");
}

#[test]
fn what_was_written_is_read_back() {
    let seconds: ArrayRef = Arc::new(TimestampSecondArray::from(vec![Some(5), None]));
    let ltz: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![Some(5), None]).with_timezone("UTC"));
    let time: ArrayRef = Arc::new(Time32SecondArray::from(vec![Some(5), None]));
    let money: ArrayRef =
        Arc::new(Decimal128Array::from(vec![Some(-5), None]).with_precision_and_scale(38, 2).unwrap());
    let bytes: ArrayRef = Arc::new(BinaryArray::from(vec![Some(&b"\xFF"[..]), None]));
    let columns = [("s", seconds), ("l", ltz), ("t", time), ("m", money), ("b", bytes)];
    let batch = RecordBatch::try_from_iter_with_nullable(columns.map(|(n, a)| (n, a, true))).unwrap();
    let out = tempfile::NamedTempFile::new().unwrap();
    let mut writer = ParquetWriter::new(out.reopen().unwrap(), &batch.schema()).unwrap();
    writer.write(&batch).unwrap();
    writer.finish().unwrap();
    let (splits, _, bad) = read(open(&out, &batch.schema(), &[0, 1, 2, 3, 4]).unwrap(), 10);
    assert!(bad.is_empty());
    assert_eq!(splits, [batch]);
}

/// Every third byte of a small file is changed in turn: an error or other rows, never a panic.
#[test]
fn a_changed_byte_is_no_panic() {
    let out = file(&numbers(40), 20);
    let bytes = std::fs::read(out.path()).unwrap();
    let declared = schema(&[("id", DataType::Int64), ("name", DataType::Utf8)]);
    let copy = tempfile::NamedTempFile::new().unwrap();
    for at in (0..bytes.len()).step_by(3) {
        for value in [0xFF, bytes[at] ^ 0x80] {
            let mut changed = bytes.clone();
            changed[at] = value;
            std::fs::write(copy.path(), &changed).unwrap();
            let Ok(file) = open(&copy, &declared, &[0, 1]) else { continue };
            let mut reader = ParquetReader::new(file, None).unwrap();
            while let Ok(Some(mut split)) = reader.next_split() {
                while let Ok(Read::Rows(_)) = split.read(7) {}
            }
        }
    }
}

/// `n` rows in groups and pages of any size; a time that is no whole millisecond is a bad record.
fn rough(n: i64, group_rows: usize, page_rows: usize, bad: &[i64]) -> tempfile::NamedTempFile {
    let time = |i: i64| 1_000_000 * i + i64::from(bad.contains(&i));
    let columns: [(&str, ArrayRef); 3] = [
        ("ts", Arc::new(TimestampNanosecondArray::from_iter_values((0..n).map(time)))),
        ("name", Arc::new(StringArray::from_iter((0..n).map(|i| (i % 5 != 0).then(|| format!("n{}", i % 17)))))),
        ("id", Arc::new(Int64Array::from_iter_values(0..n))),
    ];
    let batch = RecordBatch::try_from_iter_with_nullable(columns.map(|(n, a)| (n, a, true))).unwrap();
    let out = tempfile::NamedTempFile::new().unwrap();
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(group_rows))
        .set_data_page_row_count_limit(page_rows)
        .set_write_batch_size(page_rows)
        .build();
    let mut writer = ArrowWriter::try_new(out.reopen().unwrap(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn reading_goes_on_behind_any_chunk(
        rows in 0..400i64, group_rows in 1..200usize, page_rows in 1..60usize,
        bad in prop::collection::vec(0..400i64, 0..9), plan in crate::resume::plans(70),
    ) {
        let out = rough(rows, group_rows, page_rows, &bad);
        let time = DataType::Timestamp(TimeUnit::Millisecond, None);
        let declared = schema(&[("name", DataType::Utf8), ("ts", time), ("id", DataType::Int64)]);
        let file = open(&out, &declared, &[0, 1, 2]).unwrap();
        let reader = |from: Option<&Position>| -> Box<dyn PartitionReader> {
            Box::new(ParquetReader::new(file.clone(), from).unwrap())
        };
        let records = crate::resume::check(&reader, &plan)?;
        prop_assert_eq!(crate::resume::read(&reader, &plan).1, crate::resume::read(&reader, &[(8192, false)]).1);
        prop_assert!(records.iter().map(|r| r.0).eq(0..rows));
        let found: Vec<_> = records.iter().filter(|r| r.1.is_err()).map(|r| r.0).collect();
        let planted: std::collections::BTreeSet<_> = bad.into_iter().filter(|b| *b < rows).collect();
        prop_assert!(found.into_iter().eq(planted));
    }
}

#[test]
fn a_position_of_another_file_is_refused() {
    let declared = schema(&[("id", DataType::Int64)]);
    let out = file(&numbers(1_000), 300);
    let file = open(&out, &declared, &[0]).unwrap();
    let at = |group: u64, row: u64, offset| {
        ParquetReader::new(file.clone(), Some(&Position { offset, at: group << 32 | row }))
            .map(|_| ())
            .map_err(|e| e.message)
    };
    for (group, row, offset) in [(0, 0, 0), (0, 300, 300), (1, 0, 300), (3, 100, 1_000), (4, 0, 1_000)] {
        assert_eq!(at(group, row, offset), Ok(()));
    }
    for (group, row, offset) in [(0, 0, 1), (0, 301, 301), (1, 5, 304), (4, 1, 1_001), (9, 0, 1_001), (1 << 31, 0, 0)] {
        assert!(at(group, row, offset).unwrap_err().contains("the file has changed"), "{group}, {row}, {offset}");
    }
}
