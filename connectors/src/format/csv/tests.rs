//! CSV as scripts: text in, rows and bad records out, the same whatever the block size and the batch size.

use super::read::CsvTable;
use super::*;
use crate::format::records::{BLOCK_BYTES, RECORD_BYTES_MAX};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use highwater_engine::source::{PartitionReader, Position, Read};
use proptest::prelude::*;
use std::io::Write;
use std::sync::Arc;

fn schema(columns: &[(&str, DataType)]) -> SchemaRef {
    Arc::new(Schema::new(columns.iter().map(|(n, t)| Field::new(*n, t.clone(), true)).collect::<Vec<_>>()))
}

fn payments() -> SchemaRef {
    schema(&[("id", DataType::Int64), ("amount", DataType::Decimal128(12, 2)), ("status", DataType::Utf8)])
}

/// Rows as `offset: a|b|c` (NULL is `~`), then bad records as `offset! reason`.
type Outcome = Result<(Vec<String>, Vec<String>), String>;

fn decode(
    text: &[u8],
    options: &CsvOptions,
    schema: &SchemaRef,
    read: &[usize],
    block: usize,
    batch: usize,
) -> Outcome {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text).unwrap();
    let table = Arc::new(CsvTable::new(options.clone(), schema, read).unwrap());
    let path = file.path().to_str().unwrap();
    let mut reader = table.open(path, None, block).map_err(|e| e.message.replace(path, "FILE"))?;
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
    Ok((rows, bad))
}

fn show(batch: &RecordBatch, row: usize) -> String {
    let value = |c: &ArrayRef| match c.is_null(row) {
        true => "~".to_owned(),
        false => arrow::util::display::array_value_to_string(c, row).unwrap(),
    };
    batch.columns().iter().map(value).collect::<Vec<_>>().join("|")
}

/// The outcome, which must not depend on how the file is cut.
fn outcome(text: &[u8], options: &CsvOptions, schema: &SchemaRef, read: &[usize]) -> Outcome {
    let whole = decode(text, options, schema, read, BLOCK_BYTES, 8192);
    for (block, batch) in [(1, 8192), (7, 1), (64, 3), (BLOCK_BYTES, 1)] {
        assert_eq!(decode(text, options, schema, read, block, batch), whole, "blocks of {block}, batches of {batch}");
    }
    whole
}

fn check(text: &str, options: &CsvOptions, schema: &SchemaRef, expected: &[&str], bad: &[&str]) {
    let read: Vec<_> = (0..schema.fields().len()).collect();
    let (rows, found) = outcome(text.as_bytes(), options, schema, &read).unwrap();
    assert_eq!(rows, expected, "{text:?}");
    assert_eq!(found.len(), bad.len(), "{found:?}");
    for (found, part) in found.iter().zip(bad) {
        assert!(found.contains(part), "{found:?} should contain {part:?}");
    }
}

#[test]
fn records_end_with_lf_or_crlf_and_the_last_needs_neither() {
    let d = CsvOptions::default();
    check("1,2.50,OK\n2,3,NO\n", &d, &payments(), &["0: 1|2.50|OK", "1: 2|3.00|NO"], &[]);
    check("1,2.50,OK\r\n2,3,NO\r\n", &d, &payments(), &["0: 1|2.50|OK", "1: 2|3.00|NO"], &[]);
    check("1,2.50,OK\n2,3,NO", &d, &payments(), &["0: 1|2.50|OK", "1: 2|3.00|NO"], &[]);
    check("\u{FEFF}1,2.50,OK\n", &d, &payments(), &["0: 1|2.50|OK"], &[]);
    check("1,2.50,OK\n\n\r\n2,3,NO\n\n", &d, &payments(), &["0: 1|2.50|OK", "3: 2|3.00|NO"], &[]);
}

#[test]
fn quotes_follow_rfc_4180() {
    let text = "1,\"2.5\",\"a,b\"\n2,3,\"line\r\nbreak\"\n3,4,\"say \"\"hi\"\"\"\n4,5,5\" pipe\n\"5\",6,\"\"\n";
    let rows = ["0: 1|2.50|a,b", "1: 2|3.00|line\r\nbreak", "2: 3|4.00|say \"hi\"", "3: 4|5.00|5\" pipe", "4: 5|6.00|"];
    check(text, &CsvOptions::default(), &payments(), &rows, &[]);
    let none = CsvOptions { quote: None, ..Default::default() };
    check("1,2,\"a\n", &none, &payments(), &["0: 1|2.00|\"a"], &[]);
    let single = CsvOptions { quote: Some(b'\''), delimiter: b';', ..Default::default() };
    check("1;2;'a;b''c'\n", &single, &payments(), &["0: 1|2.00|a;b'c"], &[]);
}

#[test]
fn an_empty_field_is_null_but_an_empty_string_is_a_string() {
    let d = CsvOptions::default();
    check(",,\n", &d, &payments(), &["0: ~|~|"], &[]);
    let null = CsvOptions { null_literal: Some("NULL".into()), ..d.clone() };
    check("NULL,NULL,NULL\n1,,\"NULL\"\n", &null, &payments(), &["0: ~|~|~", "1: 1|~|NULL"], &[]);
    check("5\n\n6\n", &d, &schema(&[("n", DataType::Int32)]), &["0: 5", "1: ~", "2: 6"], &[]);
}

#[test]
fn bad_records_name_line_column_and_cure_and_spare_their_neighbours() {
    let text = "1,2.50,OK\n2,3\n3,4,OK,more\nx,4,OK\n5,12.345,OK\n6,99999999999,OK\n7,\"1,5\",OK\n8,1,\"a\"b\n9,9,OK\n";
    let bad = [
        "1! line 2, too few columns: found 2, the table has 3",
        "2! line 3, too many columns: found 4, the table has 3",
        "3! line 4, column 1 (id): \"x\" is not a BIGINT; correct",
        "4! line 5, column 2 (amount): \"12.345\" has more decimals than DECIMAL(12, 2)",
        "5! line 6, column 2 (amount): \"99999999999\" does not fit in DECIMAL(12, 2)",
        "6! line 7, column 2 (amount): \"\\\"1,5\\\"\" is not a DECIMAL(12, 2)",
        "7! line 8, column 3: characters follow the closing quote",
    ];
    check(text, &CsvOptions::default(), &payments(), &["0: 1|2.50|OK", "8: 9|9.00|OK"], &bad);
}

#[test]
fn lines_are_counted_through_quoted_line_breaks() {
    check(
        "1,2,\"a\nb\nc\"\nx,2,d\n",
        &CsvOptions::default(),
        &payments(),
        &["0: 1|2.00|a\nb\nc"],
        &["1! line 4, column 1"],
    );
}

#[test]
fn invalid_utf8_is_a_bad_record_even_where_neighbours_complete_it() {
    let s = schema(&[("a", DataType::Utf8), ("b", DataType::Utf8)]);
    let text = b"caf\xC3,\xA9\nok,ok\n\xFF,x\nx,\xC3\nx,\xA9\n";
    let (rows, bad) = outcome(text, &CsvOptions::default(), &s, &[0, 1]).unwrap();
    assert_eq!(rows, ["1: ok|ok"]);
    assert_eq!(bad.len(), 4);
    assert!(bad[0].contains("line 1, column 1 (a)") && bad[0].contains("UTF-8"), "{bad:?}");
    assert!(bad[3].contains("line 5, column 2 (b)"), "{bad:?}");
}

#[test]
fn an_open_quote_costs_one_record() {
    let d = CsvOptions::default();
    let bad = ["1! line 2: a field opens with \" that is not closed"];
    check(
        "1,2,OK\n2,3,\"open\n3,4,OK\n4,5,OK\n",
        &d,
        &payments(),
        &["0: 1|2.00|OK", "2: 3|4.00|OK", "3: 4|5.00|OK"],
        &bad,
    );
    let mut long = b"1,2,\"open\n".to_vec();
    (0..200_000).for_each(|i| long.extend_from_slice(format!("{i},4,OK\n").as_bytes()));
    let (rows, bad) = decode(&long, &d, &payments(), &[0], BLOCK_BYTES, 8192).unwrap();
    assert_eq!((rows.len(), bad.len()), (200_000, 1));
    assert_eq!(decode(&long, &d, &payments(), &[0], 100_000, 8192), Ok((rows, bad)));
}

#[test]
fn a_record_over_the_limit_is_bad_and_the_next_is_read() {
    let text = |bytes: usize| ["1,2,", &"x".repeat(bytes - 4), "\n2,3,OK\n"].concat().into_bytes();
    for block in [100_000, BLOCK_BYTES] {
        let decode = |t: &[u8]| decode(t, &CsvOptions::default(), &payments(), &[0], block, 8192).unwrap();
        assert_eq!(decode(&text(RECORD_BYTES_MAX)), (vec!["0: 1".into(), "1: 2".into()], vec![]));
        for bytes in [RECORD_BYTES_MAX + 1, 6 << 20] {
            let (rows, bad) = decode(&text(bytes));
            assert_eq!(rows, ["1: 2"]);
            assert!(bad.len() == 1 && bad[0].starts_with("0! line 1: the record is longer than 1048576"), "{bad:?}");
        }
    }
}

#[test]
fn bad_records_keep_their_bytes() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"1,2,OK\r\n2,3\r\nx,\"y\",z\r\n").unwrap();
    let table = Arc::new(CsvTable::new(CsvOptions::default(), &payments(), &[0, 1, 2]).unwrap());
    let mut split =
        table.open(file.path().to_str().unwrap(), None, BLOCK_BYTES).unwrap().next_split().unwrap().unwrap();
    let Read::Rows(chunk) = split.read(10).unwrap() else { panic!("rows") };
    let raw: Vec<_> = chunk.bad.iter().map(|b| b.raw.clone().unwrap()).collect();
    assert_eq!(raw, [b"2,3".to_vec(), b"x,\"y\",z".to_vec()]);
    assert_eq!(chunk.bytes, 22);
}

#[test]
fn a_header_goes_by_name_else_by_position() {
    let header = CsvOptions { header: true, ..Default::default() };
    check("id,amount,status\n1,2,OK\n", &header, &payments(), &["0: 1|2.00|OK"], &[]);
    check("status,extra,id,\"amount\"\nOK,x,1,2\n", &header, &payments(), &["0: 1|2.00|OK"], &[]);
    check("a,b,c\r\n1,2,OK\r\n", &header, &payments(), &["0: 1|2.00|OK"], &[]);
    check("id,amount,status\n", &header, &payments(), &[], &[]);
    check("id,amount,status\n1,x,OK\n", &header, &payments(), &[], &["0! line 2, column 2 (amount)"]);
    let error = |text: &str| outcome(text.as_bytes(), &header, &payments(), &[0]).unwrap_err();
    assert!(error("a,b\n1,2\n").contains("FILE: the header has 2 columns and none named id"));
    assert!(error("amount,id,state\n1,2,3\n").contains("no column status, and column id is at place 2 instead of 1"));
}

#[test]
fn only_the_columns_read_are_decoded() {
    let (rows, bad) = outcome(b"1,bad,OK\n2,3,NO\n", &CsvOptions::default(), &payments(), &[2]).unwrap();
    assert_eq!((rows, bad), (vec!["0: OK".to_string(), "1: NO".to_string()], vec![]));
    let (rows, bad) = outcome(b"1,2,OK\n1,2\n", &CsvOptions::default(), &payments(), &[]).unwrap();
    assert_eq!((rows.len(), bad.len()), (1, 1));
}

#[test]
fn every_type_is_read() {
    let s = schema(&[
        ("b", DataType::Boolean),
        ("i1", DataType::Int8),
        ("i2", DataType::Int16),
        ("f", DataType::Float32),
        ("d", DataType::Float64),
        ("x", DataType::Binary),
        ("day", DataType::Date32),
        ("t0", DataType::Time32(TimeUnit::Second)),
        ("t3", DataType::Time32(TimeUnit::Millisecond)),
        ("ts0", DataType::Timestamp(TimeUnit::Second, None)),
        ("ts3", DataType::Timestamp(TimeUnit::Millisecond, None)),
        ("ts9", DataType::Timestamp(TimeUnit::Nanosecond, None)),
        ("ltz", DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()))),
    ]);
    let text = "TRUE, -128 ,32767,1.5,1e300,TWFu,2018-04-01,01:02:03,01:02:03.004,2018-04-01 00:00:31,2018-04-01T00:00:31.5,\
                2018-04-01 00:00:31.000000001,2018-04-01 02:00:31+02:00\n";
    let row = "0: true|-128|32767|1.5|1e300|4d616e|2018-04-01|01:02:03|01:02:03.004|2018-04-01T00:00:31|\
               2018-04-01T00:00:31.500|2018-04-01T00:00:31.000000001|2018-04-01T00:00:31Z";
    check(text, &CsvOptions::default(), &s, &[row], &[]);
    let bad = "yes,129,32768,x,x,*,2018-02-30,25:00:00,1,x,x,x,x\n";
    for column in 0..13 {
        let (rows, bad) = outcome(bad.as_bytes(), &CsvOptions::default(), &s, &[column]).unwrap();
        assert!(rows.is_empty() && bad[0].contains(&format!("column {} ({})", column + 1, s.field(column).name())));
    }
}

#[test]
fn a_wrong_value_in_row_a_million_is_found_there() {
    let mut text = Vec::with_capacity(16 << 20);
    (1..=1_100_000).for_each(|i| {
        let amount = if i == 1_000_000 { "12.5O" } else { "12.50" };
        text.extend_from_slice(format!("{i},{amount},OK\n").as_bytes());
    });
    let (rows, bad) = decode(&text, &CsvOptions::default(), &payments(), &[0, 1], BLOCK_BYTES, 8192).unwrap();
    assert_eq!(rows.len(), 1_099_999);
    assert_eq!(bad.len(), 1);
    assert!(
        bad[0].starts_with("999999! line 1000000, column 2 (amount): \"12.5O\" is not a DECIMAL(12, 2)"),
        "{bad:?}"
    );
}

#[test]
fn options_are_checked() {
    let parse = |pairs: &[(&str, &str)]| {
        let map = pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        let mut o = Options::new("filesystem", &map);
        let parsed = CsvOptions::parse(&mut o);
        (parsed, o.finish())
    };
    let (parsed, errors) =
        parse(&[("csv.field-delimiter", "\\t"), ("csv.header", "true"), ("csv.null-literal", "n/a")]);
    assert!(errors.is_empty() && parsed.delimiter == b'\t' && parsed.header, "{errors:?}");
    for (pair, part) in [
        (("csv.field-delimiter", ";;"), "single ASCII character"),
        (("csv.quote-character", ","), "different characters"),
        (("csv.null-literal", "a,b"), "field delimiter"),
        (("csv.headers", "true"), "'csv.header'"),
    ] {
        let (_, errors) = parse(&[pair]);
        assert!(errors[0].message.contains(part), "{errors:?}");
    }
}

/// Writes with the `csv-core` crate.
fn written_by_csv_core(rows: &[[String; 3]]) -> Vec<u8> {
    let mut writer = csv_core::Writer::new();
    let mut out = vec![0; rows.iter().flatten().map(|f| 2 * f.len() + 8).sum::<usize>() + 64];
    let mut at = 0;
    for row in rows {
        for (k, field) in row.iter().enumerate() {
            if k > 0 {
                at += writer.delimiter(&mut out[at..]).1;
            }
            at += writer.field(field.as_bytes(), &mut out[at..]).2;
        }
        at += writer.terminator(&mut out[at..]).1;
    }
    out.truncate(at);
    out
}

proptest! {
    #[test]
    fn what_another_writer_wrote_is_read(rows in prop::collection::vec(prop::array::uniform3("[a,\"\n\ré;x ]{0,6}"), 0..20)) {
        let s = schema(&[("a", DataType::Utf8), ("b", DataType::Utf8), ("c", DataType::Utf8)]);
        let text = written_by_csv_core(&rows);
        let (found, bad) = outcome(&text, &CsvOptions::default(), &s, &[0, 1, 2]).unwrap();
        prop_assert_eq!(bad, Vec::<String>::new());
        let expected: Vec<_> = rows.iter().enumerate().map(|(i, r)| format!("{i}: {}", r.join("|"))).collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn what_we_wrote_is_read_back(
        rows in prop::collection::vec((any::<Option<i64>>(), "[a,\"\n\rN ]{0,4}", any::<Option<i32>>()), 1..20),
        null in prop::sample::select(vec![None, Some("N"), Some("")]),
    ) {
        let columns: [(&str, ArrayRef); 3] = [
            ("a", Arc::new(rows.iter().map(|r| r.0).collect::<arrow::array::Int64Array>())),
            ("b", Arc::new(rows.iter().map(|r| Some(r.1.clone())).collect::<arrow::array::StringArray>())),
            ("c", Arc::new(rows.iter().map(|r| r.2).collect::<arrow::array::Int32Array>())),
        ];
        let batch = RecordBatch::try_from_iter_with_nullable(columns.map(|(n, a)| (n, a, true))).unwrap();
        let options = CsvOptions { null_literal: null.map(str::to_owned), header: true, ..Default::default() };
        let mut text = Vec::new();
        write::write_header(&batch.schema(), &options, &mut text).unwrap();
        write::write_rows(&batch, &options, &mut text).unwrap();
        let (found, bad) = outcome(&text, &options, &batch.schema(), &[0, 1, 2]).unwrap();
        prop_assert_eq!(bad, Vec::<String>::new());
        let expected: Vec<_> = (0..rows.len()).map(|r| format!("{r}: {}", show(&batch, r))).collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn any_bytes_are_read_to_the_end_without_a_panic(text in prop::collection::vec(prop::sample::select(&b"1,\"\n\r\xFFa"[..]), 0..200)) {
        let (rows, bad) = outcome(&text, &CsvOptions::default(), &schema(&[("a", DataType::Int64), ("b", DataType::Utf8)]), &[0, 1]).unwrap();
        prop_assert!(rows.len() + bad.len() <= text.len());
    }
}

#[test]
fn a_column_of_null_and_one_column_tables_write_lines_that_read_back() {
    let column: ArrayRef = Arc::new(arrow::array::StringArray::from(vec![Some(""), None, Some("x")]));
    let batch = RecordBatch::try_from_iter_with_nullable([("s", column, true)]).unwrap();
    let options = CsvOptions { null_literal: Some("\\N".into()), ..Default::default() };
    let mut text = Vec::new();
    write::write_rows(&batch, &options, &mut text).unwrap();
    assert_eq!(text, b"\n\\N\nx\n");
    let (rows, bad) = outcome(&text, &options, &batch.schema(), &[0]).unwrap();
    assert_eq!((rows, bad.len()), (vec!["0: ".to_string(), "1: ~".into(), "2: x".into()], 0));
    assert!(batch.column(0).as_string::<i32>().is_null(1));
}

/// Pieces of files: good records, bad ones, quotes that close and quotes that do not, every line end.
fn piece() -> impl Strategy<Value = String> {
    let record = |text: &'static str| Just(text.to_owned());
    prop_oneof![
        4 => (0..1000i64, "[a-z]{0,9}").prop_map(|(id, s)| format!("{id},{id}.25,{s}")),
        2 => (0..1000i64, "[a-z\n\r,]{0,9}").prop_map(|(id, s)| format!("\"{id}\",,\"{s}\"\"\n\"")),
        1 => record("x,1,bad number"),
        1 => record("1,2"),
        1 => record("1,2,\"open"),
        1 => record("1,2,\"a\"b"),
        1 => record("\n"),
        1 => record(""),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn reading_goes_on_behind_any_chunk(
        pieces in prop::collection::vec((piece(), prop::sample::select(vec!["\n", "\r\n"])), 0..60),
        header in prop::sample::select(vec![None, Some("id,amount,status\n"), Some("\"status\",x,id,amount\r\n")]),
        (bom, last_break, block) in (any::<bool>(), any::<bool>(), prop::sample::select(vec![8, 30, 200, BLOCK_BYTES])),
        plan in crate::resume::plans(9),
    ) {
        let mut text = if bom { "\u{FEFF}".to_owned() } else { String::new() };
        text.extend(header);
        pieces.iter().for_each(|(piece, end)| text.extend([piece.as_str(), *end]));
        if !last_break && header.is_none() {
            text.truncate(text.trim_end_matches(['\r', '\n']).len());
        }
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let options = CsvOptions { header: header.is_some(), ..Default::default() };
        let table = Arc::new(CsvTable::new(options, &payments(), &[0, 1, 2]).unwrap());
        let path = file.path().to_str().unwrap();
        let open = |block: usize| {
            let table = table.clone();
            move |from: Option<&Position>| -> Box<dyn PartitionReader> {
                Box::new(table.open(path, from, block).unwrap())
            }
        };
        let records = crate::resume::check(&open(block), &plan)?;
        prop_assert_eq!(crate::resume::read(&open(BLOCK_BYTES), &[(8192, false)]).0, records);
    }
}

/// Records over the limit, alone in their splits, and what stands around them.
#[test]
fn reading_goes_on_around_oversize_records() {
    let long = "x".repeat(RECORD_BYTES_MAX);
    let text = format!("1,2,OK\n{long}\n2,3,\"never closed\n3,4,OK\n{long}{long}\nx,5,bad\n4,5,OK");
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let table = Arc::new(CsvTable::new(CsvOptions::default(), &payments(), &[0, 1, 2]).unwrap());
    let path = file.path().to_str().unwrap();
    for plan in [[(1, true), (1, true)], [(1, false), (1, true)], [(1, true), (7, false)]] {
        let open = |from: Option<&Position>| -> Box<dyn PartitionReader> {
            Box::new(table.open(path, from, BLOCK_BYTES).unwrap())
        };
        let records = crate::resume::check(&open, &plan).unwrap();
        let found =
            |r: &Result<_, (String, _)>| r.as_ref().err().map(|e| e.0[..e.0.find([',', ':']).unwrap()].to_owned());
        let lines: Vec<_> = records.iter().map(|(offset, r)| (*offset, found(r))).collect();
        let bad = |line: &str| Some(line.to_owned());
        let expected = [
            (0, None),
            (1, bad("line 2")),
            (2, bad("line 3")),
            (3, None),
            (4, bad("line 5")),
            (5, bad("line 6")),
            (6, None),
        ];
        assert_eq!(lines, expected);
    }
}
