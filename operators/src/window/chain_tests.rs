//! What a checkpoint of windows writes: the keys that changed, bounds, and key groups whole in their turn.

use super::tests::{MINUTE, aggregate, hop, node};
use super::{Window, window};
use arrow::array::{Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use highwater_engine::batch::Batch;
use highwater_engine::graph::AggregateFunction;
use highwater_engine::hash::KEY_GROUPS;
use highwater_engine::operator::{Operator, Output};
use highwater_engine::parts::Role;
use highwater_engine::state::{Snapshot, TURNS};
use highwater_engine::time::{Progress, Watermark};
use std::sync::Arc;

fn cards() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("card", DataType::Int64, true)]))
}

fn rows(op: &mut Window, cards_of: impl Iterator<Item = i64>, minute: i64) {
    let cards_of = Int64Array::from_iter_values(cards_of);
    let times = vec![minute * MINUTE; cards_of.len()];
    let batch = RecordBatch::try_new(cards(), vec![Arc::new(cards_of)]).unwrap();
    op.on_batch(0, Batch::new(batch, times.into()), &mut Output::default()).unwrap();
}

fn watermark(op: &mut Window, at: Watermark) {
    op.on_watermark(Progress { watermark: at, cut: 0 }, &mut Output::default()).unwrap();
}

/// Bytes that stand alone, bytes of deltas, deltas, and key groups that go on.
fn written(op: &mut Window, checkpoint: u64) -> (usize, usize, usize, usize) {
    let mut snapshot = Snapshot::of_turn(checkpoint);
    op.snapshot(&mut snapshot).unwrap();
    let going_on = snapshot.going_on().count();
    let (whole, deltas): (Vec<_>, Vec<_>) = snapshot.into_parts().partition(|part| part.whole);
    let bytes = |parts: &[highwater_engine::state::Part]| parts.iter().map(|p| p.bytes.len()).sum::<usize>();
    (bytes(&whole), bytes(&deltas), deltas.len(), going_on)
}

#[test]
fn a_checkpoint_writes_the_keys_that_took_rows() {
    let count = aggregate(AggregateFunction::Count, None, DataType::Int64, "COUNT(*)");
    let (node, spec) = node(&cards(), hop(5, 60), &[0], vec![count]);
    let mut op = window(&node, &spec, &cards(), Role::Whole).unwrap();
    let others = KEY_GROUPS - KEY_GROUPS / TURNS as usize;
    rows(&mut op, 0..20_000, 1);
    rows(&mut op, 0..20_000, 6);
    watermark(&mut op, Watermark::new(5 * MINUTE));
    let (all, ..) = written(&mut op, 0);

    // One key of an open slice; the other keys, and the slice in the total, are there already.
    rows(&mut op, std::iter::once(7), 7);
    let (whole, deltas, parts, going_on) = written(&mut op, 1);
    assert!(whole < all / 32 && deltas < 200 && parts <= 1 && going_on == others, "{whole} {deltas} {parts} of {all}");
    // Nothing.
    let (_, deltas, parts, going_on) = written(&mut op, 2);
    assert_eq!((deltas, parts, going_on), (0, 0, others));
    // A slice enters the total, with a key that changed: else bounds alone.
    rows(&mut op, std::iter::once(8), 8);
    watermark(&mut op, Watermark::new(11 * MINUTE));
    let (whole, deltas, parts, going_on) = written(&mut op, 3);
    assert!(whole < all / 32 && deltas < parts * 30 + 200 && parts == others && going_on == others, "{deltas} {parts}");
    // Everything is gone, and so is what was written of it.
    watermark(&mut op, Watermark::END);
    assert_eq!(written(&mut op, 4), (0, 0, 0, 0));
}
