//! W7 and W8: the best payments of a key in each open hour.

use super::Share;
use super::fold::Map;
use super::tumble::Open;
use crate::check::Check;
use crate::payments::Payment;
use crate::workload::{HOUR_MS, TOP};

/// The largest amounts, descending; 0 where there is none.
#[derive(Default)]
struct Largest([i64; TOP]);

impl Largest {
    #[inline(always)]
    fn add(&mut self, mut amount: i64) {
        for place in &mut self.0 {
            if amount > *place {
                std::mem::swap(place, &mut amount);
            }
        }
    }
}

/// W7.
pub fn largest(rows: &[Payment], share: Share) -> Check {
    let mut check = Check::default();
    let mut open = Open::<Largest>::new(HOUR_MS);
    let mut fire = |_: i64, map: &mut Map<Largest>| {
        for (_, l) in map.drain() {
            let rows = l.0.iter().filter(|a| **a > 0).count() as i64;
            check.add(Check { rows, count: 0, sum: l.0.iter().sum(), other: 0 });
        }
    };
    for p in rows {
        open.advance(p.ts, &mut fire);
        if share.owns(p.merchant) {
            open.entry(p.ts, p.merchant).add(p.amount);
        }
    }
    open.finish(fire);
    check
}

/// Time and amount of the first payment.
struct First(i64, i64);

impl Default for First {
    fn default() -> Self {
        Self(i64::MAX, 0)
    }
}

/// W8.
pub fn first(rows: &[Payment], share: Share) -> Check {
    let mut check = Check::default();
    let mut open = Open::<First>::new(HOUR_MS);
    let mut fire = |_: i64, map: &mut Map<First>| {
        map.drain().for_each(|(_, f)| check.add(Check { rows: 1, count: 0, sum: f.1, other: 0 }));
    };
    for p in rows {
        open.advance(p.ts, &mut fire);
        if share.owns(p.card) {
            let first = open.entry(p.ts, p.card);
            if (p.ts, p.amount) < (first.0, first.1) {
                *first = First(p.ts, p.amount);
            }
        }
    }
    open.finish(fire);
    check
}
