//! The boundary between the ledger and the medium: whole files by name, durable when a call returns.
//!
//! Names are flat: lower-case letters, digits, `.`, `-` and `_`, not beginning with `.` or `-`, at most [`NAME_BYTES_MAX`]
//! bytes. A store refuses every other name ([`checked`]), so that no name read from a damaged file leads out of its folder.

use std::fmt::Debug;
use std::io::{self, Read};
use thiserror::Error;

/// Longest name of a file.
pub const NAME_BYTES_MAX: usize = 128;

/// Takes the next piece of a file.
pub type Take<'a> = &'a mut dyn FnMut(&[u8]) -> Result<(), StoreError>;
/// Hands over a file piece by piece; an error ends it.
pub type Fill<'a> = &'a mut dyn FnMut(Take<'_>) -> Result<(), StoreError>;

/// Where checkpoints live. Calls may come from several threads.
pub trait Store: Send + Sync + Debug {
    /// Writes a whole file, the parts one after the other, and replaces one that is there. Durable when it returns; on an
    /// error the old file or the new one is there, whole.
    fn put(&self, name: &str, parts: &[&[u8]]) -> Result<(), StoreError>;
    /// As [`put`](Store::put), but of the name: the bytes are durable when it returns, and the file is found by every
    /// reader; that it is still found after a power loss is certain only once [`settle`](Store::settle) returns.
    fn write(&self, name: &str, parts: &[&[u8]]) -> Result<(), StoreError> {
        self.put(name, parts)
    }
    /// As [`write`](Store::write), of a file that `fill` hands over piece by piece, so that it is never held whole. If
    /// `fill` fails there is no file.
    fn write_pieces(&self, name: &str, fill: Fill<'_>) -> Result<(), StoreError> {
        let mut whole = Vec::new();
        fill(&mut |piece| {
            whole.extend_from_slice(piece);
            Ok(())
        })?;
        self.write(name, &[&whole])
    }
    /// Makes the names of all files that were written durable: one wait for many files.
    fn settle(&self) -> Result<(), StoreError> {
        Ok(())
    }
    /// Creates a file if there is none of this name, atomically. Durable when it returns, also when it says
    /// [`Created::Exists`]. After an error the file may be there or not, but never a part of it.
    fn create(&self, name: &str, bytes: &[u8]) -> Result<Created, StoreError>;
    /// A whole file; `None` if there is none.
    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError>;
    /// A file from its beginning, piece by piece; `None` if there is none.
    fn read(&self, name: &str) -> Result<Option<Box<dyn Read + Send>>, StoreError>;
    /// All names, sorted. Foreign things in the folder are left out.
    fn list(&self) -> Result<Vec<String>, StoreError>;
    /// Deletes files; one that is not there is fine. All are durably gone when it returns; after an error or a power loss
    /// any of them may still be there.
    fn delete(&self, names: &[&str]) -> Result<(), StoreError>;
    /// As [`delete`](Store::delete), for files that may come back with a power loss: nobody waits for that.
    fn discard(&self, names: &[&str]) -> Result<(), StoreError> {
        self.delete(names)
    }
    /// Where a file is, for messages: `/state/000000000041.manifest`.
    fn place(&self, name: &str) -> String;
}

/// The answer of [`Store::create`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    /// The file is new.
    New,
    /// There was one already; nothing was written.
    Exists,
}

/// What kind of trouble a store has: what a caller may do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreErrorKind {
    /// No room (ENOSPC, EDQUOT, EFBIG): wait for room and do it again.
    Full,
    /// The medium can't be written.
    ReadOnly,
    /// No permission.
    Denied,
    /// The medium can't be reached or is overloaded: wait and do it again. What was asked may have been done.
    Unavailable,
    /// Anything else, a failed sync above all: what was written since the last good call is in doubt. Start again from the
    /// newest manifest.
    Other,
}

/// A store can't do what was asked.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{message}")]
pub struct StoreError {
    /// What a caller may do about it.
    pub kind: StoreErrorKind,
    /// Path, cause and cure.
    pub message: String,
}

impl StoreError {
    /// An error with this message.
    pub fn new(kind: StoreErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// What an error of the operating system means: `doing` is `write /state/x`.
    pub fn io(doing: &str, error: &io::Error) -> Self {
        use StoreErrorKind::{Denied, Full, Other, ReadOnly};
        let (kind, cure) = match error.kind() {
            io::ErrorKind::StorageFull => (Full, "; free some space on that disk"),
            io::ErrorKind::QuotaExceeded => (Full, "; the user's disk quota is used up: raise it or free some space"),
            io::ErrorKind::FileTooLarge => (Full, "; raise the limit of the file size (ulimit -f)"),
            io::ErrorKind::ReadOnlyFilesystem => (ReadOnly, "; mount it for writing or choose another state folder"),
            io::ErrorKind::PermissionDenied => (Denied, "; give this user the right or choose another state folder"),
            _ => (Other, ""),
        };
        Self::new(kind, format!("can't {doing}: {error}{cure}"))
    }
}

/// The name, if a store may use it.
pub fn checked(name: &str) -> Result<&str, StoreError> {
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_');
    let starts = name.bytes().next().is_some_and(|b| !matches!(b, b'.' | b'-'));
    if starts && name.len() <= NAME_BYTES_MAX && name.bytes().all(legal) {
        return Ok(name);
    }
    let shown: String = name.chars().take(NAME_BYTES_MAX).collect();
    Err(StoreError::new(StoreErrorKind::Other, format!("{shown:?} is no name of a checkpoint file")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_in_the_folder() {
        for name in ["a", "000000000041.manifest", "0-ab_c.state"] {
            assert_eq!(checked(name).unwrap(), name);
        }
        let long = "a".repeat(NAME_BYTES_MAX + 1);
        for name in ["", ".", "..", "../x", "a/b", "/etc/passwd", ".tmp", "-rf", "A", "a\\b", "a\0", "ä", "a b", &long]
        {
            assert!(checked(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn an_error_of_the_system_has_a_kind_and_a_cure() {
        use StoreErrorKind::{Denied, Full, Other, ReadOnly};
        for (errno, kind) in [(28, Full), (122, Full), (27, Full), (30, ReadOnly), (13, Denied), (5, Other)] {
            let error = StoreError::io("write /state/x", &io::Error::from_raw_os_error(errno));
            assert_eq!(error.kind, kind, "{error}");
            assert!(error.message.starts_with("can't write /state/x: "), "{error}");
        }
    }
}
