//! Windows over windows: each step must hear a watermark that the rows of the step before it keep to.
//!
//! Sessions are the hard case: one that ends 1 ms below the watermark may still be open. The model sorts each card's rows
//! that are on time and builds stage upon stage from lists.

use arrow::array::AsArray;
use arrow::datatypes::{Int64Type, TimestampMillisecondType};
use highwater_jobs::job::Outcome;
use highwater_tests::{Setting, rows_with_epoch_ms, run};
use std::collections::{BTreeMap, HashSet};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

const JOB: &str = "
CREATE TABLE payments (
  payment_id BIGINT, ts TIMESTAMP(3), card BIGINT, WATERMARK FOR ts AS ts - INTERVAL '5' SECOND
) WITH ('connector' = 'generator', 'number-of-rows' = '20000', 'event-rate' = '1', 'cards' = '40');
CREATE TABLE seen (payment_id BIGINT, ts TIMESTAMP(3), card BIGINT) WITH ('connector' = 'table', 'max-rows' = '1000000');
CREATE TABLE late (payment_id BIGINT) WITH ('connector' = 'table', 'max-rows' = '1000000');
CREATE TABLE sessions (card BIGINT, s TIMESTAMP(3), e TIMESTAMP(3), n BIGINT)
  WITH ('connector' = 'table', 'max-rows' = '1000000');
CREATE TABLE hours (s TIMESTAMP(3), sessions BIGINT, n BIGINT) WITH ('connector' = 'table', 'max-rows' = '1000000');
CREATE TABLE trailing (card BIGINT, t TIMESTAMP(3), n BIGINT) WITH ('connector' = 'table', 'max-rows' = '1000000');
CREATE TABLE chained (card BIGINT, s TIMESTAMP(3), e TIMESTAMP(3), sessions BIGINT)
  WITH ('connector' = 'table', 'max-rows' = '1000000');
CREATE TABLE grown (s TIMESTAMP(3), e TIMESTAMP(3), sessions BIGINT)
  WITH ('connector' = 'table', 'max-rows' = '1000000');

CREATE VIEW visits AS
  SELECT card, window_start AS s, window_end AS e, window_time AS t, COUNT(*) AS n
  FROM TABLE(SESSION(TABLE payments PARTITION BY card, DESCRIPTOR(ts), INTERVAL '1' MINUTE))
  GROUP BY card, window_start, window_end, window_time;
CREATE VIEW stays AS
  SELECT card, window_start AS s, window_end AS e, window_time AS t, COUNT(*) AS sessions
  FROM TABLE(SESSION(TABLE visits PARTITION BY card, DESCRIPTOR(t), INTERVAL '2' MINUTE))
  GROUP BY card, window_start, window_end, window_time;

INSERT INTO seen SELECT payment_id, ts, card FROM payments;
INSERT INTO late SELECT payment_id FROM `payments$late`;
INSERT INTO sessions SELECT card, s, e, n FROM visits;
INSERT INTO hours SELECT window_start, COUNT(*), SUM(n)
  FROM TABLE(TUMBLE(TABLE visits, DESCRIPTOR(t), INTERVAL '1' HOUR)) GROUP BY window_start, window_end;
INSERT INTO trailing SELECT card, t,
    SUM(n) OVER (PARTITION BY card ORDER BY t RANGE BETWEEN INTERVAL '30' MINUTE PRECEDING AND CURRENT ROW)
  FROM visits;
INSERT INTO chained SELECT card, s, e, sessions FROM stays;
INSERT INTO grown SELECT window_start, window_end, COUNT(*)
  FROM TABLE(CUMULATE(TABLE stays, DESCRIPTOR(t), INTERVAL '20' MINUTE, INTERVAL '1' HOUR))
  GROUP BY window_start, window_end;
";

/// A row of the model: its key, its time, and how much it stands for.
type Row = (i64, i64, i64);

/// Key, start, end, number of rows and sum of each session.
fn sessions(rows: &[Row], gap: i64) -> Vec<[i64; 5]> {
    let mut rows = rows.to_vec();
    rows.sort();
    let near = |a: &Row, b: &Row| a.0 == b.0 && b.1 - a.1 <= gap;
    let session = |of: &[Row]| {
        let (first, last) = (of[0], of[of.len() - 1]);
        [first.0, first.1, last.1 + gap, of.len() as i64, of.iter().map(|r| r.2).sum()]
    };
    rows.chunk_by(near).map(session).collect()
}

fn on_time(outcome: &Outcome) -> Vec<Row> {
    let late = outcome.table("late").unwrap();
    let late: HashSet<i64> = late.column(0).as_primitive::<Int64Type>().values().iter().copied().collect();
    assert!(!late.is_empty(), "some payments are late");
    let seen = outcome.table("seen").unwrap();
    let ids = seen.column(0).as_primitive::<Int64Type>().values();
    let times = seen.column(1).as_primitive::<TimestampMillisecondType>().values();
    let cards = seen.column(2).as_primitive::<Int64Type>().values();
    let rows = ids.iter().zip(times).zip(cards).filter(|((id, _), _)| !late.contains(id));
    rows.map(|((_, t), card)| (*card, *t, 1)).collect()
}

fn lines<const N: usize>(rows: impl IntoIterator<Item = [i64; N]>) -> Vec<String> {
    let line = |r: [i64; N]| r.map(|v| v.to_string()).join("|");
    let mut lines: Vec<String> = rows.into_iter().map(line).collect();
    lines.sort();
    lines
}

fn expected(rows: &[Row]) -> Vec<(&'static str, Vec<String>)> {
    let visits = sessions(rows, MINUTE);
    let times: Vec<Row> = visits.iter().map(|[card, _, end, _, n]| (*card, end - 1, *n)).collect();
    let stays = sessions(&times, 2 * MINUTE);
    let mut hours: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
    for (_, t, n) in &times {
        let hour = hours.entry(t.div_euclid(HOUR) * HOUR).or_default();
        *hour = (hour.0 + 1, hour.1 + n);
    }
    let within = |a: &Row, b: &Row| a.0 == b.0 && b.1 - 30 * MINUTE <= a.1 && a.1 <= b.1;
    let trailing = times.iter().map(|r| [r.0, r.1, times.iter().filter(|a| within(a, r)).map(|a| a.2).sum()]);
    let mut grown: BTreeMap<(i64, i64), i64> = BTreeMap::new();
    for [_, _, end, _, _] in &stays {
        let start = (end - 1).div_euclid(HOUR) * HOUR;
        for step in (1..=3).map(|k| start + k * 20 * MINUTE).filter(|step| end - 1 < *step) {
            *grown.entry((start, step)).or_default() += 1;
        }
    }
    vec![
        ("sessions", lines(visits.iter().map(|[card, s, e, n, _]| [*card, *s, *e, *n]))),
        ("hours", lines(hours.into_iter().map(|(s, (sessions, n))| [s, sessions, n]))),
        ("trailing", lines(trailing)),
        ("chained", lines(stays.iter().map(|[card, s, e, n, _]| [*card, *s, *e, *n]))),
        ("grown", lines(grown.into_iter().map(|((s, e), n)| [s, e, n]))),
    ]
}

#[test]
fn every_stage_over_sessions_is_that_of_the_sorted_rows() {
    for (workers, epoch_rows) in [(1, 100), (2, 37), (4, 1_000), (2, usize::MAX)] {
        let setting = Setting { workers, batch_rows: 64, epoch_rows };
        let outcome = run(JOB, &[], setting).unwrap();
        let expected = expected(&on_time(&outcome));
        for (table, lines) in expected {
            let mut found = rows_with_epoch_ms(outcome.table(table).unwrap());
            found.sort();
            assert!(lines.len() > 3, "{table}: {} rows", lines.len());
            assert_eq!(found, lines, "{table} at {setting:?}");
        }
    }
}
