//! Tables of files as sinks: a folder that is complete or absent.
//!
//! Every worker that has rows writes `part-<worker>.csv` (or `.parquet`) in a staging folder beside the target,
//! `.<name>.staging`, on the same file system. `finish` writes it to the disk (fsync); `commit` renames the staged folder
//! to the target, which is one step; `abort`, or the loss of the table, removes the stage. A target that holds something
//! is refused, unless `sink.overwrite` is set: then it is moved into the stage first and removed after the rename, and if
//! the program dies between the two renames, the next run moves it back. A lock in the stage keeps two running jobs from
//! writing one folder; a stage without a locker is left over from a dead run and cleaned.

use super::io_error;
use super::options::{Format, SinkOptions};
use crate::format::csv::CsvOptions;
use crate::format::csv::write::{write_header, write_rows};
use crate::format::parquet::write::ParquetWriter;
use arrow::array::RecordBatch;
use arrow_schema::SchemaRef;
use highwater_engine::error::SinkError;
use highwater_engine::sink::{Sink, SinkTable};
use parquet::errors::ParquetError;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of CSV that are collected before they go to the file.
const CSV_BUFFER_BYTES: usize = 1 << 20;

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
        table.refuse_existing(options.overwrite)?;
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

    fn refuse_existing(&self, overwrite: bool) -> Result<(), SinkError> {
        let holds_something = match fs::read_dir(&self.target) {
            Ok(mut entries) => entries.next().is_some(),
            Err(e) if e.kind() == io::ErrorKind::NotFound => false,
            Err(e) => return Err(failed("list", &self.target, &e)),
        };
        if holds_something && !overwrite {
            let cure = "remove it, choose another path, or set 'sink.overwrite' = 'true'";
            return Err(SinkError::new(format!("it holds something already; {cure}")));
        }
        Ok(())
    }

    fn show(&self) -> Result<(), SinkError> {
        let folder = &self.parts.folder;
        let empty = fs::read_dir(folder).map_err(|e| failed("list", folder, &e))?.next().is_none();
        if empty {
            // No worker had rows: one file says so, with the columns.
            let mut part = Part::create(&self.parts, 0)?;
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
            self.part = Some(Part::create(&self.parts, self.worker)?);
        }
        self.part.as_mut().map_or(Ok(()), |part| part.write(rows))
    }
    fn finish(&mut self) -> Result<(), SinkError> {
        self.part.take().map_or(Ok(()), |mut part| part.finish())
    }
}

/// A staged file.
struct Part {
    path: PathBuf,
    writer: Option<Writer>,
}

enum Writer {
    Csv { file: File, buffer: Vec<u8>, options: CsvOptions },
    Parquet(Box<ParquetWriter<File>>),
}

impl Part {
    fn create(parts: &Parts, worker: usize) -> Result<Self, SinkError> {
        let extension = if parts.format == Format::Parquet { "parquet" } else { "csv" };
        let path = parts.folder.join(format!("part-{worker}.{extension}"));
        let file = File::create_new(&path).map_err(|e| failed("create", &path, &e))?;
        let writer = match &parts.format {
            Format::Csv(options) => {
                let mut buffer = Vec::new();
                if options.header {
                    write_header(&parts.schema, options, &mut buffer).map_err(|e| in_file(&path, &e))?;
                }
                Writer::Csv { file, buffer, options: options.clone() }
            }
            Format::Parquet => {
                let writer = ParquetWriter::new(file, &parts.schema).map_err(|e| parquet_failed(&path, &e))?;
                Writer::Parquet(Box::new(writer))
            }
        };
        Ok(Self { path, writer: Some(writer) })
    }

    fn write(&mut self, rows: &RecordBatch) -> Result<(), SinkError> {
        match &mut self.writer {
            None => Err(in_file(&self.path, "rows after the end; this is a bug, please report it")),
            Some(Writer::Parquet(writer)) => writer.write(rows).map_err(|e| parquet_failed(&self.path, &e)),
            Some(Writer::Csv { file, buffer, options }) => {
                write_rows(rows, options, buffer).map_err(|e| in_file(&self.path, &e))?;
                if buffer.len() >= CSV_BUFFER_BYTES {
                    file.write_all(buffer).map_err(|e| failed("write", &self.path, &e))?;
                    buffer.clear();
                }
                Ok(())
            }
        }
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        let file = match self.writer.take() {
            None => return Ok(()),
            Some(Writer::Parquet(writer)) => writer.finish().map_err(|e| parquet_failed(&self.path, &e))?,
            Some(Writer::Csv { mut file, buffer, .. }) => {
                file.write_all(&buffer).map_err(|e| failed("write", &self.path, &e))?;
                file
            }
        };
        file.sync_all().map_err(|e| failed("write", &self.path, &e))
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

fn absolute(path: &str) -> Result<PathBuf, SinkError> {
    std::path::absolute(path).map_err(|e| failed("find", Path::new(path), &e))
}

fn sync_folder(path: &Path) -> Result<(), SinkError> {
    File::open(path).and_then(|f| f.sync_all()).map_err(|e| failed("write the folder", path, &e))
}

fn failed(tried: &str, path: &Path, error: &io::Error) -> SinkError {
    SinkError::new(io_error(tried, path, error))
}

fn in_file(path: &Path, what: &str) -> SinkError {
    SinkError::new(format!("{}: {what}", path.display()))
}

fn parquet_failed(path: &Path, error: &ParquetError) -> SinkError {
    match error {
        ParquetError::External(inner) if inner.is::<io::Error>() => {
            let io = inner.downcast_ref::<io::Error>();
            io.map_or_else(|| in_file(path, &error.to_string()), |e| failed("write", path, e))
        }
        _ => in_file(path, &error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Int64Array};
    use arrow_schema::{DataType, Field, Schema};

    /// `/dev/full` answers every write with ENOSPC.
    #[test]
    fn a_full_device_ends_the_sink_with_the_file_and_the_cure() {
        let schema = Schema::new(vec![Field::new("n", DataType::Int64, true)]);
        let column: ArrayRef = Arc::new(Int64Array::from_iter_values(0..200_000));
        let rows = RecordBatch::try_new(Arc::new(schema.clone()), vec![column]).unwrap();
        let full = || File::options().write(true).open("/dev/full").unwrap();
        let csv = Writer::Csv { file: full(), buffer: Vec::new(), options: CsvOptions::default() };
        let parquet = Writer::Parquet(Box::new(ParquetWriter::new(full(), &schema).unwrap()));
        for writer in [csv, parquet] {
            let mut part = Part { path: "/out/part-0".into(), writer: Some(writer) };
            let error = part.write(&rows).and_then(|()| part.write(&rows)).and_then(|()| part.finish()).unwrap_err();
            let expected = "can't write /out/part-0: the device is full; free space or choose another path";
            assert_eq!(error.message, expected);
        }
    }
}
