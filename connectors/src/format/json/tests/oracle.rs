//! Random documents, beside `serde_json`, and what we write, read back by it and by ourselves.

use super::*;
use arrow::array::*;
use serde_json::Value;

/// Names of fields: declared ones, others, and ones that need escapes.
const NAMES: [&str; 9] = ["id", "amount", "status", "flag", "rate", "x", "", "st\"at\\us", "é"];

fn wide() -> SchemaRef {
    schema(&[
        ("id", DataType::Int64),
        ("amount", DataType::Decimal128(38, 6)),
        ("status", DataType::Utf8),
        ("flag", DataType::Boolean),
        ("rate", DataType::Float64),
        ("st\"at\\us", DataType::Utf8),
        ("é", DataType::Utf8),
    ])
}

/// A character as some writer might write it.
fn written(character: char, how: u8) -> String {
    let units = |c: char| c.encode_utf16(&mut [0; 2]).iter().map(|u| format!("\\u{u:04x}")).collect::<String>();
    match (character, how) {
        (c, 0) => units(c),
        (c, 1) => units(c).replace("\\u00E", "\\u00e"),
        ('/', 2) => "\\/".into(),
        ('"', _) => "\\\"".into(),
        ('\\', _) => "\\\\".into(),
        ('\n', _) => "\\n".into(),
        ('\t', _) => "\\t".into(),
        (c, _) if c < ' ' => units(c),
        (c, _) => c.to_string(),
    }
}

fn text() -> impl Strategy<Value = String> {
    let character =
        prop::sample::select(vec!['a', 'z', '"', '\\', '/', '\n', '\t', '\u{1}', 'é', '€', '😀', ' ', '{', ',', ':']);
    prop::collection::vec((character, 0..12u8), 0..12)
        .prop_map(|c| format!("\"{}\"", c.into_iter().map(|(c, how)| written(c, how)).collect::<String>()))
}

fn name() -> impl Strategy<Value = String> {
    (prop::sample::select(NAMES.to_vec()), prop::collection::vec(0..12u8, 10)).prop_map(|(name, hows)| {
        let characters = name.chars().zip(hows.into_iter().cycle());
        format!("\"{}\"", characters.map(|(c, how)| written(c, how)).collect::<String>())
    })
}

fn space() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["", "", "", " ", "  ", "\t", "\r"])
}

fn scalar() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|v| v.to_string()),
        (-99_999i64..99_999, 0..7u32).prop_map(|(v, e)| format!("{v}e-{e}")),
        (0..10_000u32, 0..1_000_000u32).prop_map(|(v, f)| format!("{v}.{f:06}")),
        prop::num::f64::NORMAL.prop_map(|v| format!("{v:?}")),
        prop::sample::select(vec!["true", "false", "null", "0", "-0", "1E2", "-1.50"]).prop_map(str::to_owned),
        text(),
    ]
}

/// Any value, with white space around its parts.
fn any_value() -> impl Strategy<Value = String> {
    let joined = |parts: Vec<(String, &'static str, &'static str)>, open: char, close: char| {
        let parts: Vec<_> = parts.into_iter().map(|(v, a, b)| format!("{a}{v}{b}")).collect();
        format!("{open}{}{close}", parts.join(","))
    };
    scalar().prop_recursive(4, 24, 4, move |inner| {
        let field = (name(), space(), space(), inner.clone());
        prop_oneof![
            prop::collection::vec((inner, space(), space()), 0..4).prop_map(move |v| joined(v, '[', ']')),
            prop::collection::vec((field.prop_map(|(n, a, b, v)| format!("{n}{a}:{b}{v}")), space(), space()), 0..4)
                .prop_map(move |v| joined(v, '{', '}')),
        ]
    })
}

fn document() -> impl Strategy<Value = String> {
    let field = (space(), name(), space(), space(), any_value(), space());
    (prop::collection::vec(field, 0..9), space()).prop_map(|(fields, end)| {
        let fields: Vec<_> = fields.into_iter().map(|(a, n, b, c, v, d)| format!("{a}{n}{b}:{c}{v}{d}")).collect();
        format!("{{{}}}{end}", fields.join(","))
    })
}

/// The text of each value of an object's fields, the last of a name, as `serde_json` finds them: `None` if it is no JSON.
fn fields_by_serde(line: &str) -> Option<serde_json::Map<String, Value>> {
    match serde_json::from_str(line).ok()? {
        Value::Object(map) => Some(map),
        _ => None,
    }
}

/// What a value becomes in its column, by another way than the decoder's; `None` where that way can't say.
fn expected(value: Option<&Value>, data_type: &DataType) -> Option<String> {
    Some(match (value.unwrap_or(&Value::Null), data_type) {
        (Value::Null, _) => "~".to_owned(),
        (Value::String(s), DataType::Utf8) => s.clone(),
        (Value::Bool(b), DataType::Utf8 | DataType::Boolean) => b.to_string(),
        (Value::Number(n), DataType::Int64) if n.is_i64() => n.to_string(),
        (Value::Number(n), DataType::Float64) => format!("{:?}", n.as_f64()?),
        _ => return None,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]
    #[test]
    fn random_documents_are_read_as_serde_json_reads_them(lines in prop::collection::vec(document(), 1..6)) {
        let s = wide();
        let options = JsonOptions::default();
        let text = lines.join("\n");
        for (column, field) in s.fields().iter().enumerate() {
            let (rows, bad) = outcome(text.as_bytes(), &options, &s, &[column]);
            for (number, line) in lines.iter().enumerate() {
                let map = fields_by_serde(line).unwrap_or_else(|| panic!("the strategy wrote no JSON: {line}"));
                let row = rows.iter().find_map(|r| r.strip_prefix(&format!("{number}: ")));
                let fault = bad.iter().find(|b| b.starts_with(&format!("{number}! ")));
                prop_assert!(row.is_some() != fault.is_some());
                prop_assert!(fault.is_none_or(|f| f.contains(&format!("field {}", field.name()))), "{:?} {}", fault, line);
                if let Some(expected) = expected(map.get(field.name()), field.data_type()) {
                    if let (DataType::Float64, Some(row), Ok(exact)) = (field.data_type(), row, expected.parse::<f64>()) {
                        // `serde_json` does not always round to the nearest.
                        let found: f64 = row.parse().unwrap();
                        prop_assert!((found - exact).abs() <= exact.abs() * 1e-15, "{} of {}", found, line);
                        continue;
                    }
                    prop_assert_eq!(row, Some(expected.as_str()), "field {} of {}", field.name(), line);
                }
            }
        }
    }

    #[test]
    fn decimals_keep_every_digit(unscaled in any::<i128>(), exponent in -6i32..3, quoted in any::<bool>()) {
        let unscaled = unscaled % 10i128.pow(30);
        let number = format!("{unscaled}e{exponent}");
        let value = if quoted { format!("\"{number}\"") } else { number };
        let s = schema(&[("amount", DataType::Decimal128(38, 6))]);
        let (rows, bad) = outcome(format!("{{\"amount\":{value}}}").as_bytes(), &JsonOptions::default(), &s, &[0]);
        prop_assert_eq!(bad, Vec::<String>::new());
        let exact = unscaled * 10i128.pow((exponent + 6) as u32);
        let shown: String = rows[0]["0: ".len()..].chars().filter(|c| *c != '.').collect();
        prop_assert_eq!(shown.parse::<i128>().unwrap(), exact);
    }
}

/// Bytes that mean something, to write over others.
const BYTES: &[u8] = b"{}[]\",:\\u0129-+.eE tfn\n\r\t\x00\x1F\x7F\xC3\xA9\xED\xA0\x80\xFF";

fn mutated(line: &str, changes: &[(usize, u8, u8)]) -> Vec<u8> {
    let mut bytes = line.as_bytes().to_vec();
    for &(at, what, byte) in changes {
        let at = at % (bytes.len() + 1);
        let byte = BYTES[usize::from(byte) % BYTES.len()];
        match what % 4 {
            0 => bytes.insert(at, byte),
            1 if at < bytes.len() => bytes[at] = byte,
            2 if at < bytes.len() => drop(bytes.remove(at)),
            3 => bytes.truncate(at),
            _ => {}
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]
    /// A changed document gives rows and bad records, never a panic; and what is UTF-8 without control characters is an
    /// object for us if and only if it is one for `serde_json`.
    #[test]
    fn mutations_are_judged_and_never_panic(
        line in document(),
        changes in prop::collection::vec((any::<usize>(), any::<u8>(), any::<u8>()), 1..6),
    ) {
        let bytes = mutated(&line, &changes);
        let lines: Vec<&[u8]> = bytes.split(|b| *b == b'\n').collect();
        let (all, none) = ([0, 1, 2, 3, 4, 5, 6], []);
        let options = JsonOptions::default();
        let (rows, bad) = decode(&bytes, &options, &wide(), &all, BLOCK_BYTES, 8192);
        prop_assert!(rows.len() + bad.len() <= lines.len());
        prop_assert_eq!(decode(&bytes, &options, &wide(), &all, 8, 1), (rows, bad));
        let (_, bad) = decode(&bytes, &options, &wide(), &none, BLOCK_BYTES, 8192);
        for (number, line) in lines.iter().enumerate() {
            let Ok(text) = std::str::from_utf8(line) else { continue };
            if text.chars().any(|c| c < ' ' && c != '\t' && c != '\r') || text.trim().is_empty() || in_string(text) {
                continue;
            }
            let fault = bad.iter().find(|b| b.starts_with(&format!("{number}! ")));
            let parsed = fields_by_serde(text.trim_start_matches('\u{FEFF}'));
            let overflow = serde_json::from_str::<Value>(text).is_err_and(|e| e.to_string().contains("out of range"));
            prop_assert!(fault.is_none() == parsed.is_some() || overflow, "{:?}: {:?}", text, fault);
        }
    }
}

/// Whether a tab or return may stand in a string, where we take it and `serde_json` does not.
fn in_string(text: &str) -> bool {
    text.contains(['\t', '\r'])
        && serde_json::from_str::<Value>(text).is_err_and(|e| e.to_string().contains("control character"))
}

fn batch() -> impl Strategy<Value = RecordBatch> {
    let row = (
        any::<Option<i64>>(),
        any::<Option<i128>>(),
        "\\PC{0,8}[\"\\\\\n\r\t\u{0}\u{1f}é]{0,3}",
        any::<Option<bool>>(),
        any::<Option<f64>>(),
        any::<u8>(),
    );
    prop::collection::vec(row, 1..12).prop_map(|rows| {
        let amounts: Decimal128Array = rows.iter().map(|r| r.1.map(|v| v % 10i128.pow(38))).collect();
        let ms = || rows.iter().map(|r| r.0.map(|v| v % 30_000_000_000_000)).collect::<TimestampMillisecondArray>();
        let text = |r: &(_, _, String, _, _, u8)| (r.5 % 4 > 0).then(|| r.2.clone());
        let columns: [(&str, ArrayRef); 10] = [
            ("id", Arc::new(rows.iter().map(|r| r.0).collect::<Int64Array>())),
            ("amount", Arc::new(amounts.with_precision_and_scale(38, 6).unwrap())),
            ("st\"at\\us", Arc::new(rows.iter().map(text).collect::<StringArray>())),
            ("flag", Arc::new(rows.iter().map(|r| r.3).collect::<BooleanArray>())),
            ("rate", Arc::new(rows.iter().map(|r| r.4).collect::<Float64Array>())),
            ("ts", Arc::new(ms())),
            ("ltz", Arc::new(ms().with_timezone("UTC"))),
            ("day", Arc::new(rows.iter().map(|r| r.0.map(|v| (v % 700_000) as i32)).collect::<Date32Array>())),
            ("bytes", Arc::new(rows.iter().map(|r| text(r).map(String::into_bytes)).collect::<BinaryArray>())),
            ("small", Arc::new(rows.iter().map(|r| Some(r.5 as i8)).collect::<Int8Array>())),
        ];
        RecordBatch::try_from_iter_with_nullable(columns.map(|(n, a)| (n, a, true))).unwrap()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn what_we_wrote_is_json_and_is_read_back(batch in batch(), ignore_null_fields in any::<bool>(), iso in any::<bool>()) {
        let times = if iso { TimeFormat::Iso8601 } else { TimeFormat::Sql };
        let options = JsonOptions { ignore_null_fields, times, fail_on_missing_field: !ignore_null_fields };
        let mut text = Vec::new();
        write::write_rows(&batch, &options, &mut text).unwrap();
        let lines: Vec<&str> = std::str::from_utf8(&text).unwrap().lines().collect();
        prop_assert_eq!(lines.len(), batch.num_rows());
        for (row, line) in lines.iter().enumerate() {
            let map = fields_by_serde(line).unwrap_or_else(|| panic!("no JSON: {line}"));
            let nulls = batch.columns().iter().filter(|c| c.is_null(row)).count();
            prop_assert_eq!(map.len(), if ignore_null_fields { 10 - nulls } else { 10 });
            let texts = batch.column(2).as_string::<i32>();
            prop_assert_eq!(map.get("st\"at\\us").and_then(Value::as_str), texts.is_valid(row).then(|| texts.value(row)));
        }
        let all: Vec<_> = (0..10).collect();
        let (found, bad) = outcome(&text, &options, &batch.schema(), &all);
        prop_assert_eq!(bad, Vec::<String>::new());
        let expected: Vec<_> = (0..batch.num_rows()).map(|r| format!("{r}: {}", show(&batch, r))).collect();
        prop_assert_eq!(found, expected);
    }
}

/// Flink's documentation of its options, as lines.
#[test]
fn lines_are_written_as_options_say() {
    let column: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![Some(1_522_540_831_000), None]));
    let ltz: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![Some(0), None]).with_timezone("UTC"));
    let small = Decimal128Array::from(vec![Some(27), None]).with_precision_and_scale(20, 9).unwrap();
    let floats: ArrayRef = Arc::new(Float64Array::from(vec![f64::NAN, f64::NEG_INFINITY]));
    let columns = [("ts", column), ("ltz", ltz), ("d", Arc::new(small) as ArrayRef), ("f", floats)];
    let batch = RecordBatch::try_from_iter_with_nullable(columns.map(|(n, a)| (n, a, true))).unwrap();
    let text = |options: JsonOptions| {
        let mut text = Vec::new();
        write::write_rows(&batch, &options, &mut text).unwrap();
        String::from_utf8(text).unwrap()
    };
    let sql = "{\"ts\":\"2018-04-01 00:00:31.000\",\"ltz\":\"1970-01-01 00:00:00.000Z\",\"d\":0.000000027,\"f\":\"NaN\"}\n\
               {\"ts\":null,\"ltz\":null,\"d\":null,\"f\":\"-Infinity\"}\n";
    assert_eq!(text(JsonOptions::default()), sql);
    let iso = "{\"ts\":\"2018-04-01T00:00:31.000\",\"ltz\":\"1970-01-01T00:00:00.000Z\",\"d\":0.000000027,\"f\":\"NaN\"}\n\
               {\"f\":\"-Infinity\"}\n";
    assert_eq!(text(JsonOptions { times: TimeFormat::Iso8601, ignore_null_fields: true, ..Default::default() }), iso);
    assert_eq!(text(JsonOptions::default()).lines().count(), 2);
    let nothing = batch.slice(1, 1).project(&[0, 1]).unwrap();
    let mut text = Vec::new();
    write::write_rows(&nothing, &JsonOptions { ignore_null_fields: true, ..Default::default() }, &mut text).unwrap();
    assert_eq!(text, b"{}\n");
}
