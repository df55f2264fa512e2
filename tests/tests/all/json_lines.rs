//! JSON lines through whole jobs: the same payments in any format give the same digests, and bad lines are rows.

use highwater_jobs::args::GenerateArgs;
use highwater_jobs::generate::generate;
use highwater_jobs::job::Outcome;
use highwater_tests::{Setting, digests, repository, rows, run};
use std::path::Path;

const ROWS: u64 = 60_000;
/// What the generator is told in both ways.
const OPTIONS: [(&str, &str); 3] = [("event-rate", "2"), ("cards", "5000"), ("late-share", "0.01")];

fn files(folder: &Path, format: &str) -> Vec<(String, String)> {
    let out = folder.join(format);
    let header = if format == "csv" { Some("csv.header=true".to_owned()) } else { None };
    let args = GenerateArgs {
        rows: ROWS,
        seed: 42,
        partitions: 3,
        format: format.into(),
        out: out.clone(),
        define: OPTIONS.iter().map(|(k, v)| format!("{k}={v}")).chain(header.clone()).collect(),
    };
    generate(&args).unwrap();
    let mut define = vec![
        ("payments.connector".to_owned(), "filesystem".to_owned()),
        ("payments.path".to_owned(), out.display().to_string()),
        ("payments.format".to_owned(), format.to_owned()),
    ];
    define.extend(header.map(|_| ("payments.csv.header".to_owned(), "true".to_owned())));
    define
}

fn run_job(job: &str, define: &[(String, String)], setting: Setting) -> Outcome {
    let text = std::fs::read_to_string(repository().join("jobs").join(job)).unwrap();
    let define: Vec<_> = define.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    run(&text, &define, setting).unwrap_or_else(|e| panic!("{job} {setting:?} {define:?}: {e}"))
}

#[test]
fn payments_in_any_format_give_the_generators_digests() {
    let folder = tempfile::tempdir().unwrap();
    let mut generator = vec![
        ("payments.number-of-rows".to_owned(), ROWS.to_string()),
        ("payments.partitions".to_owned(), "3".to_owned()),
    ];
    generator.extend(OPTIONS.iter().map(|(k, v)| (format!("payments.{k}"), v.to_string())));
    let formats = ["json", "csv", "parquet"].map(|format| files(folder.path(), format));
    for job in ["fraud_velocity.sql", "merchant_throughput.sql"] {
        let expected = digests(&run_job(job, &generator, Setting::of_workers(1)));
        assert!(expected.iter().all(|(_, rows, _)| *rows > 0), "every sink must have rows: {expected:?}");
        for define in &formats {
            for setting in [1, 2, 4].map(Setting::of_workers) {
                assert_eq!(digests(&run_job(job, define, setting)), expected, "{job} {define:?} {setting:?}");
            }
        }
        let setting = Setting { workers: 2, batch_rows: 77, epoch_rows: 1000 };
        assert_eq!(digests(&run_job(job, &formats[0], setting)), expected, "{job} {setting:?}");
    }
}

/// Columns of the types that SQL has.
const COLUMNS: &str = "ts TIMESTAMP(3), id BIGINT, small SMALLINT, amount DECIMAL(38, 9), name STRING, ok BOOLEAN,
    rate DOUBLE, day DATE, at TIME(3), fine TIME(9), zoned TIMESTAMP_LTZ(3), raw BYTES";

#[test]
fn what_a_job_writes_as_json_another_reads_with_the_same_digest() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let given = "\
        {\"ts\":\"2026-01-01 00:00:10.001\",\"id\":9223372036854775807,\"amount\":12345678901234567890123456789.123456789,\"raw\":\"AP8=\"}\n\
        {\"ts\":\"2026-01-01 00:00:11\",\"small\":-32768,\"name\":\"say \\\"hi\\\"\\n\\u00e9\\ud83d\\ude00\",\"ok\":true,\"rate\":-1.5e-300}\n\
        {\"ts\":\"2026-01-01 00:00:12\",\"day\":\"2024-02-29\",\"at\":\"12:34:56.789\",\"fine\":\"23:59:59.999999999\",\"zoned\":\"2026-01-01 01:00:00+01:00\"}\n\
        {\"ts\":\"2026-01-01 00:00:13\",\"name\":\"\",\"amount\":\"0.000000001\",\"rate\":\"NaN\",\"ok\":false}\n";
    std::fs::write(folder.path().join("given.jsonl"), given).unwrap();
    let copy = |from: &str, to: &str, options: &str| {
        let text = format!(
            "CREATE TABLE given ({COLUMNS}, WATERMARK FOR ts AS ts)
             WITH ('connector' = 'filesystem', 'path' = '{from}', 'format' = 'json');
             CREATE TABLE copy ({COLUMNS}) WITH ('connector' = 'filesystem', 'path' = '{to}', 'format' = 'json'{options});
             CREATE TABLE shown ({COLUMNS}) WITH ('connector' = 'table');
             INSERT INTO copy SELECT * FROM given; INSERT INTO shown SELECT * FROM given;"
        );
        run(&text, &[], Setting::of_workers(1)).unwrap_or_else(|e| panic!("{e}"))
    };
    let first = copy(&path("given.jsonl"), &path("a"), "");
    assert_eq!(rows(first.table("shown").unwrap()).len(), 4);
    let terse = ", 'json.encode.ignore-null-fields' = 'true', 'json.timestamp-format.standard' = 'ISO-8601'";
    let second = copy(&path("a"), &path("b"), terse);
    let third = copy(&path("b"), &path("c"), "");
    assert_eq!(digests(&second), digests(&first));
    assert_eq!(digests(&third), digests(&first));
    let written = |name: &str| std::fs::read_to_string(folder.path().join(name).join("part-0.json")).unwrap();
    assert_eq!(written("c"), written("a"));
    assert!(written("b").contains("\"ts\":\"2026-01-01T00:00:10.001\"") && !written("b").contains("null"));
}

#[test]
fn bad_lines_are_rows_with_their_place_reason_and_bytes() {
    let lines = [
        ("{\"ts\":\"2026-01-01 00:00:10\",\"id\":1,\"name\":\"a\"}", None),
        (
            "{\"ts\":\"2026-01-01 00:00:10\",\"id\":1.5}",
            Some("line 2, field id: \"1.5\" has more decimals than BIGINT"),
        ),
        ("{\"ts\":\"2026-01-01 00:00:10\",\"id\":", Some("line 3, byte 34: the end of the line is not a value")),
        ("", None),
        (
            "{\"ts\":\"2026-13-01 00:00:10\",\"id\":2}",
            Some("line 5, field ts: \"\\\"2026-13-01 00:00:10\\\"\" is not a TIMESTAMP(3)"),
        ),
        ("{\"id\":3}", Some("column ts: the event time is NULL")),
        ("{\"ts\":\"2026-01-01 00:00:10\"}", Some("column id: NULL in a NOT NULL column")),
        ("[]", Some("line 8, byte 1: \"[]\" is no object; write one JSON object a line")),
        ("{\"ts\":\"2026-01-01 00:00:11\",\"id\":\"4\",\"name\":7}", None),
    ];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.json");
    std::fs::write(&path, lines.map(|l| l.0).join("\n")).unwrap();
    let text = format!(
        "CREATE TABLE p (ts TIMESTAMP(3), id BIGINT NOT NULL, name STRING, WATERMARK FOR ts AS ts)
         WITH ('connector' = 'filesystem', 'path' = '{}', 'format' = 'json');
         CREATE TABLE good (id BIGINT, name STRING) WITH ('connector' = 'table');
         CREATE TABLE bad (at BIGINT, reason STRING, raw BYTES) WITH ('connector' = 'table');
         INSERT INTO good SELECT id, name FROM p;
         INSERT INTO bad SELECT `position`, reason, raw FROM `p$errors`;",
        path.display()
    );
    for setting in [Setting::of_workers(1), Setting { workers: 2, batch_rows: 2, epoch_rows: 3 }] {
        let outcome = run(&text, &[], setting).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(rows(outcome.table("good").unwrap()), ["1|a", "4|7"]);
        let bad = rows(outcome.table("bad").unwrap());
        let expected: Vec<_> = lines.iter().enumerate().filter_map(|(at, l)| Some((at, l.0, l.1?))).collect();
        assert_eq!(bad.len(), expected.len(), "{bad:#?}");
        for (at, line, reason) in expected {
            let row = bad.iter().find(|b| b.starts_with(&format!("{at}|"))).unwrap_or_else(|| panic!("{at}: {bad:#?}"));
            assert!(row.contains(reason), "{row:?} should contain {reason:?}");
            let hex: String = line.bytes().map(|b| format!("{b:02x}")).collect();
            assert!(row.ends_with(&format!("|{hex}")) || reason.starts_with("column "), "{row}");
        }
    }
}
