//! Rows of a range of event time.
//!
//! Stateless: a row passes at once if its event time lies in the range, with its tag and identity. Cost: one comparison a
//! row; a batch wholly inside passes untouched.

use crate::stateless::Stateless;
use arrow::array::BooleanArray;
use highwater_engine::batch::Batch;
use highwater_engine::error::OperatorError;
use highwater_engine::graph::TimeRange;
use highwater_engine::operator::Output;

/// Keeps the rows whose event time lies in the range.
#[derive(Clone, Copy, Debug)]
pub struct KeepRange(pub TimeRange);

impl Stateless for KeepRange {
    fn on_batch(&mut self, batch: Batch, out: &mut Output) -> Result<(), OperatorError> {
        let inside: BooleanArray = batch.times().iter().map(|t| Some(self.0.contains(*t))).collect();
        out.push(batch.filter(&inside));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Int64Array, RecordBatch};
    use arrow::datatypes::Int64Type;
    use arrow::{array::AsArray, buffer::ScalarBuffer};
    use std::sync::Arc;

    #[test]
    fn the_first_instant_is_inside_and_the_last_is_not() {
        let ids: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3, 4]));
        let columns = RecordBatch::try_from_iter([("id", ids)]).unwrap();
        let batch = Batch::new(columns, ScalarBuffer::from(vec![9, 10, 19, 20]));
        let mut out = Output::default();
        KeepRange(TimeRange { from_ms: 10, to_ms: 20 }).on_batch(batch, &mut out).unwrap();
        let kept: Vec<i64> =
            out.batches.iter().flat_map(|b| b.column(0).as_primitive::<Int64Type>().values().to_vec()).collect();
        assert_eq!(kept, [2, 3]);
    }
}
