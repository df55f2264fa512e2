//! Flink's dialect for the parser.

use sqlparser::ast;
use sqlparser::dialect::{Dialect, GenericDialect};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

/// Names in backticks, strings in single quotes, `TABLE t` as an argument of a window function.
#[derive(Debug)]
pub(crate) struct Flink;

impl Dialect for Flink {
    fn is_delimited_identifier_start(&self, c: char) -> bool {
        c == '`'
    }
    fn identifier_quote_style(&self, _: &str) -> Option<char> {
        Some('`')
    }
    fn is_identifier_start(&self, c: char) -> bool {
        c.is_alphabetic() || c == '_'
    }
    fn is_identifier_part(&self, c: char) -> bool {
        c.is_alphanumeric() || c == '_'
    }
    // More than half of the parser's checks by type name the generic dialect.
    fn dialect(&self) -> std::any::TypeId {
        std::any::TypeId::of::<GenericDialect>()
    }
    fn supports_table_versioning(&self) -> bool {
        true
    }
    fn supports_match_recognize(&self) -> bool {
        true
    }
    fn supports_filter_during_aggregation(&self) -> bool {
        true
    }
    fn supports_group_by_expr(&self) -> bool {
        true
    }
    fn supports_window_clause_named_window_reference(&self) -> bool {
        true
    }
    /// `TABLE t` becomes the compound identifier `t`. `TABLE t PARTITION BY a, b` becomes a tuple of the table and the
    /// keys; the list runs on until the next argument, which is `DESCRIPTOR(..)` or a name followed by `=>`.
    fn parse_prefix(&self, p: &mut Parser) -> Option<Result<ast::Expr, ParserError>> {
        if let Token::Word(w) = &p.peek_token_ref().token
            && w.quote_style.is_none()
            && NO_NAMES.contains(&w.keyword)
        {
            return Some(p.expected("an expression", p.peek_token()));
        }
        let is_table = matches!(&p.peek_token_ref().token,
            Token::Word(w) if w.keyword == Keyword::TABLE && w.quote_style.is_none());
        if !is_table || !matches!(p.peek_nth_token(1).token, Token::Word(_)) {
            return None;
        }
        p.next_token();
        Some(table_argument(p))
    }
}

/// Words that are no names without backticks: `SELECT a + FROM t` is an error at FROM.
const NO_NAMES: [Keyword; 11] = [
    Keyword::AND,
    Keyword::AS,
    Keyword::FROM,
    Keyword::GROUP,
    Keyword::HAVING,
    Keyword::OR,
    Keyword::THEN,
    Keyword::UNION,
    Keyword::WHEN,
    Keyword::WHERE,
    Keyword::WITH,
];

fn table_argument(p: &mut Parser) -> Result<ast::Expr, ParserError> {
    let name = p.parse_object_name(false)?;
    let table = ast::Expr::CompoundIdentifier(name.0.iter().filter_map(|n| n.as_ident().cloned()).collect());
    if !p.parse_keywords(&[Keyword::PARTITION, Keyword::BY]) {
        return Ok(table);
    }
    let mut parts = vec![table];
    loop {
        parts.push(ast::Expr::Identifier(p.parse_identifier()?));
        let more = matches!(p.peek_token_ref().token, Token::Comma)
            && !matches!(&p.peek_nth_token(1).token, Token::Word(w) if w.value.eq_ignore_ascii_case("descriptor"))
            && !matches!(p.peek_nth_token(2).token, Token::RArrow);
        if !more {
            return Ok(ast::Expr::Tuple(parts));
        }
        p.next_token();
    }
}
