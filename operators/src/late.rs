//! The rows of `t$late`: the late rows of a table with the watermark that they were behind and by how much.
//!
//! A late row has event time t below W, its partition's watermark just before it: its lateness tag. It becomes a row with
//! the same columns, `watermark` = W and `lateness_ms` = W − t. The time attribute of `t$late` is `watermark`, so W is the
//! row's new event time, and by it the row is on time: the job's watermark is the minimum over partitions, never above W
//! when the row is read. Its tag is dropped; its identity stays. Stateless.

use crate::stateless::{self, Stateless};
use arrow::array::{Int64Array, RecordBatch, TimestampMillisecondArray, UInt32Array};
use arrow::buffer::ScalarBuffer;
use arrow::compute::{cast, take};
use arrow_schema::SchemaRef;
use highwater_engine::batch::Batch;
use highwater_engine::error::{BuildError, OperatorError};
use highwater_engine::graph::Node;
use highwater_engine::graph::types::late_schema;
use highwater_engine::operator::{Operator, Output};
use std::sync::Arc;

/// The operator of `node`, whose input is the table.
pub fn operator(node: &Node, input: &SchemaRef) -> Result<Box<dyn Operator>, BuildError> {
    if node.schema.fields().len() != late_schema(input).fields().len() {
        return Err(BuildError::new(format!("{}: late rows have two columns more than their table", node.name)));
    }
    Ok(stateless::operator(Late { schema: node.schema.clone() }))
}

struct Late {
    schema: SchemaRef,
}

impl Late {
    fn rows(&self, batch: &Batch) -> Result<Option<Batch>, arrow::error::ArrowError> {
        if batch.tags().is_none() {
            return Ok(None);
        }
        let late: Vec<u32> = (0..batch.rows()).filter(|i| batch.tag(*i).is_some()).map(|i| i as u32).collect();
        let (watermarks, lateness): (Vec<i64>, Vec<i64>) = late
            .iter()
            .filter_map(|i| {
                let (time, tag) = (batch.times()[*i as usize], batch.tag(*i as usize)?);
                Some((tag, tag.saturating_sub(time)))
            })
            .unzip();
        let late = UInt32Array::from(late);
        let times = ScalarBuffer::from(watermarks);
        let mut columns =
            batch.columns().columns().iter().map(|c| take(c, &late, None)).collect::<Result<Vec<_>, _>>()?;
        let watermark = TimestampMillisecondArray::new(times.clone(), None);
        columns.push(cast(&watermark, self.schema.field(columns.len()).data_type())?);
        columns.push(Arc::new(Int64Array::from(lateness)));
        let columns = RecordBatch::try_new(self.schema.clone(), columns)?;
        let identity = batch.take_as(&late, columns.clone()).identity().cloned();
        Ok(Some(Batch::new(columns, times).with_identity(identity)))
    }
}

impl Stateless for Late {
    fn on_batch(&mut self, batch: Batch, out: &mut Output) -> Result<(), OperatorError> {
        if let Some(late) = self.rows(&batch).map_err(|e| OperatorError::new(e.to_string()))? {
            out.push(late);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::check;
    use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
    use highwater_engine::graph::Step;

    #[test]
    fn late_rows_carry_the_watermark_they_missed_as_their_time() {
        let ts = DataType::Timestamp(TimeUnit::Millisecond, None);
        let input = Arc::new(Schema::new(vec![Field::new("ts", ts, true), Field::new("card", DataType::Int64, true)]));
        let output = late_schema(&input);
        let node = Node { name: "payments$late".into(), inputs: vec![0], step: Step::Late, schema: output.clone() };
        check(
            &|| operator(&node, &input).unwrap(),
            &input,
            &output,
            "
            08:01        | 08:01 | 7
            08:02 @08:20 | 08:02 | 8
            08:20        | 08:20 | 9
            08:19:59.999 @08:20 | 08:19:59.999 | 7
            watermark 08:20
            ----
            08:20 | 08:02        | 8 | 08:20 | 1080000
            08:20 | 08:19:59.999 | 7 | 08:20 | 1
            ",
        );
    }
}
