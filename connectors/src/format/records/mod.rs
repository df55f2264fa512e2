//! Files of text records as partitions: what CSV and JSON lines share.
//!
//! Reading has two parts. [`borders`] cuts the file into blocks of whole records, in order. Each block is decoded on any
//! worker by [`read`]: the format finds the records and where their values are ([`found`]), then [`decode`] goes column by
//! column. A format says only what is its own, as a [`RecordFormat`](read::RecordFormat).
//!
//! Files in gzip or zstd are unpacked on the way ([`input`]).
//!
//! Messages of a log are decoded by the same code: each is a record ([`messages`]).
//!
//! A record's offset is its number in the file; bad records and skipped empty lines take one too. Bad records become rows
//! of `t$errors` with their line, the reason and their bytes. Columns that the job does not read are not decoded.

pub mod borders;
pub mod decode;
pub mod found;
pub mod input;
mod lines;
pub mod messages;
pub mod read;

use highwater_engine::source::BadRecord;

/// A longer record is bad: a quote that nobody closes must not swallow the file.
pub const RECORD_BYTES_MAX: usize = 1 << 20;
/// Bytes of a bad record that are kept.
pub const RAW_BYTES_MAX: usize = 1 << 16;
/// Bytes of a block: what one worker decodes while others decode later blocks.
pub const BLOCK_BYTES: usize = 4 << 20;

/// A record that does not decode, with as many of its bytes as are kept.
#[cold]
pub fn bad_record(offset: i64, reason: impl Into<String>, raw: Option<&[u8]>) -> BadRecord {
    let raw = raw.map(|raw| raw[..raw.len().min(RAW_BYTES_MAX)].to_vec());
    BadRecord { offset, reason: reason.into(), raw }
}
