//! Measured figures of the engine, beside their limit: a hand-written loop over the same rows in memory.
//!
//! | module | its business |
//! |---|---|
//! | [`workload`] | the workloads |
//! | [`payments`] | the rows |
//! | [`loops`] | the limit: one loop a workload |
//! | [`engine`], [`memory`] | the same as a job over batches in memory |
//! | [`restart`], [`made`] | a job with much state, killed and started again, over rows made as they are read |
//! | [`check`] | both sides came to the same |
//! | [`decode`] | reading CSV, JSON lines and Parquet |
//! | [`measure`] | one measurement in a process of its own |
//! | [`figures`] | many of them, alternating, and what they come to |

pub mod check;
pub mod decode;
pub mod engine;
pub mod figures;
pub mod loops;
pub mod made;
pub mod measure;
pub mod memory;
pub mod payments;
pub mod restart;
pub mod workload;
