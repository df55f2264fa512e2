//! Chains of parts: what a restart would read of each key group, and when it is better written whole.

use super::Snapshot;
use crate::hash::KeyGroup;
use std::collections::BTreeMap;

/// Bytes of deltas that are no reason to write a key group whole.
const CHAIN_BYTES_MIN: usize = 16 << 10;

/// The key groups of which an operator has written or read parts that its next delta goes on from.
#[derive(Clone, Debug)]
pub struct Chains {
    groups: BTreeMap<KeyGroup, Chain>,
    /// Bytes of deltas that are no reason to write a key group whole: tests lower it.
    pub bytes_min: usize,
}

impl Default for Chains {
    fn default() -> Self {
        Self { groups: BTreeMap::new(), bytes_min: CHAIN_BYTES_MIN }
    }
}

/// The parts of one key group.
#[derive(Clone, Copy, Debug, Default)]
struct Chain {
    /// Bytes of the part that stands alone, and of those that go on from it.
    whole: usize,
    deltas: usize,
    /// Bytes of the last part.
    last: usize,
}

impl Chain {
    /// Whether its deltas have become so large that a whole part is better: from three to five quarters of the part that
    /// they go on from, by the group, so that not all have their turn at once. A byte of a delta then costs two: its own,
    /// and one of a whole part.
    fn is_long(&self, group: KeyGroup, bytes_min: usize) -> bool {
        self.deltas * 64 > self.whole.max(bytes_min) * (48 + usize::from(group) % 32)
    }
}

impl Chains {
    /// Whether the next part of `group` must stand alone: the snapshot wants it, its deltas have become about as large as
    /// what they go on from, or there is nothing that it could go on from.
    pub fn wants_whole(&self, group: KeyGroup, into: &Snapshot) -> bool {
        into.is_whole(group) || self.groups.get(&group).is_none_or(|chain| chain.is_long(group, self.bytes_min))
    }
    /// Whether there are parts of `group`.
    pub fn has(&self, group: KeyGroup) -> bool {
        self.groups.contains_key(&group)
    }
    /// What the next part of `group` is likely to take: what the last one took, and a little more.
    pub fn room(&self, group: KeyGroup) -> usize {
        self.groups.get(&group).map_or(0, |chain| chain.last + chain.last / 8)
    }
    /// A part of `group` was read or written.
    pub fn push(&mut self, group: KeyGroup, whole: bool, bytes: usize) {
        let chain = self.groups.entry(group).or_default();
        *chain = match whole {
            true => Chain { whole: bytes, deltas: 0, last: bytes },
            false => Chain { deltas: chain.deltas + bytes, last: bytes, ..*chain },
        };
    }
    /// Puts a part of `group` into a snapshot.
    pub fn put(&mut self, group: KeyGroup, whole: bool, bytes: Vec<u8>, into: &mut Snapshot) {
        self.push(group, whole, bytes.len());
        if whole { into.put(group, bytes) } else { into.put_delta(group, bytes) }
    }
    /// Nothing is left of `group`: its parts are forgotten.
    pub fn end(&mut self, group: KeyGroup) {
        self.groups.remove(&group);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_written_whole_when_its_deltas_are_about_as_large_as_itself() {
        for group in 0..=KeyGroup::MAX {
            let into = Snapshot::of_turn(u64::from(group) + 1);
            let mut chains = Chains { bytes_min: 0, ..Chains::default() };
            assert!(chains.wants_whole(group, &into), "there is nothing to go on from");
            chains.push(group, true, 1_000);
            let mut deltas = 0;
            while !chains.wants_whole(group, &into) {
                chains.push(group, false, 10);
                deltas += 10;
            }
            assert!((750..=1_250).contains(&deltas), "group {group}: {deltas}");
            chains.push(group, true, 1_000);
            assert!(!chains.wants_whole(group, &into) && chains.wants_whole(group, &Snapshot::default()));
            chains.end(group);
            assert!(!chains.has(group) && chains.room(group) == 0);
        }
    }
}
