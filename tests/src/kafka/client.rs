//! Kafka's own Java client, driven by lines: see `tests/kafka/Client.java`.

use crate::repository;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A message as that client reads it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Message {
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its timestamp, in epoch milliseconds.
    pub timestamp_ms: i64,
    /// Its key.
    pub key: Option<String>,
    /// Its value.
    pub value: Option<String>,
}

/// The client's process.
#[derive(Debug)]
pub struct Client {
    child: Child,
    to: BufWriter<ChildStdin>,
    from: BufReader<ChildStdout>,
}

impl Client {
    /// Starts it; it ends when this process does.
    pub(super) fn start(servers: &str) -> Self {
        let mut child = Command::new("java")
            .args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx1g", "-cp", &format!("{}/*", super::jars())])
            .arg(repository().join("tests/kafka/Client.java"))
            .arg(servers)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (to, from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { child, to: BufWriter::new(to), from: BufReader::new(from) }
    }

    /// Makes a topic; `settings` are `retention.ms=1000`.
    ///
    /// # Panics
    /// If it can't.
    pub fn create(&mut self, topic: &str, partitions: usize, settings: &[&str]) {
        self.ask(&format!("create {topic} {partitions} {}", settings.join(" ")));
    }

    /// Writes values with their keys, to the partition that the client's default partitioner chooses.
    ///
    /// # Panics
    /// If it can't.
    pub fn write_keyed<'r>(&mut self, topic: &str, rows: impl ExactSizeIterator<Item = (&'r str, &'r str)>) {
        self.write(topic, rows.map(|(key, value)| ("-".to_owned(), "-".to_owned(), key, value)));
    }

    /// Writes messages: partition, timestamp, key and value, of which `-` is none.
    ///
    /// # Panics
    /// If it can't.
    pub fn write<'r>(&mut self, topic: &str, rows: impl ExactSizeIterator<Item = (String, String, &'r str, &'r str)>) {
        writeln!(self.to, "write {topic} {}", rows.len()).unwrap();
        for (partition, time, key, value) in rows {
            writeln!(self.to, "{partition}\t{time}\t{key}\t{value}").unwrap();
        }
        self.answer(|_| ());
    }

    /// Everything committed in a topic, by partition and offset.
    ///
    /// # Panics
    /// If it can't.
    pub fn read(&mut self, topic: &str) -> Vec<Message> {
        writeln!(self.to, "read {topic}").unwrap();
        let mut all = Vec::new();
        self.answer(|line| all.push(message(line)));
        all.sort();
        all
    }

    /// Where a consumer group stands: topic, partition and offset.
    ///
    /// # Panics
    /// If it can't.
    pub fn where_is(&mut self, group: &str) -> Vec<(String, i32, i64)> {
        writeln!(self.to, "where {group}").unwrap();
        let mut all = Vec::new();
        self.answer(|line| {
            let [topic, partition, offset] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line:?}") };
            all.push((topic.to_owned(), partition.parse().unwrap(), offset.parse().unwrap()));
        });
        all.sort();
        all
    }

    /// Says a line to it.
    ///
    /// # Panics
    /// If it fails.
    pub fn ask(&mut self, line: &str) {
        writeln!(self.to, "{line}").unwrap();
        self.answer(|_| ());
    }

    fn answer(&mut self, mut row: impl FnMut(&str)) {
        self.to.flush().unwrap();
        let mut line = String::new();
        loop {
            line.clear();
            assert!(
                self.from.read_line(&mut line).unwrap() > 0,
                "Kafka's client has ended: {:?}",
                self.child.try_wait()
            );
            let text = line.trim_end_matches('\n');
            assert!(!text.starts_with("failed "), "Kafka's client {text}");
            match text.starts_with("done ") {
                true => return,
                false => row(text),
            }
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // It may be dead already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn message(line: &str) -> Message {
    let [partition, offset, time, key, value] = line.splitn(5, '\t').collect::<Vec<_>>()[..] else {
        panic!("Kafka's client says {line:?}");
    };
    let given = |field: &str| (field != "-").then(|| field.to_owned());
    Message {
        partition: partition.parse().unwrap(),
        offset: offset.parse().unwrap(),
        timestamp_ms: time.parse().unwrap(),
        key: given(key),
        value: given(value),
    }
}
