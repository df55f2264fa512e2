//! Times as texts by a pattern, and back: DATE_FORMAT, TO_TIMESTAMP, TO_DATE, UNIX_TIMESTAMP.
//!
//! Patterns are Java's, as far as a job needs them: `yyyy` `yy` `MM` `M` `dd` `d` `HH` `H` `hh` `h` (1 to 12) `a` (AM, PM) `mm`
//! `m` `ss` `s`, a run of 1 to 9 `S` for digits of the second, text in `'quotes'`, and any character that is no letter. Any
//! other letter is an error when the job is built. A text that does not parse is NULL, as in Flink; CAST fails its row instead.

use super::super::calendar::{Zone, checked_days, civil, per_second};
use super::super::cast::parse;
use super::super::cast::print::{self, padded};
use super::super::kernel::{Args, Compute, Failure};
use super::{Argument, Function, TIMESTAMP_3, signature};
use arrow::array::{ArrayRef, Date32Array, Int64Array, StringBuilder, TimestampMillisecondArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Int64Type};
use std::borrow::Cow;
use std::fmt::Write;
use std::sync::Arc;

pub(super) fn functions() -> Vec<Function> {
    vec![
        Function::prepared("date_format", |a| signature(a, "ts", DataType::Utf8), date_format),
        Function::prepared("to_timestamp", |a| signature(a, "s?s", TIMESTAMP_3), |a, _| from_text(a, to_timestamps)),
        Function::prepared("to_date", |a| signature(a, "s?s", DataType::Date32), |a, _| from_text(a, to_dates)),
        Function::prepared("unix_timestamp", |a| signature(a, "s?s", DataType::Int64), |a, _| from_text(a, to_seconds)),
    ]
}

/// A field of a pattern, with the number of its letters.
#[derive(Clone, Debug, PartialEq)]
enum Field {
    Year(usize),
    Month(usize),
    Day(usize),
    Hour(usize),
    /// 12, 1 to 11.
    HourOfHalf(usize),
    /// AM or PM.
    Half,
    Minute(usize),
    Second(usize),
    Fraction(usize),
    Text(String),
}

/// A parsed pattern.
#[derive(Clone, Debug)]
struct Pattern(Vec<Field>);

impl Pattern {
    fn parse(pattern: &str) -> Result<Self, String> {
        let mut fields: Vec<Field> = Vec::new();
        let text = |s: &str, fields: &mut Vec<Field>| match fields.last_mut() {
            Some(Field::Text(t)) => t.push_str(s),
            _ => fields.push(Field::Text(s.to_owned())),
        };
        let mut rest = pattern;
        while let Some(c) = rest.chars().next() {
            if c == '\'' {
                let (quoted, behind) = quoted(rest).ok_or_else(|| format!("'{pattern}': a quote is not closed"))?;
                text(&quoted, &mut fields);
                rest = behind;
                continue;
            }
            let n = rest.chars().take_while(|x| *x == c).count();
            let run = &rest[..n * c.len_utf8()];
            rest = &rest[run.len()..];
            if !c.is_ascii_alphabetic() {
                text(run, &mut fields);
                continue;
            }
            fields.push(match (c, n) {
                ('y', 2 | 4) => Field::Year(n),
                ('M', 1 | 2) => Field::Month(n),
                ('d', 1 | 2) => Field::Day(n),
                ('H', 1 | 2) => Field::Hour(n),
                ('h', 1 | 2) => Field::HourOfHalf(n),
                ('a', 1) => Field::Half,
                ('m', 1 | 2) => Field::Minute(n),
                ('s', 1 | 2) => Field::Second(n),
                ('S', 1..=9) => Field::Fraction(n),
                _ => {
                    return Err(format!(
                        "'{pattern}': unknown field {run}; use yyyy yy MM M dd d HH H hh h a mm m ss s S.., and quotes around text"
                    ));
                }
            });
        }
        Ok(Self(fields))
    }

    /// Writes a local time.
    fn write(&self, out: &mut impl Write, local: i64, per_second: i64) -> std::fmt::Result {
        let (s, fraction) = (local.div_euclid(per_second), local.rem_euclid(per_second));
        let (year, month, day) = civil(s.div_euclid(86_400));
        let of_day = s.rem_euclid(86_400) as u64;
        let number = |out: &mut _, v: u64, letters: usize| padded(out, v, if v > 9 { 2 } else { letters });
        for field in &self.0 {
            match field {
                Field::Year(2) => padded(out, year.rem_euclid(100) as u64, 2)?,
                Field::Year(_) => print::year(out, year)?,
                Field::Month(n) => number(out, month.into(), *n)?,
                Field::Day(n) => number(out, day.into(), *n)?,
                Field::Hour(n) => number(out, of_day / 3_600, *n)?,
                Field::HourOfHalf(n) => number(out, (of_day / 3_600 + 11) % 12 + 1, *n)?,
                Field::Half => out.write_str(if of_day < 43_200 { "AM" } else { "PM" })?,
                Field::Minute(n) => number(out, of_day / 60 % 60, *n)?,
                Field::Second(n) => number(out, of_day % 60, *n)?,
                Field::Fraction(n) => {
                    let nanos = (fraction * (1_000_000_000 / per_second)) as u64;
                    padded(out, nanos / 10u64.pow(9 - *n as u32), *n)?;
                }
                Field::Text(t) => out.write_str(t)?,
            }
        }
        Ok(())
    }

    /// Reads a local time in nanoseconds; fields that the pattern lacks are those of 1970-01-01 00:00:00.
    fn read(&self, s: &str) -> Option<i128> {
        let (mut date, mut clock, mut nanos) = ((1970, 1, 1), (0, 0, 0), 0);
        let (mut hour_of_half, mut half) = (None, None);
        let mut rest = s;
        for (i, field) in self.0.iter().enumerate() {
            // a field followed by another one takes its width, else as many digits as there are
            let adjacent = matches!(self.0.get(i + 1), Some(f) if !matches!(f, Field::Text(_)));
            let mut digits = |n: usize, max: usize| -> Option<i64> {
                let max = if adjacent || n > 1 { n } else { max };
                let found = rest.bytes().take(max).take_while(u8::is_ascii_digit).count();
                if found < n {
                    return None;
                }
                let (head, tail) = rest.split_at(found);
                rest = tail;
                head.parse().ok()
            };
            match field {
                Field::Year(2) => date.0 = 2_000 + digits(2, 2)?,
                Field::Year(n) => date.0 = digits(*n, 4)?,
                Field::Month(n) => date.1 = digits(*n, 2)? as u32,
                Field::Day(n) => date.2 = digits(*n, 2)? as u32,
                Field::Hour(n) => clock.0 = digits(*n, 2).filter(|h| *h < 24)?,
                Field::HourOfHalf(n) => hour_of_half = Some(digits(*n, 2).filter(|h| (1..=12).contains(h))?),
                Field::Half => {
                    let (head, tail) = rest.split_at_checked(2)?;
                    half = Some(["AM", "PM"].iter().position(|h| *h == head)?);
                    rest = tail;
                }
                Field::Minute(n) => clock.1 = digits(*n, 2).filter(|m| *m < 60)?,
                Field::Second(n) => clock.2 = digits(*n, 2).filter(|s| *s < 60)?,
                Field::Fraction(n) => nanos = digits(*n, *n)? * 10i64.pow(9 - *n as u32),
                Field::Text(t) => rest = rest.strip_prefix(t.as_str())?,
            }
        }
        if !rest.is_empty() {
            return None;
        }
        match (hour_of_half, half) {
            (None, None) => {}
            (Some(h), Some(half)) => clock.0 = h % 12 + 12 * half as i64,
            // half of an hour's name is no hour
            _ => return None,
        }
        let seconds = checked_days(date)? * 86_400 + clock.0 * 3_600 + clock.1 * 60 + clock.2;
        Some(i128::from(seconds) * 1_000_000_000 + i128::from(nanos))
    }
}

/// The text of a quoted run, and what stands behind it; `''` is a quote.
fn quoted(s: &str) -> Option<(String, &str)> {
    if let Some(rest) = s.strip_prefix("''") {
        return Some(("'".to_owned(), rest));
    }
    let mut out = String::new();
    let mut chars = s[1..].char_indices().peekable();
    while let Some((i, c)) = chars.next() {
        if c != '\'' {
            out.push(c);
        } else if chars.peek().is_some_and(|(_, next)| *next == '\'') {
            out.push('\'');
            chars.next();
        } else {
            return Some((out, &s[i + 2..]));
        }
    }
    None
}

/// The pattern of a call: prepared if it is constant.
struct Patterns(Option<Pattern>);

impl Patterns {
    fn prepare(argument: Option<&Argument>) -> Result<Self, String> {
        Ok(Self(argument.and_then(Argument::text).map(Pattern::parse).transpose()?))
    }
    fn get(&self, text: Option<&str>) -> Result<Option<Cow<'_, Pattern>>, Failure> {
        match (&self.0, text) {
            (Some(p), _) => Ok(Some(Cow::Borrowed(p))),
            (None, None) => Ok(None),
            (None, Some(t)) => Ok(Some(Cow::Owned(Pattern::parse(t).map_err(Failure)?))),
        }
    }
}

fn date_format(args: &[Argument], _: &DataType) -> Result<Compute, String> {
    let patterns = Patterns::prepare(args.get(1))?;
    let t = args[0].data_type.clone();
    let (per, date) = match &t {
        DataType::Timestamp(u, _) => (per_second(*u), false),
        _ => (1, true),
    };
    let zone = Zone::of(&t).map_err(|f| f.0)?;
    Ok(Arc::new(move |a: &Args<'_>| {
        let array = match date {
            true => cast_with_options(a.array(0), &DataType::Int32, &CastOptions::default())?,
            false => a.array(0).clone(),
        };
        let counts = [cast_with_options(&array, &DataType::Int64, &CastOptions::default())?];
        let counts = Args::new(&counts, a.scalars().split_at(1).0, if a.is_scalar(0) { 1 } else { a.rows() });
        let (counts, texts) = (counts.values::<Int64Type>(0), a.text(1));
        let mut out = StringBuilder::with_capacity(a.rows(), a.rows() * 19);
        for i in 0..a.rows() {
            match (counts.get(i), patterns.get(texts.get(i))?) {
                (Some(v), Some(pattern)) => {
                    let v = if date { v * 86_400 } else { v };
                    let local = zone.local(v, per).ok_or_else(|| Failure::new("a time out of range"))?;
                    // writing to a builder can't fail
                    let _ = pattern.write(&mut out, local, per);
                    out.append_value("");
                }
                _ => out.append_null(),
            }
        }
        Ok(Arc::new(out.finish()) as ArrayRef)
    }))
}

fn from_text(args: &[Argument], finish: fn(Vec<Option<i128>>) -> ArrayRef) -> Result<Compute, String> {
    let patterns = Patterns::prepare(args.get(1))?;
    Ok(Arc::new(move |a: &Args<'_>| {
        let texts = a.text(0);
        let pattern = (a.count() == 2).then(|| a.text(1));
        let row = |i: usize| -> Result<Option<i128>, Failure> {
            let Some(s) = texts.get(i) else { return Ok(None) };
            match pattern {
                None => Ok(parse::timestamp(s)),
                Some(p) => Ok(patterns.get(p.get(i))?.and_then(|p| p.read(s))),
            }
        };
        Ok(finish((0..a.rows()).map(row).collect::<Result<_, _>>()?))
    }))
}

/// Whole seconds of UTC, towards zero. Flink's result for a text that does not parse is the least BIGINT; here it is NULL.
fn to_seconds(ns: Vec<Option<i128>>) -> ArrayRef {
    let seconds = ns.into_iter().map(|v| v.and_then(|v| i64::try_from(v / 1_000_000_000).ok()));
    Arc::new(seconds.collect::<Int64Array>())
}

fn to_timestamps(ns: Vec<Option<i128>>) -> ArrayRef {
    let ms = ns.into_iter().map(|v| v.and_then(|v| i64::try_from(v.div_euclid(1_000_000)).ok()));
    Arc::new(ms.collect::<TimestampMillisecondArray>())
}

fn to_dates(ns: Vec<Option<i128>>) -> ArrayRef {
    let days = ns.into_iter().map(|v| v.and_then(|v| i32::try_from(v.div_euclid(86_400_000_000_000)).ok()));
    Arc::new(days.collect::<Date32Array>())
}
