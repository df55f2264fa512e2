//! A topic of a job with state: the rows of a checkpoint in one transaction, with a marker of the checkpoint.
//!
//! What is shown is what the last committed marker says ([`super::progress`]); nothing that the client remembers counts. So
//! after any error the client is dropped, whatever the outcome was: the next one takes the transactional id over, which
//! ends the open transaction one way or the other, reads the marker, and shows what is missing.

use super::options::{Guarantee, SinkOptions};
use super::progress::{KEY, Progress};
use super::rows::{Encoder, prepared};
use super::trouble::{away, is_away};
use super::write::{Outlet, Writer, check, config};
use crate::files::marker::Marker;
use crate::unmarked::Unmarked;
use arrow::array::RecordBatch;
use highwater_engine::error::{BuildError, SinkError};
use highwater_engine::sink::{Publication, Publisher, Roll};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::producer::{BaseRecord, Producer as _};
use std::fmt::Write as _;
use std::time::Duration;

/// How long a transaction may take to begin or to end before the outcome is found out anew.
const TRANSACTION_PATIENCE: Duration = Duration::from_secs(20);
/// How long the broker leaves a transaction open that nobody ends.
const TRANSACTION_TIMEOUT_MS: &str = "120000";
/// How long a transaction that failed is given to end by itself.
const ABORT_PATIENCE: Duration = Duration::from_secs(2);

/// Opens the topic for a job with state. `resumed` is false on the very first start of the job.
///
/// # Errors
/// No such topic, no broker that answers, exactly-once without a prefix.
pub fn publisher(options: SinkOptions, table: &str, resumed: bool) -> Result<Box<dyn Publisher>, BuildError> {
    let error = |message: String| BuildError::new(format!("table {table}: {message}"));
    check(&options).map_err(error)?;
    let encoder = prepared(&options).and_then(|found| Encoder::new(&options, &found)).map_err(error)?;
    if options.guarantee == Some(Guarantee::AtLeastOnce) {
        let outlet = Outlet::new(&options, config(&options).map_err(error)?).map_err(error)?;
        return Ok(Box::new(Unmarked::each_checkpoint(Writer::new(outlet.into(), encoder))));
    }
    let Some(prefix) = &options.prefix else {
        return Err(error(
            "exactly-once needs 'sink.transactional-id-prefix', a name that no other job uses; or set \
             'sink.delivery-guarantee' = 'at-least-once'"
                .into(),
        ));
    };
    let id = format!("{prefix}-{table}");
    if !id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')) || id.len() > 230 {
        return Err(error(format!(
            "{id}.progress is no name of a topic: name the table with letters, digits, '_' and '-'"
        )));
    }
    Ok(Box::new(ExactlyOnce { options, id, resumed, encoder, open: None, shown: Marker::default() }))
}

/// Rows in transactions.
struct ExactlyOnce {
    options: SinkOptions,
    /// The transactional id.
    id: String,
    resumed: bool,
    encoder: Encoder,
    /// The client that owns the transactional id.
    open: Option<Open>,
    /// What is shown, as long as `open` is there.
    shown: Marker,
}

struct Open {
    outlet: Outlet,
    progress: String,
}

impl ExactlyOnce {
    /// Takes the transactional id over, and then asks what is shown.
    fn begin(&mut self) -> Result<(), SinkError> {
        let progress = Progress::open(&self.options, &self.id).map_err(away)?;
        let mut config = config(&self.options).map_err(SinkError::new)?;
        config.set("transactional.id", &self.id);
        if self.options.properties.get("transaction.timeout.ms").is_none() {
            config.set("transaction.timeout.ms", TRANSACTION_TIMEOUT_MS);
        }
        let outlet = Outlet::new(&self.options, config).map_err(SinkError::new)?;
        outlet.producer().init_transactions(TRANSACTION_PATIENCE).map_err(|e| self.refused(&outlet, &e))?;
        self.shown = progress.read().map_err(away)?.unwrap_or_default();
        self.open = Some(Open { outlet, progress: progress.topic });
        Ok(())
    }

    fn refused(&self, outlet: &Outlet, error: &KafkaError) -> SinkError {
        match error {
            KafkaError::Transaction(e) if e.code() == Code::TransactionalIdAuthorizationFailed => {
                SinkError::new(format!(
                    "the broker does not let this user use the transactional id {}; grant it WRITE and DESCRIBE",
                    self.id
                ))
            }
            KafkaError::Transaction(e) if e.code() == Code::InvalidTransactionTimeout => SinkError::new(
                "'properties.transaction.timeout.ms' is more than the broker's transaction.max.timeout.ms; lower it",
            ),
            KafkaError::Transaction(e) if e.is_retriable() || is_away(e.code()) => away(outlet.failed(error).message),
            error => outlet.failed(error),
        }
    }

    /// One transaction.
    fn transact(
        &mut self,
        publication: &Publication,
        rows: &mut dyn Iterator<Item = Result<RecordBatch, SinkError>>,
    ) -> Result<Marker, SinkError> {
        let Some(Open { outlet, progress }) = &self.open else {
            return Err(SinkError::new("rows without a client; this is a bug, please report it"));
        };
        let producer = outlet.producer();
        producer.begin_transaction().map_err(|e| self.refused(outlet, &e))?;
        let (mut sequence, mut header) = (0u64, String::new());
        for batch in rows {
            self.encoder.encode(&batch?, |key, value| {
                header.clear();
                // Writing to memory can't fail.
                let _ = write!(header, "{}-{}-{sequence}", self.id, publication.last);
                sequence += 1;
                outlet.send(key, value, Some(&header))
            })?;
            producer.poll(Duration::ZERO);
        }
        let marker = Marker { checkpoint: publication.last, rows: self.shown.rows + sequence };
        let text = marker.text();
        let record = BaseRecord::<[u8], str>::to(progress).key(KEY).payload(&text).partition(0);
        producer.send(record).map_err(|(e, _)| outlet.failed(&e))?;
        outlet.flush(TRANSACTION_PATIENCE)?;
        producer.commit_transaction(TRANSACTION_PATIENCE).map_err(|e| self.refused(outlet, &e))?;
        Ok(marker)
    }
}

impl Publisher for ExactlyOnce {
    fn roll(&self) -> Roll {
        Roll::EachCheckpoint
    }

    fn recover(&mut self) -> Result<Option<u64>, SinkError> {
        self.open = None;
        self.begin()?;
        if self.shown.checkpoint > 0 && !self.resumed {
            return Err(SinkError::new(format!(
                "the transactional id {} was used before, up to checkpoint {}, and this state does not know of it; bring the \
                 state back, or choose another 'sink.transactional-id-prefix'",
                self.id, self.shown.checkpoint
            )));
        }
        Ok(Some(self.shown.checkpoint))
    }

    fn publish(
        &mut self,
        publication: &Publication,
        rows: &mut dyn Iterator<Item = Result<RecordBatch, SinkError>>,
    ) -> Result<(), SinkError> {
        if self.open.is_none() {
            self.begin()?;
        }
        if publication.last <= self.shown.checkpoint {
            return Ok(());
        }
        match self.transact(publication, rows) {
            Ok(marker) => {
                self.shown = marker;
                Ok(())
            }
            Err(error) => {
                if let Some(open) = self.open.take()
                    && !error.full
                    && !error.taken_over
                {
                    // Else its rows hold up readers until the next client, or the broker, ends it.
                    let _ = open.outlet.producer().abort_transaction(ABORT_PATIENCE);
                }
                Err(error)
            }
        }
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        Ok(())
    }
}
