//! Where a job keeps its state and where it begins: the folder or bucket, the signature, how often; anew, at an older
//! checkpoint, at a savepoint.

use crate::args::BeginArgs;
use crate::failure::Failure;
use crate::parts::JobParts;
use highwater_connectors::object::Address;
use highwater_engine::checkpoint::{HmacKey, Ledger, LedgerError, Manifest, Store};
use highwater_engine::flow::evolution::{self, Allow, Fate};
use highwater_engine::flow::{Every, Keep};
use highwater_engine::graph::{JobGraph, Step};
use highwater_engine::parts::Parts;
use highwater_sql::Settings;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Attempts without a new checkpoint after which a job has failed.
const FAILURES_MAX: u32 = 3;
/// Wait before the second attempt.
const BACKOFF: Duration = Duration::from_millis(500);

/// Sinks that keep nothing of what a job has shown before.
const FORGETFUL: [&str; 2] = ["blackhole", "table"];

/// Opens the state of `flag`, or else of `state.dir`: a folder or an address; `None` if neither is given.
///
/// # Errors
/// A folder or bucket that can't be used, a folder that another process uses; a key file that can't be read.
pub fn keep(flag: Option<&Path>, settings: &Settings) -> Result<Option<Keep>, Failure> {
    let Some(place) = flag.or(settings.state_dir.as_deref().map(Path::new)) else { return Ok(None) };
    let store = address(place)?.open().map_err(|e| Failure::job(e.to_string()))?;
    let every = Duration::from_millis(settings.checkpoint_interval_ms.unsigned_abs());
    Ok(Some(Keep {
        store,
        key: key(settings)?,
        every: Every::Interval(every),
        failures_max: FAILURES_MAX,
        backoff: BACKOFF,
        allow: Allow::default(),
    }))
}

/// Makes the state stand where the job is to begin, and says what of it the job has changed.
///
/// # Errors
/// State that can't be read or is of another job; a beginning that would lose rows or show them twice. Nothing was deleted
/// then.
pub fn begin(keep: Option<Keep>, begin: &BeginArgs, graph: &JobGraph) -> Result<Option<Keep>, Failure> {
    let Some(mut keep) = keep else {
        return match needs_state(begin) {
            Some(word) => Err(Failure::usage(format!("{word} is about a state folder; add --state DIR"))),
            None => Ok(None),
        };
    };
    let open = || Ledger::open(keep.store.clone(), keep.key.clone(), &graph.name).map_err(refused);
    begin_at(begin, open()?, &keep.store, keep.key.as_ref(), graph)?;
    if let Some(newest) = open()?.newest() {
        announce(newest, graph);
    }
    keep.allow = Allow { new_state: begin.allow_new_state, non_restored_state: begin.allow_non_restored_state };
    Ok(Some(keep))
}

/// Where state is, as the user wrote it: a folder, `file:///path` or `s3://bucket/prefix`.
///
/// # Errors
/// An address that can't hold state for longer than a process.
pub(crate) fn address(text: &Path) -> Result<Address, Failure> {
    match Address::parse(text).map_err(|e| Failure::usage(e.to_string()))? {
        Address::Memory => Err(Failure::usage(
            "state can't be kept in memory://: it would end with this process, and no job could ever go on from it; name a \
             folder or s3://bucket/prefix",
        )),
        address => Ok(address),
    }
}

fn needs_state(begin: &BeginArgs) -> Option<&'static str> {
    let words = [
        (begin.fresh, "--fresh"),
        (begin.from.is_some(), "--from"),
        (begin.from_savepoint.is_some(), "--from-savepoint"),
        (begin.allow_new_state, "--allow-new-state"),
        (begin.allow_non_restored_state, "--allow-non-restored-state"),
    ];
    words.into_iter().find(|(given, _)| *given).map(|(_, word)| word)
}

fn begin_at(
    begin: &BeginArgs,
    ledger: Ledger,
    store: &Arc<dyn Store>,
    key: Option<&HmacKey>,
    graph: &JobGraph,
) -> Result<(), Failure> {
    if begin.fresh {
        return anew(ledger, graph);
    }
    if let Some(checkpoint) = begin.from {
        return back(ledger, checkpoint, graph);
    }
    let Some(place) = &begin.from_savepoint else { return Ok(()) };
    if let Some(newest) = ledger.newest() {
        return Err(Failure::usage(format!(
            "--from-savepoint: the state folder holds checkpoint {} already; leave the word away to go on from that, or \
             choose another folder",
            newest.checkpoint
        )));
    }
    let saved = address(place)?.view().map_err(|e| Failure::usage(format!("--from-savepoint: {e}")))?;
    let saved = Ledger::open(saved, key.cloned(), &graph.name).map_err(refused)?;
    saved.copy_to(store.clone()).map_err(refused)?;
    Ok(())
}

/// Deletes the checkpoints, once it is sure that the job can start: its outputs are empty.
fn anew(ledger: Ledger, graph: &JobGraph) -> Result<(), Failure> {
    let parts = JobParts::new(true);
    for node in &graph.nodes {
        if let Step::Sink(spec) = &node.step {
            parts.publisher(spec, &node.schema, false)?;
        }
    }
    ledger.clear().map(drop).map_err(refused)
}

/// Goes back to an older checkpoint, if no output has shown what came after it.
fn back(ledger: Ledger, checkpoint: u64, graph: &JobGraph) -> Result<(), Failure> {
    let refuse = |why: String| Err(Failure::usage(format!("--from {checkpoint}: {why}")));
    let Some(newest) = ledger.newest() else { return refuse("the state folder holds no checkpoint".into()) };
    if newest.checkpoint == checkpoint {
        return Ok(());
    }
    if !ledger.restore_points().contains(&checkpoint) {
        let points: Vec<String> = ledger.restore_points().iter().map(u64::to_string).collect();
        return refuse(format!("it is no restore point; there are {}", points.join(", ")));
    }
    let older = ledger.manifest(checkpoint).map_err(refused)?;
    if let Some((table, until)) = shown_since(&older, newest, graph) {
        return refuse(format!(
            "output {table} has shown rows up to checkpoint {until}, so they would be shown twice; begin with an empty \
             output and --fresh, or take a savepoint to another state folder and output"
        ));
    }
    ledger.rewind(checkpoint).map(drop).map_err(refused)
}

/// An output that has, or may have, shown rows behind the older checkpoint, and up to which.
fn shown_since(older: &Manifest, newest: &Manifest, graph: &JobGraph) -> Option<(String, u64)> {
    let connector = |table: &str| {
        graph.nodes.iter().chain(&newest.graph.nodes).find_map(|n| match &n.step {
            Step::Sink(spec) if spec.table == table => Some(spec.connector.clone()),
            _ => None,
        })
    };
    newest.sinks.iter().find_map(|sink| {
        let until = sink.publish.as_ref().map_or(sink.unrolled_from.saturating_sub(1), |p| p.last);
        let until = until.max(sink.published);
        let before = older.sinks.iter().find(|s| s.table == sink.table).map_or(0, |s| s.rows);
        let forgets = connector(&sink.table).is_some_and(|c| FORGETFUL.contains(&c.as_str()));
        let shown = until > older.checkpoint && sink.rows > before && !forgets;
        shown.then(|| (sink.table.clone(), until))
    })
}

/// Says what becomes of the state, if the job has changed. The engine decides whether that is allowed.
fn announce(newest: &Manifest, graph: &JobGraph) {
    let changes = evolution::compare(newest, graph);
    if changes.iter().any(|c| c.fate != Fate::Kept || !c.why.is_empty()) {
        eprintln!("the job has changed since checkpoint {}:", newest.checkpoint);
        changes.iter().for_each(|c| eprintln!("  {c}"));
    }
}

/// What a ledger refuses: nothing was started.
pub(crate) fn refused(error: LedgerError) -> Failure {
    Failure::job(error.to_string())
}

/// The key that signs manifests, if the job has one.
///
/// # Errors
/// A file that can't be read, or is too short for a key.
pub fn key(settings: &Settings) -> Result<Option<HmacKey>, Failure> {
    settings.state_key_file.as_ref().map(|file| key_file(Path::new(file))).transpose()
}

/// The key in a file.
///
/// # Errors
/// A file that can't be read, or is too short for a key.
pub fn key_file(file: &Path) -> Result<HmacKey, Failure> {
    let failed = |e: &dyn std::fmt::Display| Failure::usage(format!("state.hmac-key-file {}: {e}", file.display()));
    let bytes = std::fs::read(file).map_err(|e| failed(&e))?;
    HmacKey::new(&bytes).map_err(|e| failed(&e))
}
