//! Steps without state: what they make of a row depends on that row.

use highwater_engine::batch::Batch;
use highwater_engine::error::OperatorError;
use highwater_engine::operator::{Operator, Output};
use highwater_engine::state::Snapshot;
use highwater_engine::time::Progress;

/// A step that keeps nothing from batch to batch.
pub trait Stateless: Send {
    /// Takes rows and emits what becomes of them.
    fn on_batch(&mut self, batch: Batch, out: &mut Output) -> Result<(), OperatorError>;
}

/// A [`Stateless`] step as an operator: there is nothing to wait for, to write or to read.
pub fn operator(step: impl Stateless + 'static) -> Box<dyn Operator> {
    Box::new(Step(step))
}

struct Step<T>(T);

impl<T: Stateless> Operator for Step<T> {
    fn on_batch(&mut self, _input: usize, batch: Batch, out: &mut Output) -> Result<(), OperatorError> {
        self.0.on_batch(batch, out)
    }
    fn on_watermark(&mut self, _progress: Progress, _out: &mut Output) -> Result<(), OperatorError> {
        Ok(())
    }
    fn snapshot(&mut self, _into: &mut Snapshot) -> Result<(), OperatorError> {
        Ok(())
    }
    fn restore(&mut self, _from: Snapshot) -> Result<(), OperatorError> {
        Ok(())
    }
    fn state_bytes(&self) -> usize {
        0
    }
}
