//! The sequential part of reading: cutting a file into blocks of whole records.
//!
//! Records and lines are counted on the way, so that every block knows its first record's number and line. A block
//! without a quote is cut at its last line break; one with quotes is walked from quote to quote and line break to line
//! break. A record over [`RECORD_BYTES_MAX`] is a piece of its own, and reading goes on behind its first line: a quote
//! opened by mistake costs one record.

use super::{BLOCK_BYTES, RAW_BYTES_MAX, RECORD_BYTES_MAX};
use memchr::{memchr, memchr_iter, memchr2};
use std::io::{self, Read};

/// The smallest block: more than a byte order mark.
const BLOCK_BYTES_MIN: usize = 8;

/// A piece of a file, in order.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// Whole records.
    Block(Block),
    /// A record that is too long or whose quote is never closed.
    Oversize(Oversize),
}

/// Whole records, each with its line break.
#[derive(Debug, PartialEq, Eq)]
pub struct Block {
    /// The bytes.
    pub data: Vec<u8>,
    /// Where they begin in the file.
    pub start: u64,
    /// Number of the first record, from 0; the header and empty lines count.
    pub record: u64,
    /// Line of the first record, from 1.
    pub line: u64,
    /// Whether some byte is the quote character.
    pub quoted: bool,
}

/// A record that can't be read.
#[derive(Debug, PartialEq, Eq)]
pub struct Oversize {
    /// Its number, from 0.
    pub record: u64,
    /// Its line, from 1.
    pub line: u64,
    /// What is wrong and what to do.
    pub reason: String,
    /// Its first bytes.
    pub raw: Vec<u8>,
    /// Where it begins in the file.
    pub start: u64,
    /// Bytes skipped.
    pub bytes: u64,
}

/// Cuts an input into pieces.
#[derive(Debug)]
pub struct Borders<R> {
    input: R,
    delimiter: u8,
    quote: Option<u8>,
    block_bytes: usize,
    /// Read but not handed out.
    buffer: Vec<u8>,
    ended: bool,
    /// Where the buffer begins in the file.
    start: u64,
    record: u64,
    line: u64,
}

/// Where the whole records of a buffer end.
struct Cut {
    /// Behind the last whole record.
    end: usize,
    records: u64,
    lines: u64,
    /// The record behind it is longer than allowed.
    oversize: bool,
}

impl<R: Read> Borders<R> {
    /// Begins at the start of `input`. Blocks have about `block_bytes`.
    pub fn new(input: R, delimiter: u8, quote: Option<u8>, block_bytes: usize) -> Self {
        let block_bytes = block_bytes.clamp(BLOCK_BYTES_MIN, BLOCK_BYTES);
        Self { input, delimiter, quote, block_bytes, buffer: Vec::new(), ended: false, start: 0, record: 0, line: 1 }
    }

    /// `input` stands at byte `start` of the file, where record number `record` begins. Lines are counted from there: the
    /// first is 1.
    pub fn from(self, start: u64, record: u64) -> Self {
        Self { start, record, ..self }
    }

    /// The next piece; `None` at the end.
    pub fn next_piece(&mut self) -> io::Result<Option<Piece>> {
        let mut target = self.block_bytes;
        loop {
            self.fill(target)?;
            if self.buffer.is_empty() {
                return Ok(None);
            }
            let quoted = self.quote.is_some_and(|q| memchr(q, &self.buffer).is_some());
            let cut = if quoted { self.cut_quoted() } else { self.cut_plain() };
            if cut.end > 0 {
                return Ok(Some(Piece::Block(self.take(&cut, quoted))));
            }
            if cut.oversize || self.ended {
                return self.oversize().map(|o| Some(Piece::Oversize(o)));
            }
            target = self.buffer.len() + self.block_bytes;
        }
    }

    /// Reads until the buffer holds `target` bytes or the input ends. The last record gets its line break.
    fn fill(&mut self, target: usize) -> io::Result<()> {
        let missing = target.saturating_sub(self.buffer.len());
        if missing == 0 || self.ended {
            return Ok(());
        }
        let first = self.start == 0 && self.buffer.is_empty();
        self.buffer.reserve(missing + 1);
        let read = self.input.by_ref().take(missing as u64).read_to_end(&mut self.buffer)?;
        if read < missing {
            self.ended = true;
            if self.buffer.last().is_some_and(|b| *b != b'\n') {
                self.buffer.push(b'\n');
            }
        }
        // A byte order mark is no part of the first field.
        if first && self.buffer.starts_with(b"\xEF\xBB\xBF") {
            self.buffer.drain(..3);
            self.start = 3;
        }
        Ok(())
    }

    fn cut_plain(&self) -> Cut {
        let mut cut = Cut { end: 0, records: 0, lines: 0, oversize: false };
        for at in memchr_iter(b'\n', &self.buffer) {
            if at - cut.end > RECORD_BYTES_MAX {
                break;
            }
            cut.end = at + 1;
            cut.records += 1;
        }
        cut.lines = cut.records;
        cut.oversize = self.buffer.len() - cut.end > RECORD_BYTES_MAX;
        cut
    }

    fn cut_quoted(&self) -> Cut {
        let (data, quote) = (&self.buffer[..], self.quote.unwrap_or(b'"'));
        let mut cut = Cut { end: 0, records: 0, lines: 0, oversize: false };
        let (mut at, mut lines) = (0, 0);
        while let Some(k) = memchr2(b'\n', quote, &data[at..]) {
            let found = at + k;
            at = found + 1;
            if data[found] == b'\n' {
                if found - cut.end > RECORD_BYTES_MAX {
                    break;
                }
                lines += 1;
                cut = Cut { end: at, records: cut.records + 1, lines, oversize: false };
            } else if found == cut.end || data[found - 1] == self.delimiter {
                let Some(close) = close_quote(data, at, quote) else { break };
                lines += memchr_iter(b'\n', &data[at..close]).count() as u64;
                at = close + 1;
            }
        }
        cut.oversize = data.len() - cut.end > RECORD_BYTES_MAX;
        cut
    }

    fn take(&mut self, cut: &Cut, quoted: bool) -> Block {
        let mut data = self.buffer.split_off(cut.end);
        std::mem::swap(&mut data, &mut self.buffer);
        let block = Block { data, start: self.start, record: self.record, line: self.line, quoted };
        self.start += cut.end as u64;
        self.record += cut.records;
        self.line += cut.lines;
        block
    }

    /// Skips the first line of the record at the start of the buffer.
    fn oversize(&mut self) -> io::Result<Oversize> {
        let (mut bytes, mut raw) = (0, Vec::new());
        let first_line_fits = memchr(b'\n', &self.buffer).is_some_and(|at| at <= RECORD_BYTES_MAX);
        loop {
            let line_end = memchr(b'\n', &self.buffer);
            let end = line_end.map_or(self.buffer.len(), |at| at + 1);
            let kept = line_end.unwrap_or(end).min(RAW_BYTES_MAX - raw.len());
            raw.extend_from_slice(&self.buffer[..kept]);
            bytes += end as u64;
            self.buffer.drain(..end);
            if line_end.is_some() || self.ended {
                break;
            }
            self.fill(self.block_bytes)?;
        }
        let reason = if first_line_fits {
            format!(
                "a field opens with {} that is not closed within {RECORD_BYTES_MAX} bytes or before the file ends; close it, double it, or set \
                 csv.disable-quote-character",
                char::from(self.quote.unwrap_or(b'"'))
            )
        } else {
            format!("the record is longer than {RECORD_BYTES_MAX} bytes; split it, or check the line breaks")
        };
        let oversize = Oversize { record: self.record, line: self.line, reason, raw, start: self.start, bytes };
        self.start += bytes;
        self.record += 1;
        self.line += 1;
        Ok(oversize)
    }
}

/// Position of the quote that closes a field whose content starts at `at`; doubled quotes do not.
pub fn close_quote(data: &[u8], mut at: usize, quote: u8) -> Option<usize> {
    loop {
        let found = at + memchr(quote, data.get(at..)?)?;
        if data.get(found + 1) != Some(&quote) {
            return Some(found);
        }
        at = found + 2;
    }
}

/// Bytes of a record without its line break.
pub fn without_line_break(record: &[u8]) -> &[u8] {
    let record = record.strip_suffix(b"\n").unwrap_or(record);
    record.strip_suffix(b"\r").unwrap_or(record)
}
