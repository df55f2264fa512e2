//! Bytes of the Avro specification, schemas that differ from the table's, and messages that are none. Against another
//! implementation: `tests/tests/all/avro.rs`.

use super::messages::{AvroMessages, Schemas, Writer};
use super::schema::derived;
use super::write::AvroRows;
use crate::format::records::messages::{Decoded, MessageDecoder};
use arrow::array::*;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use highwater_engine::error::SourceError;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Debug)]
struct Kept(BTreeMap<u32, Arc<str>>);

impl Schemas for Kept {
    fn schema(&self, id: u32) -> Result<Result<Arc<str>, String>, SourceError> {
        if id == 500 {
            return Err(SourceError::new("the registry is away"));
        }
        Ok(self.0.get(&id).cloned().ok_or_else(|| "is not in the registry".to_owned()))
    }
}

fn table(columns: &[(&str, DataType)]) -> Schema {
    Schema::new(columns.iter().map(|(name, t)| Field::new(*name, t.clone(), true)).collect::<Vec<_>>())
}

fn record(fields: &str) -> Arc<str> {
    format!(r#"{{"type":"record","name":"test","namespace":"spec","fields":[{fields}]}}"#).into()
}

/// Messages named by a schema's id: id, datum.
fn by_id(schemas: &[(u32, Arc<str>)], table: &Schema, messages: &[(u32, &[u8])]) -> Decoded {
    let schemas = Kept(schemas.iter().cloned().collect());
    let read: Vec<usize> = (0..table.fields().len()).collect();
    let mut decoder = AvroMessages::new(Writer::ById(Arc::new(schemas)), table, &read);
    for (offset, (id, datum)) in (10..).zip(messages) {
        decoder.push(offset, Some(&[&[0], &id.to_be_bytes()[..], datum].concat()));
    }
    decoder.decode().unwrap()
}

fn shown(columns: &RecordBatch) -> Vec<String> {
    let options = FormatOptions::new().with_null("NULL");
    let of = |c: &ArrayRef, row: usize| ArrayFormatter::try_new(c, &options).unwrap().value(row).to_string();
    (0..columns.num_rows())
        .map(|row| columns.columns().iter().map(|c| of(c, row)).collect::<Vec<_>>().join(","))
        .collect()
}

fn reasons(decoded: &Decoded) -> Vec<(i64, &str)> {
    decoded.bad.iter().map(|b| (b.offset, b.reason.as_str())).collect()
}

/// A schema's field.
fn field(name: &str, of: &str) -> String {
    format!(r#"{{"name":"{name}","type":{of}}}"#)
}

#[test]
fn the_record_of_the_specification_is_read_and_written() {
    // https://avro.apache.org/docs/1.12.0/specification/#schema-record: a = 27, b = "foo"
    let bytes = [0x36, 0x06, 0x66, 0x6f, 0x6f];
    let not_null = |name: &str, t| Field::new(name, t, false);
    let table = Schema::new(vec![not_null("a", DataType::Int64), not_null("b", DataType::Utf8)]);
    let schema = derived(&table).unwrap();
    let mut decoder = AvroMessages::new(Writer::Known(schema.as_str().into()), &table, &[0, 1]);
    decoder.push(7, Some(&bytes));
    let decoded = decoder.decode().unwrap();
    assert_eq!((shown(&decoded.columns), decoded.offsets.at(0)), (vec!["27,foo".to_owned()], 7));
    for (id, prefix) in [(None, &[][..]), (Some(258), &[0, 0, 0, 1, 2])] {
        let (mut out, mut ends) = (Vec::new(), Vec::new());
        let mut writer = AvroRows::new(&table, &schema, id).unwrap();
        writer.write(&decoded.columns, &mut out, |end| ends.push(end)).unwrap();
        assert_eq!((&out, ends), (&[prefix, &bytes].concat(), vec![prefix.len() + bytes.len()]));
    }
}

#[test]
fn each_message_has_the_schema_that_it_names() {
    let table = table(&[("a", DataType::Int64), ("b", DataType::Utf8), ("c", DataType::Float64)]);
    let schemas = [
        (1, record(&[field("a", r#""long""#), field("b", r#""string""#)].join(","))),
        // another order, a type that is widened, fields that no column asks for
        (
            2,
            record(
                &[
                    field("x", r#"{"type":"array","items":{"type":"map","values":"long"}}"#),
                    field("b", r#"["null","string"]"#),
                    field("y", r#"{"type":"record","name":"inner","fields":[{"name":"a","type":"string"}]}"#),
                    field("a", r#""int""#),
                    field("c", r#""float""#),
                ]
                .join(","),
            ),
        ),
        (3, record(&field("a", r#"{"type":"record","name":"r","fields":[]}"#))),
        (4, record(&field("z", r#""long""#))),
        (5, r#""string""#.into()),
    ];
    let one = [0x36, 0x06, 0x66, 0x6f, 0x6f];
    // x = [{"k": 1}], b = null, y = {"s"}, a = -2, c = 1.5
    let two = [2, 2, 2, b'k', 2, 0, 0, 0, 2, b's', 3, 0, 0, 0xC0, 0x3F];
    let messages: [(u32, &[u8]); 9] =
        [(1, &one), (2, &two), (1, &one), (3, &[]), (4, &[2]), (5, &[2, b's']), (6, &one), (1, &one), (1, &one)];
    let decoded = by_id(&schemas, &table, &messages);
    assert_eq!(
        shown(&decoded.columns),
        ["27,foo,NULL", "-2,NULL,1.5", "27,foo,NULL", "NULL,NULL,NULL", "27,foo,NULL", "27,foo,NULL"]
    );
    assert_eq!([0, 1, 2, 3, 4, 5].map(|row| decoded.offsets.at(row)), [10, 11, 12, 14, 17, 18]);
    let found = reasons(&decoded);
    assert!(found[0].0 == 13 && found[0].1.contains("schema 3 has a field a of type Struct"), "{found:?}");
    assert_eq!(found[1..], [(15, "schema 5 is no schema of a record"), (16, "schema 6 is not in the registry")]);
}

#[test]
fn a_value_that_a_column_can_not_hold_makes_its_message_bad() {
    let decimal = |p: u8, s: i8| DataType::Decimal128(p, s);
    let ms = DataType::Timestamp(TimeUnit::Millisecond, None);
    let bytes_of =
        |p: u32, s: u32| format!(r#"{{"type":"bytes","logicalType":"decimal","precision":{p},"scale":{s}}}"#);
    let micros = r#"{"type":"long","logicalType":"timestamp-micros"}"#;
    let fixed = r#"{"type":"fixed","name":"f","size":2,"logicalType":"decimal","precision":4,"scale":2}"#;
    let uuid = r#"{"type":"string","logicalType":"uuid"}"#;
    let text = "550e8400-e29b-41d4-a716-446655440000";
    let uuid_bytes = [&[72], text.as_bytes()].concat();
    type Case<'c> = (DataType, String, Vec<&'c [u8]>, Vec<&'c str>, usize);
    let cases: Vec<Case> = vec![
        // 300 and -128 as TINYINT
        (DataType::Int8, r#""int""#.into(), vec![&[0xD8, 4], &[0xFF, 1]], vec!["-128"], 1),
        // 2^53 + 1 has no DOUBLE
        (
            DataType::Float64,
            r#""long""#.into(),
            vec![&[0x82, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x20], &[2]],
            vec!["1.0"],
            1,
        ),
        // 1.001 s and 1.0005 s
        (ms, micros.into(), vec![&[0xD0, 0x98, 0x7A], &[0xE8, 0x90, 0x7A]], vec!["1970-01-01T00:00:01.001"], 1),
        // 1.00 and 1.01 with one digit behind the point
        (decimal(12, 1), bytes_of(12, 2), vec![&[2, 100], &[2, 101]], vec!["1.0"], 1),
        (decimal(12, 4), bytes_of(10, 2), vec![&[4, 0xFF, 0x38]], vec!["-2.0000"], 0),
        // 12.34 with one digit before it
        (decimal(3, 2), fixed.into(), vec![&[4, 0xD2], &[0, 0x80]], vec!["1.28"], 1),
        (decimal(5, 0), r#""int""#.into(), vec![&[3], &[0xC0, 0x9A, 0x0C]], vec!["-2"], 1),
        (DataType::Utf8, uuid.into(), vec![&uuid_bytes], vec![text], 0),
        (
            DataType::Utf8,
            r#"{"type":"enum","name":"e","symbols":["UP","DOWN"]}"#.into(),
            vec![&[2], &[4]],
            vec!["DOWN"],
            1,
        ),
    ];
    for (column, of, data, rows, bad) in cases {
        let messages: Vec<(u32, &[u8])> = data.iter().map(|d| (1, *d)).collect();
        let decoded = by_id(&[(1, record(&field("v", &of)))], &table(&[("v", column)]), &messages);
        assert_eq!(
            (shown(&decoded.columns), decoded.bad.len()),
            (rows.iter().map(|r| (*r).to_owned()).collect(), bad),
            "{of}"
        );
    }
}

#[test]
fn types_without_a_common_value_are_no_columns() {
    for (of, column) in [
        (r#""long""#, DataType::Timestamp(TimeUnit::Millisecond, None)),
        (r#""string""#, DataType::Int64),
        (r#""double""#, DataType::Float32),
        (r#"["int","string"]"#, DataType::Utf8),
        (r#"{"type":"map","values":"int"}"#, DataType::Utf8),
        (r#"{"type":"fixed","name":"f","size":16}"#, DataType::Utf8),
        (r#"{"type":"int","logicalType":"date"}"#, DataType::Int32),
    ] {
        let decoded = by_id(&[(1, record(&field("v", of)))], &table(&[("v", column)]), &[(1, &[0]), (1, &[0])]);
        assert!(decoded.bad.len() == 2 && decoded.bad[0].reason.contains("has a field v of type"), "{of}");
    }
}

#[test]
fn a_message_is_one_datum_and_nothing_more() {
    let table = table(&[("a", DataType::Int64)]);
    let schema = [(1, record(&field("a", r#""long""#)))];
    // a second message behind it, too
    let twice = [2, 0, 0, 0, 0, 1, 4];
    let data: [&[u8]; 6] = [&[2], &[], &[2, 2], &twice, &[0x80], &[4]];
    let messages: Vec<(u32, &[u8])> = data.iter().map(|d| (1, *d)).collect();
    let decoded = by_id(&schema, &table, &messages);
    assert_eq!(shown(&decoded.columns), ["1", "2"]);
    assert_eq!((decoded.offsets.at(0), decoded.offsets.at(1)), (10, 15));
    assert_eq!(decoded.bad.iter().map(|b| b.offset).collect::<Vec<_>>(), [11, 12, 13, 14]);
    assert_eq!(decoded.bad[1].raw.as_deref(), Some(&[0, 0, 0, 0, 1, 2, 2][..]));

    let schemas: Arc<dyn Schemas> = Arc::new(Kept(schema.into_iter().collect()));
    let mut decoder = AvroMessages::new(Writer::ById(schemas), &table, &[0]);
    for (offset, value) in [None, Some(&b""[..]), Some(b"\0\0\0\0"), Some(b"{\"a\": 1}")].into_iter().enumerate() {
        decoder.push(offset as i64, value);
    }
    let decoded = decoder.decode().unwrap();
    let found = reasons(&decoded);
    assert!(found[0].1.contains("tombstone"), "{found:?}");
    assert!(found[1..].len() == 3 && found[1..].iter().all(|(_, why)| why.contains("a zero byte")), "{found:?}");
    decoder.push(4, Some(&[0, 0, 0, 1, 0xF4, 2]));
    assert!(decoder.decode().is_err_and(|e| e.message.contains("away")));
}

#[test]
fn columns_that_are_not_read_cost_no_row() {
    let table = table(&[("a", DataType::Int64), ("b", DataType::Utf8)]);
    let schema: Arc<str> = derived(&table).unwrap().into();
    for read in [&[][..], &[1], &[1, 0]] {
        let mut decoder = AvroMessages::new(Writer::Known(schema.clone()), &table, read);
        // a = 27, b = "foo"; a = NULL, b = NULL
        decoder.push(0, Some(&[2, 0x36, 2, 6, 0x66, 0x6f, 0x6f]));
        decoder.push(1, Some(&[0, 0]));
        let decoded = decoder.decode().unwrap();
        assert_eq!((decoded.columns.num_rows(), decoded.columns.num_columns(), decoded.bad.len()), (2, read.len(), 0));
    }
}

#[test]
fn a_table_that_avro_can_not_hold_is_refused_column_by_column() {
    let wrong = table(&[
        ("fine", DataType::Int64),
        ("1st", DataType::Int64),
        ("", DataType::Utf8),
        ("t", DataType::Time64(TimeUnit::Nanosecond)),
    ]);
    let said = derived(&wrong).unwrap_err();
    assert_eq!(said.len(), 3, "{said:?}");
    assert!(said[0].contains("\"1st\"") && said[2].contains("column t of type TIME(9)"), "{said:?}");
}

/// A table with every type that Avro holds.
fn wide() -> Schema {
    use DataType::*;
    let zone = || Some("UTC".into());
    table(&[
        ("b", Boolean),
        ("i1", Int8),
        ("i2", Int16),
        ("i4", Int32),
        ("i8", Int64),
        ("f4", Float32),
        ("f8", Float64),
        ("s", Utf8),
        ("y", Binary),
        ("d", Decimal128(38, 9)),
        ("day", Date32),
        ("t0", Time32(TimeUnit::Second)),
        ("t3", Time32(TimeUnit::Millisecond)),
        ("t6", Time64(TimeUnit::Microsecond)),
        ("ts0", Timestamp(TimeUnit::Second, None)),
        ("ts3", Timestamp(TimeUnit::Millisecond, zone())),
        ("ts6", Timestamp(TimeUnit::Microsecond, None)),
        ("ts9", Timestamp(TimeUnit::Nanosecond, zone())),
    ])
}

/// Rows of [`wide`] whose values are made of numbers.
fn rows(numbers: &[Option<i64>]) -> RecordBatch {
    let schema = Arc::new(wide());
    let ints: ArrayRef = Arc::new(Int64Array::from(numbers.to_vec()));
    let small: ArrayRef = Arc::new(Int64Array::from_iter(numbers.iter().map(|n| n.map(|n| n.rem_euclid(86_400)))));
    let column = |field: &Arc<Field>| -> ArrayRef {
        let to = field.data_type();
        let cast = |from: &ArrayRef| arrow::compute::cast(from, to).unwrap();
        match to {
            DataType::Boolean => Arc::new(BooleanArray::from_iter(numbers.iter().map(|n| n.map(|n| n % 2 == 0)))),
            DataType::Binary => {
                Arc::new(BinaryArray::from_iter(numbers.iter().map(|n| n.map(|n| n.to_be_bytes()[..3].to_vec()))))
            }
            DataType::Date32 | DataType::Time32(_) => cast(&arrow::compute::cast(&small, &DataType::Int32).unwrap()),
            DataType::Time64(_) => cast(&small),
            // a second is a thousand of the milliseconds in which it is carried
            DataType::Timestamp(TimeUnit::Second, _) => cast(&small),
            _ => cast(&ints),
        }
    };
    RecordBatch::try_new(schema.clone(), schema.fields().iter().map(column).collect()).unwrap()
}

fn messages_of(rows: &RecordBatch) -> (Arc<str>, Vec<Vec<u8>>) {
    let schema = derived(&rows.schema()).unwrap();
    let (mut out, mut messages, mut start) = (Vec::new(), Vec::new(), 0);
    let mut ends = Vec::new();
    AvroRows::new(&rows.schema(), &schema, None).unwrap().write(rows, &mut out, |end| ends.push(end)).unwrap();
    for end in ends {
        messages.push(out[start..end].to_vec());
        start = end;
    }
    (schema.into(), messages)
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(numbers in prop::collection::vec(prop::option::of(any::<i64>()), 0..40)) {
        let rows = rows(&numbers);
        let (schema, messages) = messages_of(&rows);
        let read: Vec<usize> = (0..rows.num_columns()).collect();
        let mut decoder = AvroMessages::new(Writer::Known(schema), &rows.schema(), &read);
        for (offset, message) in messages.iter().enumerate() {
            decoder.push(offset as i64, Some(message));
        }
        let decoded = decoder.decode().unwrap();
        prop_assert_eq!(reasons(&decoded), vec![]);
        prop_assert_eq!(shown(&decoded.columns), shown(&rows));
    }

    /// Any bytes are rows or bad records, as many as there were.
    #[test]
    fn damage_is_a_bad_record_and_takes_no_other_with_it(
        numbers in prop::collection::vec(prop::option::of(any::<i64>()), 1..20),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()), 0..8),
        noise in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let rows = rows(&numbers);
        let (schema, mut messages) = messages_of(&rows);
        let whole = messages.clone();
        for (which, at, byte) in damage {
            let message = which.get_mut(&mut messages[..]);
            let at = at.index(message.len());
            message[at] = byte;
        }
        messages.push(noise);
        let read: Vec<usize> = (0..rows.num_columns()).collect();
        let mut decoder = AvroMessages::new(Writer::Known(schema), &rows.schema(), &read);
        for (offset, message) in messages.iter().enumerate() {
            decoder.push(offset as i64, Some(message));
        }
        let decoded = decoder.decode().unwrap();
        prop_assert_eq!(decoded.columns.num_rows() + decoded.bad.len(), messages.len());
        let (found, expected) = (shown(&decoded.columns), shown(&rows));
        for (row, found) in found.iter().enumerate() {
            let message = decoded.offsets.at(row) as usize;
            if whole.get(message) == messages.get(message) {
                prop_assert_eq!(found, &expected[message]);
            }
        }
        for bad in &decoded.bad {
            prop_assert!(whole.get(bad.offset as usize) != messages.get(bad.offset as usize), "{}", bad.reason);
        }
    }
}
