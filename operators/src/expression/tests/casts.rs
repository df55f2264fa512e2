//! Casts. Unless a line says otherwise, values are those of Flink's `CastFunctionITCase`; where Flink wraps an integer,
//! ours is an error of the row (semantics: overflow never wraps).

use super::*;
use DataType::*;

fn decimal_type(p: u8, s: i8) -> DataType {
    Decimal128(p, s)
}

#[test]
fn to_string() {
    let small = |v, t| Expr::Literal(Literal::Integer(v, t));
    let at = |v, unit| Expr::Literal(Literal::Timestamp(v, Timestamp(unit, None)));
    check(&[
        (cast(yes(true), Utf8), "TRUE"),
        (cast(Expr::Literal(Literal::Bytes(vec![0, 1, 2])), Utf8), "000102"),
        (cast(decimal("9.870", 4), Utf8), "9.870"),
        (cast(decimal("1.00000", 10), Utf8), "1.00000"),
        (cast(small(-5, Int8), Utf8), "-5"),
        (cast(big(12_345_678_901), Utf8), "12345678901"),
        (cast(double(123.456_789), Utf8), "123.456789"),
        (cast(double(-123.456_789), Utf8), "-123.456789"),
        (cast(date("2021-09-24"), Utf8), "2021-09-24"),
        (cast(timestamp("2021-09-24 12:34:56.1"), Utf8), "2021-09-24 12:34:56.100"),
        (cast(at(1_632_486_896_123_456, TimeUnit::Microsecond), Utf8), "2021-09-24 12:34:56.123456"),
        (cast(at(1_632_486_896_123_456_700, TimeUnit::Nanosecond), Utf8), "2021-09-24 12:34:56.123456700"),
        (cast(null(Int32), Utf8), "NULL"),
        // java.lang.Double.toString
        (cast(double(1e7), Utf8), "1.0E7"),
        (cast(double(9_999_999.0), Utf8), "9999999.0"),
        (cast(double(1e-3), Utf8), "0.001"),
        (cast(double(1.25e-4), Utf8), "1.25E-4"),
        (cast(double(f64::NEG_INFINITY), Utf8), "-Infinity"),
    ]);
}

#[test]
fn to_boolean() {
    check(&[
        (cast(text("true"), Boolean), "TRUE"),
        (cast(text("FalsE"), Boolean), "FALSE"),
        (cast(text("Apache Flink"), Boolean), "ERROR: 'Apache Flink' is not a BOOLEAN"),
        (cast(text(""), Boolean), "ERROR: '' is not a BOOLEAN"),
        (cast(int(1_234_567), Boolean), "TRUE"),
        (cast(int(0), Boolean), "FALSE"),
    ]);
}

#[test]
fn to_decimal() {
    let t = || decimal_type(5, 3);
    check(&[
        (cast(text("1.234"), t()), "1.234"),
        (cast(text("1.2"), t()), "1.200"),
        (cast(text("Apache"), t()), "ERROR: 'Apache' is not a DECIMAL(5, 3)"),
        (cast(yes(true), t()), "1.000"),
        (cast(decimal("9.870", 4), t()), "9.870"),
        (cast(int(42), t()), "42.000"),
        (cast(big(8), t()), "8.000"),
        (cast(double(12.678), t()), "12.678"),
        (cast(int(100), t()), "ERROR: 100 does not fit DECIMAL(5, 3)"),
        // BigDecimal: half up, exponents, blanks
        (cast(text(" 1.2345 "), t()), "1.235"),
        (cast(text("-1.2345"), t()), "-1.235"),
        (cast(text("1.2e1"), t()), "12.000"),
        (cast(decimal("1.255", 4), decimal_type(5, 2)), "1.26"),
        (cast(decimal("-1.255", 4), decimal_type(5, 2)), "-1.26"),
        (cast(double(1.255), decimal_type(5, 2)), "1.26"),
        (cast(double(f64::NAN), decimal_type(5, 2)), "ERROR: 'NaN' is not a DECIMAL(5, 2)"),
        (cast(decimal("999.99", 5), decimal_type(4, 1)), "ERROR: 999.99 does not fit DECIMAL(4, 1)"),
    ]);
}

#[test]
fn to_integers_and_doubles() {
    check(&[
        (cast(text("1.234"), Int8), "1"),
        (cast(text("123"), Int8), "123"),
        (cast(text("-130"), Int8), "ERROR: -130 does not fit TINYINT"),
        (cast(text("Flink"), Int8), "ERROR: 'Flink' is not a BIGINT"),
        (cast(text(" 5 "), Int32), "5"),
        (cast(text(""), Int32), "ERROR: '' is not a BIGINT"),
        (cast(yes(true), Int16), "1"),
        (cast(decimal("9.870", 4), Int8), "9"),
        (cast(decimal("9123.870", 10), Int8), "ERROR: 9123.870 does not fit TINYINT"),
        (cast(int(-12), Int8), "-12"),
        (cast(int(1_234_567), Int8), "ERROR: 1234567 does not fit TINYINT"),
        (cast(double(-123.456_789), Int8), "-123"),
        (cast(double(1e300), Int64), "ERROR: 1.0E300 does not fit BIGINT"),
        (cast(double(f64::NAN), Int32), "ERROR: NaN does not fit INT"),
        (cast(text("1.25"), Float64), "1.25"),
        (cast(text("abc"), Float64), "ERROR: 'abc' is not a DOUBLE"),
        (cast(decimal("0.1", 2), Float64), "0.1"),
        (cast(decimal("12345678901234567890.123", 38), Float64), "1.2345678901234567E19"),
        (cast(big(12_345_678_901), Float64), "1.2345678901E10"),
    ]);
    let or_null = |e, to| Expr::Cast { expr: Box::new(e), to, or_null: true };
    check(&[(or_null(text("x"), Int32), "NULL"), (or_null(text("7"), Int32), "7")]);
}

#[test]
fn times_of_the_day() {
    let (s, ms, ns) = (Time32(TimeUnit::Second), Time32(TimeUnit::Millisecond), Time64(TimeUnit::Nanosecond));
    let stamp = Timestamp(TimeUnit::Millisecond, None);
    let ltz = Timestamp(TimeUnit::Millisecond, Some("Asia/Shanghai".into()));
    let noon = || cast(text("12:34:56.789"), ms.clone());
    check(&[
        (noon(), "12:34:56.789"),
        (cast(text("12:34:56.789"), s.clone()), "12:34:56"),
        (cast(text(" 2:03 "), s.clone()), "02:03:00"),
        (cast(text("23:59:59.999999999"), ns.clone()), "23:59:59.999999999"),
        (cast(text("24:00:00"), s.clone()), "ERROR: '24:00:00' is not a TIME(0)"),
        (cast(text("12:60"), ms.clone()), "ERROR: '12:60' is not a TIME(3)"),
        (cast(text("noon"), ns.clone()), "ERROR: 'noon' is not a TIME(9)"),
        (cast(noon(), Utf8), "12:34:56.789"),
        (cast(cast(text("9:05"), ms.clone()), Utf8), "09:05:00.000"),
        (cast(noon(), s.clone()), "12:34:56"),
        (cast(cast(noon(), ns.clone()), Utf8), "12:34:56.789000000"),
        (cast(noon(), stamp.clone()), "1970-01-01 12:34:56.789"),
        (cast(timestamp("1969-12-31 23:59:59.999"), ms.clone()), "23:59:59.999"),
        (cast(timestamp("2021-09-24 12:34:56.123"), s.clone()), "12:34:56"),
        (cast(cast(timestamp("2021-09-24 12:34:56"), ltz), s.clone()), "12:34:56"),
        (cast(null(Utf8), s.clone()), "NULL"),
        (Expr::Literal(Literal::Time(45_296_789, ms.clone())), "12:34:56.789"),
        (Expr::Literal(Literal::Time(-1, Int32)), "BUILD: -1: INT is no time type"),
    ]);
    assert!(show(&cast(big(1), s)).ends_with("cannot cast BIGINT to TIME(0)"));
}

#[test]
fn between_times() {
    let ltz = || Timestamp(TimeUnit::Millisecond, Some("Asia/Shanghai".into()));
    check(&[
        (cast(text("2021-09-24 12:34:56.123"), ms()), "2021-09-24 12:34:56.123"),
        (cast(text("2021-09-24"), ms()), "2021-09-24 00:00:00.000"),
        (cast(text("2021-09-24T12:34"), ms()), "2021-09-24 12:34:00.000"),
        (cast(text("2021-13-24"), ms()), "ERROR: '2021-13-24' is not a TIMESTAMP(3)"),
        (cast(text("2021-09-24"), Date32), "2021-09-24"),
        (cast(timestamp("2021-09-24 12:34:56.123"), Date32), "2021-09-24"),
        (cast(timestamp("1969-12-31 23:59:59.999"), Date32), "1969-12-31"),
        (cast(date("2021-09-24"), ms()), "2021-09-24 00:00:00.000"),
        (cast(timestamp("2021-09-24 12:34:56.123"), Timestamp(TimeUnit::Second, None)), "2021-09-24 12:34:56"),
        (cast(timestamp("2021-09-24 12:34:56.123"), ltz()), "2021-09-24 12:34:56.123"),
        (cast(cast(timestamp("2021-09-24 12:34:56.123"), ltz()), ms()), "2021-09-24 12:34:56.123"),
        (cast(cast(text("2021-09-24 12:00:00"), ltz()), Date32), "2021-09-24"),
    ]);
    // Asia/Shanghai is eight hours ahead: the instant of its noon
    let shanghai = Expression::new(&cast(timestamp("2021-09-24 12:00:00"), ltz()), &Schema::empty()).unwrap();
    let one = RecordBatch::try_new_with_options(
        Arc::new(Schema::empty()),
        vec![],
        &arrow::array::RecordBatchOptions::new().with_row_count(Some(1)),
    );
    let out = shanghai.evaluate(&one.unwrap()).unwrap().array;
    let instant = out.as_primitive::<arrow::datatypes::TimestampMillisecondType>().value(0);
    assert_eq!(instant, 1_632_456_000_000);
    assert!(show(&cast(timestamp("2021-09-24"), Int64)).starts_with("BUILD: CAST(TIMESTAMP '2021-09-24 00:00:00.000' AS BIGINT): cannot cast TIMESTAMP(3) to BIGINT; use TIMESTAMPDIFF"));
    assert!(show(&cast(big(1), ms())).ends_with("use TO_TIMESTAMP_LTZ(e, 3) for milliseconds"));
}
