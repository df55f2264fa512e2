//! The payments that both sides read, made in memory and reproducible.
//!
//! Row `i` happens at a steady pace and arrives up to 5 s late (one in ten; the others up to 0.2 s), so no row is late for
//! a watermark 5 s behind and both sides keep all rows. One million cards with a flat Zipf distribution (the busiest has
//! 0.25 % of the rows), 50,000 merchants with a steep one (11 %), each card has its device and one row in twenty comes
//! from another. Amounts are lognormal around 35.00.

/// A payment as a hand-written program would keep it.
#[derive(Clone, Copy, Debug)]
pub struct Payment {
    /// Event time, epoch milliseconds.
    pub ts: i64,
    /// Minor units.
    pub amount: i64,
    /// The card.
    pub card: u32,
    /// The merchant.
    pub merchant: u32,
    /// The device.
    pub device: u32,
}

/// How far a row may be behind the largest event time.
pub const DELAY_MS: i64 = 5_000;
const SEED: u64 = 42;
const START_MS: i64 = 1_767_225_600_000;
const CARDS: usize = 1_000_000;
const MERCHANTS: usize = 50_000;
const DEVICES: u64 = 1_300_000;

/// `rows` payments, one every `pace_us` microseconds of event time.
pub fn payments(rows: usize, pace_us: i64) -> Vec<Payment> {
    let (payments, mut r) = (Payments::new(pace_us), Random(SEED));
    (0..rows).map(|i| payments.row(i, &mut r)).collect()
}

/// Payments of which any part can be made by itself.
pub struct Payments {
    cards: Zipf,
    merchants: Zipf,
    pace_us: i64,
}

impl Payments {
    /// One every `pace_us` microseconds of event time.
    pub fn new(pace_us: i64) -> Self {
        Self { cards: Zipf::new(CARDS, 50.0), merchants: Zipf::new(MERCHANTS, 0.0), pace_us }
    }

    /// `rows` of them from row `first` on: the same whenever these two are.
    pub fn chunk(&self, first: usize, rows: usize) -> Vec<Payment> {
        let mut r = Random(SEED ^ (first as u64).wrapping_mul(0xD6E8_FEB8_6659_FD93));
        (first..first + rows).map(|i| self.row(i, &mut r)).collect()
    }

    fn row(&self, i: usize, r: &mut Random) -> Payment {
        let late = if r.below(10) == 0 { r.below(DELAY_MS as u64) } else { r.below(200) };
        let card = scatter(self.cards.draw(r), CARDS);
        let device = if r.below(20) == 0 { r.below(DEVICES) } else { Random(u64::from(card)).below(DEVICES) };
        Payment {
            ts: START_MS + DELAY_MS + i as i64 * self.pace_us / 1_000 - late as i64,
            amount: ((3_500f64.ln() + r.normal()).exp() as i64).clamp(1, 5_000_000),
            card,
            merchant: scatter(self.merchants.draw(r), MERCHANTS),
            device: device as u32,
        }
    }
}

/// Ranks to identifiers, so that popular keys are not neighbours.
fn scatter(rank: usize, of: usize) -> u32 {
    ((rank * 7_919 + 13) % of) as u32
}

/// SplitMix64: a counter and a mixing function.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
    fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(n)) >> 64) as u64
    }
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
    /// Box and Muller's method.
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.unit().max(1e-300).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }
}

/// P(rank k) ~ (k + shift)^-1.05, drawn in constant time by Walker's alias method.
struct Zipf {
    keep: Vec<f64>,
    alias: Vec<u32>,
}

impl Zipf {
    fn new(n: usize, shift: f64) -> Self {
        let weights: Vec<f64> = (1..=n).map(|k| (k as f64 + shift).powf(-1.05)).collect();
        let mean = weights.iter().sum::<f64>() / n as f64;
        let mut keep: Vec<f64> = weights.iter().map(|w| w / mean).collect();
        let mut alias: Vec<u32> = (0..n as u32).collect();
        let (mut low, mut high): (Vec<usize>, Vec<usize>) = (0..n).partition(|i| keep[*i] < 1.0);
        while let (Some(l), Some(&h)) = (low.pop(), high.last()) {
            alias[l] = h as u32;
            keep[h] -= 1.0 - keep[l];
            if keep[h] < 1.0 {
                high.pop();
                low.push(h);
            }
        }
        Self { keep, alias }
    }
    fn draw(&self, r: &mut Random) -> usize {
        let i = r.below(self.keep.len() as u64) as usize;
        if r.unit() < self.keep[i] { i } else { self.alias[i] as usize }
    }
}
