//! The command line: every verb, its flags and its examples.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  highwater run jobs/fraud_velocity.sql --workers 2
  highwater replay jobs/replay_history.sql --from 2026-01-01 --to 2026-02-01 \\
      -D payments.connector=filesystem -D payments.path=history -D payments.format=parquet
  highwater compare live.json replay.json
  highwater run jobs/fraud_velocity.sql --state state    (killed or interrupted, the same command goes on where it was)

Settings: a flag beats the environment (HIGHWATER_PARALLELISM_DEFAULT for parallelism.default), which beats SET in the
job file, which beats highwater.toml.
Exit codes: 0 done (compare: equal; verify: whole), 1 the job failed (compare: different; verify: damaged), 2 bad usage
or SQL, 130 interrupted (143 by SIGTERM).";

/// Exact stream processing for payments: a SQL job file in, results that don't depend on worker count or speed out.
#[derive(Debug, Parser)]
#[command(name = "highwater", version, after_help = EXAMPLES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run a job until its inputs end.
    Run(StartArgs),
    /// Run a job over a part of its inputs' history.
    Replay(ReplayArgs),
    /// Check a job file: syntax, types, options, bounded state. Reads and writes no data.
    Validate(ValidateArgs),
    /// Show the dataflow graph of a job: keys, exchanges, watermarks and what bounds the state.
    Explain(ExplainArgs),
    /// Write generated payments to files, one per partition.
    Generate(GenerateArgs),
    /// Compare two runs: by their summaries, or row by row by their output folders.
    Compare(CompareArgs),
    /// Read every checkpoint of a state folder and name what is damaged.
    Verify(VerifyArgs),
    /// Copy the newest checkpoint of a state folder to a folder of its own.
    Savepoint(SavepointArgs),
}

/// The job file and what replaces parts of it.
#[derive(Clone, Debug, Default, Args)]
pub struct JobArgs {
    /// The job: a file of SQL statements.
    #[arg(value_name = "JOB.sql")]
    pub job: PathBuf,
    /// Sets a SET key (`parallelism.default=4`) or an option of a table (`payments.path=DIR`). May be repeated.
    #[arg(short = 'D', value_name = "KEY=VALUE")]
    pub define: Vec<String>,
    /// Settings below those of the job file [default: highwater.toml in this folder, if there is one]
    #[arg(long, value_name = "FILE", env = "HIGHWATER_CONFIG")]
    pub config: Option<PathBuf>,
}

/// `highwater run`.
#[derive(Clone, Debug, Default, Args)]
#[command(after_help = "\
Examples:
  highwater run jobs/fraud_velocity.sql
  highwater run jobs/fraud_velocity.sql --workers 2 --summary out.json -D payments.number-of-rows=20000000
  highwater run jobs/fraud_velocity.sql --state state
  highwater run jobs/fraud_velocity.sql --state state --from 41
  highwater run jobs/fraud_velocity.sql --state s3://bucket/fraud    (credentials and endpoint from AWS_… variables)
  highwater run jobs/merchant_throughput.sql \\
      -D payments.connector=filesystem -D payments.path='days/*.csv' -D payments.format=csv -D payments.csv.header=true

When -D replaces a table's connector, the options that belonged to the old connector are dropped.")]
pub struct StartArgs {
    /// What `replay` takes too.
    #[command(flatten)]
    pub run: RunArgs,
    /// Where a job with state begins.
    #[command(flatten)]
    pub begin: BeginArgs,
}

/// Where a job with state begins, if not at its newest checkpoint, and which changes of the job are meant.
#[derive(Clone, Debug, Default, Args)]
pub struct BeginArgs {
    /// Starts anew: the checkpoints in the state folder are deleted. Outputs must be empty, as on a first start.
    #[arg(long, conflicts_with_all = ["from", "from_savepoint"])]
    pub fresh: bool,
    /// Goes back to this older checkpoint (`verify` lists them). Refused if an output has shown later rows.
    #[arg(long, value_name = "CHECKPOINT", conflicts_with = "from_savepoint")]
    pub from: Option<u64>,
    /// Begins with this savepoint, a folder or s3://bucket/prefix; the state folder must hold no checkpoint.
    #[arg(long, value_name = "DIR")]
    pub from_savepoint: Option<PathBuf>,
    /// The job has new steps with state or new outputs: they start with nothing of what was read before.
    #[arg(long)]
    pub allow_new_state: bool,
    /// The job has lost or changed inputs, outputs or steps with state: what belonged to them is lost.
    #[arg(long)]
    pub allow_non_restored_state: bool,
}

/// What `run` and `replay` have in common.
#[derive(Clone, Debug, Default, Args)]
pub struct RunArgs {
    /// The job.
    #[command(flatten)]
    pub job: JobArgs,
    /// Worker threads: the same as -D parallelism.default=N
    #[arg(short, long, value_name = "N")]
    pub workers: Option<usize>,
    /// Writes what was read, written and measured, as JSON: the input of `compare`.
    #[arg(long, value_name = "FILE")]
    pub summary: Option<PathBuf>,
    /// Keeps the job's state in this folder, or in a bucket (s3://bucket/prefix): whatever ends the job, the same command
    /// goes on where it was, and what it has shown it shows once. The same as -D state.dir=DIR
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Accepts that nothing is kept for a restart.
    #[arg(long)]
    pub ephemeral: bool,
}

/// `highwater replay`.
#[derive(Clone, Debug, Default, Args)]
#[command(after_help = "\
Examples:
  highwater replay jobs/replay_history.sql -D payments.connector=filesystem -D payments.path=history \\
      -D payments.format=parquet
  highwater replay jobs/replay_history.sql --from 2026-01-01T06:00:00Z --to 2026-01-01T18:00:00Z --summary day.json
  highwater replay jobs/replay_history.sql --from 2026-01-01T06:00:00Z --speed 10x

Emits the rows with an event time in [from, to) and the windows wholly inside. Reads as much of the time before as the
job's frames and windows reach back, so the rows are those of a run over everything.")]
pub struct ReplayArgs {
    /// All of `run`.
    #[command(flatten)]
    pub run: RunArgs,
    /// First instant: ISO 8601 (UTC without a zone) or epoch milliseconds [default: the beginning]
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    pub from: Option<String>,
    /// First instant after the range [default: the end]
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    pub to: Option<String>,
    /// Reads this much before --from instead of what the job reaches back: `90 s`, `24 h`, `7 d`. Less is inexact.
    #[arg(long, value_name = "D", requires = "from")]
    pub warmup: Option<String>,
    /// How fast event time passes at most: 1x as it did, 10x, 0.5x. Changes no result. [default: max]
    #[arg(long, value_name = "S")]
    pub speed: Option<String>,
}

/// `highwater validate`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  highwater validate jobs/fraud_velocity.sql
  highwater validate jobs/fraud_velocity.sql --against state

With --against: what becomes of each input, step and output of the newest checkpoint there (kept, new, gone, changed or
impossible); exit code 1 unless all are kept.")]
pub struct ValidateArgs {
    /// The job.
    #[command(flatten)]
    pub job: JobArgs,
    /// Says what would become of the state there (a state folder, s3://bucket/prefix or a savepoint). Nothing is started
    /// or changed.
    #[arg(long, value_name = "DIR")]
    pub against: Option<PathBuf>,
}

/// `highwater verify`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  highwater verify state
  highwater verify state --hmac-key-file key
  highwater verify s3://bucket/fraud

Changes nothing. Exit code 0: everything that is kept is whole; 1: something is damaged or missing.")]
pub struct VerifyArgs {
    /// A state folder, s3://bucket/prefix or a savepoint.
    #[arg(value_name = "DIR")]
    pub state: PathBuf,
    /// The key that signs the manifests, where the job has one: its `state.hmac-key-file`.
    #[arg(long, value_name = "FILE")]
    pub hmac_key_file: Option<PathBuf>,
}

/// `highwater savepoint`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  highwater savepoint --state state saved/monday
  highwater run jobs/fraud_velocity.sql --state state2 --from-savepoint saved/monday
  highwater savepoint --state s3://bucket/fraud s3://bucket/saved/monday

The copy is read back and checked. The job may run meanwhile: then the copy is of its newest checkpoint.")]
pub struct SavepointArgs {
    /// The state folder of the job, or s3://bucket/prefix.
    #[arg(long, value_name = "DIR")]
    pub state: PathBuf,
    /// Where to: a folder or s3://bucket/prefix that is empty or not there.
    #[arg(value_name = "OUT_DIR")]
    pub out: PathBuf,
    /// The key that signs the manifests, where the job has one: its `state.hmac-key-file`.
    #[arg(long, value_name = "FILE")]
    pub hmac_key_file: Option<PathBuf>,
}

/// `highwater explain`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  highwater explain jobs/fraud_velocity.sql
  highwater explain jobs/fraud_velocity.sql --format json
  highwater explain jobs/fraud_velocity.sql --format dot | dot -Tsvg > job.svg")]
pub struct ExplainArgs {
    /// The job.
    #[command(flatten)]
    pub job: JobArgs,
    /// How to show it.
    #[arg(long, value_enum, default_value_t = ExplainFormat::Text)]
    pub format: ExplainFormat,
}

/// Forms of `explain`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExplainFormat {
    /// For people.
    Text,
    /// The graph as data, with the same facts.
    Json,
    /// A picture, for Graphviz: `| dot -Tsvg > job.svg`.
    Dot,
}

/// `highwater generate`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  highwater generate --rows 1000000 --out history
  highwater generate --rows 1000000 --seed 7 --partitions 4 --format csv --out history -D late=0

A run over the files gives the results of a run over the generator with the same options.")]
pub struct GenerateArgs {
    /// Payments in all.
    #[arg(long, value_name = "N")]
    pub rows: u64,
    /// Seed of everything random.
    #[arg(long, value_name = "S", default_value_t = 42, allow_hyphen_values = true)]
    pub seed: i64,
    /// Files.
    #[arg(long, value_name = "P", default_value_t = 8)]
    pub partitions: usize,
    /// Their format: parquet, csv or json.
    #[arg(long, value_name = "F", default_value = "parquet")]
    pub format: String,
    /// The folder, made if there is none.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// An option of the generator or of the files' format. May be repeated.
    #[arg(short = 'D', value_name = "OPTION=VALUE")]
    pub define: Vec<String>,
}

/// `highwater compare`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  highwater compare live.json replay.json
  highwater compare live.json replay.json --from 2026-01-01 --to 2026-02-01
  highwater compare out-live out-replay --from 2026-01-01T10:30 --to 2026-01-01T11:15

Two summaries: equal, or the first sink and event-time bucket that differ. Two folders of a sink's output: equal, or the
first row that differs. A range that does not lie on bucket edges needs the folders.")]
pub struct CompareArgs {
    /// A summary (--summary) or a folder of a sink's output.
    #[arg(value_name = "A")]
    pub a: PathBuf,
    /// The other one, of the same kind.
    #[arg(value_name = "B")]
    pub b: PathBuf,
    /// First instant compared: ISO 8601 (UTC without a zone) or epoch milliseconds.
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    pub from: Option<String>,
    /// First instant no longer compared.
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    pub to: Option<String>,
}
