//! A job with a state folder, in a folder of its own, started as a user starts it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

pub use super::job::{FAST, JOB, PATIENCE};

pub const RUN: [&str; 4] = ["run", "job.sql", "--state", "state"];

/// A job in a folder of its own.
pub struct Bench(pub tempfile::TempDir);

impl Bench {
    pub fn new() -> Self {
        let bench = Self(tempfile::tempdir().unwrap());
        bench.write("job.sql", JOB);
        bench
    }
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.path(name), text).unwrap();
    }
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_highwater"));
        command.current_dir(self.0.path()).args(arguments).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
    /// Exit code, stdout, stderr.
    pub fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        ended(self.command(arguments).output().unwrap())
    }
    /// A run that must end well; its stdout.
    pub fn ends(&self, arguments: &[&str]) -> String {
        let generated = arguments[0] == "run" && !arguments.contains(&"payments.connector=filesystem");
        let (code, out, err) = self.run(&[arguments, if generated { &FAST } else { &[] }].concat());
        assert_eq!(code, 0, "{arguments:?}: {out}{err}");
        out
    }
    /// A run that must be refused with these words.
    pub fn refused(&self, arguments: &[&str], words: &[&str]) {
        let (code, out, err) = self.run(arguments);
        assert!(code == 1 || code == 2, "{arguments:?}: code {code} {out}{err}");
        for word in words {
            assert!(err.contains(word), "{arguments:?}: expected {word:?} in:\n{err}");
        }
    }
    /// Starts the job and kills it once its newest checkpoint is at least this one.
    pub fn kill_at(&self, arguments: &[&str], checkpoint: u64) {
        let mut child = self.command(arguments).spawn().unwrap();
        self.wait_for(&mut child, checkpoint);
        child.kill().unwrap();
        child.wait().unwrap();
        // The kill may have come between the newest manifest and its second copy.
        let newest = self.files("state", ".manifest").pop().unwrap();
        fs::copy(&newest, newest.with_extension("manifest-copy")).unwrap();
    }
    pub fn wait_for(&self, child: &mut Child, checkpoint: u64) {
        let since = Instant::now();
        while self.newest("state") < checkpoint {
            assert!(child.try_wait().unwrap().is_none(), "the job ended before checkpoint {checkpoint}");
            assert!(since.elapsed() < PATIENCE, "checkpoint {checkpoint} was not taken in time");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    pub fn files(&self, folder: &str, ending: &str) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(self.path(folder)) else { return Vec::new() };
        let mut all: Vec<PathBuf> = entries.map(|e| e.unwrap().path()).collect();
        all.retain(|p| p.to_string_lossy().ends_with(ending));
        all.sort();
        all
    }
    pub fn newest(&self, folder: &str) -> u64 {
        let number = |p: &PathBuf| p.file_stem().unwrap().to_string_lossy().parse().unwrap();
        self.files(folder, ".manifest").last().map_or(0, number)
    }
    /// The visible rows, sorted.
    pub fn rows(&self) -> Vec<String> {
        let texts = self.files("out", ".csv").into_iter().map(|p| fs::read_to_string(p).unwrap());
        let mut rows: Vec<String> = texts.flat_map(|t| t.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
        rows.sort_unstable();
        rows
    }
}

pub fn ended(output: Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

/// The lines with a digest.
pub fn digests(out: &str) -> Vec<String> {
    let is_digest = |w: &str| w.len() == 32 && w.bytes().all(|b| b.is_ascii_hexdigit());
    out.lines().filter(|l| l.split_whitespace().any(is_digest)).map(str::to_owned).collect()
}

/// Digests and rows of an undisturbed run that keeps nothing.
pub fn truth() -> (Vec<String>, Vec<String>) {
    let bench = Bench::new();
    let out = bench.ends(&["run", "job.sql"]);
    assert_eq!(digests(&out).len(), 2, "{out}");
    (digests(&out), bench.rows())
}

/// Another byte in the middle of a file.
pub fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}
