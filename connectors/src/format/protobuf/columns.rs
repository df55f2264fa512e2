//! Columns of the values that [`walk`](super::walk) found, one column at a time.

use super::descriptor::Kind;
use super::tree::{Leaf, Shape};
use super::walk::{Slot, State};
use super::wire::{fits_32_bits, from_zigzag};
use crate::format::records::decode::{Content, Decoder, Plan, Values, Wrong};
use crate::format::values::Cause;
use arrow::array::*;
use arrow::datatypes::*;
use highwater_engine::graph::types::{fraction_digits, sql_type};
use std::sync::Arc;

/// What the slots of some rows hold of one column.
#[derive(Clone, Copy)]
pub struct Found<'b> {
    /// The slots of all rows, a row behind the other.
    pub slots: &'b [Slot],
    /// Slots of a row.
    pub width: usize,
    /// Which of them.
    pub slot: usize,
    /// Rows.
    pub rows: usize,
    /// What the slots of bytes are parts of.
    pub data: &'b [u8],
    /// What is read where the message has nothing.
    pub default: Slot,
}

impl Values for Found<'_> {
    const NUMBERS_HAVE_EXPONENTS: bool = false;

    fn as_written(&self, row: usize, _value: usize) -> &[u8] {
        self.at(row).map_or(&[], |slot| self.bytes(slot))
    }

    fn text<'v>(
        &'v self,
        row: usize,
        _value: usize,
        _content: Content,
        _scratch: &'v mut Vec<u8>,
    ) -> Result<Option<&'v [u8]>, Cause> {
        Ok(self.at(row).map(|slot| self.bytes(slot)))
    }
}

impl<'b> Found<'b> {
    /// What a row holds; `None` is NULL.
    #[inline(always)]
    fn at(&self, row: usize) -> Option<Slot> {
        let slot = self.slots[row * self.width + self.slot];
        let slot = if slot.state == State::Absent { self.default } else { slot };
        (slot.state == State::Set).then_some(slot)
    }

    #[inline(always)]
    fn bytes(&self, slot: Slot) -> &'b [u8] {
        &self.data[slot.value as usize..][..slot.more as usize]
    }

    /// The column of every row. Rows whose value is none of the column's type are noted in `wrong` and hold any value.
    pub fn column(&self, leaf: &Leaf, wrong: &mut Wrong) -> ArrayRef {
        for row in 0..self.rows {
            if self.slots[row * self.width + self.slot].state == State::Missing {
                wrong.entry(row).or_insert_with(|| format!("field {}, which is required, is not there", leaf.name));
            }
        }
        let place = format!("field {}", leaf.name);
        match (&leaf.kind, &leaf.data_type) {
            _ if leaf.shape == Shape::Timestamp => self.timestamps(leaf, wrong),
            (Kind::Bytes | Kind::String, DataType::Binary) => {
                let mut out = BinaryBuilder::with_capacity(self.rows, 0);
                (0..self.rows).for_each(|row| out.append_option(self.at(row).map(|slot| self.bytes(slot))));
                Arc::new(out.finish())
            }
            (Kind::String, data_type) => {
                let plan = Plan { value: self.slot, place, data_type: data_type.clone() };
                Decoder { rows: self.rows, values: *self }.column(&plan, wrong)
            }
            (Kind::Bool, _) => {
                Arc::new((0..self.rows).map(|row| self.at(row).map(|slot| slot.value != 0)).collect::<BooleanArray>())
            }
            (Kind::Float, DataType::Float32) => {
                self.numbers::<Float32Type, _>(leaf, wrong, |raw| Ok(f32::from_bits(raw as u32)))
            }
            (Kind::Float, _) => {
                self.numbers::<Float64Type, _>(leaf, wrong, |raw| Ok(f64::from(f32::from_bits(raw as u32))))
            }
            (Kind::Double, _) => self.numbers::<Float64Type, _>(leaf, wrong, |raw| Ok(f64::from_bits(raw))),
            (Kind::Enum(_), DataType::Utf8) => self.names(leaf, wrong),
            (Kind::Int64 | Kind::Sfixed64, _) => self.integers(leaf, wrong, |raw| Some(i128::from(raw as i64))),
            (Kind::Uint64 | Kind::Fixed64, _) => self.integers(leaf, wrong, |raw| Some(i128::from(raw))),
            (Kind::Sint64, _) => self.integers(leaf, wrong, |raw| Some(i128::from(from_zigzag(raw)))),
            (Kind::Sint32, _) => {
                let small = |raw| i32::try_from(from_zigzag(raw)).ok().map(i128::from);
                self.integers(leaf, wrong, small)
            }
            (Kind::Uint32 | Kind::Fixed32, _) => {
                self.integers(leaf, wrong, |raw| u32::try_from(raw).ok().map(i128::from))
            }
            (Kind::Sfixed32, _) => self.integers(leaf, wrong, |raw| Some(i128::from(raw as u32 as i32))),
            _ => self.integers(leaf, wrong, |raw| fits_32_bits(raw).map(i128::from)),
        }
    }

    /// Integers; `of` is `None` for bits that are none of the field's type.
    #[inline(always)]
    fn integers(&self, leaf: &Leaf, wrong: &mut Wrong, of: impl Fn(u64) -> Option<i128> + Copy) -> ArrayRef {
        macro_rules! narrow {
            ($t:ty) => {
                self.numbers::<$t, _>(leaf, wrong, |raw| {
                    let value = of(raw).ok_or_else(|| not_its_type(leaf, raw))?;
                    value.try_into().map_err(|_| beyond(leaf, value))
                })
            };
        }
        match &leaf.data_type {
            DataType::Int8 => narrow!(Int8Type),
            DataType::Int16 => narrow!(Int16Type),
            DataType::Int32 => narrow!(Int32Type),
            DataType::Int64 => narrow!(Int64Type),
            data_type => {
                let DataType::Decimal128(precision, scale) = *data_type else {
                    unreachable!("integers are no {data_type}: checked with the descriptor")
                };
                let (unit, bound) = (10i128.pow(scale.unsigned_abs().into()), 10i128.pow(precision.into()));
                self.numbers::<Decimal128Type, _>(leaf, wrong, |raw| {
                    let value = of(raw).ok_or_else(|| not_its_type(leaf, raw))?;
                    let scaled = value.checked_mul(unit).filter(|scaled| scaled.abs() < bound);
                    scaled.ok_or_else(|| beyond(leaf, value))
                })
            }
        }
    }

    #[inline(always)]
    fn numbers<T: ArrowPrimitiveType, F: Fn(u64) -> Result<T::Native, String>>(
        &self,
        leaf: &Leaf,
        wrong: &mut Wrong,
        of: F,
    ) -> ArrayRef {
        self.primitive::<T>(leaf, wrong, |slot| of(slot.value))
    }

    #[inline(always)]
    fn primitive<T: ArrowPrimitiveType>(
        &self,
        leaf: &Leaf,
        wrong: &mut Wrong,
        of: impl Fn(Slot) -> Result<T::Native, String>,
    ) -> ArrayRef {
        let mut out = PrimitiveBuilder::<T>::with_capacity(self.rows);
        for row in 0..self.rows {
            match self.at(row).map(&of) {
                Some(Ok(value)) => out.append_value(value),
                Some(Err(why)) => {
                    wrong.entry(row).or_insert(why);
                    out.append_null();
                }
                None => out.append_null(),
            }
        }
        Arc::new(out.finish().with_data_type(leaf.data_type.clone()))
    }

    fn names(&self, leaf: &Leaf, wrong: &mut Wrong) -> ArrayRef {
        let mut out = StringBuilder::with_capacity(self.rows, 0);
        let name_of = |raw| leaf.enumeration.as_ref().zip(fits_32_bits(raw)).and_then(|(e, number)| e.name_of(number));
        for row in 0..self.rows {
            let Some(slot) = self.at(row) else {
                out.append_null();
                continue;
            };
            let name = name_of(slot.value);
            if name.is_none() {
                let (number, of) = (slot.value as i64, leaf.kind.name());
                let cure = "renew the descriptor file, or declare the column as INT";
                let why = || format!("field {}: enum {of} has no value {number}; {cure}", leaf.name);
                wrong.entry(row).or_insert_with(why);
            }
            out.append_option(name);
        }
        Arc::new(out.finish())
    }

    fn timestamps(&self, leaf: &Leaf, wrong: &mut Wrong) -> ArrayRef {
        let DataType::Timestamp(unit, _) = &leaf.data_type else {
            unreachable!("a Timestamp is no {}: checked with the descriptor", leaf.data_type)
        };
        let digits = fraction_digits(*unit);
        let (ticks, nanos) = (10i64.pow(digits), 10u32.pow(9 - digits));
        let of = |slot: Slot| {
            let bad = |cause: Cause| {
                let (seconds, why) = (slot.value as i64, cause.message(&sql_type(&leaf.data_type)));
                format!("field {}: {seconds} s and {} ns {why}", leaf.name, slot.more)
            };
            if slot.more > 999_999_999 {
                return Err(format!("field {}: its nanos are none: 0 to 999999999 are", leaf.name));
            }
            if !slot.more.is_multiple_of(nanos) {
                return Err(bad(Cause::Scale));
            }
            let whole = (slot.value as i64).checked_mul(ticks);
            whole.and_then(|w| w.checked_add((slot.more / nanos).into())).ok_or_else(|| bad(Cause::Range))
        };
        match unit {
            TimeUnit::Second => self.primitive::<TimestampSecondType>(leaf, wrong, of),
            TimeUnit::Millisecond => self.primitive::<TimestampMillisecondType>(leaf, wrong, of),
            TimeUnit::Microsecond => self.primitive::<TimestampMicrosecondType>(leaf, wrong, of),
            TimeUnit::Nanosecond => self.primitive::<TimestampNanosecondType>(leaf, wrong, of),
        }
    }
}

#[cold]
fn beyond(leaf: &Leaf, value: i128) -> String {
    format!("field {}: {value} {}", leaf.name, Cause::Range.message(&sql_type(&leaf.data_type)))
}

#[cold]
fn not_its_type(leaf: &Leaf, raw: u64) -> String {
    let cure = "the message was written by another descriptor; renew the file";
    format!("field {}: {} is no {}: {cure}", leaf.name, raw as i64, leaf.kind.name())
}
