//! Memory of short logs: chunks of whole lines of cache, cut from pages, freed to a list per size.
//!
//! One allocation per key would cost a header, a pointer and a cache miss more than the log itself. A chunk of class `c`
//! holds [`Arena::capacity`] entries of `words` 64-bit words, lane by lane: all event times, then all first words, and so
//! on. Sizes are a fifth apart, so that a chunk is mostly full.
//!
//! Chunks of one size that nobody needs any more would stay: logs grow through all sizes. So when an eighth of the memory
//! is free, the emptiest pages are [left](Arena::leave_pages): nothing new is put there, their chunks are moved
//! elsewhere one after another, and the last one gives the page back.

/// Entries of the longest short log.
pub const ENTRIES_MAX: usize = 64;
/// Entries of the smallest chunk.
const ENTRIES_MIN: usize = 2;
/// Words of a line of cache.
pub const LINE_WORDS: usize = 8;
/// Lines of a page: 2 MiB.
const PAGE_LINES: u32 = 1 << 15;

/// A size of chunks.
#[derive(Clone, Copy)]
struct Class {
    lines: u32,
    capacity: u32,
}

/// How much of a page is used.
#[derive(Clone, Copy, Default)]
struct Use {
    /// Lines of chunks handed out.
    live: u32,
    /// Nothing new is put here.
    left: bool,
}

/// All chunks of one operator. An address is the number of the chunk's first line.
pub struct Arena {
    words: usize,
    classes: Vec<Class>,
    /// The least class for a number of entries.
    class_for: [u8; ENTRIES_MAX + 1],
    pages: Vec<Box<[i64]>>,
    uses: Vec<Use>,
    /// Numbers of pages that were given back.
    vacant: Vec<u32>,
    /// The page that chunks are cut from, and its lines handed out.
    current: u32,
    cut: u32,
    free: Vec<Vec<u32>>,
    /// Lines of all free chunks.
    free_lines: usize,
}

impl Arena {
    /// An empty arena for entries of `words` words.
    pub fn new(words: usize) -> Self {
        let classes = classes(words);
        let least = |entries| classes.iter().position(|c| c.capacity as usize >= entries).unwrap_or(classes.len());
        Self {
            words,
            class_for: std::array::from_fn(|entries| least(entries) as u8),
            pages: Vec::new(),
            uses: Vec::new(),
            vacant: Vec::new(),
            current: 0,
            cut: PAGE_LINES,
            free: vec![Vec::new(); classes.len()],
            free_lines: 0,
            classes,
        }
    }

    /// Entries that a chunk of `class` holds.
    #[inline(always)]
    pub fn capacity(&self, class: u8) -> usize {
        self.classes[class as usize].capacity as usize
    }

    /// The least class for `entries`, if any chunk holds so many.
    #[inline(always)]
    pub fn class_for(&self, entries: usize) -> Option<u8> {
        let class = *self.class_for.get(entries)?;
        ((class as usize) < self.classes.len()).then_some(class)
    }

    /// A chunk; its content is arbitrary.
    pub fn alloc(&mut self, class: u8) -> u32 {
        let lines = self.classes[class as usize].lines;
        let at = match self.free[class as usize].pop() {
            Some(at) => {
                self.free_lines -= lines as usize;
                at
            }
            None => self.cut(lines),
        };
        self.uses[page_of(at)].live += lines;
        at
    }

    /// Cuts lines from the current page, or a new one.
    fn cut(&mut self, lines: u32) -> u32 {
        if self.cut + lines > PAGE_LINES {
            let page = vec![0; PAGE_LINES as usize * LINE_WORDS].into_boxed_slice();
            self.current = match self.vacant.pop() {
                Some(number) => {
                    self.pages[number as usize] = page;
                    number
                }
                None => {
                    self.pages.push(page);
                    self.uses.push(Use::default());
                    self.pages.len() as u32 - 1
                }
            };
            self.cut = 0;
        }
        let at = self.current * PAGE_LINES + self.cut;
        self.cut += lines;
        at
    }

    /// Gives a chunk back.
    pub fn free(&mut self, at: u32, class: u8) {
        let lines = self.classes[class as usize].lines;
        let page = &mut self.uses[page_of(at)];
        page.live -= lines;
        if !page.left {
            self.free[class as usize].push(at);
            self.free_lines += lines as usize;
        } else if page.live == 0 {
            self.give_back(page_of(at));
        }
    }

    fn give_back(&mut self, page: usize) {
        self.pages[page] = Box::default();
        self.uses[page] = Use::default();
        self.vacant.push(page as u32);
    }

    /// Whether a chunk should be moved elsewhere.
    #[inline(always)]
    pub fn is_left(&self, at: u32) -> bool {
        self.uses[page_of(at)].left
    }

    /// Chooses pages to be left, the emptiest first, if an eighth of all lines is free, so that half of that remains free.
    /// At most an eighth of all lines is to be moved.
    pub fn leave_pages(&mut self) {
        let total = (self.pages.len() - self.vacant.len()) * PAGE_LINES as usize;
        if self.free_lines * 8 <= total {
            return;
        }
        let is_open =
            |page: &usize| !self.pages[*page].is_empty() && !self.uses[*page].left && *page != self.current as usize;
        let mut open: Vec<usize> = (0..self.pages.len()).filter(is_open).collect();
        open.sort_unstable_by_key(|page| self.uses[*page].live);
        let (mut gained, mut moved) = (0, 0);
        for page in open {
            let live = self.uses[page].live as usize;
            gained += PAGE_LINES as usize - live;
            moved += live;
            if gained + total / 16 > self.free_lines || moved > total / 8 {
                break;
            }
            self.uses[page].left = true;
        }
        self.forget_free_chunks_of_left_pages();
        for page in 0..self.pages.len() {
            if self.uses[page].left && self.uses[page].live == 0 {
                self.give_back(page);
            }
        }
    }

    fn forget_free_chunks_of_left_pages(&mut self) {
        self.free_lines = 0;
        for (chunks, class) in self.free.iter_mut().zip(&self.classes) {
            chunks.retain(|at| !self.uses[page_of(*at)].left);
            chunks.shrink_to(chunks.len() * 2);
            self.free_lines += chunks.len() * class.lines as usize;
        }
    }

    /// The words of a chunk.
    #[inline(always)]
    pub fn chunk(&self, at: u32, class: u8) -> &[i64] {
        let first = line_of(at) * LINE_WORDS;
        &self.pages[page_of(at)][first..first + self.capacity(class) * self.words]
    }

    /// The words of a chunk, to be written.
    #[inline(always)]
    pub fn chunk_mut(&mut self, at: u32, class: u8) -> &mut [i64] {
        let (first, words) = (line_of(at) * LINE_WORDS, self.capacity(class) * self.words);
        &mut self.pages[page_of(at)][first..first + words]
    }

    /// Moves `len` entries from `start` of one chunk to the beginning of another, lane by lane.
    pub fn copy(&mut self, (from, from_class): (u32, u8), start: usize, len: usize, (to, to_class): (u32, u8)) {
        let mut lane = [0i64; ENTRIES_MAX];
        for w in 0..self.words {
            let source = w * self.capacity(from_class) + start;
            lane[..len].copy_from_slice(&self.chunk(from, from_class)[source..source + len]);
            let target = w * self.capacity(to_class);
            self.chunk_mut(to, to_class)[target..target + len].copy_from_slice(&lane[..len]);
        }
    }

    /// Bytes of all pages and lists of free chunks.
    pub fn bytes(&self) -> usize {
        let pages = self.pages.len() - self.vacant.len();
        let lists: usize = self.free.iter().map(|f| f.capacity() * 4).sum();
        pages * PAGE_LINES as usize * LINE_WORDS * 8 + lists
    }
}

#[inline(always)]
fn page_of(at: u32) -> usize {
    (at / PAGE_LINES) as usize
}
#[inline(always)]
fn line_of(at: u32) -> usize {
    (at % PAGE_LINES) as usize
}

/// The sizes for entries of so many words: each is the last one and a fifth, filled up to whole lines.
fn classes(words: usize) -> Vec<Class> {
    let (mut classes, mut entries) = (Vec::new(), ENTRIES_MIN);
    loop {
        let lines = (entries * words).div_ceil(LINE_WORDS);
        let capacity = (lines * LINE_WORDS / words).min(ENTRIES_MAX);
        if lines > PAGE_LINES as usize {
            return classes;
        }
        classes.push(Class { lines: lines as u32, capacity: capacity as u32 });
        if capacity == ENTRIES_MAX {
            return classes;
        }
        entries = capacity + (capacity / 5).max(1);
        entries = entries.min(ENTRIES_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn chunks_keep_their_words_while_others_come_and_pages_are_left(
            words in 1usize..9,
            steps in prop::collection::vec((0u8..8, any::<prop::sample::Index>()), 1..400),
        ) {
            let mut arena = Arena::new(words);
            // every chunk is filled with a number of its own
            let mut chunks: Vec<(u32, u8, i64)> = Vec::new();
            for (number, (what, any)) in steps.into_iter().enumerate() {
                match what {
                    0..=4 => {
                        let class = arena.class_for(1 + any.index(ENTRIES_MAX)).unwrap();
                        let at = arena.alloc(class);
                        arena.chunk_mut(at, class).fill(number as i64);
                        chunks.push((at, class, number as i64));
                    }
                    5 | 6 if !chunks.is_empty() => {
                        let (at, class, _) = chunks.swap_remove(any.index(chunks.len()));
                        arena.free(at, class);
                    }
                    _ => {
                        arena.leave_pages();
                        for (at, class, _) in &mut chunks {
                            if !arena.is_left(*at) {
                                continue;
                            }
                            let to = arena.alloc(*class);
                            let len = arena.capacity(*class);
                            arena.copy((*at, *class), 0, len, (to, *class));
                            arena.free(*at, *class);
                            *at = to;
                        }
                    }
                }
                for (at, class, number) in &chunks {
                    prop_assert!(arena.chunk(*at, *class).iter().all(|w| w == number));
                }
            }
        }
    }

    #[test]
    fn sizes_are_whole_lines_and_every_number_of_entries_has_one() {
        for words in 1..40 {
            let arena = Arena::new(words);
            for entries in 0..=ENTRIES_MAX {
                let capacity = arena.capacity(arena.class_for(entries).unwrap());
                assert!(capacity >= entries);
            }
            assert!(arena.class_for(ENTRIES_MAX + 1).is_none());
            assert!(arena.classes.iter().all(|c| c.capacity as usize * words <= c.lines as usize * LINE_WORDS));
        }
    }

    #[test]
    fn memory_follows_what_is_used() {
        let mut arena = Arena::new(4);
        let (small, large) = (arena.class_for(2).unwrap(), arena.class_for(24).unwrap());
        let mut chunks: Vec<u32> = (0..200_000).map(|_| arena.alloc(small)).collect();
        let before = arena.bytes();
        // one log in ten stays small, the others are gone
        let gone: Vec<u32> = chunks.extract_if(.., |at| *at % 10 != 0).collect();
        gone.iter().for_each(|at| arena.free(*at, small));
        for _ in 0..20 {
            arena.leave_pages();
            let moved: Vec<u32> = chunks.extract_if(.., |at| arena.is_left(*at)).collect();
            for at in moved {
                chunks.push(arena.alloc(small));
                arena.free(at, small);
            }
        }
        assert!(arena.bytes() * 3 < before, "{} of {before} bytes are left", arena.bytes());
        for _ in 0..100 {
            arena.alloc(large);
        }
        assert!(arena.bytes() * 3 < before, "vacant pages are used again");
    }
}
