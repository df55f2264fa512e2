//! Whole queries against DuckDB: random rows in random files, random queries over them.
//!
//! | module | makes |
//! |---|---|
//! | `data` | files: disorder within the watermark's bound and beyond it, equal times, NULLs; the same rows for DuckDB |
//! | `query` | queries of one to three steps that keep state, each in our SQL and in DuckDB's |
//! | `steps` | windows, sessions, trailing frames, first rows of windows |
//! | `calls` | aggregates, conditions, scalar expressions |
//!
//! DuckDB knows no watermark: what is late is written into its queries from the rule (a window refuses a row iff its end is
//! not above the watermark of the row's partition before the row; sessions and frames iff the row's time is below it).
//! `HIGHWATER_DUCKDB_JOBS` is the number of jobs (of 100 queries each), `HIGHWATER_DUCKDB_SEED` the seed of the first one.

mod calls;
mod data;
mod query;
mod random;
mod steps;

use data::Data;
use highwater_jobs::failure::Failure;
use highwater_jobs::job;
use highwater_sql::Overrides;
use highwater_tests::duckdb::{Questions, answers};
use highwater_tests::{Setting, digests, rows_with_epoch_ms, run_planned};
use query::Query;
use random::Random;
use std::fmt::Write;

/// Queries of a job.
const QUERIES: usize = 100;
const JOBS: u64 = 50;

/// A job: its data and queries.
struct Job {
    seed: u64,
    data: Data,
    queries: Vec<Query>,
}

impl Job {
    fn new(seed: u64) -> Self {
        let mut r = Random::new(seed);
        let data = Data::random(&mut r);
        Self { seed, data, queries: (0..QUERIES).map(|_| query::random(&mut r)).collect() }
    }

    /// Its text, with a table for each query.
    fn text(&self, folder: &std::path::Path) -> String {
        let mut text = self.data.table(folder);
        for (i, q) in self.queries.iter().enumerate() {
            let columns: Vec<String> = q.kinds.iter().enumerate().map(|(c, k)| format!("c{c} {}", k.sql())).collect();
            let columns = columns.join(", ");
            let with = "('connector' = 'table', 'max-rows' = '1000000')";
            writeln!(text, "CREATE TABLE t{i} ({columns}) WITH {with};\nINSERT INTO t{i}\n{};", q.ours).unwrap();
        }
        text
    }

    fn questions(&self) -> Questions {
        let queries = self.queries.iter().map(|q| q.theirs.clone()).collect();
        Questions { tables: self.data.duckdb(), queries }
    }

    /// The rows of each query; equal digests however it is run.
    fn run(&self) -> Vec<Vec<String>> {
        let folder = tempfile::tempdir().unwrap();
        self.data.write(folder.path());
        let text = self.text(folder.path());
        let mut r = Random::new(!self.seed);
        let (batch_rows, epoch_rows) = (r.of(&[1, 3, 16, 8192]), r.of(&[1, 10, 100, usize::MAX]));
        let settings = [Setting::of_workers(1), Setting { workers: r.of(&[2, 4]), batch_rows, epoch_rows }];
        let failed = |e: Failure| -> ! { panic!("seed {}: {e}", self.seed) };
        let planned = job::plan("test.sql", &text, &Overrides::default()).unwrap_or_else(|e| failed(e));
        let [one, other] = settings.map(|s| run_planned(&planned, s).unwrap_or_else(|e| failed(e)));
        assert_eq!(digests(&one), digests(&other), "seed {}, {settings:?}", self.seed);
        (0..QUERIES).map(|i| rows_with_epoch_ms(one.table(&format!("t{i}")).unwrap())).collect()
    }
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |v| v.parse().unwrap())
}

#[test]
fn random_queries_give_what_duckdb_gives() {
    let first = number("HIGHWATER_DUCKDB_SEED", 1);
    let jobs: Vec<Job> = (first..first + number("HIGHWATER_DUCKDB_JOBS", JOBS)).map(Job::new).collect();
    let questions: Vec<Questions> = jobs.iter().map(Job::questions).collect();
    let (answers, found) = std::thread::scope(|scope| {
        let halves = jobs.chunks(jobs.len().div_ceil(2));
        let run = |jobs: &[Job]| jobs.iter().map(Job::run).collect::<Vec<_>>();
        let halves: Vec<_> = halves.map(|half| scope.spawn(move || run(half))).collect();
        let Some(answers) = answers(&questions) else { return (None, vec![]) };
        let found = halves.into_iter().flat_map(|half| half.join().unwrap_or_else(|e| std::panic::resume_unwind(e)));
        (Some(answers), found.collect())
    });
    let Some(answers) = answers else { return };
    let (mut rows, mut wrong) = (0, Vec::new());
    for ((job, found), expected) in jobs.iter().zip(&found).zip(&answers) {
        for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
            rows += found.len();
            if Ok(found) != expected.as_ref() {
                wrong.push(difference(job, i, found, expected.as_deref().map_err(String::as_str)));
            }
        }
    }
    let shown = wrong.iter().take(10).cloned().collect::<Vec<_>>().join("\n\n");
    assert!(wrong.is_empty(), "{} queries of {} differ\n\n{shown}", wrong.len(), QUERIES * jobs.len());
    assert!(rows > 100 * jobs.len(), "{rows} rows are too few to prove anything");
}

fn difference(job: &Job, i: usize, found: &[String], expected: Result<&[String], &str>) -> String {
    let Query { ours, theirs, .. } = &job.queries[i];
    let rows = match expected {
        Err(error) => error.to_owned(),
        Ok(expected) => {
            let only = |a: &[String], b: &[String]| {
                let only: Vec<&str> = a.iter().filter(|r| !b.contains(r)).take(5).map(String::as_str).collect();
                only.join("\n    ")
            };
            let (here, there) = (only(found, expected), only(expected, found));
            format!("{} and {} rows\n  only here\n    {here}\n  only there\n    {there}", found.len(), expected.len())
        }
    };
    format!("seed {}, query {i}\n{ours}\n---- DuckDB\n{theirs}\n---- {rows}", job.seed)
}
