//! W5: each card's open session, over rows in order. A session ends with the first row that is more than the gap behind it.

use super::Share;
use super::fold::Map;
use super::order::in_order;
use crate::check::Check;
use crate::payments::Payment;
use crate::workload::GAP_MS;

#[derive(Clone, Copy)]
struct Session {
    last: i64,
    count: i64,
    sum: i64,
}

impl Session {
    #[inline(always)]
    fn answer(self) -> Check {
        Check { rows: 1, count: self.count, sum: self.sum, other: 0 }
    }
}

pub fn run(rows: &[Payment], share: Share) -> Check {
    let mut check = Check::default();
    let mut cards = Map::<Session>::default();
    in_order(
        rows,
        |p| share.owns(p.card),
        |ts, peers| {
            for p in peers {
                let open = cards.entry(p.card).or_insert(Session { last: ts, count: 0, sum: 0 });
                if ts > open.last + GAP_MS {
                    check.add(open.answer());
                    *open = Session { last: ts, count: 0, sum: 0 };
                }
                open.last = ts;
                open.count += 1;
                open.sum += p.amount;
            }
        },
    );
    cards.values().for_each(|s| check.add(s.answer()));
    check
}
