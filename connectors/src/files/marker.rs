//! What an output of a job with state says of itself: the last checkpoint it shows.
//!
//! In a folder the marker is a hidden file, so files may be taken away by whoever reads them without coming back after a
//! restart. It is written after the file of a publication is visible; between the two the file itself tells.

use super::part::{failed, in_file, sync_folder};
use highwater_engine::error::SinkError;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Its name in the folder.
pub const NAME: &str = ".highwater-shown";
/// Its name while it is written.
const NEW: &str = ".highwater-shown.tmp";
/// Its first line.
const HEAD: &str = "highwater 1";

/// What a folder shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marker {
    /// Rows of this checkpoint and of all before it are shown; 0 before the first.
    pub checkpoint: u64,
    /// Rows shown in all.
    pub rows: u64,
}

impl Marker {
    /// The folder's marker; `None` if it has none.
    ///
    /// # Errors
    /// It can't be read, or is not a marker.
    pub fn read(folder: &Path) -> Result<Option<Self>, SinkError> {
        let path = folder.join(NAME);
        let text = match fs::read(&path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(failed("read", &path, &e)),
        };
        let marker = Self::parse(&text);
        marker.map(Some).ok_or_else(|| {
            in_file(&path, "it is damaged; remove it, and the rows of the last checkpoints are compared with the files")
        })
    }

    /// The marker of this text; `None` if it is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let [HEAD, checkpoint, rows, ""] = text.split('\n').collect::<Vec<_>>()[..] else { return None };
        let number = |line: &str, name| line.strip_prefix(name)?.parse().ok();
        Some(Self { checkpoint: number(checkpoint, "checkpoint ")?, rows: number(rows, "rows ")? })
    }

    /// As text.
    pub fn text(&self) -> String {
        format!("{HEAD}\ncheckpoint {}\nrows {}\n", self.checkpoint, self.rows)
    }

    /// Replaces the folder's marker, in one step and durably.
    pub fn write(&self, folder: &Path) -> Result<(), SinkError> {
        let (new, path) = (folder.join(NEW), folder.join(NAME));
        let text = self.text();
        let written = File::create(&new).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        });
        written.map_err(|e| failed("write", &new, &e))?;
        fs::rename(&new, &path).map_err(|e| failed("replace", &path, &e))?;
        sync_folder(folder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_reads_back_and_a_damaged_one_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Marker::read(dir.path()).unwrap(), None);
        for marker in [Marker { checkpoint: 7, rows: 0 }, Marker { checkpoint: u64::MAX, rows: 12 }] {
            marker.write(dir.path()).unwrap();
            assert_eq!(Marker::read(dir.path()).unwrap(), Some(marker));
        }
        let whole = fs::read(dir.path().join(NAME)).unwrap();
        for damaged in [&whole[..0], &whole[..whole.len() - 1], b"highwater 2\ncheckpoint 7\nrows 0\n"] {
            fs::write(dir.path().join(NAME), damaged).unwrap();
            assert!(Marker::read(dir.path()).unwrap_err().message.contains("it is damaged; remove it"));
        }
    }
}
