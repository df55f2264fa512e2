//! Filter and projection: rows kept, rows failed, and where they are named.

use super::*;
use crate::check::check;
use arrow::array::{AsArray, Int64Array, StringArray};
use arrow::datatypes::Int64Type;
use highwater_engine::batch::{Offsets, Origin};
use highwater_engine::expr::{BinaryOp, Literal};
use highwater_engine::graph::Step;
use proptest::prelude::*;

fn big(v: i64) -> Expr {
    Expr::Literal(Literal::Integer(v, DataType::Int64))
}

fn schema(fields: &[(&str, DataType)]) -> SchemaRef {
    Arc::new(Schema::new(fields.iter().map(|(n, t)| Field::new(*n, t.clone(), true)).collect::<Vec<_>>()))
}

fn node(spec: MapSpec, output: &SchemaRef) -> Node {
    Node { name: "alerts.map.1".into(), inputs: vec![0], step: Step::Map(spec), schema: output.clone() }
}

fn make(node: &Node, input: &SchemaRef) -> Result<Box<dyn Operator>, BuildError> {
    match &node.step {
        Step::Map(spec) => operator(node, spec, input),
        _ => unreachable!("the step is a Map"),
    }
}

fn ratio() -> Expr {
    Expr::binary(BinaryOp::Divide, big(100), Expr::Column(1))
}

fn payments() -> SchemaRef {
    schema(&[("card", DataType::Utf8), ("n", DataType::Int64)])
}

fn query(filter: Option<Expr>, columns: Vec<Expr>) -> MapSpec {
    MapSpec { filter, columns, query: "INSERT INTO alerts".into() }
}

#[test]
fn rows_pass_where_the_filter_is_true() {
    let output = schema(&[("n2", DataType::Int64), ("card", DataType::Utf8)]);
    let filter = Expr::binary(BinaryOp::Greater, Expr::Column(1), big(1));
    let double = Expr::binary(BinaryOp::Multiply, Expr::Column(1), big(2));
    let node = node(query(Some(filter), vec![double, Expr::Column(0)]), &output);
    check(
        &|| make(&node, &payments()).unwrap(),
        &payments(),
        &output,
        "
        08:01 | A | 1
        08:02 | B | 2
        08:00 @08:01 | C | 3
        08:03 | D | NULL
        ----
        ordered
        08:02 | 4 | B
        08:00 | 6 | C
        ",
    );
}

/// Five rows of one partition, the middle three of them selected: n is 0, 7, 0.
fn partition_batch() -> Batch {
    let columns: Vec<ArrayRef> =
        vec![Arc::new(StringArray::from(vec!["b", "c", "d"])), Arc::new(Int64Array::from(vec![0, 7, 0]))];
    let origin = Origin {
        source: 3,
        partition: 2,
        offsets: Offsets::List(vec![10, 20, 30, 40, 50].into()),
        times: vec![1_000, 5_000, 2_000, 3_000, 9_000].into(),
        max_before: i64::MIN,
        delay_ms: 100,
        cuts: None,
    };
    Batch::new(RecordBatch::try_new(payments(), columns).unwrap(), vec![5_000, 2_000, 3_000].into())
        .with_tags(Some(vec![i64::MIN, 4_901, 4_901].into()))
        .with_identity(Some(Identity::Partition(Arc::new(origin), Selection::Run(1))))
}

#[test]
fn a_failing_row_becomes_a_row_of_errors_and_the_others_pass() {
    let output = schema(&[("x", DataType::Int64)]);
    let node = node(query(None, vec![ratio()]), &output);
    let mut out = Output::default();
    make(&node, &payments()).unwrap().on_batch(0, partition_batch(), &mut out).unwrap();
    let bad = |offset, watermark| BadRow {
        source: 3,
        partition: 2,
        offset,
        reason: "INSERT INTO alerts: 100 / n: division by zero".into(),
        raw: None,
        watermark,
    };
    // W before the second row is 1,000 − 100 + 1; before the fourth 5,000 − 100 + 1
    assert_eq!(out.bad, [bad(20, 901), bad(40, 4_901)]);
    let passed = &out.batches[0];
    assert_eq!(passed.column(0).as_primitive::<Int64Type>().values()[..], [14]);
    assert_eq!((passed.times()[0], passed.tag(0)), (2_000, Some(4_901)));
    let Some(Identity::Partition(_, Selection::Rows(rows))) = passed.identity() else { panic!("identity lost") };
    assert_eq!(rows[..], [2]);
}

#[test]
fn a_failing_filter_names_its_clause() {
    let output = schema(&[("card", DataType::Utf8)]);
    let filter = Expr::binary(BinaryOp::Greater, ratio(), big(1));
    let node = node(query(Some(filter), vec![Expr::Column(0)]), &output);
    let mut out = Output::default();
    make(&node, &payments()).unwrap().on_batch(0, partition_batch(), &mut out).unwrap();
    let reasons: Vec<_> = out.bad.iter().map(|b| (b.offset, b.reason.as_str())).collect();
    let reason = "INSERT INTO alerts: WHERE (100 / n) > 1: division by zero";
    assert_eq!(reasons, [(20, reason), (40, reason)]);
    assert_eq!(out.batches[0].column(0).as_string::<i32>().value(0), "c");
}

#[test]
fn without_a_place_in_an_input_a_failing_row_halts_the_job() {
    let output = schema(&[("x", DataType::Int64)]);
    let node = node(query(None, vec![ratio()]), &output);
    let batch = partition_batch().with_identity(None);
    let error = make(&node, &payments()).unwrap().on_batch(0, batch, &mut Output::default()).unwrap_err();
    let expected = "alerts.map.1: INSERT INTO alerts: 100 / n: division by zero, on the row (card=b, n=0);";
    assert!(error.message.starts_with(expected), "{}", error.message);
}

#[test]
fn columns_alone_are_not_copied() {
    let output = schema(&[("n", DataType::Int64)]);
    let node = node(query(None, vec![Expr::Column(1)]), &output);
    let batch = partition_batch();
    let before = batch.column(1).clone();
    let mut out = Output::default();
    make(&node, &payments()).unwrap().on_batch(0, batch, &mut out).unwrap();
    assert!(Arc::ptr_eq(&before, out.batches[0].column(0)));
}

#[test]
fn null_in_a_not_null_column_is_bad() {
    let output = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]));
    let mut program = MapProgram::new(&query(None, vec![Expr::Column(0)]), &schema(&[("n", DataType::Int64)]), &output);
    let column: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None]));
    let input = RecordBatch::try_new(schema(&[("n", DataType::Int64)]), vec![column]).unwrap();
    let out = program.as_mut().unwrap().apply(&input).unwrap();
    assert_eq!(out.bad, [(1, "INSERT INTO alerts: n: NULL in a NOT NULL column".to_owned())]);
    assert_eq!(out.kept.unwrap().values()[..], [0]);
}

#[test]
fn a_map_without_columns_keeps_its_rows() {
    let filter = Expr::binary(BinaryOp::Equal, Expr::Column(1), big(7));
    let empty: SchemaRef = Arc::new(Schema::empty());
    let node = node(query(Some(filter), vec![]), &empty);
    let mut out = Output::default();
    make(&node, &payments()).unwrap().on_batch(0, partition_batch(), &mut out).unwrap();
    assert_eq!((out.batches[0].rows(), out.batches[0].times()[0]), (1, 2_000));
}

#[test]
fn build_errors_name_the_query_and_the_part() {
    let build = |spec: MapSpec, output: &SchemaRef| {
        let node = node(spec, output);
        make(&node, &payments()).err().unwrap().message
    };
    let number = schema(&[("x", DataType::Int64)]);
    assert_eq!(
        build(query(None, vec![Expr::Column(0)]), &number),
        "INSERT INTO alerts: column x: card is STRING, not BIGINT"
    );
    assert_eq!(
        build(query(None, vec![Expr::Column(9)]), &number),
        "INSERT INTO alerts: column 9 does not exist: the input has 2"
    );
    assert_eq!(
        build(query(Some(Expr::Column(1)), vec![Expr::Column(1)]), &number),
        "INSERT INTO alerts: WHERE n is BIGINT, not BOOLEAN"
    );
    assert_eq!(build(query(None, vec![]), &number), "INSERT INTO alerts: 0 columns instead of 1");
}

proptest! {
    #[test]
    fn kept_and_bad_rows_agree_with_a_row_at_a_time(values in prop::collection::vec(prop::option::weighted(0.9, -2i64..5), 0..100)) {
        let input = schema(&[("card", DataType::Utf8), ("n", DataType::Int64)]);
        let output = schema(&[("x", DataType::Int64), ("n", DataType::Int64)]);
        // n < 3 AND 100 / n > -1000 (fails at 0), then 9223372036854775806 + n (fails at 2)
        let filter = Expr::binary(
            BinaryOp::And,
            Expr::binary(BinaryOp::Less, Expr::Column(1), big(3)),
            Expr::binary(BinaryOp::Greater, ratio(), big(-1_000)),
        );
        let sum = Expr::binary(BinaryOp::Add, big(i64::MAX - 1), Expr::Column(1));
        let mut program = MapProgram::new(&query(Some(filter), vec![sum, Expr::Column(1)]), &input, &output).unwrap();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from(vec!["c"; values.len()])),
            Arc::new(Int64Array::from(values.clone())),
        ];
        let out = program.apply(&RecordBatch::try_new(input, columns).unwrap()).unwrap();
        let kept: Vec<u32> = match &out.kept {
            Some(k) => k.values().to_vec(),
            None => (0..values.len() as u32).collect(),
        };
        let bad: Vec<usize> = out.bad.iter().map(|(row, _)| *row).collect();
        let rows = |f: &dyn Fn(i64) -> bool| -> Vec<usize> {
            (0..values.len()).filter(|i| values[*i].is_some_and(f)).collect()
        };
        prop_assert_eq!(bad, rows(&|n| n == 0 || n == 2));
        let passed = rows(&|n| n < 3 && n != 0 && n != 2);
        prop_assert_eq!(kept.iter().map(|i| *i as usize).collect::<Vec<_>>(), passed.clone());
        let x = out.columns.column(0).as_primitive::<Int64Type>();
        prop_assert_eq!(x.values().to_vec(), passed.iter().map(|i| i64::MAX - 1 + values[*i].unwrap()).collect::<Vec<_>>());
    }
}
