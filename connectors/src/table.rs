//! The `table` sink: keeps the first rows for whoever ran the job. The command line shows them when the job has ended; a
//! program in Rust reads them.
//!
//! | option | meaning | default |
//! |---|---|---|
//! | `max-rows` | rows kept | 20 |
//!
//! "First" is the order of the columns from left to right, NULLs first: a function of the rows, not of the worker or the
//! moment that wrote them. All rows are counted and digested, as for every sink. Memory: twice `max-rows` for each worker.
//!
//! Of a job with state it keeps what this process published: rows that were published before the process started are not
//! shown again.

use crate::options::Options;
use crate::registry::joined;
use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::error::ArrowError;
use arrow::row::{OwnedRow, RowConverter, SortField};
use arrow_schema::SchemaRef;
use highwater_engine::error::{BuildError, SinkError};
use highwater_engine::graph::SinkSpec;
use highwater_engine::sink::{Publication, Publisher, Roll, Sink, SinkTable};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The connector's name.
pub const NAME: &str = "table";

/// Rows that a table may keep.
const MAX_ROWS: i64 = 10_000_000;
/// Rows that a writer gathers at least before it sorts.
const GATHER_ROWS_MIN: usize = 8_192;

/// Options of a `table` sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableOptions {
    /// Rows kept.
    pub max_rows: usize,
}

impl TableOptions {
    /// Reads the options.
    pub fn parse(o: &mut Options) -> Self {
        Self { max_rows: o.integer("max-rows", 1..=MAX_ROWS, 20) as usize }
    }
}

/// A table in memory.
#[derive(Debug)]
pub struct Table {
    schema: SchemaRef,
    max_rows: usize,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    finished: Vec<RecordBatch>,
    committed: Option<RecordBatch>,
    /// The last checkpoint whose rows are among the finished.
    published: Option<u64>,
}

impl Table {
    /// An empty table.
    pub fn new(options: TableOptions, schema: &SchemaRef) -> Self {
        Self { schema: schema.clone(), max_rows: options.max_rows, kept: Arc::default() }
    }

    /// Opens the table of a specification, for a caller that will ask it for its rows.
    ///
    /// # Errors
    /// Unknown or wrong options.
    pub fn open(spec: &SinkSpec, schema: &SchemaRef) -> Result<Self, BuildError> {
        let mut options = Options::new(NAME, &spec.options);
        let parsed = TableOptions::parse(&mut options);
        match options.finish().as_slice() {
            [] => Ok(Self::new(parsed, schema)),
            errors => Err(joined(&spec.table, errors)),
        }
    }

    /// The publisher of one attempt of a job with state. Attempts of one process share the table.
    pub fn publisher(self: Arc<Self>) -> TablePublisher {
        TablePublisher { table: self }
    }

    /// The rows, in the order of their columns; `None` before the job has committed.
    pub fn rows(&self) -> Option<RecordBatch> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).committed.clone()
    }
}

impl SinkTable for Table {
    fn open(&self, _worker: usize) -> Result<Box<dyn Sink>, SinkError> {
        let writer = Writer {
            first: First::new(&self.schema, self.max_rows).map_err(|e| SinkError::new(e.to_string()))?,
            kept: self.kept.clone(),
        };
        Ok(Box::new(writer))
    }
    fn commit(&self) -> Result<(), SinkError> {
        let fail = |e: ArrowError| SinkError::new(e.to_string());
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = First::new(&self.schema, self.max_rows).map_err(fail)?;
        for batch in kept.finished.drain(..) {
            all.add(&batch).map_err(fail)?;
        }
        kept.committed = Some(all.sorted().map_err(fail)?);
        Ok(())
    }
    fn abort(&self) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).finished.clear();
    }
}

/// Publishes to a table in memory.
#[derive(Debug)]
pub struct TablePublisher {
    table: Arc<Table>,
}

impl TablePublisher {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.table.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Publisher for TablePublisher {
    fn roll(&self) -> Roll {
        Roll::AtEnd
    }
    /// The table knows what it was given in this process, not before.
    fn recover(&mut self) -> Result<Option<u64>, SinkError> {
        Ok(self.kept().published)
    }
    fn publish(
        &mut self,
        publication: &Publication,
        rows: &mut dyn Iterator<Item = Result<RecordBatch, SinkError>>,
    ) -> Result<(), SinkError> {
        let fail = |e: ArrowError| SinkError::new(e.to_string());
        if self.kept().published.is_some_and(|last| publication.last <= last) {
            return Ok(());
        }
        let mut first = First::new(&self.table.schema, self.table.max_rows).map_err(fail)?;
        for batch in self.kept().finished.iter() {
            first.add(batch).map_err(fail)?;
        }
        for batch in rows {
            first.add(&batch?).map_err(fail)?;
        }
        let sorted = first.sorted().map_err(fail)?;
        let mut kept = self.kept();
        kept.finished = vec![sorted];
        kept.published = Some(publication.last);
        Ok(())
    }
    fn finish(&mut self) -> Result<(), SinkError> {
        self.table.commit()
    }
}

struct Writer {
    first: First,
    kept: Arc<Mutex<Kept>>,
}

impl Sink for Writer {
    fn write(&mut self, rows: &RecordBatch) -> Result<(), SinkError> {
        self.first.add(rows).map_err(|e| SinkError::new(e.to_string()))
    }
    fn finish(&mut self) -> Result<(), SinkError> {
        let sorted = self.first.sorted().map_err(|e| SinkError::new(e.to_string()))?;
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).finished.push(sorted);
        Ok(())
    }
}

/// The first `max_rows` of the rows added.
struct First {
    schema: SchemaRef,
    max_rows: usize,
    converter: RowConverter,
    gathered: Vec<RecordBatch>,
    gathered_rows: usize,
    /// The last row of the first ones, once there are as many: no row behind it can matter.
    last: Option<OwnedRow>,
}

impl First {
    fn new(schema: &SchemaRef, max_rows: usize) -> Result<Self, ArrowError> {
        let fields = schema.fields().iter().map(|f| SortField::new(f.data_type().clone())).collect();
        let converter = RowConverter::new(fields)?;
        Ok(Self { schema: schema.clone(), max_rows, converter, gathered: Vec::new(), gathered_rows: 0, last: None })
    }

    fn add(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        let mut batch = batch.clone();
        if let Some(last) = &self.last {
            let rows = self.converter.convert_columns(batch.columns())?;
            let before: UInt32Array =
                (0u32..).zip(&rows).filter(|(_, row)| *row < last.row()).map(|(i, _)| i).collect();
            if before.is_empty() {
                return Ok(());
            }
            batch = take_record_batch(&batch, &before)?;
        }
        self.gathered_rows += batch.num_rows();
        self.gathered.push(batch);
        if self.gathered_rows >= (2 * self.max_rows).max(GATHER_ROWS_MIN) {
            let sorted = self.sorted()?;
            self.gathered_rows = sorted.num_rows();
            if self.gathered_rows == self.max_rows {
                let rows = self.converter.convert_columns(sorted.slice(self.max_rows - 1, 1).columns())?;
                self.last = Some(rows.row(0).owned());
            }
            self.gathered = vec![sorted];
        }
        Ok(())
    }

    fn sorted(&self) -> Result<RecordBatch, ArrowError> {
        let all = concat_batches(&self.schema, &self.gathered)?;
        let rows = self.converter.convert_columns(all.columns())?;
        let mut order: Vec<u32> = (0..all.num_rows() as u32).collect();
        order.sort_unstable_by(|a, b| rows.row(*a as usize).cmp(&rows.row(*b as usize)));
        order.truncate(self.max_rows);
        take_record_batch(&all, &UInt32Array::from(order))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, AsArray, Int64Array};
    use arrow::datatypes::Int64Type;

    fn batch(values: impl IntoIterator<Item = Option<i64>>) -> RecordBatch {
        let column: ArrayRef = Arc::new(values.into_iter().collect::<Int64Array>());
        RecordBatch::try_from_iter_with_nullable([("n", column, true)]).unwrap()
    }

    #[test]
    fn the_first_rows_are_kept_whoever_wrote_them() {
        let schema = batch([]).schema();
        for workers in [1usize, 3] {
            let table = Table::new(TableOptions { max_rows: 5 }, &schema);
            let mut writers: Vec<_> = (0..workers).map(|w| table.open(w).unwrap()).collect();
            for block in 0..40i64 {
                let rows = batch((0..1000).map(|i| Some((block * 1000 + i) * 7919 % 40_000)));
                writers[block as usize % workers].write(&rows).unwrap();
            }
            writers[0].write(&batch([None])).unwrap();
            writers.iter_mut().for_each(|w| w.finish().unwrap());
            assert!(table.rows().is_none(), "nothing is shown before the commit");
            table.commit().unwrap();
            let rows = table.rows().unwrap();
            let column = rows.column(0).as_primitive::<Int64Type>();
            let kept: Vec<Option<i64>> = column.iter().collect();
            assert_eq!(kept, [None, Some(0), Some(1), Some(2), Some(3)]);
        }
    }

    #[test]
    fn a_job_with_state_shows_what_this_process_published_once() {
        let schema = batch([]).schema();
        let table = Arc::new(Table::new(TableOptions { max_rows: 3 }, &schema));
        let publish = |publisher: &mut TablePublisher, last, values: &[i64]| {
            let rows = values.iter().map(|v| Ok(batch([Some(*v)])));
            publisher.publish(&Publication { first: last, last }, &mut rows.collect::<Vec<_>>().into_iter()).unwrap();
        };
        let mut attempt = table.clone().publisher();
        assert_eq!(attempt.recover().unwrap(), None);
        publish(&mut attempt, 7, &[5, 3]);
        let damaged: [Result<RecordBatch, SinkError>; 2] = [Ok(batch([Some(1)])), Err(SinkError::new("damaged"))];
        attempt.publish(&Publication { first: 8, last: 8 }, &mut damaged.into_iter()).unwrap_err();
        assert!(table.rows().is_none());
        let mut next = table.clone().publisher();
        assert_eq!(next.recover().unwrap(), Some(7));
        publish(&mut next, 7, &[5, 3]);
        publish(&mut next, 8, &[1]);
        publish(&mut next, 9, &[2]);
        next.finish().unwrap();
        let rows = table.rows().unwrap();
        assert_eq!(rows.column(0).as_primitive::<Int64Type>().values(), &[1, 2, 3]);
    }
}
