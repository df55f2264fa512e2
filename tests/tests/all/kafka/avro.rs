//! Messages in Avro between jobs and fastavro, with a schema registry and without one.

use super::{TO_THE_END, broker, options};
use highwater_tests::fastavro;
use highwater_tests::kafka::Broker;
use highwater_tests::kafka::bytes::{consume, produce};
use highwater_tests::registry::{FROZEN, SchemaRegistry, USER};
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const COLUMNS: &str = "ts TIMESTAMP(3), n BIGINT, i INT, b BOOLEAN, f DOUBLE, s STRING, y BYTES, d DECIMAL(20, 4), \
                       `day` DATE, tz TIMESTAMP_LTZ(6), u STRING, e STRING";

/// Runs a job that keeps its state in the folder.
fn run(job: &str, folder: &TempDir, registry: &SchemaRegistry) -> Output {
    let path = folder.path().join("job.sql");
    std::fs::write(&path, job).unwrap();
    Command::new(env!("CARGO_BIN_EXE_highwater-subject"))
        .args([path.as_path(), folder.path()])
        .arg("1")
        .env("HIGHWATER_HTTP_HOSTS", registry.url())
        .env("REGISTRY_USER", USER)
        .output()
        .unwrap()
}

fn with(broker: &Broker, topic: &str, format: &str, more: &[(&str, &str)]) -> String {
    let own = [("properties.bootstrap.servers", broker.servers()), ("format", format)];
    options(topic, &[&own[..], more].concat())
}

/// The options of a registry.
fn registered(url: &str) -> [(&str, &str); 2] {
    [("avro-confluent.url", url), ("avro-confluent.basic-auth.user-info", "${env:REGISTRY_USER}")]
}

/// Three writers' schemas, of which two have changed since; poison among them. What comes out is what went in.
#[test]
fn what_fastavro_writes_is_read_and_what_is_written_it_reads() {
    let Some(written) = fastavro::write(20_261_123, 2_000) else { return };
    let Some(broker) = broker() else { return };
    let mut client = broker.client();
    ["avro-in", "avro-named", "avro-plain", "avro-again"].into_iter().for_each(|topic| client.create(topic, 1, &[]));
    let poison: [&[u8]; 4] = [b"{\"n\": 1}", b"", &[0, 0, 0, 0, 99, 2], &[0, 0, 0, 0, 1, 2]];
    produce(&broker, "avro-in", written.messages.iter().map(|(bytes, _)| bytes.as_slice()).chain(poison));

    let registry = SchemaRegistry::start(written.schemas.clone());
    let (url, folder) = (registry.url(), TempDir::new().unwrap());
    let at_least_once = ("sink.delivery-guarantee", "at-least-once");
    let job = format!(
        "CREATE TABLE i ({COLUMNS}, WATERMARK FOR ts AS ts) WITH ({});
         CREATE TABLE named ({COLUMNS}) WITH ({});
         CREATE TABLE plain ({COLUMNS}) WITH ({});
         CREATE TABLE bad (o BIGINT, reason STRING) WITH ('connector' = 'blackhole');
         INSERT INTO named SELECT * FROM i;
         INSERT INTO plain SELECT * FROM i;
         INSERT INTO bad SELECT position, reason FROM `i$errors`;",
        with(&broker, "avro-in", "avro-confluent", &[&registered(&url)[..], &[TO_THE_END]].concat()),
        with(&broker, "avro-named", "avro-confluent", &[&registered(&url)[..], &[at_least_once]].concat()),
        with(&broker, "avro-plain", "avro", &[at_least_once]),
    );
    let output = run(&job, &folder, &registry);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(shown.lines().any(|line| line.starts_with("bad 4 ")), "{shown}");

    let expected: Vec<_> = written.messages.iter().map(|(_, row)| row.clone()).collect();
    let [(subject, id, schema)] = &registry.registered()[..] else { panic!("one table is registered") };
    assert_eq!(subject, "avro-named-value");
    let named = consume(&broker, "avro-named", expected.len());
    let prefix = [&[0], &id.to_be_bytes()[..]].concat();
    let datums: Vec<&[u8]> = named.iter().map(|m| m.strip_prefix(&prefix[..]).unwrap()).collect();
    assert!(fastavro::read(schema, &datums) == expected, "rows with a registry");
    let plain = consume(&broker, "avro-plain", expected.len());
    let datums: Vec<&[u8]> = plain.iter().map(Vec::as_slice).collect();
    assert!(fastavro::read(schema, &datums) == expected, "rows without a registry");
    // each schema is asked for once, however many messages have it
    let mut asked = registry.requests();
    asked.sort();
    asked.dedup();
    assert_eq!(asked.len(), registry.requests().len(), "{:?}", registry.requests());

    // and what has no id of a schema is read by the table's
    let folder = TempDir::new().unwrap();
    let job = format!(
        "CREATE TABLE i ({COLUMNS}, WATERMARK FOR ts AS ts) WITH ({});
         CREATE TABLE o ({COLUMNS}) WITH ({});
         INSERT INTO o SELECT * FROM i;",
        with(&broker, "avro-plain", "avro", &[TO_THE_END]),
        with(&broker, "avro-again", "avro", &[at_least_once]),
    );
    let output = run(&job, &folder, &registry);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(consume(&broker, "avro-again", expected.len()) == plain, "rows read by the table's schema");
}

/// What a registry refuses, and one that is not there, is said within ten seconds, without the secret.
#[test]
fn what_is_wrong_with_a_registry_is_said_soon() {
    let Some(broker) = broker() else { return };
    let mut client = broker.client();
    ["avro-refused", "frozen", "avro-lost"].into_iter().for_each(|topic| client.create(topic, 1, &[]));
    produce(&broker, "avro-lost", [&[0, 0, 0, 0, 1, 2][..]].into_iter());
    let registry = SchemaRegistry::start([(1, "\"long\"".to_owned())].into());
    let url = registry.url();
    let nobody = "http://127.0.0.1:1";
    let wrong = [("avro-confluent.url", url.as_str()), ("avro-confluent.bearer-auth.token", "${env:REGISTRY_USER}")];
    let sink = |topic: &str, options: &[(&str, &str)]| {
        let more = [options, &[("sink.delivery-guarantee", "at-least-once")]].concat();
        format!(
            "CREATE TABLE i (ts TIMESTAMP(3), n BIGINT, WATERMARK FOR ts AS ts) WITH ('connector' = 'kafka', {});
             CREATE TABLE o (n BIGINT) WITH ({});
             INSERT INTO o SELECT n FROM i;",
            with(&broker, "avro-lost", "avro", &[TO_THE_END]).replace("'connector' = 'kafka', ", ""),
            with(&broker, topic, "avro-confluent", &more)
        )
    };
    let frozen = format!("not compatible with those of subject {FROZEN}");
    let cases = [
        (sink("avro-refused", &wrong), vec!["answers 401 (Unauthorized)", "avro-confluent.bearer-auth.token"]),
        (sink("frozen", &registered(&url)), vec![frozen.as_str()]),
        (
            sink("avro-refused", &registered("http://127.0.0.1:9")),
            vec!["is no host that jobs may call", "HIGHWATER_HTTP_HOSTS"],
        ),
    ];
    for (job, says) in cases {
        let since = Instant::now();
        let output = run(&job, &TempDir::new().unwrap(), &registry);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && says.iter().all(|s| said.contains(s)), "{said}");
        assert!(since.elapsed() < Duration::from_secs(10) && !said.contains("canary"), "{said}");
    }
    // A registry that nobody runs: its host is allowed by hand.
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("job.sql");
    std::fs::write(&path, sink("avro-refused", &registered(nobody))).unwrap();
    let since = Instant::now();
    let output = Command::new(env!("CARGO_BIN_EXE_highwater-subject"))
        .args([path.as_path(), folder.path()])
        .arg("1")
        .env("HIGHWATER_HTTP_HOSTS", nobody)
        .env("REGISTRY_USER", USER)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("http://127.0.0.1:1 can't be reached") && since.elapsed() < Duration::from_secs(10),
        "{said}"
    );
}
