//! How a verb ends when it doesn't succeed, and the exit code that says so.

use highwater_engine::error::{BuildError, JobError};
use std::fmt;

/// Why a verb failed.
#[derive(Debug)]
pub enum Failure {
    /// The command line, the job file or an option is wrong: nothing was read or written. Exit code 2.
    Usage(String),
    /// The job started and failed, or a comparison found a difference. Exit code 1.
    Job(String),
    /// A signal asked for the end. Exit code 128 and the signal's number: 130 for Ctrl-C, 143 for SIGTERM.
    Interrupted {
        /// The signal; SIGINT where none is known.
        signal: i32,
        /// The job keeps state: the same command goes on.
        resumable: bool,
    },
}

impl Failure {
    /// A [`Failure::Usage`].
    pub fn usage(message: impl Into<String>) -> Self {
        Self::Usage(message.into())
    }
    /// A [`Failure::Job`].
    pub fn job(message: impl Into<String>) -> Self {
        Self::Job(message.into())
    }
    /// The process's exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Job(_) => 1,
            Self::Interrupted { signal, .. } => u8::try_from(128 + signal).unwrap_or(130),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(m) | Self::Job(m) => f.write_str(m),
            Self::Interrupted { resumable: false, .. } => f.write_str("interrupted; nothing was committed"),
            Self::Interrupted { resumable: true, .. } => {
                f.write_str("interrupted; the same command goes on from the newest checkpoint")
            }
        }
    }
}

impl std::error::Error for Failure {}

impl From<BuildError> for Failure {
    fn from(e: BuildError) -> Self {
        Self::Usage(e.to_string())
    }
}

impl From<JobError> for Failure {
    fn from(e: JobError) -> Self {
        match e {
            JobError::Build(e) => e.into(),
            JobError::Interrupted => Self::Interrupted { signal: libc::SIGINT, resumable: false },
            e => Self::Job(e.to_string()),
        }
    }
}
