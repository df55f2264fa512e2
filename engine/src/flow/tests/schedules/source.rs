//! A source of one attempt, with calls that fail.

use super::super::*;
use super::turnstile::{Door, INJECTED};

pub(super) struct SimSource(pub(super) Arc<dyn Source>, pub(super) Door);
struct SimReader(Box<dyn PartitionReader>, Door);
struct SimSplit(Box<dyn Split>, Door);

fn meet(door: &Door) -> Result<(), SourceError> {
    match door.before_read() {
        true => Err(SourceError::new(format!("{INJECTED} fault of the source"))),
        false => Ok(()),
    }
}

impl Source for SimSource {
    fn partitions(&self) -> &[PartitionInfo] {
        self.0.partitions()
    }
    fn open(&self, index: usize, from: Option<&Position>) -> Result<Box<dyn PartitionReader>, SourceError> {
        meet(&self.1)?;
        Ok(Box::new(SimReader(self.0.open(index, from)?, self.1.clone())))
    }
    fn fingerprint(&self, index: usize) -> Result<String, SourceError> {
        self.0.fingerprint(index)
    }
    fn bounded(&self) -> bool {
        self.0.bounded()
    }
    fn rows_hint(&self) -> Option<u64> {
        self.0.rows_hint()
    }
}

impl PartitionReader for SimReader {
    fn next_split(&mut self) -> Result<Option<Box<dyn Split>>, SourceError> {
        let split = self.0.next_split()?;
        Ok(split.map(|split| Box::new(SimSplit(split, self.1.clone())) as Box<dyn Split>))
    }
}

impl Split for SimSplit {
    fn read(&mut self, max_rows: usize) -> Result<Read, SourceError> {
        meet(&self.1)?;
        self.0.read(max_rows)
    }
}
