//! Window specifications of OVER, checked on the syntax tree where every part has its place.
//!
//! Accepted: `PARTITION BY …` `ORDER BY` the event time `RANGE BETWEEN INTERVAL … PRECEDING AND {CURRENT ROW | INTERVAL …
//! PRECEDING}`. Everything else has no bound on its state, or looks into the future, or comes in a later version.

use crate::ddl::place;
use crate::diagnostic::{Fault, Result, Span};
use crate::intervals::{Constant, evaluate_ms, normal};
use sqlparser::ast::{Expr, WindowFrameBound, WindowFrameUnits, WindowSpec};

const HINT: &str = "like RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW";

/// The faults of a window; its bounds become plain intervals.
pub(crate) fn check(spec: &mut WindowSpec, at: Option<Span>) -> Vec<Fault> {
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
        None if inherits => {}
        None => {
            let what = "the frame has no lower bound (the default is UNBOUNDED PRECEDING): state without bound";
            faults.push(Fault::new(what).at(at).hint(HINT));
        }
        Some(frame) => {
            let units = frame.units;
            let start = bound(units, &mut frame.start_bound, at);
            let end = frame.end_bound.as_mut().map_or(Ok(0), |b| bound(units, b, at));
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

/// Milliseconds before the current row.
fn bound(units: WindowFrameUnits, b: &mut WindowFrameBound, at: Option<Span>) -> Result<i64> {
    if units != WindowFrameUnits::Range {
        let unbounded = matches!(b, WindowFrameBound::Preceding(None));
        let what = if unbounded {
            format!("{units} UNBOUNDED PRECEDING keeps every row: state without bound")
        } else {
            format!("{units} frames are not supported in this version")
        };
        return Err(Fault::new(what).at(at).hint(HINT));
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

fn unit_missing(fault: Fault, e: &Expr) -> Fault {
    match e {
        Expr::Value(_) => {
            Fault { message: format!("RANGE {e} PRECEDING: over an event time a bound is an INTERVAL"), ..fault }
        }
        _ => fault,
    }
}
