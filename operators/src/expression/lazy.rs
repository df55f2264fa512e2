//! Operators that look at their right side only where the left one leaves the answer open.
//!
//! `n <> 0 AND 10 / n > 1` must not fail on a row with n = 0, whatever else is in the batch. DataFusion's AND evaluates the
//! right side for all rows unless few pass, so a right side that can fail stands behind [`Guarded`]; COALESCE likewise
//! behind [`FirstValue`]. Each side is evaluated at most once per row.

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::compute::kernels::zip::zip;
use arrow::compute::{and_kleene, is_null, not, or_kleene};
use arrow::datatypes::{DataType, Schema};
use arrow::record_batch::RecordBatch;
use datafusion_common::Result;
use datafusion_expr::ColumnarValue;
use datafusion_physical_expr::PhysicalExpr;
use std::fmt;
use std::sync::Arc;

/// `left AND right`, `left OR right`: the right side only where the left one is not already the answer.
#[derive(Debug, Eq, Hash)]
#[expect(clippy::derived_hash_with_manual_eq, reason = "the derived equality does not compile over Arc<dyn ..>")]
pub struct Guarded {
    /// AND, else OR.
    pub and: bool,
    /// Evaluated for every row.
    pub left: Arc<dyn PhysicalExpr>,
    /// Evaluated where the left side is not FALSE (AND) or not TRUE (OR).
    pub right: Arc<dyn PhysicalExpr>,
}

impl PartialEq for Guarded {
    fn eq(&self, other: &Self) -> bool {
        self.and == other.and && self.left.eq(&other.left) && self.right.eq(&other.right)
    }
}

impl fmt::Display for Guarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({} {} {})", self.left, if self.and { "AND" } else { "OR" }, self.right)
    }
}

impl PhysicalExpr for Guarded {
    fn data_type(&self, _: &Schema) -> Result<DataType> {
        Ok(DataType::Boolean)
    }
    fn nullable(&self, _: &Schema) -> Result<bool> {
        Ok(true)
    }
    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let rows = batch.num_rows();
        let left = self.left.evaluate(batch)?.into_array(rows)?;
        let left = left.as_boolean();
        let open = open(left, self.and)?;
        if !open.has_true() {
            return Ok(ColumnarValue::Array(Arc::new(left.clone())));
        }
        let right = self.right.evaluate_selection(batch, &open)?.into_array(rows)?;
        let right = right.as_boolean();
        let result = if self.and { and_kleene(left, right)? } else { or_kleene(left, right)? };
        Ok(ColumnarValue::Array(Arc::new(result)))
    }
    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.left, &self.right]
    }
    fn with_new_children(self: Arc<Self>, mut c: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        Ok(match (c.pop(), c.pop()) {
            (Some(right), Some(left)) => Arc::new(Self { and: self.and, left, right }),
            _ => self,
        })
    }
    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The rows whose answer the left side leaves open: not FALSE for AND, not TRUE for OR; NULL is open.
fn open(left: &BooleanArray, and: bool) -> Result<BooleanArray> {
    let valid = BooleanArray::new(left.values().clone(), None);
    let decided = if and { not(&valid)? } else { valid };
    let decided = match left.nulls() {
        Some(n) => BooleanArray::new(decided.values() & n.inner(), None),
        None => decided,
    };
    Ok(not(&decided)?)
}

/// COALESCE: the first argument that is not NULL; an argument is evaluated only where all before it are NULL.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct FirstValue {
    /// The arguments, all of one type; at least one.
    pub args: Vec<Arc<dyn PhysicalExpr>>,
    /// Their type.
    pub returns: DataType,
}

impl fmt::Display for FirstValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let args: Vec<_> = self.args.iter().map(ToString::to_string).collect();
        write!(f, "coalesce({})", args.join(", "))
    }
}

impl PhysicalExpr for FirstValue {
    fn data_type(&self, _: &Schema) -> Result<DataType> {
        Ok(self.returns.clone())
    }
    fn nullable(&self, _: &Schema) -> Result<bool> {
        Ok(true)
    }
    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let rows = batch.num_rows();
        let mut result: ArrayRef = self.args[0].evaluate(batch)?.into_array(rows)?;
        for arg in &self.args[1..] {
            if result.null_count() == 0 {
                break;
            }
            let open = is_null(&result)?;
            let next = arg.evaluate_selection(batch, &open)?.into_array(rows)?;
            result = zip(&open, &next, &result)?;
        }
        Ok(ColumnarValue::Array(result))
    }
    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        self.args.iter().collect()
    }
    fn with_new_children(self: Arc<Self>, args: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        Ok(Arc::new(Self { args, returns: self.returns.clone() }))
    }
    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
