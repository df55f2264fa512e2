//! Two folders of outputs: equal as multisets of rows, or the rows that differ.
//!
//! Which file holds a row depends on the worker that wrote it, so files are not compared with each other: all rows of a
//! folder are one multiset. First pass: 16 bytes of hash a row, sorted. If the two sides differ, a second pass collects
//! the rows themselves, at most a few. A folder that holds folders is one of several sinks: they are compared by name.

use super::Verdict;
use super::rows::{Files, Row};
use crate::failure::Failure;
use highwater_engine::graph::TimeRange;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Rows shown of each side.
const SHOWN_MAX: usize = 3;

/// Compares the rows in two folders within `range`.
pub(super) fn compare(a: &Path, b: &Path, range: TimeRange) -> Result<Verdict, Failure> {
    let (sinks_a, sinks_b) = (subfolders(a)?, subfolders(b)?);
    if sinks_a.is_empty() && sinks_b.is_empty() {
        return compare_sink("", a, b, range);
    }
    let mut texts = Vec::new();
    for name in sinks_a.union(&sinks_b) {
        if !sinks_a.contains(name) || !sinks_b.contains(name) {
            let side = if sinks_a.contains(name) { "first" } else { "second" };
            return Ok(Verdict::Different(format!("{name} is only in the {side}")));
        }
        match compare_sink(name, &a.join(name), &b.join(name), range)? {
            Verdict::Equal(text) => texts.push(text),
            different => return Ok(different),
        }
    }
    Ok(Verdict::Equal(texts.join("; ")))
}

fn subfolders(folder: &Path) -> Result<BTreeSet<String>, Failure> {
    let entries = std::fs::read_dir(folder).map_err(|e| Failure::usage(format!("{}: {e}", folder.display())))?;
    let mut names = BTreeSet::new();
    for entry in entries {
        let entry = entry.map_err(|e| Failure::usage(format!("{}: {e}", folder.display())))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_dir() && !name.starts_with(['.', '_']) {
            names.insert(name);
        }
    }
    Ok(names)
}

fn compare_sink(name: &str, a: &Path, b: &Path, range: TimeRange) -> Result<Verdict, Failure> {
    let (files_a, files_b) = Files::pair(a, b)?;
    let (only_a, rows) = only(&hashes(&files_a, range)?, &hashes(&files_b, range)?);
    let named = if name.is_empty() { String::new() } else { format!("{name}: ") };
    if only_a.0.is_empty() && only_a.1.is_empty() {
        return Ok(Verdict::Equal(format!("{named}{rows} rows")));
    }
    let (first_a, first_b) = (collect(&files_a, range, &only_a.0)?, collect(&files_b, range, &only_a.1)?);
    Ok(Verdict::Different(format!(
        "{named}{} rows are only in A, {} only in B; the first of each:\n{}{}",
        only_a.0.len(),
        only_a.1.len(),
        show("A", &first_a),
        show("B", &first_b)
    )))
}

fn hashes(files: &Files, range: TimeRange) -> Result<Vec<u128>, Failure> {
    let mut all = Vec::new();
    files.for_each(range, &mut |row: &Row| all.push(row.hash()))?;
    all.sort_unstable();
    Ok(all)
}

/// Hashes that are more frequent on one side, once per surplus row, and the rows of the first side.
#[allow(clippy::type_complexity)] // (only in a, only in b)
fn only(a: &[u128], b: &[u128]) -> ((Vec<u128>, Vec<u128>), usize) {
    let (mut i, mut j) = (0, 0);
    let (mut only_a, mut only_b) = (Vec::new(), Vec::new());
    while i < a.len() || j < b.len() {
        match (a.get(i), b.get(j)) {
            (Some(x), Some(y)) if x == y => {
                i += 1;
                j += 1;
            }
            (Some(x), y) if y.is_none_or(|y| x < y) => {
                only_a.push(*x);
                i += 1;
            }
            (_, Some(y)) => {
                only_b.push(*y);
                j += 1;
            }
            _ => break,
        }
    }
    ((only_a, only_b), a.len())
}

/// The first rows, by time and text, whose hash is among `wanted` (sorted).
fn collect(files: &Files, range: TimeRange, wanted: &[u128]) -> Result<Vec<(Option<i64>, String)>, Failure> {
    let mut first: BTreeSet<(Option<i64>, String)> = BTreeSet::new();
    if !wanted.is_empty() {
        files.for_each(range, &mut |row: &Row| {
            if wanted.binary_search(&row.hash()).is_ok() {
                first.insert((row.time_ms, row.text()));
                if first.len() > SHOWN_MAX {
                    first.pop_last();
                }
            }
        })?;
    }
    Ok(first.into_iter().collect())
}

fn show(side: &str, rows: &[(Option<i64>, String)]) -> String {
    rows.iter().map(|(_, text)| format!("  {side}: {text}\n")).collect()
}

/// The files of a folder, in path order, without hidden and staged ones.
pub(super) fn list(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let fail = |e: std::io::Error| Failure::usage(format!("{}: {e}", folder.display()));
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        let hidden = path.file_name().is_none_or(|n| n.to_string_lossy().starts_with(['.', '_']));
        if path.is_file() && !hidden {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
