//! A store in memory, for tests of what stands on a store.

use super::store::{Created, Store, StoreError, checked};
use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Files in memory. "Durable" is as long as the value lives: two ledgers may share one.
#[derive(Debug, Default)]
pub struct MemoryStore {
    files: Mutex<BTreeMap<String, Vec<u8>>>,
}

impl MemoryStore {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Another store with the same files.
    pub fn duplicate(&self) -> Self {
        Self { files: Mutex::new(self.files().clone()) }
    }

    fn files(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    fn put(&self, name: &str, parts: &[&[u8]]) -> Result<(), StoreError> {
        self.files().insert(checked(name)?.to_owned(), parts.concat());
        Ok(())
    }

    fn create(&self, name: &str, bytes: &[u8]) -> Result<Created, StoreError> {
        let mut files = self.files();
        if files.contains_key(checked(name)?) {
            return Ok(Created::Exists);
        }
        files.insert(name.to_owned(), bytes.to_vec());
        Ok(Created::New)
    }

    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.files().get(checked(name)?).cloned())
    }

    fn read(&self, name: &str) -> Result<Option<Box<dyn Read + Send>>, StoreError> {
        Ok(self.get(name)?.map(|bytes| Box::new(Cursor::new(bytes)) as Box<dyn Read + Send>))
    }

    fn list(&self) -> Result<Vec<String>, StoreError> {
        Ok(self.files().keys().cloned().collect())
    }

    fn delete(&self, names: &[&str]) -> Result<(), StoreError> {
        let mut files = self.files();
        for name in names {
            files.remove(checked(name)?);
        }
        Ok(())
    }

    fn place(&self, name: &str) -> String {
        format!("memory:{name}")
    }
}
