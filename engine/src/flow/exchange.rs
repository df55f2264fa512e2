//! Who gets what: batches by key group, marks by address.

use super::packet::{Packet, Payload};
use crate::batch::{Batch, Identity};
use crate::hash::{hash_columns, key_group, owner};
use arrow::array::{ArrayRef, UInt32Array};
use arrow::buffer::ScalarBuffer;
use timely::communication::Push;
use timely::dataflow::channels::Message;
use timely::dataflow::channels::pushers::exchange::Distributor;
use timely::progress::Stamp;

/// Splits batches by the owner of each row's key. Never called when there is one worker.
pub(super) struct ByKey {
    keys: Vec<usize>,
    keep_identity: bool,
    /// Whether hashes that a batch brings are those of `keys`: behind a combiner they are, elsewhere they may be of the
    /// keys of an exchange before.
    hashed: bool,
    rows: Vec<Vec<u32>>,
}

impl ByKey {
    pub(super) fn new(keys: Vec<usize>, keep_identity: bool, peers: usize) -> Self {
        Self { keys, keep_identity, hashed: false, rows: vec![Vec::new(); peers] }
    }

    /// Takes over the hashes of batches that have them.
    pub(super) fn hashed(mut self) -> Self {
        self.hashed = true;
        self
    }

    fn hashes(&self, batch: &Batch) -> ScalarBuffer<u64> {
        if let (true, Some(hashes)) = (self.hashed, batch.hashes()) {
            return hashes.clone();
        }
        let keys: Vec<ArrayRef> = self.keys.iter().map(|&k| batch.column(k).clone()).collect();
        hash_columns(&keys, batch.rows())
    }

    fn route(&mut self, batch: Batch, mut send: impl FnMut(usize, Batch)) {
        let hashes = self.hashes(&batch);
        let peers = self.rows.len();
        self.rows.iter_mut().for_each(Vec::clear);
        for (i, &h) in hashes.iter().enumerate() {
            self.rows[owner(key_group(h), peers)].push(i as u32);
        }
        let identity = match batch.identity() {
            Some(id) if self.keep_identity => Some(Identity::Arrival(id.to_arrival(batch.rows()))),
            _ => None,
        };
        let batch = batch.with_identity(identity).with_hashes(Some(hashes));
        for (worker, rows) in self.rows.iter_mut().enumerate().filter(|(_, r)| !r.is_empty()) {
            if rows.len() == batch.rows() {
                send(worker, batch.clone());
            } else {
                let indices = UInt32Array::from(std::mem::take(rows));
                send(worker, batch.take(&indices));
                // The allocation comes back for the next batch.
                *rows = indices.into_parts().1.into_inner().into_vec().unwrap_or_default();
            }
        }
    }
}

impl Distributor<Packet> for ByKey {
    fn partition<T: Clone, P: Push<Message<T, Packet>>>(
        &mut self,
        packet: &mut Packet,
        stamp: &Stamp<T>,
        to: &mut [P],
    ) {
        if let Payload::Rows(batch) = packet.take() {
            self.route(batch, |w, b| Message::push_at(&mut Packet::rows(b), stamp.clone(), &mut to[w]));
        }
    }
    fn flush<T: Clone, P: Push<Message<T, Packet>>>(&mut self, _: &Stamp<T>, _: &mut [P]) {}
}

/// Delivers each mark to the worker it names: a pact must not change counts, so the sender has made one copy for each.
pub(super) struct ByAddress;

impl Distributor<Packet> for ByAddress {
    fn partition<T: Clone, P: Push<Message<T, Packet>>>(
        &mut self,
        packet: &mut Packet,
        stamp: &Stamp<T>,
        to: &mut [P],
    ) {
        if let Payload::Mark(mark) = packet.take() {
            let worker = mark.to;
            Message::push_at(&mut Packet::mark(mark), stamp.clone(), &mut to[worker]);
        }
    }
    fn flush<T: Clone, P: Push<Message<T, Packet>>>(&mut self, _: &Stamp<T>, _: &mut [P]) {}
}
