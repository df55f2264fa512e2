//! INSERT INTO: a query's columns meet a sink's, by position.

use super::expr::Scope;
use super::{Place, Rel, Translator, schema_of};
use crate::ddl::Name;
use crate::diagnostic::{Fault, Result, nearest_text};
use crate::tables::TableDef;
use arrow_schema::{DataType, Field};
use datafusion_expr::LogicalPlan;
use highwater_engine::expr::{Expr, Literal};
use highwater_engine::graph::types::sql_type;
use highwater_engine::graph::{Emission, NodeId, SinkSpec, Step};

/// One INSERT of the text, planned.
pub(crate) struct Insert {
    pub table: Name,
    pub columns: Vec<Name>,
    pub plan: LogicalPlan,
}

/// Whether INSERT casts by itself: nothing of the value is lost, or its loss is an error of the row.
fn accepted(from: &DataType, to: &DataType) -> bool {
    use DataType::{Decimal128, Int8, Int16, Int32, Int64, Null, Timestamp};
    let digits = |t: &DataType| match t {
        Int8 => 3,
        Int16 => 5,
        Int32 => 10,
        Int64 => 19,
        _ => 0,
    };
    match (from, to) {
        (a, b) if a == b => true,
        (Null, _) => true,
        (a, b) if digits(a) > 0 && digits(b) > 0 => digits(a) <= digits(b),
        (a, Decimal128(..)) if digits(a) > 0 => true,
        (Decimal128(_, s), Decimal128(_, t)) => t >= s,
        (Timestamp(a, za), Timestamp(b, zb)) => za == zb && a <= b,
        _ => false,
    }
}

impl Translator<'_> {
    /// Adds the rows of one INSERT: the node whose schema is the sink's.
    pub fn insert(
        &mut self,
        insert: &Insert,
        sink: &TableDef,
        emission: Emission,
    ) -> std::result::Result<(NodeId, Place), Vec<Fault>> {
        let at = Place { prefix: sink.name.clone(), query: format!("INSERT INTO {}", sink.name), emission };
        let rel = self.rel(&insert.plan, &at).map_err(|f| vec![f])?;
        let columns = columns_of(insert, sink, &rel)?;
        let fields: Vec<Field> = sink.columns.iter().map(|c| Field::new(&c.name, c.data_type.clone(), true)).collect();
        let rel = Rel { columns, time: vec![false; fields.len()], fields, pseudo: None, ..rel };
        let node = self.settled(rel, &at).map_err(|f| vec![f])?.node;
        if matches!(emission, Emission::Arrival { .. }) {
            self.answers_at_arrival(node, sink).map_err(|f| vec![f])?;
        }
        Ok((node, at))
    }

    /// The sink over the rows of all its INSERTs.
    pub fn sink(&mut self, sink: &TableDef, mut inputs: Vec<NodeId>) -> NodeId {
        let schema = schema_of(sink.columns.iter().map(|c| Field::new(&c.name, c.data_type.clone(), true)));
        if inputs.len() > 1 {
            let name = format!("{}.union", sink.name);
            inputs = vec![self.node(&name, Step::Union, inputs, schema.clone())];
        }
        let spec = SinkSpec {
            table: sink.name.clone(),
            connector: sink.connector.clone(),
            options: sink.options.clone(),
            arrival: sink.arrival,
        };
        let read = self.nodes.iter().any(|n| n.name == sink.name);
        let name = if read { format!("{}.sink", sink.name) } else { sink.name.clone() };
        self.node(&name, Step::Sink(spec), inputs, schema)
    }

    /// `'emit' = 'arrival'` needs stateless steps and trailing frames all the way, and for frames rows that have an order
    /// of arrival.
    fn answers_at_arrival(&self, node: NodeId, sink: &TableDef) -> Result<()> {
        let mut todo = vec![(node, false)];
        while let Some((i, in_frames)) = todo.pop() {
            let node = &self.nodes[i];
            let (why, hint) = match node.step {
                Step::Window(_) => (
                    "is a windowed aggregation, which is known only when its window ends",
                    "use 'emit' = 'final', or trailing frames (OVER) instead of the window",
                ),
                Step::TopN(_) => {
                    ("takes the first rows of a window, which are known only when it ends", "use 'emit' = 'final'")
                }
                Step::Errors if in_frames => (
                    "has no order of arrival for trailing frames: one row can be bad in several queries at once",
                    "use 'emit' = 'final' for frames over bad rows",
                ),
                _ => {
                    let in_frames = in_frames || matches!(node.step, Step::Over(_));
                    todo.extend(node.inputs.iter().map(|input| (*input, in_frames)));
                    continue;
                }
            };
            let what = format!("'emit' = 'arrival' of {}: step {} {why}", sink.name, node.name);
            return Err(Fault::new(what).at(sink.place_of("emit")).hint(hint));
        }
        Ok(())
    }
}

/// `1 column`, `2 columns`.
fn count(columns: usize) -> String {
    if columns == 1 { "1 column".into() } else { format!("{columns} columns") }
}

/// Where the select item stands, as far as it reads a column.
fn item_place(plan: &LogicalPlan, i: usize) -> Option<crate::diagnostic::Span> {
    match plan {
        LogicalPlan::Projection(p) => crate::checks::place(p.expr.get(i)?),
        _ => None,
    }
}

/// One expression per column of the sink, or all that is wrong with them.
fn columns_of(insert: &Insert, sink: &TableDef, rel: &Rel) -> std::result::Result<Vec<Expr>, Vec<Fault>> {
    let all: Vec<&str> = sink.columns.iter().map(|c| c.name.as_str()).collect();
    let named: Vec<&str> =
        if insert.columns.is_empty() { all.clone() } else { insert.columns.iter().map(|c| c.value.as_str()).collect() };
    for (i, column) in insert.columns.iter().enumerate() {
        if !all.contains(&column.value.as_str()) {
            let near = nearest_text(&column.value, all.iter().copied());
            return Err(vec![Fault::new(format!("{} has no column {}{near}", sink.name, column.value)).at(column.at)]);
        }
        if named[..i].contains(&column.value.as_str()) {
            return Err(vec![Fault::new(format!("column {} stands twice", column.value)).at(column.at)]);
        }
    }
    if named.len() != rel.fields.len() {
        let got: Vec<&str> = rel.fields.iter().map(|f| f.name().as_str()).collect();
        let what = format!(
            "the query gives {} ({}), {} takes {} ({})",
            count(got.len()),
            got.join(", "),
            sink.name,
            named.len(),
            named.join(", ")
        );
        return Err(vec![Fault::new(what).at(insert.table.at)]);
    }
    let all = sink.columns.iter().enumerate().map(|(k, column)| {
        let Some(i) = named.iter().position(|n| *n == column.name) else {
            if column.not_null {
                let what = format!("{}.{} is NOT NULL and gets no value", sink.name, column.name);
                return Err(Fault::new(what).at(insert.table.at));
            }
            return Ok(Expr::Literal(Literal::Null(column.data_type.clone())));
        };
        let (from, to) = (rel.fields[i].data_type(), &column.data_type);
        if !accepted(from, to) {
            let what = format!(
                "column {} of {}, {}: the sink has {}, the query gives {} ({})",
                k + 1,
                sink.name,
                column.name,
                sql_type(to),
                sql_type(from),
                rel.fields[i].name()
            );
            let hint = format!("CAST({} AS {})", rel.fields[i].name(), sql_type(to));
            return Err(Fault::new(what).at(item_place(&insert.plan, i)).at(insert.table.at).hint(hint));
        }
        let e = rel.columns[i].clone();
        Ok(if from == to { e } else { Expr::Cast { expr: Box::new(e), to: to.clone(), or_null: false } })
    });
    let (columns, faults): (Vec<_>, Vec<_>) = all.partition(Result::is_ok);
    if faults.is_empty() {
        return Ok(columns.into_iter().flatten().collect());
    }
    Err(faults.into_iter().filter_map(Result::err).collect())
}

/// The expressions of a projection over a bare table: computed columns.
pub(crate) fn projection(plan: &LogicalPlan, columns: &[Expr]) -> Result<Vec<(Expr, DataType)>> {
    let LogicalPlan::Projection(p) = plan else {
        return Err(Fault::new("a computed column is an expression over the table's columns"));
    };
    let scope = Scope { schema: p.input.schema(), columns, pseudo: None };
    p.expr.iter().zip(p.schema.fields()).map(|(e, f)| Ok((scope.expr(e)?, f.data_type().clone()))).collect()
}
