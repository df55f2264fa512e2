//! The event logs of all keys of one operator: short ones in an arena, long ones by themselves.
//!
//! A row forgets what is too old in its own log, and keys without rows are looked after in [rounds](Logs::tend). So state
//! is less than what the last two frames hold, however long the job runs.

use super::arena::{Arena, ENTRIES_MAX, LINE_WORDS};
use super::cold::Cold;
use super::intern::Interner;
use super::keys::{Head, Key, KeyTable, State, order};
use super::lane::Kind;
use super::long::{LongLog, Rows};
use super::measure::{Entries, SQUARED_MAX, Totals, scan, wide};
use super::pick::{self, Turn};
use super::plan::{Bit, Plan, TIME, Value};
use super::small::{self, Small};
use super::tending::Round;
use crate::prefetch::prefetch;
use highwater_engine::error::OperatorError;
use std::sync::Arc;

/// The first words of the lines that hold these words of a chunk.
fn lines(words: std::ops::Range<usize>) -> impl Iterator<Item = usize> {
    (words.start / LINE_WORDS * LINE_WORDS..words.end).step_by(LINE_WORDS)
}

/// Words of a short log that are asked for ahead: sixteen lines; and those of a chunk that is asked for as a whole.
const PREFETCH_WORDS_MAX: usize = 128;
const PREFETCH_WHOLE_WORDS_MAX: usize = 32;

/// Keys, logs and the values they name.
pub struct Logs {
    pub(super) plan: Arc<Plan>,
    /// Keys and where their logs are.
    pub table: KeyTable,
    pub(super) arena: Arena,
    pub(super) longs: Vec<Option<Box<LongLog>>>,
    pub(super) longs_free: Vec<u32>,
    /// Entries of all long logs.
    long_entries: usize,
    /// Values that entries name.
    pub names: Interner,
    /// Entries beyond which a log is a long one.
    small_max: usize,
    /// Words of entries that name values.
    pub(super) text: Vec<usize>,
    /// First words of wide values whose squares are added, and which entries count.
    squared: Vec<(usize, Option<Bit>)>,
    pub(super) round: Round,
    /// What a restart has read, of keys that had no row since.
    pub(super) cold: Cold,
}

/// The entries of a key.
pub enum Log<'a> {
    /// Of a short log.
    Small(Small<'a>),
    /// Of a long log.
    Long(&'a Rows),
}

/// Logs that are asked for before it is their turn to be written to a snapshot.
const AHEAD: usize = 16;

impl Logs {
    /// No keys. Logs beyond `small_max` entries, at most [`ENTRIES_MAX`], are long ones.
    pub fn new(plan: Arc<Plan>, table: KeyTable, small_max: usize) -> Self {
        let text = plan.lanes.iter().filter(|l| l.kind == Kind::Text).map(|l| l.word).collect();
        let measures = plan.frames.iter().flat_map(|f| &f.measures).filter(|m| m.squares);
        let squared =
            measures.filter_map(|m| if let Value::Wide(w) = m.value { Some((w, m.bit)) } else { None }).collect();
        let arena = Arena::new(plan.words);
        let (longs, longs_free, long_entries) = (Vec::new(), Vec::new(), 0);
        let small_max = small_max.min(ENTRIES_MAX);
        Self {
            plan,
            table,
            arena,
            longs,
            longs_free,
            long_entries,
            names: Interner::default(),
            small_max,
            text,
            squared,
            round: Round::NONE,
            cold: Cold::default(),
        }
    }

    /// Makes room for `more` keys. All places may change; whether they did is returned.
    pub fn reserve(&mut self, more: usize) -> bool {
        let changed = self.table.reserve(more);
        if changed {
            self.round.begin_again();
        }
        changed
    }

    /// Forgets entries of a long log before `bound`; returns how many are left. It becomes a short one if they are few.
    pub(super) fn evict_long(&mut self, place: usize, bound: i64) -> usize {
        let log = self.longs[self.table.head(place).at as usize].as_mut();
        let log = log.expect("a long log exists while its key does");
        let (names, text) = (&mut self.names, &self.text);
        self.long_entries -=
            log.evict(&self.plan, bound, |rows, i| text.iter().for_each(|w| names.release(rows.word(i, *w))));
        let left = log.entries().len();
        if left > 0 && left * 4 <= self.small_max {
            self.demote(place);
        }
        left
    }

    /// The place of a key, with a log. Room must have been made.
    #[inline(always)]
    pub fn find_or_add(&mut self, hash: u64, key: Key<'_>) -> Result<usize, OperatorError> {
        let place = self.table.find_or_add(hash, key);
        if self.table.head(place).state() == State::Free {
            self.begin(place);
            if !self.cold.is_empty() {
                self.thaw(place, hash, key)?;
            }
        }
        Ok(place)
    }

    /// Gives a new key a log.
    pub(super) fn begin(&mut self, place: usize) {
        let head = self.table.head_mut(place);
        head.at = self.arena.alloc(0);
        head.set_state(State::Small);
    }

    /// Asks for the place of a key with this hash.
    #[inline(always)]
    pub fn prefetch_place(&self, hash: u64) {
        self.table.prefetch(hash);
    }

    /// Asks for the log of a place that was found.
    #[inline(always)]
    pub fn prefetch_log(&self, place: usize) {
        let head = self.table.head(place);
        match head.state() {
            State::Small => {
                let chunk = self.arena.chunk(head.at, head.class);
                let (capacity, used) =
                    (self.arena.capacity(head.class), head.start as usize..(head.start + head.len) as usize);
                if chunk.len() <= PREFETCH_WHOLE_WORDS_MAX {
                    lines(0..chunk.len()).for_each(|i| prefetch(chunk, i));
                } else {
                    let lanes = self.plan.words.min(PREFETCH_WORDS_MAX / capacity);
                    (0..lanes)
                        .flat_map(|w| lines(w * capacity + used.start..w * capacity + used.end + 1))
                        .for_each(|i| prefetch(chunk, i));
                }
            }
            _ => self.long(place).into_iter().for_each(LongLog::prefetch_self),
        }
    }

    /// Asks for the parts of a long log that was asked for.
    #[inline(always)]
    pub fn prefetch_parts(&self, place: usize) {
        if let Some(log) = self.long(place) {
            log.prefetch_parts();
        }
    }

    /// Asks for the entries of a long log whose parts were asked for; `value` says which value of each distinct input comes
    /// next.
    #[inline(always)]
    pub fn prefetch_entries(&self, place: usize, value: impl Fn(usize) -> Option<i64>) {
        if let Some(log) = self.long(place) {
            log.prefetch_entries(value);
        }
    }

    /// Whether any log is a long one.
    pub fn have_long(&self) -> bool {
        self.long_entries > 0
    }

    #[inline(always)]
    pub(super) fn long(&self, place: usize) -> Option<&LongLog> {
        let head = self.table.head(place);
        if head.state() == State::Long { self.longs[head.at as usize].as_deref() } else { None }
    }

    /// Enters an entry into the log at `place`, after forgetting what lies before `bound`.
    #[inline(always)]
    pub fn insert(&mut self, place: usize, entry: &mut [i64], bound: i64) -> Result<(), OperatorError> {
        if !self.squared.is_empty() {
            self.check_squares(entry)?;
        }
        let head = self.table.head_mut(place);
        head.set_changed();
        if head.state() == State::Small {
            let words = self.plan.words;
            evict_small(&self.arena, head, bound, words, &mut self.names, &self.text);
            if small::reserve(&mut self.arena, head, words, 1, self.small_max) {
                small::insert(&mut self.arena, head, &self.plan, entry);
                return Ok(());
            }
        }
        self.insert_long(place, entry, bound);
        Ok(())
    }

    #[inline(never)]
    fn insert_long(&mut self, place: usize, entry: &mut [i64], bound: i64) {
        if self.table.head(place).state() == State::Small {
            self.promote(place);
        }
        let at = self.table.head(place).at as usize;
        let log = self.longs[at].as_mut().expect("a long log exists while its key does");
        log.insert(&self.plan, &self.names, entry);
        self.long_entries += 1;
        if log.should_evict(bound) {
            self.evict_long(place, bound);
        }
    }

    /// Enters entries of a snapshot, in the order of their times and none before those that are there, into a log of which
    /// nothing was measured yet.
    pub fn append(&mut self, place: usize, entries: &mut [i64]) -> Result<(), OperatorError> {
        let words = self.plan.words;
        if !self.squared.is_empty() {
            entries.chunks_exact(words).try_for_each(|entry| self.check_squares(entry))?;
        }
        let (head, more) = (self.table.head_mut(place), entries.len() / words);
        if head.state() == State::Small {
            if small::reserve(&mut self.arena, head, words, more, self.small_max) {
                entries.chunks_exact_mut(words).for_each(|e| small::insert(&mut self.arena, head, &self.plan, e));
                return Ok(());
            }
            self.promote(place);
        }
        let log = self.longs[self.table.head(place).at as usize].as_mut();
        log.expect("a long log exists while its key does").append(&self.plan, &self.names, entries);
        self.long_entries += more;
        Ok(())
    }

    /// Makes a short log a long one.
    fn promote(&mut self, place: usize) {
        let mut log = Box::new(LongLog::new(&self.plan));
        let head = *self.table.head(place);
        let small = Small::new(&self.arena, &head);
        let words = |i| (0..self.plan.words).map(move |w| (i, w));
        let entries: Vec<i64> = (0..head.len as usize).flat_map(words).map(|(i, w)| small.word(i, w)).collect();
        log.append(&self.plan, &self.names, &entries);
        self.arena.free(head.at, head.class);
        self.long_entries += head.len as usize;
        let at = self.longs_free.pop().unwrap_or_else(|| {
            self.longs.push(None);
            self.longs.len() as u32 - 1
        });
        self.longs[at as usize] = Some(log);
        let head = self.table.head_mut(place);
        (head.at, head.start, head.len) = (at, 0, 0);
        head.set_state(State::Long);
    }

    /// Makes a long log a short one.
    fn demote(&mut self, place: usize) {
        let at = self.table.head(place).at;
        let log = self.longs[at as usize].take().expect("a long log exists while its key does");
        self.longs_free.push(at);
        self.long_entries -= log.entries().len();
        let class = self.arena.class_for(log.entries().len()).expect("a short log has a size");
        let chunk = self.arena.alloc(class);
        let head = self.table.head_mut(place);
        (head.at, head.class, head.start, head.len) = (chunk, class, 0, 0);
        head.set_state(State::Small);
        let mut entry = vec![0; self.plan.words];
        for i in 0..log.entries().len() {
            entry.iter_mut().enumerate().for_each(|(w, v)| *v = log.entries().word(i, w));
            small::insert(&mut self.arena, head, &self.plan, &mut entry);
        }
    }

    fn check_squares(&self, entry: &[i64]) -> Result<(), OperatorError> {
        // what does not count, as NULL, may hold any value
        let counts = |bit: &Option<Bit>| bit.is_none_or(|b| entry[b.word] & b.mask != 0);
        let too_large = |(w, bit): &&(usize, Option<Bit>)| {
            wide(entry[*w], entry[w + 1]).unsigned_abs() >= SQUARED_MAX.unsigned_abs() && counts(bit)
        };
        match self.squared.iter().find(too_large) {
            None => Ok(()),
            Some((w, _)) => Err(OperatorError::new(format!(
                "a variance of {} (unscaled): squares of such values do not add up exactly; CAST its argument to a DECIMAL \
                 of at most 35 digits",
                wide(entry[*w], entry[*w + 1])
            ))),
        }
    }

    /// Measures every frame of the row of the key at `place` whose turn it is.
    #[inline(always)]
    pub fn measure(&mut self, place: usize, turn: Turn<'_>, to: &mut [Totals]) {
        let head = self.table.head(place);
        if head.state() == State::Long {
            let log = self.longs[head.at as usize].as_mut().expect("a long log exists while its key does");
            log.measure(&self.plan, &self.names, turn, to);
            if self.plan.by_place {
                pick::answer(&**log, &self.plan, &self.names, turn, to);
            }
            return;
        }
        let entries = Small::new(&self.arena, head);
        let times = entries.lane(TIME);
        for frame in &self.plan.frames {
            let (lo, hi) = frame.frame.edges(turn.time, turn.starts);
            let (from, end) = between(times, lo, hi);
            for (i, m) in frame.measures.iter().enumerate() {
                scan(&self.plan, &self.names, &entries, m, from..end, &mut to[frame.first + i]);
            }
        }
        if self.plan.by_place {
            pick::answer(&entries, &self.plan, &self.names, turn, to);
        }
    }

    /// Calls `f` with the entries of each key that `wanted` (told the key's hash, and whether entries are new since the last
    /// call) asks for, in the [order] of their hashes; all are old then.
    pub fn for_each(
        &mut self,
        wanted: impl Fn(u64, bool) -> bool,
        mut f: impl FnMut(&Interner, u64, Key<'_>, Log<'_>),
    ) {
        let (mut places, mut round) = (Vec::new(), Vec::new());
        for place in 0..self.table.places() {
            let head = self.table.head_mut(place);
            if head.state() == State::Free {
                continue;
            }
            let changed = head.is_changed();
            if changed {
                head.set_unchanged();
            }
            let hash = self.table.hash(self.table.head(place));
            if !wanted(hash, changed) {
                continue;
            }
            match self.table.is_round(hash, place) {
                false => push_in_order(&mut places, (order(hash), place as u32)),
                true => round.push((order(hash), place as u32)),
            }
        }
        round.into_iter().for_each(|key| push_in_order(&mut places, key));
        for (i, (_, place)) in places.iter().enumerate() {
            if let Some((_, ahead)) = places.get(i + AHEAD) {
                self.prefetch_last(*ahead as usize);
            }
            let head = self.table.head(*place as usize);
            let (hash, key) = (self.table.hash(head), self.table.key(head));
            match self.long(*place as usize) {
                Some(log) => f(&self.names, hash, key, Log::Long(log.entries())),
                None => f(&self.names, hash, key, Log::Small(Small::new(&self.arena, head))),
            }
        }
    }

    /// Asks for the last entry of a short log, or for a long log.
    fn prefetch_last(&self, place: usize) {
        let head = self.table.head(place);
        match head.state() {
            State::Small => {
                let (chunk, capacity) = (self.arena.chunk(head.at, head.class), self.arena.capacity(head.class));
                let last = (head.start + head.len).saturating_sub(1) as usize;
                (0..self.plan.words).for_each(|w| prefetch(chunk, w * capacity + last));
            }
            _ => self.long(place).into_iter().for_each(LongLog::prefetch_self),
        }
    }

    /// Bytes held, roughly. Cost: constant.
    pub fn memory(&self) -> usize {
        let (entry, log) = LongLog::memory(&self.plan);
        let longs = self.long_entries * entry + (self.longs.len() - self.longs_free.len()) * log;
        self.table.memory() + self.arena.bytes() + self.names.memory() + longs + self.cold.memory()
    }
}

/// Adds a key, by its order, to keys in order: few stand behind it.
#[inline(always)]
fn push_in_order(keys: &mut Vec<(u32, u32)>, key: (u32, u32)) {
    keys.push(key);
    let mut at = keys.len() - 1;
    while at > 0 && keys[at - 1].0 > keys[at].0 {
        keys.swap(at - 1, at);
        at -= 1;
    }
}

/// Forgets the entries of a short log before `bound`.
#[inline(always)]
pub(super) fn evict_small(
    arena: &Arena,
    head: &mut Head,
    bound: i64,
    words: usize,
    names: &mut Interner,
    text: &[usize],
) {
    small::evict(arena, head, bound, |chunk, i| {
        let capacity = chunk.len() / words;
        text.iter().for_each(|w| names.release(chunk[w * capacity + i]));
    });
}

/// Positions of the entries of a short log with times in `[lo, hi]`.
#[inline(always)]
fn between(times: &[i64], lo: i64, hi: i64) -> (usize, usize) {
    let mut end = times.len();
    while end > 0 && times[end - 1] > hi {
        end -= 1;
    }
    let mut from = 0;
    while from < end && times[from] < lo {
        from += 1;
    }
    (from, end)
}
