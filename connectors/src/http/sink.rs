//! The table, its writers and its publisher.

use super::client::Endpoint;
use super::options::HttpOptions;
use super::requests::{Requests, key};
use arrow::array::RecordBatch;
use highwater_engine::error::{BuildError, SinkError};
use highwater_engine::sink::{Publication, Publisher, Roll, Sink, SinkTable};
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::time::Duration;

/// How long a request is tried before the keeper of a job with state hears of it, and asks again.
const TRY_FOR: Duration = Duration::from_secs(5);

/// A table of a job without state.
#[derive(Debug)]
pub struct HttpTable {
    options: HttpOptions,
    table: String,
    endpoint: Arc<Endpoint>,
    /// Tells this start of the job from others.
    start: String,
}

impl HttpTable {
    /// Looks whether the host may be called; nothing is sent.
    ///
    /// # Errors
    /// It may not; a reference that leads nowhere.
    pub fn new(options: HttpOptions, table: &str) -> Result<Self, BuildError> {
        let endpoint = Arc::new(open(&options, table)?);
        // The standard library's seed is random.
        let random = std::collections::hash_map::RandomState::new().build_hasher().finish();
        Ok(Self { options, table: table.to_owned(), endpoint, start: format!("{random:016x}") })
    }
}

fn open(options: &HttpOptions, table: &str) -> Result<Endpoint, BuildError> {
    Endpoint::open(options).map_err(|e| BuildError::new(format!("table {table}: {e}")))
}

impl SinkTable for HttpTable {
    fn open(&self, worker: usize) -> Result<Box<dyn Sink>, SinkError> {
        Ok(Box::new(Writer {
            requests: Requests::new(&self.options),
            endpoint: self.endpoint.clone(),
            table: self.table.clone(),
            place: format!("{}-{worker}", self.start),
            patience: self.options.retry_timeout,
        }))
    }
    fn commit(&self) -> Result<(), SinkError> {
        Ok(())
    }
    fn abort(&self) {}
}

/// One worker's writer: rows leave as they come, so a request may hold fewer than it could.
struct Writer {
    requests: Requests,
    endpoint: Arc<Endpoint>,
    table: String,
    place: String,
    patience: Duration,
}

impl Sink for Writer {
    fn write(&mut self, rows: &RecordBatch) -> Result<(), SinkError> {
        let Self { requests, endpoint, table, place, patience } = self;
        let mut send = |body: &[u8], first| endpoint.send(body, &key(table, place, first, body), *patience);
        requests.add(rows, &mut send)?;
        requests.end(&mut send)
    }
    fn finish(&mut self) -> Result<(), SinkError> {
        Ok(())
    }
}

/// Opens the table of a job with state.
///
/// # Errors
/// As [`HttpTable::new`].
pub fn publisher(options: &HttpOptions, table: &str) -> Result<Box<dyn Publisher>, BuildError> {
    let (endpoint, requests) = (open(options, table)?, Requests::new(options));
    Ok(Box::new(Ordered { endpoint, requests, table: table.to_owned(), taken: (0, 0) }))
}

/// The rows of checkpoints, one request after the other.
struct Ordered {
    endpoint: Endpoint,
    requests: Requests,
    table: String,
    /// The last checkpoint of the publication that was begun, and how many of its rows were taken: they are not sent again by
    /// this process.
    taken: (u64, u64),
}

impl Publisher for Ordered {
    fn roll(&self) -> Roll {
        Roll::EachCheckpoint
    }
    fn recover(&mut self) -> Result<Option<u64>, SinkError> {
        Ok(None)
    }
    fn publish(
        &mut self,
        publication: &Publication,
        rows: &mut dyn Iterator<Item = Result<RecordBatch, SinkError>>,
    ) -> Result<(), SinkError> {
        let checkpoint = publication.last;
        if self.taken.0 != checkpoint {
            self.taken = (checkpoint, 0);
        }
        let Self { endpoint, requests, table, taken } = self;
        let place = checkpoint.to_string();
        let mut send = |body: &[u8], first: u64| {
            if first < taken.1 {
                return Ok(());
            }
            endpoint.send(body, &key(table, &place, first, body), TRY_FOR)?;
            taken.1 = first + 1;
            Ok(())
        };
        requests.begin(0);
        for batch in rows {
            requests.add(&batch?, &mut send)?;
        }
        requests.end(&mut send)
    }
    fn finish(&mut self) -> Result<(), SinkError> {
        Ok(())
    }
}
