//! What is wrong with a job's text: where, what was found, what to do.
//!
//! Inside the crate a problem is a [`Fault`], which knows a place in the text at most; [`Text::diagnose`] adds the file and
//! the line so that a [`Diagnostic`] can be shown by itself.

use datafusion_common::DataFusionError;
use std::fmt;

/// A range of the text. Lines and columns count characters from 1; `end_column` is exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// First line.
    pub line: u64,
    /// First column.
    pub column: u64,
    /// Last line.
    pub end_line: u64,
    /// Column behind the last character.
    pub end_column: u64,
}

impl Span {
    /// A range of the tokenizer, if it is one (positions made up by a rewrite are not).
    pub(crate) fn of(span: sqlparser::tokenizer::Span) -> Option<Span> {
        (span.start.line > 0).then_some(Span {
            line: span.start.line,
            column: span.start.column,
            end_line: span.end.line.max(span.start.line),
            end_column: span.end.column,
        })
    }
    /// One character.
    pub(crate) fn at(line: u64, column: u64) -> Span {
        Span { line, column, end_line: line, end_column: column + 1 }
    }
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The job can't run.
    Error,
    /// It runs, but not as the text may suggest.
    Warning,
}

/// A problem of a job's text. `Display` renders it with its place, the line and a marker under it:
///
/// ```text
/// fraud.sql:2:8: error: there is no column amont; the nearest is amount
///    2 | SELECT amont FROM payments
///      |        ^^^^^
///   hint: …
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// What was found and what was expected. Lower case, no full stop.
    pub message: String,
    /// The job's file as the caller named it.
    pub file: String,
    /// Line, from 1; 0 if the problem is not in the text.
    pub line: u64,
    /// Column, from 1.
    pub column: u64,
    /// The range, where it is known better than by its first character.
    pub span: Option<Span>,
    /// The text of the line; empty if the problem is not in the text (a flag, an environment variable).
    pub source_line: String,
    /// What to do.
    pub hint: Option<String>,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        match self.line {
            0 => write!(f, "{}: {kind}: {}", self.file, self.message)?,
            line => write!(f, "{}:{line}:{}: {kind}: {}", self.file, self.column, self.message)?,
        }
        if !self.source_line.trim().is_empty() {
            self.write_line(f)?;
        }
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

/// Characters of a line shown around the place.
const SHOWN_MAX: usize = 160;

impl Diagnostic {
    fn write_line(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let chars: Vec<char> = self.source_line.chars().map(|c| if c == '\t' { ' ' } else { c }).collect();
        let at = (self.column.max(1) as usize - 1).min(chars.len());
        let from = if chars.len() > SHOWN_MAX { at.saturating_sub(SHOWN_MAX / 2) } else { 0 };
        let shown: String = chars[from..chars.len().min(from + SHOWN_MAX)].iter().collect();
        let width = match self.span {
            Some(s) if s.end_line == s.line => s.end_column.saturating_sub(s.column).max(1) as usize,
            Some(_) => chars.len().saturating_sub(at).max(1),
            None => 1,
        };
        let marks = "^".repeat(width.min(SHOWN_MAX.saturating_sub(at - from).max(1)));
        write!(f, "\n{:>4} | {}\n     | {}{marks}", self.line, shown.trim_end(), " ".repeat(at - from))
    }
}

impl std::error::Error for Diagnostic {}

/// A problem before it knows its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub message: String,
    pub at: Option<Span>,
    pub hint: Option<String>,
}

pub(crate) type Result<T> = std::result::Result<T, Fault>;

impl Fault {
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), at: None, hint: None }
    }
    pub fn at(mut self, span: impl Into<Option<Span>>) -> Self {
        self.at = self.at.or(span.into());
        self
    }
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

/// The way of a fault through the planner's own error type, and back.
impl From<Fault> for DataFusionError {
    fn from(fault: Fault) -> Self {
        DataFusionError::External(Box::new(fault))
    }
}

/// The file that is being planned.
pub(crate) struct Text<'a> {
    pub file: &'a str,
    pub text: &'a str,
}

impl Text<'_> {
    /// Adds file, line and marker. A fault without a place is put at `fallback`.
    pub fn diagnose(&self, fault: Fault, severity: Severity, fallback: Span) -> Diagnostic {
        let span = fault.at.unwrap_or(fallback);
        Diagnostic {
            severity,
            message: fault.message,
            file: self.file.to_string(),
            line: span.line,
            column: span.column,
            span: Some(span),
            source_line: match span.line {
                0 => String::new(),
                line => self.text.lines().nth(line as usize - 1).unwrap_or_default().to_string(),
            },
            hint: fault.hint,
        }
    }
    /// The last character of the text: where "end of file" is.
    pub fn end(&self) -> Span {
        let line = self.text.lines().count().max(1) as u64;
        let column = self.text.lines().last().map_or(1, |l| l.trim_end().chars().count().max(1) as u64);
        Span::at(line, column)
    }
}

/// The name among `names` that `name` was most likely meant to be.
pub(crate) fn nearest<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = name.to_lowercase();
    names
        .into_iter()
        .map(|n| (strsim::damerau_levenshtein(&lower, &n.to_lowercase()), n))
        .filter(|(d, n)| *d <= (n.len().max(name.len()) / 3).max(1))
        .min_by(|a, b| a.0.cmp(&b.0).then(a.1.cmp(b.1)))
        .map(|(_, n)| n)
}

/// `; the nearest is x`, or nothing.
pub(crate) fn nearest_text<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    nearest(name, names).map_or_else(String::new, |n| format!("; the nearest is {n}"))
}
