//! Result columns that are made of bags: percentiles, LISTAGG, APPROX_COUNT_DISTINCT.

use super::bags::{Bag, Bags, LISTAGG_BYTES_MAX, neighbours};
use super::groups::Slots;
use super::ordered::Packed;
use crate::aggregate::percentile::{between_doubles, middles, place, rank};
use crate::aggregate::values::{column_of_f64, from_ordered_bits};
use crate::aggregate::{Finish, Overflow, column_of_i128, distinct};
use arrow::array::{ArrayRef, AsArray, BinaryArray, Int64Array, StringBuilder};
use arrow::buffer::NullBuffer;
use arrow::datatypes::DataType;
use std::sync::Arc;

/// PERCENTILE_CONT of bags with these counts; on overflow the position of the slot.
pub fn percentile(
    bags: &Bags,
    counts: &[i64],
    slots: Slots,
    millionths: u32,
    finish: Option<&Finish>,
    t: &DataType,
) -> Result<ArrayRef, usize> {
    let (mut exact, mut doubles) = (vec![], vec![]);
    for (i, (slot, n)) in slots.iter().zip(counts).enumerate() {
        let (low, rest) = if *n > 0 { place(*n as u64, millionths) } else { (0, 0) };
        let found: Option<(i128, i128)> = match bags {
            Bags::Narrow(b) | Bags::Codes(b) => neighbours(&b[slot], low).map(|(l, h)| (l.into(), h.into())),
            Bags::Wide(b) => neighbours(&b[slot], low),
            Bags::Bytes(..) => unreachable!("a percentile is of numbers"),
        };
        match (finish, found) {
            (Some(f), Some((l, h))) => exact.push(f.between(l, h, rest).map_err(|Overflow| i)?),
            (Some(_), None) => exact.push(0),
            (None, found) => {
                let of = |bits: i128| from_ordered_bits(bits as i64);
                doubles.push(found.map_or(0.0, |(l, h)| between_doubles(of(l), of(h), rest)));
            }
        }
    }
    let nulls = nulls(counts);
    Ok(if finish.is_some() { column_of_i128(exact, nulls, t) } else { column_of_f64(doubles, nulls, t) })
}

/// APPROX_PERCENTILE of bags of buckets with these counts.
pub fn bucket(bags: &Bags, counts: &[i64], slots: Slots, millionths: u32, t: &DataType) -> ArrayRef {
    let one = |(slot, n): (usize, &i64)| match *n {
        n if n > 0 => neighbours(&codes(bags)[slot], rank(n as u64, millionths) - 1).map_or(0, |(b, _)| b),
        _ => 0,
    };
    middles(slots.iter().zip(counts).map(one).collect(), nulls(counts), t)
}

/// APPROX_COUNT_DISTINCT of bags of codes.
pub fn approx_count(bags: &Bags, slots: Slots) -> ArrayRef {
    Arc::new(slots.iter().map(|s| distinct::estimate(codes(bags)[s].keys().copied())).collect::<Int64Array>())
}

/// LISTAGG of bags of packed rows. On a list that is too long the position of its slot.
pub fn list(bags: &Bags, slots: Slots, packed: &Packed, separator: &str) -> Result<ArrayRef, usize> {
    let Bags::Bytes(bags, bytes) = bags else { unreachable!("rows are packed into bytes") };
    if let Some(i) = slots.iter().position(|s| bytes[s] > LISTAGG_BYTES_MAX) {
        return Err(i);
    }
    let mut lists = StringBuilder::new();
    for slot in slots.iter() {
        let bag = &bags[slot];
        if bag.is_empty() {
            lists.append_null();
            continue;
        }
        let rows: ArrayRef = Arc::new(bag.keys().map(|k| Some(&k[..])).collect::<BinaryArray>());
        let values = packed.unpack(&rows).expect("it was packed by the same plan");
        let texts = values.as_string::<i32>().iter().flatten().zip(bag.values());
        let texts: Vec<&str> = texts.flat_map(|(text, n)| std::iter::repeat_n(text, *n as usize)).collect();
        lists.append_value(texts.join(separator));
    }
    Ok(Arc::new(lists.finish()))
}

fn codes(bags: &Bags) -> &[Bag<i64>] {
    match bags {
        Bags::Narrow(b) | Bags::Codes(b) => b,
        b => unreachable!("{b:?} are no codes"),
    }
}

/// NULL where there is no value.
fn nulls(counts: &[i64]) -> Option<NullBuffer> {
    let valid: Vec<bool> = counts.iter().map(|n| *n > 0).collect();
    valid.contains(&false).then(|| NullBuffer::from(valid))
}
