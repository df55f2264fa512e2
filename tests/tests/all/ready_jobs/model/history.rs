//! The model of `replay_history.sql`: the fraud job without one rule and the throughput job's windows, in other columns;
//! whole, or what a part of history shows of it.

use super::*;
use highwater_engine::graph::TimeRange;

/// Features of the job.
pub fn features(payments: &[Payment]) -> Vec<Features<'_>> {
    velocity(payments).into_iter().map(|f| f.without("device_daily")).collect()
}

/// What the job shows of the rows and windows in `range`, by table.
pub fn tables(payments: &[Payment], features: &[Features], range: TimeRange) -> Vec<(&'static str, Vec<String>)> {
    let whole = |start: i64, size: i64| range.from_ms <= start && start + size <= range.to_ms;
    let hours: Vec<_> = by_window(features, HOUR).into_iter().filter(|w| whole(w.0, HOUR)).collect();
    let merchants = |size| merchant_windows(payments, size).into_iter().filter(move |w| whole(w.start, size));
    vec![
        ("alerts", features.iter().filter(|f| f.fired() && range.contains(f.payment.ts)).map(alert).collect()),
        ("bursts_by_hour", hours.iter().map(|(hour, all, alerts)| burst(*hour, all, alerts)).collect()),
        ("merchant_minutes", merchants(MINUTE).map(|w| minute(&w)).collect()),
        ("merchant_hours", merchants(HOUR).map(|w| hour(&w)).collect()),
        ("late_payments", payments.iter().filter(|p| p.late()).filter_map(|p| late(p, range)).collect()),
    ]
}

fn alert(f: &Features) -> String {
    let p = f.payment;
    join(&[
        &p.ts,
        &p.id,
        &p.card,
        &p.merchant,
        &p.device,
        &money(p.cents),
        &f.rules.join(","),
        &f.card_count_10m,
        &money(f.card_sum_24h),
        &f.card_countries_1h,
        &f.device_cards_1h,
        &f.merchant_small_10m,
        &or_null(p.burst),
    ])
}

fn burst(hour: i64, all: &[&Features], alerts: &[&Features]) -> String {
    join(&[&hour, &all.len(), &alerts.len(), &bursts(all), &bursts(alerts)])
}

fn minute(w: &Merchant) -> String {
    join(&[&w.start, &w.merchant, &w.payments, &money(w.cents), &w.cards])
}

fn hour(w: &Merchant) -> String {
    join(&[&w.start, &w.merchant, &w.payments, &money(w.cents), &w.average(), &w.declined, &w.cards])
}

/// The time of a late row is the watermark.
fn late(p: &Payment, range: TimeRange) -> Option<String> {
    let watermark = p.watermark.filter(|w| range.contains(*w))?;
    Some(join(&[&p.ts, &p.id, &watermark, &(watermark - p.ts)]))
}
