//! Engine and broker are killed wherever they are: a reader of committed rows sees every result once.

use super::{broker, with};
use crate::crash::subject::{Load, Sink, Subject, Topics};
use highwater_jobs::args::GenerateArgs;
use highwater_jobs::generate::generate;
use highwater_jobs::instant::parse_instant;
use highwater_tests::kafka::Broker;
use highwater_tests::run;
use highwater_tests::s3::S3Server;
use highwater_tests::{Setting, digests};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Checkpoints wait for transactions: a second of work holds enough of them.
const LOAD: Load = Load { pace: 30_000, interval: "30 ms", ..Load::SMALL };

/// Every point of the protocol; the rows are those that the same job writes to files.
#[test]
fn a_kill_at_any_point_shows_every_row_of_a_topic_once() {
    let Some(broker) = broker() else { return };
    let client = Arc::new(Mutex::new(broker.client()));
    let undisturbed = Subject::new(Sink::Files, Load::SMALL).undisturbed();
    for (i, point) in highwater_engine::fail::POINTS.iter().enumerate() {
        let workers = 1 + i % 2;
        let subject = Subject::on_kafka(LOAD, Topics::new(&broker, &client, &format!("kill-{i}")));
        subject.killed_at(point, 2, workers);
        subject.end(3 - workers).assert_is(&undisturbed, &format!("{point}, {workers} workers"));
    }
}

/// A process that stood still goes on when another has taken its job over: it must write nothing more.
#[test]
fn of_two_processes_with_one_state_the_older_one_is_fenced() {
    let Some(broker) = broker() else { return };
    let client = Arc::new(Mutex::new(broker.client()));
    // It must still have much to do when it is stopped.
    let load = Load { rows: 60_000, pace: 6_000, ..LOAD };
    let undisturbed = Subject::new(Sink::Files, Load { pace: 1_000_000, ..load }).undisturbed();
    let server = S3Server::start();
    let topics = Topics::new(&broker, &client, "zombie");
    let subject = Subject::on_kafka(load, topics).moved_to_bucket(&server, "zombie");
    let mut zombie = subject.start(1, None);
    let since = Instant::now();
    while subject.visible().is_empty() {
        assert!(since.elapsed() < Duration::from_secs(60), "nothing is shown");
    }
    signal(&zombie, "-STOP");
    assert!(zombie.try_wait().unwrap().is_none(), "the job has ended before it could be stopped");
    let outcome = subject.end(2);
    signal(&zombie, "-CONT");
    let status = zombie.wait().unwrap();
    assert!(!status.success(), "the fenced process says that all is well");
    outcome.assert_is(&undisturbed, "the successor");
    assert!(subject.visible() == undisturbed.rows(), "the fenced process has written");
}

fn signal(child: &Child, signal: &str) {
    let status = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

/// Where a job began stays where it was when it first started; and an offset that is gone is never another one.
#[test]
fn a_restarted_job_goes_on_where_it_was_or_says_why_not() {
    let Some(broker) = broker() else { return };
    let mut client = broker.client();
    client.create("recorded", 2, &[]);
    let folder = tempfile::tempdir().unwrap();
    let job = |more: &[(&str, &str)]| {
        let from_the_end = [("scan.startup.mode", "latest-offset")];
        let text = format!(
            "SET 'execution.checkpointing.interval' = '20 ms';
             CREATE TABLE t (ts TIMESTAMP(3), n BIGINT, WATERMARK FOR ts AS ts) WITH ({});
             CREATE TABLE o (ts TIMESTAMP(3), n BIGINT) WITH ('connector' = 'blackhole');
             INSERT INTO o SELECT ts, n FROM t;",
            with(&broker, "recorded", &[&from_the_end, more].concat())
        );
        std::fs::write(folder.path().join("job.sql"), text).unwrap();
    };
    let row = |partition: u8, n: i64| {
        (partition.to_string(), "-".to_owned(), "-", format!(r#"{{"ts":"2026-01-01","n":{n}}}"#))
    };
    let mut write = |rows: &[(String, String, &str, String)]| {
        client.write(
            "recorded",
            rows.iter().map(|(p, t, k, v)| (p.clone(), t.clone(), *k, v.as_str())).collect::<Vec<_>>().into_iter(),
        );
    };
    let start = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_highwater-subject"));
        command.arg(folder.path().join("job.sql")).arg(folder.path()).arg("2");
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    write(&[row(0, 1), row(1, 2)]);
    job(&[]);
    let mut child = start();
    let since = Instant::now();
    let has_checkpoint = || {
        std::fs::read_dir(folder.path().join("state")).is_ok_and(|files| {
            files.into_iter().any(|f| f.unwrap().file_name().to_string_lossy().ends_with(".manifest"))
        })
    };
    while !has_checkpoint() {
        assert!(since.elapsed() < Duration::from_secs(30), "no checkpoint");
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // Written while nobody reads: behind the recorded beginning.
    write(&[row(0, 3), row(1, 4), row(1, 5)]);
    job(&[super::TO_THE_END]);
    let output = start().wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let shown = highwater_tests::log::read(&folder.path().join("o.log")).unwrap().rows;
    let mut numbers: Vec<i64> =
        shown.iter().flat_map(|b| highwater_tests::integers(b, "n")).map(Option::unwrap).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [3, 4, 5]);
}

/// Partitions of the payments, which are written while the job runs.
const PARTITIONS: usize = 6;

/// A number of the environment.
pub(super) fn given(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

struct Chain {
    folder: tempfile::TempDir,
    broker: Broker,
}

impl Chain {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn job(&self, payments: &str, velocity: &str) -> String {
        format!(
            "SET 'execution.checkpointing.interval' = '50 ms';
             CREATE TABLE payments (payment_id BIGINT, ts TIMESTAMP(3), card BIGINT, merchant BIGINT, amount DECIMAL(12, 2),
               WATERMARK FOR ts AS ts - INTERVAL '5' SECOND) WITH ({payments});
             CREATE TABLE velocity (payment_id BIGINT, ts TIMESTAMP(3), card BIGINT, n BIGINT, total DECIMAL(38, 2),
               merchants BIGINT) WITH ({velocity});
             INSERT INTO velocity SELECT payment_id, ts, card, COUNT(*) OVER w, SUM(amount) OVER w,
               COUNT(DISTINCT merchant) OVER w FROM payments
             WINDOW w AS (PARTITION BY card ORDER BY ts RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW);"
        )
    }

    fn on_kafka(&self, more: &[(&str, &str)]) -> String {
        let payments = with(&self.broker, "payments", more);
        let velocity = [
            ("format", "csv"),
            ("sink.transactional-id-prefix", "chain"),
            ("key.fields", "card"),
            ("key.format", "json"),
        ];
        self.job(&payments, &with(&self.broker, "velocity", &velocity))
    }

    fn start(&self, workers: u64) -> Child {
        Command::new(env!("CARGO_BIN_EXE_highwater-subject"))
            .arg(self.path("job.sql"))
            .arg(self.folder.path())
            .arg(workers.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// What the same job makes of the same rows in files: its digest and its lines.
    fn expected(&self, input: &Path) -> (String, Vec<String>) {
        let files = |folder: &Path, format: &str| {
            format!("'connector' = 'filesystem', 'path' = '{}', 'format' = '{format}'", folder.display())
        };
        let out = self.path("expected");
        let job = self.job(&files(input, "json"), &files(&out, "csv"));
        let outcome = run(&job, &[], Setting::of_workers(1)).unwrap_or_else(|e| panic!("{e}"));
        let [(_, rows, digest)] = digests(&outcome)[..] else { panic!("one sink") };
        let text = |f: std::io::Result<std::fs::DirEntry>| std::fs::read_to_string(f.unwrap().path()).unwrap();
        let all: Vec<String> = std::fs::read_dir(out).unwrap().map(text).collect();
        let mut lines: Vec<String> = all.iter().flat_map(|text| text.lines()).map(str::to_owned).collect();
        lines.sort();
        (format!("velocity {rows} {digest}\n"), lines)
    }
}

/// Payments, and kills of the engine; with every fifth the broker is killed too. The long form:
/// `HIGHWATER_PAYMENTS=1000000 HIGHWATER_KILLS=60 cargo test --release --workspace --test all from_topic_to_topic -- --nocapture`
#[test]
fn from_topic_to_topic_every_result_is_seen_once_whoever_is_killed() {
    let Some(broker) = Broker::start() else { return };
    let (payments, kills) = (given("HIGHWATER_PAYMENTS", 200_000), given("HIGHWATER_KILLS", 20));
    let chain = Chain { folder: tempfile::tempdir().unwrap(), broker };
    let input = chain.path("payments");
    let define = ["event-rate=5", "cards=3000", "late-share=0.01"].map(str::to_owned).to_vec();
    let args = GenerateArgs {
        rows: payments,
        seed: 7,
        partitions: PARTITIONS,
        format: "json".into(),
        out: input.clone(),
        define,
    };
    generate(&args).unwrap();
    let (digest, lines) = chain.expected(&input);
    let mut client = chain.broker.client();
    client.create("payments", PARTITIONS, &[]);
    client.create("velocity", 3, &[]);
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let seed = given("HIGHWATER_SEED", since.as_micros() as u64);
    println!("HIGHWATER_SEED={seed}");
    let mut random = seed | 1;
    let mut below = move |n: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % n
    };
    std::fs::write(chain.path("job.sql"), chain.on_kafka(&[])).unwrap();
    let mut ended_early = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| feed(&chain.broker, "payments", &input, (payments / 4000).max(300) as usize, false));
        for kill in 1..=kills {
            let mut child = chain.start(1 + below(3));
            std::thread::sleep(Duration::from_millis(300 + below(1200)));
            if kill == kills / 2 {
                // A broker that is away for a while is waited for, once the job has begun.
                std::thread::sleep(Duration::from_secs(4));
                chain.broker.kill();
                std::thread::sleep(Duration::from_secs(8));
                chain.broker.restart();
                std::thread::sleep(Duration::from_secs(3));
            }
            if kill % 5 == 0 {
                chain.broker.kill();
                std::thread::sleep(Duration::from_millis(below(1000)));
            }
            let ended = child.try_wait().unwrap();
            child.kill().unwrap();
            let output = child.wait_with_output().unwrap();
            // No panic here: whoever writes the rows waits for the broker to come back.
            if let Some(status) = ended {
                ended_early.push(format!("kill {kill}: {status} {}", String::from_utf8_lossy(&output.stderr)));
            }
            if kill % 5 == 0 {
                chain.broker.restart();
            }
        }
    });
    assert!(ended_early.is_empty(), "{ended_early:#?}");
    // Everything is written: the job may end where the topic does.
    std::fs::write(chain.path("job.sql"), chain.on_kafka(&[super::TO_THE_END])).unwrap();
    let output = chain.start(2).wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut seen: Vec<String> = client.read("velocity").into_iter().map(|m| m.value.unwrap()).collect();
    seen.sort();
    let foreign: Vec<_> = seen.iter().filter(|l| lines.binary_search(l).is_err()).take(3).collect();
    assert!(foreign.is_empty() && seen.len() == lines.len(), "{} rows for {}: {foreign:?}", seen.len(), lines.len());
    assert!(seen == lines, "rows are missing, others are seen twice");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), digest);
    println!("{kills} kills over {payments} payments: {} rows, each seen once; {digest}", seen.len());
}

/// Writes the files' lines, each to the partition of its number, little by little; if `timed`, as messages of the time in `ts`.
pub(super) fn feed(broker: &Broker, topic: &str, input: &Path, step: usize, timed: bool) {
    let mut files: Vec<_> = std::fs::read_dir(input).unwrap().map(|f| f.unwrap().path()).collect();
    files.sort();
    let texts: Vec<String> = files.iter().map(|f| std::fs::read_to_string(f).unwrap()).collect();
    let mut lines: Vec<_> = texts.iter().map(|t| t.lines()).collect();
    let mut client = broker.client();
    loop {
        let mut some = Vec::new();
        for (partition, lines) in lines.iter_mut().enumerate() {
            let time = |line: &str| if timed { time_of(line).to_string() } else { "-".to_owned() };
            some.extend(lines.by_ref().take(step).map(|l| (partition.to_string(), time(l), "-", l)));
        }
        if some.is_empty() {
            return;
        }
        client.write(topic, some.into_iter());
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The time in `ts` of a line of JSON, in epoch milliseconds.
fn time_of(line: &str) -> i64 {
    let text = line.split(r#""ts":""#).nth(1).and_then(|rest| rest.split('"').next());
    parse_instant(text.unwrap_or_else(|| panic!("no ts in {line}"))).unwrap()
}
