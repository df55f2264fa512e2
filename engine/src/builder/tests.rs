//! What a sentence becomes, and what is said when it makes no sense.

use super::*;
use crate::expr::{BinaryOp, Expr, Literal};
use crate::graph::*;
use arrow_schema::DataType;

fn payments() -> Table {
    Table::new("payments", "generator")
        .option("seed", 7)
        .column_not_null("card", BIGINT)
        .column("device", BIGINT)
        .column("items", INT)
        .column("amount", decimal(12, 2))
        .column("score", DOUBLE)
        .column("status", STRING)
        .column("fraud", BOOLEAN)
        .column("ts", TIMESTAMP)
        .watermark("ts", seconds(5))
}

fn out() -> Table {
    Table::new("out", "blackhole")
}

/// The graph of a job over [`payments`].
fn build(describe: impl FnOnce(Stream)) -> Result<JobGraph, BuilderError> {
    let job = Job::new("test");
    describe(job.source(payments()));
    job.build()
}

fn error(describe: impl FnOnce(Stream)) -> String {
    build(describe).unwrap_err().to_string()
}

fn columns(node: &Node) -> Vec<(&str, String)> {
    node.schema.fields().iter().map(|f| (f.name().as_str(), types::sql_type(f.data_type()))).collect()
}

#[test]
fn windows_have_keys_borders_and_flinks_types() {
    let calls = [count(), sum("amount"), avg("amount"), sum("items"), avg("items"), stddev("amount"), max("status")];
    let graph = build(|s| s.key_by(["card"]).hop(minutes(5), hours(1)).aggregate(calls).sink(out())).unwrap();
    let names: Vec<_> = graph.nodes.iter().map(|n| n.name.as_str()).collect();
    assert_eq!(names, ["payments", "payments.window", "out"]);
    let expected = [
        ("card", "BIGINT"),
        ("window_start", "TIMESTAMP(3)"),
        ("window_end", "TIMESTAMP(3)"),
        ("window_time", "TIMESTAMP(3)"),
        ("count", "BIGINT"),
        ("sum_amount", "DECIMAL(38, 2)"),
        ("avg_amount", "DECIMAL(38, 6)"),
        ("sum_items", "INT"),
        ("avg_items", "INT"),
        ("stddev_amount", "DECIMAL(38, 6)"),
        ("max_status", "STRING"),
    ];
    assert_eq!(columns(&graph.nodes[1]), expected.map(|(n, t)| (n, t.to_owned())));
    let nullable: Vec<_> = graph.nodes[1].schema.fields().iter().map(|f| f.is_nullable()).collect();
    assert_eq!(nullable[..6], [false, false, false, false, false, true]);
    let Step::Window(spec) = &graph.nodes[1].step else { panic!("{:?}", graph.nodes[1].step) };
    assert_eq!(spec.window, WindowKind::Hop { slide_ms: 300_000, size_ms: 3_600_000, offset_ms: 0 });
    assert_eq!(spec.aggregates[2].label, "AVG(amount)");
}

#[test]
fn the_first_rows_of_windows_are_numbered() {
    let first = |s: Stream| s.key_by(["card"]).tumble(hours(1)).first(3, [descending("amount"), ascending("ts")]);
    let graph = build(|s| first(s).sink(out())).unwrap();
    let names: Vec<_> = graph.nodes.iter().map(|n| n.name.as_str()).collect();
    assert_eq!(names, ["payments", "payments.windows", "payments.first", "out"]);
    assert_eq!(graph.nodes[1].step, Step::AssignWindow(WindowKind::Tumble { size_ms: 3_600_000, offset_ms: 0 }));
    let by = |column, descending| OrderBy { column, descending, nulls_first: !descending };
    let spec = TopNSpec { keys: vec![0, 8, 9], order: vec![by(3, true), by(7, false)], limit: 3 };
    assert_eq!(graph.nodes[2].step, Step::TopN(spec));
    let last: Vec<_> = columns(&graph.nodes[2]).split_off(8);
    let windows = ["window_start", "window_end", "window_time"].map(|n| (n, "TIMESTAMP(3)".to_owned()));
    assert_eq!(last, [&windows[..], &[("row_number", "BIGINT".to_owned())]].concat());
    let sessions = error(|s| s.key_by(["card"]).session(minutes(5)).first(1, [ascending("ts")]).sink(out()));
    assert_eq!(sessions, "payments.windows: the first rows of sessions are not kept");
    let none = error(|s| s.key_by(["card"]).tumble(hours(1)).first(0, [ascending("ts")]).sink(out()));
    assert!(none.contains("payments.first"), "{none}");
}

#[test]
fn a_growing_window_has_a_step_that_divides_it() {
    let cumulate = |step| build(|s| s.key_by(["card"]).cumulate(step, hours(1)).aggregate([count()]).sink(out()));
    let graph = cumulate(minutes(5)).unwrap();
    let Step::Window(spec) = &graph.nodes[1].step else { panic!("{:?}", graph.nodes[1].step) };
    assert_eq!(spec.window, WindowKind::Cumulate { step_ms: 300_000, size_ms: 3_600_000, offset_ms: 0 });
    for (step, why) in [(minutes(7), "no multiple of its step of 420000 ms"), (minutes(0), "step is 0 ms")] {
        let error = cumulate(step).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn frames_are_shared_and_name_their_columns() {
    let calls = [
        over(hours(1)).count(),
        over(days(1)).sum("amount"),
        over(hours(1)).count_distinct("device"),
        over_between(days(37), days(7)).call(avg("amount").named("usual")),
        over(hours(1)).call(count().filter("fraud").named("frauds")),
    ];
    let graph = build(|s| s.key_by(["card"]).trailing(calls).sink(out())).unwrap();
    let Step::Over(spec) = &graph.nodes[1].step else { panic!("{:?}", graph.nodes[1].step) };
    assert_eq!(spec.frames.len(), 3);
    assert_eq!(spec.calls.iter().map(|c| c.frame).collect::<Vec<_>>(), [0, 1, 0, 2, 0]);
    let names: Vec<_> = columns(&graph.nodes[1]).into_iter().map(|c| c.0).skip(8).collect();
    assert_eq!(names, ["count_1h", "sum_amount_1d", "count_distinct_device_1h", "usual", "frauds"]);
    assert!(matches!(&graph.nodes[2].step, Step::Sink(s) if !s.arrival));
    let arrival = build(|s| s.key_by(["card"]).trailing_on_arrival(hours(1), [over(hours(1)).count()]).sink(out()));
    assert!(matches!(&arrival.unwrap().nodes[2].step, Step::Sink(s) if s.arrival));
}

#[test]
fn frames_on_arrival_need_rows_with_an_order_of_arrival() {
    let on_arrival =
        |s: Stream| s.key_by(["all"; 0]).trailing_on_arrival(hours(1), [over(hours(1)).count()]).sink(out());
    let when_final = |s: Stream| s.key_by(["card"]).trailing([over(hours(2)).count()]);
    assert!(build(|s| on_arrival(s.late().filter(col("fraud")))).is_ok());
    for (graph, step) in [
        (build(|s| on_arrival(s.errors())), "payments.errors"),
        (build(|s| on_arrival(s.key_by(["card"]).tumble(days(1)).aggregate([count()]))), "payments.window"),
        (build(|s| on_arrival(when_final(s))), "payments.over"),
    ] {
        let error = graph.unwrap_err().to_string();
        assert!(error.contains(&format!("follow {step}, whose rows have no order of arrival")), "{error}");
    }
}

#[test]
fn a_job_branches_unites_and_keeps_late_and_bad_rows() {
    let job = Job::new("test");
    let all = job.source(payments());
    let large = all.clone().filter(col("amount").gt(lit(1_000)));
    let fraud = all.clone().filter(col("fraud"));
    large.union(fraud).tumble(days(1)).aggregate([count()]).sink(out());
    all.late().sink(Table::new("late", "blackhole"));
    all.errors().sink(Table::new("bad", "blackhole"));
    let graph = job.build().unwrap();
    let names: Vec<_> = graph.nodes.iter().map(|n| n.name.as_str()).collect();
    let expected = ["payments", "payments.filter", "payments.filter.2", "union", "union.window", "out"];
    assert_eq!(names[..6], expected);
    assert_eq!(names[6..], ["payments.late", "late", "payments.errors", "bad"]);
}

/// The one expression of a select, and its type.
fn scalar(e: Scalar) -> Result<(Expr, String), BuilderError> {
    let graph = build(|s| s.select([e.named("x")]).sink(out()))?;
    let Step::Map(map) = &graph.nodes[1].step else { panic!("{:?}", graph.nodes[1].step) };
    Ok((map.columns[0].clone(), types::sql_type(graph.nodes[1].schema.field(0).data_type())))
}

#[test]
fn operands_meet_in_their_common_type() {
    let amount = || Expr::Column(3);
    let hundred = Expr::Literal(Literal::Decimal(10_000, 12, 2));
    let (e, t) = scalar(col("amount").gt(lit(100))).unwrap();
    assert_eq!((e, t.as_str()), (Expr::binary(BinaryOp::Greater, amount(), hundred), "BOOLEAN"));
    let two = Expr::Literal(Literal::Decimal(2, 1, 0));
    let (e, t) = scalar(col("amount") * lit(2)).unwrap();
    assert_eq!((e, t.as_str()), (Expr::binary(BinaryOp::Multiply, amount(), two), "DECIMAL(14, 2)"));
    assert_eq!(scalar(col("amount") + col("amount")).unwrap().1, "DECIMAL(13, 2)");
    assert_eq!(scalar(col("amount") - col("items")).unwrap().1, "DECIMAL(13, 2)");
    assert_eq!(scalar(col("items") + col("card")).unwrap().1, "BIGINT");
    assert_eq!(scalar(col("score") + col("items")).unwrap().1, "DOUBLE");
    assert_eq!(scalar(-col("amount")).unwrap().1, "DECIMAL(12, 2)");
    let wide = scalar(col("amount").ge(lit((123_456, 4)))).unwrap().0;
    let cast = Expr::Cast { expr: Box::new(amount()), to: DataType::Decimal128(38, 4), or_null: false };
    let literal = Expr::Literal(Literal::Decimal(123_456, 38, 4));
    assert_eq!(wide, Expr::binary(BinaryOp::GreaterOrEqual, cast, literal), "no digit of the constant is lost");
    assert_eq!(scalar(col("status").is_in(["A", "B"]) & !col("fraud")).unwrap().1, "BOOLEAN");
    assert_eq!(scalar(col("status").like("A%").eq(lit(true)) | col("device").is_null()).unwrap().1, "BOOLEAN");
    assert_eq!(scalar(null(STRING)).unwrap().1, "STRING");
    assert_eq!(scalar(col("amount").cast(STRING)).unwrap().1, "STRING");
}

#[test]
fn mistakes_name_the_step_and_the_cure() {
    let e = error(|s| s.key_by(["crad"]).tumble(minutes(1)).aggregate([count()]).sink(out()));
    assert!(
        e.starts_with("payments.window: there is no column crad; the nearest is card; the columns are card, "),
        "{e}"
    );
    let e = error(|s| s.filter(col("zzzzzzzz")).sink(out()));
    assert!(e.starts_with("payments.filter: there is no column zzzzzzzz; the columns are"), "{e}");
    let cases: Vec<(String, &str)> = vec![
        (error(|s| s.filter(col("amount")).sink(out())), "payments.filter: a filter is BOOLEAN, not DECIMAL(12, 2)"),
        (
            error(|s| s.filter(col("status").gt(lit(1))).sink(out())),
            "payments.filter: Greater of STRING and BIGINT; cast one of them",
        ),
        (
            error(|s| s.tumble(minutes(1)).aggregate([sum("status")]).sink(out())),
            "payments.window: SUM takes a number, not STRING",
        ),
        (
            error(|s| s.tumble(minutes(1)).aggregate([count(), count()]).sink(out())),
            "payments.window: two columns are named count; name one of them with .named(..)",
        ),
        (
            error(|s| s.tumble(minutes(0)).aggregate([count()]).sink(out())),
            "payments.window: the window's size is 0 ms; it must be above zero",
        ),
        (
            error(|s| s.tumble(Duration::from_micros(1_500)).aggregate([count()]).sink(out())),
            "payments.window: 1.5ms is no whole number of milliseconds",
        ),
        (
            error(|s| s.key_by(["card"]).trailing([over_between(days(1), days(7)).count()]).sink(out())),
            "payments.over: a frame from 86400000 ms to 604800000 ms before the current row is empty",
        ),
        (
            error(|s| s.key_by(["card"]).trailing([over(hours(1)).sum("score")]).sink(out())),
            "payments.over: SUM(score) of DOUBLE over a trailing frame depends on history; \
             CAST its argument AS DECIMAL(p, s)",
        ),
        (
            error(|s| s.tumble(minutes(1)).aggregate([count().filter("card")]).sink(out())),
            "payments.window: the FILTER of COUNT(*) is no BOOLEAN",
        ),
        (error(drop), "payments: nothing reads its rows; add a sink or remove it"),
        (
            error(|s| s.filter(col("fraud")).late().sink(out())),
            "payments.late: late rows are those of a source, not of payments.filter",
        ),
        (
            error(|s| s.union(Job::new("other").source(payments())).sink(out())),
            "union: its inputs belong to different jobs",
        ),
        (
            error(|s| {
                let narrow = s.clone().select([col("card")]);
                s.union(narrow).sink(out());
            }),
            "union: 8 columns instead of 1, which payments.select emits",
        ),
    ];
    for (found, expected) in cases {
        assert_eq!(found, expected);
    }
    let job = Job::new("test");
    job.source(Table::new("t", "generator").column("ts", TIMESTAMP)).sink(out());
    assert_eq!(job.build().unwrap_err(), BuilderError::NoWatermark { table: "t".into() });
    let job = Job::new("test");
    job.source(Table::new("t", "generator").column("ts", BIGINT).watermark("ts", seconds(1))).sink(out());
    assert_eq!(job.build().unwrap_err().to_string(), "t: event time ts is BIGINT; CAST it to TIMESTAMP(3)");
}

#[test]
fn damaged_graphs_are_refused_without_a_panic() {
    let calls = [over(hours(1)).sum("amount")];
    let good = build(|s| {
        s.clone().filter(col("fraud")).key_by(["card"]).trailing(calls).sink(out());
        s.key_by(["card"]).tumble(minutes(1)).aggregate([count()]).sink(Table::new("minutes", "blackhole"));
    })
    .unwrap();
    good.validate().unwrap();
    let read: JobGraph = serde_json::from_str(&serde_json::to_string(&good).unwrap()).unwrap();
    assert_eq!(read, good);
    // Every position of the graph one too far, or beyond everything.
    let text = serde_json::to_value(&good).unwrap();
    for key in ["inputs", "keys", "read", "not_null", "frame", "argument", "time", "Column"] {
        for value in [99u64, u64::MAX >> 1] {
            let mut damaged = text.clone();
            assert!(damage(&mut damaged, key, value), "{key}");
            let graph: JobGraph = serde_json::from_value(damaged).unwrap();
            assert!(graph.validate().is_err(), "{key}");
        }
    }
    let mut twins = good.clone();
    twins.nodes[1].name = twins.nodes[0].name.clone();
    assert_eq!(twins.validate().unwrap_err().to_string(), "two steps are named payments");
}

/// Replaces the first number under `key`.
fn damage(value: &mut serde_json::Value, key: &str, by: u64) -> bool {
    match value {
        serde_json::Value::Object(map) => map.iter_mut().any(|(k, v)| {
            let place = if v.is_array() { v.get_mut(0) } else { Some(&mut *v) };
            match place {
                Some(number) if k == key && number.is_number() => {
                    *number = by.into();
                    true
                }
                _ => damage(v, key, by),
            }
        }),
        serde_json::Value::Array(items) => items.iter_mut().any(|v| damage(v, key, by)),
        _ => false,
    }
}
