//! Columns to Parquet.

use arrow::array::RecordBatch;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::errors::Result;
use parquet::file::properties::WriterProperties;
use std::io::Write;
use std::sync::Arc;

/// Rows of a row group: small enough that a file of a few million rows decodes on many workers.
const GROUP_ROWS: usize = 131_072;

/// Writes one file.
pub struct ParquetWriter<W: Write + Send> {
    writer: ArrowWriter<W>,
    schema: SchemaRef,
}

impl<W: Write + Send> ParquetWriter<W> {
    /// Begins a file of this schema.
    pub fn new(into: W, schema: &Schema) -> Result<Self> {
        let schema = stored(schema);
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            .build();
        Ok(Self { writer: ArrowWriter::try_new(into, schema.clone(), Some(properties))?, schema })
    }

    /// Appends rows.
    pub fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        let column = |(k, field): (usize, &Arc<Field>)| match rows.column(k) {
            array if array.data_type() == field.data_type() => Ok(array.clone()),
            array => cast(array, field.data_type()),
        };
        let columns =
            self.schema.fields().iter().enumerate().map(column).collect::<std::result::Result<Vec<_>, _>>()?;
        self.writer.write(&RecordBatch::try_new(self.schema.clone(), columns)?)
    }

    /// Writes the footer and gives the output back.
    pub fn finish(self) -> Result<W> {
        self.writer.into_inner()
    }
}

/// Parquet has no times in seconds: they are stored in milliseconds. All columns may hold NULL.
fn stored(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter().map(|f| {
        let data_type = match f.data_type() {
            DataType::Timestamp(TimeUnit::Second, zone) => DataType::Timestamp(TimeUnit::Millisecond, zone.clone()),
            DataType::Time32(TimeUnit::Second) => DataType::Time32(TimeUnit::Millisecond),
            other => other.clone(),
        };
        Field::new(f.name(), data_type, true)
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}
