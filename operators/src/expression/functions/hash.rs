//! Hashes of texts as hexadecimal digits: MD5, SHA224, SHA256, SHA384, SHA512, of the text's UTF-8 bytes.

use super::super::kernel::{Args, Failure};
use super::{Argument, Function, Typing, signature};
use arrow::array::{ArrayRef, StringBuilder};
use arrow::datatypes::DataType;
use md5::Md5;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};
use std::sync::Arc;

pub(super) fn functions() -> Vec<Function> {
    vec![
        Function::plain("md5", text, digits::<Md5>).total(),
        Function::plain("sha224", text, digits::<Sha224>).total(),
        Function::plain("sha256", text, digits::<Sha256>).total(),
        Function::plain("sha384", text, digits::<Sha384>).total(),
        Function::plain("sha512", text, digits::<Sha512>).total(),
    ]
}

fn text(args: &[Argument]) -> Result<Typing, String> {
    signature(args, "s", DataType::Utf8)
}

fn digits<D: Digest>(args: &Args<'_>) -> Result<ArrayRef, Failure> {
    let texts = args.text(0);
    let mut out = StringBuilder::with_capacity(args.rows(), args.rows() * 2 * <D as Digest>::output_size());
    let mut row = String::new();
    for i in 0..args.rows() {
        let Some(text) = texts.get(i) else {
            out.append_null();
            continue;
        };
        row.clear();
        for byte in D::digest(text.as_bytes()).iter() {
            let digit = |value: u8| char::from(b"0123456789abcdef"[usize::from(value)]);
            row.extend([digit(byte >> 4), digit(byte & 15)]);
        }
        out.append_value(&row);
    }
    Ok(Arc::new(out.finish()))
}
