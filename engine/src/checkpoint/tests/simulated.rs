//! A disk in memory that forgets what was not synced.
//!
//! Programs see one set of names and bytes, the platter another. `DiskFile::sync` brings a file's bytes over,
//! `Disk::sync_names` the names. When the power fails, of what was not brought over nothing, everything, a beginning or an
//! arbitrary part survives: names without bytes, bytes cut off or replaced by zeros, later changes without earlier ones.
//! That is harsher than a journaling file system, and what POSIX allows.

use crate::checkpoint::disk::{Disk, DiskFile};
use std::collections::BTreeMap;
use std::io::{self, Cursor, ErrorKind, Read};
use std::sync::{Arc, Mutex, MutexGuard};

/// Random numbers from a seed (SplitMix64).
pub struct Random(pub u64);

impl Random {
    /// The next number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}

/// What happens at an operation instead of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The power is off from now on.
    Power,
    /// It fails once, with this error number.
    Error(i32),
}

/// What a broken disk, or a program that trusts it too much, leaves out. Each must be caught.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// Files are not synced.
    Bytes,
    /// Names are not synced.
    Names,
    /// Names are not synced after files were deleted.
    Deleted,
}

#[derive(Clone, Debug, Default)]
struct Inode {
    seen: Vec<u8>,
    durable: Vec<u8>,
}

#[derive(Clone, Debug)]
enum Change {
    Add(String, usize),
    Remove(String),
    Rename(String, String, usize),
}

impl Change {
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            Self::Add(name, inode) => drop(names.insert(name.clone(), *inode)),
            Self::Remove(name) => drop(names.remove(name)),
            Self::Rename(from, to, inode) => {
                names.remove(from);
                names.insert(to.clone(), *inode);
            }
        }
    }
}

#[derive(Debug, Default)]
struct Platter {
    inodes: Vec<Inode>,
    seen: BTreeMap<String, usize>,
    durable: BTreeMap<String, usize>,
    /// Changes of names since the last sync.
    pending: Vec<Change>,
    /// Operations so far that write or sync.
    operations: u64,
    fault: Option<(u64, Fault)>,
    mutant: Option<Mutant>,
    last_unlinked: bool,
}

/// The disk; clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct SimulatedDisk(Arc<Mutex<Platter>>);

impl SimulatedDisk {
    /// An empty disk.
    pub fn new(mutant: Option<Mutant>) -> Self {
        Self(Arc::new(Mutex::new(Platter { mutant, ..Platter::default() })))
    }

    fn platter(&self) -> MutexGuard<'_, Platter> {
        self.0.lock().unwrap()
    }

    /// Lets `fault` happen in place of the operation after so many.
    pub fn fail_after(&self, operations: u64, fault: Fault) {
        self.platter().fault = Some((operations, fault));
    }

    /// Operations so far.
    pub fn operations(&self) -> u64 {
        self.platter().operations
    }

    /// The power fails and comes back: what survives depends on the seed.
    pub fn power_loss(&self, seed: u64) {
        let mut platter = self.platter();
        let mut random = Random(seed);
        let (how, pending) = (random.below(4), std::mem::take(&mut platter.pending));
        let prefix = random.below(pending.len() as u64 + 1) as usize;
        for (i, change) in pending.iter().enumerate() {
            let survives = [false, true, i < prefix, random.below(2) == 0][how as usize];
            if survives {
                change.apply(&mut platter.durable);
            }
        }
        for inode in &mut platter.inodes {
            if inode.seen != inode.durable {
                inode.durable = torn(inode, &mut random);
            }
            inode.seen = inode.durable.clone();
        }
        platter.seen = platter.durable.clone();
        platter.fault = None;
    }
}

fn torn(inode: &Inode, random: &mut Random) -> Vec<u8> {
    let cut = random.below(inode.seen.len() as u64 + 1) as usize;
    match random.below(4) {
        0 => inode.durable.clone(),
        1 => inode.seen.clone(),
        2 => inode.seen[..cut].to_vec(),
        _ => inode.seen.iter().enumerate().map(|(i, b)| if i < cut { *b } else { 0 }).collect(),
    }
}

impl Platter {
    /// Counts an operation; the fault happens here.
    fn operate(&mut self) -> io::Result<()> {
        match self.fault {
            Some((at, Fault::Power)) if self.operations >= at => return Err(io::Error::other("the power is off")),
            Some((at, Fault::Error(number))) if self.operations >= at => {
                self.fault = None;
                return Err(io::Error::from_raw_os_error(number));
            }
            _ => self.operations += 1,
        }
        Ok(())
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.seen);
        self.last_unlinked = matches!(change, Change::Remove(_));
        self.pending.push(change);
    }

    fn inode(&self, name: &str) -> io::Result<usize> {
        self.seen.get(name).copied().ok_or(ErrorKind::NotFound.into())
    }
}

impl Disk for SimulatedDisk {
    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let mut platter = self.platter();
        platter.operate()?;
        let inode = match platter.inode(name) {
            Ok(inode) => inode,
            Err(_) => {
                platter.inodes.push(Inode::default());
                let new = platter.inodes.len() - 1;
                platter.change(Change::Add(name.to_owned(), new));
                new
            }
        };
        platter.inodes[inode].seen.clear();
        Ok(Box::new(SimulatedFile { disk: self.clone(), inode }))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Read + Send>> {
        let platter = self.platter();
        let inode = platter.inode(name)?;
        Ok(Box::new(Cursor::new(platter.inodes[inode].seen.clone())))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut platter = self.platter();
        platter.operate()?;
        let inode = platter.inode(from)?;
        platter.change(Change::Rename(from.to_owned(), to.to_owned(), inode));
        Ok(())
    }

    fn link(&self, from: &str, to: &str) -> io::Result<()> {
        let mut platter = self.platter();
        platter.operate()?;
        if platter.inode(to).is_ok() {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let inode = platter.inode(from)?;
        platter.change(Change::Add(to.to_owned(), inode));
        Ok(())
    }

    fn unlink(&self, name: &str) -> io::Result<()> {
        let mut platter = self.platter();
        platter.operate()?;
        platter.inode(name)?;
        platter.change(Change::Remove(name.to_owned()));
        // Cleaning up behind a link is no deletion.
        platter.last_unlinked &= !name.starts_with('.');
        Ok(())
    }

    fn sync_names(&self) -> io::Result<()> {
        let mut platter = self.platter();
        platter.operate()?;
        let forgets =
            platter.mutant == Some(Mutant::Names) || platter.mutant == Some(Mutant::Deleted) && platter.last_unlinked;
        if !forgets {
            platter.durable = platter.seen.clone();
            platter.pending.clear();
        }
        Ok(())
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.platter().seen.keys().cloned().collect())
    }

    fn path(&self, name: &str) -> String {
        format!("disk:{name}")
    }
}

struct SimulatedFile {
    disk: SimulatedDisk,
    inode: usize,
}

impl DiskFile for SimulatedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut platter = self.disk.platter();
        platter.operate()?;
        platter.inodes[self.inode].seen.extend_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut platter = self.disk.platter();
        platter.operate()?;
        if platter.mutant != Some(Mutant::Bytes) {
            let inode = &mut platter.inodes[self.inode];
            inode.durable = inode.seen.clone();
        }
        Ok(())
    }
}
