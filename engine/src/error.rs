//! Errors by layer. Lower case, no full stop, and they say what to do.

use thiserror::Error;

/// A source can't go on. Bad rows are not errors: they are [`crate::source::BadRecord`]s.
#[derive(Debug, Error)]
#[error("{message}")]
pub struct SourceError {
    /// What was found, where (file, partition, position), and what to do.
    pub message: String,
}

/// A sink can't go on; what it staged is removed.
#[derive(Debug, Error)]
#[error("{message}")]
pub struct SinkError {
    /// What was found, where, and what to do.
    pub message: String,
    /// There was no room, or nobody to take the rows: waiting may help.
    pub full: bool,
    /// The output answers another client now, which may be another process with the same state.
    pub taken_over: bool,
}

/// An operator can't go on: its state is half applied.
#[derive(Debug, Error)]
#[error("{message}")]
pub struct OperatorError {
    /// Operator, key, window and the cure: `SUM(amount) of card=7 in [.., ..) exceeds DECIMAL(38, 2); CAST ..`.
    pub message: String,
}

/// A part of the graph can't be built.
#[derive(Debug, Error)]
#[error("{message}")]
pub struct BuildError {
    /// What is wrong and what to do.
    pub message: String,
}

macro_rules! from_text {
    ($($t:ident),*) => {$(
        impl $t {
            /// An error with this message.
            pub fn new(message: impl Into<String>) -> Self {
                Self { message: message.into() }
            }
        }
    )*};
}
from_text!(SourceError, OperatorError, BuildError);

impl SinkError {
    /// An error with this message; waiting does not help.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), full: false, taken_over: false }
    }
}

/// Why a job ended without success.
#[derive(Debug, Error)]
pub enum JobError {
    /// The graph can't be built: nothing was read or written.
    #[error("{0}")]
    Build(#[from] BuildError),
    /// A source failed.
    #[error("source {table}: {error}")]
    Source {
        /// The table.
        table: String,
        /// What the source said.
        error: SourceError,
    },
    /// An operator failed.
    #[error("{step}: {error}")]
    Operator {
        /// The step's name.
        step: String,
        /// What the operator said.
        error: OperatorError,
    },
    /// A sink failed.
    #[error("sink {table}: {error}")]
    Sink {
        /// The table.
        table: String,
        /// What the sink said.
        error: SinkError,
    },
    /// The state's storage failed: what was written since the newest checkpoint is in doubt.
    #[error("{0}")]
    Store(crate::checkpoint::StoreError),
    /// Kept state can't be read, written or trusted; or every attempt has failed.
    #[error("{0}")]
    State(String),
    /// A worker panicked: a bug of ours.
    #[error("worker {worker} panicked: {message}; this is a bug, please report it with the job file")]
    Panic {
        /// The worker.
        worker: usize,
        /// The panic's message and place.
        message: String,
    },
    /// Somebody asked for the end (Ctrl-C, SIGTERM).
    #[error("interrupted")]
    Interrupted,
}
