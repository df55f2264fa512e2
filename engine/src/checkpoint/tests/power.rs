//! The power fails after every single disk operation; an error happens at every single one. The file operations under test
//! are those of [`LocalStore`].

use super::history::{JOB, SINK, content, incarnation, make, read, write};
use super::simulated::{Fault, Mutant, SimulatedDisk};
use crate::checkpoint::{Committed, Ledger, LedgerError, LocalStore, StoreErrorKind};
use std::sync::Arc;

const CHECKPOINTS: u64 = 6;
/// Later than everything by days: only the last three checkpoints are kept, and rows that are owed.
const NOW_MS: i64 = 1_000_000_000_000;

/// What a run knew when it ended.
#[derive(Debug, Default)]
struct Known {
    /// The last checkpoint that was reported durable.
    durable: u64,
    /// The one whose commit had begun.
    begun: u64,
    /// Published, as the last collection was told.
    published: u64,
}

fn open(disk: &SimulatedDisk) -> Result<Ledger, LedgerError> {
    Ledger::open(Arc::new(LocalStore::on(Box::new(disk.clone()))?), None, JOB)
}

/// Rows are published with a delay, so that some checkpoints are kept for their rows alone.
fn published(checkpoint: u64) -> u64 {
    checkpoint.saturating_sub(4)
}

/// Makes checkpoints up to the last, collecting after each.
fn run(disk: &SimulatedDisk, id: u128, last: u64, known: &mut Known) -> Result<Ledger, LedgerError> {
    let mut ledger = open(disk)?;
    loop {
        let before = ledger.newest().cloned();
        let number = before.as_ref().map_or(1, |m| m.checkpoint + 1);
        if number > last {
            return Ok(ledger);
        }
        let manifest = write(&ledger, before.as_ref(), &incarnation(id), number as i64, 0)?;
        known.begun = number;
        assert_eq!(ledger.commit(manifest)?, Committed::Durable);
        known.durable = number;
        known.published = published(number);
        ledger.collect(NOW_MS, &[(SINK, known.published)])?;
    }
}

/// What must hold of a ledger, whatever happened before.
fn check(ledger: &Ledger, known: &Known) -> Result<(), String> {
    let newest = ledger.newest().map_or(0, |m| m.checkpoint);
    if newest != known.durable && newest != known.begun {
        return Err(format!("the newest is {newest}"));
    }
    let text = |e: LedgerError| e.to_string();
    let report = ledger.verify().map_err(text)?;
    if !report.damaged.is_empty() {
        return Err(report.to_string());
    }
    for point in ledger.restore_points() {
        let manifest = ledger.manifest(point).map_err(text)?;
        if read(ledger, &manifest).map_err(text)? != content(point, 0) {
            return Err(format!("checkpoint {point} holds something else"));
        }
    }
    for owed in known.published + 1..=newest {
        let manifest = ledger.manifest(owed).map_err(text)?;
        let outboxes = manifest.sinks.iter().flat_map(|s| &s.outboxes);
        let rows = outboxes.map(|o| ledger.outbox(o).map_or(0, |b| b.map(|b| b.unwrap().num_rows()).sum()));
        if rows.sum::<usize>() != content(owed, 0).rows.iter().map(Vec::len).sum::<usize>() {
            return Err(format!("rows of checkpoint {owed} are gone"));
        }
    }
    Ok(())
}

/// The power fails after so many operations; the job starts again and goes on.
fn lose_power(mutant: Option<Mutant>, after: u64, seed: u64) -> Result<(), String> {
    let disk = SimulatedDisk::new(mutant);
    let mut known = Known::default();
    disk.fail_after(after, Fault::Power);
    assert!(run(&disk, 1, CHECKPOINTS, &mut known).is_err(), "the power failed");
    disk.power_loss(seed);
    let text = |e: LedgerError| e.to_string();
    check(&open(&disk).map_err(text)?, &known)?;
    let ledger = run(&disk, 2, CHECKPOINTS + 2, &mut known).map_err(text)?;
    check(&ledger, &known)?;
    match ledger.verify().map_err(text)?.strays {
        strays if strays.is_empty() => Ok(()),
        strays => Err(format!("left behind: {strays:?}")),
    }
}

fn operations() -> u64 {
    let disk = SimulatedDisk::new(None);
    run(&disk, 1, CHECKPOINTS, &mut Known::default()).unwrap();
    disk.operations()
}

const SEEDS: u64 = 4;

#[test]
fn the_power_fails_after_every_operation() {
    let operations = operations();
    assert!(operations > 200, "{operations}");
    for after in 0..operations {
        for seed in 0..SEEDS {
            let seed = after * SEEDS + seed;
            lose_power(None, after, seed).unwrap_or_else(|e| panic!("after operation {after}, seed {seed}: {e}"));
        }
    }
}

#[test]
fn what_leaves_out_a_sync_is_caught() {
    let operations = operations();
    for mutant in [Mutant::Bytes, Mutant::Names, Mutant::Deleted] {
        let caught = (0..operations * SEEDS).find_map(|n| lose_power(Some(mutant), n / SEEDS, n).err());
        assert!(caught.is_some(), "{mutant:?} was not caught");
        println!("{mutant:?}: {}", caught.unwrap_or_default());
    }
}

/// No room (28) or an error of the medium (5), at every operation once. After "full" the same call is made again, after
/// the other the ledger is opened again.
#[test]
fn an_error_happens_at_every_operation() {
    for after in 0..operations() {
        for errno in [28, 5] {
            let disk = SimulatedDisk::new(None);
            let mut known = Known::default();
            disk.fail_after(after, Fault::Error(errno));
            let ledger = match run_through(&disk, &mut known) {
                Ok(ledger) => ledger,
                Err(_) => {
                    run(&disk, 2, CHECKPOINTS + 1, &mut known).unwrap_or_else(|e| panic!("after {after}, {errno}: {e}"))
                }
            };
            check(&ledger, &known).unwrap_or_else(|e| panic!("error {errno} after operation {after}: {e}"));
            let report = ledger.verify().unwrap();
            assert!(report.strays.is_empty(), "error {errno} after operation {after}: {report}");
        }
    }
}

/// As [`run`], but what finds no room is done again.
fn run_through(disk: &SimulatedDisk, known: &mut Known) -> Result<Ledger, LedgerError> {
    fn again<T>(mut call: impl FnMut() -> Result<T, LedgerError>) -> Result<T, LedgerError> {
        match call() {
            Err(LedgerError::Store(error)) if error.kind == StoreErrorKind::Full => call(),
            other => other,
        }
    }
    let mut ledger = again(|| open(disk))?;
    for number in 1..=CHECKPOINTS {
        let before = ledger.newest().cloned();
        let manifest = again(|| write(&ledger, before.as_ref(), &incarnation(1), number as i64, 0))?;
        known.begun = number;
        assert_eq!(again(|| ledger.commit(manifest.clone()))?, Committed::Durable);
        (known.durable, known.published) = (number, published(number));
        again(|| ledger.collect(NOW_MS, &[(SINK, known.published)]))?;
    }
    Ok(ledger)
}

#[test]
fn an_address_is_no_folder() {
    let error = LocalStore::open(std::path::Path::new("s3://bucket/alerts")).unwrap_err();
    assert!(error.message.contains("s3://bucket/alerts is an address"), "{error}");
    assert!(!std::path::Path::new("s3:").exists());
}

#[test]
fn one_process_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let first = LocalStore::open(&state).unwrap();
    let error = LocalStore::open(&state).unwrap_err();
    assert!(error.message.contains("in use by another process"), "{error}");
    assert!(error.message.contains(&state.display().to_string()), "{error}");
    let mut ledger = Ledger::open(Arc::new(first), None, JOB).unwrap();
    make(&mut ledger, &incarnation(1), 0, 0).unwrap();
    drop(ledger);
    // What a crash left half written goes, what somebody else put there stays.
    std::fs::write(state.join(".000000000002.manifest.tmp"), "half").unwrap();
    std::fs::write(state.join("README"), "mine").unwrap();
    let ledger = Ledger::open(Arc::new(LocalStore::open(&state).unwrap()), None, JOB).unwrap();
    assert_eq!(ledger.newest().unwrap().checkpoint, 1);
    assert!(!state.join(".000000000002.manifest.tmp").exists() && state.join("README").exists());
}
