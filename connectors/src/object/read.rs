//! Reading an object forward in pieces: while one is used, the next is on its way. So an object of any size takes the
//! memory of two pieces, and no request takes longer than one piece.

use super::retry::retried;
use super::trouble::told;
use super::upload::Bucket;
use highwater_engine::checkpoint::StoreError;
use object_store::path::Path;
use object_store::{Error, GetOptions, ObjectMeta, Result};
use std::io::{self, Cursor, Read};
use std::ops::Range;
use std::sync::Arc;
use tokio::task::JoinHandle;

use crate::driver::Driver;

/// Bytes of a piece.
const PIECE_BYTES: u64 = 8 << 20;

/// An object being read.
pub struct Reader {
    driver: Arc<Driver>,
    objects: Arc<dyn Bucket>,
    path: Path,
    /// For messages.
    place: String,
    /// Size and version of the object when it was opened.
    meta: ObjectMeta,
    /// Where the next piece to ask for begins.
    at: u64,
    piece: Cursor<Vec<u8>>,
    coming: Option<JoinHandle<Result<Vec<u8>>>>,
}

impl Reader {
    /// An object that was found; asks for its first piece.
    pub fn new(driver: Arc<Driver>, objects: Arc<dyn Bucket>, path: Path, place: String, meta: ObjectMeta) -> Self {
        let piece = Cursor::default();
        let mut reader = Self { driver, objects, path, place, meta, at: 0, piece, coming: None };
        reader.ask();
        reader
    }

    /// Sends for the next piece, if there is one.
    fn ask(&mut self) {
        let range = self.at..self.meta.size.min(self.at + PIECE_BYTES);
        self.at = range.end;
        self.coming = (!range.is_empty()).then(|| {
            let request = piece(self.objects.clone(), self.path.clone(), range, self.meta.e_tag.clone());
            self.driver.handle().spawn(request)
        });
    }

    /// Takes the piece that is on its way; none at the end of the object.
    fn advance(&mut self) -> Result<bool> {
        let Some(coming) = self.coming.take() else { return Ok(false) };
        let piece = self.driver.run(coming).map_err(|source| Error::JoinError { source })??;
        self.piece = Cursor::new(piece);
        self.ask();
        Ok(true)
    }
}

/// A range of the object of this version.
async fn piece(objects: Arc<dyn Bucket>, path: Path, range: Range<u64>, e_tag: Option<String>) -> Result<Vec<u8>> {
    let options = GetOptions { if_match: e_tag, ..GetOptions::new().with_range(Some(range)) };
    let bytes = retried(|| async { objects.get_opts(&path, options.clone()).await?.bytes().await }).await?;
    Ok(bytes.to_vec())
}

impl Read for Reader {
    /// An error is a [`StoreError`] inside one of I/O.
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.piece.read(into)? {
                0 if !into.is_empty() => match self.advance() {
                    Ok(true) => (),
                    Ok(false) => return Ok(0),
                    Err(error) => {
                        let error: StoreError = told("read", &self.place, &error);
                        return Err(io::Error::other(error));
                    }
                },
                bytes => return Ok(bytes),
            }
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(coming) = &self.coming {
            coming.abort();
        }
    }
}
