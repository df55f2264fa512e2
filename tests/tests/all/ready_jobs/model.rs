//! The ready jobs once more, as simply as they can be written: all payments in memory, every frame counted anew.

pub mod history;

use highwater_jobs::instant::parse_instant;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// The jobs' watermark: `ts - INTERVAL '5' SECOND`.
const DELAY_MS: i64 = 5_000;

/// One payment and what its partition's watermark was when it came.
#[derive(Clone, Debug)]
pub struct Payment {
    id: i64,
    ts: i64,
    card: i64,
    merchant: i64,
    device: i64,
    country: String,
    cents: i64,
    status: String,
    is_fraud: bool,
    burst: Option<i64>,
    partition: usize,
    offset: usize,
    /// The partition's largest event time with this row.
    largest: i64,
    /// `None` before the partition's first row.
    watermark: Option<i64>,
}

impl Payment {
    fn late(&self) -> bool {
        self.watermark.is_some_and(|w| self.ts < w)
    }
}

/// Reads generated files, each a partition in its order.
pub fn read(folder: &Path) -> Vec<Payment> {
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    let mut all = Vec::new();
    for (partition, path) in paths.iter().filter(|p| p.is_file()).enumerate() {
        let text = std::fs::read_to_string(path).unwrap();
        let mut largest = None;
        for (offset, line) in text.lines().filter(|l| l.starts_with(|c: char| c.is_ascii_digit())).enumerate() {
            let watermark = largest.map(|t: i64| t - DELAY_MS + 1);
            let payment = Payment { partition, offset, watermark, ..parse(line) };
            let payment = Payment { largest: payment.ts.max(largest.unwrap_or(payment.ts)), ..payment };
            largest = Some(payment.largest);
            all.push(payment);
        }
    }
    all
}

/// A row without what its place in the file decides.
fn parse(line: &str) -> Payment {
    let f: Vec<&str> = line.split(',').collect();
    assert_eq!(f.len(), 13, "{line}");
    let number = |i: usize| f[i].parse::<i64>().unwrap_or_else(|_| panic!("field {i} of {line}"));
    let (whole, cents) = f[9].split_once('.').unwrap_or_else(|| panic!("amount of {line}"));
    Payment {
        id: number(0),
        ts: parse_instant(f[1]).unwrap(),
        card: number(2),
        merchant: number(3),
        device: number(4),
        country: f[6].to_string(),
        cents: whole.parse::<i64>().unwrap() * 100 + cents.parse::<i64>().unwrap(),
        status: f[10].to_string(),
        is_fraud: f[11] == "true",
        burst: (!f[12].is_empty()).then(|| number(12)),
        partition: 0,
        offset: 0,
        largest: i64::MIN,
        watermark: None,
    }
}

/// A payment with the features that the rules look at.
pub struct Features<'a> {
    payment: &'a Payment,
    card_count_1m: i64,
    card_merchants_1m: i64,
    card_count_10m: i64,
    card_sum_10m: i64,
    card_merchants_10m: i64,
    card_count_1h: i64,
    card_countries_1h: i64,
    card_count_24h: i64,
    card_sum_24h: i64,
    device_cards_1h: i64,
    device_cards_24h: i64,
    merchant_count_10m: i64,
    merchant_small_10m: i64,
    merchant_small_cards_10m: i64,
    /// The rules that fired, in the order of the jobs.
    rules: Vec<&'static str>,
}

impl Features<'_> {
    fn fired(&self) -> bool {
        !self.rules.is_empty()
    }
}

/// The payments of each key that have entered, by event time.
#[derive(Default)]
struct Log<'a>(HashMap<i64, Vec<&'a Payment>>);

impl<'a> Log<'a> {
    fn enter(&mut self, key: i64, p: &'a Payment) {
        let rows = self.0.entry(key).or_default();
        rows.insert(rows.partition_point(|q| q.ts <= p.ts), p);
    }
    /// Those of the key in `[t - back, t]`.
    fn frame(&self, key: i64, t: i64, back: i64) -> &[&'a Payment] {
        let rows = &self.0[&key];
        let from = rows.partition_point(|p| p.ts < t - back);
        let to = rows.partition_point(|p| p.ts <= t);
        &rows[from..to]
    }
}

/// What the frames of the fraud job read.
#[derive(Default)]
struct Logs<'a> {
    cards: Log<'a>,
    devices: Log<'a>,
    merchants: Log<'a>,
}

impl<'a> Logs<'a> {
    fn enter(&mut self, p: &'a Payment) {
        self.cards.enter(p.card, p);
        self.devices.enter(p.device, p);
        self.merchants.enter(p.merchant, p);
    }
}

fn distinct<T: Ord>(rows: &[&Payment], of: impl Fn(&Payment) -> T) -> i64 {
    rows.iter().map(|p| of(p)).collect::<BTreeSet<T>>().len() as i64
}

fn cents(rows: &[&Payment]) -> i64 {
    rows.iter().map(|p| p.cents).sum()
}

/// `velocity` and `decided` of the fraud job under `final`: on-time payments only, each with all its peers.
pub fn velocity(payments: &[Payment]) -> Vec<Features<'_>> {
    let on_time: Vec<&Payment> = payments.iter().filter(|p| !p.late()).collect();
    let mut logs = Logs::default();
    on_time.iter().for_each(|p| logs.enter(p));
    on_time.iter().map(|p| decide(p, &logs)).collect()
}

/// The same under `arrival`: each payment in its turn, by what has entered then, itself included. A late one enters too;
/// one behind the horizon neither enters nor has features, so that no rule fires.
pub fn velocity_on_arrival(payments: &[Payment], quantum_ms: i64, horizon_ms: i64) -> Vec<Features<'_>> {
    let mut order: Vec<&Payment> = payments.iter().collect();
    order.sort_by_key(|p| (p.largest.div_euclid(quantum_ms), p.partition, p.offset));
    let mut logs = Logs::default();
    let complete = order.into_iter().filter(|p| p.watermark.is_none_or(|w| p.ts >= w - horizon_ms));
    complete
        .map(|p| {
            logs.enter(p);
            decide(p, &logs)
        })
        .collect()
}

fn decide<'a>(p: &'a Payment, logs: &Logs<'a>) -> Features<'a> {
    let card = |back| logs.cards.frame(p.card, p.ts, back);
    let device = |back| logs.devices.frame(p.device, p.ts, back);
    let at_merchant = logs.merchants.frame(p.merchant, p.ts, 10 * MINUTE);
    let small: Vec<&Payment> = at_merchant.iter().copied().filter(|q| q.cents < 500).collect();
    let (count_1m, merchants_1m) = (card(MINUTE).len() as i64, distinct(card(MINUTE), |q| q.merchant));
    let (count_10m, merchants_10m) = (card(10 * MINUTE).len() as i64, distinct(card(10 * MINUTE), |q| q.merchant));
    let (count_1h, countries_1h) = (card(HOUR).len(), distinct(card(HOUR), |q| q.country.clone()));
    let (count_24h, sum_24h) = (card(DAY).len() as i64, cents(card(DAY)));
    let (device_1h, device_24h) = (distinct(device(HOUR), |q| q.card), distinct(device(DAY), |q| q.card));
    let small_cards = distinct(&small, |q| q.card);
    let fired = [
        (count_1m >= 5 && merchants_1m >= 4, "rush"),
        (count_10m >= 8 && merchants_10m >= 6, "spree"),
        (countries_1h >= 4 && count_1h >= 6, "countries"),
        (sum_24h > 2_000_000 && count_24h >= 40, "daily"),
        (device_1h >= 5, "device"),
        (device_24h >= 12, "device_daily"),
        (small_cards >= 8 && small.len() * 2 >= at_merchant.len(), "card_testing"),
    ];
    Features {
        payment: p,
        card_count_1m: count_1m,
        card_merchants_1m: merchants_1m,
        card_count_10m: count_10m,
        card_sum_10m: cents(card(10 * MINUTE)),
        card_merchants_10m: merchants_10m,
        card_count_1h: count_1h as i64,
        card_countries_1h: countries_1h,
        card_count_24h: count_24h,
        card_sum_24h: sum_24h,
        device_cards_1h: device_1h,
        device_cards_24h: device_24h,
        merchant_count_10m: at_merchant.len() as i64,
        merchant_small_10m: small.len() as i64,
        merchant_small_cards_10m: small_cards,
        rules: fired.iter().filter(|(fires, _)| *fires).map(|(_, name)| *name).collect(),
    }
}

fn money(cents: i64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

fn or_null(value: Option<i64>) -> String {
    value.map_or_else(|| "NULL".into(), |v| v.to_string())
}

fn join(fields: &[&dyn std::fmt::Display]) -> String {
    fields.iter().map(|f| f.to_string()).collect::<Vec<_>>().join("|")
}

/// Rows of `alerts`.
pub fn alerts(features: &[Features]) -> Vec<String> {
    features.iter().filter(|f| f.fired()).map(alert).collect()
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
        &f.card_count_1m,
        &f.card_merchants_1m,
        &f.card_count_10m,
        &money(f.card_sum_10m),
        &f.card_merchants_10m,
        &f.card_count_1h,
        &f.card_countries_1h,
        &f.card_count_24h,
        &money(f.card_sum_24h),
        &f.device_cards_1h,
        &f.device_cards_24h,
        &f.merchant_count_10m,
        &f.merchant_small_10m,
        &f.merchant_small_cards_10m,
        &or_null(p.burst),
    ])
}

/// The features by window, and the window's alerts.
fn by_window<'a>(features: &'a [Features], size: i64) -> Vec<(i64, Vec<&'a Features<'a>>, Vec<&'a Features<'a>>)> {
    let mut windows: BTreeMap<i64, Vec<&Features>> = BTreeMap::new();
    features.iter().for_each(|f| windows.entry(f.payment.ts.div_euclid(size) * size).or_default().push(f));
    let with_alerts = |(start, all): (i64, Vec<&'a Features<'a>>)| {
        let alerts = all.iter().copied().filter(|f| f.fired()).collect();
        (start, all, alerts)
    };
    windows.into_iter().map(with_alerts).collect()
}

fn bursts(of: &[&Features]) -> usize {
    of.iter().filter_map(|f| f.payment.burst).collect::<BTreeSet<i64>>().len()
}

/// Rows of `bursts_by_day` of the fraud job.
pub fn bursts_by_day(features: &[Features]) -> Vec<String> {
    let row = |(day, all, alerts): &(i64, Vec<&Features>, Vec<&Features>)| {
        join(&[
            day,
            &all.len(),
            &all.iter().filter(|f| f.payment.is_fraud).count(),
            &alerts.len(),
            &alerts.iter().filter(|f| !f.payment.is_fraud).count(),
            &bursts(all),
            &bursts(alerts),
        ])
    };
    by_window(features, DAY).iter().map(row).collect()
}

/// Rows of `late_payments` of the fraud job.
pub fn late_payments(payments: &[Payment]) -> Vec<String> {
    let row = |p: &Payment| {
        let watermark = p.watermark.unwrap();
        join(&[&p.ts, &p.id, &p.card, &money(p.cents), &watermark, &(watermark - p.ts)])
    };
    payments.iter().filter(|p| p.late()).map(row).collect()
}

/// `numerator / denominator` with six decimals, half up.
fn six_decimals(numerator: i64, denominator: i64) -> String {
    let (n, d) = (i128::from(numerator) * 1_000_000, i128::from(denominator));
    let rounded = (2 * n + d).div_euclid(2 * d);
    format!("{}.{:06}", rounded / 1_000_000, rounded % 1_000_000)
}

/// What a merchant did in a window.
struct Merchant {
    start: i64,
    merchant: i64,
    payments: i64,
    cents: i64,
    declined: i64,
    cards: i64,
}

/// A window refuses a row whose watermark has reached the window's end.
fn merchant_windows(payments: &[Payment], size: i64) -> Vec<Merchant> {
    let mut windows: BTreeMap<(i64, i64), Vec<&Payment>> = BTreeMap::new();
    for p in payments {
        let start = p.ts.div_euclid(size) * size;
        if p.watermark.is_none_or(|w| start + size > w) {
            windows.entry((start, p.merchant)).or_default().push(p);
        }
    }
    let count = |((start, merchant), rows): (&(i64, i64), &Vec<&Payment>)| Merchant {
        start: *start,
        merchant: *merchant,
        payments: rows.len() as i64,
        cents: cents(rows),
        declined: rows.iter().filter(|p| p.status == "DECLINED").count() as i64,
        cards: distinct(rows, |p| p.card),
    };
    windows.iter().map(count).collect()
}

impl Merchant {
    /// Cents to units: two of the six decimals.
    fn average(&self) -> String {
        six_decimals(self.cents, 100 * self.payments)
    }
}

/// Rows of `merchant_minutes` and `merchant_hours`.
pub fn merchants(payments: &[Payment], size: i64) -> Vec<String> {
    merchant_windows(payments, size).iter().map(|w| merchant(w, size)).collect()
}

fn merchant(w: &Merchant, size: i64) -> String {
    join(&[
        &w.start,
        &(w.start + size),
        &w.merchant,
        &w.payments,
        &money(w.cents),
        &w.average(),
        &w.declined,
        &six_decimals(w.declined, w.payments),
        &w.cards,
    ])
}
