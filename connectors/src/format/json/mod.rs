//! JSON lines to columns and back: one JSON object (RFC 8259) a line.
//!
//! | option | default | |
//! |---|---|---|
//! | `json.fail-on-missing-field` | `false` | a record without a column's field is bad; else the column is NULL |
//! | `json.timestamp-format.standard` | `SQL` | how times are written: `SQL` puts a blank before the time, `ISO-8601` a `T` |
//! | `json.encode.decimal-as-plain-number` | `true` | `true` is all there is: `35.00`, never `3.5E+1` |
//! | `json.encode.ignore-null-fields` | `false` | leaves NULL fields out, else they are `null` |
//!
//! * Columns go by name. Other fields are skipped; of a field given twice the last counts. `null` is NULL.
//! * Text in a string may stand for any type: `"12.50"` is a DECIMAL too, read as CSV reads it. Numbers are read from their
//!   digits, never through floating point; an integer may be written `1.0` or `1e3`. A number with more decimals or
//!   digits than its column is bad, never rounded. `NaN` and `Infinity` are no JSON, but their strings are DOUBLE.
//! * A STRING takes any value: of a number, an object or an array it is the text as it stands in the file.
//! * Times may be written either way, with as many digits as their type has; TIMESTAMP_LTZ needs a zone.
//! * BYTES are Base64. Control characters may stand in strings, as Flink reads them.
//! * Empty lines are skipped. A line is at most [`RECORD_BYTES_MAX`](super::records::RECORD_BYTES_MAX) long, its objects
//!   and arrays [`DEPTH_MAX`](scan::DEPTH_MAX) deep. A line that is no object is bad, whatever columns the job reads.
//!
//! Files are read as [`records`](super::records) are: [`fields`] finds the values of many lines at once by the [`order`] in
//! which lines name them, [`scan`] is the grammar.

pub mod fields;
pub mod object;
pub mod order;
pub mod read;
pub mod scan;
pub mod write;

use crate::options::Options;

/// The `json.*` options.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JsonOptions {
    /// A record without a column's field is bad.
    pub fail_on_missing_field: bool,
    /// How times are written.
    pub times: TimeFormat,
    /// NULL fields are not written.
    pub ignore_null_fields: bool,
}

/// What stands between the date and the time of a timestamp that is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimeFormat {
    /// A blank.
    #[default]
    Sql,
    /// A `T`.
    Iso8601,
}

const PLAIN: &str = "json.encode.decimal-as-plain-number";
const IGNORE_ERRORS: &str = "json.ignore-parse-errors";

impl JsonOptions {
    /// The names of the options, for a table of another format.
    pub const NAMES: [&'static str; 5] = [
        "json.fail-on-missing-field",
        "json.timestamp-format.standard",
        PLAIN,
        "json.encode.ignore-null-fields",
        IGNORE_ERRORS,
    ];

    /// Reads the options; what is wrong is noted in `o`.
    pub fn parse(o: &mut Options) -> Self {
        let fail_on_missing_field = o.boolean("json.fail-on-missing-field", false);
        let times = match o.choice("json.timestamp-format.standard", &["SQL", "ISO-8601"]) {
            "SQL" => TimeFormat::Sql,
            _ => TimeFormat::Iso8601,
        };
        if !o.boolean(PLAIN, true) {
            o.error(PLAIN, "is false, but DECIMAL is always written with all its digits; remove it");
        }
        super::refuse_ignoring(o, IGNORE_ERRORS);
        let ignore_null_fields = o.boolean("json.encode.ignore-null-fields", false);
        Self { fail_on_missing_field, times, ignore_null_fields }
    }
}

#[cfg(test)]
mod tests;
