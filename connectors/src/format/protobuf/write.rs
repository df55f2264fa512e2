//! Rows to messages.
//!
//! Fields are written in the order of their numbers, as protocol buffers' own writers do. NULL is a field that is not there;
//! so is zero, or an empty text, in a field of proto3 without `optional`. A message in the message is there if a column of
//! it is not NULL.

use super::descriptor::{Kind, Presence};
use super::tree::{Leaf, Part, Shape, Tree, Twig};
use super::wire::{BYTES, FIXED32, FIXED64, GROUP, GROUP_END, put_length_of, put_tag, put_varint, to_zigzag};
use crate::format::text::{Column, Style};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::*;
use highwater_engine::graph::types::fraction_digits;
use std::sync::Arc;

/// The years 1 to 9999, which are all that a `Timestamp` may hold.
const SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// Writes rows of one schema.
#[derive(Clone, Debug)]
pub struct ProtobufRows {
    tree: Arc<Tree>,
}

/// Appends field `number` with the value of a row, which is not NULL; not if it is zero and `zero` is false.
type Put<'a> = Box<dyn Fn(usize, Tag, &mut Vec<u8>) -> Result<(), String> + 'a>;

/// How a field is named in a message.
#[derive(Clone, Copy)]
struct Tag {
    number: u32,
    /// Whether zero is written.
    zero: bool,
}

/// The columns of some rows.
struct Rows<'a> {
    columns: Vec<(&'a ArrayRef, Put<'a>)>,
}

impl ProtobufRows {
    /// Rows whose columns are these parts of a message.
    pub fn new(tree: Arc<Tree>) -> Self {
        Self { tree }
    }

    /// Appends each row to `out` and tells where it ends.
    ///
    /// # Errors
    /// A value that its field can't hold.
    pub fn write(&self, rows: &RecordBatch, out: &mut Vec<u8>, mut ends: impl FnMut(usize)) -> Result<(), String> {
        let mut leaves = Vec::new();
        leaves_of(&self.tree, &mut leaves);
        leaves.sort_by_key(|leaf| leaf.column);
        let column = |leaf: &&Leaf| {
            let array = rows.column(leaf.column);
            (array, shaped((*leaf).clone(), put(leaf, array)))
        };
        let columns = Rows { columns: leaves.iter().map(column).collect() };
        for row in 0..rows.num_rows() {
            columns.write(&self.tree, row, out)?;
            ends(out.len());
        }
        Ok(())
    }
}

fn leaves_of<'t>(tree: &'t Tree, into: &mut Vec<&'t Leaf>) {
    for twig in &tree.twigs {
        match &twig.part {
            Part::Leaf(leaf) => into.push(leaf),
            Part::Tree(tree) => leaves_of(tree, into),
        }
    }
}

impl Rows<'_> {
    /// Whether something of a field is not NULL.
    fn is_there(&self, twig: &Twig, row: usize) -> bool {
        match &twig.part {
            Part::Leaf(leaf) => self.columns[leaf.column].0.is_valid(row),
            Part::Tree(tree) => tree.twigs.iter().any(|twig| self.is_there(twig, row)),
        }
    }

    fn write(&self, tree: &Tree, row: usize, out: &mut Vec<u8>) -> Result<(), String> {
        for (at, twig) in tree.twigs.iter().enumerate() {
            let field = &twig.field;
            let required = field.presence == Presence::Required;
            let there = self.is_there(twig, row);
            if there && field.oneof.is_some() {
                self.check_oneof(&tree.twigs[..at], twig, row)?;
            }
            match &twig.part {
                Part::Leaf(leaf) if there => {
                    let tag = Tag { number: field.number, zero: field.presence != Presence::Implicit };
                    self.columns[leaf.column].1(row, tag, out)?;
                }
                Part::Leaf(leaf) if required => {
                    return Err(format!("column {} is NULL, but field {} is required", leaf.name, field.name));
                }
                Part::Tree(inner) if there || required => match &field.kind {
                    Kind::Group(_) => {
                        put_tag(field.number, GROUP, out);
                        self.write(inner, row, out)?;
                        put_tag(field.number, GROUP_END, out);
                    }
                    _ => {
                        put_tag(field.number, BYTES, out);
                        put_length_of(out, |out| self.write(inner, row, out))?;
                    }
                },
                _ => {}
            }
        }
        Ok(())
    }

    /// A reader would have the last of them alone.
    fn check_oneof(&self, before: &[Twig], twig: &Twig, row: usize) -> Result<(), String> {
        match before.iter().find(|other| other.field.oneof == twig.field.oneof && self.is_there(other, row)) {
            None => Ok(()),
            Some(other) => Err(format!(
                "fields {} and {} are both there, but they are of a oneof, of which a message has one; make the others NULL",
                other.field.name, twig.field.name
            )),
        }
    }
}

/// A value in the message that wraps it, if one does.
fn shaped<'a>(leaf: Leaf, put: Put<'a>) -> Put<'a> {
    if leaf.shape != Shape::Wrapped {
        return put;
    }
    Box::new(move |row, tag, out| {
        put_tag(tag.number, BYTES, out);
        put_length_of(out, |out| put(row, Tag { number: 1, zero: false }, out))
    })
}

fn put<'a>(leaf: &Leaf, array: &'a ArrayRef) -> Put<'a> {
    macro_rules! integers {
        ($t:ty) => {{
            let values = array.as_primitive::<$t>().values();
            integers(leaf, move |row| i128::from(values[row]))
        }};
    }
    match (&leaf.kind, array.data_type()) {
        _ if leaf.shape == Shape::Timestamp => timestamps(leaf, array),
        (Kind::Enum(_), DataType::Utf8) => names(leaf, array),
        (Kind::String, data_type) if *data_type != DataType::Utf8 => texts(array),
        (_, DataType::Utf8) => {
            let values = array.as_string::<i32>();
            Box::new(move |row, tag, out| put_bytes(tag, values.value(row).as_bytes(), out))
        }
        (_, DataType::Binary) => {
            let values = array.as_binary::<i32>();
            Box::new(move |row, tag, out| put_bytes(tag, values.value(row), out))
        }
        (_, DataType::Boolean) => {
            let values = array.as_boolean();
            Box::new(move |row, tag, out| put_raw(tag, &Kind::Bool, values.value(row).into(), out))
        }
        (Kind::Float, _) => {
            let values = array.as_primitive::<Float32Type>().values();
            Box::new(move |row, tag, out| put_raw(tag, &Kind::Float, values[row].to_bits().into(), out))
        }
        (Kind::Double, DataType::Float32) => {
            let values = array.as_primitive::<Float32Type>().values();
            Box::new(move |row, tag, out| put_raw(tag, &Kind::Double, f64::from(values[row]).to_bits(), out))
        }
        (Kind::Double, _) => {
            let values = array.as_primitive::<Float64Type>().values();
            Box::new(move |row, tag, out| put_raw(tag, &Kind::Double, values[row].to_bits(), out))
        }
        (_, DataType::Int8) => integers!(Int8Type),
        (_, DataType::Int16) => integers!(Int16Type),
        (_, DataType::Int32) => integers!(Int32Type),
        (_, DataType::Int64) => integers!(Int64Type),
        _ => {
            let values = array.as_primitive::<Decimal128Type>().values();
            integers(leaf, move |row| values[row])
        }
    }
}

fn put_raw(tag: Tag, kind: &Kind, raw: u64, out: &mut Vec<u8>) -> Result<(), String> {
    if raw == 0 && !tag.zero {
        return Ok(());
    }
    put_tag(tag.number, kind.wire(), out);
    match kind.wire() {
        FIXED32 => out.extend_from_slice(&(raw as u32).to_le_bytes()),
        FIXED64 => out.extend_from_slice(&raw.to_le_bytes()),
        _ => put_varint(raw, out),
    }
    Ok(())
}

fn put_bytes(tag: Tag, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    if !bytes.is_empty() || tag.zero {
        put_tag(tag.number, BYTES, out);
        put_varint(bytes.len() as u64, out);
        out.extend_from_slice(bytes);
    }
    Ok(())
}

/// The bits of a number as a field of this type has them.
fn raw_of(kind: &Kind, value: i128) -> Option<u64> {
    let wide = || i64::try_from(value).ok();
    let small = || i32::try_from(value).ok();
    match kind {
        Kind::Uint64 | Kind::Fixed64 => u64::try_from(value).ok(),
        Kind::Uint32 | Kind::Fixed32 => u32::try_from(value).ok().map(u64::from),
        Kind::Int64 | Kind::Sfixed64 => wide().map(|v| v as u64),
        Kind::Sint64 => wide().map(to_zigzag),
        Kind::Sint32 => small().map(|v| to_zigzag(v.into())),
        Kind::Sfixed32 => small().map(|v| u64::from(v as u32)),
        _ => small().map(|v| i64::from(v) as u64),
    }
}

fn integers<'a>(leaf: &Leaf, value: impl Fn(usize) -> i128 + 'a) -> Put<'a> {
    let (kind, name) = (leaf.kind.clone(), leaf.name.clone());
    let closed = leaf.enumeration.clone().filter(|e| e.closed);
    Box::new(move |row, tag, out| {
        let value = value(row);
        let known = || closed.as_ref().is_none_or(|e| i32::try_from(value).is_ok_and(|n| e.name_of(n).is_some()));
        match raw_of(&kind, value).filter(|_| known()) {
            Some(raw) => put_raw(tag, &kind, raw, out),
            None => Err(format!("column {name}: {value} is no value of {}, the type of its field", kind.name())),
        }
    })
}

fn names<'a>(leaf: &Leaf, array: &'a ArrayRef) -> Put<'a> {
    let (values, name) = (array.as_string::<i32>(), leaf.name.clone());
    let enumeration = leaf.enumeration.clone().unwrap_or_default();
    Box::new(move |row, tag, out| match enumeration.by_name.get(values.value(row)) {
        Some(number) => put_raw(tag, &Kind::Int32, i64::from(*number) as u64, out),
        None => Err(format!("column {name}: enum {} has no value {:?}", enumeration.name, values.value(row))),
    })
}

/// DECIMAL and times, as JSON has them.
fn texts(array: &ArrayRef) -> Put<'_> {
    let Some(column) = Column::new(array, Style::Iso) else {
        unreachable!("{} has a text: checked with the descriptor", array.data_type())
    };
    Box::new(move |row, tag, out| {
        put_tag(tag.number, BYTES, out);
        put_length_of(out, |out| {
            column.write(row, out);
            Ok(())
        })
    })
}

fn timestamps<'a>(leaf: &Leaf, array: &'a ArrayRef) -> Put<'a> {
    let DataType::Timestamp(unit, _) = array.data_type() else {
        unreachable!("a Timestamp is no {}: checked with the descriptor", array.data_type())
    };
    let digits = fraction_digits(*unit);
    let (ticks, nanos) = (10i64.pow(digits), 10i64.pow(9 - digits));
    let (values, name) = (array_ticks(array), leaf.name.clone());
    Box::new(move |row, tag, out| {
        let seconds = values[row].div_euclid(ticks);
        if !SECONDS.contains(&seconds) {
            return Err(format!("column {name}: a Timestamp is of the years 1 to 9999, {seconds} s since 1970 is not"));
        }
        put_tag(tag.number, BYTES, out);
        put_length_of(out, |out| {
            put_raw(Tag { number: 1, zero: false }, &Kind::Int64, seconds as u64, out)?;
            let nanos = values[row].rem_euclid(ticks) * nanos;
            put_raw(Tag { number: 2, zero: false }, &Kind::Int32, nanos as u64, out)
        })
    })
}

fn array_ticks(array: &ArrayRef) -> &[i64] {
    match array.data_type() {
        DataType::Timestamp(TimeUnit::Second, _) => array.as_primitive::<TimestampSecondType>().values(),
        DataType::Timestamp(TimeUnit::Millisecond, _) => array.as_primitive::<TimestampMillisecondType>().values(),
        DataType::Timestamp(TimeUnit::Microsecond, _) => array.as_primitive::<TimestampMicrosecondType>().values(),
        _ => array.as_primitive::<TimestampNanosecondType>().values(),
    }
}
