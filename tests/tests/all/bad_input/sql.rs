//! Texts that are refused, each with its place.

use highwater_engine::expr::Expr;
use highwater_engine::graph::{MapSpec, Step};
use highwater_jobs::job;
use highwater_tests::overrides;

const PAYMENTS: &str = "CREATE TABLE payments (ts TIMESTAMP(3), card BIGINT, n INT, amount DECIMAL(12, 2), \
                        status STRING, WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)\n\
                        WITH ('connector' = 'filesystem', 'path' = 'nowhere', 'format' = 'csv');\n\
                        CREATE TABLE out (a BIGINT) WITH ('connector' = 'blackhole');\n";

/// The job is refused with all of these words; the text in question begins on line 4.
fn refused(query: &str, says: &[&str]) {
    refused_text(&format!("{PAYMENTS}{query}"), says);
}

fn refused_text(text: &str, says: &[&str]) {
    let error = match job::plan("bad.sql", text, &overrides(&[]).unwrap()) {
        Err(error) => error,
        Ok(_) => panic!("accepted: {text}"),
    };
    assert_eq!(error.exit_code(), 2);
    let shown = error.to_string();
    for words in says {
        // Functions are shown as written or as registered: case says nothing.
        assert!(shown.to_lowercase().contains(&words.to_lowercase()), "expected {words:?} in:\n{shown}");
    }
}

#[test]
fn unknown_names_show_the_nearest() {
    refused("INSERT INTO out SELECT crad FROM payments;", &["bad.sql:4:24", "crad", "card"]);
    refused("INSERT INTO out SELECT card FROM paymets;", &["bad.sql:4:", "paymets", "payments"]);
    refused("INSERT INTO out SELECT CHARLENGTH(status) FROM payments;", &["bad.sql:4:", "CHARLENGTH", "CHAR_LENGTH"]);
    refused("INSERT INTO otu SELECT card FROM payments;", &["bad.sql:4:", "otu", "out"]);
    let option = PAYMENTS.replace("'format'", "'fromat'");
    refused_text(&format!("{option}INSERT INTO out SELECT card FROM payments;"), &["bad.sql:2:", "fromat", "format"]);
    let connector = PAYMENTS.replace("filesystem", "filesytem");
    refused_text(
        &format!("{connector}INSERT INTO out SELECT card FROM payments;"),
        &["bad.sql:2:", "filesytem", "filesystem"],
    );
    refused("SET 'pipeline.batchsize' = '1';", &["bad.sql:4:", "pipeline.batchsize", "pipeline.batch-size"]);
}

#[test]
fn windows_of_no_size_are_refused() {
    for size in ["INTERVAL '0' MINUTE", "INTERVAL '-1' MINUTE"] {
        let query = format!(
            "INSERT INTO out SELECT COUNT(*) FROM TABLE(TUMBLE(TABLE payments, DESCRIPTOR(ts), {size}))\n\
             GROUP BY window_start, window_end;"
        );
        refused(&query, &["bad.sql:4:", "TUMBLE"]);
        let query = format!(
            "INSERT INTO out SELECT COUNT(*) FROM TABLE(HOP(TABLE payments, DESCRIPTOR(ts), {size}, INTERVAL '5' MINUTE))\n\
             GROUP BY window_start, window_end;"
        );
        refused(&query, &["bad.sql:4:", "HOP"]);
    }
}

#[test]
fn a_table_has_one_watermark() {
    let text = PAYMENTS.replace(
        "WATERMARK FOR ts AS ts - INTERVAL '5' SECOND",
        "WATERMARK FOR ts AS ts - INTERVAL '5' SECOND, WATERMARK FOR ts AS ts",
    );
    refused_text(&format!("{text}INSERT INTO out SELECT card FROM payments;"), &["bad.sql:1:", "watermark"]);
}

#[test]
fn a_sink_of_another_schema_shows_the_cast() {
    refused("INSERT INTO out SELECT amount FROM payments;", &["bad.sql:4:", "DECIMAL(12, 2)", "BIGINT", "CAST"]);
    refused("INSERT INTO out SELECT card, n FROM payments;", &["bad.sql:4:", "gives 2", "card, n", "takes 1", "(a)"]);
}

#[test]
fn a_name_is_given_once() {
    let text = format!("{PAYMENTS}CREATE TABLE out (a BIGINT) WITH ('connector' = 'blackhole');");
    refused_text(&text, &["bad.sql:4:", "out"]);
}

#[test]
fn a_range_needs_a_unit() {
    refused(
        "INSERT INTO out SELECT COUNT(*) OVER (PARTITION BY card ORDER BY ts RANGE BETWEEN 3600 PRECEDING AND CURRENT \
         ROW) FROM payments;",
        &["bad.sql:4:", "INTERVAL"],
    );
}

#[test]
fn deep_and_long_expressions_are_refused_at_once() {
    let nested = format!("INSERT INTO out SELECT {}card{} FROM payments;", "(".repeat(5_000), ")".repeat(5_000));
    refused(&nested, &["bad.sql:4:"]);
    let chain = format!("INSERT INTO out SELECT card{} FROM payments;", " + 1".repeat(10_000));
    refused(&chain, &["bad.sql:4:", "operators"]);
    let unions = "SELECT card FROM payments UNION ALL ".repeat(10_000);
    refused(&format!("INSERT INTO out {unions}SELECT card FROM payments;"), &["bad.sql:4:"]);
    let not = format!("INSERT INTO out SELECT card FROM payments WHERE {}TRUE;", "NOT ".repeat(10_000));
    refused(&not, &["bad.sql:4:"]);
}

#[test]
fn a_megabyte_of_sql_is_planned() {
    let comment = format!("-- {}\n", "x".repeat(1 << 20));
    let text = format!("{comment}{PAYMENTS}INSERT INTO out SELECT card FROM payments;");
    let planned = job::plan("big.sql", &text, &overrides(&[]).unwrap());
    assert_eq!(planned.unwrap().graph.nodes.len(), 3, "a long comment is a comment");
    let list: Vec<String> = (100_000..250_000).map(|i| i.to_string()).collect();
    let text = format!("{PAYMENTS}INSERT INTO out SELECT card FROM payments WHERE card IN ({});", list.join(","));
    assert!(text.len() > 1_000_000);
    let planned = job::plan("big.sql", &text, &overrides(&[]).unwrap());
    let planned = planned.unwrap_or_else(|e| panic!("{}", e.to_string().chars().take(500).collect::<String>()));
    let filter = planned.graph.nodes.iter().find_map(|n| match &n.step {
        Step::Map(MapSpec { filter: Some(Expr::In { list, .. }), .. }) => Some(list.len()),
        _ => None,
    });
    assert_eq!(filter, Some(150_000), "every number of the list is in the plan");
}

#[test]
fn constant_overflow_is_refused() {
    refused(
        "INSERT INTO out SELECT card + 9223372036854775807 + 1 - 1 FROM payments WHERE 9223372036854775807 + 1 > 0;",
        &["bad.sql:4:", "9223372036854775807"],
    );
}

#[test]
fn state_that_cannot_be_bounded_is_refused_with_the_reason() {
    refused("INSERT INTO out SELECT COUNT(*) FROM payments GROUP BY card;", &["bad.sql:4:", "window"]);
    refused(
        "INSERT INTO out SELECT COUNT(*) OVER (PARTITION BY card ORDER BY ts RANGE BETWEEN UNBOUNDED PRECEDING AND \
         CURRENT ROW) FROM payments;",
        &["bad.sql:4:", "UNBOUNDED"],
    );
}

#[test]
fn syntax_errors_have_a_place() {
    refused("INSERT INTO out SELEC card FROM payments;", &["bad.sql:4:"]);
    refused("INSERT INTO out SELECT card FROM", &["bad.sql:4:"]);
    refused_text("", &["bad.sql:1:"]);
}
