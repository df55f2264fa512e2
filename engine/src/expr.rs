//! Scalar expressions as plain data: small, serialisable, ours. What evaluates them lives with the operators.
//!
//! Every expression is typed when it is built: casts are explicit, both sides of an operator have the types the operator
//! takes. Arithmetic is checked: overflow makes the row a row of `t$errors`, never a wrapped value.

use arrow_schema::DataType;
use serde::{Deserialize, Serialize};

/// An expression over the columns of one row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Expr {
    /// Column by position in the input's schema.
    Column(usize),
    /// A constant.
    Literal(Literal),
    /// `left op right`. The operands' types are equal but for DECIMAL arithmetic and time ± interval.
    Binary {
        /// The operator.
        op: BinaryOp,
        /// Left operand.
        left: Box<Expr>,
        /// Right operand.
        right: Box<Expr>,
    },
    /// `NOT e`.
    Not(Box<Expr>),
    /// `-e`, checked.
    Negate(Box<Expr>),
    /// `e IS [NOT] NULL / TRUE / FALSE / UNKNOWN`.
    Is {
        /// The operand.
        expr: Box<Expr>,
        /// What is tested.
        what: IsTest,
        /// `IS NOT`.
        negated: bool,
    },
    /// `CASE WHEN .. THEN .. ELSE .. END`; a branch is evaluated only for the rows that reach it.
    Case {
        /// Conditions and results, tried in order.
        branches: Vec<(Expr, Expr)>,
        /// `ELSE`, else NULL.
        otherwise: Option<Box<Expr>>,
    },
    /// `CAST(e AS to)`; with `or_null` a value that does not fit gives NULL (`TRY_CAST`), else an error of the row.
    Cast {
        /// The operand.
        expr: Box<Expr>,
        /// The target type.
        to: DataType,
        /// `TRY_CAST`.
        or_null: bool,
    },
    /// `e [NOT] IN (literals)`.
    In {
        /// The operand.
        expr: Box<Expr>,
        /// The list.
        list: Vec<Expr>,
        /// `NOT IN`.
        negated: bool,
    },
    /// `e [NOT] LIKE pattern [ESCAPE c]`.
    Like {
        /// The operand.
        expr: Box<Expr>,
        /// The pattern.
        pattern: Box<Expr>,
        /// The escape character.
        escape: Option<char>,
        /// `NOT LIKE`.
        negated: bool,
    },
    /// A function by its registered lower-case name.
    Call {
        /// The name.
        function: String,
        /// The arguments.
        args: Vec<Expr>,
        /// The result type.
        returns: DataType,
    },
}

/// Binary operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum BinaryOp {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    And,
    Or,
    Concat,
    IsDistinctFrom,
    IsNotDistinctFrom,
}

/// Tests of `IS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum IsTest {
    Null,
    True,
    False,
}

/// A typed constant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Literal {
    /// NULL of a type.
    Null(DataType),
    /// BOOLEAN.
    Boolean(bool),
    /// TINYINT, SMALLINT, INT or BIGINT, by the type beside it.
    Integer(i64, DataType),
    /// DECIMAL(precision, scale), as the unscaled value.
    Decimal(i128, u8, i8),
    /// DOUBLE, by its bits so that data and equality are exact.
    Double(u64),
    /// STRING.
    Text(String),
    /// BYTES.
    Bytes(Vec<u8>),
    /// TIMESTAMP or TIMESTAMP_LTZ (a type with a zone), counted in the type's unit from the epoch.
    Timestamp(i64, DataType),
    /// DATE, days from the epoch.
    Date(i32),
    /// TIME, counted in the type's unit from midnight.
    Time(i64, DataType),
    /// INTERVAL: months, days and milliseconds apart, as SQL keeps them.
    Interval {
        /// Months.
        months: i32,
        /// Days.
        days: i32,
        /// Milliseconds.
        ms: i64,
    },
}

impl Expr {
    /// `left op right`.
    pub fn binary(op: BinaryOp, left: Expr, right: Expr) -> Expr {
        Expr::Binary { op, left: Box::new(left), right: Box::new(right) }
    }

    /// The expression with its columns at other positions.
    pub fn with_columns(&self, at: &impl Fn(usize) -> usize) -> Expr {
        let one = |e: &Expr| Box::new(e.with_columns(at));
        let many = |l: &[Expr]| l.iter().map(|e| e.with_columns(at)).collect();
        match self {
            Self::Column(i) => Self::Column(at(*i)),
            Self::Literal(_) => self.clone(),
            Self::Binary { op, left, right } => Self::Binary { op: *op, left: one(left), right: one(right) },
            Self::Not(e) => Self::Not(one(e)),
            Self::Negate(e) => Self::Negate(one(e)),
            Self::Is { expr, what, negated } => Self::Is { expr: one(expr), what: *what, negated: *negated },
            Self::Case { branches, otherwise } => Self::Case {
                branches: branches.iter().map(|(w, t)| (w.with_columns(at), t.with_columns(at))).collect(),
                otherwise: otherwise.as_ref().map(|e| one(e)),
            },
            Self::Cast { expr, to, or_null } => Self::Cast { expr: one(expr), to: to.clone(), or_null: *or_null },
            Self::In { expr, list, negated } => Self::In { expr: one(expr), list: many(list), negated: *negated },
            Self::Like { expr, pattern, escape, negated } => {
                Self::Like { expr: one(expr), pattern: one(pattern), escape: *escape, negated: *negated }
            }
            Self::Call { function, args, returns } => {
                Self::Call { function: function.clone(), args: many(args), returns: returns.clone() }
            }
        }
    }

    /// Calls `f` on this expression and everything below it.
    pub fn visit(&self, f: &mut impl FnMut(&Expr)) {
        f(self);
        match self {
            Self::Column(_) | Self::Literal(_) => {}
            Self::Binary { left, right, .. } => {
                left.visit(f);
                right.visit(f);
            }
            Self::Not(e) | Self::Negate(e) => e.visit(f),
            Self::Is { expr, .. } | Self::Cast { expr, .. } => expr.visit(f),
            Self::Case { branches, otherwise } => {
                for (when, then) in branches {
                    when.visit(f);
                    then.visit(f);
                }
                if let Some(e) = otherwise {
                    e.visit(f);
                }
            }
            Self::In { expr, list, .. } => {
                expr.visit(f);
                list.iter().for_each(|e| e.visit(f));
            }
            Self::Like { expr, pattern, .. } => {
                expr.visit(f);
                pattern.visit(f);
            }
            Self::Call { args, .. } => args.iter().for_each(|e| e.visit(f)),
        }
    }
}
