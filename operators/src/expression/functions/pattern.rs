//! Regular expressions, and the patterns of LIKE.
//!
//! The syntax is that of Rust's `regex` crate: Java's without look-around and back references, so a match takes linear
//! time whatever the pattern. A constant pattern is compiled once, when the job is built, and a bad one is an error then;
//! a bad pattern from a column fails its row.

use super::super::kernel::{Args, Compute, Failure};
use super::{Argument, Function, signature};
use arrow::array::{ArrayRef, BooleanArray, StringBuilder};
use arrow::datatypes::{DataType, Int64Type};
use regex::{NoExpand, Regex};
use std::borrow::Cow;
use std::sync::Arc;

pub(super) fn functions() -> Vec<Function> {
    vec![
        Function::prepared("regexp", |a| signature(a, "ss", DataType::Boolean), |a, _| bind(a, is_match))
            .or(&["regexp_like"]),
        Function::prepared("regexp_extract", |a| signature(a, "ss?i", DataType::Utf8), |a, _| bind(a, extract)),
        Function::prepared("regexp_replace", |a| signature(a, "sss", DataType::Utf8), |a, _| bind(a, replace)),
    ]
}

fn compile(pattern: &str) -> Result<Regex, String> {
    Regex::new(pattern).map_err(|e| {
        let reason = e.to_string();
        let last = reason.lines().last().unwrap_or_default().trim().trim_start_matches("error: ").to_owned();
        format!("'{pattern}' is not a regular expression: {last}")
    })
}

/// The pattern of each row.
struct Patterns<'a> {
    constant: Option<&'a Regex>,
    texts: super::super::kernel::Texts<'a>,
}

impl<'a> Patterns<'a> {
    /// The pattern of a row, NULL if it is NULL or empty.
    fn get(&self, row: usize) -> Result<Option<Cow<'a, Regex>>, Failure> {
        match (self.constant, self.texts.get(row)) {
            (Some(r), _) => Ok(Some(Cow::Borrowed(r))),
            (None, None) => Ok(None),
            (None, Some(p)) => Ok(Some(Cow::Owned(compile(p).map_err(Failure)?))),
        }
    }
}

type Body = fn(&Args<'_>, &Patterns<'_>) -> Result<ArrayRef, Failure>;

fn bind(args: &[Argument], body: Body) -> Result<Compute, String> {
    let constant = args[1].text().map(compile).transpose()?;
    Ok(Arc::new(move |a: &Args<'_>| body(a, &Patterns { constant: constant.as_ref(), texts: a.text(1) })))
}

/// Whether a part of the text matches.
fn is_match(args: &Args<'_>, patterns: &Patterns<'_>) -> Result<ArrayRef, Failure> {
    let texts = args.text(0);
    let row = |i: usize| match (texts.get(i), patterns.get(i)?) {
        (Some(s), Some(p)) => Ok(Some(!p.as_str().is_empty() && p.is_match(s))),
        _ => Ok(None),
    };
    let out: BooleanArray = (0..args.rows()).map(row).collect::<Result<_, Failure>>()?;
    Ok(Arc::new(out))
}

/// A group (the whole match by default) of the first match; NULL without a match or such a group.
fn extract(args: &Args<'_>, patterns: &Patterns<'_>) -> Result<ArrayRef, Failure> {
    let texts = args.text(0);
    let groups = (args.count() == 3).then(|| args.values::<Int64Type>(2));
    let mut out = StringBuilder::new();
    for i in 0..args.rows() {
        let group = groups.map_or(Some(0), |g| g.get(i)).and_then(|g| usize::try_from(g).ok());
        let found = match (texts.get(i), patterns.get(i)?, group) {
            (Some(s), Some(p), Some(0)) => p.find(s).map(|m| m.as_str()),
            (Some(s), Some(p), Some(g)) => p.captures(s).and_then(|c| c.get(g)).map(|m| m.as_str()),
            _ => None,
        };
        out.append_option(found);
    }
    Ok(Arc::new(out.finish()))
}

/// Every match replaced by a text, taken literally.
fn replace(args: &Args<'_>, patterns: &Patterns<'_>) -> Result<ArrayRef, Failure> {
    let (texts, by) = (args.text(0), args.text(2));
    let mut out = StringBuilder::new();
    for i in 0..args.rows() {
        match (texts.get(i), patterns.get(i)?, by.get(i)) {
            (Some(s), Some(p), Some(by)) => out.append_value(p.replace_all(s, NoExpand(by))),
            _ => out.append_null(),
        }
    }
    Ok(Arc::new(out.finish()))
}

/// A LIKE pattern in the syntax of Arrow's kernel, which always escapes by `\`; SQL's escapes only by the character named.
pub(in crate::expression) fn like_pattern(pattern: &str, escape: Option<char>) -> Result<String, Failure> {
    let mut out = String::with_capacity(pattern.len() + 2);
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        if Some(c) == escape {
            match chars.next() {
                Some(next) if next == '%' || next == '_' || Some(next) == escape => {
                    if matches!(next, '%' | '_' | '\\') {
                        out.push('\\');
                    }
                    out.push(next);
                }
                _ => return Err(Failure::new(format!("'{pattern}': {c} must stand before %, _ or {c}"))),
            }
        } else {
            if c == '\\' {
                out.push('\\');
            }
            out.push(c);
        }
    }
    Ok(out)
}
