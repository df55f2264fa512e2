//! Reading everything that is kept, to name what is damaged.

use super::error::LedgerError;
use super::fold::unfold;
use super::manifest::{Ancestor, FileRef, Manifest, OutboxRef, PartRef, ancestor};
use super::names::{self, Kind};
use super::outbox::OutboxBatches;
use super::seal::{HmacKey, Sealed};
use super::segment::{read_header, read_part};
use super::store::Store;
use super::stream::HashedFile;
use super::walk::{Manifests, numbers};
use std::collections::BTreeMap;
use std::fmt;

/// What [`verify`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Checkpoints that were checked, ascending.
    pub checkpoints: Vec<u64>,
    /// State files and outboxes that were read.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// What is wrong.
    pub damaged: Vec<LedgerError>,
    /// Manifests of which only one of the two copies is there: a crash can leave that. Nothing is lost by it.
    pub single: Vec<String>,
    /// Files that nothing names: left by a crash, gone with the next collection.
    pub strays: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (checkpoints, damaged) = (self.checkpoints.len(), self.damaged.len());
        writeln!(f, "{checkpoints} checkpoints, {} files, {} bytes read, {damaged} damaged", self.files, self.bytes)?;
        self.damaged.iter().try_for_each(|d| writeln!(f, "{d}"))?;
        self.single.iter().try_for_each(|s| writeln!(f, "{s} has no second copy"))?;
        self.strays.iter().try_for_each(|s| writeln!(f, "{s} is not needed"))
    }
}

/// A file, the parts of it that are named, and the rows it has if it is an outbox.
struct Wanted<'m> {
    file: &'m FileRef,
    parts: BTreeMap<u64, (&'m str, &'m PartRef)>,
    outbox: Option<&'m OutboxRef>,
}

/// Walks the chain from the newest manifest and reads every file that a kept one names. Damage is in the report; an error
/// is trouble of the medium.
pub fn verify(store: &dyn Store, key: Option<&HmacKey>, job: Option<&str>) -> Result<Report, LedgerError> {
    let mut report = Report::default();
    let chain = chain(&Manifests { store, key, job }, &mut report)?;
    let mut wanted: BTreeMap<&str, Wanted> = BTreeMap::new();
    for (manifest, with_state) in &chain {
        report.checkpoints.push(manifest.checkpoint);
        want(manifest, *with_state, &mut wanted);
    }
    report.checkpoints.sort_unstable();
    for wanted in wanted.values() {
        report.files += 1;
        report.bytes += wanted.file.bytes;
        match check(store, wanted) {
            Ok(()) => (),
            Err(LedgerError::Store(error)) => return Err(error.into()),
            Err(error) => report.damaged.push(error),
        }
    }
    let strays = store.list()?.into_iter().filter(|name| match names::parse(name) {
        Some((number, Kind::Manifest | Kind::Copy)) => {
            !report.checkpoints.contains(&number) && report.damaged.is_empty()
        }
        Some((_, Kind::Data)) => !wanted.contains_key(name.as_str()) && report.damaged.is_empty(),
        None => false,
    });
    report.strays = strays.map(|name| store.place(&name)).collect();
    Ok(report)
}

/// The manifests of the chain, and whether their state is kept; those that can't be read are in the report.
fn chain(manifests: &Manifests, report: &mut Report) -> Result<Vec<(Manifest, bool)>, LedgerError> {
    let all = numbers(manifests.store)?;
    let mut chain: Vec<(Manifest, bool)> = Vec::new();
    let mut ancestors: Option<Vec<Ancestor>> = None;
    for &number in all.iter().rev() {
        let expected = match &ancestors {
            None => None,
            Some(list) => match ancestor(list, number) {
                Some(ancestor) => Some(ancestor.clone()),
                None => continue,
            },
        };
        let found = both(manifests, number, expected.as_ref().map(|a| a.sha256.as_str()), report)?;
        if let Some(Sealed { mut manifest, .. }) = found {
            if ancestors.is_none() {
                let folds = unfold(manifests, &mut manifest)?;
                // One that is there is read below.
                report.damaged.extend(folds.unread().filter(|(at, _)| !all.contains(at)).map(|(_, e)| e.clone()));
            }
            ancestors.get_or_insert_with(|| manifest.ancestors.clone());
            chain.push((manifest, expected.is_none_or(|a| a.state)));
        }
    }
    Ok(chain)
}

/// Checks both copies of a manifest. If they differ nobody can say which is right, and neither counts.
fn both(
    manifests: &Manifests,
    number: u64,
    sha256: Option<&str>,
    report: &mut Report,
) -> Result<Option<Sealed>, LedgerError> {
    let pair = [names::manifest(number), names::copy(number)];
    let mut found = Vec::new();
    let mut missing = false;
    for name in &pair {
        match manifests.read(name, number, sha256) {
            Ok(Some(sealed)) => found.push((name, sealed)),
            Ok(None) => missing = true,
            Err(LedgerError::Store(error)) => return Err(error.into()),
            Err(error) => report.damaged.push(error),
        }
    }
    match found.as_slice() {
        [(one, _)] if missing => report.single.push(manifests.store.place(one)),
        [(first, one), (second, other)] if one.sha256 != other.sha256 => {
            let reason = format!("it is whole, but differs from {first}; one of the two was put here: move that away");
            report.damaged.push(LedgerError::damaged(manifests.store, second, reason));
            return Ok(None);
        }
        _ => (),
    }
    Ok(found.into_iter().next().map(|(_, sealed)| sealed))
}

fn want<'m>(manifest: &'m Manifest, with_state: bool, wanted: &mut BTreeMap<&'m str, Wanted<'m>>) {
    for outbox in manifest.sinks.iter().flat_map(|s| &s.outboxes) {
        let file = &outbox.file;
        wanted.entry(&file.name).or_insert(Wanted { file, parts: BTreeMap::new(), outbox: Some(outbox) });
    }
    if !with_state {
        return;
    }
    for file in &manifest.segments {
        wanted.entry(&file.name).or_insert(Wanted { file, parts: BTreeMap::new(), outbox: None });
    }
    for operator in &manifest.operators {
        for part in &operator.parts {
            if let Some(wanted) = wanted.get_mut(&*part.file) {
                wanted.parts.insert(part.at, (&operator.node, part));
            }
        }
    }
}

fn check(store: &dyn Store, wanted: &Wanted) -> Result<(), LedgerError> {
    if let Some(outbox) = wanted.outbox {
        return OutboxBatches::open(store, outbox)?.try_for_each(|batch| batch.map(drop));
    }
    let mut file = HashedFile::open(store, wanted.file)?;
    read_header(&mut file)?;
    for (node, part) in wanted.parts.values() {
        read_part(&mut file, node, part)?;
    }
    file.finish()
}
