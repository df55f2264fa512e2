//! Results of a window: keys, the window, one column per aggregate.

use super::bags::LISTAGG_BYTES_MAX;
use super::borders::Bounds;
use super::groups::{Groups, Slots};
use super::moments::Moment;
use super::plan::{Made, Moments, Plan};
use super::states::View;
use super::{bag_results, pair_results};
use crate::aggregate::values::column_of_f64;
use crate::aggregate::{ExactSum, Finish, Overflow, column_of_i128, describe_key, describe_time};
use crate::expression::calendar::Zone;
use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, RecordBatchOptions, TimestampMillisecondArray};
use arrow::buffer::NullBuffer;
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, SchemaRef, TimestampMillisecondType};
use highwater_engine::batch::Batch;
use highwater_engine::error::OperatorError;
use highwater_engine::graph::AggregateFunction;
use highwater_engine::operator::Output;
use std::sync::Arc;

/// Rows of a result batch.
pub const BATCH_ROWS: usize = 2048;
/// Rows from which a batch is sent alone.
const ALONE_ROWS: usize = BATCH_ROWS / 4;

/// Makes result batches and joins small ones.
#[derive(Debug)]
pub struct Results {
    schema: SchemaRef,
    /// In which window_start and window_end are shown.
    zone: Zone,
    waiting: Vec<Batch>,
    waiting_rows: usize,
}

impl Results {
    /// For results of this schema: keys, window_start, window_end, window_time, aggregates.
    pub fn new(schema: SchemaRef) -> Self {
        Self { schema, zone: Zone::UTC, waiting: vec![], waiting_rows: 0 }
    }

    /// With window_start and window_end in the local time of a zone.
    pub fn shown_in(self, zone: Zone) -> Self {
        Self { zone, ..self }
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
        self.emit_each(plan, view, (groups, slots), slots, &[window], out)
    }

    /// Emits results from these slots: the key of the `i`-th is at the `i`-th slot of `keys`, its window is the `i`-th, or
    /// the only one.
    pub fn emit_each(
        &mut self,
        plan: &Plan,
        view: &impl View,
        (groups, keys): (&Groups, Slots),
        slots: Slots,
        windows: &[Bounds],
        out: &mut Output,
    ) -> Result<(), OperatorError> {
        let first = plan.keys.len();
        let shared = match windows {
            [one] => Some(self.window_columns(first, &vec![*one; slots.len().min(BATCH_ROWS)])),
            _ => None,
        };
        let mut at = 0;
        while at < slots.len() {
            let n = (slots.len() - at).min(BATCH_ROWS);
            let (part, keys) = (slots.part(at, n), keys.part(at, n));
            let times = shared.clone().unwrap_or_else(|| self.window_columns(first, &windows[at..at + n]));
            let mut columns = groups.columns(keys, &plan.key_fields);
            columns.extend(times.iter().map(|t| t.slice(0, n)));
            for (made, returns) in &plan.results {
                let fail = |(i, beyond): (usize, Beyond)| {
                    let key = groups.columns(keys.part(i, 1), &plan.key_fields);
                    let all: Vec<usize> = (0..key.len()).collect();
                    let key = describe_key(&self.schema, &all, &key, 0);
                    beyond.error(&key, &describe_window(windows[if windows.len() == 1 { 0 } else { at + i }]))
                };
                columns.push(column(made, returns, view, part).map_err(fail)?);
            }
            let options = RecordBatchOptions::new().with_row_count(Some(n));
            let rows = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)
                .map_err(|e| OperatorError::new(format!("{}: results do not fit their schema: {e}", plan.name)))?;
            let time = times[2].as_primitive::<TimestampMillisecondType>().values().slice(0, n);
            self.push(Batch::new(rows, time), out);
            at += n;
        }
        Ok(())
    }

    /// The columns window_start, window_end, window_time, the `first` of the schema: a row for each window.
    fn window_columns(&self, first: usize, windows: &[Bounds]) -> [ArrayRef; 3] {
        let column = |at: usize, value: &dyn Fn(&Bounds) -> i64| -> ArrayRef {
            let zone = match self.schema.field(first + at).data_type() {
                DataType::Timestamp(_, zone) => zone.clone(),
                _ => None,
            };
            let values: Vec<i64> = windows.iter().map(value).collect();
            Arc::new(TimestampMillisecondArray::new(values.into(), None).with_timezone_opt(zone))
        };
        // no zone is known where an instant has no local time in it
        let local = |t| self.zone.local(t, 1_000).unwrap_or(t);
        [column(0, &|w| local(w.start)), column(1, &|w| local(w.end)), column(2, &|w| w.end - 1)]
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
    format!("[{}, {})", describe_time(w.start), describe_time(w.end))
}

/// A result that is beyond a limit.
enum Beyond<'a> {
    /// Of its type.
    Type(&'a Finish),
    /// A LISTAGG, by its label.
    Length(&'a str),
}

impl Beyond<'_> {
    fn error(&self, key: &str, window: &str) -> OperatorError {
        match self {
            Self::Type(finish) => finish.overflow(key, window),
            Self::Length(label) => OperatorError::new(format!(
                "{label} of {key} in {window} is longer than {LISTAGG_BYTES_MAX} bytes, the places of its rows included; \
                 take fewer rows with FILTER (WHERE ..), a shorter window or more keys"
            )),
        }
    }
}

/// A result column; of one that is beyond a limit the position of the slot and what knows the cure.
fn column<'a>(made: &'a Made, t: &DataType, view: &impl View, slots: Slots) -> Result<ArrayRef, (usize, Beyond<'a>)> {
    Ok(match made {
        Made::Rows => Arc::new(Int64Array::from(slots.of(view.rows()))),
        Made::Count { input } => Arc::new(Int64Array::from(view.counts(*input, slots))),
        Made::CountDistinct { set } => Arc::new(Int64Array::from(slots.of(view.sets(*set).counts()))),
        Made::Extreme { input, at } => view.cells(*at).column(slots, view.valued(*input, slots), t),
        Made::Packed { input, at, packed } => {
            let kept = view.cells(*at).column(slots, view.valued(*input, slots), &DataType::Binary);
            packed.unpack(&kept).expect("it was packed by the same plan")
        }
        Made::Double { function, from } => doubles(*function, *from, view, slots, t),
        Made::Exact { function, from, finish } => {
            exact(*function, *from, finish, view, slots, t).map_err(|i| (i, Beyond::Type(finish)))?
        }
        Made::List { bag, packed, separator, label } => {
            let list = bag_results::list(view.bags(*bag), slots, packed, separator);
            list.map_err(|i| (i, Beyond::Length(label)))?
        }
        Made::Percentile { input, bag, millionths, finish } => {
            let (bags, counts, finish) = (view.bags(*bag), view.counts(*input, slots), finish.as_ref());
            let found = bag_results::percentile(bags, &counts, slots, *millionths, finish, t);
            found.map_err(|i| (i, Beyond::Type(finish.expect("doubles have no limit"))))?
        }
        Made::Bucket { input, bag, millionths } => {
            bag_results::bucket(view.bags(*bag), &view.counts(*input, slots), slots, *millionths, t)
        }
        Made::ApproxCount { bag } => bag_results::approx_count(view.bags(*bag), slots),
        Made::Pair { function, from, finish } => {
            let pair = pair_results::exact(*function, *from, finish, view, slots, t);
            pair.map_err(|i| (i, Beyond::Type(finish)))?
        }
        Made::DoublePair { function, from } => pair_results::doubles(*function, *from, view, slots, t),
    })
}

/// Counts and moments of an aggregate.
fn moments<'a, V: View>(from: Moments, view: &'a V, slots: Slots) -> (Vec<i64>, &'a Moment, Option<&'a Moment>) {
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

/// SUM, AVG and dispersions of integers or DECIMAL; on overflow the position of the slot.
fn exact(
    function: AggregateFunction,
    from: Moments,
    finish: &Finish,
    view: &impl View,
    slots: Slots,
    t: &DataType,
) -> Result<ArrayRef, usize> {
    let at = |i: usize| move |Overflow| i;
    if let (AggregateFunction::Sum, Moments::All { input, sum, .. }) = (function, from) {
        // the common case: no counts, and the sums are the results
        if let Some(sums) = view.moment(sum).narrow_sums(slots) {
            let beyond = sums.iter().position(|v| finish.sum(*v).is_err());
            return beyond.map_or_else(|| Ok(column_of_i128(sums, view.valued(input, slots), t)), Err);
        }
    }
    let (counts, sum, squares) = moments(from, view, slots);
    let sums = sum.wide_sums(slots);
    let squares = squares.map(|s| s.wide_sums(slots)).unwrap_or_default();
    let mut values = Vec::with_capacity(counts.len());
    for (i, (v, n)) in sums.into_iter().zip(&counts).enumerate() {
        let n = *n as u64;
        let value = match (function, v.to_i128()) {
            (AggregateFunction::Sum, _) if n == 0 => Ok(None),
            (AggregateFunction::Sum, _) => finish.sum_wide(v).map(Some),
            (AggregateFunction::Avg, Some(v)) => finish.avg(n, v),
            (AggregateFunction::Avg, None) => finish.avg_wide(n, v),
            (_, Some(v)) => finish.dispersion(n, v, squares[i]),
            (_, None) => finish.dispersion_wide(n, v, squares[i]),
        };
        values.push(value.map_err(at(i))?);
    }
    let nulls =
        values.iter().any(Option::is_none).then(|| values.iter().map(Option::is_some).collect::<Vec<_>>().into());
    Ok(column_of_i128(values.into_iter().map(Option::unwrap_or_default).collect(), nulls, t))
}

/// SUM, AVG and dispersions of DOUBLE.
fn doubles(function: AggregateFunction, from: Moments, view: &impl View, slots: Slots, t: &DataType) -> ArrayRef {
    let (counts, sum, squares) = moments(from, view, slots);
    let sample = matches!(function, AggregateFunction::StddevSamp | AggregateFunction::VarSamp);
    let least = if sample { 2 } else { 1 };
    let one = |(slot, n): (usize, &i64)| match (function, squares) {
        _ if *n < least => 0.0,
        (AggregateFunction::Sum, _) => sum.double(slot).value(),
        (AggregateFunction::Avg, _) => sum.double(slot).mean(*n as u64),
        (_, Some(squares)) => ExactSum::dispersion(function, *n as u64, sum.double(slot), squares.double(slot)),
        (_, None) => unreachable!("the plan keeps squares for a dispersion"),
    };
    let values = slots.iter().zip(&counts).map(one).collect();
    let valid: Vec<bool> = counts.iter().map(|n| *n >= least).collect();
    column_of_f64(values, valid.contains(&false).then(|| NullBuffer::from(valid)), t)
}
