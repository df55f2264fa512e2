//! `START OF DAY [AT TIME ZONE 'Europe/Berlin'] PRECEDING`: a bound of RANGE frames that SQL lacks.
//!
//! The parser knows no such bound. [`rewrite`] makes a call of a marker of it, whose words keep their places; [`bound`]
//! reads that and leaves an interval of months, which no other bound may be, for the planner to carry. Their number says
//! which of the job's [`Starts`] is meant.

use crate::ddl::place;
use crate::diagnostic::{Fault, Result, Span, nearest_text};
use crate::intervals::{Constant, normal};
use crate::tokens::is_word;
use crate::types::UTC;
use highwater_engine::graph::StartOf;
use highwater_operators::periods::{self, Periods};
use sqlparser::ast::{self, Expr, Value, WindowFrameBound, WindowFrameUnits};
use sqlparser::tokenizer::{Token, TokenWithSpan};
use std::cell::RefCell;

/// What stands for `START OF` in the text.
const MARKER: &str = "__start_of";
const HINT: &str = "like RANGE BETWEEN START OF DAY AT TIME ZONE 'Europe/Berlin' PRECEDING AND CURRENT ROW";

/// The starts that frames of a job begin with.
pub(crate) struct Starts {
    /// `table.local-time-zone`: of starts that name no zone.
    zone: String,
    all: RefCell<Vec<Start>>,
}

/// A start as the text has it.
#[derive(Clone)]
pub(crate) struct Start {
    pub start: StartOf,
    /// The longest time that its period lasts.
    pub longest_ms: i64,
    /// The text names the zone.
    stated: bool,
}

impl Start {
    /// The same over a TIMESTAMP(3): without a zone of its own it is that of UTC.
    pub fn without_zone(self) -> Self {
        match self.stated {
            true => self,
            false => Self { start: StartOf { zone: UTC.into(), ..self.start }, ..self },
        }
    }
}

impl Starts {
    /// None; those that name no zone will be of this one.
    pub fn new(zone: &str) -> Self {
        Self { zone: zone.to_owned(), all: RefCell::default() }
    }

    /// A start by its number.
    pub fn get(&self, number: i32) -> Option<Start> {
        let i = usize::try_from(number).ok()?.checked_sub(1)?;
        self.all.borrow().get(i).cloned()
    }

    /// The number of a start, above 0, and the longest time that its period lasts.
    fn number(&self, start: StartOf, stated: bool, periods: Periods) -> (i64, i64) {
        let mut all = self.all.borrow_mut();
        let i = all.iter().position(|s| s.start == start && s.stated == stated).unwrap_or_else(|| {
            all.push(Start { start, longest_ms: periods.longest_ms(), stated });
            all.len() - 1
        });
        (i as i64 + 1, all[i].longest_ms)
    }
}

/// Makes a call of `START OF unit [AT TIME ZONE 'zone']` at token `i`.
pub(crate) fn rewrite(tokens: &mut Vec<TokenWithSpan>, i: usize) -> Result<()> {
    let word = |j: usize, w: &str| tokens.get(j).is_some_and(|t| is_word(&t.token, w));
    let after = |j: usize| tokens.get(j).unwrap_or(&tokens[i]);
    let unit = after(i + 2);
    let Token::Word(name) = &unit.token else {
        return Err(Fault::new("expected DAY, WEEK, MONTH, QUARTER or YEAR behind START OF").at(Span::of(unit.span)));
    };
    let spanned = |token, like: &TokenWithSpan| TokenWithSpan::new(token, like.span);
    let mut call = vec![
        spanned(Token::make_word(MARKER, None), &tokens[i]),
        spanned(Token::LParen, unit),
        spanned(Token::SingleQuotedString(name.value.clone()), unit),
    ];
    let mut end = i + 3;
    if word(end, "AT") && word(end + 1, "TIME") && word(end + 2, "ZONE") {
        let zone = after(end + 3);
        if !matches!(zone.token, Token::SingleQuotedString(_)) {
            let what = "expected the name of a time zone behind AT TIME ZONE";
            return Err(Fault::new(what).at(Span::of(zone.span)).hint(HINT));
        }
        call.extend([spanned(Token::Comma, zone), zone.clone()]);
        end += 4;
    }
    call.push(spanned(Token::RParen, after(end - 1)));
    tokens.splice(i..end, call);
    Ok(())
}

/// The words of a bound, and where they stand.
struct Words {
    unit: (String, Option<Span>),
    zone: Option<(String, Option<Span>)>,
    follows: bool,
}

impl Words {
    fn of(b: &WindowFrameBound) -> Option<Self> {
        let (e, follows) = match b {
            WindowFrameBound::Preceding(Some(e)) => (e, false),
            WindowFrameBound::Following(Some(e)) => (e, true),
            _ => return None,
        };
        let Expr::Function(f) = e.as_ref() else { return None };
        let ast::FunctionArguments::List(list) = &f.args else { return None };
        if f.name.to_string() != MARKER {
            return None;
        }
        let mut texts = list.args.iter().filter_map(|a| match a {
            ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(e @ Expr::Value(v))) => match &v.value {
                Value::SingleQuotedString(text) => Some((text.clone(), place(e))),
                _ => None,
            },
            _ => None,
        });
        Some(Self { unit: texts.next()?, zone: texts.next(), follows })
    }

    fn start(&self, units: WindowFrameUnits, local: &str) -> Result<(StartOf, Periods)> {
        let (unit, at) = (&self.unit.0, self.unit.1);
        let upper = unit.to_uppercase();
        let Some((_, period)) = StartOf::PERIODS.into_iter().find(|(name, _)| *name == upper) else {
            let near = nearest_text(&upper, StartOf::PERIODS.map(|(name, _)| name));
            let what = format!("START OF {unit}: there is no such period{near}");
            return Err(Fault::new(what).at(at).hint("DAY, WEEK, MONTH, QUARTER or YEAR"));
        };
        if self.follows {
            let what = format!("START OF {upper} FOLLOWING looks into the future");
            return Err(Fault::new(what).at(at).hint(HINT));
        }
        if units != WindowFrameUnits::Range {
            let what = format!("START OF {upper} is a time: it begins a frame of RANGE, not of {units}");
            return Err(Fault::new(what).at(at).hint(HINT));
        }
        let (zone, zone_at) = self.zone.clone().unwrap_or_else(|| (local.to_owned(), at));
        periods::zone(&zone).map_err(|e| Fault::new(e.message).at(zone_at).hint(HINT))?;
        let start = StartOf { period, zone };
        let periods = Periods::of(&start).map_err(|e| Fault::new(e.message).at(zone_at))?;
        Ok((start, periods))
    }
}

/// Reads the bound that a frame begins with, if it is such a start: it becomes an interval of so many months as the
/// start's number says. Answers the longest time that the period lasts, in ms.
pub(crate) fn bound(units: WindowFrameUnits, b: &mut WindowFrameBound, starts: &Starts) -> Option<Result<i64>> {
    let words = Words::of(b)?;
    *b = WindowFrameBound::CurrentRow;
    Some(words.start(units, &starts.zone).map(|(start, periods)| {
        let (months, longest_ms) = starts.number(start, words.zone.is_some(), periods);
        let interval = Expr::Interval(normal(Constant { months, ms: 0 }));
        *b = WindowFrameBound::Preceding(Some(Box::new(interval)));
        longest_ms
    }))
}

/// Refuses a start as the bound that a frame ends with.
pub(crate) fn not_an_end(b: &mut WindowFrameBound) -> Result<()> {
    let Some(Words { unit: (unit, at), .. }) = Words::of(b) else { return Ok(()) };
    *b = WindowFrameBound::CurrentRow;
    let what = format!("START OF {} can begin a frame, not end it", unit.to_uppercase());
    Err(Fault::new(what).at(at).hint(HINT))
}
