//! File tables through the front door: sources and sinks made from specifications.

use crate::{Usage, check, sink, source};
use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use highwater_engine::expr::Expr;
use highwater_engine::graph::{MapSpec, RunOptions, SinkSpec, SourceSpec, TimeRange};
use highwater_engine::sink::SinkTable;
use highwater_engine::source::{PartitionReader, Position, Read};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("ts", DataType::Timestamp(TimeUnit::Millisecond, None), true),
        Field::new("id", DataType::Int64, true),
        Field::new("name", DataType::Utf8, true),
    ]))
}

fn batch(ids: std::ops::Range<i64>) -> RecordBatch {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(TimestampMillisecondArray::from_iter_values(ids.clone().map(|i| 1_000 * i))),
        Arc::new(Int64Array::from_iter_values(ids.clone())),
        Arc::new(StringArray::from_iter_values(ids.map(|i| format!("n,{i}")))),
    ];
    RecordBatch::try_new(schema(), columns).unwrap()
}

fn options(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect()
}

fn sink_at(path: &Path, pairs: &[(&str, &str)]) -> Result<Arc<dyn SinkTable>, String> {
    let mut options = options(pairs);
    options.insert("path".into(), path.to_str().unwrap().into());
    let spec = SinkSpec { table: "out".into(), connector: "filesystem".into(), options, arrival: false };
    sink(&spec, &schema()).map_err(|e| e.message)
}

fn spec(path: &str, pairs: &[(&str, &str)]) -> SourceSpec {
    let mut options = options(pairs);
    options.insert("path".into(), path.into());
    SourceSpec {
        table: "input".into(),
        connector: "filesystem".into(),
        options,
        physical: schema(),
        read: vec![0, 1, 2],
        map: MapSpec { filter: None, columns: (0..3).map(Expr::Column).collect(), query: "test".into() },
        time: 0,
        watermark_delay_ms: 5_000,
        time_min_ms: 0,
        time_max_ms: i64::MAX,
        max_drift_ms: 60_000,
        bad_rows_max: highwater_engine::limits::BAD_ROWS_MAX,
        open_max: highwater_engine::limits::PARTITIONS_OPEN,
        idle_ms: None,
        not_null: vec![],
        reads: TimeRange::ALL,
    }
}

/// All rows of a source in partition order, and its partitions' first event times.
fn read_all(spec: &SourceSpec) -> Result<(RecordBatch, Vec<Option<i64>>), String> {
    let source = source(spec, &RunOptions::default()).map_err(|e| e.message)?;
    let mut batches = Vec::new();
    for p in 0..source.partitions().len() {
        let mut reader = source.open(p, None).map_err(|e| e.message)?;
        while let Some(mut split) = reader.next_split().unwrap() {
            while let Read::Rows(chunk) = split.read(1000).unwrap() {
                assert!(chunk.bad.is_empty(), "{:?}", chunk.bad);
                batches.push(chunk.columns);
            }
        }
    }
    let times = source.partitions().iter().map(|p| p.first_time_ms).collect();
    Ok((arrow::compute::concat_batches(&schema(), &batches).unwrap(), times))
}

fn write(table: &dyn SinkTable, worker: usize, rows: &RecordBatch) {
    let mut sink = table.open(worker).unwrap();
    sink.write(rows).unwrap();
    sink.finish().unwrap();
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_committed_folder_is_complete_and_reads_back() {
    for (format, header) in [("csv", "false"), ("csv", "true"), ("json", ""), ("parquet", "")] {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("deep/out");
        let mut pairs = vec![("format", format)];
        if !header.is_empty() {
            pairs.push(("csv.header", header));
        }
        let table = sink_at(&out, &pairs).unwrap();
        write(&*table, 0, &batch(10..2_000));
        write(&*table, 2, &batch(2_000..2_005));
        write(&*table, 1, &batch(0..0));
        assert!(!out.exists(), "nothing is seen before the commit");
        table.commit().unwrap();
        table.abort();
        assert_eq!(names(&out), [format!("part-0.{format}"), format!("part-2.{format}")]);
        assert_eq!(names(out.parent().unwrap()), ["out"], "no stage is left");
        let (rows, times) = read_all(&spec(out.to_str().unwrap(), &pairs)).unwrap();
        assert_eq!(rows, batch(10..2_005));
        assert_eq!(times, [Some(10_000), Some(2_000_000)]);
    }
}

#[test]
fn a_sink_without_rows_leaves_one_file_that_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    sink_at(&out, &[("format", "parquet")]).unwrap().commit().unwrap();
    assert_eq!(names(&out), ["part-0.parquet"]);
    assert_eq!(read_all(&spec(out.to_str().unwrap(), &[("format", "parquet")])).unwrap().0.num_rows(), 0);
}

#[test]
fn an_aborted_or_dropped_sink_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    for abort in [true, false] {
        let table = sink_at(&out, &[("format", "csv")]).unwrap();
        write(&*table, 0, &batch(0..10));
        if abort {
            table.abort();
        }
        drop(table);
        assert_eq!(names(dir.path()), Vec::<String>::new());
    }
}

#[test]
fn an_existing_folder_is_refused_unless_it_may_be_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    fs::create_dir(&out).unwrap();
    let first = sink_at(&out, &[("format", "csv")]).expect("an empty folder may be filled");
    write(&*first, 0, &batch(0..1));
    first.commit().unwrap();
    let error = sink_at(&out, &[("format", "csv")]).err().unwrap();
    assert!(error.contains("holds something already") && error.contains("sink.overwrite"), "{error}");
    let pairs = [("format", "csv"), ("sink.overwrite", "true")];
    let second = sink_at(&out, &pairs).unwrap();
    write(&*second, 3, &batch(5..6));
    assert_eq!(names(&out), ["part-0.csv"], "the old folder stays until the commit");
    second.commit().unwrap();
    assert_eq!((names(&out), names(dir.path())), (vec!["part-3.csv".to_string()], vec!["out".to_string()]));
    let file = out.join("part-3.csv");
    assert!(sink_at(&file, &pairs).err().unwrap().contains("is a file, not a folder"));
}

#[test]
fn leftovers_of_a_dead_run_are_cleaned_and_a_half_done_replacement_is_undone() {
    let dir = tempfile::tempdir().unwrap();
    let (out, stage) = (dir.path().join("out"), dir.path().join(".out.staging"));
    fs::create_dir_all(stage.join("parts")).unwrap();
    fs::write(stage.join("parts/part-0.csv"), "old").unwrap();
    fs::create_dir_all(stage.join("replaced")).unwrap();
    fs::write(stage.join("replaced/part-0.csv"), "before").unwrap();
    let error = sink_at(&out, &[("format", "csv")]).err().unwrap();
    assert!(error.contains("holds something already"), "the replaced folder is back: {error}");
    assert_eq!(fs::read_to_string(out.join("part-0.csv")).unwrap(), "before");
    assert!(!stage.exists());
}

#[test]
fn two_jobs_cannot_write_one_folder() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let first = sink_at(&out, &[("format", "csv")]).unwrap();
    let error = sink_at(&out, &[("format", "csv")]).err().unwrap();
    assert!(error.contains("another job is writing to"), "{error}");
    write(&*first, 0, &batch(0..1));
    first.commit().unwrap();
    assert_eq!(names(&out), ["part-0.csv"]);
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let error = sink_at(Path::new("/proc/highwater/out"), &[("format", "csv")]).err().unwrap();
    assert!(error.contains("can't create /proc/highwater"), "{error}");
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "x").unwrap();
    let error = sink_at(&dir.path().join("file/out"), &[("format", "csv")]).err().unwrap();
    assert!(error.contains("file: a file of that name is in the way"), "{error}");
}

#[test]
fn a_full_device_is_an_error_that_names_path_and_cure() {
    let full = std::io::Error::from_raw_os_error(28);
    let large = std::io::Error::from_raw_os_error(27);
    assert_eq!(
        super::io_error("write", "/out/part-0.csv", &full),
        "can't write /out/part-0.csv: the device is full; free space or choose another path"
    );
    assert!(super::io_error("write", "/out", &large).contains("limit on file sizes; raise it (ulimit -f)"));
}

#[test]
fn bad_inputs_are_named_when_the_job_is_planned() {
    let dir = tempfile::tempdir().unwrap();
    let error = |name: &str, bytes: Option<&[u8]>, pairs: &[(&str, &str)]| {
        let path = dir.path().join(name);
        if let Some(bytes) = bytes {
            fs::write(&path, bytes).unwrap();
        }
        read_all(&spec(path.to_str().unwrap(), pairs)).unwrap_err()
    };
    let csv = [("format", "csv")];
    for (name, bytes, pairs, part) in [
        ("absent.csv", None, &csv[..], "absent.csv: it does not exist; check the path"),
        ("zero.csv", Some(&b""[..]), &csv, "zero.csv is empty (0 bytes)"),
        ("z.csv", Some(b"\x1F\x8B\x08\x00"), &csv, "z.csv: its gzip data is truncated or damaged"),
        ("p.csv", Some(b"PAR1PAR1"), &csv, "is a Parquet file; set 'format' = 'parquet'"),
        ("h.csv", Some(b"a,b\n"), &[("format", "csv"), ("csv.header", "true")], "the header has 2 columns"),
        ("x.parquet", Some(b"1,2,3\n"), &[("format", "parquet")], "is no Parquet file"),
        ("y.parquet", Some(b"PAR1 and then nothing"), &[("format", "parquet")], "truncated or damaged"),
    ] {
        let found = error(name, bytes, pairs);
        assert!(found.starts_with("table input: ") && found.contains(part), "{found}");
    }
}

#[test]
fn options_are_checked_with_their_names() {
    let errors = |connector: &str, usage, pairs: &[(&str, &str)]| check(connector, usage, &options(pairs), &schema());
    assert_eq!(errors("filesystem", Usage::Source, &[("path", "/x"), ("format", "csv"), ("csv.header", "true")]), []);
    for (connector, usage, pairs, option, part) in [
        ("filesystm", Usage::Source, &[][..], "connector", "unknown connector 'filesystm'; use 'filesystem'"),
        ("datagen", Usage::Source, &[], "connector", "use 'generator'"),
        ("print", Usage::Source, &[], "connector", "can't be read"),
        ("generator", Usage::Sink, &[], "connector", "can't be written"),
        ("filesystem", Usage::Source, &[("format", "csv")], "path", "needs it; add 'path' = "),
        ("filesystem", Usage::Source, &[("path", "/x")], "format", "needs it; add 'format' = "),
        ("filesystem", Usage::Source, &[("path", "/x"), ("format", "cvs")], "format", "\"cvs\" is unknown; use 'csv'"),
        ("filesystem", Usage::Source, &[("path", "s3://x"), ("format", "csv")], "path", "s3:// is not supported"),
        ("filesystem", Usage::Sink, &[("path", "/x/*"), ("format", "csv")], "path", "is a glob"),
        (
            "filesystem",
            Usage::Source,
            &[("path", "/x"), ("format", "parquet"), ("csv.header", "true")],
            "csv.header",
            "is an option of format 'csv'",
        ),
        (
            "filesystem",
            Usage::Sink,
            &[("path", "/x"), ("format", "json"), ("csv.header", "true")],
            "csv.header",
            "is an option of format 'csv', the table's format is 'json'",
        ),
        (
            "filesystem",
            Usage::Source,
            &[("path", "/x"), ("format", "csv"), ("csv.ignore-parse-errors", "true")],
            "csv.ignore-parse-errors",
            "it becomes a row of t$errors; remove it",
        ),
        ("filesystem", Usage::Source, &[("path", "/x"), ("format", "csv"), ("pth", "")], "pth", "use 'path'"),
        ("print", Usage::Sink, &[("print-identifer", "x")], "print-identifer", "use 'print-identifier'"),
        ("blackhole", Usage::Sink, &[("path", "x")], "path", "the blackhole connector has none"),
    ] {
        let found = errors(connector, usage, pairs);
        assert!(found.len() == 1 && found[0].option == option && found[0].message.contains(part), "{found:?}");
    }
}

#[test]
fn a_source_goes_on_where_a_chunk_ended() {
    for (format, header) in [("csv", "true"), ("csv", "false"), ("json", ""), ("parquet", "")] {
        let dir = tempfile::tempdir().unwrap();
        let mut pairs = vec![("format", format)];
        if !header.is_empty() {
            pairs.push(("csv.header", header));
        }
        let table = sink_at(&dir.path().join("in"), &pairs).unwrap();
        write(&*table, 0, &batch(0..200_000));
        write(&*table, 1, &batch(200_000..200_100));
        table.commit().unwrap();
        let spec = spec(dir.path().join("in").to_str().unwrap(), &pairs);
        let source = source(&spec, &RunOptions::default()).unwrap();
        for (p, rows) in [(0, 200_000), (1, 100)] {
            let open = |from: Option<&Position>| -> Box<dyn PartitionReader> { source.open(p, from).unwrap() };
            let records = crate::resume::check(&open, &[(70_001, true), (8_192, false), (99, true)]).unwrap();
            assert!(records.iter().map(|r| r.0).eq(0..rows));
        }
        assert_ne!(source.fingerprint(0).unwrap(), source.fingerprint(1).unwrap());
    }
}

#[test]
fn a_compressed_file_is_read_and_gone_on_with_as_the_plain_one() {
    let dir = tempfile::tempdir().unwrap();
    for (format, pairs) in
        [("csv", vec![("format", "csv"), ("csv.header", "true")]), ("json", vec![("format", "json")])]
    {
        let out = dir.path().join(format);
        let table = sink_at(&out, &pairs).unwrap();
        write(&*table, 0, &batch(0..100_000));
        table.commit().unwrap();
        let plain = fs::read(out.join(format!("part-0.{format}"))).unwrap();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut gzip, &plain).unwrap();
        let zstd = zstd::stream::encode_all(&plain[..], 1).unwrap();
        for (name, packed) in [("gz", gzip.finish().unwrap()), ("zst", zstd)] {
            let path = dir.path().join(format!("payments.{format}.{name}"));
            fs::write(&path, &packed).unwrap();
            let spec = spec(path.to_str().unwrap(), &pairs);
            let (rows, times) = read_all(&spec).unwrap();
            assert_eq!((rows, times), (batch(0..100_000), vec![Some(0)]));
            let source = source(&spec, &RunOptions::default()).unwrap();
            let open = |from: Option<&Position>| -> Box<dyn PartitionReader> { source.open(0, from).unwrap() };
            let records = crate::resume::check(&open, &[(30_001, true), (8_192, false), (20_000, true)]).unwrap();
            assert!(records.iter().map(|r| r.0).eq(0..100_000));
        }
    }
}
