//! Aggregates that a row's place decides: FIRST_VALUE, LAST_VALUE, ARG_MIN, ARG_MAX.
//!
//! Before a batch enters, each is packed into one column of bytes that compare as its rows do, with the value behind: first
//! what ARG_MIN or ARG_MAX compare, then the order of rows (event time, source, partition, offset; of rows that another
//! step made, event time and all columns). Of them the least or greatest is kept as of any other bytes, so all that holds
//! for MIN and MAX of BYTES holds for these: merging, leaving, state. A row without a value, or without what is compared,
//! does not take part; of rows that are equal in what is compared the first one counts.

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BinaryBuilder, Int64Array, RecordBatch, RecordBatchOptions, UInt32Array,
    UInt64Array,
};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, Rows, SortField};
use arrow_schema::SortOptions;
use highwater_engine::batch::Batch;
use highwater_engine::error::{BuildError, OperatorError};
use highwater_engine::graph::{Aggregate, AggregateFunction};
use std::sync::Arc;

/// How one column of values is packed, and unpacked.
#[derive(Debug)]
pub struct Packed {
    value: usize,
    by: Option<usize>,
    /// What is compared, the order of rows, the value.
    converter: RowConverter,
    /// The order of rows that have no source.
    others: RowConverter,
}

impl Packed {
    /// The packing of an aggregate over rows of `input`.
    pub fn new(a: &Aggregate, value: usize, input: &SchemaRef) -> Result<Self, BuildError> {
        let fail = |e: ArrowError| BuildError::new(format!("{}: its rows can't be compared: {e}", a.label));
        let of = |c: usize| input.field(c).data_type().clone();
        // the greatest is kept: the first of equal ones must be the greatest too
        let descending = a.function == AggregateFunction::ArgMax;
        let place = |t: DataType| SortField::new_with_options(t, SortOptions { descending, nulls_first: true });
        let places = [DataType::Int64, DataType::UInt64, DataType::Int64, DataType::Binary].map(place);
        let by = a.by.map(|c| SortField::new(of(c)));
        let fields = by.into_iter().chain(places).chain([SortField::new(of(value))]).collect();
        let others = input.fields().iter().map(|f| SortField::new(f.data_type().clone())).collect();
        let (converter, others) = (RowConverter::new(fields).map_err(fail)?, RowConverter::new(others).map_err(fail)?);
        Ok(Self { value, by: a.by, converter, others })
    }

    /// The packed column of a batch; NULL where a row does not take part.
    fn pack(&self, batch: &Batch) -> Result<ArrayRef, ArrowError> {
        let (rows, value) = (batch.rows(), batch.column(self.value));
        let mut columns: Vec<ArrayRef> = self.by.iter().map(|c| batch.column(*c).clone()).collect();
        columns.push(Arc::new(Int64Array::new(batch.times().clone(), None)));
        match batch.identity().map(|id| id.to_arrival(rows)) {
            Some(a) => {
                columns.push(Arc::new(UInt64Array::new(a.partitions, None)));
                columns.push(Arc::new(Int64Array::new(a.offsets, None)));
                columns.push(Arc::new(BinaryArray::new_null(rows)));
            }
            None => {
                let all = self.others.convert_columns(batch.columns().columns())?;
                columns.push(Arc::new(UInt64Array::new_null(rows)));
                columns.push(Arc::new(Int64Array::new_null(rows)));
                columns.push(bytes(&all, |_| true));
            }
        }
        columns.push(value.clone());
        let packed = self.converter.convert_columns(&columns)?;
        let by = self.by.map(|c| batch.column(c).clone());
        let takes_part = |i: usize| value.is_valid(i) && by.as_ref().is_none_or(|b| b.is_valid(i));
        Ok(bytes(&packed, takes_part))
    }

    /// The values of a packed column.
    pub fn unpack(&self, packed: &ArrayRef) -> Result<ArrayRef, ArrowError> {
        let packed = packed.as_binary::<i32>();
        let parser = self.converter.parser();
        let rows = packed.iter().flatten().map(|bytes| parser.parse(bytes));
        let values = self.converter.convert_rows(rows)?.pop();
        let Some(values) = values else { return Err(ArrowError::ComputeError("a packed value is missing".into())) };
        if packed.null_count() == 0 {
            return Ok(values);
        }
        let mut next = 0;
        let places = packed.iter().map(|p| {
            p.map(|_| {
                next += 1;
                next - 1
            })
        });
        take(&values, &places.collect::<UInt32Array>(), None)
    }
}

/// Rows as bytes; NULL where they take no part.
fn bytes(rows: &Rows, takes_part: impl Fn(usize) -> bool) -> ArrayRef {
    let mut all = BinaryBuilder::with_capacity(rows.num_rows(), rows.size());
    for i in 0..rows.num_rows() {
        match takes_part(i) {
            true => all.append_value(rows.row(i).data()),
            false => all.append_null(),
        }
    }
    Arc::new(all.finish())
}

/// The batch with a packed column for each of `all` behind its own.
pub fn with_packed(batch: Batch, all: &[Arc<Packed>]) -> Result<Batch, OperatorError> {
    if all.is_empty() {
        return Ok(batch);
    }
    let fail = |e: ArrowError| OperatorError::new(format!("rows can't be ordered: {e}"));
    let mut columns = batch.columns().columns().to_vec();
    let mut fields: Vec<Field> = batch.schema().fields().iter().map(|f| f.as_ref().clone()).collect();
    for (i, packed) in all.iter().enumerate() {
        columns.push(packed.pack(&batch).map_err(fail)?);
        fields.push(Field::new(format!("packed_{i}"), DataType::Binary, true));
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.rows()));
    let columns = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options).map_err(fail)?;
    Ok(batch.with_columns(columns))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::StringArray;
    use highwater_engine::batch::{Arrival, Identity};
    use highwater_engine::graph::AggregateFunction::{ArgMax, ArgMin};

    /// `ARG(value, by)` of one row as it stands in checkpoints.
    fn packed(function: AggregateFunction) -> String {
        let fields = [("by", DataType::Int64), ("value", DataType::Utf8)].map(|(n, t)| Field::new(n, t, true));
        let schema = Arc::new(Schema::new(fields.to_vec()));
        let label = "ARG".to_owned();
        let returns = DataType::Utf8;
        let a = Aggregate { function, argument: Some(1), by: Some(0), distinct: false, filter: None, returns, label };
        let columns: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(vec![5])), Arc::new(StringArray::from(vec!["ab"]))];
        let rows = RecordBatch::try_new(schema.clone(), columns).unwrap();
        let arrival = Arrival { cuts: vec![0].into(), partitions: vec![2].into(), offsets: vec![7].into() };
        let batch = Batch::new(rows, vec![1_000].into()).with_identity(Some(Identity::Arrival(arrival)));
        let packed = Packed::new(&a, 1, &schema).unwrap().pack(&batch).unwrap();
        packed.as_binary::<i32>().value(0).iter().map(|b| format!("{b:02x}")).collect()
    }

    /// What is packed stands in checkpoints, so a newer Arrow must pack the same bytes. These are by its description of the
    /// row format: 01 and the number, highest byte first, the sign turned round; a descending one inverted; 00 for NULL; a
    /// string 02, its bytes in blocks of 8, the length of the last one.
    #[test]
    fn packed_rows_are_the_bytes_that_checkpoints_hold() {
        let (by, value) = ("018000000000000005", "02616200000000000002");
        let ascending = "0180000000000003e8 010000000000000002 018000000000000007 00";
        let descending = "017ffffffffffffc17 01fffffffffffffffd 017ffffffffffffff8 00";
        let whole = |place: &str| format!("{by}{}{value}", place.replace(' ', ""));
        assert_eq!(packed(ArgMin), whole(ascending));
        assert_eq!(packed(ArgMax), whole(descending));
    }
}
