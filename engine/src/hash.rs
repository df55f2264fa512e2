//! The one stable hash: key bytes → hash → key group → worker.
//!
//! Frozen: the key group of a stored key depends on it, so changing a constant or a rule here needs a state migration.
//! The tests hold vectors. Routing of batches, ownership of state and hash tables all use the same 64 bits, so they
//! can't disagree; a hash table uses [`table_hash`], because the top byte has already chosen the worker.
//!
//! Rules: a fixed-width value is widened to 64 bits (sign-extended; DECIMAL to 128; BOOLEAN to 0/1; DOUBLE by its
//! canonical bits) and mixed; a string or binary is XXH3-64 of its bytes, mixed; NULL is a constant. A composite key
//! folds its columns left to right. Cost: 1-2 ns per fixed-width value.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::buffer::ScalarBuffer;
use arrow::datatypes::*;

/// A key group: the top eight bits of a key's hash, fixed for the life of a job.
pub type KeyGroup = u8;

/// Number of key groups, and so the largest useful number of workers.
pub const KEY_GROUPS: usize = 256;

const SEED: u64 = 0x4869_6768_7761_7465;
const NULL: u64 = 0xA076_1D64_78BD_642F;
const FOLD: u64 = 0xE703_7ED1_A0B4_28DB;

/// One round of multiply-and-fold: the two halves of the 128-bit product, xored.
#[inline(always)]
const fn fold(a: u64, b: u64) -> u64 {
    let p = (a as u128) * (b as u128);
    (p as u64) ^ ((p >> 64) as u64)
}

/// Mixes one 64-bit value into a running hash.
#[inline(always)]
const fn mix(state: u64, value: u64) -> u64 {
    fold(state ^ value ^ NULL, FOLD ^ value.rotate_left(32))
}

/// Hash of one `i64` key, equal to [`hash_columns`] over a one-column key.
#[inline(always)]
pub const fn hash_i64(value: i64) -> u64 {
    mix(SEED, value as u64)
}

/// The key group of a key's hash.
#[inline(always)]
pub const fn key_group(hash: u64) -> KeyGroup {
    (hash >> 56) as KeyGroup
}

/// The worker that owns a key group among `peers`.
#[inline(always)]
pub const fn owner(group: KeyGroup, peers: usize) -> usize {
    (group as usize * peers) >> 8
}

/// The bits a hash table should use: the top byte is equal for all keys of a group.
#[inline(always)]
pub const fn table_hash(hash: u64) -> u64 {
    hash.rotate_left(32)
}

/// A DOUBLE's canonical bits: one NaN, one zero.
#[inline(always)]
pub fn canonical_bits(v: f64) -> u64 {
    if v.is_nan() {
        f64::NAN.to_bits()
    } else if v == 0.0 {
        0
    } else {
        v.to_bits()
    }
}

/// Whether a column of this type can be a key.
pub fn supports(data_type: &DataType) -> bool {
    use DataType::*;
    matches!(data_type, Boolean | Int8 | Int16 | Int32 | Int64 | Date32 | Time32(_) | Time64(_) | Timestamp(..))
        || matches!(data_type, Float32 | Float64 | Decimal128(..) | Utf8 | Binary)
}

/// Hash of every row's key, columns folded left to right. No key columns: one group for all rows.
///
/// # Panics
/// On a column type that cannot be a key (nested types); the planner refuses those.
pub fn hash_columns(keys: &[ArrayRef], rows: usize) -> ScalarBuffer<u64> {
    let mut out = vec![SEED; rows];
    for key in keys {
        hash_column(key, &mut out);
    }
    ScalarBuffer::from(out)
}

fn hash_column(key: &ArrayRef, out: &mut [u64]) {
    macro_rules! fixed {
        ($t:ty, $f:expr) => {{
            let a = key.as_primitive::<$t>();
            each(a, out, |h, i| {
                let f: fn(<$t as ArrowPrimitiveType>::Native) -> u64 = $f;
                mix(h, f(a.values()[i]))
            })
        }};
    }
    match key.data_type() {
        DataType::Boolean => {
            let a = key.as_boolean();
            each(a, out, |h, i| mix(h, a.value(i) as u64))
        }
        DataType::Int8 => fixed!(Int8Type, |v| v as i64 as u64),
        DataType::Int16 => fixed!(Int16Type, |v| v as i64 as u64),
        DataType::Int32 => fixed!(Int32Type, |v| v as i64 as u64),
        DataType::Int64 => fixed!(Int64Type, |v| v as u64),
        DataType::Date32 => fixed!(Date32Type, |v| v as i64 as u64),
        DataType::Time32(TimeUnit::Second) => fixed!(Time32SecondType, |v| v as i64 as u64),
        DataType::Time32(_) => fixed!(Time32MillisecondType, |v| v as i64 as u64),
        DataType::Time64(TimeUnit::Microsecond) => fixed!(Time64MicrosecondType, |v| v as u64),
        DataType::Time64(_) => fixed!(Time64NanosecondType, |v| v as u64),
        DataType::Timestamp(TimeUnit::Second, _) => fixed!(TimestampSecondType, |v| v as u64),
        DataType::Timestamp(TimeUnit::Millisecond, _) => fixed!(TimestampMillisecondType, |v| v as u64),
        DataType::Timestamp(TimeUnit::Microsecond, _) => fixed!(TimestampMicrosecondType, |v| v as u64),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => fixed!(TimestampNanosecondType, |v| v as u64),
        DataType::Float64 => fixed!(Float64Type, canonical_bits),
        DataType::Float32 => fixed!(Float32Type, |v| canonical_bits(f64::from(v))),
        DataType::Decimal128(..) => {
            let a = key.as_primitive::<Decimal128Type>();
            each(a, out, |h, i| {
                let v = a.values()[i];
                mix(mix(h, v as u64), (v >> 64) as u64)
            })
        }
        DataType::Utf8 => {
            let a = key.as_string::<i32>();
            each(a, out, |h, i| mix(h, xxhash_rust::xxh3::xxh3_64(a.value(i).as_bytes())))
        }
        DataType::Binary => {
            let a = key.as_binary::<i32>();
            each(a, out, |h, i| mix(h, xxhash_rust::xxh3::xxh3_64(a.value(i))))
        }
        t => panic!("a key of type {t} reached the hash; the planner must refuse it"),
    }
}

#[inline(always)]
fn each(array: &dyn Array, out: &mut [u64], f: impl Fn(u64, usize) -> u64) {
    match array.nulls().filter(|n| n.null_count() > 0) {
        None => out.iter_mut().enumerate().for_each(|(i, h)| *h = f(*h, i)),
        Some(nulls) => {
            for (i, h) in out.iter_mut().enumerate() {
                *h = if nulls.is_null(i) { mix(*h, NULL) ^ 1 } else { f(*h, i) };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{BooleanArray, Decimal128Array, Float64Array, Int32Array, Int64Array, StringArray};
    use std::sync::Arc;

    /// These freeze our own function, which no standard defines: changing one moves stored keys to other key groups. The
    /// constants were computed by a second implementation of the rules in the header, in Python with python-xxhash.
    #[test]
    fn vectors_are_frozen() {
        let of = |key: &[ArrayRef]| hash_columns(key, 1)[0];
        let big = |v: Option<i64>| Arc::new(Int64Array::from(vec![v])) as ArrayRef;
        let text = |v: &str| Arc::new(StringArray::from(vec![v])) as ArrayRef;
        let double = |v: f64| Arc::new(Float64Array::from(vec![v])) as ArrayRef;
        let decimal =
            |v: i128| Arc::new(Decimal128Array::from(vec![v]).with_precision_and_scale(38, 2).unwrap()) as ArrayRef;
        let vectors = [
            (vec![], 0x4869_6768_7761_7465),
            (vec![big(Some(0))], 0xc098_2663_463a_222d),
            (vec![big(Some(1))], 0x3860_b0dd_b146_4b7e),
            (vec![big(Some(-1))], 0xe346_3562_693a_9c49),
            (vec![big(Some(4_000_000_000_000_002))], 0x6c80_3f1d_92c2_a053),
            (vec![big(None)], 0x819f_c0af_5da2_8623),
            (vec![Arc::new(BooleanArray::from(vec![true])) as ArrayRef], 0x3860_b0dd_b146_4b7e),
            (vec![text("")], 0xfe71_a121_07f8_352c),
            (vec![text("merchant-7")], 0x0353_083e_a83f_af1c),
            (vec![text("Zürich")], 0x5a35_3ad2_7e48_53b3),
            (vec![decimal(1234)], 0xb0e9_71cd_3807_bff7),
            (vec![decimal(-1)], 0x5b3b_9cf8_afcd_5f2c),
            (vec![decimal(10i128.pow(37))], 0xcea6_3cba_528e_3ba7),
            (vec![double(0.5)], 0xb713_9f96_ae92_7a46),
            (vec![double(-0.0)], 0xc098_2663_463a_222d),
            (vec![double(-f64::NAN)], 0x9c1b_98ac_f8c5_557b),
            (vec![big(Some(7)), text("DE"), big(None)], 0x7c3a_49e0_1586_2184),
        ];
        for (key, hash) in vectors {
            assert_eq!(of(&key), hash, "{key:?}");
        }
    }

    #[test]
    fn one_column_and_scalar_agree_and_width_does_not_matter() {
        let wide: ArrayRef = Arc::new(Int64Array::from(vec![-5, 0, 7]));
        let narrow: ArrayRef = Arc::new(Int32Array::from(vec![-5, 0, 7]));
        let h = hash_columns(&[wide], 3);
        assert_eq!(&h[..], &[hash_i64(-5), hash_i64(0), hash_i64(7)]);
        assert_eq!(h, hash_columns(&[narrow], 3));
    }

    #[test]
    fn null_is_a_key_of_its_own() {
        let a: ArrayRef = Arc::new(Int64Array::from(vec![Some(0), None]));
        let s: ArrayRef = Arc::new(StringArray::from(vec![Some(""), None]));
        let (h, g) = (hash_columns(&[a], 2), hash_columns(&[s], 2));
        assert_ne!(h[0], h[1]);
        assert_ne!(g[0], g[1]);
    }

    #[test]
    fn groups_are_even_and_owners_contiguous() {
        let mut seen = [0usize; KEY_GROUPS];
        (0..256_000).for_each(|i| seen[key_group(hash_i64(i)) as usize] += 1);
        assert!(seen.iter().all(|&n| (800..1200).contains(&n)), "{seen:?}");
        for peers in 1..=16 {
            let owners: Vec<_> = (0..=255u8).map(|g| owner(g, peers)).collect();
            assert!(owners.windows(2).all(|w| w[1] == w[0] || w[1] == w[0] + 1));
            assert_eq!((owners[0], owners[255]), (0, peers - 1));
        }
    }
}
