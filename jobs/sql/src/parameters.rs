//! `${name}`: a literal that is given from outside the text.
//!
//! A value becomes the tokens of one literal, and of nothing else: a number, `TRUE`, `FALSE`, `NULL`, `DATE '..'`, `TIME '..'`,
//! `TIMESTAMP '..'`, `INTERVAL '..' UNIT`, or a text. What has another shape is a text as a whole, so a value can't bring SQL
//! into the job. `SET 'parameter.name' = '..'` in the file gives a value and its kind: what beats it must be of that kind.
//! In a string `${..}` stays as it is: `${env:NAME}` and `${file:PATH}` of options are read where they are used.

use crate::Overrides;
use crate::diagnostic::{Fault, Result, Span, nearest_text};
use crate::dialect::Flink;
use crate::tokens::{Chunk, is_word};
use sqlparser::tokenizer::{Span as Range, Token, TokenWithSpan, Tokenizer};
use std::collections::{BTreeMap, BTreeSet};

/// What keys of parameters begin with.
pub const PREFIX: &str = "parameter.";

/// Bytes of a value.
const VALUE_BYTES_MAX: usize = 64 << 10;

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Number,
    Boolean,
    Null,
    Date,
    Time,
    Timestamp,
    Interval,
    Text,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Number => "a number",
            Kind::Boolean => "a boolean",
            Kind::Null => "NULL",
            Kind::Date => "a DATE",
            Kind::Time => "a TIME",
            Kind::Timestamp => "a TIMESTAMP",
            Kind::Interval => "an INTERVAL",
            Kind::Text => "a text",
        }
    }
}

/// A value: its tokens, without places.
#[derive(Clone, Debug)]
struct Given {
    kind: Kind,
    tokens: Vec<Token>,
}

/// Puts the values of parameters into the text; `faults` are theirs. Values that are given and used nowhere are faults too,
/// but for those of the environment and of TOML, which more jobs than one read.
pub(crate) fn fill(chunks: &mut [Chunk], overrides: &Overrides, faults: &mut Vec<Fault>) {
    let declared = declared(chunks);
    let mut known: BTreeMap<String, Result<Given>> = BTreeMap::new();
    let layers = [&overrides.defaults, &BTreeMap::new(), &overrides.environment, &overrides.set];
    let of = |layer: usize| layers[layer].iter().filter_map(|(k, v)| Some((k.strip_prefix(PREFIX)?, v)));
    of(0).for_each(|(name, v)| drop(known.insert(name.to_owned(), given(name, v, None))));
    for (name, (value, at)) in &declared {
        known.insert(name.clone(), given(name, value, None).map_err(|f| f.at(*at)));
    }
    for (name, value) in of(2).chain(of(3)) {
        let kind = declared.get(name).and_then(|(v, _)| given(name, v, None).ok()).map(|g| g.kind);
        known.insert(name.to_owned(), given(name, value, kind));
    }
    let mut used = BTreeSet::new();
    for chunk in chunks {
        fill_one(&mut chunk.tokens, &known, &mut used, faults);
    }
    for (name, (_, at)) in declared.iter().filter(|(name, _)| !used.contains(*name)) {
        faults.push(unused(name, &used).at(*at));
    }
    let outside = Span { line: 0, column: 0, end_line: 0, end_column: 0 };
    for (name, _) in of(3).filter(|(name, _)| !used.contains(*name) && !declared.contains_key(*name)) {
        faults.push(unused(name, &used).at(outside));
    }
}

fn unused(name: &str, used: &BTreeSet<String>) -> Fault {
    let near = nearest_text(name, used.iter().map(String::as_str));
    Fault::new(format!("the job has no parameter {name}{near}")).hint(format!("it is used as ${{{name}}}"))
}

/// `SET 'parameter.name' = 'value'` in the text.
fn declared(chunks: &[Chunk]) -> BTreeMap<String, (String, Span)> {
    let mut all = BTreeMap::new();
    for chunk in chunks {
        let [set, key, eq, value, _] = chunk.tokens.as_slice() else { continue };
        if let (true, Token::SingleQuotedString(k), Token::Eq, Token::SingleQuotedString(v)) =
            (is_word(&set.token, "SET"), &key.token, &eq.token, &value.token)
            && let Some(name) = k.strip_prefix(PREFIX)
        {
            let at = Span::of(value.span).unwrap_or(Span::at(1, 1));
            all.insert(name.to_owned(), (v.clone(), at));
        }
    }
    all
}

fn fill_one(
    tokens: &mut Vec<TokenWithSpan>,
    known: &BTreeMap<String, Result<Given>>,
    used: &mut BTreeSet<String>,
    faults: &mut Vec<Fault>,
) {
    let mut i = 0;
    while i < tokens.len() {
        let Some((name, range)) = parameter(&tokens[i..]) else {
            i += 1;
            continue;
        };
        let at = Span::of(range);
        used.insert(name.clone());
        let value = match known.get(&name) {
            Some(Ok(given)) => given.tokens.clone(),
            Some(Err(fault)) => {
                faults.push(fault.clone().at(at));
                vec![word("NULL")]
            }
            None => {
                faults.push(missing(&name, known).at(at));
                vec![word("NULL")]
            }
        };
        let value: Vec<_> = value.into_iter().map(|t| TokenWithSpan::new(t, range)).collect();
        let n = value.len();
        tokens.splice(i..i + 4, value);
        i += n;
    }
}

fn missing(name: &str, known: &BTreeMap<String, Result<Given>>) -> Fault {
    let near = nearest_text(name, known.keys().map(String::as_str));
    Fault::new(format!("parameter {name} has no value{near}"))
        .hint(format!("-D {PREFIX}{name}=.. or SET '{PREFIX}{name}' = '..'"))
}

/// The name in `${name}`, if that is where these tokens begin.
fn parameter(tokens: &[TokenWithSpan]) -> Option<(String, Range)> {
    let [dollar, open, name, close, ..] = tokens else { return None };
    let (Token::Placeholder(d), Token::LBrace, Token::Word(w), Token::RBrace) =
        (&dollar.token, &open.token, &name.token, &close.token)
    else {
        return None;
    };
    let plain = d == "$" && w.quote_style.is_none();
    plain.then(|| (w.value.clone(), Range::new(dollar.span.start, close.span.end)))
}

/// Reads a value; of the kind that the file's own has, if it has one.
fn given(name: &str, value: &str, wanted: Option<Kind>) -> Result<Given> {
    if value.len() > VALUE_BYTES_MAX || value.contains('\0') {
        return Err(Fault::new(format!("parameter {name} is no text of at most {VALUE_BYTES_MAX} bytes")));
    }
    let text = || Given { kind: Kind::Text, tokens: vec![Token::SingleQuotedString(value.to_owned())] };
    let given = match literal(value) {
        Some(g) if wanted.is_none_or(|k| k == g.kind || g.kind == Kind::Null) => g,
        _ if wanted.is_none_or(|k| k == Kind::Text) => text(),
        _ => {
            let kind = wanted.map_or("", Kind::name);
            let what = format!("parameter {name} is {kind}, as the job's file says, not '{value}'");
            return Err(Fault::new(what));
        }
    };
    Ok(given)
}

/// The literal that a value spells, if it has the shape of one.
fn literal(value: &str) -> Option<Given> {
    let mut tokens = Tokenizer::new(&Flink, value).tokenize().ok()?;
    tokens.retain(|t| !matches!(t, Token::Whitespace(_)));
    let of = |kind, tokens: &[Token]| Some(Given { kind, tokens: tokens.to_vec() });
    match tokens.as_slice() {
        [Token::Number(..)] => of(Kind::Number, &tokens),
        [Token::Minus, n @ Token::Number(..)] => {
            of(Kind::Number, &[Token::LParen, Token::Minus, n.clone(), Token::RParen])
        }
        [t] if is_word(t, "TRUE") || is_word(t, "FALSE") => of(Kind::Boolean, &tokens),
        [t] if is_word(t, "NULL") => of(Kind::Null, &tokens),
        [Token::SingleQuotedString(_)] => of(Kind::Text, &tokens),
        [t, Token::SingleQuotedString(_)] if is_word(t, "DATE") => of(Kind::Date, &tokens),
        [t, Token::SingleQuotedString(_)] if is_word(t, "TIME") => of(Kind::Time, &tokens),
        [t, Token::SingleQuotedString(_)] if is_word(t, "TIMESTAMP") => of(Kind::Timestamp, &tokens),
        [t, Token::SingleQuotedString(_), unit] if is_word(t, "INTERVAL") && is_unit(unit) => {
            of(Kind::Interval, &tokens)
        }
        _ => None,
    }
}

fn is_unit(t: &Token) -> bool {
    const UNITS: [&str; 7] = ["YEAR", "MONTH", "WEEK", "DAY", "HOUR", "MINUTE", "SECOND"];
    UNITS.iter().any(|u| is_word(t, u) || is_word(t, &format!("{u}S")))
}

fn word(w: &str) -> Token {
    Token::make_word(w, None)
}
