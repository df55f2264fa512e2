//! Between timely and an operator: batches and marks in, `on_batch` and `on_watermark` called, results out.
//!
//! Rows are given to the operator as they come, whatever their epoch. Marks are kept by epoch; when timely proves that
//! epochs up to E are complete on both inputs, the newest marks of every worker up to E are folded to one [`Progress`] and
//! the operator fires with a capability for E. An error ends the job through [`Control`]; the operator is not called again.
//!
//! At a barrier ([`super::checkpoint::Barriers`]) rows of later epochs are held. When the barrier's epoch is complete the
//! operator fires for it, hands over its state, and takes what was held.

use super::checkpoint::{Piece, Station};
use super::control::Control;
use super::outlet::Outlet;
use super::packet::{Mark, Packet, Payload};
use super::tally::Tally;
use crate::batch::Batch;
use crate::error::{JobError, OperatorError};
use crate::fail;
use crate::metrics::OperatorMetrics;
use crate::operator::{Operator, Output};
use crate::time::{Progress, Watermark};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::{ParallelizationContract, Pipeline};
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::{Scope, Stream};
use timely::progress::operate::FrontierInterest;

/// A stream of packets.
pub(super) type Flow<'s> = Stream<'s, u64, Packet>;
pub(super) type Builder = CapacityContainerBuilder<Packet>;

/// An operator with what the adapter needs around it.
pub(super) struct Unit {
    /// Under which its state stands in checkpoints too.
    pub(super) name: String,
    pub(super) operator: Box<dyn Operator>,
    pub(super) control: Control,
    pub(super) metrics: Arc<OperatorMetrics>,
    /// Whether rows keep their identity: it is read here or behind (stateless steps, `arrival`).
    pub(super) keeps_identity: bool,
    pub(super) station: Station<(Capability<u64>, Batch)>,
    pub(super) tally: Tally,
    /// What alone reads its rows and takes them at once, while they are in the caches.
    pub(super) next: Option<Rc<Next>>,
}

/// What takes a step's rows on the same worker, batch by batch.
pub(super) struct Next {
    reader: Reader,
    /// What has become of the rows since it was asked last; nothing if a sink has them.
    out: RefCell<Output>,
    /// How long it took.
    busy: Cell<Duration>,
}

/// Who reads a step's rows alone.
pub(super) enum Reader {
    Sink(Rc<RefCell<Outlet>>),
    /// A step without state.
    Step(Box<RefCell<Unit>>),
}

impl Next {
    pub(super) fn new(reader: Reader) -> Rc<Self> {
        Rc::new(Self { reader, out: RefCell::default(), busy: Cell::default() })
    }
    fn take(&self, epoch: u64, batch: Batch) {
        let started = Instant::now();
        match &self.reader {
            Reader::Sink(outlet) => outlet.borrow_mut().take(epoch, batch),
            Reader::Step(unit) => {
                if let Some(mut made) = unit.borrow_mut().on_batch(epoch, batch) {
                    let mut out = self.out.borrow_mut();
                    out.batches.append(&mut made.batches);
                    out.bad.append(&mut made.bad);
                }
            }
        }
        self.busy.set(self.busy.get() + started.elapsed());
    }
}

impl Unit {
    /// Calls the operator; `None` when the job is ending.
    fn call(
        &mut self,
        epoch: u64,
        rows_in: usize,
        f: impl FnOnce(&mut dyn Operator, &mut Output) -> Result<(), OperatorError>,
    ) -> Option<Output> {
        if self.control.stopped() {
            return None;
        }
        let (started, mut out) = (Instant::now(), Output::default());
        if let Some(next) = self.next.clone() {
            let keeps_identity = self.keeps_identity;
            let own = move |b: Batch| if keeps_identity { b } else { b.with_identity(None) };
            out.next = Some(Box::new(move |batch| next.take(epoch, own(batch))));
        }
        if let Err(error) = f(self.operator.as_mut(), &mut out) {
            self.control.fail(JobError::Operator { step: self.name.clone(), error });
            return None;
        }
        if !self.keeps_identity {
            out.batches = out.batches.into_iter().map(|b| b.with_identity(None)).collect();
        }
        let elsewhere = self.next.as_ref().map_or(Duration::ZERO, |next| next.busy.take());
        self.metrics.record_call(rows_in, &out, started.elapsed().saturating_sub(elsewhere));
        if let Some(next) = &self.next {
            let mut made = next.out.take();
            out.batches.append(&mut made.batches);
            out.bad.append(&mut made.bad);
        }
        Some(out)
    }
    fn on_batch(&mut self, epoch: u64, batch: Batch) -> Option<Output> {
        let batch = if self.keeps_identity { batch } else { batch.with_identity(None) };
        self.metrics.sample_event_times(batch.times());
        self.call(epoch, batch.rows(), |operator, out| operator.on_batch(0, batch, out))
    }
    fn on_watermark(&mut self, epoch: u64, progress: Progress) -> Option<Output> {
        let out = self.call(epoch, 0, |operator, out| operator.on_watermark(progress, out));
        self.metrics.note_state(progress.watermark.ms(), self.operator.state_bytes());
        out
    }
    /// Everything up to the barrier has been given to the operator: its state is handed over. Returns what was held.
    fn pass(&mut self, barrier: u64) -> Vec<(Capability<u64>, Batch)> {
        let (mut snapshot, started) = (self.station.snapshot(), Instant::now());
        if self.station.repeats() {
            return self.station.pass(barrier, Piece::State { step: self.name.clone(), snapshot });
        }
        if self.call(barrier, 0, |operator, _| operator.snapshot(&mut snapshot)).is_none() {
            return Vec::new();
        }
        let us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.tally.note_checkpoint(|report| report.pause_us.saturating_record(us));
        fail::point("state.taken");
        self.station.pass(barrier, Piece::State { step: self.name.clone(), snapshot })
    }
}

/// A step without state: rows in, rows and bad rows out, at the same epoch.
pub(super) fn stateless<'s>(scope: Scope<'s, u64>, mut unit: Unit, input: Flow<'s>) -> (Flow<'s>, Flow<'s>) {
    let mut builder = OperatorBuilder::new(unit.name.clone(), scope);
    let mut input = builder.new_input(input, Pipeline);
    builder.set_notify_for(0, FrontierInterest::Never);
    let (rows, rows_out) = builder.new_output();
    let (bad, bad_out) = builder.new_output();
    let mut rows = OutputBuilder::<_, Builder>::from(rows);
    let mut bad = OutputBuilder::<_, Builder>::from(bad);
    builder.build(move |capabilities| {
        drop(capabilities);
        move |_| {
            let (mut rows, mut bad) = (rows.activate(), bad.activate());
            input.for_each(|capability, packet| {
                let (Payload::Rows(batch), Some(&epoch)) = (packet.take(), capability.least()) else { return };
                let Some(out) = unit.on_batch(epoch, batch) else { return };
                let mut session = rows.session(&capability);
                out.batches.into_iter().for_each(|b| session.give_container(&mut Packet::rows(b)));
                if !out.bad.is_empty() {
                    bad.session(&capability).give_container(&mut Packet::bad(out.bad));
                }
            });
        }
    });
    (rows_out, bad_out)
}

/// A step with state: rows by `pact`, marks of every worker, results when an epoch is complete.
pub(super) fn stateful<'s, P>(
    scope: Scope<'s, u64>,
    mut unit: Unit,
    input: Flow<'s>,
    pact: P,
    marks: Flow<'s>,
    mut state: Marks,
) -> Flow<'s>
where
    P: ParallelizationContract<u64, Packet>,
{
    let mut builder = OperatorBuilder::new(unit.name.clone(), scope);
    let mut input = builder.new_input(input, pact);
    let mut marks = builder.new_input(marks, Pipeline);
    let (rows, rows_out) = builder.new_output();
    let mut rows = OutputBuilder::<_, Builder>::from(rows);
    builder.build(move |capabilities| {
        drop(capabilities);
        move |frontiers| {
            let mut rows = rows.activate();
            input.for_each(|capability, packet| {
                let (Payload::Rows(batch), Some(&epoch)) = (packet.take(), capability.least()) else { return };
                if unit.station.must_wait(Some(epoch)) {
                    if let Some(capability) = capability.retain_least(0) {
                        unit.station.hold((capability, batch));
                    }
                    return;
                }
                let Some(out) = unit.on_batch(epoch, batch) else { return };
                let mut session = rows.session(&capability);
                out.batches.into_iter().for_each(|b| session.give_container(&mut Packet::rows(b)));
            });
            marks.for_each(|capability, packet| {
                let Payload::Mark(mark) = packet.take() else { return };
                if let Some(capability) = capability.retain_least(0) {
                    state.note(mark, capability);
                }
            });
            let open = frontiers.iter().filter_map(|f| f.frontier().first().copied()).min().unwrap_or(u64::MAX);
            let mut send = |capability: &Capability<u64>, out: Output| {
                debug_assert!(
                    out.bad.is_empty(),
                    "behind a step with state rows have no identity: bad ones end the job"
                );
                let mut session = rows.session(capability);
                out.batches.into_iter().for_each(|b| session.give_container(&mut Packet::rows(b)));
            };
            if let Some(barrier) = unit.station.reached(open) {
                if let Some((capability, progress)) = state.complete(barrier + 1) {
                    let Some(out) = unit.on_watermark(*capability.time(), progress) else { return };
                    send(&capability, out);
                }
                for (capability, batch) in unit.pass(barrier) {
                    let Some(out) = unit.on_batch(*capability.time(), batch) else { return };
                    send(&capability, out);
                }
            }
            // Nothing beyond a barrier that is still ahead: its epoch is not complete, so `open` is not above it.
            if let Some((capability, progress)) = state.complete(open) {
                let Some(out) = unit.on_watermark(*capability.time(), progress) else { return };
                send(&capability, out);
            }
        }
    });
    rows_out
}

/// What the workers have promised, epoch by epoch.
pub(super) struct Marks {
    /// The promises this operator depends on, by their places in a mark.
    promises: Vec<usize>,
    /// Newest promise of each worker for each of them, of complete epochs only.
    latest: Vec<Progress>,
    /// Marks of epochs that are not complete, with a capability to fire in them.
    waiting: BTreeMap<u64, (Capability<u64>, Vec<Mark>)>,
    last: Progress,
    /// Rows may lie this far below the sources' watermark: what the operator is told is lower by as much.
    held_ms: i64,
}

impl Marks {
    pub(super) fn new(promises: Vec<usize>, peers: usize, held_ms: i64) -> Self {
        Self {
            promises,
            held_ms,
            latest: vec![Progress::START; peers],
            waiting: BTreeMap::new(),
            last: Progress::START,
        }
    }
    fn note(&mut self, mark: Mark, capability: Capability<u64>) {
        self.waiting.entry(*capability.time()).or_insert_with(|| (capability, Vec::new())).1.push(mark);
    }
    /// Folds the marks of all epochs before `open`. An answer if the promise grew.
    fn complete(&mut self, open: u64) -> Option<(Capability<u64>, Progress)> {
        let later = self.waiting.split_off(&open);
        let done = std::mem::replace(&mut self.waiting, later);
        let mut newest = None;
        for (_, (capability, marks)) in done {
            for m in marks {
                self.latest[m.from] = self.promises.iter().map(|&p| m.promises[p]).fold(Progress::END, Progress::min);
            }
            newest = Some(capability);
        }
        let mut progress = self.latest.iter().copied().fold(Progress::END, Progress::min);
        if progress.watermark != Watermark::END {
            progress.watermark = Watermark::new(progress.watermark.ms().saturating_sub(self.held_ms));
        }
        (progress != self.last).then_some(())?;
        let capability = newest?;
        assert!(
            progress.watermark >= self.last.watermark && progress.cut >= self.last.cut,
            "a promise went back: {:?} after {:?}",
            progress,
            self.last
        );
        self.last = progress;
        Some((capability, progress))
    }
}
