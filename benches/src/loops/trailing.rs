//! W3: a queue of the last hour per card, with its running sum.

use super::Share;
use super::fold::Map;
use super::order::in_order;
use crate::check::Check;
use crate::payments::Payment;
use crate::workload::HOUR_MS;
use std::collections::VecDeque;

#[derive(Default)]
struct Card {
    rows: VecDeque<(i64, i64)>,
    sum: i64,
}

impl Card {
    #[inline(always)]
    fn push(&mut self, ts: i64, amount: i64) {
        self.rows.push_back((ts, amount));
        self.sum += amount;
        while self.rows.front().is_some_and(|r| r.0 < ts - HOUR_MS) {
            self.sum -= self.rows.pop_front().map_or(0, |r| r.1);
        }
    }
    #[inline(always)]
    fn answer(&self) -> Check {
        Check { rows: 1, count: self.rows.len() as i64, sum: self.sum, other: 0 }
    }
}

pub fn run(rows: &[Payment], share: Share) -> Check {
    let mut check = Check::default();
    let mut cards = Map::<Card>::default();
    in_order(
        rows,
        |p| share.owns(p.card),
        |ts, peers| match peers {
            [p] => {
                let card = cards.entry(p.card).or_default();
                card.push(ts, p.amount);
                check.add(card.answer());
            }
            _ => {
                peers.iter().for_each(|p| cards.entry(p.card).or_default().push(ts, p.amount));
                peers.iter().for_each(|p| check.add(cards[&p.card].answer()));
            }
        },
    );
    check
}
