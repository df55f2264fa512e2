//! Records that come one by one: each message of a log is a record of its own.
//!
//! Messages are laid one behind the other, a line each, so that the code that reads files decodes them: column by column,
//! without an allocation a message. A line break inside a message would end its line, so it is written in another way that
//! means the same ([`Framing`]). A message that is no record (none at all, blank, or more than one) is bad; so every other
//! one is exactly one record.

use super::borders::{Block, close_quote};
use super::decode::Wrong;
use super::read::{RecordFormat, filtered};
use super::{RECORD_BYTES_MAX, bad_record};
use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow_schema::SchemaRef;
use highwater_engine::batch::Offsets;
use highwater_engine::error::SourceError;
use highwater_engine::source::BadRecord;

/// How a format lays a message on a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// A JSON text: between values a line break is a blank, in a string it is escaped.
    Json,
    /// A CSV record: line breaks stand inside of quotes, or end it.
    Csv {
        /// Between fields.
        delimiter: u8,
        /// Around fields.
        quote: Option<u8>,
    },
}

impl Framing {
    fn is_blank(self, value: &[u8]) -> bool {
        match self {
            Self::Json => value.iter().all(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n')),
            Self::Csv { .. } => matches!(value, b"" | b"\n" | b"\r" | b"\r\n"),
        }
    }
}

/// Good rows with their offsets, and the bad ones, in order.
pub struct Decoded {
    /// The columns that are read.
    pub columns: RecordBatch,
    /// The offset of each row.
    pub offsets: Offsets,
    /// Messages that are no rows.
    pub bad: Vec<BadRecord>,
}

/// Decodes messages; its memory is used again.
pub trait MessageDecoder: Send {
    /// Takes a message.
    fn push(&mut self, offset: i64, value: Option<&[u8]>);
    /// Takes a message that is a bad row, whatever its value is.
    fn refuse(&mut self, offset: i64, reason: &str, value: Option<&[u8]>);
    /// Messages taken since the last call of [`decode`](Self::decode).
    fn len(&self) -> usize;
    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Decodes the messages taken.
    fn decode(&mut self) -> Result<Decoded, SourceError>;
}

/// Messages of a format.
pub struct Messages<F: RecordFormat> {
    format: F,
    framing: Framing,
    schema: SchemaRef,
    block: Block,
    /// The offset of each line.
    offsets: Vec<i64>,
    /// Messages that are no line.
    bad: Vec<BadRecord>,
    values: F::Values,
}

impl<F: RecordFormat> Messages<F> {
    /// Messages whose columns have this schema.
    pub fn new(format: F, framing: Framing, schema: SchemaRef) -> Self {
        let block = Block { data: Vec::new(), start: 0, record: 0, line: 1, quoted: false };
        Self { format, framing, schema, block, offsets: Vec::new(), bad: Vec::new(), values: F::Values::default() }
    }

    /// Lays a message on a line, without its line break.
    fn lay(&mut self, value: &[u8]) -> Result<(), &'static str> {
        let data = &mut self.block.data;
        match self.framing {
            Framing::Json if memchr::memchr(b'\n', value).is_none() => data.extend_from_slice(value),
            Framing::Json => on_one_line(value, data),
            Framing::Csv { delimiter, quote } => {
                let value = value.strip_suffix(b"\n").unwrap_or(value);
                let value = value.strip_suffix(b"\r").unwrap_or(value);
                let quoted = quote.is_some_and(|q| memchr::memchr(q, value).is_some());
                if quoted || memchr::memchr(b'\n', value).is_some() {
                    one_record(value, delimiter, quote)?;
                }
                self.block.quoted |= quoted;
                data.extend_from_slice(value);
            }
        }
        Ok(())
    }
}

impl<F: RecordFormat> MessageDecoder for Messages<F> {
    fn push(&mut self, offset: i64, value: Option<&[u8]>) {
        let Some(value) = value else {
            return self.refuse(offset, "the message has no value (it is a tombstone)", None);
        };
        if self.framing.is_blank(value) {
            return self.refuse(offset, "the message is empty", Some(value));
        }
        if value.len() > RECORD_BYTES_MAX {
            let reason = format!("the message is longer than {RECORD_BYTES_MAX} bytes; split it");
            return self.refuse(offset, &reason, Some(value));
        }
        let start = self.block.data.len();
        if let Err(reason) = self.lay(value) {
            self.block.data.truncate(start);
            return self.refuse(offset, reason, Some(value));
        }
        self.block.data.push(b'\n');
        self.offsets.push(offset);
    }

    fn refuse(&mut self, offset: i64, reason: &str, value: Option<&[u8]>) {
        self.bad.push(bad_record(offset, reason, value));
    }

    fn len(&self) -> usize {
        self.offsets.len() + self.bad.len()
    }

    fn decode(&mut self) -> Result<Decoded, SourceError> {
        let bug = |what: &str| SourceError::new(format!("decoder: {what}; this is a bug, please report it"));
        let mut wrong = Wrong::new();
        let end = self.format.find(&self.block, 0, usize::MAX, &mut self.values);
        let found = F::found(&mut self.values);
        if found.count() != self.offsets.len() || end != self.block.data.len() {
            return Err(bug("a message is not one record"));
        }
        let rows = found.rows();
        let columns = self.format.columns(&self.block, &self.values, &mut wrong);
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let columns = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)
            .map_err(|e| bug(&e.to_string()))?;
        let found = F::found(&mut self.values);
        let offset_of = |row: usize, found: &super::found::Found| self.offsets[found.ordinal(row) as usize];
        let good = (0..rows).filter(|row| !wrong.contains_key(row));
        let offsets: Vec<i64> = good.map(|row| offset_of(row, found)).collect();
        let columns = filtered(columns, &wrong)?;
        for (ordinal, _, raw, reason) in found.bad(&self.block.data, wrong) {
            self.bad.push(bad_record(self.offsets[ordinal as usize], reason, Some(raw)));
        }
        let mut bad = std::mem::take(&mut self.bad);
        bad.sort_by_key(|b| b.offset);
        self.block.data.clear();
        self.block.quoted = false;
        self.offsets.clear();
        Ok(Decoded { columns, offsets: in_order(offsets), bad })
    }
}

/// Ascending offsets, as short as they can be said.
pub fn in_order(offsets: Vec<i64>) -> Offsets {
    let dense = offsets.first().zip(offsets.last()).is_none_or(|(a, b)| (b - a) as usize + 1 == offsets.len());
    match offsets.first() {
        Some(first) if dense => Offsets::Run(*first),
        _ => Offsets::List(offsets.into()),
    }
}

/// A JSON text on one line. What is no JSON stays so.
fn on_one_line(value: &[u8], out: &mut Vec<u8>) {
    let (mut in_string, mut escaped) = (false, false);
    for &byte in value {
        match byte {
            b'\n' if in_string && !escaped => out.extend_from_slice(b"\\n"),
            b'\n' => out.push(b' '),
            _ => out.push(byte),
        }
        in_string ^= byte == b'"' && !escaped;
        escaped = in_string && byte == b'\\' && !escaped;
    }
}

/// Whether a text that holds quotes or line breaks is one CSV record.
fn one_record(value: &[u8], delimiter: u8, quote: Option<u8>) -> Result<(), &'static str> {
    let mut at = 0;
    loop {
        if quote.is_some() && value.get(at).copied() == quote {
            let close = quote.and_then(|q| close_quote(value, at + 1, q));
            at = close.ok_or("a field opens with a quote that is not closed; close it, or double it")? + 1;
        }
        let Some(next) = memchr::memchr2(delimiter, b'\n', &value[at..]) else { return Ok(()) };
        if value[at + next] == b'\n' {
            return Err("the message holds more than one line; send each record as a message of its own");
        }
        at += next + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::csv::CsvOptions;
    use crate::format::csv::read::CsvTable;
    use crate::format::json::read::JsonTable;
    use arrow::util::display::{ArrayFormatter, FormatOptions};
    use arrow_schema::{DataType, Field, Schema};
    use std::sync::Arc;

    fn schema() -> SchemaRef {
        let field = |name: &str, data_type| Field::new(name, data_type, true);
        Arc::new(Schema::new(vec![field("n", DataType::Int64), field("s", DataType::Utf8)]))
    }

    /// Takes messages with the offsets 10, 12, ...; says what becomes of each.
    fn check(decoder: &mut dyn MessageDecoder, messages: &[Option<&str>]) -> Vec<String> {
        for (i, message) in messages.iter().enumerate() {
            decoder.push(10 + 2 * i as i64, message.map(str::as_bytes));
        }
        assert_eq!(decoder.len(), messages.len());
        let Decoded { columns, offsets, bad } = decoder.decode().unwrap();
        assert!(decoder.is_empty());
        let options = FormatOptions::default().with_null("NULL");
        let text = |c: usize, row| ArrayFormatter::try_new(columns.column(c), &options).unwrap().value(row).to_string();
        let mut all: Vec<(i64, String)> = (0..columns.num_rows())
            .map(|row| (offsets.at(row), format!("{} {:?}", text(0, row), text(1, row))))
            .collect();
        assert!(bad.is_sorted_by_key(|b| b.offset));
        all.extend(bad.into_iter().map(|b| {
            let raw = b.raw.map(|raw| String::from_utf8(raw).unwrap());
            assert_eq!(
                raw.as_deref(),
                messages[(b.offset as usize - 10) / 2].map(|m| m.trim_end_matches('\n')),
                "{}",
                b.reason
            );
            (b.offset, format!("bad: {}", b.reason))
        }));
        all.sort();
        assert_eq!(all.len(), messages.len());
        all.into_iter()
            .enumerate()
            .map(|(i, (offset, text))| {
                assert_eq!(offset, 10 + 2 * i as i64);
                text
            })
            .collect()
    }

    #[test]
    fn a_json_message_may_stand_on_many_lines() {
        let table = JsonTable::new(&Default::default(), &schema(), &[0, 1]).unwrap();
        let mut decoder = table.messages();
        let messages = [
            Some("{\n  \"n\": 1,\n  \"s\": \"a\\\"\n\\\\\"\n}\n"),
            Some("{\"s\":\"b\",\"n\":2}"),
            Some("{\"n\":3}\n\n"),
        ];
        for _ in 0..2 {
            assert_eq!(check(&mut decoder, &messages), ["1 \"a\\\"\\n\\\\\"", "2 \"b\"", "3 \"NULL\""]);
        }
        let found =
            check(&mut decoder, &[Some("{\"n\":4}"), None, Some(" \t"), Some(""), Some("{\"n\":4}"), Some("[]")]);
        let bad = |i: usize, why: &str| assert!(found[i].starts_with("bad: ") && found[i].contains(why), "{found:?}");
        assert_eq!((found[0].as_str(), found[4].as_str()), ("4 \"NULL\"", "4 \"NULL\""));
        bad(1, "no value");
        bad(2, "empty");
        bad(3, "empty");
        bad(5, "");
        // Two objects are no record, nor is a backslash before a line break an escape.
        let mut decoder = table.messages();
        for message in ["{\"n\":1}\n{\"n\":2}", "{\"s\":\"a\\\nb\"}", "{\"n\":1"] {
            decoder.push(0, Some(message.as_bytes()));
            assert_eq!(decoder.decode().unwrap().bad.len(), 1, "{message:?}");
        }
    }

    #[test]
    fn a_csv_message_is_one_record_whatever_stands_in_quotes() {
        let table = CsvTable::new(CsvOptions::default(), &schema(), &[0, 1]).unwrap();
        let messages =
            [Some("1,a\n"), Some("2,\"b,\"\"\nc\""), Some("3,\"open"), Some("4,d\n5,e"), Some("6"), Some("\"7\",f\"g")];
        let found = check(&mut table.messages(), &messages);
        assert_eq!([&found[0], &found[1], &found[5]], ["1 \"a\"", "2 \"b,\\\"\\nc\"", "7 \"f\\\"g\""]);
        assert!(found[2].contains("a quote that is not closed"), "{found:?}");
        assert!(found[3].contains("more than one line"), "{found:?}");
        assert!(found[4].contains("too few columns"), "{found:?}");
    }

    #[test]
    fn offsets_may_have_gaps_and_rows_that_are_wrong_between_them() {
        let table = JsonTable::new(&Default::default(), &schema(), &[0, 1]).unwrap();
        let mut decoder = table.messages();
        for (offset, n) in [(5, "1"), (6, "x"), (9, "3")] {
            decoder.push(offset, Some(format!("{{\"n\":\"{n}\"}}").as_bytes()));
        }
        let decoded = decoder.decode().unwrap();
        assert_eq!([0, 1].map(|row| decoded.offsets.at(row)), [5, 9]);
        assert_eq!(decoded.bad.iter().map(|b| b.offset).collect::<Vec<_>>(), [6]);
    }
}
