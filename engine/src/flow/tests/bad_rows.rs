//! A partition that is mostly bad rows ends its job, at the same row however it is read.

use super::*;
use crate::flow::Report;

/// Good rows, then bad ones, in one of two partitions; the other one is good.
fn rows(good: i64, bad: i64) -> Rows {
    let row = |i| (if i < good { i % 3 } else { -1 }, i);
    vec![(0..2_000).map(|i| (i % 5, i)).collect(), (0..good + bad).map(row).collect()]
}

fn go_with(rows: &Rows, bad_rows_max: u32, options: RunOptions) -> Result<Report, JobError> {
    let mut graph = graph();
    let Step::Source(spec) = &mut graph.nodes[0].step else { panic!("the first step is the source") };
    spec.bad_rows_max = bad_rows_max;
    let parts = TestParts {
        rows: rows.clone(),
        split_rows: 900,
        fault: Fault::None,
        written: Arc::default(),
        ended: Arc::default(),
        log: Arc::default(),
    };
    run(&graph, Arc::new(parts), &options, &Control::new())
}

#[test]
fn one_more_bad_row_than_allowed_among_the_last_ones_fails_at_that_row_and_says_which() {
    let several = || {
        [(1, 1, 10), (2, 700, 1_000), (4, 8_192, usize::MAX)].map(|(workers, batch_rows, epoch_rows)| RunOptions {
            workers,
            batch_rows,
            epoch_rows,
            ..RunOptions::default()
        })
    };
    for options in several() {
        let report = go_with(&rows(1_500, 5_000), 5_000, options).unwrap();
        assert_eq!((report.sources[0].rows, report.sources[0].errors), (8_500, 5_000));
    }
    for options in several() {
        let message = go_with(&rows(1_500, 6_000), 5_000, options).unwrap_err().to_string();
        let says = |part: &str| assert!(message.contains(part), "{part} is not in: {message}");
        // rows 1,500 to 6,500 are 5,001
        says(
            "source payments: partition p1, offset 6500: 5001 of the last 10000 rows are bad, and at most 5000 may be",
        );
        says("negative");
        says("'errors.max-share'");
    }
    for options in several() {
        let report = go_with(&rows(0, 12_000), crate::limits::BAD_SHARE_ROWS, options).unwrap();
        assert_eq!(report.sources[0].errors, 12_000, "a share of 1 is never exceeded");
    }
    assert!(go_with(&rows(5, 1), 0, RunOptions::default()).is_err(), "a share of 0 allows none");
}
