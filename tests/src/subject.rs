//! The process that crash tests kill: runs a job that keeps state, and stands still at a fail point.
//!
//! `highwater-subject JOB.sql FOLDER WORKERS [POINT NTH]`: state where the job says (`state.dir`) or else in `FOLDER/state`,
//! a log in `FOLDER` for every `blackhole` sink. At the fail point it creates `FOLDER/hit` and waits to be killed. Ends with a line `table rows digest` a sink.

use highwater_engine::flow::{self, Control};
use highwater_engine::parts::Parts;
use highwater_jobs::{job, state};
use highwater_tests::log::LogParts;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [file, folder, workers, point @ ..] = args.as_slice() else {
        eprintln!("highwater-subject JOB.sql FOLDER WORKERS [POINT NTH]");
        return ExitCode::from(2);
    };
    let folder = Path::new(folder);
    if let [point, nth] = point {
        let hit = folder.join("hit");
        let nth = nth.parse().unwrap_or(1);
        highwater_engine::fail::arm(point, nth, move || drop(std::fs::write(&hit, "")));
    }
    match run(Path::new(file), folder, workers) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(1)
        }
    }
}

fn run(file: &Path, folder: &Path, workers: &str) -> Result<(), String> {
    let define = highwater_tests::overrides(&[("parallelism.default", workers)]).map_err(|e| e.to_string())?;
    let planned = job::plan_file(file, &define).map_err(|e| e.to_string())?;
    let own = folder.join("state");
    let flag = planned.settings.state_dir.is_none().then_some(own.as_path());
    let keep = state::keep(flag, &planned.settings).map_err(|e| e.to_string())?;
    let parts: Arc<dyn Parts> = Arc::new(LogParts::new(folder));
    let (options, control) = (job::run_options(&planned), Control::new());
    let Some(keep) = keep else { return Err("no state folder".into()) };
    let report = flow::run_with_state(&planned.graph, &parts, &options, &control, &keep).map_err(|e| e.to_string())?;
    for sink in &report.sinks {
        println!("{} {} {}", sink.table, sink.rows, sink.digest);
    }
    Ok(())
}
