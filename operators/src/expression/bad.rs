//! Finding the rows that fail.
//!
//! A row is bad if it fails *alone*: so which rows are bad does not depend on which rows share a batch. An evaluation that
//! succeeds costs nothing more; one that fails is repeated on halves. k bad rows of n cost about 2 k log₂(n / k)
//! evaluations: 0.15 ms for 2 of 8,192 rows, 30 ms if every second one is bad.

use super::kernel::Failure;
use arrow::array::{Array, ArrayRef, new_null_array};
use arrow::compute::concat;
use arrow::datatypes::DataType;

/// A computed column and the rows that failed; their values are NULL.
#[derive(Clone, Debug)]
pub struct Evaluated {
    /// One value per row.
    pub array: ArrayRef,
    /// The rows that failed, ascending, each with its reason.
    pub bad: Vec<(usize, String)>,
}

/// Evaluates `rows` rows by `at(first row, number of rows)`, halving where it fails.
pub fn evaluate(
    rows: usize,
    returns: &DataType,
    at: &dyn Fn(usize, usize) -> Result<ArrayRef, Failure>,
) -> Result<Evaluated, Failure> {
    let mut parts = Vec::new();
    let mut bad = Vec::new();
    bisect(0, rows, returns, at, &mut parts, &mut bad);
    let array = match parts.len() {
        1 => parts.swap_remove(0),
        _ => concat(&parts.iter().map(|a| a.as_ref() as &dyn Array).collect::<Vec<_>>())?,
    };
    Ok(Evaluated { array, bad })
}

fn bisect(
    first: usize,
    rows: usize,
    returns: &DataType,
    at: &dyn Fn(usize, usize) -> Result<ArrayRef, Failure>,
    parts: &mut Vec<ArrayRef>,
    bad: &mut Vec<(usize, String)>,
) {
    match at(first, rows) {
        Ok(array) => parts.push(array),
        Err(Failure(reason)) if rows == 1 => {
            parts.push(new_null_array(returns, 1));
            bad.push((first, reason));
        }
        Err(_) => {
            let half = rows / 2;
            bisect(first, half, returns, at, parts, bad);
            bisect(first + half, rows - half, returns, at, parts, bad);
        }
    }
}
