//! Kafka's own client writes, a job reads.

use super::troubles::{reads_with, run_with_state};
use super::{TO_THE_END, broker, with};
use highwater_jobs::args::GenerateArgs;
use highwater_jobs::generate::generate;
use highwater_tests::kafka::Broker;
use highwater_tests::{Setting, digests, repository, rows, run};
use std::time::{Duration, Instant};

fn job(broker: &Broker, topic: &str, more: &[(&str, &str)]) -> String {
    format!(
        "CREATE TABLE payments (
           ts TIMESTAMP(3), card BIGINT, amount DECIMAL(12, 2), note STRING,
           WATERMARK FOR ts AS ts - INTERVAL '5' SECOND
         ) WITH ({});
         CREATE TABLE good (ts TIMESTAMP(3), card BIGINT, amount DECIMAL(12, 2), note STRING) WITH ('connector' = 'table');
         CREATE TABLE bad (`partition` STRING, `position` BIGINT, reason STRING, raw STRING) WITH ('connector' = 'table');
         INSERT INTO good SELECT ts, card, amount, note FROM payments;
         INSERT INTO bad SELECT `partition`, `position`, reason, CAST(raw AS STRING) FROM `payments$errors`;",
        with(broker, topic, more)
    )
}

fn read(broker: &Broker, topic: &str, more: &[(&str, &str)], workers: usize) -> [Vec<String>; 2] {
    let outcome = run(&job(broker, topic, more), &[], Setting::of_workers(workers)).unwrap_or_else(|e| panic!("{e}"));
    ["good", "bad"].map(|table| outcome.table(table).map(rows).unwrap_or_default())
}

/// To a partition, with the broker's time and no key.
fn to<'r>(rows: &[(u8, &'r str)]) -> Vec<(String, String, &'r str, &'r str)> {
    rows.iter().map(|(p, value)| (p.to_string(), "-".to_owned(), "-", *value)).collect()
}

#[test]
fn each_message_is_a_row_or_a_row_of_errors_with_its_partition_and_offset() {
    let Some(broker) = broker() else { return };
    let mut client = broker.client();
    client.create("read-json", 3, &[]);
    client.write(
        "read-json",
        to(&[
            (0, r#"{"ts": "2026-01-01 00:00:01.000", "card": 1, "amount": 12.50, "note": "täglich \"A\""}"#),
            (0, r#"{"card": 2, "amount": "0.01", "ts": "2026-01-01T00:00:02"}"#),
            (0, r#"{"ts": "2026-01-01 00:00:03", "card": 3, "amount": 1.005}"#),
            (0, "-"),
            (0, " "),
            (0, "no JSON"),
            (0, r#"{"ts": "2026-01-01 00:00:04", "card": 4}"#),
            (2, r#"{"ts": "2026-01-01 00:00:05", "card": 5, "note": null}"#),
        ])
        .into_iter(),
    );
    for workers in [1, 3] {
        let [good, bad] = read(&broker, "read-json", &[TO_THE_END], workers);
        assert_eq!(
            good,
            [
                "2026-01-01 00:00:01|1|12.50|täglich \"A\"",
                "2026-01-01 00:00:02|2|0.01|NULL",
                "2026-01-01 00:00:04|4|NULL|NULL",
                "2026-01-01 00:00:05|5|NULL|NULL",
            ]
        );
        let places: Vec<_> = bad.iter().map(|b| b.splitn(3, '|').take(2).collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(places, ["read-json-0 2", "read-json-0 3", "read-json-0 4", "read-json-0 5"], "{bad:?}");
        // Raw bytes are shown as hexadecimal digits.
        assert!(bad[0].contains("field amount: \"1.005\" has more decimals than DECIMAL(12, 2)"), "{bad:?}");
        assert!(bad[1].contains("the message has no value (it is a tombstone)|NULL"), "{bad:?}");
        assert!(bad[2].contains("the message is empty|20"), "{bad:?}");
        assert!(bad[3].ends_with("|6e6f204a534f4e"), "{bad:?}");
    }
}

#[test]
fn a_message_of_csv_is_one_record() {
    let Some(broker) = broker() else { return };
    let mut client = broker.client();
    client.create("read-csv", 1, &[]);
    client.write(
        "read-csv",
        to(&[
            (0, "2026-01-01 00:00:01.000,1,12.50,\"a, b\""),
            (0, "2026-01-01 00:00:02.000,2,,"),
            (0, "2026-01-01 00:00:03.000,3"),
            (0, "2026-01-01 00:00:04.000,4,1.00,\"open"),
        ])
        .into_iter(),
    );
    let [good, bad] = read(&broker, "read-csv", &[("format", "csv"), TO_THE_END], 1);
    assert_eq!(good, ["2026-01-01 00:00:01|1|12.50|a, b", "2026-01-01 00:00:02|2|NULL|"]);
    assert!(bad[0].starts_with("read-csv-0|2|too few columns"), "{bad:?}");
    assert!(bad[1].starts_with("read-csv-0|3|a field opens with a quote that is not closed"), "{bad:?}");
}

/// Cards of the good rows.
fn cards(broker: &Broker, more: &[(&str, &str)]) -> Vec<String> {
    let [good, _] = read(broker, "places", more, 2);
    good.iter().map(|row| row.split('|').nth(1).unwrap_or_default().to_owned()).collect()
}

#[test]
fn reading_begins_and_ends_where_the_options_say_in_every_partition() {
    let Some(broker) = broker() else { return };
    let mut client = broker.client();
    // The messages say they are of 1970: retention would take them.
    client.create("places", 2, &["retention.ms=-1"]);
    let rows: Vec<String> = (1..=8).map(|i| format!(r#"{{"ts": "2026-01-01 00:00:0{i}", "card": {i}}}"#)).collect();
    // Odd ones to partition 0, even ones to 1; the message's time is 1000 times its number.
    let messages: Vec<_> =
        (1..).zip(&rows).map(|(i, r)| ((1 - i % 2).to_string(), (1000 * i).to_string(), "-", r.as_str())).collect();
    client.write("places", messages.into_iter());
    let start =
        |ms: &'static str| [("scan.startup.mode", "timestamp"), ("scan.startup.timestamp-millis", ms), TO_THE_END];
    assert_eq!(cards(&broker, &[TO_THE_END]), ["1", "2", "3", "4", "5", "6", "7", "8"]);
    assert_eq!(cards(&broker, &start("4000")), ["4", "5", "6", "7", "8"]);
    assert_eq!(cards(&broker, &start("4001")), ["5", "6", "7", "8"]);
    assert_eq!(cards(&broker, &start("9000")), [""; 0]);
    let ends = [("scan.bounded.mode", "timestamp"), ("scan.bounded.timestamp-millis", "4000")];
    assert_eq!(cards(&broker, &ends), ["1", "2", "3"]);
    let offsets = "partition:0,offset:1;partition:1,offset:4";
    let from = [("scan.startup.mode", "specific-offsets"), ("scan.startup.specific-offsets", offsets), TO_THE_END];
    assert_eq!(cards(&broker, &from), ["3", "5", "7"]);
    let until = [("scan.bounded.mode", "specific-offsets"), ("scan.bounded.specific-offsets", offsets)];
    assert_eq!(cards(&broker, &until), ["1", "2", "4", "6", "8"]);
    assert_eq!(cards(&broker, &[("scan.startup.mode", "latest-offset"), TO_THE_END]), [""; 0]);
}

/// For those who watch a group's lag; the job itself does not go on by it.
#[test]
fn a_group_is_told_how_far_durable_checkpoints_are() {
    let Some(broker) = broker() else { return };
    let mut client = broker.client();
    client.create("watched", 2, &[]);
    let row = |p: &str| (p.to_owned(), "-".to_owned(), "-", r#"{"ts":"2026-01-01","n":1}"#);
    client.write("watched", [row("0"), row("0"), row("0"), row("1")].into_iter());
    let job = |more: &[(&str, &str)]| {
        let given = [&[("properties.bootstrap.servers", broker.servers()), TO_THE_END], more].concat();
        reads_with("watched", &given)
    };
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let group = [("properties.group.id", "watchers")];
    assert_eq!(run_with_state(&job(&group), first.path()), Ok(4));
    let since = Instant::now();
    let ends = [("watched".to_owned(), 0, 3), ("watched".to_owned(), 1, 1)];
    while client.where_is("watchers") != ends {
        assert!(since.elapsed() < Duration::from_secs(20), "{:?}", client.where_is("watchers"));
    }
    client.ask("stand watchers watched 0 1");
    assert_eq!(run_with_state(&job(&group), second.path()), Ok(4), "a job begins where its options say");
}

#[test]
fn rows_of_open_and_aborted_transactions_are_not_read() {
    let Some(broker) = broker() else { return };
    let mut client = broker.client();
    client.create("places-of-transactions", 1, &[]);
    let row = |card: u8| format!(r#"{{"ts":"2026-01-01","card":{card}}}"#);
    for (card, end) in [(1, "commit"), (2, "abort"), (3, "commit"), (4, "abort")] {
        client.ask(&format!("open writer places-of-transactions {}", row(card)));
        client.ask(end);
    }
    client.ask(&format!("open writer places-of-transactions {}", row(5)));
    let read = || {
        let [good, _] = read(&broker, "places-of-transactions", &[TO_THE_END], 1);
        good.iter().map(|r| r.split('|').nth(1).unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(read(), ["1", "3"]);
    client.ask("commit");
    assert_eq!(read(), ["1", "3", "5"]);
}

/// Payments that the ready jobs read from files, the same from a topic: equal digests at any number of workers.
#[test]
fn the_ready_jobs_give_on_a_topic_what_they_give_on_files() {
    let Some(broker) = broker() else { return };
    let folder = tempfile::tempdir().unwrap();
    let define = ["event-rate=2", "cards=5000", "late-share=0.01"].map(str::to_owned).to_vec();
    let (out, partitions) = (folder.path().join("payments"), 4);
    generate(&GenerateArgs { rows: 60_000, seed: 42, partitions, format: "json".into(), out: out.clone(), define })
        .unwrap();
    let mut files: Vec<_> = std::fs::read_dir(&out).unwrap().map(|f| f.unwrap().path()).collect();
    files.sort();
    assert_eq!(files.len(), partitions);
    let mut client = broker.client();
    client.create("payments", files.len(), &[]);
    for (partition, file) in files.iter().enumerate() {
        let text = std::fs::read_to_string(file).unwrap();
        let lines: Vec<_> = text.lines().map(|l| (partition.to_string(), "-".to_owned(), "-", l)).collect();
        client.write("payments", lines.into_iter());
    }
    let on_files =
        [("payments.connector", "filesystem"), ("payments.path", out.to_str().unwrap()), ("payments.format", "json")];
    let on_kafka = [
        ("payments.connector", "kafka"),
        ("payments.topic", "payments"),
        ("payments.properties.bootstrap.servers", broker.servers()),
        ("payments.format", "json"),
        ("payments.scan.bounded.mode", "latest-offset"),
    ];
    for name in ["fraud_velocity.sql", "merchant_throughput.sql"] {
        let text = std::fs::read_to_string(repository().join("jobs").join(name)).unwrap();
        let run = |define: &[(&str, &str)], setting| {
            digests(&run(&text, define, setting).unwrap_or_else(|e| panic!("{name}: {e}")))
        };
        let expected = run(&on_files, Setting::of_workers(1));
        assert!(expected.iter().all(|(_, rows, _)| *rows > 0), "every sink must have rows: {expected:?}");
        let odd = Setting { workers: 2, batch_rows: 77, epoch_rows: 1000 };
        for setting in [Setting::of_workers(1), Setting::of_workers(2), Setting::of_workers(4), odd] {
            assert_eq!(run(&on_kafka, setting), expected, "{name} {setting:?}");
        }
    }
}
