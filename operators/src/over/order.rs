//! The order of rows of equal event time, where a result depends on it: that of their sources, (source, partition,
//! offset); of rows that another step made, that of all their columns, as bytes. Equal rows are interchangeable.

use super::operator::gather;
use super::waiting::{Item, Waiting};
use arrow::datatypes::SchemaRef;
use arrow::row::{RowConverter, SortField};
use highwater_engine::error::OperatorError;
use highwater_engine::graph::Emission;
use std::collections::HashMap;

/// Puts rows that stand in the order of their event times into the order of rows.
pub fn sort_peers(rows: &mut [Item], waiting: &Waiting, schema: &SchemaRef) -> Result<(), OperatorError> {
    for peers in rows.chunk_by_mut(|a, b| a.at == b.at).filter(|p| p.len() > 1) {
        if peers.iter().all(|i| waiting.get(i.batch).arrival.is_some()) {
            peers.sort_by_cached_key(|i| {
                let arrival = waiting.get(i.batch).arrival.as_ref().expect("all have one");
                (arrival.partitions[i.row as usize], arrival.offsets[i.row as usize])
            });
        } else {
            by_columns(peers, waiting, schema)
                .map_err(|e| OperatorError::new(format!("rows of one event time could not be ordered: {e}")))?;
        }
    }
    Ok(())
}

fn by_columns(peers: &mut [Item], waiting: &Waiting, schema: &SchemaRef) -> Result<(), arrow::error::ArrowError> {
    let batch = gather(waiting, schema, peers, &Emission::Final)?;
    let fields = schema.fields().iter().map(|f| SortField::new(f.data_type().clone())).collect();
    let rows = RowConverter::new(fields)?.convert_columns(batch.columns().columns())?;
    let mut order: Vec<usize> = (0..peers.len()).collect();
    order.sort_by_key(|i| rows.row(*i));
    let sorted: Vec<Item> = order.into_iter().map(|i| peers[i]).collect();
    peers.copy_from_slice(&sorted);
    Ok(())
}

/// How many peers with the same log stand behind each row of a block that holds all peers of its rows.
pub fn count_behind(block: &[Item], places: &[u32], behind: &mut Vec<u32>) {
    behind.clear();
    behind.resize(block.len(), 0);
    let mut at = 0;
    for peers in block.chunk_by(|a, b| a.at == b.at) {
        if peers.len() > 1 {
            let mut seen: HashMap<u32, u32> = HashMap::new();
            for i in (at..at + peers.len()).rev() {
                let n = seen.entry(places[i]).or_default();
                behind[i] = *n;
                *n += 1;
            }
        }
        at += peers.len();
    }
}
