//! A key group's parts become logs again: under `final` a key's when its first row comes, else all at once.

use super::super::cold::{ColdPart, Directory, Span, damaged};
use super::super::operator::Over;
use super::{ENTRIES_AT, VERSION, WHOLE, WITHOUT_DIRECTORY};
use highwater_engine::batch::{Arrival, Batch, Identity, ON_TIME};
use highwater_engine::error::OperatorError;
use highwater_engine::graph::Emission;
use highwater_engine::hash::KeyGroup;
use highwater_engine::state::Snapshot;
use highwater_engine::state::codec::{Reader, unknown_version};

/// Reads state into the empty `over`.
pub fn read(over: &mut Over, from: Snapshot) -> Result<(), OperatorError> {
    let (mut at_once, mut keys) = (Vec::new(), 0);
    for (group, parts) in from.into_groups() {
        let mut parts = parts.into_iter().map(part).collect::<Result<Vec<_>, _>>()?;
        let Some(last) = parts.last() else { continue };
        read_waiting(over, &mut Reader::new(&last.bytes[last.waiting_at..]))?;
        let Span { until, keep_from, .. } = last.span;
        over.written.until = over.written.until.max(Some(until));
        over.fired = over.fired.max(until);
        let chains = &mut over.written.chains;
        parts.iter().for_each(|part| chains.push(group, part.span.from == WHOLE, part.bytes.len()));
        // Whether rows wait is not known here: the next part says again that none do.
        over.written.waited.insert(group);
        // What later parts hold is theirs.
        let mut end = if over.emission == Emission::Final { until } else { i64::MAX };
        for part in parts.iter_mut().rev() {
            (part.span.end, part.span.keep_from) = (end, keep_from);
            end = end.min(part.span.from);
        }
        if over.emission != Emission::Final || parts.iter().any(|part| part.directory.is_none()) {
            at_once.push(group);
            keys += parts[0].keys;
        }
        over.logs.cold.put(group, parts);
    }
    over.logs.reserve(keys);
    at_once.into_iter().try_for_each(|group: KeyGroup| over.logs.thaw_group(group))
}

/// What a part says of itself.
fn part(bytes: Vec<u8>) -> Result<ColdPart, OperatorError> {
    let mut from = Reader::new(&bytes);
    let has_directory = match from.u8()? {
        VERSION => true,
        WITHOUT_DIRECTORY => false,
        v => return Err(unknown_version(v, VERSION)),
    };
    let (begin, until, keep_from) = (from.i64()?, from.i64()?, from.i64()?);
    let keys = from.u64()?;
    let entries = ENTRIES_AT..ENTRIES_AT + from.bytes()?.len();
    // Each takes more than a byte: a damaged number asks for no more memory than that.
    let keys = usize::try_from(keys).ok().filter(|keys| *keys <= entries.len());
    let keys = keys.ok_or_else(|| damaged("it has more keys than bytes"))?;
    let directory = has_directory.then(|| Directory::read(&mut from, entries.len())).transpose()?;
    let span = Span { from: begin, until, keep_from, end: i64::MAX };
    Ok(ColdPart { keys, directory, span, entries, waiting_at: from.position(), bytes })
}

/// Reads the rows that wait; nothing stands behind them.
fn read_waiting(over: &mut Over, from: &mut Reader<'_>) -> Result<(), OperatorError> {
    let rows = usize::try_from(from.u64()?).map_err(|_| damaged("impossible length"))?;
    if rows == 0 {
        return done(from);
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
    done(from)
}

fn done(from: &Reader<'_>) -> Result<(), OperatorError> {
    match from.is_done() {
        true => Ok(()),
        false => Err(damaged("there is more than expected")),
    }
}

fn read_arrival(from: &mut Reader<'_>, rows: usize) -> Result<Arrival, OperatorError> {
    let cuts = from.words(rows)?.into();
    let partitions = from.words(rows)?.into_iter().map(|p| p as u64).collect();
    Ok(Arrival { cuts, partitions, offsets: from.words(rows)?.into() })
}
