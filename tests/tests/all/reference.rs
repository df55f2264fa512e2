//! `docs/sql.md` says what the code does: functions, options, settings and types are those of the code, and every example
//! plans.
//!
//! A name counts as documented where it stands in backticks in the first column of a table of the section.

use highwater_sql::{Overrides, SETTING_KEYS, TABLE_OPTIONS, function_names, plan};
use highwater_tests::repository;
use std::collections::BTreeSet;

fn text() -> String {
    std::fs::read_to_string(repository().join("docs/sql.md")).unwrap()
}

/// The part of the page under a heading, up to the next heading of the same or a higher level.
fn section<'t>(text: &'t str, heading: &str) -> &'t str {
    let start =
        text.find(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("docs/sql.md has no heading {heading:?}"));
    let body = &text[start + heading.len() + 2..];
    let level = heading.bytes().take_while(|b| *b == b'#').count();
    let ends = |line: &str| {
        let n = line.bytes().take_while(|b| *b == b'#').count();
        (1..=level).contains(&n)
    };
    let mut at = 0;
    for line in body.split_inclusive('\n') {
        if ends(line) {
            break;
        }
        at += line.len();
    }
    &body[..at]
}

/// The names in backticks in the first column of the tables of a text.
fn names(text: &str) -> BTreeSet<String> {
    let rows = text.lines().filter_map(|l| l.strip_prefix('|')).filter_map(|l| l.split('|').next());
    rows.flat_map(|cell| cell.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
}

/// The names of functions: `ROUND(x, n)` is round.
fn functions(text: &str) -> BTreeSet<String> {
    let word = |n: &String| n.split('(').next().unwrap_or_default().trim().to_lowercase();
    names(text).iter().map(word).collect()
}

fn same(what: &str, documented: &BTreeSet<String>, real: &BTreeSet<String>) {
    let missing: Vec<_> = real.difference(documented).collect();
    let stale: Vec<_> = documented.difference(real).collect();
    assert!(
        missing.is_empty() && stale.is_empty(),
        "docs/sql.md, {what}: missing {missing:?}, not in the code {stale:?}"
    );
}

#[test]
fn functions_are_those_of_the_registry() {
    let text = text();
    let (scalars, aggregates) = function_names();
    same(
        "scalar functions",
        &functions(section(&text, "## Scalar functions")),
        &scalars.into_iter().flatten().collect(),
    );
    same("aggregates", &functions(section(&text, "## Aggregates")), &aggregates.into_iter().collect());
}

#[test]
fn options_are_those_that_the_connectors_read() {
    let text = text();
    let connectors: BTreeSet<&str> =
        highwater_connectors::SOURCES.into_iter().chain(highwater_connectors::SINKS).collect();
    for connector in connectors {
        let documented = names(section(&text, &format!("### {connector}")));
        let shared = match connector {
            "filesystem" | "http" | "kafka" => names(section(&text, "### Formats")),
            _ => BTreeSet::new(),
        };
        let real: BTreeSet<String> =
            highwater_connectors::option_names(connector).into_iter().map(str::to_owned).collect();
        let documented = documented.union(&shared).cloned().collect();
        same(&format!("options of {connector}"), &documented, &real);
    }
    let own = |all: &[&str]| all.iter().map(|n| (*n).to_owned()).collect::<BTreeSet<_>>();
    same("options of every table", &names(section(&text, "### Every table")), &own(&TABLE_OPTIONS));
    same("settings", &names(section(&text, "## Settings")), &own(&SETTING_KEYS));
}

#[test]
fn every_type_is_one() {
    let text = text();
    let types = names(section(&text, "## Types"));
    assert!(types.len() > 10, "{types:?}");
    for t in types {
        let job = format!(
            "CREATE TABLE s (ts TIMESTAMP(3), x {t}, WATERMARK FOR ts AS ts)
             WITH ('connector' = 'filesystem', 'path' = 's', 'format' = 'csv');
             CREATE TABLE r (x {t}) WITH ('connector' = 'blackhole');
             INSERT INTO r SELECT x FROM s;"
        );
        planned(&job, &t);
    }
}

fn planned(job: &str, what: &str) {
    if let Err(all) = plan("sql.md", job, &Overrides::default()) {
        let all: String = all.iter().map(|d| format!("{d}\n")).collect();
        panic!("docs/sql.md, {what}:\n{all}\n{job}");
    }
}

/// A block is statements over the tables that the page declares first, or a query.
#[test]
fn every_example_plans() {
    let text = text();
    let blocks: Vec<&str> = text.split("\n```sql\n").skip(1).filter_map(|b| b.split("\n```").next()).collect();
    let tables = blocks.first().expect("the page begins with tables");
    assert!(blocks.len() > 15, "{} examples", blocks.len());
    for block in &blocks[1..] {
        let query = block.trim().trim_end_matches(';');
        let first = query.lines().map(str::trim).find(|l| !l.starts_with("--")).unwrap_or_default();
        let is_query = first.starts_with("SELECT") || first.starts_with("WITH");
        let job = match () {
            () if is_query => format!("{tables}\n{}", into_a_sink(query)),
            () if block.contains("INSERT INTO") => format!("{tables}\n{block}"),
            () => format!("{tables}\n{block}\nINSERT INTO ids SELECT payment_id FROM payments;"),
        };
        planned(&job, &format!("the example\n{block}\n"));
    }
}

/// The query as part of a job. Its sink takes a constant beside it, so that no example needs a sink of its own.
fn into_a_sink(query: &str) -> String {
    format!("CREATE VIEW example AS {query};\nINSERT INTO ids SELECT CAST(1 AS BIGINT) FROM example;")
}
