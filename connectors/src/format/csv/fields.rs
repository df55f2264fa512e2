//! Field borders of many records at once.
//!
//! [`Fields`] finds the borders of up to a number of records of a block and keeps them in one flat list, `width` to a
//! record, so that decoding can go column by column. Records with another number of fields are set aside.

use crate::format::records::borders::close_quote;
use crate::format::records::found::Found;

/// The good records' borders.
#[derive(Debug, Default)]
pub struct Fields {
    width: usize,
    /// End of each field of each good record.
    ends: Vec<u32>,
    /// The records.
    pub records: Found,
}

impl Fields {
    /// Bytes of a field as they stand, with its quotes.
    #[inline(always)]
    pub fn field<'d>(&self, data: &'d [u8], row: usize, field: usize) -> &'d [u8] {
        let at = row * self.width + field;
        let start = if field == 0 { self.records.start(row) } else { self.ends[at - 1] as usize + 1 };
        &data[start..self.ends[at] as usize]
    }

    /// Finds the fields of the records of `data` from `at` on, at most `max_rows` records; returns where it stopped.
    /// `data` ends with a line break and `quote` is `None` if no byte of it quotes.
    pub fn find(
        &mut self,
        data: &[u8],
        at: usize,
        width: usize,
        delimiter: u8,
        quote: Option<u8>,
        max_rows: usize,
    ) -> usize {
        self.width = width;
        self.ends.clear();
        self.records.clear();
        match quote {
            None => self.find_plain(data, at, delimiter, max_rows),
            Some(quote) => self.find_quoted(data, at, delimiter, quote, max_rows),
        }
    }

    /// Eight bytes at a time: the bytes of a word that are a delimiter or line break are found together.
    fn find_plain(&mut self, data: &[u8], at: usize, delimiter: u8, max_rows: usize) -> usize {
        let (delimiters, breaks) = (splat(delimiter), splat(b'\n'));
        let mut start = at;
        let mut word_at = at;
        let mut words = data[at..].chunks_exact(8);
        for word in &mut words {
            let word = u64::from_le_bytes(word.try_into().unwrap_or_default());
            let mut hits = zero_bytes(word ^ delimiters) | zero_bytes(word ^ breaks);
            while hits != 0 {
                let found = word_at + (hits.trailing_zeros() / 8) as usize;
                hits &= hits - 1;
                self.ends.push(found as u32);
                if data[found] == b'\n' {
                    self.close(data, start, found);
                    start = found + 1;
                    if self.records.count() >= max_rows {
                        return start;
                    }
                }
            }
            word_at += 8;
        }
        for (k, byte) in words.remainder().iter().enumerate() {
            if *byte == delimiter || *byte == b'\n' {
                self.ends.push((word_at + k) as u32);
            }
            if *byte == b'\n' {
                self.close(data, start, word_at + k);
                start = word_at + k + 1;
                if self.records.count() >= max_rows {
                    return start;
                }
            }
        }
        start
    }

    fn find_quoted(&mut self, data: &[u8], at: usize, delimiter: u8, quote: u8, max_rows: usize) -> usize {
        let (mut start, mut field, mut stray) = (at, at, None);
        while field < data.len() {
            let mut from = field;
            if data[field] == quote {
                // The border scan has seen it closed.
                let Some(close) = close_quote(data, field + 1, quote) else { break };
                from = close + 1;
            }
            let Some(k) = memchr::memchr2(delimiter, b'\n', &data[from..]) else { break };
            let end = from + k;
            let behind = if data[end] == b'\n' && end > from && data[end - 1] == b'\r' { end - 1 } else { end };
            if from > field && behind > from {
                stray = stray.or(Some(self.ends.len() - self.records.rows() * self.width + 1));
            }
            self.ends.push(end as u32);
            field = end + 1;
            if data[end] == b'\n' {
                match stray.take() {
                    None => self.close(data, start, end),
                    Some(column) => {
                        let reason = format!(
                            "column {column}: characters follow the closing quote; double the quotes inside the field"
                        );
                        self.set_aside(start, end, reason);
                    }
                }
                start = field;
                if self.records.count() >= max_rows {
                    break;
                }
            }
        }
        start
    }

    /// A record ends: its fields' ends have been pushed.
    #[inline(always)]
    fn close(&mut self, data: &[u8], start: usize, line_break: usize) {
        let end = if line_break > start && data[line_break - 1] == b'\r' { line_break - 1 } else { line_break };
        let before = self.records.rows() * self.width;
        let count = self.ends.len() - before;
        if end == start && self.width > 1 {
            self.ends.truncate(before);
            self.records.skip();
        } else if count == self.width {
            self.ends[before + count - 1] = end as u32;
            self.records.good(start, end);
        } else {
            self.wrong_count(start, line_break, count);
        }
    }

    #[cold]
    fn wrong_count(&mut self, start: usize, line_break: usize, count: usize) {
        let wanted = self.width;
        let (few, cure) = if count < wanted {
            ("too few columns", "add the missing ones")
        } else {
            ("too many columns", "quote fields that hold the delimiter")
        };
        self.set_aside(
            start,
            line_break,
            format!("{few}: found {count}, the table has {wanted}; {cure}, or check csv.field-delimiter"),
        );
    }

    fn set_aside(&mut self, start: usize, line_break: usize, reason: String) {
        self.ends.truncate(self.records.rows() * self.width);
        self.records.set_aside(start, line_break, reason);
    }
}

const fn splat(byte: u8) -> u64 {
    byte as u64 * 0x0101_0101_0101_0101
}

/// The top bit of each byte that is zero, and no other bit.
#[inline(always)]
const fn zero_bytes(word: u64) -> u64 {
    const LOW: u64 = 0x7F7F_7F7F_7F7F_7F7F;
    !(((word & LOW) + LOW) | word | LOW)
}
