//! Messages of any bytes. Kafka's own client is driven by lines of text, so these go by librdkafka.

use super::Broker;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::time::{Duration, Instant};

/// How long a broker may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Writes these values.
///
/// # Panics
/// If the broker does not take them.
pub fn produce<'m>(broker: &Broker, topic: &str, values: impl Iterator<Item = &'m [u8]>) {
    let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", broker.servers()).create().unwrap();
    for value in values {
        producer.send(BaseRecord::<(), [u8]>::to(topic).payload(value)).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
}

/// The values of the messages of partition 0, as many as there must be.
///
/// # Panics
/// If there are fewer, or one has none.
pub fn consume(broker: &Broker, topic: &str, count: usize) -> Vec<Vec<u8>> {
    let mut config = ClientConfig::new();
    let consumer: BaseConsumer =
        config.set("bootstrap.servers", broker.servers()).set("group.id", "bytes").create().unwrap();
    let mut partition = TopicPartitionList::new();
    partition.add_partition_offset(topic, 0, Offset::Beginning).unwrap();
    consumer.assign(&partition).unwrap();
    let (mut values, since) = (Vec::new(), Instant::now());
    while values.len() < count && since.elapsed() < PATIENCE {
        if let Some(message) = consumer.poll(Duration::from_millis(100)) {
            values.push(message.unwrap().payload().unwrap().to_vec());
        }
    }
    assert_eq!(values.len(), count, "messages of {topic}");
    values
}
