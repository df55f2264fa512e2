//! Results of a window: keys, the window, one column per aggregate.

use super::groups::{Groups, Slots};
use super::plan::{Made, Moments, Plan};
use super::states::View;
use crate::aggregate::values::column_of_f64;
use crate::aggregate::{ExactSum, Finish, Overflow, column_of_i128, describe_key};
use arrow::array::{ArrayRef, Int64Array, RecordBatch, RecordBatchOptions, TimestampMillisecondArray};
use arrow::buffer::{NullBuffer, ScalarBuffer};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, SchemaRef, i256};
use arrow::util::display::array_value_to_string;
use highwater_engine::batch::Batch;
use highwater_engine::error::OperatorError;
use highwater_engine::graph::AggregateFunction;
use highwater_engine::operator::Output;
use std::sync::Arc;

/// Rows of a result batch.
pub const BATCH_ROWS: usize = 8192;
/// Rows from which a batch is sent alone.
const ALONE_ROWS: usize = BATCH_ROWS / 4;

/// A window `[start, end)`.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Start.
    pub start: i64,
    /// End, exclusive.
    pub end: i64,
}

/// Makes result batches and joins small ones.
#[derive(Debug)]
pub struct Results {
    schema: SchemaRef,
    waiting: Vec<Batch>,
    waiting_rows: usize,
}

impl Results {
    /// For results of this schema: keys, window_start, window_end, window_time, aggregates.
    pub fn new(schema: SchemaRef) -> Self {
        Self { schema, waiting: vec![], waiting_rows: 0 }
    }

    /// Emits the results of a window from these slots.
    pub fn emit(
        &mut self,
        plan: &Plan,
        view: &impl View,
        groups: &Groups,
        slots: Slots,
        window: Bounds,
        out: &mut Output,
    ) -> Result<(), OperatorError> {
        let mut at = 0;
        while at < slots.len() {
            let n = (slots.len() - at).min(BATCH_ROWS);
            let part = slots.part(at, n);
            let mut columns = groups.columns(part, &plan.key_fields);
            self.push_window(&mut columns, n, window);
            for (made, returns) in &plan.results {
                let fail = |(i, finish): (usize, &Finish)| {
                    let keys = groups.columns(part.part(i, 1), &plan.key_fields);
                    let all: Vec<usize> = (0..keys.len()).collect();
                    finish.overflow(&describe_key(&self.schema, &all, &keys, 0), &describe_window(window))
                };
                columns.push(column(made, returns, view, part).map_err(fail)?);
            }
            let options = RecordBatchOptions::new().with_row_count(Some(n));
            let rows = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)
                .map_err(|e| OperatorError::new(format!("{}: results do not fit their schema: {e}", plan.name)))?;
            self.push(Batch::new(rows, vec![window.end - 1; n].into()), out);
            at += n;
        }
        Ok(())
    }

    fn push_window(&self, columns: &mut Vec<ArrayRef>, n: usize, w: Bounds) {
        for t in [w.start, w.end, w.end - 1] {
            let zone = match self.schema.field(columns.len()).data_type() {
                DataType::Timestamp(_, zone) => zone.clone(),
                _ => None,
            };
            let times = ScalarBuffer::from(vec![t; n]);
            columns.push(Arc::new(TimestampMillisecondArray::new(times, None).with_timezone_opt(zone)));
        }
    }

    /// Takes a batch; sends it alone if it is large, else with others.
    pub fn push(&mut self, batch: Batch, out: &mut Output) {
        if batch.rows() >= ALONE_ROWS {
            self.flush(out);
            return out.push(batch);
        }
        self.waiting_rows += batch.rows();
        self.waiting.push(batch);
        if self.waiting_rows >= BATCH_ROWS {
            self.flush(out);
        }
    }

    /// Sends what waits.
    pub fn flush(&mut self, out: &mut Output) {
        self.waiting_rows = 0;
        let batches = std::mem::take(&mut self.waiting);
        match batches.as_slice() {
            [] => {}
            [one] => out.push(one.clone()),
            many => {
                let rows = concat_batches(&many[0].schema(), many.iter().map(|b| b.columns()));
                let times: Vec<i64> = many.iter().flat_map(|b| b.times().iter().copied()).collect();
                let hashes: Option<Vec<&[u64]>> = many.iter().map(|b| b.hashes().map(|h| &h[..])).collect();
                let rows = rows.expect("batches of one schema can be joined");
                let hashes = hashes.map(|h| h.concat().into());
                out.push(Batch::new(rows, times.into()).with_hashes(hashes));
            }
        }
    }
}

/// A window as errors name it.
fn describe_window(w: Bounds) -> String {
    let times: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![w.start, w.end]));
    let text = |i| array_value_to_string(&times, i).unwrap_or_default();
    format!("[{}, {})", text(0), text(1))
}

/// A result column; on overflow the position of the slot and what knows the cure.
fn column<'a>(made: &'a Made, t: &DataType, view: &impl View, slots: Slots) -> Result<ArrayRef, (usize, &'a Finish)> {
    Ok(match made {
        Made::Rows => Arc::new(Int64Array::from(slots.of(view.rows()))),
        Made::Count { input } => Arc::new(Int64Array::from(view.counts(*input, slots))),
        Made::CountDistinct { set } => Arc::new(Int64Array::from(slots.of(view.sets(*set).counts()))),
        Made::Extreme { input, at } => view.cells(*at).column(slots, view.valued(*input, slots), t),
        Made::Double { function, from } => doubles(*function, *from, view, slots, t),
        Made::Exact { function, from, finish } => {
            exact(*function, *from, finish, view, slots, t).map_err(|i| (i, finish))?
        }
    })
}

/// Counts and moments of an aggregate.
fn moments<'a, V: View>(
    from: Moments,
    view: &'a V,
    slots: Slots,
) -> (Vec<i64>, &'a super::moments::Moment, Option<&'a super::moments::Moment>) {
    match from {
        Moments::All { input, sum, squares } => {
            (view.counts(input, slots), view.moment(sum), squares.map(|s| view.moment(s)))
        }
        Moments::Distinct { set } => {
            let set = view.sets(set);
            let Some(sum) = set.sum() else { unreachable!("the plan keeps a sum over these distinct values") };
            (slots.of(set.counts()), sum, set.squares())
        }
    }
}

/// SUM, AVG, STDDEV of integers or DECIMAL; on overflow the position of the slot.
fn exact(
    function: AggregateFunction,
    from: Moments,
    finish: &Finish,
    view: &impl View,
    slots: Slots,
    t: &DataType,
) -> Result<ArrayRef, usize> {
    let (counts, sum, squares) = moments(from, view, slots);
    let narrow = sum.narrow_sums(slots);
    let none = counts.contains(&0);
    let mut valid = if none { counts.iter().map(|n| *n > 0).collect() } else { vec![] };
    let mut values = Vec::with_capacity(counts.len());
    let at = |i: usize| move |Overflow| i;
    match (function, narrow) {
        (AggregateFunction::Sum, Some(sums)) => {
            for (i, v) in sums.into_iter().enumerate() {
                values.push(finish.sum(v).map_err(at(i))?);
            }
        }
        (AggregateFunction::Sum, None) => {
            for (i, v) in sum.wide_sums(slots).into_iter().enumerate() {
                values.push(finish.sum_wide(v).map_err(at(i))?);
            }
        }
        (AggregateFunction::Avg, Some(sums)) => {
            for (i, (v, n)) in sums.into_iter().zip(&counts).enumerate() {
                values.push(finish.avg(*n as u64, v).map_err(at(i))?.unwrap_or(0));
            }
        }
        (AggregateFunction::Avg, None) => {
            for (i, (v, n)) in sum.wide_sums(slots).into_iter().zip(&counts).enumerate() {
                values.push(finish.avg_wide(*n as u64, v).map_err(at(i))?.unwrap_or(0));
            }
        }
        (_, narrow) => {
            let squares = squares.map(|s| s.wide_sums(slots)).unwrap_or_default();
            let sums = narrow.map(|s| s.into_iter().map(i256::from_i128).collect());
            let sums: Vec<i256> = sums.unwrap_or_else(|| sum.wide_sums(slots));
            valid = counts.iter().map(|n| *n > 1).collect();
            for (i, ((v, q), n)) in sums.into_iter().zip(squares).zip(&counts).enumerate() {
                let n = *n as u64;
                let r = match v.to_i128() {
                    Some(v) => finish.stddev(n, v, q),
                    None => finish.stddev_wide(n, v, q),
                };
                values.push(r.map_err(at(i))?.unwrap_or(0));
            }
        }
    }
    let nulls = valid.contains(&false).then(|| NullBuffer::from(valid));
    Ok(column_of_i128(values, nulls, t))
}

/// SUM, AVG, STDDEV of DOUBLE.
fn doubles(function: AggregateFunction, from: Moments, view: &impl View, slots: Slots, t: &DataType) -> ArrayRef {
    let (counts, sum, squares) = moments(from, view, slots);
    let least = if function == AggregateFunction::StddevSamp { 2 } else { 1 };
    let one = |(slot, n): (usize, &i64)| match (function, squares) {
        _ if *n < least => 0.0,
        (AggregateFunction::Sum, _) => sum.double(slot).value(),
        (AggregateFunction::Avg, _) => sum.double(slot).mean(*n as u64),
        (_, Some(squares)) => ExactSum::stddev(*n as u64, sum.double(slot), squares.double(slot)),
        (_, None) => unreachable!("the plan keeps squares for a deviation"),
    };
    let values = slots.iter().zip(&counts).map(one).collect();
    let valid: Vec<bool> = counts.iter().map(|n| *n >= least).collect();
    column_of_f64(values, valid.contains(&false).then(|| NullBuffer::from(valid)), t)
}
