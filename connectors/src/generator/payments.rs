//! The columns of the generated payments.
//!
//! Every column is a function of (seed, row): a draw of its own stream, or a function of another column's value (a
//! device belongs to its card, a category to its merchant). A column is computed only when asked for, and no column's
//! values depend on which others are asked for. Rows of a planted burst are patched afterwards: there are few.

use super::bursts::{Burst, Bursts, Kind};
use super::random::{Amounts, Skewed, below, mix, stream, threshold};
use super::rows::Rows;
use super::text::{addresses, codes, statuses};
use super::times::{TimeOptions, Times};
use arrow::array::{ArrayRef, BooleanArray, Decimal128Array, Int32Array, Int64Array, TimestampMillisecondArray};
use arrow::buffer::{BooleanBuffer, MutableBuffer, NullBuffer, ScalarBuffer};
use arrow_schema::{DataType, TimeUnit};
use std::cell::OnceCell;
use std::sync::Arc;

/// A column of the table of payments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Column {
    PaymentId,
    Ts,
    Card,
    Merchant,
    Device,
    Ip,
    Country,
    Currency,
    Mcc,
    Amount,
    Status,
    IsFraud,
    BurstId,
}

impl Column {
    /// All columns, in the order of the full table.
    pub const ALL: [(Column, &'static str, DataType); 13] = [
        (Column::PaymentId, "payment_id", DataType::Int64),
        (Column::Ts, "ts", DataType::Timestamp(TimeUnit::Millisecond, None)),
        (Column::Card, "card", DataType::Int64),
        (Column::Merchant, "merchant", DataType::Int64),
        (Column::Device, "device", DataType::Int64),
        (Column::Ip, "ip", DataType::Utf8),
        (Column::Country, "country", DataType::Utf8),
        (Column::Currency, "currency", DataType::Utf8),
        (Column::Mcc, "mcc", DataType::Int32),
        (Column::Amount, "amount", DataType::Decimal128(12, 2)),
        (Column::Status, "status", DataType::Utf8),
        (Column::IsFraud, "is_fraud", DataType::Boolean),
        (Column::BurstId, "burst_id", DataType::Int64),
    ];
}

/// What is drawn. The numbers are frozen: another number gives other payments.
#[derive(Clone, Copy)]
enum Draw {
    Card = 16,
    Merchant = 17,
    DeviceOfCard = 18,
    Country = 19,
    Ip = 20,
    Amount = 21,
    Status = 22,
    HomeOfCard = 23,
    CategoryOfMerchant = 24,
    AddressOfDevice = 25,
}

/// Share of payments that use the card's second device.
const SECOND_DEVICE: f64 = 0.15;
/// Share of payments outside the card's home country.
const ABROAD: f64 = 0.03;
/// Share of payments from another address than the device's usual one.
const ROAMING: f64 = 0.1;
/// Share of declined payments, outside and inside bursts.
const DECLINED: [f64; 2] = [0.04, 0.35];
/// Merchant category codes of the merchants: groceries, restaurants, fuel, and so on.
const CATEGORIES: [i32; 16] =
    [5411, 5812, 5814, 5541, 5912, 5311, 5732, 5651, 4111, 4121, 5999, 5942, 7011, 4511, 5967, 7995];

/// How payments are made.
#[derive(Clone, Debug)]
pub struct PaymentOptions {
    /// Another seed gives other payments.
    pub seed: u64,
    /// Event times.
    pub times: TimeOptions,
    /// Bursts in a day of event time.
    pub bursts_per_day: u64,
    /// Number of cards, below 10^9.
    pub cards: u64,
    /// Skew of the cards' popularity, in thousandths.
    pub cards_skew: u32,
    /// Number of merchants.
    pub merchants: u64,
    /// Skew of the merchants' popularity, in thousandths.
    pub merchants_skew: u32,
    /// Number of devices.
    pub devices: u64,
}

/// Makes payments.
#[derive(Debug)]
pub struct Payments {
    seed: u64,
    times: Times,
    bursts: Bursts,
    cards: Skewed,
    card_count: u64,
    merchants: Skewed,
    merchant_count: u64,
    devices: u64,
    amounts: Amounts,
}

impl Payments {
    /// Prepares the tables.
    pub fn new(o: &PaymentOptions) -> Self {
        Self {
            seed: o.seed,
            times: Times::new(o.seed, o.times.clone()),
            bursts: Bursts::new(o.seed, o.bursts_per_day, o.times.rows_per_1000_s),
            cards: Skewed::new(o.cards, o.cards_skew),
            card_count: o.cards,
            merchants: Skewed::new(o.merchants, o.merchants_skew),
            merchant_count: o.merchants,
            devices: o.devices,
            amounts: Amounts::default(),
        }
    }

    /// The columns of these rows.
    pub fn columns(&self, wanted: &[Column], rows: Rows) -> Vec<ArrayRef> {
        let draft =
            Draft { p: self, rows, bursts: self.bursts.of(rows), cards: OnceCell::new(), devices: OnceCell::new() };
        wanted.iter().map(|c| draft.column(*c)).collect()
    }

    fn stream(&self, draw: Draw) -> u64 {
        stream(self.seed, draw as u64)
    }
}

/// A run of rows while its columns are made: indices of cards and devices are made once, if at all.
struct Draft<'a> {
    p: &'a Payments,
    rows: Rows,
    bursts: Vec<(usize, Burst)>,
    cards: OnceCell<Vec<u64>>,
    devices: OnceCell<Vec<u64>>,
}

impl Draft<'_> {
    fn column(&self, column: Column) -> ArrayRef {
        match column {
            Column::PaymentId => int64(self.rows.iter().map(|row| row as i64)),
            Column::Ts => Arc::new(TimestampMillisecondArray::new(self.p.times.of(self.rows).into(), None)),
            Column::Card => int64(self.cards().iter().map(|&c| card_number(c))),
            Column::Merchant => int64(self.merchants().iter().map(|&m| m as i64 + 1)),
            Column::Device => int64(self.devices().iter().map(|&d| d as i64 + 1)),
            Column::Ip => self.ip(),
            Column::Country => codes(&self.countries(), |c| &COUNTRIES[usize::from(c)].0),
            Column::Currency => codes(&self.countries(), |c| &COUNTRIES[usize::from(c)].1),
            Column::Mcc => self.mcc(),
            Column::Amount => self.amount(),
            Column::Status => self.status(),
            Column::IsFraud => Arc::new(BooleanArray::new(self.in_burst(), None)),
            Column::BurstId => self.burst_id(),
        }
    }

    /// One draw of this stream per row, mapped.
    fn each<T>(&self, draw: Draw, f: impl Fn(u64) -> T) -> Vec<T> {
        let stream = self.p.stream(draw);
        let mut out = Vec::with_capacity(self.rows.count);
        out.extend(self.rows.iter().map(|row| f(mix(stream, row))));
        out
    }

    fn bursts_of(&self, kind: Kind) -> impl Iterator<Item = (usize, &Burst)> {
        self.bursts.iter().filter(move |(_, b)| b.kind == kind).map(|(at, b)| (*at, b))
    }

    fn cards(&self) -> &[u64] {
        self.cards.get_or_init(|| {
            let mut cards = self.each(Draw::Card, |d| self.p.cards.key(d));
            self.bursts_of(Kind::Card).for_each(|(at, b)| cards[at] = below(b.draw, self.p.card_count));
            cards
        })
    }

    fn merchants(&self) -> Vec<u64> {
        let mut merchants = self.each(Draw::Merchant, |d| self.p.merchants.key(d));
        self.bursts_of(Kind::Merchant).for_each(|(at, b)| merchants[at] = below(b.draw, self.p.merchant_count));
        merchants
    }

    /// A card's devices are two neighbours at the card's place among the devices. The thief of a card burst has a device
    /// of his own.
    fn devices(&self) -> &[u64] {
        self.devices.get_or_init(|| {
            let second = threshold(SECOND_DEVICE);
            let (cards, devices) = (self.p.card_count, self.p.devices);
            let which = self.each(Draw::DeviceOfCard, |d| u64::from((d >> 32) < second));
            // card · devices / cards, as a product with a 32-bit fraction: both are below 2^31.
            let ratio = (devices << 32) / cards;
            let place = |card: u64| ((u128::from(card) * u128::from(ratio)) >> 32) as u64;
            let mut out = Vec::with_capacity(which.len());
            out.extend(self.cards().iter().zip(which).map(|(&card, k)| {
                let device = place(card) + k;
                if device < devices { device } else { device - devices }
            }));
            for (at, burst) in &self.bursts {
                if burst.kind != Kind::Merchant {
                    out[*at] = below(mix(burst.draw, 1), devices);
                }
            }
            out
        })
    }

    /// Positions in [`COUNTRIES`].
    fn countries(&self) -> Vec<u8> {
        let (abroad, home) = (threshold(ABROAD), self.p.stream(Draw::HomeOfCard));
        let anywhere = |d: u64| (((d & 0xFFFF_FFFF) * COUNTRIES.len() as u64) >> 32) as u8;
        let mut out = self.each(Draw::Country, |d| if (d >> 32) < abroad { anywhere(d) } else { u8::MAX });
        for (country, card) in out.iter_mut().zip(self.cards()) {
            if *country == u8::MAX {
                *country = HOMES[(mix(home, *card) >> 58) as usize];
            }
        }
        let stream = self.p.stream(Draw::Country);
        for (at, _) in self.bursts_of(Kind::Card) {
            out[at] = anywhere(mix(stream, self.rows.first + at as u64 * self.rows.step));
        }
        out
    }

    fn ip(&self) -> ArrayRef {
        let (roaming, usual) = (threshold(ROAMING), self.p.stream(Draw::AddressOfDevice));
        let elsewhere = self.each(Draw::Ip, |d| if (d >> 32) < roaming { d | 1 } else { 0 });
        addresses(self.devices().iter().zip(&elsewhere).map(|(&device, &other)| match other {
            0 => mix(usual, device),
            other => mix(usual, other),
        }))
    }

    fn mcc(&self) -> ArrayRef {
        let category = self.p.stream(Draw::CategoryOfMerchant);
        let of = |m: u64| CATEGORIES[(mix(category, m) >> 60) as usize];
        Arc::new(Int32Array::from_iter_values(self.merchants().into_iter().map(of)))
    }

    fn amount(&self) -> ArrayRef {
        let mut cents = self.each(Draw::Amount, |d| i128::from(self.p.amounts.cents(d)));
        // Testing a stolen card is cheap: 0.50 to 4.99 instead of 1.09 to 1,120.00.
        self.bursts_of(Kind::Merchant).for_each(|(at, _)| cents[at] = 50 + cents[at] % 450);
        let array = Decimal128Array::new(ScalarBuffer::from(cents), None);
        Arc::new(array.with_precision_and_scale(12, 2).expect("DECIMAL(12, 2) is a type"))
    }

    fn status(&self) -> ArrayRef {
        let (usual, fraud) = (threshold(DECLINED[0]), threshold(DECLINED[1]));
        let mut declined = self.each(Draw::Status, |d| (d >> 32) < usual);
        let stream = self.p.stream(Draw::Status);
        for (at, _) in &self.bursts {
            declined[*at] = (mix(stream, self.rows.first + *at as u64 * self.rows.step) >> 32) < fraud;
        }
        statuses(&declined)
    }

    fn in_burst(&self) -> BooleanBuffer {
        let mut bits = MutableBuffer::new_null(self.rows.count);
        self.bursts.iter().for_each(|(at, _)| arrow::util::bit_util::set_bit(bits.as_slice_mut(), *at));
        BooleanBuffer::new(bits.into(), 0, self.rows.count)
    }

    fn burst_id(&self) -> ArrayRef {
        let mut ids = vec![0i64; self.rows.count];
        self.bursts.iter().for_each(|(at, b)| ids[*at] = b.id);
        Arc::new(Int64Array::new(ids.into(), Some(NullBuffer::new(self.in_burst()))))
    }
}

fn int64(values: impl ExactSizeIterator<Item = i64>) -> ArrayRef {
    let mut out = Vec::with_capacity(values.len());
    out.extend(values);
    Arc::new(Int64Array::new(out.into(), None))
}

/// ISO 3166 country and ISO 4217 currency.
const COUNTRIES: [([u8; 2], [u8; 3]); 24] = [
    (*b"US", *b"USD"),
    (*b"DE", *b"EUR"),
    (*b"GB", *b"GBP"),
    (*b"FR", *b"EUR"),
    (*b"IT", *b"EUR"),
    (*b"ES", *b"EUR"),
    (*b"NL", *b"EUR"),
    (*b"PL", *b"PLN"),
    (*b"CH", *b"CHF"),
    (*b"AT", *b"EUR"),
    (*b"SE", *b"SEK"),
    (*b"JP", *b"JPY"),
    (*b"CA", *b"CAD"),
    (*b"AU", *b"AUD"),
    (*b"BR", *b"BRL"),
    (*b"IN", *b"INR"),
    (*b"MX", *b"MXN"),
    (*b"TR", *b"TRY"),
    (*b"ZA", *b"ZAR"),
    (*b"NG", *b"NGN"),
    (*b"AE", *b"AED"),
    (*b"SG", *b"SGD"),
    (*b"KR", *b"KRW"),
    (*b"CN", *b"CNY"),
];

/// Home countries of 64 equal classes of cards.
const HOMES: [u8; 64] = {
    let shares = [14, 10, 8, 7, 5, 4, 3, 2, 1, 1, 1, 2, 1, 1, 1, 1, 1, 1];
    let mut homes = [0; 64];
    let (mut country, mut at) = (0, 0);
    while country < shares.len() {
        let mut k = 0;
        while k < shares[country] {
            homes[at] = country as u8;
            at += 1;
            k += 1;
        }
        country += 1;
    }
    assert!(at == 64);
    homes
};

/// The 16-digit number of a card: an issuer's six digits, nine digits that look random, Luhn's check digit.
///
/// Multiplying by a number without the factors 2 and 5 permutes the nine-digit numbers, so cards stay different.
fn card_number(card: u64) -> i64 {
    const ISSUERS: [u64; 4] = [400_000, 411_111, 520_082, 555_555];
    let account = (card * 387_420_489 + 271_828_183) % 1_000_000_000;
    let issuer = ISSUERS[(account & 3) as usize];
    let body = issuer * 1_000_000_000 + account;
    // Body digits from the right, doubled in turn beginning with the last: groups of three start doubled, plain, doubled.
    let (a, b, c) = (account % 1000, account / 1000 % 1000, account / 1_000_000);
    let (d, e) = (issuer % 1000, issuer / 1000);
    let sum = |group: u64, first_doubled: usize| u64::from(LUHN[first_doubled][group as usize]);
    let total = sum(a, 1) + sum(b, 0) + sum(c, 1) + sum(d, 0) + sum(e, 1);
    (body * 10 + (10 - total % 10) % 10) as i64
}

/// Luhn's sum of three digits; in `LUHN[1]` the last and the first are doubled, in `LUHN[0]` the middle one.
static LUHN: [[u8; 1000]; 2] = {
    let mut sums = [[0; 1000]; 2];
    let mut n = 0;
    while n < 1000 {
        let digits = [n % 10, n / 10 % 10, n / 100];
        let mut k = 0;
        while k < 3 {
            let twice = digits[k] * 2;
            let twice = if twice > 9 { twice - 9 } else { twice };
            let outer = k != 1;
            sums[1][n] += if outer { twice } else { digits[k] } as u8;
            sums[0][n] += if outer { digits[k] } else { twice } as u8;
            k += 1;
        }
        n += 1;
    }
    sums
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn card_numbers_have_sixteen_digits_and_pass_luhn() {
        let mut seen = std::collections::HashSet::new();
        for card in (0..20_000).chain([999_999_999, 2_147_483_647 % 1_000_000_000]) {
            let number = card_number(card);
            assert!((1_000_000_000_000_000..10_000_000_000_000_000).contains(&number));
            let sum: u32 = number.to_string().bytes().rev().enumerate().fold(0, |sum, (k, digit)| {
                let d = u32::from(digit - b'0');
                sum + if k % 2 == 0 { d } else { d * 2 / 10 + d * 2 % 10 }
            });
            assert_eq!(sum % 10, 0, "{number}");
            assert!(seen.insert(number), "{number} twice");
        }
    }
}
