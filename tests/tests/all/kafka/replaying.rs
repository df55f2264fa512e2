//! A part of a topic, read again, is that part of the whole, and no more of the topic is read than that needs.

use super::{TO_THE_END, broker, with};
use highwater_jobs::reach::Replay;
use highwater_tests::kafka::Broker;
use highwater_tests::{Setting, replay, rows_with_epoch_ms, run};

const START_MS: i64 = 1_767_225_600_000;
const ROWS: i64 = 60_000;
const PARTITIONS: i64 = 3;
const DELAY_MS: i64 = 5_000;
const HOUR_MS: i64 = 3_600_000;

/// Times that go forward by half a second a row, up to ten seconds out of order; so some rows are late.
fn time(row: i64) -> i64 {
    START_MS + row * 500 - (row * 7919 % 20) * 500
}

/// Hourly velocity and late rows; the event time is the message's timestamp.
fn job(broker: &Broker, more: &[(&str, &str)]) -> String {
    format!(
        "CREATE TABLE payments (ts TIMESTAMP(3) METADATA FROM 'timestamp', card BIGINT, id BIGINT,
           WATERMARK FOR ts AS ts - INTERVAL '5' SECOND) WITH ({});
         CREATE TABLE velocity (ts TIMESTAMP(3), id BIGINT, n BIGINT) WITH ('connector' = 'table', 'max-rows' = '1000000');
         CREATE TABLE late (ts TIMESTAMP(3), id BIGINT, watermark TIMESTAMP(3))
           WITH ('connector' = 'table', 'max-rows' = '1000000');
         INSERT INTO velocity SELECT ts, id, COUNT(*) OVER (PARTITION BY card ORDER BY ts
           RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW) FROM payments;
         INSERT INTO late SELECT ts, id, watermark FROM `payments$late`;",
        with(broker, "history", more)
    )
}

#[test]
fn a_replayed_part_of_a_topic_is_that_part_of_the_whole() {
    let Some(broker) = broker() else { return };
    let mut client = broker.client();
    client.create("history", PARTITIONS as usize, &["message.timestamp.type=CreateTime", "retention.ms=-1"]);
    let values: Vec<String> = (0..ROWS).map(|i| format!(r#"{{"card":{},"id":{i}}}"#, i * 31 % 300)).collect();
    let messages = (0..ROWS).map(|i| (i % PARTITIONS).to_string()).zip(&values).zip(0..ROWS);
    let messages: Vec<_> = messages.map(|((p, v), i)| (p, time(i).to_string(), "-", v.as_str())).collect();
    client.write("history", messages.into_iter());
    let whole = run(&job(&broker, &[TO_THE_END]), &[], Setting::of_workers(1)).unwrap_or_else(|e| panic!("{e}"));
    let (from, to) = (START_MS + 5 * HOUR_MS + 12_345, START_MS + 6 * HOUR_MS + 54_321);
    // A live job's table has no end; its replay ends where the topic does.
    let wanted = Replay { from_ms: Some(from), to_ms: Some(to), warmup_ms: None };
    let part = replay(&job(&broker, &[]), &[], wanted, Setting::of_workers(2)).unwrap_or_else(|e| panic!("{e}"));
    for (table, time_column) in [("velocity", 0), ("late", 2)] {
        let inside = |row: &String| {
            let time: i64 = row.split('|').nth(time_column).unwrap().parse().unwrap();
            (from..to).contains(&time)
        };
        let expected: Vec<String> =
            rows_with_epoch_ms(whole.table(table).unwrap()).into_iter().filter(inside).collect();
        assert!(!expected.is_empty(), "{table} has rows in the range");
        assert_eq!(rows_with_epoch_ms(part.table(table).unwrap()), expected, "{table}");
    }
    // Each partition is read from its first message that is not older than an hour and the watermark's delay before the range.
    let begins = |p: i64| (p..ROWS).step_by(PARTITIONS as usize).position(|i| time(i) >= from - HOUR_MS - DELAY_MS);
    let skipped: usize = (0..PARTITIONS).map(|p| begins(p).unwrap()).sum();
    assert!(skipped > 10_000);
    assert_eq!(part.report.sources[0].rows, ROWS as u64 - skipped as u64);
}
