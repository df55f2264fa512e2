//! Graphs of queries, as `render` shows them. Expected graphs are written by hand.

use crate::script::{cases, report};
use highwater_sql::{Overrides, plan, render};

const TABLES: &str = "\
CREATE TABLE p (ts TIMESTAMP(3), card BIGINT, merchant BIGINT, device BIGINT, country STRING, amount DECIMAL(12, 2), n INT, WATERMARK FOR ts AS ts - INTERVAL '5' SECOND) WITH ('connector' = 'filesystem', 'path' = 'p', 'format' = 'parquet');
CREATE TABLE one (c BIGINT) WITH ('connector' = 'blackhole');
CREATE TABLE two (a BIGINT, c BIGINT) WITH ('connector' = 'blackhole');
CREATE TABLE minutes (s TIMESTAMP(3), k BIGINT, c BIGINT) WITH ('connector' = 'blackhole');
CREATE TABLE now2 (a BIGINT, c BIGINT) WITH ('connector' = 'blackhole', 'emit' = 'arrival');
CREATE TABLE now3 (a BIGINT, c BIGINT, late BOOLEAN) WITH ('connector' = 'blackhole', 'emit' = 'arrival');
";

fn check(script: &str) {
    let mut failed = Vec::new();
    for case in cases(script) {
        let found = match plan("job.sql", &format!("{TABLES}{}", case.text), &Overrides::default()) {
            Ok(job) => render(&job.graph.nodes).trim().to_string(),
            Err(all) => all.iter().map(|d| format!("{d}\n")).collect(),
        };
        if found != case.expected {
            failed.push(format!("# {}\n---- expected\n{}\n---- found\n{found}", case.name, case.expected));
        }
    }
    report(failed);
}

#[test]
fn stateless_queries() {
    check(include_str!("plans/stateless.txt"));
}

#[test]
fn windows() {
    check(include_str!("plans/windows.txt"));
}

#[test]
fn trailing_frames() {
    check(include_str!("plans/over.txt"));
}

#[test]
fn sharing() {
    check(include_str!("plans/sharing.txt"));
}
