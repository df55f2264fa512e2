//! Every bad input is a clear error (file, line, column, what was found, what to do) or a row of `t$errors`.
//!
//! What only the real binary shows (exit codes, full disks, Ctrl-C) stands in `jobs/tests/cli.rs`.

mod files;
mod rows;
mod sql;
mod windows;
