//! Rewrite: moves clauses that sqlparser's tree has no place for to places it has (see [`super::forms`]).

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Span, Token, TokenWithSpan, Word};

use super::balance::{GROUP_OPERANDS, balance};
use super::forms;
use super::lexer::is_keyword;

/// Rewrites one statement's tokens.
pub(crate) fn rewrite(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut rewriter = Rewriter {
        input: &tokens,
        at: 0,
        out: Vec::with_capacity(tokens.len() + 8),
        opened: vec![],
        update: vec![],
    };
    while rewriter.at < tokens.len() {
        rewriter.step();
    }
    let out = rewriter.out;
    if tokens.len() > 4 * GROUP_OPERANDS {
        balance(out)
    } else {
        out
    }
}

struct Rewriter<'a> {
    input: &'a [TokenWithSpan],
    at: usize,
    out: Vec<TokenWithSpan>,
    /// Places in `out` of the open parentheses.
    opened: Vec<usize>,
    /// Depths at which an UPDATE's SET list is being read.
    update: Vec<usize>,
}

pub(super) fn internal_token(name: &str, span: Span) -> TokenWithSpan {
    let word = Word {
        value: name.to_owned(),
        quote_style: Some('"'),
        keyword: Keyword::NoKeyword,
    };
    TokenWithSpan {
        token: Token::Word(word),
        span,
    }
}

impl Rewriter<'_> {
    fn is(&self, ahead: usize, keyword: Keyword) -> bool {
        self.input
            .get(self.at + ahead)
            .is_some_and(|token| is_keyword(&token.token, keyword))
    }

    fn token(&self, ahead: usize) -> &Token {
        self.input
            .get(self.at + ahead)
            .map_or(&Token::EOF, |token| &token.token)
    }

    fn span(&self, ahead: usize) -> Span {
        self.input
            .get(self.at + ahead)
            .map_or(Span::empty(), |token| token.span)
    }

    fn push(&mut self, token: Token, span: Span) {
        self.out.push(TokenWithSpan { token, span });
    }

    fn copy(&mut self) {
        match self.input[self.at].token {
            Token::LParen => self.opened.push(self.out.len()),
            Token::RParen => {
                self.opened.pop();
                let depth = self.opened.len();
                self.update.retain(|&d| d <= depth);
            }
            _ => {}
        }
        self.out.push(self.input[self.at].clone());
        self.at += 1;
    }

    fn step(&mut self) {
        let Token::Word(word) = &self.input[self.at].token else {
            if self.star_of_row() || self.using_alias() {
                return;
            }
            let comma = self.input[self.at].token == Token::Comma;
            let open = self.input[self.at].token == Token::LParen;
            self.copy();
            if comma && self.update.last() == Some(&self.opened.len()) {
                self.target();
            }
            if open && self.is_tuple_target() {
                self.tuple_target();
            }
            return;
        };
        if word.quote_style.is_some() {
            return self.copy();
        }
        match word.keyword {
            Keyword::FOR if self.lock_clause() => {}
            Keyword::SET if self.in_update() => {
                self.copy();
                self.update.push(self.opened.len());
                self.target();
            }
            Keyword::FROM | Keyword::WHERE | Keyword::RETURNING => {
                let depth = self.opened.len();
                self.update.retain(|&d| d < depth);
                let from = word.keyword == Keyword::FROM;
                self.copy();
                if from {
                    self.table_name();
                }
            }
            Keyword::UPDATE | Keyword::JOIN | Keyword::USING => {
                self.copy();
                self.table_name();
            }
            Keyword::INTO
                if self
                    .out
                    .last()
                    .is_some_and(|last| is_keyword(&last.token, Keyword::MERGE)) =>
            {
                self.copy();
                self.table_name();
            }
            Keyword::INTO => {
                self.copy();
                self.insert_columns();
            }
            // The columns of a MERGE's INSERT.
            Keyword::INSERT if self.token(1) == &Token::LParen => {
                self.copy();
                self.copy();
                self.tuple_target();
            }
            Keyword::CONFLICT if self.token(1) == &Token::LParen => self.conflict_target(),
            Keyword::ONLY if matches!(self.out.last().map(|token| &token.token), Some(Token::Comma)) => {
                self.only();
                self.copy();
            }
            _ if word.value == "overriding" => self.overriding(),
            Keyword::TABLE if self.is_table_command() => self.table_command(),
            Keyword::ROWS if self.is(1, Keyword::FROM) && self.token(2) == &Token::LParen => {
                let span = self.span(0);
                self.out.push(internal_token(forms::ROWS_FROM, span));
                self.at += 2;
            }
            Keyword::AS if self.is_definition_list() => {
                let span = self.span(0);
                self.copy();
                self.out.push(internal_token(forms::NO_ALIAS, span));
            }
            Keyword::EXCLUDE if !self.opened.is_empty() => self.exclude(),
            _ => self.copy(),
        }
    }

    /// `ONLY t` and `ONLY (t)` become `only.t`.
    fn only(&mut self) {
        if !self.is(0, Keyword::ONLY) {
            return;
        }
        let in_parentheses = self.token(1) == &Token::LParen;
        if !matches!(self.token(1 + usize::from(in_parentheses)), Token::Word(_)) {
            return;
        }
        let span = self.span(0);
        self.out.push(internal_token(forms::ONLY, span));
        self.push(Token::Period, span);
        self.at += 1;
        if in_parentheses {
            self.at += 1;
            while matches!(self.token(0), Token::Word(_) | Token::Period) {
                self.copy();
            }
            if self.token(0) == &Token::RParen {
                self.at += 1;
            }
        }
    }

    /// Whether TABLE starts a query here.
    fn is_table_command(&self) -> bool {
        if !matches!(self.token(1), Token::Word(_)) {
            return false;
        }
        match self.out.last().map(|token| &token.token) {
            None | Some(Token::LParen) => true,
            Some(Token::Word(word)) => {
                word.quote_style.is_none()
                    && matches!(
                        word.keyword,
                        Keyword::UNION | Keyword::INTERSECT | Keyword::EXCEPT | Keyword::ALL | Keyword::AS
                    )
            }
            _ => false,
        }
    }

    /// `TABLE t` means `SELECT * FROM t`.
    fn table_command(&mut self) {
        let span = self.span(0);
        self.push(Token::make_keyword("SELECT"), span);
        self.push(Token::Mul, span);
        self.push(Token::make_keyword("FROM"), span);
        self.at += 1;
    }

    /// `t *` means `t`.
    fn table_name(&mut self) {
        self.only();
        let mut ahead = 0;
        while matches!(self.token(ahead), Token::Word(_)) {
            ahead += 1;
            if self.token(ahead) != &Token::Period {
                break;
            }
            ahead += 1;
        }
        if ahead == 0 || self.token(ahead) != &Token::Mul {
            return;
        }
        let ends = match self.token(ahead + 1) {
            Token::Word(_) | Token::Comma | Token::RParen | Token::EOF => true,
            _ => self.at + ahead + 1 >= self.input.len(),
        };
        if ends {
            for _ in 0..ahead {
                self.copy();
            }
            self.at += 1;
        }
    }

    /// `).*` and `].*` become a field that stands for the star.
    fn star_of_row(&mut self) -> bool {
        let row = matches!(
            self.out.last().map(|token| &token.token),
            Some(Token::RParen | Token::RBracket)
        );
        if !row || self.token(0) != &Token::Period || self.token(1) != &Token::Mul {
            return false;
        }
        let span = self.span(1);
        self.copy();
        self.out.push(internal_token(forms::STAR, span));
        self.at += 1;
        true
    }

    /// `USING (a, b) AS j` becomes `USING (a, b, as.j)`.
    fn using_alias(&mut self) -> bool {
        let Some(&open) = self.opened.last() else { return false };
        let using = open
            .checked_sub(1)
            .is_some_and(|i| is_keyword(&self.out[i].token, Keyword::USING));
        // A subquery may stand there as well, in DELETE and MERGE.
        let is_list = self.out[open + 1..].iter().enumerate().all(|(at, token)| match at % 2 {
            0 => matches!(token.token, Token::Word(_)),
            _ => token.token == Token::Comma,
        });
        if !using
            || !is_list
            || self.token(0) != &Token::RParen
            || !self.is(1, Keyword::AS)
            || !matches!(self.token(2), Token::Word(_))
        {
            return false;
        }
        let span = self.span(2);
        self.push(Token::Comma, span);
        self.out.push(internal_token(forms::USING_ALIAS, span));
        self.push(Token::Period, span);
        self.out.push(self.input[self.at + 2].clone());
        self.copy();
        self.at += 2;
        true
    }

    /// Whether an UPDATE (or DO UPDATE) stands at this level before the SET.
    fn in_update(&self) -> bool {
        let mut depth = 0i32;
        for token in self.out.iter().rev() {
            match &token.token {
                Token::RParen => depth += 1,
                Token::LParen => {
                    depth -= 1;
                    if depth < 0 {
                        return false;
                    }
                }
                token if depth == 0 && is_keyword(token, Keyword::UPDATE) => return true,
                token if depth == 0 && is_keyword(token, Keyword::ALTER) => return false,
                _ => {}
            }
        }
        false
    }

    /// One assignment's target: subscripts become name parts.
    fn target(&mut self) {
        if self.token(0) == &Token::LParen {
            return;
        }
        self.subscripted_name();
    }

    fn is_tuple_target(&self) -> bool {
        let Some(before) = self.out.len().checked_sub(2).map(|i| &self.out[i].token) else {
            return false;
        };
        let at_target = is_keyword(before, Keyword::SET) || before == &Token::Comma;
        at_target && self.update.last().is_some_and(|&depth| depth + 1 == self.opened.len())
    }

    fn tuple_target(&mut self) {
        loop {
            self.subscripted_name();
            if self.token(0) != &Token::Comma {
                return;
            }
            self.copy();
        }
    }

    /// `name[.name]…[subscripts]…`
    fn subscripted_name(&mut self) {
        loop {
            if !matches!(self.token(0), Token::Word(_)) {
                return;
            }
            self.copy();
            while self.token(0) == &Token::LBracket {
                self.subscript();
            }
            if self.token(0) != &Token::Period {
                return;
            }
            self.copy();
        }
    }

    /// `[e]` becomes `.subscript(e)`, `[l:u]` becomes `.subscript(slice(l, u))`.
    fn subscript(&mut self) {
        let span = self.span(0);
        let mut depth = 0usize;
        let mut colon = None;
        let mut end = self.at;
        loop {
            match self.input.get(end).map(|token| &token.token) {
                Some(Token::LBracket | Token::LParen) => depth += 1,
                Some(Token::RBracket | Token::RParen) => {
                    depth -= 1;
                    if depth == 0 {
                        break;
                    }
                }
                Some(Token::Colon) if depth == 1 && colon.is_none() => colon = Some(end),
                Some(_) => {}
                // Unbalanced: the parser will complain.
                None => return self.copy(),
            }
            end += 1;
        }
        self.push(Token::Period, span);
        self.out.push(internal_token(forms::SUBSCRIPT, span));
        self.push(Token::LParen, span);
        let inner = self.at + 1..end;
        match colon {
            None => self.out.extend_from_slice(&self.input[inner]),
            Some(colon) => {
                self.out.push(internal_token(forms::SLICE, span));
                self.push(Token::LParen, span);
                for (i, range) in [self.at + 1..colon, colon + 1..end].into_iter().enumerate() {
                    if i == 1 {
                        self.push(Token::Comma, span);
                    }
                    if range.is_empty() {
                        self.out.push(internal_token(forms::ABSENT, span));
                    } else {
                        self.out.extend_from_slice(&self.input[range]);
                    }
                }
                self.push(Token::RParen, span);
            }
        }
        self.push(Token::RParen, self.input[end].span);
        self.at = end + 1;
    }

    /// The column list of `INSERT INTO t (…)`.
    fn insert_columns(&mut self) {
        let mut ahead = 0;
        while matches!(self.token(ahead), Token::Word(_)) {
            ahead += 1;
            if self.token(ahead) != &Token::Period {
                break;
            }
            ahead += 1;
        }
        if self.is(ahead, Keyword::AS) && matches!(self.token(ahead + 1), Token::Word(_)) {
            ahead += 2;
        }
        if self.token(ahead) != &Token::LParen || ahead == 0 {
            return;
        }
        // Only a list with subscripts needs rewriting, and a query in parentheses is none.
        let mut bracket = false;
        for token in &self.input[self.at + ahead..] {
            match &token.token {
                Token::LBracket => bracket = true,
                Token::RParen => break,
                _ => {}
            }
        }
        if !bracket {
            return;
        }
        for _ in 0..=ahead {
            self.copy();
        }
        self.tuple_target();
    }

    /// `FOR [NO KEY] UPDATE | [KEY] SHARE [OF a, b]`
    fn lock_clause(&mut self) -> bool {
        let (strength, base, words) =
            if self.is(1, Keyword::NO) && self.is(2, Keyword::KEY) && self.is(3, Keyword::UPDATE) {
                ("\u{1}no key update", Keyword::UPDATE, 4)
            } else if self.is(1, Keyword::KEY) && self.is(2, Keyword::SHARE) {
                ("\u{1}key share", Keyword::SHARE, 3)
            } else if self.is(1, Keyword::UPDATE) {
                ("\u{1}update", Keyword::UPDATE, 2)
            } else if self.is(1, Keyword::SHARE) {
                ("\u{1}share", Keyword::SHARE, 2)
            } else {
                return false;
            };
        let span = self.span(1);
        let word = |text: &str| Token::make_keyword(text);
        self.copy();
        self.push(word(if base == Keyword::UPDATE { "UPDATE" } else { "SHARE" }), span);
        self.at += words - 1;
        self.push(word("OF"), span);
        self.out.push(internal_token(strength, span));
        if self.is(0, Keyword::OF) {
            self.at += 1;
            while matches!(self.token(0), Token::Word(_)) {
                self.push(Token::Period, span);
                self.copy();
                if self.token(0) == &Token::Period {
                    continue;
                }
                if self.token(0) != &Token::Comma {
                    break;
                }
                self.at += 1;
            }
        }
        true
    }

    /// `CONFLICT (…) [WHERE …] DO` becomes `CONFLICT ON CONSTRAINT conflict(…).where(…) DO`.
    fn conflict_target(&mut self) {
        let span = self.span(1);
        self.copy();
        self.push(Token::make_keyword("ON"), span);
        self.push(Token::make_keyword("CONSTRAINT"), span);
        self.out.push(internal_token(forms::CONFLICT, span));
        let mut depth = 0usize;
        while self.at < self.input.len() {
            match self.token(0) {
                Token::LParen => depth += 1,
                Token::RParen => depth -= 1,
                _ => {}
            }
            self.copy();
            if depth == 0 {
                break;
            }
        }
        if !self.is(0, Keyword::WHERE) {
            return;
        }
        let span = self.span(0);
        self.at += 1;
        self.push(Token::Period, span);
        self.out.push(internal_token(forms::WHERE, span));
        self.push(Token::LParen, span);
        while self.at < self.input.len() && !self.is(0, Keyword::DO) {
            self.copy();
        }
        self.push(Token::RParen, span);
    }

    /// `OVERRIDING SYSTEM VALUE` is kept as sqlparser's OVERWRITE, `OVERRIDING USER VALUE` as its TABLE.
    fn overriding(&mut self) {
        let system = self.is(1, Keyword::SYSTEM);
        if !(system || self.is(1, Keyword::USER)) || !self.is(2, Keyword::VALUE) {
            return self.copy();
        }
        let insert = self
            .out
            .iter()
            .rposition(|token| is_keyword(&token.token, Keyword::INSERT));
        let into = self
            .out
            .iter()
            .rposition(|token| is_keyword(&token.token, Keyword::INTO));
        let (Some(insert), Some(into)) = (insert, into) else {
            return self.copy();
        };
        let span = self.span(0);
        self.at += 3;
        let (place, word) = if system {
            (insert + 1, "OVERWRITE")
        } else {
            (into + 1, "TABLE")
        };
        self.out.insert(
            place,
            TokenWithSpan {
                token: Token::make_keyword(word),
                span,
            },
        );
    }

    /// `f(…) AS (a int, …)`
    fn is_definition_list(&self) -> bool {
        if self.out.last().map(|token| &token.token) != Some(&Token::RParen) || self.token(1) != &Token::LParen {
            return false;
        }
        let Token::Word(word) = self.token(2) else { return false };
        let query = word.quote_style.is_none()
            && matches!(
                word.keyword,
                Keyword::SELECT
                    | Keyword::WITH
                    | Keyword::VALUES
                    | Keyword::INSERT
                    | Keyword::UPDATE
                    | Keyword::DELETE
                    | Keyword::TABLE
                    | Keyword::MERGE
            );
        !query && matches!(self.token(3), Token::Word(_))
    }

    /// `EXCLUDE …` of a window frame moves into the window's name.
    fn exclude(&mut self) {
        let (name, words) = if self.is(1, Keyword::CURRENT) && self.is(2, Keyword::ROW) {
            ("current row", 3)
        } else if self.is(1, Keyword::GROUP) {
            ("group", 2)
        } else if self.is(1, Keyword::TIES) {
            ("ties", 2)
        } else if self.is(1, Keyword::NO) && matches!(self.token(2), Token::Word(word) if word.value == "others") {
            ("no others", 3)
        } else {
            return self.copy();
        };
        let Some(&open) = self.opened.last() else {
            return self.copy();
        };
        let span = self.span(0);
        self.at += words;
        let base = match self.out.get(open + 1).map(|token| &token.token) {
            Some(Token::Word(word))
                if word.quote_style.is_some()
                    || !matches!(
                        word.keyword,
                        Keyword::PARTITION | Keyword::ORDER | Keyword::RANGE | Keyword::ROWS | Keyword::GROUPS
                    ) =>
            {
                Some(word.value.clone())
            }
            _ => None,
        };
        let token = internal_token(
            &format!("\u{1}exclude {name}\u{1}{}", base.as_deref().unwrap_or_default()),
            span,
        );
        if base.is_some() {
            self.out[open + 1] = token;
        } else {
            self.out.insert(open + 1, token);
        }
    }
}
