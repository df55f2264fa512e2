//! The four workloads.

use clap::ValueEnum;

/// What is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Workload {
    /// Per merchant, windows of a minute: count, sum, max.
    W1,
    /// Per card, windows of an hour every five minutes: count, sum.
    W2,
    /// Per payment: count and sum over the card's last hour.
    W3,
    /// Per payment, over the last 1 m, 10 m, 1 h and 24 h: of the card count, sum and distinct merchants; of the device
    /// count and distinct cards; of the merchant count and sum.
    W4,
}

/// One minute.
pub const MINUTE_MS: i64 = 60_000;
/// One hour.
pub const HOUR_MS: i64 = 60 * MINUTE_MS;
/// The frames of W4.
pub const FRAMES_MS: [i64; 4] = [MINUTE_MS, 10 * MINUTE_MS, HOUR_MS, 24 * HOUR_MS];

impl Workload {
    /// All of them.
    pub const ALL: [Workload; 4] = [Self::W1, Self::W2, Self::W3, Self::W4];

    /// Its name in results.
    pub fn name(self) -> &'static str {
        match self {
            Self::W1 => "w1_merchant_minutes",
            Self::W2 => "w2_card_hop_1h_5m",
            Self::W3 => "w3_card_velocity_1h",
            Self::W4 => "w4_full_velocity",
        }
    }
    /// Microseconds of event time from row to row: 926 payments a second; 100 where frames are a day long, so that 20 M
    /// rows outlast them.
    pub fn pace_us(self) -> i64 {
        if self == Self::W4 { 10_000 } else { 1_080 }
    }
}
