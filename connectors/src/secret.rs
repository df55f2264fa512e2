//! What stands in a job's text for a value that is kept elsewhere: `${env:NAME}` and `${file:PATH}`.
//!
//! A reference is looked up when the table is opened, in the process that runs the job; texts, states and messages have the
//! reference alone.

/// Whether a value is a reference, and nothing else.
pub fn is_reference(value: &str) -> bool {
    reference(value).is_some()
}

/// Whether a text has a reference somewhere.
pub fn has_reference(text: &str) -> bool {
    pieces(text).any(is_reference)
}

/// The value that a reference leads to; any other value is itself.
///
/// # Errors
/// It leads nowhere.
pub fn resolve(value: &str) -> Result<String, String> {
    match reference(value) {
        Some(("env", name)) => std::env::var(name).map_err(|_| format!("there is no environment variable {name}")),
        Some((_, path)) => match std::fs::read_to_string(path) {
            Ok(text) if text.trim().is_empty() => Err(format!("{path} is empty")),
            Ok(text) => Ok(text.trim_end_matches(['\r', '\n']).to_owned()),
            Err(e) => Err(crate::files::io_error("read", path, &e)),
        },
        None => Ok(value.to_owned()),
    }
}

/// A text with all its references replaced: `Bearer ${env:TOKEN}`.
///
/// # Errors
/// One leads nowhere.
pub fn expand(text: &str) -> Result<String, String> {
    pieces(text).map(resolve).collect()
}

fn reference(value: &str) -> Option<(&str, &str)> {
    value.strip_prefix("${")?.strip_suffix('}')?.split_once(':').filter(|(kind, _)| matches!(*kind, "env" | "file"))
}

/// References, and what stands between them.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let at = match (rest.find("${"), rest) {
            (_, "") => return None,
            (Some(0), _) => rest.find('}').map_or(rest.len(), |end| end + 1),
            (at, _) => at.unwrap_or(rest.len()),
        };
        let (piece, behind) = rest.split_at(at);
        rest = behind;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_found_alone_and_inside_of_a_text() {
        assert!(is_reference("${env:TOKEN}") && is_reference("${file:/run/secret}"));
        assert!(!is_reference("Bearer ${env:TOKEN}") && !is_reference("${other:x}") && !is_reference("${env:TOKEN"));
        assert!(has_reference("Bearer ${env:TOKEN}!") && !has_reference("a $ {env:X} ${") && !has_reference(""));
        let found: Vec<&str> = pieces("a${env:X}${file:y}b${").collect();
        assert_eq!(found, ["a", "${env:X}", "${file:y}", "b", "${"]);
    }

    #[test]
    fn a_text_with_references_has_what_they_lead_to() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "s3cret\n").unwrap();
        let text = format!("Bearer ${{file:{}}}.", file.path().display());
        assert_eq!(expand(&text), Ok("Bearer s3cret.".to_owned()));
        assert!(expand("${env:HIGHWATER_NOT_THERE}").unwrap_err().contains("HIGHWATER_NOT_THERE"));
    }
}
