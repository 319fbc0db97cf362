//! MERGE: the forms of its INSERT that sqlparser does not read, and PostgreSQL's grammar where sqlparser reads more.
//!
//! ```text
//!   THEN INSERT (a) OVERRIDING USER VALUE VALUES (1)   ─►  THEN INSERT (overriding user, a) VALUES (1)
//!   THEN INSERT DEFAULT VALUES                         ─►  THEN INSERT VALUES (default values)
//! ```
//! What sqlparser takes and PostgreSQL does not (BY SOURCE, RETURNING, `UPDATE SET *`, an UPDATE's WHERE) is refused at the
//! token PostgreSQL names.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan};

use super::forms;
use super::lexer::is_keyword;
use super::rewrite::internal_token;

/// Rewrites the MERGE in one statement's tokens, if there is one.
///
/// # Errors
/// The place of the token that PostgreSQL's grammar does not have there; behind the text for its end.
pub(super) fn rewrite(tokens: Vec<TokenWithSpan>) -> Result<Vec<TokenWithSpan>, Location> {
    let is_merge = |at: usize| {
        is_keyword(&tokens[at].token, Keyword::MERGE)
            && (at == 0
                || tokens
                    .get(at + 1)
                    .is_some_and(|next| is_keyword(&next.token, Keyword::INTO)))
    };
    let Some(first) = (0..tokens.len()).find(|at| is_merge(*at)) else {
        return Ok(tokens);
    };
    let mut reader = Reader {
        input: &tokens,
        at: 0,
        out: Vec::with_capacity(tokens.len() + 4),
    };
    while reader.at <= first {
        reader.copy();
    }
    reader.statement()?;
    while reader.at < tokens.len() {
        reader.copy();
    }
    Ok(reader.out)
}

struct Reader<'a> {
    input: &'a [TokenWithSpan],
    at: usize,
    out: Vec<TokenWithSpan>,
}

impl Reader<'_> {
    fn is(&self, ahead: usize, keyword: Keyword) -> bool {
        self.input
            .get(self.at + ahead)
            .is_some_and(|token| is_keyword(&token.token, keyword))
    }

    fn token(&self) -> &Token {
        self.input.get(self.at).map_or(&Token::EOF, |token| &token.token)
    }

    fn span(&self) -> Span {
        self.input.get(self.at).map_or(Span::empty(), |token| token.span)
    }

    fn copy(&mut self) {
        if let Some(token) = self.input.get(self.at) {
            self.out.push(token.clone());
            self.at += 1;
        }
    }

    /// The present token is not one that may stand here.
    fn unexpected<T>(&self) -> Result<T, Location> {
        const BEHIND: Location = Location {
            line: u64::MAX,
            column: 1,
        };
        Err(self.input.get(self.at).map_or(BEHIND, |token| token.span.start))
    }

    fn expect(&mut self, keyword: Keyword) -> Result<(), Location> {
        if !self.is(0, keyword) {
            return self.unexpected();
        }
        self.copy();
        Ok(())
    }

    /// Copies up to one of the keywords at this level, outside of CASE; `false` if the level ends first.
    fn copy_to(&mut self, keywords: &[Keyword]) -> bool {
        let (mut depth, mut cases) = (0usize, 0usize);
        while self.at < self.input.len() {
            match self.token() {
                Token::LParen | Token::LBracket => depth += 1,
                Token::RParen | Token::RBracket if depth == 0 => return false,
                Token::RParen | Token::RBracket => depth -= 1,
                _ if depth > 0 => {}
                _ if cases == 0 && keywords.iter().any(|keyword| self.is(0, *keyword)) => return true,
                _ if self.is(0, Keyword::CASE) => cases += 1,
                _ if self.is(0, Keyword::END) => cases = cases.saturating_sub(1),
                _ => {}
            }
            self.copy();
        }
        false
    }

    /// What follows the word MERGE.
    fn statement(&mut self) -> Result<(), Location> {
        self.expect(Keyword::INTO)?;
        if !self.copy_to(&[Keyword::WHEN]) {
            return self.unexpected();
        }
        while self.is(0, Keyword::WHEN) {
            self.clause()?;
        }
        match self.token() {
            Token::EOF | Token::RParen | Token::SemiColon => Ok(()),
            _ => self.unexpected(),
        }
    }

    fn clause(&mut self) -> Result<(), Location> {
        self.copy();
        let is_matched = !self.is(0, Keyword::NOT);
        if !is_matched {
            self.copy();
        }
        self.expect(Keyword::MATCHED)?;
        if !self.is(0, Keyword::AND) && !self.is(0, Keyword::THEN) {
            return self.unexpected();
        }
        if !self.copy_to(&[Keyword::THEN]) {
            return self.unexpected();
        }
        self.copy();
        if self.is(0, Keyword::DO) {
            self.copy();
            self.expect(Keyword::NOTHING)
        } else if is_matched && self.is(0, Keyword::DELETE) {
            self.copy();
            Ok(())
        } else if is_matched && self.is(0, Keyword::UPDATE) {
            self.update()
        } else if !is_matched && self.is(0, Keyword::INSERT) {
            self.insert()
        } else {
            self.unexpected()
        }
    }

    fn update(&mut self) -> Result<(), Location> {
        self.copy();
        self.expect(Keyword::SET)?;
        if self.token() == &Token::Mul {
            return self.unexpected();
        }
        self.copy_to(&[Keyword::WHEN, Keyword::WHERE, Keyword::RETURNING]);
        Ok(())
    }

    fn insert(&mut self) -> Result<(), Location> {
        self.copy();
        let has_columns = self.token() == &Token::LParen;
        if !has_columns && self.is(0, Keyword::DEFAULT) {
            let span = self.span();
            self.at += 1;
            self.expect(Keyword::VALUES)?;
            self.push(Token::LParen, span);
            self.out.push(internal_token(forms::DEFAULT_VALUES, span));
            self.push(Token::RParen, span);
            return Ok(());
        }
        let list = self.out.len();
        if has_columns {
            self.group();
        }
        if matches!(self.token(), Token::Word(word) if word.quote_style.is_none() && word.value == "overriding") {
            self.overriding(list, has_columns)?;
        }
        self.expect(Keyword::VALUES)?;
        if self.token() != &Token::LParen {
            return self.unexpected();
        }
        self.group();
        Ok(())
    }

    /// OVERRIDING … VALUE becomes the first of the columns, whose list starts (or would) at a place of the output.
    fn overriding(&mut self, list: usize, has_columns: bool) -> Result<(), Location> {
        let span = self.span();
        self.at += 1;
        let name = match (self.is(0, Keyword::SYSTEM), self.is(0, Keyword::USER)) {
            (true, _) => forms::OVERRIDING_SYSTEM,
            (_, true) => forms::OVERRIDING_USER,
            _ => return self.unexpected(),
        };
        self.at += 1;
        if !self.is(0, Keyword::VALUE) {
            return self.unexpected();
        }
        self.at += 1;
        let mark = internal_token(name, span);
        let token = |token| TokenWithSpan { token, span };
        if has_columns {
            self.out.splice(list + 1..list + 1, [mark, token(Token::Comma)]);
        } else {
            self.out.extend([token(Token::LParen), mark, token(Token::RParen)]);
        }
        Ok(())
    }

    /// Copies a list in parentheses.
    fn group(&mut self) {
        self.copy();
        self.copy_to(&[]);
        self.copy();
    }

    fn push(&mut self, token: Token, span: Span) {
        self.out.push(TokenWithSpan { token, span });
    }
}
