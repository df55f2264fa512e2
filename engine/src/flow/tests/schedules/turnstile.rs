//! A turnstile: of all threads of all attempts one runs at a time, and a seed says which is next.
//!
//! A turn ends where a thread would wait, and before each effect (an operation of the store, a publication). Threads are
//! chosen with weights that differ from attempt to attempt, so that now the keeper and now a worker is far behind. Faults of
//! an attempt happen at a turn: it is stopped, it is killed (nothing it does from then on has an effect), it stands still
//! while its successor runs and goes on later, or one of its workers panics.

use crate::flow::Control;
use crate::flow::turns::{Mutant, Turnstile, Who};
use std::cell::RefCell;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// What the text of every error says that a fault of ours has caused.
pub(super) const INJECTED: &str = "injected";

/// splitmix64.
#[derive(Clone, Debug)]
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
    /// From 1, small numbers as often as large ones of up to `bits` bits.
    pub(super) fn spread(&mut self, bits: u64) -> u64 {
        let bits = self.below(bits + 1);
        1 + self.below(1 << bits)
    }
}

/// What happens to an attempt, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    /// Somebody asks for the end.
    Stop {
        turn: u64,
    },
    /// Nothing has an effect any more.
    Kill {
        turn: u64,
    },
    /// It stands still; when its successor has had so many turns, it goes on.
    Freeze {
        turn: u64,
        wakes: u64,
    },
    /// A worker panics between two steps.
    Panic {
        turn: u64,
    },
    /// A worker panics inside of a step.
    Operator {
        call: u64,
    },
    /// The nth operation of the store fails, before or after it took effect.
    Store {
        nth: u64,
        after: bool,
    },
    /// From the nth operation of the store on there is no room for a while.
    Full {
        nth: u64,
        times: u64,
    },
    /// The nth publication fails, before or after it took effect.
    Publish {
        nth: u64,
        after: bool,
    },
    /// The nth call of a source fails: a partition is opened, or read.
    Source {
        nth: u64,
    },
}

#[derive(Debug)]
struct Seat {
    attempt: usize,
    who: Who,
    alive: bool,
    waits_for: Option<Who>,
    weight: u64,
    bell: Arc<Condvar>,
}

/// An attempt as the turnstile knows it.
#[derive(Debug)]
struct Attempt {
    control: Option<Control>,
    fault: Fault,
    turns: u64,
    /// Calls of the store, publications, calls of operators, calls of sources.
    counts: [u64; 4],
    dead: bool,
    /// The turn at which it goes on; `u64::MAX` until its successor is there.
    frozen: Option<u64>,
}

#[derive(Debug)]
struct State {
    random: Random,
    current: Option<usize>,
    seats: Vec<Seat>,
    attempts: Vec<Attempt>,
    /// How many turns in a row a thread may keep.
    burst_max: u64,
    burst: u64,
    turns: u64,
    trace: u64,
    clock_ms: i64,
    tick_ms: u64,
    stuck: bool,
}

/// Turns of a life after which it will never end: everything is stopped.
const TURNS_MAX: u64 = 1_000_000;

/// See the module.
#[derive(Debug)]
pub(super) struct Hall {
    state: Mutex<State>,
    idle: Condvar,
    pub(super) mutant: Option<Mutant>,
}

/// One attempt's way to the turnstile.
#[derive(Clone, Debug)]
pub(super) struct Door {
    pub(super) hall: Arc<Hall>,
    pub(super) attempt: usize,
}

thread_local! {
    /// The seat of this thread.
    static SEAT: RefCell<Option<(Arc<Hall>, usize)>> = const { RefCell::new(None) };
}

/// Whether the run of this thread has this fault built in.
pub(in crate::flow) fn mutated(mutant: Mutant) -> bool {
    SEAT.with_borrow(|seat| seat.as_ref().is_some_and(|(hall, _)| hall.mutant == Some(mutant)))
}

/// What a fault comes to for the call that meets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blow {
    None,
    /// Fails without effect.
    Before,
    /// Takes effect and fails.
    After,
    /// There is no room.
    Full,
}

impl Hall {
    pub(super) fn new(seed: u64, mutant: Option<Mutant>) -> Arc<Self> {
        let mut random = Random(seed ^ 0x5eed);
        let state = State {
            current: None,
            seats: Vec::new(),
            attempts: Vec::new(),
            burst_max: [1, 4, 20][random.below(3) as usize],
            burst: 0,
            turns: 0,
            trace: 0xcbf2_9ce4_8422_2325,
            clock_ms: 1_700_000_000_000,
            tick_ms: [1, 10, 1000][random.below(3) as usize],
            stuck: false,
            random,
        };
        Arc::new(Self { state: Mutex::new(state), idle: Condvar::new(), mutant })
    }
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// A new attempt, with its caller's seat.
    pub(super) fn open(self: &Arc<Self>, fault: Fault) -> Door {
        let mut state = self.lock();
        let attempt = state.attempts.len();
        let turns = state.turns;
        for earlier in &mut state.attempts {
            if let (Some(wakes), Fault::Freeze { wakes: after, .. }) = (&mut earlier.frozen, earlier.fault) {
                *wakes = turns + after;
            }
        }
        let new = Attempt { control: None, fault, turns: 0, counts: [0; 4], dead: false, frozen: None };
        state.attempts.push(new);
        state.seat(attempt, Who::Caller);
        Door { hall: self.clone(), attempt }
    }
    /// Where the attempt of a door is stopped.
    pub(super) fn control(&self, attempt: usize, control: Option<Control>) {
        self.lock().attempts[attempt].control = control;
    }
    /// Whether an attempt stands still.
    pub(super) fn frozen(&self, attempt: usize) -> bool {
        self.lock().attempts[attempt].frozen.is_some()
    }
    /// Lets threads run until none can.
    pub(super) fn run(&self) {
        let mut state = self.lock();
        state.choose(&self.idle);
        while state.current.is_some() {
            state = self.idle.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
    /// Turns so far, and a hash of all that happened.
    pub(super) fn trace(&self) -> (u64, u64) {
        let state = self.lock();
        (state.turns, state.trace)
    }
    /// Whether it did not end by itself.
    pub(super) fn stuck(&self) -> bool {
        self.lock().stuck
    }
    fn until_my_turn(&self, mut state: MutexGuard<'_, State>, me: usize) {
        let bell = state.seats[me].bell.clone();
        while state.current != Some(me) {
            state = bell.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl State {
    fn seat(&mut self, attempt: usize, who: Who) {
        let weight = self.random.spread(4);
        // Often a keeper keeps up with its workers: then there are many checkpoints.
        let fast = who == Who::Keeper && self.random.below(2) == 0;
        let weight = if fast { 16 * weight } else { weight };
        let bell = Arc::new(Condvar::new());
        self.seats.push(Seat { attempt, who, alive: true, waits_for: None, weight, bell });
    }
    fn note(&mut self, what: u64) {
        self.trace = (self.trace ^ what).wrapping_mul(0x0100_0000_01b3).rotate_left(23);
    }
    fn can_run(&self, seat: &Seat) -> bool {
        let same_kind = |a: Who, b: Who| std::mem::discriminant(&a) == std::mem::discriminant(&b);
        let gone = |who: Who| !self.seats.iter().any(|s| s.alive && s.attempt == seat.attempt && same_kind(s.who, who));
        seat.alive && self.attempts[seat.attempt].frozen.is_none() && seat.waits_for.is_none_or(gone)
    }
    /// Gives the turn to a thread that can run.
    fn choose(&mut self, idle: &Condvar) {
        let turns = self.turns;
        self.attempts.iter_mut().filter(|a| a.frozen.is_some_and(|at| at <= turns)).for_each(|a| a.frozen = None);
        let mut ready: Vec<usize> = (0..self.seats.len()).filter(|&i| self.can_run(&self.seats[i])).collect();
        if ready.is_empty() && self.attempts.iter().any(|a| a.frozen.is_some_and(|at| at < u64::MAX)) {
            self.attempts.iter_mut().for_each(|a| a.frozen = None);
            ready = (0..self.seats.len()).filter(|&i| self.can_run(&self.seats[i])).collect();
        }
        let weights: u64 = ready.iter().map(|&i| self.seats[i].weight).sum();
        if weights == 0 {
            self.current = None;
            return idle.notify_all();
        }
        let mut at = self.random.below(weights);
        for i in ready {
            let weight = self.seats[i].weight;
            if at < weight {
                self.current = Some(i);
                self.burst = self.random.below(self.burst_max);
                self.note(i as u64);
                return self.seats[i].bell.notify_one();
            }
            at -= weight;
        }
    }
    /// One more turn of the attempt of this seat: whether its thread panics now.
    fn suffer(&mut self, me: usize) -> bool {
        let who = self.seats[me].who;
        let attempt = &mut self.attempts[self.seats[me].attempt];
        attempt.turns += 1;
        let stop = |attempt: &Attempt| attempt.control.iter().for_each(Control::stop);
        match attempt.fault {
            Fault::Stop { turn } if attempt.turns >= turn => {
                attempt.fault = Fault::None;
                stop(attempt);
            }
            Fault::Kill { turn } if attempt.turns >= turn => {
                (attempt.fault, attempt.dead) = (Fault::None, true);
                stop(attempt);
            }
            Fault::Freeze { turn, .. } if attempt.turns == turn => {
                attempt.frozen = Some(u64::MAX);
                self.burst = 0;
            }
            Fault::Panic { turn } if attempt.turns >= turn && matches!(who, Who::Worker(_)) => {
                attempt.fault = Fault::None;
                return true;
            }
            _ => {}
        }
        false
    }
}

/// A panic that no hook prints.
fn panic_now() -> ! {
    std::panic::resume_unwind(Box::new(format!("{INJECTED} panic")))
}

impl Door {
    fn attempt<T>(&self, f: impl FnOnce(&mut Attempt) -> T) -> T {
        f(&mut self.hall.lock().attempts[self.attempt])
    }
    /// Notes what happens.
    pub(super) fn note(&self, what: u64) {
        self.hall.lock().note(what);
    }
    pub(super) fn dead(&self) -> bool {
        self.attempt(|a| a.dead)
    }
    /// Before an operation of the store.
    pub(super) fn before_store(&self) -> Blow {
        self.pass();
        self.attempt(|a| {
            a.counts[0] += 1;
            let n = a.counts[0];
            match a.fault {
                _ if a.dead => Blow::Before,
                Fault::Store { nth, after } if n == nth => {
                    if after {
                        Blow::After
                    } else {
                        Blow::Before
                    }
                }
                Fault::Full { nth, times } if n >= nth && n < nth + times => Blow::Full,
                _ => Blow::None,
            }
        })
    }
    /// Before a publication.
    pub(super) fn before_publish(&self) -> Blow {
        self.pass();
        self.attempt(|a| {
            a.counts[1] += 1;
            match a.fault {
                _ if a.dead => Blow::Before,
                Fault::Publish { nth, after } if a.counts[1] == nth => {
                    if after {
                        Blow::After
                    } else {
                        Blow::Before
                    }
                }
                _ => Blow::None,
            }
        })
    }
    /// Before a partition is opened or read: whether that fails.
    pub(super) fn before_read(&self) -> bool {
        self.attempt(|a| {
            a.counts[3] += 1;
            matches!(a.fault, Fault::Source { nth } if nth == a.counts[3])
        })
    }
    /// Inside of an operator.
    pub(super) fn before_call(&self) {
        let now = self.attempt(|a| {
            a.counts[2] += 1;
            matches!(a.fault, Fault::Operator { call } if call == a.counts[2])
        });
        if now {
            panic_now();
        }
    }
}

impl Turnstile for Door {
    fn announce(&self, workers: usize) {
        let mut state = self.hall.lock();
        (0..workers).for_each(|worker| state.seat(self.attempt, Who::Worker(worker)));
        state.seat(self.attempt, Who::Keeper);
    }
    fn enter(&self, who: Who) {
        let state = self.hall.lock();
        let mine = |s: &Seat| s.alive && s.attempt == self.attempt && s.who == who;
        let me = state.seats.iter().position(mine).expect("a thread that was announced");
        SEAT.set(Some((self.hall.clone(), me)));
        self.hall.until_my_turn(state, me);
    }
    fn pass(&self) {
        let me = my_seat();
        let mut state = self.hall.lock();
        state.turns += 1;
        if state.turns > TURNS_MAX {
            state.stuck = true;
            state.attempts.iter().filter_map(|a| a.control.as_ref()).for_each(Control::stop);
        }
        let tick_ms = state.tick_ms;
        state.clock_ms += state.random.below(tick_ms) as i64;
        if state.suffer(me) {
            drop(state);
            panic_now();
        }
        if state.burst > 0 {
            state.burst -= 1;
            return;
        }
        state.choose(&self.hall.idle);
        self.hall.until_my_turn(state, me);
    }
    fn leave(&self) {
        let me = my_seat();
        SEAT.take();
        let mut state = self.hall.lock();
        state.seats[me].alive = false;
        state.choose(&self.hall.idle);
    }
    fn wait_for(&self, who: Who) {
        let me = my_seat();
        let mut state = self.hall.lock();
        state.seats[me].waits_for = Some(who);
        state.choose(&self.hall.idle);
        self.hall.until_my_turn(state, me);
        self.hall.lock().seats[me].waits_for = None;
    }
    fn now_ms(&self) -> i64 {
        self.hall.lock().clock_ms
    }
}

fn my_seat() -> usize {
    SEAT.with_borrow(|seat| seat.as_ref().map(|(_, me)| *me)).expect("a thread that takes turns")
}
