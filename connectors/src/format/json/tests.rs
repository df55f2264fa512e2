//! JSON lines as scripts: text in, rows and bad records out, the same whatever the block size and the batch size.

mod oracle;

use super::read::JsonTable;
use super::*;
use crate::format::records::{BLOCK_BYTES, RECORD_BYTES_MAX};
use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use highwater_engine::source::{PartitionReader, Position, Read};
use proptest::prelude::*;
use std::io::Write;
use std::sync::Arc;

fn schema(columns: &[(&str, DataType)]) -> SchemaRef {
    Arc::new(Schema::new(columns.iter().map(|(n, t)| Field::new(*n, t.clone(), false)).collect::<Vec<_>>()))
}

fn payments() -> SchemaRef {
    schema(&[("id", DataType::Int64), ("amount", DataType::Decimal128(12, 2)), ("status", DataType::Utf8)])
}

/// Rows as `offset: a|b|c` (NULL is `~`), then bad records as `offset! reason`.
type Outcome = (Vec<String>, Vec<String>);

fn decode(text: &[u8], options: &JsonOptions, schema: &Schema, read: &[usize], block: usize, batch: usize) -> Outcome {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text).unwrap();
    let table = JsonTable::new(options, schema, read).unwrap();
    let mut reader = table.open(file.path().to_str().unwrap(), None, block).unwrap();
    let (mut rows, mut bad, mut last) = (Vec::new(), Vec::new(), -1);
    while let Some(mut split) = reader.next_split().unwrap() {
        while let Read::Rows(chunk) = split.read(batch).unwrap() {
            assert!(chunk.columns.num_rows() + chunk.bad.len() <= batch.max(1));
            let mut offsets: Vec<i64> = (0..chunk.columns.num_rows()).map(|r| chunk.offsets.at(r)).collect();
            rows.extend(offsets.iter().enumerate().map(|(r, o)| format!("{o}: {}", show(&chunk.columns, r))));
            offsets.extend(chunk.bad.iter().map(|b| b.offset));
            offsets.sort_unstable();
            offsets.iter().for_each(|o| {
                assert!(*o > last, "offsets ascend");
                last = *o;
            });
            bad.extend(chunk.bad.into_iter().map(|b| format!("{}! {}", b.offset, b.reason)));
        }
    }
    (rows, bad)
}

fn show(batch: &RecordBatch, row: usize) -> String {
    let value = |c: &ArrayRef| match c.is_null(row) {
        true => "~".to_owned(),
        false => arrow::util::display::array_value_to_string(c, row).unwrap(),
    };
    batch.columns().iter().map(value).collect::<Vec<_>>().join("|")
}

/// The outcome, which must not depend on how the file is cut.
fn outcome(text: &[u8], options: &JsonOptions, schema: &Schema, read: &[usize]) -> Outcome {
    let whole = decode(text, options, schema, read, BLOCK_BYTES, 8192);
    for (block, batch) in [(1, 8192), (7, 1), (64, 3), (BLOCK_BYTES, 1)] {
        assert_eq!(decode(text, options, schema, read, block, batch), whole, "blocks of {block}, batches of {batch}");
    }
    whole
}

fn check_with(options: &JsonOptions, schema: &Schema, text: &str, expected: &[&str], bad: &[&str]) {
    let read: Vec<_> = (0..schema.fields().len()).collect();
    let (rows, found) = outcome(text.as_bytes(), options, schema, &read);
    assert_eq!(rows, expected, "{text}");
    assert_eq!(found, bad, "{text}");
}

fn check(schema: &Schema, text: &str, expected: &[&str], bad: &[&str]) {
    check_with(&JsonOptions::default(), schema, text, expected, bad);
}

/// One column `v` of this type with these values, and what they become.
fn check_values(data_type: DataType, values: &[(&str, &str)]) {
    let s = schema(&[("v", data_type)]);
    for (written, expected) in values {
        let text = format!("{{\"v\":{written}}}\n");
        let (rows, bad) = outcome(text.as_bytes(), &JsonOptions::default(), &s, &[0]);
        match rows.first() {
            Some(row) => assert_eq!(row.strip_prefix("0: "), Some(*expected), "{text}"),
            None => {
                let reason = bad[0].strip_prefix("0! line 1, ").unwrap();
                assert!(expected.len() > 3 && reason.contains(expected), "{text} {bad:?}, expected {expected:?}");
            }
        }
    }
}

#[test]
fn fields_go_by_name_in_any_order_and_others_are_skipped() {
    let rows = ["0: 1|2.50|OK", "1: 2|3.00|NO", "2: 3|4.00|~", "3: 4|~|x", "5: ~|~|~"];
    let text = "{\"id\":1,\"amount\":2.50,\"status\":\"OK\"}\n\
                { \"status\" : \"NO\" ,\t\"extra\":[1,{\"id\":9}], \"amount\": 3, \"id\": 2 }\r\n\
                {\"id\":3,\"amount\":4,\"status\":null}\n\
                {\"id\":4,\"more\":{\"a\":{},\"b\":[]},\"status\":\"x\"}\n\
                 \t\n\
                {}";
    check(&payments(), text, &rows, &[]);
    check(&payments(), &format!("\u{FEFF}{text}\n\n"), &rows, &[]);
}

#[test]
fn of_a_field_given_twice_the_last_counts() {
    check(&payments(), "{\"id\":1,\"id\":2}\n{\"id\":\"x\",\"id\":3}\n", &["0: 2|~|~", "1: 3|~|~"], &[]);
    check(
        &payments(),
        "{\"id\":1,\"id\":null,\"i\\u0064\":5}\n{\"id\":1,\"\":3,\"ID\":4}\n",
        &["0: 5|~|~", "1: 1|~|~"],
        &[],
    );
}

#[test]
fn a_missing_field_is_null_or_makes_the_record_bad() {
    let strict = JsonOptions { fail_on_missing_field: true, ..Default::default() };
    let bad = [
        "1! line 2, field amount is missing; write it or set json.fail-on-missing-field to false",
        "2! line 3, field id is missing; write it or set json.fail-on-missing-field to false",
    ];
    let text = "{\"id\":1,\"amount\":null,\"status\":\"\"}\n{\"id\":1,\"status\":\"\"}\n{}\n";
    check_with(&strict, &payments(), text, &["0: 1|~|"], &bad);
    let (rows, bad) = outcome(text.as_bytes(), &strict, &payments(), &[2, 0]);
    assert_eq!((rows.len(), bad.len()), (2, 1), "only the fields that are read must be there");
}

#[test]
fn lines_that_are_no_object_are_bad_and_spare_their_neighbours() {
    let cure = "write one JSON object a line (RFC 8259)";
    for (line, reason) in [
        ("[1]", "byte 1: \"[1]\" is no object; write one JSON object a line".to_owned()),
        ("null", "byte 1: \"null\" is no object; write one JSON object a line".into()),
        ("{\"id\":1", format!("byte 8: the end of the line is not a comma or }}; {cure}")),
        ("{\"id\":1}}", format!("byte 9: \"}}\" is not the end of the line; {cure}")),
        ("{\"id\":1} {\"id\":2}", format!("byte 10: \"{{\\\"id\\\":2}}\" is not the end of the line; {cure}")),
        ("{\"id\":1,}", format!("byte 9: \"}}\" is not a field's name in quotes; {cure}")),
        ("{id:1}", format!("byte 2: \"id:1}}\" is not a field's name in quotes; {cure}")),
        ("{\"id\" 1}", format!("byte 7: \"1}}\" is not a colon; {cure}")),
        ("{\"id\":}", format!("byte 7: \"}}\" is not a value; {cure}")),
        ("{\"id\":NaN}", format!("byte 7: \"NaN}}\" is not a value; {cure}")),
        ("{\"id\":01}", format!("byte 7: \"01}}\" is not a number; {cure}")),
        ("{\"x\":1.}", format!("byte 6: \"1.}}\" is not a number; {cure}")),
        ("{\"x\":1e}", format!("byte 6: \"1e}}\" is not a number; {cure}")),
        ("{\"x\":-}", format!("byte 6: \"-}}\" is not a number; {cure}")),
        ("{\"x\":+1}", format!("byte 6: \"+1}}\" is not a value; {cure}")),
        ("{\"x\":.5}", format!("byte 6: \".5}}\" is not a value; {cure}")),
        ("{\"x\":1x}", format!("byte 7: \"x}}\" is not a comma or }}; {cure}")),
        ("{\"x\":truely}", format!("byte 10: \"ly}}\" is not a comma or }}; {cure}")),
        ("{\"x\":[1,]}", format!("byte 9: \"]}}\" is not a value; {cure}")),
        ("{\"x\":[1}}", format!("byte 8: \"}}}}\" is not a comma or ]; {cure}")),
        ("{\"x\":{\"y\":1]}", format!("byte 12: \"]}}\" is not a comma or }}; {cure}")),
        ("{\"x\":{1:1}}", format!("byte 7: \"1:1}}}}\" is not a field's name in quotes; {cure}")),
        ("{\"x\":\"y}", "byte 6: \"\\\"y}\" opens a string that is not closed on its line; write \\n for a line break".into()),
        ("{\"x\":\"\\a\"}", "byte 7: \"\\\\a\\\"}\" is no escape of JSON; double the backslash".into()),
        ("{\"x\":\"\\u12g4\"}", "byte 7: \"\\\\u12g4\\\"}\" is no escape of JSON; double the backslash".into()),
        (
            "{\"x\":\"\\ud83d!\"}",
            "byte 7: \"\\\\ud83d!\\\"}\" is half of a surrogate pair; write both halves or the character itself".into(),
        ),
        (
            "{\"x\":\"\\ude00\\ud83d\"}",
            "byte 7: \"\\\\ude00\\\\ud83d\\\"}\" is half of a surrogate pair; write both halves or the character itself".into(),
        ),
        (
            "{'id': 1, 'amount': 2.50, 'status': 'OK'}",
            format!("byte 2: \"'id': 1, 'amount': 2\"… is not a field's name in quotes; {cure}"),
        ),
    ] {
        let text = format!("{{\"id\":1}}\n{line}\n{{\"id\":2}}\n");
        check(&payments(), &text, &["0: 1|~|~", "2: 2|~|~"], &[&format!("1! line 2, {reason}")]);
    }
}

#[test]
fn values_that_do_not_fit_their_column_are_named() {
    let text = "{\"id\":1,\"amount\":12.345}\n{\"amount\":99999999999,\"id\":2}\n{\"id\":1.5}\n{\"id\":{\"a\":1}}\n{\"id\":9}\n";
    let bad = [
        "0! line 1, field amount: \"12.345\" has more decimals than DECIMAL(12, 2); correct the row or declare more (nothing is rounded)",
        "1! line 2, field amount: \"99999999999\" does not fit in DECIMAL(12, 2); correct the row or declare a wider type",
        "2! line 3, field id: \"1.5\" has more decimals than BIGINT; correct the row or declare more (nothing is rounded)",
        "3! line 4, field id: \"{\\\"a\\\":1}\" is not a BIGINT; correct the row or declare the column as STRING",
    ];
    check(&payments(), text, &["4: 9|~|~"], &bad);
}

#[test]
fn numbers_are_exact_or_refused() {
    check_values(
        DataType::Int64,
        &[
            ("9223372036854775807", "9223372036854775807"),
            ("-9223372036854775808", "-9223372036854775808"),
            ("9223372036854775808", "does not fit in BIGINT"),
            ("-0", "0"),
            ("1.0", "1"),
            ("1e3", "1000"),
            ("120E-1", "12"),
            ("1e-1", "has more decimals than BIGINT"),
            ("1e99", "does not fit in BIGINT"),
            ("1e999999999999", "is not a BIGINT"),
            ("\" 12 \"", "12"),
            ("\"12x\"", "\"\\\"12x\\\"\" is not a BIGINT"),
            ("\"\"", "is not a BIGINT"),
            ("true", "is not a BIGINT"),
            ("null", "~"),
        ],
    );
    check_values(DataType::Int8, &[("127", "127"), ("128", "does not fit in TINYINT"), ("-1.28e2", "-128")]);
    check_values(
        DataType::Decimal128(38, 10),
        &[
            ("0.1", "0.1000000000"),
            ("1234567890123456789012345678.0123456789", "1234567890123456789012345678.0123456789"),
            ("1e-10", "0.0000000001"),
            ("\"4.20\"", "4.2000000000"),
            ("1e-11", "has more decimals than DECIMAL(38, 10)"),
            ("12345678901234567890123456789", "does not fit in DECIMAL(38, 10)"),
        ],
    );
    check_values(
        DataType::Float64,
        &[
            ("0.1", "0.1"),
            ("-1.5e300", "-1.5e300"),
            ("1e999", "does not fit in DOUBLE"),
            ("\"NaN\"", "NaN"),
            ("\"Infinity\"", "inf"),
            ("\"x\"", "is not a DOUBLE"),
        ],
    );
}

#[test]
fn every_other_type_is_read_from_its_text() {
    let ms = DataType::Timestamp(TimeUnit::Millisecond, None);
    check_values(
        ms,
        &[
            ("\"2018-04-01 00:00:31.5\"", "2018-04-01T00:00:31.500"),
            ("\"2018-04-01T00:00:31\"", "2018-04-01T00:00:31"),
            ("\"2018-04-01 00:00:31.0005\"", "has more decimals than TIMESTAMP(3)"),
            ("\"2018-04-01T00:00:31Z\"", "names a time zone"),
            ("1522540831000", "is not a TIMESTAMP(3)"),
        ],
    );
    check_values(
        DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
        &[("\"2018-04-01 02:00:31+02:00\"", "2018-04-01T00:00:31Z"), ("\"2018-04-01 00:00:31\"", "names no time zone")],
    );
    check_values(DataType::Date32, &[("\"2018-04-01\"", "2018-04-01"), ("20180401", "is not a DATE")]);
    check_values(DataType::Time32(TimeUnit::Millisecond), &[("\"01:02:03.004\"", "01:02:03.004")]);
    check_values(
        DataType::Boolean,
        &[
            ("true", "true"),
            ("false", "false"),
            ("\"TRUE\"", "true"),
            ("1", "is not a BOOLEAN"),
            ("\"\"", "is not a BOOLEAN"),
        ],
    );
    check_values(
        DataType::Binary,
        &[("\"TWFu\"", "4d616e"), ("\"\"", ""), ("1234", "is not a Base64 text of BYTES"), ("true", "is not a Base64")],
    );
}

#[test]
fn a_string_takes_any_value() {
    check_values(
        DataType::Utf8,
        &[
            ("\"\"", ""),
            (
                "\"caf\u{e9} \\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00\\u0000\"",
                "caf\u{e9} \"\\/\u{8}\u{c}\n\r\t\u{e9}\u{1f600}\0",
            ),
            ("\"tab\there\"", "tab\there"),
            ("1.50", "1.50"),
            ("true", "true"),
            ("[1, {\"a\": \"b\"}]", "[1, {\"a\": \"b\"}]"),
            ("null", "~"),
            ("\"null\"", "null"),
        ],
    );
}

#[test]
fn invalid_utf8_is_a_bad_record_even_where_neighbours_complete_it() {
    let s = schema(&[("a", DataType::Utf8), ("b", DataType::Utf8)]);
    let text = b"{\"a\":\"\xC3\",\"b\":\"\xA9\"}\n{\"a\":\"ok\",\"b\":\"\\u00e9\"}\n{\"a\":\"x\",\"b\":\"\xC3\"}\n{\"a\":\"\xA9\"}\n";
    let (rows, bad) = outcome(text, &JsonOptions::default(), &s, &[0, 1]);
    assert_eq!(rows, ["1: ok|\u{e9}"]);
    assert_eq!(bad.len(), 3);
    assert!(bad[1].starts_with("2! line 3, field b: \"\\\"\u{fffd}\\\"\" is not UTF-8"), "{bad:?}");
}

#[test]
fn levels_are_limited() {
    let nested = |levels: usize| {
        let (open, close) = ("[{\"a\":".repeat(levels / 2), "}]".repeat(levels / 2));
        format!("{{\"id\":1,\"x\":{open}0{close}}}\n")
    };
    let deep = nested(scan::DEPTH_MAX as usize);
    check(&payments(), &deep, &["0: 1|~|~"], &[]);
    let (rows, bad) =
        outcome(nested(scan::DEPTH_MAX as usize + 2).as_bytes(), &JsonOptions::default(), &payments(), &[0]);
    assert!(rows.is_empty() && bad[0].contains("is more than 128 levels deep; write a flatter object"), "{bad:?}");
    let endless = format!("{{\"x\":{}\n", "[".repeat(RECORD_BYTES_MAX - 10));
    assert_eq!(decode(endless.as_bytes(), &JsonOptions::default(), &payments(), &[0], BLOCK_BYTES, 9).1.len(), 1);
}

#[test]
fn a_record_over_the_limit_is_bad_and_the_next_is_read() {
    let text =
        |bytes: usize| ["{\"id\":1,\"x\":\"", &"x".repeat(bytes - 15), "\"}\n{\"id\":2}\n"].concat().into_bytes();
    for block in [100_000, BLOCK_BYTES] {
        let decode = |t: &[u8]| decode(t, &JsonOptions::default(), &payments(), &[0], block, 8192);
        assert_eq!(decode(&text(RECORD_BYTES_MAX)), (vec!["0: 1".into(), "1: 2".into()], vec![]));
        let (rows, bad) = decode(&text(RECORD_BYTES_MAX + 1));
        assert_eq!(rows, ["1: 2"]);
        assert!(bad.len() == 1 && bad[0].starts_with("0! line 1: the record is longer than 1048576"), "{bad:?}");
    }
}

#[test]
fn bad_records_keep_their_bytes() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"{\"id\":1}\r\n{\"id\":x}\r\n{\"id\": \"y\"} \r\n").unwrap();
    let table = JsonTable::new(&JsonOptions::default(), &payments(), &[0]).unwrap();
    let mut split =
        table.open(file.path().to_str().unwrap(), None, BLOCK_BYTES).unwrap().next_split().unwrap().unwrap();
    let Read::Rows(chunk) = split.read(10).unwrap() else { panic!("rows") };
    let raw: Vec<_> = chunk.bad.iter().map(|b| String::from_utf8(b.raw.clone().unwrap()).unwrap()).collect();
    assert_eq!(raw, ["{\"id\":x}", "{\"id\": \"y\"} "]);
    assert_eq!(chunk.bytes, 34);
}

#[test]
fn only_the_columns_read_are_decoded_but_every_line_is_judged() {
    let text = b"{\"id\":1,\"amount\":\"bad\"}\n{\"id\":2,\"amount\":tru}\n";
    let (rows, bad) = outcome(text, &JsonOptions::default(), &payments(), &[0]);
    assert_eq!((rows, bad.len()), (vec!["0: 1".to_string()], 1));
    let (rows, bad) = outcome(text, &JsonOptions::default(), &payments(), &[]);
    assert_eq!((rows.len(), bad.len()), (1, 1));
}

/// More names than are kept, in an order that changes from line to line.
#[test]
fn many_fields_in_changing_order_are_found() {
    let names: Vec<String> = (0..600).map(|i| format!("a rather long name of a field {i}")).collect();
    let s = schema(&names.iter().map(|n| (n.as_str(), DataType::Int64)).collect::<Vec<_>>());
    let read = [0, 7, 255, 256, 257, 599];
    let (mut text, mut expected) = (String::new(), Vec::new());
    for line in 0..40usize {
        let fields: Vec<String> = (0..600)
            .map(|k| (k * 7 + line * 11) % 600)
            .filter(|i| i % (line + 2) != 1)
            .map(|i| format!("\"{}\":{}", names[i], i + line))
            .collect();
        text.push_str(&format!("{{{}}}\n", fields.join(",")));
        let value = |i: &usize| if i % (line + 2) == 1 { "~".to_owned() } else { (i + line).to_string() };
        expected.push(format!("{line}: {}", read.iter().map(value).collect::<Vec<_>>().join("|")));
    }
    assert_eq!(outcome(text.as_bytes(), &JsonOptions::default(), &s, &read), (expected, vec![]));
}

#[test]
fn options_are_checked() {
    let parse = |pairs: &[(&str, &str)]| {
        let map = pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        let mut o = Options::new("filesystem", &map);
        let parsed = JsonOptions::parse(&mut o);
        (parsed, o.finish())
    };
    let (parsed, errors) = parse(&[
        ("json.fail-on-missing-field", "true"),
        ("json.timestamp-format.standard", "ISO-8601"),
        ("json.encode.ignore-null-fields", "true"),
        ("json.encode.decimal-as-plain-number", "true"),
    ]);
    let all = JsonOptions { fail_on_missing_field: true, times: TimeFormat::Iso8601, ignore_null_fields: true };
    assert_eq!((parsed, errors), (all, vec![]));
    for (pair, part) in [
        (("json.timestamp-format.standard", "RFC"), "\"RFC\" is unknown; use one of 'SQL', 'ISO-8601'"),
        (("json.encode.decimal-as-plain-number", "false"), "always written with all its digits"),
        (("json.ignore-parse-errors", "true"), "becomes a row of t$errors"),
        (("json.map-null-key.mode", "DROP"), "unknown option of the filesystem connector; use"),
        (("json.fail-on-missing-fields", "true"), "'json.fail-on-missing-field'"),
    ] {
        let (_, errors) = parse(&[pair]);
        assert!(errors.len() == 1 && errors[0].message.contains(part), "{errors:?}");
    }
}

/// Pieces of files: good lines, bad ones, every line end.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (0..1000i64, "[a-z\u{e9}]{0,9}").prop_map(|(id, s)| format!("{{\"id\":{id},\"amount\":{id}.25,\"status\":\"{s}\"}}")),
        2 => (0..1000i64, "[a-z]{0,9}").prop_map(|(id, s)| format!("{{ \"x\": [{id}], \"status\": \"\\n{s}\", \"id\": \"{id}\"}}")),
        1 => prop::sample::select(vec!["{\"id\":x}", "{\"id\":1.5}", "[]", "", " ", "{\"id\":1,\"status\":\"open", "{}"])
            .prop_map(str::to_owned),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn reading_goes_on_behind_any_chunk(
        pieces in prop::collection::vec((piece(), prop::sample::select(vec!["\n", "\r\n"])), 0..60),
        (bom, last_break, block) in (any::<bool>(), any::<bool>(), prop::sample::select(vec![8, 30, 200, BLOCK_BYTES])),
        plan in crate::resume::plans(9),
    ) {
        let mut text = if bom { "\u{FEFF}".to_owned() } else { String::new() };
        pieces.iter().for_each(|(piece, end)| text.extend([piece.as_str(), *end]));
        if !last_break {
            text.truncate(text.trim_end_matches(['\r', '\n']).len());
        }
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let table = Arc::new(JsonTable::new(&JsonOptions::default(), &payments(), &[0, 1, 2]).unwrap());
        let path = file.path().to_str().unwrap();
        let open = |block: usize| {
            let table = table.clone();
            move |from: Option<&Position>| -> Box<dyn PartitionReader> { Box::new(table.open(path, from, block).unwrap()) }
        };
        let records = crate::resume::check(&open(block), &plan)?;
        prop_assert_eq!(crate::resume::read(&open(BLOCK_BYTES), &[(8192, false)]).0, records);
    }
}
