//! A replay against the wall clock: rows wait until their event time has come.
//!
//! Reading is held back, nothing else, so results are those of a run at full speed. The clock starts with the first rows
//! that lie in the part that is replayed; what is read before it, because frames and windows reach back, does not wait.

use crate::graph::Speed;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// How far the workers of an attempt may read.
#[derive(Debug, Default)]
pub(super) struct Pace {
    speed: Option<Speed>,
    /// When the clock started, and at which event time.
    started: OnceLock<(Instant, i64)>,
}

impl Pace {
    /// At a speed; `None`: as fast as it goes.
    pub(super) fn new(speed: Option<Speed>) -> Self {
        Self { speed, started: OnceLock::new() }
    }

    /// How long rows from this event time on wait; `None`: not at all.
    pub(super) fn wait(&self, time_ms: i64) -> Option<Duration> {
        self.wait_at(time_ms, Instant::now)
    }

    fn wait_at(&self, time_ms: i64, now: impl Fn() -> Instant) -> Option<Duration> {
        let speed = self.speed.filter(|s| time_ms >= s.from_ms)?;
        let (since, first_ms) = self.started.get_or_init(|| (now(), time_ms));
        let ahead_ms = u128::try_from(time_ms.saturating_sub(*first_ms)).unwrap_or(0);
        let micros = ahead_ms * 1_000_000 / u128::from(speed.ms_per_s.max(1));
        let due = Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX));
        due.checked_sub(now().saturating_duration_since(*since)).filter(|wait| !wait.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_wait_for_their_time_from_the_first_that_is_replayed() {
        let start = Instant::now();
        let pace = Pace::new(Some(Speed { from_ms: 1_000, ms_per_s: 10_000 }));
        let wait = |time_ms, after_ms| pace.wait_at(time_ms, || start + Duration::from_millis(after_ms));
        assert_eq!(wait(999, 0), None);
        assert_eq!(wait(5_000, 0), None);
        // ten seconds of event time a second
        assert_eq!(wait(25_000, 0), Some(Duration::from_secs(2)));
        assert_eq!(wait(25_000, 1_999), Some(Duration::from_millis(1)));
        assert_eq!(wait(25_000, 2_000), None);
        assert_eq!(wait(4_000, 0), None);
        assert_eq!(Pace::new(None).wait(i64::MAX), None);
        assert!(wait(i64::MAX, 0).is_some());
    }
}
