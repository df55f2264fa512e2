//! The `properties.*` options: which of the client's settings a job may set, by the names that Kafka's Java client has.
//!
//! | for | names behind `properties.` |
//! |---|---|
//! | both | `bootstrap.servers`, `client.id`, `request.timeout.ms` |
//! | security | `security.protocol`, `sasl.mechanism`, `sasl.username`, `sasl.password`, `ssl.ca.location`, `ssl.certificate.location`, `ssl.key.location`, `ssl.key.password`, `ssl.endpoint.identification.algorithm` |
//! | source | `group.id`, `client.rack`, `isolation.level`, `fetch.min.bytes`, `fetch.max.wait.ms`, `fetch.max.bytes`, `max.partition.fetch.bytes` |
//! | sink | `compression.type`, `linger.ms`, `batch.size`, `max.request.size`, `transaction.timeout.ms` |
//!
//! Everything else is refused: some settings of the client load a library or run a program. A value may be `${env:NAME}` or
//! `${file:PATH}`; passwords must be, so that none is in a job's text or state.

use crate::options::Options;
use crate::secret::{is_reference, resolve};
use rdkafka::ClientConfig;
use std::collections::BTreeMap;

/// What a table is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// It is read.
    Source,
    /// It is written.
    Sink,
}

/// An option, and what the client calls it.
type Property = (&'static str, &'static str);

const COMMON: [Property; 12] = [
    (SERVERS, "bootstrap.servers"),
    ("properties.client.id", "client.id"),
    ("properties.request.timeout.ms", "socket.timeout.ms"),
    ("properties.security.protocol", "security.protocol"),
    ("properties.sasl.mechanism", "sasl.mechanism"),
    ("properties.sasl.username", "sasl.username"),
    ("properties.sasl.password", "sasl.password"),
    ("properties.ssl.ca.location", "ssl.ca.location"),
    ("properties.ssl.certificate.location", "ssl.certificate.location"),
    ("properties.ssl.key.location", "ssl.key.location"),
    ("properties.ssl.key.password", "ssl.key.password"),
    ("properties.ssl.endpoint.identification.algorithm", "ssl.endpoint.identification.algorithm"),
];
const SOURCE: [Property; 7] = [
    ("properties.group.id", "group.id"),
    ("properties.client.rack", "client.rack"),
    ("properties.isolation.level", "isolation.level"),
    ("properties.fetch.min.bytes", "fetch.min.bytes"),
    ("properties.fetch.max.wait.ms", "fetch.wait.max.ms"),
    ("properties.fetch.max.bytes", "fetch.max.bytes"),
    ("properties.max.partition.fetch.bytes", "max.partition.fetch.bytes"),
];
const SINK: [Property; 5] = [
    ("properties.compression.type", "compression.type"),
    ("properties.linger.ms", "linger.ms"),
    ("properties.batch.size", "batch.size"),
    ("properties.max.request.size", "message.max.bytes"),
    ("properties.transaction.timeout.ms", "transaction.timeout.ms"),
];

/// Settings of the Java client that have another name here, or none.
const ELSEWHERE: [(&str, &str); 12] = [
    ("properties.auto.offset.reset", "set 'scan.startup.mode'; an offset that is gone ends the job"),
    ("properties.enable.auto.commit", "offsets are kept in the job's state"),
    ("properties.enable.idempotence", "it is always on"),
    ("properties.acks", "it is always 'all'"),
    ("properties.transactional.id", "set 'sink.transactional-id-prefix'"),
    ("properties.sasl.jaas.config", "set 'properties.sasl.username' and 'properties.sasl.password'"),
    ("properties.ssl.truststore.location", "set 'properties.ssl.ca.location' to a file of PEM certificates"),
    ("properties.ssl.truststore.password", "set 'properties.ssl.ca.location' to a file of PEM certificates"),
    ("properties.ssl.keystore.location", "set 'properties.ssl.certificate.location' and 'properties.ssl.key.location'"),
    ("properties.ssl.keystore.password", "set 'properties.ssl.key.location' and 'properties.ssl.key.password'"),
    ("properties.key.deserializer", "set 'format'"),
    ("properties.value.deserializer", "set 'format'"),
];

const SECRETS: [&str; 2] = ["properties.sasl.password", "properties.ssl.key.password"];
const SERVERS: &str = "properties.bootstrap.servers";

/// How to reach a cluster: settings as they were given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Properties {
    /// `host:9092,..`.
    pub servers: String,
    /// By the client's names.
    given: BTreeMap<&'static str, String>,
}

impl Properties {
    /// Reads the options; what is wrong is noted in `o`.
    pub fn parse(o: &mut Options, side: Side) -> Self {
        let servers = o.required(SERVERS, "localhost:9092").to_owned();
        let (own, other, where_from): (&[Property], &[Property], _) = match side {
            Side::Source => (&SOURCE, &SINK, "is for tables that are written; remove it"),
            Side::Sink => (&SINK, &SOURCE, "is for tables that are read; remove it"),
        };
        let mut given = BTreeMap::new();
        for (option, name) in COMMON.iter().chain(own) {
            let Some(value) = o.text(option) else { continue };
            if SECRETS.contains(option) && !is_reference(value) {
                o.error(option, "is a secret; keep it out of the job: '${env:NAME}' or '${file:PATH}'");
            } else if let Err(error) = check(name, value) {
                o.error(option, error);
            }
            given.insert(*name, value.to_owned());
        }
        for (option, _) in other {
            o.unused(&[option], where_from);
        }
        for (option, cure) in ELSEWHERE {
            o.unused(&[option], &format!("is not a setting here: {cure}"));
        }
        Self { servers, given }
    }

    /// A setting as it was given.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.given.get(name).map(String::as_str)
    }

    /// The client's settings, references resolved.
    ///
    /// # Errors
    /// A reference that leads nowhere.
    pub fn config(&self) -> Result<ClientConfig, String> {
        let mut config = ClientConfig::new();
        // The broker is asked for what a topic is; asking must not make it.
        config.set("allow.auto.create.topics", "false");
        config.set("socket.nagle.disable", "true");
        config.set("reconnect.backoff.max.ms", "2000");
        for (name, value) in &self.given {
            let value = resolve(value).map_err(|e| format!("properties.{name}: {e}"))?;
            if name.ends_with(".location") {
                // The client would only say that something is wrong with it.
                let found = std::fs::metadata(&value).map(drop);
                found.map_err(|e| format!("properties.{name}: {}", crate::files::io_error("read", &value, &e)))?;
            }
            config.set(*name, value);
        }
        Ok(config)
    }
}

/// Whether the client takes a value; a reference is looked at when the table is opened.
fn check(name: &str, value: &str) -> Result<(), String> {
    if is_reference(value) || name.ends_with(".location") {
        return Ok(());
    }
    let mut config = ClientConfig::new();
    config.set(name, value);
    match config.create_native_config() {
        Ok(_) => Ok(()),
        Err(rdkafka::error::KafkaError::ClientConfig(_, why, ..)) => Err(format!("{value:?} is refused: {why}")),
        Err(error) => Err(format!("{value:?} is refused: {error}")),
    }
}
