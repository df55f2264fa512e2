//! A small job that makes checkpoints, and what each of them must give back. What is expected is kept here in plain
//! values, made by arithmetic from the checkpoint's number: never read from the ledger.

use arrow::array::{Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use highwater_engine::checkpoint::manifest::{FORMAT, Manifest, OperatorState, PartRef, SinkState};
use highwater_engine::checkpoint::{Committed, Ledger, LedgerError, StatePart};
use highwater_engine::digest::Buckets;
use highwater_engine::graph::JobGraph;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The job's name.
pub const JOB: &str = "alerts";
/// Its two steps with state.
pub const NODES: [&str; 2] = ["payments.window.1", "payments.over.2"];
/// Its sink.
pub const SINK: &str = "alerts_out";
const WORKERS: usize = 2;
const GROUPS: u8 = 4;

/// An incarnation: the digits of a number.
pub fn incarnation(number: u128) -> String {
    format!("{number:032x}")
}

/// A part of a step's state: group, written at which checkpoint, bytes.
pub type Part = (u8, u64, Vec<u8>);

/// What a checkpoint must give back: parts by node in the order of application, and rows of its own outboxes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// Parts by node.
    pub state: BTreeMap<String, Vec<Part>>,
    /// Rows by worker.
    pub rows: Vec<Vec<(i64, String)>>,
}

/// Bytes of a part: different for every place, of different lengths, some of them none.
fn bytes(checkpoint: u64, node: usize, group: u8, salt: u64) -> Vec<u8> {
    let seed = checkpoint * 1_000 + node as u64 * 100 + u64::from(group) * 10 + salt;
    (0..seed * 7 % 90).map(|i| (seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (i % 56)) as u8).collect()
}

/// Whether a checkpoint writes the whole of a group: one group in turn, all of them at the first.
fn is_full(checkpoint: u64, group: u8) -> bool {
    checkpoint == 1 || checkpoint % u64::from(GROUPS) == u64::from(group)
}

/// What checkpoint `number` must give back.
pub fn content(number: u64, salt: u64) -> Content {
    let mut content = Content::default();
    for (n, node) in NODES.iter().enumerate() {
        let mut parts = Vec::new();
        for group in 0..GROUPS {
            let full = (1..=number).rev().find(|c| is_full(*c, group)).expect("the first is full");
            parts.extend((full..=number).map(|c| (group, c, bytes(c, n, group, salt))));
        }
        content.state.insert((*node).to_owned(), parts);
    }
    content.rows = (0..WORKERS).map(|w| rows(number, w, salt)).collect();
    content
}

fn rows(checkpoint: u64, worker: usize, salt: u64) -> Vec<(i64, String)> {
    let count = (checkpoint + worker as u64) * 5 % 17;
    (0..count as i64).map(|i| (i * 1_000 + checkpoint as i64 + salt as i64, format!("card-{i}-{worker}"))).collect()
}

/// Rows as batches of at most five.
pub fn batches(rows: &[(i64, String)]) -> Vec<RecordBatch> {
    let fields = vec![Field::new("amount", DataType::Int64, false), Field::new("card", DataType::Utf8, true)];
    let schema = Arc::new(Schema::new(fields));
    let batch = |rows: &[(i64, String)]| {
        let amounts = Int64Array::from_iter_values(rows.iter().map(|r| r.0));
        let cards = StringArray::from_iter_values(rows.iter().map(|r| r.1.as_str()));
        RecordBatch::try_new(schema.clone(), vec![Arc::new(amounts), Arc::new(cards)]).unwrap()
    };
    rows.chunks(5).map(batch).collect()
}

/// Writes checkpoint `number` as far as its manifest, which is not committed. `before` is the one it goes on from.
pub fn write(
    ledger: &Ledger,
    before: Option<&Manifest>,
    id: &str,
    created_ms: i64,
    salt: u64,
) -> Result<Manifest, LedgerError> {
    let number = before.map_or(1, |m| m.checkpoint + 1);
    let mut parts: BTreeMap<String, Vec<PartRef>> = BTreeMap::new();
    for part in before.iter().flat_map(|m| &m.operators) {
        let still_needed = part.parts.iter().filter(|p| !is_full(number, p.group)).cloned();
        parts.entry(part.node.clone()).or_default().extend(still_needed);
    }
    let mut segments = Vec::new();
    for worker in 0..WORKERS {
        let own = (0..GROUPS).filter(|g| usize::from(*g) % WORKERS == worker);
        let state: Vec<StatePart> = own
            .flat_map(|group| NODES.iter().enumerate().map(move |(n, node)| (group, n, node)))
            .map(|(group, n, node)| StatePart {
                node: (*node).to_owned(),
                group,
                full: is_full(number, group),
                bytes: bytes(number, n, group, salt),
            })
            .collect();
        let segment = ledger.put_segment(number, id, worker, &state)?;
        segments.push(segment.file);
        for (node, index) in segment.index {
            parts.entry(node).or_default().extend(index);
        }
    }
    let outbox = |w| ledger.put_outbox(number, id, 0, w, &batches(&rows(number, w, salt)));
    let outboxes = (0..WORKERS).map(outbox).collect::<Result<_, _>>()?;
    let operators = parts
        .into_iter()
        .map(|(node, parts)| OperatorState { node, version: 1, schema: String::new(), parts })
        .collect();
    let sink = SinkState {
        published: 0,
        table: SINK.into(),
        digest: Buckets { width_ms: 1000, rows: vec![] },
        rows: number,
        outboxes,
        publish: None,
        unrolled_from: 1,
        unrolled: (1..=number).collect(),
        folded_from: None,
        remade: Vec::new(),
        unrolled_bytes: 0,
        unrolled_since_ms: 0,
    };
    Ok(Manifest {
        format: FORMAT,
        job: JOB.into(),
        checkpoint: number,
        epoch: number * 3,
        previous: None,
        ancestors: Vec::new(),
        folded: None,
        incarnation: id.to_owned(),
        created_ms,
        finished: false,
        graph: JobGraph { name: JOB.into(), nodes: Vec::new() },
        arrival_quantum_ms: None,
        sources: Vec::new(),
        operators,
        sinks: vec![sink],
        segments,
    })
}

/// Makes the next checkpoint.
pub fn make(ledger: &mut Ledger, id: &str, created_ms: i64, salt: u64) -> Result<Committed, LedgerError> {
    let before = ledger.newest().cloned();
    let manifest = write(ledger, before.as_ref(), id, created_ms, salt)?;
    ledger.commit(manifest)
}

/// Reads back what a checkpoint holds.
pub fn read(ledger: &Ledger, manifest: &Manifest) -> Result<Content, LedgerError> {
    let mut content = Content::default();
    for part in ledger.state(manifest)? {
        let part = part?;
        let entry = content.state.entry(part.node.to_owned()).or_default();
        entry.push((part.part.group, part.part.checkpoint, part.bytes));
    }
    // Across groups the order is of no account.
    content.state.values_mut().for_each(|parts| parts.sort_by_key(|(group, ..)| *group));
    for outbox in manifest.sinks.iter().flat_map(|s| &s.outboxes) {
        let mut rows = Vec::new();
        for batch in ledger.outbox(outbox)? {
            let batch = batch?;
            let amounts = batch.column(0).as_any().downcast_ref::<Int64Array>().unwrap();
            let cards = batch.column(1).as_any().downcast_ref::<StringArray>().unwrap();
            rows.extend(amounts.values().iter().copied().zip(cards.iter().map(|c| c.unwrap().to_owned())));
        }
        content.rows.push(rows);
    }
    Ok(content)
}
