//! A partition without new messages does not hold the watermark, and what it brings later is late: also if the job was killed
//! in between, and if a checkpoint is damaged and has to be repeated.

use super::{TO_THE_END, broker, with};
use highwater_tests::kafka::{Broker, Client};
use highwater_tests::{log, rows};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

struct Job {
    folder: TempDir,
    topic: &'static str,
}

impl Job {
    fn new(topic: &'static str) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), topic }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Payments in windows of ten seconds, with a watermark five seconds behind.
    fn write(&self, broker: &Broker, more: &[(&str, &str)]) {
        let options = [&[("scan.watermark.idle-timeout", "400 ms")], more].concat();
        let text = format!(
            "SET 'execution.checkpointing.interval' = '20 ms';
             CREATE TABLE payments (ts TIMESTAMP(3), n BIGINT, WATERMARK FOR ts AS ts - INTERVAL '5' SECOND) WITH ({});
             CREATE TABLE windows (second BIGINT, n BIGINT, total BIGINT) WITH ('connector' = 'blackhole');
             CREATE TABLE late (n BIGINT, watermark TIMESTAMP(3)) WITH ('connector' = 'blackhole');
             INSERT INTO windows SELECT UNIX_TIMESTAMP(DATE_FORMAT(window_start, 'yyyy-MM-dd HH:mm:ss')), COUNT(*), SUM(n)
               FROM TABLE(TUMBLE(TABLE payments, DESCRIPTOR(ts), INTERVAL '10' SECOND)) GROUP BY window_start, window_end;
             INSERT INTO late SELECT n, watermark FROM `payments$late`;",
            with(broker, self.topic, &options)
        );
        std::fs::write(self.path("job.sql"), text).unwrap();
    }

    fn start(&self, workers: usize) -> Child {
        let log = std::fs::File::options().create(true).append(true).open(self.path("stderr")).unwrap();
        Command::new(env!("CARGO_BIN_EXE_highwater-subject"))
            .arg(self.path("job.sql"))
            .arg(self.folder.path())
            .arg(workers.to_string())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap()
    }

    /// Starts the job and waits until a checkpoint says that both partitions are idle.
    fn start_until_idle(&self, workers: usize) -> Child {
        let (mut child, since) = (self.start(workers), Instant::now());
        while self.newest().is_none_or(|(_, text)| text.matches("\"idle\":true").count() != 2) {
            let ended = child.try_wait().unwrap();
            let error = || std::fs::read_to_string(self.path("stderr")).unwrap_or_default();
            assert!(ended.is_none() && since.elapsed() < Duration::from_secs(60), "{ended:?}: {}", error());
            std::thread::sleep(Duration::from_millis(10));
        }
        child
    }

    /// The newest manifest, with its name.
    fn newest(&self) -> Option<(String, String)> {
        let files = std::fs::read_dir(self.path("state")).ok()?;
        let names = files.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let newest = names.filter(|name| name.ends_with(".manifest")).max()?;
        let text = std::fs::read_to_string(self.path("state").join(&newest)).ok()?;
        Some((newest, text))
    }

    fn shown(&self, table: &str) -> Vec<String> {
        let visible = log::read(&self.path(&format!("{table}.log"))).unwrap();
        let mut all: Vec<String> = visible.rows.iter().flat_map(rows).collect();
        all.sort();
        all
    }

    /// Waits until the table shows these rows, and kills the job.
    fn kill_when(&self, mut child: Child, table: &str, expected: &[&str]) {
        let since = Instant::now();
        while self.shown(table) != expected {
            let ended = child.try_wait().unwrap();
            let error = || std::fs::read_to_string(self.path("stderr")).unwrap_or_default();
            assert!(ended.is_none(), "{ended:?}: {}", error());
            let shown = (self.shown("windows"), self.shown("late"));
            assert!(since.elapsed() < Duration::from_secs(60), "{table}: {shown:?}, not {expected:?}: {}", error());
            std::thread::sleep(Duration::from_millis(10));
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Damages all state of the last checkpoint that recorded an activation, and of those behind it.
    fn damage(&self) {
        let state = self.path("state");
        let names: Vec<String> =
            std::fs::read_dir(&state).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        let records = |name: &&String| {
            name.ends_with(".manifest") && std::fs::read_to_string(state.join(name)).unwrap().contains("activations")
        };
        let first = names.iter().filter(records).max().expect("no checkpoint has recorded an activation");
        let number = |name: &str| name.split(['.', '-']).next().unwrap().to_owned();
        let damaged: Vec<_> = names.iter().filter(|n| n.ends_with(".state") && number(n) >= number(first)).collect();
        assert!(!damaged.is_empty(), "{first} has no state: {names:?}");
        for name in damaged {
            let mut bytes = std::fs::read(state.join(name)).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            std::fs::write(state.join(name), bytes).unwrap();
        }
    }
}

/// To a partition: the second of the day and a number.
fn write(client: &mut Client, topic: &str, rows: &[(u8, u32, u32)]) {
    let value =
        |second: &u32, n: &u32| format!(r#"{{"ts":"2026-01-01 00:{:02}:{:02}","n":{n}}}"#, second / 60, second % 60);
    let values: Vec<_> = rows.iter().map(|(p, second, n)| (p.to_string(), value(second, n))).collect();
    let messages: Vec<_> = values.iter().map(|(p, v)| (p.clone(), "-".to_owned(), "-", v.as_str())).collect();
    client.write(topic, messages.into_iter());
}

/// Midnight, in seconds of the epoch.
const MIDNIGHT: i64 = 1_767_225_600;

/// A window of the second of the day, as it is shown.
fn window(second: i64, n: u32, total: u32) -> String {
    format!("{}|{n}|{total}", MIDNIGHT + second)
}

fn sorted(mut all: Vec<String>) -> Vec<String> {
    all.sort();
    all
}

fn texts(all: &[String]) -> Vec<&str> {
    all.iter().map(String::as_str).collect()
}

#[test]
fn an_idle_partition_releases_windows_and_its_later_rows_are_late_whenever_the_job_is_killed() {
    let Some(broker) = broker() else { return };
    let mut client = broker.client();
    let topic = "idle";
    client.create(topic, 2, &[]);
    let job = Job::new(topic);
    job.write(&broker, &[]);
    // The watermark of partition 0 becomes second 30, partition 1 has nothing.
    let child = job.start_until_idle(2);
    write(&mut client, topic, &[(0, 1, 1), (0, 5, 2), (0, 12, 3), (0, 35, 4)]);
    let mut windows = vec![window(0, 2, 3), window(10, 1, 3)];
    job.kill_when(child, "windows", &texts(&sorted(windows.clone())));

    // Killed while partition 1 is idle: what it brings is behind what was promised without it.
    write(&mut client, topic, &[(1, 3, 100), (1, 32, 101), (1, 29, 102)]);
    let mut late = vec!["100|2026-01-01 00:00:30.001".to_owned(), "102|2026-01-01 00:00:30.001".to_owned()];
    job.kill_when(job.start(1), "late", &texts(&late));

    // It is active again, with a floor; idle again, it lets partition 0 go on to second 45.
    let child = job.start_until_idle(3);
    write(&mut client, topic, &[(0, 50, 5)]);
    windows.push(window(30, 2, 105));
    job.kill_when(child, "windows", &texts(&sorted(windows.clone())));
    write(&mut client, topic, &[(1, 33, 103), (1, 46, 104), (1, 58, 105)]);
    late.push("103|2026-01-01 00:00:45.001".to_owned());
    job.kill_when(job.start(2), "late", &texts(&sorted(late.clone())));

    // Files of the newest checkpoint are damaged: what was decided behind the last whole one is repeated as it was recorded.
    damaged_and_repeated(&job);
    assert_eq!(job.shown("late"), sorted(late.clone()));

    // With an end nothing is idle, and what was decided stays.
    write(&mut client, topic, &[(0, 60, 106)]);
    job.write(&broker, &[TO_THE_END]);
    let status = job.start(2).wait().unwrap();
    assert!(status.success(), "{}", std::fs::read_to_string(job.path("stderr")).unwrap());
    windows.extend([window(40, 1, 104), window(50, 2, 110), window(60, 1, 106)]);
    assert_eq!(job.shown("late"), sorted(late));
    assert_eq!(job.shown("windows"), sorted(windows));
}

/// Starts the job with a damaged state, and kills it when it has a new checkpoint.
fn damaged_and_repeated(job: &Job) {
    job.damage();
    let newest = || job.newest().map(|(name, _)| name);
    let (before, since) = (newest(), Instant::now());
    let mut child = job.start(1);
    while newest() <= before {
        let ended = child.try_wait().unwrap();
        let error = || std::fs::read_to_string(job.path("stderr")).unwrap();
        assert!(ended.is_none() && since.elapsed() < Duration::from_secs(60), "{ended:?}: {}", error());
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}
