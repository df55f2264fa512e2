//! Apache Parquet to columns and back.
//!
//! A file's columns are found by name. A column must have the declared type or one that fits in it without loss:
//! a narrower integer or DECIMAL, FLOAT for DOUBLE, a dictionary for its values, another time unit (where a value does not
//! fit exactly, its row is bad). Only the columns that a job reads are decoded. A split is a row group.
//!
//! The file's own description of its Arrow types is ignored: what counts are Parquet's types, which every writer sets.

mod codec;
mod convert;
pub mod read;
pub mod write;

pub use convert::Conversion;
pub use read::{ParquetFile, ParquetTable};

#[cfg(test)]
mod tests;
