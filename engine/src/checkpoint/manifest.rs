//! The record that makes a checkpoint: where the inputs stood, what state and what rows belong to it.
//!
//! A manifest is plain data; its text, hash and signature are in [`super::seal`]. It names every file that is needed to go
//! on from it, also those that older checkpoints wrote.

use crate::digest::Buckets;
use crate::graph::JobGraph;
use crate::sink::Publication;
use crate::source::Position;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Version of manifests. Those of 1 lack [`Manifest::folded`], and are read as well.
pub const FORMAT: u32 = 2;
/// Version of the files that manifests name: state files and outboxes.
pub const FILE_FORMAT: u32 = 1;

/// A checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the state format. Filled by [`super::Ledger::commit`].
    pub format: u32,
    /// [`JobGraph::name`].
    pub job: String,
    /// Its number: 1, 2, 3 …
    pub checkpoint: u64,
    /// The epoch at which it was taken.
    pub epoch: u64,
    /// Hash (hex) of the manifest before. Filled by [`super::Ledger::commit`].
    pub previous: Option<String>,
    /// The older checkpoints that are kept, oldest first. Filled by [`super::Ledger::commit`]. It makes the chain verifiable
    /// where checkpoints between were collected, and tells a kept one from one that a late incarnation left.
    pub ancestors: Vec<Ancestor>,
    /// The older checkpoint in whose manifest the lists of this one go on; `None` if they are written here as a whole. Filled
    /// by [`super::Ledger::commit`]; see [`super::fold`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folded: Option<Ancestor>,
    /// Which start of the job made it: 32 hexadecimal digits.
    pub incarnation: String,
    /// Processing time. Never below that of the checkpoint before: [`super::Ledger::commit`] lifts it.
    pub created_ms: i64,
    /// The job has read all its input and shown everything up to here.
    pub finished: bool,
    /// The job as it was.
    pub graph: JobGraph,
    /// `arrival.quantum`, which decides the answers of a job with `arrival` steps; manifests of before lack it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrival_quantum_ms: Option<i64>,
    /// In the order of the graph.
    pub sources: Vec<SourceState>,
    /// Steps with state.
    pub operators: Vec<OperatorState>,
    /// In the order of the graph.
    pub sinks: Vec<SinkState>,
    /// The state files that `operators` name. The caller gives those of this checkpoint; [`super::Ledger::commit`] adds the
    /// older ones.
    pub segments: Vec<FileRef>,
}

/// An older checkpoint that was kept when a manifest was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ancestor {
    /// Its number.
    pub checkpoint: u64,
    /// Hash (hex) of its manifest.
    pub sha256: String,
    /// When it was made.
    pub created_ms: i64,
    /// Whether its state is kept too: else it is there for rows that were not published yet.
    pub state: bool,
}

/// The one of this number, in a list in ascending order.
pub(super) fn ancestor(list: &[Ancestor], checkpoint: u64) -> Option<&Ancestor> {
    list.binary_search_by_key(&checkpoint, |a| a.checkpoint).ok().map(|at| &list[at])
}

/// A file and what it must be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FileRef {
    /// Name in the store.
    pub name: String,
    /// Length.
    pub bytes: u64,
    /// Hash (hex) of all its bytes.
    pub blake3: String,
}

/// Where a source stood.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SourceState {
    /// The table.
    pub table: String,
    /// Rows read so far.
    pub rows: u64,
    /// Bytes read so far.
    pub bytes: u64,
    /// Late rows so far.
    pub late: u64,
    /// Bad rows so far.
    pub errors: u64,
    /// What was promised of its rows.
    pub watermark_ms: i64,
    /// What was promised of its rows in `t$errors`; manifests of before lack it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors_watermark_ms: Option<i64>,
    /// Number of cuts so far, for content-defined cuts.
    pub cut: i64,
    /// In the source's order.
    pub partitions: Vec<PartitionState>,
}

/// Where a partition stood.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PartitionState {
    /// Its stable name.
    pub name: String,
    /// What must be equal to go on from here.
    pub fingerprint: String,
    /// Where reading goes on; `None` before the first row.
    pub position: Option<Position>,
    /// Largest event time so far; what an activation raised it to, if that is more.
    pub max_ms: i64,
    /// How many rows ago the bad ones among its last rows were, the oldest first; manifests of before lack it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bad_ago: Vec<u32>,
    /// Whether it is read to its end.
    pub done: bool,
    /// Whether it is idle: the table's watermark does not wait for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub idle: bool,
    /// Where it came back from being idle since the checkpoint before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub activations: Vec<Activation>,
}

/// An idle partition had rows again: those below what the table had promised without it are late.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activation {
    /// Offset of the first row.
    pub offset: i64,
    /// The watermark that was promised: from here on the partition's is not below it.
    pub floor_ms: i64,
}

/// State of one step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OperatorState {
    /// The node's stable name.
    pub node: String,
    /// Version of the operator's state: how its parts are grouped. What is in a part says its own version.
    pub version: u32,
    /// Fingerprint of its inputs and specification.
    pub schema: String,
    /// Everything needed to restore, also parts in files of older checkpoints. In JSON by file: `[checkpoint, file, [[group,
    /// full, at, bytes], …]]`, for there may be thousands.
    #[serde(with = "by_file")]
    pub parts: Vec<PartRef>,
}

/// One part of a key group's state: a full one stands alone; a delta goes on from the parts of older checkpoints, or from
/// nothing if the group had no state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartRef {
    /// The key group.
    pub group: u8,
    /// Whether it stands alone.
    pub full: bool,
    /// The checkpoint that wrote it.
    pub checkpoint: u64,
    /// The state file it is in. Shared: there may be thousands of parts.
    pub file: Arc<str>,
    /// Where its frame begins in the file.
    pub at: u64,
    /// Bytes of the part itself.
    pub bytes: u64,
}

/// What a sink owes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SinkState {
    /// The table.
    pub table: String,
    /// Digest of all rows so far, by event time.
    pub digest: Buckets,
    /// Rows so far.
    pub rows: u64,
    /// The rows of this checkpoint.
    pub outboxes: Vec<OutboxRef>,
    /// What is to be published, decided by this manifest.
    pub publish: Option<Publication>,
    /// First checkpoint behind the last publication that was decided before this manifest.
    pub unrolled_from: u64,
    /// The checkpoints from there that have rows of this sink: if `publish` is set, its rows. They are kept until then, and
    /// one that is missing is damage, never an empty one.
    pub unrolled: Vec<u64>,
    /// The first of `unrolled`, if it is left to the manifest that [`Manifest::folded`] names. Only in a manifest as it is
    /// written: [`super::Ledger::newest`] has whole lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folded_from: Option<u64>,
    /// Rows of lost outboxes that were made again and that others of `unrolled` hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remade: Vec<Remade>,
    /// Bytes of outboxes from there.
    pub unrolled_bytes: u64,
    /// When the first of these rows was staged.
    pub unrolled_since_ms: i64,
    /// The last checkpoint that was known to be visible when the manifest was made.
    pub published: u64,
}

/// The rows of a sink behind checkpoint `after` up to `last`, whose outboxes were lost: they were made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remade {
    /// The checkpoint whose outboxes hold them.
    pub by: u64,
    /// The checkpoint before the first of them.
    pub after: u64,
    /// The last checkpoint with some of them.
    pub last: u64,
}

/// Rows of one worker for one sink.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxRef {
    /// The file.
    pub file: FileRef,
    /// How many rows.
    pub rows: u64,
}

/// Parts in JSON: those of one file that follow each other together.
mod by_file {
    use super::PartRef;
    use serde::{Deserialize, Deserializer, Serializer};
    use std::sync::Arc;

    type Places = Vec<(u8, bool, u64, u64)>;

    pub fn serialize<S: Serializer>(parts: &[PartRef], to: S) -> Result<S::Ok, S::Error> {
        let files = parts.chunk_by(|a, b| (a.checkpoint, &a.file) == (b.checkpoint, &b.file));
        to.collect_seq(files.map(|parts| {
            let places: Places = parts.iter().map(|p| (p.group, p.full, p.at, p.bytes)).collect();
            (parts[0].checkpoint, &*parts[0].file, places)
        }))
    }

    pub fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<Vec<PartRef>, D::Error> {
        let files: Vec<(u64, String, Places)> = Vec::deserialize(from)?;
        let parts = files.into_iter().flat_map(|(checkpoint, file, places)| {
            let file: Arc<str> = file.into();
            places.into_iter().map(move |(group, full, at, bytes)| PartRef {
                group,
                full,
                checkpoint,
                file: file.clone(),
                at,
                bytes,
            })
        });
        Ok(parts.collect())
    }
}
