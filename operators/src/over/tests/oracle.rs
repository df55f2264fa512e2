//! Against a naive model: every row is answered by looking at all rows.
//!
//! The operators run as a job would run them: rows of random partitions interleaved at random, random batches, epochs of 1
//! row, 1,000 rows or everything, and progress that lags behind the rows. Checkpoints are taken at random, each a link of a
//! chain of deltas; and at random a job is killed, also long behind its last checkpoint, and goes on from that with another
//! number of workers.

use super::super::operator::Over;
use super::random::{Random, Row, Val, ZONES, batch, node, partitions, schema, types, values};
use arrow::datatypes::DataType;
use highwater_engine::batch::{Batch, Identity, ON_TIME};
use highwater_engine::graph::*;
use highwater_engine::hash::{hash_columns, key_group, owner};
use highwater_engine::operator::{Operator, Output};
use highwater_engine::state::Snapshot;
use highwater_engine::time::{Progress, Watermark};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Answers by row number: calls, then pseudo-columns; `None` if the row is refused.
type Answers = BTreeMap<i64, Vec<Option<Val>>>;

fn aggregate(a: &Aggregate, frame: &[&Row]) -> Option<Val> {
    use AggregateFunction::*;
    let counts = frame.iter().filter(|r| a.filter.is_none_or(|f| r.columns[f] == Some(Val::Number(1))));
    let Some(column) = a.argument else { return Some(Val::Number(counts.count() as i128)) };
    let mut values: Vec<Val> = counts.filter_map(|r| r.columns[column].clone()).collect();
    match a.function {
        FirstValue => return values.first().cloned(),
        LastValue => return values.last().cloned(),
        NthValue { n } => return values.get(n as usize - 1).cloned(),
        _ => values.sort(),
    }
    if a.distinct {
        values.dedup();
    }
    let n = values.len() as i128;
    let numbers = || values.iter().map(|v| if let Val::Number(n) = v { *n } else { panic!("not a number") });
    let shift = match (&types()[column], &a.returns) {
        (DataType::Decimal128(_, from), DataType::Decimal128(_, to)) => 10i128.pow((to - from) as u32),
        _ => 1,
    };
    let decimal = matches!(a.returns, DataType::Decimal128(..));
    match a.function {
        Count => Some(Val::Number(n)),
        Min | BoolAnd => values.first().cloned(),
        Max | BoolOr => values.last().cloned(),
        _ if n == 0 => None,
        Sum => Some(Val::Number(numbers().sum())),
        Avg => {
            let (total, sign) = (numbers().sum::<i128>() * shift, numbers().sum::<i128>().signum());
            let half = if decimal { n } else { 0 };
            Some(Val::Number(sign * ((2 * total.abs() + half) / (2 * n))))
        }
        PercentileCont { millionths } => {
            let values: Vec<i128> = numbers().collect();
            let at = (n - 1) * i128::from(millionths);
            let (low, rest) = ((at / 1_000_000) as usize, at % 1_000_000);
            let above = values[(low + 1).min(values.len() - 1)];
            let up = if types()[column] == DataType::Int32 { 1_000_000 } else { shift };
            let top = (values[low] * (1_000_000 - rest) + above * rest) * up;
            let half = if decimal { 1_000_000 } else { 0 };
            Some(Val::Number(top.signum() * ((2 * top.abs() + half) / 2_000_000)))
        }
        StddevSamp | VarSamp if n < 2 => None,
        VarSamp | VarPop => {
            let (total, squares) = (numbers().sum::<i128>(), numbers().map(|v| v * v).sum::<i128>());
            let below = n * if a.function == VarSamp { n - 1 } else { n };
            let above = n * squares - total * total;
            // cents² have a scale of 4, the result of 6
            Some(Val::Number(if decimal { (2 * above * 100 / below + 1) / 2 } else { above / below }))
        }
        _ => {
            // the wide column holds multiples of 10^26: taken out before squaring
            let unit = if types()[column] == DataType::Decimal128(30, 3) { 10i128.pow(26) } else { 1 };
            let total: i128 = numbers().map(|v| v / unit).sum();
            let squares: i128 = numbers().map(|v| (v / unit).pow(2)).sum();
            let below = n * if a.function == StddevSamp { n - 1 } else { n };
            let above = n * squares - total * total;
            Some(Val::Number(root(above, below, unit * shift, decimal)))
        }
    }
}

/// √(above / below) · unit, half up (or truncated): digit by digit, in decimal, by comparing squares.
fn root(above: i128, below: i128, unit: i128, half_up: bool) -> i128 {
    use arrow::datatypes::i256;
    let (above, below) = (i256::from_i128(above), i256::from_i128(below));
    let unit = i256::from_i128(unit);
    let target = above.wrapping_mul(unit).wrapping_mul(unit).wrapping_mul(i256::from_i128(4));
    // the largest r with r² · below ≤ 4 · above · unit²
    let (mut r, mut bit) = (0i128, 1i128 << 110);
    while bit > 0 {
        let next = i256::from_i128(r + bit);
        if next.wrapping_mul(next).wrapping_mul(below) <= target {
            r += bit;
        }
        bit >>= 1;
    }
    if half_up { (r + 1) / 2 } else { r / 2 }
}

/// The start of the period that holds an instant of 1970, when these clocks were never set.
fn start_of(of: &StartOf, time: i64) -> i64 {
    let Length::Ms(length) = of.period else { panic!("{of}") };
    let ahead = ZONES.iter().find(|(zone, _)| *zone == of.zone).unwrap().1;
    (time + ahead) / length * length - ahead
}

/// The answers to `row`; `log` is in the order of rows, but for their event times.
fn answers(spec: &OverSpec, log: &[&Row], row: &Row) -> Vec<Option<Val>> {
    let key = |r: &Row| spec.keys.iter().map(|k| r.columns[*k].clone()).collect::<Vec<_>>();
    let mut mine: Vec<&Row> = log.iter().filter(|r| key(r) == key(row)).copied().collect();
    mine.sort_by_key(|r| r.time);
    let at = mine.iter().position(|r| r.id == row.id).unwrap() as i64;
    let one = |c: &OverCall| {
        let f = &spec.frames[c.frame];
        let from = f.since.as_ref().map_or(row.time - f.start_ms, |s| start_of(s, row.time));
        let inside = |(i, r): &(i64, &Row)| {
            let in_time = (from..=row.time - f.end_ms).contains(&r.time);
            let in_rows = f.rows.is_none_or(|b| (i64::from(b.last)..=i64::from(b.first)).contains(&(at - i)));
            (in_time && in_rows && !(f.without_current && *i == at)) || (f.without_ties && *i == at)
        };
        if let AggregateFunction::Lag { offset } = c.aggregate.function {
            // the frame says how far back it may lie, no more
            let i = at - i64::from(offset);
            let back = f.rows.is_none_or(|b| offset <= b.first);
            let there = mine.get(usize::try_from(i).ok()?).filter(|r| back && r.time >= from);
            return aggregate(&Aggregate { function: AggregateFunction::FirstValue, ..c.aggregate.clone() }, &[there?]);
        }
        let frame: Vec<&Row> = (0..).zip(mine.iter().copied()).filter(inside).map(|(_, r)| r).collect();
        aggregate(&c.aggregate, &frame)
    };
    spec.calls.iter().map(one).collect()
}

/// What the semantics demand.
fn oracle(spec: &OverSpec, rows: &[&Row], identity: bool) -> Answers {
    match spec.emission {
        Emission::Final => {
            let mut on_time: Vec<&Row> = rows.iter().filter(|r| r.tag == ON_TIME).copied().collect();
            // without identity all columns decide: their first one is the row's number
            on_time.sort_by_key(|r| if identity { (r.partition, r.offset) } else { (0, r.id) });
            on_time.iter().map(|r| (r.id, answers(spec, &on_time, r))).collect()
        }
        Emission::Arrival { late_horizon_ms } => {
            let mut order = rows.to_vec();
            order.sort_by_key(|r| (r.cut, r.partition, r.offset));
            let (mut log, mut out) = (Vec::new(), Answers::new());
            for row in order {
                let late = row.tag != ON_TIME;
                let incomplete = late && row.time < row.tag - late_horizon_ms;
                let mut answer = vec![None; spec.calls.len()];
                if !incomplete {
                    log.push(row);
                    answer = answers(spec, &log, row);
                }
                answer.extend([late, incomplete].map(|b| Some(Val::Number(b.into()))));
                out.insert(row.id, answer);
            }
            out
        }
    }
}

/// The operators of a job and what came out of them.
struct Job {
    node: Node,
    spec: OverSpec,
    /// Whether rows know where they come from.
    identity: bool,
    small_max: usize,
    workers: Vec<Over>,
    promised: Progress,
    found: Answers,
    emitted: Vec<Batch>,
    refused: u64,
    /// What a restart finds, and the number of the next checkpoint.
    chain: Snapshot,
    checkpoint: u64,
    /// Bytes of deltas that are no reason to write a key group whole.
    chain_bytes_min: usize,
}

/// Where a job stands: what a checkpoint says beside the state.
#[derive(Clone)]
struct Place {
    /// Rows read, by partition.
    read: Vec<usize>,
    /// Rows since the last epoch.
    in_epoch: usize,
    /// The progress to be told next, if it lags.
    behind: Progress,
}

/// What came out until a checkpoint.
struct Kept {
    place: Place,
    promised: Progress,
    found: Answers,
    emitted: usize,
    refused: u64,
}

impl Job {
    fn new(node: Node, spec: OverSpec, identity: bool, r: &mut Random) -> Self {
        let mut job = Self {
            node,
            spec,
            identity,
            small_max: r.pick(&[1, 2, 5, 64]),
            workers: Vec::new(),
            promised: Progress::START,
            found: Answers::new(),
            emitted: Vec::new(),
            refused: 0,
            chain: Snapshot::default(),
            checkpoint: r.below(1_000),
            chain_bytes_min: r.pick(&[0, 1_000, 16 << 10]),
        };
        job.start(1 + r.below(3) as usize);
        job
    }

    fn rows(&mut self, rows: &[&Row], with_hashes: bool) {
        let whole = batch(rows, self.identity);
        let keys: Vec<_> = self.spec.keys.iter().map(|k| whole.column(*k).clone()).collect();
        let hashes = hash_columns(&keys, whole.rows());
        let workers = self.workers.len();
        for (w, op) in self.workers.iter_mut().enumerate() {
            let mine: Vec<u32> =
                (0..rows.len()).filter(|i| owner(key_group(hashes[*i]), workers) == w).map(|i| i as u32).collect();
            let part = whole.clone().with_hashes(with_hashes.then(|| hashes.clone())).take(&mine.into());
            let mut out = Output::default();
            op.on_batch(0, part, &mut out).unwrap();
            assert!(out.batches.is_empty());
            self.refused += out.refused;
        }
    }

    fn watermark(&mut self, progress: Progress) {
        for w in 0..self.workers.len() {
            let mut out = Output::default();
            self.workers[w].on_watermark(progress, &mut out).unwrap();
            let times: Vec<i64> = out.batches.iter().flat_map(|b| b.times().iter().copied()).collect();
            if self.spec.emission == Emission::Final {
                assert!(times.is_sorted(), "results come in event-time order");
                assert!(times.iter().all(|t| *t >= self.promised.watermark.ms() && *t < progress.watermark.ms()));
            }
            out.batches.into_iter().for_each(|b| self.take(b));
        }
        self.promised = progress;
    }

    fn take(&mut self, b: Batch) {
        let width = schema().fields().len();
        let columns: Vec<_> = b.columns().columns().iter().map(values).collect();
        for i in 0..b.rows() {
            let Some(Val::Number(id)) = columns[0][i] else { panic!("a row has a number") };
            let answer = columns[width..].iter().map(|c| c[i].clone()).collect();
            assert!(self.found.insert(id as i64, answer).is_none(), "row {id} came out twice");
        }
        self.emitted.push(b);
    }

    /// Writes what has changed, and some key groups whole.
    fn checkpoint(&mut self) {
        let mut all = Snapshot::of_turn(self.checkpoint);
        for op in &mut self.workers {
            let mut s = Snapshot::of_turn(self.checkpoint);
            op.snapshot(&mut s).unwrap();
            all.merge(s);
        }
        self.chain.follow(all);
        self.checkpoint += 1;
    }

    /// Goes on from the newest checkpoint with so many new operators.
    fn start(&mut self, workers: usize) {
        let mut all = self.chain.clone();
        let mut fresh = |w| {
            let mut op = Over::new(&self.node, &self.spec, &schema(), self.small_max).unwrap();
            op.written.chains.bytes_min = self.chain_bytes_min;
            op.written.sign_bytes = (self.small_max < 64).then_some(0);
            op.restore(all.take_for_worker(w, workers)).unwrap();
            op
        };
        self.workers = (0..workers).map(&mut fresh).collect();
    }

    /// What a checkpoint keeps beside the state.
    fn kept(&self, place: &Place) -> Kept {
        let (place, found) = (place.clone(), self.found.clone());
        Kept { place, promised: self.promised, found, emitted: self.emitted.len(), refused: self.refused }
    }

    /// Is killed and goes on from what was kept; says where.
    fn die(&mut self, kept: &Kept, workers: usize) -> Place {
        self.start(workers);
        (self.promised, self.found, self.refused) = (kept.promised, kept.found.clone(), kept.refused);
        self.emitted.truncate(kept.emitted);
        kept.place.clone()
    }
}

/// W and cut of all partitions after `read[p]` rows of each.
fn progress(partitions: &[Vec<Row>], read: &[usize], delay: i64) -> Progress {
    let one = |(p, n): (&Vec<Row>, &usize)| {
        if *n == p.len() {
            return Progress::END;
        }
        match p[..*n].iter().map(|r| r.time).max() {
            None => Progress::START,
            Some(max) => Progress { watermark: Watermark::new(max - delay + 1), cut: p[*n - 1].cut },
        }
    };
    partitions.iter().zip(read).map(one).reduce(Progress::min).unwrap_or(Progress::END)
}

fn run(seed: u64, emission: Emission) {
    let r = &mut Random(seed);
    let rows = if r.chance(5) { 1_500 } else { 1 + r.below(120) as usize };
    let (parts, delay) = partitions(r, rows);
    let (node, spec) = node(r, emission);
    let all: Vec<&Row> = parts.iter().flatten().collect();
    let (epoch, batch_max, lag) = (r.pick(&[1, 7, 1_000, usize::MAX]), r.pick(&[1, 3, 64]), r.chance(50));
    // Percent of the epochs; a job that keeps nothing would never come to its end.
    let (checkpoints, deaths) = r.pick(&[(0, 0), (30, 5), (30, 20), (100, 5), (100, 40)]);
    let identity = emission != Emission::Final || r.chance(50);
    let mut job = Job::new(node, spec.clone(), identity, r);
    let mut at = Place { read: vec![0; parts.len()], in_epoch: 0, behind: Progress::START };
    let mut kept = job.kept(&at);
    while at.read.iter().zip(&parts).any(|(n, p)| *n < p.len()) {
        let open: Vec<usize> = (0..parts.len()).filter(|p| at.read[*p] < parts[*p].len()).collect();
        let p = r.pick(&open);
        let n = (1 + r.below(batch_max) as usize).min(parts[p].len() - at.read[p]);
        let rows: Vec<&Row> = parts[p][at.read[p]..at.read[p] + n].iter().collect();
        job.rows(&rows, r.chance(50));
        at.read[p] += n;
        at.in_epoch += n;
        if at.in_epoch < epoch {
            continue;
        }
        at.in_epoch = 0;
        let now = progress(&parts, &at.read, delay);
        // rows of the next epoch may be there before this one is complete
        job.watermark(if lag { std::mem::replace(&mut at.behind, now) } else { now });
        if r.chance(checkpoints) {
            job.checkpoint();
            kept = job.kept(&at);
        }
        if r.chance(deaths) {
            at = job.die(&kept, 1 + r.below(4) as usize);
        }
    }
    job.watermark(Progress::END);
    let expected = oracle(&spec, &all, identity);
    for row in &all {
        let (e, f) = (expected.get(&row.id), job.found.get(&row.id));
        assert_eq!(f, e, "found and expected answers of {row:?} by {:#?}", job.spec);
    }
    assert_eq!(job.found.len(), expected.len());
    assert_eq!(job.refused as usize, all.len() - expected.len());
    if identity {
        tags_and_identity_are_kept(&job, &all);
    }
}

fn tags_and_identity_are_kept(job: &Job, all: &[&Row]) {
    let by_id: BTreeMap<i64, &&Row> = all.iter().map(|r| (r.id, r)).collect();
    for b in &job.emitted {
        let Some(Identity::Arrival(a)) = b.identity() else { panic!("the identity is kept") };
        for (i, id) in values(b.column(0)).iter().enumerate() {
            let Some(Val::Number(id)) = id else { panic!("a row has a number") };
            let row = by_id[&(*id as i64)];
            assert_eq!((a.cuts[i], a.partitions[i], a.offsets[i]), (row.cut, row.partition, row.offset));
            assert_eq!((b.times()[i], b.tag(i).unwrap_or(ON_TIME)), (row.time, row.tag));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, max_shrink_iters: 0, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn final_answers_are_those_of_a_naive_model(seed: u64) {
        run(seed, Emission::Final);
    }

    #[test]
    fn arrival_answers_are_those_of_a_naive_model(seed: u64, late_horizon_ms in prop::sample::select(vec![0i64, 10, 60, 1_000])) {
        run(seed, Emission::Arrival { late_horizon_ms });
    }
}
