//! The keys of a batch, packed once, and their way back to columns.
//!
//! One fixed-width column of at most 64 bits is its own key; a few of them pack into words, the last of which marks NULLs;
//! everything else is a byte string (per column a byte, 0 for NULL, then the value: fixed-width little-endian, or a length
//! and the bytes). DOUBLE is a key by its ordered canonical bits.

use crate::aggregate::values::{column_of_f64, from_ordered_bits, ordered_bits};
use crate::aggregate::{Shape, Values, column_of_i64, column_of_i128};
use arrow::array::{Array, ArrayRef, BinaryBuilder, StringBuilder};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field};
use highwater_engine::error::OperatorError;
use std::borrow::Cow;
use std::sync::Arc;

/// How keys are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// No key columns: one group.
    Unit,
    /// One column of 64 bits.
    One,
    /// Up to two words.
    Two,
    /// Up to four words.
    Four,
    /// Byte strings.
    Bytes,
}

/// Two words and the NULLs.
pub type Two = [i64; 3];
/// Four words and the NULLs.
pub type Four = [i64; 5];

impl Packing {
    /// The packing of keys of these columns.
    pub fn of(fields: &[Arc<Field>]) -> Self {
        let words = fields.iter().map(|f| match Shape::of(f.data_type()) {
            Some(Shape::Narrow | Shape::Double) => 1,
            Some(Shape::Wide) => 2,
            _ => usize::MAX,
        });
        match (fields.len(), words.fold(0usize, usize::saturating_add)) {
            (0, _) => Self::Unit,
            (1, 1) => Self::One,
            (_, 1..=2) => Self::Two,
            (_, 3..=4) => Self::Four,
            _ => Self::Bytes,
        }
    }
}

/// The packed keys of some rows.
#[derive(Debug)]
pub enum KeyBatch<'a> {
    /// See [`Packing::Unit`].
    Unit,
    /// See [`Packing::One`]; NULL is beside the values.
    One(Cow<'a, [i64]>, Option<NullBuffer>),
    /// See [`Packing::Two`].
    Two(Cow<'a, [Two]>),
    /// See [`Packing::Four`].
    Four(Cow<'a, [Four]>),
    /// See [`Packing::Bytes`].
    Bytes(Cow<'a, [u8]>, Cow<'a, [Piece]>),
}

/// A piece of an arena of bytes: start and length.
pub type Piece = (usize, u32);

impl<'a> KeyBatch<'a> {
    /// Packs the key columns of a batch.
    pub fn pack(packing: Packing, columns: &'a [ArrayRef], rows: usize) -> Result<Self, OperatorError> {
        let nulls = |c: &ArrayRef| c.nulls().filter(|n| n.null_count() > 0).cloned();
        Ok(match packing {
            Packing::Unit => Self::Unit,
            Packing::One => {
                let words = match Values::of(&columns[0])? {
                    Values::Double(v) => v.iter().map(|v| ordered_bits(*v)).collect(),
                    Values::Narrow(v) => v,
                    _ => unreachable!("the packing was chosen by the type"),
                };
                Self::One(words, nulls(&columns[0]))
            }
            Packing::Two => Self::Two(Cow::Owned(words(columns, rows)?)),
            Packing::Four => Self::Four(Cow::Owned(words(columns, rows)?)),
            Packing::Bytes => {
                let (bytes, pieces) = encode(columns, rows)?;
                Self::Bytes(Cow::Owned(bytes), Cow::Owned(pieces))
            }
        })
    }
}

/// Fixed-width columns as words; bit `c` of the last word says that column `c` is NULL.
fn words<const N: usize>(columns: &[ArrayRef], rows: usize) -> Result<Vec<[i64; N]>, OperatorError> {
    let mut out = vec![[0; N]; rows];
    let mut at = 0;
    for (c, column) in columns.iter().enumerate() {
        let valid = |i| column.is_valid(i);
        match Values::of(column)? {
            Values::Narrow(v) => (0..rows).filter(|i| valid(*i)).for_each(|i| out[i][at] = v[i]),
            Values::Double(v) => (0..rows).filter(|i| valid(*i)).for_each(|i| out[i][at] = ordered_bits(v[i])),
            Values::Wide(v) => (0..rows).filter(|i| valid(*i)).for_each(|i| {
                out[i][at] = v[i] as i64;
                out[i][at + 1] = (v[i] >> 64) as i64;
            }),
            _ => unreachable!("the packing was chosen by the types"),
        }
        at += words_of(column.data_type());
        if column.null_count() > 0 {
            (0..rows).filter(|i| column.is_null(*i)).for_each(|i| out[i][N - 1] |= 1 << c);
        }
    }
    Ok(out)
}

fn words_of(t: &DataType) -> usize {
    if Shape::of(t) == Some(Shape::Wide) { 2 } else { 1 }
}

/// Byte strings of all rows, one after the other.
fn encode(columns: &[ArrayRef], rows: usize) -> Result<(Vec<u8>, Vec<Piece>), OperatorError> {
    let values = columns.iter().map(|c| Values::of(c)).collect::<Result<Vec<_>, _>>()?;
    let (mut bytes, mut pieces) = (Vec::with_capacity(rows * 16), Vec::with_capacity(rows));
    for i in 0..rows {
        let start = bytes.len();
        for (column, v) in columns.iter().zip(&values) {
            if column.is_null(i) {
                bytes.push(0);
                continue;
            }
            bytes.push(1);
            match v {
                Values::Narrow(v) => bytes.extend_from_slice(&v[i].to_le_bytes()),
                Values::Double(v) => bytes.extend_from_slice(&ordered_bits(v[i]).to_le_bytes()),
                Values::Wide(v) => bytes.extend_from_slice(&v[i].to_le_bytes()),
                Values::Text(_) | Values::Bytes(_) => {
                    let b = v.bytes(i);
                    bytes.extend_from_slice(&(b.len() as u32).to_le_bytes());
                    bytes.extend_from_slice(b);
                }
            }
        }
        pieces.push((start, (bytes.len() - start) as u32));
    }
    Ok((bytes, pieces))
}

/// A column from its plain 64-bit values.
pub fn column_of_words(values: Vec<i64>, nulls: Option<NullBuffer>, t: &DataType) -> ArrayRef {
    match Shape::of(t) {
        Some(Shape::Double) => column_of_f64(values.into_iter().map(from_ordered_bits).collect(), nulls, t),
        _ => column_of_i64(values, nulls, t),
    }
}

/// Columns of packed words.
pub fn unpack_words<const N: usize>(keys: &[[i64; N]], fields: &[Arc<Field>]) -> Vec<ArrayRef> {
    let mut at = 0;
    let one = |(c, f): (usize, &Arc<Field>)| {
        let any = keys.iter().any(|k| k[N - 1] >> c & 1 == 1);
        let nulls = any.then(|| keys.iter().map(|k| k[N - 1] >> c & 1 == 0).collect::<Vec<_>>().into());
        let first = at;
        at += words_of(f.data_type());
        if at - first == 2 {
            let v = keys.iter().map(|k| i128::from(k[first + 1]) << 64 | i128::from(k[first] as u64));
            return column_of_i128(v.collect(), nulls, f.data_type());
        }
        column_of_words(keys.iter().map(|k| k[first]).collect(), nulls, f.data_type())
    };
    fields.iter().enumerate().map(one).collect()
}

/// Columns of byte strings made by this module.
pub fn unpack_bytes<'a>(keys: impl Iterator<Item = &'a [u8]>, fields: &[Arc<Field>]) -> Vec<ArrayRef> {
    let mut rest: Vec<&[u8]> = keys.collect();
    fields.iter().map(|f| unpack_column(&mut rest, f.data_type())).collect()
}

/// Takes one value off the front of every key.
fn unpack_column(rest: &mut [&[u8]], t: &DataType) -> ArrayRef {
    let fixed = |rest: &mut [&[u8]], width: usize| {
        let mut valid = Vec::with_capacity(rest.len());
        let mut values = Vec::with_capacity(rest.len());
        for key in rest {
            valid.push(key[0] == 1);
            let mut wide = [0; 16];
            let width = if key[0] == 1 { width } else { 0 };
            wide[..width].copy_from_slice(&key[1..1 + width]);
            values.push(i128::from_le_bytes(wide));
            *key = &key[1 + width..];
        }
        (values, valid.contains(&false).then(|| NullBuffer::from(valid)))
    };
    let mut text = |f: &mut dyn FnMut(Option<&[u8]>)| {
        for key in rest.iter_mut() {
            if key[0] == 0 {
                f(None);
                *key = &key[1..];
            } else {
                let n = u32::from_le_bytes([key[1], key[2], key[3], key[4]]) as usize;
                f(Some(&key[5..5 + n]));
                *key = &key[5 + n..];
            }
        }
    };
    match t {
        DataType::Utf8 => {
            let mut b = StringBuilder::new();
            text(&mut |v| b.append_option(v.map(String::from_utf8_lossy)));
            Arc::new(b.finish())
        }
        DataType::Binary => {
            let mut b = BinaryBuilder::new();
            text(&mut |v| b.append_option(v));
            Arc::new(b.finish())
        }
        t if Shape::of(t) == Some(Shape::Wide) => {
            let (values, nulls) = fixed(rest, 16);
            column_of_i128(values, nulls, t)
        }
        t => {
            let (values, nulls) = fixed(rest, 8);
            column_of_words(values.into_iter().map(|v| v as i64).collect(), nulls, t)
        }
    }
}
