//! One partition: what it promises and whose turn it is.

use super::idle::Quiet;
use super::prepare::Prepared;
use super::share::BadRows;
use crate::checkpoint::Activation;
use crate::error::SourceError;
use crate::flow::turns::{Mutant, mutated};
use crate::source::{PartitionReader, Position, Split};
use crate::time::Watermark;
use std::collections::VecDeque;

/// State of one partition, under the intake's lock.
pub(super) struct Partition {
    delay_ms: i64,
    pub(super) phase: Phase,
    pub(super) reader: Option<Box<dyn PartitionReader>>,
    /// The first split, opened to find the first row and not yet taken by a worker.
    pub(super) peeked: Option<Peeked>,
    /// Event time of the first valid row, if the peek found one.
    pub(super) first_ms: Option<i64>,
    /// Largest event time of the rows emitted; `i64::MIN` before the first.
    pub(super) max_ms: i64,
    /// The bad ones among the last rows emitted.
    pub(super) bad_rows: BadRows,
    /// Splits handed out.
    pub(super) handed: u64,
    /// The split whose rows may be emitted now.
    pub(super) turn: u64,
    /// Whether the last read had nothing to give: such a partition holds the watermark, never alignment.
    pub(super) pending: bool,
    /// Where reading goes on behind the rows emitted; `None` at the beginning.
    pub(super) next: Option<Position>,
    /// The newest epoch in which rows were emitted: epochs cut a partition into prefixes, so an older one emits no more.
    pub(super) epoch: u64,
    /// How it stood at the barrier, once a row behind the barrier has been emitted.
    before_barrier: Option<PartitionCut>,
    /// How it stood at the last barrier of this attempt; its activations are behind that.
    last_cut: Option<PartitionCut>,
    /// Where reading stops: the cut of a checkpoint that is repeated.
    pub(super) goal: Option<PartitionCut>,
    /// Whether and since when it has nothing to give.
    pub(super) quiet: Quiet,
}

/// What a checkpoint keeps of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::flow) struct PartitionCut {
    /// Where reading goes on; `None` at the beginning.
    pub(in crate::flow) position: Option<Position>,
    /// Largest event time of the rows before; `i64::MIN` if there is none.
    pub(in crate::flow) max_ms: i64,
    /// How many rows before the cut the bad ones were; see [`BadRows::ago`].
    pub(in crate::flow) bad_ago: Vec<u32>,
    /// Whether nothing is left to read.
    pub(in crate::flow) done: bool,
    /// Whether the table's watermark does not wait for it.
    pub(in crate::flow) idle: bool,
    /// Where it came back since the cut before.
    pub(in crate::flow) activations: Vec<Activation>,
}

/// Where a partition stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Peeked and closed again.
    Closed,
    /// Has splits to hand out.
    Open,
    /// All splits are handed out.
    Drained,
}

/// A split opened by the peek, with what was read of it.
pub(super) struct Peeked {
    pub(super) split: Box<dyn Split>,
    pub(super) ready: VecDeque<Prepared>,
}

impl Partition {
    /// A partition that goes on where `from` was cut, or begins, at `start` if that is set.
    pub(super) fn new(delay_ms: i64, start: Option<&Position>, from: Option<&PartitionCut>) -> Self {
        Self {
            delay_ms,
            phase: if from.is_some_and(|f| f.done) { Phase::Drained } else { Phase::Closed },
            reader: None,
            peeked: None,
            first_ms: None,
            max_ms: from.map_or(i64::MIN, |f| f.max_ms),
            bad_rows: from.map_or_else(BadRows::default, |f| BadRows::from_ago(&f.bad_ago)),
            handed: 0,
            turn: 0,
            pending: false,
            next: from.map_or(start, |f| f.position.as_ref()).cloned(),
            epoch: 0,
            before_barrier: None,
            last_cut: None,
            goal: None,
            quiet: Quiet::new(from.is_some_and(|f| f.idle)),
        }
    }
    /// Whether all rows up to its goal are emitted.
    pub(super) fn at_goal(&self) -> bool {
        let offset = |position: &Option<Position>| position.as_ref().map(|p| p.offset);
        self.goal.as_ref().is_some_and(|goal| match goal.done {
            true => self.done(),
            false => offset(&self.next) >= offset(&goal.position),
        })
    }
    /// Where to cut a chunk, beyond the goal or the next recorded activation.
    pub(super) fn cut_inside(&self, p: &Prepared) -> Option<Position> {
        let goal = self.goal.as_ref().filter(|goal| !goal.done).and_then(|goal| goal.position.as_ref());
        let goal = goal.filter(|goal| p.end.offset > goal.offset).cloned();
        let active = self.quiet.recorded_inside(p.first_offset(), &p.end);
        goal.into_iter().chain(active).min_by_key(|position| position.offset)
    }
    /// Rows are about to be emitted in `epoch`: if it is the first beyond the barrier, the state before is kept.
    pub(super) fn enter(&mut self, epoch: u64, barrier: u64) {
        if epoch > barrier && self.before_barrier.is_none() {
            self.before_barrier = Some(self.as_it_stands());
        }
        self.epoch = epoch;
    }
    /// How it stood at the barrier.
    pub(super) fn take_cut(&mut self) -> PartitionCut {
        let cut =
            self.before_barrier.take().filter(|_| !mutated(Mutant::CutLate)).unwrap_or_else(|| self.as_it_stands());
        self.quiet.forget(cut.activations.len());
        self.last_cut = Some(PartitionCut { activations: Vec::new(), ..cut.clone() });
        cut
    }
    /// Whether nothing has happened since the last cut.
    pub(super) fn stands_as_cut(&self) -> bool {
        self.last_cut.as_ref() == Some(&self.as_it_stands())
    }
    fn as_it_stands(&self) -> PartitionCut {
        PartitionCut {
            position: self.next.clone(),
            max_ms: self.max_ms,
            bad_ago: self.bad_rows.ago(),
            done: self.done(),
            idle: self.quiet.is_idle(),
            activations: self.quiet.activations().to_vec(),
        }
    }
    /// Rows from `offset` on are about to be emitted. If it was idle, `promised` was promised without it: its own watermark is
    /// no lower from here on, as if a row of that time had been there.
    pub(super) fn give(&mut self, offset: i64, promised: Watermark) {
        let own =
            if self.max_ms == i64::MIN { Watermark::START } else { Watermark::new(after(self.max_ms, self.delay_ms)) };
        let floor = self.quiet.end(offset, promised, own, self.goal.is_some());
        if let Some(floor_ms) = floor {
            self.max_ms = self.max_ms.max(floor_ms.saturating_add(self.delay_ms).saturating_sub(1));
        }
    }
    /// Opens the first split for the peek. `false`: the partition is empty.
    pub(super) fn claim_peek(&mut self) -> Result<bool, SourceError> {
        let Some(reader) = self.reader.as_mut() else { return Ok(false) };
        match reader.next_split()? {
            Some(split) => self.peeked = Some(Peeked { split, ready: VecDeque::new() }),
            None => self.phase = Phase::Drained,
        }
        Ok(self.peeked.is_some())
    }
    /// Gives the file handles back after a peek; an empty partition stays drained.
    pub(super) fn close_again(&mut self) {
        self.reader = None;
        self.peeked = None;
        if self.phase == Phase::Open {
            self.phase = Phase::Closed;
        }
    }
    /// Whether all rows are emitted.
    pub(super) fn done(&self) -> bool {
        self.phase == Phase::Drained && self.turn == self.handed
    }
    /// Whether it has nothing to give now, or ever: it does not count for alignment.
    pub(super) fn waits(&self) -> bool {
        self.pending || self.done() || self.at_goal()
    }
    /// Event time that reading has reached.
    pub(super) fn position(&self) -> i64 {
        if self.max_ms == i64::MIN { self.first_ms.unwrap_or(i64::MIN) } else { self.max_ms }
    }
    /// W_p. Before the first row is emitted: min(its time, W after it), which no on-time row can be below.
    pub(super) fn watermark(&self) -> Watermark {
        match (self.done(), self.max_ms, self.first_ms) {
            (true, ..) => Watermark::END,
            (false, i64::MIN, None) => Watermark::START,
            (false, i64::MIN, Some(first)) => Watermark::new(first.min(after(first, self.delay_ms))),
            (false, max, _) => Watermark::new(after(max, self.delay_ms)),
        }
    }
    /// What it promises of its rows in `t$errors`. The time of a bad row is W_p(row), so behind the first valid row it is
    /// the same promise; a bad row before that has time `time_min_ms`, which lies below what the first row promises of rows.
    pub(super) fn watermark_of_bad(&self, time_min_ms: i64) -> Watermark {
        match (self.done(), self.max_ms) {
            // Not above W after the first row, which is not below `time_min_ms`.
            (false, i64::MIN) => Watermark::new(time_min_ms.min(after(time_min_ms, self.delay_ms))),
            _ => self.watermark(),
        }
    }
    /// The cut that is not complete yet: rows of lower cuts are all emitted.
    pub(super) fn cut(&self, quantum_ms: i64) -> i64 {
        match (self.done(), self.position()) {
            (true, _) => i64::MAX,
            (false, i64::MIN) => i64::MIN,
            (false, at) => at.div_euclid(quantum_ms),
        }
    }
}

/// The watermark behind a maximum: exclusive, so one millisecond above Flink's. Never the end: only the end is.
pub(super) fn after(max_ms: i64, delay_ms: i64) -> i64 {
    max_ms.saturating_sub(delay_ms).saturating_add(1).min(i64::MAX - 1)
}
