//! What can go wrong with a request, and when it does.

use super::lock;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is answered with this status and code and has no effect.
    Before(u16, &'static str),
    /// It takes effect and is answered with this status and code.
    After(u16, &'static str),
    /// The connection is cut, and it has no effect.
    CutBefore,
    /// It takes effect, and the connection is cut.
    CutAfter,
    /// The answer ends in the middle of its body.
    CutShort,
    /// It takes effect and is answered after so long.
    Delay(Duration),
    /// It stands still until `heal`, then takes effect and is answered.
    HoldBefore,
    /// It takes effect, and is answered at `heal`.
    HoldAfter,
}

/// The faults of a server.
#[derive(Default)]
pub struct Faults {
    plan: Mutex<Plan>,
    /// Told at each `clear`.
    cleared: Condvar,
}

#[derive(Default)]
struct Plan {
    rules: Vec<Rule>,
    /// Percent and state of the random numbers.
    storm: Option<(u64, u64)>,
    met: usize,
    /// How often faults were cleared.
    clears: usize,
}

struct Rule {
    method: String,
    key: String,
    left: usize,
    fault: Fault,
}

impl Faults {
    pub fn add(&self, method: &str, key: &str, times: usize, fault: Fault) {
        let rule = Rule { method: method.to_owned(), key: key.to_owned(), left: times, fault };
        lock(&self.plan).rules.push(rule);
    }

    pub fn storm(&self, percent: u64, seed: u64) {
        lock(&self.plan).storm = Some((percent, seed | 1));
    }

    pub fn clear(&self) {
        let mut plan = lock(&self.plan);
        (plan.rules, plan.storm) = (Vec::new(), None);
        plan.clears += 1;
        self.cleared.notify_all();
    }

    pub fn met(&self) -> usize {
        lock(&self.plan).met
    }

    /// The fault that this request meets.
    pub fn meet(&self, method: &str, key: &str) -> Option<Fault> {
        let mut plan = lock(&self.plan);
        let meets = |r: &&mut Rule| r.left > 0 && (r.method == "*" || r.method == method) && key.contains(&r.key);
        let fault = match plan.rules.iter_mut().find(meets) {
            Some(rule) => {
                rule.left -= 1;
                Some(rule.fault)
            }
            None => plan.blown(),
        };
        plan.met += usize::from(fault.is_some());
        fault
    }

    /// Waits for `clear`.
    pub fn wait(&self) {
        let plan = lock(&self.plan);
        let before = plan.clears;
        drop(self.cleared.wait_while(plan, |p| p.clears == before).unwrap_or_else(PoisonError::into_inner));
    }
}

impl Plan {
    fn blown(&mut self) -> Option<Fault> {
        let (percent, state) = self.storm.as_mut()?;
        let mut below = |n: u64| {
            *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (*state >> 33) % n
        };
        if below(100) >= *percent {
            return None;
        }
        Some(match below(6) {
            0 => Fault::Before(503, "SlowDown"),
            1 => Fault::After(500, "InternalError"),
            2 => Fault::CutBefore,
            3 => Fault::CutAfter,
            4 => Fault::CutShort,
            _ => Fault::After(503, "ServiceUnavailable"),
        })
    }
}
