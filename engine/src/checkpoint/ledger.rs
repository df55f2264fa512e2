//! The chain of checkpoints of one job: which is the newest, what belongs to it, how the next one is made.
//!
//! A ledger is opened by each start of a job and reads the newest manifest once; from then on it knows the chain and
//! writes. If a successor has started meanwhile, [`Ledger::commit`] finds out and says [`Committed::Superseded`]: then
//! leave. After an error of `commit` it is not known whether the checkpoint was made. If it [may
//! pass](LedgerError::may_pass) the same manifest may be committed again; after any other drop the ledger and open it again.

use super::error::LedgerError;
use super::fold::{Folds, fold, unfold};
use super::manifest::{Ancestor, FORMAT, FileRef, Manifest, OutboxRef, ancestor};
use super::names;
use super::outbox::{self, OutboxBatches};
use super::retention;
use super::seal::{HmacKey, Sealed, seal};
use super::segment::{self, Segment, StatePart};
use super::state::StateParts;
use super::store::{Created, Store};
use super::verify::{Report, verify};
use super::walk::{self, Manifests};
use crate::fail;
use arrow::array::RecordBatch;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

/// The answer of [`Ledger::commit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Committed {
    /// The checkpoint is made.
    Durable,
    /// It is not: another incarnation of the job is ahead. End this one.
    Superseded,
}

/// The checkpoints of one job in one store.
#[derive(Debug)]
pub struct Ledger {
    pub(super) store: Arc<dyn Store>,
    pub(super) key: Option<HmacKey>,
    pub(super) job: String,
    newest: Option<Sealed>,
    /// The older ones that are kept, oldest first, as the next manifest will say.
    pub(super) kept: Vec<Ancestor>,
    /// Where the lists of the newest manifest stand.
    pub(super) folds: Folds,
    /// Files of kept checkpoints, as far as their manifests were read.
    files: BTreeMap<u64, Named>,
}

/// Files that a manifest names.
#[derive(Debug)]
struct Named {
    state: Vec<String>,
    /// With the sink's table.
    outboxes: Vec<(String, String)>,
}

impl Named {
    fn of(manifest: &Manifest) -> Self {
        let outboxes = manifest.sinks.iter().flat_map(|s| {
            let name = |o: &OutboxRef| (s.table.clone(), o.file.name.clone());
            s.outboxes.iter().map(name)
        });
        Self { state: manifest.segments.iter().map(|f| f.name.clone()).collect(), outboxes: outboxes.collect() }
    }
}

impl Ledger {
    /// Finds the newest checkpoint of the job and checks it: hash, signature, and that the one before is the one it names.
    /// If the newest manifest is damaged its second copy counts.
    ///
    /// # Errors
    /// Both are damaged; it is of another job, a newer format or another key; or the chain is broken. The error names the
    /// file and says what to do. Nothing was written.
    pub fn open(store: Arc<dyn Store>, key: Option<HmacKey>, job: &str) -> Result<Self, LedgerError> {
        let manifests = Manifests { store: &*store, key: key.as_ref(), job: Some(job) };
        let numbers = walk::numbers(&*store)?;
        let mut newest = numbers.last().map(|number| manifests.newest(*number)).transpose()?;
        let folds = newest.as_mut().map_or(Ok(Folds::default()), |n| unfold(&manifests, &mut n.manifest))?;
        let mut kept = newest.as_ref().map_or_else(Vec::new, |n| n.manifest.ancestors.clone());
        kept.retain(|a| numbers.contains(&a.checkpoint));
        if let Some(newest) = &newest {
            manifests.check_link(newest)?;
        }
        Ok(Self { job: job.to_owned(), newest, kept, folds, files: BTreeMap::new(), store, key })
    }

    /// The newest checkpoint; `None` before the first.
    pub fn newest(&self) -> Option<&Manifest> {
        self.newest.as_ref().map(|n| &n.manifest)
    }

    /// The number of the newest checkpoint that is there now; 0 if there is none. Above [`Ledger::newest`], another
    /// incarnation of the job is ahead.
    pub fn highest(&self) -> Result<u64, LedgerError> {
        Ok(walk::numbers(&*self.store)?.last().copied().unwrap_or(0))
    }

    /// The checkpoints a job can go on from, ascending.
    pub fn restore_points(&self) -> Vec<u64> {
        let older = self.kept.iter().filter(|a| a.state).map(|a| a.checkpoint);
        older.chain(self.newest().map(|n| n.checkpoint)).collect()
    }

    /// All kept checkpoints, ascending: restore points, and those whose rows were not published yet.
    pub fn checkpoints(&self) -> impl Iterator<Item = u64> {
        self.kept.iter().map(|a| a.checkpoint).chain(self.newest().map(|n| n.checkpoint))
    }

    /// A kept checkpoint: a restore point, or one whose rows were not published yet.
    pub fn manifest(&self, checkpoint: u64) -> Result<Manifest, LedgerError> {
        if let Some(newest) = self.newest().filter(|n| n.checkpoint == checkpoint) {
            return Ok(newest.clone());
        }
        let name = names::manifest(checkpoint);
        let Some(ancestor) = ancestor(&self.kept, checkpoint) else {
            if let Some(damage) = self.folds.hides(checkpoint) {
                return Err(damage.clone());
            }
            return Err(LedgerError::refused(
                &*self.store,
                &name,
                "this checkpoint is not kept; the chain does not name it",
            ));
        };
        Ok(self.manifests().load(checkpoint, Some(&ancestor.sha256))?.manifest)
    }

    pub(super) fn manifests(&self) -> Manifests<'_> {
        Manifests { store: &*self.store, key: self.key.as_ref(), job: Some(&self.job) }
    }

    /// Writes the state of one worker for a checkpoint to come. Durable when it returns; parts keep their order.
    pub fn put_segment(
        &self,
        checkpoint: u64,
        incarnation: &str,
        worker: usize,
        parts: &[StatePart],
    ) -> Result<Segment, LedgerError> {
        assert!(names::is_incarnation(incarnation), "{incarnation:?} is not 32 hexadecimal digits");
        let name = names::state(checkpoint, incarnation, worker);
        Ok(segment::write(&*self.store, &name, checkpoint, parts)?)
    }

    /// Writes the rows of one worker for a sink (its index in [`Manifest::sinks`]) for a checkpoint to come. Durable with the
    /// commit. All batches have one schema.
    pub fn put_outbox(
        &self,
        checkpoint: u64,
        incarnation: &str,
        sink: usize,
        worker: usize,
        batches: &[RecordBatch],
    ) -> Result<OutboxRef, LedgerError> {
        assert!(names::is_incarnation(incarnation), "{incarnation:?} is not 32 hexadecimal digits");
        outbox::write(&*self.store, &names::outbox(checkpoint, incarnation, sink, worker), batches)
    }

    /// Makes a checkpoint: the one act that counts. Every file it names must have been written by `put_segment` and
    /// `put_outbox`, or be named by the checkpoint before. `format`, `previous`, `ancestors` and the older ones of
    /// `segments` are filled in, `created_ms` is lifted to that of the checkpoint before.
    pub fn commit(&mut self, manifest: Manifest) -> Result<Committed, LedgerError> {
        let mut manifest = self.complete(manifest);
        let (written, folds) = fold(&mut manifest, self.newest(), &self.folds);
        let checkpoint = manifest.checkpoint;
        let (name, copy) = (names::manifest(checkpoint), names::copy(checkpoint));
        let sealed = seal(&written, self.key.as_ref());
        let (text, sha256) = sealed.map_err(|reason| LedgerError::refused(&*self.store, &name, reason))?;
        // The files that the manifest names, before it.
        self.store.settle()?;
        let ours = match self.store.create(&name, &text)? {
            Created::New => true,
            // An earlier attempt at this very commit may have come so far.
            Created::Exists => self.store.get(&name)?.is_some_and(|there| there == text),
        };
        if !ours {
            return Ok(Committed::Superseded);
        }
        fail::point("manifest.created");
        // Its name may come with the next checkpoint's: a crash that leaves one copy loses nothing.
        self.store.write(&copy, &[&text])?;
        // The name can have been free because a successor went past it and collected it.
        if walk::numbers(&*self.store)?.last().is_some_and(|highest| *highest > checkpoint) {
            self.store.delete(&[&name, &copy])?;
            return Ok(Committed::Superseded);
        }
        self.files.insert(checkpoint, Named::of(&manifest));
        self.kept = manifest.ancestors.clone();
        self.folds = folds;
        self.newest = Some(Sealed { manifest, sha256 });
        Ok(Committed::Durable)
    }

    /// Fills in what only the chain knows.
    fn complete(&self, mut manifest: Manifest) -> Manifest {
        let next = self.newest().map_or(1, |n| n.checkpoint + 1);
        assert_eq!(manifest.checkpoint, next, "checkpoints are dense");
        assert_eq!(manifest.job, self.job, "a ledger is of one job");
        manifest.format = FORMAT;
        manifest.previous = self.newest.as_ref().map(|n| n.sha256.clone());
        manifest.ancestors = self.kept.clone();
        if let Some(Sealed { manifest: before, sha256 }) = &self.newest {
            manifest.created_ms = manifest.created_ms.max(before.created_ms);
            let (checkpoint, created_ms) = (before.checkpoint, before.created_ms);
            manifest.ancestors.push(Ancestor { checkpoint, sha256: sha256.clone(), created_ms, state: true });
            manifest.segments.extend(older_segments(&manifest, before));
        }
        manifest.segments.sort_unstable();
        manifest.segments.dedup();
        let files: HashSet<&str> = manifest.segments.iter().map(|f| f.name.as_str()).collect();
        let homeless = manifest.operators.iter().flat_map(|o| &o.parts).find(|p| !files.contains(&*p.file));
        assert_eq!(homeless, None, "checkpoint {next} names a part in a file that neither it nor the one before has");
        manifest
    }

    /// The state of a checkpoint, part by part, oldest first; each is checked before it is handed out. See [`StateParts`].
    pub fn state<'m>(&'m self, manifest: &'m Manifest) -> Result<StateParts<'m>, LedgerError> {
        StateParts::new(&*self.store, manifest)
    }

    /// The rows of an outbox, checked before the first is handed out.
    pub fn outbox(&self, outbox: &OutboxRef) -> Result<OutboxBatches, LedgerError> {
        OutboxBatches::open(&*self.store, outbox)
    }

    /// Deletes what no kept checkpoint needs, and says how many files that were. Kept are the checkpoints that
    /// [`retention`] names and those with rows of a sink behind its last published checkpoint (a sink that `published` does
    /// not name has published nothing).
    ///
    /// A checkpoint that is kept for its rows alone loses its state, but only after a durable manifest has said so: at the
    /// first `collect` behind the next commit. Manifests go before the files they name, and no file goes that a checkpoint
    /// to come could name. After an error call it again.
    pub fn collect(&mut self, now_ms: i64, published: &[(&str, u64)]) -> Result<usize, LedgerError> {
        let names = self.store.list()?;
        let present: Vec<(&str, u64, names::Kind)> =
            names.iter().filter_map(|n| names::parse(n).map(|(c, k)| (n.as_str(), c, k))).collect();
        let Some(newest) = self.newest().map(|n| n.checkpoint) else { return Ok(0) };
        let is_manifest = |kind: names::Kind| kind != names::Kind::Data;
        if present.iter().any(|(_, checkpoint, kind)| is_manifest(*kind) && *checkpoint > newest) {
            // Another incarnation is ahead; the next commit will find out.
            return Ok(0);
        }
        self.decide(now_ms, published)?;
        let kept: HashSet<u64> = self.checkpoints().collect();
        let stays = |checkpoint: u64| kept.contains(&checkpoint) || self.folds.hides(checkpoint).is_some();
        let manifests = present.iter().filter(|(_, c, kind)| is_manifest(*kind) && !stays(*c));
        let manifests: Vec<&str> = manifests.map(|(name, ..)| *name).collect();
        self.store.delete(&manifests)?;
        fail::point("collect.manifests-gone");
        let (named, unreadable) = self.named()?;
        let old = |checkpoint: u64| {
            checkpoint <= newest && unreadable.is_none_or(|u| checkpoint > u) && self.folds.hides(checkpoint).is_none()
        };
        let files = present.iter().filter(|(name, c, kind)| !is_manifest(*kind) && old(*c) && !named.contains(*name));
        let files: Vec<&str> = files.map(|(name, ..)| *name).collect();
        // One that a power loss brings back is named by nobody, and goes with a later collection.
        self.store.discard(&files)?;
        Ok(manifests.len() + files.len())
    }

    /// Decides which older checkpoints stay, and which of them lose their state.
    fn decide(&mut self, now_ms: i64, published: &[(&str, u64)]) -> Result<(), LedgerError> {
        self.read_names()?;
        let mut ages: Vec<(u64, i64)> =
            self.kept.iter().filter(|a| a.state).map(|a| (a.checkpoint, a.created_ms)).collect();
        ages.extend(self.newest().map(|n| (n.checkpoint, n.created_ms)));
        let restorable: BTreeSet<u64> = retention::kept(&ages, now_ms);
        let (files, folds) = (&self.files, &self.folds);
        let sinks = self.newest.as_ref().map_or(&[][..], |n| &n.manifest.sinks);
        let published_to = |table: &str| published.iter().find(|(t, _)| *t == table).map_or(0, |(_, last)| *last);
        let owes = |checkpoint: u64| match files.get(&checkpoint) {
            Some(named) => named.outboxes.iter().any(|(table, _)| published_to(table) < checkpoint),
            None => sinks.iter().any(|s| published_to(&s.table) < checkpoint),
        };
        self.kept.retain_mut(|a| {
            a.state &= restorable.contains(&a.checkpoint);
            a.state || owes(a.checkpoint) || folds.are_in(a.checkpoint)
        });
        let kept: HashSet<u64> = self.kept.iter().map(|a| a.checkpoint).collect();
        let newest = self.newest().map(|n| n.checkpoint);
        self.files.retain(|checkpoint, _| kept.contains(checkpoint) || Some(*checkpoint) == newest);
        Ok(())
    }

    /// Reads the manifests of kept checkpoints whose files are not known yet. A damaged one stays unknown.
    fn read_names(&mut self) -> Result<(), LedgerError> {
        let unknown: Vec<u64> = self.checkpoints().filter(|c| !self.files.contains_key(c)).collect();
        for checkpoint in unknown {
            match self.manifest(checkpoint) {
                Ok(manifest) => drop(self.files.insert(checkpoint, Named::of(&manifest))),
                Err(LedgerError::Store(error)) => return Err(error.into()),
                Err(LedgerError::Damaged { .. } | LedgerError::Refused { .. }) => (),
            }
        }
        Ok(())
    }

    /// Files that stay, and the highest kept checkpoint whose manifest can't be read: files up to it may be its own.
    fn named(&self) -> Result<(HashSet<&str>, Option<u64>), LedgerError> {
        let mut named = HashSet::new();
        let mut unreadable = None;
        let durable = self.newest().map_or(&[][..], |n| &n.ancestors);
        let released: HashSet<u64> = durable.iter().filter(|a| !a.state).map(|a| a.checkpoint).collect();
        for checkpoint in self.checkpoints() {
            let Some(files) = self.files.get(&checkpoint) else {
                unreadable = Some(checkpoint);
                continue;
            };
            named.extend(files.outboxes.iter().map(|(_, name)| name.as_str()));
            if !released.contains(&checkpoint) {
                named.extend(files.state.iter().map(String::as_str));
            }
        }
        Ok((named, unreadable))
    }

    /// Reads everything that is kept and says what is damaged, missing or not needed. Changes nothing.
    pub fn verify(&self) -> Result<Report, LedgerError> {
        verify(&*self.store, self.key.as_ref(), Some(&self.job))
    }
}

/// The files of the manifest before that this one still names parts in.
fn older_segments(manifest: &Manifest, before: &Manifest) -> Vec<FileRef> {
    let named: HashSet<&str> = manifest.operators.iter().flat_map(|o| &o.parts).map(|p| &*p.file).collect();
    before.segments.iter().filter(|f| named.contains(f.name.as_str())).cloned().collect()
}
