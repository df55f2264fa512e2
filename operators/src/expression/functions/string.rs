//! Functions of texts. Characters are Unicode code points; positions count from 1 unless a function says otherwise.

use super::super::kernel::{Args, Failure, Texts, Values};
use super::{Argument, Function, Typing, signature};
use arrow::array::{Array, ArrayRef, AsArray, Int32Array, StringArray, StringBuilder};
use arrow::buffer::{Buffer, OffsetBuffer};
use arrow::datatypes::{DataType, Int64Type};
use std::borrow::Cow;
use std::fmt::Write;
use std::sync::Arc;

pub(super) fn functions() -> Vec<Function> {
    vec![
        Function::plain("upper", |a| text(a, "s"), |a| case(a, <[u8]>::make_ascii_uppercase, str::to_uppercase))
            .total(),
        Function::plain("lower", |a| text(a, "s"), |a| case(a, <[u8]>::make_ascii_lowercase, str::to_lowercase))
            .total(),
        Function::plain("initcap", |a| text(a, "s"), |a| map1(a, |s| Cow::Owned(initcap(s)))).total(),
        Function::plain("reverse", |a| text(a, "s"), |a| map1(a, |s| Cow::Owned(s.chars().rev().collect()))).total(),
        Function::plain("char_length", |a| number(a, "s"), char_length).or(&["character_length"]).total(),
        Function::plain("ascii", |a| number(a, "s"), |a| ints1(a, |s| s.bytes().next().map_or(0, i32::from))).total(),
        Function::plain("btrim", |a| text(a, "s?s"), |a| trim(a, true, true)).or(&["trim"]).total(),
        Function::plain("ltrim", |a| text(a, "s?s"), |a| trim(a, true, false)).total(),
        Function::plain("rtrim", |a| text(a, "s?s"), |a| trim(a, false, true)).total(),
        Function::plain("substring", |a| text(a, "si?i"), substring).or(&["substr"]).total(),
        Function::plain("left", |a| text(a, "si"), |a| edge(a, true)).total(),
        Function::plain("right", |a| text(a, "si"), |a| edge(a, false)).total(),
        Function::plain("position", |a| number(a, "ss"), |a| find(a, 0, 1)).or(&["locate"]).total(),
        Function::plain("instr", |a| number(a, "ss"), |a| find(a, 1, 0)).or(&["strpos"]).total(),
        Function::plain("replace", |a| text(a, "sss"), replace),
        Function::plain("repeat", |a| text(a, "si"), repeat),
        Function::plain("lpad", |a| text(a, "sis"), |a| pad(a, true)),
        Function::plain("rpad", |a| text(a, "sis"), |a| pad(a, false)),
        Function::plain("split_index", |a| text(a, "ssi"), split_index).total(),
        Function::plain("concat", |a| text(a, "s*"), concat).total(),
        Function::plain("concat_ws", |a| text(a, "ss*"), concat_ws).total(),
    ]
}

fn text(args: &[Argument], want: &str) -> Result<Typing, String> {
    signature(args, want, DataType::Utf8)
}

fn number(args: &[Argument], want: &str) -> Result<Typing, String> {
    signature(args, want, DataType::Int32)
}

/// Longest text a function that multiplies its input may make.
const TEXT_BYTES_MAX: usize = 1 << 20;

fn too_long() -> Failure {
    Failure::new(format!("the text would be longer than {TEXT_BYTES_MAX} bytes"))
}

/// Builds a text per row; `f` writes it, or says NULL by returning false.
fn build(args: &Args<'_>, mut f: impl FnMut(usize, &mut String) -> Result<bool, Failure>) -> Result<ArrayRef, Failure> {
    let mut out = StringBuilder::with_capacity(args.rows(), args.rows() * 16);
    let mut row = String::new();
    for i in 0..args.rows() {
        row.clear();
        if f(i, &mut row)? { out.append_value(&row) } else { out.append_null() }
    }
    Ok(Arc::new(out.finish()))
}

/// Picks a part of the text of each row.
fn pick<'a>(args: &Args<'a>, f: impl Fn(usize) -> Option<&'a str>) -> Result<ArrayRef, Failure> {
    let mut out = StringBuilder::with_capacity(args.rows(), args.rows() * 16);
    (0..args.rows()).for_each(|i| out.append_option(f(i)));
    Ok(Arc::new(out.finish()))
}

fn map1(args: &Args<'_>, f: impl Fn(&str) -> Cow<'_, str>) -> Result<ArrayRef, Failure> {
    let texts = args.text(0);
    let out: StringArray = (0..args.rows()).map(|i| texts.get(i).map(&f)).collect();
    Ok(Arc::new(out))
}

fn ints1(args: &Args<'_>, f: impl Fn(&str) -> i32) -> Result<ArrayRef, Failure> {
    let texts = args.text(0);
    Ok(Arc::new((0..args.rows()).map(|i| texts.get(i).map(&f)).collect::<Int32Array>()))
}

/// ASCII keeps every byte's place: one pass over the bytes of all rows.
fn case(args: &Args<'_>, ascii: fn(&mut [u8]), full: fn(&str) -> String) -> Result<ArrayRef, Failure> {
    let array: &StringArray = args.array(0).as_string();
    let offsets = array.offsets();
    let (from, to) = (offsets[0] as usize, offsets[array.len()] as usize);
    let bytes = &array.values()[from..to];
    if !bytes.is_ascii() {
        return map1(args, |s| Cow::Owned(full(s)));
    }
    let mut mapped = bytes.to_vec();
    ascii(&mut mapped);
    let offsets = if from == 0 {
        offsets.clone()
    } else {
        OffsetBuffer::from_lengths((0..array.len()).map(|i| (offsets[i + 1] - offsets[i]) as usize))
    };
    Ok(Arc::new(StringArray::try_new(offsets, Buffer::from_vec(mapped), array.nulls().cloned())?))
}

/// The first letter of each word (a run of letters and digits) in upper case, the rest in lower case.
fn initcap(s: &str) -> String {
    let mut out = String::with_capacity(s.len());
    let mut start = true;
    for c in s.chars() {
        if start {
            out.extend(c.to_uppercase())
        } else {
            out.extend(c.to_lowercase())
        }
        start = !c.is_alphanumeric();
    }
    out
}

fn char_length(args: &Args<'_>) -> Result<ArrayRef, Failure> {
    // a code point is every byte that does not continue one
    ints1(args, |s| s.bytes().filter(|b| (*b as i8) >= -0x40).count() as i32)
}

/// Removes characters of a set (a space by default) from the ends.
fn trim(args: &Args<'_>, leading: bool, trailing: bool) -> Result<ArrayRef, Failure> {
    let texts = args.text(0);
    let sets = (args.count() == 2).then(|| args.text(1));
    pick(args, |i| {
        let (mut s, set) = (texts.get(i)?, sets.map_or(Some(" "), |t| t.get(i))?);
        if leading {
            s = s.trim_start_matches(|c| set.contains(c));
        }
        if trailing {
            s = s.trim_end_matches(|c| set.contains(c));
        }
        Some(s)
    })
}

/// The byte range of the code points `[from, from + len)`.
fn characters(s: &str, from: usize, len: usize) -> &str {
    if s.is_ascii() {
        let from = from.min(s.len());
        return &s[from..from.saturating_add(len).min(s.len())];
    }
    let at = |n: usize| s.char_indices().nth(n).map_or(s.len(), |(i, _)| i);
    &s[at(from)..at(from.saturating_add(len))]
}

/// From a position (negative: from the end; 0 is 1), some characters or all; a negative length is NULL.
fn substring(args: &Args<'_>) -> Result<ArrayRef, Failure> {
    let (texts, from) = (args.text(0), args.values::<Int64Type>(1));
    let len = (args.count() == 3).then(|| args.values::<Int64Type>(2));
    pick(args, |i| {
        let (s, from) = (texts.get(i)?, from.get(i)?);
        let len = usize::try_from(len.map_or(Some(i64::MAX), |l| l.get(i))?).ok()?;
        let start = match from {
            1.. => usize::try_from(from - 1).unwrap_or(usize::MAX),
            0 => 0,
            _ => match s.chars().count().checked_sub(usize::try_from(from.unsigned_abs()).unwrap_or(usize::MAX)) {
                Some(start) => start,
                None => return Some(""),
            },
        };
        Some(characters(s, start, len))
    })
}

/// LEFT and RIGHT; below 1 character: the empty text.
fn edge(args: &Args<'_>, left: bool) -> Result<ArrayRef, Failure> {
    let (texts, n) = (args.text(0), args.values::<Int64Type>(1));
    pick(args, |i| {
        let (s, n) = (texts.get(i)?, n.get(i)?);
        let n = usize::try_from(n).unwrap_or(0);
        let from = if left { 0 } else { s.chars().count().saturating_sub(n) };
        Some(characters(s, from, n))
    })
}

/// The position of argument `needle` in argument `hay`, 0 if it is not there.
fn find(args: &Args<'_>, needle: usize, hay: usize) -> Result<ArrayRef, Failure> {
    let (needles, hays) = (args.text(needle), args.text(hay));
    let position = |i: usize| {
        let (needle, hay) = (needles.get(i)?, hays.get(i)?);
        Some(hay.find(needle).map_or(0, |at| hay[..at].chars().count() as i32 + 1))
    };
    Ok(Arc::new((0..args.rows()).map(position).collect::<Int32Array>()))
}

fn replace(args: &Args<'_>) -> Result<ArrayRef, Failure> {
    let (texts, from, to) = (args.text(0), args.text(1), args.text(2));
    build(args, |i, out| {
        let (Some(s), Some(from), Some(to)) = (texts.get(i), from.get(i), to.get(i)) else { return Ok(false) };
        out.push_str(&s.replace(from, to));
        if out.len() > TEXT_BYTES_MAX.max(s.len()) { Err(too_long()) } else { Ok(true) }
    })
}

fn repeat(args: &Args<'_>) -> Result<ArrayRef, Failure> {
    let (texts, n) = (args.text(0), args.values::<Int64Type>(1));
    build(args, |i, out| {
        let (Some(s), Some(n)) = (texts.get(i), n.get(i)) else { return Ok(false) };
        let n = usize::try_from(n).unwrap_or(0);
        if s.len().saturating_mul(n) > TEXT_BYTES_MAX {
            return Err(too_long());
        }
        out.push_str(&s.repeat(n));
        Ok(true)
    })
}

/// To a length in characters, cut or filled with a repeated text; NULL for a negative length or an empty filling.
fn pad(args: &Args<'_>, left: bool) -> Result<ArrayRef, Failure> {
    let (texts, n, fill): (Texts<'_>, Values<'_, Int64Type>, Texts<'_>) = (args.text(0), args.values(1), args.text(2));
    build(args, |i, out| {
        let (Some(s), Some(n), Some(fill)) = (texts.get(i), n.get(i), fill.get(i)) else { return Ok(false) };
        let Ok(n) = usize::try_from(n) else { return Ok(false) };
        if fill.is_empty() {
            return Ok(false);
        }
        if n > TEXT_BYTES_MAX {
            return Err(too_long());
        }
        let missing = n.saturating_sub(s.chars().count());
        let filling = fill.chars().cycle().take(missing);
        if left {
            out.extend(filling);
            out.push_str(characters(s, 0, n));
        } else {
            out.push_str(characters(s, 0, n));
            out.extend(filling);
        }
        Ok(true)
    })
}

/// The part with an index (from 0) of a text split at a separator; NULL if there is no such part or the text is empty.
/// An empty separator is a space.
fn split_index(args: &Args<'_>) -> Result<ArrayRef, Failure> {
    let (texts, separator, index) = (args.text(0), args.text(1), args.values::<Int64Type>(2));
    pick(args, |i| {
        let (s, separator, index) = (texts.get(i)?, separator.get(i)?, index.get(i)?);
        let separator = if separator.is_empty() { " " } else { separator };
        if s.is_empty() {
            return None;
        }
        s.split(separator).nth(usize::try_from(index).ok()?)
    })
}

/// NULL if any argument is.
fn concat(args: &Args<'_>) -> Result<ArrayRef, Failure> {
    let texts: Vec<_> = (0..args.count()).map(|i| args.text(i)).collect();
    let mut out = StringBuilder::with_capacity(args.rows(), args.rows() * 32);
    for i in 0..args.rows() {
        if texts.iter().any(|t| t.get(i).is_none()) {
            out.append_null();
            continue;
        }
        for s in texts.iter().filter_map(|t| t.get(i)) {
            // writing to a builder can't fail
            let _ = out.write_str(s);
        }
        out.append_value("");
    }
    Ok(Arc::new(out.finish()))
}

/// Skips NULLs behind the separator; NULL if the separator is.
fn concat_ws(args: &Args<'_>) -> Result<ArrayRef, Failure> {
    let texts: Vec<_> = (0..args.count()).map(|i| args.text(i)).collect();
    build(args, |i, out| {
        let Some(separator) = texts[0].get(i) else { return Ok(false) };
        for (n, s) in texts[1..].iter().filter_map(|t| t.get(i)).enumerate() {
            if n > 0 {
                out.push_str(separator);
            }
            out.push_str(s);
        }
        Ok(true)
    })
}
