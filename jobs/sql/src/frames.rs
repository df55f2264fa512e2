//! Window specifications of OVER, checked on the syntax tree where every part has its place.
//!
//! Accepted: `PARTITION BY …` `ORDER BY` the event time `RANGE BETWEEN INTERVAL … PRECEDING AND {CURRENT ROW | INTERVAL …
//! PRECEDING}`, also from the [`START OF`](crate::start_of) a period on, and `ROWS BETWEEN n PRECEDING AND {CURRENT ROW | m
//! PRECEDING}`. Everything else has no bound on its state,
//! or looks into the future, or comes in a later version.
//!
//! The parser knows no `EXCLUDE`. [`exclusion`] takes it out of the tokens: `EXCLUDE GROUP` behind `CURRENT ROW` is a frame
//! that ends 1 ms before it, as event times are milliseconds; `EXCLUDE CURRENT ROW` and `EXCLUDE TIES` leave bounds of
//! [`WITHOUT_CURRENT_NS`] and [`WITHOUT_TIES_NS`], which no text can say.

use crate::ddl::place;
use crate::diagnostic::{Fault, Result, Span};
use crate::intervals::{Constant, evaluate_ms, normal};
use crate::start_of::{self, Starts};
use crate::tokens::is_word;
use sqlparser::ast::{self, Expr, Value, WindowFrameBound, WindowFrameUnits, WindowSpec};
use sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

/// The upper bound of a frame that reaches up to the current row, but without it.
pub(crate) const WITHOUT_CURRENT_NS: i64 = 1;
/// The same of one without the peers of the current row.
pub(crate) const WITHOUT_TIES_NS: i64 = 2;
/// What stands for them in the text.
const WITHOUT_CURRENT: &str = "__without_current_row";
const WITHOUT_TIES: &str = "__without_ties";
/// Rows that a ROWS frame may span: they are scanned for every answer of a busy key.
pub(crate) const ROWS_MAX: i64 = 10_000;

const HINT: &str = "like RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW";

/// The faults of a window; its bounds become plain intervals. `unframed`: the function takes no frame.
pub(crate) fn check(spec: &mut WindowSpec, unframed: bool, at: Option<Span>, starts: &Starts) -> Vec<Fault> {
    let mut faults = Vec::new();
    let inherits = spec.window_name.is_some();
    match spec.order_by.as_slice() {
        [] if inherits => {}
        [] => faults.push(Fault::new("OVER needs ORDER BY the event time").at(at)),
        [one] => {
            if one.options.asc == Some(false) {
                faults
                    .push(Fault::new("OVER goes by ascending event time; DESC is not supported").at(place(&one.expr)));
            }
        }
        [_, second, ..] => {
            let what = "OVER is ordered by the event time alone";
            faults.push(Fault::new(what).at(place(&second.expr)).hint("equal times are peers"));
        }
    }
    match &mut spec.window_frame {
        None if inherits || unframed => {}
        None => {
            let what = "the frame has no lower bound (the default is UNBOUNDED PRECEDING): state without bound";
            faults.push(Fault::new(what).at(at).hint(HINT));
        }
        Some(frame) => {
            let units = frame.units;
            let start = start_of::bound(units, &mut frame.start_bound, starts);
            let start = start.unwrap_or_else(|| bound(units, &mut frame.start_bound, at));
            let end = |b: &mut _| start_of::not_an_end(b).and_then(|()| bound(units, b, at));
            let end = frame.end_bound.as_mut().map_or(Ok(0), end);
            match (start, end) {
                (Ok(start), Ok(end)) if start < end => {
                    let what = "the frame ends before it begins, so it is always empty";
                    faults.push(Fault::new(what).at(at).hint("the first bound is the older one"));
                }
                (start, end) => {
                    let both = [start.err(), end.err()];
                    faults.extend(both.into_iter().flatten().take(1));
                }
            }
        }
    }
    faults
}

/// Milliseconds, or rows, before the current row.
fn bound(units: WindowFrameUnits, b: &mut WindowFrameBound, at: Option<Span>) -> Result<i64> {
    match units {
        WindowFrameUnits::Range => {}
        WindowFrameUnits::Rows if !matches!(b, WindowFrameBound::Preceding(None) | WindowFrameBound::Following(_)) => {
            return rows(b, at);
        }
        WindowFrameUnits::Groups => {
            return Err(Fault::new("GROUPS frames are not supported; RANGE and ROWS are").at(at).hint(HINT));
        }
        WindowFrameUnits::Rows => {}
    }
    match b {
        WindowFrameBound::CurrentRow => Ok(0),
        WindowFrameBound::Preceding(None) => {
            Err(Fault::new("UNBOUNDED PRECEDING keeps every row of a key: state without bound").at(at).hint(HINT))
        }
        WindowFrameBound::Following(_) => {
            let hint = "frames end at the current row or before it";
            Err(Fault::new("FOLLOWING looks into the future").at(at).hint(hint))
        }
        WindowFrameBound::Preceding(Some(e)) if is_marker(e, WITHOUT_CURRENT) || is_marker(e, WITHOUT_TIES) => {
            let ties = is_marker(e, WITHOUT_TIES);
            let ns = if ties { WITHOUT_TIES_NS } else { WITHOUT_CURRENT_NS };
            let value = Value::SingleQuotedString(format!("{ns} nanoseconds")).into();
            **e = Expr::Interval(ast::Interval {
                value: Box::new(Expr::Value(value)),
                leading_field: None,
                leading_precision: None,
                last_field: None,
                fractional_seconds_precision: None,
            });
            Ok(i64::from(ties))
        }
        WindowFrameBound::Preceding(Some(e)) => {
            let ms = evaluate_ms(e).map_err(|f| unit_missing(f, e).at(at))?;
            if ms < 0 {
                let what = format!("{e} PRECEDING: a negative bound looks into the future");
                return Err(Fault::new(what).at(place(e.as_ref()).or(at)));
            }
            **e = Expr::Interval(normal(Constant { months: 0, ms }));
            Ok(ms)
        }
    }
}

/// Rows before the current row.
fn rows(b: &mut WindowFrameBound, at: Option<Span>) -> Result<i64> {
    let WindowFrameBound::Preceding(Some(e)) = b else { return Ok(0) };
    if is_marker(e, WITHOUT_CURRENT) {
        **e = Expr::Value(Value::Number("1".into(), false).into());
    }
    let number = match e.as_ref() {
        Expr::Value(v) => match &v.value {
            Value::Number(n, _) => n.parse::<i64>().ok(),
            _ => None,
        },
        _ => None,
    };
    match number {
        Some(n) if n <= ROWS_MAX => Ok(n),
        Some(n) => {
            let what = format!("a frame of {n} ROWS; the limit is {ROWS_MAX}");
            Err(Fault::new(what).at(place(e.as_ref()).or(at)).hint("a RANGE frame may hold any number of rows"))
        }
        None => {
            let what = format!("ROWS {e} PRECEDING: expected a number of rows");
            Err(Fault::new(what).at(place(e.as_ref()).or(at)).hint("a length of time belongs to RANGE"))
        }
    }
}

fn is_marker(e: &Expr, marker: &str) -> bool {
    matches!(e, Expr::Identifier(i) if i.value == marker)
}

/// Takes the `EXCLUDE` at token `i` out of its frame.
pub(crate) fn exclusion(tokens: &mut Vec<TokenWithSpan>, i: usize) -> Result<()> {
    let unit = (0..i).rev().find(|j| ["RANGE", "ROWS"].iter().any(|w| is_word(&tokens[*j].token, w)));
    let i = unit.map_or(i, |unit| with_both_bounds(tokens, unit, i));
    let at = Span::of(tokens[i].span);
    let word = |j: usize, w: &str| tokens.get(j).is_some_and(|t| is_word(&t.token, w));
    let of_rows = unit.is_some_and(|unit| word(unit, "ROWS"));
    let (what, length) = match () {
        () if word(i + 1, "NO") && word(i + 2, "OTHERS") => ("NO OTHERS", 3),
        () if word(i + 1, "CURRENT") && word(i + 2, "ROW") => ("CURRENT ROW", 3),
        () if word(i + 1, "GROUP") => ("GROUP", 2),
        () if word(i + 1, "TIES") => ("TIES", 2),
        () => {
            let what = "expected CURRENT ROW, GROUP, TIES or NO OTHERS behind EXCLUDE";
            return Err(Fault::new(what).at(at));
        }
    };
    let up_to_current = word(i - 2, "CURRENT") && word(i - 1, "ROW");
    let bound = match what {
        "NO OTHERS" => None,
        _ if !up_to_current => {
            let what = format!("the frame ends before the current row: EXCLUDE {what} excludes nothing");
            return Err(Fault::new(what).at(at).hint("leave it out"));
        }
        "GROUP" | "TIES" if of_rows => {
            let hint = "ROWS BETWEEN n PRECEDING AND 1 PRECEDING leaves the current row out";
            return Err(Fault::new(format!("EXCLUDE {what} in a frame of ROWS is not supported")).at(at).hint(hint));
        }
        "GROUP" => Some("INTERVAL '0.001' SECOND PRECEDING".to_string()),
        "TIES" => Some(format!("{WITHOUT_TIES} PRECEDING")),
        _ => Some(format!("{WITHOUT_CURRENT} PRECEDING")),
    };
    let from = if bound.is_some() { i - 2 } else { i };
    let place = tokens[i].span;
    let bound = bound.unwrap_or_default();
    let mut made = Tokenizer::new(&crate::dialect::Flink, &bound).tokenize().unwrap_or_default();
    made.retain(|t| !matches!(t, Token::Whitespace(_)));
    let made: Vec<TokenWithSpan> = made.into_iter().map(|t| TokenWithSpan::new(t, place)).collect();
    tokens.splice(from..i + length, made);
    Ok(())
}

/// A frame of one bound, from its `RANGE` or `ROWS` to what stands at `end`, is one of two that ends at the current row.
/// Returns where that stands now.
fn with_both_bounds(tokens: &mut Vec<TokenWithSpan>, unit: usize, end: usize) -> usize {
    if is_word(&tokens[unit + 1].token, "BETWEEN") {
        return end;
    }
    let place = tokens[end].span;
    let words = |text: &[&str]| -> Vec<_> {
        text.iter().map(|w| TokenWithSpan::new(Token::make_word(w, None), place)).collect()
    };
    tokens.splice(end..end, words(&["AND", "CURRENT", "ROW"]));
    tokens.splice(unit + 1..unit + 1, words(&["BETWEEN"]));
    end + 4
}

fn unit_missing(fault: Fault, e: &Expr) -> Fault {
    match e {
        Expr::Value(_) => {
            Fault { message: format!("RANGE {e} PRECEDING: over an event time a bound is an INTERVAL"), ..fault }
        }
        _ => fault,
    }
}
