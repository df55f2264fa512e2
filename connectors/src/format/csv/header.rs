//! Which field of a record is which declared column.

use super::CsvOptions;
use crate::format::records::borders::{close_quote, without_line_break};
use arrow_schema::Schema;

/// Fields of a record, and the field of each declared column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Fields of every record.
    pub width: usize,
    /// Field of each declared column.
    pub fields: Vec<usize>,
}

impl Layout {
    /// By position.
    pub fn positional(columns: usize) -> Self {
        Self { width: columns, fields: (0..columns).collect() }
    }

    /// By the names of a header: by name if all declared columns are named, else by position if there are as many.
    pub fn from_header(header: &[String], declared: &Schema) -> Result<Self, String> {
        let place = |name: &str| header.iter().position(|h| h == name);
        let names: Vec<_> = declared.fields().iter().map(|f| f.name().as_str()).collect();
        let places: Vec<_> = names.iter().map(|n| place(n)).collect();
        if let Some(fields) = places.iter().copied().collect::<Option<Vec<_>>>() {
            return Ok(Self { width: header.len(), fields });
        }
        let missing = names.iter().zip(&places).find(|(_, p)| p.is_none()).map_or("", |(n, _)| n);
        if header.len() != names.len() {
            return Err(format!(
                "the header has {} columns and none named {missing}, the table declares {}; name the columns as in the \
                 file ({}) or declare all of them in order",
                header.len(),
                names.len(),
                header.join(", "),
            ));
        }
        match places.iter().enumerate().find(|(k, p)| p.is_some_and(|p| p != *k)) {
            None => Ok(Self::positional(names.len())),
            Some((k, p)) => Err(format!(
                "the header names no column {missing}, and column {} is at place {} instead of {}; name all declared \
                 columns as in the file ({})",
                names[k],
                p.unwrap_or(0) + 1,
                k + 1,
                header.join(", "),
            )),
        }
    }
}

/// The names in the header, the first record of `data`.
pub fn names(data: &[u8], options: &CsvOptions) -> Result<Vec<String>, String> {
    let (mut at, mut names) = (0, Vec::new());
    let line = without_line_break(&data[..memchr::memchr(b'\n', data).map_or(data.len(), |e| e + 1)]);
    while at <= line.len() {
        let quoted = options.quote.filter(|q| line.get(at) == Some(q));
        let content_end = match quoted {
            Some(quote) => {
                close_quote(line, at + 1, quote).ok_or("the header's quotes are not closed on its line")? + 1
            }
            None => at,
        };
        let end = memchr::memchr(options.delimiter, &line[content_end..]).map_or(line.len(), |k| content_end + k);
        let name = std::str::from_utf8(&line[at..end]).map_err(|_| "the header is not UTF-8; convert the file")?;
        names.push(match quoted.map(char::from) {
            Some(q) => name.trim_matches(q).replace(&format!("{q}{q}"), &q.to_string()),
            None => name.trim().to_owned(),
        });
        at = end + 1;
    }
    Ok(names)
}
