//! What must be equal when a job goes on from a position in a file.
//!
//! The file's size and a hash of its first and last 64 KiB (a Parquet file's last bytes describe all the others), together
//! with the options that decide where its records begin. The text is kept in checkpoints, so its form is frozen.

use super::io_error;
use highwater_engine::checkpoint::seal::sha256;
use highwater_engine::error::SourceError;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

/// Bytes hashed at either end of a file.
const HASHED_BYTES: u64 = 64 << 10;

/// The fingerprint of a file that is read in this way.
pub fn of(path: &str, format: &str) -> Result<String, SourceError> {
    let hashed = File::open(path).and_then(|mut file| hash(&mut file));
    let (size, hash) = hashed.map_err(|e| SourceError::new(io_error("read", path, &e)))?;
    Ok(format!("file 1: {size} bytes, sha256 {hash}, {format}"))
}

fn hash(file: &mut File) -> io::Result<(u64, String)> {
    let size = file.metadata()?.len();
    let mut bytes = Vec::new();
    file.take(HASHED_BYTES).read_to_end(&mut bytes)?;
    let tail = size.saturating_sub(HASHED_BYTES).max(HASHED_BYTES);
    if tail < size {
        file.seek(SeekFrom::Start(tail))?;
        file.take(HASHED_BYTES).read_to_end(&mut bytes)?;
    }
    Ok((size, sha256(&[&bytes])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_at_either_end_or_in_the_size_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let print = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            of(path.to_str().unwrap(), "parquet").unwrap()
        };
        for size in [1, 1000, 65_536, 65_537, 131_072, 131_073, 1_000_000] {
            let bytes: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
            let good = print(&bytes);
            assert_eq!(good, print(&bytes));
            for at in [0, size / 2, size - 1] {
                let mut other = bytes.clone();
                other[at] ^= 1;
                let seen = at < 65_536 || at + 65_536 >= size;
                assert_eq!(good != print(&other), seen, "{size} bytes, byte {at}");
            }
            assert_ne!(good, print(&[&bytes[..], b"\n"].concat()));
            assert_ne!(good, print(&bytes[..size - 1]));
        }
        assert_ne!(of(path.to_str().unwrap(), "parquet").unwrap(), of(path.to_str().unwrap(), "csv").unwrap());
        std::fs::remove_file(&path).unwrap();
        assert!(of(path.to_str().unwrap(), "csv").unwrap_err().message.contains("does not exist"));
    }
}
