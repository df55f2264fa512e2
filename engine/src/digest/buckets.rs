//! Digests by event-time bucket: the running sums, and the summary that is written, read back and compared.

use super::Digest;
use crate::limits::DIGEST_BUCKETS_MAX;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The narrowest bucket.
const WIDTH_MS_MIN: i64 = 1_000;
/// The widest has `WIDTH_MS_MIN << 53`: all of time is then a handful of buckets.
const DOUBLINGS_MAX: u32 = 53;

/// A bucket of a summary: its first instant (epoch milliseconds), its number of rows, their digest. In JSON an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket(pub i64, pub i64, pub Digest);

/// A digest by event-time bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Buckets {
    /// Width of every bucket: a power of two times one second.
    pub width_ms: i64,
    /// The buckets that hold rows, ascending.
    pub rows: Vec<Bucket>,
}

/// Where two summaries differ first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    /// First instant of the bucket.
    pub start_ms: i64,
    /// Its width.
    pub width_ms: i64,
    /// Rows and digest on the left.
    pub left: (i64, Digest),
    /// Rows and digest on the right.
    pub right: (i64, Digest),
}

impl Buckets {
    /// The same rows in wider buckets. `None` if `width_ms` is narrower, or no power of two times one second.
    pub fn fold(&self, width_ms: i64) -> Option<Buckets> {
        if width_ms < self.width_ms || doublings(width_ms).is_none() {
            return None;
        }
        let mut rows: Vec<Bucket> = Vec::new();
        for &Bucket(start, n, digest) in &self.rows {
            let start = start.div_euclid(width_ms).saturating_mul(width_ms);
            match rows.last_mut() {
                Some(last) if last.0 == start => {
                    *last = Bucket(start, last.1.wrapping_add(n), Digest(last.2.0.wrapping_add(digest.0)));
                }
                _ => rows.push(Bucket(start, n, digest)),
            }
        }
        rows.retain(|b| b.1 != 0 || b.2.0 != 0);
        Some(Buckets { width_ms, rows })
    }

    /// The part inside `[from_ms, to_ms)`. `None` if an edge lies inside a bucket that holds rows: the summary can't tell.
    pub fn range(&self, from_ms: i64, to_ms: i64) -> Option<Buckets> {
        let last = |b: &Bucket| b.0.saturating_add(self.width_ms - 1);
        let cut = |b: &&Bucket| (b.0 < from_ms && from_ms <= last(b)) || (b.0 < to_ms && to_ms <= last(b));
        if self.rows.iter().any(|b| cut(&b)) {
            return None;
        }
        let rows = self.rows.iter().filter(|b| from_ms <= b.0 && b.0 < to_ms).copied().collect();
        Some(Buckets { width_ms: self.width_ms, rows })
    }

    /// Rows and digest of all buckets together.
    pub fn total(&self) -> (i64, Digest) {
        let add = |(n, d): (i64, Digest), b: &Bucket| (n.wrapping_add(b.1), Digest(d.0.wrapping_add(b.2.0)));
        self.rows.iter().fold((0, Digest(0)), add)
    }

    /// The first bucket in which two summaries differ, in the wider of both widths; `None` if they are equal.
    pub fn first_difference(&self, other: &Buckets) -> Option<Difference> {
        let width_ms = self.width_ms.max(other.width_ms);
        let (left, right) = (self.fold(width_ms)?, other.fold(width_ms)?);
        let by_start = |b: &Buckets| b.rows.iter().map(|b| (b.0, (b.1, b.2))).collect::<BTreeMap<_, _>>();
        let (left, right) = (by_start(&left), by_start(&right));
        let starts = left.keys().chain(right.keys()).filter(|s| left.get(s) != right.get(s));
        starts.min().map(|start| Difference {
            start_ms: *start,
            width_ms,
            left: left.get(start).copied().unwrap_or_default(),
            right: right.get(start).copied().unwrap_or_default(),
        })
    }
}

/// How often the narrowest width doubles to give this one.
fn doublings(width_ms: i64) -> Option<u32> {
    let times = width_ms / WIDTH_MS_MIN;
    (width_ms > 0 && width_ms % WIDTH_MS_MIN == 0 && times.count_ones() == 1).then(|| times.trailing_zeros())
}

/// A summary as read from a file.
#[derive(Deserialize)]
struct Unchecked {
    width_ms: i64,
    rows: Vec<Bucket>,
}

impl TryFrom<Unchecked> for Buckets {
    type Error = String;
    fn try_from(raw: Unchecked) -> Result<Buckets, String> {
        let Unchecked { width_ms, rows } = raw;
        if doublings(width_ms).is_none() {
            return Err(format!("bucket width {width_ms} ms is not a power of two times 1000 ms"));
        }
        // The bucket that holds the smallest of all instants begins before it and is written with that instant.
        if let Some(b) = rows.iter().find(|b| b.0 % width_ms != 0 && b.0 != i64::MIN) {
            return Err(format!("bucket {} does not begin at a multiple of {width_ms} ms", b.0));
        }
        if let Some(w) = rows.windows(2).find(|w| w[0].0 >= w[1].0) {
            return Err(format!("bucket {} stands behind bucket {}; buckets ascend", w[1].0, w[0].0));
        }
        Ok(Buckets { width_ms, rows })
    }
}

/// Rows and the sum of their hashes.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    rows: i64,
    hash: u128,
}

impl Sum {
    #[inline(always)]
    fn add(&mut self, rows: i64, hash: u128) {
        self.rows = self.rows.wrapping_add(rows);
        self.hash = self.hash.wrapping_add(hash);
    }
}

/// The running sums. Consecutive rows mostly share a bucket: the current one is kept apart, with its borders.
#[derive(Clone, Debug)]
pub(super) struct Sums {
    doublings: u32,
    closed: BTreeMap<i64, Sum>,
    /// Index, first and last instant of the current bucket; an empty range before the first row.
    index: i64,
    first: i64,
    last: i64,
    current: Sum,
}

impl Default for Sums {
    fn default() -> Self {
        Self { doublings: 0, closed: BTreeMap::new(), index: 0, first: 0, last: -1, current: Sum::default() }
    }
}

impl Sums {
    /// The sums that a summary was made of.
    pub(super) fn of(buckets: &Buckets) -> Self {
        let sum = |b: &Bucket| (b.0.div_euclid(buckets.width_ms), Sum { rows: b.1, hash: b.2.0 });
        Self {
            doublings: doublings(buckets.width_ms).unwrap_or(0),
            closed: buckets.rows.iter().map(sum).collect(),
            ..Self::default()
        }
    }

    /// Adds rows of one instant.
    #[inline(always)]
    pub(super) fn add(&mut self, time: i64, rows: i64, hash: u128) {
        if time < self.first || time > self.last {
            self.turn_to(time);
        }
        self.current.add(rows, hash);
    }

    /// Makes the bucket of `time` the current one.
    #[cold]
    fn turn_to(&mut self, time: i64) {
        self.close();
        while self.closed.len() > DIGEST_BUCKETS_MAX {
            self.double();
        }
        let width = WIDTH_MS_MIN << self.doublings;
        self.index = time.div_euclid(width);
        self.first = self.index.saturating_mul(width);
        self.last =
            i64::try_from(i128::from(self.index) * i128::from(width) + i128::from(width) - 1).unwrap_or(i64::MAX);
    }

    /// Moves the current bucket among the others; no bucket is current then.
    fn close(&mut self) {
        if self.first <= self.last {
            let Sum { rows, hash } = std::mem::take(&mut self.current);
            self.closed.entry(self.index).or_default().add(rows, hash);
            (self.first, self.last) = (0, -1);
        }
    }

    fn double(&mut self) {
        assert!(self.doublings < DOUBLINGS_MAX, "all of time is a handful of buckets");
        self.doublings += 1;
        for (index, sum) in std::mem::take(&mut self.closed) {
            self.closed.entry(index >> 1).or_default().add(sum.rows, sum.hash);
        }
    }

    /// All rows in closed buckets, in the limit.
    fn settled(&self) -> Sums {
        let mut s = self.clone();
        s.close();
        while s.closed.len() > DIGEST_BUCKETS_MAX {
            s.double();
        }
        s
    }

    pub(super) fn merge(&mut self, other: &Sums) {
        let mut other = other.settled();
        self.close();
        while self.doublings < other.doublings {
            self.double();
        }
        while other.doublings < self.doublings {
            other.double();
        }
        for (index, sum) in other.closed {
            self.closed.entry(index).or_default().add(sum.rows, sum.hash);
        }
        while self.closed.len() > DIGEST_BUCKETS_MAX {
            self.double();
        }
    }

    pub(super) fn total(&self) -> (i64, Digest) {
        let mut all = self.current;
        self.closed.values().for_each(|s| all.add(s.rows, s.hash));
        (all.rows, Digest(all.hash))
    }

    pub(super) fn buckets(&self) -> Buckets {
        let s = self.settled();
        let width_ms = WIDTH_MS_MIN << s.doublings;
        let rows = s.closed.iter().filter(|(_, s)| s.rows != 0 || s.hash != 0);
        let rows = rows.map(|(i, s)| Bucket(i.saturating_mul(width_ms), s.rows, Digest(s.hash))).collect();
        Buckets { width_ms, rows }
    }
}
