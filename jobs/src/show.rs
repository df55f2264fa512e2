//! What a run tells at its end: the `table` sinks' rows, what was read and written, what was late or bad.

use crate::instant::show_instant;
use crate::job::Outcome;
use crate::summary::Summary;
use arrow::array::{Array, RecordBatch};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use comfy_table::{CellAlignment, Table, presets};
use highwater_engine::flow::SourceReport;
use highwater_sql::TableInfo;
use std::fmt::Write;

/// Late or bad rows shown of a source that does not route them.
const UNROUTED_SHOWN_MAX: usize = 5;

/// The report of a run for people: tables, then inputs, then outputs with their digests.
pub fn report(outcome: &Outcome, summary: &Summary) -> String {
    let mut out = String::new();
    for (name, rows) in &outcome.tables {
        let total = outcome.report.sinks.iter().filter(|s| s.table == *name).map(|s| s.rows).sum::<u64>();
        let heading = match rows.num_rows() as u64 {
            shown if shown < total => format!("{name}: the first {} of {} rows", count(shown), count(total)),
            _ => format!("{name}: {} rows", count(total)),
        };
        let body = table(rows).unwrap_or_else(|e| e.to_string());
        let _ = writeln!(out, "{heading}\n{body}\n");
    }
    let mut facts = plain_table(&["source", "rows", "late", "bad", "MB"], &[1, 2, 3, 4]);
    for s in &summary.sources {
        facts.add_row([s.name.clone(), count(s.rows), count(s.late), count(s.errors), count(s.bytes / 1_000_000)]);
    }
    let _ = writeln!(out, "{}\n", trimmed(&facts));
    let mut facts = plain_table(&["sink", "rows", "digest"], &[1]);
    for s in &summary.sinks {
        facts.add_row([s.name.clone(), count(s.rows), s.digest.to_string()]);
    }
    let _ = writeln!(out, "{}\n", trimmed(&facts));
    match &outcome.report.resumed {
        Some(r) if r.finished => {
            let _ = writeln!(out, "the job had ended already, at checkpoint {}: nothing was read", r.checkpoint);
            return out;
        }
        Some(r) => {
            let _ = writeln!(out, "went on from checkpoint {}, behind {} rows", r.checkpoint, count(r.rows));
        }
        None => {}
    }
    let _ = writeln!(
        out,
        "{:.1} s, {} rows/s, peak memory {} MB",
        summary.elapsed_s,
        count(summary.rows_per_s as u64),
        count(summary.peak_rss_bytes / 1_000_000)
    );
    out
}

/// What the user should know of rows that the job neither routes nor discards by word; nothing if there are none.
pub fn unrouted(sources: &[SourceReport], tables: &[TableInfo]) -> String {
    let mut out = String::new();
    for s in sources {
        let discards = |which: fn(&TableInfo) -> bool| tables.iter().any(|t| t.name == s.table && which(t));
        if !s.unrouted_late.is_empty() && !discards(|t| t.late_discarded) {
            let _ = writeln!(
                out,
                "warning: {} late rows of {} were not used; INSERT INTO … SELECT … FROM `{}$late` keeps them",
                count(s.late),
                s.table,
                s.table
            );
            if let Some(first) = s.unrouted_late.first() {
                let shown = first.slice(0, first.num_rows().min(UNROUTED_SHOWN_MAX));
                let _ = writeln!(out, "{}", table(&shown).unwrap_or_else(|e| e.to_string()));
            }
        }
        if !s.unrouted_errors.is_empty() && !discards(|t| t.errors_discarded) {
            let _ = writeln!(
                out,
                "warning: {} bad rows of {} were left out; INSERT INTO … SELECT … FROM `{}$errors` keeps them",
                count(s.errors),
                s.table,
                s.table
            );
            for (partition, row) in s.unrouted_errors.iter().take(UNROUTED_SHOWN_MAX) {
                let _ = writeln!(out, "  {partition}, row {}: {}", row.offset, row.reason);
            }
        }
    }
    out
}

/// Rows as an aligned table: numbers to the right, NULL as such.
///
/// # Errors
/// A type that Arrow can't show.
pub fn table(rows: &RecordBatch) -> Result<String, ArrowError> {
    let options = FormatOptions::default().with_null("NULL");
    let schema = rows.schema();
    let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    let right: Vec<usize> = (0..names.len()).filter(|&i| is_number(rows.column(i).data_type())).collect();
    let mut shown = plain_table(&names, &right);
    let columns: Vec<ArrayFormatter> =
        rows.columns().iter().map(|c| ArrayFormatter::try_new(c.as_ref(), &options)).collect::<Result<_, _>>()?;
    for i in 0..rows.num_rows() {
        shown.add_row(rows.columns().iter().zip(&columns).map(|(array, text)| cell(array.as_ref(), text, i)));
    }
    Ok(trimmed(&shown))
}

fn cell(array: &dyn Array, text: &ArrayFormatter, i: usize) -> String {
    let shown = text.value(i).to_string();
    match array.data_type() {
        DataType::Timestamp(..) if array.is_valid(i) => shown.trim_end_matches('Z').replacen('T', " ", 1),
        _ => shown,
    }
}

fn is_number(kind: &DataType) -> bool {
    kind.is_numeric()
}

fn plain_table(names: &[&str], right: &[usize]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(names);
    for (i, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if right.contains(&i) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn trimmed(table: &Table) -> String {
    table.to_string().lines().map(|l| format!("  {}", l.trim_end())).collect::<Vec<_>>().join("\n")
}

/// 1234567 as `1,234,567`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// A range of event time in words.
pub fn range(from_ms: Option<i64>, to_ms: Option<i64>) -> String {
    let end = |t: Option<i64>, open: &str| t.map_or_else(|| open.to_string(), show_instant);
    format!("{} to {}", end(from_ms, "the beginning"), end(to_ms, "the end"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_grouped_by_three_digits() {
        let shown: Vec<String> = [0, 999, 1_000, 1_234_567].into_iter().map(count).collect();
        assert_eq!(shown, ["0", "999", "1,000", "1,234,567"]);
    }
}
