//! Infix: operators that sqlparser reads differently or not at all.

use sqlparser::ast::{Expr, Query};
use sqlparser::keywords::Keyword;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Span, Token};

use super::forms::{Parse, call, operator_name};

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
