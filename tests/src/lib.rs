//! What the end-to-end tests share: where data is, how a job is run, rows as texts.
//!
//! The tests themselves stand in `tests/tests/`, linked into one binary (`all`). Expected values come from outside
//! (published features, Flink's documentation) or from a naive model written beside the test, never from our own output.

pub mod duckdb;
pub mod fastavro;
pub mod kafka;
pub mod log;
pub mod protobuf;
pub mod python;
pub mod registry;
pub mod s3;

use arrow::array::{Array, RecordBatch};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use highwater_engine::digest::Digest;
use highwater_engine::flow::Control;
use highwater_engine::graph::RunOptions;
use highwater_jobs::failure::Failure;
use highwater_jobs::job::{self, Options, Outcome};
use highwater_jobs::reach::{self, Replay};
use highwater_sql::{Overrides, PlannedJob};
use std::path::{Path, PathBuf};

/// The root of the repository.
pub fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().map_or_else(|| here.to_path_buf(), Path::to_path_buf)
}

/// A folder of the shared test data: `shared/data/<name>` beside the repository or above it. Without it the test that
/// asks is skipped, loudly.
pub fn shared(name: &str) -> Option<PathBuf> {
    let root = repository();
    let found = root.ancestors().map(|a| a.join("shared/data").join(name)).find(|p| p.is_dir());
    if found.is_none() {
        let required = std::env::var_os("HIGHWATER_REQUIRE_SHARED").is_some();
        assert!(
            !required,
            "HIGHWATER_REQUIRE_SHARED is set, and there is no ../shared/data/{name} beside {}",
            root.display()
        );
        let line = "=".repeat(100);
        eprintln!("{line}\nSKIPPED: there is no ../shared/data/{name} beside {}\n{line}", root.display());
    }
    found
}

/// How a job is run; none of it may show in a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Worker threads.
    pub workers: usize,
    /// Rows per batch.
    pub batch_rows: usize,
    /// Rows per epoch and worker; `usize::MAX`: one epoch for everything.
    pub epoch_rows: usize,
}

impl Setting {
    /// Batches of 8,192 rows and the engine's own epochs.
    pub fn of_workers(workers: usize) -> Self {
        Self { workers, batch_rows: 8192, epoch_rows: 0 }
    }

    fn run_options(self, planned: RunOptions) -> RunOptions {
        let options = RunOptions { workers: self.workers, batch_rows: self.batch_rows, ..planned };
        match self.epoch_rows {
            0 => options,
            rows => RunOptions { epoch_rows: rows, epoch_age_ms: u64::MAX, ..options },
        }
    }
}

/// Plans and runs a job; `define` replaces options as `-D` does: `("payments.path", "DIR")`.
///
/// # Errors
/// What the plan or the run says.
pub fn run(text: &str, define: &[(&str, &str)], setting: Setting) -> Result<Outcome, Failure> {
    run_planned(&job::plan("test.sql", text, &overrides(define)?)?, setting)
}

/// Runs a job that is planned.
///
/// # Errors
/// What the run says.
pub fn run_planned(planned: &PlannedJob, setting: Setting) -> Result<Outcome, Failure> {
    let options = setting.run_options(job::run_options(planned));
    job::run(&planned.graph, &options, &Options::default(), &Control::new())
}

/// As [`run`], over a part of history.
///
/// # Errors
/// What the plan, the rewrite or the run says.
pub fn replay(text: &str, define: &[(&str, &str)], wanted: Replay, setting: Setting) -> Result<Outcome, Failure> {
    let planned = job::plan("test.sql", text, &overrides(define)?)?;
    let replayed = reach::replay(&planned.graph, wanted)?;
    let options = setting.run_options(job::run_options(&planned));
    job::run(&replayed.graph, &options, &Options::default(), &Control::new())
}

/// `-D` definitions as the planner takes them.
///
/// # Errors
/// A definition that is none.
pub fn overrides(define: &[(&str, &str)]) -> Result<Overrides, Failure> {
    let define: Vec<String> = define.iter().map(|(k, v)| format!("{k}={v}")).collect();
    highwater_jobs::settings::load(None, [], &define)
}

/// Every sink's digest, by name.
pub fn digests(outcome: &Outcome) -> Vec<(String, u64, Digest)> {
    let mut all: Vec<_> = outcome.report.sinks.iter().map(|s| (s.table.clone(), s.rows, s.digest)).collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

/// Rows as texts, sorted: fields joined by `|`, NULL as such, times as `2020-04-15 08:05:00`.
pub fn rows(batch: &RecordBatch) -> Vec<String> {
    let options = FormatOptions::default()
        .with_null("NULL")
        .with_timestamp_format(Some("%Y-%m-%d %H:%M:%S%.f"))
        .with_timestamp_tz_format(Some("%Y-%m-%d %H:%M:%S%.f"));
    let columns: Vec<ArrayFormatter> =
        batch.columns().iter().map(|c| ArrayFormatter::try_new(c.as_ref(), &options).unwrap()).collect();
    let row = |i: usize| columns.iter().map(|c| c.value(i).to_string()).collect::<Vec<_>>().join("|");
    let mut rows: Vec<String> = (0..batch.num_rows()).map(row).collect();
    rows.sort();
    rows
}

/// As [`rows`], with times as epoch milliseconds.
pub fn rows_with_epoch_ms(batch: &RecordBatch) -> Vec<String> {
    use arrow::datatypes::{DataType, TimeUnit};
    let in_ms = |column: &arrow::array::ArrayRef| match column.data_type() {
        DataType::Timestamp(..) => {
            let ms = arrow::compute::cast(column, &DataType::Timestamp(TimeUnit::Millisecond, None)).unwrap();
            arrow::compute::cast(&ms, &DataType::Int64).unwrap()
        }
        _ => column.clone(),
    };
    let names = batch.schema();
    let columns = batch.columns().iter().enumerate().map(|(i, c)| (names.field(i).name().clone(), in_ms(c), true));
    rows(&RecordBatch::try_from_iter_with_nullable(columns).unwrap())
}

/// A column as whole numbers; NULL is `None`.
pub fn integers(batch: &RecordBatch, name: &str) -> Vec<Option<i64>> {
    use arrow::array::AsArray;
    use arrow::datatypes::{DataType, Int64Type};
    let column = batch.column_by_name(name).unwrap_or_else(|| panic!("there is no column {name}"));
    let column = arrow::compute::cast(column, &DataType::Int64).unwrap();
    column.as_primitive::<Int64Type>().iter().collect()
}

/// A column as floating-point numbers; it has no NULL.
pub fn floats(batch: &RecordBatch, name: &str) -> Vec<f64> {
    use arrow::array::AsArray;
    use arrow::datatypes::{DataType, Float64Type};
    let column = batch.column_by_name(name).unwrap_or_else(|| panic!("there is no column {name}"));
    let column = arrow::compute::cast(column, &DataType::Float64).unwrap();
    assert_eq!(column.null_count(), 0, "{name} has NULLs");
    column.as_primitive::<Float64Type>().values().to_vec()
}
