//! Writing objects: small ones in one request, large ones in parts, a few of them at a time.
//!
//! Parts of an upload that was never completed are no object, but they are stored: an upload that fails is aborted, one
//! that a crash cut off stays until a rule of the bucket removes it.

use super::retry::retried;
use super::trouble::{Trouble, of};
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutPayload, Result};
use std::sync::Arc;
use tokio::task::JoinSet;

/// Objects up to this size are written in one request, larger ones in parts of it.
pub const PART_BYTES: usize = 8 << 20;
/// The most parts an object can have.
const PARTS_MAX: usize = 10_000;
/// Parts on their way at a time: with [`PART_BYTES`] the memory of an upload.
const PARTS_AT_A_TIME: usize = 4;
/// How often an upload is begun, if the other side forgets it.
const UPLOADS_MAX: usize = 3;

/// A bucket: whole objects, and objects in parts.
pub trait Bucket: ObjectStore + MultipartStore {}
impl<T: ObjectStore + MultipartStore> Bucket for T {}

/// Writes an object, the slices one after the other.
pub async fn put(objects: &Arc<dyn Bucket>, path: &Path, slices: &[&[u8]]) -> Result<()> {
    let bytes: usize = slices.iter().map(|s| s.len()).sum();
    if bytes <= PART_BYTES {
        let payload = PutPayload::from(slices.concat());
        return retried(|| async { objects.put(path, payload.clone()).await.map(drop) }).await;
    }
    let part_bytes = PART_BYTES.max(bytes.div_ceil(PARTS_MAX));
    for _ in 1..UPLOADS_MAX {
        match upload(objects, path, slices, part_bytes).await {
            // Completed by a try whose answer was lost, or forgotten.
            Err(error) if of(&error) == Trouble::NoObject => (),
            outcome => return outcome,
        }
    }
    upload(objects, path, slices, part_bytes).await
}

async fn upload(objects: &Arc<dyn Bucket>, path: &Path, slices: &[&[u8]], part_bytes: usize) -> Result<()> {
    let id = retried(|| async { objects.create_multipart(path).await }).await?;
    let sent = match parts(objects, path, &id, slices, part_bytes).await {
        Ok(parts) => retried(|| async { objects.complete_multipart(path, &id, parts.clone()).await }).await,
        Err(error) => Err(error),
    };
    if sent.is_err() {
        // What can't be aborted now goes by the bucket's rule.
        let _ = objects.abort_multipart(path, &id).await;
    }
    sent.map(drop)
}

/// Sends all parts.
async fn parts(
    objects: &Arc<dyn Bucket>,
    path: &Path,
    id: &str,
    slices: &[&[u8]],
    part_bytes: usize,
) -> Result<Vec<PartId>> {
    let mut rest = Pieces { slices, at: 0 };
    let (mut sending, mut sent) = (JoinSet::new(), Vec::new());
    loop {
        while sending.len() < PARTS_AT_A_TIME
            && let Some(piece) = rest.next(part_bytes)
        {
            let (objects, path, id, index) = (objects.clone(), path.clone(), id.to_owned(), sent.len());
            let payload = PutPayload::from(piece);
            sent.push(None);
            sending.spawn(async move {
                let part = retried(|| async { objects.put_part(&path, &id, index, payload.clone()).await }).await;
                part.map(|part| (index, part))
            });
        }
        match sending.join_next().await {
            Some(part) => {
                let (index, part) = part.map_err(|source| Error::JoinError { source })??;
                sent[index] = Some(part);
            }
            None => return Ok(sent.into_iter().map(|p| p.expect("every part that was sent was joined")).collect()),
        }
    }
}

/// Slices cut into pieces of one size.
struct Pieces<'a> {
    slices: &'a [&'a [u8]],
    /// Bytes of the first slice that are gone.
    at: usize,
}

impl Pieces<'_> {
    /// The next so many bytes, fewer at the end; `None` behind it.
    fn next(&mut self, bytes: usize) -> Option<Vec<u8>> {
        let mut piece = Vec::new();
        while piece.len() < bytes
            && let Some(slice) = self.slices.first()
        {
            let taken = &slice[self.at..];
            let taken = &taken[..taken.len().min(bytes - piece.len())];
            piece.extend_from_slice(taken);
            self.at += taken.len();
            if self.at == slice.len() {
                (self.slices, self.at) = (&self.slices[1..], 0);
            }
        }
        (!piece.is_empty()).then_some(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_the_slices_in_order() {
        let bytes: Vec<u8> = (0..100).collect();
        for cut in [1, 7, 33, 100, 200] {
            for piece in [1, 3, 50, 99, 100, 101] {
                let mut slices: Vec<&[u8]> = bytes.chunks(cut).collect();
                slices.insert(slices.len() / 2, &[]);
                let mut pieces = Pieces { slices: &slices, at: 0 };
                let all: Vec<Vec<u8>> = std::iter::from_fn(|| pieces.next(piece)).collect();
                assert_eq!(all.concat(), bytes);
                assert!(all[..all.len() - 1].iter().all(|p| p.len() == piece), "{cut} {piece}");
            }
        }
    }
}
