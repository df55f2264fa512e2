//! The unit of data: Arrow columns with what the engine carries beside them.
//!
//! A [`Batch`] is one `RecordBatch` plus, row by row: the event time (always, even if the query dropped the column), a
//! lateness tag (only where some row is late), the row's identity (only where a later step needs it) and the hash of the
//! key it was exchanged by. Everything moves by reference count; `take`, `filter` and `slice` keep all parts in step.

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::buffer::ScalarBuffer;
use arrow::compute::{filter_record_batch, take_record_batch};
use arrow::datatypes::SchemaRef;
use std::sync::Arc;

/// The tag of a row that was on time. Every real tag is greater.
pub const ON_TIME: i64 = i64::MIN;

/// Where a row comes from, as far as a plan asks for it.
#[derive(Clone, Debug)]
pub enum Identity {
    /// Rows of one partition, in the order of the partition: set by the source, kept by stateless steps.
    Partition(Arc<Origin>, Selection),
    /// Rows of any partitions: behind an exchange, where a plan needs the arrival order.
    Arrival(Arrival),
}

/// The rows of an [`Origin`] that a batch still holds.
#[derive(Clone, Debug)]
pub enum Selection {
    /// A contiguous run that starts at this row of the origin.
    Run(u32),
    /// These rows of the origin, ascending.
    Rows(ScalarBuffer<u32>),
}

/// A batch as it left its source: enough to name each row and to say what the watermark was just before it.
#[derive(Debug)]
pub struct Origin {
    /// Index of the source in the job's list of sources.
    pub source: u32,
    /// Index of the partition in the source's list.
    pub partition: u32,
    /// Offset of each row within its partition.
    pub offsets: Offsets,
    /// Event time of each row.
    pub times: ScalarBuffer<i64>,
    /// Largest event time of the partition before the first row; `i64::MIN` if there was none.
    pub max_before: i64,
    /// The table's watermark delay: W = maximum − delay + 1 ms.
    pub delay_ms: i64,
    /// Arrival cut of each row, where the job has an `arrival` sink.
    pub cuts: Option<ScalarBuffer<i64>>,
}

/// Offsets of a source batch.
#[derive(Clone, Debug)]
pub enum Offsets {
    /// `base`, `base + 1`, …
    Run(i64),
    /// As listed, ascending: some rows between them were bad.
    List(ScalarBuffer<i64>),
}

impl Offsets {
    /// Offset of row `i`.
    pub fn at(&self, i: usize) -> i64 {
        match self {
            Self::Run(base) => base + i as i64,
            Self::List(l) => l[i],
        }
    }
}

impl Origin {
    /// The partition's watermark just before row `i`: `i64::MIN` before its first row. Cost: linear in `i`, for the
    /// rare row that fails an expression.
    pub fn watermark_before(&self, i: usize) -> i64 {
        let max = self.times[..i].iter().copied().fold(self.max_before, i64::max);
        if max == i64::MIN { i64::MIN } else { max.saturating_sub(self.delay_ms).saturating_add(1) }
    }
}

/// The arrival order of rows: compare `(cut, partition, offset)`.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// Cut of the input the row belongs to.
    pub cuts: ScalarBuffer<i64>,
    /// `source << 32 | partition`.
    pub partitions: ScalarBuffer<u64>,
    /// Offset within the partition.
    pub offsets: ScalarBuffer<i64>,
}

impl Identity {
    /// The identity as columns, for an exchange.
    pub fn to_arrival(&self, rows: usize) -> Arrival {
        match self {
            Self::Arrival(a) => a.clone(),
            Self::Partition(o, sel) => {
                let at = |i: usize| match sel {
                    Selection::Run(s) => *s as usize + i,
                    Selection::Rows(r) => r[i] as usize,
                };
                Arrival {
                    cuts: (0..rows).map(|i| o.cuts.as_ref().map_or(0, |c| c[at(i)])).collect(),
                    partitions: std::iter::repeat_n((u64::from(o.source) << 32) | u64::from(o.partition), rows)
                        .collect(),
                    offsets: (0..rows).map(|i| o.offsets.at(at(i))).collect(),
                }
            }
        }
    }
}

/// Arrow columns plus event times, lateness tags, identity and key hashes. See the module's header.
#[derive(Clone, Debug)]
pub struct Batch {
    columns: RecordBatch,
    times: ScalarBuffer<i64>,
    tags: Option<ScalarBuffer<i64>>,
    identity: Option<Identity>,
    hashes: Option<ScalarBuffer<u64>>,
}

impl Batch {
    /// A batch of on-time rows without identity.
    ///
    /// # Panics
    /// If `times` has not one entry per row.
    pub fn new(columns: RecordBatch, times: ScalarBuffer<i64>) -> Self {
        assert_eq!(columns.num_rows(), times.len(), "event times must be as many as rows");
        Self { columns, times, tags: None, identity: None, hashes: None }
    }
    /// The same batch with lateness tags: W_p(row) for a late row, [`ON_TIME`] for the others.
    pub fn with_tags(mut self, tags: Option<ScalarBuffer<i64>>) -> Self {
        assert!(tags.as_ref().is_none_or(|t| t.len() == self.rows()), "tags must be as many as rows");
        self.tags = tags;
        self
    }
    /// The same batch with row identity.
    pub fn with_identity(mut self, identity: Option<Identity>) -> Self {
        self.identity = identity;
        self
    }
    /// The same batch with the hashes of the key it is exchanged by.
    pub fn with_hashes(mut self, hashes: Option<ScalarBuffer<u64>>) -> Self {
        assert!(hashes.as_ref().is_none_or(|h| h.len() == self.rows()), "hashes must be as many as rows");
        self.hashes = hashes;
        self
    }
    /// The same rows with other columns: what a projection returns.
    pub fn with_columns(mut self, columns: RecordBatch) -> Self {
        assert_eq!(columns.num_rows(), self.times.len(), "a projection keeps the number of rows");
        self.columns = columns;
        self
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.times.len()
    }
    /// The columns.
    pub fn columns(&self) -> &RecordBatch {
        &self.columns
    }
    /// Column `i`.
    pub fn column(&self, i: usize) -> &ArrayRef {
        self.columns.column(i)
    }
    /// The columns' schema.
    pub fn schema(&self) -> SchemaRef {
        self.columns.schema()
    }
    /// Event time of each row, epoch milliseconds.
    pub fn times(&self) -> &ScalarBuffer<i64> {
        &self.times
    }
    /// W_p(row) of each late row, [`ON_TIME`] elsewhere; `None` if no row is late.
    pub fn tags(&self) -> Option<&ScalarBuffer<i64>> {
        self.tags.as_ref()
    }
    /// W_p(row) if row `i` is late.
    pub fn tag(&self, i: usize) -> Option<i64> {
        self.tags.as_ref().map(|t| t[i]).filter(|t| *t != ON_TIME)
    }
    /// Row identity, where the plan keeps it.
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }
    /// Key hashes, if the batch came through an exchange.
    pub fn hashes(&self) -> Option<&ScalarBuffer<u64>> {
        self.hashes.as_ref()
    }

    /// The rows at `indices`, in that order. `indices` has no NULL.
    pub fn take(&self, indices: &UInt32Array) -> Batch {
        let columns = if self.columns.num_columns() == 0 {
            let options = RecordBatchOptions::new().with_row_count(Some(indices.len()));
            RecordBatch::try_new_with_options(self.schema(), vec![], &options)
        } else {
            take_record_batch(&self.columns, indices)
        };
        self.take_as(indices, columns.expect("indices are within the batch"))
    }
    /// The rows at `indices`, in that order, with these columns instead: what a filter and projection returns.
    ///
    /// # Panics
    /// If `columns` has not one row per index.
    pub fn take_as(&self, indices: &UInt32Array, columns: RecordBatch) -> Batch {
        assert_eq!(columns.num_rows(), indices.len(), "one row of the new columns per index");
        let ix = indices.values();
        Batch {
            columns,
            times: pick(&self.times, ix),
            tags: self.tags.as_ref().map(|t| pick(t, ix)).filter(any_late),
            identity: self.identity.as_ref().map(|id| id.pick(ix)),
            hashes: self.hashes.as_ref().map(|h| pick(h, ix)),
        }
    }
    /// The rows where `mask` is true (NULL is false).
    pub fn filter(&self, mask: &BooleanArray) -> Batch {
        if mask.true_count() == self.rows() {
            return self.clone();
        }
        let rows: ScalarBuffer<u32> =
            (0..self.rows()).filter(|&i| mask.is_valid(i) && mask.value(i)).map(|i| i as u32).collect();
        Batch {
            columns: filter_record_batch(&self.columns, mask).expect("the mask is as long as the batch"),
            times: pick(&self.times, &rows),
            tags: self.tags.as_ref().map(|t| pick(t, &rows)).filter(any_late),
            identity: self.identity.as_ref().map(|id| id.pick(&rows)),
            hashes: self.hashes.as_ref().map(|h| pick(h, &rows)),
        }
    }
    /// `len` rows from row `at`, without a copy where the parts allow it.
    pub fn slice(&self, at: usize, len: usize) -> Batch {
        Batch {
            columns: self.columns.slice(at, len),
            times: self.times.slice(at, len),
            tags: self.tags.as_ref().map(|t| t.slice(at, len)),
            identity: self.identity.as_ref().map(|id| id.slice(at, len)),
            hashes: self.hashes.as_ref().map(|h| h.slice(at, len)),
        }
    }
}

fn any_late(tags: &ScalarBuffer<i64>) -> bool {
    tags.iter().any(|t| *t != ON_TIME)
}

fn pick<T: arrow::datatypes::ArrowNativeType>(from: &ScalarBuffer<T>, rows: &[u32]) -> ScalarBuffer<T> {
    rows.iter().map(|&i| from[i as usize]).collect()
}

impl Identity {
    fn pick(&self, rows: &[u32]) -> Identity {
        match self {
            Self::Partition(o, Selection::Run(s)) => {
                Self::Partition(o.clone(), Selection::Rows(rows.iter().map(|i| s + i).collect()))
            }
            Self::Partition(o, Selection::Rows(r)) => Self::Partition(o.clone(), Selection::Rows(pick(r, rows))),
            Self::Arrival(a) => Self::Arrival(Arrival {
                cuts: pick(&a.cuts, rows),
                partitions: pick(&a.partitions, rows),
                offsets: pick(&a.offsets, rows),
            }),
        }
    }
    fn slice(&self, at: usize, len: usize) -> Identity {
        match self {
            Self::Partition(o, Selection::Run(s)) => Self::Partition(o.clone(), Selection::Run(s + at as u32)),
            Self::Partition(o, Selection::Rows(r)) => Self::Partition(o.clone(), Selection::Rows(r.slice(at, len))),
            Self::Arrival(a) => Self::Arrival(Arrival {
                cuts: a.cuts.slice(at, len),
                partitions: a.partitions.slice(at, len),
                offsets: a.offsets.slice(at, len),
            }),
        }
    }
}

#[cfg(test)]
mod tests;
