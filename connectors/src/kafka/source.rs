//! A topic as a source: its partitions, each read from its recorded offset on.
//!
//! Partitions share a few clients, one a worker; each has a queue of its own there, so that any worker can read any of them
//! without taking rows of another. What is not read stays in that queue until it is full, and then at the broker: that is
//! all the backpressure there is.

use super::client::{Consumer, Context, PATIENCE, asker, client, partitions};
use super::metadata::{Collector, Layout};
use super::offsets::{Kept, Topic};
use super::options::{Format, Place, SourceOptions};
use super::trouble::{explain, forbidden, is_away};
use crate::format::csv::read::CsvTable;
use crate::format::json::read::JsonTable;
use crate::format::raw::RawMessages;
use crate::format::records::messages::MessageDecoder;
use arrow_schema::SchemaRef;
use highwater_engine::error::{BuildError, SourceError};
use highwater_engine::expr::Expr;
use highwater_engine::graph::types::metadata_of;
use highwater_engine::graph::{RunOptions, SourceSpec, TimeRange};
use highwater_engine::source::{Chunk, PartitionInfo, PartitionReader, Position, Read, Source, Split};
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::sync::Arc;
use std::time::Duration;

/// How long a partition is left alone that has given all it has.
const CAUGHT_UP: Duration = Duration::from_millis(2);
/// How long one is left alone whose rows are on their way.
const ON_ITS_WAY: Duration = Duration::from_micros(500);
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
struct Shared {
    topic: String,
    servers: String,
    ids: Vec<i32>,
    clients: Vec<Arc<Consumer>>,
    table: Table,
    layout: Layout,
    /// The group that shows how far the job is.
    group: Option<String>,
}

enum Table {
    Csv(CsvTable),
    Json(JsonTable),
    Raw { values: SchemaRef, read: Vec<usize> },
}

impl Table {
    fn decoder(&self) -> Box<dyn MessageDecoder> {
        match self {
            Self::Csv(table) => Box::new(table.messages()),
            Self::Json(table) => Box::new(table.messages()),
            Self::Raw { values, read } => Box::new(RawMessages::new(values, read)),
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
            Format::Raw => Table::Raw { values: values.clone(), read: read.clone() },
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

fn gone(partition: &str, offset: i64, why: &str) -> SourceError {
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
        let Shared { topic, ids, clients, table, layout, servers, .. } = &*self.shared;
        let (id, consumer) = (ids[self.index], clients[self.index % clients.len()].clone());
        let failed = |e: &KafkaError| SourceError::new(format!("{topic}-{id}: {}", explain(&consumer, servers, e)));
        let queue = split_off(&consumer, topic, id).map_err(|e| failed(&e))?;
        let mut assigned = TopicPartitionList::with_capacity(1);
        assigned.add_partition_offset(topic, id, Offset::Offset(self.next)).map_err(|e| failed(&e))?;
        consumer.incremental_assign(&assigned).map_err(|e| failed(&e))?;
        Ok(Some(Box::new(Messages {
            decoder: table.decoder(),
            metadata: layout.collector(),
            shared: self.shared.clone(),
            consumer,
            queue,
            assigned,
            id,
            next: self.next,
            end: self.end,
            caught_up: false,
            ended: false,
            away: false,
            complete: false,
        })))
    }
}

/// The queue of a partition, before it is assigned: so no row ever gets into the client's common queue.
fn split_off(consumer: &Arc<Consumer>, topic: &str, id: i32) -> Result<PartitionQueue<Context>, KafkaError> {
    consumer.split_partition_queue(topic, id).ok_or(KafkaError::MessageConsumption(Code::UnknownPartition))
}

/// The messages of a partition, from an offset on.
struct Messages {
    shared: Arc<Shared>,
    consumer: Arc<Consumer>,
    queue: PartitionQueue<Context>,
    assigned: TopicPartitionList,
    id: i32,
    decoder: Box<dyn MessageDecoder>,
    metadata: Option<Collector>,
    /// The offset of the next message, or less.
    next: i64,
    end: i64,
    /// Whether everything there is has been read.
    caught_up: bool,
    ended: bool,
    /// Whether it was said that no broker answers.
    away: bool,
    /// Whether reading began anew since the broker said that it has everything up to the end.
    complete: bool,
}

impl Drop for Messages {
    fn drop(&mut self) {
        // A client that is going away has no use for it.
        let _ = self.consumer.incremental_unassign(&self.assigned);
    }
}

impl Split for Messages {
    fn read(&mut self, max_rows: usize) -> Result<Read, SourceError> {
        let mut bytes = 0;
        while !self.ended && self.decoder.len() < max_rows.max(1) {
            let error = match self.queue.poll(Duration::ZERO) {
                None => break,
                Some(Ok(message)) if message.offset() < self.next => continue,
                Some(Ok(message)) if message.offset() >= self.end => {
                    self.ended = true;
                    continue;
                }
                Some(Ok(message)) => {
                    (self.caught_up, self.away) = (false, false);
                    bytes += (message.payload_len() + message.key_len()) as u64;
                    let taken = self.metadata.as_mut().map_or(Ok(()), |m| m.push(&message));
                    match taken {
                        Ok(()) => self.decoder.push(message.offset(), message.payload()),
                        Err(reason) => self.decoder.refuse(message.offset(), &reason, message.payload()),
                    }
                    self.next = message.offset() + 1;
                    continue;
                }
                Some(Err(error)) => error,
            };
            match error {
                KafkaError::PartitionEOF(_) => self.reached_end()?,
                error => self.trouble(&error)?,
            }
        }
        if !self.decoder.is_empty() {
            let decoded = self.decoder.decode()?;
            let end = Position { offset: self.next, at: self.end.unsigned_abs() };
            let (mut columns, offsets, bad) = (decoded.columns, decoded.offsets, decoded.bad);
            if let Some(metadata) = &mut self.metadata {
                let joined = metadata.join(&columns, &offsets);
                columns = joined.map_err(|e| SourceError::new(format!("{e}; this is a bug, please report it")))?;
            }
            return Ok(Read::Rows(Chunk { columns, offsets, bad, bytes, end }));
        }
        if self.ended {
            return Ok(Read::End);
        }
        self.serve()?;
        Ok(if self.caught_up { Read::Pending(CAUGHT_UP) } else { Read::Awaited(ON_ITS_WAY) })
    }
}

impl Messages {
    /// Nothing more comes for now: is that the end? Behind the last row there may be offsets of transactions, which nobody
    /// is given. And a broker that has just become the leader may not know all that was committed: so it is asked whether it
    /// knows the end, and only if it then says again that nothing more comes, that is so.
    fn reached_end(&mut self) -> Result<(), SourceError> {
        self.caught_up = true;
        if self.end == i64::MAX || self.next >= self.end || self.complete {
            self.ended = self.end < i64::MAX;
            return Ok(());
        }
        self.begin_anew().or_else(|error| self.trouble(&error))
    }

    fn begin_anew(&mut self) -> Result<(), KafkaError> {
        self.caught_up = false;
        let (_, high) = self.consumer.fetch_watermarks(&self.shared.topic, self.id, PATIENCE)?;
        self.complete = high >= self.end;
        self.consumer.incremental_unassign(&self.assigned)?;
        self.assigned.set_all_offsets(Offset::Offset(self.next))?;
        self.queue = split_off(&self.consumer, &self.shared.topic, self.id)?;
        self.consumer.incremental_assign(&self.assigned)
    }

    /// What the client has to say, beside messages.
    fn serve(&mut self) -> Result<(), SourceError> {
        let error = match self.consumer.poll(Duration::ZERO) {
            Some(Err(error)) if !matches!(error, KafkaError::PartitionEOF(_)) => error,
            _ => return Ok(()),
        };
        self.trouble(&error)
    }

    /// Says once that a broker is away; any other error ends reading.
    fn trouble(&mut self, error: &KafkaError) -> Result<(), SourceError> {
        let partition = format!("{}-{}", self.shared.topic, self.id);
        let explained = || format!("{partition}: {}", explain(&self.consumer, &self.shared.servers, error));
        let fatal = matches!(error, KafkaError::MessageConsumptionFatal(_));
        match error.rdkafka_error_code() {
            Some(code) if is_away(code) && !fatal => {
                if !self.away {
                    tracing::warn!("{}; reading waits for it", explained());
                }
                self.away = true;
                Ok(())
            }
            // Nothing is asked of the group: where reading goes on is in the job's state.
            Some(Code::GroupAuthorizationFailed) => Ok(()),
            Some(Code::TopicAuthorizationFailed) => {
                let topic = format!("topic {}", self.shared.topic);
                Err(SourceError::new(forbidden("read", &topic, "READ")))
            }
            Some(Code::AutoOffsetReset | Code::OffsetOutOfRange) => {
                Err(gone(&partition, self.next, "the broker does not have it"))
            }
            _ => Err(SourceError::new(explained())),
        }
    }
}
