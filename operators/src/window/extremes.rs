//! MIN and MAX per slot, within one slice.
//!
//! A numeric slot without a value holds the type's other end; whether it has one is known from the counts beside it.

use super::groups::Slots;
use super::rows::{Arguments, Placed};
use crate::aggregate::values::ordered_bits;
use crate::aggregate::{Shape, Values, column_of_i128};
use crate::window::keys::column_of_words;
use arrow::array::{Array, ArrayRef, BinaryArray, StringArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::DataType;
use highwater_engine::error::OperatorError;
use std::sync::Arc;

/// A STRING or BYTES value; `None` where there is none.
pub type Text = Option<Box<[u8]>>;

/// The best value of each slot.
#[derive(Clone, Debug)]
pub struct Extremes {
    max: bool,
    cells: Cells,
}

/// The values of [`Extremes`], and of the trails of hopping windows.
#[derive(Clone, Debug)]
pub enum Cells {
    /// Of [`Shape::Narrow`], and doubles by their ordered bits.
    Narrow(Vec<i64>),
    /// Of [`Shape::Wide`].
    Wide(Vec<i128>),
    /// Of [`Shape::Bytes`].
    Text(Vec<Text>),
}

impl Cells {
    /// No cells, for values of this shape.
    pub fn new(shape: Shape) -> Self {
        match shape {
            Shape::Narrow | Shape::Double => Self::Narrow(vec![]),
            Shape::Wide => Self::Wide(vec![]),
            Shape::Bytes => Self::Text(vec![]),
        }
    }

    /// A column of these slots; `nulls` tells which have a value.
    pub fn column(&self, slots: Slots, nulls: Option<NullBuffer>, t: &DataType) -> ArrayRef {
        match self {
            Self::Narrow(v) => column_of_words(slots.of(v), nulls, t),
            Self::Wide(v) => column_of_i128(slots.of(v), nulls, t),
            Self::Text(v) => texts(slots.iter().map(|s| v[s].as_deref()), t),
        }
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Narrow(v) => v.capacity() * 8,
            Self::Wide(v) => v.capacity() * 16,
            Self::Text(v) => v.capacity() * size_of::<Text>() + v.iter().flatten().map(|b| b.len()).sum::<usize>(),
        }
    }
}

/// A STRING or BYTES column.
pub fn texts<'a>(values: impl Iterator<Item = Option<&'a [u8]>>, t: &DataType) -> ArrayRef {
    match t {
        DataType::Utf8 => Arc::new(values.map(|v| v.map(String::from_utf8_lossy)).collect::<StringArray>()),
        _ => Arc::new(values.collect::<BinaryArray>()),
    }
}

impl Extremes {
    /// MIN, or MAX, of values of this shape.
    pub fn new(shape: Shape, max: bool) -> Self {
        Self { max, cells: Cells::new(shape) }
    }

    /// Whether this is MAX.
    pub fn max(&self) -> bool {
        self.max
    }
    /// The values; meaningful only where there is one.
    pub fn cells(&self) -> &Cells {
        &self.cells
    }

    /// Makes room for `n` slots.
    pub fn grow(&mut self, n: usize) {
        match &mut self.cells {
            Cells::Narrow(v) => v.resize(n, if self.max { i64::MIN } else { i64::MAX }),
            Cells::Wide(v) => v.resize(n, if self.max { i128::MIN } else { i128::MAX }),
            Cells::Text(v) => v.resize(n, None),
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        match &mut self.cells {
            Cells::Narrow(v) => v.clear(),
            Cells::Wide(v) => v.clear(),
            Cells::Text(v) => v.clear(),
        }
    }

    /// Keeps these slots only, in this order.
    pub fn keep(&mut self, slots: &[u32]) {
        let list = Slots::List(slots);
        match &mut self.cells {
            Cells::Narrow(v) => *v = list.of(v),
            Cells::Wide(v) => *v = list.of(v),
            Cells::Text(v) => *v = list.iter().map(|s| v[s].take()).collect(),
        }
    }

    /// Adds rows.
    pub fn update(&mut self, rows: Placed, a: &Arguments) {
        let Some(values) = &a.values else { unreachable!("MIN and MAX have an argument") };
        let taken = a.taken.as_ref();
        match (&mut self.cells, values) {
            (Cells::Narrow(cells), Values::Narrow(v)) => match taken {
                None => improve(self.max, cells, rows.all(v)),
                t => improve(self.max, cells, rows.rows(t).map(|(s, i)| (s, v[i]))),
            },
            (Cells::Narrow(cells), Values::Double(v)) => {
                improve(self.max, cells, rows.rows(taken).map(|(s, i)| (s, ordered_bits(v[i]))))
            }
            (Cells::Wide(cells), Values::Wide(v)) => match taken {
                None => improve(self.max, cells, rows.all(v)),
                t => improve(self.max, cells, rows.rows(t).map(|(s, i)| (s, v[i]))),
            },
            (Cells::Text(cells), v) => {
                for (slot, i) in rows.rows(taken) {
                    let (cell, v) = (&mut cells[slot], v.bytes(i));
                    let better = cell.as_deref().is_none_or(|c| if self.max { v > c } else { v < c });
                    match cell {
                        _ if !better => {}
                        Some(c) if c.len() == v.len() => c.copy_from_slice(v),
                        cell => *cell = Some(v.into()),
                    }
                }
            }
            _ => unreachable!("the extremes were made for this argument"),
        }
    }

    /// Adds partial results of another operator: its extremes, NULL where it had none.
    pub fn merge(&mut self, rows: Placed, column: &ArrayRef) -> Result<(), OperatorError> {
        let taken = column.nulls().filter(|n| n.null_count() > 0).map(|n| n.inner().clone());
        self.update(rows, &Arguments { values: Some(Values::of(column)?), taken, hashes: None });
        Ok(())
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.cells.bytes()
    }
}

#[inline(always)]
fn improve<T: Ord + Copy>(max: bool, cells: &mut [T], items: impl Iterator<Item = (usize, T)>) {
    if max {
        items.for_each(|(s, v)| cells[s] = cells[s].max(v));
    } else {
        items.for_each(|(s, v)| cells[s] = cells[s].min(v));
    }
}
