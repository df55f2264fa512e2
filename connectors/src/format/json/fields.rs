//! Where the values of many records are.
//!
//! [`Fields`] walks over up to a number of lines of a block and keeps where the value of each column is, in one flat list, so
//! that decoding can go column by column. Lines that are no JSON object are set aside, whatever columns are read.

use super::order::{Order, UNREAD};
use super::scan::{DEPTH_MAX, Fault, What, colon, string, value, white};
use crate::format::records::found::Found;

/// A value's bytes.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: u32,
    /// Behind the value; the top bit says that it is a string with escapes. 0: there is no such field.
    end: u32,
}

const MISSING: Span = Span { start: 0, end: 0 };
const ESCAPED: u32 = 1 << 31;

/// A value as it stands in a record.
pub enum Written<'d> {
    /// No such field.
    Missing,
    /// The inside of a string.
    Text(&'d [u8]),
    /// The inside of a string with escapes.
    Escaped(&'d [u8]),
    /// Anything else.
    Other(&'d [u8]),
}

/// What the fields of a table are.
#[derive(Debug)]
pub struct Wanted {
    /// The names of the columns that are read.
    pub names: Vec<Box<[u8]>>,
    /// A record without one of them is bad.
    pub fail_on_missing: bool,
}

/// The good records' values.
#[derive(Debug, Default)]
pub struct Fields {
    width: usize,
    spans: Vec<Span>,
    order: Order,
    /// The records.
    pub records: Found,
}

impl Fields {
    /// Bytes of a value as they stand; none if there is no such field.
    #[inline(always)]
    pub fn as_written<'d>(&self, data: &'d [u8], row: usize, column: usize) -> &'d [u8] {
        let span = self.spans[row * self.width + column];
        &data[span.start as usize..(span.end & !ESCAPED) as usize]
    }

    /// A value.
    #[inline(always)]
    pub fn value<'d>(&self, data: &'d [u8], row: usize, column: usize) -> Written<'d> {
        let span = self.spans[row * self.width + column];
        let written = &data[span.start as usize..(span.end & !ESCAPED) as usize];
        match written {
            [] => Written::Missing,
            [b'"', inside @ .., b'"'] if span.end & ESCAPED == 0 => Written::Text(inside),
            [b'"', inside @ .., b'"'] => Written::Escaped(inside),
            _ => Written::Other(written),
        }
    }

    /// Finds the values of the lines of `data` from `at` on, at most `max_rows` lines; returns where it stopped. `data` ends
    /// with a line break.
    pub fn find(&mut self, data: &[u8], at: usize, max_rows: usize, wanted: &Wanted) -> usize {
        self.width = wanted.names.len();
        self.spans.clear();
        self.records.clear();
        let mut start = at;
        while start < data.len() && self.records.count() < max_rows {
            match self.line(data, start, wanted) {
                Ok(line_break) => start = line_break + 1,
                Err(fault) => {
                    let line_break = start + memchr::memchr(b'\n', &data[start..]).unwrap_or(data.len() - 1 - start);
                    self.spans.truncate(self.records.rows() * self.width);
                    let reason = reason(&data[start..line_break], fault.at - start, fault.what, wanted);
                    self.records.set_aside(start, line_break, reason);
                    start = line_break + 1;
                }
            }
        }
        start
    }

    /// One line; returns where its line break is.
    #[inline(always)]
    fn line(&mut self, data: &[u8], start: usize, wanted: &Wanted) -> Result<usize, Fault> {
        let first = white(data, start);
        if data[first] == b'\n' {
            self.records.skip();
            return Ok(first);
        }
        let end = self.object(data, first, wanted)?;
        let line_break = white(data, end);
        if data[line_break] != b'\n' {
            return Err(Fault { at: line_break, what: What::Expected("the end of the line") });
        }
        self.records.good(start, line_break - usize::from(data[line_break - 1] == b'\r'));
        Ok(line_break)
    }

    #[inline(always)]
    fn object(&mut self, data: &[u8], start: usize, wanted: &Wanted) -> Result<usize, Fault> {
        let expected = |at, what| Err(Fault { at, what: What::Expected(what) });
        if data[start] != b'{' {
            return expected(start, "an object");
        }
        let first = self.spans.len();
        self.spans.resize(first + self.width, MISSING);
        self.order.begin();
        let mut at = white(data, start + 1);
        if data[at] == b'}' {
            return self.check(first, start, wanted).map(|()| at + 1);
        }
        loop {
            let (column, behind) = match self.order.known(data, at) {
                Some(known) => known,
                None if data[at] == b'"' => {
                    let end = string(data, at)?.end;
                    (self.order.learn(data, at, end, &wanted.names), end)
                }
                None => return expected(at, "a field's name in quotes"),
            };
            let from = if data[behind - 1] == b':' { white(data, behind) } else { colon(data, behind)? };
            let scanned = value(data, from)?;
            if column != UNREAD {
                let escaped = if scanned.escaped { ESCAPED } else { 0 };
                self.spans[first + column as usize] = Span { start: from as u32, end: scanned.end as u32 | escaped };
            }
            at = white(data, scanned.end);
            match data[at] {
                b',' => at = white(data, at + 1),
                b'}' => return self.check(first, start, wanted).map(|()| at + 1),
                _ => return expected(at, "a comma or }"),
            }
        }
    }

    /// Whether the record whose values begin at `first` has all that it must have.
    #[inline(always)]
    fn check(&self, first: usize, start: usize, wanted: &Wanted) -> Result<(), Fault> {
        if wanted.fail_on_missing
            && let Some(column) = self.spans[first..].iter().position(|s| s.end == 0)
        {
            return Err(Fault { at: start, what: What::Missing(column) });
        }
        Ok(())
    }
}

/// Characters of the line that an error shows.
const SHOWN_CHARS_MAX: usize = 20;

/// What is wrong with a line at a byte of it, and what to do.
#[cold]
fn reason(line: &[u8], at: usize, what: What, wanted: &Wanted) -> String {
    let found = String::from_utf8_lossy(&line[at.min(line.len())..]).trim_end().to_owned();
    let shown: String = found.chars().take(SHOWN_CHARS_MAX).collect();
    let more = if shown.len() < found.len() { "…" } else { "" };
    let found = if shown.is_empty() { "the end of the line".to_owned() } else { format!("{shown:?}{more}") };
    let what = match what {
        What::Expected("an object") => format!("{found} is no object; write one JSON object a line"),
        What::Expected(expected) => format!("{found} is not {expected}; write one JSON object a line (RFC 8259)"),
        What::OpenString => {
            format!("{found} opens a string that is not closed on its line; write \\n for a line break")
        }
        What::Escape => format!("{found} is no escape of JSON; double the backslash"),
        What::Surrogate => format!("{found} is half of a surrogate pair; write both halves or the character itself"),
        What::Deep => format!("{found} is more than {DEPTH_MAX} levels deep; write a flatter object"),
        What::Missing(column) => {
            let name = String::from_utf8_lossy(&wanted.names[column]);
            return format!("field {name} is missing; write it or set json.fail-on-missing-field to false");
        }
    };
    format!("byte {}: {what}", at + 1)
}
