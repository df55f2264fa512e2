//! The options of tables on Kafka.

use super::properties::{Properties, Side};
use crate::format::avro::AvroOptions;
use crate::format::csv::CsvOptions;
use crate::format::json::JsonOptions;
use crate::format::protobuf::ProtobufOptions;
use crate::format::raw;
use crate::options::Options;
use crate::types;
use arrow_schema::Schema;
use std::collections::BTreeMap;

/// A format of messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// One record.
    Csv(CsvOptions),
    /// One object.
    Json(JsonOptions),
    /// The bytes of one column.
    Raw,
    /// One datum.
    Avro(Box<AvroOptions>),
    /// One message of protocol buffers.
    Protobuf(Box<ProtobufOptions>),
}

/// Where reading begins or ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// At the first message there is.
    Earliest,
    /// Behind the last message there is when the job starts.
    Latest,
    /// At the first message whose timestamp is not before this, in epoch milliseconds.
    Timestamp(i64),
    /// At these offsets, by partition.
    Offsets(BTreeMap<i32, i64>),
    /// Where this consumer group stands.
    Group(String),
    /// Nowhere: reading never ends.
    Never,
}

/// What a table that is read asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceOptions {
    /// The topic.
    pub topic: String,
    /// How to reach the cluster.
    pub properties: Properties,
    /// The format.
    pub format: Format,
    /// Where reading begins.
    pub start: Place,
    /// Where reading ends.
    pub end: Place,
}

/// How rows reach the topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guarantee {
    /// Once, with the checkpoints of a job that keeps state.
    ExactlyOnce,
    /// Once, or again after a crash.
    AtLeastOnce,
}

/// The key of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its columns.
    pub columns: Vec<usize>,
    /// Its format.
    pub format: Format,
}

/// What a table that is written asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkOptions {
    /// The topic.
    pub topic: String,
    /// How to reach the cluster.
    pub properties: Properties,
    /// The format.
    pub format: Format,
    /// The key, if messages have one.
    pub key: Option<Key>,
    /// What was asked for; `None` leaves it to whether the job keeps state.
    pub guarantee: Option<Guarantee>,
    /// A name that no other job uses.
    pub prefix: Option<String>,
}

const FORMATS: [&str; 6] = ["json", "csv", "raw", "avro", "avro-confluent", "protobuf"];
const START: &str = "scan.startup.mode";
const END: &str = "scan.bounded.mode";
const PREFIX: &str = "sink.transactional-id-prefix";

impl SourceOptions {
    /// Reads the options; what is wrong is noted in `o`.
    pub fn parse(o: &mut Options, schema: &Schema) -> Self {
        let (topic, properties) = (topic(o), Properties::parse(o, Side::Source));
        super::metadata::check(o, schema);
        let format = format(o, &super::metadata::values(schema));
        let modes = ["earliest-offset", "latest-offset", "timestamp", "specific-offsets", "group-offsets"];
        let start = place(o, START, &modes, ["scan.startup.timestamp-millis", "scan.startup.specific-offsets"]);
        let modes = ["unbounded", "latest-offset", "timestamp", "specific-offsets"];
        let end = place(o, END, &modes, ["scan.bounded.timestamp-millis", "scan.bounded.specific-offsets"]);
        let start = match (start, properties.get("group.id")) {
            (Place::Group(_), Some(group)) => Place::Group(group.to_owned()),
            (Place::Group(_), None) => {
                o.error(START, "is 'group-offsets', but of which group? Add 'properties.group.id' = 'fraud'");
                Place::Earliest
            }
            (start, _) => start,
        };
        Self { topic, properties, format, start, end }
    }
}

impl SinkOptions {
    /// Reads the options; what is wrong is noted in `o`.
    pub fn parse(o: &mut Options, schema: &Schema) -> Self {
        let (topic, properties) = (topic(o), Properties::parse(o, Side::Sink));
        let format = format(o, schema);
        let named = o.text("sink.delivery-guarantee").is_some();
        let guarantee = match o.choice("sink.delivery-guarantee", &["exactly-once", "at-least-once"]) {
            "exactly-once" => Guarantee::ExactlyOnce,
            _ => Guarantee::AtLeastOnce,
        };
        let prefix = o.text(PREFIX).map(str::to_owned);
        if prefix.as_ref().is_some_and(|p| !is_topic(p)) {
            o.error(PREFIX, "names a topic too: use letters, digits, '.', '_' and '-', at most 150");
        }
        let key = key(o, schema);
        Self { topic, properties, format, key, guarantee: named.then_some(guarantee), prefix }
    }
}

fn topic(o: &mut Options) -> String {
    let topic = o.required("topic", "payments");
    if topic.contains([';', ',']) {
        o.error("topic", format!("{topic:?} is a list; a table is one topic: write a table for each and UNION ALL"));
    } else if !topic.is_empty() && !is_topic(topic) {
        o.error("topic", format!("{topic:?} is no name of a topic: letters, digits, '.', '_' and '-' are"));
    }
    topic.to_owned()
}

fn is_topic(name: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    name.len() <= 249 && name.bytes().all(legal) && !matches!(name, "" | "." | "..")
}

fn format(o: &mut Options, schema: &Schema) -> Format {
    // Flink's other name for it.
    let name = if o.text("value.format").is_some() { "value.format" } else { "format" };
    o.text("format");
    o.required(name, "json");
    let chosen = if o.has_error(name) { FORMATS[0] } else { o.choice(name, &FORMATS) };
    let own = [("csv", &CsvOptions::NAMES[..]), ("json", &JsonOptions::NAMES), ("protobuf", &ProtobufOptions::NAMES)];
    for (other, names) in own {
        if other != chosen {
            let why = format!("is an option of format '{other}', the table's format is '{chosen}'; remove it");
            o.unused(names, &why);
        }
    }
    if !chosen.starts_with("avro") {
        let why = format!("is an option of format 'avro-confluent', the table's format is '{chosen}'; remove it");
        o.unused(&AvroOptions::NAMES, &why);
    }
    for field in schema.fields().iter().filter(|f| !types::is_supported(f.data_type())) {
        let sql = highwater_engine::graph::types::sql_type(field.data_type());
        o.error(name, format!("messages can't hold column {} of type {sql}; CAST it", field.name()));
    }
    let is_raw = schema.fields().len() == 1 && raw::fits(schema.field(0).data_type());
    if chosen == "raw" && !is_raw {
        o.error(
            name,
            "is 'raw': the table has one column of STRING or BYTES then, beside METADATA columns; use 'json'",
        );
    }
    match chosen {
        "json" => Format::Json(JsonOptions::parse(o)),
        "raw" => Format::Raw,
        "protobuf" => Format::Protobuf(ProtobufOptions::parse(o, schema).into()),
        "avro" | "avro-confluent" => {
            Format::Avro(AvroOptions::parse(o, name, schema, chosen == "avro-confluent").into())
        }
        _ => {
            let options = CsvOptions::parse(o);
            if options.header {
                o.error("csv.header", "is true, but a message is one record and has no header; remove it");
            }
            Format::Csv(options)
        }
    }
}

fn place(o: &mut Options, mode: &'static str, modes: &[&'static str], [time, offsets]: [&'static str; 2]) -> Place {
    let chosen = o.choice(mode, modes);
    let needs = |o: &mut Options, name: &'static str, example: &str| {
        o.required(name, example);
    };
    if chosen != "timestamp" {
        o.unused(&[time], &format!("needs '{mode}' = 'timestamp'"));
    }
    if chosen != "specific-offsets" {
        o.unused(&[offsets], &format!("needs '{mode}' = 'specific-offsets'"));
    }
    match chosen {
        "earliest-offset" => Place::Earliest,
        "latest-offset" => Place::Latest,
        "unbounded" => Place::Never,
        "group-offsets" => Place::Group(String::new()),
        "timestamp" => {
            needs(o, time, "1767225600000");
            Place::Timestamp(o.integer(time, 0..=i64::MAX, 0))
        }
        _ => {
            needs(o, offsets, "partition:0,offset:42;partition:1,offset:300");
            let text = o.text(offsets).unwrap_or_default();
            match specific(text) {
                Some(found) => Place::Offsets(found),
                None => {
                    let example = "write e.g. 'partition:0,offset:42;partition:1,offset:300'";
                    o.error(offsets, format!("{text:?} is no list of offsets; {example}"));
                    Place::Earliest
                }
            }
        }
    }
}

/// `partition:0,offset:42;partition:1,offset:300`; no partition twice.
fn specific(text: &str) -> Option<BTreeMap<i32, i64>> {
    let mut found = BTreeMap::new();
    for one in text.split(';').map(str::trim).filter(|one| !one.is_empty()) {
        let (partition, offset) = one.split_once(',')?;
        let partition: i32 = partition.trim().strip_prefix("partition:")?.trim().parse().ok()?;
        let offset: i64 = offset.trim().strip_prefix("offset:")?.trim().parse().ok()?;
        if partition < 0 || offset < 0 || found.insert(partition, offset).is_some() {
            return None;
        }
    }
    (!found.is_empty()).then_some(found)
}

fn key(o: &mut Options, schema: &Schema) -> Option<Key> {
    let Some(fields) = o.text("key.fields") else {
        o.unused(&["key.format"], "needs 'key.fields'");
        return None;
    };
    let mut columns = Vec::new();
    for name in fields.split(';').map(str::trim).filter(|name| !name.is_empty()) {
        match schema.index_of(name) {
            Ok(column) => columns.push(column),
            Err(_) => {
                let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
                o.error(
                    "key.fields",
                    format!("there is no column {name}; use {}", crate::options::one_of(name, &names)),
                );
            }
        }
    }
    if columns.is_empty() && !o.has_error("key.fields") {
        o.error("key.fields", "names no column; write e.g. 'card' or 'card;merchant'");
    }
    o.required("key.format", "json");
    if o.has_error("key.format") {
        return None;
    }
    let format = match o.choice("key.format", &["json", "csv", "raw"]) {
        "json" => Format::Json(JsonOptions::default()),
        "csv" => Format::Csv(CsvOptions::default()),
        _ => Format::Raw,
    };
    let fits = |c: &usize| raw::fits(schema.field(*c).data_type());
    if format == Format::Raw && (columns.len() > 1 || !columns.iter().all(fits)) {
        o.error("key.format", "is 'raw': that takes one column of STRING or BYTES; use 'json', or CAST the column");
    }
    Some(Key { columns, format })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_by_partition_read_as_flink_writes_them() {
        let found = specific("partition:0,offset:42; partition:1,offset:300;").unwrap();
        assert_eq!(found, BTreeMap::from([(0, 42), (1, 300)]));
        for wrong in
            ["", ";", "0:42", "partition:0", "partition:0,offset:-1", "partition:0,offset:1;partition:0,offset:2"]
        {
            assert_eq!(specific(wrong), None, "{wrong}");
        }
    }
}
