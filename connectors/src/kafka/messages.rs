//! The messages of one partition, which are its only split.

use super::client::{Consumer, Context, PATIENCE};
use super::metadata::Collector;
use super::source::{Shared, gone};
use super::trouble::{explain, forbidden, is_away};
use crate::format::records::messages::MessageDecoder;
use highwater_engine::error::SourceError;
use highwater_engine::source::{Chunk, Position, Read, Split};
use rdkafka::consumer::Consumer as _;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::sync::Arc;
use std::time::Duration;

/// How long a partition is left alone that has given all it has.
const CAUGHT_UP: Duration = Duration::from_millis(2);
/// How long one is left alone whose rows are on their way.
const ON_ITS_WAY: Duration = Duration::from_micros(500);

/// The queue of a partition, before it is assigned: so no row ever gets into the client's common queue.
fn split_off(consumer: &Arc<Consumer>, topic: &str, id: i32) -> Result<PartitionQueue<Context>, KafkaError> {
    consumer.split_partition_queue(topic, id).ok_or(KafkaError::MessageConsumption(Code::UnknownPartition))
}

/// The messages of a partition, from an offset on.
pub(super) struct Messages {
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
    /// Connections that the client had lost when it was last told so.
    losses: u64,
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
        self.ask_behind_a_loss()?;
        Ok(if self.caught_up { Read::Pending(CAUGHT_UP) } else { Read::Awaited(ON_ITS_WAY) })
    }
}

impl Messages {
    /// Begins to read a partition at `next`.
    pub(super) fn open(shared: &Arc<Shared>, index: usize, next: i64, end: i64) -> Result<Self, SourceError> {
        let (id, consumer) = (shared.ids[index], shared.clients[index % shared.clients.len()].clone());
        let topic = &shared.topic;
        let failed = |e| SourceError::new(format!("{topic}-{id}: {}", explain(&consumer, &shared.servers, &e)));
        let queue = split_off(&consumer, topic, id).map_err(failed)?;
        let mut assigned = TopicPartitionList::with_capacity(1);
        assigned.add_partition_offset(topic, id, Offset::Offset(next)).map_err(failed)?;
        consumer.incremental_assign(&assigned).map_err(failed)?;
        let losses = consumer.context().losses();
        Ok(Self {
            decoder: shared.table.decoder(),
            metadata: shared.layout.collector(),
            shared: shared.clone(),
            consumer,
            queue,
            assigned,
            id,
            next,
            end,
            caught_up: false,
            losses,
            ended: false,
            away: false,
            complete: false,
        })
    }

    /// A partition whose broker is away may have more: what it has given is not known to be all until it says so again.
    fn ask_behind_a_loss(&mut self) -> Result<(), SourceError> {
        let losses = self.consumer.context().losses();
        if !self.caught_up || losses == self.losses {
            return Ok(());
        }
        self.losses = losses;
        self.assign_anew().or_else(|error| self.trouble(&error))
    }

    /// Nothing more comes for now: is that the end? Behind the last row there may be offsets of transactions, which nobody
    /// is given. And a broker that has just become the leader may not know all that was committed: so it is asked whether it
    /// knows the end, and only if it then says again that nothing more comes, that is so.
    fn reached_end(&mut self) -> Result<(), SourceError> {
        (self.caught_up, self.away) = (true, false);
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
        self.assign_anew()
    }

    fn assign_anew(&mut self) -> Result<(), KafkaError> {
        self.caught_up = false;
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
