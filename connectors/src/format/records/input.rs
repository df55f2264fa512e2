//! The bytes of a file, unpacked where it is compressed.
//!
//! | first bytes | read as |
//! |---|---|
//! | `1F 8B` | gzip, of any number of members |
//! | `28 B5 2F FD` | zstd, of any number of frames |
//! | others | as they are |
//!
//! The name does not count. A compressed file can only be read from its beginning: going on at a byte unpacks what stands
//! before it. Positions, lines and sizes are those of the unpacked text.

use crate::files::io_error;
use flate2::read::MultiGzDecoder;
use highwater_engine::error::SourceError;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use zstd::stream::read::Decoder;

/// A file being read.
pub enum Input {
    /// As it is.
    Plain(File),
    /// Unpacked on the way.
    Gzip(Box<MultiGzDecoder<BufReader<File>>>),
    /// Unpacked on the way.
    Zstd(Box<Decoder<'static, BufReader<File>>>),
}

impl Input {
    /// A file, at a byte of its text.
    pub fn open(path: &str, at: u64) -> Result<Self, SourceError> {
        let failed = |tried: &str, e: &io::Error| SourceError::new(io_error(tried, path, e));
        let mut file = File::open(path).map_err(|e| failed("open", &e))?;
        let packed = Packed::of(&mut file).map_err(|e| failed("read", &e))?;
        let mut input = match packed {
            Packed::No => {
                file.seek(SeekFrom::Start(at)).map_err(|e| failed("read", &e))?;
                return Ok(Self::Plain(file));
            }
            Packed::Gzip => Self::Gzip(Box::new(MultiGzDecoder::new(BufReader::new(file)))),
            Packed::Zstd => Self::Zstd(Box::new(Decoder::new(file).map_err(|e| failed("read", &e))?)),
        };
        let skipped = io::copy(&mut input.by_ref().take(at), &mut io::sink()).map_err(|e| failed("read", &e))?;
        if skipped == at {
            return Ok(input);
        }
        let message = format!("{path} ends before byte {at} of its text, where reading should go on; restore the file");
        Err(SourceError::new(message))
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (read, packer) = match self {
            Self::Plain(file) => return file.read(buffer),
            Self::Gzip(text) => (text.read(buffer), "gzip"),
            Self::Zstd(text) => (text.read(buffer), "zstd"),
        };
        read.map_err(|e| match e.kind() {
            io::ErrorKind::Interrupted => e,
            _ => io::Error::other(format!("its {packer} data is truncated or damaged ({e}); write it again")),
        })
    }
}

/// How a file is compressed.
enum Packed {
    No,
    Gzip,
    Zstd,
}

impl Packed {
    /// By the first bytes; the file stands at its beginning again.
    fn of(file: &mut File) -> io::Result<Self> {
        let mut magic = Vec::new();
        file.by_ref().take(4).read_to_end(&mut magic)?;
        file.rewind()?;
        Ok(match magic.as_slice() {
            [0x1F, 0x8B, ..] => Self::Gzip,
            [0x28, 0xB5, 0x2F, 0xFD] => Self::Zstd,
            _ => Self::No,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::write::GzEncoder;
    use std::io::Write;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut packer = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(text).unwrap();
        packer.finish().unwrap()
    }

    fn zstd(text: &[u8]) -> Vec<u8> {
        zstd::stream::encode_all(text, 1).unwrap()
    }

    fn read(bytes: &[u8], at: u64) -> Result<Vec<u8>, String> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        let path = file.path().to_str().unwrap().to_owned();
        let mut text = Vec::new();
        let mut input = Input::open(&path, at).map_err(|e| e.message.replace(&path, "FILE"))?;
        input.read_to_end(&mut text).map_err(|e| io_error("read", "FILE", &e))?;
        Ok(text)
    }

    #[test]
    fn a_compressed_text_is_read_from_any_byte() {
        let text: Vec<u8> =
            (0..200_000u32).flat_map(|i| format!("{}\n", i.wrapping_mul(2_654_435_761)).into_bytes()).collect();
        let (first, second) = text.split_at(text.len() / 3);
        for packed in [
            text.clone(),
            gzip(&text),
            zstd(&text),
            [gzip(first), gzip(second)].concat(),
            [zstd(first), zstd(second)].concat(),
        ] {
            for at in [0, 1, 70_000, text.len() - 1, text.len()] {
                assert!(read(&packed, at as u64).unwrap() == text[at..], "from byte {at}");
            }
        }
        assert!(read(&gzip(&text), text.len() as u64 + 1).unwrap_err().contains("where reading should go on"));
    }

    #[test]
    fn damage_is_named_and_never_silent() {
        let text = b"1,2,3\n".repeat(10_000);
        for (packed, name) in [(gzip(&text), "gzip"), (zstd(&text), "zstd")] {
            for length in [packed.len() - 1, packed.len() / 2, 5] {
                let error = read(&packed[..length], 0).unwrap_err();
                let expected = format!("can't read FILE: its {name} data is truncated or damaged (");
                assert!(error.starts_with(&expected) && error.ends_with("); write it again"), "{error}");
            }
        }
        let mut damaged = gzip(&text);
        let checksum = damaged.len() - 6;
        damaged[checksum] ^= 1;
        assert!(read(&damaged, 0).unwrap_err().contains("its gzip data is truncated or damaged"));
    }
}
