//! Two summaries: equal, or the first sink and event-time bucket that differ.

use super::Verdict;
use crate::failure::Failure;
use crate::instant::{show_duration, show_instant};
use crate::summary::{Buckets, SinkSummary, Summary};
use highwater_engine::graph::TimeRange;
use std::collections::BTreeMap;

/// Rows and digest of a bucket.
type Cell = (u64, u128);

/// Compares the sinks of two runs within `range`.
pub(super) fn compare(a: &Summary, b: &Summary, range: TimeRange) -> Result<Verdict, Failure> {
    let mut rows = 0;
    for sink in &a.sinks {
        let Some(other) = b.sinks.iter().find(|s| s.name == sink.name) else {
            return Ok(Verdict::Different(format!("sink {} is only in the first", sink.name)));
        };
        match compare_sinks(sink, other, range)? {
            Ok(compared) => rows += compared,
            Err(difference) => return Ok(Verdict::Different(difference)),
        }
    }
    if let Some(extra) = b.sinks.iter().find(|s| a.sinks.iter().all(|t| t.name != s.name)) {
        return Ok(Verdict::Different(format!("sink {} is only in the second", extra.name)));
    }
    Ok(Verdict::Equal(format!("{} sinks, {rows} rows", a.sinks.len())))
}

/// Rows compared, or the difference.
fn compare_sinks(a: &SinkSummary, b: &SinkSummary, range: TimeRange) -> Result<Result<u64, String>, Failure> {
    let width = a.buckets.width_ms.max(b.buckets.width_ms);
    if range != TimeRange::ALL {
        check_edges(&a.name, width, range)?;
    }
    let (in_a, in_b) = (fold(&a.buckets, width)?, fold(&b.buckets, width)?);
    let starts = in_a.keys().chain(in_b.keys()).copied().filter(|s| range.contains(*s));
    let first = starts.filter(|s| in_a.get(s) != in_b.get(s)).min();
    if let Some(start) = first {
        return Ok(Err(describe(&a.name, start, width, in_a.get(&start), in_b.get(&start))));
    }
    if range == TimeRange::ALL && (a.rows, &a.digest) != (b.rows, &b.digest) {
        let side = |s: &SinkSummary| format!("{} rows, digest {}", s.rows, s.digest);
        return Ok(Err(format!("sink {}: {} and {}, though no bucket differs", a.name, side(a), side(b))));
    }
    Ok(Ok(in_a.iter().filter(|(s, _)| range.contains(**s)).map(|(_, c)| c.0).sum()))
}

fn check_edges(sink: &str, width: i64, range: TimeRange) -> Result<(), Failure> {
    let on_edge = |t: i64| t == i64::MIN || t == i64::MAX || t.rem_euclid(width) == 0;
    if on_edge(range.from_ms) && on_edge(range.to_ms) {
        return Ok(());
    }
    let below = |t: i64| show_instant(t - t.rem_euclid(width));
    let off = if on_edge(range.from_ms) { range.to_ms } else { range.from_ms };
    Err(Failure::usage(format!(
        "compare: {} is not on an edge of the buckets of sink {sink}, which are {} wide (the edges around it: {} and {}); \
         compare the folders of the sink's outputs instead",
        show_instant(off),
        show_duration(width),
        below(off),
        below(off.saturating_add(width)),
    )))
}

/// The buckets at a width that is a multiple of their own.
fn fold(buckets: &Buckets, width: i64) -> Result<BTreeMap<i64, Cell>, Failure> {
    if buckets.width_ms <= 0 || width % buckets.width_ms != 0 {
        return Err(Failure::usage(format!("compare: buckets of {} ms and {width} ms do not fold", buckets.width_ms)));
    }
    let mut folded: BTreeMap<i64, Cell> = BTreeMap::new();
    for (start, rows, digest) in &buckets.rows {
        let digest = u128::from_str_radix(digest, 16)
            .map_err(|_| Failure::usage(format!("compare: \"{digest}\" is not a digest of 32 hex digits")))?;
        let cell = folded.entry(start - start.rem_euclid(width)).or_default();
        *cell = (cell.0 + rows, cell.1.wrapping_add(digest));
    }
    Ok(folded)
}

fn describe(sink: &str, start: i64, width: i64, a: Option<&Cell>, b: Option<&Cell>) -> String {
    let side = |c: Option<&Cell>| {
        c.map_or_else(|| "no rows".to_string(), |(rows, digest)| format!("{rows} rows, digest {digest:032x}"))
    };
    format!(
        "sink {sink}, event time {} to {}:\n  A: {}\n  B: {}",
        show_instant(start),
        show_instant(start.saturating_add(width)),
        side(a),
        side(b)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(width_ms: i64, buckets: &[(i64, u64, u128)]) -> Summary {
        let total = buckets.iter().fold(0u128, |d, b| d.wrapping_add(b.2));
        Summary {
            elapsed_s: 1.0,
            rows_per_s: 1.0,
            peak_rss_bytes: 1,
            sources: vec![],
            sinks: vec![SinkSummary {
                name: "alerts".into(),
                rows: buckets.iter().map(|b| b.1).sum(),
                digest: format!("{total:032x}"),
                buckets: Buckets {
                    width_ms,
                    rows: buckets.iter().map(|(s, r, d)| (*s, *r, format!("{d:032x}"))).collect(),
                },
            }],
            latency_ms: None,
        }
    }

    #[test]
    fn finer_buckets_fold_into_coarser_ones_modulo_two_to_the_128() {
        let fine = summary(1000, &[(-1000, 1, u128::MAX), (0, 1, 5), (1000, 2, u128::MAX), (2000, 1, 7)]);
        let coarse = summary(2000, &[(-2000, 1, u128::MAX), (0, 3, 4), (2000, 1, 7)]);
        let equal = compare(&fine, &coarse, TimeRange::ALL).unwrap();
        assert_eq!(equal, Verdict::Equal("1 sinks, 5 rows".into()));
    }

    #[test]
    fn the_first_bucket_that_differs_is_named() {
        let a = summary(1000, &[(0, 1, 5), (1000, 2, 6), (2000, 1, 7)]);
        let b = summary(1000, &[(0, 1, 5), (1000, 2, 8), (2000, 1, 9)]);
        let Verdict::Different(text) = compare(&a, &b, TimeRange::ALL).unwrap() else { panic!("equal") };
        assert!(text.starts_with("sink alerts, event time 1970-01-01 00:00:01 to 1970-01-01 00:00:02"), "{text}");
        let before = TimeRange { from_ms: i64::MIN, to_ms: 1000 };
        assert_eq!(compare(&a, &b, before).unwrap(), Verdict::Equal("1 sinks, 1 rows".into()));
    }

    #[test]
    fn a_range_off_the_edges_needs_the_outputs() {
        let a = summary(2000, &[(0, 1, 5)]);
        let error = compare(&a, &a, TimeRange { from_ms: 1000, to_ms: i64::MAX }).unwrap_err().to_string();
        assert!(error.contains("buckets of sink alerts, which are 2 s wide"), "{error}");
        assert!(error.contains("folders"), "{error}");
    }
}
