//! Reading a table: partitions, splits, and what event time means for them.
//!
//! An [`Intake`] is shared by the workers of a process; each worker reads through its own [`Reader`]. Decoding a split and
//! evaluating computed columns runs on any worker; **tagging** (the running maximum of event time, lateness, cuts) happens
//! in partition order, when the split's turn has come, because lateness is a function of the partition's content alone.
//!
//! * [`partition`]: what is known of one partition: its maximum, its promise, whose turn it is.
//! * [`prepare`]: a decoded chunk with its computed columns, checked: rows without an event time are bad rows.
//! * [`tag`]: event-time maxima, lateness tags, cuts, row identity.
//! * [`idle`]: partitions that the watermark does not wait for, and what they find when they come back.
//! * [`share`]: whether too many of a partition's last rows are bad.
//! * [`goal`]: where reading stops while checkpoints are repeated.
//! * [`reader`]: which split a worker reads next: alignment by event time, fair shares, decoding ahead.

mod goal;
mod idle;
mod partition;
mod prepare;
mod reader;
mod share;
mod tag;

pub(super) use goal::Goal;
pub(super) use partition::PartitionCut;
pub(super) use reader::{Reader, Step};
pub(super) use tag::Tagged;

use crate::error::{BuildError, SourceError};
use crate::flow::checkpoint::Restored;
use crate::graph::{RunOptions, SourceSpec};
use crate::parts::{Parts, RowProgram};
use crate::source::{PartitionInfo, Read, Source};
use crate::time::{Progress, Watermark};
use arrow_schema::{Schema, SchemaRef};
use goal::Promised;
use partition::{Partition, Phase};
use prepare::{Prepared, prepare};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A table being read by all workers of the process.
pub(super) struct Intake {
    pub(super) spec: SourceSpec,
    /// Index of the source in the job's list of sources.
    pub(super) index: u32,
    pub(super) source: Arc<dyn Source>,
    /// Schema of the rows behind the computed columns.
    schema: SchemaRef,
    /// Δ of content-defined cuts, if an `arrival` sink reads this table and the table is bounded.
    cuts: Cuts,
    partitions: Mutex<Vec<Partition>>,
    /// What may be promised while checkpoints are repeated.
    promised: Mutex<Promised>,
    /// The most that was promised to anybody, for rows and for bad rows.
    given: Mutex<[Watermark; 2]>,
    /// The checkpoint epoch at which the partitions are to be cut; `u64::MAX` if there is none. Written under the lock.
    barrier: AtomicU64,
}

/// How rows are assigned to arrival cuts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cuts {
    /// No `arrival` step reads the table.
    None,
    /// Bounded input: ⌊running maximum / Δ⌋.
    Content { quantum_ms: i64 },
    /// Unbounded input: the epoch.
    Epoch,
}

/// Rows a peek reads at a time, looking for a partition's first valid row.
const PEEK_ROWS: usize = 1024;

impl Intake {
    /// Opens the table and peeks into every partition: until a partition is read, it holds the watermark at what its first
    /// row promises.
    pub(super) fn open(
        index: u32,
        spec: &SourceSpec,
        schema: &SchemaRef,
        arrival: bool,
        parts: &dyn Parts,
        options: &RunOptions,
        restored: &Restored,
    ) -> Result<Self, BuildError> {
        let source = parts.source(spec, options)?;
        let cuts = match (arrival, source.bounded()) {
            (false, _) => Cuts::None,
            (true, true) => Cuts::Content { quantum_ms: options.arrival_quantum_ms.max(1) },
            (true, false) => Cuts::Epoch,
        };
        let cuts_then = restored.cuts(&spec.table, source.as_ref())?;
        let cut = |i: usize| cuts_then.as_ref().and_then(|cuts| cuts.get(i));
        let partition = |(i, info): (usize, &PartitionInfo)| {
            Partition::new(spec.watermark_delay_ms, info.start.as_ref().filter(|_| cuts_then.is_none()), cut(i))
        };
        let partitions = source.partitions().iter().enumerate().map(partition).collect();
        let intake = Self {
            spec: spec.clone(),
            index,
            source,
            schema: schema.clone(),
            cuts,
            partitions: Mutex::new(partitions),
            promised: Mutex::default(),
            given: Mutex::new(restored.promised(&spec.table)),
            barrier: AtomicU64::new(u64::MAX),
        };
        // a paced run reads a few rows at a time from the first on
        let rows = options.speed.map_or(PEEK_ROWS, |_| options.batch_rows.min(PEEK_ROWS));
        intake.peek(parts, rows)?;
        let partitions = intake.source.partitions().len();
        tracing::debug!(table = intake.spec.table, partitions, bounded = intake.source.bounded(), "table opened");
        Ok(intake)
    }

    /// Whether answers depend on which epoch a row came in.
    pub(super) fn cut_by_epochs(&self) -> bool {
        self.cuts == Cuts::Epoch
    }

    /// The program that evaluates the table's computed columns.
    pub(super) fn program(&self, parts: &dyn Parts) -> Result<Box<dyn RowProgram>, BuildError> {
        let physical = self.spec.read.iter().map(|&i| self.spec.physical.fields()[i].clone()).collect::<Vec<_>>();
        parts.row_program(&self.spec.map, &Arc::new(Schema::new(physical)), &self.schema)
    }

    fn peek(&self, parts: &dyn Parts, rows: usize) -> Result<(), BuildError> {
        let mut program = self.program(parts)?;
        let fail = |error: SourceError| BuildError::new(format!("source {}: {error}", self.spec.table));
        let mut partitions = self.lock();
        for (i, partition) in partitions.iter_mut().enumerate().filter(|(_, p)| !p.done()) {
            let keep = i < self.spec.open_max as usize;
            partition.reader = Some(self.source.open(i, partition.next.as_ref()).map_err(fail)?);
            partition.phase = Phase::Open;
            let mut peeked = VecDeque::new();
            let first_ms = loop {
                if partition.peeked.is_none() && !partition.claim_peek().map_err(fail)? {
                    break None;
                }
                let Some(split) = partition.peeked.as_mut().map(|p| &mut p.split) else { break None };
                match split.read(rows).map_err(fail)? {
                    Read::Rows(chunk) => peeked.push_back(prepare(self, chunk, program.as_mut()).map_err(fail)?),
                    Read::Pending(_) | Read::Awaited(_) => break None,
                    // An empty first split: its turn ends with the first read of the partition.
                    Read::End => break None,
                }
                if let Some(first) = peeked.back().and_then(|p: &Prepared| p.times.first()) {
                    break Some(*first);
                }
            };
            partition.first_ms = first_ms;
            match &mut partition.peeked {
                Some(p) if keep => p.ready = peeked,
                _ => partition.close_again(),
            }
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Partition>> {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The promises of all partitions together, for rows and for bad rows. `epoch` is the epoch being closed.
    pub(super) fn progress(&self, epoch: u64) -> [Progress; 2] {
        let partitions = self.lock();
        let mut given = self.given();
        let [watermark, of_bad] = self.watermarks(&partitions, *given);
        let done = watermark == Watermark::END;
        let cut = match self.cuts {
            _ if done => i64::MAX,
            Cuts::None => i64::MIN,
            Cuts::Content { quantum_ms } => partitions.iter().map(|p| p.cut(quantum_ms)).min().unwrap_or(i64::MAX),
            Cuts::Epoch => i64::try_from(epoch).unwrap_or(i64::MAX - 1) + 1,
        };
        let promises = [watermark, of_bad].map(|watermark| Progress { watermark, cut });
        let promises = self.promised().bounded(promises, partitions.iter().all(Partition::at_goal));
        *given = std::array::from_fn(|i| given[i].max(promises[i].watermark));
        promises
    }

    /// From now on each partition remembers how it stood before its first row of a later epoch than this.
    pub(super) fn set_barrier(&self, epoch: u64) {
        let _partitions = self.lock();
        self.barrier.store(epoch, Relaxed);
    }

    /// How every partition stood at the barrier, which is lifted.
    pub(super) fn take_cut(&self) -> Vec<PartitionCut> {
        let mut partitions = self.lock();
        self.barrier.store(u64::MAX, Relaxed);
        partitions.iter_mut().map(Partition::take_cut).collect()
    }

    /// Offset of the next row of each partition.
    pub(super) fn offsets(&self) -> Vec<i64> {
        self.lock().iter().map(|p| p.next.as_ref().map_or(0, |next| next.offset)).collect()
    }

    /// Whether nothing has happened since the last cut: no partition has moved, ended, become idle or active.
    pub(super) fn stands_as_cut(&self) -> bool {
        self.lock().iter().all(Partition::stands_as_cut)
    }

    /// Event time that reading has reached in the partition furthest behind; `i64::MAX` if nothing is left to read.
    pub(super) fn position(&self) -> i64 {
        self.lock().iter().filter(|p| !p.waits()).map(Partition::position).min().unwrap_or(i64::MAX)
    }
}
