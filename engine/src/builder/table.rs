//! Tables of a job in Rust, and the types of their columns.

use super::{BuilderError, to_ms};
use crate::expr::Expr;
use crate::graph::{MapSpec, SinkSpec, SourceSpec, TimeRange};
use crate::limits::{BAD_ROWS_MAX, PARTITIONS_OPEN};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// BOOLEAN.
pub const BOOLEAN: DataType = DataType::Boolean;
/// INT, 32 bits.
pub const INT: DataType = DataType::Int32;
/// BIGINT, 64 bits.
pub const BIGINT: DataType = DataType::Int64;
/// DOUBLE.
pub const DOUBLE: DataType = DataType::Float64;
/// STRING.
pub const STRING: DataType = DataType::Utf8;
/// BYTES.
pub const BYTES: DataType = DataType::Binary;
/// TIMESTAMP(3): milliseconds, what event time must be.
pub const TIMESTAMP: DataType = crate::graph::types::TIMESTAMP_MS;

/// DECIMAL(precision, scale), at most 38 digits.
pub const fn decimal(precision: u8, scale: u8) -> DataType {
    DataType::Decimal128(precision, scale as i8)
}

/// `scan.watermark.alignment.max-drift`, if nothing else is said: a minute.
const MAX_DRIFT_MS: i64 = 60_000;

/// An input or output table: a connector, its options and, for an input, columns and watermark.
#[derive(Clone, Debug)]
pub struct Table {
    pub(super) name: String,
    connector: String,
    options: BTreeMap<String, String>,
    columns: Vec<Field>,
    watermark: Option<(String, Duration)>,
    times: (i64, i64),
}

impl Table {
    /// A table of this name, read or written by this connector.
    pub fn new(name: impl Into<String>, connector: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            connector: connector.into(),
            options: BTreeMap::new(),
            columns: Vec::new(),
            watermark: None,
            times: (0, i64::MAX),
        }
    }
    /// An option of the connector.
    pub fn option(mut self, key: impl Into<String>, value: impl ToString) -> Self {
        self.options.insert(key.into(), value.to_string());
        self
    }
    /// A column, in the order of the table. A source decodes the columns that are declared, no others.
    pub fn column(mut self, name: impl Into<String>, data_type: DataType) -> Self {
        self.columns.push(Field::new(name, data_type, true));
        self
    }
    /// A column without NULL: a row that has one there is a bad row.
    pub fn column_not_null(mut self, name: impl Into<String>, data_type: DataType) -> Self {
        self.columns.push(Field::new(name, data_type, false));
        self
    }
    /// The event-time column, and how far behind its maximum rows may come without being late.
    pub fn watermark(mut self, column: impl Into<String>, delay: Duration) -> Self {
        self.watermark = Some((column.into(), delay));
        self
    }
    /// Rows whose event time lies outside `[min_ms, max_ms]` are bad; by default those before 1970.
    pub fn event_times(mut self, min_ms: i64, max_ms: i64) -> Self {
        self.times = (min_ms, max_ms);
        self
    }

    /// As the source of a job, with the schema of its rows.
    pub(super) fn into_source(self) -> Result<(SourceSpec, SchemaRef), BuilderError> {
        let physical: SchemaRef = Arc::new(Schema::new(self.columns));
        let Some((column, delay)) = self.watermark else {
            return Err(BuilderError::NoWatermark { table: self.name });
        };
        let time = super::scalar::position(&self.name, &physical, &column)?;
        let fields = physical.fields();
        let spec = SourceSpec {
            watermark_delay_ms: to_ms(&self.name, delay)?,
            map: MapSpec {
                filter: None,
                columns: (0..fields.len()).map(Expr::Column).collect(),
                query: format!("CREATE TABLE {}", self.name),
            },
            table: self.name,
            connector: self.connector,
            options: self.options,
            read: (0..fields.len()).collect(),
            time,
            time_min_ms: self.times.0,
            time_max_ms: self.times.1,
            max_drift_ms: MAX_DRIFT_MS,
            idle_ms: None,
            bad_rows_max: BAD_ROWS_MAX,
            open_max: PARTITIONS_OPEN,
            not_null: (0..fields.len()).filter(|i| !fields[*i].is_nullable()).collect(),
            reads: TimeRange::ALL,
            physical: physical.clone(),
        };
        Ok((spec, physical))
    }

    /// As an output of a job.
    pub(super) fn into_sink(self, arrival: bool) -> SinkSpec {
        SinkSpec { table: self.name, connector: self.connector, options: self.options, arrival }
    }
}
