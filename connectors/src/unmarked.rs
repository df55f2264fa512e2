//! Publishers of outputs that do not tell what they have shown.
//!
//! After a crash what was shown behind the last known checkpoint is shown again: at least once.

use arrow::array::RecordBatch;
use highwater_engine::error::SinkError;
use highwater_engine::sink::{Publication, Publisher, Roll, Sink};

/// A writer as a publisher without a marker.
pub struct Unmarked<S> {
    sink: S,
    roll: Roll,
}

impl<S: Sink> Unmarked<S> {
    /// Shows rows with every checkpoint.
    pub fn each_checkpoint(sink: S) -> Self {
        Self { sink, roll: Roll::EachCheckpoint }
    }
    /// Shows nothing, so that no row is kept for it.
    pub fn never(sink: S) -> Self {
        Self { sink, roll: Roll::Never }
    }
}

impl<S: Sink> Publisher for Unmarked<S> {
    fn roll(&self) -> Roll {
        self.roll
    }
    fn recover(&mut self) -> Result<Option<u64>, SinkError> {
        Ok(None)
    }
    fn publish(
        &mut self,
        _publication: &Publication,
        rows: &mut dyn Iterator<Item = Result<RecordBatch, SinkError>>,
    ) -> Result<(), SinkError> {
        for batch in rows {
            self.sink.write(&batch?)?;
        }
        self.sink.finish()
    }
    fn finish(&mut self) -> Result<(), SinkError> {
        Ok(())
    }
}
