//! The model of `replay_history.sql`: the fraud job with its bursts by the hour, and the throughput job; whole, or what a
//! part of history shows of it.

use super::*;
use highwater_engine::graph::TimeRange;

/// What the job shows of the rows and windows in `range`, by table.
pub fn tables(payments: &[Payment], features: &[Features], range: TimeRange) -> Vec<(&'static str, Vec<String>)> {
    let whole = |start: i64, size: i64| range.from_ms <= start && start + size <= range.to_ms;
    let hours: Vec<_> = by_window(features, HOUR).into_iter().filter(|w| whole(w.0, HOUR)).collect();
    let merchants = |size| merchant_windows(payments, size).into_iter().filter(move |w| whole(w.start, size));
    vec![
        ("alerts", features.iter().filter(|f| f.fired() && range.contains(f.payment.ts)).map(alert).collect()),
        ("bursts_by_hour", hours.iter().map(|(hour, all, alerts)| burst(*hour, all, alerts)).collect()),
        ("merchant_minutes", merchants(MINUTE).map(|w| merchant(&w, MINUTE)).collect()),
        ("merchant_hours", merchants(HOUR).map(|w| merchant(&w, HOUR)).collect()),
        ("late_payments", payments.iter().filter(|p| p.late()).filter_map(|p| late(p, range)).collect()),
    ]
}

fn burst(hour: i64, all: &[&Features], alerts: &[&Features]) -> String {
    join(&[&hour, &all.len(), &alerts.len(), &bursts(all), &bursts(alerts)])
}

/// The time of a late row is the watermark.
fn late(p: &Payment, range: TimeRange) -> Option<String> {
    let watermark = p.watermark.filter(|w| range.contains(*w))?;
    Some(join(&[&p.ts, &p.id, &watermark, &(watermark - p.ts)]))
}
