//! Keyed trailing frames: `aggregate(..) OVER (PARTITION BY keys ORDER BY t RANGE BETWEEN .. PRECEDING AND ..)`.
//!
//! Every row is answered with one value per call, over the rows of its key whose event times lie in
//! `[t − start, t − end]`, both edges included; or begin with the day, week or month that holds `t`. One event log per key serves all frames and calls of the node.
//!
//! * [`Emission::Final`]: rows wait until the watermark passes their event time, then enter in event-time order; rows of
//!   one key and instant are peers and see each other. A late row (it carries a tag) is refused and counted.
//! * [`Emission::Arrival`]: rows enter in the order (cut, partition, offset), as soon as their cut is complete, and are
//!   answered with what the log holds then, themselves included. A late row enters too, if it is not behind the late
//!   horizon; else its features are NULL and it does not enter.
//!
//! | file | its business |
//! |---|---|
//! | `plan`, `refuse` | a node compiled: the words of an entry, measures shared by calls; what can't be compiled |
//! | `frame` | the event times that a row's frame holds |
//! | `waiting`, `operator`, `snapshot` | rows until their turn; the four calls; state by key group |
//! | `keys`, `logs`, `tending`, `ahead` | from keys to logs; forgetting; looking ahead |
//! | `cold`, `thaw` | what a restart has read, until a key's first row |
//! | `arena`, `small` | logs of at most 64 entries: a chunk each, scanned for every answer |
//! | `order`, `pick` | the order of peers; values by their place, ROWS frames, frames without the current row |
//! | `long`, `cursor`, `lasts`, `extrema` | longer logs: a cursor per frame, last occurrences, a pyramid per extremum |
//! | `lane`, `intern`, `measure`, `answer` | columns to words; strings as words; words to moments; moments to columns |
//!
//! Cost: a row of a quiet key is two or three cache misses and a scan of its log; of a busy key, one step per entry that
//! entered or left each frame. State: the entries of the longest frame (under `arrival`, and of the late horizon)
//! and half as much again at most, see `logs`.
//!
//! Under `arrival` rows that are held for their cut may lie below the watermark; the log keeps what they can see.

mod ahead;
mod answer;
mod arena;
mod cold;
mod cursor;
mod extrema;
mod frame;
mod intern;
mod keys;
mod lane;
mod lasts;
mod logs;
mod long;
mod measure;
mod operator;
mod order;
mod pick;
mod plan;
mod refuse;
mod small;
mod snapshot;
mod tending;
mod thaw;
mod waiting;

use arrow_schema::SchemaRef;
use highwater_engine::error::BuildError;
#[cfg(doc)]
use highwater_engine::graph::Emission;
use highwater_engine::graph::{Node, OverSpec};
use highwater_engine::operator::Operator;

/// The operator of `node`.
pub fn operator(node: &Node, spec: &OverSpec, input: &SchemaRef) -> Result<Box<dyn Operator>, BuildError> {
    Ok(Box::new(operator::Over::new(node, spec, input, arena::ENTRIES_MAX)?))
}

#[cfg(test)]
mod tests;
