//! Tagging: the running maximum of event time, lateness, cuts, identity. In partition order.

use super::partition::{Partition, after};
use super::prepare::{BLOCK_ROWS, Bounds, Prepared};
use super::share::too_many;
use super::{Cuts, Intake};
use crate::batch::{Batch, Identity, ON_TIME, Origin, Selection};
use crate::error::SourceError;
use crate::graph::TimeRange;
use crate::operator::BadRow;
use arrow::array::BooleanArray;
use arrow::buffer::ScalarBuffer;
use std::sync::Arc;

/// Rows ready for the dataflow.
pub(in super::super) struct Tagged {
    /// The rows; may be empty.
    pub(in super::super) batch: Batch,
    /// Bad rows with their watermarks.
    pub(in super::super) bad: Vec<BadRow>,
    /// Rows decoded, bad ones included.
    pub(in super::super) rows: u64,
    /// Rows that were late.
    pub(in super::super) late: u64,
    /// Bytes of input.
    pub(in super::super) bytes: u64,
    /// Largest event time of the partition so far.
    pub(in super::super) max_ms: i64,
    /// When the rows were decoded.
    pub(in super::super) decoded: std::time::Instant,
}

/// Tags a chunk whose turn it is and moves the partition's maximum. It fails if too many of the last rows are bad.
pub(super) fn tag(
    intake: &Intake,
    index: usize,
    partition: &mut Partition,
    p: Prepared,
    epoch: u64,
) -> Result<Tagged, SourceError> {
    let delay_ms = intake.spec.watermark_delay_ms;
    let max_before = partition.max_ms;
    let (tags, max_ms, late) = lateness(&p.times, &p.blocks, max_before, delay_ms);
    let cuts = match intake.cuts {
        Cuts::None => None,
        Cuts::Content { quantum_ms } => Some(cuts(&p.times, max_before, quantum_ms)),
        Cuts::Epoch => Some(vec![i64::try_from(epoch).unwrap_or(i64::MAX - 1); p.times.len()].into()),
    };
    let bad = bad_rows(intake, index, partition, &p)?;
    partition.max_ms = max_ms;
    partition.next = Some(p.end);
    partition.pending = false;
    let origin = Origin {
        source: intake.index,
        partition: index as u32,
        offsets: p.offsets,
        times: p.times.clone(),
        max_before,
        delay_ms,
        cuts,
    };
    let rows = (p.times.len() + bad.len()) as u64;
    let batch = Batch::new(p.columns, p.times)
        .with_tags(tags)
        .with_identity(Some(Identity::Partition(Arc::new(origin), Selection::Run(0))));
    let reads = intake.spec.reads;
    let inside = rows_inside(reads, p.bounds);
    let batch = if inside { batch } else { within_reach(reads, batch) };
    Ok(Tagged { batch, bad, rows, late, bytes: p.bytes, max_ms, decoded: p.decoded })
}

/// W_p(row) of each late row, the new maximum, and how many rows are late.
fn lateness(times: &[i64], blocks: &[Bounds], max_before: i64, delay_ms: i64) -> (Option<ScalarBuffer<i64>>, i64, u64) {
    if let Some(max) = all_on_time(times, blocks, max_before, delay_ms) {
        return (None, max, 0);
    }
    let (mut max, mut late) = (max_before, 0u64);
    let mut watermark = if max == i64::MIN { i64::MIN } else { after(max, delay_ms) };
    let mut tags: Option<Vec<i64>> = None;
    for (i, &t) in times.iter().enumerate() {
        if t > max {
            max = t;
            watermark = after(max, delay_ms);
        } else if t < watermark {
            late += 1;
            tags.get_or_insert_with(|| vec![ON_TIME; times.len()])[i] = watermark;
        }
    }
    (tags.map(ScalarBuffer::from), max, late)
}

/// The new maximum, if no row is late. Rows are looked at one by one only in blocks whose bounds leave it open.
fn all_on_time(times: &[i64], blocks: &[Bounds], max_before: i64, delay_ms: i64) -> Option<i64> {
    let mut max = max_before;
    for (rows, block) in times.chunks(BLOCK_ROWS).zip(blocks) {
        let max_after = max.max(block.max);
        if block.min < after(max_after, delay_ms) && any_late(rows, max, delay_ms) {
            return None;
        }
        max = max_after;
    }
    Some(max)
}

/// Whether a row is late behind this maximum and the rows before it.
fn any_late(times: &[i64], mut max: i64, delay_ms: i64) -> bool {
    times.iter().any(|&t| {
        let late = max != i64::MIN && t <= max && t < after(max, delay_ms);
        max = max.max(t);
        late
    })
}

fn cuts(times: &[i64], max_before: i64, quantum_ms: i64) -> ScalarBuffer<i64> {
    let (mut max, mut cut) = (max_before, max_before.div_euclid(quantum_ms));
    times
        .iter()
        .map(|&t| {
            if t > max {
                max = t;
                cut = max.div_euclid(quantum_ms);
            }
            cut
        })
        .collect()
}

/// Gives each bad row the watermark just before it, unless they are too many.
fn bad_rows(intake: &Intake, index: usize, at: &mut Partition, p: &Prepared) -> Result<Vec<BadRow>, SourceError> {
    let (source, partition, delay_ms) = (intake.index, index as u32, intake.spec.watermark_delay_ms);
    let (mut good, mut max) = (0, at.max_ms);
    let watermark = |max: i64| if max == i64::MIN { i64::MIN } else { after(max, delay_ms) };
    let mut rows = Vec::with_capacity(p.bad.len());
    for (i, b) in p.bad.iter().enumerate() {
        while good < p.times.len() && p.offsets.at(good) < b.offset {
            max = max.max(p.times[good]);
            good += 1;
        }
        let of_last = at.bad_rows.add((good + i) as u64);
        if of_last > intake.spec.bad_rows_max as usize {
            return Err(too_many(intake, index, of_last, b.offset, &b.reason));
        }
        let (reason, raw) = (b.reason.clone(), b.raw.clone());
        rows.push(BadRow { source, partition, offset: b.offset, reason, raw, watermark: watermark(max) });
    }
    at.bad_rows.passed((p.times.len() + p.bad.len()) as u64);
    Ok(rows)
}

/// Whether all rows lie in what a replay reads.
fn rows_inside(reads: TimeRange, bounds: Bounds) -> bool {
    bounds.min > bounds.max || (reads.contains(bounds.min) && reads.contains(bounds.max))
}

/// A replay of a part of history drops on-time rows outside of what it reads; late rows stay for `t$late`.
fn within_reach(reads: TimeRange, batch: Batch) -> Batch {
    let mask: BooleanArray =
        (0..batch.rows()).map(|i| Some(reads.contains(batch.times()[i]) || batch.tag(i).is_some())).collect();
    batch.filter(&mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(times: &[i64], max_before: i64) -> (Option<ScalarBuffer<i64>>, i64, u64) {
        lateness(times, &Bounds::of_blocks(times).0, max_before, 5)
    }

    #[test]
    fn a_batch_without_late_rows_has_no_tags_and_one_with_has_them_at_any_end_of_time() {
        for times in [&[7, 3, 4, 9][..], &[7], &[], &[i64::MAX - 9, i64::MAX - 11], &[i64::MIN + 9, i64::MIN + 6]] {
            assert!(judge(times, i64::MIN).0.is_none(), "{times:?}");
        }
        for (times, max) in [(&[7, 2][..], i64::MIN), (&[3], 8), (&[i64::MAX - 9, i64::MIN + 9], i64::MIN)] {
            assert_eq!(judge(times, max).2, 1, "{times:?} after {max}");
        }
    }

    #[test]
    fn a_row_is_late_below_the_watermark_just_before_it() {
        // Delay 5: after 100 the watermark is 96 (exclusive), so 96 is on time and 95 late.
        let (tags, max, late) = judge(&[100, 96, 95, 101, 96, 97], i64::MIN);
        assert_eq!(&tags.unwrap()[..], &[ON_TIME, ON_TIME, 96, ON_TIME, 97, ON_TIME]);
        assert_eq!((max, late), (101, 2));
    }

    #[test]
    fn lateness_does_not_depend_on_chunk_borders() {
        let times = [50, 10, 60, 52, 54, 70, 1, 64, 65];
        let (whole, ..) = judge(&times, i64::MIN);
        for at in 0..=times.len() {
            let (a, max, _) = judge(&times[..at], i64::MIN);
            let (b, ..) = judge(&times[at..], max);
            let part = |t: Option<ScalarBuffer<i64>>, n| t.map_or(vec![ON_TIME; n], |t| t.to_vec());
            assert_eq!([part(a, at), part(b, times.len() - at)].concat(), whole.as_ref().unwrap().to_vec());
        }
    }

    #[test]
    fn blocks_say_what_rows_one_by_one_say() {
        let mut random = 1u64;
        let mut below = |n: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((random >> 33) % n) as i64
        };
        for disorder in [2, 5, 6, 7, 50] {
            let times: Vec<i64> = (0..1_000).map(|i| i / 3 - below(disorder)).collect();
            let late = (1..times.len()).filter(|&i| times[i] < *times[..i].iter().max().unwrap() - 5 + 1).count();
            assert_eq!(judge(&times, i64::MIN).2, late as u64, "disorder {disorder}");
        }
    }

    #[test]
    fn a_cut_ends_before_the_row_whose_maximum_reaches_the_next_quantum() {
        assert_eq!(&cuts(&[5, 999, 1000, 3, 2500, 1999], i64::MIN, 1000)[..], &[0, 0, 1, 1, 2, 2]);
    }
}
