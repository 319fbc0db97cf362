//! Balance: long chains of operators as shallow trees, and a bound on those that cannot be cut.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Span, Token, TokenWithSpan};

use super::forms;
use crate::SqlResult;

/// Most operators in a row at one level of nesting, AND and OR not counted: the tree is as deep as there are.
const CHAIN_MAX: usize = 3000;
/// AND and OR chains are cut into groups of this many operands by parentheses, which keeps the tree shallow.
pub(super) const GROUP_OPERANDS: usize = 64;

/// 54001 for nesting that the parser could only survive by luck.
pub(crate) fn check_depth(tokens: &[TokenWithSpan]) -> SqlResult<()> {
    let mut chains = vec![0usize];
    for token in tokens {
        match &token.token {
            Token::LParen | Token::LBracket => {
                chains.push(0);
                if chains.len() > super::DEPTH_MAX {
                    return Err(super::too_deep());
                }
            }
            Token::RParen | Token::RBracket if chains.len() > 1 => {
                chains.pop();
            }
            Token::Comma => *chains.last_mut().unwrap_or(&mut 0) = 0,
            Token::Word(word) => match word.keyword {
                Keyword::AND | Keyword::OR | Keyword::WHEN | Keyword::SELECT | Keyword::VALUES => {
                    *chains.last_mut().unwrap_or(&mut 0) = 0;
                }
                Keyword::NOT => count(&mut chains)?,
                _ => {}
            },
            Token::DoubleColon | Token::Period => count(&mut chains)?,
            other if forms::operator_name(other).is_some() => count(&mut chains)?,
            _ => {}
        }
    }
    Ok(())
}

fn count(chains: &mut [usize]) -> SqlResult<()> {
    let Some(chain) = chains.last_mut() else { return Ok(()) };
    *chain += 1;
    if *chain > CHAIN_MAX {
        Err(super::too_deep())
    } else {
        Ok(())
    }
}

/// Puts parentheses into long chains of one of AND, OR at one level: `a OR b OR … ` becomes `(a OR b …) OR (… )`.
///
/// The order of evaluation stays left to right, and the tree's depth becomes the chain's length divided by the group's.
pub(super) fn balance(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    struct Level {
        /// Where the operands of the current chain start, in output order.
        starts: Vec<usize>,
        ors: usize,
        ands: usize,
    }
    let mut opens = vec![0u32; tokens.len() + 1];
    let mut closes = vec![0u32; tokens.len() + 1];
    let close_chain = |level: &mut Level, end: usize, opens: &mut Vec<u32>, closes: &mut Vec<u32>| {
        let pure = level.ors == 0 || level.ands == 0;
        if pure && level.starts.len() > 2 * GROUP_OPERANDS {
            for group in level.starts.chunks(GROUP_OPERANDS) {
                opens[group[0]] += 1;
            }
            let mut ends: Vec<usize> = level
                .starts
                .chunks(GROUP_OPERANDS)
                .skip(1)
                .map(|group| group[0] - 1)
                .collect();
            ends.push(end);
            for end in ends {
                closes[end] += 1;
            }
        }
        level.starts.clear();
        level.ors = 0;
        level.ands = 0;
    };
    let mut levels = vec![Level {
        starts: vec![],
        ors: 0,
        ands: 0,
    }];
    let mut between = vec![false];
    for (i, token) in tokens.iter().enumerate() {
        let depth = levels.len() - 1;
        match &token.token {
            Token::LParen | Token::LBracket => {
                levels.push(Level {
                    starts: vec![i + 1],
                    ors: 0,
                    ands: 0,
                });
                between.push(false);
            }
            Token::RParen | Token::RBracket if depth > 0 => {
                if let Some(mut level) = levels.pop() {
                    close_chain(&mut level, i, &mut opens, &mut closes);
                }
                between.pop();
            }
            Token::Comma => {
                close_chain(&mut levels[depth], i, &mut opens, &mut closes);
                levels[depth].starts.push(i + 1);
            }
            Token::Word(word) if word.quote_style.is_none() => match word.keyword {
                Keyword::BETWEEN => between[depth] = true,
                Keyword::AND if between[depth] => between[depth] = false,
                Keyword::AND => {
                    levels[depth].ands += 1;
                    levels[depth].starts.push(i + 1);
                }
                Keyword::OR => {
                    levels[depth].ors += 1;
                    levels[depth].starts.push(i + 1);
                }
                // Anything with a grammar of its own ends the chain: what stands before and behind is not one expression.
                keyword if forms::is_reserved(keyword) && !plain_inside_operand(keyword) => {
                    close_chain(&mut levels[depth], i, &mut opens, &mut closes);
                    levels[depth].starts.push(i + 1);
                    between[depth] = false;
                }
                _ => {}
            },
            _ => {}
        }
    }
    if let Some(mut level) = levels.pop().filter(|_| levels.is_empty()) {
        close_chain(&mut level, tokens.len(), &mut opens, &mut closes);
    }
    let mut out = Vec::with_capacity(tokens.len() + 16);
    for (i, token) in tokens.into_iter().enumerate() {
        let span = token.span;
        for _ in 0..closes[i] {
            out.push(TokenWithSpan {
                token: Token::RParen,
                span,
            });
        }
        for _ in 0..opens[i] {
            out.push(TokenWithSpan {
                token: Token::LParen,
                span,
            });
        }
        out.push(token);
    }
    for _ in 0..closes.last().copied().unwrap_or(0) {
        out.push(TokenWithSpan {
            token: Token::RParen,
            span: Span::empty(),
        });
    }
    out
}

/// Reserved words that stand inside an operand of AND or OR.
fn plain_inside_operand(keyword: Keyword) -> bool {
    use Keyword as K;
    matches!(
        keyword,
        K::NOT
            | K::NULL
            | K::TRUE
            | K::FALSE
            | K::IS
            | K::IN
            | K::LIKE
            | K::ILIKE
            | K::SIMILAR
            | K::NOTNULL
            | K::ANY
            | K::ALL
            | K::SOME
            | K::ARRAY
            | K::CAST
            | K::COLLATE
    )
}
