//! Result columns of COVAR_POP, COVAR_SAMP and CORR.

use super::groups::Slots;
use super::plan::Paired;
use super::states::View;
use crate::aggregate::pair::{DoublePairs, Pairs};
use crate::aggregate::values::column_of_f64;
use crate::aggregate::{Finish, Overflow, column_of_i128};
use arrow::array::ArrayRef;
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, i256};
use highwater_engine::graph::AggregateFunction;

/// Of integers or DECIMAL; on overflow the position of the slot.
pub fn exact(
    function: AggregateFunction,
    from: Paired,
    finish: &Finish,
    view: &impl View,
    slots: Slots,
    t: &DataType,
) -> Result<ArrayRef, usize> {
    let counts = view.counts(from.input, slots);
    let of = |at: [usize; 2]| at.map(|i| view.moment(i).wide_sums(slots));
    let (sums, squares) = (of(from.sums), of(from.squares));
    let both = view.moment(from.both[0]).wide_sums(slots);
    let at = |v: &[Vec<i256>; 2], i: usize| [v[0][i], v[1][i]];
    let (mut numbers, mut doubles) = (vec![], vec![]);
    for (i, n) in counts.iter().enumerate() {
        let pairs = Pairs { n: *n as u64, sums: at(&sums, i), squares: at(&squares, i), both: both[i] };
        match function {
            AggregateFunction::Corr => doubles.push(pairs.correlation().map_err(|Overflow| i)?),
            _ => numbers.push(finish.covariance(&pairs).map_err(|Overflow| i)?),
        }
    }
    Ok(match function {
        AggregateFunction::Corr => of_doubles(&doubles, t),
        _ => column_of_i128(numbers.iter().map(|v| v.unwrap_or(0)).collect(), nulls(&numbers), t),
    })
}

/// Of DOUBLE.
pub fn doubles(function: AggregateFunction, from: Paired, view: &impl View, slots: Slots, t: &DataType) -> ArrayRef {
    let least = if function == AggregateFunction::CovarSamp { 2 } else { 1 };
    let one = |(slot, n): (usize, i64)| {
        let of = |at: [usize; 2]| at.map(|i| view.moment(i).double(slot));
        let (sums, squares, products) = (of(from.sums), of(from.squares), of(from.both));
        let pairs = DoublePairs { n: n as u64, sums, squares, products };
        if n < least { None } else { pairs.finish(function) }
    };
    let values: Vec<Option<f64>> = slots.iter().zip(view.counts(from.input, slots)).map(one).collect();
    of_doubles(&values, t)
}

fn of_doubles(values: &[Option<f64>], t: &DataType) -> ArrayRef {
    column_of_f64(values.iter().map(|v| v.unwrap_or(0.0)).collect(), nulls(values), t)
}

fn nulls<T>(values: &[Option<T>]) -> Option<NullBuffer> {
    let valid: Vec<bool> = values.iter().map(Option::is_some).collect();
    valid.contains(&false).then(|| NullBuffer::from(valid))
}
