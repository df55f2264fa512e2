//! What workers hand over for a checkpoint, and when it is complete: a pure function from events to answers.

use crate::digest::DigestBuilder;
use crate::flow::intake::Tagged;
use crate::state::Snapshot;
use crate::time::Progress;
use arrow::array::RecordBatch;
use std::collections::BTreeMap;

/// What one worker has read of one table since the attempt began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::flow) struct ReadTally {
    pub(in crate::flow) rows: u64,
    pub(in crate::flow) bytes: u64,
    pub(in crate::flow) late: u64,
}

impl ReadTally {
    /// Counts a chunk.
    pub(in crate::flow) fn add(&mut self, tagged: &Tagged) {
        self.rows += tagged.rows;
        self.bytes += tagged.bytes;
        self.late += tagged.late;
    }
}

/// A worker's part of a checkpoint.
pub(in crate::flow) enum Piece {
    /// What it has read, and its two promises for each source at the end of the epoch.
    Read { read: Vec<ReadTally>, progress: Vec<[Progress; 2]> },
    /// State under the name of a step, or of its combiners.
    State { step: String, snapshot: Snapshot },
    /// Rows of a sink since the last checkpoint, with the digest of all its rows since the attempt began.
    Outbox { sink: usize, rows: Vec<RecordBatch>, digest: DigestBuilder },
    /// Bad rows of each table since the attempt began.
    Errors { rows: Vec<u64> },
}

/// What the keeper hears of.
pub(in crate::flow) enum Event {
    /// A worker's dataflow stands; so many pieces beside [`Piece::Read`] are its part of every checkpoint.
    Built { worker: usize, pieces: usize },
    /// A piece of the checkpoint at `epoch`.
    Delivered { worker: usize, epoch: u64, piece: Piece },
    /// A worker has read everything.
    Left { worker: usize, read: Vec<ReadTally> },
    /// Every worker has ended well: what is there now is all there is.
    Ended,
    /// The attempt has failed: nothing more becomes durable.
    Failed,
}

/// Everything the workers handed over.
pub(super) struct Collected {
    /// The checkpoint's epoch; [`LAST`] for what is left at the end.
    pub(super) epoch: u64,
    /// By table.
    pub(super) read: Vec<ReadTally>,
    /// By table: the weakest promises of all workers, for its rows and for its rows in `t$errors`.
    pub(super) progress: Vec<[Progress; 2]>,
    /// By table.
    pub(super) errors: Vec<u64>,
    /// Each with its worker and name.
    pub(super) states: Vec<(usize, String, Snapshot)>,
    /// Each with its worker and sink; empty ones are left out.
    pub(super) outboxes: Vec<(usize, usize, Vec<RecordBatch>)>,
    /// By sink.
    pub(super) digests: BTreeMap<usize, DigestBuilder>,
}

/// What one worker has read of each table, and what it has promised of its rows and of its bad rows.
type ReadOf = (Vec<ReadTally>, Vec<[Progress; 2]>);

/// A checkpoint on its way.
struct Open {
    /// By worker: what it had read, with its promises.
    reads: Vec<Option<ReadOf>>,
    /// Pieces beside those.
    pieces: usize,
    collected: Collected,
}

/// The keeper's memory of what is there and what is missing.
pub(super) struct Coordinator {
    tables: usize,
    /// Pieces of each worker, once its dataflow stands.
    pieces: Vec<Option<usize>>,
    /// What workers had read that have read everything.
    left: Vec<Option<Vec<ReadTally>>>,
    open: BTreeMap<u64, Open>,
}

impl Coordinator {
    pub(super) fn new(workers: usize, tables: usize) -> Self {
        Self { tables, pieces: vec![None; workers], left: vec![None; workers], open: BTreeMap::new() }
    }

    /// Takes an event; an answer when a checkpoint is complete.
    pub(super) fn take(&mut self, event: Event) -> Option<Collected> {
        match event {
            Event::Built { worker, pieces } => self.pieces[worker] = Some(pieces),
            Event::Left { worker, read } => self.left[worker] = Some(read),
            Event::Delivered { worker, epoch, piece } => {
                let (tables, workers) = (self.tables, self.pieces.len());
                self.open.entry(epoch).or_insert_with(|| Open::new(epoch, tables, workers)).add(worker, piece);
            }
            Event::Ended | Event::Failed => {}
        }
        let (&epoch, open) = self.open.first_key_value()?;
        let pieces = self.pieces.iter().copied().sum::<Option<usize>>()?;
        let read = open.reads.iter().zip(&self.left).all(|(read, left)| read.is_some() || left.is_some());
        let complete = epoch != LAST && open.pieces == pieces && read;
        complete.then(|| self.close(epoch))
    }

    /// What is left when every worker has ended.
    pub(super) fn rest(&mut self) -> Collected {
        assert!(
            self.open.keys().all(|epoch| *epoch == LAST),
            "the workers ended before a barrier: {:?}",
            self.open.keys()
        );
        self.close(LAST)
    }

    fn close(&mut self, epoch: u64) -> Collected {
        let open = self.open.remove(&epoch).unwrap_or_else(|| Open::new(epoch, self.tables, self.pieces.len()));
        let mut collected = open.collected;
        for (read, left) in open.reads.into_iter().zip(&self.left) {
            let end = || left.clone().map(|read| (read, vec![[Progress::END; 2]; self.tables]));
            let Some((read, progress)) = read.or_else(end) else { continue };
            for (table, (read, progress)) in read.into_iter().zip(progress).enumerate() {
                let sum = &mut collected.read[table];
                *sum =
                    ReadTally { rows: sum.rows + read.rows, bytes: sum.bytes + read.bytes, late: sum.late + read.late };
                let weakest = &mut collected.progress[table];
                *weakest = [weakest[0].min(progress[0]), weakest[1].min(progress[1])];
            }
        }
        collected
    }
}

impl Open {
    fn new(epoch: u64, tables: usize, workers: usize) -> Self {
        let collected = Collected {
            epoch,
            read: vec![ReadTally::default(); tables],
            progress: vec![[Progress::END; 2]; tables],
            errors: vec![0; tables],
            states: Vec::new(),
            outboxes: Vec::new(),
            digests: BTreeMap::new(),
        };
        Self { reads: vec![None; workers], pieces: 0, collected }
    }

    fn add(&mut self, worker: usize, piece: Piece) {
        let to = &mut self.collected;
        self.pieces += 1;
        match piece {
            Piece::Read { read, progress } => {
                self.pieces -= 1;
                self.reads[worker] = Some((read, progress));
            }
            Piece::State { step, snapshot } => to.states.push((worker, step, snapshot)),
            Piece::Outbox { sink, rows, digest } => {
                to.digests.entry(sink).or_default().merge(&digest);
                if rows.iter().any(|batch| batch.num_rows() > 0) {
                    to.outboxes.push((worker, sink, rows));
                }
            }
            Piece::Errors { rows } => to.errors.iter_mut().zip(rows).for_each(|(sum, n)| *sum += n),
        }
    }
}

/// The epoch under which a worker that ends hands over its last pieces.
pub(in crate::flow) const LAST: u64 = u64::MAX;
