//! Lists that go on in older manifests: whole when they are read, short where they are written, right when one is lost.

use super::history::{JOB, batches, incarnation, write};
use super::simulated::Random;
use crate::checkpoint::fold::UNFOLDED_MAX;
use crate::checkpoint::{Ledger, LedgerError, Manifest, MemoryStore, SinkState, Store, names};
use crate::sink::Publication;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What two sinks owe, as plain lists.
#[derive(Default)]
struct Owed {
    lists: [BTreeSet<u64>; 2],
    /// The first checkpoint behind the last publication.
    from: [u64; 2],
}

/// A job with two sinks in a store.
struct Scene {
    store: Arc<MemoryStore>,
    ledger: Ledger,
    owed: Owed,
    /// Longest manifest.
    longest: usize,
    /// Bytes of all manifests ever made.
    all: usize,
}

impl Scene {
    fn new() -> Self {
        let store = Arc::new(MemoryStore::new());
        let ledger = Ledger::open(store.clone(), None, JOB).unwrap();
        Self { store, ledger, owed: Owed { from: [1, 1], ..Owed::default() }, longest: 0, all: 0 }
    }

    fn newest(&self) -> u64 {
        self.ledger.newest().map_or(0, |n| n.checkpoint)
    }

    /// Makes a checkpoint a second, with rows for some sinks, which some of them show. What lies before is collected.
    fn make(&mut self, rows: [bool; 2], shows: [bool; 2]) {
        let number = self.newest() + 1;
        let before = self.ledger.newest().cloned();
        let id = incarnation(1);
        let mut manifest = write(&self.ledger, before.as_ref(), &id, number as i64 * 1_000, 0).unwrap();
        let unnamed = manifest.sinks[0].outboxes.drain(..).map(|o| o.file.name).collect::<Vec<_>>();
        self.store.delete(&unnamed.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
        manifest.sinks = (0..2).map(|sink| self.sink(&manifest, sink, rows[sink], shows[sink])).collect();
        self.ledger.commit(manifest).unwrap();
        let bytes = self.store.get(&names::manifest(number)).unwrap().unwrap().len();
        (self.longest, self.all) = (self.longest.max(bytes), self.all + bytes);
        let first = |sink: usize| self.owed.lists[sink].first().map_or(number, |first| first - 1);
        self.ledger.collect(number as i64 * 1_000, &[("a", first(0)), ("b", first(1))]).unwrap();
        for sink in (0..2).filter(|sink| shows[*sink]) {
            self.owed.lists[sink].clear();
            self.owed.from[sink] = number + 1;
        }
    }

    fn sink(&mut self, manifest: &Manifest, sink: usize, has_rows: bool, shows: bool) -> SinkState {
        let number = manifest.checkpoint;
        let rows = batches(&[(number as i64, format!("card-{sink}"))]);
        let put = || self.ledger.put_outbox(number, &manifest.incarnation, sink, 0, &rows).unwrap();
        let outboxes = has_rows.then(put).into_iter().collect();
        let list = &mut self.owed.lists[sink];
        list.extend(has_rows.then_some(number));
        SinkState {
            table: ["a", "b"][sink].into(),
            outboxes,
            publish: shows.then_some(Publication { first: self.owed.from[sink], last: number }),
            unrolled_from: self.owed.from[sink],
            unrolled: list.iter().copied().collect(),
            ..manifest.sinks[0].clone()
        }
    }

    /// What is in memory, what a start finds, and what it should be.
    fn check(&self) {
        let found = Ledger::open(self.store.clone(), None, JOB).unwrap();
        let (newest, known) = (found.newest().unwrap(), self.ledger.newest().unwrap());
        assert_eq!(newest, known);
        for (sink, list) in newest.sinks.iter().zip(&self.owed.lists).filter(|(sink, _)| sink.publish.is_none()) {
            assert!(
                sink.unrolled.iter().eq(list),
                "{} at {}: {:?} is not {list:?}",
                sink.table,
                newest.checkpoint,
                sink.unrolled
            );
        }
        for sink in &newest.sinks {
            for owed in &sink.unrolled {
                let manifest = found.manifest(*owed).unwrap();
                let own = manifest.sinks.iter().filter(|s| s.table == sink.table).flat_map(|s| &s.outboxes);
                let read =
                    own.map(|outbox| found.outbox(outbox).unwrap().map(|b| b.unwrap().num_rows()).sum::<usize>());
                assert_eq!(read.collect::<Vec<_>>(), [1], "rows of {} at {owed}", sink.table);
            }
        }
        let report = found.verify().unwrap();
        assert!(report.damaged.is_empty() && report.strays.is_empty(), "{report}");
    }

    /// Both copies of the first fold point, and its number.
    fn fold_point(&self) -> (u64, [String; 2]) {
        let raw = |checkpoint| self.ledger.manifest(checkpoint).unwrap();
        let mut point = self.ledger.newest().unwrap().folded.clone().unwrap().checkpoint;
        while let Some(before) = raw(point).folded {
            point = before.checkpoint;
        }
        (point, [names::manifest(point), names::copy(point)])
    }
}

#[test]
fn lists_are_whole_whatever_comes_and_goes() {
    for seed in 0..12 {
        let (mut scene, mut random) = (Scene::new(), Random(seed));
        // How often a sink has rows, shows them, and loses some that are made again.
        let [rows, shows, loses] = [[1, 2, 9], [30, 100, u64::MAX], [200, 50, 100]].map(|of| of[seed as usize % 3]);
        for _ in 0..400 {
            if random.below(loses) == 0 && !scene.owed.lists[0].is_empty() {
                let lost = random.below(scene.owed.lists[0].len() as u64) as usize;
                let lost = *scene.owed.lists[0].iter().nth(lost).unwrap();
                scene.owed.lists[0].remove(&lost);
            }
            let quiet = [random.below(rows) > 0, random.below(3) > 0];
            scene.make(quiet.map(|quiet| !quiet), [random.below(shows) == 0, false]);
            if random.below(10) == 0 {
                scene.check();
                scene.ledger = Ledger::open(scene.store.clone(), None, JOB).unwrap();
            }
        }
        scene.check();
    }
}

#[test]
fn manifests_stay_short_and_what_is_written_grows_with_the_checkpoints() {
    let mut scene = Scene::new();
    let mut bytes = |until: u64| {
        while scene.newest() < until {
            scene.make([true, true], [false, false]);
        }
        scene.check();
        (scene.longest, scene.all)
    };
    let few = bytes(150);
    let many = bytes(600);
    println!("longest and all: {few:?} of 150, {many:?} of 600");
    // Beside the lists there is a restore point a minute.
    assert!(many.0 < few.0 + 8 * 200, "{few:?} {many:?}");
    assert!(many.1 < 5 * few.1, "{few:?} {many:?}");
}

/// It has no rows and is no restore point any more: it is kept because others name it.
#[test]
fn a_fold_point_without_rows_is_kept_for_its_list() {
    let mut scene = Scene::new();
    for number in 1..=300 {
        scene.make([number < 60, false], [false, false]);
        let folded = scene.ledger.newest().unwrap().folded.as_ref().map(|f| f.checkpoint);
        assert_eq!(folded.is_some(), number > UNFOLDED_MAX as u64 + 5, "{number}");
    }
    scene.check();
    scene.make([false, false], [true, false]);
    scene.make([false, false], [false, false]);
    assert_eq!(scene.ledger.newest().unwrap().folded, None);
    scene.check();
}

#[test]
fn a_copy_stands_alone() {
    let mut scene = Scene::new();
    (0..100).for_each(|_| scene.make([true, false], [false, false]));
    let copy = Arc::new(MemoryStore::new());
    scene.ledger.copy_to(copy.clone()).unwrap();
    scene.ledger = Ledger::open(copy.clone(), None, JOB).unwrap();
    scene.store = copy;
    scene.check();
    (0..100).for_each(|_| scene.make([true, false], [false, false]));
    scene.check();
}

#[test]
fn a_fold_point_has_two_copies() {
    let mut scene = Scene::new();
    (0..100).for_each(|_| scene.make([true, false], [false, false]));
    let (_, copies) = scene.fold_point();
    for name in copies {
        let whole = scene.store.get(&name).unwrap().unwrap();
        scene.store.put(&name, &[b"rot"]).unwrap();
        let found = Ledger::open(scene.store.clone(), None, JOB).unwrap();
        assert_eq!(found.newest(), scene.ledger.newest());
        assert_eq!(found.verify().unwrap().damaged.len(), 1);
        scene.store.put(&name, &[&whole]).unwrap();
    }
}

#[test]
fn behind_a_lost_fold_point_everything_counts_as_owed_and_stays() {
    for missing in [false, true] {
        let mut scene = Scene::new();
        (0..100).for_each(|n| scene.make([n % 2 == 0, false], [false, false]));
        let (point, copies) = scene.fold_point();
        let whole = copies.each_ref().map(|name| scene.store.get(name).unwrap().unwrap());
        match missing {
            true => scene.store.delete(&copies.each_ref().map(String::as_str)).unwrap(),
            false => copies.iter().for_each(|name| scene.store.put(name, &[b"rot"]).unwrap()),
        }
        let files = scene.store.list().unwrap();
        scene.ledger = Ledger::open(scene.store.clone(), None, JOB).unwrap();
        let owed = scene.ledger.newest().unwrap().sinks[0].unrolled.clone();
        let known = scene.owed.lists[0].iter().copied().filter(|owed| *owed > point);
        assert!(owed.iter().copied().eq((1..=point).chain(known)), "{owed:?}");
        let names_it = |error: &LedgerError| error.to_string().contains(&copies[0]);
        assert!((1..=point).all(|n| scene.ledger.restore_points().contains(&n) || names_it(&scene.ledger.manifest(n).unwrap_err())));
        assert!(scene.ledger.verify().unwrap().damaged.iter().any(names_it));
        assert!(names_it(&scene.ledger.copy_to(Arc::new(MemoryStore::new())).unwrap_err()));
        // Nothing goes that may be needed when it comes back; and then everything is as it was.
        let lists = std::mem::take(&mut scene.owed.lists[0]);
        scene.owed.lists[0] = owed.into_iter().collect();
        (0..60).for_each(|_| scene.make([true, false], [false, false]));
        let left = scene.store.list().unwrap();
        let up_to = |name: &&String| names::parse(name).unwrap().0 <= point;
        assert!(files.iter().filter(up_to).all(|name| left.contains(name)));
        copies.iter().zip(&whole).for_each(|(name, text)| scene.store.put(name, &[text]).unwrap());
        scene.ledger = Ledger::open(scene.store.clone(), None, JOB).unwrap();
        scene.owed.lists[0] = lists.into_iter().chain(101..=160).collect();
        scene.make([true, false], [false, false]);
        scene.check();
    }
}
