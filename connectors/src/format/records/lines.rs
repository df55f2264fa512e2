//! Line numbers of files whose reading began in their middle.

use super::input::Input;
use crate::files::io_error;
use highwater_engine::error::SourceError;
use std::io::Read as _;
use std::sync::OnceLock;

/// Bytes read at a time where line breaks are counted.
const BUFFER_BYTES: usize = 64 << 10;

/// Line numbers of a file whose reading began in its middle. Only bad records ask for lines, so the lines before are
/// counted when the first one does: that reads the file up to there, once.
#[derive(Debug, Default)]
pub(super) struct Lines {
    path: String,
    /// Where reading began.
    until: u64,
    before: OnceLock<u64>,
}

impl Lines {
    /// Reading began at byte `until`.
    pub(super) fn new(path: &str, until: u64) -> Self {
        Self { path: path.to_owned(), until, before: OnceLock::new() }
    }

    /// The line of the file that is this one since reading began.
    pub(super) fn of(&self, line: u64) -> Result<u64, SourceError> {
        let before = match self.before.get() {
            Some(before) => *before,
            None => {
                let before = self.count()?;
                *self.before.get_or_init(|| before)
            }
        };
        Ok(before + line)
    }

    fn count(&self) -> Result<u64, SourceError> {
        if self.until == 0 {
            return Ok(0);
        }
        let mut input = Input::open(&self.path, 0)?.take(self.until);
        let (mut buffer, mut lines) = (vec![0; BUFFER_BYTES], 0);
        loop {
            let read = input.read(&mut buffer);
            match read.map_err(|e| SourceError::new(io_error("read", &self.path, &e)))? {
                0 => return Ok(lines),
                read => lines += memchr::memchr_iter(b'\n', &buffer[..read]).count() as u64,
            }
        }
    }
}
