//! The core of Highwater: time, the batch, the job graph, the boundaries, and the runtime on timely dataflow.
//!
//! | module | its business |
//! |---|---|
//! | [`time`] | event time and the exclusive watermark |
//! | [`batch`] | Arrow columns with event times, lateness tags and row identity beside them |
//! | [`hash`] | the one stable hash: key → hash → key group → worker |
//! | [`expr`], [`graph`] | a job as plain, serialisable data |
//! | [`builder`] | a job described in Rust |
//! | [`source`], [`operator`], [`sink`] | the three boundaries and what each may assume |
//! | [`state`] | snapshots by key group and their byte code |
//! | [`checkpoint`] | what a job keeps on disk: state, rows to publish, and the chain of manifests |
//! | [`fail`] | where crash tests stop the process |
//! | [`digest`] | the order-independent digest of a sink's rows |
//! | [`metrics`] | counters and histograms, read without stopping work |
//! | [`flow`] | the only floor where timely lives |
//!
//! This crate knows no SQL, no payments, no file format and no broker.

/// Tests that other crates run too name this one as they do.
#[cfg(test)]
extern crate self as highwater_engine;

pub mod batch;
pub mod builder;
pub mod checkpoint;
pub mod digest;
pub mod error;
pub mod expr;
pub mod fail;
pub mod flow;
pub mod graph;
pub mod hash;
pub mod limits;
pub mod metrics;
pub mod operator;
pub mod parts;
pub mod sink;
pub mod source;
pub mod state;
pub mod time;
