//! The wire format of protocol buffers: tags, varints, values of fixed size and of a given length.

use std::fmt;

/// How deep groups that nobody reads, and messages of a descriptor file, may lie in each other.
pub const DEPTH_MAX: usize = 100;
/// The largest number of a field.
const NUMBER_MAX: u64 = (1 << 29) - 1;
/// Bytes of a varint.
const VARINT_BYTES_MAX: usize = 10;

/// A varint follows.
pub const VARINT: u8 = 0;
/// Eight bytes follow.
pub const FIXED64: u8 = 1;
/// A length and as many bytes follow.
pub const BYTES: u8 = 2;
/// Fields follow, up to the end of the group.
pub const GROUP: u8 = 3;
/// The end of a group.
pub const GROUP_END: u8 = 4;
/// Four bytes follow.
pub const FIXED32: u8 = 5;

/// What is no message, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The byte at which it was found.
    pub at: usize,
    /// What was found.
    pub what: What,
}

/// What is wrong with bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A varint ends before its last byte.
    VarintCut,
    /// A varint of more than 64 bits.
    VarintLong,
    /// So many bytes should follow, fewer do.
    ValueCut(u64),
    /// No number of a field.
    Number(u64),
    /// A wire type that there is not.
    WireType(u8),
    /// The end of this group, where it is not open.
    GroupEnd(u32),
    /// This group has no end.
    GroupOpen(u32),
    /// Groups or messages deeper than [`DEPTH_MAX`].
    Deep,
    /// A field of another wire type than its own, which comes last.
    OtherType(u32, u8, u8),
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::VarintCut => write!(f, "a number is cut off"),
            Self::VarintLong => write!(f, "a number has more than 64 bits"),
            Self::ValueCut(bytes) => write!(f, "a value of {bytes} bytes is cut off"),
            Self::Number(number) => write!(f, "{number} is no number of a field"),
            Self::WireType(wire) => write!(f, "{wire} is no wire type"),
            Self::GroupEnd(number) => write!(f, "group {number} ends and is not open"),
            Self::GroupOpen(number) => write!(f, "group {number} has no end"),
            Self::Deep => write!(f, "messages lie deeper in each other than {DEPTH_MAX}"),
            Self::OtherType(number, found, wanted) => write!(
                f,
                "field {number} has wire type {found}, its own is {wanted}: was the message written by another descriptor?"
            ),
        }
    }
}

/// Bytes that are read in order.
#[derive(Clone, Copy, Debug)]
pub struct Cursor<'m> {
    bytes: &'m [u8],
    /// The next byte.
    pub at: usize,
    /// Where reading ends.
    end: usize,
}

impl<'m> Cursor<'m> {
    /// Reads a part of some bytes.
    pub fn new(bytes: &'m [u8], at: usize, end: usize) -> Self {
        debug_assert!(at <= end && end <= bytes.len(), "{at}..{end} of {}", bytes.len());
        Self { bytes, at, end }
    }

    /// Goes on with the next `bytes` alone; says where reading ended before, for [`leave`](Self::leave).
    pub fn enter(&mut self, bytes: usize) -> usize {
        std::mem::replace(&mut self.end, self.at + bytes)
    }

    /// Goes on up to where reading ended before.
    pub fn leave(&mut self, end: usize) {
        self.end = end;
    }

    #[cold]
    fn damage<T>(&self, what: What) -> Result<T, Damage> {
        Err(Damage { at: self.at, what })
    }

    /// A varint.
    #[inline(always)]
    pub fn varint(&mut self) -> Result<u64, Damage> {
        match self.bytes[..self.end].get(self.at) {
            Some(byte) if *byte < 0x80 => {
                self.at += 1;
                Ok(u64::from(*byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, Damage> {
        let mut value = 0u64;
        for (i, byte) in self.bytes[self.at..self.end].iter().take(VARINT_BYTES_MAX).enumerate() {
            if i + 1 == VARINT_BYTES_MAX && *byte > 1 {
                return self.damage(What::VarintLong);
            }
            value |= u64::from(byte & 0x7F) << (7 * i);
            if *byte < 0x80 {
                self.at += i + 1;
                return Ok(value);
            }
        }
        self.damage(What::VarintCut)
    }

    /// Number and wire type of the next field; `None` at the end.
    #[inline(always)]
    pub fn tag(&mut self) -> Result<Option<(u32, u8)>, Damage> {
        if self.at == self.end {
            return Ok(None);
        }
        let start = self.at;
        let tag = self.varint()?;
        let (number, wire) = (tag >> 3, (tag & 7) as u8);
        if number == 0 || number > NUMBER_MAX {
            return Err(Damage { at: start, what: What::Number(number) });
        }
        Ok(Some((number as u32, wire)))
    }

    /// How many bytes of a value follow: no more than there are.
    #[inline(always)]
    pub fn length(&mut self) -> Result<usize, Damage> {
        let length = self.varint()?;
        if length > (self.end - self.at) as u64 { self.damage(What::ValueCut(length)) } else { Ok(length as usize) }
    }

    /// A value of a fixed size.
    #[inline(always)]
    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Damage> {
        match self.bytes[self.at..self.end].first_chunk::<N>() {
            Some(value) => {
                self.at += N;
                Ok(*value)
            }
            None => self.damage(What::ValueCut(N as u64)),
        }
    }

    /// Four bytes.
    #[inline(always)]
    pub fn fixed32(&mut self) -> Result<u64, Damage> {
        Ok(u64::from(u32::from_le_bytes(self.fixed()?)))
    }

    /// Eight bytes.
    #[inline(always)]
    pub fn fixed64(&mut self) -> Result<u64, Damage> {
        Ok(u64::from_le_bytes(self.fixed()?))
    }

    /// A value of a given length.
    pub fn bytes(&mut self) -> Result<&'m [u8], Damage> {
        let length = self.length()?;
        self.at += length;
        Ok(&self.bytes[self.at - length..self.at])
    }

    /// Passes over the value of a field whose tag was read.
    pub fn skip(&mut self, number: u32, wire: u8) -> Result<(), Damage> {
        match wire {
            VARINT => self.varint().map(drop),
            FIXED64 => self.fixed64().map(drop),
            BYTES => self.bytes().map(drop),
            GROUP => self.skip_group(number),
            GROUP_END => self.damage(What::GroupEnd(number)),
            FIXED32 => self.fixed32().map(drop),
            _ => self.damage(What::WireType(wire)),
        }
    }

    /// Passes over a group and the groups in it.
    fn skip_group(&mut self, number: u32) -> Result<(), Damage> {
        let (mut open, mut depth) = ([0u32; DEPTH_MAX], 1);
        open[0] = number;
        while depth > 0 {
            match self.tag()? {
                None => return self.damage(What::GroupOpen(open[depth - 1])),
                Some((number, GROUP_END)) if number == open[depth - 1] => depth -= 1,
                Some((_, GROUP)) if depth == DEPTH_MAX => return self.damage(What::Deep),
                Some((number, GROUP)) => {
                    open[depth] = number;
                    depth += 1;
                }
                Some((number, wire)) => self.skip(number, wire)?,
            }
        }
        Ok(())
    }
}

/// Whether a number, as a varint has it, is one of 32 bits with a sign.
pub fn fits_32_bits(raw: u64) -> Option<i32> {
    i32::try_from(raw as i64).ok()
}

/// The number of a `sint` field.
pub fn from_zigzag(raw: u64) -> i64 {
    (raw >> 1) as i64 ^ -((raw & 1) as i64)
}

/// What a `sint` field holds of a number.
pub fn to_zigzag(value: i64) -> u64 {
    (value << 1) as u64 ^ (value >> 63) as u64
}

/// Appends a varint.
pub fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends number and wire type of a field.
pub fn put_tag(number: u32, wire: u8, out: &mut Vec<u8>) {
    put_varint(u64::from(number) << 3 | u64::from(wire), out);
}

/// Writes what `write` appends with its length before it.
pub fn put_length_of<E>(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<(), E> {
    let start = out.len();
    // Mostly one byte is enough for the length.
    out.push(0);
    write(out)?;
    let length = (out.len() - start - 1) as u64;
    if length < 0x80 {
        out[start] = length as u8;
        return Ok(());
    }
    let more = (length.ilog2() / 7) as usize;
    let end = out.len();
    out.resize(end + more, 0);
    out.copy_within(start + 1..end, start + 1 + more);
    let mut rest = length;
    for byte in &mut out[start..=start + more] {
        *byte = rest as u8 | 0x80;
        rest >>= 7;
    }
    out[start + more] &= 0x7F;
    Ok(())
}
