//! A topic as a source: its partitions, each read from its recorded offset on.
//!
//! Partitions share a few clients, one a worker; each has a queue of its own there, so that any worker can read any of them
//! without taking rows of another. What is not read stays in that queue until it is full, and then at the broker: that is
//! all the backpressure there is.

use super::client::{Consumer, PATIENCE, asker, client, partitions};
use super::messages::Messages;
use super::metadata::Layout;
use super::offsets::{Kept, Topic};
use super::options::{Format, Place, SourceOptions};
use crate::format::avro::messages::{AvroMessages, Writer};
use crate::format::csv::read::CsvTable;
use crate::format::json::read::JsonTable;
use crate::format::protobuf::messages::{ProtobufMessages, ProtobufTable};
use crate::format::raw::RawMessages;
use crate::format::records::messages::MessageDecoder;
use crate::http::registry::Registry;
use arrow_schema::SchemaRef;
use highwater_engine::error::{BuildError, SourceError};
use highwater_engine::expr::Expr;
use highwater_engine::graph::types::metadata_of;
use highwater_engine::graph::{RunOptions, SourceSpec, TimeRange};
use highwater_engine::source::{PartitionInfo, PartitionReader, Position, Source, Split};
use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::sync::Arc;

/// Messages that wait in the queues of all partitions together, in KiB.
const QUEUED_KIB: usize = 64 << 10;

/// An open topic.
pub struct KafkaSource {
    shared: Arc<Shared>,
    partitions: Vec<PartitionInfo>,
    kept: Vec<Kept>,
    /// Where reading ends, if the job begins now.
    ends: Vec<i64>,
    bounded: bool,
    fingerprint: String,
}

/// What all partitions need.
pub(super) struct Shared {
    pub(super) topic: String,
    pub(super) servers: String,
    pub(super) ids: Vec<i32>,
    pub(super) clients: Vec<Arc<Consumer>>,
    pub(super) table: Table,
    pub(super) layout: Layout,
    /// The group that shows how far the job is.
    group: Option<String>,
}

pub(super) enum Table {
    Csv(CsvTable),
    Json(JsonTable),
    Raw { values: SchemaRef, read: Vec<usize> },
    Avro { writer: Writer, values: SchemaRef, read: Vec<usize> },
    Protobuf(ProtobufTable),
}

impl Table {
    pub(super) fn decoder(&self) -> Box<dyn MessageDecoder> {
        match self {
            Self::Csv(table) => Box::new(table.messages()),
            Self::Json(table) => Box::new(table.messages()),
            Self::Raw { values, read } => Box::new(RawMessages::new(values, read)),
            Self::Avro { writer, values, read } => Box::new(AvroMessages::new(writer.clone(), values, read)),
            Self::Protobuf(table) => Box::new(ProtobufMessages::new(table.clone())),
        }
    }
}

impl KafkaSource {
    /// Asks for the topic and where its partitions begin and end.
    ///
    /// # Errors
    /// No such topic, no right to read it, no broker that answers, places that are not there.
    pub fn new(options: &SourceOptions, spec: &SourceSpec, run: &RunOptions) -> Result<Self, BuildError> {
        let error = |message: String| BuildError::new(format!("table {}: {message}", spec.table));
        let internal = |e: arrow::error::ArrowError| error(e.to_string());
        let layout = Layout::new(&spec.physical, &spec.read).map_err(error)?;
        let (values, read) = (&layout.values, &layout.read);
        let table = match &options.format {
            Format::Csv(csv) => Table::Csv(CsvTable::new(csv.clone(), values, read).map_err(internal)?),
            Format::Json(json) => Table::Json(JsonTable::new(json, values, read).map_err(internal)?),
            Format::Protobuf(protobuf) => Table::Protobuf(protobuf.table(values, read).map_err(error)?),
            Format::Raw => Table::Raw { values: values.clone(), read: read.clone() },
            Format::Avro(avro) => {
                let writer = match &avro.registry {
                    None => Writer::Known(avro.schema.as_str().into()),
                    Some(registry) => Writer::ById(Arc::new(Registry::open(registry).map_err(error)?)),
                };
                Table::Avro { writer, values: values.clone(), read: read.clone() }
            }
        };
        let (servers, name) = (options.properties.servers.clone(), options.topic.clone());
        let asker = asker(&options.properties).map_err(error)?;
        let ids = partitions(&asker, &servers, &name).map_err(error)?;
        let topic = Topic { asker: &asker, servers: &servers, name: &name, partitions: &ids };
        let kept = topic.kept().map_err(error)?;
        let mut start = topic.resolve(&options.start, &kept, "scan.startup.mode").map_err(error)?;
        // A replay is over what there is.
        let until =
            if spec.reads != TimeRange::ALL && options.end == Place::Never { &Place::Latest } else { &options.end };
        let end = topic.resolve(until, &kept, "scan.bounded.mode").map_err(error)?;
        if spec.reads.from_ms > 0 && is_by_message(spec) {
            // What lies before the first message of that time is older: nothing of it is asked for, and the watermark that it
            // leaves is older too. So no row behind it is judged in another way.
            let from = topic.resolve(&Place::Timestamp(spec.reads.from_ms), &kept, "--from").map_err(error)?;
            start.iter_mut().zip(from).for_each(|(start, from)| *start = from.max(*start));
            tracing::info!(target: "highwater::kafka", "{name} is replayed from offsets {start:?} to {end:?}");
        }
        let info = |(i, id): (usize, &i32)| PartitionInfo {
            name: format!("{name}-{id}"),
            first_time_ms: None,
            // The end is a part of every position: a restart reads as far as the first start would have.
            start: Some(Position { offset: start[i], at: end[i].max(start[i]).unsigned_abs() }),
        };
        let infos = ids.iter().enumerate().map(info).collect();
        let group = options.properties.get("group.id").map(str::to_owned);
        let cluster = asker.client().fetch_cluster_id(PATIENCE).unwrap_or_default();
        let count = run.workers.min(ids.len()).max(1);
        let clients = (0..count).map(|_| reader(options, ids.len())).collect::<Result<_, _>>().map_err(error)?;
        Ok(Self {
            partitions: infos,
            kept,
            ends: end,
            bounded: *until != Place::Never,
            fingerprint: format!("kafka 1: topic {name}, cluster {cluster}"),
            shared: Arc::new(Shared { topic: name, servers, ids, clients, table, layout, group }),
        })
    }
}

/// Whether the event time is the message's timestamp, by which the broker finds messages.
fn is_by_message(spec: &SourceSpec) -> bool {
    let Some(Expr::Column(read)) = spec.map.columns.get(spec.time) else { return false };
    let field = spec.read.get(*read).map(|&i| spec.physical.field(i));
    field.and_then(|f| metadata_of(f)) == Some("timestamp")
}

/// A client for some of the partitions.
fn reader(options: &SourceOptions, partitions: usize) -> Result<Arc<Consumer>, String> {
    let mut config = options.properties.config()?;
    let or = |name: &str, default: &str| options.properties.get(name).unwrap_or(default).to_owned();
    // The limit is each queue's.
    let queued = (QUEUED_KIB / partitions.max(1)).clamp(1 << 10, 16 << 10);
    config
        .set("group.id", or("group.id", "highwater"))
        .set("isolation.level", or("isolation.level", "read_committed"))
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("enable.partition.eof", "true")
        .set("queued.max.messages.kbytes", queued.to_string())
        .set("fetch.queue.backoff.ms", "10")
        .set("fetch.error.backoff.ms", "100");
    Ok(Arc::new(client(config)?))
}

impl Source for KafkaSource {
    fn partitions(&self) -> &[PartitionInfo] {
        &self.partitions
    }

    fn open(&self, index: usize, from: Option<&Position>) -> Result<Box<dyn PartitionReader>, SourceError> {
        let info = &self.partitions[index];
        let Some(from) = from.or(info.start.as_ref()) else {
            return Err(SourceError::new(format!("{} has no beginning; this is a bug, please report it", info.name)));
        };
        let Kept { low, high } = self.kept[index];
        // The recorded end counts, but for a job that had none, or is to have none from now on.
        let end = match i64::try_from(from.at).unwrap_or(i64::MAX) {
            i64::MAX => self.ends[index],
            _ if !self.bounded => i64::MAX,
            recorded => recorded,
        };
        if from.offset < low {
            return Err(gone(&info.name, from.offset, &format!("its first offset is {low}")));
        }
        if from.offset > high {
            return Err(SourceError::new(format!(
                "{}: reading should go on at offset {}, but the partition ends at {high}: the topic was made anew or lost its \
                 end; restore it, or start anew with --fresh",
                info.name, from.offset
            )));
        }
        Ok(Box::new(Reader { shared: self.shared.clone(), index, next: from.offset, end, begun: false }))
    }

    fn fingerprint(&self, _index: usize) -> Result<String, SourceError> {
        Ok(self.fingerprint.clone())
    }

    fn bounded(&self) -> bool {
        self.bounded
    }

    fn kept(&self, positions: &[Option<Position>]) {
        let Shared { topic, ids, clients, group: Some(group), .. } = &*self.shared else { return };
        let mut stands = TopicPartitionList::with_capacity(ids.len());
        for (id, position) in ids.iter().zip(positions) {
            let offset =
                position.as_ref().and_then(|p| stands.add_partition_offset(topic, *id, Offset::Offset(p.offset)).err());
            if let Some(error) = offset {
                tracing::debug!(target: "highwater::kafka", "{topic}-{id}: {error}");
            }
        }
        if let Some(Err(error)) = clients.first().map(|c| c.commit(&stands, CommitMode::Async)) {
            tracing::debug!(target: "highwater::kafka", "group {group}: {error}");
        }
    }

    fn rows_hint(&self) -> Option<u64> {
        // Offsets of transactions and of compacted rows are among them.
        let rows = |p: &PartitionInfo| p.start.as_ref().map(|s| s.at.saturating_sub(s.offset.unsigned_abs()));
        if self.bounded { self.partitions.iter().map(rows).sum() } else { None }
    }
}

pub(super) fn gone(partition: &str, offset: i64, why: &str) -> SourceError {
    SourceError::new(format!(
        "{partition}: offset {offset}, where reading should go on, is gone: {why}. Retention has taken rows that were not \
         read; start anew with --fresh, and let the topic keep its rows for longer than the job may stand still"
    ))
}

/// A partition: one split from its beginning to its end.
struct Reader {
    shared: Arc<Shared>,
    index: usize,
    next: i64,
    end: i64,
    begun: bool,
}

impl PartitionReader for Reader {
    fn next_split(&mut self) -> Result<Option<Box<dyn Split>>, SourceError> {
        if std::mem::replace(&mut self.begun, true) || self.next >= self.end {
            return Ok(None);
        }
        Ok(Some(Box::new(Messages::open(&self.shared, self.index, self.next, self.end)?)))
    }
}
