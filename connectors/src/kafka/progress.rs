//! The progress topic: what a topic of a job with state shows.
//!
//! Every transaction writes, beside its rows, one marker with the number of its checkpoint into this topic, which has one
//! partition and is compacted. Either both are visible or none is, so the last committed marker says what is shown. It is
//! asked for only when the transactional id belongs to this process: then no transaction of another one is open.

use super::client::{Consumer, PATIENCE, asker, client, partitions};
use super::options::SinkOptions;
use super::trouble::explain;
use crate::files::marker::Marker;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The key of every marker: compaction keeps the last.
pub const KEY: &[u8] = b"shown";
/// Offsets that are looked at first; each try looks at so many times as many.
const LOOK_BACK: i64 = 16;

/// The progress topic of one table.
pub struct Progress {
    asker: Arc<Consumer>,
    servers: String,
    /// Its name.
    pub topic: String,
}

impl Progress {
    /// Finds the topic, or makes it.
    ///
    /// # Errors
    /// No broker that answers; no right to make it.
    pub fn open(options: &SinkOptions, id: &str) -> Result<Self, String> {
        let servers = options.properties.servers.clone();
        let progress = Self { asker: asker(&options.properties)?, servers, topic: format!("{id}.progress") };
        if !progress.exists()? {
            progress.create(options.properties.config()?)?;
            // Until every broker knows of it.
            partitions(&progress.asker, &progress.servers, &progress.topic)?;
        }
        Ok(progress)
    }

    fn exists(&self) -> Result<bool, String> {
        let metadata = self.asker.fetch_metadata(Some(&self.topic), PATIENCE).map_err(|e| self.told(&e))?;
        let found = metadata.topics().iter().find(|t| t.name() == self.topic);
        match found.and_then(|t| t.error()).map(Code::from) {
            Some(Code::UnknownTopicOrPartition | Code::UnknownTopic) => Ok(false),
            Some(code) => Err(format!("topic {}: {code}", self.topic)),
            None => Ok(found.is_some()),
        }
    }

    fn create(&self, config: ClientConfig) -> Result<(), String> {
        let admin: AdminClient<super::client::Context> = client(config)?;
        let topic = NewTopic::new(&self.topic, 1, TopicReplication::Fixed(-1)).set("cleanup.policy", "compact");
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE)).request_timeout(Some(PATIENCE));
        let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(|e| e.to_string())?;
        let made = runtime.block_on(admin.create_topics([&topic], &options));
        match made.map_err(|e| self.told(&e))?.first() {
            Some(Ok(_)) | Some(Err((_, Code::TopicAlreadyExists))) => Ok(()),
            Some(Err((_, Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed))) => Err(format!(
                "the broker does not let this user make topic {0}, which keeps what is shown; make it (one partition, \
                 cleanup.policy=compact) and grant READ and WRITE",
                self.topic
            )),
            Some(Err((_, code))) => Err(format!("topic {} can't be made: {code}", self.topic)),
            None => Err(format!("topic {} was not made; make it: one partition, cleanup.policy=compact", self.topic)),
        }
    }

    /// The last committed marker.
    ///
    /// # Errors
    /// No broker that answers; a message that is no marker.
    pub fn read(&self) -> Result<Option<Marker>, String> {
        let (low, high) = self.asker.fetch_watermarks(&self.topic, 0, PATIENCE).map_err(|e| self.told(&e))?;
        let (mut look_back, mut found) = (LOOK_BACK, None);
        while found.is_none() && high > low {
            let from = high.saturating_sub(look_back).max(low);
            found = self.last_since(from, high)?;
            if from == low {
                break;
            }
            look_back = look_back.saturating_mul(LOOK_BACK);
        }
        Ok(found)
    }

    /// The last marker among these offsets.
    fn last_since(&self, from: i64, high: i64) -> Result<Option<Marker>, String> {
        let mut assigned = TopicPartitionList::with_capacity(1);
        assigned.add_partition_offset(&self.topic, 0, Offset::Offset(from)).map_err(|e| self.told(&e))?;
        self.asker.assign(&assigned).map_err(|e| self.told(&e))?;
        let (mut last, until) = (None, Instant::now() + PATIENCE);
        loop {
            match self.asker.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => {
                    if message.key() == Some(KEY) {
                        last = Some(self.marker(message.payload().unwrap_or_default())?);
                    }
                    if message.offset() + 1 >= high {
                        break;
                    }
                }
                Some(Err(KafkaError::PartitionEOF(_))) => break,
                Some(Err(error)) if Instant::now() > until => return Err(self.told(&error)),
                None if Instant::now() > until => return Err(format!("topic {} can't be read in time", self.topic)),
                Some(Err(_)) | None => {}
            }
        }
        self.asker.unassign().map_err(|e| self.told(&e))?;
        Ok(last)
    }

    fn marker(&self, value: &[u8]) -> Result<Marker, String> {
        let marker = Marker::parse(&String::from_utf8_lossy(value));
        marker.ok_or_else(|| format!("topic {} holds a message that is no marker; who else writes to it?", self.topic))
    }

    fn told(&self, error: &KafkaError) -> String {
        format!("topic {}: {}", self.topic, explain(&self.asker, &self.servers, error))
    }
}
