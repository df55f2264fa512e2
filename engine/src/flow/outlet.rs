//! The last step of a branch: rows into a sink, their digest, their latency.

use super::adapter::{Builder, Flow};
use super::control::Control;
use super::packet::Payload;
use crate::batch::Batch;
use crate::digest::DigestBuilder;
use crate::error::JobError;
use crate::metrics::OperatorMetrics;
use crate::sink::Sink;
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

/// One worker's end of a sink.
pub(super) struct Outlet {
    pub(super) table: String,
    pub(super) sink: Box<dyn Sink>,
    pub(super) digest: DigestBuilder,
    /// Microseconds from the first decoded row of the epoch to the hand-over, one count a row: an upper bound.
    pub(super) latency_us: Histogram<u64>,
    pub(super) clock: EpochClock,
    pub(super) control: Control,
    pub(super) metrics: Arc<OperatorMetrics>,
}

impl Outlet {
    fn write(&mut self, epoch: u64, batch: &Batch) {
        if self.control.stopped() {
            return;
        }
        self.metrics.record_rows(batch.rows());
        self.digest.add(batch.columns(), batch.times());
        if let Err(error) = self.sink.write(batch.columns()) {
            return self.control.fail(JobError::Sink { table: self.table.clone(), error });
        }
        if let Some(start) = self.clock.start(epoch) {
            let us = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.latency_us.saturating_record_n(us, batch.rows() as u64);
        }
    }
    /// Everything is written.
    pub(super) fn finish(&mut self) {
        if let Err(error) = self.sink.finish() {
            self.control.fail(JobError::Sink { table: self.table.clone(), error });
        }
    }
}

/// Writes a stream to a sink. The stream that comes back carries nothing: its frontier says how far the sink is.
pub(super) fn outlet<'s>(input: Flow<'s>, name: &str, outlet: Rc<RefCell<Outlet>>) -> Flow<'s> {
    input.unary::<Builder, _, _, _>(Pipeline, name, move |capability, _| {
        drop(capability);
        move |input, _| {
            input.for_each(|capability, packet| {
                if let (Payload::Rows(batch), Some(epoch)) = (packet.take(), capability.least()) {
                    outlet.borrow_mut().write(*epoch, &batch);
                }
            });
        }
    })
}
