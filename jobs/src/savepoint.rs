//! `highwater verify`, `highwater savepoint` and `highwater validate --against`: state read, copied, compared, in a folder
//! or a bucket.
//!
//! None of them locks a folder or writes to it: a job may run on it. What a running job collects meanwhile would look
//! missing; so an answer counts only if the newest checkpoint is still the same behind it.

use crate::args::{SavepointArgs, VerifyArgs};
use crate::failure::Failure;
use crate::show::count;
use crate::state::{address, key_file, refused};
use highwater_connectors::object::Address;
use highwater_engine::checkpoint::verify::{Report, verify as read_all};
use highwater_engine::checkpoint::{HmacKey, Ledger, LedgerError, Store, names};
use highwater_engine::flow::evolution::{self, Fate};
use highwater_engine::graph::JobGraph;
use std::path::Path;
use std::sync::Arc;

/// How often a folder that a job writes to meanwhile is read again.
const TRIES: usize = 10;

/// Reads everything that is kept: a table, and whether all of it is whole.
///
/// # Errors
/// A folder or a key file that can't be read; a folder without a checkpoint.
pub fn verify(args: &VerifyArgs) -> Result<(String, bool), Failure> {
    let store = view(&args.state)?;
    let key = args.hmac_key_file.as_deref().map(key_file).transpose()?;
    let whole = |r: &Result<Report, LedgerError>| r.as_ref().is_ok_and(|r| r.damaged.is_empty());
    let report = steady(&*store, || read_all(&*store, key.as_ref(), None), whole)?.map_err(refused)?;
    if report.checkpoints.is_empty() && report.damaged.is_empty() {
        return Err(Failure::job(format!("{} holds no checkpoint", args.state.display())));
    }
    Ok((shown(&report), report.damaged.is_empty()))
}

fn shown(report: &Report) -> String {
    let points: Vec<String> = report.checkpoints.iter().map(u64::to_string).collect();
    let mut lines = vec![
        format!("  checkpoints  {}", points.join(", ")),
        format!("  files read   {}", count(report.files as u64)),
        format!("  bytes read   {}", count(report.bytes)),
        format!("  damaged      {}", report.damaged.len()),
    ];
    lines.extend(report.damaged.iter().map(|d| format!("damaged: {d}")));
    lines.extend(report.single.iter().map(|s| format!("note: {s} has no second copy; the next checkpoints have")));
    lines.extend(report.strays.iter().map(|s| format!("note: {s} belongs to no checkpoint; a running job removes it")));
    lines.join("\n")
}

/// Copies the newest checkpoint and says what was copied.
///
/// # Errors
/// A folder that can't be read or written; damage; a target that holds something.
pub fn savepoint(args: &SavepointArgs) -> Result<String, Failure> {
    let store = view(&args.state)?;
    let key = args.hmac_key_file.as_deref().map(key_file).transpose()?;
    let target = empty(&address(&args.out)?)?;
    let copy = || {
        let names = target.list()?;
        target.delete(&names.iter().map(String::as_str).collect::<Vec<_>>())?;
        let job = job_of(&*store, key.as_ref())?;
        let ledger = Ledger::open(store.clone(), key.clone(), &job)?;
        let checkpoint = ledger.newest().map_or(0, |n| n.checkpoint);
        ledger.copy_to(target.clone()).map(|report| (job, checkpoint, report))
    };
    let (job, checkpoint, report) = steady(&*store, copy, |r| r.is_ok())?.map_err(refused)?;
    Ok(format!(
        "checkpoint {checkpoint} of job {job} is in {}: {} files, {} bytes, read back and whole",
        args.out.display(),
        count(report.files as u64),
        count(report.bytes)
    ))
}

/// Opens a place for a savepoint.
fn empty(out: &Address) -> Result<Arc<dyn Store>, Failure> {
    let taken = || Err(Failure::usage(format!("{out} is not empty; choose another place")));
    // A savepoint that failed leaves its lock.
    let foreign = |entry: std::io::Result<std::fs::DirEntry>| entry.is_ok_and(|e| e.file_name() != ".lock");
    match out {
        Address::Folder(path) if std::fs::read_dir(path).is_ok_and(|mut all| all.any(foreign)) => return taken(),
        _ => (),
    }
    let target = out.open().map_err(|e| Failure::job(e.to_string()))?;
    match target.list().map_err(|e| Failure::job(e.to_string()))?.is_empty() {
        true => Ok(target),
        false => taken(),
    }
}

/// What would become of the newest checkpoint in a folder if this job went on from it: a line each, and whether all of it
/// is kept.
///
/// # Errors
/// A folder that can't be read, holds no checkpoint, or one of another job.
pub fn against(folder: &Path, key: Option<HmacKey>, graph: &JobGraph) -> Result<(String, bool), Failure> {
    let store = view(folder)?;
    let ledger = steady(&*store, || Ledger::open(store.clone(), key.clone(), &graph.name), |l| l.is_ok())?;
    let ledger = ledger.map_err(refused)?;
    let Some(newest) = ledger.newest() else {
        return Err(Failure::job(format!("{} holds no checkpoint", folder.display())));
    };
    let changes = evolution::compare(newest, graph);
    let mut lines = vec![format!("against checkpoint {}:", newest.checkpoint)];
    lines.extend(changes.iter().map(|c| format!("  {c}")));
    Ok((lines.join("\n"), changes.iter().all(|c| c.fate == Fate::Kept)))
}

fn view(place: &Path) -> Result<Arc<dyn Store>, Failure> {
    address(place)?.view().map_err(|e| Failure::job(e.to_string()))
}

/// Asks again while the answer is not good and a running job has taken a checkpoint meanwhile.
fn steady<T>(store: &dyn Store, ask: impl Fn() -> T, good: impl Fn(&T) -> bool) -> Result<T, Failure> {
    let mut before = newest(store)?;
    for _ in 1..TRIES {
        let answer = ask();
        let after = newest(store)?;
        if good(&answer) || before == after {
            return Ok(answer);
        }
        before = after;
    }
    Ok(ask())
}

fn newest(store: &dyn Store) -> Result<Option<u64>, Failure> {
    let names = store.list().map_err(|e| Failure::job(e.to_string()))?;
    Ok(names
        .iter()
        .filter_map(|n| names::parse(n))
        .filter(|(_, kind)| *kind != names::Kind::Data)
        .map(|(n, _)| n)
        .max())
}

/// The job whose checkpoints these are.
fn job_of(store: &dyn Store, key: Option<&HmacKey>) -> Result<String, LedgerError> {
    Ledger::job_in(store, key)?
        .ok_or_else(|| LedgerError::refused(store, "", "it holds no checkpoint; run the job until it has taken one"))
}
