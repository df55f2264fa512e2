//! Windows as columns of each row.

use arrow_schema::SchemaRef;
use highwater_engine::error::BuildError;
use highwater_engine::graph::{Node, WindowKind};
use highwater_engine::operator::Operator;

/// The operator of `node`.
pub fn operator(node: &Node, _kind: &WindowKind, _input: &SchemaRef) -> Result<Box<dyn Operator>, BuildError> {
    Err(BuildError::new(format!("{} is not built yet", node.name)))
}
