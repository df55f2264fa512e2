//! The defaults of fields, for tables that read them (`protobuf.read-default-values`).

use super::descriptor::Kind;
use super::tree::{Leaf, Shape};
use super::walk::Slot;
use super::wire::to_zigzag;

/// The slot of a column whose field is not there: its default, which is zero or nothing if it declares none. A message has
/// no default. Bytes are appended to `texts`.
///
/// # Errors
/// A default that is none of the field's type.
pub fn slot_of(leaf: &Leaf, texts: &mut Vec<u8>) -> Result<Slot, String> {
    if leaf.shape != Shape::Plain {
        return Ok(Slot::ABSENT);
    }
    let Some(text) = &leaf.default else {
        let first = leaf.enumeration.as_ref().map_or(0, |e| e.first);
        return Ok(Slot { value: i64::from(first) as u64, ..Slot::ZERO });
    };
    let bytes = match leaf.kind {
        Kind::String => Some(text.as_bytes().to_vec()),
        Kind::Bytes => unescaped(text),
        _ => None,
    };
    if let Some(bytes) = bytes {
        let start = texts.len();
        texts.extend_from_slice(&bytes);
        return Ok(Slot { value: start as u64, more: bytes.len() as u32, ..Slot::ZERO });
    }
    let value = number(leaf, text);
    value.map(|value| Slot { value, ..Slot::ZERO }).ok_or_else(|| {
        format!("field {} has the default {text:?}, which is no {}; renew the file", leaf.name, leaf.kind.name())
    })
}

/// The bits of a number as messages have them.
fn number(leaf: &Leaf, text: &str) -> Option<u64> {
    Some(match &leaf.kind {
        Kind::Bool => u64::from(text.parse::<bool>().ok()?),
        Kind::Float => u64::from(text.parse::<f32>().ok()?.to_bits()),
        Kind::Double => text.parse::<f64>().ok()?.to_bits(),
        Kind::Enum(_) => i64::from(*leaf.enumeration.as_ref()?.by_name.get(text)?) as u64,
        Kind::Uint64 | Kind::Fixed64 => text.parse().ok()?,
        Kind::Uint32 | Kind::Fixed32 => u64::from(text.parse::<u32>().ok()?),
        Kind::Sint32 | Kind::Sint64 => to_zigzag(text.parse().ok()?),
        Kind::Sfixed32 => u64::from(text.parse::<i32>().ok()? as u32),
        Kind::Int32 => i64::from(text.parse::<i32>().ok()?) as u64,
        Kind::Int64 | Kind::Sfixed64 => text.parse::<i64>().ok()? as u64,
        _ => return None,
    })
}

/// The bytes of a default, which stand as a string of C.
fn unescaped(text: &str) -> Option<Vec<u8>> {
    let (mut out, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((byte, behind)) = rest.split_first() {
        rest = behind;
        if *byte != b'\\' {
            out.push(*byte);
            continue;
        }
        let (escape, behind) = rest.split_first()?;
        rest = behind;
        out.push(match escape {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'a' => 7,
            b'b' => 8,
            b'f' => 12,
            b'v' => 11,
            b'x' | b'X' => number_of(&mut rest, 16, 2, 0)?,
            b'0'..=b'7' => number_of(&mut rest, 8, 2, escape - b'0')?,
            other => *other,
        });
    }
    Some(out)
}

/// At most so many further digits of a number of one byte.
fn number_of(rest: &mut &[u8], base: u32, digits_max: usize, first: u8) -> Option<u8> {
    let mut value = u32::from(first);
    for _ in 0..digits_max {
        let Some(digit) = rest.first().and_then(|byte| char::from(*byte).to_digit(base)) else { break };
        value = value * base + digit;
        *rest = &rest[1..];
    }
    u8::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_stand_as_a_string_of_c() {
        let read = unescaped(r#"a\n\\\"\000\377\x41\xffz\18"#).unwrap();
        assert_eq!(read, b"a\n\\\"\0\xFFA\xFFz\x018");
        assert_eq!(unescaped("\\"), None);
        assert_eq!(unescaped("\\777"), None);
    }
}
