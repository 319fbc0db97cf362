//! Expressions and what PostgreSQL 15.18 answered to them (`testscripts/functions`).
//!
//! A line is `expression => result`. Expressions are SQL in a small form: typed literals (`'1'::int4`), calls, casts,
//! operators from left to right, parentheses; set-returning calls give rows divided by ` ; `. An error is
//! `!SQLSTATE message`, with DETAIL and HINT behind. `set name = value` changes a setting for the rest of the file. The
//! results are recorded by `testscripts/record`, never by this program.

use std::fmt::Write;
use std::sync::Arc;

use storage::Datum;
use test_each_file::test_each_path;

use crate::eval::session::FixedSession;
use crate::functions::{self, Body, CallContext, CallTypes, CastMethod, Function};
use crate::types::{self, Style, oid};
use crate::{SqlError, SqlResult, SqlState, Type};

test_each_path! { in "planner/src/testscripts/functions" as recorded => run }

fn run(path: &std::path::Path) {
    let script = std::fs::read_to_string(path).expect("script is readable");
    let mut session = FixedSession::default();
    let mut failures = String::new();
    for (number, line) in script
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
    {
        if let Some(setting) = line.strip_prefix("set ") {
            let (name, value) = setting.split_once('=').expect("name = value");
            let mut style = Style::clone(&session.style);
            style
                .set(name.trim(), value.trim().trim_matches('\''))
                .expect("a valid setting");
            session.style = Arc::new(style);
            continue;
        }
        let (expression, expected) = line
            .rsplit_once(" => ")
            .unwrap_or_else(|| panic!("line {}: no result", number + 1));
        let found = answer(expression, &session);
        if found != expected {
            let _ = writeln!(
                failures,
                "line {}: {expression}\n  expected {expected}\n  found    {found}",
                number + 1
            );
        }
    }
    assert!(failures.is_empty(), "{}\n{failures}", path.display());
}

/// The text of an expression's value or error, on one line.
fn answer(expression: &str, session: &FixedSession) -> String {
    let mut parser = Parser {
        rest: expression,
        session,
    };
    let text = match parser.expression() {
        Ok(Value {
            rows: Some(rows), ty, ..
        }) => {
            let texts: Vec<String> = rows.iter().map(|row| row_text(row, ty, session)).collect();
            format!("[{}]", texts.join(" ; "))
        }
        Ok(Value { datum, ty, .. }) => text_of(&datum, ty, session),
        Err(error) => {
            let mut text = format!("!{} {}", error.code().0, error.fields().message);
            if let Some(detail) = &error.fields().detail {
                let _ = write!(text, " DETAIL: {detail}");
            }
            if let Some(hint) = &error.fields().hint {
                let _ = write!(text, " HINT: {hint}");
            }
            text
        }
    };
    assert!(
        parser.rest.is_empty() || text.starts_with('!'),
        "{expression}: rest {}",
        parser.rest
    );
    text.replace('\\', "\\\\").replace('\n', "\\n")
}

fn text_of(datum: &Datum, ty: Type, session: &FixedSession) -> String {
    match types::to_text(ty, datum, session) {
        Ok(Some(text)) => text,
        Ok(None) => "NULL".to_owned(),
        Err(error) => format!("cannot print: {error}"),
    }
}

fn row_text(row: &[Datum], ty: Type, session: &FixedSession) -> String {
    let texts: Vec<String> = row.iter().map(|datum| text_of(datum, ty, session)).collect();
    texts.join("|")
}

/// A value with its type; `rows` if it is a set.
struct Value {
    datum: Datum,
    ty: Type,
    rows: Option<Vec<Vec<Datum>>>,
}

impl Value {
    fn new(datum: Datum, ty: Type) -> Self {
        Self { datum, ty, rows: None }
    }
}

struct Parser<'a> {
    rest: &'a str,
    session: &'a FixedSession,
}

const SYMBOLS: &str = "+-*/%^<>=~!@#&|?";

impl Parser<'_> {
    fn skip(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn accept(&mut self, token: &str) -> bool {
        self.skip();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn symbol(&mut self) -> Option<String> {
        self.skip();
        let end = self.rest.find(|c| !SYMBOLS.contains(c)).unwrap_or(self.rest.len());
        if end == 0 {
            return None;
        }
        let (symbol, rest) = self.rest.split_at(end);
        self.rest = rest;
        Some(symbol.to_owned())
    }

    fn expression(&mut self) -> SqlResult<Value> {
        let mut left = self.operand()?;
        while let Some(symbol) = self.symbol() {
            let right = self.operand()?;
            let symbol = if symbol == "!=" { "<>" } else { &symbol };
            let arguments = [left, right];
            let found = functions::operators(symbol)
                .iter()
                .find(|operator| operator.left != 0 && fits(&[operator.left, operator.right], &arguments));
            let operator =
                found.unwrap_or_else(|| panic!("operator {symbol} {:?}", arguments.each_ref().map(|value| value.ty)));
            left = self.call(
                operator.function().expect("function of operator"),
                operator.result,
                &arguments,
            )?;
        }
        Ok(left)
    }

    fn operand(&mut self) -> SqlResult<Value> {
        self.skip();
        if self.rest.starts_with(|c| SYMBOLS.contains(c)) {
            let symbol = self.symbol().expect("a symbol");
            let value = self.operand()?;
            let found = functions::prefix_operators(&symbol)
                .find(|operator| fits(&[operator.right], std::slice::from_ref(&value)));
            let operator = found.unwrap_or_else(|| panic!("operator {symbol} {:?}", value.ty));
            return self.call(
                operator.function().expect("function of operator"),
                operator.result,
                &[value],
            );
        }
        let mut value = self.primary()?;
        while self.accept("::") {
            let target = self.type_name();
            value = self.cast(value, target)?;
        }
        Ok(value)
    }

    fn type_name(&mut self) -> Type {
        let name_end = self
            .rest
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '"')
            .unwrap_or(self.rest.len());
        let mut end = name_end;
        if self.rest[end..].starts_with('(') {
            end += self.rest[end..].find(')').expect("closing parenthesis") + 1;
        }
        while self.rest[end..].starts_with("[]") {
            end += 2;
        }
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        types::parse_type(name)
            .ok()
            .flatten()
            .unwrap_or_else(|| panic!("type {name}"))
    }

    fn primary(&mut self) -> SqlResult<Value> {
        self.skip();
        if self.accept("(") {
            let value = self.expression()?;
            assert!(self.accept(")"), "closing parenthesis at {}", self.rest);
            return Ok(value);
        }
        if self.rest.starts_with('\'') {
            let literal = self.literal();
            return Ok(Value::new(Datum::text(literal), Type::UNKNOWN));
        }
        let end = self
            .rest
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        if name == "NULL" {
            return Ok(Value::new(Datum::Null, Type::UNKNOWN));
        }
        assert!(self.accept("("), "call of {name}");
        let mut arguments = Vec::new();
        let mut failure = None;
        while !self.accept(")") {
            match self.expression() {
                Ok(value) => arguments.push(value),
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
            self.accept(",");
        }
        if let Some(error) = failure {
            return Err(error);
        }
        let candidates = functions::by_name(name);
        let function = candidates
            .iter()
            .find(|function| takes(function, &arguments))
            .unwrap_or_else(|| {
                let types: Vec<String> = arguments.iter().map(|value| types::format_type(value.ty)).collect();
                panic!("function {name}({})", types.join(", "))
            });
        self.call(function, function.returns, &arguments)
    }

    fn literal(&mut self) -> String {
        let mut literal = String::new();
        let mut chars = self.rest[1..].chars();
        loop {
            match chars.next().expect("closing quote") {
                '\'' if chars.as_str().starts_with('\'') => {
                    chars.next();
                    literal.push('\'');
                }
                '\'' => break,
                c => literal.push(c),
            }
        }
        self.rest = chars.as_str();
        literal
    }

    fn call(&self, function: &'static Function, returns: u32, arguments: &[Value]) -> SqlResult<Value> {
        let types: Vec<Type> = arguments.iter().map(|value| value.ty).collect();
        let datums: Vec<Datum> = arguments.iter().map(|value| value.datum.clone()).collect();
        let element = types
            .iter()
            .find_map(|ty| types::element_of(ty.oid))
            .or(types.first().map(|ty| ty.oid))
            .unwrap_or(0);
        let result = Type::new(match returns {
            oid::ANYELEMENT | oid::ANYCOMPATIBLE => element,
            oid::ANYARRAY | oid::ANYCOMPATIBLEARRAY => types::array_of(element).unwrap_or(0),
            other => other,
        });
        if function.strict && datums.iter().any(Datum::is_null) {
            return Ok(Value::new(Datum::Null, result));
        }
        let mut context = CallContext {
            types: CallTypes { args: &types, result },
            session: self.session,
        };
        match function.body {
            Body::Scalar(body) => Ok(Value::new(body(&mut context, &datums)?, result)),
            Body::Set(body) => Ok(Value {
                datum: Datum::Null,
                ty: result,
                rows: Some(body(&mut context, &datums)?),
            }),
            Body::Rows(body) => {
                let rows = body(&mut context, &datums)?.collect::<SqlResult<Vec<Vec<Datum>>>>()?;
                Ok(Value {
                    datum: Datum::Null,
                    ty: result,
                    rows: Some(rows),
                })
            }
            Body::Aggregate(_) | Body::Window => panic!("{function:?} is no function of values"),
        }
    }

    fn cast(&self, value: Value, target: Type) -> SqlResult<Value> {
        let Value { datum, ty, .. } = value;
        if datum.is_null() {
            return Ok(Value::new(Datum::Null, target));
        }
        let plain = Type::new(target.oid);
        let converted = if ty.oid == oid::UNKNOWN {
            let input_type = if target.oid == oid::INTERVAL { target } else { plain };
            types::input(input_type, types::as_str(&datum)?, self.session)?
        } else if ty.oid == target.oid {
            datum
        } else {
            match functions::cast(ty.oid, target.oid).map(|cast| cast.method) {
                Some(CastMethod::Binary) => datum,
                Some(CastMethod::Function(function)) => {
                    let function = functions::by_oid(function).unwrap_or_else(|| panic!("cast function {function}"));
                    self.call(function, target.oid, &[Value::new(datum, ty)])?.datum
                }
                Some(CastMethod::Text) | None => {
                    let text = types::to_text(ty, &datum, self.session)?.unwrap_or_default();
                    types::input(plain, &text, self.session)?
                }
            }
        };
        Ok(Value::new(types::apply_modifier(converted, target, true)?, target))
    }
}

fn takes(function: &Function, arguments: &[Value]) -> bool {
    if function.variadic {
        return arguments.len() >= function.args.len() - 1;
    }
    let required = function.args.len() - function.defaults.len();
    let count = arguments.len();
    count >= required && count <= function.args.len() && fits(&function.args[..count], arguments)
}

fn fits(parameters: &[u32], arguments: &[Value]) -> bool {
    parameters.iter().zip(arguments).all(|(&parameter, argument)| {
        let argument = argument.ty.oid;
        let is_array = types::element_of(argument).is_some();
        parameter == argument
            || parameter == oid::TEXT && matches!(argument, oid::VARCHAR | oid::UNKNOWN)
            || parameter == oid::REGCLASS && argument == oid::OID
            || match parameter {
                oid::ANY | oid::ANYELEMENT => true,
                oid::ANYCOMPATIBLE | oid::ANYNONARRAY => !is_array,
                oid::ANYARRAY | oid::ANYCOMPATIBLEARRAY => is_array,
                _ => false,
            }
    })
}

/// Every operator and cast that names a function finds it, and no OID stands for two functions.
#[test]
fn tables_are_consistent() {
    let mut seen = std::collections::HashSet::new();
    for function in functions::all() {
        assert!(seen.insert(function.oid), "{function:?} has the OID of another");
    }
    for operator in functions::operator::TABLES.iter().flat_map(|table| table.iter()) {
        assert!(
            operator.function().is_some() || operator.right == oid::JSONPATH,
            "operator {} {} has no function {}",
            operator.oid,
            operator.name,
            operator.function
        );
    }
    for cast in functions::all_casts() {
        if let CastMethod::Function(function) = cast.method {
            assert!(
                cast.function().is_some(),
                "cast {} to {} has no function {function}",
                cast.source,
                cast.target
            );
        }
    }
}

/// Unknown settings of scripts would silently test nothing.
#[test]
fn settings_are_refused_when_wrong() {
    assert!(Style::default().set("TimeZone", "Nowhere/City").is_none());
    assert!(Style::default().set("IntervalStyle", "verbose").is_none());
    let error: SqlError = types::input(Type::INT4, "x", &FixedSession::default()).expect_err("no number");
    assert_eq!(error.code(), SqlState::INVALID_TEXT_REPRESENTATION);
}
