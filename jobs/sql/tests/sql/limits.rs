//! Long and deep texts end in an answer, never in a stack overflow or a hang.

use highwater_sql::{Overrides, plan};

const TABLES: &str = "\
CREATE TABLE t (ts TIMESTAMP(3), n INT, s STRING, WATERMARK FOR ts AS ts) WITH ('connector' = 'filesystem', 'path' = 'p', 'format' = 'parquet');
CREATE TABLE o (n INT) WITH ('connector' = 'blackhole');
";

/// The errors of `INSERT INTO o {query}`; empty if it plans.
fn errors(query: &str) -> Vec<String> {
    let text = format!("{TABLES}INSERT INTO o {query};");
    match plan("t.sql", &text, &Overrides::default()) {
        Ok(_) => Vec::new(),
        Err(all) => all.iter().map(|d| format!("{}:{}: {}", d.line, d.column, d.message)).collect(),
    }
}

#[test]
fn a_chain_of_ten_thousand_operators_is_refused() {
    let found = errors(&format!("SELECT n{} FROM t", " + 1".repeat(10_000)));
    // 300 operators are let through: the 301st stands behind `INSERT INTO o SELECT n` and 300 times ` + 1`
    assert_eq!(found, ["3:1224: more than 300 operators in one expression"]);
    assert_eq!(errors(&format!("SELECT n{} FROM t", " + 1".repeat(100))), [""; 0]);
    let found = errors(&format!("SELECT n FROM t WHERE n = 0{}", " OR n = 1".repeat(10_000)));
    assert_eq!(found.len(), 1);
}

#[test]
fn a_long_chain_of_anything_is_refused() {
    let found = errors(&format!("SELECT n FROM t WHERE n{}", " = n".repeat(250_000)));
    assert!(found[0].ends_with("more than 10000 tokens without a comma"), "{found:?}");
    let found = errors(&format!("SELECT {} n FROM t", "- ".repeat(250_000)));
    assert!(found[0].ends_with("more than 300 operators in one expression"), "{found:?}");
    let found = errors(&vec!["SELECT n FROM t"; 5_000].join(" UNION ALL "));
    assert!(found[0].ends_with("more than 300 set operations in one query"), "{found:?}");
}

#[test]
fn deep_nesting_is_refused_at_its_place() {
    let found = errors(&format!("SELECT {}n{} FROM t", "(".repeat(5_000), ")".repeat(5_000)));
    assert_eq!(found, ["3:82: more than 60 nested parentheses"]);
    let found = errors(&format!("{}SELECT n FROM t{}", "SELECT n FROM (".repeat(1_000), ")".repeat(1_000)));
    assert!(found[0].ends_with("more than 60 nested parentheses"), "{found:?}");
    assert_eq!(errors(&format!("SELECT {}n{} FROM t", "(".repeat(50), ")".repeat(50))), [""; 0]);
    let deep = format!("SELECT {}n{} FROM t", "CASE WHEN n > 1 THEN ".repeat(2_000), " END".repeat(2_000));
    assert!(!errors(&deep).is_empty());
}

#[test]
fn a_text_of_one_mebibyte_is_planned() {
    assert_eq!(errors(&format!("SELECT n /* {} */ FROM t", "x".repeat(1 << 20))), [""; 0]);
    let list = (0..21_000).map(|i| format!("{i:050}")).collect::<Vec<_>>().join(", ");
    assert!(list.len() > 1 << 20);
    assert_eq!(errors(&format!("SELECT n FROM t WHERE n IN ({list})")), [""; 0]);
    let found = errors(&format!("SELECT n FROM t -- {}", "x".repeat(9 << 20)));
    assert!(found[0].contains("the limit is 8388608"), "{found:?}");
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    let found = errors("SELECT n\0 FROM t");
    assert_eq!(found, ["3:1: a zero byte: this is not text"]);
}
