//! The last step of a branch: rows into a sink, their digest, their latency.
//!
//! A job that keeps nothing writes rows straight to its sinks. One that keeps state collects them in an **outbox**, which
//! is handed over at each barrier: nothing of it is shown before the checkpoint is durable. Rows of a sink that shows none
//! are counted and digested and go nowhere: the digest is in the manifest.

use super::adapter::{Builder, Flow};
use super::checkpoint::{Piece, Station};
use super::control::Control;
use super::packet::Payload;
use crate::batch::Batch;
use crate::digest::DigestBuilder;
use crate::error::{JobError, SinkError};
use crate::fail;
use crate::metrics::OperatorMetrics;
use crate::sink::{Sink, SinkTable};
use arrow::array::RecordBatch;
use hdrhistogram::Histogram;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::operator::Operator;

/// When the first row of each recent epoch was decoded, by any worker.
#[derive(Clone, Debug, Default)]
pub(super) struct EpochClock {
    first: Arc<Mutex<BTreeMap<u64, Instant>>>,
}

/// Epochs whose first decode is remembered; more are never in flight.
const EPOCHS_REMEMBERED: usize = 64;

impl EpochClock {
    pub(super) fn note(&self, epoch: u64, decoded: Instant) {
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        first.entry(epoch).and_modify(|t| *t = decoded.min(*t)).or_insert(decoded);
        while first.len() > EPOCHS_REMEMBERED {
            first.pop_first();
        }
    }
    fn start(&self, epoch: u64) -> Option<Instant> {
        self.first.lock().unwrap_or_else(PoisonError::into_inner).get(&epoch).copied()
    }
}

/// Where the rows go.
pub(super) enum Target {
    /// To the sink's writer.
    Sink(Box<dyn Sink>),
    /// To the next checkpoint.
    Outbox(Vec<RecordBatch>),
    /// Nowhere: their digest is all that is kept of them.
    Nowhere,
}

/// A sink as the whole job sees it: what its [`Target`]s are made of.
pub(super) enum End {
    /// A job that keeps nothing writes to the table.
    Table(Arc<dyn SinkTable>),
    /// A job that keeps state stages rows for a publisher.
    Outbox,
    /// The sink shows nothing ([`crate::sink::Roll::Never`]).
    Nowhere,
}

impl End {
    /// Where the rows of one worker go.
    pub(super) fn target(&self, worker: usize) -> Result<Target, SinkError> {
        Ok(match self {
            Self::Table(table) => Target::Sink(table.open(worker)?),
            Self::Outbox => Target::Outbox(Vec::new()),
            Self::Nowhere => Target::Nowhere,
        })
    }
}

/// One worker's end of a sink.
pub(super) struct Outlet {
    pub(super) table: String,
    /// Position in the list of the job's sinks.
    pub(super) sink: usize,
    pub(super) target: Target,
    pub(super) station: Station<(u64, Batch)>,
    pub(super) digest: DigestBuilder,
    /// Microseconds from the first decoded row of the epoch to the hand-over, one count a row: an upper bound.
    pub(super) latency_us: Histogram<u64>,
    pub(super) clock: EpochClock,
    pub(super) control: Control,
    pub(super) metrics: Arc<OperatorMetrics>,
}

impl Outlet {
    /// Takes rows: those from behind a barrier are held.
    pub(super) fn take(&mut self, epoch: u64, batch: Batch) {
        match self.station.must_wait(Some(epoch)) {
            true => self.station.hold((epoch, batch)),
            false => self.write(epoch, &batch),
        }
    }
    fn write(&mut self, epoch: u64, batch: &Batch) {
        if self.control.stopped() {
            return;
        }
        let started = Instant::now();
        self.metrics.record_rows(batch.rows());
        self.metrics.sample_event_times(batch.times());
        self.digest.add(batch.columns(), batch.times());
        match &mut self.target {
            Target::Sink(sink) => {
                if let Err(error) = sink.write(batch.columns()) {
                    self.metrics.record_errors(1);
                    return self.control.fail(JobError::Sink { table: self.table.clone(), error });
                }
            }
            Target::Outbox(rows) if self.station.keeps(self.sink) => {
                self.station.stage(batch.rows());
                rows.push(batch.columns().clone());
            }
            Target::Outbox(_) | Target::Nowhere => {}
        }
        self.metrics.record_busy(started.elapsed());
        if let Some(start) = self.clock.start(epoch) {
            let us = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.latency_us.saturating_record_n(us, batch.rows() as u64);
        }
    }
    /// The rows since the last barrier.
    fn take_outbox(&mut self) -> Option<Piece> {
        let rows = match &mut self.target {
            Target::Sink(_) => return None,
            Target::Outbox(rows) => std::mem::take(rows),
            Target::Nowhere => Vec::new(),
        };
        Some(Piece::Outbox { sink: self.sink, rows, digest: self.digest.clone() })
    }
    /// Everything is written.
    pub(super) fn finish(&mut self) {
        if let Some(piece) = self.take_outbox() {
            return self.station.end(piece);
        }
        if let Target::Sink(sink) = &mut self.target
            && let Err(error) = sink.finish()
        {
            self.metrics.record_errors(1);
            self.control.fail(JobError::Sink { table: self.table.clone(), error });
        }
    }
}

/// Writes a stream to a sink. A step that has no other reader gives its rows to the [`Outlet`] itself, at once, while they
/// are in the caches: then the stream carries none, and tells how far the step is. The stream that comes back carries
/// nothing: its frontier says how far the sink is.
pub(super) fn outlet<'s>(input: Flow<'s>, name: &str, outlet: Rc<RefCell<Outlet>>) -> Flow<'s> {
    input.unary_frontier::<Builder, _, _, _>(Pipeline, name, move |capability, _| {
        drop(capability);
        move |(input, frontier), _| {
            let mut outlet = outlet.borrow_mut();
            input.for_each(|capability, packet| {
                if let (Payload::Rows(batch), Some(&epoch)) = (packet.take(), capability.least()) {
                    outlet.take(epoch, batch);
                }
            });
            let open = frontier.frontier().first().copied().unwrap_or(u64::MAX);
            if let Some(barrier) = outlet.station.reached(open)
                && let Some(piece) = outlet.take_outbox()
            {
                fail::point("outbox.taken");
                let held = outlet.station.pass(barrier, piece);
                held.iter().for_each(|(epoch, batch)| outlet.write(*epoch, batch));
            }
        }
    })
}
