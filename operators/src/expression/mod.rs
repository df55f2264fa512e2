//! Own expressions evaluated on batches.
//!
//! An [`Expr`] of the graph is plain data. [`Expression`] is the same compiled over an input schema: types are checked
//! once, then each batch gives a column and the rows that failed. Arithmetic never wraps: an overflow, a division by zero
//! or a cast that does not fit makes its *row* bad, and a row is bad if it fails alone, whatever shares its batch.
//! This folder alone names DataFusion's expression crates.
//!
//! | module | its business |
//! |---|---|
//! | [`text`] | expressions and types as SQL, for errors |
//! | [`functions`] | the scalar functions, by name |
//! | [`cast`], [`decimal`], [`calendar`] | Flink's casts, decimal arithmetic, civil time |
//! | `lower` | types checked, physical expression made |
//! | `kernel`, `lazy` | kernels as physical expressions; AND, OR, COALESCE that look right only where needed |
//! | [`bad`] | which rows fail |

pub mod bad;
pub mod calendar;
pub mod cast;
pub mod decimal;
pub mod functions;
pub mod kernel;
mod lazy;
mod lower;
pub mod text;

#[cfg(test)]
mod tests;

pub use bad::Evaluated;
pub use functions::scalar_udfs;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float32Array, Float64Array, new_empty_array};
use arrow::datatypes::{DataType, Float32Type, Float64Type, Schema};
use arrow::record_batch::RecordBatch;
use datafusion_common::ScalarValue;
use datafusion_physical_expr::PhysicalExpr;
use highwater_engine::error::{BuildError, OperatorError};
use highwater_engine::expr::Expr;
use kernel::Failure;
use std::sync::Arc;

/// An expression compiled over an input schema.
#[derive(Clone, Debug)]
pub struct Expression {
    program: Program,
    data_type: DataType,
    text: String,
}

#[derive(Clone, Debug)]
enum Program {
    /// An input column: no copy, no failure.
    Column(usize),
    /// The same value for every row.
    Constant(ScalarValue),
    /// Anything else.
    Computed(Arc<dyn PhysicalExpr>),
}

impl Expression {
    /// Compiles `expr` over rows of `schema`.
    ///
    /// # Errors
    /// A column that does not exist, types that do not fit, an unknown function, a bad constant pattern: the error shows
    /// the part that is wrong as SQL.
    pub fn new(expr: &Expr, schema: &Schema) -> Result<Self, BuildError> {
        let lowered = lower::Lowering::new(schema).lower(expr)?;
        let program = match expr {
            Expr::Column(i) => Program::Column(*i),
            Expr::Literal(l) => Program::Constant(lower::literal(l).map_err(BuildError::new)?),
            _ => Program::Computed(lowered.physical),
        };
        Ok(Self { program, data_type: lowered.data_type, text: text::expression(expr, schema) })
    }

    /// The type of its values.
    pub fn data_type(&self) -> &DataType {
        &self.data_type
    }

    /// The expression as SQL.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The input column, if the expression is nothing else.
    pub fn as_column(&self) -> Option<usize> {
        match self.program {
            Program::Column(i) => Some(i),
            _ => None,
        }
    }

    /// Computes the expression for each row. A failing row has NULL and is listed.
    ///
    /// # Errors
    /// If the batch is not of the schema the expression was compiled for.
    pub fn evaluate(&self, batch: &RecordBatch) -> Result<Evaluated, OperatorError> {
        let whole = |array| Ok(Evaluated { array, bad: Vec::new() });
        let wrong = |f: Failure| OperatorError::new(format!("{}: {}", self.text, f.0));
        match &self.program {
            Program::Column(i) => match batch.columns().get(*i) {
                Some(c) if *c.data_type() == self.data_type => whole(c.clone()),
                _ => Err(OperatorError::new(format!("the batch has no column {i} of type {}", self.data_type))),
            },
            Program::Constant(v) => whole(v.to_array_of_size(batch.num_rows()).map_err(|e| wrong(Failure::from(e)))?),
            Program::Computed(_) if batch.num_rows() == 0 => whole(new_empty_array(&self.data_type)),
            Program::Computed(e) => {
                let at = |first: usize, rows: usize| {
                    let part = if rows == batch.num_rows() { batch.clone() } else { batch.slice(first, rows) };
                    Ok(e.evaluate(&part)?.into_array(rows)?)
                };
                let mut out = bad::evaluate(batch.num_rows(), &self.data_type, &at).map_err(wrong)?;
                out.array = canonical(out.array);
                Ok(out)
            }
        }
    }

    /// Computes a condition for each row: whether it is TRUE. NULL and failing rows are not; the latter are listed.
    ///
    /// # Errors
    /// As [`Expression::evaluate`], or if the expression is not BOOLEAN.
    pub fn test(&self, batch: &RecordBatch) -> Result<(BooleanArray, Vec<(usize, String)>), OperatorError> {
        let out = self.evaluate(batch)?;
        let mask =
            out.array.as_boolean_opt().ok_or_else(|| OperatorError::new(format!("{} is no condition", self.text)))?;
        let mask = true_only(mask.clone());
        Ok((mask, out.bad))
    }
}

/// A mask without NULL: they are FALSE.
fn true_only(mask: BooleanArray) -> BooleanArray {
    if mask.null_count() > 0 { arrow::compute::prep_null_mask_filter(&mask) } else { mask }
}

/// Computed DOUBLEs have one zero and one NaN, so that keys and digests are the same wherever they come from.
fn canonical(array: ArrayRef) -> ArrayRef {
    match array.data_type() {
        DataType::Float64 => {
            let one = |v: f64| if v.is_nan() { f64::NAN } else { v + 0.0 };
            let out: Float64Array = array.as_primitive::<Float64Type>().unary(one);
            Arc::new(out)
        }
        DataType::Float32 => {
            let one = |v: f32| if v.is_nan() { f32::NAN } else { v + 0.0 };
            let out: Float32Array = array.as_primitive::<Float32Type>().unary(one);
            Arc::new(out)
        }
        _ => array,
    }
}
