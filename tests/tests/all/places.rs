//! Features that go by the order of payments: the time since the previous and the first one, what the last ones were, how
//! the current one stands out from its past. Two files whose rows have equal event times, against a naive model, at any
//! number of workers and any batches.

use highwater_tests::{Setting, digests, rows, run};
use std::fmt::Write;

const JOB: &str = "
SET 'table.exec.state.ttl' = '1 h';
CREATE TABLE payments (
  ts TIMESTAMP(3), id BIGINT, card STRING, shop STRING, amount DECIMAL(12, 2), declined BOOLEAN,
  WATERMARK FOR ts AS ts - INTERVAL '10' SECOND
) WITH ('connector' = 'filesystem', 'path' = 'PATH', 'format' = 'csv', 'csv.null-literal' = 'NULL');
CREATE TABLE features (
  id BIGINT, previous BIGINT, before STRING, since_first INT, last_declined BIGINT, second_shop STRING,
  of_five DECIMAL(38, 2), shops_of_three BIGINT, past DECIMAL(38, 6), deviation DECIMAL(38, 6), all_declined BOOLEAN,
  by_shop BIGINT
) WITH ('connector' = 'table', 'max-rows' = '100000');
INSERT INTO features SELECT
  id,
  LAG(id) OVER h,
  LAG(shop, 2) OVER (PARTITION BY card ORDER BY ts),
  TIMESTAMPDIFF(SECOND, FIRST_VALUE(ts) OVER h, ts),
  LAST_VALUE(id) FILTER (WHERE declined) OVER h,
  NTH_VALUE(shop, 2) OVER h,
  SUM(amount) OVER (PARTITION BY card ORDER BY ts ROWS BETWEEN 4 PRECEDING AND CURRENT ROW),
  COUNT(DISTINCT shop) OVER (PARTITION BY card ORDER BY ts ROWS BETWEEN 3 PRECEDING AND 1 PRECEDING),
  AVG(amount) OVER (PARTITION BY card ORDER BY ts
    RANGE BETWEEN INTERVAL '10' MINUTE PRECEDING AND CURRENT ROW EXCLUDE CURRENT ROW),
  STDDEV_POP(amount) OVER h,
  BOOL_AND(declined) OVER (PARTITION BY card ORDER BY ts RANGE BETWEEN INTERVAL '2' MINUTE PRECEDING AND CURRENT ROW),
  LAG(id) OVER (PARTITION BY shop ORDER BY ts)
FROM payments
WINDOW h AS (PARTITION BY card ORDER BY ts RANGE BETWEEN INTERVAL '10' MINUTE PRECEDING AND CURRENT ROW);
";

#[derive(Clone)]
pub struct Payment {
    pub ms: i64,
    pub id: i64,
    pub card: &'static str,
    pub shop: Option<&'static str>,
    pub cents: i64,
    pub declined: Option<bool>,
}

/// Two files: rows in the order of time, many at the same second in both.
pub fn payments() -> [Vec<Payment>; 2] {
    let mut state = 7u64;
    let mut below = |n: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % n
    };
    [0, 1].map(|file| {
        let mut second = 0;
        (0..600)
            .map(|i| {
                second += below(12) as i64;
                Payment {
                    ms: second * 1000,
                    id: file * 10_000 + i,
                    card: ["A", "B", "C", "D"][below(4) as usize],
                    shop: [Some("x"), Some("y"), Some("z"), None][below(4) as usize],
                    cents: below(10_000) as i64,
                    declined: [Some(true), Some(true), Some(false), None][below(4) as usize],
                }
            })
            .collect()
    })
}

/// What the job must say, payment by payment. Event time first, then the file, then the place in it.
fn model(files: &[Vec<Payment>; 2]) -> Vec<String> {
    let mut all: Vec<Payment> = files.concat();
    all.sort_by_key(|p| p.ms);
    let text = |v: Option<String>| v.unwrap_or_else(|| "NULL".into());
    let one = |(at, p): (usize, &Payment)| {
        let mine: Vec<&Payment> = all.iter().filter(|o| o.card == p.card).collect();
        let place = mine.iter().position(|o| o.id == p.id).unwrap();
        let within = |ms: i64| mine.iter().copied().filter(move |o| (p.ms - ms..=p.ms).contains(&o.ms));
        let (ten, hour) = (600_000, 3_600_000);
        let back = |k: usize, ms: i64| place.checked_sub(k).map(|i| mine[i]).filter(|o| o.ms >= p.ms - ms);
        let last_rows = |far: usize, near: usize| {
            let rows = (near..=far).filter_map(|k| place.checked_sub(k)).map(|i| mine[i]);
            rows.filter(|o| o.ms >= p.ms - hour).collect::<Vec<_>>()
        };
        let shops: Vec<&str> = within(ten).filter_map(|o| o.shop).collect();
        let mut three: Vec<&str> = last_rows(3, 1).iter().filter_map(|o| o.shop).collect();
        three.sort();
        three.dedup();
        let past: Vec<i64> = within(ten).filter(|o| o.id != p.id).map(|o| o.cents).collect();
        let declined: Vec<bool> = within(120_000).filter_map(|o| o.declined).collect();
        let same_shop = all[..at].iter().rev().find(|o| o.shop == p.shop && o.ms >= p.ms - hour);
        [
            p.id.to_string(),
            text(back(1, ten).map(|o| o.id.to_string())),
            text(back(2, hour).and_then(|o| o.shop).map(str::to_owned)),
            ((p.ms - within(ten).next().unwrap().ms) / 1000).to_string(),
            text(within(ten).rfind(|o| o.declined == Some(true)).map(|o| o.id.to_string())),
            text(shops.get(1).map(|s| (*s).to_owned())),
            cents(last_rows(4, 0).iter().map(|o| o.cents).sum()),
            three.len().to_string(),
            text((!past.is_empty()).then(|| mean(&past))),
            deviation(&within(ten).map(|o| o.cents).collect::<Vec<_>>()),
            text((!declined.is_empty()).then(|| declined.iter().all(|d| *d).to_string())),
            text(same_shop.map(|o| o.id.to_string())),
        ]
        .join("|")
    };
    let mut lines: Vec<String> = all.iter().enumerate().map(one).collect();
    lines.sort();
    lines
}

fn cents(n: i64) -> String {
    format!("{}.{:02}", n / 100, n % 100)
}

/// The mean of cents with six digits, half up.
fn mean(cents: &[i64]) -> String {
    let n = cents.len() as i64;
    let millionths = (2 * cents.iter().sum::<i64>() * 10_000 + n) / (2 * n);
    format!("{}.{:06}", millionths / 1_000_000, millionths % 1_000_000)
}

/// The deviation of the population, six digits, half up: the r with (2r − 1)² ≤ 4·variance < (2r + 1)², in millionths.
fn deviation(cents: &[i64]) -> String {
    let n = cents.len() as i128;
    let (total, squares) =
        cents.iter().fold((0i128, 0i128), |(t, q), c| (t + i128::from(*c), q + i128::from(*c).pow(2)));
    let above = 4 * (n * squares - total * total) * 10i128.pow(8);
    let r = half_up_root(above, n * n);
    format!("{}.{:06}", r / 1_000_000, r % 1_000_000)
}

fn half_up_root(above: i128, below: i128) -> i128 {
    let (mut low, mut high) = (0i128, 1i128 << 40);
    while low < high {
        let middle = (low + high + 1) / 2;
        if middle * middle * below <= above { low = middle } else { high = middle - 1 }
    }
    (low + 1) / 2
}

/// Writes the files `0.csv` and `1.csv`.
pub fn write(folder: &std::path::Path, files: &[Vec<Payment>; 2]) {
    for (i, file) in files.iter().enumerate() {
        let mut text = String::new();
        for p in file {
            let (minute, second) = (p.ms / 60_000, p.ms / 1000 % 60);
            let time = format!("2026-01-01 {:02}:{:02}:{second:02}", minute / 60, minute % 60);
            let declined = p.declined.map_or("NULL".into(), |d| d.to_string());
            let shop = p.shop.unwrap_or("NULL");
            writeln!(text, "{time},{},{},{shop},{},{declined}", p.id, p.card, cents(p.cents)).unwrap();
        }
        std::fs::write(folder.join(format!("{i}.csv")), text).unwrap();
    }
}

/// Workers, rows of a batch and of an epoch: none of it may show.
pub const SETTINGS: [Setting; 6] = [
    Setting { workers: 1, batch_rows: 8192, epoch_rows: 0 },
    Setting { workers: 2, batch_rows: 8192, epoch_rows: 0 },
    Setting { workers: 4, batch_rows: 8192, epoch_rows: 0 },
    Setting { workers: 1, batch_rows: 1, epoch_rows: 1 },
    Setting { workers: 3, batch_rows: 7, epoch_rows: 50 },
    Setting { workers: 2, batch_rows: 64, epoch_rows: usize::MAX },
];

#[test]
fn features_by_the_order_of_payments_are_those_of_a_naive_model() {
    let folder = tempfile::tempdir().unwrap();
    let files = payments();
    write(folder.path(), &files);
    let text = JOB.replace("PATH", &folder.path().display().to_string());
    let expected = model(&files);
    let mut seen = None;
    for setting in SETTINGS {
        let outcome = run(&text, &[], setting).unwrap_or_else(|e| panic!("{e}"));
        let found = rows(outcome.table("features").unwrap());
        let odd = found.iter().zip(&expected).find(|(f, e)| f != e);
        assert!(odd.is_none() && found.len() == expected.len(), "{setting:?}: found and expected {odd:?}");
        let digest = digests(&outcome);
        assert_eq!(seen.get_or_insert_with(|| digest.clone()), &digest, "{setting:?}");
    }
}
