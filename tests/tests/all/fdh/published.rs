//! The published values against a job's rows, by the comparison rule of the data's README.

use super::data::Source;
use arrow::array::RecordBatch;
use highwater_tests::{floats, integers};
use std::collections::BTreeMap;

fn whole(batch: &RecordBatch, name: &str) -> Vec<i64> {
    integers(batch, name).into_iter().map(|v| v.unwrap_or_else(|| panic!("{name} is NULL"))).collect()
}

/// Compares every feature of every row.
pub fn compare(source: &Source, features: &RecordBatch) {
    let published = source.file("published_features.parquet");
    let exact = source.file("recomputed_exact.parquet");
    let payments = source.file("transactions.parquet");
    let rows = published.num_rows();
    assert_eq!(rows, 288_062);
    // All are in the order of transaction_id, which is dense; the job's rows are kept in the order of their first column.
    for batch in [&published, &exact, &payments, features] {
        assert_eq!(whole(batch, "transaction_id"), (0..rows as i64).collect::<Vec<_>>());
    }
    let tie: Vec<bool> = whole(&published, "customer_tie").iter().map(|t| *t != 0).collect();
    assert_eq!(tie.iter().filter(|t| **t).count(), 12);
    for days in ["1d", "7d"] {
        customers(days, &published, &exact, &payments, features, &tie);
        terminals(days, &published, &exact, features);
    }
    for name in ["during_weekend", "during_night"] {
        assert_eq!(whole(features, name), whole(&published, name), "{name}");
    }
}

/// Of tied payments each counts the other here, only the second the first there: ours is the larger count of the pair.
fn customers(
    days: &str,
    published: &RecordBatch,
    exact: &RecordBatch,
    payments: &RecordBatch,
    features: &RecordBatch,
    tie: &[bool],
) {
    let count = whole(features, &format!("customer_nb_tx_{days}"));
    let sum = whole(features, &format!("customer_sum_cents_{days}"));
    let mean_cents = floats(features, &format!("customer_avg_cents_{days}"));
    let count_there = whole(published, &format!("customer_nb_tx_{days}"));
    let mean_there = floats(published, &format!("customer_avg_amount_{days}"));
    let sum_there = whole(exact, &format!("customer_sum_cents_{days}"));
    let (customer, time) = (whole(payments, "customer_id"), whole(payments, "event_time_ms"));
    let mut largest: BTreeMap<(i64, i64), i64> = BTreeMap::new();
    for i in (0..tie.len()).filter(|&i| tie[i]) {
        let of_pair = largest.entry((customer[i], time[i])).or_default();
        *of_pair = (*of_pair).max(count_there[i]);
    }
    assert_eq!(largest.len(), 6, "six pairs are tied");
    for i in 0..tie.len() {
        if tie[i] {
            assert_eq!(count[i], largest[&(customer[i], time[i])], "transaction {i}: tied count of {days}");
            continue;
        }
        assert_eq!(count[i], count_there[i], "transaction {i}: count of {days}");
        assert_eq!(sum[i], sum_there[i], "transaction {i}: sum of {days}");
        let there = mean_there[i];
        assert!((mean_cents[i] / 100.0 - there).abs() <= 1e-6, "transaction {i}: mean of {days}: {there}");
        assert_eq!((there * count[i] as f64 * 100.0).round() as i64, sum[i], "transaction {i}: exact mean of {days}");
    }
}

fn terminals(days: &str, published: &RecordBatch, exact: &RecordBatch, features: &RecordBatch) {
    let count = whole(features, &format!("terminal_nb_tx_{days}"));
    let fraud = whole(features, &format!("terminal_nb_fraud_{days}"));
    let risk = floats(features, &format!("terminal_risk_{days}"));
    let risk_there = floats(published, &format!("terminal_risk_{days}"));
    assert_eq!(count, whole(published, &format!("terminal_nb_tx_{days}")), "terminal counts of {days}");
    assert_eq!(fraud, whole(exact, &format!("terminal_nb_fraud_{days}")), "terminal frauds of {days}");
    for i in 0..count.len() {
        assert!((risk[i] - risk_there[i]).abs() <= 1e-9, "transaction {i}: risk of {days}: {}", risk_there[i]);
        assert_eq!((risk_there[i] * count[i] as f64).round() as i64, fraud[i], "transaction {i}: exact risk of {days}");
    }
}
