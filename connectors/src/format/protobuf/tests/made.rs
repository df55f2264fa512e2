//! Descriptor files made by hand, field by field as `descriptor.proto` numbers them.

use crate::format::protobuf::wire::{BYTES, VARINT, put_length_of, put_tag, put_varint};

/// The bytes of a message of descriptors.
#[derive(Clone, Default)]
pub struct Made(pub Vec<u8>);

impl Made {
    /// With a number.
    pub fn number(mut self, field: u32, value: u64) -> Self {
        put_tag(field, VARINT, &mut self.0);
        put_varint(value, &mut self.0);
        self
    }

    /// With bytes.
    pub fn bytes(mut self, field: u32, value: &[u8]) -> Self {
        put_tag(field, BYTES, &mut self.0);
        let appended = |out: &mut Vec<u8>| -> Result<(), ()> {
            out.extend_from_slice(value);
            Ok(())
        };
        put_length_of(&mut self.0, appended).unwrap();
        self
    }

    /// With other messages.
    pub fn all(self, field: u32, parts: impl IntoIterator<Item = Made>) -> Self {
        parts.into_iter().fold(self, |made, part| made.bytes(field, &part.0))
    }
}

/// A file with messages and enums of the package `p`.
pub fn file(syntax: &str, messages: impl IntoIterator<Item = Made>, enums: impl IntoIterator<Item = Made>) -> Made {
    let file = Made::default().bytes(1, b"p.proto").bytes(2, b"p").all(4, messages).all(5, enums);
    if syntax == "proto2" { file } else { file.bytes(12, syntax.as_bytes()) }
}

/// Files as protoc writes them, with Google's own types.
pub fn set(files: impl IntoIterator<Item = Made>) -> Vec<u8> {
    let value = |name: &str, fields: &[Made]| message(name, fields.iter().cloned());
    let messages = [
        value("Timestamp", &[field("seconds", 1, "int64"), field("nanos", 2, "int32")]),
        value("Int64Value", &[field("value", 1, "int64")]),
        value("StringValue", &[field("value", 1, "string")]),
        value("DoubleValue", &[field("value", 1, "double")]),
    ];
    let google = Made::default().bytes(2, b"google.protobuf").all(4, messages).bytes(12, b"proto3");
    Made::default().all(1, [google]).all(1, files).0
}

/// A message.
pub fn message(name: &str, fields: impl IntoIterator<Item = Made>) -> Made {
    Made::default().bytes(1, name.as_bytes()).all(2, fields)
}

/// An enum.
pub fn enumeration(name: &str, values: &[(&str, i64)]) -> Made {
    let value = |(name, number): &(&str, i64)| Made::default().bytes(1, name.as_bytes()).number(2, *number as u64);
    Made::default().bytes(1, name.as_bytes()).all(2, values.iter().map(value))
}

const NAMES: [&str; 18] = [
    "double", "float", "int64", "uint64", "int32", "fixed64", "fixed32", "bool", "string", "group", "message", "bytes",
    "uint32", "enum", "sfixed32", "sfixed64", "sint32", "sint64",
];

/// A field as it stands in a `.proto` file: `optional`, `required` or `repeated` before its type, `message` or `enum` before
/// the type's name.
pub fn field(name: &str, number: u64, of: &str) -> Made {
    let words: Vec<&str> = of.split(' ').collect();
    let label = ["optional", "required", "repeated"].iter().position(|label| *label == words[0]);
    let rest = &words[usize::from(label.is_some())..];
    let kind = NAMES.iter().position(|name| *name == rest[0]).unwrap() as u64 + 1;
    let made = Made::default().bytes(1, name.as_bytes()).number(3, number).number(5, kind);
    let made = made.number(4, label.map_or(1, |label| label as u64 + 1));
    rest.get(1).map_or(made.clone(), |name| made.bytes(6, format!(".{name}").as_bytes()))
}
