//! Files that can't be read or written.

use highwater_tests::{Setting, run};
use std::path::Path;

fn read(path: &Path, format: &str) -> Result<u64, (u8, String)> {
    let text = format!(
        "CREATE TABLE p (ts TIMESTAMP(3), n BIGINT, WATERMARK FOR ts AS ts)
         WITH ('connector' = 'filesystem', 'path' = '{}', 'format' = '{format}');
         CREATE TABLE out (n BIGINT) WITH ('connector' = 'blackhole');
         INSERT INTO out SELECT n FROM p;",
        path.display()
    );
    let outcome = run(&text, &[], Setting::of_workers(2)).map_err(|e| (e.exit_code(), e.to_string()))?;
    Ok(outcome.report.sinks[0].rows)
}

fn says(outcome: Result<u64, (u8, String)>, words: &[&str]) {
    let (_, error) = outcome.unwrap_err();
    for word in words {
        assert!(error.contains(word), "expected {word:?} in: {error}");
    }
}

/// A Parquet file of two columns.
fn parquet(rows: i64) -> Vec<u8> {
    use arrow::array::{ArrayRef, Int64Array, RecordBatch, TimestampMillisecondArray};
    use std::sync::Arc;
    let ts: ArrayRef = Arc::new(TimestampMillisecondArray::from_iter_values(0..rows));
    let n: ArrayRef = Arc::new(Int64Array::from_iter_values((0..rows).map(|i| i * 0x9E37_79B9)));
    let batch = RecordBatch::try_from_iter([("ts", ts), ("n", n)]).unwrap();
    let mut bytes = Vec::new();
    let mut writer = parquet::arrow::ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

#[test]
fn a_missing_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for format in ["csv", "json", "parquet"] {
        says(read(&folder.path().join("nothing.here"), format), &["nothing.here"]);
        says(read(&folder.path().join("*.none"), format), &["*.none"]);
    }
}

#[test]
fn an_empty_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for format in ["csv", "json", "parquet"] {
        let path = folder.path().join("nothing_in_it");
        std::fs::write(&path, b"").unwrap();
        says(read(&path, format), &["nothing_in_it", "is empty"]);
    }
    let path = folder.path().join("no_rows.parquet");
    std::fs::write(&path, parquet(0)).unwrap();
    assert_eq!(read(&path, "parquet"), Ok(0));
}

#[test]
fn damaged_parquet_is_an_error_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("payments.parquet");
    let bytes = parquet(100_000);
    std::fs::write(&path, &bytes).unwrap();
    assert_eq!(read(&path, "parquet"), Ok(100_000));
    for length in [bytes.len() - 1, bytes.len() / 2, 8, 4, 3] {
        std::fs::write(&path, &bytes[..length]).unwrap();
        says(read(&path, "parquet"), &["payments.parquet"]);
    }
    // A page's header is overwritten, the footer is whole.
    let mut damaged = bytes.clone();
    damaged[4..40].fill(0xA5);
    std::fs::write(&path, &damaged).unwrap();
    says(read(&path, "parquet"), &["payments.parquet"]);
    // Not Parquet at all.
    std::fs::write(&path, b"ts,n\n1,2\n").unwrap();
    says(read(&path, "parquet"), &["payments.parquet"]);
}

#[test]
fn a_parquet_column_of_another_type_or_name_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("payments.parquet");
    std::fs::write(&path, parquet(10)).unwrap();
    let text = |columns: &str| {
        format!(
            "CREATE TABLE p (ts TIMESTAMP(3), {columns}, WATERMARK FOR ts AS ts)
             WITH ('connector' = 'filesystem', 'path' = '{}', 'format' = 'parquet');
             CREATE TABLE out (ts TIMESTAMP(3)) WITH ('connector' = 'blackhole');
             INSERT INTO out SELECT ts FROM p WHERE x IS NOT NULL;",
            path.display()
        )
    };
    let error = run(&text("x BIGINT"), &[], Setting::of_workers(1)).unwrap_err().to_string();
    assert!(error.contains("x") && error.contains("payments.parquet"), "{error}");
    let error = run(&text("n STRING, x AS n"), &[], Setting::of_workers(1)).unwrap_err().to_string();
    assert!(error.contains("n") && error.contains("payments.parquet") && error.contains("STRING"), "{error}");
}

#[test]
fn a_folder_that_cannot_be_written_is_named_and_nothing_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, b"x").unwrap();
    // Below a file, and where even root can't make a folder.
    for path in [file.join("out"), "/proc/highwater-out".into()] {
        let text = format!(
            "CREATE TABLE p (ts TIMESTAMP(3), payment_id BIGINT, WATERMARK FOR ts AS ts)
             WITH ('connector' = 'generator', 'number-of-rows' = '1000');
             CREATE TABLE out (n BIGINT) WITH ('connector' = 'filesystem', 'path' = '{}', 'format' = 'parquet');
             INSERT INTO out SELECT payment_id FROM p;",
            path.display()
        );
        let error = run(&text, &[], Setting::of_workers(2)).unwrap_err().to_string();
        let named = path.parent().filter(|p| p.is_file()).unwrap_or(&path);
        assert!(error.contains("table out") && error.contains(&named.display().to_string()), "{error}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}
