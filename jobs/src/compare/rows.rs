//! The rows of output files, Parquet or CSV, as texts with an event time.
//!
//! The event time of a row is found by name: `window_start` and `window_end` if both are there (a window counts if it lies
//! wholly inside the range), else the first TIMESTAMP column. In CSV without a header it is the first field of the first
//! record that reads as an instant.

use super::folders::list;
use crate::failure::Failure;
use crate::instant::parse_instant;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit, TimestampMillisecondType};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use highwater_engine::graph::TimeRange;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::fs::File;
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::Xxh3;

/// One row of an output.
#[derive(Debug)]
pub(super) struct Row<'a> {
    /// Event time, if the row has one that is found.
    pub time_ms: Option<i64>,
    /// The fields as texts; `None` is NULL.
    fields: &'a [Option<String>],
}

impl Row<'_> {
    /// 128 bits of the fields, with their lengths.
    pub(super) fn hash(&self) -> u128 {
        let mut hash = Xxh3::new();
        for field in self.fields {
            let text = field.as_deref().unwrap_or_default();
            hash.update(&(text.len() as u64 + u64::from(field.is_some())).to_le_bytes());
            hash.update(&[u8::from(field.is_some())]);
            hash.update(text.as_bytes());
        }
        hash.digest128()
    }
    /// The row as people read it.
    pub(super) fn text(&self) -> String {
        self.fields.iter().map(|f| f.as_deref().unwrap_or("NULL")).collect::<Vec<_>>().join(" | ")
    }
}

/// The files of one side.
#[derive(Debug)]
pub(super) struct Files {
    paths: Vec<PathBuf>,
    /// The first record of every CSV file is this header.
    header: Option<Vec<String>>,
}

impl Files {
    /// Both sides. A header of CSV files is one that every file of both sides begins with and that consists of names.
    pub(super) fn pair(a: &Path, b: &Path) -> Result<(Files, Files), Failure> {
        let (a, b) = (list(a)?, list(b)?);
        let is_csv = |p: &PathBuf| p.extension().is_none_or(|e| e != "parquet");
        let kinds: Vec<bool> = a.iter().chain(&b).map(is_csv).collect();
        if kinds.windows(2).any(|w| w[0] != w[1]) {
            return Err(Failure::usage("compare: the folders hold both Parquet and other files"));
        }
        let mut header = None;
        if kinds.first() == Some(&true) {
            let mut firsts = Vec::new();
            for path in a.iter().chain(&b) {
                if let Some(record) = records(&read_text(path)?).next() {
                    firsts.push(record);
                }
            }
            header = firsts.first().filter(|f| f.iter().all(|n| is_name(n)) && firsts.iter().all(|g| g == *f)).cloned();
        }
        Ok((Files { paths: a, header: header.clone() }, Files { paths: b, header }))
    }

    /// Calls `f` with every row inside the range.
    pub(super) fn for_each(&self, range: TimeRange, f: &mut dyn FnMut(&Row)) -> Result<(), Failure> {
        for path in &self.paths {
            if path.extension().is_some_and(|e| e == "parquet") {
                parquet_rows(path, range, f)?;
            } else {
                self.csv_rows(path, range, f)?;
            }
        }
        Ok(())
    }

    fn csv_rows(&self, path: &Path, range: TimeRange, f: &mut dyn FnMut(&Row)) -> Result<(), Failure> {
        let text = read_text(path)?;
        let mut records = records(&text).peekable();
        if self.header.is_some() {
            records.next();
        }
        let position = |name: &str| self.header.as_ref()?.iter().position(|h| h == name);
        let (start, end) = match position("window_start").zip(position("window_end")) {
            Some(both) => (Some(both.0), Some(both.1)),
            None => {
                let is_instant = |t: &String| t.contains('-') && parse_instant(t).is_ok();
                (records.peek().and_then(|r| r.iter().position(is_instant)), None)
            }
        };
        for record in records {
            let at = |i: Option<usize>| parse_instant(record.get(i?)?).ok();
            let (time_ms, end_ms) = (at(start), at(end));
            if inside(path, range, time_ms, end_ms)? {
                let fields: Vec<_> = record.into_iter().map(Some).collect();
                f(&Row { time_ms, fields: &fields });
            }
        }
        Ok(())
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '$')
}

/// Whether a row, or a window `[time, end)`, lies inside the range.
fn inside(path: &Path, range: TimeRange, time_ms: Option<i64>, end_ms: Option<i64>) -> Result<bool, Failure> {
    if range == TimeRange::ALL {
        return Ok(true);
    }
    match (time_ms, end_ms) {
        (Some(start), Some(end)) => Ok(start >= range.from_ms && end <= range.to_ms),
        (Some(time), None) => Ok(range.contains(time)),
        (None, _) => Err(Failure::usage(format!(
            "compare: {} has a row without a TIMESTAMP, so --from and --to can't be applied",
            path.display()
        ))),
    }
}

fn read_text(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|e| Failure::usage(format!("{}: {e}", path.display())))
}

/// The records of a CSV text (RFC 4180): fields may be quoted, quoted fields may hold line ends.
fn records(text: &str) -> impl Iterator<Item = Vec<String>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut record = Vec::new();
        loop {
            let (field, used) = next_field(rest);
            record.push(field);
            rest = &rest[used..];
            if let Some(more) = rest.strip_prefix(',') {
                rest = more;
            } else {
                rest = rest.strip_prefix("\r\n").or_else(|| rest.strip_prefix('\n')).unwrap_or(rest);
                return Some(record);
            }
        }
    })
}

/// The field at the start of `text` and the bytes it takes.
fn next_field(text: &str) -> (String, usize) {
    let mut field = String::new();
    let mut used = 0;
    if text.starts_with('"') {
        used = 1;
        while let Some(quote) = text[used..].find('"') {
            field.push_str(&text[used..used + quote]);
            used += quote + 1;
            if !text[used..].starts_with('"') {
                break;
            }
            field.push('"');
            used += 1;
        }
    }
    let end = text[used..].find([',', '\n']).map_or(text.len(), |i| used + i);
    let plain = text[used..end].strip_suffix('\r').unwrap_or(&text[used..end]);
    field.push_str(plain);
    (field, used + plain.len())
}

fn parquet_rows(path: &Path, range: TimeRange, f: &mut dyn FnMut(&Row)) -> Result<(), Failure> {
    let fail = |e: &dyn std::fmt::Display| Failure::usage(format!("{}: {e}", path.display()));
    let file = File::open(path).map_err(|e| fail(&e))?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).and_then(|b| b.build()).map_err(|e| fail(&e))?;
    for batch in reader {
        let batch = batch.map_err(|e| fail(&e))?;
        batch_rows(path, &batch, range, f)?;
    }
    Ok(())
}

fn batch_rows(path: &Path, batch: &RecordBatch, range: TimeRange, f: &mut dyn FnMut(&Row)) -> Result<(), Failure> {
    let fail = |e: arrow::error::ArrowError| Failure::usage(format!("{}: {e}", path.display()));
    let options = FormatOptions::default();
    let columns: Vec<ArrayFormatter> = batch
        .columns()
        .iter()
        .map(|c| ArrayFormatter::try_new(c.as_ref(), &options))
        .collect::<Result<_, _>>()
        .map_err(fail)?;
    let (start, end) = time_columns(batch).map_err(fail)?;
    let at = |column: &Option<ArrayRef>, i: usize| {
        let column = column.as_ref()?.as_primitive::<TimestampMillisecondType>();
        column.is_valid(i).then(|| column.value(i))
    };
    for i in 0..batch.num_rows() {
        let (time_ms, end_ms) = (at(&start, i), at(&end, i));
        if inside(path, range, time_ms, end_ms)? {
            let fields: Vec<Option<String>> = batch
                .columns()
                .iter()
                .zip(&columns)
                .map(|(c, text)| c.is_valid(i).then(|| text.value(i).to_string()))
                .collect();
            f(&Row { time_ms, fields: &fields });
        }
    }
    Ok(())
}

/// The columns that say when a row or window is, in milliseconds.
#[allow(clippy::type_complexity)] // (start or time, end)
fn time_columns(batch: &RecordBatch) -> Result<(Option<ArrayRef>, Option<ArrayRef>), arrow::error::ArrowError> {
    let is_time = |c: &&ArrayRef| matches!(c.data_type(), DataType::Timestamp(..));
    let named = |name: &str| batch.column_by_name(name).filter(is_time);
    let in_ms = |c: &ArrayRef| cast(c, &DataType::Timestamp(TimeUnit::Millisecond, None));
    match named("window_start").zip(named("window_end")) {
        Some((start, end)) => Ok((Some(in_ms(start)?), Some(in_ms(end)?))),
        None => Ok((batch.columns().iter().find(is_time).map(in_ms).transpose()?, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_follow_rfc_4180() {
        let text = "a,\"b,\"\"c\"\"\nd\",\r\n1,,3\nlast";
        let read: Vec<_> = records(text).collect();
        assert_eq!(read, [vec!["a", "b,\"c\"\nd", ""], vec!["1", "", "3"], vec!["last"]]);
    }
}
