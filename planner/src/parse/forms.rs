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
//! | `SUBSTRING(a SIMILAR b ESCAPE c)` | the call `substring(a, b, c)` |
//!
//! Every such name starts with U+0001 (see [`super::lexer::internal_name`]).

use sqlparser::ast::{
    BinaryOperator, DateTimeField, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList,
    FunctionArguments, Ident, Interval, ObjectName, Query, TypedString, Value, ValueWithSpan,
};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Span, Token};

use super::lexer::internal_name;

type Parse<T> = Result<T, ParserError>;

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
/// Alias of a function with a column definition list and no alias.
pub(crate) const NO_ALIAS: &str = "\u{1}no alias";

/// A call of an internal function.
pub(crate) fn call(name: &str, span: Span, args: Vec<Expr>) -> Expr {
    call_of(name, span, args)
}

fn call_of(name: &str, span: Span, args: Vec<Expr>) -> Expr {
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

/// Words with a grammar of their own at the start of an expression, which sqlparser reads well.
pub(crate) fn starts_special_form(keyword: Keyword) -> bool {
    use Keyword as K;
    matches!(
        keyword,
        K::CASE
            | K::CAST
            | K::EXISTS
            | K::EXTRACT
            | K::POSITION
            | K::SUBSTRING
            | K::OVERLAY
            | K::TRIM
            | K::INTERVAL
            | K::ARRAY
            | K::NOT
            | K::CURRENT_CATALOG
            | K::CURRENT_DATE
            | K::CURRENT_ROLE
            | K::CURRENT_TIME
            | K::CURRENT_TIMESTAMP
            | K::CURRENT_USER
            | K::LOCALTIME
            | K::LOCALTIMESTAMP
            | K::SESSION_USER
            | K::USER
            | K::SELECT
            | K::WITH
    )
}

/// Forms that start with a word and that sqlparser reads wrongly or not at all.
pub(crate) fn word_prefix(parser: &mut Parser<'_>, keyword: Keyword) -> Parse<Option<Expr>> {
    let span = parser.peek_token_ref().span;
    match keyword {
        Keyword::INTERVAL => interval(parser),
        Keyword::VARIADIC => {
            parser.advance_token();
            let array = parser.parse_expr()?;
            Ok(Some(call("variadic", span, vec![array])))
        }
        Keyword::SUBSTRING if parser.peek_nth_token_ref(1).token == Token::LParen => substring(parser, span).map(Some),
        Keyword::TRIM if parser.peek_nth_token_ref(1).token == Token::LParen => trim(parser, span).map(Some),
        Keyword::DEFAULT => {
            parser.advance_token();
            Ok(Some(Expr::Identifier(Ident {
                value: "default".into(),
                quote_style: None,
                span,
            })))
        }
        Keyword::CURRENT_ROLE
        | Keyword::CURRENT_SCHEMA
        | Keyword::CURRENT_CATALOG
        | Keyword::CURRENT_USER
        | Keyword::SESSION_USER
        | Keyword::USER => {
            let call_follows = parser.peek_nth_token_ref(1).token == Token::LParen;
            if call_follows {
                return Ok(None);
            }
            let ident = parser.parse_identifier()?;
            Ok(Some(no_argument_call(ident)))
        }
        Keyword::TIME
        | Keyword::TIMESTAMP
        | Keyword::DOUBLE
        | Keyword::CHARACTER
        | Keyword::CHAR
        | Keyword::BIT
        | Keyword::NATIONAL => {
            let continues = matches!(
                &parser.peek_nth_token_ref(1).token,
                Token::Word(word) if word.quote_style.is_none() && matches!(
                    word.keyword,
                    Keyword::WITH | Keyword::WITHOUT | Keyword::PRECISION | Keyword::VARYING | Keyword::CHARACTER | Keyword::CHAR
                )
            );
            if !continues {
                return Ok(None);
            }
            let data_type = parser.maybe_parse(|parser| parser.parse_data_type())?;
            match data_type {
                Some(data_type) => match string_value(parser)? {
                    Some(value) => Ok(Some(Expr::TypedString(TypedString {
                        data_type,
                        value,
                        uses_odbc_syntax: false,
                    }))),
                    None => parser.expected("a string", parser.peek_token()),
                },
                None => Ok(None),
            }
        }
        _ => Ok(None),
    }
}

/// `INTERVAL 'text' [fields]`, `INTERVAL(p) 'text'`; anything else is a name.
fn interval(parser: &mut Parser<'_>) -> Parse<Option<Expr>> {
    let precise = matches!(
        parser.peek_tokens_ref::<5>().map(|token| &token.token),
        [
            _,
            Token::LParen,
            Token::Number(..),
            Token::RParen,
            Token::SingleQuotedString(_)
        ]
    );
    if !precise && !matches!(parser.peek_nth_token_ref(1).token, Token::SingleQuotedString(_)) {
        return Ok(None);
    }
    parser.advance_token();
    let mut precision = None;
    if precise {
        parser.advance_token();
        precision = Some(parser.parse_literal_uint()?);
        parser.expect_token(&Token::RParen)?;
    }
    let Some(value) = string_value(parser)? else {
        return parser.expected("a string", parser.peek_token());
    };
    let leading_field = if precise { None } else { interval_field(parser) };
    let mut last_field = None;
    if leading_field.is_some() && parser.peek_keyword(Keyword::TO) {
        parser.advance_token();
        last_field = interval_field(parser);
        if last_field.is_none() {
            return parser.expected("a field", parser.peek_token());
        }
    }
    let seconds = matches!(
        last_field.as_ref().or(leading_field.as_ref()),
        Some(DateTimeField::Second)
    );
    if seconds && parser.consume_token(&Token::LParen) {
        precision = Some(parser.parse_literal_uint()?);
        parser.expect_token(&Token::RParen)?;
    }
    Ok(Some(Expr::Interval(Interval {
        value: Box::new(Expr::Value(value)),
        leading_field,
        leading_precision: None,
        last_field,
        fractional_seconds_precision: precision,
    })))
}

fn interval_field(parser: &mut Parser<'_>) -> Option<DateTimeField> {
    let field = match parser.parse_one_of_keywords(&[
        Keyword::YEAR,
        Keyword::MONTH,
        Keyword::DAY,
        Keyword::HOUR,
        Keyword::MINUTE,
        Keyword::SECOND,
    ])? {
        Keyword::YEAR => DateTimeField::Year,
        Keyword::MONTH => DateTimeField::Month,
        Keyword::DAY => DateTimeField::Day,
        Keyword::HOUR => DateTimeField::Hour,
        Keyword::MINUTE => DateTimeField::Minute,
        _ => DateTimeField::Second,
    };
    Some(field)
}

/// `TRIM([BOTH | LEADING | TRAILING] [characters] [FROM] text, …)` is a call of btrim, ltrim or rtrim.
fn trim(parser: &mut Parser<'_>, span: Span) -> Parse<Expr> {
    parser.advance_token();
    parser.expect_token(&Token::LParen)?;
    let name = match parser.parse_one_of_keywords(&[Keyword::BOTH, Keyword::LEADING, Keyword::TRAILING]) {
        Some(Keyword::LEADING) => "ltrim",
        Some(Keyword::TRAILING) => "rtrim",
        _ => "btrim",
    };
    let mut args = Vec::new();
    if parser.parse_keyword(Keyword::FROM) {
        args = parser.parse_comma_separated(Parser::parse_expr)?;
    } else {
        let first = parser.parse_expr()?;
        if parser.parse_keyword(Keyword::FROM) {
            args = parser.parse_comma_separated(Parser::parse_expr)?;
            args.push(first);
        } else {
            args.push(first);
            while parser.consume_token(&Token::Comma) {
                args.push(parser.parse_expr()?);
            }
        }
    }
    parser.expect_token(&Token::RParen)?;
    let Expr::Function(mut function) = call_of(name, span, args) else {
        return parser.expected("a call", parser.peek_token());
    };
    function.name = ObjectName::from(vec![Ident::with_span(span, name)]);
    Ok(Expr::Function(function))
}

/// `SUBSTRING(…)` in its three grammars.
fn substring(parser: &mut Parser<'_>, span: Span) -> Parse<Expr> {
    let name = parser.parse_identifier()?;
    // The grammar of a plain call covers everything with commas, and no arguments at all.
    let call = parser.maybe_parse(|parser| parser.parse_function(ObjectName::from(vec![name.clone()])))?;
    if let Some(call) = call {
        return Ok(call);
    }
    parser.expect_token(&Token::LParen)?;
    let whole = parser.parse_expr()?;
    if parser.parse_keyword(Keyword::SIMILAR) {
        let pattern = parser.parse_expr()?;
        parser.expect_keyword(Keyword::ESCAPE)?;
        let escape = parser.parse_expr()?;
        parser.expect_token(&Token::RParen)?;
        let Expr::Function(mut function) = call_of("substring", span, vec![whole, pattern, escape]) else {
            return parser.expected("a call", parser.peek_token());
        };
        function.name = ObjectName::from(vec![name]);
        return Ok(Expr::Function(function));
    }
    let mut from = None;
    let mut count = None;
    // FROM and FOR come in either order.
    loop {
        if from.is_none() && parser.parse_keyword(Keyword::FROM) {
            from = Some(Box::new(parser.parse_expr()?));
        } else if count.is_none() && parser.parse_keyword(Keyword::FOR) {
            count = Some(Box::new(parser.parse_expr()?));
        } else {
            break;
        }
    }
    parser.expect_token(&Token::RParen)?;
    Ok(Expr::Substring {
        expr: Box::new(whole),
        substring_from: from,
        substring_for: count,
        special: false,
        shorthand: false,
    })
}

/// `((SELECT 1) UNION SELECT 2)` in an expression: sqlparser looks for a query behind one parenthesis only.
pub(crate) fn nested_query(parser: &mut Parser<'_>) -> Parse<Option<Expr>> {
    let mut opened = 0;
    while parser.peek_nth_token_ref(opened).token == Token::LParen {
        opened += 1;
    }
    if opened < 2 || !starts_query(&parser.peek_nth_token_ref(opened).token) {
        // `(VALUES …)` and `(TABLE t)` are queries too.
        let only = opened == 1
            && matches!(
                &parser.peek_nth_token_ref(1).token,
                Token::Word(word) if word.quote_style.is_none() && matches!(word.keyword, Keyword::VALUES | Keyword::TABLE)
            );
        if !only {
            return Ok(None);
        }
    }
    // What follows the second parenthesis's end tells a query from an expression.
    let mut depth = 0usize;
    let mut ahead = 1;
    loop {
        match &parser.peek_nth_token_ref(ahead).token {
            Token::LParen => depth += 1,
            Token::RParen if depth == 0 => break,
            Token::RParen => {
                depth -= 1;
                if depth == 0 && opened > 1 {
                    ahead += 1;
                    break;
                }
            }
            Token::EOF => return Ok(None),
            _ => {}
        }
        ahead += 1;
    }
    let continues = match &parser.peek_nth_token_ref(ahead).token {
        Token::RParen => true,
        Token::Word(word) if word.quote_style.is_none() => matches!(
            word.keyword,
            Keyword::UNION
                | Keyword::INTERSECT
                | Keyword::EXCEPT
                | Keyword::ORDER
                | Keyword::LIMIT
                | Keyword::OFFSET
                | Keyword::FETCH
                | Keyword::FOR
        ),
        _ => false,
    };
    if !continues {
        return Ok(None);
    }
    parser.advance_token();
    let query = parser.parse_query()?;
    parser.expect_token(&Token::RParen)?;
    Ok(Some(Expr::Subquery(query)))
}

fn starts_query(token: &Token) -> bool {
    matches!(
        token,
        Token::Word(word) if word.quote_style.is_none()
            && matches!(word.keyword, Keyword::SELECT | Keyword::WITH | Keyword::VALUES | Keyword::TABLE)
    )
}

fn no_argument_call(name: Ident) -> Expr {
    Expr::Function(Function {
        name: ObjectName::from(vec![name]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::None,
        within_group: vec![],
        filter: None,
        null_treatment: None,
        over: None,
    })
}

fn string_value(parser: &mut Parser<'_>) -> Parse<Option<ValueWithSpan>> {
    let token = parser.peek_token_ref();
    let span = token.span;
    let value = match &token.token {
        Token::SingleQuotedString(text) => Value::SingleQuotedString(text.clone()),
        _ => return Ok(None),
    };
    parser.advance_token();
    Ok(Some(ValueWithSpan { value, span }))
}

/// A function call whose name was read; or a typed literal with modifiers, `numeric(5, 2) '1.5'`.
pub(crate) fn call_or_typed_string(parser: &mut Parser<'_>, name: ObjectName) -> Parse<Expr> {
    let modified = name.0[0].as_ident().is_some_and(|ident| {
        matches!(
            ident.value.as_str(),
            "numeric"
                | "decimal"
                | "dec"
                | "time"
                | "timestamp"
                | "timetz"
                | "timestamptz"
                | "varchar"
                | "char"
                | "character"
                | "bpchar"
                | "bit"
        )
    });
    if modified {
        let back = parser.get_current_index();
        let _ = back;
        let typed = parser.maybe_parse(|parser| {
            parser.prev_token();
            let data_type = parser.parse_data_type()?;
            match string_value(parser)? {
                Some(value) => Ok(Expr::TypedString(TypedString {
                    data_type,
                    value,
                    uses_odbc_syntax: false,
                })),
                None => parser.expected("a string", parser.peek_token()),
            }
        })?;
        if let Some(expr) = typed {
            return Ok(expr);
        }
    }
    parser.parse_function(name)
}

/// Operators that sqlparser reads differently or not at all.
pub(crate) fn infix(parser: &mut Parser<'_>, left: &Expr, precedence: u8) -> Parse<Option<Expr>> {
    let token = parser.peek_token_ref();
    let span = token.span;
    match &token.token {
        Token::Word(word) if word.quote_style.is_none() => match word.keyword {
            Keyword::COLLATE => {
                parser.advance_token();
                let collation = parser.parse_object_name(false)?;
                Ok(Some(Expr::Collate {
                    expr: Box::new(left.clone()),
                    collation,
                }))
            }
            _ if word.value == "isnull" => {
                parser.advance_token();
                Ok(Some(Expr::IsNull(Box::new(left.clone()))))
            }
            Keyword::BETWEEN => between(parser, left, false, 1),
            Keyword::LIKE | Keyword::ILIKE => like_quantified(parser, left, false, 1),
            Keyword::NOT => {
                if let Some(expr) = between(parser, left, true, 2)? {
                    return Ok(Some(expr));
                }
                like_quantified(parser, left, true, 2)
            }
            _ => Ok(None),
        },
        Token::Word(_) => Ok(None),
        operator => {
            let Some(name) = operator_name(operator) else {
                return Ok(None);
            };
            let name = name.to_owned();
            let Token::Word(word) = &parser.peek_nth_token_ref(1).token else {
                return Ok(None);
            };
            let all = match word.keyword {
                Keyword::ANY | Keyword::SOME => false,
                Keyword::ALL => true,
                _ => return Ok(None),
            };
            let _ = precedence;
            parser.advance_token();
            parser.advance_token();
            quantified(parser, left, &name, all, span).map(Some)
        }
    }
}

/// `left op ANY (…)` behind the keyword.
fn quantified(parser: &mut Parser<'_>, left: &Expr, operator: &str, all: bool, span: Span) -> Parse<Expr> {
    parser.expect_token(&Token::LParen)?;
    let right = parenthesized(parser)?;
    let word = if all { "all" } else { "any" };
    Ok(call(&format!("{word} {operator}"), span, vec![left.clone(), right]))
}

/// A query or an expression and the closing parenthesis.
fn parenthesized(parser: &mut Parser<'_>) -> Parse<Expr> {
    let query = matches!(
        &parser.peek_token_ref().token,
        Token::Word(word) if word.quote_style.is_none()
            && matches!(word.keyword, Keyword::SELECT | Keyword::WITH | Keyword::VALUES | Keyword::TABLE)
    );
    let inner = if query {
        let query: Box<Query> = parser.parse_query()?;
        Expr::Subquery(query)
    } else {
        parser.parse_expr()?
    };
    parser.expect_token(&Token::RParen)?;
    Ok(inner)
}

fn between(parser: &mut Parser<'_>, left: &Expr, negated: bool, words: usize) -> Parse<Option<Expr>> {
    let is = |n: usize, keyword: Keyword| super::lexer::is_keyword(&parser.peek_nth_token_ref(n).token, keyword);
    let symmetric = is(words, Keyword::SYMMETRIC);
    if !is(words - 1, Keyword::BETWEEN) || !(symmetric || is(words, Keyword::ASYMMETRIC)) {
        return Ok(None);
    }
    let span = parser.peek_nth_token_ref(words - 1).span;
    for _ in 0..=words {
        parser.advance_token();
    }
    // The bounds bind tighter than BETWEEN itself.
    let low = parser.parse_subexpr(60)?;
    parser.expect_keyword(Keyword::AND)?;
    let high = parser.parse_subexpr(60)?;
    if !symmetric {
        return Ok(Some(Expr::Between {
            expr: Box::new(left.clone()),
            negated,
            low: Box::new(low),
            high: Box::new(high),
        }));
    }
    let name = if negated {
        "not between symmetric"
    } else {
        "between symmetric"
    };
    Ok(Some(call(name, span, vec![left.clone(), low, high])))
}

fn like_quantified(parser: &mut Parser<'_>, left: &Expr, negated: bool, words: usize) -> Parse<Option<Expr>> {
    let is = |n: usize, keyword: Keyword| super::lexer::is_keyword(&parser.peek_nth_token_ref(n).token, keyword);
    let like = is(words - 1, Keyword::LIKE);
    if !like && !is(words - 1, Keyword::ILIKE) {
        return Ok(None);
    }
    let all = is(words, Keyword::ALL);
    if !all && !is(words, Keyword::ANY) && !is(words, Keyword::SOME) {
        return Ok(None);
    }
    let operator = match (negated, like) {
        (false, true) => "~~",
        (false, false) => "~~*",
        (true, true) => "!~~",
        (true, false) => "!~~*",
    };
    let span = parser.peek_token_ref().span;
    for _ in 0..=words {
        parser.advance_token();
    }
    quantified(parser, left, operator, all, span).map(Some)
}
