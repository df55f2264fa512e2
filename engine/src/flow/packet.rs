//! What travels on an edge of the dataflow, and its bytes between processes.
//!
//! Inside a process a packet moves by pointer. Between processes rows travel as an Arrow IPC stream whose trailing
//! columns carry what stands beside the columns (event times, tags, arrival order); key hashes are computed again.

use crate::batch::{Arrival, Batch, Identity};
use crate::error::OperatorError;
use crate::operator::BadRow;
use crate::state::codec::{Reader, Writer};
use crate::time::{Progress, Watermark};
use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, RecordBatchOptions, UInt64Array};
use arrow::datatypes::{Field, Int64Type, Schema, UInt64Type};
use std::cell::RefCell;
use std::io::Write;
use std::sync::Arc;
use timely::Accountable;
use timely::dataflow::channels::ContainerBytes;

/// The container of every stream.
#[derive(Debug, Default)]
pub(super) struct Packet {
    pub(super) payload: Payload,
    /// `length_in_bytes` must know the size before `into_bytes` writes: the encoding is kept between the two calls.
    encoded: RefCell<Option<Vec<u8>>>,
}

#[derive(Clone, Debug, Default)]
pub(super) enum Payload {
    #[default]
    Empty,
    Rows(Batch),
    Mark(Mark),
    Bad(Vec<BadRow>),
}

/// One worker's promises at the end of an epoch, two for each source (for its rows and for `t$errors`), addressed to one
/// worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) to: usize,
    pub(super) from: usize,
    pub(super) promises: Arc<[Progress]>,
}

impl Packet {
    pub(super) fn rows(batch: Batch) -> Self {
        Self { payload: Payload::Rows(batch), encoded: RefCell::default() }
    }
    pub(super) fn mark(mark: Mark) -> Self {
        Self { payload: Payload::Mark(mark), encoded: RefCell::default() }
    }
    pub(super) fn bad(rows: Vec<BadRow>) -> Self {
        Self { payload: Payload::Bad(rows), encoded: RefCell::default() }
    }
    pub(super) fn take(&mut self) -> Payload {
        std::mem::take(&mut self.payload)
    }
}

impl Clone for Packet {
    fn clone(&self) -> Self {
        Self { payload: self.payload.clone(), encoded: RefCell::default() }
    }
}

impl Accountable for Packet {
    // A container that counts nothing is not sent at all.
    fn record_count(&self) -> i64 {
        match &self.payload {
            Payload::Empty => 0,
            Payload::Rows(b) => b.rows() as i64,
            Payload::Mark(_) => 1,
            Payload::Bad(b) => b.len() as i64,
        }
    }
}

impl ContainerBytes for Packet {
    fn from_bytes(bytes: timely::bytes::arc::Bytes) -> Self {
        // The peer is this very program: bytes that do not decode are a bug, and a panic here ends the job with its text.
        let payload = decode(&bytes).unwrap_or_else(|e| panic!("a packet from a peer does not decode: {e}"));
        Self { payload, encoded: RefCell::default() }
    }
    fn length_in_bytes(&self) -> usize {
        let mut encoded = self.encoded.borrow_mut();
        let bytes = encoded.get_or_insert_with(|| {
            encode(&self.payload).unwrap_or_else(|e| panic!("a packet for a peer does not encode: {e}"))
        });
        8 + bytes.len().next_multiple_of(8)
    }
    fn into_bytes<W: Write>(&self, writer: &mut W) {
        let total = self.length_in_bytes();
        let bytes = self.encoded.borrow_mut().take().unwrap_or_default();
        let padding = [0u8; 8];
        // timely hands out exactly `total` bytes of memory: writing there cannot fail.
        let _ = writer.write_all(&(bytes.len() as u64).to_le_bytes());
        let _ = writer.write_all(&bytes);
        let _ = writer.write_all(&padding[..total - 8 - bytes.len()]);
    }
}

const ROWS: u8 = 1;
const MARK: u8 = 2;
const BAD: u8 = 3;

fn encode(payload: &Payload) -> Result<Vec<u8>, OperatorError> {
    let mut w = Writer::new();
    match payload {
        Payload::Empty => w.u8(0),
        Payload::Rows(b) => {
            w.u8(ROWS);
            w.batch(&with_control_columns(b)?)?;
        }
        Payload::Mark(m) => {
            w.u8(MARK);
            w.u32(m.to as u32);
            w.u32(m.from as u32);
            w.u32(m.promises.len() as u32);
            for p in m.promises.iter() {
                w.i64(p.watermark.ms());
                w.i64(p.cut);
            }
        }
        Payload::Bad(rows) => {
            w.u8(BAD);
            w.u32(rows.len() as u32);
            for r in rows {
                w.u32(r.source);
                w.u32(r.partition);
                w.i64(r.offset);
                w.i64(r.watermark);
                w.bytes(r.reason.as_bytes());
                w.u8(u8::from(r.raw.is_some()));
                w.bytes(r.raw.as_deref().unwrap_or_default());
            }
        }
    }
    Ok(w.finish())
}

fn decode(bytes: &[u8]) -> Result<Payload, OperatorError> {
    let mut outer = Reader::new(bytes);
    let mut r = Reader::new(outer.bytes()?);
    Ok(match r.u8()? {
        ROWS => Payload::Rows(without_control_columns(&r.batch()?)?),
        MARK => {
            let (to, from, n) = (r.u32()? as usize, r.u32()? as usize, r.u32()?);
            let progress = |r: &mut Reader| Ok(Progress { watermark: Watermark::new(r.i64()?), cut: r.i64()? });
            Payload::Mark(Mark {
                to,
                from,
                promises: (0..n).map(|_| progress(&mut r)).collect::<Result<_, OperatorError>>()?,
            })
        }
        BAD => {
            let n = r.u32()?;
            Payload::Bad((0..n).map(|_| bad_row(&mut r)).collect::<Result<_, _>>()?)
        }
        _ => Payload::Empty,
    })
}

fn bad_row(r: &mut Reader) -> Result<BadRow, OperatorError> {
    let (source, partition, offset, watermark) = (r.u32()?, r.u32()?, r.i64()?, r.i64()?);
    let reason = String::from_utf8_lossy(r.bytes()?).into_owned();
    let has_raw = r.u8()? == 1;
    let raw = r.bytes()?.to_vec();
    Ok(BadRow { source, partition, offset, reason, raw: has_raw.then_some(raw), watermark })
}

const TIME: &str = "$time";
const TAG: &str = "$tag";
const ARRIVAL: [&str; 3] = ["$cut", "$partition", "$offset"];

fn with_control_columns(b: &Batch) -> Result<RecordBatch, OperatorError> {
    let mut fields: Vec<Field> = b.schema().fields().iter().map(|f| f.as_ref().clone()).collect();
    let mut columns = b.columns().columns().to_vec();
    let mut add = |name: &str, column: ArrayRef| {
        fields.push(Field::new(name, column.data_type().clone(), false));
        columns.push(column);
    };
    add(TIME, Arc::new(Int64Array::new(b.times().clone(), None)));
    if let Some(tags) = b.tags() {
        add(TAG, Arc::new(Int64Array::new(tags.clone(), None)));
    }
    if let Some(identity) = b.identity() {
        let a = identity.to_arrival(b.rows());
        add(ARRIVAL[0], Arc::new(Int64Array::new(a.cuts, None)));
        add(ARRIVAL[1], Arc::new(UInt64Array::new(a.partitions, None)));
        add(ARRIVAL[2], Arc::new(Int64Array::new(a.offsets, None)));
    }
    let options = RecordBatchOptions::new().with_row_count(Some(b.rows()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)
        .map_err(|e| OperatorError::new(e.to_string()))
}

fn without_control_columns(all: &RecordBatch) -> Result<Batch, OperatorError> {
    let schema = all.schema();
    let width = schema.index_of(TIME).map_err(|e| OperatorError::new(e.to_string()))?;
    let ints = |name: &str| all.column_by_name(name).map(|c| c.as_primitive::<Int64Type>().values().clone());
    let fields: Vec<_> = schema.fields()[..width].to_vec();
    let options = RecordBatchOptions::new().with_row_count(Some(all.num_rows()));
    let columns =
        RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), all.columns()[..width].to_vec(), &options)
            .map_err(|e| OperatorError::new(e.to_string()))?;
    let missing = || OperatorError::new("event times are missing");
    let partitions = all.column_by_name(ARRIVAL[1]).map(|c| c.as_primitive::<UInt64Type>().values().clone());
    let identity = match (ints(ARRIVAL[0]), partitions, ints(ARRIVAL[2])) {
        (Some(cuts), Some(partitions), Some(offsets)) => Some(Identity::Arrival(Arrival { cuts, partitions, offsets })),
        _ => None,
    };
    Ok(Batch::new(columns, ints(TIME).ok_or_else(missing)?).with_tags(ints(TAG)).with_identity(identity))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::StringArray;
    use arrow::datatypes::DataType;

    fn round_trip(p: Packet) -> Payload {
        let mut bytes = Vec::new();
        let n = p.length_in_bytes();
        p.into_bytes(&mut bytes);
        assert_eq!((bytes.len(), n % 8), (n, 0));
        decode(&bytes).unwrap()
    }

    #[test]
    fn rows_marks_and_bad_rows_survive_the_wire() {
        let schema = Arc::new(Schema::new(vec![Field::new("country", DataType::Utf8, true)]));
        let columns = RecordBatch::try_new(schema, vec![Arc::new(StringArray::from(vec![Some("DE"), None]))]).unwrap();
        let arrival = Arrival { cuts: vec![1, 2].into(), partitions: vec![3, 4].into(), offsets: vec![5, 6].into() };
        let batch = Batch::new(columns.clone(), vec![10, 20].into())
            .with_tags(Some(vec![crate::batch::ON_TIME, 21].into()))
            .with_identity(Some(Identity::Arrival(arrival)));
        let Payload::Rows(got) = round_trip(Packet::rows(batch)) else { panic!("rows") };
        assert_eq!(
            (got.columns(), &got.times()[..], got.tag(0), got.tag(1)),
            (&columns, &[10, 20][..], None, Some(21))
        );
        let Some(Identity::Arrival(a)) = got.identity() else { panic!("identity") };
        assert_eq!((&a.cuts[..], &a.partitions[..], &a.offsets[..]), (&[1, 2][..], &[3, 4][..], &[5, 6][..]));

        let mark = Mark { to: 1, from: 2, promises: [Progress::END, Progress::START].into() };
        let Payload::Mark(m) = round_trip(Packet::mark(mark.clone())) else { panic!("mark") };
        assert_eq!(m, mark);

        let bad =
            BadRow { source: 1, partition: 2, offset: 3, reason: "ü".into(), raw: Some(vec![0xff]), watermark: 4 };
        let Payload::Bad(b) = round_trip(Packet::bad(vec![bad.clone()])) else { panic!("bad") };
        assert_eq!(b, vec![bad]);
    }
}
