//! What a ledger says when it can't go on.

use super::store::{Store, StoreError, StoreErrorKind};
use thiserror::Error;

/// A ledger can't do what was asked. Nothing that was durable before is lost.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum LedgerError {
    /// The medium has trouble; [`StoreError::kind`] says whether waiting helps.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// A file is missing or is not what its manifest says. None of it was used.
    #[error("{file} is damaged: {reason}")]
    Damaged {
        /// Where the file is.
        file: String,
        /// What was found, and what to do.
        reason: String,
    },
    /// A file is whole, but not for this job, this version or this key.
    #[error("{file} can't be used: {reason}")]
    Refused {
        /// Where the file is.
        file: String,
        /// What was found, and what to do.
        reason: String,
    },
}

impl LedgerError {
    /// A damaged file of this store.
    pub fn damaged(store: &dyn Store, name: &str, reason: impl Into<String>) -> Self {
        Self::Damaged { file: store.place(name), reason: reason.into() }
    }

    /// Whether waiting may help: there was no room, or the medium could not be reached.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Store(e) if matches!(e.kind, StoreErrorKind::Full | StoreErrorKind::Unavailable))
    }

    /// A file of this store that is not for us.
    pub fn refused(store: &dyn Store, name: &str, reason: impl Into<String>) -> Self {
        Self::Refused { file: store.place(name), reason: reason.into() }
    }
}
