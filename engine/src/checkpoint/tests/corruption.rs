//! A real ledger's files are mutated: every read gives exactly what was written, or an error that names a mutated file.

use super::history::{Content, JOB, content, incarnation, make, read};
use super::simulated::Random;
use crate::checkpoint::verify::Report;
use crate::checkpoint::{HmacKey, Ledger, LedgerError, Manifest, MemoryStore, Store, names};
use std::collections::BTreeSet;
use std::sync::Arc;

const NEWEST: u64 = 6;

fn key() -> Option<HmacKey> {
    Some(HmacKey::new(b"the key of the corruption test").unwrap())
}

/// A ledger of six checkpoints; those behind `fork` have other content if the salt differs.
fn ledger(key: Option<HmacKey>, fork: u64, salt: u64, last: u64) -> Arc<MemoryStore> {
    let store = Arc::new(MemoryStore::new());
    let mut ledger = Ledger::open(store.clone(), key, JOB).unwrap();
    for number in 1..=last {
        let (id, salt) = if number > fork { (2, salt) } else { (1, 0) };
        make(&mut ledger, &incarnation(id), number as i64, salt).unwrap();
    }
    store
}

/// What a mutation can draw on.
struct World {
    key: Option<HmacKey>,
    original: Arc<MemoryStore>,
    manifests: Vec<Manifest>,
    contents: Vec<Content>,
    /// The same job, as another incarnation went on with it.
    forks: Vec<Arc<MemoryStore>>,
    /// Another job with the same key.
    foreign: Arc<MemoryStore>,
}

impl World {
    fn new(key: Option<HmacKey>) -> Self {
        let original = ledger(key.clone(), NEWEST, 0, NEWEST);
        let read_all = Ledger::open(original.clone(), key.clone(), JOB).unwrap();
        let manifests = (1..=NEWEST).map(|n| read_all.manifest(n).unwrap()).collect();
        let forks = [0, 3, 5].map(|fork| ledger(key.clone(), fork, 7, NEWEST)).to_vec();
        let foreign = Arc::new(MemoryStore::new());
        let mut other = Ledger::open(foreign.clone(), key.clone(), "refunds").unwrap();
        for number in 1..=NEWEST + 1 {
            let before = other.newest().cloned();
            let manifest = super::history::write(&other, before.as_ref(), &incarnation(3), number as i64, 9).unwrap();
            other.commit(Manifest { job: "refunds".into(), ..manifest }).unwrap();
        }
        let contents = (1..=NEWEST).map(|n| content(n, 0)).collect();
        Self { key, original, manifests, contents, forks, foreign }
    }

    /// Mutates one or two files; says which.
    fn mutate(&self, store: &MemoryStore, random: &mut Random) -> Vec<String> {
        let all = store.list().unwrap();
        // Manifests as often as the other files, which are more.
        let of_kind: Vec<&String> = match random.below(2) {
            0 => all.iter().filter(|n| n.contains("manifest")).collect(),
            _ => all.iter().filter(|n| !n.contains("manifest")).collect(),
        };
        let Some(name) = (!of_kind.is_empty()).then(|| of_kind[random.below(of_kind.len() as u64) as usize]) else {
            return Vec::new();
        };
        let mut bytes = store.get(name).unwrap().unwrap();
        let length = bytes.len() as u64;
        match random.below(8) {
            0 | 1 => bytes[random.below(length) as usize] ^= 1 << random.below(8),
            2 => bytes.truncate(random.below(length) as usize),
            3 => {
                let other = &all[random.below(all.len() as u64) as usize];
                let theirs = store.get(other).unwrap().unwrap();
                store.put(name, &[&theirs]).unwrap();
                store.put(other, &[&bytes]).unwrap();
                return vec![name.clone(), other.clone()];
            }
            4 => {
                store.delete(&[name]).unwrap();
                return vec![name.clone()];
            }
            5 => (0..=random.below(300)).for_each(|_| bytes.push(random.below(256) as u8)),
            6 => return vec![self.replace_manifest(store, random)],
            _ => {
                let (start, end) = (random.below(length), random.below(length));
                bytes[start.min(end) as usize..start.max(end) as usize].fill(0);
            }
        }
        store.put(name, &[&bytes]).unwrap();
        vec![name.clone()]
    }

    /// A manifest by an older one, by that of another incarnation, or by that of another job.
    fn replace_manifest(&self, store: &MemoryStore, random: &mut Random) -> String {
        let number = 1 + random.below(NEWEST);
        let which = [names::manifest(number), names::copy(number)];
        let name = which[random.below(2) as usize].clone();
        let (from, source) = match random.below(4) {
            0 => (&*self.original, names::manifest(1 + random.below(number))),
            1 => (&*self.forks[random.below(3) as usize], names::manifest(number)),
            2 => (&*self.foreign, names::manifest(number)),
            // The other job is one checkpoint ahead.
            _ => {
                let ahead = names::manifest(NEWEST + 1);
                store.put(&ahead, &[&self.foreign.get(&ahead).unwrap().unwrap()]).unwrap();
                return ahead;
            }
        };
        store.put(&name, &[&from.get(&source).unwrap().unwrap()]).unwrap();
        name
    }

    /// Opens what was mutated and reads all of it.
    fn check(&self, store: Arc<MemoryStore>, mutated: &[String]) -> Result<Outcome, String> {
        let changed: BTreeSet<&String> =
            mutated.iter().filter(|n| store.get(n).unwrap() != self.original.get(n).unwrap()).collect();
        let names_it = |error: &LedgerError| match changed.iter().any(|n| error.to_string().contains(n.as_str())) {
            true => Ok(()),
            false => Err(format!("{error} names none of {changed:?}")),
        };
        let report = super::super::verify::verify(&*store, self.key.as_ref(), Some(JOB)).map_err(|e| e.to_string())?;
        changed.iter().try_for_each(|name| named(&report, name))?;
        report.damaged.iter().try_for_each(names_it)?;
        let ledger = match Ledger::open(store, self.key.clone(), JOB) {
            Ok(ledger) => ledger,
            Err(error) => return names_it(&error).map(|()| Outcome::Refused),
        };
        if ledger.newest() != self.manifests.last() {
            let lost = [names::manifest(NEWEST), names::copy(NEWEST)].iter().all(|n| changed.contains(n));
            return if lost { Ok(Outcome::Older) } else { Err("another manifest is the newest".into()) };
        }
        let mut outcome = Outcome::Harmless;
        for (manifest, content) in self.manifests.iter().zip(&self.contents) {
            let found = ledger.manifest(manifest.checkpoint).and_then(|m| Ok((read(&ledger, &m)?, m)));
            match found {
                Ok((found, m)) if found == *content && m == *manifest => (),
                Ok(_) => return Err(format!("checkpoint {} gives something else", manifest.checkpoint)),
                Err(error) => {
                    // A manifest that is gone with its copy is not named by its file.
                    outcome = Outcome::Detected;
                    names_it(&error).or_else(|e| if e.contains("not kept") { Ok(()) } else { Err(e) })?;
                }
            }
        }
        Ok(outcome)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// Everything was read as it was written.
    Harmless,
    /// The newest checkpoint is there; reading something gave an error.
    Detected,
    /// The ledger did not open.
    Refused,
    /// Both copies of the newest manifest were gone: only a sink that knows what it has shown can tell.
    Older,
}

fn named(report: &Report, name: &str) -> Result<(), String> {
    let partner = name.strip_suffix("-copy").map_or_else(|| format!("{name}-copy"), str::to_owned);
    let text = report.to_string();
    // A missing manifest is told by its partner, which has no second copy.
    match text.contains(name) || report.single.iter().any(|s| s.ends_with(&partner)) {
        true => Ok(()),
        false => Err(format!("verify does not name {name}: {report}")),
    }
}

#[test]
fn a_mutation_is_detected_or_harmless() {
    let mut outcomes = std::collections::BTreeMap::new();
    for world in [World::new(None), World::new(key())] {
        for seed in 0..2_000 {
            let mut random = Random(seed);
            let store = Arc::new(world.original.duplicate());
            let mutated = world.mutate(&store, &mut random);
            let outcome = world.check(store, &mutated);
            *outcomes.entry(outcome.unwrap_or_else(|e| panic!("seed {seed}, {mutated:?}: {e}"))).or_insert(0) += 1;
        }
    }
    println!("{outcomes:?}");
    assert!(!outcomes.contains_key(&Outcome::Older), "one mutation does not reach both copies: {outcomes:?}");
    assert!([Outcome::Harmless, Outcome::Detected, Outcome::Refused].iter().all(|o| outcomes[o] > 20), "{outcomes:?}");
}

#[test]
fn several_mutations_never_give_wrong_content() {
    let world = World::new(key());
    for seed in 0..1_000 {
        let mut random = Random(seed);
        let store = Arc::new(world.original.duplicate());
        for _ in 0..2 + random.below(6) {
            world.mutate(&store, &mut random);
        }
        let Ok(ledger) = Ledger::open(store, world.key.clone(), JOB) else { continue };
        for number in ledger.restore_points() {
            let Ok(manifest) = ledger.manifest(number) else { continue };
            let Ok(found) = read(&ledger, &manifest) else { continue };
            assert_eq!(found, world.contents[number as usize - 1], "seed {seed}, checkpoint {number}");
        }
        ledger.verify().unwrap();
    }
}
