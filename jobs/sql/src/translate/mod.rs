//! Analyzed plans to steps of the graph.
//!
//! A relation is translated into a [`Rel`]: a node, and a filter and columns over it that are not a step yet. So filters
//! and projections fuse until something needs their rows: a stateful step, a union or a sink. Equal steps over equal
//! inputs are one node, whoever asks for them: sources, views and trailing frames are shared by all queries of a job.

mod call;
pub(crate) mod expr;
mod grouping;
mod insert;
mod over;
mod source;
mod top;
mod union;
mod window;

pub(crate) use insert::{Insert, projection};

use crate::catalog::Catalog;
use crate::diagnostic::{Fault, Result, Span};
use crate::tvf::WindowTvf;
use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef};
use datafusion_common::DFSchema;
use datafusion_expr::{Distinct, Expr as Planned, LogicalPlan};
use expr::{Scope, filter_and, may_fail};
use highwater_engine::expr::Expr;
use highwater_engine::graph::{Emission, MapSpec, Node, NodeId, Step, WindowKind};
use std::sync::Arc;
use top::Ranked;

/// Rows and what is to become of them.
#[derive(Clone, Debug)]
pub(crate) struct Rel {
    /// The step that gives the rows.
    node: NodeId,
    /// A window function over them that is no step yet. Its columns stand behind those of the node.
    window: Option<Windows>,
    /// Conditions, in order.
    filter: Vec<Expr>,
    /// The columns, over the node's schema (and the window's columns).
    columns: Vec<Expr>,
    /// Their names and types.
    fields: Vec<Field>,
    /// Which of them are the event time of the rows.
    time: Vec<bool>,
    /// `is_late` and `is_incomplete`, behind an OVER with emission at arrival.
    pseudo: Option<[Expr; 2]>,
    /// `ROW_NUMBER()` whose bound is not known yet.
    ranked: Option<Ranked>,
}

/// A window function.
#[derive(Clone, Debug)]
struct Windows {
    kind: WindowKind,
    /// The type of the time attribute.
    time: DataType,
    /// What sessions are partitioned by, over the node's schema.
    keys: Vec<Expr>,
    /// Where the text calls it.
    at: Option<Span>,
}

/// Where a plan stands in the job.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// First part of the names of its steps: the sink, or the view.
    pub prefix: String,
    /// How errors name the query.
    pub query: String,
    /// When its sink's rows are answered.
    pub emission: Emission,
}

/// Builds the nodes of a job.
pub(crate) struct Translator<'a> {
    pub catalog: &'a Catalog,
    /// `table.exec.state.ttl`.
    pub ttl_ms: Option<i64>,
    pub nodes: Vec<Node>,
}

/// A schema of these fields, all nullable: what is declared NOT NULL is checked at the source.
pub(crate) fn schema_of(fields: impl IntoIterator<Item = Field>) -> SchemaRef {
    Arc::new(Schema::new(fields.into_iter().map(|f| f.with_nullable(true)).collect::<Fields>()))
}

impl<'a> Translator<'a> {
    pub fn new(catalog: &'a Catalog, ttl_ms: Option<i64>) -> Self {
        Self { catalog, ttl_ms, nodes: Vec::new() }
    }

    /// The node of this step: an equal one if there is one. Maps that can't fail are equal whatever query they are of.
    pub(crate) fn node(&mut self, name: &str, step: Step, inputs: Vec<NodeId>, schema: SchemaRef) -> NodeId {
        let same = |n: &Node| {
            n.inputs == inputs
                && n.schema == schema
                && match (&n.step, &step) {
                    (Step::Sink(_), _) => false,
                    (Step::Map(a), Step::Map(b)) => {
                        a.filter == b.filter
                            && a.columns == b.columns
                            && (a.query == b.query || !a.columns.iter().chain(&a.filter).any(may_fail))
                    }
                    (a, b) => a == b,
                }
        };
        if let Some(i) = self.nodes.iter().position(same) {
            return i;
        }
        let name = unique(name, &self.nodes);
        self.nodes.push(Node { name, inputs, step, schema });
        self.nodes.len() - 1
    }

    /// Translates a plan.
    pub fn rel(&mut self, plan: &LogicalPlan, at: &Place) -> Result<Rel> {
        match plan {
            LogicalPlan::TableScan(scan) => self.scan(scan.table_name.table()),
            LogicalPlan::SubqueryAlias(s) => {
                let view = s.alias.table();
                if !self.catalog.is_view(view) {
                    return self.rel(&s.input, at);
                }
                let (prefix, query) = (view.to_string(), format!("VIEW {view}"));
                let at = &Place { prefix, query, ..at.clone() };
                let rel = self.rel(&s.input, at)?;
                // What is dear to compute is computed once for all queries of the view.
                if rel.ranked.is_none() && rel.columns.iter().any(heavy) { self.settled(rel, at) } else { Ok(rel) }
            }
            LogicalPlan::Projection(p) => {
                let rel = self.rel(&p.input, at)?;
                let rel = self.computed_once(rel, &p.expr, p.input.schema(), 2, at)?;
                let scope = Scope { schema: p.input.schema(), columns: &rel.columns, pseudo: rel.pseudo.as_ref() };
                let columns = p.expr.iter().map(|e| scope.expr(e)).collect::<Result<Vec<_>>>()?;
                let fields = p.schema.fields().iter().map(|f| f.as_ref().clone()).collect();
                Ok(self.project(rel, columns, fields))
            }
            LogicalPlan::Filter(f) => {
                let rel = self.rel(&f.input, at)?;
                let conditions = std::slice::from_ref(&f.predicate);
                let mut rel = self.computed_once(rel, conditions, f.input.schema(), 1, at)?;
                let scope = Scope { schema: f.input.schema(), columns: &rel.columns, pseudo: rel.pseudo.as_ref() };
                let mut conditions = Vec::new();
                for e in datafusion_expr::utils::split_conjunction(&f.predicate) {
                    conditions.push(scope.expr(e)?);
                }
                match rel.ranked.take() {
                    Some(ranked) => self.first_rows(rel, ranked, conditions, at),
                    None => {
                        rel.filter.extend(conditions);
                        Ok(rel)
                    }
                }
            }
            LogicalPlan::Window(_) => self.over(plan, at),
            LogicalPlan::Aggregate(a) => {
                let rel = self.rel(&a.input, at)?;
                let exprs: Vec<Planned> = a.group_expr.iter().chain(&a.aggr_expr).cloned().collect();
                let rel = self.computed_once(rel, &exprs, a.input.schema(), 2, at)?;
                self.aggregate(rel, a, at)
            }
            LogicalPlan::Distinct(Distinct::All(input)) => {
                let rel = self.rel(input, at)?;
                self.distinct(rel, at)
            }
            LogicalPlan::Union(u) => self.union(u, at),
            LogicalPlan::Extension(e) => match e.node.as_any().downcast_ref::<WindowTvf>() {
                Some(tvf) => self.tvf(tvf, at),
                None => Err(Fault::new(format!("{} is not supported", e.node.name()))),
            },
            other => {
                let what = other.display().to_string();
                let what = what.split(':').next().unwrap_or_default().to_string();
                Err(Fault::new(format!("this query needs {what}, which is not supported in this version")))
            }
        }
    }

    /// New columns over a relation.
    fn project(&mut self, rel: Rel, columns: Vec<Expr>, fields: Vec<Field>) -> Rel {
        let time = columns.iter().map(|e| rel.is_time(e)).collect();
        Rel { columns, fields, time, ..rel }
    }

    /// The relation as a step of its own if one of its dear columns would be computed `times` or more by `exprs`.
    fn computed_once(
        &mut self,
        rel: Rel,
        exprs: &[Planned],
        schema: &DFSchema,
        times: usize,
        at: &Place,
    ) -> Result<Rel> {
        let mut uses = vec![0; rel.columns.len()];
        for e in exprs {
            for (column, n) in e.column_refs_counts() {
                if let Some(i) = schema.maybe_index_of_column(column) {
                    uses[i] += n;
                }
            }
        }
        let again = rel.columns.iter().zip(&uses).any(|(e, n)| *n >= times && heavy(e));
        if again && rel.window.is_none() && rel.ranked.is_none() { self.settled(rel, at) } else { Ok(rel) }
    }

    /// The relation as a node whose schema is exactly its columns, plus the pseudo-columns if it has them.
    fn settled(&mut self, rel: Rel, at: &Place) -> Result<Rel> {
        let rel = self.window_assigned(rel, at)?;
        let mut columns = rel.columns.clone();
        let mut fields = rel.fields.clone();
        if let Some(pseudo) = &rel.pseudo {
            columns.extend(pseudo.iter().cloned());
            fields.extend(crate::syntax::PSEUDO_COLUMNS.map(|n| Field::new(n, arrow_schema::DataType::Boolean, true)));
        }
        let n = rel.columns.len();
        let node = self.map(rel.node, rel.filter, columns, fields, at);
        let pseudo = rel.pseudo.map(|_| [Expr::Column(n), Expr::Column(n + 1)]);
        Ok(Rel { node, window: None, filter: vec![], columns: (0..n).map(Expr::Column).collect(), pseudo, ..rel })
    }

    /// A filter and projection over a node; the node itself if they change nothing.
    fn map(&mut self, input: NodeId, filter: Vec<Expr>, columns: Vec<Expr>, fields: Vec<Field>, at: &Place) -> NodeId {
        let schema = schema_of(fields);
        let same = columns.iter().enumerate().all(|(i, e)| *e == Expr::Column(i));
        if filter.is_empty() && same && self.nodes[input].schema == schema {
            return input;
        }
        let name = format!("{}.{}", at.prefix, if filter.is_empty() { "map" } else { "filter" });
        let filter = filter.into_iter().reduce(filter_and);
        let spec = MapSpec { filter, columns, query: at.query.clone() };
        self.node(&name, Step::Map(spec), vec![input], schema)
    }

    /// The schema of a relation's node.
    fn schema(&self, rel: &Rel) -> &SchemaRef {
        &self.nodes[rel.node].schema
    }
}

/// Whether an expression is too dear to be computed twice for a row.
fn heavy(e: &Expr) -> bool {
    let (mut parts, mut dear) = (0, false);
    e.visit(&mut |e| {
        parts += 1;
        dear |= matches!(e, Expr::Call { .. } | Expr::Case { .. } | Expr::Like { .. });
    });
    dear || parts > HEAVY_PARTS
}

/// Parts of an expression that is cheap without a look at them.
const HEAVY_PARTS: usize = 8;

impl Rel {
    /// Whether an expression over the node is the event time as it stands.
    fn is_time(&self, e: &Expr) -> bool {
        self.columns.iter().zip(&self.time).any(|(c, time)| *time && c == e)
    }
}

/// A name that no node has: with `.2`, `.3`, … behind it if need be.
pub(crate) fn unique(name: &str, nodes: &[Node]) -> String {
    let taken = |n: &str| nodes.iter().any(|node| node.name == n);
    if !taken(name) {
        return name.to_string();
    }
    (2..).map(|i| format!("{name}.{i}")).find(|n| !taken(n)).unwrap_or_else(|| name.to_string())
}

/// Columns that a step needs from its input, each once: where it stands in the step's input.
#[derive(Default)]
struct Slots {
    columns: Vec<Expr>,
    fields: Vec<Field>,
}

impl Slots {
    /// The position of this expression.
    fn put(&mut self, e: Expr, field: Field) -> usize {
        match self.columns.iter().position(|c| *c == e) {
            Some(i) => i,
            None => {
                self.columns.push(e);
                self.fields.push(field);
                self.columns.len() - 1
            }
        }
    }
}

/// The position, if the expression is a bare column.
fn bare(e: &Expr) -> Option<usize> {
    match e {
        Expr::Column(i) => Some(*i),
        _ => None,
    }
}

/// A step's name with the names of its keys: `alerts.over.card`.
fn named(base: &str, keys: &[&str]) -> String {
    let plain = |k: &&str| k.chars().all(|c| c.is_alphanumeric() || c == '_');
    let keys: Vec<&str> = keys.iter().map(|k| if plain(k) { k } else { "expression" }).collect();
    if keys.is_empty() { base.to_string() } else { format!("{base}.{}", keys.join("_")) }
}
