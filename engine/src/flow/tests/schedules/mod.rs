//! Seeded schedules with faults: the whole runtime, one thread at a time, in an order that a seed draws.
//!
//! A seed is a life of a job: attempts with random workers, batches, epochs and checkpoint intervals, each with a fault
//! (stopped, killed, a panic, a source, a store or a sink that fails, a store that is full, a twin that stood still and goes on beside its
//! successor), until one ends well. Then the rows shown must be the oracle's, each once, and counts and digest those of an
//! undisturbed run. In some lives files are damaged between two attempts: then it may also end because rows can't be told
//! apart, with nothing wrong shown. The same seed gives the same run: `HIGHWATER_SCHEDULE=n` runs one, `HIGHWATER_SCHEDULES=n` so many.

mod source;
mod turnstile;
mod world;

use super::*;
use crate::checkpoint::{Ledger, MemoryStore};
use crate::digest::Digest;
use crate::flow::evolution::Allow;
use crate::flow::turns::{Mutant, Turns, Who};
use crate::flow::{Every, Keep, Report, run_with_state};
use std::sync::OnceLock;
use std::thread::JoinHandle;
use std::time::Duration;
pub(in crate::flow) use turnstile::mutated;
use turnstile::{Door, Fault, Hall, INJECTED, Random};
use world::{Flaw, Kind, OTHER_ORDER, Row, Shown, SimParts, SimStore, World};

/// Seeds of a run of the tests.
const SEEDS: u64 = 5_000;
/// Attempts with faults in a life.
const FAULTS_MAX: usize = 5;
/// Attempts after which a life has gone wrong.
const ATTEMPTS_MAX: usize = 25;

/// An input with what must come of it.
struct Case {
    rows: Rows,
    split_rows: usize,
    want: Vec<Row>,
    /// Rows, late rows, bad rows.
    counts: (u64, u64, u64),
    digest: Digest,
}

/// Inputs with their outcomes, by rules and by a run without state.
fn cases() -> &'static [Case] {
    static CASES: OnceLock<Vec<Case>> = OnceLock::new();
    let case = |(partitions, each, split_rows): (usize, usize, usize)| {
        let rows = rows(partitions, each);
        let (want, late, bad) = oracle(&rows);
        let options = RunOptions { batch_rows: 16, epoch_rows: 40, ..RunOptions::default() };
        let digest = go(&rows, split_rows, super::Fault::None, options).result.unwrap().sinks[0].digest;
        Case { counts: ((partitions * each) as u64, late, bad), rows, split_rows, want, digest }
    };
    CASES.get_or_init(|| [(2, 60, 25), (3, 50, 200), (4, 40, 9), (1, 90, 30), (2, 140, 40)].map(case).into())
}

/// What a seed's life came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Life {
    attempts: usize,
    checkpoints: u64,
    /// Attempts that went on beside their successor; attempts that found another one ahead of them.
    twins: usize,
    superseded: usize,
    /// Files that were damaged; lives that ended because nobody could make them good.
    damaged: usize,
    halted: usize,
    turns: u64,
    trace: u64,
}

/// A built-in fault of the engine or of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Broken {
    Engine(Mutant),
    World(Flaw),
}

/// What is unusual about a life.
#[derive(Clone, Copy, Debug, Default)]
struct Strange {
    broken: Option<Broken>,
    /// Files are damaged between attempts.
    damage: bool,
}

/// What a job says that ends because damage can't be made good.
const WAYS_OUT: [&str; 2] = ["can't be told from those", OTHER_ORDER];

const DAMAGE: Strange = Strange { broken: None, damage: true };

struct Running {
    door: Door,
    thread: JoinHandle<Result<Report, JobError>>,
}

impl Running {
    fn start(hall: &Arc<Hall>, world: &World, case: &'static Case, random: &mut Random, fault: Fault) -> Self {
        let door = hall.open(fault);
        let options = RunOptions {
            workers: 1 + random.below(4) as usize,
            batch_rows: 1 + random.below(20) as usize,
            epoch_rows: random.spread(5) as usize,
            epoch_age_ms: if random.below(4) == 0 { 0 } else { u64::MAX },
            ..RunOptions::default()
        };
        let (every, failures_max) = (random.spread(2), world.failures_min + random.below(3) as u32);
        let backoff = Duration::from_millis([0, 120][random.below(2) as usize]);
        let (seat, world) = (door.clone(), world.clone());
        let thread = std::thread::spawn(move || attempt(&seat, world, case, &options, (every, failures_max, backoff)));
        Self { door, thread }
    }
    fn end(self) -> Result<Report, JobError> {
        let result = self.thread.join();
        self.door.hall.control(self.door.attempt, None);
        result.unwrap_or_else(|_| Err(JobError::State("run_with_state panicked".into())))
    }
}

/// The whole life of an attempt, on its own thread.
fn attempt(
    door: &Door,
    world: World,
    case: &'static Case,
    options: &RunOptions,
    (every, failures_max, backoff): (u64, u32, Duration),
) -> Result<Report, JobError> {
    let turns = Turns::of(Arc::new(door.clone()));
    let control = Control::in_turns(turns.clone());
    door.hall.control(door.attempt, Some(control.clone()));
    let _stay = turns.enter(Who::Caller);
    let parts = TestParts {
        rows: case.rows.clone(),
        split_rows: case.split_rows,
        fault: super::Fault::None,
        written: Arc::default(),
        ended: Arc::default(),
        log: Arc::default(),
    };
    let store = SimStore { door: door.clone(), world: world.clone() };
    let parts: Arc<dyn Parts> = Arc::new(SimParts { parts, door: door.clone(), world });
    let every = Every::Epochs(every);
    let keep = Keep { store: Arc::new(store), key: None, every, failures_max, backoff, allow: Allow::default() };
    run_with_state(&graph(), &parts, options, &control, &keep)
}

fn fault(random: &mut Random, alone: bool) -> Fault {
    let after = random.below(2) == 0;
    match random.below(10) {
        0 => Fault::Stop { turn: random.spread(11) },
        1 | 2 => Fault::Kill { turn: random.spread(11) },
        3 | 4 if alone => Fault::Freeze { turn: random.spread(11), wakes: random.spread(11) },
        3 | 4 => Fault::None,
        5 => Fault::Panic { turn: random.spread(11) },
        6 => Fault::Operator { call: random.spread(8) },
        7 => match random.below(3) {
            0 => Fault::Full { nth: random.spread(7), times: random.spread(4) },
            _ => Fault::Store { nth: random.spread(7), after },
        },
        8 => Fault::Publish { nth: random.spread(4), after },
        _ => Fault::Source { nth: random.spread(7) },
    }
}

/// Whether an attempt may end like this. Of two attempts at once the one behind may miss what the other has collected.
fn expected(error: &JobError, twins: bool) -> bool {
    let text = error.to_string();
    let gone = twins && text.ends_with("is damaged: it is missing");
    let ours = [INJECTED, "fenced", "another process"].iter().any(|cause| text.contains(cause));
    gone || ours || matches!(error, JobError::Interrupted)
}

/// A life being lived.
struct Living {
    random: Random,
    hall: Arc<Hall>,
    world: World,
    case: &'static Case,
    damage: bool,
    life: Life,
}

impl Living {
    fn begin(seed: u64, strange: Strange) -> Self {
        let mut random = Random(seed);
        let (mutant, flaw) = match strange.broken {
            Some(Broken::Engine(mutant)) => (Some(mutant), None),
            Some(Broken::World(flaw)) => (None, Some(flaw)),
            None => (None, None),
        };
        let hall = Hall::new(seed, mutant);
        let case = &cases()[random.below(cases().len() as u64) as usize];
        let kind = match random.below(2) {
            0 if !strange.damage || random.below(2) == 0 => Kind::Table,
            _ => Kind::Files {
                // With damage rows are often owed for long.
                bytes_min: if strange.damage { 1 << (10 + random.below(10)) } else { random.spread(13) },
                interval_ms: [random.spread(16), u64::MAX][random.below(2) as usize],
                marked: strange.damage,
            },
        };
        // Damage that is found when rows are shown is made good by the next attempt of the same process.
        let failures_min = if strange.damage { 2 } else { 1 };
        let world = World { files: Arc::new(MemoryStore::new()), shown: Arc::default(), kind, flaw, failures_min };
        Self { random, hall, world, case, damage: strange.damage, life: Life::default() }
    }
    /// The next attempt, and its successor if it stands still. A report if one of them ends well.
    fn next(&mut self) -> Result<Option<Report>, String> {
        if self.hall.stuck() || self.life.attempts >= ATTEMPTS_MAX {
            return Err("no attempt ends well".into());
        }
        let calm = self.life.attempts >= FAULTS_MAX;
        if self.damage && self.life.attempts > 0 && !calm && self.random.below(3) > 0 {
            self.life.damaged += usize::from(self.world.damage(&mut self.random));
        }
        let of = if calm {
            Fault::None
        } else if self.damage && self.life.attempts < 2 {
            // Somewhere in its middle, so that there is something to damage.
            Fault::Kill { turn: 300 + self.random.below(900) }
        } else {
            fault(&mut self.random, true)
        };
        let first = Running::start(&self.hall, &self.world, self.case, &mut self.random, of);
        self.life.attempts += 1;
        self.hall.run();
        let mut ends = Vec::new();
        if self.hall.frozen(first.door.attempt) {
            let of = fault(&mut self.random, false);
            let second = Running::start(&self.hall, &self.world, self.case, &mut self.random, of);
            self.life.attempts += 1;
            self.life.twins += 1;
            self.hall.run();
            ends.push(second.end());
        }
        ends.push(first.end());
        let (mut well, twins) = (None, ends.len() > 1);
        for end in ends {
            match end {
                Ok(report) => well = Some(report),
                Err(error) if expected(&error, twins) => {
                    self.life.superseded += usize::from(error.to_string().contains("another process"));
                }
                Err(error) if self.damage && WAYS_OUT.iter().any(|w| error.to_string().contains(w)) => {
                    self.life.halted = 1;
                }
                Err(error) if self.damage && error.to_string().contains("is damaged") => {}
                Err(error) => return Err(format!("an attempt ended with: {error}")),
            }
        }
        Ok(well)
    }
    /// Whether all is there, once.
    fn end(mut self, report: &Report) -> Result<Life, String> {
        check(self.case, &self.world, report)?;
        (self.life.turns, self.life.trace) = self.hall.trace();
        if self.damage {
            return Ok(self.life);
        }
        let ledger = Ledger::open(self.world.files.clone(), None, "count").map_err(|e| e.to_string())?;
        let found = ledger.verify().map_err(|e| e.to_string())?;
        if !found.damaged.is_empty() || !ledger.newest().is_some_and(|m| m.finished) {
            return Err(format!("the ledger: {found}"));
        }
        self.life.checkpoints = ledger.newest().map_or(0, |m| m.checkpoint);
        Ok(self.life)
    }
}

/// Lives one life; an error says what went wrong.
fn live(seed: u64, strange: Strange) -> Result<Life, String> {
    let mut living = Living::begin(seed, strange);
    loop {
        if let Some(report) = living.next()? {
            return living.end(&report);
        }
        if living.life.halted > 0 {
            return living.world.shows_no_other_than(&living.case.want).map(|()| living.life);
        }
    }
}

/// Whether all rows are shown, each once, and all counts are right.
fn check(case: &Case, world: &World, report: &Report) -> Result<(), String> {
    let shown: &Shown = &world.shown.lock().unwrap();
    if let Some(violation) = &shown.violation {
        return Err(violation.clone());
    }
    let rows = shown.rows();
    if rows != case.want {
        let extra = rows.iter().filter(|r| !case.want.contains(r)).count();
        let missing = case.want.iter().filter(|r| !rows.contains(r)).count();
        return Err(format!("{} rows for {}: {missing} missing, {extra} wrong", rows.len(), case.want.len()));
    }
    let s = &report.sources[0];
    if (s.rows, s.late, s.errors) != case.counts {
        return Err(format!("counts {:?} for {:?}", (s.rows, s.late, s.errors), case.counts));
    }
    if report.sinks[0].digest != case.digest || report.sinks[0].rows != case.want.len() as u64 {
        return Err("the digest differs".into());
    }
    Ok(())
}

fn of_env(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text}: not a number")))
}

#[test]
fn whatever_the_schedule_and_the_faults_every_row_is_shown_once() {
    if let Some(seed) = of_env("HIGHWATER_SCHEDULE") {
        return println!(
            "{:?}",
            live(seed, Strange::default()).unwrap_or_else(|e| panic!("HIGHWATER_SCHEDULE={seed}: {e}"))
        );
    }
    let seeds = of_env("HIGHWATER_SCHEDULES").unwrap_or(SEEDS);
    let mut sum = Life::default();
    for seed in 0..seeds {
        let life = live(seed, Strange::default()).unwrap_or_else(|e| panic!("HIGHWATER_SCHEDULE={seed}: {e}"));
        sum.attempts += life.attempts;
        sum.checkpoints += life.checkpoints;
        sum.twins += life.twins;
        sum.superseded += life.superseded;
        sum.turns += life.turns;
    }
    println!("{seeds} seeds: {sum:?}");
    let enough = |n: usize| n as u64 >= seeds / 100;
    assert!(enough(sum.attempts) && enough(sum.twins) && enough(sum.superseded), "faults did not happen: {sum:?}");
}

/// Lives with damage in a run of the tests.
const DAMAGED: u64 = 2_000;

#[test]
fn damaged_files_are_made_good_or_the_job_says_why_not() {
    let (seeds, mut sum) = (of_env("HIGHWATER_SCHEDULES").unwrap_or(DAMAGED), Life::default());
    for seed in 0..seeds {
        let life = live(seed, DAMAGE).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        sum.attempts += life.attempts;
        sum.damaged += life.damaged;
        sum.halted += life.halted;
    }
    println!("{seeds} seeds: {sum:?}");
    assert!(sum.damaged as u64 >= seeds * 15 / 100 && sum.halted <= 1 + sum.damaged / 10, "{sum:?}");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let mut traces = std::collections::BTreeSet::new();
    for seed in 0..60 {
        let (one, two) = (live(seed, Strange::default()).unwrap(), live(seed, Strange::default()).unwrap());
        assert_eq!(one, two, "HIGHWATER_SCHEDULE={seed}");
        traces.insert(one.trace);
    }
    assert_eq!(traces.len(), 60, "two seeds gave one run");
}

#[test]
fn a_broken_protocol_is_found() {
    let engine = [Mutant::PublishFirst, Mutant::NoCatchUp, Mutant::RowsNotHeld, Mutant::CutLate, Mutant::BarrierBehind];
    let world = [Flaw::MarkerApart, Flaw::NoFence, Flaw::Overwrites];
    let mut unfound = Vec::new();
    let repeat = [Mutant::PromisedAnew, Mutant::RemadeLost].map(Broken::Engine);
    for broken in engine.map(Broken::Engine).into_iter().chain(world.map(Broken::World)).chain(repeat) {
        let strange = Strange { broken: Some(broken), damage: repeat.contains(&broken) };
        match (0..SEEDS).find_map(|seed| live(seed, strange).err().map(|e| (seed, e))) {
            Some((seed, error)) => println!("{broken:?}: seed {seed}: {error}"),
            None => unfound.push(broken),
        }
    }
    assert!(unfound.is_empty(), "not found in {SEEDS} seeds: {unfound:?}");
}
