//! Columns to CSV.

use super::CsvOptions;
use crate::format::text::{Column, Style};
use arrow::array::RecordBatch;
use arrow_schema::Schema;

/// Appends the header's line.
///
/// # Errors
/// If a name needs quotes and nothing quotes.
pub fn write_header(schema: &Schema, options: &CsvOptions, out: &mut Vec<u8>) -> Result<(), String> {
    for (k, field) in schema.fields().iter().enumerate() {
        if k > 0 {
            out.push(options.delimiter);
        }
        let at = out.len();
        out.extend_from_slice(field.name().as_bytes());
        quote_if_needed(out, at, options, false)?;
    }
    out.push(b'\n');
    Ok(())
}

/// Appends a line per row.
///
/// # Errors
/// If a value needs quotes and nothing quotes, or a column's type has no text.
pub fn write_rows(rows: &RecordBatch, options: &CsvOptions, out: &mut Vec<u8>) -> Result<(), String> {
    write_each(rows, options, out, |_| ())
}

/// As [`write_rows`]; `behind` is told where each record ends.
///
/// # Errors
/// As there.
pub fn write_each(
    rows: &RecordBatch,
    options: &CsvOptions,
    out: &mut Vec<u8>,
    mut behind: impl FnMut(usize),
) -> Result<(), String> {
    let columns = rows.columns().iter().map(|c| Column::new(c, Style::Csv)).collect::<Option<Vec<_>>>();
    let columns = columns.ok_or("a column's type has no text in CSV; CAST it to STRING")?;
    let null = options.null_literal.as_deref().unwrap_or_default().as_bytes();
    for row in 0..rows.num_rows() {
        for (k, column) in columns.iter().enumerate() {
            if k > 0 {
                out.push(options.delimiter);
            }
            if column.is_null(row) {
                out.extend_from_slice(null);
                continue;
            }
            let at = out.len();
            column.write(row, out);
            // Text may hold anything; the text of a number only if the delimiter or NULL is made of its characters.
            quote_if_needed(out, at, options, column.is_text())?;
        }
        out.push(b'\n');
        behind(out.len());
    }
    Ok(())
}

/// Quotes the field at the end of `out` if it would be read as something else: with a delimiter, quote or line break
/// inside, if it is the text of NULL, or a lone empty text (an empty line).
fn quote_if_needed(out: &mut Vec<u8>, at: usize, options: &CsvOptions, text: bool) -> Result<(), String> {
    let field = &out[at..];
    let special = |b: &u8| *b == options.delimiter || Some(*b) == options.quote || matches!(b, b'\n' | b'\r');
    let is_null = match &options.null_literal {
        Some(null) => null.as_bytes() == field,
        None => text && field.is_empty(),
    };
    if !is_null && !field.iter().any(special) {
        return Ok(());
    }
    let Some(quote) = options.quote else {
        // An empty text without quotes is an empty field: it reads back as itself.
        return if field.is_empty() {
            Ok(())
        } else {
            let shown = String::from_utf8_lossy(field);
            Err(format!("{shown:?} needs quotes, but csv.disable-quote-character is true; set it to false"))
        };
    };
    let inside = field.to_vec();
    out.truncate(at);
    out.push(quote);
    for byte in inside {
        if byte == quote {
            out.push(quote);
        }
        out.push(byte);
    }
    out.push(quote);
    Ok(())
}
