//! `highwater validate`: everything that can be known of a job without touching its data.

use crate::args::ValidateArgs;
use crate::failure::Failure;
use crate::savepoint::against;
use crate::{job, settings, state};

/// Plans a job and says what it would keep; `--against` a folder also what would become of the state there, and whether
/// all of it is kept.
///
/// # Errors
/// Everything wrong with the job, each with its place.
pub fn validate(args: &ValidateArgs) -> Result<(String, bool), Failure> {
    let overrides = settings::load(args.job.config.as_deref(), std::env::vars_os(), &args.job.define)?;
    let job = job::plan_file(&args.job.job, &overrides)?;
    let mut lines: Vec<String> = job.warnings.iter().map(ToString::to_string).collect();
    lines.push(format!(
        "{}: a valid job of {} tables in {} steps",
        args.job.job.display(),
        job.tables.len(),
        job.graph.nodes.len()
    ));
    lines.extend(job.state.iter().map(|s| format!("  state of {}: {}", s.name, s.text)));
    let Some(folder) = &args.against else { return Ok((lines.join("\n"), true)) };
    let (changes, all) = against(folder, state::key(&job.settings)?, &job.graph)?;
    lines.push(changes);
    Ok((lines.join("\n"), all))
}
