//! Reading a file forward while its hash is taken, so that a large file is never held whole.

use super::error::LedgerError;
use super::manifest::FileRef;
use super::seal::hex;
use super::store::{Store, StoreError};
use std::io::{self, ErrorKind, Read};

/// Bytes skipped at once.
const SKIP_BYTES: usize = 64 << 10;

/// A file that a manifest names, being read from its beginning.
pub(super) struct HashedFile {
    place: String,
    expected: FileRef,
    reader: Box<dyn Read + Send>,
    hasher: blake3::Hasher,
    at: u64,
}

impl HashedFile {
    /// Opens the file.
    pub fn open(store: &dyn Store, file: &FileRef) -> Result<Self, LedgerError> {
        let Some(reader) = store.read(&file.name)? else {
            return Err(LedgerError::damaged(store, &file.name, "it is missing"));
        };
        let place = store.place(&file.name);
        Ok(Self { place, expected: file.clone(), reader, hasher: blake3::Hasher::new(), at: 0 })
    }

    /// The next so many bytes. Checked against the length in the manifest before memory is taken.
    pub fn take(&mut self, bytes: u64) -> Result<Vec<u8>, LedgerError> {
        let left = self.expected.bytes.saturating_sub(self.at);
        let Some(wanted) = usize::try_from(bytes).ok().filter(|_| bytes <= left) else {
            return Err(self.damaged(format!("{bytes} bytes are wanted at byte {}, {left} are there", self.at)));
        };
        let mut taken = Vec::with_capacity(wanted);
        let read = self.reader.by_ref().take(bytes).read_to_end(&mut taken);
        read.map_err(|e| self.unreadable(e))?;
        if taken.len() < wanted {
            let there = self.at + taken.len() as u64;
            return Err(self.damaged(format!("it is cut off at byte {there} of {}", self.expected.bytes)));
        }
        self.hasher.update(&taken);
        self.at += bytes;
        Ok(taken)
    }

    /// Goes forward to a place.
    pub fn skip_to(&mut self, at: u64) -> Result<(), LedgerError> {
        if at < self.at {
            return Err(self.damaged(format!("two parts lie over each other at byte {at}")));
        }
        while self.at < at {
            self.take((at - self.at).min(SKIP_BYTES as u64))?;
        }
        Ok(())
    }

    /// Reads the rest: the file must end where its manifest says and have the hash that it says.
    pub fn finish(&mut self) -> Result<(), LedgerError> {
        self.skip_to(self.expected.bytes)?;
        loop {
            match self.reader.read(&mut [0]) {
                Ok(0) => break,
                Ok(_) => return Err(self.damaged(format!("it goes on behind its {} bytes", self.at))),
                Err(e) if e.kind() == ErrorKind::Interrupted => (),
                Err(e) => return Err(self.unreadable(e)),
            }
        }
        match hex(self.hasher.finalize().as_bytes()) == self.expected.blake3 {
            true => Ok(()),
            false => Err(self.damaged("its bytes do not have the hash that its manifest says")),
        }
    }

    /// Trouble of the medium says so itself; a file that can't be read otherwise is damaged.
    fn unreadable(&self, error: io::Error) -> LedgerError {
        match error.downcast::<StoreError>() {
            Ok(error) => error.into(),
            Err(error) => self.damaged(format!("it can't be read: {error}")),
        }
    }

    /// An error about this file.
    pub fn damaged(&self, reason: impl Into<String>) -> LedgerError {
        LedgerError::Damaged { file: self.place.clone(), reason: reason.into() }
    }
}
