//! The call of an aggregate: its function, arguments, DISTINCT, FILTER and label.

use super::Slots;
use super::expr::Scope;
use crate::calls;
use crate::diagnostic::{Fault, Result};
use crate::functions::aggregate_function;
use arrow_schema::{DataType, Field};
use datafusion_common::{DFSchema, ScalarValue};
use datafusion_expr::{Expr as Planned, ExprSchemable};
use highwater_engine::expr::Expr;
use highwater_engine::graph::types::function_name;
use highwater_engine::graph::{Aggregate, AggregateFunction};
use highwater_operators::expression::text;

/// An aggregate call of a plan, over columns of its input.
pub(super) struct Call {
    pub function: AggregateFunction,
    pub argument: Option<Expr>,
    pub argument_type: DataType,
    /// The argument as text: the name of its column.
    pub argument_text: String,
    /// What ARG_MIN and ARG_MAX compare, and the other column of others.
    pub by: Option<(Expr, Field)>,
    /// Of LISTAGG.
    pub separator: String,
    pub distinct: bool,
    pub filter: Option<Expr>,
    /// The filter as text: the name of its column.
    pub filter_text: String,
    pub label: String,
}

impl Call {
    /// Reads name, arguments, DISTINCT and FILTER.
    pub fn new(name: &str, args: &[Planned], distinct: bool, filter: Option<&Planned>, scope: &Scope) -> Result<Call> {
        let function = aggregate_function(name).ok_or_else(|| Fault::new(format!("{name} is not supported")))?;
        let filter_text = filter.map(|f| shown(f, scope.schema)).unwrap_or_default();
        let filtered = filter.map_or(String::new(), |_| format!(" FILTER (WHERE {filter_text})"));
        let filter = filter.map(|f| scope.expr(f)).transpose()?;
        let upper = function_name(function);
        let Some((arg, more)) = args.split_first() else {
            return Err(Fault::new(format!("{upper} takes an argument")));
        };
        let function = at_place(function, more).map_err(|f| f.at(crate::checks::place(arg)))?;
        if !function.takes_distinct() && distinct {
            return Err(Fault::new(format!("{upper} takes no DISTINCT")).at(crate::checks::place(arg)));
        }
        if matches!(function, AggregateFunction::Lag { .. }) && filter.is_some() {
            return Err(Fault::new("LAG takes no FILTER").at(crate::checks::place(arg)));
        }
        if name == "count" && !distinct && every_row(arg) {
            let label = format!("COUNT(*){filtered}");
            let argument_type = DataType::Null;
            let argument_text = String::new();
            return Ok(Call {
                function,
                argument: None,
                argument_type,
                argument_text,
                by: None,
                separator: String::new(),
                distinct,
                filter,
                filter_text,
                label,
            });
        }
        let argument_type = arg.get_type(scope.schema).map_err(|e| Fault::new(e.strip_backtrace()))?;
        let argument_text = shown(arg, scope.schema);
        let by = match function {
            AggregateFunction::ListAgg { .. } => more.get(1),
            f => more.first().filter(|_| f.reads_another() == Some(true)),
        };
        let by = by.map(|e| {
            let data_type = e.get_type(scope.schema).map_err(|e| Fault::new(e.strip_backtrace()))?;
            Ok((scope.expr(e)?, Field::new(shown(e, scope.schema), data_type, true)))
        });
        let by = by.transpose()?;
        let separator = match function {
            AggregateFunction::ListAgg { .. } => text_of(more.first()).map_err(|f| f.at(crate::checks::place(arg)))?,
            _ => String::new(),
        };
        let place = match function {
            AggregateFunction::ListAgg { .. } => list_label(&separator, more, by.as_ref().map(|(_, f)| f)),
            AggregateFunction::PercentileCont { .. } | AggregateFunction::ApproxPercentile { .. } => {
                text_of(more.first())
                    .map_or(String::new(), |p| if more.is_empty() { String::new() } else { format!(", {p}") })
            }
            _ if by.is_some() => by.iter().map(|(_, f)| format!(", {}", f.name())).collect(),
            AggregateFunction::NthValue { n } => format!(", {n}"),
            AggregateFunction::Lag { offset } if !more.is_empty() => format!(", {offset}"),
            _ => String::new(),
        };
        let upper = if name == "median" { "MEDIAN" } else { upper };
        let label = format!("{upper}({}{argument_text}{place}){filtered}", if distinct { "DISTINCT " } else { "" });
        Ok(Call {
            function,
            argument: Some(scope.expr(arg)?),
            argument_type,
            argument_text,
            by,
            separator,
            distinct,
            filter,
            filter_text,
            label,
        })
    }

    /// The call without its columns.
    pub fn as_aggregate(&self, returns: DataType) -> Aggregate {
        let Call { function, distinct, ref label, .. } = *self;
        Aggregate {
            function,
            argument: None,
            by: None,
            separator: String::new(),
            distinct,
            filter: None,
            returns,
            label: label.clone(),
        }
    }

    /// Puts the arguments into slots.
    pub fn placed(self, slots: &mut Slots, returns: DataType) -> Aggregate {
        let argument =
            self.argument.map(|e| slots.put(e, Field::new(&self.argument_text, self.argument_type.clone(), true)));
        let by = self.by.map(|(e, f)| slots.put(e, f));
        let name = self.filter_text;
        let filter = self.filter.map(|e| slots.put(e, Field::new(name, DataType::Boolean, true)));
        let Call { function, separator, distinct, label, .. } = self;
        Aggregate { function, argument, by, separator, distinct, filter, returns, label }
    }
}

/// Rows that LAG and NTH_VALUE may count at most.
const PLACE_MAX: i64 = 1_000_000;

/// The separator of LISTAGG, the share of a percentile: a text that is written out.
fn text_of(e: Option<&Planned>) -> Result<String> {
    match e {
        None => Ok(",".into()),
        Some(Planned::Literal(ScalarValue::Utf8(Some(s)), _)) => Ok(s.clone()),
        Some(_) => Err(Fault::new("the separator of LISTAGG is a text that is written out").hint("like ', '")),
    }
}

/// The arguments of LISTAGG behind the first.
fn list_label(separator: &str, more: &[Planned], by: Option<&Field>) -> String {
    let order = by.map(|f| format!(" ORDER BY {} {}", f.name(), text_of(more.get(2)).unwrap_or_default()));
    let separator = if more.is_empty() { String::new() } else { format!(", '{separator}'") };
    format!("{separator}{}", order.unwrap_or_default())
}

/// The function with the place, share or order that its further arguments name.
fn at_place(function: AggregateFunction, more: &[Planned]) -> Result<AggregateFunction> {
    let share = || calls::millionths(&text_of(more.first())?);
    let least = match function {
        AggregateFunction::PercentileCont { .. } if !more.is_empty() => {
            return Ok(AggregateFunction::PercentileCont { millionths: share()? });
        }
        AggregateFunction::ApproxPercentile { .. } => {
            return Ok(AggregateFunction::ApproxPercentile { millionths: share()? });
        }
        AggregateFunction::ListAgg { .. } => {
            let order = more.get(2).map(|e| text_of(Some(e))).transpose()?;
            return Ok(calls::listagg_in(order.as_deref()));
        }
        AggregateFunction::NthValue { .. } => 1,
        AggregateFunction::Lag { .. } => 0,
        _ => return Ok(function),
    };
    let given = match more {
        [] => return Ok(function),
        [Planned::Literal(ScalarValue::Int32(Some(n)), _), ..] => Some(i64::from(*n)),
        [Planned::Literal(ScalarValue::Int64(Some(n)), _), ..] => Some(*n),
        _ => None,
    };
    let Some(n) = given.filter(|n| (least..=PLACE_MAX).contains(n)) else {
        let what =
            format!("the second argument of {} is a number from {least} to {PLACE_MAX}", function_name(function));
        return Err(Fault::new(what).at(more.first().and_then(crate::checks::place)));
    };
    let n = n as u32;
    Ok(match function {
        AggregateFunction::NthValue { .. } => AggregateFunction::NthValue { n },
        _ => AggregateFunction::Lag { offset: n },
    })
}

/// `COUNT(*)`, `COUNT(1)`.
#[allow(deprecated)]
fn every_row(arg: &Planned) -> bool {
    match arg {
        Planned::Wildcard { .. } => true,
        Planned::Literal(v, _) => !v.is_null(),
        _ => false,
    }
}

/// Characters of an expression in the name of a column or call.
const SHOWN_MAX: usize = 80;

/// An expression as SQL, without qualifiers and the casts that the analyzer put around it.
pub(super) fn shown(e: &Planned, schema: &DFSchema) -> String {
    match e {
        Planned::Alias(a) => shown(&a.expr, schema),
        Planned::Cast(c) => shown(&c.expr, schema),
        other => {
            let columns: Vec<Expr> = (0..schema.fields().len()).map(Expr::Column).collect();
            let scope = Scope { schema, columns: &columns, pseudo: None };
            let text = scope.expr(other).map_or_else(|_| "…".into(), |e| text::expression(&e, schema.as_arrow()));
            match text.char_indices().nth(SHOWN_MAX) {
                Some((end, _)) => format!("{}…", &text[..end]),
                None => text,
            }
        }
    }
}
