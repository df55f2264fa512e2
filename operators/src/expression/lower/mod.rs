//! From the engine's plain expressions to physical ones, with every type checked.
//!
//! What Flink and DataFusion agree on becomes DataFusion's expression (checked arithmetic of integers, comparison, CASE,
//! IN, LIKE), everything else a kernel of ours. Where the graph's contract allows operands of different DECIMAL types they
//! are brought to one here; every other difference of types is a build error that names both.

mod arithmetic;
mod comparison;

use super::cast;
use super::functions::{Argument, function};
use super::kernel::Kernel;
use super::lazy::FirstValue;
use super::text;
use arithmetic::{arithmetic, negate};
use arrow::datatypes::{DataType, IntervalMonthDayNano, Schema, TimeUnit};
use comparison::{comparable, compare, like, logical, to_type};
use datafusion_common::ScalarValue;
use datafusion_expr::Operator;
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_expr::expressions as df;
use highwater_engine::error::BuildError;
use highwater_engine::expr::{BinaryOp, Expr, IsTest, Literal};
use highwater_engine::graph::types::sql_type;
use std::sync::Arc;

/// A lowered expression: how to compute it, its type, and whether some row may fail.
#[derive(Clone, Debug)]
pub struct Lowered {
    /// How to compute it.
    pub physical: Arc<dyn PhysicalExpr>,
    /// What it returns.
    pub data_type: DataType,
    /// Whether some row may fail.
    pub fallible: bool,
    /// Its value, if it is a constant.
    constant: Option<ScalarValue>,
}

impl Lowered {
    fn new(physical: Arc<dyn PhysicalExpr>, data_type: DataType, fallible: bool) -> Self {
        Self { physical, data_type, fallible, constant: None }
    }
    fn constant(value: ScalarValue) -> Self {
        let data_type = value.data_type();
        Self { physical: Arc::new(df::Literal::new(value.clone())), data_type, fallible: false, constant: Some(value) }
    }
    fn argument(&self) -> Result<Argument, String> {
        let constant = self.constant.as_ref().map(|c| c.to_array_of_size(1)).transpose();
        Ok(Argument { data_type: self.data_type.clone(), constant: constant.map_err(|e| e.to_string())? })
    }
}

/// Lowers expressions over one input schema.
pub struct Lowering<'a> {
    schema: &'a Schema,
}

impl<'a> Lowering<'a> {
    /// Over columns of `schema`.
    pub fn new(schema: &'a Schema) -> Self {
        Self { schema }
    }

    /// Lowers `e`; the error names the smallest part that is wrong.
    pub fn lower(&self, e: &Expr) -> Result<Lowered, BuildError> {
        match e {
            Expr::Column(i) => self.column(*i),
            Expr::Literal(l) => literal(l).map(Lowered::constant).map_err(|m| self.error(e, &m)),
            Expr::Binary { op, left, right } => {
                let (l, r) = (self.lower(left)?, self.lower(right)?);
                self.binary(*op, l, r).map_err(|m| self.error(e, &m))
            }
            Expr::Not(x) => {
                let x = self.boolean(x)?;
                Ok(Lowered::new(Arc::new(df::NotExpr::new(x.physical)), DataType::Boolean, x.fallible))
            }
            Expr::Negate(x) => negate(self.lower(x)?).map_err(|m| self.error(e, &m)),
            Expr::Is { expr, what, negated } => self.is(expr, *what, *negated),
            Expr::Case { branches, otherwise } => {
                let branches = branches
                    .iter()
                    .map(|(when, then)| Ok((self.boolean(when)?, self.lower(then)?)))
                    .collect::<Result<Vec<_>, BuildError>>()?;
                let otherwise = otherwise.as_ref().map(|x| self.lower(x)).transpose()?;
                case(branches, otherwise).map_err(|m| self.error(e, &m))
            }
            Expr::Cast { expr, to, or_null } => cast_to(self.lower(expr)?, to, *or_null).map_err(|m| self.error(e, &m)),
            Expr::In { expr, list, negated } => {
                let list = list.iter().map(|x| self.lower(x)).collect::<Result<Vec<_>, _>>()?;
                self.in_list(self.lower(expr)?, list, *negated).map_err(|m| self.error(e, &m))
            }
            Expr::Like { expr, pattern, escape, negated } => {
                like(self.lower(expr)?, self.lower(pattern)?, *escape, *negated).map_err(|m| self.error(e, &m))
            }
            Expr::Call { function, args, returns } => {
                let args = args.iter().map(|x| self.lower(x)).collect::<Result<Vec<_>, _>>()?;
                call(function, args, returns).map_err(|m| self.error(e, &m))
            }
        }
    }

    fn error(&self, e: &Expr, message: &str) -> BuildError {
        BuildError::new(format!("{}: {message}", text::expression(e, self.schema)))
    }

    fn column(&self, i: usize) -> Result<Lowered, BuildError> {
        let fields = self.schema.fields();
        let field = fields
            .get(i)
            .ok_or_else(|| BuildError::new(format!("column {i} does not exist: the input has {}", fields.len())))?;
        let physical = Arc::new(df::Column::new(field.name(), i));
        Ok(Lowered::new(physical, field.data_type().clone(), false))
    }

    fn boolean(&self, e: &Expr) -> Result<Lowered, BuildError> {
        let x = self.lower(e)?;
        match x.data_type {
            DataType::Boolean => Ok(x),
            ref t => Err(self.error(e, &format!("a condition must be BOOLEAN, this is {}", sql_type(t)))),
        }
    }

    fn is(&self, e: &Expr, what: IsTest, negated: bool) -> Result<Lowered, BuildError> {
        let x = if what == IsTest::Null { self.lower(e)? } else { self.boolean(e)? };
        let fallible = x.fallible;
        let physical: Arc<dyn PhysicalExpr> = match (what, negated) {
            (IsTest::Null, false) => Arc::new(df::IsNullExpr::new(x.physical)),
            (IsTest::Null, true) => Arc::new(df::IsNotNullExpr::new(x.physical)),
            (what, negated) => {
                let value = Arc::new(df::Literal::new(ScalarValue::from(what == IsTest::True)));
                let op = if negated { Operator::IsDistinctFrom } else { Operator::IsNotDistinctFrom };
                Arc::new(df::BinaryExpr::new(x.physical, op, value))
            }
        };
        Ok(Lowered::new(physical, DataType::Boolean, fallible))
    }

    fn binary(&self, op: BinaryOp, l: Lowered, r: Lowered) -> Result<Lowered, String> {
        match op {
            BinaryOp::And | BinaryOp::Or => logical(op, l, r),
            BinaryOp::Concat => call("concat", vec![l, r], &DataType::Utf8),
            BinaryOp::Add | BinaryOp::Subtract | BinaryOp::Multiply | BinaryOp::Divide | BinaryOp::Modulo => {
                arithmetic(op, l, r)
            }
            _ => compare(op, l, r),
        }
    }

    fn in_list(&self, x: Lowered, list: Vec<Lowered>, negated: bool) -> Result<Lowered, String> {
        let common = list.iter().try_fold(x.data_type.clone(), |t, item| comparable(&t, &item.data_type))?;
        let x = to_type(x, &common)?;
        let list = list.into_iter().map(|i| to_type(i, &common)).collect::<Result<Vec<_>, _>>()?;
        let fallible = x.fallible || list.iter().any(|i| i.fallible);
        let list = list.into_iter().map(|i| i.physical).collect();
        let physical = df::in_list(x.physical, list, &negated, self.schema).map_err(|e| e.strip_backtrace())?;
        Ok(Lowered::new(physical, DataType::Boolean, fallible))
    }
}

/// A constant.
pub fn literal(l: &Literal) -> Result<ScalarValue, String> {
    let misfit = |v: i64, t: &DataType| format!("{v} does not fit {}", sql_type(t));
    Ok(match l {
        Literal::Null(t) => ScalarValue::try_from(t).map_err(|e| e.strip_backtrace())?,
        Literal::Boolean(b) => ScalarValue::from(*b),
        Literal::Integer(v, t) => match t {
            DataType::Int8 => ScalarValue::Int8(Some(i8::try_from(*v).map_err(|_| misfit(*v, t))?)),
            DataType::Int16 => ScalarValue::Int16(Some(i16::try_from(*v).map_err(|_| misfit(*v, t))?)),
            DataType::Int32 => ScalarValue::Int32(Some(i32::try_from(*v).map_err(|_| misfit(*v, t))?)),
            DataType::Int64 => ScalarValue::Int64(Some(*v)),
            t => return Err(format!("{} is no integer type", sql_type(t))),
        },
        Literal::Decimal(v, p, s) => ScalarValue::Decimal128(Some(*v), *p, *s),
        Literal::Double(bits) => ScalarValue::Float64(Some(f64::from_bits(*bits))),
        Literal::Text(s) => ScalarValue::Utf8(Some(s.clone())),
        Literal::Bytes(b) => ScalarValue::Binary(Some(b.clone())),
        Literal::Timestamp(v, DataType::Timestamp(unit, zone)) => match unit {
            TimeUnit::Second => ScalarValue::TimestampSecond(Some(*v), zone.clone()),
            TimeUnit::Millisecond => ScalarValue::TimestampMillisecond(Some(*v), zone.clone()),
            TimeUnit::Microsecond => ScalarValue::TimestampMicrosecond(Some(*v), zone.clone()),
            TimeUnit::Nanosecond => ScalarValue::TimestampNanosecond(Some(*v), zone.clone()),
        },
        Literal::Timestamp(_, t) => return Err(format!("{} is no timestamp type", sql_type(t))),
        Literal::Date(d) => ScalarValue::Date32(Some(*d)),
        Literal::Time(v, t) => {
            let short = i32::try_from(*v).map_err(|_| misfit(*v, t));
            match t {
                DataType::Time32(TimeUnit::Second) => ScalarValue::Time32Second(Some(short?)),
                DataType::Time32(TimeUnit::Millisecond) => ScalarValue::Time32Millisecond(Some(short?)),
                DataType::Time64(TimeUnit::Microsecond) => ScalarValue::Time64Microsecond(Some(*v)),
                DataType::Time64(TimeUnit::Nanosecond) => ScalarValue::Time64Nanosecond(Some(*v)),
                t => return Err(format!("{} is no time type", sql_type(t))),
            }
        }
        Literal::Interval { months, days, ms } => {
            let ns = ms.checked_mul(1_000_000).ok_or("the interval is longer than 292 years of milliseconds")?;
            ScalarValue::IntervalMonthDayNano(Some(IntervalMonthDayNano::new(*months, *days, ns)))
        }
    })
}

fn case(branches: Vec<(Lowered, Lowered)>, otherwise: Option<Lowered>) -> Result<Lowered, String> {
    let results = branches.iter().map(|(_, then)| then).chain(&otherwise);
    let mut types = results.map(|x| &x.data_type);
    let Some(first) = types.next().cloned() else { return Err("CASE without WHEN".to_owned()) };
    if let Some(other) = types.find(|t| **t != first) {
        return Err(format!("the results are {} and {}; write CAST(.. AS ..)", sql_type(&first), sql_type(other)));
    }
    let fallible = branches.iter().any(|(w, t)| w.fallible || t.fallible) || otherwise.iter().any(|x| x.fallible);
    let branches = branches.into_iter().map(|(w, t)| (w.physical, t.physical)).collect();
    let physical = df::case(None, branches, otherwise.map(|x| x.physical)).map_err(|e| e.strip_backtrace())?;
    Ok(Lowered::new(physical, first, fallible))
}

fn cast_to(x: Lowered, to: &DataType, or_null: bool) -> Result<Lowered, String> {
    if x.data_type == *to {
        return Ok(x);
    }
    if matches!(&x.constant, Some(c) if c.is_null()) {
        return Ok(Lowered::constant(ScalarValue::try_from(to).map_err(|e| e.strip_backtrace())?));
    }
    let compute = cast::bind(&x.data_type, to)?;
    let compute = if or_null { cast::or_null(compute, to.clone()) } else { compute };
    let fallible = x.fallible || (!or_null && cast::fallible(&x.data_type, to));
    let physical = Kernel::call("cast", vec![x.physical], to.clone(), compute);
    Ok(Lowered::new(physical, to.clone(), fallible))
}

fn call(name: &str, args: Vec<Lowered>, returns: &DataType) -> Result<Lowered, String> {
    let f = function(name).ok_or_else(|| format!("unknown function {}", name.to_uppercase()))?;
    let arguments = args.iter().map(Lowered::argument).collect::<Result<Vec<_>, _>>()?;
    let typing = f.typing(&arguments)?;
    if typing.returns != *returns {
        let (expected, found) = (sql_type(returns), sql_type(&typing.returns));
        return Err(format!("{} returns {found}, the graph says {expected}", name.to_uppercase()));
    }
    let casts = args.into_iter().zip(&typing.args).map(|(x, t)| to_type(x, t));
    let mut args = casts.collect::<Result<Vec<_>, _>>()?;
    let any = args.iter().any(|a| a.fallible);
    match f.name() {
        "coalesce" | "ifnull" => {
            let args = args.into_iter().map(|a| a.physical).collect();
            Ok(Lowered::new(Arc::new(FirstValue { args, returns: returns.clone() }), returns.clone(), any))
        }
        "if" => {
            let otherwise = args.pop();
            let then = args.pop().into_iter();
            case(args.into_iter().zip(then).collect(), otherwise)
        }
        _ => {
            let arguments = args.iter().map(Lowered::argument).collect::<Result<Vec<_>, _>>()?;
            let compute = f.bind(&arguments, returns)?;
            let args = args.into_iter().map(|a| a.physical).collect();
            let physical = Kernel::call(name, args, returns.clone(), compute);
            Ok(Lowered::new(physical, returns.clone(), any || !f.is_total()))
        }
    }
}
