//! A publication becomes one file, whatever happened before.

use super::super::marker;
use super::*;
use crate::options::Options;
use crate::{Usage, check};
use arrow::array::{ArrayRef, Int64Array, StringArray};
use arrow_schema::{DataType, Field, Schema};
use std::collections::BTreeMap;
use std::sync::Arc;

const FORMATS: [&str; 2] = ["csv", "parquet"];

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, true), Field::new("name", DataType::Utf8, true)]))
}

fn batch(ids: std::ops::Range<i64>) -> RecordBatch {
    let id: ArrayRef = Arc::new(Int64Array::from_iter_values(ids.clone()));
    let name: ArrayRef = Arc::new(StringArray::from_iter_values(ids.map(|i| format!("n,{}", i * i % 1_000))));
    RecordBatch::try_new(schema(), vec![id, name]).unwrap()
}

fn options(folder: &Path, format: &str, more: &[(&str, &str)]) -> BTreeMap<String, String> {
    let path = folder.to_str().unwrap();
    let all = [("path", path), ("format", format)].into_iter().chain(more.iter().copied());
    all.map(|(k, v)| (k.to_string(), v.to_string())).collect()
}

fn new(folder: &Path, format: &str, more: &[(&str, &str)], resumed: bool) -> Result<FilePublisher, String> {
    let given = options(folder, format, more);
    let mut o = Options::new("filesystem", &given);
    let parsed = SinkOptions::parse(&mut o, &schema());
    assert_eq!(o.finish(), []);
    FilePublisher::new(parsed, &schema(), resumed).map_err(|e| e.message)
}

/// A publisher at the start of an attempt.
fn started(folder: &Path, format: &str, resumed: bool) -> FilePublisher {
    let mut publisher = new(folder, format, &[], resumed).unwrap();
    publisher.recover().unwrap();
    publisher
}

fn publish(publisher: &mut FilePublisher, first: u64, last: u64, batches: &[RecordBatch]) -> Result<(), String> {
    let mut rows = batches.iter().cloned().map(Ok);
    publisher.publish(&Publication { first, last }, &mut rows).map_err(|e| e.message)
}

/// Names and bytes; the marker is not among them.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|e| e.unwrap());
    let all = entries.map(|e| (e.file_name().into_string().unwrap(), fs::read(e.path()).unwrap()));
    all.filter(|(name, _)| name != marker::NAME).collect()
}

fn names(folder: &Path) -> Vec<String> {
    files(folder).into_keys().collect()
}

#[test]
fn a_publication_is_a_file_of_its_rows_in_their_order_whatever_the_batches() {
    for format in FORMATS {
        let dir = tempfile::tempdir().unwrap();
        let mut seen = Vec::new();
        for (k, size) in [20_000, 1, 999, 8_192].into_iter().enumerate() {
            let folder = dir.path().join(format!("{k}/out"));
            let mut publisher = started(&folder, format, false);
            let all = batch(0..20_000);
            let cut: Vec<_> = (0..20_000).step_by(size).map(|at| all.slice(at, size.min(20_000 - at))).collect();
            publish(&mut publisher, 1, 3, &cut).unwrap();
            publish(&mut publisher, 4, 4, &[]).unwrap();
            publish(&mut publisher, 5, 5, &[batch(0..0)]).unwrap();
            publish(&mut publisher, 6, 1_000_000, &[batch(7..9), batch(0..0), batch(3..4)]).unwrap();
            publisher.finish().unwrap();
            let expected = ["part-000000000001-000000000003", "part-000000000006-000001000000"];
            assert_eq!(names(&folder), expected.map(|name| format!("{name}.{format}")));
            seen.push(files(&folder));
        }
        assert!(seen.iter().all(|s| *s == seen[0]), "the bytes are a function of the rows and their order");
        if format == "csv" {
            let text = seen[0].values().next_back().unwrap();
            assert_eq!(std::str::from_utf8(text).unwrap(), "7,\"n,49\"\n8,\"n,64\"\n3,\"n,9\"\n");
        }
    }
}

#[test]
fn publishing_twice_is_harmless() {
    for format in FORMATS {
        let dir = tempfile::tempdir().unwrap();
        let mut first = started(dir.path(), format, false);
        publish(&mut first, 1, 2, &[batch(0..10)]).unwrap();
        let once = files(dir.path());
        publish(&mut first, 1, 2, &[batch(0..10)]).unwrap();
        drop(first);
        for marked in [true, false] {
            if !marked {
                fs::remove_file(dir.path().join(marker::NAME)).unwrap();
            }
            let mut next = new(dir.path(), format, &[], true).unwrap();
            assert_eq!(next.recover().unwrap(), Some(if marked { 2 } else { 0 }));
            publish(&mut next, 1, 2, &[batch(0..4), batch(4..10)]).unwrap();
            next.finish().unwrap();
            assert_eq!(files(dir.path()), once);
        }
        let mut last = started(dir.path(), format, true);
        publish(&mut last, 3, 3, &[batch(10..11)]).unwrap();
        assert_eq!(files(dir.path()).len(), 2);
    }
}

/// What a crash leaves between any two steps of a publication.
#[test]
fn after_a_crash_between_any_two_steps_there_is_one_file() {
    for format in FORMATS {
        let reference = tempfile::tempdir().unwrap();
        let mut publisher = started(reference.path(), format, false);
        publish(&mut publisher, 1, 1, &[batch(0..5)]).unwrap();
        let marked = fs::read(reference.path().join(marker::NAME)).unwrap();
        publish(&mut publisher, 2, 4, &[batch(5..9_000)]).unwrap();
        let (expected, marked_after) =
            (files(reference.path()), fs::read(reference.path().join(marker::NAME)).unwrap());
        let name = format!("part-000000000002-000000000004.{format}");
        let (hidden, whole) = (format!(".{name}.tmp"), &expected[&name]);
        let half = &whole[..whole.len() / 2];
        let new_marker = format!("{}.tmp", marker::NAME);
        let crashes: [&[(&str, &[u8])]; 8] = [
            &[],
            &[(&hidden, b"")],
            &[(&hidden, half)],
            &[(&hidden, whole)],
            &[(&hidden, whole), (&name, whole)],
            &[(&name, whole)],
            &[(&name, whole), (&new_marker, &marked_after[..7])],
            &[(&name, whole), (marker::NAME, &marked_after)],
        ];
        for left in crashes {
            let dir = tempfile::tempdir().unwrap();
            let first = format!("part-000000000001-000000000001.{format}");
            fs::write(dir.path().join(&first), &expected[&first]).unwrap();
            fs::write(dir.path().join(marker::NAME), &marked).unwrap();
            left.iter().for_each(|(name, bytes)| fs::write(dir.path().join(name), bytes).unwrap());
            let mut next = started(dir.path(), format, true);
            publish(&mut next, 1, 1, &[batch(0..5)]).unwrap();
            publish(&mut next, 2, 4, &[batch(5..9_000)]).unwrap();
            next.finish().unwrap();
            assert_eq!(files(dir.path()), expected, "left: {:?}", left.iter().map(|l| l.0).collect::<Vec<_>>());
            assert_eq!(fs::read(dir.path().join(marker::NAME)).unwrap(), marked_after);
        }
    }
}

#[test]
fn files_taken_away_by_a_reader_do_not_come_back() {
    let dir = tempfile::tempdir().unwrap();
    publish(&mut started(dir.path(), "csv", false), 1, 2, &[batch(0..10)]).unwrap();
    fs::remove_file(dir.path().join("part-000000000001-000000000002.csv")).unwrap();
    let mut next = started(dir.path(), "csv", true);
    publish(&mut next, 1, 2, &[batch(0..10)]).unwrap();
    next.finish().unwrap();
    assert_eq!(names(dir.path()), Vec::<String>::new());
}

#[test]
fn another_file_in_the_way_is_an_error_and_stays() {
    for format in FORMATS {
        let dir = tempfile::tempdir().unwrap();
        let name = format!("part-000000000002-000000000004.{format}");
        fs::write(dir.path().join(&name), "something else").unwrap();
        let mut publisher = started(dir.path(), format, true);
        let error = publish(&mut publisher, 2, 4, &[batch(0..10)]).unwrap_err();
        assert!(error.contains(&name) && error.contains("other rows than the checkpoints of its name"), "{error}");
        for (first, last) in [(1, 2), (4, 9), (3, 3), (1, 9), (2, 3)] {
            let error = publish(&mut publisher, first, last, &[batch(0..10)]).unwrap_err();
            assert!(error.contains(&format!("it holds {name}, but checkpoints {first} to {last}")), "{error}");
        }
        publish(&mut publisher, 5, 5, &[batch(0..10)]).unwrap();
        assert_eq!(files(dir.path())[&name], b"something else");
    }
}

#[test]
fn only_a_first_start_asks_for_an_empty_folder() {
    let dir = tempfile::tempdir().unwrap();
    let overwrite = [("sink.overwrite", "true")];
    fs::create_dir(dir.path().join("old")).unwrap();
    fs::write(dir.path().join("old/part-0.csv"), "old").unwrap();
    fs::write(dir.path().join(marker::NAME), "highwater 1\ncheckpoint 9\nrows 9\n").unwrap();
    let error = new(dir.path(), "csv", &[], false).err().unwrap();
    assert!(error.contains("it holds something already; remove it, choose another path"), "{error}");
    let mut first = new(dir.path(), "csv", &overwrite, false).unwrap();
    assert!(dir.path().join("old/part-0.csv").exists(), "nothing is removed before the job starts");
    assert_eq!(first.recover().unwrap(), Some(0));
    publish(&mut first, 1, 1, &[batch(0..1)]).unwrap();
    assert_eq!(names(dir.path()), ["part-000000000001-000000000001.csv"]);
    let mut second = new(dir.path(), "csv", &overwrite, true).unwrap();
    let error = second.recover().unwrap_err().message;
    assert!(error.contains("another job is writing to it"), "{error}");
    drop(first);
    second.recover().unwrap();
    assert_eq!(names(dir.path()), ["part-000000000001-000000000001.csv"], "a resumed job removes nothing");
}

#[test]
fn a_job_without_rows_leaves_one_file_with_its_columns() {
    for (format, more) in [("csv", &[("csv.header", "true")][..]), ("csv", &[]), ("parquet", &[])] {
        let dir = tempfile::tempdir().unwrap();
        for resumed in [false, true, true] {
            let mut publisher = new(dir.path(), format, more, resumed).unwrap();
            publisher.recover().unwrap();
            publish(&mut publisher, 1, 1, &[]).unwrap();
            publisher.finish().unwrap();
            let found = files(dir.path());
            let name = format!("part-000000000000-000000000000.{format}");
            assert_eq!(found.keys().collect::<Vec<_>>(), [&name]);
            match format {
                "csv" if more.is_empty() => assert_eq!(found[&name], b""),
                "csv" => assert_eq!(found[&name], b"id,name\n"),
                _ => assert!(found[&name].starts_with(b"PAR1")),
            }
        }
    }
}

#[test]
fn a_full_disk_or_a_damaged_outbox_shows_nothing_and_can_be_tried_again() {
    for format in FORMATS {
        let dir = tempfile::tempdir().unwrap();
        let mut publisher = started(dir.path(), format, false);
        // Every write to this device fails as on a full disk.
        publisher.create = |_| File::options().write(true).open("/dev/full");
        let error = publish(&mut publisher, 1, 2, &[batch(0..300_000)]).unwrap_err();
        assert!(error.contains("the device is full; free space or choose another path"), "{error}");
        publisher.create = |path| File::create_new(path);
        let damaged = Err(SinkError::new("frame 2 is damaged"));
        let mut rows = [Ok(batch(0..20_000)), damaged].into_iter();
        let error = publisher.publish(&Publication { first: 1, last: 2 }, &mut rows).unwrap_err();
        assert_eq!(error.message, "frame 2 is damaged");
        assert_eq!(names(dir.path()), Vec::<String>::new());
        assert!(Marker::read(dir.path()).unwrap().is_none());
        publish(&mut publisher, 1, 2, &[batch(0..20_000)]).unwrap();
        assert_eq!(names(dir.path()), [format!("part-000000000001-000000000002.{format}")]);
    }
}

#[test]
fn rolling_has_the_names_of_flink() {
    let folder = Path::new("/out");
    let roll = |more: &[(&str, &str)]| {
        let dir = tempfile::tempdir().unwrap();
        new(&dir.path().join("out"), "parquet", more, false).unwrap().roll()
    };
    assert_eq!(roll(&[]), Roll::Files { bytes_min: 134_217_728, interval_ms: 300_000 });
    let both = [("sink.rolling-policy.file-size", "1 mb"), ("sink.rolling-policy.rollover-interval", "30 s")];
    assert_eq!(roll(&both), Roll::Files { bytes_min: 1_048_576, interval_ms: 30_000 });
    for (option, value, part) in [
        ("sink.rolling-policy.file-size", "0", "out of range"),
        ("sink.rolling-policy.file-size", "many", "is not a size; write e.g. '64 kb'"),
        ("sink.rolling-policy.rollover-interval", "soon", "is not a duration"),
        ("sink.rolling-policy.rollover-intervall", "1 s", "use 'sink.rolling-policy.rollover-interval'"),
        ("sink.rolling-policy.filesize", "1 mb", "use 'sink.rolling-policy.file-size'"),
    ] {
        let errors = check("filesystem", Usage::Sink, &options(folder, "csv", &[(option, value)]), &schema());
        assert!(errors.len() == 1 && errors[0].option == option && errors[0].message.contains(part), "{errors:?}");
    }
}
