//! State folders of earlier versions: each is restored, and comes to what an undisturbed run of its job comes to.
//!
//! Each folder of `tests/golden` holds a job, killed in the middle: its state folder, its output folder as it stood, and the
//! digests it must end with; its number is that of the state format. A change of the state format that this test notices needs a migration or a new number
//! (`checkpoint::manifest::FORMAT`), not a new golden folder in the place of the old one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (from, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(&from, &to).unwrap();
        }
    }
}

fn highwater(folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_highwater"));
    let output = command.current_dir(folder).args(arguments).stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{arguments:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// Digests by sink, one a line.
fn digests(out: &str) -> Vec<String> {
    let is_digest = |w: &&str| w.len() == 32 && w.bytes().all(|b| b.is_ascii_hexdigit());
    let digest = |l: &str| l.split_whitespace().next_back().filter(is_digest).map(str::to_owned);
    let line = |l: &str| digest(l).map(|d| format!("{} {d}", l.split_whitespace().next().unwrap_or_default()));
    out.lines().filter_map(line).collect()
}

fn rows(folder: &Path) -> Vec<String> {
    let mut rows = Vec::new();
    for entry in fs::read_dir(folder.join("out")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "csv") {
            rows.extend(fs::read_to_string(path).unwrap().lines().map(str::to_owned));
        }
    }
    rows.sort_unstable();
    rows
}

/// What the job in `golden` comes to from its state, with other numbers of workers than it had.
fn is_restored(golden: &str, tables: usize) {
    let golden = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/golden").join(golden);
    let expected: Vec<String> =
        fs::read_to_string(golden.join("digests.txt")).unwrap().lines().map(str::to_owned).collect();
    assert_eq!(expected.len(), tables);
    let undisturbed = tempfile::tempdir().unwrap();
    fs::copy(golden.join("job.sql"), undisturbed.path().join("job.sql")).unwrap();
    let fast = ["run", "job.sql", "-D", "payments.rows-per-second=1000000"];
    assert_eq!(digests(&highwater(undisturbed.path(), &fast)), expected);
    for workers in ["1", "3"] {
        let folder = tempfile::tempdir().unwrap();
        copy(&golden, folder.path());
        highwater(folder.path(), &["verify", "state"]);
        let out = highwater(folder.path(), &[&fast[..], &["--state", "state", "--workers", workers]].concat());
        assert!(out.contains("went on from checkpoint "), "{out}");
        assert_eq!(digests(&out), expected);
        assert_eq!(rows(folder.path()), rows(undisturbed.path()));
    }
}

#[test]
fn state_of_format_1_is_restored() {
    is_restored("state-1", 2);
}

/// Hopping, cumulating, session windows, frames of the calendar, top-N, first rows and answers on arrival too; by two workers.
#[test]
fn state_of_format_2_is_restored() {
    is_restored("state-2", 8);
}
