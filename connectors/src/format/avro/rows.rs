//! Messages of one writer's schema as rows of a table.

use super::convert::{Way, follow, way};
use super::schema::fields_of;
use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::error::ArrowError;
use arrow_avro::reader::{Decoder, ReaderBuilder};
use arrow_avro::schema::{AvroSchema, Fingerprint, FingerprintAlgorithm, SchemaStore};
use arrow_schema::{Field, SchemaRef};
use highwater_engine::graph::types::sql_type;

/// The bytes before a datum: zero, and the id of its schema.
pub const PREFIX: usize = 5;

/// Decodes messages of one schema.
#[derive(Debug)]
pub struct Rows {
    id: u32,
    writer: AvroSchema,
    /// Fields of the writer that are decoded.
    wanted: Vec<usize>,
    /// Of each column that is read: which of them, and how.
    columns: Vec<Option<(usize, Way)>>,
    read: SchemaRef,
    decoder: Option<Decoder>,
}

/// Rows and, of some, what is wrong with them.
pub struct Decoded {
    /// The columns of all rows.
    pub columns: RecordBatch,
    /// Rows that are bad, in order of columns.
    pub wrong: Vec<(usize, String)>,
}

impl Rows {
    /// Messages with this id and writer's schema, of a table of which these columns are read.
    ///
    /// # Errors
    /// It is no schema of such rows, and why.
    pub fn new(id: u32, writer: &str, read: &SchemaRef) -> Result<Self, String> {
        let names = fields_of(writer)?;
        let place = |field: &Field| names.iter().position(|name| name == field.name());
        let places: Vec<Option<usize>> = read.fields().iter().map(|field| place(field)).collect();
        let mut wanted: Vec<usize> = places.iter().flatten().copied().collect();
        if wanted.is_empty() && !names.is_empty() {
            // a batch without columns would not know its rows
            wanted.push(0);
        }
        let writer = AvroSchema::new(writer.to_owned());
        let mut rows = Self { id, writer, wanted, columns: Vec::new(), read: read.clone(), decoder: None };
        let decoder = rows.start().map_err(|e| format!("can't be read: {e}"))?;
        let found = decoder.schema();
        rows.decoder = Some(decoder);
        for (field, place) in read.fields().iter().zip(places) {
            let at = place.and_then(|place| rows.wanted.iter().position(|w| *w == place));
            let column = at.map(|at| {
                let of = found.field(at);
                let unfit = || {
                    let (name, to) = (field.name(), sql_type(field.data_type()));
                    format!(
                        "has a field {name} of type {}, which is no {to}; declare the column otherwise",
                        of.data_type()
                    )
                };
                way(of, field.data_type()).map(|way| (at, way)).ok_or_else(unfit)
            });
            rows.columns.push(column.transpose()?);
        }
        Ok(rows)
    }

    fn start(&self) -> Result<Decoder, ArrowError> {
        let mut store = SchemaStore::new_with_type(FingerprintAlgorithm::Id);
        store.set(Fingerprint::Id(self.id), self.writer.clone())?;
        let reader = ReaderBuilder::new().with_writer_schema_store(store).with_batch_size(usize::MAX);
        reader.with_projection(self.wanted.clone()).build_decoder()
    }

    /// Decodes messages, each with its prefix.
    ///
    /// # Errors
    /// One of them is no datum of the schema.
    pub fn decode<'m>(&mut self, messages: impl ExactSizeIterator<Item = &'m [u8]>) -> Result<Decoded, String> {
        let count = messages.len();
        let mut decoder = match self.decoder.take() {
            Some(decoder) => decoder,
            None => self.start().map_err(|e| e.to_string())?,
        };
        for message in messages {
            let taken = decoder.decode(message).map_err(|e| format!("is no datum of its schema: {e}"))?;
            if taken < message.len() {
                return Err("is no datum of its schema: it ends too early, or more stands behind it".into());
            }
        }
        let found = decoder.flush().map_err(|e| format!("is no datum of its schema: {e}"))?;
        let found = found.filter(|found| found.num_rows() == count);
        let found = found.ok_or("is no datum of its schema: it is more than one, or none")?;
        self.decoder = Some(decoder);
        self.fit(&found).map_err(|e| format!("can't be read: {e}; this is a bug, please report it"))
    }

    fn fit(&self, found: &RecordBatch) -> Result<Decoded, ArrowError> {
        let (mut columns, mut wrong) = (Vec::<ArrayRef>::new(), Vec::new());
        for (field, column) in self.read.fields().iter().zip(&self.columns) {
            let Some((at, way)) = column else {
                columns.push(new_null_array(field.data_type(), found.num_rows()));
                continue;
            };
            let (values, kept) = follow(way, found.column(*at), field.data_type())?;
            for row in kept.iter().flat_map(|kept| (0..kept.len()).filter(|row| !kept.value(*row))) {
                let reason = format!("column {}: its value is no {}", field.name(), sql_type(field.data_type()));
                wrong.push((row, reason));
            }
            columns.push(values);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(found.num_rows()));
        Ok(Decoded { columns: RecordBatch::try_new_with_options(self.read.clone(), columns, &options)?, wrong })
    }
}
