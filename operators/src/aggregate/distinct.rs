//! APPROX_COUNT_DISTINCT: HyperLogLog with 4,096 registers.
//!
//! A value's hash names a register (12 bits) and a *rank*: one more than the zeros before the first one of the other 52
//! bits. A register holds its greatest rank. What is kept is a set of [`code`]s, register and rank in one number, so that
//! states merge, and that of a hopping window can be taken apart again. The estimate is Ertl's ("New cardinality estimation
//! algorithms for HyperLogLog sketches", 2017, the improved raw estimator): without tables, and without a bias between few
//! and many values. Standard error: 1.04 / √4096 = 1.6 %; some hundred values are counted almost exactly.
//!
//! The estimate is a function of how many registers have which rank, in IEEE arithmetic in a fixed order, so neither the
//! order of rows nor the machine shows.

use highwater_engine::hash::hash_i64;

/// Bits of a register's number.
const REGISTER_BITS: u32 = 12;
const REGISTERS: usize = 1 << REGISTER_BITS;
/// The greatest rank: all other bits of the hash are zero.
const RANK_MAX: usize = 64 - REGISTER_BITS as usize + 1;
/// Ranks that a code has room for.
const RANKS: i64 = 64;

/// Register and rank of a value by its hash.
pub fn code(hash: u64) -> i64 {
    // the hash of a key decides its worker: mixed again, whatever x is grouped by
    let hash = hash_i64(hash as i64);
    let register = (hash >> (64 - REGISTER_BITS)) as i64;
    let rank = (hash << REGISTER_BITS | 1 << (REGISTER_BITS - 1)).leading_zeros() + 1;
    register * RANKS + i64::from(rank)
}

/// The codes of the same register.
pub fn register_of(code: i64) -> std::ops::Range<i64> {
    let first = code / RANKS * RANKS;
    first..first + RANKS
}

/// How many distinct values these codes are of, in ascending order.
pub fn estimate(codes: impl Iterator<Item = i64>) -> i64 {
    let mut ranks = [0u32; RANK_MAX + 1];
    let mut held = 0;
    let mut last: Option<i64> = None;
    for code in codes {
        match last {
            Some(l) if register_of(l).contains(&code) => ranks[(l % RANKS) as usize] -= 1,
            _ => held += 1,
        }
        ranks[(code % RANKS) as usize] += 1;
        last = Some(code);
    }
    ranks[0] = REGISTERS as u32 - held;
    let m = REGISTERS as f64;
    let mut z = m * tau(1.0 - f64::from(ranks[RANK_MAX]) / m);
    for n in ranks[1..RANK_MAX].iter().rev() {
        z = 0.5 * (z + f64::from(*n));
    }
    z += m * sigma(f64::from(ranks[0]) / m);
    // m² / (2 ln 2 · z)
    (m * m / (2.0 * std::f64::consts::LN_2 * z)).round() as i64
}

/// x + Σ x^(2^k)·2^(k−1): what registers without a value add.
fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

/// ⅓·(1 − x − Σ (1 − x^(2^−k))²·2^−k): what registers of the greatest rank add.
fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if z == before {
            return z / 3.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn of(values: impl Iterator<Item = i64>) -> i64 {
        let codes: BTreeSet<i64> = values.map(|v| code(hash_i64(v))).collect();
        estimate(codes.into_iter())
    }

    #[test]
    fn nothing_is_zero_and_a_few_values_are_counted_exactly() {
        assert_eq!(of(std::iter::empty()), 0);
        for n in 1..=20 {
            assert_eq!(of(0..n), n);
        }
        assert_eq!(of((0..10_000).map(|i| i % 7)), 7);
    }

    /// 40 estimates of each number of values. The standard error is 1.6 %: their root mean square may be a quarter above it,
    /// their mean is within three standard errors of a mean of 40.
    #[test]
    fn the_error_is_the_one_that_is_stated() {
        for n in [100, 1_000, 4_096, 10_000, 20_000, 100_000] {
            let error = |seed: i64| of((0..n).map(|i| seed * 1_000_000_007 + i)) as f64 / n as f64 - 1.0;
            let errors: Vec<f64> = (1..=40).map(error).collect();
            let mean = errors.iter().sum::<f64>() / 40.0;
            let square = (errors.iter().map(|e| e * e).sum::<f64>() / 40.0).sqrt();
            assert!(square < 0.0163 * 1.25 && mean.abs() < 0.0163 * 3.0 / 40f64.sqrt(), "{n}: {square} {mean}");
            assert!(errors.iter().all(|e| e.abs() < 0.0163 * 4.0), "{n}: {errors:?}");
        }
    }

    #[test]
    fn a_code_names_a_register_and_a_rank() {
        for v in 0..10_000 {
            let c = code(v);
            assert!((0..(REGISTERS as i64) * RANKS).contains(&c));
            assert!((1..=RANK_MAX as i64).contains(&(c % RANKS)) && register_of(c).contains(&c));
        }
    }
}
