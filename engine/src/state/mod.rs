//! Keyed state on its way to and from a checkpoint.
//!
//! [`Snapshot`] holds one byte string per key group; [`codec`] writes and reads them. How an operator keeps its state
//! while it runs is its own affair.

pub mod codec;

use crate::hash::{KeyGroup, owner};
use std::collections::BTreeMap;

/// The state of one operator, by key group. A group may hold several parts: one from each operator that held some of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    parts: BTreeMap<KeyGroup, Vec<Vec<u8>>>,
}

impl Snapshot {
    /// Adds a part of `group`.
    pub fn put(&mut self, group: KeyGroup, bytes: Vec<u8>) {
        self.parts.entry(group).or_default().push(bytes);
    }
    /// All parts, by group.
    pub fn parts(&self) -> impl Iterator<Item = (KeyGroup, &[u8])> {
        self.parts.iter().flat_map(|(g, p)| p.iter().map(|b| (*g, b.as_slice())))
    }
    /// All parts, by group, given away: each can be dropped when it is done with.
    pub fn into_parts(self) -> impl Iterator<Item = (KeyGroup, Vec<u8>)> {
        self.parts.into_iter().flat_map(|(g, p)| p.into_iter().map(move |b| (g, b)))
    }
    /// Adds the parts of another operator of the same step.
    pub fn merge(&mut self, other: Snapshot) {
        for (g, parts) in other.parts {
            self.parts.entry(g).or_default().extend(parts);
        }
    }
    /// Takes out the groups that `worker` of `peers` owns.
    pub fn take_for_worker(&mut self, worker: usize, peers: usize) -> Snapshot {
        Snapshot { parts: self.parts.extract_if(.., |g, _| owner(*g, peers) == worker).collect() }
    }
    /// Bytes in all parts.
    pub fn bytes(&self) -> usize {
        self.parts.values().flatten().map(Vec::len).sum()
    }
}
