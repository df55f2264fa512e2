//! Expressions and types as text, the way a user would write them: for errors and `explain`.

use super::cast::print;
use arrow::datatypes::{DataType, Schema};
use highwater_engine::expr::{BinaryOp, Expr, IsTest, Literal};
use highwater_engine::graph::types::sql_type;
use std::fmt::Write;

/// An expression over columns of `schema` as SQL.
pub fn expression(e: &Expr, schema: &Schema) -> String {
    let mut out = String::new();
    write(&mut out, e, schema);
    out
}

fn write(out: &mut String, e: &Expr, schema: &Schema) {
    let part = |e: &Expr| {
        let text = expression(e, schema);
        if matches!(e, Expr::Binary { .. } | Expr::Is { .. } | Expr::In { .. } | Expr::Like { .. }) {
            format!("({text})")
        } else {
            text
        }
    };
    let list = |l: &[Expr]| l.iter().map(|e| expression(e, schema)).collect::<Vec<_>>().join(", ");
    let not = |negated: &bool| if *negated { "NOT " } else { "" };
    // writing to a String can't fail
    let _ = match e {
        Expr::Column(i) => match schema.fields().get(*i) {
            Some(f) => write!(out, "{}", f.name()),
            None => write!(out, "column {i}"),
        },
        Expr::Literal(l) => write!(out, "{}", literal(l)),
        Expr::Binary { op, left, right } => write!(out, "{} {} {}", part(left), operator(*op), part(right)),
        Expr::Not(e) => write!(out, "NOT {}", part(e)),
        Expr::Negate(e) => write!(out, "-{}", part(e)),
        Expr::Is { expr, what, negated } => {
            let what = match what {
                IsTest::Null => "NULL",
                IsTest::True => "TRUE",
                IsTest::False => "FALSE",
            };
            write!(out, "{} IS {}{what}", part(expr), not(negated))
        }
        Expr::Case { branches, otherwise } => {
            out.push_str("CASE");
            for (when, then) in branches {
                let _ = write!(out, " WHEN {} THEN {}", expression(when, schema), expression(then, schema));
            }
            if let Some(e) = otherwise {
                let _ = write!(out, " ELSE {}", expression(e, schema));
            }
            write!(out, " END")
        }
        Expr::Cast { expr, to, or_null } => {
            let name = if *or_null { "TRY_CAST" } else { "CAST" };
            write!(out, "{name}({} AS {})", expression(expr, schema), sql_type(to))
        }
        Expr::In { expr, list: l, negated } => write!(out, "{} {}IN ({})", part(expr), not(negated), list(l)),
        Expr::Like { expr, pattern, escape, negated } => {
            let _ = write!(out, "{} {}LIKE {}", part(expr), not(negated), part(pattern));
            match escape {
                Some(c) => write!(out, " ESCAPE '{c}'"),
                None => Ok(()),
            }
        }
        Expr::Call { function, args, .. } => write!(out, "{}({})", function.to_uppercase(), list(args)),
    };
}

fn operator(op: BinaryOp) -> &'static str {
    match op {
        BinaryOp::Add => "+",
        BinaryOp::Subtract => "-",
        BinaryOp::Multiply => "*",
        BinaryOp::Divide => "/",
        BinaryOp::Modulo => "%",
        BinaryOp::Equal => "=",
        BinaryOp::NotEqual => "<>",
        BinaryOp::Less => "<",
        BinaryOp::LessOrEqual => "<=",
        BinaryOp::Greater => ">",
        BinaryOp::GreaterOrEqual => ">=",
        BinaryOp::And => "AND",
        BinaryOp::Or => "OR",
        BinaryOp::Concat => "||",
        BinaryOp::IsDistinctFrom => "IS DISTINCT FROM",
        BinaryOp::IsNotDistinctFrom => "IS NOT DISTINCT FROM",
    }
}

fn literal(l: &Literal) -> String {
    let mut out = String::new();
    let _ = match l {
        Literal::Null(_) => write!(out, "NULL"),
        Literal::Boolean(b) => write!(out, "{}", if *b { "TRUE" } else { "FALSE" }),
        Literal::Integer(v, _) => write!(out, "{v}"),
        Literal::Decimal(v, _, s) => decimal(&mut out, *v, *s),
        Literal::Double(bits) => print::double(&mut out, f64::from_bits(*bits)),
        Literal::Text(s) => write!(out, "'{}'", s.replace('\'', "''")),
        Literal::Bytes(b) => {
            out.push_str("X'");
            b.iter().for_each(|b| {
                let _ = write!(out, "{b:02X}");
            });
            write!(out, "'")
        }
        Literal::Timestamp(v, DataType::Timestamp(unit, _)) => {
            out.push_str("TIMESTAMP '");
            let _ = print::timestamp(&mut out, *v, *unit);
            write!(out, "'")
        }
        Literal::Timestamp(v, _) => write!(out, "{v}"),
        Literal::Date(d) => {
            out.push_str("DATE '");
            let _ = print::date(&mut out, i64::from(*d));
            write!(out, "'")
        }
        Literal::Time(v, DataType::Time32(unit) | DataType::Time64(unit)) => {
            out.push_str("TIME '");
            let _ = print::time(&mut out, *v, *unit);
            write!(out, "'")
        }
        Literal::Time(v, _) => write!(out, "{v}"),
        Literal::Interval { months, days, ms } => interval(&mut out, *months, *days, *ms),
    };
    out
}

fn decimal(out: &mut String, v: i128, scale: i8) -> std::fmt::Result {
    let scale = usize::try_from(scale).unwrap_or(0);
    let digits = format!("{:0>width$}", v.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    write!(out, "{}{whole}", if v < 0 { "-" } else { "" })?;
    if scale > 0 { write!(out, ".{fraction}") } else { Ok(()) }
}

fn interval(out: &mut String, months: i32, days: i32, ms: i64) -> std::fmt::Result {
    let mut parts = Vec::new();
    if months != 0 {
        parts.push(format!("INTERVAL '{months}' MONTH"));
    }
    if days != 0 {
        parts.push(format!("INTERVAL '{days}' DAY"));
    }
    if ms != 0 || parts.is_empty() {
        let mut seconds = String::new();
        decimal(&mut seconds, i128::from(ms), 3)?;
        let seconds = seconds.trim_end_matches('0').trim_end_matches('.').to_owned();
        parts.push(format!("INTERVAL '{}' SECOND", if seconds.is_empty() { "0" } else { &seconds }));
    }
    write!(out, "{}", parts.join(" + "))
}
