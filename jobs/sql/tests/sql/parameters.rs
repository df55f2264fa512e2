//! `${name}`: one literal from outside, whatever stands in it.

use highwater_sql::{Overrides, explain, plan};
use std::collections::BTreeMap;

const TABLES: &str = "\
CREATE TABLE payments (ts TIMESTAMP(3), card BIGINT, country STRING, amount DECIMAL(12, 2), WATERMARK FOR ts AS ts)
  WITH ('connector' = 'filesystem', 'path' = 'p', 'format' = 'parquet');
CREATE TABLE o (card BIGINT) WITH ('connector' = 'blackhole');
";

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(k, v)| (format!("parameter.{k}"), v.to_string())).collect()
}

/// The plan as text, or the errors.
fn planned(job: &str, overrides: &Overrides) -> Result<String, String> {
    let job = plan("job.sql", &format!("{TABLES}{job}"), overrides);
    job.map(|job| explain(&job)).map_err(|all| all.iter().map(|d| format!("{d}\n")).collect())
}

fn with(job: &str, pairs: &[(&str, &str)]) -> Result<String, String> {
    planned(job, &Overrides { set: map(pairs), ..Overrides::default() })
}

#[test]
fn a_parameter_is_the_literal_that_it_spells() {
    let same = |job: &str, pairs: &[(&str, &str)], written: &str| {
        assert_eq!(with(job, pairs), with(written, &[]), "{job} with {pairs:?}");
        assert!(with(written, &[]).is_ok(), "{written}");
    };
    let over = "INSERT INTO o SELECT card FROM payments WHERE amount > ${least};";
    same(over, &[("least", "12.50")], "INSERT INTO o SELECT card FROM payments WHERE amount > 12.50;");
    same(over, &[("least", "-3")], "INSERT INTO o SELECT card FROM payments WHERE amount > (-3);");
    let of = "INSERT INTO o SELECT card FROM payments WHERE country = ${country};";
    for text in
        ["DE", "' OR 1 = 1 --", "x'; INSERT INTO o SELECT card FROM payments; --", "a \"b\" `c` ${d}", "TRUE OR TRUE"]
    {
        let quoted = text.replace('\'', "''");
        same(of, &[("country", text)], &format!("INSERT INTO o SELECT card FROM payments WHERE country = '{quoted}';"));
    }
    same(of, &[("country", "'042'")], "INSERT INTO o SELECT card FROM payments WHERE country = '042';");
    let frame = |length: &str| {
        format!(
            "INSERT INTO o SELECT COUNT(*) OVER (PARTITION BY card ORDER BY ts RANGE BETWEEN {length} PRECEDING AND CURRENT ROW) FROM payments;"
        )
    };
    same(&frame("${length}"), &[("length", "INTERVAL '2' HOUR")], &frame("INTERVAL '2' HOUR"));
}

#[test]
fn the_flag_beats_the_environment_which_beats_the_file_which_beats_toml() {
    let job = "INSERT INTO o SELECT card FROM payments WHERE card > ${n};";
    let set = "SET 'parameter.n' = '2';\n";
    let layers = |defaults: &[(&str, &str)], environment: &[(&str, &str)], flags: &[(&str, &str)]| Overrides {
        set: map(flags),
        environment: map(environment),
        defaults: map(defaults),
        ..Overrides::default()
    };
    for (layers, text, n) in [
        (layers(&[("n", "1")], &[], &[]), "", 1),
        (layers(&[("n", "1")], &[], &[]), set, 2),
        (layers(&[("n", "1")], &[("n", "3")], &[]), set, 3),
        (layers(&[("n", "1"), ("other", "1")], &[("n", "3"), ("other", "1")], &[("n", "4")]), set, 4),
    ] {
        let written = format!("INSERT INTO o SELECT card FROM payments WHERE card > {n};");
        assert_eq!(planned(&format!("{text}{job}"), &layers), with(&written, &[]));
    }
}

#[test]
fn what_is_missing_unknown_or_of_another_kind_is_named() {
    let job = "SET 'parameter.least' = '10';
INSERT INTO o SELECT card FROM payments WHERE amount > ${least} AND country = ${county};
";
    let error = with(job, &[("least", "ten"), ("country", "DE")]).unwrap_err();
    let expected = "\
job.sql: error: the job has no parameter country; the nearest is county
  hint: it is used as ${country}
job.sql:5:56: error: parameter least is a number, as the job's file says, not 'ten'
   5 | INSERT INTO o SELECT card FROM payments WHERE amount > ${least} AND country = ${county};
     |                                                        ^^^^^^^^
job.sql:5:79: error: parameter county has no value; the nearest is country
   5 | INSERT INTO o SELECT card FROM payments WHERE amount > ${least} AND country = ${county};
     |                                                                               ^^^^^^^^^
  hint: -D parameter.county=.. or SET 'parameter.county' = '..'
";
    assert_eq!(error, expected);
    let error = with("SET 'parameter.x' = '1';\nINSERT INTO o SELECT card FROM payments;", &[]).unwrap_err();
    assert!(error.starts_with("job.sql:4:21: error: the job has no parameter x\n"), "{error}");
    let error = with("INSERT INTO o SELECT card FROM payments WHERE card = ${n};", &[("n", "x")]).unwrap_err();
    assert!(error.contains("error"), "a text is no number: {error}");
}

#[test]
fn a_parameter_in_a_string_is_a_string() {
    let job = "INSERT INTO o SELECT card FROM payments WHERE country = '${country}';";
    assert!(with(job, &[]).unwrap().contains("${country}"));
}
