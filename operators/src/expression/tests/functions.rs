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
fn parts_of_times() {
    let t = || timestamp("1996-11-10 06:55:44.333");
    let d = || date("1996-11-10");
    let part = |p: &str, e: Expr| f("extract", vec![text(p), e]);
    check(&[
        (part("MILLENNIUM", d()), "2"),
        (part("CENTURY", d()), "20"),
        (part("DECADE", d()), "199"),
        (part("YEAR", t()), "1996"),
        (part("QUARTER", t()), "4"),
        (part("MONTH", t()), "11"),
        (part("WEEK", t()), "45"),
        (part("DAY", t()), "10"),
        (part("HOUR", t()), "6"),
        (part("MINUTE", t()), "55"),
        (part("SECOND", t()), "44"),
        (part("MILLISECOND", t()), "333"),
        (part("MICROSECOND", t()), "333000"),
        (part("NANOSECOND", t()), "333000000"),
        (part("DOY", t()), "315"),
        (part("DOW", t()), "1"),
        (part("ISODOW", d()), "7"),
        (part("ISOYEAR", d()), "1996"),
        (f("year", vec![t()]), "1996"),
        (f("quarter", vec![date("1997-04-27")]), "2"),
        (f("month", vec![d()]), "11"),
        (f("week", vec![d()]), "45"),
        (f("dayofyear", vec![d()]), "315"),
        (f("dayofmonth", vec![t()]), "10"),
        (f("dayofweek", vec![t()]), "1"),
        // sql_functions.yml: DAYOFWEEK(DATE '1994-09-27') returns 3
        (f("dayofweek", vec![date("1994-09-27")]), "3"),
        (f("hour", vec![t()]), "6"),
        (f("minute", vec![t()]), "55"),
        (f("second", vec![t()]), "44"),
        (f("hour", vec![null(ms())]), "NULL"),
    ]);
}

#[test]
fn floor_and_ceil_of_times() {
    let t = || timestamp("1996-11-10 06:55:44.333");
    let floor = |u: &str, e: Expr| f("date_trunc", vec![text(u), e]);
    let ceil = |u: &str, e: Expr| f("date_ceil", vec![text(u), e]);
    check(&[
        (floor("YEAR", t()), "1996-01-01 00:00:00.000"),
        (floor("MONTH", t()), "1996-11-01 00:00:00.000"),
        (floor("DAY", t()), "1996-11-10 00:00:00.000"),
        (floor("HOUR", t()), "1996-11-10 06:00:00.000"),
        (floor("minute", t()), "1996-11-10 06:55:00.000"),
        (floor("SECOND", t()), "1996-11-10 06:55:44.000"),
        (floor("YEAR", date("1996-11-10")), "1996-01-01"),
        (floor("MONTH", date("1996-11-10")), "1996-11-01"),
        (ceil("YEAR", t()), "1997-01-01 00:00:00.000"),
        (ceil("MONTH", t()), "1996-12-01 00:00:00.000"),
        (ceil("DAY", t()), "1996-11-11 00:00:00.000"),
        (ceil("HOUR", t()), "1996-11-10 07:00:00.000"),
        (ceil("MINUTE", t()), "1996-11-10 06:56:00.000"),
        (ceil("SECOND", t()), "1996-11-10 06:55:45.000"),
        (ceil("MONTH", date("1996-11-10")), "1996-12-01"),
        // before the epoch: floor, not to zero
        (floor("HOUR", timestamp("1969-12-31 23:30:00")), "1969-12-31 23:00:00.000"),
        // Calcite's DateTimeUtils.unixDateFloor: weeks begin on Sunday; 1996-11-10 was one
        (floor("WEEK", timestamp("1996-11-13 01:00:00")), "1996-11-10 00:00:00.000"),
    ]);
}

#[test]
fn differences_of_times() {
    let time = |s: &str| if s.contains(':') { timestamp(s) } else { date(s) };
    let cases = [
        ("DAY", "2018-07-03 11:11:11", "2018-07-05 11:11:11", "2"),
        ("DAY", "2016-06-15", "2016-06-16 11:11:11", "1"),
        ("DAY", "2016-06-15 11:00:00", "2016-06-19", "3"),
        ("HOUR", "2018-07-03 11:11:11", "2018-07-04 12:12:11", "25"),
        ("HOUR", "2016-06-15", "2016-06-12", "-72"),
        ("MINUTE", "2016-06-15 11:00:00", "2016-06-19", "5100"),
        ("SECOND", "2018-07-03 11:11:11", "2018-07-03 11:12:12", "61"),
        ("WEEK", "2018-05-03 11:11:11", "2018-07-03 11:12:12", "8"),
        ("WEEK", "2016-08-15", "2016-06-18", "-8"),
        ("MONTH", "2018-07-03 11:11:11", "2018-09-05 11:11:11", "2"),
        ("MONTH", "2016-06-15", "2018-06-16 11:11:11", "24"),
        ("MONTH", "2016-06-15 11:00:00", "2018-05-19", "23"),
        ("MONTH", "2016-06-15", "2018-03-18", "21"),
        ("QUARTER", "2018-01-03 11:11:11", "2018-09-05 11:11:11", "2"),
        ("QUARTER", "2016-06-15 11:00:00", "2018-05-19", "7"),
    ];
    for (unit, from, to, expected) in cases {
        let e = f("timestampdiff", vec![text(unit), time(from), time(to)]);
        assert_eq!(show(&e), expected, "{unit} {from} {to}");
    }
}

#[test]
fn times_moved() {
    let base = "2017-11-29 22:58:58.998";
    let tables: [(&str, [&str; 5]); 8] = [
        (
            "YEAR",
            [
                "2018-11-29 22:58:58.998",
                "2020-11-29 22:58:58.998",
                "2016-11-29 22:58:58.998",
                "1956-11-29 22:58:58.998",
                "1017-11-29 22:58:58.998",
            ],
        ),
        (
            "QUARTER",
            [
                "2018-02-28 22:58:58.998",
                "2018-08-29 22:58:58.998",
                "2017-08-29 22:58:58.998",
                "2002-08-29 22:58:58.998",
                "1767-11-29 22:58:58.998",
            ],
        ),
        (
            "MONTH",
            [
                "2017-12-29 22:58:58.998",
                "2018-02-28 22:58:58.998",
                "2017-10-29 22:58:58.998",
                "2012-10-29 22:58:58.998",
                "1934-07-29 22:58:58.998",
            ],
        ),
        (
            "WEEK",
            [
                "2017-12-06 22:58:58.998",
                "2017-12-20 22:58:58.998",
                "2017-11-22 22:58:58.998",
                "2016-09-28 22:58:58.998",
                "1998-09-30 22:58:58.998",
            ],
        ),
        (
            "DAY",
            [
                "2017-11-30 22:58:58.998",
                "2017-12-02 22:58:58.998",
                "2017-11-28 22:58:58.998",
                "2017-09-29 22:58:58.998",
                "2015-03-05 22:58:58.998",
            ],
        ),
        (
            "HOUR",
            [
                "2017-11-29 23:58:58.998",
                "2017-11-30 01:58:58.998",
                "2017-11-29 21:58:58.998",
                "2017-11-27 09:58:58.998",
                "2017-10-19 06:58:58.998",
            ],
        ),
        (
            "MINUTE",
            [
                "2017-11-29 22:59:58.998",
                "2017-11-29 23:01:58.998",
                "2017-11-29 22:57:58.998",
                "2017-11-29 21:57:58.998",
                "2017-11-29 06:18:58.998",
            ],
        ),
        (
            "SQL_TSI_SECOND",
            [
                "2017-11-29 22:58:59.998",
                "2017-11-29 22:59:01.998",
                "2017-11-29 22:58:57.998",
                "2017-11-29 22:57:57.998",
                "2017-11-29 22:42:18.998",
            ],
        ),
    ];
    for (unit, expected) in tables {
        for (n, expected) in [1, 3, -1, -61, -1000].into_iter().zip(expected) {
            let e = f("timestampadd", vec![text(unit), int(n), timestamp(base)]);
            assert_eq!(show(&e), expected, "{unit} {n}");
        }
    }
    check(&[
        (f("timestampadd", vec![text("MONTH"), int(1), date("2016-05-31")]), "2016-06-30"),
        (f("timestampadd", vec![text("MONTH"), int(-1), date("2016-03-31")]), "2016-02-29"),
        (f("timestampadd", vec![text("WEEK"), int(-1), date("2016-03-31")]), "2016-03-24"),
        (f("timestampadd", vec![text("HOUR"), int(-1), date("2016-06-15")]), "2016-06-14 23:00:00.000"),
        (f("timestampadd", vec![text("HOUR"), null(DataType::Int32), timestamp(base)]), "NULL"),
    ]);
}

#[test]
fn times_and_intervals() {
    let interval = |months, days, ms| Expr::Literal(Literal::Interval { months, days, ms });
    let t = || timestamp("2016-03-31 10:00:00");
    check(&[
        (binary(BinaryOp::Add, t(), interval(0, 0, 300_000)), "2016-03-31 10:05:00.000"),
        (binary(BinaryOp::Add, interval(0, 1, 0), t()), "2016-04-01 10:00:00.000"),
        (binary(BinaryOp::Subtract, t(), interval(1, 0, 0)), "2016-02-29 10:00:00.000"),
        (binary(BinaryOp::Add, date("2016-03-31"), interval(0, 2, 0)), "2016-04-02"),
        (binary(BinaryOp::Subtract, null(ms()), interval(1, 0, 0)), "NULL"),
    ]);
    let far = binary(BinaryOp::Add, t(), interval(12 * 10_000_000, 0, 0));
    assert_eq!(show(&far), "ERROR: the time does not fit TIMESTAMP(3)");
    let max = Expr::Literal(Literal::Timestamp(i64::MAX, ms()));
    assert_eq!(show(&binary(BinaryOp::Add, max, interval(0, 0, 1))), "ERROR: the time does not fit TIMESTAMP(3)");
    assert_eq!(show(&binary(BinaryOp::Add, date("2016-03-31"), interval(0, 2, 0))), "2016-04-02");
    // a day of the calendar is 23 hours long where the clock springs forward
    let berlin = DataType::Timestamp(TimeUnit::Millisecond, Some("Europe/Berlin".into()));
    let noon = Expr::Literal(Literal::Timestamp(1_711_796_400_000, berlin));
    assert_eq!(show(&noon), "2024-03-30 12:00:00.000");
    assert_eq!(show(&binary(BinaryOp::Add, noon.clone(), interval(0, 1, 0))), "2024-03-31 12:00:00.000");
    assert_eq!(show(&binary(BinaryOp::Add, noon, interval(0, 0, 86_400_000))), "2024-03-31 13:00:00.000");
}

#[test]
fn times_as_texts_and_back() {
    let t = || timestamp("1996-11-10 06:55:44.333");
    let format = |p: &str| f("date_format", vec![t(), text(p)]);
    check(&[
        (format("yyyy-MM-dd HH:mm:ss"), "1996-11-10 06:55:44"),
        (format("yyyy/M/d H:m:s.SS"), "1996/11/10 6:55:44.33"),
        (format("yyyyMMdd'T'HHmm"), "19961110T0655"),
        (format("yy 'o''clock'"), "96 o'clock"),
        // ScalarFunctionsTest.testToTimestamp, TemporalTypesTest
        (f("to_timestamp", vec![text("abc")]), "NULL"),
        (f("to_timestamp", vec![text("2017-09-15 00:00:00")]), "2017-09-15 00:00:00.000"),
        (f("to_timestamp", vec![text("20170915000000"), text("yyyyMMddHHmmss")]), "2017-09-15 00:00:00.000"),
        (f("to_timestamp", vec![text("2017-09-15"), text("yyyy-MM-dd")]), "2017-09-15 00:00:00.000"),
        (f("to_timestamp", vec![text("2000020210"), text("yyyyMMddHH")]), "2000-02-02 10:00:00.000"),
        (f("to_timestamp", vec![text("20000202 59:59.123"), text("yyyyMMdd mm:ss.SSS")]), "2000-02-02 00:59:59.123"),
        (f("to_timestamp", vec![null(DataType::Utf8)]), "NULL"),
        (f("to_date", vec![text("2017-09-15 00:00:00")]), "2017-09-15"),
        (f("to_date", vec![text("2017-02-29")]), "NULL"),
        // sql_functions.yml: TO_TIMESTAMP_LTZ(numeric, precision), 0 is seconds and 3 milliseconds
        (f("to_timestamp_ltz", vec![big(100), int(0)]), "1970-01-01 00:01:40.000"),
        (f("to_timestamp_ltz", vec![big(4_001), int(3)]), "1970-01-01 00:00:04.001"),
        (f("to_timestamp_ltz", vec![big(i64::MAX), int(0)]), "ERROR: the time does not fit TIMESTAMP_LTZ(3)"),
    ]);
    let bad = Expr::Call { function: "date_format".into(), args: vec![t(), text("QQ")], returns: DataType::Utf8 };
    assert!(show(&bad).contains("'QQ': unknown field QQ"), "{}", show(&bad));
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
