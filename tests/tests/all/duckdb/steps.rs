//! The steps that keep state: windows, sessions, trailing frames, first rows of windows.

use super::calls::{Call, Column, Kind, Over, column, condition, pick};
use super::query::{Relation, Step, aggregates, order};
use super::random::Random;

const DAY_MS: i64 = 86_400_000;

/// How a length of time is written in SQL.
fn interval(ms: i64) -> String {
    match ms {
        ms if ms % 60_000 == 0 => format!("INTERVAL '{}' MINUTE", ms / 60_000),
        ms => format!("INTERVAL '{}' SECOND", ms as f64 / 1000.0),
    }
}

/// A window function: our call, and DuckDB's rows with `wstart` and `wend`.
fn assigned(r: &mut Random, from: &Relation) -> [String; 2] {
    let step = r.of(&[500, 1_000, 2_500, 7_000, 10_000, 60_000]);
    let times = r.between(2, 6);
    let offset = if r.chance(25) { r.of(&[-500, 250, 3_000]) } else { 0 };
    let (size, slide, kind) = match r.below(3) {
        0 => (step * times, step * times, "TUMBLE"),
        // the size need not be a multiple of the slide, nor above it
        1 => ((step * times + r.of(&[0, 0, 250])).min(step * 5), r.of(&[step, step, step * times * 2]), "HOP"),
        _ => (step * times, step * times, "CUMULATE"),
    };
    let mut arguments = vec![format!("TABLE {}", from.name), "DESCRIPTOR(ts)".to_owned()];
    arguments.extend(match kind {
        "HOP" => vec![interval(slide)],
        "CUMULATE" => vec![interval(step)],
        _ => vec![],
    });
    arguments.push(interval(size));
    if offset != 0 {
        arguments.push(interval(offset));
    }
    let ours = format!("TABLE({kind}({}))", arguments.join(", "));
    let (start, end, count) = match kind {
        "CUMULATE" => ("l".to_owned(), format!("l + (k + 1) * {step}"), size / step),
        _ => (format!("l - k * {slide}"), format!("l - k * {slide} + {size}"), (size + slide - 1) / slide),
    };
    let late = if from.late { format!(" AND (w IS NULL OR {end} > w)") } else { String::new() };
    let theirs = format!(
        "(SELECT *, {start} AS wstart, {end} AS wend FROM (SELECT *, (ts - {offset}) // {slide} * {slide} + {offset} AS l FROM {}),
    range({count}) ks(k) WHERE {end} > ts{late})",
        from.name
    );
    [ours, theirs]
}

/// The aggregates of windows, as items of both SELECTs, behind keys; and the columns.
fn grouped(keys: &[String], calls: &[(String, Call)], from: &Relation) -> ([String; 2], Vec<Column>) {
    let mut columns: Vec<Column> = from.columns.iter().filter(|c| keys.contains(&c.name)).cloned().collect();
    columns.sort_by(|a, b| a.name.cmp(&b.name));
    let mut ours = keys.to_vec();
    let mut theirs = keys.to_vec();
    for (name, call) in calls {
        ours.push(format!("{} AS {name}", call.ours));
        theirs.push(format!("{} AS {name}", call.theirs.replace('#', "")));
        columns.push(column(name, call.kind));
    }
    columns.extend(["ws", "we", "ts"].map(|n| column(n, Kind::Time)));
    ([ours.join(", "), theirs.join(", ")], columns)
}

const OURS: &str = "window_start AS ws, window_end AS we, window_time AS ts";

/// Aggregates of TUMBLE, HOP or CUMULATE.
pub fn window(r: &mut Random, from: &Relation) -> Step {
    let from = &renamed(from);
    let [function, assigned] = assigned(r, from);
    let keys = from.keys(r);
    let calls = aggregates(r, from, Over::Window { ordered: from.ordered });
    let ([ours, theirs], columns) = grouped(&keys, &calls, from);
    let filter = filter(r, from);
    let having = if r.chance(15) { " HAVING COUNT(*) > 1" } else { "" };
    let sets = match keys.as_slice() {
        [] => String::new(),
        [a, b] if r.chance(40) => r.of(&[
            format!(", GROUPING SETS (({a}), ({b}), ())"),
            format!(", ROLLUP ({a}, {b})"),
            format!(", CUBE ({a}, {b})"),
            format!(", GROUPING SETS (({a}, {b}), ({b}))"),
        ]),
        keys => format!(", {}", keys.join(", ")),
    };
    Step {
        ours: format!(
            "SELECT {ours}, {OURS} FROM {function}{filter}
  GROUP BY window_start, window_end, window_time{sets}{having}"
        ),
        theirs: format!(
            "SELECT {theirs}, wstart AS ws, wend AS we, wend - 1 AS ts FROM {assigned}{filter}
  GROUP BY wstart, wend{sets}{having}"
        ),
        columns,
        ordered: false,
        late: false,
    }
}

/// Sessions of keys.
pub fn session(r: &mut Random, from: &Relation) -> Step {
    let from = &renamed(from);
    let gap = r.of(&[250, 500, 1_000, 2_500, 5_000, 20_000]);
    let keys = from.keys(r);
    let calls = aggregates(r, from, Over::Window { ordered: from.ordered });
    let ([ours, theirs], columns) = grouped(&keys, &calls, from);
    let by = if keys.is_empty() { String::new() } else { format!("PARTITION BY {}", keys.join(", ")) };
    let comma = if keys.is_empty() { String::new() } else { format!(", {}", keys.join(", ")) };
    let late = if from.late { "WHERE w IS NULL OR ts >= w" } else { "" };
    let name = &from.name;
    let theirs = format!(
        "SELECT {theirs}, min(ts) AS ws, max(ts) + {gap} AS we, max(ts) + {gap} - 1 AS ts
  FROM (SELECT *, sum(fresh) OVER ({by} ORDER BY ts) AS s
    FROM (SELECT *, CASE WHEN ts - lag(ts) OVER ({by} ORDER BY ts) <= {gap} THEN 0 ELSE 1 END AS fresh FROM {name} {late}))
  GROUP BY s{comma}"
    );
    let ours = format!(
        "SELECT {ours}, {OURS} FROM TABLE(SESSION(TABLE {name} {by}, DESCRIPTOR(ts), {}))
  GROUP BY window_start, window_end, window_time{comma}",
        interval(gap)
    );
    Step { ours, theirs, columns, ordered: false, late: false }
}

/// Trailing frames, up to three different ones.
pub fn frames(r: &mut Random, from: &Relation) -> Step {
    let from = &renamed(from);
    let late = if from.late { " WHERE w IS NULL OR ts >= w" } else { "" };
    let mut columns: Vec<Column> = from.columns.iter().filter(|c| c.name == "id" || r.chance(30)).cloned().collect();
    columns.retain(|c| c.name != "ts");
    let kept: Vec<String> = columns.iter().map(|c| c.name.clone()).collect();
    let (mut ours, mut theirs) = (kept.clone(), kept);
    for f in 0..r.between(1, 3) {
        let keys = from.keys(r);
        let by = if keys.is_empty() { String::new() } else { format!("PARTITION BY {} ", keys.join(", ")) };
        if from.ordered && r.chance(15) {
            let (call, name) = (lag(r, from, &by), format!("{}_lag{f}", from.name));
            ours.push(format!("{} AS {name}", call.ours));
            theirs.push(format!("{} AS {name}", call.theirs));
            columns.push(column(&name, call.kind));
            continue;
        }
        let rows = from.ordered && r.chance(30);
        let [our_frame, their_frame] = if rows { frame_of_rows(r) } else { frame_of_time(r) };
        let over = if rows { Over::Rows } else { Over::Range { ordered: from.ordered } };
        let places = if rows { ", part, off" } else { "" };
        for (name, call) in aggregates(r, from, over) {
            let name = format!("{name}{f}");
            ours.push(format!("{} OVER ({by}ORDER BY ts {our_frame}) AS {name}", call.ours));
            let over = format!(" OVER ({by}ORDER BY ts{places} {their_frame})");
            theirs.push(format!("{} AS {name}", call.theirs.replace('#', &over)));
            columns.push(column(&name, call.kind));
        }
    }
    columns.push(column("ts", Kind::Time));
    let places = if from.ordered { ", part, off" } else { "" };
    Step {
        ours: format!("SELECT {}, ts FROM {}", ours.join(", "), from.name),
        theirs: format!("SELECT {}, ts{places} FROM {}{late}", theirs.join(", "), from.name),
        columns,
        ordered: from.ordered,
        late: false,
    }
}

fn frame_of_time(r: &mut Random) -> [String; 2] {
    // rows lie on both sides of a midnight that begins all of these but a week
    let period = r.chance(20).then(|| r.of(&["DAY", "DAY", "WEEK", "MONTH", "QUARTER", "YEAR"]));
    let from = if period.is_some() { DAY_MS } else { r.of(&[0, 250, 1_000, 5_000, 30_000, 300_000]) };
    let to = if r.chance(20) { r.of(&[1, 250, 1_000]).min(from) } else { 0 };
    let bound = |ms: i64, text: String| if ms == 0 { "CURRENT ROW".into() } else { format!("{text} PRECEDING") };
    let exclude = match r.below(10) {
        _ if to > 0 => "",
        0 => " EXCLUDE CURRENT ROW",
        1 if from > 0 => " EXCLUDE GROUP",
        2 if from > 0 => " EXCLUDE TIES",
        3 => " EXCLUDE NO OTHERS",
        _ => "",
    };
    let of = |from: String, to: String| format!("RANGE BETWEEN {from} AND {to}{exclude}");
    let [ours, theirs] = match period {
        Some(unit) => {
            [format!("START OF {unit}"), format!("ts - epoch_ms(date_trunc('{unit}', make_timestamp_ms(ts)))")]
        }
        None => [interval(from), from.to_string()],
    };
    [of(bound(from, ours), bound(to, interval(to))), of(bound(from, theirs), bound(to, to.to_string()))]
}

fn frame_of_rows(r: &mut Random) -> [String; 2] {
    let from = r.between(0, 6);
    let to = if r.chance(30) { r.between(0, from) } else { 0 };
    let bound = |n: i64| if n == 0 { "CURRENT ROW".into() } else { format!("{n} PRECEDING") };
    let exclude = if to == 0 && from > 0 && r.chance(15) { " EXCLUDE CURRENT ROW" } else { "" };
    let text = format!("ROWS BETWEEN {} AND {}{exclude}", bound(from), bound(to));
    [text.clone(), text]
}

/// LAG, with a frame that says how far back the row may lie, or without.
fn lag(r: &mut Random, from: &Relation, by: &str) -> Call {
    let kinds = [Kind::Whole, Kind::Money, Kind::Text, Kind::Flag, Kind::Time];
    let Column { name, kind } = pick(r, &from.columns, &kinds).expect("a relation has a time");
    let n = r.between(1, 3);
    let over = format!("OVER ({by}ORDER BY ts, part, off)");
    let default = match kind {
        Kind::Whole if r.chance(40) => Some("-7"),
        Kind::Text if r.chance(40) => Some("'none'"),
        _ => None,
    };
    let argument = default.map(|d| format!(", {d}")).unwrap_or_default();
    match r.of(&[None, Some(1_000), Some(30_000)]) {
        None => {
            let ours = format!("LAG({name}, {n}{argument}) OVER ({by}ORDER BY ts)");
            Call { ours, theirs: format!("lag({name}, {n}{argument}) {over}"), kind }
        }
        Some(ms) => {
            let frame = format!("RANGE BETWEEN {} PRECEDING AND CURRENT ROW", interval(ms));
            let (back, otherwise) = (format!("lag({name}, {n}) {over}"), default.unwrap_or("NULL"));
            let theirs = format!("CASE WHEN ts - lag(ts, {n}) {over} <= {ms} THEN {back} ELSE {otherwise} END");
            Call { ours: format!("LAG({name}, {n}{argument}) OVER ({by}ORDER BY ts {frame})"), theirs, kind }
        }
    }
}

/// The first rows of windows.
pub fn top(r: &mut Random, from: &Relation) -> Step {
    let from = &renamed(from);
    let [function, assigned] = assigned(r, from);
    let mut by = from.keys(r);
    let columns: Vec<Column> = from.columns.iter().filter(|c| c.name != "ts").cloned().collect();
    let names: Vec<&str> = columns.iter().map(|c| c.name.as_str()).collect();
    let names = names.join(", ");
    let [ours, theirs] = order(r, from);
    let n = r.between(1, 3);
    let filter = filter(r, from);
    let mut theirs_by = by.clone();
    by.extend(["window_start".into(), "window_end".into()]);
    theirs_by.extend(["wstart".into(), "wend".into()]);
    let mut all = columns;
    all.extend([column("rn", Kind::Whole), column("ts", Kind::Time)]);
    Step {
        ours: format!(
            "SELECT {names}, rn, wt AS ts FROM (
    SELECT {names}, window_time AS wt, ROW_NUMBER() OVER (PARTITION BY {} ORDER BY {ours}) AS rn FROM {function}{filter}
  ) WHERE rn <= {n}",
            by.join(", ")
        ),
        theirs: format!(
            "SELECT {names}, rn, wend - 1 AS ts FROM (
    SELECT *, row_number() OVER (PARTITION BY {} ORDER BY {theirs}, part, off) AS rn FROM {assigned}{filter}
  ) WHERE rn <= {n}",
            theirs_by.join(", ")
        ),
        columns: all,
        ordered: false,
        late: false,
    }
}

/// Now and then a WHERE.
fn filter(r: &mut Random, from: &Relation) -> String {
    if r.chance(25) { format!(" WHERE {}", condition(r, &from.columns)) } else { String::new() }
}

/// The input without the names that the step adds.
fn renamed(from: &Relation) -> Relation {
    let mut from = from.clone();
    from.columns.retain(|c| !["ws", "we", "rn"].contains(&c.name.as_str()));
    from
}
