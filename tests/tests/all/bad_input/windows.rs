//! Windows and frames over `t$errors` against a naive model: a bad row's time is its partition's watermark, before the first
//! valid row `scan.event-time.min`, whatever other partitions and workers have read by then.

use highwater_tests::{Setting, digests, rows_with_epoch_ms, run};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// 2026-01-01, and `scan.event-time.min`.
const MIN_MS: i64 = 1_767_225_600_000;
const DELAY_MS: i64 = 5_000;
const MINUTE_MS: i64 = 60_000;

const JOB: &str = "
CREATE TABLE p (ts TIMESTAMP(3), n INT, WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'filesystem', 'path' = '{path}', 'format' = 'csv', 'scan.event-time.min' = '2026-01-01');
CREATE TABLE doubles (n INT) WITH ('connector' = 'blackhole');
CREATE TABLE minutes (window_start TIMESTAMP(3), bad BIGINT, files BIGINT) WITH ('connector' = 'table', 'max-rows' = '99999');
CREATE TABLE hops (window_start TIMESTAMP(3), bad BIGINT) WITH ('connector' = 'table', 'max-rows' = '99999');
CREATE TABLE trailing (at_ms TIMESTAMP(3), n BIGINT) WITH ('connector' = 'table', 'max-rows' = '99999');
CREATE TABLE both_kinds (window_start TIMESTAMP(3), n BIGINT) WITH ('connector' = 'table', 'max-rows' = '99999');
INSERT INTO doubles SELECT n * 2 FROM p;
INSERT INTO minutes SELECT window_start, COUNT(*), COUNT(DISTINCT `partition`)
  FROM TABLE(TUMBLE(TABLE `p$errors`, DESCRIPTOR(watermark), INTERVAL '1' MINUTE)) GROUP BY window_start, window_end;
INSERT INTO hops SELECT window_start, COUNT(*)
  FROM TABLE(HOP(TABLE `p$errors`, DESCRIPTOR(watermark), INTERVAL '1' MINUTE, INTERVAL '5' MINUTE))
  GROUP BY window_start, window_end;
INSERT INTO trailing SELECT watermark, COUNT(*) OVER (PARTITION BY `partition` ORDER BY watermark
  RANGE BETWEEN INTERVAL '1' MINUTE PRECEDING AND CURRENT ROW) FROM `p$errors`;
CREATE VIEW every AS SELECT ts AS t FROM p UNION ALL SELECT watermark AS t FROM `p$errors`;
INSERT INTO both_kinds SELECT window_start, COUNT(*)
  FROM TABLE(TUMBLE(TABLE every, DESCRIPTOR(t), INTERVAL '1' MINUTE)) GROUP BY window_start, window_end;
";

/// A line of a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    /// Can't be decoded.
    Broken,
    /// Milliseconds after [`MIN_MS`].
    Good(i64),
    /// Valid, but `n * 2` is not an INT: bad in one query, and a row of the others.
    Doubles(i64),
}

/// Files that start at different times and with bad rows, with bad rows in between, without any valid row.
fn files() -> Vec<Vec<Line>> {
    let mut x = 11u64;
    let mut next = move |n: i64| {
        x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((x >> 33) as i64) % n
    };
    let mut files = Vec::new();
    for (first_ms, leading) in [(2_000, 0), (2_500, 3), (600_000, 40), (1_200_000, 0), (1_200_000, 1), (1_800_000, 7)] {
        let mut lines = vec![Line::Broken; leading];
        for i in 0..600 {
            let at = first_ms + i * 1_000 + next(8_000);
            lines.push(match next(10) {
                0 => Line::Broken,
                1 => Line::Doubles(at),
                _ => Line::Good(at),
            });
        }
        files.push(lines);
    }
    files[3][0] = Line::Doubles(1_200_000);
    files.push(vec![Line::Broken; 20]);
    files
}

fn text(lines: &[Line]) -> String {
    let mut text = String::new();
    for line in lines {
        let at = |ms: &i64| format!("2026-01-01 00:{:02}:{:02}.{:03}", ms / 60_000, ms / 1_000 % 60, ms % 1_000);
        match line {
            Line::Broken => writeln!(text, "nothing of use"),
            Line::Good(ms) => writeln!(text, "{},1", at(ms)),
            Line::Doubles(ms) => writeln!(text, "{},2000000000", at(ms)),
        }
        .unwrap();
    }
    text
}

/// Times of the bad rows of a file; times and lateness (what the watermark was) of its valid ones.
fn read(lines: &[Line]) -> (Vec<i64>, Vec<(i64, i64)>) {
    let (mut bad, mut valid, mut largest) = (Vec::new(), Vec::new(), None);
    for line in lines {
        let watermark = largest.map(|t: i64| t - DELAY_MS + 1);
        if !matches!(line, Line::Good(_)) {
            bad.push(watermark.unwrap_or(MIN_MS));
        }
        if let Line::Good(ms) | Line::Doubles(ms) = line {
            valid.push((MIN_MS + ms, watermark.unwrap_or(i64::MIN)));
            largest = largest.max(Some(MIN_MS + ms));
        }
    }
    (bad, valid)
}

/// The rows of every table.
fn model(files: &[Vec<Line>]) -> Vec<(&'static str, Vec<String>)> {
    let minute = |t: i64| t.div_euclid(MINUTE_MS) * MINUTE_MS;
    let mut minutes: BTreeMap<i64, (u64, BTreeSet<usize>)> = BTreeMap::new();
    let (mut hops, mut both): (BTreeMap<i64, u64>, BTreeMap<i64, u64>) = Default::default();
    let mut trailing = Vec::new();
    for (file, lines) in files.iter().enumerate() {
        let (bad, valid) = read(lines);
        for &t in &bad {
            let window = minutes.entry(minute(t)).or_default();
            window.0 += 1;
            window.1.insert(file);
            (0..5).for_each(|back| *hops.entry(minute(t) - back * MINUTE_MS).or_default() += 1);
            *both.entry(minute(t)).or_default() += 1;
            let seen = bad.iter().filter(|&&o| t - MINUTE_MS <= o && o <= t).count();
            trailing.push(format!("{t}|{seen}"));
        }
        for (t, watermark) in valid {
            if minute(t) + MINUTE_MS > watermark {
                *both.entry(minute(t)).or_default() += 1;
            }
        }
    }
    let counts = |m: BTreeMap<i64, u64>| m.into_iter().map(|(t, n)| format!("{t}|{n}")).collect();
    vec![
        ("minutes", minutes.into_iter().map(|(t, (n, files))| format!("{t}|{n}|{}", files.len())).collect()),
        ("hops", counts(hops)),
        ("trailing", trailing),
        ("both_kinds", counts(both)),
    ]
}

#[test]
fn windows_over_bad_rows_are_the_naive_model_at_any_setting() {
    let (folder, files) = (tempfile::tempdir().unwrap(), files());
    for (i, lines) in files.iter().enumerate() {
        std::fs::write(folder.path().join(format!("{i}.csv")), text(lines)).unwrap();
    }
    let job = JOB.replace("{path}", &folder.path().display().to_string());
    let of = |workers, batch_rows, epoch_rows| Setting { workers, batch_rows, epoch_rows };
    let mut first = None;
    for setting in
        [of(1, 8192, 0), of(1, 1, 1), of(1, 7, 20), of(2, 3, 5), of(2, 64, 100), of(4, 5, 20), of(4, 8192, 0)]
    {
        let outcome = run(&job, &[], setting).unwrap_or_else(|e| panic!("{setting:?}: {e}"));
        for (name, mut expected) in model(&files) {
            expected.sort();
            assert_eq!(rows_with_epoch_ms(outcome.table(name).unwrap()), expected, "{name} {setting:?}");
        }
        assert_eq!(first.get_or_insert_with(|| digests(&outcome)), &digests(&outcome), "{setting:?}");
    }
}
