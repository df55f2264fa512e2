//! How columns are compressed: SNAPPY, ZSTD, GZIP and LZ4 are read, others are refused by name before a row is read. Where
//! a page has a checksum, it is verified.

use parquet::basic::Compression;
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};

/// What is wrong with the compression of the columns that are read: `included` says which leaves are.
pub fn unreadable(metadata: &ParquetMetaData, included: impl Fn(usize) -> bool) -> Option<String> {
    metadata.row_groups().iter().find_map(|group| unreadable_in(group, &included))
}

fn unreadable_in(group: &RowGroupMetaData, included: &impl Fn(usize) -> bool) -> Option<String> {
    let columns = group.columns().iter().enumerate().filter(|(leaf, _)| included(*leaf));
    columns.map(|(_, column)| column).find_map(|column| {
        let codec = match column.compression() {
            Compression::BROTLI(_) => "BROTLI",
            Compression::LZO => "LZO",
            Compression::UNCOMPRESSED
            | Compression::SNAPPY
            | Compression::GZIP(_)
            | Compression::LZ4
            | Compression::LZ4_RAW
            | Compression::ZSTD(_) => return None,
        };
        let name = column.column_path().string();
        Some(format!(
            "column {name} is compressed with {codec}, which is not read; write the file with ZSTD, SNAPPY, GZIP or LZ4"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::super::read::ParquetReader;
    use super::super::tests::{numbers, open, read, schema};
    use super::*;
    use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch};
    use arrow::datatypes::{DataType, Int64Type};
    use highwater_engine::source::PartitionReader;
    use parquet::arrow::ArrowWriter;
    use parquet::basic::BrotliLevel;
    use parquet::file::metadata::{
        ColumnChunkMetaDataBuilder, ParquetMetaDataReader, ParquetMetaDataWriter, RowGroupMetaData,
    };
    use parquet::file::properties::WriterProperties;
    use std::sync::Arc;
    use tempfile::NamedTempFile;

    fn written(batch: &RecordBatch, codec: Compression) -> Vec<u8> {
        let properties = WriterProperties::builder().set_compression(codec).set_dictionary_enabled(false).build();
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
        writer.write(batch).unwrap();
        writer.into_inner().unwrap()
    }

    fn stored(bytes: &[u8]) -> NamedTempFile {
        let file = NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        file
    }

    #[test]
    fn the_usual_codecs_are_read() {
        let numbers = numbers(3_000);
        let codecs = [
            Compression::UNCOMPRESSED,
            Compression::SNAPPY,
            Compression::GZIP(Default::default()),
            Compression::LZ4,
            Compression::LZ4_RAW,
            Compression::ZSTD(Default::default()),
        ];
        let plain = written(&numbers, Compression::UNCOMPRESSED).len();
        for codec in codecs {
            let bytes = written(&numbers, codec);
            assert!(codec == Compression::UNCOMPRESSED || bytes.len() < plain, "{codec:?} compresses");
            let (splits, _, bad) = read(open(&stored(&bytes), &numbers.schema(), &[0, 1, 2]).unwrap(), 1_000);
            assert!(bad.is_empty() && splits == [numbers.clone()], "{codec:?}");
        }
    }

    fn metadata(bytes: &[u8]) -> ParquetMetaData {
        ParquetMetaDataReader::new().parse_and_finish(stored(bytes).as_file()).unwrap()
    }

    /// The pages `bytes` with a footer in which every column is changed.
    fn with_footer(
        mut bytes: Vec<u8>,
        footer_of: &[u8],
        change: impl Fn(ColumnChunkMetaDataBuilder) -> ColumnChunkMetaDataBuilder,
    ) -> Vec<u8> {
        let metadata = metadata(footer_of);
        let groups = metadata.row_groups().iter().map(|group: &RowGroupMetaData| {
            let columns = group.columns().iter().map(|c| change(c.clone().into_builder()).build().unwrap()).collect();
            group.clone().into_builder().set_column_metadata(columns).build().unwrap()
        });
        let metadata = metadata.clone().into_builder().set_row_groups(groups.collect()).build();
        ParquetMetaDataWriter::new(&mut bytes, &metadata).finish().unwrap();
        bytes
    }

    #[test]
    fn another_codec_is_named_with_its_column_and_the_cure() {
        let bytes = written(&numbers(10), Compression::UNCOMPRESSED);
        for (codec, name) in [(Compression::BROTLI(BrotliLevel::default()), "BROTLI"), (Compression::LZO, "LZO")] {
            let file = stored(&with_footer(bytes.clone(), &bytes, |c| c.set_compression(codec)));
            let error = open(&file, &schema(&[("name", DataType::Utf8)]), &[0]).unwrap_err();
            let says = format!("column name is compressed with {name}, which is not read; write the file with ZSTD");
            assert!(error.contains(&says) && error.contains(file.path().to_str().unwrap()), "{error}");
            assert!(open(&file, &schema(&[("name", DataType::Utf8)]), &[]).is_ok(), "a column that isn't read is none");
        }
    }

    /// CRC-32 of ISO-HDLC, bit by bit.
    fn crc32(bytes: &[u8]) -> u32 {
        let step = |crc: u32| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
        !bytes.iter().fold(!0, |crc, b| (0..8).fold(crc ^ u32::from(*b), |crc, _| step(crc)))
    }

    /// One column of one page, with a checksum in the page's header, which our writer does not write. In Thrift's compact
    /// form the header begins with three i32 (type, sizes); the checksum is field 4, before the struct in field 5.
    fn with_checksum(bytes: &[u8]) -> (Vec<u8>, std::ops::Range<usize>) {
        let metadata = metadata(bytes);
        let column = metadata.row_group(0).column(0);
        let (start, size) = (column.data_page_offset() as usize, column.compressed_size() as usize);
        let (mut at, mut body) = (start, 0);
        for _ in 0..3 {
            assert_eq!(bytes[at], 0x15, "a field of type i32 behind the one before it");
            at += 1;
            let mut shift = 0;
            body = 0;
            loop {
                body |= usize::from(bytes[at] & 0x7F) << shift;
                (at, shift) = (at + 1, shift + 7);
                if bytes[at - 1] & 0x80 == 0 {
                    break;
                }
            }
        }
        assert_eq!(bytes[at], 0x2C, "a struct in the field after the next");
        let end = start + size;
        let page = &bytes[end - body / 2..end];
        let crc = crc32(page) as i32;
        let mut zigzag = ((crc << 1) ^ (crc >> 31)) as u32;
        let mut field = vec![0x15];
        while zigzag >= 0x80 {
            field.push(zigzag as u8 | 0x80);
            zigzag >>= 7;
        }
        field.extend([zigzag as u8, 0x1C]);
        let longer = field.len() - 1;
        let pages = [&bytes[..at], &field, &bytes[at + 1..end]].concat();
        let range = pages.len() - page.len()..pages.len();
        let size = (size + longer) as i64;
        (with_footer(pages, bytes, |c| c.set_total_compressed_size(size)), range)
    }

    #[test]
    fn a_changed_byte_of_a_page_with_a_checksum_is_an_error() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..1_000));
        let batch = RecordBatch::try_from_iter([("id", ids)]).unwrap();
        let (bytes, page) = with_checksum(&written(&batch, Compression::UNCOMPRESSED));
        let declared = schema(&[("id", DataType::Int64)]);
        let (splits, ..) = read(open(&stored(&bytes), &declared, &[0]).unwrap(), 1_000);
        assert_eq!(splits[0].column(0).as_primitive::<Int64Type>(), &Int64Array::from_iter_values(0..1_000));
        for at in [page.end - 1, page.end - 8 * 500, page.start + 8] {
            let mut changed = bytes.clone();
            changed[at] ^= 0x10;
            let file = stored(&changed);
            let opened = open(&file, &declared, &[0]).unwrap();
            let mut split = ParquetReader::new(opened, None).unwrap().next_split().unwrap().unwrap();
            let error = split.read(1_000).unwrap_err().message;
            assert!(error.contains("row group 0") && error.contains("checksum"), "{error}");
        }
    }
}
