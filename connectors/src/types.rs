//! Which types tables of files and `print` can hold.

use arrow_schema::DataType;

/// Whether tables of files and `print` can hold a type.
pub fn is_supported(data_type: &DataType) -> bool {
    use DataType::*;
    matches!(
        data_type,
        Boolean
            | Int8
            | Int16
            | Int32
            | Int64
            | Float32
            | Float64
            | Decimal128(..)
            | Utf8
            | Binary
            | Date32
            | Time32(_)
            | Time64(_)
            | Timestamp(..)
    )
}
