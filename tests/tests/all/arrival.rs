//! Answers on arrival that depend on more than one step: a row held for its cut is not forgotten by the next step.

use highwater_tests::{Setting, integers, run};
use std::io::Write;

/// Two chained trailing frames of ten minutes, answered on arrival, with cuts of 1,000 s and no late horizon.
const JOB: &str = "
SET 'arrival.quantum' = '1000 s';
SET 'arrival.late-horizon' = '0 s';
CREATE TABLE payments (ts TIMESTAMP(3), id BIGINT, card BIGINT, device BIGINT, WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
  WITH ('connector' = 'filesystem', 'path' = 'given', 'format' = 'csv');
CREATE TABLE answers (id BIGINT, by_card BIGINT, by_device BIGINT)
  WITH ('connector' = 'table', 'max-rows' = '100000', 'emit' = 'arrival');
INSERT INTO answers
SELECT id, by_card, by_device FROM (
  SELECT id,
    COUNT(*) OVER (PARTITION BY card ORDER BY ts RANGE BETWEEN INTERVAL '10' MINUTE PRECEDING AND CURRENT ROW) AS by_card,
    COUNT(*) OVER (PARTITION BY device ORDER BY ts RANGE BETWEEN INTERVAL '10' MINUTE PRECEDING AND CURRENT ROW) AS by_device
  FROM payments);
";

/// Event time in seconds and key of each row, in the order of the file.
///
/// The rows before 1,000 s belong to a cut that is complete when the rest of the next cut is still held. Until that is
/// complete too, the watermark passes every second up to 1,995 s: a step that trusts it forgets the first rows, which the
/// held ones see.
fn rows() -> Vec<(i64, i64)> {
    const BUSY: i64 = 1;
    let busy = (900..1000).map(|s| (s, BUSY));
    let quiet = (900..1000).map(|s| (s, 1_000 + s));
    let held = [(1000, BUSY), (1001, BUSY), (1002, 1_990), (1003, 1_999)];
    // Many keys, so that the step makes room by forgetting keys too.
    let passing = (1004..2100).map(|s| (s, 10_000 + s));
    let mut first: Vec<(i64, i64)> = busy.chain(quiet).collect();
    first.sort();
    first.into_iter().chain(held).chain(passing).collect()
}

#[test]
fn a_step_behind_another_keeps_what_held_rows_still_need() {
    let (folder, rows) = (tempfile::tempdir().unwrap(), rows());
    let mut file = std::fs::File::create(folder.path().join("payments.csv")).unwrap();
    for (id, (s, key)) in rows.iter().enumerate() {
        writeln!(file, "1970-01-01 00:{:02}:{:02}.000,{id},{key},{key}", s / 60, s % 60).unwrap();
    }
    // The rows are in event-time order: each sees those of its key before it, back to 600 s.
    let seen = |i: usize| rows[..=i].iter().filter(|r| r.1 == rows[i].1 && r.0 >= rows[i].0 - 600).count() as i64;
    let expected: Vec<_> = (0..rows.len()).map(|i| (i as i64, seen(i), seen(i))).collect();
    let path = folder.path().to_str().unwrap();
    for (workers, batch_rows, epoch_rows) in [(1, 1, 1), (1, 8192, usize::MAX), (2, 1, 1), (2, 2, 3)] {
        let setting = Setting { workers, batch_rows, epoch_rows };
        let outcome = run(JOB, &[("payments.path", path)], setting).unwrap();
        let answers = outcome.table("answers").unwrap();
        let column = |name| integers(answers, name).into_iter().map(Option::unwrap);
        let both = column("by_card").zip(column("by_device"));
        let mut found: Vec<_> = column("id").zip(both).map(|(id, (card, device))| (id, card, device)).collect();
        found.sort_unstable();
        let wrong: Vec<_> = found.iter().zip(&expected).filter(|(f, e)| f != e).collect();
        assert!(found.len() == expected.len() && wrong.is_empty(), "{setting:?}: found and expected: {wrong:?}");
    }
}
