//! Types of expressions, as Flink gives them (its `LogicalTypeMerging`, its documentation of functions; literals of
//! integers are INT).

use highwater_engine::graph::Step;
use highwater_sql::{Overrides, plan, sql_type};

/// The type that `INSERT INTO` sees: it is named when it does not fit the sink.
fn type_of(expression: &str) -> String {
    let tables = "\
CREATE TABLE t (ts TIMESTAMP(3), ltz TIMESTAMP_LTZ(3), tiny TINYINT, small SMALLINT, n INT, big BIGINT, amount DECIMAL(12, 2), rate DECIMAL(9, 6), dbl DOUBLE, s STRING, b BOOLEAN, d DATE, raw BYTES, card BIGINT, WATERMARK FOR ts AS ts) WITH ('connector' = 'filesystem', 'path' = 'p', 'format' = 'parquet');
CREATE TABLE o (x BIGINT) WITH ('connector' = 'blackhole');
";
    let text = format!(
        "{tables}CREATE VIEW v AS SELECT {expression} AS x FROM t WINDOW w AS (PARTITION BY card ORDER BY ts RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW);
INSERT INTO o SELECT x FROM v;"
    );
    match plan("t.sql", &text, &Overrides::default()) {
        Ok(job) => {
            let sink = job.graph.nodes.iter().find(|n| matches!(n.step, Step::Sink(_))).unwrap();
            sql_type(sink.schema.field(0).data_type())
        }
        Err(all) => {
            let m = &all[0].message;
            match m.split_once("the query gives ") {
                Some((_, t)) => t.trim_end_matches(" (x)").to_string(),
                None => format!("error: {m}"),
            }
        }
    }
}

#[test]
fn expressions_have_flinks_types() {
    let table = include_str!("types.txt");
    let mut failed = Vec::new();
    for line in table.lines().filter(|l| !l.trim().is_empty() && !l.starts_with('#')) {
        let (expression, expected) = line.rsplit_once("  ").unwrap_or_else(|| panic!("no type in {line}"));
        let found = type_of(expression.trim());
        // a type that INSERT widens to the sink's shows as the sink's
        let widened = ["TINYINT", "SMALLINT", "INT", "NULL"].contains(&expected.trim()) && found == "BIGINT";
        if found != expected.trim() && !widened {
            failed.push(format!("{} is {found}, not {}", expression.trim(), expected.trim()));
        }
    }
    crate::script::report(failed);
}
