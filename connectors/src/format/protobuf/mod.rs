//! Messages in protocol buffers to columns and back: the format `protobuf`.
//!
//! | option | default | |
//! |---|---|---|
//! | `protobuf.descriptor-file` | needed | what `protoc --include_imports --descriptor_set_out=FILE` has written |
//! | `protobuf.message-name` | needed | the message by its full name: `payments.v1.Payment` |
//! | `protobuf.read-default-values` | `false` | source: a field that is not there has its default, else it is NULL |
//!
//! * Columns go by the names of fields, fields by their numbers. A column `a.b` is field `b` of the message in field `a`. Which
//!   field may be which column stands at [`tree`].
//! * Fields that no column reads are passed over, so a message may have fields that the descriptor does not know; one that is
//!   not there is NULL, but zero in proto3 without `optional`, where nobody can tell the two apart. The last value
//!   of a field counts, parts of a message are merged, and of a `oneof` the last field is there.
//! * A number that its field or its column can't hold makes its message bad: it is not cut to 32 bits, as protocol buffers'
//!   own readers do. So do an enum's number without a name, if the column is STRING, a field of another wire type than the
//!   descriptor's, and a required field that a column reads and that is not there. A BOOLEAN is true if it is not zero.
//! * What is no message at all is bad with the byte at which that was seen. Messages of fields that no column reads are not
//!   looked into.
//! * Repeated fields and maps are no columns.
//!
//! Rows are written as protocol buffers' own writers do ([`mod@write`]): a NULL is absent, also where it is read as zero.

pub mod columns;
pub mod default;
pub mod descriptor;
pub mod messages;
pub mod tree;
pub mod walk;
pub mod wire;
pub mod write;

#[cfg(test)]
mod tests;

use self::descriptor::{Descriptors, Message, Presence};
use self::messages::ProtobufTable;
use self::tree::{Part, Tree, Use};
use crate::format::records::read::schema_of;
use crate::options::{Options, nearest};
use arrow_schema::{Schema, SchemaRef};
use std::sync::Arc;

const FILE: &str = "protobuf.descriptor-file";
const MESSAGE: &str = "protobuf.message-name";
const DEFAULTS: &str = "protobuf.read-default-values";
const IGNORE_ERRORS: &str = "protobuf.ignore-parse-errors";
const CLASS: &str = "protobuf.message-class-name";
const NULLS: &str = "protobuf.write-null-string-literal";
/// Messages that an error lists.
const LISTED_MAX: usize = 10;

/// What a table of messages in protocol buffers asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProtobufOptions {
    /// The table's columns.
    pub columns: SchemaRef,
    /// Where the descriptors are.
    pub descriptor_file: String,
    /// The full name of the message.
    pub message: String,
    /// A field that is not there has its default.
    pub read_default_values: bool,
}

impl ProtobufOptions {
    /// The names of the options, for a table of another format.
    pub const NAMES: [&'static str; 6] = [FILE, MESSAGE, DEFAULTS, IGNORE_ERRORS, CLASS, NULLS];

    /// Reads the options; what is wrong is noted in `o`.
    pub fn parse(o: &mut Options, schema: &Schema) -> Self {
        let descriptor_file = o.required(FILE, "payments.desc").to_owned();
        let message = o.required(MESSAGE, "payments.v1.Payment").to_owned();
        let read_default_values = o.boolean(DEFAULTS, false);
        super::refuse_ignoring(o, IGNORE_ERRORS);
        let why = "names a class of Java, here messages are named as in their .proto file: write \
                   'protobuf.message-name' = 'payments.v1.Payment' and 'protobuf.descriptor-file'";
        o.unused(&[CLASS], why);
        o.unused(&[NULLS], "is for arrays and maps, which are no columns; remove it");
        Self { columns: schema.clone().into(), descriptor_file, message, read_default_values }
    }

    fn wrong(&self, why: impl std::fmt::Display) -> String {
        format!("'{FILE}' = '{}' {why}", self.descriptor_file)
    }

    fn descriptors(&self) -> Result<Descriptors, String> {
        let how = "write it with protoc --include_imports --descriptor_set_out=FILE";
        let bytes =
            std::fs::read(&self.descriptor_file).map_err(|e| self.wrong(format!("can't be read: {e}; {how}")))?;
        let all = Descriptors::parse(&bytes).map_err(|damage| {
            self.wrong(format!("is no file of descriptors (byte {}: {}); {how}", damage.at, damage.what))
        })?;
        if all.messages.is_empty() { Err(self.wrong(format!("describes no message; {how}"))) } else { Ok(all) }
    }

    fn named<'d>(&self, all: &'d Descriptors) -> Result<&'d Message, String> {
        all.messages.get(&self.message).ok_or_else(|| {
            let names: Vec<&str> = all.messages.keys().map(String::as_str).collect();
            let hint = match nearest(&self.message, &names) {
                Some(near) => format!("did you mean '{near}'?"),
                None if names.len() <= LISTED_MAX => format!("it has {}", names.join(", ")),
                None => format!("it has {} and {} others", names[..LISTED_MAX].join(", "), names.len() - LISTED_MAX),
            };
            self.wrong(format!("has no message '{}' ('{MESSAGE}'); {hint}", self.message))
        })
    }

    /// How messages become the columns `read` of these.
    ///
    /// # Errors
    /// The file, the message or a column is not as the options say.
    pub fn table(&self, columns: &Schema, read: &[usize]) -> Result<ProtobufTable, String> {
        let all = self.descriptors()?;
        let message = self.named(&all)?;
        // What is wrong with a column does not depend on whether it is read.
        Tree::new(&all, message, columns, Use::Read).map_err(|wrong| wrong.join("; "))?;
        let schema = schema_of(columns, read).map_err(|e| e.to_string())?;
        let tree = Tree::new(&all, message, &schema, Use::Read).map_err(|wrong| wrong.join("; "))?;
        ProtobufTable::new(&tree, schema, self.read_default_values)
    }

    /// How rows become messages.
    ///
    /// # Errors
    /// As of [`table`](Self::table).
    pub fn tree(&self) -> Result<Arc<Tree>, String> {
        let all = self.descriptors()?;
        let tree = Tree::new(&all, self.named(&all)?, &self.columns, Use::Write).map_err(|wrong| wrong.join("; "))?;
        let mut zeros = Vec::new();
        without_null(&tree, &self.columns, &mut zeros);
        if !zeros.is_empty() {
            tracing::warn!(
                "message {}: NULL in {} is read as zero or an empty text: proto3 fields can't tell the two apart without \
                 'optional'; declare the columns NOT NULL or the fields optional",
                self.message,
                zeros.join(", ")
            );
        }
        Ok(Arc::new(tree))
    }
}

/// Columns that may be NULL of fields that hold no NULL.
fn without_null(tree: &Tree, columns: &Schema, found: &mut Vec<String>) {
    for twig in &tree.twigs {
        match &twig.part {
            Part::Tree(tree) => without_null(tree, columns, found),
            Part::Leaf(leaf) if twig.field.presence == Presence::Implicit => {
                if columns.field(leaf.column).is_nullable() {
                    found.push(leaf.name.clone());
                }
            }
            Part::Leaf(_) => {}
        }
    }
}
