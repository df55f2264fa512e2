//! Tables of files as outputs of jobs that keep state: a folder to which whole files are added.
//!
//! A publication, the rows of checkpoints `first..=last`, becomes one file, `part-<first>-<last>.csv` (or `.parquet`): its
//! bytes are a function of the rows and their order. It is written under a hidden name in the same folder, synced, linked
//! to its name (which fails if there is such a file), and the folder is synced; last the folder's [marker](super::marker)
//! moves on. After a crash anywhere between, publishing again gives the same one file:
//!
//! * a hidden file is a leftover and removed;
//! * a file of the name with the same bytes is the publication; with other bytes it is an error;
//! * a file of other checkpoints that overlap is an error: the folder is not as this job left it.
//!
//! A publication without rows makes no file; a job that ends without any row leaves one file that shows its columns. On
//! its first start the job refuses a folder that holds something; with `sink.overwrite` it empties the folder, at once:
//! there is no later moment at which all rows are there.

use super::marker::Marker;
use super::options::SinkOptions;
use super::part::{Part, absolute, failed, in_file, refuse_existing, sync_folder};
use arrow::array::RecordBatch;
use arrow::compute::BatchCoalescer;
use arrow_schema::SchemaRef;
use highwater_engine::error::SinkError;
use highwater_engine::sink::{Publication, Publisher, Roll};
use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

/// Rows are written in batches of this size, whatever batches they come in: the pages of a Parquet file depend on them.
const BATCH_ROWS: usize = 8_192;

/// An output folder of a job that keeps state.
pub struct FilePublisher {
    options: SinkOptions,
    schema: SchemaRef,
    folder: PathBuf,
    /// The job's first start: nothing of it is in the folder yet.
    first_start: bool,
    /// Held from [`Publisher::recover`] on: no other job writes to the folder.
    lock: Option<File>,
    marker: Marker,
    /// Files in the folder by their first checkpoint, with their last.
    files: BTreeMap<u64, u64>,
    create: fn(&Path) -> io::Result<File>,
}

impl FilePublisher {
    /// Opens the folder, which is created. Unless the job is `resumed`, it must be empty or `sink.overwrite` be set.
    pub fn new(options: SinkOptions, schema: &SchemaRef, resumed: bool) -> Result<Self, SinkError> {
        let open = || {
            let folder = absolute(&options.file.path)?;
            fs::create_dir_all(&folder).map_err(|e| failed("create", &folder, &e))?;
            if !resumed {
                refuse_existing(&folder, options.overwrite)?;
            }
            Ok(folder)
        };
        let folder = open().map_err(|e: SinkError| in_folder(&options.file.path, &e.message))?;
        Ok(Self {
            options,
            schema: schema.clone(),
            folder,
            first_start: !resumed,
            lock: None,
            marker: Marker::default(),
            files: BTreeMap::new(),
            create: |path| File::create_new(path),
        })
    }

    /// Locks the folder itself: such a lock ends with the process and leaves nothing behind.
    fn lock(&mut self) -> Result<(), SinkError> {
        if self.lock.is_some() {
            return Ok(());
        }
        let folder = File::open(&self.folder).map_err(|e| failed("open", &self.folder, &e))?;
        if let Err(TryLockError::WouldBlock) = folder.try_lock() {
            let message = "another job is writing to it; wait for that or choose another path";
            return Err(in_folder(&self.options.file.path, message));
        }
        // A file system that can't lock folders: the checkpoints still keep a second run of this job out.
        self.lock = Some(folder);
        Ok(())
    }

    fn entries(&self) -> Result<Vec<PathBuf>, SinkError> {
        let fail = |e: io::Error| failed("list", &self.folder, &e);
        let entries = fs::read_dir(&self.folder).map_err(fail)?;
        entries.map(|entry| entry.map(|e| e.path()).map_err(fail)).collect()
    }

    /// Removes what is there before the job's first rows.
    fn empty(&self) -> Result<(), SinkError> {
        for path in self.entries()? {
            let removed =
                if path.is_dir() && !path.is_symlink() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.map_err(|e| failed("remove", &path, &e))?;
        }
        sync_folder(&self.folder)
    }

    /// Removes leftovers and takes note of the files.
    fn survey(&mut self) -> Result<(), SinkError> {
        self.files.clear();
        for path in self.entries()? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with(".part-") && name.ends_with(".tmp") {
                fs::remove_file(&path).map_err(|e| failed("remove", &path, &e))?;
            } else if let Some((first, last)) = checkpoints(&name) {
                self.files.insert(first, last);
            }
        }
        Ok(())
    }

    fn name(&self, publication: &Publication) -> String {
        let Publication { first, last } = publication;
        format!("part-{first:012}-{last:012}.{}", self.options.file.format.extension())
    }

    /// A file of other checkpoints among these.
    fn refuse_overlap(&self, publication: &Publication) -> Result<(), SinkError> {
        let before = self.files.range(..=publication.last).next_back();
        match before {
            Some((&first, &last))
                if last >= publication.first && (first, last) != (publication.first, publication.last) =>
            {
                let found = self.name(&Publication { first, last });
                let message = format!(
                    "it holds {found}, but checkpoints {} to {} are to become one file; the folder is not as this job left \
                     it: put back its files, or write to another folder",
                    publication.first, publication.last
                );
                Err(in_folder(&self.options.file.path, &message))
            }
            _ => Ok(()),
        }
    }

    /// Writes the rows to a hidden file, which is there if there are any; says how many.
    fn stage(
        &self,
        hidden: &Path,
        rows: &mut dyn Iterator<Item = Result<RecordBatch, SinkError>>,
    ) -> Result<u64, SinkError> {
        let arrow = |e: arrow::error::ArrowError| in_file(hidden, &e.to_string());
        let (mut part, mut written) = (None, 0);
        let mut even = BatchCoalescer::new(self.schema.clone(), BATCH_ROWS);
        for batch in rows {
            even.push_batch(batch?).map_err(arrow)?;
            while let Some(batch) = even.next_completed_batch() {
                written += self.append(&mut part, hidden, &batch)?;
            }
        }
        even.finish_buffered_batch().map_err(arrow)?;
        while let Some(batch) = even.next_completed_batch() {
            written += self.append(&mut part, hidden, &batch)?;
        }
        part.map_or(Ok(()), |mut part| part.finish())?;
        Ok(written)
    }

    fn append(&self, part: &mut Option<Part>, hidden: &Path, batch: &RecordBatch) -> Result<u64, SinkError> {
        if part.is_none() {
            *part = Some(self.begin(hidden)?);
        }
        part.as_mut().map_or(Ok(()), |part| part.write(batch))?;
        Ok(batch.num_rows() as u64)
    }

    fn begin(&self, hidden: &Path) -> Result<Part, SinkError> {
        remove_if_there(hidden)?;
        let file = (self.create)(hidden).map_err(|e| failed("create", hidden, &e))?;
        Part::begin(hidden, file, &self.options.file.format, &self.schema)
    }

    /// Gives a hidden file its name, unless the same file has it already.
    fn show(&self, hidden: &Path, name: &str) -> Result<(), SinkError> {
        let path = self.folder.join(name);
        match link(hidden, &path) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                if !same(hidden, &path).map_err(|e| failed("read", &path, &e))? {
                    let message = "it holds other rows than the checkpoints of its name; it was changed or belongs to \
                                   another job: remove it, and it is written again, or write to another folder";
                    return Err(in_file(&path, message));
                }
            }
            Err(e) => return Err(failed("create", &path, &e)),
        }
        remove_if_there(hidden)?;
        sync_folder(&self.folder)
    }

    fn hidden(&self, name: &str) -> PathBuf {
        self.folder.join(format!(".{name}.tmp"))
    }
}

impl Publisher for FilePublisher {
    fn roll(&self) -> Roll {
        Roll::Files { bytes_min: self.options.roll_bytes, interval_ms: self.options.roll_interval_ms }
    }

    fn recover(&mut self) -> Result<Option<u64>, SinkError> {
        self.lock()?;
        if std::mem::take(&mut self.first_start) {
            refuse_existing(&self.folder, self.options.overwrite)
                .map_err(|e| in_folder(&self.options.file.path, &e.message))?;
            self.empty()?;
        }
        self.survey()?;
        self.marker = Marker::read(&self.folder)?.unwrap_or_default();
        // Without a marker nothing was shown here.
        Ok(Some(self.marker.checkpoint))
    }

    fn publish(
        &mut self,
        publication: &Publication,
        rows: &mut dyn Iterator<Item = Result<RecordBatch, SinkError>>,
    ) -> Result<(), SinkError> {
        if publication.last <= self.marker.checkpoint {
            return Ok(());
        }
        self.refuse_overlap(publication)?;
        let name = self.name(publication);
        let hidden = self.hidden(&name);
        let rows = match self.stage(&hidden, rows) {
            Ok(0) => return Ok(()),
            Ok(rows) => rows,
            Err(error) => {
                // What can't be removed is hidden, and removed by the next start.
                let _ = fs::remove_file(&hidden);
                return Err(error);
            }
        };
        self.show(&hidden, &name)?;
        self.files.insert(publication.first, publication.last);
        self.marker = Marker { checkpoint: publication.last, rows: self.marker.rows + rows };
        self.marker.write(&self.folder)
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        if self.marker.rows > 0 || !self.files.is_empty() {
            return Ok(());
        }
        let name = self.name(&Publication { first: 0, last: 0 });
        let hidden = self.hidden(&name);
        self.begin(&hidden)?.finish()?;
        self.show(&hidden, &name)
    }
}

/// The checkpoints of a file's name.
fn checkpoints(name: &str) -> Option<(u64, u64)> {
    let (first, rest) = name.strip_prefix("part-")?.split_once('-')?;
    let (last, _) = rest.split_once('.')?;
    Some((first.parse().ok()?, last.parse().ok()?))
}

/// A second name for a file, or, where a file system has none, another name; never in the place of another file.
fn link(hidden: &Path, path: &Path) -> io::Result<()> {
    match fs::hard_link(hidden, path) {
        Err(e) if matches!(e.kind(), io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied) => {
            if path.try_exists()? {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            fs::rename(hidden, path)
        }
        linked => linked,
    }
}

fn same(a: &Path, b: &Path) -> io::Result<bool> {
    let (a, b) = (File::open(a)?, File::open(b)?);
    if a.metadata()?.len() != b.metadata()?.len() {
        return Ok(false);
    }
    let (mut a, mut b) = (BufReader::new(a), BufReader::new(b));
    let (mut left, mut right) = ([0; 8192], [0; 8192]);
    loop {
        let read = a.read(&mut left)?;
        if read == 0 {
            return Ok(true);
        }
        b.read_exact(&mut right[..read])?;
        if left[..read] != right[..read] {
            return Ok(false);
        }
    }
}

fn remove_if_there(path: &Path) -> Result<(), SinkError> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(failed("remove", path, &e)),
        _ => Ok(()),
    }
}

fn in_folder(path: &str, what: &str) -> SinkError {
    SinkError::new(format!("can't write to the folder {path}: {what}"))
}

#[cfg(test)]
mod tests;
