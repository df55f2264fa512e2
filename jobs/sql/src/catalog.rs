//! Tables, views, `t$late` and `t$errors` as the planner sees them, and the functions it may use.

use crate::diagnostic::{Fault, nearest_text};
use crate::functions::{Functions, Operators};
use crate::start_of::Starts;
use crate::tables::TableDef;
use crate::tvf::Relations;
use crate::types::FlinkTypes;
use arrow_schema::{DataType, SchemaRef};
use datafusion_common::config::ConfigOptions;
use datafusion_common::{Result, TableReference};
use datafusion_expr::planner::{ContextProvider, ExprPlanner, RelationPlanner, TypePlanner};
use datafusion_expr::{AggregateUDF, HigherOrderUDF, LogicalPlan, ScalarUDF, TableSource, WindowUDF};
use highwater_engine::graph::types::{errors_schema, late_schema};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Suffix of the relation of late rows.
pub(crate) const LATE: &str = "$late";
/// Suffix of the relation of bad rows.
pub(crate) const ERRORS: &str = "$errors";

/// What a name in FROM stands for.
#[derive(Debug)]
pub(crate) struct Relation {
    pub schema: SchemaRef,
    pub view: Option<LogicalPlan>,
}

impl TableSource for Relation {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
    fn get_logical_plan(&self) -> Option<Cow<'_, LogicalPlan>> {
        self.view.as_ref().map(Cow::Borrowed)
    }
}

/// Everything a query may name.
pub(crate) struct Catalog {
    options: ConfigOptions,
    /// `table.local-time-zone`: the zone of TIMESTAMP_LTZ.
    pub zone: Arc<str>,
    pub tables: BTreeMap<String, TableDef>,
    relations: BTreeMap<String, Arc<Relation>>,
    pub functions: Functions,
    /// What frames begin with.
    pub starts: Starts,
    relation_planners: Vec<Arc<dyn RelationPlanner>>,
    expr_planners: Vec<Arc<dyn ExprPlanner>>,
}

impl Catalog {
    pub fn new(zone: &str) -> Self {
        let zone: Arc<str> = zone.into();
        let mut options = ConfigOptions::default();
        options.sql_parser.default_null_ordering = "nulls_min".into();
        options.sql_parser.enable_ident_normalization = false;
        options.sql_parser.collect_spans = true;
        options.sql_parser.parse_float_as_decimal = true;
        options.sql_parser.map_string_types_to_utf8view = false;
        options.optimizer.max_passes = 3;
        let functions = Functions::new();
        Self {
            options,
            tables: BTreeMap::new(),
            relations: BTreeMap::new(),
            relation_planners: vec![Arc::new(Relations { zone: zone.clone() })],
            expr_planners: vec![Arc::new(Operators::new(&functions))],
            functions,
            starts: Starts::new(&zone),
            zone,
        }
    }

    /// Adds a relation under a name; a later one of the same name takes its place.
    pub fn relation(&mut self, name: &str, schema: SchemaRef, view: Option<LogicalPlan>) {
        self.relations.insert(name.to_string(), Arc::new(Relation { schema, view }));
    }

    /// Adds a table with its late and bad rows.
    pub fn table(&mut self, def: TableDef) {
        let schema = def.schema();
        self.relation(&def.name, schema.clone(), None);
        if def.time.is_some() {
            self.relation(&format!("{}{LATE}", def.name), late_schema(&schema), None);
            self.relation(&format!("{}{ERRORS}", def.name), errors_schema(), None);
        }
        self.tables.insert(def.name.clone(), def);
    }

    pub fn remove(&mut self, name: &str) {
        self.relations.remove(name);
    }
    pub fn has(&self, name: &str) -> bool {
        self.relations.contains_key(name)
    }
    pub fn is_view(&self, name: &str) -> bool {
        self.relations.get(name).is_some_and(|r| r.view.is_some())
    }
    /// Whether a base table declares this column.
    pub fn declares(&self, column: &str) -> bool {
        self.tables.values().any(|t| t.columns.iter().any(|c| c.name == column))
    }
    /// `there is no table paymnts; the nearest is payments`.
    pub fn unknown(&self, name: &str) -> Fault {
        let base = name.strip_suffix(LATE).or(name.strip_suffix(ERRORS)).filter(|b| self.tables.contains_key(*b));
        match base {
            Some(base) => Fault::new(format!("{base} has no {name}: it has no WATERMARK")),
            None => {
                let names = self.relations.keys().map(String::as_str);
                Fault::new(format!("there is no table or view {name}{}", nearest_text(name, names)))
            }
        }
    }
}

impl ContextProvider for Catalog {
    fn get_table_source(&self, name: TableReference) -> Result<Arc<dyn TableSource>> {
        match self.relations.get(name.table()) {
            Some(relation) => Ok(relation.clone()),
            None => Err(self.unknown(name.table()).into()),
        }
    }
    fn get_relation_planners(&self) -> &[Arc<dyn RelationPlanner>] {
        &self.relation_planners
    }
    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        &self.expr_planners
    }
    fn get_type_planner(&self) -> Option<Arc<dyn TypePlanner>> {
        Some(Arc::new(FlinkTypes { zone: self.zone.clone() }))
    }
    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        self.functions.scalar(name)
    }
    fn get_higher_order_meta(&self, _: &str) -> Option<Arc<HigherOrderUDF>> {
        None
    }
    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        self.functions.aggregate(name)
    }
    fn get_window_meta(&self, _: &str) -> Option<Arc<WindowUDF>> {
        None
    }
    fn get_variable_type(&self, _: &[String]) -> Option<DataType> {
        None
    }
    fn options(&self) -> &ConfigOptions {
        &self.options
    }
    fn udf_names(&self) -> Vec<String> {
        self.functions.names().map(str::to_string).collect()
    }
    fn higher_order_function_names(&self) -> Vec<String> {
        Vec::new()
    }
    fn udaf_names(&self) -> Vec<String> {
        Vec::new()
    }
    fn udwf_names(&self) -> Vec<String> {
        Vec::new()
    }
}
