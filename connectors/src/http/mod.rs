//! The `http` sink: rows as JSON to an address that takes them, such as a webhook for alerts.
//!
//! | option | default | |
//! |---|---|---|
//! | `url` | needed | `https://host/path`; the path may hold `${env:NAME}` or `${file:PATH}` |
//! | `format` | needed | `json`, with its options |
//! | `method` | `POST` | or `PUT` |
//! | `header.NAME` | | a header of every request: `'header.Authorization' = 'Bearer ${env:TOKEN}'` |
//! | `sink.batch.max-size` | 1 | rows of a request; 1: the row is the body, more: an array of at most so many |
//! | `connect.timeout` | 5 s | how long connecting may take |
//! | `request.timeout` | 30 s | how long a request may take, answer included |
//! | `retry.timeout` | 2 min | how long a request is sent again before the job ends; one with `--state` goes on for ever |
//!
//! **Delivery.** At least once, one request after the other: of each worker in a job without state, of the whole table in a job
//! with state, where rows leave when their checkpoint is durable, those of a worker in order. A request that is not answered, or with 408, 425, 429
//! or 5xx, is sent again, at growing intervals and not before the answer's `Retry-After`. Any other answer than 2xx ends the
//! job: rows that nobody takes are not dropped.
//!
//! Each request has an `Idempotency-Key`. The same rows at the same place have the same key, also after a crash, and other rows
//! never have it: it is made of the table, the checkpoint, the number of the first row and a hash of the body.
//!
//! **Who may be called** is not for a job to say: hosts stand in the variable `HIGHWATER_HTTP_HOSTS` of the process that runs
//! it ([`hosts`]). Redirects are not followed. Headers that hold a secret are given by reference only; neither they nor
//! paths nor answers appear in a message.

pub mod hosts;
pub mod registry;

mod client;
mod options;
mod requests;
mod sink;

pub use options::HttpOptions;
pub use sink::{HttpTable, publisher};
