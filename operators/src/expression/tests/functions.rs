//! Functions. Unless a line says otherwise, calls and results are those of Flink's `ScalarFunctionsTest`
//! (f0 is 'This is a test String.', f8 the same between spaces, f18 is 1996-11-10 06:55:44.333).

use super::*;

const F0: &str = "This is a test String.";

fn f(name: &str, args: Vec<Expr>) -> Expr {
    call(name, args)
}

fn no_text() -> Expr {
    null(DataType::Utf8)
}

#[test]
fn parts_of_texts() {
    check(&[
        (f("substring", vec![text(F0), int(2)]), "his is a test String."),
        (f("substring", vec![text(F0), int(2), int(5)]), "his i"),
        (f("substring", vec![text(F0), int(-2)]), "g."),
        (f("substring", vec![text(F0), int(-2), int(1)]), "g"),
        (f("substring", vec![text(F0), int(-2), int(0)]), ""),
        (f("substr", vec![text(F0), int(2), int(100)]), "his is a test String."),
        (f("substr", vec![text(F0), int(100), int(10)]), ""),
        (f("substr", vec![text(F0), int(2), int(-1)]), "NULL"),
        (f("substr", vec![no_text(), int(2), int(3)]), "NULL"),
        (f("substr", vec![text("1世3"), int(1), int(2)]), "1世"),
        (f("left", vec![text(F0), int(2)]), "Th"),
        (f("left", vec![text(F0), int(100)]), F0),
        (f("left", vec![text(F0), int(-2)]), ""),
        (f("left", vec![text(F0), null(DataType::Int32)]), "NULL"),
        (f("right", vec![text(F0), int(2)]), "g."),
        (f("right", vec![text(F0), int(100)]), F0),
        (f("right", vec![text(F0), int(0)]), ""),
        (f("split_index", vec![text("AQIDBA=="), text("I"), int(0)]), "AQ"),
        (f("split_index", vec![text("AQIDBA=="), text("I"), int(2)]), "NULL"),
        (f("split_index", vec![text("AQIDBA=="), text("I"), int(-1)]), "NULL"),
        (f("split_index", vec![text("Test"), text("e"), int(1)]), "st"),
        (f("split_index", vec![text("test"), no_text(), int(1)]), "NULL"),
        (f("btrim", vec![text(" This is a test String. ")]), F0),
        (f("btrim", vec![text("abcddcba"), text("abc")]), "dd"),
        (f("btrim", vec![text("abcddcba"), text("abd")]), "cddc"),
        (f("btrim", vec![text("心情开开心心"), text("开心")]), "情"),
        (f("ltrim", vec![text(" This is a test String. ")]), "This is a test String. "),
        (f("ltrim", vec![text(F0), text("This ")]), "a test String."),
        (f("ltrim", vec![text("abcddcba"), no_text()]), "NULL"),
        (f("rtrim", vec![text(F0), text("String. ")]), "This is a tes"),
        (f("rtrim", vec![text("心情开开心心"), text("开心")]), "心情"),
    ]);
}

#[test]
fn texts_made_of_texts() {
    check(&[
        (f("upper", vec![text(F0)]), "THIS IS A TEST STRING."),
        (f("lower", vec![text(F0)]), "this is a test string."),
        // not from Flink's tests: letters beyond ASCII
        (f("lower", vec![text("ÄÖ")]), "äö"),
        (f("upper", vec![no_text()]), "NULL"),
        (f("initcap", vec![text(F0)]), "This Is A Test String."),
        (f("initcap", vec![text("fLinK")]), "Flink"),
        (f("reverse", vec![text("hhhi")]), "ihhh"),
        (f("replace", vec![text(F0), text(" "), text("_")]), "This_is_a_test_String."),
        (f("replace", vec![text(F0), text("i"), text("")]), "Ths s a test Strng."),
        (f("replace", vec![text(F0), no_text(), text("")]), "NULL"),
        (f("repeat", vec![text(F0), int(2)]), "This is a test String.This is a test String."),
        (f("repeat", vec![text(F0), int(-1)]), ""),
        (f("lpad", vec![text("hi"), int(1), text("??")]), "h"),
        (f("lpad", vec![text("hi"), int(5), text("??")]), "???hi"),
        (f("lpad", vec![text("111"), int(-2), text("??")]), "NULL"),
        (f("lpad", vec![text("ab"), int(5), text("")]), "NULL"),
        (f("lpad", vec![text("äää"), int(13), text("12345")]), "1234512345äää"),
        (f("rpad", vec![text("hi"), int(5), text("??")]), "hi???"),
        (f("rpad", vec![text("üö"), int(1), text("??")]), "ü"),
        (f("rpad", vec![text("äää"), int(13), text("12345")]), "äää1234512345"),
        (f("concat", vec![text("xx"), no_text()]), "NULL"),
        (f("concat", vec![text("AA"), text("BB"), text("CC"), text("---")]), "AABBCC---"),
        (f("concat_ws", vec![no_text(), text("AA")]), "NULL"),
        (f("concat_ws", vec![text("~~~~"), text("AA")]), "AA"),
        (
            f("concat_ws", vec![text("~"), no_text(), text("AA"), text("BB"), text(""), no_text(), text("CC")]),
            "AA~BB~~CC",
        ),
        (binary(BinaryOp::Concat, text("a"), text("b")), "ab"),
        (binary(BinaryOp::Concat, text("a"), no_text()), "NULL"),
    ]);
}

#[test]
fn numbers_of_texts() {
    check(&[
        (f("char_length", vec![text(F0)]), "22"),
        (f("character_length", vec![text("1世3")]), "3"),
        (f("position", vec![text("test"), text("xxxtest")]), "4"),
        (f("position", vec![text("testx"), text("xxxtest")]), "0"),
        (f("locate", vec![text("aa"), text("aaads")]), "1"),
        (f("instr", vec![text("myteststring"), text("st")]), "5"),
        (f("instr", vec![text("val_239"), text("_")]), "4"),
        (f("ascii", vec![text("efg")]), "101"),
        (f("ascii", vec![text("")]), "0"),
    ]);
}

#[test]
fn patterns() {
    let like = |s: &str, p: &str| Expr::Like {
        expr: Box::new(text(s)),
        pattern: Box::new(text(p)),
        escape: None,
        negated: false,
    };
    let escaped = |s: &str, p: &str, negated| Expr::Like {
        expr: Box::new(text(s)),
        pattern: Box::new(text(p)),
        escape: Some('&'),
        negated,
    };
    check(&[
        (f("regexp", vec![text("100-200"), text("(\\d+)")]), "TRUE"),
        (f("regexp", vec![text("abc-def"), text("(\\d+)")]), "FALSE"),
        (f("regexp", vec![no_text(), text("(\\d+)")]), "NULL"),
        (f("regexp", vec![text("100-200"), no_text()]), "NULL"),
        (f("regexp_extract", vec![text("foothebar"), text("foo(.*?)(bar)"), int(2)]), "bar"),
        (f("regexp_extract", vec![text("foothebar"), text("foo(.*?)(bar)"), int(0)]), "foothebar"),
        (f("regexp_extract", vec![text("foothebar"), text("foo(.*?)(bar)"), int(1)]), "the"),
        (f("regexp_extract", vec![text("foothebar"), text("foo([\\d]+)"), int(1)]), "NULL"),
        (f("regexp_extract", vec![text("foothebar"), text("foo(.*?)(bar)")]), "foothebar"),
        (f("regexp_extract", vec![text("foothebar"), no_text(), int(2)]), "NULL"),
        (f("regexp_replace", vec![text("foobar"), text("oo|ar"), text("abc")]), "fabcbabc"),
        (f("regexp_replace", vec![text("foofar"), text("^f"), text("")]), "oofar"),
        (f("regexp_replace", vec![text("fooobar"), text("oo"), text("$")]), "f$obar"),
        (f("regexp_replace", vec![text("foobar"), text("oo"), text("\\")]), "f\\bar"),
        (f("regexp_replace", vec![text("foobar"), text("oo|ar"), no_text()]), "NULL"),
        (like(F0, "Th_s%"), "TRUE"),
        (like(F0, "%is a%"), "TRUE"),
        (like("abcxxxdef", "%%def"), "TRUE"),
        (like("abcxxxdef", "abc%qef%"), "FALSE"),
        (like("abcxxxdef", "abc%def"), "TRUE"),
        // without ESCAPE no character escapes (SQL)
        (like("a\\b", "a\\b"), "TRUE"),
        (like("a%", "a\\%"), "FALSE"),
        (escaped("%This is a test String.", "&%Th_s%", false), "TRUE"),
        (escaped("%This is a test String.", "&%%is a%", true), "FALSE"),
        (escaped(F0, "Th_s%", false), "TRUE"),
        (escaped("xThis", "&%Th_s%", false), "FALSE"),
    ]);
    assert!(
        show(&Expr::Call { function: "regexp".into(), args: vec![text("a"), text("(")], returns: DataType::Boolean })
            .starts_with("BUILD: REGEXP('a', '('): REGEXP: '(' is not a regular expression")
    );
}

#[test]
fn numbers() {
    let third = |e: Expr| f("round", vec![e, int(3)]);
    check(&[
        (f("abs", vec![int(-42)]), "42"),
        (f("abs", vec![decimal("-1231.1231231321321321111", 38)]), "1231.1231231321321321111"),
        (f("abs", vec![double(-4.6)]), "4.6"),
        // semantics: overflow never wraps
        (f("abs", vec![big(i64::MIN)]), "ERROR: overflow: ABS(-9223372036854775808)"),
        (f("sign", vec![double(4.6)]), "1.0"),
        (f("sign", vec![decimal("-1231.1231231321321321111", 38)]), "-1.0000000000000000000"),
        (f("floor", vec![double(4.5)]), "4.0"),
        (f("ceil", vec![double(4.5)]), "5.0"),
        (f("floor", vec![int(43)]), "43"),
        (f("floor", vec![decimal("-1231.1231231321321321111", 38)]), "-1232"),
        (f("ceil", vec![decimal("-1231.1231231321321321111", 38)]), "-1231"),
        (f("round", vec![decimal("125.315", 6)]), "125"),
        (f("round", vec![decimal("-125.315", 6), int(2)]), "-125.32"),
        (f("round", vec![decimal("1.4", 2), int(1)]), "1.4"),
        (f("round", vec![int(123), int(-2)]), "100"),
        (f("round", vec![int(123), null(DataType::Int32)]), "NULL"),
        (third(double(1.2345)), "1.235"),
        (f("round", vec![double(1.2345)]), "1.0"),
        (third(decimal("1.2345", 5)), "1.235"),
        (f("round", vec![double(0.46), int(1)]), "0.5"),
        // BigDecimal.valueOf(1.255).setScale(2, HALF_UP)
        (f("round", vec![double(1.255), int(2)]), "1.26"),
        (f("truncate", vec![int(42), int(-1)]), "40"),
        (f("truncate", vec![int(42), int(-3)]), "0"),
        (f("truncate", vec![double(0.45), int(1)]), "0.4"),
        (f("truncate", vec![decimal("-0.1231231321321321111", 38), int(2)]), "-0.12"),
        (f("mod", vec![int(44), int(3)]), "2"),
        (f("mod", vec![int(-7), int(3)]), "-1"),
        (f("mod", vec![int(7), int(0)]), "ERROR: division by zero"),
        (f("power", vec![int(2), int(10)]), "1024.0"),
        (f("sqrt", vec![int(25)]), "5.0"),
        (f("log10", vec![int(100)]), "2.0"),
        (f("log2", vec![int(100)]), "6.643856189774725"),
        (f("ln", vec![double(4.6)]), "1.5260563034950492"),
        (f("log", vec![int(10), int(100)]), "2.0"),
        (f("log", vec![int(1), int(100)]), "Infinity"),
        (f("log", vec![int(-1)]), "NaN"),
        (f("exp", vec![int(0)]), "1.0"),
        (f("pi", vec![]), "3.141592653589793"),
    ]);
}

#[test]
fn choices() {
    // the meaning of these is SQL's; GREATEST and LEAST are NULL if any argument is (Flink, sql_functions.yml)
    check(&[
        (f("coalesce", vec![null(DataType::Int32), int(2), int(3)]), "2"),
        (f("coalesce", vec![null(DataType::Int32), null(DataType::Int32)]), "NULL"),
        (f("coalesce", vec![int(1), big(2)]), "1"),
        (f("ifnull", vec![null(DataType::Int32), int(5)]), "5"),
        (f("if", vec![yes(true), text("a"), text("b")]), "a"),
        (f("if", vec![null(DataType::Boolean), text("a"), text("b")]), "b"),
        (f("nullif", vec![int(5), int(5)]), "NULL"),
        (f("nullif", vec![int(5), int(6)]), "5"),
        (f("nullif", vec![null(DataType::Int32), int(6)]), "NULL"),
        (f("nullif", vec![decimal("1.50", 12), int(0)]), "1.50"),
        (f("nullif", vec![decimal("0.00", 12), big(0)]), "NULL"),
        (f("greatest", vec![int(1), int(3), int(2)]), "3"),
        (f("least", vec![int(1), int(3), int(2)]), "1"),
        (f("greatest", vec![int(1), null(DataType::Int32), int(2)]), "NULL"),
        (f("greatest", vec![null(DataType::Int32), int(2)]), "NULL"),
    ]);
    let nullif = f("nullif", vec![decimal("1.50", 12), big(0)]);
    assert_eq!(*Expression::new(&nullif, &Schema::empty()).unwrap().data_type(), DataType::Decimal128(12, 2));
}

#[test]
fn the_planner_sees_the_same_functions() {
    use datafusion_expr::{ReturnFieldArgs, ScalarFunctionArgs};
    let udfs = scalar_udfs();
    assert_eq!(udfs.len(), super::super::functions::functions().len());
    let round = udfs.iter().find(|u| u.name() == "round").unwrap();
    let types = [DataType::Decimal128(12, 4), DataType::Int32];
    assert_eq!(round.coerce_types(&types).unwrap(), [DataType::Decimal128(12, 4), DataType::Int64]);
    let fields = types.iter().map(|t| Arc::new(Field::new("x", t.clone(), true))).collect::<Vec<_>>();
    let n = ScalarValue::Int32(Some(1));
    let args = ReturnFieldArgs { arg_fields: &fields, scalar_arguments: &[None, Some(&n)] };
    let returns = round.return_field_from_args(args).unwrap();
    assert_eq!(*returns.data_type(), DataType::Decimal128(10, 1));
    let upper = udfs.iter().find(|u| u.name() == "upper").unwrap();
    let out = upper
        .invoke_with_args(ScalarFunctionArgs {
            args: vec![datafusion_expr::ColumnarValue::Scalar(ScalarValue::from("ab"))],
            arg_fields: vec![Arc::new(Field::new("x", DataType::Utf8, true))],
            number_rows: 1,
            return_field: Arc::new(Field::new("y", DataType::Utf8, true)),
            config_options: Arc::default(),
        })
        .unwrap();
    assert_eq!(out.into_array(1).unwrap().as_string::<i32>().value(0), "AB");
}
