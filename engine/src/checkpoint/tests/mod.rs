//! Tests of the ledger: scripts on stores of every kind, and the history of a small job that several of them use.

mod chain;
mod history;
