//! Where state lives, as people write it.
//!
//! | text | |
//! |---|---|
//! | `state`, `/var/state` | a folder |
//! | `file:///var/state` | the same; the path as it stands, nothing is decoded |
//! | `s3://bucket/prefix` | objects `prefix/…` of a bucket |
//! | `memory://` | a bucket that ends with the process: for tests |
//!
//! Everything else with `://` is refused, and so is an address with credentials in it: it would stand in job files,
//! process lists and logs.

use super::store::BucketStore;
use highwater_engine::checkpoint::{LocalStore, Store, StoreError, StoreErrorKind};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A place that can hold state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A folder of this machine.
    Folder(PathBuf),
    /// Objects of a bucket under a prefix, which may be empty.
    Bucket {
        /// The bucket's name.
        bucket: String,
        /// Names of objects begin with it and a `/`.
        prefix: String,
    },
    /// A bucket in memory; each time it is opened it is another one.
    Memory,
}

impl Address {
    /// Reads an address.
    ///
    /// # Errors
    /// It is of a kind that can't hold state, or not well formed: what is wrong and how it is written.
    pub fn parse(text: &Path) -> Result<Self, StoreError> {
        let Some((scheme, rest)) = text.to_str().and_then(|t| t.split_once("://")) else {
            return Ok(Self::Folder(text.to_owned()));
        };
        let refuse = |why: &str| {
            let shown = if rest.contains('@') { format!("{scheme}://…") } else { format!("{scheme}://{rest}") };
            Err(StoreError::new(StoreErrorKind::Other, format!("state can't be kept in {shown}: {why}")))
        };
        if rest.contains('@') {
            return refuse("an address holds no credentials; they come from the environment (AWS_ACCESS_KEY_ID, …)");
        }
        match scheme {
            "file" if rest.starts_with('/') => Ok(Self::Folder(PathBuf::from(rest))),
            "file" => refuse("a folder of this machine is written file:///path, or just as its path"),
            "memory" if rest.is_empty() => Ok(Self::Memory),
            "memory" => refuse("a bucket in memory has no name: memory://"),
            "s3" => bucket(rest).or_else(|why| refuse(&why)),
            _ => refuse("name a folder, file:///path or s3://bucket/prefix"),
        }
    }

    /// Opens the place for a job: a folder is created and locked, of a bucket it is proved that it can create if absent.
    ///
    /// # Errors
    /// It can't be reached, written or locked.
    pub fn open(&self) -> Result<Arc<dyn Store>, StoreError> {
        Ok(match self {
            Self::Folder(path) => Arc::new(LocalStore::open(path)?),
            Self::Bucket { bucket, prefix } => Arc::new(BucketStore::open(bucket, prefix, environment())?),
            Self::Memory => Arc::new(BucketStore::in_memory()?),
        })
    }

    /// Opens a place that is only looked at, whoever else uses it meanwhile: every write fails.
    ///
    /// # Errors
    /// It can't be reached or read.
    pub fn view(&self) -> Result<Arc<dyn Store>, StoreError> {
        Ok(match self {
            Self::Folder(path) => Arc::new(LocalStore::view(path)?),
            Self::Bucket { bucket, prefix } => Arc::new(BucketStore::view(bucket, prefix, environment())?),
            Self::Memory => Arc::new(BucketStore::in_memory()?),
        })
    }
}

/// The variables that are text; others are none of a bucket's.
fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => write!(f, "{}", path.display()),
            Self::Bucket { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            Self::Bucket { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
            Self::Memory => write!(f, "memory://"),
        }
    }
}

/// What stands behind `s3://`.
fn bucket(text: &str) -> Result<Address, String> {
    let (bucket, prefix) = text.split_once('/').unwrap_or((text, ""));
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-');
    if !(3..=63).contains(&bucket.len()) || !bucket.bytes().all(legal) {
        return Err(format!(
            "{bucket:?} is no name of a bucket (3 to 63 lower-case letters, digits, '.' and '-'); it is written \
             s3://bucket/prefix"
        ));
    }
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    let plain = |c: char| c.is_ascii_alphanumeric() || "!-_.*'()=+,:".contains(c);
    let wrong = |part: &&str| part.is_empty() || matches!(*part, "." | "..") || !part.chars().all(plain);
    match prefix.split('/').find(wrong).filter(|_| !prefix.is_empty()) {
        Some(part) => Err(format!("{part:?} can't be a part of a prefix; use letters, digits, '-', '_', '.' and '='")),
        None => Ok(Address::Bucket { bucket: bucket.to_owned(), prefix: prefix.to_owned() }),
    }
}
