//! Aggregates and trailing frames, by column name.

use super::scalar::position;
use super::{BuilderError, length_name, to_ms};
use crate::graph::types::{aggregate_is_nullable, aggregate_type, function_name};
use crate::graph::{Aggregate, AggregateFunction, Frame};
use arrow_schema::{Field, Schema};
use std::time::Duration;

/// An aggregate over the rows of a window or a frame.
#[derive(Clone, Debug)]
pub struct Call {
    function: AggregateFunction,
    argument: Option<String>,
    distinct: bool,
    filter: Option<String>,
    name: Option<String>,
}

impl Call {
    fn new(function: AggregateFunction, argument: Option<&str>) -> Self {
        Self { function, argument: argument.map(str::to_owned), distinct: false, filter: None, name: None }
    }
    /// The result's column name; without it `sum_amount`, in a frame of an hour `sum_amount_1h`.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }
    /// Only rows where this BOOLEAN column is true.
    pub fn filter(mut self, column: impl Into<String>) -> Self {
        self.filter = Some(column.into());
        self
    }

    /// The call over rows of this schema, and its column.
    pub(super) fn resolve(
        &self,
        step: &str,
        schema: &Schema,
        suffix: &str,
    ) -> Result<(Aggregate, Field), BuilderError> {
        let at = |name: &String| position(step, schema, name);
        let argument = self.argument.as_ref().map(at).transpose()?;
        let filter = self.filter.as_ref().map(at).transpose()?;
        let data_type = argument.map(|i| schema.field(i).data_type());
        let type_error = |message| BuilderError::Type { step: step.to_owned(), message };
        let returns = aggregate_type(self.function, data_type, None).map_err(type_error)?;
        let name = self.name.clone().unwrap_or_else(|| format!("{}{suffix}", self.default_name()));
        let field = Field::new(name, returns.clone(), aggregate_is_nullable(self.function));
        let (function, distinct, label) = (self.function, self.distinct, self.label());
        Ok((
            Aggregate { function, argument, by: None, separator: String::new(), distinct, filter, returns, label },
            field,
        ))
    }
    fn default_name(&self) -> String {
        let distinct = if self.distinct { "_distinct" } else { "" };
        let column = self.argument.as_ref().map(|a| format!("_{a}")).unwrap_or_default();
        format!("{}{distinct}{column}", function_name(self.function).to_lowercase())
    }
    fn label(&self) -> String {
        let distinct = if self.distinct { "DISTINCT " } else { "" };
        let argument = self.argument.as_deref().unwrap_or("*");
        format!("{}({distinct}{argument})", function_name(self.function))
    }
}

/// The number of rows.
pub fn count() -> Call {
    Call::new(AggregateFunction::Count, None)
}
/// The number of values that are not NULL.
pub fn count_column(column: &str) -> Call {
    Call::new(AggregateFunction::Count, Some(column))
}
/// The number of different values, exactly.
pub fn count_distinct(column: &str) -> Call {
    Call { distinct: true, ..count_column(column) }
}
/// The sum.
pub fn sum(column: &str) -> Call {
    Call::new(AggregateFunction::Sum, Some(column))
}
/// The average.
pub fn avg(column: &str) -> Call {
    Call::new(AggregateFunction::Avg, Some(column))
}
/// The smallest value.
pub fn min(column: &str) -> Call {
    Call::new(AggregateFunction::Min, Some(column))
}
/// The largest value.
pub fn max(column: &str) -> Call {
    Call::new(AggregateFunction::Max, Some(column))
}
/// The sample standard deviation.
pub fn stddev(column: &str) -> Call {
    Call::new(AggregateFunction::StddevSamp, Some(column))
}

/// A trailing frame: for each row, the rows of its key in the time before it.
#[derive(Clone, Copy, Debug)]
pub struct Trailing {
    start: Duration,
    end: Duration,
}

/// The frame from `length` before the row up to the row, both edges and rows of equal time included.
pub fn over(length: Duration) -> Trailing {
    over_between(length, Duration::ZERO)
}

/// The frame from `start` before the row to `end` before it, both edges included.
pub fn over_between(start: Duration, end: Duration) -> Trailing {
    Trailing { start, end }
}

impl Trailing {
    /// [`count`] over this frame.
    pub fn count(self) -> (Trailing, Call) {
        (self, count())
    }
    /// [`sum`] over this frame.
    pub fn sum(self, column: &str) -> (Trailing, Call) {
        (self, sum(column))
    }
    /// [`count_distinct`] over this frame.
    pub fn count_distinct(self, column: &str) -> (Trailing, Call) {
        (self, count_distinct(column))
    }
    /// Any aggregate over this frame.
    pub fn call(self, call: Call) -> (Trailing, Call) {
        (self, call)
    }

    /// The frame in milliseconds, and the suffix of default names.
    pub(super) fn resolve(&self, step: &str) -> Result<(Frame, String), BuilderError> {
        let (start_ms, end_ms) = (to_ms(step, self.start)?, to_ms(step, self.end)?);
        let suffix = match end_ms {
            0 => format!("_{}", length_name(start_ms)),
            _ => format!("_{}_to_{}", length_name(start_ms), length_name(end_ms)),
        };
        Ok((Frame::range(start_ms, end_ms), suffix))
    }
}
