//! One job in one folder, started and killed as often as a test likes.

use highwater_tests::kafka::{Broker, Client};
use highwater_tests::s3::S3Server;
use highwater_tests::{log, rows};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a job may take until it stands at its point or ends.
const PATIENCE: Duration = Duration::from_secs(120);

/// Where the rows go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sink {
    /// CSV files that appear whole.
    Files,
    /// A log with markers.
    Log,
    /// Topics.
    Kafka,
}

impl Sink {
    /// Those that need nothing else.
    pub const ALL: [Sink; 2] = [Sink::Files, Sink::Log];
}

/// Where the rows of [`Sink::Kafka`] go: the topics `<prefix>-busy` and `<prefix>-velocity`.
#[derive(Clone)]
pub struct Topics {
    servers: String,
    prefix: String,
    client: Arc<Mutex<Client>>,
}

impl Topics {
    pub fn new(broker: &Broker, client: &Arc<Mutex<Client>>, prefix: &str) -> Self {
        for table in TABLES {
            client.lock().unwrap().create(&format!("{prefix}-{table}"), 3, &[]);
        }
        Self { servers: broker.servers().to_owned(), prefix: prefix.to_owned(), client: client.clone() }
    }

    fn topic(&self, table: &str) -> String {
        format!("{}-{table}", self.prefix)
    }
}

/// How much the job has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Payments.
    pub rows: u64,
    /// Payments per second of processing time.
    pub pace: u64,
    /// Payments per second of event time.
    pub event_rate: u64,
    /// Rows whose frame holds fewer payments are not shown.
    pub count_min: u64,
    /// `execution.checkpointing.interval`.
    pub interval: &'static str,
}

impl Load {
    /// Half a second of work.
    pub const SMALL: Load = Load { rows: 30_000, pace: 60_000, event_rate: 20, count_min: 1, interval: "15 ms" };
}

/// What a job came to: a line a sink with its digest, and every visible row, sorted.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    digests: String,
    rows: Vec<String>,
}

impl Outcome {
    /// Every visible row, sorted.
    pub fn rows(&self) -> &[String] {
        &self.rows
    }

    /// Fails with the first rows that are not in both.
    pub fn assert_is(&self, expected: &Outcome, at: &str) {
        let missing: Vec<_> = expected.rows.iter().filter(|r| self.rows.binary_search(r).is_err()).take(3).collect();
        let foreign: Vec<_> = self.rows.iter().filter(|r| expected.rows.binary_search(r).is_err()).take(3).collect();
        assert!(missing.is_empty() && foreign.is_empty(), "{at}: missing {missing:?}, foreign {foreign:?}");
        assert_eq!(self.rows.len(), expected.rows.len(), "{at}: rows are shown twice");
        assert_eq!(self.digests, expected.digests, "{at}");
    }
}

/// A job with its folder.
pub struct Subject {
    folder: TempDir,
    sink: Sink,
    load: Load,
    /// Where its state is, if not in its folder, and the variables that lead there.
    bucket: Option<(String, Vec<(String, String)>)>,
    topics: Option<Topics>,
    /// The files that were visible at a kill: from then on they stand as they are, byte for byte.
    seen: Mutex<BTreeMap<PathBuf, Vec<u8>>>,
}

const TABLES: [&str; 2] = ["busy", "velocity"];

impl Subject {
    pub fn new(sink: Sink, load: Load) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), sink, load, bucket: None, topics: None, seen: Mutex::default() }
            .written()
    }

    /// A job that writes to topics.
    pub fn on_kafka(load: Load, topics: Topics) -> Self {
        let topics = Some(topics);
        Self {
            folder: tempfile::tempdir().unwrap(),
            sink: Sink::Kafka,
            load,
            bucket: None,
            topics,
            seen: Mutex::default(),
        }
        .written()
    }

    /// The same with its state in a bucket.
    pub fn moved_to_bucket(mut self, server: &S3Server, prefix: &str) -> Self {
        self.bucket = Some((server.address(prefix), server.environment()));
        self.written()
    }

    /// A job whose state is in a bucket.
    pub fn in_bucket(sink: Sink, load: Load, server: &S3Server, prefix: &str) -> Self {
        let bucket = Some((server.address(prefix), server.environment()));
        Self { folder: tempfile::tempdir().unwrap(), sink, load, bucket, topics: None, seen: Mutex::default() }
            .written()
    }

    fn written(self) -> Self {
        std::fs::write(self.path("job.sql"), self.job()).unwrap();
        self
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// Windows by merchant (with partial results before the exchange) and frames by card, off one source.
    fn job(&self) -> String {
        let with = |table: &str| match self.sink {
            Sink::Log => "'connector' = 'blackhole'".to_owned(),
            Sink::Files => format!(
                "'connector' = 'filesystem', 'path' = '{}', 'format' = 'csv', 'sink.rolling-policy.file-size' = '20 kB'",
                self.path(table).display()
            ),
            Sink::Kafka => {
                let topics = self.topics.as_ref().unwrap();
                format!(
                    "'connector' = 'kafka', 'topic' = '{}', 'properties.bootstrap.servers' = '{}', 'format' = 'csv',
                     'sink.transactional-id-prefix' = '{}'",
                    topics.topic(table),
                    topics.servers,
                    topics.prefix
                )
            }
        };
        let Load { rows, pace, event_rate, count_min, interval } = self.load;
        let state =
            self.bucket.iter().map(|(address, _)| format!("SET 'state.dir' = '{address}';")).collect::<String>();
        format!(
            "{state}
             SET 'execution.checkpointing.interval' = '{interval}';
             SET 'pipeline.batch-size' = '200';
             CREATE TABLE payments (
               payment_id BIGINT, ts TIMESTAMP(3), card BIGINT, merchant BIGINT, amount DECIMAL(12, 2),
               WATERMARK FOR ts AS ts - INTERVAL '5' SECOND
             ) WITH ('connector' = 'generator', 'number-of-rows' = '{rows}', 'rows-per-second' = '{pace}',
                     'event-rate' = '{event_rate}', 'cards' = '500', 'merchants' = '50');
             CREATE TABLE busy (merchant BIGINT, window_end TIMESTAMP(3), n BIGINT, total DECIMAL(38, 2))
               WITH ({});
             CREATE TABLE velocity (payment_id BIGINT, ts TIMESTAMP(3), n BIGINT, total DECIMAL(38, 2), merchants BIGINT)
               WITH ({});
             INSERT INTO busy
               SELECT merchant, window_end, COUNT(*), SUM(amount)
               FROM TABLE(TUMBLE(TABLE payments, DESCRIPTOR(ts), INTERVAL '10' SECOND))
               GROUP BY merchant, window_start, window_end;
             INSERT INTO velocity SELECT * FROM (
               SELECT payment_id, ts, COUNT(*) OVER w AS n, SUM(amount) OVER w, COUNT(DISTINCT merchant) OVER w
               FROM payments
               WINDOW w AS (PARTITION BY card ORDER BY ts RANGE BETWEEN INTERVAL '10' MINUTE PRECEDING AND CURRENT ROW))
               WHERE n >= {count_min};",
            with(TABLES[0]),
            with(TABLES[1]),
        )
    }

    pub fn start(&self, workers: usize, point: Option<(&str, u64)>) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_highwater-subject"));
        command.arg(self.path("job.sql")).arg(self.folder.path()).arg(workers.to_string());
        if let Some((point, nth)) = point {
            command.args([point, &nth.to_string()]);
        }
        command.envs(self.bucket.iter().flat_map(|(_, variables)| variables.clone()));
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// What a run comes to that nobody disturbs.
    pub fn undisturbed(&self) -> Outcome {
        self.end(1)
    }

    /// Starts the job, kills it at its point. Returns the kills; the first time that a point is reached must come, others
    /// may not: how many checkpoints a job has is a matter of the machine's load. Points of a start need something to start
    /// from: there the job is killed once before.
    pub fn killed_at(&self, point: &str, nth: u64, workers: usize) -> usize {
        let resumes = point.starts_with("start.");
        let before = resumes && self.kill(workers, "manifest.durable", nth);
        // A start and an end come once in a process.
        let once = resumes || point.starts_with("end.");
        let killed = (before || !resumes) && self.kill(workers, point, if once { 1 } else { nth });
        assert!(killed || nth > 1, "{point} was not reached");
        usize::from(before) + usize::from(killed)
    }

    /// Whether the job was killed there; else it has ended well before.
    fn kill(&self, workers: usize, point: &str, nth: u64) -> bool {
        let hit = self.path("hit");
        let mut child = self.start(workers, Some((point, nth)));
        let since = Instant::now();
        while !hit.exists() {
            if let Some(status) = child.try_wait().unwrap() {
                let output = child.wait_with_output().unwrap();
                assert!(status.success(), "before {point}: {status} {}", String::from_utf8_lossy(&output.stderr));
                return false;
            }
            assert!(since.elapsed() < PATIENCE, "{point} was not reached in time");
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        std::fs::remove_file(hit).unwrap();
        self.see();
        true
    }

    /// Starts the job and kills it when `wait` returns.
    pub fn killed_when(&self, wait: impl FnOnce()) {
        let mut child = self.start(1, None);
        wait();
        assert!(child.try_wait().unwrap().is_none(), "the job has ended");
        child.kill().unwrap();
        child.wait().unwrap();
        self.see();
    }

    /// Starts the job and kills it after so long. Whether it had ended by itself before.
    pub fn killed_after(&self, after: Duration, workers: usize) -> bool {
        let mut child = self.start(workers, None);
        std::thread::sleep(after);
        let ended = child.try_wait().unwrap();
        child.kill().unwrap();
        let output = child.wait_with_output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(ended.is_none_or(|status| status.success()), "{error}");
        self.see();
        ended.is_some()
    }

    /// Runs the job to its end.
    pub fn end(&self, workers: usize) -> Outcome {
        let output = self.start(workers, None).wait_with_output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {error}", output.status);
        self.see();
        Outcome { digests: String::from_utf8(output.stdout).unwrap(), rows: self.visible() }
    }

    /// Looks at all visible files: those that were there before are as they were.
    fn see(&self) {
        if self.sink != Sink::Files {
            return;
        }
        let mut seen = self.seen.lock().unwrap();
        let now: BTreeMap<PathBuf, Vec<u8>> = TABLES
            .iter()
            .flat_map(|table| parts(&self.path(table)))
            .map(|file| (file.clone(), std::fs::read(file).unwrap()))
            .collect();
        for (file, bytes) in seen.iter() {
            assert!(now.get(file) == Some(bytes), "{} was visible and has gone or changed", file.display());
        }
        *seen = now;
    }

    /// Every row that can be seen, sorted.
    pub fn visible(&self) -> Vec<String> {
        let mut all = Vec::new();
        for table in TABLES {
            match self.sink {
                Sink::Files => all.extend(lines(&self.path(table)).into_iter().map(|l| format!("{table}: {l}"))),
                Sink::Log => {
                    let batches = log::read(&self.path(&format!("{table}.log"))).unwrap().rows;
                    all.extend(batches.iter().flat_map(rows).map(|l| format!("{table}: {l}")));
                }
                Sink::Kafka => {
                    let topics = self.topics.as_ref().unwrap();
                    let messages = topics.client.lock().unwrap().read(&topics.topic(table));
                    all.extend(messages.into_iter().map(|m| format!("{table}: {}", m.value.unwrap_or_default())));
                }
            }
        }
        all.sort();
        all
    }
}

/// The visible files of an output; none before it is made.
fn parts(folder: &Path) -> Vec<PathBuf> {
    let part = |f: &PathBuf| f.file_name().is_some_and(|n| n.to_string_lossy().starts_with("part-"));
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries.map(|entry| entry.unwrap().path()).filter(part).collect()
}

fn lines(folder: &Path) -> Vec<String> {
    parts(folder)
        .into_iter()
        .flat_map(|f| std::fs::read_to_string(f).unwrap().lines().map(str::to_owned).collect::<Vec<_>>())
        .collect()
}
