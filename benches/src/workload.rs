//! The workloads.

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
    /// Per card, sessions with a gap of ten minutes: count, sum.
    W5,
    /// Per merchant, hours that are shown every five minutes while they grow: count, sum.
    W6,
    /// Per merchant and hour, the three largest payments.
    W7,
    /// Per card and hour, the first payment.
    W8,
    /// Per payment: count and sum over the card's last 48 minutes, twice, three times .. thirty times that: a day.
    W9,
}

/// One minute.
pub const MINUTE_MS: i64 = 60_000;
/// One hour.
pub const HOUR_MS: i64 = 60 * MINUTE_MS;
/// The frames of W4.
pub const FRAMES_MS: [i64; 4] = [MINUTE_MS, 10 * MINUTE_MS, HOUR_MS, 24 * HOUR_MS];
/// The frames of W9.
pub const THIRTY_FRAMES_MS: [i64; 30] = {
    let mut frames = [0; 30];
    let mut i = 0;
    while i < frames.len() {
        frames[i] = (i as i64 + 1) * 48 * MINUTE_MS;
        i += 1;
    }
    frames
};
/// The gap of W5.
pub const GAP_MS: i64 = 10 * MINUTE_MS;
/// The rows of W7.
pub const TOP: usize = 3;

impl Workload {
    /// All of them.
    pub const ALL: [Workload; 9] =
        [Self::W1, Self::W2, Self::W3, Self::W4, Self::W5, Self::W6, Self::W7, Self::W8, Self::W9];

    /// Its name in results.
    pub fn name(self) -> &'static str {
        match self {
            Self::W1 => "w1_merchant_minutes",
            Self::W2 => "w2_card_hop_1h_5m",
            Self::W3 => "w3_card_velocity_1h",
            Self::W4 => "w4_full_velocity",
            Self::W5 => "w5_card_sessions_10m",
            Self::W6 => "w6_merchant_cumulate_1h_5m",
            Self::W7 => "w7_merchant_top_3_1h",
            Self::W8 => "w8_card_first_1h",
            Self::W9 => "w9_card_30_frames",
        }
    }
    /// Microseconds of event time from row to row: 926 payments a second; 100 where frames are a day long, so that 20 M
    /// rows outlast them.
    pub fn pace_us(self) -> i64 {
        if matches!(self, Self::W4 | Self::W9) { 10_000 } else { 1_080 }
    }
}
