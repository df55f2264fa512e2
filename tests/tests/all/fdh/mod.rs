//! The published rolling features of the Fraud Detection Handbook's payments, to the last row.
//!
//! 288,062 payments of 30 days. For each: count and mean over 1 and 7 days of its customer, count and share of frauds of
//! its terminal over 1 and 7 days that end 7 days before it, weekend and night. The data's README has the exact meaning;
//! frames in SQL include the lower edge, so on whole seconds "N days" there is N days − 1 s here.

mod data;
mod published;

use data::{Layout, Order, Prepared};
use highwater_engine::digest::Digest;
use highwater_jobs::job::Outcome;
use highwater_tests::{Setting, run};

/// The watermark's bound, and the disorder of the shuffled input.
const BOUND_MS: i64 = 3_600_000;

const FEATURES: &str = "
CREATE TABLE features (
  transaction_id BIGINT,
  customer_nb_tx_1d BIGINT, customer_sum_cents_1d BIGINT, customer_avg_cents_1d DECIMAL(38, 6),
  customer_nb_tx_7d BIGINT, customer_sum_cents_7d BIGINT, customer_avg_cents_7d DECIMAL(38, 6),
  terminal_nb_tx_1d BIGINT, terminal_nb_fraud_1d BIGINT, terminal_risk_1d DECIMAL(20, 11),
  terminal_nb_tx_7d BIGINT, terminal_nb_fraud_7d BIGINT, terminal_risk_7d DECIMAL(20, 11),
  during_weekend INT, during_night INT
) WITH ('connector' = 'table', 'max-rows' = '400000');

CREATE VIEW rolling AS
SELECT
  transaction_id, ts,
  COUNT(*) OVER c1 AS cn1, SUM(amount_cents) OVER c1 AS cs1, AVG(CAST(amount_cents AS DECIMAL(12, 0))) OVER c1 AS ca1,
  COUNT(*) OVER c7 AS cn7, SUM(amount_cents) OVER c7 AS cs7, AVG(CAST(amount_cents AS DECIMAL(12, 0))) OVER c7 AS ca7,
  COUNT(*) OVER t1 AS tn1, COALESCE(SUM(is_fraud) OVER t1, 0) AS tf1,
  COUNT(*) OVER t7 AS tn7, COALESCE(SUM(is_fraud) OVER t7, 0) AS tf7
FROM transactions
WINDOW
  c1 AS (PARTITION BY customer_id ORDER BY ts
         RANGE BETWEEN INTERVAL '0 23:59:59' DAY TO SECOND PRECEDING AND CURRENT ROW),
  c7 AS (PARTITION BY customer_id ORDER BY ts
         RANGE BETWEEN INTERVAL '6 23:59:59' DAY TO SECOND PRECEDING AND CURRENT ROW),
  t1 AS (PARTITION BY terminal_id ORDER BY ts
         RANGE BETWEEN INTERVAL '7 23:59:59' DAY TO SECOND PRECEDING AND INTERVAL '7' DAY PRECEDING),
  t7 AS (PARTITION BY terminal_id ORDER BY ts
         RANGE BETWEEN INTERVAL '13 23:59:59' DAY(2) TO SECOND PRECEDING AND INTERVAL '7' DAY PRECEDING);

INSERT INTO features
SELECT
  transaction_id, cn1, cs1, ca1, cn7, cs7, ca7,
  tn1, tf1,
  CASE WHEN tn1 = 0 THEN CAST(0 AS DECIMAL(20, 11))
       ELSE CAST(CAST(tf1 AS DECIMAL(10, 0)) / CAST(tn1 AS DECIMAL(10, 0)) AS DECIMAL(20, 11)) END,
  tn7, tf7,
  CASE WHEN tn7 = 0 THEN CAST(0 AS DECIMAL(20, 11))
       ELSE CAST(CAST(tf7 AS DECIMAL(10, 0)) / CAST(tn7 AS DECIMAL(10, 0)) AS DECIMAL(20, 11)) END,
  CASE WHEN DAYOFWEEK(ts) = 1 OR DAYOFWEEK(ts) = 7 THEN 1 ELSE 0 END,
  CASE WHEN EXTRACT(HOUR FROM ts) <= 6 THEN 1 ELSE 0 END
FROM rolling;
";

fn job(input: &Prepared) -> String {
    format!(
        "CREATE TABLE transactions (
           transaction_id BIGINT, event_time_ms BIGINT, customer_id BIGINT, terminal_id BIGINT, amount_cents BIGINT,
           is_fraud INT, fraud_scenario INT,
           ts AS TO_TIMESTAMP_LTZ(event_time_ms, 3),
           WATERMARK FOR ts AS ts - INTERVAL '{}' SECOND(5)
         ) WITH ('connector' = 'filesystem', 'path' = '{}', {});
         {FEATURES}",
        BOUND_MS / 1000,
        input.folder.path().display(),
        input.format_options,
    )
}

fn checked_run(input: &Prepared, setting: Setting) -> Outcome {
    let outcome = run(&job(input), &[], setting).unwrap_or_else(|e| panic!("{input:?} {setting:?}: {e}"));
    let source = &outcome.report.sources[0];
    assert_eq!((source.rows, source.late, source.errors), (input.rows as u64, 0, 0), "{input:?} {setting:?}");
    assert_eq!(outcome.report.sinks[0].rows, input.rows as u64, "{input:?} {setting:?}");
    outcome
}

fn digest(outcome: &Outcome) -> Digest {
    outcome.report.sinks[0].digest
}

#[test]
fn all_published_features_come_out_exactly() {
    let Some(source) = data::Source::open() else { return };
    let input = source.prepare(Layout::Parquet, Order::Sorted, false, None);
    let outcome = checked_run(&input, Setting::of_workers(2));
    published::compare(&source, outcome.table("features").unwrap());
    let expected = digest(&outcome);

    for layout in [Layout::Parquet, Layout::Csv] {
        for order in [Order::Sorted, Order::Shuffled] {
            for file_per_day in [false, true] {
                let input = source.prepare(layout, order, file_per_day, None);
                for workers in [1, 2, 4] {
                    for batch_rows in [64, 8192] {
                        let setting = Setting { workers, batch_rows, epoch_rows: 0 };
                        let outcome = checked_run(&input, setting);
                        assert_eq!(digest(&outcome), expected, "{input:?} {setting:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn three_days_come_out_alike_row_by_row() {
    let Some(source) = data::Source::open() else { return };
    let mut seen = Vec::new();
    for (layout, order) in [(Layout::Parquet, Order::Sorted), (Layout::Csv, Order::Shuffled)] {
        let input = source.prepare(layout, order, true, Some(3));
        for workers in [1, 2] {
            for batch_rows in [1, 8192] {
                let setting = Setting { workers, batch_rows, epoch_rows: 0 };
                seen.push(digest(&checked_run(&input, setting)));
            }
        }
    }
    assert!(seen.windows(2).all(|w| w[0] == w[1]), "{seen:?}");
}
