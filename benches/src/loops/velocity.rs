//! W4: a day's log for each card, device and merchant.

use super::Share;
use super::fold::Map;
use super::log::Log;
use super::order::in_order;
use crate::check::Check;
use crate::payments::Payment;

#[derive(Default)]
struct Logs {
    cards: Map<Log<true>>,
    devices: Map<Log<true>>,
    merchants: Map<Log<false>>,
}

impl Logs {
    fn push(&mut self, p: &Payment, share: Share) {
        if share.owns(p.card) {
            self.cards.entry(p.card).or_default().push(p.ts, p.amount, p.merchant);
        }
        if share.owns(p.device) {
            self.devices.entry(p.device).or_default().push(p.ts, 0, p.card);
        }
        if share.owns(p.merchant) {
            self.merchants.entry(p.merchant).or_default().push(p.ts, p.amount, 0);
        }
    }

    fn answer(&self, p: &Payment, share: Share) -> Check {
        let mut check = Check::default();
        if share.owns(p.card) {
            check.add(Check { rows: 1, ..self.cards[&p.card].answer(p.ts) });
        }
        if share.owns(p.device) {
            check.add(self.devices[&p.device].answer(p.ts));
        }
        if share.owns(p.merchant) {
            check.add(self.merchants[&p.merchant].answer(p.ts));
        }
        check
    }
}

pub fn run(rows: &[Payment], share: Share) -> Check {
    let (mut check, mut logs) = (Check::default(), Logs::default());
    let mine = |p: &Payment| share.owns(p.card) || share.owns(p.device) || share.owns(p.merchant);
    in_order(rows, mine, |_, peers| {
        peers.iter().for_each(|p| logs.push(p, share));
        peers.iter().for_each(|p| check.add(logs.answer(p, share)));
    });
    check
}
