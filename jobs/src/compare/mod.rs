//! `highwater compare A B`: two summaries, or two folders of outputs.

mod folders;
mod rows;
mod summaries;

use crate::args::CompareArgs;
use crate::failure::Failure;
use crate::instant::parse_instant;
use crate::summary::Summary;
use highwater_engine::graph::TimeRange;

/// What a comparison found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Equal, in words: how much was compared.
    Equal(String),
    /// Different: where first, and what stands there on each side.
    Different(String),
}

/// Compares two runs.
///
/// # Errors
/// Unreadable or unlike inputs, a range that buckets can't answer.
pub fn compare(args: &CompareArgs) -> Result<Verdict, Failure> {
    let range = range(args)?;
    match (args.a.is_dir(), args.b.is_dir()) {
        (false, false) => summaries::compare(&Summary::read(&args.a)?, &Summary::read(&args.b)?, range),
        (true, true) => folders::compare(&args.a, &args.b, range),
        _ => Err(Failure::usage("compare: give two summaries or two folders")),
    }
}

fn range(args: &CompareArgs) -> Result<TimeRange, Failure> {
    let parse = |flag: &str, text: &Option<String>, otherwise| match text {
        Some(t) => parse_instant(t).map_err(|e| Failure::usage(format!("{flag}: {e}"))),
        None => Ok(otherwise),
    };
    let range =
        TimeRange { from_ms: parse("--from", &args.from, i64::MIN)?, to_ms: parse("--to", &args.to, i64::MAX)? };
    if range.from_ms < range.to_ms { Ok(range) } else { Err(Failure::usage("compare: --from is not before --to")) }
}
