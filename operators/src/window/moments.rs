//! Σx and Σx² per slot, exact for every shape of value.

use super::groups::Slots;
use super::rows::{Arguments, Placed};
use super::sums::{Sums, TooLarge};
use crate::aggregate::values::from_ordered_bits;
use crate::aggregate::{ExactSum, Shape, Values};
use arrow::array::{ArrayRef, AsArray, BinaryBuilder, Decimal128Array, Decimal256Array};
use arrow::datatypes::{DataType, Decimal128Type, Decimal256Type, i256};
use highwater_engine::error::OperatorError;
use highwater_engine::state::codec::{Reader, Writer};
use std::sync::Arc;

/// One moment per slot.
#[derive(Clone, Debug)]
pub enum Moment {
    /// Σx of narrow values.
    Sum(Sums<i64>),
    /// Σx of wide values.
    WideSum(Sums<i128>),
    /// Σx² of narrow values.
    Squares(Sums<i128>),
    /// Σx² of wide values.
    WideSquares(Sums<i256>),
    /// Σx, or Σx² if the flag is set, of doubles.
    Double(Vec<ExactSum>, bool),
}

/// One value, as a set keeps it: doubles by their ordered bits.
#[derive(Clone, Copy, Debug)]
pub enum Value {
    /// Of [`Shape::Narrow`] or [`Shape::Double`].
    Narrow(i64),
    /// Of [`Shape::Wide`].
    Wide(i128),
}

impl Moment {
    /// An empty moment of values of this shape.
    pub fn new(shape: Shape, squares: bool) -> Self {
        match (shape, squares) {
            (Shape::Wide, false) => Self::WideSum(Sums::default()),
            (Shape::Wide, true) => Self::WideSquares(Sums::default()),
            (Shape::Double, squares) => Self::Double(vec![], squares),
            (_, false) => Self::Sum(Sums::default()),
            (_, true) => Self::Squares(Sums::default()),
        }
    }

    /// Makes room for `n` slots.
    pub fn grow(&mut self, n: usize) {
        match self {
            Self::Sum(s) => s.grow(n),
            Self::WideSum(s) | Self::Squares(s) => s.grow(n),
            Self::WideSquares(s) => s.grow(n),
            Self::Double(s, _) => s.resize_with(n, ExactSum::default),
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        match self {
            Self::Sum(s) => s.clear(),
            Self::WideSum(s) | Self::Squares(s) => s.clear(),
            Self::WideSquares(s) => s.clear(),
            Self::Double(s, _) => s.clear(),
        }
    }

    /// Adds rows.
    pub fn update(&mut self, rows: Placed, a: &Arguments) -> Result<(), TooLarge> {
        let taken = a.taken.as_ref();
        match (self, &a.values) {
            (Self::Sum(s), Some(Values::Narrow(v))) => match taken {
                None => s.apply::<false>(rows.all(v)),
                t => s.apply::<false>(rows.rows(t).map(|(s, i)| (s, v[i]))),
            },
            (Self::WideSum(s), Some(Values::Wide(v))) => match taken {
                None => s.apply::<false>(rows.all(v)),
                t => s.apply::<false>(rows.rows(t).map(|(s, i)| (s, v[i]))),
            },
            (Self::Squares(s), Some(Values::Narrow(v))) => {
                s.apply::<false>(rows.rows(taken).map(|(s, i)| (s, square(v[i]))))
            }
            (Self::WideSquares(s), Some(Values::Wide(v))) => {
                s.apply::<false>(rows.rows(taken).map(|(s, i)| (s, wide_square(v[i]))))
            }
            (Self::Double(s, squares), Some(Values::Double(v))) => {
                let squares = *squares;
                rows.rows(taken).for_each(|(slot, i)| add_double::<false>(&mut s[slot], v[i], squares));
                Ok(())
            }
            _ => unreachable!("the moment was made for this argument"),
        }
    }

    /// Adds one value; takes it away if `AWAY`.
    pub fn one<const AWAY: bool>(&mut self, slot: usize, value: Value) -> Result<(), TooLarge> {
        match (self, value) {
            (Self::Sum(s), Value::Narrow(v)) => s.apply::<AWAY>(std::iter::once((slot, v))),
            (Self::WideSum(s), Value::Wide(v)) => s.apply::<AWAY>(std::iter::once((slot, v))),
            (Self::Squares(s), Value::Narrow(v)) => s.apply::<AWAY>(std::iter::once((slot, square(v)))),
            (Self::WideSquares(s), Value::Wide(v)) => s.apply::<AWAY>(std::iter::once((slot, wide_square(v)))),
            (Self::Double(s, squares), Value::Narrow(v)) => {
                add_double::<AWAY>(&mut s[slot], from_ordered_bits(v), *squares);
                Ok(())
            }
            _ => unreachable!("the moment was made for this argument"),
        }
    }

    /// Adds the `i`-th moment of `from` to slot `slots[i]`; takes it away if `AWAY`.
    pub fn absorb<const AWAY: bool>(&mut self, slots: &[u32], from: &Self) -> Result<(), TooLarge> {
        match (self, from) {
            (Self::Sum(s), Self::Sum(f)) => s.absorb::<AWAY>(slots, f),
            (Self::WideSum(s), Self::WideSum(f)) | (Self::Squares(s), Self::Squares(f)) => s.absorb::<AWAY>(slots, f),
            (Self::WideSquares(s), Self::WideSquares(f)) => s.absorb::<AWAY>(slots, f),
            (Self::Double(s, _), Self::Double(f, _)) => {
                for (slot, f) in slots.iter().zip(f) {
                    match AWAY {
                        true => s[*slot as usize].unmerge(f),
                        false => s[*slot as usize].merge(f),
                    }
                }
                Ok(())
            }
            _ => unreachable!("moments of one plan are alike"),
        }
    }

    /// The partial results of these slots: see [`super::plan::Plan::partials`].
    pub fn column(&self, slots: Slots) -> ArrayRef {
        let wide = |v: Vec<i256>| -> ArrayRef {
            Arc::new(Decimal256Array::new(v.into(), None).with_data_type(DataType::Decimal256(76, 0)))
        };
        match self {
            Self::Sum(s) => {
                let sums = Decimal128Array::new(s.wide(slots).into(), None);
                Arc::new(sums.with_data_type(DataType::Decimal128(38, 0)))
            }
            Self::WideSum(s) | Self::Squares(s) => wide(s.wide(slots)),
            Self::WideSquares(s) => wide(s.wide(slots)),
            Self::Double(s, _) => {
                let mut b = BinaryBuilder::new();
                for slot in slots.iter() {
                    let mut w = Writer::new();
                    s[slot].write(&mut w);
                    b.append_value(w.finish());
                }
                Arc::new(b.finish())
            }
        }
    }

    /// Adds partial results of another operator.
    pub fn merge(&mut self, rows: Placed, column: &ArrayRef) -> Result<(), OperatorError> {
        let too_large = |TooLarge| OperatorError::new("a sum exceeds 256 bits");
        match self {
            Self::Sum(s) => s.apply_wide::<false>(rows.all(column.as_primitive::<Decimal128Type>().values())),
            Self::WideSum(s) | Self::Squares(s) => {
                s.apply_wide::<false>(rows.all(column.as_primitive::<Decimal256Type>().values()))
            }
            Self::WideSquares(s) => s.apply::<false>(rows.all(column.as_primitive::<Decimal256Type>().values())),
            Self::Double(s, _) => {
                let bytes = column.as_binary::<i32>();
                for (slot, i) in rows.rows(None) {
                    s[slot].merge(&ExactSum::read(&mut Reader::new(bytes.value(i)))?);
                }
                Ok(())
            }
        }
        .map_err(too_large)
    }

    /// Takes these moments of `from`, in this order, in place of its own; what is left of `from` means nothing.
    pub fn take(&mut self, from: &mut Self, slots: &[u32]) {
        match (&mut *self, &mut *from) {
            (Self::Sum(s), Self::Sum(f)) => s.take(f, slots),
            (Self::WideSum(s), Self::WideSum(f)) | (Self::Squares(s), Self::Squares(f)) => s.take(f, slots),
            _ => {
                std::mem::swap(self, from);
                self.keep(slots);
            }
        }
    }

    /// Keeps these slots only, in this order.
    pub fn keep(&mut self, slots: &[u32]) {
        match self {
            Self::Sum(s) => s.keep(slots),
            Self::WideSum(s) | Self::Squares(s) => s.keep(slots),
            Self::WideSquares(s) => s.keep(slots),
            Self::Double(s, _) => *s = slots.iter().map(|i| std::mem::take(&mut s[*i as usize])).collect(),
        }
    }

    /// The sums of these slots in 128 bits, if this is Σx of narrow values.
    pub fn narrow_sums(&self, slots: Slots) -> Option<Vec<i128>> {
        match self {
            Self::Sum(s) => Some(s.wide(slots)),
            _ => None,
        }
    }

    /// The moments of these slots in 256 bits. Not for doubles.
    pub fn wide_sums(&self, slots: Slots) -> Vec<i256> {
        match self {
            Self::Sum(s) => s.wide(slots).into_iter().map(i256::from_i128).collect(),
            Self::WideSum(s) | Self::Squares(s) => s.wide(slots),
            Self::WideSquares(s) => s.wide(slots),
            Self::Double(..) => unreachable!("sums of DOUBLE are finished apart"),
        }
    }

    /// The sum of a slot. For doubles only.
    pub fn double(&self, slot: usize) -> &ExactSum {
        match self {
            Self::Double(s, _) => &s[slot],
            _ => unreachable!("sums of integers are finished apart"),
        }
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Sum(s) => s.bytes(),
            Self::WideSum(s) | Self::Squares(s) => s.bytes(),
            Self::WideSquares(s) => s.bytes(),
            Self::Double(s, _) => {
                s.capacity() * size_of::<ExactSum>() + s.iter().map(ExactSum::heap_bytes).sum::<usize>()
            }
        }
    }
}

fn square(v: i64) -> i128 {
    i128::from(v) * i128::from(v)
}

/// The square of a DECIMAL's unscaled value: below 2^254.
fn wide_square(v: i128) -> i256 {
    let v = i256::from_i128(v);
    v.wrapping_mul(v)
}

fn add_double<const AWAY: bool>(sum: &mut ExactSum, v: f64, square: bool) {
    match (square, AWAY) {
        (false, false) => sum.add(v),
        (false, true) => sum.remove(v),
        (true, false) => sum.add_square(v),
        (true, true) => sum.remove_square(v),
    }
}
