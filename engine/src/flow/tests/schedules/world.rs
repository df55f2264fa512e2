//! What outlives an attempt, as each attempt sees it: the store, and two kinds of sinks.

use super::super::*;
use super::source::SimSource;
use super::turnstile::{Blow, Door, INJECTED, Random};
use crate::checkpoint::{Created, MemoryStore, Store, StoreError, StoreErrorKind};
use crate::flow::turns::Turnstile;
use crate::sink::{Publication, Roll};
use std::io::Read as IoRead;

/// A result row.
pub(super) type Row = (i64, i64, i64);

/// What a sink says whose file of a publication has its rows in another order than those that were made again.
pub(super) const OTHER_ORDER: &str = "the file holds other rows than its publication: remove it";

/// What a test leaves out of the world, to prove that it would find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// A sink's marker moves after its rows.
    MarkerApart,
    /// A sink does not keep earlier attempts out.
    NoFence,
    /// A file that is there is created again.
    Overwrites,
}

/// How rows are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Rows and a marker in one transaction; a start keeps earlier attempts out.
    Table,
    /// A file for each publication, named by it. The sink knows of nothing else, unless it keeps a marker behind the files.
    Files { bytes_min: u64, interval_ms: u64, marked: bool },
}

/// All that was shown.
#[derive(Debug, Default)]
pub(super) struct Shown {
    marker: u64,
    fence: u64,
    table: Vec<Row>,
    files: BTreeMap<(u64, u64), Vec<Row>>,
    /// What must never happen.
    pub(super) violation: Option<String>,
}

impl Shown {
    /// All rows, sorted.
    pub(super) fn rows(&self) -> Vec<Row> {
        let mut rows: Vec<Row> = self.table.iter().chain(self.files.values().flatten()).copied().collect();
        rows.sort_unstable();
        rows
    }
}

/// What outlives attempts.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) files: Arc<MemoryStore>,
    pub(super) shown: Arc<Mutex<Shown>>,
    pub(super) kind: Kind,
    pub(super) flaw: Option<Flaw>,
    /// Attempts without progress after which a process gives up, at least.
    pub(super) failures_min: u32,
}

impl World {
    /// Damages a file: any, one of the newest checkpoint, or rows. Of the newest manifest one copy stays whole.
    pub(super) fn damage(&self, random: &mut Random) -> bool {
        let all = self.files.list().unwrap();
        let newest = all.iter().filter(|n| n.ends_with(".manifest")).max().map_or("", |n| &n[..12]);
        let kind = random.below(3);
        let wanted = |n: &&String| match kind {
            0 => true,
            1 => n.starts_with(newest),
            _ => n.ends_with(".outbox"),
        };
        let copy = |name: &str| name.starts_with(newest) && name.contains("manifest");
        let both = all.iter().filter(|n| copy(n)).map(|n| self.files.get(n).unwrap()).collect::<Vec<_>>();
        let safe = |name: &&String| !copy(name) || (both.len() == 2 && both[0] == both[1]);
        let some: Vec<&String> = all.iter().filter(wanted).filter(safe).collect();
        if some.is_empty() {
            return false;
        }
        let name = some[random.below(some.len() as u64) as usize];
        let mut bytes = self.files.get(name).unwrap().unwrap();
        let length = bytes.len() as u64;
        match random.below(4) {
            _ if length == 0 => self.files.delete(&[name]).unwrap(),
            0 => self.files.delete(&[name]).unwrap(),
            1 => self.files.put(name, &[&bytes[..random.below(length) as usize]]).unwrap(),
            2 => self.files.put(name, &[&bytes, &bytes]).unwrap(),
            _ => {
                bytes[random.below(length) as usize] ^= 1 << random.below(8);
                self.files.put(name, &[&bytes]).unwrap();
            }
        }
        true
    }
    /// Whether what is shown is right so far.
    pub(super) fn shows_no_other_than(&self, want: &[Row]) -> Result<(), String> {
        let shown = self.shown.lock().unwrap();
        let rows = shown.rows();
        let wrong = rows.iter().filter(|r| want.binary_search(r).is_err()).count();
        let twice = rows.windows(2).filter(|w| w[0] == w[1]).count();
        match (wrong + twice, &shown.violation) {
            (0, None) => Ok(()),
            (_, violation) => Err(format!("{wrong} rows wrong, {twice} twice, {violation:?}")),
        }
    }
}

/// The store of one attempt.
#[derive(Debug)]
pub(super) struct SimStore {
    pub(super) door: Door,
    pub(super) world: World,
}

impl SimStore {
    /// One operation: a turn of the threads before it, perhaps a fault.
    fn act<T>(
        &self,
        what: u64,
        name: &str,
        act: impl FnOnce(&MemoryStore) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let blow = self.door.before_store();
        let error = |kind| Err(StoreError::new(kind, format!("{INJECTED} fault of the store at {name}")));
        let digits = name.bytes().take_while(u8::is_ascii_digit).fold(0, |n, d| n * 10 + u64::from(d - b'0'));
        self.door.note(what + 8 * digits + ((blow as u64) << 40));
        match blow {
            Blow::None => act(&self.world.files),
            Blow::Before => error(StoreErrorKind::Other),
            Blow::Full => error(StoreErrorKind::Full),
            Blow::After => act(&self.world.files).and_then(|_| error(StoreErrorKind::Other)),
        }
    }
}

impl Store for SimStore {
    fn put(&self, name: &str, parts: &[&[u8]]) -> Result<(), StoreError> {
        let bytes: usize = parts.iter().map(|p| p.len()).sum();
        self.act(1 + ((bytes as u64) << 20), name, |s| s.put(name, parts))
    }
    fn create(&self, name: &str, bytes: &[u8]) -> Result<Created, StoreError> {
        self.act(2 + ((bytes.len() as u64) << 20), name, |s| match self.world.flaw {
            Some(Flaw::Overwrites) => s.put(name, &[bytes]).map(|()| Created::New),
            _ => s.create(name, bytes),
        })
    }
    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.act(3, name, |s| s.get(name))
    }
    fn read(&self, name: &str) -> Result<Option<Box<dyn IoRead + Send>>, StoreError> {
        self.act(4, name, |s| s.read(name))
    }
    fn list(&self) -> Result<Vec<String>, StoreError> {
        self.act(5, "all", |s| s.list())
    }
    fn delete(&self, names: &[&str]) -> Result<(), StoreError> {
        self.act(6 + ((names.len() as u64) << 20), "old", |s| s.delete(names))
    }
    fn place(&self, name: &str) -> String {
        self.world.files.place(name)
    }
}

/// The sink of one attempt.
struct SimPublisher {
    door: Door,
    world: World,
    fence: u64,
}

impl SimPublisher {
    fn meet(&self, blow: Blow) -> Result<(), SinkError> {
        match blow == Blow::Before || self.door.dead() {
            true => Err(SinkError::new(format!("{INJECTED} fault of the sink"))),
            false => Ok(()),
        }
    }
    /// Rows and marker at once; or, with the flaw, one after the other.
    fn append(&self, publication: &Publication, rows: Vec<Row>) -> Result<(), SinkError> {
        let mut shown = self.world.shown.lock().unwrap();
        if self.fence != shown.fence && self.world.flaw != Some(Flaw::NoFence) {
            return Err(SinkError::new("fenced: another attempt writes here"));
        }
        if publication.first > shown.marker + 1 {
            let gap = format!("{publication:?} after {}", shown.marker);
            shown.violation.get_or_insert(gap);
        }
        shown.table.extend(rows);
        if self.world.flaw == Some(Flaw::MarkerApart) {
            drop(shown);
            self.door.pass();
            self.meet(Blow::None)?;
            shown = self.world.shown.lock().unwrap();
        }
        shown.marker = publication.last;
        Ok(())
    }
    /// A file whose name says what is in it: there already with the same content is fine.
    fn link(&self, publication: &Publication, rows: Vec<Row>, marked: bool) -> Result<(), SinkError> {
        let mut shown = self.world.shown.lock().unwrap();
        let name = (publication.first, publication.last);
        let overlaps = |&(first, last): &(u64, u64)| first <= name.1 && name.0 <= last;
        let sorted = |rows: &[Row]| {
            let mut rows = rows.to_vec();
            rows.sort_unstable();
            rows
        };
        let wrong = match shown.files.get(&name) {
            // The same rows, made again: their order is another one, and the file as well.
            Some(there) if marked && *there != rows && sorted(there) == sorted(&rows) => {
                return Err(SinkError::new(OTHER_ORDER));
            }
            Some(there) => (*there != rows).then(|| format!("another content of {name:?}")),
            None => shown.files.keys().find(|k| overlaps(k)).map(|there| format!("{name:?} beside {there:?}")),
        };
        match wrong {
            Some(wrong) => {
                shown.violation.get_or_insert(wrong);
            }
            None => {
                shown.files.insert(name, rows);
            }
        }
        if marked {
            drop(shown);
            self.door.pass();
            self.meet(Blow::None)?;
            self.world.shown.lock().unwrap().marker = publication.last;
        }
        Ok(())
    }
}

impl Publisher for SimPublisher {
    fn roll(&self) -> Roll {
        match self.world.kind {
            Kind::Table => Roll::EachCheckpoint,
            Kind::Files { bytes_min, interval_ms, .. } => Roll::Files { bytes_min, interval_ms },
        }
    }
    fn recover(&mut self) -> Result<Option<u64>, SinkError> {
        self.door.pass();
        self.meet(Blow::None)?;
        let mut shown = self.world.shown.lock().unwrap();
        match self.world.kind {
            Kind::Files { marked: true, .. } => return Ok(Some(shown.marker)),
            Kind::Files { .. } => return Ok(None),
            Kind::Table => {}
        }
        shown.fence += 1;
        self.fence = shown.fence;
        Ok(Some(shown.marker))
    }
    fn publish(
        &mut self,
        publication: &Publication,
        rows: &mut dyn Iterator<Item = Result<RecordBatch, SinkError>>,
    ) -> Result<(), SinkError> {
        let rows = collected(rows)?;
        let blow = self.door.before_publish();
        self.door.note(7 + 8 * publication.last + ((rows.len() as u64) << 20));
        self.meet(blow)?;
        match self.world.kind {
            Kind::Table => self.append(publication, rows)?,
            Kind::Files { marked, .. } => self.link(publication, rows, marked)?,
        }
        self.meet(if blow == Blow::After { Blow::Before } else { Blow::None })
    }
    fn finish(&mut self) -> Result<(), SinkError> {
        self.door.pass();
        self.meet(Blow::None)
    }
}

/// The counting operator, with panics.
struct Fragile(Box<dyn Operator>, Door);

impl Operator for Fragile {
    fn on_batch(&mut self, input: usize, batch: Batch, out: &mut Output) -> Result<(), OperatorError> {
        self.1.before_call();
        self.0.on_batch(input, batch, out)
    }
    fn on_watermark(&mut self, progress: Progress, out: &mut Output) -> Result<(), OperatorError> {
        self.1.before_call();
        self.0.on_watermark(progress, out)
    }
    fn snapshot(&mut self, into: &mut Snapshot) -> Result<(), OperatorError> {
        self.1.before_call();
        self.0.snapshot(into)
    }
    fn restore(&mut self, from: Snapshot) -> Result<(), OperatorError> {
        self.0.restore(from)
    }
    fn state_bytes(&self) -> usize {
        self.0.state_bytes()
    }
}

/// The parts of one attempt.
pub(super) struct SimParts {
    pub(super) parts: TestParts,
    pub(super) door: Door,
    pub(super) world: World,
}

impl Parts for SimParts {
    fn source(&self, spec: &SourceSpec, options: &RunOptions) -> Result<Arc<dyn Source>, BuildError> {
        Ok(Arc::new(SimSource(self.parts.source(spec, options)?, self.door.clone())))
    }
    fn sink(&self, spec: &SinkSpec, schema: &SchemaRef) -> Result<Arc<dyn SinkTable>, BuildError> {
        self.parts.sink(spec, schema)
    }
    fn publisher(&self, _: &SinkSpec, _: &SchemaRef, _: bool) -> Result<Box<dyn Publisher>, BuildError> {
        Ok(Box::new(SimPublisher { door: self.door.clone(), world: self.world.clone(), fence: 0 }))
    }
    fn operator(&self, node: &Node, input: &SchemaRef, role: Role) -> Result<Box<dyn Operator>, BuildError> {
        Ok(Box::new(Fragile(self.parts.operator(node, input, role)?, self.door.clone())))
    }
    fn partials(&self, node: &Node, input: &SchemaRef) -> Option<SchemaRef> {
        self.parts.partials(node, input)
    }
    fn row_program(&self, map: &MapSpec, a: &SchemaRef, b: &SchemaRef) -> Result<Box<dyn RowProgram>, BuildError> {
        self.parts.row_program(map, a, b)
    }
}
