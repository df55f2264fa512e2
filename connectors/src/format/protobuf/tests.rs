//! Messages by hand, from the bytes that the documentation of protocol buffers shows, and by chance.

mod made;
mod rows;

use super::descriptor::Descriptors;
use super::messages::{ProtobufMessages, ProtobufTable};
use super::tree::{Tree, Use};
use crate::format::records::messages::{Decoded, MessageDecoder};
use crate::format::records::read::schema_of;
use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use made::{Made, enumeration, field, file, message, set};

fn table(columns: &[(&str, DataType)]) -> Schema {
    Schema::new(columns.iter().map(|(name, t)| Field::new(*name, t.clone(), true)).collect::<Vec<_>>())
}

fn opened(set: &[u8], columns: &Schema, defaults: bool) -> Result<ProtobufMessages, String> {
    let all = Descriptors::parse(set).map_err(|damage| damage.what.to_string())?;
    let tree = Tree::new(&all, &all.messages["p.M"], columns, Use::Read).map_err(|wrong| wrong.join("; "))?;
    let read: Vec<usize> = (0..columns.fields().len()).collect();
    Ok(ProtobufMessages::new(ProtobufTable::new(&tree, schema_of(columns, &read).unwrap(), defaults)?))
}

/// Messages with offsets from 10 on.
fn decoded(set: &[u8], columns: &[(&str, DataType)], defaults: bool, messages: &[&[u8]]) -> Decoded {
    let mut decoder = opened(set, &table(columns), defaults).unwrap();
    messages.iter().enumerate().for_each(|(i, message)| decoder.push(10 + i as i64, Some(message)));
    assert_eq!(decoder.len(), messages.len());
    let decoded = decoder.decode().unwrap();
    assert!(decoder.is_empty());
    decoded
}

fn shown(rows: &RecordBatch) -> Vec<String> {
    let options = FormatOptions::new().with_null("NULL");
    let columns: Vec<_> = rows.columns().iter().map(|c| ArrayFormatter::try_new(c, &options).unwrap()).collect();
    let row = |row| columns.iter().map(|c| c.value(row).to_string()).collect::<Vec<_>>().join(",");
    (0..rows.num_rows()).map(row).collect()
}

/// Checks each message's row, or (from `!` on) a part of the reason for which it is bad.
#[track_caller]
fn check(set: &[u8], columns: &[(&str, DataType)], cases: &[(&[u8], &str)]) {
    check_with(set, columns, false, cases);
}

#[track_caller]
fn check_with(set: &[u8], columns: &[(&str, DataType)], defaults: bool, cases: &[(&[u8], &str)]) {
    let messages: Vec<&[u8]> = cases.iter().map(|(message, _)| *message).collect();
    let found = decoded(set, columns, defaults, &messages);
    let (mut rows, mut bad) = (shown(&found.columns).into_iter().enumerate(), found.bad.iter());
    for (i, (message, expected)) in cases.iter().enumerate() {
        let offset = 10 + i as i64;
        match expected.strip_prefix('!') {
            None => {
                let (row, shown) = rows.next().expect(expected);
                assert_eq!((found.offsets.at(row), shown.as_str()), (offset, *expected), "{message:02x?}");
            }
            Some(part) => {
                let bad = bad.next().expect(expected);
                assert_eq!((bad.offset, bad.raw.as_deref()), (offset, Some(*message)), "{}", bad.reason);
                assert!(bad.reason.contains(part), "{message:02x?}: {}", bad.reason);
            }
        }
    }
    assert_eq!((rows.next(), bad.next().map(|b| &b.reason)), (None, None));
}

const BIGINT: DataType = DataType::Int64;
const STRING: DataType = DataType::Utf8;

/// `Test1`, `Test2` and `Test3` of the page on the encoding.
fn documented() -> Vec<u8> {
    let fields = [
        field("a", 1, "optional int32"),
        field("b", 2, "optional string"),
        field("c", 3, "message p.M"),
        field("d", 4, "repeated int32"),
    ];
    set([file("proto2", [message("M", fields)], [])])
}

#[test]
fn the_documented_bytes_are_the_documented_values() {
    let columns = [("a", DataType::Int32), ("b", STRING), ("c.a", DataType::Int32)];
    check(
        &documented(),
        &columns,
        &[
            (&[0x08, 0x96, 0x01], "150,NULL,NULL"),
            (b"\x12\x07testing", "NULL,testing,NULL"),
            (&[0x1A, 0x03, 0x08, 0x96, 0x01], "NULL,NULL,150"),
            // -2 has ten bytes
            (&[0x08, 0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01], "-2,NULL,NULL"),
            (&[], "NULL,NULL,NULL"),
            // d = [3, 270, 86942], packed, and one behind the other; field 5 is not known
            (&[0x22, 0x06, 0x03, 0x8E, 0x02, 0x9E, 0xA7, 0x05, 0x20, 0x03, 0x2D, 1, 2, 3, 4, 0x08, 1], "1,NULL,NULL"),
            // the last value counts; a message in parts is one
            (&[0x08, 1, 0x08, 2, 0x1A, 2, 0x08, 3, 0x1A, 0, 0x12, 1, b'x', 0x12, 0], "2,,3"),
            // a value of more bytes than it needs
            (&[0x08, 0x81, 0x80, 0x00], "1,NULL,NULL"),
        ],
    );
}

#[test]
fn what_is_no_message_is_bad_with_its_byte() {
    let deep = [&[0x33u8; 101][..], &[0x34; 101]].concat();
    let hundred = [&[0x33u8; 100][..], &[0x34; 100]].concat();
    let cases: [(&[u8], &str); 19] = [
        (&[0x08], "!byte 1 of the message: a number is cut off"),
        (&[0x08, 0x96], "!byte 1 of the message: a number is cut off"),
        (&[0x80], "!byte 0 of the message: a number is cut off"),
        (&[0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2], "!byte 1 of the message: a number has more than 64"),
        (&[0x08, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 0], "!a number has more than 64 bits"),
        (b"\x12\x07test", "!byte 2 of the message: a value of 7 bytes is cut off"),
        (&[0x12, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1], "!a value of 18446744073709551615 bytes is cut off"),
        (&[0x08, 1, 0x00, 1], "!byte 2 of the message: 0 is no number of a field"),
        (&[0x80, 0x80, 0x80, 0x80, 0x10, 1], "!536870912 is no number of a field"),
        (&[0x0E], "!6 is no wire type"),
        (&[0x2F], "!7 is no wire type"),
        (&[0x0A, 1, 0], "!byte 1 of the message: field 1 has wire type 2, its own is 0"),
        (&[0x1A, 2, 0x08, 0x96], "!byte 3 of the message: a number is cut off"),
        (&[0x33, 0x08, 1], "!group 6 has no end"),
        (&[0x33, 0x3C], "!group 7 ends and is not open"),
        (&[0x34], "!group 6 ends and is not open"),
        (&hundred, "NULL,NULL,NULL"),
        (&deep, "!messages lie deeper in each other than 100"),
        (&[0x12, 2, 0xC3, 0x28], "!field b: \"\u{FFFD}(\" is not UTF-8"),
    ];
    check(&documented(), &[("a", DataType::Int32), ("b", STRING), ("c.a", DataType::Int32)], &cases);
    // A number cut off is the message's end, not its neighbour's beginning.
    let found = decoded(&documented(), &[], false, &[&[0x08], &[0x01], &[0x08, 0x01]]);
    assert_eq!((found.columns.num_rows(), found.offsets.at(0), found.bad.len()), (1, 12, 2));

    let mut decoder = opened(&documented(), &table(&[("a", BIGINT)]), false).unwrap();
    decoder.push(3, None);
    decoder.push(4, Some(&[8, 1]));
    decoder.refuse(5, "its key is no text", Some(&[8, 2]));
    let found = decoder.decode().unwrap();
    assert!(found.bad[0].reason.contains("tombstone") && found.bad[0].raw.is_none());
    assert_eq!((shown(&found.columns), found.bad[1].offset), (vec!["1".to_owned()], 5));
}

#[test]
fn every_type_of_number_is_exact_or_its_message_is_bad() {
    let decimal = |p, s| DataType::Decimal128(p, s);
    // 2^63, 2^64 - 1 and -1 as varints, 0xFF.. as fixed values
    let (half, all) =
        ([128, 128, 128, 128, 128, 128, 128, 128, 128, 1], [255, 255, 255, 255, 255, 255, 255, 255, 255, 1]);
    type Case<'c> = (&'c str, DataType, u8, &'c [u8], &'c str);
    let cases: [Case; 32] = [
        ("int32", DataType::Int8, 0, &[0x7F], "127"),
        ("int32", DataType::Int8, 0, &[0x80, 1], "!128 does not fit in TINYINT"),
        ("int32", DataType::Int16, 0, &all, "-1"),
        ("int32", BIGINT, 0, &[128, 128, 128, 128, 8], "!2147483648 is no int32"),
        ("int64", BIGINT, 0, &half, "-9223372036854775808"),
        ("int64", decimal(4, 2), 0, &[99], "99.00"),
        ("int64", decimal(4, 2), 0, &[100], "!100 does not fit in DECIMAL(4, 2)"),
        ("int64", decimal(38, 30), 0, &half, "!does not fit in DECIMAL(38, 30)"),
        ("uint32", BIGINT, 0, &[255, 255, 255, 255, 15], "4294967295"),
        ("uint32", BIGINT, 0, &all, "!-1 is no uint32"),
        ("uint64", BIGINT, 0, &all, "!18446744073709551615 does not fit in BIGINT"),
        ("uint64", decimal(20, 0), 0, &all, "18446744073709551615"),
        ("sint32", DataType::Int32, 0, &[255, 255, 255, 255, 15], "-2147483648"),
        ("sint32", DataType::Int32, 0, &all, "!is no sint32"),
        ("sint64", BIGINT, 0, &[3], "-2"),
        ("sint64", BIGINT, 0, &all, "-9223372036854775808"),
        ("fixed32", BIGINT, 5, &[255, 255, 255, 255], "4294967295"),
        ("fixed32", DataType::Int32, 5, &[255, 255, 255, 255], "!4294967295 does not fit in INT"),
        ("fixed64", decimal(20, 0), 1, &[255; 8], "18446744073709551615"),
        ("sfixed32", DataType::Int16, 5, &[254, 255, 255, 255], "-2"),
        ("sfixed64", BIGINT, 1, &[0, 0, 0, 0, 0, 0, 0, 128], "-9223372036854775808"),
        ("float", DataType::Float64, 5, &[0, 0, 0xC0, 0x3F], "1.5"),
        ("double", DataType::Float64, 1, &[0, 0, 0, 0, 0, 0, 0xF8, 0xBF], "-1.5"),
        ("bool", DataType::Boolean, 0, &[2], "true"),
        ("bytes", DataType::Binary, 2, &[2, 0xC3, 0x28], "c328"),
        ("string", DataType::Binary, 2, &[2, 0xC3, 0x28], "c328"),
        ("string", decimal(12, 2), 2, b"\x0512.50", "12.50"),
        ("string", decimal(12, 2), 2, b"\x0612.505", "!field v: \"12.505\" has more decimals than DECIMAL(12, 2)"),
        ("string", DataType::Date32, 2, b"\x0A2026-11-23", "2026-11-23"),
        ("enum p.E", STRING, 0, &[1], "UP"),
        ("enum p.E", STRING, 0, &[4], "!enum p.E has no value 4"),
        ("enum p.E", DataType::Int32, 0, &[4], "4"),
    ];
    for (of, column, wire, value, expected) in cases {
        let e = enumeration("E", &[("NONE", 0), ("UP", 1), ("ABOVE", 1), ("BELOW", -1)]);
        let set = set([file("proto3", [message("M", [field("v", 1, of)])], [e])]);
        let message = [&[8 | wire], value].concat();
        check(&set, &[("v", column)], &[(&message, expected)]);
    }
}

#[test]
fn a_timestamp_is_seconds_and_nanoseconds() {
    let set = set([file("proto3", [message("M", [field("t", 1, "message google.protobuf.Timestamp")])], [])]);
    let of = |unit| DataType::Timestamp(unit, None);
    let one = [0x0A, 4, 0x08, 1, 0x10, 5];
    check(
        &set,
        &[("t", of(TimeUnit::Nanosecond))],
        &[
            (&one, "1970-01-01T00:00:01.000000005"),
            (&[0x0A, 0], "1970-01-01T00:00:00"),
            (&[], "NULL"),
            (&[0x0A, 2, 0x08, 1, 0x0A, 2, 0x10, 5], "1970-01-01T00:00:01.000000005"),
            (&[0x0A, 6, 0x10, 128, 148, 235, 220, 3], "!its nanos are none"),
            (&[0x0A, 11, 0x10, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1], "!its nanos are none"),
            (&[0x0A, 6, 0x08, 255, 255, 255, 255, 127], "!does not fit in TIMESTAMP(9)"),
        ],
    );
    let millis = [0x0A, 6, 0x08, 1, 0x10, 192, 132, 61];
    check(
        &set,
        &[("t", of(TimeUnit::Millisecond))],
        &[(&millis, "1970-01-01T00:00:01.001"), (&one, "!1 s and 5 ns has more decimals than TIMESTAMP(3)")],
    );
    check(&set, &[("t.seconds", BIGINT), ("t.nanos", DataType::Int32)], &[(&one, "1,5"), (&[0x0A, 0], "0,0")]);
}

#[test]
fn what_is_not_there_is_null_or_zero_as_its_syntax_says() {
    let optional = |name, number| field(name, number, "int32").number(17, 1).number(9, number - 1);
    let fields = |three: bool| {
        let optional = if three { optional("o", 2) } else { field("o", 2, "optional int32") };
        [
            field("i", 1, "int32"),
            optional,
            field("w", 3, "message google.protobuf.Int64Value"),
            field("m", 4, "message p.M"),
            field("s", 5, "string").bytes(7, b"none"),
            field("e", 6, "enum p.E"),
        ]
    };
    let e = || enumeration("E", &[("FIRST", 3), ("ZERO", 0)]);
    let columns =
        [("i", BIGINT), ("o", BIGINT), ("w", BIGINT), ("m.i", BIGINT), ("m.o", BIGINT), ("s", STRING), ("e", STRING)];
    let set_of = |syntax| set([file(syntax, [message("M", fields(syntax == "proto3"))], [e()])]);
    let zeros: &[u8] = &[0x08, 0, 0x10, 0, 0x1A, 0, 0x22, 0];
    let (three, two) = (set_of("proto3"), set_of("proto2"));
    check(&three, &columns, &[(&[], "0,NULL,NULL,NULL,NULL,,ZERO"), (zeros, "0,0,0,0,NULL,,ZERO")]);
    check(&two, &columns, &[(&[], "NULL,NULL,NULL,NULL,NULL,NULL,NULL"), (zeros, "0,0,0,NULL,NULL,NULL,NULL")]);
    check_with(&two, &columns, true, &[(&[], "0,0,NULL,0,0,none,FIRST"), (zeros, "0,0,0,0,0,none,FIRST")]);
    check_with(&three, &columns, true, &[(&[], "0,0,NULL,0,0,,ZERO")]);

    // Editions: presence is a feature of the file, of the field, and of nothing else.
    let feature = |value| Made::default().number(1, value);
    let of_field = |value| Made::default().all(21, [feature(value)]);
    let fields = [
        field("i", 1, "int32"),
        field("o", 2, "int32").all(8, [of_field(1)]),
        field("r", 3, "int32").all(8, [of_field(3)]),
    ];
    let explicit = file("editions", [message("M", fields.clone())], []);
    let implicit = explicit.clone().all(8, [Made::default().all(50, [feature(2)])]);
    let columns = [("i", BIGINT), ("o", BIGINT), ("r", BIGINT)];
    check(
        &set([explicit]),
        &columns,
        &[(&[0x18, 1], "NULL,NULL,1"), (&[], "!field r, which is required, is not there")],
    );
    check(&set([implicit]), &columns, &[(&[0x18, 1], "0,NULL,1")]);
}

#[test]
fn a_required_field_is_required_where_its_message_is() {
    let inner = message("I", [field("r", 1, "required int64"), field("o", 2, "optional int64")]);
    let fields = [field("a", 1, "optional message p.I"), field("b", 2, "required message p.I"), field("x", 3, "int64")];
    let set = set([file("proto2", [message("M", fields), inner], [])]);
    let columns = [("a.r", BIGINT), ("a.o", BIGINT), ("b.r", BIGINT)];
    check(
        &set,
        &columns,
        &[
            (&[0x12, 2, 0x08, 7], "NULL,NULL,7"),
            (&[0x12, 2, 0x08, 7, 0x0A, 2, 0x08, 5], "5,NULL,7"),
            (&[0x12, 2, 0x08, 7, 0x0A, 2, 0x10, 5], "!field a.r, which is required"),
            // in two parts
            (&[0x12, 2, 0x08, 7, 0x0A, 2, 0x10, 5, 0x0A, 2, 0x08, 4], "4,5,7"),
            (&[], "!field b.r, which is required"),
            (&[0x12, 0], "!field b.r, which is required"),
        ],
    );
    check(&set, &[("x", BIGINT)], &[(&[], "NULL")]);
}

#[test]
fn of_a_oneof_the_last_is_there() {
    let fields = [
        field("n", 1, "int64").number(9, 0),
        field("m", 2, "message p.M").number(9, 0),
        field("unread", 3, "string").number(9, 0),
        field("free", 4, "int64"),
        field("t", 5, "message google.protobuf.Timestamp").number(9, 0),
    ];
    let set = set([file("proto3", [message("M", fields).all(8, [Made::default().bytes(1, b"o")])], [])]);
    let columns = [("n", BIGINT), ("m.n", BIGINT), ("m.free", BIGINT), ("free", BIGINT)];
    check(
        &set,
        &columns,
        &[
            (&[0x08, 1, 0x20, 9], "1,NULL,NULL,9"),
            (&[0x08, 1, 0x12, 2, 0x20, 5], "NULL,NULL,5,0"),
            (&[0x12, 2, 0x20, 5, 0x08, 1], "1,NULL,NULL,0"),
            (&[0x08, 1, 0x1A, 0], "NULL,NULL,NULL,0"),
            // merged, as nothing came between; anew, as n did
            (&[0x12, 2, 0x20, 5, 0x12, 2, 0x08, 6], "NULL,6,5,0"),
            (&[0x12, 2, 0x20, 5, 0x08, 1, 0x12, 2, 0x08, 6], "NULL,6,0,0"),
        ],
    );
}

#[test]
fn a_group_is_a_message_of_another_form() {
    let group = message("G", [field("a", 1, "optional int64"), field("g", 2, "optional group p.G")]);
    let set = set([file("proto2", [message("M", [field("g", 7, "optional group p.G")]), group], [])]);
    check(
        &set,
        &[("g.a", BIGINT), ("g.g.a", BIGINT)],
        &[
            (&[0x3B, 0x08, 1, 0x13, 0x08, 2, 0x14, 0x3C], "1,2"),
            (&[0x3B, 0x08, 1, 0x3C, 0x3B, 0x13, 0x14, 0x3C], "1,NULL"),
            (&[0x3B, 0x08, 1, 0x13, 0x08, 2, 0x3C], "!group 7 ends and is not open"),
            (&[0x3B, 0x08, 1], "!group 7 has no end"),
        ],
    );
}

#[test]
fn a_column_that_is_no_field_is_refused_with_the_nearest() {
    let fields = [
        field("amount", 1, "double"),
        field("tags", 2, "repeated string"),
        field("city", 3, "message p.City"),
        field("at", 4, "message google.protobuf.Timestamp"),
        field("lost", 5, "message q.Lost"),
        field("big", 6, "uint64"),
    ];
    let city = message("City", [field("name", 1, "string")]);
    let set = set([file("proto3", [message("M", fields), city], [])]);
    for (name, column, part) in [
        ("amuont", BIGINT, "message p.M has no field amuont; did you mean amount?"),
        ("zzzzzzzzzz", BIGINT, "it has amount, tags, city, at, lost, big"),
        ("amount", DataType::Decimal128(12, 2), "is of type double, which is no DECIMAL(12, 2); declare DOUBLE"),
        ("tags", STRING, "field tags is repeated, and ARRAY and MAP are no columns"),
        ("city", STRING, "field city is a message; name a field of it: `city.name`"),
        ("city.nmae", STRING, "message p.City has no field nmae; did you mean name?"),
        ("amount.x", STRING, "field amount is of type double and has no fields"),
        ("at", BIGINT, "is of type google.protobuf.Timestamp, which is no BIGINT; declare TIMESTAMP_LTZ(9)"),
        ("lost.x", STRING, "q.Lost is not in the descriptor file; write it with protoc --include_imports"),
        ("big", DataType::Float64, "declare BIGINT or DECIMAL(20, 0)"),
    ] {
        let said = opened(&set, &table(&[(name, column)]), false).unwrap_err();
        assert!(said.starts_with(&format!("column {name}: ")) && said.contains(part), "{said}");
    }
    let both = table(&[("at", DataType::Timestamp(TimeUnit::Nanosecond, None)), ("at.nanos", BIGINT)]);
    assert!(opened(&set, &both, false).unwrap_err().contains("field at is a column as a whole"));
}
