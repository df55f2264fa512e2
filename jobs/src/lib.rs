//! The `highwater` binary, and its pieces for programs in Rust.
//!
//! | module | its business |
//! |---|---|
//! | [`cli`], [`args`], [`settings`] | from the command line to the exit code; settings by layer |
//! | [`run`], [`validate`], [`explain`], [`generate`], [`compare`] | the verbs (`replay` stands with `run`) |
//! | [`job`], [`parts`] | a job from its text to its outcome; the parts a graph is built of |
//! | [`example`] | a job of your own in Rust |
//! | [`reach`] | what a replay reads and emits |
//! | [`summary`], [`show`], [`progress`] | what a run tells: as data, at its end, while it runs |
//! | [`state`], [`savepoint`] | where a job keeps its state and begins; its folders checked and copied |
//! | [`failure`], [`instant`], [`process`] | exit codes; instants as people write them; signals and memory |
//!
//! It is thin: it calls the planner, the runtime and the parts, and shows what they say.

pub mod args;
pub mod cli;
pub mod compare;
pub mod example;
pub mod explain;
pub mod failure;
pub mod generate;
pub mod instant;
pub mod job;
pub mod parts;
pub mod place;
pub mod process;
pub mod progress;
pub mod reach;
pub mod run;
pub mod savepoint;
pub mod settings;
pub mod show;
pub mod state;
pub mod summary;
pub mod validate;
