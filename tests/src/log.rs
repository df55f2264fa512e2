//! A sink with transactions, on a file: each publication and its marker are appended together, or not at all.
//!
//! What a message broker's transactions come to: the marker says which checkpoints are visible, and it moves with the rows.
//! A frame is its length, then the marker, the number of batches and the batches. A frame that is cut off (the process
//! died while it wrote) never happened: it is removed when the log is opened.

use arrow::array::RecordBatch;
use highwater_engine::error::{BuildError, SinkError};
use highwater_engine::graph::{MapSpec, Node, RunOptions, SinkSpec, SourceSpec};
use highwater_engine::operator::Operator;
use highwater_engine::parts::{Parts, Role, RowProgram};
use highwater_engine::sink::{Publication, Publisher, Roll, SinkTable};
use highwater_engine::source::Source;
use highwater_engine::state::codec::{Reader, Writer};
use highwater_jobs::parts::JobParts;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a log holds.
#[derive(Debug, Default)]
pub struct Visible {
    /// The last checkpoint whose rows are visible.
    pub marker: u64,
    /// The rows, in order of publication.
    pub rows: Vec<RecordBatch>,
    bytes: u64,
}

/// Reads a log; one that is not there is empty.
pub fn read(path: &Path) -> std::io::Result<Visible> {
    let mut bytes = Vec::new();
    match File::open(path) {
        Ok(mut file) => file.read_to_end(&mut bytes)?,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Visible::default()),
        Err(e) => return Err(e),
    };
    let (mut visible, mut rest) = (Visible::default(), bytes.as_slice());
    while let Some((length, frame)) = rest.split_first_chunk::<8>() {
        let Some((frame, behind)) = frame.split_at_checked(u64::from_le_bytes(*length) as usize) else { break };
        let broken = |e: highwater_engine::error::OperatorError| std::io::Error::other(e.message);
        let mut r = Reader::new(frame);
        visible.marker = r.u64().map_err(broken)?;
        for _ in 0..r.u64().map_err(broken)? {
            visible.rows.push(r.batch().map_err(broken)?);
        }
        visible.bytes += 8 + frame.len() as u64;
        rest = behind;
    }
    Ok(visible)
}

struct LogPublisher {
    path: PathBuf,
    marker: u64,
    file: Option<File>,
}

impl LogPublisher {
    fn append(&mut self, frame: &[u8]) -> std::io::Result<()> {
        let Some(file) = &mut self.file else { return Err(std::io::Error::other("the log is not open")) };
        file.write_all(&[&(frame.len() as u64).to_le_bytes(), frame].concat())?;
        file.sync_data()
    }
}

impl Publisher for LogPublisher {
    fn roll(&self) -> Roll {
        Roll::EachCheckpoint
    }
    fn recover(&mut self) -> Result<Option<u64>, SinkError> {
        let failed = |e: std::io::Error| SinkError::new(format!("{}: {e}", self.path.display()));
        let visible = read(&self.path).map_err(failed)?;
        let file = OpenOptions::new().create(true).append(true).open(&self.path).map_err(failed)?;
        file.set_len(visible.bytes).map_err(failed)?;
        (self.file, self.marker) = (Some(file), visible.marker);
        Ok(Some(visible.marker))
    }
    fn publish(
        &mut self,
        publication: &Publication,
        rows: &mut dyn Iterator<Item = Result<RecordBatch, SinkError>>,
    ) -> Result<(), SinkError> {
        assert!(publication.first <= self.marker + 1, "{publication:?} leaves a gap behind {}", self.marker);
        assert!(publication.last > self.marker, "{publication:?} is visible already: {}", self.marker);
        let rows = rows.collect::<Result<Vec<_>, _>>()?;
        let mut frame = Writer::new();
        frame.u64(publication.last);
        frame.u64(rows.len() as u64);
        for batch in &rows {
            frame.batch(batch).map_err(|e| SinkError::new(e.message))?;
        }
        self.append(&frame.finish()).map_err(|e| SinkError::new(format!("{}: {e}", self.path.display())))?;
        self.marker = publication.last;
        Ok(())
    }
    fn finish(&mut self) -> Result<(), SinkError> {
        Ok(())
    }
}

/// The parts of a job, with a log in place of every `blackhole`.
#[derive(Debug)]
pub struct LogParts {
    parts: JobParts,
    folder: PathBuf,
}

impl LogParts {
    /// Logs go to `folder`, one a table.
    pub fn new(folder: &Path) -> Self {
        Self { parts: JobParts::new(true), folder: folder.to_owned() }
    }
}

impl Parts for LogParts {
    fn source(&self, spec: &SourceSpec, options: &RunOptions) -> Result<Arc<dyn Source>, BuildError> {
        self.parts.source(spec, options)
    }
    fn sink(&self, spec: &SinkSpec, schema: &arrow::datatypes::SchemaRef) -> Result<Arc<dyn SinkTable>, BuildError> {
        self.parts.sink(spec, schema)
    }
    fn publisher(
        &self,
        spec: &SinkSpec,
        schema: &arrow::datatypes::SchemaRef,
        resumed: bool,
    ) -> Result<Box<dyn Publisher>, BuildError> {
        if spec.connector != "blackhole" {
            return self.parts.publisher(spec, schema, resumed);
        }
        let path = self.folder.join(format!("{}.log", spec.table));
        Ok(Box::new(LogPublisher { path, marker: 0, file: None }))
    }
    fn operator(
        &self,
        node: &Node,
        input: &arrow::datatypes::SchemaRef,
        role: Role,
    ) -> Result<Box<dyn Operator>, BuildError> {
        self.parts.operator(node, input, role)
    }
    fn partials(&self, node: &Node, input: &arrow::datatypes::SchemaRef) -> Option<arrow::datatypes::SchemaRef> {
        self.parts.partials(node, input)
    }
    fn row_program(
        &self,
        map: &MapSpec,
        input: &arrow::datatypes::SchemaRef,
        output: &arrow::datatypes::SchemaRef,
    ) -> Result<Box<dyn RowProgram>, BuildError> {
        self.parts.row_program(map, input, output)
    }
}
