//! `highwater validate`: everything that can be known of a job without touching its data.

use crate::args::ValidateArgs;
use crate::failure::Failure;
use crate::{job, settings};

/// Plans a job and says what it would keep.
///
/// # Errors
/// Everything wrong with the job, each with its place.
pub fn validate(args: &ValidateArgs) -> Result<String, Failure> {
    let overrides = settings::load(args.job.config.as_deref(), std::env::vars(), &args.job.define)?;
    let job = job::plan_file(&args.job.job, &overrides)?;
    let mut lines: Vec<String> = job.warnings.iter().map(ToString::to_string).collect();
    lines.push(format!(
        "{}: a valid job of {} tables in {} steps",
        args.job.job.display(),
        job.tables.len(),
        job.graph.nodes.len()
    ));
    lines.extend(job.state.iter().map(|s| format!("  state of {}: {}", s.name, s.text)));
    Ok(lines.join("\n"))
}
