//! The `blackhole` sink: rows vanish. The runtime counts and digests them as it does for every sink, so this is the sink
//! of comparisons and measurements. A job that keeps state writes none of them to its state folder either.

use arrow::array::RecordBatch;
use highwater_engine::error::SinkError;
use highwater_engine::sink::{Sink, SinkTable};

/// The table, and its writers.
#[derive(Debug)]
pub struct Blackhole;

impl SinkTable for Blackhole {
    fn open(&self, _worker: usize) -> Result<Box<dyn Sink>, SinkError> {
        Ok(Box::new(Blackhole))
    }
    fn commit(&self) -> Result<(), SinkError> {
        Ok(())
    }
    fn abort(&self) {}
}

impl Sink for Blackhole {
    fn write(&mut self, _rows: &RecordBatch) -> Result<(), SinkError> {
        Ok(())
    }
    fn finish(&mut self) -> Result<(), SinkError> {
        Ok(())
    }
}
