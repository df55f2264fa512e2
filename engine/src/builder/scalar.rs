//! Expressions over the columns of a row, by name; typed when the step that holds them is built.
//!
//! `col("amount").gt(lit(100)) & !col("status").eq(lit("DECLINED"))`. Operands of different numeric types meet in their
//! common type; everything else wants a [`Scalar::cast`]. Results have Flink's types.

use super::BuilderError;
use crate::expr::{BinaryOp, Expr, IsTest, Literal};
use crate::graph::types::{PRECISION_MAX, as_decimal, product_of_decimals, sql_type, sum_of_decimals};
use arrow_schema::{DataType, Field, Schema};
use std::ops::{Add, BitAnd, BitOr, Mul, Neg, Not, Sub};

/// An expression over one row.
#[derive(Clone, Debug)]
pub struct Scalar {
    node: Node,
    name: Option<String>,
}

#[derive(Clone, Debug)]
enum Node {
    Column(String),
    Literal(Literal, DataType),
    Binary(BinaryOp, Box<Scalar>, Box<Scalar>),
    Not(Box<Scalar>),
    Negate(Box<Scalar>),
    IsNull(Box<Scalar>, bool),
    In(Box<Scalar>, Vec<Scalar>),
    Like(Box<Scalar>, String),
    Cast(Box<Scalar>, DataType),
}

impl From<Node> for Scalar {
    fn from(node: Node) -> Self {
        Self { node, name: None }
    }
}

/// The column of this name.
pub fn col(name: &str) -> Scalar {
    Node::Column(name.to_owned()).into()
}

/// A constant: an integer is BIGINT, a float DOUBLE, a text STRING, `(1250, 2)` the DECIMAL 12.50.
pub fn lit(value: impl Into<Scalar>) -> Scalar {
    value.into()
}

/// NULL of a type.
pub fn null(data_type: DataType) -> Scalar {
    Node::Literal(Literal::Null(data_type.clone()), data_type).into()
}

impl From<bool> for Scalar {
    fn from(v: bool) -> Self {
        Node::Literal(Literal::Boolean(v), DataType::Boolean).into()
    }
}
impl From<i64> for Scalar {
    fn from(v: i64) -> Self {
        Node::Literal(Literal::Integer(v, DataType::Int64), DataType::Int64).into()
    }
}
impl From<i32> for Scalar {
    fn from(v: i32) -> Self {
        i64::from(v).into()
    }
}
impl From<f64> for Scalar {
    fn from(v: f64) -> Self {
        Node::Literal(Literal::Double(v.to_bits()), DataType::Float64).into()
    }
}
impl From<&str> for Scalar {
    fn from(v: &str) -> Self {
        Node::Literal(Literal::Text(v.to_owned()), DataType::Utf8).into()
    }
}
/// The unscaled value and the scale.
impl From<(i128, u8)> for Scalar {
    fn from((v, scale): (i128, u8)) -> Self {
        let (precision, scale) = (PRECISION_MAX, scale as i8);
        Node::Literal(Literal::Decimal(v, precision, scale), DataType::Decimal128(precision, scale)).into()
    }
}

macro_rules! comparisons {
    ($($(#[$doc:meta])* $name:ident = $op:ident;)*) => {
        impl Scalar {$(
            $(#[$doc])*
            pub fn $name(self, other: Scalar) -> Scalar {
                Node::Binary(BinaryOp::$op, Box::new(self), Box::new(other)).into()
            }
        )*}
    };
}
comparisons! {
    /// Equal; NULL if an operand is NULL.
    eq = Equal;
    /// Not equal.
    ne = NotEqual;
    /// Less.
    lt = Less;
    /// Less or equal.
    le = LessOrEqual;
    /// Greater.
    gt = Greater;
    /// Greater or equal.
    ge = GreaterOrEqual;
}

macro_rules! operators {
    ($($trait:ident $method:ident $op:ident),*) => {$(
        impl $trait for Scalar {
            type Output = Scalar;
            fn $method(self, other: Scalar) -> Scalar {
                Node::Binary(BinaryOp::$op, Box::new(self), Box::new(other)).into()
            }
        }
    )*};
}
operators!(Add add Add, Sub sub Subtract, Mul mul Multiply, BitAnd bitand And, BitOr bitor Or);

impl Not for Scalar {
    type Output = Scalar;
    fn not(self) -> Scalar {
        Node::Not(Box::new(self)).into()
    }
}

impl Neg for Scalar {
    type Output = Scalar;
    fn neg(self) -> Scalar {
        Node::Negate(Box::new(self)).into()
    }
}

impl Scalar {
    /// The name of the column it becomes.
    pub fn named(mut self, name: impl Into<String>) -> Scalar {
        self.name = Some(name.into());
        self
    }
    /// Whether it is NULL.
    pub fn is_null(self) -> Scalar {
        Node::IsNull(Box::new(self), false).into()
    }
    /// Whether it is not NULL.
    pub fn is_not_null(self) -> Scalar {
        Node::IsNull(Box::new(self), true).into()
    }
    /// Whether it equals one of these constants.
    pub fn is_in<S: Into<Scalar>>(self, values: impl IntoIterator<Item = S>) -> Scalar {
        Node::In(Box::new(self), values.into_iter().map(Into::into).collect()).into()
    }
    /// Whether it matches a pattern, in which `%` is any text and `_` any one character.
    pub fn like(self, pattern: impl Into<String>) -> Scalar {
        Node::Like(Box::new(self), pattern.into()).into()
    }
    /// As another type. A value that does not fit makes the row a bad row.
    pub fn cast(self, to: DataType) -> Scalar {
        Node::Cast(Box::new(self), to).into()
    }

    /// The typed expression and the column it becomes, named after itself, its column, or its position.
    pub(super) fn resolve(&self, step: &str, schema: &Schema, at: usize) -> Result<(Expr, Field), BuilderError> {
        let typed = self.typed(step, schema)?;
        let own = match &self.node {
            Node::Column(name) => Some(name.clone()),
            _ => None,
        };
        let name = self.name.clone().or(own).unwrap_or_else(|| format!("column{at}"));
        Ok((typed.expr, Field::new(name, typed.data_type, typed.nullable)))
    }

    /// A condition.
    pub(super) fn resolve_condition(&self, step: &str, schema: &Schema) -> Result<Expr, BuilderError> {
        let typed = self.typed(step, schema)?;
        let wrong = || type_error(step, format!("a filter is BOOLEAN, not {}", sql_type(&typed.data_type)));
        if typed.data_type == DataType::Boolean { Ok(typed.expr.clone()) } else { Err(wrong()) }
    }

    fn typed(&self, step: &str, schema: &Schema) -> Result<Typed, BuilderError> {
        let boolean = |expr, nullable| Typed { expr, data_type: DataType::Boolean, nullable };
        Ok(match &self.node {
            Node::Column(name) => {
                let i = position(step, schema, name)?;
                let field = schema.field(i);
                Typed { expr: Expr::Column(i), data_type: field.data_type().clone(), nullable: field.is_nullable() }
            }
            Node::Literal(l, t) => {
                let nullable = matches!(l, Literal::Null(_));
                Typed { expr: Expr::Literal(l.clone()), data_type: t.clone(), nullable }
            }
            Node::Binary(op, l, r) => binary(step, *op, l.typed(step, schema)?, r.typed(step, schema)?)?,
            Node::Not(e) => {
                let e = e.typed(step, schema)?.expect(step, "NOT takes BOOLEAN", |t| *t == DataType::Boolean)?;
                boolean(Expr::Not(Box::new(e.expr)), e.nullable)
            }
            Node::Negate(e) => {
                let e = e.typed(step, schema)?.expect(step, "- takes a number", DataType::is_numeric)?;
                Typed { expr: Expr::Negate(Box::new(e.expr)), ..e }
            }
            Node::IsNull(e, negated) => {
                let expr = Box::new(e.typed(step, schema)?.expr);
                boolean(Expr::Is { expr, what: IsTest::Null, negated: *negated }, false)
            }
            Node::In(e, list) => {
                let e = e.typed(step, schema)?;
                let value = |v: &Scalar| Ok(v.typed(step, schema)?.coerce(step, &e.data_type)?.expr);
                let list = list.iter().map(value).collect::<Result<_, BuilderError>>()?;
                boolean(Expr::In { expr: Box::new(e.expr), list, negated: false }, e.nullable)
            }
            Node::Like(e, pattern) => {
                let e = e.typed(step, schema)?.expect(step, "LIKE takes STRING", |t| *t == DataType::Utf8)?;
                let pattern = Box::new(Expr::Literal(Literal::Text(pattern.clone())));
                boolean(Expr::Like { expr: Box::new(e.expr), pattern, escape: None, negated: false }, e.nullable)
            }
            Node::Cast(e, to) => e.typed(step, schema)?.cast(to),
        })
    }
}

/// An expression with its type.
struct Typed {
    expr: Expr,
    data_type: DataType,
    nullable: bool,
}

impl Typed {
    fn expect(self, step: &str, rule: &str, holds: impl Fn(&DataType) -> bool) -> Result<Typed, BuilderError> {
        let t = sql_type(&self.data_type);
        if holds(&self.data_type) { Ok(self) } else { Err(type_error(step, format!("{rule}, not {t}"))) }
    }

    fn cast(self, to: &DataType) -> Typed {
        let literal = match &self.expr {
            _ if self.data_type == *to => return self,
            Expr::Literal(l) => literal_as(l, to),
            _ => None,
        };
        let expr = match literal {
            Some(l) => Expr::Literal(l),
            None => Expr::Cast { expr: Box::new(self.expr), to: to.clone(), or_null: false },
        };
        Typed { expr, data_type: to.clone(), nullable: self.nullable }
    }

    /// As `to`, if their common type says so.
    fn coerce(self, step: &str, to: &DataType) -> Result<Typed, BuilderError> {
        match common(&self.data_type, to) {
            Some(_) => Ok(self.cast(to)),
            None => {
                let (a, b) = (sql_type(&self.data_type), sql_type(to));
                Err(type_error(step, format!("{a} and {b} can't be compared; cast one of them")))
            }
        }
    }
}

/// A constant of another exact type, where it fits.
fn literal_as(l: &Literal, to: &DataType) -> Option<Literal> {
    let (value, scale) = match l {
        Literal::Null(_) => return Some(Literal::Null(to.clone())),
        Literal::Integer(v, _) => (i128::from(*v), 0),
        Literal::Decimal(v, _, s) => (*v, *s),
        _ => return None,
    };
    match to {
        DataType::Decimal128(p, s) if *s >= scale => {
            let v = value.checked_mul(10i128.checked_pow((*s - scale) as u32)?)?;
            (v.unsigned_abs() < 10u128.pow(u32::from(*p))).then_some(Literal::Decimal(v, *p, *s))
        }
        DataType::Int64 if scale == 0 => Some(Literal::Integer(i64::try_from(value).ok()?, to.clone())),
        DataType::Int32 if scale == 0 => Some(Literal::Integer(i32::try_from(value).ok()?.into(), to.clone())),
        _ => None,
    }
}

/// The type in which two operands meet.
fn common(a: &DataType, b: &DataType) -> Option<DataType> {
    if a == b {
        return Some(a.clone());
    }
    if a.is_numeric() && b.is_numeric() && (a.is_floating() || b.is_floating()) {
        return Some(DataType::Float64);
    }
    let ((p1, s1), (p2, s2)) = (as_decimal(a)?, as_decimal(b)?);
    if a.is_integer() && b.is_integer() {
        return Some(if p1 > p2 { a.clone() } else { b.clone() });
    }
    let (scale, digits) = (s1.max(s2), (p1 as i8 - s1).max(p2 as i8 - s2));
    Some(DataType::Decimal128((digits + scale).min(PRECISION_MAX as i8) as u8, scale))
}

fn binary(step: &str, op: BinaryOp, l: Typed, r: Typed) -> Result<Typed, BuilderError> {
    use BinaryOp::*;
    let nullable = l.nullable || r.nullable;
    if matches!(op, And | Or) {
        let rule = "AND and OR take BOOLEAN";
        let l = l.expect(step, rule, |t| *t == DataType::Boolean)?;
        let r = r.expect(step, rule, |t| *t == DataType::Boolean)?;
        return Ok(Typed { expr: Expr::binary(op, l.expr, r.expr), data_type: DataType::Boolean, nullable });
    }
    let Some(meet) = common(&l.data_type, &r.data_type) else {
        let (a, b) = (sql_type(&l.data_type), sql_type(&r.data_type));
        return Err(type_error(step, format!("{op:?} of {a} and {b}; cast one of them")));
    };
    let arithmetic = matches!(op, Add | Subtract | Multiply);
    match (arithmetic, &meet) {
        (true, DataType::Decimal128(..)) => decimal_arithmetic(step, op, l, r),
        (true, t) if !t.is_numeric() => Err(type_error(step, format!("{op:?} of {}", sql_type(t)))),
        _ => {
            let data_type = if arithmetic { meet.clone() } else { DataType::Boolean };
            // A constant takes the column's own type where it fits: nothing is cast row by row.
            let meet = match (&l.expr, &r.expr) {
                (_, Expr::Literal(v)) if !arithmetic && literal_as(v, &l.data_type).is_some() => l.data_type.clone(),
                (Expr::Literal(v), _) if !arithmetic && literal_as(v, &r.data_type).is_some() => r.data_type.clone(),
                _ => meet,
            };
            Ok(Typed { expr: Expr::binary(op, l.cast(&meet).expr, r.cast(&meet).expr), data_type, nullable })
        }
    }
}

fn decimal_arithmetic(step: &str, op: BinaryOp, l: Typed, r: Typed) -> Result<Typed, BuilderError> {
    let operand = |t: &Typed| match &t.expr {
        // As narrow as the constant is: its digits count in the result.
        Expr::Literal(Literal::Decimal(v, _, s)) => Some((digits(*v).max(*s as u8), *s)),
        Expr::Literal(Literal::Integer(v, _)) => Some((digits(i128::from(*v)), 0)),
        _ => as_decimal(&t.data_type),
    };
    let (Some(a), Some(b)) = (operand(&l), operand(&r)) else {
        return Err(type_error(step, format!("{op:?} takes numbers")));
    };
    let (p, s) = if op == BinaryOp::Multiply { product_of_decimals(a, b) } else { sum_of_decimals(a, b) };
    let nullable = l.nullable || r.nullable;
    let cast = |t: Typed, (p, s)| t.cast(&DataType::Decimal128(p, s)).expr;
    Ok(Typed { expr: Expr::binary(op, cast(l, a), cast(r, b)), data_type: DataType::Decimal128(p, s), nullable })
}

fn digits(v: i128) -> u8 {
    v.unsigned_abs().checked_ilog10().map_or(1, |d| d as u8 + 1)
}

fn type_error(step: &str, message: String) -> BuilderError {
    BuilderError::Type { step: step.to_owned(), message }
}

/// The position of a column, or the error that names the nearest.
pub(super) fn position(step: &str, schema: &Schema, name: &str) -> Result<usize, BuilderError> {
    schema.fields().iter().position(|f| f.name() == name).ok_or_else(|| {
        let columns: Vec<String> = schema.fields().iter().map(|f| f.name().clone()).collect();
        let distance = |c: &&String| strsim::damerau_levenshtein(&name.to_lowercase(), &c.to_lowercase());
        let nearest = columns.iter().min_by_key(distance).filter(|c| distance(c) <= name.len().max(2) / 2).cloned();
        BuilderError::NoColumn { step: step.to_owned(), name: name.to_owned(), nearest, columns }
    })
}
