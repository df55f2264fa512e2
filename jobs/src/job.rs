//! A job from its text to its outcome: plan, run, result. What the verbs and programs in Rust call.
//!
//! ```no_run
//! use highwater_engine::flow::Control;
//! use highwater_jobs::job::{self, Options};
//!
//! let text = std::fs::read_to_string("jobs/fraud_velocity.sql")?;
//! let job = job::plan("fraud_velocity.sql", &text, &Default::default())?;
//! let outcome = job::run(&job.graph, &job::run_options(&job), &Options::default(), &Control::new())?;
//! println!("{} rows, {}", outcome.report.sinks[0].rows, outcome.report.sinks[0].digest);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::failure::Failure;
use crate::parts::JobParts;
use crate::progress::Watch;
use arrow::array::RecordBatch;
use highwater_engine::error::JobError;
use highwater_engine::flow::{self, Control, Keep, Report};
use highwater_engine::graph::{JobGraph, RunOptions};
use highwater_engine::parts::Parts;
use highwater_sql::{Diagnostic, Overrides, PlannedJob};
use std::path::Path;
use std::sync::Arc;

/// How a job is run, beside what its text says.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Accept that nothing is kept for a restart.
    pub ephemeral: bool,
    /// Show progress on stderr, if that is a terminal.
    pub progress: bool,
    /// Where the job keeps its state; `None`: it keeps nothing.
    pub keep: Option<Keep>,
}

/// What a job came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What was read, written and measured.
    pub report: Report,
    /// The rows of the job's `table` sinks.
    pub tables: Vec<(String, RecordBatch)>,
}

impl Outcome {
    /// The rows of a `table` sink.
    pub fn table(&self, name: &str) -> Option<&RecordBatch> {
        self.tables.iter().find(|(n, _)| n == name).map(|(_, rows)| rows)
    }
}

/// Plans a job's text; `name` is how errors call it.
///
/// # Errors
/// Everything wrong with the text, each with its place.
pub fn plan(name: &str, text: &str, overrides: &Overrides) -> Result<PlannedJob, Failure> {
    highwater_sql::plan(name, text, overrides).map_err(|diagnostics| {
        let lines: Vec<String> = diagnostics.iter().map(show).collect();
        Failure::Usage(lines.join("\n"))
    })
}

/// A problem of the text with its place; one of a flag or of the environment has none.
fn show(problem: &Diagnostic) -> String {
    if problem.line > 0 {
        return problem.to_string();
    }
    let hint = problem.hint.as_ref().map(|h| format!("\n  hint: {h}")).unwrap_or_default();
    format!("{}: error: {}{hint}", problem.file, problem.message)
}

/// Reads a job file and plans it.
///
/// # Errors
/// As [`plan`], and a file that can't be read or isn't text.
pub fn plan_file(path: &Path, overrides: &Overrides) -> Result<PlannedJob, Failure> {
    let shown = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|e| {
        let hint = if path.is_dir() { "; give a file of SQL statements" } else { "" };
        Failure::Usage(format!("{shown}: the job file can't be read: {e}{hint}"))
    })?;
    let text = String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        let line = 1 + e.as_bytes()[..at].iter().filter(|b| **b == b'\n').count();
        Failure::Usage(format!("{shown}:{line}: error: the job file is not UTF-8 (byte {at}); save it as UTF-8"))
    })?;
    plan(&shown, &text, overrides)
}

/// The options of a run, from the settings of the job.
pub fn run_options(job: &PlannedJob) -> RunOptions {
    let defaults = RunOptions::default();
    RunOptions {
        workers: job.settings.parallelism.unwrap_or(defaults.workers),
        batch_rows: job.settings.batch_size.unwrap_or(defaults.batch_rows),
        arrival_quantum_ms: job.settings.arrival_quantum_ms,
        ..defaults
    }
}

/// Runs a graph to its end.
///
/// # Errors
/// What ended the job: see [`highwater_engine::error::JobError`].
pub fn run(graph: &JobGraph, run: &RunOptions, options: &Options, control: &Control) -> Result<Outcome, Failure> {
    let parts = Arc::new(JobParts::new(options.ephemeral || options.keep.is_some()));
    let watch = options.progress.then(|| Watch::start(control.clone(), parts.clone()));
    let report = match &options.keep {
        None => flow::run(graph, parts.clone(), run, control),
        Some(keep) => flow::run_with_state(graph, &(parts.clone() as Arc<dyn Parts>), run, control, keep),
    };
    drop(watch);
    let report = report.map_err(|e| match e {
        JobError::Interrupted => Failure::Interrupted { signal: libc::SIGINT, resumable: options.keep.is_some() },
        e => e.into(),
    })?;
    Ok(Outcome { report, tables: parts.tables() })
}
