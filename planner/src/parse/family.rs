//! Partitions and inheritance where sqlparser has no tree, or wants more than PostgreSQL does.
//!
//! | written | tree |
//! |---|---|
//! | `ALTER TABLE t ATTACH PARTITION p FOR VALUES …` | `CREATE TABLE attach.p PARTITION OF t FOR VALUES …` |
//! | `ALTER TABLE t DETACH PARTITION p` | `CREATE TABLE detach.p PARTITION OF t DEFAULT` |
//! | `ALTER TABLE t INHERIT p`, `NO INHERIT p` | `CREATE TABLE inherit.t () INHERITS (p)`, `no inherit.t` |
//! | `CREATE TABLE p PARTITION OF t (a NOT NULL)` | column `a` of the type `inherited` |

use sqlparser::ast::{DataType, ObjectName, ObjectNamePart};
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Span, Token, TokenWithSpan};

use super::lexer::is_keyword;
use super::rewrite::internal_token;

/// Type of a column whose type is its parent's.
const INHERITED: &str = "\u{1}inherited";

/// What an ALTER TABLE does to a table's family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// ATTACH PARTITION
    Attach,
    /// DETACH PARTITION
    Detach,
    /// INHERIT
    Inherit,
    /// NO INHERIT
    NoInherit,
}

const CHANGES: [(&str, Change); 4] = [
    ("\u{1}attach", Change::Attach),
    ("\u{1}detach", Change::Detach),
    ("\u{1}inherit", Change::Inherit),
    ("\u{1}no inherit", Change::NoInherit),
];

/// The change that the name of a CREATE TABLE stands for, and the name itself.
pub(crate) fn change_of(name: &ObjectName) -> Option<(Change, ObjectName)> {
    let (ObjectNamePart::Identifier(first), rest) = name.0.split_first()? else {
        return None;
    };
    let (_, change) = CHANGES.iter().find(|(mark, _)| *mark == first.value)?;
    Some((*change, ObjectName(rest.to_vec())))
}

/// Whether a column's type is its parent's.
pub(crate) fn is_inherited(ty: &DataType) -> bool {
    let DataType::Custom(name, _) = ty else { return false };
    matches!(name.0.as_slice(), [part] if part.as_ident().is_some_and(|ident| ident.value == INHERITED))
}

/// Rewrites one statement's tokens.
pub(super) fn rewrite(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let is = |at: usize, keyword| tokens.get(at).is_some_and(|token| is_keyword(&token.token, keyword));
    if is(0, Keyword::ALTER) && is(1, Keyword::TABLE) {
        return alter(&tokens).unwrap_or(tokens);
    }
    if is(0, Keyword::CREATE) {
        return partition_of(tokens);
    }
    tokens
}

fn word(token: Option<&TokenWithSpan>) -> Option<String> {
    match &token?.token {
        Token::Word(word) if word.quote_style.is_none() => Some(word.value.to_lowercase()),
        _ => None,
    }
}

/// Where the name that begins at a token ends.
fn name_end(tokens: &[TokenWithSpan], start: usize) -> Option<usize> {
    let mut end = start;
    loop {
        if !matches!(tokens.get(end)?.token, Token::Word(_)) {
            return None;
        }
        end += 1;
        if tokens.get(end).map(|token| &token.token) != Some(&Token::Period) {
            return Some(end);
        }
        end += 1;
    }
}

fn alter(tokens: &[TokenWithSpan]) -> Option<Vec<TokenWithSpan>> {
    let mut at = 2;
    if word(tokens.get(at)).as_deref() == Some("if") {
        at += 2;
    }
    if word(tokens.get(at)).as_deref() == Some("only") {
        at += 1;
    }
    let table = at..name_end(tokens, at)?;
    let at = table.end;
    let first = word(tokens.get(at))?;
    let second = word(tokens.get(at + 1));
    let (mark, other) = match (first.as_str(), second.as_deref()) {
        ("attach", Some("partition")) => ("\u{1}attach", at + 2),
        ("detach", Some("partition")) => ("\u{1}detach", at + 2),
        ("inherit", _) => ("\u{1}inherit", at + 1),
        ("no", Some("inherit")) => ("\u{1}no inherit", at + 2),
        _ => return None,
    };
    let other = other..name_end(tokens, other)?;
    let rest = &tokens[other.end..];
    let span = tokens[at].span;
    let is_partition = second.as_deref() == Some("partition");
    // Concurrent detaching is detaching: nobody waits longer for it.
    let is_done = match rest {
        [] => true,
        [last] => matches!(word(Some(last)).as_deref(), Some("concurrently" | "finalize")) && first == "detach",
        _ => false,
    };
    if first != "attach" && !is_done {
        return None;
    }
    let mut out = vec![
        keyword("CREATE", span),
        keyword("TABLE", span),
        internal_token(mark, span),
    ];
    out.push(plain(Token::Period, span));
    if is_partition {
        out.extend_from_slice(&tokens[other]);
        out.extend([keyword("PARTITION", span), keyword("OF", span)]);
        out.extend_from_slice(&tokens[table]);
        match first.as_str() {
            "attach" => out.extend_from_slice(rest),
            _ => out.push(keyword("DEFAULT", span)),
        }
    } else {
        out.extend_from_slice(&tokens[table]);
        out.extend([plain(Token::LParen, span), plain(Token::RParen, span)]);
        out.extend([keyword("INHERITS", span), plain(Token::LParen, span)]);
        out.extend_from_slice(&tokens[other]);
        out.push(plain(Token::RParen, span));
    }
    Some(out)
}

fn keyword(text: &str, span: Span) -> TokenWithSpan {
    plain(Token::make_keyword(text), span)
}

fn plain(token: Token, span: Span) -> TokenWithSpan {
    TokenWithSpan { token, span }
}

/// `PARTITION OF t (a NOT NULL, …)`: columns get a type.
fn partition_of(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let is = |at: usize, keyword| tokens.get(at).is_some_and(|token| is_keyword(&token.token, keyword));
    let Some(start) = (0..tokens.len().min(12)).find(|at| is(*at, Keyword::PARTITION) && is(at + 1, Keyword::OF))
    else {
        return tokens;
    };
    let Some(open) = name_end(&tokens, start + 2) else {
        return tokens;
    };
    if tokens.get(open).map(|token| &token.token) != Some(&Token::LParen) {
        return tokens;
    }
    let mut out: Vec<TokenWithSpan> = tokens[..=open].to_vec();
    let mut depth = 1usize;
    let mut begins = true;
    let mut at = open + 1;
    while let Some(token) = tokens.get(at) {
        out.push(token.clone());
        at += 1;
        match &token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            Token::Comma if depth == 1 => {
                begins = true;
                continue;
            }
            Token::Word(first) if depth == 1 && begins => {
                let is_constraint = first.quote_style.is_none()
                    && matches!(
                        first.keyword,
                        Keyword::CONSTRAINT
                            | Keyword::CHECK
                            | Keyword::PRIMARY
                            | Keyword::UNIQUE
                            | Keyword::FOREIGN
                            | Keyword::EXCLUDE
                            | Keyword::LIKE
                    );
                if !is_constraint {
                    out.push(internal_token(INHERITED, token.span));
                    if word(tokens.get(at)).as_deref() == Some("with")
                        && word(tokens.get(at + 1)).as_deref() == Some("options")
                    {
                        at += 2;
                    }
                }
            }
            _ => {}
        }
        begins = false;
        if depth == 0 {
            break;
        }
    }
    out.extend_from_slice(&tokens[at..]);
    out
}
