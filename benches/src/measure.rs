//! One measurement, made in a process of its own: nothing that ran before it warms its memory or raises its peak.

use crate::check::Check;
use crate::workload::Workload;
use crate::{decode, engine, loops, payments};
use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use highwater_engine::builder::Table;
use highwater_engine::digest::DigestBuilder;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// Who does the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Side {
    /// The engine.
    Engine,
    /// The engine with a checkpoint a second.
    Kept,
    /// The hand-written loop.
    Loop,
    /// The digest alone, over rows that the engine wrote.
    Digest,
    /// The CSV reader alone.
    Csv,
    /// The JSON reader alone.
    Json,
    /// `serde_json` into structs, over the same lines.
    SerdeJson,
    /// The Parquet reader alone.
    Parquet,
}

/// Where results go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Output {
    /// They are summed up, counted and digested; nobody sees them.
    Sums,
    /// CSV files in a folder.
    Csv,
    /// Parquet files in a folder.
    Parquet,
}

impl Output {
    /// The table, if it is one of files in `folder`.
    fn table(self, folder: &Path) -> Table {
        let files = |format| {
            let table = Table::new("results", "filesystem");
            table.option("path", folder.join("results").display()).option("format", format)
        };
        match self {
            Self::Sums => Table::new("results", engine::SUMS),
            Self::Csv => files("csv"),
            Self::Parquet => files("parquet"),
        }
    }
}

/// What one process measures.
#[derive(Clone, Copy, Debug, Args)]
pub struct Task {
    /// Who does the work.
    #[arg(long)]
    pub side: Side,
    /// Which work.
    #[arg(long)]
    pub workload: Workload,
    /// Worker threads, or threads of the loop.
    #[arg(long)]
    pub workers: usize,
    /// Rows of input.
    #[arg(long)]
    pub rows: usize,
    /// Where its results go.
    #[arg(long, default_value = "sums")]
    pub output: Output,
}

/// What it found.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Found {
    /// Rows worked on.
    pub rows: u64,
    /// Time by the clock.
    pub seconds: f64,
    /// CPU time of all threads.
    pub cpu_seconds: f64,
    /// The most memory the process ever held, its input included.
    pub peak_rss_bytes: u64,
    /// What the output came to.
    pub check: Check,
    /// What checkpoints cost.
    pub checkpoints: Option<Checkpoints>,
}

/// What checkpoints cost.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Checkpoints {
    /// How many were taken.
    pub taken: u64,
    /// Bytes of state of the largest.
    pub state_bytes_max: u64,
    /// How long a step stood still for one, 99 in 100 times at most, in milliseconds.
    pub pause_ms_p99: f64,
}

impl Task {
    /// Measures here, in this process.
    pub fn measure(self) -> Result<Found> {
        match self.side {
            Side::Csv | Side::Json | Side::SerdeJson | Side::Parquet => return decode::measure(self),
            Side::Digest => return self.digest(),
            Side::Engine | Side::Kept | Side::Loop => {}
        }
        let rows = payments::payments(self.rows, self.workload.pace_us());
        if self.side == Side::Loop {
            return timed(self.rows as u64, || Ok(loops::run(self.workload, &rows, self.workers)));
        }
        let folder = tempfile::tempdir()?;
        let prepared = engine::Prepared::new(self.workload, &rows, self.workers, self.output.table(folder.path()))?;
        drop(rows);
        match self.side {
            Side::Kept => self.kept(&prepared, folder.path()),
            _ => timed(self.rows as u64, || prepared.run(self.workers)),
        }
    }

    /// The engine with its state in a folder below this one.
    fn kept(self, prepared: &engine::Prepared, folder: &Path) -> Result<Found> {
        let mut checkpoints = None;
        let mut found = timed(self.rows as u64, || {
            let report = prepared.run_kept(self.workers, &folder.join("state"))?;
            checkpoints = report.checkpoints.map(|c| Checkpoints {
                taken: c.taken,
                state_bytes_max: c.state_bytes_max,
                pause_ms_p99: c.pause_us.value_at_quantile(0.99) as f64 / 1e3,
            });
            Ok(Check { rows: report.sinks[0].rows as i64, ..Check::default() })
        })?;
        found.checkpoints = checkpoints;
        Ok(found)
    }

    /// Digests rows as the engine wrote them: a sample, again and again.
    fn digest(self) -> Result<Found> {
        let rows = payments::payments(self.rows.min(1_000_000), self.workload.pace_us());
        let prepared = engine::Prepared::new(self.workload, &rows, 1, Table::new("results", engine::SUMS))?.sampled();
        prepared.run(1)?;
        let sample = prepared.sample()?;
        let in_sample: usize = sample.iter().map(|b| b.num_rows()).sum();
        let rounds = self.rows.div_ceil(in_sample);
        let times: Vec<i64> = (0..sample.iter().map(|b| b.num_rows()).max().unwrap_or(0) as i64).collect();
        timed((rounds * in_sample) as u64, || {
            let mut digest = DigestBuilder::new();
            for _ in 0..rounds {
                sample.iter().for_each(|b| digest.add(b, &times[..b.num_rows()]));
            }
            Ok(Check { rows: digest.rows(), ..Check::default() })
        })
    }

    /// Measures in a child process.
    pub fn spawn(self) -> Result<Found> {
        let name = |v: &dyn Fn() -> Option<clap::builder::PossibleValue>| {
            v().map(|v| v.get_name().to_owned()).context("every task has a name")
        };
        let output = Command::new(std::env::current_exe()?)
            .arg("child")
            .args(["--side", &name(&|| self.side.to_possible_value())?])
            .args(["--workload", &name(&|| self.workload.to_possible_value())?])
            .args(["--workers", &self.workers.to_string(), "--rows", &self.rows.to_string()])
            .args(["--output", &name(&|| self.output.to_possible_value())?])
            .stderr(std::process::Stdio::inherit())
            .output()?;
        anyhow::ensure!(output.status.success(), "{self:?} failed: {}", output.status);
        serde_json::from_slice(&output.stdout).with_context(|| format!("{self:?} answered no JSON"))
    }
}

/// Runs `work` and takes its time, its CPU time and the process's peak.
pub(crate) fn timed(rows: u64, work: impl FnOnce() -> Result<Check>) -> Result<Found> {
    let (started, cpu) = (Instant::now(), cpu_seconds()?);
    let check = work()?;
    let seconds = started.elapsed().as_secs_f64();
    let (cpu_seconds, peak_rss_bytes) = (cpu_seconds()? - cpu, peak_rss_bytes()?);
    Ok(Found { rows, seconds, cpu_seconds, peak_rss_bytes, check, checkpoints: None })
}

/// Ticks of `/proc/self/stat`, fixed by Linux for all programs.
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU time of this process, ended threads included, in steps of 10 ms.
fn cpu_seconds() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // The second field is the program's name in parentheses; user and system time are fields 14 and 15.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |i: usize| fields.get(i).and_then(|f| f.parse::<f64>().ok());
    Ok((ticks(11).context("no user time")? + ticks(12).context("no system time")?) / TICKS_PER_SECOND)
}

fn peak_rss_bytes() -> Result<u64> {
    peak_rss_bytes_of("self")
}

/// The most memory that a process ever held, by its number.
pub(crate) fn peak_rss_bytes_of(process: &str) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).context("no VmHWM")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib * 1_024)
}
