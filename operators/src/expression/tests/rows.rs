//! Which rows fail: those that fail alone, whatever shares their batch.

use super::*;
use BinaryOp::*;
use arrow::array::Int64Array;
use proptest::prelude::*;

fn batch(n: &[Option<i64>]) -> (Arc<Schema>, RecordBatch) {
    let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]));
    let column: ArrayRef = Arc::new(Int64Array::from(n.to_vec()));
    let batch = RecordBatch::try_new(schema.clone(), vec![column]).unwrap();
    (schema, batch)
}

fn n() -> Expr {
    Expr::Column(0)
}

fn hundred_over_n() -> Expr {
    binary(Greater, binary(Divide, big(100), n()), big(1))
}

fn bad_rows(e: &Expr, values: &[Option<i64>]) -> Vec<usize> {
    let (schema, batch) = batch(values);
    let out = Expression::new(e, &schema).unwrap().evaluate(&batch).unwrap();
    out.bad.into_iter().map(|(row, _)| row).collect()
}

#[test]
fn a_guard_protects_the_right_side_in_any_company() {
    let guarded = binary(And, binary(NotEqual, n(), big(0)), hundred_over_n());
    let either = binary(Or, binary(Equal, n(), big(0)), hundred_over_n());
    let mixed: Vec<_> = (0..64).map(|i| Some(i64::from(i % 2 == 0) * 7)).collect();
    for values in [vec![Some(0)], vec![Some(7), Some(0)], mixed, vec![None, Some(0), Some(7)]] {
        assert!(bad_rows(&guarded, &values).is_empty(), "{values:?}");
        assert!(bad_rows(&either, &values).is_empty(), "{values:?}");
    }
    // the other way round nothing protects it
    let reversed = binary(And, hundred_over_n(), binary(NotEqual, n(), big(0)));
    assert_eq!(bad_rows(&reversed, &[Some(7), Some(0), Some(1)]), [1]);
}

#[test]
fn a_long_chain_of_guards_is_linear() {
    let mut e = binary(NotEqual, n(), big(0));
    for _ in 0..200 {
        e = binary(And, e, hundred_over_n());
    }
    assert!(bad_rows(&e, &[Some(0), Some(1), None, Some(7)]).is_empty());
}

#[test]
fn case_coalesce_and_if_evaluate_only_what_they_need() {
    let case = Expr::Case {
        branches: vec![(binary(Equal, n(), big(0)), big(-1))],
        otherwise: Some(Box::new(binary(Divide, big(100), n()))),
    };
    assert!(bad_rows(&case, &[Some(0), Some(7), None]).is_empty());
    let coalesce = Expr::Call {
        function: "coalesce".into(),
        args: vec![n(), binary(Divide, big(1), big(0))],
        returns: DataType::Int64,
    };
    assert_eq!(bad_rows(&coalesce, &[Some(0), None, Some(7)]), [1]);
    let if_ = Expr::Call {
        function: "if".into(),
        args: vec![binary(Equal, n(), big(0)), big(0), binary(Divide, big(100), n())],
        returns: DataType::Int64,
    };
    assert!(bad_rows(&if_, &[Some(0), Some(7), None]).is_empty());
}

#[test]
fn three_valued_logic_with_a_right_side_that_can_fail() {
    // never fails, but may: so it stands behind a guard
    let right = |v: Expr| binary(Greater, binary(Add, v, int(0)), int(0));
    let value = |b: Option<bool>| match b {
        Some(b) => yes(b),
        None => null(DataType::Boolean),
    };
    let number = |b: Option<bool>| match b {
        Some(b) => int(i64::from(b)),
        None => null(DataType::Int32),
    };
    for l in [Some(true), Some(false), None] {
        for r in [Some(true), Some(false), None] {
            let and = match (l, r) {
                (Some(false), _) | (_, Some(false)) => "FALSE",
                (Some(true), Some(true)) => "TRUE",
                _ => "NULL",
            };
            let or = match (l, r) {
                (Some(true), _) | (_, Some(true)) => "TRUE",
                (Some(false), Some(false)) => "FALSE",
                _ => "NULL",
            };
            assert_eq!(show(&binary(And, value(l), right(number(r)))), and, "{l:?} AND {r:?}");
            assert_eq!(show(&binary(Or, value(l), right(number(r)))), or, "{l:?} OR {r:?}");
            assert_eq!(show(&binary(And, value(l), value(r))), and, "{l:?} AND {r:?}");
        }
    }
}

#[test]
fn reasons_are_short_and_plain() {
    let (schema, batch) = batch(&[Some(0)]);
    let out = Expression::new(&binary(Divide, big(1), n()), &schema).unwrap().evaluate(&batch).unwrap();
    assert_eq!(out.bad, [(0, "division by zero".to_owned())]);
    assert_eq!(
        Expression::new(&binary(Add, n(), Expr::Column(3)), &schema).unwrap_err().message,
        "column 3 does not exist: the input has 1"
    );
    let wrong = Expression::new(&binary(Add, n(), text("a")), &schema).unwrap_err().message;
    assert_eq!(wrong, "n + 'a': no such operation on BIGINT and STRING");
    let wrong = Expression::new(&binary(Equal, n(), text("a")), &schema).unwrap_err().message;
    assert_eq!(wrong, "n = 'a': BIGINT cannot be compared with STRING; write CAST(.. AS ..)");
}

#[test]
fn in_lists_follow_sql() {
    // sql_functions.yml: 4 IN (1, 2, NULL) is UNKNOWN
    let is_in = |v: i64, list: Vec<Expr>, negated| Expr::In { expr: Box::new(int(v)), list, negated };
    check(&[
        (is_in(4, vec![int(1), int(2), int(3)], false), "FALSE"),
        (is_in(1, vec![int(1), int(2), null(DataType::Int32)], false), "TRUE"),
        (is_in(4, vec![int(1), int(2), null(DataType::Int32)], false), "NULL"),
        (is_in(4, vec![int(1), int(2), null(DataType::Int32)], true), "NULL"),
        (is_in(1, vec![int(1), int(2), null(DataType::Int32)], true), "FALSE"),
    ]);
}

proptest! {
    #[test]
    fn bad_rows_do_not_depend_on_batch_borders(
        values in prop::collection::vec(prop::option::weighted(0.9, -1i64..3), 1..200),
        cut in 1usize..64,
    ) {
        let overflow = binary(Multiply, binary(Subtract, n(), big(1)), big(i64::MAX));
        let e = binary(Or, binary(And, binary(Less, n(), big(2)), hundred_over_n()), binary(Less, overflow, big(5)));
        let whole = bad_rows(&e, &values);
        let parts: Vec<usize> = values
            .chunks(cut)
            .enumerate()
            .flat_map(|(k, part)| bad_rows(&e, part).into_iter().map(move |row| k * cut + row))
            .collect();
        prop_assert_eq!(whole, parts);
    }
}
