//! Long lists in short manifests.
//!
//! What a sink owes may be the rows of any number of checkpoints: those of a file that grows for an hour, those of a table
//! until the job ends. A manifest says which they are ([`SinkState::unrolled`]) and what their manifests must be
//! ([`Manifest::ancestors`]). If each said all of it, a job would write as many names as the square of its checkpoints.
//!
//! So a manifest leaves what an older one has said to that one: it names it, with its hash ([`Manifest::folded`]), and lists
//! what came behind. When that has grown to [`UNFOLDED_MAX`], the manifest that listed it becomes the next such **fold
//! point**: the one behind it names it and begins with an empty list. A fold point may name one before it, and so on.
//!
//! | in a manifest as written | |
//! |---|---|
//! | `unrolled` | those behind the fold point; the others, from `folded_from` on, are in its own list and those before it |
//! | `ancestors` | restore points, and those behind the fold point; of the others those that a sink owes, and the fold points |
//!
//! A list only grows, until it ends as a whole with a publication. If it has changed otherwise (rows were lost and made
//! again), the next manifest is written whole, and folding begins anew. So what a manifest leaves out is always what its
//! fold point says: [`unfold`] gives back what [`fold`] was given. A fold point is kept as long as the newest manifest needs
//! it; nothing but manifests is written, and each has its second copy.
//!
//! Where both copies of a fold point are damaged, nobody knows which of the checkpoints up to it have rows: all of them
//! count as owed, none can be read, and nothing up to it is deleted. Their rows are lost as those of any damaged outbox.

use super::error::LedgerError;
use super::manifest::{Ancestor, Manifest, SinkState};
use super::walk::Manifests;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// Checkpoints without state that a manifest lists before it becomes a fold point.
pub(super) const UNFOLDED_MAX: usize = 32;

/// The fold points that a manifest needs.
#[derive(Clone, Debug, Default)]
pub(super) struct Folds {
    points: BTreeSet<u64>,
    /// The newest one that can't be read, and why.
    unread: Option<(u64, LedgerError)>,
}

impl Folds {
    /// Whether a checkpoint is one.
    pub fn are_in(&self, checkpoint: u64) -> bool {
        self.points.contains(&checkpoint)
    }
    /// The newest one that can't be read.
    pub fn unread(&self) -> Option<&(u64, LedgerError)> {
        self.unread.as_ref()
    }
    /// Why nobody knows what a checkpoint has, if nobody does.
    pub fn hides(&self, checkpoint: u64) -> Option<&LedgerError> {
        self.unread.as_ref().filter(|(at, _)| checkpoint <= *at).map(|(_, damage)| damage)
    }
}

/// The checkpoints whose rows a manifest says are owed.
pub(super) fn owed(manifest: &Manifest) -> HashSet<u64> {
    manifest.sinks.iter().flat_map(|s| &s.unrolled).copied().collect()
}

/// What is to be written of a whole manifest behind `before`, which has its lists at `folds`; and where those of this one
/// then are. Sets [`Manifest::folded`], and takes out of the manifest the ancestors that nobody needs.
pub(super) fn fold(manifest: &mut Manifest, before: Option<&Manifest>, folds: &Folds) -> (Manifest, Folds) {
    let point = before.and_then(|before| point(manifest, before, folds));
    let (mut folds, first) = (folds.clone(), point.as_ref().map_or(u64::MAX, |(_, first)| *first));
    manifest.folded = point.map(|(point, _)| point);
    folds.points.extend(manifest.folded.iter().map(|p| p.checkpoint));
    folds.points.retain(|point| *point >= first);
    folds.unread = folds.unread.filter(|(unread, _)| folds.points.contains(unread));
    let owed = owed(manifest);
    manifest.ancestors.retain(|a| a.state || owed.contains(&a.checkpoint) || folds.are_in(a.checkpoint));
    let mut written = manifest.clone();
    let Some(at) = manifest.folded.as_ref().map(|p| p.checkpoint) else { return (written, folds) };
    written.ancestors.retain(|a| a.state || a.checkpoint > at);
    for sink in &mut written.sinks {
        sink.folded_from = sink.unrolled.first().copied().filter(|first| *first <= at);
        sink.unrolled.retain(|checkpoint| *checkpoint > at);
    }
    (written, folds)
}

/// The fold point of a manifest, and the first checkpoint that is left to it. There is none if nothing is owed up to there,
/// or something else than it says.
fn point(manifest: &Manifest, before: &Manifest, folds: &Folds) -> Option<(Ancestor, u64)> {
    let folded = before.folded.as_ref().map_or(0, |f| f.checkpoint);
    let listed = before.ancestors.iter().filter(|a| !a.state && a.checkpoint > folded).count();
    let point = match listed >= UNFOLDED_MAX {
        true => manifest.ancestors.last().filter(|a| a.checkpoint == before.checkpoint)?,
        false => before.folded.as_ref().filter(|f| folds.are_in(f.checkpoint))?,
    };
    let up_to = |sink: &SinkState| -> Vec<u64> {
        sink.unrolled.iter().copied().take_while(|checkpoint| *checkpoint <= point.checkpoint).collect()
    };
    let says = |sink: &SinkState| -> Vec<u64> {
        let then = before.sinks.iter().find(|s| s.table == sink.table).map_or_else(Vec::new, up_to);
        then.into_iter().filter(|checkpoint| *checkpoint >= sink.unrolled_from).collect()
    };
    let same = manifest.sinks.iter().all(|sink| up_to(sink) == says(sink));
    let first = manifest.sinks.iter().filter_map(|s| s.unrolled.first()).min()?;
    (same && *first <= point.checkpoint).then(|| (point.clone(), *first))
}

/// Makes a manifest whole, from those that it names. Which fold points it needs, and whether one of them can't be read.
///
/// # Errors
/// Trouble of the medium.
pub(super) fn unfold(manifests: &Manifests, manifest: &mut Manifest) -> Result<Folds, LedgerError> {
    let mut folds = Folds::default();
    let mut older: BTreeMap<u64, Ancestor> = BTreeMap::new();
    let mut next = manifest.folded.clone();
    while let Some(point) = next {
        let at = point.checkpoint;
        let leaves = |sink: &&mut SinkState| sink.folded_from.is_some_and(|from| from <= at);
        if !manifest.sinks.iter_mut().any(|sink| leaves(&sink)) {
            break;
        }
        folds.points.insert(at);
        let found = manifests.load(at, Some(&point.sha256));
        older.insert(at, point);
        let listed = match found {
            Ok(sealed) => sealed.manifest,
            Err(LedgerError::Store(error)) => return Err(error.into()),
            Err(damage) => {
                manifest
                    .sinks
                    .iter_mut()
                    .filter(leaves)
                    .for_each(|s| s.unrolled.extend(s.folded_from.unwrap_or(at)..=at));
                folds.unread = Some((at, damage));
                break;
            }
        };
        for sink in manifest.sinks.iter_mut().filter(leaves) {
            let then = listed.sinks.iter().filter(|s| s.table == sink.table).flat_map(|s| &s.unrolled);
            sink.unrolled.extend(then.copied().filter(|checkpoint| sink.folded_from.is_some_and(|f| *checkpoint >= f)));
        }
        older.extend(listed.ancestors.into_iter().map(|a| (a.checkpoint, a)));
        next = listed.folded;
    }
    for sink in &mut manifest.sinks {
        sink.unrolled.sort_unstable();
        sink.folded_from = None;
    }
    let owed = owed(manifest);
    older.retain(|checkpoint, _| owed.contains(checkpoint) || folds.points.contains(checkpoint));
    let mut all: BTreeMap<u64, Ancestor> =
        older.into_values().map(|a| (a.checkpoint, Ancestor { state: false, ..a })).collect();
    all.extend(manifest.ancestors.drain(..).map(|a| (a.checkpoint, a)));
    manifest.ancestors = all.into_values().collect();
    Ok(folds)
}
