//! A real Apache Kafka broker for tests, and Kafka's own Java client as the other side.
//!
//! The broker is the one of `tests/kafka/broker`: KRaft mode, its jars fetched by Maven into a cache outside the source tree,
//! free ports of the loopback interface. It can be killed and started again on the same data. It hangs on a leash: when this
//! process ends, in whatever way, it ends too. `KAFKA_BOOTSTRAP=host:9092` is another broker to test against; tests that
//! kill the broker are skipped then.

pub mod bytes;
mod client;
mod secured;

pub use client::{Client, Message};
pub use secured::{Listener, Secured};

use crate::repository;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a broker may stand still until it listens; one that works on what a kill left is waited for.
const PATIENCE: Duration = Duration::from_secs(120);
/// Processor time that a broker which works takes within [`PATIENCE`], however busy the machine is; one that only waits takes less.
const WORK: Duration = Duration::from_secs(5);

/// Settings of a broker, in its folder.
const MORE: &str = "more.properties";

/// A broker.
#[derive(Debug)]
pub struct Broker {
    servers: String,
    /// `None`: it belongs to somebody else.
    own: Option<Mutex<Own>>,
}

#[derive(Debug)]
struct Own {
    ports: [u16; 2],
    data: TempDir,
    child: Child,
}

impl Broker {
    /// The broker that the tests of this process share, as long as one of them uses it. `None`, said loudly: Java or Maven are
    /// missing.
    ///
    /// # Panics
    /// If they are missing and `HIGHWATER_REQUIRE_KAFKA` is set, as `.ci/run` does; if the broker does not start.
    pub fn shared() -> Option<Arc<Self>> {
        static SHARED: Mutex<Weak<Broker>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = shared.upgrade() {
            return Some(running);
        }
        let broker = match std::env::var("KAFKA_BOOTSTRAP") {
            Ok(servers) => Arc::new(Self { servers, own: None }),
            Err(_) => Arc::new(Self::start()?),
        };
        *shared = Arc::downgrade(&broker);
        Some(broker)
    }

    /// A broker of the test's own, which it may kill. `None`, said loudly: there can be none here.
    ///
    /// # Panics
    /// As [`Broker::shared`].
    pub fn start() -> Option<Self> {
        let data = Self::folder()?;
        Some(Self::start_in(data, free_ports()))
    }

    /// A folder for a broker of the test's own, if there can be one here.
    fn folder() -> Option<TempDir> {
        if std::env::var_os("KAFKA_BOOTSTRAP").is_some() {
            return skipped("KAFKA_BOOTSTRAP is a broker that must not be killed");
        }
        if let Some(tool) = ["java", "mvn"].into_iter().find(|tool| !runs(tool)) {
            return skipped(&format!("{tool} is missing, which a Kafka broker needs"));
        }
        Some(tempfile::Builder::new().prefix("highwater-kafka-").tempdir().unwrap())
    }

    /// Starts one with the settings that stand in `more.properties` of its folder, if it is there.
    fn start_in(data: TempDir, ports: [u16; 2]) -> Self {
        let child = launch(ports, data.path());
        Self { servers: format!("127.0.0.1:{}", ports[0]), own: Some(Mutex::new(Own { ports, data, child })) }
    }

    /// Its address: what `bootstrap.servers` is set to.
    pub fn servers(&self) -> &str {
        &self.servers
    }

    /// Kafka's own client, talking to it.
    pub fn client(&self) -> Client {
        Client::start(&self.servers)
    }

    /// Kills it (SIGKILL).
    ///
    /// # Panics
    /// If it belongs to somebody else.
    pub fn kill(&self) {
        let mut own = self.own();
        own.child.kill().unwrap();
        own.child.wait().unwrap();
        drop(own.child.stdin.take());
    }

    /// Starts it again, on its data and ports.
    ///
    /// # Panics
    /// If it belongs to somebody else or does not start.
    pub fn restart(&self) {
        let mut own = self.own();
        own.child = launch(own.ports, own.data.path());
    }

    fn own(&self) -> std::sync::MutexGuard<'_, Own> {
        let own = self.own.as_ref().expect("a broker that belongs to somebody else");
        own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        // It may be dead already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn skipped<T>(why: &str) -> Option<T> {
    assert!(std::env::var_os("HIGHWATER_REQUIRE_KAFKA").is_none(), "tests with a Kafka broker are required, but {why}");
    let line = "=".repeat(100);
    eprintln!("{line}\nSKIPPED: no test with a Kafka broker: {why}\n{line}");
    None
}

fn runs(tool: &str) -> bool {
    let status = Command::new(tool).arg("-version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// Ports that nobody listens on now, all different.
fn free_ports<const N: usize>() -> [u16; N] {
    let sockets = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    sockets.map(|socket| socket.local_addr().unwrap().port())
}

fn script() -> PathBuf {
    repository().join("tests/kafka/broker")
}

/// Where the jars are; fetches them first, if need be.
///
/// # Panics
/// If they can't be fetched.
pub fn jars() -> String {
    let output = Command::new(script()).arg("--jars").output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the jars of Kafka can't be fetched: {error}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn launch([port, controller]: [u16; 2], data: &Path) -> Child {
    let log = std::fs::File::options().create(true).append(true).open(data.join("log.txt")).unwrap();
    let mut command = Command::new(script());
    if data.join(MORE).exists() {
        command.arg("--with").arg(data.join(MORE));
    }
    let mut child = command
        .args(["--leash", "--port", &port.to_string(), "--controller-port", &controller.to_string(), "--data"])
        .arg(data)
        .stdin(Stdio::piped())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    let said = || std::fs::read_to_string(data.join("log.txt")).unwrap_or_default();
    let (mut since, mut worked) = (Instant::now(), Duration::ZERO);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        let ended = child.try_wait().unwrap();
        let now = processor_time(child.id());
        if now >= worked + WORK {
            (since, worked) = (Instant::now(), now);
        }
        assert!(
            ended.is_none() && since.elapsed() < PATIENCE,
            "the broker does not start ({ended:?}, {now:?} of processor time): {}",
            said()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    child
}

/// What a process and the children it has waited for have taken; none where there is no `/proc`.
fn processor_time(process: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The name, in brackets, may hold blanks. Behind it the 12th to the 15th field are times, in hundredths of a second.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let hundredths: u64 = fields.skip(11).take(4).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(10 * hundredths)
}
