//! The window operators against a naive model, on random rows of random partitions.
//!
//! The model ([`model`]) takes each row, tries every window around it, applies the rule of lateness (`end ≤ tag` refuses)
//! and keeps all values of every key and window in a list; aggregates are computed from the lists. Sessions are cut from
//! the sorted rows of a key. The operator runs as one, as several wholes, and as combiners before mergers that get partial
//! results, rows or both, with any batch sizes and epochs, and goes on from its checkpoints: a chain of deltas, written and
//! restored into another number of workers at any epoch, also after it was killed long behind the last one. proptest prints
//! the case it shrank to.

mod berlin;
mod model;
mod whole;

use super::combine::Worth;
use super::window;
use crate::check::rows_of;
use arrow::array::{ArrayRef, UInt32Array};
use highwater_engine::batch::{Batch, ON_TIME};
use highwater_engine::graph::{CalendarWindows, Length, Node, WindowKind, WindowSpec};
use highwater_engine::hash::{hash_columns, key_group, owner};
use highwater_engine::operator::{Operator, Output};
use highwater_engine::parts::Role;
use highwater_engine::state::Snapshot;
use highwater_engine::time::{Progress, Watermark};
use model::*;
use proptest::prelude::*;

fn key_sets() -> Vec<Vec<usize>> {
    let few: [&[usize]; 7] = [&[], &[ID], &[NAME], &[ID, CODE], &[ID, NAME], &[OK], &[RATIO]];
    let many: [&[usize]; 4] = [&[ID, CODE, DAY], &[BIG], &[BIG, ID, CODE], &[ID, CODE, DAY, OK, RATIO]];
    few.iter().chain(&many).map(|k| k.to_vec()).collect()
}

/// One random job.
#[derive(Clone, Debug)]
struct Case {
    kind: WindowKind,
    keys: Vec<usize>,
    aggregates: Vec<usize>,
    /// Partition, step in event time, distance back, cells.
    rows: Vec<(usize, i64, i64, Vec<Val>)>,
    partitions: usize,
    delay: i64,
    start: i64,
    /// Rows of an epoch, and of a batch.
    epoch: usize,
    batch: usize,
    /// Workers before and behind the exchange, epoch by epoch.
    workers: Vec<(usize, usize)>,
    /// Watermarks reach operators an epoch late: rows of the next epoch come first.
    lag: bool,
    /// Rows that every combiner passes on at first, whether the keys of some rows are hot then.
    pass: usize,
    hot: bool,
    /// Whether rows know where they come from.
    places: bool,
    /// What is done behind each epoch, again and again, of a job that keeps state.
    then: Vec<Then>,
    /// The number of the first checkpoint; bytes of deltas that are no reason to write a key group whole.
    checkpoint: u64,
    chain_bytes_min: usize,
}

/// What is done behind an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Nothing,
    /// The state is written.
    Checkpoint,
    /// The same, and a restart goes on from there.
    Restart,
    /// A restart goes on from the last checkpoint.
    Die,
}

/// Times that a job dies at most: else one that writes nothing would never end.
const DEATHS_MAX: usize = 5;

fn thens() -> impl Strategy<Value = Vec<Then>> {
    let any = prop_oneof![
        2 => Just(Then::Nothing), 4 => Just(Then::Checkpoint), 2 => Just(Then::Restart), 1 => Just(Then::Die),
    ];
    prop_oneof![1 => Just(vec![Then::Restart]), 4 => prop::collection::vec(any, 1..9)]
}

fn cells() -> impl Strategy<Value = Vec<Val>> {
    let int =
        |range: std::ops::Range<i64>| prop_oneof![6 => range.prop_map(|v| Val::Int(v.into())), 1 => Just(Val::Null)];
    let big = prop_oneof![Just(0i128), Just(7), Just(-(10i128.pow(29))), Just(10i128.pow(29) + 1), Just(1 << 70)];
    (
        int(0..4),
        prop_oneof![Just(Val::Null), "[ab]{0,2}".prop_map(Val::Text)],
        int(-9..9),
        int(-500..500),
        prop_oneof![4 => big.prop_map(Val::Int), 1 => Just(Val::Null)],
        int(-3000..3000),
        int(0..2),
        int(0..3),
    )
        .prop_map(|(a, b, c, d, e, f, g, h)| vec![a, b, c, d, e, f, g, h])
}

fn tumble() -> impl Strategy<Value = WindowKind> {
    (1i64..30, -40i64..40).prop_map(|(size_ms, offset_ms)| WindowKind::Tumble { size_ms, offset_ms })
}

fn hop() -> impl Strategy<Value = WindowKind> {
    let kind = |(slide_ms, size_ms, offset_ms)| WindowKind::Hop { slide_ms, size_ms, offset_ms };
    (1i64..12, 1i64..40, -40i64..40).prop_map(kind)
}

fn cumulate() -> impl Strategy<Value = WindowKind> {
    let kind = |(step_ms, steps, offset_ms)| WindowKind::Cumulate { step_ms, size_ms: step_ms * steps, offset_ms };
    (1i64..10, 1i64..8, -40i64..40).prop_map(kind)
}

fn session() -> impl Strategy<Value = WindowKind> {
    (1i64..40).prop_map(|gap_ms| WindowKind::Session { gap_ms })
}

/// Windows of Berlin's calendar: rows lie some minutes apart, around the days on which clocks were set.
fn calendar() -> impl Strategy<Value = WindowKind> {
    let (half, hour, day) = (30 * MINUTE, 60 * MINUTE, 24 * 60 * MINUTE);
    let kinds = [
        (Length::Ms(day), Length::Ms(day), false),
        (Length::Ms(hour), Length::Ms(hour), false),
        (Length::Ms(half), Length::Ms(2 * hour), false),
        (Length::Ms(6 * hour), Length::Ms(day), false),
        (Length::Ms(day), Length::Ms(7 * day), false),
        (Length::Ms(half), Length::Ms(6 * hour), true),
        (Length::Ms(6 * hour), Length::Ms(day), true),
        (Length::Ms(day), Length::Ms(7 * day), true),
        (Length::Ms(day), Length::Months(1), true),
        (Length::Months(1), Length::Months(1), false),
        (Length::Months(1), Length::Months(3), false),
    ];
    let offset = prop_oneof![2 => Just(0i64), 1 => -7i64..8];
    (prop::sample::select(kinds.to_vec()), offset).prop_map(|((step, size, growing), shift)| {
        let offset_ms = match size {
            Length::Ms(ms) if ms <= 2 * 60 * MINUTE => shift * MINUTE,
            _ => shift * 30 * MINUTE,
        };
        WindowKind::Calendar(CalendarWindows { step, size, growing, offset_ms, zone: "Europe/Berlin".into() })
    })
}

const MINUTE: i64 = 60_000;

fn cases(kinds: impl Strategy<Value = WindowKind>, rows: usize) -> impl Strategy<Value = Case> {
    let row =
        (0usize..3, prop_oneof![8 => 0i64..4, 1 => 0i64..60], prop_oneof![4 => Just(0i64), 1 => 0i64..50], cells());
    let what = (kinds, prop::sample::select(key_sets()), prop::collection::vec(0..aggregates().len(), 1..7));
    let how = (1usize..4, 0i64..20, -100i64..100, prop_oneof![Just(1usize), Just(7), Just(1000), Just(usize::MAX)]);
    let run = (prop_oneof![Just(1usize), Just(5), Just(8192)], prop::collection::vec((1usize..4, 1usize..5), 1..4));
    (
        what,
        prop::collection::vec(row, 0..rows),
        how,
        run,
        (any::<bool>(), prop_oneof![Just(0usize), 0usize..40, Just(usize::MAX)], any::<bool>(), any::<bool>()),
        (thens(), 0u64..200, prop_oneof![Just(0usize), Just(300), Just(1 << 20)]),
    )
        .prop_map(
            |(
                (kind, keys, aggregates),
                rows,
                (partitions, delay, start, epoch),
                (batch, workers),
                (lag, pass, hot, places),
                (then, checkpoint, chain_bytes_min),
            )| Case {
                kind,
                keys,
                aggregates,
                rows,
                partitions,
                delay,
                start,
                epoch,
                batch,
                workers,
                lag,
                pass,
                hot,
                places,
                then,
                checkpoint,
                chain_bytes_min,
            },
        )
}

/// Rows of one epoch by partition, and the job's watermark behind them.
type Epoch = (Vec<Vec<Row>>, i64);

impl Case {
    /// How combiners begin. Every third key of the rows is hot, if any is.
    fn worth(&self) -> Worth {
        let cells = self.rows.iter().filter(|_| self.hot).map(|r| &r.3);
        let rows: Vec<Row> = cells.map(|c| Row { time: 0, tag: ON_TIME, place: (0, 0), cells: c.clone() }).collect();
        let all = batch(&rows, false);
        let keys: Vec<ArrayRef> = self.keys.iter().map(|k| all.column(*k).clone()).collect();
        let hot = hash_columns(&keys, rows.len()).iter().copied().filter(|h| h % 3 == 0).collect();
        Worth::passing(self.pass, hot)
    }

    /// What the sources deliver.
    fn epochs(&self) -> Vec<Epoch> {
        let mut max = vec![i64::MIN; self.partitions];
        // calendar windows are long
        let (base, unit) = match self.kind {
            WindowKind::Calendar(_) => (berlin::CHANGES[self.start.rem_euclid(2) as usize], 20 * MINUTE - 1),
            _ => (0, 1),
        };
        let delay = self.delay * unit;
        let watermark = |max: i64| if max == i64::MIN { i64::MIN } else { max - delay + 1 };
        let (mut epochs, mut now) = (vec![], base + self.start * unit);
        let mut epoch = vec![vec![]; self.partitions];
        for (i, (p, step, back, cells)) in self.rows.iter().enumerate() {
            now += step * unit;
            let (p, time) = (p % self.partitions, now - back * unit);
            let w = watermark(max[p]);
            let place = (p as u64, i as i64);
            epoch[p].push(Row { time, tag: if time < w { w } else { ON_TIME }, place, cells: cells.clone() });
            max[p] = max[p].max(time);
            if (i + 1) % self.epoch == 0 {
                let w = max.iter().map(|m| watermark(*m)).min().unwrap_or(i64::MIN);
                epochs.push((std::mem::replace(&mut epoch, vec![vec![]; self.partitions]), w));
            }
        }
        epochs.push((epoch, i64::MAX));
        if self.lag {
            let late: Vec<i64> = std::iter::once(i64::MIN).chain(epochs.iter().map(|e| e.1)).collect();
            epochs.iter_mut().zip(late).for_each(|(e, w)| e.1 = w);
            epochs.push((vec![vec![]; self.partitions], i64::MAX));
        }
        epochs
    }
}

/// Operators of one role on several workers.
struct Stage<'a> {
    case: &'a Case,
    node: &'a Node,
    spec: &'a WindowSpec,
    role: Role,
    workers: Vec<Box<dyn Operator>>,
}

impl<'a> Stage<'a> {
    fn new(case: &'a Case, node: &'a Node, spec: &'a WindowSpec, role: Role, n: usize) -> Self {
        let make = |_| -> Box<dyn Operator> {
            if let WindowKind::Session { .. } = spec.window {
                return crate::operator(node, &input(), role).unwrap();
            }
            let mut op = window(node, spec, &input(), role).unwrap();
            if role == Role::Combine {
                op.worth = case.worth();
            }
            op.written.chains.bytes_min = case.chain_bytes_min;
            Box::new(op)
        };
        let workers = (0..n).map(make).collect();
        Self { case, node, spec, role, workers }
    }

    /// Gives a batch to the owners of its keys, in pieces.
    fn exchange(&mut self, keys: &[usize], batch: &Batch, piece: usize, out: &mut Output) {
        let columns: Vec<ArrayRef> = keys.iter().map(|k| batch.column(*k).clone()).collect();
        let hashes = hash_columns(&columns, batch.rows());
        assert!(batch.hashes().is_none_or(|h| *h == hashes), "a combiner's hashes are those of its keys");
        let peers = self.workers.len();
        for (w, op) in self.workers.iter_mut().enumerate() {
            let mine = |i: &u32| owner(key_group(hashes[*i as usize]), peers) == w;
            let rows: Vec<u32> = (0..batch.rows() as u32).filter(mine).collect();
            for rows in rows.chunks(piece.max(1)) {
                op.on_batch(0, batch.take(&UInt32Array::from(rows.to_vec())), out).unwrap();
            }
        }
    }

    fn watermark(&mut self, w: i64, out: &mut Output) {
        let progress = Progress { watermark: Watermark::new(w), cut: 0 };
        self.workers.iter_mut().for_each(|op| op.on_watermark(progress, out).unwrap());
    }

    /// What all of them write at the checkpoint of this number.
    fn snapshot(&mut self, checkpoint: u64) -> Snapshot {
        let mut all = Snapshot::of_turn(checkpoint);
        for op in &mut self.workers {
            let mut one = Snapshot::of_turn(checkpoint);
            op.snapshot(&mut one).unwrap();
            all.merge(one);
        }
        all
    }

    fn restored(&self, mut from: Snapshot, n: usize) -> Self {
        let mut new = Self::new(self.case, self.node, self.spec, self.role, n);
        for (w, op) in new.workers.iter_mut().enumerate() {
            op.restore(from.take_for_worker(w, n)).unwrap();
        }
        new
    }
}

/// A job on its way: combiners, if it has some, and what is behind the exchange.
struct Job<'a> {
    case: &'a Case,
    before: Option<Stage<'a>>,
    behind: Stage<'a>,
    out: Output,
    refused: u64,
    kept: Kept,
}

/// The newest checkpoint.
#[derive(Default)]
struct Kept {
    /// Epochs read.
    epochs: usize,
    /// Batches that came out, and rows refused before the exchange and behind it.
    batches: usize,
    refused: [u64; 2],
    /// What a restart finds: of the owners of keys, and of combiners.
    chain: Snapshot,
    combined: Snapshot,
}

impl<'a> Job<'a> {
    fn new(case: &'a Case, node: &'a Node, spec: &'a WindowSpec, combine: bool) -> Self {
        let (k, m) = case.workers[0];
        let before = combine.then(|| Stage::new(case, node, spec, Role::Combine, k));
        let behind = Stage::new(case, node, spec, if combine { Role::Merge } else { Role::Whole }, m);
        Self { case, before, behind, out: Output::default(), refused: 0, kept: Kept::default() }
    }

    fn epoch(&mut self, (rows, w): &Epoch) {
        let Self { case, before, behind, out, refused, .. } = self;
        let keys = &behind.spec.keys;
        let first: Vec<usize> = (0..keys.len()).collect();
        for (p, rows) in rows.iter().enumerate() {
            for rows in rows.chunks(case.batch) {
                match before {
                    None => behind.exchange(keys, &batch(rows, case.places), case.batch, out),
                    Some(before) => {
                        let mut sent = Output::default();
                        let at = p % before.workers.len();
                        before.workers[at].on_batch(0, batch(rows, false), &mut sent).unwrap();
                        *refused += sent.refused;
                        sent.batches.iter().for_each(|b| behind.exchange(&first, b, case.batch, out));
                    }
                }
            }
        }
        if let Some(before) = before {
            let mut sent = Output::default();
            before.watermark(*w, &mut sent);
            sent.batches.iter().for_each(|b| behind.exchange(&first, b, 3, out));
        }
        behind.watermark(*w, out);
    }

    fn checkpoint(&mut self, number: u64, epochs: usize) {
        self.kept.chain.follow(self.behind.snapshot(number));
        self.kept.combined = self.before.as_mut().map_or_else(Snapshot::default, |b| b.snapshot(number));
        self.kept.epochs = epochs;
        (self.kept.batches, self.kept.refused) = (self.out.batches.len(), [self.refused, self.out.refused]);
    }

    /// Goes on from the newest checkpoint with other workers; says behind which epoch.
    fn restart(&mut self, step: usize) -> usize {
        let (k, m) = self.case.workers[step % self.case.workers.len()];
        let Kept { epochs, batches, refused, chain, combined } = &self.kept;
        self.out.batches.truncate(*batches);
        [self.refused, self.out.refused] = *refused;
        let mut state = chain.clone();
        if let Some(b) = &mut self.before {
            // a combiner's state goes to combiners, or to the owners behind the exchange
            let to_owners = step % 2 == 1;
            if to_owners {
                state.merge(combined.clone());
            }
            *b = b.restored(if to_owners { Snapshot::default() } else { combined.clone() }, k);
        }
        self.behind = self.behind.restored(state, m);
        *epochs
    }
}

/// Results, sorted, and refused rows of a run. `combine` puts combiners before the exchange; `keep`: the job keeps state,
/// and dies.
fn run(case: &Case, node: &Node, spec: &WindowSpec, combine: bool, keep: bool) -> (Vec<String>, u64) {
    let mut job = Job::new(case, node, spec, combine);
    let epochs = case.epochs();
    let (mut at, mut step, mut number, mut deaths) = (0, 0, case.checkpoint, 0);
    while at < epochs.len() {
        job.epoch(&epochs[at]);
        at += 1;
        let then = if keep { case.then[step % case.then.len()] } else { Then::Nothing };
        step += 1;
        if matches!(then, Then::Checkpoint | Then::Restart) {
            job.checkpoint(number, at);
            number += 1;
        }
        deaths += usize::from(then == Then::Die);
        if then == Then::Restart || then == Then::Die && deaths <= DEATHS_MAX {
            at = job.restart(step);
        }
    }
    assert!(job.behind.snapshot(number).bytes() == 0, "no state is left at the end");
    let mut lines: Vec<String> = job.out.batches.iter().flat_map(rows_of).collect();
    lines.sort();
    (lines, job.refused + job.out.refused)
}

fn agree(case: &Case) {
    let all = aggregates();
    let (node, spec) =
        node(case.kind.clone(), case.keys.clone(), case.aggregates.iter().map(|a| all[*a].clone()).collect());
    let rows: Vec<Row> = case.epochs().into_iter().flat_map(|(p, _)| p).flatten().collect();
    let expected = naive(&node, &spec, &rows, case.places);
    let combines = super::partials(&spec, &input()).is_some() && !matches!(spec.window, WindowKind::Session { .. });
    for (combine, keep) in [(false, false), (true, false), (false, true), (true, true)] {
        if combine && !combines {
            continue;
        }
        let found = run(case, &node, &spec, combine, keep);
        assert!(found == expected, "combine {combine}, keep {keep}\nexpected {expected:#?}\nfound {found:#?}");
    }
}

// Tests of their own, which run at the same time.
proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, max_shrink_iters: 4000, ..ProptestConfig::default() })]
    #[test]
    fn few_rows_of_tumbling_windows_agree_with_the_model(case in cases(tumble(), 30)) {
        agree(&case);
    }
    #[test]
    fn few_rows_of_hopping_windows_agree_with_the_model(case in cases(hop(), 30)) {
        agree(&case);
    }
    #[test]
    fn few_rows_of_cumulating_windows_agree_with_the_model(case in cases(cumulate(), 30)) {
        agree(&case);
    }
    #[test]
    fn few_rows_of_calendar_windows_agree_with_the_model(case in cases(calendar(), 30)) {
        agree(&case);
    }
    #[test]
    fn few_rows_of_sessions_agree_with_the_model(case in cases(session(), 40)) {
        agree(&case);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, max_shrink_iters: 500, ..ProptestConfig::default() })]
    #[test]
    fn many_rows_agree_with_the_model(case in cases(prop_oneof![tumble(), hop(), cumulate(), calendar(), session()], 1500)) {
        agree(&case);
    }
}
