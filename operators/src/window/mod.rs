//! Keyed windowed aggregation.

use arrow_schema::SchemaRef;
use highwater_engine::error::BuildError;
use highwater_engine::graph::{Node, WindowSpec};
use highwater_engine::operator::Operator;
use highwater_engine::parts::Role;

/// The operator of `node` in the given role.
pub fn operator(
    node: &Node,
    _spec: &WindowSpec,
    _input: &SchemaRef,
    _role: Role,
) -> Result<Box<dyn Operator>, BuildError> {
    Err(BuildError::new(format!("{} is not built yet", node.name)))
}

/// The schema of partial results.
pub fn partials(_spec: &WindowSpec, _input: &SchemaRef) -> Option<SchemaRef> {
    None
}
