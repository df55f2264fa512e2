//! State is bounded by what the longest frame holds: keys come and go, busy ones fall silent, and memory stays.

use super::super::operator::Over;
use super::random::Random;
use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use highwater_engine::batch::Batch;
use highwater_engine::graph::*;
use highwater_engine::operator::{Operator, Output};
use highwater_engine::time::{Progress, Watermark};
use std::sync::Arc;

const REACH_MS: i64 = 1_000;
const ROWS_PER_MS: usize = 20;

fn fields(names: &[&str]) -> SchemaRef {
    Arc::new(Schema::new(names.iter().map(|n| Field::new(*n, DataType::Int64, false)).collect::<Vec<_>>()))
}

/// COUNT(*) and COUNT(DISTINCT value) over the last second of each key.
pub fn over() -> Over {
    over_frame(Frame::range(REACH_MS, 0))
}

fn over_frame(frame: Frame) -> Over {
    let aggregate = |argument: Option<usize>| Aggregate {
        function: AggregateFunction::Count,
        argument,
        distinct: argument.is_some(),
        by: None,
        separator: String::new(),
        filter: None,
        returns: DataType::Int64,
        label: "COUNT".into(),
    };
    let spec = OverSpec {
        keys: vec![0],
        frames: vec![frame],
        calls: [None, Some(1)].map(|a| OverCall { frame: 0, aggregate: aggregate(a) }).to_vec(),
        emission: Emission::Final,
        pseudo: vec![],
    };
    let schema = fields(&["key", "value", "n", "values"]);
    let node = Node { name: "over".into(), inputs: vec![], step: Step::Over(spec.clone()), schema };
    Over::new(&node, &spec, &fields(&["key", "value"]), 64).unwrap()
}

/// A frame that begins with every second.
fn period() -> Frame {
    Frame::range(REACH_MS, 0).since(StartOf { period: Length::Ms(REACH_MS), zone: "UTC".into() })
}

/// Rows of these keys at these times; their values are of no account.
pub fn rows(keys: &[i64], times: &[i64]) -> Batch {
    batch(keys.to_vec(), vec![0; keys.len()], times.to_vec())
}

fn batch(keys: Vec<i64>, values: Vec<i64>, times: Vec<i64>) -> Batch {
    let columns: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(keys)), Arc::new(Int64Array::from(values))];
    Batch::new(RecordBatch::try_new(fields(&["key", "value"]), columns).unwrap(), times.into())
}

/// The most bytes of state in each of ten spans of `span_ms`; `key(random, ms)` says whose row comes.
fn state(frame: Frame, span_ms: i64, key: impl Fn(&mut Random, i64) -> u64) -> Vec<usize> {
    let (mut over, mut r) = (over_frame(frame), Random(7));
    let mut most = vec![0; 10];
    for at in 0..10 * span_ms {
        let keys: Vec<i64> = (0..ROWS_PER_MS).map(|_| key(&mut r, at) as i64).collect();
        let values: Vec<i64> = keys.iter().map(|_| r.below(50) as i64).collect();
        let mut out = Output::default();
        over.on_batch(0, batch(keys, values, vec![at; ROWS_PER_MS]), &mut out).unwrap();
        over.on_watermark(Progress { watermark: Watermark::new(at + 1), cut: at + 1 }, &mut out).unwrap();
        let most = &mut most[(at / span_ms) as usize];
        *most = over.state_bytes().max(*most);
    }
    most
}

fn is_flat(state: &[usize]) {
    let (first, last) = (state[2..5].iter().max().unwrap(), state[7..].iter().max().unwrap());
    let page = (1 << 21) as f64;
    assert!(*last as f64 <= *first as f64 * 1.05 + page, "state grows: {state:?}");
}

#[test]
fn keys_that_never_come_again_are_forgotten() {
    // each key lives for 40 ms: some 400,000 in all
    for frame in [Frame::range(REACH_MS, 0), period()] {
        is_flat(&state(frame, 2_500, |r, at| (at / 40) as u64 * 2_000 + r.below(2_000)));
    }
}

#[test]
fn keys_that_are_busy_by_turns_leave_their_memory_to_others() {
    // in every span another thousand of 10,000 keys has most of the rows
    for frame in [Frame::range(REACH_MS, 0), period()] {
        is_flat(&state(frame, 2_500, |r, at| match r.chance(20) {
            true => r.below(10_000),
            false => (at / 2_500) as u64 * 1_000 + r.below(1_000),
        }));
    }
}
