//! Planned expressions to expressions of the graph: positions instead of names, casts as written by the analyzer.

use crate::diagnostic::{Fault, Result};
use crate::functions::{PSEUDO, arithmetic};
use arrow_schema::DataType;
use datafusion_common::{DFSchema, ScalarValue};
use datafusion_expr::{Expr as Planned, ExprSchemable, Operator};
use highwater_engine::expr::{BinaryOp, Expr, IsTest, Literal};
use highwater_engine::graph::types::sql_type;

/// What the columns of the input are, and the pseudo-columns if it has them.
pub(crate) struct Scope<'a> {
    pub schema: &'a DFSchema,
    pub columns: &'a [Expr],
    pub pseudo: Option<&'a [Expr; 2]>,
}

#[allow(deprecated)]
fn is_star(e: &Planned) -> bool {
    matches!(e, Planned::Wildcard { .. })
}

impl Scope<'_> {
    /// Translates an expression over the input.
    pub fn expr(&self, e: &Planned) -> Result<Expr> {
        Ok(match e {
            Planned::Alias(a) => self.expr(&a.expr)?,
            Planned::Column(c) => {
                let i = self.schema.index_of_column(c).map_err(|e| Fault::new(e.strip_backtrace()))?;
                self.columns[i].clone()
            }
            Planned::Literal(v, _) => Expr::Literal(literal(v)?),
            Planned::BinaryExpr(b) => self.binary(&b.left, b.op, &b.right)?,
            Planned::Not(e) => Expr::Not(self.boxed(e)?),
            Planned::Negative(e) => Expr::Negate(self.boxed(e)?),
            Planned::IsNull(e) => self.is(e, IsTest::Null, false)?,
            Planned::IsNotNull(e) => self.is(e, IsTest::Null, true)?,
            Planned::IsUnknown(e) => self.is(e, IsTest::Null, false)?,
            Planned::IsNotUnknown(e) => self.is(e, IsTest::Null, true)?,
            Planned::IsTrue(e) => self.is(e, IsTest::True, false)?,
            Planned::IsNotTrue(e) => self.is(e, IsTest::True, true)?,
            Planned::IsFalse(e) => self.is(e, IsTest::False, false)?,
            Planned::IsNotFalse(e) => self.is(e, IsTest::False, true)?,
            Planned::Between(b) => {
                let (e, low, high) = (self.expr(&b.expr)?, self.expr(&b.low)?, self.expr(&b.high)?);
                let inside = and(
                    Expr::binary(BinaryOp::GreaterOrEqual, e.clone(), low),
                    Expr::binary(BinaryOp::LessOrEqual, e, high),
                );
                if b.negated { Expr::Not(Box::new(inside)) } else { inside }
            }
            Planned::Case(c) => self.case(c)?,
            Planned::Cast(c) => self.cast(&c.expr, c.field.data_type(), false)?,
            Planned::TryCast(c) => self.cast(&c.expr, c.field.data_type(), true)?,
            Planned::InList(l) => self.in_list(l)?,
            Planned::Like(l) if !l.case_insensitive => Expr::Like {
                expr: self.boxed(&l.expr)?,
                pattern: self.boxed(&l.pattern)?,
                escape: l.escape_char,
                negated: l.negated,
            },
            Planned::ScalarFunction(f) => self.call(e, f)?,
            Planned::WindowFunction(_) => {
                let fault = Fault::new("OVER stands in SELECT alone").at(crate::checks::place(e));
                return Err(fault.hint("compute it in an inner query, or filter with QUALIFY"));
            }
            other if is_star(other) => return Err(Fault::new("* is an argument of COUNT alone")),
            other => return Err(Fault::new(format!("{other} is not supported here"))),
        })
    }

    fn boxed(&self, e: &Planned) -> Result<Box<Expr>> {
        self.expr(e).map(Box::new)
    }
    fn is(&self, e: &Planned, what: IsTest, negated: bool) -> Result<Expr> {
        Ok(Expr::Is { expr: self.boxed(e)?, what, negated })
    }
    fn cast(&self, e: &Planned, to: &DataType, or_null: bool) -> Result<Expr> {
        Ok(Expr::Cast { expr: self.boxed(e)?, to: to.clone(), or_null })
    }
    fn type_of(&self, e: &Planned) -> Result<DataType> {
        e.get_type(self.schema).map_err(|e| Fault::new(e.strip_backtrace()))
    }

    fn binary(&self, left: &Planned, op: Operator, right: &Planned) -> Result<Expr> {
        let op = match op {
            Operator::Plus => BinaryOp::Add,
            Operator::Minus => BinaryOp::Subtract,
            Operator::Multiply => BinaryOp::Multiply,
            Operator::Divide => BinaryOp::Divide,
            Operator::Modulo => BinaryOp::Modulo,
            Operator::Eq => BinaryOp::Equal,
            Operator::NotEq => BinaryOp::NotEqual,
            Operator::Lt => BinaryOp::Less,
            Operator::LtEq => BinaryOp::LessOrEqual,
            Operator::Gt => BinaryOp::Greater,
            Operator::GtEq => BinaryOp::GreaterOrEqual,
            Operator::And => return Ok(and(self.expr(left)?, self.expr(right)?)),
            Operator::Or => return Ok(or(self.expr(left)?, self.expr(right)?)),
            Operator::StringConcat => BinaryOp::Concat,
            Operator::IsDistinctFrom => BinaryOp::IsDistinctFrom,
            Operator::IsNotDistinctFrom => BinaryOp::IsNotDistinctFrom,
            other => return Err(Fault::new(format!("operator {other} is not supported"))),
        };
        let (l, r) = (self.type_of(left)?, self.type_of(right)?);
        if op == BinaryOp::Subtract && matches!(l, DataType::Timestamp(..)) && matches!(r, DataType::Timestamp(..)) {
            let hint = "TIMESTAMPDIFF(SECOND, a, b) gives a number";
            return Err(Fault::new("the difference of two times is an INTERVAL, which no column has").hint(hint));
        }
        Ok(Expr::binary(op, self.expr(left)?, self.expr(right)?))
    }

    fn case(&self, c: &datafusion_expr::Case) -> Result<Expr> {
        let operand = c.expr.as_ref().map(|e| self.expr(e)).transpose()?;
        let mut branches = Vec::new();
        for (when, then) in &c.when_then_expr {
            let when = self.expr(when)?;
            let when = match &operand {
                Some(operand) => Expr::binary(BinaryOp::Equal, operand.clone(), when),
                None => when,
            };
            branches.push((when, self.expr(then)?));
        }
        Ok(Expr::Case { branches, otherwise: c.else_expr.as_ref().map(|e| self.boxed(e)).transpose()? })
    }

    fn in_list(&self, l: &datafusion_expr::expr::InList) -> Result<Expr> {
        let expr = self.expr(&l.expr)?;
        let list = l.list.iter().map(|e| self.expr(e)).collect::<Result<Vec<_>>>()?;
        if list.iter().all(|e| matches!(e, Expr::Literal(_))) {
            return Ok(Expr::In { expr: Box::new(expr), list, negated: l.negated });
        }
        let equal = list.into_iter().map(|e| Expr::binary(BinaryOp::Equal, expr.clone(), e));
        let any = equal.reduce(or).ok_or_else(|| Fault::new("IN () is empty"))?;
        Ok(if l.negated { Expr::Not(Box::new(any)) } else { any })
    }

    fn call(&self, whole: &Planned, f: &datafusion_expr::expr::ScalarFunction) -> Result<Expr> {
        if f.name() == PSEUDO {
            return self.pseudo_column(&f.args);
        }
        let args = f.args.iter().map(|e| self.expr(e)).collect::<Result<Vec<_>>>()?;
        if let Some(op) = arithmetic(f.name()) {
            let mut args = args.into_iter();
            return match (args.next(), args.next()) {
                (Some(l), Some(r)) => Ok(Expr::binary(op, l, r)),
                _ => Err(Fault::new(format!("{} has two operands", f.name()))),
            };
        }
        Ok(Expr::Call { function: f.name().to_string(), args, returns: self.type_of(whole)? })
    }

    fn pseudo_column(&self, args: &[Planned]) -> Result<Expr> {
        let text = |i: usize| match args.get(i) {
            Some(Planned::Literal(v, _)) => v.to_string(),
            _ => String::new(),
        };
        let (name, line, column) = (text(0), text(1).parse().unwrap_or(1), text(2).parse().unwrap_or(1));
        let end_column = column + name.chars().count() as u64;
        let at = crate::diagnostic::Span { line, column, end_line: line, end_column };
        match self.pseudo {
            Some(columns) => Ok(columns[usize::from(name == "is_incomplete")].clone()),
            None => {
                let what = format!("{name} is known only behind an OVER with emission at arrival");
                let hint = "the sink's option 'emit' = 'arrival'; a condition on it belongs into an outer query";
                Err(Fault::new(what).at(at).hint(hint))
            }
        }
    }
}

/// `a AND b`: the operators look at `b` only where `a` leaves the answer open.
pub(crate) fn and(a: Expr, b: Expr) -> Expr {
    Expr::binary(BinaryOp::And, a, b)
}

/// `a OR b`.
pub(crate) fn or(a: Expr, b: Expr) -> Expr {
    Expr::binary(BinaryOp::Or, a, b)
}

/// A filter behind a filter: a row that the first does not pass (false or NULL) never meets the second.
pub(crate) fn filter_and(first: Expr, second: Expr) -> Expr {
    if !may_fail(&second) {
        return Expr::binary(BinaryOp::And, first, second);
    }
    Expr::Case { branches: vec![(first, second)], otherwise: None }
}

/// Whether the expression can fail for a row whose neighbours are fine: divisions, casts, arithmetic, calls.
pub(crate) fn may_fail(e: &Expr) -> bool {
    let mut found = false;
    e.visit(&mut |e| {
        found |= match e {
            Expr::Binary { op, .. } => matches!(
                op,
                BinaryOp::Add | BinaryOp::Subtract | BinaryOp::Multiply | BinaryOp::Divide | BinaryOp::Modulo
            ),
            Expr::Cast { or_null, .. } => !or_null,
            Expr::Negate(_) | Expr::Call { .. } => true,
            _ => false,
        };
    });
    found
}

/// A constant of the plan.
pub(crate) fn literal(v: &ScalarValue) -> Result<Literal> {
    if v.is_null() {
        return Ok(Literal::Null(v.data_type()));
    }
    let whole = |n: i64| Literal::Integer(n, v.data_type());
    Ok(match v {
        ScalarValue::Boolean(Some(b)) => Literal::Boolean(*b),
        ScalarValue::Int8(Some(n)) => whole((*n).into()),
        ScalarValue::Int16(Some(n)) => whole((*n).into()),
        ScalarValue::Int32(Some(n)) => whole((*n).into()),
        ScalarValue::Int64(Some(n)) => whole(*n),
        ScalarValue::Decimal128(Some(n), p, s) => Literal::Decimal(*n, *p, *s),
        ScalarValue::Float64(Some(x)) => Literal::Double(x.to_bits()),
        ScalarValue::Utf8(Some(s)) => Literal::Text(s.clone()),
        ScalarValue::Binary(Some(b)) => Literal::Bytes(b.clone()),
        ScalarValue::Date32(Some(d)) => Literal::Date(*d),
        ScalarValue::Time32Second(Some(n)) | ScalarValue::Time32Millisecond(Some(n)) => {
            Literal::Time((*n).into(), v.data_type())
        }
        ScalarValue::Time64Microsecond(Some(n)) | ScalarValue::Time64Nanosecond(Some(n)) => {
            Literal::Time(*n, v.data_type())
        }
        ScalarValue::TimestampSecond(Some(n), _)
        | ScalarValue::TimestampMillisecond(Some(n), _)
        | ScalarValue::TimestampMicrosecond(Some(n), _)
        | ScalarValue::TimestampNanosecond(Some(n), _) => Literal::Timestamp(*n, v.data_type()),
        ScalarValue::IntervalMonthDayNano(Some(i)) if i.nanoseconds % 1_000_000 == 0 => {
            Literal::Interval { months: i.months, days: i.days, ms: i.nanoseconds / 1_000_000 }
        }
        other => {
            return Err(Fault::new(format!("a constant of type {} is not supported", sql_type(&other.data_type()))));
        }
    })
}
