//! Fail points: the instants of the commit protocol at which a crash test stops the process.
//!
//! A point is a name in the code. A test arms one of them; when it is reached for the n-th time, the test's action runs
//! (tell the parent process, which sends SIGKILL) and the thread that came there stands still for ever. Nobody else arms a
//! point: then each costs one relaxed load.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Every fail point, in the order of a checkpoint's life.
pub const POINTS: [&str; 21] = [
    // A start.
    "start.opened",
    "start.restored",
    "start.recovered",
    "start.caught-up",
    // A checkpoint, on the workers.
    "barrier.decided",
    "state.taken",
    "outbox.taken",
    // On the keeper's thread.
    "checkpoint.collected",
    "file.synced",
    "file.named",
    "state.written",
    "outbox.written",
    "manifest.drafted",
    "manifest.created",
    "manifest.durable",
    "publish.begins",
    "publish.done",
    "collect.manifests-gone",
    "collect.done",
    // The end of the job.
    "end.begins",
    "end.shown",
];

static ARMED: AtomicBool = AtomicBool::new(false);
static PLAN: Mutex<Option<Armed>> = Mutex::new(None);

struct Armed {
    point: String,
    left: u64,
    action: Box<dyn FnMut() + Send>,
}

/// Arms a point: when it is reached for the `nth` time (from 1), `action` runs and that thread never goes on.
///
/// # Panics
/// If there is no such point.
pub fn arm(point: &str, nth: u64, action: impl FnMut() + Send + 'static) {
    assert!(POINTS.contains(&point), "there is no fail point {point}");
    let armed = Armed { point: point.to_owned(), left: nth.max(1), action: Box::new(action) };
    *PLAN.lock().unwrap_or_else(PoisonError::into_inner) = Some(armed);
    ARMED.store(true, Relaxed);
}

/// The process is at this point.
#[inline]
pub fn point(name: &'static str) {
    if ARMED.load(Relaxed) {
        reached(name);
    }
}

#[cold]
fn reached(name: &'static str) {
    debug_assert!(POINTS.contains(&name), "{name} is not in the list");
    let mut plan = PLAN.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(armed) = plan.as_mut().filter(|armed| armed.point == name) else { return };
    armed.left = armed.left.saturating_sub(1);
    if armed.left > 0 {
        return;
    }
    (armed.action)();
    drop(plan);
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}
