//! W9: a day's log for each card, answered for thirty frames.

use super::Share;
use super::fold::Map;
use super::log::Log;
use super::order::in_order;
use crate::check::Check;
use crate::payments::Payment;
use crate::workload::THIRTY_FRAMES_MS as FRAMES_MS;

pub fn run(rows: &[Payment], share: Share) -> Check {
    let mut check = Check::default();
    let mut cards = Map::<Log<false>>::default();
    in_order(
        rows,
        |p| share.owns(p.card),
        |ts, peers| {
            check.rows += peers.len() as i64;
            match peers {
                [p] => {
                    let card = cards.entry(p.card).or_default();
                    card.push(&FRAMES_MS, ts, p.amount, 0);
                    check.add(card.answer(&FRAMES_MS, ts));
                }
                _ => {
                    peers.iter().for_each(|p| cards.entry(p.card).or_default().push(&FRAMES_MS, ts, p.amount, 0));
                    peers.iter().for_each(|p| check.add(cards[&p.card].answer(&FRAMES_MS, ts)));
                }
            }
        },
    );
    check
}
