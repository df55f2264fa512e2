//! Byte code of snapshots: little-endian, length-prefixed, checked on reading.
//!
//! A damaged snapshot is an error, never a panic: every read says what it wanted and where.

use crate::error::OperatorError;
use arrow::array::RecordBatch;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;

/// Appends values to a byte string.
#[derive(Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }
    /// The bytes written.
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }
    /// Appends a byte.
    #[inline]
    pub fn u8(&mut self, v: u8) {
        self.bytes.push(v);
    }
    /// Appends a `u32`.
    pub fn u32(&mut self, v: u32) {
        self.bytes.extend_from_slice(&v.to_le_bytes());
    }
    /// Appends a `u64`.
    #[inline]
    pub fn u64(&mut self, v: u64) {
        self.bytes.extend_from_slice(&v.to_le_bytes());
    }
    /// Appends an `i64`.
    pub fn i64(&mut self, v: i64) {
        self.bytes.extend_from_slice(&v.to_le_bytes());
    }
    /// Appends an `i128`.
    pub fn i128(&mut self, v: i128) {
        self.bytes.extend_from_slice(&v.to_le_bytes());
    }
    /// Appends a number in as few bytes as it needs, at most nine: as many zero bits as bytes follow the first, a one, and
    /// the number.
    #[inline(always)]
    pub fn count(&mut self, v: u64) {
        let bits = 64 - (v | 1).leading_zeros();
        if bits > 56 {
            self.u8(0);
            return self.u64(v);
        }
        let bytes = bits.div_ceil(7);
        let at = self.bytes.len();
        self.u64((v << 1 | 1) << (bytes - 1));
        self.bytes.truncate(at + bytes as usize);
    }
    /// Appends a number of either sign that is likely to be near zero.
    #[inline(always)]
    pub fn near(&mut self, v: i64) {
        self.count((v << 1 ^ v >> 63) as u64);
    }
    /// Appends what `write` appends, behind its length as a [`count`](Writer::count): whoever reads it may pass over it.
    #[inline(always)]
    pub fn sized(&mut self, write: impl FnOnce(&mut Self)) {
        let at = self.bytes.len();
        self.u8(0);
        write(self);
        let (end, length) = (self.bytes.len(), self.bytes.len() - at - 1);
        if length < 1 << 7 {
            self.bytes[at] = (length << 1 | 1) as u8;
            return;
        }
        // It takes more than the one byte that is left for it.
        self.count(length as u64);
        let more = self.bytes.len() - end - 1;
        let mut size = [0; 9];
        size[..=more].copy_from_slice(&self.bytes[end..]);
        self.bytes.truncate(end + more);
        self.bytes.copy_within(at + 1..end, at + 1 + more);
        self.bytes[at..=at + more].copy_from_slice(&size[..=more]);
    }
    /// Appends what all of these become.
    pub(super) fn extend<const N: usize>(&mut self, v: impl ExactSizeIterator<Item = [u8; N]>) {
        let at = self.bytes.len();
        self.bytes.resize(at + v.len() * N, 0);
        let (to, _) = self.bytes[at..].as_chunks_mut();
        to.iter_mut().zip(v).for_each(|(to, v)| *to = v);
    }
    /// An empty one with room for so many bytes.
    pub fn with_room(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes) }
    }
    /// Writes a `u64` over what stands at `at`.
    pub fn set_u64(&mut self, at: usize, v: u64) {
        self.bytes[at..at + 8].copy_from_slice(&v.to_le_bytes());
    }
    /// The bytes written so far.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }
    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
    /// Appends a length and the bytes.
    pub fn bytes(&mut self, v: &[u8]) {
        self.u64(v.len() as u64);
        self.bytes.extend_from_slice(v);
    }
    /// Appends a batch with its schema, as an Arrow IPC stream.
    pub fn batch(&mut self, v: &RecordBatch) -> Result<(), OperatorError> {
        let fail = |e: arrow::error::ArrowError| OperatorError::new(format!("state could not be written: {e}"));
        let start = self.bytes.len();
        self.u64(0);
        let mut w = StreamWriter::try_new(&mut self.bytes, &v.schema()).map_err(fail)?;
        w.write(v).map_err(fail)?;
        w.finish().map_err(fail)?;
        drop(w);
        self.set_u64(start, (self.bytes.len() - start - 8) as u64);
        Ok(())
    }
}

/// Reads what a [`Writer`] wrote.
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Reads from the beginning of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }
    /// Bytes read so far.
    #[inline(always)]
    pub fn position(&self) -> usize {
        self.at
    }
    /// Passes over `n` bytes.
    #[inline(always)]
    pub fn skip(&mut self, n: usize) -> Result<(), OperatorError> {
        self.take(n).map(|_| ())
    }
    /// Reads the length that [`Writer::sized`] wrote, and says where what follows it ends.
    #[inline(always)]
    pub fn sized(&mut self) -> Result<usize, OperatorError> {
        let length = usize::try_from(self.count()?).ok();
        let end = length.and_then(|n| self.at.checked_add(n)).filter(|end| *end <= self.bytes.len());
        end.ok_or_else(|| OperatorError::new("state is damaged: impossible length"))
    }
    /// Whether everything was read.
    pub fn is_done(&self) -> bool {
        self.at == self.bytes.len()
    }
    fn take(&mut self, n: usize) -> Result<&'a [u8], OperatorError> {
        let end = self.at.checked_add(n).filter(|e| *e <= self.bytes.len());
        let Some(end) = end else {
            return Err(OperatorError::new(format!(
                "state is damaged: {n} bytes wanted at {}, {} there",
                self.at,
                self.bytes.len() - self.at
            )));
        };
        let s = &self.bytes[self.at..end];
        self.at = end;
        Ok(s)
    }
    fn array<const N: usize>(&mut self) -> Result<[u8; N], OperatorError> {
        let mut a = [0; N];
        a.copy_from_slice(self.take(N)?);
        Ok(a)
    }
    /// Reads a byte.
    pub fn u8(&mut self) -> Result<u8, OperatorError> {
        Ok(self.array::<1>()?[0])
    }
    /// Reads a `u32`.
    pub fn u32(&mut self) -> Result<u32, OperatorError> {
        Ok(u32::from_le_bytes(self.array()?))
    }
    /// Reads a `u64`.
    pub fn u64(&mut self) -> Result<u64, OperatorError> {
        Ok(u64::from_le_bytes(self.array()?))
    }
    /// Reads an `i64`.
    pub fn i64(&mut self) -> Result<i64, OperatorError> {
        Ok(i64::from_le_bytes(self.array()?))
    }
    /// Reads an `i128`.
    pub fn i128(&mut self) -> Result<i128, OperatorError> {
        Ok(i128::from_le_bytes(self.array()?))
    }
    /// Reads what [`Writer::count`] wrote.
    #[inline(always)]
    pub fn count(&mut self) -> Result<u64, OperatorError> {
        // Eight bytes at once, if there are so many.
        if let Some(next) = self.bytes[self.at..].first_chunk::<8>() {
            let next = u64::from_le_bytes(*next);
            let bytes = next.trailing_zeros() + 1;
            if bytes <= 8 {
                self.at += bytes as usize;
                return Ok((next << (64 - 8 * bytes) >> (64 - 8 * bytes)) >> bytes);
            }
        }
        let bytes = self.bytes.get(self.at).map_or(1, |first| first.trailing_zeros() + 1);
        if bytes > 8 {
            self.at += 1;
            return self.u64();
        }
        let mut word = [0; 8];
        word[..bytes as usize].copy_from_slice(self.take(bytes as usize)?);
        Ok(u64::from_le_bytes(word) >> bytes)
    }
    /// Reads what [`Writer::near`] wrote.
    #[inline(always)]
    pub fn near(&mut self) -> Result<i64, OperatorError> {
        let v = self.count()?;
        Ok((v >> 1) as i64 ^ -((v & 1) as i64))
    }
    /// Reads `n` pieces of N bytes each.
    pub(super) fn arrays<const N: usize>(&mut self, n: usize) -> Result<&'a [[u8; N]], OperatorError> {
        let bytes = n.checked_mul(N).ok_or_else(|| OperatorError::new("state is damaged: impossible length"))?;
        Ok(self.take(bytes)?.as_chunks().0)
    }
    /// Reads length-prefixed bytes.
    pub fn bytes(&mut self) -> Result<&'a [u8], OperatorError> {
        let n = usize::try_from(self.u64()?).map_err(|_| OperatorError::new("state is damaged: impossible length"))?;
        self.take(n)
    }
    /// Reads a batch.
    pub fn batch(&mut self) -> Result<RecordBatch, OperatorError> {
        let bytes = self.bytes()?;
        let fail = |e: arrow::error::ArrowError| OperatorError::new(format!("state is damaged: {e}"));
        let mut r = StreamReader::try_new(bytes, None).map_err(fail)?;
        r.next().ok_or_else(|| OperatorError::new("state is damaged: a batch without rows"))?.map_err(fail)
    }
}

/// The error of a part whose first byte names a version that this program does not read: it is whole, but of another program.
pub fn unknown_version(found: u8, newest: u8) -> OperatorError {
    OperatorError::new(format!(
        "its state has version {found}, and this program reads versions up to {newest}: use the version of highwater that \
         wrote it, or start anew with --fresh and empty outputs"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_a_cut_is_an_error() {
        let mut w = Writer::new();
        w.u8(7);
        w.u32(8);
        w.i64(-9);
        w.i128(i128::MIN);
        w.bytes(b"card");
        let numbers = (0..64).flat_map(|bit| [1u64 << bit, (1 << bit) - 1, u64::MAX >> bit]);
        numbers.clone().for_each(|v| w.count(v));
        numbers.clone().for_each(|v| w.near(v as i64));
        let bytes = w.finish();
        let read = |b: &[u8]| -> Result<(), OperatorError> {
            let mut r = Reader::new(b);
            assert_eq!((r.u8()?, r.u32()?, r.i64()?, r.i128()?), (7, 8, -9, i128::MIN));
            assert_eq!(r.bytes()?, b"card");
            numbers.clone().try_for_each(|v| r.count().map(|found| assert_eq!(found, v)))?;
            numbers.clone().try_for_each(|v| r.near().map(|found| assert_eq!(found, v as i64)))?;
            assert!(r.is_done());
            Ok(())
        };
        read(&bytes).unwrap();
        (0..bytes.len()).for_each(|n| assert!(read(&bytes[..n]).is_err()));
    }
}

#[cfg(test)]
mod sizes {
    use super::*;

    #[test]
    fn what_is_sized_can_be_passed_over() {
        for length in [0, 1, 126, 127, 128, 129, 5_000, 16_383, 16_384, 70_000] {
            let content: Vec<u8> = (0..length).map(|i| i as u8).collect();
            let mut w = Writer::new();
            w.u8(7);
            w.sized(|w| content.iter().for_each(|b| w.u8(*b)));
            w.u8(9);
            let bytes = w.finish();
            let mut r = Reader::new(&bytes);
            assert_eq!(r.u8().unwrap(), 7);
            let end = r.sized().unwrap();
            assert_eq!(bytes[r.position()..end], content);
            r.skip(length).unwrap();
            assert_eq!((r.position(), r.u8().unwrap(), r.is_done()), (end, 9, true));
            let mut cut = Reader::new(&bytes[..bytes.len() - 2]);
            cut.skip(1).unwrap();
            assert!(length == 0 || cut.sized().is_err());
        }
    }

    #[test]
    fn numbers_near_zero_take_few_bytes() {
        let bytes = |v: i64| {
            let mut w = Writer::new();
            w.near(v);
            w.len()
        };
        let sizes = [(0, 1), (-64, 1), (63, 1), (64, 2), (-8_193, 3), ((1 << 55) - 1, 8), (1 << 55, 9), (i64::MIN, 9)];
        sizes.iter().for_each(|(v, size)| assert_eq!(bytes(*v), *size, "{v}"));
    }
}
