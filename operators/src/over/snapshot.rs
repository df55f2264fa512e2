//! State by key group: the entries of every key, and the rows that wait.
//!
//! Written are only the entries' times, flags and values: links between occurrences, cursors and pyramids are made anew
//! as the entries enter again. Strings are written as bytes, so nothing depends on numbers given in one run.

use super::keys::Key;
use super::lane::Kind;
use super::measure::Entries;
use super::operator::{Over, gather};
use super::plan::{Plan, TIME};
use super::waiting::Item;
use arrow::array::RecordBatch;
use highwater_engine::batch::{Arrival, Batch, Identity, ON_TIME};
use highwater_engine::error::OperatorError;
use highwater_engine::hash::{KEY_GROUPS, KeyGroup, key_group};
use highwater_engine::state::Snapshot;
use highwater_engine::state::codec::{Reader, Writer};

const VERSION: u8 = 1;

/// Writes the state of `over`.
pub fn write(over: &Over, into: &mut Snapshot) -> Result<(), OperatorError> {
    let mut logs: Vec<(u64, Writer)> = (0..KEY_GROUPS).map(|_| (0, Writer::new())).collect();
    over.logs.for_each(|hash, key, entries| {
        if entries.len() == 0 {
            return Ok(());
        }
        let (keys, to) = &mut logs[key_group(hash) as usize];
        *keys += 1;
        to.u64(hash);
        write_key(to, key);
        write_entries(over, to, entries);
        Ok(())
    })?;
    let mut waiting: Vec<Vec<Item>> = vec![Vec::new(); KEY_GROUPS];
    for item in over.waiting.queue.items() {
        let hash = over.waiting.get(item.batch).hashes[item.row as usize];
        waiting[key_group(hash) as usize].push(*item);
    }
    for (group, ((keys, logs), mut items)) in logs.into_iter().zip(waiting).enumerate() {
        if keys == 0 && items.is_empty() {
            continue;
        }
        items.sort_unstable_by_key(|i| (i.batch, i.row));
        let mut to = Writer::new();
        to.u8(VERSION);
        to.u64(keys);
        to.bytes(&logs.finish());
        write_waiting(over, &mut to, &items)?;
        into.put(group as KeyGroup, to.finish());
    }
    Ok(())
}

fn write_key(to: &mut Writer, key: Key<'_>) {
    match key {
        Key::Null => to.u8(0),
        Key::Word(w) => {
            to.u8(1);
            to.i64(w);
        }
        Key::Bytes(b) => {
            to.u8(2);
            to.bytes(b);
        }
    }
}

fn write_entries(over: &Over, to: &mut Writer, entries: &dyn Entries) {
    let (plan, names) = (&over.plan, &over.logs.names);
    to.u64(entries.len() as u64);
    let mut scratch = [0; 8];
    for i in 0..entries.len() {
        to.i64(entries.time(i));
        (0..plan.flag_words).for_each(|w| to.i64(entries.word(i, TIME + 1 + w) & plan.flag_mask(w)));
        for lane in &plan.lanes {
            let word = entries.word(i, lane.word);
            match lane.kind {
                Kind::Fixed => to.i64(word),
                Kind::Wide => {
                    to.i64(word);
                    to.i64(entries.word(i, lane.word + 1));
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

fn write_waiting(over: &Over, to: &mut Writer, items: &[Item]) -> Result<(), OperatorError> {
    to.u64(items.len() as u64);
    if items.is_empty() {
        return Ok(());
    }
    let batch = gather(&over.waiting, &over.plan.input, items)
        .map_err(|e| OperatorError::new(format!("state could not be written: {e}")))?;
    to.batch(batch.columns())?;
    batch.times().iter().for_each(|t| to.i64(*t));
    (0..batch.rows()).for_each(|i| to.i64(batch.tag(i).unwrap_or(ON_TIME)));
    match batch.identity() {
        Some(Identity::Arrival(a)) => {
            to.u8(1);
            for i in 0..batch.rows() {
                to.i64(a.cuts[i]);
                to.u64(a.partitions[i]);
                to.i64(a.offsets[i]);
            }
        }
        _ => to.u8(0),
    }
    Ok(())
}

/// Reads state into the empty `over`.
pub fn read(over: &mut Over, from: Snapshot) -> Result<(), OperatorError> {
    for (_, bytes) in from.into_parts() {
        let mut part = Reader::new(&bytes);
        match part.u8()? {
            VERSION => {}
            v => return Err(damaged(&format!("version {v} is unknown"))),
        }
        let keys = part.u64()?;
        let mut logs = Reader::new(part.bytes()?);
        for _ in 0..keys {
            read_log(over, &mut logs)?;
        }
        read_waiting(over, &mut part)?;
        if !logs.is_done() || !part.is_done() {
            return Err(damaged("there is more than expected"));
        }
    }
    Ok(())
}

fn damaged(what: &str) -> OperatorError {
    OperatorError::new(format!("state is damaged: {what}"))
}

fn read_log(over: &mut Over, from: &mut Reader<'_>) -> Result<(), OperatorError> {
    let hash = from.u64()?;
    let key = match from.u8()? {
        0 => Key::Null,
        1 => Key::Word(from.i64()?),
        2 => Key::Bytes(from.bytes()?),
        k => return Err(damaged(&format!("a key of kind {k}"))),
    };
    over.logs.reserve(1);
    let place = over.logs.find_or_add(hash, key);
    let plan = over.plan.clone();
    let mut entry = vec![0; plan.words];
    for _ in 0..from.u64()? {
        read_entry(over, &plan, from, &mut entry)?;
        over.logs.insert(place, &mut entry, i64::MIN)?;
    }
    Ok(())
}

fn read_entry(over: &mut Over, plan: &Plan, from: &mut Reader<'_>, entry: &mut [i64]) -> Result<(), OperatorError> {
    for word in &mut entry[TIME..=plan.flag_words] {
        *word = from.i64()?;
    }
    for lane in &plan.lanes {
        match lane.kind {
            Kind::Fixed => entry[lane.word] = from.i64()?,
            Kind::Wide => (entry[lane.word], entry[lane.word + 1]) = (from.i64()?, from.i64()?),
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
    let batch = from.batch()?;
    if batch.num_rows() != rows {
        return Err(damaged(&format!("{} rows wait where {rows} were written", batch.num_rows())));
    }
    let columns = RecordBatch::try_new(over.plan.input.clone(), batch.columns().to_vec())
        .map_err(|e| damaged(&format!("waiting rows have other columns: {e}")))?;
    let mut words = |n: usize| (0..n).map(|_| from.i64()).collect::<Result<Vec<_>, _>>();
    let (times, tags) = (words(rows)?, words(rows)?);
    let identity = match from.u8()? {
        0 => None,
        _ => Some(Identity::Arrival(read_arrival(from, rows)?)),
    };
    let tags = tags.iter().any(|t| *t != ON_TIME).then(|| tags.into());
    over.wait(Batch::new(columns, times.into()).with_tags(tags).with_identity(identity))?;
    Ok(())
}

fn read_arrival(from: &mut Reader<'_>, rows: usize) -> Result<Arrival, OperatorError> {
    let (mut cuts, mut partitions, mut offsets) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rows {
        cuts.push(from.i64()?);
        partitions.push(from.u64()?);
        offsets.push(from.i64()?);
    }
    Ok(Arrival { cuts: cuts.into(), partitions: partitions.into(), offsets: offsets.into() })
}
