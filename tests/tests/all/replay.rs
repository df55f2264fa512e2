//! A replayed part of history is that part of the whole: rows in the range, windows wholly inside.

use highwater_engine::flow::Control;
use highwater_jobs::job::{self, Options, Outcome};
use highwater_jobs::reach::{Replay, replay};
use highwater_jobs::summary::Summary;
use highwater_tests::{overrides, rows_with_epoch_ms};

const START_MS: i64 = 1_767_225_600_000;

const JOB: &str = "
CREATE TABLE payments (
  payment_id BIGINT, ts TIMESTAMP(3), card BIGINT, merchant BIGINT, amount DECIMAL(12, 2),
  WATERMARK FOR ts AS ts - INTERVAL '5' SECOND
) WITH ('connector' = 'generator', 'number-of-rows' = '60000', 'event-rate' = '10', 'cards' = '300', 'merchants' = '20');
CREATE TABLE velocity (ts TIMESTAMP(3), payment_id BIGINT, n BIGINT, total DECIMAL(38, 2))
  WITH ('connector' = 'table', 'max-rows' = '1000000');
CREATE TABLE minutes (window_start TIMESTAMP(3), window_end TIMESTAMP(3), merchant BIGINT, n BIGINT)
  WITH ('connector' = 'table', 'max-rows' = '1000000');
CREATE TABLE hops (window_start TIMESTAMP(3), window_end TIMESTAMP(3), cards BIGINT)
  WITH ('connector' = 'table', 'max-rows' = '1000000');
CREATE TABLE late (ts TIMESTAMP(3), payment_id BIGINT, watermark TIMESTAMP(3))
  WITH ('connector' = 'table', 'max-rows' = '1000000');
INSERT INTO velocity
  SELECT ts, payment_id, COUNT(*) OVER w, SUM(amount) OVER w FROM payments
  WINDOW w AS (PARTITION BY card ORDER BY ts RANGE BETWEEN INTERVAL '10' MINUTE PRECEDING AND CURRENT ROW);
INSERT INTO minutes
  SELECT window_start, window_end, merchant, COUNT(*)
  FROM TABLE(TUMBLE(TABLE payments, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY window_start, window_end, merchant;
INSERT INTO hops
  SELECT window_start, window_end, COUNT(DISTINCT card)
  FROM TABLE(HOP(TABLE payments, DESCRIPTOR(ts), INTERVAL '1' MINUTE, INTERVAL '5' MINUTE))
  GROUP BY window_start, window_end;
INSERT INTO late SELECT ts, payment_id, watermark FROM `payments$late`;
";

fn run(wanted: Replay, workers: &str) -> Outcome {
    let planned = job::plan("replay.sql", JOB, &overrides(&[("parallelism.default", workers)]).unwrap()).unwrap();
    let replayed = replay(&planned.graph, wanted).unwrap();
    assert_eq!(replayed.reach_ms, 600_000);
    job::run(&replayed.graph, &job::run_options(&planned), &Options::default(), &Control::new()).unwrap()
}

fn table(outcome: &Outcome, name: &str) -> Vec<Vec<i64>> {
    let integers = |row: String| row.split('|').map(|f| f.replace('.', "").parse().unwrap()).collect();
    let mut rows: Vec<Vec<i64>> = rows_with_epoch_ms(outcome.table(name).unwrap()).into_iter().map(integers).collect();
    rows.sort();
    rows
}

#[test]
fn a_part_of_history_is_the_same_part_of_the_whole() {
    let whole = run(Replay::default(), "1");
    // On and off the edges of windows, and of digest buckets.
    for (from, to) in [(START_MS + 1_200_000, START_MS + 2_400_000), (START_MS + 1_234_567, START_MS + 3_456_789)] {
        let wanted = Replay { from_ms: Some(from), to_ms: Some(to), warmup_ms: None };
        let part = run(wanted, "2");
        let inside = |t: i64| from <= t && t < to;
        let keep = |name: &str, test: &dyn Fn(&[i64]) -> bool| -> Vec<Vec<i64>> {
            let rows: Vec<_> = table(&whole, name).into_iter().filter(|r| test(r)).collect();
            assert!(!rows.is_empty(), "{name} has rows in the range");
            rows
        };
        assert_eq!(table(&part, "velocity"), keep("velocity", &|r| inside(r[0])));
        assert_eq!(table(&part, "minutes"), keep("minutes", &|r| r[0] >= from && r[1] <= to));
        assert_eq!(table(&part, "hops"), keep("hops", &|r| r[0] >= from && r[1] <= to));
        assert_eq!(table(&part, "late"), keep("late", &|r| inside(r[2])), "the time of a late row is the watermark");
    }
}

#[test]
fn summaries_of_a_part_and_the_whole_agree_on_the_part() {
    let width_ms = 64_000;
    let from = START_MS.div_euclid(width_ms) * width_ms + 20 * width_ms;
    let to = from + 20 * width_ms;
    let whole = Summary::of(&run(Replay::default(), "2").report, 0);
    let part = Summary::of(&run(Replay { from_ms: Some(from), to_ms: Some(to), warmup_ms: None }, "1").report, 0);
    for name in ["velocity", "late"] {
        let buckets = |s: &Summary| {
            let sink = s.sinks.iter().find(|s| s.name == name).unwrap();
            sink.buckets.fold(width_ms.max(sink.buckets.width_ms)).unwrap().range(from, to).unwrap()
        };
        assert_eq!(buckets(&part), buckets(&whole), "{name}");
        assert!(buckets(&part).total().0 > 0);
    }
}

#[test]
fn a_short_warmup_says_that_it_is_inexact() {
    let planned = job::plan("replay.sql", JOB, &overrides(&[]).unwrap()).unwrap();
    let with = |warmup_ms| replay(&planned.graph, Replay { from_ms: Some(START_MS), to_ms: None, warmup_ms }).unwrap();
    assert!(with(Some(599_999)).inexact);
    assert!(!with(Some(600_000)).inexact);
    assert!(!with(None).inexact);
}
