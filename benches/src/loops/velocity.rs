//! W4: a day's log for each card, device and merchant.

use super::Share;
use super::fold::Map;
use super::log::Log;
use super::order::in_order;
use crate::check::Check;
use crate::payments::Payment;
use crate::workload::FRAMES_MS;

#[derive(Default)]
struct Logs {
    cards: Map<Log<true>>,
    devices: Map<Log<true>>,
    merchants: Map<Log<false>>,
}

/// A log of either kind; inlined, the kind is known.
enum AnyLog<'a> {
    Distinct(&'a mut Log<true>),
    Plain(&'a mut Log<false>),
}

impl AnyLog<'_> {
    #[inline(always)]
    fn push(&mut self, ts: i64, amount: i64, value: u32) {
        match self {
            Self::Distinct(log) => log.push(&FRAMES_MS, ts, amount, value),
            Self::Plain(log) => log.push(&FRAMES_MS, ts, amount, value),
        }
    }
    #[inline(always)]
    fn answer(&self, ts: i64) -> Check {
        match self {
            Self::Distinct(log) => log.answer(&FRAMES_MS, ts),
            Self::Plain(log) => log.answer(&FRAMES_MS, ts),
        }
    }
}

impl Logs {
    /// Calls `f` with the logs of the payment's keys that this thread owns.
    #[inline(always)]
    fn each(&mut self, p: &Payment, share: Share, mut f: impl FnMut(AnyLog, i64, u32)) {
        if share.owns(p.card) {
            f(AnyLog::Distinct(self.cards.entry(p.card).or_default()), p.amount, p.merchant);
        }
        if share.owns(p.device) {
            f(AnyLog::Distinct(self.devices.entry(p.device).or_default()), 0, p.card);
        }
        if share.owns(p.merchant) {
            f(AnyLog::Plain(self.merchants.entry(p.merchant).or_default()), p.amount, 0);
        }
    }
}

pub fn run(rows: &[Payment], share: Share) -> Check {
    let (mut check, mut logs) = (Check::default(), Logs::default());
    let mine = |p: &Payment| share.owns(p.card) || share.owns(p.device) || share.owns(p.merchant);
    in_order(rows, mine, |ts, peers| {
        match peers {
            // No peers, so each log is found once.
            [p] => logs.each(p, share, |mut log, amount, value| {
                log.push(ts, amount, value);
                check.add(log.answer(ts));
            }),
            _ => {
                peers.iter().for_each(|p| logs.each(p, share, |mut log, amount, value| log.push(ts, amount, value)));
                peers.iter().for_each(|p| logs.each(p, share, |log, _, _| check.add(log.answer(ts))));
            }
        }
        check.rows += peers.iter().filter(|p| share.owns(p.card)).count() as i64;
    });
    check
}
