//! Columns that hold what Kafka says of a message.

use super::{TO_THE_END, broker, with};
use highwater_tests::{Setting, rows, run};

/// Every kind of metadata beside columns of the value, some messages bad among them, the event time the message's own.
#[test]
fn metadata_columns_say_where_a_row_comes_from() {
    let Some(broker) = broker() else { return };
    let mut client = broker.client();
    client.create("described", 2, &["retention.ms=-1"]);
    let row = |p: u8, ms: i64, key, value| (p.to_string(), ms.to_string(), key, value);
    // 2026-01-01 is 1,767,225,600,000.
    let at = |s: i64| 1_767_225_600_000 + s * 1000;
    let early = [row(0, at(1), "k1", r#"{"n":1}"#), row(0, at(2), "-", "no JSON"), row(0, at(3), "k3", r#"{"n":3}"#)];
    client.write("described", early.into_iter());
    client.ask("header source tests");
    client.write("described", [row(0, at(5), "-", r#"{"n":5}"#), row(1, at(4), "k4", r#"{"n":4}"#)].into_iter());
    let job = format!(
        "CREATE TABLE t (
           p INT METADATA FROM 'partition', n BIGINT, offset BIGINT METADATA VIRTUAL, ts TIMESTAMP(3) METADATA FROM 'timestamp',
           topic STRING METADATA, k STRING METADATA FROM 'key', kb BYTES METADATA FROM 'key',
           source STRING METADATA FROM 'headers.source', WATERMARK FOR ts AS ts - INTERVAL '1' SECOND
         ) WITH ({});
         CREATE TABLE o (p INT, n BIGINT, f BIGINT, ts TIMESTAMP(3), topic STRING, k STRING, kb BYTES, source STRING)
         WITH ('connector' = 'table');
         CREATE TABLE by_time (ends TIMESTAMP(3), many BIGINT) WITH ('connector' = 'table');
         CREATE TABLE bad (p STRING, at BIGINT) WITH ('connector' = 'table');
         INSERT INTO o SELECT p, n, `offset`, ts, topic, k, kb, source FROM t;
         INSERT INTO by_time SELECT window_end, COUNT(*) FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '4' SECOND))
           GROUP BY window_start, window_end;
         INSERT INTO bad SELECT `partition`, `position` FROM `t$errors`;",
        with(&broker, "described", &[TO_THE_END])
    );
    for workers in [1, 2] {
        let outcome = run(&job, &[], Setting::of_workers(workers)).unwrap_or_else(|e| panic!("{e}"));
        let shown = |name| rows(outcome.table(name).unwrap());
        assert_eq!(
            shown("o"),
            [
                "0|1|0|2026-01-01 00:00:01|described|k1|6b31|NULL",
                "0|3|2|2026-01-01 00:00:03|described|k3|6b33|NULL",
                "0|5|3|2026-01-01 00:00:05|described|NULL|NULL|tests",
                "1|4|0|2026-01-01 00:00:04|described|k4|6b34|tests",
            ]
        );
        assert_eq!(shown("by_time"), ["2026-01-01 00:00:04|2", "2026-01-01 00:00:08|2"]);
        assert_eq!(shown("bad"), ["described-0|1"]);
    }
}

/// A query that needs no column of the value reads none; what is no record is bad all the same.
#[test]
fn rows_are_counted_by_their_metadata_alone() {
    let Some(broker) = broker() else { return };
    let mut client = broker.client();
    client.create("counted", 1, &["retention.ms=-1"]);
    let row = |value| ("0".to_owned(), "1767225600000".to_owned(), "-", value);
    client.write("counted", [row(r#"{"n":1}"#), row("[]"), row(r#"{"n":2}"#), row("{")].into_iter());
    for (format, good) in [("json", 2), ("csv", 4)] {
        let job = format!(
            "CREATE TABLE t (n STRING, ts TIMESTAMP_LTZ(3) METADATA FROM 'timestamp', WATERMARK FOR ts AS ts) WITH ({});
             CREATE TABLE o (ts TIMESTAMP_LTZ(3)) WITH ('connector' = 'table');
             INSERT INTO o SELECT ts FROM t;",
            with(&broker, "counted", &[TO_THE_END, ("format", format)])
        );
        let outcome = run(&job, &[], Setting::of_workers(1)).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(outcome.table("o").unwrap().num_rows(), good, "{format}");
        assert_eq!(outcome.report.sources[0].errors, 4 - good as u64, "{format}");
    }
}
