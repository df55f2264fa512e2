//! The `kafka` connector: topics of Apache Kafka, read and written with Flink's option names.
//!
//! | option | default | |
//! |---|---|---|
//! | `topic` | needed | one topic, which must exist |
//! | `properties.bootstrap.servers` | needed | `host:9092,..` |
//! | `properties.*` | | of the client: see [`properties`] |
//! | `format` | needed | `json` or `csv`, with their options: a message is one record; [`avro`, `avro-confluent`](crate::format::avro); [`protobuf`](crate::format::protobuf); or `raw`: one column that is the whole message |
//! | `scan.startup.mode` | `earliest-offset` | source: or `latest-offset`, `timestamp`, `specific-offsets`, `group-offsets` |
//! | `scan.startup.timestamp-millis`, `scan.startup.specific-offsets` | | for these modes: `partition:0,offset:42;..` |
//! | `scan.bounded.mode` | `unbounded` | source: or `latest-offset`, `timestamp`, `specific-offsets` |
//! | `scan.bounded.timestamp-millis`, `scan.bounded.specific-offsets` | | for these modes |
//! | `sink.delivery-guarantee` | by `--state` | sink: `exactly-once` or `at-least-once` |
//! | `sink.transactional-id-prefix` | | sink, exactly-once: a name that no other job uses |
//! | `key.fields`, `key.format` | no key | sink: `card;merchant`, and `json`, `csv` or `raw` |
//!
//! **Reading.** Every partition of the topic is a partition of the table, with Kafka's offsets. Where reading begins and, of a
//! bounded table, ends is asked once, when the job first starts, and recorded with its checkpoints; a restarted job goes on
//! at the recorded offset and never anywhere else: an offset that retention has taken ends the job. The offsets of a group are
//! asked for by `group-offsets` alone. If `properties.group.id` is set they are committed with each durable checkpoint, for those
//! who watch the group's lag; a job does not go on by them. Committed rows alone are
//! read. A message that is no record is a row of `t$errors` with its partition and offset. A partition without new messages
//! holds the watermark, unless the table has a `scan.watermark.idle-timeout`; one whose broker is away always does.
//!
//! Columns may hold what Kafka says of a message: `METADATA FROM 'timestamp'` and others ([`metadata`]). `timestamp` may be the
//! event time.
//!
//! **Writing.** In a job that keeps state, exactly-once: the rows of a checkpoint appear in one transaction, together with a
//! marker in the compacted topic `<prefix>-<table>.progress` that names the checkpoint ([`progress`]). So a consumer that
//! reads `read_committed` sees each row once. A second process with the same state fences the first. In a job without
//! state rows leave as they are computed, at least once. Rows with a key go to the partition that Java's default
//! partitioner chooses (murmur2); those without to any.
//!
//! **Replaying.** `highwater replay --from --to` ends where the topic ends when it starts. If the event time is the messages'
//! `timestamp`, it begins at the first message of each partition that may count; otherwise at `scan.startup.mode`.
//!
//! Nothing is asked of a broker when a job is checked; when it starts, what is wrong is said within ten seconds. A broker that
//! goes away while the job runs is waited for.

mod client;
mod messages;
pub mod metadata;
mod offsets;
mod options;
pub mod progress;
pub mod properties;
mod publish;
mod rows;
mod source;
mod trouble;
mod write;

pub use options::{SinkOptions, SourceOptions};
pub use publish::publisher;
pub use source::KafkaSource;
pub use write::KafkaTable;
