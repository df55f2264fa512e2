//! The end-to-end tests, one binary: SQL text in, rows out.
//!
//! | module | proves |
//! |---|---|
//! | `fdh` | all published features of 288,062 card payments come out exactly, however the input is cut and run |
//! | `nexmark` | the published rows of Nexmark queries without joins; windows of the others against DuckDB |
//! | `flink_docs` | the window examples of Flink's documentation |
//! | `ready_jobs` | the jobs in `jobs/` against a naive model; equal digests at any setting |
//! | `reference` | the page on SQL lists what the code has, and its examples plan |
//! | `replay` | a replayed part of history is that part of the whole |
//! | `protocol` | the commit protocol as a model: every state within bounds keeps the invariants, every rule is needed |
//! | `crash` | a process killed at any instant of the commit protocol shows every row once |
//! | `duckdb` | 5,000 random queries give what DuckDB gives |
//! | `local_time_zone` | instants are shown, cast and cut into windows by the clocks of the job's zone |
//! | `calendar` | windows of a zone's calendar are those of the dates its clocks show |
//! | `cascades` | windows over windows over sessions are those of the sorted rows |
//! | `object` | state in an object store: what every store must do, and what becomes of requests of unknown outcome |
//! | `arrival` | chained steps answer on arrival with all that a row may see |
//! | `places` | features that go by the order of payments, ties between files included |
//! | `top` | the first rows of windows, ties between files included |
//! | `bad_input` | every bad input is a clear error or a row of `t$errors` |
//! | `json_lines` | payments as JSON lines give the digests of the generator; bad lines are rows |
//! | `kafka` | a real broker: topics read and written, errors, and kills of engine and broker |
//! | `times` | a time of the day goes through every format and comes back |
//! | `house` | format, lints, headers, direction of dependencies |

mod arrival;
mod bad_input;
mod calendar;
mod cascades;
mod crash;
mod duckdb;
mod fdh;
mod flink_docs;
mod house;
mod json_lines;
mod kafka;
mod local_time_zone;
mod nexmark;
mod object;
mod places;
mod protocol;
mod ready_jobs;
mod reference;
mod replay;
mod times;
mod top;
