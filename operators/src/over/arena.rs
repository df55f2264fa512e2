//! Memory of short logs: chunks of 2 to 64 entries cut from pages, freed to a list per size.
//!
//! One allocation per key would cost a header, a pointer and a cache miss more than the log itself. A chunk of class `c`
//! holds `2 << c` entries of `words` 64-bit words, lane by lane: all event times, then all first words, and so on.

/// Sizes of chunks: 2, 4, … 64 entries.
pub const CLASSES: usize = 6;
/// Entries of the largest chunk, and so of the longest short log.
pub const ENTRIES_MAX: usize = 2 << (CLASSES - 1);
/// Smallest chunks in a page.
const PAGE_UNITS: u32 = 4096;

/// Entries that a chunk of `class` holds.
#[inline(always)]
pub const fn capacity(class: u8) -> usize {
    2 << class
}

/// The least class that holds `entries`.
pub fn class_for(entries: usize) -> u8 {
    (0..CLASSES as u8).find(|c| capacity(*c) >= entries).unwrap_or(CLASSES as u8 - 1)
}

/// All chunks of one operator. An address is the number of the chunk's first unit of two entries.
pub struct Arena {
    words: usize,
    pages: Vec<Box<[i64]>>,
    /// Units handed out of the last page.
    used: u32,
    free: [Vec<u32>; CLASSES],
}

impl Arena {
    /// An empty arena for entries of `words` words.
    pub fn new(words: usize) -> Self {
        Self { words, pages: Vec::new(), used: PAGE_UNITS, free: Default::default() }
    }

    /// A chunk; its content is arbitrary.
    pub fn alloc(&mut self, class: u8) -> u32 {
        if let Some(at) = self.free[class as usize].pop() {
            return at;
        }
        let units = 1u32 << class;
        if self.used + units > PAGE_UNITS {
            self.pages.push(vec![0; PAGE_UNITS as usize * 2 * self.words].into_boxed_slice());
            self.used = 0;
        }
        let at = (self.pages.len() as u32 - 1) * PAGE_UNITS + self.used;
        self.used += units;
        at
    }

    /// Gives a chunk back.
    pub fn free(&mut self, at: u32, class: u8) {
        self.free[class as usize].push(at);
    }

    /// The words of a chunk.
    #[inline(always)]
    pub fn chunk(&self, at: u32, class: u8) -> &[i64] {
        let first = (at % PAGE_UNITS) as usize * 2 * self.words;
        &self.pages[(at / PAGE_UNITS) as usize][first..first + capacity(class) * self.words]
    }

    /// The words of a chunk, to be written.
    #[inline(always)]
    pub fn chunk_mut(&mut self, at: u32, class: u8) -> &mut [i64] {
        let first = (at % PAGE_UNITS) as usize * 2 * self.words;
        &mut self.pages[(at / PAGE_UNITS) as usize][first..first + capacity(class) * self.words]
    }

    /// Moves `len` entries from `start` of one chunk to the beginning of another, lane by lane.
    pub fn copy(&mut self, (from, from_class): (u32, u8), start: usize, len: usize, (to, to_class): (u32, u8)) {
        let mut lane = [0i64; ENTRIES_MAX];
        for w in 0..self.words {
            let source = w * capacity(from_class) + start;
            lane[..len].copy_from_slice(&self.chunk(from, from_class)[source..source + len]);
            let target = w * capacity(to_class);
            self.chunk_mut(to, to_class)[target..target + len].copy_from_slice(&lane[..len]);
        }
    }

    /// Bytes of all pages.
    pub fn bytes(&self) -> usize {
        self.pages.len() * PAGE_UNITS as usize * 2 * self.words * 8
    }
}
