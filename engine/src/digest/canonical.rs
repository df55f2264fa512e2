//! The canonical bytes of a row.
//!
//! The columns in order, each self-delimiting:
//!
//! | column | bytes |
//! |---|---|
//! | any | presence: `01`, or `00` for NULL; then the value, which is all zero bytes for NULL |
//! | BOOLEAN | 1 byte, `00` or `01` |
//! | TINYINT, SMALLINT, INT, BIGINT | 8 bytes, signed, little-endian: the width of the type does not matter |
//! | DATE, TIME, TIMESTAMP, TIMESTAMP_LTZ | 8 bytes, signed, little-endian: the count of the type's own unit |
//! | DECIMAL(p, s) | 16 bytes, signed, little-endian: the unscaled value |
//! | FLOAT, DOUBLE | 8 bytes, the IEEE 754 bits of the DOUBLE, little-endian; −0 is 0, NaN is `000000000000f87f` |
//! | STRING, BYTES | length in bytes, 4 bytes, unsigned, little-endian; then the bytes |
//!
//! Names, types and scales are the schema's and are not hashed: `1.0` as DECIMAL(2, 1) and `10` as DECIMAL(2, 0) have the
//! same bytes, and so have the INT 7 and the BIGINT 7.
//!
//! To support another type, extend [`width`] and [`put`].

use crate::hash::canonical_bits;
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::*;

/// The bytes of a block of rows should stay in the first-level cache between writing and hashing.
const BLOCK_BYTES: usize = 4 * 1024;
/// Rows of a block whose columns have no fixed width.
const VARIABLE_BLOCK_ROWS: usize = 128;

/// Whether a column of this type can be digested.
pub fn supports(data_type: &DataType) -> bool {
    width(data_type).is_some()
}

/// How many bytes a type's values take.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Width {
    Fixed(usize),
    Variable,
}

fn width(data_type: &DataType) -> Option<Width> {
    use DataType::*;
    Some(match data_type {
        Boolean => Width::Fixed(1),
        Int8 | Int16 | Int32 | Int64 | Date32 | Time32(_) | Time64(_) | Timestamp(..) | Float32 | Float64 => {
            Width::Fixed(8)
        }
        Decimal128(..) => Width::Fixed(16),
        Utf8 | Binary => Width::Variable,
        _ => return None,
    })
}

/// Writes the rows `from ..` of one column behind what their cells already hold.
fn put(column: &ArrayRef, from: usize, cells: &mut Cells) {
    macro_rules! fixed {
        ($t:ty, $f:expr) => {{
            let values = &column.as_primitive::<$t>().values()[from..from + cells.rows];
            cells.fixed(column, from, values.iter().map($f))
        }};
    }
    match column.data_type() {
        DataType::Boolean => {
            let values = column.as_boolean().values();
            cells.fixed(column, from, (from..).map(|i| [u8::from(values.value(i))]))
        }
        DataType::Int8 => fixed!(Int8Type, |v| i64::from(*v).to_le_bytes()),
        DataType::Int16 => fixed!(Int16Type, |v| i64::from(*v).to_le_bytes()),
        DataType::Int32 => fixed!(Int32Type, |v| i64::from(*v).to_le_bytes()),
        DataType::Int64 => fixed!(Int64Type, |v| v.to_le_bytes()),
        DataType::Date32 => fixed!(Date32Type, |v| i64::from(*v).to_le_bytes()),
        DataType::Time32(TimeUnit::Second) => fixed!(Time32SecondType, |v| i64::from(*v).to_le_bytes()),
        DataType::Time32(_) => fixed!(Time32MillisecondType, |v| i64::from(*v).to_le_bytes()),
        DataType::Time64(TimeUnit::Microsecond) => fixed!(Time64MicrosecondType, |v| v.to_le_bytes()),
        DataType::Time64(_) => fixed!(Time64NanosecondType, |v| v.to_le_bytes()),
        DataType::Timestamp(TimeUnit::Second, _) => fixed!(TimestampSecondType, |v| v.to_le_bytes()),
        DataType::Timestamp(TimeUnit::Millisecond, _) => fixed!(TimestampMillisecondType, |v| v.to_le_bytes()),
        DataType::Timestamp(TimeUnit::Microsecond, _) => fixed!(TimestampMicrosecondType, |v| v.to_le_bytes()),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => fixed!(TimestampNanosecondType, |v| v.to_le_bytes()),
        DataType::Float32 => fixed!(Float32Type, |v| canonical_bits(f64::from(*v)).to_le_bytes()),
        DataType::Float64 => fixed!(Float64Type, |v| canonical_bits(*v).to_le_bytes()),
        DataType::Decimal128(..) => fixed!(Decimal128Type, |v| v.to_le_bytes()),
        DataType::Utf8 | DataType::Binary => cells.variable(column, from),
        t => panic!("a column of type {t} reached the digest; graph validation must refuse it"),
    }
}

/// Offsets and bytes of a column of [`Width::Variable`].
fn texts(column: &ArrayRef) -> (&[i32], &[u8]) {
    match column.as_string_opt::<i32>() {
        Some(a) => (a.value_offsets(), a.value_data()),
        None => (column.as_binary::<i32>().value_offsets(), column.as_binary::<i32>().value_data()),
    }
}

fn nulls(column: &ArrayRef) -> Option<&NullBuffer> {
    column.nulls().filter(|n| n.null_count() > 0)
}

/// Encodes blocks of rows into a buffer of its own, column by column.
#[derive(Clone, Debug, Default)]
pub(super) struct Encoder {
    bytes: Vec<u8>,
    /// Where each row begins, and the end of the last one; only for rows without a fixed width.
    starts: Vec<usize>,
    cursors: Vec<usize>,
}

impl Encoder {
    /// The canonical bytes of some of the `rows` rows that begin at `from`: at least one.
    pub(super) fn encode(&mut self, columns: &[ArrayRef], from: usize, rows: usize) -> Rows<'_> {
        let (mut stride, mut variable) = (0, false);
        for column in columns {
            match width(column.data_type()) {
                Some(Width::Fixed(n)) => stride += 1 + n,
                _ => (stride, variable) = (stride + 1 + size_of::<u32>(), true),
            }
        }
        match variable {
            false => self.encode_fixed(columns, from, rows.min((BLOCK_BYTES / stride.max(1)).max(1)), stride),
            true => self.encode_variable(columns, from, rows.min(VARIABLE_BLOCK_ROWS), stride),
        }
    }

    fn encode_fixed(&mut self, columns: &[ArrayRef], from: usize, rows: usize, stride: usize) -> Rows<'_> {
        self.bytes.resize(rows * stride, 0);
        let mut cells = Cells { bytes: &mut self.bytes, rows, place: Place::Stride { stride, at: 0 } };
        columns.iter().for_each(|c| put(c, from, &mut cells));
        Rows { bytes: &self.bytes, rows, borders: Borders::Stride(stride) }
    }

    fn encode_variable(&mut self, columns: &[ArrayRef], from: usize, rows: usize, fixed: usize) -> Rows<'_> {
        self.starts.clear();
        self.starts.resize(rows, fixed);
        for column in columns.iter().filter(|c| width(c.data_type()) == Some(Width::Variable)) {
            let (offsets, nulls) = (&texts(column).0[from..=from + rows], nulls(column));
            for (i, bytes) in self.starts.iter_mut().enumerate() {
                if nulls.is_none_or(|n| n.is_valid(from + i)) {
                    *bytes += (offsets[i + 1] - offsets[i]) as usize;
                }
            }
        }
        let mut end = 0;
        self.starts.iter_mut().for_each(|s| (*s, end) = (end, end + *s));
        self.starts.push(end);
        self.bytes.resize(end, 0);
        self.cursors.clone_from(&self.starts);
        let mut cells = Cells { bytes: &mut self.bytes, rows, place: Place::Cursors(&mut self.cursors) };
        columns.iter().for_each(|c| put(c, from, &mut cells));
        Rows { bytes: &self.bytes, rows, borders: Borders::Starts(&self.starts) }
    }
}

/// Where the next column's values go.
struct Cells<'a> {
    bytes: &'a mut [u8],
    rows: usize,
    place: Place<'a>,
}

enum Place<'a> {
    /// Every row has `stride` bytes, of which `at` are written.
    Stride { stride: usize, at: usize },
    /// Row `i` goes on here.
    Cursors(&'a mut [usize]),
}

impl Cells<'_> {
    /// Appends a presence byte and `N` bytes to every row.
    fn fixed<const N: usize>(&mut self, column: &ArrayRef, from: usize, values: impl Iterator<Item = [u8; N]>) {
        let nulls = nulls(column);
        match &mut self.place {
            Place::Stride { stride, at: place } => {
                // Copies, so that the loop knows that its borders stay.
                let (stride, at) = (*stride, *place);
                let cells = self.bytes.chunks_exact_mut(stride).map(|row| &mut row[at..at + 1 + N]);
                match nulls {
                    None => cells.zip(values).for_each(|(cell, v)| put_cell(cell, true, v)),
                    Some(n) => {
                        (cells.zip(values).enumerate())
                            .for_each(|(i, (cell, v))| put_cell(cell, n.is_valid(from + i), v));
                    }
                }
                *place += 1 + N;
            }
            Place::Cursors(cursors) => {
                for ((i, at), v) in cursors[..self.rows].iter_mut().enumerate().zip(values) {
                    put_cell(&mut self.bytes[*at..*at + 1 + N], nulls.is_none_or(|n| n.is_valid(from + i)), v);
                    *at += 1 + N;
                }
            }
        }
    }

    /// Appends a presence byte, a length and the bytes to every row.
    fn variable(&mut self, column: &ArrayRef, from: usize) {
        let Place::Cursors(cursors) = &mut self.place else {
            unreachable!("a row with a string has no fixed width");
        };
        let ((offsets, data), nulls) = (texts(column), nulls(column));
        for (i, at) in cursors[..self.rows].iter_mut().enumerate() {
            let valid = nulls.is_none_or(|n| n.is_valid(from + i));
            let v = if valid { &data[offsets[from + i] as usize..offsets[from + i + 1] as usize] } else { &[] };
            let cell = &mut self.bytes[*at..*at + 5 + v.len()];
            put_cell(cell, valid, (v.len() as u32).to_le_bytes());
            cell[5..].copy_from_slice(v);
            *at += cell.len();
        }
    }
}

#[inline(always)]
fn put_cell<const N: usize>(cell: &mut [u8], valid: bool, value: [u8; N]) {
    cell[0] = u8::from(valid);
    cell[1..1 + N].copy_from_slice(if valid { &value } else { &[0; N] });
}

/// The canonical bytes of a block of rows.
pub(super) struct Rows<'a> {
    bytes: &'a [u8],
    rows: usize,
    borders: Borders<'a>,
}

enum Borders<'a> {
    Stride(usize),
    Starts(&'a [usize]),
}

impl Rows<'_> {
    /// Number of rows.
    pub(super) fn len(&self) -> usize {
        self.rows
    }

    /// Calls `f` with each row's position in the block and its bytes.
    #[inline(always)]
    pub(super) fn each(&self, mut f: impl FnMut(usize, &[u8])) {
        match self.borders {
            Borders::Stride(0) => (0..self.rows).for_each(|i| f(i, &[])),
            Borders::Stride(n) => self.bytes.chunks_exact(n).enumerate().for_each(|(i, row)| f(i, row)),
            Borders::Starts(s) => s.windows(2).enumerate().for_each(|(i, w)| f(i, &self.bytes[w[0]..w[1]])),
        }
    }
}
