//! LIKE among the columns of CREATE TABLE: `(a int, LIKE t INCLUDING ALL EXCLUDING INDEXES)`.
//!
//! sqlparser reads it only where it stands alone and without most of its options. So it becomes a column whose name no
//! user can write, and whose type is the table with the options as modifiers: `"\u{1}like" t('all', '-indexes')`.

use sqlparser::ast::{ColumnDef, DataType, ObjectName};
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan, Word};

use super::lexer::is_keyword;

const LIKE: &str = "\u{1}like";

/// The table and the options of a column that stands for LIKE.
pub(crate) fn source(definition: &ColumnDef) -> Option<(&ObjectName, Vec<(bool, String)>)> {
    match &definition.data_type {
        DataType::Custom(name, modifiers) if definition.name.value == LIKE => {
            let options = modifiers.iter().map(|modifier| {
                let modifier = modifier.trim_matches('\'');
                match modifier.strip_prefix('-') {
                    Some(excluded) => (false, excluded.to_owned()),
                    None => (true, modifier.to_owned()),
                }
            });
            Some((name, options.collect()))
        }
        _ => None,
    }
}

/// Rewrites the LIKE elements of a CREATE TABLE.
pub(super) fn rewrite(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let is = |at: usize, keyword: Keyword| tokens.get(at).is_some_and(|token| is_keyword(&token.token, keyword));
    let is_create_table = is(0, Keyword::CREATE) && (1..=3).any(|at| is(at, Keyword::TABLE));
    if !is_create_table || !tokens.iter().any(|token| is_keyword(&token.token, Keyword::LIKE)) {
        return tokens;
    }
    let mut out: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len() + 8);
    let mut depth = 0usize;
    let mut at = 0;
    while at < tokens.len() {
        let starts_element =
            depth == 1 && matches!(out.last().map(|token| &token.token), Some(Token::LParen | Token::Comma));
        if starts_element && is(at, Keyword::LIKE) {
            at = element(&tokens, at, &mut out);
            continue;
        }
        match tokens[at].token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            _ => {}
        }
        out.push(tokens[at].clone());
        at += 1;
    }
    out
}

/// Writes one LIKE element; gives the place behind it.
fn element(tokens: &[TokenWithSpan], mut at: usize, out: &mut Vec<TokenWithSpan>) -> usize {
    let quoted = |value: &str| {
        Token::Word(Word {
            value: value.to_owned(),
            quote_style: Some('"'),
            keyword: Keyword::NoKeyword,
        })
    };
    let mut push = |token: Token, at: usize| {
        let span = tokens[at.min(tokens.len() - 1)].span;
        out.push(TokenWithSpan { token, span });
    };
    push(quoted(LIKE), at);
    at += 1;
    while let Some(Token::Word(word)) = tokens.get(at).map(|token| &token.token) {
        push(quoted(&word.value), at);
        at += 1;
        if !matches!(tokens.get(at).map(|token| &token.token), Some(Token::Period)) {
            break;
        }
        push(Token::Period, at);
        at += 1;
    }
    let mut count = 0;
    while let (Some(Token::Word(verb)), Some(Token::Word(what))) = (
        tokens.get(at).map(|token| &token.token),
        tokens.get(at + 1).map(|token| &token.token),
    ) {
        let sign = match verb.value.to_lowercase().as_str() {
            "including" => "",
            "excluding" => "-",
            _ => break,
        };
        push(if count == 0 { Token::LParen } else { Token::Comma }, at);
        push(
            Token::SingleQuotedString(format!("{sign}{}", what.value.to_lowercase())),
            at + 1,
        );
        count += 1;
        at += 2;
    }
    if count > 0 {
        push(Token::RParen, at);
    }
    at
}
