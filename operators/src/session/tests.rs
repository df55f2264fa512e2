//! The rules of sessions as scripts. The table marked "Flink's" is retyped from Flink's documentation (window-tvf).

use crate::check::check;
use crate::operator;
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use highwater_engine::graph::{Aggregate, AggregateFunction, Node, Step, WindowKind, WindowSpec};
use highwater_engine::parts::Role;
use std::sync::Arc;

const MINUTE: i64 = 60_000;

fn bids() -> SchemaRef {
    let fields = [("price", DataType::Decimal128(10, 2)), ("item", DataType::Utf8)];
    Arc::new(Schema::new(fields.map(|(n, t)| Field::new(n, t, true)).to_vec()))
}

fn node(gap_ms: i64, keys: &[usize]) -> Node {
    let ts = DataType::Timestamp(TimeUnit::Millisecond, None);
    let call = |function, distinct, returns: DataType, label: &str| Aggregate {
        function,
        argument: Some(0),
        distinct,
        by: None,
        separator: String::new(),
        filter: None,
        returns,
        label: label.into(),
    };
    let aggregates = vec![
        call(AggregateFunction::Sum, false, DataType::Decimal128(38, 2), "SUM(price)"),
        call(AggregateFunction::Max, false, DataType::Decimal128(10, 2), "MAX(price)"),
        call(AggregateFunction::Count, true, DataType::Int64, "COUNT(DISTINCT price)"),
    ];
    let input = bids();
    let mut fields: Vec<Field> = keys.iter().map(|k| input.field(*k).clone()).collect();
    fields.extend(["window_start", "window_end", "window_time"].map(|n| Field::new(n, ts.clone(), false)));
    fields.extend(aggregates.iter().map(|a| Field::new(&a.label, a.returns.clone(), true)));
    let spec = WindowSpec { window: WindowKind::Session { gap_ms }, keys: keys.to_vec(), aggregates };
    Node {
        name: "bids.window".into(),
        inputs: vec![0],
        step: Step::Window(spec),
        schema: Arc::new(Schema::new(fields)),
    }
}

fn run(gap_minutes: i64, keys: &[usize], script: &str) {
    let node = node(gap_minutes * MINUTE, keys);
    check(&|| operator(&node, &bids(), Role::Whole).unwrap(), &bids(), &node.schema, script);
}

/// Flink's bids, in sessions by item and of all.
const BIDS: &str = "
    2020-04-15 08:07 | 4.00 | A
    2020-04-15 08:06 | 2.00 | A
    2020-04-15 08:09 | 5.00 | B
    2020-04-15 08:08 | 3.00 | A
    2020-04-15 08:17 | 1.00 | B
    ----";

#[test]
fn sessions_of_a_key_are_flinks() {
    let rows = "
        2020-04-15 08:12:59.999 | A | 2020-04-15 08:06 | 2020-04-15 08:13 | 2020-04-15 08:12:59.999 | 9.00 | 4.00 | 3
        2020-04-15 08:13:59.999 | B | 2020-04-15 08:09 | 2020-04-15 08:14 | 2020-04-15 08:13:59.999 | 5.00 | 5.00 | 1
        2020-04-15 08:21:59.999 | B | 2020-04-15 08:17 | 2020-04-15 08:22 | 2020-04-15 08:21:59.999 | 1.00 | 1.00 | 1";
    run(5, &[1], &format!("{BIDS}{rows}"));
}

#[test]
fn sessions_of_all_rows_are_flinks() {
    let rows = "
        2020-04-15 08:13:59.999 | 2020-04-15 08:06 | 2020-04-15 08:14 | 2020-04-15 08:13:59.999 | 14.00 | 5.00 | 4
        2020-04-15 08:21:59.999 | 2020-04-15 08:17 | 2020-04-15 08:22 | 2020-04-15 08:21:59.999 | 1.00 | 1.00 | 1";
    run(5, &[], &format!("{BIDS}{rows}"));
}

#[test]
fn a_gap_that_is_exactly_met_joins_and_so_the_session_waits_for_it() {
    run(
        5,
        &[1],
        "
        00:00 | 1.00 | A
        watermark 00:05           // a row at 00:05 may still come
        00:05 | 2.00 | A
        watermark 00:10:00.001
        00:10:00.001 | 4.00 | A
        watermark 00:15:00.001
        watermark 00:15:00.002
        ----
        watermark 00:10:00.001
        00:09:59.999 | A | 00:00 | 00:10 | 00:09:59.999 | 3.00 | 2.00 | 2
        watermark 00:15:00.002
        00:15:00 | A | 00:10:00.001 | 00:15:00.001 | 00:15:00 | 4.00 | 4.00 | 1
        ",
    );
}

#[test]
fn a_row_between_two_sessions_makes_them_one() {
    run(
        5,
        &[1],
        "
        00:00 | 1.00 | A
        00:10 | 1.00 | A
        00:20 | 4.00 | A
        watermark 00:00
        00:05 | 2.00 | A
        ----
        00:14:59.999 | A | 00:00 | 00:15 | 00:14:59.999 | 4.00 | 2.00 | 2
        00:24:59.999 | A | 00:20 | 00:25 | 00:24:59.999 | 4.00 | 4.00 | 1
        ",
    );
}

#[test]
fn a_row_is_refused_iff_it_lies_below_its_tag_though_its_session_is_open() {
    run(
        5,
        &[1],
        "
        00:10 | 1.00 | A
        00:09:59.999 @00:10 | 2.00 | A
        00:10 @00:10 | 4.00 | A
        ----
        00:14:59.999 | A | 00:10 | 00:15 | 00:14:59.999 | 5.00 | 4.00 | 2
        refused 1
        ",
    );
}

#[test]
fn null_is_a_key_and_null_prices_do_not_count() {
    run(
        5,
        &[1],
        "
        00:00 | NULL | NULL
        00:01 | 1.00 | NULL
        00:01 | NULL | A
        ----
        00:05:59.999 | NULL | 00:00 | 00:06 | 00:05:59.999 | 1.00 | 1.00 | 1
        00:05:59.999 | A | 00:01 | 00:06 | 00:05:59.999 | NULL | NULL | 0
        ",
    );
}

#[test]
fn closed_sessions_leave_no_memory_behind() {
    use highwater_engine::operator::Output;
    use highwater_engine::time::{Progress, Watermark};
    let node = node(5, &[1]);
    let mut op = operator(&node, &bids(), Role::Whole).unwrap();
    let (mut peak, mut rows) = (0, 0);
    for round in 0..200i64 {
        let mut out = Output::default();
        let items: Vec<String> = (0..500).map(|i| format!("{round:03}-{i:03}")).collect();
        let price =
            arrow::array::Decimal128Array::from(vec![round as i128; 500]).with_precision_and_scale(10, 2).unwrap();
        let item = arrow::array::StringArray::from(items);
        let columns = arrow::array::RecordBatch::try_new(bids(), vec![Arc::new(price), Arc::new(item)]).unwrap();
        let times = vec![round * 100; 500];
        op.on_batch(0, highwater_engine::batch::Batch::new(columns, times.into()), &mut out).unwrap();
        let progress = Progress { watermark: Watermark::new(round * 100 - 500), cut: 0 };
        op.on_watermark(progress, &mut out).unwrap();
        rows += out.batches.iter().map(|b| b.rows()).sum::<usize>();
        match round {
            0..100 => peak = peak.max(op.state_bytes()),
            _ => assert!(op.state_bytes() <= peak * 5 / 4, "round {round}: {} bytes after {peak}", op.state_bytes()),
        }
    }
    assert_eq!(rows, 500 * 194);
}

#[test]
fn a_gap_that_is_no_time_is_refused_when_built() {
    for gap in [0, -1, i64::MAX] {
        let error = operator(&node(gap, &[1]), &bids(), Role::Whole).err().unwrap().to_string();
        assert!(error.contains("a session's gap of"), "{error}");
    }
}
