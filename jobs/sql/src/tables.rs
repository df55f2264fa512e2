//! Declared tables: columns, event time, and options split into those of the engine and those of the connector.

use crate::catalog::Catalog;
use crate::ddl::{ColumnKind, Name, OptionDecl, TableDecl, WatermarkDecl, select_from};
use crate::diagnostic::{Fault, Result, Span, nearest_text};
use crate::intervals::evaluate_ms;
use crate::session::{Words, plan_query, simplified};
use crate::settings::{RESERVED, duration_ms};
use crate::translate::projection;
use crate::types::{in_zone, is_event_time};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use highwater_engine::expr::Expr;
use highwater_engine::graph::types::sql_type;
use highwater_engine::limits::{BAD_ROWS_MAX, BAD_SHARE_ROWS, PARTITIONS_OPEN, PARTITIONS_OPEN_MAX};
use sqlparser::ast::{self, BinaryOperator};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A column, stored or computed.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub name: String,
    pub data_type: DataType,
    pub not_null: bool,
    /// Over the stored columns.
    pub computed: Option<Expr>,
    /// What the connector says of the row, if it is that.
    pub metadata: Option<Name>,
}

/// A table.
#[derive(Clone, Debug)]
pub(crate) struct TableDef {
    pub name: String,
    pub at: Span,
    pub columns: Vec<Column>,
    /// Position of the event-time column.
    pub time: Option<usize>,
    pub delay_ms: i64,
    pub connector: String,
    /// The connector's own options.
    pub options: BTreeMap<String, String>,
    pub time_min_ms: i64,
    pub time_max_ms: i64,
    pub max_drift_ms: i64,
    pub idle_ms: Option<i64>,
    pub arrival: bool,
    pub late_discarded: bool,
    pub errors_discarded: bool,
    /// So many of the last rows of a partition may be bad: `errors.max-share`.
    pub bad_rows_max: u32,
    /// So many partitions are open at once.
    pub open_max: u32,
    places: BTreeMap<String, Span>,
}

impl TableDef {
    pub fn schema(&self) -> SchemaRef {
        let field = |c: &Column| Field::new(&c.name, c.data_type.clone(), !c.not_null);
        Arc::new(Schema::new(self.columns.iter().map(field).collect::<Vec<_>>()))
    }
    /// The schema of the stored columns.
    pub fn stored(&self) -> SchemaRef {
        let field = |c: &Column| Field::new(&c.name, c.data_type.clone(), !c.not_null);
        Arc::new(Schema::new(self.physical().map(field).collect::<Vec<_>>()))
    }
    /// The stored columns.
    pub fn physical(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|c| c.computed.is_none())
    }
    /// Line and column of each option, and under "" of the name.
    pub fn places(&self) -> BTreeMap<String, (u64, u64)> {
        let name = (String::new(), (self.at.line, self.at.column));
        let options = self.places.iter().map(|(option, at)| (option.clone(), (at.line, at.column)));
        options.chain([name]).collect()
    }
    /// Where an option stands; the table's name if it came from elsewhere.
    pub fn place_of(&self, option: &str) -> Span {
        self.places.get(option).copied().unwrap_or(self.at)
    }
}

/// Options that belong to the engine: they stay when an override replaces the connector.
pub const ENGINE_OPTIONS: [&str; 9] = [
    "emit",
    "errors",
    "errors.max-share",
    "late",
    "scan.event-time.max",
    "scan.event-time.min",
    "scan.files.open-max",
    "scan.watermark.alignment.max-drift",
    "scan.watermark.idle-timeout",
];

/// Checks a declaration and adds it to the catalog.
pub(crate) fn declare(
    catalog: &mut Catalog,
    decl: TableDecl,
    overrides: Option<&BTreeMap<String, String>>,
    words: &Words,
) -> std::result::Result<(), Vec<Fault>> {
    let mut faults = Vec::new();
    if RESERVED.contains(&decl.name.value.as_str()) {
        let what = format!("a table can't be named {}: -D {}.… are settings", decl.name.value, decl.name.value);
        faults.push(Fault::new(what).at(decl.name.at));
    }
    for (i, column) in decl.columns.iter().enumerate() {
        if decl.columns[..i].iter().any(|c| c.name.value == column.name.value) {
            faults.push(Fault::new(format!("column {} stands twice", column.name.value)).at(column.name.at));
        }
    }
    if !decl.columns.iter().any(|c| matches!(c.kind, ColumnKind::Physical { .. })) {
        faults.push(Fault::new(format!("{} has no stored column", decl.name.value)).at(decl.name.at));
    }
    let (options, places) = layered(&decl.options, overrides);
    let mut def = match with_options(&decl, options, places) {
        Ok(def) => def,
        Err(fault) => {
            faults.push(fault);
            return Err(faults);
        }
    };
    if !faults.is_empty() {
        return Err(faults);
    }
    def.columns = columns(catalog, &decl, words)?;
    if let Some(w) = &decl.watermark {
        let (time, delay_ms) = watermark(w, &def.columns).map_err(|f| vec![f])?;
        (def.time, def.delay_ms) = (Some(time), delay_ms);
    }
    catalog.table(def);
    Ok(())
}

/// The options of the text under those of the command line.
fn layered(
    declared: &[OptionDecl],
    overrides: Option<&BTreeMap<String, String>>,
) -> (BTreeMap<String, String>, BTreeMap<String, Span>) {
    let replaced = overrides.is_some_and(|o| o.contains_key("connector"));
    let kept = declared.iter().filter(|o| !replaced || ENGINE_OPTIONS.contains(&o.key.value.as_str()));
    let mut options = BTreeMap::new();
    let mut places = BTreeMap::new();
    for option in kept {
        options.insert(option.key.value.clone(), option.value.clone());
        places.insert(option.key.value.clone(), option.key.at);
    }
    for (key, value) in overrides.into_iter().flatten() {
        options.insert(key.clone(), value.clone());
        places.remove(key);
    }
    (options, places)
}

fn with_options(
    decl: &TableDecl,
    mut options: BTreeMap<String, String>,
    places: BTreeMap<String, Span>,
) -> Result<TableDef> {
    let name = &decl.name;
    let place = |key: &str| places.get(key).copied().unwrap_or(name.at);
    let Some(connector) = options.remove("connector") else {
        let what = format!("table {} has no option 'connector'", name.value);
        return Err(Fault::new(what)
            .at(name.at)
            .hint("'connector' = 'generator', 'filesystem', 'kafka', 'http', 'table', 'print' or 'blackhole'"));
    };
    let time = |key: &str, text: Option<String>, default: i64| match text {
        Some(text) => instant_ms(&text).ok_or_else(|| {
            let what = format!("{key} is a time like '2026-01-31T00:00:00Z' or epoch milliseconds, not '{text}'");
            Fault::new(what).at(place(key))
        }),
        None => Ok(default),
    };
    let one_of = |key: &str, text: Option<String>, values: [&str; 2]| match text {
        Some(text) if !values.contains(&text.as_str()) => {
            let what = format!("option '{key}' is '{}' or '{}', not '{text}'", values[0], values[1]);
            Err(Fault::new(what).at(place(key)))
        }
        other => Ok(other.is_some_and(|v| v == values[1])),
    };
    let mut duration = |key: &str| {
        let ms = options.remove(key).map(|text| duration_ms(key, &text).map_err(|f| f.at(place(key))));
        ms.transpose()
    };
    let max_drift_ms = duration("scan.watermark.alignment.max-drift")?.unwrap_or(60_000);
    // As in Flink, 0 says never.
    let idle_ms = duration("scan.watermark.idle-timeout")?.filter(|ms| *ms > 0);
    let mut take = |key: &str| options.remove(key);
    let bad_rows_max = match take(MAX_SHARE) {
        Some(text) => bad_rows_max(&text).map_err(|f| f.at(place(MAX_SHARE)))?,
        None => BAD_ROWS_MAX,
    };
    let open_max = match take(OPEN_MAX) {
        Some(text) => {
            let files = text.trim().parse().ok().filter(|n| (1..=PARTITIONS_OPEN_MAX).contains(n));
            let wrong = || format!("option '{OPEN_MAX}' is a number from 1 to {PARTITIONS_OPEN_MAX}, not '{text}'");
            files.ok_or_else(|| Fault::new(wrong()).at(place(OPEN_MAX)))?
        }
        None => PARTITIONS_OPEN,
    };
    let def = TableDef {
        time_min_ms: time("scan.event-time.min", take("scan.event-time.min"), 0)?,
        time_max_ms: time("scan.event-time.max", take("scan.event-time.max"), i64::MAX)?,
        max_drift_ms,
        idle_ms,
        bad_rows_max,
        open_max,
        arrival: one_of("emit", take("emit"), ["final", "arrival"])?,
        late_discarded: one_of("late", take("late"), ["keep", "discard"])?,
        errors_discarded: one_of("errors", take("errors"), ["keep", "discard"])?,
        name: name.value.clone(),
        at: name.at,
        columns: Vec::new(),
        time: None,
        delay_ms: 0,
        connector,
        options,
        places,
    };
    if def.time_min_ms > def.time_max_ms {
        let what = "scan.event-time.min is after scan.event-time.max";
        return Err(Fault::new(what).at(def.place_of("scan.event-time.min")));
    }
    Ok(def)
}

const MAX_SHARE: &str = "errors.max-share";
const OPEN_MAX: &str = "scan.files.open-max";

/// A share of the last rows, with at most four decimals, as their number.
fn bad_rows_max(text: &str) -> Result<u32> {
    let share: Option<f64> = text.trim().parse().ok().filter(|share| (0.0..=1.0).contains(share));
    let rows = share.map(|share| share * f64::from(BAD_SHARE_ROWS));
    match rows.filter(|rows| (rows - rows.round()).abs() < 1e-6) {
        Some(rows) => Ok(rows.round() as u32),
        None => Err(Fault::new(format!("option '{MAX_SHARE}' is a share from 0 to 1 like '0.05', not '{text}'"))
            .hint(format!("it is of the last {BAD_SHARE_ROWS} rows of a partition: at most four decimals"))),
    }
}

/// ISO 8601 (UTC without a zone) or epoch milliseconds.
fn instant_ms(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(ms) = text.parse::<i64>() {
        return Some(ms);
    }
    let utc: arrow::array::timezone::Tz = "+00:00".parse().ok()?;
    arrow::compute::kernels::cast_utils::string_to_datetime(&utc, text).ok().map(|t| t.timestamp_millis())
}

/// Types and expressions of the columns. Computed columns read stored ones only.
fn columns(catalog: &mut Catalog, decl: &TableDecl, words: &Words) -> std::result::Result<Vec<Column>, Vec<Fault>> {
    let mut stored = Vec::new();
    let mut computed = Vec::new();
    for column in &decl.columns {
        match &column.kind {
            ColumnKind::Physical { data_type, .. } => {
                let data_type = in_zone(data_type.clone(), &catalog.zone);
                stored.push(Field::new(&column.name.value, data_type, true));
            }
            ColumnKind::Computed(e) => computed.push((e.as_ref().clone(), column.name.value.clone())),
        }
    }
    let positions: Vec<Expr> = (0..stored.len()).map(Expr::Column).collect();
    let mut expressions = Vec::new();
    if !computed.is_empty() {
        let table = &decl.name.value;
        catalog.relation(table, Arc::new(Schema::new(stored)), None);
        let planned = select_from(table, computed)
            .map_err(|f| vec![f])
            .and_then(|q| plan_query(catalog, q, words))
            .and_then(|p| simplified(catalog, p, words))
            .and_then(|p| projection(&p, &positions).map_err(|f| vec![f]));
        catalog.remove(table);
        expressions = planned?;
    }
    let (mut expressions, zone) = (expressions.into_iter(), catalog.zone.clone());
    let columns = decl.columns.iter().map(|c| match &c.kind {
        ColumnKind::Physical { data_type, not_null, metadata } => Ok(Column {
            name: c.name.value.clone(),
            data_type: in_zone(data_type.clone(), &zone),
            not_null: *not_null,
            computed: None,
            metadata: metadata.clone(),
        }),
        ColumnKind::Computed(_) => {
            let (e, data_type) = expressions.next().ok_or_else(|| vec![Fault::new("a computed column got lost")])?;
            Ok(Column { name: c.name.value.clone(), data_type, not_null: false, computed: Some(e), metadata: None })
        }
    });
    columns.collect()
}

/// `WATERMARK FOR ts AS ts` or `ts - INTERVAL …`: the column and its delay.
fn watermark(w: &WatermarkDecl, columns: &[Column]) -> Result<(usize, i64)> {
    let names = columns.iter().map(|c| c.name.as_str());
    let Some(time) = columns.iter().position(|c| c.name == w.column.value) else {
        let near = nearest_text(&w.column.value, names);
        return Err(Fault::new(format!("there is no column {}{near}", w.column.value)).at(w.column.at));
    };
    let data_type = &columns[time].data_type;
    if !is_event_time(data_type) {
        let what = format!(
            "the event time {} is {}; it must be TIMESTAMP(3) or TIMESTAMP_LTZ(3)",
            w.column.value,
            sql_type(data_type)
        );
        let hint = format!("a computed column: {0}_ms AS CAST({0} AS TIMESTAMP(3))", w.column.value);
        let hint = if data_type.is_integer() {
            format!("a computed column: ts AS TO_TIMESTAMP_LTZ({}, 3)", w.column.value)
        } else {
            hint
        };
        return Err(Fault::new(what).at(w.column.at).hint(hint));
    }
    let is_column = |e: &ast::Expr| matches!(e, ast::Expr::Identifier(i) if i.value == w.column.value);
    let delay_ms = match &w.expression {
        e if is_column(e) => 0,
        ast::Expr::BinaryOp { left, op: BinaryOperator::Minus, right } if is_column(left) => {
            evaluate_ms(right).map_err(|f| f.at(w.at))?
        }
        other => {
            let column = &w.column.value;
            let what = format!("the watermark {other} is not {column} or {column} - INTERVAL ..");
            return Err(Fault::new(what).at(crate::ddl::place(other).or(Some(w.at))));
        }
    };
    if delay_ms < 0 {
        return Err(Fault::new("the watermark's delay is negative: it would be ahead of its rows").at(w.at));
    }
    Ok((time, delay_ms))
}
