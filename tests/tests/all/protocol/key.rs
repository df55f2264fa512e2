//! The key of a state: exact, small, and the same for states that differ only in the names of incarnations.
//!
//! An incarnation is a random id: the protocol compares two for equality and no more, and the two instances are alike.
//! So incarnations are renamed in the order in which they appear, and of the two orders of the instances the one with the
//! smaller key counts. States with one key are the same state under other names; their futures are the same too.

use super::state::{Digest, Instance, Manifest, Outbox, Publisher, State, Transaction, Work};

/// A packed state: two have the same key only if they are the same up to names.
pub type Key = [u128; 3];

/// Packs a state, incarnations renamed.
pub fn canonical(state: &State) -> Key {
    let (world, [first, second]) = (Packer::new(true).world(state), state.instances);
    world.instances(state, [first, second]).min(world.instances(state, [second, first]))
}

/// Packs a state as it is.
pub fn plain(state: &State) -> Key {
    Packer::new(false).world(state).instances(state, state.instances)
}

/// Writes fields one after the other. Every branch writes first which branch it is, so that the bits could be read back.
#[derive(Clone, Copy)]
struct Packer {
    key: Key,
    word: usize,
    bit: u32,
    rename: bool,
    /// New name of an incarnation; 0 is not seen yet.
    names: [u8; 8],
    named: u8,
}

impl Packer {
    fn new(rename: bool) -> Self {
        Self { key: [0; 3], word: 0, bit: 0, rename, names: [0; 8], named: 0 }
    }

    /// All but instances and files.
    fn world(mut self, state: &State) -> Self {
        // Without `..`: a field that is added and not packed does not compile.
        let State {
            store,
            collected,
            lineage,
            files: _,
            damaged,
            damages,
            visible,
            marker,
            open,
            starts,
            instances: _,
        } = *state;
        self.put([(collected, 2), (marker, 3), (starts, 3), (u8::from(open.is_some()), 1)]);
        self.put([(damages, 1), (damaged >> 1, 4)]);
        open.iter().chain(&visible).for_each(|t| self.transaction(t));
        lineage.iter().for_each(|&i| self.incarnation(i));
        store.iter().for_each(|m| self.manifest(m));
        self
    }

    /// Instances, then files: their writers have names by then.
    fn instances(mut self, state: &State, instances: [Option<Instance>; 2]) -> Key {
        instances.iter().for_each(|i| self.instance(i));
        state.files.iter().for_each(|&set| self.writers(set));
        self.key
    }

    /// Appends fields of so many bits.
    #[inline(always)]
    fn put<const N: usize>(&mut self, fields: [(u8, u32); N]) {
        let (mut packed, mut len) = (0, 0);
        for (value, bits) in fields {
            assert!(u32::from(value) < 1 << bits, "{value} does not fit {bits} bits");
            packed |= u128::from(value) << len;
            len += bits;
        }
        if self.bit + len > u128::BITS {
            (self.word, self.bit) = (self.word + 1, 0);
        }
        self.key[self.word] |= packed << self.bit;
        self.bit += len;
    }

    fn name(&mut self, incarnation: u8) -> u8 {
        if !self.rename || incarnation == 0 {
            return incarnation;
        }
        let known = &mut self.names[usize::from(incarnation)];
        if *known == 0 {
            self.named += 1;
            *known = self.named;
        }
        *known
    }

    fn incarnation(&mut self, incarnation: u8) {
        let name = self.name(incarnation);
        self.put([(name, 3)]);
    }

    fn writers(&mut self, set: u8) {
        let writers = (1..8).filter(|i| set & (1 << i) != 0);
        let renamed = writers.fold(0, |to: u8, i| to | 1 << self.name(i));
        self.put([(renamed, 8)]);
    }

    fn transaction(&mut self, transaction: &Transaction) {
        let Transaction { name, outbox: Outbox { rows, tag } } = *transaction;
        self.put([(name, 3), (rows, 3), (tag, 1)]);
    }

    fn manifest(&mut self, manifest: &Manifest) {
        if !manifest.exists() {
            return self.put([(0, 1)]);
        }
        let Manifest { digest, number, epoch, previous, position, state, decision, outbox } = *manifest;
        let Outbox { rows, tag } = outbox;
        let [writer, before] = [digest, previous].map(|d: Digest| self.name(d.incarnation));
        self.put([(1, 1), (digest.name, 3), (writer, 3), (previous.name, 3), (before, 3), (number, 2), (epoch, 3)]);
        self.put([(position, 2), (state, 3), (decision, 1), (rows, 3), (tag, 1)]);
    }

    fn instance(&mut self, instance: &Option<Instance>) {
        let Some(Instance { incarnation, base, work, publisher, producer, remade }) = *instance else {
            return self.put([(0, 1)]);
        };
        let (working, next) = match work {
            Work::Restoring => (0, None),
            Work::Running => (1, None),
            Work::Staged(m) => (2, Some(m)),
            Work::Created(m) => (3, Some(m)),
            Work::Halted => (4, None),
        };
        let (publishing, name) = match publisher {
            Publisher::Down => (0, 0),
            Publisher::Marked(m) => (1, m),
            Publisher::Initialized => (2, 0),
            Publisher::Ready(m) => (3, m),
            Publisher::Sent(m) => (4, m),
        };
        self.put([(1, 1), (working, 3), (publishing, 3), (name, 3), (producer as u8, 2), (remade >> 1, 4)]);
        self.manifest(&base);
        next.iter().for_each(|m| self.manifest(m));
        self.incarnation(incarnation);
    }
}
