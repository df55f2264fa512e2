//! Rules, one a script. Expected values are worked out by hand.

use crate::check::{check, check_error};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use highwater_engine::graph::*;
use highwater_engine::operator::Operator;
use std::sync::Arc;

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

fn input() -> SchemaRef {
    let fields = [
        ("card", DataType::Utf8, true),
        ("amount", DataType::Decimal128(12, 2), true),
        ("shop", DataType::Utf8, true),
        ("declined", DataType::Boolean, true),
        ("n", DataType::Int32, true),
        ("rate", DataType::Float64, true),
        ("big", DataType::Decimal128(38, 0), true),
        ("at", DataType::Timestamp(TimeUnit::Millisecond, None), true),
    ];
    Arc::new(Schema::new(fields.map(|(n, t, null)| Field::new(n, t, null)).to_vec()))
}

/// A job over some columns of the input: keys, frames and calls by name.
pub struct Case {
    columns: Vec<&'static str>,
    keys: Vec<&'static str>,
    frames: Vec<Frame>,
    calls: Vec<(usize, &'static str)>,
    emission: Emission,
    pub pseudo: Vec<PseudoColumn>,
}

pub fn case(columns: &[&'static str], frames: &[(i64, i64)], calls: &[(usize, &'static str)]) -> Case {
    let frames = frames.iter().map(|(start_ms, end_ms)| Frame::range(*start_ms, *end_ms)).collect();
    let (columns, calls) = (columns.to_vec(), calls.to_vec());
    Case { columns, keys: vec!["card"], frames, calls, emission: Emission::Final, pseudo: vec![] }
}

impl Case {
    pub fn arrival(mut self, late_horizon_ms: i64) -> Self {
        self.emission = Emission::Arrival { late_horizon_ms };
        self.pseudo = vec![PseudoColumn::IsLate, PseudoColumn::IsIncomplete];
        self
    }
    /// With these frames instead.
    pub fn over(mut self, frames: &[Frame]) -> Self {
        self.frames = frames.to_vec();
        self
    }
    pub fn keys(mut self, keys: &[&'static str]) -> Self {
        self.keys = keys.to_vec();
        self
    }
    fn input(&self) -> SchemaRef {
        let field = |c: &&str| input().field_with_name(c).unwrap().clone();
        Arc::new(Schema::new(self.columns.iter().map(field).collect::<Vec<_>>()))
    }
    fn node(&self) -> (Node, OverSpec) {
        let schema = self.input();
        let calls: Vec<_> = self.calls.iter().map(|(f, text)| call(&schema, *f, text)).collect();
        let mut fields: Vec<Field> = schema.fields().iter().map(|f| f.as_ref().clone()).collect();
        let result = |(i, c): (usize, &OverCall)| Field::new(format!("f{i}"), c.aggregate.returns.clone(), true);
        fields.extend(calls.iter().enumerate().map(result));
        fields.extend(self.pseudo.iter().map(|p| Field::new(format!("{p:?}"), DataType::Boolean, false)));
        let keys = self.keys.iter().map(|k| schema.index_of(k).unwrap()).collect();
        let (frames, pseudo) = (self.frames.clone(), self.pseudo.clone());
        let spec = OverSpec { keys, frames, calls, emission: self.emission, pseudo };
        let schema = Arc::new(Schema::new(fields));
        (Node { name: "over".into(), inputs: vec![], step: Step::Over(spec.clone()), schema }, spec)
    }
    fn make(&self, small_max: usize) -> Box<dyn Operator> {
        let (node, spec) = self.node();
        Box::new(super::super::operator::Over::new(&node, &spec, &self.input(), small_max).unwrap())
    }
    /// Short logs only, then long logs from the second entry on.
    pub fn check(&self, script: &str) {
        let output = self.node().0.schema;
        check(&|| self.make(64), &self.input(), &output, script);
        check(&|| self.make(1), &self.input(), &output, script);
    }
    fn error(&self, script: &str) -> String {
        check_error(&|| self.make(64), &self.input(), script)
    }
    fn refusal(&self) -> String {
        let (node, spec) = self.node();
        super::super::operator(&node, &spec, &self.input()).err().expect("the node is refused").message
    }
}

/// `sum distinct amount if declined`.
fn call(schema: &SchemaRef, frame: usize, text: &str) -> OverCall {
    use AggregateFunction::*;
    let words: Vec<&str> = text.split(' ').collect();
    let (function, rest) = (words[0], &words[1..]);
    let distinct = rest.first() == Some(&"distinct");
    let rest = &rest[usize::from(distinct)..];
    let (argument, filter) = match rest.iter().position(|w| *w == "if") {
        Some(i) => (rest[..i].first(), Some(schema.index_of(rest[i + 1]).unwrap())),
        None => (rest.first(), None),
    };
    let argument = argument.map(|a| schema.index_of(a).unwrap());
    let t = argument.map(|a| schema.field(a).data_type().clone());
    let function = match function {
        "count" => Count,
        "sum" => Sum,
        "avg" => Avg,
        "min" => Min,
        "max" => Max,
        "stddev" => StddevSamp,
        "stddev_pop" => StddevPop,
        "var_samp" => VarSamp,
        "var_pop" => VarPop,
        "all" => BoolAnd,
        "any" => BoolOr,
        "first" => FirstValue,
        "last" => LastValue,
        "second" => NthValue { n: 2 },
        "lag" => Lag { offset: 1 },
        "lag2" => Lag { offset: 2 },
        "median" => PercentileCont { millionths: 500_000 },
        "p90" => PercentileCont { millionths: 900_000 },
        other => panic!("no function {other}"),
    };
    let returns = match (function, t) {
        (Sum, Some(DataType::Decimal128(_, s))) => DataType::Decimal128(38, s),
        (f, Some(DataType::Decimal128(_, s))) if f.adds() => DataType::Decimal128(38, s.max(6)),
        (PercentileCont { .. }, Some(_)) => DataType::Decimal128(38, 6),
        (Count, _) | (_, None) => DataType::Int64,
        (_, Some(t)) => t,
    };
    OverCall {
        frame,
        aggregate: Aggregate {
            function,
            argument,
            by: None,
            separator: String::new(),
            distinct,
            filter,
            returns,
            label: text.into(),
        },
    }
}

#[test]
fn the_lower_edge_is_included() {
    case(&["card", "amount"], &[(HOUR, 0)], &[(0, "count"), (0, "sum amount")]).check(
        "08:00 | A | 1
         09:00 | A | 2
         09:00:00.001 | A | 4
         ----
         08:00 | A | 1 | 1 | 1
         09:00 | A | 2 | 2 | 3                  // 08:00 is exactly one hour before
         09:00:00.001 | A | 4 | 2 | 6",
    );
}

#[test]
fn peers_see_each_other_under_final() {
    case(&["card", "amount"], &[(0, 0), (HOUR, 0)], &[(0, "count"), (1, "sum amount")]).check(
        "08:00 | A | 1
         08:00 | A | 2
         08:00 | B | 5
         08:30 | A | 4
         ----
         08:00 | A | 1 | 2 | 3
         08:00 | A | 2 | 2 | 3
         08:00 | B | 5 | 1 | 5
         08:30 | A | 4 | 1 | 7",
    );
}

#[test]
fn a_row_is_answered_when_the_watermark_passes_it_and_in_event_time_order() {
    case(&["card"], &[(HOUR, 0)], &[(0, "count")]).check(
        "08:02 | A
         08:01 | B
         08:03 | A
         watermark 08:02                        // exclusive: 08:02 may still get peers
         08:02 | A
         watermark 08:02:00.001
         ----
         ordered
         watermark 08:02
         08:01 | B | 1
         watermark 08:02:00.001
         08:02 | A | 2
         08:02 | A | 2
         watermark end
         08:03 | A | 3",
    );
}

#[test]
fn a_late_row_is_refused_under_final_and_seen_by_nobody() {
    case(&["card", "amount"], &[(HOUR, 0)], &[(0, "count")]).check(
        "08:10 | A | 1
         watermark 08:05
         08:04 @08:05 | A | 2
         08:11 | A | 3
         ----
         08:10 | A | 1 | 1
         08:11 | A | 3 | 2
         refused 1",
    );
}

#[test]
fn a_frame_may_end_seven_days_before_the_row() {
    case(&["card", "declined"], &[(14 * DAY, 7 * DAY)], &[(0, "count"), (0, "count if declined")]).check(
        "1970-01-01 00:00 | A | true
         1970-01-05 00:00 | A | false
         1970-01-07 23:59:59.999 | A | NULL
         1970-01-08 00:00 | A | true            // [t − 14 d, t − 7 d] ends with the first row
         1970-01-15 00:00 | A | true            // begins with it
         1970-01-15 00:00:00.001 | A | true
         ----
         1970-01-01 00:00 | A | true | 0 | 0
         1970-01-05 00:00 | A | false | 0 | 0
         1970-01-07 23:59:59.999 | A | NULL | 0 | 0
         1970-01-08 00:00 | A | true | 1 | 1
         1970-01-15 00:00 | A | true | 4 | 2
         1970-01-15 00:00:00.001 | A | true | 3 | 1",
    );
}

#[test]
fn distinct_ignores_null_and_counts_a_value_once_while_any_of_it_is_inside() {
    case(&["card", "shop"], &[(HOUR, 0)], &[(0, "count distinct shop"), (0, "count shop"), (0, "count")]).check(
        "08:00 | A | bakery and mill
         08:10 | A | NULL
         08:20 | A | bakery and mill
         08:30 | A | cafe
         09:15 | A | bar                        // the first bakery has left, the second not
         09:25 | A | bar
         ----
         08:00 | A | bakery and mill | 1 | 1 | 1
         08:10 | A | NULL | 1 | 1 | 2
         08:20 | A | bakery and mill | 1 | 2 | 3
         08:30 | A | cafe | 2 | 3 | 4
         09:15 | A | bar | 3 | 3 | 3
         09:25 | A | bar | 2 | 3 | 3",
    );
}

#[test]
fn a_filter_belongs_to_its_distinct_call() {
    case(
        &["card", "shop", "declined"],
        &[(HOUR, 0)],
        &[(0, "count distinct shop if declined"), (0, "count distinct shop")],
    )
    .check(
        "08:00 | A | x | true
             08:10 | A | x | false
             08:20 | A | y | NULL
             09:05 | A | y | true               // the only declined x has left, another x not
             ----
             08:00 | A | x | true | 1 | 1
             08:10 | A | x | false | 1 | 1
             08:20 | A | y | NULL | 1 | 2
             09:05 | A | y | true | 1 | 2",
    );
}

#[test]
fn over_no_value_all_but_count_are_null() {
    let calls = ["count amount", "sum amount", "avg amount", "min amount", "max amount", "stddev amount", "min shop"];
    case(&["card", "amount", "shop"], &[(HOUR, 0)], &calls.map(|c| (0, c))).check(
        "08:00 | A | NULL | NULL
         08:01 | A | 2 | b
         08:02 | A | 1 | a
         ----
         08:00 | A | NULL | NULL | 0 | NULL | NULL | NULL | NULL | NULL | NULL
         08:01 | A | 2 | b | 1 | 2 | 2 | 2 | 2 | NULL | b
         08:02 | A | 1 | a | 2 | 3 | 1.5 | 1 | 2 | 0.707107 | a   // √½",
    );
}

#[test]
fn null_is_a_key_and_keys_may_have_several_columns() {
    case(&["card", "shop"], &[(HOUR, 0)], &[(0, "count")]).check(
        "08:00 | NULL | x
         08:01 | NULL | x
         08:02 |  | x
         ----
         08:00 | NULL | x | 1
         08:01 | NULL | x | 2
         08:02 |  | x | 1",
    );
    case(&["card", "shop"], &[(HOUR, 0)], &[(0, "count")]).keys(&["card", "shop"]).check(
        "08:00 | a | NULL
         08:01 | NULL | a
         08:02 | a | NULL
         08:03 | ab | c
         08:04 | a | bc
         ----
         08:00 | a | NULL | 1
         08:01 | NULL | a | 1
         08:02 | a | NULL | 2
         08:03 | ab | c | 1
         08:04 | a | bc | 1",
    );
    case(&["n"], &[(HOUR, 0)], &[(0, "count")]).keys(&["n"]).check(
        "08:00 | 0
         08:01 | NULL
         08:02 | NULL
         ----
         08:00 | 0 | 1
         08:01 | NULL | 1
         08:02 | NULL | 2",
    );
    case(&["n"], &[(HOUR, 0)], &[(0, "count")])
        .keys(&[])
        .check("08:00 | 1\n08:01 | 2\n----\n08:00 | 1 | 1\n08:01 | 2 | 2");
}

#[test]
fn under_arrival_a_row_sees_what_has_arrived_and_no_later_event_time() {
    case(&["card", "amount"], &[(HOUR, 0)], &[(0, "count"), (0, "sum amount")]).arrival(HOUR).check(
        "08:10 #1/0/0 | A | 1
         08:20 #1/0/1 | A | 2
         08:15 #1/0/2 | A | 4                   // out of order, but on time: does not see 08:20
         08:20 #1/0/3 | A | 8                   // sees its peer, which did not see it
         ----
         08:10 | A | 1 | 1 | 1 | false | false
         08:20 | A | 2 | 2 | 3 | false | false
         08:15 | A | 4 | 2 | 5 | false | false
         08:20 | A | 8 | 4 | 15 | false | false",
    );
}

#[test]
fn arrival_order_is_cut_then_partition_then_offset() {
    case(&["card", "amount"], &[(HOUR, 0)], &[(0, "sum amount")]).arrival(HOUR).check(
        "08:10 #2/0/7 | A | 1
         08:10 #1/1/0 | A | 2
         08:10 #1/0/6 | A | 4
         watermark 08:00 cut 2                  // cut 2 is not complete
         08:10 #2/0/8 | A | 8
         08:10 #2/1/1 | A | 16
         watermark 08:00 cut 3
         ----
         ordered
         watermark 08:00
         08:10 | A | 4 | 4 | false | false
         08:10 | A | 2 | 6 | false | false
         watermark 08:00
         08:10 | A | 1 | 7 | false | false
         08:10 | A | 8 | 15 | false | false
         08:10 | A | 16 | 31 | false | false",
    );
}

#[test]
fn a_late_row_is_answered_under_arrival_up_to_the_horizon() {
    case(&["card", "amount"], &[(HOUR, 0)], &[(0, "count"), (0, "sum amount")]).arrival(HOUR).check(
        "08:00 #1/0/0 | A | 1
         09:30 #2/0/1 | A | 2
         watermark 09:20 cut 3
         08:20 @09:20 #3/0/2 | A | 4            // exactly at the horizon: enters
         08:19:59.999 @09:20 #3/0/3 | A | 8     // behind it: does not
         08:40 @09:20 #3/0/4 | A | 16
         09:20 #3/0/5 | A | 32
         ----
         08:00 | A | 1 | 1 | 1 | false | false
         09:30 | A | 2 | 1 | 2 | false | false
         08:20 | A | 4 | 2 | 5 | true | false
         08:19:59.999 | A | 8 | NULL | NULL | true | true
         08:40 | A | 16 | 3 | 21 | true | false
         09:20 | A | 32 | 3 | 52 | false | false",
    );
}

#[test]
fn overflow_names_the_call_the_key_the_frame_and_the_cure() {
    let script = "08:00 | A | 2147483647\n08:30 | A | 1";
    let error = case(&["card", "n"], &[(HOUR, 0)], &[(0, "sum n")]).error(script);
    assert_eq!(
        error,
        "sum n of card=A in [1970-01-01T07:30:00, 1970-01-01T08:30:00] exceeds INT; CAST its argument AS BIGINT"
    );
    let most = "9".repeat(38);
    let script = format!("08:00 | A | {most}\n08:30 | A | 1");
    let error = case(&["card", "big"], &[(HOUR, 0)], &[(0, "sum big")]).error(&script);
    assert!(
        error.starts_with("sum big of card=A in [1970-01-01T07:30:00, 1970-01-01T08:30:00] exceeds DECIMAL(38, 0)"),
        "{error}"
    );
}

#[test]
fn a_sum_that_overflows_on_the_way_but_fits_in_the_end_is_exact() {
    let most = "9".repeat(38);
    case(&["card", "big"], &[(HOUR, 0)], &[(0, "sum big"), (0, "max big"), (0, "count distinct big")]).check(&format!(
        "08:00 | A | {most}
         08:00 | A | {most}
         08:00 | A | -{most}
         ----
         08:00 | A | {most} | {most} | {most} | 2
         08:00 | A | {most} | {most} | {most} | 2
         08:00 | A | -{most} | {most} | {most} | 2"
    ));
}

#[test]
fn extrema_and_distinct_take_every_type() {
    let calls = ["max rate", "count distinct rate", "min declined", "max at", "max shop"];
    case(&["card", "rate", "declined", "at", "shop"], &[(HOUR, 0)], &calls.map(|c| (0, c))).check(
        "08:00 | A | 0.0 | true | 07:00 | eight bytes and more
         08:01 | A | -0.0 | false | 06:00 | short
         08:02 | A | -1.5 | NULL | NULL | NULL
         ----
         08:00 | A | 0.0 | true | 07:00 | eight bytes and more | 0.0 | 1 | true | 07:00 | eight bytes and more
         08:01 | A | -0.0 | false | 06:00 | short | 0.0 | 1 | false | 07:00 | short
         08:02 | A | -1.5 | NULL | NULL | NULL | 0.0 | 2 | false | 07:00 | short",
    );
}

#[test]
fn sums_of_double_are_refused_with_the_cure() {
    let refused = |c| case(&["card", "rate"], &[(HOUR, 0)], &[(0, c)]).refusal();
    for c in ["sum rate", "avg rate", "stddev rate"] {
        assert!(refused(c).contains(c) && refused(c).contains("cast to DECIMAL(p, s)"), "{}", refused(c));
    }
}

#[test]
fn frames_that_do_not_trail_and_pseudo_columns_under_final_are_refused() {
    assert!(case(&["card"], &[(1, 2)], &[(0, "count")]).refusal().contains("not a trailing frame"));
    assert!(case(&["card"], &[(0, -1)], &[(0, "count")]).refusal().contains("not a trailing frame"));
    let mut pseudo = case(&["card"], &[(HOUR, 0)], &[(0, "count")]).arrival(HOUR);
    pseudo.emission = Emission::Final;
    assert!(pseudo.refusal().contains("arrival"));
}
