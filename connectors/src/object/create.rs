//! Create if absent: the one request by which two processes of a job know of each other.
//!
//! It is a PUT with `If-None-Match: *`. Three things make it more than one request:
//!
//! * **An unknown outcome.** After a time-out, a cut connection or an answer of 5xx the object may be there. The next try
//!   then finds it and is refused. So once a try has ended unknown, an object with our own bytes is ours: the bytes of a
//!   manifest name its incarnation, nobody else writes the same.
//! * **A conflict that is none.** S3 refuses too (409) when somebody deletes the object at that moment. So a refusal counts
//!   only if the object can be read; else it is tried again.
//! * **A store that ignores the condition** overwrites. With it two processes could each believe to be the only one, so
//!   [`prove`] asks for it before anything else is written.
//!
//! The client's own repetition of requests is switched off: it could not tell the first case from somebody else's object.

use super::retry::{Waits, retried};
use super::trouble::{Trouble, of};
use super::upload::Bucket;
use highwater_engine::checkpoint::Created;
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutMode, PutPayload, Result};

/// Creates an object if there is none.
pub async fn create(objects: &dyn Bucket, path: &Path, bytes: &[u8]) -> Result<Created> {
    let payload = PutPayload::from(bytes.to_vec());
    let mut waits = Waits::new();
    // Whether a try has ended with nobody knowing what became of it.
    let mut unknown = false;
    loop {
        let error = match objects.put_opts(path, payload.clone(), PutMode::Create.into()).await {
            Ok(_) => return Ok(Created::New),
            Err(error) => error,
        };
        match of(&error) {
            Trouble::Condition => match whole(objects, path).await? {
                Some(there) => return Ok(whose(&there, bytes, unknown)),
                None if waits.again().await => {}
                None => return Err(error),
            },
            Trouble::Unavailable => {
                unknown = true;
                if !waits.again().await {
                    return match whole(objects, path).await {
                        Ok(Some(there)) => Ok(whose(&there, bytes, unknown)),
                        _ => Err(error),
                    };
                }
            }
            _ => return Err(error),
        }
    }
}

/// Whether the object that is there is the one we sent.
fn whose(there: &[u8], ours: &[u8], unknown: bool) -> Created {
    if unknown && there == ours { Created::New } else { Created::Exists }
}

/// A whole small object; `None` if there is none.
async fn whole(objects: &dyn Bucket, path: &Path) -> Result<Option<Vec<u8>>> {
    match retried(|| async { objects.get(path).await?.bytes().await }).await {
        Ok(bytes) => Ok(Some(bytes.to_vec())),
        Err(error) if of(&error) == Trouble::NoObject => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether the bucket refuses to create an object that is there. The object stays: the next start needs one request.
pub async fn prove(objects: &dyn Bucket, path: &Path) -> Result<bool> {
    let texts = ["highwater asks whether this store can create if absent\n", "and it can't: this is the second text\n"];
    for text in texts {
        match create(objects, path, text.as_bytes()).await {
            Ok(Created::Exists) => return Ok(true),
            Ok(Created::New) => {}
            Err(error) if of(&error) == Trouble::Unsupported => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}
