//! The grammar of JSON (RFC 8259) over the bytes of a block: where a value ends, and whether it is one.
//!
//! A block ends with a line break, and no value reaches over one, so every scan ends inside the block. Two things are not
//! as in the RFC: a line break is no white space, and control characters may stand in strings, as Flink reads them.
//! Whether bytes are UTF-8 is judged where they become text.

/// Objects and arrays inside each other.
pub const DEPTH_MAX: u32 = 128;

/// What is wrong at a byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The byte, counted in the block.
    pub at: usize,
    /// What is wrong.
    pub what: What,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Something else was expected.
    Expected(&'static str),
    /// The line ends within a string.
    OpenString,
    /// A backslash with no escape behind it.
    Escape,
    /// Half of a surrogate pair.
    Surrogate,
    /// More than [`DEPTH_MAX`] levels.
    Deep,
    /// A field that must be there is not.
    Missing(usize),
}

/// Behind a value, and for a string whether it holds escapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scanned {
    /// Behind its last byte.
    pub end: usize,
    /// It is a string with escapes.
    pub escaped: bool,
}

const fn fail<T>(at: usize, what: What) -> Result<T, Fault> {
    Err(Fault { at, what })
}

/// Behind the white space at `at`, if there is any.
#[inline(always)]
pub fn white(data: &[u8], mut at: usize) -> usize {
    while matches!(data[at], b' ' | b'\t' | b'\r') {
        at += 1;
    }
    at
}

/// The value at `at`.
#[inline(always)]
pub fn value(data: &[u8], at: usize) -> Result<Scanned, Fault> {
    match data[at] {
        b'"' => string(data, at),
        b'0'..=b'9' | b'-' => number(data, at).map(plain),
        b'{' | b'[' => nested(data, at).map(plain),
        _ => literal(data, at).map(plain),
    }
}

const fn plain(end: usize) -> Scanned {
    Scanned { end, escaped: false }
}

fn literal(data: &[u8], at: usize) -> Result<usize, Fault> {
    let words: [&[u8]; 3] = [b"null", b"true", b"false"];
    match words.iter().find(|w| data[at..].starts_with(w)) {
        Some(word) => Ok(at + word.len()),
        None => fail(at, What::Expected("a value")),
    }
}

/// The string whose quote stands at `at`.
#[inline(always)]
pub fn string(data: &[u8], at: usize) -> Result<Scanned, Fault> {
    let mut found = at + 1;
    while let Some(word) = data[found..].first_chunk::<8>() {
        let word = u64::from_le_bytes(*word);
        let hits = (first_equal(word, b'"') | first_equal(word, b'\\') | first_equal(word, b'\n')) & !LOW;
        if hits != 0 {
            found += (hits.trailing_zeros() / 8) as usize;
            return if data[found] == b'"' { Ok(plain(found + 1)) } else { rest_of_string(data, at, found) };
        }
        found += 8;
    }
    rest_of_string(data, at, found)
}

/// A string with escapes, or near the end of the block.
fn rest_of_string(data: &[u8], start: usize, mut at: usize) -> Result<Scanned, Fault> {
    let mut escaped = false;
    while let Some(&byte) = data.get(at) {
        match byte {
            b'"' => return Ok(Scanned { end: at + 1, escaped }),
            b'\n' => break,
            b'\\' => {
                escaped = true;
                at = escape(data, at)?.0;
            }
            _ => at += 1,
        }
    }
    fail(start, What::OpenString)
}

/// The character that the escape at `at` stands for, behind the place where the escape ends.
pub fn escape(data: &[u8], at: usize) -> Result<(usize, char), Fault> {
    let simple = match data.get(at + 1) {
        Some(b'"') => '"',
        Some(b'\\') => '\\',
        Some(b'/') => '/',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{C}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return unicode(data, at),
        _ => return fail(at, What::Escape),
    };
    Ok((at + 2, simple))
}

/// `\uXXXX`, or two of them that are a surrogate pair.
fn unicode(data: &[u8], at: usize) -> Result<(usize, char), Fault> {
    let unit = |at: usize| {
        let digits = data.get(at..at + 6)?.strip_prefix(b"\\u")?;
        digits.iter().try_fold(0u32, |unit, d| Some(unit << 4 | char::from(*d).to_digit(16)?))
    };
    let Some(first) = unit(at) else { return fail(at, What::Escape) };
    if let Some(character) = char::from_u32(first) {
        return Ok((at + 6, character));
    }
    let pair = match unit(at + 6) {
        Some(low @ 0xDC00..=0xDFFF) if first < 0xDC00 => 0x10000 + ((first - 0xD800) << 10) + (low - 0xDC00),
        _ => return fail(at, What::Surrogate),
    };
    char::from_u32(pair).map_or(fail(at, What::Surrogate), |character| Ok((at + 12, character)))
}

/// The number at `at`.
#[inline(always)]
fn number(data: &[u8], at: usize) -> Result<usize, Fault> {
    let first = if data[at] == b'-' { at + 1 } else { at };
    let mut end = digits(data, first);
    if end == first || (data[first] == b'0' && end > first + 1) {
        return fail(at, What::Expected("a number"));
    }
    if data[end] == b'.' {
        let fraction = end + 1;
        end = digits(data, fraction);
        if end == fraction {
            return fail(at, What::Expected("a number"));
        }
    }
    if data[end] | 32 == b'e' {
        let sign = usize::from(matches!(data[end + 1], b'+' | b'-'));
        let exponent = end + 1 + sign;
        end = digits(data, exponent);
        if end == exponent {
            return fail(at, What::Expected("a number"));
        }
    }
    Ok(end)
}

/// Behind the digits at `at`.
#[inline(always)]
fn digits(data: &[u8], mut at: usize) -> usize {
    while let Some(word) = data[at..].first_chunk::<8>() {
        let others = first_not_digit(u64::from_le_bytes(*word));
        if others != 0 {
            return at + (others.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while data[at].is_ascii_digit() {
        at += 1;
    }
    at
}

/// The object or array at `at`: a bit a level says which, so nothing is kept elsewhere.
fn nested(data: &[u8], start: usize) -> Result<usize, Fault> {
    let (mut objects, mut depth, mut at) = (0u128, 0u32, start);
    loop {
        // A value begins here.
        match data[at] {
            open @ (b'{' | b'[') => {
                if depth == DEPTH_MAX {
                    return fail(at, What::Deep);
                }
                depth += 1;
                objects = objects << 1 | u128::from(open == b'{');
                at = white(data, at + 1);
                if data[at] != close_of(objects) {
                    if objects & 1 == 1 {
                        at = name(data, at)?;
                    }
                    continue;
                }
                (objects, depth, at) = (objects >> 1, depth - 1, at + 1);
            }
            b'"' => at = string(data, at)?.end,
            b'0'..=b'9' | b'-' => at = number(data, at)?,
            _ => at = literal(data, at)?,
        }
        // A value ends here.
        loop {
            if depth == 0 {
                return Ok(at);
            }
            at = white(data, at);
            if data[at] == b',' {
                at = white(data, at + 1);
                if objects & 1 == 1 {
                    at = name(data, at)?;
                }
                break;
            }
            if data[at] != close_of(objects) {
                return fail(at, What::Expected(if objects & 1 == 1 { "a comma or }" } else { "a comma or ]" }));
            }
            (objects, depth, at) = (objects >> 1, depth - 1, at + 1);
        }
    }
}

const fn close_of(objects: u128) -> u8 {
    if objects & 1 == 1 { b'}' } else { b']' }
}

/// The name and colon at `at`; returns where the value begins.
fn name(data: &[u8], at: usize) -> Result<usize, Fault> {
    if data[at] != b'"' {
        return fail(at, What::Expected("a field's name in quotes"));
    }
    let end = string(data, at)?.end;
    colon(data, end)
}

/// Behind the colon at `at` and the white space around it.
#[inline(always)]
pub fn colon(data: &[u8], at: usize) -> Result<usize, Fault> {
    let at = white(data, at);
    if data[at] == b':' { Ok(white(data, at + 1)) } else { fail(at, What::Expected("a colon")) }
}

const LOW: u64 = 0x7F7F_7F7F_7F7F_7F7F;
const ONES: u64 = 0x0101_0101_0101_0101;

/// The lowest byte with its top bit set is the first that is this one. What is above it may be anything, and so may be the
/// other bits.
#[inline(always)]
const fn first_equal(word: u64, byte: u8) -> u64 {
    let word = word ^ (byte as u64 * ONES);
    word.wrapping_sub(ONES) & !word
}

/// The top bit of the first byte that is no digit, no top bit below it, and anything above.
#[inline(always)]
const fn first_not_digit(word: u64) -> u64 {
    let word = word ^ (b'0' as u64 * ONES);
    (word.wrapping_add(0x76 * ONES) | word) & !LOW
}
