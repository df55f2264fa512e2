//! Functions of times and intervals. Unless a line says otherwise, calls and results are those of Flink's
//! `ScalarFunctionsTest`.

use super::*;

fn f(name: &str, args: Vec<Expr>) -> Expr {
    call(name, args)
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
        (format("hh:mm a"), "06:55 AM"),
        (f("date_format", vec![f("to_timestamp", vec![text("2017-09-15 00:07:00")]), text("h:mm a")]), "12:07 AM"),
        (f("to_timestamp", vec![text("2017-09-15 12:07 PM"), text("yyyy-MM-dd hh:mm a")]), "2017-09-15 12:07:00.000"),
        (f("to_timestamp", vec![text("2017-09-15 1:07 PM"), text("yyyy-MM-dd h:mm a")]), "2017-09-15 13:07:00.000"),
        (f("to_timestamp", vec![text("2017-09-15 01:07"), text("yyyy-MM-dd hh:mm")]), "NULL"),
        (f("to_timestamp", vec![text("2017-09-15 13:07 PM"), text("yyyy-MM-dd hh:mm a")]), "NULL"),
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
