//! String columns made without an allocation per row.

use arrow::array::{ArrayRef, StringArray};
use arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use std::sync::Arc;

/// A column of codes of one length.
pub fn codes<'c, const N: usize>(picks: &[u8], code: impl Fn(u8) -> &'c [u8; N]) -> ArrayRef {
    let mut bytes = Vec::with_capacity(picks.len() * N);
    picks.iter().for_each(|&p| bytes.extend_from_slice(code(p)));
    let offsets = (0..=picks.len()).map(|i| (i * N) as i32).collect();
    strings(offsets, bytes)
}

/// `OK` or `DECLINED`.
pub fn statuses(declined: &[bool]) -> ArrayRef {
    let mut bytes = Vec::with_capacity(declined.len() * 3);
    let mut offsets = Vec::with_capacity(declined.len() + 1);
    offsets.push(0);
    for &d in declined {
        bytes.extend_from_slice(if d { b"DECLINED" } else { b"OK" });
        offsets.push(bytes.len() as i32);
    }
    strings(offsets, bytes)
}

/// IPv4 addresses made of draws, in 11.0.0.0 … 99.255.255.255 (nothing private, no loopback).
pub fn addresses(draws: impl ExactSizeIterator<Item = u64>) -> ArrayRef {
    let mut bytes = Vec::with_capacity(draws.len() * 15);
    let mut offsets = Vec::with_capacity(draws.len() + 1);
    offsets.push(0);
    for draw in draws {
        let [a, b, c, d, ..] = draw.to_le_bytes();
        octet(11 + a % 89, &mut bytes);
        for part in [b, c, d] {
            bytes.push(b'.');
            octet(part, &mut bytes);
        }
        offsets.push(bytes.len() as i32);
    }
    strings(offsets, bytes)
}

#[inline(always)]
fn octet(value: u8, out: &mut Vec<u8>) {
    let (digits, length) = OCTETS[usize::from(value)];
    out.extend_from_slice(&digits[..usize::from(length)]);
}

/// The decimal digits of 0 … 255 and how many.
static OCTETS: [([u8; 3], u8); 256] = {
    let mut table = [([0; 3], 0); 256];
    let mut n = 0usize;
    while n < 256 {
        let (hundreds, tens, ones) = ((n / 100) as u8 + b'0', (n / 10 % 10) as u8 + b'0', (n % 10) as u8 + b'0');
        table[n] = match n {
            100.. => ([hundreds, tens, ones], 3),
            10.. => ([tens, ones, 0], 2),
            _ => ([ones, 0, 0], 1),
        };
        n += 1;
    }
    table
};

fn strings(offsets: Vec<i32>, bytes: Vec<u8>) -> ArrayRef {
    let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
    Arc::new(StringArray::new(offsets, Buffer::from_vec(bytes), None))
}
