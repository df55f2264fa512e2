//! Checkpoints of a running job: barriers through the dataflow, and the keeper who makes them durable.
//!
//! | module | its business |
//! |---|---|
//! | [`barrier`] | which epochs are checkpoints; the way of the pieces to the keeper |
//! | [`station`] | a step's side of it: what waits, what is handed over |
//! | [`coordinator`] | which pieces are there and which are missing: no effects |
//! | [`keeper`] | the thread that writes, commits, publishes and collects |
//! | [`draft`] | a manifest from the one before and what was collected: no effects |
//! | [`restored`] | what an attempt goes on from |
//! | [`way`] | how it gets to the newest checkpoint around damaged files |
//! | [`repeat`] | the keeper's part of that: checkpoints repeated and compared |
//! | [`evolution`] | what becomes of a checkpoint when the job has changed: no effects |
//!
//! A checkpoint costs a worker the time of its steps' `snapshot`; everything behind that happens on the keeper's thread.

mod barrier;
mod coordinator;
mod draft;
pub mod evolution;
mod keeper;
mod repeat;
mod restored;
mod station;
mod way;

pub(super) use barrier::Barriers;
pub use barrier::Every;
pub(super) use coordinator::{Event, Piece, ReadTally};
pub(super) use draft::combined;
pub(super) use keeper::Keeper;
pub(super) use restored::Restored;
pub(super) use station::Station;
