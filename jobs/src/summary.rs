//! The summary of a run as JSON: what was read, written and measured. `compare` reads it back.
//!
//! A sink's buckets split its digest by event time: see [`highwater_engine::digest`].

use crate::failure::Failure;
use hdrhistogram::Histogram;
use highwater_engine::digest::{Buckets, Digest};
use highwater_engine::flow::{Report, SinkReport, SourceReport};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What a run read, wrote and measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Seconds from the first read to the last commit.
    pub elapsed_s: f64,
    /// Rows read per second by this run: what it went on from is not counted.
    pub rows_per_s: f64,
    /// Largest resident set of the process.
    pub peak_rss_bytes: u64,
    /// The inputs.
    pub sources: Vec<SourceSummary>,
    /// The outputs.
    pub sinks: Vec<SinkSummary>,
    /// From row decoded to result handed to the sink; none where a bounded run went as fast as it could.
    pub latency_ms: Option<LatencyMs>,
}

/// An input of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SourceSummary {
    /// The table.
    pub name: String,
    /// Rows decoded.
    pub rows: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Rows behind their partition's watermark.
    pub late: u64,
    /// Rows of `t$errors`.
    pub errors: u64,
}

/// An output of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SinkSummary {
    /// The table.
    pub name: String,
    /// Rows written.
    pub rows: u64,
    /// Digest of all rows: 32 hex digits.
    pub digest: Digest,
    /// The same, by event time.
    pub buckets: Buckets,
}

impl SinkSummary {
    /// Adds what another node wrote to the same table.
    fn add(&mut self, other: &SinkReport) {
        self.rows += other.rows;
        self.digest = Digest(self.digest.0.wrapping_add(other.digest.0));
        let width_ms = self.buckets.width_ms.max(other.buckets.width_ms);
        let folded = |b: &Buckets| b.fold(width_ms).map_or_else(Vec::new, |b| b.rows);
        let mut all = folded(&self.buckets);
        all.extend(folded(&other.buckets));
        all.sort_by_key(|b| b.0);
        // Folding to the same width adds up the buckets that now stand side by side.
        let both = Buckets { width_ms, rows: all };
        self.buckets = both.fold(width_ms).unwrap_or(both);
    }
}

/// Latency of results.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LatencyMs {
    /// Median.
    pub p50: f64,
    /// 99 %.
    pub p99: f64,
    /// 99.9 %.
    pub p999: f64,
    /// The largest.
    pub max: f64,
}

impl LatencyMs {
    fn of(us: &Histogram<u64>) -> Self {
        let at = |q: f64| us.value_at_quantile(q) as f64 / 1000.0;
        Self { p50: at(0.5), p99: at(0.99), p999: at(0.999), max: us.max() as f64 / 1000.0 }
    }
}

impl Summary {
    /// The summary of a run. Nodes that write the same table are one sink.
    pub fn of(report: &Report, peak_rss_bytes: u64) -> Self {
        let elapsed_s = report.elapsed.as_secs_f64();
        let all: u64 = report.sources.iter().map(|s| s.rows).sum();
        let rows = all.saturating_sub(report.resumed.map_or(0, |r| r.rows));
        let mut sinks: Vec<SinkSummary> = Vec::new();
        for s in &report.sinks {
            match sinks.iter_mut().find(|t| t.name == s.table) {
                Some(sink) => sink.add(s),
                None => sinks.push(SinkSummary {
                    name: s.table.clone(),
                    rows: s.rows,
                    digest: s.digest,
                    buckets: s.buckets.clone(),
                }),
            }
        }
        let source = |s: &SourceReport| SourceSummary {
            name: s.table.clone(),
            rows: s.rows,
            bytes: s.bytes,
            late: s.late,
            errors: s.errors,
        };
        Self {
            elapsed_s,
            rows_per_s: if elapsed_s > 0.0 { rows as f64 / elapsed_s } else { 0.0 },
            peak_rss_bytes,
            sources: report.sources.iter().map(source).collect(),
            sinks,
            latency_ms: report.latency_us.as_ref().map(LatencyMs::of),
        }
    }

    /// Reads a summary.
    ///
    /// # Errors
    /// A file that can't be read or is no summary.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(path)
            .map_err(|e| Failure::usage(format!("{}: can't be read: {e}", path.display())))?;
        serde_json::from_str(&text)
            .map_err(|e| Failure::usage(format!("{}: not a summary of highwater run --summary: {e}", path.display())))
    }

    /// Writes the summary, complete or not at all.
    ///
    /// # Errors
    /// A folder that can't be written.
    pub fn write(&self, path: &Path) -> Result<(), Failure> {
        let fail = |e: std::io::Error| Failure::job(format!("summary {}: can't be written: {e}", path.display()));
        let mut text = serde_json::to_string_pretty(self).map_err(|e| Failure::job(e.to_string()))?;
        text.push('\n');
        if !path.parent().is_some_and(|p| p.as_os_str().is_empty() || p.is_dir()) {
            return Err(Failure::job(format!("summary {}: there is no such folder", path.display())));
        }
        if path.exists() && !path.is_file() {
            return std::fs::write(path, text).map_err(fail); // a device: /dev/stdout
        }
        let mut staged = path.as_os_str().to_owned();
        staged.push(".part");
        std::fs::write(&staged, text).and_then(|()| std::fs::rename(&staged, path)).map_err(fail)
    }
}
