//! Results of rows, call by call, on their way to columns.

use super::intern::Interner;
use super::lane::Kind;
use super::measure::Totals;
use super::plan::{Call, CallResult, Plan};
use crate::aggregate::percentile::between_doubles;
use crate::aggregate::values::{column_of_f64, from_ordered_bits, ordered_bits};
use crate::aggregate::{Finish, Overflow, column_of_i64, column_of_i128};
use arrow::array::{ArrayRef, BinaryBuilder, BooleanArray, NullBufferBuilder, StringBuilder};
use arrow::datatypes::DataType;
use highwater_engine::graph::PseudoColumn;
use std::sync::Arc;

/// Values of one call.
enum Column {
    Words(Vec<i64>, NullBufferBuilder),
    Numbers(Vec<i128>, NullBufferBuilder),
    Text(StringBuilder),
    Bytes(BinaryBuilder),
}

/// What a row is under `arrival`; both are false under `final`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Standing {
    /// It came behind its partition's watermark.
    pub is_late: bool,
    /// It came behind the late horizon too: all features are NULL.
    pub is_incomplete: bool,
}

/// The answers to some rows.
pub struct Answers {
    columns: Vec<Column>,
    standings: Vec<Standing>,
}

/// A result that does not fit its type: the call, and its finisher, which words the error.
pub struct CallOverflow<'a>(pub &'a Call, pub &'a Finish);

impl Answers {
    /// No answers yet.
    pub fn new(plan: &Plan) -> Self {
        let column = |c: &Call| match (&c.result, Kind::of(&c.returns), &c.returns) {
            (CallResult::Sum(_) | CallResult::Avg(_) | CallResult::Dispersion(_), ..)
            | (CallResult::Percentile(Some(_)), ..)
            | (_, Some(Kind::Wide), _) => Column::Numbers(Vec::new(), NullBufferBuilder::new(0)),
            (_, _, DataType::Utf8) => Column::Text(StringBuilder::new()),
            (_, _, DataType::Binary) => Column::Bytes(BinaryBuilder::new()),
            _ => Column::Words(Vec::new(), NullBufferBuilder::new(0)),
        };
        Self { columns: plan.calls.iter().map(column).collect(), standings: Vec::new() }
    }

    /// Answers a row from the totals of all measures.
    #[inline(always)]
    pub fn push<'a>(
        &mut self,
        plan: &'a Plan,
        names: &Interner,
        totals: &[Totals],
        standing: Standing,
    ) -> Result<(), CallOverflow<'a>> {
        for (call, column) in plan.calls.iter().zip(&mut self.columns) {
            column.push(call, names, &totals[call.measure])?;
        }
        if !plan.pseudo.is_empty() {
            self.standings.push(standing);
        }
        Ok(())
    }

    /// Answers a row with NULLs.
    pub fn push_nulls(&mut self, plan: &Plan, standing: Standing) {
        self.columns.iter_mut().for_each(Column::push_null);
        if !plan.pseudo.is_empty() {
            self.standings.push(standing);
        }
    }

    /// The answers as columns, in the order of the output.
    pub fn finish(&mut self, plan: &Plan) -> Vec<ArrayRef> {
        let calls = plan.calls.iter().zip(&mut self.columns).map(|(call, column)| column.finish(call));
        let mut columns: Vec<ArrayRef> = calls.collect();
        let standings = std::mem::take(&mut self.standings);
        columns.extend(plan.pseudo.iter().map(|p| {
            let one = |s: &Standing| match p {
                PseudoColumn::IsLate => s.is_late,
                PseudoColumn::IsIncomplete => s.is_incomplete,
            };
            Arc::new(standings.iter().map(|s| Some(one(s))).collect::<BooleanArray>()) as ArrayRef
        }));
        columns
    }
}

impl Column {
    #[inline(always)]
    fn push<'a>(&mut self, call: &'a Call, names: &Interner, totals: &Totals) -> Result<(), CallOverflow<'a>> {
        let m = &totals.moments;
        if m.n == 0 && !matches!(call.result, CallResult::Count) {
            self.push_null();
            return Ok(());
        }
        let extremum = match call.result {
            CallResult::Count => {
                if let Self::Words(values, nulls) = self {
                    values.push(m.n);
                    nulls.append_non_null();
                }
                return Ok(());
            }
            CallResult::Min => totals.min,
            CallResult::Max => totals.max,
            CallResult::Percentile(Some(ref f)) => {
                let value = f.between(totals.min, totals.max, m.sum as u32);
                self.push_number(value.map_err(|Overflow| CallOverflow(call, f))?);
                return Ok(());
            }
            CallResult::Percentile(None) => {
                let [low, high] = [totals.min, totals.max].map(|v| from_ordered_bits(v as i64));
                i128::from(ordered_bits(between_doubles(low, high, m.sum as u32)))
            }
            CallResult::Sum(ref f) | CallResult::Avg(ref f) | CallResult::Dispersion(ref f) => {
                match moment(call, f, totals).map_err(|Overflow| CallOverflow(call, f))? {
                    Some(v) => self.push_number(v),
                    None => self.push_null(),
                }
                return Ok(());
            }
        };
        match self {
            Self::Words(values, nulls) => {
                values.push(extremum as i64);
                nulls.append_non_null();
            }
            Self::Numbers(..) => self.push_number(extremum),
            Self::Text(builder) => {
                let text = names.bytes(extremum as i64, &mut [0; 8]).map(|b| String::from_utf8_lossy(b).into_owned());
                builder.append_option(text);
            }
            Self::Bytes(builder) => builder.append_option(names.bytes(extremum as i64, &mut [0; 8])),
        }
        Ok(())
    }

    #[inline(always)]
    fn push_number(&mut self, v: i128) {
        if let Self::Numbers(values, nulls) = self {
            values.push(v);
            nulls.append_non_null();
        }
    }

    fn push_null(&mut self) {
        match self {
            Self::Words(values, nulls) => {
                values.push(0);
                nulls.append_null();
            }
            Self::Numbers(values, nulls) => {
                values.push(0);
                nulls.append_null();
            }
            Self::Text(builder) => builder.append_null(),
            Self::Bytes(builder) => builder.append_null(),
        }
    }

    fn finish(&mut self, call: &Call) -> ArrayRef {
        match self {
            Self::Words(values, nulls) => {
                let (values, nulls) = (replace(values), nulls.finish());
                match call.returns {
                    DataType::Float32 | DataType::Float64 => {
                        let values = values.into_iter().map(from_ordered_bits).collect();
                        column_of_f64(values, nulls, &call.returns)
                    }
                    _ => column_of_i64(values, nulls, &call.returns),
                }
            }
            Self::Numbers(values, nulls) => column_of_i128(replace(values), nulls.finish(), &call.returns),
            Self::Text(builder) => Arc::new(builder.finish()),
            Self::Bytes(builder) => Arc::new(builder.finish()),
        }
    }
}

/// The values, leaving room for as many.
fn replace<T>(values: &mut Vec<T>) -> Vec<T> {
    let room = Vec::with_capacity(values.len());
    std::mem::replace(values, room)
}

/// SUM, AVG or a dispersion of at least one value.
#[inline(always)]
fn moment(call: &Call, f: &Finish, totals: &Totals) -> Result<Option<i128>, Overflow> {
    let (m, n) = (&totals.moments, totals.moments.n as u64);
    match (&call.result, call.wide) {
        (CallResult::Sum(_), false) => f.sum(m.sum).map(Some),
        (CallResult::Sum(_), true) => f.sum_wide(totals.wide.sum).map(Some),
        (CallResult::Avg(_), false) => f.avg(n, m.sum),
        (CallResult::Avg(_), true) => f.avg_wide(n, totals.wide.sum),
        (CallResult::Dispersion(_), false) => f.dispersion(n, m.sum, totals.wide.squares),
        (CallResult::Dispersion(_), true) => f.dispersion_wide(n, totals.wide.sum, totals.wide.squares),
        _ => Ok(None),
    }
}
