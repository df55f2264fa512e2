//! Columns to JSON lines.

use super::{JsonOptions, TimeFormat};
use crate::format::text::{Column, Style};
use arrow::array::RecordBatch;
use arrow::datatypes::DataType;

/// Appends a line per row.
///
/// # Errors
/// If a column's type has no text.
pub fn write_rows(rows: &RecordBatch, options: &JsonOptions, out: &mut Vec<u8>) -> Result<(), String> {
    write_each(rows, options, out, |_| ())
}

/// As [`write_rows`]; `behind` is told where each line ends.
///
/// # Errors
/// As there.
pub fn write_each(
    rows: &RecordBatch,
    options: &JsonOptions,
    out: &mut Vec<u8>,
    mut behind: impl FnMut(usize),
) -> Result<(), String> {
    let style = match options.times {
        TimeFormat::Sql => Style::Csv,
        TimeFormat::Iso8601 => Style::Iso,
    };
    let schema = rows.schema();
    let mut columns = Vec::with_capacity(rows.num_columns());
    for (array, field) in rows.columns().iter().zip(schema.fields()) {
        let values = Column::new(array, style).ok_or("a column's type has no text in JSON; CAST it to STRING")?;
        let mut name = Vec::new();
        write_string(field.name().as_bytes(), &mut name);
        name.push(b':');
        columns.push((name, values, Kind::of(field.data_type())));
    }
    for row in 0..rows.num_rows() {
        let start = out.len();
        for (name, values, kind) in &columns {
            let null = values.is_null(row);
            if null && options.ignore_null_fields {
                continue;
            }
            out.push(if out.len() == start { b'{' } else { b',' });
            out.extend_from_slice(name);
            if null {
                out.extend_from_slice(b"null");
            } else {
                kind.write(values, row, out);
            }
        }
        if out.len() == start {
            out.push(b'{');
        }
        out.extend_from_slice(b"}\n");
        behind(out.len());
    }
    Ok(())
}

/// How the text of a value stands in JSON.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// As it is: integers, DECIMAL, BOOLEAN.
    Bare,
    /// As it is, but `"NaN"`, `"Infinity"` and `"-Infinity"`.
    Float,
    /// In quotes, without a character to escape: times, Base64.
    Quoted,
    /// In quotes, with escapes.
    Text,
}

impl Kind {
    fn of(data_type: &DataType) -> Self {
        match data_type {
            DataType::Utf8 => Self::Text,
            DataType::Float32 | DataType::Float64 => Self::Float,
            t if t.is_temporal() || t == &DataType::Binary => Self::Quoted,
            _ => Self::Bare,
        }
    }

    fn write(self, values: &Column, row: usize, out: &mut Vec<u8>) {
        let start = out.len();
        match self {
            Self::Bare => values.write(row, out),
            Self::Float => {
                values.write(row, out);
                let quoted: &[u8] = match &out[start..] {
                    b"NaN" => b"\"NaN\"",
                    b"inf" => b"\"Infinity\"",
                    b"-inf" => b"\"-Infinity\"",
                    _ => return,
                };
                out.truncate(start);
                out.extend_from_slice(quoted);
            }
            Self::Quoted => {
                out.push(b'"');
                values.write(row, out);
                out.push(b'"');
            }
            Self::Text => {
                out.push(b'"');
                values.write(row, out);
                if out[start + 1..].iter().any(|b| must_escape(*b)) {
                    let text = out.split_off(start + 1);
                    escape(&text, out);
                }
                out.push(b'"');
            }
        }
    }
}

fn must_escape(byte: u8) -> bool {
    byte < b' ' || matches!(byte, b'"' | b'\\')
}

fn write_string(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    escape(text, out);
    out.push(b'"');
}

fn escape(text: &[u8], out: &mut Vec<u8>) {
    for &byte in text {
        let short = match byte {
            b'"' | b'\\' => byte,
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x8 => b'b',
            0xC => b'f',
            0..b' ' => {
                out.extend_from_slice(b"\\u00");
                out.extend([byte >> 4, byte & 15].map(|n| b"0123456789abcdef"[usize::from(n)]));
                continue;
            }
            _ => {
                out.push(byte);
                continue;
            }
        };
        out.extend([b'\\', short]);
    }
}
