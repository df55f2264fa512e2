//! The first rows of windows: over rows, where ties are settled by the files, and over counts; and the values of one row of
//! a window (FIRST_VALUE, ARG_MAX); and the first rows of keys without a window. Against a naive model, at
//! any number of workers and any batches; of a part of history too.

use super::places::{Payment, SETTINGS, payments, write};
use highwater_jobs::reach::Replay;
use highwater_tests::{Setting, digests, replay, rows, run};
use std::collections::BTreeMap;

const JOB: &str = "
CREATE TABLE payments (
  ts TIMESTAMP(3), id BIGINT, card STRING, shop STRING, amount DECIMAL(12, 2), declined BOOLEAN,
  WATERMARK FOR ts AS ts - INTERVAL '10' SECOND
) WITH ('connector' = 'filesystem', 'path' = 'PATH', 'format' = 'csv', 'csv.null-literal' = 'NULL');
CREATE TABLE largest (id BIGINT, rn BIGINT) WITH ('connector' = 'table', 'max-rows' = '100000');
CREATE TABLE first_ones (id BIGINT) WITH ('connector' = 'table', 'max-rows' = '100000');
CREATE TABLE busiest (card STRING, shop STRING, n BIGINT, rn BIGINT) WITH ('connector' = 'table', 'max-rows' = '100000');

-- amounts in tens: many ties
INSERT INTO largest SELECT id, rn FROM (
  SELECT id, ROW_NUMBER() OVER (
    PARTITION BY card, window_start, window_end ORDER BY FLOOR(amount / 10) DESC) AS rn
  FROM TABLE(TUMBLE(TABLE payments, DESCRIPTOR(ts), INTERVAL '2' MINUTE))
) WHERE rn <= 3;
INSERT INTO first_ones SELECT id FROM (
  SELECT id, card, window_start, window_end, ts
  FROM TABLE(HOP(TABLE payments, DESCRIPTOR(ts), INTERVAL '1' MINUTE, INTERVAL '2' MINUTE)))
QUALIFY ROW_NUMBER() OVER (PARTITION BY window_start, window_end, card ORDER BY ts) = 1;
INSERT INTO busiest SELECT card, shop, n, rn FROM (
  SELECT card, shop, n, ROW_NUMBER() OVER (PARTITION BY card, window_start, window_end ORDER BY n DESC, shop) AS rn
  FROM (
    SELECT card, shop, window_start, window_end, COUNT(*) AS n
    FROM TABLE(TUMBLE(TABLE payments, DESCRIPTOR(ts), INTERVAL '5' MINUTE))
    GROUP BY card, shop, window_start, window_end)
) WHERE rn = 2;
";

/// Payments of each (card, start of a window of `size_ms` every `slide_ms`), in the order of files and places.
fn windows(all: &[Payment], size_ms: i64, slide_ms: i64) -> BTreeMap<(&'static str, i64), Vec<&Payment>> {
    let mut windows: BTreeMap<(&'static str, i64), Vec<&Payment>> = BTreeMap::new();
    for p in all {
        let last = p.ms.div_euclid(slide_ms) * slide_ms;
        for start in (0..size_ms / slide_ms).map(|k| last - k * slide_ms) {
            windows.entry((p.card, start)).or_default().push(p);
        }
    }
    windows
}

fn largest(all: &[Payment]) -> Vec<String> {
    let mut lines = Vec::new();
    for rows in windows(all, 120_000, 120_000).values_mut() {
        // stable: equal ones stay in the order of files
        rows.sort_by_key(|p| -(p.cents / 1000));
        lines.extend((1..).zip(rows.iter().take(3)).map(|(rank, p)| format!("{}|{rank}", p.id)));
    }
    lines.sort();
    lines
}

fn first_ones(all: &[Payment]) -> Vec<String> {
    let first = |rows: &Vec<&Payment>| rows.iter().min_by_key(|p| p.ms).unwrap().id.to_string();
    let mut lines: Vec<String> = windows(all, 120_000, 60_000).values().map(first).collect();
    lines.sort();
    lines
}

fn busiest(all: &[Payment]) -> Vec<String> {
    let mut lines = Vec::new();
    for ((card, _), rows) in windows(all, 300_000, 300_000) {
        let mut shops: BTreeMap<Option<&str>, i64> = BTreeMap::new();
        rows.iter().for_each(|p| *shops.entry(p.shop).or_default() += 1);
        let mut shops: Vec<_> = shops.into_iter().collect();
        shops.sort_by_key(|(_, n)| -n);
        lines.extend(shops.get(1).map(|(shop, n)| format!("{card}|{}|{n}|2", shop.unwrap_or("NULL"))));
    }
    lines.sort();
    lines
}

#[test]
fn the_first_rows_of_windows_are_those_of_a_naive_model() {
    let folder = tempfile::tempdir().unwrap();
    let files = payments();
    write(folder.path(), &files);
    let text = JOB.replace("PATH", &folder.path().display().to_string());
    let all = files.concat();
    let expected = [("largest", largest(&all)), ("first_ones", first_ones(&all)), ("busiest", busiest(&all))];
    let mut seen = None;
    for setting in SETTINGS {
        let outcome = run(&text, &[], setting).unwrap_or_else(|e| panic!("{e}"));
        for (table, expected) in &expected {
            assert_eq!(&rows(outcome.table(table).unwrap()), expected, "{table} {setting:?}");
        }
        let digest = digests(&outcome);
        assert_eq!(seen.get_or_insert_with(|| digest.clone()), &digest, "{setting:?}");
    }
}

#[test]
fn a_replayed_part_has_the_first_rows_of_its_windows() {
    let folder = tempfile::tempdir().unwrap();
    let files = payments();
    write(folder.path(), &files);
    let text = JOB.replace("PATH", &folder.path().display().to_string());
    // 2026-01-01 00:20 to 00:40
    let midnight = 1_767_225_600_000;
    let (from, to) = (midnight + 1_200_000, midnight + 2_400_000);
    let wanted = Replay { from_ms: Some(from), to_ms: Some(to), warmup_ms: None };
    let outcome = replay(&text, &[], wanted, Setting::of_workers(2)).unwrap_or_else(|e| panic!("{e}"));
    let part: Vec<Payment> = files.concat().into_iter().filter(|p| (1_200_000..2_400_000).contains(&p.ms)).collect();
    assert_eq!(rows(outcome.table("largest").unwrap()), largest(&part));
    assert_eq!(rows(outcome.table("busiest").unwrap()), busiest(&part));
}

const ONE_ROW: &str = "
CREATE TABLE payments (
  ts TIMESTAMP(3), id BIGINT, card STRING, shop STRING, amount DECIMAL(12, 2), declined BOOLEAN,
  WATERMARK FOR ts AS ts - INTERVAL '10' SECOND
) WITH ('connector' = 'filesystem', 'path' = 'PATH', 'format' = 'csv', 'csv.null-literal' = 'NULL');
CREATE TABLE minutes (
  card STRING, f BIGINT, l STRING, most BIGINT, least BIGINT, spread DECIMAL(38, 6), every_one BOOLEAN
) WITH ('connector' = 'table', 'max-rows' = '100000');
INSERT INTO minutes SELECT card, FIRST_VALUE(id), LAST_VALUE(shop), ARG_MAX(id, amount),
  MIN_BY(id, shop) FILTER (WHERE declined), VAR_POP(amount), BOOL_AND(declined)
FROM TABLE(HOP(TABLE payments, DESCRIPTOR(ts), INTERVAL '1' MINUTE, INTERVAL '2' MINUTE))
GROUP BY card, window_start, window_end;
";

/// The variance of the population of amounts in cents, as a DECIMAL of six digits, half up.
fn variance(rows: &[&Payment]) -> String {
    let n = rows.len() as i128;
    let (total, squares) = rows.iter().map(|p| i128::from(p.cents)).fold((0, 0), |(t, q), c| (t + c, q + c * c));
    // cents² are 10^-4: 10^2 more for six digits
    let millionths = (200 * (n * squares - total * total) / (n * n) + 1) / 2;
    format!("{}.{:06}", millionths / 1_000_000, millionths % 1_000_000)
}

fn one_row(all: &[Payment]) -> Vec<String> {
    let text = |v: Option<String>| v.unwrap_or_else(|| "NULL".into());
    let line = |((card, _), mut rows): ((&str, i64), Vec<&Payment>)| {
        // stable: payments of one second stay in the order of files
        rows.sort_by_key(|p| p.ms);
        let most = rows.iter().rev().max_by_key(|p| p.cents).unwrap();
        let least = rows.iter().filter(|p| p.declined == Some(true) && p.shop.is_some()).min_by_key(|p| p.shop);
        let declined: Vec<bool> = rows.iter().filter_map(|p| p.declined).collect();
        [
            card.to_owned(),
            rows[0].id.to_string(),
            text(rows.iter().rev().find_map(|p| p.shop).map(str::to_owned)),
            most.id.to_string(),
            text(least.map(|p| p.id.to_string())),
            variance(&rows),
            text((!declined.is_empty()).then(|| declined.iter().all(|d| *d).to_string())),
        ]
        .join("|")
    };
    let mut lines: Vec<String> = windows(all, 120_000, 60_000).into_iter().map(line).collect();
    lines.sort();
    lines
}

#[test]
fn the_values_of_one_row_of_a_window_are_those_of_a_naive_model() {
    let folder = tempfile::tempdir().unwrap();
    let files = payments();
    write(folder.path(), &files);
    let text = ONE_ROW.replace("PATH", &folder.path().display().to_string());
    let expected = one_row(&files.concat());
    let mut seen = None;
    for setting in SETTINGS {
        let outcome = run(&text, &[], setting).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(rows(outcome.table("minutes").unwrap()), expected, "{setting:?}");
        let digest = digests(&outcome);
        assert_eq!(seen.get_or_insert_with(|| digest.clone()), &digest, "{setting:?}");
    }
}

/// The first payment of a card and shop that had none in the twenty seconds before, and the second and third of a card.
const NEW_ONES: &str = "
SET 'table.exec.state.ttl' = '20 s';
CREATE TABLE payments (
  ts TIMESTAMP(3), id BIGINT, card STRING, shop STRING, amount DECIMAL(12, 2), declined BOOLEAN,
  WATERMARK FOR ts AS ts - INTERVAL '10' SECOND
) WITH ('connector' = 'filesystem', 'path' = 'PATH', 'format' = 'csv', 'csv.null-literal' = 'NULL');
CREATE TABLE new_shop (id BIGINT) WITH ('connector' = 'table', 'max-rows' = '100000');
CREATE TABLE thirds (id BIGINT, n BIGINT) WITH ('connector' = 'table', 'max-rows' = '100000');
INSERT INTO new_shop SELECT id FROM payments WHERE amount > 1
  QUALIFY ROW_NUMBER() OVER (PARTITION BY card, shop ORDER BY ts) = 1;
INSERT INTO thirds SELECT id, n FROM (
  SELECT id, ROW_NUMBER() OVER (PARTITION BY card ORDER BY ts) AS n FROM payments
) WHERE n BETWEEN 2 AND 3;
";

/// How many payments of the same key come up to twenty seconds before, by time, then by file and place.
fn before<'a, K: PartialEq>(all: &'a [Payment], key: impl Fn(&Payment) -> K + 'a) -> Vec<(i64, usize)> {
    let mut all: Vec<&Payment> = all.iter().collect();
    all.sort_by_key(|p| p.ms);
    let count = |(i, p): (usize, &&Payment)| {
        let near = all[..i].iter().filter(|o| key(o) == key(p) && p.ms - o.ms <= 20_000);
        (p.id, near.count())
    };
    all.iter().enumerate().map(count).collect()
}

#[test]
fn the_first_rows_of_keys_are_those_without_earlier_ones() {
    let folder = tempfile::tempdir().unwrap();
    let files = payments();
    write(folder.path(), &files);
    let text = NEW_ONES.replace("PATH", &folder.path().display().to_string());
    let all = files.concat();
    let dear: Vec<Payment> = all.iter().filter(|p| p.cents > 100).cloned().collect();
    let sorted = |mut lines: Vec<String>| {
        lines.sort();
        lines
    };
    let new_shop = before(&dear, |p| (p.card, p.shop)).into_iter().filter(|(_, n)| *n == 0);
    let new_shop = sorted(new_shop.map(|(id, _)| id.to_string()).collect());
    let thirds = before(&all, |p| p.card).into_iter().filter(|(_, n)| (1..=2).contains(n));
    let thirds = sorted(thirds.map(|(id, n)| format!("{id}|{}", n + 1)).collect());
    assert!(new_shop.len() > 20 && new_shop.len() < dear.len() && thirds.len() > 20);
    let mut seen = None;
    for setting in SETTINGS {
        let outcome = run(&text, &[], setting).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(rows(outcome.table("new_shop").unwrap()), new_shop, "{setting:?}");
        assert_eq!(rows(outcome.table("thirds").unwrap()), thirds, "{setting:?}");
        let digest = digests(&outcome);
        assert_eq!(seen.get_or_insert_with(|| digest.clone()), &digest, "{setting:?}");
    }
}
