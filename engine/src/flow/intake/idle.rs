//! Idle partitions: a table's watermark does not wait for them.
//!
//! With `scan.watermark.idle-timeout` a partition of an unbounded table is **idle** when it has given all it has, and for so
//! long nothing more. The table promises the minimum of the others; if all are idle, what was promised stays. When it has rows
//! again it is **active**: its watermark is from there on not below its **floor**, the most that was promised without it to
//! anybody, so that no row meets a window that has fired: what is older is late. A floor of when it fell idle would be too
//! low.
//!
//! Both are decided by processing time, so they are recorded: a checkpoint keeps who is idle and every activation with its
//! offset and floor. A job that goes on from there goes on with them; one that repeats a checkpoint repeats them at the same
//! rows. What was decided behind the last checkpoint had no effect that anybody saw, and is decided anew.
//!
//! Time counts only while the partition is asked and has nothing: one that is not asked, because results wait, is not idle.

use super::Intake;
use super::partition::{Partition, PartitionCut};
use crate::checkpoint::Activation;
use crate::source::Position;
use crate::time::Watermark;
use std::collections::VecDeque;
use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What counts at most between two questions: who is not asked for long may have rows.
const BETWEEN_QUESTIONS: Duration = Duration::from_millis(100);

/// Whether a partition is quiet, and since when.
#[derive(Debug, Default)]
pub(super) struct Quiet {
    idle: bool,
    /// When it was last asked and had nothing, and for how long it has been quiet then.
    asked: Option<(Instant, Duration)>,
    /// Since the last checkpoint.
    activations: Vec<Activation>,
    /// Those of the checkpoint that is repeated, which are still to come.
    recorded: VecDeque<Activation>,
}

impl Quiet {
    pub(super) fn new(idle: bool) -> Self {
        Self { idle, ..Self::default() }
    }
    pub(super) fn is_idle(&self) -> bool {
        self.idle
    }
    pub(super) fn activations(&self) -> &[Activation] {
        &self.activations
    }
    /// The first so many activations are in a checkpoint.
    pub(super) fn forget(&mut self, recorded: usize) {
        self.activations.drain(..recorded.min(self.activations.len()));
    }
    /// It had nothing, at `now`. Whether it has become idle.
    fn nothing(&mut self, now: Instant, idle_after: Duration) -> bool {
        let before = self.asked.map_or(Duration::ZERO, |(at, quiet)| {
            quiet + now.saturating_duration_since(at).min(BETWEEN_QUESTIONS.min(idle_after))
        });
        self.asked = Some((now, before));
        let falls = !self.idle && before >= idle_after;
        self.idle |= falls;
        falls
    }
    /// It had nothing, but that may not be all: this time does not count.
    fn waits(&mut self, now: Instant) {
        self.asked = self.asked.map(|(_, quiet)| (now, quiet));
    }
    /// Rows from `offset` on are emitted: the floor, if it is above the partition's `own` watermark. While a checkpoint is
    /// repeated what it recorded counts, and nothing else.
    pub(super) fn end(&mut self, offset: i64, promised: Watermark, own: Watermark, repeating: bool) -> Option<i64> {
        self.asked = None;
        if repeating {
            let at = self.recorded.pop_front_if(|a| a.offset <= offset)?;
            return Some(at.floor_ms);
        }
        let was_idle = std::mem::take(&mut self.idle);
        (was_idle && promised > own).then(|| {
            self.activations.push(Activation { offset, floor_ms: promised.ms() });
            promised.ms()
        })
    }
    /// Where a chunk has to be cut because a recorded activation begins inside.
    pub(super) fn recorded_inside(&self, first: i64, end: &Position) -> Option<Position> {
        let next = self.recorded.front()?.offset;
        (first < next && next < end.offset).then_some(Position { offset: next, at: end.at })
    }
    /// Behind the cut of `before`, the next checkpoint to repeat is cut at `next`.
    pub(super) fn aim(&mut self, before: Option<&PartitionCut>, next: Option<&PartitionCut>) {
        // On the way it counts, so that nothing is promised that its rows are below.
        self.idle = next.is_none() && before.map_or(self.idle, |before| before.idle);
        self.recorded = next.map(|cut| cut.activations.iter().copied().collect()).unwrap_or_default();
    }
}

impl Intake {
    /// The timeout, where partitions may be idle: a bounded table's rows must not depend on when they came.
    fn idle_after(&self) -> Option<Duration> {
        let ms = self.spec.idle_ms.filter(|_| !self.source.bounded())?;
        Some(Duration::from_millis(ms.unsigned_abs()))
    }

    /// A partition had nothing to give; all there is, if `caught_up`.
    pub(super) fn had_nothing(&self, index: usize, caught_up: bool) {
        let mut partitions = self.lock();
        let partition = &mut partitions[index];
        partition.pending = caught_up;
        let Some(idle_after) = self.idle_after().filter(|_| partition.goal.is_none()) else { return };
        match caught_up {
            false => partition.quiet.waits(Instant::now()),
            true if partition.quiet.nothing(Instant::now(), idle_after) => {
                let name = &self.source.partitions()[index].name;
                tracing::info!(table = self.spec.table, "{name} is idle: the watermark does not wait for it");
            }
            true => (),
        }
    }

    /// A partition has rows from `offset` on: if it was idle, it is active.
    pub(super) fn has_rows(&self, index: usize, partition: &mut Partition, offset: i64) {
        let was_idle = partition.quiet.is_idle();
        let [promised, _] = *self.given();
        partition.give(offset, promised);
        if was_idle && !partition.quiet.is_idle() {
            let name = &self.source.partitions()[index].name;
            tracing::info!(
                table = self.spec.table,
                "{name} is active again from offset {offset}, watermark {promised}"
            );
        }
    }

    /// The minimum over all partitions that are not idle, for rows and for bad rows; `given` if only idle ones are left.
    pub(super) fn watermarks(&self, partitions: &[Partition], given: [Watermark; 2]) -> [Watermark; 2] {
        let awake = || partitions.iter().filter(|p| !p.quiet.is_idle());
        let all_finished = || awake().all(Partition::done);
        if partitions.iter().any(|p| p.quiet.is_idle()) && all_finished() {
            return given;
        }
        let rows = awake().map(Partition::watermark).min();
        let bad = awake().map(|p| p.watermark_of_bad(self.spec.time_min_ms)).min();
        [rows, bad].map(|watermark| watermark.unwrap_or(Watermark::END))
    }

    /// The most that was promised to anybody. Taken behind the partitions' lock.
    pub(super) fn given(&self) -> MutexGuard<'_, [Watermark; 2]> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_millis(500);

    /// Asked at these milliseconds, with nothing to give; when it became idle.
    fn idle_at(asked_ms: &[u64]) -> Option<u64> {
        let (begin, mut quiet) = (Instant::now(), Quiet::default());
        asked_ms.iter().copied().find(|ms| quiet.nothing(begin + Duration::from_millis(*ms), IDLE))
    }

    #[test]
    fn a_partition_is_idle_when_it_was_asked_for_so_long_and_had_nothing() {
        assert_eq!(idle_at(&(0..100).map(|i| i * 10).collect::<Vec<_>>()), Some(500));
        assert_eq!(idle_at(&[0, 90, 180, 270, 360, 450, 499]), None);
        // Not asked for a minute: nobody knows whether it had rows.
        assert_eq!(idle_at(&[0, 60_000, 60_050]), None);
    }

    #[test]
    fn time_in_which_rows_may_be_on_their_way_does_not_count() {
        let (begin, mut quiet) = (Instant::now(), Quiet::default());
        let at = |ms| begin + Duration::from_millis(ms);
        assert!(!quiet.nothing(at(0), IDLE) && !quiet.nothing(at(100), IDLE));
        quiet.waits(at(10_000));
        assert!((0..4).all(|i| !quiet.nothing(at(10_000 + i * 100), IDLE)));
        assert!(quiet.nothing(at(10_400), IDLE));
        // Rows begin it anew.
        assert_eq!(quiet.end(7, Watermark::new(50), Watermark::new(20), false), Some(50));
        assert!(!quiet.is_idle() && !quiet.nothing(at(10_500), IDLE) && !quiet.nothing(at(10_900), IDLE));
    }

    #[test]
    fn a_floor_is_recorded_only_where_it_judges_otherwise() {
        let activation = |promised, own| {
            let mut quiet = Quiet::new(true);
            (quiet.end(3, Watermark::new(promised), Watermark::new(own), false), quiet.activations().to_vec())
        };
        assert_eq!(activation(50, 20), (Some(50), vec![Activation { offset: 3, floor_ms: 50 }]));
        assert_eq!(activation(50, 50), (None, vec![]));
        let mut awake = Quiet::new(false);
        assert_eq!(awake.end(3, Watermark::new(50), Watermark::new(20), false), None);
    }

    #[test]
    fn what_a_checkpoint_recorded_is_repeated_at_the_same_row_and_nothing_else() {
        let cut = |idle, offsets: &[i64]| PartitionCut {
            position: None,
            max_ms: 0,
            bad_ago: vec![],
            done: false,
            idle,
            activations: offsets.iter().map(|&offset| Activation { offset, floor_ms: 10 * offset }).collect(),
        };
        let (low, high) = (Watermark::START, Watermark::new(1_000));
        let mut quiet = Quiet::new(true);
        quiet.aim(None, Some(&cut(true, &[5, 8])));
        assert!(!quiet.is_idle(), "its rows below what was promised would meet closed windows");
        let end = |offset| Position { offset, at: 9 };
        assert_eq!(quiet.recorded_inside(2, &end(5)), None);
        assert_eq!(quiet.recorded_inside(2, &end(7)), Some(end(5)));
        assert_eq!(quiet.end(2, high, low, true), None);
        assert_eq!(quiet.end(5, high, low, true), Some(50));
        assert_eq!(quiet.recorded_inside(5, &end(20)), Some(end(8)));
        assert_eq!(quiet.end(9, high, low, true), Some(80));
        // Behind the last one it is as the checkpoint says.
        quiet.aim(Some(&cut(true, &[])), None);
        assert!(quiet.is_idle() && quiet.activations().is_empty());
    }
}
