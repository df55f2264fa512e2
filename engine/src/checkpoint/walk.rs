//! Finding and checking manifests in a store.

use super::error::LedgerError;
use super::manifest::Manifest;
use super::names::{self, Kind};
use super::seal::{Flaw, HmacKey, Sealed, unseal};
use super::store::Store;
use std::collections::BTreeSet;

/// The numbers of which there is a manifest, or the second copy of one.
pub(super) fn numbers(store: &dyn Store) -> Result<BTreeSet<u64>, LedgerError> {
    let names = store.list()?;
    let parsed = names.iter().filter_map(|n| names::parse(n));
    Ok(parsed.filter(|(_, kind)| *kind != Kind::Data).map(|(number, _)| number).collect())
}

/// The manifests of a store.
#[derive(Clone, Copy)]
pub(super) struct Manifests<'a> {
    pub store: &'a dyn Store,
    pub key: Option<&'a HmacKey>,
    /// The job they must be of.
    pub job: Option<&'a str>,
}

impl Manifests<'_> {
    /// One file, checked; `None` if it is not there. `sha256` is what the chain says of it.
    pub fn read(&self, name: &str, number: u64, sha256: Option<&str>) -> Result<Option<Sealed>, LedgerError> {
        let Some(text) = self.store.get(name)? else { return Ok(None) };
        let damaged = |reason: String| Err(LedgerError::damaged(self.store, name, reason));
        let sealed = match unseal(&text, self.key) {
            Ok(sealed) => sealed,
            Err(Flaw::Damaged(reason)) => return damaged(reason),
            Err(Flaw::Refused(reason)) => return Err(LedgerError::refused(self.store, name, reason)),
        };
        let Manifest { checkpoint, job, .. } = &sealed.manifest;
        if let Some(own) = self.job.filter(|own| own != job) {
            let reason = format!("it is a checkpoint of job {job}, not of {own}; give {own} a state folder of its own");
            return Err(LedgerError::refused(self.store, name, reason));
        }
        if *checkpoint != number {
            return damaged(format!("it is the manifest of checkpoint {checkpoint} under this name"));
        }
        if sha256.is_some_and(|expected| expected != sealed.sha256) {
            return damaged("it is whole, but another one than the checkpoint after it goes on from".into());
        }
        Ok(Some(sealed))
    }

    /// The manifest of a number, or else its second copy.
    pub fn load(&self, number: u64, sha256: Option<&str>) -> Result<Sealed, LedgerError> {
        let (first, second) = (names::manifest(number), names::copy(number));
        let error = match self.read(&first, number, sha256) {
            Ok(Some(sealed)) => return Ok(sealed),
            Ok(None) => LedgerError::damaged(self.store, &first, "it is missing"),
            Err(LedgerError::Store(error)) => return Err(error.into()),
            Err(error) => error,
        };
        match self.read(&second, number, sha256) {
            Ok(Some(sealed)) => Ok(sealed),
            Ok(None) => Err(error),
            Err(LedgerError::Store(error)) => Err(error.into()),
            // Of a missing manifest and a damaged copy, the copy is the news.
            Err(second) if error == LedgerError::damaged(self.store, &first, "it is missing") => Err(second),
            Err(_) => Err(error),
        }
    }

    /// The newest manifest, with the way out if it is damaged. No later one says what its hash must be, so its two copies
    /// must agree.
    pub fn newest(&self, number: u64) -> Result<Sealed, LedgerError> {
        let (first, second) = (names::manifest(number), names::copy(number));
        let sealed = self.load(number, None).map_err(|error| match error {
            LedgerError::Damaged { file, reason } => {
                let reason = format!(
                    "{reason}, and its second copy does not help: nobody knows where the inputs stood and what was shown. Put \
                     one of them back; or, to go on from the checkpoint before, move both away ({first}, {second}): an \
                     output that keeps a marker and has shown rows since will refuse, others would show them again"
                );
                LedgerError::Damaged { file, reason }
            }
            other => other,
        })?;
        match self.read(&second, number, None) {
            Ok(Some(other)) if other.sha256 != sealed.sha256 => {
                let reason =
                    format!("it is whole, but differs from {first}; one of the two was put here: move that away");
                Err(LedgerError::damaged(self.store, &second, reason))
            }
            Err(LedgerError::Store(error)) => Err(error.into()),
            _ => Ok(sealed),
        }
    }

    /// Whether the youngest kept checkpoint before the newest is the one that the newest goes on from. One that can't be
    /// read does not stop a job that does not need it; one that is whole and another does.
    pub fn check_link(&self, newest: &Sealed) -> Result<(), LedgerError> {
        let Some(before) = newest.manifest.ancestors.last() else { return Ok(()) };
        let (number, expected) = (before.checkpoint, Some(before.sha256.as_str()));
        match self.load(number, expected) {
            Ok(_) => Ok(()),
            Err(LedgerError::Store(error)) => Err(error.into()),
            Err(error) => match self.load(number, None) {
                Ok(_) => Err(error),
                Err(_) => Ok(()),
            },
        }
    }
}
