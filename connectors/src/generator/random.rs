//! Stateless random numbers and the distributions made of them.
//!
//! Row `i` of stream `k` draws `mix(k, i)`: no state, so any row of any column can be computed alone. Distributions are
//! tables of quantiles with linear interpolation in integers; the tables are built from IEEE additions, products,
//! quotients and square roots only, whose results are the same on every machine (those of a libm are not).

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
/// Cells of a quantile table.
const CELLS: usize = 1024;
const CELL_BITS: u32 = 32 - CELLS.ilog2();

/// A 64-bit random number of a row in a stream: SplitMix64 at position `row`.
#[inline(always)]
pub const fn mix(stream: u64, row: u64) -> u64 {
    let z = stream.wrapping_add(row.wrapping_mul(GOLDEN));
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The key of a stream of draws. Streams of one seed are independent of each other.
pub const fn stream(seed: u64, number: u64) -> u64 {
    mix(mix(seed, 1), number.wrapping_add(2))
}

/// Scales the upper 32 bits of a draw to `0 .. n`, `n` below 2^32.
#[inline(always)]
pub const fn below(draw: u64, n: u64) -> u64 {
    ((draw >> 32) * n) >> 32
}

/// A share as a threshold for the upper 32 bits of a draw.
pub fn threshold(share: f64) -> u64 {
    (share * 4_294_967_296.0) as u64
}

/// Keys `0 .. n` with popularity falling as a power of their rank: key `x` is drawn with density `x^-skew`.
#[derive(Debug)]
pub struct Skewed {
    /// Quantiles at multiples of 1/1024, in 2^-32.
    points: Vec<u64>,
    n: u64,
}

impl Skewed {
    /// `n` keys, at most 2^31; `skew` in thousandths: 0 is uniform, 999 is almost Zipf's law.
    pub fn new(n: u64, skew: u32) -> Self {
        assert!(n > 0 && n <= 1 << 31 && skew < 1000, "key counts and skew are checked with the options");
        let exponent = 1000.0 / f64::from(1000 - skew);
        let points = (0..=CELLS).map(|c| (power(c as f64 / CELLS as f64, exponent) * 4_294_967_296.0) as u64).collect();
        Self { points, n }
    }

    /// The key that a draw falls on.
    #[inline(always)]
    pub fn key(&self, draw: u64) -> u64 {
        (interpolate(&self.points, draw) * self.n) >> 32
    }
}

/// Amounts in cents: log-normal around 35.00 (σ = 1, cut at 1.09 and 1,120.00).
///
/// The normal variate is the sum of four uniform 16-bit numbers, the four parts of one draw.
#[derive(Debug)]
pub struct Amounts {
    /// Cents in 2^-10 at every 256th value of the sum.
    points: Vec<u64>,
}

impl Amounts {
    const MEDIAN_CENTS: f64 = 3500.0;
    /// Mean of the sum of four uniform 16-bit numbers.
    const MEAN: f64 = 131_070.0;
    /// log2(e) / standard deviation of the sum: σ of the logarithm is 1.
    const OCTAVES: f64 = std::f64::consts::LOG2_E / 37_837.2;

    /// The amount that a draw falls on.
    #[inline(always)]
    pub fn cents(&self, draw: u64) -> i64 {
        let sum = (draw & 0xFFFF) + (draw >> 16 & 0xFFFF) + (draw >> 32 & 0xFFFF) + (draw >> 48);
        let (cell, rest) = ((sum >> 8) as usize, sum & 0xFF);
        let (a, b) = (self.points[cell], self.points[cell + 1]);
        ((a + (((b - a) * rest) >> 8)) >> 10) as i64
    }
}

impl Default for Amounts {
    fn default() -> Self {
        let cents = |k: usize| exp2((k as f64 * 256.0 - Self::MEAN) * Self::OCTAVES) * Self::MEDIAN_CENTS;
        Self { points: (0..=CELLS + 1).map(|k| (cents(k) * 1024.0) as u64).collect() }
    }
}

/// The quantile at the upper 32 bits of a draw.
#[inline(always)]
fn interpolate(points: &[u64], draw: u64) -> u64 {
    let u = draw >> 32;
    let (cell, rest) = ((u >> CELL_BITS) as usize, u & ((1 << CELL_BITS) - 1));
    let (a, b) = (points[cell], points[cell + 1]);
    a + (((b - a) * rest) >> CELL_BITS)
}

/// `x^y` for x in 0 … 1, to about 40 bits.
fn power(x: f64, y: f64) -> f64 {
    if x == 0.0 { 0.0 } else { exp2(log2(x) * y) }
}

/// 2^y to about 40 bits, by square roots of 2.
fn exp2(y: f64) -> f64 {
    let whole = y.floor();
    let mut rest = y - whole;
    let mut root = 2.0f64;
    let mut result = 1.0f64;
    for _ in 0..48 {
        root = root.sqrt();
        rest *= 2.0;
        if rest >= 1.0 {
            rest -= 1.0;
            result *= root;
        }
    }
    let steps = whole as i64;
    for _ in 0..steps.unsigned_abs().min(1100) {
        result = if steps < 0 { result / 2.0 } else { result * 2.0 };
    }
    result
}

/// log2 of x > 0 to about 40 bits, by repeated squaring.
fn log2(x: f64) -> f64 {
    let (mut x, mut whole) = (x, 0.0);
    while x < 1.0 {
        x *= 2.0;
        whole -= 1.0;
    }
    while x >= 2.0 {
        x /= 2.0;
        whole += 1.0;
    }
    let (mut bit, mut rest) = (1.0, 0.0);
    for _ in 0..48 {
        x *= x;
        bit /= 2.0;
        if x >= 2.0 {
            x /= 2.0;
            rest += bit;
        }
    }
    whole + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitmix64_has_its_published_values() {
        // The first outputs for seed 0 (Vigna's splitmix64.c).
        assert_eq!(mix(0, 1), 0xE220_A839_7B1D_CDAF);
        assert_eq!(mix(0, 2), 0x6E78_9E6A_A1B9_65F4);
        assert_eq!(mix(0, 3), 0x06C4_5D18_8009_454F);
    }

    #[test]
    fn powers_agree_with_the_mathematical_library() {
        for k in 1..=1000 {
            let (x, y) = (f64::from(k) / 1000.0, 1.0 + f64::from(k % 90) / 10.0);
            assert!((power(x, y) - x.powf(y)).abs() < 1e-10, "{x}^{y}");
        }
        assert!((exp2(4.5) - 4.5f64.exp2()).abs() < 1e-9);
        assert!((exp2(-4.5) - (-4.5f64).exp2()).abs() < 1e-12);
    }

    #[test]
    fn amounts_are_log_normal_around_35() {
        let amounts = Amounts::default();
        let mut cents: Vec<_> = (0..100_000).map(|i| amounts.cents(mix(7, i))).collect();
        cents.sort_unstable();
        let at = |q: f64| cents[(q * 100_000.0) as usize] as f64 / 3500.0;
        // Quantiles of exp(N(0, 1)); four uniforms are a little lighter in the tail than a normal.
        for (q, expected) in [(0.05, 0.193), (0.25, 0.509), (0.5, 1.0), (0.75, 1.963), (0.95, 5.18)] {
            assert!((at(q) / expected - 1.0).abs() < 0.04, "quantile {q}: {} for {expected}", at(q));
        }
        assert!(cents[0] >= 100 && cents[99_999] <= 115_000);
        // The extremes of a draw stay inside the table.
        assert!(amounts.cents(0) > 0 && amounts.cents(u64::MAX) < 120_000);
    }

    #[test]
    fn skewed_keys_follow_the_power_law() {
        let skewed = Skewed::new(10_000, 600);
        let mut seen = vec![0u32; 10_000];
        (0..1_000_000).for_each(|i| seen[skewed.key(mix(3, i)) as usize] += 1);
        // Share of the keys below x is (x / n)^(1 - skew).
        for x in [1usize, 10, 100, 1000, 5000] {
            let share = f64::from(seen[..x].iter().sum::<u32>()) / 1e6;
            let expected = (x as f64 / 10_000.0).powf(0.4);
            assert!((share / expected - 1.0).abs() < 0.03, "{x}: {share} for {expected}");
        }
        let uniform = Skewed::new(7, 0);
        assert_eq!((uniform.key(0), uniform.key(u64::MAX)), (0, 6));
    }
}
