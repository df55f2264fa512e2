//! Outboxes: the rows of one worker for one sink, from one checkpoint to the next.
//!
//! All numbers are little-endian. `format` is [`FILE_FORMAT`].
//!
//! ```text
//! header   "hwoutbx\n"  format: u32  0: u32
//! frame    bytes: u64  crc32c: u32  0: u32      crc32c of the frame's message bytes
//!          messages: bytes                      of an Arrow IPC stream
//! ```
//!
//! The messages of all frames, one after the other, are one Arrow IPC stream without its end mark: the schema in the first
//! frame, then one frame a batch with the dictionaries it needs. A file without frames has no rows. Its hash is in the
//! manifest and is checked before anything is decoded; checksums tell a tool that has no manifest what is whole.

use super::error::LedgerError;
use super::manifest::{FILE_FORMAT, FileRef, OutboxRef};
use super::seal::hex;
use super::store::{Store, StoreError, StoreErrorKind, Take};
use super::stream::HashedFile;
use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamDecoder;
use arrow::ipc::writer::StreamWriter;

const MAGIC: &[u8; 8] = b"hwoutbx\n";
const HEADER_BYTES: usize = 16;
const HEAD_BYTES: usize = 16;

/// Writes an outbox: each frame is encoded, hashed and written while it is in the cache.
pub(super) fn write(store: &dyn Store, name: &str, batches: &[RecordBatch]) -> Result<OutboxRef, LedgerError> {
    let mut refused = None;
    let mut file = FileRef { name: name.to_owned(), bytes: 0, blake3: String::new() };
    let written = store.write_pieces(name, &mut |take| {
        let (mut bytes, mut hasher) = (0, blake3::Hasher::new());
        let mut put = |piece: &[u8]| {
            bytes += piece.len() as u64;
            hasher.update(piece);
            take(piece)
        };
        put(&header())?;
        encode(batches, &mut |frame| {
            put(&head(frame))?;
            put(frame)
        })
        .map_err(|unwritten| match unwritten {
            Unwritten::Rows(error) => {
                let reason = format!("its rows can't be written: {error}");
                refused = Some(reason.clone());
                StoreError::new(StoreErrorKind::Other, reason)
            }
            Unwritten::File(error) => error,
        })?;
        (file.bytes, file.blake3) = (bytes, hex(hasher.finalize().as_bytes()));
        Ok(())
    });
    if let Some(reason) = refused {
        return Err(LedgerError::refused(store, name, reason));
    }
    written?;
    Ok(OutboxRef { file, rows: batches.iter().map(|b| b.num_rows() as u64).sum() })
}

/// Why an outbox was not written.
enum Unwritten {
    /// Its rows are not what can be written.
    Rows(ArrowError),
    /// The store did not take it.
    File(StoreError),
}

/// The messages of an Arrow stream: first the schema, then those of each batch.
fn encode(batches: &[RecordBatch], put: Take<'_>) -> Result<(), Unwritten> {
    let Some(first) = batches.first() else { return Ok(()) };
    let mut writer = StreamWriter::try_new(Vec::new(), &first.schema()).map_err(Unwritten::Rows)?;
    put(writer.get_ref()).map_err(Unwritten::File)?;
    for batch in batches {
        writer.get_mut().clear();
        writer.write(batch).map_err(Unwritten::Rows)?;
        put(writer.get_ref()).map_err(Unwritten::File)?;
    }
    Ok(())
}

fn header() -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..8].copy_from_slice(MAGIC);
    header[8..12].copy_from_slice(&FILE_FORMAT.to_le_bytes());
    header
}

fn head(frame: &[u8]) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    head[..8].copy_from_slice(&(frame.len() as u64).to_le_bytes());
    head[8..12].copy_from_slice(&crc32c::crc32c(frame).to_le_bytes());
    head
}

/// The batches of an outbox, decoded one by one. The file's hash was right before the first one.
pub struct OutboxBatches {
    place: String,
    file: Buffer,
    at: usize,
    decoder: StreamDecoder,
    /// Rows still to come.
    rows: u64,
    ended: bool,
}

impl OutboxBatches {
    /// Reads and checks the file.
    pub(super) fn open(store: &dyn Store, outbox: &OutboxRef) -> Result<Self, LedgerError> {
        let mut file = HashedFile::open(store, &outbox.file)?;
        let bytes = file.take(outbox.file.bytes)?;
        file.finish()?;
        if !bytes.starts_with(&header()) {
            return Err(file.damaged("its header is not that of an outbox"));
        }
        Ok(Self {
            place: store.place(&outbox.file.name),
            file: Buffer::from_vec(bytes),
            at: HEADER_BYTES,
            decoder: StreamDecoder::new(),
            rows: outbox.rows,
            ended: false,
        })
    }

    fn step(&mut self) -> Result<Option<RecordBatch>, String> {
        while let Some(mut messages) = self.frame()? {
            let batch = self.decoder.decode(&mut messages).map_err(|e| format!("it can't be decoded: {e}"))?;
            if !messages.is_empty() {
                return Err(format!("a frame that ends at byte {} has more than one batch", self.at));
            }
            if let Some(batch) = batch {
                let rows = batch.num_rows() as u64;
                self.rows = self.rows.checked_sub(rows).ok_or("it has more rows than its manifest says")?;
                return Ok(Some(batch));
            }
        }
        match self.rows {
            0 => Ok(None),
            missing => Err(format!("{missing} of the rows that its manifest says are not there")),
        }
    }

    /// The messages of the next frame.
    fn frame(&mut self) -> Result<Option<Buffer>, String> {
        let rest = &self.file[self.at..];
        if rest.is_empty() {
            return Ok(None);
        }
        let cut_off = || format!("a frame at byte {} is cut off", self.at);
        let (head, rest) = rest.split_first_chunk::<HEAD_BYTES>().ok_or_else(cut_off)?;
        let bytes = u64::from_le_bytes(std::array::from_fn(|i| head[i]));
        let bytes = usize::try_from(bytes).ok().filter(|b| *b <= rest.len()).ok_or_else(cut_off)?;
        let start = self.at + HEAD_BYTES;
        let frame = self.file.slice_with_length(start, bytes);
        if head[..] != self::head(&frame)[..] {
            return Err(format!("the frame at byte {} has a wrong checksum", self.at));
        }
        self.at = start + bytes;
        Ok(Some(frame))
    }
}

impl Iterator for OutboxBatches {
    type Item = Result<RecordBatch, LedgerError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.step().map_err(|reason| LedgerError::Damaged { file: self.place.clone(), reason }).transpose();
        self.ended = !matches!(next, Some(Ok(_)));
        next
    }
}
