//! The one thread that drives a store's connections, and how long a request is tried.

use super::trouble::{Trouble, of};
use object_store::Result;
use std::io;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Handle, Runtime};

/// A request that is not answered for good is sent again for so long. A running job then waits and calls again.
const RETRY_FOR: Duration = Duration::from_secs(5);
/// The first wait between two requests; it doubles.
const WAIT_MIN: Duration = Duration::from_millis(50);
/// The longest wait between two requests.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// A runtime of one thread. Calls from any thread block that thread.
#[derive(Debug)]
pub struct Driver(Option<Runtime>);

impl Driver {
    /// Starts the thread.
    pub fn start() -> io::Result<Self> {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(1).thread_name("object-store").enable_io().enable_time();
        Ok(Self(Some(builder.build()?)))
    }

    fn runtime(&self) -> &Runtime {
        self.0.as_ref().expect("the runtime is taken only when this is dropped")
    }

    /// Runs a request to its end.
    pub fn run<T>(&self, request: impl Future<Output = T>) -> T {
        self.runtime().block_on(request)
    }

    /// Where requests can be started that run beside the caller.
    pub fn handle(&self) -> &Handle {
        self.runtime().handle()
    }
}

impl Drop for Driver {
    /// A look-up of a name that hangs must not hang the process.
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// The waits between the tries of one request.
#[derive(Debug)]
pub struct Waits {
    until: Instant,
    next: Duration,
}

impl Waits {
    /// They begin now.
    pub fn new() -> Self {
        Self { until: Instant::now() + RETRY_FOR, next: WAIT_MIN }
    }

    /// Whether there is time for another try; if so, waits for it.
    pub async fn again(&mut self) -> bool {
        if Instant::now() + self.next >= self.until {
            return false;
        }
        tokio::time::sleep(self.next).await;
        self.next = (self.next * 2).min(WAIT_MAX);
        true
    }
}

/// Sends a request that may be sent twice, again and again while the other side can't be reached or is overloaded.
pub async fn retried<T, F: Future<Output = Result<T>>>(request: impl Fn() -> F) -> Result<T> {
    let mut waits = Waits::new();
    loop {
        match request().await {
            Err(error) if of(&error) == Trouble::Unavailable && waits.again().await => (),
            outcome => return outcome,
        }
    }
}
