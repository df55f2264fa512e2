//! A server that speaks as much of S3 as a store of state needs, with faults on demand. Written from the protocol's
//! description, apart from the client that it tests; on `std` alone, so that any package may include it.
//!
//! Path-style addresses; PUT with `If-None-Match: *`, GET with `Range` and `If-Match`, HEAD, ListObjectsV2 in pages,
//! DELETE and DeleteObjects, uploads in parts. Signatures are not checked, but who signs must be who is known.

mod answer;
mod fault;
pub(crate) mod http;

use answer::Objects;
use std::io::BufReader;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub use fault::Fault;
use fault::Faults;
use http::{Request, Response};

/// The only bucket.
pub const BUCKET: &str = "jobs";
/// Who is known.
pub const KEY_ID: &str = "AKIDHIGHWATER";
/// A secret that must never be seen anywhere.
pub const SECRET: &str = "canary/secret+of+the+bucket";

/// How long a test waits for a request.
const PATIENCE: Duration = Duration::from_secs(60);

/// The server; it ends when this is dropped.
pub struct S3Server {
    at: SocketAddr,
    inner: Arc<Inner>,
}

struct Inner {
    objects: Mutex<Objects>,
    faults: Faults,
    /// Method and key of every request.
    requests: Mutex<Vec<String>>,
    ended: AtomicBool,
}

impl S3Server {
    /// Starts on a free port of this machine, with an empty bucket.
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let at = listener.local_addr().expect("a bound port");
        let inner = Arc::new(Inner {
            objects: Mutex::default(),
            faults: Faults::default(),
            requests: Mutex::default(),
            ended: AtomicBool::new(false),
        });
        let shared = inner.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if shared.ended.load(Ordering::Relaxed) {
                    return;
                }
                let shared = shared.clone();
                std::thread::spawn(move || serve(&shared, &stream));
            }
        });
        Self { at, inner }
    }

    /// `s3://jobs/prefix`.
    pub fn address(&self, prefix: &str) -> String {
        format!("s3://{BUCKET}/{prefix}")
    }

    /// The variables that lead a client here.
    pub fn environment(&self) -> Vec<(String, String)> {
        let endpoint = format!("http://{}", self.at);
        [
            ("AWS_ENDPOINT_URL", endpoint.as_str()),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_REGION", "eu-central-1"),
            ("AWS_ACCESS_KEY_ID", KEY_ID),
            ("AWS_SECRET_ACCESS_KEY", SECRET),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .to_vec()
    }

    /// The next so many requests of this method (`*`: any) with this text in their key meet a fault.
    pub fn fail(&self, method: &str, key: &str, times: usize, fault: Fault) {
        self.inner.faults.add(method, key, times, fault);
    }

    /// From now on this many of a hundred requests fail, before or after they took effect; which ones depends on the seed.
    pub fn storm(&self, percent: u64, seed: u64) {
        self.inner.faults.storm(percent, seed);
    }

    /// No more faults; what is held goes on.
    pub fn heal(&self) {
        self.inner.faults.clear();
    }

    /// Requests that have met a fault.
    pub fn faults(&self) -> usize {
        self.inner.faults.met()
    }

    /// Waits until so many requests have met a fault.
    pub fn wait_for_faults(&self, count: usize) {
        let since = Instant::now();
        while self.faults() < count {
            assert!(since.elapsed() < PATIENCE, "only {} of {count} faults were met", self.faults());
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Overwrites whatever the condition of a PUT says, as some servers do.
    pub fn ignore_conditions(&self) {
        self.objects().ignore_conditions = true;
    }

    /// All keys that begin so.
    pub fn keys(&self, prefix: &str) -> Vec<String> {
        self.objects().keys().filter(|key| key.starts_with(prefix)).cloned().collect()
    }

    /// Puts an object there without a request.
    pub fn place(&self, key: &str, bytes: &[u8]) {
        self.objects().insert(key, bytes.to_vec());
    }

    /// Uploads that were begun and neither completed nor aborted.
    pub fn open_uploads(&self) -> usize {
        self.objects().uploads()
    }

    /// Method and key of every request so far, and forgets them.
    pub fn requests(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.inner.requests))
    }

    fn objects(&self) -> MutexGuard<'_, Objects> {
        lock(&self.inner.objects)
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.heal();
        self.inner.ended.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.at);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers the requests of one connection until somebody closes it.
fn serve(inner: &Inner, stream: &TcpStream) {
    // Small answers at once.
    let _ = stream.set_nodelay(true);
    let mut reader = BufReader::new(stream);
    while let Some(request) = Request::read(&mut reader) {
        if inner.ended.load(Ordering::Relaxed) {
            return;
        }
        lock(&inner.requests).push(format!("{} {}", request.method, request.key));
        let answer = || lock(&inner.objects).answer(&request);
        let response = match inner.faults.meet(&request.method, &request.key) {
            None => Some(answer()),
            Some(Fault::Before(status, code)) => Some(Response::error(status, code)),
            Some(Fault::After(status, code)) => {
                answer();
                Some(Response::error(status, code))
            }
            Some(Fault::CutBefore) => None,
            Some(Fault::CutAfter) => {
                answer();
                None
            }
            Some(Fault::CutShort) => Some(answer().cut_short()),
            Some(Fault::Delay(time)) => {
                std::thread::sleep(time);
                Some(answer())
            }
            Some(Fault::HoldBefore) => {
                inner.faults.wait();
                Some(answer())
            }
            Some(Fault::HoldAfter) => {
                let response = answer();
                inner.faults.wait();
                Some(response)
            }
        };
        let sent = response.is_some_and(|r| r.write(stream, request.method == "HEAD").is_ok() && !r.is_cut_short());
        if !sent {
            let _ = stream.shutdown(std::net::Shutdown::Both);
            return;
        }
    }
}
