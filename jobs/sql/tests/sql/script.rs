//! Scripts: cases of a name, a text and what is expected.
//!
//! ```text
//! # name of the case
//! text
//! ----
//! expected
//! ```

/// One case of a script.
pub struct Case<'a> {
    pub name: &'a str,
    pub text: &'a str,
    pub expected: &'a str,
}

/// The cases of a script.
pub fn cases(script: &str) -> Vec<Case<'_>> {
    let start = if script.starts_with("# ") { 2 } else { script.find("\n# ").expect("a script has cases") + 3 };
    let blocks = script[start..].split("\n# ");
    blocks
        .map(|block| {
            let (name, rest) = block.split_once('\n').expect("a case has a text");
            let (text, expected) = rest.split_once("\n----\n").unwrap_or_else(|| panic!("case {name} has no ----"));
            Case { name, text, expected: expected.trim() }
        })
        .collect()
}

/// Fails with all differences at once.
pub fn report(failed: Vec<String>) {
    assert!(failed.is_empty(), "{} cases differ\n\n{}", failed.len(), failed.join("\n\n"));
}
