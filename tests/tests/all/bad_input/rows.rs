//! Rows that can't be used: they become rows of `t$errors` with their place, and the others are right.

use highwater_jobs::job::Outcome;
use highwater_tests::{Setting, rows, run};
use std::io::Write;

const HEAD: &str = "
CREATE TABLE p (ts TIMESTAMP(3), card BIGINT, n INT, amount DECIMAL(6, 2), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'filesystem', 'path' = '{path}', 'format' = 'csv'{options});
CREATE TABLE bad (source_partition STRING, source_position BIGINT, reason STRING, watermark TIMESTAMP(3))
WITH ('connector' = 'table', 'max-rows' = '10000');
INSERT INTO bad SELECT `partition`, `position`, reason, watermark FROM `p$errors`;
";

/// Runs a query over a CSV file.
fn run_on(csv: &[u8], options: &str, query: &str) -> Outcome {
    let mut file = tempfile::Builder::new().suffix(".csv").tempfile().unwrap();
    file.write_all(csv).unwrap();
    let head = HEAD.replace("{path}", &file.path().display().to_string()).replace("{options}", options);
    let first = run(&format!("{head}{query}"), &[], Setting::of_workers(1)).unwrap_or_else(|e| panic!("{e}"));
    let second = run(&format!("{head}{query}"), &[], Setting { workers: 2, batch_rows: 3, epoch_rows: 5 }).unwrap();
    assert_eq!(rows(first.table("good").unwrap()), rows(second.table("good").unwrap()));
    assert_eq!(rows(first.table("bad").unwrap()), rows(second.table("bad").unwrap()));
    first
}

const GOOD: &str = "CREATE TABLE good (ts TIMESTAMP(3), card BIGINT, n INT, amount DECIMAL(6, 2))
WITH ('connector' = 'table', 'max-rows' = '10000');
INSERT INTO good SELECT ts, card, n, amount FROM p;";

/// One good row, the bad one, one good row: the bad one is the only one of `p$errors`, with these words.
fn one_bad(line: &[u8], options: &str, says: &[&str]) {
    let mut csv = b"2026-01-01 00:00:10,1,1,1.00\n".to_vec();
    csv.extend_from_slice(line);
    csv.extend_from_slice(b"\n2026-01-01 00:00:11,2,2,2.00\n");
    let outcome = run_on(&csv, options, GOOD);
    let good = ["2026-01-01 00:00:10|1|1|1.00", "2026-01-01 00:00:11|2|2|2.00"];
    assert_eq!(rows(outcome.table("good").unwrap()), good, "{}", String::from_utf8_lossy(line));
    let bad = rows(outcome.table("bad").unwrap());
    assert_eq!(bad.len(), 1, "{bad:?}");
    for words in says {
        assert!(bad[0].contains(words), "expected {words:?} in {:?}", bad[0]);
    }
    // The watermark before the row is that of the first one: 10 s − 5 s + 1 ms.
    assert!(bad[0].ends_with("|2026-01-01 00:00:05.001"), "{:?}", bad[0]);
    assert_eq!((outcome.report.sources[0].rows, outcome.report.sources[0].errors), (3, 1));
}

#[test]
fn records_that_do_not_decode() {
    one_bad(b"2026-01-01 00:00:10,1,1", "", &["|1|", "line 2", "3"]);
    one_bad(b"2026-01-01 00:00:10,1,1,1.00,extra", "", &["|1|", "line 2", "5"]);
    one_bad(b"2026-01-01 00:00:10,one,1,1.00", "", &["|1|", "line 2", "card", "one"]);
    one_bad(b"2026-01-01 00:00:10,1,3000000000,1.00", "", &["line 2", "n", "3000000000"]);
    one_bad(b"2026-01-01 00:00:10,1,1,12345.67", "", &["line 2", "amount", "12345.67"]);
    one_bad(b"2026-01-01 00:00:10,1,1,1.234", "", &["line 2", "amount", "1.234"]);
    one_bad(b"2026-13-01 00:00:10,1,1,1.00", "", &["line 2", "ts", "2026-13-01"]);
    one_bad(b"2026-01-01 00:00:10,\xff\xfe,1,1.00", "", &["line 2", "card"]);
}

#[test]
fn event_times_that_cannot_be() {
    one_bad(b",1,1,1.00", "", &["ts", "NULL"]);
    let limits = ", 'scan.event-time.min' = '2026-01-01', 'scan.event-time.max' = '2026-12-31'";
    one_bad(b"2099-01-01 00:00:00,1,1,1.00", limits, &["scan.event-time.max"]);
    one_bad(b"2025-12-31 23:59:59,1,1,1.00", limits, &["scan.event-time.min"]);
    one_bad(b"1969-12-31 23:59:59,1,1,1.00", "", &["scan.event-time.min"]);
}

#[test]
fn invalid_utf8_in_a_string_is_a_bad_row() {
    let mut file = tempfile::Builder::new().suffix(".csv").tempfile().unwrap();
    file.write_all(b"2026-01-01 00:00:10,ok\n2026-01-01 00:00:11,\xff\xfe\n").unwrap();
    let text = format!(
        "CREATE TABLE p (ts TIMESTAMP(3), s STRING, WATERMARK FOR ts AS ts)
         WITH ('connector' = 'filesystem', 'path' = '{}', 'format' = 'csv');
         CREATE TABLE good (s STRING) WITH ('connector' = 'table');
         CREATE TABLE bad (reason STRING, raw BYTES) WITH ('connector' = 'table');
         INSERT INTO good SELECT s FROM p;
         INSERT INTO bad SELECT reason, raw FROM `p$errors`;",
        file.path().display()
    );
    let outcome = run(&text, &[], Setting::of_workers(1)).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(rows(outcome.table("good").unwrap()), ["ok"]);
    let bad = rows(outcome.table("bad").unwrap());
    assert!(bad.len() == 1 && bad[0].contains("line 2") && bad[0].contains("UTF-8"), "{bad:?}");
}

#[test]
fn overflow_of_a_rows_expression_is_that_rows() {
    let query = "CREATE TABLE good (card BIGINT, x INT, y DECIMAL(6, 2)) WITH ('connector' = 'table');
        INSERT INTO good SELECT card, n * 2, CAST(amount * 10 AS DECIMAL(6, 2)) FROM p;";
    let csv = b"2026-01-01 00:00:10,1,7,1.00\n\
                2026-01-01 00:00:10,2,2000000000,1.00\n\
                2026-01-01 00:00:10,3,7,9999.99\n\
                2026-01-01 00:00:10,4,8,999.00\n";
    let outcome = run_on(csv, "", query);
    assert_eq!(rows(outcome.table("good").unwrap()), ["1|14|10.00", "4|16|9990.00"]);
    let bad = rows(outcome.table("bad").unwrap());
    assert_eq!(bad.len(), 2, "{bad:?}");
    assert!(bad[0].contains("|1|") && bad[0].contains("INSERT INTO good"), "{bad:?}");
    assert!(bad[1].contains("|2|") && bad[1].contains("INSERT INTO good"), "{bad:?}");
}

#[test]
fn a_row_that_fails_in_two_queries_is_two_rows() {
    let query = "CREATE TABLE good (x INT) WITH ('connector' = 'table');
        CREATE TABLE other (x INT) WITH ('connector' = 'table');
        INSERT INTO good SELECT n * 2 FROM p;
        INSERT INTO other SELECT n * 3 FROM p;";
    let outcome = run_on(b"2026-01-01 00:00:10,1,2000000000,1.00\n", "", query);
    let bad = rows(outcome.table("bad").unwrap());
    assert_eq!(bad.len(), 2, "{bad:?}");
    assert!(bad.iter().any(|b| b.contains("INSERT INTO good")), "{bad:?}");
    assert!(bad.iter().any(|b| b.contains("INSERT INTO other")), "{bad:?}");
}

#[test]
fn a_wrong_type_in_row_one_million_is_found_there() {
    let mut csv = Vec::new();
    for i in 0..1_000_001 {
        let n = if i == 999_999 { "many" } else { "1" };
        writeln!(csv, "2026-01-01 00:00:10,{i},{n},1.00").unwrap();
    }
    let mut file = tempfile::Builder::new().suffix(".csv").tempfile().unwrap();
    file.write_all(&csv).unwrap();
    let head = HEAD.replace("{path}", &file.path().display().to_string()).replace("{options}", "");
    let text = format!(
        "{head} CREATE TABLE good (c BIGINT) WITH ('connector' = 'table');
         INSERT INTO good SELECT COUNT(*) FROM TABLE(TUMBLE(TABLE p, DESCRIPTOR(ts), INTERVAL '1' DAY))
         GROUP BY window_start, window_end;
         CREATE TABLE ns (n INT) WITH ('connector' = 'blackhole');
         INSERT INTO ns SELECT n FROM p;"
    );
    for workers in [1, 2] {
        let outcome = run(&text, &[], Setting::of_workers(workers)).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(rows(outcome.table("good").unwrap()), ["1000000"]);
        let bad = rows(outcome.table("bad").unwrap());
        assert_eq!(bad.len(), 1, "{bad:?}");
        for words in ["|999999|", "line 1000000", "many"] {
            assert!(bad[0].contains(words), "expected {words:?} in {:?}", bad[0]);
        }
    }
}

/// What a job that fails says.
fn fails(csv: &str, query: &str) -> String {
    let mut file = tempfile::Builder::new().suffix(".csv").tempfile().unwrap();
    file.write_all(csv.as_bytes()).unwrap();
    let head = HEAD.replace("{path}", &file.path().display().to_string()).replace("{options}", "");
    let error = run(&format!("{head}{query}"), &[], Setting::of_workers(2)).unwrap_err();
    assert_eq!(error.exit_code(), 1, "{error}");
    error.to_string()
}

#[test]
fn overflow_of_an_aggregate_halts_the_job_and_names_the_cure() {
    let csv = "2026-01-01 00:00:10,7,2000000000,1.00\n2026-01-01 00:00:11,7,2000000000,1.00\n";
    let window = "CREATE TABLE good (card BIGINT, x INT) WITH ('connector' = 'table');
        INSERT INTO good SELECT card, SUM(n) FROM TABLE(TUMBLE(TABLE p, DESCRIPTOR(ts), INTERVAL '1' MINUTE))
        GROUP BY window_start, window_end, card;";
    let over = "CREATE TABLE good (card BIGINT, x INT) WITH ('connector' = 'table');
        INSERT INTO good SELECT card, SUM(n) OVER (PARTITION BY card ORDER BY ts
        RANGE BETWEEN INTERVAL '1' MINUTE PRECEDING AND CURRENT ROW) FROM p;";
    for query in [window, over] {
        let error = fails(csv, query);
        for words in ["SUM", "7", "CAST"] {
            assert!(error.contains(words), "expected {words:?} in: {error}");
        }
    }
}
