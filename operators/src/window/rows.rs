//! The arguments of a batch, read once: values and which rows take part.

use super::plan::{Input, Plan};
use crate::aggregate::Values;
use arrow::array::{Array, AsArray};
use arrow::buffer::{BooleanBuffer, ScalarBuffer};
use highwater_engine::batch::Batch;
use highwater_engine::error::OperatorError;
use highwater_engine::hash::hash_columns;

/// One input over one batch.
pub struct Arguments<'a> {
    /// The values; `None` for COUNT(*) with a filter.
    pub values: Option<Values<'a>>,
    /// Rows that take part; `None` if all do.
    pub taken: Option<BooleanBuffer>,
    /// Hashes of the values, for sets.
    pub hashes: Option<ScalarBuffer<u64>>,
}

/// Memory used again from batch to batch.
#[derive(Debug, Default)]
pub struct Scratch {
    /// Hashes of the keys.
    pub hashes: Vec<u64>,
    /// Copied values.
    values: Vec<Vec<i64>>,
}

impl Scratch {
    /// Takes the memory of arguments back.
    pub fn recycle(&mut self, arguments: Vec<Arguments>) {
        self.values.extend(arguments.into_iter().filter_map(|a| a.values).map(Values::into_memory));
        self.values.retain(|v| v.capacity() > 0);
    }
    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.values.iter().map(|v| v.capacity() * 8).sum::<usize>() + self.hashes.capacity() * 8
    }
}

impl<'a> Arguments<'a> {
    /// Reads the inputs of a plan; `sets` tells which need hashes.
    pub fn of(plan: &Plan, sets: &[bool], batch: &'a Batch, scratch: &mut Scratch) -> Result<Vec<Self>, OperatorError> {
        plan.inputs.iter().zip(sets).map(|(input, set)| Self::read(input, *set, batch, scratch)).collect()
    }

    fn read(input: &Input, set: bool, batch: &'a Batch, scratch: &mut Scratch) -> Result<Self, OperatorError> {
        let argument = input.argument.map(|a| batch.column(a));
        let valid = argument.and_then(|a| a.nulls()).filter(|n| n.null_count() > 0).map(|n| n.inner().clone());
        let passed = input.filter.map(|f| {
            let f = batch.column(f).as_boolean();
            f.nulls().map_or_else(|| f.values().clone(), |n| f.values() & n.inner())
        });
        let taken = match (valid, passed) {
            (Some(v), Some(p)) => Some(&v & &p),
            (v, p) => v.or(p),
        };
        let mut memory = || scratch.values.pop().unwrap_or_default();
        Ok(Self {
            values: argument.map(|a| Values::of_into(a, memory())).transpose()?,
            taken: taken.filter(|t| t.count_set_bits() < t.len()),
            hashes: argument.filter(|_| set).map(|a| hash_columns(std::slice::from_ref(a), a.len())),
        })
    }
}

/// Rows `at .. at + slots.len()` of a batch and the slot of each.
#[derive(Clone, Copy)]
pub struct Placed<'a> {
    /// First row.
    pub at: usize,
    /// The slot of each row.
    pub slots: &'a [u32],
}

impl<'a> Placed<'a> {
    /// The slots and values of all rows.
    #[inline(always)]
    pub fn all<T: Copy>(self, values: &'a [T]) -> impl Iterator<Item = (usize, T)> + 'a {
        let values = &values[self.at..self.at + self.slots.len()];
        self.slots.iter().zip(values).map(|(s, v)| (*s as usize, *v))
    }
    /// The slots and row numbers of the rows that take part.
    #[inline(always)]
    pub fn rows(self, taken: Option<&'a BooleanBuffer>) -> impl Iterator<Item = (usize, usize)> + 'a {
        let taken = move |i: &usize| taken.is_none_or(|t| t.value(*i));
        (self.at..self.at + self.slots.len()).filter(taken).map(move |i| (self.slots[i - self.at] as usize, i))
    }
}
