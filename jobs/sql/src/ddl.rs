//! Statements of a job: Flink's DDL, `SET`, `INSERT`, statement sets. Queries inside them go to the parser.

use crate::diagnostic::{Fault, Result, Span, nearest};
use crate::dialect::Flink;
use crate::tokens::{Chunk, is_word, lower_first};
use crate::types::arrow_type;
use arrow_schema::DataType;
use sqlparser::ast::{self, Ident, Query, Spanned};
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, TokenWithSpan};

/// A name and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Name {
    pub value: String,
    pub at: Span,
}

/// One statement.
#[derive(Clone, Debug)]
pub(crate) enum Statement {
    Table(Box<TableDecl>),
    View { name: Name, columns: Vec<Name>, query: Box<Query>, if_not_exists: bool },
    Set { key: Name, value: String },
    Insert { table: Name, columns: Vec<Name>, query: Box<Query> },
}

/// `CREATE TABLE`.
#[derive(Clone, Debug)]
pub(crate) struct TableDecl {
    pub name: Name,
    pub if_not_exists: bool,
    pub columns: Vec<ColumnDecl>,
    pub watermark: Option<WatermarkDecl>,
    pub options: Vec<OptionDecl>,
    pub notes: Vec<Fault>,
}

/// One column.
#[derive(Clone, Debug)]
pub(crate) struct ColumnDecl {
    pub name: Name,
    pub kind: ColumnKind,
}

/// Stored or computed.
#[derive(Clone, Debug)]
pub(crate) enum ColumnKind {
    Physical {
        data_type: DataType,
        not_null: bool,
        /// `METADATA FROM '…'`: what the connector says of the row.
        metadata: Option<Name>,
    },
    Computed(Box<ast::Expr>),
}

/// `WATERMARK FOR column AS expression`.
#[derive(Clone, Debug)]
pub(crate) struct WatermarkDecl {
    pub column: Name,
    pub expression: ast::Expr,
    pub at: Span,
}

/// One option of WITH.
#[derive(Clone, Debug)]
pub(crate) struct OptionDecl {
    pub key: Name,
    pub value: String,
}

/// Depth of the parser's recursion; parentheses are limited more tightly, in tokens.
const PARSER_DEPTH_MAX: usize = 400;

/// Parses the statements. Each is parsed by itself: one that is wrong does not hide another.
pub(crate) fn parse(chunks: Vec<Chunk>, faults: &mut Vec<Fault>) -> Vec<(Statement, Span)> {
    let mut statements = Vec::new();
    let mut set_open: Option<Span> = None;
    for chunk in chunks {
        let start = chunk.start();
        let mut p = Ddl::new(chunk);
        if p.words(&["EXECUTE", "STATEMENT", "SET", "BEGIN"]) || p.words(&["BEGIN", "STATEMENT", "SET"]) {
            if set_open.replace(start).is_some() {
                faults.push(Fault::new("a statement set inside a statement set").at(start));
            }
            p.symbol(&Token::SemiColon);
        } else if p.words(&["END"]) {
            if set_open.take().is_none() {
                faults.push(Fault::new("END without EXECUTE STATEMENT SET BEGIN").at(start));
            }
            continue;
        }
        if p.at_end() {
            continue;
        }
        let here = p.here();
        match p.statement() {
            Ok(s) => {
                if set_open.is_some() && !matches!(s, Statement::Insert { .. }) {
                    faults.push(Fault::new("a statement set holds INSERT statements only").at(here));
                }
                statements.push((s, start));
            }
            Err(fault) => faults.push(fault.at(start)),
        }
    }
    if let Some(at) = set_open {
        faults.push(Fault::new("EXECUTE STATEMENT SET BEGIN has no END").at(at));
    }
    statements
}

/// A parser error with the place that its text carries at most.
pub(crate) fn parser_fault(e: ParserError) -> Fault {
    match e {
        ParserError::RecursionLimitExceeded => {
            Fault::new("nested too deeply").hint("name the inner queries in WITH or CREATE VIEW")
        }
        ParserError::TokenizerError(m) | ParserError::ParserError(m) => {
            let (what, place) = m.rsplit_once(" at Line: ").map_or((m.as_str(), None), |(w, p)| (w, Some(p)));
            let at = place.and_then(|p| {
                let (line, column) = p.split_once(", Column: ")?;
                Some(Span::at(line.parse().ok()?, column.trim().parse().ok()?))
            });
            let what = what.replacen("Expected: ", "expected ", 1).replacen(", found: ", ", found ", 1);
            let what = what.replace(", found ;", ", found the end of the statement");
            Fault::new(lower_first(what.trim())).at(at)
        }
    }
}

struct Ddl {
    parser: Parser<'static>,
    last: Span,
}

impl Ddl {
    fn new(chunk: Chunk) -> Self {
        let last = chunk.tokens.last().and_then(|t| Span::of(t.span)).unwrap_or(Span::at(1, 1));
        let parser = Parser::new(&Flink).with_recursion_limit(PARSER_DEPTH_MAX);
        Self { parser: parser.with_tokens_with_locations(chunk.tokens), last }
    }

    fn peek(&self) -> &TokenWithSpan {
        self.parser.peek_token_ref()
    }
    fn here(&self) -> Span {
        Span::of(self.peek().span).unwrap_or(self.last)
    }
    fn at_end(&self) -> bool {
        matches!(self.peek().token, Token::EOF | Token::SemiColon)
    }
    /// Takes these words if all of them follow.
    fn words(&mut self, words: &[&str]) -> bool {
        let all = words.iter().enumerate().all(|(i, w)| is_word(&self.parser.peek_nth_token_ref(i).token, w));
        if all {
            words.iter().for_each(|_| drop(self.parser.next_token()));
        }
        all
    }
    fn symbol(&mut self, token: &Token) -> bool {
        self.parser.consume_token(token)
    }
    fn expected(&self, what: &str) -> Fault {
        let found = match &self.peek().token {
            Token::EOF | Token::SemiColon => "the end of the statement".into(),
            token => token.to_string(),
        };
        Fault::new(format!("expected {what}, found {found}")).at(self.here())
    }
    fn expect_words(&mut self, words: &[&str]) -> Result<()> {
        if self.words(words) { Ok(()) } else { Err(self.expected(&words.join(" "))) }
    }
    fn expect_symbol(&mut self, token: &Token) -> Result<()> {
        if self.symbol(token) { Ok(()) } else { Err(self.expected(&token.to_string())) }
    }
    fn ident(&mut self) -> Result<Name> {
        if !matches!(self.peek().token, Token::Word(_)) {
            return Err(self.expected("a name"));
        }
        Ok(name(self.parser.parse_identifier().map_err(parser_fault)?, self.last))
    }
    /// A table's name: one part.
    fn table_name(&mut self) -> Result<Name> {
        let n = self.ident()?;
        if self.symbol(&Token::Period) {
            let what = format!("{}. …: tables have one name; there are no catalogs and databases", n.value);
            return Err(Fault::new(what).at(n.at));
        }
        Ok(n)
    }
    fn text(&mut self) -> Result<Name> {
        let at = self.here();
        match &self.peek().token {
            Token::SingleQuotedString(s) => {
                let value = s.clone();
                self.parser.next_token();
                Ok(Name { value, at })
            }
            Token::DoubleQuotedString(_) => Err(self.expected("a string in 'single quotes'")),
            _ => Err(self.expected("a 'string'")),
        }
    }
    fn end(&mut self) -> Result<()> {
        if self.at_end() { Ok(()) } else { Err(self.expected("the end of the statement (;)")) }
    }

    fn statement(&mut self) -> Result<Statement> {
        let start = self.here();
        let word = self.peek().token.to_string().to_uppercase();
        let statement = match word.as_str() {
            "CREATE" => self.create()?,
            "SET" => self.set()?,
            "INSERT" => self.insert()?,
            "SELECT" | "WITH" | "VALUES" => {
                let hint = "CREATE TABLE out (..) WITH ('connector' = 'print'); INSERT INTO out SELECT ..";
                return Err(Fault::new("a query without INSERT INTO: a job writes into a table").at(start).hint(hint));
            }
            "DROP" | "ALTER" | "USE" | "SHOW" | "DESCRIBE" | "EXPLAIN" | "ADD" | "RESET" | "UPDATE" | "DELETE"
            | "MERGE" | "TRUNCATE" | "ANALYZE" | "CALL" | "LOAD" | "COMPILE" => {
                let hint = "a job's text has CREATE TABLE, CREATE VIEW, SET, INSERT INTO and EXECUTE STATEMENT SET";
                return Err(Fault::new(format!("{word} is not a statement of a job")).at(start).hint(hint));
            }
            _ => {
                let known = ["CREATE", "SET", "INSERT", "EXECUTE"];
                let near = nearest(&word, known).map_or(String::new(), |n| format!("; the nearest is {n}"));
                return Err(self.expected("CREATE, SET, INSERT or EXECUTE").also(&near));
            }
        };
        self.end()?;
        Ok(statement)
    }

    fn set(&mut self) -> Result<Statement> {
        self.expect_words(&["SET"])?;
        if matches!(self.peek().token, Token::Word(_)) {
            return Err(self.expected("a key in quotes: SET 'pipeline.name' = 'fraud'"));
        }
        let key = self.text()?;
        self.expect_symbol(&Token::Eq)?;
        let value = self.text()?.value;
        Ok(Statement::Set { key, value })
    }

    fn insert(&mut self) -> Result<Statement> {
        self.expect_words(&["INSERT"])?;
        if self.words(&["OVERWRITE"]) {
            return Err(Fault::new("INSERT OVERWRITE is not supported; write INSERT INTO").at(self.last));
        }
        self.expect_words(&["INTO"])?;
        let table = self.table_name()?;
        let mut columns = Vec::new();
        let inner = self.parser.peek_nth_token_ref(1).token.clone();
        let query_follows = is_word(&inner, "SELECT") || is_word(&inner, "WITH") || inner == Token::LParen;
        if self.peek().token == Token::LParen && !query_follows {
            columns = self.column_list()?;
        }
        if is_word(&self.peek().token, "PARTITION") {
            return Err(self.expected("a query"));
        }
        let query = self.query()?;
        Ok(Statement::Insert { table, columns, query })
    }

    fn query(&mut self) -> Result<Box<Query>> {
        self.parser.parse_query().map_err(|e| {
            let fault = parser_fault(e);
            let here = self.here();
            fault.at(here)
        })
    }

    fn column_list(&mut self) -> Result<Vec<Name>> {
        self.expect_symbol(&Token::LParen)?;
        let mut names = vec![self.ident()?];
        while self.symbol(&Token::Comma) {
            names.push(self.ident()?);
        }
        self.expect_symbol(&Token::RParen)?;
        Ok(names)
    }

    fn create(&mut self) -> Result<Statement> {
        self.expect_words(&["CREATE"])?;
        let _ = self.words(&["OR", "REPLACE"]) | self.words(&["TEMPORARY"]);
        if self.words(&["TABLE"]) {
            self.create_table().map(|t| Statement::Table(Box::new(t)))
        } else if self.words(&["VIEW"]) {
            let if_not_exists = self.words(&["IF", "NOT", "EXISTS"]);
            let name = self.table_name()?;
            let columns = if self.peek().token == Token::LParen { self.column_list()? } else { Vec::new() };
            self.comment()?;
            self.expect_words(&["AS"])?;
            let query = self.query()?;
            Ok(Statement::View { name, columns, query, if_not_exists })
        } else {
            Err(self.expected("TABLE or VIEW"))
        }
    }

    fn comment(&mut self) -> Result<()> {
        if self.words(&["COMMENT"]) {
            self.text()?;
        }
        Ok(())
    }

    fn create_table(&mut self) -> Result<TableDecl> {
        let if_not_exists = self.words(&["IF", "NOT", "EXISTS"]);
        let name = self.table_name()?;
        let mut table =
            TableDecl { name, if_not_exists, columns: vec![], watermark: None, options: vec![], notes: vec![] };
        self.expect_symbol(&Token::LParen)?;
        loop {
            self.table_element(&mut table)?;
            if !self.symbol(&Token::Comma) {
                break;
            }
        }
        if !self.symbol(&Token::RParen) {
            return Err(self.expected(", or ) behind a column"));
        }
        self.comment()?;
        if is_word(&self.peek().token, "PARTITIONED") || is_word(&self.peek().token, "DISTRIBUTED") {
            let word = self.peek().token.to_string();
            return Err(Fault::new(format!("{word} is not supported; partitions are files")).at(self.here()));
        }
        if !self.words(&["WITH"]) {
            let hint = "WITH ('connector' = 'generator', ..)";
            return Err(self.expected("WITH and the table's options").hint(hint));
        }
        table.options = self.options()?;
        Ok(table)
    }

    fn options(&mut self) -> Result<Vec<OptionDecl>> {
        self.expect_symbol(&Token::LParen)?;
        let mut options: Vec<OptionDecl> = Vec::new();
        loop {
            let key = self.text()?;
            self.expect_symbol(&Token::Eq)?;
            let value = self.text()?.value;
            if options.iter().any(|o| o.key.value == key.value) {
                return Err(Fault::new(format!("option '{}' stands twice", key.value)).at(key.at));
            }
            options.push(OptionDecl { key, value });
            if !self.symbol(&Token::Comma) {
                break;
            }
        }
        self.expect_symbol(&Token::RParen)?;
        Ok(options)
    }

    fn table_element(&mut self, table: &mut TableDecl) -> Result<()> {
        let at = self.here();
        if self.words(&["WATERMARK", "FOR"]) {
            let column = self.ident()?;
            self.expect_words(&["AS"])?;
            let expression = self.parser.parse_expr().map_err(parser_fault)?;
            if let Some(first) = &table.watermark {
                let what =
                    format!("two watermarks; the first one is for {} in line {}", first.column.value, first.at.line);
                return Err(Fault::new(what).at(at).hint("a table has one event time"));
            }
            table.watermark = Some(WatermarkDecl { column, expression, at });
            return Ok(());
        }
        if self.words(&["CONSTRAINT"]) {
            self.ident()?;
        }
        if self.words(&["PRIMARY", "KEY"]) {
            self.column_list()?;
            return self.not_enforced(table, at);
        }
        if self.words(&["UNIQUE"]) {
            return Err(Fault::new("UNIQUE is not supported").at(at));
        }
        self.column(table)
    }

    fn not_enforced(&mut self, table: &mut TableDecl, at: Span) -> Result<()> {
        self.expect_words(&["NOT", "ENFORCED"])?;
        table
            .notes
            .push(Fault::new("PRIMARY KEY is not used in this version: rows are appended, never updated").at(at));
        Ok(())
    }

    fn column(&mut self, table: &mut TableDecl) -> Result<()> {
        let name = self.ident()?;
        let kind = if self.words(&["AS"]) {
            let e = self.parser.parse_expr().map_err(parser_fault)?;
            ColumnKind::Computed(Box::new(e))
        } else {
            let at = self.here();
            if matches!(self.peek().token, Token::Comma | Token::RParen) {
                return Err(self.expected(&format!("the type of {}", name.value)));
            }
            let sql = self.parser.parse_data_type().map_err(parser_fault)?;
            let data_type = arrow_type(&sql).map_err(|f| f.at(at))?;
            ColumnKind::Physical { data_type, not_null: false, metadata: None }
        };
        let mut column = ColumnDecl { name, kind };
        loop {
            let at = self.here();
            if self.words(&["METADATA"]) {
                self.metadata(&mut column, at)?;
            } else if self.words(&["NOT", "NULL"]) {
                match &mut column.kind {
                    ColumnKind::Physical { not_null, .. } => *not_null = true,
                    ColumnKind::Computed(_) => return Err(Fault::new("a computed column has no NOT NULL").at(at)),
                }
            } else if self.words(&["NULL"]) {
            } else if self.words(&["PRIMARY", "KEY"]) {
                self.not_enforced(table, at)?;
            } else if is_word(&self.peek().token, "COMMENT") {
                self.comment()?;
            } else {
                break;
            }
        }
        table.columns.push(column);
        Ok(())
    }

    /// `METADATA [FROM 'key'] [VIRTUAL]`; without a key it is the column's name.
    fn metadata(&mut self, column: &mut ColumnDecl, at: Span) -> Result<()> {
        let mut key = Name { value: column.name.value.clone(), at };
        if self.words(&["FROM"]) {
            key = self.text()?;
        }
        // No table with metadata columns can be written, so it says nothing more.
        self.words(&["VIRTUAL"]);
        match &mut column.kind {
            ColumnKind::Physical { metadata: found @ None, .. } => *found = Some(key),
            ColumnKind::Physical { .. } => return Err(Fault::new("METADATA stands twice").at(at)),
            ColumnKind::Computed(_) => return Err(Fault::new("a computed column has no METADATA").at(at)),
        }
        Ok(())
    }
}

impl Fault {
    fn also(mut self, text: &str) -> Self {
        self.message.push_str(text);
        self
    }
}

/// A name of the parser with its place.
pub(crate) fn name(ident: Ident, fallback: Span) -> Name {
    Name { at: Span::of(ident.span).unwrap_or(fallback), value: ident.value }
}

/// The place of a syntax tree, as far as the parser kept it.
pub(crate) fn place(node: &impl Spanned) -> Option<Span> {
    Span::of(node.span())
}

/// `SELECT .. FROM table`, to plan expressions over a table's columns.
pub(crate) fn select_from(table: &str, items: Vec<(ast::Expr, String)>) -> Result<Box<Query>> {
    let mut query =
        Parser::new(&Flink).try_with_sql("SELECT 1 FROM t").and_then(|mut p| p.parse_query()).map_err(parser_fault)?;
    if let ast::SetExpr::Select(select) = query.body.as_mut() {
        select.projection = items
            .into_iter()
            .map(|(expr, alias)| ast::SelectItem::ExprWithAlias { expr, alias: Ident::with_quote('`', alias) })
            .collect();
        if let Some(ast::TableFactor::Table { name, .. }) = select.from.first_mut().map(|f| &mut f.relation) {
            *name = vec![Ident::with_quote('`', table)].into();
        }
    }
    Ok(query)
}
