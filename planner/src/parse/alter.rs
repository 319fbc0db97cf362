//! ALTER and COMMENT forms that sqlparser has no tree for.
//!
//! | written | tree |
//! |---|---|
//! | `ALTER … n SET SCHEMA s` | RENAME TO `schema.s` |
//! | `ALTER TABLE n ALTER c SET STATISTICS 5`, `SET STORAGE …`, `SET (…)` | SET DEFAULT `storage()` |
//! | `ALTER TABLE n ALTER c SET (closed = true)`, `RESET (closed)` | SET DEFAULT `closed()`, `open()` |
//! | `ALTER TABLE n SET (…)`, `RESET (…)`, `CLUSTER ON i`, `SET WITHOUT CLUSTER` | no operation |
//! | `ALTER VIEW n RENAME …`, `OWNER …`, `ALTER COLUMN …` | ALTER TABLE |
//! | `ALTER TYPE n OWNER TO r`, `ALTER DOMAIN n OWNER TO r` | ALTER TYPE `owner.r.n` RENAME TO `r` |
//! | `COMMENT ON CONSTRAINT c ON t` | COMMENT ON TABLE `constraint.c.t` |

use sqlparser::ast::helpers::attached_token::AttachedToken;
use sqlparser::ast::{
    AlterColumnOperation, AlterTable, AlterTableOperation, AlterType, AlterTypeOperation, AlterTypeRename,
    CommentObject, Expr, Ident, ObjectName, ObjectNamePart, RenameTableNameKind, Statement,
};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan};

use super::forms::{call, internal};
use super::lexer::{internal_name, is_keyword};

type Parse<T> = Result<T, ParserError>;

const SCHEMA: &str = "schema";
const STORAGE: &str = "storage";
const CLOSED: &str = "closed";
const OPEN: &str = "open";
const CONSTRAINT: &str = "constraint";
const OWNER: &str = "owner";

/// The schema a relation is moved to, if a new name stands for one.
pub(crate) fn new_schema(name: &ObjectName) -> Option<Ident> {
    marked(name, SCHEMA)?.first()?.as_ident().cloned()
}

/// Whether a default stands for how a column is stored, which is accepted and has no effect.
pub(crate) fn is_storage(value: &Expr) -> bool {
    matches!(value, Expr::Function(function) if internal(&function.name) == Some(STORAGE))
}

/// The constraint and the table that a commented name stands for.
pub(crate) fn constraint_of(name: &ObjectName) -> Option<(Ident, ObjectName)> {
    let (constraint, table) = marked(name, CONSTRAINT)?.split_first()?;
    Some((constraint.as_ident()?.clone(), ObjectName(table.to_vec())))
}

/// Whether a default stands for closing a column, or opening it.
pub(crate) fn closed(value: &Expr) -> Option<bool> {
    let Expr::Function(function) = value else { return None };
    match internal(&function.name)? {
        CLOSED => Some(true),
        OPEN => Some(false),
        _ => None,
    }
}

/// The new owner and the type that the name of an altered type stands for.
pub(crate) fn type_owner(name: &ObjectName) -> Option<(Ident, ObjectName)> {
    let (role, name) = marked(name, OWNER)?.split_first()?;
    Some((role.as_ident()?.clone(), ObjectName(name.to_vec())))
}

/// Where a list of changes to a table has RENAME, which PostgreSQL takes only alone.
pub(super) fn misplaced(statement: &Statement, tokens: &[TokenWithSpan]) -> Option<Location> {
    let Statement::AlterTable(alter) = statement else {
        return None;
    };
    let renames = |operation: &AlterTableOperation| {
        matches!(
            operation,
            AlterTableOperation::RenameColumn { .. }
                | AlterTableOperation::RenameTable { .. }
                | AlterTableOperation::RenameConstraint { .. }
        )
    };
    if alter.operations.len() < 2 || !alter.operations.iter().any(renames) {
        return None;
    }
    let is_first = alter.operations.first().is_some_and(renames);
    let (mut depth, mut follows_comma) = (0, false);
    for token in tokens {
        match &token.token {
            Token::Whitespace(_) => continue,
            Token::LParen | Token::LBracket => depth += 1,
            Token::RParen | Token::RBracket => depth -= 1,
            Token::Comma if depth == 0 && is_first => return Some(token.span.start),
            word if follows_comma && is_keyword(word, Keyword::RENAME) => return Some(token.span.start),
            _ => {}
        }
        follows_comma = depth == 0 && token.token == Token::Comma;
    }
    None
}

fn marked<'a>(name: &'a ObjectName, mark: &str) -> Option<&'a [ObjectNamePart]> {
    let (first, rest) = name.0.split_first()?;
    (first.as_ident()?.value.strip_prefix('\u{1}') == Some(mark)).then_some(rest)
}

/// A statement of these forms, if one begins here.
pub(super) fn statement(parser: &mut Parser<'_>) -> Parse<Option<Statement>> {
    if parser.parse_keywords(&[Keyword::COMMENT, Keyword::ON, Keyword::CONSTRAINT]) {
        return comment_on_constraint(parser).map(Some);
    }
    let (form, is_view) = {
        let look = Look(parser);
        if !look.is(0, Keyword::ALTER) {
            return Ok(None);
        }
        let is_view = look.is(1, Keyword::VIEW);
        match Form::of(&look) {
            Some(form) => (form, is_view),
            None => return Ok(None),
        }
    };
    parser.advance_token();
    parser.advance_token();
    if form == Form::AlterTable {
        return parser.parse_alter_table(false).map(Some);
    }
    let if_exists = parser.parse_keywords(&[Keyword::IF, Keyword::EXISTS]);
    let only = parser.parse_keyword(Keyword::ONLY);
    let name = parser.parse_object_name(false)?;
    let span = parser.peek_token_ref().span;
    if form == Form::TypeOwner {
        parser.advance_token();
        parser.expect_keyword(Keyword::TO)?;
        let role = parser.parse_identifier()?;
        let mut target = vec![internal_name(OWNER, span), role.clone()];
        target.extend(name.0.iter().filter_map(|part| part.as_ident().cloned()));
        return Ok(Some(Statement::AlterType(AlterType {
            name: target.into(),
            operation: AlterTypeOperation::Rename(AlterTypeRename { new_name: role }),
        })));
    }
    let operations = match form {
        Form::Schema => {
            parser.advance_token();
            parser.advance_token();
            let schema = parser.parse_identifier()?;
            let target = vec![internal_name(SCHEMA, span), schema];
            vec![AlterTableOperation::RenameTable {
                table_name: RenameTableNameKind::To(target.into()),
            }]
        }
        Form::Column => {
            parser.advance_token();
            let _has_word = parser.parse_keyword(Keyword::COLUMN);
            let column_name = parser.parse_identifier()?;
            let mark = match closed_option(parser)? {
                Some(true) => CLOSED,
                Some(false) => OPEN,
                None => STORAGE,
            };
            skip_rest(parser);
            vec![AlterTableOperation::AlterColumn {
                column_name,
                op: AlterColumnOperation::SetDefault {
                    value: call(mark, span, vec![]),
                },
            }]
        }
        // What these say of a table is only how it is stored.
        Form::Options if is_view => {
            let at = span.start;
            let message = format!("\u{1}0A000 {} {} changing options of a view", at.line, at.column);
            return Err(ParserError::ParserError(message));
        }
        Form::Options | Form::AlterTable | Form::TypeOwner => {
            skip_rest(parser);
            vec![]
        }
    };
    Ok(Some(
        AlterTable {
            name,
            if_exists,
            only,
            operations,
            location: None,
            on_cluster: None,
            table_type: None,
            end_token: AttachedToken::empty(),
        }
        .into(),
    ))
}

/// What `SET (closed = …)` or `RESET (closed)` says, if option `closed` is in the list; other options say how a column is
/// stored.
fn closed_option(parser: &mut Parser<'_>) -> Parse<Option<bool>> {
    let is_reset = parser.parse_keyword(Keyword::RESET);
    if !is_reset && !parser.parse_keyword(Keyword::SET) || !parser.consume_token(&Token::LParen) {
        return Ok(None);
    }
    let mut closed = None;
    loop {
        let name = parser.parse_identifier()?;
        let has_value = parser.consume_token(&Token::Eq);
        if name.value.eq_ignore_ascii_case(CLOSED) {
            let is_true = !has_value || truth(parser)?;
            closed = Some(is_true && !is_reset);
        }
        while !matches!(parser.peek_token_ref().token, Token::Comma | Token::RParen | Token::EOF) {
            parser.advance_token();
        }
        if !parser.consume_token(&Token::Comma) {
            return Ok(closed);
        }
    }
}

/// The value of an option that is true or false.
fn truth(parser: &mut Parser<'_>) -> Parse<bool> {
    let found = parser.next_token();
    let text = match &found.token {
        Token::Word(word) => word.value.to_lowercase(),
        Token::SingleQuotedString(text) => text.to_lowercase(),
        Token::Number(digits, _) => digits.clone(),
        _ => String::new(),
    };
    match text.as_str() {
        "true" | "on" | "yes" | "1" => Ok(true),
        "false" | "off" | "no" | "0" => Ok(false),
        _ => parser.expected("true or false", found),
    }
}

fn skip_rest(parser: &mut Parser<'_>) {
    while parser.peek_token_ref().token != Token::EOF {
        parser.advance_token();
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Schema,
    Column,
    Options,
    /// What sqlparser reads behind ALTER TABLE.
    AlterTable,
    TypeOwner,
}

struct Look<'a, 'b>(&'a Parser<'b>);

impl Look<'_, '_> {
    fn is(&self, at: usize, keyword: Keyword) -> bool {
        is_keyword(&self.0.peek_nth_token_ref(at).token, keyword)
    }

    fn word(&self, at: usize) -> String {
        match &self.0.peek_nth_token_ref(at).token {
            Token::Word(word) if word.quote_style.is_none() => word.value.to_lowercase(),
            Token::LParen => "(".into(),
            _ => String::new(),
        }
    }

    /// Whether the statement ends with the list in parentheses that begins here.
    fn ends_with_list(&self, at: usize) -> bool {
        let mut at = at;
        while !matches!(self.0.peek_nth_token_ref(at).token, Token::RParen | Token::EOF) {
            at += 1;
        }
        self.0.peek_nth_token_ref(at + 1).token == Token::EOF
    }
}

impl Form {
    fn of(look: &Look<'_, '_>) -> Option<Form> {
        let is_view = look.is(1, Keyword::VIEW);
        let is_type = look.is(1, Keyword::TYPE) || look.is(1, Keyword::DOMAIN);
        if !is_view && !is_type && !look.is(1, Keyword::TABLE) && !look.is(1, Keyword::SEQUENCE) {
            return None;
        }
        let mut at = 2;
        if look.is(at, Keyword::IF) {
            at += 2;
        }
        if look.is(at, Keyword::ONLY) {
            at += 1;
        }
        at += 1;
        while matches!(look.0.peek_nth_token_ref(at).token, Token::Period) {
            at += 2;
        }
        match (look.word(at).as_str(), look.word(at + 1).as_str()) {
            ("owner", "to") if is_type => Some(Form::TypeOwner),
            _ if is_type => None,
            ("set", "schema") => Some(Form::Schema),
            ("set" | "reset", "(") if look.ends_with_list(at + 1) => Some(Form::Options),
            ("cluster", "on") | ("set", "without") => Some(Form::Options),
            ("alter", _) => {
                let column = if look.is(at + 1, Keyword::COLUMN) {
                    at + 2
                } else {
                    at + 1
                };
                match (look.word(column + 1).as_str(), look.word(column + 2).as_str()) {
                    ("set", "statistics" | "storage" | "compression") => {
                        let mut end = column + 3;
                        while !matches!(look.0.peek_nth_token_ref(end).token, Token::Comma | Token::EOF) {
                            end += 1;
                        }
                        (look.0.peek_nth_token_ref(end).token == Token::EOF).then_some(Form::Column)
                    }
                    ("set" | "reset", "(") if look.ends_with_list(column + 2) => Some(Form::Column),
                    _ => is_view.then_some(Form::AlterTable),
                }
            }
            ("rename" | "owner", _) if is_view => Some(Form::AlterTable),
            _ => None,
        }
    }
}

fn comment_on_constraint(parser: &mut Parser<'_>) -> Parse<Statement> {
    let span: Span = parser.peek_token_ref().span;
    let constraint = parser.parse_identifier()?;
    parser.expect_keyword(Keyword::ON)?;
    let mut name = parser.parse_object_name(false)?;
    name.0.insert(0, ObjectNamePart::Identifier(constraint));
    name.0
        .insert(0, ObjectNamePart::Identifier(internal_name(CONSTRAINT, span)));
    parser.expect_keyword(Keyword::IS)?;
    let comment = if parser.parse_keyword(Keyword::NULL) {
        None
    } else {
        Some(parser.parse_literal_string()?)
    };
    Ok(Statement::Comment {
        object_type: CommentObject::Table,
        object_name: name,
        comment,
        if_exists: false,
    })
}
