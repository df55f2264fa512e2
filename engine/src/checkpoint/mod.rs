//! What a job keeps on disk: checkpoints, and the chain of manifests that makes them one history.
//!
//! | module | its business |
//! |---|---|
//! | [`store`] | the boundary to a folder or a bucket: whole files, durable when written, create if absent |
//! | [`local`] | a local folder, with the exact sequence of file operations that survives a power loss |
//! | [`disk`] | the file operations that a local folder is made of |
//! | [`memory`] | a store for tests |
//! | [`names`] | what the files are called |
//! | [`manifest`] | the record that makes a checkpoint |
//! | [`fold`] | long lists in short manifests |
//! | [`seal`] | a manifest's text, hash and signature |
//! | [`segment`] | state of one worker, byte by byte |
//! | [`outbox`] | rows that wait to be published, byte by byte |
//! | [`state`] | reading the state of a checkpoint back |
//! | [`retention`] | which checkpoints are kept |
//! | [`verify`] | reading everything to name what is damaged |
//! | [`ledger`] | the chain: newest, commit, state, outbox, collect, verify |
//! | [`history`] | the chain as a whole: copied, taken back, ended |
//!
//! No timely, no threads, no clock: times are arguments. Who calls it decides when.
//!
//! # The promise
//! A checkpoint exists when its manifest does. The manifest is created only if there is none with its number, after every
//! file that it names is durable; so a crash at any instant leaves either the checkpoint before or this one, whole. Files
//! carry checkpoint *and* incarnation, so that two starts of a job that both believe to be alive never write the same one.
//! Damage is found by hash before a byte of it is used: an error names the file and says what to do.

pub mod disk;
pub mod error;
mod fold;
mod history;
pub mod ledger;
pub mod local;
pub mod manifest;
pub mod memory;
pub mod names;
pub mod outbox;
pub mod retention;
pub mod seal;
pub mod segment;
pub mod state;
pub mod store;
mod stream;
pub mod verify;
mod walk;

#[cfg(test)]
mod tests;

pub use error::LedgerError;
pub use ledger::{Committed, Ledger};
pub use local::LocalStore;
pub use manifest::{
    Activation, Ancestor, FileRef, Manifest, OperatorState, OutboxRef, PartRef, PartitionState, Remade, SinkState,
    SourceState,
};
pub use memory::MemoryStore;
pub use seal::HmacKey;
pub use segment::{Segment, StatePart};
pub use state::{RestoredPart, StateParts};
pub use store::{Created, Store, StoreError, StoreErrorKind};
