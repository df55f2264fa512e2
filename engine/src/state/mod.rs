//! Keyed state on its way to and from a checkpoint.
//!
//! A [`Snapshot`] holds byte strings by key group; [`codec`] writes and reads them, [`columns`] in few bytes. How an operator keeps its state while it
//! runs is its own affair.
//!
//! An operator may hand over what has changed since its last snapshot only: a **delta** goes on from the parts that were
//! written before. So that a group's chain of parts stays short, a snapshot names the groups that must be written whole
//! this time ([`Snapshot::is_whole`]): in [`TURNS`] checkpoints each group has its turn once. Operators that write deltas keep
//! [`Chains`], which also say when a group's deltas have become too large.

mod chain;
pub mod codec;
mod columns;

pub use chain::Chains;

use crate::hash::{KeyGroup, owner};
use std::collections::BTreeMap;

/// Checkpoints in which every key group is written whole once.
pub const TURNS: u64 = 64;

/// State of one key group in a snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Group {
    /// Whether it goes on from what was written before: then its first part is a delta, and without parts nothing changed.
    goes_on: bool,
    /// A group may hold several whole parts: one from each operator that held some of it. Deltas come in their order.
    parts: Vec<Vec<u8>>,
}

/// The state of one operator, by key group. A group that is not in it has no state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    groups: BTreeMap<KeyGroup, Group>,
    /// The turn of the groups to be written whole; `None`: of all.
    turn: Option<u64>,
}

/// A part of a key group on its way out of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The key group.
    pub group: KeyGroup,
    /// Whether it stands alone.
    pub whole: bool,
    /// The state, as its operator wrote it.
    pub bytes: Vec<u8>,
}

impl Snapshot {
    /// An empty snapshot for the checkpoint of this number: the groups whose turn it is must be written whole. That of
    /// [`Snapshot::default`] is one of all groups, whole.
    pub fn of_turn(checkpoint: u64) -> Self {
        Self { turn: Some(checkpoint % TURNS), ..Self::default() }
    }
    /// Whether `group` must be written whole.
    pub fn is_whole(&self, group: KeyGroup) -> bool {
        self.turn.is_none_or(|turn| u64::from(group) % TURNS == turn)
    }
    /// Adds a part of `group` that stands alone, beside others of the same snapshot.
    pub fn put(&mut self, group: KeyGroup, bytes: Vec<u8>) {
        self.groups.entry(group).or_default().parts.push(bytes);
    }
    /// Adds what has changed of `group` since the operator's last snapshot.
    pub fn put_delta(&mut self, group: KeyGroup, bytes: Vec<u8>) {
        self.keep(group);
        self.put(group, bytes);
    }
    /// Nothing has changed of `group`, of which the operator has parts, since its last snapshot. Whoever has none says
    /// nothing: else what the group's owner has dropped would live on.
    pub fn keep(&mut self, group: KeyGroup) {
        self.groups.entry(group).or_default().goes_on = true;
    }
    /// The groups that go on from what was written before.
    pub fn going_on(&self) -> impl Iterator<Item = KeyGroup> {
        self.groups.iter().filter(|(_, g)| g.goes_on).map(|(group, _)| *group)
    }
    /// All parts, by group, given away: each can be dropped when it is done with.
    pub fn into_parts(self) -> impl Iterator<Item = Part> {
        self.groups.into_iter().flat_map(|(group, Group { goes_on, parts })| {
            parts.into_iter().map(move |bytes| Part { group, whole: !goes_on, bytes })
        })
    }
    /// The parts of each group, in the order in which they must be applied.
    pub fn into_groups(self) -> impl Iterator<Item = (KeyGroup, Vec<Vec<u8>>)> {
        self.groups.into_iter().map(|(group, Group { parts, .. })| (group, parts))
    }
    /// Adds the parts of another operator of the same step.
    ///
    /// # Panics
    /// If a group goes on in one of them and is in the other too: chains have one owner.
    pub fn merge(&mut self, other: Snapshot) {
        for (group, from) in other.groups {
            let shared = self.groups.contains_key(&group);
            let to = self.groups.entry(group).or_default();
            assert!(!shared || !(to.goes_on || from.goes_on), "key group {group} goes on in two operators of one step");
            to.goes_on |= from.goes_on;
            to.parts.extend(from.parts);
        }
    }
    /// What a restart finds after the `next` snapshot of the same step: groups that go on keep their parts.
    pub fn follow(&mut self, next: Snapshot) {
        let mut before = std::mem::take(&mut self.groups);
        for (group, next) in next.groups {
            let mut parts = before.remove(&group).filter(|_| next.goes_on).map_or_else(Vec::new, |g| g.parts);
            parts.extend(next.parts);
            if !parts.is_empty() {
                self.groups.insert(group, Group { goes_on: false, parts });
            }
        }
    }
    /// Takes out the groups that `worker` of `peers` owns.
    pub fn take_for_worker(&mut self, worker: usize, peers: usize) -> Snapshot {
        let groups = self.groups.extract_if(.., |g, _| owner(*g, peers) == worker).collect();
        Snapshot { groups, turn: self.turn }
    }
    /// Bytes in all parts.
    pub fn bytes(&self) -> usize {
        self.groups.values().flat_map(|g| &g.parts).map(Vec::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_group_has_its_turn_once() {
        for group in 0..=KeyGroup::MAX {
            let turns = (100..100 + TURNS).filter(|c| Snapshot::of_turn(*c).is_whole(group)).count();
            assert_eq!(turns, 1, "group {group}");
            assert!(Snapshot::default().is_whole(group));
        }
    }

    #[test]
    fn a_chain_keeps_what_goes_on_and_forgets_the_rest() {
        let mut chain = Snapshot::default();
        (0..4).for_each(|group| chain.put(group, vec![group]));
        let mut next = Snapshot::of_turn(7);
        next.put_delta(0, vec![10]);
        next.keep(1);
        next.put(2, vec![12]);
        chain.follow(next);
        let groups: Vec<_> = chain.into_groups().collect();
        assert_eq!(groups, [(0, vec![vec![0], vec![10]]), (1, vec![vec![1]]), (2, vec![vec![12]])]);
    }
}
