//! Parse: from a text to statements, with PostgreSQL's errors.
//!
//! ```text
//!   text ── lexer ──► tokens ── split at `;` ──► tokens of one statement, counted from its start
//!                                                    │ rewrite: clauses sqlparser's tree has no place for
//!                                                    ▼
//!                                      sqlparser with CambiumDialect ──► Statement
//! ```
//!
//! sqlparser's grammar is wide and forgiving; PostgreSQL's is exact. [`lexer`] follows scan.l, `dialect` and `forms`
//! take over the places where users of PostgreSQL write something sqlparser reads differently or not at all, and
//! `errors` turns what remains into `syntax error at or near "x"` with a position, `unsupported` into 0A000 what is PostgreSQL's.
//!
//! Limits: nesting is bounded by [`DEPTH_MAX`] and by the stack the parser may grow to, beyond is 54001. A literal may be
//! as long as the text.

pub(crate) mod alter;
mod arrange;
mod balance;
mod columns;
mod dialect;
mod errors;
pub(crate) mod family;
pub(crate) mod forms;
mod infix;
pub mod lexer;
pub(crate) mod like;
mod merge;
mod rewrite;
mod roles;
mod special;
pub(crate) mod statements;
mod unsupported;

use std::sync::Arc;

use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserOptions};
use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan};

use crate::statement::Parsed;
use crate::{SqlResult, SqlState};
use dialect::CambiumDialect;

/// Deepest nesting of expressions and queries.
pub const DEPTH_MAX: usize = 3000;

/// Splits and parses a text. An empty text gives no statements; positions of errors count from its start.
///
/// # Errors
/// 42601 for a syntax error, with the codes of PostgreSQL's scanner for malformed literals; 54001 for too deep nesting.
pub fn parse(sql: &str) -> SqlResult<Vec<Parsed>> {
    let lexemes = lexer::tokenize(sql)?;
    let mut statements = Vec::new();
    let mut counted = (0usize, 0u32);
    for part in lexemes.split(|lexeme| lexeme.token.token == Token::SemiColon) {
        let (Some(first), Some(last)) = (part.first(), part.last()) else {
            continue;
        };
        counted.1 += sql[counted.0..first.start].chars().count() as u32;
        counted.0 = first.start;
        let text = &sql[first.start..last.end];
        let origin = first.token.span.start;
        let tokens = part.iter().map(|lexeme| shifted(&lexeme.token, origin)).collect();
        let ast = parse_one(text, tokens).map_err(|error| error.shifted(counted.1))?;
        statements.push(Parsed {
            ast: Arc::new(ast),
            text: text.into(),
            offset: counted.1,
        });
    }
    Ok(statements)
}

/// Parses one statement with parameters, numbered from one, in the place of some of its literals: byte ranges in order, each
/// of a string, of a number, or of a number with its sign.
///
/// # Errors
/// As [`parse()`]; and 42601 if a range is no literal, or a parameter may not stand there.
pub(crate) fn parse_with_parameters(sql: &str, literals: &[(usize, usize)]) -> SqlResult<Parsed> {
    let no_literal = || crate::SqlError::new(SqlState::SYNTAX_ERROR, "syntax error at a literal");
    let mut tokens: Vec<TokenWithSpan> = Vec::new();
    let mut literals = literals.iter().enumerate().peekable();
    let lexemes: Vec<_> = lexer::tokenize(sql)?;
    let Some(first) = lexemes.first() else {
        return Err(no_literal());
    };
    let origin = first.token.span.start;
    let (start, mut end) = (first.start, first.end);
    let mut sign = None;
    for lexeme in lexemes
        .iter()
        .take_while(|lexeme| lexeme.token.token != Token::SemiColon)
    {
        end = lexeme.end;
        let mut token = shifted(&lexeme.token, origin);
        if let Some((number, (from, to))) = literals.peek().copied() {
            let is_sign = lexeme.start == *from && token.token == Token::Minus;
            if is_sign {
                sign = Some(token.span.start);
                continue;
            }
            if lexeme.end == *to && (lexeme.start == *from || sign.is_some()) {
                if !matches!(token.token, Token::Number(..) | Token::SingleQuotedString(_)) {
                    return Err(no_literal());
                }
                token.token = Token::Placeholder(format!("${}", number + 1));
                token.span.start = sign.take().unwrap_or(token.span.start);
                literals.next();
            }
        }
        if sign.is_some() {
            return Err(no_literal());
        }
        tokens.push(token);
    }
    if literals.next().is_some() {
        return Err(no_literal());
    }
    let offset = sql[..start].chars().count() as u32;
    let text = &sql[start..end];
    let ast = parse_one(text, tokens).map_err(|error| error.shifted(offset))?;
    Ok(Parsed {
        ast: Arc::new(ast),
        text: text.into(),
        offset,
    })
}

/// Whether a word stands before a dot somewhere in a text.
///
/// # Errors
/// What reading its tokens reports.
pub fn qualifies(text: &str, word: &str) -> SqlResult<bool> {
    let lexemes = lexer::tokenize(text)?;
    let tokens: Vec<&Token> = lexemes.iter().map(|lexeme| &lexeme.token.token).collect();
    Ok(tokens
        .windows(2)
        .any(|pair| matches!(pair, [Token::Word(name), Token::Period] if name.value == word)))
}

/// Parses one expression: a default, a check, an index key.
pub fn parse_expression(text: &str) -> SqlResult<sqlparser::ast::Expr> {
    let lexemes = lexer::tokenize(text)?;
    let tokens = rewrite::rewrite(lexemes.into_iter().map(|lexeme| lexeme.token).collect());
    let dialect = CambiumDialect::new();
    let mut parser = parser(&dialect, tokens);
    let expr = parser
        .parse_expr()
        .map_err(|error| errors::syntax_error(text, &error, &dialect))?;
    if parser.peek_token_ref().token != Token::EOF {
        let at = parser.peek_token_ref().span.start;
        return Err(errors::near(text, at));
    }
    Ok(expr)
}

fn parser<'a>(dialect: &'a CambiumDialect, tokens: Vec<TokenWithSpan>) -> Parser<'a> {
    Parser::new(dialect)
        .with_recursion_limit(DEPTH_MAX)
        .with_options(ParserOptions::new())
        .with_tokens_with_locations(tokens)
}

fn parse_one(text: &str, tokens: Vec<TokenWithSpan>) -> SqlResult<sqlparser::ast::Statement> {
    parse_statement(text, tokens).map_err(|error| match unsupported::named(text) {
        Some(what) if error.code() == SqlState::SYNTAX_ERROR => crate::SqlError::unsupported(what),
        _ => error,
    })
}

fn parse_statement(text: &str, tokens: Vec<TokenWithSpan>) -> SqlResult<sqlparser::ast::Statement> {
    let tokens = merge::rewrite(tokens).map_err(|at| errors::near(text, at))?;
    let tokens = rewrite::rewrite(arrange::arrange(columns::rewrite(like::rewrite(family::rewrite(
        roles::rewrite(tokens),
    )))));
    balance::check_depth(&tokens)?;
    let dialect = CambiumDialect::new();
    let written = match tokens.first() {
        Some(first) if lexer::is_keyword(&first.token, Keyword::ALTER) => tokens.clone(),
        _ => Vec::new(),
    };
    let mut parser = parser(&dialect, tokens);
    let statement = parser
        .parse_statement()
        .map(statements::finish)
        .map_err(|error| errors::syntax_error(text, &error, &dialect))?;
    if parser.peek_token_ref().token != Token::EOF {
        return Err(errors::near(
            text,
            parser.peek_token_ref().span.start.max(dialect.furthest()),
        ));
    }
    match alter::misplaced(&statement, &written) {
        Some(at) => Err(errors::near(text, at)),
        None => Ok(statement),
    }
}

/// A token counted from the start of its statement.
fn shifted(token: &TokenWithSpan, origin: Location) -> TokenWithSpan {
    let shift = |at: Location| Location {
        line: at.line - origin.line + 1,
        column: if at.line == origin.line {
            at.column - origin.column + 1
        } else {
            at.column
        },
    };
    TokenWithSpan {
        token: token.token.clone(),
        span: Span::new(shift(token.span.start), shift(token.span.end)),
    }
}

/// Too deep nesting, as PostgreSQL says it.
pub(crate) fn too_deep() -> crate::SqlError {
    crate::SqlError::new(SqlState::STATEMENT_TOO_COMPLEX, "stack depth limit exceeded").hint(
        "Increase the configuration parameter \"max_stack_depth\" (currently 2048kB), after ensuring the platform's stack depth limit is adequate.",
    )
}

/// Whether a word may only be an identifier in quotes (PostgreSQL's reserved and type-or-function keywords).
pub fn is_reserved(word: &str) -> bool {
    const RESERVED: &[&str] = &[
        "all",
        "analyse",
        "analyze",
        "and",
        "any",
        "array",
        "as",
        "asc",
        "asymmetric",
        "authorization",
        "between",
        "bigint",
        "binary",
        "bit",
        "boolean",
        "both",
        "case",
        "cast",
        "char",
        "character",
        "check",
        "coalesce",
        "collate",
        "collation",
        "column",
        "concurrently",
        "constraint",
        "create",
        "cross",
        "current_catalog",
        "current_date",
        "current_role",
        "current_schema",
        "current_time",
        "current_timestamp",
        "current_user",
        "dec",
        "decimal",
        "default",
        "deferrable",
        "desc",
        "distinct",
        "do",
        "else",
        "end",
        "except",
        "exists",
        "extract",
        "false",
        "fetch",
        "float",
        "for",
        "foreign",
        "freeze",
        "from",
        "full",
        "grant",
        "greatest",
        "group",
        "grouping",
        "having",
        "ilike",
        "in",
        "initially",
        "inner",
        "inout",
        "int",
        "integer",
        "intersect",
        "interval",
        "into",
        "is",
        "isnull",
        "join",
        "lateral",
        "leading",
        "least",
        "left",
        "like",
        "limit",
        "localtime",
        "localtimestamp",
        "national",
        "natural",
        "nchar",
        "none",
        "normalize",
        "not",
        "notnull",
        "null",
        "nullif",
        "numeric",
        "offset",
        "on",
        "only",
        "or",
        "order",
        "out",
        "outer",
        "overlaps",
        "overlay",
        "placing",
        "position",
        "precision",
        "primary",
        "real",
        "references",
        "returning",
        "right",
        "row",
        "select",
        "session_user",
        "setof",
        "similar",
        "smallint",
        "some",
        "substring",
        "symmetric",
        "table",
        "tablesample",
        "then",
        "time",
        "timestamp",
        "to",
        "trailing",
        "treat",
        "trim",
        "true",
        "union",
        "unique",
        "user",
        "using",
        "values",
        "varchar",
        "variadic",
        "verbose",
        "when",
        "where",
        "window",
        "with",
        "xmlattributes",
        "xmlconcat",
        "xmlelement",
    ];
    RESERVED.binary_search(&word).is_ok()
}
