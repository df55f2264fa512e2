//! The parts that a graph names, from the crates that have them: what the runtime builds a job of.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use highwater_connectors::table::Table;
use highwater_engine::error::BuildError;
use highwater_engine::graph::{MapSpec, Node, RunOptions, SinkSpec, SourceSpec};
use highwater_engine::operator::Operator;
use highwater_engine::parts::{Parts, Role, RowProgram};
use highwater_engine::sink::{Publisher, SinkTable};
use highwater_engine::source::Source;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

/// Connectors and operators. Remembers the `table` sinks, whose rows are shown when the job has ended.
#[derive(Debug, Default)]
pub struct JobParts {
    ephemeral: bool,
    shown: Mutex<Vec<Shown>>,
    rows_expected: AtomicU64,
    rows_unknown: AtomicU64,
}

/// A `table` sink.
#[derive(Debug)]
struct Shown {
    name: String,
    table: Arc<Table>,
}

impl JobParts {
    /// Parts of a run. `ephemeral`: the user accepts that nothing is kept for a restart.
    pub fn new(ephemeral: bool) -> Self {
        Self { ephemeral, ..Self::default() }
    }

    /// The rows of the `table` sinks, in the order of the graph; empty before the job has committed.
    pub fn tables(&self) -> Vec<(String, RecordBatch)> {
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.iter().filter_map(|t| Some((t.name.clone(), t.table.rows()?))).collect()
    }

    /// Rows that all sources together will give, if every source knows.
    pub fn rows_expected(&self) -> Option<u64> {
        (self.rows_unknown.load(Relaxed) == 0).then(|| self.rows_expected.load(Relaxed))
    }
}

impl Parts for JobParts {
    fn source(&self, spec: &SourceSpec, options: &RunOptions) -> Result<Arc<dyn Source>, BuildError> {
        let source = highwater_connectors::source(spec, options)?;
        if !source.bounded() && !self.ephemeral {
            return Err(BuildError::new(format!(
                "table {} never ends: add --state DIR, so that the job can be stopped and go on, or --ephemeral if nothing \
                 need be kept, or bound it (generator: 'number-of-rows', kafka: 'scan.bounded.mode')",
                spec.table
            )));
        }
        match source.rows_hint() {
            Some(rows) => self.rows_expected.fetch_add(rows, Relaxed),
            None => self.rows_unknown.fetch_add(1, Relaxed),
        };
        Ok(source)
    }

    fn sink(&self, spec: &SinkSpec, schema: &SchemaRef) -> Result<Arc<dyn SinkTable>, BuildError> {
        if spec.connector != highwater_connectors::table::NAME {
            return highwater_connectors::sink(spec, schema);
        }
        let table = Arc::new(Table::open(spec, schema)?);
        let shown = Shown { name: spec.table.clone(), table: table.clone() };
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).push(shown);
        Ok(table)
    }

    fn publisher(&self, spec: &SinkSpec, schema: &SchemaRef, resumed: bool) -> Result<Box<dyn Publisher>, BuildError> {
        if spec.connector != highwater_connectors::table::NAME {
            return highwater_connectors::publisher(spec, schema, resumed);
        }
        // Attempts of one process share the table: it shows what all of them published.
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = shown.iter().find(|t| t.name == spec.table) {
            return Ok(Box::new(before.table.clone().publisher()));
        }
        let table = Arc::new(Table::open(spec, schema)?);
        shown.push(Shown { name: spec.table.clone(), table: table.clone() });
        Ok(Box::new(table.publisher()))
    }

    fn operator(&self, node: &Node, input: &SchemaRef, role: Role) -> Result<Box<dyn Operator>, BuildError> {
        highwater_operators::operator(node, input, role)
    }

    fn partials(&self, node: &Node, input: &SchemaRef) -> Option<SchemaRef> {
        highwater_operators::partials(node, input)
    }

    fn row_program(
        &self,
        map: &MapSpec,
        input: &SchemaRef,
        output: &SchemaRef,
    ) -> Result<Box<dyn RowProgram>, BuildError> {
        highwater_operators::row_program(map, input, output)
    }
}
