//! Scripts, and a naive model on random rows: all rows of a key sorted, the first ones numbered.

use super::operator;
use crate::check::{check, rows_of};
use arrow::array::{Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use highwater_engine::batch::{Arrival, Batch, Identity, ON_TIME};
use highwater_engine::graph::{Node, OrderBy, Step, TopNSpec};
use highwater_engine::hash::{hash_columns, key_group, owner};
use highwater_engine::operator::{Operator, Output};
use highwater_engine::state::Snapshot;
use highwater_engine::time::{Progress, Watermark};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

fn schema(ranked: bool) -> SchemaRef {
    let fields = [("window", DataType::Int64), ("shop", DataType::Utf8), ("amount", DataType::Int64)];
    let rank = ranked.then(|| Field::new("rank", DataType::Int64, true));
    Arc::new(Schema::new(fields.map(|(n, t)| Field::new(n, t, true)).into_iter().chain(rank).collect::<Vec<_>>()))
}

fn by(column: usize, descending: bool, nulls_first: bool) -> OrderBy {
    OrderBy { column, descending, nulls_first }
}

fn make(keys: &[usize], order: &[OrderBy], limit: u64) -> Box<dyn Operator> {
    let spec = TopNSpec { keys: keys.to_vec(), order: order.to_vec(), limit };
    let step = Step::TopN(spec.clone());
    let node = Node { name: "top".into(), inputs: vec![0], step, schema: schema(true) };
    operator(&node, &spec, &schema(false)).unwrap()
}

fn script(keys: &[usize], order: &[OrderBy], limit: u64, script: &str) {
    check(&|| make(keys, order, limit), &schema(false), &schema(true), script);
}

#[test]
fn the_greatest_of_each_window_come_out_in_order_with_their_rank() {
    script(
        &[0],
        &[by(2, true, false)],
        2,
        "
        08:09:59.999 | 0 | a | 4
        08:09:59.999 | 0 | b | 7
        08:19:59.999 | 1 | c | 1
        08:09:59.999 | 0 | c | 5
        08:09:59.999 | 0 | d | 6
        watermark 08:10
        08:19:59.999 | 1 | d | NULL
        ----
        ordered
        watermark 08:10
        08:09:59.999 | 0 | b | 7 | 1
        08:09:59.999 | 0 | d | 6 | 2
        watermark end
        08:19:59.999 | 1 | c | 1 | 1
        08:19:59.999 | 1 | d | NULL | 2
        ",
    );
}

#[test]
fn equal_rows_stand_in_the_order_of_their_sources() {
    script(
        &[0],
        &[by(2, false, true)],
        2,
        "
        08:09:59.999 #0/1/1 | 0 | d | 4
        08:09:59.999 #0/0/9 | 0 | c | 4
        08:09:59.999 #0/1/0 | 0 | b | 4
        08:09:59.999 #0/0/5 | 0 | a | 5
        ----
        ordered
        08:09:59.999 | 0 | c | 4 | 1
        08:09:59.999 | 0 | b | 4 | 2
        ",
    );
}

#[test]
fn a_row_behind_its_own_watermark_is_refused() {
    script(
        &[0, 1],
        &[by(2, true, false)],
        1,
        "
        08:09:59.999 | 0 | a | 4
        08:09:59.999 @08:20 | 0 | a | 9
        08:19:59.999 @08:20 | 1 | b | 9
        08:29:59.999 @08:20 | 2 | b | 1
        08:29:59.999 | 2 | b | NULL
        ----
        08:09:59.999 | 0 | a | 4 | 1
        08:29:59.999 | 2 | b | 1 | 1
        refused 2
        ",
    );
}

#[test]
fn a_part_of_a_newer_program_is_not_called_damaged() {
    let mut newer = Snapshot::default();
    newer.put(0, vec![99]);
    let error = make(&[0], &[by(2, true, false)], 3).restore(newer).unwrap_err().to_string();
    assert!(error.contains("version 99") && error.contains("--fresh") && !error.contains("damaged"), "{error}");
}

type Row = (i64, Option<i64>, Option<String>, Option<i64>, u64);

/// Event time, window, and shop if it is a key.
type Key = (i64, Option<i64>, Option<String>);

fn batch(rows: &[(usize, Row)], identity: bool) -> Batch {
    let columns = RecordBatch::try_new(
        schema(false),
        vec![
            Arc::new(rows.iter().map(|(_, r)| r.1).collect::<Int64Array>()),
            Arc::new(rows.iter().map(|(_, r)| r.2.clone()).collect::<StringArray>()),
            Arc::new(rows.iter().map(|(_, r)| r.3).collect::<Int64Array>()),
        ],
    );
    let identity = identity.then(|| {
        Identity::Arrival(Arrival {
            cuts: vec![0; rows.len()].into(),
            partitions: rows.iter().map(|(_, r)| r.4).collect(),
            offsets: rows.iter().map(|(i, _)| *i as i64).collect(),
        })
    });
    let tags = rows.iter().map(|_| ON_TIME).collect();
    Batch::new(columns.unwrap(), rows.iter().map(|(_, r)| r.0).collect()).with_tags(Some(tags)).with_identity(identity)
}

/// Sorted by the order, the rest settled as the semantics say; the first ones of each (event time, key) numbered.
fn model(rows: &[(usize, Row)], by_shop: bool, descending: bool, limit: usize, identity: bool) -> Vec<String> {
    let mut groups: BTreeMap<Key, Vec<&(usize, Row)>> = BTreeMap::new();
    for row in rows {
        let shop = by_shop.then(|| row.1.2.clone()).flatten();
        groups.entry((row.1.0, row.1.1, shop)).or_default().push(row);
    }
    let mut lines = vec![];
    for rows in groups.values_mut() {
        // None is less than all: NULL comes first ascending, last descending
        rows.sort_by(|a, b| {
            let order = a.1.3.cmp(&b.1.3);
            let order = if descending { order.reverse() } else { order };
            let all = |r: &Row| (r.1, r.2.clone(), r.3);
            let tie = match identity {
                true => (a.1.4, a.0).cmp(&(b.1.4, b.0)),
                false => all(&a.1).cmp(&all(&b.1)),
            };
            order.then(tie)
        });
        for (rank, (_, (time, window, shop, amount, _))) in (1..).zip(rows.iter().take(limit)) {
            let text = |v: Option<String>| v.unwrap_or_else(|| "NULL".into());
            let time = rows_of(&Batch::new(one_row(), vec![*time].into()))[0].split(" | ").next().unwrap().to_owned();
            let cells = [text(window.map(|v| v.to_string())), text(shop.clone()), text(amount.map(|v| v.to_string()))];
            lines.push(format!("{time} | {} | {rank}", cells.join(" | ")));
        }
    }
    lines.sort();
    lines
}

fn one_row() -> RecordBatch {
    let field = Field::new("x", DataType::Int64, true);
    RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![Arc::new(Int64Array::from(vec![0]))]).unwrap()
}

/// How the rows come.
#[derive(Clone, Debug)]
struct How {
    by_shop: bool,
    descending: bool,
    limit: usize,
    identity: bool,
    /// Operators, by turns.
    workers: Vec<usize>,
    /// Rows of an epoch.
    epoch: usize,
    order: u64,
}

fn how(epochs: &'static [usize]) -> impl Strategy<Value = How> {
    let what = (any::<bool>(), any::<bool>(), 1usize..6, any::<bool>());
    let workers = prop::collection::vec(1usize..5, 1..4);
    (what, workers, prop::sample::select(epochs), any::<u64>()).prop_map(
        |((by_shop, descending, limit, identity), workers, epoch, order)| How {
            by_shop,
            descending,
            limit,
            identity,
            workers,
            epoch,
            order,
        },
    )
}

fn rows(size: std::ops::Range<usize>, times: i64) -> impl Strategy<Value = Vec<Row>> {
    let row = (0..times, prop::option::of(0i64..2), prop::option::of("[ab]"), prop::option::of(0i64..5), 0u64..3);
    prop::collection::vec(row, size)
}

/// Rows in any order to any number of operators; epochs; state restored into other numbers of them after each epoch.
fn first_rows_are_those_of_a_sorted_list(rows: Vec<Row>, how: &How) -> Result<(), TestCaseError> {
    let rows: Vec<(usize, Row)> = rows.into_iter().enumerate().collect();
    let expected = model(&rows, how.by_shop, how.descending, how.limit, how.identity);
    let keys: &[usize] = if how.by_shop { &[0, 1] } else { &[0] };
    let sort = [by(2, how.descending, !how.descending)];
    let mut shuffled = rows.clone();
    let n = shuffled.len().max(1);
    (0..shuffled.len()).for_each(|i| shuffled.swap(i, (how.order as usize).wrapping_mul(i * 31 + 7) % n));
    // The least time of the rows from each one on.
    let mut least = vec![i64::MAX; shuffled.len() + 1];
    (0..shuffled.len()).rev().for_each(|i| least[i] = least[i + 1].min(shuffled[i].1.0));
    let mut ops: Vec<_> = (0..how.workers[0]).map(|_| make(keys, &sort, how.limit as u64)).collect();
    let (mut out, mut from, mut epochs) = (Output::default(), 0, 0);
    while from < shuffled.len() {
        let until = from.saturating_add(how.epoch).min(shuffled.len());
        let all = batch(&shuffled[from..until], how.identity);
        from = until;
        let columns: Vec<_> = keys.iter().map(|k| all.column(*k).clone()).collect();
        let hashes = hash_columns(&columns, all.rows());
        let peers = ops.len();
        for (w, op) in ops.iter_mut().enumerate() {
            let mine: Vec<u32> =
                (0..all.rows()).filter(|i| owner(key_group(hashes[*i]), peers) == w).map(|i| i as u32).collect();
            op.on_batch(0, all.take(&mine.into()), &mut out).unwrap();
        }
        let mut state = Snapshot::default();
        for op in &mut ops {
            op.on_watermark(Progress { watermark: Watermark::new(least[from]), cut: 0 }, &mut out).unwrap();
            let mut one = Snapshot::default();
            op.snapshot(&mut one).unwrap();
            state.merge(one);
        }
        epochs += 1;
        let n = how.workers[epochs % how.workers.len()];
        let restored = |w| {
            let mut op = make(keys, &sort, how.limit as u64);
            op.restore(state.take_for_worker(w, n)).unwrap();
            op
        };
        ops = (0..n).map(restored).collect();
    }
    prop_assert!(ops.iter().all(|op| op.state_bytes() == 0), "no state is left at the end");
    let mut found: Vec<String> = out.batches.iter().flat_map(rows_of).collect();
    found.sort();
    prop_assert_eq!(found, expected);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]
    #[test]
    fn the_first_rows_of_a_few_are_those_of_a_sorted_list(rows in rows(0..60, 40), how in how(&[1, 2, 7, 19, usize::MAX])) {
        first_rows_are_those_of_a_sorted_list(rows, &how)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]
    #[test]
    fn the_first_rows_of_many_are_those_of_a_sorted_list(
        rows in rows(1_500..3_000, 400), how in how(&[1_000, usize::MAX])
    ) {
        first_rows_are_those_of_a_sorted_list(rows, &how)?;
    }
}
