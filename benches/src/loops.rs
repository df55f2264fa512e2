//! The limit: each workload as one hand-written loop over rows in memory, for this query and no other.
//!
//! No engine, no columns, no exchange, no epochs. With two threads each scans all rows and keeps the keys of its share:
//! nothing is sent. Amounts are `i64` without overflow checks beyond the language's.

mod cumulate;
mod first;
mod fold;
mod frames;
mod hop;
mod log;
mod order;
mod session;
mod trailing;
mod tumble;
mod velocity;

use crate::check::Check;
use crate::payments::Payment;
use crate::workload::Workload;

/// The keys that one thread works on.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    threads: u64,
    me: u64,
}

impl Share {
    /// Whether this thread owns the key.
    #[inline(always)]
    pub fn owns(self, key: u32) -> bool {
        self.threads == 1 || (u64::from(key).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) % self.threads == self.me
    }
}

/// Runs a workload on so many threads.
pub fn run(workload: Workload, rows: &[Payment], threads: usize) -> Check {
    let work = match workload {
        Workload::W1 => tumble::run,
        Workload::W2 => hop::run,
        Workload::W3 => trailing::run,
        Workload::W4 => velocity::run,
        Workload::W5 => session::run,
        Workload::W6 => cumulate::run,
        Workload::W7 => first::largest,
        Workload::W8 => first::first,
        Workload::W9 => frames::run,
    };
    let mut all = Check::default();
    std::thread::scope(|s| {
        let share = |me| Share { threads: threads as u64, me };
        let threads: Vec<_> = (0..threads as u64).map(|me| s.spawn(move || work(rows, share(me)))).collect();
        threads.into_iter().for_each(|t| all.add(t.join().expect("a loop does not panic")));
    });
    all
}
