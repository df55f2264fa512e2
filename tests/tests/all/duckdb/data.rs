//! Random payments in files: disorder within the bound and beyond it, equal times, NULLs.

use super::random::Random;
use std::fmt::Write;
use std::path::Path;

/// 2026-01-01 00:00:00.
const MIDNIGHT_MS: i64 = 1_767_225_600_000;

/// One payment.
struct Row {
    ms: i64,
    id: i64,
    card: Option<&'static str>,
    shop: Option<i64>,
    n: Option<i64>,
    cents: Option<i64>,
    flag: Option<bool>,
}

/// The files of a source, and its watermark.
pub struct Data {
    files: Vec<Vec<Row>>,
    bound_ms: i64,
    json: bool,
}

impl Data {
    pub fn random(r: &mut Random) -> Self {
        let bound_ms = r.of(&[0, 500, 2_000, 10_000]);
        let (unit_ms, step, null) = (r.of(&[1, 250, 500, 1_000, 1_000]), r.between(1, 8), r.of(&[0, 5, 25]));
        let files = (0..r.between(1, 3)).map(|f| file(r, f, bound_ms, [unit_ms, step], null)).collect();
        Self { files, bound_ms, json: r.chance(30) }
    }

    /// Writes the files.
    pub fn write(&self, folder: &Path) {
        for (i, rows) in self.files.iter().enumerate() {
            let line = |r: &Row| if self.json { json(r) } else { csv(r) };
            let text: String = rows.iter().map(line).collect();
            std::fs::write(folder.join(format!("{i}.txt")), text).unwrap();
        }
    }

    /// The source `p` as a table of a job.
    pub fn table(&self, folder: &Path) -> String {
        let format = if self.json { "'json'" } else { "'csv', 'csv.null-literal' = 'NULL'" };
        format!(
            "SET 'table.exec.state.ttl' = '1000 d';
CREATE TABLE p (ts TIMESTAMP(3), id BIGINT, card STRING, shop BIGINT, n INT, amount DECIMAL(12, 2), flag BOOLEAN,
  WATERMARK FOR ts AS ts - INTERVAL '{}' SECOND
) WITH ('connector' = 'filesystem', 'path' = '{}', 'format' = {format});\n",
            self.bound_ms as f64 / 1000.0,
            folder.display(),
        )
    }

    /// The same rows as a table of DuckDB, with their places, and the watermark of their partition before them: `w`, the
    /// first instant that is not complete.
    pub fn duckdb(&self) -> String {
        let mut values = String::new();
        for (part, rows) in self.files.iter().enumerate() {
            for (off, r) in rows.iter().enumerate() {
                let card = r.card.map_or("NULL".into(), |c| format!("'{c}'"));
                let [shop, n] = [r.shop, r.n].map(whole);
                let (amount, flag) = (money(r.cents), flag(r.flag));
                let comma = if values.is_empty() { "" } else { "," };
                write!(values, "{comma}({part},{off},{},{},{card},{shop},{n},{amount},{flag})", r.ms, r.id).unwrap();
            }
        }
        format!(
            "CREATE TABLE rows (part INT, off INT, ts BIGINT, id BIGINT, card VARCHAR, shop BIGINT, n INT,
  amount DECIMAL(12, 2), flag BOOLEAN);
INSERT INTO rows VALUES {values};
CREATE TABLE p AS SELECT *, max(ts) OVER (PARTITION BY part ORDER BY off ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
  - {} + 1 AS w FROM rows;
CREATE MACRO half_up(a, b) AS sign(a)::HUGEINT * ((2 * abs(a) + b) // (2 * b));
CREATE MACRO fine(m) AS (CASE WHEN m < 0 THEN '-' ELSE '' END || (abs(m) // 1000000)::VARCHAR || '.'
  || lpad((abs(m) % 1000000)::VARCHAR, 6, '0'))::DECIMAL(38, 6);
CREATE MACRO cents(x) AS (x * 100)::HUGEINT;
CREATE MACRO mean(s, n) AS CASE WHEN n > 0 THEN sign(s)::HUGEINT * (abs(s)::HUGEINT // n) END;
CREATE MACRO money_mean(s, n) AS CASE WHEN n > 0 THEN fine(half_up(s * 10000, n)) END;
CREATE MACRO variance_of(n, s, q, less) AS
  CASE WHEN n > less THEN fine(half_up((n * q - s * s) * 100, n::HUGEINT * (n - less))) END;
CREATE MACRO covariance_of(n, x, y, xy, less) AS
  CASE WHEN n > less THEN fine(half_up((n * xy - x * y) * 100, n::HUGEINT * (n - less))) END;
CREATE MACRO sorted(l) AS list_sort(list_filter(l, lambda v: v IS NOT NULL));
CREATE MACRO between_places(l, up, place) AS fine(half_up((l[(place // 1000000 + 1)::BIGINT] * (1000000 - place % 1000000)
  + l[least(place // 1000000 + 2, len(l))::BIGINT] * (place % 1000000)) * up, 1000000));
CREATE MACRO percentile_of(l, up, share) AS
  CASE WHEN len(l) > 0 THEN between_places(l, up, (len(l) - 1)::HUGEINT * share) END;
CREATE MACRO deviation_of(n, s, q, less) AS
  CASE WHEN n > less THEN fine(floor(sqrt((n * q - s * s)::DOUBLE / (n * (n - less))) * 1e4 + 0.5)::HUGEINT) END;\n",
            self.bound_ms
        )
    }
}

fn file(r: &mut Random, file: i64, bound_ms: i64, [unit_ms, step]: [i64; 2], null: u64) -> Vec<Row> {
    // not at midnight: windows do not begin with the rows; now and then soon before it: days, months and years do
    let after_s = if r.chance(30) { r.between(-150, -1) } else { r.between(3_600, 3_700) };
    let mut now = MIDNIGHT_MS + 1_000 * after_s;
    let rows = r.between(20, 120);
    let one = |i: i64| {
        now += unit_ms * r.between(0, step);
        if r.chance(2) {
            now += 1_000 * r.between(10, 120);
        }
        let back = match r.below(20) {
            0..10 => 0,
            10..19 => r.between(0, bound_ms),
            _ => r.between(0, 3 * bound_ms + 30_000),
        };
        let mut some = |percent: u64| !r.chance(percent);
        let [card, shop, n, cents, flag] = [null / 2, null, null, null, null].map(&mut some);
        Row {
            ms: (now - back) / unit_ms * unit_ms,
            id: file * 10_000 + i,
            card: card.then(|| r.of(&["a", "b", "c", "dd"])),
            shop: shop.then(|| r.between(0, 5)),
            n: n.then(|| r.between(-100, 100)),
            cents: cents.then(|| r.between(-2_000, 90_000)),
            flag: flag.then(|| r.chance(70)),
        }
    };
    (0..rows).map(one).collect()
}

fn whole(v: Option<i64>) -> String {
    v.map_or("NULL".into(), |v| v.to_string())
}

fn flag(v: Option<bool>) -> String {
    v.map_or("NULL".into(), |v| v.to_string())
}

fn money(cents: Option<i64>) -> String {
    let sign = |c: i64| if c < 0 { "-" } else { "" };
    cents.map_or("NULL".into(), |c| format!("{}{}.{:02}", sign(c), c.abs() / 100, c.abs() % 100))
}

/// `2026-01-01 00:00:01.500`: the rows are of a few days, at most one of them in 2025.
fn time(ms: i64) -> String {
    let ms = ms - MIDNIGHT_MS;
    let day = 1 + ms.div_euclid(86_400_000);
    let ms = ms.rem_euclid(86_400_000);
    assert!((0..31).contains(&day), "{day}");
    let date = if day == 0 { "2025-12-31".to_owned() } else { format!("2026-01-{day:02}") };
    format!("{date} {:02}:{:02}:{:02}.{:03}", ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60, ms % 1_000)
}

fn csv(r: &Row) -> String {
    let (card, flag) = (r.card.unwrap_or("NULL"), flag(r.flag));
    format!("{},{},{card},{},{},{},{flag}\n", time(r.ms), r.id, whole(r.shop), whole(r.n), money(r.cents))
}

fn json(r: &Row) -> String {
    let null = |text: String| if text == "NULL" { "null".into() } else { text };
    let card = r.card.map_or("null".into(), |c| format!("\"{c}\""));
    let [shop, n] = [r.shop, r.n].map(|v| null(whole(v)));
    let (amount, flag) = (null(money(r.cents)), null(flag(r.flag)));
    format!(
        "{{\"ts\":\"{}\",\"id\":{},\"card\":{card},\"shop\":{shop},\"n\":{n},\"amount\":{amount},\"flag\":{flag}}}\n",
        time(r.ms),
        r.id
    )
}
