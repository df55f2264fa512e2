//! The examples of window functions of Flink's documentation, as it prints them: assignment, sums, first rows,
//! deduplication, grouping sets. Not yet: window joins.

use highwater_tests::{Setting, rows, run, shared};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Write;

/// A documented table.
struct Example {
    file: String,
    statements: Vec<String>,
    columns: Vec<String>,
    rows: Vec<Vec<Option<String>>>,
}

fn examples() -> Option<Vec<Example>> {
    let text = std::fs::read_to_string(shared("flink_docs")?.join("examples.json")).unwrap();
    let document: Value = serde_json::from_str(&text).unwrap();
    let texts = |v: &Value| v.as_array().unwrap().iter().map(|t| t.as_str().map(str::to_owned)).collect::<Vec<_>>();
    let all = document["cases"].as_array().unwrap().iter().map(|case| Example {
        file: case["file"].as_str().unwrap().into(),
        statements: texts(&case["sql"]).into_iter().flatten().collect(),
        columns: texts(&case["columns"]).into_iter().flatten().collect(),
        rows: case["rows"].as_array().unwrap().iter().map(texts).collect(),
    });
    Some(all.collect())
}

/// The statement is one that this version runs: window functions over the table itself.
fn supported(example: &Example) -> bool {
    let sql = example.statements[0].to_uppercase();
    ["TUMBLE(", "HOP(", "CUMULATE(", "SESSION("].iter().any(|f| sql.contains(f))
        && !sql.contains("JOIN")
        && !sql.contains("EXISTS")
        && !sql.contains(" IN (")
}

/// The deduplication page prints its bids without the supplier that its statement reads: the statement without it.
fn without_supplier(mut example: Example) -> Example {
    let Some(at) = example.columns.iter().position(|c| c == "supplier_id") else { return example };
    if example.file == "window-deduplication.md" {
        example.statements.iter_mut().for_each(|s| *s = s.replace(" supplier_id,", ""));
        example.columns.remove(at);
        example.rows.iter_mut().for_each(|r| drop(r.remove(at)));
    }
    example
}

fn sql_type(column: &str) -> &'static str {
    match column {
        "price" | "total_price" => "DECIMAL(38, 2)",
        "cnt" | "rownum" => "BIGINT",
        "window_start" | "window_end" | "window_time" | "bidtime" => "TIMESTAMP(3)",
        _ => "STRING",
    }
}

/// `2020-04-15 08:05` in the documentation is `2020-04-15 08:05:00` here.
fn documented(cell: &Option<String>) -> String {
    match cell {
        None => "NULL".into(),
        Some(t) if t.len() == 16 && t.starts_with("2020-") => format!("{t}:00"),
        Some(t) => t.clone(),
    }
}

#[test]
fn window_functions_give_the_documented_rows() {
    let Some(examples) = examples() else { return };
    let mut checked: BTreeMap<&str, usize> = BTreeMap::new();
    let examples: Vec<Example> = examples.into_iter().map(without_supplier).collect();
    for example in examples.iter().filter(|e| supported(e)) {
        let is_input = |e: &&Example| e.file == example.file && e.statements[0] == "SELECT * FROM Bid";
        let Some(bids) = examples.iter().find(is_input) else { continue };
        let folder = tempfile::tempdir().unwrap();
        let mut file = std::fs::File::create(folder.path().join("bid.csv")).unwrap();
        for row in &bids.rows {
            let cells: Vec<String> = row.iter().map(documented).collect();
            writeln!(file, "{}", cells.join(",")).unwrap();
        }
        let declared: Vec<String> = bids.columns.iter().map(|c| format!("{c} {}", input_type(c))).collect();
        let out: Vec<String> = example.columns.iter().map(|c| format!("`{c}` {}", out_type(example, c))).collect();
        // Flink judges a late row of a session by what is still open; here its partition alone decides, and the
        // documented bids of sessions are a minute out of order.
        let delay = if example.file.contains("SESSION") { "INTERVAL '2' MINUTE" } else { "INTERVAL '1' SECOND" };
        for statement in &example.statements {
            let text = format!(
                "CREATE TABLE Bid ({}, WATERMARK FOR bidtime AS bidtime - {delay})
                 WITH ('connector' = 'filesystem', 'path' = '{}', 'format' = 'csv');
                 CREATE TABLE answer ({}) WITH ('connector' = 'table', 'max-rows' = '1000');
                 INSERT INTO answer {statement};",
                declared.join(", "),
                folder.path().display(),
                out.join(", "),
            );
            for workers in [1, 2] {
                let outcome = run(&text, &[], Setting::of_workers(workers))
                    .unwrap_or_else(|e| panic!("{}:\n{statement}\n{e}", example.file));
                let mut expected: Vec<String> =
                    example.rows.iter().map(|r| r.iter().map(documented).collect::<Vec<_>>().join("|")).collect();
                expected.sort();
                assert_eq!(rows(outcome.table("answer").unwrap()), expected, "{}:\n{statement}", example.file);
            }
            *checked.entry(&example.file).or_default() += 1;
        }
    }
    let expected = [
        ("window-agg.md", 4),
        ("window-deduplication.md", 1),
        ("window-topn.md", 2),
        ("window-tvf.md", 12),
        ("window-tvf.md (1.20) SESSION", 2),
    ];
    assert_eq!(checked, BTreeMap::from(expected), "the statements that run");
}

fn input_type(column: &str) -> &'static str {
    if column == "price" { "DECIMAL(10, 2)" } else { sql_type(column) }
}

/// A column of the input keeps its type, a sum is wider.
fn out_type(example: &Example, column: &str) -> &'static str {
    if example.statements[0].contains("SUM(") { sql_type(column) } else { input_type(column) }
}
