//! Reading the state of a checkpoint, part by part.

use super::error::LedgerError;
use super::manifest::{FileRef, Manifest, PartRef};
use super::segment::{read_header, read_part};
use super::store::Store;
use super::stream::HashedFile;
use std::collections::BTreeMap;
use std::vec::IntoIter;

/// A part of an operator's state, read and checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoredPart<'m> {
    /// The node's stable name.
    pub node: &'m str,
    /// What the manifest says of it.
    pub part: &'m PartRef,
    /// The part itself.
    pub bytes: Vec<u8>,
}

/// A state file and what is wanted of it, in order of place.
struct Wanted<'m> {
    file: &'m FileRef,
    parts: Vec<(&'m str, &'m PartRef)>,
}

/// The parts of a checkpoint's state: by checkpoint that wrote them, oldest first, then by file and place in it. So the
/// parts of one key group come in the order in which they must be applied.
///
/// One part is held at a time. Each part's checksum is right when it is handed out; the last part of a file comes only
/// after the hash of the whole file was right. After an error there is nothing more: drop what was restored.
pub struct StateParts<'m> {
    store: &'m dyn Store,
    files: IntoIter<Wanted<'m>>,
    open: Option<(HashedFile, IntoIter<(&'m str, &'m PartRef)>)>,
}

impl<'m> StateParts<'m> {
    /// Checks that the manifest says of each part which file it is in, and reads nothing yet.
    pub(super) fn new(store: &'m dyn Store, manifest: &'m Manifest) -> Result<Self, LedgerError> {
        let files: BTreeMap<&str, &FileRef> = manifest.segments.iter().map(|f| (f.name.as_str(), f)).collect();
        let mut wanted: BTreeMap<(u64, &str), Wanted> = BTreeMap::new();
        for operator in &manifest.operators {
            for part in &operator.parts {
                let Some(file) = files.get(&*part.file) else {
                    let reason = format!("its manifest {} has parts in it, but not its hash", manifest.checkpoint);
                    return Err(LedgerError::damaged(store, &part.file, reason));
                };
                let entry = wanted.entry((part.checkpoint, &part.file));
                entry.or_insert_with(|| Wanted { file, parts: Vec::new() }).parts.push((&operator.node, part));
            }
        }
        wanted.values_mut().for_each(|w| w.parts.sort_by_key(|(_, p)| p.at));
        Ok(Self { store, files: wanted.into_values().collect::<Vec<_>>().into_iter(), open: None })
    }

    /// The same in pieces of about as many bytes, to be read side by side: all parts of one come before those of the next.
    pub fn split(mut self, pieces: usize) -> Vec<Self> {
        let files: Vec<Wanted<'m>> = std::mem::take(&mut self.files).collect();
        let all = files.iter().map(|wanted| wanted.file.bytes).sum::<u64>().max(1);
        let mut split: Vec<Vec<Wanted<'m>>> = (0..pieces.max(1)).map(|_| Vec::new()).collect();
        let (mut before, last) = (0, split.len() - 1);
        for wanted in files {
            let piece = u128::from(before) * split.len() as u128 / u128::from(all);
            before += wanted.file.bytes;
            split[(piece as usize).min(last)].push(wanted);
        }
        let piece = |files: Vec<Wanted<'m>>| Self { store: self.store, files: files.into_iter(), open: None };
        split.into_iter().filter(|files| !files.is_empty()).map(piece).collect()
    }

    fn step(&mut self) -> Result<Option<RestoredPart<'m>>, LedgerError> {
        loop {
            if let Some((file, parts)) = &mut self.open
                && let Some((node, part)) = parts.next()
            {
                let bytes = read_part(file, node, part)?;
                if parts.as_slice().is_empty() {
                    file.finish()?;
                }
                return Ok(Some(RestoredPart { node, part, bytes }));
            }
            let Some(next) = self.files.next() else { return Ok(None) };
            let mut file = HashedFile::open(self.store, next.file)?;
            read_header(&mut file)?;
            self.open = Some((file, next.parts.into_iter()));
        }
    }
}

impl<'m> Iterator for StateParts<'m> {
    type Item = Result<RestoredPart<'m>, LedgerError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.step().transpose();
        if !matches!(next, Some(Ok(_))) {
            self.open = None;
            self.files = Vec::new().into_iter();
        }
        next
    }
}
