//! A chain of checkpoints as a whole: copied, taken back, ended. What people ask of a ledger; a running job asks nothing here.

use super::error::LedgerError;
use super::fold;
use super::ledger::Ledger;
use super::manifest::{Ancestor, Manifest};
use super::names::{self, Kind};
use super::seal::{HmacKey, seal};
use super::store::{Created, Store};
use super::verify::{Report, verify};
use super::walk::{self, Manifests};
use std::sync::Arc;

impl Ledger {
    /// Whose checkpoints a store holds; `None` if it holds none.
    ///
    /// # Errors
    /// The newest manifest and its copy are damaged, or not for this version or key.
    pub fn job_in(store: &dyn Store, key: Option<&HmacKey>) -> Result<Option<String>, LedgerError> {
        let Some(newest) = walk::numbers(store)?.last().copied() else { return Ok(None) };
        Ok(Some(Manifests { store, key, job: None }.newest(newest)?.manifest.job))
    }

    /// Copies the newest checkpoint to a store that holds none: its state, and the rows that no sink has shown. The copy is
    /// a chain of its own that needs nothing of this one. Returns what reading the copy found, which has no damage.
    ///
    /// # Errors
    /// There is no checkpoint; the other store holds one; a file is damaged (then the copy has no manifest: it does not
    /// count); trouble of either medium.
    pub fn copy_to(&self, target: Arc<dyn Store>) -> Result<Report, LedgerError> {
        let newest = self.newest().ok_or_else(|| {
            LedgerError::refused(&*self.store, "", "it holds no checkpoint; run the job until it has taken one")
        })?;
        if let Some(there) = target.list()?.iter().find(|n| names::parse(n).is_some()) {
            let reason = "the folder holds checkpoints already; choose an empty one";
            return Err(LedgerError::refused(&*target, there, reason));
        }
        if let Some((_, damage)) = self.folds.unread() {
            return Err(damage.clone());
        }
        let owes = fold::owed(newest);
        let owed: Vec<Ancestor> = self.kept.iter().filter(|a| owes.contains(&a.checkpoint)).cloned().collect();
        let mut copy = newest.clone();
        copy.folded = None;
        copy.ancestors = owed.iter().map(|a| Ancestor { state: false, ..a.clone() }).collect();
        for file in copy.segments.iter().map(|s| &s.name) {
            self.copy_file(&*target, file)?;
        }
        self.copy_outboxes(&*target, newest)?;
        for ancestor in &owed {
            self.copy_outboxes(&*target, &self.manifest(ancestor.checkpoint)?)?;
            for name in [names::manifest(ancestor.checkpoint), names::copy(ancestor.checkpoint)] {
                let text = self.manifest_text(ancestor)?;
                target.put(&name, &[&text])?;
            }
        }
        let (name, second) = (names::manifest(copy.checkpoint), names::copy(copy.checkpoint));
        let (text, _) =
            seal(&copy, self.key.as_ref()).map_err(|reason| LedgerError::refused(&*target, &name, reason))?;
        if target.create(&name, &text)? == Created::Exists {
            return Err(LedgerError::refused(
                &*target,
                &name,
                "another process writes to this folder; choose an empty one",
            ));
        }
        target.put(&second, &[&text])?;
        let report = verify(&*target, self.key.as_ref(), Some(&self.job))?;
        match report.damaged.first() {
            Some(damage) => Err(damage.clone()),
            None => Ok(report),
        }
    }

    /// A kept manifest as it stands, after it was checked.
    fn manifest_text(&self, ancestor: &Ancestor) -> Result<Vec<u8>, LedgerError> {
        let manifests = self.manifests();
        for name in [names::manifest(ancestor.checkpoint), names::copy(ancestor.checkpoint)] {
            if matches!(manifests.read(&name, ancestor.checkpoint, Some(&ancestor.sha256)), Ok(Some(_)))
                && let Some(text) = self.store.get(&name)?
            {
                return Ok(text);
            }
        }
        Err(LedgerError::damaged(
            &*self.store,
            &names::manifest(ancestor.checkpoint),
            "it and its copy are not as written",
        ))
    }

    fn copy_outboxes(&self, target: &dyn Store, manifest: &Manifest) -> Result<(), LedgerError> {
        let outboxes = manifest.sinks.iter().flat_map(|s| &s.outboxes);
        outboxes.into_iter().try_for_each(|o| self.copy_file(target, &o.file.name))
    }

    /// One file whole; it is checked when the copy is.
    fn copy_file(&self, target: &dyn Store, name: &str) -> Result<(), LedgerError> {
        let bytes = self.store.get(name)?.ok_or_else(|| LedgerError::damaged(&*self.store, name, "it is missing"))?;
        Ok(target.put(name, &[&bytes])?)
    }

    /// Takes the chain back to an older restore point: the manifests behind it are deleted, the newest first, so that a
    /// crash leaves a chain with one of them at its end. Returns the shorter chain. Their files go with the next collection.
    ///
    /// # Errors
    /// It is no restore point; its manifest is damaged (nothing was deleted); trouble of the medium.
    pub fn rewind(self, checkpoint: u64) -> Result<Self, LedgerError> {
        let points = self.restore_points();
        if !points.contains(&checkpoint) {
            let points: Vec<String> = points.iter().map(u64::to_string).collect();
            let reason = format!("it is no restore point; there are {}", points.join(", "));
            return Err(LedgerError::refused(&*self.store, &names::manifest(checkpoint), reason));
        }
        self.manifest(checkpoint)?;
        for number in walk::numbers(&*self.store)?.into_iter().rev().take_while(|n| *n > checkpoint) {
            self.store.delete(&[&names::manifest(number)])?;
            self.store.delete(&[&names::copy(number)])?;
        }
        Ledger::open(self.store.clone(), self.key.clone(), &self.job)
    }

    /// Deletes every checkpoint, the newest last: a crash leaves the job as it was, or none. Files of other names stay.
    /// Returns how many files went.
    ///
    /// # Errors
    /// Trouble of the medium; call it again.
    pub fn clear(self) -> Result<usize, LedgerError> {
        let newest = self.newest().map_or(0, |n| n.checkpoint);
        let all = self.store.list()?;
        let of = |wanted: fn(Kind, u64, u64) -> bool| -> Vec<&str> {
            let named = all.iter().filter_map(|n| names::parse(n).map(|(number, kind)| (n.as_str(), kind, number)));
            named.filter(|(_, kind, number)| wanted(*kind, *number, newest)).map(|(name, ..)| name).collect()
        };
        let older = of(|kind, number, newest| kind != Kind::Data && number != newest);
        let last = of(|kind, number, newest| kind != Kind::Data && number == newest);
        let files = of(|kind, _, _| kind == Kind::Data);
        self.store.delete(&older)?;
        self.store.delete(&last)?;
        self.store.delete(&files)?;
        Ok(older.len() + last.len() + files.len())
    }
}
