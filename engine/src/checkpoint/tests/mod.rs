//! Tests of the ledger: scripts on stores of every kind, and the history of a small job that several of them use.
//!
//! `contract`, `chain` and `history` use what is public only: the end-to-end tests run the same files on buckets.

use super::{LocalStore, MemoryStore, Store};
use std::sync::Arc;

mod chain;
mod contract;
mod corruption;
mod fold;
mod format;
mod history;
mod keeping;
mod power;
mod simulated;

/// Empty stores, and what must live as long as they do.
fn stores() -> (tempfile::TempDir, Vec<Arc<dyn Store>>) {
    let folder = tempfile::tempdir().unwrap();
    let local = LocalStore::open(&folder.path().join("a/b")).unwrap();
    (folder, vec![Arc::new(local), Arc::new(MemoryStore::new())])
}
