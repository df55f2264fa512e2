//! State in object stores. What every store must do and the ledger's scripts are the engine's own files, run here on
//! buckets; what only a bucket can do wrong is tried on a server that does it.

mod faults;
mod limits;

#[path = "../../../../engine/src/checkpoint/tests/chain.rs"]
mod chain;
#[path = "../../../../engine/src/checkpoint/tests/contract.rs"]
mod contract;
#[path = "../../../../engine/src/checkpoint/tests/history.rs"]
mod history;

use highwater_connectors::object::{Address, BucketStore};
use highwater_engine::checkpoint::{Store, StoreError};
use highwater_tests::s3::{BUCKET, S3Server};
use std::sync::Arc;

/// Empty stores, and what must live as long as they do.
fn stores() -> (S3Server, Vec<Arc<dyn Store>>) {
    let server = S3Server::start();
    let bucket = open(&server, "alerts/live").unwrap();
    (server, vec![Address::Memory.open().unwrap(), Arc::new(bucket)])
}

fn open(server: &S3Server, prefix: &str) -> Result<BucketStore, StoreError> {
    BucketStore::open(BUCKET, prefix, server.environment().into_iter())
}
