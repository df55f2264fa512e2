//! Rows as bodies of requests, each with its key.

use super::options::HttpOptions;
use crate::format::json;
use arrow::array::RecordBatch;
use highwater_engine::checkpoint::seal::sha256;
use highwater_engine::error::SinkError;

/// Gathers rows to bodies.
#[derive(Debug)]
pub struct Requests {
    json: json::JsonOptions,
    batch_rows: usize,
    /// Lines of a batch, and where each ends.
    lines: Vec<u8>,
    ends: Vec<usize>,
    /// The body that is being made, and its rows.
    body: Vec<u8>,
    rows: usize,
    /// Number of the body's first row.
    first: u64,
}

impl Requests {
    /// For the rows of a table.
    pub fn new(options: &HttpOptions) -> Self {
        let (json, batch_rows) = (options.json.clone(), options.batch_rows);
        Self { json, batch_rows, lines: Vec::new(), ends: Vec::new(), body: Vec::new(), rows: 0, first: 0 }
    }

    /// The next row has this number; rows that were not sent are forgotten.
    pub fn begin(&mut self, first: u64) {
        self.body.clear();
        (self.rows, self.first) = (0, first);
    }

    /// Adds rows and hands over each body that is full, with the number of its first row.
    ///
    /// # Errors
    /// A value that JSON can't hold; what `send` says.
    pub fn add(
        &mut self,
        rows: &RecordBatch,
        mut send: impl FnMut(&[u8], u64) -> Result<(), SinkError>,
    ) -> Result<(), SinkError> {
        let mut lines = std::mem::take(&mut self.lines);
        let mut ends = std::mem::take(&mut self.ends);
        lines.clear();
        ends.clear();
        json::write::write_each(rows, &self.json, &mut lines, |end| ends.push(end)).map_err(SinkError::new)?;
        let mut start = 0;
        for &end in &ends {
            self.push(&lines[start..end - 1]);
            start = end;
            if self.rows == self.batch_rows {
                self.end(&mut send)?;
            }
        }
        (self.lines, self.ends) = (lines, ends);
        Ok(())
    }

    /// Hands over the last body.
    ///
    /// # Errors
    /// What `send` says.
    pub fn end(&mut self, mut send: impl FnMut(&[u8], u64) -> Result<(), SinkError>) -> Result<(), SinkError> {
        if self.rows == 0 {
            return Ok(());
        }
        if self.batch_rows > 1 {
            self.body.push(b']');
        }
        send(&self.body, self.first)?;
        self.begin(self.first + self.rows as u64);
        Ok(())
    }

    fn push(&mut self, row: &[u8]) {
        if self.batch_rows > 1 {
            self.body.push(if self.rows == 0 { b'[' } else { b',' });
        }
        self.body.extend_from_slice(row);
        self.rows += 1;
    }
}

/// The key of a request: equal for the same rows at the same place, and for nothing else. `place` is the checkpoint, or what
/// else is told apart.
pub fn key(table: &str, place: &str, first: u64, body: &[u8]) -> String {
    let legal = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '.') { c } else { '_' };
    let table: String = table.chars().map(legal).collect();
    let hash = sha256(&[body]);
    format!("{table}-{place}-{first}-{}", &hash[..32])
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Int64Array};
    use std::sync::Arc;

    fn bodies(batch_rows: usize, batches: &[&[i64]]) -> Vec<(u64, String)> {
        let (lines, ends, body) = Default::default();
        let mut requests = Requests { json: Default::default(), batch_rows, lines, ends, body, rows: 0, first: 0 };
        let mut all = Vec::new();
        let mut take = |body: &[u8], first| {
            all.push((first, String::from_utf8(body.to_vec()).unwrap()));
            Ok(())
        };
        for batch in batches {
            let column: ArrayRef = Arc::new(Int64Array::from(batch.to_vec()));
            requests.add(&RecordBatch::try_from_iter([("n", column)]).unwrap(), &mut take).unwrap();
        }
        requests.end(&mut take).unwrap();
        all
    }

    #[test]
    fn bodies_do_not_depend_on_the_borders_of_batches() {
        let expected = [(0, r#"[{"n":1},{"n":2},{"n":3}]"#.to_owned()), (3, r#"[{"n":4}]"#.to_owned())];
        for batches in [&[&[1, 2, 3, 4][..]][..], &[&[1], &[2, 3], &[], &[4]], &[&[1, 2, 3], &[4]]] {
            assert_eq!(bodies(3, batches), expected);
        }
        assert_eq!(bodies(1, &[&[1, 2]]), [(0, r#"{"n":1}"#.to_owned()), (1, r#"{"n":2}"#.to_owned())]);
        assert_eq!(bodies(5, &[&[]]), []);
    }

    #[test]
    fn other_rows_and_other_places_have_other_keys() {
        let all = [key("t", "7", 0, b"a"), key("t", "7", 0, b"b"), key("t", "7", 1, b"a"), key("t", "8", 0, b"a")];
        assert!((0..4).all(|i| (0..i).all(|j| all[i] != all[j])), "{all:?}");
        assert_eq!(key("t", "7", 0, b"a"), key("t", "7", 0, b"a"));
        assert!(key("überweisung\n", "7", 0, b"a").starts_with("_berweisung_-7-0-"));
    }
}
