//! Expressions against Flink's documented results and against naive models.
//!
//! [`show`] evaluates an expression twice: as written, and with its constants in columns, over rows among which it stands
//! alone and repeated. All must agree.

mod arithmetic;
mod casts;
mod functions;
mod hashes;
mod rows;
mod times;

use super::cast::print;
use super::*;
use arrow::array::UInt32Array;
use arrow::datatypes::{Field, TimeUnit};
use highwater_engine::expr::{BinaryOp, Literal};

pub(super) fn text(s: &str) -> Expr {
    Expr::Literal(Literal::Text(s.to_owned()))
}

pub(super) fn int(v: i64) -> Expr {
    Expr::Literal(Literal::Integer(v, DataType::Int32))
}

pub(super) fn big(v: i64) -> Expr {
    Expr::Literal(Literal::Integer(v, DataType::Int64))
}

pub(super) fn double(v: f64) -> Expr {
    Expr::Literal(Literal::Double(v.to_bits()))
}

/// A DECIMAL by its text: `1.50` has scale 2; with this precision.
pub(super) fn decimal(s: &str, precision: u8) -> Expr {
    let scale = s.split_once('.').map_or(0, |(_, f)| f.len()) as i8;
    Expr::Literal(Literal::Decimal(s.replace('.', "").parse().unwrap(), precision, scale))
}

pub(super) fn null(t: DataType) -> Expr {
    Expr::Literal(Literal::Null(t))
}

pub(super) fn yes(b: bool) -> Expr {
    Expr::Literal(Literal::Boolean(b))
}

pub(super) fn ms() -> DataType {
    DataType::Timestamp(TimeUnit::Millisecond, None)
}

pub(super) fn timestamp(s: &str) -> Expr {
    let ns = super::cast::parse::timestamp(s).unwrap();
    Expr::Literal(Literal::Timestamp((ns / 1_000_000) as i64, ms()))
}

pub(super) fn date(s: &str) -> Expr {
    Expr::Literal(Literal::Date(super::cast::parse::date(s).unwrap() as i32))
}

pub(super) fn cast(e: Expr, to: DataType) -> Expr {
    Expr::Cast { expr: Box::new(e), to, or_null: false }
}

pub(super) fn binary(op: BinaryOp, l: Expr, r: Expr) -> Expr {
    Expr::binary(op, l, r)
}

/// A call whose result type is what the function says it is.
pub(super) fn call(name: &str, args: Vec<Expr>) -> Expr {
    let empty = Schema::empty();
    let arguments: Vec<_> = args
        .iter()
        .map(|a| {
            let e = Expression::new(a, &empty).unwrap();
            let constant = match &e.program {
                Program::Constant(v) => Some(v.to_array_of_size(1).unwrap()),
                _ => None,
            };
            super::functions::Argument { data_type: e.data_type, constant }
        })
        .collect();
    let f = super::functions::function(name).unwrap_or_else(|| panic!("no function {name}"));
    let returns = f.typing(&arguments).unwrap().returns;
    Expr::Call { function: name.to_owned(), args, returns }
}

/// The value of a constant expression as a cast to STRING shows it, `NULL`, or `ERROR: reason`; or `BUILD: message`.
pub(super) fn show(e: &Expr) -> String {
    let one = RecordBatch::try_new_with_options(
        Arc::new(Schema::empty()),
        vec![],
        &arrow::array::RecordBatchOptions::new().with_row_count(Some(3)),
    )
    .unwrap();
    let written = match Expression::new(e, &Schema::empty()) {
        Ok(x) => display(&x, &one),
        Err(e) => return format!("BUILD: {}", e.message),
    };
    let mut columns = Vec::new();
    let moved = to_columns(e, &mut columns);
    let fields: Vec<_> =
        columns.iter().enumerate().map(|(i, c)| Field::new(format!("c{i}"), c.data_type().clone(), true)).collect();
    let schema = Arc::new(Schema::new(fields));
    // units, patterns and precisions must be constants: then there is nothing to compare
    if let Ok(x) = Expression::new(&moved, &schema)
        && !columns.is_empty()
    {
        let rows = UInt32Array::from(vec![0; 3]);
        let columns = columns.iter().map(|c| arrow::compute::take(c, &rows, None).unwrap()).collect();
        let batch = RecordBatch::try_new(schema, columns).unwrap();
        if *x.data_type() == *Expression::new(e, &Schema::empty()).unwrap().data_type() {
            assert_eq!(display(&x, &batch), written, "{} in columns", x.text());
        }
    }
    written
}

fn display(x: &Expression, batch: &RecordBatch) -> String {
    let out = x.evaluate(batch).unwrap();
    assert_eq!(out.array.data_type(), x.data_type(), "{}", x.text());
    assert_eq!(out.array.len(), batch.num_rows());
    let rows: Vec<String> = (0..batch.num_rows())
        .map(|i| match out.bad.iter().find(|(row, _)| *row == i) {
            Some((_, reason)) => format!("ERROR: {reason}"),
            None => print::display(&out.array, i),
        })
        .collect();
    assert!(rows.windows(2).all(|w| w[0] == w[1]), "{}: {rows:?}", x.text());
    rows[0].clone()
}

/// The expression with its constants (intervals and lists aside) moved to columns of one row.
fn to_columns(e: &Expr, columns: &mut Vec<ArrayRef>) -> Expr {
    let mut sub = |e: &Expr| Box::new(to_columns(e, columns));
    match e {
        Expr::Literal(Literal::Interval { .. }) => e.clone(),
        Expr::Literal(l) => {
            columns.push(super::lower::literal(l).unwrap().to_array_of_size(1).unwrap());
            Expr::Column(columns.len() - 1)
        }
        Expr::Binary { op, left, right } => Expr::Binary { op: *op, left: sub(left), right: sub(right) },
        Expr::Not(e) => Expr::Not(sub(e)),
        Expr::Negate(e) => Expr::Negate(sub(e)),
        Expr::Is { expr, what, negated } => Expr::Is { expr: sub(expr), what: *what, negated: *negated },
        Expr::Cast { expr, to, or_null } => Expr::Cast { expr: sub(expr), to: to.clone(), or_null: *or_null },
        Expr::In { expr, list, negated } => Expr::In { expr: sub(expr), list: list.clone(), negated: *negated },
        Expr::Like { expr, pattern, escape, negated } => {
            Expr::Like { expr: sub(expr), pattern: sub(pattern), escape: *escape, negated: *negated }
        }
        Expr::Case { branches, otherwise } => Expr::Case {
            branches: branches.iter().map(|(w, t)| (*sub(w), *sub(t))).collect(),
            otherwise: otherwise.as_ref().map(|e| sub(e)),
        },
        Expr::Call { function, args, returns } => Expr::Call {
            function: function.clone(),
            args: args.iter().map(|a| *sub(a)).collect(),
            returns: returns.clone(),
        },
        Expr::Column(_) => e.clone(),
    }
}

/// Checks a table of expressions and what they show.
pub(super) fn check(cases: &[(Expr, &str)]) {
    for (e, expected) in cases {
        assert_eq!(show(e), *expected, "{}", super::text::expression(e, &Schema::empty()));
    }
}
