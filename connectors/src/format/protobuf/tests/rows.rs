//! Rows to messages, and back; damage.

use super::made::{enumeration, field, file, message, set};
use super::{BIGINT, Descriptors, ProtobufMessages, STRING, opened, shown, table};
use crate::format::protobuf::tree::{Tree, Use};
use crate::format::protobuf::write::ProtobufRows;
use crate::format::records::messages::MessageDecoder;
use arrow::array::*;
use arrow_schema::{DataType, Schema, TimeUnit};
use proptest::prelude::*;
use std::sync::Arc;

fn written(set: &[u8], rows: &RecordBatch) -> Result<Vec<Vec<u8>>, String> {
    let all = Descriptors::parse(set).unwrap();
    let tree = Tree::new(&all, &all.messages["p.M"], &rows.schema(), Use::Write).map_err(|wrong| wrong.join("; "))?;
    let (mut out, mut ends) = (Vec::new(), vec![0]);
    ProtobufRows::new(Arc::new(tree)).write(rows, &mut out, |end| ends.push(end))?;
    Ok(ends.windows(2).map(|w| out[w[0]..w[1]].to_vec()).collect())
}

fn rows(columns: &[(&str, DataType)], arrays: Vec<ArrayRef>) -> RecordBatch {
    RecordBatch::try_new(Arc::new(table(columns)), arrays).unwrap()
}

#[test]
fn values_are_written_as_the_documentation_shows() {
    let fields = [
        field("b", 2, "string"),
        field("a", 1, "int32"),
        field("c", 3, "message p.M"),
        field("o", 4, "int32").number(17, 1).number(9, 0),
        field("w", 5, "message google.protobuf.Int64Value"),
        field("s", 6, "sint64"),
    ];
    let set = set([file("proto3", [message("M", fields)], [])]);
    let columns = [("b", STRING), ("c.a", BIGINT), ("a", BIGINT), ("o", BIGINT), ("w", BIGINT), ("s", BIGINT)];
    let long = "x".repeat(300);
    let ints = |values: [Option<i64>; 4]| -> ArrayRef { Arc::new(Int64Array::from(values.to_vec())) };
    let batch = rows(
        &columns,
        vec![
            Arc::new(StringArray::from(vec![Some("testing"), None, Some(""), Some(long.as_str())])),
            ints([Some(150), None, Some(0), None]),
            ints([Some(150), Some(-2), None, Some(0)]),
            ints([None, Some(0), None, Some(1)]),
            ints([None, Some(0), None, Some(1)]),
            ints([Some(-1), Some(0), None, None]),
        ],
    );
    let found = written(&set, &batch).unwrap();
    assert_eq!(found[0], b"\x08\x96\x01\x12\x07testing\x1A\x03\x08\x96\x01\x30\x01");
    assert_eq!(found[1], [0x08, 0xFE, 255, 255, 255, 255, 255, 255, 255, 255, 1, 0x20, 0, 0x2A, 0]);
    assert_eq!(found[2], [0x1A, 0]);
    assert_eq!(found[3], [&[0x12, 0xAC, 0x02][..], long.as_bytes(), &[0x20, 1, 0x2A, 2, 8, 1]].concat());
}

#[test]
fn what_a_message_can_not_hold_is_said() {
    let one = |of: &str, column: DataType, array: ArrayRef| {
        let e = enumeration("E", &[("UP", 1)]);
        let set = set([file("proto2", [message("M", [field("v", 1, of)])], [e])]);
        written(&set, &rows(&[("v", column)], vec![array])).unwrap_err()
    };
    let int = |value: Option<i64>| -> ArrayRef { Arc::new(Int64Array::from(vec![value])) };
    let text: ArrayRef = Arc::new(StringArray::from(vec!["DOWN"]));
    let far = Arc::new(TimestampSecondArray::from(vec![253_402_300_800]));
    let seconds = DataType::Timestamp(TimeUnit::Second, None);
    let cases = [
        (one("int32", BIGINT, int(Some(1 << 31))), "column v: 2147483648 is no value of int32"),
        (one("uint64", BIGINT, int(Some(-1))), "-1 is no value of uint64"),
        (one("sint32", BIGINT, int(Some(1 << 31))), "is no value of sint32"),
        (one("required int32", BIGINT, int(None)), "column v is NULL, but field v is required"),
        (one("enum p.E", BIGINT, int(Some(2))), "2 is no value of p.E"),
        (one("enum p.E", STRING, text), "enum p.E has no value \"DOWN\""),
        (one("message google.protobuf.Timestamp", seconds, far), "of the years 1 to 9999"),
    ];
    for (said, part) in cases {
        assert!(said.contains(part), "{said}");
    }

    let fields =
        [field("a", 1, "int64").number(9, 0), field("b", 2, "int64").number(9, 0), field("r", 3, "required int64")];
    let set = set([file("proto2", [message("M", fields)], [])]);
    let both = rows(&[("a", BIGINT), ("b", BIGINT)], vec![int(Some(1)), int(Some(1))]);
    assert!(written(&set, &both).unwrap_err().contains("field r of message p.M is required, and no column fills it"));
    let both = rows(&[("a", BIGINT), ("b", BIGINT), ("r", BIGINT)], vec![int(Some(1)), int(Some(1)), int(Some(1))]);
    assert!(written(&set, &both).unwrap_err().contains("fields a and b are both there"));
}

/// A message with every type.
fn wide() -> (Vec<u8>, Vec<(&'static str, DataType)>) {
    use DataType::*;
    let types = [
        ("i1", "sint32", Int8),
        ("i2", "sfixed32", Int16),
        ("i4", "int32", Int32),
        ("i8", "int64", Int64),
        ("z8", "sint64", Int64),
        ("x8", "sfixed64", Int64),
        ("e", "enum p.E", Int64),
        ("n", "int64", Decimal128(20, 0)),
        ("f4", "float", Float32),
        ("f8", "double", Float64),
        ("s", "string", Utf8),
        ("y", "bytes", Binary),
        ("d", "string", Decimal128(38, 9)),
        ("day", "string", Date32),
        ("time", "string", Time32(TimeUnit::Millisecond)),
        ("text", "string", Timestamp(TimeUnit::Millisecond, Some("UTC".into()))),
        ("ts", "message google.protobuf.Timestamp", Timestamp(TimeUnit::Nanosecond, None)),
        ("w", "message google.protobuf.StringValue", Utf8),
        ("wd", "message google.protobuf.DoubleValue", Float64),
    ];
    let fields: Vec<_> = types.iter().zip(1..).map(|((name, of, _), number)| field(name, number, of)).collect();
    let whole =
        message("M", fields.into_iter().chain([field("part", 100, "message p.M"), field("r", 101, "repeated int64")]));
    let e =
        enumeration("E", &[("ONE", 1)]).all(3, [super::Made::default().all(7, [super::Made::default().number(2, 1)])]);
    let set = set([file("editions", [whole], [e])]);
    let part = [("part.s", Utf8), ("part.part.i8", Int64)];
    (set, types.into_iter().map(|(name, _, t)| (name, t)).chain(part).collect())
}

fn made(numbers: &[Option<i64>]) -> (Vec<u8>, RecordBatch) {
    let (set, columns) = wide();
    let ints: ArrayRef = Arc::new(Int64Array::from(numbers.to_vec()));
    let day: ArrayRef = Arc::new(Int32Array::from_iter(numbers.iter().map(|n| n.map(|n| n.rem_euclid(86_400) as i32))));
    let small: ArrayRef = Arc::new(Int64Array::from_iter(numbers.iter().map(|n| n.map(|n| n % (1 << 31)))));
    let column = |(name, to): &(&str, DataType)| -> ArrayRef {
        let cast = |from: &ArrayRef| arrow::compute::cast(from, to).unwrap();
        match to {
            DataType::Binary => Arc::new(BinaryArray::from_iter(numbers.iter().map(|n| n.map(|n| n.to_le_bytes())))),
            DataType::Int8 | DataType::Int16 | DataType::Int32 => {
                let byte = |n: &Option<i64>| n.map(|n| n % 128);
                cast(&(Arc::new(Int64Array::from_iter(numbers.iter().map(byte))) as ArrayRef))
            }
            DataType::Date32 | DataType::Time32(_) => cast(&day),
            DataType::Timestamp(TimeUnit::Millisecond, _) => cast(&small),
            _ if *name == "e" => cast(&small),
            _ => cast(&ints),
        }
    };
    let arrays = columns.iter().map(column).collect();
    (set, rows(&columns, arrays))
}

fn pushed(set: &[u8], columns: &Schema, messages: &[Vec<u8>]) -> ProtobufMessages {
    let mut decoder = opened(set, columns, false).unwrap();
    messages.iter().enumerate().for_each(|(offset, message)| decoder.push(offset as i64, Some(message)));
    decoder
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(numbers in prop::collection::vec(prop::option::of(any::<i64>()), 0..40)) {
        let (set, rows) = made(&numbers);
        let messages = written(&set, &rows).unwrap();
        let found = pushed(&set, &rows.schema(), &messages).decode().unwrap();
        prop_assert!(found.bad.is_empty(), "{}", found.bad[0].reason);
        prop_assert_eq!(shown(&found.columns), shown(&rows));
        // and in other columns of the table, in another order
        let read: Vec<usize> = (0..rows.num_columns()).rev().step_by(2).collect();
        let some = rows.project(&read).unwrap();
        let found = pushed(&set, &some.schema(), &messages).decode().unwrap();
        prop_assert_eq!(shown(&found.columns), shown(&some));
    }

    /// Any bytes are rows or bad records, as many as there were; no message suffers from another.
    #[test]
    fn damage_is_a_bad_record_or_another_row_and_takes_no_other_with_it(
        numbers in prop::collection::vec(prop::option::of(any::<i64>()), 1..20),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()), 0..8),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..4),
        noise in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..20),
    ) {
        let (set, rows) = made(&numbers);
        let mut messages = written(&set, &rows).unwrap();
        let whole = messages.clone();
        for (which, at, byte) in damage {
            let message = which.get_mut(&mut messages[..]);
            if !message.is_empty() {
                let at = at.index(message.len());
                message[at] = byte;
            }
        }
        for (which, at) in cuts {
            let message = which.get_mut(&mut messages[..]);
            message.truncate(at.index(message.len() + 1));
        }
        messages.extend(noise);
        let found = pushed(&set, &rows.schema(), &messages).decode().unwrap();
        prop_assert_eq!(found.columns.num_rows() + found.bad.len(), messages.len());
        let (rows_found, expected) = (shown(&found.columns), shown(&rows));
        for (row, shown) in rows_found.iter().enumerate() {
            let message = found.offsets.at(row) as usize;
            if whole.get(message) == messages.get(message) {
                prop_assert_eq!(shown, &expected[message]);
            }
        }
        for bad in &found.bad {
            prop_assert!(whole.get(bad.offset as usize) != messages.get(bad.offset as usize), "{}", bad.reason);
            prop_assert_eq!(bad.raw.as_ref(), Some(&messages[bad.offset as usize]));
        }
    }

    /// Whatever the descriptor file is, reading it ends.
    #[test]
    fn a_damaged_descriptor_file_is_read_or_refused(
        at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>(),
    ) {
        let (mut set, columns) = wide();
        let at = at.index(set.len());
        set[at] = byte;
        set.truncate(cut.index(set.len() + 1).max(at));
        if let Ok(all) = Descriptors::parse(&set) && all.messages.contains_key("p.M") {
            let _ = opened(&set, &table(&columns), true).map(|mut decoder| {
                decoder.push(0, Some(&[8, 1]));
                decoder.decode().unwrap()
            });
        }
    }
}

#[test]
fn messages_of_a_descriptor_file_do_not_lie_too_deep() {
    let nested = |depth| (0..depth).fold(message("M", []), |inner, _| message("M", []).all(3, [inner]));
    assert!(Descriptors::parse(&set([file("proto3", [nested(99)], [])])).is_ok());
    assert!(Descriptors::parse(&set([file("proto3", [nested(20_000)], [])])).is_err());
}
