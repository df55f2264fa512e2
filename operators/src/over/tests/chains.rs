//! What a restart finds after a chain of deltas, case by case; random ones are in [`super::oracle`].

use super::bounded::{over, rows};
use crate::over::keys::State;
use crate::over::operator::Over;
use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use highwater_engine::hash::{hash_i64, key_group};
use highwater_engine::operator::{Operator, Output};
use highwater_engine::state::Snapshot;
use highwater_engine::state::codec::Writer;
use highwater_engine::time::{Progress, Watermark};

const KEY: i64 = 1;

/// The operators of a step on two workers: one owns the key, the other has never seen it. And what a restart finds.
struct Step {
    owner: Over,
    other: Over,
    chain: Snapshot,
}

impl Step {
    fn new() -> Self {
        let one = || {
            let mut over = over();
            over.written.chains.bytes_min = 0;
            over
        };
        Self { owner: one(), other: one(), chain: Snapshot::default() }
    }

    fn row(&mut self, at: i64) {
        self.owner.on_batch(0, rows(&[KEY], &[at]), &mut Output::default()).unwrap();
    }

    /// Tells both the watermark; says how many rows the owner answered.
    fn watermark(&mut self, ms: i64) -> usize {
        let progress = Progress { watermark: Watermark::new(ms), cut: 0 };
        let (mut out, mut none) = (Output::default(), Output::default());
        self.owner.on_watermark(progress, &mut out).unwrap();
        self.other.on_watermark(progress, &mut none).unwrap();
        assert!(none.batches.is_empty());
        out.batches.iter().map(|b| b.rows()).sum()
    }

    /// A checkpoint that is not the turn of the key's group.
    fn checkpoint(&mut self) {
        let turn = u64::from(key_group(hash_i64(KEY))) + 1;
        let mut next = Snapshot::of_turn(turn);
        for worker in [&mut self.owner, &mut self.other] {
            let mut own = Snapshot::of_turn(turn);
            worker.snapshot(&mut own).unwrap();
            next.merge(own);
        }
        self.chain.follow(next);
    }
}

#[test]
fn what_its_owner_has_dropped_no_other_worker_keeps() {
    let mut step = Step::new();
    step.watermark(500);
    step.row(1_000);
    step.checkpoint();
    for at in [2_000, 3_000] {
        step.row(at);
        step.checkpoint();
    }
    // deltas larger than what they go on from: the next part is whole
    assert_eq!(step.watermark(5_000), 3);
    for ms in [100_000, 200_000, 300_000] {
        step.watermark(ms);
    }
    step.checkpoint();
    assert_eq!(step.chain, Snapshot::default(), "all rows were answered and forgotten");
}

#[test]
fn rows_that_were_answered_and_forgotten_do_not_wait_again() {
    let mut step = Step::new();
    step.watermark(500);
    step.row(1_000);
    step.checkpoint();
    assert_eq!(step.watermark(5_000), 1);
    for ms in [100_000, 200_000, 300_000] {
        step.watermark(ms);
    }
    step.checkpoint();
    (step.owner, step.other) = (over(), over());
    step.owner.restore(step.chain.clone()).unwrap();
    assert_eq!(step.watermark(400_000), 0);
}

#[test]
fn entries_that_are_not_in_the_order_of_their_times_are_damage() {
    let near = |v| {
        let mut w = Writer::new();
        w.near(v);
        w.finish()
    };
    let mut step = Step::new();
    step.row(1_000);
    step.row(1_300);
    assert_eq!(step.watermark(1_400), 2);
    step.checkpoint();
    let (group, mut parts) = step.chain.into_groups().next().unwrap();
    let (later, earlier) = (near(300), near(-300));
    let at: Vec<usize> = (0..parts[0].len()).filter(|i| parts[0][*i..].starts_with(&later)).collect();
    let [at] = at[..] else { panic!("the second entry stands at {at:?}") };
    for (time, expected) in [(&later, true), (&earlier, false)] {
        parts[0][at..at + time.len()].copy_from_slice(time);
        let mut damaged = Snapshot::default();
        damaged.put(group, parts[0].clone());
        let mut restored = over();
        restored.restore(damaged).unwrap();
        restored.on_batch(0, rows(&[KEY], &[1_500]), &mut Output::default()).unwrap();
        let progress = Progress { watermark: Watermark::new(2_000), cut: 0 };
        let answered = restored.on_watermark(progress, &mut Output::default());
        assert_eq!(
            answered.map_err(|e| e.to_string().contains("order of their times")),
            expected.then_some(()).ok_or(true)
        );
    }
}

#[test]
fn a_part_of_a_newer_program_is_not_called_damaged() {
    let mut step = Step::new();
    step.row(1_000);
    assert_eq!(step.watermark(1_400), 1);
    step.checkpoint();
    let (group, mut parts) = step.chain.into_groups().next().unwrap();
    parts[0][0] = 99;
    let mut newer = Snapshot::default();
    newer.put(group, parts.swap_remove(0));
    let error = over().restore(newer).unwrap_err().to_string();
    assert!(error.contains("version 99") && error.contains("--fresh") && !error.contains("damaged"), "{error}");
}

const KEYS: [i64; 5] = [1, 2, 3, 4, 5];

/// Rows of these keys at this time, answered; the counts.
fn answer(over: &mut Over, keys: &[i64], at: i64) -> Vec<i64> {
    let mut out = Output::default();
    over.on_batch(0, rows(keys, &vec![at; keys.len()]), &mut out).unwrap();
    over.on_watermark(Progress { watermark: Watermark::new(at + 1), cut: 0 }, &mut out).unwrap();
    let counts = |b: &highwater_engine::batch::Batch| b.column(2).as_primitive::<Int64Type>().values().to_vec();
    out.batches.iter().flat_map(counts).collect()
}

/// How many keys have logs.
fn logs(over: &Over) -> usize {
    let table = &over.logs.table;
    (0..table.places()).filter(|place| table.head(*place).state() != State::Free).count()
}

/// An operator with a whole part and a delta of each key, and one that goes on from these.
fn restarted() -> (Over, Over) {
    let (mut running, mut chain) = (over(), Snapshot::default());
    for at in [1_000, 1_100] {
        answer(&mut running, &KEYS, at);
        // Of no group's turn: the first is whole nevertheless.
        let mut next = Snapshot::of_turn(0);
        assert!(KEYS.iter().all(|key| at == 1_000 || !next.is_whole(key_group(hash_i64(*key)))));
        running.snapshot(&mut next).unwrap();
        chain.follow(next);
    }
    let mut restored = over();
    restored.restore(chain).unwrap();
    (running, restored)
}

#[test]
fn a_key_is_entered_with_its_first_row_after_a_restart() {
    let (_, mut restored) = restarted();
    assert_eq!(logs(&restored), 0);
    assert_eq!(answer(&mut restored, &[2, 9], 1_200), [3, 1]);
    assert_eq!(logs(&restored), 2);
    assert_eq!(answer(&mut restored, &[2, 3], 1_300), [4, 3]);
    assert_eq!(logs(&restored), 3);
    // the entries at 1,000 are no longer seen, and those at 1,100 are
    assert_eq!(answer(&mut restored, &KEYS, 2_050), [2, 4, 3, 2, 2]);
}

#[test]
fn keys_without_a_row_are_forgotten_unread() {
    let (_, mut restored) = restarted();
    assert!(restored.logs.cold.memory() > 0);
    for at in [2_000, 2_110, 2_200] {
        answer(&mut restored, &[9], at);
    }
    assert!(restored.logs.cold.is_empty());
    assert_eq!(restored.logs.cold.memory(), 0);
    assert_eq!(answer(&mut restored, &[1], 2_300), [1]);
}

#[test]
fn a_group_is_written_whole_as_if_there_had_been_no_restart() {
    for first in [&[][..], &[2, 4]] {
        let (mut running, mut restored) = restarted();
        let whole = |over: &mut Over| {
            answer(over, first, 1_200);
            let mut whole = Snapshot::default();
            over.snapshot(&mut whole).unwrap();
            whole
        };
        assert_eq!(whole(&mut restored), whole(&mut running));
        assert_eq!(logs(&restored), KEYS.len());
        assert!(restored.logs.cold.is_empty());
    }
}
