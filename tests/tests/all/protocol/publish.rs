//! Steps of an incarnation at the broker: fence, read the marker, publish what manifests name, in order.

use super::mutants::Mutant;
use super::state::{ALL_ROWS, Instance, Manifest, Outbox, Producer, Publisher, Transaction, Work};
use super::steps::{Action, Turn};

/// What the publisher finds when it looks for the next outbox.
enum Next {
    /// Nothing to do.
    Nothing,
    /// This outbox is next.
    Outbox(u8, Outbox),
    /// The next one is damaged.
    Damaged(u8),
    /// The next one is not there.
    Missing,
}

impl Turn<'_> {
    /// The next step of publishing, beside whatever the incarnation does at the store.
    pub fn publish(&mut self) {
        if matches!(self.instance.work, Work::Restoring | Work::Halted) {
            return;
        }
        match self.instance.publisher {
            Publisher::Down if self.is(Mutant::MarkerBeforeFencing) => {
                let marker = self.state.marker;
                self.to(Action::ReadMarker(marker), Publisher::Marked(marker));
            }
            Publisher::Down => self.init_transactions(Publisher::Initialized),
            Publisher::Marked(marker) => self.init_transactions(Publisher::Ready(marker)),
            Publisher::Initialized => self.read_marker(),
            Publisher::Ready(published) => self.send(published),
            Publisher::Sent(name) => self.hear(name),
        }
    }

    fn to(&mut self, action: Action, publisher: Publisher) {
        self.go(action, Instance { publisher, ..self.instance });
    }

    /// Any error or time-out: the producer is dropped and the next one begins by fencing.
    fn drop_producer(&mut self, action: Action) {
        self.go(action, Instance { publisher: Publisher::Down, producer: Producer::None, ..self.instance });
    }

    /// Takes the newest producer epoch: an open transaction is aborted, its commit can't take effect any more.
    fn init_transactions(&mut self, publisher: Publisher) {
        let (fences, other) = (!self.is(Mutant::NoFencing), self.other());
        let producer = Producer::Current;
        let next = self.go(Action::InitTransactions, Instance { publisher, producer, ..self.instance });
        if !fences {
            return;
        }
        next.open = None;
        match &mut next.instances[other] {
            // Only an error can come back.
            Some(o) if matches!(o.publisher, Publisher::Sent(_)) => {
                (o.publisher, o.producer) = (Publisher::Down, Producer::None);
            }
            Some(o) if o.producer == Producer::Current => o.producer = Producer::Fenced,
            _ => (),
        }
    }

    /// Reads the marker. Ahead of the own newest manifest: the chain went on without this incarnation, or was rolled back.
    fn read_marker(&mut self) {
        let (marker, own) = (self.state.marker, self.instance.base.digest.name);
        if self.is(Mutant::NoRepublish) {
            self.to(Action::ReadMarker(marker), Publisher::Ready(marker.max(self.restored())));
        } else if self.is(Mutant::NoMarker) {
            self.to(Action::ReadMarker(0), Publisher::Ready(self.state.collected));
        } else if marker <= own || self.is(Mutant::PublishBeforeManifest) {
            self.to(Action::ReadMarker(marker), Publisher::Ready(marker));
        } else if marker <= self.state.newest().digest.name {
            self.go(Action::FindMarkerAhead(marker), None);
        } else {
            self.halt();
        }
    }

    /// The manifest that this incarnation started from.
    fn restored(&self) -> u8 {
        let Instance { incarnation, base, .. } = self.instance;
        let others = |name: &u8| self.state.manifest(*name).digest.incarnation != incarnation;
        (1..=base.digest.name).rev().find(others).unwrap_or(0)
    }

    /// Begins a transaction with the next outbox and its marker, and sends the commit.
    fn send(&mut self, published: u8) {
        let next = self.next_outbox(published);
        let fenced = self.instance.producer == Producer::Fenced;
        match next {
            Next::Nothing => (),
            _ if fenced => self.find_fenced(),
            Next::Damaged(name) => {
                self.go(Action::FindDamaged(name), None);
            }
            Next::Missing => self.halt(),
            Next::Outbox(name, outbox) => {
                let sent = Instance { publisher: Publisher::Sent(name), ..self.instance };
                self.go(Action::Publish(name), sent).open = Some(Transaction { name, outbox });
            }
        }
    }

    /// Somebody else has the producer. He has taken over if he has made a checkpoint; else it was a start that is gone, or
    /// one that stands where this incarnation stands: whoever makes the next checkpoint goes on.
    fn find_fenced(&mut self) {
        let newest = self.state.newest().digest.name;
        match newest > self.instance.base.digest.name {
            true => _ = self.go(Action::FindTakenOver(newest), None),
            false => self.drop_producer(Action::FindFenced),
        }
    }

    fn next_outbox(&self, published: u8) -> Next {
        let own = self.instance.base.digest.name;
        let mut name = published + 1;
        if let Work::Staged(m) = self.instance.work
            && self.is(Mutant::PublishBeforeManifest)
            && m.digest.name == name
        {
            return Next::Outbox(name, m.outbox);
        }
        if self.is(Mutant::NamedByEpoch) {
            name = (name..=own).find(|&n| self.state.manifest(n).exists()).unwrap_or(own + 1);
        }
        if name > own {
            return Next::Nothing;
        }
        let base = self.instance.base;
        let folds = |m: &Manifest| m.digest == base.digest || !self.is(Mutant::ForgetsFoldPoint);
        let listed = self.state.listed(&base, folds);
        let found = |n: &u8| *n <= self.state.collected || listed & 1 << n != 0;
        let Some(name) = (name..=own).find(found) else { return Next::Nothing };
        let manifest = self.state.manifest(name);
        if self.state.damaged & (1 << name) != 0 {
            let Outbox { rows, tag } = manifest.outbox;
            return match self.instance.remade & (1 << name) {
                0 => Next::Damaged(name),
                _ if self.is(Mutant::RepeatsByNewCuts) => {
                    Next::Outbox(name, Outbox { rows: rows << 1 & ALL_ROWS, tag })
                }
                _ => Next::Outbox(name, Outbox { rows, tag }),
            };
        }
        match manifest.exists() && self.state.has_files_of(&manifest) {
            true => Next::Outbox(name, manifest.outbox),
            false => Next::Missing,
        }
    }

    /// Waits for the reply. It may be lost, or late; the commit may take effect after the time-out, or never.
    fn hear(&mut self, name: u8) {
        if self.state.open.is_none() {
            if self.state.marker < name && self.is(Mutant::MarkerNotAtomic) {
                self.go(Action::WriteMarker(name), self.instance).marker = name;
            } else {
                self.to(Action::Reply(name), Publisher::Ready(name));
            }
        }
        if self.is(Mutant::SilenceIsFailure) {
            self.go(Action::TimeOut, Instance { publisher: Publisher::Ready(name - 1), ..self.instance }).open = None;
        } else {
            self.drop_producer(Action::TimeOut);
        }
    }
}
