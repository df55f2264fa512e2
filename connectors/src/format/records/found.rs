//! The records found in a part of a block: the good ones, those set aside, and their places.

use super::borders::without_line_break;

/// A record that has not the shape it should have.
#[derive(Debug, PartialEq, Eq)]
pub struct Misshapen {
    /// Its place among the records found, the good ones and these together.
    pub ordinal: u32,
    /// Where its bytes are.
    pub start: u32,
    /// Behind its line break.
    pub end: u32,
    /// What is wrong.
    pub reason: String,
}

/// Records found.
#[derive(Debug, Default)]
pub struct Found {
    /// Start of each good record.
    starts: Vec<u32>,
    /// End of each good record, its line break not included.
    ends: Vec<u32>,
    /// Place of each good record among all records found.
    ordinals: Vec<u32>,
    /// The others.
    pub misshapen: Vec<Misshapen>,
    /// Records found: good, misshapen and skipped empty lines.
    count: u32,
}

impl Found {
    /// Nothing is found yet.
    pub fn clear(&mut self) {
        self.starts.clear();
        self.ends.clear();
        self.ordinals.clear();
        self.misshapen.clear();
        self.count = 0;
    }

    /// Records found: good, misshapen and skipped empty lines.
    #[inline(always)]
    pub fn count(&self) -> usize {
        self.count as usize
    }

    /// Good records.
    #[inline(always)]
    pub fn rows(&self) -> usize {
        self.starts.len()
    }

    /// Place of a good record among all records found.
    pub fn ordinal(&self, row: usize) -> u32 {
        self.ordinals[row]
    }

    /// Start of a good record.
    #[inline(always)]
    pub fn start(&self, row: usize) -> usize {
        self.starts[row] as usize
    }

    /// Bytes of a good record, without its line break.
    pub fn record<'d>(&self, data: &'d [u8], row: usize) -> &'d [u8] {
        &data[self.start(row)..self.ends[row] as usize]
    }

    /// A good record, its line break not included.
    #[inline(always)]
    pub fn good(&mut self, start: usize, end: usize) {
        self.starts.push(start as u32);
        self.ends.push(end as u32);
        self.ordinals.push(self.count);
        self.count += 1;
    }

    /// An empty line.
    #[inline(always)]
    pub fn skip(&mut self) {
        self.count += 1;
    }

    /// A record with a wrong shape, up to its line break.
    #[cold]
    pub fn set_aside(&mut self, start: usize, line_break: usize, reason: String) {
        let (start, end) = (start as u32, line_break as u32 + 1);
        self.misshapen.push(Misshapen { ordinal: self.count, start, end, reason });
        self.count += 1;
    }

    /// Takes all bad records, in order: place, start, bytes, reason. `wrong` are good records with a value that is not.
    pub fn bad<'d>(
        &mut self,
        data: &'d [u8],
        wrong: impl IntoIterator<Item = (usize, String)>,
    ) -> Vec<(u32, usize, &'d [u8], String)> {
        let misshapen = self.misshapen.drain(..).map(|m| {
            let (start, end) = (m.start as usize, m.end as usize);
            (m.ordinal, start, without_line_break(&data[start..end]), m.reason)
        });
        let mut bad: Vec<_> = misshapen.collect();
        let wrong = wrong.into_iter();
        bad.extend(wrong.map(|(row, reason)| (self.ordinal(row), self.start(row), self.record(data, row), reason)));
        bad.sort_unstable_by_key(|b| b.0);
        bad
    }
}
