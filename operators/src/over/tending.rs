//! Looking after keys without rows, in rounds: one in the time of the longest frame, a few keys with every watermark.

use super::keys::State;
use super::logs::{Logs, evict_small};
use super::long::LongLog;
use super::small;
use crate::prefetch::prefetch;

/// A round over all places of the table.
#[derive(Clone, Copy)]
pub struct Round {
    /// What it looks at next; `None` between two rounds.
    next: Option<usize>,
    /// The watermark and the bound when it began.
    since: i64,
    bound: i64,
}

/// Places that a round looks ahead.
const TENDED_AHEAD: usize = 32;

impl Round {
    /// Before the first one.
    pub const NONE: Round = Round { next: None, since: i64::MIN, bound: i64::MIN };

    /// All places have changed.
    pub fn begin_again(&mut self) {
        self.next = self.next.map(|_| 0);
    }
}

impl Logs {
    /// Looks after the keys whose turn it is at this watermark, at most `most`: forgets what lies before `bound`, keys of
    /// which nothing is left, and memory that logs have outgrown.
    pub fn tend(&mut self, bound: i64, watermark: i64, most: usize) {
        self.cold.forget(bound);
        let span = self.plan.reach_ms.max(1);
        let since = watermark.saturating_sub(self.round.since);
        let (mut at, since) = match self.round.next {
            Some(at) => (at, since),
            None if since < span || bound == self.round.bound => return,
            None => {
                (self.round.since, self.round.bound) = (watermark, bound);
                self.table.shrink();
                self.arena.leave_pages();
                (0, 0)
            }
        };
        let places = self.table.places();
        // done in half of the time, as the round may begin again when the table grows
        let due = (places as i128 * i128::from(since) * 2 / i128::from(span)).min(places as i128) as usize;
        let end = due.min(at.saturating_add(most));
        while at < end {
            self.prefetch_first(at + TENDED_AHEAD);
            if !self.look_after(at, bound) {
                at += 1;
            }
        }
        self.round.next = (at < places).then_some(at);
    }

    /// Asks for what [`Logs::look_after`] reads first.
    #[inline(always)]
    fn prefetch_first(&self, place: usize) {
        if place >= self.table.places() {
            return;
        }
        let head = self.table.head(place);
        match head.state() {
            State::Free => {}
            State::Small => prefetch(self.arena.chunk(head.at, head.class), head.start as usize),
            State::Long => self.long(place).into_iter().for_each(LongLog::prefetch_self),
        }
    }

    /// Looks after one place; says whether its key was removed.
    fn look_after(&mut self, place: usize, bound: i64) -> bool {
        let entries = match self.table.head(place).state() {
            State::Free => return false,
            State::Small => {
                let (head, words) = (self.table.head_mut(place), self.plan.words);
                evict_small(&self.arena, head, bound, words, &mut self.names, &self.text);
                if head.len > 0 {
                    small::tidy(&mut self.arena, head);
                }
                head.len as usize
            }
            State::Long => self.evict_long(place, bound),
        };
        if entries > 0 {
            return false;
        }
        let head = self.table.head(place);
        match head.state() {
            State::Long => {
                self.longs[head.at as usize] = None;
                self.longs_free.push(head.at);
            }
            _ => self.arena.free(head.at, head.class),
        }
        self.table.remove(place);
        true
    }
}
