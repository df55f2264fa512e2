//! Figures of payments on Kafka, one JSON line each: throughput beside consumers that do almost nothing, and how long an
//! answer takes.
//!
//! `highwater-kafka-figures [--rows N] [--runs N] [--rate ROWS_PER_S] [--seconds N]`: on a broker of its own (or that of
//! `KAFKA_BOOTSTRAP`) on this machine, so broker and consumer share its cores. Besides rows a second the lines say how many
//! rows were read in a second of this side's CPU time, which does not count what the broker or others use. Each
//! measurement of throughput is a process of its own. `--rate` is the load of the latency runs, by default half of what
//! the velocity job has read.

mod latency;
mod throughput;

use highwater_tests::kafka::Broker;
use serde_json::{Value, json};
use std::process::{Command, ExitCode, Stdio};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["side", side, servers, files] => throughput::side(side, servers, files),
        _ => figures(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(1)
        }
    }
}

fn figures(args: &[String]) -> Result<()> {
    let given = |name: &str| {
        let at = args.iter().position(|a| a == name)?;
        args.get(at + 1)?.replace('_', "").parse::<u64>().ok()
    };
    let (rows, runs) = (given("--rows").unwrap_or(3_000_000), given("--runs").unwrap_or(3).max(1));
    let Some(broker) = Broker::shared() else { return Err("no broker".into()) };
    let folder = tempfile::tempdir()?;
    let files = folder.path().join("payments");
    throughput::load(broker.servers(), &files, rows)?;
    println!("{}", json!({ "figure": "machine", "cores": cores(), "load": load(), "rows": rows }));
    let mut velocity = 0.0;
    for side in throughput::SIDES {
        let mut found = Vec::new();
        for _ in 0..runs {
            let output = Command::new(std::env::current_exe()?)
                .args(["side", side, broker.servers()])
                .arg(&files)
                .stderr(Stdio::inherit())
                .output()?;
            if !output.status.success() {
                return Err(format!("{side} failed").into());
            }
            found.push(serde_json::from_slice::<Value>(&output.stdout)?);
        }
        let median = |name: &str| {
            let mut all: Vec<f64> = found.iter().filter_map(|f| f[name].as_f64()).collect();
            all.sort_by(f64::total_cmp);
            all.get(all.len() / 2).copied().unwrap_or_default()
        };
        let (per_s, per_cpu_s) = (median("rows_per_s").round(), median("rows_per_cpu_s").round());
        println!(
            "{}",
            json!({ "figure": "throughput", "side": side, "rows_per_s": per_s, "rows_per_cpu_s": per_cpu_s, "runs": runs,
                "load": load() })
        );
        if side == throughput::VELOCITY {
            velocity = per_s;
        }
    }
    let rate = given("--rate").unwrap_or((velocity / 2.0) as u64).max(1);
    let seconds = given("--seconds").unwrap_or(30);
    for way in latency::WAYS {
        let measured = latency::measure(&broker, way, rate, seconds)?;
        println!("{measured}");
    }
    Ok(())
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(0, usize::from)
}

/// Processes that want to run, on average over the last minute: others on this machine are among them.
fn load() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|one| one.parse().ok()).unwrap_or_default()
}
