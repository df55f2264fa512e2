//! Which split a worker reads next.
//!
//! A worker prefers the split of its own, in turn, that is furthest behind in event time; it takes a new partition if that
//! is behind all of its own and its share of the partitions is not used up. With nothing in turn it decodes ahead: the next
//! split of a partition that another worker is reading, kept until its turn comes, at most one such split and
//! [`DECODED_AHEAD_ROWS_MAX`] rows. With as many partitions open as the table allows, another one is opened only if it is
//! the one furthest behind, up to [`PARTITIONS_OPEN_MAX`]. A partition further than the table's maximum drift ahead of the slowest is not read.
//!
//! A split that had nothing to give is asked again every [`ASK_AGAIN_STEPS`] steps, or when no other has rows: neither does
//! a quiet partition hold up the others, nor is it forgotten while they have much.

use super::Intake;
use super::partition::{Partition, Phase};
use super::prepare::{Prepared, prepare};
use super::tag::{Tagged, tag};
use crate::error::SourceError;
use crate::flow::pace::Pace;
use crate::limits::{DECODED_AHEAD_ROWS_MAX, PARTITIONS_OPEN_MAX};
use crate::parts::RowProgram;
use crate::source::{Read, Split};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// One worker's way into a table.
pub(in super::super) struct Reader {
    intake: Arc<Intake>,
    program: Box<dyn RowProgram>,
    batch_rows: usize,
    peers: usize,
    active: Vec<Active>,
    /// Calls of [`Reader::step`].
    steps: u64,
}

/// So many steps a split is left alone that had nothing to give.
const ASK_AGAIN_STEPS: u64 = 8;

/// A split that this worker decodes.
struct Active {
    partition: usize,
    number: u64,
    split: Box<dyn Split>,
    ready: VecDeque<Prepared>,
    ended: bool,
    /// The step in which it had nothing to give, if it had nothing last.
    empty_at: Option<u64>,
}

/// What one turn of a reader came to.
pub(in super::super) enum Step {
    /// Rows for the dataflow.
    Rows(Box<Tagged>),
    /// Something was done, but there are no rows to send.
    Worked,
    /// The input has nothing to give for about this long.
    Pending(Duration),
    /// Other workers or partitions must move first.
    Rest,
    /// Nothing is left for this worker.
    Finished,
}

/// A split has nothing to give now.
struct Empty {
    wait: Duration,
    /// Whether it has given all that is there.
    caught_up: bool,
}

/// What to do next, decided under the lock.
enum Plan {
    /// Emit the next chunk of `active[i]`.
    Emit(usize),
    /// Decode a chunk of `active[i]` ahead of its turn.
    Ahead(usize),
    Wait,
    Finished,
}

impl Reader {
    pub(in super::super) fn new(
        intake: Arc<Intake>,
        program: Box<dyn RowProgram>,
        batch_rows: usize,
        peers: usize,
    ) -> Self {
        Self { intake, program, batch_rows, peers, active: Vec::new(), steps: 0 }
    }

    /// Event time that reading has reached, for choosing between tables.
    pub(in super::super) fn position(&self) -> i64 {
        self.intake.position()
    }

    /// Reads at most one chunk. `slowest_ms` is the position of the slowest table of the job; rows wait as `pace` says.
    pub(in super::super) fn step(&mut self, epoch: u64, slowest_ms: i64, pace: &Pace) -> Result<Step, SourceError> {
        self.steps += 1;
        let mut rest: Option<Duration> = None;
        loop {
            match self.plan(slowest_ms, epoch)? {
                Plan::Finished => return Ok(Step::Finished),
                // Everything that is in turn was asked, and has nothing.
                Plan::Emit(i) if self.active[i].empty_at == Some(self.steps) => break,
                Plan::Wait => break,
                Plan::Ahead(i) => match self.decode(i)? {
                    Some(empty) => return Ok(Step::Pending(empty.wait)),
                    None => return Ok(Step::Worked),
                },
                Plan::Emit(i) => match self.emit(i, epoch, pace)? {
                    Step::Pending(wait) => rest = Some(rest.map_or(wait, |rest| rest.min(wait))),
                    step => return Ok(step),
                },
            }
        }
        Ok(rest.map_or(Step::Rest, Step::Pending))
    }

    fn emit(&mut self, i: usize, epoch: u64, pace: &Pace) -> Result<Step, SourceError> {
        let nothing_ready = self.active[i].ready.is_empty() && !self.active[i].ended;
        if nothing_ready && let Some(empty) = self.decode(i)? {
            self.active[i].empty_at = Some(self.steps);
            self.intake.had_nothing(self.active[i].partition, empty.caught_up);
            return Ok(Step::Pending(empty.wait));
        }
        let active = &mut self.active[i];
        let rows = active.ready.front().filter(|p| !p.times.is_empty());
        if let Some(wait) = rows.and_then(|p| pace.wait(p.bounds.min)) {
            active.empty_at = Some(self.steps);
            return Ok(Step::Pending(wait));
        }
        active.empty_at = None;
        let (index, prepared) = (active.partition, active.ready.pop_front());
        let ends = active.ended && active.ready.is_empty();
        let mut partitions = self.intake.lock();
        let barrier = self.intake.barrier.load(Relaxed);
        let cut = prepared.as_ref().and_then(|p| partitions[index].cut_inside(p));
        let (prepared, ends) = match (prepared, cut) {
            (Some(prepared), Some(cut)) => {
                let (front, back) = prepared.split(cut);
                active.ready.push_front(back);
                (Some(front), false)
            }
            (prepared, _) => (prepared, ends),
        };
        let tagged = prepared.map(|p| {
            partitions[index].enter(epoch, barrier);
            self.intake.has_rows(index, &mut partitions[index], p.first_offset());
            tag(&self.intake, index, &mut partitions[index], p, epoch)
        });
        let tagged = tagged.transpose()?;
        if ends {
            partitions[index].turn += 1;
            drop(partitions);
            self.active.swap_remove(i);
        }
        Ok(tagged.map_or(Step::Worked, |t| Step::Rows(Box::new(t))))
    }

    /// Decodes one chunk of a split. `Some`: there was nothing.
    fn decode(&mut self, i: usize) -> Result<Option<Empty>, SourceError> {
        let active = &mut self.active[i];
        match active.split.read(self.batch_rows)? {
            Read::Rows(chunk) => active.ready.push_back(prepare(&self.intake, chunk, self.program.as_mut())?),
            Read::Pending(wait) => return Ok(Some(Empty { wait, caught_up: true })),
            Read::Awaited(wait) => return Ok(Some(Empty { wait, caught_up: false })),
            Read::End => active.ended = true,
        }
        Ok(None)
    }

    fn plan(&mut self, slowest_ms: i64, epoch: u64) -> Result<Plan, SourceError> {
        let intake = self.intake.clone();
        let mut partitions = intake.lock();
        let unfinished = partitions.iter().filter(|p| !p.done()).count();
        let slowest =
            partitions.iter().filter(|p| !p.waits()).map(Partition::position).min().unwrap_or(i64::MAX).min(slowest_ms);
        let limit = slowest.saturating_add(intake.spec.max_drift_ms);
        let share = unfinished.div_ceil(self.peers).max(1);

        // A worker that is an epoch behind waits until it has caught up: epochs cut a partition into prefixes.
        let in_turn = |a: &Active, ps: &[Partition]| {
            let p = &ps[a.partition];
            p.turn == a.number && p.epoch <= epoch && !p.at_goal()
        };
        let left_alone = |a: &Active| a.empty_at.filter(|at| self.steps - at < ASK_AGAIN_STEPS);
        let mine = (0..self.active.len())
            .filter(|&i| in_turn(&self.active[i], &partitions))
            .min_by_key(|&i| (left_alone(&self.active[i]), partitions[self.active[i].partition].position()));
        // A split without rows does not keep this worker from another partition.
        let busy = mine.filter(|&i| left_alone(&self.active[i]).is_none());
        let emitting = (0..self.active.len()).filter(|&i| in_turn(&self.active[i], &partitions)).count();
        let free = (0..partitions.len())
            .filter(|&p| partitions[p].phase != Phase::Drained && partitions[p].turn == partitions[p].handed)
            .filter(|&p| partitions[p].epoch <= epoch && !partitions[p].at_goal())
            .min_by_key(|&p| partitions[p].position());
        let full = open(&partitions) >= intake.spec.open_max as usize;
        let behind = partitions.iter().filter(|p| !p.waits()).map(Partition::position).min();
        let too_soon = |p: &Partition| full && p.phase == Phase::Closed && behind.is_some_and(|ms| p.position() > ms);
        let free = free.filter(|&p| !too_soon(&partitions[p]));
        let my_position = mine.map_or(i64::MAX, |i| partitions[self.active[i].partition].position());
        let take = free.filter(|&p| emitting < share && (busy.is_none() || partitions[p].position() <= my_position));
        if let Some(p) = take.filter(|&p| partitions[p].position() <= limit) {
            return Ok(if self.claim(p, &mut partitions)? { Plan::Emit(self.active.len() - 1) } else { Plan::Wait });
        }
        if let Some(i) = mine.filter(|_| my_position <= limit) {
            return Ok(Plan::Emit(i));
        }
        self.plan_ahead(&mut partitions, unfinished)
    }

    /// Nothing is in turn: decode ahead, rest or leave.
    fn plan_ahead(&mut self, partitions: &mut [Partition], unfinished: usize) -> Result<Plan, SourceError> {
        let ahead = (0..self.active.len()).find(|&i| self.active[i].number > partitions[self.active[i].partition].turn);
        if let Some(i) = ahead {
            let rows: usize = self.active[i].ready.iter().map(|p| p.times.len()).sum();
            let full = self.active[i].ended || rows >= DECODED_AHEAD_ROWS_MAX;
            return Ok(if full { Plan::Wait } else { Plan::Ahead(i) });
        }
        if self.active.is_empty() && self.intake.source.bounded() {
            let busy = (0..partitions.len())
                .filter(|&p| partitions[p].phase == Phase::Open && partitions[p].turn < partitions[p].handed)
                .min_by_key(|&p| partitions[p].position());
            if let Some(p) = busy {
                return Ok(if self.claim(p, partitions)? { Plan::Ahead(0) } else { Plan::Wait });
            }
        }
        let repeating = partitions.iter().any(|p| p.goal.is_some());
        Ok(if unfinished == 0 && !repeating { Plan::Finished } else { Plan::Wait })
    }

    /// Takes the partition's next split. `false`: it has none.
    fn claim(&mut self, index: usize, partitions: &mut [Partition]) -> Result<bool, SourceError> {
        let (already, partition) = (open(partitions), &mut partitions[index]);
        let number = partition.handed;
        if let Some(peeked) = partition.peeked.take() {
            partition.handed += 1;
            self.active.push(Active {
                partition: index,
                number,
                split: peeked.split,
                ready: peeked.ready,
                ended: false,
                empty_at: None,
            });
            return Ok(true);
        }
        if partition.phase == Phase::Closed {
            if already >= PARTITIONS_OPEN_MAX as usize {
                return Err(SourceError::new(format!(
                    "{}: more than {PARTITIONS_OPEN_MAX} partitions overlap in event time, this one too; merge files, or cut \
                     them by time",
                    self.intake.source.partitions()[index].name
                )));
            }
            partition.reader = Some(self.intake.source.open(index, partition.next.as_ref())?);
            partition.phase = Phase::Open;
        }
        let split = match partition.reader.as_mut() {
            Some(reader) => reader.next_split()?,
            None => None,
        };
        let Some(split) = split else {
            partition.phase = Phase::Drained;
            partition.reader = None;
            return Ok(false);
        };
        partition.handed += 1;
        self.active.push(Active {
            partition: index,
            number,
            split,
            ready: VecDeque::new(),
            ended: false,
            empty_at: None,
        });
        Ok(true)
    }
}

/// Partitions that hold what the system has few of: files, connections.
fn open(partitions: &[Partition]) -> usize {
    partitions.iter().filter(|p| p.reader.is_some() && !p.done()).count()
}
