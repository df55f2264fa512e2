//! Columns that are not in a message's value: `METADATA FROM '…'`, by Flink's names.
//!
//! | name | type | |
//! |---|---|---|
//! | `topic` | STRING | |
//! | `partition` | INT | |
//! | `offset` | BIGINT | |
//! | `timestamp` | TIMESTAMP_LTZ(3), TIMESTAMP(3) | the message's; NULL if it has none |
//! | `key` | STRING, BYTES | NULL if it has none |
//! | `headers.NAME` | STRING, BYTES | the last header of that name; NULL if there is none |
//!
//! Only columns that the job uses are made. A key or header that is no text, but read as STRING, makes its message a bad row.

use crate::options::{Options, one_of};
use arrow::array::{ArrayRef, BinaryBuilder, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::array::{Int32Builder, Int64Builder, StringBuilder, TimestampMillisecondBuilder};
use arrow::error::ArrowError;
use arrow_schema::{DataType, Schema, SchemaRef, TimeUnit};
use highwater_engine::batch::Offsets;
use highwater_engine::graph::types::{metadata_of, sql_type};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use std::sync::Arc;

const NAMES: [&str; 6] = ["topic", "partition", "offset", "timestamp", "key", "headers.NAME"];
const HEADER: &str = "headers.";

/// What a column says of its message.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Metadata {
    Topic,
    Partition,
    Offset,
    Timestamp,
    Key,
    Header(String),
}

impl Metadata {
    fn parse(key: &str, data_type: &DataType) -> Result<Self, String> {
        let text = |t: &DataType| matches!(t, DataType::Utf8 | DataType::Binary);
        let (metadata, fits, types) = match key {
            "topic" => (Self::Topic, *data_type == DataType::Utf8, "STRING"),
            "partition" => (Self::Partition, *data_type == DataType::Int32, "INT"),
            "offset" => (Self::Offset, *data_type == DataType::Int64, "BIGINT"),
            "timestamp" => {
                let fits = matches!(data_type, DataType::Timestamp(TimeUnit::Millisecond, _));
                (Self::Timestamp, fits, "TIMESTAMP_LTZ(3) or TIMESTAMP(3)")
            }
            "key" => (Self::Key, text(data_type), "STRING or BYTES"),
            "headers" => return Err("a column is one header: METADATA FROM 'headers.NAME'".into()),
            _ => match key.strip_prefix(HEADER) {
                Some(name) if !name.is_empty() => (Self::Header(name.into()), text(data_type), "STRING or BYTES"),
                _ => return Err(format!("there is no metadata '{key}'; use {}", one_of(key, &NAMES))),
            },
        };
        if fits { Ok(metadata) } else { Err(format!("metadata '{key}' is {types}, not {}", sql_type(data_type))) }
    }
}

/// Notes in `o` what is wrong with the metadata columns.
pub fn check(o: &mut Options, schema: &Schema) {
    for field in schema.fields() {
        if let Some(Err(error)) = metadata_of(field).map(|key| Metadata::parse(key, field.data_type())) {
            o.error("connector", format!("column {}: {error}", field.name()));
        }
    }
}

/// The columns of the messages' values.
pub fn values(schema: &Schema) -> SchemaRef {
    let of_value = schema.fields().iter().filter(|f| metadata_of(f).is_none());
    Arc::new(Schema::new(of_value.cloned().collect::<Vec<_>>()))
}

/// Which columns come from where.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The columns of the messages' values.
    pub values: SchemaRef,
    /// Those of them that are read.
    pub read: Vec<usize>,
    /// All columns that are read.
    schema: SchemaRef,
    /// For each of them, what it is; `None`: the next column of the value.
    columns: Vec<Option<(Metadata, DataType)>>,
}

impl Layout {
    /// Of the physical columns, of which these are read.
    ///
    /// # Errors
    /// Metadata that is not there.
    pub fn new(physical: &Schema, read: &[usize]) -> Result<Self, String> {
        let is_value = |i: &usize| metadata_of(physical.field(*i)).is_none();
        let before = |i: usize| (0..i).filter(is_value).count();
        let column = |&i: &usize| {
            let field = physical.field(i);
            let parsed = metadata_of(field).map(|key| Metadata::parse(key, field.data_type()));
            Ok(parsed.transpose()?.map(|m| (m, field.data_type().clone())))
        };
        Ok(Self {
            values: values(physical),
            read: read.iter().copied().filter(is_value).map(before).collect(),
            schema: Arc::new(physical.project(read).map_err(|e| e.to_string())?),
            columns: read.iter().map(column).collect::<Result<_, String>>()?,
        })
    }

    /// What takes the metadata; `None` if none is read.
    pub fn collector(&self) -> Option<Collector> {
        let builder = |(m, t): &(Metadata, DataType)| (m.clone(), Builder::new(t));
        let builders: Vec<_> = self.columns.iter().flatten().map(builder).collect();
        (!builders.is_empty()).then(|| Collector { layout: self.clone(), offsets: Vec::new(), builders })
    }
}

/// Takes the metadata of messages, until their values are decoded.
pub struct Collector {
    layout: Layout,
    offsets: Vec<i64>,
    builders: Vec<(Metadata, Builder)>,
}

impl Collector {
    /// Takes a message.
    ///
    /// # Errors
    /// The message is a bad row; nothing was taken.
    pub fn push(&mut self, message: &BorrowedMessage<'_>) -> Result<(), String> {
        let is_text = |(m, b): &(Metadata, Builder)| {
            let Builder::Text(_) = b else { return Ok(()) };
            let no_text = |what: String| format!("{what} is not UTF-8; declare its column as BYTES");
            match (m, bytes(m, message).map(std::str::from_utf8)) {
                (Metadata::Header(name), Some(Err(_))) => Err(no_text(format!("the header {name}"))),
                (_, Some(Err(_))) => Err(no_text("the key".into())),
                _ => Ok(()),
            }
        };
        self.builders.iter().try_for_each(is_text)?;
        for (metadata, builder) in &mut self.builders {
            match builder {
                Builder::Int(b) => b.append_value(message.partition()),
                Builder::Long(b) => b.append_value(message.offset()),
                Builder::Time(b) => b.append_option(message.timestamp().to_millis()),
                Builder::Text(b) if *metadata == Metadata::Topic => b.append_value(message.topic()),
                Builder::Text(b) => b.append_option(bytes(metadata, message).and_then(|v| std::str::from_utf8(v).ok())),
                Builder::Bytes(b) => b.append_option(bytes(metadata, message)),
            }
        }
        self.offsets.push(message.offset());
        Ok(())
    }

    /// Puts the metadata of the good rows among the columns of their values.
    ///
    /// # Errors
    /// A bug: rows whose metadata was not taken.
    pub fn join(&mut self, columns: &RecordBatch, offsets: &Offsets) -> Result<RecordBatch, ArrowError> {
        let rows = columns.num_rows();
        let mut next = 0;
        let is_good = |offset: &i64| {
            let good = next < rows && offsets.at(next) == *offset;
            next += usize::from(good);
            good
        };
        let good = (self.offsets.len() > rows).then(|| self.offsets.iter().map(is_good).collect::<Vec<_>>());
        let good = good.map(BooleanArray::from);
        self.offsets.clear();
        let (mut builders, mut values) = (self.builders.iter_mut(), columns.columns().iter());
        let mut all = Vec::with_capacity(self.layout.columns.len());
        for column in &self.layout.columns {
            let found = match column {
                None => values.next().cloned(),
                Some(_) => builders.next().map(|(_, builder)| builder.finish()),
            };
            let found = found.ok_or_else(|| ArrowError::ComputeError("a column is missing".into()))?;
            all.push(match (&good, column) {
                (Some(good), Some(_)) => arrow::compute::filter(&found, good)?,
                _ => found,
            });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(self.layout.schema.clone(), all, &options)
    }
}

/// The bytes of a key or a header.
fn bytes<'m>(metadata: &Metadata, message: &'m BorrowedMessage<'_>) -> Option<&'m [u8]> {
    match metadata {
        Metadata::Key => message.key(),
        Metadata::Header(name) => {
            let headers = message.headers()?;
            headers.iter().filter(|h| h.key == name).last()?.value
        }
        _ => None,
    }
}

enum Builder {
    Text(StringBuilder),
    Bytes(BinaryBuilder),
    Int(Int32Builder),
    Long(Int64Builder),
    Time(TimestampMillisecondBuilder),
}

impl Builder {
    fn new(data_type: &DataType) -> Self {
        match data_type {
            DataType::Utf8 => Self::Text(StringBuilder::new()),
            DataType::Binary => Self::Bytes(BinaryBuilder::new()),
            DataType::Int32 => Self::Int(Int32Builder::new()),
            DataType::Int64 => Self::Long(Int64Builder::new()),
            _ => Self::Time(TimestampMillisecondBuilder::new().with_data_type(data_type.clone())),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Text(b) => Arc::new(b.finish()),
            Self::Bytes(b) => Arc::new(b.finish()),
            Self::Int(b) => Arc::new(b.finish()),
            Self::Long(b) => Arc::new(b.finish()),
            Self::Time(b) => Arc::new(b.finish()),
        }
    }
}
