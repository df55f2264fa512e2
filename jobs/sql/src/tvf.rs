//! Window functions as relations: `TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTE))`, with named arguments,
//! and the short form `TUMBLE(t, ts, INTERVAL '1' MINUTE)`. They become a plan node of our own.

use crate::ddl::place;
use crate::diagnostic::{Fault, Result as Checked, Span, nearest_text};
use crate::types::{TIMESTAMP_MS, is_event_time};
use crate::window_kind::Lengths;
use arrow_schema::{Field, FieldRef};
use datafusion_common::{Column, DFSchema, DFSchemaRef, ExprSchema, Result, TableReference};
use datafusion_expr::logical_plan::{Extension, LogicalPlan, UserDefinedLogicalNodeCore};
use datafusion_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion_expr::{Expr, ExprSchemable};
use highwater_engine::graph::WindowKind;
use highwater_engine::graph::types::sql_type;
use sqlparser::ast::{self, FunctionArg, FunctionArgExpr, Spanned, TableFactor};
use std::cmp::Ordering;
use std::sync::Arc;

/// Names of the columns that a window function adds, in order.
pub(crate) const WINDOW_COLUMNS: [&str; 3] = ["window_start", "window_end", "window_time"];

/// Adds `window_start, window_end, window_time` to the rows of its input.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct WindowTvf {
    pub kind: WindowKind,
    /// The time column, and where the text names it.
    pub time: Column,
    pub at: Option<Span>,
    /// What sessions are partitioned by.
    pub keys: Vec<Column>,
    /// Where the text calls it.
    pub call_at: Option<Span>,
    pub input: LogicalPlan,
    schema: DFSchemaRef,
}

impl WindowTvf {
    fn new(
        kind: WindowKind,
        time: (Column, Option<Span>),
        keys: Vec<Column>,
        call_at: Option<Span>,
        input: LogicalPlan,
    ) -> Result<Self> {
        let (time, at) = time;
        let mut fields: Vec<(Option<TableReference>, FieldRef)> =
            input.schema().iter().map(|(q, f)| (q.cloned(), f.clone())).collect();
        let time_type = input.schema().field_from_column(&time)?.data_type().clone();
        for name in WINDOW_COLUMNS {
            if fields.iter().any(|(_, f)| f.name() == name) {
                let what = format!("the input of the window function has a column {name} already; rename it with AS");
                return Err(Fault::new(what).at(at).into());
            }
            let data_type = if name == "window_time" { time_type.clone() } else { TIMESTAMP_MS };
            fields.push((None, Arc::new(Field::new(name, data_type, true))));
        }
        let schema = Arc::new(DFSchema::new_with_metadata(fields, Default::default())?);
        Ok(Self { kind, time, at, keys, call_at, input, schema })
    }
}

impl PartialOrd for WindowTvf {
    fn partial_cmp(&self, _: &Self) -> Option<Ordering> {
        None
    }
}

impl UserDefinedLogicalNodeCore for WindowTvf {
    fn name(&self) -> &str {
        "WindowTvf"
    }
    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }
    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }
    fn expressions(&self) -> Vec<Expr> {
        std::iter::once(&self.time).chain(&self.keys).cloned().map(Expr::Column).collect()
    }
    fn fmt_for_explain(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "WindowTvf: {:?} on {}", self.kind, self.time)
    }
    fn with_exprs_and_inputs(&self, _: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> Result<Self> {
        let input = inputs.pop().unwrap_or_else(|| self.input.clone());
        Self::new(self.kind.clone(), (self.time.clone(), self.at), self.keys.clone(), self.call_at, input)
    }
}

/// Plans window functions in FROM.
#[derive(Debug)]
pub(crate) struct Relations {
    /// `table.local-time-zone`.
    pub zone: Arc<str>,
}

impl RelationPlanner for Relations {
    fn plan_relation(&self, relation: TableFactor, cx: &mut dyn RelationPlannerContext) -> Result<RelationPlanning> {
        let (name, args, alias) = match &relation {
            TableFactor::TableFunction { expr: ast::Expr::Function(f), alias } => match &f.args {
                ast::FunctionArguments::List(l) => (f.name.clone(), l.args.clone(), alias.clone()),
                _ => return Ok(RelationPlanning::Original(Box::new(relation))),
            },
            TableFactor::Table { name, args: Some(a), alias, .. } => (name.clone(), a.args.clone(), alias.clone()),
            _ => return Ok(RelationPlanning::Original(Box::new(relation))),
        };
        let call = Call { name: name.to_string().to_uppercase(), at: place(&name), zone: &self.zone };
        let node = call.plan(args, cx)?;
        let plan = LogicalPlan::Extension(Extension { node: Arc::new(node) });
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, alias))))
    }
}

/// The arguments that each function takes, in order.
fn parameters(name: &str) -> Checked<&'static [&'static str]> {
    match name {
        "TUMBLE" => Ok(&["DATA", "TIMECOL", "SIZE", "OFFSET", "TIME_ZONE"]),
        "HOP" => Ok(&["DATA", "TIMECOL", "SLIDE", "SIZE", "OFFSET", "TIME_ZONE"]),
        "CUMULATE" => Ok(&["DATA", "TIMECOL", "STEP", "SIZE", "OFFSET", "TIME_ZONE"]),
        "SESSION" => Ok(&["DATA", "TIMECOL", "GAP"]),
        _ => {
            let near = nearest_text(name, ["TUMBLE", "HOP", "CUMULATE", "SESSION"]);
            Err(Fault::new(format!("there is no table function {name}{near}")))
        }
    }
}

/// One call in FROM.
struct Call<'a> {
    name: String,
    at: Option<Span>,
    zone: &'a str,
}

impl Call<'_> {
    fn fault(&self, what: impl Into<String>) -> Fault {
        Fault::new(what).at(self.at)
    }

    fn plan(&self, args: Vec<FunctionArg>, cx: &mut dyn RelationPlannerContext) -> Result<WindowTvf> {
        let names = parameters(&self.name).map_err(|f| f.at(self.at))?;
        let mut slots = self.slots(args, names)?;
        let table = slots[0].take().ok_or_else(|| self.fault(format!("{}: the table is missing", self.name)))?;
        let table_at = place(&table);
        let (table, keys) = self.partitioned(table)?;
        let input = cx.plan(self.table(table)?).map_err(|e| with_place(e, table_at))?;
        let Some(time) = slots[1].take() else {
            let hint = "like TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTE)";
            return Err(self.fault(format!("{}: DESCRIPTOR(time column) is missing", self.name)).hint(hint).into());
        };
        let at = place(&time).or(self.at);
        let (time, column_at) = self.time_column(time, input.schema(), cx)?;
        let zoned = input.schema().field_from_column(&time)?.data_type() != &TIMESTAMP_MS;
        let zone = zoned.then_some(self.zone);
        let kind = Lengths { name: &self.name, at: self.at, names, slots: &slots, zone }.kind()?;
        let keys = keys.into_iter().map(|k| self.key(k, input.schema(), cx)).collect::<Result<Vec<_>>>()?;
        WindowTvf::new(kind, (time, column_at.or(at)), keys, self.at, input)
    }

    /// Arguments by position or by name.
    fn slots(&self, args: Vec<FunctionArg>, names: &[&str]) -> Checked<Vec<Option<ast::Expr>>> {
        let mut slots: Vec<Option<ast::Expr>> = vec![None; names.len()];
        for (i, arg) in args.into_iter().enumerate() {
            let at = place(&arg).or(self.at);
            let (slot, value) = match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(e)) => (i, e),
                FunctionArg::Named { name, arg: FunctionArgExpr::Expr(e), .. } => {
                    (self.position(&name.value, names, at)?, e)
                }
                FunctionArg::ExprNamed { name, arg: FunctionArgExpr::Expr(e), .. } => {
                    let name = name.to_string().trim_matches('`').to_string();
                    (self.position(&name, names, at)?, e)
                }
                other => return Err(self.fault(format!("{}: argument {other} has no value", self.name)).at(at)),
            };
            match slots.get_mut(slot) {
                None => {
                    let what = format!("{} takes {} arguments at most", self.name, names.len());
                    return Err(Fault::new(what).at(at));
                }
                Some(Some(_)) => {
                    return Err(Fault::new(format!("{}: {} is given twice", self.name, names[slot])).at(at));
                }
                Some(empty) => *empty = Some(value),
            }
        }
        Ok(slots)
    }

    fn position(&self, name: &str, names: &[&str], at: Option<Span>) -> Checked<usize> {
        names.iter().position(|n| n.eq_ignore_ascii_case(name)).ok_or_else(|| {
            let near = nearest_text(name, names.iter().copied());
            Fault::new(format!("{} has no argument {name}{near}", self.name)).at(at)
        })
    }

    /// The table of `TABLE t PARTITION BY a, b`, and the keys.
    fn partitioned(&self, e: ast::Expr) -> Checked<(ast::Expr, Vec<ast::Expr>)> {
        match e {
            ast::Expr::Tuple(_) if self.name != "SESSION" => {
                Err(self.fault(format!("{}: PARTITION BY belongs to SESSION; use GROUP BY", self.name)))
            }
            ast::Expr::Tuple(mut parts) => Ok((parts.remove(0), parts)),
            table => Ok((table, vec![])),
        }
    }

    fn key(&self, e: ast::Expr, schema: &DFSchemaRef, cx: &mut dyn RelationPlannerContext) -> Result<Column> {
        let at = place(&e).or(self.at);
        match cx.sql_to_expr(e.clone(), schema)? {
            Expr::Column(key) => Ok(key),
            _ => Err(Fault::new(format!("{}: {e} is no column of the table", self.name)).at(at).into()),
        }
    }

    fn table(&self, e: ast::Expr) -> Checked<TableFactor> {
        let parts = match e {
            ast::Expr::CompoundIdentifier(parts) => parts,
            ast::Expr::Identifier(part) => vec![part],
            other => {
                let fault = self.fault(format!("{}: expected TABLE name, found {other}", self.name));
                return Err(fault.hint("name a query in WITH or CREATE VIEW, then say TABLE that_name"));
            }
        };
        Ok(TableFactor::Table {
            name: parts.into(),
            alias: None,
            args: None,
            with_hints: vec![],
            version: None,
            with_ordinality: false,
            partitions: vec![],
            json_path: None,
            sample: None,
            index_hints: vec![],
        })
    }

    /// `DESCRIPTOR(ts)`, or a bare column in the short form.
    fn time_column(
        &self,
        e: ast::Expr,
        schema: &DFSchemaRef,
        cx: &mut dyn RelationPlannerContext,
    ) -> Result<(Column, Option<Span>)> {
        let wrong = |found: &dyn std::fmt::Display| {
            self.fault(format!("{}: expected DESCRIPTOR(time column), found {found}", self.name))
        };
        let column = match e {
            ast::Expr::Function(f) if f.name.to_string().eq_ignore_ascii_case("descriptor") => match &f.args {
                ast::FunctionArguments::List(l) => match l.args.as_slice() {
                    [FunctionArg::Unnamed(FunctionArgExpr::Expr(e))] => e.clone(),
                    _ => return Err(wrong(&f).into()),
                },
                _ => return Err(wrong(&f).into()),
            },
            e @ (ast::Expr::Identifier(_) | ast::Expr::CompoundIdentifier(_)) => e,
            other => return Err(wrong(&other).into()),
        };
        let at = Span::of(column.span());
        let Expr::Column(time) = cx.sql_to_expr(column.clone(), schema)? else { return Err(wrong(&column).into()) };
        let data_type = Expr::Column(time.clone()).get_type(schema)?;
        if !is_event_time(&data_type) {
            let what = format!(
                "{} is {}; a time attribute is TIMESTAMP(3) or TIMESTAMP_LTZ(3)",
                time.name,
                sql_type(&data_type)
            );
            return Err(Fault::new(what).at(at).into());
        }
        Ok((time, at))
    }
}

/// Puts a place on a fault that has none on its way through the planner.
fn with_place(e: datafusion_common::DataFusionError, at: Option<Span>) -> datafusion_common::DataFusionError {
    match e {
        datafusion_common::DataFusionError::External(inner) => match inner.downcast::<Fault>() {
            Ok(fault) => fault.at(at).into(),
            Err(inner) => datafusion_common::DataFusionError::External(inner),
        },
        other => other,
    }
}
