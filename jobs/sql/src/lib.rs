//! Flink SQL text in, [`highwater_engine::graph::JobGraph`] out.
//!
//! [`plan`] is the only door. The way of a text:
//!
//! | step | file |
//! |---|---|
//! | tokens, limits, syntax that the parser lacks | `tokens` |
//! | parameters | `parameters` |
//! | DDL, `SET`, `INSERT`, statement sets | `ddl` |
//! | tables, views, overrides | `catalog` |
//! | literals, names, functions of a query's syntax tree | `syntax` |
//! | the planner with our dialect, window functions and types | `dialect`, `tvf`, `types`, `functions` |
//! | repairs and checks around its analyzer; of its rules only the folding of constants | `session`, `repair`, `checks` |
//! | plans to steps, shared where equal, pruned to the columns used | `translate`, `prune` |
//!
//! This crate alone names the SQL planner; nothing of it appears in the graph. It never touches a running job.

mod bounds;
mod calls;
mod catalog;
mod checks;
mod ddl;
mod diagnostic;
mod dialect;
mod dot;
mod explain;
mod frames;
mod functions;
mod intervals;
mod job;
mod parameters;
mod prune;
mod repair;
mod session;
mod settings;
mod start_of;
mod syntax;
mod tables;
mod tokens;
mod translate;
mod tvf;
mod types;
mod window_kind;

pub use diagnostic::{Diagnostic, Severity, Span};
pub use dot::dot;
pub use explain::{StepFlow, explain, flows, render};
pub use highwater_engine::graph::types::sql_type;
use highwater_engine::graph::{JobGraph, NodeId};
pub use parameters::PREFIX as PARAMETER_PREFIX;
use serde::Serialize;
pub use settings::{KEYS as SETTING_KEYS, RESERVED as RESERVED_TABLE_NAMES, Settings};
use std::collections::BTreeMap;
pub use tables::ENGINE_OPTIONS as TABLE_OPTIONS;

/// What the command line, the environment and the TOML file say, layered by precedence by the caller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// Values of `SET` keys (environment, flags); they beat the file's `SET`.
    pub set: BTreeMap<String, String>,
    /// Parameters by key (environment); they beat the file's `SET`. One that the job does not use is no error.
    pub environment: BTreeMap<String, String>,
    /// Values of `SET` keys (TOML); the file's `SET` beats them.
    pub defaults: BTreeMap<String, String>,
    /// Options by table; they beat the table's `WITH`. A `connector` here drops all options of the DDL.
    pub tables: BTreeMap<String, BTreeMap<String, String>>,
}

/// A job that can run.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedJob {
    /// The steps.
    pub graph: JobGraph,
    /// The settings.
    pub settings: Settings,
    /// What the text may not say as it seems.
    pub warnings: Vec<Diagnostic>,
    /// How much each stateful step keeps.
    pub state: Vec<StateBound>,
    /// The tables the job reads or writes.
    pub tables: Vec<TableInfo>,
    /// How far back the newest result looks: the largest sum, along a path, of frame starts and window sizes, in ms.
    pub reach_ms: i64,
}

/// What a stateful step keeps, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StateBound {
    /// Position in the graph.
    pub node: NodeId,
    /// The step's name.
    pub name: String,
    /// `per card: rows of the last 24 h`.
    pub text: String,
}

/// A table that the job uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TableInfo {
    /// Its name.
    pub name: String,
    /// Its connector.
    pub connector: String,
    /// The declared columns and their SQL types.
    pub columns: Vec<(String, String)>,
    /// An `INSERT` writes it.
    pub written: bool,
    /// A query reads it, or its late or bad rows.
    pub read: bool,
    /// A query reads its `t$late`.
    pub late_routed: bool,
    /// A query reads its `t$errors`.
    pub errors_routed: bool,
    /// `'late' = 'discard'`.
    pub late_discarded: bool,
    /// `'errors' = 'discard'`.
    pub errors_discarded: bool,
    /// Where its options stand in the text, and under "" its name: line and column, from 1.
    #[serde(skip)]
    pub places: BTreeMap<String, (u64, u64)>,
}

/// Plans a job. `file_name` names the text in errors and gives the job's default name.
///
/// # Errors
/// Everything that is wrong, as far as it can be found in one go, in the order of the text.
pub fn plan(file_name: &str, text: &str, overrides: &Overrides) -> Result<PlannedJob, Vec<Diagnostic>> {
    let work = || job::plan(file_name, text, overrides);
    let planned = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("plan".into()).stack_size(STACK_BYTES).spawn_scoped(scope, work);
        thread.map(std::thread::ScopedJoinHandle::join)
    });
    let failed = |message: String| {
        let text = diagnostic::Text { file: file_name, text };
        vec![text.diagnose(diagnostic::Fault::new(message), Severity::Error, diagnostic::Span::at(1, 1))]
    };
    match planned {
        Ok(Ok(answer)) => answer,
        Ok(Err(panic)) => {
            let what = panic.downcast_ref::<String>().cloned();
            let what = what.or(panic.downcast_ref::<&str>().map(|s| s.to_string())).unwrap_or_default();
            Err(failed(format!("the planner panicked: {what}; this is a bug, please report it with the job file")))
        }
        Err(e) => Err(failed(format!("no thread for the planner: {e}"))),
    }
}

/// Every scalar function's name with its aliases, and the names of the aggregates, all in lower case.
pub fn function_names() -> (Vec<Vec<String>>, Vec<String>) {
    functions::Functions::new().listed()
}

/// Stack of the planning thread: only touched pages cost memory. Limits in `tokens` keep the recursion far below.
const STACK_BYTES: usize = 256 << 20;
