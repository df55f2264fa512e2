//! What a restart has read, of keys that had no row since: parts of key groups as they were written.
//!
//! A key's entries are looked up and entered when its first row comes, so that a restart costs bytes and not entries, and
//! keys that are quiet cost no more memory than their bytes. A group that is to be written whole is entered as a whole
//! before ([`Logs::thaw_group`](super::logs::Logs::thaw_group)): after a round of checkpoints nothing is left here.
//!
//! Keys stand in a part in the [order](super::keys::order) of their hashes. Its [`Directory`] says of a key every now and
//! then where it stands; from there on a look-up passes from key to key.
//!
//! That a key which is in the table has all its entries there needs no bookkeeping: whoever adds it looks here first, and
//! whoever removes it does so because all its entries lie before the bound, here too.

mod directory;

pub use directory::Directory;

use super::intern::Interner;
use super::keys::{Key, order};
use super::lane::Kind;
use super::plan::{Plan, TIME};
use highwater_engine::error::OperatorError;
use highwater_engine::hash::{KeyGroup, hash_i64, key_group};
use highwater_engine::state::codec::Reader;
use std::collections::BTreeMap;
use std::ops::Range;

/// The key groups whose state was read and not yet entered.
pub struct Cold {
    /// The parts of a group, oldest first: each holds the entries of a span of time.
    groups: BTreeMap<KeyGroup, Vec<ColdPart>>,
    /// Bytes of all parts.
    bytes: usize,
    /// Entries before this are of no use.
    bound: i64,
    /// No part ends before this.
    end_min: i64,
    /// Memory for the entries of a key, used again.
    scratch: Vec<i64>,
}

/// A part, as it was written.
pub struct ColdPart {
    /// The part.
    pub bytes: Vec<u8>,
    /// Where its entries stand.
    pub entries: Range<usize>,
    /// Where the rows that wait stand.
    pub waiting_at: usize,
    /// Keys with entries.
    pub keys: usize,
    /// Where its keys stand; in a part of version 2 they have no order.
    pub directory: Option<Directory>,
    /// What of it counts.
    pub span: Span,
}

/// Which entries of a part count.
#[derive(Clone, Copy)]
pub struct Span {
    /// The part has none before this.
    pub from: i64,
    /// The watermark when it was written: the times of a key begin with the distance from here.
    pub until: i64,
    /// Entries before this are of no use.
    pub keep_from: i64,
    /// Entries from here on stand in later parts, or there are none.
    pub end: i64,
}

impl Default for Cold {
    fn default() -> Self {
        Self { groups: BTreeMap::new(), bytes: 0, bound: i64::MIN, end_min: i64::MAX, scratch: Vec::new() }
    }
}

impl Cold {
    /// Whether everything has been entered.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Adds what was read of a group.
    pub fn put(&mut self, group: KeyGroup, parts: Vec<ColdPart>) {
        self.bytes += parts.iter().map(ColdPart::memory).sum::<usize>();
        self.end_min = parts.iter().map(|part| part.span.end).fold(self.end_min, i64::min);
        self.groups.insert(group, parts);
    }

    /// Takes out what is left of a group.
    pub fn take(&mut self, group: KeyGroup) -> Option<Vec<ColdPart>> {
        let mut parts = self.groups.remove(&group)?;
        self.bytes -= parts.iter().map(ColdPart::memory).sum::<usize>();
        parts.iter_mut().for_each(|part| part.span.keep_from = part.span.keep_from.max(self.bound));
        Some(parts)
    }

    /// Memory for the entries of a key, to be given back.
    pub fn take_scratch(&mut self) -> Vec<i64> {
        std::mem::take(&mut self.scratch)
    }
    /// Gives it back.
    pub fn put_scratch(&mut self, scratch: Vec<i64>) {
        self.scratch = scratch;
    }

    /// Reads the entries of a key that are still of use, in the order of their times, to the front of `to`; says how many
    /// words they have.
    pub fn read(
        &self,
        plan: &Plan,
        names: &mut Interner,
        (hash, key): (u64, Key<'_>),
        null_hash: u64,
        to: &mut Vec<i64>,
    ) -> Result<usize, OperatorError> {
        let mut words = 0;
        for part in self.groups.get(&key_group(hash)).into_iter().flatten() {
            if let Some(mut log) = part.find(hash, key, null_hash)? {
                log.span.keep_from = log.span.keep_from.max(self.bound);
                words = log.read(plan, names, to, words)?;
            }
        }
        Ok(words)
    }

    /// Entries before `bound` are of no use any more.
    pub fn forget(&mut self, bound: i64) {
        self.bound = self.bound.max(bound);
        if self.is_empty() || bound < self.end_min {
            return;
        }
        for parts in self.groups.values_mut() {
            parts.retain(|part| part.span.end > bound);
        }
        self.groups.retain(|_, parts| !parts.is_empty());
        self.bytes = self.groups.values().flatten().map(ColdPart::memory).sum();
        self.end_min = self.groups.values().flatten().map(|part| part.span.end).min().unwrap_or(i64::MAX);
    }

    /// Bytes held, roughly.
    pub fn memory(&self) -> usize {
        self.bytes + self.scratch.len() * 8
    }
}

impl ColdPart {
    /// From its first key on.
    pub fn walk(&self) -> Walk<'_> {
        Walk {
            from: Reader::new(&self.bytes[self.entries.clone()]),
            span: self.span,
            is_sized: self.directory.is_some(),
        }
    }

    /// Stands behind a key, if that is there.
    fn find(&self, hash: u64, key: Key<'_>, null_hash: u64) -> Result<Option<Walk<'_>>, OperatorError> {
        let wanted = order(hash);
        let Some(at) = self.directory.as_ref().and_then(|directory| directory.before(wanted)) else { return Ok(None) };
        let mut walk = self.walk();
        walk.from.skip(at)?;
        while let Some(found) = walk.next(null_hash)? {
            if found == (hash, key) {
                return Ok(Some(walk));
            }
            if order(found.0) > wanted {
                break;
            }
            walk.pass_over()?;
        }
        Ok(None)
    }

    fn memory(&self) -> usize {
        self.bytes.len() + self.directory.as_ref().map_or(0, Directory::memory)
    }
}

/// The keys of a part, one after the other: each must be read or passed over before the next.
pub struct Walk<'a> {
    from: Reader<'a>,
    span: Span,
    /// Whether the entries of a key stand behind their length in bytes, else behind their number.
    is_sized: bool,
}

impl<'a> Walk<'a> {
    /// The next key, with its hash.
    #[inline(always)]
    pub fn next(&mut self, null_hash: u64) -> Result<Option<(u64, Key<'a>)>, OperatorError> {
        if self.from.is_done() {
            return Ok(None);
        }
        Ok(Some(match self.from.u8()? {
            0 => (null_hash, Key::Null),
            1 => {
                let word = self.from.near()?;
                (hash_i64(word), Key::Word(word))
            }
            2 => (self.from.u64()?, Key::Bytes(self.from.bytes()?)),
            k => return Err(damaged(&format!("a key of kind {k}"))),
        }))
    }

    /// Passes over the entries of a key.
    #[inline(always)]
    pub fn pass_over(&mut self) -> Result<(), OperatorError> {
        let end = self.from.sized()?;
        self.from.skip(end - self.from.position())
    }

    /// Reads the entries of a key that count, in the order of their times, to `to` from word `at` on; says which word comes
    /// next.
    pub fn read(
        &mut self,
        plan: &Plan,
        names: &mut Interner,
        to: &mut Vec<i64>,
        mut at: usize,
    ) -> Result<usize, OperatorError> {
        let (mut number, mut end) = (0, 0);
        match self.is_sized {
            true => end = self.from.sized()?,
            false => number = self.from.count()?,
        }
        let Span { from, until, keep_from, end: before } = self.span;
        let (mut time, mut last) = (until, from);
        while number > 0 || self.from.position() < end {
            number = number.saturating_sub(1);
            time = time.wrapping_add(self.from.near()?);
            if time < std::mem::replace(&mut last, time) {
                return Err(damaged("the entries of a key are not in the order of their times"));
            }
            if to.len() < at + plan.words {
                to.resize(2 * at + plan.words, 0);
            }
            let entry = &mut to[at..at + plan.words];
            entry[TIME] = time;
            read_entry(plan, names, &mut self.from, entry)?;
            match time >= keep_from && time < before {
                true => at += plan.words,
                false => release(plan, names, entry),
            }
        }
        match !self.is_sized || self.from.position() == end {
            true => Ok(at),
            false => Err(damaged("the entries of a key do not end where they should")),
        }
    }
}

/// Reads what stands behind the time of an entry.
#[inline(always)]
fn read_entry(
    plan: &Plan,
    names: &mut Interner,
    from: &mut Reader<'_>,
    entry: &mut [i64],
) -> Result<(), OperatorError> {
    for (w, word) in entry[TIME + 1..=plan.flag_words].iter_mut().enumerate() {
        *word = !(from.count()? as i64) & plan.flag_mask(w);
    }
    for lane in &plan.lanes {
        match lane.kind {
            Kind::Fixed => entry[lane.word] = from.near()?,
            Kind::Wide => (entry[lane.word], entry[lane.word + 1]) = (from.near()?, from.near()?),
            Kind::Text if from.u8()? == 0 => entry[lane.word] = 0,
            Kind::Text => {
                let bytes = from.bytes()?;
                entry[lane.word] = names.acquire(bytes, from.u64()?);
            }
        }
    }
    Ok(())
}

/// An entry that was made enters no log.
fn release(plan: &Plan, names: &mut Interner, entry: &[i64]) {
    plan.lanes.iter().filter(|lane| lane.kind == Kind::Text).for_each(|lane| names.release(entry[lane.word]));
}

pub(super) fn damaged(what: &str) -> OperatorError {
    OperatorError::new(format!("state is damaged: {what}"))
}
