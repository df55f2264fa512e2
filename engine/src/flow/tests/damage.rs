//! Damaged files: a job comes to the same rows by repeating checkpoints, or ends with what is damaged and why.
//!
//! A job is ended in its middle, its files are damaged one by one and several at once, and it goes on with other workers.

use super::publishing::{Files, With};
use super::*;
use crate::checkpoint::{Created, Ledger, MemoryStore, Store, StoreError, StoreErrorKind, names};
use crate::flow::evolution::Allow;
use crate::flow::{Every, Keep, Report, run_with_state};
use crate::sink::{Publication, Roll};
use std::io::Read as IoRead;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Whether a manifest that is to be made finds the plug pulled.
pub(super) trait Plug: std::fmt::Debug + Send + Sync {
    fn pulled(&self) -> bool;
}

/// So many manifests may still be made.
impl Plug for AtomicU64 {
    fn pulled(&self) -> bool {
        self.fetch_sub(1, Relaxed) == 0
    }
}

/// The next manifest is not made, once.
impl Plug for Arc<AtomicBool> {
    fn pulled(&self) -> bool {
        self.swap(false, Relaxed)
    }
}

/// Files, and what keeps manifests from being made.
#[derive(Debug)]
pub(super) struct Plugged<P = AtomicU64>(pub(super) MemoryStore, pub(super) P);

impl<P: Plug> Store for Plugged<P> {
    fn put(&self, name: &str, parts: &[&[u8]]) -> Result<(), StoreError> {
        self.0.put(name, parts)
    }
    fn create(&self, name: &str, bytes: &[u8]) -> Result<Created, StoreError> {
        if self.1.pulled() {
            return Err(StoreError::new(StoreErrorKind::Denied, "the plug is pulled"));
        }
        self.0.create(name, bytes)
    }
    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.get(name)
    }
    fn read(&self, name: &str) -> Result<Option<Box<dyn IoRead + Send>>, StoreError> {
        self.0.read(name)
    }
    fn list(&self) -> Result<Vec<String>, StoreError> {
        self.0.list()
    }
    fn delete(&self, names: &[&str]) -> Result<(), StoreError> {
        self.0.delete(names)
    }
    fn place(&self, name: &str) -> String {
        self.0.place(name)
    }
}

/// Shows everything when the job ends, from the beginning.
#[derive(Clone, Default)]
struct Table(Arc<Mutex<Vec<(i64, i64, i64)>>>, bool);

impl Publisher for Table {
    fn roll(&self) -> Roll {
        Roll::AtEnd
    }
    fn recover(&mut self) -> Result<Option<u64>, SinkError> {
        Ok(None)
    }
    fn publish(
        &mut self,
        _: &Publication,
        rows: &mut dyn Iterator<Item = Result<RecordBatch, SinkError>>,
    ) -> Result<(), SinkError> {
        *self.0.lock().unwrap() = collected(rows)?;
        Ok(())
    }
    /// Once.
    fn finish(&mut self) -> Result<(), SinkError> {
        assert!(!std::mem::replace(&mut self.1, true), "finished twice");
        Ok(())
    }
}

/// An output.
#[derive(Clone)]
enum Output {
    Files(Files),
    Table(Table),
}

impl Output {
    fn publisher(&self) -> Box<dyn Publisher> {
        match self {
            Self::Files(files) => Box::new(files.clone()),
            Self::Table(table) => Box::new(table.clone()),
        }
    }
    fn duplicate(&self) -> Self {
        match self {
            Self::Files(files) => Self::Files(files.duplicate()),
            Self::Table(_) => Self::Table(Table::default()),
        }
    }
    fn rows(&self) -> Vec<(i64, i64, i64)> {
        match self {
            Self::Files(files) => files.rows(),
            Self::Table(table) => {
                let mut rows = table.0.lock().unwrap().clone();
                rows.sort_unstable();
                rows
            }
        }
    }
}

/// Does not start at its first attempt: the next one looks at everything before it starts.
struct Stumbling(Box<dyn Publisher>, bool);

impl Publisher for Stumbling {
    fn roll(&self) -> Roll {
        self.0.roll()
    }
    fn recover(&mut self) -> Result<Option<u64>, SinkError> {
        if self.1 { Err(SinkError::new("not yet")) } else { self.0.recover() }
    }
    fn publish(
        &mut self,
        publication: &Publication,
        rows: &mut dyn Iterator<Item = Result<RecordBatch, SinkError>>,
    ) -> Result<(), SinkError> {
        self.0.publish(publication, rows)
    }
    fn finish(&mut self) -> Result<(), SinkError> {
        self.0.finish()
    }
}

/// A job that was ended somewhere.
struct Scene {
    store: Arc<Plugged>,
    output: Output,
    stumbles: bool,
}

impl Scene {
    /// A job that ends when it has made so many checkpoints; `u64::MAX`: by itself.
    fn ended_behind(checkpoints: u64, output: Output, workers: usize) -> Self {
        Self::ended_behind_of(checkpoints, output, workers, &input())
    }
    fn ended_behind_of(checkpoints: u64, output: Output, workers: usize, rows: &Rows) -> Self {
        let store = Arc::new(Plugged(MemoryStore::new(), AtomicU64::new(checkpoints)));
        let scene = Self { store, output, stumbles: false };
        match scene.run(workers, rows) {
            Ok(_) => assert_eq!(checkpoints, u64::MAX, "the job ended by itself"),
            Err(error) => assert_eq!(error.to_string(), "the plug is pulled"),
        }
        scene.store.1.store(u64::MAX, Relaxed);
        scene
    }
    fn duplicate(&self) -> Self {
        let store = Arc::new(Plugged(self.store.0.duplicate(), AtomicU64::new(u64::MAX)));
        Self { store, output: self.output.duplicate(), stumbles: false }
    }
    fn run(&self, workers: usize, rows: &Rows) -> Result<Report, JobError> {
        let parts = TestParts {
            rows: rows.clone(),
            split_rows: 40,
            fault: Fault::None,
            written: Arc::default(),
            ended: Arc::default(),
            log: Arc::default(),
        };
        let options = RunOptions { workers, batch_rows: 4 + workers, epoch_rows: 5, ..RunOptions::default() };
        let keep = Keep {
            store: self.store.clone(),
            key: None,
            every: Every::Epochs(1),
            failures_max: 3,
            backoff: Duration::ZERO,
            allow: Allow::default(),
        };
        let (output, stumbles) = (self.output.clone(), AtomicBool::new(self.stumbles));
        let make = move || Box::new(Stumbling(output.publisher(), stumbles.swap(false, Relaxed))) as Box<dyn Publisher>;
        let parts: Arc<dyn Parts> = Arc::new(With(parts, Box::new(make)));
        run_with_state(&graph(), &parts, &options, &Control::new(), &keep)
    }
    fn newest(&self) -> u64 {
        Ledger::open(self.store.clone(), None, "count").unwrap().newest().unwrap().checkpoint
    }
    fn files(&self, wanted: impl Fn(&str) -> bool) -> Vec<String> {
        let mut names = self.store.list().unwrap();
        names.retain(|n| wanted(n));
        names
    }
    fn flip(&self, name: &str, at: u64) {
        let mut bytes = self.store.get(name).unwrap().unwrap();
        let at = (at % bytes.len() as u64) as usize;
        bytes[at] ^= 1;
        self.store.put(name, &[&bytes]).unwrap();
    }
    /// Goes on, and checks what it comes to. The checkpoint it went on from.
    fn goes_on(&self, workers: usize, at: &str) -> u64 {
        self.goes_on_with(workers, at, &input())
    }
    fn goes_on_with(&self, workers: usize, at: &str, rows: &Rows) -> u64 {
        let report = self.run(workers, rows).unwrap_or_else(|e| panic!("{at}, {workers} workers: {e}"));
        self.is_whole(&report, at, rows);
        report.resumed.map_or(0, |r| r.checkpoint)
    }
    fn is_whole(&self, report: &Report, at: &str, rows: &Rows) {
        let (want, late, bad) = oracle(rows);
        assert_eq!(self.output.rows(), want, "{at}");
        let s = &report.sources[0];
        assert_eq!((s.rows, s.late, s.errors), (rows.iter().map(Vec::len).sum::<usize>() as u64, late, bad), "{at}");
        assert_eq!(report.sinks[0].rows, want.len() as u64, "{at}");
        let ledger = Ledger::open(self.store.clone(), None, "count").unwrap();
        assert!(ledger.newest().unwrap().finished, "{at}");
    }
}

fn input() -> Rows {
    rows(3, 150)
}

/// Results in nearly every checkpoint.
fn long() -> Rows {
    vec![(0..3_000).map(|i| (i % 5, i * 20)).collect()]
}

fn outputs() -> [Output; 3] {
    [Output::Files(Files::rolling_at(1)), Output::Files(Files::rolling_at(20_000)), Output::Table(Table::default())]
}

fn is_state(name: &str) -> bool {
    name.ends_with(".state")
}

#[test]
fn any_damaged_file_of_a_job_in_its_middle_is_made_good() {
    let (mut for_state, mut for_rows) = (0, 0);
    for (i, output) in outputs().into_iter().enumerate() {
        let scene = Scene::ended_behind(7, output, 1 + i % 2);
        let newest = scene.newest();
        for name in scene.files(|_| true) {
            for (kind, workers) in [(0, 1), (1, 2), (2, 3)] {
                let at = format!("output {i}, {name}, damage {kind}");
                let damaged = scene.duplicate();
                match kind {
                    0 => damaged.flip(&name, 77),
                    1 => damaged.store.delete(&[&name]).unwrap(),
                    _ => damaged.store.put(&name, &[b"hwstate"]).unwrap(),
                }
                let from = damaged.goes_on(workers, &at);
                let needed = is_state(&name) && names::parse(&name).unwrap().0 == newest;
                assert!(!needed || from < newest, "{at}: from {from}");
                for_state += usize::from(from < newest && is_state(&name));
                for_rows += usize::from(from < newest && name.ends_with(".outbox"));
            }
        }
    }
    println!("repeated because of state {for_state} times, because of rows {for_rows} times");
    assert!(for_state >= 9 && for_rows >= 6, "{for_state} {for_rows}");
}

#[test]
fn with_all_state_lost_the_job_is_repeated_from_its_beginning() {
    for (i, output) in outputs().into_iter().enumerate() {
        let scene = Scene::ended_behind(5, output, 2);
        for (n, name) in scene.files(is_state).iter().enumerate() {
            scene.flip(name, n as u64);
        }
        assert_eq!(scene.goes_on(1 + i, "all state"), 0);
    }
}

/// A worker that reads nothing promises what was promised then, too: not what it knew before the other came to the goal.
#[test]
fn workers_without_rows_of_their_own_repeat_what_one_has_made() {
    let scene = Scene::ended_behind_of(60, Output::Files(Files::rolling_at(1 << 30)), 1, &long());
    scene.files(is_state).iter().for_each(|name| scene.flip(name, 9));
    for i in 0..5 {
        assert_eq!(scene.duplicate().goes_on_with(2, &format!("repetition {i}"), &long()), 0);
    }
}

#[test]
fn rows_that_are_owed_are_made_again_and_belong_to_the_next_checkpoint() {
    let mut repeated = 0;
    for output in [Output::Files(Files::rolling_at(1 << 30)), Output::Table(Table::default())] {
        let scene = Scene::ended_behind(6, output, 2);
        let newest = scene.newest();
        for name in scene.files(|name| name.ends_with(".outbox") && names::parse(name).unwrap().0 <= newest) {
            let mut damaged = scene.duplicate();
            damaged.stumbles = true;
            damaged.flip(&name, 300);
            // It ends behind the checkpoint that takes the rows over; then nothing of the damaged file is needed.
            damaged.store.1.store(1, Relaxed);
            let ended = damaged.run(1, &input()).map(|_| "by itself").map_err(|error| error.to_string());
            assert_eq!(ended, Err("the plug is pulled".to_owned()), "{name}");
            let lost = names::parse(&name).unwrap().0;
            let next = Ledger::open(damaged.store.clone(), None, "count").unwrap().newest().unwrap().clone();
            assert_eq!(next.checkpoint, newest + 1);
            assert!(!next.sinks[0].unrolled.contains(&lost) && !next.sinks[0].outboxes.is_empty(), "{name}");
            damaged.store.1.store(u64::MAX, Relaxed);
            assert_eq!(damaged.goes_on(2, &name), newest + 1);
            repeated += 1;
        }
    }
    assert!(repeated >= 4, "{repeated}");
}

/// The checkpoint behind a damage holds rows of older ones. Its outboxes are damaged in turn, and what else may be.
#[test]
fn rows_that_were_made_again_and_are_lost_again_are_made_once_more() {
    let mut again = 0;
    for output in [Output::Files(Files::rolling_at(1 << 30)), Output::Table(Table::default())] {
        let scene = Scene::ended_behind(6, output, 2);
        let newest = scene.newest();
        let is_outbox = |name: &str| name.ends_with(".outbox");
        let number = |name: &str| names::parse(name).unwrap().0;
        for name in scene.files(|name| is_outbox(name) && number(name) <= newest) {
            for further in [1, 3] {
                let mut damaged = scene.duplicate();
                damaged.stumbles = true;
                damaged.flip(&name, 300);
                damaged.store.1.store(further, Relaxed);
                damaged.run(1, &input()).map(|_| ()).unwrap_err();
                for lost in damaged.files(|name| is_outbox(name) && number(name) > number("000000000001.manifest")) {
                    let mut twice = damaged.duplicate();
                    twice.stumbles = true;
                    twice.flip(&lost, 200);
                    // Between the two there may be no manifest any more.
                    let between = number(&name) + again % 2;
                    if again % 3 == 0 && between < newest {
                        twice.store.delete(&[&names::manifest(between), &names::copy(between)]).unwrap();
                    }
                    twice.goes_on(1 + further as usize % 2, &format!("{name}, then {lost}"));
                    again += 1;
                }
            }
        }
    }
    assert!(again >= 20, "{again}");
}

#[test]
fn rows_of_an_ended_job_are_made_again() {
    let scene = Scene::ended_behind(u64::MAX, Output::Table(Table::default()), 2);
    let before = scene.newest();
    for name in scene.files(|name| name.ends_with(".outbox")) {
        let damaged = scene.duplicate();
        damaged.flip(&name, 500);
        for workers in [1, 2] {
            damaged.goes_on(workers, &name);
            assert_eq!(damaged.newest(), before, "an ended job makes no checkpoints");
        }
    }
}

#[test]
fn changed_input_is_found_before_anything_is_shown() {
    let scene = Scene::ended_behind(7, Output::Files(Files::rolling_at(1)), 1);
    scene.files(is_state).iter().for_each(|name| scene.flip(name, 99));
    let shown = scene.output.rows();
    let mut other = input();
    other[1][3].0 = (other[1][3].0 + 1).rem_euclid(10);
    let error = scene.run(2, &other).unwrap_err().to_string();
    assert!(error.contains("came to something else: ") && error.contains("No new row was shown"), "{error}");
    assert_eq!(scene.output.rows(), shown);
    assert_eq!(scene.goes_on(2, "with the old input"), 0);
}

/// So long that lists of what is owed stand in several manifests, each of which is lost.
#[test]
fn a_long_list_whose_manifests_are_lost_is_made_good() {
    for output in [Output::Files(Files::rolling_at(1 << 30)), Output::Table(Table::default())] {
        let scene = Scene::ended_behind_of(60, output, 1, &long());
        let ledger = Ledger::open(scene.store.clone(), None, "count").unwrap();
        let newest = ledger.newest().unwrap();
        assert_eq!(newest.checkpoint, 60);
        let point = newest.folded.as_ref().unwrap().checkpoint;
        scene.duplicate().goes_on_with(2, "undamaged", &long());
        for (lost, both) in [(point, false), (point, true), (point - 1, true), (point + 1, true)] {
            let mut damaged = scene.duplicate();
            damaged.stumbles = true;
            let names = [names::manifest(lost), names::copy(lost)];
            names[..1 + usize::from(both)].iter().for_each(|name| damaged.flip(name, 40));
            let from = damaged.goes_on_with(2, &format!("{lost}, both {both}"), &long());
            assert!(both || from == 60, "{lost}: from {from}");
            assert!(lost != point || !both || from < point, "{lost}: from {from}");
        }
    }
}

#[test]
fn damage_while_the_job_repeats_is_made_good_too() {
    for output in outputs() {
        let scene = Scene::ended_behind(4, output, 2);
        let newest = scene.newest();
        let of = |name: &str, n| is_state(name) && names::parse(name).unwrap().0 == n;
        scene.files(|name| of(name, newest)).iter().for_each(|name| scene.flip(name, 1));
        // It gets two checkpoints further, and these are damaged as well.
        scene.store.1.store(2, Relaxed);
        let ended = scene.run(3, &input()).map(|_| "by itself").map_err(|error| error.to_string());
        assert_eq!(ended, Err("the plug is pulled".to_owned()));
        scene.store.1.store(u64::MAX, Relaxed);
        assert_eq!(scene.newest(), newest + 2);
        scene.files(|name| of(name, newest + 2)).iter().for_each(|name| scene.flip(name, 2));
        scene.files(|name| of(name, newest + 1)).iter().for_each(|name| scene.flip(name, 3));
        assert!(scene.goes_on(2, "damaged twice") < newest);
    }
}
