//! The boundary between the runtime and an output.
//!
//! A [`SinkTable`] is opened once per job, a [`Sink`] once per worker. Rows reach the world only by
//! [`SinkTable::commit`], which the runtime calls once, after every worker's [`Sink::finish`] has returned; on any error
//! it calls [`SinkTable::abort`] instead. A sink that shows rows at once (`print`) says so in its documentation.
//! The digest is the runtime's business: a sink only writes.

use crate::error::SinkError;
use arrow::array::RecordBatch;

/// An output table.
pub trait SinkTable: Send + Sync {
    /// The writer of one worker.
    fn open(&self, worker: usize) -> Result<Box<dyn Sink>, SinkError>;
    /// Makes everything the writers finished visible, all or nothing as far as the medium allows.
    fn commit(&self) -> Result<(), SinkError>;
    /// Removes what the writers staged. After a commit it does nothing.
    fn abort(&self);
}

/// One worker's writer.
pub trait Sink: Send {
    /// Writes rows of the sink's schema.
    fn write(&mut self, rows: &RecordBatch) -> Result<(), SinkError>;
    /// Everything is written: flush and sync, so that `commit` has only to show it.
    fn finish(&mut self) -> Result<(), SinkError>;
}
