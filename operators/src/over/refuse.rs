//! What no plan can be made of: results that would not be exact, and graphs that contradict themselves.

use super::lane::Kind;

use arrow::datatypes::{DataType, SchemaRef};
use highwater_engine::error::BuildError;
use highwater_engine::graph::types::sql_type;
use highwater_engine::graph::{Aggregate, AggregateFunction, Emission, Node, OverSpec};

/// Refuses what can't be computed exactly, and graphs that contradict themselves.
pub fn refuse(node: &Node, spec: &OverSpec, input: &SchemaRef) -> Result<(), BuildError> {
    let fail = |m: String| Err(BuildError::new(format!("{}: {m}", node.name)));
    for f in &spec.frames {
        if f.end_ms < 0 || f.start_ms < f.end_ms || f.rows.is_some_and(|r| r.first < r.last) {
            return fail(format!(
                "a frame from {} ms to {} ms before a row is not a trailing frame",
                f.start_ms, f.end_ms
            ));
        }
    }
    let columns = |a: &Aggregate| [a.argument, a.filter].into_iter().flatten().collect::<Vec<_>>();
    let named = spec.keys.iter().copied().chain(spec.calls.iter().flat_map(|c| columns(&c.aggregate)));
    if let Some(c) = named.into_iter().find(|c| *c >= input.fields().len()) {
        return fail(format!("column {c} of {} does not exist", input.fields().len()));
    }
    if let Some(k) = spec.keys.iter().find(|k| Kind::of(input.field(**k).data_type()).is_none()) {
        let f = input.field(*k);
        return fail(format!("{} of type {} can't be a key", f.name(), sql_type(f.data_type())));
    }
    let width = input.fields().len() + spec.calls.len() + spec.pseudo.len();
    if node.schema.fields().len() != width {
        return fail(format!("{} columns are declared, {width} are made", node.schema.fields().len()));
    }
    if !spec.pseudo.is_empty() && spec.emission == Emission::Final {
        return fail("is_late and is_incomplete exist under 'emit' = 'arrival' only".into());
    }
    for (i, call) in spec.calls.iter().enumerate() {
        refuse_call(&call.aggregate, input).or_else(|e| fail(e.message))?;
        let declared = node.schema.field(input.fields().len() + i);
        if call.frame >= spec.frames.len() {
            return fail(format!("{} names frame {} of {}", call.aggregate.label, call.frame, spec.frames.len()));
        }
        if declared.data_type() != &call.aggregate.returns {
            return fail(format!("{} is declared with another type than it returns", call.aggregate.label));
        }
        let nullable = call.aggregate.function != AggregateFunction::Count || spec.emission != Emission::Final;
        if nullable && !declared.is_nullable() {
            return fail(format!("{} can be NULL but is declared NOT NULL", call.aggregate.label));
        }
    }
    Ok(())
}

fn refuse_call(a: &Aggregate, input: &SchemaRef) -> Result<(), BuildError> {
    use AggregateFunction::*;
    let fail = |m: String| Err(BuildError::new(m));
    if let Some(f) = a.filter.filter(|f| input.field(*f).data_type() != &DataType::Boolean) {
        return fail(format!("the FILTER of {} is not BOOLEAN but {}", a.label, input.field(f).data_type()));
    }
    let Some(column) = a.argument else {
        return if a.function == Count { Ok(()) } else { fail(format!("{} has no argument", a.label)) };
    };
    let t = input.field(column).data_type();
    if a.function.adds() && matches!(t, DataType::Float32 | DataType::Float64) {
        return fail(format!(
            "{} OVER a frame adds {}, which is not exact when rows leave the frame; cast to DECIMAL(p, s)",
            a.label,
            sql_type(t)
        ));
    }
    if Kind::of(t).is_none() {
        return fail(format!("{} of type {} is not supported", a.label, sql_type(t)));
    }
    let wanted = match a.function {
        Count => &DataType::Int64,
        f if f.adds() || matches!(f, PercentileCont { .. }) => return Ok(()),
        _ => t,
    };
    if &a.returns != wanted {
        return fail(format!("{} returns {}, not {}", a.label, sql_type(wanted), sql_type(&a.returns)));
    }
    Ok(())
}
