//! CSV (RFC 4180) to columns and back.
//!
//! | option | default | |
//! |---|---|---|
//! | `csv.header` | `false` | the first record names the columns |
//! | `csv.field-delimiter` | `,` | one character; `\t` is a tab |
//! | `csv.quote-character` | `"` | quotes a field; doubled inside, it stands for itself |
//! | `csv.disable-quote-character` | `false` | nothing quotes |
//! | `csv.null-literal` | none | an unquoted field equal to this is NULL |
//!
//! * Columns go by position. With a header they go by name if it names every declared column (others are skipped), else
//!   by position if there are as many; a header that names some declared column elsewhere is an error.
//! * An empty field is NULL, but for STRING (and BYTES), where it is the empty string unless `csv.null-literal` says
//!   otherwise. A quoted field is never NULL. The writer quotes what would be read as something else.
//! * A record ends with LF or CR LF, outside quotes. Empty lines are skipped where a record has more than one column.
//! * A quote opens a quoted field only at the field's beginning; elsewhere it stands for itself.
//! * Bad records become rows of `t$errors`. Columns that the job does not read are counted, not decoded.
//!
//! Files are read as [`records`](super::records) are: [`fields`] finds the field borders of many records at once, [`cells`]
//! says what a field stands for.

pub mod cells;
pub mod fields;
pub mod header;
pub mod read;
pub mod write;

use crate::options::Options;

/// The `csv.*` options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CsvOptions {
    /// The first record names the columns.
    pub header: bool,
    /// Between fields.
    pub delimiter: u8,
    /// Around fields; `None` if nothing quotes.
    pub quote: Option<u8>,
    /// The unquoted text that is NULL.
    pub null_literal: Option<String>,
}

impl Default for CsvOptions {
    fn default() -> Self {
        Self { header: false, delimiter: b',', quote: Some(b'"'), null_literal: None }
    }
}

const IGNORE_ERRORS: &str = "csv.ignore-parse-errors";

impl CsvOptions {
    /// The names of the options, for a table of another format.
    pub const NAMES: [&'static str; 6] = [
        "csv.header",
        "csv.field-delimiter",
        "csv.quote-character",
        "csv.disable-quote-character",
        "csv.null-literal",
        IGNORE_ERRORS,
    ];

    /// Reads the options; what is wrong is noted in `o`.
    pub fn parse(o: &mut Options) -> Self {
        let header = o.boolean("csv.header", false);
        let delimiter = character(o, "csv.field-delimiter", b',');
        let quote = character(o, "csv.quote-character", b'"');
        let quoted = !o.boolean("csv.disable-quote-character", false);
        let null_literal = o.text("csv.null-literal").map(str::to_owned);
        super::refuse_ignoring(o, IGNORE_ERRORS);
        if quoted && delimiter == quote {
            o.error("csv.quote-character", "is the field delimiter too; choose different characters");
        }
        if null_literal.as_ref().is_some_and(|n| n.bytes().any(|b| b == delimiter || b == b'\n' || b == b'\r')) {
            o.error("csv.null-literal", "holds a field delimiter or a line break; choose a text without");
        }
        Self { header, delimiter, quote: quoted.then_some(quote), null_literal }
    }

    /// What decides where the records of a file begin and how they are numbered, as text: kept in checkpoints.
    pub fn shape(&self) -> String {
        let Self { header, delimiter, quote, null_literal: _ } = self;
        format!("csv, header {header}, delimiter {delimiter}, quote {}", quote.map_or(0, u32::from))
    }
}

/// A single ASCII character that can stand between or around fields.
fn character(o: &mut Options, name: &'static str, default: u8) -> u8 {
    let Some(text) = o.text(name) else { return default };
    let unescaped = if text == "\\t" { "\t" } else { text };
    match unescaped.as_bytes() {
        [byte] if byte.is_ascii() && !matches!(byte, b'\n' | b'\r') => *byte,
        _ => {
            o.error(name, format!("{text:?} is not a single ASCII character; write e.g. '{}'", default as char));
            default
        }
    }
}

#[cfg(test)]
mod tests;
