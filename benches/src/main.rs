//! `cargo run --release -p highwater-benches -- [--json]`: figures of the engine beside their limit.

use anyhow::Result;
use clap::{Parser, Subcommand};
use highwater_benches::figures::{Figure, Plan, table};
use highwater_benches::measure::{Output, Side, Task};
use highwater_benches::restart::{self, Job};
use highwater_benches::workload::Workload;

/// Batches come and go by the megabyte: the system's allocator gives them back to the kernel and asks again.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures the engine beside hand-written loops over the same rows in memory.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    child: Option<Child>,
    /// One JSON line a figure instead of a table.
    #[arg(long)]
    json: bool,
    /// Rows of input.
    #[arg(long, default_value_t = 20_000_000)]
    rows: usize,
    /// Runs of each measurement; the figure is their median.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Only these workloads.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Workload>,
    /// Numbers of workers.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2])]
    workers: Vec<usize>,
    /// Also with a checkpoint a second, beside the engine without. Give it rows for some seconds: a job that ends within
    /// the first takes only its last checkpoint.
    #[arg(long)]
    checkpoints: bool,
    /// With checkpoints: where results go. Each is compared with the same output without checkpoints.
    #[arg(long, value_delimiter = ',', default_values = ["sums", "parquet"])]
    outputs: Vec<Output>,
    /// Instead of all this: a job with so many bytes of state is killed and started again.
    #[arg(long, value_name = "STATE_BYTES")]
    restart: Option<u64>,
}

#[derive(Subcommand)]
enum Child {
    /// One measurement, in a process of its own: what this program starts itself as.
    #[command(hide = true)]
    Child(Task),
    /// A job with much state, in a process of its own.
    #[command(hide = true)]
    Job(Job),
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    match arguments.child {
        Some(Child::Child(task)) => {
            println!("{}", serde_json::to_string(&task.measure()?)?);
            return Ok(());
        }
        Some(Child::Job(job)) => return job.run(),
        None => {}
    }
    if let Some(state_bytes) = arguments.restart {
        for workers in arguments.workers {
            println!("{}", serde_json::to_string(&restart::measure(workers, state_bytes)?)?);
        }
        return Ok(());
    }
    let plan = Plan { rows: arguments.rows, runs: arguments.runs.max(1) };
    let everything = arguments.only.is_empty();
    let workloads = if everything { Workload::ALL.to_vec() } else { arguments.only };
    let mut figures: Vec<Figure> = Vec::new();
    let mut add = |figure: Figure| -> Result<()> {
        if arguments.json {
            println!("{}", serde_json::to_string(&figure)?);
        } else {
            eprintln!("{}, {} workers: {:.2} M rows/s", figure.workload, figure.workers, figure.rows_per_s / 1e6);
        }
        figures.push(figure);
        Ok(())
    };
    for workload in workloads {
        for workers in &arguments.workers {
            add(plan.against_limit(workload, *workers)?)?;
            for output in arguments.outputs.iter().filter(|_| arguments.checkpoints) {
                add(plan.kept(workload, *workers, *output)?)?;
            }
        }
    }
    if everything {
        add(plan.alone("digest_of_w3", Side::Digest, Workload::W3)?)?;
        add(plan.alone("decode_csv", Side::Csv, Workload::W4)?)?;
        add(plan.decoding("decode_json", Side::Json, Side::SerdeJson)?)?;
        add(plan.alone("decode_parquet", Side::Parquet, Workload::W4)?)?;
    }
    if !arguments.json {
        println!("{}", table(&figures));
    }
    Ok(())
}
