//! Texts in, graphs or errors out: scripts as data, one check for each kind.

mod errors;
mod jobs;
mod limits;
mod mutations;
mod overrides;
mod parameters;
mod plans;
mod script;
mod types;
