//! Windows of the calendar, end to end: a year of payments whose instants lie in Berlin's and New York's days, weeks and
//! months. The model knows four instants of the tz database, when clocks were set in 2024.

use highwater_jobs::reach::Replay;
use highwater_operators::expression::calendar::{civil, days, iso_weekday};
use highwater_tests::{Setting, digests, replay, rows, run};
use std::collections::{BTreeMap, BTreeSet};

const JOB: &str = "
CREATE TABLE payments (
  at BIGINT, card BIGINT, amount BIGINT, ts AS TO_TIMESTAMP_LTZ(at, 3), WATERMARK FOR ts AS ts - INTERVAL '3' DAY
) WITH ('connector' = 'filesystem', 'path' = 'PATH', 'format' = 'csv');
CREATE TABLE days (s TIMESTAMP(3), e TIMESTAMP(3), card BIGINT, n BIGINT, total BIGINT)
  WITH ('connector' = 'table', 'max-rows' = '1000000');
CREATE TABLE weeks (s TIMESTAMP(3), e TIMESTAMP(3), n BIGINT) WITH ('connector' = 'table', 'max-rows' = '1000000');
CREATE TABLE grown (s TIMESTAMP(3), e TIMESTAMP(3), n BIGINT) WITH ('connector' = 'table', 'max-rows' = '1000000');
CREATE TABLE months (s TIMESTAMP(3), e TIMESTAMP(3), busiest BIGINT) WITH ('connector' = 'table', 'max-rows' = '1000000');
CREATE TABLE trailing (at BIGINT, n BIGINT, total BIGINT, dearest BIGINT, cards BIGINT, before BIGINT)
  WITH ('connector' = 'table', 'max-rows' = '1000000');
CREATE TABLE dearest (s TIMESTAMP(3), amount BIGINT) WITH ('connector' = 'table', 'max-rows' = '1000000');

CREATE VIEW card_days AS
  SELECT window_start AS s, window_end AS e, window_time AS t, card, COUNT(*) AS n, SUM(amount) AS total
  FROM TABLE(TUMBLE(TABLE payments, DESCRIPTOR(ts), INTERVAL '1' DAY, TIME_ZONE => 'Europe/Berlin'))
  GROUP BY window_start, window_end, window_time, card;
INSERT INTO days SELECT s, e, card, n, total FROM card_days;
INSERT INTO weeks SELECT window_start, window_end, COUNT(*)
  FROM TABLE(TUMBLE(TABLE payments, DESCRIPTOR(ts), INTERVAL '1' WEEK, TIME_ZONE => 'America/New_York'))
  GROUP BY window_start, window_end;
INSERT INTO grown SELECT window_start, window_end, COUNT(*)
  FROM TABLE(CUMULATE(TABLE payments, DESCRIPTOR(ts), INTERVAL '1' DAY, INTERVAL '1' MONTH, TIME_ZONE => 'America/New_York'))
  GROUP BY window_start, window_end;
INSERT INTO months SELECT window_start, window_end, MAX(n)
  FROM TABLE(TUMBLE(TABLE card_days, DESCRIPTOR(t), INTERVAL '1' MONTH, TIME_ZONE => 'Europe/Berlin'))
  GROUP BY window_start, window_end;
INSERT INTO trailing SELECT at, COUNT(*) OVER day, SUM(amount) OVER day, MAX(amount) OVER week,
  COUNT(DISTINCT card) OVER (ORDER BY ts RANGE BETWEEN START OF MONTH AT TIME ZONE 'Europe/Berlin' PRECEDING AND CURRENT ROW),
  COUNT(*) OVER (ORDER BY ts RANGE BETWEEN START OF QUARTER PRECEDING AND CURRENT ROW EXCLUDE CURRENT ROW)
  FROM payments WINDOW
    day AS (PARTITION BY card ORDER BY ts RANGE START OF DAY AT TIME ZONE 'Europe/Berlin' PRECEDING),
    week AS (PARTITION BY card ORDER BY ts RANGE BETWEEN START OF WEEK AT TIME ZONE 'America/New_York' PRECEDING AND CURRENT ROW);
INSERT INTO dearest SELECT window_start, amount
  FROM TABLE(TUMBLE(TABLE payments, DESCRIPTOR(ts), INTERVAL '1' DAY, TIME_ZONE => 'Europe/Berlin'))
  QUALIFY ROW_NUMBER() OVER (PARTITION BY window_start, window_end ORDER BY amount DESC) = 1;
";

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

/// A zone in 2024: hours ahead of UTC in winter, and when summer begins and ends.
struct Clock(i64, [&'static str; 2]);

const BERLIN: Clock = Clock(1, ["2024-03-31 01:00", "2024-10-27 01:00"]);
const NEW_YORK: Clock = Clock(-5, ["2024-03-10 07:00", "2024-11-03 06:00"]);

/// The instant of `2024-03-31 01:00`.
fn utc(text: &str) -> i64 {
    let number = |at: std::ops::Range<usize>| text[at].parse::<i64>().unwrap();
    let day = days((number(0..4), number(5..7) as u32, number(8..10) as u32));
    day * DAY + number(11..13) * HOUR + number(14..16) * 60_000
}

impl Clock {
    /// The date that the zone's calendars show, as days from 1970-01-01.
    fn date(&self, at: i64) -> i64 {
        let summer = utc(self.1[0]) <= at && at < utc(self.1[1]);
        (at + (self.0 + i64::from(summer)) * HOUR).div_euclid(DAY)
    }
}

/// Instant, card and amount of payments, out of order by up to two days; many near the nights on which clocks were set.
fn payments() -> Vec<(i64, i64, i64)> {
    let mut seed = 7u64;
    let mut random = move |below: i64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as i64 % below
    };
    let year: Vec<i64> = (0..4_000).map(|_| utc("2024-01-01 00:00") + random(366 * DAY)).collect();
    let changes = BERLIN.1.into_iter().chain(NEW_YORK.1);
    let nights: Vec<i64> =
        changes.flat_map(|c| (0..400).map(move |k| utc(c) - 30 * HOUR + k * 9 * 60_000 + k)).collect();
    let mut all: Vec<(i64, i64)> = year.into_iter().chain(nights).map(|t| (t + random(2 * DAY), t)).collect();
    all.sort();
    // amounts differ, so that a day has one dearest payment
    all.into_iter().enumerate().map(|(i, (_, t))| (t, random(5), (i as i64 * 7_919) % 1_000_003)).collect()
}

fn midnight(date: i64) -> String {
    let (year, month, day) = civil(date);
    format!("{year}-{month:02}-{day:02} 00:00:00")
}

fn month(date: i64) -> i64 {
    let (year, month, _) = civil(date);
    days((year, month, 1))
}

fn next_month(date: i64) -> i64 {
    month(month(date) + 31)
}

/// What each payment sees: of its card on the same day, in the same week; of all in the same month, in the same quarter.
fn trailing(all: &[(i64, i64, i64)]) -> Vec<String> {
    let week = |at| NEW_YORK.date(at) + 1 - iso_weekday(NEW_YORK.date(at));
    let quarter = |at: i64| {
        let (year, month, _) = civil(at.div_euclid(DAY));
        (year, (month - 1) / 3)
    };
    let one = |(at, card, _): &(i64, i64, i64)| {
        let before: Vec<_> = all.iter().filter(|p| p.0 <= *at).collect();
        let day = before.iter().filter(|p| p.1 == *card && BERLIN.date(p.0) == BERLIN.date(*at));
        let week = before.iter().filter(|p| p.1 == *card && week(p.0) == week(*at));
        let month = before.iter().filter(|p| month(BERLIN.date(p.0)) == month(BERLIN.date(*at)));
        let cards: BTreeSet<i64> = month.map(|p| p.1).collect();
        let (n, total) = (day.clone().count(), day.map(|p| p.2).sum::<i64>());
        let dearest = week.map(|p| p.2).max().unwrap();
        let quarter = before.iter().filter(|p| quarter(p.0) == quarter(*at)).count() - 1;
        format!("{at}|{n}|{total}|{dearest}|{}|{quarter}", cards.len())
    };
    let mut lines: Vec<String> = all.iter().map(one).collect();
    lines.sort();
    lines
}

fn expected(all: &[(i64, i64, i64)]) -> Vec<(&'static str, Vec<String>)> {
    let mut card_days: BTreeMap<(i64, i64), (i64, i64)> = BTreeMap::new();
    let (mut weeks, mut grown): (BTreeMap<i64, i64>, BTreeMap<(i64, i64), i64>) = Default::default();
    let (mut months, mut dearest): (BTreeMap<i64, i64>, BTreeMap<i64, i64>) = Default::default();
    for (at, card, amount) in all {
        let (berlin, new_york) = (BERLIN.date(*at), NEW_YORK.date(*at));
        let day = card_days.entry((berlin, *card)).or_default();
        *day = (day.0 + 1, day.1 + amount);
        let largest = dearest.entry(berlin).or_default();
        *largest = (*largest).max(*amount);
        *weeks.entry(new_york + 1 - iso_weekday(new_york)).or_default() += 1;
        for end in new_york + 1..=next_month(new_york) {
            *grown.entry((month(new_york), end)).or_default() += 1;
        }
    }
    for ((date, _), (n, _)) in &card_days {
        let busiest = months.entry(month(*date)).or_default();
        *busiest = (*busiest).max(*n);
    }
    let span = |from: i64, to: i64| format!("{}|{}", midnight(from), midnight(to));
    let day = |d: i64| span(d, d + 1);
    let sorted = |lines: Vec<String>| {
        let mut lines = lines;
        lines.sort();
        lines
    };
    vec![
        (
            "days",
            sorted(card_days.iter().map(|((d, card), (n, total))| format!("{}|{card}|{n}|{total}", day(*d))).collect()),
        ),
        ("weeks", weeks.iter().map(|(d, n)| format!("{}|{n}", span(*d, d + 7))).collect()),
        ("grown", grown.iter().map(|((from, to), n)| format!("{}|{n}", span(*from, *to))).collect()),
        ("months", months.iter().map(|(d, n)| format!("{}|{n}", span(*d, next_month(*d)))).collect()),
        ("trailing", trailing(all)),
        ("dearest", dearest.iter().map(|(d, amount)| format!("{}|{amount}", midnight(*d))).collect()),
    ]
}

/// The job over two files of the payments.
fn job(folder: &std::path::Path, all: &[(i64, i64, i64)]) -> String {
    for part in 0..2 {
        let rows = all.iter().skip(part).step_by(2).map(|(at, card, amount)| format!("{at},{card},{amount}\n"));
        std::fs::write(folder.join(format!("{part}.csv")), rows.collect::<String>()).unwrap();
    }
    JOB.replace("PATH", &folder.display().to_string())
}

#[test]
fn days_weeks_and_months_are_those_of_the_zone() {
    let (folder, all) = (tempfile::tempdir().unwrap(), payments());
    let (job, expected) = (job(folder.path(), &all), expected(&all));
    let mut first = None;
    for (workers, epoch_rows) in [(1, 0), (2, 37), (4, 500)] {
        let outcome = run(&job, &[], Setting { workers, batch_rows: 64, epoch_rows }).unwrap();
        for (table, lines) in &expected {
            assert_eq!(&rows(outcome.table(table).unwrap()), lines, "{table}, {workers} workers");
        }
        let digests = digests(&outcome);
        assert_eq!(first.get_or_insert_with(|| digests.clone()), &digests);
    }
}

/// The same days, weeks and months, where Berlin is the zone of the job and named nowhere else.
#[test]
fn the_zone_of_a_job_is_that_of_its_windows_and_frames() {
    let (folder, all) = (tempfile::tempdir().unwrap(), payments());
    let job = job(folder.path(), &all).replace("START OF QUARTER", "START OF QUARTER AT TIME ZONE 'UTC'");
    let job = job.replace(", TIME_ZONE => 'Europe/Berlin'", "").replace(" AT TIME ZONE 'Europe/Berlin'", "");
    let job = format!("SET 'table.local-time-zone' = 'Europe/Berlin';\n{job}");
    assert_eq!(job.matches("Berlin").count(), 1);
    let outcome = run(&job, &[], Setting::of_workers(2)).unwrap();
    for (table, lines) in expected(&all) {
        assert_eq!(rows(outcome.table(table).unwrap()), lines, "{table}");
    }
}

/// Windows that begin at or after the first instant and end by the last, though they are of different lengths.
#[test]
fn a_replayed_part_has_the_windows_wholly_inside() {
    let (folder, all) = (tempfile::tempdir().unwrap(), payments());
    let job = job(folder.path(), &all);
    // Berlin's 31 March begins 23:00 UTC, its 31 October ends then; months have daylight saving on one side
    let wanted =
        Replay { from_ms: Some(utc("2024-03-30 23:00")), to_ms: Some(utc("2024-10-31 23:00")), warmup_ms: None };
    let outcome = replay(&job, &[], wanted, Setting::of_workers(2)).unwrap();
    for (table, from, to) in [
        ("days", "2024-03-31", "2024-11-01"),
        ("weeks", "2024-04-01", "2024-10-31"),
        ("grown", "2024-04-01", "2024-10-31"),
        ("months", "2024-04-01", "2024-11-01"),
    ] {
        let (_, lines) = expected(&all).into_iter().find(|(t, _)| *t == table).unwrap();
        let inside = |line: &String| {
            let mut fields = line.split('|');
            let (start, end) = (fields.next().unwrap(), fields.next().unwrap());
            start >= from && end[..10] <= *to
        };
        let lines: Vec<String> = lines.into_iter().filter(inside).collect();
        assert!(!lines.is_empty());
        assert_eq!(rows(outcome.table(table).unwrap()), lines, "{table}");
    }
    let inside = |line: &String| {
        let at = line.split('|').next().unwrap().parse().unwrap();
        (utc("2024-03-30 23:00")..utc("2024-10-31 23:00")).contains(&at)
    };
    let lines: Vec<String> = trailing(&all).into_iter().filter(inside).collect();
    assert_eq!(rows(outcome.table("trailing").unwrap()), lines);
}
