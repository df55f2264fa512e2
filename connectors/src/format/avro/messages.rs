//! Messages in Avro, each with its own schema or all with the table's.

use super::rows::{PREFIX, Rows};
use crate::format::records::bad_record;
use crate::format::records::messages::{Decoded, MessageDecoder, in_order};
use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::{concat_batches, filter_record_batch};
use arrow_schema::{Schema, SchemaRef};
use highwater_engine::error::SourceError;
use highwater_engine::source::BadRecord;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;

/// Where the schemas of messages are.
pub trait Schemas: Debug + Send + Sync {
    /// The schema of an id; `Err` says why it is none that can be read.
    ///
    /// # Errors
    /// Nobody knows now.
    fn schema(&self, id: u32) -> Result<Result<Arc<str>, String>, SourceError>;
}

/// How messages name their schema.
#[derive(Clone, Debug)]
pub enum Writer {
    /// They don't: it is this one.
    Known(Arc<str>),
    /// By an id, before the datum.
    ById(Arc<dyn Schemas>),
}

/// Decodes messages.
#[derive(Debug)]
pub struct AvroMessages {
    writer: Writer,
    read: SchemaRef,
    /// Messages one behind the other, each with a prefix.
    data: Vec<u8>,
    ends: Vec<usize>,
    offsets: Vec<i64>,
    bad: Vec<BadRecord>,
    schemas: BTreeMap<u32, Result<Rows, String>>,
}

/// Rows of some messages.
struct Part {
    columns: RecordBatch,
    messages: Vec<usize>,
}

impl AvroMessages {
    /// Messages of a table with these columns, of which `read` are read.
    pub fn new(writer: Writer, physical: &Schema, read: &[usize]) -> Self {
        let fields: Vec<_> = read.iter().map(|&i| physical.fields()[i].clone()).collect();
        Self {
            writer,
            read: Arc::new(Schema::new(fields)),
            data: Vec::new(),
            ends: Vec::new(),
            offsets: Vec::new(),
            bad: Vec::new(),
            schemas: BTreeMap::new(),
        }
    }

    fn message(&self, i: usize) -> &[u8] {
        &self.data[if i == 0 { 0 } else { self.ends[i - 1] }..self.ends[i]]
    }

    /// The bytes of the record, without a prefix that it did not have.
    fn raw(&self, i: usize) -> &[u8] {
        match self.writer {
            Writer::Known(_) => &self.message(i)[PREFIX..],
            Writer::ById(_) => self.message(i),
        }
    }

    fn id(&self, i: usize) -> u32 {
        let message = self.message(i);
        u32::from_be_bytes([message[1], message[2], message[3], message[4]])
    }

    /// Makes sure that a schema is there, or known to be of no use.
    fn learn(&mut self, id: u32) -> Result<(), SourceError> {
        if !self.schemas.contains_key(&id) {
            let schema = match &self.writer {
                Writer::Known(schema) => Ok(schema.clone()),
                Writer::ById(schemas) => schemas.schema(id)?,
            };
            let named = |why: String| match self.writer {
                Writer::Known(_) => format!("the table's schema {why}"),
                Writer::ById(_) => format!("schema {id} {why}"),
            };
            self.schemas.insert(id, schema.and_then(|s| Rows::new(id, &s, &self.read)).map_err(named));
        }
        Ok(())
    }

    /// Decodes messages of one schema. If they can't be together, each half is tried: so a bad one is found, and costs no
    /// other its place.
    fn decode_run(&mut self, run: Range<usize>, parts: &mut Vec<Part>) {
        let id = self.id(run.start);
        let decoded = match self.schemas.remove(&id) {
            Some(Ok(mut rows)) => {
                let decoded = rows.decode(run.clone().map(|i| self.message(i)));
                self.schemas.insert(id, Ok(rows));
                decoded.map_err(|why| format!("the message {why}"))
            }
            Some(Err(why)) => {
                self.schemas.insert(id, Err(why.clone()));
                run.for_each(|i| self.set_aside(i, why.clone()));
                return;
            }
            None => Err("the message has a schema that was not asked for; this is a bug, please report it".into()),
        };
        match decoded {
            Ok(decoded) => self.keep_good(run, decoded, parts),
            Err(why) if run.len() == 1 => self.set_aside(run.start, why),
            Err(_) => {
                let middle = run.start + run.len() / 2;
                self.decode_run(run.start..middle, parts);
                self.decode_run(middle..run.end, parts);
            }
        }
    }

    fn keep_good(&mut self, run: Range<usize>, decoded: super::rows::Decoded, parts: &mut Vec<Part>) {
        let mut wrong = BTreeMap::new();
        decoded.wrong.into_iter().for_each(|(row, why)| {
            wrong.entry(row).or_insert(why);
        });
        let mask: Option<BooleanArray> =
            (!wrong.is_empty()).then(|| (0..run.len()).map(|row| Some(!wrong.contains_key(&row))).collect());
        let good = (0..run.len()).filter(|row| !wrong.contains_key(row)).map(|row| run.start + row).collect();
        let columns = match mask.map(|mask| filter_record_batch(&decoded.columns, &mask)) {
            None => decoded.columns,
            Some(filtered) => filtered.expect("the mask is as long as the batch"),
        };
        parts.push(Part { columns, messages: good });
        wrong.into_iter().for_each(|(row, why)| self.set_aside(run.start + row, why));
    }

    #[cold]
    fn set_aside(&mut self, i: usize, reason: String) {
        let bad = bad_record(self.offsets[i], reason, Some(self.raw(i)));
        self.bad.push(bad);
    }
}

impl MessageDecoder for AvroMessages {
    fn push(&mut self, offset: i64, value: Option<&[u8]>) {
        let Some(value) = value else {
            return self.refuse(offset, "the message has no value (it is a tombstone)", None);
        };
        match &self.writer {
            Writer::Known(_) => self.data.extend_from_slice(&[0; PREFIX]),
            Writer::ById(_) if value.len() < PREFIX || value[0] != 0 => {
                let reason = "the message does not begin with a zero byte and the id of a schema; was it written without a \
                              schema registry? Then 'format' = 'avro' reads it";
                return self.refuse(offset, reason, Some(value));
            }
            Writer::ById(_) => {}
        }
        self.data.extend_from_slice(value);
        self.ends.push(self.data.len());
        self.offsets.push(offset);
    }

    fn refuse(&mut self, offset: i64, reason: &str, value: Option<&[u8]>) {
        self.bad.push(bad_record(offset, reason, value));
    }

    fn len(&self) -> usize {
        self.offsets.len() + self.bad.len()
    }

    fn decode(&mut self) -> Result<Decoded, SourceError> {
        let mut parts = Vec::new();
        let mut at = 0;
        while at < self.offsets.len() {
            let id = self.id(at);
            self.learn(id)?;
            let end = (at..self.offsets.len()).find(|i| self.id(*i) != id).unwrap_or(self.offsets.len());
            self.decode_run(at..end, &mut parts);
            at = end;
        }
        let columns = match &parts[..] {
            [part] => part.columns.clone(),
            parts => concat_batches(&self.read, parts.iter().map(|part| &part.columns))
                .map_err(|e| SourceError::new(format!("decoder: {e}; this is a bug, please report it")))?,
        };
        let offsets = parts.iter().flat_map(|part| &part.messages).map(|i| self.offsets[*i]).collect();
        let mut bad = std::mem::take(&mut self.bad);
        bad.sort_by_key(|b| b.offset);
        self.data.clear();
        self.ends.clear();
        self.offsets.clear();
        Ok(Decoded { columns, offsets: in_order(offsets), bad })
    }
}
