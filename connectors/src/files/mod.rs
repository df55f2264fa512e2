//! The `filesystem` connector: files, folders and globs of CSV, JSON lines or Parquet.
//!
//! | option | default | |
//! |---|---|---|
//! | `path` | needed | source: a file, a folder (read with its subfolders) or a glob; sink: a folder |
//! | `format` | needed | `csv`, `json` or `parquet`; `csv.*` as in [`crate::format::csv`], `json.*` as in [`crate::format::json`] |
//! | `sink.overwrite` | `false` | sink: replace a folder that holds something |
//! | `sink.rolling-policy.file-size` | `128 MB` | sink of a job with state: so many bytes of staged rows become a file |
//! | `sink.rolling-policy.rollover-interval` | `5 min` | sink of a job with state: rows become a file when they are so old |
//!
//! Files of text may be compressed with gzip or zstd. Every file is a partition, in path order; files and folders whose name begins with `.` or `_` are skipped. The
//! folder of a job without state is complete or absent ([`mod@write`]); a job with state adds whole files ([`publish`]).

pub mod fingerprint;
pub mod listing;
pub mod marker;
mod options;
pub mod part;
pub mod publish;
pub mod read;
pub mod write;

pub use options::{FileOptions, Format, SinkOptions};
pub use publish::FilePublisher;
pub use read::FileSource;
pub use write::FileTable;

use std::io::{Error, ErrorKind};
use std::path::Path;

/// An I/O error as a sentence: what was tried, where, what happened, what to do.
pub fn io_error(tried: &str, path: impl AsRef<Path>, error: &Error) -> String {
    let path = path.as_ref().display();
    let what = match error.kind() {
        ErrorKind::NotFound => "it does not exist; check the path".to_owned(),
        ErrorKind::PermissionDenied => "permission denied; change its owner or mode, or choose another path".to_owned(),
        ErrorKind::ReadOnlyFilesystem => "the file system is read-only; choose another path".to_owned(),
        ErrorKind::StorageFull => "the device is full; free space or choose another path".to_owned(),
        ErrorKind::QuotaExceeded => "the disk quota is used up; free space or choose another path".to_owned(),
        ErrorKind::FileTooLarge => {
            "the file would exceed the limit on file sizes; raise it (ulimit -f) or choose another path".to_owned()
        }
        ErrorKind::AlreadyExists => "a file of that name is in the way; remove it or choose another path".to_owned(),
        ErrorKind::NotADirectory => "a part of the path is a file, not a folder; choose another path".to_owned(),
        _ => error.to_string(),
    };
    format!("can't {tried} {path}: {what}")
}

#[cfg(test)]
mod tests;
