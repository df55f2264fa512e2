//! Aggregates that need all values at once, or two columns, as scripts. Expected values are worked out by hand.

use super::tests::{aggregate, bids, hop, node, run, tumble};
use super::{bags::LISTAGG_BYTES_MAX, operator};
use arrow::array::{ArrayRef, Decimal128Array, StringArray, new_null_array};
use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;
use highwater_engine::batch::Batch;
use highwater_engine::graph::{Aggregate, AggregateFunction as F};
use highwater_engine::operator::Output;
use highwater_engine::parts::Role;
use highwater_engine::time::{Progress, Watermark};
use std::sync::Arc;

const PRICE: usize = 0;
const ITEM: usize = 1;
const QUANTITY: usize = 3;
const FINE: DataType = DataType::Decimal128(38, 6);

fn list(by: Option<usize>, descending: bool) -> Aggregate {
    let function = F::ListAgg { descending, nulls_first: !descending };
    Aggregate { by, separator: "-".into(), ..aggregate(function, Some(ITEM), DataType::Utf8, "LISTAGG(item)") }
}

#[test]
fn percentiles_lie_between_the_prices_next_to_their_place() {
    let p = |millionths| aggregate(F::PercentileCont { millionths }, Some(PRICE), FINE, "p");
    let near = aggregate(F::ApproxPercentile { millionths: 750_000 }, Some(PRICE), DataType::Decimal128(10, 2), "near");
    run(
        tumble(10),
        &[],
        vec![p(500_000), p(0), p(333_333), near],
        "2020-04-15 08:01 | 4.00 | A | s | 1 | true
         2020-04-15 08:02 | NULL | B | s | 1 | true
         2020-04-15 08:03 | 1.00 | C | s | 1 | true
         2020-04-15 08:04 | 1.00 | C | s | 1 | true
         2020-04-15 08:05 | 1000.00 | C | s | 1 | true
         2020-04-15 08:11 | NULL | C | s | 1 | true
         ----
         2020-04-15 08:09:59.999 | 2020-04-15 08:00 | 2020-04-15 08:10 | 2020-04-15 08:09:59.999 | 2.500000 | 1.000000 | 1.000000 | 4.01
         // 750,000 of four values: the third, 4.00, whose bucket is 4.00 and 4.01
         2020-04-15 08:19:59.999 | 2020-04-15 08:10 | 2020-04-15 08:20 | 2020-04-15 08:19:59.999 | NULL | NULL | NULL | NULL",
    );
}

#[test]
fn what_left_a_hopping_window_is_in_no_percentile_list_or_count() {
    let median = aggregate(F::PercentileCont { millionths: 500_000 }, Some(PRICE), FINE, "median");
    let items = aggregate(F::ApproxCountDistinct, Some(ITEM), DataType::Int64, "items");
    run(
        hop(5, 10),
        &[],
        vec![median, list(None, false), items],
        "2020-04-15 08:01 | 4.00 | A | s | 1 | true
         2020-04-15 08:06 | 2.00 | B | s | 1 | true
         2020-04-15 08:07 | 9.00 | A | s | 1 | true
         2020-04-15 08:12 | 1.00 | NULL | s | 1 | true
         ----
         2020-04-15 08:04:59.999 | 2020-04-15 07:55 | 2020-04-15 08:05 | 2020-04-15 08:04:59.999 | 4.000000 | A | 1
         2020-04-15 08:09:59.999 | 2020-04-15 08:00 | 2020-04-15 08:10 | 2020-04-15 08:09:59.999 | 4.000000 | A-B-A | 2
         2020-04-15 08:14:59.999 | 2020-04-15 08:05 | 2020-04-15 08:15 | 2020-04-15 08:14:59.999 | 2.000000 | B-A | 2
         2020-04-15 08:19:59.999 | 2020-04-15 08:10 | 2020-04-15 08:20 | 2020-04-15 08:19:59.999 | 1.000000 | NULL | 0",
    );
}

#[test]
fn a_list_goes_by_its_order_then_by_the_order_of_rows() {
    run(
        tumble(10),
        &[],
        vec![list(None, false), list(Some(PRICE), false), list(Some(PRICE), true)],
        "2020-04-15 08:04 | 2.00 | D | s | 1 | true
         2020-04-15 08:01 | 2.00 | A | s | 1 | true
         2020-04-15 08:02 | NULL | B | s | 1 | true
         2020-04-15 08:03 | 1.00 | C | s | 1 | true
         2020-04-15 08:05 | 5.00 | NULL | s | 1 | true
         ----
         2020-04-15 08:09:59.999 | 2020-04-15 08:00 | 2020-04-15 08:10 | 2020-04-15 08:09:59.999 | A-B-C-D | B-C-A-D | A-D-C-B",
    );
}

#[test]
fn covariance_counts_rows_where_neither_is_null() {
    let pair =
        |function, returns| Aggregate { by: Some(QUANTITY), ..aggregate(function, Some(PRICE), returns, "pair") };
    run(
        tumble(10),
        &[],
        vec![pair(F::CovarPop, FINE), pair(F::CovarSamp, FINE), pair(F::Corr, DataType::Float64)],
        "2020-04-15 08:01 | 1.00 | A | s | 2 | true
         2020-04-15 08:02 | 2.00 | A | s | 4 | true
         2020-04-15 08:03 | NULL | A | s | 400 | true
         2020-04-15 08:04 | 900.00 | A | s | NULL | true
         2020-04-15 08:05 | 3.00 | A | s | 6 | true
         2020-04-15 08:11 | 3.00 | A | s | 6 | true
         2020-04-15 08:21 | NULL | A | s | 6 | true
         ----
         2020-04-15 08:09:59.999 | 2020-04-15 08:00 | 2020-04-15 08:10 | 2020-04-15 08:09:59.999 | 1.333333 | 2.000000 | 1.0
         2020-04-15 08:19:59.999 | 2020-04-15 08:10 | 2020-04-15 08:20 | 2020-04-15 08:19:59.999 | 0.000000 | NULL | NULL
         2020-04-15 08:29:59.999 | 2020-04-15 08:20 | 2020-04-15 08:30 | 2020-04-15 08:29:59.999 | NULL | NULL | NULL",
    );
}

#[test]
fn a_list_that_is_too_long_names_its_key_and_grows_no_further() {
    let (node, spec) = node(&bids(), tumble(10), &[2], vec![list(None, false)]);
    let mut op = operator(&node, &spec, &bids(), Role::Whole).unwrap();
    let rows = 1_000;
    let text = "x".repeat(1_000);
    let mut bytes = 0;
    for minute in 0..5 {
        let column = |s: &str| -> ArrayRef { Arc::new(StringArray::from(vec![s; rows])) };
        let price: ArrayRef =
            Arc::new(Decimal128Array::from(vec![1; rows]).with_data_type(DataType::Decimal128(10, 2)));
        let nulls = |t: DataType| new_null_array(&t, rows);
        let columns = vec![price, column(&text), column("s1"), nulls(DataType::Int32), nulls(DataType::Boolean)];
        let batch = RecordBatch::try_new(bids(), columns).unwrap();
        op.on_batch(0, Batch::new(batch, vec![minute; rows].into()), &mut Output::default()).unwrap();
        bytes = op.state_bytes();
    }
    assert!(bytes < 3 * LISTAGG_BYTES_MAX, "{bytes}");
    let done = Progress { watermark: Watermark::new(i64::MAX), cut: 0 };
    let error = op.on_watermark(done, &mut Output::default()).unwrap_err().message;
    assert!(error.contains("LISTAGG(item) of supplier=s1 in [1970-01-01T00:00:00"), "{error}");
    assert!(error.contains("FILTER"), "{error}");
}
