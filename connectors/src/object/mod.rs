//! State in an object store: S3, whatever speaks its protocol, or a bucket in memory.
//!
//! | module | its business |
//! |---|---|
//! | [`address`] | `s3://bucket/prefix`, `file:///path`, `memory://` or a folder: what state may be kept in |
//! | [`store`] | the calls of a [`Store`](highwater_engine::checkpoint::Store) as requests, one object a file |
//! | `connect` | a bucket from the environment: credentials, endpoint, limits of time |
//! | `create` | create if absent, whatever is known of the request's outcome; the proof that a bucket can do it |
//! | `upload` | objects in one piece or in parts |
//! | `read` | objects forward, piece by piece, the next one on its way |
//! | `trouble` | what an error of the other side means, and in which words it is told |
//!
//! Which files there are and what is in them is the engine's business. Nothing here comes from a job's text but the address.

pub mod address;
pub mod store;

mod connect;
mod create;
mod read;
mod retry;
mod trouble;
mod upload;

#[cfg(test)]
mod tests;

pub use address::Address;
pub use store::BucketStore;
