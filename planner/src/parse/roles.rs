//! Roles: `CREATE USER` is `CREATE ROLE … LOGIN`, `GROUP` is `ROLE`, and `ENCRYPTED PASSWORD` is `PASSWORD`.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan, Word};

use super::lexer::is_keyword;

/// Writes statements about users and groups as statements about roles.
pub(super) fn rewrite(mut tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let is = |at: usize, keyword: Keyword| tokens.get(at).is_some_and(|token| is_keyword(&token.token, keyword));
    let is_create = is(0, Keyword::CREATE);
    if !is_create && !is(0, Keyword::ALTER) && !is(0, Keyword::DROP) {
        return tokens;
    }
    let (is_user, is_group) = (is(1, Keyword::USER), is(1, Keyword::GROUP));
    // ALTER GROUP adds and drops members, which is a statement of its own; user mappings belong to foreign servers.
    let is_other = is_group && is(0, Keyword::ALTER) || tokens.get(2).is_some_and(|token| is_word(token, "mapping"));
    if !(is_user || is_group || is(1, Keyword::ROLE)) || is_other {
        return tokens;
    }
    let span = tokens[1].span;
    tokens[1].token = word("role", Keyword::ROLE);
    let mut follows_encrypted = false;
    let mut kept = Vec::with_capacity(tokens.len() + 1);
    for token in tokens {
        if follows_encrypted && is_keyword(&token.token, Keyword::PASSWORD) {
            kept.pop();
        }
        follows_encrypted = is_word(&token, "encrypted");
        kept.push(token);
    }
    let says_login = kept
        .iter()
        .any(|token| is_keyword(&token.token, Keyword::LOGIN) || is_keyword(&token.token, Keyword::NOLOGIN));
    if is_create && is_user && !says_login {
        kept.push(TokenWithSpan {
            token: word("login", Keyword::LOGIN),
            span,
        });
    }
    kept
}

fn is_word(token: &TokenWithSpan, text: &str) -> bool {
    matches!(&token.token, Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(text))
}

fn word(value: &str, keyword: Keyword) -> Token {
    Token::Word(Word {
        value: value.into(),
        quote_style: None,
        keyword,
    })
}
