//! What the files of a ledger are called.
//!
//! | file | name |
//! |---|---|
//! | manifest | `000000000041.manifest` |
//! | its second copy | `000000000041.manifest-copy` |
//! | state of worker 3 | `000000000041-<incarnation>-w3.state` |
//! | rows of worker 3 for sink 0 | `000000000041-<incarnation>-s0-w3.outbox` |
//!
//! The number is the checkpoint's, the incarnation 32 hexadecimal digits. Only a manifest has no incarnation in its name:
//! that it can be created once is the fence between two incarnations.

/// What kind of file a name is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A manifest.
    Manifest,
    /// The second copy of a manifest.
    Copy,
    /// State or outbox.
    Data,
}

/// Name of a manifest.
pub fn manifest(checkpoint: u64) -> String {
    format!("{checkpoint:012}.manifest")
}

/// Name of its second copy.
pub fn copy(checkpoint: u64) -> String {
    format!("{checkpoint:012}.manifest-copy")
}

/// Name of a worker's state file.
pub fn state(checkpoint: u64, incarnation: &str, worker: usize) -> String {
    format!("{checkpoint:012}-{incarnation}-w{worker}.state")
}

/// Name of a worker's rows for a sink.
pub fn outbox(checkpoint: u64, incarnation: &str, sink: usize, worker: usize) -> String {
    format!("{checkpoint:012}-{incarnation}-s{sink}-w{worker}.outbox")
}

/// Whether this is an incarnation: 32 lower-case hexadecimal digits.
pub fn is_incarnation(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// Checkpoint and kind of a file of a ledger; `None` for a name that no ledger gives.
pub fn parse(name: &str) -> Option<(u64, Kind)> {
    let end = name.find(|c: char| !c.is_ascii_digit())?;
    let (digits, rest) = name.split_at(end);
    let checkpoint: u64 = digits.parse().ok()?;
    let kind = match rest {
        ".manifest" => Kind::Manifest,
        ".manifest-copy" => Kind::Copy,
        _ => data(rest)?,
    };
    (format!("{checkpoint:012}") == digits).then_some((checkpoint, kind))
}

fn data(rest: &str) -> Option<Kind> {
    let (incarnation, place) = rest.strip_prefix('-')?.split_once('-')?;
    let number = |text: &str, letter: char| text.strip_prefix(letter).is_some_and(|d| d.parse::<usize>().is_ok());
    let known = match (place.strip_suffix(".state"), place.strip_suffix(".outbox")) {
        (Some(worker), _) => number(worker, 'w'),
        (_, Some(both)) => both.split_once('-').is_some_and(|(s, w)| number(s, 's') && number(w, 'w')),
        _ => false,
    };
    (known && is_incarnation(incarnation)).then_some(Kind::Data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::store::checked;

    const ID: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn a_name_is_read_as_it_was_given() {
        for checkpoint in [1, 41, 999_999_999_999, 1_000_000_000_000, u64::MAX] {
            for (name, kind) in [
                (manifest(checkpoint), Kind::Manifest),
                (copy(checkpoint), Kind::Copy),
                (state(checkpoint, ID, 255), Kind::Data),
                (outbox(checkpoint, ID, 17, 3), Kind::Data),
            ] {
                assert_eq!(parse(checked(&name).unwrap()), Some((checkpoint, kind)), "{name}");
            }
        }
    }

    #[test]
    fn foreign_names_are_left_alone() {
        let short = "000000000041-0123-w3.state".to_owned();
        let worker = format!("000000000041-{ID}-w.state");
        let sink = format!("000000000041-{ID}-w3.outbox");
        for name in [
            "",
            "lock",
            "41.manifest",
            "000000000041",
            "000000000041.manifest.bak",
            "notes.txt",
            &short,
            &worker,
            &sink,
        ] {
            assert_eq!(parse(name), None, "{name}");
        }
    }
}
