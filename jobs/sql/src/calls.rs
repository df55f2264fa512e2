//! Calls with an order or a share in them, read on the syntax tree, where the planner knows less.
//!
//! `PERCENTILE_CONT(p) WITHIN GROUP (ORDER BY x)` becomes `percentile_cont(x, 'p')`; `LISTAGG(x, ',' ORDER BY y DESC)`, or
//! with `WITHIN GROUP`, becomes `listagg(x, ',', y, 'DESC NULLS LAST')`. A share stays the text that was written: it is no
//! DECIMAL of the query. `LAG(x, n, y)` becomes `CASE WHEN LAG(TRUE, n) THEN LAG(x, n) ELSE y END`: where there is a row n
//! places back, its value, NULL or not.

use crate::ddl::place;
use crate::diagnostic::{Fault, Result};
use highwater_engine::graph::AggregateFunction;
use sqlparser::ast::{self, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, OrderByExpr, Value};

/// Digits of a share behind the point.
const SHARE_DIGITS: usize = 6;

/// Rewrites a call, if it is one of these.
pub(crate) fn ordered(f: &mut ast::Function, lower: &str) -> Result<()> {
    match lower {
        "percentile_cont" => percentile(f),
        "percentile" | "approx_percentile" => share_at(f, 1, lower),
        "listagg" => listagg(f),
        _ => Ok(()),
    }
}

fn percentile(f: &mut ast::Function) -> Result<()> {
    let hint = "PERCENTILE_CONT(0.95) WITHIN GROUP (ORDER BY amount)";
    let at = place(&f.name);
    let order = std::mem::take(&mut f.within_group);
    let [order] = order.as_slice() else {
        return Err(Fault::new("PERCENTILE_CONT needs WITHIN GROUP with one ORDER BY expression").at(at).hint(hint));
    };
    if order.options.asc == Some(false) {
        let what = "PERCENTILE_CONT goes by ascending values; DESC is not supported";
        return Err(Fault::new(what).at(place(&order.expr)).hint("1 - p is the same from the other end"));
    }
    share_at(f, 0, "percentile_cont")?;
    arguments(f).insert(0, argument(order.expr.clone()));
    Ok(())
}

/// The share among the arguments becomes a text.
fn share_at(f: &mut ast::Function, i: usize, lower: &str) -> Result<()> {
    let at = place(&f.name);
    let Some(given) = arguments(f).get_mut(i) else { return Ok(()) };
    let FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(v))) = given else {
        let what = format!("the share of {} is a number that is written out", lower.to_uppercase());
        return Err(Fault::new(what).at(place(given).or(at)).hint("like 0.95"));
    };
    if let Value::Number(n, _) = &v.value {
        millionths(n).map_err(|fault| fault.at(crate::diagnostic::Span::of(v.span)))?;
        *given = text(n.clone(), v.span);
    }
    Ok(())
}

/// A share as it is written, in millionths.
pub(crate) fn millionths(n: &str) -> Result<u32> {
    let wrong = || {
        let what = format!("a share is a number from 0 to 1 with at most {SHARE_DIGITS} digits, not {n}");
        Fault::new(what).hint("like 0.95")
    };
    let (whole, fraction) = n.split_once('.').unwrap_or((n, ""));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > SHARE_DIGITS || n.len() < 2 && whole.is_empty() {
        return Err(wrong());
    }
    let parts: u32 = format!("{fraction:0<SHARE_DIGITS$}").parse().map_err(|_| wrong())?;
    let whole: u32 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| wrong())? };
    match whole {
        0 => Ok(parts),
        1 if parts == 0 => Ok(10u32.pow(SHARE_DIGITS as u32)),
        _ => Err(wrong()),
    }
}

fn listagg(f: &mut ast::Function) -> Result<()> {
    let at = place(&f.name);
    let hint = "LISTAGG(country, ',' ORDER BY amount DESC)";
    let mut order = std::mem::take(&mut f.within_group);
    if let FunctionArguments::List(list) = &mut f.args {
        for clause in std::mem::take(&mut list.clauses) {
            match clause {
                ast::FunctionArgumentClause::OrderBy(by) if order.is_empty() => order = by,
                _ => return Err(Fault::new("LISTAGG: this clause of the call is not supported").at(at).hint(hint)),
            }
        }
    }
    let order = match order.as_slice() {
        [] => return Ok(()),
        [one] => one.clone(),
        _ => return Err(Fault::new("LISTAGG is ordered by one expression").at(at).hint(hint)),
    };
    let list = arguments(f);
    if list.len() == 1 {
        list.push(text(",".into(), sqlparser::tokenizer::Span::empty()));
    }
    list.push(argument(order.expr.clone()));
    list.push(text(order_text(&order), sqlparser::tokenizer::Span::empty()));
    Ok(())
}

/// `LAG` with a default: see the module.
pub(crate) fn with_default(e: &Expr) -> Option<Expr> {
    let Expr::Function(lag) = e else { return None };
    let FunctionArguments::List(list) = &lag.args else { return None };
    let [_, _, FunctionArg::Unnamed(FunctionArgExpr::Expr(default))] = list.args.as_slice() else { return None };
    if !lag.name.to_string().eq_ignore_ascii_case("lag") || lag.over.is_none() {
        return None;
    }
    let mut value = lag.clone();
    arguments(&mut value).truncate(2);
    let mut there = value.clone();
    arguments(&mut there)[0] = argument(Expr::Value(Value::Boolean(true).into()));
    let when = ast::CaseWhen { condition: Expr::Function(there), result: Expr::Function(value) };
    let empty = || sqlparser::ast::helpers::attached_token::AttachedToken::empty();
    Some(Expr::Case {
        case_token: empty(),
        end_token: empty(),
        operand: None,
        conditions: vec![when],
        else_result: Some(Box::new(default.clone())),
    })
}

fn order_text(order: &OrderByExpr) -> String {
    let descending = order.options.asc == Some(false);
    // NULL is the least value
    let nulls_first = order.options.nulls_first.unwrap_or(!descending);
    format!("{} {}", if descending { "DESC" } else { "ASC" }, if nulls_first { "NULLS FIRST" } else { "NULLS LAST" })
}

/// LISTAGG in the order that its last argument says.
pub(crate) fn listagg_in(order: Option<&str>) -> AggregateFunction {
    let order = order.unwrap_or("ASC NULLS FIRST");
    AggregateFunction::ListAgg { descending: order.starts_with("DESC"), nulls_first: order.ends_with("FIRST") }
}

fn arguments(f: &mut ast::Function) -> &mut Vec<FunctionArg> {
    if !matches!(f.args, FunctionArguments::List(_)) {
        let (duplicate_treatment, args, clauses) = (None, vec![], vec![]);
        f.args = FunctionArguments::List(ast::FunctionArgumentList { duplicate_treatment, args, clauses });
    }
    match &mut f.args {
        FunctionArguments::List(list) => &mut list.args,
        _ => unreachable!("it was made a list"),
    }
}

fn argument(e: Expr) -> FunctionArg {
    FunctionArg::Unnamed(FunctionArgExpr::Expr(e))
}

fn text(s: String, at: sqlparser::tokenizer::Span) -> FunctionArg {
    argument(Expr::Value(Value::SingleQuotedString(s).with_span(at)))
}

#[cfg(test)]
mod tests {
    use super::millionths;

    #[test]
    fn shares_are_read_digit_by_digit() {
        let is = |s: &str, m: u32| assert_eq!(millionths(s).ok(), Some(m), "{s}");
        is("0.95", 950_000);
        is("0", 0);
        is("1", 1_000_000);
        is("1.000", 1_000_000);
        is(".5", 500_000);
        is("0.000001", 1);
        for wrong in ["1.1", "2", "0.0000001", "1e-1", "", ".", "-0.5", "99999999999"] {
            assert!(millionths(wrong).is_err(), "{wrong}");
        }
    }
}
