//! How long a request is tried.

use super::trouble::{Trouble, of};
use object_store::Result;
use std::time::{Duration, Instant};

/// A request that is not answered for good is sent again for so long. A running job then waits and calls again.
const RETRY_FOR: Duration = Duration::from_secs(5);
/// The first wait between two requests; it doubles.
const WAIT_MIN: Duration = Duration::from_millis(50);
/// The longest wait between two requests.
const WAIT_MAX: Duration = Duration::from_secs(1);

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
