//! The operator: rows wait, take their turn, enter their key's log and are answered.

use super::ahead::Ahead;
use super::answer::{Answers, CallOverflow, Standing};
use super::frame::Starts;
use super::keys::{KeyTable, is_fixed};
use super::logs::Logs;
use super::measure::Totals;
use super::order;
use super::pick::Turn;
use super::plan::{Plan, TIME};
use super::snapshot::Written;
use super::waiting::{Held, Item, Waiting, sort_by_time};
use crate::aggregate::{describe_key, describe_time};
use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::compute::interleave;
use arrow::datatypes::SchemaRef;
use highwater_engine::batch::{Arrival, Batch, Identity, ON_TIME};
use highwater_engine::error::{BuildError, OperatorError};
use highwater_engine::graph::{Emission, Node, OverSpec};
use highwater_engine::hash::hash_columns;
use highwater_engine::operator::{Operator, Output};
use highwater_engine::state::Snapshot;
use highwater_engine::time::Progress;
use std::sync::Arc;

/// Rows of an output batch.
const BATCH_ROWS: usize = 2048;
/// Rows answered between two looks ahead.
const BLOCK_ROWS: usize = 32;

/// Places of the table of keys that are looked after with each watermark, and with each row in addition.
const TENDED_MIN: usize = 1024;
const TENDED_PER_ROW: usize = 8;

/// Trailing frames of one node on one worker.
pub struct Over {
    pub(super) plan: Arc<Plan>,
    pub(super) emission: Emission,
    pub(super) logs: Logs,
    pub(super) waiting: Waiting,
    /// Entries before this can matter to no row: neither to one that waits nor to one that may come.
    pub(super) keep_from: i64,
    /// The watermark up to which rows were answered.
    pub(super) fired: i64,
    pub(super) written: Written,
    scratch: Scratch,
}

/// Memory that is used again for every firing.
struct Scratch {
    ripe: Vec<Item>,
    /// Rows on their way to the queue, or the other half of a sort.
    spare: Vec<Item>,
    /// Rows emitted of those that are fired.
    emitted: usize,
    ahead: Ahead,
    /// For each row of a block, how many peers of its key stand behind it; empty if nothing asks for places.
    behind: Vec<u32>,
    entry: Vec<i64>,
    totals: Vec<Totals>,
    starts: Starts,
    answers: Answers,
}

impl Over {
    /// The operator of `node`. Logs beyond `small_max` entries are long ones: tests lower it.
    pub fn new(node: &Node, spec: &OverSpec, input: &SchemaRef, small_max: usize) -> Result<Self, BuildError> {
        let plan = Arc::new(Plan::new(node, spec, input)?);
        let types: Vec<_> = plan.keys.iter().map(|k| input.field(*k).data_type()).collect();
        let fixed = matches!(&types[..], [t] if is_fixed(t));
        let null_hash = if fixed { hash_columns(&[new_null_array(types[0], 1)], 1)[0] } else { 0 };
        let scratch = Scratch {
            ripe: Vec::new(),
            spare: Vec::new(),
            emitted: 0,
            ahead: Ahead::default(),
            behind: Vec::new(),
            entry: vec![0; plan.words],
            totals: vec![Totals::default(); plan.measures + plan.picks.len()],
            starts: plan.starts.clone(),
            answers: Answers::new(&plan),
        };
        let logs = Logs::new(plan.clone(), KeyTable::new(fixed, null_hash), small_max);
        let (waiting, emission) = (Waiting::default(), spec.emission);
        Ok(Self {
            plan,
            emission,
            logs,
            waiting,
            keep_from: i64::MIN,
            fired: i64::MIN,
            written: Written::default(),
            scratch,
        })
    }

    /// Lets the rows of `batch` wait; under `final` those that are late are refused, and their number is returned.
    pub(super) fn wait(&mut self, batch: Batch) -> Result<u64, OperatorError> {
        let rows = batch.rows();
        let arrival = match (&self.emission, batch.identity()) {
            (Emission::Final, None) => None,
            (_, Some(identity)) => Some(identity.to_arrival(batch.rows())),
            (Emission::Arrival { .. }, None) => {
                return Err(OperatorError::new("rows came without identity, which 'arrival' needs; this is a bug"));
            }
        };
        let (times, tags) = (batch.times().clone(), batch.tags().cloned());
        let by_cut = matches!(self.emission, Emission::Arrival { .. });
        let cuts = arrival.as_ref().filter(|_| by_cut).map(|a| a.cuts.clone());
        let batch = self.waiting.hold(Held::new(&self.plan, batch, arrival)?);
        let at = cuts.as_ref().unwrap_or(&times);
        let items = (0u32..).zip(at.iter()).map(|(row, at)| Item { at: *at, batch, row });
        let mut entering = std::mem::take(&mut self.scratch.spare);
        entering.clear();
        match tags.filter(|_| !by_cut) {
            None => entering.extend(items),
            Some(tags) => entering.extend(items.filter(|i| tags[i.row as usize] == ON_TIME)),
        }
        self.waiting.push(batch, &entering);
        let refused = rows - entering.len();
        self.scratch.spare = entering;
        Ok(refused as u64)
    }

    /// Answers the rows whose event time the watermark has passed.
    fn fire_final(&mut self, ripe: &mut Vec<Item>, out: &mut Output) -> Result<(), OperatorError> {
        sort_by_time(ripe, &mut self.scratch.spare);
        if self.plan.by_place {
            order::sort_peers(ripe, &self.waiting, &self.plan.input)?;
        }
        self.scratch.ahead.begin();
        let mut from = 0;
        while from < ripe.len() {
            // peers stay together
            let mut to = (from + BLOCK_ROWS).min(ripe.len());
            while to < ripe.len() && ripe[to].at == ripe[to - 1].at {
                to += 1;
            }
            self.look_ahead(ripe, to)?;
            if self.plan.by_place {
                let Scratch { ahead, behind, .. } = &mut self.scratch;
                order::count_behind(&ripe[from..to], ahead.places(from..to), behind);
            }
            let mut at = from;
            for peers in ripe[from..to].chunk_by(|a, b| a.at == b.at) {
                let time = peers[0].at;
                let bound = self.scratch.starts.oldest(time);
                for (i, item) in (at..).zip(peers) {
                    self.enter(*item, time, i, bound)?;
                }
                for i in at..at + peers.len() {
                    let behind = self.scratch.behind.get(i - from).map_or(0, |n| *n as usize);
                    self.answer(ripe, i, (time, behind), Standing::default(), out)?;
                }
                at += peers.len();
            }
            from = to;
        }
        Ok(())
    }

    /// Answers the rows of complete cuts.
    fn fire_arrival(&mut self, ripe: &mut [Item], late_horizon_ms: i64, out: &mut Output) -> Result<(), OperatorError> {
        let waiting = &self.waiting;
        ripe.sort_by_cached_key(|i| {
            let arrival = waiting.get(i.batch).arrival.as_ref().expect("identity was demanded");
            (i.at, arrival.partitions[i.row as usize], arrival.offsets[i.row as usize])
        });
        self.scratch.ahead.begin();
        for from in (0..ripe.len()).step_by(BLOCK_ROWS) {
            let to = (from + BLOCK_ROWS).min(ripe.len());
            self.look_ahead(ripe, to)?;
            for (i, item) in (from..).zip(&ripe[from..to]) {
                let Held { batch, hashes, .. } = self.waiting.get(item.batch);
                let hash = hashes[item.row as usize];
                let (time, tag) = (batch.times()[item.row as usize], batch.tag(item.row as usize));
                let is_incomplete = tag.is_some_and(|w| time < w.saturating_sub(late_horizon_ms));
                let standing = Standing { is_late: tag.is_some(), is_incomplete };
                if !is_incomplete {
                    self.enter(*item, time, i, self.keep_from)?;
                    self.written.entered(hash, time);
                }
                self.answer(ripe, i, (time, 0), standing, out)?;
            }
        }
        Ok(())
    }

    /// Asks for what the rows before `to` and some behind them will read, and finds their logs.
    fn look_ahead(&mut self, rows: &[Item], to: usize) -> Result<(), OperatorError> {
        self.scratch.ahead.look(rows, to, &self.plan, &mut self.logs, &self.waiting)
    }

    /// Enters the `i`-th row into its log.
    #[inline(always)]
    fn enter(&mut self, item: Item, time: i64, i: usize, bound: i64) -> Result<(), OperatorError> {
        let (held, row) = (self.waiting.get(item.batch), item.row as usize);
        let entry = &mut self.scratch.entry;
        entry[TIME] = time;
        for (w, flags) in held.flags.iter().enumerate() {
            entry[TIME + 1 + w] = flags[row];
        }
        for (lane, plan) in held.lanes.iter().zip(&self.plan.lanes) {
            lane.write(row, &mut self.logs.names, &mut entry[plan.word..plan.word + plan.kind.words()]);
        }
        self.logs.insert(self.scratch.ahead.place(i), entry, bound)
    }

    /// Answers the `i`-th row, which is at `time` and has so many peers behind it.
    #[inline(always)]
    fn answer(
        &mut self,
        rows: &[Item],
        i: usize,
        (time, behind): (i64, usize),
        is: Standing,
        out: &mut Output,
    ) -> Result<(), OperatorError> {
        let s = &mut self.scratch;
        let turn = Turn { time, starts: s.starts.at(time), behind };
        if is.is_incomplete {
            s.answers.push_nulls(&self.plan, is);
        } else {
            self.logs.measure(s.ahead.place(i), turn, &mut s.totals);
            let pushed = s.answers.push(&self.plan, &self.logs.names, &s.totals, is);
            if let Err(CallOverflow(call, finish)) = pushed {
                let (lo, hi) = call.frame.edges(time, turn.starts);
                let key = self.key_of(rows[i]);
                return Err(finish.overflow(&key, &format!("[{}, {}]", describe_time(lo), describe_time(hi))));
            }
        }
        if i + 1 - s.emitted == BATCH_ROWS {
            self.emit(&rows[..=i], out)?;
        }
        Ok(())
    }

    fn key_of(&self, item: Item) -> String {
        let batch = &self.waiting.get(item.batch).batch;
        let columns: Vec<ArrayRef> = self.plan.keys.iter().map(|k| batch.column(*k).clone()).collect();
        describe_key(&self.plan.input, &self.plan.keys, &columns, item.row as usize)
    }

    /// Emits the answered rows as one batch: these, but for those that were emitted before.
    fn emit(&mut self, answered: &[Item], out: &mut Output) -> Result<(), OperatorError> {
        let fail = |e: arrow::error::ArrowError| OperatorError::new(format!("results do not make a batch: {e}"));
        let Scratch { emitted, answers, .. } = &mut self.scratch;
        let answered = &answered[std::mem::replace(emitted, answered.len())..];
        if answered.is_empty() {
            return Ok(());
        }
        let input = gather(&self.waiting, &self.plan.input, answered, &self.emission).map_err(fail)?;
        let mut columns = input.columns().columns().to_vec();
        columns.extend(answers.finish(&self.plan));
        let options = RecordBatchOptions::new().with_row_count(Some(input.rows()));
        let columns = RecordBatch::try_new_with_options(self.plan.output.clone(), columns, &options).map_err(fail)?;
        out.push(input.with_columns(columns));
        Ok(())
    }

    /// Forgets what no row can see any more, after `rows` rows were answered.
    fn forget(&mut self, watermark: i64, rows: usize) {
        let seen_from = match self.emission {
            Emission::Final => watermark,
            Emission::Arrival { late_horizon_ms } => {
                watermark.saturating_sub(late_horizon_ms).min(self.waiting.time_min())
            }
        };
        self.keep_from = self.keep_from.max(self.scratch.starts.oldest(seen_from));
        self.logs.tend(self.keep_from, watermark, TENDED_MIN + rows * TENDED_PER_ROW);
    }
}

/// Rows of held batches as one batch, with times, tags and identity. Those that wait under `final` do so by their event times,
/// and none is late.
pub(super) fn gather(
    waiting: &Waiting,
    schema: &SchemaRef,
    items: &[Item],
    emission: &Emission,
) -> Result<Batch, arrow::error::ArrowError> {
    let (mut number, mut held) = (vec![usize::MAX; waiting.places()], Vec::new());
    let (mut rows, mut last) = (Vec::with_capacity(items.len()), (u32::MAX, 0));
    for item in items {
        if item.batch != last.0 {
            let n = &mut number[item.batch as usize];
            if *n == usize::MAX {
                *n = held.len();
                held.push(waiting.get(item.batch));
            }
            last = (item.batch, *n);
        }
        rows.push((last.1, item.row as usize));
    }
    let column = |c: usize| {
        let arrays: Vec<&dyn Array> = held.iter().map(|h| h.batch.column(c).as_ref()).collect();
        interleave(&arrays, &rows)
    };
    let columns = (0..schema.fields().len()).map(column).collect::<Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(items.len()));
    let columns = RecordBatch::try_new_with_options(schema.clone(), columns, &options)?;
    let by_cut = matches!(emission, Emission::Arrival { .. });
    let times = match by_cut {
        false => items.iter().map(|i| i.at).collect(),
        true => rows.iter().map(|(b, r)| held[*b].batch.times()[*r]).collect(),
    };
    let tag = |(b, r): &(usize, usize)| held[*b].batch.tag(*r).unwrap_or(ON_TIME);
    let late = by_cut && held.iter().any(|h| h.batch.tags().is_some());
    let tags: Option<Vec<i64>> = late.then(|| rows.iter().map(tag).collect());
    let tags = tags.filter(|t| t.iter().any(|t| *t != ON_TIME)).map(Into::into);
    let identity = held.iter().all(|h| h.arrival.is_some()).then(|| {
        let at = |(b, r): &(usize, usize)| (held[*b].arrival.as_ref().expect("all have one"), *r);
        Identity::Arrival(Arrival {
            cuts: rows.iter().map(at).map(|(a, r)| a.cuts[r]).collect(),
            partitions: rows.iter().map(at).map(|(a, r)| a.partitions[r]).collect(),
            offsets: rows.iter().map(at).map(|(a, r)| a.offsets[r]).collect(),
        })
    });
    Ok(Batch::new(columns, times).with_tags(tags).with_identity(identity))
}

impl Operator for Over {
    fn on_batch(&mut self, _input: usize, batch: Batch, out: &mut Output) -> Result<(), OperatorError> {
        out.refused += self.wait(batch)?;
        Ok(())
    }

    fn on_watermark(&mut self, progress: Progress, out: &mut Output) -> Result<(), OperatorError> {
        let mut ripe = std::mem::take(&mut self.scratch.ripe);
        match self.emission {
            Emission::Final => {
                self.waiting.queue.take_below(progress.watermark.ms(), &mut ripe);
                self.fire_final(&mut ripe, out)?;
            }
            Emission::Arrival { late_horizon_ms } => {
                self.waiting.queue.take_below(progress.cut, &mut ripe);
                self.fire_arrival(&mut ripe, late_horizon_ms, out)?;
            }
        }
        self.emit(&ripe, out)?;
        self.scratch.emitted = 0;
        self.waiting.done(&ripe);
        let rows = ripe.len();
        ripe.clear();
        self.scratch.ripe = ripe;
        self.fired = self.fired.max(progress.watermark.ms());
        self.forget(progress.watermark.ms(), rows);
        Ok(())
    }

    fn snapshot(&mut self, into: &mut Snapshot) -> Result<(), OperatorError> {
        super::snapshot::write(self, into)
    }

    fn restore(&mut self, from: Snapshot) -> Result<(), OperatorError> {
        super::snapshot::read(self, from)
    }

    fn state_bytes(&self) -> usize {
        self.logs.memory() + self.waiting.memory()
    }
}
