//! Formats: bytes to columns and columns to bytes. A format knows no watermark and no key.

pub mod csv;
pub mod parquet;
pub mod text;
pub mod values;
