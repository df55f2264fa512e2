//! The order in which fields come.
//!
//! The lines of a file mostly name the same fields in the same order. So the order is learned: names are kept, as they are
//! written with their quotes and colon, each with its column, and the field expected next is the one behind the last. A name
//! that is expected is one comparison of words; one that was seen before is some; only a new one is looked up. What was
//! learned changes the speed, never a result.

use super::scan;

/// Names that are kept; others are looked up each time.
const NAMES_MAX: usize = 256;
/// Bytes compared at once.
const HEAD_BYTES: usize = 16;

/// The column of a field that the table does not read.
pub const UNREAD: u32 = u32::MAX;

/// Names in the order in which they were seen.
#[derive(Debug, Default)]
pub struct Order {
    names: Vec<Name>,
    /// The one that is expected.
    next: usize,
}

#[derive(Debug)]
struct Name {
    /// The first bytes, the others zero, and a mask of them.
    head: u128,
    mask: u128,
    /// All bytes, with the quotes and, where it follows at once, the colon.
    written: Box<[u8]>,
    column: u32,
}

impl Name {
    fn new(written: &[u8], column: u32) -> Self {
        let mut head = [0; HEAD_BYTES];
        let kept = written.len().min(HEAD_BYTES);
        head[..kept].copy_from_slice(&written[..kept]);
        let mask = if kept == HEAD_BYTES { u128::MAX } else { (1 << (8 * kept)) - 1 };
        Self { head: u128::from_le_bytes(head), mask, written: written.into(), column }
    }

    #[inline(always)]
    fn is_at(&self, data: &[u8], at: usize) -> bool {
        match data[at..].first_chunk::<HEAD_BYTES>() {
            Some(head) if (u128::from_le_bytes(*head) ^ self.head) & self.mask != 0 => false,
            Some(_) if self.written.len() <= HEAD_BYTES => true,
            _ => data[at..].starts_with(&self.written),
        }
    }
}

impl Order {
    /// A record begins.
    #[inline(always)]
    pub fn begin(&mut self) {
        self.next = 0;
    }

    /// The column of the name at `at`, if it is known, and behind it.
    #[inline(always)]
    pub fn known(&mut self, data: &[u8], at: usize) -> Option<(u32, usize)> {
        match self.names.get(self.next) {
            Some(name) if name.is_at(data, at) => {
                self.next += 1;
                Some((name.column, at + name.written.len()))
            }
            _ => self.elsewhere(data, at),
        }
    }

    fn elsewhere(&mut self, data: &[u8], at: usize) -> Option<(u32, usize)> {
        let (before, behind) = self.names.split_at(self.next.min(self.names.len()));
        let name = behind.iter().chain(before).position(|name| name.is_at(data, at))?;
        let index = (self.next + name) % self.names.len();
        self.next = index + 1;
        Some((self.names[index].column, at + self.names[index].written.len()))
    }

    /// The column of a name that is not known, the string in `data[at..end]`; it is expected here from now on.
    #[cold]
    pub fn learn(&mut self, data: &[u8], at: usize, end: usize, columns: &[Box<[u8]>]) -> u32 {
        let name = text_of(&data[at..end]);
        let written = &data[at..if data[end] == b':' { end + 1 } else { end }];
        let column = columns.iter().position(|c| **c == *name).map_or(UNREAD, |c| c as u32);
        if self.names.len() < NAMES_MAX {
            self.names.insert(self.next, Name::new(written, column));
            self.next += 1;
        }
        column
    }
}

/// What a string without faults stands for, given with its quotes.
fn text_of(written: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(written.len());
    unescape(&written[1..written.len() - 1], &mut text);
    text
}

/// Appends what the inside of a string without faults stands for.
pub fn unescape(inside: &[u8], out: &mut Vec<u8>) {
    let mut rest = inside;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..at]);
        // The scan has seen every escape.
        let Ok((end, character)) = scan::escape(rest, at) else { break };
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        rest = &rest[end..];
    }
    out.extend_from_slice(rest);
}
