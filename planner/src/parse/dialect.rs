//! Dialect: PostgreSQL's grammar where it differs from what sqlparser calls its PostgreSQL dialect.
//!
//! Wraps [`PostgreSqlDialect`], claims its identity, and takes over the start of expressions: literals and plain names
//! without speculation (sqlparser tries a type name first for each of them), prefix operators with PostgreSQL's
//! precedence, and the forms that sqlparser's tree has no node for. Those become calls of functions whose names users
//! cannot write (see [`super::forms`]).

use std::any::TypeId;
use std::cell::Cell;
use std::fmt;

use sqlparser::ast::{
    Expr, Ident, ObjectName, ObjectNamePart, Statement, TypedString, UnaryOperator, Value, ValueWithSpan,
};
use sqlparser::dialect::{Dialect, PostgreSqlDialect, Precedence};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Token};

use super::{forms, infix, special};

/// Precedence of unary minus: above COLLATE, below subscripts.
const UNARY_MINUS: u8 = 125;
/// Precedence of all operators that have none of their own.
const OTHER_OPERATOR: u8 = 70;

/// The dialect of one parse: it also remembers how far the parser looked.
pub(crate) struct CambiumDialect {
    base: PostgreSqlDialect,
    furthest: Cell<Location>,
}

impl fmt::Debug for CambiumDialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CambiumDialect")
    }
}

impl CambiumDialect {
    pub(crate) fn new() -> Self {
        Self {
            base: PostgreSqlDialect {},
            furthest: Cell::new(Location { line: 0, column: 0 }),
        }
    }

    /// Start of the furthest token that an expression reached.
    pub(crate) fn furthest(&self) -> Location {
        self.furthest.get()
    }

    fn look(&self, parser: &Parser<'_>) {
        let at = parser.peek_token_ref().span.start;
        if at > self.furthest.get() {
            self.furthest.set(at);
        }
    }
}

type Parse<T> = Result<T, ParserError>;

impl Dialect for CambiumDialect {
    fn dialect(&self) -> TypeId {
        TypeId::of::<PostgreSqlDialect>()
    }

    fn parse_prefix(&self, parser: &mut Parser<'_>) -> Option<Parse<Expr>> {
        self.look(parser);
        prefix(parser).transpose()
    }

    fn parse_infix(&self, parser: &mut Parser<'_>, expr: &Expr, precedence: u8) -> Option<Parse<Expr>> {
        infix::infix(parser, expr, precedence).transpose()
    }

    fn parse_statement(&self, parser: &mut Parser<'_>) -> Option<Parse<Statement>> {
        super::statements::statement(parser).transpose()
    }

    fn get_next_precedence(&self, parser: &Parser<'_>) -> Option<Parse<u8>> {
        self.look(parser);
        match &parser.peek_token_ref().token {
            Token::Word(word) if word.quote_style.is_none() => match word.keyword {
                Keyword::OPERATOR => Some(Ok(OTHER_OPERATOR)),
                // SUBSTRING (a SIMILAR b ESCAPE c) has no TO.
                Keyword::SIMILAR if !super::lexer::is_keyword(&parser.peek_nth_token_ref(1).token, Keyword::TO) => {
                    Some(Ok(0))
                }
                _ if word.value == "isnull" => Some(Ok(self.prec_value(Precedence::Is))),
                // MySQL's.
                Keyword::XOR | Keyword::REGEXP | Keyword::RLIKE | Keyword::DIV | Keyword::MATCH | Keyword::MEMBER => {
                    Some(Ok(0))
                }
                _ => self.base.get_next_precedence(parser),
            },
            Token::Word(_) => Some(Ok(0)),
            Token::Tilde
            | Token::TildeAsterisk
            | Token::ExclamationMarkTilde
            | Token::ExclamationMarkTildeAsterisk
            | Token::DoubleTilde
            | Token::DoubleTildeAsterisk
            | Token::ExclamationMarkDoubleTilde
            | Token::ExclamationMarkDoubleTildeAsterisk
            | Token::CustomBinaryOperator(_)
            | Token::Ampersand
            | Token::Pipe => Some(Ok(OTHER_OPERATOR)),
            Token::ExclamationMark | Token::RArrow | Token::Assignment => Some(Ok(0)),
            _ => self.base.get_next_precedence(parser),
        }
    }

    fn is_identifier_generating_function_name(&self, ident: &Ident, _name_parts: &[ObjectNamePart]) -> bool {
        matches!(ident.value.as_str(), forms::SUBSCRIPT | forms::CONFLICT | forms::WHERE)
    }

    fn supports_factorial_operator(&self) -> bool {
        false
    }

    fn supports_geometric_types(&self) -> bool {
        false
    }

    fn is_reserved_for_identifier(&self, keyword: Keyword) -> bool {
        self.base.is_reserved_for_identifier(keyword)
    }

    fn is_table_alias(&self, keyword: &Keyword, parser: &mut Parser<'_>) -> bool {
        self.base.is_table_alias(keyword, parser)
    }

    fn is_column_alias(&self, keyword: &Keyword, parser: &mut Parser<'_>) -> bool {
        self.base.is_column_alias(keyword, parser)
    }

    fn identifier_quote_style(&self, identifier: &str) -> Option<char> {
        self.base.identifier_quote_style(identifier)
    }

    fn is_delimited_identifier_start(&self, c: char) -> bool {
        c == '"'
    }

    fn is_identifier_start(&self, c: char) -> bool {
        self.base.is_identifier_start(c)
    }

    fn is_identifier_part(&self, c: char) -> bool {
        self.base.is_identifier_part(c)
    }

    fn prec_value(&self, precedence: Precedence) -> u8 {
        self.base.prec_value(precedence)
    }

    fn supports_filter_during_aggregation(&self) -> bool {
        true
    }

    fn supports_window_clause_named_window_reference(&self) -> bool {
        false
    }

    fn supports_group_by_expr(&self) -> bool {
        true
    }

    fn supports_alter_user_as_alter_role(&self) -> bool {
        true
    }

    fn allow_extract_custom(&self) -> bool {
        true
    }

    fn allow_extract_single_quotes(&self) -> bool {
        true
    }

    fn supports_create_index_with_clause(&self) -> bool {
        true
    }

    fn supports_explain_with_utility_options(&self) -> bool {
        true
    }

    fn supports_listen_notify(&self) -> bool {
        true
    }

    fn supports_exclude_constraint(&self) -> bool {
        true
    }

    fn supports_bitwise_shift_operators(&self) -> bool {
        true
    }

    fn supports_comment_on(&self) -> bool {
        true
    }

    fn supports_load_extension(&self) -> bool {
        true
    }

    fn supports_named_fn_args_with_colon_operator(&self) -> bool {
        true
    }

    fn supports_named_fn_args_with_assignment_operator(&self) -> bool {
        true
    }

    fn supports_named_fn_args_with_expr_name(&self) -> bool {
        true
    }

    fn supports_empty_projections(&self) -> bool {
        true
    }

    fn supports_array_typedef_with_brackets(&self) -> bool {
        true
    }

    fn supports_order_by_using_operator(&self) -> bool {
        true
    }

    fn supports_set_names(&self) -> bool {
        true
    }

    fn supports_alter_column_type_using(&self) -> bool {
        true
    }

    fn supports_left_associative_joins_without_parens(&self) -> bool {
        false
    }

    fn supports_notnull_operator(&self) -> bool {
        true
    }

    fn supports_interval_options(&self) -> bool {
        true
    }

    fn supports_insert_table_alias(&self) -> bool {
        true
    }

    fn supports_create_table_like_parenthesized(&self) -> bool {
        true
    }

    fn supports_select_wildcard_with_alias(&self) -> bool {
        false
    }

    fn supports_comma_separated_trim(&self) -> bool {
        true
    }

    fn supports_aliased_function_args(&self) -> bool {
        false
    }
}

/// The start of an expression, or `None` to let sqlparser read it.
fn prefix(parser: &mut Parser<'_>) -> Parse<Option<Expr>> {
    let token = parser.peek_token_ref();
    let span = token.span;
    match &token.token {
        Token::Number(..) | Token::SingleQuotedString(_) | Token::DollarQuotedString(_) | Token::Placeholder(_) => {
            literal(parser).map(Some)
        }
        Token::Minus | Token::Plus => {
            let op = if token.token == Token::Minus {
                UnaryOperator::Minus
            } else {
                UnaryOperator::Plus
            };
            parser.advance_token();
            let operand = parser.parse_subexpr(UNARY_MINUS)?;
            // The sign's own place is lost in sqlparser's node; a call of ours keeps it where it matters.
            Ok(Some(Expr::UnaryOp {
                op,
                expr: Box::new(operand),
            }))
        }
        Token::Word(word) => {
            let quoted = word.quote_style.is_some();
            let keyword = if quoted { Keyword::NoKeyword } else { word.keyword };
            match keyword {
                Keyword::TRUE | Keyword::FALSE | Keyword::NULL => {
                    let value = match keyword {
                        Keyword::TRUE => Value::Boolean(true),
                        Keyword::FALSE => Value::Boolean(false),
                        _ => Value::Null,
                    };
                    parser.advance_token();
                    return Ok(Some(Expr::Value(ValueWithSpan { value, span })));
                }
                _ => {}
            }
            if let Some(expr) = special::word_prefix(parser, keyword)? {
                return Ok(Some(expr));
            }
            let plain = quoted || !special::starts_special_form(keyword);
            match &parser.peek_nth_token_ref(1).token {
                Token::SingleQuotedString(_) | Token::DollarQuotedString(_) if plain => typed_string(parser).map(Some),
                Token::LParen if plain => {
                    let name = ObjectName::from(vec![parser.parse_identifier()?]);
                    // `numeric(5, 2) '1.5'` starts like a call.
                    special::call_or_typed_string(parser, name).map(Some)
                }
                _ if plain && !forms::is_reserved(keyword) => {
                    let Token::Word(word) = parser.next_token().token else {
                        return Ok(None);
                    };
                    Ok(Some(Expr::Identifier(Ident {
                        value: word.value,
                        quote_style: word.quote_style,
                        span,
                    })))
                }
                _ => Ok(None),
            }
        }
        Token::LParen => special::nested_query(parser),
        Token::LBracket => Ok(None),
        other => {
            let Some(name) = forms::operator_name(other) else {
                return Ok(None);
            };
            let name = name.to_owned();
            parser.advance_token();
            let operand = parser.parse_subexpr(OTHER_OPERATOR)?;
            Ok(Some(forms::call(&format!("prefix {name}"), span, vec![operand])))
        }
    }
}

fn literal(parser: &mut Parser<'_>) -> Parse<Expr> {
    let token = parser.next_token();
    let value = match token.token {
        Token::Number(text, long) => Value::Number(text, long),
        Token::SingleQuotedString(text) => Value::SingleQuotedString(text),
        Token::DollarQuotedString(text) => Value::DollarQuotedString(text),
        Token::Placeholder(text) => Value::Placeholder(text),
        _ => return parser.expected("a literal", parser.peek_token()),
    };
    Ok(Expr::Value(ValueWithSpan {
        value,
        span: token.span,
    }))
}

/// `type 'text'` of a type written as one word.
fn typed_string(parser: &mut Parser<'_>) -> Parse<Expr> {
    let data_type = parser.parse_data_type()?;
    let Expr::Value(value) = literal(parser)? else {
        return parser.expected("a literal", parser.peek_token());
    };
    Ok(Expr::TypedString(TypedString {
        data_type,
        value,
        uses_odbc_syntax: false,
    }))
}
