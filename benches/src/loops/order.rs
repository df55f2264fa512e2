//! Event-time order: one bucket per millisecond of the disorder. All rows of an instant leave together, because a RANGE
//! frame sees the peers of its row.

use crate::payments::{DELAY_MS, Payment};

/// More milliseconds than rows may be out of order, and a power of two.
const BUCKETS: usize = 8_192;
const _: () = assert!(BUCKETS as i64 > DELAY_MS + 1 && BUCKETS.is_power_of_two());

/// Calls `instant` with the rows of each instant, in order; only rows that `mine` accepts.
#[inline(always)]
pub fn in_order(rows: &[Payment], mine: impl Fn(&Payment) -> bool, mut instant: impl FnMut(i64, &[Payment])) {
    let mut ring: Vec<Vec<Payment>> = vec![Vec::new(); BUCKETS];
    let mut release = |ts: i64, ring: &mut Vec<Vec<Payment>>| {
        let bucket = &mut ring[ts as usize % BUCKETS];
        if !bucket.is_empty() {
            instant(ts, bucket);
            bucket.clear();
        }
    };
    let Some(first) = rows.first() else { return };
    let (mut max, mut done) = (first.ts, first.ts - DELAY_MS - 1);
    for p in rows {
        if p.ts > max {
            max = p.ts;
            while done < max - DELAY_MS - 1 {
                done += 1;
                release(done, &mut ring);
            }
        }
        if mine(p) {
            ring[p.ts as usize % BUCKETS].push(*p);
        }
    }
    while done < max {
        done += 1;
        release(done, &mut ring);
    }
}
