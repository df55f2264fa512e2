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
    pub fn u8(&mut self, v: u8) {
        self.bytes.push(v);
    }
    /// Appends a `u32`.
    pub fn u32(&mut self, v: u32) {
        self.bytes.extend_from_slice(&v.to_le_bytes());
    }
    /// Appends a `u64`.
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
    /// Appends a length and the bytes.
    pub fn bytes(&mut self, v: &[u8]) {
        self.u64(v.len() as u64);
        self.bytes.extend_from_slice(v);
    }
    /// Appends a batch with its schema, as an Arrow IPC stream.
    pub fn batch(&mut self, v: &RecordBatch) -> Result<(), OperatorError> {
        let fail = |e: arrow::error::ArrowError| OperatorError::new(format!("state could not be written: {e}"));
        let mut w = StreamWriter::try_new(Vec::new(), &v.schema()).map_err(fail)?;
        w.write(v).map_err(fail)?;
        let bytes = w.into_inner().map_err(fail)?;
        self.bytes(&bytes);
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
        let bytes = w.finish();
        let read = |b: &[u8]| -> Result<(), OperatorError> {
            let mut r = Reader::new(b);
            assert_eq!((r.u8()?, r.u32()?, r.i64()?, r.i128()?), (7, 8, -9, i128::MIN));
            assert_eq!(r.bytes()?, b"card");
            assert!(r.is_done());
            Ok(())
        };
        read(&bytes).unwrap();
        (0..bytes.len()).for_each(|n| assert!(read(&bytes[..n]).is_err()));
    }
}
