//! The state of the groups of one slice: struct of arrays, addressed by slot.

use super::bags::Bags;
use super::extremes::{Cells, Extremes};
use super::groups::Slots;
use super::moments::Moment;
use super::plan::{Keep, Plan};
use super::rows::{Arguments, Placed};
use super::sets::Sets;
use super::sums::TooLarge;
use arrow::array::{ArrayRef, AsArray, Int64Array};
use arrow::buffer::NullBuffer;
use arrow::datatypes::Int64Type;
use highwater_engine::error::OperatorError;
use std::sync::Arc;

/// Rows that do not take part in an input (NULL or filtered out), per slot. Empty until there is one: mostly never.
#[derive(Clone, Debug, Default)]
pub struct Absent(Vec<i64>);

impl Absent {
    /// How many at a slot.
    #[inline(always)]
    pub fn at(&self, slot: usize) -> i64 {
        self.0.get(slot).copied().unwrap_or(0)
    }
    /// Whether there may be one anywhere.
    pub fn any(&self) -> bool {
        !self.0.is_empty()
    }
    /// Adds `n` at a slot of `slots` ones.
    #[inline(always)]
    pub fn add(&mut self, slot: usize, n: i64, slots: usize) {
        if n != 0 {
            if self.0.len() < slots {
                self.0.resize(slots, 0);
            }
            self.0[slot] += n;
        }
    }
    /// Keeps these slots only, in this order.
    pub fn keep(&mut self, slots: &[u32]) {
        if self.any() {
            self.0 = slots.iter().map(|s| self.at(*s as usize)).collect();
        }
    }
    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.0.capacity() * 8
    }
}

/// One column of state.
#[derive(Clone, Debug)]
pub enum Column {
    /// Σx or Σx².
    Moment(Moment),
    /// MIN or MAX.
    Extremes(Extremes),
    /// Distinct values.
    Sets(Box<Sets>),
    /// All values.
    Bags(Bags),
}

impl Column {
    fn keep(&mut self, slots: &[u32]) {
        match self {
            Self::Moment(c) => c.keep(slots),
            Self::Extremes(c) => c.keep(slots),
            Self::Sets(c) => c.keep(slots),
            Self::Bags(c) => c.keep(slots),
        }
    }
}

/// The state of all groups of a slice.
#[derive(Clone, Debug)]
pub struct States {
    /// Rows of each slot.
    pub rows: Vec<i64>,
    /// Per input.
    pub absent: Vec<Absent>,
    /// Per entry of [`Plan::kept`].
    pub columns: Vec<Column>,
}

impl States {
    /// No groups.
    pub fn new(plan: &Plan) -> Self {
        let column = |(i, k): (usize, &super::plan::Kept)| {
            let shape = plan.argument(i).1;
            match k.keep {
                Keep::Sum => Column::Moment(Moment::new(shape, false)),
                Keep::Squares => Column::Moment(Moment::new(shape, true)),
                Keep::Min => Column::Extremes(Extremes::new(shape, false)),
                Keep::Max => Column::Extremes(Extremes::new(shape, true)),
                Keep::Distinct { sum, squares } => Column::Sets(Box::new(Sets::new(shape, sum, squares))),
                Keep::Bag => Column::Bags(Bags::new(shape, false)),
                Keep::Codes => Column::Bags(Bags::new(shape, true)),
            }
        };
        let columns = plan.kept.iter().enumerate().map(column).collect();
        Self { rows: vec![], absent: vec![Absent::default(); plan.inputs.len()], columns }
    }

    /// Makes room for `n` slots.
    pub fn grow(&mut self, n: usize) {
        if n == self.rows.len() {
            return;
        }
        self.rows.resize(n, 0);
        for c in &mut self.columns {
            match c {
                Column::Moment(c) => c.grow(n),
                Column::Extremes(c) => c.grow(n),
                Column::Sets(c) => c.grow(n),
                Column::Bags(c) => c.grow(n),
            }
        }
    }

    /// Whether the memory is much more than `n` slots need.
    pub fn roomy(&self, n: usize) -> bool {
        self.rows.capacity() > 1024 && n < self.rows.capacity() / 8
    }

    /// Forgets everything and keeps the memory.
    pub fn clear(&mut self) {
        self.rows.clear();
        self.absent.iter_mut().for_each(|a| a.0.clear());
        for c in &mut self.columns {
            match c {
                Column::Moment(c) => c.clear(),
                Column::Extremes(c) => c.clear(),
                Column::Sets(c) => c.clear(),
                Column::Bags(c) => c.clear(),
            }
        }
    }

    /// Takes the state of these slots of `from`, in this order, in place of its own; `from` is to be cleared.
    pub fn take(&mut self, from: &mut Self, slots: &[u32]) {
        Slots::List(slots).of_into(&from.rows, &mut self.rows);
        std::mem::swap(&mut self.absent, &mut from.absent);
        self.absent.iter_mut().for_each(|a| a.keep(slots));
        for (mine, theirs) in self.columns.iter_mut().zip(&mut from.columns) {
            match (&mut *mine, &mut *theirs) {
                (Column::Moment(m), Column::Moment(f)) => m.take(f, slots),
                _ => {
                    std::mem::swap(mine, theirs);
                    mine.keep(slots);
                }
            }
        }
    }

    /// Keeps these slots only, in this order.
    pub fn keep(&mut self, slots: &[u32]) {
        self.rows = Slots::List(slots).of(&self.rows);
        self.absent.iter_mut().for_each(|a| a.keep(slots));
        self.columns.iter_mut().for_each(|c| c.keep(slots));
    }

    /// Adds rows.
    pub fn update(&mut self, plan: &Plan, rows: Placed, arguments: &[Arguments]) -> Result<(), TooLarge> {
        rows.slots.iter().for_each(|s| self.rows[*s as usize] += 1);
        let slots = self.rows.len();
        for (absent, a) in self.absent.iter_mut().zip(arguments) {
            if let Some(taken) = &a.taken {
                let out = rows.slots.iter().enumerate().filter(|(i, _)| !taken.value(rows.at + i));
                out.for_each(|(_, s)| absent.add(*s as usize, 1, slots));
            }
        }
        for (c, k) in self.columns.iter_mut().zip(&plan.kept) {
            let a = &arguments[k.input];
            match c {
                Column::Moment(c) => c.update(rows, a)?,
                Column::Extremes(c) => c.update(rows, a),
                Column::Sets(c) => c.update(rows, a)?,
                Column::Bags(c) => c.update(rows, a),
            }
        }
        Ok(())
    }

    /// Adds partial results: columns as [`States::partials`] makes them.
    pub fn merge(&mut self, rows: Placed, partials: &[ArrayRef]) -> Result<(), OperatorError> {
        let counts = |c: &ArrayRef| c.as_primitive::<Int64Type>().values().clone();
        rows.all(&counts(&partials[0])).for_each(|(s, n)| self.rows[s] += n);
        let slots = self.rows.len();
        let (absent, columns) = partials[1..].split_at(self.absent.len());
        for (mine, theirs) in self.absent.iter_mut().zip(absent) {
            rows.all(&counts(theirs)).for_each(|(s, n)| mine.add(s, n, slots));
        }
        for (mine, theirs) in self.columns.iter_mut().zip(columns) {
            match mine {
                Column::Moment(c) => c.merge(rows, theirs)?,
                Column::Extremes(c) => c.merge(rows, theirs)?,
                Column::Sets(c) => c.merge(rows, theirs)?,
                Column::Bags(c) => c.merge(rows, theirs)?,
            }
        }
        Ok(())
    }

    /// The partial results of these slots: rows, absent rows per input, state.
    pub fn partials(&self, plan: &Plan, slots: Slots) -> Vec<ArrayRef> {
        let mut out: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(slots.of(&self.rows)))];
        for a in &self.absent {
            out.push(Arc::new(slots.iter().map(|s| a.at(s)).collect::<Int64Array>()));
        }
        for (i, c) in self.columns.iter().enumerate() {
            let t = plan.argument(i).0;
            out.push(match c {
                Column::Moment(c) => c.column(slots),
                Column::Extremes(c) => c.cells().column(slots, self.valued(plan.kept[i].input, slots), t),
                Column::Sets(c) => c.column(slots, t),
                Column::Bags(c) => c.column(slots, t),
            });
        }
        out
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        let columns = self.columns.iter().map(|c| match c {
            Column::Moment(c) => c.bytes(),
            Column::Extremes(c) => c.bytes(),
            Column::Sets(c) => c.bytes(),
            Column::Bags(c) => c.bytes(),
        });
        self.rows.capacity() * 8 + self.absent.iter().map(Absent::bytes).sum::<usize>() + columns.sum::<usize>()
    }
}

/// What results are made from: a slice's state, or the running total of a hopping window.
pub trait View {
    /// Rows of each slot.
    fn rows(&self) -> &[i64];
    /// Absent rows of an input.
    fn absent(&self, input: usize) -> &Absent;
    /// A moment.
    fn moment(&self, at: usize) -> &Moment;
    /// Extremes.
    fn cells(&self, at: usize) -> &Cells;
    /// Sets.
    fn sets(&self, at: usize) -> &Sets;
    /// Bags.
    fn bags(&self, at: usize) -> &Bags;

    /// How many values of an input each of these slots has.
    fn counts(&self, input: usize, slots: Slots) -> Vec<i64> {
        let (rows, absent) = (self.rows(), self.absent(input));
        match absent.any() {
            false => slots.of(rows),
            true => slots.iter().map(|s| rows[s] - absent.at(s)).collect(),
        }
    }
    /// Which of these slots have a value of an input, if not all.
    fn valued(&self, input: usize, slots: Slots) -> Option<NullBuffer> {
        if !self.absent(input).any() {
            return None;
        }
        let valid: Vec<bool> = self.counts(input, slots).iter().map(|n| *n > 0).collect();
        Some(NullBuffer::from(valid)).filter(|n| n.null_count() > 0)
    }
}

impl View for States {
    fn rows(&self) -> &[i64] {
        &self.rows
    }
    fn absent(&self, input: usize) -> &Absent {
        &self.absent[input]
    }
    fn moment(&self, at: usize) -> &Moment {
        match &self.columns[at] {
            Column::Moment(m) => m,
            c => unreachable!("{c:?} is no moment"),
        }
    }
    fn cells(&self, at: usize) -> &Cells {
        match &self.columns[at] {
            Column::Extremes(e) => e.cells(),
            c => unreachable!("{c:?} is no extreme"),
        }
    }
    fn sets(&self, at: usize) -> &Sets {
        match &self.columns[at] {
            Column::Sets(s) => s,
            c => unreachable!("{c:?} is no set"),
        }
    }
    fn bags(&self, at: usize) -> &Bags {
        match &self.columns[at] {
            Column::Bags(b) => b,
            c => unreachable!("{c:?} is no bag"),
        }
    }
}
