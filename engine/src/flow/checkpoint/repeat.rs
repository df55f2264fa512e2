//! Repeating checkpoints: the keeper's part of going on from an older one because files of the newest are damaged.
//!
//! A manifest says where each partition was cut, what its source promised there, and the digest of all rows so far. Rows
//! are a function of the state before, the cuts and the promises; their order is not. So an attempt that cuts and promises
//! the same comes to the same counts and digests at each manifest, and if it does not, something has changed that nobody
//! can make good: it ends, and nothing was shown.
//!
//! Until the newest checkpoint is reached nothing durable changes. Rows that a sink owes and whose outbox is damaged are
//! made again on the way, put in order (bytes of files depend on it), and held in memory: those that the newest manifest
//! had decided to show are shown, the others belong to the next checkpoint.

use super::barrier::Course;
use super::coordinator::{Collected, LAST};
use super::keeper::{Keeper, state};
use super::restored::{cuts, source_of};
use super::way::{Repeat, Replaced, replaced};
use crate::checkpoint::{Manifest, SourceState};
use crate::digest::DigestBuilder;
use crate::error::JobError;
use crate::flow::build::Plan;
use crate::flow::intake::{Goal, PartitionCut};
use crate::time::{Progress, Watermark};
use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, SortField};
use std::collections::{BTreeMap, VecDeque};

/// What an attempt has still to repeat, and the rows that it made again.
#[derive(Default)]
pub(super) struct Repetition {
    ahead: VecDeque<Repeat>,
    /// By sink: the rows.
    pub(super) remade: BTreeMap<usize, Vec<RecordBatch>>,
    /// By sink: whose rows they are.
    pub(super) replaced: BTreeMap<usize, Replaced>,
}

impl Repetition {
    /// What `plan` has to repeat; usually nothing.
    pub(super) fn of(plan: &Plan) -> Self {
        let repeats = plan.restored.take_repeats();
        let Some(newest) = plan.restored.newest() else { return Self::default() };
        let from = plan.restored.base().map_or(0, |m| m.checkpoint);
        let mut by_table = replaced(newest, from, &repeats);
        let of = |sink| Some((sink, by_table.remove(plan.sink_table(sink))?));
        let replaced = (0..plan.sinks.len()).filter_map(of).collect();
        Self { ahead: repeats.into(), remade: BTreeMap::new(), replaced }
    }
    /// Whether checkpoints are left to repeat.
    pub(super) fn goes_on(&self) -> bool {
        !self.ahead.is_empty()
    }
    /// Whether rows of a sink that the newest checkpoint owes are still to be made again.
    pub(super) fn withholds(&self, sink: usize) -> bool {
        self.goes_on() && self.replaced.contains_key(&sink)
    }
    /// The rows of a sink that were made again are shown, or belong to a durable checkpoint.
    pub(super) fn settle(&mut self, plan: &Plan, sink: usize) {
        let rows = self.remade.remove(&sink).unwrap_or_default();
        plan.barriers.unstage(rows.iter().map(RecordBatch::num_rows).sum());
        self.replaced.remove(&sink);
    }
    /// Tells workers and sources what comes next. Sources last: from then on rows are on their way.
    pub(super) fn aim(&self, plan: &Plan) {
        let next = self.ahead.front();
        let sinks =
            |n: &Repeat| (0..plan.sinks.len()).filter(|sink| n.remakes.contains(plan.sink_table(*sink))).collect();
        plan.barriers.set_course(next.map(|n| Course { to_end: n.manifest.finished, sinks: sinks(n) }));
        for intake in &plan.intakes {
            let source = next.filter(|n| !n.manifest.finished).and_then(|n| source_of(&n.manifest, &intake.spec.table));
            intake.set_goal(source.map(goal).as_ref());
        }
    }
}

fn goal(source: &SourceState) -> Goal {
    let promise = |watermark_ms| Progress { watermark: Watermark::new(watermark_ms), cut: source.cut };
    let promises = [source.watermark_ms, source.errors_watermark_ms.unwrap_or(source.watermark_ms)].map(promise);
    Goal { cuts: cuts(source), promises }
}

impl Keeper {
    /// The attempt has come to a checkpoint that it repeats. Behind the last one it goes on as always.
    ///
    /// # Errors
    /// It did not come to what the manifest says; or what the newest manifest had decided can't be shown.
    pub(super) fn repeat(&mut self, plan: &Plan, mut collected: Collected) -> Result<(), JobError> {
        let Some(Repeat { manifest, remakes }) = self.repetition.ahead.pop_front() else { return Ok(()) };
        let cuts: Vec<Vec<PartitionCut>> = plan.intakes.iter().map(|intake| intake.take_cut()).collect();
        let checkpoint = manifest.checkpoint;
        compare(plan, &manifest, &collected, &cuts).map_err(|what| differs(checkpoint, &what))?;
        tracing::info!(checkpoint, "checkpoint repeated: it came to the same");
        let mut rows: BTreeMap<usize, Vec<RecordBatch>> = BTreeMap::new();
        for (_, sink, batches) in std::mem::take(&mut collected.outboxes) {
            rows.entry(sink).or_default().extend(batches);
        }
        for (sink, batches) in rows {
            assert!(remakes.contains(plan.sink_table(sink)), "rows of sink {sink} were not asked for");
            let sorted = in_order(&batches).map_err(|error| state(format!("rows can't be put in order: {error}")))?;
            self.repetition.remade.entry(sink).or_default().push(sorted);
        }
        self.repetition.aim(plan);
        if !self.repetition.goes_on() {
            self.show_withheld(plan, &manifest)?;
        }
        plan.barriers.lift();
        Ok(())
    }

    /// Shows what the newest manifest has decided to show and what could not be shown before.
    fn show_withheld(&mut self, plan: &Plan, newest: &Manifest) -> Result<(), JobError> {
        self.publish(plan, newest)?;
        for sink in 0..plan.sinks.len() {
            let decided = newest.sinks.iter().find(|s| s.table == plan.sink_table(sink));
            if decided.is_some_and(|s| s.publish.is_some()) {
                self.repetition.settle(plan, sink);
            }
        }
        Ok(())
    }
}

fn differs(checkpoint: u64, what: &str) -> JobError {
    state(format!(
        "checkpoint {checkpoint} was repeated because files are damaged, and came to something else: {what}. The input or \
         the program has changed since. No new row was shown; put the damaged files back (highwater verify names them), or \
         start anew with --fresh and empty outputs"
    ))
}

/// What differs from the manifest, if anything does.
fn compare(plan: &Plan, manifest: &Manifest, collected: &Collected, cuts: &[Vec<PartitionCut>]) -> Result<(), String> {
    let base = &plan.base;
    for (i, intake) in plan.intakes.iter().enumerate() {
        let table = &intake.spec.table;
        let Some(then) = source_of(manifest, table) else { return Err(format!("table {table} is not in it")) };
        let goal = goal(then);
        let stands = |cut: &PartitionCut| (cut.position.as_ref().map(|p| p.offset), cut.max_ms);
        if let Some((p, (now, then))) =
            cuts[i].iter().zip(&goal.cuts).enumerate().find(|(_, (a, b))| stands(a) != stands(b))
        {
            let name = &intake.source.partitions()[p].name;
            return Err(format!(
                "table {table}, partition {name} stands at {:?}, then at {:?}",
                stands(now),
                stands(then)
            ));
        }
        let (read, errors) = (collected.read[i], collected.errors[i]);
        let errors = if collected.epoch == LAST { plan.tally.table(i).1 } else { base.tables[i].1 + errors };
        let before = base.tables[i].0;
        let now = (before.rows + read.rows, before.late + read.late, errors);
        if now != (then.rows, then.late, then.errors) {
            let then = (then.rows, then.late, then.errors);
            return Err(format!("table {table} has (rows, late, bad) {now:?}, then {then:?}"));
        }
    }
    for sink in 0..plan.sinks.len() {
        let name = plan.sink_table(sink);
        let Some(then) = manifest.sinks.iter().find(|s| s.table == name) else { continue };
        let mut now = base.digests[sink].clone();
        now.merge(collected.digests.get(&sink).unwrap_or(&DigestBuilder::new()));
        if let Some(d) = now.buckets().first_difference(&then.digest) {
            let (rows, rows_then) = (d.left.0, d.right.0);
            return Err(format!(
                "sink {name} has other rows from event time {} ms on ({rows} of {rows_then} in {} ms)",
                d.start_ms, d.width_ms
            ));
        }
    }
    Ok(())
}

/// All rows as one batch, in the order of their columns.
fn in_order(batches: &[RecordBatch]) -> Result<RecordBatch, ArrowError> {
    let all = concat_batches(&batches[0].schema(), batches)?;
    let fields = all.schema().fields().iter().map(|f| SortField::new(f.data_type().clone())).collect();
    let rows = RowConverter::new(fields)?.convert_columns(all.columns())?;
    let mut order: Vec<u32> = (0..all.num_rows() as u32).collect();
    order.sort_unstable_by(|a, b| rows.row(*a as usize).cmp(&rows.row(*b as usize)));
    take_record_batch(&all, &UInt32Array::from(order))
}
