//! Fused filter and projection.

use arrow_schema::SchemaRef;
use highwater_engine::error::BuildError;
use highwater_engine::graph::{MapSpec, Node};
use highwater_engine::operator::Operator;

/// The operator of `node`.
pub fn operator(node: &Node, _spec: &MapSpec, _input: &SchemaRef) -> Result<Box<dyn Operator>, BuildError> {
    Err(BuildError::new(format!("{} is not built yet", node.name)))
}

/// A compiled filter and projection.
#[derive(Debug)]
pub struct MapProgram;

impl MapProgram {
    /// Compiles `map`.
    pub fn new(map: &MapSpec, _input: &SchemaRef, _output: &SchemaRef) -> Result<Self, BuildError> {
        Err(BuildError::new(format!("{} is not built yet", map.query)))
    }
}

impl highwater_engine::parts::RowProgram for MapProgram {
    fn apply(
        &mut self,
        columns: &arrow::array::RecordBatch,
    ) -> Result<highwater_engine::parts::Projected, highwater_engine::error::OperatorError> {
        Ok(highwater_engine::parts::Projected { columns: columns.clone(), kept: None, bad: Vec::new() })
    }
}
