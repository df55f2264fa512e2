//! Rows that leave as they are computed: a topic of a job without state, and what all writing has in common.

use super::client::{Context, asker, client, partitions};
use super::options::{Guarantee, SinkOptions};
use super::rows::{Encoder, Prepared, prepared};
use super::trouble::{away, forbidden, is_away, told};
use arrow::array::RecordBatch;
use highwater_engine::error::{BuildError, SinkError};
use highwater_engine::sink::{Sink, SinkTable};
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long rows may wait in the client for a broker to take them, before that is said.
const UNTAKEN_MAX: Duration = Duration::from_secs(30);
/// How often a full queue is looked at.
const QUEUE_POLL: Duration = Duration::from_millis(5);

/// Settings of every client that writes: no row is lost, changed in order, or written twice by the client itself.
pub fn config(options: &SinkOptions) -> Result<ClientConfig, String> {
    let mut config = options.properties.config()?;
    config.set("enable.idempotence", "true");
    // Java's default partitioner, for rows with a key.
    config.set("partitioner", "murmur2_random");
    for (name, default) in [
        ("compression.type", "lz4"),
        ("linger.ms", "5"),
        ("batch.size", "262144"),
        ("queue.buffering.max.kbytes", "65536"),
    ] {
        if options.properties.get(name).is_none() {
            config.set(name, default);
        }
    }
    Ok(config)
}

/// Checks that the topic is there.
///
/// # Errors
/// It is not, or no broker answers.
pub fn check(options: &SinkOptions) -> Result<(), String> {
    let asker = asker(&options.properties)?;
    partitions(&asker, &options.properties.servers, &options.topic).map(drop)
}

/// A client that writes to one topic.
pub struct Outlet {
    producer: BaseProducer<Context>,
    topic: String,
    servers: String,
}

impl Outlet {
    /// Makes the client.
    ///
    /// # Errors
    /// Settings that it refuses.
    pub fn new(options: &SinkOptions, config: ClientConfig) -> Result<Self, String> {
        let servers = options.properties.servers.clone();
        Ok(Self { producer: client(config)?, topic: options.topic.clone(), servers })
    }

    /// The client itself.
    pub fn producer(&self) -> &BaseProducer<Context> {
        &self.producer
    }

    /// Hands a row to the client; waits while it is full.
    ///
    /// # Errors
    /// A row that is too large, or a broker that takes none.
    pub fn send(&self, key: Option<&[u8]>, value: Option<&[u8]>, header: Option<&str>) -> Result<(), SinkError> {
        let mut record = BaseRecord::<[u8], [u8]>::to(&self.topic);
        if let Some(value) = value {
            record = record.payload(value);
        }
        if let Some(key) = key {
            record = record.key(key);
        }
        if let Some(id) = header {
            record =
                record.headers(OwnedHeaders::new_with_capacity(1).insert(Header { key: "hw-id", value: Some(id) }));
        }
        let since = Instant::now();
        loop {
            let error = match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((error, back)) => {
                    record = back;
                    error
                }
            };
            match error.rdkafka_error_code() {
                Some(Code::QueueFull) if since.elapsed() < UNTAKEN_MAX => self.producer.poll(QUEUE_POLL),
                Some(Code::QueueFull) => return Err(self.unreachable()),
                Some(Code::MessageSizeTooLarge) => return Err(self.too_large(value.map_or(0, <[u8]>::len))),
                _ => return Err(self.failed(&error)),
            }
            self.refusal()?;
        }
    }

    /// Waits until a broker has taken every row.
    ///
    /// # Errors
    /// It has not, in this time; or it refuses one.
    pub fn flush(&self, patience: Duration) -> Result<(), SinkError> {
        let flushed = self.producer.flush(patience);
        self.refusal()?;
        flushed.map_err(|error| self.failed(&error))
    }

    /// Whether a broker has refused a row.
    fn refusal(&self) -> Result<(), SinkError> {
        match self.producer.client().context().take_refusal() {
            None => Ok(()),
            Some(Code::MessageSizeTooLarge | Code::InvalidMessageSize) => Err(SinkError::new(format!(
                "topic {}: the broker refuses a row as too large; raise the topic's max.message.bytes",
                self.topic
            ))),
            Some(Code::TopicAuthorizationFailed) => Err(self.forbidden()),
            Some(code) => Err(self.failed(&KafkaError::MessageProduction(code))),
        }
    }

    fn forbidden(&self) -> SinkError {
        SinkError::new(forbidden("write to", &format!("topic {}", self.topic), "WRITE"))
    }

    fn too_large(&self, bytes: usize) -> SinkError {
        SinkError::new(format!(
            "topic {}: a row of {bytes} bytes is larger than a message may be; raise 'properties.max.request.size' and the \
             topic's max.message.bytes",
            self.topic
        ))
    }

    fn unreachable(&self) -> SinkError {
        self.failed(&KafkaError::MessageProduction(Code::AllBrokersDown))
    }

    /// An error as a sentence; whether waiting helps is in its kind.
    pub fn failed(&self, error: &KafkaError) -> SinkError {
        // The client's own words come by its queue.
        self.producer.poll(Duration::ZERO);
        let message = format!("topic {}: {}", self.topic, told(self.producer.client().context(), &self.servers, error));
        let code = match error {
            KafkaError::Transaction(error) => Some(error.code()),
            error => error.rdkafka_error_code(),
        };
        // A client that may write nowhere gets no producer id, and says so only in words.
        let nowhere = message.contains("Cluster authorization failed");
        match code {
            Some(Code::ClusterAuthorizationFailed) => self.forbidden(),
            Some(_) if nowhere => self.forbidden(),
            Some(Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch) => SinkError {
                taken_over: true,
                ..SinkError::new(format!(
                    "topic {}: another process with the same 'sink.transactional-id-prefix' writes now, or the broker had to \
                     give up a transaction; let one process run",
                    self.topic
                ))
            },
            Some(code) if is_away(code) => away(message),
            _ => SinkError::new(message),
        }
    }
}

/// A topic of a job without state.
pub struct KafkaTable {
    options: SinkOptions,
    outlet: Arc<Outlet>,
    found: Prepared,
}

impl KafkaTable {
    /// Checks the topic and makes the client that all workers share.
    ///
    /// # Errors
    /// No such topic, no broker or registry that answers; exactly-once, which needs state.
    pub fn new(options: SinkOptions, table: &str) -> Result<Self, BuildError> {
        let error = |message: String| BuildError::new(format!("table {table}: {message}"));
        if options.guarantee == Some(Guarantee::ExactlyOnce) {
            let cure = "add --state DIR, or set it to 'at-least-once'";
            return Err(error(format!("'sink.delivery-guarantee' = 'exactly-once' needs state; {cure}")));
        }
        check(&options).map_err(error)?;
        let outlet = Outlet::new(&options, config(&options).map_err(error)?).map_err(error)?;
        let found = prepared(&options).map_err(error)?;
        Ok(Self { options, outlet: Arc::new(outlet), found })
    }
}

impl SinkTable for KafkaTable {
    fn open(&self, _worker: usize) -> Result<Box<dyn Sink>, SinkError> {
        let encoder = Encoder::new(&self.options, &self.found).map_err(SinkError::new)?;
        Ok(Box::new(Writer::new(self.outlet.clone(), encoder)))
    }
    fn commit(&self) -> Result<(), SinkError> {
        Ok(())
    }
    fn abort(&self) {}
}

/// One worker's way to the topic.
pub struct Writer {
    outlet: Arc<Outlet>,
    encoder: Encoder,
}

impl Writer {
    /// By a client that others may have too.
    pub fn new(outlet: Arc<Outlet>, encoder: Encoder) -> Self {
        Self { outlet, encoder }
    }
}

impl Sink for Writer {
    fn write(&mut self, rows: &RecordBatch) -> Result<(), SinkError> {
        let outlet = &self.outlet;
        self.encoder.encode(rows, |key, value| outlet.send(key, value, None))?;
        outlet.producer().poll(Duration::ZERO);
        outlet.refusal()
    }
    fn finish(&mut self) -> Result<(), SinkError> {
        self.outlet.flush(UNTAKEN_MAX)
    }
}
