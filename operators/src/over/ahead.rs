//! Looking ahead: what the rows to come will read is asked for while others are answered.
//!
//! A row reads its columns, the place of its key, its log, and of a long log parts and entries: each names the next. Rows
//! take these steps one behind the other, some rows apart, so that hardly any of them waits for memory.

use super::keys::{Key, KeyColumn};
use super::logs::Logs;
use super::plan::Plan;
use super::waiting::{Item, Waiting};
use highwater_engine::error::OperatorError;

/// Rows from one step to the next: enough for memory to answer, few enough for the first caches to keep what was asked for.
/// 24 rows cost 4 % more on frames of an hour.
const STEP_ROWS: usize = 8;

/// How far each step has come with the rows of a firing.
#[derive(Default)]
pub struct Ahead {
    columns: usize,
    heads: usize,
    /// The places of rows, in their order: of those that took this step.
    places: Vec<u32>,
    parts: usize,
    entries: usize,
}

impl Ahead {
    /// Before the first row.
    pub fn begin(&mut self) {
        let mut places = std::mem::take(&mut self.places);
        places.clear();
        *self = Self { places, ..Self::default() };
    }

    /// The place of row `i`.
    #[inline(always)]
    pub fn place(&self, i: usize) -> usize {
        self.places[i] as usize
    }

    /// The places of these rows.
    pub fn places(&self, rows: std::ops::Range<usize>) -> &[u32] {
        &self.places[rows]
    }

    /// Brings the rows before `to` through all steps, and those behind it step by step.
    pub fn look(
        &mut self,
        rows: &[Item],
        to: usize,
        plan: &Plan,
        logs: &mut Logs,
        waiting: &Waiting,
    ) -> Result<(), OperatorError> {
        let until = |steps: usize| (to + steps * STEP_ROWS).min(rows.len());
        for item in &rows[self.columns.min(until(5))..until(5)] {
            waiting.get(item.batch).prefetch(item.row as usize);
        }
        self.columns = until(5);
        for item in &rows[self.heads.min(until(4))..until(4)] {
            logs.prefetch_place(waiting.get(item.batch).hashes[item.row as usize]);
        }
        self.heads = until(4);
        self.find(&rows[..until(3)], logs, waiting)?;
        let places = |from: usize, until: usize| self.places[from.min(until)..until].iter().map(|p| *p as usize);
        places(self.parts, until(2)).for_each(|p| logs.prefetch_parts(p));
        self.parts = until(2);
        if logs.have_long() {
            for (item, place) in rows[self.entries..until(1)].iter().zip(places(self.entries, until(1))) {
                let held = waiting.get(item.batch);
                logs.prefetch_entries(place, |d| held.lanes[plan.distincts[d].lane].known(item.row as usize));
            }
        }
        self.entries = until(1);
        Ok(())
    }

    /// Finds the places of all these rows.
    fn find(&mut self, rows: &[Item], logs: &mut Logs, waiting: &Waiting) -> Result<(), OperatorError> {
        if logs.reserve(rows.len() - self.places.len().min(rows.len())) {
            self.places.clear();
        }
        for item in &rows[self.places.len().min(rows.len())..] {
            let (held, row) = (waiting.get(item.batch), item.row as usize);
            let key = match &held.keys {
                KeyColumn::Fixed(_, Some(nulls)) if nulls.is_null(row) => Key::Null,
                KeyColumn::Fixed(words, _) => Key::Word(words[row]),
                KeyColumn::Bytes(bytes, ends) => Key::Bytes(&bytes[ends[row] as usize..ends[row + 1] as usize]),
            };
            let place = logs.find_or_add(held.hashes[row], key)?;
            logs.prefetch_log(place);
            self.places.push(place as u32);
        }
        Ok(())
    }
}
