//! What a restart finds after a chain of deltas, case by case; random ones are in [`super::oracle`].

use super::bounded::{over, rows};
use crate::over::operator::Over;
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
            over.written.chain_bytes_min = 0;
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
        let restored = over().restore(damaged);
        assert_eq!(
            restored.map_err(|e| e.to_string().contains("order of their times")),
            expected.then_some(()).ok_or(true)
        );
    }
}
