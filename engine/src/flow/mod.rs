//! The runtime: one timely dataflow per job attempt. Timely lives on this floor and nowhere else.
//!
//! | module | its business |
//! |---|---|
//! | [`run`] | a job from a graph to a report: one attempt, or with kept state as many as it takes |
//! | [`checkpoint`] | barriers through the dataflow, and the keeper who makes checkpoints durable |
//! | [`intake`] | partitions, splits, event-time maxima, lateness tags: shared by the workers of a process |
//! | [`worker`] | one worker's loop: read, send, cut epochs, step |
//! | [`build`] | graph → dataflow |
//! | [`adapter`] | batches and marks in, `on_batch` and `on_watermark` called, results out |
//! | [`exchange`] | batches by key group, marks by worker |
//! | [`packet`] | what travels on an edge, and its bytes between processes |
//! | [`outlet`] | rows into a sink, their digest |
//! | [`tally`] | what the workers count |
//! | [`attempts`] | when a job that keeps state starts again, and when it is given up |
//! | [`control`] | stop, failure, progress: the one thing shared in all directions |
//! | [`turns`] | how threads wait, and the place of a test that lets one run at a time |
//!
//! timely's timestamp is the epoch (`u64`); the watermark travels as data. When timely proves an epoch complete, an
//! operator has all its rows and every worker's mark, takes the minimum, and fires.

mod adapter;
mod attempts;
mod build;
mod checkpoint;
mod control;
mod exchange;
mod intake;
mod outlet;
mod pace;
mod packet;
mod report;
mod run;
mod shape;
mod tally;
#[cfg(test)]
mod tests;
mod turns;
mod worker;

pub use attempts::{Keep, run_with_state};
pub use checkpoint::{Every, evolution};
pub use control::{Control, ProgressView};
pub use report::{CheckpointReport, Report, Resumed, SinkReport, SourceReport};
pub use run::run;
