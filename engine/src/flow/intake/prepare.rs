//! A decoded chunk on its way to be tagged: computed columns evaluated, event times found, bad rows taken out.
//!
//! Nothing here depends on what came before in the partition, so it runs on any worker. The bounds of the event times are
//! found here, in one pass, block by block: rows are looked at one by one only where a bound says that one of them is
//! amiss.

use super::Intake;
use crate::batch::Offsets;
use crate::error::SourceError;
use crate::parts::RowProgram;
use crate::source::{Chunk, Position};
use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::buffer::ScalarBuffer;
use arrow::compute::filter_record_batch;
use arrow::datatypes::TimestampMillisecondType;

/// A chunk whose rows all have a valid event time.
pub(super) struct Prepared {
    pub(super) columns: RecordBatch,
    pub(super) times: ScalarBuffer<i64>,
    /// The least and the greatest event time; an empty range if there is no row.
    pub(super) bounds: Bounds,
    /// The same of each block of [`BLOCK_ROWS`] rows.
    pub(super) blocks: Vec<Bounds>,
    pub(super) offsets: Offsets,
    /// Rows that left for `t$errors`, by ascending offset.
    pub(super) bad: Vec<Bad>,
    pub(super) bytes: u64,
    /// Where reading goes on behind these rows.
    pub(super) end: Position,
    pub(super) decoded: std::time::Instant,
}

/// Rows of a block.
pub(super) const BLOCK_ROWS: usize = 64;

impl Prepared {
    /// Offset of the first row, good or bad.
    pub(super) fn first_offset(&self) -> i64 {
        let good = (!self.times.is_empty()).then(|| self.offsets.at(0));
        let bad = self.bad.first().map(|bad| bad.offset);
        good.into_iter().chain(bad).min().unwrap_or(self.end.offset)
    }

    /// The rows before the offset of `at`, which come to end there, and the rest.
    pub(super) fn split(self, at: Position) -> (Self, Self) {
        let rows = (0..self.times.len()).take_while(|&i| self.offsets.at(i) < at.offset).count();
        let bad = self.bad.iter().take_while(|b| b.offset < at.offset).count();
        let mut front_bad = self.bad;
        let back_bad = front_bad.split_off(bad);
        let part = |from: usize, to: usize, bad, bytes, end| {
            let (blocks, bounds) = Bounds::of_blocks(&self.times[from..to]);
            let columns = self.columns.slice(from, to - from);
            let times = self.times.slice(from, to - from);
            let offsets = Offsets::List((from..to).map(|i| self.offsets.at(i)).collect());
            Self { columns, times, bounds, blocks, offsets, bad, bytes, end, decoded: self.decoded }
        };
        (part(0, rows, front_bad, 0, at), part(rows, self.times.len(), back_bad, self.bytes, self.end))
    }
}

/// The least and the greatest of some event times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) min: i64,
    pub(super) max: i64,
}

impl Bounds {
    /// Of no times.
    const EMPTY: Bounds = Bounds { min: i64::MAX, max: i64::MIN };

    /// Of each block of these times, and of all.
    pub(super) fn of_blocks(times: &[i64]) -> (Vec<Bounds>, Bounds) {
        let blocks: Vec<Bounds> = times.chunks(BLOCK_ROWS).map(Self::of).collect();
        let all = blocks.iter().fold(Self::EMPTY, |a, b| a.and(*b));
        (blocks, all)
    }

    /// Of these times.
    fn of(times: &[i64]) -> Self {
        // Several at a time: one minimum after the other would wait for the one before.
        let mut lanes = [Self::EMPTY; 4];
        let chunks = times.chunks_exact(lanes.len());
        let rest = chunks.remainder();
        for chunk in chunks {
            lanes.iter_mut().zip(chunk).for_each(|(lane, &t)| lane.add(t));
        }
        let mut all = lanes.into_iter().fold(Self::EMPTY, Self::and);
        rest.iter().for_each(|&t| all.add(t));
        all
    }

    #[inline(always)]
    fn and(self, other: Bounds) -> Bounds {
        Bounds { min: self.min.min(other.min), max: self.max.max(other.max) }
    }

    #[inline(always)]
    fn add(&mut self, time: i64) {
        self.min = self.min.min(time);
        self.max = self.max.max(time);
    }
}

/// A bad row whose watermark is not known yet.
pub(super) struct Bad {
    pub(super) offset: i64,
    pub(super) reason: String,
    pub(super) raw: Option<Vec<u8>>,
}

/// Evaluates computed columns and checks NOT NULL and the range of event times.
pub(super) fn prepare(intake: &Intake, chunk: Chunk, program: &mut dyn RowProgram) -> Result<Prepared, SourceError> {
    let decoded = std::time::Instant::now();
    let mut bad: Vec<Bad> =
        chunk.bad.into_iter().map(|b| Bad { offset: b.offset, reason: b.reason, raw: b.raw }).collect();
    let projected = program.apply(&chunk.columns).map_err(|e| SourceError::new(e.message))?;
    for (row, reason) in projected.bad {
        bad.push(Bad { offset: chunk.offsets.at(row), reason, raw: None });
    }
    let mut offsets = match projected.kept {
        None => chunk.offsets,
        Some(kept) => Offsets::List(kept.values().iter().map(|&i| chunk.offsets.at(i as usize)).collect()),
    };
    let mut columns = projected.columns;
    let mut times = times_of(intake, &columns)?;
    let (mut blocks, mut bounds) = Bounds::of_blocks(&times);
    let reasons = faults(intake, &columns, &times, bounds);
    if !reasons.is_empty() {
        let rows = columns.num_rows();
        let mut keep = vec![true; rows];
        for (row, reason) in reasons {
            if std::mem::replace(&mut keep[row], false) {
                bad.push(Bad { offset: offsets.at(row), reason, raw: None });
            }
        }
        offsets = Offsets::List((0..rows).filter(|&i| keep[i]).map(|i| offsets.at(i)).collect());
        columns =
            filter_record_batch(&columns, &BooleanArray::from(keep)).map_err(|e| SourceError::new(e.to_string()))?;
        times = times_of(intake, &columns)?;
        (blocks, bounds) = Bounds::of_blocks(&times);
    }
    bad.sort_by_key(|b| b.offset);
    Ok(Prepared { columns, times, bounds, blocks, offsets, bad, bytes: chunk.bytes, end: chunk.end, decoded })
}

fn times_of(intake: &Intake, columns: &RecordBatch) -> Result<ScalarBuffer<i64>, SourceError> {
    let column = columns.column(intake.spec.time);
    match column.as_primitive_opt::<TimestampMillisecondType>() {
        Some(t) => Ok(t.values().clone()),
        None => Err(SourceError::new(format!("the event-time column is {}, not TIMESTAMP(3)", column.data_type()))),
    }
}

/// Rows that can't enter: position and reason.
fn faults(intake: &Intake, columns: &RecordBatch, times: &[i64], bounds: Bounds) -> Vec<(usize, String)> {
    let (spec, mut found) = (&intake.spec, Vec::new());
    let schema = columns.schema();
    let name = |i: usize| schema.field(i).name().as_str();
    for &i in spec.not_null.iter().chain([&spec.time]) {
        if let Some(nulls) = columns.column(i).nulls().filter(|n| n.null_count() > 0) {
            let what = if i == spec.time { "the event time is NULL" } else { "NULL in a NOT NULL column" };
            found.extend(
                (0..nulls.len()).filter(|&r| nulls.is_null(r)).map(|r| (r, format!("column {}: {what}", name(i)))),
            );
        }
    }
    if bounds.min >= spec.time_min_ms && bounds.max <= spec.time_max_ms {
        return found;
    }
    let column = columns.column(spec.time);
    for (row, &t) in times.iter().enumerate() {
        if (t < spec.time_min_ms || t > spec.time_max_ms) && column.is_valid(row) {
            let (option, bound) =
                if t < spec.time_min_ms { ("min", spec.time_min_ms) } else { ("max", spec.time_max_ms) };
            found.push((
                row,
                format!(
                    "column {}: event time {t} ms is beyond 'scan.event-time.{option}' ({bound} ms)",
                    name(spec.time)
                ),
            ));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_the_least_and_the_greatest_at_any_length() {
        let few = [5, -3, 9, 0, i64::MAX, 7, i64::MIN, 2, 2];
        let times: Vec<i64> = (0..2 * BLOCK_ROWS as i64).map(|i| i * i % 97).chain(few).collect();
        for n in 1..=times.len() {
            let naive = (times[..n].iter().copied().min(), times[..n].iter().copied().max());
            let (blocks, b) = Bounds::of_blocks(&times[..n]);
            assert_eq!((Some(b.min), Some(b.max)), naive, "{n} times");
            assert_eq!(blocks, times[..n].chunks(BLOCK_ROWS).map(Bounds::of).collect::<Vec<_>>());
        }
        assert_eq!(Bounds::of_blocks(&[]), (vec![], Bounds::EMPTY));
    }
}
