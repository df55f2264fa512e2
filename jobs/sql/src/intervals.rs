//! INTERVAL literals and their sums, evaluated on the syntax tree: frames, window sizes, watermark delays.
//!
//! Flink's forms: `INTERVAL '5' MINUTE[S]`, `INTERVAL '10.5' SECOND(3)`, `INTERVAL '1 10:00:00' DAY TO SECOND`,
//! `INTERVAL '1-2' YEAR TO MONTH`, a leading minus, and `interval ± interval`.

use crate::ddl::place;
use crate::diagnostic::{Fault, Result};
use sqlparser::ast::{self, BinaryOperator, DateTimeField, Expr, UnaryOperator, Value};

/// A constant interval. A day is 24 hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Constant {
    pub months: i64,
    pub ms: i64,
}

/// Units from large to small, and their lengths in months or milliseconds.
const UNITS: [(&str, i64, i64); 6] = [
    ("YEAR", 12, 0),
    ("MONTH", 1, 0),
    ("DAY", 0, 86_400_000),
    ("HOUR", 0, 3_600_000),
    ("MINUTE", 0, 60_000),
    ("SECOND", 0, 1_000),
];

/// The value of a constant interval expression.
pub(crate) fn evaluate(e: &Expr) -> Result<Constant> {
    let combine = |l: &Expr, r: &Expr, sign: i64| {
        let (l, r) = (evaluate(l)?, evaluate(r)?);
        let add = |a: i64, b: i64| b.checked_mul(sign).and_then(|b| a.checked_add(b));
        match (add(l.months, r.months), add(l.ms, r.ms)) {
            (Some(months), Some(ms)) => Ok(Constant { months, ms }),
            _ => Err(Fault::new(format!("{e} is too long")).at(place(e))),
        }
    };
    match e {
        Expr::Nested(e) => evaluate(e),
        Expr::Interval(i) => literal(i).map_err(|f| f.at(place(e))),
        Expr::BinaryOp { left, op: BinaryOperator::Plus, right } => combine(left, right, 1),
        Expr::BinaryOp { left, op: BinaryOperator::Minus, right } => combine(left, right, -1),
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => {
            let c = evaluate(expr)?;
            Ok(Constant { months: -c.months, ms: -c.ms })
        }
        other => Err(not_an_interval(other)),
    }
}

/// The value in milliseconds; months have no fixed length.
pub(crate) fn evaluate_ms(e: &Expr) -> Result<i64> {
    let c = evaluate(e)?;
    if c.months != 0 {
        let hint = "months and years have no fixed length; use days";
        return Err(Fault::new(format!("{e} is not a fixed length of time")).at(place(e)).hint(hint));
    }
    Ok(c.ms)
}

fn not_an_interval(e: &Expr) -> Fault {
    let fault = Fault::new(format!("expected an INTERVAL, found {e}")).at(place(e));
    match e {
        Expr::Value(v) => match &v.value {
            Value::Number(n, _) => fault.hint(format!("say the unit: INTERVAL '{n}' SECOND")),
            _ => fault,
        },
        _ => fault,
    }
}

fn literal(i: &ast::Interval) -> Result<Constant> {
    let wrong = || Fault::new(format!("{i} is not an interval")).hint("like INTERVAL '5' MINUTE");
    let text = match i.value.as_ref() {
        Expr::Value(v) => match &v.value {
            Value::SingleQuotedString(s) => s.clone(),
            Value::Number(n, _) => n.clone(),
            _ => return Err(wrong()),
        },
        _ => return Err(wrong()),
    };
    let text = text.trim();
    let (sign, text) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if let Some(c) = read_normal(text).filter(|_| i.leading_field.is_none()) {
        return Ok(Constant { months: c.months * sign, ms: c.ms * sign });
    }
    let Some(leading) = &i.leading_field else {
        return Err(Fault::new(format!("{i} has no unit")).hint("like INTERVAL '5' MINUTE"));
    };
    let Some(from) = unit(leading) else {
        return week_or_quarter(leading, text, sign).ok_or_else(wrong);
    };
    let to = match &i.last_field {
        Some(last) => unit(last).filter(|to| *to > from).ok_or_else(wrong)?,
        None => from,
    };
    let parts: Vec<&str> = if to == from { vec![text] } else { text.split(['-', ' ', ':']).collect() };
    if parts.len() != to - from + 1 {
        return Err(wrong());
    }
    let mut total = Constant { months: 0, ms: 0 };
    for (part, (name, months, ms)) in parts.iter().zip(&UNITS[from..=to]) {
        let value = if *name == "SECOND" { seconds_ms(part) } else { part.parse::<i64>().ok() }.ok_or_else(wrong)?;
        let ms = if *name == "SECOND" { 1 } else { *ms };
        let sum = |base: i64, unit: i64| value.checked_mul(unit * sign).and_then(|v| base.checked_add(v));
        total = Constant {
            months: sum(total.months, *months).ok_or_else(wrong)?,
            ms: sum(total.ms, ms).ok_or_else(wrong)?,
        };
    }
    Ok(total)
}

fn unit(field: &DateTimeField) -> Option<usize> {
    let name = field.to_string().to_uppercase();
    UNITS.iter().position(|(u, _, _)| name == *u || name.strip_suffix('S') == Some(u))
}

fn week_or_quarter(field: &DateTimeField, text: &str, sign: i64) -> Option<Constant> {
    let n = text.parse::<i64>().ok()?.checked_mul(sign)?;
    match field.to_string().to_uppercase().trim_end_matches('S') {
        "WEEK" => Some(Constant { months: 0, ms: n.checked_mul(7 * 86_400_000)? }),
        "QUARTER" => Some(Constant { months: n.checked_mul(3)?, ms: 0 }),
        "MILLISECOND" => Some(Constant { months: 0, ms: n }),
        _ => None,
    }
}

/// `10.5` is 10,500; at most three decimals.
fn seconds_ms(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 3 || !fraction.chars().all(|c| c.is_ascii_digit()) {
        return None;
    }
    let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let fraction: i64 = format!("{fraction:0<3}").parse().ok()?;
    whole.checked_mul(1_000)?.checked_add(fraction)
}

/// The same interval as a literal that the planner reads.
pub(crate) fn normal(c: Constant) -> ast::Interval {
    let text = match c {
        Constant { months: 0, ms } => format!("{ms} milliseconds"),
        Constant { months, ms: 0 } => format!("{months} months"),
        Constant { months, ms } => format!("{months} months {ms} milliseconds"),
    };
    ast::Interval {
        value: Box::new(Expr::Value(Value::SingleQuotedString(text).into())),
        leading_field: None,
        leading_precision: None,
        last_field: None,
        fractional_seconds_precision: None,
    }
}

/// What [`normal`] wrote, without its sign.
fn read_normal(text: &str) -> Option<Constant> {
    let words: Vec<&str> = text.split(' ').collect();
    match words.as_slice() {
        [ms, "milliseconds"] => Some(Constant { months: 0, ms: ms.parse().ok()? }),
        [months, "months"] => Some(Constant { months: months.parse().ok()?, ms: 0 }),
        [months, "months", ms, "milliseconds"] => Some(Constant { months: months.parse().ok()?, ms: ms.parse().ok()? }),
        _ => None,
    }
}

/// `1 h`, `90 s`, `1500 ms`: the largest unit that divides it.
pub(crate) fn show_ms(ms: i64) -> String {
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s")];
    match units.iter().find(|(u, _)| ms != 0 && ms % u == 0) {
        Some((u, name)) => format!("{} {name}", ms / u),
        None => format!("{ms} ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Flink;
    use sqlparser::parser::Parser;

    fn ms(text: &str) -> Result<i64> {
        evaluate_ms(&Parser::new(&Flink).try_with_sql(text).unwrap().parse_expr().unwrap())
    }

    #[test]
    fn flinks_forms() {
        for (text, expected) in [
            ("INTERVAL '5' MINUTE", 300_000),
            ("INTERVAL '5' MINUTES", 300_000),
            ("INTERVAL '10.5' SECOND", 10_500),
            ("INTERVAL '30' SECOND(3)", 30_000),
            ("INTERVAL '1 10:00:00' DAY TO SECOND", 122_400_000),
            ("INTERVAL '1 10:00:00.004' DAY TO SECOND", 122_400_004),
            ("INTERVAL '10:30' HOUR TO MINUTE", 37_800_000),
            ("INTERVAL '-2' HOUR", -7_200_000),
            ("INTERVAL '7' DAY - INTERVAL '1' SECOND", 604_799_000),
            ("(INTERVAL '1' WEEK)", 604_800_000),
        ] {
            assert_eq!(ms(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_length_of_time() {
        assert_eq!(ms("INTERVAL '1' MONTH").unwrap_err().message, "INTERVAL '1' MONTH is not a fixed length of time");
        assert_eq!(ms("3600").unwrap_err().hint.unwrap(), "say the unit: INTERVAL '3600' SECOND");
        assert!(ms("INTERVAL 'x' MINUTE").is_err());
        assert!(ms("INTERVAL '9223372036854775807' DAY").is_err());
        assert!(ms("INTERVAL '0.0001' SECOND").is_err());
    }
}
