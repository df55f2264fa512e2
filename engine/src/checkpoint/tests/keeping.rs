//! Collection against a naive model over two days of checkpoints.

use super::history::{JOB, SINK, content, incarnation, make, write};
use super::simulated::Random;
use crate::checkpoint::{Ledger, MemoryStore, Store, names};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 3_600_000;

/// Every checkpoint ever made, and how it was told to be kept.
#[derive(Default)]
struct Model {
    /// Number, time and incarnation.
    made: Vec<(u64, i64, u128)>,
    /// Kept checkpoints, and whether with state: as decided, and as the newest manifest says.
    decided: BTreeMap<u64, bool>,
    durable: BTreeMap<u64, bool>,
    strays: BTreeSet<String>,
}

impl Model {
    fn newest(&self) -> u64 {
        self.made.len() as u64
    }

    fn id(&self, checkpoint: u64) -> String {
        incarnation(self.made[checkpoint as usize - 1].2)
    }

    /// By definition: of the last three; or first of its minute and at most an hour old; or first of its hour and at most a day.
    fn restorable(&self, checkpoint: u64, now: i64) -> bool {
        let created = self.made[checkpoint as usize - 1].1;
        let first_of = |unit: i64| {
            let earlier = self.made[..checkpoint as usize - 1].last();
            earlier.is_none_or(|(_, before, _)| before.div_euclid(unit) < created.div_euclid(unit))
        };
        checkpoint + 3 > self.newest()
            || now - created <= HOUR_MS && first_of(MINUTE_MS)
            || now - created <= 24 * HOUR_MS && first_of(HOUR_MS)
    }

    fn commit(&mut self, created: i64, id: u128) {
        self.made.push((self.newest() + 1, created, id));
        self.durable = self.decided.clone();
        self.decided.insert(self.newest(), true);
    }

    fn collect(&mut self, now: i64, published: u64) {
        let newest = self.newest();
        let kept: Vec<(u64, bool)> = (self.decided.iter())
            .map(|(c, state)| (*c, *state && self.restorable(*c, now)))
            .filter(|(c, state)| *state || *c > published)
            .collect();
        self.decided = kept.into_iter().collect();
        self.strays.retain(|name| names::parse(name).unwrap().0 > newest);
    }

    /// The names that must be there.
    fn files(&self) -> BTreeSet<String> {
        let mut files = self.strays.clone();
        for checkpoint in self.decided.keys().copied() {
            let id = self.id(checkpoint);
            files.extend([names::manifest(checkpoint), names::copy(checkpoint)]);
            files.extend((0..2).map(|w| names::outbox(checkpoint, &id, 0, w)));
            let released = checkpoint < self.newest() && self.durable.get(&checkpoint) == Some(&false);
            if !released {
                let parts = content(checkpoint, 0).state.into_values().flatten();
                let own = (0..2).map(|w| (w, checkpoint));
                let all = parts.map(|(group, c, _)| (usize::from(group) % 2, c)).chain(own);
                files.extend(all.map(|(worker, c)| names::state(c, &self.id(c), worker)));
            }
        }
        files
    }
}

fn two_days(seed: u64) {
    let mut random = Random(seed);
    let store = Arc::new(MemoryStore::new());
    let open = || Ledger::open(store.clone(), None, JOB).unwrap();
    let (mut ledger, mut model) = (open(), Model::default());
    let (mut id, mut now, mut published) = (1, 1_700_000_000_000_i64, 0_u64);
    let end = now + 48 * HOUR_MS;
    while now < end {
        // Bursts of one a second, and pauses.
        now += [1_000, 1_000, 20_000, 61_000, 400_000, 3_000_000][random.below(6) as usize] + random.below(500) as i64;
        make(&mut ledger, &incarnation(id), now, 0).unwrap();
        model.commit(now, id);
        // A sink that rolls from time to time.
        if random.below(8) == 0 {
            published = model.newest() - random.below(3).min(model.newest());
        }
        if random.below(20) == 0 {
            // Another start died before its commit: at the number to come, and at one that is made.
            for before in [ledger.newest().cloned(), ledger.manifest(model.newest().saturating_sub(1)).ok()] {
                let stray =
                    write(&ledger, before.as_ref(), &incarnation(1_000 + u128::from(random.below(1 << 40))), now, 1)
                        .unwrap();
                let outboxes = stray.sinks.into_iter().flat_map(|s| s.outboxes).map(|o| o.file.name);
                let old = |f: &String| names::parse(f).unwrap().0 == stray.checkpoint;
                model.strays.extend(stray.segments.into_iter().map(|f| f.name).filter(old).chain(outboxes));
            }
        }
        if random.below(4) > 0 {
            ledger.collect(now, &[(SINK, published)]).unwrap();
            model.collect(now, published);
            let restorable = model.decided.iter().filter(|(_, state)| **state).map(|(c, _)| *c).collect::<Vec<_>>();
            assert_eq!(ledger.restore_points(), restorable, "seed {seed}, checkpoint {}", model.newest());
            let files: BTreeSet<String> = store.list().unwrap().into_iter().collect();
            let expected = model.files();
            let (less, more): (Vec<_>, Vec<_>) =
                (expected.difference(&files).collect(), files.difference(&expected).collect());
            assert!(
                less.is_empty() && more.is_empty(),
                "seed {seed}, checkpoint {}: missing {less:?}, too many {more:?}",
                model.newest()
            );
        }
        if random.below(10) == 0 {
            (ledger, id) = (open(), id + 1);
            // What was decided and not written down is decided again; what is deleted stays so.
            let said = &model.durable;
            model.decided.iter_mut().for_each(|(c, state)| *state = said.get(c).copied().unwrap_or(true));
        }
    }
    let report = ledger.verify().unwrap();
    assert!(report.damaged.is_empty(), "seed {seed}: {report}");
    assert!(model.newest() > 200 && ledger.restore_points().len() < 120, "{} made", model.newest());
}

#[test]
fn collection_keeps_what_the_model_keeps() {
    (0..6).for_each(two_days);
}

/// What can't be read may name any file up to its own number: none of those goes.
#[test]
fn a_damaged_manifest_protects_its_files() {
    let store = Arc::new(MemoryStore::new());
    let mut ledger = Ledger::open(store.clone(), None, JOB).unwrap();
    for number in 1..=3 {
        make(&mut ledger, &incarnation(1), number, 0).unwrap();
    }
    [names::manifest(2), names::copy(2)].iter().for_each(|name| store.put(name, &[b"rot"]).unwrap());
    let before = store.list().unwrap().len();
    let mut ledger = Ledger::open(store.clone(), None, JOB).unwrap();
    assert_eq!(ledger.collect(4, &[(SINK, 3)]).unwrap(), 0);
    assert_eq!(store.list().unwrap().len(), before);
    // It goes when its time has come, and its files with it.
    make(&mut ledger, &incarnation(1), 5, 0).unwrap();
    make(&mut ledger, &incarnation(1), 6, 0).unwrap();
    assert!(ledger.collect(1_000_000_000, &[(SINK, 5)]).unwrap() > 0);
    assert_eq!(ledger.restore_points(), [3, 4, 5]);
    let report = ledger.verify().unwrap();
    assert!(report.damaged.is_empty() && report.strays.is_empty(), "{report}");
}
