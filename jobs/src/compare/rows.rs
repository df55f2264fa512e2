//! The rows of output files, Parquet, JSON lines or CSV, as texts with an event time.
//!
//! The event time of a row is found by name: `window_start` and `window_end` if both are there (a window counts if it lies
//! wholly inside the range), else the first TIMESTAMP column. In CSV without a header it is the first field of the first
//! record that reads as an instant, in JSON lines the first such field of a record. Fields of JSON are compared by name: their
//! order does not count, and a field that is `null` is as one that is not there.

use super::folders::list;
use crate::failure::Failure;
use crate::instant::parse_instant;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit, TimestampMillisecondType};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use highwater_connectors::format::json::object::fields;
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

/// What a file holds, by its name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Parquet,
    Json,
    Csv,
}

impl Kind {
    fn of(path: &Path) -> Self {
        match path.extension().and_then(|e| e.to_str()) {
            Some("parquet") => Self::Parquet,
            Some("json" | "jsonl" | "ndjson") => Self::Json,
            _ => Self::Csv,
        }
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
        let kinds: Vec<Kind> = a.iter().chain(&b).map(|p| Kind::of(p)).collect();
        if kinds.windows(2).any(|w| w[0] != w[1]) {
            return Err(Failure::usage("compare: the folders hold files of different formats"));
        }
        let mut header = None;
        if kinds.first() == Some(&Kind::Csv) {
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
            match Kind::of(path) {
                Kind::Parquet => parquet_rows(path, range, f)?,
                Kind::Json => json_rows(path, range, f)?,
                Kind::Csv => self.csv_rows(path, range, f)?,
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

fn json_rows(path: &Path, range: TimeRange, f: &mut dyn FnMut(&Row)) -> Result<(), Failure> {
    let text = read_text(path)?;
    for (number, line) in text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
        let mut fields = fields(line.as_bytes())
            .map_err(|e| Failure::usage(format!("{}: line {}, {e}", path.display(), number + 1)))?;
        let at = |name: &str| parse_instant(fields.iter().find(|(n, _)| n == name)?.1.as_ref()?).ok();
        let (time_ms, end_ms) = match at("window_start").zip(at("window_end")) {
            Some((start, end)) => (Some(start), Some(end)),
            None => {
                let instant = |t: &String| parse_instant(t).ok().filter(|_| t.contains('-'));
                (fields.iter().find_map(|(_, value)| instant(value.as_ref()?)), None)
            }
        };
        if inside(path, range, time_ms, end_ms)? {
            fields.sort();
            let named = fields.into_iter().filter_map(|(name, value)| Some(Some(format!("{name}: {}", value?))));
            let fields: Vec<_> = named.collect();
            f(&Row { time_ms, fields: &fields });
        }
    }
    Ok(())
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
    fn fields_of_json_are_compared_by_name() {
        let rows = |text: &str, range| {
            let file = tempfile::Builder::new().suffix(".jsonl").tempfile().unwrap();
            std::fs::write(file.path(), text).unwrap();
            let mut rows = Vec::new();
            json_rows(file.path(), range, &mut |row| rows.push((row.time_ms, row.text(), row.hash())))?;
            Ok::<_, Failure>(rows)
        };
        let a = rows("{\"ts\":\"1970-01-01 00:00:01\",\"n\":1.50,\"s\":null}\n\n", TimeRange::ALL).unwrap();
        assert_eq!((a[0].0, a[0].1.as_str()), (Some(1_000), "n: 1.50 | ts: 1970-01-01 00:00:01"));
        assert_eq!(rows("{ \"n\" : 1.50, \"ts\":\"1970-01-01 00:00:0\\u0031\"}", TimeRange::ALL).unwrap(), a);
        assert_ne!(rows("{\"n\":1.5,\"ts\":\"1970-01-01 00:00:01\"}", TimeRange::ALL).unwrap(), a);
        let window = "{\"window_start\":\"1970-01-01 00:00:00\",\"window_end\":\"1970-01-01 00:01:00\"}";
        let until = |to_ms| TimeRange { from_ms: 0, to_ms };
        assert_eq!((rows(window, until(59_999)).unwrap().len(), rows(window, until(60_000)).unwrap().len()), (0, 1));
        assert!(
            rows("{}\n{\"n\":}", TimeRange::ALL).unwrap_err().to_string().contains("line 2, byte 6: no JSON object")
        );
        assert!(rows("{}", until(1)).unwrap_err().to_string().contains("a row without a TIMESTAMP"));
    }

    #[test]
    fn records_follow_rfc_4180() {
        let text = "a,\"b,\"\"c\"\"\nd\",\r\n1,,3\nlast";
        let read: Vec<_> = records(text).collect();
        assert_eq!(read, [vec!["a", "b,\"c\"\nd", ""], vec!["1", "", "3"], vec!["last"]]);
    }
}
