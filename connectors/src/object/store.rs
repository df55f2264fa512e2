//! A [`Store`] whose files are objects of a bucket under one prefix.
//!
//! | call | requests |
//! |---|---|
//! | `put` | PUT, or an upload in parts |
//! | `create` | PUT with `If-None-Match: *` |
//! | `get`, `read` | HEAD for size and version, then GET by ranges of that version |
//! | `list` | LIST with a delimiter: objects further below are not ours |
//! | `delete` | a DELETE for each, several at a time |
//!
//! An object store shows an object when it is whole and durable, and a listing after a write shows it: what
//! [`Store`] promises is what it does. There is no lock: a second process is found out by the manifest that both create.
//!
//! A request that is not answered is sent again for a few seconds; then the error is
//! [`Unavailable`](StoreErrorKind::Unavailable), and a running job waits and calls again.

use super::connect;
use super::create::{create, prove};
use super::read::Reader;
use super::retry::retried;
use super::trouble::{Trouble, of, told};
use super::upload::{self, Bucket};
use crate::driver::Driver;
use highwater_engine::checkpoint::store::checked;
use highwater_engine::checkpoint::{Created, Store, StoreError, StoreErrorKind};
use object_store::memory::InMemory;
use object_store::path::{Path, PathPart};
use object_store::{Error, ObjectStoreExt};
use std::fmt;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// How long a bucket may take until it has answered for the first time.
const OPEN: Duration = Duration::from_secs(9);
/// Objects that are deleted at a time.
const DELETED_AT_A_TIME: usize = 16;
/// The object by which it is proved that a bucket can create if absent. No file of a store can have this name.
const PROOF: &str = ".highwater-create-if-absent";

/// A bucket.
pub struct BucketStore {
    driver: Arc<Driver>,
    objects: Arc<dyn Bucket>,
    /// `s3://bucket/prefix`.
    address: String,
    prefix: Path,
    /// Whether it is only looked at.
    view: bool,
}

/// The client holds credentials.
impl fmt::Debug for BucketStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BucketStore").field("address", &self.address).field("view", &self.view).finish_non_exhaustive()
    }
}

impl BucketStore {
    /// Opens a bucket of S3 for a job. Credentials, endpoint and region are those of the environment (`AWS_…`).
    ///
    /// # Errors
    /// It can't be reached within ten seconds, or can't create an object if absent, which is all that keeps two processes
    /// of one job apart.
    pub fn open(
        bucket: &str,
        prefix: &str,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, StoreError> {
        let store = Self::connect(bucket, prefix, environment, false)?;
        let proof = store.prefix.clone().join(PROOF);
        let proved = store.first("write", PROOF, prove(&*store.objects, &proof))?;
        if !proved {
            let why = "this bucket does not support conditional writes (PUT with If-None-Match), and without them two \
                       processes of one job could not know of each other; keep the state in a folder or in another \
                       object store";
            let message = format!("can't keep state in {}: {why}", store.address);
            return Err(StoreError::new(StoreErrorKind::Other, message));
        }
        Ok(store)
    }

    /// Opens a bucket of S3 that is only looked at: every write fails.
    ///
    /// # Errors
    /// It can't be reached within ten seconds, or not be listed.
    pub fn view(
        bucket: &str,
        prefix: &str,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, StoreError> {
        let store = Self::connect(bucket, prefix, environment, true)?;
        store.first("list", "", retried(|| async { store.objects.list_with_delimiter(Some(&store.prefix)).await }))?;
        Ok(store)
    }

    /// A bucket in memory, for tests.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn in_memory() -> Result<Self, StoreError> {
        Self::on(Arc::new(InMemory::new()), "memory://".into(), Path::default(), false)
    }

    fn connect(
        bucket: &str,
        prefix: &str,
        environment: impl Iterator<Item = (String, String)>,
        view: bool,
    ) -> Result<Self, StoreError> {
        let address = if prefix.is_empty() { format!("s3://{bucket}") } else { format!("s3://{bucket}/{prefix}") };
        let objects = connect::bucket(bucket, &address, environment)?;
        Self::on(Arc::new(objects), address, Path::from(prefix), view)
    }

    fn on(objects: Arc<dyn Bucket>, address: String, prefix: Path, view: bool) -> Result<Self, StoreError> {
        let driver = Driver::start("object-store").map_err(|e| StoreError::io("start a thread for requests", &e))?;
        Ok(Self { driver: Arc::new(driver), objects, address, prefix, view })
    }

    /// Runs the first request, which must be answered in time.
    fn first<T>(
        &self,
        doing: &str,
        name: &str,
        request: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T, StoreError> {
        match self.driver.run(async { tokio::time::timeout(OPEN, request).await }) {
            Ok(answer) => answer.map_err(|e| self.error(doing, name, &e)),
            Err(_) => {
                let waited = OPEN.as_secs();
                let message = format!(
                    "can't {doing} {}: no answer within {waited} s; is the endpoint right and within reach \
                     (AWS_ENDPOINT_URL, AWS_REGION)?",
                    self.place(name)
                );
                Err(StoreError::new(StoreErrorKind::Unavailable, message))
            }
        }
    }

    fn error(&self, doing: &str, name: &str, error: &Error) -> StoreError {
        told(doing, &self.place(name), error)
    }

    fn path(&self, name: &str) -> Result<Path, StoreError> {
        Ok(self.prefix.clone().join(PathPart::from(checked(name)?)))
    }

    /// The path of an object that is to be written.
    fn mine(&self, name: &str) -> Result<Path, StoreError> {
        let path = self.path(name)?;
        if self.view {
            let message = format!("can't write {}: it was opened to be looked at", self.place(name));
            return Err(StoreError::new(StoreErrorKind::ReadOnly, message));
        }
        Ok(path)
    }

    /// The name of an object directly under the prefix.
    fn name(&self, path: &Path) -> Option<String> {
        let mut parts = path.prefix_match(&self.prefix)?;
        let name = parts.next()?.as_ref().to_owned();
        (parts.next().is_none() && checked(&name).is_ok()).then_some(name)
    }
}

impl Store for BucketStore {
    fn put(&self, name: &str, parts: &[&[u8]]) -> Result<(), StoreError> {
        let path = self.mine(name)?;
        self.driver.run(upload::put(&self.objects, &path, parts)).map_err(|e| self.error("write", name, &e))
    }

    fn create(&self, name: &str, bytes: &[u8]) -> Result<Created, StoreError> {
        let path = self.mine(name)?;
        self.driver.run(create(&*self.objects, &path, bytes)).map_err(|e| self.error("create", name, &e))
    }

    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(mut reader) = self.read(name)? else { return Ok(None) };
        let mut bytes = Vec::new();
        match reader.read_to_end(&mut bytes) {
            Ok(_) => Ok(Some(bytes)),
            Err(error) => Err(error.downcast().unwrap_or_else(|e| StoreError::io("read", &e))),
        }
    }

    fn read(&self, name: &str) -> Result<Option<Box<dyn Read + Send>>, StoreError> {
        let path = self.path(name)?;
        match self.driver.run(retried(|| async { self.objects.head(&path).await })) {
            Ok(meta) => {
                let (driver, objects) = (self.driver.clone(), self.objects.clone());
                Ok(Some(Box::new(Reader::new(driver, objects, path, self.place(name), meta))))
            }
            Err(error) if of(&error) == Trouble::NoObject => Ok(None),
            Err(error) => Err(self.error("read", name, &error)),
        }
    }

    fn list(&self) -> Result<Vec<String>, StoreError> {
        let listing = retried(|| async { self.objects.list_with_delimiter(Some(&self.prefix)).await });
        let found = self.driver.run(listing).map_err(|e| self.error("list", "", &e))?;
        let mut names: Vec<String> = found.objects.iter().filter_map(|o| self.name(&o.location)).collect();
        names.sort_unstable();
        Ok(names)
    }

    fn delete(&self, names: &[&str]) -> Result<(), StoreError> {
        let mut paths =
            names.iter().map(|name| Ok((*name, self.mine(name)?))).collect::<Result<Vec<_>, StoreError>>()?;
        let mut running = JoinSet::new();
        self.driver.run(async {
            loop {
                while running.len() < DELETED_AT_A_TIME
                    && let Some((name, path)) = paths.pop()
                {
                    let (objects, name) = (self.objects.clone(), name.to_owned());
                    running.spawn(async move { (name, retried(|| async { objects.delete(&path).await }).await) });
                }
                match running.join_next().await {
                    None => return Ok(()),
                    Some(Ok((_, Ok(())))) => (),
                    Some(Ok((_, Err(error)))) if of(&error) == Trouble::NoObject => (),
                    Some(Ok((name, Err(error)))) => return Err(self.error("delete", &name, &error)),
                    Some(Err(source)) => return Err(self.error("delete", "", &Error::JoinError { source })),
                }
            }
        })
    }

    fn place(&self, name: &str) -> String {
        let slash = if name.is_empty() || self.address.ends_with('/') { "" } else { "/" };
        format!("{}{slash}{name}", self.address)
    }
}
