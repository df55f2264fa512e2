//! The rules of windowed aggregation as scripts. Tables marked "Flink's" are retyped from Flink's documentation
//! (window-tvf, window-agg).

use super::combine::Worth;
use super::{Window, operator, partials, window};
use crate::check::{check, check_error};
use arrow::array::{Decimal128Array, Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use highwater_engine::batch::Batch;
use highwater_engine::error::OperatorError;
use highwater_engine::graph::{
    Aggregate, AggregateFunction as F, CalendarWindows, Length, Node, Step, WindowKind, WindowSpec,
};
use highwater_engine::operator::{Operator, Output};
use highwater_engine::parts::Role;
use highwater_engine::state::Snapshot;
use highwater_engine::time::{Progress, Watermark};
use std::sync::Arc;

pub(super) const MINUTE: i64 = 60_000;

/// Price and item of Flink's `Bid`, its supplier, a quantity and a flag.
pub(super) fn bids() -> SchemaRef {
    let fields = [
        ("price", DataType::Decimal128(10, 2)),
        ("item", DataType::Utf8),
        ("supplier", DataType::Utf8),
        ("quantity", DataType::Int32),
        ("ok", DataType::Boolean),
    ];
    Arc::new(Schema::new(fields.map(|(n, t)| Field::new(n, t, true)).to_vec()))
}

fn sum() -> Aggregate {
    aggregate(F::Sum, Some(0), DataType::Decimal128(38, 2), "SUM(price)")
}

pub(super) fn aggregate(function: F, argument: Option<usize>, returns: DataType, label: &str) -> Aggregate {
    Aggregate {
        function,
        argument,
        by: None,
        separator: String::new(),
        distinct: false,
        filter: None,
        returns,
        label: label.into(),
    }
}

pub(super) fn node(
    input: &SchemaRef,
    window: WindowKind,
    keys: &[usize],
    aggregates: Vec<Aggregate>,
) -> (Node, WindowSpec) {
    let ts = DataType::Timestamp(TimeUnit::Millisecond, None);
    let mut fields: Vec<Field> = keys.iter().map(|k| input.field(*k).clone()).collect();
    fields.extend(["window_start", "window_end", "window_time"].map(|n| Field::new(n, ts.clone(), false)));
    fields.extend(aggregates.iter().map(|a| Field::new(&a.label, a.returns.clone(), true)));
    let spec = WindowSpec { window, keys: keys.to_vec(), aggregates };
    let schema = Arc::new(Schema::new(fields));
    (Node { name: "bids.window".into(), inputs: vec![0], step: Step::Window(spec.clone()), schema }, spec)
}

pub(super) fn run(window: WindowKind, keys: &[usize], aggregates: Vec<Aggregate>, script: &str) {
    let (node, spec) = node(&bids(), window, keys, aggregates);
    check(&|| operator(&node, &spec, &bids(), Role::Whole).unwrap(), &bids(), &node.schema, script);
    let passes: &[usize] = if partials(&spec, &bids()).is_some() { &[0, 3, usize::MAX] } else { &[] };
    for pass in passes.iter().copied() {
        check(&|| Box::new(Pair::new(&node, &spec, pass)), &bids(), &node.schema, script);
    }
}

/// A combiner and what is behind it as one operator. Both restore from what both wrote, whole: the combiner starts empty.
struct Pair {
    combine: Window,
    merge: Window,
}

impl Pair {
    fn new(node: &Node, spec: &WindowSpec, pass: usize) -> Self {
        let [mut combine, merge] = [Role::Combine, Role::Merge].map(|r| window(node, spec, &bids(), r).unwrap());
        combine.worth = Worth::passing(pass, vec![]);
        Self { combine, merge }
    }

    fn send(&mut self, sent: Output, out: &mut Output) -> Result<(), OperatorError> {
        out.refused += sent.refused;
        sent.batches.into_iter().try_for_each(|b| self.merge.on_batch(0, b, out))
    }
}

impl Operator for Pair {
    fn on_batch(&mut self, input: usize, batch: Batch, out: &mut Output) -> Result<(), OperatorError> {
        let mut sent = Output::default();
        self.combine.on_batch(input, batch, &mut sent)?;
        self.send(sent, out)
    }
    fn on_watermark(&mut self, progress: Progress, out: &mut Output) -> Result<(), OperatorError> {
        let mut sent = Output::default();
        self.combine.on_watermark(progress, &mut sent)?;
        self.send(sent, out)?;
        self.merge.on_watermark(progress, out)
    }
    fn snapshot(&mut self, into: &mut Snapshot) -> Result<(), OperatorError> {
        for one in [&mut self.combine, &mut self.merge] {
            let mut whole = Snapshot::default();
            one.snapshot(&mut whole)?;
            into.merge(whole);
        }
        Ok(())
    }
    fn restore(&mut self, from: Snapshot) -> Result<(), OperatorError> {
        self.merge.restore(from)
    }
    fn state_bytes(&self) -> usize {
        self.combine.state_bytes() + self.merge.state_bytes()
    }
}

pub(super) fn tumble(minutes: i64) -> WindowKind {
    WindowKind::Tumble { size_ms: minutes * MINUTE, offset_ms: 0 }
}

pub(super) fn hop(slide: i64, size: i64) -> WindowKind {
    WindowKind::Hop { slide_ms: slide * MINUTE, size_ms: size * MINUTE, offset_ms: 0 }
}

/// Flink's table `Bid`, with its watermark of one second.
const BIDS: &str = "
    2020-04-15 08:05 | 4.00 | C | supplier1 | NULL | NULL
    2020-04-15 08:07 | 2.00 | A | supplier1 | NULL | NULL
    2020-04-15 08:09 | 5.00 | D | supplier2 | NULL | NULL
    watermark 2020-04-15 08:08:59.001
    2020-04-15 08:11 | 3.00 | B | supplier2 | NULL | NULL
    2020-04-15 08:13 | 1.00 | E | supplier1 | NULL | NULL
    watermark 2020-04-15 08:12:59.001
    2020-04-15 08:17 | 6.00 | F | supplier2 | NULL | NULL
    ----";

#[test]
fn tumble_is_flinks() {
    let rows = "
        2020-04-15 08:09:59.999 | 2020-04-15 08:00 | 2020-04-15 08:10 | 2020-04-15 08:09:59.999 | 11.00
        2020-04-15 08:19:59.999 | 2020-04-15 08:10 | 2020-04-15 08:20 | 2020-04-15 08:19:59.999 | 10.00";
    run(tumble(10), &[], vec![sum()], &format!("{BIDS}{rows}"));
}

#[test]
fn tumble_with_an_offset_is_flinks() {
    let rows = "
        2020-04-15 08:10:59.999 | 2020-04-15 08:01 | 2020-04-15 08:11 | 2020-04-15 08:10:59.999 | 11.00
        2020-04-15 08:20:59.999 | 2020-04-15 08:11 | 2020-04-15 08:21 | 2020-04-15 08:20:59.999 | 10.00";
    let window = WindowKind::Tumble { size_ms: 10 * MINUTE, offset_ms: MINUTE };
    run(window, &[], vec![sum()], &format!("{BIDS}{rows}"));
}

#[test]
fn hop_is_flinks() {
    let rows = "
        2020-04-15 08:09:59.999 | 2020-04-15 08:00 | 2020-04-15 08:10 | 2020-04-15 08:09:59.999 | 11.00
        2020-04-15 08:14:59.999 | 2020-04-15 08:05 | 2020-04-15 08:15 | 2020-04-15 08:14:59.999 | 15.00
        2020-04-15 08:19:59.999 | 2020-04-15 08:10 | 2020-04-15 08:20 | 2020-04-15 08:19:59.999 | 10.00
        2020-04-15 08:24:59.999 | 2020-04-15 08:15 | 2020-04-15 08:25 | 2020-04-15 08:24:59.999 | 6.00";
    run(hop(5, 10), &[], vec![sum()], &format!("{BIDS}{rows}"));
}

#[test]
fn cumulate_is_flinks() {
    let rows = "
        2020-04-15 08:05:59.999 | 2020-04-15 08:00 | 2020-04-15 08:06 | 2020-04-15 08:05:59.999 | 4.00
        2020-04-15 08:07:59.999 | 2020-04-15 08:00 | 2020-04-15 08:08 | 2020-04-15 08:07:59.999 | 6.00
        2020-04-15 08:09:59.999 | 2020-04-15 08:00 | 2020-04-15 08:10 | 2020-04-15 08:09:59.999 | 11.00
        2020-04-15 08:11:59.999 | 2020-04-15 08:10 | 2020-04-15 08:12 | 2020-04-15 08:11:59.999 | 3.00
        2020-04-15 08:13:59.999 | 2020-04-15 08:10 | 2020-04-15 08:14 | 2020-04-15 08:13:59.999 | 4.00
        2020-04-15 08:15:59.999 | 2020-04-15 08:10 | 2020-04-15 08:16 | 2020-04-15 08:15:59.999 | 4.00
        2020-04-15 08:17:59.999 | 2020-04-15 08:10 | 2020-04-15 08:18 | 2020-04-15 08:17:59.999 | 10.00
        2020-04-15 08:19:59.999 | 2020-04-15 08:10 | 2020-04-15 08:20 | 2020-04-15 08:19:59.999 | 10.00";
    let window = WindowKind::Cumulate { step_ms: 2 * MINUTE, size_ms: 10 * MINUTE, offset_ms: 0 };
    run(window, &[], vec![sum()], &format!("{BIDS}{rows}"));
}

/// Its first windows refuse it, the later ones take it; the next window begins with nothing.
#[test]
fn a_late_row_counts_in_the_windows_of_cumulate_that_have_not_ended() {
    run(
        WindowKind::Cumulate { step_ms: 2 * MINUTE, size_ms: 6 * MINUTE, offset_ms: 0 },
        &[],
        vec![sum()],
        "
        00:01 | 1.00 | A | x | 1 | true
        00:01 @00:03 | 2.00 | A | x | 1 | true
        00:01 @00:06 | 4.00 | A | x | 1 | true
        00:07 | 8.00 | A | x | 1 | true
        ----
        00:01:59.999 | 00:00 | 00:02 | 00:01:59.999 | 1.00
        00:03:59.999 | 00:00 | 00:04 | 00:03:59.999 | 3.00
        00:05:59.999 | 00:00 | 00:06 | 00:05:59.999 | 3.00
        00:07:59.999 | 00:06 | 00:08 | 00:07:59.999 | 8.00
        00:09:59.999 | 00:06 | 00:10 | 00:09:59.999 | 8.00
        00:11:59.999 | 00:06 | 00:12 | 00:11:59.999 | 8.00
        refused 1
        ",
    );
}

#[test]
fn keys_split_a_window_as_flinks_grouping_by_supplier() {
    let rows = "
        2020-04-15 08:09:59.999 | supplier1 | 2020-04-15 08:00 | 2020-04-15 08:10 | 2020-04-15 08:09:59.999 | 6.00
        2020-04-15 08:09:59.999 | supplier2 | 2020-04-15 08:00 | 2020-04-15 08:10 | 2020-04-15 08:09:59.999 | 5.00
        2020-04-15 08:19:59.999 | supplier1 | 2020-04-15 08:10 | 2020-04-15 08:20 | 2020-04-15 08:19:59.999 | 1.00
        2020-04-15 08:19:59.999 | supplier2 | 2020-04-15 08:10 | 2020-04-15 08:20 | 2020-04-15 08:19:59.999 | 9.00";
    run(tumble(10), &[2], vec![sum()], &format!("{BIDS}{rows}"));
}

#[test]
fn a_window_fires_once_when_the_watermark_reaches_its_end() {
    run(
        tumble(10),
        &[],
        vec![sum()],
        "
        00:05 | 1.00 | A | x | 1 | true
        watermark 00:09:59.999
        00:10 | 2.00 | A | x | 1 | true
        watermark 00:10
        watermark 00:19:59
        watermark 00:30
        ----
        watermark 00:10
        00:09:59.999 | 00:00 | 00:10 | 00:09:59.999 | 1.00
        watermark 00:30
        00:19:59.999 | 00:10 | 00:20 | 00:19:59.999 | 2.00
        ",
    );
}

#[test]
fn a_window_refuses_a_late_row_iff_its_end_is_not_above_the_tag() {
    run(
        tumble(10),
        &[],
        vec![sum()],
        "
        00:04 @00:09:59.999 | 1.00 | A | x | 1 | true  // its window still waits
        00:05 @00:10 | 2.00 | A | x | 1 | true         // its window may be gone
        00:06 | 4.00 | A | x | 1 | true
        ----
        00:09:59.999 | 00:00 | 00:10 | 00:09:59.999 | 5.00
        refused 1
        ",
    );
}

#[test]
fn a_late_row_enters_the_later_windows_that_accept_it() {
    run(
        hop(5, 15),
        &[],
        vec![sum(), aggregate(F::Max, Some(0), DataType::Decimal128(10, 2), "MAX(price)")],
        "
        00:14 | 1.00 | A | x | 1 | true
        watermark 00:07
        00:04 @00:12 | 2.00 | A | x | 1 | true  // of [-10, 5), [-5, 10), [0, 15) only the last accepts it
        00:04 @00:15 | 9.00 | A | x | 1 | true  // none does
        ----
        00:14:59.999 | 00:00 | 00:15 | 00:14:59.999 | 3.00 | 2.00
        00:19:59.999 | 00:05 | 00:20 | 00:19:59.999 | 1.00 | 1.00
        00:24:59.999 | 00:10 | 00:25 | 00:24:59.999 | 1.00 | 1.00
        refused 1
        ",
    );
}

#[test]
fn a_row_between_windows_is_in_none_and_not_refused() {
    run(
        hop(10, 2),
        &[],
        vec![sum()],
        "
        00:01:59.999 | 1.00 | A | x | 1 | true
        00:02 | 2.00 | A | x | 1 | true
        00:05 @00:30 | 4.00 | A | x | 1 | true
        00:10 | 8.00 | A | x | 1 | true
        ----
        00:01:59.999 | 00:00 | 00:02 | 00:01:59.999 | 1.00
        00:11:59.999 | 00:10 | 00:12 | 00:11:59.999 | 8.00
        refused 0
        ",
    );
}

#[test]
fn an_extreme_leaves_with_its_slice_and_the_next_best_follows() {
    run(
        hop(1, 3),
        &[1],
        vec![
            aggregate(F::Max, Some(0), DataType::Decimal128(10, 2), "MAX(price)"),
            aggregate(F::Min, Some(2), DataType::Utf8, "MIN(supplier)"),
        ],
        "
        00:00 | 9.00 | A | b | 1 | true
        00:01 | 5.00 | A | c | 1 | true
        00:02 | 7.00 | A | NULL | 1 | true
        ----
        00:00:59.999 | A | -120000 | 00:01 | 00:00:59.999 | 9.00 | b
        00:01:59.999 | A | -60000 | 00:02 | 00:01:59.999 | 9.00 | b
        00:02:59.999 | A | 00:00 | 00:03 | 00:02:59.999 | 9.00 | b
        00:03:59.999 | A | 00:01 | 00:04 | 00:03:59.999 | 7.00 | c
        00:04:59.999 | A | 00:02 | 00:05 | 00:04:59.999 | 7.00 | NULL
        ",
    );
}

#[test]
fn null_is_a_key_and_null_arguments_do_not_count() {
    run(
        tumble(10),
        &[1],
        vec![
            aggregate(F::Count, None, DataType::Int64, "COUNT(*)"),
            aggregate(F::Count, Some(0), DataType::Int64, "COUNT(price)"),
            sum(),
            aggregate(F::Avg, Some(3), DataType::Int32, "AVG(quantity)"),
        ],
        "
        00:01 | NULL | NULL | x | 3 | true
        00:02 | 2.00 | NULL | x | 4 | true
        00:03 | NULL | A | x | NULL | true
        ----
        00:09:59.999 | NULL | 00:00 | 00:10 | 00:09:59.999 | 2 | 1 | 2.00 | 3
        00:09:59.999 | A | 00:00 | 00:10 | 00:09:59.999 | 1 | 0 | NULL | NULL
        ",
    );
}

#[test]
fn filter_and_distinct_choose_what_counts() {
    let filtered = Aggregate { filter: Some(4), ..sum() };
    let distinct = Aggregate { distinct: true, ..sum() };
    let items = Aggregate { distinct: true, ..aggregate(F::Count, Some(1), DataType::Int64, "COUNT(DISTINCT item)") };
    run(
        hop(5, 10),
        &[],
        vec![filtered, distinct, items],
        "
        00:01 | 1.00 | A | x | 1 | true
        00:02 | 1.00 | B | x | 1 | false
        00:06 | 1.00 | A | x | 1 | NULL
        00:07 | 2.00 | A | x | 1 | true
        ----
        00:04:59.999 | -300000 | 00:05 | 00:04:59.999 | 1.00 | 1.00 | 2
        00:09:59.999 | 00:00 | 00:10 | 00:09:59.999 | 3.00 | 3.00 | 2
        00:14:59.999 | 00:05 | 00:15 | 00:14:59.999 | 2.00 | 3.00 | 1
        ",
    );
}

#[test]
fn a_sum_that_leaves_its_type_halts_and_names_key_window_and_cure() {
    let (node, spec) =
        node(&bids(), tumble(10), &[1], vec![aggregate(F::Sum, Some(3), DataType::Int32, "SUM(quantity)")]);
    let make = || operator(&node, &spec, &bids(), Role::Whole).unwrap();
    let rows = "
        00:01 | 1.00 | A | x | 2147483647 | true
        00:02 | 1.00 | B | x | 2147483647 | true
        00:03 | 1.00 | B | x | 1 | true";
    assert_eq!(
        check_error(&make, &bids(), rows),
        "SUM(quantity) of item=B in [1970-01-01T00:00:00, 1970-01-01T00:10:00) exceeds INT; CAST its argument AS BIGINT"
    );
}

#[test]
fn a_sum_that_only_passes_beyond_its_type_is_exact() {
    let rows = "
        00:01 | 1.00 | A | x | 2147483647 | true
        00:02 | 1.00 | A | x | 2147483647 | true
        00:03 | 1.00 | A | x | -2147483647 | true
        ----
        00:09:59.999 | 00:00 | 00:10 | 00:09:59.999 | 2147483647";
    run(tumble(10), &[], vec![aggregate(F::Sum, Some(3), DataType::Int32, "SUM(quantity)")], rows);
}

#[test]
fn an_event_time_at_the_end_of_time_is_an_error() {
    let (node, spec) = node(&bids(), hop(5, 10), &[], vec![sum()]);
    let make = || operator(&node, &spec, &bids(), Role::Whole).unwrap();
    for t in [i64::MIN, i64::MIN + 1, i64::MAX - 1, i64::MAX] {
        let message = check_error(&make, &bids(), &format!("{t} | 1.00 | A | x | 1 | true"));
        assert!(message.contains(&t.to_string()) && message.contains("scan.event-time"), "{message}");
    }
}

#[test]
fn a_specification_that_has_no_result_is_refused_when_built() {
    let wrong = [
        (tumble(0), vec![], vec![sum()]),
        (tumble(10), vec![9], vec![sum()]),
        (tumble(10), vec![], vec![aggregate(F::Sum, Some(1), DataType::Utf8, "SUM(item)")]),
        (tumble(10), vec![], vec![aggregate(F::Sum, Some(0), DataType::Decimal128(38, 3), "SUM(price)")]),
        (tumble(10), vec![], vec![aggregate(F::Max, None, DataType::Int64, "MAX()")]),
        (tumble(10), vec![], vec![Aggregate { filter: Some(1), ..sum() }]),
    ];
    for (window, keys, aggregates) in wrong {
        let schema = bids();
        let known: Vec<usize> = keys.iter().copied().filter(|k| *k < schema.fields().len()).collect();
        let (node, mut spec) = node(&schema, window, &known, aggregates);
        spec.keys = keys;
        assert!(operator(&node, &spec, &schema, Role::Whole).is_err(), "{spec:?}");
    }
}

#[test]
fn partial_results_begin_with_the_keys() {
    let (_, spec) = node(&bids(), hop(5, 10), &[2, 1], vec![sum()]);
    let schema = partials(&spec, &bids()).unwrap();
    assert_eq!((schema.field(0).name().as_str(), schema.field(1).name().as_str()), ("supplier", "item"));
}

#[test]
fn keys_without_rows_leave_no_memory_behind() {
    let input = Arc::new(Schema::new(vec![
        Field::new("card", DataType::Int64, true),
        Field::new("amount", DataType::Decimal128(12, 2), true),
    ]));
    let max = aggregate(F::Max, Some(1), DataType::Decimal128(12, 2), "MAX(amount)");
    let cards = Aggregate { distinct: true, ..aggregate(F::Count, Some(1), DataType::Int64, "COUNT(DISTINCT amount)") };
    let (node, spec) = node(&input, hop(5, 60), &[0], vec![max, cards]);
    let mut op = operator(&node, &spec, &input, Role::Whole).unwrap();
    let mut peak = 0;
    for minute in 0..240 {
        // 2,000 cards that never come back, in the first two hours only
        let cards = (0..if minute < 120 { 2_000 } else { 1 }).map(|i| minute * 2_000 + i);
        let cards = Int64Array::from_iter_values(cards);
        let amounts = Decimal128Array::from_iter_values(cards.values().iter().map(|c| i128::from(c % 997)));
        let amounts = amounts.with_data_type(DataType::Decimal128(12, 2));
        let times = vec![minute * MINUTE; cards.values().len()];
        let rows = RecordBatch::try_new(input.clone(), vec![Arc::new(cards), Arc::new(amounts)]).unwrap();
        let mut out = Output::default();
        op.on_batch(0, Batch::new(rows, times.into()), &mut out).unwrap();
        let progress = Progress { watermark: Watermark::new(minute * MINUTE), cut: 0 };
        op.on_watermark(progress, &mut out).unwrap();
        peak = peak.max(op.state_bytes());
    }
    let rest = op.state_bytes();
    assert!(peak > 4_000_000 && rest < peak / 8, "{rest} of {peak} bytes are left");
}

fn berlin(step: Length, size: Length, growing: bool) -> WindowKind {
    WindowKind::Calendar(CalendarWindows { step, size, growing, offset_ms: 0, zone: "Europe/Berlin".into() })
}

/// Clocks are set from 2:00 to 3:00 on 31 March 2024. Event times are UTC, windows show Berlin's clocks.
#[test]
fn a_day_of_the_calendar_is_23_hours_where_clocks_are_set_forward() {
    let day = Length::Ms(24 * 60 * MINUTE);
    let script = "
        2024-03-30 22:59:59.999 | 1.00 | A | NULL | NULL | NULL
        2024-03-30 23:00 | 2.00 | A | NULL | NULL | NULL
        2024-03-31 21:59:59.999 | 3.00 | A | NULL | NULL | NULL
        watermark 2024-03-31 22:00
        2024-03-31 21:00 @2024-03-31 22:00 | 9.00 | A | NULL | NULL | NULL  // its day has ended
        2024-03-31 22:00 | 4.00 | A | NULL | NULL | NULL
        ----
        watermark 2024-03-31 22:00
        2024-03-30 22:59:59.999 | 2024-03-30 00:00 | 2024-03-31 00:00 | 2024-03-30 22:59:59.999 | 1.00
        2024-03-31 21:59:59.999 | 2024-03-31 00:00 | 2024-04-01 00:00 | 2024-03-31 21:59:59.999 | 5.00
        watermark end
        2024-04-01 21:59:59.999 | 2024-04-01 00:00 | 2024-04-02 00:00 | 2024-04-01 21:59:59.999 | 4.00
        refused 1";
    run(berlin(day, day, false), &[], vec![sum()], script);
}

/// On 27 October they are set from 3:00 back to 2:00: of a month that grows by days, the last days.
#[test]
fn a_month_of_the_calendar_grows_by_a_day_of_25_hours() {
    let script = "
        2024-10-26 12:00 | 1.00 | A | NULL | NULL | NULL
        2024-10-27 22:30 | 2.00 | A | NULL | NULL | NULL
        2024-10-31 22:59:59.999 | 4.00 | A | NULL | NULL | NULL
        watermark 2024-10-26 22:00
        2024-10-26 21:00 @2024-10-26 22:00 | 8.00 | A | NULL | NULL | NULL  // October 26 has ended, the month has not
        watermark 2024-10-27 23:00
        2024-11-29 23:00 | 16.00 | A | NULL | NULL | NULL
        watermark 2024-11-01 23:00
        ----
        watermark 2024-10-26 22:00
        2024-10-26 21:59:59.999 | 2024-10-01 00:00 | 2024-10-27 00:00 | 2024-10-26 21:59:59.999 | 1.00
        watermark 2024-10-27 23:00
        2024-10-27 22:59:59.999 | 2024-10-01 00:00 | 2024-10-28 00:00 | 2024-10-27 22:59:59.999 | 11.00
        watermark 2024-11-01 23:00
        2024-10-28 22:59:59.999 | 2024-10-01 00:00 | 2024-10-29 00:00 | 2024-10-28 22:59:59.999 | 11.00
        2024-10-29 22:59:59.999 | 2024-10-01 00:00 | 2024-10-30 00:00 | 2024-10-29 22:59:59.999 | 11.00
        2024-10-30 22:59:59.999 | 2024-10-01 00:00 | 2024-10-31 00:00 | 2024-10-30 22:59:59.999 | 11.00
        2024-10-31 22:59:59.999 | 2024-10-01 00:00 | 2024-11-01 00:00 | 2024-10-31 22:59:59.999 | 15.00
        watermark end
        2024-11-30 22:59:59.999 | 2024-11-01 00:00 | 2024-12-01 00:00 | 2024-11-30 22:59:59.999 | 16.00";
    let day = Length::Ms(24 * 60 * MINUTE);
    run(berlin(day, Length::Months(1), true), &[], vec![sum()], script);
}
