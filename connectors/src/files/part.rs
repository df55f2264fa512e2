//! One file of an output: rows in, a whole file on the disk out.

use super::io_error;
use super::options::Format;
use crate::format::csv;
use crate::format::json;
use crate::format::parquet::write::ParquetWriter;
use arrow::array::RecordBatch;
use arrow_schema::SchemaRef;
use highwater_engine::error::SinkError;
use parquet::errors::ParquetError;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Bytes of text that are collected before they go to the file.
const BUFFER_BYTES: usize = 1 << 20;

/// A file with some of a table's rows, while it is written.
pub struct Part {
    path: PathBuf,
    writer: Option<Writer>,
}

enum Writer {
    Text { file: File, buffer: Vec<u8>, write: WriteRows },
    Parquet(Box<ParquetWriter<File>>),
}

/// Appends rows to a text.
type WriteRows = Box<dyn Fn(&RecordBatch, &mut Vec<u8>) -> Result<(), String> + Send>;

impl Part {
    /// Creates a file, which must not be there.
    pub fn create(path: &Path, format: &Format, schema: &SchemaRef) -> Result<Self, SinkError> {
        let file = File::create_new(path).map_err(|e| failed("create", path, &e))?;
        Self::begin(path, file, format, schema)
    }

    /// Begins a file of this path with what stands before the first row.
    pub fn begin(path: &Path, file: File, format: &Format, schema: &SchemaRef) -> Result<Self, SinkError> {
        let writer = match format {
            Format::Csv(options) => {
                let mut buffer = Vec::new();
                if options.header {
                    csv::write::write_header(schema, options, &mut buffer).map_err(|e| in_file(path, &e))?;
                }
                let options = options.clone();
                Writer::Text {
                    file,
                    buffer,
                    write: Box::new(move |rows, out| csv::write::write_rows(rows, &options, out)),
                }
            }
            Format::Json(options) => {
                let (buffer, options) = (Vec::new(), options.clone());
                Writer::Text {
                    file,
                    buffer,
                    write: Box::new(move |rows, out| json::write::write_rows(rows, &options, out)),
                }
            }
            Format::Parquet => {
                let writer = ParquetWriter::new(file, schema).map_err(|e| parquet_failed(path, &e))?;
                Writer::Parquet(Box::new(writer))
            }
        };
        Ok(Self { path: path.to_owned(), writer: Some(writer) })
    }

    /// Appends rows.
    pub fn write(&mut self, rows: &RecordBatch) -> Result<(), SinkError> {
        match &mut self.writer {
            None => Err(in_file(&self.path, "rows after the end; this is a bug, please report it")),
            Some(Writer::Parquet(writer)) => writer.write(rows).map_err(|e| parquet_failed(&self.path, &e)),
            Some(Writer::Text { file, buffer, write }) => {
                write(rows, buffer).map_err(|e| in_file(&self.path, &e))?;
                if buffer.len() >= BUFFER_BYTES {
                    file.write_all(buffer).map_err(|e| failed("write", &self.path, &e))?;
                    buffer.clear();
                }
                Ok(())
            }
        }
    }

    /// Writes what stands behind the last row, and all of it to the disk.
    pub fn finish(&mut self) -> Result<(), SinkError> {
        let file = match self.writer.take() {
            None => return Ok(()),
            Some(Writer::Parquet(writer)) => writer.finish().map_err(|e| parquet_failed(&self.path, &e))?,
            Some(Writer::Text { mut file, buffer, .. }) => {
                file.write_all(&buffer).map_err(|e| failed("write", &self.path, &e))?;
                file
            }
        };
        file.sync_all().map_err(|e| failed("write", &self.path, &e))
    }
}

/// A path from the root.
pub fn absolute(path: &str) -> Result<PathBuf, SinkError> {
    std::path::absolute(path).map_err(|e| failed("find", Path::new(path), &e))
}

/// Refuses a folder that holds something, unless it may be replaced.
pub fn refuse_existing(folder: &Path, overwrite: bool) -> Result<(), SinkError> {
    let mut entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(failed("list", folder, &e)),
    };
    match entries.next() {
        Some(_) if !overwrite => {
            let cure = "remove it, choose another path, or set 'sink.overwrite' = 'true'";
            Err(SinkError::new(format!("it holds something already; {cure}")))
        }
        _ => Ok(()),
    }
}

/// Writes a folder's list of names to the disk.
pub fn sync_folder(path: &Path) -> Result<(), SinkError> {
    File::open(path).and_then(|f| f.sync_all()).map_err(|e| failed("write the folder", path, &e))
}

/// An I/O error of a sink.
pub fn failed(tried: &str, path: &Path, error: &io::Error) -> SinkError {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    let full = matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge);
    SinkError { full, ..SinkError::new(io_error(tried, path, error)) }
}

/// An error about a file.
pub fn in_file(path: &Path, what: &str) -> SinkError {
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
    use std::sync::Arc;

    /// `/dev/full` answers every write with ENOSPC.
    #[test]
    fn a_full_device_ends_the_sink_with_the_file_and_the_cure() {
        let schema = Schema::new(vec![Field::new("n", DataType::Int64, true)]);
        let column: ArrayRef = Arc::new(Int64Array::from_iter_values(0..200_000));
        let rows = RecordBatch::try_new(Arc::new(schema.clone()), vec![column]).unwrap();
        let full = || File::options().write(true).open("/dev/full").unwrap();
        let write: WriteRows = Box::new(|rows, out| csv::write::write_rows(rows, &Default::default(), out));
        let csv = Writer::Text { file: full(), buffer: Vec::new(), write };
        let parquet = Writer::Parquet(Box::new(ParquetWriter::new(full(), &schema).unwrap()));
        for writer in [csv, parquet] {
            let mut part = Part { path: "/out/part-0".into(), writer: Some(writer) };
            let error = part.write(&rows).and_then(|()| part.write(&rows)).and_then(|()| part.finish()).unwrap_err();
            let expected = "can't write /out/part-0: the device is full; free space or choose another path";
            assert_eq!((error.message.as_str(), error.full), (expected, true));
        }
    }
}
