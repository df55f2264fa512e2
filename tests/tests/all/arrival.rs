//! Answers on arrival that depend on more than one step: a row held for its cut is not forgotten by the next step.

use highwater_tests::{Setting, integers, run};
use std::io::Write;

/// Two chained trailing frames of ten minutes, answered on arrival, with cuts of 1,000 s and no late horizon.
const JOB: &str = "
SET 'arrival.quantum' = '1000 s';
SET 'arrival.late-horizon' = '0 s';
CREATE TABLE payments (ts TIMESTAMP(3), card BIGINT, device BIGINT, WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
  WITH ('connector' = 'filesystem', 'path' = 'given', 'format' = 'csv');
CREATE TABLE answers (second BIGINT, by_card BIGINT, by_device BIGINT)
  WITH ('connector' = 'table', 'max-rows' = '1000', 'emit' = 'arrival');
INSERT INTO answers
SELECT TIMESTAMPDIFF(SECOND, TIMESTAMP '1970-01-01 00:00:00', ts), by_card, by_device FROM (
  SELECT ts,
    COUNT(*) OVER (PARTITION BY card ORDER BY ts RANGE BETWEEN INTERVAL '10' MINUTE PRECEDING AND CURRENT ROW) AS by_card,
    COUNT(*) OVER (PARTITION BY device ORDER BY ts RANGE BETWEEN INTERVAL '10' MINUTE PRECEDING AND CURRENT ROW) AS by_device
  FROM payments);
";

#[test]
fn a_step_behind_another_keeps_what_held_rows_still_need() {
    let folder = tempfile::tempdir().unwrap();
    let seconds = [990, 1000, 1100, 1900, 2000, 2100];
    let mut file = std::fs::File::create(folder.path().join("payments.csv")).unwrap();
    for s in seconds {
        writeln!(file, "1970-01-01 00:{:02}:{:02}.000,1,7", s / 60, s % 60).unwrap();
    }
    // In a frame [t - 600, t]: 990 is seen by 1000 and 1100, whatever the watermark was when their cut was complete.
    let expected: Vec<(i64, i64)> = vec![(990, 1), (1000, 2), (1100, 3), (1900, 1), (2000, 2), (2100, 3)];
    let path = folder.path().to_str().unwrap();
    for (workers, batch_rows, epoch_rows) in [(1, 1, 1), (1, 8192, usize::MAX), (2, 1, 1), (2, 2, 3)] {
        let setting = Setting { workers, batch_rows, epoch_rows };
        let outcome = run(JOB, &[("payments.path", path)], setting).unwrap();
        let answers = outcome.table("answers").unwrap();
        let column = |name| integers(answers, name).into_iter().map(Option::unwrap);
        let mut found: Vec<_> = column("second").zip(column("by_card").zip(column("by_device"))).collect();
        found.sort_unstable();
        let want: Vec<_> = expected.iter().map(|&(s, n)| (s, (n, n))).collect();
        assert_eq!(found, want, "{setting:?}");
    }
}
