//! Kernels: functions from argument arrays to a result array, and the physical expression that calls one.
//!
//! Everything that DataFusion lacks or computes otherwise than Flink is a kernel: casts, decimal arithmetic, comparison
//! of DOUBLE, time arithmetic, the functions of the allow-list. A kernel fails as a whole if one row fails;
//! [`super::bad`] finds the rows. It must give each row the result that the row would get alone.

use arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray, StringArray};
use arrow::datatypes::{ArrowPrimitiveType, DataType, Schema};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use datafusion_common::{DataFusionError, Result, ScalarValue};
use datafusion_expr::ColumnarValue;
use datafusion_physical_expr::PhysicalExpr;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Why a value can't be computed, in the words of an error row: `division by zero`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(pub String);

impl Failure {
    /// A failure with this reason.
    pub fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

impl From<ArrowError> for Failure {
    fn from(e: ArrowError) -> Self {
        Self(match e {
            ArrowError::DivideByZero => "division by zero".to_owned(),
            ArrowError::ArithmeticOverflow(s) => s.replace("Overflow happened on:", "overflow:"),
            ArrowError::CastError(s) | ArrowError::ComputeError(s) | ArrowError::InvalidArgumentError(s) => s,
            e => e.to_string(),
        })
    }
}

impl From<DataFusionError> for Failure {
    fn from(e: DataFusionError) -> Self {
        match e {
            DataFusionError::ArrowError(e, _) => (*e).into(),
            DataFusionError::Execution(s) => Self(s),
            e => Self(e.strip_backtrace().lines().next().unwrap_or_default().to_owned()),
        }
    }
}

/// The arguments of a call: arrays that are as long as the batch, or of one row that stands for all.
#[derive(Debug)]
pub struct Args<'a> {
    arrays: &'a [ArrayRef],
    scalar: &'a [bool],
    rows: usize,
}

impl<'a> Args<'a> {
    /// Arguments of a call over `rows` rows; `scalar[i]` if `arrays[i]` has one row that stands for all.
    pub fn new(arrays: &'a [ArrayRef], scalar: &'a [bool], rows: usize) -> Self {
        debug_assert!(arrays.iter().zip(scalar).all(|(a, s)| a.len() == if *s { 1 } else { rows }));
        Self { arrays, scalar, rows }
    }
    /// Rows of the result.
    pub fn rows(&self) -> usize {
        self.rows
    }
    /// Number of arguments.
    pub fn count(&self) -> usize {
        self.arrays.len()
    }
    /// Argument `i` as it came.
    pub fn array(&self, i: usize) -> &'a ArrayRef {
        &self.arrays[i]
    }
    /// Whether argument `i` is one row that stands for all.
    pub fn is_scalar(&self, i: usize) -> bool {
        self.scalar[i]
    }
    /// Argument `i` by row, of a primitive type.
    pub fn values<T: ArrowPrimitiveType>(&self, i: usize) -> Values<'a, T> {
        Values { array: self.arrays[i].as_primitive(), scalar: self.scalar[i] }
    }
    /// Argument `i` by row, a STRING.
    pub fn text(&self, i: usize) -> Texts<'a> {
        Texts { array: self.arrays[i].as_string(), scalar: self.scalar[i] }
    }
    /// The same call over `len` rows from row `at`.
    pub fn slice(&self, at: usize, len: usize) -> Vec<ArrayRef> {
        let cut = |(a, s): (&ArrayRef, &bool)| if *s { a.clone() } else { a.slice(at, len) };
        self.arrays.iter().zip(self.scalar).map(cut).collect()
    }
    /// Which arguments stand for all rows.
    pub fn scalars(&self) -> &'a [bool] {
        self.scalar
    }
}

/// A primitive argument by row.
#[derive(Debug)]
pub struct Values<'a, T: ArrowPrimitiveType> {
    array: &'a PrimitiveArray<T>,
    scalar: bool,
}

impl<T: ArrowPrimitiveType> Clone for Values<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: ArrowPrimitiveType> Copy for Values<'_, T> {}

impl<'a, T: ArrowPrimitiveType> Values<'a, T> {
    /// The value of a row.
    #[inline]
    pub fn get(&self, row: usize) -> Option<T::Native> {
        let i = if self.scalar { 0 } else { row };
        self.array.is_valid(i).then(|| self.array.values()[i])
    }
    /// The value that stands for all rows, if it is not NULL.
    pub fn constant(&self) -> Option<T::Native> {
        if self.scalar { self.get(0) } else { None }
    }
    /// The array behind it.
    pub fn array(&self) -> &'a PrimitiveArray<T> {
        self.array
    }
}

/// A STRING argument by row.
#[derive(Clone, Copy, Debug)]
pub struct Texts<'a> {
    array: &'a StringArray,
    scalar: bool,
}

impl<'a> Texts<'a> {
    /// The value of a row.
    #[inline]
    pub fn get(&self, row: usize) -> Option<&'a str> {
        let i = if self.scalar { 0 } else { row };
        self.array.is_valid(i).then(|| self.array.value(i))
    }
    /// The array behind it.
    pub fn array(&self) -> &'a StringArray {
        self.array
    }
}

/// Computes a result of `args.rows()` rows.
pub type Compute = Arc<dyn Fn(&Args<'_>) -> std::result::Result<ArrayRef, Failure> + Send + Sync>;

/// The physical expression that evaluates its arguments and calls a kernel.
pub struct Kernel {
    name: String,
    args: Vec<Arc<dyn PhysicalExpr>>,
    returns: DataType,
    compute: Compute,
}

impl Kernel {
    /// A call of `compute`, which returns arrays of type `returns`.
    pub fn call(
        name: impl Into<String>,
        args: Vec<Arc<dyn PhysicalExpr>>,
        returns: DataType,
        compute: Compute,
    ) -> Arc<dyn PhysicalExpr> {
        Arc::new(Self { name: name.into(), args, returns, compute })
    }
}

/// Calls `compute` on evaluated arguments: once, for one row, if all of them are scalars.
pub fn invoke(compute: &Compute, args: &[ColumnarValue], rows: usize) -> Result<ColumnarValue> {
    let scalar: Vec<bool> = args.iter().map(|a| matches!(a, ColumnarValue::Scalar(_))).collect();
    let arrays = args
        .iter()
        .map(|a| match a {
            ColumnarValue::Array(a) => Ok(a.clone()),
            ColumnarValue::Scalar(s) => s.to_array_of_size(1),
        })
        .collect::<Result<Vec<_>>>()?;
    let constant = scalar.iter().all(|s| *s);
    let rows = if constant { 1 } else { rows };
    let result = compute(&Args::new(&arrays, &scalar, rows)).map_err(|f| DataFusionError::Execution(f.0))?;
    if constant {
        return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?));
    }
    Ok(ColumnarValue::Array(result))
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kernel").field("name", &self.name).field("args", &self.args).finish_non_exhaustive()
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let args: Vec<_> = self.args.iter().map(ToString::to_string).collect();
        write!(f, "{}({})", self.name, args.join(", "))
    }
}

impl PartialEq for Kernel {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.compute, &other.compute) && self.args == other.args
    }
}

impl Eq for Kernel {}

impl Hash for Kernel {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
        self.args.hash(state);
    }
}

impl PhysicalExpr for Kernel {
    fn data_type(&self, _: &Schema) -> Result<DataType> {
        Ok(self.returns.clone())
    }
    fn nullable(&self, _: &Schema) -> Result<bool> {
        Ok(true)
    }
    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let args = self.args.iter().map(|a| a.evaluate(batch)).collect::<Result<Vec<_>>>()?;
        invoke(&self.compute, &args, batch.num_rows())
    }
    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        self.args.iter().collect()
    }
    fn with_new_children(self: Arc<Self>, args: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        Ok(Self::call(self.name.clone(), args, self.returns.clone(), self.compute.clone()))
    }
    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
