//! Tokens of a job's text: limits, statements, and syntax that the parser lacks.
//!
//! Planning a chain of operators is cubic (300: 0.2 s, 1,000: 2.5 s) and parsing one of 20,000 overflows a usual stack, so
//! operators are counted here, before anything recursive sees them.

use crate::diagnostic::{Fault, Result, Span};
use crate::dialect::Flink;
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Location, Span as Range, Token, TokenWithSpan, Tokenizer};

/// Bytes of a job's text.
pub(crate) const TEXT_BYTES_MAX: usize = 8 << 20;
/// Operators in one expression, and set operations in one query.
pub(crate) const OPERATORS_MAX: usize = 300;
/// Tokens between two commas at one depth of parentheses.
const RUN_TOKENS_MAX: usize = 10_000;
/// Depth of parentheses.
pub(crate) const NESTING_MAX: usize = 60;

/// The tokens of one statement; the last one is its `;` (made up at the end of the file).
pub(crate) struct Chunk {
    pub tokens: Vec<TokenWithSpan>,
}

impl Chunk {
    /// Where the statement starts.
    pub fn start(&self) -> Span {
        Span::of(self.tokens[0].span).unwrap_or(Span::at(1, 1))
    }
}

/// Cuts the text into statements. A statement that breaks a limit or uses what is not supported is reported and left out.
pub(crate) fn split(text: &str, faults: &mut Vec<Fault>) -> Vec<Chunk> {
    match tokenize(text) {
        Err(fault) => {
            faults.push(fault);
            Vec::new()
        }
        Ok(tokens) => {
            let mut chunks = Vec::new();
            let mut rest = tokens.into_iter().peekable();
            while rest.peek().is_some() {
                let mut one: Vec<TokenWithSpan> = Vec::new();
                for token in rest.by_ref() {
                    let end = token.token == Token::SemiColon;
                    one.push(token);
                    if end {
                        break;
                    }
                }
                close(&mut one);
                if one.len() > 1 {
                    match limits(&one).and_then(|()| rewrite(&mut one)) {
                        Ok(()) => chunks.push(Chunk { tokens: one }),
                        Err(fault) => faults.push(fault),
                    }
                }
            }
            chunks
        }
    }
}

fn tokenize(text: &str) -> Result<Vec<TokenWithSpan>> {
    if text.len() > TEXT_BYTES_MAX {
        let hint = "a job's text is queries; data belongs into a table";
        return Err(Fault::new(format!("the text has {} bytes; the limit is {TEXT_BYTES_MAX}", text.len())).hint(hint));
    }
    if let Some(at) = text.find('\0') {
        let line = text[..at].matches('\n').count() as u64 + 1;
        return Err(Fault::new("a zero byte: this is not text").at(Span::at(line, 1)));
    }
    let mut tokens = Tokenizer::new(&Flink, text).tokenize_with_location().map_err(|e| {
        let what = e.message.trim().trim_end_matches('.').to_string();
        Fault::new(lower_first(&what)).at(Span::at(e.location.line, e.location.column))
    })?;
    tokens.retain(|t| !matches!(t.token, Token::Whitespace(_)));
    Ok(tokens)
}

/// A made-up `;` behind the last token, so that an error at the end has a place.
fn close(tokens: &mut Vec<TokenWithSpan>) {
    let Some(last) = tokens.last() else { return };
    if last.token != Token::SemiColon {
        let at = last.span.end;
        let end = Location::new(at.line, at.column + 1);
        tokens.push(TokenWithSpan::new(Token::SemiColon, Range::new(at, end)));
    }
}

/// What one depth of parentheses has seen since its last comma.
#[derive(Default, Clone, Copy)]
struct Run {
    operators: usize,
    set_operations: usize,
    tokens: usize,
}

fn limits(tokens: &[TokenWithSpan]) -> Result<()> {
    use Keyword as K;
    let mut stack = vec![Run::default()];
    for t in tokens {
        let depth = stack.len();
        let run = &mut stack[depth - 1];
        run.tokens += 1;
        match &t.token {
            Token::LParen if depth > NESTING_MAX => {
                let hint = "name the inner queries in WITH or CREATE VIEW";
                let what = format!("more than {NESTING_MAX} nested parentheses");
                return Err(Fault::new(what).at(Span::of(t.span)).hint(hint));
            }
            Token::LParen => stack.push(Run::default()),
            Token::RParen if depth > 1 => drop(stack.pop()),
            Token::Comma => *run = Run { set_operations: run.set_operations, ..Run::default() },
            Token::Plus | Token::Minus | Token::Mul | Token::Div | Token::Mod | Token::StringConcat => {
                run.operators += 1;
            }
            Token::Word(w) if w.quote_style.is_none() => match w.keyword {
                K::AND | K::OR | K::NOT => run.operators += 1,
                K::UNION | K::EXCEPT | K::INTERSECT => run.set_operations += 1,
                K::SELECT | K::FROM | K::WHERE | K::WHEN | K::THEN | K::ELSE | K::GROUP => {
                    *run = Run { set_operations: run.set_operations, ..Run::default() };
                }
                _ => {}
            },
            _ => {}
        }
        let run = stack[stack.len() - 1];
        let over = if run.operators > OPERATORS_MAX {
            Some((format!("more than {OPERATORS_MAX} operators in one expression"), "use IN (..), CASE or a view"))
        } else if run.set_operations > OPERATORS_MAX {
            Some((format!("more than {OPERATORS_MAX} set operations in one query"), "combine them in views"))
        } else if run.tokens > RUN_TOKENS_MAX {
            Some((format!("more than {RUN_TOKENS_MAX} tokens without a comma"), "split the expression"))
        } else {
            None
        };
        if let Some((what, hint)) = over {
            return Err(Fault::new(what).at(Span::of(t.span)).hint(hint));
        }
    }
    Ok(())
}

/// Whether a token is this word, unquoted.
pub(crate) fn is_word(token: &Token, word: &str) -> bool {
    matches!(token, Token::Word(w) if w.quote_style.is_none() && w.value.eq_ignore_ascii_case(word))
}

/// `TIMESTAMP(p) WITH LOCAL TIME ZONE` becomes `TIMESTAMP_LTZ(p)`; `EXCLUDE` of a frame becomes another bound;
/// `START OF` a period a call.
fn rewrite(tokens: &mut Vec<TokenWithSpan>) -> Result<()> {
    let mut i = 0;
    while i < tokens.len() {
        let word = |j: usize, w: &str| tokens.get(j).is_some_and(|t| is_word(&t.token, w));
        if word(i, "TIMESTAMP") {
            let with = if tokens.get(i + 1).is_some_and(|t| t.token == Token::LParen) { i + 4 } else { i + 1 };
            if word(with, "WITH") && word(with + 1, "LOCAL") && word(with + 2, "TIME") && word(with + 3, "ZONE") {
                tokens.drain(with..with + 4);
                tokens[i].token = Token::make_word("TIMESTAMP_LTZ", None);
            }
        } else if word(i, "EXCLUDE") && i > 0 && ["ROW", "PRECEDING", "FOLLOWING"].iter().any(|w| word(i - 1, w)) {
            crate::frames::exclusion(tokens, i)?;
        } else if word(i, "START") && word(i + 1, "OF") {
            crate::start_of::rewrite(tokens, i)?;
        }
        i += 1;
    }
    Ok(())
}

/// Messages of the parser start with a capital; ours don't.
pub(crate) fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(c) if !text.chars().nth(1).is_some_and(char::is_uppercase) => c.to_lowercase().chain(chars).collect(),
        _ => text.to_string(),
    }
}
