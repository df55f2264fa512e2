//! Messages to rows.

use super::columns::Found;
use super::default;
use super::tree::Tree;
use super::walk::{Row, Slot, Walk};
use crate::format::records::bad_record;
use crate::format::records::decode::Wrong;
use crate::format::records::messages::{Decoded, MessageDecoder, in_order};
use crate::format::records::read::filtered;
use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::SchemaRef;
use highwater_engine::error::SourceError;
use highwater_engine::source::BadRecord;
use std::sync::Arc;

/// What all decoders of a table share.
#[derive(Clone, Debug)]
pub struct ProtobufTable {
    walk: Arc<Walk>,
    /// The columns that are read.
    schema: SchemaRef,
    /// What is read where a message has nothing, by slot.
    defaults: Arc<[Slot]>,
    /// The bytes that slots of defaults are parts of.
    texts: Arc<[u8]>,
}

impl ProtobufTable {
    /// For columns that are these parts of a message, `schema` in the order in which they are read.
    ///
    /// # Errors
    /// A default that is none.
    pub fn new(tree: &Tree, schema: SchemaRef, read_defaults: bool) -> Result<Self, String> {
        let walk = Walk::new(tree);
        let (mut defaults, mut texts) = (vec![Slot::ABSENT; walk.leaves.len()], Vec::new());
        if read_defaults {
            for (leaf, slot) in walk.leaves.iter().zip(&mut defaults) {
                *slot = default::slot_of(leaf, &mut texts)?;
            }
        }
        Ok(Self { walk: Arc::new(walk), schema, defaults: defaults.into(), texts: texts.into() })
    }
}

/// Decodes messages; its memory is used again.
#[derive(Debug)]
pub struct ProtobufMessages {
    table: ProtobufTable,
    /// The texts of defaults, then messages one behind the other.
    data: Vec<u8>,
    ends: Vec<usize>,
    offsets: Vec<i64>,
    bad: Vec<BadRecord>,
    slots: Vec<Slot>,
    row: Row,
}

impl ProtobufMessages {
    /// Messages of a table.
    pub fn new(table: ProtobufTable) -> Self {
        let data = table.texts.to_vec();
        let (ends, offsets, bad, slots) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { table, data, ends, offsets, bad, slots, row: Row::default() }
    }

    fn span(&self, row: usize) -> (usize, usize) {
        let start = if row == 0 { self.table.texts.len() } else { self.ends[row - 1] };
        (start, self.ends[row])
    }

    fn columns(&self, wrong: &mut Wrong) -> Vec<ArrayRef> {
        let mut columns: Vec<(usize, ArrayRef)> = Vec::new();
        let (walk, slots) = (&self.table.walk, &self.slots);
        for (slot, leaf) in walk.leaves.iter().enumerate() {
            let (width, rows, default) = (walk.leaves.len(), self.ends.len(), self.table.defaults[slot]);
            let found = Found { slots, width, slot, rows, data: &self.data, default };
            columns.push((leaf.column, found.column(leaf, wrong)));
        }
        columns.sort_by_key(|(column, _)| *column);
        columns.into_iter().map(|(_, column)| column).collect()
    }
}

impl MessageDecoder for ProtobufMessages {
    fn push(&mut self, offset: i64, value: Option<&[u8]>) {
        let Some(value) = value else {
            return self.refuse(offset, "the message has no value (it is a tombstone)", None);
        };
        self.data.extend_from_slice(value);
        self.ends.push(self.data.len());
        self.offsets.push(offset);
    }

    fn refuse(&mut self, offset: i64, reason: &str, value: Option<&[u8]>) {
        self.bad.push(bad_record(offset, reason, value));
    }

    fn len(&self) -> usize {
        self.offsets.len() + self.bad.len()
    }

    fn decode(&mut self) -> Result<Decoded, SourceError> {
        let (rows, mut wrong) = (self.ends.len(), Wrong::new());
        self.slots.clear();
        for row in 0..rows {
            let span = self.span(row);
            if let Err(damage) = self.table.walk.message(&self.data, span, &mut self.row, &mut self.slots) {
                wrong.insert(row, format!("byte {} of the message: {}", damage.at - span.0, damage.what));
            }
        }
        let columns = self.columns(&mut wrong);
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let columns = RecordBatch::try_new_with_options(self.table.schema.clone(), columns, &options)
            .map_err(|e| SourceError::new(format!("decoder: {e}; this is a bug, please report it")))?;
        let columns = filtered(columns, &wrong)?;
        let good = (0..rows).filter(|row| !wrong.contains_key(row));
        let offsets = in_order(good.map(|row| self.offsets[row]).collect());
        let mut bad = std::mem::take(&mut self.bad);
        for (row, reason) in wrong {
            let (start, end) = self.span(row);
            bad.push(bad_record(self.offsets[row], reason, Some(&self.data[start..end])));
        }
        bad.sort_by_key(|b| b.offset);
        self.data.truncate(self.table.texts.len());
        self.ends.clear();
        self.offsets.clear();
        Ok(Decoded { columns, offsets, bad })
    }
}
