//! Arrange: clauses PostgreSQL takes in any order are put into the one order sqlparser reads.
//!
//! ```text
//!   CREATE SEQUENCE s START 5 INCREMENT 2        ─►  CREATE SEQUENCE s INCREMENT 2 START 5
//!   AS IDENTITY (START 5 INCREMENT 2)            ─►  AS IDENTITY (INCREMENT 2 START 5)
//!   … (SEQUENCE NAME table_column_seq START 5)   ─►  … (START 5): it gets that name anyway
//!   CREATE VIEW v AS … WITH LOCAL CHECK OPTION   ─►  CREATE VIEW v WITH (check_option = local) AS …
//! ```
//! Tokens keep their places in the text, so errors still point at what the user wrote.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::lexer::is_keyword;

/// Arranges one statement's tokens.
pub(super) fn arrange(mut tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let is = |tokens: &[TokenWithSpan], at: usize, keyword: Keyword| {
        tokens.get(at).is_some_and(|token| is_keyword(&token.token, keyword))
    };
    if !is(&tokens, 0, Keyword::CREATE) && !is(&tokens, 0, Keyword::ALTER) {
        return tokens;
    }
    if (1..3).any(|at| is(&tokens, at, Keyword::SEQUENCE)) {
        let end = tokens.len();
        sort_options(&mut tokens, 2, end);
        return tokens;
    }
    if (1..6).any(|at| is(&tokens, at, Keyword::VIEW)) {
        move_check_option(&mut tokens);
    }
    let mut at = 0;
    while at < tokens.len() {
        if is(&tokens, at, Keyword::IDENTITY) && tokens.get(at + 1).is_some_and(|next| next.token == Token::LParen) {
            drop_usual_name(&mut tokens, at + 2);
            let close = tokens[at..].iter().position(|token| token.token == Token::RParen);
            sort_options(&mut tokens, at + 2, close.map_or(at + 2, |close| at + close));
        }
        at += 1;
    }
    tokens
}

/// `… AS query WITH LOCAL CHECK OPTION` ─► `… WITH (check_option = local) AS query`
fn move_check_option(tokens: &mut Vec<TokenWithSpan>) {
    let word = |at: Option<usize>, text: &str| {
        let token = at.and_then(|at| tokens.get(at)).map(|token| &token.token);
        matches!(token, Some(Token::Word(word)) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(text))
    };
    let end = tokens
        .iter()
        .rposition(|token| !matches!(token.token, Token::EOF | Token::SemiColon));
    let before = |count: usize| end.and_then(|end| end.checked_sub(count));
    if !word(end, "option") || !word(before(1), "check") {
        return;
    }
    let level = ["local", "cascaded"].into_iter().find(|level| word(before(2), level));
    let Some(start) = before(if level.is_some() { 3 } else { 2 }).filter(|at| word(Some(*at), "with")) else {
        return;
    };
    let (mut depth, mut query) = (0, None);
    for (at, token) in tokens.iter().enumerate() {
        match &token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            word if depth == 0 && is_keyword(word, Keyword::AS) => {
                query = Some(at);
                break;
            }
            _ => {}
        }
    }
    let (Some(query), Some(end)) = (query, end) else { return };
    let removed: Vec<TokenWithSpan> = tokens.drain(start..=end).collect();
    let Some(first) = removed.first() else { return };
    let token = |token: Token| TokenWithSpan {
        token,
        span: first.span,
    };
    let name = |text: &str| Token::make_word(text, None);
    let list = [
        Token::make_keyword("WITH"),
        Token::LParen,
        name("check_option"),
        Token::Eq,
        name(level.unwrap_or("cascaded")),
        Token::RParen,
    ];
    tokens.splice(query..query, list.map(token));
}

/// Takes out the name of an identity column's sequence where it is the one the sequence gets by itself; pg_dump writes it
/// always. Any other name stays, and is a syntax error.
fn drop_usual_name(tokens: &mut Vec<TokenWithSpan>, from: usize) {
    let word = |at: usize| match tokens.get(at).map(|token| &token.token) {
        Some(Token::Word(word)) => Some(word.value.as_str()),
        _ => None,
    };
    if word(from) != Some("sequence") || word(from + 1) != Some("name") || word(1) != Some("table") {
        return;
    }
    let last_part = |first: usize| {
        let mut at = first;
        while tokens.get(at + 1).is_some_and(|next| next.token == Token::Period) {
            at += 2;
        }
        at
    };
    let table = last_part(if word(2) == Some("only") { 3 } else { 2 });
    let column = table + if word(table + 2) == Some("column") { 3 } else { 2 };
    let name = last_part(from + 2);
    let usual = match (word(table), word(table + 1), word(column)) {
        (Some(table), Some("alter"), Some(column)) => format!("{table}_{column}_seq"),
        _ => return,
    };
    if word(name) == Some(usual.as_str()) {
        tokens.drain(from..=name);
    }
}

/// Place of an option in sqlparser's order, if one starts with this token.
fn rank(token: &Token, next: Option<&Token>) -> Option<u8> {
    let Token::Word(word) = token else { return None };
    if word.quote_style.is_some() {
        return None;
    }
    match word.value.as_str() {
        "as" => Some(0),
        "increment" => Some(1),
        "minvalue" => Some(2),
        "maxvalue" => Some(3),
        "start" => Some(4),
        "cache" => Some(5),
        "cycle" => Some(6),
        "owned" => Some(7),
        "no" => next.and_then(|next| rank(next, None)),
        _ => None,
    }
}

fn sort_options(tokens: &mut [TokenWithSpan], from: usize, to: usize) {
    let mut starts: Vec<(u8, usize)> = Vec::new();
    let mut at = from;
    while at < to {
        match rank(&tokens[at].token, tokens.get(at + 1).map(|next| &next.token)) {
            // What stands before the first option is the sequence's name.
            Some(rank) if !starts.is_empty() || tokens[at - 1].token != Token::Period => {
                let is_negated = is_keyword(&tokens[at].token, Keyword::NO);
                starts.push((rank, at));
                at += usize::from(is_negated);
            }
            _ => {}
        }
        at += 1;
    }
    let Some(&(_, first)) = starts.first() else { return };
    let ends = starts.iter().skip(1).map(|(_, start)| *start).chain([to]);
    let mut options: Vec<(u8, Vec<TokenWithSpan>)> = starts
        .iter()
        .zip(ends)
        .map(|(&(rank, start), end)| (rank, tokens[start..end].to_vec()))
        .collect();
    options.sort_by_key(|(rank, _)| *rank);
    for (place, token) in tokens[first..to]
        .iter_mut()
        .zip(options.into_iter().flat_map(|(_, option)| option))
    {
        *place = token;
    }
}

#[cfg(test)]
mod tests {
    use crate::parse::parse;

    #[test]
    fn sequence_options_stand_in_any_order() {
        for text in [
            "CREATE SEQUENCE s START 5 INCREMENT 2 MAXVALUE 1000 CYCLE",
            "CREATE SEQUENCE a.start CYCLE NO MINVALUE CACHE 3 AS smallint START WITH 5 INCREMENT BY -2",
            "CREATE TEMPORARY SEQUENCE IF NOT EXISTS s OWNED BY t.c START 1",
            "ALTER TABLE ONLY a.t ALTER COLUMN b ADD GENERATED ALWAYS AS IDENTITY (SEQUENCE NAME a.t_b_seq START WITH 1 CACHE 1)",
            "CREATE TABLE t (a int GENERATED ALWAYS AS IDENTITY (START WITH 7 NO CYCLE INCREMENT 2), b int)",
        ] {
            assert!(parse(text).is_ok(), "{text}: {:?}", parse(text));
        }
    }
}
