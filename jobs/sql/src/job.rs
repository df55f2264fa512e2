//! A job's text, statement by statement, to a planned job. Each statement is checked even if another one is wrong.

use crate::catalog::{Catalog, ERRORS, LATE};
use crate::ddl::{self, Name, Statement};
use crate::diagnostic::{Fault, Severity, Span, Text, nearest_text};
use crate::session::{Words, plan_query, simplified};
use crate::settings::Settings;
use crate::translate::{Insert, Translator};
use crate::{Diagnostic, Overrides, PlannedJob, TableInfo, bounds, parameters, prune, tables, tokens};
use arrow_schema::{DataType, Schema, SchemaRef};
use highwater_connectors::{self as connectors, Usage};
use highwater_engine::graph::types::sql_type;
use highwater_engine::graph::{Emission, JobGraph, NodeId, Step};
use highwater_operators::expression::Expression;
use sqlparser::tokenizer::Token;
use std::collections::{BTreeMap, BTreeSet};

/// Everything that is wrong, and what is merely worth a word.
#[derive(Default)]
struct Findings {
    faults: Vec<(Fault, Span)>,
    notes: Vec<(Fault, Span)>,
}

impl Findings {
    fn take<T>(&mut self, answer: Result<T, Vec<Fault>>, at: Span) -> Option<T> {
        match answer {
            Ok(t) => Some(t),
            Err(faults) => {
                self.faults.extend(faults.into_iter().map(|f| (f, at)));
                None
            }
        }
    }
}

/// Plans a job on the calling thread, which needs a large stack.
pub(crate) fn plan(file: &str, text: &str, overrides: &Overrides) -> Result<PlannedJob, Vec<Diagnostic>> {
    let source = Text { file, text };
    let mut found = Findings::default();
    let end = source.end();
    let mut early = Vec::new();
    let mut chunks = tokens::split(text, &mut early);
    parameters::fill(&mut chunks, overrides, &mut early);
    let words: BTreeMap<Span, Words> = chunks.iter().map(|c| (c.start(), words_of(&c.tokens))).collect();
    let statements = ddl::parse(chunks, &mut early);
    found.faults.extend(early.into_iter().map(|f| (f, end)));

    let settings = settings(file, &statements, overrides, &mut found);
    let planned =
        Job { words, catalog: Catalog::new(&settings.time_zone), views: BTreeSet::new(), inserts: Vec::new() }
            .run(statements, &settings, overrides, &mut found);
    if found.faults.is_empty() && planned.is_none() {
        let hint = "INSERT INTO sink SELECT .. FROM source";
        found.faults.push((Fault::new("the job has no INSERT INTO: it would do nothing").hint(hint), end));
    }
    let diagnose = |list: Vec<(Fault, Span)>, severity| {
        let mut all: Vec<Diagnostic> = list.into_iter().map(|(f, at)| source.diagnose(f, severity, at)).collect();
        all.sort_by_key(|d| (d.line, d.column));
        all.dedup();
        all
    };
    let errors = diagnose(found.faults, Severity::Error);
    match planned {
        Some(job) if errors.is_empty() => {
            Ok(PlannedJob { warnings: diagnose(found.notes, Severity::Warning), settings, ..job })
        }
        _ => Err(errors),
    }
}

fn words_of(tokens: &[sqlparser::tokenizer::TokenWithSpan]) -> Words {
    let mut words: Words = Vec::new();
    let mut seen = BTreeSet::new();
    for t in tokens {
        if let (Token::Word(w), Some(at)) = (&t.token, Span::of(t.span)) {
            let lower = w.value.to_lowercase();
            if seen.insert(lower.clone()) {
                words.push((lower, at));
            }
        }
    }
    words
}

/// Settings by precedence: the caller's defaults, the text, the caller's values.
fn settings(file: &str, statements: &[(Statement, Span)], overrides: &Overrides, found: &mut Findings) -> Settings {
    let mut settings = Settings::of_file(file);
    let outside = Span { line: 0, column: 0, end_line: 0, end_column: 0 };
    let is_setting = |(key, _): &(&String, &String)| !key.starts_with(parameters::PREFIX);
    for (key, value) in overrides.defaults.iter().filter(is_setting) {
        let answer = settings.set(key, value).map_err(|f| vec![f]);
        found.take(answer, outside);
    }
    for (statement, at) in statements {
        if let Statement::Set { key, value } = statement
            && !key.value.starts_with(parameters::PREFIX)
        {
            let answer = settings.set(&key.value, value).map_err(|f| vec![f.at(key.at)]);
            found.take(answer, *at);
        }
    }
    for (key, value) in overrides.set.iter().filter(is_setting) {
        let answer = settings.set(key, value).map_err(|f| vec![f]);
        found.take(answer, outside);
    }
    settings
}

struct Job {
    words: BTreeMap<Span, Words>,
    catalog: Catalog,
    views: BTreeSet<String>,
    inserts: Vec<(Insert, Span)>,
}

impl Job {
    fn run(
        mut self,
        statements: Vec<(Statement, Span)>,
        settings: &Settings,
        overrides: &Overrides,
        found: &mut Findings,
    ) -> Option<PlannedJob> {
        let broken = &mut BTreeSet::new();
        let declared: Vec<String> = statements.iter().filter_map(|(s, _)| declared_name(s)).collect();
        for table in overrides.tables.keys().filter(|t| !declared.contains(t)) {
            let near = nearest_text(table, declared.iter().map(String::as_str));
            let what = format!("-D {table}.…: the job has no table {table}{near}");
            found.faults.push((Fault::new(what), Span { line: 0, column: 0, end_line: 0, end_column: 0 }));
        }
        let target = |(s, _): &(Statement, Span)| match s {
            Statement::Insert { table, .. } => Some(table.value.clone()),
            _ => None,
        };
        let written: Vec<String> = statements.iter().filter_map(target).collect();
        for (statement, at) in statements {
            let answer = self.statement(statement, at, overrides, broken, found);
            found.take(answer, at);
        }
        if !found.faults.is_empty() {
            self.check_declared_options(&written, found);
        }
        if self.inserts.is_empty() {
            return None;
        }
        self.graph(settings, found)
    }

    /// Options of the tables, where there may be no graph that says which are in use: of those that the text writes, and of
    /// those that have a watermark, so are there to be read.
    fn check_declared_options(&self, written: &[String], found: &mut Findings) {
        for def in self.catalog.tables.values() {
            match (written.contains(&def.name), def.time) {
                (true, _) => check_options_of(def, Usage::Sink, &def.schema(), found),
                (false, Some(_)) => check_options_of(def, Usage::Source, &def.stored(), found),
                (false, None) => {}
            }
        }
    }

    /// A name may be declared once.
    fn free(&self, name: &Name, if_not_exists: bool) -> Result<bool, Vec<Fault>> {
        if !self.catalog.has(&name.value) {
            return Ok(true);
        }
        if if_not_exists {
            return Ok(false);
        }
        let kind = if self.views.contains(&name.value) { "view" } else { "table" };
        Err(vec![Fault::new(format!("there is a {kind} {} already", name.value)).at(name.at)])
    }

    fn statement(
        &mut self,
        statement: Statement,
        at: Span,
        overrides: &Overrides,
        broken: &mut BTreeSet<String>,
        found: &mut Findings,
    ) -> Result<(), Vec<Fault>> {
        let words = self.words.remove(&at).unwrap_or_default();
        match statement {
            Statement::Set { .. } => Ok(()),
            Statement::Table(decl) => {
                if !self.free(&decl.name, decl.if_not_exists)? {
                    return Ok(());
                }
                found.notes.extend(decl.notes.iter().cloned().map(|f| (f, at)));
                let name = decl.name.value.clone();
                let answer = tables::declare(&mut self.catalog, *decl, overrides.tables.get(&name), &words);
                if answer.is_err() {
                    broken.insert(name);
                }
                answer
            }
            Statement::View { name, columns, query, if_not_exists } => {
                if !self.free(&name, if_not_exists)? {
                    return Ok(());
                }
                let answer = plan_query(&self.catalog, query, &words).and_then(|p| view(p, &name, &columns));
                match answer {
                    Ok(plan) => {
                        let schema = plan.schema().inner().clone();
                        self.catalog.relation(&name.value, schema, Some(plan));
                        self.views.insert(name.value);
                        Ok(())
                    }
                    Err(faults) => {
                        broken.insert(name.value);
                        Err(without_followers(faults, broken))
                    }
                }
            }
            Statement::Insert { table, columns, query } => {
                let mut faults = Vec::new();
                if !self.catalog.tables.contains_key(&table.value) && !broken.contains(&table.value) {
                    faults.push(self.not_a_sink(&table));
                }
                match plan_query(&self.catalog, query, &words).and_then(|p| simplified(&self.catalog, p, &words)) {
                    Ok(plan) if faults.is_empty() => self.inserts.push((Insert { table, columns, plan }, at)),
                    Ok(_) => {}
                    Err(more) => faults.extend(without_followers(more, broken)),
                }
                if faults.is_empty() { Ok(()) } else { Err(faults) }
            }
        }
    }

    fn not_a_sink(&self, table: &Name) -> Fault {
        if self.views.contains(&table.value) {
            return Fault::new(format!("{} is a view: INSERT INTO takes a table", table.value)).at(table.at);
        }
        let names = self.catalog.tables.keys().map(String::as_str);
        Fault::new(format!("there is no table {}{}", table.value, nearest_text(&table.value, names))).at(table.at)
    }

    fn graph(self, settings: &Settings, found: &mut Findings) -> Option<PlannedJob> {
        let mut translator = Translator::new(&self.catalog, settings.state_ttl_ms);
        let mut sinks: Vec<(&str, Vec<NodeId>)> = Vec::new();
        let mut whole = true;
        for (insert, at) in &self.inserts {
            let Some(sink) = self.catalog.tables.get(&insert.table.value) else {
                whole = false;
                continue;
            };
            let emission = match sink.arrival {
                true => Emission::Arrival { late_horizon_ms: settings.late_horizon_ms },
                false => Emission::Final,
            };
            let answer = translator.insert(insert, sink, emission);
            match found.take(answer, *at) {
                Some((node, _)) => match sinks.iter_mut().find(|(name, _)| *name == sink.name) {
                    Some((_, inputs)) => inputs.push(node),
                    None => sinks.push((&sink.name, vec![node])),
                },
                None => whole = false,
            }
        }
        if !whole {
            return None;
        }
        for (name, inputs) in sinks {
            let sink = self.catalog.tables.get(name)?;
            translator.sink(sink, inputs);
        }
        let nodes = prune::prune(translator.nodes);
        let graph = JobGraph { name: settings.name.clone(), nodes };
        if let (Err(e), Some((_, at))) = (graph.validate(), self.inserts.last()) {
            found.faults.push((Fault::new(e.message), *at));
            return None;
        }
        self.check_expressions(&graph, found);
        self.check_options(&graph, found);
        Some(PlannedJob {
            settings: settings.clone(),
            warnings: Vec::new(),
            state: bounds::state(&graph.nodes),
            tables: self.tables(&graph),
            reach_ms: graph.reach_ms(),
            graph,
        })
    }

    /// Every expression compiles over its input, to the type that the plan promises: what only the operators can judge (a
    /// pattern, a format) is an error of the text, not of the run.
    fn check_expressions(&self, graph: &JobGraph, found: &mut Findings) {
        for node in &graph.nodes {
            let (map, input) = match &node.step {
                Step::Source(s) => {
                    let read = s.read.iter().map(|i| s.physical.field(*i).clone());
                    (&s.map, std::sync::Arc::new(Schema::new(read.collect::<Vec<_>>())))
                }
                Step::Map(m) => (m, graph.nodes[node.inputs[0]].schema.clone()),
                _ => continue,
            };
            let types = node.schema.fields().iter().map(|f| f.data_type());
            let checks = map.columns.iter().zip(types).chain(map.filter.iter().map(|f| (f, &DataType::Boolean)));
            for (e, promised) in checks {
                let message = match Expression::new(e, &input) {
                    Ok(e) if e.data_type() == promised => continue,
                    Ok(e) => format!("{} is {}, not {}", e.text(), sql_type(e.data_type()), sql_type(promised)),
                    Err(e) => e.message,
                };
                found.faults.push((Fault::new(message), self.place_of(&map.query)));
            }
        }
    }

    /// Where a query of this name stands.
    fn place_of(&self, query: &str) -> Span {
        let insert = self.inserts.iter().find(|(i, _)| query == format!("INSERT INTO {}", i.table.value));
        let table = query.strip_prefix("TABLE ").and_then(|t| self.catalog.tables.get(t)).map(|t| t.at);
        let any = self.inserts.last().map_or(Span::at(1, 1), |(_, at)| *at);
        insert.map(|(_, at)| *at).or(table).unwrap_or(any)
    }

    /// Options that the connectors of the tables in use do not accept.
    fn check_options(&self, graph: &JobGraph, found: &mut Findings) {
        for node in &graph.nodes {
            let (table, usage, schema) = match &node.step {
                Step::Source(s) => (&s.table, Usage::Source, &s.physical),
                Step::Sink(s) => (&s.table, Usage::Sink, &node.schema),
                _ => continue,
            };
            let Some(def) = self.catalog.tables.get(table) else { continue };
            if let (Usage::Sink, Some(key)) = (usage, def.columns.iter().find_map(|c| c.metadata.as_ref())) {
                let what = format!("{table} is written, but has a METADATA column: that is for tables that are read");
                found.faults.push((Fault::new(what).at(key.at), def.at));
            }
            check_options_of(def, usage, schema, found);
        }
    }

    fn tables(&self, graph: &JobGraph) -> Vec<TableInfo> {
        let has = |f: &dyn Fn(&str, &Step) -> bool| graph.nodes.iter().any(|n| f(&n.name, &n.step));
        let info = |t: &tables::TableDef| TableInfo {
            name: t.name.clone(),
            connector: t.connector.clone(),
            columns: t.columns.iter().map(|c| (c.name.clone(), sql_type(&c.data_type))).collect(),
            written: has(&|_, s| matches!(s, Step::Sink(s) if s.table == t.name)),
            read: has(&|_, s| matches!(s, Step::Source(s) if s.table == t.name)),
            late_routed: has(&|n, s| matches!(s, Step::Late) && n == format!("{}{LATE}", t.name)),
            errors_routed: has(&|n, s| matches!(s, Step::Errors) && n == format!("{}{ERRORS}", t.name)),
            late_discarded: t.late_discarded,
            errors_discarded: t.errors_discarded,
            places: t.places(),
        };
        self.catalog.tables.values().map(info).filter(|t| t.read || t.written).collect()
    }
}

/// Options that the connector of a table does not accept.
fn check_options_of(def: &tables::TableDef, usage: Usage, schema: &SchemaRef, found: &mut Findings) {
    for e in connectors::check(&def.connector, usage, &def.options, schema) {
        let what = format!("option '{}' of {}: {}", e.option, def.name, e.message);
        found.faults.push((Fault::new(what).at(def.place_of(&e.option)), def.at));
    }
}

fn declared_name(s: &Statement) -> Option<String> {
    match s {
        Statement::Table(t) => Some(t.name.value.clone()),
        _ => None,
    }
}

/// A view's plan with the names that `CREATE VIEW v (a, b)` gives.
fn view(
    plan: datafusion_expr::LogicalPlan,
    name: &Name,
    columns: &[Name],
) -> Result<datafusion_expr::LogicalPlan, Vec<Fault>> {
    use datafusion_expr::{Expr, LogicalPlanBuilder};
    if columns.is_empty() {
        return Ok(plan);
    }
    let n = plan.schema().fields().len();
    if columns.len() != n {
        let what = format!("view {} names {} columns, its query gives {n}", name.value, columns.len());
        return Err(vec![Fault::new(what).at(name.at)]);
    }
    let renamed = plan.schema().columns().into_iter().zip(columns).map(|(c, n)| Expr::Column(c).alias(&n.value));
    let renamed: Vec<Expr> = renamed.collect();
    LogicalPlanBuilder::from(plan)
        .project(renamed)
        .and_then(LogicalPlanBuilder::build)
        .map_err(|e| crate::session::faults_of(e, &Words::new()))
}

/// Faults that only follow from a declaration that is wrong already are dropped, unless nothing would be left.
fn without_followers(faults: Vec<Fault>, broken: &BTreeSet<String>) -> Vec<Fault> {
    let follows = |f: &Fault| {
        let name = f.message.strip_prefix("there is no table or view ").map(|m| m.split(';').next().unwrap_or(m));
        name.is_some_and(|n| {
            let base = n.strip_suffix(LATE).or(n.strip_suffix(ERRORS)).unwrap_or(n);
            broken.contains(base)
        })
    };
    faults.into_iter().filter(|f| !follows(f)).collect()
}
