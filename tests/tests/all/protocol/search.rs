//! Breadth-first search through all states that can be reached, with the shortest trace to the first bad one.

use super::invariants::Invariant;
use super::key::Key;
use super::state::State;
use super::steps::{Protocol, Step};
use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};

/// What a search went through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Different states.
    pub states: usize,
    /// Steps between them.
    pub transitions: usize,
}

/// A state that breaks what it should keep, and how to get there.
#[derive(Clone, Debug)]
pub struct Violation {
    /// What it breaks, of what was watched.
    pub broken: Vec<Invariant>,
    /// The shortest way from the initial state.
    pub trace: Vec<Step>,
    /// Where it leads.
    pub state: Box<State>,
}

/// Searches until a watched invariant breaks or no state is left. `visit` sees every state once, with the steps that
/// can follow.
pub fn search(
    protocol: &Protocol,
    watched: &[Invariant],
    key: fn(&State) -> Key,
    mut visit: impl FnMut(&State, &[(Step, State)]),
) -> Result<Size, Violation> {
    let mut seen = HashSet::<Key, BuildHasherDefault<Mixer>>::default();
    seen.insert(key(&State::initial()));
    // By order of discovery: the state that a state was first reached from, and which of its successors it was.
    let mut origins = vec![(0, 0)];
    let mut queue = VecDeque::from([State::initial()]);
    let (mut at, mut transitions) = (0, 0);
    let mut successors = Vec::new();
    while let Some(state) = queue.pop_front() {
        let broken: Vec<_> = watched.iter().copied().filter(|i| !i.holds(&state)).collect();
        if !broken.is_empty() {
            return Err(Violation { broken, trace: trace(protocol, &origins, at), state: Box::new(state) });
        }
        protocol.successors(&state, &mut successors);
        visit(&state, &successors);
        transitions += successors.len();
        for (ordinal, (_, next)) in successors.iter().enumerate() {
            if seen.insert(key(next)) {
                origins.push((at as u32, ordinal as u8));
                queue.push_back(*next);
            }
        }
        at += 1;
    }
    Ok(Size { states: seen.len(), transitions })
}

/// Takes the steps to state `at` again.
fn trace(protocol: &Protocol, origins: &[(u32, u8)], mut at: usize) -> Vec<Step> {
    let mut ordinals = Vec::new();
    while at > 0 {
        let (origin, ordinal) = origins[at];
        ordinals.push(ordinal);
        at = origin as usize;
    }
    let mut state = State::initial();
    let mut successors = Vec::new();
    let again = |ordinal| {
        protocol.successors(&state, &mut successors);
        let (step, next) = successors[usize::from(ordinal)];
        state = next;
        step
    };
    ordinals.into_iter().rev().map(again).collect()
}

/// Multiplies and folds: keys are dense bits, and a search hashes tens of millions.
#[derive(Default)]
struct Mixer(u64);

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }
    fn write_u64(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word) * 0x9e37_79b9_7f4a_7c15;
        self.0 = (product >> 64) as u64 ^ product as u64;
    }
    fn finish(&self) -> u64 {
        self.0
    }
}
