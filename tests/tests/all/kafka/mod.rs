//! Topics of a real Apache Kafka broker as tables, with Kafka's own Java client on the other side.
//!
//! * [`reading`]: what that client writes are rows with their partitions and offsets; where reading begins and ends.
//! * [`metadata`]: columns that hold what Kafka says of a message.
//! * [`writing`]: what jobs write is what that client reads, in the partitions that it would have chosen.
//! * [`troubles`]: what is missing, refused or gone is said, clearly and soon.
//! * [`replaying`]: a part of a topic, read again, is that part of the whole.
//! * [`security`]: TLS, passwords, certificates and rights.
//! * [`avro`]: messages in Avro, with a schema registry.
//! * [`protobuf`]: messages in protocol buffers.
//! * [`idle`]: a partition without new messages, and what it brings later.
//! * [`live`]: a live job, killed and restarted, has the rows that a replay of its topic has.
//! * [`kills`]: engine and broker are killed, and a reader of committed rows sees every result once.

mod avro;
mod idle;
mod kills;
mod live;
mod metadata;
mod protobuf;
mod reading;
mod replaying;
mod security;
mod troubles;
mod writing;

use highwater_tests::kafka::Broker;
use std::sync::Arc;

/// The broker that these tests share; without Java and Maven they are skipped, loudly.
fn broker() -> Option<Arc<Broker>> {
    Broker::shared()
}

/// The options of a table on a topic, as they stand in WITH.
fn with(broker: &Broker, topic: &str, more: &[(&str, &str)]) -> String {
    options(topic, &[&[("properties.bootstrap.servers", broker.servers())], more].concat())
}

/// As [`with`], for any broker.
fn options(topic: &str, more: &[(&str, &str)]) -> String {
    let given = [("connector", "kafka"), ("topic", topic)];
    let has_format = more.iter().any(|(name, _)| *name == "format");
    let json = if has_format { None } else { Some(("format", "json")) };
    let all = given.into_iter().chain(json).chain(more.iter().copied());
    all.map(|(name, value)| format!("'{name}' = '{value}'")).collect::<Vec<_>>().join(", ")
}

/// Reading ends where the topic ends when the job starts.
const TO_THE_END: (&str, &str) = ("scan.bounded.mode", "latest-offset");
