//! The invariants, each a predicate on one state.

use super::state::{Digest, Manifest, Outbox, Producer, State, Work};
use std::fmt;

/// What must hold in every state. I1 to I7 are those that the engine asserts in production.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invariant {
    /// I1: the manifests form one chain, and every incarnation stands on it.
    OneChain,
    /// I2: what is visible are the outboxes up to the marker; the marker is not ahead of the newest manifest.
    VisibleIsMarked,
    /// I3: every file that a retained manifest names exists and matches.
    FilesExist,
    /// I4: the state of a checkpoint is the fold of exactly the rows before its cut.
    StateIsFold,
    /// I5: tags follow from the rows and the recorded decisions.
    TagsAreRecorded,
    /// I6: nothing of a checkpoint is visible before its manifest is durable.
    ManifestFirst,
    /// I7: one producer epoch can commit.
    OneProducer,
    /// Nobody finds damage.
    NoHalt,
    /// The promise to whoever reads the sink, in his own terms: each row once, in order, none left out.
    ExactlyOnce,
}

/// All of them.
pub const ALL: [Invariant; 9] = [
    Invariant::OneChain,
    Invariant::VisibleIsMarked,
    Invariant::FilesExist,
    Invariant::StateIsFold,
    Invariant::TagsAreRecorded,
    Invariant::ManifestFirst,
    Invariant::OneProducer,
    Invariant::NoHalt,
    Invariant::ExactlyOnce,
];

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OneChain => "I1 one chain",
            Self::VisibleIsMarked => "I2 visible is marked",
            Self::FilesExist => "I3 files exist",
            Self::StateIsFold => "I4 state is fold",
            Self::TagsAreRecorded => "I5 tags are recorded",
            Self::ManifestFirst => "I6 manifest first",
            Self::OneProducer => "I7 one producer",
            Self::NoHalt => "no halt",
            Self::ExactlyOnce => "exactly once",
        })
    }
}

impl Invariant {
    /// Whether it holds.
    pub fn holds(self, state: &State) -> bool {
        match self {
            Self::OneChain => one_chain(state) && state.alive().all(|i| stands_on_the_chain(state, &i.base)),
            Self::VisibleIsMarked => visible_is_marked(state),
            Self::FilesExist => state.retained().all(|m| state.has_files_of(m)),
            Self::StateIsFold => state.retained().chain(state.alive().map(|i| &i.base)).all(is_fold),
            Self::TagsAreRecorded => state.seen().iter().all(|t| {
                let manifest = state.manifest(t.name);
                t.name <= state.collected || !manifest.exists() || manifest.decision == t.outbox.tag
            }),
            Self::ManifestFirst => {
                state.seen().iter().all(|t| t.name <= state.collected || state.manifest(t.name).exists())
            }
            Self::OneProducer => state.alive().filter(|i| i.producer == Producer::Current).count() <= 1,
            Self::NoHalt => state.alive().all(|i| i.work != Work::Halted),
            Self::ExactlyOnce => exactly_once(state),
        }
    }
}

fn one_chain(state: &State) -> bool {
    let last = state.collected;
    let mut before = match last {
        0 => Digest::default(),
        name => Digest { name, incarnation: state.lineage[usize::from(name) - 1] },
    };
    state.retained().zip(last + 1..).all(|(manifest, number)| {
        let linked = manifest.number == number && manifest.previous == before;
        before = manifest.digest;
        linked
    })
}

fn stands_on_the_chain(state: &State, base: &Manifest) -> bool {
    match base.digest {
        Digest { name: 0, .. } => true,
        Digest { name, incarnation } if name <= state.collected => state.lineage[usize::from(name) - 1] == incarnation,
        Digest { name, .. } => state.manifest(name) == *base,
    }
}

/// Compares what is retained; collected outboxes were compared in the states before.
fn visible_is_marked(state: &State) -> bool {
    let marked = state.retained().filter(|m| m.digest.name <= state.marker).map(|m| m.outbox);
    let collected = usize::from(state.collected);
    let seen = state.seen();
    state.marker <= state.newest().digest.name
        && seen.len() >= collected
        && seen[collected..].iter().map(|t| t.outbox).eq(marked)
}

fn is_fold(manifest: &Manifest) -> bool {
    manifest.state == (1 << manifest.position) - 1
}

fn exactly_once(state: &State) -> bool {
    let mut next_row = 0;
    state.seen().iter().all(|t| {
        let Outbox { rows, .. } = t.outbox;
        let continues = rows.trailing_zeros() == next_row;
        next_row = u8::BITS - rows.leading_zeros();
        continues
    })
}
