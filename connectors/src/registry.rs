//! The connectors by name.

use crate::blackhole::Blackhole;
use crate::files::{FileOptions, FilePublisher, FileSource, FileTable, SinkOptions};
use crate::generator::{Generator, GeneratorOptions};
use crate::http::{self, HttpOptions, HttpTable};
use crate::kafka::{self, KafkaSource, KafkaTable};
use crate::options::{OptionError, Options, one_of};
use crate::print::Print;
use crate::table::{self, TableOptions};
use crate::unmarked::Unmarked;
use arrow_schema::SchemaRef;
use highwater_engine::error::BuildError;
use highwater_engine::graph::types::metadata_of;
use highwater_engine::graph::{RunOptions, SinkSpec, SourceSpec};
use highwater_engine::sink::{Publisher, SinkTable};
use highwater_engine::source::Source;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Connectors of tables that are read.
pub const SOURCES: [&str; 3] = ["filesystem", "generator", "kafka"];
/// Connectors of tables that are written.
pub const SINKS: [&str; 6] = ["blackhole", "filesystem", "http", "kafka", "print", table::NAME];

/// What a table is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// A query reads it.
    Source,
    /// An INSERT writes it.
    Sink,
}

/// An input table with its options read.
enum Input {
    Generator(GeneratorOptions),
    Files(FileOptions),
    Kafka(kafka::SourceOptions),
}

/// An output table with its options read.
enum Target {
    Blackhole,
    Print(Print),
    Table(TableOptions),
    Files(SinkOptions),
    Http(HttpOptions),
    Kafka(kafka::SinkOptions),
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
    match usage {
        Usage::Source => input(connector, options, schema).err(),
        Usage::Sink => target(connector, options, schema).err(),
    }
    .unwrap_or_default()
}

/// The options that a connector knows, for tables that are read and for tables that are written: those it takes, and those
/// it refuses with what to do instead.
pub fn option_names(connector: &str) -> BTreeSet<&'static str> {
    let mut names = BTreeSet::new();
    let schema = arrow_schema::Schema::empty().into();
    for format in ["csv", "json", "parquet"] {
        let given = BTreeMap::from([("format".to_owned(), format.to_owned())]);
        let mut o = Options::new(connector, &given);
        // what is missing or wrong does not matter here
        let _ = read_input(connector, &mut o, &schema);
        let _ = read_target(connector, &mut o, &schema);
        names.extend(o.known());
    }
    names
}

/// Opens an input table.
pub fn source(spec: &SourceSpec, options: &RunOptions) -> Result<Arc<dyn Source>, BuildError> {
    let parsed = input(&spec.connector, &spec.options, &spec.physical).map_err(|e| joined(&spec.table, &e))?;
    Ok(match parsed {
        Input::Generator(given) => Arc::new(Generator::new(&given, &spec.physical, &spec.read)?),
        Input::Files(given) => Arc::new(FileSource::new(&given, spec)?),
        Input::Kafka(given) => Arc::new(KafkaSource::new(&given, spec, options)?),
    })
}

/// Opens an output table whose rows have this schema.
pub fn sink(spec: &SinkSpec, schema: &SchemaRef) -> Result<Arc<dyn SinkTable>, BuildError> {
    let parsed = target(&spec.connector, &spec.options, schema).map_err(|e| joined(&spec.table, &e))?;
    Ok(match parsed {
        Target::Blackhole => Arc::new(Blackhole),
        Target::Print(print) => Arc::new(print),
        Target::Table(options) => Arc::new(table::Table::new(options, schema)),
        Target::Http(options) => Arc::new(HttpTable::new(options, &spec.table)?),
        Target::Kafka(options) => Arc::new(KafkaTable::new(options, &spec.table)?),
        Target::Files(options) => {
            let opened = FileTable::new(&options, schema);
            Arc::new(opened.map_err(|e| BuildError::new(format!("table {}: {}", spec.table, e.message)))?)
        }
    })
}

/// Opens an output table of a job that keeps state. `resumed` is false on the very first start of the job.
pub fn publisher(spec: &SinkSpec, schema: &SchemaRef, resumed: bool) -> Result<Box<dyn Publisher>, BuildError> {
    let parsed = target(&spec.connector, &spec.options, schema).map_err(|e| joined(&spec.table, &e))?;
    Ok(match parsed {
        Target::Blackhole => Box::new(Unmarked::never(Blackhole)),
        Target::Print(print) => Box::new(Unmarked::each_checkpoint(print)),
        Target::Table(options) => Box::new(Arc::new(table::Table::new(options, schema)).publisher()),
        Target::Http(options) => http::publisher(&options, &spec.table)?,
        Target::Kafka(options) => kafka::publisher(options, &spec.table, resumed)?,
        Target::Files(options) => {
            let opened = FilePublisher::new(options, schema, resumed);
            Box::new(opened.map_err(|e| BuildError::new(format!("table {}: {}", spec.table, e.message)))?)
        }
    })
}

fn input(connector: &str, given: &BTreeMap<String, String>, schema: &SchemaRef) -> Result<Input, Vec<OptionError>> {
    let mut o = Options::new(connector, given);
    let parsed = read_input(connector, &mut o, schema).ok_or_else(|| vec![unknown(connector, Usage::Source)])?;
    if let (true, Some(column)) = (connector != "kafka", schema.fields().iter().find(|f| metadata_of(f).is_some())) {
        let name = column.name();
        let what = format!("a table of connector '{connector}' has no METADATA, as column {name} is; 'kafka' has");
        o.error("connector", what);
    }
    no_errors(o.finish(), parsed)
}

fn read_input(connector: &str, o: &mut Options, schema: &SchemaRef) -> Option<Input> {
    Some(match connector {
        "generator" => Input::Generator(GeneratorOptions::parse(o, schema)),
        "filesystem" => Input::Files(FileOptions::parse(o, schema)),
        "kafka" => Input::Kafka(kafka::SourceOptions::parse(o, schema)),
        _ => return None,
    })
}

fn target(connector: &str, given: &BTreeMap<String, String>, schema: &SchemaRef) -> Result<Target, Vec<OptionError>> {
    let mut o = Options::new(connector, given);
    let parsed = read_target(connector, &mut o, schema).ok_or_else(|| vec![unknown(connector, Usage::Sink)])?;
    no_errors(o.finish(), parsed)
}

fn read_target(connector: &str, o: &mut Options, schema: &SchemaRef) -> Option<Target> {
    Some(match connector {
        "blackhole" => Target::Blackhole,
        "print" => Target::Print(Print::parse(o, schema)),
        table::NAME => Target::Table(TableOptions::parse(o)),
        "filesystem" => Target::Files(SinkOptions::parse(o, schema)),
        "http" => Target::Http(HttpOptions::parse(o, schema)),
        "kafka" => Target::Kafka(kafka::SinkOptions::parse(o, schema)),
        _ => return None,
    })
}

fn no_errors<T>(errors: Vec<OptionError>, parsed: T) -> Result<T, Vec<OptionError>> {
    if errors.is_empty() { Ok(parsed) } else { Err(errors) }
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
