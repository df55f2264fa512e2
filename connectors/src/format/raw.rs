//! Format `raw`: one column, STRING or BYTES, that is the whole message. A message without a value is NULL.

use super::records::bad_record;
use super::records::messages::{Decoded, MessageDecoder, in_order};
use arrow::array::{Array, ArrayRef, AsArray, BinaryBuilder, RecordBatch, RecordBatchOptions, StringBuilder};
use arrow_schema::{DataType, Schema, SchemaRef};
use highwater_engine::error::SourceError;
use highwater_engine::source::BadRecord;
use std::sync::Arc;

/// Whether a column can be a whole message.
pub fn fits(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::Binary)
}

/// The bytes of a value; `None` is NULL.
pub fn value(column: &ArrayRef, row: usize) -> Option<&[u8]> {
    match column.data_type() {
        _ if column.is_null(row) => None,
        DataType::Utf8 => Some(column.as_string::<i32>().value(row).as_bytes()),
        _ => Some(column.as_binary::<i32>().value(row)),
    }
}

/// Messages of which each is a value.
pub struct RawMessages {
    /// No column, if none is read.
    schema: SchemaRef,
    values: Values,
    offsets: Vec<i64>,
    bad: Vec<BadRecord>,
}

enum Values {
    Text(StringBuilder),
    Bytes(BinaryBuilder),
    NotRead,
}

impl RawMessages {
    /// Messages of a table with one column, which may be read or not.
    pub fn new(physical: &Schema, read: &[usize]) -> Self {
        let fields: Vec<_> = read.iter().map(|&i| physical.fields()[i].clone()).collect();
        let values = match fields.first().map(|f| f.data_type()) {
            None => Values::NotRead,
            Some(DataType::Utf8) => Values::Text(StringBuilder::new()),
            Some(_) => Values::Bytes(BinaryBuilder::new()),
        };
        Self { schema: Arc::new(Schema::new(fields)), values, offsets: Vec::new(), bad: Vec::new() }
    }
}

impl MessageDecoder for RawMessages {
    fn push(&mut self, offset: i64, value: Option<&[u8]>) {
        match &mut self.values {
            Values::NotRead => {}
            Values::Bytes(builder) => builder.append_option(value),
            Values::Text(builder) => match value.map(std::str::from_utf8).transpose() {
                Ok(text) => builder.append_option(text),
                Err(_) => return self.refuse(offset, "the message is not UTF-8; declare its column as BYTES", value),
            },
        }
        self.offsets.push(offset);
    }

    fn refuse(&mut self, offset: i64, reason: &str, value: Option<&[u8]>) {
        self.bad.push(bad_record(offset, reason, value));
    }

    fn len(&self) -> usize {
        self.offsets.len() + self.bad.len()
    }

    fn decode(&mut self) -> Result<Decoded, SourceError> {
        let columns: Vec<ArrayRef> = match &mut self.values {
            Values::Text(builder) => vec![Arc::new(builder.finish())],
            Values::Bytes(builder) => vec![Arc::new(builder.finish())],
            Values::NotRead => Vec::new(),
        };
        let options = RecordBatchOptions::new().with_row_count(Some(self.offsets.len()));
        let columns = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)
            .map_err(|e| SourceError::new(format!("decoder: {e}; this is a bug, please report it")))?;
        let offsets = in_order(std::mem::take(&mut self.offsets));
        Ok(Decoded { columns, offsets, bad: std::mem::take(&mut self.bad) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_schema::Field;

    #[test]
    fn a_message_is_a_value_and_none_is_null() {
        let decode = |data_type: DataType, read: &[usize]| {
            let mut decoder = RawMessages::new(&Schema::new(vec![Field::new("v", data_type, true)]), read);
            for (offset, message) in [(3, Some(&b"a,\n"[..])), (4, None), (7, Some(&[0xff][..])), (8, Some(b""))] {
                decoder.push(offset, message);
            }
            assert_eq!(decoder.len(), 4);
            let decoded = decoder.decode().unwrap();
            assert!(decoder.is_empty());
            decoded
        };
        let found = decode(DataType::Utf8, &[0]);
        assert_eq!(
            found.columns.column(0).as_string::<i32>().iter().collect::<Vec<_>>(),
            [Some("a,\n"), None, Some("")]
        );
        assert_eq!([0, 1, 2].map(|row| found.offsets.at(row)), [3, 4, 8]);
        assert_eq!((found.bad[0].offset, found.bad[0].raw.as_deref()), (7, Some(&[0xff][..])));
        let found = decode(DataType::Binary, &[0]);
        let bytes: Vec<Option<&[u8]>> = (0..4).map(|row| value(found.columns.column(0), row)).collect();
        assert_eq!(bytes, [Some(&b"a,\n"[..]), None, Some(&[0xff]), Some(b"")]);
        let found = decode(DataType::Utf8, &[]);
        assert_eq!((found.columns.num_rows(), found.columns.num_columns(), found.bad.len()), (4, 0, 0));
    }
}
