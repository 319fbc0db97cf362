//! Special forms: expressions with a grammar of their own that begin with a word (`INTERVAL`, `TRIM`, `SUBSTRING`, …), calls,
//! and queries in parentheses.

use sqlparser::ast::{
    DateTimeField, Expr, Function, FunctionArguments, Ident, Interval, ObjectName, TypedString, Value, ValueWithSpan,
};
use sqlparser::keywords::Keyword;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Span, Token};

use super::forms::{Parse, call, call_of};

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
