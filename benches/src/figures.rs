//! From measurements to figures: alternating runs, medians, the ratio to the limit.

use crate::measure::{Checkpoints, Found, Output, Side, Task};
use crate::workload::Workload;
use anyhow::{Result, ensure};
use comfy_table::{CellAlignment, Table};
use serde::Serialize;

/// One figure. A field without meaning is `None`, `null` in JSON.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// What was measured.
    pub workload: String,
    /// Worker threads.
    pub workers: usize,
    /// Where results went.
    pub output: Option<Output>,
    /// Rows of input.
    pub rows: u64,
    /// Input rows a second, by the clock.
    pub rows_per_s: f64,
    /// CPU time of all threads per input row.
    pub cpu_ns_per_row: f64,
    /// The same of the hand-written loop with as many threads.
    pub limit_rows_per_s: Option<f64>,
    /// CPU time of the loop per input row: on a machine that others use too, the fairer comparison.
    pub limit_cpu_ns_per_row: Option<f64>,
    /// Rows a second over those of the loop.
    pub ratio_to_limit: Option<f64>,
    /// The most memory the process ever held, rows in memory included.
    pub peak_rss_bytes: u64,
    /// Checkpoints taken, the bytes of state of the largest, and the pause of a step for one (p99), of the last run.
    pub checkpoints: Option<Checkpoints>,
}

impl Figure {
    fn new(
        workload: impl Into<String>,
        workers: usize,
        output: Option<Output>,
        found: &[Found],
        limit: Option<&[Found]>,
    ) -> Self {
        let rows_per_s = median(found.iter().map(|f| f.rows as f64 / f.seconds));
        let cpu_ns = |found: &[Found]| median(found.iter().map(|f| f.cpu_seconds * 1e9 / f.rows as f64));
        let limit_rows_per_s = limit.map(|l| median(l.iter().map(|f| f.rows as f64 / f.seconds)));
        Self {
            workload: workload.into(),
            workers,
            output,
            rows: found.first().map_or(0, |f| f.rows),
            rows_per_s,
            cpu_ns_per_row: cpu_ns(found),
            limit_rows_per_s,
            limit_cpu_ns_per_row: limit.map(cpu_ns),
            ratio_to_limit: limit_rows_per_s.map(|l| rows_per_s / l),
            peak_rss_bytes: median(found.iter().map(|f| f.peak_rss_bytes as f64)) as u64,
            checkpoints: found.last().and_then(|f| f.checkpoints),
        }
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut v: Vec<f64> = values.collect();
    v.sort_by(f64::total_cmp);
    match v.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => v[n / 2],
        n => (v[n / 2 - 1] + v[n / 2]) / 2.0,
    }
}

/// How to measure.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Rows of input.
    pub rows: usize,
    /// Runs of each side; the figure is their median.
    pub runs: usize,
}

impl Plan {
    /// The engine and its limit in turn; their outputs must agree.
    pub fn against_limit(self, workload: Workload, workers: usize) -> Result<Figure> {
        let (mut engine, mut limit) = (Vec::new(), Vec::new());
        for _ in 0..self.runs {
            let task = |side| Task { side, workload, workers, rows: self.rows, output: Output::Sums };
            let (e, l) = (task(Side::Engine).spawn()?, task(Side::Loop).spawn()?);
            ensure!(e.check == l.check, "{}: engine {:?}, loop {:?}", workload.name(), e.check, l.check);
            engine.push(e);
            limit.push(l);
        }
        Ok(Figure::new(workload.name(), workers, Some(Output::Sums), &engine, Some(&limit)))
    }

    /// The engine with a checkpoint a second; its limit is the engine without, in turn, with the same output. Both must
    /// answer as many rows.
    pub fn kept(self, workload: Workload, workers: usize, output: Output) -> Result<Figure> {
        let (mut kept, mut limit) = (Vec::new(), Vec::new());
        for _ in 0..self.runs {
            let task = |side| Task { side, workload, workers, rows: self.rows, output };
            let (k, l) = (task(Side::Kept).spawn()?, task(Side::Engine).spawn()?);
            ensure!(k.check.rows == l.check.rows, "{}: {:?} kept, {:?} without", workload.name(), k.check, l.check);
            kept.push(k);
            limit.push(l);
        }
        let name = match output {
            Output::Sums => format!("{}_checkpoints", workload.name()),
            Output::Csv => format!("{}_checkpoints_csv", workload.name()),
            Output::Parquet => format!("{}_checkpoints_parquet", workload.name()),
        };
        Ok(Figure::new(name, workers, Some(output), &kept, Some(&limit)))
    }

    /// One reader and its limit in turn, over the same lines.
    pub fn decoding(self, name: &str, side: Side, limit: Side) -> Result<Figure> {
        let (mut found, mut limits) = (Vec::new(), Vec::new());
        for _ in 0..self.runs {
            let task = |side| Task { side, workload: Workload::W4, workers: 1, rows: self.rows, output: Output::Sums };
            found.push(task(side).spawn()?);
            limits.push(task(limit).spawn()?);
        }
        Ok(Figure::new(name, 1, None, &found, Some(&limits)))
    }

    /// One side alone.
    pub fn alone(self, name: &str, side: Side, workload: Workload) -> Result<Figure> {
        let task = Task { side, workload, workers: 1, rows: self.rows, output: Output::Sums };
        let found = (0..self.runs).map(|_| task.spawn()).collect::<Result<Vec<_>>>()?;
        Ok(Figure::new(name, 1, None, &found, None))
    }
}

/// The figures as a table, with what they mean for two workers and the digest.
pub fn table(figures: &[Figure]) -> String {
    let mut table = Table::new();
    table.load_preset(comfy_table::presets::ASCII_MARKDOWN);
    table.set_header([
        "workload",
        "workers",
        "M rows/s",
        "CPU ns/row",
        "limit M rows/s",
        "limit ns/row",
        "of limit",
        "peak MiB",
    ]);
    for f in figures {
        let millions = |v: f64| format!("{:.2}", v / 1e6);
        table.add_row([
            f.workload.clone(),
            f.workers.to_string(),
            millions(f.rows_per_s),
            format!("{:.1}", f.cpu_ns_per_row),
            f.limit_rows_per_s.map(millions).unwrap_or_default(),
            f.limit_cpu_ns_per_row.map(|v| format!("{v:.1}")).unwrap_or_default(),
            f.ratio_to_limit.map(|r| format!("{r:.2}")).unwrap_or_default(),
            format!("{}", f.peak_rss_bytes >> 20),
        ]);
    }
    table.column_iter_mut().skip(1).for_each(|c| c.set_cell_alignment(CellAlignment::Right));
    format!("{table}\n{}", scaling(figures))
}

fn scaling(figures: &[Figure]) -> String {
    let find = |name: &str, workers| figures.iter().find(|f| f.workload == name && f.workers == workers);
    let mut text = String::new();
    for w in Workload::ALL {
        let (Some(one), Some(two)) = (find(w.name(), 1), find(w.name(), 2)) else { continue };
        let own = two.rows_per_s / one.rows_per_s;
        let limit = two.limit_rows_per_s.zip(one.limit_rows_per_s).map_or(f64::NAN, |(t, o)| t / o);
        text += &format!("{}: two workers are {own:.2} × one; two threads of the loop {limit:.2} ×\n", w.name());
    }
    if let (Some(digest), Some(w3)) = (find("digest_of_w3", 1), find(Workload::W3.name(), 1)) {
        let share = digest.cpu_ns_per_row / w3.cpu_ns_per_row * 100.0;
        text += &format!("digest: {share:.1} % of the CPU time of {}\n", w3.workload);
    }
    text
}
