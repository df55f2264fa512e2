//! The `highwater` binary, and its pieces for callers in Rust.
//!
//! | module | its business |
//! |---|---|
//! | [`args`], [`settings`] | the command line; settings by layer |
//! | [`reach`] | what a replay reads and emits |
//! | [`summary`], [`compare`] | the summary of a run, and two of them side by side |
//! | [`failure`] | how a verb ends without success, and its exit code |
//! | [`instant`], [`process`] | instants as people write them; signals and memory |
//!
//! It is thin: it calls the planner, the runtime and the parts, and shows what they say.

pub mod args;
pub mod compare;
pub mod failure;
pub mod instant;
pub mod process;
pub mod reach;
pub mod settings;
pub mod summary;
