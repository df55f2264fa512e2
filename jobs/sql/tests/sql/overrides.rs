//! What the command line changes without an edit of the text.

use highwater_engine::graph::{Emission, SinkSpec, SourceSpec, Step};
use highwater_sql::{Overrides, PlannedJob, plan};
use std::collections::BTreeMap;

const TEXT: &str = "\
SET 'pipeline.name' = 'from the text';
SET 'pipeline.batch-size' = '100';
CREATE TABLE t (ts TIMESTAMP(3), card BIGINT, WATERMARK FOR ts AS ts) WITH (
  'connector' = 'generator', 'number-of-rows' = '10', 'scan.event-time.min' = '2026-01-01', 'late' = 'discard');
CREATE TABLE o (card BIGINT, c BIGINT) WITH ('connector' = 'table', 'max-rows' = '5');
INSERT INTO o SELECT card, COUNT(*) OVER (PARTITION BY card ORDER BY ts RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW) FROM t;
";

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect()
}

fn planned(overrides: &Overrides) -> PlannedJob {
    plan("jobs/name.sql", TEXT, overrides).unwrap_or_else(|all| panic!("{all:?}"))
}

fn source(job: &PlannedJob) -> &SourceSpec {
    job.graph.nodes.iter().find_map(|n| if let Step::Source(s) = &n.step { Some(s) } else { None }).unwrap()
}

fn sink(job: &PlannedJob) -> &SinkSpec {
    job.graph.nodes.iter().find_map(|n| if let Step::Sink(s) = &n.step { Some(s) } else { None }).unwrap()
}

#[test]
fn flag_beats_text_beats_default() {
    let job = planned(&Overrides::default());
    assert_eq!((job.graph.name.as_str(), job.settings.batch_size), ("from the text", Some(100)));
    let defaults = map(&[("pipeline.name", "toml"), ("parallelism.default", "3")]);
    let set = map(&[("pipeline.batch-size", "7")]);
    let job = planned(&Overrides { set, defaults, ..Overrides::default() });
    assert_eq!(job.graph.name, "from the text");
    assert_eq!((job.settings.batch_size, job.settings.parallelism), (Some(7), Some(3)));
}

#[test]
fn an_option_is_replaced() {
    let tables = BTreeMap::from([("t".to_string(), map(&[("number-of-rows", "99")]))]);
    let job = planned(&Overrides { tables, ..Overrides::default() });
    assert_eq!(source(&job).options, map(&[("number-of-rows", "99")]));
}

#[test]
fn another_connector_drops_the_options_of_the_text_but_not_the_engines() {
    let tables = BTreeMap::from([("o".to_string(), map(&[("connector", "blackhole"), ("emit", "arrival")]))]);
    let job = planned(&Overrides { tables, ..Overrides::default() });
    assert_eq!((sink(&job).connector.as_str(), sink(&job).options.len(), sink(&job).arrival), ("blackhole", 0, true));
    let arrival = |n: &highwater_engine::graph::Node| matches!(&n.step, Step::Over(o) if matches!(o.emission, Emission::Arrival { late_horizon_ms: 3_600_000 }));
    assert!(job.graph.nodes.iter().any(arrival));
    assert_eq!(source(&job).time_min_ms, 1_767_225_600_000);
    assert!(job.tables.iter().any(|t| t.name == "t" && t.late_discarded && !t.errors_discarded && t.read));
}

#[test]
fn a_table_that_does_not_exist_is_named() {
    let tables = BTreeMap::from([("tt".to_string(), map(&[("connector", "x")]))]);
    let all = plan("a.sql", TEXT, &Overrides { tables, ..Overrides::default() }).unwrap_err();
    assert_eq!(all[0].message, "-D tt.…: the job has no table tt; the nearest is t");
    assert_eq!(all[0].to_string(), "a.sql: error: -D tt.…: the job has no table tt; the nearest is t");
}

#[test]
fn a_primary_key_is_taken_with_a_warning() {
    let text = TEXT.replace("(card BIGINT, c BIGINT)", "(card BIGINT, c BIGINT, PRIMARY KEY (card) NOT ENFORCED)");
    let job = plan("a.sql", &text, &Overrides::default()).unwrap_or_else(|all| panic!("{all:?}"));
    let shown: Vec<String> = job.warnings.iter().map(|w| format!("{}:{}: {}", w.line, w.column, w.message)).collect();
    assert_eq!(shown, ["5:40: PRIMARY KEY is not used in this version: rows are appended, never updated"]);
}

#[test]
fn reach_adds_up_along_the_path_only_where_values_depend() {
    let reach = |query: &str| {
        let head = TEXT.split("INSERT").next().unwrap();
        plan("a.sql", &format!("{head}{query}"), &Overrides::default()).unwrap_or_else(|e| panic!("{e:?}")).reach_ms
    };
    let frame = |h: u32| {
        format!("OVER (PARTITION BY card ORDER BY ts RANGE BETWEEN INTERVAL '{h}' HOUR PRECEDING AND CURRENT ROW)")
    };
    let hour = 3_600_000;
    assert_eq!(reach("INSERT INTO o SELECT card, card FROM t;"), 0);
    assert_eq!(
        reach(&format!("INSERT INTO o SELECT COUNT(*) {}, COUNT(*) {} FROM t;", frame(1), frame(24))),
        24 * hour
    );
    // frames of two keys do not read one another
    let other = frame(5).replace("PARTITION BY card ", "");
    assert_eq!(reach(&format!("INSERT INTO o SELECT COUNT(*) {}, COUNT(*) {other} FROM t;", frame(1))), 5 * hour);
    // a frame over the result of a frame does
    let nested =
        format!("INSERT INTO o SELECT card, SUM(c) {} FROM (SELECT *, COUNT(*) {} AS c FROM t);", frame(2), frame(3));
    assert_eq!(reach(&nested), 5 * hour);
    let window =
        "FROM TABLE(TUMBLE(TABLE v, DESCRIPTOR(ts), INTERVAL '1' DAY)) GROUP BY window_start, window_end, card";
    let query = format!(
        "CREATE VIEW v AS SELECT *, COUNT(*) {} AS c FROM t; INSERT INTO o SELECT card, MAX(c) {window};",
        frame(3)
    );
    assert_eq!(reach(&query), 27 * hour);
}

#[test]
fn the_share_of_bad_rows_is_a_number_from_0_to_1_with_four_decimals() {
    let with = |text: &str| {
        let tables = BTreeMap::from([("t".to_string(), map(&[("errors.max-share", text)]))]);
        plan("a.sql", TEXT, &Overrides { tables, ..Overrides::default() })
    };
    let expected = [("0.57", 5_700), ("0", 0), ("1", 10_000), ("0.0001", 1), (" .07 ", 700), ("5e-1", 5_000)];
    for (text, rows) in expected {
        assert_eq!(source(&with(text).unwrap_or_else(|all| panic!("{all:?}"))).bad_rows_max, rows, "{text}");
    }
    assert_eq!(source(&planned(&Overrides::default())).bad_rows_max, 5_000);
    for text in ["1.0001", "-0.1", "0.00005", "50%", "NaN", ""] {
        let message = with(text).unwrap_err()[0].message.clone();
        assert_eq!(message, format!("option 'errors.max-share' is a share from 0 to 1 like '0.05', not '{text}'"));
    }
}
