//! The `print` sink: one row a line on standard output, at once, as `+I[1, abc, null]`.
//!
//! With the option `print-identifier` a line begins with it: `alerts> +I[…]`. Rows appear as they are made and can't be
//! taken back: what a failed job printed stays. Workers write whole lines in turn. NULL is `null`; other values as in
//! [`crate::format::text`].
//!
//! In a job that keeps state rows are printed when their checkpoint is durable, **at least once**: standard output does not
//! tell what it has shown, so after a crash the rows of the last checkpoints may be printed again.

use crate::format::text::{Column, Style};
use crate::options::Options;
use crate::types;
use arrow::array::RecordBatch;
use arrow_schema::Schema;
use highwater_engine::error::SinkError;
use highwater_engine::sink::{Sink, SinkTable};
use std::io::{ErrorKind, Write, stdout};

/// A `print` table; its clones are its writers.
#[derive(Clone, Debug)]
pub struct Print {
    prefix: String,
}

impl Print {
    /// Reads the options.
    pub fn parse(o: &mut Options, schema: &Schema) -> Self {
        for field in schema.fields().iter().filter(|f| !types::is_supported(f.data_type())) {
            let name = highwater_engine::graph::types::sql_type(field.data_type());
            o.error("connector", format!("print can't show column {} of type {name}; CAST it to STRING", field.name()));
        }
        let prefix = o.text("print-identifier").filter(|id| !id.is_empty()).map(|id| format!("{id}> "));
        Self { prefix: prefix.unwrap_or_default() }
    }

    /// The rows as lines.
    fn lines(&self, rows: &RecordBatch) -> Result<Vec<u8>, SinkError> {
        let columns: Option<Vec<_>> = rows.columns().iter().map(|c| Column::new(c, Style::Print)).collect();
        let columns = columns.ok_or_else(|| SinkError::new("print: a column's type has no text; CAST it to STRING"))?;
        let mut out = Vec::with_capacity(rows.num_rows() * (columns.len() * 12 + 8));
        for row in 0..rows.num_rows() {
            out.extend_from_slice(self.prefix.as_bytes());
            out.extend_from_slice(b"+I[");
            for (k, column) in columns.iter().enumerate() {
                if k > 0 {
                    out.extend_from_slice(b", ");
                }
                if column.is_null(row) { out.extend_from_slice(b"null") } else { column.write(row, &mut out) }
            }
            out.extend_from_slice(b"]\n");
        }
        Ok(out)
    }
}

impl SinkTable for Print {
    fn open(&self, _worker: usize) -> Result<Box<dyn Sink>, SinkError> {
        Ok(Box::new(self.clone()))
    }
    fn commit(&self) -> Result<(), SinkError> {
        Ok(())
    }
    fn abort(&self) {}
}

impl Sink for Print {
    fn write(&mut self, rows: &RecordBatch) -> Result<(), SinkError> {
        let lines = self.lines(rows)?;
        // One lock for all lines of the batch, so that no other worker writes between them.
        let mut out = stdout().lock();
        out.write_all(&lines).and_then(|()| out.flush()).map_err(|e| match e.kind() {
            ErrorKind::BrokenPipe => SinkError::new("print: the reader of standard output has gone away"),
            ErrorKind::StorageFull => {
                SinkError::new("print: the device of standard output is full; free space or write elsewhere")
            }
            _ => SinkError::new(format!("print: can't write to standard output: {e}")),
        })
    }
    fn finish(&mut self) -> Result<(), SinkError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Int64Array, StringArray, TimestampMillisecondArray};
    use std::collections::BTreeMap;
    use std::sync::Arc;

    #[test]
    fn a_row_is_a_line_with_the_identifier_before_it() {
        let columns: [(&str, ArrayRef); 3] = [
            ("n", Arc::new(Int64Array::from(vec![Some(1), None]))),
            ("s", Arc::new(StringArray::from(vec!["a, b", ""]))),
            ("t", Arc::new(TimestampMillisecondArray::from(vec![1_767_225_600_000, 1_767_225_600_500]))),
        ];
        let rows = RecordBatch::try_from_iter(columns).unwrap();
        let options = BTreeMap::from([("print-identifier".to_string(), "alerts".to_string())]);
        let print = Print::parse(&mut Options::new("print", &options), &rows.schema());
        let text = String::from_utf8(print.lines(&rows).unwrap()).unwrap();
        let expected = "alerts> +I[1, a, b, 2026-01-01T00:00:00.000]\nalerts> +I[null, , 2026-01-01T00:00:00.500]\n";
        assert_eq!(text, expected);
    }
}
