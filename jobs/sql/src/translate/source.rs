//! Tables, `t$late` and `t$errors`.

use super::{Rel, Translator, schema_of};
use crate::catalog::{ERRORS, LATE};
use crate::diagnostic::{Fault, Result};
use crate::tables::TableDef;
use arrow_schema::Field;
use highwater_engine::expr::Expr;
use highwater_engine::graph::types::{errors_schema, late_schema, metadata_field};
use highwater_engine::graph::{MapSpec, NodeId, SourceSpec, Step, TimeRange};

impl Translator<'_> {
    /// A name in FROM that is no view.
    pub(super) fn scan(&mut self, name: &str) -> Result<Rel> {
        let tables = &self.catalog.tables;
        if let Some(table) = tables.get(name) {
            let node = self.source(table)?;
            return Ok(self.whole(node, table.time));
        }
        let beside = |suffix: &str| name.strip_suffix(suffix).and_then(|t| tables.get(t));
        if let Some(table) = beside(LATE) {
            let source = self.source(table)?;
            let schema = late_schema(&self.nodes[source].schema);
            let time = schema.fields().len() - 2;
            let node = self.node(name, Step::Late, vec![source], schema);
            return Ok(self.whole(node, Some(time)));
        }
        if let Some(table) = beside(ERRORS) {
            let source = self.source(table)?;
            let schema = errors_schema();
            let time = schema.fields().len() - 1;
            let node = self.node(name, Step::Errors, vec![source], schema);
            return Ok(self.whole(node, Some(time)));
        }
        Err(self.catalog.unknown(name))
    }

    /// All columns of a node.
    pub(super) fn whole(&self, node: NodeId, time: Option<usize>) -> Rel {
        let fields: Vec<Field> = self.nodes[node].schema.fields().iter().map(|f| f.as_ref().clone()).collect();
        Rel {
            ranked: None,
            node,
            window: None,
            filter: vec![],
            columns: (0..fields.len()).map(Expr::Column).collect(),
            time: (0..fields.len()).map(|i| Some(i) == time).collect(),
            fields,
            pseudo: None,
        }
    }

    /// The source of a table, with all its columns: those that nobody uses are pruned in the end.
    fn source(&mut self, table: &TableDef) -> Result<NodeId> {
        let Some(time) = table.time else {
            let hint = "add WATERMARK FOR ts AS ts - INTERVAL '5' SECOND to its columns";
            let what = format!("table {} is read but has no WATERMARK: a stream needs an event time", table.name);
            return Err(Fault::new(what).at(table.at).hint(hint));
        };
        let physical = schema_of(table.physical().map(|c| {
            let field = Field::new(&c.name, c.data_type.clone(), true);
            match &c.metadata {
                Some(key) => metadata_field(field, &key.value),
                None => field,
            }
        }));
        let mut columns = Vec::new();
        let mut stored = 0;
        for column in &table.columns {
            columns.push(match &column.computed {
                Some(e) => e.clone(),
                None => {
                    stored += 1;
                    Expr::Column(stored - 1)
                }
            });
        }
        let schema = schema_of(table.columns.iter().map(|c| Field::new(&c.name, c.data_type.clone(), true)));
        let spec = SourceSpec {
            table: table.name.clone(),
            connector: table.connector.clone(),
            options: table.options.clone(),
            read: (0..physical.fields().len()).collect(),
            physical,
            map: MapSpec { filter: None, columns, query: format!("TABLE {}", table.name) },
            time,
            watermark_delay_ms: table.delay_ms,
            time_min_ms: table.time_min_ms,
            time_max_ms: table.time_max_ms,
            max_drift_ms: table.max_drift_ms,
            idle_ms: table.idle_ms,
            bad_rows_max: table.bad_rows_max,
            open_max: table.open_max,
            not_null: (0..table.columns.len()).filter(|i| table.columns[*i].not_null).collect(),
            reads: TimeRange::ALL,
        };
        Ok(self.node(&table.name, Step::Source(spec), vec![], schema))
    }
}
