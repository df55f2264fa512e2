//! Descriptors: what `protoc --include_imports --descriptor_set_out=FILE` says of messages.
//!
//! The file is itself a message, a `FileDescriptorSet` of `google/protobuf/descriptor.proto`; of it is read what the values of
//! messages depend on. The syntaxes proto2 and proto3 and the editions are told apart here and nowhere else: behind, a field
//! has a [`Presence`].

use super::wire::{BYTES, Cursor, DEPTH_MAX, Damage, FIXED32, FIXED64, GROUP, VARINT, What};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The messages and enums of a file, by their full names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Descriptors {
    /// Messages.
    pub messages: BTreeMap<String, Message>,
    /// Enums.
    pub enums: BTreeMap<String, Arc<Enumeration>>,
}

/// A message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// Its full name.
    pub name: String,
    /// Its fields, in the order of their numbers.
    pub fields: Vec<Field>,
}

/// A field of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Its number.
    pub number: u32,
    /// What it holds.
    pub kind: Kind,
    /// What it means that it is not there.
    pub presence: Presence,
    /// The group of fields of which at most one is there.
    pub oneof: Option<u64>,
    /// The default that the field declares.
    pub default: Option<String>,
}

/// What it means that a field is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It holds its default: proto3 without `optional`.
    Implicit,
    /// It holds nothing.
    Explicit,
    /// The message is none: proto2's `required`.
    Required,
    /// A list without elements.
    Repeated,
}

/// The type of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are the names of protocol buffers")]
pub enum Kind {
    Double,
    Float,
    Int64,
    Uint64,
    Int32,
    Fixed64,
    Fixed32,
    Bool,
    String,
    Group(String),
    Message(String),
    Bytes,
    Uint32,
    Enum(String),
    Sfixed32,
    Sfixed64,
    Sint32,
    Sint64,
}

impl Kind {
    fn parse(number: u64, type_name: String) -> Option<Self> {
        Some(match number {
            1 => Self::Double,
            2 => Self::Float,
            3 => Self::Int64,
            4 => Self::Uint64,
            5 => Self::Int32,
            6 => Self::Fixed64,
            7 => Self::Fixed32,
            8 => Self::Bool,
            9 => Self::String,
            10 => Self::Group(type_name),
            11 => Self::Message(type_name),
            12 => Self::Bytes,
            13 => Self::Uint32,
            14 => Self::Enum(type_name),
            15 => Self::Sfixed32,
            16 => Self::Sfixed64,
            17 => Self::Sint32,
            18 => Self::Sint64,
            _ => return None,
        })
    }

    /// The wire type of a value.
    pub fn wire(&self) -> u8 {
        match self {
            Self::Double | Self::Fixed64 | Self::Sfixed64 => FIXED64,
            Self::Float | Self::Fixed32 | Self::Sfixed32 => FIXED32,
            Self::String | Self::Bytes | Self::Message(_) => BYTES,
            Self::Group(_) => GROUP,
            _ => VARINT,
        }
    }

    /// As it stands in a `.proto` file.
    pub fn name(&self) -> &str {
        match self {
            Self::Double => "double",
            Self::Float => "float",
            Self::Int64 => "int64",
            Self::Uint64 => "uint64",
            Self::Int32 => "int32",
            Self::Fixed64 => "fixed64",
            Self::Fixed32 => "fixed32",
            Self::Bool => "bool",
            Self::String => "string",
            Self::Bytes => "bytes",
            Self::Uint32 => "uint32",
            Self::Sfixed32 => "sfixed32",
            Self::Sfixed64 => "sfixed64",
            Self::Sint32 => "sint32",
            Self::Sint64 => "sint64",
            Self::Group(name) | Self::Message(name) | Self::Enum(name) => name,
        }
    }
}

/// An enum.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Enumeration {
    /// Its full name.
    pub name: String,
    /// Numbers and names, by number; of several names of a number the first in the file comes first.
    pub by_number: Vec<(i32, String)>,
    /// Names and numbers.
    pub by_name: BTreeMap<String, i32>,
    /// The number of the first value in the file, which is the default of a field that declares none.
    pub first: i32,
    /// No other numbers are values of it.
    pub closed: bool,
}

impl Enumeration {
    /// The name of a number.
    pub fn name_of(&self, number: i32) -> Option<&str> {
        let at = self.by_number.partition_point(|(n, _)| *n < number);
        self.by_number.get(at).filter(|(n, _)| *n == number).map(|(_, name)| name.as_str())
    }
}

/// What a file says for all that is in it.
#[derive(Clone, Copy)]
struct Rules {
    /// There are features.
    editions: bool,
    /// What a field is that does not say it itself.
    presence: Presence,
    /// Enums have no other numbers.
    closed: bool,
    /// Messages in messages are groups.
    delimited: bool,
}

/// A field of a message, whatever it is: its number, and the number or the bytes that it holds.
type Raw<'m> = (u32, u64, &'m [u8]);

/// The fields of a message.
fn fields_of(bytes: &[u8]) -> Result<Vec<Raw<'_>>, Damage> {
    let (mut cursor, mut found) = (Cursor::new(bytes, 0, bytes.len()), Vec::new());
    while let Some((number, wire)) = cursor.tag()? {
        match wire {
            VARINT => found.push((number, cursor.varint()?, &[][..])),
            BYTES => found.push((number, 0, cursor.bytes()?)),
            wire => cursor.skip(number, wire)?,
        }
    }
    Ok(found)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn joined(scope: &str, name: &str) -> String {
    if scope.is_empty() { name.to_owned() } else { format!("{scope}.{name}") }
}

impl Rules {
    /// Those of features that say something else.
    fn with_features(mut self, options: &[u8], features: u32) -> Result<Self, Damage> {
        for (number, _, bytes) in fields_of(options)? {
            if number != features || !self.editions {
                continue;
            }
            for (feature, value, _) in fields_of(bytes)? {
                match feature {
                    1 => {
                        self.presence = match value {
                            2 => Presence::Implicit,
                            3 => Presence::Required,
                            _ => Presence::Explicit,
                        }
                    }
                    2 => self.closed = value == 2,
                    5 => self.delimited = value == 2,
                    _ => {}
                }
            }
        }
        Ok(self)
    }
}

impl Descriptors {
    /// Reads a `FileDescriptorSet`.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(bytes: &[u8]) -> Result<Self, Damage> {
        let mut all = Self::default();
        for (number, _, file) in fields_of(bytes)? {
            if number == 1 {
                all.add_file(file)?;
            }
        }
        Ok(all)
    }

    fn add_file(&mut self, file: &[u8]) -> Result<(), Damage> {
        let fields = fields_of(file)?;
        let of = |wanted: u32| fields.iter().filter(move |(number, ..)| *number == wanted);
        let package = of(2).next_back().map_or_else(String::new, |(_, _, bytes)| text(bytes));
        let syntax = of(12).next_back().map_or_else(String::new, |(_, _, bytes)| text(bytes));
        let mut rules = Rules {
            editions: syntax == "editions",
            presence: if syntax == "proto3" { Presence::Implicit } else { Presence::Explicit },
            closed: !matches!(syntax.as_str(), "proto3" | "editions"),
            delimited: false,
        };
        for (_, _, options) in of(8) {
            rules = rules.with_features(options, 50)?;
        }
        for (_, _, message) in of(4) {
            self.add_message(&package, message, rules, 0)?;
        }
        of(5).try_for_each(|(_, _, enumeration)| self.add_enum(&package, enumeration, rules))
    }

    fn add_message(&mut self, scope: &str, message: &[u8], rules: Rules, depth: usize) -> Result<(), Damage> {
        if depth == DEPTH_MAX {
            return Err(Damage { at: 0, what: What::Deep });
        }
        let parts = fields_of(message)?;
        let name = parts.iter().find(|(number, ..)| *number == 1).map_or_else(String::new, |(_, _, bytes)| text(bytes));
        let name = joined(scope, &name);
        let mut fields = Vec::new();
        for (number, _, bytes) in parts {
            match number {
                2 => fields.extend(field(bytes, rules)?),
                3 => self.add_message(&name, bytes, rules, depth + 1)?,
                4 => self.add_enum(&name, bytes, rules)?,
                _ => {}
            }
        }
        fields.sort_by_key(|field| field.number);
        self.messages.insert(name.clone(), Message { name, fields });
        Ok(())
    }

    fn add_enum(&mut self, scope: &str, bytes: &[u8], mut rules: Rules) -> Result<(), Damage> {
        let (mut name, mut by_number) = (String::new(), Vec::new());
        for (number, _, bytes) in fields_of(bytes)? {
            match number {
                1 => name = joined(scope, &text(bytes)),
                2 => {
                    let (mut value, mut called) = (0, String::new());
                    for (number, raw, bytes) in fields_of(bytes)? {
                        match number {
                            1 => called = text(bytes),
                            2 => value = raw as i32,
                            _ => {}
                        }
                    }
                    by_number.push((value, called));
                }
                3 => rules = rules.with_features(bytes, 7)?,
                _ => {}
            }
        }
        let first = by_number.first().map_or(0, |(number, _)| *number);
        by_number.sort_by_key(|(number, _)| *number);
        let by_name = by_number.iter().map(|(number, name)| (name.clone(), *number)).collect();
        let enumeration = Enumeration { name: name.clone(), by_number, by_name, first, closed: rules.closed };
        self.enums.insert(name, enumeration.into());
        Ok(())
    }
}

/// A field; `None` for a type that nobody knows.
fn field(bytes: &[u8], mut rules: Rules) -> Result<Option<Field>, Damage> {
    let (mut name, mut type_name, mut default, mut oneof) = (String::new(), String::new(), None, None);
    let (mut number, mut label, mut kind, mut optional) = (0, 0, 0, false);
    for (field, raw, bytes) in fields_of(bytes)? {
        match field {
            1 => name = text(bytes),
            3 => number = raw as u32,
            4 => label = raw,
            5 => kind = raw,
            6 => type_name = text(bytes).trim_start_matches('.').to_owned(),
            7 => default = Some(text(bytes)),
            8 => rules = rules.with_features(bytes, 21)?,
            9 => oneof = Some(raw),
            17 => optional = raw != 0,
            _ => {}
        }
    }
    let Some(kind) = Kind::parse(kind, type_name) else { return Ok(None) };
    let kind = match kind {
        Kind::Message(name) if rules.delimited => Kind::Group(name),
        kind => kind,
    };
    let is_message = matches!(kind, Kind::Message(_) | Kind::Group(_));
    let presence = match label {
        3 => Presence::Repeated,
        2 => Presence::Required,
        _ if optional || oneof.is_some() => Presence::Explicit,
        _ if is_message && rules.presence == Presence::Implicit => Presence::Explicit,
        _ => rules.presence,
    };
    Ok(Some(Field { name, number, kind, presence, oneof, default }))
}
