//! Which parts of a message the columns are.
//!
//! | field | column |
//! |---|---|
//! | `bool` | BOOLEAN |
//! | `int32` to `sfixed64`, with and without sign | TINYINT to BIGINT, DECIMAL |
//! | `float`, `double` | FLOAT, DOUBLE that has each value (a `double` is written from FLOAT too) |
//! | `string` | STRING; DECIMAL, DATE, TIME, TIMESTAMP and TIMESTAMP_LTZ as text; read also BYTES |
//! | `bytes` | BYTES |
//! | enums | STRING, the name; TINYINT to BIGINT, the number |
//! | `google.protobuf.Timestamp` | TIMESTAMP, TIMESTAMP_LTZ |
//! | `google.protobuf.Int64Value` and its like | as the field in it |
//! | a field of a message in the message | a column named by the path: `` `merchant.city` `` |

use super::descriptor::{Descriptors, Enumeration, Field, Kind, Message, Presence};
use crate::options::nearest;
use arrow_schema::{DataType, Schema};
use highwater_engine::graph::types::sql_type;
use std::sync::Arc;

/// Whether columns are read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Messages become rows.
    Read,
    /// Rows become messages.
    Write,
}

/// A message of which columns are parts.
#[derive(Clone, Debug)]
pub struct Tree {
    /// The message.
    pub message: Message,
    /// Its fields that are columns, or hold some, in the order of their numbers.
    pub twigs: Vec<Twig>,
}

/// A field of a message.
#[derive(Clone, Debug)]
pub struct Twig {
    /// The field.
    pub field: Field,
    /// What it is to the table.
    pub part: Part,
}

/// What a field is to a table.
#[derive(Clone, Debug)]
pub enum Part {
    /// A column.
    Leaf(Leaf),
    /// A message that holds columns.
    Tree(Tree),
}

/// A field that is a column.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// The number of the column.
    pub column: usize,
    /// Its name, which is the path of the field.
    pub name: String,
    /// Its type.
    pub data_type: DataType,
    /// How it stands in the message.
    pub shape: Shape,
    /// The type of the field, or of the field that it wraps.
    pub kind: Kind,
    /// The enum, if it is one.
    pub enumeration: Option<Arc<Enumeration>>,
    /// The default that the field declares.
    pub default: Option<String>,
}

/// How a column stands in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// As the field.
    Plain,
    /// As field 1 of a message that may be absent.
    Wrapped,
    /// As seconds and nanoseconds.
    Timestamp,
}

const TIMESTAMP: &str = "google.protobuf.Timestamp";
const WRAPPERS: [&str; 9] = ["Double", "Float", "Int64", "UInt64", "Int32", "UInt32", "Bool", "String", "Bytes"];

fn is_wrapper(message: &str) -> bool {
    let name = message.strip_prefix("google.protobuf.").and_then(|name| name.strip_suffix("Value"));
    name.is_some_and(|name| WRAPPERS.contains(&name))
}

impl Tree {
    /// The columns of a table as parts of a message.
    ///
    /// # Errors
    /// A sentence for each column that is no part of it, and for fields that must be there and are no column.
    pub fn new(all: &Descriptors, message: &Message, columns: &Schema, usage: Use) -> Result<Self, Vec<String>> {
        let mut tree = Self { message: message.clone(), twigs: Vec::new() };
        let mut wrong = Vec::new();
        for (column, field) in columns.fields().iter().enumerate() {
            let place = Place { all, usage, column, name: field.name(), data_type: field.data_type() };
            if let Err(why) = tree.insert(&place, field.name()) {
                wrong.push(format!("column {}: {why}", field.name()));
            }
        }
        if usage == Use::Write && wrong.is_empty() {
            tree.without_required(&mut wrong);
        }
        if wrong.is_empty() { Ok(tree) } else { Err(wrong) }
    }

    fn insert(&mut self, place: &Place, path: &str) -> Result<(), String> {
        let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
        let Some(field) = self.message.fields.iter().find(|field| field.name == name) else {
            return Err(self.no_field(name));
        };
        if field.presence == Presence::Repeated {
            return Err(format!("field {name} is repeated, and ARRAY and MAP are no columns; remove the column"));
        }
        let at = self.twigs.partition_point(|twig| twig.field.number < field.number);
        let known = self.twigs.get(at).is_some_and(|twig| twig.field.number == field.number);
        if known {
            return match (&mut self.twigs[at].part, rest) {
                (Part::Tree(tree), Some(rest)) => tree.insert(place, rest),
                _ => Err(format!("field {name} is a column as a whole, so no column is a part of it; remove one")),
            };
        }
        let part = match rest {
            None => Part::Leaf(place.leaf(field)?),
            Some(rest) => {
                let (Kind::Message(of) | Kind::Group(of)) = &field.kind else {
                    return Err(format!("field {name} is of type {} and has no fields", field.kind.name()));
                };
                let mut tree = Self { message: place.message(of)?.clone(), twigs: Vec::new() };
                tree.insert(place, rest)?;
                Part::Tree(tree)
            }
        };
        self.twigs.insert(at, Twig { field: field.clone(), part });
        Ok(())
    }

    fn no_field(&self, name: &str) -> String {
        let names: Vec<&str> = self.message.fields.iter().map(|field| field.name.as_str()).collect();
        let hint = match nearest(name, &names) {
            Some(near) => format!("did you mean {near}?"),
            None if names.is_empty() => "it has none".to_owned(),
            None => format!("it has {}", names.join(", ")),
        };
        format!("message {} has no field {name}; {hint}", self.message.name)
    }

    fn without_required(&self, wrong: &mut Vec<String>) {
        for field in self.message.fields.iter().filter(|field| field.presence == Presence::Required) {
            if !self.twigs.iter().any(|twig| twig.field.number == field.number) {
                let of = &self.message.name;
                wrong
                    .push(format!("field {} of message {of} is required, and no column fills it; add one", field.name));
            }
        }
        for twig in &self.twigs {
            if let Part::Tree(tree) = &twig.part {
                tree.without_required(wrong);
            }
        }
    }
}

/// The column that is looked for.
struct Place<'a> {
    all: &'a Descriptors,
    usage: Use,
    column: usize,
    name: &'a str,
    data_type: &'a DataType,
}

impl Place<'_> {
    fn message(&self, name: &str) -> Result<&Message, String> {
        self.all.messages.get(name).ok_or_else(|| missing(name))
    }

    fn leaf(&self, field: &Field) -> Result<Leaf, String> {
        let (shape, kind) = match &field.kind {
            Kind::Message(of) if of == TIMESTAMP => (Shape::Timestamp, field.kind.clone()),
            Kind::Message(of) if is_wrapper(of) => {
                let value = self.message(of)?.fields.first().ok_or_else(|| missing(of))?;
                (Shape::Wrapped, value.kind.clone())
            }
            Kind::Message(of) | Kind::Group(of) => {
                let part = self.message(of)?.fields.first().map_or("field", |field| &field.name);
                return Err(format!("field {} is a message; name a field of it: `{}.{part}`", field.name, self.name));
            }
            kind => (Shape::Plain, kind.clone()),
        };
        if !self.fits(shape, &kind) {
            let found = if shape == Shape::Plain { kind.name() } else { field.kind.name() };
            let cure = declare(shape, &kind);
            return Err(format!(
                "field {} is of type {found}, which is no {}; declare {cure}",
                field.name,
                sql_type(self.data_type)
            ));
        }
        let enumeration = match &kind {
            Kind::Enum(name) => Some(self.all.enums.get(name).ok_or_else(|| missing(name))?.clone()),
            _ => None,
        };
        let (name, data_type) = (self.name.to_owned(), self.data_type.clone());
        Ok(Leaf { column: self.column, name, data_type, shape, kind, enumeration, default: field.default.clone() })
    }

    fn fits(&self, shape: Shape, kind: &Kind) -> bool {
        use DataType::*;
        let (to, reads) = (self.data_type, self.usage == Use::Read);
        let integer = matches!(to, Int8 | Int16 | Int32 | Int64);
        match kind {
            _ if shape == Shape::Timestamp => matches!(to, Timestamp(..)),
            Kind::Bool => *to == Boolean,
            Kind::Float => *to == Float32 || (reads && *to == Float64),
            Kind::Double => *to == Float64 || (!reads && *to == Float32),
            Kind::Bytes => *to == Binary,
            Kind::String if *to == Binary => reads,
            Kind::String => matches!(to, Utf8 | Decimal128(..) | Date32 | Time32(_) | Time64(_) | Timestamp(..)),
            Kind::Enum(_) => integer || *to == Utf8,
            Kind::Message(_) | Kind::Group(_) => false,
            _ => integer || matches!(to, Decimal128(_, scale) if reads || *scale == 0),
        }
    }
}

/// What a column of a field may be declared as.
fn declare(shape: Shape, kind: &Kind) -> &'static str {
    match kind {
        _ if shape == Shape::Timestamp => "TIMESTAMP_LTZ(9)",
        Kind::Bool => "BOOLEAN",
        Kind::Float => "FLOAT",
        Kind::Double => "DOUBLE",
        Kind::Bytes => "BYTES",
        Kind::String => "STRING, or DECIMAL or a time that stands there as text",
        Kind::Enum(_) => "STRING for its names, INT for its numbers",
        Kind::Uint64 | Kind::Fixed64 => "BIGINT or DECIMAL(20, 0)",
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => "INT",
        _ => "BIGINT",
    }
}

fn missing(name: &str) -> String {
    format!("{name} is not in the descriptor file; write it with protoc --include_imports")
}
