//! The boundary between the runtime and a step of the dataflow. Operators never see timely, a clock or a file.
//!
//! # What an operator may assume
//! * The calls come from one thread, in this order: `restore` at most once and first; then `on_batch` and `on_watermark`
//!   in any interleaving; `snapshot` only between an `on_watermark` and the next `on_batch`.
//! * Batches of a keyed operator hold only keys it owns. Rows of a later epoch may arrive before the `on_watermark` of an
//!   earlier one: they are not below that watermark, or carry a tag.
//! * `on_watermark` never goes back; [`Progress::END`] is the last one of a bounded job.
//!
//! # What it owes
//! * The rows it emits, taken together, depend on the rows and tags it was given only: not on batch borders, epochs or the
//!   instants at which the watermark advanced.
//! * A row emitted after `on_watermark(p)` has an event time at or above the operator's `W_out(p)` (`p.watermark`, but for
//!   sessions, which promise 1 ms less), or carries a tag.
//! * On `Err` its state is half applied: the worker drops it and the job stops, or restores the last checkpoint.

use crate::batch::Batch;
use crate::error::OperatorError;
use crate::state::Snapshot;
use crate::time::Progress;

/// One step of the dataflow on one worker. No default bodies: a step without state says so.
pub trait Operator: Send {
    /// Takes rows of input `input` (0 but for unions and joins).
    fn on_batch(&mut self, input: usize, batch: Batch, out: &mut Output) -> Result<(), OperatorError>;
    /// Everything below `progress` has arrived: emit what is complete, forget what no row can need.
    fn on_watermark(&mut self, progress: Progress, out: &mut Output) -> Result<(), OperatorError>;
    /// Writes the state by key group. Two operators that have seen the same rows and progress write state that restores
    /// to the same behaviour (not necessarily the same bytes). Of a group that is not to be whole
    /// ([`Snapshot::is_whole`]) an operator may write what has changed since its last snapshot, or since it was restored:
    /// every snapshot becomes durable, or the operator is dropped.
    fn snapshot(&mut self, into: &mut Snapshot) -> Result<(), OperatorError>;
    /// Adds the groups of `from` to an empty operator. Groups may come from several operators that held parts of the same
    /// key (combiners), and from a job with another number of workers. A part that was read is dropped: state is never held
    /// twice as a whole.
    fn restore(&mut self, from: Snapshot) -> Result<(), OperatorError>;
    /// Bytes of state held now, roughly, for metrics and limits.
    fn state_bytes(&self) -> usize;
}

/// Where an operator puts what it produces.
#[derive(Default)]
pub struct Output {
    /// Result rows, in order: those that `next` did not take.
    pub batches: Vec<Batch>,
    /// Rows that failed an expression: they become rows of `t$errors`.
    pub bad: Vec<BadRow>,
    /// Late rows that this operator refused, to be counted; the rows themselves are in `t$late`.
    pub refused: u64,
    /// Result rows so far.
    pub rows: u64,
    /// Who takes result rows at once, while they are in the caches, if somebody does.
    pub next: Option<Box<dyn FnMut(Batch)>>,
}

impl Output {
    /// Emits a batch; an empty one is dropped.
    pub fn push(&mut self, batch: Batch) {
        if batch.rows() == 0 {
            return;
        }
        self.rows += batch.rows() as u64;
        match &mut self.next {
            Some(next) => next(batch),
            None => self.batches.push(batch),
        }
    }
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { batches, bad, refused, rows, next } = self;
        let mut f = f.debug_struct("Output");
        f.field("batches", batches).field("bad", bad).field("refused", refused).field("rows", rows);
        f.field("next", &next.is_some()).finish()
    }
}

/// One row of `t$errors`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRow {
    /// Index of the source in the job's list of sources.
    pub source: u32,
    /// Index of the partition in the source's list.
    pub partition: u32,
    /// Offset of the row in its partition.
    pub offset: i64,
    /// What is wrong and where: `column amount: "12,5" is not a DECIMAL(12, 2)`.
    pub reason: String,
    /// The bytes of the row, where the format has them.
    pub raw: Option<Vec<u8>>,
    /// The partition's watermark just before the row; `i64::MIN` before its first valid row.
    pub watermark: i64,
}
