//! A histogram that one worker writes and anybody reads, without a lock.
//!
//! High dynamic range: values below 128 have a counter each, above that every doubling is split into 64 equal counters,
//! so a value is known within 1.6 %. Reading copies the counters into an [`hdrhistogram::Histogram`], which merges
//! workers and answers quantiles. Recording costs one atomic addition; a histogram takes 19 kB.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// log2 of the counters per doubling.
const SPLIT_BITS: u32 = 6;
const SPLIT: u64 = 1 << SPLIT_BITS;
/// The largest value told apart: 2^43 ns are 2.4 hours. Above it values count as this one; the maximum is kept exactly.
const VALUE_MAX: u64 = (1 << 43) - 1;
const COUNTERS: usize = index(VALUE_MAX) + 1;

/// The counter of a value: its leading `SPLIT_BITS + 1` bits, behind all shorter ones.
const fn index(value: u64) -> usize {
    let v = if value < VALUE_MAX { value } else { VALUE_MAX };
    if v < 2 * SPLIT {
        return v as usize;
    }
    let shift = v.ilog2() - SPLIT_BITS;
    (shift as u64 * SPLIT + (v >> shift)) as usize
}

/// The largest value of a counter.
const fn highest(index: usize) -> u64 {
    let i = index as u64;
    if i < 2 * SPLIT {
        return i;
    }
    let shift = i / SPLIT - 1;
    ((i - shift * SPLIT + 1) << shift) - 1
}

/// Counters of values, written by one worker.
#[derive(Debug)]
pub struct Recorder {
    counters: Box<[AtomicU64]>,
    max: AtomicU64,
}

impl Default for Recorder {
    fn default() -> Self {
        Self { counters: (0..COUNTERS).map(|_| AtomicU64::new(0)).collect(), max: AtomicU64::new(0) }
    }
}

impl Recorder {
    /// Counts `value` `times` times.
    pub fn record(&self, value: u64, times: u64) {
        if times > 0 {
            self.counters[index(value)].fetch_add(times, Relaxed);
            self.max.fetch_max(value, Relaxed);
        }
    }
}

/// What a set of recorders has counted. Without values all fields are 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quantiles {
    /// Number of values.
    pub count: u64,
    /// Half of the values are at most this, within 1.6 %.
    pub p50: u64,
    /// 99 % are.
    pub p99: u64,
    /// 99.9 % are.
    pub p999: u64,
    /// The largest value, exactly.
    pub max: u64,
}

impl Quantiles {
    /// The values of all recorders together.
    pub fn of<'a>(recorders: impl IntoIterator<Item = &'a Recorder>) -> Quantiles {
        let mut all = Histogram::<u64>::new_with_max(VALUE_MAX, 3).expect("the bounds are constants in range");
        let mut max = 0;
        for r in recorders {
            max = max.max(r.max.load(Relaxed));
            for (i, n) in r.counters.iter().enumerate() {
                match n.load(Relaxed) {
                    0 => {}
                    n => all.saturating_record_n(highest(i), n),
                }
            }
        }
        let at = |q| all.value_at_quantile(q).min(max);
        Quantiles { count: all.len(), p50: at(0.5), p99: at(0.99), p999: at(0.999), max }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn counters_cover_all_values_without_gap_or_overlap() {
        assert_eq!((index(0), highest(COUNTERS - 1)), (0, VALUE_MAX));
        for i in 1..COUNTERS {
            assert_eq!((index(highest(i)), index(highest(i - 1) + 1)), (i, i));
        }
        assert_eq!(index(u64::MAX), COUNTERS - 1);
    }

    proptest! {
        #[test]
        fn quantiles_are_those_of_the_sorted_values(
            values in proptest::collection::vec(0u64..10_000_000_000, 1..500), parts in 1usize..4,
        ) {
            let recorders: Vec<Recorder> = (0..parts).map(|_| Recorder::default()).collect();
            values.iter().enumerate().for_each(|(i, v)| recorders[i % parts].record(*v, 1));
            let q = Quantiles::of(&recorders);
            let mut sorted = values.clone();
            sorted.sort_unstable();
            prop_assert_eq!((q.count, q.max), (values.len() as u64, *sorted.last().unwrap()));
            for (share, got) in [(0.5, q.p50), (0.99, q.p99), (0.999, q.p999)] {
                let exact = sorted[((sorted.len() as f64 * share).ceil() as usize).max(1) - 1];
                prop_assert!(exact <= got + got / 1_000 && got <= exact + exact / 50 + 1, "{share}: {exact} {got}");
            }
        }
    }
}
