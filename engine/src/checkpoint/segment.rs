//! State files: the state that one worker wrote at one checkpoint.
//!
//! All numbers are little-endian. `format` is [`FILE_FORMAT`].
//!
//! ```text
//! header   "hwstate\n"  format: u32  0: u32
//! frame    head: node_bytes: u16  group: u8  full: u8  bytes: u64     one per part
//!          node: node_bytes  part: bytes
//!          crc32c: u32                                                of head, node and part
//! index    frames: u32  (at: u64  head  node)*  crc32c: u32           at: where the frame begins
//! trailer  index_at: u64  file_bytes: u64  "hwstate\n"
//! ```
//!
//! A restore reads the frames that a manifest names, in order, and the file's hash on the way; the index is for tools that
//! have no manifest. A crc tells which part is damaged, the hash that nobody changed the file.

use super::error::LedgerError;
use super::manifest::{FILE_FORMAT, FileRef, PartRef};
use super::seal::blake3;
use super::store::{Store, StoreError};
use super::stream::HashedFile;
use std::collections::BTreeMap;
use std::sync::Arc;

const MAGIC: &[u8; 8] = b"hwstate\n";
const HEADER_BYTES: usize = 16;
const HEAD_BYTES: usize = 12;
const CRC_BYTES: usize = 4;
const TRAILER_BYTES: usize = 24;

/// A part of an operator's state on its way to a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatePart {
    /// The node's stable name.
    pub node: String,
    /// The key group.
    pub group: u8,
    /// Whether it stands alone.
    pub full: bool,
    /// The part itself.
    pub bytes: Vec<u8>,
}

/// A state file that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The file, for [`super::Manifest::segments`].
    pub file: FileRef,
    /// Its parts by node, for [`super::OperatorState::parts`].
    pub index: BTreeMap<String, Vec<PartRef>>,
}

/// Writes a state file. Parts keep their order.
pub(super) fn write(
    store: &dyn Store,
    name: &str,
    checkpoint: u64,
    parts: &[StatePart],
) -> Result<Segment, StoreError> {
    let (mut at, shared) = (HEADER_BYTES as u64, Arc::<str>::from(name));
    let mut index: BTreeMap<String, Vec<PartRef>> = BTreeMap::new();
    let mut entries = (parts.len() as u32).to_le_bytes().to_vec();
    let mut around = Vec::with_capacity(parts.len());
    for part in parts {
        let head = head(part);
        let crc = crc32c::crc32c_append(crc32c::crc32c(&head), &part.bytes).to_le_bytes();
        let bytes = part.bytes.len() as u64;
        index.entry(part.node.clone()).or_default().push(PartRef {
            group: part.group,
            full: part.full,
            checkpoint,
            file: shared.clone(),
            at,
            bytes,
        });
        entries.extend_from_slice(&at.to_le_bytes());
        entries.extend_from_slice(&head);
        at += (head.len() + CRC_BYTES) as u64 + bytes;
        around.push((head, crc));
    }
    let header = header();
    let end = end(at, entries);
    let mut slices: Vec<&[u8]> = Vec::with_capacity(3 * parts.len() + 2);
    slices.push(&header);
    for ((head, crc), part) in around.iter().zip(parts) {
        slices.extend([head.as_slice(), &part.bytes, crc.as_slice()]);
    }
    slices.push(&end);
    let file = FileRef { name: name.to_owned(), bytes: at + end.len() as u64, blake3: blake3(&slices) };
    store.write(name, &slices)?;
    Ok(Segment { file, index })
}

fn header() -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..8].copy_from_slice(MAGIC);
    header[8..12].copy_from_slice(&FILE_FORMAT.to_le_bytes());
    header
}

/// Head and node of a frame.
fn head(part: &StatePart) -> Vec<u8> {
    let node = u16::try_from(part.node.len()).expect("a node's name is far below 64 KiB: the graph was validated");
    let mut head = Vec::with_capacity(HEAD_BYTES + part.node.len());
    head.extend_from_slice(&node.to_le_bytes());
    head.extend_from_slice(&[part.group, u8::from(part.full)]);
    head.extend_from_slice(&(part.bytes.len() as u64).to_le_bytes());
    head.extend_from_slice(part.node.as_bytes());
    head
}

/// Index and trailer of a file whose frames end at `at`.
fn end(at: u64, entries: Vec<u8>) -> Vec<u8> {
    let mut end = entries;
    end.extend_from_slice(&crc32c::crc32c(&end).to_le_bytes());
    let file_bytes = at + (end.len() + TRAILER_BYTES) as u64;
    end.extend_from_slice(&at.to_le_bytes());
    end.extend_from_slice(&file_bytes.to_le_bytes());
    end.extend_from_slice(MAGIC);
    end
}

/// Checks the header of a file opened at its beginning.
pub(super) fn read_header(file: &mut HashedFile) -> Result<(), LedgerError> {
    match file.take(HEADER_BYTES as u64)?.as_slice() == header() {
        true => Ok(()),
        false => Err(file.damaged("its header is not that of a state file")),
    }
}

/// Reads the frame of a part, forward from where the file stands.
pub(super) fn read_part(file: &mut HashedFile, node: &str, part: &PartRef) -> Result<Vec<u8>, LedgerError> {
    file.skip_to(part.at)?;
    let mut expected =
        head(&StatePart { node: node.to_owned(), group: part.group, full: part.full, bytes: Vec::new() });
    expected[4..HEAD_BYTES].copy_from_slice(&part.bytes.to_le_bytes());
    let group = part.group;
    if file.take(expected.len() as u64)? != expected {
        return Err(file.damaged(format!("no part of {node}, key group {group}, begins at byte {}", part.at)));
    }
    let bytes = file.take(part.bytes)?;
    let crc = crc32c::crc32c_append(crc32c::crc32c(&expected), &bytes).to_le_bytes();
    if file.take(CRC_BYTES as u64)? != crc {
        return Err(
            file.damaged(format!("the part of {node}, key group {group}, at byte {} has a wrong checksum", part.at))
        );
    }
    Ok(bytes)
}

/// The index of a state file: node and part, in order of the frames. For tools that have no manifest.
pub fn read_index(file: &[u8], name: &str, checkpoint: u64) -> Result<Vec<(String, PartRef)>, String> {
    let at = index_at(file)?;
    let index = file.get(at..file.len() - TRAILER_BYTES).ok_or("its index begins behind its end")?;
    let (entries, crc) = index.split_last_chunk::<CRC_BYTES>().ok_or("its index is cut off")?;
    if crc32c::crc32c(entries).to_le_bytes() != *crc {
        return Err("its index has a wrong checksum".into());
    }
    let (count, mut entries) = entries.split_first_chunk::<4>().ok_or("its index is cut off")?;
    let mut index = Vec::new();
    for _ in 0..u32::from_le_bytes(*count) {
        index.push(entry(&mut entries, name, checkpoint).ok_or("its index is cut off")?);
    }
    match entries {
        [] => Ok(index),
        more => Err(format!("its index has {} bytes too many", more.len())),
    }
}

fn index_at(file: &[u8]) -> Result<usize, String> {
    let trailer = file.last_chunk::<TRAILER_BYTES>().ok_or("it is cut off")?;
    if !file.starts_with(&header()) || !trailer.ends_with(MAGIC) {
        return Err("it is cut off or is no state file of this version".into());
    }
    let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| trailer[at + i]));
    if number(8) != file.len() as u64 {
        return Err(format!("it has {} bytes and says {}", file.len(), number(8)));
    }
    usize::try_from(number(0)).map_err(|_| "its index begins behind its end".into())
}

fn entry(entries: &mut &[u8], name: &str, checkpoint: u64) -> Option<(String, PartRef)> {
    let mut take = |n: usize| entries.split_off(..n);
    let at = u64::from_le_bytes(take(8)?.try_into().ok()?);
    let head = take(HEAD_BYTES)?;
    let bytes = u64::from_le_bytes(head[4..].try_into().ok()?);
    let node = take(usize::from(u16::from_le_bytes([head[0], head[1]])))?;
    let part = PartRef { group: head[2], full: head[3] != 0, checkpoint, file: name.into(), at, bytes };
    Some((String::from_utf8(node.to_vec()).ok()?, part))
}
