//! The floor below the sentence: nodes by number, each checked when it is added.

use crate::error::BuildError;
use crate::graph::validate::check_node;
use crate::graph::{JobGraph, Node, NodeId, Step};
use arrow_schema::{Schema, SchemaRef};
use std::collections::BTreeSet;

/// Builds a [`JobGraph`] node by node.
#[derive(Clone, Debug)]
pub struct GraphBuilder {
    graph: JobGraph,
    names: BTreeSet<String>,
}

impl GraphBuilder {
    /// An empty graph of a job with this name.
    pub fn new(job: impl Into<String>) -> Self {
        Self { graph: JobGraph { name: job.into(), nodes: Vec::new() }, names: BTreeSet::new() }
    }

    /// Adds a step that emits `schema`. `name` must be free: see [`GraphBuilder::free_name`].
    ///
    /// # Errors
    /// Inputs that do not exist, columns out of bounds, a schema that does not follow from the step; the graph is unchanged.
    pub fn push(
        &mut self,
        name: impl Into<String>,
        inputs: Vec<NodeId>,
        step: Step,
        schema: SchemaRef,
    ) -> Result<NodeId, BuildError> {
        let node = Node { name: name.into(), inputs, step, schema };
        if self.names.contains(&node.name) {
            return Err(BuildError::new(format!("two steps are named {}", node.name)));
        }
        check_node(&self.graph.nodes, &node)?;
        self.names.insert(node.name.clone());
        self.graph.nodes.push(node);
        Ok(self.graph.nodes.len() - 1)
    }

    /// `stem` if no step has that name, else `stem.2`, `stem.3`, …: stable as long as the steps before it are.
    pub fn free_name(&self, stem: &str) -> String {
        let numbered = (2u64..).map(|i| format!("{stem}.{i}"));
        std::iter::once(stem.to_owned()).chain(numbered).find(|n| !self.names.contains(n)).unwrap_or_default()
    }

    /// The columns that a node emits.
    ///
    /// # Panics
    /// If there is no such node.
    pub fn schema(&self, node: NodeId) -> &Schema {
        &self.graph.nodes[node].schema
    }

    /// The nodes so far.
    pub fn nodes(&self) -> &[Node] {
        &self.graph.nodes
    }

    /// The finished graph.
    ///
    /// # Errors
    /// A step whose rows nobody reads, or no sink at all.
    pub fn finish(self) -> Result<JobGraph, BuildError> {
        self.graph.validate()?;
        Ok(self.graph)
    }
}
