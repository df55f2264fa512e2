//! House rules that a machine can check: format, lints, documentation, headers, who may know whom.
//!
//! The README's test command is the gate, so these are tests. `cargo clippy` and `cargo doc` check the tree without
//! generating code; they share the debug target directory and rebuild nothing that the release build made.

use highwater_tests::repository;
use std::path::{Path, PathBuf};
use std::process::Command;

const FOLDERS: [&str; 6] = ["engine", "operators", "connectors", "jobs", "tests", "benches"];

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            sources(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            into.push(path);
        }
    }
}

fn all_sources() -> Vec<(String, String)> {
    let root = repository();
    let mut paths = Vec::new();
    FOLDERS.iter().for_each(|f| sources(&root.join(f), &mut paths));
    let relative = |p: &PathBuf| p.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
    let mut all: Vec<_> = paths.iter().map(|p| (relative(p), std::fs::read_to_string(p).unwrap())).collect();
    all.sort();
    assert!(all.len() > 50, "only {} files were found", all.len());
    all
}

#[test]
fn every_file_begins_with_what_it_is() {
    let without: Vec<String> =
        all_sources().into_iter().filter(|(_, text)| !text.starts_with("//! ")).map(|(path, _)| path).collect();
    assert!(without.is_empty(), "files without a //! header: {without:#?}");
}

/// Which packages of ours a package may depend on.
const MAY_KNOW: [(&str, &[&str]); 5] = [
    ("engine", &[]),
    ("operators", &["highwater-engine"]),
    ("connectors", &["highwater-engine"]),
    ("jobs/sql", &["highwater-engine", "highwater-operators", "highwater-connectors"]),
    ("jobs", &["highwater-engine", "highwater-operators", "highwater-connectors", "highwater-sql"]),
];

#[test]
fn dependencies_point_one_way() {
    for (package, allowed) in MAY_KNOW {
        let manifest = std::fs::read_to_string(repository().join(package).join("Cargo.toml")).unwrap();
        let mut section = "";
        for line in manifest.lines() {
            if line.starts_with('[') {
                section = line;
            }
            let name = line.split(['.', ' ', '=']).next().unwrap_or_default();
            if section == "[dependencies]" && name.starts_with("highwater-") {
                assert!(allowed.contains(&name), "{package} must not depend on {name}");
            }
        }
    }
}

/// A crate name and the only places that may use it.
const KNOWN_ONLY_IN: [(&str, &[&str]); 8] = [
    ("timely::", &["engine/src/flow/", "benches/"]),
    ("datafusion_sql::", &["jobs/sql/"]),
    ("datafusion_optimizer::", &["jobs/sql/"]),
    ("datafusion_physical_expr::", &["operators/src/expression", "jobs/sql/"]),
    ("object_store::", &["connectors/src/object/"]),
    ("reqwest::", &["connectors/src/http/"]),
    ("rdkafka::", &["connectors/src/kafka/", "tests/src/figures/", "tests/src/kafka/"]),
    ("parquet::", &["connectors/", "jobs/src/compare/", "tests/", "benches/"]),
];

#[test]
fn a_library_is_known_in_one_place() {
    for (path, text) in all_sources() {
        for (library, places) in KNOWN_ONLY_IN {
            let used = text.lines().any(|l| {
                let code = l.trim_start();
                !code.starts_with("//")
                    && (code.contains(&format!("use {library}")) || code.contains(&format!(" {library}")))
            });
            assert!(!used || places.iter().any(|p| path.starts_with(p)), "{path} must not use {library}");
        }
    }
}

/// The fenced blocks of the README in this language.
fn readme_blocks(language: &str) -> Vec<String> {
    let text = std::fs::read_to_string(repository().join("README.md")).unwrap();
    let fence = format!("```{language}\n");
    text.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap_or_default().trim().to_owned()).collect()
}

#[test]
fn the_readme_says_what_is_so() {
    let ci = std::fs::read_to_string(repository().join(".ci/run")).unwrap();
    let commands = readme_blocks("sh");
    assert_eq!(commands.len(), 2);
    assert!(commands.iter().all(|c| ci.contains(c)), ".ci/run runs {commands:?}");
    let jobs = readme_blocks("sql");
    assert!(!jobs.is_empty());
    for job in jobs {
        highwater_jobs::job::plan("README.md", &job, &Default::default()).unwrap_or_else(|e| panic!("{e}"));
    }
}

fn cargo(arguments: &[&str], environment: &[(&str, &str)]) {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let output = Command::new(cargo)
        .args(arguments)
        .envs(environment.iter().copied())
        .current_dir(repository())
        .output()
        .unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "cargo {}:\n{text}", arguments.join(" "));
}

#[test]
fn files_are_formatted() {
    cargo(&["fmt", "--all", "--", "--check"], &[]);
}

/// One test, because both wait for the same lock.
#[test]
fn lints_and_documentation_are_clean() {
    cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"], &[]);
    // A module's header maps its private files for whoever reads the source: those links lead nowhere in the pages.
    let flags = "-D warnings -A rustdoc::private_intra_doc_links";
    cargo(&["doc", "--workspace", "--no-deps", "--locked"], &[("RUSTDOCFLAGS", flags)]);
}
