//! Filter and projection.
//!
//! A row passes if the filter is TRUE for it (not FALSE, not NULL); the projection is computed for the rows that pass only.
//! Stateless: rows keep their event time, lateness tag and identity, and their order.
//!
//! A row that fails an expression, or has NULL in a column that is NOT NULL, does not pass. While rows still carry the
//! identity their source gave them, it becomes a row of `t$errors` that names query, expression and reason; behind a
//! stateful step or a UNION there is no such row, and the job halts with an error that shows the row.
//!
//! Cost: a projection of columns without a filter copies nothing. A filter copies the columns that the projection reads,
//! once each.

use crate::expression::Expression;
use crate::expression::cast::print;
use crate::stateless::{self, Stateless};
use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::buffer::BooleanBuffer;
use arrow::compute::{FilterBuilder, FilterPredicate};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use highwater_engine::batch::{Batch, Identity, Selection};
use highwater_engine::error::{BuildError, OperatorError};
use highwater_engine::expr::Expr;
use highwater_engine::graph::types::sql_type;
use highwater_engine::graph::{MapSpec, Node};
use highwater_engine::operator::{BadRow, Operator, Output};
use highwater_engine::parts::{Projected, RowProgram};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The operator of `node`.
pub fn operator(node: &Node, spec: &MapSpec, input: &SchemaRef) -> Result<Box<dyn Operator>, BuildError> {
    let program = MapProgram::new(spec, input, &node.schema)?;
    Ok(stateless::operator(Map { program, step: node.name.clone() }))
}

/// A compiled filter and projection.
#[derive(Debug)]
pub struct MapProgram {
    query: String,
    filter: Option<Expression>,
    /// Input columns that the projection reads, ascending.
    reads: Vec<usize>,
    /// Their schema, over which `columns` are compiled.
    narrow: SchemaRef,
    columns: Vec<Expression>,
    output: SchemaRef,
}

impl MapProgram {
    /// Compiles `map` from rows of `input` to rows of `output`.
    ///
    /// # Errors
    /// An expression that does not compile, a filter that is not BOOLEAN, a column whose type is not the output's.
    pub fn new(map: &MapSpec, input: &SchemaRef, output: &SchemaRef) -> Result<Self, BuildError> {
        let fail = |m: String| BuildError::new(format!("{}: {m}", map.query));
        let compile = |e: &Expr, schema: &Schema| Expression::new(e, schema).map_err(|e| fail(e.message));
        let filter = map.filter.as_ref().map(|e| compile(e, input)).transpose()?;
        if let Some(f) = filter.as_ref().filter(|f| *f.data_type() != DataType::Boolean) {
            return Err(fail(format!("WHERE {} is {}, not BOOLEAN", f.text(), sql_type(f.data_type()))));
        }
        if map.columns.len() != output.fields().len() {
            return Err(fail(format!("{} columns instead of {}", map.columns.len(), output.fields().len())));
        }
        let reads = reads(&map.columns);
        if let Some(missing) = reads.iter().find(|i| **i >= input.fields().len()) {
            return Err(fail(format!("column {missing} does not exist: the input has {}", input.fields().len())));
        }
        let fields = reads.iter().map(|i| {
            let f = input.field(*i);
            Field::new(f.name(), f.data_type().clone(), true)
        });
        let narrow = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        // every column of the projection is in `reads`
        let at = |i: usize| reads.binary_search(&i).unwrap_or(i);
        let columns =
            map.columns.iter().map(|e| compile(&e.with_columns(&at), &narrow)).collect::<Result<Vec<_>, _>>()?;
        for (e, f) in columns.iter().zip(output.fields()) {
            if e.data_type() != f.data_type() {
                let (found, wanted) = (sql_type(e.data_type()), sql_type(f.data_type()));
                return Err(fail(format!("column {}: {} is {found}, not {wanted}", f.name(), e.text())));
            }
        }
        Ok(Self { query: map.query.clone(), filter, reads, narrow, columns, output: output.clone() })
    }

    /// Filters and projects bare columns.
    fn project(&self, input: &RecordBatch) -> Result<Projected, OperatorError> {
        let mut bad = Vec::new();
        let mut kept = None;
        let mut rows = input.num_rows();
        let mut columns = self.reads.iter().map(|i| column(input, *i)).collect::<Result<Vec<_>, _>>()?;
        if let Some(filter) = &self.filter {
            let (mask, failed) = filter.test(input)?;
            bad.extend(failed.into_iter().map(|(row, why)| (row, self.reason("WHERE ", filter.text(), &why))));
            let passed = mask.true_count();
            if passed < rows {
                keep(&mut columns, &mask)?;
                kept = Some(indices(mask.values(), passed));
                rows = passed;
            }
        }
        let narrow = batch(&self.narrow, columns, rows)?;
        let mut failed = Failed::default();
        let mut out = Vec::with_capacity(self.columns.len());
        for (e, field) in self.columns.iter().zip(self.output.fields()) {
            let value = e.evaluate(&narrow)?;
            for (row, why) in value.bad {
                failed.add(row, || self.reason("", e.text(), &why));
            }
            if !field.is_nullable() && value.array.null_count() > 0 {
                let nulls = (0..rows).filter(|i| value.array.is_null(*i));
                nulls.for_each(|row| failed.add(row, || self.reason("", field.name(), "NULL in a NOT NULL column")));
            }
            out.push(value.array);
        }
        if !failed.0.is_empty() {
            let good = failed.others(rows);
            keep(&mut out, &good)?;
            let before = |row: usize| kept.as_ref().map_or(row, |k: &UInt32Array| k.value(row) as usize);
            bad.extend(failed.0.into_iter().map(|(row, why)| (before(row), why)));
            bad.sort_by_key(|(row, _)| *row);
            rows = good.true_count();
            let left = indices(good.values(), rows);
            kept = Some(match kept {
                None => left,
                Some(k) => left.values().iter().map(|i| k.value(*i as usize)).collect(),
            });
        }
        Ok(Projected { columns: batch(&self.output, out, rows)?, kept, bad })
    }

    fn reason(&self, clause: &str, text: &str, why: &str) -> String {
        format!("{}: {clause}{text}: {why}", self.query)
    }
}

impl RowProgram for MapProgram {
    fn apply(&mut self, columns: &RecordBatch) -> Result<Projected, OperatorError> {
        self.project(columns)
    }
}

/// Rows that failed the projection, each with its first reason.
#[derive(Default)]
struct Failed(std::collections::BTreeMap<usize, String>);

impl Failed {
    fn add(&mut self, row: usize, why: impl FnOnce() -> String) {
        self.0.entry(row).or_insert_with(why);
    }
    /// The rows that did not fail.
    fn others(&self, rows: usize) -> BooleanArray {
        BooleanArray::new(BooleanBuffer::collect_bool(rows, |i| !self.0.contains_key(&i)), None)
    }
}

/// The columns that expressions read, ascending.
fn reads(expressions: &[Expr]) -> Vec<usize> {
    let mut reads = BTreeSet::new();
    for e in expressions {
        e.visit(&mut |e| {
            if let Expr::Column(i) = e {
                reads.insert(*i);
            }
        });
    }
    reads.into_iter().collect()
}

fn column(input: &RecordBatch, i: usize) -> Result<ArrayRef, OperatorError> {
    input.columns().get(i).cloned().ok_or_else(|| OperatorError::new(format!("the batch has no column {i}")))
}

/// Keeps the rows where `mask`, which has no NULL, is true.
fn keep(columns: &mut [ArrayRef], mask: &BooleanArray) -> Result<(), OperatorError> {
    let builder = FilterBuilder::new(mask);
    let predicate: FilterPredicate = if columns.len() > 1 { builder.optimize().build() } else { builder.build() };
    for c in columns {
        *c = predicate.filter(c).map_err(|e| OperatorError::new(e.to_string()))?;
    }
    Ok(())
}

/// Positions of the set bits.
fn indices(mask: &BooleanBuffer, count: usize) -> UInt32Array {
    let mut rows = Vec::with_capacity(count);
    rows.extend(mask.set_indices_u32());
    UInt32Array::from(rows)
}

fn batch(schema: &SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch, OperatorError> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options).map_err(|e| OperatorError::new(e.to_string()))
}

/// Filter and projection as a step.
struct Map {
    program: MapProgram,
    step: String,
}

impl Map {
    /// The `t$errors` row of a failed row, if the row still has its source's identity.
    fn bad_row(&self, batch: &Batch, row: usize, reason: String) -> Result<BadRow, OperatorError> {
        let Some(Identity::Partition(origin, selection)) = batch.identity() else {
            let shown = shown(batch.columns(), row);
            let message = format!(
                "{}: {reason}, on the row {shown}; the row has no place in an input any more: guard the expression \
                 (CASE, NULLIF, TRY_CAST) or compute it before the first stateful step",
                self.step
            );
            return Err(OperatorError::new(message));
        };
        let at = match selection {
            Selection::Run(first) => *first as usize + row,
            Selection::Rows(rows) => rows[row] as usize,
        };
        Ok(BadRow {
            source: origin.source,
            partition: origin.partition,
            offset: origin.offsets.at(at),
            reason,
            raw: None,
            watermark: origin.watermark_before(at),
        })
    }
}

/// A row as `name=value, ..`, cut to a readable length.
fn shown(columns: &RecordBatch, row: usize) -> String {
    let schema = columns.schema();
    let cells = schema.fields().iter().zip(columns.columns());
    let text = cells.map(|(f, c)| format!("{}={}", f.name(), print::display(c, row))).collect::<Vec<_>>().join(", ");
    match text.char_indices().nth(300) {
        Some((end, _)) => format!("({}..)", &text[..end]),
        None => format!("({text})"),
    }
}

impl Stateless for Map {
    fn on_batch(&mut self, batch: Batch, out: &mut Output) -> Result<(), OperatorError> {
        let Projected { columns, kept, bad } = self.program.project(batch.columns())?;
        for (row, reason) in bad {
            out.bad.push(self.bad_row(&batch, row, reason)?);
        }
        out.push(match kept {
            None => batch.with_columns(columns),
            Some(rows) => batch.take_as(&rows, columns),
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests;
