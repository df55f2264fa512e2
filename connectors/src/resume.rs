//! One property of every source: reading on from the end of any chunk gives exactly what was still to come, whatever the
//! chunks were.

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use highwater_engine::checkpoint::seal::sha256;
use highwater_engine::source::{PartitionReader, Position, Read};
use proptest::prelude::*;

/// A record as read: its offset, then its values, or why it is bad with the hash of its bytes.
pub type Record = (i64, Result<String, (String, Option<String>)>);

/// How a partition is read: chunks of at most so many rows, and whether everything is dropped behind each of them and the
/// partition opened anew. Used in turn, again and again.
pub type Plan = Vec<(usize, bool)>;

/// Any plan with chunks of at most `rows_max` rows.
pub fn plans(rows_max: usize) -> impl Strategy<Value = Plan> {
    prop::collection::vec((1..=rows_max, prop::bool::weighted(0.4)), 1..12)
}

fn shown(batch: &RecordBatch, row: usize) -> String {
    let options = FormatOptions::default().with_null("~");
    let text = |c| ArrayFormatter::try_new(c, &options).unwrap().value(row).to_string();
    batch.columns().iter().map(|c| text(c.as_ref())).collect::<Vec<_>>().join("|")
}

/// Reads a partition by a plan; also the bytes of its chunks and where it ended.
pub fn read(
    open: &dyn Fn(Option<&Position>) -> Box<dyn PartitionReader>,
    plan: &[(usize, bool)],
) -> (Vec<Record>, u64, Option<Position>) {
    let (mut records, mut bytes, mut at) = (Vec::<Record>::new(), 0, None);
    let mut plan = plan.iter().cycle();
    'opened: loop {
        let mut reader = open(at.as_ref());
        while let Some(mut split) = reader.next_split().unwrap() {
            loop {
                let (rows, reopen) = *plan.next().unwrap();
                let chunk = match split.read(rows).unwrap() {
                    Read::Rows(chunk) => chunk,
                    Read::Pending(wait) | Read::Awaited(wait) => panic!("nothing for {wait:?}"),
                    Read::End => break,
                };
                let first = at.as_ref().map_or(0, |p: &Position| p.offset);
                let good = 0..chunk.columns.num_rows();
                let good = good.map(|row| (chunk.offsets.at(row), Ok(shown(&chunk.columns, row))));
                let mut found: Vec<Record> = good.collect();
                found.extend(
                    chunk.bad.into_iter().map(|b| (b.offset, Err((b.reason, b.raw.map(|raw| sha256(&[&raw])))))),
                );
                found.sort_by_key(|r| r.0);
                let inside = found.iter().all(|r| (first..chunk.end.offset).contains(&r.0));
                assert!(inside, "a chunk from {first} to {:?} has other offsets", chunk.end);
                records.append(&mut found);
                bytes += chunk.bytes;
                let text = serde_json::to_string(&chunk.end).unwrap();
                at = Some(serde_json::from_str(&text).unwrap());
                if reopen {
                    continue 'opened;
                }
            }
        }
        return (records, bytes, at);
    }
}

/// Reads a partition whole and by a plan; both must give the same records.
pub fn check(
    open: &dyn Fn(Option<&Position>) -> Box<dyn PartitionReader>,
    plan: &[(usize, bool)],
) -> Result<Vec<Record>, TestCaseError> {
    let (whole, _, end) = read(open, &[(1 << 20, false)]);
    let (parts, _, part_end) = read(open, plan);
    prop_assert_eq!(&parts, &whole);
    for end in end.iter().chain(&part_end) {
        let (after, ..) = read(&|from| open(Some(from.unwrap_or(end))), &[(1, true)]);
        prop_assert_eq!(after, vec![]);
    }
    Ok(whole)
}
