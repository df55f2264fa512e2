//! A key group's parts become logs again, one after the other, each dropped when it is read.

use super::super::keys::Key;
use super::super::lane::Kind;
use super::super::operator::Over;
use super::super::plan::{Plan, TIME};
use super::{Chain, VERSION};
use highwater_engine::batch::{Arrival, Batch, Identity, ON_TIME};
use highwater_engine::error::OperatorError;
use highwater_engine::hash::{KeyGroup, hash_i64};
use highwater_engine::state::Snapshot;
use highwater_engine::state::codec::Reader;

/// Reads state into the empty `over`.
pub fn read(over: &mut Over, from: Snapshot) -> Result<(), OperatorError> {
    let groups: Vec<(KeyGroup, Vec<Vec<u8>>)> = from.into_groups().collect();
    let keys = groups.iter().filter_map(|(_, parts)| keys(parts.first()?).ok()).sum();
    over.logs.reserve(keys);
    for (group, mut parts) in groups {
        let heads = parts.iter().map(|bytes| Head::read(&mut Reader::new(bytes))).collect::<Result<Vec<_>, _>>()?;
        let Some(last) = heads.last() else { continue };
        over.written.until = over.written.until.max(Some(last.until));
        over.fired = over.fired.max(last.until);
        let (keep_from, count) = (last.keep_from, parts.len());
        let mut chain = Chain::default();
        // Whether rows wait is not known here: the next part says again that none do.
        heads.iter().zip(&parts).for_each(|(head, bytes)| chain.push(head.from, bytes.len(), true));
        over.written.groups.insert(group, chain);
        for i in 0..count {
            // What later parts hold is theirs.
            let end = heads[i + 1..].iter().map(|h| h.from).min();
            Part { head: &heads[i], keep_from, end }.read(over, &std::mem::take(&mut parts[i]))?;
        }
    }
    Ok(())
}

/// How many keys a part has.
fn keys(part: &[u8]) -> Result<usize, OperatorError> {
    let mut from = Reader::new(part);
    Head::read(&mut from)?;
    // Each takes more than a byte: a damaged number asks for no more memory than that.
    Ok(usize::try_from(from.u64()?).unwrap_or(usize::MAX).min(part.len()))
}

/// What a part says of itself.
struct Head {
    /// It holds every entry of its keys from here on.
    from: i64,
    /// The watermark when it was written.
    until: i64,
    /// Entries before this are of no use.
    keep_from: i64,
}

impl Head {
    fn read(from: &mut Reader<'_>) -> Result<Self, OperatorError> {
        match from.u8()? {
            VERSION => Ok(Self { from: from.i64()?, until: from.i64()?, keep_from: from.i64()? }),
            v => Err(damaged(&format!("version {v} is unknown"))),
        }
    }
}

/// What is wanted of a part.
struct Part<'a> {
    head: &'a Head,
    /// Entries before this are of no use.
    keep_from: i64,
    /// Entries from here on are in later parts; the last part, without an end, has the waiting rows.
    end: Option<i64>,
}

impl Part<'_> {
    /// Reads the entries that lie where they are wanted, and of the last part the waiting rows.
    fn read(&self, over: &mut Over, bytes: &[u8]) -> Result<(), OperatorError> {
        let mut part = Reader::new(bytes);
        Head::read(&mut part)?;
        let keys = part.u64()?;
        let mut logs = Reader::new(part.bytes()?);
        let plan = over.plan.clone();
        let mut entries = Vec::new();
        for _ in 0..keys {
            self.read_log(over, &plan, &mut logs, &mut entries)?;
        }
        if !logs.is_done() {
            return Err(damaged("there is more than expected"));
        }
        if self.end.is_some() {
            return Ok(());
        }
        read_waiting(over, &mut part)?;
        match part.is_done() {
            true => Ok(()),
            false => Err(damaged("there is more than expected")),
        }
    }

    /// Reads the entries of a key and enters them all at once. `entries` is memory that is used again.
    fn read_log(
        &self,
        over: &mut Over,
        plan: &Plan,
        from: &mut Reader<'_>,
        entries: &mut Vec<i64>,
    ) -> Result<(), OperatorError> {
        let (hash, key) = read_key(over, from)?;
        let (mut at, mut time, mut before) = (0, self.head.until, self.head.from);
        let is_wanted = |time| time >= self.keep_from && self.end.is_none_or(|end| time < end);
        for _ in 0..from.count()? {
            time = time.wrapping_add(from.near()?);
            if time < std::mem::replace(&mut before, time) {
                return Err(damaged("the entries of a key are not in the order of their times"));
            }
            if entries.len() < at + plan.words {
                entries.resize(2 * at + plan.words, 0);
            }
            let entry = &mut entries[at..at + plan.words];
            entry[TIME] = time;
            read_entry(over, plan, from, entry)?;
            match is_wanted(time) {
                true => at += plan.words,
                false => over.logs.release(entry),
            }
        }
        if at == 0 {
            return Ok(());
        }
        over.logs.reserve(1);
        let place = over.logs.find_or_add(hash, key);
        over.logs.append(place, &mut entries[..at])
    }
}

fn damaged(what: &str) -> OperatorError {
    OperatorError::new(format!("state is damaged: {what}"))
}

/// Reads what stands behind the time of an entry.
fn read_entry(over: &mut Over, plan: &Plan, from: &mut Reader<'_>, entry: &mut [i64]) -> Result<(), OperatorError> {
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
                entry[lane.word] = over.logs.names.acquire(bytes, from.u64()?);
            }
        }
    }
    Ok(())
}

fn read_waiting(over: &mut Over, from: &mut Reader<'_>) -> Result<(), OperatorError> {
    let rows = usize::try_from(from.u64()?).map_err(|_| damaged("impossible length"))?;
    if rows == 0 {
        return Ok(());
    }
    let columns = from.columns(&over.plan.input)?;
    if columns.num_rows() != rows {
        return Err(damaged(&format!("{} rows wait where {rows} were written", columns.num_rows())));
    }
    let (times, tags) = (from.words(rows)?, from.words(rows)?);
    let identity = match from.u8()? {
        0 => None,
        _ => Some(Identity::Arrival(read_arrival(from, rows)?)),
    };
    let tags = tags.iter().any(|t| *t != ON_TIME).then(|| tags.into());
    over.wait(Batch::new(columns, times.into()).with_tags(tags).with_identity(identity))?;
    Ok(())
}

fn read_arrival(from: &mut Reader<'_>, rows: usize) -> Result<Arrival, OperatorError> {
    let cuts = from.words(rows)?.into();
    let partitions = from.words(rows)?.into_iter().map(|p| p as u64).collect();
    Ok(Arrival { cuts, partitions, offsets: from.words(rows)?.into() })
}

/// A key with its hash.
fn read_key<'a>(over: &Over, from: &mut Reader<'a>) -> Result<(u64, Key<'a>), OperatorError> {
    Ok(match from.u8()? {
        0 => (over.logs.table.null_hash(), Key::Null),
        1 => {
            let word = from.near()?;
            (hash_i64(word), Key::Word(word))
        }
        2 => (from.u64()?, Key::Bytes(from.bytes()?)),
        k => return Err(damaged(&format!("a key of kind {k}"))),
    })
}
