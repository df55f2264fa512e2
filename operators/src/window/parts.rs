//! Parts of key groups in snapshots: rows of partial results, slice by slice.
//!
//! ```text
//! part   i64::MAX  version: u8  kind: u8  watermark: i64  keep_from: i64  slice*
//! slice  last: near  enter: near  bytes: u64  rows: columns
//! ```
//!
//! | kind | what it holds |
//! |---|---|
//! | [`Kind::Whole`] | all that its operator had of the key group |
//! | [`Kind::Delta`] | of each slice the keys that have changed since the part before, as they were then: in place of what older parts have of them |
//! | [`Kind::Added`] | what comes on top of other parts: of combiners, and of the time before parts had a version |
//!
//! Parts of before begin with their watermark, which was never the end: nothing is left there. Slices whose last window
//! starts before `keep_from` are gone, whatever older parts say.

use super::borders::SliceId;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use highwater_engine::error::OperatorError;
use highwater_engine::hash::{KEY_GROUPS, KeyGroup, key_group};
use highwater_engine::state::codec::{Reader, Writer, unknown_version};
use highwater_engine::time::Watermark;

const VERSIONED: i64 = i64::MAX;
const VERSION: u8 = 1;

/// How a part stands to others of its key group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It stands alone.
    Whole,
    /// It goes on from the parts before.
    Delta,
    /// It comes on top of others.
    Added,
}

/// What a part says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// How it stands to others.
    pub kind: Kind,
    /// When it was written.
    pub watermark: Watermark,
    /// Slices whose last window starts before this are gone.
    pub keep_from: i64,
}

impl Head {
    fn write(&self, to: &mut Writer) {
        to.i64(VERSIONED);
        to.u8(VERSION);
        to.u8(self.kind as u8);
        to.i64(self.watermark.ms());
        to.i64(self.keep_from);
    }
}

/// A part on its way to a snapshot.
pub struct Open {
    /// The part.
    pub bytes: Writer,
    /// Whether a row is in it.
    pub has_rows: bool,
    /// Whether its key group has rows, in it or in parts before.
    pub lives: bool,
}

/// State on its way to a snapshot: a part for each key group.
pub struct ByGroup(Vec<Open>);

impl ByGroup {
    /// No rows yet. `head` says what a part begins with, and how many bytes it is likely to take.
    pub fn new(head: impl Fn(KeyGroup) -> (Head, usize)) -> Self {
        let open = |group| {
            let (head, room) = head(group);
            let mut bytes = Writer::with_room(room);
            head.write(&mut bytes);
            Open { bytes, has_rows: false, lives: false }
        };
        Self((0..=KeyGroup::MAX).map(open).collect())
    }

    /// Adds rows of a slice, which has a key of each of these hashes: all of `whole` key groups, and those that have
    /// `changed`. `columns` makes the rows, in the order that it is told.
    pub fn put(
        &mut self,
        id: SliceId,
        hashes: &[u64],
        (whole, changed): (&[bool; KEY_GROUPS], impl Fn(usize) -> bool),
        columns: impl FnOnce(&[u32]) -> Result<RecordBatch, OperatorError>,
    ) -> Result<(), OperatorError> {
        let (mut ends, mut lives) = ([0; KEY_GROUPS], [false; KEY_GROUPS]);
        let groups = || hashes.iter().map(|h| usize::from(key_group(*h))).enumerate();
        let wanted = |(row, group): &(usize, usize)| whole[*group] || changed(*row);
        for (row, group) in groups() {
            lives[group] = true;
            ends[group] += usize::from(wanted(&(row, group)));
        }
        let mut at = 0;
        for ((end, part), lives) in ends.iter_mut().zip(&mut self.0).zip(lives) {
            part.lives |= lives;
            at += std::mem::replace(end, at);
        }
        if at == 0 {
            return Ok(());
        }
        let mut rows = vec![0; at];
        for (row, group) in groups().filter(wanted) {
            rows[ends[group]] = row as u32;
            ends[group] += 1;
        }
        let columns = columns(&rows)?;
        let mut from = 0;
        for (part, end) in self.0.iter_mut().zip(ends) {
            if end > from {
                part.push(id, &columns.slice(from, end - from))?;
                from = end;
            }
        }
        Ok(())
    }

    /// The parts.
    pub fn finish(self) -> impl Iterator<Item = (KeyGroup, Open)> {
        (0..=KeyGroup::MAX).zip(self.0)
    }
}

impl Open {
    fn push(&mut self, id: SliceId, rows: &RecordBatch) -> Result<(), OperatorError> {
        let to = &mut self.bytes;
        to.near(id.last);
        to.near(id.enter);
        let at = to.len();
        to.u64(0);
        to.columns(rows)?;
        to.set_u64(at, (to.len() - at - 8) as u64);
        self.has_rows = true;
        Ok(())
    }
}

/// A part being read.
pub struct Part<'a> {
    /// What it says of itself.
    pub head: Head,
    versioned: bool,
    rows: Reader<'a>,
}

impl<'a> Part<'a> {
    /// Reads the head.
    pub fn new(bytes: &'a [u8]) -> Result<Self, OperatorError> {
        let mut rows = Reader::new(bytes);
        let first = rows.i64()?;
        if first != VERSIONED {
            let head = Head { kind: Kind::Added, watermark: Watermark::new(first), keep_from: i64::MIN };
            return Ok(Self { head, versioned: false, rows });
        }
        let damaged = |what: String| Err(OperatorError::new(format!("state is damaged: {what} is unknown")));
        match rows.u8()? {
            VERSION => {}
            v => return Err(unknown_version(v, VERSION)),
        }
        let kind = match rows.u8()? {
            0 => Kind::Whole,
            1 => Kind::Delta,
            2 => Kind::Added,
            k => return damaged(format!("kind {k}")),
        };
        let head = Head { kind, watermark: Watermark::new(rows.i64()?), keep_from: rows.i64()? };
        Ok(Self { head, versioned: true, rows })
    }

    /// Gives the rows of each slice to `take`; those of a slice that is not `wanted` are passed over.
    pub fn read(
        mut self,
        schema: &SchemaRef,
        wanted: impl Fn(SliceId) -> bool,
        mut take: impl FnMut(RecordBatch) -> Result<(), OperatorError>,
    ) -> Result<(), OperatorError> {
        while !self.rows.is_done() {
            if !self.versioned {
                take(self.rows.columns(schema)?)?;
                continue;
            }
            let id = SliceId { last: self.rows.near()?, enter: self.rows.near()? };
            let mut rows = Reader::new(self.rows.bytes()?);
            if wanted(id) {
                take(rows.columns(schema)?)?;
                if !rows.is_done() {
                    return Err(OperatorError::new("state is damaged: there is more than expected"));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_newer_program_is_not_called_damaged() {
        let mut newer = Writer::new();
        newer.i64(VERSIONED);
        newer.u8(99);
        let Err(error) = Part::new(&newer.finish()).map(|part| part.head) else { panic!("version 99 was read") };
        let error = error.to_string();
        assert!(error.contains("version 99") && error.contains("--fresh") && !error.contains("damaged"), "{error}");
    }
}
