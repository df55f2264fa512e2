//! The boundary between the runtime and an input.
//!
//! A source is a fixed, ordered set of **partitions**; a partition is an ordered log of rows with ascending offsets (bad
//! rows take an offset too). A partition is read in **splits**: [`PartitionReader::next_split`] hands them out in order and
//! does only what is sequential (finding the next record border, seeking); [`Split::read`] decodes and may run on another
//! worker at the same time as later splits. The runtime carries event-time maxima from split to split, tags late rows,
//! and cuts epochs: a source knows nothing of them.
//!
//! Every chunk says where reading goes on behind it: [`Chunk::end`], a [`Position`]. A checkpoint keeps positions, and a
//! restored job opens the partition there: it reads exactly the rows after the chunk, with the same offsets and the same
//! bad records, whatever the borders of chunks and splits were. What must not have changed meanwhile is in
//! [`Source::fingerprint`].

use crate::batch::Offsets;
use crate::error::SourceError;
use arrow::array::RecordBatch;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// An input table, opened once per job.
pub trait Source: Send + Sync {
    /// The partitions, in their fixed order (files: path order).
    fn partitions(&self) -> &[PartitionInfo];
    /// Opens partition `index` at its beginning, or where `from` says: its [`PartitionInfo::start`], or a position that it
    /// gave before.
    fn open(&self, index: usize, from: Option<&Position>) -> Result<Box<dyn PartitionReader>, SourceError>;
    /// What must be equal when a job goes on from a position of partition `index`: a file's size and the hash of its first
    /// bytes, a generator's seed and shape. Another text means other rows, or the same at other offsets. Empty if nothing
    /// can change.
    fn fingerprint(&self, index: usize) -> Result<String, SourceError>;
    /// Whether the source ends by itself.
    fn bounded(&self) -> bool;
    /// Rows in all, if known before reading: for progress.
    fn rows_hint(&self) -> Option<u64>;
    /// A durable checkpoint, whose rows are shown, stands at these positions, in the order of the partitions. For those who
    /// watch from outside; the job goes on by its own checkpoints, so nothing is lost where nobody is told.
    fn kept(&self, _positions: &[Option<Position>]) {}
}

/// What is known of a partition before it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionInfo {
    /// Stable name: the file's path, `shard-3`, `payments-0`.
    pub name: String,
    /// A lower bound of the rows' event times, in epoch milliseconds, if it is cheaply known (statistics, the first row):
    /// decides the order of opening, never a result.
    pub first_time_ms: Option<i64>,
    /// Where it begins, if that was decided when the table was opened (the end of a topic at that moment): recorded with the
    /// first checkpoint, so that a restart begins there too. `None`: at its beginning.
    pub start: Option<Position>,
}

/// Where a partition goes on: what a checkpoint keeps of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Offset of the next row, bad records included.
    pub offset: i64,
    /// The connector's own way to it: a byte offset, a row group and row, a counter, or what else must be the same when
    /// reading goes on. Opaque to the engine.
    pub at: u64,
}

/// A partition being read; hands out its splits in order. Called under the partition's lock.
pub trait PartitionReader: Send {
    /// The next split, or `None` at the end of the partition.
    fn next_split(&mut self) -> Result<Option<Box<dyn Split>>, SourceError>;
}

/// A contiguous range of a partition's rows, decoded by one worker.
pub trait Split: Send {
    /// The next rows of the split, at most about `max_rows`.
    fn read(&mut self, max_rows: usize) -> Result<Read, SourceError>;
}

/// An answer of [`Split::read`].
#[derive(Debug)]
pub enum Read {
    /// Rows, bad rows, or both.
    Rows(Chunk),
    /// Nothing now; ask again after about this long. Until then the partition holds the watermark, not alignment.
    Pending(Duration),
    /// There are rows, but they have not come yet; ask again after about this long. The partition counts for alignment.
    Awaited(Duration),
    /// The split is read.
    End,
}

/// Decoded rows of one split, in offset order.
#[derive(Debug)]
pub struct Chunk {
    /// The good rows: the physical columns that the job reads, in the order of `SourceSpec::read`.
    pub columns: RecordBatch,
    /// Offset of each good row.
    pub offsets: Offsets,
    /// Rows that could not be decoded.
    pub bad: Vec<BadRecord>,
    /// Bytes of input consumed for this chunk.
    pub bytes: u64,
    /// Where reading goes on behind this chunk.
    pub end: Position,
}

/// A record that could not be decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRecord {
    /// Its offset in the partition.
    pub offset: i64,
    /// What is wrong: `line 17, column 3 (amount): "12,5" is not a DECIMAL(12, 2)`.
    pub reason: String,
    /// Its bytes, where the format has them.
    pub raw: Option<Vec<u8>>,
}
