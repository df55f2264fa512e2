//! Tests of the ledger: scripts on stores of every kind, and the history of a small job that several of them use.

mod chain;
mod corruption;
mod format;
mod history;
mod keeping;
mod power;
mod simulated;
