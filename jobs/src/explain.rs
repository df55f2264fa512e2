//! `highwater explain`: the dataflow graph of a job.

use crate::args::{ExplainArgs, ExplainFormat};
use crate::failure::Failure;
use crate::{job, settings};
use highwater_sql::PlannedJob;
use serde_json::json;

/// The graph, as text, as data or as a picture.
///
/// # Errors
/// Everything wrong with the job, each with its place.
pub fn explain(args: &ExplainArgs) -> Result<String, Failure> {
    let overrides = settings::load(args.job.config.as_deref(), std::env::vars_os(), &args.job.define)?;
    let job = job::plan_file(&args.job.job, &overrides)?;
    job.warnings.iter().for_each(|w| eprintln!("{w}"));
    match args.format {
        ExplainFormat::Text => Ok(highwater_sql::explain(&job).trim_end().to_string()),
        ExplainFormat::Json => as_json(&job),
        ExplainFormat::Dot => Ok(highwater_sql::dot(&job).trim_end().to_string()),
    }
}

fn as_json(job: &PlannedJob) -> Result<String, Failure> {
    let document = json!({
        "name": job.settings.name,
        "settings": job.settings.to_map(),
        "reach_ms": job.reach_ms,
        "tables": job.tables,
        "state": job.state,
        "flow": highwater_sql::flows(&job.graph),
        "nodes": job.graph.nodes,
    });
    serde_json::to_string_pretty(&document).map_err(|e| Failure::job(format!("the graph can't be shown: {e}")))
}
