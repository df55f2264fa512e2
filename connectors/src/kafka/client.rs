//! What the clients have in common: how they are made, what they hear of their troubles, and what there is to ask.

use super::properties::Properties;
use super::trouble::{Cause, explain, forbidden};
use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code};
use rdkafka::message::Message as _;
use rdkafka::producer::{DeliveryResult, ProducerContext};
use rdkafka::topic_partition_list::TopicPartitionList;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a broker may take to answer when a job starts.
pub const PATIENCE: Duration = Duration::from_secs(8);
/// How long a topic may be unknown that is there, or a user that is known be refused: a broker has just started.
const UNKNOWN_MAX: Duration = Duration::from_secs(2);
/// How long between two tries.
pub const RETRY: Duration = Duration::from_millis(200);

/// A client that reads, or asks.
pub type Consumer = BaseConsumer<Context>;

/// What a client has heard.
#[derive(Debug, Default)]
pub struct Context {
    /// The last trouble, in the client's words.
    trouble: Mutex<Option<String>>,
    /// How often a connection was lost or refused.
    losses: AtomicU64,
    /// Whether the client talks in the clear.
    in_clear: bool,
    /// Whether the last offsets of a group were refused, which is said once.
    unseen: AtomicBool,
    /// Why a message was not taken, the first since it was asked.
    refused: Mutex<Option<Code>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Context {
    /// Why a message was not taken since this was last asked.
    pub fn take_refusal(&self) -> Option<Code> {
        lock(&self.refused).take()
    }
    /// The last trouble, in the client's words.
    pub fn trouble(&self) -> Option<String> {
        lock(&self.trouble).clone()
    }
    /// How often a connection was lost or refused, as far as the client was asked for its words.
    pub fn losses(&self) -> u64 {
        self.losses.load(Relaxed)
    }
    /// What the last trouble comes from, if that is known.
    pub fn cause(&self) -> Option<Cause> {
        Cause::of(lock(&self.trouble).as_ref()?, self.in_clear)
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(target: "highwater::kafka", facility, "{message}");
        // Behind the client's and the thread's names.
        let text = message.rsplit_once("]: ").map_or(message, |(_, text)| text);
        if facility == "FAIL" {
            self.losses.fetch_add(1, Relaxed);
        }
        if (level as i32) <= RDKafkaLogLevel::Error as i32 || facility == "FAIL" {
            *lock(&self.trouble) = Some(text.to_owned());
        }
    }
    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() != Some(Code::PartitionEOF) {
            tracing::debug!(target: "highwater::kafka", "{error}: {reason}");
        }
    }
}

impl ConsumerContext for Context {
    /// Where a group stands is shown to those who watch it; the job does not depend on it.
    fn commit_callback(&self, result: KafkaResult<()>, _offsets: &TopicPartitionList) {
        match result {
            Err(error) if !self.unseen.swap(true, Relaxed) => {
                tracing::warn!(
                    "how far the job is can't be shown by 'properties.group.id': {error}; grant the group READ"
                );
            }
            Err(_) => {}
            Ok(()) => self.unseen.store(false, Relaxed),
        }
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = ();
    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, message)) = result {
            let code = error.rdkafka_error_code().unwrap_or(Code::Fail);
            tracing::debug!(target: "highwater::kafka", partition = message.partition(), "a message was not taken: {error}");
            lock(&self.refused).get_or_insert(code);
        }
    }
}

/// Makes a client.
///
/// # Errors
/// Settings that don't go together, a file that can't be read.
pub fn client<T: FromClientConfigAndContext<Context>>(mut config: ClientConfig) -> Result<T, String> {
    config.set_log_level(RDKafkaLogLevel::Info);
    let in_clear = config.get("security.protocol").is_none_or(|p| !p.to_ascii_uppercase().ends_with("SSL"));
    let context = Context { in_clear, ..Context::default() };
    config.create_with_context(context).map_err(|error| match error {
        KafkaError::ClientConfig(_, why, name, _) => format!("properties.{name} is refused: {why}"),
        KafkaError::ClientCreation(why) => format!("the settings are refused: {why}"),
        error => error.to_string(),
    })
}

/// A client that asks what is there, and reads what is committed.
///
/// # Errors
/// As [`client`].
pub fn asker(properties: &Properties) -> Result<Arc<Consumer>, String> {
    let mut config = properties.config()?;
    config.set("group.id", properties.get("group.id").unwrap_or("highwater"));
    config.set("isolation.level", properties.get("isolation.level").unwrap_or("read_committed"));
    config.set("enable.auto.commit", "false").set("enable.auto.offset.store", "false");
    config.set("auto.offset.reset", "error").set("enable.partition.eof", "true");
    Ok(Arc::new(client(config)?))
}

/// The partitions of a topic.
///
/// # Errors
/// There is no such topic, no right to see it, or no broker that answers.
pub fn partitions(asker: &Consumer, servers: &str, topic: &str) -> Result<Vec<i32>, String> {
    let begun = Instant::now();
    let until = begun + PATIENCE;
    loop {
        let left = until.saturating_duration_since(Instant::now()).clamp(RETRY, UNKNOWN_MAX);
        let error = match asker.fetch_metadata(Some(topic), left) {
            Err(error) => {
                let explained = explain(asker, servers, &error);
                if asker.context().cause().is_some() && begun.elapsed() >= UNKNOWN_MAX {
                    return Err(explained);
                }
                explained
            }
            Ok(metadata) => {
                let Some(found) = metadata.topics().iter().find(|t| t.name() == topic) else {
                    return Err(absent(servers, topic));
                };
                match found.error().map(Code::from) {
                    None if found.partitions().is_empty() => format!("topic {topic} has no partitions yet"),
                    None => {
                        let mut ids: Vec<i32> = found.partitions().iter().map(|p| p.id()).collect();
                        ids.sort_unstable();
                        return Ok(ids);
                    }
                    // A topic that was just made, or a broker that has just started: not every broker knows of it yet.
                    Some(Code::UnknownTopicOrPartition | Code::UnknownTopic) if begun.elapsed() < UNKNOWN_MAX => {
                        absent(servers, topic)
                    }
                    Some(Code::UnknownTopicOrPartition | Code::UnknownTopic) => return Err(absent(servers, topic)),
                    Some(Code::TopicAuthorizationFailed) => {
                        return Err(forbidden("see", &format!("topic {topic}"), "DESCRIBE"));
                    }
                    Some(code) => format!("topic {topic}: {code}"),
                }
            }
        };
        if Instant::now() + RETRY >= until {
            return Err(error);
        }
        std::thread::sleep(RETRY);
    }
}

fn absent(servers: &str, topic: &str) -> String {
    format!("there is no topic {topic} on {servers}; create it, or check 'topic'")
}
