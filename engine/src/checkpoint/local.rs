//! A store in a local folder.
//!
//! | call | file operations |
//! |---|---|
//! | `put` | write `.7.tmp`, sync it, rename it to `name`, sync the folder |
//! | `write` | the same without the last: `settle` syncs the folder for all of them |
//! | `create` | write `.7.tmp`, sync it, link it to `name` (fails if there is one), unlink `.7.tmp`, sync the folder |
//! | `delete` | unlink each, sync the folder; `discard` without the last |
//!
//! So a name is never seen before its bytes are durable, and no call but `write` and `discard` returns before the name is
//! (or is gone). No two calls share a temporary name; what a crash leaves under one goes when the folder is opened again. A
//! second process can't open it meanwhile.
//! The folder must be on a file system that has hard links and keeps what it synced: any of Linux's own has and does.

use super::disk::{Disk, Folder};
use super::store::{Created, Fill, Store, StoreError, checked};
use crate::fail;
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A folder, locked for as long as this lives.
#[derive(Debug)]
pub struct LocalStore {
    disk: Box<dyn Disk>,
    /// Files that were begun: the number of the next temporary one.
    begun: AtomicU64,
}

impl LocalStore {
    /// Opens a folder, creates it if need be, and removes what a crash left half written.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        Self::on(Box::new(Folder::open(folder)?))
    }

    /// A folder that is only looked at: it must be there, another process may use it, and every write fails. While a job
    /// runs on it, files may go between being listed and being read.
    pub fn view(folder: &Path) -> Result<Self, StoreError> {
        Ok(Self { disk: Box::new(Folder::view(folder)?), begun: AtomicU64::new(0) })
    }

    /// A store on any disk.
    pub fn on(disk: Box<dyn Disk>) -> Result<Self, StoreError> {
        let store = Self { disk, begun: AtomicU64::new(0) };
        for name in store.all()?.iter().filter(|n| is_temporary(n)) {
            store.disk.unlink(name).map_err(|e| store.error("remove", name, &e))?;
        }
        Ok(store)
    }

    fn all(&self) -> Result<Vec<String>, StoreError> {
        self.disk.list().map_err(|e| self.error("list", "", &e))
    }

    fn error(&self, doing: &str, name: &str, error: &std::io::Error) -> StoreError {
        StoreError::io(&format!("{doing} {}", self.disk.path(name)), error)
    }

    /// Writes and syncs a temporary file, then lets `show` give it its name. The temporary name is gone afterwards.
    fn stage<T>(
        &self,
        name: &str,
        fill: Fill<'_>,
        show: impl FnOnce(&str) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        checked(name)?;
        let temporary = format!(".{}.tmp", self.begun.fetch_add(1, Relaxed));
        let failed = |e: std::io::Error| self.error("write", name, &e);
        let written = self.disk.create(&temporary).map_err(failed).and_then(|mut file| {
            fill(&mut |piece| file.write(piece).map_err(failed))?;
            file.sync().map_err(failed)?;
            fail::point("file.synced");
            Ok(())
        });
        let shown = written.and_then(|()| show(&temporary));
        if shown.is_err() {
            // A full disk needs the room back; if this fails too, opening the folder removes it.
            let _ = self.disk.unlink(&temporary);
        }
        shown
    }

    fn sync_names(&self) -> Result<(), StoreError> {
        self.disk.sync_names().map_err(|e| self.error("sync the folder", "", &e))
    }
}

fn is_temporary(name: &str) -> bool {
    name.strip_prefix('.').and_then(|n| n.strip_suffix(".tmp")).is_some_and(|n| checked(n).is_ok())
}

impl Store for LocalStore {
    fn put(&self, name: &str, parts: &[&[u8]]) -> Result<(), StoreError> {
        self.write(name, parts)?;
        self.sync_names()
    }

    fn write(&self, name: &str, parts: &[&[u8]]) -> Result<(), StoreError> {
        self.write_pieces(name, &mut |take| parts.iter().try_for_each(|part| take(part)))
    }

    fn write_pieces(&self, name: &str, fill: Fill<'_>) -> Result<(), StoreError> {
        self.stage(name, fill, |temporary| {
            self.disk.rename(temporary, name).map_err(|e| self.error("write", name, &e))
        })?;
        fail::point("file.named");
        Ok(())
    }

    fn settle(&self) -> Result<(), StoreError> {
        self.sync_names()
    }

    fn create(&self, name: &str, bytes: &[u8]) -> Result<Created, StoreError> {
        let created = self.stage(name, &mut |take| take(bytes), |temporary| {
            let created = match self.disk.link(temporary, name) {
                Ok(()) => Created::New,
                Err(e) if e.kind() == ErrorKind::AlreadyExists => Created::Exists,
                Err(e) if matches!(e.kind(), ErrorKind::PermissionDenied | ErrorKind::Unsupported) => {
                    let StoreError { kind, message } = self.error("link", name, &e);
                    let cure = "if its file system has no hard links, choose a folder on another one";
                    return Err(StoreError::new(kind, format!("{message}; {cure}")));
                }
                Err(e) => return Err(self.error("create", name, &e)),
            };
            self.disk.unlink(temporary).map_err(|e| self.error("remove", temporary, &e))?;
            Ok(created)
        })?;
        self.sync_names()?;
        Ok(created)
    }

    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(mut reader) = self.read(name)? else { return Ok(None) };
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).map_err(|e| self.error("read", name, &e))?;
        Ok(Some(bytes))
    }

    fn read(&self, name: &str) -> Result<Option<Box<dyn Read + Send>>, StoreError> {
        match self.disk.open(checked(name)?) {
            Ok(reader) => Ok(Some(reader)),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(self.error("read", name, &e)),
        }
    }

    fn list(&self) -> Result<Vec<String>, StoreError> {
        let mut names = self.all()?;
        names.retain(|n| checked(n).is_ok());
        names.sort_unstable();
        Ok(names)
    }

    fn delete(&self, names: &[&str]) -> Result<(), StoreError> {
        if names.is_empty() {
            return Ok(());
        }
        self.discard(names)?;
        self.sync_names()
    }

    fn discard(&self, names: &[&str]) -> Result<(), StoreError> {
        for name in names {
            match self.disk.unlink(checked(name)?) {
                Ok(()) => (),
                Err(e) if e.kind() == ErrorKind::NotFound => (),
                Err(e) => return Err(self.error("delete", name, &e)),
            }
        }
        Ok(())
    }

    fn place(&self, name: &str) -> String {
        self.disk.path(name)
    }
}
