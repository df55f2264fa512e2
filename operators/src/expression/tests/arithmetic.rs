//! Arithmetic and comparison against naive models.

use super::*;
use BinaryOp::*;
use arrow::array::Decimal128Array;
use arrow::datatypes::{Decimal128Type, i256};
use proptest::prelude::*;

#[test]
fn integers_never_wrap() {
    check(&[
        (binary(Add, big(i64::MAX), big(1)), "ERROR: overflow: 9223372036854775807 + 1"),
        (binary(Subtract, int(i32::MIN.into()), int(1)), "ERROR: overflow: -2147483648 - 1"),
        (binary(Multiply, int(65_536), int(65_536)), "ERROR: overflow: 65536 * 65536"),
        (binary(Divide, big(i64::MIN), big(-1)), "ERROR: overflow: -9223372036854775808 / -1"),
        (Expr::Negate(Box::new(int(i32::MIN.into()))), "ERROR: overflow: 0 - -2147483648"),
        (binary(Divide, int(10), int(0)), "ERROR: division by zero"),
        (binary(Modulo, int(10), int(0)), "ERROR: division by zero"),
        // Java: truncation towards zero, the remainder has the dividend's sign
        (binary(Divide, int(-7), int(2)), "-3"),
        (binary(Modulo, int(-7), int(3)), "-1"),
        (binary(Modulo, int(i32::MIN.into()), int(-1)), "0"),
        (binary(Divide, null(DataType::Int32), int(0)), "NULL"),
    ]);
}

#[test]
fn doubles_are_ieee() {
    check(&[
        (binary(Divide, double(1.0), double(0.0)), "Infinity"),
        (binary(Divide, double(0.0), double(0.0)), "NaN"),
        (binary(Equal, double(-0.0), double(0.0)), "TRUE"),
        (binary(Equal, double(f64::NAN), double(f64::NAN)), "FALSE"),
        (binary(NotEqual, double(f64::NAN), double(1.0)), "TRUE"),
        (binary(Greater, double(f64::NAN), double(1.0)), "FALSE"),
        (binary(Less, null(DataType::Float64), double(1.0)), "NULL"),
        // one zero
        (binary(Multiply, double(-1.0), double(0.0)), "0.0"),
    ]);
}

#[test]
fn decimal_types_are_flinks() {
    // LogicalTypeMerging and DecimalTypeTest of Flink
    let of = |op, a: (u8, i8), b: (u8, i8)| {
        let lit = |(p, s)| Expr::Literal(Literal::Decimal(1, p, s));
        match Expression::new(&binary(op, lit(a), lit(b)), &Schema::empty()).unwrap().data_type() {
            DataType::Decimal128(p, s) => (*p, *s),
            t => panic!("{t}"),
        }
    };
    assert_eq!(of(Add, (10, 2), (10, 4)), (13, 4));
    assert_eq!(of(Subtract, (12, 2), (12, 2)), (13, 2));
    assert_eq!(of(Add, (38, 0), (38, 0)), (38, 0));
    assert_eq!(of(Multiply, (12, 2), (12, 2)), (25, 4));
    assert_eq!(of(Multiply, (20, 10), (20, 10)), (38, 17));
    assert_eq!(of(Divide, (12, 2), (12, 2)), (27, 15));
    assert_eq!(of(Divide, (38, 20), (38, 20)), (38, 6));
    assert_eq!(of(Modulo, (12, 2), (5, 3)), (5, 3));
}

#[test]
fn decimals_round_half_up_and_fail_beyond_their_digits() {
    let d = |s: &str, p| decimal(s, p);
    check(&[
        (binary(Divide, d("2.00", 12), d("3.00", 12)), "0.666666666666667"),
        (binary(Divide, d("-1.00", 12), d("8.00", 12)), "-0.125000000000000"),
        (binary(Divide, d("1.00", 12), d("0.00", 12)), "ERROR: division by zero"),
        (binary(Modulo, d("1.00", 12), d("0.00", 12)), "ERROR: division by zero"),
        (binary(Modulo, d("-7.50", 12), d("2.00", 12)), "-1.50"),
        (binary(Divide, d("1.00", 12), int(3)), "0.3333333333333"),
        (
            binary(Add, d("99999999999999999999999999999999999999", 38), d("1", 38)),
            "ERROR: the result does not fit DECIMAL(38, 0)",
        ),
        (binary(Multiply, d("0.0000000005", 20), d("0.0000000001", 20)), "0.00000000000000000"),
        (binary(Multiply, d("1.5000000000", 20), d("1.5000000000", 20)), "2.25000000000000000"),
        (binary(Greater, d("100.01", 12), int(100)), "TRUE"),
        (binary(Equal, d("100.00", 12), d("100", 3)), "TRUE"),
    ]);
}

/// `n / d` half up on exact integers, by the definition: the integer nearest to the quotient, ties away from zero.
/// `None` if the definition leaves 256 bits.
fn nearest(n: i256, d: i256) -> Option<i256> {
    let two = i256::from_i128(2);
    let (an, ad) = (n.checked_abs()?, d.checked_abs()?);
    let q = an.checked_mul(two)?.checked_add(ad)?.checked_div(ad.checked_mul(two)?)?;
    Some(if (n < i256::ZERO) == (d < i256::ZERO) { q } else { q.wrapping_neg() })
}

fn ten(n: i32) -> i256 {
    (0..n).fold(i256::ONE, |v, _| v.wrapping_mul(i256::from_i128(10)))
}

fn operand() -> impl Strategy<Value = (u8, i8, Vec<Option<i128>>)> {
    (1u8..=38).prop_flat_map(|p| {
        let max = 10i128.pow(p.into()) - 1;
        let value = prop_oneof![Just(0i128), -9i128..=9, -max..=max, Just(max), Just(-max)]
            .prop_map(move |v| v.clamp(-max, max));
        (Just(p), 0..=p as i8, prop::collection::vec(prop::option::weighted(0.9, value), 8))
    })
}

proptest! {
    #[test]
    fn decimal_arithmetic_agrees_with_exact_rounding((p1, s1, l) in operand(), (p2, s2, r) in operand()) {
        for op in [Add, Subtract, Multiply, Divide] {
            let array = |v: &[Option<i128>], p, s| {
                Arc::new(Decimal128Array::from(v.to_vec()).with_precision_and_scale(p, s).unwrap()) as ArrayRef
            };
            let columns = [array(&l, p1, s1), array(&r, p2, s2)];
            let schema = Arc::new(Schema::new(
                columns.iter().map(|c| Field::new("c", c.data_type().clone(), true)).collect::<Vec<_>>(),
            ));
            let batch = RecordBatch::try_new(schema.clone(), columns.to_vec()).unwrap();
            let e = Expression::new(&binary(op, Expr::Column(0), Expr::Column(1)), &schema).unwrap();
            let DataType::Decimal128(p, s) = *e.data_type() else { panic!() };
            let out = e.evaluate(&batch).unwrap();
            let values = out.array.as_primitive::<Decimal128Type>();
            let bound = ten(p.into());
            for i in 0..l.len() {
                let (Some(a), Some(b)) = (l[i], r[i]) else { prop_assert!(values.is_null(i)); continue };
                let (a, b) = (i256::from_i128(a), i256::from_i128(b));
                let (s1, s2, s) = (i32::from(s1), i32::from(s2), i32::from(s));
                let top = s1.max(s2);
                let (x, y) = (a.wrapping_mul(ten(top - s1)), b.wrapping_mul(ten(top - s2)));
                let exact = match op {
                    Add => Some((x.checked_add(y).unwrap(), ten(top))),
                    Subtract => Some((x.checked_sub(y).unwrap(), ten(top))),
                    Multiply => Some((a.checked_mul(b).unwrap(), ten(s1 + s2))),
                    _ if b == i256::ZERO => None,
                    // scales above 38 digits of difference would leave the model's 256 bits
                    _ if s2 + s > 38 + s1 => continue,
                    _ => Some((a.checked_mul(ten(s2)).unwrap(), b.checked_mul(ten(s1)).unwrap())),
                };
                let bad = out.bad.iter().any(|(row, _)| *row == i);
                let Some((n, d)) = exact else { prop_assert!(bad, "{:?} {} {}", op, a, b); continue };
                let Some(v) = n.checked_mul(ten(s)).and_then(|n| nearest(n, d)) else { continue };
                if v.wrapping_abs() < bound {
                    prop_assert!(!bad, "{:?} {} {}", op, a, b);
                    prop_assert_eq!(i256::from_i128(values.value(i)), v, "{:?} {} {}", op, a, b);
                } else {
                    prop_assert!(bad, "{:?} {} {} = {}", op, a, b, values.value(i));
                }
            }
        }
    }

    #[test]
    fn integer_arithmetic_agrees_with_wider_integers(l in prop::collection::vec(prop::option::of(edgy()), 16), r in prop::collection::vec(prop::option::of(edgy()), 16)) {
        let columns: Vec<ArrayRef> = [&l, &r].map(|v| Arc::new(arrow::array::Int64Array::from(v.clone())) as _).to_vec();
        let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, true), Field::new("b", DataType::Int64, true)]));
        let batch = RecordBatch::try_new(schema.clone(), columns).unwrap();
        for op in [Add, Subtract, Multiply, Divide, Modulo] {
            let out = Expression::new(&binary(op, Expr::Column(0), Expr::Column(1)), &schema).unwrap().evaluate(&batch).unwrap();
            let values = out.array.as_primitive::<arrow::datatypes::Int64Type>();
            for i in 0..l.len() {
                let (Some(a), Some(b)) = (l[i], r[i]) else { prop_assert!(values.is_null(i)); continue };
                let (a, b) = (i128::from(a), i128::from(b));
                let exact = match op {
                    Add => Some(a + b),
                    Subtract => Some(a - b),
                    Multiply => Some(a * b),
                    Divide => a.checked_div(b),
                    _ => a.checked_rem(b),
                };
                match exact.and_then(|v| i64::try_from(v).ok()) {
                    Some(v) => prop_assert_eq!(values.value(i), v),
                    None => prop_assert!(out.bad.iter().any(|(row, _)| *row == i)),
                }
            }
        }
    }

    #[test]
    fn comparisons_with_nulls_agree_with_options(l in prop::collection::vec(prop::option::of(-2i64..3), 16), r in prop::collection::vec(prop::option::of(-2i64..3), 16)) {
        let columns: Vec<ArrayRef> = [&l, &r].map(|v| Arc::new(arrow::array::Int64Array::from(v.clone())) as _).to_vec();
        let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, true), Field::new("b", DataType::Int64, true)]));
        let batch = RecordBatch::try_new(schema.clone(), columns).unwrap();
        let ops: [(BinaryOp, Test); 6] = [
            (Equal, |a, b| a == b), (NotEqual, |a, b| a != b), (Less, |a, b| a < b),
            (LessOrEqual, |a, b| a <= b), (Greater, |a, b| a > b), (GreaterOrEqual, |a, b| a >= b),
        ];
        for (op, naive) in ops {
            for doubles in [false, true] {
                let side = |i| if doubles { cast(Expr::Column(i), DataType::Float64) } else { Expr::Column(i) };
                let out = Expression::new(&binary(op, side(0), side(1)), &schema).unwrap().evaluate(&batch).unwrap();
                let got: Vec<Option<bool>> = out.array.as_boolean().iter().collect();
                let expected: Vec<_> = l.iter().zip(&r).map(|(a, b)| Some(naive((*a)?, (*b)?))).collect();
                prop_assert_eq!(got, expected);
            }
        }
        let distinct = Expression::new(&binary(IsDistinctFrom, Expr::Column(0), Expr::Column(1)), &schema).unwrap();
        let got: Vec<Option<bool>> = distinct.evaluate(&batch).unwrap().array.as_boolean().iter().collect();
        prop_assert_eq!(got, l.iter().zip(&r).map(|(a, b)| Some(a != b)).collect::<Vec<_>>());
    }
}

type Test = fn(i64, i64) -> bool;

fn edgy() -> impl Strategy<Value = i64> {
    prop_oneof![-3i64..4, any::<i64>(), Just(i64::MIN), Just(i64::MAX)]
}
