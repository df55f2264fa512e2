//! The connectors by name.

use crate::blackhole::Blackhole;
use crate::generator::{Generator, GeneratorOptions};
use crate::options::{OptionError, Options, one_of};
use crate::table::{self, TableOptions};
use arrow_schema::SchemaRef;
use highwater_engine::error::BuildError;
use highwater_engine::graph::{RunOptions, SinkSpec, SourceSpec};
use highwater_engine::sink::SinkTable;
use highwater_engine::source::Source;
use std::collections::BTreeMap;
use std::sync::Arc;

const SOURCES: [&str; 1] = ["generator"];
const SINKS: [&str; 2] = ["blackhole", table::NAME];

/// What a table is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// A query reads it.
    Source,
    /// An INSERT writes it.
    Sink,
}

/// A connector with its options read.
enum Table {
    Generator(GeneratorOptions),
    Blackhole,
    Table(TableOptions),
}

/// What is wrong with a table's options: empty if [`source`] or [`sink`] would accept them. `options` are the connector's
/// own (a `connector` among them is ignored), `schema` the physical columns of a source or the columns of a sink. Nothing
/// outside the program is looked at: whether a file exists is found when the table is opened.
pub fn check(
    connector: &str,
    usage: Usage,
    options: &BTreeMap<String, String>,
    schema: &SchemaRef,
) -> Vec<OptionError> {
    parse(connector, usage, options, schema).err().unwrap_or_default()
}

/// Opens an input table.
pub fn source(spec: &SourceSpec, _options: &RunOptions) -> Result<Arc<dyn Source>, BuildError> {
    let table = parse(&spec.connector, Usage::Source, &spec.options, &spec.physical);
    match table.map_err(|e| joined(&spec.table, &e))? {
        Table::Generator(options) => Ok(Arc::new(Generator::new(&options, &spec.physical, &spec.read)?)),
        Table::Blackhole | Table::Table(_) => unreachable!("parse has refused it as a source"),
    }
}

/// Opens an output table whose rows have this schema.
pub fn sink(spec: &SinkSpec, schema: &SchemaRef) -> Result<Arc<dyn SinkTable>, BuildError> {
    let table = parse(&spec.connector, Usage::Sink, &spec.options, schema);
    match table.map_err(|e| joined(&spec.table, &e))? {
        Table::Blackhole => Ok(Arc::new(Blackhole)),
        Table::Table(options) => Ok(Arc::new(table::Table::new(options, schema))),
        Table::Generator(_) => unreachable!("parse has refused it as a sink"),
    }
}

fn parse(
    connector: &str,
    usage: Usage,
    given: &BTreeMap<String, String>,
    schema: &SchemaRef,
) -> Result<Table, Vec<OptionError>> {
    let mut o = Options::new(connector, given);
    let table = match (connector, usage) {
        ("generator", Usage::Source) => Table::Generator(GeneratorOptions::parse(&mut o, schema)),
        ("blackhole", Usage::Sink) => Table::Blackhole,
        (table::NAME, Usage::Sink) => Table::Table(TableOptions::parse(&mut o)),
        _ => return Err(vec![unknown(connector, usage)]),
    };
    let errors = o.finish();
    if errors.is_empty() { Ok(table) } else { Err(errors) }
}

fn unknown(connector: &str, usage: Usage) -> OptionError {
    let (known, other, verb) = match usage {
        Usage::Source => (&SOURCES[..], &SINKS[..], "read"),
        Usage::Sink => (&SINKS[..], &SOURCES[..], "written"),
    };
    let message = if other.contains(&connector) {
        format!("a table of connector '{connector}' can't be {verb}; use {}", one_of("", known))
    } else if connector == "datagen" {
        format!("unknown connector 'datagen'; use {}", one_of("generator", known))
    } else {
        format!("unknown connector '{connector}'; use {}", one_of(connector, known))
    };
    OptionError::new("connector", message)
}

pub(crate) fn joined(table: &str, errors: &[OptionError]) -> BuildError {
    let lines: Vec<_> = errors.iter().map(|e| format!("option '{}': {}", e.option, e.message)).collect();
    BuildError::new(format!("table {table}: {}", lines.join("; ")))
}
