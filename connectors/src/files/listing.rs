//! Which files a path names, in path order.

use super::io_error;
use std::ffi::OsStr;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// Files of one table.
pub const FILES_MAX: usize = 100_000;

/// The files at a path (a file, a folder with its subfolders, or a glob of both), sorted by path, with their sizes.
///
/// # Errors
/// If nothing is there, a file is empty, or there are more than [`FILES_MAX`].
pub fn list(path: &str) -> Result<Vec<(String, u64)>, String> {
    let mut files = Vec::new();
    if path.contains(['*', '?', '[']) && !Path::new(path).exists() {
        expand(path, &mut files)?;
    } else {
        collect(Path::new(path), &mut files)?;
    }
    if files.is_empty() {
        return Err(format!("no file at {path} (hidden ones are skipped); check the path"));
    }
    files.sort();
    files.dedup();
    if let Some((empty, _)) = files.iter().find(|(_, bytes)| *bytes == 0) {
        return Err(format!("{empty} is empty (0 bytes); write it again or remove it"));
    }
    Ok(files)
}

fn expand(pattern: &str, files: &mut Vec<(String, u64)>) -> Result<(), String> {
    let matches = glob::glob(pattern).map_err(|e| format!("path {pattern:?} is no glob: {} at {}", e.msg, e.pos))?;
    // Hidden folders that the pattern names itself are meant.
    let is_literal = |c: &Component| !c.as_os_str().to_string_lossy().contains(['*', '?', '[']);
    let literal = Path::new(pattern).components().take_while(is_literal).count();
    for found in matches {
        let found = found.map_err(|e| io_error("list", e.path(), e.error()))?;
        if !found.components().skip(literal).any(|c| is_hidden(Path::new(c.as_os_str()))) {
            collect(&found, files)?;
        }
    }
    Ok(())
}

fn collect(path: &Path, files: &mut Vec<(String, u64)>) -> Result<(), String> {
    let kind = fs::metadata(path).map_err(|e| io_error("read", path, &e))?;
    if kind.is_dir() {
        let mut entries: Vec<PathBuf> = fs::read_dir(path)
            .and_then(|entries| entries.map(|e| e.map(|e| e.path())).collect())
            .map_err(|e| io_error("list", path, &e))?;
        entries.retain(|e| !is_hidden(e));
        return entries.iter().try_for_each(|e| collect(e, files));
    }
    if files.len() == FILES_MAX {
        return Err(format!("more than {FILES_MAX} files; name a part of them, or merge them"));
    }
    let Some(name) = path.to_str() else {
        return Err(format!("the name of {} is not UTF-8; rename it", path.display()));
    };
    files.push((name.to_owned(), kind.len()));
    Ok(())
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().and_then(OsStr::to_str).is_some_and(|n| n.starts_with(['.', '_']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        dir
    }

    fn names(dir: &tempfile::TempDir, pattern: &str) -> Result<Vec<String>, String> {
        let root = dir.path().to_str().unwrap();
        let files = list(&format!("{root}{pattern}"))?;
        Ok(files.into_iter().map(|(f, _)| f[root.len() + 1..].to_owned()).collect())
    }

    #[test]
    fn folders_and_globs_are_listed_in_path_order_without_hidden_files() {
        let dir = folder(&[
            ("b.csv", "1"),
            ("a/2.csv", "1"),
            ("a/10.csv", "1"),
            ("_SUCCESS", ""),
            (".out.staging/part-0.csv", "1"),
            ("c.txt", "1"),
        ]);
        assert_eq!(names(&dir, "").unwrap(), ["a/10.csv", "a/2.csv", "b.csv", "c.txt"]);
        assert_eq!(names(&dir, "/*.csv").unwrap(), ["b.csv"]);
        assert_eq!(names(&dir, "/**/*.csv").unwrap(), ["a/10.csv", "a/2.csv", "b.csv"]);
        assert_eq!(names(&dir, "/b.csv").unwrap(), ["b.csv"]);
        assert_eq!(names(&dir, "/?").unwrap(), ["a/10.csv", "a/2.csv"]);
    }

    #[test]
    fn missing_and_empty_inputs_are_named() {
        let dir = folder(&[("good.csv", "1"), ("zero.csv", ""), ("none/_x", "")]);
        assert!(names(&dir, "/absent.csv").unwrap_err().contains("absent.csv: it does not exist"));
        assert!(names(&dir, "/none").unwrap_err().contains("no file at"));
        assert!(names(&dir, "/*.parquet").unwrap_err().contains("no file at"));
        assert!(names(&dir, "").unwrap_err().contains("zero.csv is empty"));
    }
}
