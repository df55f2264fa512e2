//! The open sessions of every key: intervals of event time that grow and merge.
//!
//! A session is `[start, last]`, its first and last event time. Two of one key merge if they lie no further apart than the
//! gap, so those of a key are disjoint and ascend. State is not moved when sessions merge: a session is a chain of
//! *fragments*, each a slot of state, which are added up when it is complete.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// No session, no fragment.
const NONE: u32 = u32::MAX;

/// An open session.
#[derive(Clone, Debug)]
pub struct Session {
    /// First event time.
    pub start: i64,
    /// Last event time.
    pub last: i64,
    /// Slot of its key.
    pub key: u32,
    /// First and last fragment of its chain.
    head: u32,
    tail: u32,
    /// The next later session of its key, or the next free place.
    next: u32,
    /// What the queue of ends knows as its last event time; `None` if the place is free.
    noted: Option<i64>,
}

/// The sessions of all keys.
#[derive(Debug)]
pub struct Sessions {
    gap: i64,
    sessions: Vec<Session>,
    free: u32,
    open: usize,
    /// The earliest session of each key's slot.
    first: Vec<u32>,
    /// The next fragment of each fragment.
    chain: Vec<u32>,
    /// `(last, session)`: a session may have grown, merged or gone since it was noted.
    ends: BinaryHeap<Reverse<(i64, u32)>>,
}

impl Sessions {
    /// No sessions.
    pub fn new(gap: i64) -> Self {
        Self { gap, sessions: vec![], free: NONE, open: 0, first: vec![], chain: vec![], ends: BinaryHeap::new() }
    }

    /// How many are open.
    pub fn open(&self) -> usize {
        self.open
    }
    /// How many fragments there are, with those of closed sessions.
    pub fn fragments(&self) -> usize {
        self.chain.len()
    }

    /// Adds `[start, last]` to the sessions of a key; returns a fragment of the session that holds it now.
    pub fn add(&mut self, key: u32, start: i64, last: i64) -> u32 {
        if self.first.len() <= key as usize {
            self.first.resize(key as usize + 1, NONE);
        }
        let (mut before, mut at) = (NONE, self.first[key as usize]);
        while at != NONE && self.ends_before(at, start) {
            (before, at) = (at, self.sessions[at as usize].next);
        }
        if at == NONE || self.sessions[at as usize].start > last.saturating_add(self.gap) {
            return self.open_between(before, at, Session::new(key, start, last));
        }
        let session = &mut self.sessions[at as usize];
        session.start = session.start.min(start);
        session.last = session.last.max(last);
        let head = session.head;
        self.merge_following(at);
        head
    }

    /// Whether a session ends too early to touch one that starts at `start`.
    fn ends_before(&self, at: u32, start: i64) -> bool {
        self.sessions[at as usize].last.saturating_add(self.gap) < start
    }

    fn open_between(&mut self, before: u32, next: u32, session: Session) -> u32 {
        let fragment = u32::try_from(self.chain.len()).ok().filter(|f| *f < NONE).expect("fewer than 2^32 fragments");
        self.chain.push(NONE);
        let (key, last) = (session.key, session.last);
        let session = Session { head: fragment, tail: fragment, next, ..session };
        let at = match self.free {
            NONE => {
                self.sessions.push(session);
                (self.sessions.len() - 1) as u32
            }
            at => {
                self.free = std::mem::replace(&mut self.sessions[at as usize], session).next;
                at
            }
        };
        match before {
            NONE => self.first[key as usize] = at,
            b => self.sessions[b as usize].next = at,
        }
        self.ends.push(Reverse((last, at)));
        self.open += 1;
        fragment
    }

    /// A session has grown: takes in those behind it that it touches now.
    fn merge_following(&mut self, at: u32) {
        loop {
            let Session { last, next, tail, .. } = self.sessions[at as usize];
            if next == NONE || self.sessions[next as usize].start > last.saturating_add(self.gap) {
                return;
            }
            let taken = self.release(next);
            self.chain[tail as usize] = taken.head;
            let session = &mut self.sessions[at as usize];
            (session.last, session.tail, session.next) = (last.max(taken.last), taken.tail, taken.next);
        }
    }

    /// Gives a session's place back; its neighbours still name it.
    fn release(&mut self, at: u32) -> Session {
        let session = self.sessions[at as usize].clone();
        (self.sessions[at as usize].noted, self.sessions[at as usize].next) = (None, self.free);
        self.free = at;
        self.open -= 1;
        session
    }

    /// Takes out the sessions that no row at or after `watermark` can touch: in the order of their ends.
    pub fn take(&mut self, watermark: i64) -> Vec<Session> {
        let mut done = vec![];
        while let Some(Reverse((noted, at))) = self.ends.peek().copied() {
            if noted.saturating_add(self.gap) >= watermark {
                break;
            }
            self.ends.pop();
            let session = &mut self.sessions[at as usize];
            if session.noted != Some(noted) {
                continue;
            }
            if session.last > noted {
                session.noted = Some(session.last);
                self.ends.push(Reverse((session.last, at)));
                continue;
            }
            let session = self.release(at);
            assert_eq!(self.first[session.key as usize], at, "of a key's sessions the earliest ends first");
            self.first[session.key as usize] = session.next;
            done.push(session);
        }
        done
    }

    /// Whether a key has an open session.
    pub fn has(&self, key: u32) -> bool {
        self.first.get(key as usize).is_some_and(|at| *at != NONE)
    }

    /// The fragments of a session: first its head.
    pub fn fragments_of(&self, session: &Session) -> impl Iterator<Item = u32> {
        let next = |f: &u32| Some(self.chain[*f as usize]).filter(|f| *f != NONE);
        std::iter::successors(Some(session.head), next)
    }

    /// The open sessions.
    pub fn iter(&self) -> impl Iterator<Item = &Session> {
        self.sessions.iter().filter(|s| s.noted.is_some())
    }

    /// Numbers the fragments of open sessions anew, from 0 on, and forgets the others; returns the old numbers.
    pub fn renumber(&mut self) -> Vec<u32> {
        let mut kept = Vec::with_capacity(self.open);
        let mut chain = Vec::with_capacity(self.open);
        for session in self.sessions.iter_mut().filter(|s| s.noted.is_some()) {
            let mut old = session.head;
            session.head = kept.len() as u32;
            loop {
                kept.push(old);
                old = self.chain[old as usize];
                if old == NONE {
                    break;
                }
                chain.push(kept.len() as u32);
            }
            session.tail = chain.len() as u32;
            chain.push(NONE);
        }
        self.chain = chain;
        kept
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.sessions.capacity() * size_of::<Session>()
            + (self.first.capacity() + self.chain.capacity()) * 4
            + self.ends.capacity() * 16
    }
}

impl Session {
    fn new(key: u32, start: i64, last: i64) -> Self {
        Self { start, last, key, head: NONE, tail: NONE, next: NONE, noted: Some(last) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The sessions of sorted event times, by a walk over them.
    fn naive(times: &[i64], gap: i64) -> Vec<(i64, i64)> {
        let mut all: Vec<(i64, i64)> = vec![];
        for t in times {
            match all.last_mut().filter(|(_, last)| t - *last <= gap) {
                Some(session) => session.1 = *t,
                None => all.push((*t, *t)),
            }
        }
        all
    }

    proptest! {
        /// Rows of three keys in any order; what can be complete is taken now and then.
        #[test]
        fn sessions_are_those_of_the_sorted_times(
            rows in prop::collection::vec((0u32..3, 0i64..200), 0..60),
            gap in 0i64..20,
            order in any::<u64>(),
            renumber_every in 1usize..20,
        ) {
            let mut shuffled = rows.clone();
            let n = shuffled.len().max(1);
            (0..shuffled.len()).for_each(|i| shuffled.swap(i, (order as usize).wrapping_mul(i * 31 + 7) % n));
            let mut sessions = Sessions::new(gap);
            // per fragment: the rows it was given
            let mut given: Vec<Vec<i64>> = vec![];
            let mut found = vec![];
            for (i, (key, t)) in shuffled.iter().enumerate() {
                let fragment = sessions.add(*key, *t, *t) as usize;
                given.resize(sessions.fragments(), vec![]);
                given[fragment].push(*t);
                // nothing at or after the least time still to come is complete
                let to_come = shuffled[i + 1..].iter().map(|r| r.1).min().unwrap_or(i64::MAX);
                let taken = sessions.take(to_come);
                prop_assert!(taken.is_sorted_by_key(|s| s.last));
                for s in taken {
                    let mut of: Vec<i64> = sessions.fragments_of(&s).flat_map(|f| given[f as usize].clone()).collect();
                    of.sort();
                    found.push((s.key, s.start, s.last, of));
                }
                if i % renumber_every == 0 {
                    given = sessions.renumber().iter().map(|f| given[*f as usize].clone()).collect();
                }
            }
            prop_assert_eq!((sessions.open(), sessions.iter().count()), (0, 0));
            let mut expected = vec![];
            for key in 0..3 {
                let mut times: Vec<i64> = rows.iter().filter(|r| r.0 == key).map(|r| r.1).collect();
                times.sort();
                for (start, last) in naive(&times, gap) {
                    let of = times.iter().copied().filter(|t| (start..=last).contains(t)).collect::<Vec<_>>();
                    expected.push((key, start, last, of));
                }
            }
            found.sort();
            prop_assert_eq!(found, expected);
        }
    }
}
