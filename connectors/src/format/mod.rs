//! Formats: bytes to columns and columns to bytes. A format knows no watermark and no key.

pub mod avro;
pub mod csv;
pub mod json;
pub mod parquet;
pub mod protobuf;
pub mod raw;
pub mod records;
pub mod text;
pub mod values;

use crate::options::Options;

/// Flink's option to skip what does not decode (and to make fields NULL) is refused: a bad record is never lost silently.
fn refuse_ignoring(o: &mut Options, name: &'static str) {
    let why = "is not needed: a record that does not decode never ends the job, it becomes a row of t$errors; remove it, and \
               set 'errors' = 'discard' to hear nothing of such rows";
    o.unused(&[name], why);
}
