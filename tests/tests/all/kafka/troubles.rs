//! What is missing, refused or gone is said within ten seconds.

use super::{TO_THE_END, broker, options};
use highwater_engine::flow::Control;
use highwater_jobs::job::{self, Options};
use highwater_jobs::state;
use highwater_tests::kafka::Broker;
use highwater_tests::{Setting, run};
use std::path::Path;
use std::time::{Duration, Instant};

fn reads(broker: &Broker, topic: &str, more: &[(&str, &str)]) -> String {
    reads_with(topic, &[&[("properties.bootstrap.servers", broker.servers())], more].concat())
}

/// A job that reads a topic.
pub(super) fn reads_with(topic: &str, given: &[(&str, &str)]) -> String {
    format!(
        "CREATE TABLE t (ts TIMESTAMP(3), n BIGINT, WATERMARK FOR ts AS ts) WITH ({});
         CREATE TABLE o (ts TIMESTAMP(3), n BIGINT) WITH ('connector' = 'blackhole');
         INSERT INTO o SELECT ts, n FROM t;",
        options(topic, given)
    )
}

fn writes(broker: &Broker, topic: &str, more: &[(&str, &str)]) -> String {
    writes_with(topic, &[&[("properties.bootstrap.servers", broker.servers())], more].concat())
}

/// A job that writes ten rows to a topic.
pub(super) fn writes_with(topic: &str, given: &[(&str, &str)]) -> String {
    format!(
        "CREATE TABLE t (payment_id BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts)
         WITH ('connector' = 'generator', 'number-of-rows' = '10');
         CREATE TABLE o (n BIGINT, ts TIMESTAMP(3)) WITH ({});
         INSERT INTO o SELECT payment_id, ts FROM t;",
        options(topic, given)
    )
}

/// The job's error, which must come soon and hold these words.
pub(super) fn fails(job: &str, define: &[(&str, &str)], words: &[&str]) -> String {
    let since = Instant::now();
    let error = match run(job, define, Setting::of_workers(1)) {
        Ok(_) => panic!("runs, but {words:?} was expected"),
        Err(error) => error.to_string(),
    };
    assert!(since.elapsed() < Duration::from_secs(10), "{:?} until {error}", since.elapsed());
    assert!(words.iter().all(|w| error.contains(w)), "{words:?} was expected: {error}");
    error
}

#[test]
fn a_topic_that_is_not_there_and_a_broker_that_is_not_there_are_named() {
    let Some(broker) = broker() else { return };
    let topic = ["there is no topic nowhere on", "create it, or check 'topic'"];
    fails(&reads(&broker, "nowhere", &[TO_THE_END]), &[], &topic);
    fails(&writes(&broker, "nowhere", &[]), &[], &topic);
    // Nobody listens on port 1.
    let away = ["no broker of 127.0.0.1:1 answers", "check properties.bootstrap.servers"];
    fails(
        &reads(&broker, "any", &[TO_THE_END]),
        &[
            ("t.properties.bootstrap.servers", "127.0.0.1:1"),
            ("t.connector", "kafka"),
            ("t.topic", "any"),
            ("t.format", "json"),
            ("t.scan.bounded.mode", "latest-offset"),
        ],
        &away,
    );
    fails(
        &writes(&broker, "any", &[]),
        &[
            ("o.properties.bootstrap.servers", "127.0.0.1:1"),
            ("o.connector", "kafka"),
            ("o.topic", "any"),
            ("o.format", "json"),
        ],
        &away,
    );
}

#[test]
fn options_that_are_wrong_are_named_with_what_to_write() {
    let Some(broker) = broker() else { return };
    let cases: [(&str, &str, &[&str]); 11] = [
        ("format", "raw", &["one column of STRING or BYTES"]),
        ("properties.bootstrap.server", "x", &["'properties.bootstrap.servers'"]),
        ("properties.plugin.library.paths", "x.so", &["unknown option"]),
        ("properties.sasl.jaas.config", "x", &["properties.sasl.username"]),
        ("properties.sasl.password", "secret", &["${env:NAME}"]),
        ("properties.fetch.min.bytes", "many", &["properties.fetch.min.bytes", "many"]),
        ("properties.linger.ms", "5", &["tables that are written"]),
        ("scan.startup.mode", "group-offsets", &["properties.group.id"]),
        ("scan.startup.mode", "timestamp", &["scan.startup.timestamp-millis"]),
        ("scan.startup.specific-offsets", "0:1", &["'scan.startup.mode' = 'specific-offsets'"]),
        ("csv.header", "true", &["the table's format is 'json'"]),
    ];
    for (option, value, words) in cases {
        fails(&reads(&broker, "any", &[TO_THE_END, (option, value)]), &[], words);
    }
    let cases: [(&str, &str, &[&str]); 4] = [
        ("sink.delivery-guarantee", "exactly-once", &["needs state", "--state DIR"]),
        ("sink.delivery-guarantee", "twice", &["'exactly-once'"]),
        ("key.fields", "m", &["there is no column m"]),
        ("properties.group.id", "g", &["tables that are read"]),
    ];
    for (option, value, words) in cases {
        fails(&writes(&broker, "any", &[(option, value)]), &[], words);
    }
    let unbounded = reads(&broker, "any", &[]);
    assert!(run(&unbounded, &[], Setting::of_workers(1)).is_err());
}

#[test]
fn places_that_are_not_there_are_errors() {
    let Some(broker) = broker() else { return };
    let mut client = broker.client();
    client.create("two", 2, &[]);
    let from =
        |offsets| [("scan.startup.mode", "specific-offsets"), ("scan.startup.specific-offsets", offsets), TO_THE_END];
    fails(&reads(&broker, "two", &from("partition:0,offset:0")), &[], &["has partition 1 too; give it an offset"]);
    let foreign = from("partition:0,offset:0;partition:1,offset:0;partition:2,offset:0");
    fails(&reads(&broker, "two", &foreign), &[], &["has no partition 2, only 2"]);
    fails(
        &reads(&broker, "two", &from("partition:0,offset:0;partition:1,offset:7")),
        &[],
        &["two-1 has no offset 7, only 0 to 0"],
    );
}

#[test]
fn a_group_that_stands_nowhere_or_where_nothing_is_left_is_an_error() {
    let Some(broker) = broker() else { return };
    let mut client = broker.client();
    client.create("grouped", 2, &[]);
    let row = |p: &str| (p.to_owned(), "-".to_owned(), "-", r#"{"ts":"2026-01-01","n":1}"#);
    client.write("grouped", [row("0"), row("0"), row("0"), row("1"), row("1")].into_iter());
    let from_group = [("scan.startup.mode", "group-offsets"), ("properties.group.id", "lag"), TO_THE_END];
    let job = reads(&broker, "grouped", &from_group);
    fails(&job, &[], &["group lag has no offset of grouped-0", "'earliest-offset'"]);
    client.ask("stand lag grouped 0 1");
    client.ask("stand lag grouped 1 2");
    let outcome = run(&job, &[], Setting::of_workers(1)).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(outcome.report.sources[0].rows, 2);
    client.ask("delete grouped 0 2");
    fails(&job, &[], &["group lag stands at offset 1 of grouped-0, which has only 2 to 3", "retention"]);
}

#[test]
fn a_row_that_is_too_large_ends_the_job_with_what_to_raise() {
    let Some(broker) = broker() else { return };
    let mut client = broker.client();
    client.create("small", 1, &["max.message.bytes=200"]);
    fails(&writes(&broker, "small", &[]), &[], &["refuses a row as too large", "max.message.bytes"]);
}

/// Runs a job with its state in this folder.
pub(super) fn run_with_state(job: &str, folder: &Path) -> Result<u64, String> {
    let planned = job::plan("test.sql", job, &Default::default()).map_err(|e| e.to_string())?;
    let keep = state::keep(Some(folder), &planned.settings).map_err(|e| e.to_string())?;
    let options = Options { keep, ..Options::default() };
    let outcome = job::run(&planned.graph, &job::run_options(&planned), &options, &Control::new());
    outcome.map(|o| o.report.sources[0].rows).map_err(|e| e.to_string())
}

#[test]
fn rows_that_retention_took_before_they_were_read_end_the_job() {
    let Some(broker) = broker() else { return };
    let mut client = broker.client();
    client.create("kept", 1, &[]);
    let rows: Vec<String> = (0..10).map(|n| format!(r#"{{"ts":"2026-01-01","n":{n}}}"#)).collect();
    client.write(
        "kept",
        rows.iter().map(|r| ("0".to_owned(), "-".to_owned(), "-", r.as_str())).collect::<Vec<_>>().into_iter(),
    );
    let folder = tempfile::tempdir().unwrap();
    let until = |end| [("scan.bounded.mode", "specific-offsets"), ("scan.bounded.specific-offsets", end)];
    let from = [("scan.startup.mode", "specific-offsets"), ("scan.startup.specific-offsets", "partition:0,offset:2")];
    // A job that has ended stays so, with the end that it had.
    assert_eq!(run_with_state(&reads(&broker, "kept", &until("partition:0,offset:4")), folder.path()), Ok(4));
    assert_eq!(run_with_state(&reads(&broker, "kept", &[TO_THE_END]), folder.path()), Ok(4));
    client.ask("delete kept 0 5");
    let gone = [&from[..], &[TO_THE_END]].concat();
    fails(&reads(&broker, "kept", &gone), &[], &["kept-0 has no offset 2, only 5 to 10"]);
    assert_eq!(run_with_state(&reads(&broker, "kept", &[TO_THE_END]), tempfile::tempdir().unwrap().path()), Ok(5));
}
