//! State by key group: the entries of every key, and the rows that wait.
//!
//! Written are only the entries' times, flags and values: links between occurrences, cursors and pyramids are made anew
//! as the entries enter again. Strings are written as bytes, so nothing depends on numbers given in one run. Times stand as
//! what has passed since the entry before, flags as what is unusual, and all numbers in as few bytes as they need.
//!
//! # Deltas
//! Under `final` rows are answered, and enter their logs, in the order of event time: once the watermark W has passed, no
//! entry before W is added. So what has changed since a snapshot at W is the entries from W on, of the keys that got one,
//! and what was forgotten, which follows from the bound that each part carries. A part says from which time on it holds
//! everything; a restart takes from each part of a group the entries before the next part's, and the waiting rows of the
//! last part alone ([`read`]). A group whose deltas have become about as large as what they go on from is written whole
//! ([`Chains`]), so a restart reads about twice the state at most.
//!
//! Under `arrival` late rows enter before W too. There a part of a key group holds what its keys have from the earliest
//! entry on that was added since the snapshot before: of all its keys, since a restart takes nothing from there on out of
//! older parts.
//!
//! # Restart
//! Keys stand in a part in the order of their hashes, with a directory behind them, so that those of a chain of deltas need
//! not be decoded before their first row comes: see [`cold`](super::cold).

mod read;

pub use read::read;

use super::cold::Directory;
use super::intern::Interner;
use super::keys::{Key, order};
use super::lane::Kind;
use super::logs::Log;
use super::measure::Entries;
use super::operator::{Over, gather};
use super::plan::{Plan, TIME};
use super::waiting::Item;
use highwater_engine::batch::{Batch, Identity, ON_TIME};
use highwater_engine::error::OperatorError;
use highwater_engine::graph::Emission;
use highwater_engine::hash::{KEY_GROUPS, KeyGroup, key_group};
use highwater_engine::state::codec::Writer;
use highwater_engine::state::{Chains, Snapshot};
use std::collections::BTreeSet;
use std::ops::Range;

const VERSION: u8 = 3;
/// Its keys stand in no order, and entries behind their number.
const WITHOUT_DIRECTORY: u8 = 2;
/// A part that holds everything from this time on is whole.
const WHOLE: i64 = i64::MIN;

/// What the last snapshot left for the next one to know.
pub struct Written {
    /// The watermark of the last snapshot, if there was one.
    until: Option<i64>,
    pub(super) chains: Chains,
    /// Key groups in whose last parts rows wait.
    waited: BTreeSet<KeyGroup>,
    /// Under `arrival`, by key group: the earliest entry since the last snapshot.
    earliest: Vec<i64>,
    /// Bytes between signs of a directory, if not as always: for tests.
    pub(super) sign_bytes: Option<usize>,
}

impl Default for Written {
    fn default() -> Self {
        let (chains, waited) = (Chains::default(), BTreeSet::new());
        Self { until: None, chains, waited, earliest: vec![i64::MAX; KEY_GROUPS], sign_bytes: None }
    }
}

impl Written {
    /// Under `arrival`: an entry of this time was added to the log of a key with this hash.
    #[inline(always)]
    pub fn entered(&mut self, hash: u64, time: i64) {
        let earliest = &mut self.earliest[usize::from(key_group(hash))];
        *earliest = time.min(*earliest);
    }
}

/// A part on its way to a snapshot.
struct Part {
    from: i64,
    /// Keys with entries.
    keys: u64,
    directory: Directory,
    bytes: Writer,
}

/// Where a part says how many keys and how many bytes of entries it has, and where these begin.
const KEYS_AT: usize = 25;
const ENTRIES_AT: usize = KEYS_AT + 16;

impl Part {
    /// A part that holds every entry from a time on, and none yet.
    fn new(over: &Over, from: i64, room: usize) -> Self {
        let mut bytes = Writer::with_room(room);
        bytes.u8(VERSION);
        [from, over.fired, over.keep_from].iter().for_each(|v| bytes.i64(*v));
        debug_assert_eq!(bytes.len(), KEYS_AT);
        [0, 0].iter().for_each(|v| bytes.u64(*v));
        let mut directory = Directory::default();
        directory.sign_bytes = over.written.sign_bytes.unwrap_or(directory.sign_bytes);
        Self { from, keys: 0, directory, bytes }
    }
    /// Adds the entries of a key from the part's time on, if there are any.
    #[inline(always)]
    fn push(&mut self, over: (&Plan, i64), names: &Interner, key: (u64, Key<'_>), entries: &impl Entries) {
        let first = (0..entries.len()).rev().take_while(|i| entries.time(*i) >= self.from).last();
        let Some(first) = first else { return };
        self.keys += 1;
        self.directory.pass(order(key.0), self.bytes.len() - ENTRIES_AT);
        write_key(&mut self.bytes, key.0, key.1);
        self.bytes.sized(|bytes| write_entries(over, names, bytes, entries, first));
    }
    /// All entries are there.
    fn close(&mut self) {
        self.bytes.set_u64(KEYS_AT, self.keys);
        self.bytes.set_u64(KEYS_AT + 8, (self.bytes.len() - ENTRIES_AT) as u64);
        self.directory.write(&mut self.bytes);
    }
}

/// Writes the state of `over`.
pub fn write(over: &mut Over, into: &mut Snapshot) -> Result<(), OperatorError> {
    let Written { until, chains, earliest, .. } = &over.written;
    let since = |group: KeyGroup| match over.emission {
        Emission::Final => *until,
        Emission::Arrival { .. } => until.map(|_| earliest[usize::from(group)]),
    };
    let from = |group| since(group).filter(|_| !chains.wants_whole(group, into)).unwrap_or(WHOLE);
    let groups = 0..=KeyGroup::MAX;
    // A restart has read it, and not all of its keys had a row since.
    groups.clone().filter(|group| from(*group) == WHOLE).try_for_each(|group| over.logs.thaw_group(group))?;
    let mut parts: Vec<Part> = groups.map(|group| Part::new(over, from(group), chains.room(group))).collect();
    write_logs(over, &mut parts);
    let (waiting, ranges) = waiting_by_group(over)?;
    over.written.until = Some(over.fired);
    over.written.earliest.fill(i64::MAX);
    for (group, (mut part, rows)) in (0..=KeyGroup::MAX).zip(parts.into_iter().zip(ranges)) {
        let (is_whole, waits) = (part.from == WHOLE, !rows.is_empty());
        let Written { chains, waited, .. } = &mut over.written;
        let waited = if waits { !waited.insert(group) } else { waited.remove(&group) };
        if part.keys == 0 && !waits {
            match is_whole {
                // Another worker's, or without state.
                true => {
                    chains.end(group);
                    continue;
                }
                false if !waited => {
                    into.keep(group);
                    continue;
                }
                false => {}
            }
        }
        write_waiting(&mut part.bytes, waiting.as_ref(), rows)?;
        over.written.chains.put(group, is_whole, part.bytes.finish(), into);
    }
    Ok(())
}

/// Adds the entries of each key to the part of its group.
fn write_logs(over: &mut Over, parts: &mut [Part]) {
    let plan = (&*over.plan, over.fired);
    let all = |part: &Part| match over.emission {
        Emission::Final => part.from == WHOLE,
        Emission::Arrival { .. } => part.from != i64::MAX,
    };
    let all: Vec<bool> = parts.iter().map(all).collect();
    let wanted = |hash, changed| changed || all[key_group(hash) as usize];
    over.logs.for_each(wanted, |names, hash, key, entries| {
        let part = &mut parts[key_group(hash) as usize];
        match entries {
            Log::Small(entries) => part.push(plan, names, (hash, key), &entries),
            Log::Long(entries) => part.push(plan, names, (hash, key), entries),
        }
    });
    parts.iter_mut().for_each(Part::close);
}

/// The waiting rows in the order of their key groups, if there are any, and where the rows of each group begin and end.
fn waiting_by_group(over: &Over) -> Result<(Option<Batch>, Vec<Range<usize>>), OperatorError> {
    let group = |item: &Item| key_group(over.waiting.get(item.batch).hashes[item.row as usize]);
    let mut items: Vec<(KeyGroup, Item)> = over.waiting.queue.items().map(|i| (group(i), *i)).collect();
    items.sort_unstable_by_key(|(group, i)| (*group, i.batch, i.row));
    let mut ranges = vec![0..0; KEY_GROUPS];
    let mut at = 0;
    for rows in items.chunk_by(|a, b| a.0 == b.0) {
        ranges[usize::from(rows[0].0)] = at..at + rows.len();
        at += rows.len();
    }
    if items.is_empty() {
        return Ok((None, ranges));
    }
    let items: Vec<Item> = items.into_iter().map(|(_, item)| item).collect();
    let batch = gather(&over.waiting, &over.plan.input, &items, &over.emission)
        .map_err(|e| OperatorError::new(format!("state could not be written: {e}")))?;
    Ok((Some(batch), ranges))
}

fn write_key(to: &mut Writer, hash: u64, key: Key<'_>) {
    match key {
        Key::Null => to.u8(0),
        Key::Word(w) => {
            to.u8(1);
            to.near(w);
        }
        Key::Bytes(b) => {
            to.u8(2);
            to.u64(hash);
            to.bytes(b);
        }
    }
}

fn write_entries((plan, fired): (&Plan, i64), names: &Interner, to: &mut Writer, entries: &impl Entries, first: usize) {
    let (mut scratch, mut before) = ([0; 8], fired);
    for i in first..entries.len() {
        let time = entries.time(i);
        to.near(time.wrapping_sub(std::mem::replace(&mut before, time)));
        (0..plan.flag_words).for_each(|w| to.count((!entries.word(i, TIME + 1 + w) & plan.flag_mask(w)) as u64));
        for lane in &plan.lanes {
            let word = entries.word(i, lane.word);
            match lane.kind {
                Kind::Fixed => to.near(word),
                Kind::Wide => {
                    to.near(word);
                    to.near(entries.word(i, lane.word + 1));
                }
                Kind::Text => match names.bytes(word, &mut scratch) {
                    None => to.u8(0),
                    Some(bytes) => {
                        to.u8(1);
                        to.bytes(bytes);
                        to.u64(names.hash(word));
                    }
                },
            }
        }
    }
}

/// Writes some of the waiting rows.
fn write_waiting(to: &mut Writer, waiting: Option<&Batch>, rows: Range<usize>) -> Result<(), OperatorError> {
    to.u64(rows.len() as u64);
    let Some(batch) = waiting.filter(|_| !rows.is_empty()).map(|b| b.slice(rows.start, rows.len())) else {
        return Ok(());
    };
    to.columns(batch.columns())?;
    to.words(batch.times());
    to.words(&(0..batch.rows()).map(|i| batch.tag(i).unwrap_or(ON_TIME)).collect::<Vec<_>>());
    match batch.identity() {
        Some(Identity::Arrival(a)) => {
            to.u8(1);
            to.words(&a.cuts);
            to.words(&a.partitions.iter().map(|p| *p as i64).collect::<Vec<_>>());
            to.words(&a.offsets);
        }
        _ => to.u8(0),
    }
    Ok(())
}
