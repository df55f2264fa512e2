//! One line alone, as names and texts: for whoever compares outputs without knowing their columns.

use super::order::unescape;
use super::scan::{self, Fault, What, colon, string, white};

/// The fields of a line in their order, with the text that each value stands for (see [`super`]); `None` is `null`.
///
/// # Errors
/// If the line is no JSON object in UTF-8.
pub fn fields(line: &[u8]) -> Result<Vec<(String, Option<String>)>, String> {
    // Scans end at a line break.
    let line = [line, b"\n"].concat();
    let spans = spans(&line).map_err(|fault| format!("byte {}: no JSON object", fault.at + 1))?;
    let text = |written: &[u8]| {
        let mut text = Vec::with_capacity(written.len());
        match written {
            [b'"', inside @ .., b'"'] => unescape(inside, &mut text),
            _ => text.extend_from_slice(written),
        }
        String::from_utf8(text).map_err(|_| "it is not UTF-8".to_owned())
    };
    let field = |(name, value): Span| {
        let value = if value == b"null" { None } else { Some(text(value)?) };
        Ok((text(name)?, value))
    };
    spans.into_iter().map(field).collect()
}

/// A name and its value, as they are written.
type Span<'l> = (&'l [u8], &'l [u8]);

fn spans(line: &[u8]) -> Result<Vec<Span<'_>>, Fault> {
    let expected = |at, what| Err(Fault { at, what: What::Expected(what) });
    let mut at = white(line, 0);
    if line[at] != b'{' {
        return expected(at, "an object");
    }
    let mut spans = Vec::new();
    at = white(line, at + 1);
    if line[at] == b'}' {
        at += 1;
    } else {
        loop {
            if line[at] != b'"' {
                return expected(at, "a field's name in quotes");
            }
            let name = at..string(line, at)?.end;
            let start = colon(line, name.end)?;
            let end = scan::value(line, start)?.end;
            spans.push((&line[name], &line[start..end]));
            at = white(line, end);
            match line[at] {
                b',' => at = white(line, at + 1),
                b'}' => break at += 1,
                _ => return expected(at, "a comma or }"),
            }
        }
    }
    at = white(line, at);
    if line[at] == b'\n' { Ok(spans) } else { expected(at, "the end of the line") }
}
