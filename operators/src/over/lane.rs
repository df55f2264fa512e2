//! Columns as 64-bit words: what enters a log.
//!
//! Every type of at most 64 bits becomes one `i64` whose order is the type's order (DOUBLE by its ordered bits), a DECIMAL
//! of more than 18 digits two words, a string or bytes one word of the [`Interner`].

use super::intern::Interner;
use crate::aggregate::values::{Shape, Values, ordered_bits};
use crate::prefetch::prefetch;
use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, StringArray};
use arrow::buffer::{NullBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Decimal128Type};
use highwater_engine::error::OperatorError;
use highwater_engine::hash::hash_columns;
use std::borrow::Cow;

/// How a type stands in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// One word in the order of the type.
    Fixed,
    /// Low word, high word of an `i128`.
    Wide,
    /// A word of the interner.
    Text,
}

impl Kind {
    /// How `data_type` stands in words; `None` if it can't (nested types).
    pub fn of(data_type: &DataType) -> Option<Kind> {
        Some(match Shape::of(data_type)? {
            Shape::Narrow | Shape::Double => Self::Fixed,
            Shape::Wide => Self::Wide,
            Shape::Bytes => Self::Text,
        })
    }
    /// Words of one value.
    pub fn words(self) -> usize {
        if self == Self::Wide { 2 } else { 1 }
    }
}

/// One column of a batch, ready to be read row by row. Values of NULL rows are arbitrary.
pub enum Lane {
    /// One word per row.
    Fixed(ScalarBuffer<i64>),
    /// Two words per row.
    Wide(ScalarBuffer<i128>),
    /// Bytes with their hashes and validity.
    Text(Bytes, ScalarBuffer<u64>, Option<NullBuffer>),
}

/// Values of [`Kind::Text`].
pub enum Bytes {
    /// STRING.
    Text(StringArray),
    /// BYTES.
    Binary(BinaryArray),
    /// A wide decimal that must be one word, to be compared with others.
    Decimal(ScalarBuffer<i128>),
}

impl Bytes {
    /// Calls `f` with the bytes of row `i`.
    #[inline(always)]
    pub fn with<T>(&self, i: usize, f: impl FnOnce(&[u8]) -> T) -> T {
        match self {
            Self::Text(a) => f(a.value(i).as_bytes()),
            Self::Binary(a) => f(a.value(i)),
            Self::Decimal(a) => f(&a[i].to_be_bytes()),
        }
    }
}

impl Lane {
    /// Reads `column` as `kind` demands.
    pub fn new(column: &ArrayRef, kind: Kind) -> Result<Self, OperatorError> {
        Ok(match kind {
            Kind::Fixed => Self::Fixed(fixed(column)?),
            Kind::Wide => Self::Wide(column.as_primitive::<Decimal128Type>().values().clone()),
            Kind::Text => {
                let bytes = match column.data_type() {
                    DataType::Utf8 => Bytes::Text(column.as_string::<i32>().clone()),
                    DataType::Binary => Bytes::Binary(column.as_binary::<i32>().clone()),
                    _ => Bytes::Decimal(column.as_primitive::<Decimal128Type>().values().clone()),
                };
                let hashes = hash_columns(std::slice::from_ref(column), column.len());
                Self::Text(bytes, hashes, column.nulls().cloned())
            }
        })
    }

    /// Writes the words of row `i` to `to`. A word of the interner is acquired.
    #[inline(always)]
    pub fn write(&self, i: usize, names: &mut Interner, to: &mut [i64]) {
        match self {
            Self::Fixed(v) => to[0] = v[i],
            Self::Wide(v) => {
                to[0] = v[i] as i64;
                to[1] = (v[i] >> 64) as i64;
            }
            Self::Text(bytes, hashes, nulls) => {
                let null = nulls.as_ref().is_some_and(|n| n.is_null(i));
                to[0] = if null { 0 } else { bytes.with(i, |b| names.acquire(b, hashes[i])) };
            }
        }
    }

    /// The word of row `i`, if it stands in one as it is.
    #[inline(always)]
    pub fn known(&self, i: usize) -> Option<i64> {
        if let Self::Fixed(v) = self { Some(v[i]) } else { None }
    }

    /// Asks for what [`Lane::write`] will read of row `i`.
    #[inline(always)]
    pub fn prefetch(&self, i: usize) {
        match self {
            Self::Fixed(v) => prefetch(v, i),
            Self::Wide(v) => prefetch(v, i),
            Self::Text(_, hashes, _) => prefetch(hashes, i),
        }
    }

    /// Bytes held.
    pub fn memory(&self) -> usize {
        match self {
            Self::Fixed(v) => v.len() * 8,
            Self::Wide(v) => v.len() * 16,
            Self::Text(_, hashes, _) => hashes.len() * 24,
        }
    }
}

/// A column of at most 64 bits as words; without a copy if it holds `i64` already.
pub fn fixed(column: &ArrayRef) -> Result<ScalarBuffer<i64>, OperatorError> {
    Ok(match Values::of(column)? {
        Values::Narrow(Cow::Owned(v)) => v.into(),
        Values::Narrow(Cow::Borrowed(_)) => {
            let data = column.to_data();
            ScalarBuffer::new(data.buffers()[0].clone(), data.offset(), data.len())
        }
        Values::Double(v) => v.iter().map(|v| ordered_bits(*v)).collect(),
        _ => return Err(OperatorError::new(format!("a column of type {} is not one word", column.data_type()))),
    })
}
