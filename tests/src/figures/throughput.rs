//! How fast payments in JSON are read from six partitions that are full: a consumer that counts them, one that decodes what W1
//! needs with serde_json, W1 (count, sum and largest amount by merchant and minute), and the velocity of cards, which also
//! reads the same payments from files.

use super::Result;
use highwater_engine::flow::Control;
use highwater_jobs::args::GenerateArgs;
use highwater_jobs::generate::generate;
use highwater_jobs::job::{self, Options};
use highwater_tests::kafka::Broker;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde::Deserialize;
use serde_json::json;
use std::path::Path;
use std::time::{Duration, Instant};

/// What is measured, in this order.
pub const SIDES: [&str; 5] = ["count", "decode", "w1", VELOCITY, "velocity_of_files"];
/// The velocity job on Kafka.
pub const VELOCITY: &str = "velocity";
const TOPIC: &str = "figures-payments";
const PARTITIONS: usize = 6;

/// Generates the payments, as files and in the topic.
pub fn load(servers: &str, files: &Path, rows: u64) -> Result<()> {
    let define = ["event-rate=200", "cards=100000"].map(str::to_owned).to_vec();
    let out = files.to_path_buf();
    generate(&GenerateArgs { rows, seed: 42, partitions: PARTITIONS, format: "json".into(), out, define })?;
    Broker::shared().ok_or("no broker")?.client().create(TOPIC, PARTITIONS, &["segment.bytes=1073741824"]);
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", servers)
        .set("compression.type", "lz4")
        .set("linger.ms", "50")
        .set("batch.size", "1000000")
        .set("queue.buffering.max.messages", "1000000")
        .create()?;
    let mut paths = std::fs::read_dir(files)?.map(|f| f.map(|f| f.path())).collect::<std::io::Result<Vec<_>>>()?;
    paths.sort();
    for (partition, path) in (0i32..).zip(&paths) {
        for line in std::fs::read_to_string(path)?.lines() {
            let mut record = BaseRecord::<(), str>::to(TOPIC).partition(partition).payload(line);
            while let Err((error, back)) = producer.send(record) {
                if error.rdkafka_error_code() != Some(Code::QueueFull) {
                    return Err(error.into());
                }
                producer.poll(Duration::from_millis(20));
                record = back;
            }
        }
        producer.flush(Duration::from_secs(60))?;
    }
    Ok(())
}

/// Measures one side; says so in a line.
pub fn side(side: &str, servers: &str, files: &str) -> Result<()> {
    let (started, cpu) = (Instant::now(), cpu_s()?);
    let rows = match side {
        "count" => consume(servers, |_| Ok(()))?,
        "decode" => {
            let mut sum = 0.0;
            let rows = consume(servers, |bytes| {
                let payment: Payment<'_> = serde_json::from_slice(bytes)?;
                sum += payment.amount + payment.merchant as f64 + payment.ts.len() as f64;
                Ok(())
            })?;
            std::hint::black_box(sum);
            rows
        }
        _ => {
            let kafka = format!(
                "'connector' = 'kafka', 'topic' = '{TOPIC}', 'properties.bootstrap.servers' = '{servers}',
                 'scan.bounded.mode' = 'latest-offset'"
            );
            let source = match side {
                "velocity_of_files" => format!("'connector' = 'filesystem', 'path' = '{files}'"),
                _ => kafka,
            };
            let planned = job::plan("figures.sql", &text(side, &source), &Default::default())?;
            let outcome = job::run(&planned.graph, &job::run_options(&planned), &Options::default(), &Control::new())?;
            if outcome.report.sources[0].errors > 0 {
                return Err("bad rows".into());
            }
            outcome.report.sources[0].rows
        }
    };
    let (seconds, cpu_s) = (started.elapsed().as_secs_f64(), cpu_s()? - cpu);
    let (rows_per_s, rows_per_cpu_s) = (rows as f64 / seconds, rows as f64 / cpu_s.max(0.01));
    println!("{}", json!({ "rows": rows, "rows_per_s": rows_per_s, "rows_per_cpu_s": rows_per_cpu_s }));
    Ok(())
}

fn text(side: &str, source: &str) -> String {
    let query = match side {
        "w1" => {
            "SELECT window_start, merchant, COUNT(*), SUM(amount), MAX(amount)
               FROM TABLE(TUMBLE(TABLE payments, DESCRIPTOR(ts), INTERVAL '1' MINUTE))
               GROUP BY window_start, window_end, merchant"
        }
        _ => {
            "SELECT ts, card, COUNT(*) OVER w, SUM(amount) OVER w, MAX(amount) OVER w FROM payments
             WINDOW w AS (PARTITION BY card ORDER BY ts RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW)"
        }
    };
    format!(
        "SET 'parallelism.default' = '1';
         CREATE TABLE payments (payment_id BIGINT, ts TIMESTAMP(3), card BIGINT, merchant BIGINT, amount DECIMAL(12, 2),
           WATERMARK FOR ts AS ts - INTERVAL '5' SECOND) WITH ({source}, 'format' = 'json', 'late' = 'discard');
         CREATE TABLE results (ts TIMESTAMP(3), k BIGINT, n BIGINT, total DECIMAL(38, 2), largest DECIMAL(12, 2))
           WITH ('connector' = 'blackhole');
         INSERT INTO results {query};"
    )
}

/// What W1 needs of a payment.
#[derive(Deserialize)]
struct Payment<'t> {
    ts: &'t str,
    merchant: i64,
    amount: f64,
}

/// Reads all partitions to their ends, one message after the other, by one thread.
fn consume(servers: &str, mut each: impl FnMut(&[u8]) -> Result<()>) -> Result<u64> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", servers)
        .set("group.id", "figures")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .create()?;
    let mut all = TopicPartitionList::new();
    for partition in 0..PARTITIONS as i32 {
        all.add_partition_offset(TOPIC, partition, Offset::Beginning)?;
    }
    consumer.assign(&all)?;
    let (mut rows, mut ended) = (0, 0);
    while ended < PARTITIONS {
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                rows += 1;
                each(message.payload().unwrap_or_default())?;
            }
            Some(Err(KafkaError::PartitionEOF(_))) => ended += 1,
            Some(Err(error)) => return Err(error.into()),
            None => {}
        }
    }
    Ok(rows)
}

/// CPU time of this process, in steps of 10 ms.
fn cpu_s() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // Behind the name in parentheses; user and system time are fields 14 and 15, in ticks of 10 ms.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |i: usize| fields.get(i).and_then(|f| f.parse::<f64>().ok());
    Ok((ticks(11).ok_or("no user time")? + ticks(12).ok_or("no system time")?) / 100.0)
}
