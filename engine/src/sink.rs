//! The boundary between the runtime and an output.
//!
//! A [`SinkTable`] is opened once per job, a [`Sink`] once per worker. Rows reach the world only by
//! [`SinkTable::commit`], which the runtime calls once, after every worker's [`Sink::finish`] has returned; on any error
//! it calls [`SinkTable::abort`] instead. A sink that shows rows at once (`print`) says so in its documentation.
//! The digest is the runtime's business: a sink only writes.
//!
//! A job that keeps checkpoints shows its rows by a [`Publisher`] instead: the runtime stages them in outboxes, and only
//! what a durable manifest names is published. A [`Publication`] is what is shown together; the publisher shows each once,
//! however often it is asked to.

use crate::error::SinkError;
use arrow::array::RecordBatch;
use serde::{Deserialize, Serialize};

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

/// When the rows of a sink become visible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Roll {
    /// With every checkpoint.
    EachCheckpoint,
    /// As files: when so many bytes of outbox have come together, when the first of them is so old, or at the end of the
    /// input.
    Files {
        /// Bytes of outbox that make a file.
        bytes_min: u64,
        /// The oldest that rows become without being shown.
        interval_ms: u64,
    },
    /// At the end of the input, all at once, and again whenever the ended job is started: what it shows does not outlive the
    /// process. Its rows stay in outboxes until the state folder is emptied.
    AtEnd,
    /// Never: the sink shows nothing, so its rows stand in no outbox. They are counted and digested, which is all that a
    /// checkpoint keeps of them.
    Never,
}

/// The rows of the checkpoints `first..=last`, shown together and once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publication {
    /// The first checkpoint.
    pub first: u64,
    /// The last checkpoint.
    pub last: u64,
}

/// Shows the rows of a job with checkpoints: only what a durable manifest names.
pub trait Publisher: Send {
    /// When rows become visible.
    fn roll(&self) -> Roll;
    /// Called once at the start of every attempt, before anything is published: keeps earlier incarnations out and says
    /// the last checkpoint that is visible, where the sink itself knows it (a marker). `None`: it does not know, and
    /// [`Publisher::publish`] finds out by itself.
    fn recover(&mut self) -> Result<Option<u64>, SinkError>;
    /// Shows the rows, once: a publication that is visible already is done. The rows come in a fixed order, the same on
    /// every call for it. On an error nothing of it is visible, or all; the next attempt finds out.
    fn publish(
        &mut self,
        publication: &Publication,
        rows: &mut dyn Iterator<Item = Result<RecordBatch, SinkError>>,
    ) -> Result<(), SinkError>;
    /// The job has ended and everything is published.
    fn finish(&mut self) -> Result<(), SinkError>;
}
