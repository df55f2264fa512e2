//! What the clients have in common: what they hear of their troubles, and how those are told.

use super::properties::Properties;
use highwater_engine::error::SinkError;
use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::Message as _;
use rdkafka::producer::{DeliveryResult, ProducerContext};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a broker may take to answer when a job starts.
pub const PATIENCE: Duration = Duration::from_secs(8);
/// How long a topic may be unknown that is there.
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
    fn trouble(&self) -> String {
        lock(&self.trouble).as_ref().map(|t| format!(" ({t})")).unwrap_or_default()
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(target: "highwater::kafka", facility, "{message}");
        // Behind the client's and the thread's names.
        let text = message.rsplit_once("]: ").map_or(message, |(_, text)| text);
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

impl ConsumerContext for Context {}

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
    config.create_with_context(Context::default()).map_err(|error| match error {
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
        let left = until.saturating_duration_since(Instant::now()).max(RETRY);
        let error = match asker.fetch_metadata(Some(topic), left) {
            Err(error) => explain(asker, servers, &error),
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
                        return Err(format!("the broker does not let this user see topic {topic}; grant it DESCRIBE"));
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

/// What an error means, with what the client has heard last.
pub fn explain(client: &Consumer, servers: &str, error: &KafkaError) -> String {
    // The client's own words come by its queue.
    for _ in 0..64 {
        if client.poll(Duration::ZERO).is_none() && !lock(&client.context().trouble).is_none() {
            break;
        }
    }
    told(client.context(), servers, error)
}

/// What an error means.
pub fn told(context: &Context, servers: &str, error: &KafkaError) -> String {
    let (code, trouble) = (error.rdkafka_error_code(), context.trouble());
    match code {
        Some(Code::Authentication | Code::SaslAuthenticationFailed) => {
            format!("the broker refuses the user or the password{trouble}; check properties.sasl.*")
        }
        Some(Code::SSL) => format!("no TLS connection to {servers}{trouble}; check properties.ssl.*"),
        Some(code) if is_away(code) => {
            format!("no broker of {servers} answers{trouble}; start it, or check properties.bootstrap.servers")
        }
        _ => format!("{error}{trouble}"),
    }
}

/// Whether an error says that no broker can be reached now: it may pass.
pub fn is_away(code: Code) -> bool {
    matches!(
        code,
        Code::AllBrokersDown
            | Code::BrokerTransportFailure
            | Code::OperationTimedOut
            | Code::MessageTimedOut
            | Code::RequestTimedOut
            | Code::Resolve
            | Code::TimedOutQueue
            | Code::NetworkException
            | Code::LeaderNotAvailable
            | Code::NotLeaderForPartition
            | Code::NotEnoughReplicas
            | Code::OffsetNotAvailable
            | Code::NotEnoughReplicasAfterAppend
            | Code::CoordinatorLoadInProgress
            | Code::CoordinatorNotAvailable
            | Code::NotCoordinator
            | Code::BrokerNotAvailable
            | Code::KafkaStorageError
            | Code::ConcurrentTransactions
            | Code::PurgeQueue
            | Code::PurgeInflight
            | Code::WaitingForCoordinator
            | Code::Retry
    )
}

/// An error of a sink whose broker may come back.
pub fn away(message: String) -> SinkError {
    SinkError { full: true, ..SinkError::new(message) }
}
