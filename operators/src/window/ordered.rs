//! Aggregates that a row's place decides: FIRST_VALUE, LAST_VALUE, ARG_MIN, ARG_MAX, LISTAGG.
//!
//! Before a batch enters, each is packed into one column of bytes that compare as its rows do, with the value behind: first
//! what ARG_MIN or ARG_MAX compare or LISTAGG goes by, then the order of rows (event time, source, partition, offset; of
//! rows that another step made, event time and all columns). Of them the least or greatest is kept as of any other bytes,
//! so all that holds for MIN and MAX of BYTES holds for these: merging, leaving, state. LISTAGG keeps all of them. A row
//! without a value, or without what is compared, does not take part; of rows that are equal in what is compared the first
//! one counts.

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, BinaryBuilder, Int64Array, UInt32Array, UInt64Array};
use arrow::compute::take;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, Rows, SortField};
use arrow_schema::SortOptions;
use highwater_engine::batch::Batch;
use highwater_engine::error::BuildError;
use highwater_engine::graph::{Aggregate, AggregateFunction};
use std::sync::Arc;

/// How one column of values is packed, and unpacked.
#[derive(Debug)]
pub struct Packed {
    value: usize,
    by: Option<usize>,
    /// Whether a row takes part whose `by` is NULL.
    of_null: bool,
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
        let by = a.by.map(|c| match a.function {
            AggregateFunction::ListAgg { descending, nulls_first } => {
                SortField::new_with_options(of(c), SortOptions { descending, nulls_first })
            }
            _ => SortField::new(of(c)),
        });
        let fields = by.into_iter().chain(places).chain([SortField::new(of(value))]).collect();
        let others = input.fields().iter().map(|f| SortField::new(f.data_type().clone())).collect();
        let (converter, others) = (RowConverter::new(fields).map_err(fail)?, RowConverter::new(others).map_err(fail)?);
        Ok(Self { value, by: a.by, of_null: !a.function.compares(), converter, others })
    }

    /// The packed column of a batch; NULL where a row does not take part.
    pub fn pack(&self, batch: &Batch) -> Result<ArrayRef, ArrowError> {
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
        let by = self.by.filter(|_| !self.of_null).map(|c| batch.column(c).clone());
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

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{RecordBatch, StringArray};
    use arrow::datatypes::{Field, Schema};
    use highwater_engine::batch::{Arrival, Identity};
    use highwater_engine::graph::AggregateFunction::{ArgMax, ArgMin};

    /// `ARG(value, by)` of one row as it stands in checkpoints.
    fn packed(function: AggregateFunction) -> String {
        let fields = [("by", DataType::Int64), ("value", DataType::Utf8)].map(|(n, t)| Field::new(n, t, true));
        let schema = Arc::new(Schema::new(fields.to_vec()));
        let label = "ARG".to_owned();
        let returns = DataType::Utf8;
        let a = Aggregate {
            function,
            argument: Some(1),
            by: Some(0),
            separator: String::new(),
            distinct: false,
            filter: None,
            returns,
            label,
        };
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
