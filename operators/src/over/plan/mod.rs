//! What a node keeps and computes, decided once: the words of an entry, the inputs of aggregates, the measures of frames.
//!
//! Calls share all they can: an argument stands once in an entry; one bit says whether an entry counts for all calls with
//! the same argument and FILTER; COUNT, SUM, AVG and STDDEV of one input over one frame read the same measure. `make`
//! compiles it.

mod make;

use super::frame::{Frame, Starts};
use super::lane::Kind;
use super::pick::{Pick, Place};
use crate::aggregate::Finish;
use arrow::datatypes::{DataType, SchemaRef};
use highwater_engine::graph::{Aggregate, AggregateFunction, Node, OverSpec, PseudoColumn};

/// Words of an entry that are always there: its event time.
pub const TIME: usize = 0;
/// Word of the first flags, if there are any.
const FLAGS: usize = 1;

/// A node, compiled.
#[derive(Debug)]
pub struct Plan {
    /// Key columns of the input.
    pub keys: Vec<usize>,
    /// What batches are read for, in the order of their words.
    pub lanes: Vec<LanePlan>,
    /// The flags, 64 to a word: whether a row counts for an (argument, filter).
    pub bits: Vec<(Option<usize>, Option<usize>)>,
    /// Words of flags; behind the flags stand [`Link`]s, and words of them may follow.
    pub flag_words: usize,
    /// Words of an entry: time, flags and links, lanes.
    pub words: usize,
    /// Distinct inputs, by number.
    pub distincts: Vec<Distinct>,
    /// Extrema, by number.
    pub extrema: Vec<Extremum>,
    /// The different RANGE frames.
    pub frames: Vec<FramePlan>,
    /// The different ROWS frames.
    pub row_frames: Vec<FramePlan>,
    /// Values at places.
    pub picks: Vec<Pick>,
    /// Whether anything goes by the place of a row among those of its key.
    pub by_place: bool,
    /// Number of measures of all frames.
    pub measures: usize,
    /// Number of measures with wide moments.
    pub wides: usize,
    /// The calls, in the order of the output.
    pub calls: Vec<Call>,
    /// Pseudo-columns behind the calls.
    pub pseudo: Vec<PseudoColumn>,
    /// Columns of the input.
    pub input: SchemaRef,
    /// Columns of the output.
    pub output: SchemaRef,
    /// Where frames begin that begin with a period.
    pub starts: Starts,
    /// How far back an entry can matter, at most.
    pub reach_ms: i64,
}

/// An argument column in an entry.
#[derive(Debug)]
pub struct LanePlan {
    /// Column of the input.
    pub column: usize,
    /// How it stands in words.
    pub kind: Kind,
    /// Its first word.
    pub word: usize,
}

/// The flag of an entry that says whether it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bit {
    /// The word it stands in.
    pub word: usize,
    /// The bit.
    pub mask: i64,
}

/// Where a value stands in an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// No argument: COUNT(*).
    None,
    /// One word; `narrow` if the sum of [`super::arena::ENTRIES_MAX`] of them always fits an `i64`.
    Fixed {
        /// The word.
        word: usize,
        /// See above.
        narrow: bool,
    },
    /// Two words, the low one first.
    Wide(usize),
    /// A word of the interner.
    Text(usize),
    /// The entry's own number.
    Place,
}

/// Occurrences of a value among the entries that count: for DISTINCT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Distinct {
    /// The word that is compared.
    pub value: usize,
    /// Where rows that wait have it: a position in [`Plan::lanes`].
    pub lane: usize,
    /// Which entries count.
    pub bit: Option<Bit>,
    /// Where an entry of a short log says how far back the previous occurrence is.
    pub link: Link,
}

/// Seven bits of an entry of a short log: how many entries back a value occurred before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// The word they stand in.
    pub word: usize,
    /// The lowest of them.
    shift: u32,
}

impl Link {
    const BITS: usize = 7;
    /// No previous occurrence: further back than any entry of a short log.
    pub const NONE: usize = (1 << Self::BITS) - 1;

    /// Reads it from its word.
    #[inline(always)]
    pub fn get(self, word: i64) -> usize {
        (word as u64 >> self.shift) as usize & Self::NONE
    }
    /// Writes it into its word.
    #[inline(always)]
    pub fn set(self, word: &mut i64, back: usize) {
        *word = (*word & !((Self::NONE as i64) << self.shift)) | ((back as i64) << self.shift);
    }
}

/// An extremum that long logs keep a pyramid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extremum {
    /// The values.
    pub value: Value,
    /// Which entries count.
    pub bit: Option<Bit>,
    /// The greatest, else the least.
    pub max: bool,
}

/// One frame and what is measured over it.
#[derive(Debug)]
pub struct FramePlan {
    /// The frame.
    pub frame: Frame,
    /// Its measures.
    pub measures: Vec<Measure>,
    /// Number of the first of them among all frames'.
    pub first: usize,
}

/// What is known of one input over one frame.
#[derive(Clone, Debug)]
pub struct Measure {
    /// The values.
    pub value: Value,
    /// Which entries count.
    pub bit: Option<Bit>,
    /// Only first occurrences count; a position in [`Plan::distincts`].
    pub distinct: Option<usize>,
    /// Whether the sum of values of at most 64 bits is asked for.
    pub sum: bool,
    /// Whether the sum of squares is asked for.
    pub squares: bool,
    /// Position among all measures with wide moments, if the squares or the sum of wide values are asked for.
    pub wide: Option<usize>,
    /// Position in [`Plan::extrema`] of the minimum, if asked for.
    pub min: Option<usize>,
    /// Position in [`Plan::extrema`] of the maximum, if asked for.
    pub max: Option<usize>,
}

/// One result column.
#[derive(Debug)]
pub struct Call {
    /// Its measure, counted over all frames; behind all measures stand the [`Plan::picks`].
    pub measure: usize,
    /// Its frame, for errors.
    pub frame: Frame,
    /// What is made of the measure.
    pub result: CallResult,
    /// The result's type.
    pub returns: DataType,
    /// Whether its values are wide: [`Value::Wide`].
    pub wide: bool,
}

/// What a call makes of its measure.
#[derive(Debug)]
pub enum CallResult {
    /// How many.
    Count,
    /// The sum.
    Sum(Finish),
    /// The mean.
    Avg(Finish),
    /// A variance or standard deviation.
    Dispersion(Finish),
    /// The least value, or the one that was picked.
    Min,
    /// The greatest value.
    Max,
    /// Between the least and the greatest value that were picked, as far as the sum says; of DOUBLE without a finisher.
    Percentile(Option<Finish>),
}

impl Plan {
    /// The flags among the bits of word `word` of the flags; the others are links.
    pub fn flag_mask(&self, word: usize) -> i64 {
        match self.bits.len() - word * 64 {
            flags @ 0..64 => ((1u64 << flags) - 1) as i64,
            _ => -1,
        }
    }
}
