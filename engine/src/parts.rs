//! What the runtime asks of the crates above it: the parts that a graph names.

use crate::error::{BuildError, OperatorError};
use crate::graph::{MapSpec, Node, RunOptions, SinkSpec, SourceSpec};
use crate::operator::Operator;
use crate::sink::{Publisher, SinkTable};
use crate::source::Source;
use arrow::array::{RecordBatch, UInt32Array};
use arrow_schema::SchemaRef;
use std::sync::Arc;

/// Which half of a step an operator does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// All of it, on one worker per key.
    Whole,
    /// Before the exchange: rows become partial results, kept until their window is complete; or pass, where combining
    /// does not pay. What leaves begins with the step's keys; hashes it carries are of these keys.
    Combine,
    /// Behind the exchange: what a combiner sends becomes results.
    Merge,
}

/// Makes sources, operators and sinks from their specifications.
pub trait Parts: Send + Sync {
    /// Opens an input table: lists its partitions and checks its options. Called once per job.
    fn source(&self, spec: &SourceSpec, options: &RunOptions) -> Result<Arc<dyn Source>, BuildError>;
    /// Opens an output table whose rows have this schema. Called once per job.
    fn sink(&self, spec: &SinkSpec, schema: &SchemaRef) -> Result<Arc<dyn SinkTable>, BuildError>;
    /// Opens an output table of a job that keeps state: used instead of [`Parts::sink`]. `resumed` is false on the very
    /// first start of the job: then a target that holds something is refused.
    fn publisher(&self, spec: &SinkSpec, schema: &SchemaRef, resumed: bool) -> Result<Box<dyn Publisher>, BuildError>;
    /// Makes the operator of a `Map`, `TimeRange`, `AssignWindow`, `Window`, `Over` or `Late` node. Called once per worker.
    fn operator(&self, node: &Node, input: &SchemaRef, role: Role) -> Result<Box<dyn Operator>, BuildError>;
    /// The schema of the partial results of a step that can be split into [`Role::Combine`] and [`Role::Merge`]. Its first
    /// columns are the step's keys.
    fn partials(&self, node: &Node, input: &SchemaRef) -> Option<SchemaRef>;
    /// Compiles [`SourceSpec::map`]: from the columns a source decoded to the columns of its node. Called once per worker.
    fn row_program(
        &self,
        map: &MapSpec,
        input: &SchemaRef,
        output: &SchemaRef,
    ) -> Result<Box<dyn RowProgram>, BuildError>;
}

/// A filter and projection over bare columns, for rows whose event times are not known yet.
pub trait RowProgram: Send {
    /// Filters and projects. A row is bad if an expression fails on it alone, so the answer does not depend on which
    /// rows stand together.
    ///
    /// # Errors
    /// Only if the columns are not of the schema the program was compiled for.
    fn apply(&mut self, columns: &RecordBatch) -> Result<Projected, OperatorError>;
}

/// What a [`RowProgram`] made of a batch.
#[derive(Clone, Debug)]
pub struct Projected {
    /// The rows that passed.
    pub columns: RecordBatch,
    /// The input row of each of them, ascending; `None` if all rows passed.
    pub kept: Option<UInt32Array>,
    /// Input rows that failed an expression, ascending, each with its reason. They are not among the rows that passed.
    pub bad: Vec<(usize, String)>,
}
