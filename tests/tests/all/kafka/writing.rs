//! A job writes, Kafka's own client reads.

use super::{TO_THE_END, broker, with};
use highwater_tests::{Setting, repository, run};
use std::collections::BTreeMap;

/// Each card goes to one partition, the one that Java's default partitioner chooses for its key.
#[test]
fn rows_are_read_by_kafkas_own_client_in_the_partitions_that_it_would_choose() {
    let Some(broker) = broker() else { return };
    let mut client = broker.client();
    ["written", "chosen"].into_iter().for_each(|topic| client.create(topic, 5, &[]));
    let job = format!(
        "CREATE TABLE payments (payment_id BIGINT, ts TIMESTAMP(3), card BIGINT, amount DECIMAL(12, 2),
           WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
         WITH ('connector' = 'generator', 'number-of-rows' = '3000', 'cards' = '200');
         CREATE TABLE written (payment_id BIGINT, ts TIMESTAMP(3), card STRING, amount DECIMAL(12, 2)) WITH ({});
         INSERT INTO written SELECT payment_id, ts, CAST(card AS STRING), amount FROM payments;",
        with(&broker, "written", &[("key.fields", "card"), ("key.format", "raw")])
    );
    run(&job, &[], Setting::of_workers(2)).unwrap_or_else(|e| panic!("{e}"));
    let written = client.read("written");
    assert_eq!(written.len(), 3000);
    let mut by_key = BTreeMap::new();
    for message in &written {
        let (key, value) = (message.key.clone().unwrap(), message.value.as_deref().unwrap());
        assert!(
            value.contains(&format!(r#""card":"{key}","amount":"#)) && value.starts_with(r#"{"payment_id":"#),
            "{value}"
        );
        assert_eq!(*by_key.entry(key).or_insert(message.partition), message.partition, "{message:?}");
    }
    assert!(by_key.len() > 100, "{} keys", by_key.len());
    client.write_keyed("chosen", by_key.keys().map(|key| (key.as_str(), "x")).collect::<Vec<_>>().into_iter());
    let chosen: BTreeMap<_, _> = client.read("chosen").into_iter().map(|m| (m.key.unwrap(), m.partition)).collect();
    assert_eq!(by_key, chosen);
}

/// Messages of any bytes, and of none, pass as they are.
#[test]
fn raw_messages_are_one_column_in_and_out() {
    let Some(broker) = broker() else { return };
    let mut client = broker.client();
    client.create("raw-in", 1, &["retention.ms=-1"]);
    let row = |value| ("0".to_owned(), "1767225600000".to_owned(), "k", value);
    client.write("raw-in", [row("plain, \"text\""), row("-"), row("{\"n\": 1}"), row("\u{fc}")].into_iter());
    for (to, data_type) in [("raw-text", "STRING"), ("raw-bytes", "BYTES")] {
        client.create(to, 1, &[]);
        let job = format!(
            "CREATE TABLE i (v {data_type}, ts TIMESTAMP(3) METADATA FROM 'timestamp', WATERMARK FOR ts AS ts) WITH ({});
             CREATE TABLE o (v {data_type}) WITH ({});
             INSERT INTO o SELECT v FROM i;",
            with(&broker, "raw-in", &[("format", "raw"), TO_THE_END]),
            with(&broker, to, &[("format", "raw")])
        );
        run(&job, &[], Setting::of_workers(1)).unwrap_or_else(|e| panic!("{e}"));
        let values: Vec<_> = client.read(to).into_iter().map(|m| m.value).collect();
        let expected = [Some("plain, \"text\""), None, Some("{\"n\": 1}"), Some("\u{fc}")];
        assert_eq!(values, expected.map(|v| v.map(str::to_owned)), "{data_type}");
    }
}

/// What the README shows runs as it stands there, but for the broker's port and the names of its topics.
#[test]
fn the_readmes_payments_on_kafka_run() {
    let Some(broker) = broker() else { return };
    let mut client = broker.client();
    client.create("readme-payments", 6, &[]);
    client.create("readme-busy_cards", 3, &[]);
    let text = std::fs::read_to_string(repository().join("README.md")).unwrap();
    let section = text.split("## Payments on Kafka").nth(1).unwrap().split("\n## ").next().unwrap();
    let jobs: Vec<String> =
        section.split("```sql\n").skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect();
    assert_eq!(jobs.len(), 2);
    let here = |job: &str| {
        job.replace("localhost:9092", broker.servers())
            .replace("'topic' = '", "'topic' = 'readme-")
            .replace("'200000'", "'50000'")
    };
    let [writes, reads] = [here(&jobs[0]), here(&jobs[1])];
    run(&writes, &[], Setting::of_workers(1)).unwrap_or_else(|e| panic!("{e}"));
    let to_the_end = [("payments.scan.bounded.mode", "latest-offset")];
    let outcome = run(&reads, &to_the_end, Setting::of_workers(2)).unwrap_or_else(|e| panic!("{e}"));
    let (source, sink) = (&outcome.report.sources[0], &outcome.report.sinks[0]);
    assert_eq!((source.rows, source.errors), (50_000, 0));
    // The generator makes one in a thousand late.
    assert!(source.late < 500, "{} late rows", source.late);
    assert!(sink.rows > 0);
    assert_eq!(client.read("readme-busy_cards").len() as u64, sink.rows);
}
