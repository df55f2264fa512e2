//! `highwater run` and `highwater replay`: plan, run, report.

use crate::args::{BeginArgs, ReplayArgs, RunArgs, StartArgs};
use crate::failure::Failure;
use crate::instant::{parse_duration_ms, parse_instant, show_duration};
use crate::job::{self, Options};
use crate::reach::{self, Replay};
use crate::summary::Summary;
use crate::{place, process, settings, show, state};
use highwater_engine::flow::Control;
use highwater_engine::graph::{JobGraph, RunOptions, Speed};
use highwater_sql::{PlannedJob, TableInfo};

/// Runs a job to the end of its inputs.
///
/// # Errors
/// See [`Failure`].
pub fn run(args: &StartArgs) -> Result<(), Failure> {
    let job = load(&args.run)?;
    let graph = job.graph.clone();
    execute(&args.run, &args.begin, &job, &graph, job::run_options(&job))
}

/// Runs a job over a part of history.
///
/// # Errors
/// See [`Failure`].
pub fn replay(args: &ReplayArgs) -> Result<(), Failure> {
    let instant = |flag: &str, text: &Option<String>| match text {
        Some(t) => parse_instant(t).map(Some).map_err(|e| Failure::usage(format!("{flag}: {e}"))),
        None => Ok(None),
    };
    let warmup = match &args.warmup {
        Some(t) => Some(parse_duration_ms(t).map_err(|e| Failure::usage(format!("--warmup: {e}")))?),
        None => None,
    };
    let wanted =
        Replay { from_ms: instant("--from", &args.from)?, to_ms: instant("--to", &args.to)?, warmup_ms: warmup };
    let job = load(&args.run)?;
    let is_given = |table: &str| {
        let given = |option: &str| args.run.job.define.iter().any(|d| d.starts_with(&format!("{table}.{option}=")));
        given("connector") || given("topic") || given("url")
    };
    let live = |t: &&TableInfo| t.written && matches!(&*t.connector, "kafka" | "http") && !is_given(&t.name);
    if let Some(live) = job.tables.iter().find(live) {
        let (what, option) = if live.connector == "http" { ("address", "url") } else { ("topic", "topic") };
        return Err(Failure::usage(format!(
            "replay: {0} is the {what} that the live job writes; show the rows elsewhere: -D {0}.connector=blackhole, or \
             -D {0}.{option}=ANOTHER",
            live.name
        )));
    }
    let replayed = reach::replay(&job.graph, wanted)?;
    eprintln!(
        "replay of {}: rows look back {}",
        show::range(wanted.from_ms, wanted.to_ms),
        show_duration(replayed.reach_ms)
    );
    if replayed.inexact {
        eprintln!(
            "warning: inexact: --warmup is shorter than the job looks back ({}), so rows near --from lack a part of \
             their past",
            show_duration(replayed.reach_ms)
        );
    }
    let options = paced(job::run_options(&job), args.speed.as_deref().unwrap_or("max"), wanted.from_ms)?;
    execute(&args.run, &BeginArgs::default(), &job, &replayed.graph, options)
}

/// Rows that a paced replay reads at a time: they come with the first of them.
const PACED_BATCH_ROWS: usize = 16;

/// The options with `--speed`: rows before `from_ms` are read as fast as it goes.
fn paced(options: RunOptions, speed: &str, from_ms: Option<i64>) -> Result<RunOptions, Failure> {
    if speed == "max" {
        return Ok(options);
    }
    let times = speed.strip_suffix('x').and_then(|n| n.parse::<f64>().ok());
    let Some(times) = times.filter(|n| (0.001..=1e9).contains(n)) else {
        return Err(Failure::usage(format!("--speed {speed}: expected a number and x, as in 1x, 10x or 0.5x, or max")));
    };
    let speed = Speed { from_ms: from_ms.unwrap_or(i64::MIN), ms_per_s: (times * 1_000.0).round() as u64 };
    Ok(RunOptions { speed: Some(speed), batch_rows: options.batch_rows.min(PACED_BATCH_ROWS), ..options })
}

fn load(args: &RunArgs) -> Result<PlannedJob, Failure> {
    let mut define = args.job.define.clone();
    define.extend(args.workers.map(|n| format!("parallelism.default={n}")));
    let overrides = settings::load(args.job.config.as_deref(), std::env::vars_os(), &define)?;
    let job = job::plan_file(&args.job.job, &overrides)?;
    job.warnings.iter().for_each(|w| eprintln!("{w}"));
    Ok(job)
}

fn execute(
    args: &RunArgs,
    begin: &BeginArgs,
    job: &PlannedJob,
    graph: &JobGraph,
    run: RunOptions,
) -> Result<(), Failure> {
    let control = Control::new();
    process::on_interrupt(control.clone())?;
    let keep = state::begin(state::keep(args.state.as_deref(), &job.settings)?, begin, graph)?;
    let options = Options { ephemeral: args.ephemeral, progress: true, keep };
    let outcome = job::run(graph, &run, &options, &control)
        .map_err(|failure| place::located(process::explain_failure(failure), job, &args.job.job))?;
    let summary = Summary::of(&outcome.report, process::peak_rss_bytes());
    eprint!("{}", show::unrouted(&outcome.report.sources, &job.tables));
    if let Some(path) = &args.summary {
        summary.write(path)?;
    }
    process::say(&show::report(&outcome, &summary))
}
