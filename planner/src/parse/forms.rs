//! Forms: what PostgreSQL writes and sqlparser's tree has no node for, as calls of functions no user can name.
//!
//! | written | tree |
//! |---|---|
//! | `@- 5`, `\|/ x` (prefix operators) | `prefix @-(5)` |
//! | `a BETWEEN SYMMETRIC b AND c` | `between symmetric(a, b, c)`, `not between symmetric` |
//! | `a <-> ANY (b)` | `any <->(a, b)`, `all <->(a, b)` |
//! | `a LIKE ANY (b)`, `NOT ILIKE ALL` … | `any ~~(a, b)` with the operator behind the keyword |
//! | `SET doc['a'] = …`, `INSERT INTO t (a[1])` | name part `subscript('a')`, slices `subscript(slice(l, u))` |
//! | `ON CONFLICT (a, lower(b)) WHERE c` | constraint name `conflict(a, lower(b)).where(c)` |
//! | `FOR NO KEY UPDATE OF a, b` | `FOR UPDATE OF` name `no key update.a.b` |
//! | `ROWS FROM (f(), g())` | table function `rows from(f(), g())` |
//! | `OVER (w EXCLUDE TIES)` | window name `exclude ties w` |
//! | `f(VARIADIC a)` | argument `variadic(a)` |
//! | `(row).*` | field `star` of the row |
//! | `USING (a) AS j` | a last name `as.j` in the list |
//! | `INSERT DEFAULT VALUES`, `INSERT (a) OVERRIDING USER VALUE` of MERGE | `VALUES (default values)`, `(overriding user, a)` |
//! | `SUBSTRING(a SIMILAR b ESCAPE c)` | the call `substring(a, b, c)` |
//!
//! Every such name starts with U+0001 (see [`super::lexer::internal_name`]).

use sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, ObjectName,
    ObjectNamePart,
};
use sqlparser::keywords::Keyword;
use sqlparser::parser::ParserError;
use sqlparser::tokenizer::{Span, Token};

use super::lexer::internal_name;

pub(super) type Parse<T> = Result<T, ParserError>;

/// Name of the subscript part of an assignment's target.
pub(crate) const SUBSCRIPT: &str = "\u{1}subscript";
/// Name of a slice inside [`SUBSCRIPT`].
pub(crate) const SLICE: &str = "\u{1}slice";
/// Stands for an absent slice bound.
pub(crate) const ABSENT: &str = "\u{1}absent";
/// Name of an ON CONFLICT target list.
pub(crate) const CONFLICT: &str = "\u{1}conflict";
/// Name of an ON CONFLICT index predicate.
pub(crate) const WHERE: &str = "\u{1}where";
/// Name of ROWS FROM.
pub(crate) const ROWS_FROM: &str = "\u{1}rows from";
/// Stands for the star in `(row).*`.
pub(crate) const STAR: &str = "\u{1}star";
/// First part of the alias of a USING list.
pub(crate) const USING_ALIAS: &str = "\u{1}as";
/// The one value of a MERGE's `INSERT DEFAULT VALUES`.
pub(crate) const DEFAULT_VALUES: &str = "\u{1}default values";
/// First column of a MERGE's `INSERT OVERRIDING SYSTEM VALUE`.
pub(crate) const OVERRIDING_SYSTEM: &str = "\u{1}overriding system";
/// First column of a MERGE's `INSERT OVERRIDING USER VALUE`.
pub(crate) const OVERRIDING_USER: &str = "\u{1}overriding user";
/// First part of the name of a table that is read or changed without its descendants.
pub(crate) const ONLY: &str = "\u{1}only";
/// Alias of a function with a column definition list and no alias.
pub(crate) const NO_ALIAS: &str = "\u{1}no alias";

/// Whether a table's name says ONLY, and the name itself.
pub(crate) fn only(name: &ObjectName) -> (bool, &[ObjectNamePart]) {
    match name.0.split_first() {
        Some((ObjectNamePart::Identifier(first), rest)) if first.value == ONLY => (true, rest),
        _ => (false, &name.0),
    }
}

/// A call of an internal function.
pub(crate) fn call(name: &str, span: Span, args: Vec<Expr>) -> Expr {
    call_of(name, span, args)
}

pub(super) fn call_of(name: &str, span: Span, args: Vec<Expr>) -> Expr {
    Expr::Function(Function {
        name: ObjectName::from(vec![internal_name(name, span)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: args
                .into_iter()
                .map(|arg| FunctionArg::Unnamed(FunctionArgExpr::Expr(arg)))
                .collect(),
            clauses: vec![],
        }),
        within_group: vec![],
        filter: None,
        null_treatment: None,
        over: None,
    })
}

/// The name of an internal call, without its mark.
pub(crate) fn internal(name: &ObjectName) -> Option<&str> {
    match name.0.as_slice() {
        [part] => part.as_ident()?.value.strip_prefix('\u{1}'),
        _ => None,
    }
}

/// Text of an operator token.
pub(crate) fn operator_name(token: &Token) -> Option<&str> {
    Some(match token {
        Token::Eq => "=",
        Token::Neq => "<>",
        Token::Lt => "<",
        Token::Gt => ">",
        Token::LtEq => "<=",
        Token::GtEq => ">=",
        Token::Plus => "+",
        Token::Minus => "-",
        Token::Mul => "*",
        Token::Div => "/",
        Token::Mod => "%",
        Token::StringConcat => "||",
        Token::Ampersand => "&",
        Token::Pipe => "|",
        Token::Caret => "^",
        Token::Sharp => "#",
        Token::Tilde => "~",
        Token::TildeAsterisk => "~*",
        Token::ExclamationMarkTilde => "!~",
        Token::ExclamationMarkTildeAsterisk => "!~*",
        Token::DoubleTilde => "~~",
        Token::DoubleTildeAsterisk => "~~*",
        Token::ExclamationMarkDoubleTilde => "!~~",
        Token::ExclamationMarkDoubleTildeAsterisk => "!~~*",
        Token::ShiftLeft => "<<",
        Token::ShiftRight => ">>",
        Token::Overlap => "&&",
        Token::Arrow => "->",
        Token::LongArrow => "->>",
        Token::HashArrow => "#>",
        Token::HashLongArrow => "#>>",
        Token::AtArrow => "@>",
        Token::ArrowAt => "<@",
        Token::HashMinus => "#-",
        Token::AtQuestion => "@?",
        Token::AtAt => "@@",
        Token::Question => "?",
        Token::QuestionAnd => "?&",
        Token::QuestionPipe => "?|",
        Token::CaretAt => "^@",
        Token::CustomBinaryOperator(name) => name,
        _ => return None,
    })
}

/// Name of a binary operator as PostgreSQL's catalog has it.
pub(crate) fn binary_operator_name(op: &BinaryOperator) -> Option<&str> {
    use BinaryOperator as B;
    Some(match op {
        B::Plus => "+",
        B::Minus => "-",
        B::Multiply => "*",
        B::Divide => "/",
        B::Modulo => "%",
        B::StringConcat => "||",
        B::Gt => ">",
        B::Lt => "<",
        B::GtEq => ">=",
        B::LtEq => "<=",
        B::Eq => "=",
        B::NotEq => "<>",
        B::BitwiseOr => "|",
        B::BitwiseAnd => "&",
        B::PGBitwiseXor => "#",
        B::PGBitwiseShiftLeft => "<<",
        B::PGBitwiseShiftRight => ">>",
        B::PGExp => "^",
        B::PGOverlap => "&&",
        B::PGRegexMatch => "~",
        B::PGRegexIMatch => "~*",
        B::PGRegexNotMatch => "!~",
        B::PGRegexNotIMatch => "!~*",
        B::PGLikeMatch => "~~",
        B::PGILikeMatch => "~~*",
        B::PGNotLikeMatch => "!~~",
        B::PGNotILikeMatch => "!~~*",
        B::PGStartsWith => "^@",
        B::Arrow => "->",
        B::LongArrow => "->>",
        B::HashArrow => "#>",
        B::HashLongArrow => "#>>",
        B::AtAt => "@@",
        B::AtArrow => "@>",
        B::ArrowAt => "<@",
        B::HashMinus => "#-",
        B::AtQuestion => "@?",
        B::Question => "?",
        B::QuestionAnd => "?&",
        B::QuestionPipe => "?|",
        B::Custom(name) => name,
        _ => return None,
    })
}

/// Words that PostgreSQL does not accept as a column name.
pub(crate) fn is_reserved(keyword: Keyword) -> bool {
    use Keyword as K;
    matches!(
        keyword,
        K::ALL
            | K::ANALYZE
            | K::AND
            | K::ANY
            | K::ARRAY
            | K::AS
            | K::ASC
            | K::ASYMMETRIC
            | K::AUTHORIZATION
            | K::BINARY
            | K::BOTH
            | K::CASE
            | K::CAST
            | K::CHECK
            | K::COLLATE
            | K::COLLATION
            | K::COLUMN
            | K::CONCURRENTLY
            | K::CONSTRAINT
            | K::CREATE
            | K::CROSS
            | K::CURRENT_CATALOG
            | K::CURRENT_DATE
            | K::CURRENT_ROLE
            | K::CURRENT_SCHEMA
            | K::CURRENT_TIME
            | K::CURRENT_TIMESTAMP
            | K::CURRENT_USER
            | K::DEFERRABLE
            | K::DESC
            | K::DISTINCT
            | K::DO
            | K::ELSE
            | K::END
            | K::EXCEPT
            | K::FALSE
            | K::FETCH
            | K::FOR
            | K::FOREIGN
            | K::FREEZE
            | K::FROM
            | K::FULL
            | K::GRANT
            | K::GROUP
            | K::HAVING
            | K::ILIKE
            | K::IN
            | K::INITIALLY
            | K::INNER
            | K::INTERSECT
            | K::INTO
            | K::IS
            | K::JOIN
            | K::LATERAL
            | K::LEADING
            | K::LEFT
            | K::LIKE
            | K::LIMIT
            | K::LOCALTIME
            | K::LOCALTIMESTAMP
            | K::NATURAL
            | K::NOT
            | K::NOTNULL
            | K::NULL
            | K::OFFSET
            | K::ON
            | K::ONLY
            | K::OR
            | K::ORDER
            | K::OUTER
            | K::OVERLAPS
            | K::PLACING
            | K::PRIMARY
            | K::REFERENCES
            | K::RETURNING
            | K::RIGHT
            | K::SELECT
            | K::SESSION_USER
            | K::SIMILAR
            | K::SOME
            | K::SYMMETRIC
            | K::TABLE
            | K::TABLESAMPLE
            | K::THEN
            | K::TO
            | K::TRAILING
            | K::TRUE
            | K::UNION
            | K::UNIQUE
            | K::USER
            | K::USING
            | K::VARIADIC
            | K::VERBOSE
            | K::WHEN
            | K::WHERE
            | K::WINDOW
            | K::WITH
    )
}
