//! A job that starts again by itself, in the real binary.

use crate::bench::{Bench, PATIENCE, digests, ended};
use std::fmt::Write;
use std::fs;
use std::time::Instant;

/// Row by row, for seconds.
const JOB: &str = "
SET 'execution.checkpointing.interval' = '1 ms';
SET 'pipeline.batch-size' = '1';
CREATE TABLE payments (id BIGINT, ts TIMESTAMP(3), card BIGINT, WATERMARK FOR ts AS ts)
  WITH ('connector' = 'filesystem', 'path' = 'in', 'format' = 'csv');
CREATE TABLE busy (card BIGINT, window_end TIMESTAMP(3), n BIGINT)
  WITH ('connector' = 'filesystem', 'path' = 'out', 'format' = 'csv', 'sink.rolling-policy.file-size' = '2 kB');
INSERT INTO busy SELECT card, window_end, COUNT(*)
  FROM TABLE(TUMBLE(TABLE payments, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY card, window_start, window_end;
";

/// As fast as it can.
const FAST: [&str; 2] = ["-D", "pipeline.batch-size=8192"];

/// More files than stay open from the first look at them on: each an hour of payments, one after the other.
const FILES: u64 = 70;
const ROWS: u64 = 12_000;

fn with_input() -> Bench {
    let bench = Bench::new();
    bench.write("job.sql", JOB);
    fs::create_dir(bench.path("in")).unwrap();
    for file in 0..FILES {
        let mut text = String::new();
        for row in 0..ROWS {
            let (day, hour, ms) = (1 + file / 24, file % 24, row * 300);
            let (minute, s, ms) = (ms / 60_000, ms / 1_000 % 60, ms % 1_000);
            let _ = writeln!(text, "{row},2026-03-{day:02} {hour:02}:{minute:02}:{s:02}.{ms:03},{}", row % 7);
        }
        bench.write(&format!("in/{file:02}.csv"), text);
    }
    bench
}

#[test]
fn an_input_file_that_is_gone_for_a_while_costs_an_attempt_and_no_row() {
    let whole = with_input();
    let (code, out, err) = whole.run(&[&["run", "job.sql"][..], &FAST].concat());
    assert_eq!(code, 0, "{err}");
    let expected = (digests(&out), whole.rows());
    // Two hundred payments a minute, of all seven cards.
    assert_eq!(expected.1.len() as u64, FILES * 60 * 7);

    let bench = with_input();
    let mut command = bench.command(&["run", "job.sql", "--state", "state"]);
    let mut child = command.stderr(fs::File::create(bench.path("err")).unwrap()).spawn().unwrap();
    bench.wait_for(&mut child, 2);
    let last = bench.path(&format!("in/{}.csv", FILES - 1));
    fs::rename(&last, bench.path("aside")).unwrap();
    let said = || fs::read_to_string(bench.path("err")).unwrap();
    let since = Instant::now();
    while !said().contains("starts again from its newest checkpoint") {
        assert!(child.try_wait().unwrap().is_none(), "it ended: {}", said());
        assert!(since.elapsed() < PATIENCE);
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    fs::rename(bench.path("aside"), &last).unwrap();
    let (code, out, _) = ended(child.wait_with_output().unwrap());
    assert_eq!(code, 0, "{}", said());
    assert_eq!((digests(&out), bench.rows()), expected);
}

#[test]
fn an_input_file_that_stays_away_fails_the_job_and_the_message_says_where() {
    let bench = with_input();
    let mut command = bench.command(&["run", "job.sql", "--state", "state"]);
    let mut child = command.spawn().unwrap();
    bench.wait_for(&mut child, 2);
    fs::remove_file(bench.path(&format!("in/{}.csv", FILES - 1))).unwrap();
    let (code, _, err) = ended(child.wait_with_output().unwrap());
    assert_eq!(code, 1, "{err}");
    for word in ["69.csv", "given up after 3 attempts from checkpoint "] {
        assert!(err.contains(word), "expected {word:?} in:\n{err}");
    }
}
