//! Where in a job's text a failure comes from that was found when the job ran: the table, and the option that it names.

use crate::failure::Failure;
use highwater_sql::PlannedJob;
use std::path::Path;

/// The failure with file, line and column before it, if it is one of a table: the place of the first option that it names,
/// else of the table.
pub fn located(failure: Failure, job: &PlannedJob, file: &Path) -> Failure {
    let place = |message: &str| place(message, job).map(|(l, c)| format!("{}:{l}:{c}: {message}", file.display()));
    match failure {
        Failure::Usage(message) => Failure::Usage(place(&message).unwrap_or(message)),
        Failure::Job(message) => Failure::Job(place(&message).unwrap_or(message)),
        interrupted => interrupted,
    }
}

fn place(message: &str, job: &PlannedJob) -> Option<(u64, u64)> {
    let (kind, rest) = message.split_once(' ')?;
    if !matches!(kind, "table" | "source" | "sink") {
        return None;
    }
    let (name, what) = rest.split_once(": ")?;
    let table = job.tables.iter().find(|t| t.name == name)?;
    // A name without a dot is a word too.
    let named = |option: &str| match option {
        "" => None,
        _ if option.contains('.') => what.find(option),
        _ => what.find(&format!("'{option}'")),
    };
    let options = table.places.iter().filter_map(|(option, place)| Some((named(option)?, *place)));
    options.min().map(|(_, place)| place).or_else(|| table.places.get("").copied())
}
