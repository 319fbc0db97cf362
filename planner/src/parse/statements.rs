//! Statements that sqlparser reads differently or not at all.
//!
//! | written | tree |
//! |---|---|
//! | `CREATE DOMAIN d t NOT NULL CHECK (…) DEFAULT x` in any order | constraint `CHECK (domain not null())` for NOT NULL |
//! | `SELECT … INTO t …` | `CREATE TABLE t AS SELECT …` |
//! | `ALTER SEQUENCE s …` | CREATE SEQUENCE of the name `alter.s`, IF EXISTS as IF NOT EXISTS |
//! | `… RESTART WITH n` | START WITH the call `restart(n)` |
//! | `ALTER SEQUENCE s RENAME …`, `OWNER …`, `SET SCHEMA …` | ALTER TABLE |

use sqlparser::ast::helpers::stmt_create_table::CreateTableBuilder;
use sqlparser::ast::{
    CheckConstraint, CreateDomain, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, ObjectName, ObjectNamePart,
    Query, SequenceOptions, SetExpr, Statement, TableConstraint,
};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

use super::forms::{call, internal};
use super::lexer::{internal_name, is_keyword};

type Parse<T> = Result<T, ParserError>;

/// NOT NULL among the constraints of a domain.
const DOMAIN_NOT_NULL: &str = "domain not null";
/// First part of the name of an altered sequence.
const ALTER: &str = "alter";
/// RESTART among the options of a sequence.
const RESTART: &str = "restart";

/// Whether a domain's constraint stands for NOT NULL.
pub(crate) fn is_domain_not_null(expr: &Expr) -> bool {
    matches!(expr, Expr::Function(function) if internal(&function.name) == Some(DOMAIN_NOT_NULL))
}

/// A statement with a grammar of our own, if one begins here.
pub(super) fn statement(parser: &mut Parser<'_>) -> Parse<Option<Statement>> {
    if parser.parse_keywords(&[Keyword::CREATE, Keyword::DOMAIN]) {
        return create_domain(parser).map(Some);
    }
    if let Some(statement) = super::alter::statement(parser)? {
        return Ok(Some(statement));
    }
    if parser.parse_keywords(&[Keyword::ALTER, Keyword::SEQUENCE]) {
        return alter_sequence(parser).map(Some);
    }
    Ok(None)
}

fn create_domain(parser: &mut Parser<'_>) -> Parse<Statement> {
    let name = parser.parse_object_name(false)?;
    let _has_as = parser.parse_keyword(Keyword::AS);
    let data_type = parser.parse_data_type()?;
    let mut domain = CreateDomain {
        name,
        data_type,
        collation: None,
        default: None,
        constraints: Vec::new(),
    };
    loop {
        if parser.parse_keyword(Keyword::COLLATE) {
            domain.collation = Some(parser.parse_identifier()?);
            continue;
        }
        if parser.parse_keyword(Keyword::DEFAULT) {
            domain.default = Some(parser.parse_expr()?);
            continue;
        }
        let constraint = if parser.parse_keyword(Keyword::CONSTRAINT) {
            Some(parser.parse_identifier()?)
        } else {
            None
        };
        let span = parser.peek_token_ref().span;
        let expr = if parser.parse_keywords(&[Keyword::NOT, Keyword::NULL]) {
            call(DOMAIN_NOT_NULL, span, vec![])
        } else if parser.parse_keyword(Keyword::NULL) {
            continue;
        } else if parser.parse_keyword(Keyword::CHECK) {
            parser.expect_token(&Token::LParen)?;
            let expr = parser.parse_expr()?;
            parser.expect_token(&Token::RParen)?;
            expr
        } else if constraint.is_some() {
            return parser.expected_ref("CHECK or NOT NULL", parser.peek_token_ref());
        } else {
            break;
        };
        domain.constraints.push(TableConstraint::Check(CheckConstraint {
            name: constraint,
            expr: Box::new(expr),
            no_inherit: false,
            enforced: None,
        }));
    }
    Ok(Statement::CreateDomain(domain))
}

fn alter_sequence(parser: &mut Parser<'_>) -> Parse<Statement> {
    let mut names = 0;
    if is_keyword(&parser.peek_nth_token_ref(0).token, Keyword::IF) {
        names += 2;
    }
    while matches!(parser.peek_nth_token_ref(names + 1).token, Token::Period) {
        names += 2;
    }
    let next = &parser.peek_nth_token_ref(names + 1).token;
    if [Keyword::RENAME, Keyword::SET, Keyword::OWNER]
        .into_iter()
        .any(|keyword| is_keyword(next, keyword))
    {
        return parser.parse_alter_table(false);
    }
    let if_exists = parser.parse_keywords(&[Keyword::IF, Keyword::EXISTS]);
    let span = parser.peek_token_ref().span;
    let mut name = parser.parse_object_name(false)?;
    name.0.insert(0, ObjectNamePart::Identifier(internal_name(ALTER, span)));
    let mut data_type = None;
    let mut owned_by = None;
    let mut sequence_options = Vec::new();
    loop {
        let span = parser.peek_token_ref().span;
        let option = if parser.parse_keyword(Keyword::AS) {
            data_type = Some(parser.parse_data_type()?);
            continue;
        } else if parser.parse_keywords(&[Keyword::OWNED, Keyword::BY]) {
            owned_by = Some(parser.parse_object_name(false)?);
            continue;
        } else if parser.parse_keyword(Keyword::INCREMENT) {
            let by = parser.parse_keyword(Keyword::BY);
            SequenceOptions::IncrementBy(parser.parse_expr()?, by)
        } else if parser.parse_keyword(Keyword::MINVALUE) {
            SequenceOptions::MinValue(Some(parser.parse_expr()?))
        } else if parser.parse_keyword(Keyword::MAXVALUE) {
            SequenceOptions::MaxValue(Some(parser.parse_expr()?))
        } else if parser.parse_keywords(&[Keyword::NO, Keyword::MINVALUE]) {
            SequenceOptions::MinValue(None)
        } else if parser.parse_keywords(&[Keyword::NO, Keyword::MAXVALUE]) {
            SequenceOptions::MaxValue(None)
        } else if parser.parse_keywords(&[Keyword::NO, Keyword::CYCLE]) {
            SequenceOptions::Cycle(true)
        } else if parser.parse_keyword(Keyword::CYCLE) {
            SequenceOptions::Cycle(false)
        } else if parser.parse_keyword(Keyword::CACHE) {
            SequenceOptions::Cache(parser.parse_expr()?)
        } else if parser.parse_keyword(Keyword::START) {
            let with = parser.parse_keyword(Keyword::WITH);
            SequenceOptions::StartWith(parser.parse_expr()?, with)
        } else if parser.parse_keyword(Keyword::RESTART) {
            let with = parser.parse_keyword(Keyword::WITH);
            let is_bare = matches!(parser.peek_token_ref().token, Token::EOF | Token::Word(_));
            let values = if is_bare && !with {
                vec![]
            } else {
                vec![parser.parse_expr()?]
            };
            SequenceOptions::StartWith(call(RESTART, span, values), true)
        } else {
            break;
        };
        sequence_options.push(option);
    }
    Ok(Statement::CreateSequence {
        temporary: false,
        if_not_exists: if_exists,
        name,
        data_type,
        sequence_options,
        owned_by,
    })
}

/// Whether the name of a CREATE SEQUENCE says that it is an ALTER SEQUENCE: the name without the mark.
pub(crate) fn altered_sequence(name: &ObjectName) -> Option<ObjectName> {
    match name.0.split_first() {
        Some((ObjectNamePart::Identifier(first), rest)) if first.value.strip_prefix('\u{1}') == Some(ALTER) => {
            Some(ObjectName(rest.to_vec()))
        }
        _ => None,
    }
}

/// The argument of RESTART [WITH n], if an option's value stands for it.
pub(crate) fn restart(value: &Expr) -> Option<Option<&Expr>> {
    let Expr::Function(function) = value else { return None };
    if internal(&function.name) != Some(RESTART) {
        return None;
    }
    let FunctionArguments::List(list) = &function.args else {
        return Some(None);
    };
    Some(list.args.first().and_then(|arg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
        _ => None,
    }))
}

/// A statement that is another one, written another way.
pub(super) fn finish(statement: Statement) -> Statement {
    match statement {
        Statement::Query(query) => select_into(query),
        other => other,
    }
}

/// SELECT INTO is CREATE TABLE AS, written another way.
fn select_into(mut query: Box<Query>) -> Statement {
    let SetExpr::Select(select) = query.body.as_mut() else {
        return Statement::Query(query);
    };
    let Some(into) = select.into.take() else {
        return Statement::Query(query);
    };
    let [name] = into.targets.as_slice() else {
        select.into = Some(into);
        return Statement::Query(query);
    };
    let (Expr::Identifier(_) | Expr::CompoundIdentifier(_)) = name else {
        select.into = Some(into);
        return Statement::Query(query);
    };
    let parts = match name {
        Expr::CompoundIdentifier(parts) => parts.clone(),
        Expr::Identifier(part) => vec![part.clone()],
        _ => vec![],
    };
    let (temporary, unlogged) = (into.temporary, into.unlogged);
    let mut create = CreateTableBuilder::new(parts.into())
        .temporary(temporary)
        .query(Some(query))
        .build();
    create.unlogged = unlogged;
    Statement::CreateTable(create)
}
