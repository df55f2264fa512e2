//! How long an answer takes: from the moment when a payment should be written to its topic until a consumer that reads
//! `read_committed` has the payment's features.
//!
//! The writer keeps to a schedule, and the time of the schedule counts, not when it got round to a payment: what is late
//! because something before it was slow is late. Every twentieth payment is answered, on arrival.

use super::{Result, load};
use hdrhistogram::Histogram;
use highwater_engine::flow::Control;
use highwater_jobs::job::{self, Options};
use highwater_jobs::state;
use highwater_tests::kafka::Broker;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A way to deliver answers.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    name: &'static str,
    /// Between checkpoints; `None`: the job keeps no state.
    checkpoints: Option<&'static str>,
}

/// What is measured.
pub const WAYS: [Way; 3] = [
    Way { name: "at-least-once", checkpoints: None },
    Way { name: "exactly-once", checkpoints: Some("100 ms") },
    Way { name: "exactly-once", checkpoints: Some("1 s") },
];
const PARTITIONS: usize = 6;
/// Answers to payments of the first seconds don't count.
const WARM_UP_S: u64 = 5;
/// One payment in so many is answered.
const ANSWERED: u64 = 20;
/// How long answers are waited for at the end.
const PATIENCE: Duration = Duration::from_secs(15);

/// Measures one way at this load.
pub fn measure(broker: &Broker, way: Way, rate: u64, seconds: u64) -> Result<Value> {
    let interval = way.checkpoints.unwrap_or("none");
    let name = format!("latency-{}-{}", way.name, interval.replace(' ', ""));
    let (payments, answers) = (format!("{name}-payments"), format!("{name}-answers"));
    let mut client = broker.client();
    client.create(&payments, PARTITIONS, &[]);
    client.create(&answers, 3, &[]);
    let folder = tempfile::tempdir()?;
    let planned = job::plan("figures.sql", &text(broker.servers(), &payments, &answers, way), &Default::default())?;
    let keep = match way.checkpoints {
        None => None,
        Some(_) => state::keep(Some(folder.path()), &planned.settings)?,
    };
    let options = Options { ephemeral: keep.is_none(), keep, ..Options::default() };
    let (control, done, written) = (Control::new(), AtomicBool::new(false), AtomicU64::new(u64::MAX));
    let (mut seen, mut failed) = (Seen::default(), None);
    std::thread::scope(|scope| -> Result<()> {
        let reader = scope.spawn(|| read(broker.servers(), &answers, &written, &done).map_err(|e| e.to_string()));
        let job = scope.spawn(|| {
            job::run(&planned.graph, &job::run_options(&planned), &options, &control).map_err(|e| e.to_string())
        });
        let wrote = write(broker.servers(), &payments, rate, seconds);
        written.store(*wrote.as_ref().unwrap_or(&0), Relaxed);
        seen = reader.join().map_err(|_| "the reader has panicked")??;
        done.store(true, Relaxed);
        control.stop();
        failed = job.join().map_err(|_| "the job has panicked")?.err().filter(|e| !e.contains("interrupted"));
        wrote.map(drop)
    })?;
    if let Some(error) = failed {
        return Err(error.into());
    }
    let ms = |q: f64| seen.times_us.value_at_quantile(q) as f64 / 1000.0;
    Ok(
        json!({ "figure": "latency", "guarantee": way.name, "checkpoints": interval, "rows_per_s": rate, "seconds": seconds,
        "answers": seen.times_us.len(), "missing": written.load(Relaxed).saturating_sub(seen.all), "p50_ms": ms(0.5),
        "p99_ms": ms(0.99), "p99.9_ms": ms(0.999), "max_ms": seen.times_us.max() as f64 / 1000.0, "load": load() }),
    )
}

fn text(servers: &str, payments: &str, answers: &str, way: Way) -> String {
    let checkpoints = way.checkpoints.map(|i| format!("SET 'execution.checkpointing.interval' = '{i}';"));
    let delivery = match way.checkpoints {
        Some(_) => format!("'sink.delivery-guarantee' = 'exactly-once', 'sink.transactional-id-prefix' = '{answers}'"),
        None => "'sink.delivery-guarantee' = 'at-least-once', 'properties.linger.ms' = '0'".to_owned(),
    };
    format!(
        "{}
         SET 'parallelism.default' = '1';
         CREATE TABLE payments (id BIGINT, ts TIMESTAMP(3), card BIGINT, merchant BIGINT, amount DECIMAL(12, 2), sent BIGINT,
           WATERMARK FOR ts AS ts - INTERVAL '5' SECOND
         ) WITH ('connector' = 'kafka', 'topic' = '{payments}', 'properties.bootstrap.servers' = '{servers}',
           'format' = 'json', 'late' = 'discard', 'errors' = 'discard');
         CREATE TABLE answers (sent BIGINT, id BIGINT, n BIGINT, total DECIMAL(38, 2), merchants BIGINT)
           WITH ('connector' = 'kafka', 'topic' = '{answers}', 'properties.bootstrap.servers' = '{servers}',
           'format' = 'csv', 'emit' = 'arrival', {delivery});
         INSERT INTO answers SELECT sent, id, n, total, merchants FROM (
           SELECT sent, id, COUNT(*) OVER w AS n, SUM(amount) OVER w AS total, COUNT(DISTINCT merchant) OVER w AS merchants
           FROM payments
           WINDOW w AS (PARTITION BY card ORDER BY ts RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW)
         ) WHERE MOD(id, {ANSWERED}) = 0;",
        checkpoints.unwrap_or_default()
    )
}

fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros() as u64)
}

/// Writes payments at this rate, evenly; returns how many answers there are to come.
fn write(servers: &str, topic: &str, rate: u64, seconds: u64) -> Result<u64> {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", servers)
        .set("linger.ms", "1")
        .set("compression.type", "lz4")
        .set("queue.buffering.max.messages", "1000000")
        .create()?;
    let (begun, rows) = (Instant::now(), rate * seconds);
    let start_us = now_us();
    for id in 0..rows {
        let due_us = id * 1_000_000 / rate;
        while (begun.elapsed().as_micros() as u64) < due_us {
            producer.poll(Duration::from_micros(200));
        }
        let sent = start_us + due_us;
        let (card, merchant, cents) = (id.wrapping_mul(2_654_435_761) % 50_000, id % 997, 100 + id % 90_000);
        let line = format!(
            r#"{{"id":{id},"ts":"{}","card":{card},"merchant":{merchant},"amount":{}.{:02},"sent":{sent}}}"#,
            timestamp(sent),
            cents / 100,
            cents % 100
        );
        let partition = (card % PARTITIONS as u64) as i32;
        let record = BaseRecord::<(), str>::to(topic).partition(partition).payload(&line);
        producer.send(record).map_err(|(error, _)| error)?;
    }
    producer.flush(Duration::from_secs(30))?;
    Ok(rows.div_ceil(ANSWERED))
}

/// `2026-01-31 12:00:00.000`.
fn timestamp(us: u64) -> String {
    let at = arrow::temporal_conversions::timestamp_us_to_datetime(us as i64);
    at.map(|at| at.format("%Y-%m-%d %H:%M:%S%.3f").to_string()).unwrap_or_default()
}

struct Seen {
    times_us: Histogram<u64>,
    /// Answers, those of the first seconds too.
    all: u64,
}

impl Default for Seen {
    fn default() -> Self {
        // Three digits, up to a minute: these bounds are always allowed.
        let times_us = Histogram::new_with_max(60_000_000, 3).unwrap_or_else(|e| panic!("{e}"));
        Self { times_us, all: 0 }
    }
}

/// Reads answers until all have come.
fn read(servers: &str, topic: &str, written: &AtomicU64, done: &AtomicBool) -> Result<Seen> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", servers)
        .set("group.id", "figures")
        .set("isolation.level", "read_committed")
        .set("enable.auto.commit", "false")
        .create()?;
    let mut all = TopicPartitionList::new();
    for partition in 0..3 {
        all.add_partition_offset(topic, partition, Offset::Beginning)?;
    }
    consumer.assign(&all)?;
    let (mut seen, mut first, mut ended) = (Seen::default(), u64::MAX, None);
    while seen.all < written.load(Relaxed) && !done.load(Relaxed) {
        if written.load(Relaxed) != u64::MAX && ended.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
            break;
        }
        let Some(message) = consumer.poll(Duration::from_millis(50)) else { continue };
        let (message, now) = (message?, now_us());
        let text = String::from_utf8_lossy(message.payload().unwrap_or_default()).into_owned();
        let sent: u64 = text.split(',').next().unwrap_or_default().parse()?;
        first = first.min(sent);
        seen.all += 1;
        if sent >= first + WARM_UP_S * 1_000_000 {
            seen.times_us.saturating_record(now.saturating_sub(sent));
        }
    }
    Ok(seen)
}
