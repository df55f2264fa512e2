//! Two summaries: equal, or the first sink and event-time bucket that differ.

use super::Verdict;
use crate::failure::Failure;
use crate::instant::{show_duration, show_instant};
use crate::summary::{SinkSummary, Summary};
use highwater_engine::digest::{Buckets, Difference, Digest};
use highwater_engine::graph::TimeRange;

/// Compares the sinks of two runs within `range`.
pub(super) fn compare(a: &Summary, b: &Summary, range: TimeRange) -> Result<Verdict, Failure> {
    let mut rows = 0;
    for sink in &a.sinks {
        let Some(other) = b.sinks.iter().find(|s| s.name == sink.name) else {
            return Ok(Verdict::Different(format!("sink {} is only in A", sink.name)));
        };
        match compare_sinks(sink, other, range)? {
            Ok(compared) => rows += compared,
            Err(difference) => return Ok(Verdict::Different(difference)),
        }
    }
    if let Some(extra) = b.sinks.iter().find(|s| a.sinks.iter().all(|t| t.name != s.name)) {
        return Ok(Verdict::Different(format!("sink {} is only in B", extra.name)));
    }
    Ok(Verdict::Equal(format!("{rows} rows of {} sinks", a.sinks.len())))
}

/// Rows compared, or the difference.
fn compare_sinks(a: &SinkSummary, b: &SinkSummary, range: TimeRange) -> Result<Result<i64, String>, Failure> {
    let width_ms = a.buckets.width_ms.max(b.buckets.width_ms);
    let part = |sink: &SinkSummary| -> Result<Buckets, Failure> {
        let folded = sink.buckets.fold(width_ms).ok_or_else(|| {
            Failure::usage(format!("compare: buckets of {} ms do not fold into {width_ms} ms", sink.buckets.width_ms))
        })?;
        folded.range(range.from_ms, range.to_ms).ok_or_else(|| off_edge(&a.name, width_ms, range))
    };
    let (part_a, part_b) = (part(a)?, part(b)?);
    if let Some(difference) = part_a.first_difference(&part_b) {
        return Ok(Err(describe(&a.name, &difference)));
    }
    if range == TimeRange::ALL && (a.rows, a.digest) != (b.rows, b.digest) {
        let side = |s: &SinkSummary| format!("{} rows, digest {}", s.rows, s.digest);
        return Ok(Err(format!("sink {}: {} and {}, though no bucket differs", a.name, side(a), side(b))));
    }
    Ok(Ok(part_a.total().0))
}

fn off_edge(sink: &str, width_ms: i64, range: TimeRange) -> Failure {
    let open = |t: i64| t == i64::MIN || t == i64::MAX || t.rem_euclid(width_ms) == 0;
    let edge = if open(range.from_ms) { range.to_ms } else { range.from_ms };
    let below = edge - edge.rem_euclid(width_ms);
    Failure::usage(format!(
        "compare: {} is not on an edge of the buckets of sink {sink}, which are {} wide (the edges around it: {} and {}); \
         compare the folders of the sink's outputs instead",
        show_instant(edge),
        show_duration(width_ms),
        show_instant(below),
        show_instant(below.saturating_add(width_ms)),
    ))
}

fn describe(sink: &str, difference: &Difference) -> String {
    let side = |(rows, digest): (i64, Digest)| match rows {
        0 => "no rows".to_string(),
        _ => format!("{rows} rows, digest {digest}"),
    };
    format!(
        "sink {sink}, event time {} to {}:\n  A: {}\n  B: {}",
        show_instant(difference.start_ms),
        show_instant(difference.start_ms.saturating_add(difference.width_ms)),
        side(difference.left),
        side(difference.right)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use highwater_engine::digest::Bucket;

    fn summary(width_ms: i64, buckets: &[(i64, i64, u128)]) -> Summary {
        let total = buckets.iter().fold(0u128, |d, b| d.wrapping_add(b.2));
        let rows = buckets.iter().map(|(s, r, d)| Bucket(*s, *r, Digest(*d))).collect();
        Summary {
            elapsed_s: 1.0,
            rows_per_s: 1.0,
            peak_rss_bytes: 1,
            sources: vec![],
            sinks: vec![SinkSummary {
                name: "alerts".into(),
                rows: buckets.iter().map(|b| b.1 as u64).sum(),
                digest: Digest(total),
                buckets: Buckets { width_ms, rows },
            }],
            latency_ms: None,
        }
    }

    #[test]
    fn finer_buckets_fold_into_coarser_ones() {
        let fine = summary(1000, &[(-1000, 1, u128::MAX), (0, 1, 5), (1000, 2, u128::MAX), (2000, 1, 7)]);
        let coarse = summary(2000, &[(-2000, 1, u128::MAX), (0, 3, 4), (2000, 1, 7)]);
        assert_eq!(compare(&fine, &coarse, TimeRange::ALL).unwrap(), Verdict::Equal("5 rows of 1 sinks".into()));
    }

    #[test]
    fn the_first_bucket_that_differs_is_named() {
        let a = summary(1000, &[(0, 1, 5), (1000, 2, 6), (2000, 1, 7)]);
        let b = summary(1000, &[(0, 1, 5), (1000, 2, 8), (2000, 1, 9)]);
        let Verdict::Different(text) = compare(&a, &b, TimeRange::ALL).unwrap() else { panic!("equal") };
        assert!(text.starts_with("sink alerts, event time 1970-01-01 00:00:01 to 1970-01-01 00:00:02"), "{text}");
        let before = TimeRange { from_ms: i64::MIN, to_ms: 1000 };
        assert_eq!(compare(&a, &b, before).unwrap(), Verdict::Equal("1 rows of 1 sinks".into()));
    }

    #[test]
    fn a_range_off_the_edges_needs_the_outputs() {
        let a = summary(2000, &[(0, 1, 5)]);
        let error = compare(&a, &a, TimeRange { from_ms: 1000, to_ms: i64::MAX }).unwrap_err().to_string();
        assert!(error.contains("buckets of sink alerts, which are 2 s wide"), "{error}");
        assert!(error.contains("folders"), "{error}");
    }
}
