//! Bad input: every text here is refused, at the place and with the words that its case gives. A `hint:` line is compared
//! where the case has one.

use crate::script::{cases, report};
use highwater_sql::{Diagnostic, Overrides, plan};

const TABLES: &str = "\
CREATE TABLE payments (ts TIMESTAMP(3), card BIGINT, merchant BIGINT, device BIGINT, country STRING, amount DECIMAL(12, 2), n INT, big BIGINT, dbl DOUBLE, flag BOOLEAN, WATERMARK FOR ts AS ts - INTERVAL '5' SECOND) WITH ('connector' = 'filesystem', 'path' = 'p', 'format' = 'parquet');
CREATE TABLE out1 (c BIGINT) WITH ('connector' = 'blackhole');
CREATE TABLE out2 (a BIGINT, b DECIMAL(12, 2)) WITH ('connector' = 'blackhole');
CREATE TABLE now1 (c BIGINT) WITH ('connector' = 'blackhole', 'emit' = 'arrival');
";

fn shown(d: &Diagnostic, skip: u64, hint: bool) -> String {
    let hint = d.hint.as_ref().filter(|_| hint).map_or(String::new(), |h| format!("\n  hint: {h}"));
    format!("{}:{}: {}{hint}", d.line.saturating_sub(skip), d.column, d.message)
}

fn errors(text: &str, hint: bool) -> String {
    // a `-- bare` text stands alone: no tables before it
    let (whole, skip) = if text.starts_with("-- bare") {
        (text.to_string(), 0)
    } else {
        (format!("{TABLES}{text}"), TABLES.lines().count() as u64)
    };
    match plan("job.sql", &whole, &Overrides::default()) {
        Ok(_) => "no error".into(),
        Err(all) => all.iter().map(|d| shown(d, skip, hint)).collect::<Vec<_>>().join("\n"),
    }
}

fn check(script: &str) {
    let mut failed = Vec::new();
    for case in cases(script) {
        let found = errors(case.text, case.expected.contains("\n  hint: "));
        if found != case.expected {
            failed
                .push(format!("# {}\n{}\n---- expected\n{}\n---- found\n{found}", case.name, case.text, case.expected));
        }
    }
    report(failed);
}

#[test]
fn statements() {
    check(include_str!("errors/statements.txt"));
}

#[test]
fn tables() {
    check(include_str!("errors/tables.txt"));
}

#[test]
fn queries() {
    check(include_str!("errors/queries.txt"));
}

#[test]
fn windows() {
    check(include_str!("errors/windows.txt"));
}

#[test]
fn inserts() {
    check(include_str!("errors/inserts.txt"));
}

/// What people write by mistake, in hundreds.
#[test]
fn mistakes() {
    check(include_str!("errors/mistakes.txt"));
}

#[test]
fn an_error_shows_its_line_and_a_marker() {
    let text = "CREATE TABLE o (c BIGINT) WITH ('connector' = 'blackhole');\nINSERT INTO o\n  SELECT crd FROM p;\n";
    let all = plan("jobs/a.sql", text, &Overrides::default()).unwrap_err();
    let expected = "\
jobs/a.sql:3:19: error: there is no table or view p; the nearest is o
   3 |   SELECT crd FROM p;
     |                   ^";
    assert_eq!(all.iter().map(|d| d.to_string()).collect::<Vec<_>>(), [expected]);
}

/// A file of many mistakes, and all of them as they are shown.
#[test]
fn all_errors_of_a_file_are_found_in_one_go() {
    let all = plan("jobs/all.sql", include_str!("errors/all.sql"), &Overrides::default()).unwrap_err();
    let found: String = all.iter().map(|d| format!("{d}\n")).collect();
    assert_eq!(found, include_str!("errors/all.txt"), "found\n{found}");
}
