//! Where a job keeps its state: the folder, the signature, how often.

use crate::failure::Failure;
use highwater_engine::checkpoint::{HmacKey, LocalStore};
use highwater_engine::flow::{Every, Keep};
use highwater_sql::Settings;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Attempts without a new checkpoint after which a job has failed.
const FAILURES_MAX: u32 = 3;
/// Wait before the second attempt.
const BACKOFF: Duration = Duration::from_millis(500);

/// Opens the state folder of `flag`, or else of `state.dir`; `None` if neither is given.
///
/// # Errors
/// A folder that can't be used, or that another process uses; a key file that can't be read.
pub fn keep(flag: Option<&Path>, settings: &Settings) -> Result<Option<Keep>, Failure> {
    let Some(folder) = flag.or(settings.state_dir.as_deref().map(Path::new)) else { return Ok(None) };
    let store = LocalStore::open(folder).map_err(|e| Failure::job(e.to_string()))?;
    let every = Duration::from_millis(settings.checkpoint_interval_ms.unsigned_abs());
    Ok(Some(Keep {
        store: Arc::new(store),
        key: key(settings)?,
        every: Every::Interval(every),
        failures_max: FAILURES_MAX,
        backoff: BACKOFF,
    }))
}

/// The key that signs manifests, if the job has one.
///
/// # Errors
/// A file that can't be read, or is too short for a key.
pub fn key(settings: &Settings) -> Result<Option<HmacKey>, Failure> {
    let Some(file) = &settings.state_key_file else { return Ok(None) };
    let failed = |e: &dyn std::fmt::Display| Failure::usage(format!("state.hmac-key-file {file}: {e}"));
    let bytes = std::fs::read(file).map_err(|e| failed(&e))?;
    Ok(Some(HmacKey::new(&bytes).map_err(|e| failed(&e))?))
}
