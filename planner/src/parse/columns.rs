//! Columns without types: `CREATE TABLE t (a, b) AS SELECT …`.
//!
//! sqlparser wants a type for each. The names get one that nobody looks at, where AS stands behind the list.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan, Word};

use super::lexer::is_keyword;

/// Gives the bare column names of CREATE TABLE … AS a type.
pub(super) fn rewrite(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let is = |at: usize, keyword: Keyword| tokens.get(at).is_some_and(|token| is_keyword(&token.token, keyword));
    if !is(0, Keyword::CREATE) || !(1..=3).any(|at| is(at, Keyword::TABLE)) {
        return tokens;
    }
    let Some(open) = tokens.iter().position(|token| token.token == Token::LParen) else {
        return tokens;
    };
    let mut names = Vec::new();
    let mut at = open + 1;
    let close = loop {
        let (Some(Token::Word(_)), Some(next)) = (
            tokens.get(at).map(|token| &token.token),
            tokens.get(at + 1).map(|token| &token.token),
        ) else {
            return tokens;
        };
        names.push(at);
        match next {
            Token::Comma => at += 2,
            Token::RParen => break at + 1,
            _ => return tokens,
        }
    };
    // The list belongs to the table only if a query follows; the query may have parentheses of its own.
    let is_list = !tokens[..open].iter().any(|token| is_keyword(&token.token, Keyword::AS))
        && tokens[close..]
            .iter()
            .any(|token| is_keyword(&token.token, Keyword::AS));
    if !is_list {
        return tokens;
    }
    let mut out = Vec::with_capacity(tokens.len() + names.len());
    for (at, token) in tokens.into_iter().enumerate() {
        let span = token.span;
        out.push(token);
        if names.contains(&at) {
            out.push(TokenWithSpan {
                token: Token::Word(Word {
                    value: "text".into(),
                    quote_style: None,
                    keyword: Keyword::TEXT,
                }),
                span,
            });
        }
    }
    out
}
