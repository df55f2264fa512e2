//! The file operations that a local folder is made of, and the folder of the operating system.
//!
//! [`super::LocalStore`] uses nothing else, so a test can put a simulated disk under it and cut the power between any two.

use super::store::{StoreError, StoreErrorKind};
use std::fmt::Debug;
use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Bytes that small pieces are collected to before they are read or written; larger ones go straight.
const BUFFER_BYTES: usize = 128 << 10;
/// The file that is locked while a store is open. No file of a store can have this name.
const LOCK: &str = ".lock";

/// One folder. What is not synced may be lost, in part and out of order, when the power fails.
pub trait Disk: Send + Sync + Debug {
    /// Creates a file or empties one.
    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;
    /// Opens a file for reading.
    fn open(&self, name: &str) -> io::Result<Box<dyn Read + Send>>;
    /// Gives a file another name, in place of a file that has it.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Gives a file a second name; fails if that is taken.
    fn link(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a name.
    fn unlink(&self, name: &str) -> io::Result<()>;
    /// Makes all names durable.
    fn sync_names(&self) -> io::Result<()>;
    /// All names of files, in any order.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Where a file is, for messages.
    fn path(&self, name: &str) -> String;
}

/// A file being written.
pub trait DiskFile: Send {
    /// Appends.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Makes what was written durable.
    fn sync(&mut self) -> io::Result<()>;
}

/// A folder of the operating system, locked against other processes for as long as this lives.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// Closing it opens the lock. Without it nothing is written.
    lock: Option<File>,
}

impl Folder {
    /// Creates the folder if it is not there (for this user alone) and locks it.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let shown = path.display();
        if path.to_string_lossy().contains("://") {
            let cure = "is an address, and not of a folder of this machine";
            return Err(StoreError::new(StoreErrorKind::Other, format!("the state folder {shown} {cure}")));
        }
        create_durably(path).map_err(|e| StoreError::io(&format!("create the state folder {shown}"), &e))?;
        let lock = path.join(LOCK);
        let lock = File::options().create(true).truncate(false).write(true).open(&lock);
        let lock = lock.map_err(|e| StoreError::io(&format!("write to the state folder {shown}"), &e))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), lock: Some(lock) }),
            Err(TryLockError::WouldBlock) => Err(StoreError::new(
                StoreErrorKind::Other,
                format!(
                    "the state folder {shown} is in use by another process; stop that job, or give this one its own folder"
                ),
            )),
            Err(TryLockError::Error(e)) => Err(StoreError::io(&format!("lock the state folder {shown}"), &e)),
        }
    }

    /// A folder that is only looked at, whoever else uses it meanwhile: no lock is taken, every write fails.
    pub fn view(path: &Path) -> Result<Self, StoreError> {
        fs::read_dir(path).map_err(|e| StoreError::io(&format!("read the state folder {}", path.display()), &e))?;
        Ok(Self { path: path.to_owned(), lock: None })
    }

    fn at(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Where a file is that is to be written.
    fn mine(&self, name: &str) -> io::Result<PathBuf> {
        match &self.lock {
            Some(_) => Ok(self.at(name)),
            None => Err(io::ErrorKind::ReadOnlyFilesystem.into()),
        }
    }
}

/// Creates a folder and those above it, and makes their names durable.
fn create_durably(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let missing = |p: &&Path| !p.as_os_str().is_empty() && !p.exists();
    let new: Vec<&Path> = path.ancestors().take_while(missing).collect();
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    for folder in new.iter().rev() {
        let above = folder.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(above)?.sync_all()?;
    }
    Ok(())
}

impl Disk for Folder {
    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let file = File::create(self.mine(name)?)?;
        Ok(Box::new(BufWriter::with_capacity(BUFFER_BYTES, file)))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Read + Send>> {
        let file = File::open(self.at(name))?;
        Ok(Box::new(BufReader::with_capacity(BUFFER_BYTES, file)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.mine(from)?, self.mine(to)?)
    }

    fn link(&self, from: &str, to: &str) -> io::Result<()> {
        fs::hard_link(self.mine(from)?, self.mine(to)?)
    }

    fn unlink(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.mine(name)?)
    }

    fn sync_names(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                names.extend(entry.file_name().into_string().ok());
            }
        }
        Ok(names)
    }

    fn path(&self, name: &str) -> String {
        self.at(name).display().to_string()
    }
}

impl DiskFile for BufWriter<File> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.flush()?;
        self.get_ref().sync_data()
    }
}
