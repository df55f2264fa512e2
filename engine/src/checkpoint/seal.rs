//! The text of a manifest: its body, the body's hash, and a signature if a key is set.
//!
//! ```text
//! {"format":1,"job":"alerts", …}          the body: JSON without line breaks
//! sha256 <64 hexadecimal digits>          of the body, without its line break
//! hmac-sha256 <64 hexadecimal digits>     of the same bytes; only if a key is set
//! ```
//!
//! Each line ends with `\n`; nothing follows. The hash is the manifest's identity: the next manifest names it. Lengths and
//! hash are checked before the body is parsed, the format's version before the rest of the body.

use super::manifest::{FORMAT, Manifest};
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::fmt;

/// Shortest key for signatures.
pub const KEY_BYTES_MIN: usize = 16;
/// Deepest nesting of a manifest's JSON: each operator of an expression takes two levels.
pub const NESTING_MAX: usize = 1_500;

/// A secret key that signs manifests.
#[derive(Clone)]
pub struct HmacKey(Hmac<Sha256>);

impl HmacKey {
    /// A key; at least [`KEY_BYTES_MIN`] bytes.
    pub fn new(key: &[u8]) -> Result<Self, String> {
        if key.len() < KEY_BYTES_MIN {
            return Err(format!("the key has {} bytes; at least {KEY_BYTES_MIN} are needed", key.len()));
        }
        Hmac::new_from_slice(key).map(Self).map_err(|e| e.to_string())
    }

    fn sign(&self, body: &[u8]) -> String {
        hex(&self.0.clone().chain_update(body).finalize().into_bytes())
    }

    /// Compares in constant time.
    fn signed(&self, body: &[u8], signature: &[u8]) -> bool {
        self.0.clone().chain_update(body).verify_slice(signature).is_ok()
    }
}

impl fmt::Debug for HmacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HmacKey(..)")
    }
}

/// A manifest and its hash.
#[derive(Clone, Debug)]
pub struct Sealed {
    /// The manifest.
    pub manifest: Manifest,
    /// Hash (hex) of its body.
    pub sha256: String,
}

/// Why a text is not a manifest of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// The bytes are not what was written.
    Damaged(String),
    /// They are, but they are not for this version or this key.
    Refused(String),
}

/// The text of a manifest, and its hash.
pub fn seal(manifest: &Manifest, key: Option<&HmacKey>) -> Result<(Vec<u8>, String), String> {
    let body = serde_json::to_string(manifest).map_err(|e| format!("the manifest can't be written: {e}"))?;
    let depth = nesting(body.as_bytes());
    if depth > NESTING_MAX {
        return Err(format!(
            "the job's expressions nest {depth} deep in a manifest, {NESTING_MAX} is the limit: split them"
        ));
    }
    let sha256 = sha256(&[body.as_bytes()]);
    let mut text = format!("{body}\nsha256 {sha256}\n");
    if let Some(key) = key {
        text.push_str(&format!("hmac-sha256 {}\n", key.sign(body.as_bytes())));
    }
    Ok((text.into_bytes(), sha256))
}

/// Reads what [`seal`] wrote.
pub fn unseal(text: &[u8], key: Option<&HmacKey>) -> Result<Sealed, Flaw> {
    let damaged = |reason: &str| Flaw::Damaged(reason.to_owned());
    let lines: Vec<&[u8]> = text.split(|b| *b == b'\n').collect();
    let (body, hash, signature) = match lines[..] {
        [body, hash, b""] => (body, hash, None),
        [body, hash, signature, b""] => (body, hash, Some(signature)),
        _ => return Err(damaged("it is cut off or is no manifest")),
    };
    let sha256 = sha256(&[body]);
    if hash.strip_prefix(b"sha256 ") != Some(sha256.as_bytes()) {
        return Err(damaged("its bytes do not have the hash at its end"));
    }
    check_signature(body, signature, key)?;
    if nesting(body) > NESTING_MAX {
        return Err(damaged("it nests too deep"));
    }
    check_format(body)?;
    let manifest = parse(body).map_err(|e| Flaw::Damaged(format!("it can't be read: {e}")))?;
    Ok(Sealed { manifest, sha256 })
}

fn check_signature(body: &[u8], line: Option<&[u8]>, key: Option<&HmacKey>) -> Result<(), Flaw> {
    let refused = |reason: &str| Err(Flaw::Refused(reason.to_owned()));
    let signature = match line.map(|l| l.strip_prefix(b"hmac-sha256 ").and_then(unhex)) {
        None => None,
        Some(Some(signature)) => Some(signature),
        Some(None) => return Err(Flaw::Damaged("its signature is no signature".into())),
    };
    match (key, signature) {
        (None, None) => Ok(()),
        (Some(key), Some(signature)) if key.signed(body, &signature) => Ok(()),
        (Some(_), Some(_)) => refused(
            "its signature was not made with this key; set the key it was made with, or treat the checkpoints as tampered with",
        ),
        (Some(_), None) => refused(
            "it is not signed, but a key is set; run without the key if that is as it should be, or start with an empty state folder",
        ),
        (None, Some(_)) => refused("it is signed, but no key is set; set the key it was made with"),
    }
}

fn check_format(body: &[u8]) -> Result<(), Flaw> {
    #[derive(Deserialize)]
    struct Version {
        format: u32,
    }
    let Version { format } = parse(body).map_err(|e| Flaw::Damaged(format!("it can't be read: {e}")))?;
    match format {
        1..=FORMAT => Ok(()),
        0 => Err(Flaw::Damaged("its format is 0".into())),
        newer => Err(Flaw::Refused(format!(
            "its state format is {newer}, this version reads up to {FORMAT}; use the version of highwater that wrote it, or a newer one"
        ))),
    }
}

/// Parses JSON whose nesting was checked.
fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, serde_json::Error> {
    let mut json = serde_json::Deserializer::from_slice(body);
    json.disable_recursion_limit();
    let value = T::deserialize(&mut json)?;
    json.end()?;
    Ok(value)
}

/// How deep brackets nest, strings left out.
fn nesting(json: &[u8]) -> usize {
    let (mut depth, mut deepest, mut quoted, mut escaped) = (0_usize, 0, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => (),
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => (),
        }
    }
    deepest
}

/// Hash of the content of a file, its parts one after the other, in hexadecimal digits. Files are large: BLAKE3 takes them
/// at the speed of memory.
pub fn blake3(parts: &[&[u8]]) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    hex(hasher.finalize().as_bytes())
}

/// Hash of the parts one after the other, in hexadecimal digits.
pub fn sha256(parts: &[&[u8]]) -> String {
    let mut hasher = Sha256::new();
    parts.iter().for_each(|p| hasher.update(p));
    hex(&hasher.finalize())
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    let digit = |d: u8| char::from(DIGITS[usize::from(d)]);
    bytes.iter().flat_map(|b| [digit(b >> 4), digit(b & 15)]).collect()
}

/// Reads what [`hex`] wrote, and nothing else: one text has one meaning.
fn unhex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |b: &u8| DIGITS.iter().position(|d| d == b).map(|d| d as u8);
    let pair = |p: &[u8]| Some(digit(p.first()?)? << 4 | digit(p.get(1)?)?);
    text.chunks(2).map(pair).collect()
}
