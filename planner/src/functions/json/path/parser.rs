//! Parser of jsonpath: recursive descent whose errors stand where PostgreSQL's grammar stops.

use std::sync::Arc;

use storage::{Jsonb, Numeric};

use super::lexer::{Lexer, Token};
use super::regex::Pattern;
use super::syntax::{Arithmetic, Comparison, Condition, Expr, Head, JsonPath, Method, Step};
use crate::{SqlError, SqlResult, SqlState};

/// Deepest nesting of parentheses, operators and filters.
const DEPTH_MAX: usize = 80;
/// Most accessors in a row.
const STEPS_MAX: usize = 400;
/// Most operators in a row.
const CHAIN_MAX: usize = 1000;

/// What was parsed: the grammar allows a condition in some places and a value in others.
enum Parsed {
    Value(Expr),
    Condition(Condition),
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    token: Token,
    depth: usize,
    /// Filters around the current place: `@` needs one.
    filters: usize,
    /// Whether the current place is inside an array subscript: `last` needs it.
    subscripts: usize,
    /// Errors PostgreSQL finds after parsing; a syntax error further on comes first.
    late: Option<SqlError>,
}

/// Parses a path.
///
/// # Errors
/// 42601 with the place where the text stops making sense, 22P02 for an empty text.
pub(super) fn parse(text: &str) -> SqlResult<JsonPath> {
    let lexer = Lexer::new(text);
    let mut parser = Parser {
        lexer,
        token: Token::End,
        depth: 0,
        filters: 0,
        subscripts: 0,
        late: None,
    };
    parser.advance()?;
    if parser.token == Token::End {
        let message = format!("invalid input syntax for type jsonpath: \"{text}\"");
        return Err(SqlError::new(SqlState::INVALID_TEXT_REPRESENTATION, message));
    }
    let lax = !parser.is_keyword("strict");
    if !lax || parser.is_keyword("lax") {
        parser.advance()?;
    }
    let expr = match parser.disjunction()? {
        Parsed::Value(expr) => expr,
        Parsed::Condition(condition) => Expr::new(Head::Condition(Box::new(condition))),
    };
    if parser.token != Token::End {
        return Err(parser.unexpected());
    }
    match parser.late {
        Some(error) => Err(error),
        None => Ok(JsonPath { lax, expr }),
    }
}

impl Parser<'_> {
    fn advance(&mut self) -> SqlResult<()> {
        self.token = self.lexer.next_token()?;
        Ok(())
    }

    fn unexpected(&self) -> SqlError {
        self.lexer.error("syntax error")
    }

    fn is_symbol(&self, symbol: &str) -> bool {
        matches!(&self.token, Token::Symbol(found) if *found == symbol)
    }

    /// Keywords are recognised in any case, but `true`, `false` and `null` in lower case only.
    fn is_keyword(&self, keyword: &str) -> bool {
        match &self.token {
            Token::Word(word) if matches!(keyword, "true" | "false" | "null") => **word == *keyword,
            Token::Word(word) => word.eq_ignore_ascii_case(keyword),
            _ => false,
        }
    }

    fn expect(&mut self, symbol: &str) -> SqlResult<()> {
        if !self.is_symbol(symbol) {
            return Err(self.unexpected());
        }
        self.advance()
    }

    /// Takes the symbol if it is there.
    fn take(&mut self, symbol: &str) -> SqlResult<bool> {
        let found = self.is_symbol(symbol);
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> SqlResult<T>) -> SqlResult<T> {
        if self.depth >= DEPTH_MAX {
            return Err(too_complex());
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    fn disjunction(&mut self) -> SqlResult<Parsed> {
        self.connective("||", Self::conjunction, Condition::Or)
    }

    fn conjunction(&mut self) -> SqlResult<Parsed> {
        self.connective("&&", Self::comparison, Condition::And)
    }

    /// `condition op condition op …`: a value on either side is an error at the token behind it.
    fn connective(
        &mut self,
        symbol: &str,
        operand: fn(&mut Self) -> SqlResult<Parsed>,
        join: fn(Box<Condition>, Box<Condition>) -> Condition,
    ) -> SqlResult<Parsed> {
        let mut left = operand(self)?;
        let mut count = 0;
        while self.is_symbol(symbol) {
            let Parsed::Condition(first) = left else {
                return Err(self.unexpected());
            };
            self.advance()?;
            count += 1;
            if count > CHAIN_MAX {
                return Err(too_complex());
            }
            let Parsed::Condition(second) = operand(self)? else {
                return Err(self.unexpected());
            };
            left = Parsed::Condition(join(Box::new(first), Box::new(second)));
        }
        Ok(left)
    }

    fn comparison(&mut self) -> SqlResult<Parsed> {
        if self.take("!")? {
            let inner = self.delimited_condition()?;
            return Ok(Parsed::Condition(Condition::Not(Box::new(inner))));
        }
        let left = match self.sum(true)? {
            Parsed::Value(left) => left,
            condition => return Ok(condition),
        };
        let comparison = match self.token {
            Token::Symbol("==") => Comparison::Equal,
            Token::Symbol("!=") => Comparison::NotEqual,
            Token::Symbol("<") => Comparison::Less,
            Token::Symbol("<=") => Comparison::LessOrEqual,
            Token::Symbol(">") => Comparison::Greater,
            Token::Symbol(">=") => Comparison::GreaterOrEqual,
            _ if self.is_keyword("starts") => return self.starts_with(left).map(Parsed::Condition),
            _ if self.is_keyword("like_regex") => return self.like_regex(left).map(Parsed::Condition),
            _ => return Ok(Parsed::Value(left)),
        };
        self.advance()?;
        let right = self.value()?;
        Ok(Parsed::Condition(Condition::Compare(comparison, left, right)))
    }

    fn starts_with(&mut self, whole: Expr) -> SqlResult<Condition> {
        self.advance()?;
        if !self.is_keyword("with") {
            return Err(self.unexpected());
        }
        self.advance()?;
        let prefix = match &self.token {
            Token::String(text) => Head::Literal(Jsonb::string(text)),
            Token::Variable(name) => Head::Variable(name.clone()),
            _ => return Err(self.unexpected()),
        };
        self.advance()?;
        Ok(Condition::StartsWith(whole, Expr::new(prefix)))
    }

    fn like_regex(&mut self, whole: Expr) -> SqlResult<Condition> {
        self.advance()?;
        let pattern = self.string()?;
        let mut flags: Arc<str> = "".into();
        if self.is_keyword("flag") {
            self.advance()?;
            flags = self.string()?;
        }
        Ok(Condition::LikeRegex(whole, Pattern::new(&pattern, &flags)?))
    }

    fn string(&mut self) -> SqlResult<Arc<str>> {
        let Token::String(text) = &self.token else {
            return Err(self.unexpected());
        };
        let text = text.clone();
        self.advance()?;
        Ok(text)
    }

    /// `(condition)` or `exists (value)`.
    fn delimited_condition(&mut self) -> SqlResult<Condition> {
        if self.is_keyword("exists") {
            return self.exists();
        }
        self.expect("(")?;
        let Parsed::Condition(condition) = self.nested(Self::disjunction)? else {
            return Err(self.unexpected());
        };
        self.expect(")")?;
        Ok(condition)
    }

    fn exists(&mut self) -> SqlResult<Condition> {
        self.advance()?;
        self.expect("(")?;
        let inner = self.nested(Self::value)?;
        self.expect(")")?;
        Ok(Condition::Exists(inner))
    }

    /// A value where no condition may stand.
    fn value(&mut self) -> SqlResult<Expr> {
        match self.sum(false)? {
            Parsed::Value(expr) => Ok(expr),
            Parsed::Condition(_) => Err(self.unexpected()),
        }
    }

    fn sum(&mut self, condition_allowed: bool) -> SqlResult<Parsed> {
        const OPERATORS: [(&str, Arithmetic); 2] = [("+", Arithmetic::Add), ("-", Arithmetic::Subtract)];
        self.arithmetic(&OPERATORS, condition_allowed, Self::product)
    }

    fn product(&mut self, condition_allowed: bool) -> SqlResult<Parsed> {
        const OPERATORS: [(&str, Arithmetic); 3] = [
            ("*", Arithmetic::Multiply),
            ("/", Arithmetic::Divide),
            ("%", Arithmetic::Remainder),
        ];
        self.arithmetic(&OPERATORS, condition_allowed, Self::signed)
    }

    fn arithmetic(
        &mut self,
        operators: &[(&str, Arithmetic)],
        condition_allowed: bool,
        operand: fn(&mut Self, bool) -> SqlResult<Parsed>,
    ) -> SqlResult<Parsed> {
        let mut left = match operand(self, condition_allowed)? {
            Parsed::Value(left) => left,
            condition => return Ok(condition),
        };
        let mut count = 0;
        while let Some((_, operator)) = operators.iter().find(|(symbol, _)| self.is_symbol(symbol)) {
            self.advance()?;
            count += 1;
            if count > DEPTH_MAX {
                return Err(too_complex());
            }
            let Parsed::Value(right) = operand(self, false)? else {
                return Err(self.unexpected());
            };
            left = Expr::new(Head::Arithmetic(*operator, Box::new(left), Box::new(right)));
        }
        Ok(Parsed::Value(left))
    }

    fn signed(&mut self, condition_allowed: bool) -> SqlResult<Parsed> {
        let negative = self.is_symbol("-");
        if !negative && !self.is_symbol("+") {
            return self.accessor(condition_allowed);
        }
        self.advance()?;
        let Parsed::Value(operand) = self.nested(|parser| parser.signed(false))? else {
            return Err(self.unexpected());
        };
        // The sign of a plain number is part of the number.
        Ok(Parsed::Value(match operand {
            Expr {
                head: Head::Number(number),
                steps,
            } if steps.is_empty() => Expr::new(Head::Number(if negative { number.neg() } else { number })),
            operand => Expr::new(Head::Sign {
                negative,
                operand: Box::new(operand),
            }),
        }))
    }

    fn accessor(&mut self, condition_allowed: bool) -> SqlResult<Parsed> {
        let primary = if self.is_symbol("(") {
            self.advance()?;
            let inner = self.nested(Self::disjunction)?;
            self.expect(")")?;
            match inner {
                Parsed::Value(expr) => expr,
                Parsed::Condition(condition) if self.at_accessor() => Expr::new(Head::Condition(Box::new(condition))),
                Parsed::Condition(condition) if condition_allowed => {
                    return self.is_unknown(condition).map(Parsed::Condition);
                }
                Parsed::Condition(_) => return Err(self.unexpected()),
            }
        } else if condition_allowed && self.is_keyword("exists") {
            return self.exists().map(Parsed::Condition);
        } else {
            Expr::new(self.primary()?)
        };
        self.accessors(primary).map(Parsed::Value)
    }

    fn at_accessor(&self) -> bool {
        matches!(self.token, Token::Symbol("." | "[" | "?"))
    }

    /// `(condition) is unknown`
    fn is_unknown(&mut self, condition: Condition) -> SqlResult<Condition> {
        if !self.is_keyword("is") {
            return Ok(condition);
        }
        self.advance()?;
        if !self.is_keyword("unknown") {
            return Err(self.unexpected());
        }
        self.advance()?;
        Ok(Condition::IsUnknown(Box::new(condition)))
    }

    fn primary(&mut self) -> SqlResult<Head> {
        let head = match &self.token {
            Token::String(text) => Head::Literal(Jsonb::string(text)),
            Token::Variable(name) => Head::Variable(name.clone()),
            Token::Integer(text) | Token::Number(text) => Head::Number(text.parse::<Numeric>()?),
            Token::Symbol("$") => Head::Root,
            Token::Symbol("@") => {
                if self.filters == 0 {
                    self.note("@ is not allowed in root expressions");
                }
                Head::Current
            }
            Token::Word(_) if self.is_keyword("true") => Head::Literal(Jsonb::bool(true)),
            Token::Word(_) if self.is_keyword("false") => Head::Literal(Jsonb::bool(false)),
            Token::Word(_) if self.is_keyword("null") => Head::Literal(Jsonb::null()),
            Token::Word(_) if self.is_keyword("last") => {
                if self.subscripts == 0 {
                    self.note("LAST is allowed only in array subscripts");
                }
                Head::Last
            }
            Token::Word(_) | Token::Symbol(_) | Token::End => return Err(self.unexpected()),
        };
        self.advance()?;
        Ok(head)
    }

    fn note(&mut self, message: &str) {
        self.late
            .get_or_insert_with(|| SqlError::new(SqlState::SYNTAX_ERROR, message));
    }

    fn accessors(&mut self, mut expr: Expr) -> SqlResult<Expr> {
        while self.at_accessor() {
            if expr.steps.len() >= STEPS_MAX {
                return Err(too_complex());
            }
            let step = match self.token {
                Token::Symbol(".") => {
                    self.advance()?;
                    self.member()?
                }
                Token::Symbol("[") => {
                    self.advance()?;
                    self.subscript()?
                }
                _ => {
                    self.advance()?;
                    self.filter()?
                }
            };
            expr.steps.push(step);
        }
        Ok(expr)
    }

    /// What stands behind a point.
    fn member(&mut self) -> SqlResult<Step> {
        let name = match &self.token {
            Token::String(name) => {
                let name = name.clone();
                self.advance()?;
                return Ok(Step::Member(name));
            }
            Token::Symbol("*") => {
                self.advance()?;
                return Ok(Step::AnyMember);
            }
            Token::Symbol("**") => {
                self.advance()?;
                return self.any_depth();
            }
            Token::Word(name) => name.clone(),
            _ => return Err(self.unexpected()),
        };
        self.advance()?;
        if !self.is_symbol("(") {
            return Ok(Step::Member(name));
        }
        let method = match name.to_ascii_lowercase().as_str() {
            "abs" => Method::Abs,
            "ceiling" => Method::Ceiling,
            "double" => Method::Double,
            "floor" => Method::Floor,
            "keyvalue" => Method::KeyValue,
            "size" => Method::Size,
            "type" => Method::Type,
            "datetime" => {
                self.advance()?;
                let template = if self.is_symbol(")") {
                    None
                } else {
                    Some(self.string()?)
                };
                self.expect(")")?;
                return Ok(Step::DateTime(template));
            }
            _ => return Err(self.unexpected()),
        };
        self.advance()?;
        self.expect(")")?;
        Ok(Step::Method(method))
    }

    fn any_depth(&mut self) -> SqlResult<Step> {
        if !self.take("{")? {
            return Ok(Step::AnyDepth(0, u32::MAX));
        }
        let first = self.level()?;
        let mut last = first;
        if self.is_keyword("to") {
            self.advance()?;
            last = self.level()?;
        }
        self.expect("}")?;
        Ok(Step::AnyDepth(first, last))
    }

    fn level(&mut self) -> SqlResult<u32> {
        let level = match &self.token {
            Token::Integer(text) => text.parse::<i32>().map_err(|_| {
                let message = format!("value \"{text}\" is out of range for type integer");
                SqlError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message)
            })? as u32,
            Token::Word(_) if self.is_keyword("last") => u32::MAX,
            _ => return Err(self.unexpected()),
        };
        self.advance()?;
        Ok(level)
    }

    fn subscript(&mut self) -> SqlResult<Step> {
        if self.take("*")? {
            self.expect("]")?;
            return Ok(Step::AnyElement);
        }
        self.subscripts += 1;
        let mut elements = Vec::new();
        loop {
            let from = self.nested(Self::value)?;
            let mut to = None;
            if self.is_keyword("to") {
                self.advance()?;
                to = Some(self.nested(Self::value)?);
            }
            elements.push((from, to));
            if !self.take(",")? {
                break;
            }
        }
        self.subscripts -= 1;
        self.expect("]")?;
        Ok(Step::Elements(elements))
    }

    fn filter(&mut self) -> SqlResult<Step> {
        self.expect("(")?;
        self.filters += 1;
        let parsed = self.nested(Self::disjunction)?;
        self.filters -= 1;
        let Parsed::Condition(condition) = parsed else {
            return Err(self.unexpected());
        };
        self.expect(")")?;
        Ok(Step::Filter(condition))
    }
}

fn too_complex() -> SqlError {
    SqlError::new(SqlState::STATEMENT_TOO_COMPLEX, "stack depth limit exceeded")
        .hint("Split the jsonpath into smaller parts.")
}
