//! Tables of files as sinks: a folder that is complete or absent.
//!
//! Every worker that has rows writes `part-<worker>.csv` (`.json`, `.parquet`) in a staging folder beside the target,
//! `.<name>.staging`, on the same file system. `finish` writes it to the disk (fsync); `commit` renames the staged folder
//! to the target, which is one step; `abort`, or the loss of the table, removes the stage. A target that holds something
//! is refused, unless `sink.overwrite` is set: then it is moved into the stage first and removed after the rename, and if
//! the program dies between the two renames, the next run moves it back. A lock in the stage keeps two running jobs from
//! writing one folder; a stage without a locker is left over from a dead run and cleaned.

use super::options::{Format, SinkOptions};
use super::part::{Part, absolute, failed, refuse_existing, sync_folder};
use arrow::array::RecordBatch;
use arrow_schema::SchemaRef;
use highwater_engine::error::SinkError;
use highwater_engine::sink::{Sink, SinkTable};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// An output folder.
#[derive(Debug)]
pub struct FileTable {
    parts: Arc<Parts>,
    target: PathBuf,
    stage: PathBuf,
    /// Held while the job runs; `None` after commit or abort.
    lock: Mutex<Option<File>>,
}

/// What the writers share.
#[derive(Debug)]
struct Parts {
    folder: PathBuf,
    format: Format,
    schema: SchemaRef,
}

impl Parts {
    fn create(&self, worker: usize) -> Result<Part, SinkError> {
        let path = self.folder.join(format!("part-{worker}.{}", self.format.extension()));
        Part::create(&path, &self.format, &self.schema)
    }
}

impl FileTable {
    /// Prepares the stage; nothing is seen at the target yet.
    pub fn new(options: &SinkOptions, schema: &SchemaRef) -> Result<Self, SinkError> {
        let path = &options.file.path;
        Self::prepare(options, schema).map_err(|e| SinkError::new(format!("can't write to the folder {path}: {e}")))
    }

    fn prepare(options: &SinkOptions, schema: &SchemaRef) -> Result<Self, SinkError> {
        let target = absolute(&options.file.path)?;
        let (Some(parent), Some(name)) = (target.parent(), target.file_name()) else {
            return Err(SinkError::new("it has no name of its own; name a folder below it"));
        };
        fs::create_dir_all(parent).map_err(|e| failed("create", parent, &e))?;
        let mut stage_name = std::ffi::OsString::from(".");
        stage_name.push(name);
        stage_name.push(".staging");
        let stage = parent.join(stage_name);
        fs::create_dir_all(&stage).map_err(|e| failed("create", &stage, &e))?;
        let lock = lock(&stage.join("lock"))?;
        let table = Self {
            parts: Arc::new(Parts {
                folder: stage.join("parts"),
                format: options.file.format.clone(),
                schema: schema.clone(),
            }),
            target,
            stage,
            lock: Mutex::new(Some(lock)),
        };
        // From here on an error drops the table, which removes the stage.
        table.clean_leftovers()?;
        refuse_existing(&table.target, options.overwrite)?;
        fs::create_dir(&table.parts.folder).map_err(|e| failed("create", &table.parts.folder, &e))?;
        Ok(table)
    }

    /// The target as it was before an overwriting commit.
    fn replaced(&self) -> PathBuf {
        self.stage.join("replaced")
    }

    fn clean_leftovers(&self) -> Result<(), SinkError> {
        let (replaced, folder) = (self.replaced(), &self.parts.folder);
        if replaced.exists() {
            if self.target.exists() {
                fs::remove_dir_all(&replaced).map_err(|e| failed("remove", &replaced, &e))?;
            } else {
                fs::rename(&replaced, &self.target).map_err(|e| failed("restore", &self.target, &e))?;
            }
        }
        if folder.exists() {
            fs::remove_dir_all(folder).map_err(|e| failed("remove", folder, &e))?;
        }
        Ok(())
    }

    fn show(&self) -> Result<(), SinkError> {
        let folder = &self.parts.folder;
        let empty = fs::read_dir(folder).map_err(|e| failed("list", folder, &e))?.next().is_none();
        if empty {
            // No worker had rows: one file says so, with the columns.
            let mut part = self.parts.create(0)?;
            part.finish()?;
        }
        sync_folder(folder)?;
        if self.target.exists() {
            let replaced = self.replaced();
            fs::rename(&self.target, &replaced).map_err(|e| failed("replace", &self.target, &e))?;
        }
        fs::rename(folder, &self.target).map_err(|e| failed("commit", &self.target, &e))?;
        self.target.parent().map_or(Ok(()), sync_folder)
    }

    /// Removes the stage and gives the lock back, once.
    fn end(&self) {
        let lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
        if lock.is_some() {
            // What can't be removed is hidden, and cleaned by the next run.
            let _ = fs::remove_dir_all(&self.stage);
        }
    }
}

impl SinkTable for FileTable {
    fn open(&self, worker: usize) -> Result<Box<dyn Sink>, SinkError> {
        Ok(Box::new(PartSink { parts: self.parts.clone(), worker, part: None }))
    }
    fn commit(&self) -> Result<(), SinkError> {
        self.show()?;
        self.end();
        Ok(())
    }
    fn abort(&self) {
        if self.replaced().exists() && !self.target.exists() {
            let _ = fs::rename(self.replaced(), &self.target);
        }
        self.end();
    }
}

impl Drop for FileTable {
    fn drop(&mut self) {
        self.abort();
    }
}

/// One worker's sink: its file is created with its first rows.
struct PartSink {
    parts: Arc<Parts>,
    worker: usize,
    part: Option<Part>,
}

impl Sink for PartSink {
    fn write(&mut self, rows: &RecordBatch) -> Result<(), SinkError> {
        if rows.num_rows() == 0 {
            return Ok(());
        }
        if self.part.is_none() {
            self.part = Some(self.parts.create(self.worker)?);
        }
        self.part.as_mut().map_or(Ok(()), |part| part.write(rows))
    }
    fn finish(&mut self) -> Result<(), SinkError> {
        self.part.take().map_or(Ok(()), |mut part| part.finish())
    }
}

/// Takes the lock of a stage, which lives as long as the process at most.
fn lock(path: &Path) -> Result<File, SinkError> {
    let file = File::create(path).map_err(|e| failed("create", path, &e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => {
            Err(SinkError::new("another job is writing to it; wait for that or choose another path"))
        }
        Err(fs::TryLockError::Error(e)) => Err(failed("lock", path, &e)),
    }
}
